/* Fiber stacks: sizes, guards, reuse, memory given back, and what happens when there is none. */
#include "harness.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "task/stack.h"
#include "task/switch.h"

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static char *guard_of(char *top, size_t usable)
{
    return top - usable - page_bytes();
}

static void *must_get(struct sley__stack_pool *p, size_t bytes, size_t *ret_usable)
{
    void *top = sley__stack_get(p, bytes, ret_usable);
    CHECK_PTR(top, !=, NULL);
    return top;
}

/* Pages of [low, low + bytes) that are in memory, or -1 when some are not even mapped. */
static long resident_pages(char *low, size_t bytes)
{
    static unsigned char in_core[1 << 14];
    size_t pages = bytes / page_bytes();
    CHECK_UINT(pages, <=, sizeof(in_core));
    if (mincore(low, bytes, in_core) != 0) {
        CHECK_INT(errno, ==, ENOMEM);
        return -1;
    }
    long n = 0;
    for (size_t i = 0; i < pages; i++) {
        n += in_core[i] & 1;
    }
    return n;
}

static size_t address_space_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    CHECK_PTR(f, !=, NULL);
    unsigned long pages = 0;
    CHECK_INT(fscanf(f, "%lu", &pages), ==, 1);
    (void)fclose(f);
    return pages * page_bytes();
}

/* The same by the list of mappings, which an emulator keeps free of its own. */
static size_t mapped_bytes(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    CHECK_PTR(f, !=, NULL);
    char line[4096 + 128];
    size_t bytes = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        uintptr_t low, high;
        CHECK_INT(sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &low, &high), ==, 2);
        bytes += high - low;
    }
    (void)fclose(f);
    return bytes;
}

SLEY_TEST(sizes_round_up_and_are_usable_to_the_last_byte, "")
{
    struct sley__stack_pool *p = sley__stack_pool_create();
    const size_t asked[] = {0, 1, 16384, 16385, 65536, 100000, 1 << 20, (1 << 22) + 1, 1 << 26};
    const size_t whole[] = {65536, 16384, 16384, 32768, 65536, 131072, 1 << 20, 1 << 23, 1 << 26};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        size_t usable = 0;
        char *top = must_get(p, asked[i], &usable);
        CHECK_UINT((uintptr_t)top % 64, ==, 0);
        if (page_bytes() == 4096) {
            CHECK_UINT(usable, <=, whole[i] - 4096);
            CHECK_UINT(usable, >=, whole[i] - 4096 - 7 * 64);
        }
        CHECK_UINT((uintptr_t)guard_of(top, usable) % page_bytes(), ==, 0);
        top[-1] = 1;
        *(top - usable) = 1;
        sley__stack_put(p, top, asked[i]);
    }
    sley__stack_pool_destroy(p);
}

SLEY_TEST(size_above_the_largest_is_refused, "")
{
    struct sley__stack_pool *p = sley__stack_pool_create();
    size_t usable = 7;
    CHECK_PTR(sley__stack_get(p, SLEY__STACK_MAX_BYTES + 1, &usable), ==, NULL);
    CHECK_PTR(sley__stack_get(p, SIZE_MAX, &usable), ==, NULL);
    CHECK_UINT(usable, ==, 7);
    sley__stack_pool_destroy(p);
    sley__stack_pool_destroy(NULL);
}

SLEY_TEST(tops_of_neighbours_fall_into_different_cache_sets, "")
{
    struct sley__stack_pool *p = sley__stack_pool_create();
    char *tops[8];
    unsigned seen = 0;
    for (unsigned i = 0; i < 8; i++) {
        size_t usable;
        tops[i] = must_get(p, 0, &usable);
        seen |= 1U << (uintptr_t)tops[i] / 64 % 8;
    }
    CHECK_UINT(seen, ==, 0xff);
    for (unsigned i = 0; i < 8; i++) {
        sley__stack_put(p, tops[i], 0);
    }
    sley__stack_pool_destroy(p);
}

