/* A runtime inside the application's libuv loop: who keeps it alive, in which order things happen, how it ends. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sley/reactor_uv.h>
#include <sley/sley.h>
#include <uv.h>

#include "harness.h"

struct bed {
    uv_loop_t loop;
    struct sley_runtime rt;
    char why[256];
};

static void bed_init_on(struct bed *b, uv_loop_t *loop, const char *executor)
{
    const struct sley_runtime_opts opts = {
        .executor_name = executor,
        .attach = sley_reactor_uv_attach(loop),
        .alloc = harness_alloc(),
        .ret_error = b->why,
        .error_bytes = sizeof b->why,
    };
    CHECK_RC(sley_runtime_init(&b->rt, &opts), 0);
}

static void bed_init(struct bed *b)
{
    CHECK_INT(uv_loop_init(&b->loop), ==, 0);
    bed_init_on(b, &b->loop, "local");
}

static void bed_fini(struct bed *b)
{
    CHECK_RC(sley_runtime_stop(&b->rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&b->rt), 0);
    CHECK_INT(uv_loop_close(&b->loop), ==, 0);
}

/* what happened, in order */
static char story[256];

static void tell(const char *what)
{
    const size_t len = strlen(story);
    CHECK_INT(snprintf(story + len, sizeof story - len, "%s%s", len ? " " : "", what), <, (int)(sizeof story - len));
}

struct sleeper {
    uint64_t ns;
    const char *name;
};

static uint64_t slept_until_ns; /* the last one has */
static int sleeper(struct sleeper *a)
{
    const int rc = sley_sleep(a->ns);
    slept_until_ns = sley_now_ns();
    tell(rc == 0 ? a->name : "cancelled");
    return rc;
}
SLEY_FIBER(sleeper, struct sleeper)

static void spawn_sleeper(struct bed *b, uint64_t ns, const char *name)
{
    CHECK_RC(sley_runtime_spawn(&b->rt, &sleeper__type, &(struct sleeper){ns, name}, NULL), 0);
}

static void on_named_timer(uv_timer_t *t)
{
    tell(t->data);
}

static void start_named(struct bed *b, uv_timer_t *t, char *name, uint64_t ms)
{
    CHECK_INT(uv_timer_init(&b->loop, t), ==, 0);
    t->data = name;
    CHECK_INT(uv_timer_start(t, on_named_timer, ms, 0), ==, 0);
}

/* ---- alive ---------------------------------------------------------------------------------------------------------- */

SLEY_TEST(loop_without_tasks_ends_at_once_and_leaves_nothing, "")
{
    struct bed b;
    bed_init(&b);
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK(!uv_loop_alive(&b.loop));
    bed_fini(&b);
}

SLEY_TEST(runtime_that_never_ran_leaves_no_handle, "")
{
    struct bed b;
    bed_init(&b);
    CHECK_RC(sley_runtime_fini(&b.rt), 0);
    CHECK_INT(uv_loop_close(&b.loop), ==, 0);
    bed_init(&b);
    spawn_sleeper(&b, SLEY_S, "never");
    CHECK_RC(sley_runtime_fini(&b.rt), 0); /* dropped: it has never run */
    CHECK_INT(uv_loop_close(&b.loop), ==, 0);
    CHECK_STR(story, "");
}

SLEY_TEST(loop_ends_when_the_last_task_has_ended, "")
{
    struct bed b;
    bed_init(&b);
    spawn_sleeper(&b, 3 * SLEY_MS, "one");
    spawn_sleeper(&b, 6 * SLEY_MS, "two");
    CHECK(uv_loop_alive(&b.loop));
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_STR(story, "one two");
    CHECK(!uv_loop_alive(&b.loop));
    spawn_sleeper(&b, SLEY_MS, "three"); /* again, in a loop that had ended */
    CHECK(uv_loop_alive(&b.loop));
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_STR(story, "one two three");
    bed_fini(&b);
}

struct pair {
    struct sley_fd fd;
    int peer;
};

static int reader(struct pair **pair)
{
    char buf[8];
    struct pair *p = *pair;
    struct sley_io_op op = {.fd = &p->fd, .buf = buf, .len = sizeof buf, .code = SLEY_IO_RECV};
    const int n = sley_io_run(&op);
    tell(n > 0 ? "read" : n == -ECANCELED ? "cancelled" : "ended");
    return n < 0 ? n : 0;
}
SLEY_FIBER(reader, struct pair *)

