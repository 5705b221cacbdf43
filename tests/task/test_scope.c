/* Scopes: who waits for whom, join sets, deadlines, limits, and how a cancel travels down the tree. */
#include "bed.h"

struct child {
    uint64_t sleep_ns;
    int result;
    int *count;
};

static int child(struct child *a)
{
    const int rc = sley_sleep(a->sleep_ns);
    if (a->count) {
        (*a->count)++;
    }
    return rc < 0 ? rc : a->result;
}
SLEY_FIBER(child, struct child)

/* ---- waiting ---------------------------------------------------------------------------------------------------------- */

static int wait_for_children(struct none *a)
{
    (void)a;
    int count = 0;
    struct sley_scope sc;
    const uint64_t start = sley_now_ns();
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.name = "test"}), 0);
    for (unsigned i = 1; i <= 5; i++) {
        CHECK_RC(SLEY_SPAWN(&sc, child, .sleep_ns = i * 10 * SLEY_MS, .result = (int)i, .count = &count), 0);
    }
    CHECK_UINT(sley_scope_count(&sc), ==, 5);
    CHECK_RC(sley_scope_wait(&sc), 0);
    CHECK_INT(count, ==, 5);
    CHECK_UINT(sley_now_ns() - start, >=, 50 * SLEY_MS);
    CHECK_RC(sley_scope_fini(&sc), 0);
    CHECK_RC(sley_scope_fini(&sc), 0); /* twice is fine */
    CHECK_RC(SLEY_SPAWN(&sc, child, .result = 1), -ESHUTDOWN);
    struct sley_scope zeroed = {0};
    CHECK_RC(sley_scope_fini(&zeroed), 0);
    return 0;
}
SLEY_FIBER(wait_for_children, struct none)

SLEY_TEST(scope_ends_when_its_children_have, "")
{
    RUN_FIBER(wait_for_children, NULL);
}

struct scope_frame {
    struct sley_frame frame;
    struct sley_scope scope;
    struct sley_scope_op op;
    struct sley_task *taken;
    uint64_t start_ns;
    int count, result;
    unsigned i;
};

static enum sley_step scope_in_frame(struct scope_frame *f)
{
    int rc;
    SLEY_BEGIN(f);
    CHECK_RC(sley_scope_init(&f->scope, &(struct sley_scope_opts){.flags = SLEY_SCOPE_COLLECT}), 0);
    for (f->i = 0; f->i < 3; f->i++) {
        CHECK_RC(SLEY_SPAWN(NULL, child, .sleep_ns = (3 - f->i) * SLEY_MS, .result = (int)f->i, .count = &f->count), 0);
    }
    for (f->i = 0; f->i < 3; f->i++) {
        SLEY_CALL(f, rc, sley_scope_next, &f->op, &f->scope, &f->taken, &f->result);
        CHECK_INT(rc, ==, 1);
        CHECK_INT(f->result, ==, 2 - (int)f->i);
        sley_task_unref(f->taken);
    }
    SLEY_CALL(f, rc, sley_scope_next, &f->op, &f->scope, &f->taken, &f->result);
    CHECK_INT(rc, ==, 0);
    CHECK_RC(SLEY_SPAWN(NULL, child, .sleep_ns = SLEY_NEVER, .count = &f->count), 0);
    SLEY_CALL(f, rc, sley_scope_fini, &f->op, &f->scope);
    CHECK_RC(rc, 0);
    CHECK_INT(f->count, ==, 4);
    SLEY_RETURN(f, 0);
    SLEY_END(f);
}
SLEY_FRAME(scope_in_frame, struct scope_frame)

SLEY_TEST(scope_in_a_frame, "SET-01 SET-02")
{
    RUN_FIBER(scope_in_frame, NULL);
}

static int first_error(struct none *a)
{
    (void)a;
    int count = 0;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN(&sc, child, .sleep_ns = 20 * SLEY_MS, .result = -EPIPE, .count = &count), 0);
    CHECK_RC(SLEY_SPAWN(&sc, child, .sleep_ns = 10 * SLEY_MS, .result = -EIO, .count = &count), 0);
    CHECK_RC(SLEY_SPAWN(&sc, child, .sleep_ns = 30 * SLEY_MS, .result = 1, .count = &count), 0);
    CHECK_RC(sley_scope_wait(&sc), -EIO);
    CHECK_INT(count, ==, 3);
    CHECK_RC(sley_scope_fini(&sc), 0);
    return 0;
}
SLEY_FIBER(first_error, struct none)

