/* Waking: when a completed node queues its task, how often, and on which thread. */
#include "bed.h"

#include <sched.h>

static unsigned resume_count;
static struct gate gates[4];
static struct sley_wait *both[2] = {&gates[0].wait, &gates[1].wait};

struct waiter {
    struct sley_frame frame;
    int rounds;
};

/** Waits for gates[0] again and again. */
static enum sley_step wait_rounds(struct waiter *f)
{
    int rc;
    resume_count++;
    SLEY_BEGIN(f);
    while (f->rounds-- > 0) {
        SLEY_CALL(f, rc, gate, &gates[0], GATE_PLAIN);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
    }
    SLEY_END(f);
}
SLEY_FRAME(wait_rounds, struct waiter)

static int fiber_rounds(struct waiter *a)
{
    resume_count++;
    while (a->rounds-- > 0) {
        const int rc = gate_wait(&gates[0], GATE_PLAIN);
        resume_count++;
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}
SLEY_FIBER(fiber_rounds, struct waiter)

static const struct sley_task_type *const round_types[] = {&wait_rounds__type, &fiber_rounds__type};

static void clear(void)
{
    resume_count = 0;
    memset(gates, 0, sizeof gates);
}

SLEY_TEST(wake_of_a_parked_task_queues_it_once, "WAKE-01")
{
    for (int style = 0; style < 2; style++) {
        struct bed b;
        bed_start(&b);
        clear();
        struct sley_task *t = bed_spawn(&b, round_types[style], &(struct waiter){.rounds = 2});
        for (unsigned i = 0; i < 2; i++) {
            bed_settle(&b);
            CHECK_UINT(resume_count, ==, i + 1);
            CHECK_UINT(b.sched->ready_count, ==, 0);
            gate_open(&b, &gates[0], 0);
            CHECK_UINT(b.sched->ready_count, ==, 1);
            CHECK_UINT(resume_count, ==, i + 1); /* queued, not run inside the wake */
        }
        bed_settle(&b);
        CHECK_UINT(resume_count, ==, 3);
        CHECK(sley_task_done(t));
        sley_task_unref(t);
        bed_end(&b);
    }
}

static enum sley_step wait_both(struct waiter *f)
{
    int rc;
    resume_count++;
    SLEY_BEGIN(f);
    gate_start(&gates[0], GATE_PLAIN);
    gate_start(&gates[1], GATE_PLAIN);
    SLEY_SELECT(f, rc, both, 2, SLEY_SELECT_KEEP);
    CHECK_INT(rc, ==, 0);
    SLEY_AWAIT(f, rc, &gates[1].wait);
    CHECK(rc == 6 || rc == 9);
    SLEY_END(f);
}
SLEY_FRAME(wait_both, struct waiter)

SLEY_TEST(two_wakes_before_it_runs_are_one_resume, "WAKE-02 SEL-02")
{
    struct bed b;
    bed_start(&b);
    clear();
    struct sley_task *t = bed_spawn(&b, &wait_both__type, NULL);
    bed_settle(&b);
    gate_open(&b, &gates[0], 5);
    gate_open(&b, &gates[1], 6);
    CHECK_UINT(b.sched->ready_count, ==, 1);
    bed_settle(&b);
    CHECK_UINT(resume_count, ==, 2);
    CHECK(sley_task_done(t));
    sley_task_unref(t);
    bed_end(&b);
}

static char trace[16];

static void note(char c)
{
    const size_t len = strlen(trace);
    CHECK_UINT(len + 1, <, sizeof trace);
    trace[len] = c;
}

/** gates[1] is registered to the task when it completes it itself, running; then it parks on gates[0]. */
static enum sley_step wake_self(struct waiter *f)
{
    int rc;
    static bool inside;
    CHECK(!inside);
    inside = true;
    note('s');
    resume_count++;
    SLEY_BEGIN(f);
    gate_start(&gates[0], GATE_PLAIN);
    gate_start(&gates[1], GATE_PLAIN);
    SLEY__LABEL(f, 1000);
    if (!sley__select_ready(both, 2, SLEY_SELECT_KEEP)) {
        if (resume_count == 1) {
            sley_wait_complete(&gates[1].wait, 0); /* running: marked, not queued */
            CHECK_UINT(sley_sched_current()->ready_count, ==, 1);
        }
        inside = false;
        return SLEY_STEP_WAIT;
    }
    inside = false;
    SLEY_AWAIT(f, rc, &gates[0].wait);
    (void)rc;
    SLEY_END(f);
}
SLEY_FRAME(wake_self, struct waiter)

static enum sley_step bystander(struct waiter *f)
{
    note('b');
    SLEY_BEGIN(f);
    SLEY_END(f);
}
SLEY_FRAME(bystander, struct waiter)

SLEY_TEST(task_that_wakes_itself_is_queued_once_behind_the_others, "WAKE-03")
{
    struct bed b;
    bed_start(&b);
    clear();
    memset(trace, 0, sizeof trace);
    struct sley_task *t = bed_spawn(&b, &wake_self__type, NULL);
    sley_task_unref(bed_spawn(&b, &bystander__type, NULL));
    bed_settle(&b);
    CHECK_STR(trace, "sbs");
    CHECK(!sley_task_done(t));
    gate_open(&b, &gates[0], 0);
    bed_settle(&b);
    CHECK(sley_task_done(t));
    sley_task_unref(t);
    bed_end(&b);
}

static struct sley_task *own_task;
static bool cancel_too;

/** While it runs, another thread completes the node it is registered on (and cancels the task). */
static int woken_while_running(struct waiter *a)
{
    (void)a;
    struct sley_sched *s = sley_sched_current();
    gate_start(&gates[0], GATE_PLAIN);
    gate_start(&gates[1], GATE_PLAIN);
    CHECK_INT(sley_select(both, 2, SLEY_SELECT_KEEP), ==, 1);
    resume_count++;
    gate_open_elsewhere(&gates[0]);
    CHECK(!sley_wait_done(&gates[0].wait)); /* home publishes */
    CHECK_UINT(s->ready_count, ==, 0);
    const int rc = sley_await(&gates[0].wait);
    resume_count++;
    CHECK_INT(rc, ==, 9);
    if (cancel_too) {
        CHECK_RC(sley_yield(), -ECANCELED);
    }
    return rc;
}
SLEY_FIBER(woken_while_running, struct waiter)

static void *cancel_thread(void *arg)
{
    sley_task_cancel(arg);
    return NULL;
}

static int wake_and_cancel_while_running(struct waiter *a)
{
    (void)a;
    pthread_t thread;
    struct sley_sched *s = sley_sched_current();
    gate_start(&gates[0], GATE_PLAIN);
    gate_open_elsewhere(&gates[0]);
    CHECK_INT(pthread_create(&thread, NULL, cancel_thread, own_task), ==, 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_UINT(s->ready_count, ==, 0);
    CHECK(!sley_cancelled()); /* home has not looked yet */
    CHECK_INT(sley_await(&gates[0].wait), ==, 9);
    CHECK_RC(sley_yield(), -ECANCELED);
    resume_count++;
    return 0;
}
SLEY_FIBER(wake_and_cancel_while_running, struct waiter)

SLEY_TEST(wake_from_elsewhere_while_running_queues_after_the_resume, "WAKE-04")
{
    struct bed b;
    bed_start(&b);
    clear();
    struct sley_task *t = bed_spawn(&b, &woken_while_running__type, NULL);
    bed_settle(&b);
    gate_open(&b, &gates[1], 0);
    bed_run_until(&b, t);
    CHECK_UINT(resume_count, ==, 2);
    sley_task_unref(t);
    bed_end(&b);
}

SLEY_TEST(wake_and_cancel_from_elsewhere_while_running, "WAKE-05 JOIN-11 JOIN-19")
{
    struct bed b;
    bed_start(&b);
    clear();
    own_task = bed_spawn(&b, &wake_and_cancel_while_running__type, NULL);
    bed_run_until(&b, own_task);
    CHECK_UINT(resume_count, ==, 1);
    sley_task_unref(own_task);
    bed_end(&b);
}

SLEY_TEST(wakes_of_an_ended_task_are_nothing, "WAKE-06 WAKE-14")
{
    struct bed b;
    bed_start(&b);
    clear();
    struct sley_task *t = bed_spawn(&b, &wait_rounds__type, &(struct waiter){.rounds = 0});
    bed_settle(&b);
    CHECK(sley_task_done(t));
    sley_task_cancel(t);
    struct sley_sched *outer = sley_sched_enter(b.sched);
    sley_task_cancel(t);
    sley__task_wake_home(b.sched, t);
    (void)sley_sched_enter(outer);
    CHECK_UINT(b.sched->ready_count, ==, 0);
    bed_settle(&b);
    CHECK_UINT(resume_count, ==, 1);
    sley_task_unref(t);
    bed_end(&b);
}

/* A node has one completion and no slot to be missed: awaiting a done node never parks. */
SLEY_TEST(completion_before_the_await_is_not_lost, "WAKE-10")
{
    struct bed b;
    bed_start(&b);
    clear();
    struct sley_task *t = bed_spawn(&b, &wait_both__type, NULL);
    bed_settle(&b);
    gate_open(&b, &gates[0], 5);
    bed_settle(&b); /* awaits gates[1] now */
    CHECK(!sley_task_done(t));
    gate_open_elsewhere(&gates[1]);
    bed_settle(&b);
    CHECK(sley_task_done(t));
    sley_task_unref(t);
    bed_end(&b);
}

SLEY_TEST(waiter_that_registers_twice_is_woken_once, "WAKE-11")
{
    struct bed b;
    bed_start(&b);
    clear();
    struct sley_task *t = bed_spawn(&b, &wait_rounds__type, &(struct waiter){.rounds = 1});
    bed_settle(&b);
    struct sley_sched *outer = sley_sched_enter(b.sched);
    sley__task_wake_home(b.sched, t); /* spurious: it looks and registers anew */
    (void)sley_sched_enter(outer);
    bed_settle(&b);
    CHECK_UINT(resume_count, ==, 2);
    gate_open(&b, &gates[0], 0);
    CHECK_UINT(b.sched->ready_count, ==, 1);
    bed_settle(&b);
    CHECK_UINT(resume_count, ==, 3);
    CHECK(sley_task_done(t));
    sley_task_unref(t);
    bed_end(&b);
}

/* ---- several threads ------------------------------------------------------------------------------------------------- */

enum { NOTIFIERS = 3 };
static unsigned rounds; /* at most; in the end: so many there were */
static SLEY_ATOMIC(bool) over;
static struct gate stress[NOTIFIERS];
static SLEY_ATOMIC(struct gate *) mailbox[NOTIFIERS];
static SLEY_ATOMIC(unsigned) counter;

static void *notifier(void *arg)
{
    const size_t me = (size_t)(uintptr_t)arg;
    for (unsigned i = 0;; i++) {
        struct gate *g;
        while (!(g = atomic_exchange_explicit(&mailbox[me], NULL, memory_order_acquire))) {
            if (atomic_load_explicit(&over, memory_order_acquire)) {
                return NULL;
            }
            (void)sched_yield();
        }
        for (uint64_t spin = harness_rand_below(64); spin > 0; spin--) {
            __asm__ volatile("" ::: "memory");
        }
        atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
        sley_wait_complete(&g->wait, (int)i);
    }
}

static int await_notifiers(struct waiter *a)
{
    unsigned i = 0;
    (void)a;
    for (; harness_another(i, rounds); i++) {
        struct sley_wait *waits[NOTIFIERS];
        for (size_t k = 0; k < NOTIFIERS; k++) {
            gate_start(&stress[k], GATE_SLOW);
            waits[k] = &stress[k].wait;
            atomic_store_explicit(&mailbox[k], &stress[k], memory_order_release);
        }
        CHECK_INT(sley_select(waits, NOTIFIERS, SLEY_SELECT_KEEP), >=, 0);
        for (size_t k = 0; k < NOTIFIERS; k++) {
            CHECK_INT(sley_await(waits[k]), ==, (int)i);
        }
    }
    rounds = i;
    atomic_store_explicit(&over, true, memory_order_release);
    return 0;
}
SLEY_FIBER(await_notifiers, struct waiter)

static void run_notifiers(struct bed *b)
{
    pthread_t threads[NOTIFIERS];
    for (size_t k = 0; k < NOTIFIERS; k++) {
        CHECK_INT(pthread_create(&threads[k], NULL, notifier, (void *)(uintptr_t)k), ==, 0);
    }
    if (b) {
        CHECK_INT(bed_run(b, &await_notifiers__type, NULL), ==, 0);
    } else {
        CHECK_INT(await_notifiers(NULL), ==, 0);
    }
    for (size_t k = 0; k < NOTIFIERS; k++) {
        CHECK_INT(pthread_join(threads[k], NULL), ==, 0);
    }
    CHECK_UINT(counter, ==, rounds * NOTIFIERS);
}

SLEY_TEST(waiter_never_sleeps_for_ever_beside_notifiers, "WAKE-12 WAKE-13")
{
    struct bed b;
    bed_start(&b);
    rounds = 4000 / harness_slowness();
    run_notifiers(&b);
    bed_end(&b);
}

SLEY_TEST(plain_thread_never_sleeps_for_ever_beside_notifiers, "WAKE-12 WAKE-13")
{
    rounds = 5000 / harness_slowness();
    run_notifiers(NULL);
}

static int leave_registered(struct waiter *a)
{
    (void)a;
    gate_start(&gates[0], GATE_PLAIN);
    gate_start(&gates[1], GATE_READY);
    CHECK_INT(sley_select(both, 2, SLEY_SELECT_KEEP), ==, 1);
    struct sley_wait *one[] = {&gates[0].wait, NULL, &gates[2].wait};
    gate_start(&gates[2], GATE_PLAIN);
    CHECK_INT(sley_select(one, 3, SLEY_SELECT_KEEP), ==, 2);
    resume_count++;
    return sley_park();
}
SLEY_FIBER(leave_registered, struct waiter)

static int take_over(struct waiter *a)
{
    (void)a;
    const int rc = sley_await(&gates[0].wait);
    resume_count += 100;
    return rc;
}
SLEY_FIBER(take_over, struct waiter)

SLEY_TEST(only_the_latest_waiter_is_woken, "WAKE-15")
{
    struct bed b;
    bed_start(&b);
    clear();
    struct sley_task *first = bed_spawn(&b, &leave_registered__type, NULL);
    bed_settle(&b);
    gate_open(&b, &gates[2], 0);
    bed_settle(&b);
    CHECK_UINT(resume_count, ==, 1);
    struct sley_task *second = bed_spawn(&b, &take_over__type, NULL);
    bed_settle(&b);
    gate_open(&b, &gates[0], 0);
    CHECK_UINT(b.sched->ready_count, ==, 1);
    bed_settle(&b);
    CHECK_UINT(resume_count, ==, 101);
    CHECK(sley_task_done(second) && !sley_task_done(first));
    sley_task_unref(first);
    sley_task_unref(second);
    bed_end(&b);
}

/* ---- a node that a plain thread has started has no home -------------------------------------------------------------- */

static struct sley_wait *homeless[2] = {&gates[0].wait, &gates[1].wait};

static int leave_homeless(struct waiter *a)
{
    (void)a;
    gate_start(&gates[1], GATE_PLAIN);
    CHECK_INT(sley_select(homeless, 2, SLEY_SELECT_KEEP), ==, 1);
    resume_count++;
    return sley_park();
}
SLEY_FIBER(leave_homeless, struct waiter)

SLEY_TEST(regress_second_waiter_behind_a_claimed_registration, "WAKE-15")
{
    struct bed b;
    bed_start(&b);
    clear();
    gate_start(&gates[0], GATE_SLOW); /* here, on a plain thread */
    struct sley_task *first = bed_spawn(&b, &leave_homeless__type, NULL);
    bed_settle(&b);
    gate_open(&b, &gates[1], 0);
    bed_settle(&b);
    gate_open_elsewhere(&gates[0]); /* claims the first task's registration; home has not looked yet */
    struct sley_task *second = bed_spawn_home(&b, &take_over__type, NULL);
    struct sley_sched *outer = sley_sched_enter(b.sched);
    CHECK_UINT(sley_sched_run(b.sched, 1), ==, 1); /* it meets the claim before the inbox is looked at */
    CHECK(!sley_wait_done(&gates[0].wait));
    (void)sley_sched_enter(outer);
    bed_run_until(&b, second);
    CHECK_UINT(resume_count, ==, 101);
    sley_task_unref(first);
    sley_task_unref(second);
    bed_end(&b);
}

static void *second_starter(void *arg)
{
    struct gate **g = arg;
    atomic_thread_fence(memory_order_acquire);
    sley_wait_complete(&(*g)->wait, 1);
    return NULL;
}

static int start_only(struct waiter *a)
{
    (void)a;
    gate_start(&gates[0], GATE_SLOW);
    return sley_park();
}
SLEY_FIBER(start_only, struct waiter)

/* The waiter is younger than the node: the completer has never been shown it but by the node itself. */
SLEY_TEST(regress_foreign_completer_of_a_node_whose_waiter_is_younger, "")
{
    for (int i = 0; i < 20; i++) {
        struct bed b;
        bed_start(&b);
        clear();
        struct sley_task *first = bed_spawn(&b, &start_only__type, NULL);
        bed_settle(&b);
        pthread_t thread;
        struct gate *g = &gates[0];
        CHECK_INT(pthread_create(&thread, NULL, second_starter, &g), ==, 0);
        struct sley_task *second = bed_spawn(&b, &take_over__type, NULL);
        bed_run_until(&b, second);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
        sley_task_unref(first);
        sley_task_unref(second);
        bed_end(&b);
    }
}

/* ---- hooks ------------------------------------------------------------------------------------------------------------ */

static void hooked(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)hook;
    CHECK(sley_wait_done(w));
    resume_count++;
}

SLEY_TEST(hook_runs_once_at_home_or_at_once_when_done, "")
{
    struct bed b;
    struct sley_wait_hook hook = {.fn = hooked};
    bed_start(&b);
    clear();
    gate_start(&gates[0], GATE_PLAIN);
    sley_wait_hook(&gates[0].wait, &hook);
    gate_open_elsewhere(&gates[0]); /* no home: on the completer's thread */
    CHECK_UINT(resume_count, ==, 1);
    sley_wait_hook(&gates[0].wait, &hook);
    CHECK_UINT(resume_count, ==, 2);
    struct sley_sched *outer = sley_sched_enter(b.sched);
    gate_start(&gates[1], GATE_PLAIN);
    sley_wait_hook(&gates[1].wait, &hook);
    (void)sley_sched_enter(outer);
    gate_open_elsewhere(&gates[1]); /* home: through the inbox */
    CHECK_UINT(resume_count, ==, 2);
    bed_settle(&b);
    CHECK_UINT(resume_count, ==, 3);
    bed_end(&b);
}
