/* Accepts that stand: each connection is somebody's once and in order, whoever asks when; and where they may not, they go alone. */
#include "uring_bed.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct sockaddr_in addr;
static bool direct;

static void listen_at(struct sley_fd *ret_fd)
{
    sley_fd_init(ret_fd, tcp_listener(&addr, 2048));
}

static void ask(struct sley_io_op *op, struct sley_fd *listener)
{
    op->fd = listener;
    op->code = SLEY_IO_ACCEPT;
    op->flags = direct ? SLEY_IO_DIRECT : 0;
    op->end = NULL;
    sley_io_submit(op);
}

/** The connection is the one of @p peer: each has sent its number. Closes both. */
static void check_mine(const struct sley_io_op *op, int peer, uint32_t tag)
{
    struct sley_fd fd;
    uint32_t got = ~tag;
    sley_fd_init_from(&fd, op);
    CHECK(sley_fd_is_direct(&fd) == direct);
    CHECK_RC(io(&fd, SLEY_IO_RECV, &got, sizeof got), sizeof got);
    CHECK_UINT(got, ==, tag);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

static int dial(uint32_t tag)
{
    const int peer = tcp_dial(&addr);
    CHECK_INT(send(peer, &tag, sizeof tag, MSG_NOSIGNAL), ==, sizeof tag);
    wait_taken(peer); /* then the listener has it */
    return peer;
}

static void dial_all(int *ret_peers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ret_peers[i] = dial(i);
    }
}

static void take_one(struct sley_fd *listener, int peer, uint32_t tag)
{
    struct sley_io_op op = {0};
    ask(&op, listener);
    CHECK_RC(until_done(&op.wait), 0);
    check_mine(&op, peer, tag);
}

/** Two accepts in a row, and one that waits: from then on it stands, if it can. */
static void warm_up(struct sley_fd *listener, struct sley_io_op *op)
{
    take_one(listener, dial(1), 1);
    ask(op, listener);
    CHECK_INT(look(0), >=, 0);
    CHECK(!sley_wait_done(&op->wait));
}

static bool can_stand(void)
{
    return sley__uring_has(ring(), SLEY__URING_ACCEPT_MULTI) &&
           (!direct || (sley__uring_has(ring(), SLEY__URING_FD_INSTALL) && ring()->direct_size > 2 * 8192));
}

/* ---- one that stands --------------------------------------------------------------------------------------------------- */

static void loop_of_accepts(void)
{
    enum { CONNS = 20 };
    struct sley_fd l;
    struct sley_io_op op = {0};
    int peers[CONNS];
    struct sley_fd got[CONNS];
    listen_at(&l);
    warm_up(&l, &op);
    CHECK(stands(&l));
    const unsigned before = submitted;
    for (uint32_t i = 0; i < CONNS; i++) {
        peers[i] = dial(i);
        CHECK_RC(until_done(&op.wait), 0);
        sley_fd_init_from(&got[i], &op);
        ask(&op, &l);
    }
    CHECK_UINT(submitted, ==, before);
    for (int i = 0; i < CONNS; i++) {
        CHECK_RC(sley_fd_close(&got[i]), 0);
        (void)close(peers[i]);
    }
    CHECK_RC(sley_fd_close(&l), 0);
    CHECK_RC(until_done(&op.wait), -ECANCELED);
    CHECK_UINT(ring()->standing_count, ==, 0);
    CHECK_UINT(ring()->flying_count, ==, 0);
}

SLEY_TEST(accept_in_a_loop_is_submitted_once, "URING-06")
{
    in_ring((struct sley__uring_opts){.enter = counted}, loop_of_accepts);
}

