/* Running: who makes progress, and beside what. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/notify.h>

#include "suite.h"

struct sley_executor *sley__suite_start(const struct sley_conformance_executor *x)
{
    struct sley_executor *ex = x->create();
    CHECK_PTR(ex, !=, NULL);
    CHECK_RC(sley_executor_check(ex->ops), 0);
    const struct sley_executor_config config = {.alloc = sley__kit_alloc(), .reactors = x->reactors, .worker_count = x->worker_count};
    CHECK_RC(ex->ops->start(ex, &config), 0);
    return ex;
}

void sley__suite_end(const struct sley_conformance_executor *x, struct sley_executor *ex)
{
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
    CHECK_RC(ex->ops->fini(ex), 0); /* twice is fine */
    x->destroy(ex);
}

struct sley_task *sley__suite_spawn(struct sley_executor *ex, const struct sley_task_type *type, const void *args)
{
    struct sley_task *t = NULL;
    CHECK_RC(ex->ops->spawn(ex, type, args, &t), 0);
    return t;
}

int sley__suite_run(struct sley_executor *ex, const struct sley_task_type *type, const void *args)
{
    int result = 1 << 30;
    struct sley_task *t = sley__suite_spawn(ex, type, args);
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    sley_task_unref(t);
    return result;
}

static int yield_once(struct suite_none *a)
{
    (void)a;
    return sley_yield();
}
SLEY_FIBER(yield_once, struct suite_none)

void sley__suite_drive(struct sley_executor *ex)
{
    if (ex->ops->caps & SLEY_EXECUTOR_CAP_WORKERS) {
        (void)sched_yield();
    } else if (ex->ops->turn) {
        CHECK_INT(ex->ops->turn(ex, 0, NULL), >=, 0);
    } else {
        struct sley_task *t = NULL;
        const int rc = ex->ops->spawn(ex, &yield_once__type, NULL, &t);
        CHECK_RC(rc == -ESHUTDOWN ? ex->ops->stop(ex, SLEY_NEVER) : rc < 0 ? rc : ex->ops->run(ex, t), 0);
        sley_task_unref(t);
    }
}

/* acquire: pairs with the tasks' release */
void sley__suite_drive_until(struct sley_executor *ex, const SLEY_ATOMIC(unsigned) * word, unsigned count)
{
    while (atomic_load_explicit(word, memory_order_acquire) < count) {
        sley__suite_drive(ex);
    }
}

/* ---- bodies ---------------------------------------------------------------------------------------------------------- */

struct answer {
    struct sley_frame frame;
    struct sley_timer timer;
    int value;
};

static enum sley_step answer_frame(struct answer *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_YIELD(f, rc);
    SLEY_CALL(f, rc, sley_sleep, &f->timer, SLEY_US);
    SLEY_RETURN(f, rc < 0 ? rc : f->value);
    SLEY_END(f);
}
SLEY_FRAME(answer_frame, struct answer)

static int answer_fiber(struct answer *a)
{
    CHECK_RC(sley_yield(), 0);
    const int rc = sley_sleep(SLEY_US);
    return rc < 0 ? rc : a->value;
}
SLEY_FIBER(answer_fiber, struct answer)

static const struct sley_task_type *const answers[] = {&answer_frame__type, &answer_fiber__type};

static SLEY_ATOMIC(unsigned) loads;

static enum sley_step load_frame(struct answer *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (;;) {
        atomic_fetch_add_explicit(&loads, 1, memory_order_relaxed);
        SLEY_YIELD(f, rc);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
    }
    SLEY_END(f);
}
SLEY_FRAME(load_frame, struct answer)

static int load_fiber(struct answer *a)
{
    (void)a;
    while (sley_yield() == 0) {
        atomic_fetch_add_explicit(&loads, 1, memory_order_relaxed);
    }
    return 0;
}
SLEY_FIBER(load_fiber, struct answer)

static void spawn_load(struct sley_executor *ex)
{
    for (int i = 0; i < 100; i++) {
        CHECK_RC(ex->ops->spawn(ex, i % 2 ? &load_frame__type : &load_fiber__type, NULL, NULL), 0);
    }
}

