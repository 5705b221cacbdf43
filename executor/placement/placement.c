/* From a placement to CPUs, and from a text to a placement. */
#include "placement.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char sysfs[] = "/sys/devices/system";
static const char *const names[] = {"unbound", "fenced", "spread", "pack", "custom"};

static void say(const struct sley__why *why, const char *format, ...) SLEY_PRINTF(2, 3);
static void say(const struct sley__why *why, const char *format, ...)
{
    if (why->text && why->bytes > 0) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(why->text, why->bytes, format, args);
        va_end(args);
    }
}

static uint32_t count_of(const struct sley_cpus *set)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SLEY_CPU_LIMIT / 64; i++) {
        n += (uint32_t)__builtin_popcountll(set->words[i]);
    }
    return n;
}

/** How many numbers a good list has, repeated ones too. */
static uint32_t list_length(const char *text)
{
    struct sley__cpu_list at = {.text = text};
    uint32_t n = 0, cpu;
    while (sley__cpu_list_next(&at, &cpu) > 0) {
        n++;
    }
    return n;
}

/** The CPUs that the options leave of those that are allowed. */
static int narrow(const struct sley_workers_opts *o, const struct sley_cpus *allowed, struct sley_cpus *ret_set,
                  const struct sley__why *why)
{
    struct sley_cpus named;
    *ret_set = *allowed;
    if (!o->cpus) {
        const bool required = o->placement == SLEY_PLACEMENT_FENCED || o->placement == SLEY_PLACEMENT_CUSTOM;
        if (required) {
            say(why, "placement %s needs a list of CPUs", names[o->placement]);
        }
        return required ? -EINVAL : 0;
    }
    if (sley__cpu_list_set(o->cpus, &named) < 0) {
        say(why, "\"%s\" is no list of CPUs such as \"0,4-7\"", o->cpus);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < SLEY_CPU_LIMIT / 64; i++) {
        ret_set->words[i] &= named.words[i];
    }
    return 0;
}

static struct sley_seat seat_on(const struct sley__cpu *cpu)
{
    return (struct sley_seat){
        .cpu = cpu->number,
        .near = {[SLEY_NEAR_CORE] = cpu->group[SLEY__LEVEL_CORE],
                 [SLEY_NEAR_CACHE] = cpu->group[SLEY__LEVEL_CACHE],
                 [SLEY_NEAR_NODE] = cpu->group[SLEY__LEVEL_NODE]},
    };
}

/** Fills p->seats in the order of the list; each must be usable. */
static int take_list(struct sley_plan *p, const struct sley__topology *t, const char *text, const struct sley__why *why)
{
    struct sley__cpu_list at = {.text = text};
    uint32_t cpu;
    for (uint32_t i = 0; i < p->count && sley__cpu_list_next(&at, &cpu) > 0; i++) {
        uint32_t k = 0;
        while (k < t->count && t->cpus[k].number != cpu) {
            k++;
        }
        if (k == t->count) {
            say(why, "CPU %u is not there, not online, or not allowed to this process", cpu);
            return -EINVAL;
        }
        p->seats[i] = seat_on(&t->cpus[k]);
    }
    return 0;
}

static int place(struct sley_plan *p, const struct sley_workers_opts *o, const struct sley__topology *t, struct sley_alloc *a,
                 const struct sley__why *why)
{
    if (o->placement == SLEY_PLACEMENT_CUSTOM) {
        return take_list(p, t, o->cpus, why);
    }
    const size_t uses_bytes = (size_t)SLEY__LEVEL_COUNT * SLEY_CPU_LIMIT * sizeof(uint16_t), bytes = p->count * sizeof(uint32_t);
    uint16_t *uses = sley_alloc_get(a, uses_bytes, _Alignof(uint16_t));
    uint32_t *chosen = uses ? sley_alloc_get(a, bytes, _Alignof(uint32_t)) : NULL;
    if (chosen) {
        sley__topology_place(t, o->placement == SLEY_PLACEMENT_SPREAD, chosen, p->count, uses);
        for (uint32_t i = 0; i < p->count; i++) {
            p->seats[i] = seat_on(&t->cpus[chosen[i]]);
        }
    }
    sley_alloc_put(a, chosen, bytes);
    sley_alloc_put(a, uses, uses_bytes);
    return chosen ? 0 : -ENOMEM;
}