static void unasked(void)
{
    enum { CONNS = 40 };
    struct sley_fd l;
    struct sley_io_op op = {0};
    int peers[CONNS];
    listen_at(&l);
    warm_up(&l, &op);
    const int first = dial(77);
    dial_all(peers, CONNS);
    CHECK_RC(until_done(&op.wait), 0);
    if (can_stand()) {
        CHECK(stands(&l));
        CHECK_UINT(lying(&l), >, 0);
        CHECK_RC(sley_fd_move(&l), -EBUSY); /* they are at home here */
        char byte;
        CHECK_RC(io(&l, SLEY_IO_RECV, &byte, 1), -ENOTCONN); /* and no bytes */
    }
    check_mine(&op, first, 77);
    for (uint32_t i = 0; i < CONNS / 2; i++) {
        take_one(&l, peers[i], i);
    }
    for (uint32_t i = CONNS / 2; i < CONNS; i++) { /* several wait at once */
        static struct sley_io_op ops[CONNS];
        ask(&ops[i], &l);
        if (i == CONNS - 1) {
            for (uint32_t at = CONNS / 2; at < CONNS; at++) {
                CHECK_RC(until_done(&ops[at].wait), 0);
                check_mine(&ops[at], peers[at], at);
            }
        }
    }
    CHECK_RC(sley_fd_move(&l), 0); /* what stands is ended by it */
    CHECK_UINT(ring()->standing_count, ==, 0);
    take_one(&l, dial(5), 5);
    CHECK_RC(sley_fd_close(&l), 0);
    CHECK_UINT(ring()->flying_count, ==, 0);
}

SLEY_TEST(connections_that_come_unasked_are_the_next_ones_in_turn, "URING-06")
{
    in_ring((struct sley__uring_opts){0}, unasked);
    in_ring((struct sley__uring_opts){.entry_count = 2, .result_count = 2}, unasked);
    in_ring((struct sley__uring_opts){.without = uring_without("accept_multi")}, unasked);
}

static void burst(void)
{
    enum { CONNS = 150, ROUNDS = 3 };
    struct sley_fd l;
    static struct sley_io_op ops[CONNS];
    static int peers[CONNS];
    listen_at(&l);
    memset(ops, 0, sizeof ops);
    take_one(&l, dial(0), 0);
    take_one(&l, dial(0), 0);
    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t before = (uint32_t)harness_rand_below(CONNS); /* so many ask before */
        for (uint32_t i = 0; i < before; i++) {
            ask(&ops[i], &l);
        }
        CHECK_INT(look(0), >=, 0);
        dial_all(peers, CONNS);
        CHECK_INT(look(0), >=, 0);
        for (uint32_t i = before; i < CONNS; i++) {
            ask(&ops[i], &l);
        }
        bool seen[CONNS] = {0};
        for (uint32_t i = 0; i < CONNS; i++) {
            struct sley_fd fd;
            uint32_t got = CONNS;
            CHECK_RC(until_done(&ops[i].wait), 0);
            sley_fd_init_from(&fd, &ops[i]);
            CHECK_RC(io(&fd, SLEY_IO_RECV, &got, sizeof got), sizeof got);
            CHECK_UINT(got, <, CONNS);
            CHECK(!seen[got]);
            seen[got] = true;
            CHECK_RC(sley_fd_close(&fd), 0);
            (void)close(peers[got]);
        }
    }
    CHECK_RC(sley_fd_close(&l), 0);
    CHECK_UINT(ring()->standing_count, ==, 0);
    CHECK_UINT(ring()->flying_count, ==, 0);
    CHECK_UINT(ring()->direct_count, ==, 0);
}

SLEY_TEST_SECONDS(burst_over_a_full_completion_queue_brings_each_connection_once, "URING-06", 60)
{
    const uint32_t no_defer = uring_without("defer_taskrun coop_taskrun"), alone = uring_without("accept_multi");
    in_ring((struct sley__uring_opts){.entry_count = 2, .result_count = 2}, burst);
    in_ring((struct sley__uring_opts){.entry_count = 4, .result_count = 4, .without = no_defer}, burst);
    in_ring((struct sley__uring_opts){.entry_count = 4, .result_count = 8, .enter = moody}, burst);
    in_ring((struct sley__uring_opts){.entry_count = 2, .result_count = 2, .without = alone}, burst);
}

/* ---- who does not wait any more ---------------------------------------------------------------------------------------- */