/* Writes one byte in a child, and returns the signal that this was the end of, or 0. */
static int signal_of_write(char *at)
{
    pid_t pid = fork();
    CHECK_INT(pid, >=, 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGSEGV, SIG_DFL); /* sanitizers have theirs */
        *(volatile char *)at = 1;
        _exit(0);
    }
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void check_guards(uint32_t flags)
{
    struct sley__stack_pool *p = sley__stack_pool_create_with(flags);
    const size_t asked[] = {16384, 0, 0, 1 << 20, 1 << 23};
    char *tops[5];
    size_t usable[5];
    for (unsigned i = 0; i < 5; i++) {
        tops[i] = must_get(p, asked[i], &usable[i]);
    }
    CHECK_INT(sley__stack_pool_guard(p), !=, SLEY__STACK_GUARD_UNKNOWN);
    if (flags == SLEY__STACK_POOL_MPROTECT) {
        CHECK_INT(sley__stack_pool_guard(p), ==, SLEY__STACK_GUARD_MPROTECT);
    }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 5; i++) {
            char *low = tops[i] - usable[i];
            CHECK_INT(signal_of_write(low), ==, 0);
            CHECK_INT(signal_of_write(low - 1), ==, SIGSEGV);
            CHECK_INT(signal_of_write(low - page_bytes()), ==, SIGSEGV);
        }
        /* Once more with stacks whose pages were dropped; the first is out meanwhile and keeps the chunk of its class. */
        for (unsigned i = 1; i < 5; i++) {
            sley__stack_put(p, tops[i], asked[i]);
        }
        (void)sley__stack_trim(p);
        for (unsigned i = 1; i < 5; i++) {
            tops[i] = must_get(p, asked[i], &usable[i]);
        }
    }
    for (unsigned i = 0; i < 5; i++) {
        sley__stack_put(p, tops[i], asked[i]);
    }
    sley__stack_pool_destroy(p);
}

SLEY_TEST(guard_faults, "")
{
    check_guards(0);
}

SLEY_TEST(guard_by_mprotect_faults, "")
{
    check_guards(SLEY__STACK_POOL_MPROTECT);
}

SLEY_TEST(guard_survives_the_loss_of_the_pages_around_it, "")
{
    enum { COUNT = 300 }; /* several batches beyond what stays hot */
    for (uint32_t flags = 0; flags <= SLEY__STACK_POOL_MPROTECT; flags++) {
        struct sley__stack_pool *p = sley__stack_pool_create_with(flags);
        char *tops[COUNT];
        size_t usable[COUNT];
        for (unsigned i = 0; i < COUNT; i++) {
            tops[i] = must_get(p, 0, &usable[i]);
            tops[i][-1] = 1;
        }
        for (unsigned i = 1; i < COUNT; i++) {
            sley__stack_put(p, tops[i], 0);
        }
        for (unsigned i = 0; i < COUNT; i += 37) {
            CHECK_INT(signal_of_write(guard_of(tops[i], usable[i])), ==, SIGSEGV);
        }
        sley__stack_put(p, tops[0], 0);
        sley__stack_pool_destroy(p);
    }
}

/* ---- a real overflow, seen by a handler ---- */

static struct sley__stack_pool *overflow_pool;
static void *overflow_top;
static struct sley__context overflow_self, overflow_back;

static void on_overflow(int signo, siginfo_t *info, void *uc)
{
    (void)signo, (void)uc;
    _exit(sley__stack_guard_hit(overflow_pool, info->si_addr) == overflow_top ? 42 : 43);
}

/* Frames smaller than a page, each touched: no way around the guard. */
static __attribute__((noinline)) unsigned recurse(unsigned depth)
{
    volatile char frame[512];
    frame[0] = (char)depth;
    frame[511] = frame[0];
    return depth == 0 ? 0 : recurse(depth - 1) + (unsigned)frame[511];
}

