/* A user of sley-shares without a reactor: a task in a queue of its own sleeps, a task joins it. */
#include <sley/fiber.h>
#include <sley/shares.h>

#include <stdio.h>

struct nap {
    int ms;
};

static int nap(struct nap *n)
{
    const int rc = sley_sleep((uint64_t)n->ms * SLEY_MS);
    return rc < 0 ? rc : n->ms;
}
SLEY_FIBER(nap, struct nap)

static int parent(void *unused)
{
    struct sley_task *t;
    int result = 0;
    (void)unused;
    int rc = SLEY_SPAWN_TASK(&t, NULL, nap, .ms = 3);
    if (rc == 0) {
        rc = sley_task_join(t, &result);
        sley_task_unref(t);
    }
    return rc < 0 ? rc : result;
}
SLEY_FIBER(parent, void)

int main(void)
{
    struct sley_shares ex;
    struct sley_task *t;
    int result = -1;
    if (sley_shares_init(&ex, NULL) != 0) {
        return 1;
    }
    const struct sley_executor_ops *ops = ex.base.ops;
    if (ops->start(&ex.base, &(struct sley_executor_config){0}) != 0 || ops->spawn(&ex.base, &parent__type, NULL, &t) != 0 ||
        ops->run(&ex.base, t) != 0 || sley_task_result(t, &result) != 0) {
        return 1;
    }
    sley_task_unref(t);
    if (ops->stop(&ex.base, SLEY_NEVER) != 0 || ops->fini(&ex.base) != 0 || result != 3) {
        return 1;
    }
    puts("works");
    return 0;
}
