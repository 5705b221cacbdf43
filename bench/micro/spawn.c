/* Spawning: trivial tasks joined in batches, a chain, a tree. */
#include <stdlib.h>

#include "micro.h"

#include <sley/oneshot.h>

enum { BATCH = 1000 };

/* ---- spawn_join: batches of 1000 trivial tasks, each batch joined before the next ---------------------------------- */

struct leaf {
    struct sley_frame frame;
    uint32_t value;
};
static enum sley_step leaf_frame(struct leaf *f)
{
    SLEY_RETURN(f, (int)(f->value & INT32_MAX));
}
SLEY_FRAME(leaf_frame, struct leaf)

struct leaf_value {
    uint32_t value;
};
static int leaf_fiber(struct leaf_value *a)
{
    return (int)(a->value & INT32_MAX);
}
SLEY_FIBER(leaf_fiber, struct leaf_value)

struct spawn_join {
    struct sley_frame frame;
    uint64_t n, batch;
    int64_t sum;
    struct sley_task **tasks;
    struct micro_join join;
};

static enum sley_step spawn_join_frame(struct spawn_join *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->batch = 0; f->batch < f->n / BATCH; f->batch++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            rc = SLEY_SPAWN_TASK(&f->tasks[i], NULL, leaf_frame, .value = (uint32_t)f->batch ^ i);
            if (rc < 0) {
                SLEY_RETURN(f, rc);
            }
        }
        f->join.tasks = f->tasks;
        f->join.count = BATCH;
        SLEY_RUN(f, rc, micro_join_frame, &f->join);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
        f->sum += f->join.sum;
    }
    SLEY_RETURN(f, f->sum < 0 ? -EPROTO : 0);
    SLEY_END(f);
}
SLEY_FRAME(spawn_join_frame, struct spawn_join)

static int spawn_join_fiber(struct spawn_join *a)
{
    for (uint64_t batch = 0; batch < a->n / BATCH; batch++) {
        int64_t sum;
        int rc = 0;
        for (uint32_t i = 0; i < BATCH && rc == 0; i++) {
            rc = SLEY_SPAWN_TASK(&a->tasks[i], NULL, leaf_fiber, .value = (uint32_t)batch ^ i);
        }
        if (rc == 0) {
            rc = micro_join_fiber(a->tasks, BATCH, &sum);
        }
        if (rc < 0) {
            return rc;
        }
        a->sum += sum;
    }
    return a->sum < 0 ? -EPROTO : 0;
}
SLEY_FIBER(spawn_join_fiber, struct spawn_join)

int micro_spawn_join(struct micro *m, uint64_t n)
{
    struct spawn_join args = {.n = n, .tasks = malloc(BATCH * sizeof *args.tasks)};
    if (!args.tasks) {
        return -ENOMEM;
    }
    const int rc = micro_run(m, &spawn_join_frame__type, &spawn_join_fiber__type, &args);
    free(args.tasks);
    return rc;
}

/* ---- chained_spawn: each task spawns the next --------------------------------------------------------------------- */

/* The last of the chain tells the first. */
SLEY_ONESHOT_TYPE(chain_end, uint32_t)
static const uint32_t lucky = 7;

struct chain {
    struct sley_frame frame;
    uint64_t left;
    struct chain_end *end;
};
static int chain_frame_next(const struct chain *f);
static enum sley_step chain_frame(struct chain *f)
{
    SLEY_RETURN(f, f->left == 0 ? chain_end_send(f->end, &lucky) : chain_frame_next(f));
}
SLEY_FRAME(chain_frame, struct chain)
static int chain_frame_next(const struct chain *f)
{
    const int rc = SLEY_SPAWN(NULL, chain_frame, .left = f->left - 1, .end = f->end);
    if (rc < 0) {
        sley_oneshot_close_send(&f->end->base);
    }
    return rc;
}

struct chain_args {
    uint64_t left;
    struct chain_end *end;
};
static int chain_fiber_next(const struct chain_args *a);
static int chain_fiber(struct chain_args *a)
{
    return a->left == 0 ? chain_end_send(a->end, &lucky) : chain_fiber_next(a);
}
SLEY_FIBER(chain_fiber, struct chain_args)
static int chain_fiber_next(const struct chain_args *a)
{
    const int rc = SLEY_SPAWN(NULL, chain_fiber, .left = a->left - 1, .end = a->end);
    if (rc < 0) {
        sley_oneshot_close_send(&a->end->base);
    }
    return rc;
}

struct chained {
    struct sley_frame frame;
    uint64_t n;
    struct chain_end *end;
    uint32_t value;
    struct sley_oneshot_op op;
};
static enum sley_step chained_frame(struct chained *f)
{
    int rc;
    SLEY_BEGIN(f);
    rc = SLEY_SPAWN(NULL, chain_frame, .left = f->n - 1, .end = f->end);
    if (rc < 0) {
        SLEY_RETURN(f, rc);
    }
    SLEY_CALL(f, rc, chain_end_recv, &f->op, f->end, &f->value);
    SLEY_RETURN(f, rc < 0 ? rc : rc == 1 && f->value == lucky ? 0 : -EPROTO);
    SLEY_END(f);
}
SLEY_FRAME(chained_frame, struct chained)

static int chained_fiber(struct chained *a)
{
    int rc = SLEY_SPAWN(NULL, chain_fiber, .left = a->n - 1, .end = a->end);
    if (rc < 0) {
        return rc;
    }
    rc = chain_end_recv(a->end, &a->value);
    return rc < 0 ? rc : rc == 1 && a->value == lucky ? 0 : -EPROTO;
}
SLEY_FIBER(chained_fiber, struct chained)

int micro_chained_spawn(struct micro *m, uint64_t n)
{
    struct chain_end end;
    int rc = chain_end_init(&end);
    if (rc == 0) {
        rc = micro_run(m, &chained_frame__type, &chained_fiber__type, &(struct chained){.n = n, .end = &end});
        chain_end_fini(&end, NULL);
    }
    return rc;
}
