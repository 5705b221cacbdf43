/* A wait in a libuv loop is as long as it should be: not without end, whatever comes between two steps of it, and not a loop that turns all
 * the time. */
#include <sley/fiber.h>
#include <sley/local.h>
#include <sley/reactor_uv.h>
#include <sley/sched_impl.h>
#include <sley/sley.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <linux/net_tstamp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "harness.h"

enum { HOUR_MS = 3600 * 1000 };

static void spin(uint64_t ns)
{
    for (const uint64_t end = sley_now_ns() + ns; sley_now_ns() < end;) {
        (void)sched_yield();
    }
}

/** A loop with a runtime in it, and a timer that is far off: a wait that has no other end has none. */
struct bed {
    uv_loop_t loop;
    uv_timer_t far;
    struct sley_runtime rt;
};

static void on_far(uv_timer_t *unused)
{
    (void)unused;
}

static void bed_init(struct bed *b, struct sley_alloc *alloc)
{
    const struct sley_runtime_opts opts = {.executor_name = "local", .attach = sley_reactor_uv_attach(&b->loop), .alloc = alloc};
    CHECK_INT(uv_loop_init(&b->loop), ==, 0);
    CHECK_RC(sley_runtime_init(&b->rt, &opts), 0);
    (void)uv_timer_init(&b->loop, &b->far);
    (void)uv_timer_start(&b->far, on_far, HOUR_MS, 0);
}

