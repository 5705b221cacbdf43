/* For who completes wait nodes: channels, reactors, pools. Users of tasks do not need it; who runs tasks: <sley/sched_impl.h>. */
#ifndef SLEY_TASK_IMPL_H
#define SLEY_TASK_IMPL_H

#include <sley/sched_impl.h>

SLEY_EXTERN_C_BEGIN

/* ---- the completer's side of a wait node ----------------------------------------------------------------------- */

enum { SLEY_WAIT_VERSION = 1 };

/** What kind of operation a node is. Instances are static const. */
struct sley_wait_ops {
    uint32_t version; /**< SLEY_WAIT_VERSION */
    uint32_t caps;    /**< 0 */
    const char *name; /**< for reports: "mpsc.recv" */
    /**
     * Optional: absent means that it cannot be cancelled. Asks the armed node to end; it completes in this call or later, or has
     * completed already, from elsewhere, and nothing happens. May be called more than once. Thread: who started the node.
     */
    void (*cancel)(struct sley_wait *w);
    /** Optional, for reports: which task holds what @p w waits for, or NULL. Thread: owner. */
    const struct sley_task *(*holder)(const struct sley_wait *w);
    /* since version 2 */
};

/** sley_wait_complete for signal handlers and interrupts: always through the inbox, or the waiting thread's futex. */
SLEY_API void sley_wait_complete_signal(struct sley_wait *w, int32_t result);

/** Called in place of waking a task. Runs on the node's home, or on the completer's thread when the node has none. */
struct sley_wait_hook {
    void (*fn)(struct sley_wait_hook *hook, struct sley_wait *w); /**< the node is done, unless fn belongs to a parked thread */
    struct sley_sched *home;                                      /* private */
} __attribute__((aligned(8)));

/** Waits for a node by callback; at most one waiter. fn runs inside this call if it is done, or was never started. Thread: the starter. */
SLEY_API void sley_wait_hook(struct sley_wait *w, struct sley_wait_hook *hook);

SLEY_API bool sley__wait_begin_slow(struct sley_wait *w);
SLEY_API void sley__wait_complete_slow(struct sley_wait *w, int32_t result);
SLEY_API void sley__wait_misuse_armed(struct sley_wait *w);
#ifdef SLEY_DEBUG
#define SLEY__CHECK_UNARMED(w) sley__wait_misuse_armed(w)
#else
#define SLEY__CHECK_UNARMED(w) ((void)0)
#endif

#ifndef __cplusplus

/* The word of a wait node: a kind in the low three bits, a pointer above. The table is in task/wait_state.h. */
enum sley__wait_kind {
    SLEY__KIND_NONE = 0,       /* with a null pointer: never started; SLEY__WAIT_DONE: done */
    SLEY__KIND_EMPTY = 1,      /* armed, no home, no waiter */
    SLEY__KIND_TASK = 2,       /* armed, no home, waiter is a task */
    SLEY__KIND_HOOK = 3,       /* armed, no home, waiter is a hook (a parked thread is one) */
    SLEY__KIND_COMPLETING = 4, /* the completer is between claiming the node and publishing DONE */
    SLEY__KIND_HOME = 5,       /* armed, pointer is the home sched, no waiter */
    SLEY__KIND_HOME_TASK = 6,  /* armed, waiter is a task of the home */
    SLEY__KIND_HOME_HOOK = 7,  /* armed, waiter is a hook of the home */
    SLEY__KIND_MASK = 7,
};

enum { SLEY__BUDGET = 128 };

/* task state bits that the inline paths need; the rest is in task/state.h */
enum {
    SLEY__TASK_IDLE = 0,
    SLEY__TASK_SCHEDULED = 1,
    SLEY__TASK_RUNNING = 2,
    SLEY__TASK_DONE = 3,
    SLEY__TASK_RUN_MASK = 3,
    SLEY__TASK_WOKEN = 4,        /* woken while running */
    SLEY__TASK_MOVES = 1 << 13,  /* was given a lane: is queued so that it can be taken out again */
    SLEY__TASK_PINNED = 1 << 15, /* of a group: runs on the sched that it was spawned on alone */
    SLEY__TASK_LANE_SHIFT = 16,
    SLEY__TASK_LANE_MASK = 0xff << SLEY__TASK_LANE_SHIFT, /* which of the sched's queues it is ready in */
};

SLEY_API void sley__lane_push(struct sley_sched *s, struct sley_task *t, uint32_t lane);

/** Puts a task that is SCHEDULED at the end of its lane. */
SLEY_INLINE void sley__task_queue(struct sley_sched *s, struct sley_task *t, uint32_t state)
{
    t->link.next = NULL;
    s->ready_count++;
    if (SLEY_UNLIKELY(state & (SLEY__TASK_LANE_MASK | SLEY__TASK_MOVES))) {
        sley__lane_push(s, t, (state & SLEY__TASK_LANE_MASK) >> SLEY__TASK_LANE_SHIFT);
        return;
    }
    *s->ready.tail = t;
    s->ready.tail = &t->link.next;
}

