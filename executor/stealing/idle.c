/* Who sleeps, who searches, who is woken. At most half of the workers search at a time, and one is woken at a time: the one that
 * finds work wakes the next.
 *
 *   idle     how many search (low half) and sleep (high half): 0 when all are awake and busy
 *   waking   WAKING while somebody looks for a sleeper, and until the one found searches; AGAIN: more work has come meanwhile
 *   inbox    of a worker's sched: PARKED from before it looks a last time until somebody takes it out of there
 *
 * Nothing is lost: who queues a task pushes it, then (fence) looks whether anybody sleeps that should not. Who goes to sleep says
 * so (PARKED, one more asleep, fewer searching), then (fence) looks whether anything was pushed. One of the two sees the other.
 * The same holds between a woken worker, which clears `waking` and then looks, and who leaves the waking to it; and when nobody
 * is found asleep, somebody may have gone to sleep behind the look: whoever has left work to it says AGAIN, and it looks again.
 * Source: tokio's idle module; here the sleeper's own inbox is the list of sleepers.
 *
 * To wake a worker costs more than work of nanoseconds brings. For little work (queue.c says what that is) nobody is woken who would
 * take it, as long as one of the sleepers guards:
 *
 *   guarded  1 while a worker guards: it sleeps for a moment only, then looks how far those have come behind whom something lies,
 *            and takes what would wait for long
 *
 * Who pushes little, and sees nobody guard, wakes a worker, which finds nothing worth taking, and guards. A worker guards that
 * goes to sleep beside little work and is the first to say so; it stops when it finds work for itself, or none anywhere: then it
 * says so, (fence) and looks once more. So the argument above holds for little work, with `guarded` in the place of who is awake:
 * while something lies anywhere, there is always somebody who will look in a while. With nothing anywhere nobody guards. */
#include "worker.h"

enum { SEARCHING = 1, ASLEEP = 1 << 16, SEARCHING_MASK = ASLEEP - 1 };
enum { WAKING = 1, AGAIN = 2 };
enum {
    LASTS_NS = 4000000
};                          /* what has lain for so long, look by look, is no burst: tasks that yield to each other have work for two */
enum { GUARD_NS = 500000 }; /* ten times what a wake costs, which keeps the cost low; nobody waits much longer for a wrong guess */

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

