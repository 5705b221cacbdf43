/* Direct descriptors: places in the ring's own table of files. Who takes them, who gives them back, and who may not use them. */
#include "uring_bed.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DIRECT(n) ((struct sley__uring_opts){.direct_count = (n)})

static struct sockaddr_in listen_addr;

static void open_listener(struct sley_fd *ret_fd)
{
    sley_fd_init(ret_fd, tcp_listener(&listen_addr, 64));
}

static void accept_start(struct sley_io_op *op, struct sley_fd *listener)
{
    op->fd = listener;
    op->code = SLEY_IO_ACCEPT;
    op->flags = SLEY_IO_DIRECT;
    op->end = NULL;
    sley_io_submit(op);
}

static int accept_direct(struct sley_fd *listener, struct sley_fd *ret_fd)
{
    struct sley_io_op op = {0};
    accept_start(&op, listener);
    const int rc = sley_await(&op.wait);
    if (rc == 0) {
        sley_fd_init_from(ret_fd, &op);
        sley_fd_set_stream(ret_fd);
    }
    return rc;
}

/** A direct connection, and its peer as a plain blocking number. */
static int direct_pair(struct sley_fd *ret_fd)
{
    struct sley_fd listener;
    open_listener(&listener);
    const int peer = tcp_dial(&listen_addr);
    CHECK_RC(accept_direct(&listener, ret_fd), 0);
    CHECK(sley_fd_is_direct(ret_fd));
    CHECK_RC(sley_fd_close(&listener), 0);
    return peer;
}

static bool has_ended(int peer)
{
    char byte;
    return recv(peer, &byte, 1, 0) == 0;
}

static unsigned open_count(void)
{
    unsigned n = 0;
    for (int i = 0; i < 1024; i++) {
        n += fcntl(i, F_GETFD) >= 0;
    }
    return n;
}

static int shut(struct sley_fd *fd, int how)
{
    struct sley_file_op op = {.io = {.fd = fd, .code = SLEY_IO_SHUTDOWN}, .how = (uint32_t)how};
    return sley_io_run(&op.io);
}

/* ---- what they can do ------------------------------------------------------------------------------------------------------- */

static void converse(void)
{
    struct sley_fd fd;
    char buf[16];
    const unsigned before = open_count();
    const int peer = direct_pair(&fd);
    CHECK_UINT(open_count(), ==, before + 1); /* the peer's */
    CHECK_UINT(ring()->direct_count, ==, 1);
    CHECK_INT(fcntl(fd.number, F_GETFD), ==, -1);
    CHECK_INT(errno, ==, EBADF);
    CHECK_RC(io(&fd, SLEY_IO_SEND, (char *)"hello", 5), 5);
    CHECK_INT(recv(peer, buf, sizeof buf, 0), ==, 5);
    for (int i = 0; i < 3; i++) { /* with POLL_FIRST, too */
        put(peer, "abc");
        CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 3);
    }
    struct sley_io_op op = {0};
    io_start_all(&op, &fd, SLEY_IO_RECV, buf, 6);
    put(peer, "abc");
    CHECK_INT(look(0), >=, 0);
    put(peer, "def");
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_INT(memcmp(buf, "abcdef", 6), ==, 0);
    struct iovec iov = {.iov_base = buf, .iov_len = 3};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    CHECK_RC(io(&fd, SLEY_IO_SENDMSG, &m, 0), 3);
    CHECK_INT(recv(peer, buf, sizeof buf, 0), ==, 3);
    CHECK_RC(sley_fd_poll(&fd, SLEY_IO_OUT), SLEY_IO_OUT);
    put(peer, "x");
    CHECK_RC(sley_fd_poll(&fd, SLEY_IO_IN), SLEY_IO_IN);
    CHECK_RC(io(&fd, SLEY_IO_RECVMSG, &m, 0), 1);
    struct sley_file_op zc = {.io = {.fd = &fd, .buf = buf, .len = 4, .code = SLEY_IO_SEND_ZC}};
    CHECK_RC(sley_io_run(&zc.io), 4);
    CHECK_INT(recv(peer, buf, sizeof buf, 0), ==, 4);
    CHECK_RC(shut(&fd, SHUT_WR), 0);
    CHECK(has_ended(peer));
    put(peer, "late");
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 4);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), -EBADF);
    CHECK_UINT(ring()->direct_count, ==, 0);
    (void)close(peer);
}