static void cancel_and_dial(void)
{
    enum { ROUNDS = 300 };
    struct sley_fd l;
    struct sley_io_op op = {0};
    listen_at(&l);
    take_one(&l, dial(0), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        ask(&op, &l);
        const uint64_t when = harness_rand_below(4);
        int peer = -1;
        if (when & 1) {
            CHECK_INT(look(0), >=, 0);
        }
        if (when & 2) {
            peer = dial(i);
        }
        sley_wait_cancel(&op.wait);
        if (peer < 0) {
            peer = dial(i);
        }
        const int32_t rc = until_done(&op.wait);
        CHECK(rc == 0 || rc == -ECANCELED);
        if (rc == 0) {
            check_mine(&op, peer, i);
        } else {
            take_one(&l, peer, i);
        }
    }
    CHECK_RC(sley_fd_close(&l), 0);
    CHECK_UINT(ring()->flying_count, ==, 0);
}

SLEY_TEST_SECONDS(cancelled_accept_that_stands_loses_no_connection, "REACT-21", 60)
{
    in_ring((struct sley__uring_opts){0}, cancel_and_dial);
    in_ring((struct sley__uring_opts){.entry_count = 2, .result_count = 2}, cancel_and_dial);
    in_ring((struct sley__uring_opts){.without = uring_without("cqe_skip defer_taskrun single_issuer")}, cancel_and_dial);
}

