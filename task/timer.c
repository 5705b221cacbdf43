/* Sleeping and intervals: wait nodes that the executor's wheel completes. */
#include "core.h"

uint64_t sley_now_ns(void)
{
    struct sley_sched *s = sley_sched_current();
    return s ? s->ops->now_ns(s) : sley_thread_now_ns();
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return b < SLEY_NEVER - a ? a + b : SLEY_NEVER;
}

uint64_t sley_after_ns(uint64_t ns)
{
    return add(sley_now_ns(), ns);
}

/** Where an armed timer is: its home, or a worker that shares it. */
static struct sley_sched *sched_of(const struct sley_timer *t)
{
    struct sley_sched *home = sley__wait_home(sley__wait_word(&t->wait));
    return home || !sley__self || !sley__group(sley__self) ? home : sley__self;
}

/** Takes an armed timer back; false: another worker fires it just now. */
static bool disarm(struct sley_sched *s, struct sley_timer *t)
{
    const bool taken = s && s->ops->timer_disarm(s, t);
    return taken || !s || !sley__group(s) || t->node.deadline_ns == SLEY_NEVER;
}

static void timer_cancel(struct sley_wait *w)
{
    struct sley_timer *t = sley_container_of(w, struct sley_timer, wait);
    if (disarm(sched_of(t), t)) {
        sley_wait_complete(w, -ECANCELED);
    }
}

static const struct sley_wait_ops timer_ops = {.version = SLEY_WAIT_VERSION, .name = "timer", .cancel = timer_cancel};
const struct sley_wait_ops sley__interval_ops = {.version = SLEY_WAIT_VERSION, .name = "interval", .cancel = timer_cancel};

/* Reading the clock costs as much as arming a timer: a deadline this far beyond the last reading is not looked at twice. */
enum { FAR_NS = 1000000000 };

static bool passed(struct sley_sched *s, uint64_t deadline_ns)
{
    if (SLEY_LIKELY(deadline_ns > s->clock_ns && deadline_ns - s->clock_ns > FAR_NS && s->clock_ns)) {
        return false;
    }
    s->clock_ns = s->ops->now_ns(s);
    return deadline_ns <= s->clock_ns;
}

/** The node has begun and is to be armed. */
static void arm(struct sley_timer *t, uint64_t deadline_ns)
{
    struct sley_sched *s = sley__self;
    t->node.deadline_ns = deadline_ns;
    if (!s) {
        t->wait.ops = &sley__thread_timer_ops;
        sley_wait_arm(&t->wait);
        return;
    }
    sley_wait_arm(&t->wait);
    if (deadline_ns != SLEY_NEVER) {
        s->ops->timer_arm(s, t);
    }
}

void sley_sleep_until_start(struct sley_timer *t, uint64_t deadline_ns)
{
    struct sley_sched *s = sley__self;
    if (!sley_wait_begin(&t->wait, &timer_ops)) {
        return;
    }
    if (s ? passed(s, deadline_ns) : deadline_ns <= sley_thread_now_ns()) {
        sley_wait_finish(&t->wait, 0);
    } else {
        arm(t, deadline_ns);
    }
}

void sley_sleep_start(struct sley_timer *t, uint64_t ns)
{
    sley_sleep_until_start(t, sley_after_ns(ns));
}

void sley_timer_reset(struct sley_timer *t, uint64_t deadline_ns)
{
    if (!sley__armed(sley__wait_word(&t->wait))) {
        sley_sleep_until_start(t, deadline_ns);
        return;
    }
    struct sley_sched *s = sched_of(t);
    if (!disarm(s, t)) {
        return; /* it has passed, and is as good as done */
    }
    t->node.deadline_ns = deadline_ns;
    if (s && deadline_ns != SLEY_NEVER) {
        s->ops->timer_arm(s, t); /* one that has passed fires in the next turn: it has a waiter, perhaps */
    }
}

bool sley_timer_is_deadline(const struct sley_timer *t)
{
    return t->wait.ops == &sley__scope_deadline_ops;
}

void sley_sched_timer_fired(struct sley_timer *t)
{
    if (t->wait.ops == &sley__scope_deadline_ops) {
        sley__scope_deadline_hit(t);
        return;
    }
    if (t->wait.ops == &sley__interval_ops) {
        sley__interval_fired(t);
    }
    sley_wait_complete(&t->wait, 0);
}

int sley_sleep_until(uint64_t deadline_ns)
{
    SLEY__DIRECT(struct sley_timer, sley_sleep_until, deadline_ns);
}

int sley_sleep(uint64_t ns)
{
    return sley_sleep_until(sley_after_ns(ns));
}

/* ---- intervals -------------------------------------------------------------------------------------------------- */

int sley_interval_init(struct sley_interval *i, uint64_t first_ns, uint64_t period_ns, enum sley_missed missed)
{
    if (!i || period_ns == 0 || (unsigned)missed > SLEY_MISSED_SKIP) {
        return -EINVAL;
    }
    *i = (struct sley_interval){.next_ns = first_ns, .period_ns = period_ns, .missed = missed};
    return 0;
}

/** A tick has been taken at @p now. */
static void advance(struct sley_interval *i, uint64_t now)
{
    const uint64_t due = i->next_ns;
    i->next_ns = add(due, i->period_ns);
    if (i->next_ns > now) {
        return; /* nothing was missed */
    }
    if (i->missed == SLEY_MISSED_DELAY) {
        i->next_ns = add(now, i->period_ns);
    } else if (i->missed == SLEY_MISSED_SKIP) {
        i->next_ns = add(due, ((now - due) / i->period_ns + 1) * i->period_ns);
    }
}

void sley__interval_fired(struct sley_timer *t)
{
    struct sley_interval_tick_op *op = sley_container_of(t, struct sley_interval_tick_op, timer);
    advance(op->interval, sley_now_ns());
}

void sley_interval_tick_start(struct sley_interval_tick_op *op, struct sley_interval *i)
{
    if (!sley_wait_begin(&op->wait, &sley__interval_ops)) {
        return;
    }
    op->interval = i;
    const uint64_t now = sley_now_ns();
    if (i->next_ns <= now) {
        advance(i, now);
        sley_wait_finish(&op->wait, 0);
    } else {
        arm(&op->timer, i->next_ns);
    }
}

int sley_interval_tick(struct sley_interval *i)
{
    SLEY__DIRECT(struct sley_interval_tick_op, sley_interval_tick, i);
}
