/* The slow halves of the locks in <sley/group_impl.h>. */
#include "shared.h"

#include <sched.h>

void sley_spin_wait(SLEY_ATOMIC(uint32_t) * lock)
{
    uint32_t turns = 0;
    do {
        /* relaxed: only to see when another try makes sense */
        while (atomic_load_explicit(lock, memory_order_relaxed) != 0) {
            if (++turns < SLEY__SPINS) {
                SLEY__RELAX();
            } else {
                (void)sched_yield();
            }
        }
        /* acquire: as in sley_spin_lock */
    } while (atomic_exchange_explicit(lock, 1, memory_order_acquire) != 0);
}

bool sley_door_seize(struct sley_door *d)
{
    if (!d->plain) {
        return true;
    }
    /* acquire: (1); what the one before did is seen; pairs with sley_door_yield */
    if (atomic_exchange_explicit(&d->seized, 1, memory_order_acquire)) {
        return false;
    }
    sley_group_barrier();
    uint32_t turns = 0;
    /* acquire: (3); pairs with the owner's release of held */
    while (atomic_load_explicit(&d->held, memory_order_acquire)) {
        if (++turns < SLEY__SPINS) {
            SLEY__RELAX();
        } else {
            (void)sched_yield();
        }
    }
    return true;
}
