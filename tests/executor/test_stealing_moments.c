/* Handles, cancels and timers of tasks that workers share, at every moment of a task's life and from wherever they come. */
#include <pthread.h>
#include <sched.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/notify.h>
#include <sley/stealing.h>
#include <sley/timer.h>

#include "harness.h"

struct pool {
    struct sley_stealing stealing;
    struct sley_executor *ex;
};

static void pool_start(struct pool *p, uint32_t workers)
{
    sley_stealing_init(&p->stealing, NULL);
    p->ex = &p->stealing.base;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = workers, .stall_ns = SLEY_NEVER};
    CHECK_RC(p->ex->ops->start(p->ex, &config), 0);
}

static void pool_end(struct pool *p)
{
    CHECK_RC(p->ex->ops->stop(p->ex, SLEY_NEVER), 0);
    CHECK_RC(p->ex->ops->fini(p->ex), 0);
}

/* ---- each combination of style, origin, handle, cancel and result ----------------------------------------------------- */

enum moment { NEVER, BEFORE, DURING, AFTER, MOMENTS };

static SLEY_ATOMIC(unsigned) begun, ended;

struct combined {
    struct sley_frame frame; /* frames */
    struct sley_notify *gate;
    int result;
    struct sley_notify_op op;
};

static int finish(const struct combined *a, int rc)
{
    atomic_fetch_add_explicit(&ended, 1, memory_order_relaxed);
    return rc < 0 ? rc : a->result;
}

static enum sley_step combined_frame(struct combined *f)
{
    int rc;
    SLEY_BEGIN(f);
    atomic_fetch_add_explicit(&begun, 1, memory_order_relaxed);
    SLEY_CALL(f, rc, sley_notify_wait, &f->op, f->gate);
    SLEY_RETURN(f, finish(f, rc));
    SLEY_END(f);
}
SLEY_FRAME(combined_frame, struct combined)

static int combined_fiber(struct combined *a)
{
    atomic_fetch_add_explicit(&begun, 1, memory_order_relaxed);
    return finish(a, sley_notify_wait(a->gate));
}
SLEY_FIBER(combined_fiber, struct combined)

struct spawner {
    const struct sley_task_type *type;
    const struct combined *args;
    struct sley_task **ret_task;
};

static int spawn_another(struct spawner *a)
{
    return sley_spawn(NULL, a->type, a->args, NULL, a->ret_task);
}
SLEY_FIBER(spawn_another, struct spawner)

static struct sley_task *spawn(struct pool *p, bool inside, const struct sley_task_type *type, const struct combined *args)
{
    struct sley_task *t = NULL, *spawner = NULL;
    int rc = -EBUSY;
    if (!inside) {
        CHECK_RC(p->ex->ops->spawn(p->ex, type, args, &t), 0);
        return t;
    }
    CHECK_RC(p->ex->ops->spawn(p->ex, &spawn_another__type, &(struct spawner){type, args, &t}, &spawner), 0);
    CHECK_RC(sley_task_join(spawner, &rc), 0);
    CHECK_RC(rc, 0);
    sley_task_unref(spawner);
    return t;
}

static void give_back(struct sley_task **t, enum moment when, enum moment now)
{
    if (when == now) {
        sley_task_unref(*t);
        *t = NULL;
    }
}

static void combine(int style, bool inside, enum moment unref, enum moment cancel, int result)
{
    struct pool p;
    struct sley_notify gate = {0};
    const struct combined args = {.gate = &gate, .result = result};
    const bool cancelled = cancel == BEFORE || (cancel == DURING && unref != BEFORE);
    begun = ended = 0;
    pool_start(&p, 2);
    struct sley_task *t = spawn(&p, inside, style ? &combined_fiber__type : &combined_frame__type, &args);
    if (cancel == BEFORE) {
        sley_task_cancel(t); /* before its first resume, in it or after: all the same */
    }
    give_back(&t, unref, BEFORE);
    while (atomic_load_explicit(&begun, memory_order_relaxed) == 0) {
        (void)sched_yield();
    }
    if (cancel == DURING) {
        sley_task_cancel(t);
    }
    give_back(&t, unref, DURING);
    if (!cancelled) {
        sley_notify_set(&gate);
    }
    CHECK_RC(p.ex->ops->run(p.ex, NULL), 0);
    CHECK_UINT(begun, ==, 1);
    CHECK_UINT(ended, ==, 1);
    if (t) {
        int got = 1;
        CHECK_RC(sley_task_result(t, &got), 0);
        CHECK_RC(got, cancelled ? -ECANCELED : result);
        if (cancel == AFTER) {
            sley_task_cancel(t);
        }
    }
    give_back(&t, unref, AFTER);
    pool_end(&p);
    sley_task_unref(t); /* NEVER: after the executor */
    CHECK_UINT(harness_alloc_live(), ==, 0);
}

