/* Who sleeps, who searches, who is woken. At most half of the workers search at a time, and one is woken at a time: the one that
 * finds work wakes the next.
 *
 *   idle     searching (low half) and awake (high half) workers
 *   waking   1 from a nudge until the woken worker searches
 *   inbox    of a worker's sched: PARKED from before it looks a last time until somebody takes it out of there
 *
 * Nothing is lost: who queues a task pushes it, then (fence) looks whether anybody sleeps that should not. Who goes to sleep says
 * so (PARKED, fewer awake, fewer searching), then (fence) looks whether anything was pushed. One of the two sees the other.
 * The same holds between a woken worker, which clears `waking` and then looks, and who leaves the waking to it.
 * Source: tokio's idle module; here the sleeper's own inbox is the list of sleepers. */
#include "worker.h"

enum { SEARCHING = 1, AWAKE = 1 << 16, SEARCHING_MASK = AWAKE - 1 };

void sley__idle_init(struct sley_stealing_pool *p)
{
    /* relaxed: before the threads start */
    atomic_store_explicit(&p->idle, p->count * (uint32_t)AWAKE, memory_order_relaxed);
}

void sley__idle_notify(struct sley_stealing_pool *p)
{
    /* seq_cst: the push before against the loads below; pairs with the fences in park and woken */
    atomic_thread_fence(memory_order_seq_cst);
    /* relaxed: ordered by the fence */
    const uint32_t idle = atomic_load_explicit(&p->idle, memory_order_relaxed);
    if ((idle & SEARCHING_MASK) != 0 || idle / AWAKE == p->count) {
        return; /* whoever searches looks at every queue once more before he sleeps */
    }
    /* relaxed: ordered by the fence */
    if (atomic_load_explicit(&p->waking, memory_order_relaxed) ||
        /* acq_rel: one wakes at a time */
        atomic_exchange_explicit(&p->waking, 1, memory_order_acq_rel)) {
        return;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if (sley_sched_nudge(&p->workers[i].sched)) {
            return; /* that worker clears `waking` */
        }
    }
    /* release: nobody was asleep; who goes to sleep now has not looked yet */
    atomic_store_explicit(&p->waking, 0, memory_order_release);
}

bool sley__idle_search(struct worker *w)
{
    struct sley_stealing_pool *p = w->pool;
    if (w->searching) {
        return true;
    }
    /* relaxed: a bound that may be missed by a little */
    if (2 * (atomic_load_explicit(&p->idle, memory_order_relaxed) & SEARCHING_MASK) >= p->count) {
        return false;
    }
    /* seq_cst: counted before it looks; pairs with notify, which leaves the work to us */
    (void)atomic_fetch_add_explicit(&p->idle, SEARCHING, memory_order_seq_cst);
    w->searching = true;
    return true;
}

void sley__idle_found(struct worker *w)
{
    if (!w->searching) {
        return;
    }
    w->searching = false;
    /* acq_rel: as above */
    if ((atomic_fetch_sub_explicit(&w->pool->idle, SEARCHING, memory_order_acq_rel) & SEARCHING_MASK) == SEARCHING) {
        sley__idle_notify(w->pool); /* the last one to search has found something: there may be more */
    }
}

/** Is there anything that a worker should be awake for? */
static bool any_work(const struct worker *w)
{
    const struct sley_stealing_pool *p = w->pool;
    if (!sley__inject_empty(&p->inject) || atomic_load_explicit(&w->lifo, memory_order_relaxed)) { /* relaxed: after a fence */
        return true;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if (sley__steal_ring_count(&p->workers[i].ring) != 0) {
            return true;
        }
    }
    return false;
}

void sley__idle_park(struct worker *w)
{
    struct sley_stealing_pool *p = w->pool;
    struct sley_sched *s = &w->sched;
    if (!sley_sched_park(s)) {
        return; /* something was posted */
    }
    /* seq_cst: see the top */
    (void)atomic_fetch_sub_explicit(&p->idle, AWAKE + (w->searching ? SEARCHING : 0), memory_order_seq_cst);
    w->searching = false;
    /* seq_cst: that it sleeps, against the look at what was pushed; pairs with notify */
    atomic_thread_fence(memory_order_seq_cst);
    /* relaxed: ordered by the fence; who changes the phase nudges */
    const bool rests = atomic_load_explicit(&p->phase, memory_order_relaxed) != PHASE_RUNNING;
    if (!any_work(w) && !rests) {
        sley__worker_wait(w, sley__worker_run_timers(w));
    }
    /* seq_cst: as above */
    (void)atomic_fetch_add_explicit(&p->idle, AWAKE, memory_order_seq_cst);
    if (!sley_sched_unpark(s)) {
        /* somebody has taken it out of there: a poster, or who wakes. Cleared for both: at worst one more is woken.
         * seq_cst: before it searches; pairs with notify, which leaves the work to the one that is woken */
        atomic_store_explicit(&p->waking, 0, memory_order_seq_cst);
        (void)sley__idle_search(w);
    }
}
