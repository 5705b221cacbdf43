/* For who runs tasks (executors): a worker as the task layer sees it. Who completes wait nodes: <sley/task_impl.h>. */
#ifndef SLEY_SCHED_IMPL_H
#define SLEY_SCHED_IMPL_H

#include <sley/alloc.h>
#include <sley/scope.h>

SLEY_EXTERN_C_BEGIN

/* ---- what an executor gives the task layer --------------------------------------------------------------------- */

enum { SLEY_SCHED_VERSION = 1 };
enum {
    /**
     * One thread at a time runs this sched: its nodes, tasks and scopes are touched by that thread alone (others post). Without
     * it the sched is a worker of a group (sley_group): its tasks may run on any of them, and `schedule` says who is ready.
     */
    SLEY_SCHED_CAP_HOME = 1,
};

/** Why a task is ready: where an executor with several workers puts it. */
enum sley_ready {
    SLEY_READY_WOKEN,
    SLEY_READY_SPAWNED,
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
    /** Required. Takes an armed timer back; nothing when it is not. Returns: whether it was armed. Thread: owner. */
    bool (*timer_disarm)(struct sley_sched *self, struct sley_timer *t);
    /** Required. The last handle of a finished sched has gone: its memory may be released. Thread: any. */
    void (*release)(struct sley_sched *self);
    /** Optional. Lane @p lane (> 0) was empty and has a ready task now. Thread: owner. Must not run tasks. */
    void (*lane_ready)(struct sley_sched *self, uint32_t lane);
    /**
     * Required without CAP_HOME. @p t, a task of the group of @p self, is ready, and is to be resumed (sley_sched_resume) once
     * by any worker. Timers of a group are armed on the current worker, and taken back on any. Thread: any, signal.
     */
    void (*schedule)(struct sley_sched *self, struct sley_task *t, enum sley_ready why);
    /** Optional. The task that the group watches has ended. Thread: any worker. */
    void (*ended)(struct sley_sched *self);
    /**
     * Optional; absent: each question draws on the budget. `preempt` is not 0, and the current task asks whether it is to give way.
     * May set `preempt` to 0, so that further questions cost two loads, and to 1 again from anywhere. Thread: owner. Must not run tasks.
     */
    bool (*need_preempt)(struct sley_sched *self);
    /* since version 2 */
};

enum { SLEY_LANE_COUNT_MAX = 256 };

/** What a report is about. */
enum sley_report_kind {
    SLEY_REPORT_MISUSE,   /**< a programming error, in debug builds: task, call site, remedy */
    SLEY_REPORT_OVERFLOW, /**< a fiber's stack overflowed; the process ends after this */
    SLEY_REPORT_LEFT,     /**< shutdown: a task that is still there, what it waits for, and where: sley_sched_report_left */
    SLEY_REPORT_START,    /**< why a part could not start */
    SLEY_REPORT_STALL,    /**< a task has kept its worker for too long: its name, how long, a backtrace; once more when it is over */
};
/** Receives reports; must not call sley, nor block. OVERFLOW comes from a signal handler, STALL from the watchdog's thread. */
typedef void (*sley_report_fn)(void *arg, enum sley_report_kind kind, const char *text);

struct sley__memory;
struct sley_group;         /* <sley/group_impl.h> */
struct sley_reactor;       /* <sley/reactor.h> */
struct sley_blocking_pool; /* <sley/blocking.h> */

/** Ready tasks in order: a FIFO through their links. Empty: head NULL, tail at head. */
struct sley_lane {
    struct sley_task *head;
    struct sley_task **tail;
    void *owner; /* the executor's */
};

/**
 * One worker of an executor as tasks see it: the executor embeds it. Must not move; see sley_sched_fini for how long it lives.
 * Fields are private to task/ but for ops and flags.
 */
