/* A moment's wait before a worker parks, for what is about to come back from a pool. */
#include <sley/executor.h>

#include <sched.h>

/* A vain wait takes back what two rewarded ones have earned; without credit one of so many tries sees whether it pays now. */
enum { CREDIT_MAX = 8, VAIN = 2, PROBE_EVERY = 32 };
/* A microsecond or two: a job that is short, and whose thread is awake, has come back by then. */
enum { SPINS = 64 };

void sley_executor_grace(struct sley_sched *s)
{
    if (s->grace == SLEY_GRACE_NONE || !sley_sched_held(s) || (s->grace_credit == 0 && ++s->grace_probe % PROBE_EVERY != 0)) {
        return;
    }
    if (s->grace == SLEY_GRACE_YIELD) {
        (void)sched_yield(); /* one processor: the pool's thread runs now or not at all */
    }
    for (uint32_t left = s->grace == SLEY_GRACE_SPIN ? SPINS : 0; left > 0 && !sley_sched_posted(s); left--) {
        SLEY__RELAX();
    }
    if (!sley_sched_posted(s)) {
        s->grace_credit = (uint8_t)(s->grace_credit > VAIN ? s->grace_credit - VAIN : 0);
    } else if (s->grace_credit < CREDIT_MAX) {
        s->grace_credit++;
    }
}
