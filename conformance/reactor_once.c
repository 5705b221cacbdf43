/* Clauses: each op completes once, says so in the right order, and belongs to somebody at any time. */
#include "rig.h"

struct watched {
    struct sley_io_op op;
    int ends, hooks;
    int32_t result;
    struct sley_wait_hook hook;
};

static int32_t on_end(struct sley_io_op *op, int32_t result)
{
    struct watched *w = op->object;
    CHECK(!sley_wait_done(&op->wait));
    CHECK_INT(w->hooks, ==, w->ends); /* not told yet */
    w->ends++;
    w->result = result;
    return result < 0 ? result : result + 1000;
}

static void on_done(struct sley_wait_hook *hook, struct sley_wait *wait)
{
    struct watched *w = sley_container_of(hook, struct watched, hook);
    CHECK(sley_wait_done(wait));
    w->hooks++;
    CHECK_INT(w->ends, ==, w->hooks);
}

static void start_watched(struct watched *w, struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    io_set(&w->op, fd, code, buf, len);
    w->op.object = w;
    w->op.end = on_end;
    w->hook.fn = on_done;
    sley_io_submit(&w->op);
    if (!sley_wait_done(&w->op.wait)) {
        sley_wait_hook(&w->op.wait, &w->hook);
    } else {
        w->hooks++;
    }
}

