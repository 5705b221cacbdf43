/* Calls between cores: from every kind of caller, cancelled at every stage, beside stop; and channels between cores. */
#include <stdlib.h>

#include <sley/mpsc.h>
#include <sley/notify.h>
#include <sley/oneshot.h>

#include "cores_bed.h"

static SLEY_ATOMIC(unsigned) calls;

/** Checks that it runs on the core whose index it gets, in no task. */
static int note_call(void *arg)
{
    const int *core = arg;
    CHECK_INT(sley_cores_here(), ==, *core);
    CHECK_PTR(sley_sched_current(), !=, NULL);
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    return *core + 100;
}

/** From a thread that is in no task waiting is refused, from within a call, too. */
static int call_within(void *arg)
{
    struct bed *b = arg;
    int core = 0;
    CHECK_RC(sley_run_on(sley_cores_at(&b->cores, 0), note_call, &core, NULL), -EDEADLK);
    CHECK_RC(sley_sleep(1), -EDEADLK);
    return 0;
}

struct caller {
    struct bed *b;
    int core;
};

static int call_fiber(struct caller *a)
{
    int result = 0;
    CHECK_RC(sley_run_on(sley_cores_at(&a->b->cores, (uint32_t)a->core), note_call, &a->core, &result), 0);
    CHECK_RC(sley_run_on(sley_cores_at(&a->b->cores, (uint32_t)a->core), note_call, &a->core, NULL), 0);
    return result;
}
SLEY_FIBER(call_fiber, struct caller)

struct call_frame {
    struct sley_frame frame;
    struct sley_run_on_op op;
    struct bed *b;
    int core, result;
};

static enum sley_step call_frame(struct call_frame *f)
{
    int rc;
    SLEY_BEGIN(f);
    CHECK_RC(sley_run_on(sley_cores_at(&f->b->cores, (uint32_t)f->core), note_call, &f->core, NULL), -EDEADLK);
    SLEY_CALL(f, rc, sley_run_on, &f->op, sley_cores_at(&f->b->cores, (uint32_t)f->core), note_call, &f->core, &f->result);
    CHECK_RC(rc, 0);
    SLEY_RETURN(f, f->result);
    SLEY_END(f);
}
SLEY_FRAME(call_frame, struct call_frame)

SLEY_TEST(call_runs_there_for_every_kind_of_caller, "")
{
    struct bed b;
    bed_start(&b, 3);
    for (int to = 0; to < 3; to++) {
        int result = 0;
        calls = 0;
        CHECK_RC(sley_run_on(sley_cores_at(&b.cores, (uint32_t)to), note_call, &to, &result), 0);
        CHECK_INT(result, ==, to + 100);
        CHECK_UINT(calls, ==, 1);
        for (uint32_t from = 0; from < 3; from++) { /* its own core, too */
            CHECK_INT(bed_run(&b, from, &call_fiber__type, &(struct caller){&b, to}), ==, to + 100);
            CHECK_INT(bed_run(&b, from, &call_frame__type, &(struct call_frame){.b = &b, .core = to}), ==, to + 100);
        }
        CHECK_UINT(calls, ==, 10);
    }
    CHECK_RC(sley_run_on(sley_cores_at(&b.cores, 1), call_within, &b, NULL), 0);
    CHECK_RC(sley_run_on(sley_cores_at(&b.cores, 3), note_call, NULL, NULL), -EINVAL);
    CHECK_RC(sley_run_on(sley_cores_at(&b.cores, 0), NULL, NULL, NULL), -EINVAL);
    b.reports[0] = '\0'; /* debug builds name the direct calls where nothing may wait */
    bed_end(&b);
}

/** A task of another executor calls, too. */
SLEY_TEST(call_from_another_executor_runs_there, "")
{
    struct bed a, b;
    bed_start(&a, 1);
    bed_start(&b, 2);
    CHECK_INT(bed_run(&a, 0, &call_fiber__type, &(struct caller){&b, 1}), ==, 101);
    CHECK_INT(bed_run(&a, 0, &call_frame__type, &(struct call_frame){.b = &b, .core = 0}), ==, 100);
    a.reports[0] = '\0'; /* as above */
    bed_end(&a);
    bed_end(&b);
}

