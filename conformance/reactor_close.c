/* Clauses: closing, and the numbers that come back. */
#include "rig.h"

struct victim {
    struct waiting w;
    int number, ends;
    bool was_open;
};

static int32_t look_at_number(struct sley_io_op *op, int32_t result)
{
    struct victim *v = op->object;
    v->ends++;
    v->was_open = fcntl(v->number, F_GETFD) >= 0;
    return result;
}

CLAUSE(close_completes_what_waits)
{
    for (const uint8_t *code = sley__rig_waiting_codes; *code; code++) {
        for (int looked = 0; looked < 2; looked++) {
            struct victim v = {0};
            struct sley_io_op polls[3] = {0};
            sley__rig_wait(&v.w, *code);
            v.number = v.w.fd.number;
            v.w.op.object = &v;
            v.w.op.end = look_at_number;
            for (int i = 0; i < 3 && *code != SLEY_IO_CONNECT; i++) { /* what connects tells POLL of a hang-up */
                sley_fd_poll_start(&polls[i], &v.w.fd, *code == SLEY_IO_ACCEPT || *code == SLEY_IO_SEND ? SLEY_IO_IN : 0);
            }
            if (looked) {
                settle();
            }
            shut(&v.w.fd);
            CHECK(sley_wait_done(&v.w.op.wait));
            CHECK_RC(v.w.op.wait.result, -ECANCELED);
            CHECK_INT(v.ends, ==, 1);
            CHECK(v.was_open);
            for (int i = 0; i < 3 && *code != SLEY_IO_CONNECT; i++) {
                CHECK(sley_wait_done(&polls[i].wait));
                CHECK_RC(polls[i].wait.result, -ECANCELED);
            }
            CHECK_INT(fcntl(v.number, F_GETFD), <, 0);
            sley__rig_wait_end(&v.w);
        }
    }
}

CLAUSE(close_gives_the_number_back)
{
    struct sley_fd fd;
    char byte;
    for (int used = 0; used < 2; used++) {
        const int peer = unix_pair(&fd), number = fd.number;
        if (used) {
            CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), 1);
        }
        shut(&fd);
        CHECK_INT(fcntl(number, F_GETFD), <, 0);
        CHECK_INT(fd.number, ==, -1);
        shut(&fd);
        CHECK_RC(io(&fd, SLEY_IO_RECV, &byte, 1), -EBADF);
        CHECK_RC(io_poll(&fd, SLEY_IO_IN), -EBADF);
        if (used) {
            CHECK_INT(recv(peer, &byte, 1, 0), ==, 1);
        }
        CHECK_INT(recv(peer, &byte, 1, 0), ==, 0);
        (void)close(peer);
    }
}

CLAUSE(close_leaves_others_alone)
{
    struct sley_fd fd, other;
    struct sley_io_op ops[2] = {0}, apart[2] = {0};
    char byte, byte2;
    const int peer = unix_pair(&fd), other_peer = unix_pair(&other);
    sley_fd_poll_start(&apart[0], &other, SLEY_IO_IN);
    sley_fd_poll_start(&ops[0], &fd, SLEY_IO_IN);
    io_start(&ops[1], &fd, SLEY_IO_RECV, &byte, 1);
    io_start(&apart[1], &other, SLEY_IO_RECV, &byte2, 1);
    settle();
    shut(&fd);
    CHECK(!soon(&apart[0].wait) && !sley_wait_done(&apart[1].wait));
    put(other_peer, "x");
    CHECK_RC(until_done(&apart[1].wait), 1);
    CHECK_RC(until_done(&apart[0].wait), SLEY_IO_IN);
    shut(&other);
    (void)close(peer);
    (void)close(other_peer);
}

/* ---- in a batch -------------------------------------------------------------------------------------------------- */

struct closer {
    struct sley_wait_hook hook;
    struct sley_io_op op, close_op;
    struct sley_fd fd;
    int peer;
    char buf[8];
    struct closer *victim;
};

static void close_other(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct closer *c = sley_container_of(hook, struct closer, hook);
    (void)w;
    sley_fd_close_start(&c->close_op, &c->victim->fd);
}

CLAUSE(close_in_a_hook_of_the_same_batch)
{
    for (int round = 0; round < 4; round++) {
        static struct closer two[2];
        memset(two, 0, sizeof two);
        for (int i = 0; i < 2; i++) {
            two[i].hook.fn = close_other;
            two[i].victim = &two[!i];
            two[i].peer = unix_pair(&two[i].fd);
            io_start(&two[i].op, &two[i].fd, SLEY_IO_RECV, two[i].buf, 8);
            sley_wait_hook(&two[i].op.wait, &two[i].hook);
        }
        settle();
        put(two[round % 2].peer, "x");
        put(two[!(round % 2)].peer, "x");
        unsigned got = 0;
        for (int i = 0; i < 2; i++) { /* whoever comes first closes the other, whose end closes the first */
            const int32_t rc = until_done(&two[i].op.wait);
            CHECK(rc == 1 || rc == -ECANCELED);
            got += rc == 1;
        }
        for (int i = 0; i < 2; i++) {
            CHECK_RC(until_done(&two[i].close_op.wait), 0);
            CHECK_INT(two[i].fd.number, ==, -1);
            (void)close(two[i].peer);
        }
        CHECK_UINT(got, >=, 1);
        CHECK_UINT(reactor()->armed_count, ==, 0);
        settle();
    }
}

/* ---- in line ----------------------------------------------------------------------------------------------------- */

