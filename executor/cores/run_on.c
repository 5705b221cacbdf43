/* Calls on another core's thread. The op travels as a post; who starts it and who cancels it meet in `stage`. */
#include "core.h"

enum { STAGE_QUEUED, STAGE_BEGUN, STAGE_CANCELLED };

static struct sley_run_on_op *op_of(struct sley_wait *w)
{
    return sley_container_of(w, struct sley_run_on_op, wait);
}

static void call(struct sley_run_on_op *op)
{
    const int result = op->fn(op->arg);
    if (op->ret_result) {
        *op->ret_result = result;
    }
}

static void arrived(struct sley_post *post)
{
    struct sley_run_on_op *op = sley_container_of(post, struct sley_run_on_op, post);
    struct sley_core *c = op->core;
    uint32_t stage = STAGE_QUEUED;
    /* relaxed: the op itself came through the inbox; a cancel carries nothing */
    if (!atomic_compare_exchange_strong_explicit(&op->stage, &stage, STAGE_BEGUN, memory_order_relaxed, memory_order_relaxed)) {
        sley_wait_complete(&op->wait, -ECANCELED);
        return;
    }
    const uint32_t live = c->sched->root->live_count;
    call(op);
    if (c->sched->root->live_count != live) {
        sley__core_moved(c); /* it has spawned */
    }
    sley_wait_complete(&op->wait, 0);
}

/** Only marks it: the post is in the core's inbox and comes back from there. */
static void run_on_cancel(struct sley_wait *w)
{
    uint32_t stage = STAGE_QUEUED;
    /* relaxed: nothing travels with it; who comes first wins */
    (void)atomic_compare_exchange_strong_explicit(&op_of(w)->stage, &stage, STAGE_CANCELLED, memory_order_relaxed, memory_order_relaxed);
}

static const struct sley_wait_ops run_on_ops = {
    .version = SLEY_WAIT_VERSION,
    .name = "cores.run_on",
    .cancel = run_on_cancel,
};

void sley_run_on_start(struct sley_run_on_op *op, struct sley_core *core, int (*fn)(void *arg), void *arg, int *ret_result)
{
    if (!sley_wait_begin(&op->wait, &run_on_ops)) {
        return;
    }
    if (!core || !fn) {
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    op->core = core;
    op->fn = fn;
    op->arg = arg;
    op->ret_result = ret_result;
    op->post.fn = arrived;
    /* relaxed: the post publishes the op */
    atomic_store_explicit(&op->stage, STAGE_QUEUED, memory_order_relaxed);
    if (core == sley__core_here()) {
        call(op);
        sley_wait_finish(&op->wait, 0);
        return;
    }
    /* acquire: pairs with sley__cores_stop: whoever finds it ended finds all tasks done */
    if (atomic_load_explicit(&core->all->ended, memory_order_acquire)) {
        sley_wait_finish(&op->wait, -ESHUTDOWN);
        return;
    }
    sley_wait_arm(&op->wait);
    if (!sley_sched_post(core->sched, &op->post)) {
        sley_wait_complete(&op->wait, -ESHUTDOWN);
    }
}

int sley_run_on(struct sley_core *core, int (*fn)(void *arg), void *arg, int *ret_result)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    struct sley_run_on_op op = {.core = NULL};
    sley_run_on_start(&op, core, fn, arg, ret_result);
    return sley_await(&op.wait);
}
