/* TCP connections: both ways, both styles, half-closed, cancelled at every moment. Resets: test_reset.c; listeners: test_accept.c. */
#include "io_test.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/** More than the kernel buffers of both sides hold: a write_all of it waits for the reader. */
enum { MUCH = 16 << 20 };
static unsigned char much[MUCH];

static const struct sley_tcp_opts small_buffers = {.send_buffer_bytes = 8192, .recv_buffer_bytes = 8192};

/* ---- the usual ------------------------------------------------------------------------------------------------------ */

struct echo_frame {
    struct sley_frame frame;
    struct sley_tcp tcp;
    struct sley_io_op op;
    int n, rc;
    unsigned char buf[100];
};

static enum sley_step echo_frame(struct echo_frame *f)
{
    SLEY_BEGIN(f);
    for (;;) {
        SLEY_CALL(f, f->n, sley_stream_read, &f->op, &f->tcp.stream, f->buf, sizeof f->buf);
        if (f->n <= 0) {
            break;
        }
        SLEY_CALL(f, f->rc, sley_stream_write_all, &f->op, &f->tcp.stream, f->buf, (size_t)f->n, NULL);
        CHECK_RC(f->rc, 0);
    }
    SLEY_CALL(f, f->rc, sley_stream_close, &f->op, &f->tcp.stream);
    CHECK_RC(f->rc, 0);
    SLEY_RETURN(f, f->n);
    SLEY_END(f);
}
SLEY_FRAME(echo_frame, struct echo_frame)

struct conn {
    struct sley_tcp tcp;
};

static int echo_fiber(struct conn *c)
{
    unsigned char buf[100];
    int n;
    while ((n = sley_stream_read(&c->tcp.stream, buf, sizeof buf)) > 0) {
        CHECK_RC(sley_stream_write_all(&c->tcp.stream, buf, (size_t)n, NULL), 0);
    }
    CHECK_RC(sley_stream_close(&c->tcp.stream), 0);
    return n;
}
SLEY_FIBER(echo_fiber, struct conn)

static void talk(struct sley_stream *s, size_t count)
{
    unsigned char buf[64];
    for (size_t i = 0; i < count; i++) {
        io_fill(buf, i * 64, 64);
        CHECK_RC(sley_stream_write_all(s, buf, 64, NULL), 0);
        memset(buf, 0, 64);
        CHECK_RC(sley_stream_read_exact(s, buf, 64, NULL), 0);
        io_check(buf, i * 64, 64);
    }
}

IO_TEST(tcp_echo_in_both_styles, "")
{
    for (int style = 0; style < 2; style++) {
        struct io_pair p;
        struct sley_task *t;
        io_pair(&p, NULL);
        if (style == 0) {
            IO_SPAWN(&t, echo_frame, .tcp = p.b);
        } else {
            IO_SPAWN(&t, echo_fiber, .tcp = p.b);
        }
        talk(&p.a.stream, 100);
        CHECK_RC(sley_stream_shutdown(&p.a.stream), 0);
        CHECK_RC(sley_stream_read(&p.a.stream, much, 1), 0);
        CHECK_RC(io_join(t), 0);
        CHECK_RC(sley_stream_close(&p.a.stream), 0);
        CHECK_RC(sley_stream_close(&p.a.stream), 0);
    }
    return 0;
}