static void pair_init(struct pair *p)
{
    int n[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, n), ==, 0);
    sley_fd_init(&p->fd, n[0]);
    p->peer = n[1];
}

static void pair_fini(struct pair *p)
{
    CHECK_RC(sley_fd_close(&p->fd), 0);
    (void)close(p->peer);
}

static void spawn_reader(struct bed *b, struct pair *p)
{
    CHECK_RC(sley_runtime_spawn(&b->rt, &reader__type, &p, NULL), 0);
}

static void *write_later(void *arg)
{
    const struct pair *p = arg;
    for (const uint64_t end = sley_now_ns() + SLEY_MS; sley_now_ns() < end;) {
        (void)sched_yield();
    }
    CHECK_INT(write(p->peer, "x", 1), ==, 1);
    return NULL;
}

SLEY_TEST(loop_stays_while_a_task_waits_for_io, "REACT-09")
{
    struct bed b;
    struct pair p;
    pthread_t t;
    bed_init(&b);
    pair_init(&p);
    spawn_reader(&b, &p);
    CHECK_INT(uv_run(&b.loop, UV_RUN_NOWAIT), !=, 0);
    CHECK_INT(uv_run(&b.loop, UV_RUN_NOWAIT), !=, 0);
    CHECK_INT(pthread_create(&t, NULL, write_later, &p), ==, 0);
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_STR(story, "read");
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    bed_fini(&b);
    pair_fini(&p);
}

SLEY_TEST(idle_loop_with_a_waiting_task_is_silent, "")
{
    struct bed b;
    struct pair p;
    uv_timer_t end;
    bed_init(&b);
    pair_init(&p);
    spawn_reader(&b, &p);
    while (uv_backend_timeout(&b.loop) == 0) {
        CHECK_INT(uv_run(&b.loop, UV_RUN_NOWAIT), !=, 0);
    }
    CHECK_INT(uv_backend_timeout(&b.loop), ==, -1); /* it would wait for ever */
    start_named(&b, &end, "timer", 20);
    CHECK_INT(uv_run(&b.loop, UV_RUN_ONCE), !=, 0);
    CHECK_STR(story, "timer"); /* one iteration: nothing else has ended the wait */
    uv_close((uv_handle_t *)&end, NULL);
    bed_fini(&b);
    CHECK_STR(story, "timer cancelled");
    pair_fini(&p);
}

/* ---- order ---------------------------------------------------------------------------------------------------------- */

SLEY_TEST(uv_timers_and_sleeps_come_in_the_order_of_their_deadlines, "")
{
    struct bed b;
    uv_timer_t first, last;
    bed_init(&b);
    const uint64_t start = sley_now_ns();
    uv_update_time(&b.loop); /* the loop counts from when it last looked, which may be long ago */
    start_named(&b, &last, "uv-50", 50);
    spawn_sleeper(&b, 30 * SLEY_MS, "sley-30");
    start_named(&b, &first, "uv-10", 10);
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
    if (slept_until_ns - start < 48 * SLEY_MS) { /* else the machine has stood still from one deadline to the next */
        CHECK_STR(story, "uv-10 sley-30 uv-50");
    }
    uv_close((uv_handle_t *)&first, NULL);
    uv_close((uv_handle_t *)&last, NULL);
    bed_fini(&b);
}

SLEY_TEST(sleep_is_never_early_by_the_raw_clock, "TIMER-16")
{
    struct bed b;
    bed_init(&b);
    for (uint64_t ns = 100 * SLEY_US; ns < 20 * SLEY_MS; ns = ns * 3 / 2 + 7) {
        const uint64_t start = sley_now_ns();
        spawn_sleeper(&b, ns, ".");
        CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
        CHECK_UINT(sley_now_ns() - start, >=, ns);
    }
    bed_fini(&b);
}

static int yielder(int **left)
{
    while (--**left > 0) {
        (void)sley_yield();
    }
    return 0;
}
SLEY_FIBER(yielder, int *)

static void stop_yielding(uv_timer_t *t)
{
    int *left = t->data;
    *left = 1;
}

