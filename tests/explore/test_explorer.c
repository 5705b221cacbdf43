/* The explorer itself: small spaces whose size is known, and small bugs of each kind that it must find. */
#include "explore.h"

#include "harness.h"

#include <stdatomic.h>

static _Atomic(uint32_t) x, y;
static uint32_t seen[EXPLORE_THREADS];
static uint32_t plain;

static void clear(void)
{
    /* relaxed: no thread runs yet */
    atomic_store_explicit(&x, 0, memory_order_relaxed);
    atomic_store_explicit(&y, 0, memory_order_relaxed);
    memset(seen, 0, sizeof seen);
    plain = 0;
}

static uint64_t count(const struct explore_scenario *s)
{
    struct explore_result r;
    explore_run(s, &r);
    if (r.found) {
        explore_replay(s, r.schedule);
        FAIL("%s", r.what);
    }
    CHECK(r.exhausted);
    return r.executions;
}

/* ---- how many executions there are ---------------------------------------------------------------------------------- */

static void set_x(void)
{
    atomic_store_explicit(&x, 1, memory_order_relaxed);
}

static void set_y(void)
{
    atomic_store_explicit(&y, 1, memory_order_relaxed);
}

static void add_x(void)
{
    seen[explore_thread()] = atomic_fetch_add_explicit(&x, 1, memory_order_relaxed);
}

EXPLORE_TEST(threads_that_share_nothing_run_once)
{
    CHECK_UINT(count(&(struct explore_scenario){.setup = clear, .threads = {set_x, set_y}}), ==, 1);
}

EXPLORE_TEST(one_write_each_runs_in_each_order)
{
    CHECK_UINT(count(&(struct explore_scenario){.setup = clear, .threads = {set_x, set_x}}), ==, 2);
    CHECK_UINT(count(&(struct explore_scenario){.setup = clear, .threads = {add_x, add_x, add_x}}), ==, 6);
    CHECK_UINT(count(&(struct explore_scenario){.setup = clear, .threads = {add_x, add_x, add_x, add_x}}), ==, 24);
}

/* Store, then load what the other one stores. */
static void dekker_a(void)
{
    atomic_store_explicit(&x, 1, memory_order_relaxed);
    seen[0] = atomic_load_explicit(&y, memory_order_relaxed);
}

static void dekker_b(void)
{
    atomic_store_explicit(&y, 1, memory_order_relaxed);
    seen[1] = atomic_load_explicit(&x, memory_order_relaxed);
}

EXPLORE_TEST(store_buffers_add_the_order_that_both_miss)
{
    CHECK_UINT(count(&(struct explore_scenario){.setup = clear, .threads = {dekker_a, dekker_b}}), ==, 3);
    CHECK_UINT(count(&(struct explore_scenario){.setup = clear, .threads = {dekker_a, dekker_b}, .tso = true}), ==, 4);
}

static void add_twice(void)
{
    add_x();
    add_x();
}

EXPLORE_TEST(a_bound_counts_preemptions)
{
    const struct explore_scenario s = {.setup = clear, .threads = {add_twice, add_twice}, .preemptions = 1};
    CHECK_UINT(count(&s), ==, 4); /* aabb bbaa abba baab */
    const struct explore_scenario more = {.setup = clear, .threads = {add_twice, add_twice}, .preemptions = 3};
    CHECK_UINT(count(&more), ==, 6);
}

/* ---- bugs of each kind ----------------------------------------------------------------------------------------------- */

