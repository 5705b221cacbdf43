/* A ring whose thread has ended with ops in flight: whoever drives next goes on with them, and every end ends. */
#include "uring_heir_bed.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- sockets ------------------------------------------------------------------------------------------------------------- */

static struct sley_fd fds[3];
static int peers[3];
static char byte;
static int told;

static void receive(void)
{
    peers[0] = tcp_pair(&fds[0]);
    CHECK_RC(io(&fds[0], SLEY_IO_RECV, &byte, 1), 1);
    CHECK_INT(byte, ==, 'x');
    CHECK_RC(sley_fd_close(&fds[0]), 0);
    told++;
}

static void wait_for_readiness(void)
{
    peers[1] = unix_pair(&fds[1]);
    CHECK_RC(sley_fd_poll(&fds[1], SLEY_IO_IN), SLEY_IO_IN);
    CHECK_RC(sley_fd_close(&fds[1]), 0);
    told++;
}

/** More than the socket takes. */
static void send_much(void)
{
    static char much[8 << 20];
    peers[2] = unix_pair(&fds[2]);
    struct sley_io_op op = {.fd = &fds[2], .buf = much, .len = sizeof much, .code = SLEY_IO_SEND, .flags = SLEY_IO_ALL};
    CHECK_RC(sley_io_run(&op), 0);
    CHECK_RC(sley_fd_close(&fds[2]), 0);
    told++;
}

static void *take_much(void *number)
{
    static char some[1 << 16];
    size_t had = 0;
    for (ssize_t n = 1; n > 0; had += (size_t)n) {
        n = recv(*(int *)number, some, sizeof some, 0);
    }
    CHECK_UINT(had, ==, 8 << 20);
    return number;
}

SLEY_TEST(ops_of_a_thread_that_has_ended_are_gone_on_with_by_the_next, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        pthread_t taker;
        open_on(kernels[i]);
        told = 0;
        spawn(receive);
        spawn(wait_for_readiness);
        spawn(send_much);
        ring_run_and_end(&the_bed, hand_over);
        ring_run_and_end(&the_bed, hand_over); /* and once more */
        CHECK_INT(told, ==, 0);
        put(peers[0], "x");
        put(peers[1], "x");
        CHECK_INT(pthread_create(&taker, NULL, take_much, &peers[2]), ==, 0);
        CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
        CHECK_INT(pthread_join(taker, NULL), ==, 0);
        CHECK_INT(told, ==, 3);
        for (int n = 0; n < 3; n++) {
            (void)close(peers[n]);
        }
        bed_end(&the_bed);
    }
}

/** What comes between the end of the thread and the next one's beginning. */
SLEY_TEST(what_came_after_the_thread_had_ended_is_not_lost, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        open_on(kernels[i]);
        told = 0;
        spawn(receive);
        ring_run_and_end(&the_bed, hand_over);
        put(peers[0], "x");
        CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
        CHECK_INT(told, ==, 1);
        (void)close(peers[0]);
        bed_end(&the_bed);
    }
}

static struct sockaddr_in addr;
static struct sley_fd listener;
static uint32_t accepted;

static void serve(void)
{
    sley_fd_init(&listener, tcp_listener(&addr, 64));
    struct sley_io_op op = {.fd = &listener, .code = SLEY_IO_ACCEPT};
    for (accepted = 0; accepted < 5; accepted++) {
        struct sley_fd fd;
        CHECK_RC(sley_io_run(&op), 0);
        sley_fd_init_from(&fd, &op);
        CHECK_RC(sley_fd_close(&fd), 0);
    }
    CHECK_RC(sley_fd_close(&listener), 0);
}

static void dial_three(void)
{
    hand_over();
    for (uint32_t n = 1; n <= 3; n++) {
        (void)close(tcp_dial(&addr));
        while (accepted < n) {
            CHECK_RC(sley_yield(), 0);
        }
    }
    hand_over();
}

static struct receive lent;
static void read_lent(void)
{
    lend(4096, 16);
    peers[0] = tcp_pair(&fds[0]);
    for (int i = 0; i < 5; i++) {
        CHECK_RC(sley_fd_recv_lent(&fds[0], &lent.lent), 3);
        CHECK(memcmp(lent.lent->data, "abc", 3) == 0);
        CHECK_RC(sley_lent_return(lent.lent), 0);
        told++;
    }
    CHECK_RC(sley_fd_close(&fds[0]), 0);
}

