/* Jobs: who may ask, what comes back, what a cancel does at each stage. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include <sley/mpsc.h>

#include "rig.h"

static int seven(void *arg)
{
    (void)arg;
    return 7;
}

static int minus_three(void *arg)
{
    (void)arg;
    return -3;
}

static pthread_t main_thread;

static int other_thread(void *arg)
{
    (void)arg;
    char name[16];
    sigset_t blocked;
    CHECK(!pthread_equal(pthread_self(), main_thread));
    CHECK_PTR(sley_sched_current(), ==, NULL);
    CHECK(!sley_cancelled());
    CHECK_INT(pthread_getname_np(pthread_self(), name, sizeof name), ==, 0);
    CHECK_STR(name, "blocking");
    CHECK_INT(pthread_sigmask(SIG_BLOCK, NULL, &blocked), ==, 0);
    CHECK_INT(sigismember(&blocked, SIGTERM), ==, 1);
    CHECK_INT(sigismember(&blocked, SIGUSR1), ==, 1);
    CHECK_INT(sigismember(&blocked, SIGSEGV), ==, 0);
    return 0;
}

SLEY_TEST(job_runs_on_another_thread_and_its_result_comes_back, "BLOCK-07")
{
    main_thread = pthread_self();
    for (int style = 0; style < STYLES; style++) {
        struct sley_runtime rt;
        rig_runtime(&rt, NULL);
        const sley_blocking_fn fns[] = {other_thread, minus_three, seven};
        const int results[] = {0, -3, 7};
        for (int i = 0; i < 3; i++) { /* one that fails does not harm the next */
            struct ask a = {.fn = fns[i]};
            ask_spawn(&rt, style, &a);
            CHECK_RC(ask_wait(&rt, &a), 0);
            CHECK_INT(a.result, ==, results[i]);
        }
        struct ask none = {.fn = NULL};
        ask_spawn(&rt, style, &none);
        CHECK_RC(ask_wait(&rt, &none), -EINVAL);
        CHECK_INT(none.result, ==, 12345);
        rig_runtime_end(&rt);
    }
}

SLEY_TEST(plain_thread_without_a_pool_runs_the_job_itself, "")
{
    int result = 0;
    CHECK_RC(sley_blocking(seven, NULL, &result), 0);
    CHECK_INT(result, ==, 7);
    CHECK_RC(sley_blocking(minus_three, NULL, NULL), 0);
    CHECK_RC(sley_blocking(NULL, NULL, NULL), -EINVAL);
    const struct sley_blocking_how how = {.arg_bytes = 4};
    CHECK_RC(sley_blocking_with(&how, seven, &result, NULL), -EINVAL); /* bytes to copy, and nobody who copies */
    struct sley_blocking_op op = {0};
    sley_blocking_start(&op, seven, NULL, &result);
    CHECK(sley_wait_done(&op.wait));
    CHECK_RC(sley_await(&op.wait), 0);
}

