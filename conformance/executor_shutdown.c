/* Stopping what will not stop: tasks that ignore their cancel, or wait for what nobody can cancel. Each is let go in the end. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sley/fiber.h>
#include <sley/frame.h>

#include "suite.h"

static pthread_mutex_t text_lock = PTHREAD_MUTEX_INITIALIZER;
static char text[65536];
static SLEY_ATOMIC(unsigned) left_count;
static SLEY_ATOMIC(bool) release;     /* tasks that ignore their cancel end by this */
static SLEY_ATOMIC(unsigned) arrived; /* tasks that are where the test wants them */

static void keep_left(void *arg, enum sley_report_kind kind, const char *line)
{
    (void)arg;
    if (kind != SLEY_REPORT_LEFT) {
        return;
    }
    (void)pthread_mutex_lock(&text_lock);
    const size_t len = strlen(text);
    (void)snprintf(text + len, sizeof text - len, "%s\n", line);
    (void)pthread_mutex_unlock(&text_lock);
    atomic_fetch_add_explicit(&left_count, 1, memory_order_relaxed); /* relaxed: a count, read when stop has returned */
}

static struct sley_executor *start(const struct sley_conformance_executor *x)
{
    text[0] = '\0';
    left_count = arrived = 0;
    release = false;
    struct sley_executor *ex = x->create();
    const struct sley_executor_config config = {.alloc = sley__kit_alloc(),
                                                .reactors = x->reactors,
                                                .worker_count = x->worker_count,
                                                .report = keep_left,
                                                .stall_ns = SLEY_NEVER};
    CHECK_RC(ex->ops->start(ex, &config), 0);
    return ex;
}

static void here(void)
{
    atomic_fetch_add_explicit(&arrived, 1, memory_order_release); /* release: pairs with count_arrived */
}

static unsigned count_arrived(void)
{
    return atomic_load_explicit(&arrived, memory_order_acquire); /* acquire: pairs with here */
}

static void let_all_end(void)
{
    atomic_store_explicit(&release, true, memory_order_release); /* release: pairs with may_end */
}

static bool may_end(void)
{
    return atomic_load_explicit(&release, memory_order_acquire); /* acquire: pairs with let_all_end */
}

/** Runs until @p count tasks have said where they are. */
static void settle(struct sley_executor *ex, unsigned count)
{
    while (count_arrived() < count) {
        sley__suite_drive(ex);
    }
    for (int i = 0; i < 3 && ex->ops->turn; i++) {
        CHECK_INT(ex->ops->turn(ex, 0, NULL), >=, 0); /* and beyond, into its wait */
    }
}

static struct timespec now(void)
{
    struct timespec ts;
    CHECK_INT(clock_gettime(CLOCK_MONOTONIC, &ts), ==, 0);
    return ts;
}

static uint64_t soon(struct sley_executor *ex)
{
    struct sley_sched *s = ex->ops->sched(ex);
    return s->ops->now_ns(s) + 5 * SLEY_MS;
}

/**
 * Stops in vain: @p count tasks are named, this one among them. Again when a worker has had no processor meanwhile: what was woken
 * by its cancel is ready then, and not back in its wait, and what is below it may not be looked at. How long that takes, nobody knows:
 * an executor that names nobody is one that goes on for hundreds of stops, and for 10 s.
 */
static void stop_in_vain(struct sley_executor *ex, unsigned count, const char *line)
{
    const struct timespec begun = now();
    unsigned tries = 0;
    do {
        text[0] = '\0';
        left_count = 0;
        CHECK_RC(ex->ops->stop(ex, soon(ex)), -ETIMEDOUT);
        CHECK_UINT(left_count, <=, count);
    } while ((left_count < count || !strstr(text, line)) && (++tries < 500 || now().tv_sec - begun.tv_sec < 10));
    CHECK_UINT(left_count, ==, count);
    if (!strstr(text, line)) {
        FAIL("\"%s\" is not in\n%s", line, text);
    }
    CHECK_RC(ex->ops->fini(ex), -EBUSY);
}