IO_TEST(tcp_over_ipv6_and_dual_stack, "")
{
    struct sley_tcp_listener l;
    struct sley_tcp a, b;
    struct sley_addr addr;
    char text[SLEY_ADDR_TEXT_BYTES];
    const int rc = sley_tcp_listen(&l, "[::]:0", NULL);
    if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) {
        SKIP("no IPv6 on this machine");
    }
    CHECK_RC(rc, 0);
    CHECK_RC(sley_tcp_listener_local(&l, &addr), 0);
    const uint16_t port = addr.sock.in6.sin6_port;
    CHECK_RC(sley_addr_parse(&addr, "127.0.0.1:0"), 0);
    addr.sock.in4.sin_port = port;
    CHECK_INT(sley_addr_format(&addr, text, sizeof text), >, 0);
    CHECK_RC(sley_tcp_connect(&a, text, NULL), 0);
    CHECK_RC(sley_tcp_accept(&l, &b), 0);
    CHECK_RC(sley_stream_write(&a.stream, "x", 1), 1);
    CHECK_RC(sley_stream_read(&b.stream, text, 1), 1);
    CHECK_RC(sley_stream_close(&a.stream), 0);
    CHECK_RC(sley_stream_close(&b.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    return 0;
}

IO_TEST(tcp_listener_of_ipv6_alone_takes_no_ipv4, "")
{
    struct sley_tcp_listener six, four;
    struct sley_addr addr;
    char text[SLEY_ADDR_TEXT_BYTES];
    int rc = sley_tcp_listen(&six, "[::]:0", &(struct sley_tcp_opts){.v6_only = true});
    if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) {
        SKIP("no IPv6 on this machine");
    }
    CHECK_RC(rc, 0);
    CHECK_RC(sley_tcp_listener_local(&six, &addr), 0);
    const uint16_t port = addr.sock.in6.sin6_port;
    CHECK_RC(sley_addr_parse(&addr, "127.0.0.1:0"), 0);
    addr.sock.in4.sin_port = port;
    CHECK_INT(sley_addr_format(&addr, text, sizeof text), >, 0);
    rc = sley_tcp_listen(&four, text, NULL); /* the port is free there; another program may have been as quick */
    CHECK(rc == 0 || rc == -EADDRINUSE);
    CHECK_RC(rc == 0 ? sley_tcp_listener_close(&four) : 0, 0);
    int only = 0;
    socklen_t len = sizeof only;
    CHECK_INT(getsockopt(six.fd.number, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len), ==, 0);
    CHECK_INT(only, ==, 1);
    CHECK_RC(sley_tcp_listener_close(&six), 0);
    return 0;
}

IO_TEST(tcp_listener_has_its_address_at_once_or_alone, "")
{
    for (int exclusive = 0; exclusive < 2; exclusive++) {
        struct io_listener l;
        int reuse = -1;
        socklen_t len = sizeof reuse;
        io_listen(&l, &(struct sley_tcp_opts){.exclusive_addr = exclusive});
        CHECK_INT(getsockopt(l.l.fd.number, SOL_SOCKET, SO_REUSEADDR, &reuse, &len), ==, 0);
        CHECK_INT(reuse, ==, !exclusive);
        CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    }
    return 0;
}

/** The same calls on a thread that belongs to no runtime. */
static void *thread_client(void *arg)
{
    struct sley_tcp tcp;
    CHECK_RC(sley_tcp_connect(&tcp, arg, NULL), 0);
    talk(&tcp.stream, 50);
    CHECK_RC(sley_stream_shutdown(&tcp.stream), 0);
    CHECK_RC(sley_stream_read(&tcp.stream, much, 1), 0);
    CHECK_RC(sley_stream_close(&tcp.stream), 0);
    CHECK_RC(sley_stream_close(&tcp.stream), 0);
    return NULL;
}

IO_TEST(tcp_plain_thread_talks_to_a_task, "")
{
    struct io_listener l;
    struct sley_task *t;
    struct sley_tcp tcp;
    pthread_t thread;
    io_listen(&l, NULL);
    CHECK_INT(pthread_create(&thread, NULL, thread_client, l.text), ==, 0);
    CHECK_RC(sley_tcp_accept(&l.l, &tcp), 0);
    IO_SPAWN(&t, echo_frame, .tcp = tcp);
    CHECK_RC(io_join(t), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}

static void *thread_echo(void *arg)
{
    struct io_listener *l = arg;
    struct conn c;
    CHECK_RC(sley_tcp_accept(&l->l, &c.tcp), 0);
    CHECK_RC(echo_fiber(&c), 0);
    return NULL;
}

SLEY_TEST(tcp_plain_threads_among_themselves, "")
{
    struct io_listener l;
    pthread_t thread;
    struct sley_tcp tcp;
    io_listen(&l, NULL);
    CHECK_INT(pthread_create(&thread, NULL, thread_echo, &l), ==, 0);
    (void)thread_client(l.text);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(5 * SLEY_MS), sley_tcp_accept(&l.l, &tcp)), -ETIMEDOUT);
    struct sley_io_op op = {0};
    sley_tcp_accept_start(&op, &l.l, &tcp); /* a start needs a runtime */
    CHECK_RC(sley_await(&op.wait), -ENOTSUP);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    const int holder = io_nobody(l.text);
    CHECK_RC(sley_tcp_connect(&tcp, l.text, NULL), -ECONNREFUSED);
    CHECK_RC(sley_tcp_connect(&tcp, "localhost:1", NULL), -EINVAL);
    CHECK_INT(close(holder), ==, 0);
}

/* ---- options and descriptors ------------------------------------------------------------------------------------------ */

