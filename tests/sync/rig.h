/* A home sched for the tests of channels: runs tasks on this thread until nothing is ready, or until all have ended. No timers.
 * The rig belongs to task/ alone, so that these tests stand without any executor. */
#ifndef SLEY_TEST_RIG_H
#define SLEY_TEST_RIG_H

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sley/fiber.h>
#include <sley/frame.h>

#include "harness.h"

struct rig {
    struct sley_sched sched;
    pthread_mutex_t mutex;
    pthread_cond_t bell;
    bool rung;
};

static inline void rig_ring(struct sley_sched *s)
{
    struct rig *r = sley_container_of(s, struct rig, sched);
    pthread_mutex_lock(&r->mutex);
    r->rung = true;
    pthread_cond_signal(&r->bell);
    pthread_mutex_unlock(&r->mutex);
}

static inline uint64_t rig_now(struct sley_sched *s)
{
    (void)s;
    return 1;
}

static inline void rig_timer(struct sley_sched *s, struct sley_timer *t)
{
    (void)s, (void)t;
}

static inline bool rig_disarm(struct sley_sched *s, struct sley_timer *t)
{
    (void)s, (void)t;
    return false;
}

static inline void rig_release(struct sley_sched *s)
{
    (void)s;
}

static const struct sley_sched_ops rig_ops = {
    .version = SLEY_SCHED_VERSION,
    .caps = SLEY_SCHED_CAP_HOME,
    .name = "rig",
    .ring = rig_ring,
    .now_ns = rig_now,
    .timer_arm = rig_timer,
    .timer_disarm = rig_disarm,
    .release = rig_release,
};

static inline void rig_init(struct rig *r)
{
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->bell, NULL);
    r->rung = false;
    CHECK_RC(sley_sched_init(&r->sched, &rig_ops, &(struct sley_sched_opts){.alloc = harness_alloc()}), 0);
    (void)sley_sched_enter(&r->sched);
}

/** Runs what is ready, and what other threads have posted, until nothing is. */
static inline void rig_idle(struct rig *r)
{
    do {
        while (sley_sched_ready(&r->sched)) {
            (void)sley_sched_run(&r->sched, UINT32_MAX);
        }
    } while (sley_sched_drain(&r->sched) || sley_sched_ready(&r->sched));
}

/** Runs until every task has ended, waiting for other threads. */
static inline void rig_run(struct rig *r)
{
    for (;;) {
        rig_idle(r);
        if (sley_sched_live(&r->sched) == 0) {
            return;
        }
        if (!sley_sched_park(&r->sched)) {
            continue;
        }
        pthread_mutex_lock(&r->mutex);
        while (!r->rung) {
            pthread_cond_wait(&r->bell, &r->mutex);
        }
        r->rung = false;
        pthread_mutex_unlock(&r->mutex);
        sley_sched_unpark(&r->sched);
    }
}

static inline void rig_fini(struct rig *r)
{
    (void)sley_sched_drain(&r->sched);
    CHECK_UINT(sley_sched_abandon(&r->sched), ==, 0);
    CHECK(sley_sched_fini(&r->sched));
    (void)sley_sched_enter(NULL);
    pthread_cond_destroy(&r->bell);
    pthread_mutex_destroy(&r->mutex);
}

/** Asks a task to end, lets it, and gives the handle back. */
static inline void rig_cancel(struct rig *r, struct sley_task *t)
{
    sley_task_cancel(t);
    rig_idle(r);
    CHECK(sley_task_done(t));
    sley_task_unref(t);
}

/** A moment of random length, so that other threads come in at any point, on one processor too. */
static inline void rig_dawdle(uint64_t limit)
{
    if (harness_rand_below(2)) {
        sched_yield();
    }
    for (uint64_t spin = harness_rand_below(limit); spin > 0; spin--) {
        __asm__ volatile("" ::: "memory");
    }
}

static inline void rig_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
    CHECK_INT(pthread_create(t, NULL, fn, arg), ==, 0);
}

static inline void rig_join(pthread_t t)
{
    CHECK_INT(pthread_join(t, NULL), ==, 0);
}

#endif
