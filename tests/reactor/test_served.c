/* A worker that is stuck in a task, and whose reactor no other worker shares: others look there in its place. What a task waits for that
 * holds the worker comes by that alone: without it a case does not end. */
#include "task/annotate.h"
#include "workers_bed.h"

#include <sley/scope.h>

#include <poll.h>
#include <sched.h>

static const struct sley_reactor_factory *factory = &REACTOR;

static void run_on(uint32_t workers, void (*fn)(void))
{
    workers_run(factory, workers, SLEY_MS, fn);
}

/* ---- who holds a worker -------------------------------------------------------------------------------------------------- */

enum how { COMPUTES, BLOCKS, BLOCKS_IN_PLACE, HOWS };

struct keeper {
    enum how how;
    uint32_t is_stuck, go_on;
    int pipe[2];
    struct sley_task *task;
};

static int block(void *arg)
{
    struct keeper *k = arg;
    char byte;
    say(&k->is_stuck);
#ifdef SLEY__ANNOTATE_TSAN /* it runs no handler in the midst of a read */
    struct pollfd p = {.fd = k->pipe[0], .events = POLLIN};
    while (poll(&p, 1, -1) != 1) {
    }
#endif
    return read(k->pipe[0], &byte, 1) == 1 ? 0 : -EIO; /* a call that a signal does not end */
}

static int keep(struct keeper **of)
{
    struct keeper *k = *of;
    int rc = 0;
    if (k->how == BLOCKS) {
        return block(k);
    }
    if (k->how == BLOCKS_IN_PLACE) {
        CHECK_RC(sley_block_in_place(block, k, &rc), 0);
        return rc;
    }
    say(&k->is_stuck);
    while (!said(&k->go_on)) {
    }
    return 0;
}
SLEY_FIBER(keep, struct keeper *)

static struct sley_sched *worker_of(const struct sley_reactor *home)
{
    const struct sley_group *g = sley_sched_current()->group;
    uint32_t i = 0;
    while (g->scheds[i]->reactor != home) {
        i++;
        CHECK_UINT(i, <, g->count);
    }
    return g->scheds[i];
}

/** From when this returns on the worker of @p fd's home is in one task. */
static void hold(struct keeper *k, enum how how, const struct sley_fd *fd)
{
    *k = (struct keeper){.how = how};
    CHECK_INT(pipe2(k->pipe, O_CLOEXEC), ==, 0);
    CHECK_RC(sley_sched_spawn_pinned(worker_of(sley__fd_home(fd)), &keep__type, &(struct keeper *){k}, &k->task), 0);
    while (!said(&k->is_stuck)) {
        (void)sley_yield();
    }
    CHECK(sley_sched_current()->reactor != sley__fd_home(fd));
}

static void release(struct keeper *k)
{
    say(&k->go_on);
    CHECK_INT(write(k->pipe[1], "", 1), ==, 1);
    CHECK_RC(join(k->task), 0);
    close(k->pipe[0]);
    close(k->pipe[1]);
}

/** A pair, at home with whoever calls. */
static int at_home(struct sley_fd *fd)
{
    const int peer = unix_pair(fd);
    CHECK_RC(sley_fd_poll(fd, SLEY_IO_OUT), SLEY_IO_OUT);
    return peer;
}

/* ---- what goes on -------------------------------------------------------------------------------------------------------- */

static int receive(struct sley_fd **fd)
{
    char buf[8];
    return io(*fd, SLEY_IO_RECV, buf, sizeof buf);
}
SLEY_FIBER(receive, struct sley_fd *)

static void go_on_while_held(enum how how)
{
    struct keeper k;
    struct sley_fd fd;
    struct sley_task *t;
    char buf[8];
    const int peer = at_home(&fd);
    struct sley_fd *of = &fd;
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, receive, of), 0); /* may be armed before, or not */
    if (harness_rand_below(2)) {
        (void)sley_yield();
    }
    hold(&k, how, &fd);
    put(peer, "abc");
    CHECK_INT(join(t), ==, 3);
    for (int i = 0; i < 5; i++) { /* all of it begins while it is held */
        put(peer, "defg");
        CHECK_INT(io(&fd, SLEY_IO_RECV, buf, sizeof buf), ==, 4);
        CHECK_INT(io(&fd, SLEY_IO_SEND, "hi", 2), ==, 2);
        CHECK_INT(read(peer, buf, sizeof buf), ==, 2);
    }
    release(&k);
    put(peer, "j");
    CHECK_INT(io(&fd, SLEY_IO_RECV, buf, sizeof buf), ==, 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    close(peer);
}

static void go_on(void)
{
    for (unsigned i = 0; harness_another(i, 4); i++) {
        for (int how = 0; how < HOWS; how++) {
            go_on_while_held((enum how)how);
        }
    }
}

