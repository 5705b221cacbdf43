/* Sleeping, resetting, intervals, in virtual time; the wheel below has its own tests. */
#include "bed.h"

static int precise(struct none *a)
{
    (void)a;
    for (uint64_t d = 1; d <= 5 * SLEY_S; d = d * 3 + 1) {
        const uint64_t before = sley_now_ns();
        CHECK_RC(sley_sleep(d), 0);
        CHECK_UINT(sley_now_ns(), >=, before + d);
        CHECK_UINT(sley_now_ns(), <, before + d + SLEY_MS);
    }
    return 0;
}
SLEY_FIBER(precise, struct none)

SLEY_TEST(sleep_is_never_early_and_at_most_a_tick_late, "TIMER-01")
{
    RUN_FIBER(precise, NULL);
}

static int past(struct none *a)
{
    (void)a;
    struct sley_timer t = {0};
    sley_sleep_until_start(&t, sley_now_ns());
    CHECK(sley_wait_done(&t.wait) && !sley_wheel_armed(&t.node));
    sley_sleep_until_start(&t, 0);
    CHECK(sley_wait_done(&t.wait) && !sley_wheel_armed(&t.node));
    return sley_sleep(0);
}
SLEY_FIBER(past, struct none)

SLEY_TEST(past_deadline_is_done_in_start, "TIMER-02")
{
    RUN_FIBER(past, NULL);
    CHECK_RC(sley_sleep_until(1), 0); /* on a plain thread, too */
}

static int rearm(struct none *a)
{
    (void)a;
    struct sley_timer t = {0};
    const uint64_t start = sley_now_ns();
    sley_sleep_start(&t, 10 * SLEY_MS);
    CHECK_RC(sley_await(&t.wait), 0);
    CHECK_RC(sley_await(&t.wait), 0); /* looking twice is harmless */
    sley_timer_reset(&t, start + 30 * SLEY_MS);
    CHECK_RC(sley_await(&t.wait), 0);
    CHECK_UINT(sley_now_ns(), >=, start + 30 * SLEY_MS);
    sley_sleep_until_start(&t, start + 50 * SLEY_MS);
    sley_timer_reset(&t, start + 90 * SLEY_MS); /* later */
    CHECK_RC(sley_sleep_until(start + 60 * SLEY_MS), 0);
    CHECK(!sley_wait_done(&t.wait));
    sley_timer_reset(&t, start + 70 * SLEY_MS); /* and earlier */
    CHECK_RC(sley_await(&t.wait), 0);
    CHECK_UINT(sley_now_ns(), <, start + 72 * SLEY_MS);
    sley_sleep_start(&t, SLEY_NEVER);
    CHECK(!sley_wheel_armed(&t.node));
    sley_timer_reset(&t, start); /* past: in the next turn */
    CHECK_RC(sley_await(&t.wait), 0);
    sley_sleep_start(&t, SLEY_S);
    sley_timer_reset(&t, SLEY_NEVER);
    CHECK_RC(sley_wait_fini(&t.wait), -ECANCELED);
    return 0;
}
SLEY_FIBER(rearm, struct none)

SLEY_TEST(timer_is_moved_and_armed_again, "TIMER-10 TIMER-09")
{
    RUN_FIBER(rearm, NULL);
}

static unsigned fired;

static int rearm_zero(struct none *a)
{
    (void)a;
    struct sley_timer t = {0};
    for (;;) {
        sley_sleep_start(&t, SLEY_S);
        sley_timer_reset(&t, 0);
        const int rc = sley_await(&t.wait);
        if (rc < 0) {
            return rc;
        }
        fired++;
    }
}
SLEY_FIBER(rearm_zero, struct none)

SLEY_TEST(zero_timer_that_rearms_itself_fires_once_a_turn, "TIMER-14")
{
    struct bed b;
    bed_start(&b);
    fired = 0;
    sley_task_unref(bed_spawn(&b, &rearm_zero__type, NULL));
    (void)b.ex->ops->turn(b.ex, 0, NULL);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_UINT(fired, ==, i);
        (void)b.ex->ops->turn(b.ex, 0, NULL);
    }
    bed_end(&b); /* and it can be stopped */
}

static int held_up(struct none *a)
{
    (void)a;
    struct sley_interval every;
    CHECK_RC(sley_interval_init(&every, sley_after_ns(10 * SLEY_MS), 10 * SLEY_MS, SLEY_MISSED_SKIP), 0);
    for (;;) {
        const int rc = sley_interval_tick(&every);
        if (rc < 0) {
            return rc;
        }
        fired++;
    }
}
SLEY_FIBER(held_up, struct none)

