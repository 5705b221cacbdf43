/* A signal without a value: "something has changed, look again". Settable from anywhere, interrupts included. Values travel
 * through <sley/mpsc.h> and <sley/oneshot.h>. */
#ifndef SLEY_NOTIFY_H
#define SLEY_NOTIFY_H

#include <sley/sync_impl.h>

SLEY_EXTERN_C_BEGIN

/* Which calls may meet on one notify without a lock of the user's (yes), and which may not (no):
 *
 *                                  set set_all   wait forward | init fini
 *   set, set_all                   yes           yes          | no
 *   wait, its cancel, forward      yes           yes          | no
 *   init, fini                     no            no           | no
 *
 * From signal handlers and interrupts: set and set_all. The notify must outlive every op on it, and every call of set. */

struct sley_notify;

/** A wait in progress: the caller's until it is done. */
struct sley_notify_op {
    union {
        struct sley_wait wait;
        struct sley__waiter waiter; /* private */
    };
    struct sley_notify *notify; /* private */
};

/**
 * Either a permit is stored, or waiters queue (oldest first), or neither. Must not move from init to fini; static zeroed memory
 * needs no init. All fields are private; the word is described in sync/notify_state.h.
 * Source: tokio's Notify. A waiter that was notified is done, with 0, and a later cancel does not change that: so a notification
 * is never lost in silence, but neither is it passed on by itself. See sley_notify_forward.
 */
struct sley_notify {
    SLEY_ATOMIC(uint32_t) word;
    struct sley__waiters waiters;
};
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley_notify_op) <= 64, "a notify op's budget");
SLEY_STATIC_ASSERT(sizeof(struct sley_notify) <= 24, "a notify's budget");
#endif

/** Readies it: no permit. NULL is fine. Thread: owner. */
SLEY_API void sley_notify_init(struct sley_notify *n);
/** Ends it: waiters that are left get -EPIPE. Twice, or zeroed: nothing. Thread: stopped. */
SLEY_API void sley_notify_fini(struct sley_notify *n);

/**
 * Wakes the waiter that has waited longest; with none there, stores a permit, which the next wait takes at once. Several in a
 * row store one. What the caller did before is seen by whoever is woken.
 * Thread: any, signal (and interrupt). Lock-free: it never waits for anybody, not even for whom it has interrupted.
 * Cost: one CAS with nobody waiting; three with a waiter, and a ring if its executor is parked.
 */
SLEY_API void sley_notify_set(struct sley_notify *n);
/**
 * Wakes everybody who waits now; stores no permit. All of them or none: when one has been notified by this call, so have the
 * others, even if their nodes are done a moment later, and cancelling them gives 0. Thread: any, signal. Cost: O(waiters).
 */
SLEY_API void sley_notify_set_all(struct sley_notify *n);

/**
 * Waits for a notification. Returns: 0; -ECANCELED (no notification was used up); -EPIPE fini; -EINVAL; -EDEADLK as sley_await.
 * Thread: any.
 */
SLEY_API int sley_notify_wait(struct sley_notify *n);
SLEY_API void sley_notify_wait_start(struct sley_notify_op *op, struct sley_notify *n);

/**
 * For who has been notified and leaves without acting on it (a select that another node has won, a cancelled task): passes the
 * notification of a done op on to the next waiter, or stores it. Nothing when the op was cancelled in time, was woken by set_all,
 * or was forwarded before. Thread: any.
 */
SLEY_API void sley_notify_forward(struct sley_notify_op *op);

SLEY_EXTERN_C_END
#endif
