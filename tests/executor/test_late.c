/* Who calls an executor may be in the middle of the call still when what the call has led to is over, and somebody ends the executor for
 * it: the end then waits until the caller has had its last look. The calls are held up at their last step (linked with --wrap). */
#include <pthread.h>
#include <sched.h>

#include <sley/cores.h>
#include <sley/fiber.h>
#include <sley/local.h>
#include <sley/stealing.h>
#include <sley/timer.h>

#include "harness.h"

struct none {
    char none;
};

struct sley_cores_state;
struct sley_core;

/* ---- the last step -------------------------------------------------------------------------------------------------------- */

static _Thread_local bool dawdles;
static SLEY_ATOMIC(bool) at_last_step;

/** Gives the others the time they need to end what this thread is yet to touch: less on a busy machine, where a yield costs a slice. */
static void dawdle(void)
{
    if (dawdles) {
        atomic_store_explicit(&at_last_step, true, memory_order_release); /* release: pairs with wait_for_last_step */
        for (unsigned i = 0; harness_another(i, 3000); i++) {
            (void)sched_yield();
            CHECK_UINT(harness_alloc_live(), >, 0); /* it has not gone under us */
        }
    }
}

static void wait_for_last_step(void)
{
    while (!atomic_load_explicit(&at_last_step, memory_order_acquire)) { /* acquire: as above */
        (void)sched_yield();
    }
}

void __real_sley_thread_ring(SLEY_ATOMIC(uint32_t) * bell);
void __wrap_sley_thread_ring(SLEY_ATOMIC(uint32_t) * bell);
void __wrap_sley_thread_ring(SLEY_ATOMIC(uint32_t) * bell)
{
    dawdle();
    __real_sley_thread_ring(bell);
}

void __real_sley__cores_ring(struct sley_cores_state *st);
void __wrap_sley__cores_ring(struct sley_cores_state *st);
void __wrap_sley__cores_ring(struct sley_cores_state *st)
{
    dawdle();
    __real_sley__cores_ring(st);
}

void __real_sley__core_moved(struct sley_core *c);
void __wrap_sley__core_moved(struct sley_core *c);
void __wrap_sley__core_moved(struct sley_core *c)
{
    dawdle();
    __real_sley__core_moved(c);
}

/* ---- callers ---------------------------------------------------------------------------------------------------------------- */

union memory {
    struct sley_local local;
    struct sley_cores cores;
    struct sley_stealing stealing;
};

enum kind { LOCAL, CORES, STEALING, KINDS };

static struct sley_executor *start(union memory *m, enum kind kind)
{
    struct sley_executor *const all[KINDS] = {&m->local.base, &m->cores.base, &m->stealing.base};
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = kind == LOCAL ? 1 : 2, .stall_ns = SLEY_NEVER};
    if (kind == LOCAL) {
        sley_local_init(&m->local);
    } else if (kind == CORES) {
        sley_cores_init(&m->cores, NULL);
    } else {
        sley_stealing_init(&m->stealing, NULL);
    }
    CHECK_RC(all[kind]->ops->start(all[kind], &config), 0);
    return all[kind];
}

static int yield_until_cancelled(struct none *unused)
{
    (void)unused;
    while (!sley_cancelled()) {
        (void)sley_yield();
    }
    return 0;
}
SLEY_FIBER(yield_until_cancelled, struct none)

static void *halt(void *arg)
{
    struct sley_executor *ex = arg;
    dawdles = true;
    ex->ops->halt(ex);
    return NULL;
}

static void end(struct sley_executor *ex)
{
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
}

SLEY_TEST(end_waits_for_who_has_halted_and_is_about_to_ring, "SHUT-13")
{
    for (int kind = 0; kind < KINDS; kind++) {
        union memory m;
        pthread_t thread;
        struct sley_executor *ex = start(&m, (enum kind)kind);
        CHECK_RC(ex->ops->spawn(ex, &yield_until_cancelled__type, NULL, NULL), 0);
        at_last_step = false;
        CHECK_INT(pthread_create(&thread, NULL, halt, ex), ==, 0);
        wait_for_last_step();
        CHECK_RC(ex->ops->run(ex, NULL), -ECANCELED);
        end(ex);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
        CHECK_UINT(harness_alloc_live(), ==, 0);
    }
}

static int nothing(struct none *unused)
{
    (void)unused;
    return 0;
}
SLEY_FIBER(nothing, struct none)

static void *spawn(void *arg)
{
    struct sley_executor *ex = arg;
    dawdles = true;
    CHECK_RC(ex->ops->spawn(ex, &nothing__type, NULL, NULL), 0);
    return NULL;
}

SLEY_TEST(end_waits_for_who_has_spawned_and_is_about_to_count_it, "SHUT-13")
{
    union memory m;
    pthread_t thread;
    struct sley_executor *ex = start(&m, CORES);
    at_last_step = false;
    CHECK_INT(pthread_create(&thread, NULL, spawn, ex), ==, 0);
    wait_for_last_step();
    CHECK_RC(ex->ops->run(ex, NULL), 0); /* it has ended, or ends here */
    CHECK_RC(ex->ops->fini(ex), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_UINT(harness_alloc_live(), ==, 0);
}

/* ---- the last handle ---------------------------------------------------------------------------------------------------------- */

struct keeper {
    struct sley_task *task;
};

static int let_go(struct keeper *a)
{
    const struct sley_sched *here = sley_sched_current();
    sley_task_unref(a->task);
    CHECK_PTR(sley_sched_current(), ==, here);
    return sley_sleep(SLEY_US);
}
SLEY_FIBER(let_go, struct keeper)

/** The memory of an executor goes with the last handle: the task that gives it back goes on where it is. */
SLEY_TEST(regress_task_gives_back_the_last_handle_of_another_executor, "SHUT-12")
{
    for (int kind = 0; kind < KINDS; kind++) {
        for (int other = 0; other < KINDS; other++) {
            union memory m, n;
            struct sley_task *kept = NULL, *t = NULL;
            int rc = 1;
            struct sley_executor *ended = start(&m, (enum kind)kind), *ex = start(&n, (enum kind)other);
            CHECK_RC(ended->ops->spawn(ended, &nothing__type, NULL, &kept), 0);
            CHECK_RC(ended->ops->run(ended, kept), 0);
            CHECK_RC(ended->ops->fini(ended), 0);
            CHECK_RC(ex->ops->spawn(ex, &let_go__type, &(struct keeper){kept}, &t), 0);
            CHECK_RC(ex->ops->run(ex, t), 0);
            CHECK_RC(sley_task_result(t, &rc), 0);
            CHECK_RC(rc, 0);
            sley_task_unref(t);
            end(ex);
            CHECK_UINT(harness_alloc_live(), ==, 0);
        }
    }
}
