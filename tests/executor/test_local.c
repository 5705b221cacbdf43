/* What is the local executor's own: the turn, parking in the reactor, silence when idle, hooks, foreign loops. */
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sley/reactor_poll.h>

#include "fake_reactor.h"
#include "tests/task/bed.h"

static const struct sley_reactor_factory *const fakes[] = {&fake_reactor_factory, NULL};

static struct fake_reactor *last(void)
{
    return atomic_load_explicit(&fake_reactor_last, memory_order_acquire);
}

/** A bed with the fake reactor: its clock moves when the reactor is asked to wait. */
static void fake_start(struct bed *b, bool virtual_time)
{
    *b = (struct bed){.clock = {bed_now, virtual_time ? bed_idle : NULL}, .now_ns = SLEY_S};
    sley_local_init(&b->memory.local);
    b->ex = &b->memory.local.base;
    const struct sley_executor_config config = {
        .alloc = harness_alloc(), .clock = &b->clock, .reactors = fakes, .report = bed_report, .report_arg = b, .stall_ns = SLEY_NEVER};
    CHECK_RC(b->ex->ops->start(b->ex, &config), 0);
    b->sched = b->ex->ops->sched(b->ex);
    CHECK_PTR(b->sched->reactor, ==, &last()->base);
}

/* ---- idle is silent --------------------------------------------------------------------------------------------------- */

static void halt_in_wait(void *arg, struct fake_reactor *r)
{
    struct bed *b = arg;
    (void)r;
    b->ex->ops->halt(b->ex);
}

static int park(struct none *a)
{
    (void)a;
    return sley_park();
}
SLEY_FIBER(park, struct none)

SLEY_TEST(idle_runtime_without_a_timer_waits_once_and_for_ever, "LOCAL-20 EMB-01")
{
    struct bed b;
    fake_start(&b, false);
    struct fake_reactor *r = last();
    struct sley_task *t = bed_spawn(&b, &park__type, NULL);
    r->on_wait = halt_in_wait;
    r->arg = &b;
    CHECK_RC(b.ex->ops->run(b.ex, t), -ECANCELED);
    CHECK_UINT(r->wait_count, ==, 1);
    CHECK_UINT(r->poll_count, ==, 1);
    CHECK_UINT(r->last_timeout_ns, ==, SLEY_NEVER);
    sley_task_unref(t);
    bed_end(&b);
}

static void advance_in_wait(void *arg, struct fake_reactor *r)
{
    struct bed *b = arg;
    CHECK_UINT(r->last_timeout_ns, !=, SLEY_NEVER);
    b->now_ns += r->last_timeout_ns;
    r->base.ops->wake(&r->base); /* the time is over */
}

static int sleep_long(struct none *a)
{
    (void)a;
    return sley_sleep(100 * SLEY_S);
}
SLEY_FIBER(sleep_long, struct none)

SLEY_TEST(one_far_timer_costs_at_most_one_wake_for_each_level, "LOCAL-20")
{
    struct bed b;
    fake_start(&b, false);
    struct fake_reactor *r = last();
    struct sley_task *t = bed_spawn(&b, &sleep_long__type, NULL);
    r->on_wait = advance_in_wait;
    r->arg = &b;
    CHECK_RC(b.ex->ops->run(b.ex, t), 0);
    CHECK_UINT(b.now_ns, >=, 101 * SLEY_S);
    CHECK_UINT(r->wait_count, <=, 4); /* 100 s are in the third level: two extra */
    r->on_wait = NULL;
    sley_task_unref(t);
    bed_end(&b);
}

enum { WAVE_COUNT = 300 };

static int ripple(struct none *a)
{
    (void)a;
    return sley_yield();
}
SLEY_FIBER(ripple, struct none)

static int wave_and_park(struct none *a)
{
    (void)a;
    for (int i = 0; i < WAVE_COUNT; i++) {
        CHECK_RC(SLEY_SPAWN(NULL, ripple, 0), 0);
    }
    return sley_park();
}
SLEY_FIBER(wave_and_park, struct none)

static void advance_or_halt_in_wait(void *arg, struct fake_reactor *r)
{
    struct bed *b = arg;
    if (r->last_timeout_ns == SLEY_NEVER) {
        b->ex->ops->halt(b->ex);
    } else {
        advance_in_wait(arg, r);
    }
}

