/* The stealing executor's queues and its bookkeeping of who sleeps and searches, step by step: workers without threads. */
#include <string.h>

#include "executor/stealing/worker.h"
#include "harness.h"

enum { WORKERS = 4, TASKS = 2 * RING_CAPACITY };

/** A reactor that does not sleep: it tells the test what it would have slept over. */
struct fake {
    struct sley_reactor base;
    struct worker *worker;
    unsigned polls, wakes;
};

static struct sley_stealing_pool pool;
static struct worker workers[WORKERS];
static struct sley_sched *scheds[WORKERS];
static struct fake fakes[WORKERS];
static struct sley_task tasks[TASKS];
static void (*asleep)(struct worker *w);

static int fake_poll(struct sley_reactor *self, uint64_t timeout_ns)
{
    struct fake *f = sley_container_of(self, struct fake, base);
    (void)timeout_ns;
    f->polls++;
    if (asleep) {
        asleep(f->worker);
    }
    return 0;
}

static void fake_wake(struct sley_reactor *self)
{
    sley_container_of(self, struct fake, base)->wakes++;
}

static const struct sley_reactor_ops fake_ops = {.version = SLEY_REACTOR_VERSION, .name = "fake", .poll = fake_poll, .wake = fake_wake};

static void release(struct sley_group *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        sley_sched_destroy(g->scheds[i]);
    }
}

static void begin(void)
{
    memset(&pool, 0, sizeof pool);
    memset(workers, 0, sizeof workers);
    memset(fakes, 0, sizeof fakes);
    asleep = NULL;
    pool.workers = workers;
    pool.scheds = scheds;
    pool.count = WORKERS;
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];
        w->pool = &pool;
        w->index = i;
        w->random = i + 1;
        w->inject_interval = LOOK_INTERVAL;
        scheds[i] = &w->sched;
        fakes[i] = (struct fake){.base = {.ops = &fake_ops}, .worker = w};
        w->reactor = &fakes[i].base;
        sley__steal_ring_init(&w->ring, w->slots, RING_CAPACITY);
        CHECK_RC(sley_sched_init(&w->sched, &sley__worker_ops, &(struct sley_sched_opts){.alloc = harness_alloc()}), 0);
        CHECK_RC(sley_wheel_init(&w->wheel, NULL, w->wheel_slots, SLEY_WHEEL_SLOT_COUNT_DEFAULT, 1), 0);
    }
    sley_group_init(&pool.group, scheds, WORKERS, release);
    sley__idle_init(&pool);
    pool.phase = PHASE_RUNNING;
}

static void end(void)
{
    if (sley_group_fini(&pool.group)) {
        release(&pool.group);
    }
}

static void check_counts(uint32_t awake, uint32_t searching)
{
    const uint32_t idle = pool.idle;
    CHECK_UINT(idle >> 16, ==, awake);
    CHECK_UINT(idle & 0xffff, ==, searching);
}

static unsigned wakes(void)
{
    unsigned n = 0;
    for (int i = 0; i < WORKERS; i++) {
        n += fakes[i].wakes;
    }
    return n;
}

/* ---- who sleeps, who searches ------------------------------------------------------------------------------------------- */

/* Two sleep, two search: the last one that finds something wakes one sleeper, and nobody else does until that one searches. */
static void both_asleep(struct worker *w)
{
    if (w == &workers[2]) {
        check_counts(3, 2);
        sley__idle_park(&workers[3]);
        return;
    }
    check_counts(2, 2);
    sley__idle_notify(&pool); /* left to those that search */
    sley__idle_found(&workers[0]);
    check_counts(2, 1);
    CHECK_UINT(wakes(), ==, 0);
    sley__idle_found(&workers[1]);
    check_counts(2, 0);
    CHECK_UINT(wakes(), ==, 1);
    sley__idle_notify(&pool);
    sley__idle_notify(&pool);
    CHECK_UINT(wakes(), ==, 1);
}

