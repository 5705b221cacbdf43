/* Jobs as those see them who hand them in: starts, direct forms, cancelling. */
#include "pool.h"

#include <string.h>

SLEY_STATIC_ASSERT(sizeof(struct sley__blocking_job) % _Alignof(max_align_t) == 0, "copied arguments follow the job, aligned");

/** Asks for the end of a job. Thread: who started it, so its op is there. */
static void cancel(struct sley_wait *w)
{
    struct sley_blocking_op *op = sley_container_of(w, struct sley_blocking_op, wait);
    struct sley_blocking_pool *p = op->pool;
    struct sley__blocking_queue *q = &p->queue;
    int verdict = 0;
    sley__queue_lock(q);
    struct sley__blocking_job *job = op->at; /* NULL: it has ended, and the node is about to be completed */
    if (job) {
        /* relaxed: a request, which nothing travels with */
        atomic_store_explicit(&job->cancelled, 1, memory_order_relaxed);
        if (job->stage == SLEY__JOB_QUEUED && !(job->flags & SLEY_BLOCKING_MUST_RUN)) {
            sley__queue_remove(q, job);
            verdict = -ECANCELED;
        } else if (job->flags & SLEY_BLOCKING_ABANDON) {
            job->op = NULL;
            op->at = NULL;
            verdict = -EINPROGRESS;
        }
    }
    sley__queue_unlock(q);
    if (verdict == -ECANCELED) {
        sley__pool_free_job(p, job);
    }
    if (verdict < 0) {
        sley_wait_complete(w, verdict);
    }
}

static const struct sley_wait_ops wait_ops = {.version = SLEY_WAIT_VERSION, .name = "blocking job", .cancel = cancel};

/** The job of an op, in memory of its own if it may be abandoned. Returns: 0; -ENOMEM. */
static int make_job(struct sley_blocking_op *op, const struct sley_blocking_how *how, const struct sley_blocking_call *call)
{
    struct sley__blocking_job *job = &op->job;
    struct sley_alloc *a = op->pool->alloc;
    const struct sley_sched *s = sley__self;
    const bool copies = how->flags & SLEY_BLOCKING_ABANDON;
    const size_t bytes = sizeof *job + how->arg_bytes;
    if (copies) {
        job = sley_alloc_get(a, bytes, _Alignof(max_align_t));
        if (!job) {
            return -ENOMEM;
        }
    }
    job->fn = call->fn;
    job->arg = call->arg;
    job->op = op;
    job->name = how->name ? how->name : s && s->current ? sley_task_name(s->current) : "thread";
    job->flags = (uint8_t)how->flags;
    job->copied_bytes = copies ? (uint32_t)bytes : 0;
    /* relaxed: the queue's lock publishes the job */
    atomic_store_explicit(&job->cancelled, 0, memory_order_relaxed);
    if (copies && how->arg_bytes > 0) {
        job->arg = job + 1;
        memcpy(job->arg, call->arg, how->arg_bytes);
    }
    op->at = job;
    return 0;
}

/** A job that goes to no pool. */
static void start_here(struct sley_blocking_op *op, const struct sley_blocking_call *call)
{
    if (sley__self) {
        sley_wait_finish(&op->wait, -ENOTSUP);
        return;
    }
    const int result = call->fn(call->arg);
    if (call->ret_result) {
        *call->ret_result = result;
    }
    sley_wait_finish(&op->wait, 0);
}

/** All that can be done of a start before the pool is entered; false: the op is done. */
static bool begin(struct sley_blocking_op *op, struct sley_blocking_pool *p, const struct sley_blocking_how *how,
                  const struct sley_blocking_call *call)
{
    if (!sley_wait_begin(&op->wait, &wait_ops)) {
        return false;
    }
    op->pool = p;
    op->ret_result = call->ret_result;
    if (!call->fn || (how->arg_bytes > 0 && (!call->arg || !(how->flags & SLEY_BLOCKING_ABANDON)))) {
        sley_wait_finish(&op->wait, -EINVAL);
        return false;
    }
    if (!p) {
        start_here(op, call);
        return false;
    }
    const int rc = make_job(op, how, call);
    if (rc < 0) {
        sley_wait_finish(&op->wait, rc);
    }
    return rc == 0;
}

/** With the lock held: into the queue, or done at once. */
static void enter(struct sley_blocking_op *op)
{
    struct sley__blocking_queue *q = &op->pool->queue;
    const int rc = sley__queue_admit(q, op->at->flags);
    if (rc < 0) {
        sley__pool_free_job(op->pool, op->at);
        op->at = NULL;
        sley_wait_finish(&op->wait, rc);
        return;
    }
    sley_wait_arm(&op->wait);
    sley__queue_put(q, op->at);
}

static const struct sley_blocking_how plain;

static struct sley_blocking_pool *find_pool(const struct sley_blocking_how *how)
{
    const struct sley_sched *s = sley__self;
    return how->pool ? how->pool : s ? s->blocking : NULL;
}

void sley_blocking_batch_start(struct sley_blocking_op *ops, const struct sley_blocking_how *how,
                               const struct sley_blocking_call *calls, size_t count)
{
    how = how ? how : &plain;
    struct sley_blocking_pool *p = find_pool(how);
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        ops[i].at = NULL;
        left += begin(&ops[i], p, how, &calls[i]);
    }
    if (left == 0) {
        return;
    }
    sley__queue_lock(&p->queue);
    for (size_t i = 0; i < count; i++) {
        if (ops[i].at) {
            enter(&ops[i]);
        }
    }
    sley__pool_leave(p, sley__queue_call(&p->queue));
}

int sley_blocking_batch(struct sley_blocking_op *ops, const struct sley_blocking_how *how,
                        const struct sley_blocking_call *calls, size_t count)
{
    int first = sley_direct_enter();
    if (first < 0) {
        return first;
    }
    sley_blocking_batch_start(ops, how, calls, count);
    for (size_t i = 0; i < count; i++) {
        const int rc = sley_await(&ops[i].wait);
        first = first < 0 ? first : rc;
    }
    return first;
}

void sley_blocking_with_start(struct sley_blocking_op *op, const struct sley_blocking_how *how, sley_blocking_fn fn, void *arg,
                              int *ret_result)
{
    sley_blocking_batch_start(op, how, &(struct sley_blocking_call){fn, arg, ret_result}, 1);
}

int sley_blocking_with(const struct sley_blocking_how *how, sley_blocking_fn fn, void *arg, int *ret_result)
{
    struct sley_blocking_op op = {0};
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    sley_blocking_with_start(&op, how, fn, arg, ret_result);
    return sley_await(&op.wait);
}

void sley_blocking_start(struct sley_blocking_op *op, sley_blocking_fn fn, void *arg, int *ret_result)
{
    sley_blocking_with_start(op, &plain, fn, arg, ret_result);
}

int sley_blocking(sley_blocking_fn fn, void *arg, int *ret_result)
{
    return sley_blocking_with(&plain, fn, arg, ret_result);
}
