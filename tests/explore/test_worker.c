/* A worker of the stealing executor as it is (executor/stealing/worker.c: run, look, search, park), two of them, with real tasks: whoever
 * is ready is resumed by one or the other although the one that has it keeps its thread. */
#include "executor/stealing/rescue.h"

#include "pool.h"

static SLEY_ATOMIC(uint32_t) left, told;

/* ---- what a pool has beside its workers: here nothing --------------------------------------------------------------------- */

int sley_executor_make_reactor(const struct sley_executor_config *config, struct sley_alloc *alloc, struct sley_reactor **ret_reactor)
{
    (void)config, (void)alloc, (void)ret_reactor;
    return 0;
}

int sley_executor_make_shared_reactor(const struct sley_executor_config *config, struct sley_alloc *alloc,
                                      struct sley_reactor **ret_reactor)
{
    return sley_executor_make_reactor(config, alloc, ret_reactor);
}

int sley_plan_pin(const struct sley_plan *p, uint32_t index)
{
    (void)p, (void)index;
    return 0;
}

void sley__rescue(struct worker *w)
{
    (void)w;
}

void sley__watch_rouse(struct sley__watch_entry *entry)
{
    (void)entry;
}

void sley__watch_thread(struct sley__watch_entry *entry)
{
    (void)entry;
}

/* linked with --wrap: the signal stack of a thread is the process's own business */
void __wrap_sley_sched_adopt(struct sley_sched *s);
void __wrap_sley_sched_adopt(struct sley_sched *s)
{
    (void)s;
}

static void release_pool(struct sley_group *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        (void)sley_sched_enter(g->scheds[i]);
        sley_sched_collect(g->scheds[i]);
        (void)sley_sched_enter(NULL);
    }
    for (uint32_t i = 0; i < g->count; i++) {
        sley_sched_destroy(g->scheds[i]);
    }
}

static void setup_of(uint32_t count)
{
    pool_setup(WORKERS, &sley__worker_ops, release_pool);
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];
        EXPLORE_CHECK(sley_wheel_init(&w->wheel, NULL, w->wheel_slots, SLEY_WHEEL_SLOT_COUNT_DEFAULT, 1) == 0);
    }
    atomic_store_explicit(&pool.phase, PHASE_RUNNING, memory_order_relaxed);
    atomic_store_explicit(&left, count, memory_order_relaxed);
    atomic_store_explicit(&told, 0, memory_order_relaxed);
}

static void end(void)
{
    EXPLORE_CHECK(atomic_load_explicit(&left, memory_order_relaxed) == 0);
    if (sley_group_fini(&pool.group)) {
        release_pool(&pool.group);
    }
}

/** The last body ends the pool, as set_phase in stealing.c. */
static void one_less(void)
{
    if (atomic_fetch_sub_explicit(&left, 1, memory_order_acq_rel) == 1) {
        atomic_store_explicit(&pool.phase, PHASE_ENDED, memory_order_seq_cst);
        for (uint32_t i = 0; i < WORKERS; i++) {
            (void)sley_sched_nudge(&workers[i].sched);
        }
    }
}

static void worker_a(void)
{
    (void)sley__worker_main(&workers[0]);
}

static void worker_b(void)
{
    (void)sley__worker_main(&workers[1]);
}

/* ---- a parent that yields beside its child ------------------------------------------------------------------------------- */

struct body {
    struct sley_frame frame;
    int rc;
};

static enum sley_step stay_until_told(struct body *f)
{
    SLEY_BEGIN(f);
    while (!atomic_load_explicit(&told, memory_order_acquire)) {
        sched_yield();
    }
    one_less();
    SLEY_END(f);
}
SLEY_FRAME(stay_until_told, struct body)

static enum sley_step spawn_and_yield(struct body *f)
{
    SLEY_BEGIN(f);
    f->rc = sley_spawn(NULL, &stay_until_told__type, NULL, NULL, NULL);
    EXPLORE_CHECK(f->rc == 0);
    SLEY_YIELD(f, f->rc);
    atomic_store_explicit(&told, 1, memory_order_release);
    one_less();
    SLEY_END(f);
}
SLEY_FRAME(spawn_and_yield, struct body)

static void setup_parent_and_child(void)
{
    setup_of(2);
    (void)sley_sched_enter(&workers[0].sched);
    EXPLORE_CHECK(sley_spawn(NULL, &spawn_and_yield__type, NULL, NULL, NULL) == 0);
    (void)sley_sched_enter(NULL);
}

/* The child is in the slot and runs next; the parent, behind it in the ring, is for the other worker, who may be asleep by then. */
EXPLORE_CASE(regress_worker_tells_of_a_task_that_yields_behind_a_full_slot, "STEAL-10")
{
    const struct explore_scenario s = {.setup = setup_parent_and_child, .threads = {worker_a, worker_b}, .check = end, .preemptions = 1};
    explore_exhaust("a parent yields beside its child", &s);
}

/* ---- the end of a search against tasks from elsewhere -------------------------------------------------------------------- */

static enum sley_step meet(struct body *f)
{
    SLEY_BEGIN(f);
    atomic_fetch_add_explicit(&told, 1, memory_order_acq_rel);
    while (atomic_load_explicit(&told, memory_order_acquire) < 2) {
        sched_yield();
    }
    one_less();
    SLEY_END(f);
}
SLEY_FRAME(meet, struct body)

static void setup_empty(void)
{
    setup_of(2);
}

static void spawn_two(void)
{
    EXPLORE_CHECK(sley_sched_spawn(&workers[0].sched, &meet__type, NULL, NULL) == 0);
    EXPLORE_CHECK(sley_sched_spawn(&workers[1].sched, &meet__type, NULL, NULL) == 0);
}

EXPLORE_CASE(worker_searches_and_parks_while_others_spawn, "STEAL-10")
{
    const struct explore_scenario s = {.setup = setup_empty, .threads = {worker_a, worker_b, spawn_two}, .check = end, .preemptions = 1};
    explore_exhaust("two spawned from one thread", &s);
}