static int option(const struct sley_tcp *t, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof value;
    const int number = sley_fd_borrow(&t->fd);
    CHECK_INT(getsockopt(number, level, name, &value, &len), ==, 0);
    sley_fd_give_back(&t->fd, number);
    return value;
}

static void check_flags(const struct sley_fd *fd)
{
    const int number = sley_fd_borrow(fd);
    CHECK_INT(fcntl(number, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    CHECK_INT(fcntl(number, F_GETFL) & O_NONBLOCK, ==, O_NONBLOCK);
    sley_fd_give_back(fd, number);
}

IO_TEST(tcp_descriptors_are_close_on_exec_and_non_blocking, "")
{
    struct io_listener l;
    struct sley_tcp a, b;
    io_listen(&l, NULL);
    CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
    CHECK_RC(sley_tcp_accept(&l.l, &b), 0);
    check_flags(&l.l.fd);
    check_flags(&a.fd);
    check_flags(&b.fd);
    CHECK_RC(sley_stream_close(&a.stream), 0);
    CHECK_RC(sley_stream_close(&b.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}

IO_TEST(tcp_options_reach_both_sides, "")
{
    struct io_pair p;
    io_pair(&p, NULL);
    CHECK_INT(option(&p.a, IPPROTO_TCP, TCP_NODELAY), !=, 0);
    CHECK_INT(option(&p.b, IPPROTO_TCP, TCP_NODELAY), !=, 0);
    CHECK_INT(option(&p.b, SOL_SOCKET, SO_KEEPALIVE), ==, 0);
    CHECK_RC(sley_tcp_set_no_delay(&p.a, false), 0);
    CHECK_INT(option(&p.a, IPPROTO_TCP, TCP_NODELAY), ==, 0);
    CHECK_RC(sley_tcp_set_keepalive(&p.a, 30, 0, 0), 0);
    CHECK_INT(option(&p.a, IPPROTO_TCP, TCP_KEEPIDLE), ==, 30);
    CHECK_RC(sley_tcp_set_keepalive(&p.a, 0, 0, 0), 0);
    CHECK_INT(option(&p.a, SOL_SOCKET, SO_KEEPALIVE), ==, 0);
    CHECK_RC(sley_tcp_set_keepalive(&p.a, UINT32_MAX, 0, 0), -EINVAL);
    io_pair_close(&p);
    CHECK_RC(sley_tcp_set_no_delay(&p.a, true), -EBADF);
    const struct sley_tcp_opts opts = {
        .nagle = true,
        .keepalive_idle_s = 7,
        .keepalive_interval_s = 8,
        .keepalive_count = 9,
        .send_buffer_bytes = 20000,
        .recv_buffer_bytes = 30000,
        .reuse_port = true,
    };
    io_pair(&p, &opts);
    for (int side = 0; side < 2; side++) {
        const struct sley_tcp *t = side ? &p.a : &p.b;
        CHECK_INT(option(t, IPPROTO_TCP, TCP_NODELAY), ==, 0);
        CHECK_INT(option(t, SOL_SOCKET, SO_KEEPALIVE), !=, 0);
        CHECK_INT(option(t, IPPROTO_TCP, TCP_KEEPIDLE), ==, 7);
        CHECK_INT(option(t, IPPROTO_TCP, TCP_KEEPINTVL), ==, 8);
        CHECK_INT(option(t, IPPROTO_TCP, TCP_KEEPCNT), ==, 9);
        CHECK_INT(option(t, SOL_SOCKET, SO_SNDBUF), ==, 40000); /* the kernel doubles what it is told */
        CHECK_INT(option(t, SOL_SOCKET, SO_RCVBUF), ==, 60000);
    }
    io_pair_close(&p);
    return 0;
}

IO_TEST(tcp_addresses_of_both_sides_agree, "")
{
    struct io_pair p;
    struct sley_addr one, two;
    io_pair(&p, NULL);
    CHECK_RC(sley_tcp_local(&p.a, &one), 0);
    CHECK_RC(sley_tcp_peer(&p.b, &two), 0);
    CHECK_INT(memcmp(&one.sock.in4, &two.sock.in4, sizeof one.sock.in4), ==, 0);
    CHECK_RC(sley_tcp_peer(&p.a, &one), 0);
    CHECK_RC(sley_tcp_local(&p.b, &two), 0);
    CHECK_UINT(sley_addr_port(&one), ==, sley_addr_port(&two));
    io_pair_close(&p);
    CHECK_RC(sley_tcp_local(&p.a, &one), -EBADF);
    return 0;
}

IO_TEST(tcp_takes_over_sockets_of_any_origin, "")
{
    struct io_pair p;
    struct sley_tcp t;
    struct sley_tcp_listener l;
    struct io_listener other;
    int pipes[2];
    io_pair(&p, NULL);
    const int number = dup(p.a.fd.number);
    CHECK_INT(number, >=, 0);
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    CHECK_INT(fcntl(number, F_SETFL, 0), ==, 0);
    CHECK_RC(sley_tcp_listener_from_fd(&l, number), -EINVAL);
    CHECK_RC(sley_tcp_from_fd(&t, number), 0);
    check_flags(&t.fd);
    CHECK_RC(sley_stream_write(&t.stream, "x", 1), 1);
    CHECK_RC(sley_stream_read(&p.b.stream, much, 10), 1);
    CHECK_RC(sley_stream_close(&t.stream), 0);
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    io_listen(&other, NULL);
    CHECK_RC(sley_tcp_from_fd(&t, other.l.fd.number), -EINVAL);
    CHECK_RC(sley_tcp_listener_from_fd(&l, dup(other.l.fd.number)), 0);
    CHECK_RC(sley_tcp_listener_close(&other.l), 0);
    CHECK_RC(sley_tcp_connect(&t, other.text, NULL), 0);
    CHECK_RC(sley_tcp_accept(&l, &p.b), 0);
    CHECK_RC(sley_stream_close(&t.stream), 0);
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    CHECK_INT(pipe(pipes), ==, 0);
    CHECK_RC(sley_tcp_from_fd(&t, pipes[0]), -ENOTSOCK);
    CHECK_RC(sley_tcp_from_fd(&t, 1 << 20), -EBADF);
    close(pipes[0]);
    close(pipes[1]);
    return 0;
}

IO_TEST(tcp_zeroed_and_null_handles_close_to_nothing, "")
{
    struct sley_tcp t = {0};
    struct sley_tcp_listener l = {0};
    CHECK_RC(sley_stream_close(&t.stream), 0);
    CHECK_RC(sley_stream_close(NULL), 0);
    sley_stream_abort(&t.stream);
    sley_stream_abort(NULL);
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    CHECK_RC(sley_tcp_accept(&l, &t), -EBADF);
    return 0;
}

/* ---- connecting -------------------------------------------------------------------------------------------------------- */

IO_TEST(tcp_connect_to_a_closed_port_is_refused, "TCP-01")
{
    char text[SLEY_ADDR_TEXT_BYTES];
    struct sley_tcp t;
    memset(&t, 0x5a, sizeof t);
    const struct sley_tcp before = t;
    const int holder = io_nobody(text);
    const unsigned open = io_fd_count();
    CHECK_RC(sley_tcp_connect(&t, text, NULL), -ECONNREFUSED);
    CHECK_INT(memcmp(&t, &before, sizeof t), ==, 0);
    CHECK_UINT(io_fd_count(), ==, open);
    CHECK_RC(sley_tcp_connect(&t, "example.org:80", NULL), -EINVAL);
    CHECK_RC(sley_tcp_connect(NULL, "127.0.0.1:1", NULL), -EINVAL);
    CHECK_INT(close(holder), ==, 0);
    return 0;
}

/** How many wait at a listener, and how many may. */
static struct tcp_info backlog(const struct sley_tcp_listener *l)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    CHECK_INT(getsockopt(l->fd.number, IPPROTO_TCP, TCP_INFO, &info, &len), ==, 0);
    return info; /* of a listener: tcpi_unacked and tcpi_sacked */
}

/** A listener whose backlog is full, as the system says, does not answer: a connect to it hangs. Returns how many sockets fill it. */
static size_t fill_backlog(struct io_listener *l, struct sley_tcp *fill, size_t max)
{
    static const struct sley_tcp_opts opts = {.backlog = 1};
    io_listen(l, &opts);
    for (size_t n = 0; n < max; n++) {
        const struct tcp_info info = backlog(&l->l);
        if (info.tcpi_unacked > info.tcpi_sacked) {
            return n;
        }
        CHECK_RC(sley_tcp_connect(&fill[n], l->text, NULL), 0);
        while (backlog(&l->l).tcpi_unacked == info.tcpi_unacked) { /* a connect may have returned before the listener knows of it */
            (void)sched_yield();
        }
    }
    FAIL("a backlog of 1 took %zu connections", max);
}

IO_TEST(tcp_connect_ends_at_its_deadline_and_leaves_nothing, "TCP-02 TCP-03")
{
    struct io_listener l;
    struct sley_tcp fill[8], t;
    const size_t n = fill_backlog(&l, fill, 8);
    const unsigned open = io_fd_count();
    const uint64_t deadline = sley_after_ns(20 * SLEY_MS);
    CHECK_RC(SLEY_UNTIL(deadline, sley_tcp_connect(&t, l.text, NULL)), -ETIMEDOUT);
    CHECK_UINT(sley_now_ns(), >=, deadline);
    CHECK_UINT(io_fd_count(), ==, open);
    SLEY_OP(struct sley_tcp_connect_op, op);
    sley_tcp_connect_start(&op, &t, l.text, NULL);
    CHECK(!sley_wait_done(&op.wait));
    CHECK_UINT(io_fd_count(), ==, open + 1);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(io_fd_count(), ==, open);
    for (size_t i = 0; i < n; i++) {
        CHECK_RC(sley_stream_close(&fill[i].stream), 0);
    }
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}

/* ---- ends --------------------------------------------------------------------------------------------------------------- */

IO_TEST(tcp_half_close_ends_one_direction_only, "TCP-09 TCP-10 TCP-12 TCP-15")
{
    struct io_pair p;
    char buf[16];
    io_pair(&p, NULL);
    CHECK_RC(sley_stream_write(&p.a.stream, "ask", 3), 3);
    for (int i = 0; i < 3; i++) {
        CHECK_RC(sley_stream_shutdown(&p.a.stream), 0);
    }
    CHECK_RC(sley_stream_read_exact(&p.b.stream, buf, 3, NULL), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_RC(sley_stream_read(&p.b.stream, buf, sizeof buf), 0);
    }
    CHECK_RC(sley_stream_write(&p.a.stream, "x", 1), -EPIPE);
    CHECK_RC(sley_stream_write(&p.a.stream, "x", 0), -EPIPE);
    CHECK_RC(sley_stream_write(&p.b.stream, "answer", 6), 6);
    CHECK_RC(sley_stream_read_exact(&p.a.stream, buf, 6, NULL), 0);
    CHECK_INT(memcmp(buf, "answer", 6), ==, 0);
    CHECK_RC(sley_stream_shutdown(&p.b.stream), 0);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, 1), 0);
    CHECK_RC(sley_stream_shutdown(&p.b.stream), 0); /* the connection has ended altogether */
    CHECK_RC(sley_stream_shutdown(&p.a.stream), 0);
    CHECK_RC(sley_stream_flush(&p.a.stream), 0);
    io_pair_close(&p);
    CHECK_RC(sley_stream_shutdown(&p.a.stream), -EBADF);
    CHECK_RC(sley_stream_flush(&p.a.stream), -EBADF);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, 1), -EBADF);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, 0), -EBADF);
    return 0;
}

