/* Tasks that several workers share (task/shared.c): each edge of their state against the others; no wake is lost, no task is
 * queued twice, memory goes once. */
#include "house.h"
#include "task/alloc_frame.h"

static SLEY_ATOMIC(uint32_t) shown, taken;
static struct sley_task *task;
static struct sley_wait node;
static int rc, result;

/* ---- the task ------------------------------------------------------------------------------------------------------ */

static void complete(int verdict)
{
    /* acq_rel: the lock of a real operation */
    if (atomic_exchange_explicit(&taken, 1, memory_order_acq_rel) == 0) {
        sley_wait_complete(&node, verdict);
    }
}

static void cancel_node(struct sley_wait *w)
{
    (void)w;
    complete(-ECANCELED);
}

static const struct sley_wait_ops wait_ops = {.version = SLEY_WAIT_VERSION, .name = "test", .cancel = cancel_node};

struct body {
    struct sley_frame frame;
    int rc;
};

static enum sley_step wait_once(struct body *f)
{
    SLEY_BEGIN(f);
    if (sley_wait_begin(&node, &wait_ops)) {
        sley_wait_arm(&node);
        /* release: shows the node to its completer */
        atomic_store_explicit(&shown, 1, memory_order_release);
    }
    SLEY_AWAIT(f, f->rc, &node);
    memset(&node, 0, sizeof node); /* its memory is the task's again */
    SLEY_RETURN(f, f->rc);
    SLEY_END(f);
}
SLEY_FRAME(wait_once, struct body)

static enum sley_step yield_once(struct body *f)
{
    SLEY_BEGIN(f);
    SLEY_YIELD(f, f->rc);
    SLEY_RETURN(f, 7);
    SLEY_END(f);
}
SLEY_FRAME(yield_once, struct body)

static void setup_of(const struct sley_task_type *type)
{
    house_setup();
    atomic_store_explicit(&shown, 0, memory_order_relaxed);
    atomic_store_explicit(&taken, 0, memory_order_relaxed);
    memset(&node, 0, sizeof node);
    rc = result = -1;
    house_spawn(type, &task);
}

static void setup_waiting(void)
{
    setup_of(&wait_once__type);
}

static void setup_yielding(void)
{
    setup_of(&yield_once__type);
}

/* ---- the workers and the others --------------------------------------------------------------------------------------- */

static void worker_a(void)
{
    house_work(0);
}

static void worker_b(void)
{
    house_work(1);
}

static void join_it(void)
{
    rc = sley_task_join(task, &result);
    atomic_store_explicit(&over, 1, memory_order_release);
    sley_task_unref(task);
}

static void complete_shown(void)
{
    /* acquire: pairs with wait_once */
    while (!atomic_load_explicit(&shown, memory_order_acquire)) {
        if (atomic_load_explicit(&over, memory_order_relaxed)) {
            return; /* it was cancelled before it began to wait */
        }
        sched_yield();
    }
    complete(7);
}

static void complete_and_join(void)
{
    complete_shown();
    join_it();
}

static void cancel_and_join(void)
{
    sley_task_cancel(task);
    join_it();
}

static void check_seven(void)
{
    house_end();
    EXPLORE_CHECK(rc == 0 && result == 7);
}

static void check_seven_or_cancelled(void)
{
    house_end();
    EXPLORE_CHECK(rc == 0 && (result == 7 || result == -ECANCELED));
}

EXPLORE_CASE(shared_wake_against_sleep, "WAKE-12")
{
    struct explore_scenario s = {.setup = setup_waiting, .threads = {worker_a, complete_and_join}, .check = check_seven};
    s.preemptions = 2;
    explore_exhaust("shared task woken, one worker", &s);
    s = (struct explore_scenario){
        .setup = setup_waiting, .threads = {worker_a, worker_b, complete_and_join}, .check = check_seven, .preemptions = 1};
    explore_exhaust("shared task woken, two workers", &s);
}

