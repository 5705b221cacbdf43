/* Waiting for one of several nodes, and under a deadline (task/select.c), in tasks that several workers share: a node that another
 * thread completes at any moment is not slept over, and a wait that has begun under a deadline never goes on without it. */
#include "house.h"

static SLEY_ATOMIC(uint32_t) shown, taken[2];
static struct sley_task *parent, *task;
static struct sley_wait nodes[2];
static int rc, result;

static void complete(unsigned i, int verdict)
{
    /* acq_rel: the lock of a real operation */
    if (atomic_exchange_explicit(&taken[i], 1, memory_order_acq_rel) == 0) {
        sley_wait_complete(&nodes[i], verdict);
    }
}

static void cancel_node(struct sley_wait *w)
{
    complete((unsigned)(w - nodes), -ECANCELED);
}

static const struct sley_wait_ops wait_ops = {.version = SLEY_WAIT_VERSION, .name = "test", .cancel = cancel_node};

static void start_node(unsigned i)
{
    if (sley_wait_begin(&nodes[i], &wait_ops)) {
        sley_wait_arm(&nodes[i]);
    }
}

static void setup_nodes(void)
{
    house_setup();
    /* relaxed, here and below: nobody runs yet */
    atomic_store_explicit(&shown, 0, memory_order_relaxed);
    atomic_store_explicit(&taken[0], 0, memory_order_relaxed);
    atomic_store_explicit(&taken[1], 0, memory_order_relaxed);
    memset(nodes, 0, sizeof nodes);
    parent = NULL;
    rc = result = -1;
}

static void worker_a(void)
{
    house_work(0);
}

static void join_it(void)
{
    rc = sley_task_join(task, &result);
    if (parent) {
        EXPLORE_CHECK(sley_task_join(parent, NULL) == 0);
        sley_task_unref(parent);
    }
    /* release: pairs with house_work */
    atomic_store_explicit(&over, 1, memory_order_release);
    sley_task_unref(task);
}

/* ---- one of two --------------------------------------------------------------------------------------------------------- */

struct body {
    struct sley_frame frame;
    struct sley_wait *waits[2];
    int rc;
};

static enum sley_step select_one(struct body *f)
{
    SLEY_BEGIN(f);
    start_node(0);
    start_node(1);
    /* release: shows the nodes to their completer */
    atomic_store_explicit(&shown, 1, memory_order_release);
    f->waits[0] = &nodes[0];
    f->waits[1] = &nodes[1];
    SLEY_SELECT(f, f->rc, f->waits, 2, 0);
    EXPLORE_CHECK(sley_wait_done(&nodes[0]) && sley_wait_done(&nodes[1]));
    memset(nodes, 0, sizeof nodes); /* their memory is the task's again */
    SLEY_RETURN(f, f->rc);
    SLEY_END(f);
}
SLEY_FRAME(select_one, struct body)

static void setup_select(void)
{
    setup_nodes();
    house_spawn(&select_one__type, &task);
}

static void wait_until_shown(void)
{
    /* acquire: pairs with select_one */
    while (!atomic_load_explicit(&shown, memory_order_acquire)) {
        sched_yield();
    }
}

static void complete_first(void)
{
    wait_until_shown();
    complete(0, 7);
}

static void complete_second(void)
{
    wait_until_shown();
    complete(1, 8);
}

static void complete_second_and_join(void)
{
    complete_second();
    join_it();
}

static void check_second(void)
{
    house_end();
    EXPLORE_CHECK(rc == 0 && result == 1);
}

static void check_either(void)
{
    house_end();
    EXPLORE_CHECK(rc == 0 && (result == 0 || result == 1));
}

EXPLORE_TEST(regress_select_sees_what_is_completed_between_its_look_and_its_registering)
{
    const struct explore_scenario s = {
        .setup = setup_select, .threads = {worker_a, complete_second_and_join}, .check = check_second, .preemptions = 2};
    explore_exhaust("select, one of two completed", &s);
}

EXPLORE_TEST(select_of_two_that_both_complete_takes_one)
{
    const struct explore_scenario s = {
        .setup = setup_select, .threads = {worker_a, complete_first, complete_second_and_join}, .check = check_either, .preemptions = 1};
    explore_exhaust("select, both completed", &s);
}

/* ---- under a deadline, in a task that is cancelled and then taken out of what cancelled it ------------------------------------ */

static struct op {
    struct sley_wait wait;
} op;

