/* The LIFO slot (executor/stealing/lifo.c) against a thief, and the injection queue (inject.c) among pushers and takers. */
#include "executor/stealing/lifo.h"

#include "executor/stealing/inject.h"
#include "executor/stealing/worker.h"
#include "explore.h"
#include "harness.h"

enum { TASKS = 4 };

static struct sley__lifo slot;
static struct sley__inject queue;
static struct sley_task tasks[TASKS];
static unsigned taken[EXPLORE_THREADS][TASKS];
static bool plain, all; /* all: the owner puts three */

static void setup(void)
{
    memset(&slot, 0, sizeof slot);
    memset(&queue, 0, sizeof queue);
    memset(tasks, 0, sizeof tasks);
    memset(taken, 0, sizeof taken);
    sley_door_init(&slot.door, plain);
}

/** What came before the task was handed over is seen: its link is the taker's now. */
static void took(struct sley_task *t)
{
    if (t) {
        EXPLORE_CHECK(t >= tasks && t < tasks + TASKS);
        EXPLORE_CHECK(++taken[explore_thread()][t - tasks] == 1);
        t->link.next = NULL;
    }
}

static unsigned count_of(unsigned task)
{
    unsigned n = 0;
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        n += taken[i][task];
    }
    return n;
}

/* ---- the slot --------------------------------------------------------------------------------------------------------- */

static void put(unsigned i)
{
    tasks[i].link.next = NULL;
    took(sley__lifo_put(&slot, &tasks[i]));
}

static void owner(void)
{
    put(0);
    put(1);
    took(sley__lifo_take(&slot));
    put(2);
}

static void owner_of_two(void)
{
    put(0);
    put(1);
}

static void rob_twice(void)
{
    took(sley__lifo_rob(&slot));
    took(sley__lifo_rob(&slot));
}

static void rob_once(void)
{
    took(sley__lifo_rob(&slot));
}

static void check_slot(void)
{
    struct sley_task *left = atomic_load_explicit(&slot.task, memory_order_relaxed);
    EXPLORE_CHECK(atomic_load_explicit(&slot.door.held, memory_order_relaxed) == 0);
    EXPLORE_CHECK(atomic_load_explicit(&slot.door.seized, memory_order_relaxed) == !plain);
    for (unsigned i = 0; i < TASKS - 1; i++) {
        const unsigned n = count_of(i) + (left == &tasks[i]);
        EXPLORE_CHECK(n == 1 || (n == 0 && i == 2 && !all));
    }
}

EXPLORE_TEST(lifo_slot_gives_each_task_once)
{
    struct explore_scenario s = {.setup = setup, .threads = {owner, rob_twice}, .check = check_slot};
    plain = all = true;
    explore_exhaust("slot, plain, one thief twice", &s);
    all = false;
    s.tso = s.barriers = true;
    s.threads[0] = owner_of_two;
    explore_exhaust("slot, plain, two puts, one thief twice", &s);
    all = true;
    s = (struct explore_scenario){.setup = setup, .threads = {owner, rob_once, rob_once}, .check = check_slot, .preemptions = 2};
    explore_exhaust("slot, plain, two thieves", &s);
    plain = false;
    s = (struct explore_scenario){.setup = setup, .threads = {owner, rob_twice}, .check = check_slot, .tso = true};
    explore_exhaust("slot, exchanges, one thief twice", &s);
}

/* As sley__lifo_put, but for the first store, which comes after the load that it must come before. */
static void owner_holds_late(void)
{
    tasks[0].link.next = NULL;
    if (!atomic_load_explicit(&slot.door.seized, memory_order_acquire)) {
        atomic_store_explicit(&slot.door.held, 1, memory_order_relaxed);
        struct sley_task *before = atomic_load_explicit(&slot.task, memory_order_relaxed);
        atomic_store_explicit(&slot.task, &tasks[0], memory_order_relaxed);
        atomic_store_explicit(&slot.door.held, 0, memory_order_release);
        took(before);
    }
}

/* As sley__lifo_rob, but that it is given back before it is emptied. */
static void rob_after_giving_back(void)
{
    if (sley__lifo_full(&slot) && !atomic_exchange_explicit(&slot.door.seized, 1, memory_order_acq_rel)) {
        sley_group_barrier();
        while (atomic_load_explicit(&slot.door.held, memory_order_acquire)) {
            SLEY__RELAX();
        }
        atomic_store_explicit(&slot.door.seized, 0, memory_order_release);
        took(atomic_exchange_explicit(&slot.task, NULL, memory_order_acq_rel));
    }
}

static void setup_full(void)
{
    setup();
    tasks[1].link.next = NULL;
    (void)sley__lifo_put(&slot, &tasks[1]);
}

static void check_some(void)
{
    EXPLORE_CHECK(count_of(0) <= 1 && count_of(1) <= 1 && count_of(2) <= 1);
}

