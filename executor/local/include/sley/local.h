/* The local executor: the thread that drives it runs all its tasks, FIFO within each priority; when idle it waits in its reactor. As in
 * smol, monoio and embassy. */
#ifndef SLEY_LOCAL_H
#define SLEY_LOCAL_H

#include <sley/executor.h>

SLEY_EXTERN_C_BEGIN

/** A local executor in the caller's memory. Must not move from init until fini has returned 0. All fields are private. */
struct sley_local {
    struct sley_executor base;
    struct sley_local_worker *worker;
    const struct sley_local_order *order; /* <sley/local_impl.h> */
    uint32_t levels;                      /* bit n: lane n (> 0) may have ready tasks */
    uint32_t level;                       /* the one that runs */
};

/**
 * Initialises @p ex. It starts when a runtime is assembled with it, or by `ex->base.ops->start`. Priorities (sley_task_set_priority)
 * are served in strict order, and cost nothing while none is used. Thread: any.
 */
SLEY_API void sley_local_init(struct sley_local *ex);

/** Its table, for those who wire by name. */
SLEY_API extern const struct sley_executor_ops sley_local_ops;

SLEY_EXTERN_C_END
#endif
