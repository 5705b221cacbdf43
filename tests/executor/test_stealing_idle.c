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
    uint64_t timeout_ns; /* of the last poll */
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
    f->timeout_ns = timeout_ns;
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
    pool.plan.count = WORKERS;
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];
        w->pool = &pool;
        w->index = i;
        w->inject_interval = w->left = w->tick = LOOK_INTERVAL;
        scheds[i] = &w->sched;
        fakes[i] = (struct fake){.base = {.ops = &fake_ops}, .worker = w};
        w->reactor = &fakes[i].base;
        sley_door_init(&w->lifo.door, false);
        sley__steal_ring_init(&w->ring, w->slots, RING_CAPACITY);
        CHECK_RC(sley_sched_init(&w->sched, &sley__worker_ops, &(struct sley_sched_opts){.alloc = harness_alloc()}), 0);
        CHECK_RC(sley_wheel_init(&w->wheel, NULL, w->wheel_slots, SLEY_WHEEL_SLOT_COUNT_DEFAULT, 1), 0);
    }
    sley_group_init(&pool.group, scheds, WORKERS, release);
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
    CHECK_UINT(WORKERS - (idle >> 16), ==, awake);
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

/* Two sleep, two search: the last one that finds something, and sees more, wakes one sleeper, and nobody else does until that one
 * searches. */
static void both_asleep(struct worker *w)
{
    if (w == &workers[2]) {
        check_counts(3, 2);
        sley__idle_park(&workers[3]);
        return;
    }
    check_counts(2, 2);
    sley__idle_notify(&pool, WORK_WORTH); /* left to those that search */
    CHECK(sley__steal_ring_push_back(&workers[0].ring, &tasks[0]));
    sley__idle_found(&workers[0]);
    check_counts(2, 1);
    CHECK_UINT(wakes(), ==, 0);
    sley__idle_found(&workers[1]);
    check_counts(2, 0);
    CHECK_UINT(wakes(), ==, 1);
    sley__idle_notify(&pool, WORK_WORTH);
    sley__idle_notify(&pool, WORK_WORTH);
    CHECK_UINT(wakes(), ==, 1);
}

SLEY_TEST(counts_are_right_at_every_step, "STEAL-10")
{
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
    case 6:
        CHECK(sley__steal_ring_push_back(&workers[0].ring, t));
        break;
    default:
        break;
    }
}

SLEY_TEST(last_to_search_looks_at_all_queues_before_it_sleeps, "STEAL-10")
{
    for (where = 0; where < 8; where++) {
        begin();
        pool.before_park = push_unseen;
        CHECK(sley__idle_search(&workers[0]));
        sley__idle_park(&workers[0]);
        const bool guards = where == 1 || where == 2; /* a worker that is awake has it, and it is little */
        const bool sleeps = where == 5 || where == 7;
        CHECK(workers[0].guards == guards && pool.guarded == guards);
        CHECK_UINT(fakes[0].polls, ==, sleeps || guards);
        CHECK(guards ? fakes[0].timeout_ns < SLEY_MS : fakes[0].timeout_ns == (sleeps ? SLEY_NEVER : 0));
        check_counts(4, 0);
        end();
    }
}

/* ---- little work -------------------------------------------------------------------------------------------------------- */

static void lay(struct worker *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        CHECK(sley__steal_ring_push_back(&w->ring, &tasks[i]));
    }
}

SLEY_TEST(work_is_worth_a_wake_by_how_long_it_takes, "STEAL-10")
{
    begin();
    struct worker *w = &workers[0];
    CHECK_INT(sley__worker_left(w), ==, WORK_NONE);
    lay(w, 200);
    CHECK_INT(sley__worker_left(w), ==, WORK_LITTLE); /* how long is not known yet */
    w->resume_ns = 400;
    CHECK_INT(sley__worker_left(w), ==, WORK_LITTLE); /* to move one costs more than it takes, */
    w->resume_ns = 600;
    CHECK_INT(sley__worker_left(w), ==, WORK_LITTLE); /* about as much, */
    w->resume_ns = 1000;
    CHECK_INT(sley__worker_left(w), ==, WORK_WORTH); /* or less */
    w->resume_ns = 400;
    sley__inject_append(&w->backlog, &tasks[300], &tasks[300], 3000);
    CHECK_INT(sley__worker_left(w), ==, WORK_WORTH); /* far behind, whatever one takes */
    w = &workers[1];
    (void)sley__lifo_put(&w->lifo, &tasks[301]);
    w->resume_ns = 50000;
    CHECK_INT(sley__worker_left(w), ==, WORK_LITTLE);
    w->late_ns = 60000;
    CHECK_INT(sley__worker_left(w), ==, WORK_WORTH); /* one that takes longer than it is thought to */
    sley__worker_batch(w, 0);
    CHECK_INT(sley__worker_left(w), ==, WORK_LITTLE);
    end();
}

