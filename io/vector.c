/* Several buffers in one call; and all of them, by as many calls as it takes. The caller's vector is never changed. */
#include "chain.h"

#include <sys/uio.h>

enum { MOST = 1024 /* IOV_MAX: what one call may name */ };

static const struct sley_wait_ops refused_ops = {.version = SLEY_WAIT_VERSION, .name = "stream.vector"};

/* ---- one piece ------------------------------------------------------------------------------------------------------ */

/** How many of the first buffers have no bytes. */
static size_t empty_count(const struct iovec *iov, size_t count)
{
    size_t n = 0;
    while (n < count && iov[n].iov_len == 0) {
        n++;
    }
    return n;
}

/** Starts one read or write of what there is, as sley_stream_read or _write of those bytes one behind the other. */
static void piece_start(struct sley_stream_vec_op *op, struct sley_stream *s, const struct iovec *iov, size_t count, bool reading,
                        uint8_t kind)
{
    const size_t empty = empty_count(iov, count);
    const bool has_slot = s->ops->version >= 3 && (reading ? s->ops->readv_start : s->ops->writev_start);
    iov += empty;
    count -= empty;
    op->io.ret_done = NULL;
    op->io.code = reading ? SLEY_IO_RECV : SLEY_IO_SEND;
    op->io.flags = op->io.stage = 0;
    op->io.kind = kind;
    if (count > 1 && has_slot) {
        op->vector = (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count < MOST ? count : MOST};
        (reading ? s->ops->readv_start : s->ops->writev_start)(&op->io, s, &op->vector);
        return;
    }
    void *buf = count > 0 ? iov->iov_base : NULL;
    const size_t len = count > 0 ? iov->iov_len : 0;
    if (reading) {
        s->ops->read_start(&op->io, s, buf, len);
    } else {
        s->ops->write_start(&op->io, s, buf, len);
    }
}

void sley_stream_readv_start(struct sley_stream_vec_op *op, struct sley_stream *s, const struct iovec *iov, size_t count)
{
    piece_start(op, s, iov, count, true, 0);
}

void sley_stream_writev_start(struct sley_stream_vec_op *op, struct sley_stream *s, const struct iovec *iov, size_t count)
{
    piece_start(op, s, iov, count, false, 0);
}

/** A plain thread has no reactor: its starts may wait. */
static int direct(struct sley_stream *s, const struct iovec *iov, size_t count, bool reading)
{
    struct sley_stream_vec_op op;
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    /* relaxed: nobody else knows the node */
    atomic_store_explicit(&op.wait.word, 0, memory_order_relaxed);
    op.wait.at.site = NULL;
    piece_start(&op, s, iov, count, reading, sley_sched_current() ? 0 : SLEY_STREAM_RUN);
    return sley_await(&op.wait);
}

int sley_stream_readv(struct sley_stream *s, const struct iovec *iov, size_t count)
{
    return direct(s, iov, count, true);
}