enum { IN_LINE = 12 };
/** Ops on two descriptors in turn, in one line of those that wait. */
struct in_line {
    struct sley_wait_hook hook;
    struct sley_io_op op;
    bool told;
};
static struct in_line line[IN_LINE];

/** Takes those beside it away, and then itself: what is in the op now leads nowhere. */
static void take_neighbours(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct in_line *one = sley_container_of(hook, struct in_line, hook);
    (void)w;
    CHECK(!one->told);
    one->told = true;
    for (int step = -1; step <= 1; step += 2) {
        const ptrdiff_t at = one - line + step;
        if (at >= 0 && at < IN_LINE && !line[at].told) {
            sley_wait_cancel(&line[at].op.wait);
        }
    }
    memset(&one->op, 0xa5, sizeof one->op);
}

CLAUSE(hooks_may_take_what_is_next_in_line)
{
    enum { BY_CLOSE, BY_DESTROY, BY_CANCEL, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct sley_reactor *mine, *usual = sley__rig_swap_in(&mine);
        struct sley_fd fds[2];
        const int peers[2] = {unix_pair(&fds[0]), unix_pair(&fds[1])};
        for (int i = 0; i < IN_LINE; i++) {
            line[i] = (struct in_line){.hook = {.fn = take_neighbours}};
            sley_fd_poll_start(&line[i].op, &fds[i % 2], SLEY_IO_IN);
            sley_wait_hook(&line[i].op.wait, &line[i].hook);
        }
        settle();
        if (way == BY_CLOSE) {
            shut(&fds[0]);
        } else if (way == BY_CANCEL) {
            sley_wait_cancel(&line[IN_LINE / 2].op.wait);
        }
        for (int i = 0; i < IN_LINE && way != BY_DESTROY; i++) {
            while (!line[i].told) {
                (void)look(SLEY_NEVER);
            }
        }
        sley_reactor_destroy(mine);
        sley_sched_current()->reactor = usual;
        for (int i = 0; i < IN_LINE; i++) {
            CHECK(line[i].told);
        }
        for (int i = 0; i < 2; i++) {
            CHECK_RC(sley_fd_close(&fds[i]), 0);
            (void)close(peers[i]);
        }
    }
}

/* ---- reuse ------------------------------------------------------------------------------------------------------- */

CLAUSE(reused_number_starts_clean)
{
    for (int kind = PAIR_UNIX; kind <= PAIR_TCP; kind++) {
        struct sley_fd fd;
        struct sley_io_op op = {0};
        char buf[8];
        const int peer = sley__rig_pair((enum pair)kind, &fd), number = fd.number;
        const int copy = fcntl(number, F_DUPFD_CLOEXEC, number + 20); /* the open file lives on, as in a child process */
        struct sley_fd next;
        const int next_peer = unix_pair(&next);
        CHECK_INT(copy, >=, 0);
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK(!soon(&op.wait));
        shut(&fd);
        CHECK_RC(op.wait.result, -ECANCELED);
        put(peer, "late");
        settle();
        CHECK_INT(dup3(next.number, number, O_CLOEXEC), ==, number);
        (void)close(next.number);
        sley_fd_init(&fd, number);
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK(!soon(&op.wait)); /* the data of its old life is not its own */
        put(peer, "more");
        CHECK(!soon(&op.wait));
        put(next_peer, "me");
        CHECK_RC(until_done(&op.wait), 2);
        sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
        CHECK(!soon(&op.wait));
        put(peer, "!");
        CHECK(!soon(&op.wait));
        shut(&fd);
        (void)close(copy);
        (void)close(peer);
        (void)close(next_peer);
    }
}

CLAUSE(number_closed_behind_its_back_starts_clean)
{
    /* a foreign library's descriptors: described, waited for, forgotten; the library closes them itself */
    struct sley_fd fd;
    char buf[4];
    for (int i = 0; i < 20; i++) {
        struct sley_io_op op = {0};
        const int peer = sley__rig_pair(i % 2 ? PAIR_TCP : PAIR_UNIX, &fd);
        sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
        CHECK(!soon(&op.wait));
        if (i % 3) {
            put(peer, "x");
            CHECK_RC(until_done(&op.wait), SLEY_IO_IN);
        } else {
            CHECK_RC(until_cancelled(&op.wait), -ECANCELED);
        }
        if (i % 4 == 0) {
            struct sley_fd again; /* described anew while it is open */
            sley_fd_init(&again, fd.number);
            put(peer, "y");
            CHECK_RC(io_poll(&again, SLEY_IO_IN), SLEY_IO_IN);
            (void)recv(fd.number, buf, sizeof buf, MSG_DONTWAIT);
            io_start(&op, &again, SLEY_IO_RECV, buf, sizeof buf);
            CHECK(!soon(&op.wait));
            put(peer, "z");
            CHECK_RC(until_done(&op.wait), 1);
        }
        (void)close(fd.number);
        (void)close(peer);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

CLAUSE(second_description_is_eexist)
{
    struct sley_fd fd, twin;
    struct sley_io_op op = {0};
    if (!reactor()->ops->adopt) {
        SKIP("it has no adopt: it knows nothing of numbers");
    }
    const int peer = unix_pair(&fd);
    sley_fd_init(&twin, fd.number);
    sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
    CHECK_RC(io_poll(&twin, SLEY_IO_OUT), -EEXIST);
    CHECK(!soon(&op.wait));
    put(peer, "x");
    CHECK_RC(until_done(&op.wait), SLEY_IO_IN);
    CHECK_RC(io_poll(&twin, SLEY_IO_OUT), SLEY_IO_OUT); /* when nothing waits any more it may */
    shut(&fd);
    (void)close(peer);
}
