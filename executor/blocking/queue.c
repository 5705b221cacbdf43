/* The pool's queue: its lock, who is called when, and how a thread rests. All atomics and sleeping of the pool are here. */
#include "queue.h"

/* The critical sections take some ten nanoseconds: who holds the lock for longer has lost its processor. */
enum { LOCK_SPINS = 100 };

/* ---- the lock ---------------------------------------------------------------------------------------------------- */

static void lock_slow(SLEY_ATOMIC(uint32_t) *lock)
{
    for (uint32_t i = 0; i < LOCK_SPINS; i++) {
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
    if (SLEY_UNLIKELY(!atomic_compare_exchange_strong_explicit(&q->lock, &expected, 1, memory_order_acquire,
                                                               memory_order_relaxed))) {
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

static uint32_t count(const struct sley__blocking_queue *q)
{
    /* relaxed: the lock is held; a spinner takes it before it acts on what it saw */
    return atomic_load_explicit(&q->count, memory_order_relaxed);
}

static void set_count(struct sley__blocking_queue *q, uint32_t n)
{
    /* relaxed: as above */
    atomic_store_explicit(&q->count, n, memory_order_relaxed);
}

int sley__queue_admit(const struct sley__blocking_queue *q, uint32_t flags)
{
    if (q->stopping) {
        return -ECANCELED;
    }
    const bool full = count(q) >= q->queue_max || q->thread_max == 0;
    return (flags & SLEY_BLOCKING_TRY) && full ? -EAGAIN : 0;
}

void sley__queue_put(struct sley__blocking_queue *q, struct sley__blocking_job *job)
{
    job->stage = SLEY__JOB_QUEUED;
    job->next = NULL;
    job->prev = q->tail;
    if (q->tail) {
        q->tail->next = job;
    } else {
        q->head = job;
    }
    q->tail = job;
    set_count(q, count(q) + 1);
}

void sley__queue_remove(struct sley__blocking_queue *q, struct sley__blocking_job *job)
{
    *(job->prev ? &job->prev->next : &q->head) = job->next;
    *(job->next ? &job->next->prev : &q->tail) = job->prev;
    job->stage = 0;
    set_count(q, count(q) - 1);
}

struct sley__blocking_job *sley__queue_take(struct sley__blocking_queue *q)
{
    struct sley__blocking_job *job = q->head;
    if (job && (q->stopping || q->thread_max > 0)) {
        sley__queue_remove(q, job);
        job->stage = SLEY__JOB_RUNNING;
        return job;
    }
    return NULL;
}

struct sley__blocking_job *sley__queue_drop(struct sley__blocking_queue *q, bool all)
{
    struct sley__blocking_job *dropped = NULL, **tail = &dropped;
    for (struct sley__blocking_job *job = q->head, *next; job; job = next) {
        next = job->next;
        if (all || !(job->flags & SLEY_BLOCKING_MUST_RUN)) {
            sley__queue_remove(q, job);
            job->next = NULL;
            *tail = job;
            tail = &job->next;
        }
    }
    return dropped;
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void idle_put(struct sley__blocking_queue *q, struct sley__blocking_thread *t)
{
    t->idle = true;
    t->idle_prev = NULL;
    t->idle_next = q->idle;
    if (q->idle) {
        q->idle->idle_prev = t;
    }
    q->idle = t;
    q->idle_count++;
    /* relaxed: rung under the lock alone */
    atomic_store_explicit(&t->bell, 0, memory_order_relaxed);
}

static void idle_remove(struct sley__blocking_queue *q, struct sley__blocking_thread *t)
{
    t->idle = false;
    *(t->idle_prev ? &t->idle_prev->idle_next : &q->idle) = t->idle_next;
    if (t->idle_next) {
        t->idle_next->idle_prev = t->idle_prev;
    }
    q->idle_count--;
}

struct sley__blocking_thread *sley__queue_dismiss(struct sley__blocking_queue *q)
{
    struct sley__blocking_thread *t = q->idle;
    if (t) {
        idle_remove(q, t);
        /* relaxed: who sees it takes the lock. Under the lock: a thread whose time is over may end without having slept it out */
        atomic_store_explicit(&t->bell, 1, memory_order_relaxed);
    }
    return t;
}

void sley__queue_ring(struct sley__blocking_thread *t)
{
    sley__futex_wake(&t->bell, 1);
}

struct sley__blocking_call sley__queue_call(struct sley__blocking_queue *q)
{
    struct sley__blocking_call call = {0};
    const uint32_t limit = q->stopping && q->thread_max == 0 ? 1 : q->thread_max; /* what must run needs somebody */
    if (!q->head || q->searching || limit == 0) {
        return call;
    }
    call.thread = sley__queue_dismiss(q);
    if (call.thread) {
        call.thread->searching = true;
    } else {
        call.make = sley__queue_live(q) < limit;
    }
    if (call.make) {
        sley__queue_set_live(q, sley__queue_live(q) + 1);
    }
    q->searching = call.thread || call.make;
    return call;
}

void sley__queue_arrive(struct sley__blocking_queue *q, struct sley__blocking_thread *t)
{
    if (t->searching) {
        t->searching = false;
        q->searching = false;
    }
}

/* ---- resting ------------------------------------------------------------------------------------------------------ */

/** Spins without the lock until a job is there or the grace is over. */
static void spin(struct sley__blocking_queue *q, uint64_t spin_ns)
{
    const uint64_t until = sley__futex_now_ns() + spin_ns;
    do {
        for (uint32_t i = 0; i < 16; i++) {
            /* relaxed: a hint; the caller looks again under the lock */
            if (atomic_load_explicit(&q->count, memory_order_relaxed) != 0) {
                return;
            }
            SLEY__RELAX();
        }
    } while (sley__futex_now_ns() < until);
}

/** One at a time, and while it pays: as many rewarded spins as vain ones; now and then a try, to see whether that has changed. */
static bool may_spin(struct sley__blocking_queue *q, uint64_t spin_ns)
{
    if (spin_ns == 0 || q->searching) {
        return false;
    }
    return q->spin_credit > 0 || ++q->spin_probe % SLEY__SPIN_PROBE_EVERY == 0;
}

static void grace(struct sley__blocking_queue *q, struct sley__blocking_thread *t, uint64_t spin_ns)
{
    q->searching = t->searching = true;
    sley__queue_unlock(q);
    spin(q, spin_ns);
    sley__queue_lock(q);
    sley__queue_arrive(q, t);
    if (!q->head) {
        q->spin_credit = (uint8_t)(q->spin_credit - (q->spin_credit > 0));
    } else if (q->spin_credit < SLEY__SPIN_CREDIT_MAX) {
        q->spin_credit++;
    }
}

enum sley__queue_rest sley__queue_rest(struct sley__blocking_queue *q, struct sley__blocking_thread *t, uint64_t spin_ns,
                                       uint64_t idle_ns)
{
    if (!q->stopping && may_spin(q, spin_ns)) {
        grace(q, t, spin_ns);
        if (q->head) {
            return SLEY__REST_LOOK;
        }
    }
    if (q->stopping || sley__queue_live(q) > q->thread_max) {
        return SLEY__REST_END;
    }
    idle_put(q, t);
    const uint64_t now = sley__futex_now_ns();
    const bool stays = sley__queue_live(q) <= q->thread_min || idle_ns > SLEY_NEVER - now;
    const uint64_t until = stays ? SLEY_NEVER : now + idle_ns;
    sley__queue_unlock(q);
    /* relaxed: the lock is taken before anything is done about it */
    while (atomic_load_explicit(&t->bell, memory_order_relaxed) == 0 &&
           (until == SLEY_NEVER || sley__futex_now_ns() < until)) {
        sley__futex_wait(&t->bell, 0, until);
    }
    sley__queue_lock(q);
    sley__queue_arrive(q, t);
    if (!t->idle) {
        return SLEY__REST_LOOK; /* called, also when the time was over at that moment */
    }
    idle_remove(q, t);
    return q->head || sley__queue_live(q) <= q->thread_min ? SLEY__REST_LOOK : SLEY__REST_END;
}
