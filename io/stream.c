/* The calls of every stream: what is common to all kinds. */
#include "exact.h"

int sley_stream_check(const struct sley_stream_ops *ops)
{
    const bool complete = ops && ops->version >= 1 && ops->name && ops->read_start && ops->write_start && ops->shutdown_start &&
                          ops->close_start && ops->abort;
    return complete ? 0 : -EINVAL;
}

/* ---- reading and writing ----------------------------------------------------------------------------------------- */

/* The four of one word together: one store. */
static inline void prepare(struct sley_io_op *op, uint8_t code, uint8_t flags, uint8_t kind)
{
    op->code = code;
    op->flags = flags;
    op->stage = 0;
    op->kind = kind;
}

static inline void prepare_one(struct sley_io_op *op, uint8_t code, uint8_t kind)
{
    op->ret_done = NULL;
    prepare(op, code, 0, kind);
}

void sley_stream_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    prepare_one(op, SLEY_IO_RECV, 0);
    s->ops->read_start(op, s, buf, len);
}

void sley_stream_write_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len)
{
    prepare_one(op, SLEY_IO_SEND, 0);
    s->ops->write_start(op, s, buf, len);
}

static inline void read_exact_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len, size_t *ret_done, uint8_t kind)
{
    op->ret_done = ret_done;
    prepare(op, SLEY_IO_RECV, SLEY_IO_ALL, kind);
    if (SLEY_LIKELY(s->ops->caps & SLEY_STREAM_CAP_ALL)) {
        s->ops->read_start(op, s, buf, len);
    } else {
        sley__stream_exact_start(op, s, buf, len);
    }
}

static inline void write_all_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len, size_t *ret_done,
                                   uint8_t kind)
{
    op->ret_done = ret_done;
    prepare(op, SLEY_IO_SEND, SLEY_IO_ALL, kind);
    if (SLEY_LIKELY(s->ops->caps & SLEY_STREAM_CAP_ALL)) {
        s->ops->write_start(op, s, buf, len);
    } else {
        sley__stream_exact_start(op, s, (void *)(uintptr_t)buf, len);
    }
}

void sley_stream_read_exact_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len, size_t *ret_done)
{
    read_exact_start(op, s, buf, len, ret_done, 0);
}

void sley_stream_write_all_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len, size_t *ret_done)
{
    write_all_start(op, s, buf, len, ret_done, 0);
}

/* ---- the rest ----------------------------------------------------------------------------------------------------- */

static const struct sley_wait_ops nothing_ops = {.version = SLEY_WAIT_VERSION, .name = "stream.nothing"};

void sley_stream_flush_start(struct sley_io_op *op, struct sley_stream *s)
{
    prepare_one(op, 0, 0);
    if (s->ops->flush_start) {
        s->ops->flush_start(op, s);
    } else if (sley_wait_begin(&op->wait, &nothing_ops)) {
        sley_wait_finish(&op->wait, 0);
    }
}

void sley_stream_shutdown_start(struct sley_io_op *op, struct sley_stream *s)
{
    prepare_one(op, 0, 0);
    s->ops->shutdown_start(op, s);
}

void sley_stream_close_start(struct sley_io_op *op, struct sley_stream *s)
{
    prepare_one(op, 0, 0);
    if (s && s->ops) {
        s->ops->close_start(op, s);
    } else {
        sley_wait_begin_always(&op->wait, &nothing_ops);
        sley_wait_finish(&op->wait, 0);
    }
}

void sley_stream_abort(struct sley_stream *s)
{
    if (s && s->ops) {
        s->ops->abort(s);
    }
}

/* ---- direct forms -------------------------------------------------------------------------------------------------- */

/** A plain thread has no reactor: its starts may wait. */
static uint8_t direct_kind(void)
{
    return sley_sched_current() ? 0 : SLEY_STREAM_RUN;
}

/* Only the node has to be zero before its first start: clearing all of the op would cost more than the call around it. */
static inline void zero_node(struct sley_io_op *op)
{
    /* relaxed: nobody else knows the node */
    atomic_store_explicit(&op->wait.word, 0, memory_order_relaxed);
    op->wait.at.site = NULL;
}

#define DIRECT_OP(name)                      \
    struct sley_io_op name;                  \
    do {                                     \
        const int rc_ = sley_direct_enter(); \
        if (rc_ < 0) {                       \
            return rc_;                      \
        }                                    \
        zero_node(&(name));                  \
    } while (0)

/** In a fiber that has budget left: there is nothing to enter, and nobody else to be asked. */
static inline bool in_usual_fiber(void)
{
    const struct sley_sched *s = sley__self;
    return SLEY_LIKELY(s != NULL) && SLEY_LIKELY(s->budget > 0) && SLEY_LIKELY(s->current != NULL) &&
           SLEY_LIKELY(s->current->type->style == SLEY_STYLE_FIBER);
}

static inline int verdict(struct sley_io_op *op)
{
    return sley_wait_done(&op->wait) ? op->wait.result : sley_await(&op->wait);
}