static void send_three(void)
{
    hand_over();
    for (int n = 1; n <= 3; n++) {
        put(peers[0], "abc");
        while (told < n) {
            CHECK_RC(sley_yield(), 0);
        }
    }
    hand_over();
}

static void until_four(void)
{
    while (accepted < 4 || told < 4) {
        CHECK_RC(sley_yield(), 0);
    }
}

SLEY_TEST(what_stood_for_a_thread_that_has_ended_stands_for_the_next, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        open_on(kernels[i]);
        told = 0;
        spawn(serve);
        ring_run_and_end(&the_bed, dial_three);
        spawn(read_lent);
        ring_run_and_end(&the_bed, send_three);
        (void)close(tcp_dial(&addr));
        put(peers[0], "abc");
        ring_run_one(&the_bed, until_four);
        (void)close(tcp_dial(&addr));
        put(peers[0], "abc");
        CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
        CHECK_UINT(accepted, ==, 5);
        CHECK_INT(told, ==, 5);
        (void)close(peers[0]);
        bed_end(&the_bed);
    }
}

static void connect_slowly(void)
{
    const int n = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sley_fd_init(&fds[0], n);
    CHECK_RC(io(&fds[0], SLEY_IO_CONNECT, &addr, sizeof addr), 0);
    CHECK_RC(sley_fd_close(&fds[0]), 0);
    told++;
}

SLEY_TEST(connection_under_way_when_its_thread_ended_comes_about, "URING-12")
{
    const int full = tcp_listener(&addr, 0);
    const int first = tcp_dial(&addr);
    wait_in(full); /* the queue holds no more: what knocks now knocks again in a second */
    for (size_t i = 0; i < 1; i++) {
        open_on(kernels[i]);
        told = 0;
        spawn(connect_slowly);
        ring_run_and_end(&the_bed, hand_over);
        CHECK_INT(told, ==, 0);
        ring_run_one(&the_bed, hand_over);
        (void)close(accept(full, NULL, NULL));
        CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
        CHECK_INT(told, ==, 1);
        bed_end(&the_bed);
    }
    (void)close(first);
    (void)close(full);
}

/* ---- every end ends ------------------------------------------------------------------------------------------------------ */

static void wait_for_good(void)
{
    peers[0] = tcp_pair(&fds[0]);
    told = io(&fds[0], SLEY_IO_RECV, &byte, 1);
    CHECK_RC(sley_fd_close(&fds[0]), 0);
}

SLEY_TEST(stop_and_end_after_the_thread_has_ended_do_end, "SHUT-03 URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        open_on(kernels[i]);
        spawn(wait_for_good);
        ring_run_and_end(&the_bed, hand_over);
        CHECK_RC(the_bed.ex.base.ops->stop(&the_bed.ex.base, SLEY_NEVER), 0);
        CHECK_RC(told, -ECANCELED);
        bed_end(&the_bed);
        (void)close(peers[0]);
    }
}

static SLEY_ATOMIC(uint32_t) guest_may_come;
static int32_t guest_rc;

static void *guest_main(void *unused)
{
    /* acquire: the descriptor is at home by now; pairs with have_a_guest */
    while (!atomic_load_explicit(&guest_may_come, memory_order_acquire)) {
        (void)sched_yield();
    }
    guest_rc = io(&fds[0], SLEY_IO_RECV, &byte, 1);
    return unused;
}

static void have_a_guest(void)
{
    put(peers[0], "x");
    CHECK_RC(io(&fds[0], SLEY_IO_RECV, &byte, 1), 1);
    /* release: see guest_main */
    atomic_store_explicit(&guest_may_come, 1, memory_order_release);
    while (reactor()->armed_count == 0) {
        CHECK_RC(sley_yield(), 0);
    }
    CHECK_INT(look(0), >=, 0);
}

SLEY_TEST(end_after_the_thread_has_ended_tells_guests_and_is_not_refused, "SHUT-02 URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        pthread_t guest;
        open_on(kernels[i]);
        peers[0] = tcp_pair(&fds[0]);
        /* relaxed: nobody else is there */
        atomic_store_explicit(&guest_may_come, 0, memory_order_relaxed);
        CHECK_INT(pthread_create(&guest, NULL, guest_main, NULL), ==, 0);
        ring_run_and_end(&the_bed, have_a_guest);
        CHECK_RC(the_bed.ex.base.ops->fini(&the_bed.ex.base), 0);
        CHECK_INT(pthread_join(guest, NULL), ==, 0);
        CHECK(guest_rc == -ECANCELED || guest_rc == -ENODEV);
        CHECK_RC(sley_fd_close(&fds[0]), 0);
        (void)close(peers[0]);
    }
}

