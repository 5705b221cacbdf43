/* Listeners: who gets a connection, what happens when descriptors run out, and connections that break before they are taken. */
#include "io_test.h"

#include "chosen.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

IO_TEST(accept_two_listeners_on_one_port, "TCP-08")
{
    struct io_listener l;
    struct sley_tcp_listener second;
    struct sley_tcp a, b;
    io_listen(&l, NULL);
    const unsigned open = io_fd_count();
    CHECK_RC(sley_tcp_listen(&second, l.text, NULL), -EADDRINUSE);
    CHECK_RC(sley_tcp_listen(&second, "localhost:0", NULL), -EINVAL);
    CHECK_RC(sley_tcp_listen(&second, "127.0.0.1:0", &(struct sley_tcp_opts){.backlog = -1}), -EINVAL);
    CHECK_UINT(io_fd_count(), ==, open);
    CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
    CHECK_RC(sley_tcp_accept(&l.l, &b), 0);
    CHECK_RC(sley_stream_close(&a.stream), 0);
    CHECK_RC(sley_stream_close(&b.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    CHECK_RC(sley_tcp_accept(&l.l, &b), -EBADF);
    return 0;
}

IO_TEST(accept_reuse_port_lets_several_listen, "")
{
    static const struct sley_tcp_opts opts = {.reuse_port = true};
    struct io_listener l;
    struct sley_tcp_listener second;
    io_listen(&l, &opts);
    CHECK_RC(sley_tcp_listen(&second, l.text, &opts), 0);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    CHECK_RC(sley_tcp_listener_close(&second), 0);
    return 0;
}

IO_TEST(accept_later_finds_connections_that_waited, "TCP-06")
{
    struct io_listener l;
    struct sley_tcp a[2], b[2];
    io_listen(&l, NULL);
    CHECK_RC(sley_tcp_connect(&a[0], l.text, NULL), 0);
    CHECK_RC(sley_tcp_connect(&a[1], l.text, NULL), 0);
    CHECK_RC(sley_sleep(20 * SLEY_MS), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_tcp_accept(&l.l, &b[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_stream_close(&a[i].stream), 0);
        CHECK_RC(sley_stream_close(&b[i].stream), 0);
    }
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}

IO_TEST(accept_of_many_waiters_each_connection_goes_to_the_oldest, "TCP-05")
{
    enum { N = 50 };
    struct io_listener l;
    static struct sley_io_op ops[N];
    static struct sley_tcp got[N];
    struct sley_tcp a[3];
    io_listen(&l, NULL);
    memset(ops, 0, sizeof ops);
    for (int i = 0; i < N; i++) {
        sley_tcp_accept_start(&ops[i], &l.l, &got[i]);
    }
    CHECK_RC(sley_tcp_connect(&a[0], l.text, NULL), 0);
    CHECK_RC(sley_await(&ops[0].wait), 0);
    io_settle();
    for (int i = 1; i < N; i++) {
        CHECK(!sley_wait_done(&ops[i].wait));
    }
    CHECK_RC(sley_wait_fini(&ops[1].wait), -ECANCELED); /* the first, one in the middle, the last of those who wait */
    CHECK_RC(sley_wait_fini(&ops[20].wait), -ECANCELED);
    CHECK_RC(sley_wait_fini(&ops[N - 1].wait), -ECANCELED);
    CHECK_RC(sley_tcp_connect(&a[1], l.text, NULL), 0);
    CHECK_RC(sley_await(&ops[2].wait), 0);
    memset(&ops[1], 0, sizeof ops[1]);
    sley_tcp_accept_start(&ops[1], &l.l, &got[1]); /* at the end of the line again */
    CHECK_RC(sley_tcp_connect(&a[2], l.text, NULL), 0);
    CHECK_RC(sley_await(&ops[3].wait), 0);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    for (int i = 1; i < N; i++) {
        CHECK(sley_wait_done(&ops[i].wait));
        CHECK_RC(ops[i].wait.result, i == 2 || i == 3 ? 0 : -ECANCELED);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_RC(sley_stream_close(&a[i].stream), 0);
        CHECK_RC(sley_stream_close(&got[i == 0 ? 0 : i + 1].stream), 0);
    }
    return 0;
}

IO_TEST(accept_cancelled_loses_no_connection, "")
{
    struct io_listener l;
    struct sley_tcp a, b;
    io_listen(&l, NULL);
    SLEY_OP(struct sley_io_op, op);
    sley_tcp_accept_start(&op, &l.l, &b);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(2 * SLEY_MS), sley_tcp_accept(&l.l, &b)), -ETIMEDOUT);
    sley_tcp_accept_start(&op, &l.l, &b);
    CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
    const int rc = sley_wait_fini(&op.wait); /* the connection may be there, or not yet taken */
    if (rc < 0) {
        CHECK_RC(rc, -ECANCELED);
        CHECK_RC(sley_tcp_accept(&l.l, &b), 0);
    }
    CHECK_RC(sley_stream_write(&a.stream, "x", 1), 1);
    char c;
    CHECK_RC(sley_stream_read(&b.stream, &c, 1), 1);
    CHECK_RC(sley_stream_close(&a.stream), 0);
    CHECK_RC(sley_stream_close(&b.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}

/** No number is free: it rests, but for the moments in which it looks again, which on a ring take a turn. */
static void check_rests(const struct sley_tcp_listener *l, const struct sley_io_op *op)
{
    CHECK(l->resting || l->accepting);
    while (!l->resting) {
        CHECK_RC(sley_yield(), 0);
    }
    CHECK(!l->accepting);
    CHECK(!sley_wait_done(&op->wait)); /* neither an error nor a connection */
}

IO_TEST(accept_of_a_connection_that_was_reset_before, "")
{
    struct io_listener l;
    struct sley_tcp a, b;
    char c;
    io_listen(&l, NULL);
    CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
    io_wait_in(l.l.fd.number); /* a connect may have returned before the listener knows of it */
    sley_stream_abort(&a.stream);
    CHECK_RC(sley_tcp_accept(&l.l, &b), 0); /* on Linux it is there all the same, and tells at the first read */
    CHECK_RC(sley_stream_read(&b.stream, &c, 1), -ECONNRESET);
    CHECK_RC(sley_stream_close(&b.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}

/* ---- no descriptor left ------------------------------------------------------------------------------------------------- */

/** No number above those in use may be opened any more. */
static rlim_t limit_numbers(rlim_t to)
{
    struct rlimit lim;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &lim), ==, 0);
    const rlim_t before = lim.rlim_cur;
    lim.rlim_cur = to;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &lim), ==, 0);
    return before;
}

#ifdef IO_DIRECT
IO_TEST(accept_with_a_full_table_rests_and_goes_on_later, "TCP-07")
{
    enum { PLACES = 4 };
    struct io_listener l;
    struct sley_tcp a[PLACES + 1], b[PLACES + 1];
    char buf[4];
    SLEY_OP(struct sley_io_op, op);
    io_listen(&l, NULL);
    const rlim_t before = limit_numbers(PLACES + 1); /* so long is the table that the first accept makes; one place is the ring's */
    sley_tcp_accept_start(&op, &l.l, &b[0]);
    (void)limit_numbers(before);
    for (int i = 0; i <= PLACES; i++) {
        CHECK_RC(sley_tcp_connect(&a[i], l.text, NULL), 0);
    }
    CHECK_RC(sley_await(&op.wait), 0);
    if (!sley_fd_is_direct(&b[0].fd)) {
        SKIP("no direct connections here");
    }
    for (int i = 1; i < PLACES; i++) {
        CHECK_RC(sley_tcp_accept(&l.l, &b[i]), 0);
    }
    sley_tcp_accept_start(&op, &l.l, &b[PLACES]);
    CHECK_RC(sley_sleep(30 * SLEY_MS), 0);
    check_rests(&l.l, &op);
    CHECK_RC(sley_stream_close(&b[1].stream), 0);
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_RC(sley_stream_write(&a[PLACES].stream, "hi", 2), 2);
    CHECK_RC(sley_stream_read(&b[PLACES].stream, buf, 4), 2);
    for (int i = 0; i <= PLACES; i++) {
        CHECK_RC(sley_stream_close(&a[i].stream), 0);
        CHECK_RC(sley_stream_close(&b[i].stream), 0);
    }
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}
#else
/** Makes every number below the limit used; returns it, with the old limit in *ret_before. */
static int exhaust(int *held, int max, rlim_t *ret_before)
{
    if (chosen_is("SLEY_EXECUTOR", "stealing")) {
        SKIP("other workers' threads have a descriptor open for a moment"); /* which then is free */
    }
    int n = 0;
    *ret_before = limit_numbers(64);
    while (n < max && (held[n] = dup(0)) >= 0) {
        n++;
    }
    CHECK_INT(n, <, max);
    return n;
}

IO_TEST(accept_without_a_descriptor_rests_and_goes_on_later, "TCP-07")
{
    struct io_listener l;
    struct sley_addr addr;
    struct sley_tcp b;
    int held[64];
    rlim_t before;
    io_listen(&l, NULL);
    CHECK_RC(sley_addr_parse(&addr, l.text), 0);
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(client, >=, 0);
    SLEY_OP(struct sley_io_op, op);
    sley_tcp_accept_start(&op, &l.l, &b);
    const int n = exhaust(held, 64, &before);
    CHECK_INT(connect(client, &addr.sock.any, addr.len), ==, 0); /* the kernel completes it */
    CHECK_RC(sley_sleep(30 * SLEY_MS), 0);
    check_rests(&l.l, &op);
    struct sley_tcp refused;
    CHECK_RC(sley_tcp_connect(&refused, l.text, NULL), -EMFILE);
    struct sley_tcp_listener other;
    CHECK_RC(sley_tcp_listen(&other, "127.0.0.1:0", NULL), -EMFILE);
    for (int i = 0; i < n; i++) {
        close(held[i]);
    }
    (void)limit_numbers(before);
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_INT(write(client, "hi", 2), ==, 2);
    char buf[4];
    CHECK_RC(sley_stream_read(&b.stream, buf, 4), 2);
    CHECK_RC(sley_stream_close(&b.stream), 0);
    close(client);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}

IO_TEST(accept_that_rests_can_be_cancelled_and_closed, "TCP-07")
{
    struct io_listener l;
    struct sley_addr addr;
    struct sley_tcp b;
    int held[64];
    rlim_t before;
    for (int closes = 0; closes < 2; closes++) {
        io_listen(&l, NULL);
        CHECK_RC(sley_addr_parse(&addr, l.text), 0);
        const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int n = exhaust(held, 64, &before);
        CHECK_INT(connect(client, &addr.sock.any, addr.len), ==, 0);
        io_wait_in(l.l.fd.number); /* a connect may have returned before the listener knows of it */
        SLEY_OP(struct sley_io_op, op);
        sley_tcp_accept_start(&op, &l.l, &b);
        while (!l.l.resting) {
            CHECK_RC(sley_yield(), 0); /* a ring says why in its next look */
        }
        if (closes) {
            CHECK_RC(sley_tcp_listener_close(&l.l), 0);
            CHECK_RC(sley_await(&op.wait), -ECANCELED);
        } else {
            CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
            CHECK(!l.l.resting); /* no timer is left behind */
        }
        for (int i = 0; i < n; i++) {
            close(held[i]);
        }
        (void)limit_numbers(before);
        if (!closes) {
            CHECK_RC(sley_tcp_accept(&l.l, &b), 0);
            CHECK_RC(sley_stream_close(&b.stream), 0);
        }
        close(client);
        CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    }
    return 0;
}

struct emfile_thread {
    struct io_listener l;
    struct sley_tcp conn;
};

static void *accept_thread(void *arg)
{
    struct emfile_thread *e = arg;
    CHECK_RC(sley_tcp_accept(&e->l.l, &e->conn), 0);
    return NULL;
}

SLEY_TEST(accept_on_a_plain_thread_rests, "TCP-07")
{
    struct emfile_thread e;
    struct sley_addr addr;
    pthread_t thread;
    int held[64];
    rlim_t before;
    io_listen(&e.l, NULL);
    CHECK_RC(sley_addr_parse(&addr, e.l.text), 0);
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int n = exhaust(held, 64, &before);
    CHECK_INT(connect(client, &addr.sock.any, addr.len), ==, 0);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(20 * SLEY_MS), sley_tcp_accept(&e.l.l, &e.conn)), -ETIMEDOUT); /* only a rest looks at it */
    CHECK_INT(pthread_create(&thread, NULL, accept_thread, &e), ==, 0);
    CHECK_RC(sley_sleep(10 * SLEY_MS), 0);
    for (int i = 0; i < n; i++) {
        close(held[i]);
    }
    (void)limit_numbers(before);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_RC(sley_stream_close(&e.conn.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&e.l.l), 0);
    close(client);
}

