/* Ops on a descriptor whose home is a reactor of another executor: they travel there, are done by it, and their result comes back.
 *
 * Nothing of the descriptor but which reactor is its home may be looked at from elsewhere, so no call is tried here: an op of the
 * home's own is sent there (courier.h), and when that one is done the op that waits for it is completed. */
#include "courier.h"

#define KIND(text)                                                                               \
    {                                                                                            \
        .version = SLEY_WAIT_VERSION, .name = text ", elsewhere", .cancel = sley__courier_cancel \
    }
static const struct sley_wait_ops kinds[SLEY_IO_CLOSE + 1] = {
    [0] = KIND("io.op"),
    [SLEY_IO_ACCEPT] = KIND("io.accept"),
    [SLEY_IO_CONNECT] = KIND("io.connect"),
    [SLEY_IO_RECV] = KIND("io.recv"),
    [SLEY_IO_SEND] = KIND("io.send"),
    [SLEY_IO_RECVMSG] = KIND("io.recvmsg"),
    [SLEY_IO_SENDMSG] = KIND("io.sendmsg"),
    [SLEY_IO_POLL] = KIND("io.poll"),
    [SLEY_IO_CLOSE] = {.version = SLEY_WAIT_VERSION, .name = "io.close, elsewhere"},
};

/** Of one that is away. One that has been moved just now has none; workers that share tasks give it another by asking. */
static struct sley_reactor *home_of(struct sley_fd *fd)
{
    struct sley_reactor *home = sley__fd_home(fd);
    while (!home && sley_fd_away(fd)) {
        home = sley__fd_home(fd);
    }
    return home;
}

void sley__remote_submit(struct sley_io_op *op, struct sley_reactor *home)
{
    if (op->flags & SLEY_IO_LEND) {
        sley_io_finish(op, sley__home_orphaned(home) ? -EOWNERDEAD : -EXDEV); /* a buffer comes back where it was lent */
        return;
    }
    struct sley_sched *worker;
    struct sley__courier *c;
    home = home || !op->fd ? home : home_of(op->fd);
    const int rc = op->fd && (sley__fd_state(op->fd) & SLEY_FD_CLOSING) ? -EBADF : sley__courier_make(home, &c, &worker);
    op->wait.ops = &kinds[op->code <= SLEY_IO_CLOSE ? op->code : 0];
    if (rc == 0) {
        c->start = sley_io_submit;
        c->inner.io.fd = op->fd;
        c->inner.io.buf = op->buf;
        if (sley__file_code(op->code)) {
            sley_file_of(op)->home = home; /* for sley_fd_init_from */
        }
        sley__courier_fill(c, op);
        (void)sley__courier_send(c, op, worker);
        return;
    }
    if (op->code == SLEY_IO_SEND_ZC && sley_file_of(op)->a.sent) {
        sley_file_of(op)->a.sent(sley_file_of(op), rc);
    }
    sley_io_finish(op, rc);
}

int32_t sley__remote_run(struct sley_io_op *op, struct sley_reactor *home)
{
    sley_wait_begin_always(&op->wait, &kinds[0]);
    op->done_bytes = 0;
    sley__remote_submit(op, home);
    return sley_await(&op->wait);
}

bool sley__remote_close(struct sley_io_op *op, struct sley_reactor *home)
{
    struct sley_sched *worker;
    struct sley__courier *c;
    const uint32_t state = sley__fd_state(op->fd);
    const bool heard = !(op->flags & SLEY_IO_UNHEARD);
    /* what is in the inbox holds nothing yet */
    const bool idle = !(state & SLEY_FD_HOLD_MASK) && (heard || !sley__courier_in_use(op->fd, home));
    if (sley__home_orphaned(home) || (idle && !(heard && sley__home_runs(home)) && !sley_fd_is_direct(op->fd))) {
        return false; /* unheard, and with nothing in flight, nobody would keep the descriptor's memory until it is closed there */
    }
    if (sley__home_gone(home) && sley_fd_is_direct(op->fd)) { /* its number is not looked at where somebody there may change it */
        op->fd->number = -1;                                  /* its home has closed it */
        sley_io_finish(op, 0);
        return true;
    }
    const int rc = state & SLEY_FD_CLOSING ? 0 : sley__courier_make(home, &c, &worker);
    if (rc < 0 || (state & SLEY_FD_CLOSING)) {
        sley_io_finish(op, rc);
        return true;
    }
    c->start = sley_io_submit;
    c->inner.io.fd = op->fd;
    sley__courier_fill(c, op);
    if (!heard) {
        c->inner.io.end = NULL;
    }
    if (!heard && idle) {
        sley_fd_init(&c->fd, op->fd->number);
        sley__fd_bring_home(&c->fd, home);
        c->inner.io.fd = &c->fd;
        sley__fd_set(op->fd, state | SLEY_FD_CLOSING);
        op->fd->number = -1;
    }
    op->wait.ops = &kinds[SLEY_IO_CLOSE];
    if (!sley__courier_send(c, heard ? op : NULL, worker)) {
        return false;
    }
    if (!heard) {
        sley_io_finish(op, 0);
    }
    return true;
}

/* ---- for io/ ------------------------------------------------------------------------------------------------------- */

bool sley__fd_away(const struct sley_sched *s, struct sley_fd *fd)
{
    struct sley_reactor *home = sley__fd_home(fd);
    const struct sley_group *g = s ? s->group : NULL;
    if (!home && sley__apart(s) &&
        /* acquire: as in sley__fd_enter */
        atomic_compare_exchange_strong_explicit(&fd->home, &home, s->reactor, memory_order_acquire, memory_order_relaxed)) {
        home = s->reactor;
    }
    for (uint32_t i = 0; g && i < g->count; i++) {
        if (g->scheds[i]->reactor == home) {
            return sley__apart(s) && (home != sley__here(s) || s->current || !sley__inside(home));
        }
    }
    return home != NULL;
}

struct sley_reactor *sley__inside_of(const struct sley_sched *s)
{
    struct sley_reactor *here = sley__here(s);
    return sley__apart(s) && !s->current && sley__inside(here) ? here : NULL;
}

bool sley_fd_rests(const struct sley_fd *fd)
{
    return !(sley__fd_state(fd) & SLEY_FD_HOLD_MASK) && !sley__home_runs(sley__fd_home(fd));
}

static const struct sley_wait_ops call_kind = KIND("io.call");

int sley_io_call_home(struct sley_io_op *op, struct sley_fd *fd, const struct sley_io_op *like, void (*start)(struct sley_io_op *inner))
{
    struct sley_sched *worker;
    struct sley__courier *c;
    int rc = sley__courier_make(home_of(fd), &c, &worker);
    if (rc == 0) {
        c->start = start;
        c->inner.io.fd = fd;
        c->inner.io.buf = like->buf;
        c->inner.io.object = like->object;
        c->inner.io.code = like->code;
        if (op) {
            op->wait.ops = &call_kind;
        }
        rc = sley__courier_send(c, op, worker) ? 0 : -EAGAIN; /* an abort that may be done where it is */
    }
    return rc;
}
