/* Cancellation: down the tree, up to the nearest shield, seen by those who never block; and the budget that makes them look. */
#include "bed.h"

/* ---- the tree --------------------------------------------------------------------------------------------------------- */

struct level {
    int depth;
    int *ended;
    struct sley_scope **ret_scope;
};

static int tree_task(struct level *a);
SLEY_FIBER(tree_task, struct level)

/** Opens a scope with one child below it, and so on; each waits for ever. */
static int tree_task(struct level *a)
{
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    if (a->ret_scope) {
        *a->ret_scope = &sc;
    }
    if (a->depth > 0) {
        CHECK_RC(SLEY_SPAWN(NULL, tree_task, .depth = a->depth - 1, .ended = a->ended), 0);
    }
    CHECK_RC(sley_park(), -ECANCELED);
    (*a->ended)++;
    return sley_scope_fini(&sc);
}

static int cancel_middle(struct none *a)
{
    (void)a;
    struct sley_scope outer, *middle = NULL, *sibling = NULL;
    int ended = 0, sibling_ended = 0;
    CHECK_RC(sley_scope_init(&outer, NULL), 0);
    CHECK_RC(SLEY_SPAWN(NULL, tree_task, .depth = 3, .ended = &ended, .ret_scope = &middle), 0);
    CHECK_RC(SLEY_SPAWN(NULL, tree_task, .depth = 2, .ended = &sibling_ended, .ret_scope = &sibling), 0);
    CHECK_RC(sley_sleep(SLEY_MS), 0);
    CHECK_INT(ended, ==, 0);
    sley_scope_cancel(middle);
    CHECK_RC(sley_sleep(SLEY_MS), 0); /* the parent is not cancelled */
    CHECK_INT(ended, ==, 4);
    CHECK_INT(sibling_ended, ==, 0);
    sley_scope_cancel(sibling);
    CHECK_RC(sley_scope_wait(&outer), 0);
    CHECK_INT(sibling_ended, ==, 3);
    return sley_scope_fini(&outer);
}
SLEY_FIBER(cancel_middle, struct none)

SLEY_TEST(cancel_reaches_all_descendants_and_nobody_else, "JOIN-18")
{
    RUN_FIBER(cancel_middle, NULL);
}

SLEY_TEST(task_cancel_reaches_the_scopes_it_opened, "JOIN-18 JOIN-16")
{
    struct bed b;
    int ended = 0;
    bed_start(&b);
    struct sley_task *t = bed_spawn(&b, &tree_task__type, &(struct level){.depth = 3, .ended = &ended});
    bed_settle(&b);
    sley_task_cancel(t);
    bed_settle(&b);
    CHECK(sley_task_done(t));
    CHECK_INT(ended, ==, 4);
    sley_task_unref(t);
    bed_end(&b);
}

static void *cancel_scope(void *scope)
{
    sley_scope_cancel(scope);
    return NULL;
}

SLEY_TEST(scope_cancelled_by_another_thread, "JOIN-11")
{
    for (int i = 0; i < 50; i++) {
        struct bed b;
        pthread_t threads[2];
        int ended = 0;
        struct sley_scope *sc = NULL;
        bed_start(&b);
        struct sley_task *t = bed_spawn(&b, &tree_task__type, &(struct level){2, &ended, &sc});
        bed_settle(&b);
        for (int k = 0; k < 2; k++) {
            CHECK_INT(pthread_create(&threads[k], NULL, cancel_scope, sc), ==, 0);
            if (i % 2 == 0) {
                break; /* both only while the scope stays: the first alone, or both before home looks */
            }
        }
        if (i % 2) {
            CHECK_INT(pthread_join(threads[0], NULL), ==, 0);
            CHECK_INT(pthread_join(threads[1], NULL), ==, 0);
        }
        bed_run_until(&b, t);
        if (i % 2 == 0) {
            CHECK_INT(pthread_join(threads[0], NULL), ==, 0);
        }
        CHECK_INT(ended, ==, 3);
        sley_task_unref(t);
        bed_end(&b);
    }
}

/* ---- shields ---------------------------------------------------------------------------------------------------------- */

