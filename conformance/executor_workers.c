/* Executors with threads of their own: tasks go on by themselves, run only waits for them. */
#include <pthread.h>
#include <sched.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/notify.h>

#include "suite.h"

struct counted {
    SLEY_ATOMIC(unsigned) * count;
};

struct counted_frame {
    struct sley_frame frame;
    struct sley_timer timer;
    SLEY_ATOMIC(unsigned) * count;
};

static void count_up(SLEY_ATOMIC(unsigned) * count)
{
    /* release: pairs with sley__suite_drive_until */
    atomic_fetch_add_explicit(count, 1, memory_order_release);
}

static enum sley_step sleep_frame(struct counted_frame *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, sley_sleep, &f->timer, SLEY_US);
    CHECK_RC(rc, 0);
    count_up(f->count);
    SLEY_RETURN(f, 3);
    SLEY_END(f);
}
SLEY_FRAME(sleep_frame, struct counted_frame)

static int sleep_fiber(struct counted *a)
{
    CHECK_RC(sley_yield(), 0);
    CHECK_RC(sley_sleep(SLEY_US), 0);
    count_up(a->count);
    return 3;
}
SLEY_FIBER(sleep_fiber, struct counted)

static int spawn_counted(struct sley_executor *ex, SLEY_ATOMIC(unsigned) * count, bool frame, struct sley_task **ret_task)
{
    return frame ? ex->ops->spawn(ex, &sleep_frame__type, &(struct counted_frame){.count = count}, ret_task)
                 : ex->ops->spawn(ex, &sleep_fiber__type, &(struct counted){count}, ret_task);
}

/* Joined on a plain thread, given back before or after, or never asked for: no run is needed for any. */
CLAUSE(tasks_progress_while_nobody_runs)
{
    struct sley_executor *ex = sley__suite_start(x);
    SLEY_ATOMIC(unsigned) count = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct sley_task *t = NULL;
        int result = 0;
        CHECK_RC(spawn_counted(ex, &count, i % 2, i % 4 < 2 ? &t : NULL), 0);
        if (i % 4 == 0) {
            CHECK_RC(sley_task_join(t, &result), 0);
            CHECK_INT(result, ==, 3);
        }
        sley_task_unref(t);
    }
    sley__suite_drive_until(ex, &count, 200);
    CHECK_RC(ex->ops->run(ex, NULL), 0);
    CHECK_UINT(count, ==, 200);
    sley__suite_end(x, ex);
}

static int park_until_cancelled(struct counted *a)
{
    count_up(a->count);
    return sley_park();
}
SLEY_FIBER(park_until_cancelled, struct counted)

struct waiter {
    struct sley_executor *ex;
    struct sley_task *parked, *ended;
};

static void *wait_second(void *arg)
{
    const struct waiter *w = arg;
    struct sley_executor *ex = w->ex;
    int rc;
    while ((rc = ex->ops->run(ex, w->ended)) == 0) { /* the first does not wait yet */
        (void)sched_yield();
    }
    CHECK_RC(rc, -EBUSY);
    CHECK_RC(ex->ops->stop(ex, 0), -EBUSY);
    CHECK_RC(ex->ops->fini(ex), -EBUSY);
    sley_task_cancel(w->parked);
    return NULL;
}

CLAUSE(second_wait_is_refused)
{
    pthread_t second;
    int rc;
    struct sley_executor *ex = sley__suite_start(x);
    SLEY_ATOMIC(unsigned) count = 0;
    struct waiter w = {.ex = ex, .ended = NULL};
    CHECK_RC(spawn_counted(ex, &count, true, &w.ended), 0);
    CHECK_RC(ex->ops->run(ex, w.ended), 0);
    w.parked = sley__suite_spawn(ex, &park_until_cancelled__type, &(struct counted){&count});
    CHECK_INT(pthread_create(&second, NULL, wait_second, &w), ==, 0);
    while ((rc = ex->ops->run(ex, w.parked)) == -EBUSY) { /* the second was inside for a moment */
        (void)sched_yield();
    }
    CHECK_RC(rc, 0);
    CHECK_INT(pthread_join(second, NULL), ==, 0);
    sley_task_unref(w.parked);
    sley_task_unref(w.ended);
    sley__suite_end(x, ex);
}

