/* The one worker of a local executor, or of one that differs from it in who is next. */
#ifndef SLEY_LOCAL_WORKER_H
#define SLEY_LOCAL_WORKER_H

#include <sley/local_impl.h>
#include <sley/watch.h>

struct sley_local_worker {
    struct sley_sched sched;
    struct sley_local *local;
    const struct sley_local_order *order;
    struct sley_reactor *reactor;
    struct sley_alloc *alloc;
    struct sley_clock *clock;
    struct sley_watched watched;
    void (*before_park)(void *arg);
    void *hook_arg;
    struct sley_alloc libc;
    SLEY_ATOMIC(uint32_t) bell; /* what it parks on without a reactor */
    SLEY_ATOMIC(uint32_t) halted;
    struct sley_wheel wheel;
    struct sley_wheel_slot slots[SLEY_WHEEL_SLOT_COUNT_DEFAULT];
    struct sley_lane lanes[];
};

SLEY_INLINE struct sley_local_worker *sley__local_of(struct sley_sched *s)
{
    return sley_container_of(s, struct sley_local_worker, sched);
}

/* lanes.c */
void sley__local_init_lanes(struct sley_local_worker *w);
void sley__local_lane_ready(struct sley_sched *s, uint32_t lane);
bool sley__local_need_preempt(struct sley_sched *s);

#endif
