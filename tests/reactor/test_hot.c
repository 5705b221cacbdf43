/* More descriptors than the poll(2) port looks at in each wait: the hot, the cold, the ways between; all of it holds on epoll too. */
#include "bed.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>

enum { PAIRS = 1600, HOT = 1024, COLD = HOT + 100 }; /* that many come first and are hot; one well among the cold */
static struct sley_fd fds[PAIRS];
static struct sley_io_op ops[PAIRS];
static int peers[PAIRS];
static char bytes[PAIRS];

static void receive(int i)
{
    io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
    CHECK(!done_now(&ops[i].wait));
}

static void open_all(void)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    CHECK_UINT(limit.rlim_max, >=, 2 * PAIRS + 100);
    limit.rlim_cur = 2 * PAIRS + 100;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    for (int i = 0; i < PAIRS; i++) {
        peers[i] = unix_pair(&fds[i]);
        receive(i);
    }
}

static void close_one(int i)
{
    if (fds[i].number >= 0) {
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        CHECK(done_now(&ops[i].wait));
    }
    (void)close(peers[i]);
}

static void close_all(void)
{
    for (int i = 0; i < PAIRS; i++) {
        close_one(i);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

/** A byte for each that is open still, all at once. */
static void serve_all(void)
{
    for (int i = 0; i < PAIRS; i++) {
        if (fds[i].number >= 0) {
            put(peers[i], "x");
        }
    }
    for (int i = 0; i < PAIRS; i++) {
        if (fds[i].number >= 0) {
            CHECK_RC(until_done(&ops[i].wait), 1);
            receive(i);
        }
    }
}

static void serve(int i)
{
    put(peers[i], "x");
    CHECK_RC(until_done(&ops[i].wait), 1);
    receive(i);
}

FIBER_TEST(many_at_once_beyond_a_look_are_all_served, "")
{
    open_all();
    for (int round = 0; round < 5; round++) { /* in the third the cold become hot */
        serve_all();
    }
    close_all();
}

FIBER_TEST(cold_one_is_served_while_a_hot_one_is_always_ready, "")
{
    open_all();
    struct sley_io_op op;
    put(peers[PAIRS - 1], "x");
    put(peers[COLD], "x");
    put(peers[0], "y");
    CHECK_RC(until_done(&ops[0].wait), 1);
    put(peers[0], "y"); /* nobody takes it */
    while (!done_now(&ops[PAIRS - 1].wait) || !done_now(&ops[COLD].wait)) {
        op = (struct sley_io_op){0};
        sley_fd_poll_start(&op, &fds[0], SLEY_IO_IN);
        CHECK_INT(look(SLEY_NEVER), >=, 0);
        CHECK_RC(done_now(&op.wait) ? op.wait.result : SLEY_IO_IN, SLEY_IO_IN);
        (void)sley_wait_fini(&op.wait);
    }
    close_all();
}

FIBER_TEST(cold_one_that_is_active_becomes_hot, "")
{
    open_all();
    for (int i = 0; i < 3; i++) {
        serve(COLD);
    }
    for (int i = 0; i < 100; i++) { /* each next look sees it, without a turn */
        put(peers[COLD], "x");
        CHECK_INT(look(0), ==, 1);
        CHECK_RC(ops[COLD].wait.result, 1);
        receive(COLD);
    }
    close_all();
}

FIBER_TEST(hot_ones_that_fall_silent_are_served_still, "")
{
    open_all();
    for (int i = 0; i < 3; i++) {
        serve(COLD);
    }
    const uint64_t end = sley_after_ns(1500 * SLEY_MS);
    while (sley_now_ns() < end) { /* one stays active: no wait is for long */
        serve(PAIRS - 1);
    }
    serve(COLD);
    serve(0);
    serve_all();
    close_all();
}

FIBER_TEST(room_among_the_hot_is_taken_by_the_next_that_is_active, "")
{
    open_all();
    for (int i = 0; i < 100; i++) {
        close_one(i);
        peers[i] = -1;
    }
    serve(COLD);
    put(peers[COLD], "x");
    CHECK_INT(look(0), ==, 1);
    CHECK_RC(ops[COLD].wait.result, 1);
    receive(COLD);
    for (int i = 100; i < 800; i++) { /* fewer than there is room for: then all are */
        close_one(i);
        peers[i] = -1;
    }
    serve_all();
    close_all();
}

FIBER_TEST(descriptors_closed_in_each_state_leave_the_others_served, "REACT-23")
{
    open_all();
    serve(HOT + 1);
    for (int round = 0; round < 60; round++) {
        for (int k = 0; k < 8; k++) {
            const int i = (int)harness_rand_below(PAIRS);
            if (fds[i].number >= 0) {
                if (k % 2) {
                    put(peers[i], "x"); /* closed with something to report */
                }
                CHECK_RC(sley_fd_close(&fds[i]), 0);
                CHECK(done_now(&ops[i].wait));
            }
        }
        CHECK_INT(look(0), >=, 0);
    }
    serve_all();
    close_all();
}

struct closer {
    struct sley_wait_hook hook;
    struct sley_io_op ops[40];
    int first;
};

/** Closes its neighbours, some of which are reported and not handled yet. */
static void close_others(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct closer *c = sley_container_of(hook, struct closer, hook);
    (void)w;
    for (int i = 0; i < 40; i++) {
        sley_fd_close_start(&c->ops[i], &fds[c->first + i]);
    }
}

FIBER_TEST(descriptors_closed_by_a_hook_in_a_look_leave_the_others_served, "REACT-23")
{
    static const int places[] = {10, HOT - 50, HOT + 20, HOT + 300, PAIRS - 42};
    static struct closer closers[sizeof places / sizeof places[0]];
    open_all();
    for (size_t k = 0; k < sizeof places / sizeof places[0]; k++) {
        closers[k] = (struct closer){.hook = {.fn = close_others}, .first = places[k] + 1};
        sley_wait_hook(&ops[places[k]].wait, &closers[k].hook);
    }
    for (int i = 0; i < PAIRS; i++) {
        put(peers[i], "x");
    }
    for (int i = 0; i < PAIRS; i++) {
        const int32_t rc = until_done(&ops[i].wait);
        const bool closing = sley__fd_state(&fds[i]) & SLEY_FD_CLOSING;
        CHECK(rc == 1 || (rc == -ECANCELED && closing));
        if (!closing) {
            receive(i);
        }
    }
    serve_all();
    close_all();
}

struct waker {
    struct sley_reactor *r;
    SLEY_ATOMIC(uint32_t) sent, seen;
    SLEY_ATOMIC(uint32_t) last; /* set before it is sent */
    uint32_t rounds;
};

/** Wakes, now and then beside a byte, after pauses of all lengths: so it meets naps and waits for everything. */
static void *wake_often(void *arg)
{
    struct waker *k = arg;
    bool more = true;
    for (uint32_t i = 1; more; i++) {
        more = harness_another(i, k->rounds);
        if (!more) {
            atomic_store_explicit(&k->last, i, memory_order_relaxed); /* published by the wake */
        }
        for (const uint64_t until = sley_now_ns() + i % 16 * i % 16 * 40 * SLEY_US; sley_now_ns() < until;) {
            (void)sched_yield(); /* which on a busy machine may cost a slice */
        }
        if (i % 2) {
            put(peers[i % 4 == 1 ? COLD : 1], "x");
        }
        atomic_store_explicit(&k->sent, i, memory_order_relaxed);
        k->r->ops->wake(k->r);
        while (atomic_load_explicit(&k->seen, memory_order_relaxed) != i) {
            (void)sched_yield();
        }
    }
    return NULL;
}

FIBER_TEST(wakes_and_bytes_during_each_kind_of_wait_are_not_lost, "REACT-11")
{
    open_all();
    struct waker k = {.r = reactor(), .rounds = 400 / harness_slowness()};
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, wake_often, &k), ==, 0);
    for (uint32_t seen = 0, got = 0; seen == 0 || seen != atomic_load_explicit(&k.last, memory_order_relaxed);) {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
        const uint32_t sent = atomic_load_explicit(&k.sent, memory_order_relaxed); /* published by the wake itself */
        if (sent != seen && sent % 2) {
            CHECK_RC(until_done(&ops[sent % 4 == 1 ? COLD : 1].wait), 1);
            receive(sent % 4 == 1 ? COLD : 1);
            got++;
        }
        seen = sent;
        atomic_store_explicit(&k.seen, seen, memory_order_relaxed);
        CHECK_UINT(got, ==, (seen + 1) / 2);
    }
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    close_all();
}

FIBER_TEST(silence_ends_in_a_wait_for_everything_that_any_one_ends, "")
{
    open_all();
    for (int i = 0; i < PAIRS; i += 97) {
        while (look(20 * SLEY_MS) > 0) { /* long enough to have been everywhere */
        }
        const uint64_t end = sley_after_ns(20 * SLEY_MS);
        while (sley_now_ns() < end) {
            CHECK_INT(look(20 * SLEY_MS), ==, 0);
        }
        serve(i);
    }
    close_all();
}