SLEY_TEST(accept_listener_whose_close_was_refused_is_closed_by_the_next, "")
{
    struct emfile_thread e;
    struct sley_addr addr;
    struct sley_tcp conn;
    pthread_t thread;
    io_listen(&e.l, NULL);
    CHECK_RC(sley_addr_parse(&addr, e.l.text), 0);
    CHECK_INT(pthread_create(&thread, NULL, accept_thread, &e), ==, 0);
    while (!(sley__fd_state(&e.l.l.fd) & SLEY_FD_HOLD_MASK)) {
        (void)sched_yield();
    }
    CHECK_RC(sley_tcp_listener_close(&e.l.l), -EXDEV); /* the thread is in a call on it */
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(client, &addr.sock.any, addr.len), ==, 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_RC(sley_stream_close(&e.conn.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&e.l.l), 0);
    CHECK_INT(e.l.l.fd.number, ==, -1);
    CHECK_RC(sley_tcp_accept(&e.l.l, &conn), -EBADF);
    close(client);
}
#endif

/* ---- a scripted reactor: every error, counted tries, no clock ------------------------------------------------------------ */

/** Answers accepts from a script; -EAGAIN arms. Time moves when nothing else can. */
struct fake {
    struct sley_reactor base;
    struct sley_io_op *armed;
};

