/* The shares executor by a clock that the tasks move: proportions, waking, latencies, queues that come and go. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/reactor_poll.h>
#include <sley/shares.h>

#include "harness.h"

struct none {
    char none;
};

static uint64_t now;
static uint64_t fake_now(struct sley_clock *c)
{
    (void)c;
    return now;
}
static void fake_idle(struct sley_clock *c, uint64_t next_ns)
{
    (void)c;
    now = next_ns > now ? next_ns : now;
}
static struct sley_clock fake = {fake_now, fake_idle};

static void start(struct sley_shares *ex, bool by_fake_clock)
{
    const struct sley_executor_config config = {.alloc = harness_alloc(), .clock = by_fake_clock ? &fake : NULL};
    CHECK_RC(ex->base.ops->start(&ex->base, &config), 0);
}

static void end(struct sley_shares *ex)
{
    CHECK_RC(ex->base.ops->stop(&ex->base, SLEY_NEVER), 0);
    CHECK_RC(ex->base.ops->fini(&ex->base), 0);
}

static struct sley_shares_stats stats(const struct sley_shares_queue *q)
{
    struct sley_shares_stats s;
    sley_shares_queue_stats(q, &s);
    return s;
}

/* ---- bodies ---------------------------------------------------------------------------------------------------------- */

struct computer {
    struct sley_frame frame;
    uint64_t step_ns, until_ns;
    uint64_t *done_ns;
};

/** Computes in steps, yields after each. */
static enum sley_step compute(struct computer *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    while (now < f->until_ns && rc == 0) {
        now += f->step_ns;
        *f->done_ns += f->step_ns;
        SLEY_YIELD(f, rc);
    }
    SLEY_END(f);
}
SLEY_FRAME(compute, struct computer)