SLEY_TEST(direct_connection_takes_no_number_and_does_all_that_a_socket_does, "")
{
    in_ring(DIRECT(4), converse);
    in_ring((struct sley__uring_opts){.direct_count = 4, .without = uring_without("cqe_skip poll_first defer_taskrun coop_taskrun")},
            converse);
}

static void refuse_rest(void)
{
    struct sley_fd fd, other;
    struct statx st;
    char buf[4];
    const int peer = direct_pair(&fd), plain = unix_pair(&other);
    struct sley_file_op op = {.io = {.fd = &fd, .buf = &st, .code = SLEY_IO_STAT}};
    CHECK_RC(sley_io_run(&op.io), -ENOTSUP);
    op = (struct sley_file_op){.io = {.fd = &fd, .len = 4, .code = SLEY_IO_SPLICE}, .a.to = &other};
    CHECK_RC(sley_io_run(&op.io), -ENOTSUP);
    op = (struct sley_file_op){.io = {.fd = &other, .len = 4, .code = SLEY_IO_SPLICE}, .a.to = &fd};
    CHECK_RC(sley_io_run(&op.io), -ENOTSUP);
    op = (struct sley_file_op){.io = {.fd = &fd, .buf = buf, .len = 4, .code = SLEY_IO_READ}, .offset = SLEY_FILE_HERE};
    CHECK_RC(sley_io_run(&op.io), -ENOTSUP);
    struct sley_fd guessed;
    sley_fd_init(&guessed, fd.number);
    CHECK_RC(io(&guessed, SLEY_IO_RECV, buf, sizeof buf), -EBADF); /* a number alone says nothing */
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(sley_fd_close(&other), 0);
    (void)close(peer);
    (void)close(plain);
}

SLEY_TEST(direct_connection_is_refused_what_needs_a_number, "")
{
    in_ring(DIRECT(4), refuse_rest);
}

static void borrow(void)
{
    struct sley_fd fd, plain;
    const int peer = direct_pair(&fd), other = unix_pair(&plain);
    const bool known = sley__uring_has(ring(), SLEY__URING_FD_INSTALL);
    const unsigned before = open_count();
    const int number = sley_fd_borrow(&fd);
    CHECK(known ? number >= 0 : number == -ENOTSUP);
    if (known) {
        struct sockaddr_in addr;
        socklen_t len = sizeof addr;
        CHECK_INT(getsockname(number, (struct sockaddr *)&addr, &len), ==, 0);
        CHECK_UINT(addr.sin_port, ==, listen_addr.sin_port);
        CHECK_INT(fcntl(number, F_GETFD), ==, FD_CLOEXEC);
        CHECK_UINT(open_count(), ==, before + 1);
    }
    sley_fd_give_back(&fd, number);
    CHECK_UINT(open_count(), ==, before);
    CHECK_INT(sley_fd_borrow(&plain), ==, plain.number);
    sley_fd_give_back(&plain, plain.number);
    CHECK_UINT(open_count(), ==, before);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_INT(sley_fd_borrow(&fd), ==, -EBADF);
    CHECK_RC(sley_fd_close(&plain), 0);
    (void)close(peer);
    (void)close(other);
}

SLEY_TEST(direct_connection_lends_a_number_for_a_call, "")
{
    in_ring(DIRECT(4), borrow);
    in_ring((struct sley__uring_opts){.direct_count = 4, .without = uring_without("fd_install")}, borrow);
}

static bool is_busy;

/** The kernel takes nothing while it says so. */
static int busy(struct sley__uring *r, unsigned count, unsigned least, unsigned flags, void *arg, size_t size)
{
    return is_busy ? -EBUSY : sley__uring_syscall_enter(r->enter_fd, count, least, flags | r->enter_flags, arg, size);
}

struct borrower {
    struct sley_wait_hook hook;
    const struct sley_fd *fd;
    int number;
};

static void borrow_in_hook(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct borrower *b = sley_container_of(hook, struct borrower, hook);
    CHECK_RC(w->result, 1);
    b->number = sley_fd_borrow(b->fd);
}