/** read and write where not all is as usual. */
static SLEY_NOINLINE int direct_odd(struct sley_stream *s, void *buf, size_t len, bool reading)
{
    DIRECT_OP(op);
    prepare_one(&op, reading ? SLEY_IO_RECV : SLEY_IO_SEND, direct_kind());
    if (reading) {
        s->ops->read_start(&op, s, buf, len);
    } else {
        s->ops->write_start(&op, s, buf, len);
    }
    return sley_await(&op.wait);
}

int sley_stream_read(struct sley_stream *s, void *buf, size_t len)
{
    if (!in_usual_fiber()) {
        return direct_odd(s, buf, len, true);
    }
    struct sley_io_op op;
    zero_node(&op);
    prepare_one(&op, SLEY_IO_RECV, 0);
    s->ops->read_start(&op, s, buf, len);
    return verdict(&op);
}

static inline ssize_t write_now(struct sley_stream *s, const void *buf, size_t len)
{
    return SLEY_LIKELY(s->ops->write_now != NULL) ? s->ops->write_now(s, buf, len, sley__self) : -EAGAIN;
}

int sley_stream_write(struct sley_stream *s, const void *buf, size_t len)
{
    if (in_usual_fiber()) {
        const ssize_t n = write_now(s, buf, len);
        if (SLEY_LIKELY(n != -EAGAIN)) {
            return (int)n;
        }
    }
    return direct_odd(s, (void *)(uintptr_t)buf, len, false);
}

/** On a plain thread ops end on other threads: the loop is the caller's. */
static int thread_pieces(struct sley_stream *s, char *buf, size_t len, size_t *ret_done, bool reading)
{
    size_t done = 0;
    int rc = 0;
    while (done < len && rc >= 0) {
        rc = reading ? sley_stream_read(s, buf + done, len - done) : sley_stream_write(s, buf + done, len - done);
        if (rc == 0) {
            rc = reading ? -ENODATA : -EIO;
        }
        done += rc > 0 ? (size_t)rc : 0;
    }
    if (ret_done) {
        *ret_done = done;
    }
    return rc < 0 ? rc : 0;
}

/** read_exact and write_all where not all is as usual. */
static SLEY_NOINLINE int direct_all_odd(struct sley_stream *s, void *buf, size_t len, size_t *ret_done, bool reading)
{
    if (ret_done) {
        *ret_done = 0;
    }
    DIRECT_OP(op);
    const uint8_t kind = direct_kind();
    if (kind == SLEY_STREAM_RUN && !(s->ops->caps & SLEY_STREAM_CAP_ALL)) {
        return thread_pieces(s, buf, len, ret_done, reading);
    }
    if (reading) {
        read_exact_start(&op, s, buf, len, ret_done, kind);
    } else {
        write_all_start(&op, s, buf, len, ret_done, kind);
    }
    return sley_await(&op.wait);
}

int sley_stream_read_exact(struct sley_stream *s, void *buf, size_t len, size_t *ret_done)
{
    if (!in_usual_fiber()) {
        return direct_all_odd(s, buf, len, ret_done, true);
    }
    struct sley_io_op op;
    zero_node(&op);
    read_exact_start(&op, s, buf, len, ret_done, 0);
    return verdict(&op);
}

/** write_now has not moved everything. */
static SLEY_NOINLINE int write_rest(struct sley_stream *s, const void *buf, size_t len, size_t *ret_done, ssize_t n)
{
    const size_t first = n > 0 ? (size_t)n : 0;
    size_t more = 0;
    int rc = (int)n;
    if (n > 0 || n == -EAGAIN) {
        struct sley_io_op op;
        zero_node(&op);
        write_all_start(&op, s, (const char *)buf + first, len - first, &more, 0);
        rc = verdict(&op);
    }
    if (ret_done) {
        *ret_done = first + more;
    }
    return rc;
}

int sley_stream_write_all(struct sley_stream *s, const void *buf, size_t len, size_t *ret_done)
{
    if (!in_usual_fiber()) {
        return direct_all_odd(s, (void *)(uintptr_t)buf, len, ret_done, false);
    }
    const ssize_t n = write_now(s, buf, len);
    if (SLEY_UNLIKELY((size_t)n != len)) {
        return write_rest(s, buf, len, ret_done, n);
    }
    if (ret_done) {
        *ret_done = len;
    }
    return 0;
}

int sley_stream_flush(struct sley_stream *s)
{
    DIRECT_OP(op);
    sley_stream_flush_start(&op, s);
    return sley_await(&op.wait);
}

int sley_stream_shutdown(struct sley_stream *s)
{
    DIRECT_OP(op);
    sley_stream_shutdown_start(&op, s);
    return sley_await(&op.wait);
}

int sley_stream_close(struct sley_stream *s)
{
    DIRECT_OP(op);
    sley_stream_close_start(&op, s);
    return sley_await(&op.wait);
}