static void cancel_op(struct sley_wait *w)
{
    (void)w;
    /* acq_rel: the lock of a real operation */
    if (atomic_exchange_explicit(&taken[0], 1, memory_order_acq_rel) == 0) {
        sley_wait_complete(&op.wait, -ECANCELED);
    }
}

static const struct sley_wait_ops op_ops = {.version = SLEY_WAIT_VERSION, .name = "op", .cancel = cancel_op};

/** One that is started whether its task is cancelled or not: as a close is. */
static void op_start(struct op *o, struct sley_wait *unused)
{
    (void)unused;
    sley_wait_begin_always(&o->wait, &op_ops);
    sley_wait_arm(&o->wait);
}

struct child {
    struct sley_frame frame;
    struct sley_timer timer;
    int rc;
};

static enum sley_step wait_under_a_deadline(struct child *f)
{
    SLEY_BEGIN(f);
    SLEY_CALL_UNTIL(f, f->rc, &f->timer, SLEY_NEVER - 1, op, &op, NULL);
    SLEY_RETURN(f, f->rc);
    SLEY_END(f);
}
SLEY_FRAME(wait_under_a_deadline, struct child)

static struct sley_scope scope;

struct opener {
    struct sley_frame frame;
    struct sley_scope_op fini;
    int rc;
};

static enum sley_step open_a_scope(struct opener *f)
{
    SLEY_BEGIN(f);
    EXPLORE_CHECK(sley_scope_init(&scope, NULL) == 0);
    EXPLORE_CHECK(sley_spawn(&scope, &wait_under_a_deadline__type, NULL, NULL, &task) == 0);
    SLEY_PARK(f, f->rc);
    SLEY_CALL(f, f->rc, sley_scope_fini, &f->fini, &scope);
    SLEY_END(f);
}
SLEY_FRAME(open_a_scope, struct opener)

static void setup_child(void)
{
    setup_nodes();
    memset(&op, 0, sizeof op);
    memset(&scope, 0, sizeof scope);
    parent_type = &open_a_scope__type;
    house_spawn(&open_a_scope__type, &parent);
    (void)sley_sched_enter(&house->sched[0]);
    EXPLORE_CHECK(!sley_sched_resume(&house->sched[0], take(1))); /* until it parks */
    (void)sley_sched_enter(NULL);
}

/** Whoever has the wheel: fires what is armed. */
static bool fire(void)
{
    /* acquire: as in house_disarm */
    struct sley_timer *t = atomic_load_explicit(&armed_timer, memory_order_acquire);
    if (!t || !house_disarm(NULL, t)) {
        return false;
    }
    sley_sched_timer_fired(t);
    return true;
}

static void setup_cancelled(void)
{
    setup_child();
    sley_scope_cancel(&scope);
}

static void detach_and_join(void)
{
    (void)sley_sched_enter(&house->sched[1]); /* as a task of another worker does it */
    EXPLORE_CHECK(sley_task_detach(task) == 0);
    (void)sley_sched_enter(NULL);
    while (!sley_task_done(task)) { /* the deadline passes, if there is one */
        if (!fire()) {
            sched_yield();
        }
    }
    join_it();
}

static void cancel_detach_and_join(void)
{
    sley_scope_cancel(&scope);
    detach_and_join();
}

static void check_ended(void)
{
    house_end();
    EXPLORE_CHECK(rc == 0 && (result == -ETIMEDOUT || result == -ECANCELED));
}

EXPLORE_TEST(regress_wait_keeps_its_deadline_when_a_detach_takes_the_cancel_back)
{
    struct explore_scenario s = {
        .setup = setup_cancelled, .threads = {worker_a, detach_and_join}, .check = check_ended, .preemptions = 1};
    explore_exhaust("call until a deadline, detached", &s);
    s.setup = setup_child;
    s.threads[1] = cancel_detach_and_join;
    explore_exhaust("call until a deadline, cancelled and detached", &s);
}

static void setup_deadline(void)
{
    setup_nodes();
    memset(&op, 0, sizeof op);
    house_spawn(&wait_under_a_deadline__type, &task);
}

static void fire_and_join(void)
{
    while (!fire()) {
        sched_yield();
    }
    join_it();
}

static void check_passed(void)
{
    house_end();
    EXPLORE_CHECK(rc == 0 && result == -ETIMEDOUT);
}

EXPLORE_TEST(regress_deadline_that_passes_between_two_looks_is_seen)
{
    const struct explore_scenario s = {
        .setup = setup_deadline, .threads = {worker_a, fire_and_join}, .check = check_passed, .preemptions = 2};
    explore_exhaust("call until a deadline that passes", &s);
}
