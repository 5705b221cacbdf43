/* An op's way in and out: node, home, hold and busy bit; and the calls of a descriptor's user. */
#include "op.h"
#include "file.h"

#include <sley/lend_impl.h>
#include <sley/near_impl.h>

#include <unistd.h>

static void io_cancel(struct sley_wait *w)
{
    struct sley_io_op *op = sley_container_of(w, struct sley_io_op, wait);
    struct sley_reactor *shared = sley_io_enter(op);
    if (!shared || !sley_io_ended(op)) {
        struct sley_reactor *r = shared ? shared : sley__fd_home(op->fd);
        if (SLEY_LIKELY(!(op->flags & SLEY__LEND_STARVED)) || !sley__lend_cancel(r, op)) {
            r->ops->cancel(r, op);
        }
    }
    sley_reactor_leave(shared);
}

#define KIND(text)                                                            \
    {                                                                         \
        .version = SLEY_WAIT_VERSION, .name = "io." text, .cancel = io_cancel \
    }
const struct sley_wait_ops sley__io_kinds[SLEY_IO_CLOSE + 1] = {
    [0] = KIND("unknown"),
    [SLEY_IO_ACCEPT] = KIND("accept"),
    [SLEY_IO_CONNECT] = KIND("connect"),
    [SLEY_IO_RECV] = KIND("recv"),
    [SLEY_IO_SEND] = KIND("send"),
    [SLEY_IO_RECVMSG] = KIND("recvmsg"),
    [SLEY_IO_SENDMSG] = KIND("sendmsg"),
    [SLEY_IO_POLL] = KIND("poll"),
    [SLEY_IO_CLOSE] = {.version = SLEY_WAIT_VERSION, .name = "io.close"},
};

int sley_reactor_check(const struct sley_reactor_ops *ops)
{
    const bool complete = ops && ops->version >= 1 && ops->name && ops->submit && ops->cancel && ops->poll && ops->wake && ops->destroy;
    return complete ? 0 : -EINVAL;
}

static void set_home(struct sley_fd *fd, struct sley_reactor *r)
{
    /* relaxed: the home thread writes its own word */
    atomic_store_explicit(&fd->home, r, memory_order_relaxed);
}

void sley_fd_init(struct sley_fd *fd, int number)
{
    fd->number = number;
    sley__fd_set(fd, SLEY_FD_FAR);
    set_home(fd, NULL);
    fd->slot = NULL;
}

