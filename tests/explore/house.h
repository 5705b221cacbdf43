/* Tasks that several workers share, without an executor: the workers take from slots, one for each task that there is. A task that
 * is put into its slot while it is there is a bug. For scenarios whose threads are the workers. */
#ifndef SLEY_EXPLORE_HOUSE_H
#define SLEY_EXPLORE_HOUSE_H

#include <sley/group_impl.h>

#include "rig.h"

enum { HOUSE_SCHEDS = 2 };

static struct {
    struct sley_group group;
    struct sley_sched *scheds[HOUSE_SCHEDS];
    struct sley_sched sched[HOUSE_SCHEDS];
} * house;

static const struct sley_task_type *parent_type; /* NULL: all tasks are of the other kind */
static _Atomic(struct sley_task *) slots[2];     /* one for a parent, one for the other */
static _Atomic(struct sley_timer *) armed_timer; /* there is one at most */
static SLEY_ATOMIC(uint32_t) over;               /* the workers may go */

static void put(struct sley_task *t)
{
    EXPLORE_CHECK(atomic_exchange_explicit(&slots[t->type == parent_type], t, memory_order_release) == NULL);
}

static struct sley_task *take(unsigned i)
{
    /* relaxed: the exchange looks again */
    return atomic_load_explicit(&slots[i], memory_order_relaxed) ? atomic_exchange_explicit(&slots[i], NULL, memory_order_acquire)
                                                                 : NULL;
}

static void house_schedule(struct sley_sched *s, struct sley_task *t, enum sley_ready why)
{
    (void)s, (void)why;
    put(t);
}

static void house_ring(struct sley_sched *s)
{
    (void)s;
}

static void house_release_sched(struct sley_sched *s)
{
    (void)s;
}

static void house_arm(struct sley_sched *s, struct sley_timer *t)
{
    (void)s;
    /* acq_rel: the lock of a real wheel */
    EXPLORE_CHECK(atomic_exchange_explicit(&armed_timer, t, memory_order_acq_rel) == NULL);
}

static bool house_disarm(struct sley_sched *s, struct sley_timer *t)
{
    (void)s;
    struct sley_timer *expected = t;
    /* acq_rel: as above */
    return atomic_compare_exchange_strong_explicit(&armed_timer, &expected, NULL, memory_order_acq_rel, memory_order_acquire);
}

static const struct sley_sched_ops house_ops = {
    .version = SLEY_SCHED_VERSION,
    .name = "house",
    .ring = house_ring,
    .now_ns = rig_now,
    .timer_arm = house_arm,
    .timer_disarm = house_disarm,
    .release = house_release_sched,
    .schedule = house_schedule,
};

static void house_release(struct sley_group *g)
{
    (void)g;
    for (unsigned i = 0; i < HOUSE_SCHEDS; i++) {
        sley_sched_destroy(&house->sched[i]);
    }
    sley_alloc_put(explore_alloc(), house, sizeof *house);
}

/** In setup: an empty one. */
static void house_setup(void)
{
    parent_type = NULL;
    atomic_store_explicit(&slots[0], NULL, memory_order_relaxed);
    atomic_store_explicit(&slots[1], NULL, memory_order_relaxed);
    atomic_store_explicit(&armed_timer, NULL, memory_order_relaxed);
    atomic_store_explicit(&over, 0, memory_order_relaxed);
    explore_thread_local(&sley__self, sizeof(struct sley_sched *));
    house = sley_alloc_get(explore_alloc(), sizeof *house, 64);
    memset(house, 0, sizeof *house);
    for (unsigned i = 0; i < HOUSE_SCHEDS; i++) {
        house->scheds[i] = &house->sched[i];
        EXPLORE_CHECK(sley_sched_init(&house->sched[i], &house_ops, &(struct sley_sched_opts){.alloc = explore_alloc()}) == 0);
    }
    sley_group_init(&house->group, house->scheds, HOUSE_SCHEDS, house_release);
}

/** In setup: spawns into a worker's root scope. */
static void house_spawn(const struct sley_task_type *type, struct sley_task **ret_task)
{
    (void)sley_sched_enter(&house->sched[0]);
    EXPLORE_CHECK(sley_spawn(NULL, type, NULL, NULL, ret_task) == 0);
    (void)sley_sched_enter(NULL);
}

/** A worker: runs whoever is ready until it is over. */
static void house_work(unsigned i)
{
    struct sley_sched *s = &house->sched[i];
    (void)sley_sched_enter(s);
    /* acquire: what is left of the house is its owner's from then on */
    while (!atomic_load_explicit(&over, memory_order_acquire)) {
        struct sley_task *t = take(0);
        t = t || !parent_type ? t : take(1);
        if (!t) {
            sched_yield();
        } else if (sley_sched_resume(s, t)) {
            put(t);
        }
    }
    (void)sley_sched_enter(NULL);
}

/** In check. */
static void house_end(void)
{
    for (unsigned i = 0; i < HOUSE_SCHEDS; i++) {
        struct sley_sched *outer = sley_sched_enter(&house->sched[i]);
        sley_sched_collect(&house->sched[i]);
        (void)sley_sched_enter(outer);
    }
    if (sley_group_fini(&house->group)) {
        house_release(&house->group);
    }
}

#endif
