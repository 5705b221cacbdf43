/* The LIFO slot: one task that its owner puts in and takes out without a locked instruction (the door of sley/group_impl.h), and that
 * others may take in need. */
#ifndef SLEY_STEALING_LIFO_H
#define SLEY_STEALING_LIFO_H

#include <sley/group_impl.h>

struct sley__lifo {
    SLEY_ATOMIC(struct sley_task *) task;
    struct sley_door door;
};

/** Puts @p t in; returns what was there, or NULL. Thread: owner. Cost: four plain stores and loads. */
SLEY_INLINE struct sley_task *sley__lifo_put(struct sley__lifo *slot, struct sley_task *t)
{
    if (SLEY_LIKELY(sley_door_enter(&slot->door))) {
        /* relaxed: nobody else is inside */
        struct sley_task *before = atomic_load_explicit(&slot->task, memory_order_relaxed);
        atomic_store_explicit(&slot->task, t, memory_order_relaxed); /* relaxed: published by the door */
        sley_door_leave(&slot->door);
        return before;
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
