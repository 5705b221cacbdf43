/* Driving: who drives an executor, and where that is refused; whose tasks run meanwhile; halt. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <sley/fiber.h>

#include "suite.h"

static SLEY_ATOMIC(bool) ran;

static int set_ran(struct suite_none *a)
{
    (void)a;
    atomic_store_explicit(&ran, true, memory_order_release); /* release: pairs with has_run */
    return 0;
}
SLEY_FIBER(set_ran, struct suite_none)

static bool has_run(void)
{
    return atomic_load_explicit(&ran, memory_order_acquire); /* acquire: pairs with set_ran */
}

CLAUSE(nothing_progresses_undriven)
{
    struct sley_executor *ex = sley__suite_start(x);
    struct sley_task *t = sley__suite_spawn(ex, &set_ran__type, NULL);
    for (int i = 0; i < 1000; i++) {
        (void)sched_yield();
        CHECK(!has_run());
    }
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK(has_run());
    sley_task_unref(t);
    sley__suite_end(x, ex);
}

struct owned {
    struct sley_executor *ex;
};

static int check_home(struct owned *a)
{
    for (int i = 0; i < 10; i++) {
        CHECK_PTR(sley_sched_current(), ==, a->ex->ops->sched(a->ex));
        CHECK_RC(sley_yield(), 0);
    }
    return 1;
}
SLEY_FIBER(check_home, struct owned)

CLAUSE(two_on_one_thread_keep_apart)
{
    struct sley_executor *a = sley__suite_start(x), *b = sley__suite_start(x);
    if (a->ops->turn) {
        struct sley_task *t = sley__suite_spawn(a, &check_home__type, &(struct owned){a});
        struct sley_task *u = sley__suite_spawn(b, &check_home__type, &(struct owned){b});
        while (!sley_task_done(t) || !sley_task_done(u)) {
            CHECK_INT(a->ops->turn(a, 1, NULL), >=, 0);
            CHECK_PTR(sley_sched_current(), ==, NULL);
            CHECK_INT(b->ops->turn(b, 1, NULL), >=, 0);
        }
        sley_task_unref(t);
        sley_task_unref(u);
    }
    sley__suite_end(x, a);
    sley__suite_end(x, b);
}

struct driver {
    struct sley_executor *ex;
    struct sley_task *task;
};

static void *drive_second(void *arg)
{
    struct driver *d = arg;
    while (!has_run()) {
        (void)sched_yield();
    }
    CHECK_RC(d->ex->ops->run(d->ex, NULL), -EBUSY);
    CHECK_RC(d->ex->ops->stop(d->ex, 0), -EBUSY);
    CHECK_RC(d->ex->ops->fini(d->ex), -EBUSY);
    if (d->ex->ops->turn) {
        CHECK_RC(d->ex->ops->turn(d->ex, 0, NULL), -EBUSY);
    }
    sley_task_cancel(d->task);
    return NULL;
}

static int ran_then_park(struct suite_none *a)
{
    (void)set_ran(a);
    return sley_park();
}
SLEY_FIBER(ran_then_park, struct suite_none)

/* The case lets two threads drive one single-threaded runtime; here it belongs to one at a time, and the second is told. */
CLAUSE(second_driver_is_refused)
{
    pthread_t thread;
    struct sley_executor *ex = sley__suite_start(x);
    struct driver d = {ex, sley__suite_spawn(ex, &ran_then_park__type, NULL)};
    CHECK_INT(pthread_create(&thread, NULL, drive_second, &d), ==, 0);
    CHECK_RC(ex->ops->run(ex, d.task), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    sley_task_unref(d.task);
    sley__suite_end(x, ex);
}

static int run_inside(struct owned *a)
{
    CHECK_RC(a->ex->ops->run(a->ex, NULL), -EDEADLK);
    CHECK_RC(a->ex->ops->stop(a->ex, 0), -EDEADLK);
    CHECK_RC(a->ex->ops->fini(a->ex), -EDEADLK);
    return sley_yield();
}
SLEY_FIBER(run_inside, struct owned)

CLAUSE(nested_run_is_refused)
{
    struct sley_executor *a = sley__suite_start(x), *b = sley__suite_start(x);
    CHECK_INT(sley__suite_run(a, &run_inside__type, &(struct owned){a}), ==, 0);
    CHECK_INT(sley__suite_run(a, &run_inside__type, &(struct owned){b}), ==, 0);
    sley__suite_end(x, b);
    sley__suite_end(x, a);
}

static int sleep_two(struct suite_none *a)
{
    (void)a;
    const int rc = sley_sleep(SLEY_US);
    return rc < 0 ? rc : 2;
}
SLEY_FIBER(sleep_two, struct suite_none)

static int halt_inside(struct owned *a)
{
    a->ex->ops->halt(a->ex);
    return sley_park();
}
SLEY_FIBER(halt_inside, struct owned)

CLAUSE(run_that_failed_leaves_the_thread_free)
{
    struct sley_executor *a = sley__suite_start(x);
    struct sley_task *t = sley__suite_spawn(a, &halt_inside__type, &(struct owned){a});
    CHECK_RC(a->ops->run(a, t), -ECANCELED);
    CHECK_PTR(sley_sched_current(), ==, NULL);
    struct sley_executor *b = sley__suite_start(x);
    CHECK_INT(sley__suite_run(b, &sleep_two__type, NULL), ==, 2);
    sley__suite_end(x, b);
    sley_task_cancel(t);
    CHECK_RC(a->ops->run(a, t), 0);
    sley_task_unref(t);
    sley__suite_end(x, a);
}

CLAUSE(halt_before_run_runs_nothing)
{
    struct sley_executor *ex = sley__suite_start(x);
    struct sley_task *t = sley__suite_spawn(ex, &set_ran__type, NULL);
    ex->ops->halt(ex);
    ex->ops->halt(ex);
    CHECK_RC(ex->ops->run(ex, t), -ECANCELED); /* reports work left */
    CHECK(!has_run());
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK(has_run());
    sley_task_unref(t);
    sley__suite_end(x, ex);
}

static int park(struct suite_none *a)
{
    (void)a;
    return sley_park();
}
SLEY_FIBER(park, struct suite_none)

static struct sley_executor *signalled;
static pthread_t driving;

static void on_signal(int signo)
{
    (void)signo;
    signalled->ops->halt(signalled);
}

static void *halt_outside(void *arg)
{
    const bool by_signal = arg != NULL;
    for (uint64_t spin = sley__kit_below(100000); spin > 0; spin--) {
        __asm__ volatile("" ::: "memory");
    }
    if (by_signal) {
        CHECK_INT(pthread_kill(driving, SIGUSR1), ==, 0);
    } else {
        signalled->ops->halt(signalled);
    }
    return NULL;
}

/** The signal lands anywhere between "nothing to do" and the wait: it must not be slept over. */
CLAUSE(halt_from_a_thread_and_a_signal_handler)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    struct sley_executor *ex = sley__suite_start(x);
    signalled = ex;
    driving = pthread_self();
    CHECK_INT(sigaction(SIGUSR1, &action, &before), ==, 0);
    struct sley_task *t = sley__suite_spawn(ex, &park__type, NULL);
    const unsigned n = sley__kit_rounds(300);
    for (unsigned i = 0; i < n; i++) {
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, halt_outside, i % 2 && SIGNALS_IN_TIME ? ex : NULL), ==, 0);
        CHECK_RC(ex->ops->run(ex, t), -ECANCELED);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
    }
    CHECK_INT(sigaction(SIGUSR1, &before, NULL), ==, 0);
    sley_task_unref(t);
    sley__suite_end(x, ex);
}
