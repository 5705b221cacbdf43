/* The work-stealing executor: several worker threads that share tasks; an idle worker takes half of another one's queue. As tokio's
 * multi_thread. */
#ifndef SLEY_STEALING_H
#define SLEY_STEALING_H

#include <sley/executor.h>
#include <sley/placement.h>

SLEY_EXTERN_C_BEGIN

struct sley_stealing_pool;

/**
 * A work-stealing executor in the caller's memory. `worker_count` of the configuration: 0 means one per CPU that the placement may
 * use (<sley/placement.h>); at most SLEY_STEALING_WORKERS_MAX. It has threads of its own: run only waits, tasks go on without it, and
 * turn is -ENOTSUP. Allocators must have SLEY_ALLOC_CAP_THREADS (else its start is -ENOTSUP); reactors with SLEY_REACTOR_CAP_SHARED
 * are preferred, others are each for their worker alone (sley_executor_make_shared_reactor). Start: also -EINVAL for more workers.
 *
 * A task may resume on another worker after every wait; a task of `spawn_on` stays on its worker. Order: a task that another task has
 * woken or spawned runs next on that worker (the LIFO slot; at most three in a row); the others run in the order of becoming ready,
 * per worker. Tasks spawned or woken from outside wait in a common queue, at which workers look at an interval that adapts to how long
 * resumes take. Must not move from start until fini has returned 0. Fields are private.
 */
struct sley_stealing {
    struct sley_executor base;
    struct sley_stealing_pool *pool;
    struct sley_workers_opts opts;
};

enum { SLEY_STEALING_WORKERS_MAX = 1024 };

/**
 * Initialises @p ex; sley_executor_ops.start makes its threads. @p o may be NULL: unbound. Workers that are placed, each on a CPU
 * (SPREAD, PACK, CUSTOM), look for work at those first who share the core, then the last-level cache, the NUMA node, the machine; among
 * equals in an order of chance. Memory of tasks is the worker's who spawns: touched first there, and so on its node; it comes back to
 * that worker wherever the task ends. The workers' own queues lie on the node of the thread that starts the executor.
 * Thread: any.
 */
SLEY_API void sley_stealing_init(struct sley_stealing *ex, const struct sley_workers_opts *o);

/** Its table, for those who wire by name. */
SLEY_API extern const struct sley_executor_ops sley_stealing_ops;

/**
 * Calls @p fn(arg), which may block or compute for long, on the current thread. Other workers take over this worker's ready tasks at
 * once, and its timers and descriptors until @p fn returns, as they do for any task that keeps its worker for longer than `stuck_ns`.
 * With a single worker, and under other executors, nobody takes anything over: use sley_blocking there.
 * @p ret_result (may be NULL): what @p fn returned. Returns: 0; -EINVAL. Thread: in a task (frame or fiber), or a plain thread.
 */
SLEY_API int sley_block_in_place(int (*fn)(void *arg), void *arg, int *ret_result);

/** What a worker has done so far; counts wrap. */
struct sley_stealing_stats {
    uint64_t resumes;   /**< tasks resumed */
    uint64_t steals;    /**< times it has taken from another worker */
    uint64_t spared;    /**< times it has looked at another worker and left a task in that one's LIFO slot: there was other work, or the
                             owner is soon through with what it has */
    uint64_t overflows; /**< times its queue was full and half of it went to its backlog */
    uint64_t parks;     /**< times it has slept */
};
/** Statistics of worker @p index. Returns: 0; -EINVAL. Thread: any. */
SLEY_API int sley_stealing_stats(const struct sley_stealing *ex, uint32_t index, struct sley_stealing_stats *ret_stats);

SLEY_EXTERN_C_END
#endif
