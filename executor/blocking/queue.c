/* The pool's queue: its lock, who is called when, and how a thread rests. All sleeping of the pool, and its atomics but for forks. */
#include "queue.h"

#include <sched.h>

/* The critical sections take some ten nanoseconds: who holds the lock for longer has lost its processor. */
#ifndef SLEY__LOCK_SPINS /* tests/explore goes to sleep soon */
#define SLEY__LOCK_SPINS 100
#endif
/* A vain spin takes back what two rewarded ones have earned; without credit one of so many tries sees whether it pays now. */
enum { SPIN_CREDIT_MAX = 8, SPIN_VAIN = 2, SPIN_PROBE_EVERY = 32 };
/* About what a sleep and a wake cost both sides where processors are virtual, and as long as an executor takes to wake up: only
 * then can it and the pool find each other awake. Alone, who was to hand something in has had its turn after a yield or two. */
#define SPIN_NS (40 * SLEY_US)
enum { SPIN_YIELDS = 2 };

/* ---- the lock ---------------------------------------------------------------------------------------------------- */

static void lock_slow(SLEY_ATOMIC(uint32_t) * lock)
{
    for (uint32_t i = 0; i < SLEY__LOCK_SPINS; i++) {
        uint32_t expected = 0;
        SLEY__RELAX();
        /* relaxed: only a look; acquire: as in sley__queue_lock */
        if (atomic_load_explicit(lock, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(lock, &expected, 1, memory_order_acquire, memory_order_relaxed)) {
            return;
        }
    }
    /* acquire: as in sley__queue_lock. 2 even if nobody else sleeps: the unlock then wakes once in vain */
    while (atomic_exchange_explicit(lock, 2, memory_order_acquire) != 0) {
        sley__futex_wait(lock, 2, SLEY_NEVER);
    }
}

void sley__queue_lock(struct sley__blocking_queue *q)
{
    uint32_t expected = 0;
    /* acquire: observes what the last holder did; pairs with sley__queue_unlock */
    if (SLEY_UNLIKELY(!atomic_compare_exchange_strong_explicit(&q->lock, &expected, 1, memory_order_acquire, memory_order_relaxed))) {
        lock_slow(&q->lock);
    }
}

void sley__queue_unlock(struct sley__blocking_queue *q)
{
    /* release: publishes what was done inside to the next holder */
    if (SLEY_UNLIKELY(atomic_exchange_explicit(&q->lock, 0, memory_order_release) == 2)) {
        sley__futex_wake(&q->lock, 1);
    }
}

/* ---- jobs in line ------------------------------------------------------------------------------------------------ */

void sley__queue_init(struct sley__blocking_queue *q, const struct sley_blocking_opts *o)
{
    sley__link_init(&q->jobs);
    sley__link_insert(&q->jobs, &q->usual.link);
    sley__link_init(&q->idle);
    sley__link_init(&q->awake);
    q->thread_min = o->thread_min;
    q->thread_max = o->thread_max ? o->thread_max : 512;
    q->queue_max = o->queue_max ? o->queue_max : 65536;
    q->spin_credit = SPIN_CREDIT_MAX / 2;
    q->alone = sley__futex_alone();
}

static void add_count(struct sley__blocking_queue *q, uint32_t n)
{
    /* relaxed: see sley__queue_count. The lock is held: no other writer */
    atomic_store_explicit(&q->count, sley__queue_count(q) + n, memory_order_relaxed);
}

void sley__queue_put(struct sley__blocking_queue *q, struct sley__blocking_job *job)
{
    job->queued = true;
    sley__link_insert(job->flags & SLEY_BLOCKING_URGENT ? &q->usual.link : &q->jobs, &job->link);
    add_count(q, 1);
}

void sley__queue_remove(struct sley__blocking_queue *q, struct sley__blocking_job *job)
{
    job->queued = false;
    sley__link_remove(&job->link);
    add_count(q, UINT32_MAX);
}

struct sley__blocking_job *sley__queue_take(struct sley__blocking_queue *q)
{
    if (sley__queue_count(q) == 0 || (sley__queue_live(q) > q->thread_max && !q->stopping)) {
        return NULL;
    }
    struct sley__blocking_link *first = q->jobs.next == &q->usual.link ? q->usual.link.next : q->jobs.next;
    struct sley__blocking_job *job = sley_container_of(first, struct sley__blocking_job, link);
    sley__queue_remove(q, job);
    return job;
}

void sley__queue_drop(struct sley__blocking_queue *q, uint32_t keep, struct sley__blocking_link *ret_dropped)
{
    sley__link_init(ret_dropped);
    for (struct sley__blocking_link *l = q->jobs.next, *next; l != &q->jobs && keep != UINT32_MAX; l = next) {
        struct sley__blocking_job *job = sley_container_of(l, struct sley__blocking_job, link);
        next = l->next;
        if (job != &q->usual && !(job->flags & keep)) {
            sley__queue_remove(q, job);
            if (job->op) {          /* else it was abandoned in line */
                job->op->at = NULL; /* as if it had ended: a cancel that comes before its node is completed leaves it alone */
            }
            sley__link_insert(ret_dropped, l);
        }
    }
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void move(struct sley__blocking_queue *q, struct sley__blocking_thread *t, bool idle)
{
    q->idle_count += idle ? 1 : UINT32_MAX;
    sley__link_remove(&t->link);
    sley__link_insert(idle ? q->idle.next : &q->awake, &t->link);
    /* relaxed: whoever sees it takes the lock. Set under the lock: a thread whose time is over ends without having heard it */
    atomic_store_explicit(&t->bell, !idle, memory_order_relaxed);
}

struct sley__blocking_thread *sley__queue_dismiss(struct sley__blocking_queue *q, bool oldest)
{
    struct sley__blocking_link *l = oldest ? q->idle.prev : q->idle.next;
    struct sley__blocking_thread *t = sley_container_of(l, struct sley__blocking_thread, link);
    if (q->idle_count == 0) {
        return NULL;
    }
    move(q, t, false);
    return t;
}

SLEY_ATOMIC(uint32_t) * sley__queue_call(struct sley__blocking_queue *q)
{
    const uint32_t limit = q->stopping && q->thread_max == 0 ? 1 : q->thread_max; /* what must run needs somebody */
    if (sley__queue_count(q) == 0 || q->searching || limit == 0) {
        return NULL;
    }
    struct sley__blocking_thread *t = sley__queue_dismiss(q, false);
    if (t) {
        t->searching = q->searching = true;
        return &t->bell;
    }
    if (sley__queue_live(q) >= limit) {
        return NULL;
    }
    sley__queue_add_live(q, 1);
    q->searching = true;
    return &q->live;
}

void sley__queue_arrive(struct sley__blocking_queue *q, struct sley__blocking_thread *t)
{
    q->searching = q->searching && !t->searching;
    t->searching = false;
}

/* ---- resting ------------------------------------------------------------------------------------------------------ */

/** Waits without sleeping for a job; as the one who is on its way, so that nobody is called meanwhile. Did one come? */
static bool spin(struct sley__blocking_queue *q, struct sley__blocking_thread *t)
{
    q->searching = t->searching = true;
    sley__queue_unlock(q);
    const uint64_t until = q->alone ? 0 : sley_now_ns() + SPIN_NS;
    for (uint32_t i = 1; sley__queue_count(q) == 0 && (q->alone ? i <= SPIN_YIELDS : i % 16 || sley_now_ns() < until); i++) {
        SLEY__RELAX();
        (void)(q->alone && sched_yield());
    }
    sley__queue_lock(q);
    sley__queue_arrive(q, t);
    const int credit = q->spin_credit + (sley__queue_count(q) > 0 ? 1 : -SPIN_VAIN);
    q->spin_credit = (uint8_t)(credit < 0 ? 0 : credit < SPIN_CREDIT_MAX ? credit : SPIN_CREDIT_MAX);
    return sley__queue_count(q) > 0;
}

/** Sleeps until called or dismissed, or until it is no longer wanted. */
static bool sleep_idle(struct sley__blocking_queue *q, struct sley__blocking_thread *t, uint64_t idle_ns)
{
    const uint64_t now = sley_now_ns();
    const uint64_t until = sley__queue_live(q) <= q->thread_min || idle_ns > SLEY_NEVER - now ? SLEY_NEVER : now + idle_ns;
    move(q, t, true);
    sley__queue_unlock(q);
    do {
        sley__futex_wait(&t->bell, 0, until);
        /* relaxed: the lock is taken before anything is done about it */
    } while (atomic_load_explicit(&t->bell, memory_order_relaxed) == 0 && sley_now_ns() < until);
    sley__queue_lock(q);
    sley__queue_arrive(q, t);
    /* relaxed: the lock is held */
    if (atomic_load_explicit(&t->bell, memory_order_relaxed) != 0) {
        return true; /* called, also when the time was over at that moment */
    }
    move(q, t, false);
    return sley__queue_count(q) > 0 || sley__queue_live(q) <= q->thread_min;
}

bool sley__queue_rest(struct sley__blocking_queue *q, struct sley__blocking_thread *t, uint64_t idle_ns)
{
    if ((q->spin_credit > 0 || ++q->spin_probe % SPIN_PROBE_EVERY == 0) && !q->stopping && !q->searching && spin(q, t)) {
        return true;
    }
    return !q->stopping && sley__queue_live(q) <= q->thread_max && sleep_idle(q, t, idle_ns);
}
