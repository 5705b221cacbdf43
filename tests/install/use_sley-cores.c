/* A user of sley-cores: a task on each of two cores calls the other. */
#include <sley/cores.h>
#include <sley/fiber.h>

#include <stdio.h>

static int where(void *unused)
{
    (void)unused;
    return sley_cores_here();
}

struct caller {
    int core;
};

static int call_other(struct caller *c)
{
    int result = -1;
    const int rc = sley_run_on(sley_cores_at(sley_cores_current(), (uint32_t)!c->core), where, NULL, &result);
    return rc < 0 ? rc : result;
}
SLEY_FIBER(call_other, struct caller)

int main(void)
{
    struct sley_cores ex;
    struct sley_workers_opts opts = {.stack_bytes = 0};
    int good = sley_workers_place(&opts, "unbound") == 0;
    sley_cores_init(&ex, &opts);
    const struct sley_executor_ops *ops = ex.base.ops;
    if (!good || ops->start(&ex.base, &(struct sley_executor_config){.worker_count = 2}) != 0) {
        return 1;
    }
    for (int core = 0; core < 2; core++) {
        struct sley_task *t;
        int result = -1;
        if (sley_cores_spawn_on(&ex, (uint32_t)core, &call_other__type, &(struct caller){core}, &t) != 0 ||
            ops->run(&ex.base, t) != 0 || sley_task_result(t, &result) != 0) {
            return 1;
        }
        sley_task_unref(t);
        good &= result == !core;
    }
    if (ops->stop(&ex.base, SLEY_NEVER) != 0 || ops->fini(&ex.base) != 0 || !good) {
        return 1;
    }
    puts("works");
    return 0;
}
