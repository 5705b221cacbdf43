/* Topology and placement over trees like /sys/devices/system that each case writes: no machine is asked. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/placement/placement.h"
#include "harness.h"

/* ---- trees ---------------------------------------------------------------------------------------------------------- */

static char root[] = "/tmp/sley-topology-XXXXXX";

static void make_root(void)
{
    CHECK_PTR(mkdtemp(root), !=, NULL);
}

static void remove_root(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r %s", root);
    CHECK_INT(system(command), ==, 0);
    memcpy(strchr(root + 5, 'y') + 1, "-XXXXXX", 8); /* for the next one */
}

static void put_file(const char *text, const char *format, ...) SLEY_PRINTF(2, 3);
static void put_file(const char *text, const char *format, ...)
{
    char path[256];
    va_list args;
    const int len = snprintf(path, sizeof path, "%s/", root);
    va_start(args, format);
    (void)vsnprintf(path + len, sizeof path - (size_t)len, format, args);
    va_end(args);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    CHECK_PTR(f, !=, NULL);
    CHECK_INT(fprintf(f, "%s\n", text), >, 0);
    CHECK_INT(fclose(f), ==, 0);
}

static void put_cpu(unsigned cpu, unsigned package, unsigned core, const char *siblings, const char *cache)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%u", package);
    put_file(text, "cpu/cpu%u/topology/physical_package_id", cpu);
    (void)snprintf(text, sizeof text, "%u", core);
    put_file(text, "cpu/cpu%u/topology/core_id", cpu);
    if (siblings) {
        put_file(siblings, "cpu/cpu%u/topology/thread_siblings_list", cpu);
    }
    if (cache) {
        put_file("1", "cpu/cpu%u/cache/index0/level", cpu);
        put_file(siblings ? siblings : "0", "cpu/cpu%u/cache/index0/shared_cpu_list", cpu);
        put_file("3", "cpu/cpu%u/cache/index1/level", cpu);
        put_file(cache, "cpu/cpu%u/cache/index1/shared_cpu_list", cpu);
    }
}

/** Two sockets of four cores with two threads each; siblings are n and n + 8, as Linux numbers them; one node per socket. */
static void put_two_sockets(void)
{
    make_root();
    put_file("0-15", "cpu/online");
    put_file("0-1", "node/online");
    put_file("0-3,8-11", "node/node0/cpulist");
    put_file("4-7,12-15", "node/node1/cpulist");
    for (unsigned cpu = 0; cpu < 16; cpu++) {
        char siblings[16];
        (void)snprintf(siblings, sizeof siblings, "%u,%u", cpu % 8, cpu % 8 + 8);
        put_cpu(cpu, cpu % 8 / 4, cpu % 4, siblings, cpu % 8 < 4 ? "0-3,8-11" : "4-7,12-15"); /* core ids repeat per socket */
    }
}

static const struct sley_cpus *every(void)
{
    static struct sley_cpus set;
    memset(&set, 0xff, sizeof set);
    return &set;
}

static const struct sley_cpus *only(const char *list)
{
    static struct sley_cpus set;
    CHECK_RC(sley__cpu_list_set(list, &set), 0);
    return &set;
}

/** The CPUs of a plan as "0,8,1", or what the failure says. */
static const char *plan(const char *placement, uint32_t wanted, const struct sley_cpus *allowed)
{
    static char text[512];
    char why[256] = "";
    struct sley_plan p;
    struct sley_workers_opts o = {.cpus = NULL};
    CHECK_RC(sley_workers_place(&o, placement), 0);
    const int rc = sley__plan_make(&p, &o, wanted, root, allowed, harness_alloc(), &(struct sley__why){why, sizeof why});
    text[0] = '\0';
    if (rc < 0) {
        CHECK_RC(rc, -EINVAL);
        CHECK_UINT(strlen(why), >, 0);
        (void)snprintf(text, sizeof text, "%s", why);
        CHECK_UINT(harness_alloc_live(), ==, 0);
        return text;
    }
    for (uint32_t i = 0; i < p.count; i++) {
        const size_t len = strlen(text);
        (void)snprintf(text + len, sizeof text - len, p.seats ? "%s%u" : "%s*", i ? "," : "", p.seats ? p.seats[i].cpu : 0);
    }
    sley_plan_fini(&p, harness_alloc());
    return text;
}

