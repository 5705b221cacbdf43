/* Lent receives that stand: what comes unasked is the next one's, whatever that asks for; every byte once and in order, whatever is
 * cancelled, closed or taken away meanwhile. */
#include "uring_lent_bed.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

static uint32_t pool_count;

static void check_idle(void)
{
    CHECK_UINT(ring()->standing_count, ==, 0);
    CHECK_UINT(ring()->flying_count, ==, 0);
    CHECK_UINT(ring()->stock.kept, ==, 0);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_UINT(reactor()->lend.pool->out_count, ==, ring()->stock.count);
}

static void close_both(struct sley_fd *fd, int peer)
{
    CHECK_RC(sley_fd_close(fd), 0);
    (void)close(peer);
    check_idle();
}

/** A connection that is read in a loop: one receive waits, for what stands if it can. */
static int in_a_loop(struct sley_fd *fd, struct receive *x)
{
    const int peer = tcp_pair(fd);
    *x = (struct receive){0};
    start(x, fd);
    CHECK_INT(look(0), >=, 0);
    put(peer, "first");
    expect(x, "first");
    start(x, fd);
    CHECK_INT(look(0), >=, 0);
    CHECK(!sley_wait_done(&x->op.wait));
    CHECK(stands(fd) == sley__uring_has(ring(), SLEY__URING_RECV_MULTI));
    return peer;
}

/** The same, and nobody waits. */
static int ahead(struct sley_fd *fd)
{
    struct receive x;
    const int peer = in_a_loop(fd, &x);
    put(peer, "second");
    expect(&x, "second");
    return peer;
}

