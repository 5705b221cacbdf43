/* The LIFO slot: see lifo.h for who may do what, and why. */
#include "lifo.h"

#include "worker.h"

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
