/* A queue without a bound. The pool has one, where tasks are queued by threads that are no workers, and each worker has one for what
 * its ring has no room for. Pushing is one CAS on a stack, from any thread and from signal handlers; workers take under a lock, in
 * the order of pushing. */
#ifndef SLEY_STEALING_INJECT_H
#define SLEY_STEALING_INJECT_H

#include <sley/group_impl.h>

struct sley__inject {
    SLEY_ATOMIC(struct sley_task *) pushed; /* stack, newest first, through the tasks' links */
    SLEY_ATOMIC(uint32_t) lock;             /* takers, and who appends */
    SLEY_ATOMIC(struct sley_task *) head;   /* in order, oldest first; written under the lock */
    struct sley_task *last;                 /* of those in order; under the lock */
    SLEY_ATOMIC(uint32_t) count;            /* of a backlog: how many are in it; written under the lock */
};

/** Pushes a chain from @p first to @p last, linked in that order. Thread: any, signal. */
void sley__inject_push(struct sley__inject *q, struct sley_task *first, struct sley_task *last);
/** The same for a chain of @p n in a queue into which nobody pushes: not turned round, under the lock. Thread: any, not signal. */
void sley__inject_append(struct sley__inject *q, struct sley_task *first, struct sley_task *last, uint32_t n);
/** Takes up to @p max as a chain that ends with a NULL link. Returns the first, or NULL. Thread: any, not signal. */
struct sley_task *sley__inject_take(struct sley__inject *q, uint32_t max);
/** How many are in a backlog, about. Thread: any. */
SLEY_INLINE uint32_t sley__inject_count(const struct sley__inject *q)
{
    /* relaxed: about */
    return atomic_load_explicit(&q->count, memory_order_relaxed);
}
/** Is nothing there? Thread: any. */
SLEY_INLINE bool sley__inject_empty(const struct sley__inject *q)
{
    /* relaxed: a hint; before parking a fence comes first (park in idle.c) */
    return !atomic_load_explicit(&q->pushed, memory_order_relaxed) &&
           !atomic_load_explicit(&q->head, memory_order_relaxed); /* relaxed: as above */
}

#endif
