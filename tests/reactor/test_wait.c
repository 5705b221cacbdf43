/* Waiting: what stays armed and what does not, wakes, timeouts, cancels that race with data. */
#include "bed.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

/* ---- nothing stays armed ------------------------------------------------------------------------------------------ */

/** Looks for @p ns. Returns how often the wait ended before its time, which only an event can do. */
static int wakes_in(uint64_t ns)
{
    const uint64_t end = sley_after_ns(ns);
    int wakes = -1;
    for (uint64_t now; (now = sley_now_ns()) < end; wakes++) {
        CHECK_INT(look(end - now), >=, 0);
    }
    return wakes < 0 ? 0 : wakes;
}

FIBER_TEST(recv_that_timed_out_leaves_nothing_armed, "REACT-13")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    char buf[8];
    CHECK_RC(SLEY_UNTIL(sley_after_ns(2 * SLEY_MS), io(&fd, SLEY_IO_RECV, buf, sizeof buf)), -ETIMEDOUT);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(2 * SLEY_MS), sley_fd_poll(&fd, SLEY_IO_IN)), -ETIMEDOUT);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    put(peer, "x");
    CHECK_INT(wakes_in(20 * SLEY_MS), ==, 0);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(recv_cancelled_beside_a_send_keeps_the_send, "REACT-13")
{
    static char block[1 << 16];
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sley_io_op r = {0}, w = {0};
    char byte;
    do {
        io_start(&w, &fd, SLEY_IO_SEND, block, sizeof block);
    } while (done_now(&w.wait));
    io_start(&r, &fd, SLEY_IO_RECV, &byte, 1);
    CHECK_INT(look(0), ==, 0);
    CHECK_RC(sley_wait_fini(&r.wait), -ECANCELED);
    put(peer, "x");
    CHECK_INT(wakes_in(10 * SLEY_MS), ==, 0);
    while (!done_now(&w.wait)) {
        CHECK_INT(recv(peer, block, sizeof block, 0), >, 0);
        (void)look(0);
    }
    CHECK_RC(io(&fd, SLEY_IO_RECV, &byte, 1), 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(recv_cancelled_and_started_again_gets_the_data, "")
{
    struct sley_fd fd;
    const int peer = tcp_pair(&fd);
    struct sley_io_op op = {0};
    char buf[8];
    for (int i = 0; i < 50; i++) {
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        if (i % 3 == 1) {
            CHECK_INT(look(0), ==, 0); /* the cancel goes through to the port */
        }
        CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
        if (i % 3 == 2) {
            CHECK_INT(look(0), ==, 0);
        }
        if (i % 2) {
            put(peer, "ab");
        }
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        if (i % 2 == 0) {
            put(peer, "ab");
        }
        CHECK_RC(until_done(&op.wait), 2);
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(data_for_a_task_that_does_not_read_wakes_once_at_most, "REACT-13")
{
    struct sley_fd fd;
    const int peer = tcp_pair(&fd);
    struct sley_io_op op = {0};
    char buf[8];
    io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    put(peer, "a");
    CHECK_RC(until_done(&op.wait), 1);
    int wakes = 0;
    for (int i = 0; i < 20; i++) {
        put(peer, "b");
        wakes += wakes_in(SLEY_MS);
    }
    CHECK_INT(wakes, <=, 1);
    wait_bytes(fd.number, 20);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 8);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 8);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 4);
    io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK(!done_now(&op.wait));
    put(peer, "c");
    CHECK_RC(until_done(&op.wait), 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(cancels_in_numbers_leave_nothing_armed, "REACT-13")
{
    enum { N = 200 };
    static struct sley_fd fds[N];
    static struct sley_io_op ops[N];
    static int peers[N];
    char byte;
    for (int i = 0; i < N; i++) {
        peers[i] = unix_pair(&fds[i]);
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, &byte, 1);
    }
    CHECK_UINT(reactor()->armed_count, ==, N);
    CHECK_INT(look(0), ==, 0);
    for (int i = 0; i < N; i++) {
        CHECK_RC(sley_wait_fini(&ops[i].wait), -ECANCELED);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_INT(look(0), ==, 0);
    for (int i = 0; i < N; i++) {
        put(peers[i], "x");
    }
    CHECK_INT(wakes_in(5 * SLEY_MS), ==, 0);
    for (int i = 0; i < N; i++) {
        CHECK_RC(io(&fds[i], SLEY_IO_RECV, &byte, 1), 1);
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
}

/* ---- cancels that race -------------------------------------------------------------------------------------------- */

struct feeder {
    int number;
    SLEY_ATOMIC(uint32_t) asked, given;
    SLEY_ATOMIC(bool) end;
};

static void *feed(void *arg)
{
    struct feeder *f = arg;
    uint32_t given = 0;
    while (!atomic_load_explicit(&f->end, memory_order_relaxed)) {
        if (atomic_load_explicit(&f->asked, memory_order_relaxed) != given) {
            put(f->number, "x");
            atomic_store_explicit(&f->given, ++given, memory_order_relaxed);
        } else {
            (void)sched_yield();
        }
    }
    return NULL;
}

FIBER_TEST(cancel_racing_with_data_gives_one_verdict_and_loses_no_byte, "REACT-18 REACT-19")
{
    struct sley_fd fd;
    struct feeder f = {.number = tcp_pair(&fd)};
    const uint32_t rounds = 5000 / harness_slowness();
    uint32_t got = 0, cancelled = 0;
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, feed, &f), ==, 0);
    for (uint32_t i = 0; i < rounds; i++) {
        struct sley_io_op op = {0};
        char byte;
        const bool early = harness_rand_below(4) == 0;
        if (early) {
            atomic_store_explicit(&f.asked, i + 1, memory_order_relaxed);
        }
        if (i % 2) {
            io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        } else {
            sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
        }
        atomic_store_explicit(&f.asked, i + 1, memory_order_relaxed);
        for (uint64_t n = harness_rand_below(8); n > 0; n--) {
            (void)look(0);
        }
        const int32_t rc = sley_wait_fini(&op.wait);
        CHECK(rc == 1 || rc == -ECANCELED);
        got += i % 2 && rc == 1;
        cancelled += rc == -ECANCELED;
        CHECK_UINT(reactor()->armed_count, ==, 0);
    }
    for (; got < rounds; got++) {
        char byte;
        CHECK_RC(io(&fd, SLEY_IO_RECV, &byte, 1), 1);
    }
    harness_note("%u of %u cancelled", cancelled, rounds);
    atomic_store_explicit(&f.end, true, memory_order_relaxed);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(f.number);
}

/** Who only ever looks, and gives up before the reactor does: what is there is seen all the same. */
FIBER_TEST(regress_ops_given_up_at_once_see_what_is_there, "")
{
    struct sley_fd fd;
    char buf[4096] = {0};
    const int peer = unix_pair(&fd);
    for (int way = 0; way < 2; way++) {
        const enum sley_io_code code = way ? SLEY_IO_SEND : SLEY_IO_RECV;
        struct sley_io_op op = {0};
        int32_t n;
        do { /* until it would wait */
            io_start(&op, &fd, code, buf, sizeof buf);
            (void)done_now(&op.wait);
            sley_wait_cancel(&op.wait);
            n = until_done(&op.wait);
        } while (n > 0);
        CHECK_RC(n, -ECANCELED);
        if (way == 0) {
            put(peer, "there");
        } else {
            while (recv(peer, buf, sizeof buf, MSG_DONTWAIT) > 0) {
            }
        }
        int tries = 0;
        do {
            CHECK_INT(look(0), >=, 0); /* as an executor does now and then */
            io_start(&op, &fd, code, buf, 5);
            sley_wait_cancel(&op.wait);
            n = until_done(&op.wait);
        } while (n == -ECANCELED && ++tries < 10);
        CHECK_RC(n, 5);
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(accept_cancelled_leaves_the_connection_to_the_next, "REACT-21")
{
    struct sockaddr_in addr;
    struct sley_fd fd, conn;
    struct sley_io_op op = {0};
    char buf[8];
    sley_fd_init(&fd, tcp_listener(&addr, 8));
    io_start(&op, &fd, SLEY_IO_ACCEPT, NULL, 0);
    CHECK_INT(look(0), ==, 0);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    const int peer = tcp_dial(&addr);
    put(peer, "hello");
    CHECK_INT(wakes_in(5 * SLEY_MS), ==, 0);
    io_start(&op, &fd, SLEY_IO_ACCEPT, NULL, 0);
    CHECK_RC(until_done(&op.wait), 0);
    sley_fd_init(&conn, op.out_number);
    CHECK_RC(io(&conn, SLEY_IO_RECV, buf, sizeof buf), 5);
    CHECK(memcmp(buf, "hello", 5) == 0);
    CHECK_RC(sley_fd_close(&conn), 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(cancel_of_one_accept_among_several_keeps_the_order, "")
{
    struct sockaddr_in addr;
    struct sley_fd fd;
    struct sley_io_op ops[4] = {0};
    int peers[3];
    sley_fd_init(&fd, tcp_listener(&addr, 8));
    for (int gone = 0; gone < 4; gone++) {
        for (int i = 0; i < 4; i++) {
            io_start(&ops[i], &fd, SLEY_IO_ACCEPT, NULL, 0);
        }
        CHECK_RC(sley_wait_fini(&ops[gone].wait), -ECANCELED);
        int k = 0;
        for (int i = 0; i < 4; i++) {
            if (i != gone) {
                peers[k++] = tcp_dial(&addr);
                CHECK_RC(until_done(&ops[i].wait), 0);
                (void)close(ops[i].out_number);
            }
        }
        for (int i = 0; i < 3; i++) {
            (void)close(peers[i]);
        }
    }
    CHECK_RC(sley_fd_close(&fd), 0);
}

/* ---- several in a batch ------------------------------------------------------------------------------------------- */

struct closer {
    struct sley_wait_hook hook;
    struct sley_fd *victim;
    struct sley_io_op op;
    int ran;
};

static void close_other(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct closer *c = sley_container_of(hook, struct closer, hook);
    (void)w;
    sley_fd_close_start(&c->op, c->victim);
    CHECK(IS_URING || sley_wait_done(&c->op.wait));
    c->ran++;
}

FIBER_TEST(event_of_a_descriptor_closed_earlier_in_its_batch_is_dropped, "REACT-23")
{
    struct sley_fd fds[2];
    struct sley_io_op ops[2] = {0};
    struct closer closers[2] = {0};
    char buf[2][8];
    int peers[2];
    for (int i = 0; i < 2; i++) {
        peers[i] = unix_pair(&fds[i]);
    }
    for (int i = 0; i < 2; i++) {
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, buf[i], 8);
        closers[i] = (struct closer){.hook = {.fn = close_other}, .victim = &fds[!i]};
        sley_wait_hook(&ops[i].wait, &closers[i].hook);
        put(peers[i], "x");
    }
    CHECK_INT(look(SLEY_NEVER), >=, 1);
    for (int i = 0; i < 2; i++) { /* a ring has the results of both: then none is cancelled */
        CHECK_RC(until_done(&closers[i].op.wait), 0);
        CHECK_INT(fds[i].number, ==, -1);
    }
    /* whoever came first has closed the other, whose op ended with -ECANCELED, whose hook has closed the first */
    CHECK_INT(closers[0].ran, ==, 1);
    CHECK_INT(closers[1].ran, ==, 1);
    CHECK((ops[0].wait.result == 1 && ops[1].wait.result == -ECANCELED) ||
          (ops[1].wait.result == 1 && ops[0].wait.result == -ECANCELED) ||
          (IS_URING && ops[0].wait.result == 1 && ops[1].wait.result == 1));
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_INT(look(0), ==, 0);
    (void)close(peers[0]);
    (void)close(peers[1]);
}

struct again {
    struct sley_wait_hook hook;
    struct sley_io_op *op;
    struct sley_fd *fd;
    int count;
};

static void poll_again(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct again *a = sley_container_of(hook, struct again, hook);
    (void)w;
    char byte;
    if (a->count++ < 100) {
        (void)recv(a->fd->number, &byte, 1, MSG_DONTWAIT);
        sley_fd_poll_start(a->op, a->fd, SLEY_IO_IN);
        sley_wait_hook(&a->op->wait, &a->hook);
    }
}

FIBER_TEST(poll_started_again_by_its_hook_does_not_loop_on_one_event, "")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sley_io_op op = {0};
    struct again a = {.hook = {.fn = poll_again}, .op = &op, .fd = &fd};
    sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
    sley_wait_hook(&op.wait, &a.hook);
    put(peer, "x");
    CHECK_INT(look(SLEY_NEVER), ==, 1);
    CHECK_INT(a.count, ==, 1);
    put(peer, "y");
    CHECK_INT(look(SLEY_NEVER), ==, 1);
    CHECK_INT(a.count, ==, 2);
    a.count = 100;
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

enum { ANSWERS = 300 };

struct answerer {
    struct sley_wait_hook hook;
    struct sley_io_op *op;
    struct sley_fd *fd;
    int peer, count;
    char byte;
};

/** Waits again, and only then has the next byte sent: as an echo whose client is quicker than this thread. */
static void answer(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct answerer *a = sley_container_of(hook, struct answerer, hook);
    CHECK_RC(w->result, 1);
    if (++a->count < ANSWERS) {
        io_start(a->op, a->fd, SLEY_IO_RECV, &a->byte, 1);
        CHECK(!sley_wait_done(&a->op->wait));
        sley_wait_hook(&a->op->wait, &a->hook);
        put(a->peer, "x");
    }
}

FIBER_TEST(recv_started_again_by_its_hook_lets_the_look_end_and_loses_nothing, "")
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    struct answerer a = {.hook = {.fn = answer}, .op = &op, .fd = &fd, .peer = tcp_pair(&fd)};
    io_start(&op, &fd, SLEY_IO_RECV, &a.byte, 1);
    sley_wait_hook(&op.wait, &a.hook);
    put(a.peer, "x");
    while (a.count < ANSWERS) {
        const int before = a.count;
        CHECK_INT(look(SLEY_NEVER), >=, 0);
        CHECK_INT(a.count - before, <=, ANSWERS / 2); /* others have had their turn */
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(a.peer);
}

/* ---- wakes -------------------------------------------------------------------------------------------------------- */

FIBER_TEST(wake_before_the_wait_ends_it_ten_times_without_events, "REACT-11")
{
    struct sley_reactor *r = reactor();
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k <= i * 100; k++) {
            r->ops->wake(r); /* many are one */
        }
        CHECK_INT(look(SLEY_NEVER), ==, 0);
        const uint64_t start = sley_now_ns();
        CHECK_INT(look(2 * SLEY_MS), ==, 0);
        CHECK_UINT(sley_now_ns() - start, >=, 2 * SLEY_MS); /* nothing of it is left */
    }
}

struct waker {
    struct sley_reactor *r;
    SLEY_ATOMIC(uint32_t) sent, seen;
    SLEY_ATOMIC(uint32_t) last; /* set before it is sent */
    uint32_t rounds;
};

static void *wake_often(void *arg)
{
    struct waker *k = arg;
    bool more = true;
    for (uint32_t i = 1; more; i++) {
        more = i % 4 != 0 || harness_another(i, k->rounds);
        if (!more) {
            atomic_store_explicit(&k->last, i, memory_order_relaxed); /* published by the wake */
        }
        atomic_store_explicit(&k->sent, i, memory_order_relaxed);
        k->r->ops->wake(k->r);
        if (i % 4 == 0) {
            while (atomic_load_explicit(&k->seen, memory_order_relaxed) != i) {
                (void)sched_yield();
            }
        }
    }
    return NULL;
}

FIBER_TEST(wakes_racing_with_the_wait_are_not_lost, "REACT-11")
{
    struct waker k = {.r = reactor(), .rounds = 40000 / harness_slowness()};
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, wake_often, &k), ==, 0);
    uint32_t seen = 0;
    while (seen == 0 || seen != atomic_load_explicit(&k.last, memory_order_relaxed)) {
        CHECK_INT(look(SLEY_NEVER), ==, 0);
        seen = atomic_load_explicit(&k.sent, memory_order_relaxed); /* published by the wake itself */
        atomic_store_explicit(&k.seen, seen, memory_order_relaxed);
    }
    CHECK_INT(pthread_join(t, NULL), ==, 0);
}

static struct sley_reactor *to_wake;
static volatile sig_atomic_t handled;

static void on_signal(int signo)
{
    (void)signo;
    handled++;
    if (to_wake) {
        to_wake->ops->wake(to_wake);
    }
}

FIBER_TEST(wake_from_a_signal_handler_ends_the_wait, "REACT-11")
{
    to_wake = reactor();
    CHECK(signal(SIGALRM, on_signal) != SIG_ERR);
    for (int i = 0; i < 20; i++) {
        errno = 1234;
        CHECK_INT(raise(SIGALRM), ==, 0);
        CHECK_INT(errno, ==, 1234);
        CHECK_INT(look(SLEY_NEVER), ==, 0);
        const struct itimerval once = {.it_value.tv_usec = 500};
        const int before = handled; /* first: it may come before the next line */
        CHECK_INT(setitimer(ITIMER_REAL, &once, NULL), ==, 0);
        while (handled == before) {
            CHECK_INT(look(SLEY_NEVER), ==, 0);
        }
        CHECK_INT(look(SLEY_MS), ==, 0);
    }
}

FIBER_TEST(signal_during_the_wait_is_no_error_and_no_event, "REACT-10")
{
    to_wake = NULL;
    CHECK(signal(SIGALRM, on_signal) != SIG_ERR);
    const struct itimerval often = {.it_value.tv_usec = 1000, .it_interval.tv_usec = 1000}, off = {.it_value.tv_usec = 0};
    CHECK_INT(setitimer(ITIMER_REAL, &often, NULL), ==, 0);
    for (int i = 0; i < 5 || handled <= 10; i++) { /* who waits for a processor gets one for many */
        const uint64_t start = sley_now_ns();
        CHECK_INT(look(5 * SLEY_MS), ==, 0); /* early at worst */
        CHECK_RC(sley_sleep(20 * SLEY_MS), 0);
        CHECK_UINT(sley_now_ns() - start, >=, 20 * SLEY_MS);
    }
    CHECK_INT(setitimer(ITIMER_REAL, &off, NULL), ==, 0);
}

/* ---- other threads ------------------------------------------------------------------------------------------------ */

struct late {
    struct sley_post post;
    struct sley_sched *home;
    struct sley_fd fd;
    struct sley_io_op op;
    struct sley_wait_hook hook;
    int peer, gate_peer;
    SLEY_ATOMIC(bool) done;
};

static void late_done(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct late *l = sley_container_of(hook, struct late, hook);
    CHECK_RC(w->result, SLEY_IO_IN);
    atomic_store_explicit(&l->done, true, memory_order_relaxed);
}

static void late_start(struct sley_post *p)
{
    struct late *l = sley_container_of(p, struct late, post);
    sley_fd_poll_start(&l->op, &l->fd, SLEY_IO_IN);
    sley_wait_hook(&l->op.wait, &l->hook);
}

static void *bring(void *arg)
{
    struct late *l = arg;
    CHECK(sley_sched_post(l->home, &l->post));
    put(l->peer, "x");
    while (!atomic_load_explicit(&l->done, memory_order_relaxed)) {
        (void)sched_yield();
    }
    put(l->gate_peer, "y");
    return NULL;
}

FIBER_TEST(thread_brings_a_descriptor_to_a_reactor_that_waits_for_ever, "REACT-09")
{
    struct sley_fd gate;
    static struct late l;
    l = (struct late){.post = {.fn = late_start}, .home = sley_sched_current(), .hook = {.fn = late_done}};
    l.peer = unix_pair(&l.fd);
    l.gate_peer = unix_pair(&gate);
    char buf[4];
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, bring, &l), ==, 0);
    CHECK_RC(io(&gate, SLEY_IO_RECV, buf, sizeof buf), 1); /* no timer, no other work; opened only once the event has come */
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    CHECK_RC(sley_fd_close(&gate), 0);
    CHECK_RC(sley_fd_close(&l.fd), 0);
    (void)close(l.gate_peer);
    (void)close(l.peer);
}