static void let_go(const struct sley_conformance_executor *x, struct sley_executor *ex)
{
    let_all_end();
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
    x->destroy(ex);
}

/* ---- the tasks ---------------------------------------------------------------------------------------------------------- */

static int stubborn(struct suite_none *a)
{
    (void)a;
    here();
    while (!may_end()) {
        (void)sley_yield(); /* -ECANCELED, and it does not care */
    }
    return 0;
}
SLEY_FIBER(stubborn, struct suite_none)

static struct sley_wait stone;
static const struct sley_wait_ops stone_ops = {.version = SLEY_WAIT_VERSION, .name = "stone"};

static int wait_for_stone(struct suite_none *a)
{
    (void)a;
    CHECK(sley_wait_begin(&stone, &stone_ops));
    stone.at.site = "stone.c:7";
    sley_wait_arm(&stone);
    here();
    CHECK_RC(sley_await(&stone), 5);
    return 0;
}
SLEY_FIBER(wait_for_stone, struct suite_none)

static int scope_around(const struct sley_task_type **child)
{
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(sley_spawn(&sc, *child, NULL, NULL, NULL), 0);
    here();
    return sley_scope_fini(&sc);
}
SLEY_FIBER(scope_around, const struct sley_task_type *)

/* A join can be cancelled; this one is made where no cancel comes. */
static int join_in_a_shield(const struct sley_task_type **child)
{
    struct sley_scope sc;
    struct sley_task *t = NULL;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_SHIELD, .deadline_ns = SLEY_NEVER - 1}), 0);
    CHECK_RC(sley_spawn(&sc, *child, NULL, NULL, &t), 0);
    here();
    CHECK_RC(sley_task_join(t, NULL), 0);
    sley_task_unref(t);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(join_in_a_shield, const struct sley_task_type *)

static struct sley_wait mail; /* stands for a channel: can be cancelled, and the test completes it */

static void mail_cancel(struct sley_wait *w)
{
    sley_wait_complete(w, -ECANCELED);
}
static const struct sley_wait_ops mail_ops = {.version = SLEY_WAIT_VERSION, .name = "mail", .cancel = mail_cancel};

static int mail_in_a_shield(uint64_t *deadline_ns)
{
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_SHIELD, .deadline_ns = *deadline_ns}), 0);
    if (sley_wait_begin(&mail, &mail_ops)) {
        sley_wait_arm(&mail);
    }
    here();
    const int rc = sley_await(&mail);
    const int end = sley_scope_fini(&sc);
    CHECK(rc == 5 || rc == -ECANCELED);
    return end;
}
SLEY_FIBER(mail_in_a_shield, uint64_t)

/* ---- the cases ---------------------------------------------------------------------------------------------------------- */

CLAUSE(task_that_goes_on_is_named_as_ready)
{
    struct sley_executor *ex = start(x);
    CHECK_RC(ex->ops->spawn(ex, &stubborn__type, NULL, NULL), 0);
    settle(ex, 1);
    stop_in_vain(ex, 1, ") is ready to run");
    CHECK(strstr(text, "task stubborn (") != NULL);
    let_go(x, ex);
}

CLAUSE(node_that_cannot_be_cancelled_is_named)
{
    struct sley_executor *ex = start(x);
    memset(&stone, 0, sizeof stone);
    CHECK_RC(ex->ops->spawn(ex, &wait_for_stone__type, NULL, NULL), 0);
    settle(ex, 1);
    stop_in_vain(ex, 1, ") waits for stone at stone.c:7\n");
    sley_wait_complete(&stone, 5);
    let_go(x, ex);
}

CLAUSE(scope_that_waits_names_its_child)
{
    struct sley_executor *ex = start(x);
    const struct sley_task_type *child = &stubborn__type;
    CHECK_RC(ex->ops->spawn(ex, &scope_around__type, &child, NULL), 0);
    settle(ex, 2);
    const bool home = ex->ops->sched(ex)->ops->caps & SLEY_SCHED_CAP_HOME;
    stop_in_vain(ex, 2, home ? ", held by stubborn (" : ") waits for scope.fini");
    CHECK(strstr(text, "task scope_around (") != NULL);
    CHECK(strstr(text, ") waits for scope.fini") != NULL);
    let_go(x, ex);
}

