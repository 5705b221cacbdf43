/* From a placement to CPUs: how many workers there are, and where each may run. */
#ifndef SLEY_CORES_PLACEMENT_H
#define SLEY_CORES_PLACEMENT_H

#include <sley/cores.h>

#include "topology.h"

struct sley__plan {
    uint32_t count; /* workers */
    uint32_t *cpus; /* the CPU of each, or NULL: not pinned to one */
    bool is_fenced; /* all of them stay within `fence` */
    struct sley__cpus fence;
};

/** What a failure has to say. */
struct sley__why {
    char *text; /* may be NULL */
    size_t bytes;
};
void sley__why_say(const struct sley__why *why, const char *format, ...) SLEY_PRINTF(2, 3);

/**
 * Plans @p wanted workers (0: one per CPU) on the CPUs below @p root that are in @p allowed. Returns: 0; -EINVAL and -ENOENT with
 * a sentence in @p why; -ENOMEM. Owns: to be given back with sley__plan_fini.
 */
int sley__plan_init(struct sley__plan *p, const struct sley_cores_opts *o, uint32_t wanted, const char *root,
                    const struct sley__cpus *allowed, struct sley_alloc *a, const struct sley__why *why);
void sley__plan_fini(struct sley__plan *p, struct sley_alloc *a);

#endif
