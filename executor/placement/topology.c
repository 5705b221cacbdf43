/* Reading sysfs and choosing CPUs. Nothing here knows of threads. */
#include "topology.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 512, TEXT_BYTES = 8192 };

/* ---- lists ---------------------------------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int read_number(const char **text, uint32_t *ret_number)
{
    uint32_t n = 0;
    if (!is_digit(**text)) {
        return -EINVAL;
    }
    for (; is_digit(**text); (*text)++) {
        n = n * 10 + (uint32_t)(**text - '0');
        if (n >= SLEY_CPU_LIMIT) {
            return -EINVAL;
        }
    }
    *ret_number = n;
    return 0;
}

int sley__cpu_list_next(struct sley__cpu_list *at, uint32_t *ret_cpu)
{
    if (at->in_range) {
        *ret_cpu = at->next;
        at->in_range = at->next++ < at->last;
        return 1;
    }
    while (*at->text == ' ' || *at->text == '\n') {
        at->text++;
    }
    if (!*at->text) {
        return 0;
    }
    if (at->started && *at->text++ != ',') {
        return -EINVAL;
    }
    at->started = true;
    if (read_number(&at->text, &at->next) < 0) {
        return -EINVAL;
    }
    at->last = at->next;
    if (*at->text == '-') {
        at->text++;
        if (read_number(&at->text, &at->last) < 0 || at->last < at->next) {
            return -EINVAL;
        }
    }
    *ret_cpu = at->next;
    at->in_range = at->next++ < at->last;
    return 1;
}

int sley__cpu_list_set(const char *text, struct sley_cpus *ret_set)
{
    struct sley__cpu_list at = {.text = text};
    struct sley_cpus set = {{0}};
    uint32_t cpu;
    int rc;
    while ((rc = sley__cpu_list_next(&at, &cpu)) > 0) {
        sley__cpus_add(&set, cpu);
    }
    if (rc == 0) {
        *ret_set = set;
    }
    return rc;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

/** A small file as text. Returns: 0; -ENOENT when it is not there, cannot be read, or is longer than any of its kind. */
static int read_text(const char *path, char *ret_text)
{
    size_t len = 0;
    ssize_t n = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -ENOENT;
    }
    while (len < TEXT_BYTES - 1 && (n = read(fd, ret_text + len, TEXT_BYTES - 1 - len)) > 0) {
        len += (size_t)n;
    }
    (void)close(fd);
    ret_text[len] = '\0';
    return n < 0 || len == TEXT_BYTES - 1 ? -ENOENT : 0;
}

/** A list in a file. Returns: 0; -ENOENT when there is none. */
static int read_list(const char *path, struct sley_cpus *ret_set)
{
    char text[TEXT_BYTES];
    return read_text(path, text) < 0 || sley__cpu_list_set(text, ret_set) < 0 ? -ENOENT : 0;
}

/** A number in a file, as large as it likes: firmware invents them. Returns: 0; -ENOENT when there is none. */
static int read_value(const char *path, uint32_t *ret_value)
{
    char text[TEXT_BYTES];
    if (read_text(path, text) < 0 || !is_digit(text[0])) {
        return -ENOENT;
    }
    uint32_t n = 0;
    for (const char *at = text; is_digit(*at); at++) {
        n = n * 10 + (uint32_t)(*at - '0');
    }
    *ret_value = n;
    return 0;
}

static uint32_t lowest(const struct sley_cpus *set, uint32_t fallback)
{
    for (uint32_t i = 0; i < SLEY_CPU_LIMIT / 64; i++) {
        if (set->words[i]) {
            return i * 64 + (uint32_t)__builtin_ctzll(set->words[i]);
        }
    }
    return fallback;
}

/* ---- one CPU -------------------------------------------------------------------------------------------------------- */

/* A group is named by the lowest CPU number in it: unique, and small, whatever the firmware numbers it. */

