/* What the watchdog decides at each look, worker by worker. It compares two words; only what has not moved costs more. */
#include "watch.h"

#include <stdio.h>

enum {
    QUIET_LOOKS = 8,      /* a worker that was parked for so many looks is looked at no more until it wakes */
    REPORTS_A_MINUTE = 5, /* of one worker */
};
#define MINUTE_NS (60 * SLEY_S)
#define ANSWER_NS (50 * SLEY_MS) /* a thread that blocks answers at once, one that computes when it is next on a processor */

static bool answered(const struct sley__watch_entry *e)
{
    /* acquire: observes the shot; pairs with the handler. relaxed: only the watchdog asks */
    return atomic_load_explicit(&e->answered, memory_order_acquire) == atomic_load_explicit(&e->asked, memory_order_relaxed);
}

static uint32_t tid_of(const struct sley__watch_entry *e)
{
    /* relaxed: the look at the state, before, observes it */
    return atomic_load_explicit(&e->tid, memory_order_relaxed);
}

/** What its thread has computed since the look that found it unchanged for the first time. */
static uint64_t computed_ns(const struct sley__watch_entry *e)
{
    const uint64_t cpu_ns = e->watch->os.cpu_ns(tid_of(e));
    return e->cpu_ns != SLEY_NEVER && cpu_ns > e->cpu_ns ? cpu_ns - e->cpu_ns : 0;
}

static bool may_report(struct sley__watch_entry *e, uint64_t now_ns)
{
    if (e->report_count == 0 || now_ns - e->minute_ns >= MINUTE_NS) {
        e->minute_ns = now_ns;
        e->report_count = 0;
    }
    if (e->report_count >= REPORTS_A_MINUTE) {
        e->suppressed_count++;
        return false;
    }
    e->report_count++;
    return true;
}

static void ask(struct sley__watch_entry *e, uint64_t now_ns)
{
    e->asked_state = e->state;
    e->asked_count = e->count;
    e->has_shot = false;
    e->phase = SLEY__WATCH_ASKED;
    e->answer_by_ns = now_ns + ANSWER_NS;
    /* release: publishes the question to the handler */
    atomic_fetch_add_explicit(&e->asked, 1, memory_order_release);
    e->watch->os.ask(e->watch, tid_of(e));
}

static void tell(struct sley__watch_entry *e, bool over)
{
    sley__watch_report_stall(e, e->seen_ns - e->since_ns, computed_ns(e), over);
}

/** A stall goes on: begins it, or looks for the answer to what was asked. */
static void stalled(struct sley__watch_entry *e, uint64_t now_ns)
{
    const uint64_t stall_ns = e->watch->opts.stall_ns;
    if (e->phase == SLEY__WATCH_FINE) {
        /* who waits for a processor, and did not compute much when it had one, is not to blame */
        if (computed_ns(e) < stall_ns / 4 && e->watch->os.runnable(tid_of(e))) {
            return;
        }
        if (may_report(e, now_ns)) {
            ask(e, now_ns);
        } else {
            e->phase = SLEY__WATCH_SUPPRESSED;
        }
        return;
    }
    const bool shot = e->phase != SLEY__WATCH_SUPPRESSED && !e->has_shot && answered(e) && e->shot.same;
    if (shot || (e->phase == SLEY__WATCH_ASKED && now_ns >= e->answer_by_ns)) {
        e->has_shot = shot;
        e->phase = SLEY__WATCH_TOLD;
        tell(e, false);
    }
}

/** It has moved since the last look. */
static void moved(struct sley__watch_entry *e, uint32_t state, uint32_t count, uint64_t now_ns)
{
    if (e->phase == SLEY__WATCH_ASKED || e->phase == SLEY__WATCH_TOLD) {
        if (!e->has_shot && answered(e) && e->shot.same) { /* it ended while it was being asked */
            e->has_shot = true;
            tell(e, false);
        }
        tell(e, true);
    }
    e->quiet_count = count == e->count ? e->quiet_count : 0; /* a wake that ran nothing leaves it as quiet as it was */
    e->phase = SLEY__WATCH_FINE;
    e->state = state;
    e->count = count;
    e->since_ns = e->seen_ns = now_ns;
    e->cpu_ns = SLEY_NEVER;
}

/** Parked, as before. Returns whether it is to be looked at again. */
static bool parked(struct sley__watch_entry *e)
{
    if (++e->quiet_count < QUIET_LOOKS) {
        return true;
    }
    const uint32_t silent = (e->state & ~(uint32_t)SLEY__WATCH_MASK) | SLEY__WATCH_SILENT;
    uint32_t expected = e->state;
    /* acq_rel: one word with the exchange in sley_watch_unpark: that finds SILENT, or this fails */
    if (!atomic_compare_exchange_strong_explicit(&e->watched->state, &expected, silent, memory_order_acq_rel, memory_order_relaxed)) {
        return true;
    }
    e->state = silent;
    return false;
}

/** One worker. Returns whether it is to be looked at again before it wakes the watchdog. */
static bool look_at(struct sley__watch_entry *e, uint64_t now_ns)
{
    const struct sley_watch *w = e->watch;
    /* acquire: observes who drives it; pairs with sley_watch_unpark */
    const uint32_t state = atomic_load_explicit(&e->watched->state, memory_order_acquire);
    /* relaxed: only whether it moves */
    const uint32_t count = atomic_load_explicit(&e->sched->resume_count, memory_order_relaxed);
    if (state != e->state || count != e->count) {
        moved(e, state, count, now_ns);
        return true;
    }
    if ((state & SLEY__WATCH_MASK) == SLEY__WATCH_SILENT) {
        return false;
    }
    if ((state & SLEY__WATCH_MASK) == SLEY__WATCH_PARKED) {
        return parked(e);
    }
    e->seen_ns = now_ns;
    if (e->cpu_ns == SLEY_NEVER) {
        e->cpu_ns = w->os.cpu_ns(tid_of(e));
    }
    const uint64_t stalled_ns = now_ns - e->since_ns;
    if (w->opts.stuck && stalled_ns >= w->opts.stuck_ns) {
        w->opts.stuck(w->opts.arg, e->sched, stalled_ns);
    }
    if (w->opts.report && stalled_ns >= w->opts.stall_ns) {
        stalled(e, now_ns);
    }
    return true;
}

uint64_t sley__watch_look(struct sley_watch *w, uint64_t now_ns)
{
    bool again = false;
    for (struct sley__watch_entry *e = w->entries; e; e = e->next) {
        again |= look_at(e, now_ns);
    }
    return again ? now_ns + w->period_ns : SLEY_NEVER;
}

void sley__watch_last(struct sley__watch_entry *e)
{
    moved(e, e->state, e->count, e->seen_ns); /* what lasted until now is over */
    if (e->suppressed_count > 0 && e->watch->opts.report) {
        char text[96];
        (void)snprintf(text, sizeof text, "stall: %u more of worker %u were not reported", (unsigned)e->suppressed_count,
                       (unsigned)e->worker);
        e->watch->opts.report(e->watch->opts.report_arg, SLEY_REPORT_STALL, text);
    }
}