/* ---- cases ------------------------------------------------------------------------------------------------------------ */

CLAUSE(run_returns_when_its_task_has_ended)
{
    struct sley_executor *ex = sley__suite_start(x);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(sley__suite_run(ex, answers[i % 2], &(struct answer){.value = i - 5}), ==, i - 5);
    }
    CHECK_RC(ex->ops->spawn(ex, answers[0], NULL, NULL), 0);
    CHECK_RC(ex->ops->spawn(ex, answers[1], NULL, NULL), 0);
    CHECK_RC(ex->ops->run(ex, NULL), 0); /* until nothing is left */
    CHECK_RC(ex->ops->run(ex, NULL), 0);
    sley__suite_end(x, ex);
}

static SLEY_ATOMIC(bool) ran;

static int set_ran(struct suite_none *a)
{
    (void)a;
    atomic_store_explicit(&ran, true, memory_order_release);
    return 0;
}
SLEY_FIBER(set_ran, struct suite_none)

CLAUSE(nothing_progresses_undriven)
{
    struct sley_executor *ex = sley__suite_start(x);
    struct sley_task *t = sley__suite_spawn(ex, &set_ran__type, NULL);
    for (int i = 0; i < 1000; i++) {
        (void)sched_yield();
        CHECK(!atomic_load_explicit(&ran, memory_order_acquire));
    }
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK(atomic_load_explicit(&ran, memory_order_acquire));
    sley_task_unref(t);
    sley__suite_end(x, ex);
}

struct outsider {
    struct sley_executor *ex;
    struct sley_task *main;
    bool wait_for_load;
};

static void *spawn_outside(void *arg)
{
    struct outsider *o = arg;
    int result = 0;
    while (o->wait_for_load && atomic_load_explicit(&loads, memory_order_relaxed) < 1000) {
        (void)sched_yield();
    }
    for (int i = 0; i < 20; i++) {
        struct sley_task *t = sley__suite_spawn(o->ex, answers[i % 2], &(struct answer){.value = i});
        CHECK_RC(sley_task_join(t, &result), 0);
        CHECK_INT(result, ==, i);
        sley_task_unref(t);
    }
    sley_task_cancel(o->main);
    return NULL;
}

static int park_until_cancelled(struct suite_none *a)
{
    (void)a;
    return sley_park();
}
SLEY_FIBER(park_until_cancelled, struct suite_none)

static void spawn_beside(const struct sley_conformance_executor *x, bool load)
{
    pthread_t thread;
    struct sley_executor *ex = sley__suite_start(x);
    struct outsider o = {ex, sley__suite_spawn(ex, &park_until_cancelled__type, NULL), load};
    if (load) {
        spawn_load(ex);
    }
    CHECK_INT(pthread_create(&thread, NULL, spawn_outside, &o), ==, 0);
    CHECK_RC(ex->ops->run(ex, o.main), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    sley_task_unref(o.main);
    sley__suite_end(x, ex);
}

CLAUSE(spawn_from_elsewhere_wakes_an_idle_one)
{
    spawn_beside(x, false);
}

CLAUSE(spawn_from_elsewhere_runs_beside_load)
{
    spawn_beside(x, true);
}

CLAUSE(run_returns_under_load)
{
    struct sley_executor *ex = sley__suite_start(x);
    spawn_load(ex);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(sley__suite_run(ex, answers[i % 2], &(struct answer){.value = i}), ==, i);
    }
    sley__suite_end(x, ex);
}

/* ---- ping-pong: each gives the other the ball and waits for it ---------------------------------------------------------- */

struct player {
    struct sley_notify *mine, *other;
};

static int play(struct player *a)
{
    int rc;
    do {
        sley_notify_set(a->other);
        rc = sley_notify_wait(a->mine);
    } while (rc == 0);
    return rc;
}
SLEY_FIBER(play, struct player)

static int yield_five_times(struct suite_none *a)
{
    (void)a;
    for (int i = 0; i < 5; i++) {
        CHECK_RC(sley_yield(), 0);
    }
    return 5;
}
SLEY_FIBER(yield_five_times, struct suite_none)