void sley_fd_set_stream(struct sley_fd *fd)
{
    sley__fd_set(fd, sley__fd_state(fd) | SLEY_FD_STREAM);
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

void sley__fd_close_idle(struct sley_fd *fd)
{
    const struct sley_reactor *home = sley__fd_home(fd);
    const int number = fd->number;
    if ((sley__fd_state(fd) & SLEY_FD_AHEAD) && !sley__home_orphaned(home) && !sley__home_gone(home)) {
        /* what its home has asked for keeps it open: until that ends, by this; but another process may have it, too */
        (void)shutdown(number, SHUT_RDWR);
    }
    sley__fd_set(fd, sley__fd_state(fd) | SLEY_FD_CLOSING);
    fd->number = -1;
    (void)close(number); /* nothing can be done about an error: the number is free on Linux whatever it says */
}

static void submit_close(struct sley_io_op *op)
{
    struct sley_fd *fd = op->fd;
    sley_wait_begin_always(&op->wait, &sley__io_kinds[SLEY_IO_CLOSE]);
    struct sley_sched *s = sley__self;
    if (s && s->group && sley__shared_close(s, op)) {
        return;
    }
    struct sley_reactor *home = sley__fd_home(fd);
    const bool away = sley_fd_away(fd);
    if (away && sley__remote_close(op, home)) {
        return;
    }
    const uint32_t state = sley__fd_state(fd);
    if (fd->number < 0 || (state & SLEY_FD_CLOSING)) {
        sley_io_finish(op, 0);
    } else if (!away && s && s->reactor && home == sley__here(s) && (!s->group || (state & SLEY_FD_KNOWN))) {
        sley__fd_set(fd, state | SLEY_FD_CLOSING);
        sley__home_lose(home, fd);
        sley__lend_close(home, fd);
        if (state & SLEY_FD_WAY_MASK) {
            sley__file_close(home, op);
        } else {
            home->ops->submit(home, op);
        }
    } else if (((state & SLEY_FD_HOLD_MASK) || sley_fd_is_direct(fd)) && !sley__home_orphaned(home)) {
        sley_io_finish(op, -EXDEV);
    } else {
        sley__fd_close_idle(fd);
        sley_io_finish(op, 0);
    }
}

/** Why an op may not start, or 0: then its descriptor is at home. */
static int admit(struct sley_io_op *op, struct sley_reactor *r)
{
    struct sley_fd *fd = op->fd;
    const uint32_t state = sley__fd_state(fd);
    if (fd->number < 0 || (state & SLEY_FD_CLOSING)) {
        return -EBADF;
    }
    const struct sley_reactor *home = sley__fd_home(fd);
    if (!r) {
        return -ENOTSUP;
    }
    if ((state & sley__io_busy(op)) || (state & SLEY_FD_HOLD_MASK) == SLEY_FD_HOLD_MASK) {
        return -EBUSY;
    }
    const int rc = !home && r->ops->adopt ? r->ops->adopt(r, fd) : 0;
    if (rc == 0) {
        r->fd_count += !home;
        set_home(fd, r);
        sley__home_known(r, r->sched);
    }
    return rc;
}

/** All that is not as usual: the first op on a descriptor, those that may be many, refusals. */
static SLEY_NOINLINE void submit_slowly(struct sley_io_op *op)
{
    struct sley_sched *s = sley__self;
    if (s && s->group) {
        sley__shared_submit(s, op);
        return;
    }
    struct sley_reactor *r = s ? s->reactor : NULL;
    op->stage = 0;
    if (SLEY_UNLIKELY(sley_fd_away(op->fd))) {
        sley__remote_submit(op, sley__fd_home(op->fd));
        return;
    }
    const int rc = admit(op, r);
    if (rc < 0) {
        sley_io_finish(op, rc);
    } else {
        r->ops->submit(r, op);
    }
}

static SLEY_NOINLINE void submit_strange(struct sley_io_op *op)
{
    if (op->code == SLEY_IO_CLOSE) {
        submit_close(op);
    } else if (sley_wait_begin(&op->wait, &sley__io_kinds[0])) {
        sley_io_finish(op, -EINVAL);
    } else {
        op->wait.result = sley__io_end(op, op->wait.result);
    }
}

/** The task is cancelled. The node is done, but nobody has been able to look yet. */
static SLEY_NOINLINE void refuse(struct sley_io_op *op)
{
    struct sley_reactor *r = sley_fd_enter(op->fd);
    op->wait.result = sley__io_end(op, -ECANCELED);
    sley_reactor_leave(r);
}

/* Every way out is a tail call, so that the usual way through has no registers to save. */
void sley_io_submit(struct sley_io_op *op)
{
    const uint32_t code = op->code;
    if (SLEY_UNLIKELY(code - 1u >= SLEY_IO_CLOSE - 1u)) {
        if (SLEY_LIKELY(sley__file_code(code))) {
            sley__file_submit(op);
        } else {
            submit_strange(op);
        }
        return;
    }
    op->done_bytes = 0;
    if (SLEY_UNLIKELY(!sley_wait_begin(&op->wait, &sley__io_kinds[code]))) {
        refuse(op);
        return;
    }
    const struct sley_sched *s = sley__self;
    const struct sley_fd *fd = op->fd;
    const uint32_t busy = sley__io_busy(op);
    struct sley_reactor *r = sley__fd_home(fd);
    if (SLEY_LIKELY(r && s) && SLEY_LIKELY(r == s->reactor) && SLEY_LIKELY(!s->group) && SLEY_LIKELY(busy) &&
        SLEY_LIKELY(!(sley__fd_state(fd) & (busy | SLEY_FD_CLOSING)))) {
        r->ops->submit(r, op);
    } else {
        submit_slowly(op);
    }
}

void sley_io_send_on(struct sley_io_op *op, const void *buf, size_t len, ssize_t n)
{
    struct sley_reactor *r = sley__fd_home(op->fd);
    op->buf = (void *)(uintptr_t)buf;
    op->len = len;
    op->done_bytes = 0;
    sley__io_begin_near(op, SLEY_IO_SEND);
    r->ops->send_on(r, op, (int32_t)n);
}

int sley_io_run(struct sley_io_op *op)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    if (!sley_sched_current()) {
        return sley__io_run_thread(op);
    }
    sley_io_submit(op);
    return sley_await(&op->wait);
}

/* ---- a descriptor's user ----------------------------------------------------------------------------------------- */

void sley_fd_poll_start(struct sley_io_op *op, struct sley_fd *fd, uint32_t events)
{
    op->fd = fd;
    op->len = events;
    op->end = NULL;
    op->code = SLEY_IO_POLL;
    op->flags = 0;
    sley_io_submit(op);
}

int sley_fd_poll(struct sley_fd *fd, uint32_t events)
{
    struct sley_io_op op = {.fd = fd, .len = events, .code = SLEY_IO_POLL};
    return sley_io_run(&op);
}

void sley_fd_close_start(struct sley_io_op *op, struct sley_fd *fd)
{
    op->fd = fd;
    op->end = NULL;
    op->code = SLEY_IO_CLOSE;
    op->flags = 0;
    sley_io_submit(op);
}

int sley_fd_close(struct sley_fd *fd)
{
    struct sley_io_op op = {.fd = fd, .code = SLEY_IO_CLOSE};
    return sley_io_run(&op);
}
