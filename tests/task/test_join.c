/* Joining and cancelling tasks, at home and from other threads. */
#include "bed.h"

struct body {
    struct gate *gate;
    int result;
};

static int body_fiber(struct body *a)
{
    const int rc = gate_wait(a->gate, GATE_PLAIN);
    return rc < 0 ? rc : a->result;
}
SLEY_FIBER(body_fiber, struct body)

struct join_frame {
    struct sley_frame frame;
    struct sley_task *task;
    struct sley_task_join_op op;
    int *ret_rc, *ret_result;
};

static enum sley_step join_it(struct join_frame *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, sley_task_join, &f->op, f->task, f->ret_result);
    *f->ret_rc = rc;
    SLEY_END(f);
}
SLEY_FRAME(join_it, struct join_frame)

struct joiner {
    struct sley_task *task;
    int *ret_rc, *ret_result;
};

static int join_in_fiber(struct joiner *a)
{
    *a->ret_rc = sley_task_join(a->task, a->ret_result);
    return 0;
}
SLEY_FIBER(join_in_fiber, struct joiner)

static struct sley_task *spawn_joiner(struct bed *b, int style, struct sley_task *t, int *ret_rc, int *ret_result)
{
    if (style == 0) {
        return bed_spawn(b, &join_it__type, &(struct join_frame){.task = t, .ret_rc = ret_rc, .ret_result = ret_result});
    }
    return bed_spawn(b, &join_in_fiber__type, &(struct joiner){t, ret_rc, ret_result});
}

SLEY_TEST(join_before_the_end_parks_and_gets_the_result_once, "JOIN-01 JOIN-02")
{
    for (int style = 0; style < 2; style++) {
        struct bed b;
        struct gate g = {0};
        int rc = 77, result = 0;
        bed_start(&b);
        struct sley_task *t = bed_spawn(&b, &body_fiber__type, &(struct body){&g, 11});
        struct sley_task *j = spawn_joiner(&b, style, t, &rc, &result);
        bed_settle(&b);
        CHECK_INT(rc, ==, 77);
        gate_open(&b, &g, 0);
        bed_run_until(&b, j);
        CHECK_RC(rc, 0);
        CHECK_INT(result, ==, 11);
        result = 0;
        sley_task_unref(j);
        j = spawn_joiner(&b, style, t, &rc, &result);
        bed_run_until(&b, j);
        CHECK_RC(rc, -EINVAL); /* a second time: refused, and not the result again */
        CHECK_INT(result, ==, 0);
        sley_task_unref(j);
        sley_task_unref(t);
        bed_end(&b);
    }
}

SLEY_TEST(join_beside_another_joiner_is_refused, "JOIN-02")
{
    struct bed b;
    struct gate g = {0};
    int rc[2] = {77, 77}, result[2] = {0, 0};
    bed_start(&b);
    struct sley_task *t = bed_spawn(&b, &body_fiber__type, &(struct body){&g, 11});
    struct sley_task *j = spawn_joiner(&b, 0, t, &rc[0], &result[0]);
    struct sley_task *k = spawn_joiner(&b, 1, t, &rc[1], &result[1]);
    bed_run_until(&b, k);
    CHECK_RC(rc[1], -EINVAL);
    gate_open(&b, &g, 0);
    bed_run_until(&b, j);
    CHECK_RC(rc[0], 0);
    sley_task_unref(j);
    sley_task_unref(k);
    sley_task_unref(t);
    bed_end(&b);
}

static int join_oneself(struct none *a)
{
    (void)a;
    return sley_task_join(sley_sched_current()->current, NULL);
}
SLEY_FIBER(join_oneself, struct none)

SLEY_TEST(join_of_nothing_or_oneself_is_refused, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_RC(bed_run(&b, &join_oneself__type, NULL), -EDEADLK);
    CHECK_RC(sley_task_join(NULL, NULL), -EINVAL);
    bed_end(&b);
}