SLEY_TEST(ops_of_a_stuck_worker_go_on_in_a_pool_of_two, "")
{
    run_on(2, go_on);
}

SLEY_TEST(ops_of_a_stuck_worker_go_on_in_a_pool_of_eight, "")
{
    run_on(8, go_on);
}

static void cancel_while_held(void)
{
    for (unsigned i = 0; harness_another(i, 10); i++) {
        struct keeper k;
        struct sley_fd fd;
        char buf[8];
        const int peer = at_home(&fd);
        struct sley_io_op before = {0}, meanwhile = {0};
        const bool both = harness_rand_below(2);
        if (both) {
            io_start(&before, &fd, SLEY_IO_RECV, buf, sizeof buf);
            (void)sley_yield();
        }
        hold(&k, (enum how)harness_rand_below(HOWS), &fd);
        if (both) {
            sley_wait_cancel(&before.wait);
            CHECK_INT(sley_await(&before.wait), ==, -ECANCELED);
        }
        io_start(&meanwhile, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK_INT(sley_await_until(&meanwhile.wait, sley_after_ns(harness_rand_below(3) * SLEY_MS)), ==, -ETIMEDOUT);
        put(peer, "ab"); /* nothing has taken it away */
        CHECK_INT(io(&fd, SLEY_IO_RECV, buf, sizeof buf), ==, 2);
        release(&k);
        CHECK_RC(sley_fd_close(&fd), 0);
        close(peer);
    }
}

SLEY_TEST(cancel_of_an_op_of_a_stuck_worker_ends_it, "")
{
    run_on(2, cancel_while_held);
}

static void close_while_held(void)
{
    for (unsigned i = 0; harness_another(i, 10); i++) {
        struct keeper k;
        struct sley_fd fd;
        char buf[8];
        const int peer = at_home(&fd);
        struct sley_io_op op = {0};
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        hold(&k, (enum how)harness_rand_below(HOWS), &fd);
        CHECK_RC(sley_fd_close(&fd), 0);
        CHECK_INT(sley_await(&op.wait), ==, -ECANCELED);
        CHECK_INT(read(peer, buf, sizeof buf), ==, 0); /* it is closed, not only said to be */
        release(&k);
        close(peer);
    }
}

SLEY_TEST(close_of_a_descriptor_of_a_stuck_worker_closes_it, "")
{
    run_on(2, close_while_held);
}

/* ---- shutdown -------------------------------------------------------------------------------------------------------------- */

static struct sley_fd left_fd;
static uint32_t left_is_stuck, left_over;

static int wait_to_be_left(void *unused)
{
    char buf[8];
    (void)unused;
    const int rc = io(&left_fd, SLEY_IO_RECV, buf, sizeof buf);
    say(&left_over);
    return rc;
}
SLEY_FIBER(wait_to_be_left, void)

static int keep_until_that_is_over(void *unused)
{
    (void)unused;
    say(&left_is_stuck);
    while (!said(&left_over)) {
    }
    return 0;
}
SLEY_FIBER(keep_until_that_is_over, void)

static void leave_some(void)
{
    struct sley_task *t;
    (void)sley_fd_poll(&left_fd, SLEY_IO_OUT);
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, wait_to_be_left, ), 0);
    sley_task_unref(t);
    struct sley_sched *home = worker_of(sley__fd_home(&left_fd));
    CHECK_RC(sley_sched_spawn_pinned(home, &keep_until_that_is_over__type, NULL, NULL), 0);
    while (!said(&left_is_stuck)) {
        (void)sley_yield();
    }
}

SLEY_TEST(stop_while_a_worker_is_stuck_ends_its_ops, "")
{
    struct sley_stealing ex;
    struct sley_task *t;
    int rc;
    workers_start(&ex, factory, 2, SLEY_MS);
    const int peer = unix_pair(&left_fd);
    CHECK_RC(sley_stealing_ops.spawn(&ex.base, &bed_fiber__type, &(struct bed_args){leave_some}, &t), 0);
    CHECK_RC(sley_stealing_ops.run(&ex.base, t), 0);
    sley_task_unref(t);
    while ((rc = sley_stealing_ops.stop(&ex.base, SLEY_NEVER)) == -ETIMEDOUT) {
    }
    CHECK_RC(rc, 0);
    CHECK_RC(sley_stealing_ops.fini(&ex.base), 0);
    CHECK_RC(sley_fd_close(&left_fd), 0);
    close(peer);
}

/* ---- the worker comes back meanwhile --------------------------------------------------------------------------------------- */

static struct sley_reactor_ops slow_ops;
static int (*real_serve)(struct sley_reactor *r);
static uint32_t serving, served_count;

