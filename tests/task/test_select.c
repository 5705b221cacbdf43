/* Select, and waits under a deadline: winners, losers, who is cancelled and when. */
#include "bed.h"

static int fairness(struct none *a)
{
    (void)a;
    unsigned wins[3] = {0}, fair[3] = {0};
    for (int i = 0; i < 1000; i++) {
        struct gate g[3] = {{.cancel_count = 0}};
        struct sley_wait *w[] = {&g[0].wait, &g[1].wait, &g[2].wait};
        for (int k = 0; k < 3; k++) {
            gate_start(&g[k], GATE_READY);
        }
        const int won = sley_select(w, 3, 0);
        CHECK(won >= 0 && won < 3);
        wins[won]++;
        const int won_fair = sley_select(w, 3, SLEY_SELECT_FAIR);
        CHECK(won_fair >= 0 && won_fair < 3);
        fair[won_fair]++;
    }
    CHECK_UINT(wins[0], ==, 1000);
    for (int k = 0; k < 3; k++) {
        CHECK_UINT(fair[k], >=, 300);
    }
    return 0;
}
SLEY_FIBER(fairness, struct none)

SLEY_TEST(select_takes_the_first_in_order_or_rotates, "SEL-01 SEL-06")
{
    RUN_FIBER(fairness, NULL);
}

static struct gate *open_later;
static int open_result;

static int opener(struct none *a)
{
    (void)a;
    sley_wait_complete(&open_later->wait, open_result);
    return 0;
}
SLEY_FIBER(opener, struct none)

static void open_soon(struct gate *g, int result)
{
    open_later = g;
    open_result = result;
    CHECK_RC(SLEY_SPAWN(NULL, opener, .none = 0), 0);
}

static int losers(struct none *a)
{
    (void)a;
    struct gate g[3] = {{.cancel_count = 0}};
    struct sley_wait *w[] = {&g[0].wait, &g[1].wait, &g[2].wait};
    for (int k = 0; k < 3; k++) {
        gate_start(&g[k], GATE_PLAIN);
    }
    open_soon(&g[1], 4);
    CHECK_INT(sley_select(w, 3, 0), ==, 1);
    CHECK_INT(g[1].wait.result, ==, 4);
    for (int k = 0; k < 3; k += 2) { /* cancelled AND done when select returns */
        CHECK(sley_wait_done(&g[k].wait));
        CHECK_RC(g[k].wait.result, -ECANCELED);
        CHECK_UINT(g[k].cancel_count, ==, 1);
    }
    for (int k = 0; k < 3; k++) {
        gate_start(&g[k], GATE_PLAIN);
    }
    open_soon(&g[2], 5);
    CHECK_INT(sley_select(w, 3, SLEY_SELECT_KEEP), ==, 2);
    CHECK(!sley_wait_done(&g[0].wait) && !sley_wait_done(&g[1].wait));
    sley_wait_complete(&g[0].wait, 6); /* what a kept one gets is not lost */
    CHECK_INT(sley_select(w, 2, SLEY_SELECT_KEEP), ==, 0);
    CHECK_INT(g[0].wait.result, ==, 6);
    CHECK_RC(sley_wait_fini(&g[1].wait), -ECANCELED);
    return 0;
}
SLEY_FIBER(losers, struct none)

SLEY_TEST(losers_are_cancelled_and_done_or_kept, "SEL-02")
{
    RUN_FIBER(losers, NULL);
}

static int slow_loser(struct none *a)
{
    (void)a;
    struct gate g[2] = {{.cancel_count = 0}};
    struct sley_wait *w[] = {&g[0].wait, &g[1].wait};
    gate_start(&g[0], GATE_READY);
    gate_start(&g[1], GATE_SLOW);
    open_soon(&g[1], 8); /* its true result comes after the question */
    CHECK_INT(sley_select(w, 2, 0), ==, 0);
    CHECK_UINT(g[1].cancel_count, ==, 1);
    CHECK(sley_wait_done(&g[1].wait));
    CHECK_INT(g[1].wait.result, ==, 8);
    return 0;
}
SLEY_FIBER(slow_loser, struct none)

SLEY_TEST(select_waits_for_the_verdict_of_a_slow_loser, "SEL-02")
{
    RUN_FIBER(slow_loser, NULL);
}

