/* Tasks that several workers share (task/shared.c): each edge of their state against the others; no wake is lost, no task is
 * queued twice, memory goes once. Two workers take from one slot: a task that is put there while it is there is a bug. */
#include <sley/group_impl.h>

#include "rig.h"

static struct {
    struct sley_group group;
    struct sley_sched *scheds[2];
    struct sley_sched sched[2];
} *house;

static _Atomic(struct sley_task *) slot;
static SLEY_ATOMIC(uint32_t) over, shown, taken;
static struct sley_task *task;
static struct sley_wait node;
static int rc, result;

static void put(struct sley_task *t)
{
    EXPLORE_CHECK(atomic_exchange_explicit(&slot, t, memory_order_release) == NULL);
}

static void schedule(struct sley_sched *s, struct sley_task *t, enum sley_ready why)
{
    (void)s, (void)why;
    put(t);
}

static void ring(struct sley_sched *s)
{
    (void)s;
}

static void release_sched(struct sley_sched *s)
{
    (void)s;
}

static const struct sley_sched_ops ops = {
    .version = SLEY_SCHED_VERSION,
    .name = "shared",
    .ring = ring,
    .now_ns = rig_now,
    .timer_arm = rig_arm,
    .timer_disarm = rig_disarm,
    .release = release_sched,
    .schedule = schedule,
};

static void release_house(struct sley_group *g)
{
    (void)g;
    sley_sched_destroy(&house->sched[0]);
    sley_sched_destroy(&house->sched[1]);
    sley_alloc_put(explore_alloc(), house, sizeof *house);
}

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
    atomic_store_explicit(&slot, NULL, memory_order_relaxed);
    atomic_store_explicit(&over, 0, memory_order_relaxed);
    atomic_store_explicit(&shown, 0, memory_order_relaxed);
    atomic_store_explicit(&taken, 0, memory_order_relaxed);
    memset(&node, 0, sizeof node);
    rc = result = -1;
    explore_thread_local(&sley__self, sizeof(struct sley_sched *));
    house = sley_alloc_get(explore_alloc(), sizeof *house, 64);
    memset(house, 0, sizeof *house);
    for (unsigned i = 0; i < 2; i++) {
        house->scheds[i] = &house->sched[i];
        EXPLORE_CHECK(sley_sched_init(&house->sched[i], &ops, &(struct sley_sched_opts){.alloc = explore_alloc()}) == 0);
    }
    sley_group_init(&house->group, house->scheds, 2, release_house);
    (void)sley_sched_enter(&house->sched[0]);
    EXPLORE_CHECK(sley_spawn(NULL, type, NULL, NULL, &task) == 0);
    (void)sley_sched_enter(NULL);
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

static void work(unsigned i)
{
    struct sley_sched *s = &house->sched[i];
    (void)sley_sched_enter(s);
    /* acquire: what is left of the house is its owner's from then on */
    while (!atomic_load_explicit(&over, memory_order_acquire)) {
        /* relaxed: the exchange looks again */
        if (!atomic_load_explicit(&slot, memory_order_relaxed)) {
            sched_yield();
            continue;
        }
        struct sley_task *t = atomic_exchange_explicit(&slot, NULL, memory_order_acquire);
        if (t && sley_sched_resume(s, t)) {
            put(t);
        }
    }
    (void)sley_sched_enter(NULL);
}

static void worker_a(void)
{
    work(0);
}

static void worker_b(void)
{
    work(1);
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

static void end(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct sley_sched *outer = sley_sched_enter(&house->sched[i]);
        sley_sched_collect(&house->sched[i]);
        (void)sley_sched_enter(outer);
    }
    if (sley_group_fini(&house->group)) {
        release_house(&house->group);
    }
}

static void check_seven(void)
{
    end();
    EXPLORE_CHECK(rc == 0 && result == 7);
}

static void check_seven_or_cancelled(void)
{
    end();
    EXPLORE_CHECK(rc == 0 && (result == 7 || result == -ECANCELED));
}

EXPLORE_TEST(shared_wake_against_sleep)
{
    struct explore_scenario s = {.setup = setup_waiting, .threads = {worker_a, complete_and_join}, .check = check_seven};
    s.preemptions = 2;
    explore_exhaust("shared task woken, one worker", &s);
    s = (struct explore_scenario){.setup = setup_waiting, .threads = {worker_a, worker_b, complete_and_join}, .check = check_seven,
                                  .preemptions = 1};
    explore_exhaust("shared task woken, two workers", &s);
}

EXPLORE_TEST(shared_cancel_against_wake)
{
    const struct explore_scenario s = {.setup = setup_waiting, .threads = {worker_a, complete_shown, cancel_and_join},
                                       .check = check_seven_or_cancelled, .preemptions = 1};
    explore_exhaust("shared task cancelled and woken", &s);
}

EXPLORE_TEST(shared_yield_and_cancel)
{
    const struct explore_scenario s = {.setup = setup_yielding, .threads = {worker_a, worker_b, cancel_and_join},
                                       .check = check_seven, .preemptions = 1};
    explore_exhaust("shared task yields and is cancelled", &s);
}

static void find(const char *name, struct explore_planted planted, const char *what)
{
    const struct explore_scenario s = {.setup = setup_waiting, .threads = {worker_a, complete_shown, cancel_and_join},
                                       .check = check_seven_or_cancelled, .preemptions = 2, .planted = &planted};
    explore_find(name, &s, what);
}

EXPLORE_TEST(planted_edges_that_fall_apart_are_found)
{
    find("woken by load and store", (struct explore_planted){"sley__shared_wake", EXPLORE_CAS, EXPLORE_SPLIT}, "");
    find("asleep by load and store", (struct explore_planted){"after_step", EXPLORE_CAS, EXPLORE_SPLIT}, "");
    find("bits by load and store", (struct explore_planted){"sley__shared_set", EXPLORE_CAS, EXPLORE_SPLIT}, "");
}