#define UNKNOWN UINT32_MAX

/** What sysfs says of each CPU so far, by index. */
struct told {
    uint32_t package, core;
};

/** Whoever stands in the list is of one group. Returns false when there is no list. */
static bool group_by_list(const char *dir, const char *file, uint32_t number, uint32_t *ret_group)
{
    char path[PATH_BYTES];
    struct sley_cpus members;
    (void)snprintf(path, sizeof path, "%s/%s", dir, file);
    if (read_list(path, &members) < 0 || !sley__cpus_has(&members, number)) {
        return false;
    }
    *ret_group = lowest(&members, number);
    return true;
}

/** One package for all that say nothing (-1 in some guests). */
static uint32_t package_of(const struct sley__topology *t, uint32_t n, const struct told *told)
{
    for (uint32_t i = 0; i < n; i++) {
        if (told[i].package == told[n].package) {
            return t->cpus[i].group[SLEY__LEVEL_PACKAGE];
        }
    }
    return t->cpus[n].number;
}

/** Who shares the core: told directly, else by equal numbers of core and package. */
static uint32_t core_of(const struct sley__topology *t, uint32_t n, const char *dir, const struct told *told)
{
    const struct sley__cpu *cpu = &t->cpus[n];
    uint32_t group;
    if (group_by_list(dir, "topology/thread_siblings_list", cpu->number, &group)) {
        return group;
    }
    for (uint32_t i = 0; told[n].core != UNKNOWN && i < n; i++) {
        if (told[i].core == told[n].core && told[i].package == told[n].package) {
            return t->cpus[i].group[SLEY__LEVEL_CORE];
        }
    }
    return cpu->number;
}

/** Who shares the cache of the highest level that is told. */
static uint32_t cache_of(const char *dir, const struct sley__cpu *cpu)
{
    char path[PATH_BYTES], file[32];
    uint32_t level, group, best_level = 1, best = cpu->group[SLEY__LEVEL_PACKAGE]; /* a first-level cache is the core's own */
    for (unsigned i = 0; i < 16; i++) {
        (void)snprintf(path, sizeof path, "%s/cache/index%u/level", dir, i);
        if (read_value(path, &level) < 0) {
            break;
        }
        (void)snprintf(file, sizeof file, "cache/index%u/shared_cpu_list", i);
        if (level > best_level && group_by_list(dir, file, cpu->number, &group)) {
            best = group;
            best_level = level;
        }
    }
    return best;
}

static void read_cpu(struct sley__topology *t, uint32_t n, const char *root, struct told *told)
{
    char dir[PATH_BYTES / 2], path[PATH_BYTES];
    struct sley__cpu *cpu = &t->cpus[n];
    (void)snprintf(dir, sizeof dir, "%s/cpu/cpu%u", root, cpu->number);
    (void)snprintf(path, sizeof path, "%s/topology/physical_package_id", dir);
    told[n] = (struct told){UNKNOWN, UNKNOWN};
    (void)read_value(path, &told[n].package);
    (void)snprintf(path, sizeof path, "%s/topology/core_id", dir);
    (void)read_value(path, &told[n].core);
    cpu->group[SLEY__LEVEL_PACKAGE] = package_of(t, n, told);
    cpu->group[SLEY__LEVEL_CORE] = core_of(t, n, dir, told);
    cpu->group[SLEY__LEVEL_CACHE] = cache_of(dir, cpu);
}

/** Nodes are numbered with holes; those that exist are listed. */
static void read_nodes(struct sley__topology *t, const char *root)
{
    char path[PATH_BYTES], text[TEXT_BYTES];
    struct sley__cpu_list at = {.text = text};
    struct sley_cpus members;
    uint32_t node;
    (void)snprintf(path, sizeof path, "%s/node/online", root);
    if (read_text(path, text) < 0) {
        return;
    }
    while (sley__cpu_list_next(&at, &node) > 0) {
        (void)snprintf(path, sizeof path, "%s/node/node%u/cpulist", root, node);
        if (read_list(path, &members) < 0) {
            continue;
        }
        for (uint32_t i = 0; i < t->count; i++) {
            if (sley__cpus_has(&members, t->cpus[i].number)) {
                t->cpus[i].group[SLEY__LEVEL_NODE] = node;
            }
        }
    }
}

