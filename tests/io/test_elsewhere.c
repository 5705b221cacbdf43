/* Listeners and connections used from another executor, or from a plain thread: at their home; and connections that are moved. */
#include "io_test.h"

#include <sley/remote_impl.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/** A fiber on another thread, for which this one is a home: it waits without keeping its thread. */
struct guest {
    struct sley_tcp conn;
    struct io_listener *l;
    const struct sley_task_type *type;
    SLEY_ATOMIC(uint32_t) done;
};

static void *guest_main(void *arg)
{
    struct guest *g = arg;
    if (g->type) {
        io_run(&sley_reactor_epoll, g->type, &g);
    } else {
        struct sley_tcp c;
        CHECK_RC(sley_tcp_accept(&g->l->l, &c), 0);
        CHECK_RC(sley_stream_close(&c.stream), 0);
    }
    atomic_store_explicit(&g->done, 1, memory_order_release);
    return NULL;
}

static void have_guest(struct guest *g)
{
    pthread_t thread;
    atomic_store_explicit(&g->done, 0, memory_order_relaxed);
    CHECK_INT(pthread_create(&thread, NULL, guest_main, g), ==, 0);
    while (!atomic_load_explicit(&g->done, memory_order_acquire)) {
        CHECK_RC(sley_sleep(SLEY_MS / 10), 0);
    }
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
}

static int accept_as_guest(struct guest **a)
{
    struct guest *g = *a;
    struct sley_tcp c;
    CHECK_RC(sley_tcp_accept(&g->l->l, &g->conn), 0);
    CHECK_PTR(g->conn.fd.home, ==, NULL);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), sley_tcp_accept(&g->l->l, &c)), -ETIMEDOUT);
    return 0;
}
SLEY_FIBER(accept_as_guest, struct guest *)

static int close_as_guest(struct guest **a)
{
    CHECK_RC(sley_tcp_listener_close(&(*a)->l->l), 0);
    return 0;
}
SLEY_FIBER(close_as_guest, struct guest *)

IO_TEST(accept_from_another_executor_is_served_at_the_listeners_home, "TCP-21")
{
    struct io_listener l;
    struct guest g = {.l = &l, .type = &accept_as_guest__type};
    struct sley_tcp a, b, never;
    io_listen(&l, NULL);
    CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
    CHECK_RC(sley_tcp_accept(&l.l, &b), 0); /* its home is here now */
    CHECK_RC(sley_stream_close(&b.stream), 0);
    CHECK_RC(sley_stream_close(&a.stream), 0);
    CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
    have_guest(&g);
    CHECK_RC(sley_stream_close(&g.conn.stream), 0);
    CHECK_RC(sley_stream_close(&a.stream), 0);
    CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
    g.type = NULL; /* a plain thread */
    have_guest(&g);
    CHECK_RC(sley_stream_close(&a.stream), 0);
    SLEY_OP(struct sley_io_op, waiting);
    sley_tcp_accept_start(&waiting, &l.l, &never);
    g.type = &close_as_guest__type;
    have_guest(&g);
    CHECK_RC(sley_wait_fini(&waiting.wait), -ECANCELED);
    CHECK_RC(sley_tcp_accept(&l.l, &never), -EBADF);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}

static int no_delay_of(const struct sley_tcp *t)
{
    int value = -1;
    socklen_t len = sizeof value;
    CHECK_INT(getsockopt(t->fd.number, IPPROTO_TCP, TCP_NODELAY, &value, &len), ==, 0);
    return value;
}

/** The connection's home is the host: first used from here, then ended from here, then moved here. */
static int use_as_guest(struct guest **a)
{
    struct guest *g = *a;
    struct sley_tcp *t = &g->conn;
    char buf[8];
    CHECK(sley_fd_away(&t->fd));
    CHECK_RC(sley_stream_read_exact(&t->stream, buf, 5, NULL), 0);
    CHECK_RC(sley_stream_write_all(&t->stream, buf, 5, NULL), 0);
    CHECK_RC(sley_stream_read(&t->stream, buf, 0), 0);
    CHECK_RC(sley_stream_write(&t->stream, buf, 0), 0);
    CHECK_RC(sley_stream_flush(&t->stream), 0);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), sley_stream_read(&t->stream, buf, 1)), -ETIMEDOUT);
    CHECK_RC(sley_tcp_move(t), 0);
    CHECK_RC(sley_stream_write_all(&t->stream, buf, 5, NULL), 0);
    CHECK_PTR(t->fd.home, ==, sley_sched_current()->reactor);
    CHECK_INT(no_delay_of(t), ==, 0);
    CHECK_RC(sley_stream_shutdown(&t->stream), 0);
    CHECK_RC(sley_tcp_move(t), 0);
    return 0;
}
SLEY_FIBER(use_as_guest, struct guest *)