/** Sends it, and has it lie there. */
static void unasked(struct sley_fd *fd, int peer, const char *text)
{
    const uint32_t before = lying(fd);
    put(peer, text);
    while (stands(fd) && lying(fd) == before) {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
}

/* ---- in a loop --------------------------------------------------------------------------------------------------------- */

static void loop_of_receives(void)
{
    struct sley_fd fd;
    struct receive x;
    const int peer = in_a_loop(&fd, &x);
    const unsigned before = submitted;
    for (int i = 0; i < 100; i++) {
        put(peer, "more");
        expect(&x, "more");
        start(&x, &fd);
    }
    CHECK_UINT(submitted, ==, before);
    CHECK_INT(shutdown(peer, SHUT_WR), ==, 0);
    CHECK_RC(until_done(&x.op.wait), 0);
    CHECK(x.lent == NULL);
    start(&x, &fd);
    CHECK_RC(until_done(&x.op.wait), 0); /* again and again */
    close_both(&fd, peer);
}

SLEY_TEST(lent_receive_in_a_loop_is_submitted_once, "")
{
    in_ring((struct sley__uring_opts){.enter = counted}, loop_of_receives);
}

static void two_buffers_three_bytes(void)
{
    struct sley_fd fd;
    struct receive x[3];
    lend(16, 2);
    const int peer = in_a_loop(&fd, &x[0]);
    const char *bytes[3] = {"a", "b", "c"};
    x[1] = x[2] = (struct receive){0};
    put(peer, bytes[0]);
    keep(&x[0], "a");
    CHECK(stands(&fd)); /* "more" */
    start(&x[1], &fd);
    put(peer, bytes[1]);
    keep(&x[1], "b");
    CHECK_UINT(reactor()->lend.pool->out_count, ==, 2);
    start(&x[2], &fd);
    put(peer, bytes[2]);
    while (!(x[2].op.flags & SLEY__LEND_STARVED)) {
        CHECK(!sley_wait_done(&x[2].op.wait));
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    CHECK(!stands(&fd)); /* that was the end of it, for want of buffers */
    CHECK(x[0].lent->data[0] == 'a');
    CHECK_RC(sley_lent_return(x[0].lent), 0);
    CHECK_RC(sley_lent_return(x[1].lent), 0);
    expect(&x[2], "c");
    start(&x[0], &fd);
    CHECK_INT(look(0), >=, 0);
    CHECK(stands(&fd)); /* anew */
    put(peer, "d");
    expect(&x[0], "d");
    close_both(&fd, peer);
}

SLEY_TEST(two_buffers_and_three_bytes_end_what_stands_and_it_begins_anew, "URING-05")
{
    in_ring((struct sley__uring_opts){0}, two_buffers_three_bytes);
}

/* ---- whoever asks next ------------------------------------------------------------------------------------------------- */

static void whoever_asks(void)
{
    struct sley_fd fd;
    struct receive x = {0};
    char buf[16];
    struct iovec iov[2] = {{buf, 2}, {buf + 2, 3}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    const int peer = ahead(&fd);
    unasked(&fd, peer, "abcdef");
    unasked(&fd, peer, "ghijkl");
    CHECK_RC(io(&fd, SLEY_IO_ACCEPT, NULL, 0), -EINVAL); /* they are no connections */
    CHECK(sley_fd_poll(&fd, SLEY_IO_IN) == SLEY_IO_IN && sley_fd_poll(&fd, SLEY_IO_OUT) == SLEY_IO_OUT);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, 2), 2);
    CHECK(memcmp(buf, "ab", 2) == 0);
    start(&x, &fd);
    expect(&x, "cdef"); /* from the beginning of its buffer */
    CHECK_RC(io(&fd, SLEY_IO_RECVMSG, &m, 0), 5);
    CHECK(memcmp(buf, "ghijk", 5) == 0);
    CHECK_UINT(lying(&fd), ==, 1);
    struct sley_io_op all = {0};
    io_start_all(&all, &fd, SLEY_IO_RECV, buf, 6);
    CHECK_INT(look(0), >=, 0);
    CHECK(!sley_wait_done(&all.wait));
    CHECK_UINT(lying(&fd), ==, 0);
    put(peer, "mnopq");
    CHECK_RC(until_done(&all.wait), 0);
    CHECK(memcmp(buf, "lmnopq", 6) == 0);
    CHECK(!stands(&fd));
    for (int i = 0; i < 3; i++) { /* it is not read in one way alone: nothing stands there again */
        put(peer, "one");
        start(&x, &fd);
        expect(&x, "one");
        put(peer, "two");
        CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 3);
    }
    CHECK(!stands(&fd));
    close_both(&fd, peer);
}

SLEY_TEST(bytes_that_came_unasked_are_the_next_ones_whatever_it_asks_for, "URING-07")
{
    in_ring((struct sley__uring_opts){0}, whoever_asks);
    in_ring((struct sley__uring_opts){.entry_count = 2, .result_count = 2}, whoever_asks);
}

static void poll_and_receive(void)
{
    struct sley_fd fd;
    struct receive x;
    struct sley_io_op in = {0}, out = {0};
    const int peer = in_a_loop(&fd, &x);
    for (int soon = 0; soon < 2; soon++) {
        put(peer, "more");
        expect(&x, "more");
        sley_fd_poll_start(&out, &fd, SLEY_IO_OUT);
        CHECK_RC(until_done(&out.wait), SLEY_IO_OUT);
        CHECK(soon || stands(&fd));
        sley_fd_poll_start(&in, &fd, SLEY_IO_IN); /* what stands gives way: it would take away what is waited for */
        while (!soon && stands(&fd)) {
            CHECK_INT(look(SLEY_NEVER), >=, 0);
        }
        CHECK(!sley_wait_done(&in.wait));
        put(peer, "this");
        CHECK_RC(until_done(&in.wait), SLEY_IO_IN);
        start(&x, &fd);
        expect(&x, "this");
        start(&x, &fd);
    }
    sley_wait_cancel(&x.op.wait);
    CHECK_RC(until_done(&x.op.wait), -ECANCELED);
    close_both(&fd, peer);
}

