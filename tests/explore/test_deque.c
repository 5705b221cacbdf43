/* A work-stealing deque (Chase and Lev, with the fences of Le et al., PPoPP 2013) of four slots, in this file: no part of the
 * product, but what the explorer must be able to tell right from wrong. */
#include "explore.h"

#include "harness.h"

#include <stdatomic.h>

enum { SLOTS = 4, ITEMS = 3 };

static _Atomic(int64_t) top, bottom;
static _Atomic(uint32_t) slots[SLOTS];
static uint32_t taken[EXPLORE_THREADS][ITEMS + 1], taken_count[EXPLORE_THREADS];

static void setup(void)
{
    atomic_store_explicit(&top, 0, memory_order_relaxed);
    atomic_store_explicit(&bottom, 0, memory_order_relaxed);
    memset(taken, 0, sizeof taken);
    memset(taken_count, 0, sizeof taken_count);
}

static void took(uint32_t item)
{
    const int me = explore_thread();
    if (item) {
        taken[me][taken_count[me]++] = item;
    }
}

static void push(uint32_t item)
{
    const int64_t b = atomic_load_explicit(&bottom, memory_order_relaxed);
    atomic_store_explicit(&slots[b % SLOTS], item, memory_order_relaxed);
    atomic_store_explicit(&bottom, b + 1, memory_order_release);
}

static uint32_t pop(void)
{
    const int64_t b = atomic_load_explicit(&bottom, memory_order_relaxed) - 1;
    atomic_store_explicit(&bottom, b, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    int64_t t = atomic_load_explicit(&top, memory_order_relaxed);
    uint32_t item = 0;
    if (t <= b) {
        item = atomic_load_explicit(&slots[b % SLOTS], memory_order_relaxed);
        if (t < b) {
            return item;
        }
        if (!atomic_compare_exchange_strong_explicit(&top, &t, t + 1, memory_order_seq_cst, memory_order_relaxed)) {
            item = 0;
        }
    }
    atomic_store_explicit(&bottom, b + 1, memory_order_relaxed);
    return item;
}

static uint32_t steal(void)
{
    int64_t t = atomic_load_explicit(&top, memory_order_acquire);
    atomic_thread_fence(memory_order_seq_cst);
    if (t >= atomic_load_explicit(&bottom, memory_order_acquire)) {
        return 0;
    }
    const uint32_t item = atomic_load_explicit(&slots[t % SLOTS], memory_order_relaxed);
    return atomic_compare_exchange_strong_explicit(&top, &t, t + 1, memory_order_seq_cst, memory_order_relaxed) ? item : 0;
}

static void owner(void)
{
    push(1);
    push(2);
    took(pop());
    push(3);
    took(pop());
    took(pop());
}

static void thief(void)
{
    took(steal());
}

static void thief_twice(void)
{
    took(steal());
    took(steal());
}

static void each_once(void)
{
    unsigned count[ITEMS + 1] = {0};
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        for (unsigned k = 0; k < taken_count[i]; k++) {
            count[taken[i][k]]++;
        }
    }
    const int64_t left = atomic_load_explicit(&bottom, memory_order_relaxed) - atomic_load_explicit(&top, memory_order_relaxed);
    EXPLORE_CHECK(count[1] <= 1 && count[2] <= 1 && count[3] <= 1);
    EXPLORE_CHECK(left == ITEMS - (int64_t)(count[1] + count[2] + count[3]));
}

static struct explore_scenario scenario(void)
{
    return (struct explore_scenario){.setup = setup, .threads = {owner, thief_twice}, .check = each_once, .tso = true};
}

EXPLORE_TEST(deque_gives_each_item_once)
{
    struct explore_scenario s = scenario();
    explore_exhaust("deque, one thief twice", &s);
    s.threads[1] = s.threads[2] = thief;
    explore_exhaust("deque, two thieves", &s);
}

EXPLORE_TEST(planted_pop_without_fence_takes_twice)
{
    struct explore_scenario s = scenario();
    s.planted = &(const struct explore_planted){"pop", EXPLORE_FENCE, EXPLORE_DROP};
    explore_find("pop without its fence", &s, "count[1] <= 1");
    s.tso = false;
    explore_exhaust("pop without its fence, without buffers", &s);
}

EXPLORE_TEST(planted_steal_without_cas_takes_twice)
{
    struct explore_scenario s = scenario();
    s.planted = &(const struct explore_planted){"steal", EXPLORE_CAS, EXPLORE_SPLIT};
    explore_find("steal by load and store", &s, "count[1] <= 1");
}