static int end_as_guest(struct guest **a)
{
    struct sley_tcp *t = &(*a)->conn;
    char byte;
    CHECK_RC(sley_tcp_move(t), -EBUSY); /* it is being read at home */
    CHECK_RC(sley_stream_shutdown(&t->stream), 0);
    CHECK_RC(sley_stream_write(&t->stream, "x", 1), -EPIPE);
    CHECK_RC(sley_stream_read(&t->stream, &byte, 1), -EBUSY);
    sley_stream_abort(&t->stream);
    return 0;
}
SLEY_FIBER(end_as_guest, struct guest *)

IO_TEST(connection_used_from_another_executor_and_moved_there, "TCP-21")
{
    struct io_listener l;
    struct guest g = {.l = &l, .type = &use_as_guest__type};
    struct sley_tcp a;
    char buf[16], byte;
    io_listen(&l, NULL);
    for (int round = 0; round < 2; round++) {
        CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
        CHECK_RC(sley_tcp_accept(&l.l, &g.conn), 0);
        CHECK_RC(sley_tcp_set_no_delay(&g.conn, false), 0);
        CHECK_RC(sley_stream_write_all(&g.conn.stream, "first", 5, NULL), 0); /* here is its home */
        CHECK_RC(sley_stream_write_all(&a.stream, "hello", 5, NULL), 0);
        if (round == 0) {
            have_guest(&g);
            CHECK_RC(sley_stream_read_exact(&a.stream, buf, 15, NULL), 0);
            CHECK(memcmp(buf, "firsthellohello", 15) == 0);
            CHECK_RC(sley_stream_read(&a.stream, buf, 1), 0);
            CHECK_RC(sley_stream_write(&g.conn.stream, "x", 1), -EPIPE); /* it knows that its write side has ended */
            CHECK_RC(sley_stream_close(&g.conn.stream), 0);
        } else {
            SLEY_OP(struct sley_io_op, reading);
            CHECK_RC(sley_stream_read_exact(&g.conn.stream, buf, 5, NULL), 0);
            sley_stream_read_start(&reading, &g.conn.stream, &byte, 1);
            g.type = &end_as_guest__type;
            have_guest(&g);
            CHECK_RC(sley_await(&reading.wait), -ECANCELED);
            CHECK_RC(sley_stream_read(&g.conn.stream, &byte, 1), -EBADF);
        }
        CHECK_RC(sley_stream_close(&a.stream), 0);
    }
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}

/* ---- the home ends while somebody elsewhere waits in its listener's queue, of which the reactor knows nothing ------------------ */

static int accept_until_the_end(struct guest **a)
{
    struct sley_tcp c;
    const int rc = sley_tcp_accept(&(*a)->l->l, &c);
    CHECK(rc == -ECANCELED || rc == -ENODEV);
    CHECK_RC(sley_tcp_accept(&(*a)->l->l, &c), -ENODEV);
    return 0;
}
SLEY_FIBER(accept_until_the_end, struct guest *)

static int host_until_it_waits(struct guest **a)
{
    struct guest *g = *a;
    struct sley_tcp c, b;
    pthread_t thread;
    io_listen(g->l, NULL);
    CHECK_RC(sley_tcp_connect(&c, g->l->text, NULL), 0);
    CHECK_RC(sley_tcp_accept(&g->l->l, &b), 0); /* its home is here now */
    CHECK_RC(sley_stream_close(&b.stream), 0);
    CHECK_RC(sley_stream_close(&c.stream), 0);
    CHECK_INT(pthread_create(&thread, NULL, guest_main, g), ==, 0);
    CHECK_INT(pthread_detach(thread), ==, 0);
    while (!g->l->l.first) { /* this executor's own */
        CHECK_RC(sley_sleep(SLEY_MS / 10), 0);
    }
    return 0;
}
SLEY_FIBER(host_until_it_waits, struct guest *)

static void end_beside_a_guest(const struct sley_reactor_factory *reactor)
{
    struct io_listener l;
    struct guest g = {.l = &l, .type = &accept_until_the_end__type}, *arg = &g;
    io_run(reactor, &host_until_it_waits__type, &arg);
    while (!atomic_load_explicit(&g.done, memory_order_acquire)) {
        (void)sched_yield();
    }
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
}

SLEY_TEST(regress_home_ends_beside_a_guest_in_its_listeners_queue_on_epoll, "REACT-25")
{
    end_beside_a_guest(&sley_reactor_epoll);
}
SLEY_TEST(regress_home_ends_beside_a_guest_in_its_listeners_queue_on_poll, "REACT-25")
{
    end_beside_a_guest(&sley_reactor_poll2);
}
#ifdef IO_UV
SLEY_TEST(regress_home_ends_beside_a_guest_in_its_listeners_queue_on_uv, "REACT-25")
{
    end_beside_a_guest(&sley_reactor_uv);
}
#endif
#ifdef IO_URING
SLEY_TEST(regress_home_ends_beside_a_guest_in_its_listeners_queue_on_uring, "REACT-25")
{
    end_beside_a_guest(&sley_reactor_uring);
}
#endif