SLEY_TEST(poll_ends_what_stands_and_sees_what_comes, "")
{
    in_ring((struct sley__uring_opts){0}, poll_and_receive);
}

static void bounded(void)
{
    struct sley_fd fd;
    struct receive x = {0};
    unsigned char sent = 0, got = 0;
    lend(16, 64);
    const int peer = ahead(&fd);
    for (int i = 0; i < 60 || stands(&fd); i++) { /* some come together */
        CHECK_INT(send(peer, &sent, 1, 0), ==, 1);
        sent++;
        CHECK_INT(look(0), >=, 0);
        CHECK_UINT(ring()->stock.kept + ring()->stock.count, <=, 32);
    }
    CHECK_UINT(lying(&fd), <=, 16); /* the others wait in the socket, as ever */
    CHECK_INT(shutdown(peer, SHUT_WR), ==, 0);
    for (int32_t n = 1; n > 0;) {
        start(&x, &fd);
        n = until_done(&x.op.wait);
        CHECK_INT(n, >=, 0);
        for (int32_t i = 0; i < n; i++) {
            CHECK_UINT(x.lent->data[i], ==, got);
            got++;
        }
        CHECK_RC(sley_lent_return(x.lent), 0);
    }
    CHECK_UINT(got, ==, sent);
    close_both(&fd, peer);
}

SLEY_TEST(what_lies_at_a_connection_is_bounded, "")
{
    in_ring((struct sley__uring_opts){0}, bounded);
}

static void others_get_buffers(void)
{
    enum { IDLE = 6, BUFFERS = 8 };
    struct sley_fd idle[IDLE], fd;
    int idle_peers[IDLE];
    struct receive x = {0};
    lend(16, BUFFERS);
    for (int i = 0; i < IDLE; i++) { /* nobody reads them any more */
        idle_peers[i] = ahead(&idle[i]);
    }
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < IDLE; i++) {
            put(idle_peers[i], "lies");
            CHECK_INT(look(0), >=, 0);
        }
    }
    CHECK_UINT(ring()->stock.kept, <=, BUFFERS / 2);
    const int peer = tcp_pair(&fd);
    for (int i = 0; i < 20; i++) {
        put(peer, "mine");
        start(&x, &fd);
        expect(&x, "mine");
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
    for (int i = 0; i < IDLE; i++) {
        CHECK_RC(sley_fd_close(&idle[i]), 0);
        (void)close(idle_peers[i]);
    }
    check_idle();
}

SLEY_TEST(connections_that_nobody_reads_leave_buffers_to_others, "")
{
    in_ring((struct sley__uring_opts){0}, others_get_buffers);
}

/* ---- ends -------------------------------------------------------------------------------------------------------------- */

static void reset_unasked(void)
{
    struct sley_fd fd;
    struct receive x = {0};
    const int peer = ahead(&fd);
    unasked(&fd, peer, "before");
    CHECK_INT(setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), ==, 0);
    (void)close(peer);
    while (stands(&fd)) {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    CHECK_RC(sley_fd_move(&fd), -EBUSY);
    start(&x, &fd);
    expect(&x, "before");
    CHECK(sley_fd_poll(&fd, SLEY_IO_IN) & SLEY_IO_ERR);
    start(&x, &fd);
    CHECK_RC(until_done(&x.op.wait), -ECONNRESET);
    start(&x, &fd);
    CHECK_RC(until_done(&x.op.wait), 0); /* the system tells it once */
    CHECK_RC(sley_fd_close(&fd), 0);
    check_idle();
}

SLEY_TEST(reset_that_nobody_has_waited_for_is_told_behind_the_bytes, "")
{
    in_ring((struct sley__uring_opts){0}, reset_unasked);
}