SLEY_TEST(plain_thread_with_a_pool_hands_over_and_parks, "")
{
    struct sley_blocking_pool *p = rig_pool(0, 2, 0, 0);
    const struct sley_blocking_how how = {.pool = p};
    main_thread = pthread_self();
    CHECK_RC(sley_blocking_with(&how, other_thread, NULL, NULL), 0);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

/* An executor that was given no pool. */
SLEY_TEST(executor_without_a_pool_says_so, "")
{
    for (int style = 0; style < STYLES; style++) {
        struct sley_runtime rt;
        rig_runtime(&rt, NULL);
        rt.executor->ops->sched(rt.executor)->blocking = NULL;
        struct ask a = {.fn = seven};
        ask_spawn(&rt, style, &a);
        CHECK_RC(ask_wait(&rt, &a), -ENOTSUP);
        rig_runtime_end(&rt);
    }
}

SLEY_TEST(direct_form_in_a_frame_is_refused, "")
{
    struct sley_runtime rt;
    rig_runtime(&rt, NULL);
    struct sley_sched *before = sley_sched_enter(rt.executor->ops->sched(rt.executor));
    CHECK_RC(sley_blocking(seven, NULL, NULL), -EDEADLK); /* a thread that drives and is in no task */
    struct sley_blocking_op op = {0};
    CHECK_RC(sley_blocking_batch(&op, NULL, &(struct sley_blocking_call){.fn = seven}, 1), -EDEADLK);
    (void)sley_sched_enter(before);
    rig_runtime_end(&rt);
}

/* ---- the executor's thread is free ---------------------------------------------------------------------------------- */

struct ticker {
    struct gate *gate;
    bool ticked;
};
static int tick(struct ticker *t)
{
    for (int i = 0; i < 3; i++) {
        const int rc = sley_sleep(SLEY_US);
        if (rc < 0) {
            return rc;
        }
    }
    gate_open(t->gate, 1); /* the job ends only because this ran beside it */
    return 0;
}
SLEY_FIBER(tick, struct ticker)

SLEY_TEST(timer_fires_while_a_job_blocks, "BLOCK-01")
{
    for (int style = 0; style < STYLES; style++) {
        struct sley_runtime rt;
        struct gate g;
        gate_init(&g);
        rig_runtime(&rt, NULL);
        struct ask a = {.fn = gate_job, .arg = &g};
        ask_spawn(&rt, style, &a);
        CHECK_RC(sley_runtime_spawn(&rt, &tick__type, &(struct ticker){.gate = &g}, NULL), 0);
        CHECK_RC(ask_wait(&rt, &a), 0);
        rig_runtime_end(&rt);
    }
}

SLEY_TEST(five_jobs_on_four_threads, "BLOCK-02")
{
    struct sley_blocking_pool *p = rig_pool(0, 4, 0, 0);
    struct sley_runtime rt;
    struct gate g;
    struct ask a[5];
    gate_init(&g);
    rig_runtime(&rt, p);
    for (int i = 0; i < 5; i++) {
        a[i] = (struct ask){.fn = gate_job, .arg = &g};
        ask_spawn(&rt, i % STYLES, &a[i]);
    }
    rig_turn(&rt);
    gate_wait(&g, 4); /* four are in at once */
    struct rig_stats s;
    rig_stats(p, &s);
    CHECK_UINT(s.thread_count, ==, 4);
    CHECK_UINT(s.idle_count, ==, 0);
    CHECK_UINT(s.queued_count, ==, 1);
    gate_open(&g, 1);
    gate_wait(&g, 1); /* the fifth takes its place */
    gate_open(&g, 4);
    for (int i = 0; i < 5; i++) {
        CHECK_RC(ask_wait(&rt, &a[i]), 0);
    }
    CHECK_INT(g.most, ==, 4);
    rig_runtime_end(&rt);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

/* ---- cancelling ----------------------------------------------------------------------------------------------------- */

/** A pool of one thread that a job holds, under a runtime; @p n asks are queued behind it. */
static struct sley_blocking_pool *held(struct sley_runtime *rt, struct gate *g, struct ask *holder, uint32_t threads)
{
    struct sley_blocking_pool *p = rig_pool(0, threads, 0, 0);
    gate_init(g);
    rig_runtime(rt, p);
    for (uint32_t i = 0; i < threads; i++) {
        holder[i] = (struct ask){.fn = gate_job, .arg = g};
        ask_spawn(rt, (int)i % STYLES, &holder[i]);
    }
    rig_turn(rt);
    gate_wait(g, (int)threads);
    return p;
}

SLEY_TEST(queued_job_is_cancelled_and_never_runs, "BLOCK-04")
{
    for (int style = 0; style < STYLES; style++) {
        struct sley_runtime rt;
        struct gate g;
        struct ask holder, a = {.fn = count_job};
        SLEY_ATOMIC(int) ran = 0;
        struct sley_blocking_pool *p = held(&rt, &g, &holder, 1);
        a.arg = &ran;
        ask_spawn(&rt, style, &a);
        rig_turn(&rt);
        sley_task_cancel(a.task);
        CHECK(!sley_task_done(a.task)); /* in a later turn, not inside cancel */
        CHECK_RC(ask_wait(&rt, &a), -ECANCELED);
        CHECK_INT(a.result, ==, 12345);
        gate_open(&g, 1);
        CHECK_RC(ask_wait(&rt, &holder), 0);
        rig_runtime_end(&rt);
        CHECK_RC(sley_blocking_destroy(p), 0);
        CHECK_INT(ran, ==, 0);
    }
}

SLEY_TEST(sixteen_queued_are_cancelled_while_four_run, "BLOCK-06")
{
    struct sley_runtime rt;
    struct gate g;
    struct ask holders[4], queued[16];
    SLEY_ATOMIC(int) ran = 0;
    struct sley_blocking_pool *p = held(&rt, &g, holders, 4);
    for (int i = 0; i < 16; i++) {
        queued[i] = (struct ask){.fn = count_job, .arg = &ran};
        ask_spawn(&rt, i % STYLES, &queued[i]);
    }
    rig_turn(&rt);
    for (int i = 0; i < 16; i++) {
        sley_task_cancel(queued[(i * 7) % 16].task);
    }
    for (int i = 0; i < 16; i++) {
        CHECK_RC(ask_wait(&rt, &queued[i]), -ECANCELED);
    }
    gate_open(&g, 4);
    for (int i = 0; i < 4; i++) {
        CHECK_RC(ask_wait(&rt, &holders[i]), 0);
    }
    CHECK_INT(ran, ==, 0);
    rig_runtime_end(&rt);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

/* A job that ends only when it is asked to. */
struct patient {
    sem_t entered;
    SLEY_ATOMIC(int) gone_on;
};
static int until_cancelled(void *arg)
{
    struct patient *w = arg;
    CHECK_INT(sem_post(&w->entered), ==, 0);
    while (!sley_cancelled()) {
        int nested = 0;
        CHECK_RC(sley_blocking(seven, NULL, &nested), 0); /* right here: a job in a job cannot run out of threads */
        CHECK_INT(nested, ==, 7);
    }
    atomic_fetch_add_explicit(&w->gone_on, 1, memory_order_relaxed);
    return 99;
}

SLEY_TEST(running_job_sees_the_cancel_and_is_waited_for, "BLOCK-05")
{
    for (int style = 0; style < STYLES; style++) {
        struct sley_runtime rt;
        struct patient w = {0};
        struct ask a = {.fn = until_cancelled, .arg = &w}, again = {.fn = seven};
        CHECK_INT(sem_init(&w.entered, 0, 0), ==, 0);
        rig_runtime(&rt, NULL);
        ask_spawn(&rt, style, &a);
        rig_turn(&rt);
        CHECK_INT(sem_wait(&w.entered), ==, 0);
        sley_task_cancel(a.task);
        CHECK_RC(ask_wait(&rt, &a), 0); /* its own verdict: it was run */
        CHECK_INT(a.result, ==, 99);
        CHECK_INT(w.gone_on, ==, 1);
        ask_spawn(&rt, style, &again); /* the next job on that thread is not asked */
        CHECK_RC(ask_wait(&rt, &again), 0);
        rig_runtime_end(&rt);
    }
}

/* ---- by hand, on a plain thread: cancel at each stage ------------------------------------------------------------------ */

static SLEY_ATOMIC(int) saw_cancelled;
static int look(void *arg)
{
    (void)arg;
    atomic_store_explicit(&saw_cancelled, sley_cancelled() ? 1 : 2, memory_order_relaxed);
    return 5;
}

SLEY_TEST(job_that_must_run_runs_although_cancelled, "")
{
    struct sley_blocking_pool *p = rig_pool(0, 1, 0, 0);
    const struct sley_blocking_how how = {.pool = p}, must = {.pool = p, .flags = SLEY_BLOCKING_MUST_RUN};
    struct sley_blocking_op hold = {0}, op = {0};
    struct gate g;
    int result = 0;
    gate_init(&g);
    sley_blocking_with_start(&hold, &how, gate_job, &g, NULL);
    gate_wait(&g, 1);
    sley_blocking_with_start(&op, &must, look, NULL, &result);
    sley_wait_cancel(&op.wait);
    CHECK(!sley_wait_done(&op.wait));
    gate_open(&g, 1);
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_INT(result, ==, 5);
    CHECK_INT(saw_cancelled, ==, 1);
    CHECK_RC(sley_await(&hold.wait), 0);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

struct parcel {
    struct gate *gate;
    char text[40];
};
static int carry(void *arg)
{
    const struct parcel *c = arg;
    const int n = gate_job(c->gate);
    CHECK_STR(c->text, "the pool keeps what it uses");
    return n;
}

SLEY_TEST(abandonable_job_is_left_to_the_pool, "")
{
    struct gate g;
    gate_init(&g);
    struct sley_blocking_pool *p = rig_pool(0, 1, 0, 0);
    const struct sley_blocking_how how = {
        .pool = p, .flags = SLEY_BLOCKING_ABANDON, .arg_bytes = sizeof(struct parcel), .name = "carry"};
    struct parcel c = {&g, "the pool keeps what it uses"};
    int result = 12345;
    struct sley_blocking_op op = {0}, queued = {0}, waited = {0};
    sley_blocking_with_start(&op, &how, carry, &c, &result);
    sley_blocking_with_start(&queued, &how, carry, &c, &result);
    sley_blocking_with_start(&waited, &how, carry, &c, &result);
    memset(&c, 'x', sizeof c);
    gate_wait(&g, 1);
    CHECK_RC(sley_wait_fini(&op.wait), -EINPROGRESS);   /* at once */
    CHECK_RC(sley_wait_fini(&queued.wait), -ECANCELED); /* it had not begun */
    memset(&op, 'x', sizeof op);
    gate_open(&g, 1);
    gate_wait(&g, 1);
    gate_open(&g, 1);
    CHECK_RC(sley_await(&waited.wait), 0); /* nobody cancelled it: it is waited for, and its result is here */
    CHECK_INT(result, ==, 1);
    CHECK_RC(sley_blocking_destroy(p), 0);
    CHECK_INT(g.ran, ==, 2);
}

SLEY_TEST(abandonable_job_that_must_run_is_left_while_queued, "")
{
    struct gate g;
    gate_init(&g);
    struct sley_blocking_pool *p = rig_pool(0, 1, 0, 0);
    SLEY_ATOMIC(int) ran = 0;
    const struct sley_blocking_how how = {.pool = p}, left = {.pool = p, .flags = SLEY_BLOCKING_ABANDON | SLEY_BLOCKING_MUST_RUN};
    struct sley_blocking_op hold = {0}, op = {0};
    sley_blocking_with_start(&hold, &how, gate_job, &g, NULL);
    gate_wait(&g, 1);
    sley_blocking_with_start(&op, &left, count_job, &ran, NULL); /* no bytes to copy: the pointer itself */
    CHECK_RC(sley_wait_fini(&op.wait), -EINPROGRESS);
    gate_open(&g, 1);
    CHECK_RC(sley_await(&hold.wait), 0);
    CHECK_RC(sley_blocking_destroy(p), 0);
    CHECK_INT(ran, ==, 1);
}

struct late {
    struct gate *gate;
    struct sley_blocking_pool *pool;
};
static int give_up_waiting(struct late *a)
{
    const struct sley_blocking_how how = {.pool = a->pool, .flags = SLEY_BLOCKING_ABANDON};
    return SLEY_UNTIL(sley_after_ns(SLEY_MS), sley_blocking_with(&how, gate_job, a->gate, NULL));
}
SLEY_FIBER(give_up_waiting, struct late)

SLEY_TEST(deadline_leaves_an_abandonable_job, "")
{
    struct sley_blocking_pool *p = rig_pool(0, 1, 0, 0);
    struct sley_runtime rt;
    struct gate g;
    int result = 0;
    gate_init(&g);
    rig_runtime(&rt, p);
    CHECK_RC(sley_runtime_run(&rt, &give_up_waiting__type, &(struct late){&g, p}, &result), 0);
    CHECK(result == -EINPROGRESS || result == -ETIMEDOUT); /* the latter: its thread had not come yet */
    gate_open(&g, 1);
    rig_runtime_end(&rt);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

SLEY_TEST(copy_that_cannot_be_had_is_enomem, "")
{
    SLEY_ATOMIC(int) ran = 0;
    HARNESS_SWEEP_ALLOC(points, 20)
    {
        struct sley_blocking_pool *p = NULL;
        const struct sley_blocking_opts o = {.alloc = harness_alloc()};
        int rc = sley_blocking_create(&o, &p);
        if (rc == 0) {
            const struct sley_blocking_how how = {.pool = p, .flags = SLEY_BLOCKING_ABANDON, .arg_bytes = 1};
            char c = 'c';
            rc = sley_blocking_with(&how, seven, &c, NULL);
            struct sley_blocking_op ops[2] = {0};
            const struct sley_blocking_call calls[2] = {{seven, &c, NULL}, {seven, &c, NULL}};
            const int batch = sley_blocking_batch(ops, &how, calls, 2);
            rc = rc < 0 ? rc : batch;
        }
        CHECK_RC(rc, harness_alloc_refused() ? -ENOMEM : 0);
        CHECK_RC(sley_blocking_destroy(p), 0);
    }
    CHECK_UINT(points, ==, 4);
    (void)ran;
}

/* ---- many at once, and what a job may do ------------------------------------------------------------------------------- */

SLEY_TEST(batch_runs_all_and_says_who_was_not, "")
{
    struct sley_blocking_pool *p = rig_pool(0, 3, 2, 0);
    enum { N = 50 };
    struct sley_blocking_op ops[N] = {{.wait = {0}}};
    struct sley_blocking_call calls[N];
    int results[N];
    SLEY_ATOMIC(int) ran = 0;
    for (int i = 0; i < N; i++) {
        calls[i] = (struct sley_blocking_call){count_job, &ran, &results[i]};
    }
    const struct sley_blocking_how how = {.pool = p};
    CHECK_RC(sley_blocking_batch(ops, &how, calls, N), 0);
    CHECK_INT(ran, ==, N);
    CHECK_RC(sley_blocking_batch(ops, &how, calls, 0), 0);
    CHECK_RC(sley_blocking_resize(p, 0, 0), 0); /* nobody takes any */
    calls[7].fn = NULL;
    sley_blocking_batch_start(ops, &how, calls, N);
    for (int i = 0; i < N; i += 2) {
        sley_wait_cancel(&ops[i].wait);
    }
    CHECK_RC(sley_blocking_resize(p, 0, 3), 0);
    for (int i = 0; i < N; i++) {
        CHECK_RC(sley_await(&ops[i].wait), i == 7 ? -EINVAL : i % 2 == 0 ? -ECANCELED : 0);
    }
    CHECK_INT(ran, ==, N + N / 2 - 1);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

struct visitor {
    struct sley_runtime *rt;
    struct sley_blocking_pool *pool;
    SLEY_ATOMIC(int) * ran;
};
struct counting {
    SLEY_ATOMIC(int) * ran;
};
static int counting(struct counting *c)
{
    return count_job(c->ran);
}
SLEY_FIBER(counting, struct counting)

static int busy_job(void *arg)
{
    const struct visitor *v = arg;
    const struct sley_blocking_how how = {.pool = v->pool};
    struct sley_task *t;
    int result = -1;
    CHECK_RC(sley_runtime_spawn(v->rt, &counting__type, &(struct counting){v->ran}, &t), 0);
    CHECK_RC(sley_task_join(t, &result), 0);
    sley_task_unref(t);
    CHECK_RC(sley_blocking_with(&how, count_job, v->ran, NULL), 0);
    CHECK_RC(sley_blocking(count_job, v->ran, NULL), 0);
    CHECK_RC(sley_sleep(SLEY_US), 0);
    return 0;
}

SLEY_TEST(job_spawns_tasks_hands_in_jobs_and_sleeps, "BLOCK-13")
{
    struct sley_blocking_pool *p = rig_pool(0, 2, 0, 0);
    struct sley_runtime rt;
    SLEY_ATOMIC(int) ran = 0;
    rig_runtime(&rt, p);
    struct ask a = {.fn = busy_job, .arg = &(struct visitor){&rt, p, &ran}};
    ask_spawn(&rt, 1, &a);
    CHECK_RC(ask_wait(&rt, &a), 0);
    CHECK_INT(a.result, ==, 0);
    CHECK_INT(ran, ==, 3);
    rig_runtime_end(&rt);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

/* ---- a blocking producer ---------------------------------------------------------------------------------------------- */

SLEY_MPSC_TYPE(items, int, 16)
enum { ITEMS = 100000 };

static int produce(void *arg)
{
    struct items *to = arg;
    const int n = ITEMS / (int)harness_slowness();
    int rc = 0;
    for (int i = 0; i < n && rc == 0; i++) {
        rc = items_send(to, &i); /* waits, as a plain thread does, when the reader is behind */
    }
    items_close(to);
    return rc < 0 ? rc : n;
}

struct reader {
    struct items *items;
};
static int read_all(struct reader *r)
{
    struct sley_blocking_op op = {0};
    int produced = -1, next = 0, item, rc;
    sley_blocking_start(&op, produce, r->items, &produced);
    while ((rc = items_recv(r->items, &item)) == 1) {
        CHECK_INT(item, ==, next++);
    }
    CHECK_RC(rc, 0);
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_INT(produced, ==, next);
    return next;
}
SLEY_FIBER(read_all, struct reader)

SLEY_TEST(blocking_producer_is_read_by_a_task, "BLOCK-15")
{
    struct sley_runtime rt;
    static struct items channel;
    int result = 0;
    CHECK_RC(items_init(&channel), 0);
    rig_runtime(&rt, NULL);
    CHECK_RC(sley_runtime_run(&rt, &read_all__type, &(struct reader){&channel}, &result), 0);
    CHECK_INT(result, ==, ITEMS / (int)harness_slowness());
    rig_runtime_end(&rt);
    items_fini(&channel, NULL);
}

/* ---- a clock that jumps when all is idle ------------------------------------------------------------------------------ */

struct jumping {
    struct sley_clock clock;
    uint64_t now_ns;
    SLEY_ATOMIC(int) parks;
};
static uint64_t jumping_now(struct sley_clock *c)
{
    return sley_container_of(c, struct jumping, clock)->now_ns;
}
static void jump(struct sley_clock *c, uint64_t next_ns)
{
    sley_container_of(c, struct jumping, clock)->now_ns = next_ns;
}
static void count_park(void *arg)
{
    (void)count_job(&((struct jumping *)arg)->parks);
}

/* Ends when the executor has been idle beside it some times. */
static int outlast_parks(void *arg)
{
    struct jumping *j = arg;
    while (atomic_load_explicit(&j->parks, memory_order_relaxed) < 3) {
        (void)sched_yield();
    }
    return 1;
}

struct timed {
    struct jumping *clock;
};
static int job_under_a_deadline(struct timed *a)
{
    int result = 0;
    const uint64_t before = sley_now_ns();
    int rc = SLEY_UNTIL(sley_after_ns(SLEY_MS), sley_blocking(outlast_parks, a->clock, &result));
    CHECK_RC(rc, 0);
    CHECK_INT(result, ==, 1);
    CHECK_UINT(sley_now_ns(), ==, before); /* it stood still */
    rc = sley_sleep(SLEY_S);
    CHECK_UINT(sley_now_ns(), >=, before + SLEY_S); /* and jumps again */
    return rc;
}
SLEY_FIBER(job_under_a_deadline, struct timed)

SLEY_TEST(virtual_clock_stands_while_a_job_is_out, "BLOCK-14")
{
    const char *const reactors[] = {"epoll", "none"};
    for (int i = 0; i < 2; i++) {
        struct jumping j = {.clock = {jumping_now, jump}, .now_ns = SLEY_S};
        struct sley_runtime rt;
        int result = 1;
        const struct sley_runtime_opts o = {
            .reactor_name = reactors[i], .clock = &j.clock, .alloc = harness_alloc(), .before_park = count_park, .hook_arg = &j};
        CHECK_RC(sley_runtime_init(&rt, &o), 0);
        CHECK_RC(sley_runtime_run(&rt, &job_under_a_deadline__type, &(struct timed){&j}, &result), 0);
        CHECK_RC(result, 0);
        CHECK_RC(sley_runtime_stop(&rt, j.now_ns + SLEY_S), 0); /* a deadline of that clock */
        CHECK_RC(sley_runtime_fini(&rt), 0);
    }
}

/* Two runtimes, two pools: neither notices the other. */
SLEY_TEST(two_runtimes_have_a_pool_each, "")
{
    struct sley_runtime one, two;
    struct gate g;
    gate_init(&g);
    rig_runtime(&one, NULL);
    rig_runtime(&two, NULL);
    struct ask a = {.fn = gate_job, .arg = &g}, b = {.fn = seven};
    ask_spawn(&one, 0, &a);
    rig_turn(&one);
    gate_wait(&g, 1);
    ask_spawn(&two, 1, &b);
    CHECK_RC(ask_wait(&two, &b), 0);
    rig_runtime_end(&two);
    gate_open(&g, 1);
    CHECK_RC(ask_wait(&one, &a), 0);
    rig_runtime_end(&one);
}