static void one_of_many_leaves(void)
{
    struct sley_fd l;
    struct sley_io_op op[3] = {{.fd = NULL}};
    listen_at(&l);
    warm_up(&l, &op[0]);
    ask(&op[1], &l);
    ask(&op[2], &l);
    sley_wait_cancel(&op[1].wait);
    CHECK_RC(until_done(&op[1].wait), -ECANCELED);
    CHECK(stands(&l) && !(slot_of(&l)->standing & SLEY__URING_DISMISSED));
    const int a = dial(1), b = dial(2);
    CHECK_RC(until_done(&op[0].wait), 0);
    CHECK_RC(until_done(&op[2].wait), 0);
    check_mine(&op[0], a, 1);
    check_mine(&op[2], b, 2);
    ask(&op[0], &l);
    sley_wait_cancel(&op[0].wait); /* the last one: nothing stands for nobody */
    CHECK_RC(until_done(&op[0].wait), -ECANCELED);
    while (stands(&l)) {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    CHECK_RC(sley_fd_close(&l), 0);
}

SLEY_TEST(accept_stands_while_somebody_waits_for_it, "")
{
    in_ring((struct sley__uring_opts){0}, one_of_many_leaves);
}

/** Says that the peer's connection has ended without a byte; with a reset when its own was not read. */
static bool has_ended(int peer)
{
    char byte;
    const ssize_t n = recv(peer, &byte, 1, 0);
    (void)close(peer);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void close_with_some(void)
{
    enum { CONNS = 10 };
    for (int unheard = 0; unheard < 2; unheard++) {
        struct sley_fd l;
        struct sley_io_op op = {0};
        int peers[CONNS];
        listen_at(&l);
        warm_up(&l, &op);
        const int number = l.number, first = dial(3);
        for (int i = 0; i < CONNS; i++) {
            peers[i] = dial(9);
        }
        CHECK_RC(until_done(&op.wait), 0);
        CHECK(!can_stand() || lying(&l) > 0);
        check_mine(&op, first, 3);
        if (unheard) {
            struct sley_io_op close_op = {.fd = &l, .code = SLEY_IO_CLOSE, .flags = SLEY_IO_UNHEARD};
            sley_io_submit(&close_op);
            memset(&l, 0xee, sizeof l);
            while (ring()->standing_count > 0) {
                CHECK_INT(look(SLEY_NEVER), >=, 0);
            }
        } else {
            CHECK_RC(sley_fd_close(&l), 0);
        }
        CHECK_INT(fcntl(number, F_GETFD), ==, -1);
        for (int i = 0; i < CONNS; i++) {
            CHECK(has_ended(peers[i]));
        }
        CHECK_UINT(ring()->standing_count + ring()->flying_count + ring()->direct_count, ==, 0);
    }
}

SLEY_TEST(connections_that_nobody_has_asked_for_are_closed_with_their_listener, "")
{
    in_ring((struct sley__uring_opts){0}, close_with_some);
    in_ring((struct sley__uring_opts){.without = uring_without("accept_multi")}, close_with_some);
}

/** Accepts that stood were the last ones: from the next wait on connections stay with the listener, for whoever shares it. */
static void left_to_others(void)
{
    enum { CONNS = 5 };
    for (int busy = 0; busy < 2; busy++) {
        struct sley_fd l;
        struct sley_io_op op = {0};
        int peers[CONNS];
        listen_at(&l);
        warm_up(&l, &op);
        const int first = dial(3);
        CHECK_RC(until_done(&op.wait), 0);
        CHECK(stands(&l) == can_stand());
        const int looks = ring()->opts.entry_count == 2 ? 10 : 2; /* whoever was told has had a turn by the first */
        for (int i = 0; i < looks || (!busy && stands(&l)); i++) {
            CHECK_INT(look(busy ? 0 : SLEY_MS), >=, 0);
        }
        CHECK(!stands(&l));
        dial_all(peers, CONNS);
        CHECK_INT(look(SLEY_MS), >=, 0);
        CHECK_UINT(lying(&l), ==, 0);
        for (uint32_t i = 0; i < CONNS; i++) {
            uint32_t got = CONNS;
            const int other = accept(l.number, NULL, NULL);
            CHECK_INT(other, >=, 0);
            CHECK_INT(recv(other, &got, sizeof got, 0), ==, sizeof got);
            CHECK_UINT(got, ==, i);
            (void)close(other);
            (void)close(peers[i]);
        }
        check_mine(&op, first, 3);
        take_one(&l, dial(4), 4);
        ask(&op, &l);
        CHECK_INT(look(0), >=, 0);
        CHECK(stands(&l) == can_stand()); /* it is asked for in a loop again */
        CHECK_RC(sley_fd_close(&l), 0);
        CHECK_RC(until_done(&op.wait), -ECANCELED);
    }
}

SLEY_TEST(listener_that_nobody_asks_is_left_to_those_who_share_it, "URING-06")
{
    in_ring((struct sley__uring_opts){0}, left_to_others);
    in_ring((struct sley__uring_opts){.entry_count = 2, .result_count = 2}, left_to_others);
    in_ring((struct sley__uring_opts){.without = uring_without("defer_taskrun cqe_skip")}, left_to_others);
    in_ring((struct sley__uring_opts){.without = uring_without("accept_multi")}, left_to_others);
}

static int left_listener, left_peer[4];

static void leave_some(void)
{
    struct sley_fd l;
    struct sley_io_op op = {0};
    listen_at(&l);
    warm_up(&l, &op);
    const int first = dial(3);
    for (int i = 0; i < 4; i++) {
        left_peer[i] = dial(9);
    }
    CHECK_RC(until_done(&op.wait), 0);
    CHECK_UINT(lying(&l), >, 0);
    check_mine(&op, first, 3);
    left_listener = l.number;
}

SLEY_TEST(ring_that_ends_closes_what_lies_at_a_listener, "")
{
    in_ring((struct sley__uring_opts){0}, leave_some);
    (void)close(left_listener);
    for (int i = 0; i < 4; i++) {
        CHECK(has_ended(left_peer[i]));
    }
}

static struct sley_fd moved;

static void leave_listener(void)
{
    struct sley_io_op op = {0};
    listen_at(&moved);
    warm_up(&moved, &op);
    const int first = dial(3);
    left_peer[0] = dial(9);
    CHECK_RC(until_done(&op.wait), 0);
    CHECK_UINT(lying(&moved), ==, can_stand());
    check_mine(&op, first, 3);
}

static void use_moved(void)
{
    struct sley_io_op op = {0};
    if (!can_stand()) {
        ask(&op, &moved); /* what the home before has not taken is here */
        CHECK_RC(until_done(&op.wait), 0);
        (void)close(op.out_number);
    }
    take_one(&moved, dial(6), 6);
    CHECK_RC(sley_fd_close(&moved), 0);
}

SLEY_TEST(listener_that_stood_is_moved_when_its_home_has_ended, "")
{
    for (int alone = 0; alone < 2; alone++) {
        const struct sley__uring_opts opts = {.without = alone ? uring_without("accept_multi") : 0};
        in_ring(opts, leave_listener);
        CHECK_RC(sley_fd_move(&moved), 0);
        in_ring(opts, use_moved);
        CHECK(has_ended(left_peer[0])); /* what lay there was closed, as with its listener */
    }
}

/* ---- other threads ------------------------------------------------------------------------------------------------------ */

static struct bed threads_bed;
static struct sley_fd threads_listener;

static void stand_for_nobody(void)
{
    struct sley_io_op op = {0};
    listen_at(&threads_listener);
    warm_up(&threads_listener, &op);
    const int peer = dial(3);
    CHECK_RC(until_done(&op.wait), 0);
    CHECK(stands(&threads_listener) == can_stand());
    check_mine(&op, peer, 3);
}

static void *run_standing(void *unused)
{
    bed_run(&threads_bed, stand_for_nobody);
    return unused;
}

static void *end_bed(void *unused)
{
    bed_end(&threads_bed);
    return unused;
}

static void on_a_thread(void *(*fn)(void *))
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, fn, NULL), ==, 0);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
}

