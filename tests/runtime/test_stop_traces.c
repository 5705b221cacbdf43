/* Who is left at shutdown is reported with a backtrace: of suspended fibers, on every executor; nothing runs on their stacks. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/runtime.h>

#include "harness.h"
#include "task/core.h"

#if __has_include(<execinfo.h>)
#define HAS_BACKTRACE 1
#else
#define HAS_BACKTRACE 0
#endif

static struct sley_runtime rt;
static SLEY_ATOMIC(unsigned) arrived; /* tasks that are where they should be */
static SLEY_ATOMIC(bool) release;     /* who ignores his cancel ends by this */

static pthread_mutex_t left_lock = PTHREAD_MUTEX_INITIALIZER;
static char left[1 << 18];
static unsigned left_count, trace_count;

static void keep_left(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg;
    if (kind != SLEY_REPORT_LEFT) {
        return;
    }
    (void)pthread_mutex_lock(&left_lock);
    const size_t len = strlen(left);
    (void)snprintf(left + len, sizeof left - len, "%s\n", text);
    left_count++;
    trace_count += strstr(text, "\n  0x") != NULL;
    (void)pthread_mutex_unlock(&left_lock);
}

static void do_nothing(void *arg)
{
    (void)arg;
}

/** Is the switch one that can be walked through, and does libc make backtraces? */
static bool traces_are_here(void)
{
    const struct sley__context none = {.sp = NULL};
    return HAS_BACKTRACE && sley__context_walk(&none, do_nothing, NULL);
}

static int begin(const char *executor, uint32_t workers)
{
    const struct sley_runtime_opts o = {.executor_name = executor,
                                        .reactor_name = "none",
                                        .worker_count = workers,
                                        .alloc = harness_alloc(),
                                        .report = keep_left,
                                        .stall_ns = SLEY_NEVER};
    arrived = 0;
    release = false;
    return sley_runtime_init(&rt, &o);
}

static bool has_workers(void)
{
    return (rt.executor->ops->caps & SLEY_EXECUTOR_CAP_WORKERS) != 0;
}

/** Lets it go on until @p n have arrived. */
static void until(unsigned n)
{
    while (atomic_load_explicit(&arrived, memory_order_acquire) < n) { /* acquire: pairs with here */
        if (has_workers()) {
            (void)sched_yield();
        } else {
            CHECK_INT(sley_runtime_turn(&rt, NULL), >=, 0);
        }
    }
}

static void here(void)
{
    atomic_fetch_add_explicit(&arrived, 1, memory_order_release); /* release: pairs with until */
}

static void stop_in_vain(void)
{
    (void)pthread_mutex_lock(&left_lock); /* a core that was not waited for may answer a stop before this one */
    left[0] = '\0';
    left_count = trace_count = 0;
    (void)pthread_mutex_unlock(&left_lock);
    CHECK_RC(sley_runtime_stop(&rt, 0), -ETIMEDOUT);
}

static void end(void)
{
    atomic_store_explicit(&release, true, memory_order_release);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
}

/* ---- who is left ------------------------------------------------------------------------------------------------------- */

struct none {
    char none;
};

/* Functions of the program's, each of which calls the next. They have external names, no copies, and no calls at their ends. */
int traced_yields(void);
int traced_waits(void);
int traced_outer(int (*inner)(void));

SLEY_NOINLINE int traced_yields(void)
{
    here();
    while (!atomic_load_explicit(&release, memory_order_acquire)) {
        (void)sley_yield(); /* and its cancel is ignored */
    }
    return 0;
}

static const struct sley_wait_ops stone_ops = {.version = SLEY_WAIT_VERSION, .name = "stone"};
static struct sley_wait stone;

/** Waits for what nobody can cancel. */
SLEY_NOINLINE int traced_waits(void)
{
    memset(&stone, 0, sizeof stone);
    CHECK(sley_wait_begin(&stone, &stone_ops));
    sley_wait_arm(&stone);
    here();
    const int rc = sley_await(&stone);
    CHECK_RC(rc, 5);
    return 0;
}