/* From elsewhere an ended task says its result as often as it is asked (task.h): nobody needs to drive its executor. */
SLEY_TEST(join_of_an_ended_task_from_elsewhere_needs_no_driver, "JOIN-02")
{
    struct bed b;
    struct gate g = {0};
    bed_start(&b);
    struct sley_task *t = bed_spawn(&b, &body_fiber__type, &(struct body){&g, 11});
    bed_settle(&b);
    gate_open(&b, &g, 0);
    bed_settle(&b);
    for (int i = 0; i < 2; i++) {
        int result = 0;
        CHECK_RC(sley_task_join(t, &result), 0);
        CHECK_INT(result, ==, 11);
        CHECK_RC(sley_task_join(t, NULL), 0);
    }
    sley_task_unref(t);
    bed_end(&b);
}

static int join_timed_out_then_cancel(struct body *a)
{
    struct sley_task *t;
    int result = 99;
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, body_fiber, .gate = a->gate, .result = 5), 0);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(0), sley_task_join(t, &result)), -ETIMEDOUT);
    CHECK_INT(result, ==, 99);
    if (a->result == 1) { /* it ends, and nobody reads */
        CHECK_RC(sley_yield(), 0);
        sley_wait_complete(&a->gate->wait, 0);
        CHECK_RC(sley_yield(), 0);
        CHECK(sley_task_done(t));
    } else {
        sley_task_cancel(t);
        CHECK_RC(sley_task_join(t, &result), 0);
        CHECK_RC(result, -ECANCELED);
    }
    sley_task_unref(t);
    return 0;
}
SLEY_FIBER(join_timed_out_then_cancel, struct body)

SLEY_TEST(join_that_timed_out_takes_nothing, "JOIN-03 JOIN-04")
{
    for (int variant = 0; variant < 2; variant++) {
        struct bed b;
        struct gate g = {0};
        bed_start(&b);
        CHECK_INT(bed_run(&b, &join_timed_out_then_cancel__type, &(struct body){&g, variant}), ==, 0);
        bed_end(&b);
    }
}

struct outside {
    struct sley_task *task;
    int rc, result;
    SLEY_ATOMIC(bool) started;
};

static void *join_outside(void *arg)
{
    struct outside *o = arg;
    o->result = 99;
    atomic_store_explicit(&o->started, true, memory_order_release);
    o->rc = sley_task_join(o->task, &o->result);
    sley_task_unref(o->task);
    return NULL;
}

SLEY_TEST(executor_that_goes_wakes_a_foreign_joiner, "JOIN-05")
{
    for (int variant = 0; variant < 3; variant++) {
        for (int i = 0; i < 50; i++) {
            struct bed b;
            struct gate g = {0};
            pthread_t thread;
            bed_start(&b);
            struct outside o = {.task = bed_spawn(&b, &body_fiber__type, &(struct body){&g, 11})};
            if (variant == 0) {
                bed_settle(&b);
            }
            CHECK_INT(pthread_create(&thread, NULL, join_outside, &o), ==, 0);
            while (variant < 2 && !atomic_load_explicit(&o.started, memory_order_acquire)) {
            }
            if (variant == 0) {
                CHECK_RC(b.ex->ops->stop(b.ex, SLEY_NEVER), 0);
            }
            CHECK_RC(b.ex->ops->fini(b.ex), 0); /* has run: it was cancelled; has not: it was dropped */
            /* JOIN-05 wants -ECANCELED: here the wait itself succeeds, and the result says it */
            CHECK_INT(pthread_join(thread, NULL), ==, 0);
            CHECK_RC(o.rc, 0);
            CHECK_RC(o.result, -ECANCELED);
            CHECK_UINT(harness_alloc_live(), ==, 0);
        }
    }
}

/* ---- cancel-and-wait beside the run ---------------------------------------------------------------------------------- */

static SLEY_ATOMIC(bool) inside_body;
static SLEY_ATOMIC(unsigned) cleanup_count;
static pthread_t home_thread;