static int two(struct none *a)
{
    (void)a;
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    return 2;
}
SLEY_FIBER(two, struct none)

static int spawn_there(void *arg)
{
    (void)arg;
    return SLEY_SPAWN(NULL, two, .none = 0);
}

SLEY_TEST(call_may_spawn_and_run_of_all_waits_for_it, "")
{
    struct bed b;
    bed_start(&b, 2);
    calls = 0;
    const unsigned n = 200 / harness_slowness();
    for (unsigned i = 0; i < n; i++) {
        int result = 1;
        CHECK_RC(sley_run_on(sley_cores_at(&b.cores, i % 2), spawn_there, NULL, &result), 0);
        CHECK_RC(result, 0);
        CHECK_RC(b.ex->ops->run(b.ex, NULL), 0);
        CHECK_UINT(calls, ==, i + 1);
    }
    bed_end(&b);
}

/* ---- cancelling ---------------------------------------------------------------------------------------------------------------- */

static SLEY_ATOMIC(bool) hold, held;

static int hold_core(void *arg)
{
    (void)arg;
    atomic_store_explicit(&held, true, memory_order_release);
    while (atomic_load_explicit(&hold, memory_order_acquire)) {
        (void)sched_yield();
    }
    return 7;
}

static void *hold_from_thread(void *arg)
{
    int result = 0;
    CHECK_RC(sley_run_on(arg, hold_core, NULL, &result), 0);
    CHECK_INT(result, ==, 7);
    return NULL;
}

/** Core 1 is busy with a call. */
static pthread_t hold_start(struct bed *b)
{
    pthread_t thread;
    hold = true;
    held = false;
    CHECK_INT(pthread_create(&thread, NULL, hold_from_thread, sley_cores_at(&b->cores, 1)), ==, 0);
    while (!atomic_load_explicit(&held, memory_order_acquire)) {
        (void)sched_yield();
    }
    return thread;
}

static void hold_end(pthread_t thread)
{
    atomic_store_explicit(&hold, false, memory_order_release);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
}

SLEY_TEST(cancelled_call_that_has_not_begun_does_not, "")
{
    struct bed b;
    bed_start(&b, 2);
    const pthread_t thread = hold_start(&b);
    struct sley_run_on_op ops[3] = {{.core = NULL}};
    int one = 1, results[3] = {-1, -1, -1};
    calls = 0;
    for (int i = 0; i < 3; i++) {
        sley_run_on_start(&ops[i], sley_cores_at(&b.cores, 1), note_call, &one, &results[i]);
        CHECK(!sley_wait_done(&ops[i].wait));
    }
    sley_wait_cancel(&ops[1].wait);
    sley_wait_cancel(&ops[1].wait); /* twice is once */
    CHECK_UINT(calls, ==, 0);
    hold_end(thread);
    CHECK_RC(sley_await(&ops[0].wait), 0);
    CHECK_RC(sley_await(&ops[1].wait), -ECANCELED);
    CHECK_RC(sley_await(&ops[2].wait), 0);
    CHECK(results[0] == 101 && results[1] == -1 && results[2] == 101);
    CHECK_UINT(calls, ==, 2);
    bed_end(&b);
}

SLEY_TEST(cancelled_call_that_has_begun_is_waited_for, "")
{
    struct bed b;
    struct sley_run_on_op op = {.core = NULL};
    int result = 0;
    bed_start(&b, 2);
    hold = true;
    held = false;
    sley_run_on_start(&op, sley_cores_at(&b.cores, 1), hold_core, NULL, &result);
    while (!atomic_load_explicit(&held, memory_order_acquire)) {
        (void)sched_yield();
    }
    sley_wait_cancel(&op.wait);
    CHECK(!sley_wait_done(&op.wait));
    atomic_store_explicit(&hold, false, memory_order_release);
    CHECK_RC(sley_wait_fini(&op.wait), 0);
    CHECK_INT(result, ==, 7);
    bed_end(&b);
}

static struct sley_run_on_op late[3];