int sley_stream_writev(struct sley_stream *s, const struct iovec *iov, size_t count)
{
    return direct(s, iov, count, false);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

/** @p n bytes of what is left have moved. Buffers without bytes in front are done, too. */
static void advance(struct sley_stream_vec_rest *r, size_t n)
{
    n += r->skip_bytes;
    while (r->count > 0 && n >= r->iov->iov_len) {
        n -= r->iov->iov_len;
        r->iov++;
        r->count--;
    }
    r->skip_bytes = n;
}

/**
 * What the next piece is to move. Where a buffer was taken in part, a window: the rest of it, and those behind it.
 * Returns: how many buffers, at `*ret_iov`.
 */
static size_t next_buffers(struct sley_stream_vec_rest *r, const struct iovec **ret_iov)
{
    if (r->skip_bytes == 0) {
        *ret_iov = r->iov;
        return r->count;
    }
    size_t n = 0;
    for (size_t i = 0; i < r->count && n < SLEY_STREAM_WINDOW; i++) {
        r->window[n] = r->iov[i];
        n += r->iov[i].iov_len > 0;
    }
    r->window[0].iov_base = (char *)r->window[0].iov_base + r->skip_bytes;
    r->window[0].iov_len -= r->skip_bytes;
    *ret_iov = r->window;
    return n;
}

static void rest_init(struct sley_stream_vec_rest *r, const struct iovec *iov, size_t count)
{
    r->iov = iov;
    r->count = count;
    r->skip_bytes = r->done_bytes = 0;
    advance(r, 0);
}

/** Takes note of a piece. Returns: 1: there is more to move; 0; or why it ends. */
static int account(struct sley_stream_vec_rest *r, int32_t result, bool reading)
{
    if (result < 0 || r->count == 0) {
        return result < 0 ? result : 0; /* nothing was to be moved: what the stream says to that */
    }
    if (result == 0) {
        return reading ? -ENODATA : -EIO;
    }
    r->done_bytes += (size_t)result;
    advance(r, (size_t)result);
    return r->count > 0;
}

static struct sley_wait *next_piece(struct sley_stream_vec_all_op *op)
{
    const struct iovec *iov;
    const size_t count = next_buffers(&op->rest, &iov);
    piece_start(&op->piece, op->stream, iov, count, op->reading, 0);
    return &op->piece.wait;
}

static struct sley_wait *step(struct sley__chain *c)
{
    struct sley_stream_vec_all_op *op = sley_container_of(c, struct sley_stream_vec_all_op, chain);
    int rc = account(&op->rest, op->piece.wait.result, op->reading);
    if (rc > 0 && !sley__chain_asked(c)) {
        return next_piece(op);
    }
    if (op->ret_done) {
        *op->ret_done = op->rest.done_bytes;
    }
    return sley__chain_end(c, rc > 0 ? -ECANCELED : rc);
}

static const struct sley_wait_ops readv_ops = {.version = SLEY_WAIT_VERSION, .name = "stream.readv_exact", .cancel = sley__chain_cancel};
static const struct sley_wait_ops writev_ops = {.version = SLEY_WAIT_VERSION, .name = "stream.writev_all", .cancel = sley__chain_cancel};

static void all_start(struct sley_stream_vec_all_op *op, struct sley_stream *s, const struct iovec *iov, size_t count, size_t *ret_done,
                      bool reading)
{
    if (ret_done) {
        *ret_done = 0;
    }
    if (!sley_sched_current()) {
        sley_wait_begin_always(&op->wait, &refused_ops);
        sley_wait_finish(&op->wait, -ENOTSUP);
        return;
    }
    if (!sley__chain_begin(&op->chain, reading ? &readv_ops : &writev_ops, step)) {
        return;
    }
    op->stream = s;
    op->ret_done = ret_done;
    op->reading = reading;
    op->piece.wait = (struct sley_wait){0};
    rest_init(&op->rest, iov, count);
    sley__chain_run(&op->chain, next_piece(op));
}

void sley_stream_readv_exact_start(struct sley_stream_vec_all_op *op, struct sley_stream *s, const struct iovec *iov, size_t count,
                                   size_t *ret_done)
{
    all_start(op, s, iov, count, ret_done, true);
}

void sley_stream_writev_all_start(struct sley_stream_vec_all_op *op, struct sley_stream *s, const struct iovec *iov, size_t count,
                                  size_t *ret_done)
{
    all_start(op, s, iov, count, ret_done, false);
}

/** On a plain thread the loop is the caller's. */
static int thread_all(struct sley_stream *s, const struct iovec *iov, size_t count, size_t *ret_done, bool reading)
{
    struct sley_stream_vec_rest rest;
    int rc;
    rest_init(&rest, iov, count);
    do {
        const struct iovec *next;
        const size_t n = next_buffers(&rest, &next);
        rc = account(&rest, direct(s, next, n, reading), reading);
    } while (rc > 0);
    if (ret_done) {
        *ret_done = rest.done_bytes;
    }
    return rc;
}

static int direct_all(struct sley_stream *s, const struct iovec *iov, size_t count, size_t *ret_done, bool reading)
{
    struct sley_stream_vec_all_op op;
    if (ret_done) {
        *ret_done = 0;
    }
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    if (!sley_sched_current()) {
        return thread_all(s, iov, count, ret_done, reading);
    }
    /* relaxed: nobody else knows the node */
    atomic_store_explicit(&op.wait.word, 0, memory_order_relaxed);
    op.wait.at.site = NULL;
    all_start(&op, s, iov, count, ret_done, reading);
    return sley_await(&op.wait);
}

int sley_stream_readv_exact(struct sley_stream *s, const struct iovec *iov, size_t count, size_t *ret_done)
{
    return direct_all(s, iov, count, ret_done, true);
}

int sley_stream_writev_all(struct sley_stream *s, const struct iovec *iov, size_t count, size_t *ret_done)
{
    return direct_all(s, iov, count, ret_done, false);
}