SLEY_TEST(ring_in_which_something_stands_ends_on_another_thread, "URING-12")
{
    for (int beside = 0; beside < 2; beside++) { /* the thread for which it stands has ended, or not */
        ring_start(&threads_bed, (struct sley__uring_opts){0});
        if (beside) {
            (void)run_standing(NULL);
            on_a_thread(end_bed);
        } else {
            on_a_thread(run_standing);
            bed_end(&threads_bed);
        }
        CHECK_RC(sley_fd_close(&threads_listener), 0);
    }
}

/* ---- where it may not stand -------------------------------------------------------------------------------------------- */

static void too_many(void)
{
    enum { CONNS = 300 };
    struct sley_fd l;
    struct sley_io_op op = {0};
    static int peers[CONNS];
    listen_at(&l);
    warm_up(&l, &op);
    const int first = dial(3);
    dial_all(peers, CONNS);
    CHECK_RC(until_done(&op.wait), 0);
    while (stands(&l)) {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    CHECK(slot_of(&l)->standing & SLEY__URING_SHY);
    check_mine(&op, first, 3);
    for (uint32_t i = 0; i < CONNS; i++) {
        take_one(&l, peers[i], i);
        CHECK(!stands(&l) || i > 128);
    }
    CHECK_RC(sley_fd_close(&l), 0);
}

SLEY_TEST(listener_whose_connections_lie_for_long_is_asked_one_by_one, "")
{
    in_ring((struct sley__uring_opts){0}, too_many);
}

static void out_of_numbers(void)
{
    enum { CONNS = 30 };
    struct sley_fd l;
    struct sley_io_op op = {0};
    struct rlimit was, small;
    int peers[CONNS];
    listen_at(&l);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &was), ==, 0);
    small = was;
    small.rlim_cur = (rlim_t)l.number + 3 + CONNS + CONNS / 2;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &small), ==, 0); /* a request has the limit of when it began */
    warm_up(&l, &op);
    const int first = dial(3);
    dial_all(peers, CONNS);
    CHECK_RC(until_done(&op.wait), 0);
    check_mine(&op, first, 3);
    uint32_t done = 0;
    struct sley_fd got[CONNS];
    int32_t rc = 0;
    while (rc == 0 && done < CONNS) {
        ask(&op, &l);
        rc = until_done(&op.wait);
        if (rc == 0) {
            sley_fd_init_from(&got[done++], &op);
        }
    }
    CHECK_RC(rc, -EMFILE);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &was), ==, 0);
    while (done < CONNS) { /* the others are still there */
        ask(&op, &l);
        rc = until_done(&op.wait);
        CHECK(rc == 0 || rc == -EMFILE); /* which may have been met while nobody waited */
        if (rc == 0) {
            sley_fd_init_from(&got[done++], &op);
        }
    }
    for (uint32_t i = 0; i < CONNS; i++) {
        uint32_t tag = CONNS;
        CHECK_RC(io(&got[i], SLEY_IO_RECV, &tag, sizeof tag), sizeof tag);
        CHECK_UINT(tag, ==, i);
        CHECK_RC(sley_fd_close(&got[i]), 0);
        (void)close(peers[i]);
    }
    CHECK_RC(sley_fd_close(&l), 0);
}

