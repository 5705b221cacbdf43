/* A user of sley-stealing: a pool of two workers runs a task. */
#include <stdio.h>

#include <sley/fiber.h>
#include <sley/stealing.h>

static int answer(void *unused)
{
    (void)unused;
    return 42;
}
SLEY_FIBER(answer, void)

int main(void)
{
    struct sley_stealing ex;
    sley_stealing_init(&ex, NULL);
    const struct sley_executor_config config = {.worker_count = 2};
    struct sley_task *t;
    int result = 0;
    if (ex.base.ops->start(&ex.base, &config) < 0 || ex.base.ops->spawn(&ex.base, &answer__type, NULL, &t) < 0 ||
        ex.base.ops->run(&ex.base, t) < 0 || sley_task_result(t, &result) < 0) {
        return 1;
    }
    sley_task_unref(t);
    if (ex.base.ops->stop(&ex.base, SLEY_NEVER) < 0 || ex.base.ops->fini(&ex.base) < 0 || result != 42) {
        return 1;
    }
    return puts("works") < 0;
}
