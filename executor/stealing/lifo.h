/* The LIFO slot: one task that its owner puts in and takes out without a locked instruction, and that others may take in need.
 *
 *   held     1 while the owner is inside, or looks whether it may be; written by the owner alone
 *   seized   1 while a thief is inside: the owner then goes by locked exchanges, as the thief does
 *
 *     owner: (a) held = 1                     thief: (1) seized = 1 (an exchange: one thief at a time)
 *            (b) compiler barrier                    (2) membarrier: a full barrier on each running thread of the process
 *            (c) seized still 0? -> inside           (3) wait until held == 0 -> inside
 *
 * The proof is that of the lock that leans (sley/sync_impl.h), but for the end: the thief gives the slot back (seized = 0, release).
 * Where membarrier is not to be had (`plain` false) everybody goes by exchanges. */
#ifndef SLEY_STEALING_LIFO_H
#define SLEY_STEALING_LIFO_H

#include <sley/group_impl.h>

struct sley__lifo {
    SLEY_ATOMIC(struct sley_task *) task;
    SLEY_ATOMIC(uint32_t) held;
    SLEY_ATOMIC(uint32_t) seized;
    bool plain; /* constant */
};

/** Puts @p t in; returns what was there, or NULL. Thread: owner. Cost: four plain stores and loads. */
SLEY_INLINE struct sley_task *sley__lifo_put(struct sley__lifo *slot, struct sley_task *t)
{
    if (SLEY_LIKELY(slot->plain)) {
        /* relaxed: (a); ordered before (c) by the thief's membarrier */
        atomic_store_explicit(&slot->held, 1, memory_order_relaxed);
        /* (b): the store-load pair (a) (c) keeps its order in the compiled code */
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        /* acquire: (c); a thief that has left is seen to have emptied the slot */
        if (SLEY_LIKELY(!atomic_load_explicit(&slot->seized, memory_order_acquire))) {
            /* relaxed: nobody else is inside */
            struct sley_task *before = atomic_load_explicit(&slot->task, memory_order_relaxed);
            atomic_store_explicit(&slot->task, t, memory_order_relaxed); /* relaxed: published by held */
            /* release: what was done to the task is seen by a thief that waits for 0 */
            atomic_store_explicit(&slot->held, 0, memory_order_release);
            return before;
        }
        /* release: the thief may go on */
        atomic_store_explicit(&slot->held, 0, memory_order_release);
    }
    /* acq_rel: the other side takes it by an exchange, too */
    return atomic_exchange_explicit(&slot->task, t, memory_order_acq_rel);
}
/** Takes out what is there, or NULL. Thread: any but the owner. Cost: a membarrier when something is there. */
struct sley_task *sley__lifo_rob(struct sley__lifo *slot);
/** Is something in it? Thread: any. */
SLEY_INLINE bool sley__lifo_full(const struct sley__lifo *slot)
{
    /* relaxed: a hint, or after a fence (idle.c) */
    return atomic_load_explicit(&slot->task, memory_order_relaxed) != NULL;
}
/** Takes out what is there, or NULL. Thread: owner. */
SLEY_INLINE struct sley_task *sley__lifo_take(struct sley__lifo *slot)
{
    return sley__lifo_full(slot) ? sley__lifo_put(slot, NULL) : NULL;
}

#endif
