/* The word of a notify: bits, edges, who takes them. No code outside this file changes it.
 *
 *   bits           meaning                                        set by                       cleared by
 *   0   LOCKED     somebody is at the list                        wait, cancel, set            unlock
 *   1   PERMIT     a notification is stored; nobody waits         set, unlock                  wait
 *   2   WAITERS    the list is not empty; meaningless if LOCKED   unlock                       unlock
 *   3   ALL        set_all came while LOCKED                      set_all                      unlock
 *   4   LATER      a set came after that set_all                  set                          unlock
 *   5-  SETS       sets that came while LOCKED, before any        set                          unlock
 *                  set_all; stops counting at the top
 *
 *                set             wait
 *   (nothing) ---------> PERMIT -------> (nothing)
 *       |                                    wait, cancel, set with WAITERS: whoever does not find LOCKED
 *       +----------------------> LOCKED <-------------------- WAITERS
 *                                  |  ^--- set, set_all: left behind as ALL, LATER, SETS for the holder
 *                                  |
 *                                  +-- unlock: serves what was left first, and again, until nothing is; then WAITERS,
 *                                      PERMIT or nothing
 *
 * PERMIT and WAITERS exclude each other. While LOCKED, PERMIT keeps what it was when the holder came; the holder keeps count
 * from there. set and set_all never wait, so a handler may interrupt a holder; wait and cancel wait while LOCKED, and are never
 * called from handlers. Linearisation point of a set: its CAS (of one that was left behind: the unlock that serves it).
 *
 * Each edge comes in two parts: a pure function from word to (word, action), which the tests enumerate, and the loop around it.
 */
#ifndef SLEY_SYNC_NOTIFY_STATE_H
#define SLEY_SYNC_NOTIFY_STATE_H

#include <sley/notify.h>

enum {
    SLEY__NOTIFY_LOCKED = 1 << 0,
    SLEY__NOTIFY_PERMIT = 1 << 1,
    SLEY__NOTIFY_WAITERS = 1 << 2,
    SLEY__NOTIFY_ALL = 1 << 3,
    SLEY__NOTIFY_LATER = 1 << 4,
    SLEY__NOTIFY_SET_ONE = 1 << 5, /* the unit of SETS */
};
#define SLEY__NOTIFY_SETS (~(uint32_t)(SLEY__NOTIFY_SET_ONE - 1))
#define SLEY__NOTIFY_PENDING (SLEY__NOTIFY_SETS | SLEY__NOTIFY_ALL | SLEY__NOTIFY_LATER)

/** What an edge tells its caller to do. */
enum sley__notify_action {
    SLEY__NOTIFY_DONE,  /* nothing more: stored, or left to the holder, or nobody to wake */
    SLEY__NOTIFY_TAKEN, /* the permit is the caller's */
    SLEY__NOTIFY_HOLD,  /* the caller is at the list now, and has to unlock */
    SLEY__NOTIFY_BUSY,  /* somebody else is: wait and try again */
    SLEY__NOTIFY_SERVE, /* still at the list: serve what `*ret_pending` says, then unlock again */
};

/** Edge set. */
SLEY_INLINE SLEY_MUST_USE enum sley__notify_action sley__notify_next_set(uint32_t word, uint32_t *ret_next)
{
    if (word & SLEY__NOTIFY_LOCKED) {
        const bool full = (word & SLEY__NOTIFY_SETS) == SLEY__NOTIFY_SETS;
        *ret_next = word & SLEY__NOTIFY_ALL ? word | SLEY__NOTIFY_LATER : word + (full ? 0 : SLEY__NOTIFY_SET_ONE);
        return SLEY__NOTIFY_DONE;
    }
    if (word & SLEY__NOTIFY_WAITERS) {
        *ret_next = word | SLEY__NOTIFY_LOCKED;
        return SLEY__NOTIFY_HOLD;
    }
    *ret_next = word | SLEY__NOTIFY_PERMIT;
    return SLEY__NOTIFY_DONE;
}

