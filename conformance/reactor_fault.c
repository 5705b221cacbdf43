/* Clauses: a system that does only part of what it is asked, or something else first. And the short ways. */
#include "rig.h"

#include <sley/near_impl.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>

/* ---- transfers in pieces ----------------------------------------------------------------------------------------- */

struct other_end {
    int number;
    size_t bytes; /* so many in each direction */
};

static void *echo_in_pieces(void *arg)
{
    static unsigned char block[4096];
    const struct other_end *e = arg;
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    (void)pthread_sigmask(SIG_BLOCK, &alarms, NULL); /* they are for the one under test */
    for (size_t done = 0; done < e->bytes;) {
        const ssize_t n = recv(e->number, block, 1 + sley__kit_below(sizeof block), 0);
        CHECK_INT(n, >, 0);
        check_bytes(block, done, (size_t)n);
        for (ssize_t out = 0; out < n;) {
            const size_t piece = 1 + sley__kit_below((uint64_t)(n - out));
            CHECK_INT(send(e->number, block + out, piece, MSG_NOSIGNAL), ==, (intmax_t)piece);
            out += (ssize_t)piece;
        }
        done += (size_t)n;
    }
    return NULL;
}

/** Sends and receives at once, in ops of any size, whatever the other end makes of it. */
static void exchange(struct sley_fd *fd, size_t bytes)
{
    static unsigned char out[8192], in[8192];
    struct sley_io_op w = {0}, r = {0};
    size_t sent = 0, got = 0, asked = 0;
    bool writing = false, reading = false;
    while (got < bytes) {
        if (!writing && sent < bytes) {
            const size_t n = 1 + sley__kit_below(sizeof out), left = bytes - sent;
            fill_bytes(out, sent, sizeof out);
            io_start(&w, fd, SLEY_IO_SEND, out, n < left ? n : left);
            writing = true;
        }
        if (!reading) {
            asked = 1 + sley__kit_below(sizeof in);
            io_start(&r, fd, SLEY_IO_RECV, in, asked);
            reading = true;
        }
        while (!(writing && sley_wait_done(&w.wait)) && !sley_wait_done(&r.wait)) {
            (void)look(SLEY_NEVER);
        }
        if (writing && sley_wait_done(&w.wait)) {
            CHECK_INT(w.wait.result, >, 0);
            sent += (size_t)w.wait.result;
            writing = false;
        }
        if (sley_wait_done(&r.wait)) {
            CHECK_INT(r.wait.result, >, 0);
            CHECK_UINT((size_t)r.wait.result, <=, asked);
            check_bytes(in, got, (size_t)r.wait.result);
            got += (size_t)r.wait.result;
            reading = false;
        }
    }
    CHECK_UINT(sent, ==, bytes);
}

static void exchange_all(enum pair kind, size_t bytes)
{
    struct sley_fd fd;
    pthread_t thread;
    const int tiny = 1; /* the system takes its least */
    struct other_end e = {.number = sley__rig_pair(kind, &fd), .bytes = bytes};
    const int ends[] = {fd.number, e.number};
    for (int i = 0; i < 2; i++) {
        CHECK_INT(setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &tiny, sizeof tiny), ==, 0);
        if (kind != PAIR_TCP) { /* a window that closes takes seconds to open again */
            CHECK_INT(setsockopt(ends[i], SOL_SOCKET, SO_RCVBUF, &tiny, sizeof tiny), ==, 0);
        }
    }
    CHECK_INT(pthread_create(&thread, NULL, echo_in_pieces, &e), ==, 0);
    exchange(&fd, bytes);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    shut(&fd);
    (void)close(e.number);
}

CLAUSE(short_transfers_lose_nothing)
{
    const size_t bytes = (size_t)(8 + sley__kit_rounds(56)) << 12;
    exchange_all(PAIR_UNIX, bytes);
    exchange_all(PAIR_TCP, bytes);
}

static SLEY_ATOMIC(unsigned) alarms_seen; /* by whichever thread */

