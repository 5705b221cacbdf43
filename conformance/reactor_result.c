/* Clauses: what each op gives, whether it was started before or after what it waits for. */
#include "rig.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>

CLAUSE(recv_before_and_after_its_data_is_the_same)
{
    for (int kind = 0; kind < PAIRS; kind++) {
        struct sley_fd fd;
        const int peer = sley__rig_pair((enum pair)kind, &fd);
        for (int i = 0; i < 20; i++) {
            struct sley_io_op op = {0};
            char buf[8] = "";
            if (i % 2) {
                put(peer, "abc");
            }
            io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
            if (i % 2 == 0) {
                CHECK(!(i % 4 ? soon(&op.wait) : sley_wait_done(&op.wait)));
                put(peer, "abc");
            }
            CHECK_RC(until_done(&op.wait), 3);
            CHECK(memcmp(buf, "abc", 4) == 0);
        }
        put(peer, "xy"); /* a success does not mean that there is no more */
        char one;
        CHECK_RC(io(&fd, SLEY_IO_RECV, &one, 1), 1);
        if (kind != PAIR_DGRAM) {
            CHECK_RC(io(&fd, SLEY_IO_RECV, &one, 1), 1);
            CHECK_INT(one, ==, 'y');
        }
        shut(&fd);
        (void)close(peer);
    }
}

CLAUSE(send_waits_for_room_and_goes_on)
{
    static const uint8_t codes[] = {SLEY_IO_SEND, SLEY_IO_SENDMSG};
    for (int i = 0; i < 2; i++) {
        struct waiting w;
        sley__rig_wait(&w, codes[i]);
        fill_bytes((unsigned char *)w.buf, 0, sizeof w.buf);
        sley__rig_let(&w, codes[i]);
        const int32_t n = until_done(&w.op.wait);
        unsigned char got[sizeof w.buf];
        CHECK_INT(n, >, 0);
        CHECK_INT(recv(w.peer, got, sizeof got, MSG_DONTWAIT), ==, n);
        check_bytes(got, 0, (size_t)n);
        CHECK_RC(io(&w.fd, SLEY_IO_SEND, "abc", 3), 3); /* room again */
        sley__rig_wait_end(&w);
    }
}

CLAUSE(datagrams_keep_their_bounds)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    char buf[64];
    const int peer = sley__rig_pair(PAIR_DGRAM, &fd);
    for (int i = 0; i < 10; i++) {
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        put(peer, "one");
        put(peer, "three");
        put(peer, "seven..");
        CHECK_RC(until_done(&op.wait), 3);
        CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 5);
        CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 7);
    }
    shut(&fd);
    (void)close(peer);
}

CLAUSE(recv_at_the_end_is_zero)
{
    for (int i = 0; i < 4; i++) {
        struct sley_fd fd;
        struct sley_io_op op = {0};
        char buf[8];
        const int peer = sley__rig_pair(i % 2 ? PAIR_TCP : PAIR_UNIX, &fd);
        if (i < 2) {
            io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        }
        put(peer, "abc");
        (void)close(peer);
        if (i >= 2) {
            io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        }
        CHECK_RC(until_done(&op.wait), 3);
        for (int k = 0; k < 3; k++) {
            CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 0);
        }
        shut(&fd);
    }
}

static void reset(int number)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    CHECK_INT(setsockopt(number, SOL_SOCKET, SO_LINGER, &now, sizeof now), ==, 0);
    (void)close(number);
}

CLAUSE(recv_after_a_reset_is_econnreset)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    char byte;
    const int peer = sley__rig_pair(PAIR_TCP, &fd);
    io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
    CHECK(!soon(&op.wait));
    reset(peer);
    CHECK_RC(until_done(&op.wait), -ECONNRESET);
    shut(&fd);
}

static volatile sig_atomic_t sigpipes;

static void on_sigpipe(int signo)
{
    (void)signo;
    sigpipes++;
}

