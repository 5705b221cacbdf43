/* Waiting for one of several nodes, and under a deadline: the steps that frames and fibers share. */
#include "core.h"

bool sley__waits_lose(struct sley_wait *const *waits, size_t n)
{
    bool left = false;
    for (size_t i = 0; i < n; i++) {
        if (sley__wait_live(waits[i])) {
            sley__wait_lose(waits[i]);
            left |= sley__wait_live(waits[i]);
        }
    }
    return left;
}

bool sley__select_ready(struct sley_wait *const *waits, size_t n, uint32_t flags)
{
    struct sley_sched *s = sley__self;
    struct sley_task *t = s->current;
    for (;;) {
        uint32_t winner = 0, armed = 0, asked = 0; /* armed: those that were, less those that still are when they are registered */
        for (size_t i = 0; i < n; i++) {
            armed += sley__wait_live(waits[i]); /* before the look at what has won: completed in between it is both, not neither */
            winner |= sley__wait_won(waits[i]);
            asked |= sley__wait_live(waits[i]) && (waits[i]->flags & SLEY__WAIT_LOST) != 0;
        }
        if (!armed || (winner && (flags & SLEY_SELECT_KEEP) && !asked)) {
            return true;
        }
        const bool ending = winner || asked || (s->budget <= 0 && sley__task_poll(s, t));
        if (ending && !sley__waits_lose(waits, n)) {
            return true;
        }
        bool again = false;
        t->link.awaited = NULL;
        for (size_t i = 0; i < n; i++) {
            if (!sley__wait_live(waits[i]) || armed-- == 0) {
                continue;
            }
            if (sley__wait_register(waits[i], (uintptr_t)t, SLEY__KIND_HOME_TASK, SLEY__KIND_TASK, s)) {
                t->link.awaited = t->link.awaited ? t->link.awaited : waits[i];
            } else {
                again |= !sley__wait_claimed(waits[i], t) && sley_wait_done(waits[i]);
            }
        }
        if (!again && armed == 0) { /* else another worker has completed one meanwhile, and wakes nobody for it */
            return false;
        }
    }
}

int sley__select_winner(struct sley_wait *const *waits, size_t n, uint32_t flags)
{
    struct sley_sched *s = sley__self;
    const size_t from = (flags & SLEY_SELECT_FAIR) && s && n ? s->select_turn++ % n : 0;
    bool any = false;
    for (size_t k = 0; k < n; k++) {
        const size_t i = from + k < n ? from + k : from + k - n;
        any |= waits[i] != NULL && sley_wait_done(waits[i]);
        if (sley__wait_won(waits[i])) {
            return (int)i;
        }
    }
    return any ? -ECANCELED : -EINVAL;
}

/* ---- one node and a deadline: the timer wakes the same task ---------------------------------------------------- */

void sley__until_start(struct sley_timer *t, uint64_t deadline_ns)
{
    t->wait.at.site = NULL;
    sley_sleep_until_start(t, deadline_ns);
}

bool sley__until_ready(struct sley_wait *w, struct sley_timer *t)
{
    struct sley_sched *s = sley__self;
    for (;;) {
        if (sley_wait_done(w)) {
            sley_wait_cancel(&t->wait);
            return !sley__wait_live(&t->wait) || sley__frame_ready(&t->wait); /* another worker fires it just now: that is waited for */
        }
        if (sley_wait_done(&t->wait)) { /* passed; or never armed, for the task was cancelled, even if a detach has taken that back */
            sley__wait_lose(w);
            if (sley_wait_done(w)) {
                continue;
            }
        } else { /* armed, or another worker has fired it since the line above: then it does not register */
            if (s->budget <= 0 && sley__task_poll(s, s->current)) { /* both now: a detach elsewhere may take the cancel back */
                (void)sley__waits_lose((struct sley_wait *const[]){w, &t->wait}, 2);
                if (sley_wait_done(w) || sley_wait_done(&t->wait)) {
                    continue;
                } /* else another worker fires it just now: that is waited for */
            }
            if (!sley__wait_register(&t->wait, (uintptr_t)s->current, SLEY__KIND_HOME_TASK, SLEY__KIND_TASK, s) &&
                !sley__wait_claimed(&t->wait, s->current)) {
                continue; /* another worker has fired it meanwhile */
            }
        }
        if (!sley__frame_ready(w)) {
            return false;
        }
    }
}

int sley__until_verdict(struct sley_wait *w, struct sley_timer *t)
{
    const bool passed = (w->flags & SLEY__WAIT_LOST) && sley_wait_done(&t->wait) && t->wait.result == 0;
    return passed && w->result == -ECANCELED ? -ETIMEDOUT : w->result;
}