static int fail_fast(struct none *a)
{
    (void)a;
    int count = 0;
    struct sley_scope sc;
    const uint64_t start = sley_now_ns();
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_FAIL_FAST}), 0);
    CHECK_RC(SLEY_SPAWN(&sc, child, .sleep_ns = 10 * SLEY_MS, .result = -EIO, .count = &count), 0);
    CHECK_RC(SLEY_SPAWN(&sc, child, .sleep_ns = 100 * SLEY_S, .result = 1, .count = &count), 0);
    CHECK_RC(sley_scope_wait(&sc), -EIO);
    CHECK_INT(count, ==, 2);
    CHECK_UINT(sley_now_ns() - start, <, SLEY_S);
    CHECK_RC(sley_sleep(1), -ECANCELED); /* the owner stands in it */
    CHECK_RC(sley_scope_fini(&sc), 0);
    CHECK_RC(sley_sleep(1), 0); /* and outside again */
    return 0;
}
SLEY_FIBER(fail_fast, struct none)

/* There is no join-all of operations; a fail-fast scope is how one waits for all of several tasks. */
SLEY_TEST(first_error_is_kept_and_fail_fast_cancels_the_rest, "SEL-07 TASK-12 SHUT-14")
{
    RUN_FIBER(first_error, NULL);
    RUN_FIBER(fail_fast, NULL);
}

/* ---- join sets -------------------------------------------------------------------------------------------------------- */

static int as_they_finish(struct none *a)
{
    (void)a;
    struct sley_scope sc;
    int result;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_COLLECT}), 0);
    CHECK_RC(sley_scope_next(&sc, NULL, NULL), 0);
    for (unsigned round = 0; round < 2; round++) { /* spawning goes on after the end */
        for (int i = 0; i < 10; i++) {
            CHECK_RC(SLEY_SPAWN(&sc, child, .sleep_ns = (uint64_t)((i * 7 + 3) % 10 + 1) * SLEY_MS, .result = (i * 7 + 3) % 10), 0);
        }
        for (int i = 0; i < 10; i++) {
            CHECK_INT(sley_scope_next(&sc, NULL, &result), ==, 1);
            CHECK_INT(result, ==, i);
        }
        CHECK_RC(sley_scope_next(&sc, NULL, &result), 0);
    }
    return sley_scope_fini(&sc);
}
SLEY_FIBER(as_they_finish, struct none)

SLEY_TEST(children_are_handed_out_as_they_finish, "SET-01")
{
    RUN_FIBER(as_they_finish, NULL);
}

static int leave_parked(struct none *a)
{
    (void)a;
    struct sley_scope sc;
    int count = 0;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_COLLECT}), 0);
    for (int i = 0; i < 16; i++) {
        CHECK_RC(SLEY_SPAWN(NULL, child, .sleep_ns = SLEY_NEVER, .count = &count), 0);
    }
    CHECK_RC(sley_yield(), 0);
    CHECK_RC(sley_scope_fini(&sc), 0);
    CHECK_INT(count, ==, 16);
    return 0;
}
SLEY_FIBER(leave_parked, struct none)

SLEY_TEST(leaving_a_set_cancels_and_awaits_what_is_parked, "SET-02 JOIN-16")
{
    RUN_FIBER(leave_parked, NULL);
}

static int five_and_five(struct none *a)
{
    (void)a;
    struct sley_scope sc;
    int values = 0, cancelled = 0, result;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_COLLECT}), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_RC(SLEY_SPAWN(NULL, child, .sleep_ns = i % 2 ? SLEY_NEVER : 0, .result = 8), 0);
    }
    CHECK_RC(sley_yield(), 0);
    sley_scope_cancel(&sc);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(sley_scope_next(&sc, NULL, &result), ==, 1);
        values += result == 8;
        cancelled += result == -ECANCELED;
    }
    CHECK_RC(sley_scope_next(&sc, NULL, &result), 0);
    CHECK_INT(values, ==, 5);
    CHECK_INT(cancelled, ==, 5);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(five_and_five, struct none)

SLEY_TEST(cancel_all_keeps_what_has_finished, "SET-03")
{
    RUN_FIBER(five_and_five, NULL);
}

static unsigned other_turns;

static int count_turns(struct none *a)
{
    (void)a;
    while (sley_yield() == 0) {
        other_turns++;
    }
    return 0;
}
SLEY_FIBER(count_turns, struct none)