CLAUSE(send_to_nobody_is_epipe_without_sigpipe)
{
    const struct sigaction action = {.sa_handler = on_sigpipe};
    CHECK_INT(sigaction(SIGPIPE, &action, NULL), ==, 0);
    for (int armed = 0; armed < 2; armed++) {
        static const uint8_t codes[] = {SLEY_IO_SEND, SLEY_IO_SENDMSG};
        for (int i = 0; i < 2; i++) {
            struct waiting w;
            sley__rig_wait(&w, codes[i]);
            if (!armed) {
                CHECK_RC(until_cancelled(&w.op.wait), -ECANCELED);
            }
            (void)close(w.peer);
            w.peer = -1;
            if (!armed) {
                sley__rig_wait_again(&w, codes[i]);
            }
            const int32_t rc = until_done(&w.op.wait);
            CHECK(rc == -EPIPE || rc == -ECONNRESET); /* the latter when what it had not read was lost */
            sley__rig_wait_again(&w, codes[i]);
            CHECK_RC(until_done(&w.op.wait), -EPIPE);
            sley__rig_wait_end(&w);
        }
    }
    CHECK_INT(sigpipes, ==, 0);
}

CLAUSE(messages_carry_descriptors)
{
    for (int early = 0; early < 2; early++) {
        struct sley_fd fd, far;
        struct sley_io_op op = {0};
        const int peer = unix_pair(&fd);
        char data[8] = "abc", got[8] = "", ctl[CMSG_SPACE(sizeof(int))] = {0}, ctl_in[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec iov = {data, 3}, iov_in = {got, 8};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
        struct msghdr in = {.msg_iov = &iov_in, .msg_iovlen = 1, .msg_control = ctl_in, .msg_controllen = sizeof ctl_in};
        CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
        CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
        CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &peer, sizeof peer);
        CHECK_INT(fcntl(peer, F_SETFL, O_NONBLOCK), ==, 0);
        sley_fd_init(&far, peer);
        if (early) {
            io_start(&op, &far, SLEY_IO_RECVMSG, &in, 0);
            CHECK(!soon(&op.wait));
        }
        CHECK_RC(io(&fd, SLEY_IO_SENDMSG, &m, 0), 3);
        if (!early) {
            io_start(&op, &far, SLEY_IO_RECVMSG, &in, 0);
        }
        CHECK_RC(until_done(&op.wait), 3);
        CHECK(memcmp(got, "abc", 3) == 0);
        CHECK_PTR(CMSG_FIRSTHDR(&in), !=, NULL);
        int copy;
        memcpy(&copy, CMSG_DATA(CMSG_FIRSTHDR(&in)), sizeof copy);
        CHECK_INT(fcntl(copy, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
        (void)close(copy);
        shut(&fd);
        shut(&far);
    }
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

CLAUSE(peek_leaves_what_it_gives)
{
    for (int kind = 0; kind < PAIRS; kind++) {
        struct sley_fd fd;
        struct sley_io_op op = {0};
        char buf[16];
        struct iovec iov = {buf, sizeof buf};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        const int peer = sley__rig_pair((enum pair)kind, &fd);
        for (int round = 0; round < 6; round++) {
            memset(buf, '?', sizeof buf);
            io_set(&op, &fd, SLEY_IO_RECVMSG, &m, 0);
            op.flags = SLEY_IO_PEEK;
            sley_io_submit(&op);
            if (round % 3 == 0) { /* else it is there */
                CHECK(!soon(&op.wait));
                CHECK_RC(until_cancelled(&op.wait), -ECANCELED);
                sley_io_submit(&op);
                put(peer, "peeked");
            }
            CHECK_RC(until_done(&op.wait), 6);
            CHECK(memcmp(buf, "peeked", 6) == 0);
            if (round % 3 == 2) {
                CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 6);
            }
        }
        shut(&fd);
        (void)close(peer);
    }
}

CLAUSE(connect_reaches_a_listener)
{
    struct sockaddr_in addr;
    struct sley_fd c;
    char byte;
    const int l = sley__rig_listener(&addr, 8);
    sley__rig_socket(&c);
    CHECK_RC(io(&c, SLEY_IO_CONNECT, &addr, sizeof addr), 0);
    CHECK_RC(io(&c, SLEY_IO_CONNECT, &addr, sizeof addr), -EISCONN);
    sley__rig_wait_in(l);
    const int peer = accept4(l, NULL, NULL, SOCK_CLOEXEC);
    CHECK_INT(peer, >=, 0);
    put(peer, "x");
    CHECK_RC(io(&c, SLEY_IO_RECV, &byte, 1), 1);
    shut(&c);
    (void)close(peer);
    (void)close(l);
}

CLAUSE(connect_refused_is_said)
{
    struct sockaddr_in addr;
    struct sley_fd c;
    const int holder = sley__rig_nobody(&addr);
    sley__rig_socket(&c);
    CHECK_RC(io(&c, SLEY_IO_CONNECT, &addr, sizeof addr), -ECONNREFUSED);
    shut(&c);
    (void)close(holder);
}

CLAUSE(connect_to_a_full_unix_listener_is_enobufs)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t len = sizeof un;
    struct sley_fd c[4];
    int32_t rc = 0;
    const int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(l, (struct sockaddr *)&un, sizeof(sa_family_t)) < 0) { /* a name that the system chooses: Linux */
        SKIP("no Unix sockets without a file here");
    }
    CHECK_INT(listen(l, 0), ==, 0);
    CHECK_INT(getsockname(l, (struct sockaddr *)&un, &len), ==, 0);
    for (int i = 0; i < 4; i++) {
        sley_fd_init(&c[i], socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        rc = io(&c[i], SLEY_IO_CONNECT, &un, len);
        CHECK(rc == 0 || rc == -ENOBUFS);
    }
    CHECK_RC(rc, -ENOBUFS);
    for (int i = 0; i < 4; i++) {
        shut(&c[i]);
    }
    (void)close(l);
}

CLAUSE(accept_gives_nonblocking_close_on_exec)
{
    for (int early = 0; early < 2; early++) {
        struct sockaddr_in addr;
        struct sley_fd l;
        struct sley_io_op op = {0};
        sley_fd_init(&l, sley__rig_listener(&addr, 8));
        if (early) {
            io_start(&op, &l, SLEY_IO_ACCEPT, NULL, 0);
            CHECK(!soon(&op.wait));
        }
        const int peer = sley__rig_dial(&addr);
        if (!early) {
            io_start(&op, &l, SLEY_IO_ACCEPT, NULL, 0);
        }
        CHECK_RC(until_done(&op.wait), 0);
        CHECK_INT(fcntl(op.out_number, F_GETFL) & O_NONBLOCK, ==, O_NONBLOCK);
        CHECK_INT(fcntl(op.out_number, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
        (void)close(op.out_number);
        (void)close(peer);
        shut(&l);
    }
}

CLAUSE(each_of_several_accepts_gets_one)
{
    enum { N = 16 };
    struct sockaddr_in addr;
    struct sley_fd l;
    struct sley_io_op ops[N] = {0};
    int peers[N];
    sley_fd_init(&l, sley__rig_listener(&addr, N));
    for (int i = 0; i < N; i++) {
        io_start(&ops[i], &l, SLEY_IO_ACCEPT, NULL, 0);
    }
    for (int i = 0; i < N; i++) {
        CHECK(!sley_wait_done(&ops[i].wait));
        peers[i] = sley__rig_dial(&addr);
        CHECK_RC(until_done(&ops[i].wait), 0);
        put(peers[i], "x");
        char byte;
        struct sley_fd c;
        sley_fd_init(&c, ops[i].out_number);
        CHECK_RC(io(&c, SLEY_IO_RECV, &byte, 1), 1);
        shut(&c);
        (void)close(peers[i]);
    }
    shut(&l);
}

CLAUSE(accept_without_descriptors_is_emfile)
{
    struct sockaddr_in addr;
    struct sley_fd l;
    struct sley_io_op op = {0};
    struct rlimit usual, few;
    int fillers[128], n = 0;
    if (sley__kit_under_valgrind()) {
        SKIP("valgrind takes the connection from the kernel before it says EMFILE");
    }
    sley_fd_init(&l, sley__rig_listener(&addr, 8));
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &usual), ==, 0);
    few = usual;
    few.rlim_cur = 100;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), ==, 0); /* before the start: io_uring goes by the limit of that moment */
    io_start(&op, &l, SLEY_IO_ACCEPT, NULL, 0);
    CHECK(!soon(&op.wait));
    while (n < 128 && (fillers[n] = dup(client)) >= 0) {
        n++;
    }
    CHECK_INT(connect(client, (struct sockaddr *)&addr, sizeof addr), ==, 0);
    CHECK_RC(until_done(&op.wait), -EMFILE);
    CHECK_RC(io(&l, SLEY_IO_ACCEPT, NULL, 0), -EMFILE);
    while (n > 0) {
        (void)close(fillers[--n]);
    }
    io_start(&op, &l, SLEY_IO_ACCEPT, NULL, 0);
    CHECK_RC(until_done(&op.wait), 0);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &usual), ==, 0);
    (void)close(op.out_number);
    (void)close(client);
    shut(&l);
}

