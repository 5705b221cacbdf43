/* Streams that are looked at: bytes that stay, readiness, what goes at once. Kinds that know nothing of it say -ENOTSUP. */
#include <sley/stream_impl.h>

static const struct sley_wait_ops look_ops = {.version = SLEY_WAIT_VERSION, .name = "stream.look"};

static void refuse(struct sley_io_op *op, int32_t rc)
{
    if (sley_wait_begin(&op->wait, &look_ops)) {
        sley_wait_finish(&op->wait, rc);
    }
}

static bool knows(const struct sley_stream *s)
{
    return s->ops->version >= 4;
}

static void prepare(struct sley_io_op *op, uint8_t code, uint8_t kind)
{
    op->ret_done = NULL;
    op->code = code;
    op->flags = op->stage = 0;
    op->kind = kind;
}

static void peek_start(struct sley_stream_peek_op *op, struct sley_stream *s, void *buf, size_t len, uint8_t kind)
{
    prepare(&op->io, SLEY_IO_RECV, kind);
    if (!knows(s) || !s->ops->peek_start) {
        refuse(&op->io, -ENOTSUP);
    } else if (len == 0) {
        s->ops->read_start(&op->io, s, buf, 0);
    } else {
        op->iov = (struct iovec){.iov_base = buf, .iov_len = len};
        op->message = (struct msghdr){.msg_iov = &op->iov, .msg_iovlen = 1};
        s->ops->peek_start(&op->io, s, &op->message);
    }
}

static void ready_start(struct sley_io_op *op, struct sley_stream *s, uint32_t events, uint8_t kind)
{
    prepare(op, SLEY_IO_POLL, kind);
    if (!knows(s) || !s->ops->ready_start) {
        refuse(op, -ENOTSUP);
    } else if (events == 0 || (events & ~(uint32_t)(SLEY_IO_IN | SLEY_IO_OUT))) {
        refuse(op, -EINVAL);
    } else {
        s->ops->ready_start(op, s, events);
    }
}

void sley_stream_peek_start(struct sley_stream_peek_op *op, struct sley_stream *s, void *buf, size_t len)
{
    peek_start(op, s, buf, len, 0);
}

void sley_stream_ready_start(struct sley_io_op *op, struct sley_stream *s, uint32_t events)
{
    ready_start(op, s, events, 0);
}

/* ---- direct forms ---------------------------------------------------------------------------------------------------- */

/** A plain thread has no reactor: its starts may wait. */
static uint8_t direct_kind(void)
{
    return sley_sched_current() ? 0 : SLEY_STREAM_RUN;
}

static void zero_node(struct sley_io_op *op)
{
    /* relaxed: nobody else knows the node */
    atomic_store_explicit(&op->wait.word, 0, memory_order_relaxed);
    op->wait.at.site = NULL;
}

int sley_stream_peek(struct sley_stream *s, void *buf, size_t len)
{
    struct sley_stream_peek_op op;
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    zero_node(&op.io);
    peek_start(&op, s, buf, len, direct_kind());
    return sley_await(&op.wait);
}

int sley_stream_ready(struct sley_stream *s, uint32_t events)
{
    struct sley_io_op op;
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    zero_node(&op);
    ready_start(&op, s, events, direct_kind());
    return sley_await(&op.wait);
}

int sley_stream_try_read(struct sley_stream *s, void *buf, size_t len)
{
    return knows(s) && s->ops->try_read ? s->ops->try_read(s, buf, len) : -ENOTSUP;
}

int sley_stream_try_write(struct sley_stream *s, const void *buf, size_t len)
{
    return knows(s) && s->ops->try_write ? s->ops->try_write(s, buf, len) : -ENOTSUP;
}