SLEY_TEST(numbers_that_run_out_are_told_to_who_asks_and_no_connection_is_lost, "")
{
    in_ring((struct sley__uring_opts){0}, out_of_numbers);
    in_ring((struct sley__uring_opts){.without = uring_without("accept_multi")}, out_of_numbers);
}

/* ---- direct ------------------------------------------------------------------------------------------------------------ */

static void both_kinds(void)
{
    struct sley_fd l;
    struct sley_io_op op = {0}, plain = {0};
    listen_at(&l);
    warm_up(&l, &op);
    const bool stood = stands(&l);
    CHECK(stood == can_stand());
    direct = false; /* asks otherwise: what stands gives way */
    ask(&plain, &l);
    direct = true;
    while (stood && stands(&l)) {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    const int peers[2] = {dial(8), dial(8)};
    CHECK_RC(until_done(&op.wait), 0);
    check_mine(&op, peers[0], 8);
    CHECK_RC(until_done(&plain.wait), 0);
    direct = false;
    check_mine(&plain, peers[1], 8);
    direct = true;
    CHECK_RC(sley_fd_close(&l), 0);
    CHECK_UINT(ring()->direct_count, ==, 0);
}

static void check_ring_empty(void)
{
    CHECK_UINT(ring()->direct_count + ring()->standing_count + ring()->flying_count, ==, 0);
}

/** The number of the process that comes next cannot be had. */
static void without_numbers(struct rlimit *ret_was)
{
    struct rlimit small;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, ret_was), ==, 0);
    small = *ret_was;
    const int next = dup(0);
    CHECK_INT(next, >=, 0);
    (void)close(next);
    small.rlim_cur = (rlim_t)next;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &small), ==, 0);
}

/** As take_one, whatever lies there: one that is asked for as a plain one is plain, but a direct one may have come as a plain one. */
static void take_either(struct sley_fd *listener, int peer, uint32_t tag)
{
    const bool asked = direct;
    struct sley_io_op op = {0};
    ask(&op, listener);
    CHECK_RC(until_done(&op.wait), 0);
    direct = op.out_number >= SLEY_FD_DIRECT_FIRST;
    CHECK(asked || !direct);
    check_mine(&op, peer, tag);
    direct = asked;
}

/** Direct connections lie there, and are asked for in either way: each is somebody's, in order. */
static void direct_for_plain(void)
{
    enum { CONNS = 12 };
    struct sley_fd l;
    struct sley_io_op op = {0};
    struct rlimit was;
    int peers[CONNS];
    listen_at(&l);
    warm_up(&l, &op);
    const bool all_lie = can_stand() && ring()->ring.sq.ring_entries > CONNS; /* else a plain one that stands may bring them */
    CHECK(stands(&l) == can_stand());
    const int first = dial(77);
    dial_all(peers, CONNS);
    CHECK_RC(until_done(&op.wait), 0);
    check_mine(&op, first, 77);
    uint32_t at = 0;
    for (; at < CONNS / 2; at++) {
        direct = at % 3 == 0;
        take_either(&l, peers[at], at);
    }
    direct = false;
    for (; at < CONNS - 1; at++) {
        ask(&op, &l);
        sley_wait_cancel(&op.wait);
        const int32_t rc = until_done(&op.wait);
        CHECK(rc == 0 || rc == -ECANCELED);
        if (rc == 0) {
            check_mine(&op, peers[at], at);
        } else {
            take_one(&l, peers[at], at);
        }
    }
    without_numbers(&was);
    ask(&op, &l);
    const int32_t rc = until_done(&op.wait);
    CHECK(rc == -EMFILE || (rc == 0 && !all_lie));
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &was), ==, 0);
    if (rc == 0) {
        check_mine(&op, peers[at], at);
    } else {
        take_one(&l, peers[at], at); /* it is still there */
    }
    direct = true;
    take_either(&l, dial(5), 5);
    CHECK_RC(sley_fd_close(&l), 0);
    check_ring_empty();
}

