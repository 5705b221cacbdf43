/* Ending: stop, release, what is refused, what is left. */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/notify.h>

#include "suite.h"

static SLEY_ATOMIC(unsigned) cleanups, bodies;
static SLEY_ATOMIC(unsigned) begun; /* tasks that are about to wait */

static void begin(void)
{
    /* release: pairs with sley__suite_drive_until */
    atomic_fetch_add_explicit(&begun, 1, memory_order_release);
}

static void cleaned_up(void)
{
    /* relaxed: a count, read when stop or run has told that its tasks have ended */
    atomic_fetch_add_explicit(&cleanups, 1, memory_order_relaxed);
}

static int park_and_clean_up(struct suite_none *a)
{
    (void)a;
    begin();
    CHECK_RC(sley_park(), -ECANCELED);
    CHECK_PTR(sley_sched_current(), !=, NULL); /* still inside its runtime */
    cleaned_up();
    return 0;
}
SLEY_FIBER(park_and_clean_up, struct suite_none)

struct parked {
    struct sley_frame frame;
    struct sley_timer timer;
};

static enum sley_step sleep_and_clean_up(struct parked *f)
{
    int rc;
    SLEY_BEGIN(f);
    begin();
    SLEY_CALL(f, rc, sley_sleep_until, &f->timer, SLEY_NEVER);
    CHECK_RC(rc, -ECANCELED);
    cleaned_up();
    SLEY_END(f);
}
SLEY_FRAME(sleep_and_clean_up, struct parked)

CLAUSE(busy_one_is_not_released)
{
    struct sley_executor *ex = sley__suite_start(x);
    cleanups = begun = 0;
    struct sley_task *t = sley__suite_spawn(ex, &park_and_clean_up__type, NULL);
    struct sley_task *u = sley__suite_spawn(ex, &sleep_and_clean_up__type, NULL);
    sley__suite_drive_until(ex, &begun, 2);
    CHECK_RC(ex->ops->fini(ex), -EBUSY);
    CHECK_RC(ex->ops->spawn(ex, &sleep_and_clean_up__type, NULL, NULL), 0); /* it goes on */
    sley__suite_drive_until(ex, &begun, 3);
    sley_task_cancel(t);
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK_RC(ex->ops->fini(ex), -EBUSY);
    CHECK_UINT(cleanups, ==, 1);
    sley_task_unref(t);
    sley_task_unref(u);
    sley__suite_end(x, ex);
    CHECK_UINT(cleanups, ==, 3);
}

/* ---- each cleanup once; one wakes another that is ending, too ---------------------------------------------------------- */

static int wait_shared(struct sley_notify **shared)
{
    begin();
    const int rc = sley_notify_wait(*shared);
    CHECK(rc == 0 || rc == -ECANCELED);
    cleaned_up();
    return 0;
}
SLEY_FIBER(wait_shared, struct sley_notify *)

static int wake_shared_at_the_end(struct sley_notify **shared)
{
    begin();
    CHECK_RC(sley_park(), -ECANCELED);
    sley_notify_set(*shared);
    cleaned_up();
    return 0;
}
SLEY_FIBER(wake_shared_at_the_end, struct sley_notify *)

CLAUSE(stop_runs_each_cleanup_once)
{
    for (int order = 0; order < 2; order++) {
        struct sley_executor *ex = sley__suite_start(x);
        struct sley_notify shared, *args = &shared;
        sley_notify_init(&shared);
        cleanups = begun = 0;
        CHECK_RC(ex->ops->spawn(ex, order ? &wait_shared__type : &wake_shared_at_the_end__type, &args, NULL), 0);
        CHECK_RC(ex->ops->spawn(ex, order ? &wake_shared_at_the_end__type : &wait_shared__type, &args, NULL), 0);
        for (int i = 0; i < 100; i++) {
            CHECK_RC(ex->ops->spawn(ex, i % 2 ? &sleep_and_clean_up__type : &park_and_clean_up__type, NULL, NULL), 0);
        }
        sley__suite_drive_until(ex, &begun, 102);
        CHECK_UINT(cleanups, ==, 0);
        CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
        CHECK_UINT(cleanups, ==, 102);
        CHECK_RC(ex->ops->stop(ex, 0), 0); /* again: nothing is left */
        CHECK_RC(ex->ops->fini(ex), 0);
        x->destroy(ex);
        sley_notify_fini(&shared);
    }
}

/* ---- descriptors at full speed ----------------------------------------------------------------------------------------- */

static int bounce(int *number)
{
    struct sley_fd fd;
    char byte = 0;
    sley_fd_init(&fd, *number);
    for (;;) {
        const int rc = sley_fd_poll(&fd, SLEY_IO_IN);
        if (rc < 0) {
            break;
        }
        while (read(*number, &byte, 1) == 1) {
            (void)!write(*number, &byte, 1);
            atomic_fetch_add_explicit(&bodies, 1, memory_order_release); /* release: pairs with sley__suite_drive_until */
        }
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    cleaned_up();
    return 0;
}
SLEY_FIBER(bounce, int)

CLAUSE(stop_beside_descriptors)
{
    if (!x->has_io) {
        SKIP("it has no reactor that takes descriptors");
    }
    for (int round = 0; round < 10; round++) {
        int fds[2];
        CHECK_INT(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), ==, 0);
        struct sley_executor *ex = sley__suite_start(x);
        cleanups = bodies = 0;
        CHECK_RC(ex->ops->spawn(ex, &bounce__type, &fds[0], NULL), 0);
        CHECK_RC(ex->ops->spawn(ex, &bounce__type, &fds[1], NULL), 0);
        CHECK_INT(write(fds[0], "x", 1), ==, 1);
        sley__suite_drive_until(ex, &bodies, 50u + (unsigned)round);
        sley__suite_end(x, ex);
        CHECK_UINT(cleanups, ==, 2);
    }
}