/* ---- cases ---------------------------------------------------------------------------------------------------------- */

SLEY_TEST(lists_are_read_number_by_number, "")
{
    static const char *const good[] = {"", "\n", "0", "0\n", "0-3", "1,3,5", "0-1,8-9,31\n", " 4", "8191"};
    static const unsigned counts[] = {0, 0, 1, 1, 4, 3, 5, 1, 1};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct sley__cpu_list at = {.text = good[i]};
        struct sley_cpus set;
        unsigned n = 0;
        uint32_t cpu, last = 0;
        int rc;
        while ((rc = sley__cpu_list_next(&at, &cpu)) > 0) {
            CHECK(n == 0 || cpu > last);
            last = cpu;
            n++;
        }
        CHECK_RC(rc, 0);
        CHECK_UINT(n, ==, counts[i]);
        CHECK_RC(sley__cpu_list_set(good[i], &set), 0);
        CHECK(n == 0 || sley__cpus_has(&set, last));
    }
    static const char *const bad[] = {"x", "0,", ",0", "0-", "3-1", "-1", "0 1", "0;1", "8192", "0-8192", "99999999999", "0,,1", "0x1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sley_cpus set = {{7}};
        CHECK_RC(sley__cpu_list_set(bad[i], &set), -EINVAL);
        CHECK_UINT(set.words[0], ==, 7); /* untouched */
    }
}

SLEY_TEST(spread_takes_the_farthest_first, "")
{
    put_two_sockets();
    CHECK_STR(plan("spread", 2, every()), "0,4");
    CHECK_STR(plan("spread", 4, every()), "0,4,1,5");
    CHECK_STR(plan("spread", 8, every()), "0,4,1,5,2,6,3,7");                       /* each core once ... */
    CHECK_STR(plan("spread", 0, every()), "0,4,1,5,2,6,3,7,8,12,9,13,10,14,11,15"); /* ... then siblings */
    CHECK_STR(plan("spread:0-1,8-9", 4, every()), "0,1,8,9");
    CHECK_STR(plan("spread", 3, only("1,2,9,12")), "1,12,2"); /* what this process may use */
    remove_root();
}

SLEY_TEST(pack_takes_the_nearest_first, "")
{
    put_two_sockets();
    CHECK_STR(plan("pack", 2, every()), "0,8"); /* siblings */
    CHECK_STR(plan("pack", 5, every()), "0,8,1,9,2");
    CHECK_STR(plan("pack", 0, every()), "0,8,1,9,2,10,3,11,4,12,5,13,6,14,7,15");
    CHECK_STR(plan("pack:4-15", 4, every()), "4,12,5,13");
    CHECK_STR(plan("pack", 0, only("2,7,10,15")), "2,10,7,15");
    remove_root();
}

SLEY_TEST(caches_and_nodes_within_a_package_count, "")
{
    make_root(); /* one package, two nodes, four caches of two cores, no siblings; numbers with holes */
    put_file("0-3,10-13", "cpu/online");
    put_file("0,4", "node/online"); /* nodes with holes, too */
    put_file("0-3", "node/node0/cpulist");
    put_file("10-13", "node/node4/cpulist");
    static const unsigned cpus[] = {0, 1, 2, 3, 10, 11, 12, 13};
    static const char *const caches[] = {"0-1", "0-1", "2-3", "2-3", "10-11", "10-11", "12-13", "12-13"};
    for (unsigned i = 0; i < 8; i++) {
        char self[8];
        (void)snprintf(self, sizeof self, "%u", cpus[i]);
        put_cpu(cpus[i], 36, cpus[i], self, caches[i]);
    }
    CHECK_STR(plan("spread", 0, every()), "0,10,2,12,1,11,3,13");
    CHECK_STR(plan("pack", 0, every()), "0,1,2,3,10,11,12,13");
    CHECK_STR(plan("pack:1-13", 3, every()), "1,2,3"); /* the node's rest before another node */
    remove_root();
}