EXPLORE_TEST(planted_bugs_of_the_slot_are_found)
{
    struct explore_scenario s = {
        .setup = setup, .threads = {owner_of_two, rob_twice}, .check = check_slot, .tso = true, .barriers = true};
    plain = true;
    s.planted = &(const struct explore_planted){"sley_group_barrier", EXPLORE_BARRIER, EXPLORE_DROP};
    explore_find("no membarrier", &s, "");
    s.planted = NULL;
    s.threads[1] = rob_after_giving_back;
    explore_find("given back before it is emptied", &s, "");
    s = (struct explore_scenario){.setup = setup_full, .threads = {owner_holds_late, rob_once}, .check = check_some};
    explore_find("held too late", &s, "");
    plain = false;
    s = (struct explore_scenario){.setup = setup, .threads = {owner, rob_twice}, .check = check_slot};
    s.planted = &(const struct explore_planted){"sley__lifo_rob", EXPLORE_EXCHANGE, EXPLORE_SPLIT};
    explore_find("robbed by load and store", &s, "");
}

/* ---- the injection queue ---------------------------------------------------------------------------------------------- */

static void push_chain(void)
{
    tasks[0].link.next = &tasks[1];
    sley__inject_push(&queue, &tasks[0], &tasks[1]);
}

static void push_two(void)
{
    sley__inject_push(&queue, &tasks[2], &tasks[2]);
    sley__inject_push(&queue, &tasks[3], &tasks[3]);
}

/** Each pusher's come in their order: never the second while the first is still there. */
static void take(uint32_t max)
{
    struct sley_task *t = sley__inject_take(&queue, max);
    for (uint32_t n = 0; t; n++) {
        struct sley_task *next = t->link.next;
        EXPLORE_CHECK(n < max && !(next == &tasks[0] && t == &tasks[1]) && !(next == &tasks[2] && t == &tasks[3]));
        took(t);
        t = next;
    }
}

static void take_one_and_two(void)
{
    take(1);
    take(2);
}

static void take_two(void)
{
    take(2);
}

static void check_queue(void)
{
    while (!sley__inject_empty(&queue)) {
        for (struct sley_task *t = sley__inject_take(&queue, 1); t; t = t->link.next) {
            taken[0][t - tasks]++;
            EXPLORE_CHECK(t != &tasks[0] || count_of(1) == 0);
            EXPLORE_CHECK(t != &tasks[2] || count_of(3) == 0);
        }
    }
    for (unsigned i = 0; i < TASKS; i++) {
        EXPLORE_CHECK(count_of(i) == 1);
    }
}

EXPLORE_TEST(inject_gives_each_task_once_in_its_pushers_order)
{
    struct explore_scenario s = {.setup = setup, .threads = {push_chain, push_two, take_one_and_two}, .check = check_queue, .tso = true};
    explore_exhaust("injection, one taker", &s);
    s.tso = false;
    s.threads[3] = take_two;
    s.preemptions = 1;
    explore_exhaust("injection, two takers", &s);
}

/* A backlog: its owner appends and takes, a thief takes. */

static void append_and_take(void)
{
    tasks[0].link.next = &tasks[1];
    sley__inject_append(&queue, &tasks[0], &tasks[1], 2);
    take(1);
    tasks[2].link.next = &tasks[3];
    sley__inject_append(&queue, &tasks[2], &tasks[3], 2);
    take(1);
}

EXPLORE_TEST(backlog_gives_each_task_once_in_order)
{
    struct explore_scenario s = {.setup = setup, .threads = {append_and_take, take_two}, .check = check_queue, .tso = true};
    explore_exhaust("backlog, one thief", &s);
    s.threads[2] = take_two;
    s.tso = false;
    s.preemptions = 2;
    explore_exhaust("backlog, two thieves", &s);
}

EXPLORE_TEST(planted_bugs_of_the_backlog_are_found)
{
    struct explore_scenario s = {.setup = setup, .threads = {append_and_take, take_two}, .check = check_queue};
    s.planted = &(const struct explore_planted){"sley_spin_unlock", EXPLORE_STORE, EXPLORE_RELAX};
    explore_find("unlocked relaxed", &s, "data race");
}

EXPLORE_TEST(planted_bugs_of_the_injection_queue_are_found)
{
    struct explore_scenario s = {
        .setup = setup, .threads = {push_chain, push_two, take_one_and_two, take_two}, .check = check_queue, .preemptions = 2};
    s.planted = &(const struct explore_planted){"sley__inject_push", EXPLORE_CAS, EXPLORE_SPLIT};
    explore_find("pushed by load and store", &s, "");
    s.planted = &(const struct explore_planted){"sley__inject_push", EXPLORE_CAS, EXPLORE_RELAX};
    explore_find("pushed relaxed", &s, "data race");
    s.planted = &(const struct explore_planted){"refill", EXPLORE_EXCHANGE, EXPLORE_SPLIT};
    explore_find("taken by load and store", &s, "");
}