static int drain_fiber(struct conn *c)
{
    static unsigned char buf[65536];
    size_t at = 0;
    int n;
    while ((n = sley_stream_read(&c->tcp.stream, buf, sizeof buf)) > 0) {
        io_check(buf, at, (size_t)n);
        at += (size_t)n;
    }
    CHECK_RC(n, 0);
    CHECK_UINT(at, ==, MUCH);
    return sley_stream_close(&c->tcp.stream);
}
SLEY_FIBER(drain_fiber, struct conn)

IO_TEST(tcp_shutdown_behind_a_write_lets_it_finish, "TCP-11")
{
    struct io_pair p;
    struct sley_task *t;
    size_t done = 0;
    io_fill(much, 0, MUCH);
    io_pair(&p, NULL);
    SLEY_OP(struct sley_io_op, writing);
    SLEY_OP(struct sley_io_op, ending);
    SLEY_OP(struct sley_io_op, given_up);
    sley_stream_write_all_start(&writing, &p.a.stream, much, MUCH, &done);
    CHECK(!sley_wait_done(&writing.wait));
    sley_stream_shutdown_start(&given_up, &p.a.stream);
    sley_stream_shutdown_start(&ending, &p.a.stream);
    CHECK(!sley_wait_done(&ending.wait));
    CHECK_RC(sley_wait_fini(&given_up.wait), -ECANCELED);
    IO_SPAWN(&t, drain_fiber, .tcp = p.b);
    CHECK_RC(sley_await(&writing.wait), 0);
    CHECK_UINT(done, ==, MUCH);
    CHECK_RC(sley_await(&ending.wait), 0);
    CHECK_RC(io_join(t), 0);
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    return 0;
}

