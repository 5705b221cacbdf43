/* Clauses: SLEY_IO_ALL, whatever ends it. */
#include "rig.h"

#include <pthread.h>

CLAUSE(all_recv_gathers_pieces)
{
    for (int kind = PAIR_UNIX; kind <= PAIR_TCP; kind++) {
        struct sley_fd fd;
        struct sley_io_op op = {0};
        char buf[9];
        const int peer = sley__rig_pair((enum pair)kind, &fd);
        io_start_all(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        for (int i = 0; i < 3; i++) {
            CHECK(!soon(&op.wait));
            put(peer, "abc");
        }
        CHECK_RC(until_done(&op.wait), 0);
        CHECK_UINT(op.done_bytes, ==, 9);
        CHECK(memcmp(buf, "abcabcabc", 9) == 0);
        put(peer, "abcdefg");
        io_start_all(&op, &fd, SLEY_IO_RECV, buf, 4); /* no more than was asked for */
        CHECK_RC(until_done(&op.wait), 0);
        CHECK_UINT(op.done_bytes, ==, 4);
        CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 3);
        shut(&fd);
        (void)close(peer);
    }
}

CLAUSE(all_recv_at_an_end_within_is_enodata)
{
    for (int early = 0; early < 2; early++) {
        struct sley_fd fd;
        struct sley_io_op op = {0};
        char buf[9];
        const int peer = unix_pair(&fd);
        if (early) {
            io_start_all(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
            CHECK(!soon(&op.wait));
        }
        put(peer, "abcde");
        (void)close(peer);
        if (!early) {
            io_start_all(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        }
        CHECK_RC(until_done(&op.wait), -ENODATA);
        CHECK_UINT(op.done_bytes, ==, 5);
        CHECK(memcmp(buf, "abcde", 5) == 0);
        io_start_all(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK_RC(until_done(&op.wait), -ENODATA);
        CHECK_UINT(op.done_bytes, ==, 0);
        shut(&fd);
    }
}

enum { MUCH = 3 << 20 };
static unsigned char much[MUCH];

struct sink {
    int number;
    size_t bytes;
};

static void *swallow(void *arg)
{
    static unsigned char block[1 << 16];
    struct sink *s = arg;
    for (ssize_t n; (n = recv(s->number, block, sizeof block, 0)) > 0; s->bytes += (size_t)n) {
        check_bytes(block, s->bytes, (size_t)n);
    }
    return NULL;
}

CLAUSE(all_send_goes_on_until_all_is_out)
{
    fill_bytes(much, 0, sizeof much);
    for (int kind = PAIR_UNIX; kind <= PAIR_TCP; kind++) {
        struct sley_fd fd;
        struct sley_io_op op = {0};
        pthread_t thread;
        struct sink s = {.number = sley__rig_pair((enum pair)kind, &fd)};
        CHECK_INT(pthread_create(&thread, NULL, swallow, &s), ==, 0);
        io_start_all(&op, &fd, SLEY_IO_SEND, much, sizeof much);
        CHECK_RC(until_done(&op.wait), 0);
        CHECK_UINT(op.done_bytes, ==, sizeof much);
        shut(&fd);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
        CHECK_UINT(s.bytes, ==, sizeof much);
        (void)close(s.number);
    }
}

CLAUSE(all_cancelled_says_how_much)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    static unsigned char got[MUCH];
    int peer = unix_pair(&fd);
    io_start_all(&op, &fd, SLEY_IO_RECV, got, 9);
    put(peer, "abcde");
    CHECK(!soon(&op.wait));
    const int32_t rc = until_cancelled(&op.wait);
    CHECK_RC(rc, -ECANCELED);
    CHECK_UINT(op.done_bytes, <=, 5);
    const size_t rest = 5 - op.done_bytes; /* who has taken less leaves the rest to the next */
    CHECK(memcmp(got, "abcde", op.done_bytes) == 0);
    CHECK(rest == 0 || io(&fd, SLEY_IO_RECV, got, 9) == (int32_t)rest);
    /* the same of a SEND that has filled the socket */
    fill_bytes(much, 0, sizeof much);
    io_start_all(&op, &fd, SLEY_IO_SEND, much, sizeof much);
    CHECK(!soon(&op.wait));
    CHECK_RC(until_cancelled(&op.wait), -ECANCELED);
    CHECK_UINT(op.done_bytes, <, sizeof much);
    shut(&fd);
    size_t out = 0;
    for (ssize_t n; (n = recv(peer, got + out, sizeof got - out, 0)) > 0;) {
        out += (size_t)n;
    }
    CHECK_UINT(out, ==, op.done_bytes);
    check_bytes(got, 0, out);
    (void)close(peer);
}

CLAUSE(all_broken_off_says_how_much)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    char buf[9];
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    int peer = sley__rig_pair(PAIR_TCP, &fd);
    io_start_all(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    put(peer, "abcde");
    CHECK(!soon(&op.wait));
    CHECK_INT(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now), ==, 0);
    (void)close(peer); /* a reset */
    CHECK_RC(until_done(&op.wait), -ECONNRESET);
    CHECK(op.done_bytes == 5 || op.done_bytes == 0); /* a reset drops what was not taken */
    shut(&fd);
    peer = unix_pair(&fd);
    io_start_all(&op, &fd, SLEY_IO_SEND, much, sizeof much);
    CHECK(!soon(&op.wait));
    (void)close(peer);
    const int32_t rc = until_done(&op.wait);
    CHECK(rc == -EPIPE || rc == -ECONNRESET);
    CHECK_UINT(op.done_bytes, >, 0);
    CHECK_UINT(op.done_bytes, <, sizeof much);
    shut(&fd);
}