/* ---- foreign completions while it stops -------------------------------------------------------------------------------- */

enum { NODES = 1000 };

struct foreign {
    struct sley_wait wait;
    SLEY_ATOMIC(bool) armed;   /* the other thread completes it */
    SLEY_ATOMIC(bool) dropped; /* its task was cancelled before: nobody does */
};
static struct foreign nodes[NODES];

static const struct sley_wait_ops foreign_ops = {.version = SLEY_WAIT_VERSION, .name = "foreign"}; /* not to be cancelled */

static int await_foreign(unsigned *i)
{
    struct foreign *n = &nodes[*i];
    if (!sley_wait_begin(&n->wait, &foreign_ops)) {
        atomic_store_explicit(&n->dropped, true, memory_order_relaxed); /* relaxed: the flag is all that complete_all wants to know */
        cleaned_up();
        return -ECANCELED;
    }
    sley_wait_arm(&n->wait);
    atomic_store_explicit(&n->armed, true, memory_order_release); /* release: publishes the node; pairs with complete_all */
    const int rc = sley_await(&n->wait);
    CHECK_INT(rc, ==, (int)*i);
    cleaned_up();
    return 0;
}
SLEY_FIBER(await_foreign, unsigned)

static void *complete_all(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < NODES; i++) {
        struct foreign *n = &nodes[i];
        bool armed, dropped;
        do {
            armed = atomic_load_explicit(&n->armed, memory_order_acquire); /* acquire: observes the node; pairs with await_foreign */
            dropped = atomic_load_explicit(&n->dropped, memory_order_relaxed); /* relaxed: as in await_foreign */
        } while (!armed && !dropped && sched_yield() == 0);
        if (armed) {
            sley_wait_complete(&n->wait, (int)i);
        }
    }
    return NULL;
}

CLAUSE(stop_beside_foreign_completions)
{
    for (int round = 0; round < 3; round++) {
        pthread_t thread;
        struct sley_executor *ex = sley__suite_start(x);
        memset(nodes, 0, sizeof nodes);
        cleanups = 0;
        for (unsigned i = 0; i < NODES; i++) {
            CHECK_RC(ex->ops->spawn(ex, &await_foreign__type, &i, NULL), 0);
        }
        for (int k = 0; k < round && ex->ops->turn; k++) {
            CHECK_INT(ex->ops->turn(ex, 300, NULL), >=, 0);
        }
        CHECK_INT(pthread_create(&thread, NULL, complete_all, NULL), ==, 0);
        sley__suite_end(x, ex);
        CHECK_UINT(cleanups, ==, NODES);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
    }
}

CLAUSE(spawn_after_stop_is_refused)
{
    struct sley_executor *ex = sley__suite_start(x);
    struct sley_task *t = NULL;
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->spawn(ex, &park_and_clean_up__type, NULL, &t), -ESHUTDOWN);
    CHECK_PTR(t, ==, NULL);
    CHECK_RC(ex->ops->fini(ex), 0);
    CHECK_RC(ex->ops->spawn(ex, &park_and_clean_up__type, NULL, &t), -ESHUTDOWN);
    CHECK_INT(ex->ops->run(ex, NULL), <, 0);
    x->destroy(ex);
}

static int one(struct suite_none *a)
{
    (void)a;
    const int rc = sley_sleep(SLEY_US);
    return rc < 0 ? rc : 1;
}
SLEY_FIBER(one, struct suite_none)

CLAUSE(starts_again_after_its_end)
{
    struct sley_executor *ex = sley__suite_start(x);
    const struct sley_executor_config config = {.alloc = sley__kit_alloc(), .reactors = x->reactors, .worker_count = x->worker_count};
    CHECK_RC(ex->ops->start(ex, &config), -EINVAL); /* it runs already */
    for (int i = 0; i < 3; i++) {
        CHECK_INT(sley__suite_run(ex, &one__type, NULL), ==, 1);
        CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
        CHECK_RC(ex->ops->fini(ex), 0);
        CHECK_RC(ex->ops->start(ex, &config), 0);
    }
    sley__suite_end(x, ex);
}

/** Starts one and runs a task. Returns what start or spawn said. */
static int start_and_run_one(const struct sley_conformance_executor *x, struct sley_executor *ex)
{
    const struct sley_executor_config config = {.alloc = sley__kit_alloc(), .reactors = x->reactors, .worker_count = x->worker_count};
    struct sley_task *t = NULL;
    int rc = ex->ops->start(ex, &config);
    if (rc < 0) {
        return rc;
    }
    rc = ex->ops->spawn(ex, &one__type, NULL, &t);
    if (rc < 0) {
        CHECK_PTR(t, ==, NULL);
    } else {
        CHECK_RC(ex->ops->run(ex, t), 0);
        sley_task_unref(t);
    }
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
    return rc;
}

CLAUSE(each_allocation_refused)
{
    bool refused = true;
    for (size_t at = 1; refused; at++) {
        struct sley_executor *ex = x->create();
        sley__kit_refuse(at);
        const int rc = start_and_run_one(x, ex);
        refused = sley__kit_refused();
        sley__kit_refuse(0);
        CHECK(rc == 0 || (rc == -ENOMEM && refused));
        CHECK_UINT(sley__kit_alloc_live(), ==, 0);
        CHECK(at < 1000 && (refused || at >= 3)); /* it takes some */
        x->destroy(ex);
    }
}