SLEY_TEST_SECONDS(each_combination_of_handle_cancel_and_end_frees_everything_once, "TASK-13", 120)
{
    for (unsigned i = 0; i < 8; i++) {
        for (int unref = NEVER; unref < MOMENTS; unref++) {
            for (int cancel = NEVER; cancel < MOMENTS; cancel++) {
                combine(i % 2, i / 2 % 2, (enum moment)unref, (enum moment)cancel, i / 4 ? -EIO : 3);
            }
        }
    }
}

/* ---- a timer is moved or taken back on another worker than the one whose wheel it is in --------------------------------- */

static SLEY_ATOMIC(unsigned) crossings, fired, taken_back;

enum { MOVERS = 32 };

struct mover {
    uint32_t rounds;
    uint64_t random;
};

static uint32_t below(struct mover *m, uint32_t n)
{
    m->random ^= m->random << 13, m->random ^= m->random >> 7, m->random ^= m->random << 17;
    return (uint32_t)(m->random % n);
}

/** Waits for the timer; one that fires does so at @p due_ns at the earliest. */
static void wait_for(struct sley_timer *t, uint64_t due_ns)
{
    const int rc = sley_await(&t->wait);
    CHECK(rc == 0 || rc == -ECANCELED);
    CHECK(rc < 0 || sley_now_ns() >= due_ns);
    atomic_fetch_add_explicit(rc < 0 ? &taken_back : &fired, 1, memory_order_relaxed);
}

static int move_timers(struct mover *m)
{
    for (uint32_t i = 0; i < m->rounds; i++) {
        struct sley_timer t = {0};
        const uint32_t what = below(m, 4);
        const uint64_t old_ns = sley_after_ns(what == 2 ? 1000 * SLEY_S : below(m, 4) * 500 * SLEY_US);
        uint64_t new_ns = old_ns;
        sley_sleep_until_start(&t, old_ns);
        const struct sley_sched *armed_on = sley_sched_current();
        for (uint32_t k = below(m, 8); k > 0; k--) {
            CHECK_RC(sley_yield(), 0);
            for (const uint64_t end_ns = sley_after_ns(10 * SLEY_US); sley_now_ns() < end_ns;) { /* another finds something to steal */
            }
        }
        if (sley_sched_current() != armed_on) {
            atomic_fetch_add_explicit(&crossings, 1, memory_order_relaxed);
        }
        if (what == 1 || what == 2) { /* later; and sooner, from a time that never comes */
            new_ns = what == 1 ? old_ns + SLEY_MS : sley_after_ns(below(m, 3) * 500 * SLEY_US);
            sley_timer_reset(&t, new_ns);
            new_ns = what == 1 && sley_now_ns() >= old_ns ? old_ns : new_ns; /* it may have fired before */
        } else if (what == 3) {
            sley_wait_cancel(&t.wait);
        }
        wait_for(&t, new_ns);
    }
    return 0;
}
SLEY_FIBER(move_timers, struct mover)

SLEY_TEST_SECONDS(timer_is_moved_and_taken_back_from_another_worker_than_its_wheels, "TIMER-09 TIMER-11", 60)
{
    struct pool p;
    const uint32_t rounds = harness_slowness() > 1 ? 20 : 50;
    crossings = fired = taken_back = 0;
    pool_start(&p, 4);
    for (int i = 0; i < MOVERS; i++) {
        CHECK_RC(p.ex->ops->spawn(p.ex, &move_timers__type, &(struct mover){rounds, harness_rand() | 1}, NULL), 0);
    }
    CHECK_RC(p.ex->ops->run(p.ex, NULL), 0);
    CHECK_UINT(fired + taken_back, ==, MOVERS * rounds);
    harness_note("%u fired, %u were taken back; %u were looked at on another worker", fired, taken_back, crossings);
    pool_end(&p);
}
