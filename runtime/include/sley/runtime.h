/* Assembly: parts named in options become a running runtime. The parts themselves live in their own rooms. */
#ifndef SLEY_RUNTIME_H
#define SLEY_RUNTIME_H

#include <sley/attach.h>
#include <sley/blocking.h>
#include <sley/executor.h>
#include <sley/offload.h>

SLEY_EXTERN_C_BEGIN

/**
 * What to assemble. A zeroed field means: what the environment says (SLEY_EXECUTOR, SLEY_REACTOR, SLEY_WORKERS, SLEY_PLACEMENT,
 * SLEY_STALL_MS), else the default. Parts given by pointer win over names.
 */
struct sley_runtime_opts {
    const char *executor_name; /**< "local" (default), "cores", "shares", "stealing" */
    /**
     * "epoll", "poll", "uring", "uring-msg" (if built in), "uv" (if linked), "none"; "auto" (default): uring where it starts and no
     * workers are to share it, else epoll, else poll. sley_runtime_describe says which, and why not the one before.
     */
    const char *reactor_name;
    uint32_t worker_count; /**< at most 1024; 0: SLEY_WORKERS, else what the executor thinks best */
    const char *placement; /**< "cores" alone: where workers run, as in sley_cores_place; default "unbound". Borrowed until fini */
    struct sley_executor *executor;                     /**< readied by its init; the caller's memory, not to be moved */
    const struct sley_reactor_factory *const *reactors; /**< NULL-terminated; the first that starts */
    struct sley_blocking_pool *blocking; /**< outlives the runtime; NULL: its own, whose threads come with jobs and go when idle */
    struct sley_alloc *alloc;            /**< outlives every handle; NULL: libc's */
    struct sley_clock *clock;            /**< NULL: CLOCK_MONOTONIC */
    uint64_t tick_ns;                    /**< timer resolution; 0: 1 ms */
    sley_report_fn report;               /**< NULL: silent */
    void *report_arg;
    void (*before_park)(void *arg);
    void *hook_arg;
    char *ret_error;           /**< a sentence about a failure goes here; may be NULL */
    size_t error_bytes;        /**< its size; 256 is plenty */
    uint64_t stall_ns;         /**< a task that keeps its worker for longer is reported; SLEY_NEVER: none is; 0: SLEY_STALL_MS (0 there:
                             none is), else 25 ms in debug builds (100 under sanitizers), none in others */
    uint64_t stuck_ns;         /**< stealing: other workers serve one that is in a task for longer; 0: 10 ms; SLEY_NEVER: they do not */
    struct sley_attach attach; /**< the application's event loop, in which the runtime is to live; its kind names the reactor.
                                    Needs an executor with a turn ("local", "shares") and no clock of one's own. Zeroed: none */
    struct sley_lend_opts lend; /**< buffers that each reactor lends to reads, <sley/lend.h>; zeroed: 1,024 of 4 KiB, made at first use */
};

/** tokio's current_thread, smol's LocalExecutor, monoio's and libuv's shape: one thread that waits in its reactor. */
SLEY_API extern const struct sley_runtime_opts sley_preset_local;
/** tokio's multi_thread shape: one worker per processor, and tasks that go where there is time for them. */
SLEY_API extern const struct sley_runtime_opts sley_preset_stealing;
/** glommio's shape: the same thread divided among task queues by shares. With queues of one's own: `executor`, <sley/shares.h>. */
SLEY_API extern const struct sley_runtime_opts sley_preset_shares;
/** glommio's and monoio's shape: a thread pinned to each CPU that there is, each a runtime of its own. */
SLEY_API extern const struct sley_runtime_opts sley_preset_cores;

/* private: an executor chosen by name lives here; its kind knows what it is */
struct sley__executor_memory {
    void *words[48];
};

/**
 * A runtime in the caller's memory. Must not move from init until fini has returned 0. Fields are private.
 * In the child of a fork every call on an inherited one says -EOWNERDEAD (halt does nothing), and nothing has to be released; the
 * child may make a runtime of its own. A task that forked is cancelled in the child, and the run that it was resumed in returns
 * -EOWNERDEAD behind it; on executors with threads of their own its thread, the child's only one, ends. Threads of other libraries
 * are not there after a fork, and locks that they held stay locked: what is safe for them is theirs to say.
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
 * Assembles and starts. @p o may be NULL. Returns: 0; -EINVAL for a name that is unknown or not built in, a bad number, or what
 * the executor of that name cannot (the error text lists what there is); what a part said when it could not start. Nothing is left
 * on failure. Thread: any.
 */
