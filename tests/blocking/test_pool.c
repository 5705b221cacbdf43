/* Pools: limits, threads that come and go, and how they end. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "executor/blocking/pool.h"
#include "rig.h"

static int seven(void *arg)
{
    (void)arg;
    return 7;
}

SLEY_TEST(options_that_make_no_sense_are_refused, "")
{
    struct sley_blocking_pool *p;
    static char memory[4096];
    struct sley_alloc_pool fixed;
    CHECK_RC(sley_alloc_pool_init(&fixed, memory, sizeof memory), 0);
    CHECK_RC(sley_blocking_create(NULL, NULL), -EINVAL);
    CHECK_RC(sley_blocking_create(&(struct sley_blocking_opts){.thread_min = 3, .thread_max = 2}, &p), -EINVAL);
    CHECK_RC(sley_blocking_create(&(struct sley_blocking_opts){.thread_min = 513, .alloc = harness_alloc()}, &p), -EINVAL);
    CHECK_RC(sley_blocking_create(&(struct sley_blocking_opts){.alloc = &fixed.base}, &p), -EINVAL);
    CHECK_RC(sley_blocking_create(&(struct sley_blocking_opts){.stack_bytes = 1}, &p), -EINVAL);
    CHECK_RC(sley_blocking_create(&(struct sley_blocking_opts){.nice = -1}, &p), -EINVAL);
    CHECK_RC(sley_blocking_create(&(struct sley_blocking_opts){.nice = 20}, &p), -EINVAL);
    CHECK_RC(sley_blocking_create(&(struct sley_blocking_opts){.cpus = "0-", .alloc = harness_alloc()}, &p), -EINVAL);
    CHECK_RC(sley_blocking_create(&(struct sley_blocking_opts){.cpus = "8191", .alloc = harness_alloc()}, &p), -EINVAL);
    CHECK_UINT(harness_alloc_live(), ==, 0);
    CHECK_RC(sley_blocking_create(NULL, &p), 0);
    CHECK_RC(sley_blocking_with(&(struct sley_blocking_how){.pool = p, .flags = 16}, seven, NULL, NULL), -EINVAL);
    CHECK_RC(sley_blocking_with(&(struct sley_blocking_how){.pool = p, .arg_bytes = 1}, seven, memory, NULL), -EINVAL);
    CHECK_RC(sley_blocking_with(&(struct sley_blocking_how){.pool = p}, NULL, NULL, NULL), -EINVAL);
    CHECK_RC(sley_blocking_resize(p, 2, 1), -EINVAL);
    CHECK_RC(sley_blocking_resize(NULL, 0, 1), -EINVAL);
    CHECK_RC(sley_blocking_destroy(p), 0);
    CHECK_RC(sley_blocking_destroy(NULL), 0);
    CHECK_RC(sley_blocking_stop(NULL, 0), 0);
}

/* ---- where threads run, and which job is next ------------------------------------------------------------------------------- */

struct circumstances {
    cpu_set_t set;
    int nice;
};

static int look_around(void *arg)
{
    struct circumstances *c = arg;
    c->nice = getpriority(PRIO_PROCESS, 0);
    return sched_getaffinity(0, sizeof c->set, &c->set);
}