/* ---- direct descriptors ---------------------------------------------------------------------------------------------------- */

static struct sley_fd direct[2];

static void hold_direct(void)
{
    sley_fd_init(&listener, tcp_listener(&addr, 8));
    for (int i = 0; i < 2; i++) {
        struct sley_io_op op = {.fd = &listener, .code = SLEY_IO_ACCEPT, .flags = SLEY_IO_DIRECT};
        peers[i] = tcp_dial(&addr);
        CHECK_RC(sley_io_run(&op), 0);
        sley_fd_init_from(&direct[i], &op);
    }
    CHECK(sley_fd_is_direct(&direct[0]) == sley__uring_has(ring(), SLEY__URING_DIRECT));
    told = io(&direct[0], SLEY_IO_RECV, &byte, 1);
}

static void go_on_without(void)
{
    const bool was_direct = sley_fd_is_direct(&direct[1]);
    char text[4];
    struct sley_io_op op = {.fd = &listener, .code = SLEY_IO_ACCEPT, .flags = SLEY_IO_DIRECT};
    const int peer = tcp_dial(&addr);
    struct sley_fd fd;
    if (was_direct) { /* it has ended with the ring, and its number is nobody else's */
        CHECK_RC(told, -EBADF);
        CHECK_RC(io(&direct[1], SLEY_IO_RECV, text, sizeof text), -EBADF);
        CHECK_INT(recv(peers[1], text, sizeof text, 0), ==, 0);
    }
    CHECK_RC(sley_io_run(&op), 0);
    sley_fd_init_from(&fd, &op);
    CHECK(!was_direct || !sley_fd_is_direct(&fd));
    put(peer, "ab");
    CHECK_RC(io(&fd, SLEY_IO_RECV, text, sizeof text), 2);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(sley_fd_close(&direct[0]), 0);
    CHECK_RC(sley_fd_close(&direct[1]), 0);
    CHECK_RC(sley_fd_close(&listener), 0);
    (void)close(peer);
}

SLEY_TEST(direct_connections_end_with_the_thread_and_their_numbers_stay_theirs, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        open_on(kernels[i]);
        if (!sley__uring_has(sley_container_of(the_bed.ex.base.ops->sched(&the_bed.ex.base)->reactor, struct sley__uring, base),
                             SLEY__URING_DEFER) ||
            strstr(kernels[i], "direct")) {
            bed_end(&the_bed);
            continue;
        }
        spawn(hold_direct);
        ring_run_and_end(&the_bed, hand_over);
        ring_run_one(&the_bed, hand_over);
        ring_run_one(&the_bed, go_on_without);
        CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
        bed_end(&the_bed);
        (void)close(peers[0]);
        (void)close(peers[1]);
    }
}

/* ---- what the kernel goes on with by itself -------------------------------------------------------------------------------- */

static int held; /* the calls of the ring's thread, so that it hears of nothing */
static int32_t synced;

/** Submits, and does not ask what has come. */
static int hard_of_hearing(struct sley__uring *r, unsigned count, unsigned least, unsigned flags, void *arg, size_t size)
{
    if (held == 2 && count > 0 && r->ring.sq.sqes[(*r->ring.sq.ktail - 1) & r->ring.sq.ring_mask].user_data == SLEY__URING_WITNESS) {
        return -EAGAIN; /* the kernel has no memory at the moment */
    }
    const unsigned deaf = held == 1 ? flags & ~(unsigned)IORING_ENTER_GETEVENTS : flags;
    return sley__uring_syscall_enter(r->enter_fd, count, held == 1 ? 0 : least, deaf | r->enter_flags, arg, size);
}

static void sync_file(void)
{
    char path[] = "/tmp/sley-heir-XXXXXX";
    const int n = mkstemp(path);
    CHECK_INT(n, >=, 0);
    CHECK_INT(unlink(path), ==, 0);
    struct sley_fd fd;
    sley_fd_init(&fd, n);
    struct sley_file_op op = {.io = {.fd = &fd, .code = SLEY_IO_FSYNC}};
    synced = sley_io_run(&op.io);
    CHECK_RC(sley_fd_close(&fd), 0);
    told++;
}

