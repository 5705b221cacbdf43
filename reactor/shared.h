/* The lock of a reactor that several workers share, inline: for those files of reactor/ that every message passes. Rules: shared.c. */
#ifndef SLEY_REACTOR_SHARED_H
#define SLEY_REACTOR_SHARED_H

#include <sley/group_impl.h>
#include <sley/reactor_impl.h>

/** @p self: who enters, a worker's sched; never NULL. */
SLEY_INLINE void sley__shared_enter(struct sley_reactor *r, const void *self)
{
    /* relaxed: our own name is there only if we have written it */
    if (SLEY_UNLIKELY(atomic_load_explicit(&r->holder, memory_order_relaxed) == self)) {
        r->depth++;
        return;
    }
    sley_spin_lock(&r->lock);
    /* relaxed: see above */
    atomic_store_explicit(&r->holder, self, memory_order_relaxed);
    r->depth = 1;
}

/** Gives it back. Returns: the ops that have ended under it, for sley__shared_tell. */
SLEY_INLINE struct sley_io_op *sley__shared_unlock(struct sley_reactor *r)
{
    if (SLEY_UNLIKELY(--r->depth > 0)) {
        return NULL;
    }
    struct sley_io_op *ended = r->ended;
    r->ended = NULL;
    /* relaxed: see sley_reactor_armed */
    atomic_store_explicit(&r->armed_seen, r->armed_count, memory_order_relaxed);
    /* relaxed: see enter */
    atomic_store_explicit(&r->holder, NULL, memory_order_relaxed);
    sley_spin_unlock(&r->lock);
    return ended;
}

SLEY_INLINE void sley__shared_tell(struct sley_io_op *op)
{
    while (SLEY_UNLIKELY(op != NULL)) {
        struct sley_io_op *next = op->next; /* first: the op may be gone after the next line */
        sley_wait_complete(&op->wait, op->wait.result);
        op = next;
    }
}

SLEY_INLINE void sley__shared_leave(struct sley_reactor *r)
{
    sley__shared_tell(sley__shared_unlock(r));
}

/** The rest of a SEND whose first calls have been made outside the lock, with the result @p n; it has begun. */
void sley__shared_sent(struct sley_reactor *r, struct sley_io_op *op, int32_t n);

#endif
