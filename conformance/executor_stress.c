/* Threads that spawn, cancel, join, post and give handles back while an executor runs, stops and ends. */
#include <pthread.h>
#include <sched.h>

#include <sley/fiber.h>
#include <sley/frame.h>

#include "suite.h"

enum { THREADS = 4 };
static SLEY_ATOMIC(bool) enough;

struct busy {
    struct sley_frame frame;
    struct sley_timer timer;
    uint64_t ns;
    int i;
};

static enum sley_step busy_frame(struct busy *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->i = 0; f->i < 3; f->i++) {
        SLEY_CALL(f, rc, sley_sleep, &f->timer, f->ns);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
        SLEY_YIELD(f, rc);
    }
    SLEY_RETURN(f, 7);
    SLEY_END(f);
}
SLEY_FRAME(busy_frame, struct busy)

static int busy_fiber(struct busy *a)
{
    struct sley_scope sc;
    struct sley_task *t = NULL;
    int result = 0;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    int rc = SLEY_SPAWN_TASK(&t, &sc, busy_frame, .ns = a->ns);
    CHECK_RC(rc, 0);
    rc = sley_task_join(t, &result);
    CHECK(rc == -ECANCELED || result == 7 || result == -ECANCELED);
    sley_task_unref(t);
    const int end = sley_scope_fini(&sc);
    CHECK_RC(end, 0);
    return rc < 0 ? rc : result;
}
SLEY_FIBER(busy_fiber, struct busy)

struct stress_post {
    struct sley_post post;
    SLEY_ATOMIC(bool) back;
};

static void post_back(struct sley_post *p)
{
    /* release: pairs with one_round, on whose stack the post is */
    atomic_store_explicit(&sley_container_of(p, struct stress_post, post)->back, true, memory_order_release);
}

static void one_round(struct sley_executor *ex, struct sley_sched *sched)
{
    struct sley_task *t = NULL;
    int result = 99;
    const struct busy args = {.ns = sley__kit_below(3) * SLEY_MS / 2};
    const int rc = ex->ops->spawn(ex, sley__kit_below(2) ? &busy_frame__type : &busy_fiber__type, &args, &t);
    if (rc < 0) {
        CHECK_RC(rc, -ESHUTDOWN);
        return;
    }
    const uint64_t what = sley__kit_below(6);
    if (what == 0 || what == 3) {
        sley_task_cancel(t);
    }
    if (what <= 2) {
        const int joined =
            what == 1 ? SLEY_UNTIL(sley_after_ns(sley__kit_below(SLEY_MS)), sley_task_join(t, &result)) : sley_task_join(t, &result);
        CHECK(joined == 0 || (what == 1 && joined == -ETIMEDOUT));
        CHECK(joined == 0 ? result == 7 || result == -ECANCELED : result == 99);
    }
    if (what == 4) {
        struct stress_post p = {.post.fn = post_back};
        if (sley_sched_post(sched, &p.post)) {
            while (!atomic_load_explicit(&p.back, memory_order_acquire)) { /* acquire: pairs with post_back */
                (void)sched_yield();
            }
        }
    }
    sley_task_unref(t);
}

struct stresser {
    struct sley_executor *ex;
    struct sley_sched *sched;
};

static void *stress_thread(void *arg)
{
    const struct stresser *s = arg;
    while (!atomic_load_explicit(&enough, memory_order_relaxed)) { /* relaxed: a request, which carries nothing */
        one_round(s->ex, s->sched);
    }
    return NULL;
}

static int run_a_while(uint64_t *ns)
{
    const int rc = sley_sleep(*ns);
    return rc;
}
SLEY_FIBER(run_a_while, uint64_t)

/* Handles, joins and posts race with the drain of stop; what is in flight when it has ended finds the runtime refusing. */
CLAUSE(stress)
{
    for (int round = 0; round < 4; round++) {
        pthread_t threads[THREADS];
        struct sley_executor *ex = sley__suite_start(x);
        struct stresser s = {ex, ex->ops->sched(ex)};
        uint64_t ns = 250 * SLEY_MS;
        atomic_store_explicit(&enough, false, memory_order_relaxed); /* relaxed: the threads are made behind it */
        for (int k = 0; k < THREADS; k++) {
            CHECK_INT(pthread_create(&threads[k], NULL, stress_thread, &s), ==, 0);
        }
        CHECK_INT(sley__suite_run(ex, &run_a_while__type, &ns), ==, 0);
        if (round % 2) {
            CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0); /* while they go on */
        }
        atomic_store_explicit(&enough, true, memory_order_relaxed); /* relaxed: as in stress_thread */
        for (int k = 0; k < THREADS; k++) {                         /* somebody has to drive while they wait for what they have asked */
            while (pthread_tryjoin_np(threads[k], NULL) != 0) {
                sley__suite_drive(ex);
            }
        }
        sley__suite_end(x, ex);
        CHECK_UINT(sley__kit_alloc_live(), ==, 0);
    }
}
