/* The system calls of the ops: each is made once and never waits. Readiness reactors and plain threads share them. */
#include "op.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* What one call may move at most: Linux caps at this too, and every count fits a result. */
static const size_t CALL_BYTES = 0x7ffff000;

static int32_t recv_once(int number, void *buf, size_t len)
{
    for (;;) {
        const ssize_t n = recv(number, buf, len < CALL_BYTES ? len : CALL_BYTES, MSG_DONTWAIT);
        if (SLEY_LIKELY(n >= 0)) {
            return (int32_t)n;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

static int32_t send_once(int number, const void *buf, size_t len)
{
    for (;;) {
        const ssize_t n = send(number, buf, len < CALL_BYTES ? len : CALL_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (SLEY_LIKELY(n >= 0)) {
            return (int32_t)n;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

/** ALL: goes on where it stopped. 0: everything has moved. */
static int32_t transfer_all(struct sley_io_op *op)
{
    const size_t before = op->done_bytes;
    while (op->done_bytes < op->len) {
        char *at = (char *)op->buf + op->done_bytes;
        const size_t left = op->len - op->done_bytes;
        const int32_t n = op->code == SLEY_IO_RECV ? recv_once(op->fd->number, at, left) : send_once(op->fd->number, at, left);
        if (n < 0) {
            return n;
        }
        if (n == 0) {
            return op->code == SLEY_IO_RECV ? -ENODATA : -EAGAIN;
        }
        op->done_bytes += (size_t)n;
        if (op->done_bytes - before >= SLEY_IO_SHARE_BYTES && op->done_bytes < op->len) {
            return -EAGAIN;
        }
    }
    return 0;
}

static int32_t try_message(struct sley_io_op *op)
{
    for (;;) {
        const ssize_t n = op->code == SLEY_IO_RECVMSG
                              ? recvmsg(op->fd->number, op->buf, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
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

int32_t sley_io_try(struct sley_io_op *op)
{
    switch (op->code) {
    case SLEY_IO_RECV:
        return op->flags & SLEY_IO_ALL ? transfer_all(op) : recv_once(op->fd->number, op->buf, op->len);
    case SLEY_IO_SEND:
        return op->flags & SLEY_IO_ALL ? transfer_all(op) : send_once(op->fd->number, op->buf, op->len);
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
