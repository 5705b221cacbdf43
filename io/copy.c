/* sley_stream_copy: a chain of reads, writes and flushes; or of splices, through a pipe, while much is on its way between sockets. */
#include "chain.h"

#include <fcntl.h>
#include <unistd.h>

/** What has been started last; when that is done, step() goes on from here. */
enum stage {
    STAGE_READ,
    STAGE_FLUSH,
    STAGE_WRITE,
    STAGE_LAST_FLUSH,
    STAGE_PULL,  /* source to pipe, which is empty: whoever is cancelled here loses nothing */
    STAGE_PUSH,  /* pipe to destination */
    STAGE_DRAIN, /* pipe to buffer, when the other end cannot be spliced to */
    STAGE_CLOSE_IN,
    STAGE_CLOSE_OUT,
};

enum {
    PIPE_BYTES = 256 * 1024, /* four times what a pipe has by itself; a process without privileges may have 256 of them */
    SPLICE_WEIGHT = 4,       /* 1 MiB before others get their turn, as of a long write */
    STREAK = 16,             /* so many full buffers in a row are worth a pipe; so many pieces that two buffers would hold are not */
};

static const struct sley_wait_ops copy_ops = {
    .version = SLEY_WAIT_VERSION,
    .name = "stream.copy",
    .cancel = sley__chain_cancel,
};

/* ---- the pipe ------------------------------------------------------------------------------------------------------- */

/** Is it worth a pipe, and is there one? */
static bool open_pipe(struct sley_stream_copy_op *op)
{
    const struct sley_stream_ops *from = op->src->ops, *to = op->dst->ops;
    int n[2];
    if (op->never || from->version < 3 || !from->splice_from_start || to->version < 3 || !to->splice_to_start) {
        return false;
    }
    if (pipe2(n, O_NONBLOCK | O_CLOEXEC) < 0) {
        op->streak = 0; /* later, perhaps */
        return false;
    }
    (void)fcntl(n[1], F_SETPIPE_SZ, PIPE_BYTES); /* else it stays as it is */
    sley_fd_init(&op->out, n[0]);
    sley_fd_init(&op->in, n[1]);
    op->piped_bytes = 0;
    op->streak = 0;
    op->spliced = true;
    op->chain.weight = SPLICE_WEIGHT;
    return true;
}

static struct sley_wait *close_end(struct sley_stream_copy_op *op, enum stage stage, struct sley_fd *fd)
{
    op->stage = (uint8_t)stage;
    sley_fd_close_start(&op->other, fd);
    return &op->other.wait;
}

/** The close is done. It may have been refused, for want of memory on the way to a home elsewhere. */
static void closed(struct sley_fd *fd)
{
    if (fd->number >= 0) {
        (void)close(fd->number); /* nothing is in flight on it */
    }
}

static struct sley_wait *close_pipe(struct sley_stream_copy_op *op)
{
    op->spliced = false;
    op->chain.weight = 1;
    op->streak = 0;
    return close_end(op, STAGE_CLOSE_IN, &op->in);
}

static struct sley_wait *end(struct sley_stream_copy_op *op, int32_t result)
{
    if (op->spliced) {
        op->result = result;
        op->ending = true;
        return close_pipe(op);
    }
    if (op->ret_bytes) {
        *op->ret_bytes = op->done_bytes;
    }
    return sley__chain_end(&op->chain, result);
}

/* ---- from the source -------------------------------------------------------------------------------------------------- */

static struct sley_wait *last_flush(struct sley_stream_copy_op *op)
{
    op->stage = STAGE_LAST_FLUSH;
    sley_stream_flush_start(&op->other, op->dst);
    return &op->other.wait;
}

/** Reads the next piece; if that has to wait, what was written so far is flushed meanwhile. */
static struct sley_wait *read_next(struct sley_stream_copy_op *op)
{
    if (sley__chain_asked(&op->chain)) {
        return end(op, -ECANCELED);
    }
    if (op->spliced) {
        op->stage = STAGE_PULL;
        op->src->ops->splice_from_start(&op->file, op->src, &op->in, PIPE_BYTES);
        return &op->file.wait;
    }
    op->stage = STAGE_READ;
    sley_stream_read_start(&op->io, op->src, op->buf, sizeof op->buf);
    if (sley_wait_done(&op->io.wait) || !op->dirty) {
        return &op->io.wait;
    }
    op->dirty = false;
    op->stage = STAGE_FLUSH;
    sley_stream_flush_start(&op->other, op->dst);
    return &op->other.wait;
}

static struct sley_wait *flushed(struct sley_stream_copy_op *op)
{
    op->stage = STAGE_READ;
    op->failed = op->other.wait.result < 0 ? op->other.wait.result : 0;
    if (op->failed) {
        sley_wait_cancel(&op->io.wait);
    }
    return &op->io.wait;
}