static void zero_copy(void)
{
    static char buf[64 << 10];
    peers[0] = tcp_pair(&fds[0]);
    struct sley_file_op op = {.io = {.fd = &fds[0], .buf = buf, .len = sizeof buf, .code = SLEY_IO_SEND_ZC}};
    const int32_t n = sley_io_run(&op.io);
    CHECK(n > 0 || n == -EOWNERDEAD);
    CHECK_RC(sley_fd_close(&fds[0]), 0);
    told++;
}

/** More than the socket takes: it waits for room. */
static void zero_copy_to_a_full_one(void)
{
    static char buf[64 << 10];
    peers[0] = tcp_pair(&fds[0]);
    while (send(fds[0].number, buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    struct sley_file_op op = {.io = {.fd = &fds[0], .buf = buf, .len = sizeof buf, .code = SLEY_IO_SEND_ZC}};
    synced = sley_io_run(&op.io);
    CHECK_RC(sley_fd_close(&fds[0]), 0);
    told++;
}

static void *take_all(void *number)
{
    static char some[1 << 16];
    while (recv(*(int *)number, some, sizeof some, 0) > 0) {
    }
    return number;
}

SLEY_TEST(send_without_a_copy_that_waited_is_done_by_the_next_thread_where_the_ring_is_nobodys, "URING-12")
{
    pthread_t taker;
    open_on("defer_taskrun");
    told = 0;
    spawn(zero_copy_to_a_full_one);
    ring_run_and_end(&the_bed, hand_over);
    CHECK_INT(told, ==, 0);
    CHECK_INT(pthread_create(&taker, NULL, take_all, &peers[0]), ==, 0);
    CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
    CHECK_INT(told, ==, 1);
    CHECK_INT(synced, >, 0);
    CHECK_INT(pthread_join(taker, NULL), ==, 0);
    (void)close(peers[0]);
    bed_end(&the_bed);
}

static void hold_and_hand_over(void)
{
    held = 1;
    hand_over();
}

static void open_deaf(void)
{
    ring_start(&the_bed, (struct sley__uring_opts){.enter = hard_of_hearing});
    told = 0;
}

SLEY_TEST(file_op_that_nobody_heard_the_end_of_says_that_its_owner_is_dead, "URING-12")
{
    open_deaf();
    spawn(sync_file);
    ring_run_and_end(&the_bed, hold_and_hand_over);
    CHECK_INT(told, ==, 0);
    held = 0;
    CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
    CHECK_RC(synced, harness_under_valgrind() ? 0 : -EOWNERDEAD); /* there the ring is any thread's, and nothing is lost */
    CHECK_INT(told, ==, 1);
    bed_end(&the_bed);
}

SLEY_TEST(stop_ends_beside_file_ops_and_sends_of_a_thread_that_has_ended, "SHUT-03 URING-12")
{
    open_deaf();
    spawn(sync_file);
    spawn(zero_copy);
    ring_run_and_end(&the_bed, hold_and_hand_over);
    held = 0;
    CHECK_RC(the_bed.ex.base.ops->stop(&the_bed.ex.base, SLEY_NEVER), 0);
    CHECK_INT(told, ==, 2);
    bed_end(&the_bed);
    (void)close(peers[0]);
}

/* ---- what is lost, beside a ring that is another's ------------------------------------------------------------------------- */

static int old_ring; /* keeps it from ending, as the child of a fork does */

static void keep_and_hand_over(void)
{
    hold_and_hand_over();
    old_ring = dup(ring()->ring.ring_fd);
    CHECK_INT(old_ring, >=, 0);
}

static void end_of_the_old_ring(void)
{
    (void)close(old_ring);
    put(peers[0], "x");
    CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
    CHECK_RC(synced, -EOWNERDEAD);
    CHECK_INT(told, ==, 2);
    bed_end(&the_bed);
    (void)close(peers[0]);
}

/** The second one's receive is in flight when it ends, too, and only then does the first one's ring end. */
SLEY_TEST(two_threads_that_have_ended_in_turn_leave_nothing_behind, "URING-12")
{
    open_deaf();
    spawn(sync_file);
    ring_run_and_end(&the_bed, keep_and_hand_over);
    held = 0;
    spawn(receive);
    ring_run_and_end(&the_bed, hand_over);
    CHECK_INT(told, ==, 0);
    end_of_the_old_ring();
}

static void look_once(void)
{
    CHECK_INT(look(0), >=, 0);
}

/** A third one looks while the second, which has taken the ring over, lives: its queue is emptied, and the first one's ring ends then. */
SLEY_TEST(what_is_lost_is_told_though_a_third_thread_has_looked, "URING-12")
{
    open_deaf();
    spawn(sync_file);
    ring_run_and_end(&the_bed, keep_and_hand_over);
    held = 2; /* what is to tell of the first one's end stays in the queue */
    spawn(receive);
    ring_run_one(&the_bed, nothing);
    ring_run_and_end(&the_bed, look_once);
    held = 0;
    end_of_the_old_ring();
}

static void stand_for_nobody(void)
{
    struct receive x = {.lent = NULL};
    lend(4096, 16);
    peers[1] = tcp_pair(&fds[1]);
    for (int i = 0; i < 3; i++) {
        start(&x, &fds[1]);
        put(peers[1], "abc");
        expect(&x, "abc");
    }
    hand_over();
}

static void inherit_and_close(void)
{
    struct sley_io_op op = {.fd = &fds[1], .code = SLEY_IO_CLOSE, .flags = SLEY_IO_UNHEARD};
    CHECK_INT(look(SLEY_MS), >=, 0); /* takes the ring over; what stood has not been told yet */
    sley_io_submit(&op);
    while (ring()->standing_count > 0) {
        CHECK_INT(look(SLEY_MS), >=, 0);
    }
    CHECK_INT(recv(peers[1], &byte, 1, 0), ==, 0); /* its end */
}

SLEY_TEST(close_that_nobody_waits_for_ends_what_stood_for_a_thread_that_has_ended, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        open_on(kernels[i]);
        told = 0;
        spawn(receive);
        ring_run_and_end(&the_bed, stand_for_nobody);
        ring_run_one(&the_bed, inherit_and_close);
        put(peers[0], "x");
        CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
        CHECK_INT(told, ==, 1);
        (void)close(peers[0]);
        (void)close(peers[1]);
        bed_end(&the_bed);
    }
}

static void read_direct_and_file(void)
{
    hold_direct();
    CHECK_RC(sley_fd_close(&direct[0]), 0);
    CHECK_RC(sley_fd_close(&direct[1]), 0);
    CHECK_RC(sley_fd_close(&listener), 0);
}

SLEY_TEST(witness_and_direct_connections_share_a_table, "URING-12")
{
    open_on("");
    ring_run_one(&the_bed, sync_file);
    CHECK_RC(synced, 0);
    spawn(read_direct_and_file);
    ring_run_one(&the_bed, hand_over);
    struct sley__uring *r = sley_container_of(the_bed.ex.base.ops->sched(&the_bed.ex.base)->reactor, struct sley__uring, base);
    CHECK(!sley__uring_has(r, SLEY__URING_DEFER) || r->witness >= 0);
    ring_run_one(&the_bed, sync_file);
    CHECK_RC(synced, 0);
    put(peers[0], "x");
    CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
    CHECK_INT(told, ==, 1);
    ring_run_one(&the_bed, nothing);
    bed_end(&the_bed);
    (void)close(peers[0]);
    (void)close(peers[1]);
}

/* ---- a queue that is full when the next one comes --------------------------------------------------------------------------- */

enum { SOME_PAIRS = 8 };
static struct sley_fd some[SOME_PAIRS];
static int some_peers[SOME_PAIRS];
static struct sley_io_op some_ops[SOME_PAIRS];
static char some_bytes[SOME_PAIRS];

/** The first that finds no place is armed while the ring is taken over: it is submitted once. */
static void start_more_than_fit(void)
{
    for (int i = 0; i < SOME_PAIRS; i++) {
        some_peers[i] = unix_pair(&some[i]);
        io_start(&some_ops[i], &some[i], SLEY_IO_RECV, &some_bytes[i], 1);
    }
    for (int i = 0; i < SOME_PAIRS; i++) {
        put(some_peers[i], "ab");
        CHECK_RC(until_done(&some_ops[i].wait), 1);
        CHECK_INT(some_bytes[i], ==, 'a');
    }
    CHECK_INT(look(0), >=, 0);
    CHECK_UINT(ring()->flying_count, ==, reactor()->armed_count);
    for (int i = 0; i < SOME_PAIRS; i++) { /* what would be there twice would have taken this */
        CHECK_RC(io(&some[i], SLEY_IO_RECV, &some_bytes[i], 1), 1);
        CHECK_INT(some_bytes[i], ==, 'b');
        CHECK_RC(sley_fd_close(&some[i]), 0);
        (void)close(some_peers[i]);
    }
}

SLEY_TEST(op_that_finds_a_full_queue_of_a_thread_that_has_ended_is_submitted_once, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        harness_note("without: %s", kernels[i]);
        ring_start(&the_bed, (struct sley__uring_opts){.entry_count = 4, .without = uring_without(kernels[i])});
        told = 0;
        spawn(receive);
        ring_run_and_end(&the_bed, hand_over);
        ring_run_one(&the_bed, start_more_than_fit);
        put(peers[0], "x");
        CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
        CHECK_INT(told, ==, 1);
        (void)close(peers[0]);
        bed_end(&the_bed);
    }
}