/** Takes its time, inside. */
static int serve_slowly(struct sley_reactor *r)
{
    say(&serving);
    for (int i = 0; i < 10; i++) {
        (void)sched_yield();
    }
    const int rc = real_serve(r);
    for (int i = 0; i < 10; i++) {
        (void)sched_yield();
    }
    __atomic_fetch_add(&served_count, 1, __ATOMIC_RELAXED);
    return rc;
}

static int create_slow(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    const int rc = REACTOR.create(o, ret_reactor);
    if (rc == 0) {
        real_serve = (*ret_reactor)->ops->serve;
        slow_ops = *(*ret_reactor)->ops;
        slow_ops.serve = serve_slowly;
        (*ret_reactor)->ops = &slow_ops;
    }
    return rc;
}

/** Holds its worker until somebody looks in its place; then starts something there itself, and ends. */
static int until_served(struct sley_fd **fd)
{
    struct sley_io_op op = {0};
    __atomic_store_n(&serving, 0, __ATOMIC_RELAXED);
    while (!said(&serving)) {
    }
    sley_fd_poll_start(&op, *fd, SLEY_IO_OUT);
    CHECK_INT(sley_await(&op.wait), ==, SLEY_IO_OUT);
    return 0;
}
SLEY_FIBER(until_served, struct sley_fd *)

static void come_back(void)
{
    struct sley_fd fd;
    char buf[8];
    const int peer = at_home(&fd);
    for (unsigned i = 0; harness_another(i, 100); i++) {
        struct sley_task *t;
        struct sley_io_op op = {0};
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK_RC(sley_sched_spawn_pinned(worker_of(sley__fd_home(&fd)), &until_served__type, &(struct sley_fd *){&fd}, &t), 0);
        if (harness_rand_below(2)) {
            put(peer, "abc");
            CHECK_INT(sley_await(&op.wait), ==, 3);
            CHECK_RC(join(t), 0);
        } else {
            CHECK_RC(join(t), 0);
            put(peer, "abc");
            CHECK_INT(sley_await(&op.wait), ==, 3);
        }
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    close(peer);
    CHECK_UINT(__atomic_load_n(&served_count, __ATOMIC_RELAXED), >, 0);
}

SLEY_TEST(worker_that_comes_back_while_it_is_served_loses_nothing, "")
{
    static const struct sley_reactor_factory slow = {.version = SLEY_REACTOR_VERSION, .name = "slow", .create = create_slow};
    factory = &slow;
    run_on(2, come_back);
}

/* ---- all at once ------------------------------------------------------------------------------------------------------------ */

enum { PAIRS = 6 };

struct pair {
    struct sley_fd a, b;
    unsigned rounds;
};

/** For about as long as it takes to be called stuck, or three times that. */
static void stay(void)
{
    const uint64_t until = sley_after_ns(harness_rand_below(3 * SLEY_MS));
    while (sley_now_ns() < until) {
    }
}

static int play(struct pair **of)
{
    struct pair *p = *of;
    for (unsigned i = 0; i < p->rounds; i++) {
        uint32_t sent = i, got = 0;
        struct sley_io_op op = {0};
        io_start_all(&op, &p->b, SLEY_IO_RECV, &got, sizeof got);
        if (harness_rand_below(8) == 0) {
            stay();
        }
        if (harness_rand_below(4) == 0) {
            sley_wait_cancel(&op.wait);
            CHECK_INT(sley_await(&op.wait), ==, -ECANCELED);
            io_start_all(&op, &p->b, SLEY_IO_RECV, &got, sizeof got);
        }
        CHECK_INT(io(&p->a, SLEY_IO_SEND, &sent, sizeof sent), ==, sizeof sent);
        if (harness_rand_below(8) == 0) {
            stay();
        }
        CHECK_INT(sley_await(&op.wait), ==, 0);
        CHECK_UINT(got, ==, sent);
    }
    return 0;
}
SLEY_FIBER(play, struct pair *)

static void play_all(void)
{
    static struct pair pairs[PAIRS];
    struct sley_task *t[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        struct pair *p = &pairs[i];
        sley_fd_init(&p->b, unix_pair(&p->a));
        CHECK_INT(fcntl(p->b.number, F_SETFL, O_NONBLOCK), ==, 0);
        p->rounds = 200 / harness_slowness();
        CHECK_RC(SLEY_SPAWN_TASK(&t[i], NULL, play, p), 0);
    }
    for (int i = 0; i < PAIRS; i++) {
        CHECK_RC(join(t[i]), 0);
        CHECK_RC(sley_fd_close(&pairs[i].a), 0);
        CHECK_RC(sley_fd_close(&pairs[i].b), 0);
    }
}

SLEY_TEST(workers_that_are_stuck_now_and_then_lose_nothing_in_a_pool_of_two, "")
{
    run_on(2, play_all);
}

SLEY_TEST(workers_that_are_stuck_now_and_then_lose_nothing_in_a_pool_of_eight, "")
{
    run_on(8, play_all);
}
