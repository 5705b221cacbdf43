/* What scenarios stand on: a sched whose executor is the test, parked on a bell. */
#ifndef SLEY_TEST_EXPLORE_RIG_H
#define SLEY_TEST_EXPLORE_RIG_H

#include <sley/frame.h>

#include "explore.h"
#include "harness.h"
#include "task/core.h"

struct rig {
    struct sley_sched sched;
    SLEY_ATOMIC(uint32_t) bell;
    bool closed; /* nobody may ring any more */
};

static inline struct rig *rig_of(struct sley_sched *s)
{
    return sley_container_of(s, struct rig, sched);
}

static inline void rig_ring(struct sley_sched *s)
{
    EXPLORE_CHECK(!rig_of(s)->closed);
    sley_thread_ring(&rig_of(s)->bell);
}

static inline uint64_t rig_now(struct sley_sched *s)
{
    (void)s;
    return explore_now_ns();
}

static inline void rig_arm(struct sley_sched *s, struct sley_timer *t)
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
    sley_alloc_put(explore_alloc(), rig_of(s), sizeof(struct rig));
}

static const struct sley_sched_ops rig_ops = {
    .version = SLEY_SCHED_VERSION,
    .caps = SLEY_SCHED_CAP_HOME,
    .name = "rig",
    .ring = rig_ring,
    .now_ns = rig_now,
    .timer_arm = rig_arm,
    .timer_disarm = rig_disarm,
    .release = rig_release,
};

/** In setup. */
static inline struct rig *rig_new(void)
{
    struct rig *r = sley_alloc_get(explore_alloc(), sizeof *r, 64);
    memset(r, 0, sizeof *r);
    EXPLORE_CHECK(sley_sched_init(&r->sched, &rig_ops, &(struct sley_sched_opts){.alloc = explore_alloc()}) == 0);
    explore_thread_local(&sley__self, sizeof(struct sley_sched *));
    return r;
}

/** The home thread: runs what is ready, delivers, parks, until @p done says so. */
static inline void rig_run(struct rig *r, bool (*done)(void))
{
    struct sley_sched *s = &r->sched;
    (void)sley_sched_enter(s);
    for (;;) {
        (void)sley_sched_run(s, 64);
        (void)sley_sched_drain(s);
        if (done()) {
            break;
        }
        if (!sley_sched_ready(s) && sley_sched_park(s)) {
            sley_thread_wait(&r->bell, SLEY_NEVER);
            sley_sched_unpark(s);
        }
    }
    (void)sley_sched_enter(NULL);
}

/** Ends the sched; its memory goes now or with the last handle. */
static inline void rig_end(struct rig *r)
{
    if (sley_sched_fini(&r->sched)) {
        rig_release(&r->sched);
    }
}

#endif
