/* The LIFO slot: see lifo.h for who may do what, and why. */
#include "lifo.h"

struct sley_task *sley__lifo_rob(struct sley__lifo *slot)
{
    if (!sley__lifo_full(slot) || !sley_door_seize(&slot->door)) {
        return NULL;
    }
    /* acq_rel: what was done to the task before is seen; the owner may be exchanging, too */
    struct sley_task *t = atomic_exchange_explicit(&slot->task, NULL, memory_order_acq_rel);
    sley_door_yield(&slot->door);
    return t;
}
