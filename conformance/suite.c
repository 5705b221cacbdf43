/* What the clauses of executors share: starting one, running tasks on it, ending it. */
#include <sched.h>

#include <sley/fiber.h>

#include "suite.h"

struct sley_executor *sley__suite_start(const struct sley_conformance_executor *x)
{
    struct sley_executor *ex = x->create();
    CHECK_PTR(ex, !=, NULL);
    CHECK_RC(sley_executor_check(ex->ops), 0);
    const struct sley_executor_config config = {.alloc = sley__kit_alloc(), .reactors = x->reactors, .worker_count = x->worker_count};
    CHECK_RC(ex->ops->start(ex, &config), 0);
    return ex;
}

void sley__suite_end(const struct sley_conformance_executor *x, struct sley_executor *ex)
{
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
    CHECK_RC(ex->ops->fini(ex), 0); /* twice is fine */
    x->destroy(ex);
}

struct sley_task *sley__suite_spawn(struct sley_executor *ex, const struct sley_task_type *type, const void *args)
{
    struct sley_task *t = NULL;
    CHECK_RC(ex->ops->spawn(ex, type, args, &t), 0);
    return t;
}

int sley__suite_run(struct sley_executor *ex, const struct sley_task_type *type, const void *args)
{
    int result = 1 << 30;
    struct sley_task *t = sley__suite_spawn(ex, type, args);
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    sley_task_unref(t);
    return result;
}

static int yield_once(struct suite_none *a)
{
    (void)a;
    return sley_yield();
}
SLEY_FIBER(yield_once, struct suite_none)

void sley__suite_drive(struct sley_executor *ex)
{
    if (ex->ops->caps & SLEY_EXECUTOR_CAP_WORKERS) {
        (void)sched_yield();
    } else if (ex->ops->turn) {
        CHECK_INT(ex->ops->turn(ex, 0, NULL), >=, 0);
    } else {
        struct sley_task *t = NULL;
        const int rc = ex->ops->spawn(ex, &yield_once__type, NULL, &t);
        CHECK_RC(rc == -ESHUTDOWN ? ex->ops->stop(ex, SLEY_NEVER) : rc < 0 ? rc : ex->ops->run(ex, t), 0);
        sley_task_unref(t);
    }
}

void sley__suite_drive_until(struct sley_executor *ex, const SLEY_ATOMIC(unsigned) * word, unsigned count)
{
    while (atomic_load_explicit(word, memory_order_acquire) < count) { /* acquire: pairs with the release of the tasks that count */
        sley__suite_drive(ex);
    }
}
