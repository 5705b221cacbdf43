/* Blocking calls: pools of threads that run plain functions, and how a task waits for one. */
#ifndef SLEY_BLOCKING_H
#define SLEY_BLOCKING_H

#include <sley/task_impl.h>

SLEY_EXTERN_C_BEGIN

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/** A job: it is called on a thread that may block, with all signals blocked. Its return value goes to the caller's `*ret_result`. */
typedef int (*sley_blocking_fn)(void *arg);

enum {
    /**
     * The job is run even if it is cancelled, or its pool is stopped, before it has begun; it can ask sley_cancelled(). Without this flag
     * such a job is not run.
     */
    SLEY_BLOCKING_MUST_RUN = 1,
    /**
     * A cancel does not wait for the job: if it has begun (or must run) the result is -EINPROGRESS at once, the job runs on, and what it
     * returns is thrown away. Therefore the job owns its arguments: how->arg_bytes bytes at @p arg are copied at submit (-ENOMEM is
     * possible), and what they point to must stay valid as long as the job runs.
     */
    SLEY_BLOCKING_ABANDON = 2,
    SLEY_BLOCKING_TRY = 4,    /**< -EAGAIN when the queue is full; without this flag the job waits for room, in its op's memory */
    SLEY_BLOCKING_URGENT = 8, /**< before all jobs without it that wait in line, however long they do; those with it keep their order */
    SLEY__BLOCKING_KNOWN = 15, /* private: all of these */
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

/** A job in progress. The caller keeps its memory, and (but for ABANDON) what @p arg points to, valid from start until it is done. */
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
 * Calls `fn(arg)` on a thread of the runtime's pool and waits until it has returned. `*ret_result` (may be NULL) is what it returned.
 * A cancel after it was called only makes sley_cancelled() true inside the job; the job is waited for.
 * Returns: 0: @p fn was called. Else it was not, and `*ret_result` is untouched: -ECANCELED: it was cancelled, or its pool stopped,
 * before; -EOWNERDEAD: the pool was inherited by fork; -EAGAIN: the pool has no thread, and none could be made; -ENOTSUP: this executor
 * has no pool; -EINVAL: no function, or an unknown flag; -EDEADLK as sley_await.
 * Thread: as sley_await. Calls back: @p fn, on a thread of the pool; on a plain thread, and inside a job, on the calling thread, which
 * may block anyway. Cost: a microsecond while both threads are awake, else two wake-ups.
 */
SLEY_API int sley_blocking(sley_blocking_fn fn, void *arg, int *ret_result);
SLEY_API void sley_blocking_start(struct sley_blocking_op *op, sley_blocking_fn fn, void *arg, int *ret_result);

/**
 * The same with a choice of pool, policy and name. If @p how names a pool, a plain thread uses that pool and waits, too.
 * Returns: as sley_blocking; with TRY also -EAGAIN: the queue is full; with ABANDON also -ENOMEM, and -EINPROGRESS: cancelled, but the
 * job runs or must run; `*ret_result` is untouched. Thread: as sley_await. Calls back: as sley_blocking.
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
 * Starts @p count jobs, one op each; takes the pool's lock once and wakes one thread, which wakes the next. Await each of @p ops: its
 * result is that of sley_blocking_with (with TRY, jobs that find no room get -EAGAIN). Thread: in a task, or a plain thread.
 */
SLEY_API void sley_blocking_batch_start(struct sley_blocking_op *ops, const struct sley_blocking_how *how,
                                        const struct sley_blocking_call *calls, size_t count);
/** The same, and waits for all of them. Returns: 0: all were run; else the first error, in the order of @p calls. Thread: as sley_await. */
SLEY_API int sley_blocking_batch(struct sley_blocking_op *ops, const struct sley_blocking_how *how,
                                 const struct sley_blocking_call *calls, size_t count);

/* ---- pools ------------------------------------------------------------------------------------------------------- */

/** Options of a pool. A zeroed field means the default. */
struct sley_blocking_opts {
    const char *name;         /**< its threads' names (15 characters) and in reports; lives as long as the program. NULL: "blocking" */
    uint32_t thread_min;      /**< made at once, and kept when idle */
    uint32_t thread_max;      /**< 0: 512 */
    uint32_t queue_max;       /**< how many jobs may wait for a thread before TRY is refused; 0: 65536 */
    size_t stack_bytes;       /**< 0: the system's default */
    const char *cpus;         /**< where its threads run, as "0,4-7", of what the creator may use (NULL: all of that), whoever hands a
                                   job in. Not needed once it is created */
    int nice;                 /**< 0 to 19: its threads yield so much to others, as nice(2), from the creator's on; for work that
                                   computes. Linux takes none back: a thread that a niced one makes for another pool keeps it */
    uint64_t idle_ns;         /**< a thread beyond the minimum ends after so long without a job; 0: 10 s */
    struct sley_alloc *alloc; /**< CAP_THREADS; outlives the pool. NULL: libc's */
    sley_report_fn report;    /**< told each job that is left when a stop times out; NULL: silent */
    void *report_arg;
};

/**
 * Makes a pool. Shape: one FIFO, urgent jobs before the others, under a lock, idle threads in a stack, so that the same few work and
 * the others may end. At most one thread is on its way to the queue at a time; it calls the next when it leaves something there.
 * Returns: 0; -ENOMEM; -EINVAL (minimum above the maximum; an allocator for one thread; `nice`; `cpus` is no list, or names none
 * that may be used); -EAGAIN when the minimum of threads cannot be made (nothing is left then). Owns: the caller, who gives it back
 * with sley_blocking_destroy. Thread: any. The child of a
 * fork inherits it without its threads: there every call says -EOWNERDEAD, so does a cancel of what was in flight, and destroy gives
 * the pool's memory back (copies that jobs of the parent had stay). A job that forks ends in the child when it returns, and its thread
 * with it.
 */
SLEY_API int sley_blocking_create(const struct sley_blocking_opts *o, struct sley_blocking_pool **ret_pool);
/**
 * Changes the limits. With a maximum of 0 no job is run: jobs wait until it is raised, and TRY is refused. Threads beyond the maximum
 * end after their current job. Returns: 0; -EINVAL. Thread: any.
 */
SLEY_API int sley_blocking_resize(struct sley_blocking_pool *pool, uint32_t thread_min, uint32_t thread_max);
/**
 * Stops a pool. New jobs get -ECANCELED, and so do waiting jobs without MUST_RUN; those with it are run. Waits for the jobs that run
 * until @p deadline_ns (CLOCK_MONOTONIC), then for the threads to end. Returns: 0; -ETIMEDOUT: jobs are left, and a report has named each
 * of them; they run on, and stop may be called again; -EDEADLK in a job of this pool. Thread: any that may block.
 */
SLEY_API int sley_blocking_stop(struct sley_blocking_pool *pool, uint64_t deadline_ns);
/**
 * Stops the pool if that was not done, waiting as long as it takes, and frees it. Returns: 0, for NULL, too; -ETIMEDOUT when the last
 * stop timed out and jobs still run: the pool is kept (call again, or leak it); -EDEADLK in a job of this pool. Thread: any that may
 * block, while nobody waits for a job of the pool or submits one.
 */
SLEY_API int sley_blocking_destroy(struct sley_blocking_pool *pool);
/** Is the caller in a job of this pool? What waits for its jobs must not be waited for there. Thread: any. */
SLEY_API bool sley__blocking_inside(const struct sley_blocking_pool *pool);

SLEY_EXTERN_C_END
#endif