/** Each way in which a wait ends early, on a call that has not begun. */
static int call_until(struct caller *a)
{
    int result = -1, rc = 0;
    struct sley_run_on_op *op = &late[a->core];
    sley_run_on_start(op, sley_cores_at(&a->b->cores, 1), note_call, &(int){1}, &result);
    rc = sley_await_until(&op->wait, a->core == 1 ? SLEY_NEVER : sley_after_ns(SLEY_MS));
    CHECK_INT(result, ==, -1);
    if (a->core == 1) { /* its task is cancelled: its own core does not call, either */
        CHECK_RC(sley_run_on(sley_cores_at(&a->b->cores, 0), note_call, &(int){0}, &result), -ECANCELED);
        CHECK_INT(result, ==, -1);
    }
    return rc;
}
SLEY_FIBER(call_until, struct caller)

static void *call_until_from_thread(void *arg)
{
    CHECK_RC(call_until(&(struct caller){arg, 2}), -ETIMEDOUT);
    return NULL;
}

SLEY_TEST(deadline_and_cancel_reach_a_queued_call, "")
{
    struct bed b;
    pthread_t thread;
    bed_start(&b, 2);
    const pthread_t holder = hold_start(&b);
    calls = 0;
    struct sley_task *t = bed_spawn(&b, 0, &call_until__type, &(struct caller){&b, 0});
    struct sley_task *u = bed_spawn(&b, 0, &call_until__type, &(struct caller){&b, 1});
    CHECK_INT(pthread_create(&thread, NULL, call_until_from_thread, &b), ==, 0);
    sley_task_cancel(u);
    for (int i = 0; i < 3; i += 2) {
        while (atomic_load_explicit(&late[i].stage, memory_order_relaxed) != 2) { /* asked, and not answered: the core is busy */
            (void)sched_yield();
        }
    }
    hold_end(holder);
    CHECK_RC(bed_join(t), -ETIMEDOUT);
    CHECK_RC(bed_join(u), -ECANCELED);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_UINT(calls, ==, 0);
    bed_end(&b);
}

/* ---- beside stop ------------------------------------------------------------------------------------------------------------------- */

SLEY_TEST(call_after_stop_is_refused, "SHUT-09")
{
    struct bed b;
    int zero = 0;
    bed_start(&b, 2);
    CHECK_RC(b.ex->ops->stop(b.ex, SLEY_NEVER), 0);
    CHECK_RC(sley_run_on(sley_cores_at(&b.cores, 0), note_call, &zero, NULL), -ESHUTDOWN);
    CHECK_RC(sley_cores_spawn_on(&b.cores, 1, &two__type, NULL, NULL), -ESHUTDOWN);
    bed_end(&b);
}

struct racer {
    struct bed *b;
    SLEY_ATOMIC(bool) * go;
    SLEY_ATOMIC(unsigned) * accepted, *refused;
};

static void *race(void *arg)
{
    const struct racer *r = arg;
    while (!atomic_load_explicit(r->go, memory_order_acquire)) {
    }
    for (unsigned i = 0; i < 1000; i++) {
        int core = (int)harness_rand_below(3), result = 0;
        int rc;
        if (harness_rand_below(2)) {
            rc = sley_run_on(sley_cores_at(&r->b->cores, (uint32_t)core), note_call, &core, &result);
            CHECK(rc < 0 || result == core + 100);
        } else {
            struct sley_task *t = NULL;
            rc = sley_cores_spawn_on(&r->b->cores, (uint32_t)core, &two__type, NULL, &t);
            if (rc == 0) {
                CHECK_INT(bed_join(t), ==, 2); /* a body always runs */
            }
        }
        CHECK(rc == 0 || rc == -ESHUTDOWN);
        atomic_fetch_add_explicit(rc == 0 ? r->accepted : r->refused, 1, memory_order_relaxed);
        if (rc < 0 && i % 8 == 7) {
            break;
        }
    }
    return NULL;
}