static void close_with_some(void)
{
    for (int unheard = 0; unheard < 2; unheard++) {
        for (int waits = 0; waits < 2; waits++) {
            struct sley_fd fd;
            struct receive x;
            const int peer = waits ? in_a_loop(&fd, &x) : ahead(&fd), number = fd.number;
            if (!waits) {
                unasked(&fd, peer, "lies there");
            }
            struct sley_io_op op = {.fd = &fd, .code = SLEY_IO_CLOSE, .flags = unheard ? SLEY_IO_UNHEARD : 0};
            sley_io_submit(&op);
            if (!unheard) {
                CHECK_RC(until_done(&op.wait), 0);
            }
            if (waits) {
                CHECK_RC(until_done(&x.op.wait), -ECANCELED);
            }
            if (unheard && !waits) {
                memset(&fd, 0xee, sizeof fd);
            }
            while (ring()->standing_count > 0) {
                CHECK_INT(look(SLEY_NEVER), >=, 0);
            }
            CHECK_INT(fcntl(number, F_GETFD), ==, -1);
            char byte;
            CHECK_INT(recv(peer, &byte, 1, 0), ==, 0);
            (void)close(peer);
            check_idle();
        }
    }
}

SLEY_TEST(close_ends_what_stands_and_drops_what_lies_there, "")
{
    in_ring((struct sley__uring_opts){0}, close_with_some);
    in_ring((struct sley__uring_opts){.without = uring_without("cqe_skip")}, close_with_some);
}

static struct sley_fd left;
static int left_peer;

static void leave_some(void)
{
    left_peer = ahead(&left);
    unasked(&left, left_peer, "lies there");
    CHECK(stands(&left));
}

SLEY_TEST(ring_that_ends_takes_back_what_stands_and_what_lies_there, "")
{
    struct bed b;
    ring_start(&b, (struct sley__uring_opts){0});
    bed_run(&b, leave_some);
    bed_end(&b);
    CHECK_RC(sley_fd_move(&left), -ENODEV); /* some of its bytes have gone */
    CHECK_RC(sley_fd_close(&left), 0);
    (void)close(left_peer);
}

static struct sley_fd whole;
static int whole_peer;

static void leave_one_of_two(void)
{
    struct receive x;
    leave_some();
    whole_peer = in_a_loop(&whole, &x);
    put(whole_peer, "read");
    expect(&x, "read");
    CHECK(stands(&whole));
}

static void go_on_elsewhere(void)
{
    struct receive x = {0};
    start(&x, &whole);
    put(whole_peer, "there");
    expect(&x, "there");
    close_both(&whole, whole_peer);
}

SLEY_TEST(connection_that_has_lost_nothing_is_moved_when_its_home_has_ended, "")
{
    in_ring((struct sley__uring_opts){0}, leave_one_of_two);
    CHECK_RC(sley_fd_move(&left), -ENODEV);
    CHECK_RC(sley_fd_move(&whole), 0);
    in_ring((struct sley__uring_opts){0}, go_on_elsewhere);
    CHECK_RC(sley_fd_close(&left), 0);
    (void)close(left_peer);
}

static void move_it(void)
{
    struct sley_fd fd, *moved = &left;
    struct receive x;
    left_peer = in_a_loop(&fd, &x);
    CHECK_RC(sley_fd_move(&fd), -EBUSY);
    put(left_peer, "one");
    expect(&x, "one");
    unasked(&fd, left_peer, "two");
    CHECK_RC(sley_fd_move(&fd), -EBUSY);
    start(&x, &fd);
    expect(&x, "two");
    start(&x, &fd);
    CHECK_INT(look(0), >=, 0);
    CHECK(stands(&fd));
    put(left_peer, "three");
    expect(&x, "three");
    CHECK(stands(&fd));
    CHECK_RC(sley_fd_move(&fd), 0);
    check_idle();
    *moved = fd;
}

static void use_it(void)
{
    struct receive x = {0};
    put(left_peer, "there");
    start(&x, &left);
    expect(&x, "there");
    close_both(&left, left_peer);
}

