/* sley_stream_copy: a chain of reads, writes and flushes. */
#include "chain.h"

/** What has been started last; when that is done, step() goes on from here. */
enum stage { STAGE_READ, STAGE_FLUSH, STAGE_WRITE, STAGE_LAST_FLUSH };

static const struct sley_wait_ops copy_ops = {
    .version = SLEY_WAIT_VERSION,
    .name = "stream.copy",
    .cancel = sley__chain_cancel,
};

static struct sley_wait *end(struct sley_stream_copy_op *op, int32_t result)
{
    if (op->ret_bytes) {
        *op->ret_bytes = op->done_bytes;
    }
    return sley__chain_end(&op->chain, result);
}

/** Reads the next piece; if that has to wait, what was written so far is flushed meanwhile. */
static struct sley_wait *read_next(struct sley_stream_copy_op *op)
{
    if (sley__chain_asked(&op->chain)) {
        return end(op, -ECANCELED);
    }
    op->stage = STAGE_READ;
    sley_stream_read_start(&op->io, op->src, op->buf, sizeof op->buf);
    if (sley_wait_done(&op->io.wait) || !op->dirty) {
        return &op->io.wait;
    }
    op->dirty = false;
    op->stage = STAGE_FLUSH;
    sley_stream_flush_start(&op->flush, op->dst);
    return &op->flush.wait;
}

static struct sley_wait *flushed(struct sley_stream_copy_op *op)
{
    op->stage = STAGE_READ;
    op->failed = op->flush.wait.result < 0 ? op->flush.wait.result : 0;
    if (op->failed) {
        sley_wait_cancel(&op->io.wait);
    }
    return &op->io.wait;
}

static struct sley_wait *have_read(struct sley_stream_copy_op *op)
{
    const int32_t n = op->io.wait.result;
    if (op->failed || n < 0) {
        return end(op, op->failed ? op->failed : n);
    }
    if (n == 0) {
        op->stage = STAGE_LAST_FLUSH;
        sley_stream_flush_start(&op->flush, op->dst);
        return &op->flush.wait;
    }
    op->stage = STAGE_WRITE;
    sley_stream_write_all_start(&op->io, op->dst, op->buf, (size_t)n, &op->chunk_bytes);
    return &op->io.wait;
}

static struct sley_wait *step(struct sley__chain *c)
{
    struct sley_stream_copy_op *op = sley_container_of(c, struct sley_stream_copy_op, chain);
    switch ((enum stage)op->stage) {
    case STAGE_FLUSH:
        return flushed(op);
    case STAGE_READ:
        return have_read(op);
    case STAGE_WRITE:
        op->done_bytes += op->chunk_bytes;
        op->dirty = true;
        return op->io.wait.result < 0 ? end(op, op->io.wait.result) : read_next(op);
    case STAGE_LAST_FLUSH:
        break;
    }
    return end(op, op->flush.wait.result < 0 ? op->flush.wait.result : 0);
}

void sley_stream_copy_start(struct sley_stream_copy_op *op, struct sley_stream *dst, struct sley_stream *src,
                            uint64_t *ret_bytes)
{
    if (ret_bytes) {
        *ret_bytes = 0;
    }
    if (!sley__chain_begin(&op->chain, &copy_ops, step)) {
        return;
    }
    if (!dst || !src || !sley_sched_current()) {
        sley_wait_finish(&op->wait, dst && src ? -ENOTSUP : -EINVAL);
        return;
    }
    op->dst = dst;
    op->src = src;
    op->ret_bytes = ret_bytes;
    op->done_bytes = 0;
    op->failed = 0;
    op->dirty = false;
    sley__chain_run(&op->chain, read_next(op));
}

/** A plain thread waits in each call. */
static int thread_copy(struct sley_stream *dst, struct sley_stream *src, uint64_t *ret_bytes)
{
    unsigned char buf[SLEY_STREAM_COPY_BYTES];
    uint64_t done = 0;
    int rc;
    while ((rc = sley_stream_read(src, buf, sizeof buf)) > 0) {
        size_t moved;
        rc = sley_stream_write_all(dst, buf, (size_t)rc, &moved);
        done += moved;
        if (rc == 0) {
            rc = sley_stream_flush(dst); /* the next read may wait */
        }
        if (rc < 0) {
            break;
        }
    }
    if (ret_bytes) {
        *ret_bytes = done;
    }
    return rc;
}

int sley_stream_copy(struct sley_stream *dst, struct sley_stream *src, uint64_t *ret_bytes)
{
    if (ret_bytes) {
        *ret_bytes = 0;
    }
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    if (!dst || !src) {
        return -EINVAL;
    }
    if (!sley_sched_current()) {
        return thread_copy(dst, src, ret_bytes);
    }
    SLEY_OP(struct sley_stream_copy_op, op);
    sley_stream_copy_start(&op, dst, src, ret_bytes);
    return sley_await(&op.wait);
}