/* ---- time --------------------------------------------------------------------------------------------------------- */

FIBER_TEST(timeout_of_100us_is_never_early_and_can_be_punctual, "REACT-12")
{
    uint64_t best = SLEY_NEVER;
    const int rounds = 1000 / (int)harness_slowness();
    const bool can = syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, 0) == 0 || errno != ENOSYS;
    for (int i = 0; i < rounds || (can && best >= 600 * SLEY_US); i++) { /* beside others it may take many until one is punctual */
        const uint64_t start = sley_now_ns();
        CHECK_INT(look(100 * SLEY_US), ==, 0);
        const uint64_t took = sley_now_ns() - start;
        CHECK_UINT(took, >=, 100 * SLEY_US);
        best = took < best ? took : best;
    }
}

/** From now on this process runs on an older kernel. A kernel that filters nothing (an emulator's) is one already. */
static void forbid_epoll_pwait2(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0) {
        CHECK_INT(syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, 0), ==, -1);
        CHECK_INT(errno, ==, ENOSYS);
    }
}

FIBER_TEST(timeout_on_a_kernel_without_fine_ones_is_never_early, "REACT-12")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sley_io_op op = {0};
    char byte;
    forbid_epoll_pwait2();
    for (uint64_t ns = 1; ns < 10 * SLEY_MS; ns = ns * 3 + 7) {
        const uint64_t start = sley_now_ns();
        CHECK_INT(look(ns), ==, 0);
        CHECK_UINT(sley_now_ns() - start, >=, ns);
    }
    io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
    put(peer, "x");
    CHECK_INT(look(SLEY_NEVER - 1), ==, 1); /* longer than an int of milliseconds */
    CHECK_RC(op.wait.result, 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

/** What has to be told to whoever sleeps, and not only to whoever looks. */
struct sleeper {
    int number, result;
    _Atomic pid_t thread;
    _Atomic bool awake;
};

static void *sleep_on_it(void *arg)
{
    struct sleeper *s = arg;
    struct pollfd p = {.fd = s->number, .events = POLLIN};
    s->thread = (pid_t)syscall(SYS_gettid);
    s->result = poll(&p, 1, -1);
    s->awake = true;
    return NULL;
}

/** Sleeps: it has nothing else to wait for than what it was told to. */
static bool asleep(pid_t thread)
{
    char path[64], text[256] = "";
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
    const int number = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = read(number, text, sizeof text - 1);
    (void)close(number);
    const char *state = n > 0 ? strrchr(text, ')') : NULL;
    return state && state[2] == 'S';
}

FIBER_TEST(descriptor_for_foreign_loops_wakes_who_sleeps_on_it, "")
{
    struct sley_reactor *r = reactor();
    if (!r->ops->pollable_fd) {
        return;
    }
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sleeper s = {.number = r->ops->pollable_fd(r)};
    struct sley_io_op op = {0};
    char byte;
    pthread_t t;
    for (int round = 0; round < 3; round++) {
        io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        for (bool sleeps = false; !sleeps;) { /* something of its own that comes late may wake once more */
            do {
                CHECK_INT(look(0), >=, 0);
            } while (r->more);
            s.thread = 0;
            s.awake = false;
            CHECK_INT(pthread_create(&t, NULL, sleep_on_it, &s), ==, 0);
            while (!s.awake && (!s.thread || !asleep(s.thread))) {
                (void)sched_yield();
            }
            sleeps = !s.awake;
            CHECK_INT(sleeps ? 0 : pthread_join(t, NULL), ==, 0);
        }
        if (round == 1) {
            r->ops->wake(r);
        } else {
            put(peer, "x");
        }
        CHECK_INT(pthread_join(t, NULL), ==, 0);
        CHECK_INT(s.result, ==, 1);
        if (round == 1) {
            CHECK_INT(look(0), >=, 0);
            put(peer, "x");
        }
        CHECK_RC(until_done(&op.wait), 1);
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(descriptor_for_foreign_loops_is_readable_when_there_is_work, "")
{
    struct sley_reactor *r = reactor();
    if (!r->ops->pollable_fd) {
        CHECK(!IS_EPOLL && !IS_URING);
        return;
    }
    struct sley_fd fd;
    const int peer = unix_pair(&fd), number = r->ops->pollable_fd(r);
    struct sley_io_op op = {0};
    char byte;
    fd_set set;
    struct timeval none = {0};
    for (int ready = 0; ready < 2; ready++) {
        if (ready) {
            put(peer, "x");
        } else {
            io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
            CHECK(!done_now(&op.wait));
        }
        while (r->more) { /* who drives from outside is told to come again, not to wait */
            CHECK_INT(look(0), ==, 0);
        }
        FD_ZERO(&set);
        FD_SET(number, &set);
        CHECK_INT(select(number + 1, &set, NULL, NULL, &none), ==, ready);
    }
    CHECK_RC(until_done(&op.wait), 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}