static int shielded(struct none *a)
{
    (void)a;
    struct sley_scope outer, sc;
    CHECK_RC(sley_scope_init(&outer, NULL), 0);
    sley_scope_cancel(&outer);
    CHECK_RC(sley_sleep(SLEY_MS), -ECANCELED);
    CHECK(sley_cancelled());
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.deadline_ns = sley_after_ns(SLEY_S), .flags = SLEY_SCOPE_SHIELD}), 0);
    CHECK(!sley_cancelled());
    CHECK_RC(sley_sleep(SLEY_MS), 0);
    struct sley_scope inner;
    CHECK_RC(sley_scope_init(&inner, NULL), 0);
    CHECK_RC(sley_sleep(SLEY_MS), 0);
    sley_scope_cancel(&inner);
    CHECK_RC(sley_sleep(SLEY_MS), -ECANCELED);
    CHECK_RC(sley_scope_fini(&inner), 0);
    CHECK_RC(sley_sleep(SLEY_MS), 0);
    CHECK_RC(sley_sleep(SLEY_NEVER), -ECANCELED); /* its own deadline */
    CHECK_RC(sley_scope_fini(&sc), -ETIMEDOUT);
    CHECK(sley_cancelled());
    CHECK_RC(sley_sleep(SLEY_MS), -ECANCELED);
    CHECK_RC(sley_scope_fini(&outer), 0);
    CHECK(!sley_cancelled());
    return sley_sleep(SLEY_MS);
}
SLEY_FIBER(shielded, struct none)

static int shield_against_task_cancel(int **count)
{
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.deadline_ns = sley_after_ns(SLEY_S), .flags = SLEY_SCOPE_SHIELD}), 0);
    CHECK_RC(sley_sleep(10 * SLEY_MS), 0);
    **count = 1;
    CHECK_RC(sley_scope_fini(&sc), 0);
    CHECK_RC(sley_sleep(10 * SLEY_MS), -ECANCELED);
    **count = 2;
    return 0;
}
SLEY_FIBER(shield_against_task_cancel, int *)

SLEY_TEST(shield_stops_cancels_from_outside_until_its_own_deadline, "")
{
    RUN_FIBER(shielded, NULL);
    struct bed b;
    int count = 0, *pcount = &count;
    bed_start(&b);
    struct sley_task *t = bed_spawn(&b, &shield_against_task_cancel__type, &pcount);
    bed_settle(&b);
    sley_task_cancel(t);
    bed_settle(&b);
    CHECK_INT(count, ==, 0);
    bed_run_until(&b, t);
    CHECK_INT(count, ==, 2);
    sley_task_unref(t);
    bed_end(&b);
}

/* ---- scopes that are opened when it is too late ----------------------------------------------------------------------- */

static int park_child(struct none *a)
{
    (void)a;
    return sley_park();
}
SLEY_FIBER(park_child, struct none)

static int open_when_cancelled(struct none *a)
{
    (void)a;
    struct sley_scope outer, sc, again;
    CHECK_RC(sley_scope_init(&outer, NULL), 0);
    sley_scope_cancel(&outer);
    CHECK_RC(sley_yield(), -ECANCELED); /* seen */
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN(NULL, park_child, .none = 0), 0);
    CHECK_RC(sley_scope_wait(&sc), -ECANCELED); /* or for ever */
    CHECK_RC(sley_scope_fini(&sc), 0);
    CHECK_RC(sley_scope_fini(&outer), 0);
    CHECK_RC(sley_scope_init(&again, NULL), 0); /* what was cancelled has been left */
    CHECK_RC(sley_sleep(SLEY_MS), 0);
    return sley_scope_fini(&again);
}
SLEY_FIBER(open_when_cancelled, struct none)

SLEY_TEST(regress_scope_opened_in_a_cancelled_task, "")
{
    RUN_FIBER(open_when_cancelled, NULL);
}

/* ---- detach ----------------------------------------------------------------------------------------------------------- */

static int detached(int **count)
{
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(sley_sleep(10 * SLEY_MS), 0);
    **count = 1;
    CHECK_RC(sley_scope_fini(&sc), 0);
    return sley_park();
}
SLEY_FIBER(detached, int *)

