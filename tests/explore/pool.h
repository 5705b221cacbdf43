/* A pool of stealing's workers without threads, reactors and watchdog, for scenarios whose threads are the workers. */
#ifndef SLEY_EXPLORE_POOL_H
#define SLEY_EXPLORE_POOL_H

#include "executor/stealing/worker.h"

#include "rig.h"

enum { WORKERS = 2, SLOTS = 4 };

static struct sley_stealing_pool pool;
static struct worker workers[WORKERS];
static struct sley_sched *scheds[WORKERS];
static unsigned rounds[EXPLORE_THREADS];
static uint64_t parks[EXPLORE_THREADS];

/** A worker that has looked everywhere three times without a sleep, kept awake by what it cannot take, waits for somebody else. */
__attribute__((no_sanitize_thread)) static void before_park(void *arg)
{
    (void)arg;
    const int i = explore_thread();
    const uint64_t now = *(const volatile uint64_t *)(uintptr_t)&workers[i].parks; /* not a step */
    rounds[i] = parks[i] == now ? rounds[i] + 1 : 1;
    parks[i] = now;
    if (rounds[i] == 3) {
        rounds[i] = 0;
        sched_yield();
    }
}

/** @p n workers that are awake. The caller says when they run. */
static void pool_setup(uint32_t n, const struct sley_sched_ops *ops, void (*release)(struct sley_group *g))
{
    memset(&pool, 0, sizeof pool);
    memset(workers, 0, sizeof workers);
    memset(rounds, 0, sizeof rounds);
    memset(parks, 0, sizeof parks);
    pool.before_park = before_park;
    explore_thread_local(&sley__self, sizeof(struct sley_sched *));
    pool.workers = workers;
    pool.scheds = scheds;
    pool.plan.count = n;
    for (uint32_t i = 0; i < n; i++) {
        struct worker *w = &workers[i];
        w->pool = &pool;
        w->index = i;
        w->inject_interval = w->left = w->tick = LOOK_INTERVAL;
        scheds[i] = &w->sched;
        sley_door_init(&w->lifo.door, false);
        sley__steal_ring_init(&w->ring, w->slots, SLOTS);
        EXPLORE_CHECK(sley_sched_init(&w->sched, ops, &(struct sley_sched_opts){.alloc = explore_alloc()}) == 0);
    }
    sley_group_init(&pool.group, scheds, n, release);
}

#endif