/** Computes without end in sight, yields when it is to. */
static int compute_politely(struct computer *a)
{
    while (now < a->until_ns) {
        now += a->step_ns;
        *a->done_ns += a->step_ns;
        const int rc = sley_yield_if_needed();
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}
SLEY_FIBER(compute_politely, struct computer)

static struct sley_task *spawn_in(struct sley_shares_queue *q, const struct sley_task_type *type, const void *args)
{
    struct sley_task *t = NULL;
    CHECK_RC(sley_shares_spawn(q, type, args, &t), 0);
    return t;
}

static void run_in(struct sley_shares_queue *q, const struct sley_task_type *type, const void *args)
{
    struct sley_task *t = spawn_in(q, type, args);
    CHECK_RC(q->ex->base.ops->run(&q->ex->base, t), 0);
    sley_task_unref(t);
}

/* ---- proportions ----------------------------------------------------------------------------------------------------- */

enum { QUEUES = 3 };

/** Runs a busy task in each queue for @p ns; `done` is what each has got. */
static void divide(const uint32_t *shares, const struct sley_task_type *type, uint64_t step_ns, uint64_t ns, uint64_t *ret_done)
{
    struct sley_shares ex;
    struct sley_shares_queue q[QUEUES];
    now = SLEY_S;
    CHECK_RC(sley_shares_init(&ex, &(struct sley_shares_opts){.slice_ns = 100 * SLEY_US}), 0);
    for (int i = 0; i < QUEUES; i++) {
        CHECK_RC(sley_shares_queue_init(&ex, &q[i], &(struct sley_shares_queue_opts){.name = "q", .shares = shares[i]}), 0);
    }
    start(&ex, true);
    for (int i = 0; i < QUEUES; i++) {
        ret_done[i] = 0;
        const struct computer args = {.step_ns = step_ns, .until_ns = SLEY_S + ns, .done_ns = &ret_done[i]};
        sley_task_unref(spawn_in(&q[i], type, &args));
    }
    CHECK_RC(ex.base.ops->run(&ex.base, NULL), 0);
    uint64_t all = 0;
    for (int i = 0; i < QUEUES; i++) {
        const struct sley_shares_stats s = stats(&q[i]);
        CHECK_UINT(s.run_ns, ==, ret_done[i]);
        CHECK_UINT(s.shares, ==, shares[i]);
        all += s.run_ns;
        CHECK_RC(sley_shares_queue_fini(&q[i]), 0);
    }
    CHECK_UINT(all, ==, now - SLEY_S); /* all of the time was somebody's */
    end(&ex);
}

static void check_share(const uint64_t *done, const uint32_t *shares)
{
    uint64_t all = 0, all_shares = 0;
    for (int i = 0; i < QUEUES; i++) {
        all += done[i];
        all_shares += shares[i];
    }
    for (int i = 0; i < QUEUES; i++) {
        const uint64_t due = all * shares[i] / all_shares, off = done[i] > due ? done[i] - due : due - done[i];
        CHECK_UINT(off * 50, <=, due); /* within two percent */
    }
}

SLEY_TEST(busy_queues_have_their_shares_of_ten_seconds, "SHARE-01 SHARE-02")
{
    static const uint32_t shares[][QUEUES] = {{10, 100, 1000}, {1000, 10, 100}, {500, 500, 500}, {1, 1, 1}};
    uint64_t done[QUEUES];
    for (unsigned i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        divide(shares[i], &compute__type, 100 * SLEY_US, 10 * SLEY_S, done);
        check_share(done, shares[i]);
        divide(shares[i], &compute_politely__type, 7 * SLEY_US, 10 * SLEY_S, done); /* slices end where it asks */
        check_share(done, shares[i]);
    }
}

/* What the rules say, done by hand: the least vruntime runs for a slice; the first of equals is the one that was spawned first. */
SLEY_TEST(order_of_slices_is_that_of_least_virtual_runtime, "SHARE-01")
{
    struct sley_shares ex;
    struct sley_shares_queue a, b;
    uint64_t done[2] = {0, 0}, model[2] = {1, 1}, due[2] = {0, 0};
    now = SLEY_S;
    CHECK_RC(sley_shares_init(&ex, &(struct sley_shares_opts){.slice_ns = SLEY_MS}), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &a, &(struct sley_shares_queue_opts){.shares = 300}), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &b, &(struct sley_shares_queue_opts){.shares = 700}), 0);
    start(&ex, true);
    sley_task_unref(spawn_in(&a, &compute__type, &(struct computer){.step_ns = SLEY_MS, .until_ns = SLEY_NEVER, .done_ns = &done[0]}));
    sley_task_unref(spawn_in(&b, &compute__type, &(struct computer){.step_ns = SLEY_MS, .until_ns = SLEY_NEVER, .done_ns = &done[1]}));
    for (int i = 0; i < 1000; i++) {
        CHECK_INT(ex.base.ops->turn(&ex.base, 1, NULL), ==, SLEY_TURN_PREEMPTED);
        const int next = model[1] < model[0]; /* equal: the one that has waited longer, which is the other only at the beginning */
        model[next] += SLEY_MS * ((1u << 22) / (next ? 700u : 300u)) >> 12;
        due[next] += SLEY_MS;
        CHECK_UINT(done[0], ==, due[0]);
        CHECK_UINT(done[1], ==, due[1]);
    }
    end(&ex);
}

/* ---- waking ---------------------------------------------------------------------------------------------------------- */

SLEY_TEST(queue_that_was_idle_does_not_claim_its_past, "")
{
    struct sley_shares ex;
    struct sley_shares_queue a, b;
    uint64_t done[2] = {0, 0};
    now = SLEY_S;
    CHECK_RC(sley_shares_init(&ex, NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &a, &(struct sley_shares_queue_opts){.shares = 100}), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &b, &(struct sley_shares_queue_opts){.shares = 100}), 0);
    start(&ex, true);
    run_in(&b, &compute__type, &(struct computer){.step_ns = SLEY_MS, .until_ns = now + 1, .done_ns = &done[1]});
    run_in(&a, &compute__type, &(struct computer){.step_ns = SLEY_MS, .until_ns = now + 10 * SLEY_S, .done_ns = &done[0]});
    done[0] = done[1] = 0;
    const uint64_t until = now + SLEY_S; /* b has had nothing for ten seconds */
    sley_task_unref(spawn_in(&a, &compute__type, &(struct computer){.step_ns = SLEY_MS, .until_ns = until, .done_ns = &done[0]}));
    sley_task_unref(spawn_in(&b, &compute__type, &(struct computer){.step_ns = SLEY_MS, .until_ns = until, .done_ns = &done[1]}));
    CHECK_RC(ex.base.ops->run(&ex.base, NULL), 0);
    CHECK_UINT(done[0] + 2 * SLEY_MS, >=, done[1]);
    CHECK_UINT(done[1] + 2 * SLEY_MS, >=, done[0]);
    end(&ex);
}