struct sley_sched {
    const struct sley_sched_ops *ops;
    struct sley_task *current; /* the task that runs now, or NULL */
    int32_t budget;            /* inline completions left in this resume; <= 0 sends every start down the slow path */
    uint32_t ready_count;      /* in all lanes */
    struct sley_lane ready;    /* lane 0: where tasks are unless told otherwise */
    struct sley_lane *lanes;   /* [lane]: set by an executor that has several (up to SLEY_LANE_COUNT_MAX); [0] is not used. NULL */
    uint32_t lane_count;
    uint32_t level_count; /* set by an executor whose first lanes are strict priorities, the last the most urgent; 0: they are not */
    SLEY_ATOMIC(uint32_t) preempt;      /* 0: nobody wants the current task to give way; else ops->need_preempt knows */
    SLEY_ATOMIC(uint32_t) resume_count; /* goes up with each resume; written by the owner, read by a watchdog, too */
    uint32_t run_end;                   /* the run loop ends when resume_count is here */
    struct sley__memory *memory;
    struct sley_group *group; /* set by an executor with several workers, which share tasks; NULL: home */
    struct sley_scope *root;
    struct sley_reactor *reactor;        /* set by the executor: where ops started here go; may be NULL */
    struct sley_blocking_pool *blocking; /* the same: where jobs go */
    uintptr_t arm_word;                  /* what arming writes here: see sley_wait_arm */
    uint64_t clock_ns;                   /* a lower bound of now: what the executor read last */
    uint32_t handle_count;               /* handles given out and not yet back; home thread alone */
    uint32_t flags;
    uint32_t select_turn; /* where the next fair select starts to look */
    sley_report_fn report;
    void *report_arg;
    void *watched; /* sley_watch_add's */
    uint8_t grace; /* SLEY_GRACE_*, written by pools; the other two are sley_executor_grace's */
    uint8_t grace_credit, grace_probe;
    uint32_t audit_next; /* debug builds: the resume_count from which on all tasks are looked at again */
    /* from here on other threads write */
    SLEY_ATOMIC(uintptr_t) inbox __attribute__((aligned(64)));
    SLEY_ATOMIC(uint32_t) inside;  /* posters between their first and last access */
    SLEY_ATOMIC(uint32_t) orphans; /* handles still out when the sched was finished */
    SLEY_ATOMIC(uint32_t) refuses; /* stopping: no more spawns from elsewhere */
    SLEY_ATOMIC(uint32_t) driven;  /* the executor's: a thread is inside run, turn or stop; 0 always with several workers, which run */
    SLEY_ATOMIC(struct sley_task *) returned; /* of a group: made here, ended elsewhere; see sley_sched_collect */
};

/** How to wait for a moment for what comes back from another thread. */
enum { SLEY_GRACE_NONE, SLEY_GRACE_SPIN, SLEY_GRACE_YIELD /**< one processor: let that thread run */ };