SLEY_TEST(offline_cpus_are_left_out, "")
{
    put_two_sockets();
    put_file("0-2,4-9,11-15", "cpu/online"); /* 3 and 10 */
    CHECK_STR(plan("pack", 0, every()), "0,8,1,9,2,11,4,12,5,13,6,14,7,15");
    CHECK_STR(plan("custom:3", 0, every()), "CPU 3 is not there, not online, or not allowed to this process");
    CHECK_STR(plan("spread:3,10", 0, every()), "none of the CPUs of placement spread may be used");
    remove_root();
}

SLEY_TEST(missing_files_leave_cpus_equal, "")
{
    make_root(); /* nothing at all: what this process may use, each a core of its own */
    CHECK_STR(plan("spread", 0, only("0-3,9")), "0,1,2,3,9");
    CHECK_STR(plan("pack", 0, only("0-3,9")), "0,1,2,3,9");
    put_file("nonsense", "cpu/online");
    CHECK_STR(plan("pack", 2, only("5-6")), "5,6");
    put_file("0-7", "cpu/online");
    for (unsigned cpu = 0; cpu < 8; cpu++) {
        put_cpu(cpu, cpu / 4, cpu % 2, NULL, NULL); /* no sibling lists: core numbers, which repeat per package */
    }
    CHECK_STR(plan("spread", 0, every()), "0,4,1,5,2,6,3,7");
    CHECK_STR(plan("pack", 0, every()), "0,2,1,3,4,6,5,7");
    put_file("-1", "cpu/cpu0/topology/physical_package_id"); /* as some guests say */
    put_file("", "cpu/cpu1/topology/physical_package_id");
    CHECK_STR(plan("pack", 3, only("0-1,4")), "0,1,4");
    put_file("9-12", "cpu/cpu2/topology/thread_siblings_list"); /* not one of its own: not believed */
    CHECK_STR(plan("pack", 2, only("2-3")), "2,3");
    remove_root();
}

SLEY_TEST(more_workers_than_cpus_are_refused_when_pinned, "")
{
    put_two_sockets();
    CHECK_STR(plan("pack", 17, every()), "17 workers do not fit on 16 CPUs with placement pack: ask for fewer, or for unbound");
    CHECK_STR(plan("spread:5", 2, every()), "2 workers do not fit on 1 CPU with placement spread: ask for fewer, or for unbound");
    CHECK_STR(plan("custom:5,0", 3, every()), "3 workers do not fit on 2 CPUs with placement custom: ask for fewer, or for unbound");
    CHECK_STR(plan("unbound", 3, only("0")), "*,*,*");
    CHECK_STR(plan("fenced:0-1", 3, every()), "*,*,*");
    CHECK_STR(plan("unbound", 0, only("3,5")), "*,*");
    CHECK_STR(plan("fenced:0-8", 0, only("8-9")), "*");
    CHECK_STR(plan("fenced:0-7", 1, only("8-9")), "none of the CPUs of placement fenced may be used");
    CHECK_STR(plan("unbound", 9000, every()), "9000 workers are more than any machine runs");
    remove_root();
}

SLEY_TEST(custom_keeps_its_order, "")
{
    put_two_sockets();
    CHECK_STR(plan("custom:9,0,3-5", 0, every()), "9,0,3,4,5");
    CHECK_STR(plan("9,0,3-5", 2, every()), "9,0");
    CHECK_STR(plan("custom:7,7", 0, every()), "7,7"); /* as it was asked for */
    CHECK_STR(plan("custom:0,16", 0, every()), "CPU 16 is not there, not online, or not allowed to this process");
    remove_root();
}