CLAUSE(end_is_called_once_before_the_waiter)
{
    struct sley_fd fd;
    struct watched w = {0};
    char buf[8];
    const int peer = unix_pair(&fd);
    put(peer, "abc"); /* at once, or soon */
    start_watched(&w, &fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_RC(until_done(&w.op.wait), 1003);
    CHECK_INT(w.ends, ==, 1);
    start_watched(&w, &fd, SLEY_IO_RECV, buf, sizeof buf); /* later */
    CHECK(!soon(&w.op.wait));
    CHECK_INT(w.ends, ==, 1);
    put(peer, "ab");
    CHECK_RC(until_done(&w.op.wait), 1002);
    CHECK_INT(w.ends, ==, 2);
    start_watched(&w, &fd, SLEY_IO_POLL, NULL, SLEY_IO_IN); /* cancelled */
    CHECK(!soon(&w.op.wait));
    CHECK_RC(until_cancelled(&w.op.wait), -ECANCELED);
    CHECK_INT(w.ends, ==, 3);
    start_watched(&w, &fd, SLEY_IO_RECV, buf, sizeof buf); /* closed */
    CHECK(!soon(&w.op.wait));
    struct watched c = {0};
    start_watched(&c, &fd, SLEY_IO_CLOSE, NULL, 0);
    CHECK_RC(until_done(&c.op.wait), 1000);
    CHECK_RC(w.op.wait.result, -ECANCELED);
    settle();
    CHECK_INT(w.ends, ==, 4);
    CHECK_INT(w.hooks, ==, 4);
    CHECK_INT(c.ends, ==, 1);
    (void)close(peer);
}

CLAUSE(armed_count_is_exact)
{
    enum { N = 6 };
    struct sley_fd fds[N];
    struct sley_io_op ops[N] = {0};
    char bytes[N];
    int peers[N];
    unsigned waiting = 0;
    CHECK_UINT(reactor()->armed_count, ==, 0);
    for (int i = 0; i < N; i++) {
        peers[i] = unix_pair(&fds[i]);
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
        CHECK_UINT(reactor()->armed_count, ==, ++waiting);
        settle();
        CHECK_UINT(reactor()->armed_count, ==, waiting);
    }
    put(peers[0], "x");
    (void)until_done(&ops[0].wait);
    CHECK_UINT(reactor()->armed_count, ==, --waiting);
    CHECK_RC(until_cancelled(&ops[1].wait), -ECANCELED);
    CHECK_UINT(reactor()->armed_count, ==, --waiting);
    shut(&fds[2]);
    CHECK_UINT(reactor()->armed_count, ==, --waiting);
    CHECK_RC(io(&fds[0], SLEY_IO_SEND, "x", 1), 1); /* done at once, or waited for: it counts for nothing afterwards */
    CHECK_RC(io_poll(&fds[3], SLEY_IO_OUT), SLEY_IO_OUT);
    CHECK_UINT(reactor()->armed_count, ==, waiting);
    for (int i = 0; i < N; i++) {
        if (i != 2) {
            shut(&fds[i]);
        }
        (void)close(peers[i]);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

static uint32_t holds(const struct sley_fd *fd)
{
    return sley__fd_state(fd) & SLEY_FD_HOLD_MASK;
}

CLAUSE(holds_are_exact)
{
    struct sley_fd fd;
    struct sley_io_op ops[4] = {0};
    char byte;
    const int peer = unix_pair(&fd);
    for (int i = 0; i < 4; i++) {
        if (i == 3) {
            io_start(&ops[i], &fd, SLEY_IO_RECV, &byte, 1);
        } else {
            sley_fd_poll_start(&ops[i], &fd, SLEY_IO_IN);
        }
        CHECK_UINT(holds(&fd), ==, i + 1);
    }
    settle();
    CHECK_UINT(holds(&fd), ==, 4);
    CHECK_UINT(sley__fd_state(&fd) & SLEY_FD_READING, ==, SLEY_FD_READING);
    CHECK_RC(until_cancelled(&ops[1].wait), -ECANCELED);
    CHECK_UINT(holds(&fd), ==, 3);
    put(peer, "x");
    for (int i = 0; i < 4; i++) {
        (void)until_done(&ops[i].wait);
    }
    CHECK_UINT(holds(&fd), ==, 0);
    CHECK_UINT(sley__fd_state(&fd) & (SLEY_FD_READING | SLEY_FD_WRITING), ==, 0);
    shut(&fd);
    (void)close(peer);
}

CLAUSE(direction_is_taken_while_an_op_waits)
{
    struct waiting w;
    char byte;
    sley__rig_wait(&w, SLEY_IO_SEND);
    CHECK_RC(io(&w.fd, SLEY_IO_SEND, "x", 1), -EBUSY);
    put(w.peer, "y");
    CHECK_RC(io(&w.fd, SLEY_IO_RECV, &byte, 1), 1); /* the other direction is free */
    struct sley_io_op r = {0};
    io_start(&r, &w.fd, SLEY_IO_RECV, &byte, 1);
    CHECK(!soon(&r.wait));
    CHECK_RC(io(&w.fd, SLEY_IO_RECV, &byte, 1), -EBUSY);
    CHECK_RC(io(&w.fd, SLEY_IO_RECVMSG, &w.msg, 0), -EBUSY);
    CHECK(!soon(&r.wait)); /* it has not been disturbed */
    put(w.peer, "z");
    CHECK_RC(until_done(&r.wait), 1);
    put(w.peer, "a");
    CHECK_RC(io(&w.fd, SLEY_IO_RECV, &byte, 1), 1); /* free again */
    CHECK_RC(until_cancelled(&w.op.wait), -ECANCELED);
    sley__rig_drain(w.peer, w.sent);
    CHECK_RC(io(&w.fd, SLEY_IO_SEND, "x", 1), 1);
    sley__rig_wait_end(&w);
}

/* ---- memory that is the caller's again --------------------------------------------------------------------------- */

struct reused {
    struct sley_wait_hook hook;
    struct sley_io_op op;
    char buf[64];
};

static void scribble(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)w;
    struct reused *u = sley_container_of(hook, struct reused, hook);
    memset(&u->op, 0xa5, sizeof u->op);
    memset(u->buf, 0xa5, sizeof u->buf);
}

static bool untouched(const struct reused *u)
{
    const unsigned char *p = (const unsigned char *)&u->op;
    for (size_t i = 0; i < sizeof *u - offsetof(struct reused, op); i++) {
        if (p[i] != 0xa5) {
            return false;
        }
    }
    return true;
}

CLAUSE(op_is_the_callers_once_done)
{
    for (int way = 0; way < 3; way++) {
        struct sley_fd fd, other;
        static struct reused u[2];
        memset(u, 0, sizeof u);
        const int peer = unix_pair(&fd), other_peer = unix_pair(&other);
        io_start(&u[0].op, &fd, SLEY_IO_RECV, u[0].buf, sizeof u[0].buf);
        sley_fd_poll_start(&u[1].op, &other, SLEY_IO_IN);
        for (int i = 0; i < 2; i++) {
            u[i].hook.fn = scribble;
            sley_wait_hook(&u[i].op.wait, &u[i].hook);
        }
        settle();
        if (way == 0) {
            put(peer, "x");
            put(other_peer, "x");
        } else if (way == 1) {
            sley_wait_cancel(&u[0].op.wait);
            sley_wait_cancel(&u[1].op.wait);
        } else {
            shut(&fd);
            shut(&other);
        }
        for (int i = 0; i < 1000 && !(untouched(&u[0]) && untouched(&u[1])); i++) {
            (void)look(SLEY_MS); /* until both hooks have run */
        }
        CHECK(untouched(&u[0]) && untouched(&u[1]));
        if (way < 2) {
            char buf[8];
            put(peer, "later");
            CHECK_INT(io(&fd, SLEY_IO_RECV, buf, sizeof buf), ==, 5);
        }
        shut(&fd);
        shut(&other);
        settle();
        CHECK(untouched(&u[0]) && untouched(&u[1]));
        (void)close(peer);
        (void)close(other_peer);
    }
}

/* ---- hooks that start ops ---------------------------------------------------------------------------------------- */

struct relay {
    struct sley_wait_hook hook;
    struct sley_io_op op;
    struct sley_fd fd;
    int peer;
    char byte;
    unsigned *left;
    struct relay *next;
};

static void pass_on(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct relay *r = sley_container_of(hook, struct relay, hook);
    if (*r->left > 0) {
        CHECK_RC(w->result, 1);
        --*r->left;
        io_start(&r->op, &r->fd, SLEY_IO_RECV, &r->byte, 1); /* its own again */
        sley_wait_hook(&r->op.wait, &r->hook);
        put(r->next->peer, "x");
    }
}

static void fixed_poll_hook(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct relay *r = sley_container_of(hook, struct relay, hook);
    (void)w;
    if (*r->left > 0) {
        --*r->left;
        (void)recv(r->fd.number, &r->byte, 1, MSG_DONTWAIT);
        sley_fd_poll_start(&r->op, &r->fd, SLEY_IO_IN);
        sley_wait_hook(&r->op.wait, &r->hook);
    }
}

CLAUSE(op_may_be_started_again_in_its_hook)
{
    static struct relay ring[3];
    unsigned left = sley__kit_rounds(1000);
    for (int i = 0; i < 3; i++) {
        ring[i] = (struct relay){.hook = {.fn = pass_on}, .left = &left, .next = &ring[(i + 1) % 3]};
        ring[i].peer = unix_pair(&ring[i].fd);
        io_start(&ring[i].op, &ring[i].fd, SLEY_IO_RECV, &ring[i].byte, 1);
        sley_wait_hook(&ring[i].op.wait, &ring[i].hook);
    }
    put(ring[0].peer, "x");
    while (left > 0) {
        (void)look(SLEY_NEVER);
    }
    for (int i = 0; i < 3; i++) {
        shut(&ring[i].fd);
        (void)close(ring[i].peer);
    }
    /* one that starts a POLL of what is empty again: one byte, one completion */
    struct relay *r = &ring[0];
    unsigned polls = 1000;
    *r = (struct relay){.hook = {.fn = fixed_poll_hook}, .left = &polls};
    r->peer = unix_pair(&r->fd);
    sley_fd_poll_start(&r->op, &r->fd, SLEY_IO_IN);
    sley_wait_hook(&r->op.wait, &r->hook);
    put(r->peer, "x");
    while (polls == 1000) {
        (void)look(SLEY_NEVER);
    }
    settle();
    CHECK_UINT(polls, ==, 999);
    polls = 0;
    shut(&r->fd);
    (void)close(r->peer);
}

CLAUSE(descriptor_moves_while_nothing_is_in_flight)
{
    struct sley_fd places[4];
    char byte;
    const int peer = sley__rig_pair(PAIR_TCP, &places[0]);
    for (int i = 0; i < 3; i++) {
        struct sley_io_op op = {0};
        io_start(&op, &places[i], SLEY_IO_RECV, &byte, 1);
        CHECK(!soon(&op.wait));
        put(peer, "x");
        CHECK_RC(until_done(&op.wait), 1);
        CHECK_RC(io(&places[i], SLEY_IO_SEND, "y", 1), 1);
        places[i + 1] = places[i];
        memset(&places[i], 0xa5, sizeof places[i]);
    }
    shut(&places[3]);
    (void)close(peer);
}