IO_TEST(tcp_close_ends_what_is_in_flight, "TCP-18")
{
    struct io_pair p;
    unsigned char buf[8];
    size_t done = 0, got = 0;
    io_pair(&p, &small_buffers);
    SLEY_OP(struct sley_io_op, reading);
    SLEY_OP(struct sley_io_op, writing);
    SLEY_OP(struct sley_io_op, ending);
    sley_stream_read_start(&reading, &p.a.stream, buf, sizeof buf);
    sley_stream_write_all_start(&writing, &p.a.stream, much, MUCH, &done);
    sley_stream_shutdown_start(&ending, &p.a.stream);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, 1), -EBUSY);
    CHECK_RC(sley_stream_write(&p.a.stream, buf, 1), -EBUSY);
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    CHECK(sley_wait_done(&reading.wait) && sley_wait_done(&writing.wait) && sley_wait_done(&ending.wait));
    CHECK_RC(sley_await(&reading.wait), -ECANCELED);
    CHECK_RC(sley_await(&writing.wait), -ECANCELED);
    CHECK_RC(sley_await(&ending.wait), -ECANCELED);
    CHECK_UINT(done, >, 0);
    CHECK_UINT(done, <, MUCH);
    int n;
    while ((n = sley_stream_read(&p.b.stream, much, MUCH)) > 0) {
        got += (size_t)n;
    }
    CHECK_RC(n, 0);
    CHECK_UINT(got, ==, done); /* completed + cancelled: what was taken arrives, no byte more */
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    return 0;
}

