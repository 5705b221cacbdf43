/* Jobs as those see them who hand them in: starts, direct forms, cancelling. */
#include "pool.h"

#include <string.h>

SLEY_STATIC_ASSERT(sizeof(struct sley__blocking_job) % _Alignof(max_align_t) == 0, "copied arguments follow the job, aligned");

/** Asks for the end of a job. Thread: who started it, so its op is there. */
static void cancel(struct sley_wait *w)
{
    struct sley_blocking_op *op = sley_container_of(w, struct sley_blocking_op, wait);
    struct sley__blocking_queue *q = &op->pool->queue;
    int verdict = 0;
    if (sley__pool_inherited(op->pool)) {
        sley__pool_complete(op, -EOWNERDEAD);
        return;
    }
    sley__queue_lock(q);
    struct sley__blocking_job *job = op->at; /* NULL: it has ended, and the node is about to be completed */
    if (job) {
        /* relaxed: a request, which nothing travels with */
        atomic_store_explicit(&job->cancelled, 1, memory_order_relaxed);
        if (job->queued && !(job->flags & SLEY_BLOCKING_MUST_RUN)) {
            sley__queue_remove(q, job);
            sley__pool_free_job(op->pool, job);
            verdict = -ECANCELED;
        } else if (job->flags & SLEY_BLOCKING_ABANDON) {
            job->op = NULL;
            op->at = NULL;
            verdict = -EINPROGRESS;
        }
    }
    sley__queue_unlock(q);
    if (verdict < 0) {
        sley__pool_complete(op, verdict);
    }
}

static const struct sley_wait_ops wait_ops = {.version = SLEY_WAIT_VERSION, .name = "blocking job", .cancel = cancel};

/** The job of an op, in memory of its own if it may be abandoned. Returns: 0; -ENOMEM. */
static int make_job(struct sley_blocking_op *op, const struct sley_blocking_how *how, const struct sley_blocking_call *call)
{
    struct sley__blocking_job *job = &op->job;
    const struct sley_sched *s = sley__self;
    const size_t bytes = how->flags & SLEY_BLOCKING_ABANDON ? sizeof *job + how->arg_bytes : 0;
    if (bytes > 0 && (job = sley_alloc_get(op->pool->opts.alloc, bytes, _Alignof(max_align_t))) == NULL) {
        return -ENOMEM;
    }
    *job = (struct sley__blocking_job){.fn = call->fn, .arg = call->arg, .op = op, .flags = (uint8_t)how->flags};
    job->name = how->name ? how->name : s && s->current ? sley_task_name(s->current) : "thread";
    job->copied_bytes = (uint32_t)bytes;
    if (how->arg_bytes > 0) {
        job->arg = memcpy(job + 1, call->arg, how->arg_bytes);
    }
    op->at = job;
    return 0;
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
    const bool wrong =
        !call->fn || how->flags > SLEY__BLOCKING_KNOWN || (how->arg_bytes > 0 && (!call->arg || !(how->flags & SLEY_BLOCKING_ABANDON)));
    const int rc = wrong ? -EINVAL : !p ? (sley__self ? -ENOTSUP : 0) : sley__pool_inherited(p) ? -EOWNERDEAD : make_job(op, how, call);
    if (rc == 0 && p) {
        return true;
    }
    if (rc == 0) { /* a thread that may block, and no pool: here and now */
        int unheard;
        *(call->ret_result ? call->ret_result : &unheard) = call->fn(call->arg);
    }
    sley_wait_finish(&op->wait, rc);
    return false;
}

/** With the lock held: into the queue, or done at once. */
static void enter(struct sley_blocking_op *op)
{
    struct sley__blocking_queue *q = &op->pool->queue;
    const bool full = sley__queue_count(q) >= q->queue_max || q->thread_max == 0;
    const int rc = q->stopping ? -ECANCELED : (op->at->flags & SLEY_BLOCKING_TRY) && full ? -EAGAIN : 0;
    if (rc < 0) {
        sley__pool_free_job(op->pool, op->at);
        op->at = NULL;
        sley_wait_finish(&op->wait, rc);
        return;
    }
    struct sley_sched *s = sley__self;
    op->home = s && (s->ops->caps & SLEY_SCHED_CAP_HOME) ? s : NULL;
    if (op->home) {
        sley_sched_hold(s);
        s->grace = q->alone ? SLEY_GRACE_YIELD : SLEY_GRACE_SPIN;
    }
    sley_wait_arm(&op->wait);
    sley__queue_put(q, op->at);
}

void sley_blocking_batch_start(struct sley_blocking_op *ops, const struct sley_blocking_how *how,
                               const struct sley_blocking_call *calls, size_t count)
{
    how = how ? how : &(const struct sley_blocking_how){0};
    struct sley_blocking_pool *p = how->pool ? how->pool : sley__self ? sley__self->blocking : NULL;
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

int sley_blocking_batch(struct sley_blocking_op *ops, const struct sley_blocking_how *how, const struct sley_blocking_call *calls,
                        size_t count)
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
    return sley_blocking_batch(&op, how, &(struct sley_blocking_call){fn, arg, ret_result}, 1);
}

void sley_blocking_start(struct sley_blocking_op *op, sley_blocking_fn fn, void *arg, int *ret_result)
{
    sley_blocking_with_start(op, NULL, fn, arg, ret_result);
}

int sley_blocking(sley_blocking_fn fn, void *arg, int *ret_result)
{
    return sley_blocking_with(NULL, fn, arg, ret_result);
}
