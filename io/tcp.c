/* A TCP connection as a stream: every slot but shutdown and abort is one op of the reactor. What is noted beside the descriptor is
 * the home thread's, as the descriptor is; where several workers share it, it is read and changed under its home's lock. */
#include "tcp.h"

#include <sley/file_impl.h>
#include <sley/lend_impl.h>
#include <sley/near_impl.h>

/* ---- errors that end a connection ---------------------------------------------------------------------------------- */

/**
 * The system tells such an error once, and from then on end of file, which it is not: a reader would take a torn message for a
 * whole one. So it is kept. A write may be the one that is told; what was received before can still be read.
 */
void sley__tcp_note_error(struct sley_tcp *t, int32_t result)
{
    switch (result) {
    case -ECONNRESET:
    case -ECONNABORTED:
    case -ETIMEDOUT:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
        t->error = t->error ? t->error : result;
        break;
    default:
        break;
    }
}

static SLEY_NOINLINE int32_t end_read_slow(struct sley_io_op *op, int32_t result)
{
    struct sley_tcp *t = sley__tcp_of_op(op);
    sley__tcp_note_error(t, result);
    return (result == 0 || result == -ENODATA) && t->error ? t->error : result;
}

static int32_t end_read(struct sley_io_op *op, int32_t result)
{
    return SLEY_LIKELY(result > 0) ? result : end_read_slow(op, result);
}

static int32_t end_read_all(struct sley_io_op *op, int32_t result)
{
    if (op->ret_done) {
        *op->ret_done = op->done_bytes;
    }
    return SLEY_LIKELY(result == 0) ? 0 : end_read_slow(op, result);
}

static SLEY_NOINLINE int32_t end_write_slow(struct sley_tcp *t, int32_t result)
{
    if (sley_fd_away(&t->fd)) {
        return result; /* it did not get home: none of this is ours to touch */
    }
    sley__tcp_note_error(t, result);
    if (!(sley__fd_state(&t->fd) & SLEY_FD_WRITING)) { /* else this one was refused, and the one in flight is yet to end */
        sley__tcp_end_shutdowns(t);
    }
    return result;
}

static int32_t end_write(struct sley_io_op *op, int32_t result)
{
    struct sley_tcp *t = sley__tcp_of_op(op);
    if (op->ret_done) {
        *op->ret_done = op->done_bytes;
    }
    return SLEY_LIKELY(result >= 0) && SLEY_LIKELY(!t->shutdowns) ? result : end_write_slow(t, result);
}

/* ---- reading and writing ---------------------------------------------------------------------------------------------- */

const struct sley_wait_ops sley__tcp_here_ops = {.version = SLEY_WAIT_VERSION, .name = "tcp"};

/** Nothing to move, or much; a plain thread, which waits here; the first op on a descriptor, a read of what is there already. */
static void move_nothing(struct sley_io_op *op)
{
    struct sley_tcp *t = sley__tcp_of_op(op);
    if (sley_wait_begin(&op->wait, &sley__tcp_here_ops)) {
        struct sley_reactor *r = sley_fd_enter(&t->fd);
        const int32_t if_open = op->code == SLEY_IO_RECV ? 0 : t->ended ? -EPIPE : t->error;
        sley_wait_finish(&op->wait, t->fd.number < 0 ? -EBADF : if_open);
        sley_reactor_leave(r);
    }
}

bool sley__tcp_go_home(struct sley_io_op *op, struct sley_tcp *t, void (*start)(struct sley_io_op *inner))
{
    if (!sley_fd_away(&t->fd)) {
        return false;
    }
    if (sley_wait_begin(&op->wait, &sley__tcp_here_ops)) {
        const int rc = sley_io_call_home(op, &t->fd, op, start);
        if (rc < 0) {
            sley_wait_finish(&op->wait, rc);
        }
    }
    return true;
}

static SLEY_NOINLINE void start(struct sley_io_op *op, void *buf, size_t len)
{
    op->buf = buf;
    op->len = len;
    if (len == 0) {
        if (op->flags & SLEY_IO_ALL && op->ret_done) {
            *op->ret_done = 0;
        }
        if (!sley__tcp_go_home(op, sley__tcp_of_op(op), move_nothing)) {
            move_nothing(op);
        }
    } else if (op->kind == 0) {
        sley_io_submit(op);
    } else {
        const int32_t result = sley_io_run(op);
        sley_wait_begin_always(&op->wait, &sley__tcp_here_ops);
        sley_wait_finish(&op->wait, result);
    }
}

