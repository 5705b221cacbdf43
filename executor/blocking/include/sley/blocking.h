/* Blocking calls beside tasks: pools of threads that run plain functions, and the wait for their end. Not for tasks: executors. */
#ifndef SLEY_BLOCKING_H
#define SLEY_BLOCKING_H

#include <sley/task_impl.h>

SLEY_EXTERN_C_BEGIN

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/** What a job does: runs on a thread that may block, with all signals blocked; returns what its caller finds in `*ret_result`. */
typedef int (*sley_blocking_fn)(void *arg);

enum {
    /**
     * Neither a cancel nor the end of the pool keeps it from running: it is run even then, and sees sley_cancelled(). Without it
     * (may drop) a job that has not begun when it is cancelled, or when its pool stops, is not run.
     */
    SLEY_BLOCKING_MUST_RUN = 1,
    /**
     * A cancel does not wait for it: when it has begun (or must run) the verdict is -EINPROGRESS at once, it runs on, and its
     * result is thrown away. So it owns its arguments: how->arg_bytes bytes at @p arg are copied at submit (-ENOMEM is possible)
     * and what they point to is the job's to keep.
     */
    SLEY_BLOCKING_ABANDON = 2,
    SLEY_BLOCKING_TRY = 4,    /**< -EAGAIN when the queue is full; without it the job waits in line for room, in its op's memory */
    SLEY__BLOCKING_KNOWN = 7, /* private: all of these */
};

/** How to run a job; NULL means all zero. Not needed once the start has returned. */
struct sley_blocking_how {
    struct sley_blocking_pool *pool; /**< NULL: the runtime's */
    const char *name;                /**< for reports; lives as long as the program. NULL: the name of the task */
    uint32_t flags;                  /**< SLEY_BLOCKING_* */
    uint32_t arg_bytes;              /**< ABANDON: bytes to copy */
};

/* private: a place in a ring */
struct sley__blocking_link {
    struct sley__blocking_link *next, *prev;
};

/* private: a job in its pool's queue; an abandonable one lives in memory of the pool's allocator */
struct sley__blocking_job {
    struct sley__blocking_link link;
    sley_blocking_fn fn;
    void *arg;
    struct sley_blocking_op *op; /* who waits for it; NULL: abandoned */
    const char *name;
    SLEY_ATOMIC(uint32_t) cancelled;
    uint8_t flags;
    bool queued;           /* guarded by the pool's lock, as all links */
    uint32_t copied_bytes; /* how much memory it has of its own; 0: it is inside its op */
};

/** A job in progress. The caller's from start until it is done, and so is what @p arg points to (but for ABANDON). */
struct sley_blocking_op {
    struct sley_wait wait;
    /* private */
    struct sley_blocking_pool *pool;
    struct sley_sched *home;       /* held until the op is done; NULL: none */
    struct sley__blocking_job *at; /* guarded by the pool's lock; NULL: it has been abandoned, or its record has gone */
    int *ret_result;
    struct sley__blocking_job job;
};
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley_blocking_op) <= 128, "an op fits in a frame");
#endif

/**
 * Runs `fn(arg)` on a thread of the runtime's pool and waits for it. `*ret_result` (may be NULL) is what fn returned.
 * Returns: 0: it was run. Otherwise it was not, and `*ret_result` is untouched: -ECANCELED: it was cancelled, or its pool
 * stopped, before it began; -EOWNERDEAD: its pool was inherited by fork; -EAGAIN: no thread could be made for it and there is none;
 * -ENOTSUP: this executor has no pool; -EINVAL: no function, or a flag that there is not; -EDEADLK as sley_await.
 * Once it has begun a cancel is told to the job alone
 * (sley_cancelled()) and it is waited for. On a plain thread, and inside a job, fn is called right there: such a thread may block anyway.
 * Thread: as sley_await. Calls back: fn, on a thread of the pool. Cost: a microsecond while both threads are
 * awake, else two wakes of a thread.
 */
SLEY_API int sley_blocking(sley_blocking_fn fn, void *arg, int *ret_result);
SLEY_API void sley_blocking_start(struct sley_blocking_op *op, sley_blocking_fn fn, void *arg, int *ret_result);

/**
 * The same with a choice of pool, policy and name. Given a pool, a plain thread hands the job over and parks, too.
 * Returns: as sley_blocking; -EAGAIN with TRY: the queue is full; with ABANDON: -ENOMEM, and -EINPROGRESS: cancelled while it
 * runs or because it must run; it goes on, `*ret_result` is untouched.
 */