static struct script {
    int32_t answers[200];
    unsigned at, count, tries;
    uint64_t now_ns, times_ns[200]; /* when each try was made */
} script;

static void fake_submit(struct sley_reactor *self, struct sley_io_op *op)
{
    struct fake *f = sley_container_of(self, struct fake, base);
    if (op->code == SLEY_IO_CLOSE) {
        if (f->armed) {
            struct sley_io_op *armed = f->armed;
            f->armed = NULL;
            sley_io_complete(self, armed, -ECANCELED);
        }
        close(op->fd->number);
        op->fd->number = -1;
        sley_io_finish(op, 0);
        return;
    }
    CHECK_UINT(script.tries, <, 200);
    script.times_ns[script.tries++] = script.now_ns;
    const int32_t answer = script.at < script.count ? script.answers[script.at++] : -EAGAIN;
    if (answer == -EAGAIN) {
        sley_io_arm(self, op);
        f->armed = op;
        return;
    }
    op->out_number = answer == 0 ? dup(0) : -1;
    sley_io_finish(op, answer);
}

/** A connection has come: the armed accept ends as the script says next. */
static void fake_event(struct fake *f)
{
    struct sley_io_op *op = f->armed;
    const int32_t answer = script.answers[script.at++];
    f->armed = NULL;
    op->out_number = answer == 0 ? dup(0) : -1;
    sley_io_complete(&f->base, op, answer);
}

