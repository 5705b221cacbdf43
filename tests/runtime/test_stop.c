/* In what states a runtime may be asked to stop, on every executor by its name: it names who is left, and it always ends. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sley/blocking.h>
#include <sley/fiber.h>
#include <sley/file.h>
#include <sley/frame.h>
#include <sley/runtime.h>
#include <sley/stealing.h>

#include "harness.h"

struct kind {
    const char *executor;
    uint32_t workers;
};

static struct sley_runtime rt;
static SLEY_ATOMIC(unsigned) arrived, cancelled, ended; /* tasks that are where they should be, saw their cancel, have ended */
static SLEY_ATOMIC(bool) release;                       /* who ignores his cancel ends by this */

static pthread_mutex_t left_lock = PTHREAD_MUTEX_INITIALIZER;
static char left[65536];
static unsigned left_count;

static void keep_left(void *arg, enum sley_report_kind kind, const char *line)
{
    (void)arg;
    if (kind != SLEY_REPORT_LEFT) {
        return;
    }
    (void)pthread_mutex_lock(&left_lock);
    const size_t len = strlen(left);
    (void)snprintf(left + len, sizeof left - len, "%s\n", line);
    left_count++;
    (void)pthread_mutex_unlock(&left_lock);
}

/** Returns: 0, or why there is no such runtime. */
static int begin(const struct kind *k, const char *reactor)
{
    const struct sley_runtime_opts o = {.executor_name = k->executor,
                                        .reactor_name = reactor,
                                        .worker_count = k->workers,
                                        .alloc = harness_alloc(),
                                        .report = keep_left,
                                        .stall_ns = SLEY_NEVER};
    arrived = cancelled = ended = left_count = 0;
    left[0] = '\0';
    release = false;
    return sley_runtime_init(&rt, &o);
}

static void count(SLEY_ATOMIC(unsigned) * what)
{
    /* release: pairs with until */
    atomic_fetch_add_explicit(what, 1, memory_order_release);
}

static bool has_workers(void)
{
    return (rt.executor->ops->caps & SLEY_EXECUTOR_CAP_WORKERS) != 0;
}

/** Lets it go on until @p what is @p n. */
static void until(const SLEY_ATOMIC(unsigned) * what, unsigned n)
{
    /* acquire: pairs with count */
    while (atomic_load_explicit(what, memory_order_acquire) < n) {
        if (has_workers()) {
            (void)sched_yield();
        } else {
            CHECK_INT(sley_runtime_turn(&rt, NULL), >=, 0);
        }
    }
    for (int i = 0; i < 3 && !has_workers(); i++) {
        CHECK_INT(sley_runtime_turn(&rt, NULL), >=, 0); /* and beyond, into its wait */
    }
}

static void end(void)
{
    atomic_store_explicit(&release, true, memory_order_release);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
}

/**
 * Stops in vain until exactly @p n are named, this one among them: a worker without a processor may have kept what is on its way
 * to its end, or back into its wait.
 */
static void stop_in_vain(unsigned n, const char *line)
{
    int tries = 0;
    do {
        left[0] = '\0';
        left_count = 0;
        CHECK_RC(sley_runtime_stop(&rt, sley_after_ns(5 * SLEY_MS)), -ETIMEDOUT);
        CHECK_UINT(left_count, >=, 1);
    } while ((left_count != n || !strstr(left, line)) && ++tries < 400);
    if (left_count != n || !strstr(left, line)) {
        FAIL("%u of %u are left, or not as \"%s\":\n%s", left_count, n, line, left);
    }
    CHECK_RC(sley_runtime_fini(&rt), -EBUSY);
}

static void check_left(const char *line)
{
    if (!strstr(left, line)) {
        FAIL("\"%s\" is not in\n%s", line, left);
    }
}

struct none {
    char none;
};

static int stubborn(struct none *a)
{
    bool seen = false;
    (void)a;
    count(&arrived);
    while (!atomic_load_explicit(&release, memory_order_acquire)) {
        if (sley_yield() < 0 && !seen) {
            seen = true;
            count(&cancelled);
        }
    }
    return 0;
}
SLEY_FIBER(stubborn, struct none)

/* ---- who may not stop it ------------------------------------------------------------------------------------------------ */

static void *stop_and_wait(void *arg)
{
    (void)arg;
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    return NULL;
}

static void second_stop_is_refused_and_the_first_goes_on(const struct kind *k)
{
    pthread_t first;
    CHECK_RC(begin(k, "epoll"), 0);
    CHECK_RC(sley_runtime_spawn(&rt, &stubborn__type, NULL, NULL), 0);
    until(&arrived, 1);
    CHECK_INT(pthread_create(&first, NULL, stop_and_wait, NULL), ==, 0);
    while (atomic_load_explicit(&cancelled, memory_order_acquire) == 0) {
        (void)sched_yield();
    }
    CHECK_RC(sley_runtime_stop(&rt, 0), -EBUSY);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), -EBUSY); /* at once */
    CHECK_RC(sley_runtime_run_all(&rt), -EBUSY);
    CHECK_RC(sley_runtime_fini(&rt), -EBUSY);
    CHECK_RC(sley_runtime_spawn(&rt, &stubborn__type, NULL, NULL), -ESHUTDOWN);
    atomic_store_explicit(&release, true, memory_order_release);
    CHECK_INT(pthread_join(first, NULL), ==, 0);
    CHECK_UINT(left_count, ==, 0);
    end();
}

