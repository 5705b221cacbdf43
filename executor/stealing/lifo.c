/* The LIFO slot: see lifo.h for who may do what, and why. */
#include "lifo.h"

#include "worker.h"

struct sley_task *sley__lifo_put(struct sley__lifo *slot, struct sley_task *t)
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

struct sley_task *sley__lifo_rob(struct sley__lifo *slot)
{
    if (!sley__lifo_full(slot)) {
        return NULL;
    }
    /* acq_rel: (1); one thief at a time */
    if (slot->plain && atomic_exchange_explicit(&slot->seized, 1, memory_order_acq_rel)) {
        return NULL;
    }
    if (slot->plain) {
        sley_group_barrier();
        /* acquire: (3); pairs with the owner's release of held */
        while (atomic_load_explicit(&slot->held, memory_order_acquire)) {
            SLEY__RELAX();
        }
    }
    /* acq_rel: what was done to the task before is seen; the owner may be exchanging, too */
    struct sley_task *t = atomic_exchange_explicit(&slot->task, NULL, memory_order_acq_rel);
    if (slot->plain) {
        /* release: the owner, which acquires, finds the slot as it is now */
        atomic_store_explicit(&slot->seized, 0, memory_order_release);
    }
    return t;
}
