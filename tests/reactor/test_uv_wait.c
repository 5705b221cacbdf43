/* A wait in a libuv loop is as long as it should be: not without end when the thread had no processor between setting libuv's timer
 * and waiting for it, and not a loop that turns all the time. */
#include <sley/fiber.h>
#include <sley/local.h>
#include <sley/reactor_uv.h>
#include <sley/sley.h>

#include <dlfcn.h>
#include <sched.h>
#include <uv.h>

#include "harness.h"

static bool preempts;
static unsigned preempted;

/** Libuv's own; and then, where a case asks for it, no processor until the timer has passed. */
int uv_timer_start(uv_timer_t *timer, uv_timer_cb fn, uint64_t timeout_ms, uint64_t repeat_ms)
{
    int (*real)(uv_timer_t *, uv_timer_cb, uint64_t, uint64_t);
    *(void **)&real = dlsym(RTLD_NEXT, "uv_timer_start");
    const int rc = real(timer, fn, timeout_ms, repeat_ms);
    if (preempts) {
        for (const uint64_t end = sley_now_ns() + (timeout_ms + 5) * SLEY_MS; sley_now_ns() < end;) { /* its clock may be behind */
            (void)sched_yield();
        }
        preempted++;
    }
    return rc;
}

static int sleeper(void *unused)
{
    (void)unused;
    const int rc = sley_sleep(6 * SLEY_MS); /* a loop's first wait registers its descriptors, and looks once more */
    return rc < 0 ? rc : sley_sleep(6 * SLEY_MS);
}
SLEY_FIBER(sleeper, void)

SLEY_TEST(regress_timer_that_passes_before_its_wait_ends_the_wait, "")
{
    static const struct sley_reactor_factory *const reactors[] = {&sley_reactor_uv, NULL};
    struct sley_local ex;
    preempts = true;
    sley_local_init(&ex);
    CHECK_RC(ex.base.ops->start(&ex.base, &(struct sley_executor_config){.alloc = harness_alloc(), .reactors = reactors}), 0);
    CHECK_RC(ex.base.ops->spawn(&ex.base, &sleeper__type, NULL, NULL), 0);
    CHECK_RC(ex.base.ops->run(&ex.base, NULL), 0);
    CHECK_RC(ex.base.ops->fini(&ex.base), 0);
    CHECK_UINT(preempted, >, 0);
}

static unsigned iterations;
static void count_iteration(uv_prepare_t *unused)
{
    (void)unused;
    iterations++;
}

/** Sleeps twice in a runtime that is in a loop and driven by hand, before anybody else has run that loop. */
static void sleep_by_hand(void)
{
    uv_loop_t loop;
    uv_prepare_t counter;
    struct sley_runtime rt;
    int result = -1;
    CHECK_INT(uv_loop_init(&loop), ==, 0);
    (void)uv_prepare_init(&loop, &counter);
    (void)uv_prepare_start(&counter, count_iteration);
    const struct sley_runtime_opts opts = {.executor_name = "local", .attach = sley_reactor_uv_attach(&loop), .alloc = harness_alloc()};
    CHECK_RC(sley_runtime_init(&rt, &opts), 0);
    CHECK_RC(sley_runtime_run(&rt, &sleeper__type, NULL, &result), 0);
    CHECK_RC(result, 0);
    CHECK_UINT(iterations, <, 20);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
    uv_close((uv_handle_t *)&counter, NULL);
    CHECK_INT(uv_run(&loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_INT(uv_loop_close(&loop), ==, 0);
}

SLEY_TEST(regress_timer_that_passes_before_its_wait_ends_the_wait_by_hand, "")
{
    preempts = true;
    sleep_by_hand();
    CHECK_UINT(preempted, >, 0);
}

SLEY_TEST(regress_loop_driven_by_hand_rests_while_nothing_happens, "")
{
    sleep_by_hand();
}
