/* Ends that the kernel does not tell a receive that stands (untold.c): bytes and a reset behind them are there before it does. */
#include "uring_lent_bed.h"

#include <sley/task_impl.h>

#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

/** It is asked for in a loop from now on, and its socket is empty. */
static void converse(struct sley_fd *fd, int peer)
{
    struct receive x = {0};
    put(peer, "hello");
    start(&x, fd);
    expect(&x, "hello");
}

/** Last words. They lie there, and the reset behind them, when this returns. */
static void leave(int peer, const struct sley_fd *fd)
{
    struct pollfd at = {.fd = fd->number};
    put(peer, "bye");
    CHECK_INT(setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), ==, 0);
    (void)close(peer);
    if (!sley_fd_is_direct(fd)) {
        CHECK_INT(poll(&at, 1, -1), ==, 1);
    }
}

/** From here on nothing but the reset is left, of which the kernel may not tell. */
static void hear_last(struct receive *x, struct sley_fd *fd, int peer)
{
    converse(fd, peer);
    leave(peer, fd);
    start(x, fd);
    expect(x, "bye");
}

static void expect_reset(struct receive *x)
{
    CHECK_RC(until_done(&x->op.wait), -ECONNRESET);
    CHECK(x->lent == NULL);
}

static void reset_behind_bytes(struct sley_fd *fd, int peer)
{
    struct receive x = {0};
    hear_last(&x, fd, peer);
    start(&x, fd);
    expect_reset(&x);
    CHECK_RC(sley_fd_close(fd), 0);
}

static void one(void)
{
    struct sley_fd fd;
    const int peer = tcp_pair(&fd);
    reset_behind_bytes(&fd, peer);
    CHECK_UINT(ring()->untold.count, ==, 0);
}

SLEY_TEST(reset_that_came_with_the_last_bytes_is_told, "TCP-13")
{
    in_ring((struct sley__uring_opts){0}, one);
}

static void direct(void)
{
    struct sockaddr_in at;
    struct sley_fd listener, fd;
    sley_fd_init(&listener, tcp_listener(&at, 1));
    const int peer = tcp_dial(&at);
    struct sley_io_op op = {.fd = &listener, .code = SLEY_IO_ACCEPT, .flags = SLEY_IO_DIRECT};
    sley_io_submit(&op);
    CHECK_RC(until_done(&op.wait), 0);
    sley_fd_init_from(&fd, &op);
    sley_fd_set_stream(&fd);
    CHECK_RC(sley_fd_close(&listener), 0);
    reset_behind_bytes(&fd, peer);
}

SLEY_TEST(the_same_of_a_direct_connection, "")
{
    in_ring((struct sley__uring_opts){.direct_count = 4}, direct);
}

static void busy(void)
{
    struct sley_fd fd;
    struct receive x = {0};
    const int peer = tcp_pair(&fd);
    hear_last(&x, &fd, peer);
    start(&x, &fd);
    for (int i = 0; i < 1000 && !sley_wait_done(&x.op.wait); i++) { /* never a moment in which nothing happens */
        CHECK_INT(look(0), >=, 0);
    }
    CHECK(sley_wait_done(&x.op.wait));
    expect_reset(&x);
    CHECK_RC(sley_fd_close(&fd), 0);
}

SLEY_TEST(it_is_told_to_who_never_waits, "")
{
    in_ring((struct sley__uring_opts){0}, busy);
}

/** As a foreign loop does: sleeps on the descriptor, and looks. */
static void foreign(void)
{
    struct sley_fd fd;
    struct receive x = {0};
    const int peer = tcp_pair(&fd);
    struct pollfd at = {.fd = reactor()->ops->pollable_fd(reactor()), .events = POLLIN};
    CHECK_INT(at.fd, ==, reactor()->ops->pollable_fd(reactor()));
    hear_last(&x, &fd, peer);
    start(&x, &fd);
    do {
        CHECK_INT(look(0), >=, 0);
    } while (reactor()->more);
    while (!sley_wait_done(&x.op.wait)) {
        CHECK_INT(poll(&at, 1, -1), ==, 1);
        CHECK_INT(look(0), >=, 0);
    }
    expect_reset(&x);
    CHECK_RC(sley_fd_close(&fd), 0);
}

SLEY_TEST(it_is_told_in_a_foreign_loop, "")
{
    in_ring((struct sley__uring_opts){0}, foreign);
    in_ring((struct sley__uring_opts){.without = uring_without("defer_taskrun")}, foreign); /* the ring's own descriptor */
}

static struct receive next_one;
static struct sley_fd *next_fd;

static void goes_on(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)hook, (void)w;
    start(&next_one, next_fd);
}