CLAUSE(halt_ends_the_wait_and_nothing_else)
{
    struct sley_executor *ex = sley__suite_start(x);
    SLEY_ATOMIC(unsigned) count = 0;
    struct sley_task *t = sley__suite_spawn(ex, &park_until_cancelled__type, &(struct counted){&count}), *u = NULL;
    ex->ops->halt(ex);
    ex->ops->halt(ex);
    CHECK_RC(ex->ops->run(ex, t), -ECANCELED);
    sley__suite_drive_until(ex, &count, 1); /* t has begun all the same */
    CHECK(!sley_task_done(t));
    CHECK_RC(spawn_counted(ex, &count, false, &u), 0);
    sley__suite_drive_until(ex, &count, 2);
    CHECK_RC(ex->ops->run(ex, u), 0); /* both halts were used up by one run */
    sley_task_cancel(t);
    CHECK_RC(ex->ops->run(ex, t), 0);
    sley_task_unref(t);
    sley_task_unref(u);
    sley__suite_end(x, ex);
}

/* ---- one wakes another, wherever both are ---------------------------------------------------------------------------- */

enum { BALLS = 20, THROWS = 500 };

struct thrower {
    struct sley_notify *mine, *other;
    bool begins; /* one ball for two: permits do not add up */
};

static int throw_and_wait(struct thrower *a)
{
    for (int i = 0; i < THROWS; i++) {
        if (a->begins || i > 0) {
            sley_notify_set(a->other);
        }
        CHECK_RC(sley_notify_wait(a->mine), 0); /* a wake that is lost is found by the time limit */
    }
    if (!a->begins) {
        sley_notify_set(a->other); /* the last one back */
    }
    return 0;
}
SLEY_FIBER(throw_and_wait, struct thrower)

CLAUSE(wakes_between_workers_are_not_lost)
{
    static struct sley_notify balls[BALLS][2]; /* zeroed is fine, and nobody is left at the end */
    struct sley_executor *ex = sley__suite_start(x);
    for (int i = 0; i < BALLS; i++) {
        CHECK_RC(ex->ops->spawn(ex, &throw_and_wait__type, &(struct thrower){&balls[i][0], &balls[i][1], true}, NULL), 0);
        CHECK_RC(ex->ops->spawn(ex, &throw_and_wait__type, &(struct thrower){&balls[i][1], &balls[i][0], false}, NULL), 0);
    }
    CHECK_RC(ex->ops->run(ex, NULL), 0);
    sley__suite_end(x, ex);
}

/* ---- who stops it need not be who started it --------------------------------------------------------------------------- */

static int count_at_the_end(struct counted *a)
{
    count_up(a->count);
    CHECK_RC(sley_park(), -ECANCELED);
    count_up(a->count);
    return 0;
}
SLEY_FIBER(count_at_the_end, struct counted)

static void *stop_and_release(void *arg)
{
    struct sley_executor *ex = arg;
    CHECK_RC(ex->ops->fini(ex), -EBUSY);
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
    return NULL;
}

CLAUSE(stop_and_release_from_another_thread)
{
    pthread_t thread;
    struct sley_executor *ex = sley__suite_start(x);
    SLEY_ATOMIC(unsigned) count = 0;
    for (int i = 0; i < 50; i++) {
        CHECK_RC(ex->ops->spawn(ex, &count_at_the_end__type, &(struct counted){&count}, NULL), 0);
    }
    sley__suite_drive_until(ex, &count, 50);
    CHECK_INT(pthread_create(&thread, NULL, stop_and_release, ex), ==, 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_UINT(count, ==, 100);
    CHECK_UINT(sley__kit_alloc_live(), ==, 0);
    x->destroy(ex);
}
