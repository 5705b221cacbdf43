/* What is inside channels and signals, as far as their sizes and inline code need it: the lock, and who waits. Private to sync/: for
 * users there is nothing here. */
#ifndef SLEY_SYNC_IMPL_H
#define SLEY_SYNC_IMPL_H

#include <sley/task_impl.h>

SLEY_EXTERN_C_BEGIN

/*
 * A lock that leans towards one sched ("biased"): the tasks of that sched take it without a locked instruction, until somebody
 * else comes. Whoever comes revokes the bias for good, with one membarrier; from then on it is a plain spinning lock.
 *
 *   owner     NOBODY  nobody leans yet: users hold `word`; the first sched that may (SLEY__SCHED_BIAS) becomes the owner.
 *                     sley__lock_init_here makes it the owner from the start: nobody else knows the lock yet, and whoever gets
 *                     to know it observes what init wrote with it, or SHARED
 *             a sched its thread takes the lock through `held`; everybody else has to revoke first
 *             SHARED  users hold `word`, for ever
 *   held      1 while the owner is inside, or looks whether it still is the owner; written by the owner's thread alone
 *   word      1 while somebody is inside the slow way; owner is written by the holder of `word` alone
 *
 * Why both cannot be inside (owner's thread H; V revokes):
 *
 *     H: (a) held = 1                      V: (1) owner = SHARED
 *        (b) compiler barrier                 (2) membarrier: a full barrier on each running thread of the process
 *        (c) owner still me? -> inside        (3) wait until held == 0 -> inside
 *
 *   The barrier that (2) puts on H falls either before (c): then (c) comes after (1) and sees SHARED, H backs out; or after
 *   (c), and so after (a), which (b) keeps in front of it: then (3) sees held == 1 and waits until H has left (release; (3)
 *   acquires). H not running at that moment has passed a full barrier in the kernel, which is the same. A sched changes its
 *   thread only between turns, with its executor's handover between them, when held is 0. A worker of a group is a sched as well:
 *   tasks move between workers, but never inside a critical section.
 *
 * Critical sections are short, complete no node and call nobody. Never taken in signal handlers. Not for public use: it spins.
 */
struct sley__lock {
    SLEY_ATOMIC(uintptr_t) owner;
    SLEY_ATOMIC(uint32_t) held;
    SLEY_ATOMIC(uint32_t) word;
};

enum { SLEY__LOCK_NOBODY = 1, SLEY__LOCK_SHARED = 2 }; /* no sched has such an address */

/* Who waits: what every op begins with that queues at an object (sync/waiters.h). */
struct sley__waiter {
    struct sley_wait wait;
    struct sley__waiter *next;
    struct sley__waiter *prev;
    uint32_t want;   /* the object's own: how much it waits for */
    uint8_t kind;    /* the object's own */
    uint8_t queued;  /* in the object's queue, under its lock */
    int16_t verdict; /* once it is served */
};

struct sley__waiters {
    struct sley__waiter *head;
    struct sley__waiter *tail;
};

#ifndef __cplusplus

/* slow halves: lock.c, or lock_bare.c on machines with one thread */
SLEY_API void sley__lock_slow(struct sley__lock *l);
SLEY_API void sley__lock_release(struct sley__lock *l);

SLEY_INLINE void sley__lock_init(struct sley__lock *l)
{
    /* relaxed: whoever hands the object to another thread publishes it */
    atomic_store_explicit(&l->owner, (uintptr_t)SLEY__LOCK_NOBODY, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&l->held, 0, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&l->word, 0, memory_order_relaxed);
}

/** May locks lean towards @p s, the sched of this thread? */
SLEY_INLINE bool sley__lock_may_lean(const struct sley_sched *s)
{
    return s && (s->flags & SLEY__SCHED_BIAS);
}

/**
 * As sley__lock_init, for what is used a few times: leans towards the current sched at once, if it may and is a home. Workers that
 * share tasks mostly end it elsewhere, and a revocation costs more than it could ever save: there it is shared from the start.
 */
