/* Joining: the joiner registers in the task's header, at home. From elsewhere the op travels there and back through inboxes. */
#include "core.h"

/* stages of an op that travels, in `stage`: bits that only ever get added */
enum {
    STAGE_REMOTE = 1,     /* the task lives elsewhere */
    STAGE_REGISTERED = 2, /* home has seen the op */
    STAGE_CANCEL = 4,     /* the joiner has asked to end */
    STAGE_DONE = 8,       /* home completes it, unless a posted cancel is on its way: then that does */
};

static struct sley_task_join_op *op_of(struct sley_wait *w)
{
    return sley_container_of(w, struct sley_task_join_op, wait);
}

static uint32_t stage_add(struct sley_task_join_op *op, uint32_t bit)
{
    /* acq_rel: joiner and home hand the op to each other here; the last to add a bit acts on it */
    return atomic_fetch_or_explicit(&op->stage, bit, memory_order_acq_rel);
}

static void take_result(struct sley_task *t, int *ret_result)
{
    sley__task_set(t, sley__task_state(t) | SLEY__TASK_JOINED);
    if (ret_result) {
        *ret_result = (int)t->out.result;
    }
}

void sley__join_complete(struct sley_task *t, struct sley_wait *joiner)
{
    struct sley_task_join_op *op = op_of(joiner);
    take_result(t, op->ret_result);
    /* relaxed: REMOTE was set before the op was shown to anybody */
    if (SLEY_LIKELY(!(atomic_load_explicit(&op->stage, memory_order_relaxed) & STAGE_REMOTE)) ||
        !(stage_add(op, STAGE_DONE) & STAGE_CANCEL)) {
        sley_wait_complete(joiner, 0);
    }
}

/** Registers at home. Returns 1 when the joiner has to wait, else the verdict. */
static int join_home(struct sley_task_join_op *op, struct sley_task *t)
{
    const uint32_t state = sley__task_state(t);
    const bool ended = (state & SLEY__TASK_RUN_MASK) == SLEY__TASK_DONE;
    if (SLEY_UNLIKELY(state & SLEY__TASK_JOINED) || (!ended && t->out.joiner)) {
        sley__misuse(t, op->wait.at.site, "a task was joined twice", "one task joins it, once");
        return -EINVAL;
    }
    if (ended) {
        take_result(t, op->ret_result);
        return 0;
    }
    t->out.joiner = &op->wait;
    return 1;
}

static void cancel_home(struct sley_task_join_op *op)
{
    if (!sley_task_done(op->task) && op->task->out.joiner == &op->wait) {
        op->task->out.joiner = NULL;
        sley_wait_complete(&op->wait, -ECANCELED);
    }
}

static void posted_join(struct sley_post *post)
{
    struct sley_task_join_op *op = sley_container_of(post, struct sley_task_join_op, post);
    if (stage_add(op, STAGE_REGISTERED) & STAGE_CANCEL) {
        sley_wait_complete(&op->wait, -ECANCELED);
        return;
    }
    const int rc = join_home(op, op->task);
    if (rc > 0) {
        return;
    }
    op->verdict = rc; /* for a cancel that was asked meanwhile: it completes the op, perhaps at once */
    if (!(stage_add(op, STAGE_DONE) & STAGE_CANCEL)) {
        sley_wait_complete(&op->wait, rc);
    }
}

static void posted_cancel(struct sley_post *post)
{
    struct sley_task_join_op *op = sley_container_of(post, struct sley_task_join_op, post);
    /* relaxed: DONE is added by this thread */
    if (atomic_load_explicit(&op->stage, memory_order_relaxed) & STAGE_DONE) {
        sley_wait_complete(&op->wait, op->verdict); /* the task has ended first: that is the verdict */
    } else {
        cancel_home(op);
    }
}

static void join_cancel(struct sley_wait *w)
{
    struct sley_task_join_op *op = op_of(w);
    if (sley__group(op->task->sched)) {
        if (sley__shared_unjoin(op->task, w)) {
            sley_wait_complete(w, -ECANCELED);
        }
        return;
    }
    /* relaxed: REMOTE was set by this thread */
    if (!(atomic_load_explicit(&op->stage, memory_order_relaxed) & STAGE_REMOTE)) {
        cancel_home(op);
        return;
    }
    const uint32_t before = stage_add(op, STAGE_CANCEL);
    if ((before & STAGE_REGISTERED) && !(before & (STAGE_DONE | STAGE_CANCEL))) {
        op->post.fn = posted_cancel;
        if (!sley__inbox_push(op->task->sched, &op->post.link, SLEY__ITEM_POST)) {
            /* Home is ending, perhaps at this very op; it leaves the verdict to the cancel, and the op alone, once it is DONE.
             * acquire: pairs with stage_add at home; observes the verdict and the task's result */
            while (!(atomic_load_explicit(&op->stage, memory_order_acquire) & STAGE_DONE)) {
                SLEY__RELAX();
            }
            sley_wait_complete(w, op->verdict);
        }
    }
}

static const struct sley_task *join_holder(const struct sley_wait *w)
{
    return ((const struct sley_task_join_op *)(const void *)w)->task;
}

static const struct sley_wait_ops join_ops = {
    .version = SLEY_WAIT_VERSION, .name = "task.join", .cancel = join_cancel, .holder = join_holder};

/** The task lives on another executor, perhaps one that nobody runs any more, or that has ended (then the task has, too). */
static void join_away(struct sley_task_join_op *op, struct sley_task *t)
{
    int result;
    if (sley_task_result(t, &result) == 0) {
        if (op->ret_result) {
            *op->ret_result = result;
        }
        sley_wait_finish(&op->wait, 0);
        return;
    }
    /* relaxed: the push below publishes the op */
    atomic_store_explicit(&op->stage, STAGE_REMOTE, memory_order_relaxed);
    op->post.fn = posted_join;
    op->verdict = 0;
    sley_wait_arm(&op->wait);
    if (!sley__inbox_push(t->sched, &op->post.link, SLEY__ITEM_POST)) {
        while (!sley_task_done(t)) { /* spawned at the last moment: its executor is about to drop it */
        }
        const int rc = join_home(op, t); /* nobody else is left to touch the task */
        sley_wait_complete(&op->wait, rc);
    }
}

void sley_task_join_start(struct sley_task_join_op *op, struct sley_task *t, int *ret_result)
{
    struct sley_sched *s = sley__self;
    if (!sley_wait_begin(&op->wait, &join_ops)) {
        return;
    }
    op->task = t;
    op->ret_result = ret_result;
    if (SLEY_UNLIKELY(!t || (s && s->current == t))) {
        sley_wait_finish(&op->wait, t ? -EDEADLK : -EINVAL);
        return;
    }
    if (SLEY_UNLIKELY(sley__group(t->sched) != NULL)) {
        sley__shared_join(t, &op->wait, ret_result);
        return;
    }
    if (SLEY_UNLIKELY(t->sched != s)) {
        join_away(op, t);
        return;
    }
    /* relaxed: the op stays at home */
    atomic_store_explicit(&op->stage, 0, memory_order_relaxed);
    const int rc = join_home(op, t);
    if (rc <= 0) {
        sley_wait_finish(&op->wait, rc);
    } else {
        sley_wait_arm(&op->wait);
    }
}

int sley_task_join(struct sley_task *t, int *ret_result)
{
    SLEY__DIRECT(struct sley_task_join_op, sley_task_join, t, ret_result);
}