static int detacher(int **count)
{
    struct sley_scope sc;
    struct sley_task *t;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(sley_spawn(&sc, &detached__type, count, NULL, &t), 0);
    CHECK_RC(sley_yield(), 0);
    CHECK_RC(sley_task_detach(t), 0);
    CHECK_UINT(sley_scope_count(&sc), ==, 0);
    sley_task_unref(t);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(detacher, int *)

SLEY_TEST(detached_task_outlives_its_scope_and_ends_with_the_runtime, "TASK-03")
{
    struct bed b;
    int count = 0, *pcount = &count;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &detacher__type, &pcount), ==, 0);
    CHECK_INT(count, ==, 0);
    CHECK_UINT(sley_sched_live(b.sched), ==, 1);
    b.now_ns += SLEY_S;
    bed_settle(&b);
    CHECK_INT(count, ==, 1);
    CHECK_UINT(sley_sched_live(b.sched), ==, 1);
    bed_end(&b);
}

/* ---- those who never block -------------------------------------------------------------------------------------------- */

static unsigned relayed[2];

/** Always runnable: takes a ready node again and again, and wakes the other by yielding. */
static int relay(unsigned *me)
{
    for (;;) {
        struct gate g = {0};
        const int rc = gate_wait(&g, GATE_READY);
        if (rc < 0) {
            return rc;
        }
        relayed[*me]++;
    }
}
SLEY_FIBER(relay, unsigned)

static int two_relays(struct none *a)
{
    (void)a;
    struct sley_scope sc;
    int result;
    relayed[0] = relayed[1] = 0;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_COLLECT}), 0);
    CHECK_RC(sley_spawn(NULL, &relay__type, &(unsigned){0}, NULL, NULL), 0);
    CHECK_RC(sley_spawn(NULL, &relay__type, &(unsigned){1}, NULL, NULL), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_RC(sley_yield(), 0);
    }
    CHECK_UINT(relayed[0], ==, 10 * 128); /* the 129th draw of a turn yields */
    CHECK_UINT(relayed[1], ==, 10 * 128);
    sley_scope_cancel(&sc);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(sley_scope_next(&sc, NULL, &result), ==, 1);
        CHECK_RC(result, -ECANCELED);
    }
    return sley_scope_fini(&sc);
}
SLEY_FIBER(two_relays, struct none)

SLEY_TEST(relays_that_never_block_see_their_cancel, "LOCAL-23 LOCAL-10")
{
    RUN_FIBER(two_relays, NULL);
}

struct taker {
    struct sley_frame frame;
    struct gate gate;
    unsigned count;
    unsigned *ret_resumes;
};

static enum sley_step take_thousand(struct taker *f)
{
    int rc;
    ++*f->ret_resumes;
    SLEY_BEGIN(f);
    while (f->count++ < 1000) {
        SLEY_CALL(f, rc, gate, &f->gate, GATE_READY);
        CHECK_INT(rc, ==, 7);
    }
    SLEY_END(f);
}
SLEY_FRAME(take_thousand, struct taker)

SLEY_TEST(thousand_ready_completions_yield_every_128, "LOCAL-10")
{
    struct bed b;
    unsigned resumes = 0;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &take_thousand__type, &(struct taker){.ret_resumes = &resumes}), ==, 0);
    CHECK_UINT(resumes, ==, 1 + 999 / 128);
    bed_end(&b);
}

static int draw_then_wait(struct none *a)
{
    (void)a;
    struct sley_sched *s = sley_sched_current();
    struct gate g = {0};
    const int32_t before = s->budget;
    CHECK_INT(before, ==, 128);
    gate_start(&g, GATE_PLAIN);
    CHECK_INT(s->budget, ==, before); /* it has to wait: nothing was drawn */
    CHECK_RC(sley_wait_fini(&g.wait), -ECANCELED);
    gate_start(&g, GATE_READY);
    CHECK_INT(sley_sched_current()->budget, ==, before - 1);
    return 0;
}
SLEY_FIBER(draw_then_wait, struct none)

SLEY_TEST(only_progress_costs_budget, "LOCAL-11")
{
    RUN_FIBER(draw_then_wait, NULL);
}