static int stop_here(void *which)
{
    struct sley_runtime *other = which;
    CHECK_RC(sley_runtime_stop(other, SLEY_NEVER), -EDEADLK);
    CHECK_RC(sley_runtime_stop(other, 0), -EDEADLK);
    CHECK_RC(sley_runtime_fini(other), -EDEADLK);
    return 0;
}

static int stop_in_a_task(struct sley_runtime **which)
{
    CHECK_RC(stop_here(*which), 0);
    CHECK_RC(sley_block_in_place(stop_here, *which, NULL), 0);
    return 0;
}
SLEY_FIBER(stop_in_a_task, struct sley_runtime *)

struct stop_in_a_frame {
    struct sley_frame frame;
    struct sley_runtime *which;
};

static enum sley_step stop_in_a_frame(struct stop_in_a_frame *f)
{
    SLEY_BEGIN(f);
    CHECK_RC(stop_here(f->which), 0);
    SLEY_END(f);
}
SLEY_FRAME(stop_in_a_frame, struct stop_in_a_frame)

static void stop_in_a_task_is_refused(const struct kind *k)
{
    struct sley_runtime other, *const which[] = {&rt, &other};
    CHECK_RC(begin(k, "epoll"), 0);
    CHECK_RC(sley_runtime_init(&other, &(struct sley_runtime_opts){.executor_name = "local", .alloc = harness_alloc()}), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_runtime_run(&rt, &stop_in_a_task__type, &which[i], NULL), 0);
        CHECK_RC(sley_runtime_run(&rt, &stop_in_a_frame__type, &(struct stop_in_a_frame){.which = which[i]}, NULL), 0);
    }
    CHECK_RC(sley_runtime_fini(&other), 0);
    CHECK_RC(sley_runtime_spawn(&rt, &stubborn__type, NULL, NULL), 0); /* it goes on */
    end();
}

static int stop_in_a_job(struct none *a)
{
    (void)a;
    CHECK_RC(sley_blocking(stop_here, &rt, NULL), 0);
    count(&ended);
    return 0;
}
SLEY_FIBER(stop_in_a_job, struct none)

static void stop_in_a_job_of_its_pool_is_refused(const struct kind *k)
{
    CHECK_RC(begin(k, "epoll"), 0);
    CHECK_RC(sley_runtime_spawn(&rt, &stop_in_a_job__type, NULL, NULL), 0);
    until(&ended, 1); /* where there are workers nobody else drives it */
    CHECK_RC(sley_runtime_run(&rt, &stop_in_a_job__type, NULL, NULL), 0);
    end();
}

/* ---- what may be left ----------------------------------------------------------------------------------------------------- */

static int join_set(struct none *a)
{
    struct sley_scope sc;
    (void)a;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_COLLECT}), 0);
    CHECK_RC(sley_spawn(&sc, &stubborn__type, NULL, NULL, NULL), 0);
    count(&arrived);
    struct sley_task *t = NULL;
    CHECK_RC(sley_scope_next(&sc, &t, NULL), 1);
    sley_task_unref(t);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(join_set, struct none)

static void join_set_and_what_is_in_it_are_named(const struct kind *k)
{
    CHECK_RC(begin(k, "epoll"), 0);
    CHECK_RC(sley_runtime_spawn(&rt, &join_set__type, NULL, NULL), 0);
    until(&arrived, 2);
    stop_in_vain(2, ") waits for scope.next");
    check_left("task join_set (");
    check_left("task stubborn (");
    end();
}

static char fifo[64];

/** Opens a FIFO whose other end nobody has: the kernel keeps the call, whatever is cancelled. */
static int open_a_fifo(struct none *a)
{
    struct sley_file f = {0};
    (void)a;
    count(&arrived);
    const int rc = sley_file_open(&f, fifo, O_RDONLY, 0);
    if (rc == 0) {
        CHECK_RC(sley_file_close(&f), 0);
    } else {
        CHECK_RC(rc, -ECANCELED);
    }
    return 0;
}
SLEY_FIBER(open_a_fifo, struct none)

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void stop_ends_beside_a_call_that_the_kernel_keeps_on(const struct kind *k, const char *reactor)
{
    const int refused = begin(k, reactor);
    if (refused < 0) {
        harness_note("no reactor \"%s\" here: %d", reactor, refused);
        return;
    }
    CHECK_INT(mkfifo(fifo, 0600), ==, 0);
    CHECK_RC(sley_runtime_spawn(&rt, &open_a_fifo__type, NULL, NULL), 0);
    until(&arrived, 1);
    /* a job behind it in line: when that has run, a call that was handed in before has begun */
    CHECK_RC(sley_blocking_with(&(struct sley_blocking_how){.pool = rt.blocking}, nothing, NULL, NULL), 0);
    const bool taken_back = strcmp(reactor, "uring") == 0; /* in its own time */
    const int rc = sley_runtime_stop(&rt, taken_back ? SLEY_NEVER : sley_after_ns(5 * SLEY_MS));
    CHECK(rc == 0 || !taken_back);
    if (rc != 0) { /* else it had not begun */
        CHECK_RC(rc, -ETIMEDOUT);
        stop_in_vain(2, ") waits for "); /* a file.open, or what it is inside; and the job that makes the call */
        check_left("task open_a_fifo (");
        check_left("a job of \"file.open\" runs and does not end");
    }
    harness_note("%s, %u workers, %s: %s", k->executor, k->workers, reactor, rc < 0 ? left : "the call was taken back");
    const int other_end = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    CHECK_INT(other_end, >=, 0);
    end();
    CHECK_INT(close(other_end), ==, 0);
    CHECK_INT(unlink(fifo), ==, 0);
}