/** Late when the script goes on: what has come in the meantime is the verdict. */
static void fake_cancel(struct sley_reactor *self, struct sley_io_op *op)
{
    struct fake *f = sley_container_of(self, struct fake, base);
    CHECK_PTR(f->armed, ==, op);
    if (script.at < script.count) {
        fake_event(f);
    } else {
        f->armed = NULL;
        sley_io_complete(self, op, -ECANCELED);
    }
}

static int fake_poll(struct sley_reactor *self, uint64_t timeout_ns)
{
    (void)self;
    script.now_ns += timeout_ns == SLEY_NEVER ? 0 : timeout_ns;
    return 0;
}

static void fake_wake(struct sley_reactor *self)
{
    (void)self;
}

static struct fake fake;

static void fake_destroy(struct sley_reactor *self)
{
    CHECK(sley_container_of(self, struct fake, base)->armed == NULL);
}

static const struct sley_reactor_ops fake_ops = {
    .version = SLEY_REACTOR_VERSION,
    .name = "fake",
    .submit = fake_submit,
    .cancel = fake_cancel,
    .poll = fake_poll,
    .wake = fake_wake,
    .destroy = fake_destroy,
};

static int fake_create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    (void)o;
    fake = (struct fake){.base = {.ops = &fake_ops}};
    *ret_reactor = &fake.base;
    return 0;
}

static const struct sley_reactor_factory fake_factory = {SLEY_REACTOR_VERSION, "fake", fake_create};

static uint64_t fake_now(struct sley_clock *self)
{
    (void)self;
    return script.now_ns;
}

static void fake_idle(struct sley_clock *self, uint64_t next_ns)
{
    (void)self;
    script.now_ns = next_ns > script.now_ns ? next_ns : script.now_ns;
}

static struct sley_clock fake_clock = {fake_now, fake_idle};