/** Edge set_all. */
SLEY_INLINE SLEY_MUST_USE enum sley__notify_action sley__notify_next_set_all(uint32_t word, uint32_t *ret_next)
{
    if (word & SLEY__NOTIFY_LOCKED) {
        *ret_next = word | SLEY__NOTIFY_ALL;
        return SLEY__NOTIFY_DONE;
    }
    *ret_next = word | (word & SLEY__NOTIFY_WAITERS ? SLEY__NOTIFY_LOCKED : 0);
    return word & SLEY__NOTIFY_WAITERS ? SLEY__NOTIFY_HOLD : SLEY__NOTIFY_DONE;
}

/** Edge wait: takes the permit, or goes to the list. */
SLEY_INLINE SLEY_MUST_USE enum sley__notify_action sley__notify_next_wait(uint32_t word, uint32_t *ret_next)
{
    *ret_next = word;
    if (word & SLEY__NOTIFY_LOCKED) {
        return SLEY__NOTIFY_BUSY;
    }
    if (word & SLEY__NOTIFY_PERMIT) {
        *ret_next = word & ~(uint32_t)SLEY__NOTIFY_PERMIT;
        return SLEY__NOTIFY_TAKEN;
    }
    *ret_next = word | SLEY__NOTIFY_LOCKED;
    return SLEY__NOTIFY_HOLD;
}

/** Edge cancel: goes to the list, whatever is stored. */
SLEY_INLINE SLEY_MUST_USE enum sley__notify_action sley__notify_next_cancel(uint32_t word, uint32_t *ret_next)
{
    *ret_next = word | SLEY__NOTIFY_LOCKED;
    return word & SLEY__NOTIFY_LOCKED ? SLEY__NOTIFY_BUSY : SLEY__NOTIFY_HOLD;
}

/** Edge unlock; the holder says what there is now. */
SLEY_INLINE SLEY_MUST_USE enum sley__notify_action sley__notify_next_unlock(uint32_t word, bool waiters, bool permit, uint32_t *ret_next)
{
    if (word & SLEY__NOTIFY_PENDING) {
        *ret_next = word & ~SLEY__NOTIFY_PENDING;
        return SLEY__NOTIFY_SERVE;
    }
    *ret_next = (waiters ? SLEY__NOTIFY_WAITERS : 0u) | (permit ? SLEY__NOTIFY_PERMIT : 0u);
    return SLEY__NOTIFY_DONE;
}

/** Takes an edge that looks at nothing but the word. */
SLEY_INLINE SLEY_MUST_USE enum sley__notify_action sley__notify_take(struct sley_notify *n,
                                                                     enum sley__notify_action (*edge)(uint32_t word, uint32_t *ret_next),
                                                                     bool *ret_permit)
{
    uint32_t next;
    enum sley__notify_action action;
    /* relaxed: the CAS looks again */
    uint32_t word = atomic_load_explicit(&n->word, memory_order_relaxed);
    do {
        action = edge(word, &next);
        /* acq_rel, also where the word stays the same: releases what a set announces to the wait that takes the permit or to
         * the holder that serves it; acquires that, and the list, from the last edge */
    } while (!atomic_compare_exchange_weak_explicit(&n->word, &word, next, memory_order_acq_rel, memory_order_relaxed));
    *ret_permit = (word & SLEY__NOTIFY_PERMIT) != 0;
    return action;
}

/** Takes the edge unlock. */
SLEY_INLINE SLEY_MUST_USE enum sley__notify_action sley__notify_unlock(struct sley_notify *n, bool waiters, bool permit,
                                                                       uint32_t *ret_pending)
{
    uint32_t next;
    enum sley__notify_action action;
    /* relaxed: the CAS looks again */
    uint32_t word = atomic_load_explicit(&n->word, memory_order_relaxed);
    do {
        action = sley__notify_next_unlock(word, waiters, permit, &next);
        /* acq_rel: releases the list to the next holder; acquires what sets that were left behind announce */
    } while (!atomic_compare_exchange_weak_explicit(&n->word, &word, next, memory_order_acq_rel, memory_order_relaxed));
    *ret_pending = word & SLEY__NOTIFY_PENDING;
    return action;
}

/** notify.c: the holder leaves; serves what was left to it and completes who is woken by that. @p permit: is one stored? */
void sley__notify_leave(struct sley_notify *n, bool permit);

#endif