SLEY_TEST(placement_is_read_from_a_text, "")
{
    static const char *const good[] = {"unbound", "spread", "pack", "spread:0-3", "pack:1", "fenced:0", "custom:1,0", "2-3"};
    static const enum sley_placement kinds[] = {SLEY_PLACEMENT_UNBOUND, SLEY_PLACEMENT_SPREAD, SLEY_PLACEMENT_PACK,
                                                SLEY_PLACEMENT_SPREAD,  SLEY_PLACEMENT_PACK,   SLEY_PLACEMENT_FENCED,
                                                SLEY_PLACEMENT_CUSTOM,  SLEY_PLACEMENT_CUSTOM};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct sley_workers_opts o = {.stack_bytes = 9};
        CHECK_RC(sley_workers_place(&o, good[i]), 0);
        CHECK_INT(o.placement, ==, kinds[i]);
        CHECK_INT(o.cpus != NULL, ==, i >= 3);
        CHECK_UINT(o.stack_bytes, ==, 9);
    }
    static const char *const bad[] = {
        "", "Spread", "spread:", "unbound:0", "fenced", "custom", "custom:", "far:0", "spread:x", "0-", "pack 0", ":0", "spreads"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sley_workers_opts o = {.placement = SLEY_PLACEMENT_PACK};
        CHECK_RC(sley_workers_place(&o, bad[i]), -EINVAL);
        CHECK_INT(o.placement, ==, SLEY_PLACEMENT_PACK);
    }
    CHECK_RC(sley_workers_place(NULL, "pack"), -EINVAL);
    CHECK_RC(sley_workers_place(&(struct sley_workers_opts){.cpus = NULL}, NULL), -EINVAL);
}

SLEY_TEST(options_without_their_list_are_refused, "")
{
    char why[128];
    struct sley_plan p;
    const struct sley__why say = {why, sizeof why};
    struct sley_workers_opts o = {.placement = SLEY_PLACEMENT_CUSTOM};
    CHECK_RC(sley__plan_make(&p, &o, 1, "/nowhere", every(), harness_alloc(), &say), -EINVAL);
    CHECK_STR(why, "placement custom needs a list of CPUs");
    o = (struct sley_workers_opts){.placement = SLEY_PLACEMENT_FENCED};
    CHECK_RC(sley__plan_make(&p, &o, 1, "/nowhere", every(), harness_alloc(), &say), -EINVAL);
    CHECK_STR(why, "placement fenced needs a list of CPUs");
    o = (struct sley_workers_opts){.placement = SLEY_PLACEMENT_PACK, .cpus = "0-"};
    CHECK_RC(sley__plan_make(&p, &o, 1, "/nowhere", every(), harness_alloc(), &say), -EINVAL);
    CHECK_STR(why, "\"0-\" is no list of CPUs such as \"0,4-7\"");
    o = (struct sley_workers_opts){.placement = (enum sley_placement)7};
    CHECK_RC(sley__plan_make(&p, &o, 1, "/nowhere", every(), harness_alloc(), &say), -EINVAL);
    CHECK_STR(why, "no placement has the number 7");
}

SLEY_TEST(each_allocation_of_a_plan_refused, "")
{
    put_two_sockets();
    HARNESS_SWEEP_ALLOC(points, 10)
    {
        struct sley_plan p;
        const struct sley_workers_opts o = {.placement = SLEY_PLACEMENT_SPREAD};
        const int rc = sley__plan_make(&p, &o, 0, root, every(), harness_alloc(), &(struct sley__why){NULL, 0});
        CHECK_RC(rc, harness_alloc_refused() ? -ENOMEM : 0);
        if (rc == 0) {
            CHECK_UINT(p.count, ==, 16);
            sley_plan_fini(&p, harness_alloc());
        }
    }
    CHECK_UINT(points, >=, 4);
    remove_root();
}

/* ---- whom a thief looks at ---------------------------------------------------------------------------------------------- */

enum { DICE = 4096 };

static uint64_t bits(const char *list)
{
    return only(list)->words[0];
}

