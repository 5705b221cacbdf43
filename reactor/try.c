/* The system calls of the ops: each is made once and never waits. Readiness reactors and plain threads share them. */
#include "op.h"

#include <sley/lend_impl.h>
#include <sley/socket_impl.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int32_t receive(struct sley_io_op *op, size_t left)
{
    return (int32_t)sley__socket_recv(op->fd->number, (char *)op->buf + op->done_bytes, left);
}

static int32_t transmit(struct sley_io_op *op, size_t left)
{
    return (int32_t)sley__socket_send(op->fd->number, (char *)op->buf + op->done_bytes, left);
}

/** The first call was interrupted, or an ALL op has not moved everything: @p n is what it said. Goes on where it stopped. */
static SLEY_NOINLINE int32_t go_on(struct sley_io_op *op, int32_t n)
{
    const bool all = op->flags & SLEY_IO_ALL, in = op->code == SLEY_IO_RECV;
    for (size_t moved = 0;;) {
        if (n >= 0 && !all) {
            return n;
        }
        if (n == 0) {
            return in ? -ENODATA : -EAGAIN;
        }
        if (n > 0) {
            moved += (size_t)n;
            op->done_bytes += (size_t)n;
            if (op->done_bytes == op->len) {
                return 0;
            }
            if (moved >= SLEY_IO_SHARE_BYTES) {
                return -EINPROGRESS;
            }
        } else if (n != -EINTR) {
            return n;
        }
        /* one call, too, would go on for as long as the other side keeps up */
        const size_t now = least(op->len - op->done_bytes, all ? SLEY_IO_SHARE_BYTES - moved : SLEY_IO_CALL_BYTES);
        n = in ? receive(op, now) : transmit(op, now);
    }
}

static int32_t try_message(struct sley_io_op *op)
{
    const int peek = op->flags & SLEY_IO_PEEK ? MSG_PEEK : 0;
    for (;;) {
        const ssize_t n = op->code == SLEY_IO_RECVMSG ? recvmsg(op->fd->number, op->buf, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | peek)
                                                      : sendmsg(op->fd->number, op->buf, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            return (int32_t)n;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

static int32_t try_accept(struct sley_io_op *op)
{
    for (;;) {
        const int number = accept4(op->fd->number, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (number >= 0) {
            op->out_number = number;
            return 0;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

/** The second call asks how the first went: unlike SO_ERROR it can tell "still connecting" from "connected". */
static int32_t try_connect(struct sley_io_op *op)
{
    if (connect(op->fd->number, op->buf, (socklen_t)op->len) == 0) {
        return 0;
    }
    switch (errno) {
    case EINPROGRESS:
    case EALREADY:
    case EINTR: /* it goes on without us */
        op->stage = 1;
        return -EAGAIN;
    case EISCONN:
        return op->stage ? 0 : -EISCONN;
    case EAGAIN:
        return -ENOBUFS; /* a Unix listener's queue: no readiness would tell when there is room */
    default:
        return -errno;
    }
}

/** poll(2) calls files always ready; waiting for one is a mistake that epoll would name. */
static int32_t file_or(int number, int32_t ready)
{
    struct stat st;
    if (fstat(number, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
        return -EPERM;
    }
    return ready;
}

static int32_t try_poll(struct sley_io_op *op)
{
    struct pollfd p = {.fd = op->fd->number, .events = (short)(op->len & (SLEY_IO_IN | SLEY_IO_OUT))};
    for (;;) {
        const int n = poll(&p, 1, 0);
        if (n == 0) {
            return -EAGAIN;
        }
        if (n > 0) {
            return p.revents & POLLNVAL ? -EBADF : file_or(p.fd, p.revents);
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

static SLEY_NOINLINE int32_t try_other(struct sley_io_op *op)
{
    switch (op->code) {
    case SLEY_IO_RECVMSG:
    case SLEY_IO_SENDMSG:
        return try_message(op);
    case SLEY_IO_ACCEPT:
        return try_accept(op);
    case SLEY_IO_CONNECT:
        return try_connect(op);
    case SLEY_IO_POLL:
        return try_poll(op);
    default:
        return -EINVAL;
    }
}

/** All, or into a buffer that is lent. */
static SLEY_NOINLINE int32_t try_all(struct sley_io_op *op)
{
    if (op->flags & SLEY_IO_LEND) {
        return op->code == SLEY_IO_RECV ? sley__lend_try(op) : -EINVAL;
    }
    const size_t left = op->len - op->done_bytes;
    const size_t now = least(left, SLEY_IO_SHARE_BYTES);
    const int32_t n = op->code == SLEY_IO_RECV ? receive(op, now) : transmit(op, now);
    if (SLEY_UNLIKELY((size_t)n != left)) {
        return go_on(op, n);
    }
    op->done_bytes = op->len;
    return 0;
}

int32_t sley_io_try(struct sley_io_op *op)
{
    int32_t n;
    if (SLEY_UNLIKELY(op->code != SLEY_IO_RECV && op->code != SLEY_IO_SEND)) {
        return try_other(op);
    }
    if (op->flags & (SLEY_IO_ALL | SLEY_IO_LEND)) {
        return try_all(op);
    }
    if (op->code == SLEY_IO_RECV) {
        n = receive(op, least(op->len, SLEY_IO_CALL_BYTES));
    } else {
        n = transmit(op, least(op->len, SLEY_IO_CALL_BYTES));
    }
    return SLEY_LIKELY(n != -EINTR) ? n : go_on(op, n);
}

int32_t sley_io_try_on(struct sley_io_op *op, int32_t n)
{
    return n == -EINTR || (op->flags & SLEY_IO_ALL) ? go_on(op, n) : n;
}