static int take_thousand(struct none *a)
{
    (void)a;
    struct sley_scope sc, outer;
    struct sley_task *t;
    int result;
    CHECK_RC(sley_scope_init(&outer, NULL), 0);
    CHECK_RC(SLEY_SPAWN(&outer, count_turns, .none = 0), 0);
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_COLLECT}), 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_RC(SLEY_SPAWN(NULL, child, .result = i), 0);
    }
    while (sley_scope_count(&sc)) {
        CHECK_RC(sley_yield(), 0);
    }
    other_turns = 0;
    for (int i = 0; i < 1000; i++) {
        if (i % 3) {
            CHECK_INT(sley_scope_next(&sc, NULL, &result), ==, 1);
        } else {
            CHECK_INT(sley_scope_try_next(&sc, &t, &result), ==, 1);
            sley_task_unref(t);
        }
        CHECK_INT(result, ==, i);
    }
    CHECK_RC(sley_scope_try_next(&sc, NULL, NULL), 0);
    CHECK_UINT(other_turns, >=, 667 / 128);
    CHECK_UINT(other_turns, <=, 667 / 128 + 2);
    CHECK_RC(sley_scope_fini(&sc), 0);
    return sley_scope_fini(&outer);
}
SLEY_FIBER(take_thousand, struct none)

SLEY_TEST(taking_finished_children_draws_on_the_budget, "SET-04")
{
    RUN_FIBER(take_thousand, NULL);
}

static struct sley_scope *shared;
static int taken_beside;

static int try_beside(struct none *a)
{
    (void)a;
    CHECK_RC(sley_scope_try_next(shared, NULL, NULL), -EAGAIN);
    taken_beside++;
    return 0;
}
SLEY_FIBER(try_beside, struct none)

static int next_with_a_try(struct none *a)
{
    (void)a;
    struct sley_scope outer, sc;
    int result = 0;
    CHECK_RC(sley_scope_init(&outer, NULL), 0);
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_COLLECT}), 0);
    shared = &sc;
    CHECK_RC(SLEY_SPAWN(&sc, child, .sleep_ns = SLEY_MS, .result = 6), 0);
    CHECK_RC(SLEY_SPAWN(&outer, try_beside, .none = 0), 0);
    CHECK_INT(sley_scope_next(&sc, NULL, &result), ==, 1);
    CHECK_INT(result, ==, 6);
    CHECK_INT(taken_beside, ==, 1);
    CHECK_RC(sley_scope_fini(&sc), 0);
    return sley_scope_fini(&outer);
}
SLEY_FIBER(next_with_a_try, struct none)

SLEY_TEST(take_without_waiting_leaves_the_waiter_registered, "SET-05")
{
    taken_beside = 0;
    RUN_FIBER(next_with_a_try, NULL);
}

static int collect_at_shutdown(int *a)
{
    struct sley_scope sc;
    int result, n = 0;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_COLLECT}), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_RC(SLEY_SPAWN(NULL, child, .sleep_ns = SLEY_NEVER), 0);
    }
    while (sley_scope_next(&sc, NULL, &result) == 1) {
        CHECK_RC(result, -ECANCELED);
        n++;
    }
    CHECK_RC(sley_scope_fini(&sc), 0);
    *a = n;
    return 0;
}
static int collect_args(int **a)
{
    return collect_at_shutdown(*a);
}
SLEY_FIBER(collect_args, int *)

/* The set lives in a task of the same runtime, so it is the runtime's stop that ends the children. */
SLEY_TEST(set_whose_runtime_stops_hands_out_cancelled_children, "SET-06 SHUT-03")
{
    struct bed b;
    int n = 0, *pn = &n;
    bed_start(&b);
    sley_task_unref(bed_spawn(&b, &collect_args__type, &pn));
    bed_settle(&b);
    bed_end(&b);
    CHECK_INT(n, ==, 3);
}

static bool closer_done;

static int close_tracker(unsigned *moment)
{
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    shared = &sc;
    int count = 0;
    for (unsigned i = 0; i < 5; i++) {
        CHECK_RC(SLEY_SPAWN(&sc, child, .sleep_ns = i * SLEY_MS, .count = &count), 0);
    }
    for (unsigned i = 0; i < *moment; i++) {
        CHECK_RC(sley_sleep(SLEY_MS / 2), 0);
    }
    CHECK_INT(sley_scope_count(&sc), ==, 5 - count);
    CHECK_RC(sley_scope_wait(&sc), 0);
    CHECK_INT(count, ==, 5);
    closer_done = true;
    return sley_scope_fini(&sc);
}
SLEY_FIBER(close_tracker, unsigned)

