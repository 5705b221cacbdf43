/* The ring of a stealing worker (executor/stealing/ring.c): whoever pushes, pops, overflows or steals, each task goes to one of
 * them, once, and nothing is lost; also where the counts wrap. */
#include "executor/stealing/ring.h"
#include "explore.h"
#include "harness.h"

#include <stdio.h>

enum { TASKS = 6, RINGS = 3, SLOTS = 4 };

static struct sley__steal_ring rings[RINGS]; /* of the threads, in their order */
static SLEY_ATOMIC(struct sley_task *) slots[RINGS][SLOTS];
static struct sley_task tasks[TASKS];
static unsigned taken[EXPLORE_THREADS][TASKS], pushed;
static bool plain; /* owners pass their door without a locked instruction */

static void setup_of(uint32_t capacity, uint32_t start)
{
    memset(slots, 0, sizeof slots);
    memset(tasks, 0, sizeof tasks);
    memset(taken, 0, sizeof taken);
    pushed = 0;
    for (unsigned i = 0; i < RINGS; i++) {
        sley__steal_ring_init(&rings[i], slots[i], capacity);
        sley_door_init(&rings[i].door, plain);
        atomic_store_explicit(&rings[i].head, (uint64_t)start << 32 | start, memory_order_relaxed);
        atomic_store_explicit(&rings[i].tail, start, memory_order_relaxed);
    }
}

/* The counts begin just below 2^32 and wrap. */
static void setup_two_slots(void)
{
    setup_of(2, UINT32_MAX - 1);
}

static void setup_four_slots(void)
{
    setup_of(4, UINT32_MAX - 1);
}

/* ---- what the threads do ---------------------------------------------------------------------------------------------- */

static bool took(struct sley_task *t)
{
    if (t) {
        EXPLORE_CHECK(t >= tasks && t < tasks + TASKS);
        EXPLORE_CHECK(++taken[explore_thread()][t - tasks] == 1);
    }
    return t != NULL;
}

/** As a worker does; what overflows is taken by the owner. */
static void push(void)
{
    struct sley_task *first, *last, *t = &tasks[pushed++];
    if (sley__steal_ring_push_back(&rings[0], t)) {
        return;
    }
    const uint32_t n = sley__steal_ring_chain(&rings[0], rings[0].capacity / 2, &first, &last);
    EXPLORE_CHECK(n <= rings[0].capacity / 2);
    for (uint32_t i = 0; i < n; i++) {
        EXPLORE_CHECK(i + 1 < n || first == last);
        struct sley_task *next = i + 1 < n ? first->link.next : NULL;
        (void)took(first);
        first = next;
    }
    (void)took(t);
}

static void pop_all(void)
{
    while (took(sley__steal_ring_pop(&rings[explore_thread()]))) {
    }
}

/** Six tasks, through a ring that has no room for them all. */
static void owner(void)
{
    for (unsigned i = 0; i < 2; i++) {
        push();
        push();
        (void)took(sley__steal_ring_pop(&rings[0]));
        push();
        pop_all();
    }
}

static void owner_of_five(void)
{
    for (unsigned i = 0; i < 5; i++) {
        push();
    }
    pop_all();
}

static void owner_of_three(void)
{
    push();
    push();
    push();
    (void)took(sley__steal_ring_pop(&rings[0]));
}

static void steal(void)
{
    struct sley__steal_ring *mine = &rings[explore_thread()];
    if (took(sley__steal_ring_steal(&rings[0], mine))) {
        pop_all();
    }
}

static void steal_three_times(void)
{
    steal();
    steal();
    steal();
}

/** Steals, and keeps what it did not run at once: others may steal it from here. */
static void steal_and_keep(void)
{
    (void)took(sley__steal_ring_steal(&rings[0], &rings[1]));
    (void)took(sley__steal_ring_pop(&rings[1]));
}

static void steal_from_the_thief(void)
{
    if (took(sley__steal_ring_steal(&rings[1], &rings[2]))) {
        pop_all();
    }
}

static void each_once(void)
{
    unsigned count[TASKS] = {0};
    for (unsigned k = 0; k < TASKS; k++) {
        for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
            count[k] += taken[i][k];
        }
    }
    for (unsigned i = 0; i < RINGS; i++) {
        EXPLORE_CHECK(sley__steal_ring_count(&rings[i]) <= rings[i].capacity);
        for (struct sley_task *t; (t = sley__steal_ring_pop(&rings[i])) != NULL;) {
            EXPLORE_CHECK(t >= tasks && t < tasks + TASKS);
            count[t - tasks]++;
        }
    }
    for (unsigned k = 0; k < TASKS; k++) {
        EXPLORE_CHECK(count[k] == (k < pushed));
    }
}

/* ---- cases ------------------------------------------------------------------------------------------------------------ */

/** With and without store buffers; with a bound without. By locked instructions alone, and, with a bound, through the door. */
static void exhaust(const char *name, struct explore_scenario s)
{
    for (unsigned i = 0; i < 4; i += s.preemptions ? 2 : 1) { /* flushes count as no preemptions, and are too many */
        char full[96];
        (void)snprintf(full, sizeof full, "%s, %u slots%s", name, i / 2 ? 4u : 2u, plain ? ", a door" : "");
        s.setup = i / 2 ? setup_four_slots : setup_two_slots;
        s.tso = i % 2;
        s.check = each_once;
        explore_exhaust(full, &s);
    }
}

