/* Assembling a runtime: options name the parts (executor, reactor, ...), and this starts, drives and stops the whole. */
#ifndef SLEY_RUNTIME_H
#define SLEY_RUNTIME_H

#include <sley/attach.h>
#include <sley/blocking.h>
#include <sley/executor.h>
#include <sley/offload.h>

SLEY_EXTERN_C_BEGIN

/**
 * What to assemble. A zeroed field means the value of the environment variable for it (SLEY_EXECUTOR, SLEY_REACTOR, SLEY_WORKERS,
 * SLEY_PLACEMENT, SLEY_STALL_MS), else the default. A part given by pointer takes precedence over a name.
 */
struct sley_runtime_opts {
    const char *executor_name; /**< "local" (default), "cores", "shares", "stealing" */
    /**
     * "epoll", "poll", "uring", "uring-msg" (if built in), "uv" (if linked), "none"; "auto" (default): uring if it starts and the
     * workers do not share their tasks, else epoll, else poll. sley_runtime_describe says which one runs, and why the others do not.
     */
    const char *reactor_name;
    uint32_t worker_count; /**< at most 1024; 0: SLEY_WORKERS, else the executor's default */
    const char *placement; /**< "cores" and "stealing": where workers run, as for sley_workers_place; default "unbound". Borrowed
                                until fini */
    struct sley_executor *executor;                     /**< initialised by its own init; the caller's memory, must not move */
    const struct sley_reactor_factory *const *reactors; /**< NULL-terminated; the first that starts */
    struct sley_blocking_pool *blocking; /**< must outlive the runtime; NULL: a pool of its own, without threads while it has no jobs */
    struct sley_alloc *alloc;            /**< must outlive every task handle; NULL: libc's */
    struct sley_clock *clock;            /**< NULL: CLOCK_MONOTONIC */
    uint64_t tick_ns;                    /**< timer resolution; 0: 1 ms */
    sley_report_fn report;               /**< NULL: silent */
    void *report_arg;
    void (*before_park)(void *arg);
    void *hook_arg;
    char *ret_error;    /**< a sentence about a failure goes here; may be NULL */
    size_t error_bytes; /**< its size; 256 is plenty */
    uint64_t stall_ns;  /**< a task that keeps its worker for longer is reported; SLEY_NEVER: none is; 0: SLEY_STALL_MS (0 there:
                             none is), else 25 ms in debug builds (100 under sanitizers), none in others */
    uint64_t stuck_ns;  /**< stealing: a worker that is in one task for longer is helped by others; 0: 10 ms; SLEY_NEVER: never */
    struct sley_attach attach; /**< the application's event loop, which is to drive the runtime; it determines the reactor. Works
                                    with "local" and "shares", and without `clock`. Zeroed: none */
    struct sley_lend_opts
        lend; /**< each reactor's pool of buffers for lent reads, <sley/lend.h>; zeroed: 1,024 of 4 KiB, reserved at the first use */
};

/** One thread that waits in its reactor, as tokio's current_thread, smol's LocalExecutor, monoio and libuv have it. */
SLEY_API extern const struct sley_runtime_opts sley_preset_local;
/** One worker thread per processor, and tasks that move to idle workers, as tokio's multi_thread has it. */
SLEY_API extern const struct sley_runtime_opts sley_preset_stealing;
/** One thread divided among task queues by shares, as glommio has it. To add queues pass an `executor` of <sley/shares.h>. */
SLEY_API extern const struct sley_runtime_opts sley_preset_shares;
/** One thread pinned to each CPU, each with an executor and a reactor of its own, as glommio and monoio have it. */
SLEY_API extern const struct sley_runtime_opts sley_preset_cores;

/* private: an executor chosen by name lives here; its kind knows what it is */
struct sley__executor_memory {
    void *words[48];
};

/**
 * A runtime in the caller's memory. Must not move from init until fini has returned 0. Fields are private.
 * In the child of a fork every call on an inherited runtime returns -EOWNERDEAD (halt does nothing), and nothing has to be released.
 * The child may make a runtime of its own. If a task called fork, that task is cancelled in the child, and the run that had resumed it
 * returns -EOWNERDEAD when the task next waits or ends; on an executor with threads of its own the child's only thread then ends.
 * Threads of other libraries do not exist in the child, and locks that they held stay locked: see those libraries' rules.
 */
struct sley_runtime {
    struct sley_executor *executor;
    struct sley__executor_memory memory;
    struct sley_blocking_pool *blocking;  /* its own, or NULL */
    struct sley_offload_blocking offload; /* the same pool, or the one that it was given, for the reactors */
    struct sley_clock *clock;
    char refused[192]; /* reactors that did not start before the one that did */
    struct sley_attach attach;
    struct sley_driven driven; /* by the loop that it is attached to */
};

