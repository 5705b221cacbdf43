/* ping_pong_oneshot: 1000 pairs of tasks at a time; each pair makes one round trip over two oneshots. */
#include <stdlib.h>

#include "micro.h"

#include <sley/oneshot.h>

enum { BATCH = 1000 };

SLEY_ONESHOT_TYPE(shot, uint64_t)

/* ---- the second of a pair: answers ---------------------------------------------------------------------------------- */

struct answerer {
    struct sley_frame frame;
    struct shot *from, *to;
    uint64_t value;
    struct sley_oneshot_op op;
};
static enum sley_step answerer_frame(struct answerer *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, shot_recv, &f->op, f->from, &f->value);
    if (rc != 1) {
        SLEY_RETURN(f, rc < 0 ? rc : -EPROTO);
    }
    f->value++;
    SLEY_RETURN(f, shot_send(f->to, &f->value));
    SLEY_END(f);
}
SLEY_FRAME(answerer_frame, struct answerer)

struct answerer_args {
    struct shot *from, *to;
};
static int answerer_fiber(struct answerer_args *a)
{
    uint64_t value;
    const int rc = shot_recv(a->from, &value);
    if (rc != 1) {
        return rc < 0 ? rc : -EPROTO;
    }
    value++;
    return shot_send(a->to, &value);
}
SLEY_FIBER(answerer_fiber, struct answerer_args)

/* ---- the first: asks --------------------------------------------------------------------------------------------------- */

struct asker {
    struct sley_frame frame;
    uint64_t value, answer;
    struct shot there, back;
    struct sley_task *other;
    int result;
    union {
        struct sley_oneshot_op recv;
        struct sley_task_join_op join;
    } op;
};
static enum sley_step asker_frame(struct asker *f)
{
    int rc;
    SLEY_BEGIN(f);
    rc = shot_init(&f->there);
    if (rc == 0) {
        rc = shot_init(&f->back);
    }
    if (rc == 0) {
        rc = SLEY_SPAWN_TASK(&f->other, NULL, answerer_frame, .from = &f->there, .to = &f->back);
    }
    if (rc < 0) {
        SLEY_RETURN(f, rc);
    }
    rc = shot_send(&f->there, &f->value);
    if (rc < 0) {
        sley_oneshot_close_send(&f->there.base); /* the other ends, too */
    }
    SLEY_CALL(f, rc, shot_recv, &f->op.recv, &f->back, &f->answer);
    if (rc != 1 || f->answer != f->value + 1) {
        f->answer = 0;
    }
    f->op.join.wait.word = 0; /* the two ops take turns in one place */
    SLEY_CALL(f, rc, sley_task_join, &f->op.join, f->other, &f->result);
    sley_task_unref(f->other);
    shot_fini(&f->back, NULL);
    shot_fini(&f->there, NULL);
    SLEY_RETURN(f, rc < 0 ? rc : f->answer == 0 ? -EPROTO : f->result);
    SLEY_END(f);
}
SLEY_FRAME(asker_frame, struct asker)

struct asker_args {
    uint64_t value;
};
static int asker_fiber(struct asker_args *a)
{
    struct shot there, back;
    struct sley_task *other;
    uint64_t answer = 0;
    int result;
    int rc = shot_init(&there);
    if (rc == 0) {
        rc = shot_init(&back);
    }
    if (rc == 0) {
        rc = SLEY_SPAWN_TASK(&other, NULL, answerer_fiber, .from = &there, .to = &back);
    }
    if (rc < 0) {
        return rc;
    }
    rc = shot_send(&there, &a->value);
    if (rc < 0) {
        sley_oneshot_close_send(&there.base); /* the other ends, too */
    }
    const int got = shot_recv(&back, &answer);
    rc = sley_task_join(other, &result);
    sley_task_unref(other);
    shot_fini(&back, NULL);
    shot_fini(&there, NULL);
    return rc < 0 ? rc : got != 1 || answer != a->value + 1 ? -EPROTO : result;
}
SLEY_FIBER(asker_fiber, struct asker_args)

/* ---- all of them -------------------------------------------------------------------------------------------------------- */

struct shots {
    struct sley_frame frame;
    uint64_t n, batch;
    struct sley_task **tasks;
    struct micro_join join;
};
static enum sley_step shots_frame(struct shots *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->batch = 0; f->batch < f->n / BATCH; f->batch++) {
        for (uint64_t i = 0; i < BATCH; i++) {
            rc = SLEY_SPAWN_TASK(&f->tasks[i], NULL, asker_frame, .value = i);
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
    }
    SLEY_END(f);
}
SLEY_FRAME(shots_frame, struct shots)

static int shots_fiber(struct shots *a)
{
    int rc = 0;
    for (uint64_t batch = 0; batch < a->n / BATCH && rc == 0; batch++) {
        uint32_t count = 0;
        while (count < BATCH && (rc = SLEY_SPAWN_TASK(&a->tasks[count], NULL, asker_fiber, .value = count)) == 0) {
            count++;
        }
        const int joined = micro_join_fiber(a->tasks, count, NULL);
        rc = rc < 0 ? rc : joined;
    }
    return rc;
}
SLEY_FIBER(shots_fiber, struct shots)

int micro_ping_pong_oneshot(struct micro *m, uint64_t n)
{
    struct shots args = {.n = n, .tasks = malloc(BATCH * sizeof *args.tasks)};
    if (!args.tasks) {
        return -ENOMEM;
    }
    const int rc = micro_run(m, &shots_frame__type, &shots_fiber__type, &args);
    free(args.tasks);
    return rc;
}