static void borrow_late(void)
{
    struct sley_fd fd, plain;
    char byte;
    const int peer = direct_pair(&fd), other = unix_pair(&plain);
    struct sley_io_op op = {0};
    struct borrower b = {.hook = {.fn = borrow_in_hook}, .fd = &fd, .number = -1};
    if (!sley__uring_has(ring(), SLEY__URING_FD_INSTALL)) {
        SKIP("no fd_install");
    }
    is_busy = true;
    CHECK_INT(sley_fd_borrow(&fd), ==, -EAGAIN); /* its number is yet to come */
    is_busy = false;
    put(other, "x");
    io_start(&op, &plain, SLEY_IO_RECV, &byte, 1);
    sley_wait_hook(&op.wait, &b.hook);
    while (!sley_wait_done(&op.wait)) { /* the number that comes late, and then, in the same look, the one that is asked for */
        CHECK_INT(look(0), >=, 0);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_INT(look(0), >=, 0);
    }
    if (b.number >= 0) {
        CHECK_INT(fcntl(b.number, F_GETFD), ==, FD_CLOEXEC); /* it is lent still */
        sley_fd_give_back(&fd, b.number);
    }
    CHECK_INT(b.number, >=, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(sley_fd_close(&plain), 0);
    (void)close(peer);
    (void)close(other);
}

SLEY_TEST(number_that_comes_late_is_closed_once_and_is_not_the_one_lent_next, "")
{
    in_ring((struct sley__uring_opts){.direct_count = 4, .enter = busy}, borrow_late);
}

static void open_directly(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[256], buf[8] = "";
    struct sley_fd fd;
    (void)snprintf(path, sizeof path, "%s/sley-direct-%d", tmp ? tmp : "/tmp", (int)getpid());
    const bool known = sley__uring_has(ring(), SLEY__URING_DIRECT);
    for (int i = 0; i < 3; i++) { /* with a table for two */
        struct sley_file_op op = {.io = {.code = SLEY_IO_OPEN, .flags = SLEY_IO_DIRECT}, .dir = AT_FDCWD, .a.path = path};
        op.how = O_RDWR | O_CREAT;
        op.mode = 0600;
        CHECK_RC(sley_io_run(&op.io), 0);
        sley_fd_init_from(&fd, &op.io);
        CHECK(sley_fd_is_direct(&fd) == known);
        op = (struct sley_file_op){.io = {.fd = &fd, .buf = (char *)"abcdef", .len = 6, .code = SLEY_IO_WRITE}, .offset = 2};
        CHECK_RC(sley_io_run(&op.io), 6);
        op = (struct sley_file_op){.io = {.fd = &fd, .buf = buf, .len = 8, .code = SLEY_IO_READ}};
        CHECK_RC(sley_io_run(&op.io), 8);
        CHECK_INT(memcmp(buf, "\0\0abcdef", 8), ==, 0);
        op = (struct sley_file_op){.io = {.fd = &fd, .code = SLEY_IO_FDATASYNC}};
        CHECK_RC(sley_io_run(&op.io), 0);
        CHECK_RC(sley_fd_poll(&fd, SLEY_IO_IN), -EPERM);
        CHECK_RC(sley_fd_close(&fd), 0);
        op = (struct sley_file_op){.io = {.code = SLEY_IO_OPEN, .flags = SLEY_IO_DIRECT}, .dir = AT_FDCWD, .a.path = "/nowhere/f"};
        CHECK_RC(sley_io_run(&op.io), -ENOENT);
        CHECK_UINT(ring()->direct_count, ==, 0);
    }
    CHECK_INT(unlink(path), ==, 0);
}

SLEY_TEST(direct_file_is_read_and_written_and_gives_its_place_back, "")
{
    in_ring(DIRECT(2), open_directly);
    in_ring((struct sley__uring_opts){.without = uring_without("direct")}, open_directly);
}

static void accept_plainly(void)
{
    struct sley_fd listener, fd;
    char byte;
    open_listener(&listener);
    const int peer = tcp_dial(&listen_addr);
    CHECK_RC(accept_direct(&listener, &fd), 0);
    CHECK(!sley_fd_is_direct(&fd));
    CHECK_INT(fcntl(fd.number, F_GETFD), ==, FD_CLOEXEC);
    put(peer, "x");
    CHECK_RC(io(&fd, SLEY_IO_RECV, &byte, 1), 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(sley_fd_close(&listener), 0);
    (void)close(peer);
}

SLEY_TEST(direct_is_ignored_where_there_is_no_table, "URING-14")
{
    in_ring((struct sley__uring_opts){.without = uring_without("direct")}, accept_plainly);
}

/* ---- places -------------------------------------------------------------------------------------------------------------------- */

static void fill(void)
{
    struct sley_fd listener, fds[3];
    struct sley_io_op waiting = {0};
    int peers[3];
    open_listener(&listener);
    for (int i = 0; i < 3; i++) {
        peers[i] = tcp_dial(&listen_addr);
    }
    CHECK_RC(accept_direct(&listener, &fds[0]), 0);
    CHECK_RC(accept_direct(&listener, &fds[1]), 0);
    CHECK_RC(accept_direct(&listener, &fds[2]), -ENFILE);
    struct pollfd p = {.fd = peers[2], .events = POLLIN};
    CHECK_INT(poll(&p, 1, 0), ==, 0); /* it waits in the backlog */
    CHECK_RC(sley_fd_close(&fds[0]), 0);
    CHECK_RC(accept_direct(&listener, &fds[0]), 0);
    put(peers[2], "x");
    char byte;
    CHECK_RC(io(&fds[0], SLEY_IO_RECV, &byte, 1), 1);
    CHECK_RC(sley_fd_close(&fds[1]), 0);
    accept_start(&waiting, &listener); /* takes the last place before anybody comes */
    CHECK_RC(accept_direct(&listener, &fds[2]), -ENFILE);
    CHECK_RC(sley_wait_fini(&waiting.wait), -ECANCELED); /* and gives it back */
    CHECK_UINT(ring()->direct_count, ==, 1);
    CHECK_RC(sley_fd_close(&fds[0]), 0);
    CHECK_RC(sley_fd_close(&listener), 0);
    CHECK_UINT(ring()->direct_count, ==, 0);
    for (int i = 0; i < 3; i++) {
        (void)close(peers[i]);
    }
}

SLEY_TEST(direct_table_that_is_full_is_enfile_and_loses_no_connection, "")
{
    in_ring(DIRECT(2), fill);
}

static void close_busy(void)
{
    struct sley_fd fd;
    struct sley_io_op recv_op = {0}, poll_op = {0}, closing = {0};
    char byte;
    for (int unheard = 0; unheard < 2; unheard++) {
        const int peer = direct_pair(&fd);
        io_start(&recv_op, &fd, SLEY_IO_RECV, &byte, 1);
        sley_fd_poll_start(&poll_op, &fd, SLEY_IO_IN);
        CHECK_INT(look(0), >=, 0);
        closing = (struct sley_io_op){.fd = &fd, .code = SLEY_IO_CLOSE, .flags = unheard ? SLEY_IO_UNHEARD : 0};
        sley_io_submit(&closing);
        CHECK(sley_wait_done(&closing.wait) == unheard);
        CHECK_RC(io(&fd, SLEY_IO_SEND, (char *)"x", 1), -EBADF);
        CHECK_RC(until_done(&closing.wait), 0);
        CHECK_RC(until_done(&recv_op.wait), -ECANCELED);
        CHECK_RC(until_done(&poll_op.wait), -ECANCELED);
        while (fd.number >= 0) {
            CHECK_INT(look(SLEY_NEVER), >=, 0);
        }
        CHECK_INT(look(0), >=, 0);
        CHECK(has_ended(peer));
        CHECK_UINT(ring()->direct_count, ==, 0);
        (void)close(peer);
    }
    const int peer = direct_pair(&fd); /* nothing is armed on this one */
    closing = (struct sley_io_op){.fd = &fd, .code = SLEY_IO_CLOSE, .flags = SLEY_IO_UNHEARD};
    sley_io_submit(&closing);
    CHECK(sley_wait_done(&closing.wait));
    CHECK_INT(fd.number, ==, -1);
    CHECK_INT(look(0), >=, 0);
    CHECK(has_ended(peer));
    (void)close(peer);
}

SLEY_TEST(direct_close_ends_what_is_armed_and_then_gives_the_place_back, "REACT-07")
{
    in_ring(DIRECT(1), close_busy);
    in_ring((struct sley__uring_opts){.direct_count = 1, .without = uring_without("cqe_skip")}, close_busy);
}

/** Connections come and go at random, at the table's bound; each byte arrives at its own. */
static void churn(void)
{
    enum { PLACES = 4, STEPS = 3000 };
    struct sley_fd listener, fds[PLACES];
    int peers[PLACES], held = 0;
    open_listener(&listener);
    for (int step = 0; step < STEPS; step++) {
        const uint32_t what = (uint32_t)harness_rand_below(4);
        const int i = held ? (int)harness_rand_below((uint32_t)held) : 0;
        char byte, sent = (char)('a' + step % 26);
        if (what == 0 && held < PLACES) {
            peers[held] = tcp_dial(&listen_addr);
            CHECK_RC(accept_direct(&listener, &fds[held]), 0);
            held++;
        } else if (what == 1 && held > 0) {
            struct sley_io_op op = {0};
            const bool armed = harness_rand_below(2);
            if (armed) {
                io_start(&op, &fds[i], SLEY_IO_RECV, &byte, 1);
            }
            CHECK_RC(sley_fd_close(&fds[i]), 0);
            CHECK(!armed || sley_wait_done(&op.wait));
            (void)close(peers[i]);
            held--;
            fds[i] = fds[held]; /* nothing is in flight on it */
            peers[i] = peers[held];
        } else if (held > 0) {
            CHECK_RC(io(&fds[i], SLEY_IO_SEND, &sent, 1), 1);
            CHECK_INT(recv(peers[i], &byte, 1, 0), ==, 1);
            CHECK_INT(byte, ==, sent);
            CHECK_INT(send(peers[i], &sent, 1, MSG_NOSIGNAL), ==, 1);
            CHECK_RC(io(&fds[i], SLEY_IO_RECV, &byte, 1), 1);
            CHECK_INT(byte, ==, sent);
        }
        CHECK_UINT(ring()->direct_count, ==, (unsigned)held);
    }
    while (held > 0) {
        held--;
        CHECK_RC(sley_fd_close(&fds[held]), 0);
        (void)close(peers[held]);
    }
    CHECK_RC(sley_fd_close(&listener), 0);
    CHECK_UINT(ring()->flying_count, ==, 0);
}

SLEY_TEST(direct_places_are_reused_at_random_in_small_rings_and_moods, "URING-02")
{
    for (uint32_t n = 2; n <= 8; n *= 2) {
        in_ring((struct sley__uring_opts){.entry_count = n, .result_count = n, .direct_count = 4}, churn);
        in_ring((struct sley__uring_opts){.entry_count = n, .result_count = n, .direct_count = 4, .enter = moody}, churn);
    }
}

/* ---- whose they are ----------------------------------------------------------------------------------------------------------- */

static struct sley_fd travelling;
static struct bed shared_bed;

static bool thread_done, closes_unheard;

static void *use_on_plain_thread(void *arg)
{
    char byte;
    (void)arg;
    CHECK_RC(io(&travelling, SLEY_IO_RECV, &byte, 1), 1);
    CHECK_INT(sley_fd_borrow(&travelling), ==, -EXDEV);
    CHECK_RC(sley_fd_move(&travelling), -ENOTSUP);
    if (closes_unheard) {
        struct sley_io_op op = {.fd = &travelling, .code = SLEY_IO_CLOSE, .flags = SLEY_IO_UNHEARD};
        sley_io_submit(&op);
        memset(&travelling, 0xee, sizeof travelling);
    } else {
        CHECK_RC(sley_fd_close(&travelling), 0);
        CHECK_RC(sley_fd_close(&travelling), 0);
    }
    __atomic_store_n(&thread_done, true, __ATOMIC_RELEASE);
    return NULL;
}

static void keep_to_home(void)
{
    for (int round = 0; round < 2; round++) {
        pthread_t t;
        const int peer = direct_pair(&travelling);
        closes_unheard = round == 1;
        thread_done = false;
        CHECK_INT(pthread_create(&t, NULL, use_on_plain_thread, NULL), ==, 0);
        put(peer, "x");
        while (!__atomic_load_n(&thread_done, __ATOMIC_ACQUIRE)) {
            CHECK_RC(sley_sleep(SLEY_MS / 10), 0);
        }
        CHECK_INT(pthread_join(t, NULL), ==, 0);
        while (ring()->direct_count > 0) {
            (void)sley_yield();
        }
        CHECK(has_ended(peer));
        (void)close(peer);
    }
}

SLEY_TEST(direct_connection_is_used_and_closed_at_home_for_those_elsewhere, "")
{
    in_ring(DIRECT(4), keep_to_home);
}

static struct sley_fd staying;
static int travelling_peer, staying_peer;

static void leave_two_open(void)
{
    travelling_peer = direct_pair(&travelling);
    staying_peer = direct_pair(&staying);
}

static void find_closed_to_us(void)
{
    char byte;
    CHECK_RC(io(&travelling, SLEY_IO_RECV, &byte, 1), -EEXIST);
    CHECK_RC(sley_fd_close(&travelling), -EXDEV);
}

static void *drive_elsewhere(void *arg)
{
    (void)arg;
    bed_run(&shared_bed, find_closed_to_us);
    return NULL;
}

static void find_again(void)
{
    char byte;
    put(travelling_peer, "x");
    CHECK_RC(io(&travelling, SLEY_IO_RECV, &byte, 1), 1);
    CHECK_RC(sley_fd_close(&travelling), 0);
    CHECK_RC(sley_fd_close(&staying), 0);
    CHECK_UINT(ring()->direct_count, ==, 0);
    CHECK(has_ended(travelling_peer) && has_ended(staying_peer));
    (void)close(travelling_peer);
    (void)close(staying_peer);
}

SLEY_TEST(direct_connections_keep_a_ring_on_its_thread, "URING-12")
{
    if (harness_under_valgrind()) {
        return; /* there a ring is any thread's */
    }
    pthread_t t;
    ring_start(&shared_bed, DIRECT(4));
    bed_run(&shared_bed, leave_two_open);
    CHECK_INT(pthread_create(&t, NULL, drive_elsewhere, NULL), ==, 0);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    bed_run(&shared_bed, find_again);
    bed_end(&shared_bed);
}

SLEY_TEST(direct_connections_are_closed_when_their_home_ends, "")
{
    ring_start(&shared_bed, DIRECT(4));
    bed_run(&shared_bed, leave_two_open);
    bed_end(&shared_bed);
    CHECK(has_ended(travelling_peer) && has_ended(staying_peer));
    CHECK_RC(sley_fd_close(&travelling), 0); /* there is nothing left to close */
    (void)close(travelling_peer);
    (void)close(staying_peer);
}

SLEY_TEST(direct_connection_of_the_parent_is_ownerdead_in_a_child, "")
{
    char byte;
    int status;
    ring_start(&shared_bed, DIRECT(4));
    bed_run(&shared_bed, leave_two_open);
    const pid_t pid = fork();
    CHECK_INT(pid, >=, 0);
    if (pid == 0) {
        CHECK_RC(io(&travelling, SLEY_IO_RECV, &byte, 1), -EOWNERDEAD);
        CHECK_INT(sley_fd_borrow(&travelling), ==, -EOWNERDEAD);
        CHECK_RC(sley_fd_close(&travelling), 0);
        CHECK_RC(sley_fd_close(&travelling), 0);
        _exit(0);
    }
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK_INT(status, ==, 0);
    bed_run(&shared_bed, find_again); /* the parent's is untouched */
    bed_end(&shared_bed);
}

/* ---- what is there -------------------------------------------------------------------------------------------------------------- */

static void tell_missing(void)
{
    char text[192], cut[12];
    struct sley_reactor *r = reactor();
    CHECK_INT(r->ops->describe(r, text, sizeof text), ==, (intmax_t)strlen(text));
    CHECK(strncmp(text, "without ", 8) == 0 && strstr(text, "poll_first") && strstr(text, "direct") && strstr(text, "fd_install"));
    CHECK(!strstr(text, "fixed_buffers") || !sley__uring_has(ring(), SLEY__URING_FIXED_BUFFERS));
    CHECK_INT(r->ops->describe(r, cut, sizeof cut), ==, (intmax_t)sizeof cut - 1);
    CHECK_INT(memcmp(cut, text, sizeof cut - 1), ==, 0);
}

SLEY_TEST(ring_names_the_features_that_it_does_without, "URING-14")
{
    in_ring((struct sley__uring_opts){.without = uring_without("poll_first direct")}, tell_missing);
}
