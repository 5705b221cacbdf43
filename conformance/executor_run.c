/* Running: who makes progress, and beside what. */
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/notify.h>

#include "suite.h"

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

static void count_load(void)
{
    atomic_fetch_add_explicit(&loads, 1, memory_order_relaxed); /* relaxed: that they run is all that is asked */
}

static bool is_loaded(void)
{
    return atomic_load_explicit(&loads, memory_order_relaxed) >= 1000; /* relaxed: as in count_load */
}

static enum sley_step load_frame(struct answer *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (;;) {
        count_load();
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
        count_load();
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

struct outsider {
    struct sley_executor *ex;
    struct sley_task *main;
    bool wait_for_load;
};

static void *spawn_outside(void *arg)
{
    struct outsider *o = arg;
    int result = 0;
    while (o->wait_for_load && !is_loaded()) {
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
    while (!is_loaded()) {
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
