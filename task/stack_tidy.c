/* When idle stacks give their pages back: what nobody has wanted for a second, in steps that do not hold anybody up. */
#include "core.h"

enum {
    TIDY_NS = 1000000000,    /* stacks that nobody wanted for so long are not kept for the next wave */
    TIDY_STEP_NS = 10000000, /* between the steps of what is too much for one call */
};

uint64_t sley_sched_tidy(struct sley_sched *s)
{
    struct sley__memory *m = s->memory;
    if (SLEY_LIKELY(!m->stacks || !sley__stack_unsettled(m->stacks))) {
        return SLEY_NEVER;
    }
    const uint64_t now = s->ops->now_ns(s);
    if (m->tidy_ns == 0) {
        m->tidy_ns = now + TIDY_NS;
    } else if (now >= m->tidy_ns) {
        const enum sley__stack_surplus left = sley__stack_settle(m->stacks);
        m->tidy_ns = left == SLEY__STACK_SURPLUS_NONE ? 0 : now + (left == SLEY__STACK_SURPLUS_NOW ? TIDY_STEP_NS : TIDY_NS);
    }
    return m->tidy_ns ? m->tidy_ns : SLEY_NEVER;
}