struct waker {
    struct sley_frame frame;
    struct sley_timer timer;
    int left;
    uint64_t worst_ns, due_ns, *ret_worst;
};

/** Sleeps, and notes how late it was served. */
static enum sley_step be_served(struct waker *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (; f->left > 0; f->left--) {
        f->due_ns = now + 3 * SLEY_MS + harness_rand_below(SLEY_MS);
        SLEY_CALL(f, rc, sley_sleep_until, &f->timer, f->due_ns);
        CHECK_RC(rc, 0);
        f->worst_ns = now - f->due_ns > f->worst_ns ? now - f->due_ns : f->worst_ns;
        now += 10 * SLEY_US;
    }
    *f->ret_worst = f->worst_ns;
    SLEY_END(f);
}
SLEY_FRAME(be_served, struct waker)

SLEY_TEST(latency_bounds_how_long_others_run, "SHARE-05")
{
    struct sley_shares ex;
    struct sley_shares_queue busy[2], quick;
    uint64_t done[2] = {0, 0}, worst = 0;
    now = SLEY_S;
    CHECK_RC(sley_shares_init(&ex, &(struct sley_shares_opts){.slice_ns = 100 * SLEY_MS}), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &busy[0], NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &busy[1], NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &quick, &(struct sley_shares_queue_opts){.latency_ns = SLEY_MS, .shares = 500}), 0);
    start(&ex, true);
    struct sley_task *t = spawn_in(&quick, &be_served__type, &(struct waker){.left = 1000, .ret_worst = &worst});
    for (int i = 0; i < 2; i++) {
        const struct computer args = {.step_ns = 20 * SLEY_US, .until_ns = SLEY_NEVER, .done_ns = &done[i]};
        sley_task_unref(spawn_in(&busy[i], i ? &compute__type : &compute_politely__type, &args));
    }
    CHECK_RC(ex.base.ops->run(&ex.base, t), 0);
    CHECK_UINT(worst, <=, SLEY_MS + SLEY_MS / 2 + 40 * SLEY_US); /* a tick of the wheel, half the latency, a step or two */
    CHECK_UINT(done[0], >, SLEY_S);
    CHECK_UINT(ex.slice_ns, ==, SLEY_MS / 2);
    sley_task_unref(t);
    end(&ex);
    CHECK_RC(sley_shares_queue_fini(&quick), 0);
    CHECK_UINT(ex.slice_ns, ==, 100 * SLEY_MS); /* slices are as long as before it came */
}

struct asker {
    struct sley_shares_queue *quick;
    unsigned asked;
};

static int run_quickly(struct none *a)
{
    (void)a;
    return 7;
}
SLEY_FIBER(run_quickly, struct none)

