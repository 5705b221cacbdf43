/* For executors with several workers that share tasks: what their scheds have in common. One worker: <sley/sched_impl.h>. */
#ifndef SLEY_GROUP_IMPL_H
#define SLEY_GROUP_IMPL_H

#include <sley/task_impl.h>

SLEY_EXTERN_C_BEGIN

/**
 * The workers of one executor as the task layer sees them: a task of one is a task of all. Each has a sched without
 * SLEY_SCHED_CAP_HOME whose `group` points here. The executor embeds it. Fields are private.
 */
struct sley_group {
    struct sley_sched *const *scheds; /* borrowed */
    uint32_t count;
    void (*release)(struct sley_group *self); /* the last handle of a finished group has gone: its memory may go. Thread: any */
    SLEY_ATOMIC(struct sley_post *) posts;    /* for whichever worker looks first; newest first */
    /* from here on every thread writes */
    SLEY_ATOMIC(int64_t) handles __attribute__((aligned(64))); /* given out and not yet back, those of workers aside, while alive */
    SLEY_ATOMIC(uint32_t) inside;                              /* other threads between their first and last access */
    SLEY_ATOMIC(const struct sley_task *) watched; /* a task with a handle, whose end the scheds' `ended` is told; NULL: none */
};

/** The rest of sley_spin_lock, when somebody holds it: spins, and yields the processor after a while. */
SLEY_API void sley_spin_wait(SLEY_ATOMIC(uint32_t) * lock);

/**
 * A full barrier on every running thread of the process: what plain stores and loads of theirs that stand in order in the compiled code
 * are for whoever calls it, they are as if with a fence between them. Of use where scheds have SLEY__SCHED_BIAS. Thread: any. Cost: a
 * system call, and an interrupt of each such thread.
 */
SLEY_API void sley_group_barrier(void);

/** Readies a group over scheds that have been initialised. @p release as in the struct. Thread: owner. */
SLEY_API void sley_group_init(struct sley_group *g, struct sley_sched *const *scheds, uint32_t count,
                              void (*release)(struct sley_group *self));
/** Before a thread's first sley_sched_resume for a sched. Thread: owner, entered. */
SLEY_API void sley_sched_adopt(struct sley_sched *s);
/**
 * Resumes @p t, which `schedule` has handed over. Returns: whether it is to be queued again, behind others (it has yielded, or was
 * woken meanwhile): the caller does so, no other `schedule` comes. Thread: owner of @p s, entered.
 */
SLEY_API bool sley_sched_resume(struct sley_sched *s, struct sley_task *t);
/**
 * As sley_sched_spawn, but only @p s runs the task: its `schedule`, and who resumed it, queue it there (sley_task_pinned). What it
 * spawns is not pinned. Returns: as sley_sched_spawn. Thread: any.
 */
SLEY_API int sley_sched_spawn_pinned(struct sley_sched *s, const struct sley_task_type *type, const void *args,
                                     struct sley_task **ret_task);
/** Takes back memory of tasks that have ended on other workers. Thread: owner of @p s, entered. Cost: a load when there is none. */
SLEY_API void sley_sched_collect(struct sley_sched *s);
/**
 * Makes a parked worker look: true when it was parked and nobody else has called it. The first half of waking; it has rung then.
 * Thread: any, signal.
 */
SLEY_API bool sley_sched_nudge(struct sley_sched *s);
/**
 * As sley_sched_post, but whichever worker of the group of @p s looks first runs it, so that it does not wait for one that is in a task
 * for long; @p s is called for it if it is parked. Without a group it is sley_sched_post. The caller knows of a task of the group that
 * does not end before. Thread: any, signal.
 */
SLEY_API bool sley_sched_post_any(struct sley_sched *s, struct sley_post *p);
/** Runs what was posted so. Thread: one of its workers, entered, in no task. Cost: a load when there is nothing. */
SLEY_API void sley_group_drain(struct sley_group *g);
/** Is it a scope's deadline? Such a timer is to be fired under the lock that `timer_disarm` takes. */
SLEY_API bool sley_timer_is_deadline(const struct sley_timer *t);
/** Refuses tasks in a worker's root scope, or takes them again, without stopping those that are there. Thread: any. */
SLEY_API void sley_sched_refuse(struct sley_sched *s, bool refuse);
/** Is no task left in any worker's root scope, at one moment? Looking at one after the other cannot tell. Thread: any. */
SLEY_API bool sley_group_empty(const struct sley_group *g);
/** Gives a finished sched's memory back: the last step of `release`. */
SLEY_API void sley_sched_destroy(struct sley_sched *s);
/**
 * The first half of sley_group_fini: closes the inboxes and waits for other threads inside: no ring() comes after it. Twice is fine.
 * Thread: stopped.
 */
