/* A TCP connection that is looked at: what can be read, or written, now or soon. Slots of tcp.c's table. */
#include "tcp.h"

static struct sley_tcp *tcp_of(struct sley_stream *s)
{
    return sley_container_of(s, struct sley_tcp, stream);
}

/** As a read that ends: after an error that ended the connection there is no end of file. */
static int32_t end_peek(struct sley_io_op *op, int32_t result)
{
    struct sley_tcp *t = sley_container_of(op->fd, struct sley_tcp, fd);
    if (SLEY_LIKELY(result > 0) || sley_fd_away(&t->fd)) {
        return result;
    }
    sley__tcp_note_error(t, result);
    return result == 0 && t->error ? t->error : result;
}

void sley__tcp_peek_start(struct sley_io_op *op, struct sley_stream *s, struct msghdr *m)
{
    op->flags = SLEY_IO_PEEK;
    sley__tcp_start_other(op, tcp_of(s), SLEY_IO_RECVMSG, end_peek, m, 1);
}

void sley__tcp_ready_start(struct sley_io_op *op, struct sley_stream *s, uint32_t events)
{
    sley__tcp_start_other(op, tcp_of(s), SLEY_IO_POLL, NULL, NULL, events);
}

/** Of no bytes, which the system would have wait. */
static int32_t none_now(struct sley_tcp *t, uint32_t code)
{
    const bool away = sley_fd_away(&t->fd); /* then all but its state is its home's */
    if ((sley__fd_state(&t->fd) & SLEY_FD_CLOSING) || (!away && t->fd.number < 0)) {
        return -EBADF;
    }
    return away ? -EXDEV : code == SLEY_IO_RECV ? 0 : t->ended ? -EPIPE : t->error;
}

/** Both ways: under the lock, if there is one, for what ends the connection is noted there. */
static int now(struct sley_tcp *t, uint32_t code, void *buf, size_t len)
{
    struct sley_reactor *r = sley_fd_enter(&t->fd);
    int32_t n = len > 0 ? sley_io_now(&t->fd, code, buf, len) : none_now(t, code);
    if (n == 0 && len > 0) {
        n = code == SLEY_IO_RECV ? t->error : -EAGAIN;
    } else {
        sley__tcp_note_error(t, n);
    }
    sley_reactor_leave(r);
    return n;
}

int sley__tcp_try_read(struct sley_stream *s, void *buf, size_t len)
{
    return now(tcp_of(s), SLEY_IO_RECV, buf, len);
}

int sley__tcp_try_write(struct sley_stream *s, const void *buf, size_t len)
{
    return now(tcp_of(s), SLEY_IO_SEND, (void *)(uintptr_t)buf, len);
}