static int busy_body(struct none *a)
{
    (void)a;
    atomic_store_explicit(&inside_body, true, memory_order_release);
    for (int i = 0; i < 2000; i++) {
        __asm__ volatile("" ::: "memory");
    }
    CHECK(pthread_equal(home_thread, pthread_self()));
    atomic_store_explicit(&inside_body, false, memory_order_release);
    atomic_fetch_add_explicit(&cleanup_count, 1, memory_order_relaxed);
    return 3;
}
SLEY_FIBER(busy_body, struct none)

static void *cancel_and_wait(void *arg)
{
    struct outside *o = arg;
    while (!atomic_load_explicit(&o->started, memory_order_acquire)) {
    }
    sley_task_cancel(o->task);
    o->rc = sley_task_join(o->task, &o->result);
    CHECK(!atomic_load_explicit(&inside_body, memory_order_acquire));
    sley_task_unref(o->task);
    return NULL;
}

SLEY_TEST(cancel_and_wait_from_elsewhere_waits_for_the_resume, "JOIN-07 JOIN-11")
{
    struct bed b;
    home_thread = pthread_self();
    bed_start(&b);
    for (unsigned i = 0; i < 200; i++) {
        pthread_t thread;
        cleanup_count = 0;
        struct outside o = {.task = bed_spawn(&b, &busy_body__type, NULL)};
        CHECK_INT(pthread_create(&thread, NULL, cancel_and_wait, &o), ==, 0);
        atomic_store_explicit(&o.started, true, memory_order_release);
        bed_run_all(&b); /* not "until the task": the other thread gives the only handle back */
        while (pthread_tryjoin_np(thread, NULL) != 0) {
            bed_settle(&b);
        }
        CHECK_RC(o.rc, 0);
        CHECK_INT(o.result, ==, 3); /* nothing in it waits: the true result */
        CHECK_UINT(cleanup_count, ==, 1);
    }
    bed_end(&b);
}

/* ---- cancelling ------------------------------------------------------------------------------------------------------- */

static unsigned step;

static int sleeper(struct none *a)
{
    (void)a;
    step = 1;
    CHECK_RC(sley_sleep(100 * SLEY_S), -ECANCELED);
    step = 2;
    CHECK_RC(sley_sleep(SLEY_S), -ECANCELED); /* a level, not an event */
    CHECK_RC(sley_sleep(0), -ECANCELED);
    step = 3;
    return -EIO; /* the cleanup failed: that is what the joiner gets */
}
SLEY_FIBER(sleeper, struct none)

struct sleeper_frame {
    struct sley_frame frame;
    struct sley_timer timer;
};

static enum sley_step sleeper_frame(struct sleeper_frame *f)
{
    int rc;
    SLEY_BEGIN(f);
    step = 1;
    SLEY_CALL(f, rc, sley_sleep, &f->timer, 100 * SLEY_S);
    CHECK_RC(rc, -ECANCELED);
    step = 2;
    SLEY_CALL(f, rc, sley_sleep, &f->timer, SLEY_S);
    CHECK_RC(rc, -ECANCELED);
    step = 3;
    SLEY_RETURN(f, -EIO);
    SLEY_END(f);
}
SLEY_FRAME(sleeper_frame, struct sleeper_frame)

SLEY_TEST(cancel_wakes_a_sleeper_now_and_stays, "JOIN-08 JOIN-09 JOIN-12 JOIN-15")
{
    const struct sley_task_type *const types[] = {&sleeper_frame__type, &sleeper__type};
    for (int style = 0; style < 2; style++) {
        struct bed b;
        int result = 0;
        bed_start(&b);
        struct sley_task *t = bed_spawn(&b, types[style], NULL);
        bed_settle(&b);
        CHECK_UINT(step, ==, 1);
        const uint64_t before = b.now_ns;
        struct sley_sched *outer = sley_sched_enter(b.sched);
        sley_task_cancel(t);
        (void)sley_sched_enter(outer);
        CHECK_UINT(step, ==, 1); /* not on the canceller's stack */
        uint64_t next = 0;
        CHECK_INT(b.ex->ops->turn(b.ex, 0, &next), ==, SLEY_TURN_RAN);
        CHECK_UINT(step, ==, 3);
        CHECK_UINT(next, ==, SLEY_NEVER); /* its timer has left the wheel */
        CHECK_UINT(b.now_ns, ==, before);
        CHECK_RC(sley_task_result(t, &result), 0);
        CHECK_RC(result, -EIO);
        sley_task_unref(t);
        bed_end(&b);
    }
}

