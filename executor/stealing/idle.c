/* Who sleeps, who searches, who is woken. At most half of the workers search at a time, and one is woken at a time: the one that
 * finds work wakes the next.
 *
 *   idle     searching (low half) and awake (high half) workers
 *   waking   WAKING while somebody looks for a sleeper, and until the one found searches; AGAIN: more work has come meanwhile
 *   inbox    of a worker's sched: PARKED from before it looks a last time until somebody takes it out of there
 *
 * Nothing is lost: who queues a task pushes it, then (fence) looks whether anybody sleeps that should not. Who goes to sleep says
 * so (PARKED, fewer awake, fewer searching), then (fence) looks whether anything was pushed. One of the two sees the other.
 * The same holds between a woken worker, which clears `waking` and then looks, and who leaves the waking to it; and when nobody
 * is found asleep, somebody may have gone to sleep behind the look: whoever has left work to it says AGAIN, and it looks again.
 * Source: tokio's idle module; here the sleeper's own inbox is the list of sleepers. */
#include "worker.h"

enum { SEARCHING = 1, AWAKE = 1 << 16, SEARCHING_MASK = AWAKE - 1 };
enum { WAKING = 1, AGAIN = 2 };

void sley__idle_init(struct sley_stealing_pool *p)
{
    /* relaxed: before the threads start */
    atomic_store_explicit(&p->idle, p->count * (uint32_t)AWAKE, memory_order_relaxed);
}

/** One wakes at a time: false: another does, and looks after what this thread has pushed. */
static bool become_waker(struct sley_stealing_pool *p)
{
    /* relaxed: ordered by the caller's fence */
    uint32_t waking = atomic_load_explicit(&p->waking, memory_order_relaxed);
    while (waking != AGAIN) {
        /* seq_cst: after the push; pairs with those that clear it, who look afterwards */
        if (atomic_compare_exchange_weak_explicit(&p->waking, &waking, waking ? AGAIN : WAKING, memory_order_seq_cst,
                                                  memory_order_relaxed)) {
            return waking == 0;
        }
    }
    return false;
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
    if (!become_waker(p)) {
        return;
    }
    uint32_t mine;
    do {
        for (uint32_t i = 0; i < p->count; i++) {
            if (sley_sched_nudge(&p->workers[i].sched)) {
                return; /* that worker clears `waking` */
            }
        }
        mine = WAKING;
        /* seq_cst: nobody was asleep, and nobody has said AGAIN meanwhile */
        if (atomic_compare_exchange_strong_explicit(&p->waking, &mine, 0, memory_order_seq_cst, memory_order_seq_cst)) {
            return;
        }
        /* seq_cst: AGAIN is taken before it is looked once more: whoever said so may have missed a sleeper that we have, too */
    } while (mine == AGAIN && atomic_compare_exchange_strong_explicit(&p->waking, &mine, WAKING, memory_order_seq_cst,
                                                                      memory_order_seq_cst));
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
    if (!sley__inject_empty(&p->inject) || sley__lifo_full(&w->lifo) || !sley__inject_empty(&w->pinned)) {
        return true;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if (sley__steal_ring_count(&p->workers[i].ring) != 0 || !sley__inject_empty(&p->workers[i].backlog)) {
            return true;
        }
    }
    return false;
}

void sley__idle_park(struct worker *w)
{
    struct sley_stealing_pool *p = w->pool;
    struct sley_sched *s = &w->sched;
    if (p->before_park) {
        p->before_park(p->hook_arg);
    }
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
    /* relaxed: ordered by the fence */
    const bool helps = atomic_load_explicit(&p->stuck_count, memory_order_relaxed) != 0;
    const uint64_t next_ns = sley__worker_run_timers(w), tidy_ns = sley_sched_tidy(s); /* what is due makes work */
    if (!any_work(w) && !rests && !helps) {
        sley__worker_wait(w, next_ns < tidy_ns ? next_ns : tidy_ns);
    } else {
        sley__worker_look_outside(w); /* it comes here in place of a look */
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
