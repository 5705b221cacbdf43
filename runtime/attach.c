/* A runtime inside an event loop of the application's: which parts can, and what the loop calls. */
#include "parts.h"

#include <stdio.h>

/* Resumes in one turn, at least: as many as an executor makes between two looks of its own. */
enum { BATCH = 64 };

/** What only who drives may look at: for a moment it is this thread, between turns. False: another one does, and rings behind it. */
static bool look_in(struct sley_sched *s, uint32_t *ret_ready, uint32_t *ret_live)
{
    /* acquire: observes what a thread that has spawned has done; pairs with the executor's leave */
    if (atomic_exchange_explicit(&s->driven, 1, memory_order_acquire)) {
        return false;
    }
    *ret_ready = s->ready_count;
    *ret_live = s->root->live_count;
    /* release: pairs with the executor's enter */
    atomic_store_explicit(&s->driven, 0, memory_order_release);
    return true;
}

static int turn(struct sley_driven *driven, uint64_t *ret_next_ns)
{
    const struct sley_runtime *rt = sley_container_of(driven, struct sley_runtime, driven);
    struct sley_executor *ex = rt->executor;
    uint32_t ready, alive;
    if (!look_in(ex->ops->sched(ex), &ready, &alive)) {
        return -EBUSY;
    }
    const int rc = ex->ops->turn(ex, ready > BATCH ? ready : BATCH, ret_next_ns);
    return rc < 0 ? rc : rc == SLEY_TURN_PREEMPTED;
}

static bool live(struct sley_driven *driven)
{
    const struct sley_runtime *rt = sley_container_of(driven, struct sley_runtime, driven);
    uint32_t ready, alive;
    return !look_in(rt->executor->ops->sched(rt->executor), &ready, &alive) || alive > 0;
}

static int refuse(const struct sley_runtime_opts *o, const char *why)
{
    if (o->ret_error && o->error_bytes) {
        (void)snprintf(o->ret_error, o->error_bytes, "a runtime cannot be attached %s", why);
    }
    return -EINVAL;
}

int sley__attach_check(const struct sley_runtime_opts *o, const struct sley_executor *ex)
{
    const struct sley_attach *at = &o->attach;
    if (!at->ops) {
        return at->loop ? refuse(o, "to a loop of no kind") : 0;
    }
    if (!at->loop) {
        return refuse(o, "to no loop");
    }
    if (o->clock) {
        return refuse(o, "with a clock of its own: the loop's time is the machine's");
    }
    return at->ops->version < 1 || !ex->ops->turn ? refuse(o, "with this executor, which has workers of its own") : 0;
}

void sley__attach_start(struct sley_runtime *rt, const struct sley_attach *attach)
{
    rt->attach = *attach;
    if (attach->ops) {
        rt->driven = (struct sley_driven){.turn = turn, .live = live};
        attach->ops->drive(rt->executor->ops->sched(rt->executor)->reactor, &rt->driven);
    }
}

int sley__attach_may_run(const struct sley_runtime *rt)
{
    const struct sley_attach_ops *ops = rt->attach.ops;
    return ops && rt->executor && ops->inside(rt->executor->ops->sched(rt->executor)->reactor) ? -EDEADLK : 0;
}

void sley__attach_again(const struct sley_runtime *rt)
{
    const struct sley_attach_ops *ops = rt->attach.ops;
    if (ops && rt->executor) {
        ops->again(rt->executor->ops->sched(rt->executor)->reactor);
    }
}