static SLEY_NOINLINE void read_slowly(struct sley_io_op *op, struct sley_tcp *t, void *buf, size_t len)
{
    struct sley_sched *sched = sley__self;
    if (sched && sched->group && op->flags == 0 && len - 1 < SLEY_IO_SHARE_BYTES) {
        op->end = end_read_slow; /* before it is armed: another worker may end it at once */
        if (SLEY_LIKELY(sley_io_recv_shared(op, &t->fd, buf, len, sched))) {
            return;
        }
    }
    op->end = op->flags & SLEY_IO_ALL ? end_read_all : end_read;
    if (SLEY_UNLIKELY(op->kind != 0) || SLEY_UNLIKELY(len - 1 >= SLEY_IO_SHARE_BYTES) ||
        !sley_io_pass(op, &t->fd, buf, len, SLEY_IO_RECV, sched)) {
        op->fd = &t->fd;
        start(op, buf, len);
    }
}

static SLEY_NOINLINE void write_slowly(struct sley_io_op *op, struct sley_tcp *t, void *buf, size_t len)
{
    if (SLEY_UNLIKELY(op->kind != 0) || SLEY_UNLIKELY(len - 1 >= SLEY_IO_SHARE_BYTES) ||
        !sley_io_pass(op, &t->fd, buf, len, SLEY_IO_SEND, sley__self)) {
        start(op, buf, len);
    }
}

/* What a server's every message passes: it goes straight to the armed node, or to the system call. Every other way out is a tail call. */

static void tcp_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    struct sley_tcp *t = sley__tcp_of(s);
    if (SLEY_LIKELY(op->flags == 0) && SLEY_LIKELY(len - 1 < SLEY_IO_SHARE_BYTES) &&
        SLEY_LIKELY(sley_io_recv_near(op, &t->fd, buf, len, sley__self))) {
        op->end = end_read_slow;
    } else {
        read_slowly(op, t, buf, len);
    }
}

static void tcp_read_lent_start(struct sley_io_op *op, struct sley_stream *s, struct sley_lent **ret_lent)
{
    struct sley_tcp *t = sley__tcp_of(s);
    if (sley_fd_away(&t->fd)) {
        sley__stream_read_block_start(op, s, ret_lent); /* what its home lends can be given back there alone */
        return;
    }
    sley_io_lend(op, &t->fd, ret_lent);
    op->end = end_read;
    sley_io_submit(op);
}

/** Among workers that share tasks. Returns false: it is to be submitted. */
static SLEY_NOINLINE bool write_shared(struct sley_io_op *op, const void *buf, size_t len, struct sley_sched *sched)
{
    struct sley_reactor *r = sley_io_send_enter(op->fd, sched);
    if (SLEY_UNLIKELY(!r)) {
        return false;
    }
    const ssize_t n = sley_io_send_near(op->fd, buf, len);
    if (SLEY_LIKELY((size_t)n == len)) {
        sley_io_sent_shared(r, op, len, sched);
    } else {
        sley_io_send_on_shared(r, op, buf, len, n);
    }
    return true;
}

static void tcp_write_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len)
{
    struct sley_tcp *t = sley__tcp_of(s);
    struct sley_sched *sched = sley__self;
    op->fd = &t->fd;
    op->end = end_write;
    if (SLEY_LIKELY(len - 1 < SLEY_IO_SHARE_BYTES) && SLEY_LIKELY(sley_io_near(&t->fd, SLEY_FD_WRITING, sched))) {
        const ssize_t n = sley_io_send_near(&t->fd, buf, len);
        if (SLEY_LIKELY((size_t)n == len)) {
            sley_io_sent(op, len, sched);
        } else {
            sley_io_send_on(op, buf, len, n);
        }
    } else if (!sched || !sched->group || len - 1 >= SLEY_IO_SHARE_BYTES || !write_shared(op, buf, len, sched)) {
        write_slowly(op, t, (void *)(uintptr_t)buf, len);
    }
}