/** Plain connections lie there, and direct ones are asked for: what came before that is plain. */
static void plain_for_direct(void)
{
    enum { CONNS = 6 };
    struct sley_fd l;
    struct sley_io_op op = {0};
    int peers[CONNS];
    direct = false;
    listen_at(&l);
    warm_up(&l, &op);
    const int first = dial(77);
    dial_all(peers, CONNS);
    CHECK_RC(until_done(&op.wait), 0);
    check_mine(&op, first, 77);
    for (uint32_t i = 0, lay = lying(&l); i < CONNS; i++) {
        direct = true;
        ask(&op, &l);
        CHECK_RC(until_done(&op.wait), 0);
        direct = op.out_number >= SLEY_FD_DIRECT_FIRST;
        CHECK(i >= lay || !direct);
        check_mine(&op, peers[i], i);
    }
    direct = true;
    CHECK_RC(sley_fd_close(&l), 0);
    check_ring_empty();
}

/** A listener that is closed beside an accept whose connection is just being given a number. */
static void close_while_it_becomes_plain(void)
{
    struct sley_fd l;
    struct sley_io_op op = {0}, plain = {0};
    listen_at(&l);
    warm_up(&l, &op);
    const int peers[3] = {dial(0), dial(1), dial(2)};
    CHECK_RC(until_done(&op.wait), 0);
    check_mine(&op, peers[0], 0);
    direct = false;
    ask(&plain, &l);
    CHECK_RC(sley_fd_close(&l), 0);
    const int32_t rc = until_done(&plain.wait);
    CHECK(rc == 0 || rc == -ECANCELED);
    if (rc == 0) {
        check_mine(&plain, peers[1], 1);
    } else {
        CHECK(has_ended(peers[1]));
    }
    direct = true;
    CHECK(has_ended(peers[2]));
    check_ring_empty();
}

static void raise_limit(void)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    if (limit.rlim_max <= 2 * 8192) {
        harness_note("tables have %llu places at most: none stands", (unsigned long long)limit.rlim_max);
    }
    direct = true;
}

SLEY_TEST(connections_of_either_kind_that_lie_there_are_the_next_ones_whatever_that_asks_for, "URING-06")
{
    static const char *const kernels[] = {"", "fd_install", "accept_multi", "cqe_skip defer_taskrun"};
    raise_limit();
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        const uint32_t without = uring_without(kernels[i]);
        in_ring((struct sley__uring_opts){.without = without}, direct_for_plain);
        in_ring((struct sley__uring_opts){.without = without}, plain_for_direct);
        in_ring((struct sley__uring_opts){.without = without}, close_while_it_becomes_plain);
    }
    in_ring((struct sley__uring_opts){.entry_count = 2, .result_count = 2}, direct_for_plain);
    in_ring((struct sley__uring_opts){.entry_count = 4, .result_count = 8, .enter = moody}, direct_for_plain);
    in_ring((struct sley__uring_opts){.entry_count = 2, .result_count = 2}, plain_for_direct);
    in_ring((struct sley__uring_opts){.entry_count = 2, .result_count = 2}, close_while_it_becomes_plain);
}

SLEY_TEST_SECONDS(direct_accepts_stand_where_the_table_has_room_to_spare, "URING-06", 60)
{
    raise_limit();
    in_ring((struct sley__uring_opts){0}, unasked);
    in_ring((struct sley__uring_opts){0}, burst);
    in_ring((struct sley__uring_opts){0}, close_with_some);
    in_ring((struct sley__uring_opts){0}, cancel_and_dial);
    in_ring((struct sley__uring_opts){0}, both_kinds);
    in_ring((struct sley__uring_opts){.direct_count = 200}, burst); /* none stands */
    in_ring((struct sley__uring_opts){.direct_count = 200}, both_kinds);
}
