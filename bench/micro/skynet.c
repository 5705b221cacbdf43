/* skynet: a 10-ary tree of tasks whose leaves' numbers are summed up, each parent joining its ten children. */
#include "micro.h"

enum { FANOUT = 10 };

/* ---- frames ----------------------------------------------------------------------------------------------------- */

struct leaf {
    struct sley_frame frame;
    uint64_t number;
    uint64_t *ret_sum; /* a task's result is an int, the sum of a million leaves is not */
};
static enum sley_step leaf_frame(struct leaf *f)
{
    SLEY_BEGIN(f);
    *f->ret_sum = f->number;
    SLEY_END(f);
}
SLEY_FRAME(leaf_frame, struct leaf)

/* A type of its own, so that a leaf's task stays small; what the peers keep in vectors of handles and boxes is in here. */
struct node {
    struct sley_frame frame;
    uint64_t first, size;
    uint64_t *ret_sum;
    int failed;
    struct sley_task *tasks[FANOUT];
    uint64_t sums[FANOUT];
    struct micro_join join;
};
static int node_frame_spawn(struct node *f, uint32_t i);
static enum sley_step node_frame(struct node *f)
{
    int rc;
    SLEY_BEGIN(f);
    rc = 0;
    while (f->join.count < FANOUT && (rc = node_frame_spawn(f, f->join.count)) == 0) {
        f->join.count++;
    }
    f->failed = rc;
    f->join.tasks = f->tasks;
    SLEY_RUN(f, rc, micro_join_frame, &f->join); /* in any case: they write to this frame */
    if (f->failed < 0 || rc < 0) {
        SLEY_RETURN(f, f->failed < 0 ? f->failed : rc);
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < FANOUT; i++) {
        sum += f->sums[i];
    }
    *f->ret_sum = sum;
    SLEY_END(f);
}
SLEY_FRAME(node_frame, struct node)
static int node_frame_spawn(struct node *f, uint32_t i)
{
    const uint64_t size = f->size / FANOUT, first = f->first + i * size;
    return size == 1 ? SLEY_SPAWN_TASK(&f->tasks[i], NULL, leaf_frame, .number = first, .ret_sum = &f->sums[i])
                     : SLEY_SPAWN_TASK(&f->tasks[i], NULL, node_frame, .first = first, .size = size, .ret_sum = &f->sums[i]);
}

/* ---- fibers ----------------------------------------------------------------------------------------------------- */

struct node_args {
    uint64_t first, size;
    uint64_t *ret_sum;
};
static int node_fiber_spawn(const struct node_args *a, uint32_t i, struct sley_task **ret_task, uint64_t *ret_sum);
static int node_fiber(struct node_args *a)
{
    if (a->size == 1) {
        *a->ret_sum = a->first;
        return 0;
    }
    struct sley_task *tasks[FANOUT];
    uint64_t sums[FANOUT], sum = 0;
    uint32_t count = 0;
    int rc = 0;
    while (count < FANOUT && (rc = node_fiber_spawn(a, count, &tasks[count], &sums[count])) == 0) {
        count++;
    }
    const int joined = micro_join_fiber(tasks, count, NULL); /* in any case: they write to this stack */
    if (rc < 0 || joined < 0) {
        return rc < 0 ? rc : joined;
    }
    for (uint32_t i = 0; i < FANOUT; i++) {
        sum += sums[i];
    }
    *a->ret_sum = sum;
    return 0;
}
/* All leaves are alive at once: the smallest stack keeps the address space small. */
SLEY_FIBER_STACK(node_fiber, struct node_args, 16384, NULL)
static int node_fiber_spawn(const struct node_args *a, uint32_t i, struct sley_task **ret_task, uint64_t *ret_sum)
{
    const uint64_t size = a->size / FANOUT;
    return SLEY_SPAWN_TASK(ret_task, NULL, node_fiber, .first = a->first + i * size, .size = size, .ret_sum = ret_sum);
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static int tree(struct micro *m, uint64_t size)
{
    uint64_t sum = 0;
    const struct node frame = {.size = size, .ret_sum = &sum};
    const struct node_args fiber = {.size = size, .ret_sum = &sum};
    const int rc =
        m->style == SLEY_STYLE_FRAME ? micro_run(m, &node_frame__type, NULL, &frame) : micro_run(m, NULL, &node_fiber__type, &fiber);
    return rc < 0 ? rc : sum == size * (size - 1) / 2 ? 0 : -EPROTO;
}

int micro_skynet(struct micro *m, uint64_t n)
{
    uint64_t size = FANOUT;
    while (size * FANOUT <= n) {
        size *= FANOUT;
    }
    if (m->style == SLEY_STYLE_FIBER && size > 100000) {
        size = 100000; /* all leaves are alive at once, and a touched stack is a page: the peers' million would be 4 GB */
    }
    int rc = tree(m, size / FANOUT);
    if (rc == 0) {
        const struct micro_meter meter = micro_meter_start();
        rc = tree(m, size);
        if (rc == 0) {
            micro_meter_done(meter, m, "skynet", size);
        }
    }
    return rc;
}