/* ---- POLL -------------------------------------------------------------------------------------------------------- */

CLAUSE(poll_gives_the_set_that_is_ready)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    int peer = unix_pair(&fd);
    CHECK_RC(io_poll(&fd, SLEY_IO_IN | SLEY_IO_OUT), SLEY_IO_OUT);
    sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
    CHECK(!soon(&op.wait));
    put(peer, "x");
    CHECK_RC(until_done(&op.wait), SLEY_IO_IN);
    CHECK_RC(io_poll(&fd, SLEY_IO_IN), SLEY_IO_IN); /* still */
    CHECK_RC(io_poll(&fd, SLEY_IO_IN | SLEY_IO_OUT), SLEY_IO_IN | SLEY_IO_OUT);
    char byte;
    CHECK_RC(io(&fd, SLEY_IO_RECV, &byte, 1), 1);
    sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
    CHECK(!soon(&op.wait));
    (void)close(peer);
    CHECK_INT(until_done(&op.wait) & SLEY_IO_HUP, ==, SLEY_IO_HUP);
    shut(&fd);
    peer = sley__rig_pair(PAIR_TCP, &fd);
    sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
    CHECK(!soon(&op.wait));
    reset(peer);
    CHECK_INT(until_done(&op.wait) & SLEY_IO_ERR, ==, SLEY_IO_ERR);
    shut(&fd);
    peer = unix_pair(&fd); /* that the peer has shut its side down is no room: some systems tell it unasked */
    while (send(fd.number, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) {
    }
    CHECK_INT(shutdown(peer, SHUT_WR), ==, 0);
    CHECK_RC(io_poll(&fd, SLEY_IO_IN | SLEY_IO_OUT), SLEY_IO_IN);
    sley_fd_poll_start(&op, &fd, SLEY_IO_OUT);
    CHECK(!soon(&op.wait));
    CHECK(!soon(&op.wait));
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    sley_fd_poll_start(&op, &fd, SLEY_IO_OUT);
    CHECK(!soon(&op.wait));
    while (recv(peer, &byte, 1, MSG_DONTWAIT) == 1) {
    }
    CHECK_RC(until_done(&op.wait), SLEY_IO_OUT);
    shut(&fd);
    (void)close(peer);
}