static void stop_ends_beside_a_call_that_the_kernel_keeps(const struct kind *k)
{
    static const char *const reactors[] = {"epoll", "poll", "uring"};
    char dir[] = "/tmp/sley-stop-XXXXXX";
    CHECK_PTR(mkdtemp(dir), !=, NULL);
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    for (size_t i = 0; i < sizeof reactors / sizeof reactors[0]; i++) {
        stop_ends_beside_a_call_that_the_kernel_keeps_on(k, reactors[i]);
    }
    CHECK_INT(rmdir(dir), ==, 0);
}

/* ---- a worker that is held ------------------------------------------------------------------------------------------------- */

static int compute(struct none *a)
{
    (void)a;
    count(&arrived);
    while (!atomic_load_explicit(&release, memory_order_acquire)) {
        (void)sched_yield(); /* the thread's, not the task's */
    }
    return 0;
}
SLEY_FIBER(compute, struct none)

static int sleep_for_ever(struct none *a)
{
    (void)a;
    count(&arrived);
    CHECK_RC(sley_sleep_until(SLEY_NEVER - 1), -ECANCELED);
    count(&ended);
    return 0;
}
SLEY_FIBER(sleep_for_ever, struct none)

/* Tasks have armed timers wherever they were, on the held worker, too. One that is for that worker alone is left with it. */
static void stop_beside_a_held_worker_ends_the_others(const struct kind *k)
{
    enum { OTHERS = 64 };
    const bool apart = strcmp(k->executor, "cores") == 0;
    CHECK_RC(begin(k, "epoll"), 0);
    for (unsigned i = 0; i < OTHERS; i++) {
        CHECK_RC(apart ? sley_runtime_spawn_on(&rt, 1, &sleep_for_ever__type, NULL, NULL)
                       : sley_runtime_spawn(&rt, &sleep_for_ever__type, NULL, NULL),
                 0);
    }
    CHECK_RC(sley_runtime_spawn_on(&rt, 0, &sleep_for_ever__type, NULL, NULL), 0);
    until(&arrived, OTHERS + 1);
    CHECK_RC(sley_runtime_spawn_on(&rt, 0, &compute__type, NULL, NULL), 0);
    until(&arrived, OTHERS + 2);
    /* what is at home only its home can name */
    stop_in_vain(apart ? 1 : 2, apart ? "core 0: does not answer" : "task compute (");
    CHECK_UINT(ended, ==, OTHERS);
    end();
    CHECK_UINT(ended, ==, OTHERS + 1);
}

/* ---- each on each -------------------------------------------------------------------------------------------------------- */

#define EACH(X, kind)                                                        \
    X(second_stop_is_refused_and_the_first_goes_on, "SHUT-03 SHUT-09", kind) \
    X(stop_in_a_task_is_refused, "SHUT-11", kind)                            \
    X(stop_in_a_job_of_its_pool_is_refused, "SHUT-11", kind)                 \
    X(join_set_and_what_is_in_it_are_named, "SHUT-03", kind)                 \
    X(stop_ends_beside_a_call_that_the_kernel_keeps, "SHUT-07", kind)
#define EACH_HELD(X, kind) X(stop_beside_a_held_worker_ends_the_others, "SHUT-03", kind)
#define CASE(name, ids, kind)     \
    SLEY_TEST(kind##_##name, ids) \
    {                             \
        name(&kind);              \
    }

static const struct kind local = {"local", 1};
EACH(CASE, local)
static const struct kind shares = {"shares", 1};
EACH(CASE, shares)
static const struct kind cores_2 = {"cores", 2};
EACH(CASE, cores_2)
EACH_HELD(CASE, cores_2)
static const struct kind stealing_1 = {"stealing", 1};
EACH(CASE, stealing_1)
static const struct kind stealing_2 = {"stealing", 2};
EACH(CASE, stealing_2)
EACH_HELD(CASE, stealing_2)
static const struct kind stealing_8 = {"stealing", 8};
EACH(CASE, stealing_8)
EACH_HELD(CASE, stealing_8)
