/* Who is next on local unless an executor says otherwise: strict levels. As long as all tasks have the default one, the one lane. */
#include <sley/local_impl.h>

/** Somebody is more urgent than the default, or was a moment ago. */
static SLEY_NOINLINE uint32_t run_urgent(struct sley_local *self, struct sley_sched *s, uint32_t left)
{
    const uint32_t max = left;
    while (left > 0 && sley_sched_ready(s)) {
        const uint32_t level = self->levels ? 31u - (uint32_t)__builtin_clz(self->levels) : 0;
        struct sley_lane *lane = level ? &s->lanes[level] : &s->ready;
        self->level = level;
        left -= sley_sched_run_lane(s, lane, left);
        if (level && !lane->head) {
            self->levels &= ~(1u << level);
        }
    }
    self->level = 0;
    return max - left;
}

static uint32_t run_levels(struct sley_local *self, struct sley_sched *s, uint32_t max)
{
    if (SLEY_UNLIKELY(self->levels)) {
        return run_urgent(self, s, max);
    }
    const uint32_t ran = sley_sched_run(s, max);
    return SLEY_LIKELY(!self->levels) ? ran : ran + run_urgent(self, s, max - ran);
}

static void level_ready(struct sley_local *self, struct sley_sched *s, uint32_t level)
{
    self->levels |= 1u << level;
    if (level > self->level) {
        sley_sched_break(s);
    }
}

static const struct sley_local_order levels = {
    .lane_count = SLEY_PRIORITY_MAX,
    .level_count = SLEY_PRIORITY_MAX,
    .run = run_levels,
    .lane_ready = level_ready,
};

void sley_local_init(struct sley_local *ex)
{
    sley_local_init_ordered(ex, &sley_local_ops, &levels);
}