static int cancelled_at_once(struct body *a)
{
    step = 10;
    CHECK(sley_cancelled());
    a->gate->cancel_count = 55;
    CHECK_RC(gate_wait(a->gate, GATE_READY), -ECANCELED); /* untried: it would have been ready */
    CHECK_RC(gate_wait(a->gate, GATE_PLAIN), -ECANCELED);
    CHECK_UINT(a->gate->cancel_count, ==, 55);
    return 0;
}
SLEY_FIBER(cancelled_at_once, struct body)

SLEY_TEST(cancel_before_the_first_resume_enters_the_body_and_fails_its_waits, "TASK-05 JOIN-03 JOIN-10 JOIN-17")
{
    struct bed b;
    struct gate g = {0};
    bed_start(&b);
    step = 0;
    struct sley_task *t = bed_spawn(&b, &cancelled_at_once__type, &(struct body){&g, 0});
    sley_task_cancel(t);
    CHECK_UINT(step, ==, 0);
    bed_run_until(&b, t);
    CHECK_UINT(step, ==, 10);
    sley_task_unref(t);
    bed_end(&b);
}

SLEY_TEST(cancel_after_the_end_keeps_the_result, "JOIN-06")
{
    struct bed b;
    struct gate g = {0};
    int result = 0;
    bed_start(&b);
    struct sley_task *t = bed_spawn(&b, &body_fiber__type, &(struct body){&g, 11});
    bed_settle(&b);
    gate_open(&b, &g, 0);
    bed_settle(&b);
    sley_task_cancel(t);
    CHECK_RC(sley_task_result(t, &result), 0);
    CHECK_INT(result, ==, 11);
    sley_task_unref(t);
    bed_end(&b);
}

SLEY_TEST(completion_beside_a_cancel_wins, "JOIN-19")
{
    for (int first = 0; first < 2; first++) {
        struct bed b;
        struct gate g = {0};
        int result = 0;
        bed_start(&b);
        struct sley_task *t = bed_spawn(&b, &body_fiber__type, &(struct body){&g, 11});
        bed_settle(&b);
        struct sley_sched *outer = sley_sched_enter(b.sched);
        if (first) {
            sley_task_cancel(t);
        }
        sley_wait_complete(&g.wait, 0);
        if (!first) {
            sley_task_cancel(t);
        }
        (void)sley_sched_enter(outer);
        bed_run_until(&b, t);
        CHECK_RC(sley_task_result(t, &result), 0);
        CHECK_INT(result, ==, 11);
        CHECK_UINT(g.cancel_count, ==, 0);
        sley_task_unref(t);
        bed_end(&b);
    }
}

/* ---- races ------------------------------------------------------------------------------------------------------------ */

static int quick(struct none *a)
{
    (void)a;
    const int rc = sley_yield();
    return rc < 0 ? rc : 4;
}
SLEY_FIBER(quick, struct none)

struct racer {
    struct sley_task *task;
    unsigned how;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    int result = 99, rc = 0;
    for (uint64_t spin = harness_rand_below(500); spin > 0; spin--) {
        __asm__ volatile("" ::: "memory");
    }
    if (r->how & 1) {
        sley_task_cancel(r->task);
    }
    if (r->how & 2) {
        rc = SLEY_UNTIL(sley_after_ns(harness_rand_below(20000)), sley_task_join(r->task, &result));
        CHECK(rc == 0 || rc == -ETIMEDOUT);
        CHECK(rc == 0 ? result == 4 || ((r->how & 1) && result == -ECANCELED) : result == 99);
    }
    sley_task_unref(r->task);
    return NULL;
}

