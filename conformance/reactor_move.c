/* Clauses: descriptors that change their home, homes that end, and threads that use one at once. */
#include "rig_home.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>

/* ---- moving -------------------------------------------------------------------------------------------------------- */

static void use_there(void)
{
    char buf[4];
    struct sley_io_op op = {0};
    put(far.peer, "new");
    io_start(&op, &far.fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_RC(sley_await(&op.wait), 3);
    CHECK_PTR(sley__fd_home(&far.fd), ==, reactor());
    io_start(&op, &far.fd, SLEY_IO_RECV, buf, sizeof buf); /* and one that waits */
    CHECK(!soon(&op.wait));
    put(far.peer, "more");
    CHECK_RC(sley_await(&op.wait), 4);
    CHECK(memcmp(buf, "more", 4) == 0);
}

static void close_there(void)
{
    struct sley_io_op op = {0};
    sley_fd_close_start(&op, &far.fd);
    CHECK_RC(sley_await(&op.wait), 0);
}

static int32_t move_away(void)
{
    struct sley_io_op op = {0};
    sley_fd_move_start(&op, &far.fd);
    return driven(&op.wait);
}

static struct sley_io_op home_op;

static void poll_at_home(void)
{
    memset(&home_op, 0, sizeof home_op);
    sley_fd_poll_start(&home_op, &far.fd, SLEY_IO_IN | SLEY_IO_ERR);
    (void)sley_await(&home_op.wait);
}

CLAUSE(move_needs_nothing_in_flight)
{
    up(&home);
    up(&other);
    far_open();
    struct sley_io_op op = {0};
    sley_fd_poll_start(&op, &far.fd, SLEY_IO_IN);
    CHECK(!driven_soon(&op.wait));
    CHECK_RC(move_away(), -EBUSY);
    sley_wait_cancel(&op.wait);
    CHECK_RC(driven(&op.wait), -ECANCELED);
    struct sley_task *t = spawn(&home, poll_at_home); /* the same of one of its own */
    turn_all();
    CHECK_RC(move_away(), -EBUSY);
    put(far.peer, "y");
    CHECK_RC(driven(&home_op.wait), SLEY_IO_IN); /* nothing has happened to it */
    while (!sley_task_done(t)) {
        turn_all();
    }
    sley_task_unref(t);
    char byte;
    io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
    CHECK_RC(driven(&op.wait), 1);
    CHECK_RC(move_away(), 0);
    CHECK_PTR(sley__fd_home(&far.fd), ==, NULL);
    CHECK_RC(move_away(), 0); /* it has no home */
    call_in(&other, use_there);
    call_in(&other, close_there);
    CHECK_RC(move_away(), -EBADF);
    (void)close(far.peer);
    down(&other);
    down(&home);
}

CLAUSE(moved_descriptor_leaves_nothing_behind)
{
    up(&home);
    up(&other);
    for (int round = 0; round < 4; round++) {
        far_open();
        struct sley_io_op op = {0};
        if (round % 2) { /* it has been watched there */
            sley_fd_poll_start(&op, &far.fd, SLEY_IO_IN);
            CHECK(!driven_soon(&op.wait));
            sley_wait_cancel(&op.wait);
            CHECK_RC(driven(&op.wait), -ECANCELED);
        }
        const int number = far.fd.number, peer = far.peer;
        CHECK_RC(move_away(), 0);
        call_in(&other, use_there);
        if (round < 2) {
            call_in(&other, close_there);
            (void)close(peer);
            CHECK_INT(fcntl(number, F_GETFD), <, 0);
            far_open(); /* numbers are others' now, and come to the old home */
            memset(&op, 0, sizeof op);
            sley_fd_poll_start(&op, &far.fd, SLEY_IO_IN);
            CHECK(!driven_soon(&op.wait));
            put(far.peer, "z");
            CHECK_RC(driven(&op.wait), SLEY_IO_IN);
            far_close();
        } else { /* it comes back itself */
            CHECK_RC(move_away(), 0);
            call_in(&home, use_there);
            far_close();
        }
    }
    down(&other);
    down(&home);
}

/* ---- the end of a home --------------------------------------------------------------------------------------------- */

CLAUSE(home_that_ends_answers_all)
{
    for (int stage = 0; stage < 2; stage++) { /* still in the inbox; waiting */
        up(&home);
        far_open();
        struct sley_io_op op = {0}, poll = {0}, late = {0}, closing = {0};
        char byte;
        io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
        sley_fd_poll_start(&poll, &far.fd, SLEY_IO_IN);
        if (stage) {
            CHECK(!driven_soon(&op.wait));
        }
        down(&home);
        CHECK(sley_wait_done(&op.wait) && sley_wait_done(&poll.wait));
        CHECK(op.wait.result == -ECANCELED || op.wait.result == -ENODEV);
        CHECK(poll.wait.result == -ECANCELED || poll.wait.result == -ENODEV);
        put(far.peer, "x");
        io_start(&late, &far.fd, SLEY_IO_RECV, &byte, 1);
        CHECK(sley_wait_done(&late.wait));
        CHECK_RC(late.wait.result, -ENODEV);
        sley_fd_close_start(&closing, &far.fd);
        CHECK(sley_wait_done(&closing.wait));
        CHECK_RC(closing.wait.result, 0);
        CHECK_INT(far.fd.number, ==, -1);
        (void)close(far.peer);
    }
}

/* ---- from threads --------------------------------------------------------------------------------------------------- */

static SLEY_ATOMIC(uint32_t) received, visitors;
static unsigned rounds;

struct none {
    char none;
};

static int home_until_the_last(struct none *w)
{
    (void)w;
    /* acquire: pairs with the release in come_by */
    while (atomic_load_explicit(&visitors, memory_order_acquire) > 0) {
        CHECK_RC(sley_sleep(SLEY_MS / 10), 0);
    }
    return 0;
}
SLEY_FIBER(home_until_the_last, struct none)

static void *come_by(void *arg)
{
    uint32_t got = 0;
    (void)arg;
    for (unsigned i = 0; i < rounds; i++) {
        struct sley_io_op op = {0};
        char byte;
        if (i == 0 || sley__kit_below(2)) {
            io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
        } else {
            sley_fd_poll_start(&op, &far.fd, SLEY_IO_IN);
        }
        for (uint64_t n = sley__kit_below(3); n > 0; n--) {
            (void)sched_yield();
        }
        if (i > 0) { /* the first one has its byte, or the other thread has it: there are enough for both */
            sley_wait_cancel(&op.wait);
        }
        const int rc = sley_await(&op.wait);
        CHECK(rc == 1 || rc == -ECANCELED || rc == -EBUSY);
        got += op.code == SLEY_IO_RECV && rc == 1;
    }
    atomic_fetch_add_explicit(&received, got, memory_order_relaxed); /* relaxed: joined before it is read */
    atomic_fetch_sub_explicit(&visitors, 1, memory_order_release);   /* release: pairs with home_until_the_last */
    return NULL;
}

CLAUSE(ops_and_cancels_of_threads_lose_nothing)
{
    enum { THREADS = 2 };
    pthread_t threads[THREADS];
    rounds = sley__kit_rounds(1000) + 20;
    const size_t bytes = (size_t)THREADS * rounds; /* no op ever waits for more */
    up(&home);
    far_open();
    for (size_t left = bytes, n; left > 0; left -= n) {
        static const char block[512];
        n = left < sizeof block ? left : sizeof block;
        CHECK_INT(send(far.peer, block, n, MSG_NOSIGNAL), ==, (intmax_t)n);
    }
    sley__rig_wait_in(far.fd.number);
    atomic_store_explicit(&visitors, THREADS, memory_order_relaxed); /* relaxed: the threads are made behind it */
    struct sley_task *t;
    CHECK_RC(home.base.ops->spawn(&home.base, &home_until_the_last__type, &(struct none){0}, &t), 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_create(&threads[i], NULL, come_by, NULL), ==, 0);
    }
    CHECK_RC(home.base.ops->run(&home.base, t), 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), ==, 0);
    }
    sley_task_unref(t);
    uint32_t got = atomic_load_explicit(&received, memory_order_relaxed); /* relaxed: joined */
    CHECK_INT(shutdown(far.peer, SHUT_WR), ==, 0); /* its end comes behind all bytes: they may still be on their way */
    struct pollfd rest = {.fd = far.fd.number, .events = POLLIN};
    for (char byte; poll(&rest, 1, -1) == 1 && recv(far.fd.number, &byte, 1, MSG_DONTWAIT) == 1;) {
        got++;
    }
    CHECK_UINT(got, ==, bytes);
    far_close();
    down(&home);
}