/**
 * Whatever the dice say, the thief comes to the CPUs of each class, once, and to those of the next class after them; and each of a class
 * is about as often the first of it as the others.
 */
static void check_order(const struct sley_plan *p, uint32_t thief, const uint64_t *classes, unsigned n)
{
    unsigned firsts[64] = {0};
    for (uint32_t dice = 0; dice < DICE; dice++) {
        struct sley_victims v = sley_victims_of(p, thief, dice), again = sley_victims_of(p, thief, dice);
        for (unsigned c = 0; c < n; c++) {
            for (uint64_t left = classes[c]; left;) {
                uint32_t index = 99, same = 98;
                CHECK(sley_victims_next(&v, &index) && sley_victims_next(&again, &same));
                CHECK_UINT(index, ==, same);
                const uint32_t who = p->seats ? p->seats[index].cpu : index;
                CHECK(left >> who & 1);
                firsts[who] += left == classes[c];
                left &= ~(UINT64_C(1) << who);
            }
        }
        CHECK(!sley_victims_next(&v, &(uint32_t){0}));
        CHECK(!sley_victims_next(&v, &(uint32_t){0}));
    }
    for (unsigned c = 0; c < n; c++) {
        const unsigned mean = DICE / (unsigned)__builtin_popcountll(classes[c]);
        for (unsigned i = 0; i < 64; i++) {
            CHECK(!(classes[c] >> i & 1) || (firsts[i] > mean * 3 / 4 && firsts[i] < mean * 5 / 4 + (mean == DICE)));
        }
    }
}

static struct sley_plan plan_of(const char *placement, uint32_t wanted)
{
    struct sley_plan p;
    struct sley_workers_opts o = {.cpus = NULL};
    CHECK_RC(sley_workers_place(&o, placement), 0);
    CHECK_RC(sley__plan_make(&p, &o, wanted, root, every(), harness_alloc(), &(struct sley__why){NULL, 0}), 0);
    return p;
}

SLEY_TEST(victims_come_sibling_cache_node_machine, "")
{
    make_root(); /* one package; two nodes of two caches, each of two cores with two threads: n and n + 8 */
    put_file("0-15", "cpu/online");
    put_file("0-1", "node/online");
    put_file("0-3,8-11", "node/node0/cpulist");
    put_file("4-7,12-15", "node/node1/cpulist");
    static const char *const caches[] = {"0-1,8-9", "2-3,10-11", "4-5,12-13", "6-7,14-15"};
    for (unsigned cpu = 0; cpu < 16; cpu++) {
        char siblings[16];
        (void)snprintf(siblings, sizeof siblings, "%u,%u", cpu % 8, cpu % 8 + 8);
        put_cpu(cpu, 0, cpu % 8, siblings, caches[cpu % 8 / 2]);
    }
    struct sley_plan p = plan_of("pack", 0);
    check_order(&p, 0, (const uint64_t[]){bits("8"), bits("1,9"), bits("2-3,10-11"), bits("4-7,12-15")}, 4); /* CPU 0 */
    check_order(&p, 3, (const uint64_t[]){bits("1"), bits("0,8"), bits("2-3,10-11"), bits("4-7,12-15")}, 4); /* CPU 9 */
    sley_plan_fini(&p, harness_alloc());
    p = plan_of("spread", 8); /* a worker on each core: no sibling runs one */
    CHECK_UINT(p.seats[1].cpu, ==, 4);
    check_order(&p, 1, (const uint64_t[]){bits("5"), bits("6-7"), bits("0-3")}, 3);
    sley_plan_fini(&p, harness_alloc());
    p = plan_of("custom:14,1,15,14", 0); /* two on one CPU share the most */
    for (uint32_t dice = 0; dice < 64; dice++) {
        static const uint32_t order[] = {3, 2, 1};
        struct sley_victims v = sley_victims_of(&p, 0, dice);
        for (unsigned i = 0; i < 3; i++) {
            uint32_t index = 99;
            CHECK(sley_victims_next(&v, &index));
            CHECK_UINT(index, ==, order[i]);
        }
    }
    sley_plan_fini(&p, harness_alloc());
    remove_root();
}