SLEY_TEST_SECONDS(stop_races_with_calls_and_spawns, "SHUT-13", 120)
{
    SLEY_ATOMIC(unsigned) accepted = 0, refused = 0;
    const unsigned n = 60 / harness_slowness() + 4;
    calls = 0;
    for (unsigned i = 0; i < n; i++) {
        struct bed b;
        pthread_t threads[3];
        SLEY_ATOMIC(bool) go = false;
        bed_start(&b, 3);
        struct racer r = {&b, &go, &accepted, &refused};
        for (int k = 0; k < 3; k++) {
            CHECK_INT(pthread_create(&threads[k], NULL, race, &r), ==, 0);
        }
        atomic_store_explicit(&go, true, memory_order_release);
        for (uint64_t spin = harness_rand_below(200000); spin > 0; spin--) {
            __asm__ volatile("" ::: "memory");
        }
        CHECK_RC(b.ex->ops->stop(b.ex, SLEY_NEVER), 0);
        for (int k = 0; k < 3; k++) {
            CHECK_INT(pthread_join(threads[k], NULL), ==, 0);
        }
        CHECK_RC(b.ex->ops->fini(b.ex), 0);
        CHECK_STR(b.reports, "");
    }
    CHECK_UINT(accepted, ==, calls);
    harness_note("%u calls and spawns accepted, %u refused", accepted, refused);
}

/** Tasks on every core call and spawn on every other one while they are stopped. */
static int call_about(struct caller *a)
{
    int rc = 0;
    while (rc == 0) {
        int core = (int)harness_rand_below(sley_cores_count(&a->b->cores));
        rc = sley_run_on(sley_cores_at(&a->b->cores, (uint32_t)core), note_call, &core, NULL);
        if (rc == 0 && harness_rand_below(4) == 0) {
            const int spawned = sley_cores_spawn_on(&a->b->cores, (uint32_t)core, &two__type, NULL, NULL);
            CHECK(spawned == 0 || spawned == -ESHUTDOWN);
        }
        rc = rc < 0 ? rc : sley_yield();
    }
    CHECK_RC(rc, -ECANCELED);
    return 0;
}
SLEY_FIBER(call_about, struct caller)

SLEY_TEST(stop_beside_tasks_that_call_and_spawn_across, "SHUT-13")
{
    for (int round = 0; round < 5; round++) {
        struct bed b;
        bed_start(&b, 3);
        calls = 0;
        for (uint32_t i = 0; i < 30; i++) {
            sley_task_unref(bed_spawn(&b, i % 3, &call_about__type, &(struct caller){&b, 0}));
        }
        while (atomic_load_explicit(&calls, memory_order_relaxed) < 300) {
            (void)sched_yield();
        }
        bed_end(&b);
    }
}

/* ---- channels between cores ---------------------------------------------------------------------------------------------- */

enum { MESSAGES = 20000 };

struct stream_end {
    struct sley_mpsc *ch;
    unsigned from, count;
};

static int send_numbers(struct stream_end *a)
{
    for (unsigned i = 0; i < a->count; i++) {
        const unsigned word = a->from << 24 | i;
        const int rc = sley_mpsc_send(a->ch, &word);
        CHECK_RC(rc, 0);
    }
    return 0;
}
SLEY_FIBER(send_numbers, struct stream_end)

static int recv_numbers(struct stream_end *a)
{
    unsigned next[4] = {0}, word, n = 0;
    int rc;
    while ((rc = sley_mpsc_recv(a->ch, &word)) == 1) {
        CHECK_UINT(word & 0xffffff, ==, next[word >> 24]); /* in order, from each */
        next[word >> 24]++;
        if (++n == a->count) {
            break;
        }
    }
    return rc;
}
SLEY_FIBER(recv_numbers, struct stream_end)