EXPLORE_CASE(shared_cancel_against_wake, "JOIN-14")
{
    const struct explore_scenario s = {.setup = setup_waiting,
                                       .threads = {worker_a, complete_shown, cancel_and_join},
                                       .check = check_seven_or_cancelled,
                                       .preemptions = 1};
    explore_exhaust("shared task cancelled and woken", &s);
}

/* ---- woken by one, and, when it waits anew, by another ----------------------------------------------------------------- */

static struct sley_wait second;

static enum sley_step wait_twice(struct body *f)
{
    SLEY_BEGIN(f);
    EXPLORE_CHECK(sley_wait_begin(&node, &wait_ops) && sley_wait_begin(&second, &wait_ops));
    sley_wait_arm(&node);
    sley_wait_arm(&second);
    /* release: as in wait_once */
    atomic_store_explicit(&shown, 1, memory_order_release);
    SLEY_AWAIT(f, f->rc, &node);
    EXPLORE_CHECK(f->rc == 7);
    SLEY_AWAIT(f, f->rc, &second);
    memset(&second, 0, sizeof second);
    SLEY_RETURN(f, f->rc);
    SLEY_END(f);
}
SLEY_FRAME(wait_twice, struct body)

static void setup_twice(void)
{
    memset(&second, 0, sizeof second);
    setup_of(&wait_twice__type);
}

static void complete_second_and_join(void)
{
    /* acquire: pairs with wait_twice */
    while (!atomic_load_explicit(&shown, memory_order_acquire)) {
        sched_yield();
    }
    sley_wait_complete(&second, 7);
    join_it();
}

EXPLORE_CASE(shared_wakes_by_two_threads_are_each_followed_by_a_resume, "WAKE-13")
{
    const struct explore_scenario s = {
        .setup = setup_twice, .threads = {worker_a, complete_shown, complete_second_and_join}, .check = check_seven, .preemptions = 2};
    explore_exhaust("shared task woken twice", &s);
}

EXPLORE_TEST(shared_yield_and_cancel)
{
    const struct explore_scenario s = {
        .setup = setup_yielding, .threads = {worker_a, worker_b, cancel_and_join}, .check = check_seven, .preemptions = 2};
    explore_exhaust("shared task yields and is cancelled", &s);
}

/* ---- a scope into which both workers spawn, where the tasks end, while its owner begins to wait for them ------------------ */

static struct sley_scope family;
static struct sley_task *owner, *spawners[HOUSE_SCHEDS];
static bool closed;

struct head {
    struct sley_frame frame;
    struct sley_scope_op op;
    int rc;
};

static enum sley_step child_a(struct body *f)
{
    SLEY_RETURN(f, 0);
}
SLEY_FRAME(child_a, struct body)

static enum sley_step child_b(struct body *f)
{
    SLEY_RETURN(f, 0);
}
SLEY_FRAME(child_b, struct body)

static enum sley_step spawn_a(struct body *f)
{
    SLEY_RETURN(f, SLEY_SPAWN(&family, child_a, .rc = 0));
}
SLEY_FRAME(spawn_a, struct body)

static enum sley_step spawn_b(struct body *f)
{
    SLEY_RETURN(f, SLEY_SPAWN(&family, child_b, .rc = 0));
}
SLEY_FRAME(spawn_b, struct body)

static enum sley_step own_a_family(struct head *f)
{
    SLEY_BEGIN(f);
    EXPLORE_CHECK(sley_scope_init(&family, NULL) == 0);
    SLEY_YIELD(f, f->rc);
    SLEY_CALL(f, f->rc, sley_scope_wait, &f->op, &family);
    EXPLORE_CHECK(f->rc == 0);
    SLEY_YIELD(f, f->rc); /* another may be spawned behind the end of the first */
    SLEY_CALL(f, f->rc, sley_scope_wait, &f->op, &family);
    EXPLORE_CHECK(f->rc == 0 && sley_scope_count(&family) == 0 && !family.children);
    SLEY_CALL(f, f->rc, sley_scope_fini, &f->op, &family);
    closed = true;
    SLEY_RETURN(f, f->rc);
    SLEY_END(f);
}
SLEY_FRAME(own_a_family, struct head)