EXPLORE_CASE(ring_owner_against_a_thief_with_three_tries, "STEAL-05")
{
    exhaust("ring, one thief", (struct explore_scenario){.threads = {owner, steal_three_times}, .preemptions = 3});
}

EXPLORE_CASE(ring_two_thieves_get_each_task_once, "STEAL-06")
{
    exhaust("ring, two thieves", (struct explore_scenario){.threads = {owner_of_five, steal, steal}});
}

/* A thief that is done between push, which finds the ring full, and overflow leaves fewer tasks than overflow used to take out. */
EXPLORE_CASE(regress_ring_overflow_beside_a_thief_that_ends_takes_what_is_there, "STEAL-05")
{
    exhaust("ring, one thief once", (struct explore_scenario){.threads = {owner, steal}});
}

EXPLORE_CASE(ring_a_thief_is_stolen_from, "STEAL-06")
{
    exhaust("ring, chain of thieves", (struct explore_scenario){.threads = {owner_of_three, steal_and_keep, steal_from_the_thief}});
}

EXPLORE_CASE(ring_weak_exchanges_fail_without_a_reason, "STEAL-05")
{
    exhaust("ring, spurious failures", (struct explore_scenario){.threads = {owner_of_three, steal}, .spurious = true});
}

static void owner_of_four(void)
{
    push();
    push();
    (void)took(sley__steal_ring_pop(&rings[0]));
    push();
    push();
    pop_all();
}

static void steal_twice(void)
{
    steal();
    steal();
}

EXPLORE_CASE(ring_three_tries_under_store_buffers, "STEAL-05")
{
    struct explore_scenario s = {
        .setup = setup_two_slots, .threads = {owner_of_three, steal_three_times}, .check = each_once, .tso = true};
    explore_exhaust("owner of three, three tries", &s);
    s.threads[0] = owner_of_four;
    s.threads[1] = steal_twice;
    explore_exhaust("owner of four, two tries", &s);
    s.threads[1] = steal_three_times;
    explore_exhaust("owner of four, three tries", &s);
}

static void exhaust_door(const char *name, struct explore_scenario s)
{
    plain = true;
    exhaust(name, s);
    plain = false;
}

EXPLORE_CASE(ring_owner_behind_its_door_against_thieves, "STEAL-05 STEAL-06")
{
    exhaust_door("ring, one thief", (struct explore_scenario){.threads = {owner, steal_three_times}, .preemptions = 3});
    exhaust_door("ring, two thieves", (struct explore_scenario){.threads = {owner_of_five, steal, steal}, .preemptions = 2});
    exhaust_door("ring, chain of thieves",
                 (struct explore_scenario){.threads = {owner_of_three, steal_and_keep, steal_from_the_thief}, .preemptions = 2});
}

static void owner_of_two(void)
{
    push();
    push();
    (void)took(sley__steal_ring_pop(&rings[0]));
}

EXPLORE_CASE(ring_door_under_store_buffers, "STEAL-05")
{
    struct explore_scenario s = {
        .setup = setup_two_slots, .threads = {owner_of_two, steal}, .check = each_once, .tso = true, .barriers = true};
    plain = true;
    explore_exhaust("door, owner of two, one try", &s);
    s.threads[0] = owner_of_three;
    explore_exhaust("door, owner of three, one try", &s);
    plain = false;
}

static void find(const char *name, void (*first)(void), struct explore_planted planted)
{
    const struct explore_scenario s = {
        .setup = setup_two_slots, .threads = {first, steal_three_times}, .check = each_once, .preemptions = 2, .planted = &planted};
    explore_find(name, &s, "");
}

EXPLORE_TEST(planted_bugs_of_the_ring_are_found)
{
    find("pop by load and store", owner, (struct explore_planted){"sley__steal_ring_pop", EXPLORE_CAS, EXPLORE_SPLIT});
    find("overflow by load and store", owner_of_five, (struct explore_planted){"sley__steal_ring_chain", EXPLORE_CAS, EXPLORE_SPLIT});
    find("claim by load and store", owner, (struct explore_planted){"claim", EXPLORE_CAS, EXPLORE_SPLIT});
    find("done by load and store", owner, (struct explore_planted){"sley__steal_ring_steal", EXPLORE_CAS, EXPLORE_SPLIT});
    plain = true;
    find("done by load and store, overflow behind the door", owner_of_five,
         (struct explore_planted){"sley__steal_ring_chain", EXPLORE_CAS, EXPLORE_SPLIT});
    struct explore_scenario s = {.setup = setup_two_slots, .threads = {owner_of_two, steal}, .check = each_once, .tso = true};
    s.barriers = true;
    s.planted = &(const struct explore_planted){"sley_group_barrier", EXPLORE_BARRIER, EXPLORE_DROP};
    explore_find("a door without membarrier", &s, "");
    plain = false;
}
