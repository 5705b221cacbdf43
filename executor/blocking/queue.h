/* The state of a pool: what is under its lock, and the words that are touched without it. Private to blocking/.
 *
 * Invariant, whenever the lock is free: a job in line means that a thread is on its way to the queue (`searching`), or that
 * no other can come (none is idle, and `live` is at the limit, or the last try to make one failed), and then whoever is busy
 * looks when it has done its job. So a submit calls at most one thread, none while one is on its way or spins, and a thread that
 * leaves something in line calls the next.
 *
 *   a thread is          in ring  searching  goes on to
 *   called (or started)  awake    yes        looks: busy, spins, idle
 *   busy                 awake    no         looks
 *   spinning             awake    yes        looks, when it sees a job or its grace is over
 *   idle                 idle     no         called; ended, when its time is over
 */
#ifndef SLEY_BLOCKING_QUEUE_H
#define SLEY_BLOCKING_QUEUE_H

#include <sley/blocking.h>

/* ---- how threads sleep: one file per platform (futex_linux.c) ---- */

/** Sleeps while `*word` is @p value, until woken or @p until_ns of CLOCK_MONOTONIC (SLEY_NEVER: no limit). May return early. */
void sley__futex_wait(SLEY_ATOMIC(uint32_t) * word, uint32_t value, uint64_t until_ns);
/** Wakes @p count of those who sleep on the address. It is not read: its memory may have gone. */
void sley__futex_wake(SLEY_ATOMIC(uint32_t) * word, uint32_t count);
/** May this thread run on one processor only? */
bool sley__futex_alone(void);

/* ---- the state ---- */

/** A thread of the pool, on its own stack. */
struct sley__blocking_thread {
    struct sley__blocking_link link;
    SLEY_ATOMIC(const char *) runs; /* whose job it runs, or NULL. Set under the lock, cleared when the job has ended */
    bool searching;
    SLEY_ATOMIC(uint32_t) bell; /* 0: idle. Written under the lock */
};

/** What is guarded by the lock. Capacities are fields: tests use 1 and 2. */
struct sley__blocking_queue {
    SLEY_ATOMIC(uint32_t) lock;                   /* 0 free, 1 held, 2 held and slept for */
    SLEY_ATOMIC(uint32_t) count;                  /* in line; written under the lock, spinners look without it */
    SLEY_ATOMIC(uint32_t) live;                   /* threads; written under the lock; a stop sleeps on it */
    struct sley__blocking_link jobs, idle, awake; /* in line; latest first; in no order */
    struct sley__blocking_job usual;              /* no job: in line between those that are urgent and the others, each oldest first */
    uint32_t idle_count;
    uint32_t thread_min, thread_max, queue_max;
    bool searching, stopping;
    bool alone;                      /* one processor: a spin is a yield */
    uint8_t spin_credit, spin_probe; /* see sley__queue_rest */
};

void sley__queue_init(struct sley__blocking_queue *q, const struct sley_blocking_opts *o);
void sley__queue_lock(struct sley__blocking_queue *q);
void sley__queue_unlock(struct sley__blocking_queue *q);

/* ---- with the lock held ---- */

SLEY_INLINE void sley__link_init(struct sley__blocking_link *ring)
{
    ring->next = ring->prev = ring;
}

/** Inserts @p n before @p at: last in its ring, when that is the ring itself. */
SLEY_INLINE void sley__link_insert(struct sley__blocking_link *at, struct sley__blocking_link *n)
{
    n->next = at;
    n->prev = at->prev;
    at->prev->next = n;
    at->prev = n;
}

SLEY_INLINE void sley__link_remove(struct sley__blocking_link *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
}

void sley__queue_put(struct sley__blocking_queue *q, struct sley__blocking_job *job);
void sley__queue_remove(struct sley__blocking_queue *q, struct sley__blocking_job *job);
/** The oldest job, an urgent one if there is any, running from now on; NULL: none, or there are more threads than there may be. */
struct sley__blocking_job *sley__queue_take(struct sley__blocking_queue *q);
/** Moves all jobs without any of the flags @p keep into a ring; UINT32_MAX: none. */
void sley__queue_drop(struct sley__blocking_queue *q, uint32_t keep, struct sley__blocking_link *ret_dropped);

/**
 * Restores the invariant. Returns what is to be done once the lock is free: NULL: nothing; &q->live: make a thread, which is
 * counted already; else a bell, set already: wake who sleeps on it.
 */
SLEY_ATOMIC(uint32_t) * sley__queue_call(struct sley__blocking_queue *q);
/** Takes an idle thread (NULL: there is none) out of its sleep: its bell, already set, is to be woken once the lock is free. */
struct sley__blocking_thread *sley__queue_dismiss(struct sley__blocking_queue *q, bool oldest);
/** @p t is here: it looks at the queue with the lock held. */
void sley__queue_arrive(struct sley__blocking_queue *q, struct sley__blocking_thread *t);
/**
 * Nothing is in line for @p t: spins (if it may and nobody does), or sleeps. Gives the lock away meanwhile. Returns false when
 * there is no more use for it.
 */
bool sley__queue_rest(struct sley__blocking_queue *q, struct sley__blocking_thread *t, uint64_t idle_ns);

SLEY_INLINE uint32_t sley__queue_count(const struct sley__blocking_queue *q)
{
    /* relaxed: the lock is held; a spinner takes it before it acts on what it saw */
    return atomic_load_explicit(&q->count, memory_order_relaxed);
}

SLEY_INLINE uint32_t sley__queue_live(const struct sley__blocking_queue *q)
{
    /* acquire: a stop that sees 0 without the lock observes all that the threads did */
    return atomic_load_explicit(&q->live, memory_order_acquire);
}

SLEY_INLINE void sley__queue_add_live(struct sley__blocking_queue *q, uint32_t n)
{
    /* release: see sley__queue_live. The lock is held: no other writer */
    atomic_store_explicit(&q->live, sley__queue_live(q) + n, memory_order_release);
}

#endif