CLAUSE(join_names_whom_it_waits_for)
{
    struct sley_executor *ex = start(x);
    const struct sley_task_type *child = &stubborn__type;
    CHECK_RC(ex->ops->spawn(ex, &join_in_a_shield__type, &child, NULL), 0);
    settle(ex, 2);
    stop_in_vain(ex, 2, ", held by stubborn (");
    CHECK(strstr(text, ") waits for task.join") != NULL);
    let_go(x, ex);
}

CLAUSE(channel_in_a_shield_is_named)
{
    struct sley_executor *ex = start(x);
    const uint64_t never_ns = SLEY_NEVER - 1;
    memset(&mail, 0, sizeof mail);
    CHECK_RC(ex->ops->spawn(ex, &mail_in_a_shield__type, &never_ns, NULL), 0);
    settle(ex, 1);
    stop_in_vain(ex, 1, ") waits for mail");
    sley_wait_complete(&mail, 5);
    let_go(x, ex);
}

/* The shield's deadline comes before the drain's: the cancel arrives, and all end in time. */
CLAUSE(shield_ends_at_its_own_deadline)
{
    struct sley_executor *ex = start(x);
    memset(&mail, 0, sizeof mail);
    const uint64_t deadline_ns = soon(ex);
    CHECK_RC(ex->ops->spawn(ex, &mail_in_a_shield__type, &deadline_ns, NULL), 0);
    settle(ex, 1);
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_UINT(left_count, ==, 0);
    let_go(x, ex);
}

static int compute(struct suite_none *a)
{
    (void)a;
    here();
    while (!may_end()) {
        (void)sched_yield(); /* the thread's, not the task's */
    }
    return 0;
}
SLEY_FIBER(compute, struct suite_none)

static void *drive(void *arg)
{
    struct sley_executor *ex = arg;
    CHECK_RC(ex->ops->run(ex, NULL), 0);
    return NULL;
}

/* An executor without threads of its own is stopped by who drives it: elsewhere stop says -EBUSY, at once. Others time out. */
CLAUSE(task_inside_its_body_elsewhere_is_not_waited_for)
{
    pthread_t thread;
    struct sley_executor *ex = start(x);
    const bool workers = ex->ops->caps & SLEY_EXECUTOR_CAP_WORKERS;
    CHECK_RC(ex->ops->spawn(ex, &compute__type, NULL, NULL), 0);
    if (!workers) {
        CHECK_INT(pthread_create(&thread, NULL, drive, ex), ==, 0);
    }
    while (count_arrived() == 0) {
        (void)sched_yield();
    }
    CHECK_RC(ex->ops->stop(ex, soon(ex)), workers ? -ETIMEDOUT : -EBUSY);
    if (workers && !(ex->ops->sched(ex)->ops->caps & SLEY_SCHED_CAP_HOME)) { /* what is at home only its home can name */
        CHECK(strstr(text, "task compute (") != NULL);
    }
    let_all_end();
    if (!workers) {
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
    }
    let_go(x, ex);
}

CLAUSE(spawn_is_refused_while_some_are_left)
{
    struct sley_executor *ex = start(x);
    CHECK_RC(ex->ops->spawn(ex, &stubborn__type, NULL, NULL), 0);
    settle(ex, 1);
    stop_in_vain(ex, 1, "task stubborn (");
    CHECK_RC(ex->ops->spawn(ex, &stubborn__type, NULL, NULL), -ESHUTDOWN);
    CHECK_RC(ex->ops->stop(ex, 0), -ETIMEDOUT); /* again: it is named again, and stop ends again */
    CHECK_UINT(left_count, ==, 2);
    let_go(x, ex);
}

