/* A reactor that several workers share: its lock, what has ended under it, and the way in of an op that any of them starts.
 *
 * A descriptor's home is claimed by one CAS on fd->home, and given up (sley_fd_move) under the home's lock, by a release; all else
 * about it, adoption included, comes under that lock, too. A home is dereferenced only when it is the reactor of a worker of the
 * group: others may be gone. */
#include "shared.h"
#include "file.h"
#include "op.h"

#include <sley/lend_impl.h>

#include <sched.h>

/* ---- the lock ---------------------------------------------------------------------------------------------------- */

/** Who holds it: this worker; or a thread that is none, which ends a group or comes back from a call for it. */
static const void *me(void)
{
    static SLEY__TLS char nobody;
    const struct sley_sched *s = sley__self;
    return s ? (const void *)s : &nobody;
}

void sley__reactor_enter(struct sley_reactor *r)
{
    sley__shared_enter(r, me());
}

void sley__reactor_leave(struct sley_reactor *r)
{
    sley__shared_leave(r);
}

void sley__reactor_tell(struct sley_reactor *r, struct sley_io_op *op, int32_t result)
{
    op->wait.result = result;
    op->stage |= SLEY__IO_ENDED;
    op->next = NULL;
    if (r->ended) {
        r->last->next = op;
    } else {
        r->ended = op;
    }
    r->last = op;
}

/* ---- homes ------------------------------------------------------------------------------------------------------- */

bool sley__apart(const struct sley_sched *s)
{
    return s && s->group && s->group->count > 1 && s->reactor && !s->reactor->shared;
}

/** Takes the lock of @p r if it is one of the group's. */
static bool enter_one(const struct sley_group *g, struct sley_reactor *r)
{
    for (uint32_t i = 0; i < g->count; i++) {
        if (g->scheds[i]->reactor == r) {
            sley__reactor_enter(r);
            r->index = i;
            return true;
        }
    }
    return false;
}

/** Is it the home still, now that its lock is held? */
static inline bool is_home(const struct sley_fd *fd, const struct sley_reactor *r)
{
    /* acquire: whoever has claimed it may not have come to the lock yet; pairs with without_home, before the claim */
    return SLEY_LIKELY(atomic_load_explicit(&fd->home, memory_order_acquire) == r);
}

/** The home is another worker's, or there is none yet, or nothing is shared. */
static SLEY_NOINLINE struct sley_reactor *enter_any(struct sley_sched *s, struct sley_fd *fd)
{
    for (;;) {
        struct sley_reactor *r = sley__fd_home(fd), *own = s->reactor;
        if (!r && own) {
            /* acquire: pairs with without_home. A failure only says whose lock is to be taken */
            r = atomic_compare_exchange_strong_explicit(&fd->home, &r, own, memory_order_acquire, memory_order_relaxed) ? own : r;
        }
        if (!r || sley__apart(s) || !enter_one(s->group, r)) {
            return NULL;
        }
        if (is_home(fd, r)) {
            return r;
        }
        sley__reactor_leave(r); /* it has moved meanwhile */
    }
}

struct sley_reactor *sley__fd_enter(struct sley_sched *s, struct sley_fd *fd)
{
    struct sley_reactor *r = s->reactor;
    if (SLEY_UNLIKELY(!r) || SLEY_UNLIKELY(sley__fd_home(fd) != r) || SLEY_UNLIKELY(!r->shared)) {
        return enter_any(s, fd);
    }
    sley__shared_enter(r, s);
    if (SLEY_LIKELY(s->group->scheds[r->index] == s) && is_home(fd, r)) {
        return r;
    }
    sley__shared_leave(r); /* it has moved meanwhile; or this is the first look */
    return enter_any(s, fd);
}