SLEY_TEST_SECONDS(join_and_cancel_race_with_the_end_and_complete_once, "JOIN-13 JOIN-14", 60)
{
    struct bed b;
    bed_start(&b);
    const unsigned n = 300 / harness_slowness();
    for (unsigned i = 0; i < n; i++) {
        pthread_t thread;
        struct racer r = {bed_spawn(&b, &quick__type, NULL), i % 4};
        CHECK_INT(pthread_create(&thread, NULL, race, &r), ==, 0);
        for (uint64_t spin = harness_rand_below(20000); spin > 0; spin--) {
            __asm__ volatile("" ::: "memory");
        }
        bed_run_all(&b);
        while (pthread_tryjoin_np(thread, NULL) != 0) {
            bed_settle(&b);
        }
    }
    bed_settle(&b);
    CHECK_UINT(sley_sched_live(b.sched), ==, 0);
    bed_end(&b);
}

/** The executor goes while the joiner gives up. */
SLEY_TEST_SECONDS(regress_join_given_up_while_the_executor_goes, "JOIN-05 SHUT-13", 60)
{
    const unsigned n = 300 / harness_slowness();
    for (unsigned i = 0; i < n; i++) {
        struct bed b;
        pthread_t thread;
        bed_start(&b);
        struct racer r = {bed_spawn(&b, &quick__type, NULL), 1 + i % 3};
        CHECK_INT(pthread_create(&thread, NULL, race, &r), ==, 0);
        bed_run_all(&b);
        CHECK_RC(b.ex->ops->fini(b.ex), 0);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
        CHECK_UINT(harness_alloc_live(), ==, 0);
    }
}

/* ---- between executors ------------------------------------------------------------------------------------------------ */

struct other {
    struct bed bed;
    struct sley_task *main;
};

static void *drive_other(void *arg)
{
    struct other *o = arg;
    CHECK_RC(o->bed.ex->ops->run(o->bed.ex, o->main), 0);
    return NULL;
}

SLEY_TEST(join_across_executors, "JOIN-01 WAKE-07")
{
    for (int variant = 0; variant < 2; variant++) {
        struct bed b;
        struct other o;
        struct gate g = {0};
        pthread_t thread;
        int rc = 77, result = 0;
        bed_start(&b);
        bed_start(&o.bed);
        struct sley_task *t = bed_spawn(&b, &body_fiber__type, &(struct body){&g, 12});
        o.main = spawn_joiner(&o.bed, variant, t, &rc, &result);
        bed_settle(&b);
        CHECK_INT(pthread_create(&thread, NULL, drive_other, &o), ==, 0);
        if (variant) {
            sley_task_cancel(t);
        } else {
            gate_open(&b, &g, 0);
        }
        while (pthread_tryjoin_np(thread, NULL) != 0) {
            bed_settle(&b);
        }
        CHECK_RC(rc, 0);
        CHECK_INT(result, ==, variant ? -ECANCELED : 12);
        sley_task_unref(o.main);
        sley_task_unref(t);
        bed_end(&o.bed);
        bed_end(&b);
    }
}

static void *late_holder(void *arg)
{
    struct outside *o = arg;
    int result = 0;
    while (!atomic_load_explicit(&o->started, memory_order_acquire)) {
    }
    sley_task_cancel(o->task);
    CHECK_RC(sley_task_join(o->task, &result), 0);
    CHECK_INT(result, ==, 4);
    sley_task_unref(o->task);
    return NULL;
}

SLEY_TEST(handle_held_by_another_thread_beyond_the_executor, "WAKE-08 WAKE-09 SHUT-12")
{
    struct bed b;
    pthread_t thread;
    bed_start(&b);
    struct outside o = {.task = bed_spawn(&b, &quick__type, NULL)};
    CHECK_INT(pthread_create(&thread, NULL, late_holder, &o), ==, 0);
    bed_run_until(&b, o.task);
    bed_end(&b);
    atomic_store_explicit(&o.started, true, memory_order_release);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_UINT(harness_alloc_live(), ==, 0);
}