/** Three cores send to a task on a fourth, through a channel that is full or empty most of the time. */
SLEY_TEST_SECONDS(channel_carries_messages_between_cores_in_order, "", 60)
{
    static const uint32_t capacities[] = {1, 2, 64};
    for (int k = 0; k < 3; k++) {
        struct bed b;
        struct sley_mpsc ch;
        unsigned slots[64];
        struct sley_task *senders[3];
        const unsigned n = MESSAGES / harness_slowness() / (k == 2 ? 1 : 10);
        bed_start(&b, 4);
        CHECK_RC(sley_mpsc_init(&ch, slots, capacities[k], sizeof slots[0]), 0);
        struct sley_task *receiver = bed_spawn(&b, 3, &recv_numbers__type, &(struct stream_end){&ch, 0, 3 * n});
        for (unsigned i = 0; i < 3; i++) {
            senders[i] = bed_spawn(&b, i, &send_numbers__type, &(struct stream_end){&ch, i, n});
        }
        for (unsigned i = 0; i < 3; i++) {
            CHECK_INT(bed_join(senders[i]), ==, 0);
        }
        CHECK_INT(bed_join(receiver), ==, 1);
        sley_mpsc_fini(&ch, NULL);
        bed_end(&b);
    }
}

struct rally {
    struct sley_oneshot *serve, *answer;
    unsigned count;
};

static int serve(struct rally *a)
{
    char ball = 0;
    for (unsigned i = 0; i < a->count; i++) {
        CHECK_RC(sley_oneshot_send(&a->serve[i], &ball), 0);
        CHECK_RC(sley_oneshot_recv(&a->answer[i], &ball), 1);
    }
    return 0;
}
SLEY_FIBER(serve, struct rally)

static int answer(struct rally *a)
{
    char ball = 0;
    for (unsigned i = 0; i < a->count; i++) {
        CHECK_RC(sley_oneshot_recv(&a->serve[i], &ball), 1);
        CHECK_RC(sley_oneshot_send(&a->answer[i], &ball), 0);
    }
    return 0;
}
SLEY_FIBER(answer, struct rally)

SLEY_TEST(oneshots_go_to_and_fro_between_cores, "")
{
    enum { SHOTS = 500 };
    static struct sley_oneshot shots[2][SHOTS];
    static char slots[2][SHOTS];
    struct bed b;
    const unsigned n = SHOTS / harness_slowness();
    bed_start(&b, 2);
    for (unsigned i = 0; i < n; i++) {
        CHECK_RC(sley_oneshot_init(&shots[0][i], &slots[0][i], 1), 0);
        CHECK_RC(sley_oneshot_init(&shots[1][i], &slots[1][i], 1), 0);
    }
    const struct rally args = {shots[0], shots[1], n};
    struct sley_task *t = bed_spawn(&b, 0, &serve__type, &args), *u = bed_spawn(&b, 1, &answer__type, &args);
    CHECK_INT(bed_join(t), ==, 0);
    CHECK_INT(bed_join(u), ==, 0);
    for (unsigned i = 0; i < n; i++) {
        sley_oneshot_fini(&shots[0][i], NULL);
        sley_oneshot_fini(&shots[1][i], NULL);
    }
    bed_end(&b);
}

struct waiter {
    struct sley_notify *n;
    SLEY_ATOMIC(unsigned) * woken;
};

static int wait_notified(struct waiter *a)
{
    const int rc = sley_notify_wait(a->n);
    if (rc == 0) {
        atomic_fetch_add_explicit(a->woken, 1, memory_order_relaxed);
    }
    return rc;
}
SLEY_FIBER(wait_notified, struct waiter)

SLEY_TEST(notify_wakes_tasks_on_every_core, "")
{
    struct bed b;
    struct sley_notify n;
    SLEY_ATOMIC(unsigned) woken = 0;
    struct sley_task *tasks[9];
    bed_start(&b, 3);
    sley_notify_init(&n);
    for (unsigned i = 0; i < 9; i++) {
        tasks[i] = bed_spawn(&b, i % 3, &wait_notified__type, &(struct waiter){&n, &woken});
    }
    for (unsigned i = 0; i < 9; i++) {
        while (atomic_load_explicit(&woken, memory_order_relaxed) < i) { /* what is set twice wakes once */
            (void)sched_yield();
        }
        sley_notify_set(&n);
    }
    for (unsigned i = 0; i < 9; i++) {
        CHECK_RC(bed_join(tasks[i]), 0);
    }
    sley_notify_fini(&n);
    bed_end(&b);
}