static void overflow_main(void *arg)
{
    *(volatile unsigned *)arg = recurse(1 << 20);
    sley__context_exit(&overflow_self, &overflow_back);
}

static void overflow_in_child(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    static char alternate[1 << 16];
    stack_t ss = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
    struct sigaction sa = {.sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (sigaltstack(&ss, NULL) != 0 || sigaction(SIGSEGV, &sa, NULL) != 0) {
        _exit(44);
    }
    size_t usable;
    unsigned unused;
    overflow_top = sley__stack_get(overflow_pool, 0, &usable);
    sley__context_adopt_thread(&overflow_back);
    sley__context_init(&overflow_self, (char *)overflow_top - usable, overflow_top, overflow_main, &unused);
    sley__context_switch(&overflow_back, &overflow_self);
    _exit(45);
}

SLEY_TEST(overflow_of_a_fiber_is_recognised_in_the_signal_handler, "")
{
    for (uint32_t flags = 0; flags <= SLEY__STACK_POOL_MPROTECT; flags++) {
        overflow_pool = sley__stack_pool_create_with(flags);
        size_t usable;
        char *other = must_get(overflow_pool, 0, &usable);
        pid_t pid = fork();
        CHECK_INT(pid, >=, 0);
        if (pid == 0) {
            overflow_in_child();
        }
        int status = 0;
        CHECK_INT(waitpid(pid, &status, 0), ==, pid);
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), ==, 42);
        sley__stack_put(overflow_pool, other, 0);
        sley__stack_pool_destroy(overflow_pool);
    }
}

SLEY_TEST(guard_hit_names_the_stack_and_no_other, "")
{
    enum { COUNT = 150 };
    struct sley__stack_pool *p = sley__stack_pool_create();
    char *tops[COUNT];
    size_t usable[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        tops[i] = must_get(p, (size_t)16384 << i % 4, &usable[i]);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        char *guard = guard_of(tops[i], usable[i]);
        CHECK_PTR(sley__stack_guard_hit(p, guard), ==, tops[i]);
        CHECK_PTR(sley__stack_guard_hit(p, guard + page_bytes() - 1), ==, tops[i]);
        CHECK_PTR(sley__stack_guard_hit(p, guard + page_bytes()), ==, NULL);
        CHECK_PTR(sley__stack_guard_hit(p, guard - 1), ==, NULL);
        CHECK_PTR(sley__stack_guard_hit(p, tops[i] - 1), ==, NULL);
    }
    CHECK_PTR(sley__stack_guard_hit(p, NULL), ==, NULL);
    CHECK_PTR(sley__stack_guard_hit(p, &p), ==, NULL);
    CHECK_PTR(sley__stack_guard_hit(p, (void *)UINTPTR_MAX), ==, NULL);
    CHECK_PTR(sley__stack_guard_hit(NULL, tops[0]), ==, NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        sley__stack_put(p, tops[i], (size_t)16384 << i % 4);
    }
    sley__stack_pool_destroy(p);
}

SLEY_TEST(last_stack_put_is_the_next_one_got, "")
{
    struct sley__stack_pool *p = sley__stack_pool_create();
    size_t usable, again;
    char *a = must_get(p, 0, &usable);
    char *b = must_get(p, 0, &again);
    char *c = must_get(p, 16384, &again);
    sley__stack_put(p, a, 0);
    sley__stack_put(p, b, 0);
    sley__stack_put(p, c, 16384);
    CHECK_PTR(sley__stack_get(p, 65536, &again), ==, b);
    CHECK_PTR(sley__stack_get(p, 40000, &again), ==, a);
    CHECK_UINT(again, ==, usable);
    CHECK_PTR(sley__stack_get(p, 1, &again), ==, c);
    sley__stack_put(p, a, 0);
    sley__stack_put(p, b, 0);
    sley__stack_put(p, c, 16384);
    sley__stack_pool_destroy(p);
}

/* ---- memory back ---- */

enum { MANY = 256 };