/** As a chain does, or a pool that feeds its line: the next one begins in the midst of a look, and no task runs. */
static void foreign_in_a_hook(void)
{
    struct sley_fd fd;
    struct receive x = {0};
    struct sley_wait_hook hook = {.fn = goes_on};
    const int peer = tcp_pair(&fd);
    struct pollfd at = {.fd = reactor()->ops->pollable_fd(reactor()), .events = POLLIN};
    next_one = (struct receive){0};
    next_fd = &fd;
    converse(&fd, peer);
    leave(peer, &fd);
    start(&x, &fd);
    sley_wait_hook(&x.op.wait, &hook);
    do {
        CHECK_INT(look(0), >=, 0);
    } while (reactor()->more);
    while (!sley_wait_done(&next_one.op.wait)) {
        CHECK_INT(poll(&at, 1, -1), ==, 1);
        do {
            CHECK_INT(look(0), >=, 0);
        } while (reactor()->more);
    }
    CHECK_RC(x.op.wait.result, 3);
    CHECK_RC(sley_lent_return(x.lent), 0);
    expect_reset(&next_one);
    CHECK_RC(sley_fd_close(&fd), 0);
}

SLEY_TEST(it_is_told_in_a_foreign_loop_also_when_a_hook_has_asked, "")
{
    in_ring((struct sley__uring_opts){0}, foreign_in_a_hook);
    in_ring((struct sley__uring_opts){.without = uring_without("defer_taskrun")}, foreign_in_a_hook);
}

enum { CROWD = 150 };

/** All of them are noted when the first one is asked for its end. */
static void crowd(void)
{
    static struct sley_fd fds[CROWD];
    static struct receive x[CROWD];
    int peers[CROWD];
    memset(x, 0, sizeof x);
    for (int i = 0; i < CROWD; i++) {
        peers[i] = tcp_pair(&fds[i]);
        converse(&fds[i], peers[i]);
    }
    for (int i = 0; i < CROWD; i++) {
        if (i % 3 > 0) {
            leave(peers[i], &fds[i]);
        } else {
            put(peers[i], "bye");
        }
        start(&x[i], &fds[i]);
    }
    for (int i = 0; i < CROWD; i++) {
        expect(&x[i], "bye");
        start(&x[i], &fds[i]);
    }
    for (int i = 0; i < CROWD; i++) {
        if (i % 3 > 0) {
            expect_reset(&x[i]);
        }
    }
    for (int i = 0; i < CROWD; i++) { /* those that are well stay so */
        if (i % 3 == 0) {
            CHECK(!sley_wait_done(&x[i].op.wait));
            put(peers[i], "more");
            expect(&x[i], "more");
            (void)close(peers[i]);
        }
        CHECK_RC(sley_fd_close(&fds[i]), 0);
    }
}

SLEY_TEST(many_are_told_and_others_are_left_alone, "")
{
    in_ring((struct sley__uring_opts){0}, crowd);
}

static void refused(void)
{
    struct sley_fd fd;
    struct receive x = {0};
    const int peer = tcp_pair(&fd);
    hear_last(&x, &fd, peer);
    harness_fail_at(1);
    start(&x, &fd);
    CHECK(harness_alloc_refused());
    expect_reset(&x);
    CHECK_RC(sley_fd_close(&fd), 0);
}

SLEY_TEST(memory_that_is_refused_loses_no_end, "")
{
    in_ring((struct sley__uring_opts){0}, refused);
}

static void nobody_may_ask(void)
{
    struct sley_fd fd;
    struct receive x = {0};
    struct rlimit usual, none;
    const int peer = tcp_pair(&fd);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &usual), ==, 0);
    none = (struct rlimit){0, usual.rlim_max};
    hear_last(&x, &fd, peer);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), ==, 0); /* as sandboxes do; poll(2) is EINVAL then */
    start(&x, &fd);
    expect_reset(&x);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &usual), ==, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
}

SLEY_TEST(it_is_told_where_sockets_cannot_be_asked, "")
{
    in_ring((struct sley__uring_opts){0}, nobody_may_ask);
}

static unsigned refusals; /* so many calls that only submit are refused */

static int refuse_some(struct sley__uring *r, unsigned count, unsigned least, unsigned flags, void *arg, size_t size)
{
    if (refusals > 0 && count > 0 && least == 0) {
        refusals--;
        return -EAGAIN;
    }
    return counted(r, count, least, flags, arg, size);
}

/** The queue is full when it has been long, and the kernel takes nothing for a moment: the next call, which waits, comes too early. */
static void no_place(void)
{
    struct sley_fd fd, other;
    struct receive x = {0};
    struct sley_io_op op = {0};
    char byte;
    const int peer = tcp_pair(&fd), quiet = unix_pair(&other);
    hear_last(&x, &fd, peer);
    start(&x, &fd);
    while (ring()->untold.looks < 250) {
        CHECK_INT(look(0), ==, 0);
    }
    io_start(&op, &other, SLEY_IO_RECV, &byte, 1);
    refusals = 1;
    expect_reset(&x);
    CHECK_UINT(refusals, ==, 0);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(sley_fd_close(&other), 0);
    (void)close(quiet);
}

SLEY_TEST(queue_that_is_full_loses_no_end, "")
{
    in_ring((struct sley__uring_opts){.entry_count = 1, .enter = refuse_some}, no_place);
}
