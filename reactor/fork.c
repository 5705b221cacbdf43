/* After a fork: the reactors that the child has inherited. Their kernel objects are the parent's, too, so that nothing may be asked of
 * them any more: an epoll_ctl of the child would change what the parent watches. Their tables are exchanged for one that only says no
 * and costs who does not fork nothing. Their memory stays: descriptors name it as their home. */
#include "op.h"

#include <sley/file_impl.h>
#include <sley/lend_impl.h>

static struct sley_reactor *orphans;

/** Another process has them open still, and watches them as before. */
static void submit(struct sley_reactor *self, struct sley_io_op *op)
{
    (void)self;
    if (op->code == SLEY_IO_CLOSE) {
        sley__fd_close_idle(op->fd);
    }
    sley_io_finish(op, op->code == SLEY_IO_CLOSE ? 0 : -EOWNERDEAD);
}

static void send_on(struct sley_reactor *self, struct sley_io_op *op, int32_t n)
{
    (void)self, (void)n;
    sley_io_finish(op, -EOWNERDEAD);
}

static void submit_file(struct sley_reactor *self, struct sley_file_op *op)
{
    (void)self;
    sley_file_finish(op, -EOWNERDEAD);
}

static void cancel(struct sley_reactor *self, struct sley_io_op *op)
{
    sley_io_complete(self, op, -EOWNERDEAD);
}

static int adopt(struct sley_reactor *self, struct sley_fd *fd)
{
    (void)self, (void)fd;
    return -EOWNERDEAD;
}

static int poll_none(struct sley_reactor *self, uint64_t timeout_ns)
{
    (void)self, (void)timeout_ns;
    return -EOWNERDEAD;
}

static int say_no(struct sley_reactor *self)
{
    (void)self;
    return -EOWNERDEAD;
}

static void do_nothing(struct sley_reactor *self)
{
    (void)self;
}

static const struct sley_reactor_ops orphan_ops = {
    .version = SLEY_REACTOR_VERSION,
    .caps = SLEY_REACTOR_CAP_READINESS | SLEY_REACTOR_CAP_SHARED,
    .name = "inherited",
    .adopt = adopt,
    .submit = submit,
    .cancel = cancel,
    .poll = poll_none,
    .wake = do_nothing,
    .pollable_fd = say_no,
    .destroy = do_nothing,
    .send_on = send_on,
    .serve = say_no,
    .submit_file = submit_file,
};

void sley_reactor_orphan(struct sley_reactor *r)
{
    r->ops = &orphan_ops;
    r->more = r->near = false;
    if (r->lend.pool) {
        r->lend.pool->ending = true;
    }
    /* relaxed: the child of a fork has one thread; whoever held the lock is not there */
    atomic_store_explicit(&r->lock, 0, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&r->holder, NULL, memory_order_relaxed);
    r->depth = 0;
    r->ended = NULL;
    r->leave = NULL;
    r->listed = false;
    sley__homes_forget();
    r->orphan = orphans;
    orphans = r;
}

bool sley__home_orphaned(const struct sley_reactor *home)
{
    const struct sley_reactor *r = orphans;
    while (r && r != home) {
        r = r->orphan;
    }
    return r != NULL;
}