struct many {
    struct sley__stack_pool *p;
    char *tops[MANY];
    size_t usable[MANY];
};

static void take_many(struct many *m, uint32_t flags)
{
    m->p = sley__stack_pool_create_with(flags);
    for (unsigned i = 0; i < MANY; i++) {
        m->tops[i] = must_get(m->p, 0, &m->usable[i]);
        memset(m->tops[i] - m->usable[i], (int)i, m->usable[i]);
    }
}

static long resident_of(const struct many *m, unsigned i)
{
    size_t end = page_bytes() - 1;
    return resident_pages(m->tops[i] - m->usable[i], (m->usable[i] + end) & ~end);
}

static void check_trim(uint32_t flags)
{
    struct many m;
    take_many(&m, flags);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 32 != 0) {
            sley__stack_put(m.p, m.tops[i], 0);
        }
    }
    CHECK_UINT(sley__stack_trim(m.p), >, 0);
    CHECK_UINT(sley__stack_trim(m.p), ==, 0);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 32 != 0) {
            CHECK_INT(resident_of(&m, i), ==, 0);
        } else {
            CHECK_INT(resident_of(&m, i), >, 10);
            CHECK_UINT((unsigned char)m.tops[i][-1], ==, i);
            CHECK_UINT((unsigned char)*(m.tops[i] - m.usable[i]), ==, i);
        }
    }
    for (unsigned i = 0; i < MANY; i += 32) {
        sley__stack_put(m.p, m.tops[i], 0);
    }
    CHECK_UINT(sley__stack_trim(m.p), ==, MANY / 32);
    for (unsigned i = 0; i < MANY; i++) {
        CHECK_INT(resident_of(&m, i), ==, -1);
        CHECK_PTR(sley__stack_guard_hit(m.p, guard_of(m.tops[i], m.usable[i])), ==, NULL);
    }
    size_t usable;
    char *top = must_get(m.p, 0, &usable);
    memset(top - usable, 1, usable);
    sley__stack_put(m.p, top, 0);
    sley__stack_pool_destroy(m.p);
}

SLEY_TEST(trim_gives_pages_and_free_chunks_back, "")
{
    check_trim(0);
}

SLEY_TEST(trim_gives_pages_and_free_chunks_back_with_mprotect, "")
{
    check_trim(SLEY__STACK_POOL_MPROTECT);
}

static void put_many(struct many *m)
{
    for (unsigned i = 0; i < MANY; i++) {
        sley__stack_put(m->p, m->tops[i], 0);
    }
}

static unsigned hot_of(const struct many *m)
{
    unsigned hot = 0;
    for (unsigned i = 0; i < MANY; i++) {
        hot += resident_of(m, i) > 0;
    }
    return hot;
}

SLEY_TEST(settle_gives_back_at_the_second_look_all_but_a_bounded_number, "")
{
    struct many m;
    take_many(&m, 0);
    CHECK(!sley__stack_unsettled(m.p));
    put_many(&m);
    CHECK_UINT(hot_of(&m), ==, MANY);
    CHECK(sley__stack_unsettled(m.p));
    CHECK_INT(sley__stack_settle(m.p), ==, SLEY__STACK_SURPLUS_LATER); /* all were wanted a moment ago */
    CHECK_UINT(hot_of(&m), ==, MANY);
    CHECK_INT(sley__stack_settle(m.p), ==, SLEY__STACK_SURPLUS_NONE);
    CHECK_UINT(hot_of(&m), ==, 64);
    CHECK_INT(resident_of(&m, MANY - 1), >, 10); /* the last one put is hot */
    CHECK_INT(resident_of(&m, 0), ==, 0);
    CHECK(!sley__stack_unsettled(m.p));
    CHECK_INT(sley__stack_settle(m.p), ==, SLEY__STACK_SURPLUS_NONE);
    CHECK_UINT(hot_of(&m), ==, 64);
    sley__stack_pool_destroy(m.p);
}

