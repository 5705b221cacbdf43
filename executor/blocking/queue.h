/* The state of a pool: everything under its lock, and the three words that are touched without it. Private to blocking/.
 *
 * Invariant, whenever the lock is free: a job in line means that a thread is on its way to the queue (`searching`), or that
 * no other can come (none is idle, and `live` is at the limit, or the last try to make one failed), and then whoever is busy
 * looks when it has done its job. So a submit calls at most one thread, none while one is on its way or spins, and a thread that
 * leaves something in line calls the next.
 *
 *   a thread is          on the list  searching  goes on to
 *   called (or started)  no           yes        looks: busy, spins, idle
 *   busy                 no           no         looks
 *   spinning             no           yes        looks, when it sees a job or its grace is over
 *   idle                 idle         no         called; ended, when its time is over
 */
#ifndef SLEY_BLOCKING_QUEUE_H
#define SLEY_BLOCKING_QUEUE_H

#include <sley/blocking.h>

#include "futex.h"

enum { SLEY__JOB_QUEUED = 1, SLEY__JOB_RUNNING = 2 };

/* How much a processor's grace may weigh: a spin that is rewarded (about a sleep and a wake saved) pays for one that is not. */
enum { SLEY__SPIN_CREDIT_MAX = 8, SLEY__SPIN_PROBE_EVERY = 32 };

/** A thread of the pool, on its own stack. */
struct sley__blocking_thread {
    struct sley__blocking_thread *next, *prev;           /* of all, for reports */
    struct sley__blocking_thread *idle_next, *idle_prev; /* of the idle ones, latest first */
    const char *runs; /* whose job it runs, or NULL */
    bool idle, searching;
    SLEY_ATOMIC(uint32_t) bell;
};

/** What is guarded by the lock. Capacities are fields: tests use 1 and 2. */
struct sley__blocking_queue {
    SLEY_ATOMIC(uint32_t) lock;  /* 0 free, 1 held, 2 held and slept for */
    SLEY_ATOMIC(uint32_t) count; /* in line; written under the lock, spinners look without it */
    SLEY_ATOMIC(uint32_t) live;  /* threads; written under the lock; a stop sleeps on it */
    struct sley__blocking_job *head, *tail;
    struct sley__blocking_thread *all, *idle;
    uint32_t idle_count;
    uint32_t thread_min, thread_max, queue_max;
    bool searching, stopping;
    uint8_t spin_credit, spin_probe; /* see sley__queue_may_spin */
};

/** Whom to call once the lock is free: an idle thread, or one that is to be made (counted in `live` already). */
struct sley__blocking_call {
    struct sley__blocking_thread *thread;
    bool make;
};

void sley__queue_lock(struct sley__blocking_queue *q);
void sley__queue_unlock(struct sley__blocking_queue *q);
/** Rings who was chosen. Thread: any, without the lock. Its record may have gone: it saw the bell before. */
void sley__queue_ring(struct sley__blocking_thread *t);

/* ---- with the lock held ---- */

/** May a job come in? Returns: 0; -ECANCELED when stopping; -EAGAIN when there is no room for one that only tries. */
int sley__queue_admit(const struct sley__blocking_queue *q, uint32_t flags);
void sley__queue_put(struct sley__blocking_queue *q, struct sley__blocking_job *job);
void sley__queue_remove(struct sley__blocking_queue *q, struct sley__blocking_job *job);
/** The oldest job, running from now on; NULL. */
struct sley__blocking_job *sley__queue_take(struct sley__blocking_queue *q);
/** Takes out all that may be dropped (@p all: every one): a list by `next`. */
struct sley__blocking_job *sley__queue_drop(struct sley__blocking_queue *q, bool all);
/** Is anybody to be called? Restores the invariant; the answer must be acted on. */
struct sley__blocking_call sley__queue_call(struct sley__blocking_queue *q);
/** Takes an idle thread off the list with its bell rung, for ends and new limits; NULL. It is to be woken by sley__queue_ring. */
struct sley__blocking_thread *sley__queue_dismiss(struct sley__blocking_queue *q);
/** @p t is here: it looks at the queue with the lock held. */
void sley__queue_arrive(struct sley__blocking_queue *q, struct sley__blocking_thread *t);

/** What a thread does that finds nothing in line. */
enum sley__queue_rest { SLEY__REST_LOOK, SLEY__REST_END };
/**
 * Nothing is in line: spins (if it may and nobody does), sleeps, ends. Gives the lock away meanwhile, and holds it again when it
 * returns. @p spin_ns: the longest grace; 0 on one processor.
 */
enum sley__queue_rest sley__queue_rest(struct sley__blocking_queue *q, struct sley__blocking_thread *t, uint64_t spin_ns,
                                       uint64_t idle_ns);

SLEY_INLINE uint32_t sley__queue_live(struct sley__blocking_queue *q)
{
    /* relaxed: the lock is held, or it is only a hint */
    return atomic_load_explicit(&q->live, memory_order_relaxed);
}

SLEY_INLINE void sley__queue_set_live(struct sley__blocking_queue *q, uint32_t live)
{
    /* release: a stop that sees 0 without the lock observes all that the threads did */
    atomic_store_explicit(&q->live, live, memory_order_release);
}

#endif