int sley__topology_read(struct sley__topology *t, const char *root, const struct sley_cpus *allowed, struct sley_alloc *a)
{
    char path[PATH_BYTES];
    struct sley_cpus usable;
    uint32_t count = 0;
    *t = (struct sley__topology){.count = 0};
    (void)snprintf(path, sizeof path, "%s/cpu/online", root);
    if (read_list(path, &usable) < 0) {
        usable = *allowed;
    }
    for (uint32_t i = 0; i < SLEY_CPU_LIMIT / 64; i++) {
        usable.words[i] &= allowed->words[i];
        count += (uint32_t)__builtin_popcountll(usable.words[i]);
    }
    if (count == 0) {
        return -ENOENT;
    }
    struct sley__cpu *cpus = sley_alloc_get(a, count * sizeof *cpus, _Alignof(struct sley__cpu));
    struct told *told = cpus ? sley_alloc_get(a, count * sizeof *told, _Alignof(struct told)) : NULL;
    if (!told) {
        sley_alloc_put(a, cpus, count * sizeof *cpus);
        return -ENOMEM;
    }
    *t = (struct sley__topology){.cpus = cpus, .count = count};
    memset(cpus, 0, count * sizeof *cpus);
    for (uint32_t number = 0, n = 0; number < SLEY_CPU_LIMIT; number++) {
        if (sley__cpus_has(&usable, number)) {
            cpus[n].number = number;
            read_cpu(t, n++, root, told);
        }
    }
    read_nodes(t, root);
    sley_alloc_put(a, told, count * sizeof *told);
    return 0;
}

void sley__topology_fini(struct sley__topology *t, struct sley_alloc *a)
{
    sley_alloc_put(a, t->cpus, t->count * sizeof *t->cpus);
    *t = (struct sley__topology){.count = 0};
}

/* ---- placing -------------------------------------------------------------------------------------------------------- */

/** Is @p x to be taken before @p y? Compares how much of what surrounds them is used, outermost first: least for spread. */
static bool is_better(const struct sley__cpu *x, const struct sley__cpu *y, bool spread, const uint16_t *uses)
{
    for (uint32_t level = 0; level < SLEY__LEVEL_COUNT; level++) {
        const uint16_t *used = uses + level * SLEY_CPU_LIMIT;
        const uint16_t a = used[x->group[level]], b = used[y->group[level]];
        if (a != b) {
            return spread ? a < b : a > b;
        }
    }
    return false; /* the lower number stays */
}

void sley__topology_place(const struct sley__topology *t, bool spread, uint32_t *ret_indices, uint32_t n, uint16_t *uses)
{
    struct sley_cpus taken = {{0}};
    memset(uses, 0, (size_t)SLEY__LEVEL_COUNT * SLEY_CPU_LIMIT * sizeof *uses);
    for (uint32_t i = 0; i < n && i < t->count; i++) {
        const struct sley__cpu *best = NULL;
        for (uint32_t k = 0; k < t->count; k++) {
            const struct sley__cpu *cpu = &t->cpus[k];
            if (!sley__cpus_has(&taken, cpu->number) && (!best || is_better(cpu, best, spread, uses))) {
                best = cpu;
            }
        }
        sley__cpus_add(&taken, best->number);
        for (uint32_t level = 0; level < SLEY__LEVEL_COUNT; level++) {
            uses[level * SLEY_CPU_LIMIT + best->group[level]]++;
        }
        ret_indices[i] = (uint32_t)(best - t->cpus);
    }
}