/** A case on the scripted reactor. */
#define FAKE_TEST(name, ids)                                           \
    static int name(void *unused);                                     \
    SLEY_FIBER(name, void)                                             \
    SLEY_TEST(name, ids)                                               \
    {                                                                  \
        script = (struct script){.now_ns = SLEY_S};                    \
        io_run_clock(&fake_factory, &fake_clock, &name##__type, NULL); \
    }                                                                  \
    static int name(void *unused __attribute__((unused)))

static void fake_listen(struct sley_tcp_listener *l)
{
    CHECK_RC(sley_tcp_listen(l, "127.0.0.1:0", NULL), 0);
}

static void answer(int32_t what, unsigned times)
{
    while (times-- > 0) {
        script.answers[script.count++] = what;
    }
}

FAKE_TEST(accept_tries_once_per_connection_and_once_to_wait, "TCP-04")
{
    struct sley_tcp_listener l;
    struct sley_tcp c;
    fake_listen(&l);
    SLEY_OP(struct sley_io_op, op);
    sley_tcp_accept_start(&op, &l, &c);
    CHECK_UINT(script.tries, ==, 1); /* one that waits */
    answer(-EAGAIN, 1);
    script.at = 1;
    answer(0, 1);
    fake_event(&fake); /* one that succeeds */
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_UINT(script.tries, ==, 1);
    CHECK_RC(sley_stream_close(&c.stream), 0);
    sley_tcp_accept_start(&op, &l, &c);
    CHECK_UINT(script.tries, ==, 2); /* one that waits; no more */
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(script.tries, ==, 2);
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    return 0;
}

FAKE_TEST(accept_rests_longer_each_time_up_to_a_second, "TCP-07")
{
    static const int32_t shortages[] = {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM};
    struct sley_tcp_listener l;
    struct sley_tcp c;
    fake_listen(&l);
    for (size_t i = 0; i < 4; i++) {
        script.at = script.count = script.tries = 0;
        answer(shortages[i], 12);
        answer(0, 1);
        CHECK_RC(sley_tcp_accept(&l, &c), 0);
        CHECK_RC(sley_stream_close(&c.stream), 0);
        CHECK_UINT(script.tries, ==, 13);
        uint64_t rest = 5 * SLEY_MS;
        for (int k = 1; k < 13; k++) {
            const uint64_t waited = script.times_ns[k] - script.times_ns[k - 1];
            CHECK_UINT(waited, >=, rest);
            CHECK_UINT(waited, <=, rest + 3 * SLEY_MS); /* a tick late, and what the clock's steps add */
            rest = rest * 2 < SLEY_S ? rest * 2 : SLEY_S;
        }
    }
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    return 0;
}

FAKE_TEST(accept_passes_over_broken_connections_at_once, "")
{
    static const int32_t odd[] = {-ECONNABORTED, -EPROTO,       -ENOPROTOOPT, -ENETDOWN, -ENETUNREACH,
                                  -EHOSTDOWN,    -EHOSTUNREACH, -ENONET,      -ETIMEDOUT};
    struct sley_tcp_listener l;
    struct sley_tcp c;
    fake_listen(&l);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        answer(odd[i], 3);
    }
    answer(0, 1);
    CHECK_RC(sley_tcp_accept(&l, &c), 0);
    CHECK_RC(sley_stream_close(&c.stream), 0);
    CHECK_UINT(script.tries, ==, 28);
    CHECK_UINT(script.times_ns[27], ==, script.times_ns[0]); /* no time has passed */
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    return 0;
}

FAKE_TEST(accept_does_not_spin_on_an_error_that_repeats, "")
{
    struct sley_tcp_listener l;
    struct sley_tcp c;
    fake_listen(&l);
    answer(-ECONNABORTED, 150);
    answer(0, 1);
    CHECK_RC(sley_tcp_accept(&l, &c), 0);
    CHECK_RC(sley_stream_close(&c.stream), 0);
    CHECK_UINT(script.times_ns[63], ==, script.times_ns[0]);
    CHECK_UINT(script.times_ns[64], >=, script.times_ns[63] + 5 * SLEY_MS);
    CHECK_UINT(script.times_ns[128], >=, script.times_ns[127] + 10 * SLEY_MS);
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    return 0;
}