SLEY_TEST(settle_leaves_what_each_wave_wants, "")
{
    enum { WANTED = 200 };
    struct many m;
    take_many(&m, 0);
    put_many(&m);
    for (unsigned wave = 0; wave < 5; wave++) {
        for (unsigned i = 0; i < WANTED; i++) {
            m.tops[MANY - 1 - i] = must_get(m.p, 0, &m.usable[MANY - 1 - i]);
        }
        for (unsigned i = WANTED; i-- > 0;) {
            sley__stack_put(m.p, m.tops[MANY - 1 - i], 0);
        }
        CHECK_INT(sley__stack_settle(m.p), ==, SLEY__STACK_SURPLUS_LATER);
        CHECK_UINT(hot_of(&m), >=, WANTED);
    }
    sley__stack_pool_destroy(m.p);
}

SLEY_TEST(put_settles_by_itself_in_the_long_run, "")
{
    struct many m;
    take_many(&m, 0);
    put_many(&m);
    for (unsigned i = 0; i < 3 * 4 * MANY; i++) {
        size_t usable;
        sley__stack_put(m.p, must_get(m.p, 0, &usable), 0);
    }
    CHECK_UINT(hot_of(&m), >=, 64);
    CHECK_UINT(hot_of(&m), <=, 128);
    sley__stack_pool_destroy(m.p);
}

/** How many of these stacks have their highest page in memory. */
static unsigned top_pages(char *const *tops, unsigned n)
{
    unsigned hot = 0;
    for (unsigned i = 0; i < n; i++) {
        char *page = tops[i] - 1 - ((uintptr_t)(tops[i] - 1) & (page_bytes() - 1));
        hot += resident_pages(page, page_bytes()) > 0;
    }
    return hot;
}

SLEY_TEST(settle_goes_in_bounded_steps, "")
{
    enum { COUNT = 3000, STEP = 256 };
    static char *tops[COUNT];
    struct sley__stack_pool *p = sley__stack_pool_create();
    size_t usable;
    for (unsigned i = 0; i < COUNT; i++) {
        tops[i] = must_get(p, 16384, &usable);
        tops[i][-1] = 1;
    }
    for (unsigned i = 0; i < COUNT; i++) {
        sley__stack_put(p, tops[i], 16384);
    }
    CHECK_INT(sley__stack_settle(p), ==, SLEY__STACK_SURPLUS_LATER);
    unsigned hot = top_pages(tops, COUNT), steps = 0;
    enum sley__stack_surplus left;
    do {
        left = sley__stack_settle(p);
        const unsigned before = hot;
        hot = top_pages(tops, COUNT);
        CHECK_UINT(before - hot, <=, STEP);
        steps++;
    } while (left == SLEY__STACK_SURPLUS_NOW);
    CHECK_INT(left, ==, SLEY__STACK_SURPLUS_NONE);
    CHECK_UINT(steps, <=, COUNT / STEP + 1);
    CHECK_UINT(hot, >=, 64);
    CHECK_UINT(hot, <=, 128);
    for (unsigned i = 0; i < COUNT; i++) { /* the cold ones, too, are still good */
        tops[i] = must_get(p, 16384, &usable);
        memset(tops[i] - usable, 1, usable);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        sley__stack_put(p, tops[i], 16384);
    }
    CHECK_UINT(sley__stack_trim(p), ==, COUNT);
    CHECK_INT(sley__stack_settle(p), ==, SLEY__STACK_SURPLUS_NONE);
    sley__stack_pool_destroy(p);
}

SLEY_TEST(large_stack_keeps_no_pages, "")
{
    struct sley__stack_pool *p = sley__stack_pool_create();
    size_t usable, again;
    char *top = must_get(p, 1 << 23, &usable);
    memset(top - usable, 1, usable);
    sley__stack_put(p, top, 1 << 23);
    CHECK_INT(resident_pages(top - usable, usable & ~(page_bytes() - 1)), ==, 0);
    CHECK_PTR(sley__stack_get(p, 1 << 23, &again), ==, top);
    sley__stack_put(p, top, 1 << 23);
    sley__stack_pool_destroy(p);
}