/* ---- both directions, cancelling, deadlines ---------------------------------------------------------------------------------- */

IO_TEST(tcp_both_directions_blocked_each_woken_by_its_own_event, "TCP-16")
{
    struct io_pair p;
    char buf[4];
    size_t done = 0, got = 0;
    io_pair(&p, &small_buffers);
    SLEY_OP(struct sley_io_op, reading);
    SLEY_OP(struct sley_io_op, writing);
    sley_stream_read_exact_start(&reading, &p.a.stream, buf, 4, NULL);
    sley_stream_write_all_start(&writing, &p.a.stream, much, 1 << 20, &done);
    io_settle();
    CHECK(!sley_wait_done(&reading.wait) && !sley_wait_done(&writing.wait));
    while (got < 1 << 20) { /* the peer only reads */
        const int n = sley_stream_read(&p.b.stream, much + (1 << 20), 1 << 20);
        CHECK_INT(n, >, 0);
        got += (size_t)n;
    }
    CHECK_RC(sley_await(&writing.wait), 0);
    CHECK(!sley_wait_done(&reading.wait));
    CHECK_RC(sley_stream_write(&p.b.stream, "pong", 4), 4); /* later it writes */
    CHECK_RC(sley_await(&reading.wait), 0);
    CHECK_INT(memcmp(buf, "pong", 4), ==, 0);
    io_pair_close(&p);
    return 0;
}

struct half {
    struct sley_tcp *tcp;
};

static int write_half(struct half *h)
{
    CHECK_RC(sley_stream_write(&h->tcp->stream, "last", 4), 4);
    return sley_stream_shutdown(&h->tcp->stream);
}
SLEY_FIBER(write_half, struct half)

IO_TEST(tcp_write_half_ends_in_another_task_while_a_read_waits, "TCP-17")
{
    struct io_pair p;
    struct sley_task *t;
    char buf[8];
    io_pair(&p, NULL);
    SLEY_OP(struct sley_io_op, reading);
    sley_stream_read_start(&reading, &p.a.stream, buf, sizeof buf);
    IO_SPAWN(&t, write_half, .tcp = &p.a);
    CHECK_RC(io_join(t), 0);
    CHECK_RC(sley_stream_read_exact(&p.b.stream, buf, 4, NULL), 0);
    CHECK_RC(sley_stream_read(&p.b.stream, buf, 1), 0);
    CHECK(!sley_wait_done(&reading.wait));
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    CHECK_RC(sley_await(&reading.wait), 0);
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    return 0;
}

