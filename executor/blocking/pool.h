/* A pool: its queue, what it was made with, and its threads. Private to blocking/. */
#ifndef SLEY_BLOCKING_POOL_H
#define SLEY_BLOCKING_POOL_H

#include <pthread.h>

#include <sley/placement_impl.h>

#include "queue.h"

struct sley_blocking_pool {
    struct sley__blocking_queue queue;
    struct sley_blocking_opts opts; /* defaults filled in */
    struct sley_alloc libc;
    struct sley_plan plan; /* where its threads run */
    int nice;              /* theirs, if opts.nice says more than 0 */
    uint32_t forks;        /* what this process had behind it when it was made */
    /* guarded by the queue's lock */
    pthread_t ended; /* the thread that ended last, if has_ended: the next one joins it */
    bool has_ended;
};

/** Is this the child of a fork? Its threads are not there, and its lock may be held for ever: nothing of it may be looked at. */
bool sley__pool_inherited(const struct sley_blocking_pool *p);
/** Leaves the lock and calls who was chosen. */
void sley__pool_leave(struct sley_blocking_pool *p, SLEY_ATOMIC(uint32_t) * call);
void sley__pool_free_job(struct sley_blocking_pool *p, struct sley__blocking_job *job);
/** Completes the op of a job; it may be gone afterwards, and so may its executor. */
void sley__pool_complete(struct sley_blocking_op *op, int32_t verdict);

#endif
