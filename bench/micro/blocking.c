/* Empty jobs on the blocking pool: one after another from one task, or from 100 tasks at a time. */
#include "micro.h"

#include <sley/blocking.h>

static int job(void *arg)
{
    const uint64_t *i = arg;
    return (int)(*i & 0xffff);
}

struct asker {
    struct sley_frame frame;
    uint64_t n, i;
    int result;
    struct sley_blocking_op op;
};
static enum sley_step asker_frame(struct asker *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->i = 0; f->i < f->n; f->i++) {
        SLEY_CALL(f, rc, sley_blocking, &f->op, job, &f->i, &f->result);
        if (rc < 0 || f->result != (int)(f->i & 0xffff)) {
            SLEY_RETURN(f, rc < 0 ? rc : -EPROTO);
        }
    }
    SLEY_END(f);
}
SLEY_FRAME(asker_frame, struct asker)

struct asker_args {
    uint64_t n;
};
static int asker_fiber(struct asker_args *a)
{
    for (uint64_t i = 0; i < a->n; i++) {
        int result;
        const int rc = sley_blocking(job, &i, &result);
        if (rc < 0 || result != (int)(i & 0xffff)) {
            return rc < 0 ? rc : -EPROTO;
        }
    }
    return 0;
}
SLEY_FIBER(asker_fiber, struct asker_args)

enum { TASKS_MAX = 100 };

struct askers {
    struct sley_frame frame;
    uint64_t n;
    uint32_t count;
    struct sley_task *tasks[TASKS_MAX];
    struct micro_join join;
};
static enum sley_step askers_frame(struct askers *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (uint32_t i = 0; i < f->count; i++) {
        rc = SLEY_SPAWN_TASK(&f->tasks[i], NULL, asker_frame, .n = f->n / f->count);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
    }
    f->join.tasks = f->tasks;
    f->join.count = f->count;
    SLEY_RUN(f, rc, micro_join_frame, &f->join);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(askers_frame, struct askers)

static int askers_fiber(struct askers *a)
{
    int rc = 0;
    uint32_t count = 0;
    while (count < a->count && (rc = SLEY_SPAWN_TASK(&a->tasks[count], NULL, asker_fiber, .n = a->n / a->count)) == 0) {
        count++;
    }
    const int joined = micro_join_fiber(a->tasks, count, NULL);
    return rc < 0 ? rc : joined;
}
SLEY_FIBER(askers_fiber, struct askers)

int micro_blocking_seq(struct micro *m, uint64_t n)
{
    return micro_run(m, &askers_frame__type, &askers_fiber__type, &(struct askers){.n = n, .count = 1});
}

int micro_blocking_100(struct micro *m, uint64_t n)
{
    return micro_run(m, &askers_frame__type, &askers_fiber__type, &(struct askers){.n = n, .count = TASKS_MAX});
}
