/* The word of a wait node: kinds, edges, who takes them. The inline halves of the hot edges are in <sley/task_impl.h>.
 *
 * A word is a kind (low three bits) and a pointer. `home` means: started by a task of a single-threaded executor.
 *
 *   word                 meaning                                  goes on to
 *   0                    never started                            EMPTY, HOME (arm), DONE (finish)
 *   DONE (8)             done; result valid                       EMPTY, HOME, DONE: it may be started again
 *   EMPTY                armed, no home, nobody waits             TASK, HOOK (await), DONE (complete: one CAS)
 *   TASK   | task        armed, no home, a task waits             TASK, EMPTY (another waiter), COMPLETING
 *   HOOK   | hook        armed, no home, a callback or thread     HOOK, EMPTY, COMPLETING, DONE
 *   COMPLETING | who     the completer wakes the waiter           DONE, its last access
 *   HOME   | sched       armed at home, nobody waits              HOME_TASK, HOME_HOOK, DONE: the home thread alone
 *   HOME_TASK | task     armed at home, a task waits              HOME_TASK, HOME_HOOK, DONE: the home thread alone
 *   HOME_HOOK | hook     armed at home, a callback                DONE: the home thread alone
 *
 * A foreign completer of a home node never writes the word: it writes the result and pushes the node into the home's inbox
 * (release; the drain acquires), and home publishes. So registering at home is a plain store.
 * Linearisation point of a completion: the store or CAS that makes the word DONE.
 */
#ifndef SLEY_TASK_WAIT_STATE_H
#define SLEY_TASK_WAIT_STATE_H

#include <stdatomic.h>

#include <sley/task_impl.h>

/* in flags */
enum {
    SLEY__WAIT_CANCEL_ASKED = 1, /* it was asked to end, by its owner or a wait; it is not asked twice */
    SLEY__WAIT_LOST = 2,         /* a wait has asked: another one has won, the deadline passed, the task is cancelled */
};

/* what an inbox link points to; in the low two bits of the link value */
enum sley__item {
    SLEY__ITEM_NODE = 0,
    SLEY__ITEM_TASK = 1,
    SLEY__ITEM_POST = 2,
    SLEY__ITEM_HANDLE = 3,
    SLEY__ITEM_MASK = 3,
};

/* values of an inbox head that are not items */
enum { SLEY__INBOX_EMPTY = 0, SLEY__INBOX_PARKED = 3, SLEY__INBOX_CLOSED = 7 };

SLEY_INLINE uintptr_t sley__wait_word(const struct sley_wait *w)
{
    /* acquire: observes the result stored before DONE, and the waiter behind a registration */
    return atomic_load_explicit(&w->word, memory_order_acquire);
}

SLEY_INLINE enum sley__wait_kind sley__kind(uintptr_t word)
{
    return (enum sley__wait_kind)(word & SLEY__KIND_MASK);
}

SLEY_INLINE void *sley__pointer(uintptr_t word)
{
    return (void *)(word & ~(uintptr_t)SLEY__KIND_MASK);
}

SLEY_INLINE bool sley__armed(uintptr_t word)
{
    return sley__kind(word) != SLEY__KIND_NONE;
}

SLEY_INLINE bool sley__wait_live(const struct sley_wait *w)
{
    return w && sley__armed(sley__wait_word(w));
}

/** Done before a wait gave up on it? Such a node can be the winner, also when its owner has cancelled it. */
SLEY_INLINE bool sley__wait_won(const struct sley_wait *w)
{
    return w && sley_wait_done(w) && !(w->flags & SLEY__WAIT_LOST);
}

/** Publishes the result. The node may be gone afterwards. */
SLEY_INLINE void sley__wait_publish(struct sley_wait *w)
{
    /* release: publishes w->result to sley_wait_done and awaiters */
    atomic_store_explicit(&w->word, (uintptr_t)SLEY__WAIT_DONE, memory_order_release);
}

/** The home of an armed word, or NULL. */
struct sley_sched *sley__wait_home(uintptr_t word);
/** Pushes @p link (of an item of kind @p item) into the inbox of @p s. false: closed. */
bool sley__inbox_push(struct sley_sched *s, void **link, enum sley__item item);
/** Registers the current task or a hook as the waiter; false: the node is (being) completed, look again. */
bool sley__wait_register(struct sley_wait *w, uintptr_t waiter, enum sley__wait_kind home_kind, enum sley__wait_kind kind,
                         struct sley_sched *home);
/** Takes a hook registration back; false: the node is (being) completed. */
bool sley__wait_unregister(struct sley_wait *w, uintptr_t waiter);
/** Has a completer claimed it? Then the current task @p t, which waits for it, will be woken. */
bool sley__wait_claimed(const struct sley_wait *w, struct sley_task *t);
/** sley_wait_cancel for a wait that gives up on an armed node. */
void sley__wait_lose(struct sley_wait *w);
/** The same for all that are armed (select.c). Returns: whether any still is. */
bool sley__waits_lose(struct sley_wait *const *waits, size_t n);

/* thread.c: waiting on a plain thread; deadline_ns SLEY_NEVER for none */
enum sley__thread_how { SLEY__THREAD_ONE, SLEY__THREAD_SELECT, SLEY__THREAD_SELECT_KEEP };
int sley__thread_await(struct sley_wait *const *waits, size_t n, uint64_t deadline_ns, enum sley__thread_how how);
void sley__parker_wake(struct sley_wait_hook *hook, struct sley_wait *w);
void sley__thread_until_push(struct sley__until *u);
bool sley__thread_until_pop(struct sley__until *u); /* has its deadline passed? */
extern const struct sley_wait_ops sley__thread_timer_ops;

#endif
