/* Frames: labels, locals, sub-frames, results; the statements that the other tests of tasks do not use. */
#include "bed.h"

struct leaf {
    struct sley_frame frame;
    struct gate gate;
    struct sley_timer timer;
    int n;
};

static enum sley_step leaf(struct leaf *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, sley_sleep, &f->timer, SLEY_MS);
    if (rc < 0) {
        SLEY_RETURN(f, rc);
    }
    SLEY_YIELD(f, rc);
    SLEY_YIELD(f, rc); /* two waits on a line */
    SLEY_RETURN(f, f->n * 2);
    SLEY_END(f);
}

struct middle {
    struct sley_frame frame;
    struct leaf leaf;
    int i, sum;
};

static enum sley_step middle(struct middle *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->i = 0; f->i < 3; f->i++) {
        f->leaf.n = f->i;
        SLEY_RUN(f, rc, leaf, &f->leaf);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
        f->sum += rc;
    }
    SLEY_RETURN(f, f->sum);
    SLEY_END(f);
}

struct root {
    struct sley_frame frame;
    struct middle middle;
    struct gate gate;
};

static enum sley_step root_frame(struct root *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_RUN(f, rc, middle, &f->middle);
    if (rc < 0) {
        SLEY_RETURN(f, rc);
    }
    f->middle.sum = 0;
    SLEY_RUN(f, rc, middle, &f->middle); /* a sub-frame may run again */
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(root_frame, struct root)

SLEY_TEST(sub_frames_embed_and_return_results, "")
{
    struct bed b;
    int result;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &root_frame__type, NULL), ==, 6);
    struct sley_task *t = bed_spawn(&b, &root_frame__type, NULL);
    bed_settle(&b);
    sley_task_cancel(t);
    bed_settle(&b);
    CHECK_RC(sley_task_result(t, &result), 0);
    CHECK_RC(result, -ECANCELED);
    sley_task_unref(t);
    bed_end(&b);
}

static enum sley_step falls_off(struct root *f)
{
    SLEY_BEGIN(f);
    f->frame.result = 55;
    SLEY_END(f);
}
SLEY_FRAME(falls_off, struct root)

SLEY_TEST(falling_off_the_end_is_result_0, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &falls_off__type, NULL), ==, 0);
    bed_end(&b);
}

static enum sley_step direct_in_frame(struct root *f)
{
    SLEY_BEGIN(f);
    struct sley_scope sc;
    CHECK_RC(sley_sleep(SLEY_MS), -EDEADLK);
    CHECK_RC(sley_sleep(0), -EDEADLK);
    CHECK_RC(sley_yield(), -EDEADLK);
    CHECK_RC(sley_consume(), -EDEADLK);
    CHECK_RC(sley_park(), -EDEADLK);
    CHECK_RC(gate_wait(&f->gate, GATE_READY), -EDEADLK);
    CHECK_RC(SLEY_UNTIL(0, sley_sleep(SLEY_MS)), -EDEADLK);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_S), sley_sleep(SLEY_MS)), -EDEADLK);
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(sley_scope_wait(&sc), -EDEADLK);
    CHECK_RC(sley_scope_fini(&sc), -EDEADLK);
    struct sley_scope_op op = {0};
    sley_scope_fini_start(&op, &sc); /* nothing in it: done at once */
    CHECK(sley_wait_done(&op.wait));
    struct gate *g = &f->gate;
    gate_start(g, GATE_PLAIN);
    CHECK_RC(sley_await(&g->wait), -EDEADLK);
    CHECK_RC(sley_await_until(&g->wait, 0), -EDEADLK);
    CHECK_RC(sley_select((struct sley_wait *[]){&g->wait}, 1, 0), -EDEADLK);
    sley_wait_cancel(&g->wait);
    CHECK_RC(sley_await(&g->wait), -ECANCELED); /* done: nothing to wait for */
    SLEY_RETURN(f, 0);
    SLEY_END(f);
}
SLEY_FRAME(direct_in_frame, struct root)

SLEY_TEST(direct_forms_in_a_frame_are_refused, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &direct_in_frame__type, NULL), ==, 0);
    CHECK_INT(bed_run(&b, &root_frame__type, NULL), ==, 6); /* no scope was left open */
    bed_end(&b);
}

static bool hook_called;

static void direct_in_callback(struct sley_post *p)
{
    (void)p;
    struct gate g = {0};
    CHECK_RC(sley_sleep(SLEY_MS), -EDEADLK);
    CHECK_RC(sley_yield(), -EDEADLK);
    gate_start(&g, GATE_PLAIN);
    CHECK_RC(sley_await(&g.wait), -EDEADLK);
    sley_wait_cancel(&g.wait);
    CHECK(sley_wait_done(&g.wait));
    CHECK(!sley_cancelled());
    hook_called = true;
}

SLEY_TEST(direct_forms_on_a_driving_thread_outside_tasks_are_refused, "")
{
    struct bed b;
    struct sley_post post = {.fn = direct_in_callback};
    bed_start(&b);
    CHECK(sley_sched_post(b.sched, &post));
    bed_settle(&b);
    CHECK(hook_called);
    bed_end(&b);
}

SLEY_TEST(direct_forms_on_a_plain_thread_park_it, "")
{
    struct gate g = {0};
    pthread_t thread;
    CHECK_RC(sley_yield(), 0);
    CHECK_RC(sley_consume(), 0);
    CHECK_RC(sley_park(), -EDEADLK);
    CHECK(!sley_cancelled());
    CHECK_RC(sley_sleep(SLEY_US), 0);
    gate_start(&g, GATE_PLAIN);
    CHECK_INT(pthread_create(&thread, NULL, gate_thread, &g), ==, 0);
    CHECK_INT(sley_await(&g.wait), ==, 9);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_UINT(sley_now_ns(), >, 0);
}