static ssize_t tcp_write_now(struct sley_stream *s, const void *buf, size_t len, struct sley_sched *sched)
{
    struct sley_tcp *t = sley__tcp_of(s);
    if (SLEY_UNLIKELY(len - 1 >= SLEY_IO_SHARE_BYTES) || SLEY_UNLIKELY(!sley_io_near(&t->fd, SLEY_FD_WRITING, sched))) {
        return -EAGAIN;
    }
    const ssize_t n = sley_io_send_near(&t->fd, buf, len);
    if (SLEY_UNLIKELY(n <= 0)) {
        return n == 0 || n == -EINTR || n == -EAGAIN ? -EAGAIN : end_write_slow(t, (int32_t)n);
    }
    sched->budget--;
    return n;
}

void sley__tcp_start_other(struct sley_io_op *op, struct sley_tcp *t, uint8_t code,
                           int32_t (*end)(struct sley_io_op *op, int32_t result), void *buf, size_t len)
{
    op->fd = &t->fd;
    op->code = code;
    op->end = end;
    start(op, buf, len);
}

static void start_message(struct sley_io_op *op, struct sley_stream *s, struct msghdr *m, uint8_t code,
                          int32_t (*end)(struct sley_io_op *op, int32_t result))
{
    sley__tcp_start_other(op, sley__tcp_of(s), code, end, m, 1); /* a message: not a length */
}

static void tcp_readv_start(struct sley_io_op *op, struct sley_stream *s, struct msghdr *m)
{
    start_message(op, s, m, SLEY_IO_RECVMSG, end_read);
}

static void tcp_writev_start(struct sley_io_op *op, struct sley_stream *s, struct msghdr *m)
{
    start_message(op, s, m, SLEY_IO_SENDMSG, end_write);
}

static int32_t end_splice_to(struct sley_io_op *op, int32_t result)
{
    if (SLEY_UNLIKELY(result == -EXDEV)) {
        return result; /* the connection is at home elsewhere: none of this is ours to touch */
    }
    struct sley_tcp *t = sley_container_of(sley_file_of(op)->a.to, struct sley_tcp, fd);
    return SLEY_LIKELY(result >= 0) && SLEY_LIKELY(!t->shutdowns) ? result : end_write_slow(t, result);
}

static void splice(struct sley_file_op *op, struct sley_fd *from, struct sley_fd *to, size_t len,
                   int32_t (*end)(struct sley_io_op *op, int32_t result))
{
    op->io.fd = from;
    op->io.len = len;
    op->io.code = SLEY_IO_SPLICE;
    op->io.flags = 0;
    op->io.end = end;
    op->a.to = to;
    op->offset = op->b.to_offset = SLEY_FILE_HERE;
    op->how = 0;
    sley_io_submit(&op->io);
}

static void tcp_splice_from_start(struct sley_file_op *op, struct sley_stream *s, struct sley_fd *pipe, size_t len)
{
    splice(op, &sley__tcp_of(s)->fd, pipe, len, end_read);
}

static void tcp_splice_to_start(struct sley_file_op *op, struct sley_stream *s, struct sley_fd *pipe, size_t len)
{
    splice(op, pipe, &sley__tcp_of(s)->fd, len, end_splice_to);
}

static const struct sley_stream_ops tcp_ops = {
    .version = SLEY_STREAM_VERSION,
    .caps = SLEY_STREAM_CAP_ALL,
    .name = "tcp",
    .read_start = tcp_read_start,
    .write_start = tcp_write_start,
    .flush_start = sley__tcp_flush_start,
    .shutdown_start = sley__tcp_shutdown_start,
    .close_start = sley__tcp_close_start,
    .abort = sley__tcp_abort,
    .write_now = tcp_write_now,
    .read_lent_start = tcp_read_lent_start,
    .readv_start = tcp_readv_start,
    .writev_start = tcp_writev_start,
    .splice_from_start = tcp_splice_from_start,
    .splice_to_start = tcp_splice_to_start,
    .peek_start = sley__tcp_peek_start,
    .ready_start = sley__tcp_ready_start,
    .try_read = sley__tcp_try_read,
    .try_write = sley__tcp_try_write,
};

int sley_tcp_move(struct sley_tcp *conn)
{
    return sley_fd_move(&conn->fd);
}

void sley_tcp_move_start(struct sley_io_op *op, struct sley_tcp *conn)
{
    sley_fd_move_start(op, &conn->fd);
}

void sley__tcp_init(struct sley_tcp *t, int number)
{
    *t = (struct sley_tcp){.stream = {&tcp_ops}};
    sley_fd_init(&t->fd, number);
    sley_fd_set_stream(&t->fd);
}
