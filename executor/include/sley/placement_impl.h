/* For implementers of executors that place their threads: from options to CPUs, and which worker is near which. */
#ifndef SLEY_PLACEMENT_IMPL_H
#define SLEY_PLACEMENT_IMPL_H

#include <sley/alloc.h>
#include <sley/placement.h>

SLEY_EXTERN_C_BEGIN

enum { SLEY_CPU_LIMIT = 8192 }; /**< the most that Linux can be built for */

/** A set of CPU numbers. */
struct sley_cpus {
    uint64_t words[SLEY_CPU_LIMIT / 64];
};

/** What two workers share that matters most, nearest first. */
enum sley_near {
    SLEY_NEAR_CORE,    /**< they are siblings of a core (SMT), or on one CPU */
    SLEY_NEAR_CACHE,   /**< the last-level cache */
    SLEY_NEAR_NODE,    /**< the memory of a NUMA node */
    SLEY_NEAR_MACHINE, /**< nothing of these, or nobody knows where they are */
};

/** Where a worker is: its CPU, and who shares the core, the cache, the node with it: whose numbers here are equal. */
struct sley_seat {
    uint32_t cpu;
    uint32_t near[SLEY_NEAR_MACHINE];
};

/** How many workers there are, and where each may run. */
struct sley_plan {
    uint32_t count;
    struct sley_seat *seats; /**< of each worker; NULL: none is pinned to one CPU */
    struct sley_cpus fence;  /**< without seats: where all of them may run */
};

/**
 * Plans @p wanted workers (0: one for each CPU that the placement may use) for the calling thread. Returns: 0; -EINVAL, with a sentence
 * in @p ret_error (@p error_bytes of it; may be NULL); -ENOMEM. Owns: to be given back with sley_plan_fini. Thread: any. Cost: unless
 * placed a system call, else it reads some files per CPU.
 */
SLEY_API int sley_plan_init(struct sley_plan *p, const struct sley_workers_opts *o, uint32_t wanted, struct sley_alloc *a,
                            char *ret_error, size_t error_bytes);
SLEY_API void sley_plan_fini(struct sley_plan *p, struct sley_alloc *a);
/**
 * Makes the calling thread run where the plan says for worker @p index. To be the first thing that a worker does: memory comes from the
 * node where it is first touched. Returns: 0; a negative errno of sched_setaffinity(2), which is called only if the thread runs
 * elsewhere. Thread: any, of the plan's process.
 */
SLEY_API int sley_plan_pin(const struct sley_plan *p, uint32_t index);

/** In which order a worker looks at the others: an iteration, whose fields are private. */
struct sley_victims {
    const struct sley_plan *plan;
    uint32_t thief, dice;
    uint32_t near; /* of those that come next */
    uint32_t left; /* how many of these have not come */
    uint32_t at;   /* where to look for the next one */
};
/**
 * Begins. The order: those nearest to @p thief first (enum sley_near), and among equals round from one that @p dice and the thief choose,
 * each of them as likely; so that not all begin with the same. The same order for the same plan, thief and dice. Thread: any.
 */
SLEY_API struct sley_victims sley_victims_of(const struct sley_plan *p, uint32_t thief, uint32_t dice);
/** The next one's index. Returns false when each worker but the thief has come, once. Thread: as begun. Cost: the number of workers. */
SLEY_API bool sley_victims_next(struct sley_victims *v, uint32_t *ret_index);

SLEY_EXTERN_C_END
#endif