static int ask_and_compute(struct asker *a)
{
    struct sley_task *t;
    int result = 0;
    CHECK(!sley_need_preempt());
    CHECK_RC(sley_spawn(NULL, &run_quickly__type, NULL, &(struct sley_spawn_opts){.queue = &a->quick->base}, &t), 0);
    CHECK(sley_need_preempt()); /* no time has passed, but somebody is there who must not wait */
    CHECK_RC(sley_yield_if_needed(), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    CHECK_INT(result, ==, 7);
    sley_task_unref(t);
    CHECK(!sley_need_preempt());
    now += 499 * SLEY_US;
    CHECK(!sley_need_preempt());
    now += SLEY_US;
    CHECK(sley_need_preempt()); /* the slice is over: half of the latency */
    return 0;
}
SLEY_FIBER(ask_and_compute, struct asker)

SLEY_TEST(task_that_computes_is_told_who_must_not_wait, "SHARE-05")
{
    struct sley_shares ex;
    struct sley_shares_queue quick, q;
    now = SLEY_S;
    CHECK_RC(sley_shares_init(&ex, NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &q, NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &quick, &(struct sley_shares_queue_opts){.latency_ns = SLEY_MS}), 0);
    start(&ex, true);
    run_in(&q, &ask_and_compute__type, &(struct asker){.quick = &quick});
    end(&ex);
}

/* ---- shares that change ---------------------------------------------------------------------------------------------- */

static unsigned asked;
static uint32_t share_of_the_time(void *arg)
{
    CHECK_PTR(arg, ==, &now);
    asked++;
    return now < 2 * SLEY_S ? 1 : 5000; /* clamped */
}

SLEY_TEST(shares_are_asked_for_again_while_busy, "SHARE-03")
{
    struct sley_shares ex;
    struct sley_shares_queue a, b;
    uint64_t done[2] = {0, 0};
    now = SLEY_S;
    asked = 0;
    CHECK_RC(sley_shares_init(&ex, NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &a, &(struct sley_shares_queue_opts){.shares_fn = share_of_the_time, .shares_arg = &now}), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &b, &(struct sley_shares_queue_opts){.shares = 100}), 0);
    start(&ex, true);
    for (int i = 0; i < 2; i++) {
        const struct computer args = {.step_ns = 100 * SLEY_US, .until_ns = SLEY_NEVER, .done_ns = &done[i]};
        sley_task_unref(spawn_in(i ? &b : &a, &compute__type, &args));
    }
    while (now < 2 * SLEY_S) {
        CHECK_INT(ex.base.ops->turn(&ex.base, 1, NULL), ==, SLEY_TURN_PREEMPTED);
    }
    CHECK_UINT(done[0] * 4, <, done[1]);
    CHECK_UINT(asked, <=, 5);
    done[0] = done[1] = 0;
    while (now < 3 * SLEY_S) {
        CHECK_INT(ex.base.ops->turn(&ex.base, 1, NULL), ==, SLEY_TURN_PREEMPTED);
    }
    CHECK_UINT(done[0], >, done[1]);
    CHECK_UINT(stats(&a).shares, ==, 1000);
    CHECK_RC(sley_shares_queue_set(&b, 0), -EINVAL);
    CHECK_RC(sley_shares_queue_set(&b, 1001), -EINVAL);
    CHECK_RC(sley_shares_queue_set(&b, 7), 0);
    CHECK_UINT(stats(&b).shares, ==, 7);
    end(&ex);
}

SLEY_TEST(virtual_runtime_that_grows_too_large_is_set_back_for_all, "")
{
    struct sley_shares ex;
    struct sley_shares_queue a, b;
    uint64_t done[2] = {0, 0};
    now = SLEY_S;
    CHECK_RC(sley_shares_init(&ex, NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &a, NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &b, NULL), 0);
    a.vruntime = b.vruntime = ex.floor = (UINT64_C(1) << 62) - SLEY_S;
    start(&ex, true);
    for (int i = 0; i < 2; i++) {
        const struct computer args = {.step_ns = SLEY_MS, .until_ns = now + 10 * SLEY_S, .done_ns = &done[i]};
        sley_task_unref(spawn_in(i ? &b : &a, &compute__type, &args));
    }
    CHECK_RC(ex.base.ops->run(&ex.base, NULL), 0);
    CHECK_UINT(done[0], ==, done[1]);
    CHECK_UINT(stats(&a).vruntime, <, 10 * SLEY_S);
    end(&ex);
}

/* ---- queues that come and go ----------------------------------------------------------------------------------------- */

static int park(struct none *a)
{
    (void)a;
    return sley_park();
}
SLEY_FIBER(park, struct none)

static int use_queues_from_inside(struct asker *a)
{
    struct sley_shares_queue own = {.ex = NULL};
    struct sley_task *t;
    CHECK_RC(sley_shares_queue_init(a->quick->ex, &own, &(struct sley_shares_queue_opts){.name = "own"}), 0);
    CHECK_RC(SLEY_SPAWN_OPTS(&t, NULL, (&(struct sley_spawn_opts){.queue = &own.base}), park, .none = 0), 0);
    CHECK_RC(sley_shares_queue_fini(&own), -EBUSY); /* not yet run */
    CHECK_RC(sley_yield(), 0);
    CHECK_RC(sley_shares_queue_fini(&own), -EBUSY); /* waits */
    sley_task_cancel(t);
    CHECK_RC(sley_task_join(t, NULL), 0);
    sley_task_unref(t);
    CHECK_RC(sley_shares_queue_fini(&own), 0);
    CHECK_RC(sley_shares_queue_fini(&own), 0); /* twice is fine */
    CHECK_RC(sley_spawn(NULL, &park__type, NULL, &(struct sley_spawn_opts){.queue = &own.base}, &t), -EINVAL);
    CHECK_RC(sley_task_set_priority(NULL, 2), -ENOTSUP);
    CHECK_UINT(sley_priority(), ==, SLEY_PRIORITY_DEFAULT);
    return 0;
}
SLEY_FIBER(use_queues_from_inside, struct asker)

