/* Lending: the pool of a reactor, and those that wait in line for a buffer. */
#include "served.h"

#include <sley/lend_impl.h>
#include <sley/socket_impl.h>

enum {
    BYTES = 4096,
    COUNT = 1024, /* 4 MiB of addresses; of memory, as many as have been out at a time */
    SCARCE_BYTES = 1024,
    SCARCE_COUNT = 8,
    BYTES_MOST = 1 << 20,
    COUNT_MOST = 1 << 15,
};

/* ---- the pool ----------------------------------------------------------------------------------------------------------- */

static size_t whole_bytes(const struct sley__lender *p)
{
    return sizeof *p + p->count * (sizeof(struct sley_lent) + (size_t)p->bytes);
}

static void lender_release(struct sley__lender *p)
{
    p->home = NULL;
    if (p->out_count == 0) {
        struct sley_alloc libc = p->libc;
        sley_alloc_put(p->alloc == &p->libc ? &libc : p->alloc, p, whole_bytes(p));
    }
}

static void lender_end(struct sley_reactor *r);

static uint32_t chosen(uint32_t wanted, uint32_t usual, uint32_t most)
{
    return wanted == 0 ? usual : wanted < most ? wanted : most;
}

static SLEY_NOINLINE struct sley__lender *make(struct sley_reactor *r)
{
    if (r->files.ending) {
        return NULL; /* nobody would release it */
    }
    struct sley__lender sketch = {.home = r};
    (void)sley_alloc_libc_init(&sketch.libc);
    struct sley_alloc *alloc = r->lend.alloc ? r->lend.alloc : &sketch.libc;
    const bool scarce = alloc->ops->caps & SLEY_ALLOC_CAP_SCARCE;
    sketch.bytes = chosen(r->lend.opts.buffer_bytes, scarce ? SCARCE_BYTES : BYTES, BYTES_MOST);
    sketch.count = sketch.fresh_count = chosen(r->lend.opts.buffer_count, scarce ? SCARCE_COUNT : COUNT, COUNT_MOST);
    struct sley__lender *p = sley_alloc_get(alloc, whole_bytes(&sketch), 64);
    if (p) {
        *p = sketch;
        p->lents = (struct sley_lent *)(p + 1);
        p->end = lender_end;
        p->release = lender_release;
        p->alloc = alloc->ops == p->libc.ops ? &p->libc : alloc; /* libc's may be a part of an executor that ends before */
        r->lend.pool = p;
    }
    return p;
}

struct sley__lender *sley__lender_of(struct sley_reactor *r)
{
    return SLEY_LIKELY(r->lend.pool != NULL) ? r->lend.pool : make(r);
}

int sley_lent_return(struct sley_lent *l)
{
    struct sley__lender *p = l ? l->pool : NULL;
    if (!p) {
        if (l) {
            l->at.release(l);
        }
        return 0;
    }
    struct sley_reactor *r = p->home;
    const struct sley_sched *s = sley__self;
    if (r && !r->shared && (!s || sley__here(s) != r)) {
        return -EXDEV;
    }
    if (!r) {
        sley__lender_put(p, l);
        lender_release(p);
        return 0;
    }
    const bool owned = sley__door_own(r);
    sley_reactor_enter(r);
    sley__lender_give(p, l);
    sley_reactor_leave(r);
    sley__door_disown(r, owned);
    return 0;
}

/* ---- in line ------------------------------------------------------------------------------------------------------------ */

static struct sley_io_op *before(const struct sley_io_op *op)
{
    return (struct sley_io_op *)(void *)op->ret_done;
}

static void set_before(struct sley_io_op *op, struct sley_io_op *other)
{
    op->ret_done = (size_t *)(void *)other;
}

static void stand_in_line(struct sley__lender *p, struct sley_io_op *op)
{
    const bool first = op->flags & SLEY__LEND_FED;
    op->flags |= SLEY__LEND_STARVED;
    op->next = first ? p->first : NULL;
    set_before(op, first ? NULL : p->last);
    *(op->next ? (struct sley_io_op **)(void *)&op->next->ret_done : &p->last) = op;
    *(before(op) ? &before(op)->next : &p->first) = op;
}

static void step_out(struct sley__lender *p, struct sley_io_op *op)
{
    if (op->next) {
        set_before(op->next, before(op));
    } else {
        p->last = before(op);
    }
    *(before(op) ? &before(op)->next : &p->first) = op->next;
    op->flags &= (uint8_t) ~(uint32_t)SLEY__LEND_STARVED;
    op->ret_done = NULL;
}

/** May an op for which there is no buffer wait for one? */
static bool may_wait(const struct sley_reactor *r, const struct sley_io_op *op)
{
    const struct sley__lender *p = r ? r->lend.pool : NULL;
    return p && !p->ending && !(sley__fd_state(op->fd) & SLEY_FD_CLOSING);
}

static void hold(struct sley_reactor *r, struct sley_io_op *op)
{
    r->armed_count++;
    sley__fd_set(op->fd, (sley__fd_state(op->fd) | SLEY_FD_READING) + SLEY_FD_HOLD);
}

static void release(struct sley_reactor *r, struct sley_io_op *op)
{
    r->armed_count--;
    sley__fd_set(op->fd, (sley__fd_state(op->fd) & ~(uint32_t)SLEY_FD_READING) - SLEY_FD_HOLD);
}

static void arm_node(struct sley_io_op *op)
{
    if (!(op->flags & SLEY__LEND_ARMED)) {
        op->flags |= SLEY__LEND_ARMED;
        sley_wait_arm(&op->wait);
    }
}