static int switched_off(struct none *a)
{
    (void)a;
    struct gate g[2] = {{.cancel_count = 0}};
    struct sley_wait *w[] = {NULL, &g[1].wait, NULL};
    gate_start(&g[1], GATE_PLAIN);
    open_soon(&g[1], 1);
    CHECK_INT(sley_select(w, 3, 0), ==, 1);
    return 0;
}
SLEY_FIBER(switched_off, struct none)

SLEY_TEST(null_entries_are_not_looked_at, "SEL-03")
{
    RUN_FIBER(switched_off, NULL);
}

struct selector {
    struct sley_frame frame;
    struct gate gates[2];
    struct sley_wait *waits[2];
    unsigned count;
    unsigned *ret_resumes;
};

static enum sley_step select_ready(struct selector *f)
{
    int rc;
    ++*f->ret_resumes;
    SLEY_BEGIN(f);
    f->waits[0] = &f->gates[0].wait;
    f->waits[1] = &f->gates[1].wait;
    while (f->count++ < 129) {
        gate_start(&f->gates[0], GATE_READY);
        gate_start(&f->gates[1], GATE_PLAIN);
        SLEY_SELECT(f, rc, f->waits, 2, 0);
        CHECK_INT(rc, ==, 0);
    }
    SLEY_END(f);
}
SLEY_FRAME(select_ready, struct selector)

SLEY_TEST(loop_of_ready_selects_draws_on_the_budget, "SEL-04")
{
    struct bed b;
    unsigned resumes = 0;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &select_ready__type, &(struct selector){.ret_resumes = &resumes}), ==, 0);
    CHECK_UINT(resumes, ==, 2);
    bed_end(&b);
}

static int of_nothing(struct none *a)
{
    (void)a;
    struct sley_wait *w[2] = {NULL, NULL};
    struct gate never = {0};
    struct sley_wait *unstarted[1] = {&never.wait};
    CHECK_RC(sley_select(w, 0, 0), -EINVAL);
    CHECK_RC(sley_select(NULL, 2, 0), -EINVAL);
    CHECK_RC(sley_select(w, 2, 0), -EINVAL);
    CHECK_RC(sley_select(unstarted, 1, 0), -EINVAL);
    CHECK_RC(sley_select(w, 65536, 0), -EINVAL);
    return 0;
}
SLEY_FIBER(of_nothing, struct none)

/* Select has no deadline of its own here (a timer among its nodes, or SLEY_UNTIL): of nothing it is a misuse in any case. */
SLEY_TEST(select_of_nothing_is_refused, "SEL-05")
{
    RUN_FIBER(of_nothing, NULL);
    CHECK_INT(of_nothing(NULL), ==, 0);
}

static struct gate shared[2];

static int select_cancelled(uint32_t *flags)
{
    struct sley_wait *w[] = {&shared[0].wait, &shared[1].wait};
    gate_start(&shared[0], GATE_PLAIN);
    gate_start(&shared[1], GATE_SLOW);
    CHECK_RC(sley_select(w, 2, *flags), -ECANCELED);
    CHECK(sley_wait_done(w[0]) && sley_wait_done(w[1])); /* KEEP or not */
    CHECK_RC(w[0]->result, -ECANCELED);
    return w[1]->result;
}
SLEY_FIBER(select_cancelled, uint32_t)

SLEY_TEST(cancelled_select_ends_with_every_node_done, "SEL-02")
{
    const uint32_t flags[] = {0, SLEY_SELECT_KEEP, SLEY_SELECT_FAIR};
    for (size_t i = 0; i < 3; i++) {
        struct bed b;
        int result;
        bed_start(&b);
        memset(shared, 0, sizeof shared);
        struct sley_task *t = bed_spawn(&b, &select_cancelled__type, &flags[i]);
        bed_settle(&b);
        sley_task_cancel(t);
        bed_settle(&b);
        CHECK(!sley_task_done(t));
        gate_open(&b, &shared[1], 3);
        bed_run_until(&b, t);
        CHECK_RC(sley_task_result(t, &result), 0);
        CHECK_INT(result, ==, 3); /* a true result, to be looked at */
        sley_task_unref(t);
        bed_end(&b);
    }
}

