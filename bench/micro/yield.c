/* Yielding: one task alone, and a thousand in turn. */
#include <stdlib.h>

#include "micro.h"

struct yielder {
    struct sley_frame frame;
    uint64_t left;
};
static enum sley_step yielder_frame(struct yielder *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (; f->left > 0; f->left--) {
        SLEY_YIELD(f, rc);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
    }
    SLEY_END(f);
}
SLEY_FRAME(yielder_frame, struct yielder)

struct yielder_args {
    uint64_t left;
};
static int yielder_fiber(struct yielder_args *a)
{
    for (; a->left > 0; a->left--) {
        const int rc = sley_yield();
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}
SLEY_FIBER(yielder_fiber, struct yielder_args)

struct yields {
    struct sley_frame frame;
    uint64_t n;
    struct sley_task **tasks;
    uint32_t task_count;
    struct micro_join join;
};

static enum sley_step yields_frame(struct yields *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (uint32_t i = 0; i < f->task_count; i++) {
        rc = SLEY_SPAWN_TASK(&f->tasks[i], NULL, yielder_frame, .left = f->n / f->task_count);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
    }
    f->join.tasks = f->tasks;
    f->join.count = f->task_count;
    SLEY_RUN(f, rc, micro_join_frame, &f->join);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(yields_frame, struct yields)

static int yields_fiber(struct yields *a)
{
    for (uint32_t i = 0; i < a->task_count; i++) {
        const int rc = SLEY_SPAWN_TASK(&a->tasks[i], NULL, yielder_fiber, .left = a->n / a->task_count);
        if (rc < 0) {
            return rc;
        }
    }
    return micro_join_fiber(a->tasks, a->task_count, NULL);
}
SLEY_FIBER(yields_fiber, struct yields)

static int yields(struct micro *m, uint32_t task_count, uint64_t n)
{
    struct yields args = {.n = n, .task_count = task_count, .tasks = malloc(task_count * sizeof *args.tasks)};
    if (!args.tasks) {
        return -ENOMEM;
    }
    const int rc = micro_run(m, &yields_frame__type, &yields_fiber__type, &args);
    free(args.tasks);
    return rc;
}

int micro_yield_1(struct micro *m, uint64_t n)
{
    return yields(m, 1, n);
}

int micro_yield_1000(struct micro *m, uint64_t n)
{
    return yields(m, 1000, n);
}