static struct sley_task *spawn_for(unsigned i, const struct sley_task_type *type)
{
    (void)sley_sched_enter(&house->sched[i]);
    EXPLORE_CHECK(sley_spawn(NULL, type, NULL, NULL, NULL) == 0);
    (void)sley_sched_enter(NULL);
    return take(0);
}

/** Both workers have memory for a child at hand: else a spawn goes the long way. */
static void setup_family(void)
{
    house_setup();
    memset(&family, 0, sizeof family);
    closed = false;
    parent_type = &child_b__type;
    owner = spawn_for(0, &own_a_family__type);
    spawners[0] = spawn_for(0, &spawn_a__type);
    spawners[1] = spawn_for(1, &spawn_b__type);
    for (unsigned i = 0; i < HOUSE_SCHEDS; i++) {
        struct sley__slab *slab = &house->sched[i].memory->slab;
        const size_t bytes = sley__frame_bytes(&child_a__type, 0);
        sley__slab_free(slab, sley__slab_alloc(slab, bytes), bytes);
    }
    (void)sley_sched_enter(&house->sched[0]);
    EXPLORE_CHECK(sley_sched_resume(&house->sched[0], owner));
    (void)sley_sched_enter(NULL);
}

/** A worker: its spawner, then the child. */
static void spawn_and_end(unsigned i)
{
    struct sley_sched *s = &house->sched[i];
    (void)sley_sched_enter(s);
    EXPLORE_CHECK(!sley_sched_resume(s, spawners[i]));
    struct sley_task *t = take(i);
    EXPLORE_CHECK(t && t->sched == s && !sley_sched_resume(s, t));
}

static void family_a(void)
{
    spawn_and_end(0);
    if (sley_sched_resume(&house->sched[0], owner)) {
        put(owner);
    }
    (void)sley_sched_enter(NULL);
}

static void family_b(void)
{
    spawn_and_end(1);
    (void)sley_sched_enter(NULL);
}

static void check_family(void)
{
    struct sley_task *t;
    (void)sley_sched_enter(&house->sched[0]);
    while ((t = take(0)) != NULL) { /* the owner: it was woken, or has yielded */
        if (sley_sched_resume(&house->sched[0], t)) {
            put(t);
        }
    }
    (void)sley_sched_enter(NULL);
    EXPLORE_CHECK(closed);
    house_end();
}

EXPLORE_CASE(shared_spawns_into_one_scope_against_ends_and_the_wait_for_them, "SET-07")
{
    struct explore_scenario s = {.setup = setup_family, .threads = {family_a, family_b}, .check = check_family};
    s.preemptions = 3;
    explore_exhaust("two spawn into one scope, whose owner waits", &s);
}

EXPLORE_TEST(planted_lock_of_a_scope_that_falls_apart_is_found)
{
    struct explore_scenario s = {.setup = setup_family, .threads = {family_a, family_b}, .check = check_family};
    s.preemptions = 2;
    s.planted = &(const struct explore_planted){"sley_spin_try", EXPLORE_EXCHANGE, EXPLORE_SPLIT};
    explore_find("try by load and store", &s, "");
    s.planted = &(const struct explore_planted){"sley_spin_try", EXPLORE_EXCHANGE, EXPLORE_RELAX};
    explore_find("try relaxed", &s, "data race");
}

static void find(const char *name, struct explore_planted planted, const char *what)
{
    const struct explore_scenario s = {.setup = setup_waiting,
                                       .threads = {worker_a, complete_shown, cancel_and_join},
                                       .check = check_seven_or_cancelled,
                                       .preemptions = 2,
                                       .planted = &planted};
    explore_find(name, &s, what);
}

EXPLORE_TEST(planted_edges_that_fall_apart_are_found)
{
    find("woken by load and store", (struct explore_planted){"sley__shared_wake", EXPLORE_CAS, EXPLORE_SPLIT}, "");
    find("asleep by load and store", (struct explore_planted){"after_step", EXPLORE_CAS, EXPLORE_SPLIT}, "");
    find("bits by load and store", (struct explore_planted){"sley__shared_set", EXPLORE_CAS, EXPLORE_SPLIT}, "");
}