/* Worker 0 has little and is awake; 1 guards over it, while 2 and 3 sleep for good. */
static unsigned nap;
static uint64_t naps[8];

static void guard_naps(struct worker *w)
{
    naps[nap % 8] = fakes[1].timeout_ns;
    CHECK(w == &workers[1] && w->guards);
    sley__idle_notify(&pool, WORK_LITTLE);
    CHECK_UINT(wakes(), ==, 0);
    workers[0].sched.resume_count += nap++ < 3 ? 1000000 : 0; /* it gets on, then no more */
}

SLEY_TEST(little_work_is_guarded_and_taken_when_it_lies_for_long, "STEAL-10")
{
    begin();
    nap = 0;
    lay(&workers[0], 4);
    asleep = guard_naps;
    struct sley_task *t = NULL;
    for (unsigned i = 0; i < 4; i++) {
        CHECK(sley__idle_search(&workers[1]));
        CHECK(sley__worker_steal(&workers[1]) == NULL);
        sley__idle_park(&workers[1]);
    }
    for (unsigned i = 1; i < 4; i++) {
        CHECK_UINT(naps[i], <=, SLEY_MS); /* they grow, up to a bound */
    }
    workers[0].late_ns = SLEY_MS; /* as it is when it has not moved for so long */
    CHECK(sley__idle_search(&workers[1]));
    CHECK((t = sley__worker_steal(&workers[1])) != NULL);
    sley__idle_found(&workers[1]);
    CHECK(!workers[1].guards && pool.guarded == 0);
    check_counts(4, 0);
    end();
}

/* What it guarded over is done: it sleeps for good, and says that nobody guards. */
static void sleeps_for_good(struct worker *w)
{
    CHECK(!w->guards && pool.guarded == 0);
    CHECK_UINT(fakes[w->index].timeout_ns, ==, SLEY_NEVER);
}

SLEY_TEST(guard_with_nothing_left_sleeps_for_good, "STEAL-10")
{
    begin();
    lay(&workers[0], 1);
    sley__idle_park(&workers[1]);
    CHECK(workers[1].guards);
    CHECK(sley__steal_ring_pop(&workers[0].ring) == &tasks[0]);
    asleep = sleeps_for_good;
    sley__idle_park(&workers[1]);
    CHECK(!workers[1].guards);
    end();
}

/* Worker 0's tasks yield to each other, some microseconds at a time: what lies behind it is little at each look, but always there. */
static uint64_t clock_ns;

static uint64_t read_clock(struct sley_clock *c)
{
    (void)c;
    return clock_ns;
}
static struct sley_clock own_clock = {.now_ns = read_clock};

static void nap_beside_short_resumes(struct worker *w)
{
    CHECK(w == &workers[1] && w->guards);
    clock_ns += 500 * SLEY_US;
    workers[0].sched.resume_count += 50;
    nap++;
}

SLEY_TEST(regress_little_work_that_lasts_is_worth_a_second_worker, "STEAL-10")
{
    begin();
    pool.clock = &own_clock;
    clock_ns = SLEY_S;
    nap = 0;
    lay(&workers[0], 3);
    asleep = nap_beside_short_resumes;
    while (sley__worker_left(&workers[0]) == WORK_LITTLE) {
        CHECK_UINT(nap, <, 20);
        sley__idle_park(&workers[1]);
    }
    CHECK_UINT(nap, >=, 4); /* a burst is gone by then */
    CHECK(sley__idle_search(&workers[1]));
    CHECK(sley__worker_steal(&workers[1]) != NULL);
    end();
}

static void nap_beside_a_long_resume(struct worker *w)
{
    CHECK(w == &workers[1] && w->guards);
    clock_ns += 20 * SLEY_US;
    nap++;
}

SLEY_TEST(regress_worker_that_does_not_move_keeps_its_time_whoever_guards, "STEAL-10")
{
    begin();
    pool.clock = &own_clock;
    clock_ns = SLEY_S;
    nap = 0;
    lay(&workers[0], 1);
    asleep = nap_beside_a_long_resume;
    while (sley__worker_left(&workers[0]) == WORK_LITTLE) {
        CHECK_UINT(nap, <, 20);
        sley__idle_park(&workers[1]);
        clock_ns += 20 * SLEY_US;
        sley__idle_found(&workers[1]); /* it has work of its own, and the guard begins anew behind it */
    }
    end();
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

SLEY_TEST(ring_takes_as_many_as_it_has_room_for_in_any_portions, "STEAL-01")
{
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

SLEY_TEST(one_more_than_a_ring_holds_moves_half_in_one_step, "STEAL-02")
{
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
