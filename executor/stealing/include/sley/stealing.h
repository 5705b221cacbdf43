/* The work-stealing executor: several threads that share tasks; who has none takes half of another's. tokio's multi_thread shape. */
#ifndef SLEY_STEALING_H
#define SLEY_STEALING_H

#include <sley/executor.h>

SLEY_EXTERN_C_BEGIN

struct sley_stealing_pool;

/**
 * A work-stealing executor in the caller's memory. `worker_count` of the configuration: 0 means one per processor that this
 * process may use; at most SLEY_STEALING_WORKERS_MAX. It has threads of its own: run only waits, tasks go on without it, and
 * turn is -ENOTSUP. Allocators must have SLEY_ALLOC_CAP_THREADS (else its start is -ENOTSUP); reactors with SLEY_REACTOR_CAP_SHARED
 * are preferred, others are each for their worker alone (sley_executor_make_shared_reactor). Start: also -EINVAL for more workers.
 *
 * A task may resume on another worker after every wait; one of `spawn_on` stays on its worker, and takes turns there with the
 * others. Order: a task that is woken or spawned by a task runs next on that worker
 * (the LIFO slot, at most three in a row), others in the order of becoming ready, per worker; those from outside are looked at
 * at an interval that adapts to how long resumes take. Must not move from start until fini has returned 0. Fields are private.
 */
struct sley_stealing {
    struct sley_executor base;
    struct sley_stealing_pool *pool;
};

enum { SLEY_STEALING_WORKERS_MAX = 1024 };

/** Readies one; sley_executor_ops.start makes its threads. Thread: any. */
SLEY_API void sley_stealing_init(struct sley_stealing *ex);

/** Its table, for those who wire by name. */
SLEY_API extern const struct sley_executor_ops sley_stealing_ops;

/**
 * Runs @p fn(arg), which may block or compute for long, right here: other workers take this one's ready tasks at once, and serve its
 * timers and descriptors until it returns, as they do anyway for a task that keeps its worker for longer than `stuck_ns`. On a pool
 * of one worker there is nobody to hand them to (sley_blocking serves them there), and under other executors nothing is handed on.
 * @p ret_result (may be NULL): what fn returned. Returns: 0; -EINVAL. Thread: in a task, or a plain thread. Frames and fibers.
 */
SLEY_API int sley_block_in_place(int (*fn)(void *arg), void *arg, int *ret_result);

/** What a worker has done so far; counts wrap. */
struct sley_stealing_stats {
    uint64_t resumes;   /**< tasks resumed */
    uint64_t steals;    /**< times it has taken from another worker */
    uint64_t overflows; /**< times its queue was full and half of it went to its backlog */
    uint64_t parks;     /**< times it has slept */
};
/** Statistics of worker @p index. Returns: 0; -EINVAL. Thread: any. */
SLEY_API int sley_stealing_stats(const struct sley_stealing *ex, uint32_t index, struct sley_stealing_stats *ret_stats);

SLEY_EXTERN_C_END
#endif
