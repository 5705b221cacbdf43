/* Reactors' calls that may block, made by a blocking pool. A runtime has this already; for those who assemble by hand. */
#ifndef SLEY_OFFLOAD_H
#define SLEY_OFFLOAD_H

#include <sley/blocking.h>
#include <sley/file_impl.h>

SLEY_EXTERN_C_BEGIN

/** A blocking pool as a reactor sees it. `&o->base` goes into struct sley_executor_config. Must not move. */
struct sley_offload_blocking {
    struct sley_offload base;
    struct sley_blocking_pool *pool; /**< outlives it */
};

/** Readies one. Thread: any. Never fails. */
SLEY_API void sley_offload_blocking_init(struct sley_offload_blocking *o, struct sley_blocking_pool *pool);

SLEY_EXTERN_C_END
#endif