CLAUSE(poll_is_for_many)
{
    enum { N = 10 };
    struct sley_fd fd;
    struct sley_io_op ops[N] = {0}, r = {0};
    char byte;
    const int peer = unix_pair(&fd);
    for (int i = 0; i < N; i++) {
        sley_fd_poll_start(&ops[i], &fd, SLEY_IO_IN);
        CHECK(!sley_wait_done(&ops[i].wait));
    }
    CHECK_RC(io_poll(&fd, SLEY_IO_OUT), SLEY_IO_OUT);
    CHECK(!soon(&ops[0].wait));
    put(peer, "x");
    for (int i = 0; i < N; i++) {
        CHECK_RC(until_done(&ops[i].wait), SLEY_IO_IN);
    }
    io_start(&r, &fd, SLEY_IO_RECV, &byte, 1); /* POLL has taken nothing */
    CHECK_RC(until_done(&r.wait), 1);
    shut(&fd);
    (void)close(peer);
}

CLAUSE(poll_beside_a_recv_is_told)
{
    for (int first = 0; first < 2; first++) {
        struct sley_fd fd;
        struct sley_io_op r = {0}, p = {0};
        char byte;
        const int peer = unix_pair(&fd);
        if (first) {
            sley_fd_poll_start(&p, &fd, SLEY_IO_IN);
        }
        io_start(&r, &fd, SLEY_IO_RECV, &byte, 1);
        if (!first) {
            sley_fd_poll_start(&p, &fd, SLEY_IO_IN);
        }
        CHECK(!soon(&p.wait));
        put(peer, "x");
        CHECK_RC(until_done(&r.wait), 1);
        CHECK_RC(until_done(&p.wait), SLEY_IO_IN);
        shut(&fd);
        (void)close(peer);
    }
}

