/* The word of a wait node (task/wait.c, task/thread.c): completed against registering, cancelling, timing out; nodes with a home. */
#include "rig.h"

/* An operation as a channel has it: whoever takes it out completes it. */
struct op {
    struct sley_wait wait;
    SLEY_ATOMIC(uint32_t) taken;
    uint32_t message; /* plain: published by the completion */
};
static struct op ops[2];
static struct rig *rig;
static int rc;
static struct sley_task *task;

static void complete(struct op *op, int result)
{
    /* acq_rel: the lock of a real one */
    if (atomic_exchange_explicit(&op->taken, 1, memory_order_acq_rel) == 0) {
        op->message = (uint32_t)result;
        sley_wait_complete(&op->wait, result);
    }
}

static void cancel(struct sley_wait *w)
{
    complete(sley_container_of(w, struct op, wait), -ECANCELED);
}

static const struct sley_wait_ops wait_ops = {.version = SLEY_WAIT_VERSION, .name = "test", .cancel = cancel};

static void start(struct op *op)
{
    sley_wait_begin_always(&op->wait, &wait_ops);
    sley_wait_arm(&op->wait);
}

static void setup(void)
{
    memset(ops, 0, sizeof ops);
    explore_thread_local(&sley__self, sizeof(struct sley_sched *));
    rc = -1;
    for (unsigned i = 0; i < 2; i++) {
        start(&ops[i]);
    }
}

static void complete_first(void)
{
    complete(&ops[0], 7);
}

static void complete_second(void)
{
    complete(&ops[1], 8);
}

/* ---- on a plain thread ------------------------------------------------------------------------------------------------ */

static void await_first(void)
{
    rc = sley_await(&ops[0].wait);
    EXPLORE_CHECK(ops[0].message == (uint32_t)rc);
    memset(&ops[0].wait, 0, sizeof ops[0].wait); /* its memory is ours again: nobody may touch it any more */
}

static void check_seven(void)
{
    EXPLORE_CHECK(rc == 7);
}

EXPLORE_TEST(wait_thread_against_complete)
{
    const struct explore_scenario s = {
        .setup = setup, .threads = {await_first, complete_first}, .check = check_seven, .tso = true, .spurious = true};
    explore_exhaust("await on a thread", &s);
}

static void await_until(void)
{
    rc = sley_await_until(&ops[0].wait, 1000);
    memset(&ops[0].wait, 0, sizeof ops[0].wait);
}

static void check_verdict(void)
{
    EXPLORE_CHECK(rc == 7 || (rc == -ETIMEDOUT && ops[0].message == (uint32_t)-ECANCELED));
}

EXPLORE_TEST(wait_thread_until_a_deadline)
{
    const struct explore_scenario s = {.setup = setup, .threads = {await_until, complete_first}, .check = check_verdict, .tso = true};
    explore_exhaust("await on a thread, with a deadline", &s);
}

static void await_any(void)
{
    struct sley_wait *const both[] = {&ops[0].wait, &ops[1].wait};
    rc = sley_select(both, 2, 0);
    EXPLORE_CHECK(sley_wait_done(both[0]) && sley_wait_done(both[1]));
    memset(&ops[0].wait, 0, sizeof ops[0].wait);
    memset(&ops[1].wait, 0, sizeof ops[1].wait);
}

static void check_any(void)
{
    EXPLORE_CHECK(rc == 0 || rc == 1);
    EXPLORE_CHECK(ops[rc].message == (rc == 0 ? 7u : 8u));
}

EXPLORE_TEST(wait_thread_select)
{
    struct explore_scenario s = {.setup = setup, .threads = {await_any, complete_first}, .check = check_any};
    explore_exhaust("select on a thread, one completer", &s);
    s.threads[2] = complete_second;
    s.preemptions = 2;
    explore_exhaust("select on a thread, two completers", &s);
}

/* ---- at home: a task of a single-threaded executor --------------------------------------------------------------------- */

struct waiter {
    struct sley_frame frame;
    int rc;
};

static enum sley_step wait_in_task(struct waiter *f)
{
    SLEY_BEGIN(f);
    start(&ops[0]);
    /* release: shows the node to its completer */
    atomic_store_explicit(&ops[1].taken, 1, memory_order_release);
    SLEY_AWAIT(f, f->rc, &ops[0].wait);
    EXPLORE_CHECK(ops[0].message == (uint32_t)f->rc);
    memset(&ops[0].wait, 0, sizeof ops[0].wait);
    SLEY_RETURN(f, f->rc);
    SLEY_END(f);
}
SLEY_FRAME(wait_in_task, struct waiter)

static void setup_home(void)
{
    memset(ops, 0, sizeof ops);
    rc = -1;
    rig = rig_new();
    (void)sley_sched_enter(&rig->sched);
    EXPLORE_CHECK(SLEY_SPAWN_TASK(&task, NULL, wait_in_task) == 0);
    (void)sley_sched_enter(NULL);
}

static bool task_ended(void)
{
    return sley_task_done(task);
}

static void home(void)
{
    rig_run(rig, task_ended);
}

static void complete_shown(void)
{
    /* acquire: pairs with wait_in_task */
    while (!atomic_load_explicit(&ops[1].taken, memory_order_acquire)) {
        sched_yield();
    }
    complete(&ops[0], 7);
}

static void cancel_task(void)
{
    sley_task_cancel(task);
}

static void end_home(void)
{
    EXPLORE_CHECK(sley_task_result(task, &rc) == 0);
    (void)sley_sched_enter(&rig->sched);
    (void)sley_sched_drain(&rig->sched);
    sley_task_unref(task);
    (void)sley_sched_enter(NULL);
    rig_end(rig);
}

static void check_home(void)
{
    end_home();
    check_seven();
}

static void check_home_or_cancelled(void)
{
    end_home();
    EXPLORE_CHECK(rc == 7 || rc == -ECANCELED);
}

EXPLORE_CASE(wait_at_home_completed_from_elsewhere, "WAKE-12")
{
    struct explore_scenario s = {.setup = setup_home, .threads = {home, complete_shown}, .check = check_home, .tso = true};
    explore_exhaust("await at home", &s);
    s.threads[2] = cancel_task;
    s.check = check_home_or_cancelled;
    s.tso = false;
    s.preemptions = 2;
    explore_exhaust("await at home, cancelled meanwhile", &s);
}

/* ---- planted ----------------------------------------------------------------------------------------------------------- */

static void find(const char *name, struct explore_planted planted, const char *what)
{
    const struct explore_scenario s = {
        .setup = setup, .threads = {await_first, complete_first}, .check = check_seven, .planted = &planted};
    explore_find(name, &s, what);
}

EXPLORE_TEST(planted_registration_without_cas_loses_a_completion)
{
    find("register by load and store", (struct explore_planted){"sley__wait_register", EXPLORE_CAS, EXPLORE_SPLIT}, "");
}

EXPLORE_TEST(planted_relaxed_orders_of_the_word_are_races)
{
    find("complete relaxed", (struct explore_planted){"sley__wait_complete_slow", EXPLORE_CAS, EXPLORE_RELAX}, "data race");
    find("publish relaxed", (struct explore_planted){"sley__wait_publish", EXPLORE_STORE, EXPLORE_RELAX}, "data race");
}

EXPLORE_TEST(planted_wake_that_is_not_sent_is_a_deadlock)
{
    find("no futex wake", (struct explore_planted){"sley_thread_ring", EXPLORE_FUTEX_WAKE, EXPLORE_DROP}, "deadlock; a sleeps");
}