static int cancelled_by_owner(struct none *a)
{
    (void)a;
    struct gate g[2] = {{.cancel_count = 0}};
    struct sley_wait *w[] = {&g[0].wait, &g[1].wait};
    gate_start(&g[0], GATE_PLAIN);
    gate_start(&g[1], GATE_PLAIN);
    sley_wait_cancel(&g[0].wait);
    CHECK_INT(sley_select(w, 2, SLEY_SELECT_KEEP), ==, 0); /* done is done */
    CHECK_RC(g[0].wait.result, -ECANCELED);
    gate_start(&g[0], GATE_SLOW);
    sley_wait_cancel(&g[0].wait);
    open_soon(&g[1], 2);
    CHECK_INT(sley_select(w, 2, SLEY_SELECT_KEEP), ==, 1); /* the other one is waited for as ever */
    CHECK_INT(g[1].wait.result, ==, 2);
    sley_wait_complete(&g[0].wait, -ECANCELED);
    return 0;
}
SLEY_FIBER(cancelled_by_owner, struct none)

SLEY_TEST(regress_select_over_a_node_that_its_owner_has_cancelled, "")
{
    RUN_FIBER(cancelled_by_owner, NULL);
}

/* ---- deadlines -------------------------------------------------------------------------------------------------------- */

static int within(uint64_t deadline_ns, struct gate *g)
{
    return SLEY_UNTIL(deadline_ns, gate_wait(g, GATE_PLAIN));
}

static int deadlines(struct none *a)
{
    (void)a;
    struct gate g = {0};
    const uint64_t start = sley_now_ns();
    gate_start(&g, GATE_PLAIN);
    CHECK_RC(sley_await_until(&g.wait, sley_after_ns(10 * SLEY_MS)), -ETIMEDOUT);
    CHECK(sley_wait_done(&g.wait)); /* cancelled, and its cleanup has run */
    CHECK_UINT(g.cancel_count, ==, 1);
    CHECK_UINT(sley_now_ns() - start, >=, 10 * SLEY_MS);
    gate_start(&g, GATE_READY);
    CHECK_INT(sley_await_until(&g.wait, 0), ==, 7);
    gate_start(&g, GATE_PLAIN);
    CHECK_RC(sley_await_until(&g.wait, 0), -ETIMEDOUT);
    gate_start(&g, GATE_PLAIN);
    open_soon(&g, 4);
    CHECK_INT(sley_await_until(&g.wait, SLEY_NEVER), ==, 4);
    gate_start(&g, GATE_SLOW);
    open_soon(&g, 5); /* the deadline asks; the true result is the verdict */
    CHECK_INT(sley_await_until(&g.wait, 1), ==, 5);
    CHECK_UINT(g.cancel_count, ==, 1);
    gate_start(&g, GATE_PLAIN);
    sley_wait_complete(&g.wait, -ECANCELED); /* somebody else's cancel is not a time-out */
    CHECK_RC(sley_await_until(&g.wait, 1), -ECANCELED);
    CHECK_INT(SLEY_UNTIL(sley_after_ns(SLEY_S), gate_wait(&g, GATE_READY)), ==, 7);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), gate_wait(&g, GATE_PLAIN)), -ETIMEDOUT);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_S), within(sley_after_ns(SLEY_MS), &g)), -ETIMEDOUT);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), within(sley_after_ns(SLEY_S), &g)), -ETIMEDOUT);
    CHECK_RC(sley_sleep(SLEY_MS), 0);
    return 0;
}
SLEY_FIBER(deadlines, struct none)

SLEY_TEST(deadline_asks_and_the_verdict_counts, "SEL-08 TIMER-18")
{
    RUN_FIBER(deadlines, NULL);
}

