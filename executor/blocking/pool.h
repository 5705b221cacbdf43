/* A pool: its queue, what it was made with, and its threads. Private to blocking/. */
#ifndef SLEY_BLOCKING_POOL_H
#define SLEY_BLOCKING_POOL_H

#include <pthread.h>

#include "queue.h"

struct sley_blocking_pool {
    struct sley__blocking_queue queue;
    const char *name;
    uint64_t idle_ns, spin_ns;
    size_t stack_bytes;
    struct sley_alloc *alloc;
    sley_report_fn report;
    void *report_arg;
    struct sley_alloc libc;
    /* guarded by the queue's lock */
    pthread_t ended; /* the thread that ended last, if has_ended: the next one joins it */
    bool has_ended, timed_out, orphan;
};

/** Makes a thread that is counted in `live` already and on its way to the queue; if that fails, jobs that nobody can run get -EAGAIN. */
int sley__pool_make_thread(struct sley_blocking_pool *p);
/** Leaves the lock and calls who was chosen. */
void sley__pool_leave(struct sley_blocking_pool *p, struct sley__blocking_call call);
/** Completes jobs of a list by `next` that are not run. */
void sley__pool_refuse(struct sley_blocking_pool *p, struct sley__blocking_job *list, int32_t verdict);
void sley__pool_free_job(struct sley_blocking_pool *p, struct sley__blocking_job *job);
/** Does this thread run a job of a pool? */
bool sley__pool_inside(const struct sley_blocking_pool *p);

#endif
