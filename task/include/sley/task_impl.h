/* For implementers: who completes wait nodes (channels, reactors, ...) and who runs tasks (executors). Users of tasks do not need it. */
#ifndef SLEY_TASK_IMPL_H
#define SLEY_TASK_IMPL_H

#include <sley/alloc.h>
#include <sley/scope.h>

SLEY_EXTERN_C_BEGIN

/* ---- what an executor gives the task layer --------------------------------------------------------------------- */

enum { SLEY_SCHED_VERSION = 1 };
enum {
    /** One thread at a time runs this sched: its nodes, tasks and scopes are touched by that thread alone (others post). */
    SLEY_SCHED_CAP_HOME = 1,
};

/** The table that the task layer calls. Instances are static const. Validated by sley_sched_init. */
struct sley_sched_ops {
    uint32_t version; /**< SLEY_SCHED_VERSION */
    uint32_t caps;    /**< SLEY_SCHED_CAP_* */
    const char *name;
    /** Required. The inbox has become non-empty while the sched was parked: make it look. Thread: any, signal. Must not block. */
    void (*ring)(struct sley_sched *self);
    /** Required. Now, in ns. Thread: any. */
    uint64_t (*now_ns)(struct sley_sched *self);
    /** Required. Arms @p t for t->node.deadline_ns; at that time the executor calls sley_sched_timer_fired. Thread: owner. */
    void (*timer_arm)(struct sley_sched *self, struct sley_timer *t);
    /** Required. Takes an armed timer back; nothing when it is not. Thread: owner. */
    void (*timer_disarm)(struct sley_sched *self, struct sley_timer *t);
    /** Required. The last handle of a finished sched has gone: its memory may be released. Thread: any. */
    void (*release)(struct sley_sched *self);
    /* since version 2 */
};

/** What a report is about. */
enum sley_report_kind {
    SLEY_REPORT_MISUSE,   /**< a programming error, in debug builds: task, call site, remedy */
    SLEY_REPORT_OVERFLOW, /**< a fiber's stack overflowed; the process ends after this */
    SLEY_REPORT_LEFT,     /**< shutdown: a task that is still there, and what it waits for */
    SLEY_REPORT_START,    /**< why a part could not start */
};
/** Receives reports; must not call sley, nor block. OVERFLOW comes from a signal handler. */
typedef void (*sley_report_fn)(void *arg, enum sley_report_kind kind, const char *text);

struct sley__memory;
struct sley_reactor; /* <sley/reactor.h> */

/**
 * One worker of an executor as tasks see it: the executor embeds it. Must not move; see sley_sched_fini for how long it lives.
 * Fields are private to task/ but for ops and flags.
 */
struct sley_sched {
    const struct sley_sched_ops *ops;
    struct sley_task *current; /* the task that runs now, or NULL */
    int32_t budget;            /* inline completions left in this resume; <= 0 sends every start down the slow path */
    uint32_t ready_count;
    struct sley_task *ready_head; /* FIFO of intrusive links */
    struct sley_task **ready_tail;
    struct sley__memory *memory;
    struct sley_scope *root;
    struct sley_reactor *reactor; /* set by the executor: where ops started here go; may be NULL */
    uintptr_t arm_word;           /* what arming writes here: see sley_wait_arm */
    uint64_t clock_ns;     /* a lower bound of now: what the executor read last */
    uint32_t handle_count; /* handles given out and not yet back; home thread alone */
    uint32_t flags;
    uint32_t select_turn; /* where the next fair select starts to look */
    sley_report_fn report;
    void *report_arg;
    /* from here on other threads write */
    SLEY_ATOMIC(uintptr_t) inbox __attribute__((aligned(64)));
    SLEY_ATOMIC(uint32_t) inside;  /* posters between their first and last access */
    SLEY_ATOMIC(uint32_t) orphans; /* handles still out when the sched was finished */
    SLEY_ATOMIC(uint32_t) refuses; /* stopping: no more spawns from elsewhere */
};

enum {
    SLEY__SCHED_STOPPING = 1, /* the root takes no more tasks */
    SLEY__SCHED_BIAS = 2,     /* membarrier works: locks may lean towards this sched (sync/lock.h) */
};

/** The sched that runs on this thread, or NULL. Inline code must not keep its address across a fiber's wait. */
SLEY_API extern SLEY__TLS struct sley_sched *sley__self;
/** The same through a call: for code on both sides of a switch, whose thread may have changed. */
SLEY_API struct sley_sched *sley_sched_current(void) SLEY_NOINLINE;

struct sley_sched_opts {
    struct sley_alloc *alloc; /**< NULL: libc's. Must outlive every handle of its tasks */
    sley_report_fn report;    /**< NULL: silent */
    void *report_arg;
};

/** Readies a sched: no thread, no task. Returns: 0; -ENOMEM; -EINVAL (table). Thread: owner. */
SLEY_API int sley_sched_init(struct sley_sched *s, const struct sley_sched_ops *ops, const struct sley_sched_opts *opts);
/**
 * Closes the inbox of a sched none of whose tasks has run and is left, drops tasks that came last, and waits for posters
 * inside: no ring() comes after it. Twice is fine. Thread: stopped.
 */
SLEY_API void sley_sched_close(struct sley_sched *s);
/**
 * Ends a sched none of whose tasks is left (sley_sched_abandon drops those): closes it, gives memory back. Returns true when
 * the sched's own memory is free at once; false: `ops->release` says when. Thread: stopped.
 */
