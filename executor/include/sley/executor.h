/* Executors run tasks. The table that every executor implements, and its configuration. Kinds: <sley/local.h>, <sley/cores.h>, ... */
#ifndef SLEY_EXECUTOR_H
#define SLEY_EXECUTOR_H

#include <sley/file_impl.h>
#include <sley/task_impl.h>

SLEY_EXTERN_C_BEGIN

struct sley_executor;

enum { SLEY_EXECUTOR_VERSION = 2 };
enum {
    SLEY_EXECUTOR_CAP_WORKERS = 1, /**< has threads of its own that run the tasks; `run` only waits */
};

/** The result of a turn. Not a boolean: to sleep although a task is ready is the classic bug here. */
enum sley_turn {
    SLEY_TURN_IDLE,      /**< nothing is ready; wait until the next deadline, or until something is posted */
    SLEY_TURN_RAN,       /**< ran something, and nothing is ready now: look again before waiting */
    SLEY_TURN_PREEMPTED, /**< more tasks are ready; the caller's limit was reached */
};

/** A clock for tests and simulations. */
struct sley_clock {
    uint64_t (*now_ns)(struct sley_clock *self);
    /** Optional: called in place of waiting when everything is idle and no I/O is armed; may move the clock. */
    void (*idle)(struct sley_clock *self, uint64_t next_ns);
};

/** How an executor starts. Zeroed fields mean the default. */
struct sley_executor_config {
    struct sley_alloc *alloc; /**< NULL: libc's */
    const struct sley_reactor_factory *const
        *reactors; /**< NULL-terminated, in order of preference: the first that starts is used. NULL: no I/O; waits on a futex */
    struct sley_clock *clock;            /**< NULL: CLOCK_MONOTONIC */
    uint64_t tick_ns;                    /**< 0: 1 ms */
    uint32_t worker_count;               /**< 0: the kind's default */
    struct sley_blocking_pool *blocking; /**< runs its tasks' blocking jobs; must outlive it. NULL: such jobs are -ENOTSUP */
    struct sley_offload *offload; /**< makes the reactors' blocking calls; must outlive it. NULL: each reactor has a helper thread */
    sley_report_fn report;        /**< NULL: silent */
    void *report_arg;
    void (*before_park)(void *arg); /**< called on a worker that is about to wait; it may make tasks ready. NULL: nothing */
    void *hook_arg;
    char *ret_error; /**< a sentence about a failed start goes here; may be NULL */
    size_t error_bytes;
    uint64_t stall_ns; /**< report tasks that keep a worker for longer; 0: this build's default (<sley/watch.h>); SLEY_NEVER: never */
    uint64_t stuck_ns; /**< stealing: a worker that is in one task for longer is helped by others; 0: 10 ms; SLEY_NEVER: never */
    void *loop;        /**< the application's event loop, for the reactors' options; see <sley/attach.h> */
    char *ret_refused; /**< gets the reactors that did not start, and why; may be NULL. Written during start */
    size_t refused_bytes;
    struct sley_lend_opts lend; /**< each reactor's pool of buffers; see <sley/lend.h> */
};

