/* Where the threads of an executor with several workers run: by a policy, over what sysfs says of CPUs, caches and nodes. */
#ifndef SLEY_PLACEMENT_H
#define SLEY_PLACEMENT_H

#include <stddef.h>

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

/** Where the workers' threads may run. Only CPUs count that are online and allowed to the thread which starts the executor. */
enum sley_placement {
    SLEY_PLACEMENT_UNBOUND, /**< anywhere, as the kernel decides; `cpus` is ignored */
    SLEY_PLACEMENT_FENCED,  /**< each worker on any of `cpus` */
    SLEY_PLACEMENT_SPREAD,  /**< one CPU per worker, farthest apart first: nodes, packages, shared caches, cores, at last siblings */
    SLEY_PLACEMENT_PACK,    /**< one CPU per worker, nearest first: the siblings of a core, then its cache, package and node */
    SLEY_PLACEMENT_CUSTOM,  /**< one CPU per worker: those of `cpus`, in the order given */
};

/**
 * The threads of an executor. Zeroed: unbound. It does not start (-EINVAL) when more workers are asked for than there are CPUs under
 * SPREAD, PACK and CUSTOM, or when `cpus` is no list, or names none that may be used (CUSTOM: each must be).
 */
struct sley_workers_opts {
    enum sley_placement placement;
    const char *cpus;   /**< as "0,4-7": narrows SPREAD and PACK (NULL: all); required for CUSTOM and FENCED. Borrowed until fini */
    size_t stack_bytes; /**< of each worker's thread, on which frames and called functions run; 0: the system's default */
};

/**
 * Placement from a text: "unbound", "spread", "pack", or one of "spread:0-7", "pack:0-7", "fenced:0-3", "custom:0,2,4"; a bare
 * list is custom. @p o->cpus points into @p text. Returns: 0; -EINVAL, @p o untouched (NULL, unknown word, no list). Thread: any.
 */
SLEY_API int sley_workers_place(struct sley_workers_opts *o, const char *text);

SLEY_EXTERN_C_END
#endif
