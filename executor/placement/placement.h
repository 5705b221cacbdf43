/* From a placement to CPUs, for a machine that is given: how many workers there are, and where each may run. */
#ifndef SLEY_PLACEMENT_PLACEMENT_H
#define SLEY_PLACEMENT_PLACEMENT_H

#include "topology.h"

/** What a failure has to say. */
struct sley__why {
    char *text; /* may be NULL */
    size_t bytes;
};

/** As sley_plan_init, on the CPUs below @p root ("/sys/devices/system") that are in @p allowed. */
int sley__plan_make(struct sley_plan *p, const struct sley_workers_opts *o, uint32_t wanted, const char *root,
                    const struct sley_cpus *allowed, struct sley_alloc *a, const struct sley__why *why);

/* ---- of the system: one file per platform (affinity_linux.c) ---- */

/** The CPUs that the calling thread may run on. Returns: 0; a negative errno. */
int sley__cpus_allowed(struct sley_cpus *ret_set);
/** Where the calling thread runs from now on. Returns: 0; a negative errno. */
int sley__cpus_pin(const struct sley_cpus *set);

#endif