SLEY_TEST(queue_with_tasks_is_not_taken_away, "SHARE-06 SHARE-07")
{
    struct sley_shares ex;
    struct sley_shares_queue q, other = {.ex = NULL};
    CHECK_RC(sley_shares_init(&ex, NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &q, NULL), 0);
    CHECK_RC(sley_shares_spawn(&q, &park__type, NULL, NULL), -ESHUTDOWN); /* not started */
    CHECK_RC(sley_shares_spawn(&other, &park__type, NULL, NULL), -EINVAL);
    start(&ex, true);
    struct sley_task *t = spawn_in(&q, &park__type, NULL);
    CHECK_RC(sley_shares_queue_fini(&q), -EBUSY); /* on its way through the inbox */
    run_in(sley_shares_main(&ex), &use_queues_from_inside__type, &(struct asker){.quick = &q});
    CHECK_RC(sley_shares_queue_fini(&q), -EBUSY);
    CHECK_RC(sley_shares_queue_fini(sley_shares_main(&ex)), -EBUSY);
    sley_task_cancel(t);
    CHECK_RC(ex.base.ops->run(&ex.base, t), 0);
    sley_task_unref(t);
    CHECK_RC(sley_shares_queue_fini(&q), 0);
    end(&ex);
    CHECK_RC(sley_shares_queue_fini(NULL), 0);
}

SLEY_TEST(as_many_queues_as_there_are_lanes_and_no_more, "")
{
    static struct sley_shares_queue q[SLEY_SHARES_QUEUES_MAX + 1];
    static uint64_t done[SLEY_SHARES_QUEUES_MAX];
    struct sley_shares ex;
    now = SLEY_S;
    CHECK_RC(sley_shares_init(&ex, NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &q[0], &(struct sley_shares_queue_opts){.shares = 1001}), -EINVAL);
    for (int i = 0; i < SLEY_SHARES_QUEUES_MAX; i++) {
        CHECK_RC(sley_shares_queue_init(&ex, &q[i], NULL), 0);
    }
    CHECK_RC(sley_shares_queue_init(&ex, &q[SLEY_SHARES_QUEUES_MAX], NULL), -ENOSPC);
    CHECK_RC(sley_shares_queue_fini(&q[77]), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &q[77], NULL), 0);
    start(&ex, true);
    for (int i = 0; i < SLEY_SHARES_QUEUES_MAX; i++) {
        const struct computer args = {.step_ns = SLEY_MS, .until_ns = now + 2550 * SLEY_MS, .done_ns = &done[i]};
        sley_task_unref(spawn_in(&q[i], &compute__type, &args));
    }
    CHECK_RC(ex.base.ops->run(&ex.base, NULL), 0);
    for (int i = 0; i < SLEY_SHARES_QUEUES_MAX; i++) {
        CHECK_UINT(done[i], ==, 10 * SLEY_MS);
        CHECK_UINT(stats(&q[i]).pick_count, >=, 10);
    }
    end(&ex);
}

static int order[64];
static unsigned order_count;

struct yielder {
    struct sley_frame frame;
    int id, left;
};

static enum sley_step yield_in_turn(struct yielder *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (; f->left > 0; f->left--) {
        CHECK(order_count == 0 || order[(order_count - 1) % 64] != f->id || f->left == 0);
        order[order_count++ % 64] = f->id;
        SLEY_YIELD(f, rc);
        CHECK_RC(rc, 0);
    }
    SLEY_END(f);
}
SLEY_FRAME(yield_in_turn, struct yielder)