SLEY_TEST(wait_ends_exactly_when_the_scope_is_empty, "SET-07")
{
    for (unsigned moment = 0; moment < 12; moment++) {
        struct bed b;
        bed_start(&b);
        closer_done = false;
        CHECK_INT(bed_run(&b, &close_tracker__type, &moment), ==, 0);
        CHECK(closer_done);
        bed_end(&b);
    }
}

/* ---- deadlines -------------------------------------------------------------------------------------------------------- */

static int bundle(struct none *a)
{
    (void)a;
    struct sley_scope sc;
    uint64_t start = sley_now_ns();
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.deadline_ns = sley_after_ns(SLEY_S)}), 0);
    CHECK_RC(SLEY_SPAWN(NULL, child, .sleep_ns = 50 * SLEY_MS), 0);
    CHECK_RC(SLEY_SPAWN(NULL, child, .sleep_ns = 100 * SLEY_MS), 0);
    CHECK_RC(sley_scope_wait(&sc), 0);
    CHECK_UINT(sley_now_ns() - start, >=, 100 * SLEY_MS);
    CHECK_UINT(sley_now_ns() - start, <=, 102 * SLEY_MS);
    CHECK_RC(sley_scope_fini(&sc), 0);
    start = sley_now_ns();
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.deadline_ns = sley_after_ns(SLEY_S)}), 0);
    int count = 0;
    CHECK_RC(SLEY_SPAWN(NULL, child, .sleep_ns = SLEY_NEVER, .count = &count), 0);
    CHECK_RC(sley_scope_wait(&sc), -ETIMEDOUT);
    CHECK_UINT(sley_now_ns() - start, <=, SLEY_S + 2 * SLEY_MS);
    CHECK_INT(count, ==, 1);
    CHECK_RC(sley_sleep(1), -ECANCELED);
    CHECK_RC(sley_scope_fini(&sc), -ETIMEDOUT);
    CHECK_RC(sley_sleep(1), 0); /* leaving it leaves the task uncancelled */
    return 0;
}
SLEY_FIBER(bundle, struct none)

SLEY_TEST(bundle_with_a_deadline, "SET-08 SEL-08")
{
    RUN_FIBER(bundle, NULL);
}

static int move_deadline(struct none *a)
{
    (void)a;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.deadline_ns = sley_after_ns(10 * SLEY_MS)}), 0);
    for (int i = 0; i < 20; i++) { /* the idle timeout of a connection */
        CHECK_RC(sley_sleep(5 * SLEY_MS), 0);
        sley_scope_deadline(&sc, sley_after_ns(10 * SLEY_MS));
    }
    sley_scope_deadline(&sc, SLEY_NEVER);
    CHECK_RC(sley_sleep(SLEY_S), 0);
    sley_scope_deadline(&sc, sley_now_ns());
    CHECK_RC(sley_sleep(SLEY_S), -ECANCELED);
    return sley_scope_fini(&sc) == -ETIMEDOUT ? 0 : -1;
}
SLEY_FIBER(move_deadline, struct none)

SLEY_TEST(deadline_moves, "")
{
    RUN_FIBER(move_deadline, NULL);
}

/* ---- limits ----------------------------------------------------------------------------------------------------------- */

static int limited(struct none *a)
{
    (void)a;
    struct sley_scope sc;
    int count = 0;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.limit = 2}), 0);
    for (int i = 0; i < 6; i++) {
        CHECK_RC(sley_scope_slot(&sc), 0);
        CHECK_UINT(sley_scope_count(&sc), <=, 1);
        CHECK_RC(SLEY_SPAWN(NULL, child, .sleep_ns = 10 * SLEY_MS, .count = &count), 0);
    }
    CHECK_RC(SLEY_SPAWN(NULL, child, .sleep_ns = SLEY_MS), -EAGAIN);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), sley_scope_slot(&sc)), -ETIMEDOUT);
    CHECK_RC(sley_scope_wait(&sc), 0);
    CHECK_INT(count, ==, 6);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(limited, struct none)

SLEY_TEST(limit_bounds_how_many_run, "")
{
    RUN_FIBER(limited, NULL);
}

static int refusals(struct none *a)
{
    (void)a;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(NULL, NULL), -EINVAL);
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = 1 << 7}), -EINVAL);
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_SHIELD}), -EINVAL);
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(sley_scope_next(&sc, NULL, NULL), -EINVAL); /* not a join set */
    CHECK_RC(sley_scope_try_next(&sc, NULL, NULL), -EINVAL);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(refusals, struct none)

SLEY_TEST(bad_scopes_are_refused, "")
{
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), -ESRCH);
    RUN_FIBER(refusals, NULL);
}