SLEY_NOINLINE int traced_outer(int (*inner)(void))
{
    volatile int rc = inner();
    return rc;
}

static int (*volatile const yields)(void) = traced_yields, (*volatile const waits)(void) = traced_waits;

static int yields_below(struct none *a)
{
    (void)a;
    return traced_outer(yields);
}
SLEY_FIBER(yields_below, struct none)

static int waits_below(struct none *a)
{
    (void)a;
    return traced_outer(waits);
}
SLEY_FIBER(waits_below, struct none)

struct stays {
    struct sley_frame frame;
    int rc;
};

static enum sley_step stays(struct stays *f)
{
    SLEY_BEGIN(f);
    here();
    while (!atomic_load_explicit(&release, memory_order_acquire)) {
        SLEY_YIELD(f, f->rc);
    }
    SLEY_END(f);
}
SLEY_FRAME(stays, struct stays)

/** Where the report of @p task is. */
static const char *report_of(const char *task)
{
    char name[64];
    (void)snprintf(name, sizeof name, "task %s (", task);
    return strstr(left, name);
}

/** Does the report of @p task name @p function in its backtrace? */
static bool names(const char *task, const char *function)
{
    const char *at = report_of(task), *next = at ? strstr(at + 1, "task ") : NULL;
    const char *found = at ? strstr(at, function) : NULL;
    return found && (!next || found < next);
}

/**
 * A worker that has no processor leaves the report without traces, or is left out of it, and the yielder may be on its way: then it is
 * asked again.
 */
static void names_where_fibers_stand(const char *executor, uint32_t workers)
{
    if (begin(executor, workers) < 0) {
        return;
    }
    CHECK_RC(sley_runtime_spawn(&rt, &yields_below__type, NULL, NULL), 0);
    CHECK_RC(sley_runtime_spawn(&rt, &waits_below__type, NULL, NULL), 0);
    CHECK_RC(sley_runtime_spawn(&rt, &stays__type, NULL, NULL), 0);
    until(3);
    bool done;
    int tries = 0;
    do {
        stop_in_vain();
        (void)pthread_mutex_lock(&left_lock);
        done = names("yields_below", "traced_yields+0x") && names("yields_below", "traced_outer+0x") &&
               names("waits_below", "traced_waits+0x") && names("waits_below", "traced_outer+0x") && report_of("stays") &&
               left_count == 3 && trace_count == 2; /* a frame has no stack */
        (void)pthread_mutex_unlock(&left_lock);
    } while (!done && ++tries < 2000);
    if (!done) {
        FAIL("%s: not all in\n%s", executor, left);
    }
    CHECK(!names("waits_below", "traced_yields") && !names("yields_below", "traced_waits"));
    CHECK(!names("waits_below", "sley_runtime_stop")); /* it is the fiber's stack, and not that of who reports */
    if (!strcmp(executor, "cores")) {
        CHECK_INT(strncmp(left, "core ", 5), ==, 0);
    }
    sley_wait_complete(&stone, 5);
    end();
}

SLEY_TEST_SECONDS(fibers_that_are_left_are_named_with_where_they_stand, "SHUT-03", 120)
{
    if (!traces_are_here()) {
        SKIP("no backtraces of fibers here");
    }
    names_where_fibers_stand("local", 1);
    names_where_fibers_stand("shares", 1);
    names_where_fibers_stand("cores", 2);
    names_where_fibers_stand("stealing", 1);
    names_where_fibers_stand("stealing", 3);
}

SLEY_TEST(first_sixteen_come_with_a_backtrace, "")
{
    CHECK_RC(begin("local", 1), 0);
    for (int i = 0; i < 40; i++) {
        CHECK_RC(sley_runtime_spawn(&rt, &yields_below__type, NULL, NULL), 0);
    }
    until(40);
    for (int i = 0; i < 3; i++) {
        stop_in_vain();
        CHECK_UINT(left_count, ==, 40);
        CHECK_UINT(trace_count, ==, traces_are_here() ? 16 : 0);
    }
    end();
}