SLEY_TEST(tasks_that_are_always_ready_leave_the_loop_its_turn, "")
{
    struct bed b;
    uv_timer_t t;
    int many = INT32_MAX, *left = &many;
    bed_init(&b);
    CHECK_INT(uv_timer_init(&b.loop, &t), ==, 0);
    t.data = left;
    CHECK_INT(uv_timer_start(&t, stop_yielding, 5, 0), ==, 0);
    CHECK_RC(sley_runtime_spawn(&b.rt, &yielder__type, &left, NULL), 0);
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_INT(many, <=, 1);
    uv_close((uv_handle_t *)&t, NULL);
    bed_fini(&b);
}

/* ---- ways to run ---------------------------------------------------------------------------------------------------- */

SLEY_TEST(once_and_nowait_drive_it_too, "")
{
    static const uv_run_mode modes[] = {UV_RUN_ONCE, UV_RUN_NOWAIT};
    for (int m = 0; m < 2; m++) {
        struct bed b;
        struct pair p;
        story[0] = '\0';
        bed_init(&b);
        pair_init(&p);
        spawn_sleeper(&b, 5 * SLEY_MS, "slept");
        while (uv_run(&b.loop, modes[m])) {
            (void)sched_yield();
        }
        CHECK_STR(story, "slept");
        spawn_reader(&b, &p);
        CHECK_INT(write(p.peer, "x", 1), ==, 1);
        while (uv_run(&b.loop, modes[m])) {
        }
        CHECK_STR(story, "slept read");
        bed_fini(&b);
        pair_fini(&p);
    }
}

SLEY_TEST(run_by_hand_turns_the_loop_with_all_that_is_in_it, "")
{
    struct bed b;
    struct pair p;
    uv_timer_t t;
    int result = -1;
    bed_init(&b);
    start_named(&b, &t, "uv", 1);
    pair_init(&p);
    spawn_reader(&b, &p);
    CHECK_RC(sley_runtime_run(&b.rt, &sleeper__type, &(struct sleeper){6 * SLEY_MS, "mine"}, &result), 0);
    CHECK_RC(result, 0);
    CHECK_STR(story, "uv mine");
    CHECK(uv_loop_alive(&b.loop));
    CHECK_INT(write(p.peer, "x", 1), ==, 1);
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0); /* goes on with what is left */
    CHECK_STR(story, "uv mine read");
    spawn_sleeper(&b, SLEY_MS, "last");
    CHECK_RC(sley_runtime_run_all(&b.rt), 0);
    CHECK_STR(story, "uv mine read last");
    CHECK_RC(sley_runtime_turn(&b.rt, NULL), -ENOTSUP);
    uv_close((uv_handle_t *)&t, NULL);
    bed_fini(&b);
    pair_fini(&p);
}

/* ---- callbacks and tasks -------------------------------------------------------------------------------------------- */

struct ticker {
    struct bed bed;
    struct sley_notify n;
    uv_timer_t timer;
    uv_idle_t idle;
    struct sley_task *task;
    int ticks;
    bool setting; /* in the call that completes the task's wait */
};

static void on_tick(uv_timer_t *t)
{
    struct ticker *k = t->data;
    k->ticks++;
    k->setting = true;
    sley_notify_set(&k->n);
    k->setting = false;
}

static void on_spin(uv_idle_t *idle)
{
    (void)idle;
}

static int wait_three(struct ticker **arg)
{
    struct ticker *k = *arg;
    for (int i = 0; i < 3; i++) {
        const int rc = sley_notify_wait(&k->n);
        if (rc < 0) {
            return rc;
        }
        CHECK(!k->setting); /* it runs later, on its own stack */
    }
    CHECK_INT(uv_idle_stop(&k->idle), ==, 0); /* the same thread: legal */
    CHECK_INT(uv_timer_stop(&k->timer), ==, 0);
    tell("three");
    return 0;
}
SLEY_FIBER(wait_three, struct ticker *)