struct sley_reactor *sley__io_enter(struct sley_sched *s, const struct sley_io_op *op)
{
    const uint32_t place = op->wait.flags >> 16;
    struct sley_reactor *r = place ? s->group->scheds[place - 1]->reactor : NULL;
    if (r) {
        sley__shared_enter(r, s);
    }
    return r;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

/** Why an op may not start, or 0: then its home, whose lock is held, knows the descriptor. */
static int admit(struct sley_reactor *r, const struct sley_io_op *op)
{
    struct sley_fd *fd = op->fd;
    const uint32_t state = sley__fd_state(fd);
    if (fd->number < 0 || (state & SLEY_FD_CLOSING)) {
        return -EBADF;
    }
    if ((state & sley__io_busy(op)) || (state & SLEY_FD_HOLD_MASK) == SLEY_FD_HOLD_MASK) {
        return -EBUSY;
    }
    if (state & SLEY_FD_KNOWN) {
        return 0;
    }
    const int rc = r->ops->adopt ? r->ops->adopt(r, fd) : 0;
    if (rc == 0) {
        r->fd_count++;
        r->near = r->near || (r->shared && fd->slot);
        sley__fd_set(fd, state | SLEY_FD_KNOWN | SLEY_FD_FAR); /* those of a home that is not shared are closed */
        sley__home_known(r, r->sched ? r->sched : sley__self->group->scheds[r->index]);
    }
    return rc;
}

/**
 * What is sent mostly goes out at once, and takes the kernel some microseconds: too long for a lock that others want. The direction
 * is taken, and a close waits for it. The lock is held before and after.
 */
static void send_outside(struct sley_reactor *r, struct sley_io_op *op)
{
    struct sley_fd *fd = op->fd;
    sley__fd_set(fd, sley__fd_state(fd) + (SLEY_FD_WRITING | SLEY_FD_SENDING));
    sley__reactor_leave(r);
    sley__shared_sent(r, op, sley_io_try(op));
}

void sley__shared_sent(struct sley_reactor *r, struct sley_io_op *op, int32_t n)
{
    struct sley_fd *fd = op->fd;
    sley__reactor_enter(r);
    sley_io_mark(op, r);
    const uint32_t state = sley__fd_state(fd) - (SLEY_FD_WRITING | SLEY_FD_SENDING);
    sley__fd_set(fd, state);
    if (n != -EAGAIN && n != -EINPROGRESS) {
        sley_io_finish(op, n);
    } else if (state & SLEY_FD_CLOSING) {
        sley_io_finish(op, -ECANCELED);
    } else {
        r->ops->submit(r, op); /* tried once more: what became ready since may have been reported already */
    }
    sley__reactor_leave(r);
}

/** Those that are outside the lock have seen the last of the descriptor when this returns; no more begin. */
static void wait_for_senders(struct sley_reactor *r, struct sley_fd *fd)
{
    while (sley__fd_state(fd) & SLEY_FD_SENDING_MASK) {
        const uint32_t depth = r->depth; /* who aborts has entered before: left for good, or they never come in */
        r->depth = 1;
        sley__reactor_leave(r);
        (void)sched_yield(); /* a system call that does not block, on another processor or before its turn on this one */
        sley__reactor_enter(r);
        r->depth = depth;
    }
}

/** No lock: the reactor is this worker's, which is in no task and inside. */
static void submit_apart(struct sley_sched *s, struct sley_io_op *op)
{
    struct sley_reactor *r = sley__here(s);
    const int rc = admit(r, op);
    sley_io_mark(op, NULL);
    if (rc < 0) {
        sley_io_finish(op, rc);
    } else {
        r->ops->submit(r, op);
    }
}

/** There is no lock to be had. */
static SLEY_NOINLINE void submit_elsewhere(struct sley_sched *s, struct sley_io_op *op)
{
    const bool away = sley_fd_away(op->fd), apart = sley__apart(s);
    /* what a hook starts inside travels, too: else nobody who aborts or cancels from elsewhere would find it */
    if (away || (apart && op->code != SLEY_IO_ACCEPT && !(op->flags & SLEY_IO_LEND) && !sley__courier_has(op))) {
        sley__remote_submit(op, sley__fd_home(op->fd));
    } else if (apart) {
        submit_apart(s, op);
    } else {
        sley_io_mark(op, NULL);
        sley_io_finish(op, -ENOTSUP);
    }
}

void sley__shared_submit(struct sley_sched *s, struct sley_io_op *op)
{
    struct sley_reactor *r = sley__fd_enter(s, op->fd);
    if (SLEY_UNLIKELY(!r)) {
        submit_elsewhere(s, op);
        return;
    }
    sley_io_mark(op, r);
    const int rc = admit(r, op);
    if (SLEY_UNLIKELY(rc < 0)) {
        sley_io_finish(op, rc);
    } else if (r->shared && (op->code == SLEY_IO_SEND || op->code == SLEY_IO_SENDMSG)) {
        send_outside(r, op);
        return;
    } else {
        r->ops->submit(r, op);
    }
    sley__shared_leave(r);
}

bool sley__shared_close(struct sley_sched *s, struct sley_io_op *op)
{
    struct sley_fd *fd = op->fd;
    struct sley_reactor *r = sley__fd_enter(s, fd);
    if (!r) {
        return false;
    }
    const uint32_t state = sley__fd_state(fd);
    if (fd->number < 0 || (state & SLEY_FD_CLOSING)) {
        sley_io_finish(op, 0);
    } else if (state & SLEY_FD_KNOWN) {
        sley__fd_set(fd, state | SLEY_FD_CLOSING);
        sley__home_lose(r, fd);
        wait_for_senders(r, fd);
        sley__lend_close(r, fd);
        if (state & SLEY_FD_WAY_MASK) {
            sley__file_close(r, op);
        } else {
            r->ops->submit(r, op);
        }
    } else if (state & SLEY_FD_HOLD_MASK) {
        sley_io_finish(op, -EXDEV); /* by plain threads, before it had a home */
    } else {
        sley__fd_close_idle(fd);
        sley_io_finish(op, 0);
    }
    sley__reactor_leave(r);
    return true;
}