/** The table. Instances are static const. */
struct sley_executor_ops {
    uint32_t version; /**< SLEY_EXECUTOR_VERSION */
    uint32_t caps;    /**< SLEY_EXECUTOR_CAP_* */
    const char *name;
    /** Required. Makes workers, reactors, timer wheels. Returns: 0; a negative errno, and nothing is left. Thread: owner. */
    int (*start)(struct sley_executor *self, const struct sley_executor_config *config);
    /** Required. As sley_spawn into the root scope. -ESHUTDOWN after stop. Thread: any. */
    int (*spawn)(struct sley_executor *self, const struct sley_task_type *type, const void *args, struct sley_task **ret_task);
    /**
     * Required. Runs tasks (with CAP_WORKERS: waits) until the task @p until has ended; NULL: until no task is left.
     * Returns: 0; -EDEADLK inside a runtime; -EBUSY when another thread runs it; -ECANCELED when sley_executor_ops.halt was
     * called. Thread: any one at a time.
     */
    int (*run)(struct sley_executor *self, const struct sley_task *until);
    /**
     * Optional (-ENOTSUP). For an event loop that drives the executor: one turn without waiting, of at most @p max resumes (0: the
     * executor's usual batch). `*ret_next_ns`: the next deadline. Returns: enum sley_turn; -EDEADLK; -EBUSY. Thread: any one at a time.
     */
    int (*turn)(struct sley_executor *self, uint32_t max, uint64_t *ret_next_ns);
    /** Optional (-ENOTSUP). For the same: a descriptor that is readable when a turn has something to do. Thread: any. */
    int (*pollable_fd)(struct sley_executor *self);
    /** Required. Makes the current or next run return -ECANCELED soon; a run that has not begun runs nothing. Thread: any, signal. */
    void (*halt)(struct sley_executor *self);
    /**
     * Required. Refuses further spawns, cancels every task, and runs until all have ended or @p drain_deadline_ns has passed; then
     * reports each task that is left (sley_sched_report_left). Returns: 0; -ETIMEDOUT (tasks are left: call again, or leak them);
     * -EDEADLK; -EBUSY. Thread: as run.
     */
    int (*stop)(struct sley_executor *self, uint64_t drain_deadline_ns);
    /**
     * Required. Releases everything; tasks that never ran are dropped. Returns: 0; -EBUSY when tasks are left, or its reactor has ops of
     * other executors in flight that only another thread can end (sley_reactor_end). Thread: stopped.
     */
    int (*fini)(struct sley_executor *self);
    /** Required. The first worker's sched; NULL before start. */
    struct sley_sched *(*sched)(struct sley_executor *self);
    /** Optional (absent: 1). The number of threads that run tasks; 0 when it has not started. Thread: any, from start to fini. */
    uint32_t (*worker_count)(struct sley_executor *self);
    /** Optional (-ENOTSUP). As spawn, on one worker, where the task stays. -EINVAL: no such worker. Thread: any. */
    int (*spawn_on)(struct sley_executor *self, uint32_t worker, const struct sley_task_type *type, const void *args,
                    struct sley_task **ret_task);
    /* since version 2 */
    /**
     * Optional (halt). In the child of a fork, whose only thread may be in a task of this executor: nothing more is to be resumed
     * after that. Must not touch what may be half done. Thread: the one that forked.
     */
    void (*forked)(struct sley_executor *self);
};

/** Base of every executor; an implementation embeds it. Must not move. */
struct sley_executor {
    const struct sley_executor_ops *ops;
    struct sley_executor *next; /* private: those that have started */
};

/**
 * Makes a worker's reactor from the factories of @p config: the first that starts. None asked for: 0 and NULL. On failure the
 * names and reasons go to `config->ret_error`. Returns: 0; what the last one said; -EINVAL for a broken factory or table. Thread: its
 * worker's, or nobody drives it yet.
 */
SLEY_API int sley_executor_make_reactor(const struct sley_executor_config *config, struct sley_alloc *alloc,
                                        struct sley_reactor **ret_reactor);
/**
 * The same for one of several workers that share tasks: factories whose reactors lack SLEY_REACTOR_CAP_SHARED are passed over, unless
 * there is no other: then each worker has its reactor for itself, and ops travel there. -ENOTSUP for one that lives in one loop.
 */
SLEY_API int sley_executor_make_shared_reactor(const struct sley_executor_config *config, struct sley_alloc *alloc,
                                               struct sley_reactor **ret_reactor);

/**
 * For a worker (with SLEY_SCHED_CAP_HOME) that has nothing to run and is about to park: when something is on its way to @p s from
 * a pool, and such waits have been rewarded of late, waits for a moment without sleeping (a microsecond or two; on one processor
 * it yields): that saves two sleeps and two wakes when the job is short. Then look whether anything was posted, as
 * sley_sched_park does. Thread: owner.
 */
SLEY_API void sley_executor_grace(struct sley_sched *s);

/**
 * The last step of `start`, and of `fini`. In the child of a fork what has started and not ended is an orphan: each of its calls says
 * -EOWNERDEAD but for halt, which does nothing; its reactors say the same, and touch nothing that the parent has, too. A task that has
 * forked finds itself cancelled there, and the run that resumed it ends behind it; starting another executor in that task takes the
 * thread away from the inherited one, and the task must not return then. Returns: 0. Thread: any.
 */
SLEY_API int sley_executor_started(struct sley_executor *ex);
SLEY_API int sley_executor_ended(struct sley_executor *ex);
/** Was it inherited by fork? Thread: any. */
SLEY_API bool sley_executor_orphaned(const struct sley_executor *ex);

/** Is the table complete? Returns: 0; -EINVAL. Thread: any. */
SLEY_API int sley_executor_check(const struct sley_executor_ops *ops);

SLEY_EXTERN_C_END
#endif