/* ---- a lent receive, on any kernel ---------------------------------------------------------------------------------------- */

static void read_lent_once(void)
{
    lend(4096, 16);
    peers[0] = tcp_pair(&fds[0]);
    CHECK_RC(sley_fd_recv_lent(&fds[0], &lent.lent), 3);
    CHECK(memcmp(lent.lent->data, "abc", 3) == 0);
    CHECK_RC(sley_lent_return(lent.lent), 0);
    CHECK_RC(sley_fd_close(&fds[0]), 0);
    told++;
}

SLEY_TEST(lent_receive_of_a_thread_that_has_ended_is_gone_on_with_by_the_next, "URING-12")
{
    static const char *const without[] = {"", "recv_multi", "buffer_ring", "defer_taskrun", "defer_taskrun buffer_ring"};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        open_on(without[i]);
        told = 0;
        spawn(read_lent_once);
        ring_run_and_end(&the_bed, hand_over);
        CHECK_INT(told, ==, 0);
        put(peers[0], "abc");
        CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
        CHECK_INT(told, ==, 1);
        (void)close(peers[0]);
        bed_end(&the_bed);
    }
}

/* ---- results that did not fit --------------------------------------------------------------------------------------------- */

static struct receive many[SOME_PAIRS];

/** What the peers have sent has been taken from the sockets, and told to a queue that has no room for it. */
static void stand_and_hear_half(void)
{
    lend(4096, 64);
    for (int i = 0; i < SOME_PAIRS; i++) {
        some_peers[i] = tcp_pair(&some[i]);
        for (int n = 0; n < 3; n++) {
            start(&many[i], &some[i]);
            put(some_peers[i], "abc");
            expect(&many[i], "abc");
        }
        CHECK(stands(&some[i]) == sley__uring_has(ring(), SLEY__URING_RECV_MULTI));
    }
    for (int i = 0; i < SOME_PAIRS; i++) {
        put(some_peers[i], "def");
    }
    CHECK_INT(look(0), >=, 0);
}