static struct sley_wait *write_buffer(struct sley_stream_copy_op *op, int32_t n)
{
    op->stage = STAGE_WRITE;
    sley_stream_write_all_start(&op->io, op->dst, op->buf, (size_t)n, &op->chunk_bytes);
    return &op->io.wait;
}

static struct sley_wait *have_read(struct sley_stream_copy_op *op)
{
    const int32_t n = op->io.wait.result;
    if (op->failed || n < 0) {
        return end(op, op->failed ? op->failed : n);
    }
    if (n == 0) {
        return last_flush(op);
    }
    op->streak = n == (int32_t)sizeof op->buf ? (uint8_t)(op->streak + (op->streak < STREAK)) : 0;
    return write_buffer(op, n);
}

static struct sley_wait *push(struct sley_stream_copy_op *op)
{
    op->stage = STAGE_PUSH;
    op->dst->ops->splice_to_start(&op->file, op->dst, &op->out, op->piped_bytes);
    return &op->file.wait;
}

static struct sley_wait *have_pulled(struct sley_stream_copy_op *op)
{
    const int32_t n = op->file.wait.result;
    if (n == 0) {
        return last_flush(op);
    }
    if (n == -ECANCELED) {
        return end(op, n);
    }
    if (n < 0) { /* a read says it, too, if it is the stream's */
        op->never = true;
        return close_pipe(op);
    }
    op->streak = n <= 2 * (int32_t)sizeof op->buf ? (uint8_t)(op->streak + 1) : 0;
    op->piped_bytes = (size_t)n;
    return push(op);
}

/* ---- to the destination ----------------------------------------------------------------------------------------------- */

static struct sley_wait *drain(struct sley_stream_copy_op *op)
{
    struct sley_file_op *file = &op->file;
    op->stage = STAGE_DRAIN;
    file->io.fd = &op->out;
    file->io.buf = op->buf;
    file->io.len = op->piped_bytes < sizeof op->buf ? op->piped_bytes : sizeof op->buf;
    file->io.code = SLEY_IO_READ;
    file->io.end = NULL;
    file->offset = SLEY_FILE_HERE;
    sley_io_submit(&file->io);
    return &file->wait;
}

static struct sley_wait *have_pushed(struct sley_stream_copy_op *op)
{
    const int32_t n = op->file.wait.result;
    if (n == -EXDEV || n == -ENOTSUP || n == -EINVAL) {
        op->never = true;
        return drain(op);
    }
    if (n <= 0) {
        return end(op, n < 0 ? n : -EIO);
    }
    op->done_bytes += (size_t)n;
    op->piped_bytes -= (size_t)n;
    if (op->piped_bytes > 0) {
        return push(op);
    }
    return op->streak >= STREAK ? close_pipe(op) : read_next(op);
}

static struct sley_wait *have_drained(struct sley_stream_copy_op *op)
{
    const int32_t n = op->file.wait.result;
    if (n <= 0) {
        return end(op, n < 0 ? n : -EIO);
    }
    op->piped_bytes -= (size_t)n;
    return write_buffer(op, n);
}

static struct sley_wait *have_written(struct sley_stream_copy_op *op)
{
    op->done_bytes += op->chunk_bytes;
    op->dirty = true;
    if (op->io.wait.result < 0) {
        return end(op, op->io.wait.result);
    }
    if (op->spliced) {
        return op->piped_bytes > 0 ? drain(op) : close_pipe(op);
    }
    if (op->streak >= STREAK && open_pipe(op)) {
        op->dirty = false; /* a stream that is spliced to buffers nothing */
    }
    return read_next(op);
}

/* ---- the chain --------------------------------------------------------------------------------------------------------- */

static struct sley_wait *step(struct sley__chain *c)
{
    struct sley_stream_copy_op *op = sley_container_of(c, struct sley_stream_copy_op, chain);
    switch ((enum stage)op->stage) {
    case STAGE_FLUSH:
        return flushed(op);
    case STAGE_READ:
        return have_read(op);
    case STAGE_WRITE:
        return have_written(op);
    case STAGE_PULL:
        return have_pulled(op);
    case STAGE_PUSH:
        return have_pushed(op);
    case STAGE_DRAIN:
        return have_drained(op);
    case STAGE_CLOSE_IN:
        closed(&op->in);
        return close_end(op, STAGE_CLOSE_OUT, &op->out);
    case STAGE_CLOSE_OUT:
        closed(&op->out);
        return op->ending ? end(op, op->result) : read_next(op);
    case STAGE_LAST_FLUSH:
        break;
    }
    return end(op, op->other.wait.result < 0 ? op->other.wait.result : 0);
}

void sley_stream_copy_start(struct sley_stream_copy_op *op, struct sley_stream *dst, struct sley_stream *src, uint64_t *ret_bytes)
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
    op->streak = 0;
    op->dirty = op->spliced = op->never = op->ending = false;
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