/** One CPU per worker. */
static int plan_pinned(struct sley_plan *p, const struct sley_workers_opts *o, uint32_t wanted, const char *root,
                       const struct sley_cpus *set, struct sley_alloc *a, const struct sley__why *why)
{
    struct sley__topology t;
    int rc = sley__topology_read(&t, root, set, a);
    if (rc < 0) {
        if (rc == -ENOENT) {
            say(why, "none of the CPUs of placement %s may be used", names[o->placement]);
        }
        return rc == -ENOENT ? -EINVAL : rc;
    }
    const uint32_t there = o->placement == SLEY_PLACEMENT_CUSTOM ? list_length(o->cpus) : t.count;
    if (wanted > there) {
        say(why, "%u workers do not fit on %u CPU%s with placement %s: ask for fewer, or for unbound", wanted, there,
            there == 1 ? "" : "s", names[o->placement]);
        rc = -EINVAL;
    } else {
        p->count = wanted ? wanted : there;
        p->seats = sley_alloc_get(a, p->count * sizeof *p->seats, _Alignof(struct sley_seat));
        rc = p->seats ? place(p, o, &t, a, why) : -ENOMEM;
    }
    sley__topology_fini(&t, a);
    if (rc < 0) {
        sley_plan_fini(p, a);
    }
    return rc;
}

int sley__plan_make(struct sley_plan *p, const struct sley_workers_opts *o, uint32_t wanted, const char *root,
                    const struct sley_cpus *allowed, struct sley_alloc *a, const struct sley__why *why)
{
    *p = (struct sley_plan){.count = 0};
    if (o->placement > SLEY_PLACEMENT_CUSTOM || wanted > SLEY_CPU_LIMIT) {
        say(why, wanted > SLEY_CPU_LIMIT ? "%u workers are more than any machine runs" : "no placement has the number %u",
            wanted > SLEY_CPU_LIMIT ? wanted : (uint32_t)o->placement);
        return -EINVAL;
    }
    if (o->placement == SLEY_PLACEMENT_UNBOUND) {
        p->count = wanted ? wanted : count_of(allowed);
        p->fence = *allowed;
        return 0;
    }
    struct sley_cpus set;
    int rc = narrow(o, allowed, &set, why);
    if (rc < 0 || o->placement != SLEY_PLACEMENT_FENCED) {
        const bool in_order = o->placement == SLEY_PLACEMENT_CUSTOM; /* each one that is named has to be there */
        return rc < 0 ? rc : plan_pinned(p, o, wanted, root, in_order ? allowed : &set, a, why);
    }
    if (count_of(&set) == 0) {
        say(why, "none of the CPUs of placement fenced may be used");
        return -EINVAL;
    }
    p->count = wanted ? wanted : count_of(&set);
    p->fence = set;
    return 0;
}

int sley_plan_init(struct sley_plan *p, const struct sley_workers_opts *o, uint32_t wanted, struct sley_alloc *a, char *ret_error,
                   size_t error_bytes)
{
    struct sley_cpus allowed;
    const int rc = sley__cpus_allowed(&allowed);
    *p = (struct sley_plan){.count = 0};
    return rc < 0 ? rc : sley__plan_make(p, o, wanted, sysfs, &allowed, a, &(struct sley__why){ret_error, error_bytes});
}

int sley_plan_pin(const struct sley_plan *p, uint32_t index)
{
    struct sley_cpus now, one = {{0}};
    if (p->seats) {
        sley__cpus_add(&one, p->seats[index].cpu);
    }
    const struct sley_cpus *const want = p->seats ? &one : &p->fence;
    return sley__cpus_allowed(&now) == 0 && memcmp(&now, want, sizeof now) == 0 ? 0 : sley__cpus_pin(want);
}

void sley_plan_fini(struct sley_plan *p, struct sley_alloc *a)
{
    sley_alloc_put(a, p->seats, p->count * sizeof *p->seats);
    *p = (struct sley_plan){.count = 0};
}

int sley_workers_place(struct sley_workers_opts *o, const char *text)
{
    struct sley_cpus set;
    if (!o || !text) {
        return -EINVAL;
    }
    const size_t len = strcspn(text, ":");
    const char *list = text[len] ? text + len + 1 : NULL;
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == len && strncmp(text, names[i], len) == 0) {
            const bool has_list = i != SLEY_PLACEMENT_UNBOUND, needs_list = i == SLEY_PLACEMENT_FENCED || i == SLEY_PLACEMENT_CUSTOM;
            if (list ? !has_list || !*list || sley__cpu_list_set(list, &set) < 0 : needs_list) {
                return -EINVAL;
            }
            o->placement = (enum sley_placement)i;
            o->cpus = list;
            return 0;
        }
    }
    if (!*text || list || sley__cpu_list_set(text, &set) < 0) {
        return -EINVAL;
    }
    o->placement = SLEY_PLACEMENT_CUSTOM;
    o->cpus = text;
    return 0;
}