IO_TEST(tcp_read_until_a_deadline_leaves_the_connection_usable, "TCP-20")
{
    struct io_pair p;
    char buf[8];
    io_pair(&p, NULL);
    const uint64_t deadline = sley_after_ns(20 * SLEY_MS);
    CHECK_RC(SLEY_UNTIL(deadline, sley_stream_read(&p.a.stream, buf, 8)), -ETIMEDOUT);
    CHECK_UINT(sley_now_ns(), >=, deadline);
    CHECK_RC(sley_stream_write(&p.b.stream, "late", 4), 4);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(20 * SLEY_S), sley_stream_read(&p.a.stream, buf, 8)), 4);
    io_pair_close(&p);
    return 0;
}

/** What a node has lost in an earlier use is forgotten, also by a start that finishes at once. */
IO_TEST(tcp_op_that_lost_against_a_deadline_writes, "")
{
    struct io_pair p;
    struct sley_io_op op = {0};
    struct sley_wait *const waits[] = {&op.wait};
    char buf[4];
    io_pair(&p, NULL);
    sley_stream_read_start(&op, &p.a.stream, buf, sizeof buf);
    CHECK_INT(sley_await_until(&op.wait, sley_after_ns(2 * SLEY_MS)), ==, -ETIMEDOUT);
    sley_stream_write_all_start(&op, &p.a.stream, "abcd", 4, NULL);
    CHECK(sley_wait_done(&op.wait) || !(sley_sched_current()->reactor->ops->caps & SLEY_REACTOR_CAP_READINESS));
    CHECK_INT(sley_select(waits, 1, 0), ==, 0);
    CHECK_INT(op.wait.result, ==, 0);
    CHECK_INT(sley_stream_read(&p.b.stream, buf, sizeof buf), ==, 4);
    io_pair_close(&p);
    return 0;
}

IO_TEST(tcp_cancel_at_any_moment_loses_and_doubles_no_byte, "")
{
    struct io_pair p;
    unsigned char none[8];
    size_t at = 0, sent = 0;
    int n;
    io_fill(much, 0, MUCH);
    io_pair(&p, &small_buffers);
    SLEY_OP(struct sley_io_op, reading);
    sley_stream_read_start(&reading, &p.b.stream, none, sizeof none); /* before data */
    CHECK_RC(sley_wait_fini(&reading.wait), -ECANCELED);
    static unsigned char in[65536];
    while (sent < MUCH / 8) {
        size_t done = 0, want = 1 + harness_rand_below(100000);
        SLEY_OP(struct sley_io_op, writing);
        sley_stream_write_all_start(&writing, &p.a.stream, much + sent, want, &done);
        n = sley_stream_read(&p.b.stream, in, 1 + harness_rand_below(sizeof in));
        CHECK_INT(n, >, 0);
        io_check(in, at, (size_t)n);
        at += (size_t)n;
        const int rc = sley_wait_fini(&writing.wait); /* in the middle, or after the end: then its true result */
        CHECK(rc == 0 ? done == want : rc == -ECANCELED && done < want);
        sent += done;
    }
    CHECK_RC(sley_stream_shutdown(&p.a.stream), 0);
    while ((n = sley_stream_read(&p.b.stream, in, sizeof in)) > 0) {
        io_check(in, at, (size_t)n);
        at += (size_t)n;
    }
    CHECK_RC(n, 0);
    CHECK_UINT(at, ==, sent);
    io_pair_close(&p);
    return 0;
}

IO_TEST(tcp_handles_move_between_calls, "")
{
    struct io_pair p, q;
    char buf[8];
    io_pair(&p, NULL);
    CHECK_RC(sley_stream_write(&p.a.stream, "one", 3), 3);
    CHECK_RC(sley_stream_read(&p.b.stream, buf, 8), 3);
    q = p;
    memset(&p, 0x77, sizeof p);
    CHECK_RC(sley_stream_write(&q.b.stream, "two", 3), 3);
    CHECK_RC(sley_stream_read(&q.a.stream, buf, 8), 3);
    io_pair_close(&q);
    return 0;
}

IO_TEST(tcp_zero_length_returns_at_once, "STREAM-04")
{
    struct io_pair p;
    char buf[8];
    size_t done = 99;
    io_pair(&p, NULL);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, 0), 0);
    CHECK_RC(sley_stream_write(&p.a.stream, buf, 0), 0);
    CHECK_RC(sley_stream_read_exact(&p.a.stream, buf, 0, &done), 0);
    CHECK_UINT(done, ==, 0);
    CHECK_RC(sley_stream_write_all(&p.a.stream, buf, 0, &done), 0);
    io_pair_close(&p);
    io_pair(&p, &small_buffers); /* full: as much as it takes without waiting, and bytes to be read at the other side */
    while (sley_stream_try_write(&p.a.stream, much, 4096) > 0) {
    }
    io_settle();
    while (sley_stream_try_write(&p.a.stream, much, 4096) > 0) {
    }
    CHECK_RC(sley_stream_write(&p.a.stream, buf, 0), 0);
    CHECK_RC(sley_stream_write_all(&p.a.stream, buf, 0, &done), 0);
    CHECK_RC(sley_stream_read(&p.b.stream, buf, 0), 0);
    CHECK_RC(sley_stream_read_exact(&p.b.stream, buf, 0, &done), 0);
    io_pair_close(&p);
    return 0;
}