void sley__lender_feed(struct sley__lender *p)
{
    if (p->feeding) {
        return; /* a hook has given one back: whoever feeds looks again */
    }
    p->feeding = true;
    while (p->first && sley__lender_has(p) && !p->ending) {
        struct sley_reactor *r = p->home;
        struct sley_io_op *op = p->first;
        step_out(p, op);
        release(r, op);
        op->flags |= SLEY__LEND_FED;
        r->ops->submit(r, op);
    }
    p->feeding = false;
}

/* ---- the ways of an op: what sley_io_arm, _finish and _complete do of one that is lent its buffer ------------------------- */

/** The result, and whose the buffer is now. */
static int32_t hand_over(struct sley_io_op *op, int32_t result)
{
    struct sley_lent *l = op->buf, **ret_lent = op->object;
    if (SLEY_UNLIKELY(l != NULL && result <= 0)) {
        sley__lender_give(l->pool, l);
        l = NULL;
    }
    op->flags = SLEY_IO_LEND;
    *ret_lent = l;
    return sley__io_end(op, result);
}

void sley__lend_arm(struct sley_reactor *r, struct sley_io_op *op)
{
    hold(r, op);
    arm_node(op);
}

void sley__lend_finish(struct sley_io_op *op, int32_t result)
{
    if (op->code != SLEY_IO_RECV) { /* nobody lends to it: that is what the result says */
        sley_wait_finish(&op->wait, sley__io_end(op, result));
        return;
    }
    struct sley_reactor *r = sley__fd_home(op->fd);
    if (SLEY_UNLIKELY(result == -ENOBUFS) && may_wait(r, op)) {
        sley__lend_arm(r, op);
        stand_in_line(r->lend.pool, op);
        return;
    }
    const bool armed = op->flags & SLEY__LEND_ARMED;
    result = hand_over(op, result);
    if (armed) {
        sley_io_tell(r, op, result);
    } else {
        sley_wait_finish(&op->wait, result);
    }
}

void sley__lend_complete(struct sley_reactor *r, struct sley_io_op *op, int32_t result)
{
    if (SLEY_UNLIKELY(result == -ENOBUFS) && may_wait(r, op)) {
        stand_in_line(r->lend.pool, op);
        return;
    }
    release(r, op);
    sley_io_tell(r, op, hand_over(op, result));
}

/** No buffer is free. That matters only if there is something to receive; else it waits as others do. */
static int32_t look_without(int number)
{
    char byte;
    for (;;) {
        const ssize_t n = recv(number, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
        if (n == 0) {
            (void)recv(number, &byte, 1, MSG_DONTWAIT); /* an empty datagram is told once */
        }
        if (n >= 0) {
            return n > 0 ? -ENOBUFS : 0;
        }
        if (errno != EINTR) {
            return errno == ENOBUFS ? -ENOMEM : -errno; /* the socket's own says nothing of our buffers */
        }
    }
}

int32_t sley__lend_try(struct sley_io_op *op)
{
    struct sley_reactor *r = sley__fd_home(op->fd);
    struct sley__lender *p = r ? sley__lender_of(r) : NULL;
    struct sley_lent *l = p ? sley__lender_take(p) : NULL;
    if (SLEY_UNLIKELY(!l)) {
        return r ? look_without(op->fd->number) : -ENOTSUP;
    }
    ssize_t n;
    do {
        n = sley__socket_recv(op->fd->number, l->data, p->bytes);
    } while (SLEY_UNLIKELY(n == -EINTR));
    op->len = p->bytes; /* a receive of less has taken all that there was */
    if (SLEY_LIKELY(n > 0)) {
        op->buf = l;
        return (int32_t)n;
    }
    sley__lender_put(p, l);
    return n == -ENOBUFS ? -ENOMEM : (int32_t)n;
}

/* ---- ends of those in line -------------------------------------------------------------------------------------------------- */

static void end_in_line(struct sley_reactor *r, struct sley_io_op *op, int32_t result)
{
    step_out(r->lend.pool, op);
    release(r, op);
    sley_io_tell(r, op, hand_over(op, result));
}

bool sley__lend_cancel(struct sley_reactor *r, struct sley_io_op *op)
{
    if (!(op->flags & SLEY__LEND_STARVED)) {
        return false;
    }
    end_in_line(r, op, -ECANCELED);
    return true;
}

void sley__lend_close(struct sley_reactor *r, const struct sley_fd *fd)
{
    struct sley_io_op *op = r->lend.pool && (sley__fd_state(fd) & SLEY_FD_READING) ? r->lend.pool->first : NULL;
    while (op && op->fd != fd) {
        op = op->next;
    }
    if (op) {
        end_in_line(r, op, -ECANCELED);
    }
}

static void lender_end(struct sley_reactor *r)
{
    struct sley__lender *p = r->lend.pool;
    sley_reactor_enter(r);
    p->ending = true;
    while (p->first) {
        end_in_line(r, p->first, -ECANCELED);
    }
    sley_reactor_leave(r);
}

/* ---- a descriptor's user ------------------------------------------------------------------------------------------------------ */

void sley_fd_recv_lent_start(struct sley_io_op *op, struct sley_fd *fd, struct sley_lent **ret_lent)
{
    sley_io_lend(op, fd, ret_lent);
    op->end = NULL;
    sley_io_submit(op);
}

int sley_fd_recv_lent(struct sley_fd *fd, struct sley_lent **ret_lent)
{
    struct sley_io_op op = {0};
    sley_io_lend(&op, fd, ret_lent);
    return sley_io_run(&op);
}
