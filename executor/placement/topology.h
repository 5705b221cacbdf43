/* Which CPUs there are and who shares what with whom, as sysfs tells it; and in which order workers are placed on them. */
#ifndef SLEY_PLACEMENT_TOPOLOGY_H
#define SLEY_PLACEMENT_TOPOLOGY_H

#include <sley/placement_impl.h>

/* What CPUs share, outermost first. */
enum sley__level { SLEY__LEVEL_NODE, SLEY__LEVEL_PACKAGE, SLEY__LEVEL_CACHE, SLEY__LEVEL_CORE, SLEY__LEVEL_COUNT };

struct sley__cpu {
    uint32_t number;
    uint32_t group[SLEY__LEVEL_COUNT]; /* two CPUs share a level when these are equal; always below SLEY_CPU_LIMIT */
};

/** The usable CPUs, by number. Zeroed: none. */
struct sley__topology {
    struct sley__cpu *cpus;
    uint32_t count;
};

SLEY_INLINE bool sley__cpus_has(const struct sley_cpus *set, uint32_t cpu)
{
    return cpu < SLEY_CPU_LIMIT && (set->words[cpu / 64] >> (cpu % 64) & 1);
}
SLEY_INLINE void sley__cpus_add(struct sley_cpus *set, uint32_t cpu)
{
    set->words[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

/**
 * Reads the next number of a list like "0,2-5" (blanks and a newline may end it) into `*ret_cpu`. @p at is where it stands: zeroed
 * but for `text`. Returns: 1; 0 at the end; -EINVAL when it is no list.
 */
struct sley__cpu_list {
    const char *text;
    uint32_t next, last; /* the rest of a range, while next <= last and started */
    bool in_range, started;
};
int sley__cpu_list_next(struct sley__cpu_list *at, uint32_t *ret_cpu);
/** All of a list. Returns: 0; -EINVAL. */
int sley__cpu_list_set(const char *text, struct sley_cpus *ret_set);

/**
 * Reads the CPUs that are online below @p root ("/sys/devices/system") and in @p allowed. What is not told is assumed: all allowed
 * are online, each is a core of its own, all in one package, one node, with one cache per package.
 * Returns: 0; -ENOMEM; -ENOENT when none is left. Owns: to be given back with sley__topology_fini.
 */
int sley__topology_read(struct sley__topology *t, const char *root, const struct sley_cpus *allowed, struct sley_alloc *a);
void sley__topology_fini(struct sley__topology *t, struct sley_alloc *a);

/**
 * Chooses @p n CPUs, at most as many as there are, each once: as far from one another as can be, or as near. Writes their indices.
 * @p uses: room for SLEY__LEVEL_COUNT * SLEY_CPU_LIMIT counts. Cost: n * count.
 */
void sley__topology_place(const struct sley__topology *t, bool spread, uint32_t *ret_indices, uint32_t n, uint16_t *uses);

#endif