SLEY_TEST(move_ends_what_stands_and_is_busy_while_something_lies_there, "")
{
    in_ring((struct sley__uring_opts){0}, move_it);
    in_ring((struct sley__uring_opts){0}, use_it);
}

static struct sley_fd *to_move;
static struct sley_io_op move_op;

static void hook_moves(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)hook, (void)w;
    sley_fd_move_start(&move_op, to_move);
}

static void move_in_a_look(void)
{
    struct sley_fd fd;
    struct receive x;
    struct sley_wait_hook hook = {.fn = hook_moves};
    lend(16, 64);
    const int peer = in_a_loop(&fd, &x);
    to_move = &fd;
    sley_wait_hook(&x.op.wait, &hook);
    put(peer, "0123456789abcdef0123456789ABCDEFend");
    keep(&x, "0123456789abcdef");
    CHECK_RC(until_done(&move_op.wait), -EBUSY); /* it has found the others in the very look that told of the first */
    CHECK_UINT(lying(&fd), ==, 2);
    CHECK_RC(sley_lent_return(x.lent), 0);
    start(&x, &fd);
    expect(&x, "0123456789ABCDEF");
    start(&x, &fd);
    expect(&x, "end");
    close_both(&fd, peer);
}

SLEY_TEST(move_in_the_look_that_brings_bytes_finds_the_others_once, "")
{
    in_ring((struct sley__uring_opts){0}, move_in_a_look);
}

static void number_again(void)
{
    struct sley_fd fd, next;
    struct receive x = {0};
    const int peer = ahead(&fd);
    unasked(&fd, peer, "of the old one");
    const int number = fd.number;
    const int other = tcp_pair(&next);
    CHECK_INT(dup2(next.number, number), ==, number); /* the old one is closed as by somebody who finds its home standing still */
    (void)close(next.number);
    sley_fd_init(&next, number);
    sley_fd_set_stream(&next);
    put(other, "new");
    start(&x, &next);
    expect(&x, "new");
    (void)close(peer);
    close_both(&next, other);
}

SLEY_TEST(number_that_was_closed_elsewhere_begins_anew, "")
{
    in_ring((struct sley__uring_opts){0}, number_again);
}

/* ---- a flow that does not end ------------------------------------------------------------------------------------------ */

static struct {
    int number;
    SLEY_ATOMIC(bool) stop;
    size_t sent;
} flow;