SLEY_API bool sley_sched_fini(struct sley_sched *s);
/** Makes @p s (or NULL) the thread's current sched; returns the one before, to be put back. */
SLEY_API struct sley_sched *sley_sched_enter(struct sley_sched *s);
/** May this thread drive a sched? Returns: 0; -EDEADLK when it drives one already, a mistake that debug builds report. */
SLEY_API int sley_sched_may_drive(void);
/** Resumes ready tasks, at most @p max. Returns how many it resumed. Thread: owner, entered. */
SLEY_API uint32_t sley_sched_run(struct sley_sched *s, uint32_t max);
SLEY_INLINE bool sley_sched_ready(const struct sley_sched *s)
{
    return s->ready_head != NULL;
}
/** Delivers what other threads have posted. Returns whether there was anything. Thread: owner, entered. */
SLEY_API bool sley_sched_drain(struct sley_sched *s);
/** Announces that the owner is about to park: true = nothing posted, ring() will be called from now on. Then: sley_sched_unpark. */
SLEY_API bool sley_sched_park(struct sley_sched *s);
SLEY_API void sley_sched_unpark(struct sley_sched *s);
/** The wheel says that @p t is due. Thread: owner, entered. */
SLEY_API void sley_sched_timer_fired(struct sley_timer *t);
/** Refuses further root tasks and cancels the root scope. Thread: owner, entered. */
SLEY_API void sley_sched_stop(struct sley_sched *s);
/** How many tasks have not ended. */
SLEY_API uint32_t sley_sched_live(const struct sley_sched *s);
/** Reports (SLEY_REPORT_LEFT) each task that is left and what it waits for. Thread: owner. */
SLEY_API void sley_sched_report_left(struct sley_sched *s);
/**
 * Ends what never ran: tasks that were not resumed yet have their arguments dropped and end with -ECANCELED; no more are taken.
 * When a task is left that has run, nothing happens but that the number of all that are left is returned; else 0.
 * Thread: owner, entered.
 */
SLEY_API uint32_t sley_sched_abandon(struct sley_sched *s);
/** Spawns into the root scope from any thread; see sley_spawn. -ESHUTDOWN once stopping. */
SLEY_API int sley_sched_spawn(struct sley_sched *s, const struct sley_task_type *type, const void *args,
                              struct sley_task **ret_task);
/** Gives idle memory (stacks, slab chunks) back. Returns bytes. Thread: owner. */
SLEY_API size_t sley_sched_trim(struct sley_sched *s);

/**
 * Before every wait: gives back, in small steps, stack memory that nobody has wanted for a second. Returns when to call again at
 * the latest: SLEY_NEVER as soon as all is given back, so that idle stays silent. Thread: owner. Cost: mostly two loads.
 */
SLEY_API uint64_t sley_sched_tidy(struct sley_sched *s);

/* ---- work that travels to a home thread ------------------------------------------------------------------------ */

/**
 * Makes `p->fn(p)` run on the home thread, in no task. The post is the caller's memory and must stay until it runs.
 * Returns false when the sched has ended (fn will not run). Thread: any, signal. Cost: one CAS, a ring if it is parked.
 */
SLEY_API bool sley_sched_post(struct sley_sched *s, struct sley_post *p);

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
    SLEY__TASK_WOKEN = 4, /* woken while running */
};

/** Makes a task of the current home ready. Thread: its home. */
SLEY_INLINE void sley__task_wake_home(struct sley_sched *s, struct sley_task *t)
{
    /* relaxed: run state is the home thread's alone */
    const uint32_t state = atomic_load_explicit(&t->state, memory_order_relaxed);
    if (SLEY_LIKELY((state & SLEY__TASK_RUN_MASK) == SLEY__TASK_IDLE)) {
        /* relaxed: as above */
        atomic_store_explicit(&t->state, state | SLEY__TASK_SCHEDULED, memory_order_relaxed);
        t->link.next = NULL;
        *s->ready_tail = t;
        s->ready_tail = &t->link.next;
        s->ready_count++;
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

/** The start has the result at once. Draws on the budget. */
SLEY_INLINE void sley_wait_finish(struct sley_wait *w, int32_t result)
{
    struct sley_sched *s = sley__self;
    if (SLEY_LIKELY(s != NULL)) {
        s->budget--;
    }
    w->result = result;
    /* release: publishes the result to whoever looks with sley_wait_done */
    atomic_store_explicit(&w->word, (uintptr_t)SLEY__WAIT_DONE, memory_order_release);
}

/** The same for who knows the current sched. */
SLEY_INLINE void sley__wait_finish_in(struct sley_wait *w, struct sley_sched *s, int32_t result)
{
    s->budget--;
    w->result = result;
    /* release: as above */
    atomic_store_explicit(&w->word, (uintptr_t)SLEY__WAIT_DONE, memory_order_release);
}

/** The node is about to be shown to its completers. After this, and before they see it, nothing else may fail. */
SLEY_INLINE void sley_wait_arm(struct sley_wait *w)
{
    const struct sley_sched *s = sley__self;
    /* relaxed: the lock or queue that shows the node to completers publishes it */
    atomic_store_explicit(&w->word, s ? s->arm_word : (uintptr_t)SLEY__KIND_EMPTY, memory_order_relaxed);
}

/** The same for who knows the current sched. */
SLEY_INLINE void sley__wait_arm_in(struct sley_wait *w, const struct sley_sched *s)
{
    /* relaxed: as above */
    atomic_store_explicit(&w->word, s->arm_word, memory_order_relaxed);
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