SLEY_TEST(tasks_of_a_queue_that_yield_take_turns, "SHARE-04")
{
    struct sley_shares ex;
    CHECK_RC(sley_shares_init(&ex, NULL), 0);
    start(&ex, false);
    order_count = 0;
    for (int i = 0; i < 10; i++) {
        sley_task_unref(spawn_in(sley_shares_main(&ex), &yield_in_turn__type, &(struct yielder){.id = i, .left = 10000}));
    }
    CHECK_RC(ex.base.ops->run(&ex.base, NULL), 0);
    CHECK_UINT(order_count, ==, 100000);
    CHECK_UINT(stats(sley_shares_main(&ex)).resume_count, ==, 100010);
    end(&ex);
}

/* ---- several queues, several threads, the real clock ------------------------------------------------------------------ */

static int spawn_across(struct asker *a)
{
    struct sley_task *t[8];
    struct sley_scope scope;
    CHECK_RC(sley_scope_init(&scope, NULL), 0);
    for (int i = 0; i < 8; i++) {
        CHECK_RC(sley_spawn(&scope, &park__type, NULL, &(struct sley_spawn_opts){.queue = i % 2 ? &a->quick->base : NULL}, &t[i]), 0);
    }
    CHECK_RC(sley_yield(), 0);
    sley_scope_cancel(&scope); /* whatever queue they are in */
    CHECK_INT(sley_scope_wait(&scope), ==, -ECANCELED);
    for (int i = 0; i < 8; i++) {
        int result = 0;
        CHECK_RC(sley_task_result(t[i], &result), 0);
        CHECK_INT(result, ==, -ECANCELED);
        sley_task_unref(t[i]);
    }
    CHECK_RC(sley_scope_fini(&scope), 0);
    return 0;
}
SLEY_FIBER(spawn_across, struct asker)

SLEY_TEST(cancel_reaches_children_in_other_queues, "")
{
    struct sley_shares ex;
    struct sley_shares_queue quick;
    CHECK_RC(sley_shares_init(&ex, NULL), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &quick, &(struct sley_shares_queue_opts){.latency_ns = SLEY_MS}), 0);
    start(&ex, false);
    run_in(&quick, &spawn_across__type, &(struct asker){.quick = &quick});
    run_in(sley_shares_main(&ex), &spawn_across__type, &(struct asker){.quick = &quick});
    end(&ex);
}

static SLEY_ATOMIC(bool) other_ran;

static int mark(struct none *a)
{
    (void)a;
    atomic_store_explicit(&other_ran, true, memory_order_relaxed);
    return 0;
}
SLEY_FIBER(mark, struct none)

static void *spawn_elsewhere(void *arg)
{
    CHECK_RC(sley_shares_spawn(arg, &mark__type, NULL, NULL), 0);
    return NULL;
}

/** Never waits: only by being told does it let the other run. */
static int compute_until_marked(struct none *a)
{
    (void)a;
    unsigned told = 0;
    while (!atomic_load_explicit(&other_ran, memory_order_relaxed) || told < 20) {
        told += sley_need_preempt();
        CHECK_RC(sley_yield_if_needed(), 0);
    }
    return 0;
}
SLEY_FIBER(compute_until_marked, struct none)

/** How many POSIX timers this process has; -1 where the system does not say. */
static int timer_count(void)
{
    char line[128];
    int n = 0;
    FILE *f = fopen("/proc/self/timers", "re");
    if (!f) {
        return -1;
    }
    while (fgets(line, sizeof line, f)) {
        n += strncmp(line, "ID:", 3) == 0;
    }
    CHECK_INT(fclose(f), ==, 0);
    return n;
}

/* Slices end by the clock at first, then by the timer; another thread spawns into a queue meanwhile. */
SLEY_TEST(task_that_only_asks_is_told_by_the_real_clock, "SHARE-05")
{
    struct sley_shares ex;
    struct sley_shares_queue q;
    pthread_t thread;
    CHECK_RC(sley_shares_init(&ex, &(struct sley_shares_opts){.slice_ns = 200 * SLEY_US}), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &q, NULL), 0);
    for (int i = 0; i < 3; i++) {
        start(&ex, false);
        for (int j = 0; j < 3; j++) {
            atomic_store_explicit(&other_ran, false, memory_order_relaxed);
            CHECK_INT(pthread_create(&thread, NULL, spawn_elsewhere, &q), ==, 0);
            run_in(sley_shares_main(&ex), &compute_until_marked__type, NULL);
            CHECK_INT(pthread_join(thread, NULL), ==, 0);
        }
        CHECK(timer_count() == 1 || timer_count() == -1);
        end(&ex);
        CHECK_INT(timer_count(), <=, 0);
    }
    CHECK_RC(sley_shares_queue_fini(&q), 0);
}

