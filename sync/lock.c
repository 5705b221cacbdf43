/* The slow halves of the biased lock: the spinning lock on `word`, claiming the bias, revoking it. Proof: <sley/sync_impl.h>. */
#include "lock.h"

#include <sched.h>

/* Critical sections take some ten nanoseconds; one that takes longer has lost its processor. */
enum { SPINS_BEFORE_YIELD = 64 };

void sley__spin(uint32_t *turns)
{
    if (++*turns < SPINS_BEFORE_YIELD) {
        SLEY__RELAX();
    } else {
        (void)sched_yield();
    }
}

/** `word` is held. The owner of old is kept out from here on. */
static void revoke(struct sley__lock *l)
{
    /* relaxed: (1) in the proof; the barrier below orders it for the owner's (c), `word` for everybody else */
    atomic_store_explicit(&l->owner, (uintptr_t)SLEY__LOCK_SHARED, memory_order_relaxed);
    sley__barrier_all();
    uint32_t turns = 0;
    /* acquire: (3) in the proof; pairs with the release in sley__unlock_home */
    while (atomic_load_explicit(&l->held, memory_order_acquire) != 0) {
        sley__spin(&turns);
    }
}

void sley__lock_slow(struct sley__lock *l)
{
    uint32_t turns = 0;
    /* acquire: observes the last holder's work; pairs with the release in sley__lock_release */
    while (atomic_exchange_explicit(&l->word, 1, memory_order_acquire) != 0) {
        do {
            sley__spin(&turns);
            /* relaxed: only to see when another try makes sense */
        } while (atomic_load_explicit(&l->word, memory_order_relaxed) != 0);
    }
    /* relaxed: written by holders of `word` alone */
    const uintptr_t owner = atomic_load_explicit(&l->owner, memory_order_relaxed);
    if (SLEY_LIKELY(owner == SLEY__LOCK_SHARED)) {
        return;
    }
    const struct sley_sched *s = sley__self;
    if (owner != SLEY__LOCK_NOBODY) {
        if (owner != (uintptr_t)s) {
            revoke(l);
        }
    } else if (sley__lock_may_lean(s)) {
        /* relaxed: only this thread acts on finding itself here; what it observed was acquired with `word` */
        atomic_store_explicit(&l->owner, (uintptr_t)s, memory_order_relaxed);
    }
}

void sley__lock_release(struct sley__lock *l)
{
    /* release: publishes what was done inside to the next holder, which acquires in sley__lock_slow; the last access */
    atomic_store_explicit(&l->word, 0, memory_order_release);
}
