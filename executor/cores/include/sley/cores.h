/* The cores executor: a local executor on each core, on a thread of its own that may be pinned. A task stays on the core where it was
 * spawned. As in glommio and monoio. Cores communicate by messages (<sley/mpsc.h>, ...), spawns and calls (sley_run_on). */
#ifndef SLEY_CORES_H
#define SLEY_CORES_H

#include <sley/executor.h>
#include <sley/placement.h>

SLEY_EXTERN_C_BEGIN

struct sley_core; /**< one core: a worker thread with its executor, reactor, wheel. From start to fini of its `struct sley_cores` */
struct sley_cores_state;

/** In the caller's memory. Must not move from init until fini has returned 0. All fields are private. */
struct sley_cores {
    struct sley_executor base;
    struct sley_cores_state *state;
    struct sley_workers_opts opts;
};

/**
 * Initialises @p ex; @p o may be NULL. It starts when a runtime is assembled with it, or by `ex->base.ops->start`, with as many
 * workers as its configuration says (0: one for each CPU that the placement may use; <sley/placement.h>). Either all of them start,
 * or none: then start returns the first error, and the text in `ret_error` names the core. In addition to the table's contract:
 * - Start: -EINVAL also for an allocator without SLEY_ALLOC_CAP_THREADS; -EAGAIN when there is no thread to be had.
 * - Workers are named "sley-core-N" and block every signal but those that a thread raises itself, SIGPROF, and SIGURG (<sley/watch.h>).
 * - Spawn takes the cores in turn; sley_spawn in a task stays on that task's core.
 * - Run blocks the calling thread. Halt ends that wait; the workers go on.
 * - Stop: each report begins with "core N: ". A core that does not answer within a second of the deadline (its task does not wait) is
 *   reported as such. Once stop has returned 0, spawns and calls are refused with -ESHUTDOWN.
 * - The configuration's report function and before_park are called on workers, several at a time.
 * Thread: any.
 */
SLEY_API void sley_cores_init(struct sley_cores *ex, const struct sley_workers_opts *o);

/** Its table, for those who wire by name. */
SLEY_API extern const struct sley_executor_ops sley_cores_ops;

/** The number of cores it runs on; 0 before start and after fini. Thread: any, from start to fini. */
SLEY_API uint32_t sley_cores_count(const struct sley_cores *ex);
/** The core with index @p index, 0 .. sley_cores_count() - 1; else NULL. Thread: any, from start to fini. */
SLEY_API struct sley_core *sley_cores_at(struct sley_cores *ex, uint32_t index);
/** The executor to which the current thread belongs, in a task or in a function of sley_run_on; NULL elsewhere. Thread: any. */
SLEY_API struct sley_cores *sley_cores_current(void);
/** The index of the current thread's core; -ESRCH on other threads. Thread: any. */
SLEY_API int sley_cores_here(void);
/** The number of the CPU to which a core's thread is pinned; -ENOENT: to none, or several; -EINVAL: no such core. Thread: any. */
SLEY_API int sley_cores_cpu(const struct sley_cores *ex, uint32_t index);

/** As sley_executor_ops.spawn, on the core with this index. Returns: as sley_spawn; -EINVAL: no such core. Thread: any. */
SLEY_API int sley_cores_spawn_on(struct sley_cores *ex, uint32_t index, const struct sley_task_type *type, const void *args,
                                 struct sley_task **ret_task);

/** A call in progress. */
struct sley_run_on_op {
    struct sley_wait wait;
    /* private */
    struct sley_post post;
    struct sley_core *core;
    int (*fn)(void *arg);
    void *arg;
    int *ret_result;
    SLEY_ATOMIC(uint32_t) stage;
};

/**
 * Calls `fn(arg)` on the thread of @p core, between its tasks, and waits until it returns. `*ret_result` (may be NULL) is what it
 * returned. @p fn is in no task: it may spawn, send, complete nodes and start ops, but not wait, and the core's tasks wait as long as it
 * runs. If @p core is the caller's own, @p fn is called at once, inside the calling task.
 * Returns: 0; -ECANCELED: cancelled before @p fn was called, and it will not be (once it was called, it is waited for); -ESHUTDOWN when
 * the core has ended; -EINVAL without a core or function; -EDEADLK as sley_await. Owns: @p arg stays the caller's.
 * Thread: a fiber, a plain thread. Cost: two pushes onto an inbox, and a wake-up for each side that sleeps.
 */
SLEY_API int sley_run_on(struct sley_core *core, int (*fn)(void *arg), void *arg, int *ret_result);
/** The same for frames. A cancel is answered when the core next looks at its inbox. */
SLEY_API void sley_run_on_start(struct sley_run_on_op *op, struct sley_core *core, int (*fn)(void *arg), void *arg, int *ret_result);

SLEY_EXTERN_C_END
#endif