/** Asks so often that a timer would be armed, again and again. */
static void *drive_blocked(void *arg)
{
    sigset_t all;
    pthread_t thread;
    struct sley_shares_queue *q = arg;
    (void)sigfillset(&all);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &all, NULL), ==, 0);
    atomic_store_explicit(&other_ran, false, memory_order_relaxed);
    CHECK_INT(pthread_create(&thread, NULL, spawn_elsewhere, q), ==, 0);
    run_in(sley_shares_main(q->ex), &compute_until_marked__type, NULL);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    return NULL;
}

SLEY_TEST(slices_end_on_a_thread_that_blocks_signals_too, "SHARE-05")
{
    struct sley_shares ex;
    struct sley_shares_queue q;
    pthread_t thread;
    CHECK_RC(sley_shares_init(&ex, &(struct sley_shares_opts){.slice_ns = 200 * SLEY_US}), 0);
    CHECK_RC(sley_shares_queue_init(&ex, &q, NULL), 0);
    start(&ex, false);
    CHECK_INT(pthread_create(&thread, NULL, drive_blocked, &q), ==, 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    end(&ex);
}

struct turner {
    struct sley_shares *ex;
    unsigned turns;
};

static void *turn_some(void *arg)
{
    const struct turner *t = arg;
    for (unsigned i = 0; i < t->turns; i++) {
        CHECK_INT(t->ex->base.ops->turn(&t->ex->base, 1, NULL), ==, SLEY_TURN_PREEMPTED);
    }
    return NULL;
}

/** Never ends, and gives way only when it is told to. */
static int compute_until_told(struct none *a)
{
    (void)a;
    int rc = 0;
    while (rc == 0) {
        rc = sley_yield_if_needed();
    }
    return rc;
}
SLEY_FIBER(compute_until_told, struct none)

/* A timer tells one thread. When another drives it is told as well: each turn here ends by that alone. */
SLEY_TEST(slices_end_on_whatever_thread_drives, "SHARE-05")
{
    struct sley_shares ex;
    CHECK_RC(sley_shares_init(&ex, &(struct sley_shares_opts){.slice_ns = 200 * SLEY_US}), 0);
    start(&ex, false);
    sley_task_unref(spawn_in(sley_shares_main(&ex), &compute_until_told__type, NULL));
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        struct turner t = {&ex, 3};
        CHECK_INT(pthread_create(&thread, NULL, turn_some, &t), ==, 0);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
        (void)turn_some(&t);
    }
    end(&ex);
}

/* The system's clock: what another thread takes of this one's processor is not charged; a queue that computes has what it has used. */
SLEY_TEST(queue_that_computes_is_charged_what_it_used, "SHARE-01")
{
    struct sley_shares ex;
    struct timespec cpu;
    CHECK_RC(sley_shares_init(&ex, &(struct sley_shares_opts){.slice_ns = SLEY_MS}), 0);
    start(&ex, false);
    sley_task_unref(spawn_in(sley_shares_main(&ex), &compute_until_told__type, NULL));
    struct turner t = {&ex, 1};
    (void)turn_some(&t); /* the first is charged by the clock, like all that are short */
    CHECK_INT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu), ==, 0);
    const uint64_t from = (uint64_t)cpu.tv_sec * SLEY_S + (uint64_t)cpu.tv_nsec, had = stats(sley_shares_main(&ex)).run_ns;
    t.turns = 20;
    (void)turn_some(&t);
    CHECK_INT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu), ==, 0);
    const uint64_t used = (uint64_t)cpu.tv_sec * SLEY_S + (uint64_t)cpu.tv_nsec - from;
    CHECK_UINT(stats(sley_shares_main(&ex)).run_ns - had, <=, used);
    CHECK_UINT(stats(sley_shares_main(&ex)).run_ns, >, had);
    end(&ex);
}