enum {
    SLEY__SCHED_BIAS = 2, /* membarrier works: locks may lean towards this sched (sync/lock.h) */
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
/** Resumes ready tasks of lane 0, at most @p max. Returns how many it resumed. Thread: owner, entered. */
SLEY_API uint32_t sley_sched_run(struct sley_sched *s, uint32_t max);
/** The same for one lane: lanes[i], or the ready one. */
SLEY_API uint32_t sley_sched_run_lane(struct sley_sched *s, struct sley_lane *lane, uint32_t max);
/** The same, ending as soon as `ops->need_preempt` says so, which is asked after each resume while `preempt` is not 0. */
SLEY_API uint32_t sley_sched_run_slice(struct sley_sched *s, struct sley_lane *lane, uint32_t max);
/** Draws one unit of the current task's budget; true when none is left. */
SLEY_INLINE bool sley_sched_draw(struct sley_sched *s)
{
    return --s->budget <= 0;
}
#ifndef __cplusplus
/** The run loop ends after the resume that runs now. For ops->lane_ready. Thread: owner. */
SLEY_INLINE void sley_sched_break(struct sley_sched *s)
{
    /* relaxed: this thread wrote it */
    s->run_end = atomic_load_explicit(&s->resume_count, memory_order_relaxed);
}
#endif
/** Is any task ready, in any lane? */
SLEY_INLINE bool sley_sched_ready(const struct sley_sched *s)
{
    return s->ready_count != 0;
}
SLEY_INLINE void sley_lane_init(struct sley_lane *lane)
{
    lane->head = NULL;
    lane->tail = &lane->head;
}
/** Delivers what other threads have posted. Returns whether there was anything. Thread: owner, entered. */
SLEY_API bool sley_sched_drain(struct sley_sched *s);
/**
 * Announces that the owner is about to park: true = nothing posted, ring() will be called from now on. Then: sley_sched_unpark.
 * Nothing may be ready; debug builds report that, and now and then look for tasks that have missed their wake. Thread: owner.
 */
SLEY_API bool sley_sched_park(struct sley_sched *s);
/** Returns: whether it was parked still; false: somebody has posted, or nudged it. */
SLEY_API bool sley_sched_unpark(struct sley_sched *s);
/** The wheel says that @p t is due. Thread: owner, entered. */
SLEY_API void sley_sched_timer_fired(struct sley_timer *t);
/** Refuses further root tasks and cancels the root scope. Thread: owner, entered. */
SLEY_API void sley_sched_stop(struct sley_sched *s);
/** How many tasks have not ended. */
SLEY_API uint32_t sley_sched_live(const struct sley_sched *s);
/**
 * Reports (SLEY_REPORT_LEFT) each task that is left and what it waits for. Thread: owner; of a group any, while no worker begins a
 * resume. @p still: none is in one either. Else one that is resumed now is named, without what is below it. Where the switch is in
 * assembly (x86-64, aarch64) and libc has backtrace, and they stand @p still, the first 16 suspended fibers come with a backtrace, in
 * lines as a stall's: their stacks are read, nothing runs there. A frame has no stack: its name and the place of its wait are all.
 */
SLEY_API void sley_sched_report_left(struct sley_sched *s, bool still);
/**
 * Adds a line for each of @p count addresses to @p text of @p bytes, @p at of which hold text: function and module, or what addr2line
 * takes. They are where calls return to; the first one, if @p exact, is where something is. Returns the new @p at. Only where libc has
 * backtrace. Thread: any, not signal.
 */
SLEY_API size_t sley__trace_text(char *text, size_t at, size_t bytes, void *const *pcs, size_t count, bool exact);
/**
 * Ends what never ran: tasks that were not resumed yet have their arguments dropped and end with -ECANCELED; no more are taken.
 * When a task is left that has run, nothing happens but that the number of all that are left is returned; else 0.
 * Thread: owner, entered.
 */
SLEY_API uint32_t sley_sched_abandon(struct sley_sched *s);
/** Spawns into the root scope and lane 0 from any thread; see sley_spawn. -ESHUTDOWN once stopping. */
SLEY_API int sley_sched_spawn(struct sley_sched *s, const struct sley_task_type *type, const void *args, struct sley_task **ret_task);
/** The same into another lane. */
SLEY_API int sley_sched_spawn_lane(struct sley_sched *s, uint32_t lane, const struct sley_task_type *type, const void *args,
                                   struct sley_task **ret_task);
/** How many tasks of @p lane have not ended. Thread: owner. Cost: a walk over all tasks. */
SLEY_API uint32_t sley_sched_lane_live(const struct sley_sched *s, uint32_t lane);
/** Gives idle memory (stacks, slab chunks) back. Returns bytes. Thread: owner. */
SLEY_API size_t sley_sched_trim(struct sley_sched *s);

/**
 * Before every wait: gives back, in small steps, stack memory that nobody has wanted for a second. Returns when to call again at
 * the latest: SLEY_NEVER as soon as all is given back, so that idle stays silent. Thread: owner. Cost: mostly two loads.
 */
SLEY_API uint64_t sley_sched_tidy(struct sley_sched *s);

/* ---- waiting without a reactor ----------------------------------------------------------------------------------- */

/** The machine's monotonic clock, in ns. Thread: any, signal. */
SLEY_API uint64_t sley_thread_now_ns(void);
/** The thread waits until the bell has been rung or @p until_ns has come (SLEY_NEVER: no limit). May return early. Resets the bell. */
SLEY_API void sley_thread_wait(SLEY_ATOMIC(uint32_t) * bell, uint64_t until_ns);
/** Rings: the current or next wait returns. Thread: any, signal. */
SLEY_API void sley_thread_ring(SLEY_ATOMIC(uint32_t) * bell);

/* ---- work that travels to a home thread ------------------------------------------------------------------------ */

/**
 * Makes `p->fn(p)` run on the home thread, in no task. The post is the caller's memory and must stay until it runs.
 * Returns false when the sched has ended (fn will not run). Thread: any, signal. Cost: one CAS, a ring if it is parked.
 */
SLEY_API bool sley_sched_post(struct sley_sched *s, struct sley_post *p);

#ifndef __cplusplus

/**
 * A completion for @p s (with CAP_HOME) is on its way from another thread: closing it waits, by spinning, until that is given
 * back, which is the completer's last access. Thread: any.
 */
SLEY_INLINE void sley_sched_hold(struct sley_sched *s)
{
    /* relaxed: taken by who keeps the sched alive; sley_sched_close waits for the release below */
    atomic_fetch_add_explicit(&s->inside, 1, memory_order_relaxed);
}
SLEY_INLINE void sley_sched_unhold(struct sley_sched *s)
{
    /* release: the last access to the sched; pairs with the wait in sley_sched_close, and with sley_sched_held */
    atomic_fetch_sub_explicit(&s->inside, 1, memory_order_release);
}
/** Is something on its way? When not, all that was has been posted. Thread: owner. */
SLEY_INLINE bool sley_sched_held(const struct sley_sched *s)
{
    /* acquire: observes the posts of those who have given it back */
    return atomic_load_explicit(&s->inside, memory_order_acquire) != 0;
}
/** Has something been posted? A hint. Thread: owner, not parked. */
SLEY_INLINE bool sley_sched_posted(const struct sley_sched *s)
{
    /* relaxed: a hint; the drain acquires */
    return atomic_load_explicit(&s->inbox, memory_order_relaxed) != 0;
}

#endif /* !__cplusplus */

SLEY_EXTERN_C_END
#endif
