/* A task, a sleep, a join. */
#include <sley/sley.h>

static int greet(const char **name)
{
    const int rc = sley_sleep(100 * SLEY_MS);
    return rc < 0 ? rc : printf("hello, %s\n", *name) < 0 ? -EIO : 0;
}
SLEY_FIBER(greet, const char *)

static int hello(void *unused)
{
    (void)unused;
    struct sley_task *task;
    int result, rc = SLEY_SPAWN_TASK(&task, NULL, greet, "world");
    if (rc == 0) {
        rc = sley_task_join(task, &result);
        sley_task_unref(task);
    }
    return rc < 0 ? rc : result;
}
SLEY_FIBER(hello, void)
SLEY_MAIN(hello)