SLEY_TEST(counts_are_right_at_every_step, "STEAL-10") {
    begin();
    check_counts(4, 0);
    CHECK(sley__idle_search(&workers[0]));
    CHECK(sley__idle_search(&workers[0])); /* it does already */
    check_counts(4, 1);
    CHECK(sley__idle_search(&workers[1]));
    check_counts(4, 2);
    CHECK(!sley__idle_search(&workers[2])); /* half of them do */
    sley__idle_found(&workers[2]);
    check_counts(4, 2);
    asleep = both_asleep;
    sley__idle_park(&workers[2]);
    check_counts(4, 1); /* it was woken, and searches */
    CHECK(workers[2].searching && !workers[3].searching);
    CHECK_UINT(fakes[2].wakes, ==, 1);
    CHECK_UINT(pool.waking, ==, 0);
    sley__idle_found(&workers[2]);
    check_counts(4, 0);
    end();
}

/* What is pushed while the last searcher gives up, without a word to anybody, is seen before it sleeps. */
static unsigned where;

static void push_unseen(void *arg)
{
    (void)arg;
    struct sley_task *t = &tasks[0];
    switch (where) {
    case 0:
        sley__inject_push(&pool.inject, t, t);
        break;
    case 1:
        CHECK(sley__steal_ring_push_back(&workers[3].ring, t));
        break;
    case 2:
        sley__inject_append(&workers[3].backlog, t, t, 1);
        break;
    case 3:
        sley__inject_push(&workers[0].pinned, t, t);
        break;
    case 4:
        (void)sley__lifo_put(&workers[0].lifo, t);
        break;
    case 5:
        sley__inject_push(&workers[3].pinned, t, t); /* for another one alone */
        break;
    default:
        break;
    }
}

SLEY_TEST(last_to_search_looks_at_all_queues_before_it_sleeps, "STEAL-10") {
    for (where = 0; where < 7; where++) {
        begin();
        pool.before_park = push_unseen;
        CHECK(sley__idle_search(&workers[0]));
        sley__idle_park(&workers[0]);
        CHECK_UINT(fakes[0].polls, ==, where >= 5);
        check_counts(4, 0);
        end();
    }
}

/* ---- rings of the size that workers have -------------------------------------------------------------------------------- */

static uint32_t pushed, popped;

static void push(struct worker *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        sley__worker_push(w, &tasks[pushed++ % TASKS]);
    }
}

static void pop(struct worker *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        CHECK_PTR(sley__steal_ring_pop(&w->ring), ==, &tasks[popped++ % TASKS]);
    }
}

SLEY_TEST(ring_takes_as_many_as_it_has_room_for_in_any_portions, "STEAL-01") {
    begin();
    struct worker *w = &workers[0];
    push(w, RING_CAPACITY);
    pop(w, RING_CAPACITY);
    for (uint32_t i = 0; i < RING_CAPACITY; i++) {
        push(w, 1);
    }
    pop(w, RING_CAPACITY);
    for (uint32_t portion = 1; portion < RING_CAPACITY; portion = portion * 2 + 1) {
        uint32_t in = 0;
        for (; in + portion <= RING_CAPACITY; in += portion) {
            push(w, portion);
        }
        push(w, RING_CAPACITY - in);
        CHECK_UINT(sley__steal_ring_count(&w->ring), ==, RING_CAPACITY);
        pop(w, RING_CAPACITY);
    }
    CHECK_PTR(sley__steal_ring_pop(&w->ring), ==, NULL);
    CHECK_UINT(w->overflows, ==, 0);
    end();
}

SLEY_TEST(one_more_than_a_ring_holds_moves_half_in_one_step, "STEAL-02") {
    begin();
    struct worker *w = &workers[0];
    bool seen[RING_CAPACITY + 1] = {false};
    uint32_t n = 0;
    pushed = 0;
    push(w, RING_CAPACITY + 1);
    CHECK_UINT(w->overflows, ==, 1);
    CHECK_UINT(sley__steal_ring_count(&w->ring), ==, RING_CAPACITY / 2);
    for (struct sley_task *t; (t = sley__steal_ring_pop(&w->ring)) != NULL || (t = sley__inject_take(&w->backlog, 1)) != NULL; n++) {
        CHECK(!seen[t - tasks]);
        seen[t - tasks] = true;
    }
    CHECK_UINT(n, ==, RING_CAPACITY + 1);
    end();
}
