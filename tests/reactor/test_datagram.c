/* Datagrams over a real port: each arrives whole, an empty one counts, and what goes wrong with one is told of that one. */
#include "bed.h"

#include <sley/lend.h>

#include <errno.h>

enum { BIG = 70000 }; /* more than a datagram of IPv4 holds */

/** A socket on 127.0.0.1, and where it is. */
static int udp_socket(struct sockaddr_in *ret_addr)
{
    const int n = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    CHECK_INT(n, >=, 0);
    CHECK_INT(bind(n, (struct sockaddr *)&a, sizeof a), ==, 0);
    CHECK_INT(getsockname(n, (struct sockaddr *)&a, &len), ==, 0);
    *ret_addr = a;
    return n;
}

static void dial(int number, const struct sockaddr_in *to)
{
    CHECK_INT(connect(number, (const struct sockaddr *)to, sizeof *to), ==, 0);
}

/** A connected pair: ours, with the address of either, and a plain number. */
static int udp_pair(struct sley_fd *ours, struct sockaddr_in *ret_ours)
{
    struct sockaddr_in here, there;
    const int n = udp_socket(&here), peer = udp_socket(&there);
    dial(n, &there);
    dial(peer, &here);
    sley_fd_init(ours, n);
    if (ret_ours) {
        *ret_ours = here;
    }
    return peer;
}

static void send_one(int number, const void *bytes, size_t len)
{
    CHECK_INT(send(number, bytes, len, 0), ==, (intmax_t)len);
}

/** Takes the next one from a plain number, as soon as it is there. Returns its length; -1: errno. */
static int take_one(int number, void *buf, size_t len)
{
    wait_in(number);
    return (int)recv(number, buf, len, 0);
}

static void close_both(struct sley_fd *fd, int peer)
{
    CHECK_RC(sley_fd_close(fd), 0);
    CHECK_INT(close(peer), ==, 0);
}

/* ---- empty ones ------------------------------------------------------------------------------------------------------- */

FIBER_TEST(datagram_without_content_counts_and_ends_nothing, "UDP-01")
{
    struct sley_fd fd;
    char buf[8];
    const int peer = udp_pair(&fd, NULL);
    send_one(peer, "", 0); /* there when the receive starts */
    send_one(peer, "ab", 2);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 0);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 2);
    for (int i = 0; i < 3; i++) { /* it comes while the receive waits */
        struct sley_io_op op = {0};
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK(!done_now(&op.wait));
        send_one(peer, "", 0);
        CHECK_RC(until_done(&op.wait), 0);
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK(!done_now(&op.wait)); /* it was one, and is not told again */
        send_one(peer, "abc", 3);
        CHECK_RC(until_done(&op.wait), 3);
    }
    struct sley_io_op op = {0};
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    io_start(&op, &fd, SLEY_IO_RECVMSG, &m, 0);
    CHECK_RC(io(&fd, SLEY_IO_SEND, buf, 0), 0); /* and one of ours */
    CHECK_INT(take_one(peer, buf, sizeof buf), ==, 0);
    send_one(peer, "", 0);
    CHECK_RC(until_done(&op.wait), 0);
    CHECK_INT(m.msg_flags & MSG_TRUNC, ==, 0);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    close_both(&fd, peer);
}

FIBER_TEST(datagrams_come_one_to_a_lent_buffer_empty_ones_too, "UDP-01")
{
    struct sley_fd fd;
    struct sley_lent *l;
    static const int lens[] = {0, 5, 0, 0, 3, 0};
    enum { COUNT = sizeof lens / sizeof lens[0] };
    const int peer = udp_pair(&fd, NULL);
    for (int waits = 0; waits < 2; waits++) {
        for (int i = 0; i < COUNT && !waits; i++) {
            send_one(peer, "hello", (size_t)lens[i]);
        }
        for (int i = 0; i < COUNT; i++) {
            struct sley_io_op op = {0};
            sley_fd_recv_lent_start(&op, &fd, &l);
            if (waits) {
                CHECK(!done_now(&op.wait));
                send_one(peer, "hello", (size_t)lens[i]);
            }
            CHECK_RC(until_done(&op.wait), lens[i]);
            CHECK((l != NULL) == (lens[i] > 0)); /* there is nothing in an empty one to give back */
            CHECK(!l || memcmp(l->data, "hello", (size_t)lens[i]) == 0);
            CHECK_RC(sley_lent_return(l), 0);
        }
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
    close_both(&fd, peer);
}

FIBER_TEST(datagram_without_content_needs_no_buffer_that_is_out, "UDP-01")
{
    struct sley_fd fd;
    struct sley_lent *held, *l;
    const int peer = udp_pair(&fd, NULL);
    reactor()->lend.opts = (struct sley_lend_opts){.buffer_bytes = 16, .buffer_count = 1};
    send_one(peer, "first", 5);
    CHECK_RC(sley_fd_recv_lent(&fd, &held), 5);
    struct sley_io_op op = {0};
    send_one(peer, "", 0);
    send_one(peer, "third", 5);
    sley_fd_recv_lent_start(&op, &fd, &l);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(look(0), >=, 0);
    }
    CHECK_RC(sley_lent_return(held), 0); /* some reactors want a buffer to see that it is empty */
    CHECK_RC(until_done(&op.wait), 0);
    CHECK(l == NULL);
    CHECK_RC(sley_fd_recv_lent(&fd, &l), 5);
    CHECK(memcmp(l->data, "third", 5) == 0);
    CHECK_RC(sley_lent_return(l), 0);
    close_both(&fd, peer);
}

