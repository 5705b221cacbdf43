/* The loop of read_exact and write_all, for streams that move one piece at a time. */
#include "exact.h"

enum {
    STAGE_ARMED = 1,    /* the node is */
    STAGE_BEGUN = 2,    /* the node has, so that further pieces do not */
    STAGE_STARTING = 4, /* inside a start: an end only leaves its result, so that pieces do not nest */
    STAGE_ENDED = 8,    /* ... has left it, in out_number */
    STAGE_ASKED = 16,   /* to end early */
};

/** The table of the stream itself; op->fd is free, since no reactor sees such an op. */
static const struct sley_wait_ops *piece_ops(const struct sley_io_op *op)
{
    return (const struct sley_wait_ops *)(const void *)op->fd;
}

/* A piece may end on another worker, while who started it is still about to return, or while the op is asked to end: so what they
 * tell each other by `stage` is changed in one piece, and looked at so. */
static uint8_t stage_add(struct sley_io_op *op, uint8_t bits)
{
    /* acq_rel: who sees ENDED sees the result; who ends after STARTING is gone sees all that the start did */
    return __atomic_fetch_or(&op->stage, bits, __ATOMIC_ACQ_REL);
}

/** Who asks does so once, but a piece may win against it: then the next one has to be asked, too. */
static void exact_cancel(struct sley_wait *w)
{
    struct sley_io_op *op = sley_container_of(w, struct sley_io_op, wait);
    (void)stage_add(op, STAGE_ASKED);
    if (piece_ops(op)->cancel) {
        piece_ops(op)->cancel(w);
    }
}

static const struct sley_wait_ops exact_ops = {
    .version = SLEY_WAIT_VERSION,
    .name = "stream.exact",
    .cancel = exact_cancel,
};

void sley__stream_exact_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    op->flags = 0;
    op->kind |= SLEY_STREAM_EXACT;
    op->object = s;
    op->buf = buf;
    op->len = len;
    op->done_bytes = 0;
    if (op->ret_done) {
        *op->ret_done = 0;
    }
    if (len == 0) {
        if (sley_wait_begin(&op->wait, &exact_ops)) {
            sley_wait_finish(&op->wait, 0);
        }
    } else if (op->code == SLEY_IO_RECV) {
        s->ops->read_start(op, s, buf, len);
    } else {
        s->ops->write_start(op, s, buf, len);
    }
}

bool sley_stream_begin(struct sley_io_op *op, const struct sley_wait_ops *ops)
{
    if (!(op->kind & SLEY_STREAM_EXACT)) {
        op->stage = 0;
        return sley_wait_begin(&op->wait, ops);
    }
    if (stage_add(op, STAGE_BEGUN) & STAGE_BEGUN) {
        return true;
    }
    op->fd = (struct sley_fd *)(uintptr_t)ops;
    return sley_wait_begin(&op->wait, &exact_ops);
}

void sley_stream_arm(struct sley_io_op *op)
{
    if (!(stage_add(op, STAGE_ARMED) & STAGE_ARMED)) {
        sley_wait_arm(&op->wait);
    }
}

static void publish(struct sley_io_op *op, int32_t result)
{
    if (stage_add(op, 0) & STAGE_ARMED) {
        sley_wait_complete(&op->wait, result);
    } else {
        sley_wait_finish(&op->wait, result);
    }
}

/** Takes note of a piece. Returns: 1: there is more to move; 0; or why it ends. */
static int32_t account(struct sley_io_op *op, int32_t result)
{
    if (result < 0) {
        return result;
    }
    if (result == 0) {
        return op->code == SLEY_IO_RECV ? -ENODATA : -EIO;
    }
    op->done_bytes += (size_t)result;
    op->buf = (char *)op->buf + result;
    op->len -= (size_t)result;
    return op->len > 0;
}

/** Starts the next piece. Returns whether it has ended already, its result in out_number; else the op may be gone. */
static bool next_piece(struct sley_io_op *op)
{
    struct sley_stream *s = op->object;
    uint8_t stage = 0;
    /* relaxed: nothing is in flight but a request */
    (void)__atomic_fetch_and(&op->stage, (uint8_t)~STAGE_ENDED, __ATOMIC_RELAXED);
    (void)stage_add(op, STAGE_STARTING);
    if (op->code == SLEY_IO_RECV) {
        s->ops->read_start(op, s, op->buf, op->len);
    } else {
        s->ops->write_start(op, s, op->buf, op->len);
    }
    bool told = false;
    for (;;) {
        /* acquire: observes what ended the piece; pairs with stage_add */
        stage = __atomic_load_n(&op->stage, __ATOMIC_ACQUIRE);
        if ((stage & STAGE_ASKED) && !(stage & STAGE_ENDED) && !told) {
            told = true; /* while STARTING is set the op stays */
            exact_cancel(&op->wait);
            continue;
        }
        /* acq_rel: as in stage_add; fails when an end or a request has come since */
        if (__atomic_compare_exchange_n(&op->stage, &stage, (uint8_t)(stage & ~STAGE_STARTING), false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            return (stage & STAGE_ENDED) != 0;
        }
    }
}

/** Inside a start: leaves the result to who started. */
static bool leave_result(struct sley_io_op *op, int32_t result)
{
    /* acquire: observes what the start did, once it is over */
    uint8_t stage = __atomic_load_n(&op->stage, __ATOMIC_ACQUIRE);
    while (stage & STAGE_STARTING) {
        op->out_number = result;
        /* acq_rel: publishes the result to next_piece; or it has returned meanwhile */
        if (__atomic_compare_exchange_n(&op->stage, &stage, (uint8_t)(stage | STAGE_ENDED), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            return true;
        }
    }
    return false;
}

void sley_stream_end(struct sley_io_op *op, int32_t result)
{
    if (!(op->kind & SLEY_STREAM_EXACT)) {
        publish(op, result);
        return;
    }
    if (leave_result(op, result)) {
        return;
    }
    int32_t rc;
    while ((rc = account(op, result)) > 0) {
        if (!next_piece(op)) {
            return;
        }
        result = op->out_number;
    }
    if (op->ret_done) {
        *op->ret_done = op->done_bytes;
    }
    publish(op, rc);
}
