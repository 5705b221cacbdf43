/* The ops over a real port: what is done at once, what waits, what comes out. */
#include "bed.h"

#include <sys/mman.h>
#include <sys/stat.h>

FIBER_TEST(op_on_a_fresh_pair_write_finishes_read_waits, "REACT-01")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sley_io_op w = {0}, r = {0};
    char buf[8];
    io_start(&w, &fd, SLEY_IO_SEND, "hi", 2);
    CHECK(done_now(&w.wait));
    CHECK_RC(w.wait.result, 2);
    io_start(&r, &fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK(!done_now(&r.wait));
    CHECK_UINT(reactor()->armed_count, ==, 1);
    put(peer, "x");
    CHECK_RC(sley_await(&r.wait), 1);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(recv_after_a_success_tries_then_waits, "REACT-02")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    char buf[8];
    for (int i = 0; i < 3; i++) {
        struct sley_io_op op = {0};
        put(peer, "ab");
        CHECK_RC(io(&fd, SLEY_IO_RECV, buf, 1), 1); /* a success leaves it ready: the second byte is there */
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK(done_now(&op.wait));
        CHECK_RC(op.wait.result, 1);
        CHECK_INT(buf[0], ==, 'b');
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK(!done_now(&op.wait));
        CHECK_INT(look(0), ==, 0);
        put(peer, "c");
        CHECK_RC(until_done(&op.wait), 1);
        CHECK_INT(buf[0], ==, 'c');
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

/* Bytes for somebody who does not ask for more cost one event; asked for, they are all there. */
FIBER_TEST(bytes_that_nobody_waits_for_cost_one_event_at_most, "")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sley_io_op op = {0};
    char buf[32];
    int events = 0;
    io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    put(peer, "a");
    CHECK_RC(until_done(&op.wait), 1);
    for (int i = 0; i < 20; i++) {
        put(peer, "b");
        const int n = look(0);
        CHECK_INT(n, >=, 0);
        events += n;
    }
    CHECK_INT(events, <=, 1);
    io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_RC(until_done(&op.wait), 20);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(recv_short_of_a_tcp_stream_waits_for_the_next_bytes, "REACT-02")
{
    struct sley_fd fd;
    const int peer = tcp_pair(&fd);
    char buf[8];
    for (int i = 0; i < 100; i++) {
        struct sley_io_op op = {0};
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        put(peer, "abc");
        CHECK_RC(until_done(&op.wait), 3);
        if (i % 3 == 0) {
            put(peer, "def"); /* before the next recv, which does not try: the event tells */
            io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
            CHECK_RC(until_done(&op.wait), 3);
            CHECK_INT(buf[0], ==, 'd');
        }
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(recv_of_datagrams_loses_none_of_a_queue, "REACT-02")
{
    int n[2];
    struct sley_fd fd;
    char buf[64];
    CHECK_INT(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, n), ==, 0);
    sley_fd_init(&fd, n[0]);
    struct sley_io_op op = {0};
    io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK(!done_now(&op.wait));
    put(n[1], "one");
    put(n[1], "three");
    CHECK_RC(until_done(&op.wait), 3);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 5);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(n[1]);
}

static size_t fill(struct sley_fd *fd, struct sley_io_op *op)
{
    static char block[4096];
    size_t sent = 0;
    for (;;) {
        io_start(op, fd, SLEY_IO_SEND, block, sizeof block);
        if (!done_now(&op->wait)) {
            return sent;
        }
        CHECK_INT(op->wait.result, >, 0);
        sent += (size_t)op->wait.result;
    }
}

static void drain(int peer, size_t bytes)
{
    static char block[65536];
    while (bytes > 0) {
        const ssize_t n = recv(peer, block, bytes < sizeof block ? bytes : sizeof block, 0);
        CHECK_INT(n, >, 0);
        bytes -= (size_t)n;
    }
}

FIBER_TEST(send_into_a_full_socket_waits_until_the_peer_has_read, "REACT-03")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sley_io_op op = {0}, second = {0}, r = {0};
    char byte;
    const size_t sent = fill(&fd, &op);
    CHECK_INT(look(0), ==, 0);
    CHECK(!done_now(&op.wait));
    io_start(&second, &fd, SLEY_IO_SEND, "x", 1);
    CHECK_RC(second.wait.result, -EBUSY);
    io_start(&r, &fd, SLEY_IO_RECV, &byte, 1); /* the other direction is free */
    CHECK(!done_now(&r.wait));
    drain(peer, sent);
    CHECK_RC(until_done(&op.wait), 4096);
    CHECK(!done_now(&r.wait));
    put(peer, "y");
    CHECK_RC(until_done(&r.wait), 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(poll_by_ten_completes_ten_for_one_byte, "REACT-04")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sley_io_op ops[10] = {0}, out = {0}, r = {0}, r2 = {0};
    char buf[4];
    for (int i = 0; i < 10; i++) {
        sley_fd_poll_start(&ops[i], &fd, SLEY_IO_IN);
        CHECK(!done_now(&ops[i].wait));
    }
    sley_fd_poll_start(&out, &fd, SLEY_IO_OUT | SLEY_IO_IN);
    CHECK(done_now(&out.wait));
    CHECK_RC(out.wait.result, SLEY_IO_OUT);
    io_start(&r, &fd, SLEY_IO_RECV, buf, sizeof buf);
    io_start(&r2, &fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_RC(r2.wait.result, -EBUSY);
    CHECK_UINT(reactor()->armed_count, ==, 11);
    put(peer, "x");
    CHECK_RC(until_done(&r.wait), 1);
    for (int i = 0; i < 10; i++) {
        CHECK(done_now(&ops[i].wait));
        CHECK_RC(ops[i].wait.result, SLEY_IO_IN);
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(poll_for_errors_alone_sees_the_hangup, "")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sley_io_op op = {0}, in = {0};
    sley_fd_poll_start(&op, &fd, 0);
    sley_fd_poll_start(&in, &fd, SLEY_IO_IN);
    CHECK(!done_now(&op.wait));
    put(peer, "x");
    CHECK_RC(until_done(&in.wait), SLEY_IO_IN);
    CHECK(!done_now(&op.wait));
    (void)close(peer);
    CHECK_RC(until_done(&op.wait) & SLEY_IO_HUP, SLEY_IO_HUP);
    CHECK_RC(sley_fd_close(&fd), 0);
}

FIBER_TEST(op_of_a_second_description_is_refused_and_the_first_goes_on, "REACT-05")
{
    struct sley_fd fd, twin;
    const int peer = unix_pair(&fd);
    struct sley_io_op op = {0};
    sley_fd_init(&twin, fd.number);
    sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
    CHECK_RC(sley_fd_poll(&twin, SLEY_IO_OUT), -EEXIST);
    put(peer, "x");
    CHECK_RC(until_done(&op.wait), SLEY_IO_IN);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(op_on_a_bad_number_is_ebadf_at_once, "REACT-07")
{
    struct sley_fd fd;
    char byte;
    for (int i = 0; i < 3; i++) {
        const int numbers[] = {-1, 1000, 0};
        sley_fd_init(&fd, numbers[i]);
        if (i == 2) {
            fd.number = dup(0);
            CHECK_RC(sley_fd_close(&fd), 0);
        }
        struct sley_io_op op = {0};
        io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        CHECK(done_now(&op.wait));
        CHECK_RC(op.wait.result, -EBADF);
        CHECK_RC(sley_fd_poll(&fd, SLEY_IO_IN), -EBADF);
        CHECK_RC(io(&fd, SLEY_IO_ACCEPT, NULL, 0), -EBADF);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

FIBER_TEST(poll_of_files_and_directories_is_eperm, "REACT-08")
{
    const char *const paths[] = {"/", "/proc/self/exe"};
    for (size_t i = 0; i < 2; i++) {
        struct sley_fd fd;
        sley_fd_init(&fd, open(paths[i], O_RDONLY | O_CLOEXEC));
        CHECK_RC(sley_fd_poll(&fd, SLEY_IO_IN), -EPERM);
        CHECK_UINT(reactor()->armed_count, ==, 0);
        CHECK_RC(sley_fd_close(&fd), 0);
    }
}

FIBER_TEST(op_with_an_unknown_code_is_einval, "")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    CHECK_RC(io(&fd, (enum sley_io_code)0, NULL, 0), -EINVAL);
    CHECK_RC(io(&fd, (enum sley_io_code)(SLEY__IO_FILE_END), NULL, 0), -EINVAL);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(recv_after_three_bytes_and_a_close_gives_both, "REACT-14")
{
    for (int armed = 0; armed < 2; armed++) {
        struct sley_fd fd;
        const int peer = tcp_pair(&fd);
        struct sley_io_op op = {0};
        char buf[64];
        if (armed) {
            io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        }
        put(peer, "abc");
        (void)close(peer);
        if (!armed) {
            while (!(sley_fd_poll(&fd, SLEY_IO_IN) & SLEY_IO_IN)) {
            }
            io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        }
        CHECK_RC(until_done(&op.wait), 3);
        CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 0);
        CHECK_RC(sley_fd_close(&fd), 0);
    }
}

FIBER_TEST(recv_with_urgent_data_gets_all_and_does_not_spin, "REACT-15")
{
    struct sley_fd fd;
    const int peer = tcp_pair(&fd);
    char buf[64], plain[16] = "";
    size_t got = 0;
    struct sley_io_op op = {0};
    io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    /* a receive ends at the mark: a short one, with more behind it */
    put(peer, "abc");
    CHECK_INT(send(peer, "!", 1, MSG_OOB), ==, 1);
    put(peer, "def");
    CHECK_INT(send(peer, "!", 1, MSG_OOB), ==, 1);
    put(peer, "ghi");
    while (got < 9) {
        const int32_t n = until_done(&op.wait);
        CHECK_INT(n, >, 0);
        for (int32_t i = 0; i < n; i++) {
            if (buf[i] != '!') { /* an urgent byte that a later one replaces becomes plain data */
                plain[got++] = buf[i];
            }
        }
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    }
    CHECK_STR(plain, "abcdefghi");
    for (int i = 0; i < 10; i++) {
        CHECK_RC(sley_yield(), 0);
    }
    int events = 0;
    for (int i = 0; i < 10; i++) {
        events += look(SLEY_MS);
    }
    CHECK_INT(events, <=, 2);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(accept_128_armed_get_one_connection_each, "REACT-16")
{
    enum { N = 128 };
    static struct sley_io_op ops[N];
    static int peers[N];
    struct sockaddr_in addr;
    struct sley_fd fd;
    sley_fd_init(&fd, tcp_listener(&addr, N));
    for (int i = 0; i < N; i++) {
        io_start(&ops[i], &fd, SLEY_IO_ACCEPT, NULL, 0);
        CHECK(!done_now(&ops[i].wait));
    }
    for (int i = 0; i < N; i++) {
        peers[i] = tcp_dial(&addr);
        if (i == N / 2) {
            CHECK_RC(until_done(&ops[0].wait), 0); /* the oldest first */
            CHECK(!done_now(&ops[N - 1].wait));
        }
    }
    for (int i = 0; i < N; i++) {
        CHECK_RC(until_done(&ops[i].wait), 0);
        struct sockaddr_in mine, theirs;
        socklen_t len = sizeof mine;
        CHECK_INT(getsockname(peers[i], (struct sockaddr *)&mine, &len), ==, 0);
        CHECK_INT(getpeername(ops[i].out_number, (struct sockaddr *)&theirs, &len), ==, 0);
        CHECK_UINT(mine.sin_port, ==, theirs.sin_port); /* in order */
        CHECK_INT(fcntl(ops[i].out_number, F_GETFL) & O_NONBLOCK, ==, O_NONBLOCK);
        CHECK_INT(fcntl(ops[i].out_number, F_GETFD), ==, FD_CLOEXEC);
        (void)close(ops[i].out_number);
        (void)close(peers[i]);
    }
    CHECK_RC(sley_fd_close(&fd), 0);
}

FIBER_TEST(connect_to_a_listener_and_to_nobody, "")
{
    struct sockaddr_in addr;
    struct sley_fd fd, c;
    sley_fd_init(&fd, tcp_listener(&addr, 8));
    sley_fd_init(&c, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    CHECK_RC(io(&c, SLEY_IO_CONNECT, &addr, sizeof addr), 0);
    CHECK_RC(io(&c, SLEY_IO_CONNECT, &addr, sizeof addr), -EISCONN);
    struct sley_io_op a = {0}, r = {0};
    char buf[4];
    io_start(&a, &fd, SLEY_IO_ACCEPT, NULL, 0);
    CHECK_RC(until_done(&a.wait), 0);
    io_start(&r, &c, SLEY_IO_RECV, buf, sizeof buf);
    put(a.out_number, "hey");
    CHECK_RC(until_done(&r.wait), 3);
    (void)close(a.out_number);
    CHECK_RC(sley_fd_close(&c), 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    const int holder = tcp_nobody(&addr);
    sley_fd_init(&c, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    CHECK_RC(io(&c, SLEY_IO_CONNECT, &addr, sizeof addr), -ECONNREFUSED);
    CHECK_RC(sley_fd_close(&c), 0);
    (void)close(holder);
}

FIBER_TEST(connect_to_a_full_listener_waits_or_is_enobufs, "")
{
    /* TCP: with the queue full a SYN is not answered, so the connect is under way until somebody accepts */
    struct sockaddr_in addr;
    struct sley_fd l, c[4];
    struct sley_io_op ops[4] = {0};
    sley_fd_init(&l, tcp_listener(&addr, 0));
    for (int i = 0; i < 4; i++) {
        sley_fd_init(&c[i], socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        io_start(&ops[i], &c[i], SLEY_IO_CONNECT, &addr, sizeof addr);
        if (i == 0) {
            CHECK_RC(until_done(&ops[0].wait), 0);
            wait_in(l.number); /* now it is full */
        }
    }
    while (look(20 * SLEY_MS) > 0) {
    }
    CHECK(!done_now(&ops[3].wait));
    CHECK_RC(sley_wait_fini(&ops[3].wait), -ECANCELED);
    for (int i = 0; i < 4; i++) {
        CHECK_RC(sley_fd_close(&c[i]), 0);
    }
    CHECK_RC(sley_fd_close(&l), 0);
    /* Unix: there is no readiness to wait for */
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(listener, (struct sockaddr *)&un, sizeof(sa_family_t)), ==, 0);
    CHECK_INT(listen(listener, 0), ==, 0);
    socklen_t len = sizeof un;
    CHECK_INT(getsockname(listener, (struct sockaddr *)&un, &len), ==, 0);
    int rc = 0;
    for (int i = 0; i < 4; i++) {
        sley_fd_init(&c[i], socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        rc = io(&c[i], SLEY_IO_CONNECT, &un, len);
        CHECK(rc == 0 || rc == -ENOBUFS);
    }
    CHECK_RC(rc, -ENOBUFS);
    for (int i = 0; i < 4; i++) {
        CHECK_RC(sley_fd_close(&c[i]), 0);
    }
    (void)close(listener);
}

FIBER_TEST(messages_carry_descriptors, "")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    char data[4] = "abc", ctl[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {data, 3};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
    CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
    CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
    CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &peer, sizeof peer);
    CHECK_RC(io(&fd, SLEY_IO_SENDMSG, &m, 0), 3);
    struct sley_fd far;
    CHECK_INT(fcntl(peer, F_SETFL, O_NONBLOCK), ==, 0);
    sley_fd_init(&far, peer);
    CHECK_RC(io(&far, SLEY_IO_RECVMSG, &m, 0), 3);
    int copy;
    memcpy(&copy, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof copy);
    CHECK_INT(fcntl(copy, F_GETFD), ==, FD_CLOEXEC);
    (void)close(copy);
    struct sley_io_op op = {0};
    io_start(&op, &far, SLEY_IO_RECVMSG, &m, 0);
    CHECK(!done_now(&op.wait));
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(until_done(&op.wait), 0);
    CHECK_RC(sley_fd_close(&far), 0);
}

FIBER_TEST(send_to_a_closed_peer_is_epipe_without_a_signal, "")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    (void)close(peer);
    CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), -EPIPE);
    CHECK_RC(sley_fd_close(&fd), 0);
}

/* ---- ALL ---------------------------------------------------------------------------------------------------------- */

FIBER_TEST(recv_all_gathers_pieces_and_says_where_it_ended, "")
{
    struct sley_fd fd;
    const int peer = tcp_pair(&fd);
    char buf[10];
    struct sley_io_op op = {0};
    io_start_all(&op, &fd, SLEY_IO_RECV, buf, 9);
    for (int i = 0; i < 3; i++) {
        CHECK(!done_now(&op.wait));
        CHECK_UINT(op.done_bytes, ==, 3 * (size_t)i);
        put(peer, "abc");
        CHECK_INT(look(SLEY_NEVER), ==, 1);
    }
    CHECK_RC(op.wait.result, 0);
    CHECK_UINT(op.done_bytes, ==, 9);
    CHECK(memcmp(buf, "abcabcabc", 9) == 0);
    put(peer, "abcd");
    io_start_all(&op, &fd, SLEY_IO_RECV, buf, 4); /* exactly what is there */
    CHECK_RC(until_done(&op.wait), 0);
    put(peer, "xy");
    io_start_all(&op, &fd, SLEY_IO_RECV, buf, 9);
    while (op.done_bytes < 2) {
        (void)look(SLEY_NEVER);
    }
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(op.done_bytes, ==, 2);
    put(peer, "z");
    (void)close(peer);
    io_start_all(&op, &fd, SLEY_IO_RECV, buf, 9);
    CHECK_RC(until_done(&op.wait), -ENODATA);
    CHECK_UINT(op.done_bytes, ==, 1);
    CHECK_RC(sley_fd_close(&fd), 0);
}

struct sink {
    int number;
    size_t bytes;
    uint64_t sum;
};

static void *sink_thread(void *arg)
{
    struct sink *s = arg;
    static unsigned char block[1 << 16];
    ssize_t n;
    while ((n = recv(s->number, block, sizeof block, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            s->sum += block[i] * (uint64_t)(s->bytes + (size_t)i + 1);
        }
        s->bytes += (size_t)n;
    }
    return NULL;
}

FIBER_TEST(send_all_of_eight_megabytes_arrives_in_order, "")
{
    enum { BYTES = 8 << 20 };
    struct sley_fd fd;
    struct sink s = {.number = tcp_pair(&fd)};
    unsigned char *data = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(data != MAP_FAILED);
    uint64_t sum = 0;
    for (size_t i = 0; i < BYTES; i++) {
        data[i] = (unsigned char)(i * 7 + i / 4096);
        sum += data[i] * (uint64_t)(i + 1);
    }
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, sink_thread, &s), ==, 0);
    struct sley_io_op op = {.fd = &fd, .buf = data, .len = BYTES, .code = SLEY_IO_SEND, .flags = SLEY_IO_ALL};
    CHECK_RC(sley_io_run(&op), 0);
    CHECK_UINT(op.done_bytes, ==, BYTES);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    CHECK_UINT(s.bytes, ==, BYTES);
    CHECK_UINT(s.sum, ==, sum);
    (void)close(s.number);
    (void)munmap(data, BYTES);
}

static void *pump_thread(void *arg)
{
    static char block[1 << 18];
    const int *number = arg;
    size_t left = 64u << 20;
    while (left > 0) {
        const ssize_t n = send(*number, block, left < sizeof block ? left : sizeof block, MSG_NOSIGNAL);
        if (n <= 0) {
            break;
        }
        left -= (size_t)n;
    }
    return NULL;
}

FIBER_TEST(recv_all_of_much_takes_turns, "")
{
    /* more than a share is there at once: the op stops after one, and goes on in the next turn without new data */
    struct sley_fd fd;
    int peer = unix_pair(&fd);
    const size_t bytes = 64u << 20;
    char *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(data != MAP_FAILED);
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, pump_thread, &peer), ==, 0);
    struct sley_io_op op = {0};
    size_t before = 0, most = 0;
    io_start_all(&op, &fd, SLEY_IO_RECV, data, bytes);
    while (!sley_wait_done(&op.wait)) {
        most = op.done_bytes - before > most ? op.done_bytes - before : most;
        before = op.done_bytes;
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    CHECK_RC(op.wait.result, 0);
    CHECK_UINT(most, <=, SLEY_IO_SHARE_BYTES);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
    (void)munmap(data, bytes);
}

FIBER_TEST(recv_of_more_than_four_gigabytes_is_short, "REACT-26")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    const size_t bytes = ((size_t)1 << 32) + 4096;
    char *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        SKIP("no 4 GiB of address space");
    }
    put(peer, "abc");
    CHECK_RC(io(&fd, SLEY_IO_RECV, data, (size_t)1 << 32), 3); /* modulo 32 bits this is 0 */
    put(peer, "abc");
    struct sley_io_op op = {0};
    io_start_all(&op, &fd, SLEY_IO_RECV, data, bytes);
    CHECK(!done_now(&op.wait));
    CHECK_UINT(op.done_bytes, ==, 3);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
    (void)munmap(data, bytes);
}