/** Makes a task of the current home ready. Thread: its home. */
SLEY_INLINE void sley__task_wake_home(struct sley_sched *s, struct sley_task *t)
{
    /* relaxed: run state is the home thread's alone */
    const uint32_t state = atomic_load_explicit(&t->state, memory_order_relaxed);
    if (SLEY_LIKELY((state & (SLEY__TASK_RUN_MASK | SLEY__TASK_LANE_MASK)) == SLEY__TASK_IDLE)) {
        /* relaxed: as above */
        atomic_store_explicit(&t->state, state | SLEY__TASK_SCHEDULED, memory_order_relaxed);
        sley__task_queue(s, t, 0);
    } else if ((state & SLEY__TASK_RUN_MASK) == SLEY__TASK_IDLE) {
        /* relaxed: as above */
        atomic_store_explicit(&t->state, state | SLEY__TASK_SCHEDULED, memory_order_relaxed);
        sley__task_queue(s, t, state);
    } else if ((state & SLEY__TASK_RUN_MASK) == SLEY__TASK_RUNNING) {
        /* relaxed: as above */
        atomic_store_explicit(&t->state, state | SLEY__TASK_WOKEN, memory_order_relaxed);
    }
}

/**
 * First thing in every start: names the operation. Returns false when the task is cancelled: the node is then done with
 * -ECANCELED and the start must touch nothing else. Must be followed by exactly one of finish and arm.
 */
SLEY_INLINE bool sley_wait_begin(struct sley_wait *w, const struct sley_wait_ops *ops)
{
    const struct sley_sched *s = sley__self;
    SLEY__CHECK_UNARMED(w);
    w->ops = ops;
    w->flags = 0;
    return SLEY_LIKELY(!s || s->budget > 0) || sley__wait_begin_slow(w);
}

/** The same for what is never cancelled: close, abort, fini, unlock. */
SLEY_INLINE void sley_wait_begin_always(struct sley_wait *w, const struct sley_wait_ops *ops)
{
    SLEY__CHECK_UNARMED(w);
    w->ops = ops;
    w->flags = 0;
}

/** sley_wait_finish for who knows the current sched. */
SLEY_INLINE void sley__wait_finish_in(struct sley_wait *w, struct sley_sched *s, int32_t result)
{
    if (SLEY_LIKELY(s != NULL)) {
        s->budget--;
    }
    w->result = result;
    /* release: publishes the result to whoever looks with sley_wait_done */
    atomic_store_explicit(&w->word, (uintptr_t)SLEY__WAIT_DONE, memory_order_release);
}

/** The start has the result at once. Draws on the budget. */
SLEY_INLINE void sley_wait_finish(struct sley_wait *w, int32_t result)
{
    sley__wait_finish_in(w, sley__self, result);
}

/** sley_wait_arm for who knows the current sched. */
SLEY_INLINE void sley__wait_arm_in(struct sley_wait *w, const struct sley_sched *s)
{
    /* relaxed: the lock or queue that shows the node to completers publishes it */
    atomic_store_explicit(&w->word, s ? s->arm_word : (uintptr_t)SLEY__KIND_EMPTY, memory_order_relaxed);
}

/** The node is about to be shown to its completers. After this, and before they see it, nothing else may fail. */
SLEY_INLINE void sley_wait_arm(struct sley_wait *w)
{
    sley__wait_arm_in(w, sley__self);
}

/**
 * Completes an armed node; each exactly once. The node, and the task that owns it, may be gone when this returns.
 * Thread: any. Cost: a few stores at home; one CAS and perhaps a ring from elsewhere. Not in signal handlers: see below.
 */
SLEY_INLINE void sley_wait_complete(struct sley_wait *w, int32_t result)
{
    struct sley_sched *s = sley__self;
    /* acquire: elsewhere it observes the waiting task's fields, which name its home; at home only this thread writes the word */
    const uintptr_t word = atomic_load_explicit(&w->word, memory_order_acquire);
    if (SLEY_LIKELY((word & SLEY__KIND_MASK) == SLEY__KIND_HOME_TASK)) {
        struct sley_task *t = (struct sley_task *)(word - SLEY__KIND_HOME_TASK);
        if (SLEY_LIKELY(t->sched == s)) {
            w->result = result;
            /* release: publishes the result to whoever looks with sley_wait_done */
            atomic_store_explicit(&w->word, (uintptr_t)SLEY__WAIT_DONE, memory_order_release);
            sley__task_wake_home(s, t);
            return;
        }
    }
    sley__wait_complete_slow(w, result);
}

/** The same for completers that run nowhere but on the thread where the node was armed, as a reactor does. */
SLEY_INLINE void sley_wait_complete_home(struct sley_wait *w, int32_t result)
{
    /* relaxed: this thread wrote it */
    const uintptr_t task = atomic_load_explicit(&w->word, memory_order_relaxed) - SLEY__KIND_HOME_TASK;
    if (SLEY_LIKELY((task & SLEY__KIND_MASK) == 0)) {
        struct sley_task *t = (struct sley_task *)task;
        w->result = result;
        /* release: publishes the result to whoever looks with sley_wait_done */
        atomic_store_explicit(&w->word, (uintptr_t)SLEY__WAIT_DONE, memory_order_release);
        sley__task_wake_home(t->sched, t);
    } else {
        sley__wait_complete_slow(w, result);
    }
}

#endif /* !__cplusplus */

/* ---- direct forms ----------------------------------------------------------------------------------------------- */

/**
 * First thing in every direct form: may this caller wait? Yields first when a fiber's budget is used up, so that nobody yields
 * holding what he has just acquired. Returns: 0; -EDEADLK in a frame, or on a thread that drives a runtime and is in no task.
 */
SLEY_API int sley_direct_enter(void);
/**
 * For direct forms that park a plain thread in something other than a node: the nearest deadline of the SLEY_UNTIL blocks that
 * the thread is in. Returns: 0 when one has passed (it is marked: answer -ECANCELED); SLEY_NEVER. Thread: plain.
 */
SLEY_API uint64_t sley_thread_deadline_ns(void);

SLEY_EXTERN_C_END
#endif