IO_TEST(tcp_copy_proxies_a_stream_to_its_end, "STREAM-08")
{
    struct io_pair p, q;
    struct sley_task *t;
    uint64_t copied = 0;
    io_fill(much, 0, MUCH);
    io_pair(&p, NULL);
    io_pair(&q, NULL);
    IO_SPAWN(&t, drain_fiber, .tcp = q.b);
    SLEY_OP(struct sley_stream_copy_op, op);
    sley_stream_copy_start(&op, &q.a.stream, &p.b.stream, &copied);
    CHECK_RC(sley_stream_write_all(&p.a.stream, much, MUCH, NULL), 0);
    CHECK_RC(sley_stream_shutdown(&p.a.stream), 0);
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_UINT(copied, ==, MUCH);
    CHECK_RC(sley_stream_shutdown(&q.a.stream), 0);
    CHECK_RC(io_join(t), 0);
    CHECK_RC(sley_stream_close(&q.a.stream), 0);
    io_pair_close(&p);
    return 0;
}

/* ---- no memory --------------------------------------------------------------------------------------------------------------- */

/** Each step may fail for want of memory; whatever it is, everything is given back. */
static int hungry(void *unused)
{
    struct sley_tcp_listener l = {0};
    struct sley_tcp a = {0}, b = {0};
    struct sley_addr addr;
    char text[SLEY_ADDR_TEXT_BYTES], buf[8];
    (void)unused;
    int rc = sley_tcp_listen(&l, "127.0.0.1:0", NULL);
    if (rc == 0) {
        CHECK_RC(sley_tcp_listener_local(&l, &addr), 0);
        CHECK_INT(sley_addr_format(&addr, text, sizeof text), >, 0);
        rc = sley_tcp_connect(&a, text, NULL);
    }
    rc = rc == 0 ? sley_tcp_accept(&l, &b) : rc;
    rc = rc == 0 ? sley_stream_write_all(&a.stream, "hello", 5, NULL) : rc;
    rc = rc == 0 ? sley_stream_read_exact(&b.stream, buf, 5, NULL) : rc;
    CHECK_RC(sley_stream_close(&a.stream), 0);
    CHECK_RC(sley_stream_close(&b.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    return rc;
}
SLEY_FIBER(hungry, void)

static void sweep(const struct sley_reactor_factory *reactor)
{
    HARNESS_SWEEP_ALLOC(points, 1000)
    {
        const struct sley_reactor_factory *const reactors[] = {reactor, NULL};
        const struct sley_executor_config config = {.alloc = harness_alloc(), .reactors = reactors};
        struct sley_local ex;
        struct sley_task *t = NULL;
        int result = 0;
        sley_local_init(&ex);
        int rc = sley_local_ops.start(&ex.base, &config);
        if (rc == 0) {
            rc = sley_local_ops.spawn(&ex.base, &hungry__type, NULL, &t);
            if (rc == 0) {
                CHECK_RC(sley_local_ops.run(&ex.base, t), 0);
                CHECK_RC(sley_task_result(t, &result), 0);
                sley_task_unref(t);
            }
            CHECK_RC(sley_local_ops.stop(&ex.base, SLEY_NEVER), 0);
            CHECK_RC(sley_local_ops.fini(&ex.base), 0);
        }
        rc = rc == 0 ? result : rc;
        CHECK(rc == 0 || (rc == -ENOMEM && harness_alloc_refused()));
    }
    CHECK_UINT(points, >=, 3);
}

SLEY_TEST(tcp_allocation_fails_at_each_point_on_epoll, "")
{
    sweep(&sley_reactor_epoll);
}

SLEY_TEST(tcp_allocation_fails_at_each_point_on_poll, "")
{
    sweep(&sley_reactor_poll2);
}

#ifdef IO_UV
SLEY_TEST(tcp_allocation_fails_at_each_point_on_uv, "")
{
    sweep(&sley_reactor_uv);
}
#endif