CLAUSE(poll_for_errors_alone_waits_for_them)
{
    struct sley_fd fd;
    struct sley_io_op op = {0}, in = {0};
    const int peer = unix_pair(&fd);
    sley_fd_poll_start(&op, &fd, 0);
    sley_fd_poll_start(&in, &fd, SLEY_IO_IN);
    CHECK(!soon(&op.wait));
    put(peer, "x");
    CHECK_RC(until_done(&in.wait), SLEY_IO_IN);
    CHECK(!soon(&op.wait));
    (void)close(peer);
    CHECK_INT(until_done(&op.wait) & SLEY_IO_HUP, ==, SLEY_IO_HUP);
    shut(&fd);
}

CLAUSE(poll_of_a_file_is_eperm)
{
    static const char *const paths[] = {"/", "/proc/self/exe"};
    for (size_t i = 0; i < 2; i++) {
        struct sley_fd fd;
        const int number = open(paths[i], O_RDONLY | O_CLOEXEC);
        if (number < 0) {
            SKIP("no %s here", paths[i]);
        }
        sley_fd_init(&fd, number);
        CHECK_RC(io_poll(&fd, SLEY_IO_IN), -EPERM);
        CHECK_UINT(reactor()->armed_count, ==, 0);
        shut(&fd);
    }
}

CLAUSE(bad_number_is_ebadf)
{
    static const uint8_t codes[] = {SLEY_IO_RECV, SLEY_IO_SEND, SLEY_IO_ACCEPT, SLEY_IO_POLL, SLEY_IO_CONNECT, SLEY_IO_RECVMSG};
    for (size_t i = 0; i < 2 * sizeof codes; i++) {
        struct sley_fd fd;
        struct sockaddr_in addr = {.sin_family = AF_INET};
        struct msghdr m = {0};
        const uint8_t code = codes[i / 2];
        void *buf = code == SLEY_IO_RECVMSG ? (void *)&m : (void *)&addr;
        sley_fd_init(&fd, i % 2 ? -1 : 900);
        CHECK_RC(io(&fd, (enum sley_io_code)code, buf, code == SLEY_IO_POLL ? SLEY_IO_IN : sizeof addr), -EBADF);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

CLAUSE(length_above_4_gib_does_not_wrap)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    const int peer = unix_pair(&fd);
    const size_t bytes = sizeof(size_t) > 4 ? (size_t)1 << 31 << 1 : 0;
    char *data = bytes ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) : MAP_FAILED;
    if (data == MAP_FAILED) {
        SKIP("no 4 GiB of address space");
    }
    for (int early = 0; early < 2; early++) {
        if (early) {
            io_start(&op, &fd, SLEY_IO_RECV, data, bytes);
            CHECK(!soon(&op.wait));
        }
        put(peer, "abc");
        if (!early) {
            io_start(&op, &fd, SLEY_IO_RECV, data, bytes);
        }
        CHECK_RC(until_done(&op.wait), 3);
    }
    shut(&fd);
    (void)close(peer);
    (void)munmap(data, bytes);
}