static void use_and_destroy_pools(unsigned count)
{
    for (unsigned n = 0; n < count; n++) {
        struct many m;
        take_many(&m, n % 2);
        for (unsigned i = 0; i < MANY; i++) {
            sley__stack_put(m.p, m.tops[i], 0);
            if (i % 100 == 50) {
                (void)sley__stack_trim(m.p);
            }
        }
        sley__stack_pool_destroy(m.p);
    }
}

SLEY_TEST(destroy_returns_all_address_space, "")
{
    use_and_destroy_pools(20); /* whatever starts at the first use has started */
    size_t before = mapped_bytes();
    use_and_destroy_pools(20);
    /* 20 rounds of stacks are 320 MiB, of bookkeeping alone 240 KiB. Checkers map memory for themselves meanwhile. */
    CHECK_UINT(mapped_bytes(), <=, before + (harness_slowness() > 1 ? 1 << 22 : 1 << 17));
}

SLEY_TEST_SECONDS(random_use_keeps_contents_apart, "", 60)
{
    enum { SLOTS = 400, STEPS = 40000 };
    struct {
        char *top;
        size_t bytes, usable;
    } slots[SLOTS] = {0};
    struct sley__stack_pool *p = sley__stack_pool_create();
    for (unsigned step = 0; step < STEPS / harness_slowness(); step++) {
        unsigned i = (unsigned)harness_rand_below(SLOTS);
        if (slots[i].top == NULL) {
            slots[i].bytes = (size_t)16384 << harness_rand_below(5);
            slots[i].top = must_get(p, slots[i].bytes, &slots[i].usable);
            *(unsigned *)(void *)(slots[i].top - 4) = i;
            *(unsigned *)(void *)(slots[i].top - slots[i].usable) = ~i;
        } else {
            CHECK_UINT(*(unsigned *)(void *)(slots[i].top - 4), ==, i);
            CHECK_UINT(*(unsigned *)(void *)(slots[i].top - slots[i].usable), ==, ~i);
            sley__stack_put(p, slots[i].top, slots[i].bytes);
            slots[i].top = NULL;
        }
        if (harness_rand_below(1000) == 0) {
            unsigned keep = (unsigned)harness_rand_below(SLOTS);
            for (unsigned k = 0; k < keep; k++) {
                if (slots[k].top != NULL) {
                    sley__stack_put(p, slots[k].top, slots[k].bytes);
                    slots[k].top = NULL;
                }
            }
            (void)sley__stack_trim(p);
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slots[i].top != NULL) {
            CHECK_UINT(*(unsigned *)(void *)(slots[i].top - 4), ==, i);
            sley__stack_put(p, slots[i].top, slots[i].bytes);
        }
    }
    sley__stack_pool_destroy(p);
}

/* ---- many, and too many ---- */

SLEY_TEST(forty_thousand_guarded_stacks, "")
{
    enum { COUNT = 40000 };
    unsigned count = harness_under_valgrind() ? COUNT / 20 : COUNT; /* it walks a list of them for each */
    struct sley__stack_pool *p = sley__stack_pool_create();
    char **tops = calloc(count, sizeof(*tops));
    CHECK_PTR(tops, !=, NULL);
    size_t usable;
    tops[0] = must_get(p, 0, &usable);
    if (sley__stack_pool_guard(p) != SLEY__STACK_GUARD_MADVISE) {
        SKIP("the kernel has no MADV_GUARD_INSTALL");
    }
    for (unsigned i = 1; i < count; i++) {
        tops[i] = must_get(p, 0, &usable);
    }
    for (unsigned i = 0; i < count; i++) {
        sley__stack_put(p, tops[i], 0);
    }
    CHECK_UINT(sley__stack_trim(p), ==, count);
    free(tops);
    sley__stack_pool_destroy(p);
}