FAKE_TEST(accept_reports_errors_of_the_listener_to_each_waiter, "")
{
    struct sley_tcp_listener l;
    struct sley_tcp c[3];
    struct sley_io_op ops[3] = {0};
    fake_listen(&l);
    answer(-EAGAIN, 1);
    answer(-EINVAL, 2);
    answer(0, 1);
    for (int i = 0; i < 3; i++) {
        sley_tcp_accept_start(&ops[i], &l, &c[i]);
    }
    fake_event(&fake);
    CHECK_RC(sley_await(&ops[0].wait), -EINVAL);
    CHECK_RC(sley_await(&ops[1].wait), -EINVAL);
    CHECK_RC(sley_await(&ops[2].wait), 0);
    CHECK_RC(sley_stream_close(&c[2].stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    return 0;
}

FAKE_TEST(accept_error_after_waiting_rests_too, "TCP-07")
{
    struct sley_tcp_listener l;
    struct sley_tcp c;
    fake_listen(&l);
    SLEY_OP(struct sley_io_op, op);
    answer(-EAGAIN, 1);
    answer(-EMFILE, 2);
    answer(0, 1);
    sley_tcp_accept_start(&op, &l, &c);
    fake_event(&fake);
    CHECK(l.resting);
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_UINT(script.tries, ==, 3);
    CHECK_RC(sley_stream_close(&c.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    return 0;
}

FAKE_TEST(accept_that_ends_with_a_connection_while_the_listener_closes_leaks_nothing, "")
{
    struct sley_tcp_listener l;
    struct sley_tcp c;
    const unsigned open = io_fd_count();
    fake_listen(&l);
    SLEY_OP(struct sley_io_op, op);
    sley_tcp_accept_start(&op, &l, &c);
    answer(0, 1);
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    CHECK_UINT(script.at, ==, 1);
    CHECK_RC(sley_await(&op.wait), -ECANCELED);
    CHECK_UINT(io_fd_count(), ==, open);
    return 0;
}

FAKE_TEST(accept_that_is_cancelled_too_late_keeps_the_connection_for_the_next, "")
{
    struct sley_tcp_listener l;
    struct sley_tcp c;
    const unsigned open = io_fd_count();
    fake_listen(&l);
    SLEY_OP(struct sley_io_op, op);
    sley_tcp_accept_start(&op, &l, &c);
    answer(0, 1);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_RC(sley_tcp_accept(&l, &c), 0);
    CHECK_UINT(script.tries, ==, 1);
    CHECK_RC(sley_stream_close(&c.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l), 0);
    CHECK_UINT(io_fd_count(), ==, open);
    return 0;
}

/* ---- homes --------------------------------------------------------------------------------------------------------------- */

#ifndef IO_DIRECT /* such connections stay where they are */
struct hand_over {
    struct io_listener *l;
    struct sley_tcp conn;
};

static int use_connection(struct hand_over *h)
{
    char buf[8];
    CHECK_RC(sley_stream_read_exact(&h->conn.stream, buf, 5, NULL), 0);
    CHECK_PTR(h->conn.fd.home, ==, sley_sched_current()->reactor);
    CHECK_RC(sley_stream_write_all(&h->conn.stream, buf, 5, NULL), 0);
    CHECK_RC(sley_stream_close(&h->conn.stream), 0);
    return 0;
}
SLEY_FIBER(use_connection, struct hand_over)

static void *other_executor(void *arg)
{
    io_run(&sley_reactor_epoll, &use_connection__type, arg);
    return NULL;
}

IO_TEST(accept_here_serve_on_another_executor, "TCP-21")
{
    struct io_listener l;
    struct hand_over h = {.l = &l};
    struct sley_tcp a, never;
    char buf[8];
    pthread_t thread;
    io_listen(&l, NULL);
    CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
    CHECK_RC(sley_tcp_accept(&l.l, &h.conn), 0);
    CHECK_PTR(h.conn.fd.home, ==, NULL);
    SLEY_OP(struct sley_io_op, waiting);
    sley_tcp_accept_start(&waiting, &l.l, &never);
    CHECK_INT(pthread_create(&thread, NULL, other_executor, &h), ==, 0);
    CHECK_RC(sley_stream_write_all(&a.stream, "hello", 5, NULL), 0);
    CHECK_RC(sley_stream_read_exact(&a.stream, buf, 5, NULL), 0);
    CHECK_RC(sley_stream_read(&a.stream, buf, 1), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_RC(sley_wait_fini(&waiting.wait), -ECANCELED);
    CHECK_RC(sley_stream_close(&a.stream), 0);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
    return 0;
}
#endif
