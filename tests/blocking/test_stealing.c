/* Blocking jobs of tasks that move between workers: their results, cancels and batches, and calls that block in place beside them. */
#include <sched.h>
#include <string.h>

#include <sley/stealing.h>

#include "rig.h"

enum { KINDS = 3 };
static const uint32_t worker_counts[KINDS] = {1, 2, 8};

static void begin(struct sley_runtime *rt, int kind, struct sley_blocking_pool *pool)
{
    const struct sley_runtime_opts o = {.executor_name = "stealing",
                                        .worker_count = worker_counts[kind],
                                        .alloc = harness_alloc(),
                                        .blocking = pool,
                                        .stall_ns = SLEY_NEVER};
    CHECK_RC(sley_runtime_init(rt, &o), 0);
}

/* ---- many at a time ------------------------------------------------------------------------------------------------------- */

enum { TASKS = 50, JOBS = 20 };
static SLEY_ATOMIC(int) jobs_run;

struct asker {
    struct sley_frame frame;
    struct sley_blocking_op op;
    int i, rc, result, value;
};

static int next_number(void *arg)
{
    atomic_fetch_add_explicit(&jobs_run, 1, memory_order_relaxed);
    return *(int *)arg + 1;
}

static enum sley_step asks_in_a_frame(struct asker *f)
{
    SLEY_BEGIN(f);
    for (f->i = 0; f->i < JOBS; f->i++) {
        SLEY_CALL(f, f->rc, sley_blocking, &f->op, next_number, &f->value, &f->result);
        CHECK_RC(f->rc, 0);
        CHECK_INT(f->result, ==, f->value + 1);
        f->value = f->result;
    }
    SLEY_RETURN(f, f->value);
    SLEY_END(f);
}
SLEY_FRAME(asks_in_a_frame, struct asker)

static int asks_in_a_fiber(struct asker *a)
{
    for (int i = 0; i < JOBS; i++) {
        CHECK_RC(sley_blocking(next_number, &a->value, &a->result), 0);
        CHECK_INT(a->result, ==, a->value + 1);
        a->value = a->result;
        if (i % 5 == 0) {
            CHECK_RC(sley_block_in_place(next_number, &a->value, &a->result), 0);
            CHECK_INT(a->result, ==, a->value + 1);
        }
    }
    return a->value;
}
SLEY_FIBER(asks_in_a_fiber, struct asker)

SLEY_TEST(jobs_of_tasks_that_move_come_back_to_them, "")
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct sley_runtime rt;
        struct sley_task *t[TASKS];
        begin(&rt, kind, NULL);
        jobs_run = 0;
        for (int i = 0; i < TASKS; i++) {
            const struct asker a = {.value = i};
            CHECK_RC(sley_runtime_spawn(&rt, i % 2 ? &asks_in_a_fiber__type : &asks_in_a_frame__type, &a, &t[i]), 0);
        }
        for (int i = 0; i < TASKS; i++) {
            int result = 0;
            CHECK_RC(sley_task_join(t[i], &result), 0);
            CHECK_INT(result, ==, i + JOBS);
            sley_task_unref(t[i]);
        }
        CHECK_INT(jobs_run, ==, TASKS * JOBS + TASKS / 2 * ((JOBS + 4) / 5));
        rig_runtime_end(&rt);
    }
}

/* ---- cancels -------------------------------------------------------------------------------------------------------------- */

SLEY_TEST(queued_job_of_a_shared_task_is_cancelled, "BLOCK-04 BLOCK-05")
{
    for (int kind = 0; kind < KINDS * STYLES; kind++) {
        struct sley_runtime rt;
        struct gate gate;
        SLEY_ATOMIC(int) ran = 0;
        struct sley_blocking_pool *pool = rig_pool(0, 1, 0, 0);
        struct ask runs = {.fn = gate_job, .arg = &gate}, waits = {.fn = count_job, .arg = &ran};
        struct rig_stats stats;
        gate_init(&gate);
        begin(&rt, kind / STYLES, pool);
        ask_spawn(&rt, kind % STYLES, &runs);
        gate_wait(&gate, 1);
        ask_spawn(&rt, kind % STYLES, &waits);
        do {
            (void)sched_yield();
            rig_stats(pool, &stats);
        } while (stats.queued_count == 0);
        sley_task_cancel(waits.task);
        CHECK_RC(ask_wait(&rt, &waits), -ECANCELED);
        CHECK_INT(ran, ==, 0);
        sley_task_cancel(runs.task); /* it has begun: its own result comes */
        gate_open(&gate, 1);
        CHECK_RC(ask_wait(&rt, &runs), 0);
        CHECK_INT(runs.result, ==, 0);
        rig_runtime_end(&rt);
        CHECK_RC(sley_blocking_destroy(pool), 0);
    }
}

/* Cancels at any moment: each job ran as often as its task was told. */
static SLEY_ATOMIC(int) told;

static int asks_and_tells(struct asker *a)
{
    for (int i = 0; i < JOBS; i++) {
        const int rc = sley_blocking(next_number, &a->value, &a->result);
        if (rc < 0) {
            CHECK_RC(rc, -ECANCELED);
            return rc;
        }
        atomic_fetch_add_explicit(&told, 1, memory_order_relaxed);
    }
    return 0;
}
SLEY_FIBER(asks_and_tells, struct asker)