/* The limit is real: vm.max_map_count. At it every mapping of the process fails, so nothing else is done there. */
SLEY_TEST(mprotect_guards_run_out_without_harm, "")
{
    enum { MOST = 70000 };
    if (harness_under_valgrind()) {
        SKIP("valgrind keeps track of 30,000 mappings at most");
    }
    if (harness_under_tsan()) {
        SKIP("the run-time of ThreadSanitizer needs mappings of its own");
    }
    struct sley__stack_pool *p = sley__stack_pool_create_with(SLEY__STACK_POOL_MPROTECT);
    char **tops = calloc(MOST, sizeof(*tops));
    size_t *usable = calloc(MOST, sizeof(*usable));
    CHECK_PTR(tops, !=, NULL);
    CHECK_PTR(usable, !=, NULL);
    unsigned n = 0;
    while (n < MOST && (tops[n] = sley__stack_get(p, 0, &usable[n])) != NULL) {
        tops[n][-1] = (char)n;
        n++;
    }
    size_t untouched = 7;
    bool refused_again = n == MOST || sley__stack_get(p, 0, &untouched) == NULL;
    bool intact = true;
    for (unsigned i = 0; i < n; i++) {
        intact = intact && tops[i][-1] == (char)i;
    }
    for (unsigned i = 0; i < n; i++) {
        sley__stack_put(p, tops[i], 0);
    }
    /* With stacks idle there is one again, at the limit too. */
    char *top = sley__stack_get(p, 0, &usable[0]);
    if (top != NULL) {
        sley__stack_put(p, top, 0);
    }
    size_t trimmed = sley__stack_trim(p);
    sley__stack_pool_destroy(p);
    if (n == MOST) {
        free(tops), free(usable);
        SKIP("vm.max_map_count is above the default");
    }
    harness_note("%u stacks", n);
    CHECK(refused_again);
    CHECK_UINT(untouched, ==, 7);
    CHECK(intact);
    CHECK_PTR(top, !=, NULL);
    CHECK_UINT(trimmed, >, 0);
    CHECK_UINT(n, >, 10000);
    free(tops), free(usable);
}

static void limit_address_space(rlim_t bytes)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_AS, &limit), ==, 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_AS, &limit), ==, 0);
}

SLEY_TEST(mapping_refused_at_each_step_is_a_clear_failure, "")
{
    if (harness_under_valgrind()) {
        SKIP("valgrind needs address space of its own");
    }
    limit_address_space(page_bytes());
    void *any = mmap(NULL, page_bytes(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sley__stack_pool *none = sley__stack_pool_create();
    limit_address_space(RLIM_INFINITY);
    if (any != MAP_FAILED) {
        (void)munmap(any, page_bytes());
        sley__stack_pool_destroy(none);
        SKIP("RLIMIT_AS has no effect here");
    }
    CHECK_PTR(none, ==, NULL);

    /* 0: the idle array; 1: the record page; 2 and up: the chunk. */
    for (size_t spare = 0; spare < 5; spare++) {
        struct sley__stack_pool *p = sley__stack_pool_create();
        CHECK_PTR(p, !=, NULL);
        size_t usable = 7;
        limit_address_space(address_space_bytes() + spare * page_bytes());
        char *top = sley__stack_get(p, 0, &usable);
        char *again = sley__stack_get(p, 0, &usable);
        limit_address_space(RLIM_INFINITY);
        CHECK_PTR(top, ==, NULL);
        CHECK_PTR(again, ==, NULL);
        CHECK_UINT(usable, ==, 7);
        top = must_get(p, 0, &usable);
        memset(top - usable, 1, usable);
        limit_address_space(page_bytes());
        sley__stack_put(p, top, 0); /* never fails */
        again = sley__stack_get(p, 0, &usable);
        limit_address_space(RLIM_INFINITY);
        CHECK_PTR(again, ==, top);
        sley__stack_put(p, top, 0);
        sley__stack_pool_destroy(p);
    }
}