SLEY_API int sley_blocking_with(const struct sley_blocking_how *how, sley_blocking_fn fn, void *arg, int *ret_result);
SLEY_API void sley_blocking_with_start(struct sley_blocking_op *op, const struct sley_blocking_how *how, sley_blocking_fn fn, void *arg,
                                       int *ret_result);

/** One call of a batch. */
struct sley_blocking_call {
    sley_blocking_fn fn;
    void *arg;
    int *ret_result; /**< may be NULL */
};
/**
 * Starts @p count jobs, one op each, entering the pool once and waking one thread, which wakes the next. Await each of @p ops;
 * their results are those of sley_blocking_with. With TRY those are refused that find no room. Thread: in a task, or a plain thread.
 */
SLEY_API void sley_blocking_batch_start(struct sley_blocking_op *ops, const struct sley_blocking_how *how,
                                        const struct sley_blocking_call *calls, size_t count);
/** The same, and waits for all of them. Returns: 0: all were run; else the first failure, in order. Thread: as sley_await. */
SLEY_API int sley_blocking_batch(struct sley_blocking_op *ops, const struct sley_blocking_how *how,
                                 const struct sley_blocking_call *calls, size_t count);

/* ---- pools ------------------------------------------------------------------------------------------------------- */

/** How a pool is to be. A zeroed field means the default. */
struct sley_blocking_opts {
    const char *name;         /**< its threads' names (15 characters) and in reports; lives as long as the program. NULL: "blocking" */
    uint32_t thread_min;      /**< made at once, and kept when idle */
    uint32_t thread_max;      /**< 0: 512 */
    uint32_t queue_max;       /**< jobs that wait for a thread before TRY is refused; 0: 65536 */
    size_t stack_bytes;       /**< 0: the system's default */
    uint64_t idle_ns;         /**< a thread beyond the minimum ends when it had nothing to do for so long; 0: 10 s */
    struct sley_alloc *alloc; /**< CAP_THREADS; outlives the pool. NULL: libc's */
    sley_report_fn report;    /**< who is left at a stop that times out; NULL: silent */
    void *report_arg;
};

/**
 * Makes a pool. Shape: one FIFO under a lock, idle threads in a stack, so that the same few work and the others may end. At most
 * one thread is on its way to the queue at a time; it calls the next when it leaves something there.
 * Returns: 0; -ENOMEM; -EINVAL (minimum above the maximum; an allocator for one thread); -EAGAIN when the minimum of threads
 * cannot be made (nothing is left then). Owns: the caller, who gives it back with sley_blocking_destroy. Thread: any. The child of a
 * fork inherits it without its threads: there every call says -EOWNERDEAD, so does a cancel of what was in flight, and destroy gives
 * the pool's memory back (copies that jobs of the parent had stay). A job that forks ends in the child when it returns, and its thread
 * with it.
 */
SLEY_API int sley_blocking_create(const struct sley_blocking_opts *o, struct sley_blocking_pool **ret_pool);
/**
 * Moves the limits. With a maximum of 0 nothing is run: jobs wait in line until it is raised, TRY is refused. Threads beyond the
 * maximum end after their job. Returns: 0; -EINVAL. Thread: any.
 */
SLEY_API int sley_blocking_resize(struct sley_blocking_pool *pool, uint32_t thread_min, uint32_t thread_max);
/**
 * Ends a pool: further jobs get -ECANCELED, and so do those in line that may be dropped; what must run is run; what runs is waited
 * for until @p deadline_ns (CLOCK_MONOTONIC), and every thread is gone then. Returns: 0; -ETIMEDOUT: each job that is left was
 * named in a report; it runs on, and stop may be called again; -EDEADLK in a job of this pool. Thread: any that may block.
 */
SLEY_API int sley_blocking_stop(struct sley_blocking_pool *pool, uint64_t deadline_ns);
/**
 * Stops it, unless that was done, waiting as long as it takes, and gives its memory back. Returns: 0, for NULL, too; -ETIMEDOUT
 * when the last stop timed out and jobs still run: they keep what they use, and so does the pool (call again, or leak it);
 * -EDEADLK in a job of this pool. Thread: any that may block; no job is waited for by anybody, none is handed in.
 */
SLEY_API int sley_blocking_destroy(struct sley_blocking_pool *pool);
/** Is the caller in a job of this pool? What waits for its jobs must not be waited for there. Thread: any. */
SLEY_API bool sley__blocking_inside(const struct sley_blocking_pool *pool);

SLEY_EXTERN_C_END
#endif
