/* What the order of an executor with several queues is asked: who is ready, who gives way. */
#include "worker.h"

void sley__local_init_lanes(struct sley_local_worker *w)
{
    for (uint32_t i = 0; i < w->order->lane_count; i++) {
        sley_lane_init(&w->lanes[i]);
        w->lanes[i].owner = NULL;
    }
    w->sched.lanes = w->lanes;
    w->sched.lane_count = w->order->lane_count;
    w->sched.level_count = w->order->level_count;
}

void sley__local_lane_ready(struct sley_sched *s, uint32_t lane)
{
    struct sley_local_worker *w = sley__local_of(s);
    w->order->lane_ready(w->local, s, lane);
}

bool sley__local_need_preempt(struct sley_sched *s)
{
    struct sley_local_worker *w = sley__local_of(s);
    return w->order->need_preempt ? w->order->need_preempt(w->local, s) : sley_sched_draw(s);
}