SLEY_TEST(repeating_timer_after_a_hold_up_fires_once_in_the_turn, "TIMER-15")
{
    struct bed b;
    bed_start(&b);
    fired = 0;
    sley_task_unref(bed_spawn(&b, &held_up__type, NULL));
    bed_settle(&b);
    b.now_ns += 30 * SLEY_MS;
    (void)b.ex->ops->turn(b.ex, 0, NULL);
    CHECK_UINT(fired, ==, 1);
    bed_end(&b);
}

/* ---- intervals: after a hold-up of 3.5 periods ------------------------------------------------------------------------ */

static int missed(enum sley_missed *how)
{
    struct sley_interval every;
    const uint64_t start = sley_now_ns(), p = 100 * SLEY_MS;
    CHECK_RC(sley_interval_init(&every, start + p, p, *how), 0);
    CHECK_RC(sley_interval_tick(&every), 0);
    CHECK_UINT(sley_now_ns(), ==, start + p);
    CHECK_RC(sley_sleep_until(start + p + 350 * SLEY_MS), 0);
    const uint64_t late = sley_now_ns();
    uint64_t at[5];
    for (int i = 0; i < 5; i++) {
        CHECK_RC(sley_interval_tick(&every), 0);
        at[i] = sley_now_ns() - start;
    }
    const uint64_t burst[] = {late - start, late - start, late - start, 5 * p, 6 * p};
    const uint64_t delay[] = {late - start, late - start + p, late - start + 2 * p, late - start + 3 * p, late - start + 4 * p};
    const uint64_t skip[] = {late - start, 5 * p, 6 * p, 7 * p, 8 * p};
    const uint64_t *want = *how == SLEY_MISSED_BURST ? burst : *how == SLEY_MISSED_DELAY ? delay : skip;
    for (int i = 0; i < 5; i++) {
        CHECK_UINT(at[i], >=, want[i]);
        CHECK_UINT(at[i], <, want[i] + (uint64_t)(i + 1) * SLEY_MS);
    }
    return 0;
}
SLEY_FIBER(missed, enum sley_missed)

SLEY_TEST(missed_ticks_are_caught_up_delayed_or_skipped, "TIMER-17")
{
    for (int how = SLEY_MISSED_BURST; how <= SLEY_MISSED_SKIP; how++) {
        const enum sley_missed m = (enum sley_missed)how;
        RUN_FIBER(missed, &m);
    }
    struct sley_interval i;
    CHECK_RC(sley_interval_init(&i, 0, 0, SLEY_MISSED_BURST), -EINVAL);
    CHECK_RC(sley_interval_init(NULL, 0, 1, SLEY_MISSED_BURST), -EINVAL);
    CHECK_RC(sley_interval_init(&i, 0, 1, (enum sley_missed)3), -EINVAL);
}

static int cancelled_tick(struct none *a)
{
    (void)a;
    struct sley_interval every;
    const uint64_t start = sley_now_ns();
    CHECK_RC(sley_interval_init(&every, start + 10 * SLEY_MS, 10 * SLEY_MS, SLEY_MISSED_BURST), 0);
    CHECK_RC(SLEY_UNTIL(start + 5 * SLEY_MS, sley_interval_tick(&every)), -ETIMEDOUT);
    CHECK_RC(sley_interval_tick(&every), 0); /* its tick has not been used up */
    CHECK_UINT(sley_now_ns(), <, start + 11 * SLEY_MS);
    return 0;
}
SLEY_FIBER(cancelled_tick, struct none)

struct ticker {
    struct sley_frame frame;
    struct sley_interval every;
    struct sley_interval_tick_op op;
    uint64_t start_ns;
    int i;
};

static enum sley_step tick_in_frame(struct ticker *f)
{
    int rc;
    SLEY_BEGIN(f);
    f->start_ns = sley_now_ns();
    CHECK_RC(sley_interval_init(&f->every, f->start_ns + SLEY_MS, SLEY_MS, SLEY_MISSED_BURST), 0);
    for (f->i = 1; f->i <= 5; f->i++) {
        SLEY_CALL(f, rc, sley_interval_tick, &f->op, &f->every);
        CHECK_RC(rc, 0);
        CHECK_UINT(sley_now_ns(), >=, f->start_ns + (uint64_t)f->i * SLEY_MS);
    }
    SLEY_RETURN(f, 0);
    SLEY_END(f);
}
SLEY_FRAME(tick_in_frame, struct ticker)