/* ---- stacks that are left alone ------------------------------------------------------------------------------------------ */

enum { ROOM = 4096, STEP = 1024 }; /* for what is called from there, in debug builds, and under sanitizers */

static struct sley__fiber *deep_fiber;

/** Waits with hardly any stack left. */
SLEY_NOINLINE static int sink(const char *low)
{
    volatile char used[STEP / 4];
    used[0] = 0;
    volatile int rc = (const char *)__builtin_frame_address(0) - low > ROOM + STEP ? sink(low) : traced_outer(waits);
    return rc + used[0];
}

static int waits_deep(struct none *a)
{
    (void)a;
    deep_fiber = sley_container_of(sley_sched_current()->current, struct sley__fiber, task);
    return sink(deep_fiber->context.stack_low);
}
SLEY_FIBER_STACK(waits_deep, struct none, 16384, NULL)

SLEY_TEST(stack_with_hardly_any_room_is_read_and_not_run_on, "")
{
    if (!traces_are_here()) {
        SKIP("no backtraces of fibers here");
    }
    CHECK_RC(begin("local", 1), 0);
    CHECK_RC(sley_runtime_spawn(&rt, &waits_deep__type, NULL, NULL), 0);
    until(1);
    stop_in_vain(); /* it has seen its cancel */
    const char *low = deep_fiber->context.stack_low, *sp = deep_fiber->context.sp;
    CHECK_PTR(low, <, sp);
    CHECK_UINT((size_t)(sp - low), <, ROOM + STEP);
    char before[ROOM + STEP];
    const size_t unused = harness_under_valgrind() ? 0 : (size_t)(sp - low); /* which lets nobody read there */
    memcpy(before, low, unused);
    left[0] = '\0';
    trace_count = 0;
    sley_sched_report_left(rt.executor->ops->sched(rt.executor), true); /* nobody drives it: this thread may */
    CHECK_UINT(trace_count, ==, 1);
    CHECK_PTR(strstr(left, "traced_waits+0x"), !=, NULL);
    CHECK_PTR(deep_fiber->context.sp, ==, sp);
    CHECK_INT(memcmp(before, low, unused), ==, 0);
    sley_wait_complete(&stone, 5);
    end();
}

static int comes_and_goes(struct none *a)
{
    (void)a;
    here();
    return 0;
}
SLEY_FIBER(comes_and_goes, struct none)

SLEY_TEST(fiber_that_has_not_begun_has_no_backtrace, "")
{
    CHECK_RC(begin("local", 1), 0);
    for (int i = 0; i < 100; i++) { /* more than one look takes */
        CHECK_RC(sley_runtime_spawn(&rt, &comes_and_goes__type, NULL, NULL), 0);
    }
    stop_in_vain();
    CHECK_UINT(left_count, >, 0);
    CHECK_UINT(left_count + arrived, ==, 100);
    CHECK_PTR(strstr(left, "has not run yet"), !=, NULL);
    CHECK_UINT(trace_count, ==, 0);
    end();
}

/** Never looks up: its worker does not come to rest, and may begin another resume at any moment. */
static int computes(struct none *a)
{
    (void)a;
    here();
    while (!atomic_load_explicit(&release, memory_order_acquire)) {
    }
    return 0;
}
SLEY_FIBER(computes, struct none)

SLEY_TEST(stacks_are_not_looked_at_beside_a_worker_that_does_not_rest, "")
{
    CHECK_RC(begin("stealing", 2), 0);
    CHECK_RC(sley_runtime_spawn(&rt, &waits_below__type, NULL, NULL), 0);
    CHECK_RC(sley_runtime_spawn(&rt, &computes__type, NULL, NULL), 0);
    until(2);
    stop_in_vain();
    CHECK_UINT(left_count, ==, 2);
    CHECK_UINT(trace_count, ==, 0);
    sley_wait_complete(&stone, 5);
    end();
}