/* Two looks at the stacks after a wave, a second apart; then nothing more is to be given back, and it waits for ever. */
SLEY_TEST(idle_runtime_gives_stacks_back_and_falls_silent, "LOCAL-20")
{
    struct bed b;
    fake_start(&b, false);
    struct fake_reactor *r = last();
    struct sley_task *t = bed_spawn(&b, &wave_and_park__type, NULL);
    r->on_wait = advance_or_halt_in_wait;
    r->arg = &b;
    CHECK_RC(b.ex->ops->run(b.ex, t), -ECANCELED);
    CHECK_UINT(r->wait_count, ==, 3);
    CHECK_UINT(b.now_ns, ==, 3 * SLEY_S); /* began at one */
    CHECK_UINT(r->last_timeout_ns, ==, SLEY_NEVER);
    CHECK_UINT(sley_sched_tidy(b.sched), ==, SLEY_NEVER);
    r->on_wait = NULL;
    sley_task_unref(t);
    bed_end(&b);
}

SLEY_TEST(turn_asks_to_be_called_again_while_stacks_are_to_be_given_back, "LOCAL-20")
{
    struct bed b;
    uint64_t next = 0;
    fake_start(&b, false);
    struct sley_task *t = bed_spawn(&b, &wave_and_park__type, NULL);
    while (b.ex->ops->turn(b.ex, 0, &next) != SLEY_TURN_IDLE) {
    }
    CHECK_UINT(next, ==, 2 * SLEY_S);
    b.now_ns = next;
    CHECK_INT(b.ex->ops->turn(b.ex, 0, &next), ==, SLEY_TURN_IDLE);
    CHECK_UINT(next, ==, 3 * SLEY_S);
    b.now_ns = next;
    CHECK_INT(b.ex->ops->turn(b.ex, 0, &next), ==, SLEY_TURN_IDLE);
    CHECK_UINT(next, ==, SLEY_NEVER);
    sley_task_unref(t);
    bed_end(&b);
}

/* ---- the turn ---------------------------------------------------------------------------------------------------------- */

static int sleep_ten_ms(struct none *a)
{
    (void)a;
    return sley_sleep(10 * SLEY_MS);
}
SLEY_FIBER(sleep_ten_ms, struct none)

SLEY_TEST(turn_says_how_long_an_outer_loop_may_wait, "LOCAL-20")
{
    struct bed b;
    uint64_t next = 1;
    bed_start(&b);
    CHECK_INT(b.ex->ops->turn(b.ex, 0, &next), ==, SLEY_TURN_IDLE);
    CHECK_UINT(next, ==, SLEY_NEVER); /* nothing to wait for */
    struct sley_task *t = bed_spawn_home(&b, &sleep_ten_ms__type, NULL);
    struct sley_task *u = bed_spawn_home(&b, &sleep_ten_ms__type, NULL);
    CHECK_INT(b.ex->ops->turn(b.ex, 1, &next), ==, SLEY_TURN_PREEMPTED);
    CHECK_UINT(next, ==, 0); /* something is ready */
    CHECK_INT(b.ex->ops->turn(b.ex, 0, &next), ==, SLEY_TURN_RAN);
    CHECK_UINT(next, >, b.now_ns);
    CHECK_UINT(next, <=, b.now_ns + 11 * SLEY_MS); /* the timer's distance */
    CHECK_INT(b.ex->ops->turn(b.ex, 0, &next), ==, SLEY_TURN_IDLE);
    b.now_ns += 11 * SLEY_MS;
    CHECK_INT(b.ex->ops->turn(b.ex, 0, &next), ==, SLEY_TURN_RAN);
    CHECK(sley_task_done(t) && sley_task_done(u));
    CHECK_UINT(next, ==, SLEY_NEVER);
    sley_task_unref(t);
    sley_task_unref(u);
    bed_settle(&b);
    bed_end(&b);
}

static uint64_t an_hour_ahead(struct sley_clock *self)
{
    (void)self;
    return sley_thread_now_ns() + 3600 * SLEY_S;
}