SLEY_API int sley_runtime_init(struct sley_runtime *rt, const struct sley_runtime_opts *o);

/**
 * Spawns a task and runs until it has ended ("block on"). `*ret_result` (may be NULL) is what it returned.
 * Returns: 0; as sley_spawn; -EDEADLK inside any runtime; -EBUSY when another thread drives it; -ECANCELED after
 * sley_runtime_halt (the task is left as it is). Thread: one at a time.
 */
SLEY_API int sley_runtime_run(struct sley_runtime *rt, const struct sley_task_type *type, const void *args, int *ret_result);
/** Spawns into the root scope from any thread; runs when somebody drives the runtime. Returns: as sley_spawn. */
SLEY_API int sley_runtime_spawn(struct sley_runtime *rt, const struct sley_task_type *type, const void *args,
                                struct sley_task **ret_task);
/**
 * The same on the worker with this number, which the task does not leave; how many there are: sley_runtime_workers.
 * Returns: as sley_spawn; -EINVAL: no such worker; -ENOTSUP: several workers, and tasks are not theirs. Thread: any.
 */
SLEY_API int sley_runtime_spawn_on(struct sley_runtime *rt, uint32_t worker, const struct sley_task_type *type, const void *args,
                                   struct sley_task **ret_task);
/** How many threads run tasks; 0 when it is not there. Thread: any, from init to fini. */
SLEY_API uint32_t sley_runtime_workers(const struct sley_runtime *rt);
/** Runs until no task is left. Returns: as sley_runtime_run. */
SLEY_API int sley_runtime_run_all(struct sley_runtime *rt);
/** Makes a run return -ECANCELED soon. Thread: any, signal. */
SLEY_API void sley_runtime_halt(struct sley_runtime *rt);

/**
 * For foreign loops: one turn that does not wait. `*ret_next_ns` (may be NULL): when to call again at the latest.
 * Returns: enum sley_turn; -ENOTSUP; -EDEADLK; -EBUSY. Thread: as run.
 */
SLEY_API int sley_runtime_turn(struct sley_runtime *rt, uint64_t *ret_next_ns);
/** For foreign loops: a descriptor that is readable when a turn has something to do. Returns: it; -ENOTSUP.
 * Thread: any, from init to fini. */
SLEY_API int sley_runtime_fd(struct sley_runtime *rt);

/**
 * Refuses spawns, cancels every task, runs until all have ended or @p drain_deadline_ns has passed.
 * Then stops the runtime's own blocking pool by the same deadline (sley_blocking_stop).
 * Returns: 0; -ETIMEDOUT: each task that is left was named in a report, with what it waits for, and each job; -EDEADLK inside a
 * runtime, or in a job of its own pool; -EBUSY while another thread drives it, or stops it. Thread: as run.
 */
SLEY_API int sley_runtime_stop(struct sley_runtime *rt, uint64_t drain_deadline_ns);
/**
 * Releases everything; tasks that never ran are dropped. Returns: 0, on a zeroed or finished one too; -EBUSY when tasks are left
 * that have run (stop first), or, on io_uring, ops for others that another thread has begun (<sley/reactor_uring.h>): it goes on
 * working; -EDEADLK inside a runtime, or in a job of its own pool. Waits for jobs of its own blocking pool, unless a stop has timed
 * out: what still runs then keeps what it uses. Thread: stopped.
 */
SLEY_API int sley_runtime_fini(struct sley_runtime *rt);

/**
 * One line: "executor local, reactor epoll", "executor cores (4 workers), reactor epoll"; and, if better ones did not start, which
 * and why: "executor local, reactor epoll; reactor uring did not start (errno 1: ...)". A reactor that does without something says so:
 * "reactor uring (without direct, fd_install)". Returns: its length, cut to @p bytes; -EINVAL. Thread: any, from init to fini.
 */
SLEY_API int sley_runtime_describe(const struct sley_runtime *rt, char *ret_text, size_t bytes);

SLEY_EXTERN_C_END
#endif