static void on_alarm(int signo)
{
    (void)signo;
    atomic_fetch_add_explicit(&alarms_seen, 1, memory_order_relaxed); /* relaxed: a count */
}

CLAUSE(interrupted_calls_are_made_again)
{
    const struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    const struct itimerval often = {.it_value.tv_usec = 200, .it_interval.tv_usec = 200}, off = {.it_value.tv_usec = 0};
    CHECK_INT(sigaction(SIGALRM, &action, NULL), ==, 0);
    CHECK_INT(setitimer(ITIMER_REAL, &often, NULL), ==, 0);
    do {
        exchange_all(PAIR_UNIX, (size_t)sley__kit_rounds(32) << 12);
    } while (atomic_load_explicit(&alarms_seen, memory_order_relaxed) < 20); /* relaxed: as above */
    CHECK_INT(setitimer(ITIMER_REAL, &off, NULL), ==, 0);
}

/* ---- EAGAIN after readiness -------------------------------------------------------------------------------------- */

struct thief {
    struct sley_wait_hook hook;
    struct sley_io_op op;
    struct sley_fd fd;
    int peer;
    char byte;
    bool stole;
    struct thief *other;
};

static void steal(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct thief *t = sley_container_of(hook, struct thief, hook);
    char byte;
    (void)w;
    t->stole = recv(t->other->fd.number, &byte, 1, MSG_DONTWAIT) == 1;
}

/** Two descriptors are ready at once; who is told first takes what the other has been reported ready for. */
static void steal_in_a_batch(int round)
{
    static struct thief two[2];
    for (int i = 0; i < 2; i++) {
        two[i] = (struct thief){.hook = {.fn = steal}, .other = &two[!i]};
        two[i].peer = unix_pair(&two[i].fd);
        io_start(&two[i].op, &two[i].fd, SLEY_IO_RECV, &two[i].byte, 1);
        sley_wait_hook(&two[i].op.wait, &two[i].hook);
    }
    settle();
    put(two[round % 2].peer, "x");
    put(two[!(round % 2)].peer, "x");
    while (!sley_wait_done(&two[0].op.wait) && !sley_wait_done(&two[1].op.wait)) {
        (void)look(SLEY_NEVER);
    }
    settle();
    for (int i = 0; i < 2; i++) {
        if (two[i].stole) {
            CHECK(!sley_wait_done(&two[!i].op.wait));
            put(two[!i].peer, "y");
        }
    }
    for (int i = 0; i < 2; i++) {
        CHECK_RC(until_done(&two[i].op.wait), 1);
        shut(&two[i].fd);
        (void)close(two[i].peer);
    }
}

CLAUSE(stolen_readiness_waits_on)
{
    struct sley_fd fd;
    char byte, stolen;
    const int peer = unix_pair(&fd);
    for (int i = 0; i < 50; i++) {
        struct sley_io_op op = {0};
        io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        if (i % 2) {
            CHECK(!soon(&op.wait));
        }
        for (int k = 0; k < 3 && !sley_wait_done(&op.wait); k++) {
            put(peer, "s");
            if (recv(fd.number, &stolen, 1, MSG_DONTWAIT) != 1) {
                break; /* the system has given it to the op */
            }
            if (soon(&op.wait)) {
                FAIL("a RECV whose data somebody else has taken is done with %d", op.wait.result);
            }
        }
        if (!soon(&op.wait)) {
            put(peer, "x");
        }
        CHECK_RC(until_done(&op.wait), 1);
    }
    shut(&fd);
    (void)close(peer);
    for (int round = 0; round < 4; round++) {
        steal_in_a_batch(round);
    }
}

/* ---- no memory --------------------------------------------------------------------------------------------------- */