SLEY_TEST_SECONDS(shared_tasks_are_cancelled_at_every_stage_of_a_job, "BLOCK-04 BLOCK-05", 60)
{
    for (int round = 0; round < 20; round++) {
        struct sley_runtime rt;
        struct sley_task *t[TASKS];
        begin(&rt, round % KINDS, NULL);
        jobs_run = told = 0;
        for (int i = 0; i < TASKS; i++) {
            CHECK_RC(sley_runtime_spawn(&rt, &asks_and_tells__type, NULL, &t[i]), 0);
        }
        for (int i = 0; i < TASKS; i++) {
            sley_task_cancel(t[harness_rand_below(TASKS)]);
        }
        for (int i = 0; i < TASKS; i++) {
            CHECK_RC(sley_task_join(t[i], NULL), 0);
            sley_task_unref(t[i]);
        }
        CHECK_INT(jobs_run, ==, told);
        rig_runtime_end(&rt);
    }
}

/* ---- batches -------------------------------------------------------------------------------------------------------------- */

struct none_arg {
    char none;
};

static int batches(struct none_arg *unused)
{
    enum { CALLS = 16 };
    (void)unused;
    struct sley_blocking_op ops[CALLS];
    struct sley_blocking_call calls[CALLS];
    int in[CALLS], out[CALLS];
    memset(ops, 0, sizeof ops);
    for (int i = 0; i < CALLS; i++) {
        in[i] = i;
        out[i] = -1;
        calls[i] = (struct sley_blocking_call){next_number, &in[i], &out[i]};
    }
    CHECK_RC(sley_blocking_batch(ops, NULL, calls, CALLS), 0);
    for (int i = 0; i < CALLS; i++) {
        CHECK_INT(out[i], ==, i + 1);
    }
    return 0;
}
SLEY_FIBER(batches, struct none_arg)

SLEY_TEST(batch_of_a_shared_task_is_run_whole, "")
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct sley_runtime rt;
        begin(&rt, kind, NULL);
        for (int i = 0; i < 20; i++) {
            CHECK_RC(sley_runtime_spawn(&rt, &batches__type, NULL, NULL), 0);
        }
        CHECK_RC(sley_runtime_run_all(&rt), 0);
        rig_runtime_end(&rt);
    }
}

/* ---- blocking in place ---------------------------------------------------------------------------------------------------- */

struct meeting {
    SLEY_ATOMIC(int) * inside;
};

/** Returns when two are in it at once. */
static int meet(void *arg)
{
    SLEY_ATOMIC(int) *inside = arg;
    atomic_fetch_add_explicit(inside, 1, memory_order_acq_rel);      /* acq_rel: the two see each other */
    while (atomic_load_explicit(inside, memory_order_acquire) < 2) { /* acquire: as above */
        (void)sched_yield();
    }
    return 3;
}

static int meets_in_a_job(struct meeting *m)
{
    int result = 0;
    CHECK_RC(sley_blocking(meet, m->inside, &result), 0);
    return result;
}
SLEY_FIBER(meets_in_a_job, struct meeting)

/* The worker is given up, so that the task behind it hands its job in, which is what the call in place waits for. */
static int meets_in_place(struct none_arg *unused)
{
    (void)unused;
    SLEY_ATOMIC(int) inside = 0;
    struct sley_scope sc;
    int result = 0;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN(&sc, meets_in_a_job, .inside = &inside), 0);
    CHECK_RC(sley_block_in_place(meet, &inside, &result), 0);
    CHECK_INT(result, ==, 3);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(meets_in_place, struct none_arg)

SLEY_TEST(call_in_place_waits_for_a_job_of_the_task_behind_it, "")
{
    for (int kind = 1; kind < KINDS; kind++) { /* with one worker there is nobody to take over */
        struct sley_runtime rt;
        begin(&rt, kind, NULL);
        for (int i = 0; i < 20; i++) {
            int result = -1;
            CHECK_RC(sley_runtime_run(&rt, &meets_in_place__type, NULL, &result), 0);
            CHECK_INT(result, ==, 0);
        }
        rig_runtime_end(&rt);
    }
}

/* ---- the end -------------------------------------------------------------------------------------------------------------- */

SLEY_TEST(runtime_stops_beside_jobs_of_shared_tasks, "BLOCK-11")
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct sley_runtime rt;
        struct gate gate;
        struct ask asks[4];
        gate_init(&gate);
        begin(&rt, kind, NULL);
        for (int i = 0; i < 4; i++) {
            asks[i] = (struct ask){.fn = gate_job, .arg = &gate};
            ask_spawn(&rt, i % STYLES, &asks[i]);
        }
        gate_wait(&gate, 4);
        CHECK_RC(sley_runtime_stop(&rt, sley_thread_now_ns() + SLEY_MS), -ETIMEDOUT);
        gate_open(&gate, 4);
        CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
        for (int i = 0; i < 4; i++) {
            CHECK_RC(asks[i].verdict, 0);
            sley_task_unref(asks[i].task);
        }
        CHECK_RC(sley_runtime_fini(&rt), 0);
    }
}