SLEY_INLINE void sley__lock_init_here(struct sley__lock *l)
{
    const struct sley_sched *s = sley__self;
    sley__lock_init(l);
    const uintptr_t owner = s && s->group ? (uintptr_t)SLEY__LOCK_SHARED : sley__lock_may_lean(s) ? (uintptr_t)s : SLEY__LOCK_NOBODY;
    /* relaxed: as in sley__lock_init; that nobody else looks yet is why no `word` is held */
    atomic_store_explicit(&l->owner, owner, memory_order_relaxed);
}

#if __STDC_HOSTED__

/** Does the lock lean towards @p s? Only a yes on its own thread means something. */
SLEY_INLINE bool sley__lock_leans(const struct sley__lock *l, const struct sley_sched *s)
{
    /* relaxed: a hint; sley__lock_home looks again */
    return atomic_load_explicit(&l->owner, memory_order_relaxed) == (uintptr_t)s;
}

/** Enters as the owner that sley__lock_leans has seen; false: the bias was revoked meanwhile. */
SLEY_INLINE bool sley__lock_home(struct sley__lock *l, const struct sley_sched *s)
{
    /* relaxed: (a) above; ordered before (c) by the revoker's membarrier */
    atomic_store_explicit(&l->held, 1, memory_order_relaxed);
    /* (b): the store-load pair (a) (c) keeps its order in the compiled code */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    /* relaxed: (c) above; pairs with the store of SHARED in sley__lock_slow */
    if (SLEY_LIKELY(atomic_load_explicit(&l->owner, memory_order_relaxed) == (uintptr_t)s)) {
        return true;
    }
    /* release: a revoker that waits for 0 may go on */
    atomic_store_explicit(&l->held, 0, memory_order_release);
    return false;
}

SLEY_INLINE void sley__unlock_home(struct sley__lock *l)
{
    /* release: publishes what was done inside to a revoker, which acquires in sley__lock_slow */
    atomic_store_explicit(&l->held, 0, memory_order_release);
}

#else

/* One thread, and no interrupt handler takes it: nothing to keep apart. */
SLEY_INLINE bool sley__lock_leans(const struct sley__lock *l, const struct sley_sched *s)
{
    (void)l;
    return s != NULL;
}
SLEY_INLINE bool sley__lock_home(struct sley__lock *l, const struct sley_sched *s)
{
    (void)l, (void)s;
    return true;
}
SLEY_INLINE void sley__unlock_home(struct sley__lock *l)
{
    (void)l;
}

#endif

/** Takes the lock, whichever way; true: as the owner. The answer goes to sley__unlock. Thread: any, not signal. */
SLEY_INLINE bool sley__lock(struct sley__lock *l)
{
    const struct sley_sched *s = sley__self;
    if (SLEY_LIKELY(s != NULL && sley__lock_leans(l, s)) && sley__lock_home(l, s)) {
        return true;
    }
    sley__lock_slow(l);
    return false;
}

SLEY_INLINE void sley__unlock(struct sley__lock *l, bool home)
{
    if (SLEY_LIKELY(home)) {
        sley__unlock_home(l);
    } else {
        sley__lock_release(l);
    }
}

/** May an inline start go on at once: budget left (so the task is not cancelled), and in at home? */
SLEY_INLINE bool sley__lock_inline(struct sley__lock *l, const struct sley_sched *s)
{
    return SLEY_LIKELY(sley__lock_leans(l, s)) && SLEY_LIKELY(s->budget > 0) && sley__lock_home(l, s);
}

/** Typed wrappers: inline where it pays, and no warning where one is not used. */
#define SLEY__TYPED __attribute__((unused)) static inline

/** sley_wait_begin and sley_wait_finish at once, by who has entered with sley__lock_inline. */
SLEY_INLINE void sley__finish_inline(struct sley_sched *s, struct sley_wait *w, int32_t result)
{
    SLEY__CHECK_UNARMED(w);
    s->budget--;
    w->result = result;
    /* release: publishes the result to whoever looks with sley_wait_done */
    atomic_store_explicit(&w->word, (uintptr_t)SLEY__WAIT_DONE, memory_order_release);
}

#endif /* !__cplusplus */

SLEY_EXTERN_C_END
#endif