SLEY_API void sley_group_close(struct sley_group *g);
/**
 * Ends a group none of whose tasks is left: closes the inboxes, waits for other threads inside, gives memory back. Returns true
 * when the scheds' own memory is free at once; false: `release` says when. Thread: stopped.
 */
SLEY_API bool sley_group_fini(struct sley_group *g);

/**
 * A lock between an owner, who comes often and without a locked instruction, and others, who come seldom, one at a time. Sections
 * are short and call nobody.
 *
 *   held     1 while the owner is inside, or looks whether it may be; written by the owner alone
 *   seized   1 while one of the others is inside: the owner then does by locked instructions, as the other does, what it comes for
 *
 *     owner: (a) held = 1                     other: (1) seized = 1 (an exchange: one at a time)
 *            (b) compiler barrier                    (2) membarrier: a full barrier on each running thread of the process
 *            (c) seized still 0? -> inside           (3) wait until held == 0 -> inside
 *
 * The proof is that of the lock that leans (sley/sync_impl.h), but for the end: the other one gives the door back (seized = 0,
 * release). Where membarrier is not to be had (not `plain`) it is seized for good: it keeps nobody apart, and everybody goes by locked
 * instructions.
 */
struct sley_door {
    SLEY_ATOMIC(uint32_t) held, seized;
    bool plain; /**< constant */
};

#ifndef __cplusplus

/**
 * A lock for sections of some ten nanoseconds that call nobody: a word, 0 when free. Thread: any, not signal. Cost: one locked
 * instruction.
 */
SLEY_INLINE void sley_spin_lock(SLEY_ATOMIC(uint32_t) * lock)
{
    /* acquire: observes the last holder's work; pairs with sley_spin_unlock */
    if (SLEY_UNLIKELY(atomic_exchange_explicit(lock, 1, memory_order_acquire) != 0)) {
        sley_spin_wait(lock);
    }
}

/** Returns: whether it was free, and is this thread's now. */
SLEY_INLINE bool sley_spin_try(SLEY_ATOMIC(uint32_t) * lock)
{
    /* acquire: as in sley_spin_lock */
    return atomic_exchange_explicit(lock, 1, memory_order_acquire) == 0;
}

SLEY_INLINE void sley_spin_unlock(SLEY_ATOMIC(uint32_t) * lock)
{
    /* release: publishes what was done inside to the next holder; the last access */
    atomic_store_explicit(lock, 0, memory_order_release);
}

/** @p plain: the scheds have SLEY__SCHED_BIAS. Thread: owner, before others know it. */
SLEY_INLINE void sley_door_init(struct sley_door *d, bool plain)
{
    *d = (struct sley_door){.seized = !plain, .plain = plain};
}

SLEY_INLINE void sley_door_leave(struct sley_door *d)
{
    /* release: what the owner did inside is seen by who waits for 0 */
    atomic_store_explicit(&d->held, 0, memory_order_release);
}

/** Returns: whether the owner is alone inside, until sley_door_leave. Thread: owner. Cost: with leaving, two plain stores and a load. */
SLEY_INLINE bool sley_door_enter(struct sley_door *d)
{
    /* relaxed: (a); ordered before (c) by the other's membarrier */
    atomic_store_explicit(&d->held, 1, memory_order_relaxed);
    /* (b): the store-load pair (a) (c) keeps its order in the compiled code */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    /* acquire: (c); of one who has left it is seen what he did */
    if (SLEY_LIKELY(!atomic_load_explicit(&d->seized, memory_order_acquire))) {
        return true;
    }
    sley_door_leave(d); /* the other may go on */
    return false;
}

/** Returns: whether this thread is inside, until sley_door_yield; false: another one is. Thread: any but the owner. Cost: a membarrier. */
SLEY_API bool sley_door_seize(struct sley_door *d);

SLEY_INLINE void sley_door_yield(struct sley_door *d)
{
    if (d->plain) {
        /* release: the owner, which acquires, and the next of the others find things as they are now */
        atomic_store_explicit(&d->seized, 0, memory_order_release);
    }
}

/** Is there something for sley_group_drain? Thread: any. */
SLEY_INLINE bool sley_group_posted(const struct sley_group *g)
{
    /* relaxed: a hint; before parking a fence comes first, which pairs with the one in sley_sched_post_any */
    return atomic_load_explicit(&g->posts, memory_order_relaxed) != NULL;
}

/** Is it for its own sched alone? Thread: whoever queues it. */
SLEY_INLINE bool sley_task_pinned(const struct sley_task *t)
{
    /* relaxed: it never changes */
    return (atomic_load_explicit(&t->state, memory_order_relaxed) & SLEY__TASK_PINNED) != 0;
}

#endif

SLEY_EXTERN_C_END
#endif