SLEY_TEST(uv_callback_completes_a_task_and_the_task_uses_uv, "LOCAL-21")
{
    struct ticker k = {.ticks = 0}, *arg = &k;
    bed_init(&k.bed);
    sley_notify_init(&k.n);
    CHECK_INT(uv_timer_init(&k.bed.loop, &k.timer), ==, 0);
    CHECK_INT(uv_idle_init(&k.bed.loop, &k.idle), ==, 0);
    k.timer.data = &k;
    CHECK_INT(uv_timer_start(&k.timer, on_tick, 1, 1), ==, 0);
    CHECK_INT(uv_idle_start(&k.idle, on_spin), ==, 0);
    CHECK_RC(sley_runtime_spawn(&k.bed.rt, &wait_three__type, &arg, NULL), 0);
    CHECK_INT(uv_run(&k.bed.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_STR(story, "three");
    CHECK_INT(k.ticks, >=, 3);
    CHECK_RC(sley_runtime_stop(&k.bed.rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&k.bed.rt), 0);
    sley_notify_fini(&k.n);
    uv_close((uv_handle_t *)&k.timer, NULL);
    uv_close((uv_handle_t *)&k.idle, NULL);
    CHECK_INT(uv_run(&k.bed.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_INT(uv_loop_close(&k.bed.loop), ==, 0);
}

static void spawn_and_cancel(uv_timer_t *t)
{
    struct ticker *k = t->data;
    if (k->ticks++ == 0) {
        CHECK_RC(sley_runtime_spawn(&k->bed.rt, &sleeper__type, &(struct sleeper){100 * SLEY_S, "too long"}, &k->task), 0);
        CHECK_INT(uv_timer_start(t, spawn_and_cancel, 2, 0), ==, 0);
    } else {
        sley_task_cancel(k->task);
        sley_task_unref(k->task);
    }
}

SLEY_TEST(uv_callback_spawns_and_cancels_as_the_loops_last_handle, "")
{
    struct ticker k = {.ticks = 0};
    bed_init(&k.bed);
    CHECK_INT(uv_timer_init(&k.bed.loop, &k.timer), ==, 0);
    k.timer.data = &k;
    CHECK_INT(uv_timer_start(&k.timer, spawn_and_cancel, 1, 0), ==, 0);
    CHECK_INT(uv_run(&k.bed.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_INT(k.ticks, ==, 2);
    CHECK_STR(story, "cancelled");
    uv_close((uv_handle_t *)&k.timer, NULL);
    bed_fini(&k.bed);
}

static void on_last(uv_timer_t *t)
{
    struct ticker *k = t->data;
    spawn_sleeper(&k->bed, SLEY_MS, "spawned");
}

SLEY_TEST(task_spawned_by_the_last_callback_still_runs, "")
{
    struct ticker k;
    bed_init(&k.bed);
    CHECK_INT(uv_timer_init(&k.bed.loop, &k.timer), ==, 0);
    k.timer.data = &k;
    CHECK_INT(uv_timer_start(&k.timer, on_last, 2, 0), ==, 0);
    CHECK_INT(uv_run(&k.bed.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_STR(story, "spawned");
    uv_close((uv_handle_t *)&k.timer, NULL);
    bed_fini(&k.bed);
}

static void drive_from_inside(uv_async_t *a)
{
    struct ticker *k = a->data;
    int result;
    CHECK_RC(sley_runtime_run(&k->bed.rt, &sleeper__type, &(struct sleeper){1, "no"}, &result), -EDEADLK);
    CHECK_RC(sley_runtime_run_all(&k->bed.rt), -EDEADLK);
    CHECK_RC(sley_runtime_stop(&k->bed.rt, 0), -EDEADLK);
    CHECK_RC(sley_runtime_fini(&k->bed.rt), -EDEADLK);
    tell("refused");
    uv_close((uv_handle_t *)a, NULL);
}

SLEY_TEST(driving_by_hand_in_a_callback_is_edeadlk, "")
{
    struct ticker k;
    uv_async_t a;
    bed_init(&k.bed);
    for (int by_hand = 0; by_hand < 2; by_hand++) {
        CHECK_INT(uv_async_init(&k.bed.loop, &a, drive_from_inside), ==, 0);
        a.data = &k;
        CHECK_INT(uv_async_send(&a), ==, 0);
        if (by_hand) {
            int result;
            CHECK_RC(sley_runtime_run(&k.bed.rt, &sleeper__type, &(struct sleeper){2 * SLEY_MS, "slept"}, &result), 0);
        } else {
            CHECK_INT(uv_run(&k.bed.loop, UV_RUN_DEFAULT), ==, 0);
        }
    }
    CHECK_STR(story, "refused refused slept");
    bed_fini(&k.bed);
}

/* ---- descriptors ---------------------------------------------------------------------------------------------------- */

static void tcp_pair(struct pair *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    const int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(l, (struct sockaddr *)&a, sizeof a) == 0 && listen(l, 1) == 0);
    CHECK_INT(getsockname(l, (struct sockaddr *)&a, &len), ==, 0);
    p->peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(p->peer, (struct sockaddr *)&a, sizeof a), ==, 0);
    sley_fd_init(&p->fd, accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    sley_fd_set_stream(&p->fd);
    (void)close(l);
}

/** Reads with a buffer that is full each time, so that the watch is needless after each; closes in half of the rounds then. */
static int churn(void *unused)
{
    (void)unused;
    struct pair p[4];
    char byte;
    for (int i = 0; i < 4; i++) {
        tcp_pair(&p[i]);
    }
    for (int round = 0; round < 200; round++) {
        struct pair *one = &p[harness_rand_below(4)];
        struct sley_io_op op = {.fd = &one->fd, .buf = &byte, .len = 1, .code = SLEY_IO_RECV};
        sley_io_submit(&op);
        CHECK_INT(write(one->peer, "x", 1), ==, 1);
        CHECK_RC(sley_await(&op.wait), 1);
        if (harness_rand_below(2)) {
            CHECK_RC(sley_fd_close(&one->fd), 0);
            (void)close(one->peer);
            tcp_pair(one);
        }
    }
    for (int i = 0; i < 4; i++) {
        CHECK_RC(sley_fd_close(&p[i].fd), 0);
        (void)close(p[i].peer);
    }
    return 0;
}
SLEY_FIBER(churn, void)

SLEY_TEST(descriptors_closed_while_their_watch_is_being_dropped, "REACT-23")
{
    struct bed b;
    bed_init(&b);
    for (int i = 0; i < 3; i++) {
        CHECK_RC(sley_runtime_spawn(&b.rt, &churn__type, NULL, NULL), 0);
    }
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
    bed_fini(&b);
}

/* ---- other threads -------------------------------------------------------------------------------------------------- */

enum { SENDERS = 3 };

struct senders {
    struct sley_mpsc c;
    uint32_t each;
};

static void *send_many(void *arg)
{
    struct senders *s = arg;
    for (uint32_t i = 1; i <= s->each; i++) {
        CHECK_RC(sley_mpsc_send(&s->c, &i), 0);
    }
    return NULL;
}

static int receive_many(struct senders **arg)
{
    struct senders *s = *arg;
    uint64_t sum = 0;
    uint32_t one;
    for (uint32_t i = 0; i < SENDERS * s->each; i++) {
        CHECK_RC(sley_mpsc_recv(&s->c, &one), 1);
        sum += one;
    }
    CHECK_UINT(sum, ==, (uint64_t)SENDERS * s->each * (s->each + 1) / 2);
    tell("all");
    return 0;
}
SLEY_FIBER(receive_many, struct senders *)

SLEY_TEST(messages_of_other_threads_wake_the_loop_and_none_is_lost, "WAKE-16")
{
    struct bed b;
    struct senders s = {.each = 3000 / harness_slowness()}, *arg = &s;
    pthread_t t[SENDERS];
    uint32_t slots[2];
    bed_init(&b);
    CHECK_RC(sley_mpsc_init(&s.c, slots, 2, sizeof *slots), 0);
    CHECK_RC(sley_runtime_spawn(&b.rt, &receive_many__type, &arg, NULL), 0);
    for (int i = 0; i < SENDERS; i++) {
        CHECK_INT(pthread_create(&t[i], NULL, send_many, &s), ==, 0);
    }
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_STR(story, "all");
    for (int i = 0; i < SENDERS; i++) {
        CHECK_INT(pthread_join(t[i], NULL), ==, 0);
    }
    sley_mpsc_fini(&s.c, NULL);
    bed_fini(&b);
}

/* ---- the end -------------------------------------------------------------------------------------------------------- */

SLEY_TEST(stop_cancels_tasks_in_every_wait_and_fini_takes_all_handles, "")
{
    struct bed b;
    struct pair pairs[3];
    bed_init(&b);
    for (int i = 0; i < 3; i++) {
        pair_init(&pairs[i]);
        spawn_reader(&b, &pairs[i]);
    }
    spawn_sleeper(&b, 100 * SLEY_S, "too long");
    CHECK_INT(uv_run(&b.loop, UV_RUN_NOWAIT), !=, 0);
    CHECK_INT(uv_run(&b.loop, UV_RUN_NOWAIT), !=, 0);
    CHECK_INT(uv_loop_close(&b.loop), ==, UV_EBUSY);
    CHECK_RC(sley_runtime_fini(&b.rt), -EBUSY); /* and it goes on */
    CHECK_INT(uv_run(&b.loop, UV_RUN_NOWAIT), !=, 0);
    bed_fini(&b);
    CHECK_STR(story, "cancelled cancelled cancelled cancelled");
    for (int i = 0; i < 3; i++) {
        pair_fini(&pairs[i]);
    }
}

/** Takes its time: until that has been told, whatever is cancelled. */
static int shielded_until(const char **told)
{
    struct sley_scope s;
    CHECK_RC(sley_scope_init(&s, &(struct sley_scope_opts){.flags = SLEY_SCOPE_SHIELD, .deadline_ns = SLEY_NEVER - 1}), 0);
    do {
        CHECK_RC(sley_sleep(SLEY_MS), 0);
    } while (!strstr(story, *told));
    CHECK_RC(sley_scope_fini(&s), 0);
    tell("shielded");
    return 0;
}
SLEY_FIBER(shielded_until, const char *)

SLEY_TEST(stop_turns_the_loop_while_a_task_takes_its_time, "")
{
    struct bed b;
    uv_timer_t t;
    bed_init(&b);
    CHECK_RC(sley_runtime_spawn(&b.rt, &shielded_until__type, &(const char *){"uv"}, NULL), 0);
    CHECK_INT(uv_run(&b.loop, UV_RUN_NOWAIT), !=, 0);
    start_named(&b, &t, "uv", 1);
    CHECK_RC(sley_runtime_stop(&b.rt, SLEY_NEVER), 0);
    CHECK_STR(story, "uv shielded");
    uv_close((uv_handle_t *)&t, NULL);
    bed_fini(&b);
}

SLEY_TEST(stop_whose_time_is_over_can_be_repeated, "")
{
    struct bed b;
    bed_init(&b);
    CHECK_RC(sley_runtime_spawn(&b.rt, &shielded_until__type, &(const char *){"stopped"}, NULL), 0);
    CHECK_INT(uv_run(&b.loop, UV_RUN_NOWAIT), !=, 0);
    CHECK_RC(sley_runtime_stop(&b.rt, 0), -ETIMEDOUT);
    tell("stopped");
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0); /* or left to the loop */
    CHECK_STR(story, "stopped shielded");
    bed_fini(&b);
}

static void on_uv_stop(uv_timer_t *t)
{
    uv_stop(t->loop);
}

SLEY_TEST(uv_stop_ends_the_run_and_the_next_goes_on, "")
{
    struct bed b;
    uv_timer_t t;
    bed_init(&b);
    CHECK_INT(uv_timer_init(&b.loop, &t), ==, 0);
    CHECK_INT(uv_timer_start(&t, on_uv_stop, 1, 0), ==, 0);
    CHECK_RC(sley_runtime_spawn(&b.rt, &shielded_until__type, &(const char *){"stopped"}, NULL), 0);
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), !=, 0);
    tell("stopped");
    CHECK_INT(uv_run(&b.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_STR(story, "stopped shielded");
    uv_stop(&b.loop); /* the application's, before the end: what turns the loop then does not mind */
    uv_close((uv_handle_t *)&t, NULL);
    bed_fini(&b);
}

/* ---- several -------------------------------------------------------------------------------------------------------- */

struct other_thread {
    struct bed bed;
    int ran;
};

static int count_up(int **ran)
{
    for (int i = 0; i < 50; i++) {
        (**ran)++;
        if (sley_sleep(200 * SLEY_US) < 0) {
            return -ECANCELED;
        }
    }
    return 0;
}
SLEY_FIBER(count_up, int *)

static void *run_one(void *arg)
{
    struct other_thread *o = arg;
    int *ran = &o->ran;
    bed_init(&o->bed);
    CHECK_RC(sley_runtime_spawn(&o->bed.rt, &count_up__type, &ran, NULL), 0);
    CHECK_INT(uv_run(&o->bed.loop, UV_RUN_DEFAULT), ==, 0);
    bed_fini(&o->bed);
    return NULL;
}

SLEY_TEST(two_runtimes_in_two_loops_do_not_notice_each_other, "")
{
    struct other_thread o[2] = {0};
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, run_one, &o[0]), ==, 0);
    (void)run_one(&o[1]);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    CHECK_INT(o[0].ran, ==, 50);
    CHECK_INT(o[1].ran, ==, 50);
}

SLEY_TEST(two_runtimes_share_a_loop_and_end_one_after_the_other, "")
{
    struct bed a, b;
    bed_init(&a);
    bed_init_on(&b, &a.loop, "shares");
    spawn_sleeper(&a, 3 * SLEY_MS, "slept");
    spawn_sleeper(&b, 6 * SLEY_MS, "slept");
    CHECK_INT(uv_run(&a.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_STR(story, "slept slept");  /* whoever came first: a busy machine may find both due */
    spawn_sleeper(&b, SLEY_MS, "b2"); /* ends while the other is being stopped */
    CHECK_RC(sley_runtime_spawn(&a.rt, &shielded_until__type, &(const char *){"b2"}, NULL), 0);
    CHECK_INT(uv_run(&a.loop, UV_RUN_NOWAIT), !=, 0);
    CHECK_RC(sley_runtime_stop(&a.rt, SLEY_NEVER), 0);
    CHECK_STR(story, "slept slept b2 shielded");
    CHECK_RC(sley_runtime_fini(&a.rt), 0);
    spawn_sleeper(&b, SLEY_MS, "b3");
    CHECK_INT(uv_run(&a.loop, UV_RUN_DEFAULT), ==, 0);
    CHECK_STR(story, "slept slept b2 shielded b3");
    CHECK_RC(sley_runtime_stop(&b.rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&b.rt), 0);
    CHECK_INT(uv_loop_close(&a.loop), ==, 0);
}

/* ---- refusals ------------------------------------------------------------------------------------------------------- */

static uint64_t stands(struct sley_clock *c)
{
    (void)c;
    return 1;
}

static void check_refused(struct sley_runtime_opts opts, int rc, const char *words)
{
    struct sley_runtime rt;
    char why[256] = "";
    opts.ret_error = why;
    opts.error_bytes = sizeof why;
    opts.alloc = opts.executor_name ? NULL : harness_alloc();
    CHECK_RC(sley_runtime_init(&rt, &opts), rc);
    if (!strstr(why, words)) {
        FAIL("\"%s\" does not say \"%s\"", why, words);
    }
    CHECK_RC(sley_runtime_fini(&rt), 0);
}

SLEY_TEST(attach_that_cannot_be_says_why_and_leaves_the_loop_alone, "")
{
    uv_loop_t loop;
    struct sley_clock clock = {.now_ns = stands};
    CHECK_INT(uv_loop_init(&loop), ==, 0);
    check_refused((struct sley_runtime_opts){.attach = sley_reactor_uv_attach(NULL)}, -EINVAL, "no loop");
    check_refused((struct sley_runtime_opts){.attach = {.loop = &loop}}, -EINVAL, "no kind");
    check_refused((struct sley_runtime_opts){.attach = sley_reactor_uv_attach(&loop), .clock = &clock}, -EINVAL, "clock");
    check_refused((struct sley_runtime_opts){.attach = sley_reactor_uv_attach(&loop), .executor_name = "cores"}, -EINVAL, "workers");
    check_refused((struct sley_runtime_opts){.attach = sley_reactor_uv_attach(&loop), .executor_name = "stealing"}, -EINVAL, "workers");
    CHECK_INT(uv_loop_close(&loop), ==, 0);
}

SLEY_TEST(memory_refused_at_any_point_leaves_the_loop_clean, "SHUT-01")
{
    HARNESS_SWEEP_ALLOC(points, 100)
    {
        uv_loop_t loop;
        struct sley_runtime rt;
        CHECK_INT(uv_loop_init(&loop), ==, 0);
        const struct sley_runtime_opts opts = {.attach = sley_reactor_uv_attach(&loop), .alloc = harness_alloc()};
        const int rc = sley_runtime_init(&rt, &opts);
        if (rc == 0) {
            CHECK_RC(sley_runtime_fini(&rt), 0);
        } else {
            CHECK_RC(rc, -ENOMEM);
        }
        CHECK_INT(uv_loop_close(&loop), ==, 0);
    }
    CHECK_UINT(points, >=, 3);
}

SLEY_TEST(description_names_where_it_lives, "")
{
    struct bed b;
    char text[128];
    bed_init(&b);
    CHECK_INT(sley_runtime_describe(&b.rt, text, sizeof text), >, 0);
    CHECK_STR(text, "executor local, reactor uv (attached)");
    CHECK_RC(sley_runtime_fd(&b.rt), -ENOTSUP);
    bed_fini(&b);
}