CLAUSE(all_of_them_are_named_each_once)
{
    enum { COUNT = 20 };
    struct sley_executor *ex = start(x);
    const struct sley_task_type *child = &stubborn__type;
    for (int i = 0; i < COUNT; i++) {
        CHECK_RC(ex->ops->spawn(ex, &scope_around__type, &child, NULL), 0);
    }
    settle(ex, 2 * COUNT);
    stop_in_vain(ex, 2 * COUNT, "task stubborn (");
    let_go(x, ex);
}

/* ---- while it drains ------------------------------------------------------------------------------------------------------ */

static SLEY_ATOMIC(unsigned) entered;

static int enter(struct suite_none *a)
{
    (void)a;
    atomic_fetch_add_explicit(&entered, 1, memory_order_relaxed); /* relaxed: a count, read when stop has returned */
    return 0;
}
SLEY_FIBER(enter, struct suite_none)

/** Holds the drain up until the thread beside it has been refused, and is refused itself. */
static int spawn_at_the_end(struct suite_none *a)
{
    (void)a;
    here();
    CHECK_RC(sley_park(), -ECANCELED);
    CHECK_RC(sley_spawn(NULL, &enter__type, NULL, NULL, NULL), -ESHUTDOWN);
    while (!may_end()) {
        (void)sley_yield();
    }
    CHECK_RC(sley_spawn(NULL, &enter__type, NULL, NULL, NULL), -ESHUTDOWN);
    return 0;
}
SLEY_FIBER(spawn_at_the_end, struct suite_none)

struct spawner {
    struct sley_executor *ex;
    unsigned taken;
};

static void *spawn_until_refused(void *arg)
{
    struct spawner *s = arg;
    int rc;
    while ((rc = s->ex->ops->spawn(s->ex, &enter__type, NULL, NULL)) == 0) {
        s->taken++;
        (void)sched_yield();
    }
    CHECK_RC(rc, -ESHUTDOWN);
    let_all_end();
    return NULL;
}

CLAUSE(spawns_are_refused_while_it_drains)
{
    pthread_t thread;
    struct sley_executor *ex = start(x);
    struct spawner s = {.ex = ex};
    entered = 0;
    CHECK_RC(ex->ops->spawn(ex, &spawn_at_the_end__type, NULL, NULL), 0);
    settle(ex, 1);
    CHECK_INT(pthread_create(&thread, NULL, spawn_until_refused, &s), ==, 0);
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_UINT(left_count, ==, 0);
    CHECK_UINT(entered, ==, s.taken); /* what was taken before has had its body entered, cancelled or not */
    let_go(x, ex);
}

static struct sley_executor *to_halt;

static void halt_it(int signo)
{
    (void)signo;
    to_halt->ops->halt(to_halt);
}

static int halt_at_the_end(struct suite_none *a)
{
    (void)a;
    here();
    CHECK_RC(sley_park(), -ECANCELED);
    halt_it(0);
    (void)sley_yield();
    CHECK_INT(kill(getpid(), SIGUSR1), ==, 0);
    for (int i = 0; i < 100; i++) {
        (void)sley_yield();
    }
    atomic_fetch_add_explicit(&entered, 1, memory_order_relaxed); /* relaxed: a count, read when stop has returned */
    return 0;
}
SLEY_FIBER(halt_at_the_end, struct suite_none)

CLAUSE(halt_does_not_end_a_drain)
{
    enum { COUNT = 8 };
    struct sigaction halting = {.sa_handler = halt_it}, before;
    struct sley_executor *ex = start(x);
    to_halt = ex;
    entered = 0;
    CHECK_INT(sigaction(SIGUSR1, &halting, &before), ==, 0);
    for (int i = 0; i < COUNT; i++) {
        CHECK_RC(ex->ops->spawn(ex, &halt_at_the_end__type, NULL, NULL), 0);
    }
    settle(ex, COUNT);
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_UINT(entered, ==, COUNT);
    CHECK_UINT(left_count, ==, 0);
    CHECK_INT(sigaction(SIGUSR1, &before, NULL), ==, 0);
    let_go(x, ex);
}