/* ---- from whom -------------------------------------------------------------------------------------------------------- */

FIBER_TEST(connected_socket_sees_its_peers_datagrams_alone, "UDP-02")
{
    struct sley_fd fd;
    struct sockaddr_in here, there, elsewhere;
    char buf[16];
    const int peer = udp_socket(&there), stranger = udp_socket(&elsewhere);
    sley_fd_init(&fd, udp_socket(&here));
    CHECK_RC(io(&fd, SLEY_IO_CONNECT, &there, sizeof there), 0);
    dial(stranger, &here);
    dial(peer, &here);
    struct sley_io_op op = {0};
    for (int i = 0; i < 3; i++) {
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK(!done_now(&op.wait));
        (void)send(stranger, "stranger", 8, 0); /* which may be told that nobody is there for it */
        CHECK(!done_now(&op.wait));
        CHECK_INT(look(0), ==, 0);
        send_one(peer, "peer", 4);
        CHECK_RC(until_done(&op.wait), 4);
        CHECK(memcmp(buf, "peer", 4) == 0);
    }
    /* another peer, by another connect: what goes out goes there */
    CHECK_RC(io(&fd, SLEY_IO_CONNECT, &elsewhere, sizeof elsewhere), 0);
    CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), 1);
    int got = take_one(stranger, buf, sizeof buf);
    if (got < 0) { /* it is told first of what it has sent in vain */
        CHECK_INT(errno, ==, ECONNREFUSED);
        got = take_one(stranger, buf, sizeof buf);
    }
    CHECK_INT(got, ==, 1);
    CHECK_INT(close(stranger), ==, 0);
    close_both(&fd, peer);
}

FIBER_TEST(messages_say_who_has_sent_them_and_go_where_they_say, "UDP-02")
{
    struct sley_fd fd;
    struct sockaddr_in here, a, b, from;
    char buf[16];
    const int first = udp_socket(&a), second = udp_socket(&b);
    sley_fd_init(&fd, udp_socket(&here));
    struct iovec iov = {buf, sizeof buf};
    for (int i = 0; i < 4; i++) {
        const struct sockaddr_in *to = i % 2 ? &a : &b;
        struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1};
        struct sley_io_op op = {0};
        io_start(&op, &fd, SLEY_IO_RECVMSG, &m, 0);
        CHECK(!done_now(&op.wait));
        CHECK_INT(sendto(i % 2 ? first : second, "hi", 2, 0, (struct sockaddr *)&here, sizeof here), ==, 2);
        CHECK_RC(until_done(&op.wait), 2);
        CHECK_UINT(m.msg_namelen, ==, sizeof from);
        CHECK_UINT(from.sin_port, ==, to->sin_port);
        iov.iov_len = 2;
        CHECK_RC(io(&fd, SLEY_IO_SENDMSG, &m, 0), 2);
        iov.iov_len = sizeof buf;
        CHECK_INT(take_one(i % 2 ? first : second, buf, sizeof buf), ==, 2);
    }
    CHECK_INT(close(first), ==, 0);
    close_both(&fd, second);
}

/* ---- too long ---------------------------------------------------------------------------------------------------------- */