CLAUSE(newcomer_beside_ping_pong_ends)
{
    static struct sley_notify balls[100][2]; /* zeroed is fine, and nobody is left at the end */
    struct sley_executor *ex = sley__suite_start(x);
    for (int i = 0; i < 100; i++) {
        CHECK_RC(ex->ops->spawn(ex, &play__type, &(struct player){&balls[i][0], &balls[i][1]}, NULL), 0);
        CHECK_RC(ex->ops->spawn(ex, &play__type, &(struct player){&balls[i][1], &balls[i][0]}, NULL), 0);
    }
    CHECK_INT(sley__suite_run(ex, &yield_five_times__type, NULL), ==, 5);
    sley__suite_end(x, ex);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------------ */

struct watcher {
    int number;
    bool leave_open;
};

static int watch_descriptor(struct watcher *a)
{
    struct sley_fd fd;
    sley_fd_init(&fd, a->number);
    const int rc = sley_fd_poll(&fd, SLEY_IO_IN);
    CHECK_RC(sley_fd_close(&fd), 0);
    return rc;
}
SLEY_FIBER(watch_descriptor, struct watcher)

static int peer;

static void *write_under_load(void *arg)
{
    (void)arg;
    while (atomic_load_explicit(&loads, memory_order_relaxed) < 1000) {
        (void)sched_yield();
    }
    CHECK_INT(write(peer, "x", 1), ==, 1);
    return NULL;
}

CLAUSE(descriptor_is_seen_under_load)
{
    int fds[2];
    pthread_t thread;
    if (!x->has_io) {
        SKIP("it has no reactor that takes descriptors");
    }
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
    peer = fds[1];
    struct sley_executor *ex = sley__suite_start(x);
    spawn_load(ex);
    CHECK_INT(pthread_create(&thread, NULL, write_under_load, NULL), ==, 0);
    CHECK_INT(sley__suite_run(ex, &watch_descriptor__type, &(struct watcher){.number = fds[0]}), ==, SLEY_IO_IN);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_INT(close(fds[1]), ==, 0);
    sley__suite_end(x, ex);
}

/* ---- time ------------------------------------------------------------------------------------------------------------- */

static uint64_t raw_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

static int sleep_early(struct suite_none *a)
{
    (void)a;
    for (uint64_t d = 1; d < 20 * SLEY_MS; d = d * 5 + 3) {
        const uint64_t before = raw_now();
        CHECK_RC(sley_sleep(d), 0);
        CHECK_UINT(raw_now() - before, >=, d);
    }
    return 0;
}
SLEY_FIBER(sleep_early, struct suite_none)

CLAUSE(sleep_is_never_early)
{
    struct sley_executor *ex = sley__suite_start(x);
    CHECK_INT(sley__suite_run(ex, &sleep_early__type, NULL), ==, 0);
    sley__suite_end(x, ex);
}

static int sleep_long(struct suite_none *a)
{
    (void)a;
    return sley_sleep(1000 * SLEY_S); /* the watchdog would see it */
}
SLEY_FIBER(sleep_long, struct suite_none)

CLAUSE(nearer_timer_from_elsewhere_cuts_the_wait)
{
    pthread_t thread;
    struct sley_executor *ex = sley__suite_start(x);
    struct outsider o = {ex, sley__suite_spawn(ex, &sleep_long__type, NULL), false};
    CHECK_INT(pthread_create(&thread, NULL, spawn_outside, &o), ==, 0); /* its tasks sleep, shorter */
    CHECK_RC(ex->ops->run(ex, o.main), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    sley_task_unref(o.main);
    sley__suite_end(x, ex);
}

/* ---- whose tasks, whose thread ---------------------------------------------------------------------------------------- */

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
    while (!atomic_load_explicit(&ran, memory_order_acquire)) {
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
    CHECK_INT(sley__suite_run(b, answers[0], &(struct answer){.value = 2}), ==, 2);
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
    CHECK(!atomic_load_explicit(&ran, memory_order_acquire));
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK(atomic_load_explicit(&ran, memory_order_acquire));
    sley_task_unref(t);
    sley__suite_end(x, ex);
}

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
    struct sley_task *t = sley__suite_spawn(ex, &park_until_cancelled__type, NULL);
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