static int sleep_a_little(struct none *unused)
{
    (void)unused;
    return sley_sleep(2 * SLEY_MS);
}
SLEY_FIBER(sleep_a_little, struct none)

/* Without a reactor a worker waits by the system's time for what the clock of the configuration says. */
SLEY_TEST(timer_of_a_clock_that_goes_ahead_fires_in_time, "")
{
    struct sley_clock clock = {.now_ns = an_hour_ahead};
    struct sley_local ex;
    struct sley_task *t;
    int result = 1;
    sley_local_init(&ex);
    CHECK_RC(ex.base.ops->start(&ex.base, &(struct sley_executor_config){.alloc = harness_alloc(), .clock = &clock}), 0);
    CHECK_RC(ex.base.ops->spawn(&ex.base, &sleep_a_little__type, NULL, &t), 0);
    CHECK_RC(ex.base.ops->run(&ex.base, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    CHECK_INT(result, ==, 0);
    sley_task_unref(t);
    CHECK_RC(ex.base.ops->fini(&ex.base), 0);
}

SLEY_TEST(regress_run_after_a_turn_parks, "")
{
    struct bed b;
    fake_start(&b, false);
    struct fake_reactor *r = last();
    struct sley_task *t = bed_spawn(&b, &park__type, NULL);
    bed_settle(&b);
    const unsigned polls = r->poll_count;
    r->on_wait = halt_in_wait;
    r->arg = &b;
    CHECK_RC(b.ex->ops->run(b.ex, t), -ECANCELED);
    CHECK_UINT(r->poll_count - polls, ==, 1);
    sley_task_unref(t);
    bed_end(&b);
}

SLEY_TEST(regress_run_until_nothing_is_left_does_not_wait_once_more, "")
{
    struct bed b;
    fake_start(&b, false);
    CHECK_RC(b.ex->ops->spawn(b.ex, &park__type, NULL, NULL), 0);
    struct sley_task *t = bed_spawn(&b, &park__type, NULL);
    struct sley_sched *outer = sley_sched_enter(b.sched);
    (void)sley_sched_drain(b.sched);
    sley_sched_stop(b.sched);
    (void)sley_sched_enter(outer);
    CHECK_RC(b.ex->ops->run(b.ex, NULL), 0);
    CHECK_UINT(last()->wait_count, ==, 0);
    sley_task_unref(t);
    bed_end(&b);
}

static int yield_thrice(struct none *a)
{
    (void)a;
    for (int i = 0; i < 3; i++) {
        CHECK_RC(sley_yield(), 0);
    }
    return 0;
}
SLEY_FIBER(yield_thrice, struct none)

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void foreign_loop(const struct sley_reactor_factory *factory)
{
    struct sley_local local;
    const struct sley_reactor_factory *const reactors[] = {factory, NULL};
    sley_local_init(&local);
    struct sley_executor *ex = &local.base;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .reactors = reactors};
    CHECK_RC(ex->ops->start(ex, &config), 0);
    const int fd = ex->ops->pollable_fd(ex);
    if (fd == -ENOTSUP) { /* poll(2) has none */
        CHECK_RC(ex->ops->fini(ex), 0);
        return;
    }
    CHECK_INT(fd, >=, 0);
    CHECK_INT(ex->ops->turn(ex, 0, NULL), ==, SLEY_TURN_IDLE);
    CHECK(!readable(fd));
    for (int i = 0; i < 3; i++) {
        CHECK_RC(ex->ops->spawn(ex, &yield_thrice__type, NULL, NULL), 0);
        CHECK(readable(fd)); /* somebody has posted */
        int turn;
        while ((turn = ex->ops->turn(ex, 0, NULL)) == SLEY_TURN_PREEMPTED) {
        }
        CHECK_INT(turn, ==, SLEY_TURN_RAN);
        CHECK(!readable(fd)); /* the ring was taken in, though no op is armed */
    }
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
}

SLEY_TEST(foreign_loop_sleeps_on_the_descriptor, "LOCAL-20 WAKE-16")
{
    foreign_loop(&sley_reactor_epoll);
    foreign_loop(&sley_reactor_poll2);
}

/* ---- fairness between I/O, timers, the inbox and ready tasks ------------------------------------------------------------- */

static unsigned yields;

static int yield_for_ever(struct none *a)
{
    (void)a;
    int rc;
    while ((rc = sley_yield()) == 0) {
        yields++;
    }
    return rc;
}
SLEY_FIBER(yield_for_ever, struct none)

static struct sley_io_op *pending;

static int wait_for_descriptor(struct none *a)
{
    (void)a;
    struct sley_fd fd;
    struct sley_io_op op = {.fd = NULL};
    sley_fd_init(&fd, 1000);
    sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
    pending = &op;
    fake_reactor_ready(last(), &op, SLEY_IO_IN);
    yields = 0;
    CHECK_INT(sley_await(&op.wait), ==, SLEY_IO_IN);
    CHECK_UINT(yields, <=, 2 * 64); /* it was polled for between batches */
    CHECK_RC(sley_fd_close(&fd), 0);
    return 0;
}
SLEY_FIBER(wait_for_descriptor, struct none)

SLEY_TEST(reactor_is_polled_between_batches_of_ready_tasks, "LOCAL-06 LOCAL-07")
{
    struct bed b;
    fake_start(&b, false);
    sley_task_unref(bed_spawn(&b, &yield_for_ever__type, NULL));
    CHECK_INT(bed_run(&b, &wait_for_descriptor__type, NULL), ==, 0);
    CHECK_UINT(last()->wait_count, ==, 0);
    bed_end(&b);
}

static unsigned inbox_yields;

static void note_post(struct sley_post *p)
{
    (void)p;
    inbox_yields = yields;
}

static int post_to_oneself(struct none *a)
{
    (void)a;
    static struct sley_post p = {.fn = note_post};
    yields = 0;
    inbox_yields = UINT32_MAX;
    CHECK(sley_sched_post(sley_sched_current(), &p));
    while (inbox_yields == UINT32_MAX) {
        CHECK_RC(sley_yield(), 0);
    }
    CHECK_UINT(inbox_yields, <=, 64);
    return 0;
}
SLEY_FIBER(post_to_oneself, struct none)

SLEY_TEST(inbox_is_looked_at_between_batches_of_ready_tasks, "LOCAL-05")
{
    struct bed b;
    bed_start(&b);
    sley_task_unref(bed_spawn(&b, &yield_for_ever__type, NULL));
    CHECK_INT(bed_run(&b, &post_to_oneself__type, NULL), ==, 0);
    bed_end(&b);
}

static unsigned resumes;
static struct sley_wait inbox_of_drainer;

static void no_cancel(struct sley_wait *w)
{
    sley_wait_complete(w, 0);
}
static const struct sley_wait_ops drain_ops = {.version = SLEY_WAIT_VERSION, .name = "drain", .cancel = no_cancel};

struct drainer {
    struct sley_frame frame;
};

static enum sley_step drain_messages(struct drainer *f)
{
    int rc;
    resumes++;
    SLEY_BEGIN(f);
    do {
        CHECK(sley_wait_begin(&inbox_of_drainer, &drain_ops));
        sley_wait_arm(&inbox_of_drainer);
        SLEY_AWAIT(f, rc, &inbox_of_drainer);
    } while (rc > 0);
    SLEY_END(f);
}
SLEY_FRAME(drain_messages, struct drainer)

SLEY_TEST(drainer_is_resumed_exactly_once_for_each_message, "LOCAL-02")
{
    struct bed b;
    bed_start(&b);
    struct sley_task *t = bed_spawn(&b, &drain_messages__type, NULL);
    bed_settle(&b);
    CHECK_UINT(resumes, ==, 1);
    for (unsigned i = 1; i <= 5; i++) {
        struct sley_sched *outer = sley_sched_enter(b.sched);
        sley_wait_complete(&inbox_of_drainer, 1);
        (void)sley_sched_enter(outer);
        bed_settle(&b);
        CHECK_UINT(resumes, ==, 1 + i);
    }
    struct sley_sched *outer = sley_sched_enter(b.sched);
    sley_wait_complete(&inbox_of_drainer, 0);
    (void)sley_sched_enter(outer);
    bed_settle(&b);
    CHECK_UINT(resumes, ==, 7);
    CHECK(sley_task_done(t));
    sley_task_unref(t);
    bed_end(&b);
}

/* ---- the hook before parking -------------------------------------------------------------------------------------------- */

static struct gate hook_gate;
static unsigned hook_calls;
static enum hook { HOOK_COMPLETES, HOOK_SPAWNS, HOOK_POSTS } hook_does;
static struct sley_post hook_post;

static int child_of_hook(struct none *a)
{
    (void)a;
    sley_wait_complete(&hook_gate.wait, 1);
    return 0;
}
SLEY_FIBER(child_of_hook, struct none)

static void posted_by_hook(struct sley_post *p)
{
    (void)p;
    sley_wait_complete(&hook_gate.wait, 1);
}

static void before_park(void *arg)
{
    (void)arg;
    if (hook_calls++ > 0) {
        return;
    }
    if (hook_does == HOOK_COMPLETES) {
        sley_wait_complete(&hook_gate.wait, 1);
    } else if (hook_does == HOOK_SPAWNS) {
        CHECK_RC(SLEY_SPAWN(NULL, child_of_hook, .none = 0), 0);
    } else if (hook_does == HOOK_POSTS) {
        hook_post.fn = posted_by_hook;
        CHECK(sley_sched_post(sley_sched_current(), &hook_post));
    }
}

static int wait_for_hook(struct none *a)
{
    (void)a;
    return gate_wait(&hook_gate, GATE_PLAIN);
}
SLEY_FIBER(wait_for_hook, struct none)

SLEY_TEST(work_that_the_hook_before_parking_makes_is_seen, "LOCAL-12 LOCAL-13")
{
    for (int what = HOOK_COMPLETES; what <= HOOK_POSTS; what++) {
        struct bed b = {.now_ns = SLEY_S};
        memset(&hook_gate, 0, sizeof hook_gate);
        hook_does = (enum hook)what;
        hook_calls = 0;
        sley_local_init(&b.memory.local);
        b.ex = &b.memory.local.base;
        const struct sley_executor_config config = {.alloc = harness_alloc(), .reactors = fakes, .before_park = before_park};
        CHECK_RC(b.ex->ops->start(b.ex, &config), 0);
        b.sched = b.ex->ops->sched(b.ex);
        CHECK_INT(bed_run(&b, &wait_for_hook__type, NULL), ==, 1);
        CHECK_UINT(hook_calls, ==, 1);
        CHECK_UINT(last()->wait_count, ==, 0);
        bed_end(&b);
    }
}

/* ---- teardown ------------------------------------------------------------------------------------------------------------ */

struct late {
    struct sley_sched *sched;
    struct sley_task *task;
    SLEY_ATOMIC(bool) go;
};

static void *ring_late(void *arg)
{
    struct late *l = arg;
    while (!atomic_load_explicit(&l->go, memory_order_acquire)) {
    }
    for (uint64_t spin = harness_rand_below(3000); spin > 0; spin--) {
        __asm__ volatile("" ::: "memory");
    }
    sley_task_cancel(l->task);
    sley_task_unref(l->task);
    return NULL;
}

/** The inbox is left parked by a turn: whoever gives a handle back rings, perhaps while the reactor goes. */
SLEY_TEST(regress_poster_rings_while_the_reactor_goes, "SHUT-13 WAKE-08")
{
    const unsigned n = 500 / harness_slowness();
    for (unsigned i = 0; i < n; i++) {
        struct bed b;
        pthread_t thread;
        fake_start(&b, false);
        struct late l = {.sched = b.sched, .task = bed_spawn(&b, &yield_thrice__type, NULL)};
        bed_settle(&b);
        CHECK_INT(pthread_create(&thread, NULL, ring_late, &l), ==, 0);
        atomic_store_explicit(&l.go, true, memory_order_release);
        for (uint64_t spin = harness_rand_below(3000); spin > 0; spin--) {
            __asm__ volatile("" ::: "memory");
        }
        CHECK_RC(b.ex->ops->fini(b.ex), 0);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
        CHECK_UINT(harness_alloc_live(), ==, 0);
    }
}

static SLEY_ATOMIC(bool) inside_wake;

static void stay_in_wake(void)
{
    atomic_store_explicit(&inside_wake, true, memory_order_release);
    for (unsigned i = 0; harness_another(i, 2000); i++) { /* on a busy machine, where a yield costs a slice, fewer */
        (void)sched_yield();
        CHECK_PTR(last(), !=, NULL); /* it has not gone under us */
    }
}

SLEY_TEST(regress_reactor_outlives_a_poster_inside_its_wake, "SHUT-13")
{
    struct bed b;
    pthread_t thread;
    fake_start(&b, false);
    struct late l = {.sched = b.sched, .task = bed_spawn(&b, &yield_thrice__type, NULL)};
    bed_settle(&b);
    last()->on_wake = stay_in_wake;
    CHECK_INT(pthread_create(&thread, NULL, ring_late, &l), ==, 0);
    atomic_store_explicit(&l.go, true, memory_order_release);
    while (!atomic_load_explicit(&inside_wake, memory_order_acquire)) {
        (void)sched_yield();
    }
    CHECK_RC(b.ex->ops->fini(b.ex), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
}

SLEY_TEST(regress_refused_fini_keeps_the_ready_queue, "SHUT-02")
{
    struct bed b;
    bed_start(&b);
    struct sley_task *t = bed_spawn(&b, &yield_thrice__type, NULL);
    struct sley_task *u = bed_spawn(&b, &yield_thrice__type, NULL);
    CHECK_INT(b.ex->ops->turn(b.ex, 1, NULL), ==, SLEY_TURN_PREEMPTED); /* one has run and is ready again, one has not */
    CHECK_RC(b.ex->ops->fini(b.ex), -EBUSY);
    bed_run_until(&b, t);
    bed_run_until(&b, u);
    sley_task_unref(t);
    sley_task_unref(u);
    bed_end(&b);
}

static struct bed exit_bed;

/** Somebody has to see the last thread go, and cannot join it: the thread sanitizer has one of its own that stays. */
static void *exit_after_main(void *arg)
{
    char stat[256] = "";
    while (!strstr(stat, ") Z ")) {
        (void)sched_yield();
        FILE *f = fopen("/proc/self/stat", "r");
        if (!f || !fgets(stat, sizeof stat, f)) {
            _exit(5);
        }
        (void)fclose(f);
    }
    exit(arg != NULL);
}

SLEY_TEST(main_thread_leaves_by_pthread_exit, "LOCAL-22")
{
    int status = 1;
    const pid_t pid = fork();
    CHECK_INT(pid, >=, 0);
    if (pid == 0) {
        bed_start(&exit_bed);
        (void)bed_spawn(&exit_bed, &park__type, NULL);
        bed_settle(&exit_bed);
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, exit_after_main, NULL), ==, 0);
        pthread_exit(NULL);
    }
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

SLEY_TEST(broken_configuration_is_refused_and_nothing_is_left, "SHUT-01")
{
    static const struct sley_reactor_factory broken = {.version = SLEY_REACTOR_VERSION, .name = "broken"};
    static const struct sley_reactor_factory *const brokens[] = {&broken, NULL};
    static const struct sley_reactor_factory *const second[] = {&broken, &fake_reactor_factory, NULL};
    char why[128] = "old";
    struct sley_local local;
    sley_local_init(&local);
    struct sley_executor *ex = &local.base;
    struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 2};
    CHECK_RC(ex->ops->start(ex, &config), -EINVAL);
    config = (struct sley_executor_config){.alloc = harness_alloc(), .tick_ns = 1};
    CHECK_RC(ex->ops->start(ex, &config), -EINVAL);
    config = (struct sley_executor_config){.alloc = harness_alloc(), .reactors = brokens, .ret_error = why, .error_bytes = sizeof why};
    CHECK_RC(ex->ops->start(ex, &config), -EINVAL);
    CHECK_STR(why, "reactor broken did not start (errno 22). ");
    CHECK_UINT(harness_alloc_live(), ==, 0);
    config.reactors = second; /* the next one is tried */
    CHECK_RC(ex->ops->start(ex, &config), 0);
    CHECK_STR(why, "");
    CHECK_RC(ex->ops->fini(ex), 0);
    CHECK_RC(sley_executor_check(NULL), -EINVAL);
    CHECK_RC(sley_executor_check(&sley_local_ops), 0);
}
