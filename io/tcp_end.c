/* How a TCP connection ends: flush, shutdown, close, abort. A shutdown waits until the write in flight is over. */
#include "tcp.h"

static int32_t state_error(const struct sley_tcp *t)
{
    return t->fd.number < 0 || (sley__fd_state(&t->fd) & SLEY_FD_CLOSING) ? -EBADF : t->error;
}

static void flush_here(struct sley_io_op *op);
static void shutdown_here(struct sley_io_op *op);

void sley__tcp_flush_start(struct sley_io_op *op, struct sley_stream *s)
{
    if (sley__tcp_go_home(op, sley__tcp_of(s), flush_here)) {
        return;
    }
    if (sley_wait_begin(&op->wait, &sley__tcp_here_ops)) {
        struct sley_tcp *t = sley__tcp_of(s);
        struct sley_reactor *r = sley_fd_enter(&t->fd);
        sley_wait_finish(&op->wait, state_error(t));
        sley_reactor_leave(r);
    }
}

static void flush_here(struct sley_io_op *op)
{
    sley__tcp_flush_start(op, &sley__tcp_of_op(op)->stream);
}

static int32_t shutdown_now(struct sley_tcp *t)
{
    const int32_t error = state_error(t);
    if (error < 0 || t->ended) {
        return error;
    }
    /* ENOTCONN: the peer has ended its side and acknowledged all of ours, so ours has ended, too */
    const int number = sley_fd_borrow(&t->fd);
    int32_t rc = number;
    if (number >= 0) {
        rc = shutdown(number, SHUT_WR) < 0 && errno != ENOTCONN ? -errno : 0;
        sley_fd_give_back(&t->fd, number);
        t->ended = rc == 0;
    }
    return rc;
}

void sley__tcp_end_shutdowns(struct sley_tcp *t)
{
    struct sley_io_op *op = t->shutdowns;
    struct sley_reactor *home = sley__fd_home(&t->fd);
    const int32_t result = op ? shutdown_now(t) : 0;
    t->shutdowns = NULL;
    while (op) {
        struct sley_io_op *next = op->next;
        sley_io_tell(home, op, result == -EBADF ? -ECANCELED : result); /* closed under it */
        op = next;
    }
}

static void shutdown_cancel(struct sley_wait *w)
{
    struct sley_io_op *op = sley_container_of(w, struct sley_io_op, wait);
    struct sley_reactor *r = sley_io_enter(op);
    struct sley_io_op **at = sley_io_ended(op) ? NULL : &sley__tcp_of_op(op)->shutdowns;
    while (at && *at && *at != op) {
        at = &(*at)->next;
    }
    if (at && *at) {
        *at = op->next;
        sley_io_tell(r, op, -ECANCELED);
    }
    sley_reactor_leave(r);
}

static const struct sley_wait_ops shutdown_ops = {
    .version = SLEY_WAIT_VERSION,
    .name = "tcp.shutdown",
    .cancel = shutdown_cancel,
};

void sley__tcp_shutdown_start(struct sley_io_op *op, struct sley_stream *s)
{
    struct sley_tcp *t = sley__tcp_of(s);
    if (sley__tcp_go_home(op, t, shutdown_here) || !sley_wait_begin(&op->wait, &shutdown_ops)) {
        return;
    }
    struct sley_reactor *r = sley_fd_enter(&t->fd);
    if (!(sley__fd_state(&t->fd) & SLEY_FD_WRITING)) {
        sley_wait_finish(&op->wait, shutdown_now(t));
    } else if (!r && !sley__fd_here(&t->fd)) {
        sley_wait_finish(&op->wait, -EBUSY); /* plain threads are at it */
    } else {
        sley_io_mark(op, r);
        op->fd = &t->fd;
        op->next = t->shutdowns;
        sley_wait_arm(&op->wait);
        t->shutdowns = op;
    }
    sley_reactor_leave(r);
}

static void shutdown_here(struct sley_io_op *op)
{
    sley__tcp_shutdown_start(op, &sley__tcp_of_op(op)->stream);
}

void sley__tcp_close_start(struct sley_io_op *op, struct sley_stream *s)
{
    sley_fd_close_start(op, &sley__tcp_of(s)->fd);
}

static void abort_here(struct sley_io_op *op)
{
    struct sley_stream *s = &sley__tcp_of_op(op)->stream;
    s->ops->abort(s);
}

/**
 * It is away. Returns: what is to be aborted here: @p own, when nobody else can begin anything on it any more; NULL: nothing, for it is
 * closed, or its home sees to it, and those whose ops are in flight keep the memory until then.
 */
static struct sley_tcp *abort_away(struct sley_tcp *t, struct sley_tcp *own)
{
    const struct sley_io_op like = {.fd = &t->fd};
    for (;;) {
        int rc = sley_fd_take(&t->fd, &own->fd);
        if (rc != -EBUSY) {
            return rc == 0 ? own : NULL;
        }
        rc = sley_io_call_home(NULL, &t->fd, &like, abort_here);
        if (rc != -EAGAIN) { /* else what was in flight has ended meanwhile */
            return rc == 0 ? NULL : t;
        }
    }
}

void sley__tcp_abort(struct sley_stream *s)
{
    struct sley_tcp own, *t = sley__tcp_of(s);
    if (sley_fd_away(&t->fd) && (t = abort_away(t, &own)) == NULL) {
        return;
    }
    struct sley_reactor *r = sley_fd_enter(&t->fd);
    if (t->fd.number >= 0 && !(sley__fd_state(&t->fd) & SLEY_FD_CLOSING)) {
        (void)sley_tcp_set_reset_on_close(t, true);
        struct sley_io_op op = {.fd = &t->fd, .code = SLEY_IO_CLOSE, .flags = SLEY_IO_UNHEARD};
        sley_io_submit(&op); /* it is done when this returns; the number may be given back later */
    }
    sley_reactor_leave(r);
}