static void bed_fini(struct bed *b)
{
    CHECK_RC(sley_runtime_stop(&b->rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&b->rt), 0);
    uv_close((uv_handle_t *)&b->far, NULL);
    CHECK_INT(uv_run(&b->loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_INT(uv_loop_close(&b->loop), ==, 0);
}

/* ---- a timer that passes before its wait ------------------------------------------------------------------------------- */

static bool preempts;
static unsigned preempted;

/** Libuv's own; and then, where a case asks for it, no processor until the timer has passed. */
int uv_timer_start(uv_timer_t *timer, uv_timer_cb fn, uint64_t timeout_ms, uint64_t repeat_ms)
{
    int (*real)(uv_timer_t *, uv_timer_cb, uint64_t, uint64_t);
    *(void **)&real = dlsym(RTLD_NEXT, "uv_timer_start");
    const int rc = real(timer, fn, timeout_ms, repeat_ms);
    if (preempts) {
        spin((timeout_ms + 5) * SLEY_MS); /* its clock may be behind */
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
static void sleep_by_hand(bool preempt)
{
    struct bed b;
    uv_prepare_t counter;
    int result = -1;
    bed_init(&b, harness_alloc());
    (void)uv_timer_stop(&b.far);
    preempts = preempt;
    (void)uv_prepare_init(&b.loop, &counter);
    (void)uv_prepare_start(&counter, count_iteration);
    CHECK_RC(sley_runtime_run(&b.rt, &sleeper__type, NULL, &result), 0);
    CHECK_RC(result, 0);
    CHECK_UINT(iterations, <, 20);
    uv_close((uv_handle_t *)&counter, NULL);
    bed_fini(&b);
}

SLEY_TEST(regress_timer_that_passes_before_its_wait_ends_the_wait_by_hand, "")
{
    sleep_by_hand(true);
    CHECK_UINT(preempted, >, 0);
}

SLEY_TEST(regress_loop_driven_by_hand_rests_while_nothing_happens, "")
{
    sleep_by_hand(false);
}

static bool slept;
static int sleep_once(void *unused)
{
    (void)unused;
    (void)sley_sleep(5 * SLEY_MS);
    slept = true;
    return 0;
}
SLEY_FIBER(sleep_once, void)

SLEY_TEST(regress_once_comes_back_when_a_sleep_has_ended_in_it, "")
{
    struct bed b;
    bed_init(&b, harness_alloc());
    CHECK_RC(sley_runtime_spawn(&b.rt, &sleep_once__type, NULL, NULL), 0);
    for (int i = 0; i < 3; i++) {
        (void)uv_run(&b.loop, UV_RUN_NOWAIT);
    }
    spin(10 * SLEY_MS);
    while (!slept) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    bed_fini(&b);
}

/* ---- who is ready, and who is to be heard of ---------------------------------------------------------------------------- */

static bool told;
static void on_tell(uv_timer_t *unused)
{
    (void)unused;
    told = true;
}

static int yield_until_told(void *unused)
{
    (void)unused;
    while (!told) {
        (void)sley_yield();
    }
    return 0;
}
SLEY_FIBER(yield_until_told, void)

SLEY_TEST(regress_task_that_is_always_ready_leaves_the_loop_its_turn_by_hand, "")
{
    struct bed b;
    uv_timer_t t;
    int result = -1;
    bed_init(&b, harness_alloc());
    (void)uv_timer_init(&b.loop, &t);
    (void)uv_timer_start(&t, on_tell, 5, 0);
    CHECK_RC(sley_runtime_run(&b.rt, &yield_until_told__type, NULL, &result), 0);
    CHECK_RC(result, 0);
    uv_close((uv_handle_t *)&t, NULL);
    bed_fini(&b);
}

static void *get_plain(struct sley_alloc *a, size_t bytes, size_t align)
{
    (void)a;
    return aligned_alloc(align < 16 ? 16 : align, (bytes + 127) / 64 * 64);
}

static void put_plain(struct sley_alloc *a, void *ptr, size_t bytes)
{
    (void)a;
    (void)bytes;
    free(ptr);
}

static SLEY_ATOMIC(bool) has_run;
static int run_once(void *unused)
{
    (void)unused;
    atomic_store(&has_run, true);
    return 0;
}
SLEY_FIBER(run_once, void)

static void *spawn_later(void *rt)
{
    while (!harness_others_sleep()) {
        (void)sched_yield();
    }
    CHECK_RC(sley_runtime_spawn(rt, &run_once__type, NULL, NULL), 0);
    return NULL;
}

SLEY_TEST(regress_spawn_of_another_thread_wakes_the_loop_with_memory_for_one_thread, "")
{
    static const struct sley_alloc_ops ops = {.version = SLEY_ALLOC_VERSION, .alloc = get_plain, .free = put_plain};
    struct sley_alloc alloc = {.ops = &ops};
    struct bed b;
    pthread_t t;
    bed_init(&b, &alloc);
    CHECK_INT(pthread_create(&t, NULL, spawn_later, &b.rt), ==, 0);
    while (!atomic_load(&has_run)) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    bed_fini(&b);
}

/* ---- an error for which libuv stops to watch ----------------------------------------------------------------------------- */

/** A connection whose first receive is cancelled in the very turn in which an error is reported that no receive is told. */
static struct odd {
    struct bed bed;
    struct sley_fd fd;
    int peer;
    struct sley_io_op op;
    struct sley_post post;
    uv_timer_t first, then;
} odd;

static void on_then(uv_timer_t *unused)
{
    char text[512], control[512];
    struct iovec v = {text, sizeof text};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    (void)unused;
    CHECK_INT(write(odd.peer, "y", 1), ==, 1);
    (void)recvmsg(odd.fd.number, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
}

static int cancelled_then_reads(void *unused)
{
    char byte;
    (void)unused;
    odd.op = (struct sley_io_op){.fd = &odd.fd, .buf = &byte, .len = 1, .code = SLEY_IO_RECV};
    sley_io_submit(&odd.op);
    CHECK_RC(sley_await(&odd.op.wait), -ECANCELED);
    odd.op = (struct sley_io_op){.fd = &odd.fd, .buf = &byte, .len = 1, .code = SLEY_IO_RECV};
    sley_io_submit(&odd.op);
    (void)uv_timer_start(&odd.then, on_then, 20, 0);
    CHECK_RC(sley_await(&odd.op.wait), 1);
    return 0;
}
SLEY_FIBER(cancelled_then_reads, void)

static void cancel_here(struct sley_post *unused)
{
    (void)unused;
    sley_wait_cancel(&odd.op.wait);
}

/** One iteration brings the error, and what is delivered before it in the turn: a cancel, as one that comes from elsewhere. */
static void on_first(uv_timer_t *unused)
{
    const int flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    struct sley_executor *ex = odd.bed.rt.executor;
    (void)unused;
    CHECK_INT(setsockopt(odd.fd.number, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags), ==, 0);
    CHECK_INT(send(odd.fd.number, "x", 1, 0), ==, 1);
    odd.post.fn = cancel_here;
    CHECK(sley_sched_post(ex->ops->sched(ex), &odd.post));
}

static void connect_odd(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    const int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(l, (struct sockaddr *)&a, sizeof a), ==, 0);
    CHECK_INT(listen(l, 1), ==, 0);
    CHECK_INT(getsockname(l, (struct sockaddr *)&a, &len), ==, 0);
    odd.peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(odd.peer, (struct sockaddr *)&a, sizeof a), ==, 0);
    const int number = accept4(l, NULL, NULL, SOCK_CLOEXEC);
    CHECK_INT(number, >=, 0);
    sley_fd_init(&odd.fd, number);
    sley_fd_set_stream(&odd.fd);
    (void)close(l);
}

SLEY_TEST(regress_wait_after_one_that_was_cancelled_beside_an_error_is_watched, "")
{
    struct sley_task *task;
    int result = -1;
    connect_odd();
    bed_init(&odd.bed, harness_alloc());
    CHECK_RC(sley_runtime_spawn(&odd.bed.rt, &cancelled_then_reads__type, NULL, &task), 0);
    (void)uv_timer_init(&odd.bed.loop, &odd.first);
    (void)uv_timer_init(&odd.bed.loop, &odd.then);
    while (!odd.op.fd) {
        (void)uv_run(&odd.bed.loop, UV_RUN_NOWAIT); /* its first receive waits */
    }
    (void)uv_run(&odd.bed.loop, UV_RUN_NOWAIT);
    (void)uv_timer_start(&odd.first, on_first, 0, 0);
    while (!sley_task_done(task)) {
        (void)uv_run(&odd.bed.loop, UV_RUN_ONCE);
    }
    CHECK_RC(sley_task_result(task, &result), 0);
    CHECK_RC(result, 0);
    sley_task_unref(task);
    uv_close((uv_handle_t *)&odd.first, NULL);
    uv_close((uv_handle_t *)&odd.then, NULL);
    bed_fini(&odd.bed);
    CHECK_RC(sley_fd_close(&odd.fd), 0);
    (void)close(odd.peer);
}