CLAUSE(memory_refused_while_running_disturbs_no_other)
{
    enum { N = 150 };
    static struct sley_fd fds[N];
    static struct sley_io_op ops[N];
    static int peers[N];
    static char bytes[N];
    for (int i = 0; i < N; i++) {
        peers[i] = unix_pair(&fds[i]);
        for (size_t at = 1;; at++) { /* each allocation that this start makes, in turn */
            sley__kit_refuse(at);
            io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
            (void)soon(&ops[i].wait);
            const bool refused = sley__kit_refused();
            sley__kit_refuse(0);
            if (!sley_wait_done(&ops[i].wait)) {
                break;
            }
            CHECK_RC(ops[i].wait.result, -ENOMEM);
            CHECK(refused);
            CHECK_UINT(at, <, 100);
        }
        CHECK_UINT(reactor()->armed_count, ==, i + 1);
    }
    for (int i = 0; i < N; i++) {
        put(peers[i], "x");
        CHECK_RC(until_done(&ops[i].wait), 1);
        shut(&fds[i]);
        (void)close(peers[i]);
    }
}

/* ---- the short ways ---------------------------------------------------------------------------------------------- */

static size_t send_short(struct sley_io_op *op, struct sley_fd *fd, const unsigned char *data, size_t len)
{
    struct sley_sched *s = sley_sched_current();
    CHECK(sley_io_near(fd, SLEY_FD_WRITING, s));
    op->fd = fd;
    op->code = SLEY_IO_SEND;
    op->flags = SLEY_IO_ALL;
    op->end = NULL;
    op->ret_done = NULL;
    const ssize_t n = sley_io_send_near(fd, data, len);
    if (n == (ssize_t)len) {
        sley_io_sent(op, len, s);
    } else {
        sley_io_send_on(op, data, len, n);
    }
    return len;
}

CLAUSE(short_ways_are_the_long_ways)
{
    static unsigned char out[1 << 18], in[1 << 18];
    struct sley_sched *s = sley_sched_current();
    struct sley_fd fd;
    struct sley_io_op op = {0};
    char buf[8];
    const int peer = sley__rig_pair(PAIR_TCP, &fd);
    CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), 1); /* it has a home now */
    if (sley__fd_state(&fd) & SLEY_FD_FAR) {
        shut(&fd);
        (void)close(peer);
        SKIP("it opens none");
    }
    sley__rig_drain(peer, 1);
    unsigned armed = 0;
    for (int i = 0; i < 100; i++) {
        (void)sley_yield(); /* a new budget */
        io_set(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        if (sley_io_recv_near(&op, &fd, buf, sizeof buf, s)) {
            armed++;
        } else {
            sley_io_submit(&op);
        }
        CHECK(!sley_wait_done(&op.wait));
        CHECK_UINT(s->reactor->armed_count, ==, 1);
        if (i % 4 == 3) { /* cancelled, and what it waited for comes then */
            CHECK_RC(until_cancelled(&op.wait), -ECANCELED);
            put(peer, "abc");
            CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 3);
        } else {
            put(peer, "abc");
            CHECK_RC(until_done(&op.wait), 3);
        }
    }
    CHECK_UINT(armed, >=, 1); /* a slot that is never dry is no short way */
    fill_bytes(out, 0, sizeof out);
    memset(&op, 0, sizeof op);
    size_t sent = 0;
    while (sley_io_near(&fd, SLEY_FD_WRITING, s)) { /* until one does not go out whole, and goes on */
        sent += send_short(&op, &fd, out + sent % 4096, 4096);
        CHECK_RC(sley_wait_done(&op.wait) ? op.wait.result : 0, 0);
        (void)sley_yield();
    }
    CHECK(!sley_wait_done(&op.wait));
    size_t got = 0;
    while (got < sent) {
        const ssize_t n = recv(peer, in, 4096 - got % 4096, MSG_DONTWAIT);
        if (n > 0) {
            check_bytes(in, got % 4096, (size_t)n);
            got += (size_t)n;
        }
        (void)look(0);
    }
    CHECK_RC(until_done(&op.wait), 0);
    CHECK_UINT(op.done_bytes, ==, 4096);
    shut(&fd);
    (void)close(peer);
}