static int thread_deadlines(void)
{
    struct gate g = {0};
    gate_start(&g, GATE_PLAIN);
    CHECK_RC(sley_await_until(&g.wait, sley_after_ns(SLEY_MS)), -ETIMEDOUT);
    CHECK_UINT(g.cancel_count, ==, 1);
    gate_start(&g, GATE_PLAIN);
    CHECK_RC(sley_await_until(&g.wait, 0), -ETIMEDOUT);
    CHECK_INT(SLEY_UNTIL(0, gate_wait(&g, GATE_READY)), ==, 7);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), gate_wait(&g, GATE_PLAIN)), -ETIMEDOUT);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_S), within(sley_after_ns(SLEY_MS), &g)), -ETIMEDOUT);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), within(sley_after_ns(SLEY_S), &g)), -ETIMEDOUT);
    struct sley_timer timers[2] = {{.wait.result = 0}};
    struct sley_wait *w[] = {&g.wait, &timers[0].wait, &timers[1].wait};
    gate_start(&g, GATE_PLAIN);
    sley_sleep_start(&timers[0], SLEY_S);
    sley_sleep_start(&timers[1], SLEY_MS);
    CHECK_INT(sley_select(w, 3, 0), ==, 2);
    CHECK_RC(g.wait.result, -ECANCELED);
    CHECK_RC(timers[0].wait.result, -ECANCELED);
    return 0;
}

SLEY_TEST(plain_thread_waits_under_deadlines_too, "SEL-08 TIMER-18")
{
    CHECK_INT(thread_deadlines(), ==, 0);
}

static int past_until(struct none *a)
{
    (void)a;
    struct gate g = {0};
    CHECK_INT(SLEY_UNTIL(sley_now_ns(), gate_wait(&g, GATE_READY)), ==, 7); /* tried once */
    CHECK_INT(SLEY_UNTIL(0, gate_wait(&g, GATE_READY)), ==, 7);
    CHECK_RC(SLEY_UNTIL(0, gate_wait(&g, GATE_PLAIN)), -ETIMEDOUT);
    CHECK_RC(sley_sleep(SLEY_MS), 0);
    return 0;
}
SLEY_FIBER(past_until, struct none)

SLEY_TEST(regress_until_with_a_past_deadline_tries_once, "TIMER-18")
{
    RUN_FIBER(past_until, NULL);
}

struct until_frame {
    struct sley_frame frame;
    struct gate gate;
    struct sley_timer timer;
    uint64_t start_ns;
};

static enum sley_step until_in_frame(struct until_frame *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL_UNTIL(f, rc, &f->timer, sley_after_ns(10 * SLEY_MS), gate, &f->gate, GATE_PLAIN);
    CHECK_RC(rc, -ETIMEDOUT);
    SLEY_CALL_UNTIL(f, rc, &f->timer, 0, gate, &f->gate, GATE_READY);
    CHECK_INT(rc, ==, 7);
    SLEY_CALL_UNTIL(f, rc, &f->timer, 0, gate, &f->gate, GATE_PLAIN);
    CHECK_RC(rc, -ETIMEDOUT);
    open_soon(&f->gate, 3);
    SLEY_CALL_UNTIL(f, rc, &f->timer, sley_after_ns(SLEY_S), gate, &f->gate, GATE_PLAIN);
    CHECK_INT(rc, ==, 3);
    CHECK(!sley_wheel_armed(&f->timer.node));
    SLEY_RETURN(f, 0);
    SLEY_END(f);
}
SLEY_FRAME(until_in_frame, struct until_frame)

SLEY_TEST(call_until_in_a_frame, "SEL-08 TIMER-18")
{
    RUN_FIBER(until_in_frame, NULL);
}

static struct gate beside;

static int at_the_same_look(struct none *a)
{
    (void)a;
    gate_start(&beside, GATE_PLAIN);
    return sley_await_until(&beside.wait, sley_after_ns(10 * SLEY_MS));
}
SLEY_FIBER(at_the_same_look, struct none)

SLEY_TEST(operation_wins_when_both_are_there_at_the_same_look, "TIMER-18")
{
    struct bed b;
    int result;
    bed_start(&b);
    memset(&beside, 0, sizeof beside);
    struct sley_task *t = bed_spawn(&b, &at_the_same_look__type, NULL);
    bed_settle(&b);
    b.now_ns += SLEY_S;
    gate_open_elsewhere(&beside);
    bed_settle(&b);
    CHECK_RC(sley_task_result(t, &result), 0);
    CHECK_INT(result, ==, 9);
    CHECK_UINT(beside.cancel_count, ==, 0);
    sley_task_unref(t);
    bed_end(&b);
}