static int consume_until_yield(struct none *a)
{
    (void)a;
    struct sley_scope sc;
    unsigned zero = 0;
    relayed[0] = 0;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(sley_spawn(NULL, &relay__type, &zero, NULL, NULL), 0);
    for (int i = 0; i < 127; i++) {
        CHECK_RC(sley_consume(), 0);
        CHECK_UINT(relayed[0], ==, 0);
    }
    CHECK_RC(sley_consume(), 0);
    CHECK_UINT(relayed[0], ==, 128);
    sley_scope_cancel(&sc);
    CHECK_RC(sley_consume(), -ECANCELED);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(consume_until_yield, struct none)

struct consumer {
    struct sley_frame frame;
    struct sley_scope scope;
    struct sley_scope_op op;
    int i;
};

static enum sley_step consume_in_frame(struct consumer *f)
{
    int rc;
    SLEY_BEGIN(f);
    CHECK_RC(sley_scope_init(&f->scope, NULL), 0);
    for (f->i = 0; f->i < 300; f->i++) {
        SLEY_CONSUME(f, rc);
        CHECK_RC(rc, 0);
    }
    SLEY_YIELD(f, rc);
    CHECK_RC(rc, 0);
    sley_scope_cancel(&f->scope);
    SLEY_CONSUME(f, rc);
    CHECK_RC(rc, -ECANCELED);
    SLEY_YIELD(f, rc);
    CHECK_RC(rc, -ECANCELED);
    SLEY_PARK(f, rc);
    CHECK_RC(rc, -ECANCELED);
    SLEY_CALL(f, rc, sley_scope_fini, &f->op, &f->scope);
    CHECK_RC(rc, 0);
    SLEY_RETURN(f, 0);
    SLEY_END(f);
}
SLEY_FRAME(consume_in_frame, struct consumer)

SLEY_TEST(consume_yields_when_the_budget_is_used_up, "LOCAL-10 LOCAL-23")
{
    RUN_FIBER(consume_until_yield, NULL);
    RUN_FIBER(consume_in_frame, NULL);
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------------- */

static struct gate *slow_gate;

static int slow_verdict(struct none *a)
{
    (void)a;
    struct gate g = {0};
    slow_gate = &g;
    const int rc = gate_wait(&g, GATE_SLOW);
    CHECK_INT(rc, ==, 9); /* its own verdict, never replaced */
    CHECK_UINT(g.cancel_count, ==, 1);
    return sley_yield();
}
SLEY_FIBER(slow_verdict, struct none)

SLEY_TEST(cancelled_wait_lasts_until_the_verdict, "")
{
    struct bed b;
    int result = 0;
    bed_start(&b);
    struct sley_task *t = bed_spawn(&b, &slow_verdict__type, NULL);
    bed_settle(&b);
    sley_task_cancel(t);
    bed_settle(&b);
    CHECK_UINT(slow_gate->cancel_count, ==, 1);
    CHECK(!sley_task_done(t));
    gate_open_elsewhere(slow_gate);
    bed_run_until(&b, t);
    CHECK_RC(sley_task_result(t, &result), 0);
    CHECK_RC(result, -ECANCELED);
    sley_task_unref(t);
    bed_end(&b);
}

static int clean_up(struct none *a)
{
    (void)a;
    struct gate never = {0};
    CHECK_RC(sley_wait_fini(&never.wait), 0);
    {
        SLEY_OP(struct gate, g);
        gate_start(&g, GATE_PLAIN);
        slow_gate = &g;
    }
    struct gate g = {0};
    CHECK_INT(gate_wait(&g, GATE_READY), ==, 7);
    CHECK_INT(sley_wait_fini(&g.wait), ==, 7);
    sley_wait_cancel(&g.wait);
    CHECK_INT(sley_await(&g.wait), ==, 7);
    return 0;
}
SLEY_FIBER(clean_up, struct none)

SLEY_TEST(fini_is_safe_on_every_state_of_a_node, "")
{
    RUN_FIBER(clean_up, NULL);
    CHECK_INT(clean_up(NULL), ==, 0); /* the same on a plain thread */
}