SLEY_TEST(victims_of_workers_that_are_not_placed_are_equals, "")
{
    make_root();
    struct sley_plan p = plan_of("unbound", 6);
    check_order(&p, 0, (const uint64_t[]){bits("1-5")}, 1);
    check_order(&p, 4, (const uint64_t[]){bits("0-3,5")}, 1);
    sley_plan_fini(&p, harness_alloc());
    p = plan_of("fenced:0-3", 2);
    check_order(&p, 1, (const uint64_t[]){bits("0")}, 1);
    sley_plan_fini(&p, harness_alloc());
    p = plan_of("unbound", 1);
    check_order(&p, 0, NULL, 0);
    sley_plan_fini(&p, harness_alloc());
    remove_root();
}

/** Thieves that have the same count do not all begin with the same victim: of 16 equals each begins with at least four others. */
SLEY_TEST(thieves_with_equal_dice_begin_with_different_victims, "")
{
    make_root();
    struct sley_plan p = plan_of("unbound", 16);
    for (uint32_t dice = 0; dice < 64; dice++) {
        uint64_t firsts = 0;
        for (uint32_t thief = 0; thief < 16; thief++) {
            uint32_t first = 0;
            struct sley_victims v = sley_victims_of(&p, thief, dice);
            CHECK(sley_victims_next(&v, &first));
            firsts |= UINT64_C(1) << first;
        }
        CHECK_INT(__builtin_popcountll(firsts), >=, 4);
    }
    sley_plan_fini(&p, harness_alloc());
    remove_root();
}

/* ---- every tree: the rules of placing, over machines made at random ------------------------------------------------------- */

SLEY_TEST(random_machines_are_placed_evenly, "")
{
    static struct sley__cpu cpus[64];
    static uint16_t uses[SLEY__LEVEL_COUNT * SLEY_CPU_LIMIT];
    static uint32_t chosen[64];
    for (int round = 0; round < 200; round++) {
        const uint32_t packages = 1 + (uint32_t)harness_rand_below(3), cores = 1 + (uint32_t)harness_rand_below(8),
                       threads = 1 + (uint32_t)harness_rand_below(2);
        const uint32_t n = packages * cores * threads, wanted = 1 + (uint32_t)harness_rand_below(n);
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t package = i % (packages * cores) / cores;
            cpus[i] = (struct sley__cpu){.number = i, .group = {package, package, package, i % (packages * cores)}};
        }
        const struct sley__topology t = {.cpus = cpus, .count = n};
        uint32_t per_package[3] = {0}, per_core[24] = {0};
        sley__topology_place(&t, true, chosen, wanted, uses);
        for (uint32_t i = 0; i < wanted; i++) {
            for (uint32_t k = 0; k < i; k++) {
                CHECK_UINT(chosen[k], !=, chosen[i]);
            }
            per_package[cpus[chosen[i]].group[1]]++;
            per_core[cpus[chosen[i]].group[3]]++;
        }
        for (uint32_t p = 0; p < packages; p++) {
            CHECK_UINT(per_package[p], >=, wanted / packages);
            CHECK_UINT(per_package[p], <=, (wanted + packages - 1) / packages);
        }
        for (uint32_t c = 0; c < packages * cores; c++) {
            CHECK_UINT(per_core[c], <=, wanted <= packages * cores ? 1u : 2u);
        }
        sley__topology_place(&t, false, chosen, wanted, uses);
        memset(per_package, 0, sizeof per_package);
        for (uint32_t i = 0; i < wanted; i++) {
            per_package[cpus[chosen[i]].group[1]]++;
        }
        uint32_t partly = 0;
        for (uint32_t p = 0; p < packages; p++) {
            partly += per_package[p] > 0 && per_package[p] < cores * threads;
        }
        CHECK_UINT(partly, <=, 1); /* a package is filled before the next */
    }
}