SLEY_TEST(interval_in_a_frame_and_cancelled, "TIMER-17")
{
    RUN_FIBER(cancelled_tick, NULL);
    RUN_FIBER(tick_in_frame, NULL);
}

/* ---- fairness --------------------------------------------------------------------------------------------------------- */

static uint64_t *shared_now;

static int always_ready(struct none *a)
{
    (void)a;
    for (;;) {
        struct gate g = {0};
        *shared_now += 10 * SLEY_US; /* work takes time */
        const int rc = gate_wait(&g, GATE_READY);
        if (rc < 0) {
            return rc;
        }
    }
}

/** Something has been done in spite of the deadline. */
static int seven_in_the_end(struct none *a)
{
    CHECK_RC(always_ready(a), -ECANCELED);
    return 7;
}

static int deadline_around_a_loop(struct none *a)
{
    const uint64_t deadline = sley_after_ns(10 * SLEY_MS);
    CHECK_RC(SLEY_UNTIL(deadline, always_ready(a)), -ETIMEDOUT);
    CHECK_UINT(sley_now_ns(), >=, deadline);
    /* the budget makes it look: a round of 64 resumes is the longest that a timer waits for */
    CHECK_UINT(sley_now_ns(), <=, deadline + SLEY_MS + 65 * 129 * 10 * SLEY_US);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(10 * SLEY_MS), seven_in_the_end(a)), 7); /* a result counts, also behind it */
    return 0;
}
SLEY_FIBER(deadline_around_a_loop, struct none)

SLEY_TEST(deadline_around_a_loop_that_is_always_ready_fires, "TIMER-19 LOCAL-15")
{
    struct bed b;
    bed_start(&b);
    shared_now = &b.now_ns;
    CHECK_INT(bed_run(&b, &deadline_around_a_loop__type, NULL), ==, 0);
    bed_end(&b);
}

static int poll_own_timer(struct none *a)
{
    (void)a;
    struct sley_timer t = {0};
    const uint64_t deadline = sley_after_ns(10 * SLEY_MS);
    sley_sleep_until_start(&t, deadline);
    unsigned looks = 0;
    while (!sley_wait_done(&t.wait)) {
        *shared_now += 10 * SLEY_US;
        CHECK_RC(sley_yield(), 0);
        looks++;
    }
    CHECK_UINT(sley_now_ns(), >=, deadline);
    CHECK_UINT(looks, <=, 1100 + 64);
    return 0;
}
SLEY_FIBER(poll_own_timer, struct none)

SLEY_TEST(task_that_polls_its_timer_sees_it_fire, "LOCAL-15")
{
    struct bed b;
    bed_start(&b);
    shared_now = &b.now_ns;
    CHECK_INT(bed_run(&b, &poll_own_timer__type, NULL), ==, 0);
    bed_end(&b);
}

static bool woke;

static int sleep_a_ms(struct none *a)
{
    (void)a;
    const int rc = sley_sleep(SLEY_MS);
    woke = true;
    return rc;
}
SLEY_FIBER(sleep_a_ms, struct none)

SLEY_TEST(clock_moved_in_quarters_fires_at_the_fourth, "TIMER-20 EMB-04")
{
    struct bed b;
    bed_start(&b);
    woke = false;
    sley_task_unref(bed_spawn(&b, &sleep_a_ms__type, NULL));
    bed_settle(&b);
    for (int i = 0; i < 4; i++) {
        CHECK(!woke);
        b.now_ns += SLEY_MS / 4;
        bed_settle(&b);
    }
    CHECK(woke);
    bed_end(&b);
}

static int never(struct none *a)
{
    (void)a;
    CHECK_UINT(sley_after_ns(SLEY_NEVER), ==, SLEY_NEVER);
    CHECK_UINT(sley_after_ns(SLEY_NEVER - 1), ==, SLEY_NEVER);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_S), sley_sleep(SLEY_NEVER)), -ETIMEDOUT);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_S), sley_sleep_until(SLEY_NEVER - 1)), -ETIMEDOUT);
    struct sley_interval every;
    CHECK_RC(sley_interval_init(&every, 0, SLEY_NEVER - 1, SLEY_MISSED_SKIP), 0);
    CHECK_RC(sley_interval_tick(&every), 0);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_S), sley_interval_tick(&every)), -ETIMEDOUT);
    return 0;
}
SLEY_FIBER(never, struct none)

SLEY_TEST(largest_duration_means_never_and_does_not_wrap, "TIMER-21")
{
    RUN_FIBER(never, NULL);
}