/**
 * Assembles and starts a runtime. @p o may be NULL: all defaults. Returns: 0; -EINVAL for a name that is unknown or not built in, a
 * number out of range, or an option that the executor does not support (`ret_error` lists the valid ones); else the error of the part
 * that did not start. Owns: the caller, who ends it by sley_runtime_fini; on failure nothing is left. Thread: any.
 */
SLEY_API int sley_runtime_init(struct sley_runtime *rt, const struct sley_runtime_opts *o);

/**
 * Spawns a task and drives the runtime until the task has ended ("block on"). `*ret_result` (may be NULL) is what the task returned.
 * Returns: 0; as sley_spawn; -EDEADLK inside any runtime; -EBUSY when another thread drives it; -ECANCELED after
 * sley_runtime_halt (the task goes on at the next run). Owns: @p args are copied. Thread: one at a time.
 */
SLEY_API int sley_runtime_run(struct sley_runtime *rt, const struct sley_task_type *type, const void *args, int *ret_result);
/** Spawns into the root scope, from any thread; the task runs while some thread drives the runtime. Returns: as sley_spawn.
 * Owns: @p args are copied; a handle in `*ret_task` (@p ret_task may be NULL) is given back by sley_task_unref. Thread: any. */
SLEY_API int sley_runtime_spawn(struct sley_runtime *rt, const struct sley_task_type *type, const void *args,
                                struct sley_task **ret_task);
/**
 * The same on the worker with index @p worker, 0 .. sley_runtime_workers() - 1; the task stays on that worker.
 * Returns: as sley_spawn; -EINVAL: no such worker; -ENOTSUP: this executor cannot keep a task on a worker. Thread: any.
 */
SLEY_API int sley_runtime_spawn_on(struct sley_runtime *rt, uint32_t worker, const struct sley_task_type *type, const void *args,
                                   struct sley_task **ret_task);
/** The number of threads that run tasks; 0 for a zeroed or finished runtime. Thread: any, from init to fini. */
SLEY_API uint32_t sley_runtime_workers(const struct sley_runtime *rt);
/** Runs until no task is left. Returns: as sley_runtime_run. */
SLEY_API int sley_runtime_run_all(struct sley_runtime *rt);
/** Makes the current run, or the next one, return -ECANCELED soon. Thread: any, signal. */
SLEY_API void sley_runtime_halt(struct sley_runtime *rt);

/**
 * For an event loop that drives the runtime: runs ready tasks once, without waiting. `*ret_next_ns` (may be NULL): when to call it
 * again at the latest, an absolute time; SLEY_NEVER: not before sley_runtime_fd is readable.
 * Returns: enum sley_turn; -ENOTSUP: this executor has threads of its own; -EDEADLK and -EBUSY as run. Thread: as run.
 */
SLEY_API int sley_runtime_turn(struct sley_runtime *rt, uint64_t *ret_next_ns);
/** For the same: a descriptor that becomes readable when there is something to do. Returns: the descriptor, which stays the
 * runtime's; -ENOTSUP.
 * Thread: any, from init to fini. */
SLEY_API int sley_runtime_fd(struct sley_runtime *rt);

/**
 * Refuses further spawns, cancels every task, and drives the runtime until all tasks have ended or @p drain_deadline_ns (absolute)
 * has passed. Then stops the runtime's own blocking pool by the same deadline (sley_blocking_stop).
 * Returns: 0; -ETIMEDOUT: tasks or jobs are left, and a report has named each of them, and what it waits for, the first suspended fibers
 * (16 of each worker) with a backtrace, where there is one (sley_sched_report_left); stop may be called again;
 * -EDEADLK inside a runtime, or in a job of its own pool; -EBUSY while another thread drives or stops it. Thread: as run.
 */
SLEY_API int sley_runtime_stop(struct sley_runtime *rt, uint64_t drain_deadline_ns);
/**
 * Releases everything. Tasks that never ran are dropped: their type's drop function is called. Waits for jobs of the runtime's own
 * blocking pool; if a stop has timed out it does not wait, and a job that still runs keeps the memory that it uses.
 * Returns: 0, also for a zeroed or finished runtime; -EBUSY, and the runtime works as before, when tasks are left that have run (stop
 * it first), or, on io_uring, ops of other executors that another thread has started (<sley/reactor_uring.h>); -EDEADLK inside a
 * runtime, or in a job of its own pool. Thread: stopped.
 */
SLEY_API int sley_runtime_fini(struct sley_runtime *rt);

/**
 * Writes one line about the parts: "executor local, reactor epoll", "executor cores (4 workers), reactor epoll". If reactors that come
 * first in the order of choice did not start, it says why: "executor local, reactor epoll; reactor uring did not start (errno 1: ...)".
 * Features that a reactor does without are named: "reactor uring (without direct, fd_install)".
 * Returns: the length, at most @p bytes - 1; -EINVAL. Thread: any, from init to fini.
 */
SLEY_API int sley_runtime_describe(const struct sley_runtime *rt, char *ret_text, size_t bytes);

SLEY_EXTERN_C_END
#endif