static void *pour(void *unused)
{
    unsigned char bytes[512];
    (void)unused;
    /* relaxed: only that it ends */
    while (!atomic_load_explicit(&flow.stop, memory_order_relaxed)) {
        const size_t len = 1 + flow.sent * 7 % sizeof bytes;
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (unsigned char)((flow.sent + i) % 251);
        }
        const ssize_t n = send(flow.number, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        flow.sent += n > 0 ? (size_t)n : 0;
        if (n < 0) {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void check_flow(const unsigned char *bytes, size_t n, size_t *at)
{
    for (size_t i = 0; i < n; i++) {
        CHECK_UINT(bytes[i], ==, (*at + i) % 251);
    }
    *at += n;
}

static void cancel_under_flow(void)
{
    enum { ROUNDS = 600 };
    struct sley_fd fd;
    struct receive x = {0};
    pthread_t t;
    size_t got = 0;
    unsigned char own[100];
    lend(256, pool_count);
    flow.number = tcp_pair(&fd);
    flow.sent = 0;
    /* relaxed: the thread begins behind it */
    atomic_store_explicit(&flow.stop, false, memory_order_relaxed);
    CHECK_INT(pthread_create(&t, NULL, pour, NULL), ==, 0);
    for (int i = 0; i < ROUNDS; i++) {
        start(&x, &fd);
        for (uint64_t looks = harness_rand_below(3); looks > 0; looks--) {
            CHECK_INT(look(0), >=, 0);
        }
        if (harness_rand_below(2)) {
            sley_wait_cancel(&x.op.wait);
        }
        const int32_t n = until_done(&x.op.wait);
        CHECK(n > 0 || n == -ECANCELED);
        if (n > 0) {
            check_flow(x.lent->data, (size_t)n, &got);
            CHECK_RC(sley_lent_return(x.lent), 0);
        }
        if (i % 50 == 49) {
            const int own_n = io(&fd, SLEY_IO_RECV, own, sizeof own);
            CHECK_INT(own_n, >, 0);
            check_flow(own, (size_t)own_n, &got);
            ((struct sley__uring_slot *)(uintptr_t)slot_of(&fd))->standing &= (uint16_t)~SLEY__URING_SHY; /* once more */
        }
    }
    start(&x, &fd);
    sley_wait_cancel(&x.op.wait);
    const int32_t n = until_done(&x.op.wait);
    if (n > 0) {
        check_flow(x.lent->data, (size_t)n, &got);
        CHECK_RC(sley_lent_return(x.lent), 0);
    }
    for (int looks = 0; stands(&fd); looks++) {
        CHECK_INT(looks, <, 100); /* it ends, however much is sent */
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    /* relaxed: only that it ends */
    atomic_store_explicit(&flow.stop, true, memory_order_relaxed);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    (void)shutdown(flow.number, SHUT_WR);
    for (;;) {
        start(&x, &fd);
        const int32_t last = until_done(&x.op.wait);
        if (last <= 0) {
            CHECK_RC(last, 0);
            break;
        }
        check_flow(x.lent->data, (size_t)last, &got);
        CHECK_RC(sley_lent_return(x.lent), 0);
    }
    CHECK_UINT(got, ==, flow.sent);
    close_both(&fd, flow.number);
}

SLEY_TEST_SECONDS(receive_that_stands_ends_when_cancelled_under_a_flow_and_loses_no_byte, "URING-07", 60)
{
    static const char *const missing[] = {"none", "cqe_skip defer_taskrun", "recv_multi", "buffer_ring", "poll_first"};
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        pool_count = 1 + (uint32_t)harness_rand_below(4);
        in_ring((struct sley__uring_opts){.without = uring_without(missing[i])}, cancel_under_flow);
    }
    pool_count = 64;
    in_ring((struct sley__uring_opts){0}, cancel_under_flow);
    in_ring((struct sley__uring_opts){.entry_count = 2, .result_count = 2}, cancel_under_flow);
}

/* ---- all of it at random ----------------------------------------------------------------------------------------------- */

enum { CONNS = 12, STEPS = 6000 };

static struct conn {
    struct sley_fd fd;
    int peer;
    struct receive x;
    struct sley_io_op own;
    unsigned char buf[8];
    size_t sent, got;
    enum { IDLE, LENT, OWN } doing;
    struct sley_lent *held;
} conns[CONNS];

static void open_conn(struct conn *c)
{
    memset(c, 0, sizeof *c);
    c->peer = tcp_pair(&c->fd);
}

static void send_some(struct conn *c)
{
    unsigned char bytes[40];
    const size_t len = 1 + (size_t)harness_rand_below(sizeof bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (unsigned char)((c->sent + i) % 251);
    }
    const ssize_t n = send(c->peer, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    c->sent += n > 0 ? (size_t)n : 0;
}

static void finished(struct conn *c)
{
    if (c->doing == LENT && sley_wait_done(&c->x.op.wait)) {
        const int32_t n = c->x.op.wait.result;
        CHECK(n > 0 || n == -ECANCELED);
        if (n > 0) {
            check_flow(c->x.lent->data, (size_t)n, &c->got);
            c->held = c->x.lent;
        }
        c->doing = IDLE;
    } else if (c->doing == OWN && sley_wait_done(&c->own.wait)) {
        const int32_t n = c->own.wait.result;
        CHECK(n > 0 || n == -ECANCELED);
        check_flow(c->buf, n > 0 ? (size_t)n : 0, &c->got);
        c->doing = IDLE;
    }
}

static void give_back(struct conn *c)
{
    struct sley_lent *l = c->held;
    c->held = NULL;
    CHECK_RC(sley_lent_return(l), 0);
}

static void close_conn(struct conn *c)
{
    struct sley_io_op *op = c->doing == LENT ? &c->x.op : c->doing == OWN ? &c->own : NULL;
    if (c->held) {
        give_back(c);
    }
    CHECK_RC(sley_fd_close(&c->fd), 0);
    if (op) {
        (void)until_done(&op->wait);
        if (c->doing == LENT && op->wait.result > 0) {
            CHECK_RC(sley_lent_return(c->x.lent), 0);
        }
    }
    (void)close(c->peer);
}

static void step(struct conn *c)
{
    const uint64_t what = harness_rand_below(100);
    finished(c);
    if (what < 35) {
        send_some(c);
    } else if (what < 70 && c->doing == IDLE && !c->held) {
        start(&c->x, &c->fd);
        c->doing = LENT;
    } else if (what < 72 && c->doing == IDLE) {
        io_start(&c->own, &c->fd, SLEY_IO_RECV, c->buf, sizeof c->buf);
        c->doing = OWN;
    } else if (what < 78 && c->doing != IDLE) {
        sley_wait_cancel(c->doing == LENT ? &c->x.op.wait : &c->own.wait);
    } else if (what < 90 && c->held) {
        give_back(c);
    } else if (what < 92) {
        close_conn(c);
        open_conn(c);
    } else if (what < 94 && c->doing == IDLE && !sley_fd_is_direct(&c->fd)) {
        const int rc = sley_fd_move(&c->fd);
        CHECK(rc == 0 || rc == -EBUSY);
    } else if (what > 96) {
        CHECK_INT(look(0), >=, 0);
    }
}

static void at_random(void)
{
    lend(16, pool_count);
    for (int i = 0; i < CONNS; i++) {
        open_conn(&conns[i]);
    }
    for (int i = 0; i < STEPS; i++) {
        step(&conns[harness_rand_below(CONNS)]);
    }
    for (int i = 0; i < CONNS; i++) { /* nothing is missing */
        struct conn *c = &conns[i];
        if (c->doing != IDLE) {
            sley_wait_cancel(c->doing == LENT ? &c->x.op.wait : &c->own.wait);
            (void)until_done(c->doing == LENT ? &c->x.op.wait : &c->own.wait);
            finished(c);
        }
        if (c->held) {
            give_back(c);
        }
    }
    for (int i = 0; i < CONNS; i++) {
        struct conn *c = &conns[i];
        while (c->got < c->sent) {
            start(&c->x, &c->fd);
            c->doing = LENT;
            (void)until_done(&c->x.op.wait);
            finished(c);
            give_back(c);
        }
        CHECK_UINT(c->got, ==, c->sent);
    }
    for (int i = 0; i < CONNS; i++) {
        close_conn(&conns[i]);
    }
    check_idle();
}

SLEY_TEST_SECONDS(bytes_are_in_order_whatever_happens_to_their_receives, "URING-05 URING-07", 60)
{
    static const char *const missing[] = {"none", "defer_taskrun coop_taskrun cqe_skip", "recv_multi", "poll_first"};
    for (size_t i = 0; i < 4; i++) {
        for (uint32_t small = 0; small < 2; small++) {
            pool_count = small ? 1 + (uint32_t)harness_rand_below(3) : 48;
            const uint32_t n = small ? 4 : 0;
            in_ring((struct sley__uring_opts){.entry_count = n, .result_count = n, .without = uring_without(missing[i])}, at_random);
        }
    }
    pool_count = 5;
    in_ring((struct sley__uring_opts){.entry_count = 4, .result_count = 8, .enter = moody}, at_random);
}