FIBER_TEST(datagram_that_is_too_long_fails_by_itself, "UDP-03")
{
    static char big[BIG];
    struct sley_fd fd;
    char buf[16];
    const int peer = udp_pair(&fd, NULL);
    struct iovec iov[2] = {{big, BIG / 2}, {big, BIG / 2}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    for (int i = 0; i < 2; i++) {
        CHECK_RC(io(&fd, SLEY_IO_SEND, "before", 6), 6);
        CHECK_RC(i ? io(&fd, SLEY_IO_SENDMSG, &m, 0) : io(&fd, SLEY_IO_SEND, big, sizeof big), -EMSGSIZE);
        CHECK_RC(io(&fd, SLEY_IO_SEND, "after", 5), 5);
        CHECK_INT(take_one(peer, buf, sizeof buf), ==, 6);
        CHECK_INT(take_one(peer, buf, sizeof buf), ==, 5);
        CHECK_INT(recv(peer, buf, sizeof buf, MSG_DONTWAIT), ==, -1);
    }
    close_both(&fd, peer);
}

FIBER_TEST(buffer_that_is_too_small_tells_length_and_cut, "UDP-04")
{
    struct sley_fd fd;
    char buf[4];
    const int peer = udp_pair(&fd, NULL);
    struct iovec iov[2] = {{buf, 2}, {buf + 2, 1}};
    for (int waits = 0; waits < 2; waits++) {
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
        struct sley_io_op op = {0};
        if (!waits) {
            send_one(peer, "abcdef", 6);
        }
        io_start(&op, &fd, SLEY_IO_RECVMSG, &m, 0);
        if (waits) {
            CHECK(!done_now(&op.wait));
            send_one(peer, "abcdef", 6);
        }
        CHECK_RC(until_done(&op.wait), 3);
        CHECK_INT(m.msg_flags & MSG_TRUNC, ==, MSG_TRUNC);
        CHECK(memcmp(buf, "abc", 3) == 0);
        send_one(peer, "xyz", 3); /* the rest of the other is gone; this one fits */
        CHECK_RC(io(&fd, SLEY_IO_RECVMSG, &m, 0), 3);
        CHECK_INT(m.msg_flags & MSG_TRUNC, ==, 0);
        CHECK(memcmp(buf, "xyz", 3) == 0);
        send_one(peer, "abcdef", 6); /* a plain receive has no place for that word */
        CHECK_RC(io(&fd, SLEY_IO_RECV, buf, 2), 2);
        send_one(peer, "z", 1);
        CHECK_RC(io(&fd, SLEY_IO_RECV, buf, 2), 1);
        CHECK_INT(buf[0], ==, 'z');
    }
    close_both(&fd, peer);
}

/* ---- nobody there -------------------------------------------------------------------------------------------------------- */

/** A socket connected to where nobody is. Returns who keeps others from that port, and is not to be reached itself but by itself. */
static int lonely(struct sley_fd *fd)
{
    struct sockaddr_in here, there;
    const int keeper = udp_socket(&there), n = udp_socket(&here);
    dial(n, &there);
    dial(keeper, &there);
    sley_fd_init(fd, n);
    return keeper;
}

FIBER_TEST(peers_port_that_is_closed_ends_the_receive, "UDP-05")
{
    struct sley_fd fd;
    char buf[8];
    struct sley_lent *l;
    struct iovec iov = {buf, sizeof buf};
    const int keeper = lonely(&fd);
    for (int i = 0; i < 6; i++) {
        struct sley_io_op op = {0};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        const bool waits = i % 2;
        if (!waits) {
            CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), 1);
        }
        if (i / 2 == 0) {
            io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        } else if (i / 2 == 1) {
            io_start(&op, &fd, SLEY_IO_RECVMSG, &m, 0);
        } else {
            sley_fd_recv_lent_start(&op, &fd, &l);
        }
        if (waits) {
            CHECK(!done_now(&op.wait));
            CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), 1);
        }
        CHECK_RC(until_done(&op.wait), -ECONNREFUSED);
        CHECK(i / 2 < 2 || !l);
    }
    /* told once: the next one waits, and the socket is as good as before */
    struct sley_io_op op = {0};
    io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK(!done_now(&op.wait));
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    close_both(&fd, keeper);
}

FIBER_TEST(peers_port_that_is_closed_is_told_to_the_send_when_nobody_receives, "UDP-05")
{
    struct sley_fd fd;
    const int keeper = lonely(&fd);
    CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), 1);
    wait_in(fd.number); /* for the answer, which takes its time */
    CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), -ECONNREFUSED);
    CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), 1);
    close_both(&fd, keeper);
}

FIBER_TEST(thousand_sends_to_where_no_route_leads_each_end, "UDP-06")
{
    static const char text[1024];
    const struct sockaddr_in nowhere = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xc0000201)};
    for (int way = 0; way < 2; way++) {
        struct sockaddr_in here;
        struct sley_fd fd;
        /* 192.0.2.1 is nobody's address; neither a source of 127.0.0.1 nor the device lo leads there, or anywhere else */
        int n = udp_socket(&here), ended = 0;
        if (way == 1) {
            CHECK_INT(close(n), ==, 0);
            n = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            if (setsockopt(n, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0) {
                CHECK_INT(close(n), ==, 0);
                break; /* not everybody may */
            }
        }
        sley_fd_init(&fd, n);
        struct sockaddr_in to = nowhere;
        struct iovec iov = {(void *)(uintptr_t)text, sizeof text};
        struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov, .msg_iovlen = 1};
        for (int i = 0; i < 1000; i++) {
            const int rc = io(&fd, SLEY_IO_SENDMSG, &m, 0);
            CHECK(rc == (int)sizeof text || rc == -ENETUNREACH || rc == -EINVAL || rc == -EHOSTUNREACH);
            ended++;
        }
        CHECK_INT(ended, ==, 1000);
        CHECK_UINT(reactor()->armed_count, ==, 0);
        CHECK_RC(sley_fd_close(&fd), 0);
    }
}