/* Two that must not both be inside: each raises its flag, fences, looks at the other's. */
static void enter_a(void)
{
    atomic_store_explicit(&x, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    seen[0] = atomic_load_explicit(&y, memory_order_acquire) == 0;
}

static void enter_b(void)
{
    atomic_store_explicit(&y, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    seen[1] = atomic_load_explicit(&x, memory_order_acquire) == 0;
}

static void one_inside(void)
{
    EXPLORE_CHECK(seen[0] + seen[1] <= 1);
}

EXPLORE_TEST(planted_missing_fence_is_found_under_tso)
{
    struct explore_scenario s = {.setup = clear, .threads = {enter_a, enter_b}, .check = one_inside, .tso = true};
    explore_exhaust("two flags with fences", &s);
    s.planted = &(const struct explore_planted){"enter_b", EXPLORE_FENCE, EXPLORE_DROP};
    explore_find("two flags, a fence missing", &s, "<= 1");
    s.tso = false;
    explore_exhaust("two flags, a fence missing, without buffers", &s);
}

/* A message: plain data behind a flag. */
static void publish(void)
{
    plain = 42;
    atomic_store_explicit(&x, 1, memory_order_release);
}

static void take(void)
{
    while (atomic_load_explicit(&x, memory_order_acquire) == 0) {
        sched_yield();
    }
    EXPLORE_CHECK(plain == 42);
}

static void take_spinning(void)
{
    while (atomic_load_explicit(&x, memory_order_acquire) == 0) {
    }
    EXPLORE_CHECK(plain == 42);
}

EXPLORE_TEST(planted_relaxed_release_is_found_as_a_race)
{
    struct explore_scenario s = {.setup = clear, .threads = {publish, take}};
    explore_exhaust("a message", &s);
    s.planted = &(const struct explore_planted){"publish", EXPLORE_STORE, EXPLORE_RELAX};
    explore_find("a message, published relaxed", &s, "data race");
    s.planted = &(const struct explore_planted){"take", EXPLORE_LOAD, EXPLORE_RELAX};
    explore_find("a message, taken relaxed", &s, "data race");
    explore_exhaust("a message, without a pause", &(struct explore_scenario){.setup = clear, .threads = {publish, take_spinning}});
}

static void nothing(void) {}

EXPLORE_TEST(loop_that_waits_for_nobody_is_a_deadlock)
{
    explore_find("a loop with a pause", &(struct explore_scenario){.setup = clear, .threads = {take, nothing}}, "deadlock; a spins");
    explore_find("a loop without one", &(struct explore_scenario){.setup = clear, .threads = {take_spinning, nothing}},
                 "deadlock; a spins");
}

static void count_up(void)
{
    for (int i = 0; i < 2; i++) {
        uint32_t old = atomic_load_explicit(&x, memory_order_relaxed);
        while (!atomic_compare_exchange_weak_explicit(&x, &old, old + 1, memory_order_relaxed, memory_order_relaxed)) {
        }
    }
}

static void counted_four(void)
{
    const uint32_t total = atomic_load_explicit(&x, memory_order_relaxed);
    EXPLORE_CHECK(total == 4);
}

EXPLORE_TEST(planted_load_and_store_for_a_cas_is_found)
{
    struct explore_scenario s = {.setup = clear, .threads = {count_up, count_up}, .check = counted_four, .spurious = true};
    explore_exhaust("a counter", &s);
    s.planted = &(const struct explore_planted){"count_up", EXPLORE_CAS, EXPLORE_SPLIT};
    explore_find("a counter without CAS", &s, "total == 4");
}

static void count_plainly(void)
{
    plain++;
}

EXPLORE_TEST(race_between_plain_accesses_is_found)
{
    explore_find("a plain counter", &(struct explore_scenario){.setup = clear, .threads = {count_plainly, count_plainly}}, "data race");
}

static char *block;

static void make_block(void)
{
    clear();
    block = sley_alloc_get(explore_alloc(), 16, 8);
}

static void free_block(void)
{
    sley_alloc_put(explore_alloc(), block, 16);
    add_x();
}

static void use_block(void)
{
    if (atomic_load_explicit(&x, memory_order_acquire) != 0) {
        block[0] = 1;
    }
}

EXPLORE_TEST(memory_freed_too_early_or_never_is_found)
{
    explore_find("a block in use", &(struct explore_scenario){.setup = make_block, .threads = {free_block, use_block}}, "freed");
    explore_find("a block forgotten", &(struct explore_scenario){.setup = make_block, .threads = {use_block}}, "not given back");
}

static void choose(void)
{
    const unsigned a = explore_choose(3), b = explore_choose(2);
    EXPLORE_CHECK(a < 3 && b < 2);
}

EXPLORE_TEST(choices_are_all_made)
{
    CHECK_UINT(count(&(struct explore_scenario){.threads = {choose}}), ==, 6);
}