static void circumstances_of(const struct sley_blocking_opts *o, struct circumstances *ret)
{
    struct sley_blocking_pool *p;
    CHECK_RC(sley_blocking_create(o, &p), 0);
    CHECK_RC(sley_blocking_with(&(struct sley_blocking_how){.pool = p}, look_around, ret, NULL), 0);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

SLEY_TEST(threads_have_the_cpus_and_the_nice_value_of_their_pool, "")
{
    struct circumstances mine, got;
    char last[16];
    int cpu = CPU_SETSIZE - 1;
    CHECK_INT(look_around(&mine), ==, 0);
    while (!CPU_ISSET((size_t)cpu, &mine.set)) {
        cpu--;
    }
    (void)snprintf(last, sizeof last, "%d", cpu);
    circumstances_of(&(struct sley_blocking_opts){.cpus = last}, &got);
    CHECK(CPU_COUNT(&got.set) == 1 && CPU_ISSET((size_t)cpu, &got.set));
    CHECK_INT(got.nice, ==, mine.nice);
    circumstances_of(&(struct sley_blocking_opts){.nice = 19}, &got);
    CHECK(CPU_EQUAL(&got.set, &mine.set));
    CHECK_INT(got.nice, ==, mine.nice > 0 ? 19 : mine.nice + 19);
    struct circumstances after;
    CHECK_INT(look_around(&after), ==, 0); /* of who makes the pool nothing changes */
    CHECK(CPU_EQUAL(&after.set, &mine.set) && after.nice == mine.nice);
}

/* A worker that is pinned hands the first job in, and its thread makes the pool's. */
SLEY_TEST(regress_threads_do_not_inherit_the_cpu_of_who_hands_in, "")
{
    struct circumstances mine, got;
    struct sley_blocking_pool *p = rig_pool(0, 1, 0, 0);
    cpu_set_t one;
    int cpu = 0;
    CHECK_INT(look_around(&mine), ==, 0);
    while (!CPU_ISSET((size_t)cpu, &mine.set)) {
        cpu++;
    }
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    CHECK_INT(sched_setaffinity(0, sizeof one, &one), ==, 0);
    CHECK_RC(sley_blocking_with(&(struct sley_blocking_how){.pool = p}, look_around, &got, NULL), 0);
    CHECK(CPU_EQUAL(&got.set, &mine.set));
    CHECK_RC(sley_blocking_destroy(p), 0);
}

static unsigned order[8];
static SLEY_ATOMIC(unsigned) order_count;

static int note(void *arg)
{
    order[atomic_fetch_add_explicit(&order_count, 1, memory_order_relaxed)] = *(const unsigned *)arg;
    return 0;
}

/* While the only thread is held: urgent ones come first, each line in its order; what is cancelled, or refused, does not come. */
SLEY_TEST(urgent_jobs_come_before_the_others_in_line, "")
{
    static const unsigned numbers[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const bool urgent[] = {false, true, false, true, true, false, true, false};
    static const unsigned wanted[] = {1, 3, 6, 0, 2, 7};
    struct sley_blocking_pool *p = rig_pool(1, 1, 8, 0);
    struct gate g;
    struct sley_blocking_op first = {.wait = {0}}, ops[8] = {{.wait = {0}}};
    gate_init(&g);
    sley_blocking_with_start(&first, &(struct sley_blocking_how){.pool = p}, gate_job, &g, NULL);
    gate_wait(&g, 1);
    for (int i = 0; i < 8; i++) {
        const struct sley_blocking_how how = {.pool = p, .flags = urgent[i] ? SLEY_BLOCKING_URGENT : 0};
        sley_blocking_with_start(&ops[i], &how, note, (void *)(uintptr_t)&numbers[i], NULL);
    }
    const struct sley_blocking_how more = {.pool = p, .flags = SLEY_BLOCKING_URGENT | SLEY_BLOCKING_TRY};
    CHECK_RC(sley_blocking_with(&more, seven, NULL, NULL), -EAGAIN); /* the bound is one for both lines */
    CHECK_RC(sley_wait_fini(&ops[4].wait), -ECANCELED);
    CHECK_RC(sley_wait_fini(&ops[5].wait), -ECANCELED);
    gate_open(&g, 1);
    CHECK_RC(sley_await(&first.wait), 0);
    for (int i = 0; i < 8; i++) {
        CHECK_RC(sley_await(&ops[i].wait), i == 4 || i == 5 ? -ECANCELED : 0);
    }
    CHECK_UINT(atomic_load_explicit(&order_count, memory_order_relaxed), ==, 6);
    for (unsigned i = 0; i < 6; i++) {
        CHECK_UINT(order[i], ==, wanted[i]);
    }
    CHECK_RC(sley_blocking_destroy(p), 0);
}

/* A stop looks at both lines: it drops of each what need not run, and names what must. */
SLEY_TEST(stop_looks_at_urgent_jobs_and_at_the_others, "")
{
    static const uint32_t flags[] = {0, SLEY_BLOCKING_URGENT, SLEY_BLOCKING_MUST_RUN, SLEY_BLOCKING_URGENT | SLEY_BLOCKING_MUST_RUN};
    struct reports got = {.count = 0};
    struct sley_blocking_pool *p;
    struct gate g;
    struct sley_blocking_op first = {.wait = {0}}, ops[4] = {{.wait = {0}}};
    const struct sley_blocking_opts o = {.thread_max = 1, .alloc = harness_alloc(), .report = reports_take, .report_arg = &got};
    CHECK_RC(sley_blocking_create(&o, &p), 0);
    gate_init(&g);
    sley_blocking_with_start(&first, &(struct sley_blocking_how){.pool = p}, gate_job, &g, NULL);
    gate_wait(&g, 1);
    for (int i = 0; i < 4; i++) {
        sley_blocking_with_start(&ops[i], &(struct sley_blocking_how){.pool = p, .flags = flags[i]}, seven, NULL, NULL);
    }
    CHECK_RC(sley_blocking_stop(p, 0), -ETIMEDOUT);
    CHECK_UINT(got.count, ==, 3); /* who runs, and the two that must */
    CHECK_RC(sley_await(&ops[0].wait), -ECANCELED);
    CHECK_RC(sley_await(&ops[1].wait), -ECANCELED);
    gate_open(&g, 1);
    CHECK_RC(sley_await(&first.wait), 0);
    CHECK_RC(sley_await(&ops[2].wait), 0);
    CHECK_RC(sley_await(&ops[3].wait), 0);
    CHECK_RC(sley_blocking_stop(p, SLEY_NEVER), 0);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

SLEY_TEST(minimum_is_made_at_once_and_stays, "")
{
    struct sley_blocking_pool *p = rig_pool(2, 4, 0, 1); /* idle for 1 ns: what may go goes */
    struct gate g;
    struct sley_blocking_op ops[4] = {{.wait = {0}}};
    const struct sley_blocking_how how = {.pool = p};
    gate_init(&g);
    rig_settle(p, 2, 2);
    for (int i = 0; i < 4; i++) {
        sley_blocking_with_start(&ops[i], &how, gate_job, &g, NULL);
    }
    gate_wait(&g, 4);
    gate_open(&g, 4);
    for (int i = 0; i < 4; i++) {
        CHECK_RC(sley_await(&ops[i].wait), 0);
    }
    rig_settle(p, 2, 2);
    for (int i = 0; i < 1000; i++) { /* they sleep for good: the time after which others go is nothing to them */
        sley__queue_lock(&p->queue);
        CHECK_UINT(p->queue.idle_count, ==, 2);
        sley__queue_unlock(&p->queue);
        (void)sched_yield();
    }
    CHECK_RC(sley_blocking_resize(p, 0, 4), 0);
    rig_settle(p, 0, 0); /* silent: no thread is left */
    CHECK_RC(sley_blocking_with(&how, seven, NULL, NULL), 0);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

static int whose_thread(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return 0;
}

/* Of several that sleep the one that has rested last is called: the others may end. */
SLEY_TEST(jobs_one_after_another_are_one_threads, "")
{
    struct sley_blocking_pool *p = rig_pool(4, 4, 0, 0);
    const struct sley_blocking_how how = {.pool = p};
    pthread_t first, next;
    rig_settle(p, 4, 4);
    CHECK_RC(sley_blocking_with(&how, whose_thread, &first, NULL), 0);
    for (int i = 0; i < 20; i++) {
        rig_settle(p, 4, 4);
        CHECK_RC(sley_blocking_with(&how, whose_thread, &next, NULL), 0);
        CHECK(pthread_equal(first, next));
    }
    CHECK_RC(sley_blocking_destroy(p), 0);
}

SLEY_TEST(idle_runtime_is_left_without_a_thread, "")
{
    struct sley_blocking_pool *p = rig_pool(0, 8, 0, 1);
    struct sley_runtime rt;
    rig_runtime(&rt, p);
    for (int i = 0; i < 20; i++) {
        struct ask a = {.fn = seven};
        ask_spawn(&rt, i % STYLES, &a);
        CHECK_RC(ask_wait(&rt, &a), 0);
    }
    rig_settle(p, 0, 0);
    rig_runtime_end(&rt);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

SLEY_TEST(pool_of_no_threads_refuses_or_keeps, "BLOCK-03")
{
    struct sley_blocking_pool *p = rig_pool(0, 2, 0, 0);
    const struct sley_blocking_how how = {.pool = p}, try = {.pool = p, .flags = SLEY_BLOCKING_TRY};
    SLEY_ATOMIC(int) ran = 0;
    CHECK_RC(sley_blocking_with(&how, count_job, &ran, NULL), 0);
    CHECK_RC(sley_blocking_resize(p, 0, 0), 0);
    rig_settle(p, 0, 0);
    CHECK_RC(sley_blocking_with(&try, count_job, &ran, NULL), -EAGAIN);
    struct sley_runtime rt;
    rig_runtime(&rt, p);
    struct ask a = {.fn = count_job, .arg = &ran};
    ask_spawn(&rt, 0, &a);
    rig_turn(&rt);
    CHECK_INT(ran, ==, 1); /* kept, and not run here */
    CHECK_RC(sley_blocking_resize(p, 0, 1), 0);
    CHECK_RC(ask_wait(&rt, &a), 0);
    CHECK_INT(ran, ==, 2);
    rig_runtime_end(&rt);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

SLEY_TEST(full_queue_refuses_a_try_and_keeps_the_others_in_line, "")
{
    struct gate g;
    gate_init(&g);
    for (uint32_t bound = 1; bound <= 2; bound++) {
        struct sley_blocking_pool *p = rig_pool(0, 1, bound, 0);
        const struct sley_blocking_how how = {.pool = p}, try = {.pool = p, .flags = SLEY_BLOCKING_TRY};
        struct sley_blocking_op hold = {0}, ops[4] = {{.wait = {0}}};
        int results[4];
        SLEY_ATOMIC(int) ran = 0;
        sley_blocking_with_start(&hold, &how, gate_job, &g, NULL);
        gate_wait(&g, 1);
        for (uint32_t i = 0; i < bound; i++) {
            sley_blocking_with_start(&ops[i], &try, count_job, &ran, &results[i]);
            CHECK(!sley_wait_done(&ops[i].wait));
        }
        CHECK_RC(sley_blocking_with(&try, count_job, &ran, NULL), -EAGAIN);
        for (uint32_t i = bound; i < 4; i++) { /* wait in line for room */
            sley_blocking_with_start(&ops[i], &how, count_job, &ran, &results[i]);
        }
        CHECK_RC(sley_blocking_with(&try, count_job, &ran, NULL), -EAGAIN);
        gate_open(&g, 1);
        for (int i = 0; i < 4; i++) {
            CHECK_RC(sley_await(&ops[i].wait), 0);
            CHECK_INT(results[i], ==, i); /* in order */
        }
        CHECK_RC(sley_await(&hold.wait), 0);
        CHECK_RC(sley_blocking_with(&try, count_job, &ran, NULL), 0);
        CHECK_RC(sley_blocking_destroy(p), 0);
    }
}

/* ---- threads that cannot be made ------------------------------------------------------------------------------------- */

/* No stack of this size can be had, so no thread. */
#define TOO_LARGE ((size_t)1 << 60)

SLEY_TEST(no_thread_to_be_had_is_a_clear_error, "")
{
    struct sley_blocking_pool *p;
    struct sley_blocking_opts o = {.stack_bytes = TOO_LARGE, .alloc = harness_alloc()};
    CHECK_RC(sley_blocking_create(&o, &p), 0);
    struct sley_runtime rt;
    rig_runtime(&rt, p);
    for (int style = 0; style < STYLES; style++) {
        for (uint32_t flags = 0; flags < 8; flags++) {
            const struct sley_blocking_how how = {.flags = flags};
            struct ask a = {.how = &how, .fn = seven};
            ask_spawn(&rt, style, &a);
            CHECK_RC(ask_wait(&rt, &a), -EAGAIN);
            CHECK_INT(a.result, ==, 12345);
        }
    }
    rig_runtime_end(&rt);
    CHECK_RC(sley_blocking_destroy(p), 0);
    o.thread_min = 2;
    CHECK_RC(sley_blocking_create(&o, &p), -EAGAIN);
}

SLEY_TEST(job_that_was_abandoned_in_line_and_finds_no_thread_is_dropped, "")
{
    struct sley_blocking_pool *p;
    const struct sley_blocking_opts o = {.stack_bytes = TOO_LARGE, .alloc = harness_alloc()};
    CHECK_RC(sley_blocking_create(&o, &p), 0);
    CHECK_RC(sley_blocking_resize(p, 0, 0), 0);
    const char byte = 'b';
    const struct sley_blocking_how must = {.pool = p, .flags = SLEY_BLOCKING_ABANDON | SLEY_BLOCKING_MUST_RUN, .arg_bytes = 1},
                                   kept = {.pool = p, .flags = SLEY_BLOCKING_MUST_RUN};
    struct sley_blocking_op left = {0}, op = {0};
    sley_blocking_with_start(&left, &must, seven, (void *)(uintptr_t)&byte, NULL);
    sley_blocking_with_start(&op, &kept, seven, NULL, NULL);
    CHECK_RC(sley_wait_fini(&left.wait), -EINPROGRESS);
    memset(&left, 'x', sizeof left);
    CHECK_RC(sley_blocking_resize(p, 0, 1), 0); /* which calls for a thread, in vain */
    CHECK_RC(sley_await(&op.wait), -EAGAIN);
    CHECK_RC(sley_blocking_destroy(p), 0); /* nothing is in line, and nothing leaks */
}

SLEY_TEST(job_runs_on_the_thread_that_is_there, "")
{
    struct sley_blocking_pool *p = rig_pool(0, 2, 0, 0);
    const struct sley_blocking_how how = {.pool = p};
    struct sley_blocking_op hold = {0}, op = {0};
    struct gate g;
    gate_init(&g);
    sley_blocking_with_start(&hold, &how, gate_job, &g, NULL);
    gate_wait(&g, 1);
    p->opts.stack_bytes = TOO_LARGE;
    sley_blocking_with_start(&op, &how, seven, NULL, NULL); /* no second thread for it */
    CHECK(!sley_wait_done(&op.wait));
    gate_open(&g, 1);
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_RC(sley_await(&hold.wait), 0);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

/* ---- the end ----------------------------------------------------------------------------------------------------------- */

struct holder {
    struct sley_blocking_pool *pool;
    struct gate gate;
    struct sley_blocking_op op;
};
static void hold(struct holder *h, const struct sley_blocking_opts *o)
{
    *h = (struct holder){.pool = NULL};
    gate_init(&h->gate);
    CHECK_RC(sley_blocking_create(o, &h->pool), 0);
    const struct sley_blocking_how how = {.pool = h->pool, .name = "holder"};
    sley_blocking_with_start(&h->op, &how, gate_job, &h->gate, NULL);
    gate_wait(&h->gate, 1);
}

SLEY_TEST(stop_runs_what_must_run_and_drops_the_rest, "BLOCK-09 BLOCK-10 BLOCK-11 BLOCK-12")
{
    struct holder h;
    SLEY_ATOMIC(int) ran = 0;
    struct reports r = {0};
    const struct sley_blocking_opts o = {
        .name = "narrow", .thread_max = 1, .alloc = harness_alloc(), .report = reports_take, .report_arg = &r};
    hold(&h, &o);
    const struct sley_blocking_how may = {.pool = h.pool}, must = {.pool = h.pool, .flags = SLEY_BLOCKING_MUST_RUN, .name = "must"};
    struct sley_blocking_op ops[4] = {{.wait = {0}}};
    for (int i = 0; i < 4; i++) {
        sley_blocking_with_start(&ops[i], i % 2 ? &must : &may, count_job, &ran, NULL);
    }
    CHECK_RC(sley_blocking_stop(h.pool, 0), -ETIMEDOUT); /* returns although a job runs, and names it and who waits behind it */
    CHECK_STR(r.text, "blocking pool \"narrow\": a job of \"holder\" runs and does not end\n"
                      "blocking pool \"narrow\": a job of \"must\" must run and has found no thread\n"
                      "blocking pool \"narrow\": a job of \"must\" must run and has found no thread\n");
    CHECK(sley_wait_done(&ops[0].wait) && sley_wait_done(&ops[2].wait));
    CHECK_RC(sley_await(&ops[0].wait), -ECANCELED);
    CHECK_RC(sley_await(&ops[2].wait), -ECANCELED);
    CHECK_RC(sley_blocking_with(&may, count_job, &ran, NULL), -ECANCELED); /* too late */
    CHECK_RC(sley_blocking_with(&must, count_job, &ran, NULL), -ECANCELED);
    CHECK_INT(ran, ==, 0);
    gate_open(&h.gate, 1);
    CHECK_RC(sley_blocking_stop(h.pool, SLEY_NEVER), 0);
    CHECK_INT(ran, ==, 2);
    CHECK_RC(sley_await(&ops[1].wait), 0);
    CHECK_RC(sley_await(&ops[3].wait), 0);
    CHECK_RC(sley_await(&h.op.wait), 0); /* what had begun ended by itself */
    CHECK_UINT(r.count, ==, 3);
    CHECK_RC(sley_blocking_stop(h.pool, 0), 0); /* again */
    CHECK_RC(sley_blocking_destroy(h.pool), 0);
}

/* A thread that has done its job, or had none, is on its way out: nothing is left, however early the deadline is. */
SLEY_TEST(stop_whose_deadline_has_passed_is_over_when_no_job_is_left, "SHUT-07")
{
    struct reports r = {0};
    const struct sley_blocking_opts o = {.thread_min = 2, .alloc = harness_alloc(), .report = reports_take, .report_arg = &r};
    for (int i = 0; i < 50; i++) {
        SLEY_ATOMIC(int) ran = 0;
        struct sley_blocking_pool *p = NULL;
        CHECK_RC(sley_blocking_create(&o, &p), 0);
        CHECK_RC(sley_blocking_with(&(struct sley_blocking_how){.pool = p}, count_job, &ran, NULL), 0);
        CHECK_RC(sley_blocking_stop(p, 0), 0);
        CHECK_RC(sley_blocking_destroy(p), 0);
        CHECK_INT(ran, ==, 1);
    }
    CHECK_UINT(r.count, ==, 0);
}

SLEY_TEST(stop_of_a_pool_without_threads_still_runs_what_must_run, "BLOCK-09")
{
    struct sley_blocking_pool *p = rig_pool(0, 1, 0, 0);
    const struct sley_blocking_how may = {.pool = p}, must = {.pool = p, .flags = SLEY_BLOCKING_MUST_RUN};
    struct sley_blocking_op dropped = {0}, run = {0};
    SLEY_ATOMIC(int) ran = 0;
    CHECK_RC(sley_blocking_resize(p, 0, 0), 0);
    sley_blocking_with_start(&dropped, &may, count_job, &ran, NULL);
    sley_blocking_with_start(&run, &must, count_job, &ran, NULL);
    CHECK_RC(sley_blocking_destroy(p), 0);
    CHECK_RC(sley_await(&dropped.wait), -ECANCELED);
    CHECK_RC(sley_await(&run.wait), 0);
    CHECK_INT(ran, ==, 1);
}

SLEY_TEST(pool_that_is_in_use_is_not_released, "SHUT-07")
{
    struct holder h;
    hold(&h, &(struct sley_blocking_opts){.thread_max = 1, .alloc = harness_alloc()});
    CHECK_RC(sley_blocking_stop(h.pool, 0), -ETIMEDOUT);
    CHECK_RC(sley_blocking_destroy(h.pool), -ETIMEDOUT); /* at once */
    CHECK_UINT(harness_alloc_live(), ==, 1);
    gate_open(&h.gate, 1);
    CHECK_RC(sley_await(&h.op.wait), 0);
    CHECK_RC(sley_blocking_stop(h.pool, SLEY_NEVER), 0);
    CHECK_RC(sley_blocking_destroy(h.pool), 0);
}

static int end_from_inside(void *arg)
{
    struct sley_blocking_pool *p = arg;
    CHECK_RC(sley_blocking_stop(p, SLEY_NEVER), -EDEADLK);
    CHECK_RC(sley_blocking_destroy(p), -EDEADLK);
    return 0;
}

SLEY_TEST(pool_is_not_ended_by_its_own_job, "")
{
    struct sley_blocking_pool *p = rig_pool(0, 1, 0, 0);
    CHECK_RC(sley_blocking_with(&(struct sley_blocking_how){.pool = p}, end_from_inside, p, NULL), 0);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

/* ---- the runtime's own ------------------------------------------------------------------------------------------------ */

static struct gate endless;
struct waiting {
    struct gate *gate;
};
static int waits_for_a_job(struct waiting *a)
{
    return sley_blocking(gate_job, a->gate, NULL);
}
SLEY_FIBER(waits_for_a_job, struct waiting)

static void stop_beside_an_endless_job(const char *executor, uint32_t workers)
{
    struct reports r = {0};
    struct sley_runtime rt;
    gate_init(&endless);
    const struct sley_runtime_opts o = {.executor_name = executor,
                                        .worker_count = workers,
                                        .alloc = harness_alloc(),
                                        .report = reports_take,
                                        .report_arg = &r,
                                        .stall_ns = SLEY_NEVER};
    CHECK_RC(sley_runtime_init(&rt, &o), 0);
    CHECK_RC(sley_runtime_spawn(&rt, &waits_for_a_job__type, &(struct waiting){&endless}, NULL), 0);
    if (workers == 0) {
        rig_turn(&rt);
    }
    gate_wait(&endless, 1);
    CHECK_RC(sley_runtime_stop(&rt, 0), -ETIMEDOUT);
    CHECK(strstr(r.text, "waits_for_a_job") != NULL);
    CHECK(strstr(r.text, "a job of \"waits_for_a_job\" runs and does not end") != NULL);
    CHECK_RC(sley_runtime_fini(&rt), -EBUSY); /* its task is there */
    gate_open(&endless, 1);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
}

SLEY_TEST(runtime_stops_in_time_beside_a_job_that_does_not_end, "SHUT-07")
{
    stop_beside_an_endless_job("local", 0);
    stop_beside_an_endless_job("shares", 0);
    stop_beside_an_endless_job("cores", 2);
    stop_beside_an_endless_job("stealing", 2);
}

struct leaving {
    SLEY_ATOMIC(int) * ran;
};
static int leaves_a_job(struct leaving *a)
{
    const struct sley_blocking_how how = {.flags = SLEY_BLOCKING_MUST_RUN | SLEY_BLOCKING_ABANDON};
    struct sley_blocking_op op = {0};
    sley_blocking_with_start(&op, &how, count_job, a->ran, NULL);
    const int rc = sley_wait_fini(&op.wait);
    return rc == 0 || rc == -EINPROGRESS ? 0 : -EPROTO;
}
SLEY_FIBER(leaves_a_job, struct leaving)

SLEY_TEST(runtime_that_ends_at_once_waits_for_what_must_run, "BLOCK-09")
{
    for (int with_stop = 0; with_stop < 2; with_stop++) {
        SLEY_ATOMIC(int) ran = 0;
        struct sley_runtime rt;
        int result = 1;
        rig_runtime(&rt, NULL);
        CHECK_RC(sley_runtime_run(&rt, &leaves_a_job__type, &(struct leaving){&ran}, &result), 0);
        CHECK_RC(result, 0);
        if (with_stop) {
            CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
        }
        CHECK_RC(sley_runtime_fini(&rt), 0);
        CHECK_INT(ran, ==, 1);
    }
}