/** It keeps the thread from asking what stands to end. */
static void receive_or_lose(void)
{
    peers[0] = tcp_pair(&fds[0]);
    const int32_t n = io(&fds[0], SLEY_IO_RECV, &byte, 1);
    CHECK(n == 1 || n == -EOWNERDEAD);
    CHECK_RC(sley_fd_close(&fds[0]), 0);
    told++;
}

/** Nothing is missing without a word. */
static void receive_or_be_told(void)
{
    for (int i = 0; i < SOME_PAIRS; i++) {
        put(some_peers[i], "ghi");
        start(&many[i], &some[i]);
        const int32_t n = until_done(&many[i].op.wait);
        if (n != -EOWNERDEAD) {
            CHECK_INT(n, >=, 3);
            CHECK(memcmp(many[i].lent->data, "def", 3) == 0);
            CHECK_RC(sley_lent_return(many[i].lent), 0);
        }
        CHECK_RC(sley_fd_close(&some[i]), 0);
        (void)close(some_peers[i]);
    }
}

SLEY_TEST(bytes_that_a_thread_has_not_heard_of_in_time_are_not_missing_without_a_word, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        harness_note("without: %s", kernels[i]);
        ring_start(&the_bed, (struct sley__uring_opts){.entry_count = 2, .result_count = 2, .without = uring_without(kernels[i])});
        told = 0;
        spawn(receive_or_lose);
        ring_run_and_end(&the_bed, stand_and_hear_half);
        ring_run_one(&the_bed, nothing);
        ring_run_one(&the_bed, receive_or_be_told);
        put(peers[0], "x");
        CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
        CHECK_INT(told, ==, 1);
        (void)close(peers[0]);
        bed_end(&the_bed);
    }
}