void sley__idle_notify(struct sley_stealing_pool *p, enum work work)
{
    /* seq_cst: the push before against the loads below; pairs with the fences in park and woken */
    atomic_thread_fence(memory_order_seq_cst);
    /* relaxed: ordered by the fence */
    const uint32_t idle = atomic_load_explicit(&p->idle, memory_order_relaxed);
    if (work == WORK_NONE || (idle & SEARCHING_MASK) != 0 || idle < ASLEEP) {
        return; /* whoever searches looks at every queue once more before he sleeps */
    }
    /* relaxed: ordered by the fence */
    if ((work < WORK_WORTH && atomic_load_explicit(&p->guarded, memory_order_relaxed)) || !become_waker(p)) {
        return;
    }
    uint32_t mine;
    do {
        for (uint32_t i = 0; i < p->plan.count; i++) {
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
    } while (mine == AGAIN &&
             atomic_compare_exchange_strong_explicit(&p->waking, &mine, WAKING, memory_order_seq_cst, memory_order_seq_cst));
}

bool sley__idle_search(struct worker *w)
{
    struct sley_stealing_pool *p = w->pool;
    if (w->searching) {
        return true;
    }
    /* relaxed: a bound that may be missed by a little */
    if (2 * (atomic_load_explicit(&p->idle, memory_order_relaxed) & SEARCHING_MASK) >= p->plan.count) {
        return false;
    }
    /* seq_cst: counted before it looks; pairs with sley__idle_notify, which leaves the work to us */
    (void)atomic_fetch_add_explicit(&p->idle, SEARCHING, memory_order_seq_cst);
    w->searching = true;
    return true;
}

/** The most that lies anywhere. */
static enum work any_work(const struct sley_stealing_pool *p)
{
    enum work most = sley__inject_empty(&p->inject) ? WORK_NONE : WORK_WORTH;
    for (uint32_t i = 0; i < p->plan.count && most < WORK_WORTH; i++) {
        const enum work left = sley__worker_left(&p->workers[i]);
        most = left > most ? left : most;
    }
    return most;
}

void sley__idle_tell(struct sley_stealing_pool *p)
{
    /* seq_cst: as in notify */
    atomic_thread_fence(memory_order_seq_cst);
    sley__idle_notify(p, any_work(p));
}

static void stop_guarding(struct worker *w)
{
    w->guards = false;
    /* release: what is its alone, for who guards next. Both callers look what lies there, behind a fence, for notify has left it to
     * them; pairs with the fence there */
    atomic_store_explicit(&w->pool->guarded, 0, memory_order_release);
}

void sley__idle_found(struct worker *w)
{
    const bool yielded = !w->guards && !w->searching;
    w->untold = false;
    if (w->guards) {
        stop_guarding(w);
    }
    if (w->searching) {
        w->searching = false;
        /* acq_rel: as above */
        (void)atomic_fetch_sub_explicit(&w->pool->idle, SEARCHING, memory_order_acq_rel);
    }
    if (yielded) { /* what has done so lies in the ring, and another one runs before it, maybe for long */
        sley__idle_notify(w->pool, sley__worker_left(w));
    } else {
        sley__idle_tell(w->pool); /* there may be more; if others search it is theirs to find */
    }
}

/**
 * How long resumes have taken since the last look, whoever guarded then, and for how long there was something in the queue at each. A
 * worker that has not moved is in one that has taken all the time.
 */
static void reckon(struct sley_stealing_pool *p, bool first)
{
    const uint64_t now = sley__pool_now_ns(p), since = now - p->looked_ns;
    const uint64_t passed = first && since > 2 * GUARD_NS ? 0 : since; /* else the one before has only just stopped */
    for (struct worker *w = p->workers; w < p->workers + p->plan.count; w++) {
        /* relaxed: a hint, and an estimate */
        const uint32_t moved = atomic_load_explicit(&w->sched.resume_count, memory_order_relaxed) - w->seen;
        /* relaxed: as above */
        uint64_t late = moved ? passed / (moved + 1) : atomic_load_explicit(&w->late_ns, memory_order_relaxed) + passed;
        late = sley__worker_left(w) == WORK_NONE ? 0 : late;
        w->queued_ns = sley__steal_ring_count(&w->ring) + sley__inject_count(&w->backlog) == 0 ? 0 : w->queued_ns + passed;
        if (w->queued_ns >= LASTS_NS) {
            w->queued_ns = 0; /* half of it goes, then it is seen what becomes of the rest */
            late = BEHIND_NS;
        }
        /* relaxed: as above */
        atomic_store_explicit(&w->late_ns, late, memory_order_relaxed);
        w->seen += moved;
    }
    p->looked_ns = now;
}

/** What is there that a worker should be awake for? Begins to guard, or stops. */
static enum work look(struct worker *w)
{
    struct sley_stealing_pool *p = w->pool;
    for (;;) {
        const bool own = sley__worker_left(w) != WORK_NONE || !sley__inject_empty(&w->pinned); /* a timer's, maybe */
        const enum work left = own ? WORK_WORTH : any_work(p);
        /* acquire: pairs with stop_guarding */
        if (left == WORK_LITTLE && !w->guards && !atomic_exchange_explicit(&p->guarded, 1, memory_order_acquire)) {
            w->guards = true;
            reckon(p, true);
        }
        if (left != WORK_NONE || !w->guards) {
            return left;
        }
        stop_guarding(w);
        /* seq_cst: see the top */
        atomic_thread_fence(memory_order_seq_cst);
    }
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
    (void)atomic_fetch_add_explicit(&p->idle, ASLEEP - (w->searching ? SEARCHING : 0), memory_order_seq_cst);
    w->searching = false;
    /* seq_cst: that it sleeps, against the look at what was pushed; pairs with sley__idle_notify */
    atomic_thread_fence(memory_order_seq_cst);
    /* relaxed: ordered by the fence; who changes the phase nudges */
    const bool rests = atomic_load_explicit(&p->phase, memory_order_relaxed) != PHASE_RUNNING;
    /* relaxed: ordered by the fence */
    const bool helps = atomic_load_explicit(&p->stuck_count, memory_order_relaxed) != 0 || sley_group_posted(&p->group);
    const uint64_t next_ns = sley__worker_run_timers(w), tidy_ns = sley_sched_tidy(s); /* what is due makes work */
    if (look(w) != WORK_WORTH && !rests && !helps) {
        const uint64_t guard_ns = w->guards ? p->looked_ns + GUARD_NS : SLEY_NEVER;
        const uint64_t due_ns = next_ns < tidy_ns ? next_ns : tidy_ns;
        sley__worker_wait(w, guard_ns < due_ns ? guard_ns : due_ns);
        if (w->guards) {
            reckon(p, false);
        }
    } else {
        sley__worker_look_outside(w); /* it comes here in place of a look */
    }
    /* seq_cst: as above */
    (void)atomic_fetch_sub_explicit(&p->idle, ASLEEP, memory_order_seq_cst);
    if (!sley_sched_unpark(s)) {
        /* somebody has taken it out of there: a poster, or who wakes. Cleared for both: at worst one more is woken.
         * seq_cst: before it searches; pairs with sley__idle_notify, which leaves the work to the one that is woken */
        atomic_store_explicit(&p->waking, 0, memory_order_seq_cst);
        /* seq_cst: against the relaxed look at who searches in there */
        atomic_thread_fence(memory_order_seq_cst);
        (void)sley__idle_search(w);
    }
}
