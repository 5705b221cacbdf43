/* Clauses: receives that are lent their buffer. What is the user's is counted here by what he gets, not by what a pool says. */
#include <sley/lend_impl.h>

#include "rig.h"

/** From now on this reactor lends so much; it has lent nothing yet. */
static void lend(uint32_t bytes, uint32_t count)
{
    CHECK(reactor()->lend.pool == NULL);
    reactor()->lend.alloc = sley__kit_alloc();
    reactor()->lend.opts = (struct sley_lend_opts){.buffer_bytes = bytes, .buffer_count = count};
}

struct receive {
    struct sley_io_op op;
    struct sley_lent *lent;
    struct sley_fd fd;
    int peer;
};

static void receive_start(struct receive *r)
{
    memset(&r->op, 0, sizeof r->op);
    r->lent = (struct sley_lent *)(void *)r; /* it is to say that there is none */
    sley_fd_recv_lent_start(&r->op, &r->fd, &r->lent);
}

static void receive_open(struct receive *r)
{
    *r = (struct receive){.lent = NULL};
    r->peer = sley__rig_pair(PAIR_TCP, &r->fd);
}

static void receive_close(struct receive *r)
{
    shut(&r->fd);
    (void)close(r->peer);
}

/** It gets @p text, and keeps the buffer. */
static void expect_kept(struct receive *r, const char *text)
{
    CHECK_RC(until_done(&r->op.wait), (int)strlen(text));
    CHECK(r->lent != NULL && r->lent != (struct sley_lent *)(void *)r);
    CHECK(memcmp(r->lent->data, text, strlen(text)) == 0);
}

static void give_back(struct receive *r)
{
    memset(r->lent->data, '?', 4); /* it is the user's until now */
    CHECK_RC(sley_lent_return(r->lent), 0);
}

static void expect(struct receive *r, const char *text)
{
    expect_kept(r, text);
    give_back(r);
}

static void expect_none(struct receive *r, int32_t rc)
{
    CHECK_RC(until_done(&r->op.wait), rc);
    CHECK(r->lent == NULL);
}

CLAUSE(lent_receive_gives_bytes_and_buffer)
{
    struct receive r;
    lend(16, 2);
    receive_open(&r);
    for (int round = 0; round < 8; round++) { /* more often than there are buffers */
        put(r.peer, "before");
        receive_start(&r);
        expect(&r, "before");
        receive_start(&r);
        CHECK(!soon(&r.op.wait));
        CHECK_UINT(reactor()->armed_count, ==, 1);
        put(r.peer, "after");
        expect(&r, "after");
        put(r.peer, "abcdefghijklmnopqrs"); /* longer than a buffer */
        receive_start(&r);
        expect(&r, "abcdefghijklmnop");
        receive_start(&r);
        expect(&r, "qrs");
        put(r.peer, "mine");
        char buf[3];
        CHECK_RC(io(&r.fd, SLEY_IO_RECV, buf, 3), 3); /* beside receives into memory of one's own */
        receive_start(&r);
        CHECK_RC(until_done(&r.op.wait), 1);
        CHECK(r.lent->data[0] == 'e');
        CHECK_RC(sley_lent_return(r.lent), 0);
    }
    CHECK_RC(sley_lent_return(NULL), 0);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    receive_close(&r);
}

CLAUSE(lent_receive_without_bytes_has_no_buffer)
{
    struct receive r;
    lend(16, 1);
    for (int round = 0; round < 4; round++) { /* one buffer: it would be missed */
        receive_open(&r);
        receive_start(&r);
        CHECK(!soon(&r.op.wait));
        if (round == 0) {
            CHECK_INT(shutdown(r.peer, SHUT_WR), ==, 0);
            expect_none(&r, 0);
            receive_start(&r);
            expect_none(&r, 0); /* again and again */
        } else if (round == 1) {
            CHECK_INT(setsockopt(r.peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), ==, 0);
            (void)close(r.peer);
            expect_none(&r, -ECONNRESET);
            r.peer = dup(r.fd.number);
        } else if (round == 2) {
            (void)until_cancelled(&r.op.wait);
            expect_none(&r, -ECANCELED);
        } else {
            struct sley_io_op op = {0};
            sley_fd_close_start(&op, &r.fd);
            CHECK_RC(until_done(&op.wait), 0);
            expect_none(&r, -ECANCELED);
            receive_start(&r);
            expect_none(&r, -EBADF);
        }
        receive_close(&r);
    }
    receive_open(&r);
    put(r.peer, "there");
    receive_start(&r);
    expect(&r, "there");
    receive_close(&r);
}

CLAUSE(waiting_receives_hold_no_buffer)
{
    enum { MANY = 40 };
    static struct receive rs[MANY];
    lend(64, 4);
    for (int i = 0; i < MANY; i++) {
        receive_open(&rs[i]);
        receive_start(&rs[i]);
    }
    settle();
    for (int i = MANY; i-- > 0;) { /* each while the others wait */
        put(rs[i].peer, "it");
        expect(&rs[i], "it");
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
    for (int i = 0; i < MANY; i++) {
        receive_close(&rs[i]);
    }
}

CLAUSE(lent_buffers_that_run_out_are_waited_for_in_turn)
{
    enum { CONNS = 6, BUFFERS = 2 };
    struct receive rs[CONNS];
    lend(16, BUFFERS);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CONNS; i++) {
            receive_open(&rs[i]);
            put(rs[i].peer, (const char[]){(char)('a' + i), 0});
            sley__rig_wait_in(rs[i].fd.number); /* in line is who has something to receive */
        }
        for (int i = 0; i < CONNS; i++) {
            receive_start(&rs[i]);
            while (i < BUFFERS && !soon(&rs[i].op.wait)) { /* before the next one asks */
            }
            settle();
        }
        for (int i = 0; i < CONNS; i++) { /* all are held by somebody: whoever waits, waits on */
            CHECK(soon(&rs[i].op.wait) == (i < BUFFERS));
        }
        for (int i = 0; i < CONNS; i++) {
            expect_kept(&rs[i], (const char[]){(char)('a' + i), 0});
            for (int k = i + BUFFERS; k < CONNS; k++) {
                CHECK(!soon(&rs[k].op.wait));
            }
            CHECK_RC(sley_lent_return(rs[i].lent), 0);
        }
        CHECK_UINT(reactor()->armed_count, ==, 0);
        for (int i = 0; i < CONNS; i++) {
            receive_close(&rs[i]);
        }
    }
}

/** One buffer, which @p first has; @p second, for which there is data, waits for it. */
static void starve(struct receive *first, struct receive *second)
{
    lend(16, 1);
    receive_open(first);
    receive_open(second);
    put(first->peer, "first");
    receive_start(first);
    expect_kept(first, "first");
    put(second->peer, "second");
    sley__rig_wait_in(second->fd.number);
    receive_start(second);
    CHECK(!soon(&second->op.wait));
    CHECK_UINT(reactor()->armed_count, ==, 1);
    CHECK_UINT(sley__fd_state(&second->fd) & SLEY_FD_READING, ==, SLEY_FD_READING);
}

CLAUSE(cancel_in_line_takes_nothing)
{
    struct receive first, second;
    starve(&first, &second);
    for (int i = 0; i < 3; i++) {
        (void)until_cancelled(&second.op.wait);
        expect_none(&second, -ECANCELED);
        CHECK_UINT(reactor()->armed_count, ==, 0);
        CHECK_UINT(sley__fd_state(&second.fd) & (SLEY_FD_READING | SLEY_FD_HOLD_MASK), ==, 0);
        receive_start(&second);
        CHECK(!soon(&second.op.wait));
    }
    (void)until_cancelled(&second.op.wait);
    give_back(&first);
    receive_start(&second);
    expect(&second, "second");
    receive_close(&first);
    receive_close(&second);
}

CLAUSE(close_in_line_ends_it)
{
    struct receive first, second;
    starve(&first, &second);
    shut(&second.fd);
    CHECK(sley_wait_done(&second.op.wait));
    expect_none(&second, -ECANCELED);
    put(first.peer, "again");
    give_back(&first);
    receive_start(&first); /* the buffer goes to nobody who is gone */
    expect(&first, "again");
    CHECK_UINT(reactor()->armed_count, ==, 0);
    receive_close(&first);
    (void)close(second.peer);
}

CLAUSE(reset_in_line_is_told_at_its_turn)
{
    struct receive first, second;
    starve(&first, &second);
    CHECK_INT(setsockopt(second.peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), ==, 0);
    (void)close(second.peer);
    settle();
    give_back(&first);
    const int32_t rc = until_done(&second.op.wait); /* what came before, if the system has kept it */
    CHECK(rc == 6 || rc == -ECONNRESET);
    if (rc == 6) {
        expect(&second, "second");
        receive_start(&second);
        expect_none(&second, -ECONNRESET);
    } else {
        CHECK(second.lent == NULL);
    }
    put(first.peer, "again");
    receive_start(&first);
    expect(&first, "again");
    shut(&second.fd);
    receive_close(&first);
}

CLAUSE(no_memory_to_lend_is_enobufs)
{
    struct receive r;
    lend(4096, 64);
    receive_open(&r);
    CHECK_RC(io(&r.fd, SLEY_IO_SEND, "x", 1), 1); /* it is at home; what that takes was taken */
    put(r.peer, "stays");
    for (size_t at = 1; at <= 100; at++) { /* each allocation, in turn */
        sley__kit_refuse(at);
        receive_start(&r);
        const int32_t rc = until_done(&r.op.wait);
        const bool refused = sley__kit_refused();
        sley__kit_refuse(0);
        if (rc > 0) {
            expect(&r, "stays");
            break;
        }
        CHECK(refused);
        CHECK(rc == -ENOBUFS || rc == -ENOMEM);
        CHECK(at > 1 || rc == -ENOBUFS); /* the pool's is the first */
        CHECK(r.lent == NULL);
        CHECK_UINT(at, <, 100);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
    receive_close(&r);
}

/** What stands for the next, if anything does. */
static void receive_in_a_loop(struct receive *r)
{
    for (int i = 0; i < 8; i++) {
        receive_start(r);
        CHECK(!soon(&r->op.wait));
        put(r->peer, "loop");
        expect(r, "loop");
    }
}

CLAUSE(bytes_that_come_ahead_are_there_for_all)
{
    struct receive r;
    char buf[16];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    struct sley_io_op op = {0};
    lend(16, 4);
    receive_open(&r);
    for (int round = 0; round < 4; round++) {
        receive_in_a_loop(&r);
        put(r.peer, "ahead");
        settle();
        io_set(&op, &r.fd, SLEY_IO_RECVMSG, &m, 0);
        op.flags = SLEY_IO_PEEK;
        sley_io_submit(&op);
        CHECK_RC(until_done(&op.wait), 5);
        CHECK(memcmp(buf, "ahead", 5) == 0);
        CHECK_INT(io_poll(&r.fd, SLEY_IO_IN) & SLEY_IO_IN, ==, SLEY_IO_IN);
        CHECK_RC(sley_io_now(&r.fd, SLEY_IO_RECV, buf, 2), 2);
        CHECK(memcmp(buf, "ah", 2) == 0);
        if (round % 2) {
            CHECK_RC(sley_io_now(&r.fd, SLEY_IO_RECV, buf, sizeof buf), 3);
        } else {
            CHECK_RC(io(&r.fd, SLEY_IO_RECV, buf, sizeof buf), 3);
        }
        CHECK(memcmp(buf, "ead", 3) == 0);
        CHECK_RC(sley_io_now(&r.fd, SLEY_IO_RECV, buf, 1), -EAGAIN);
    }
    CHECK_RC(sley_io_now(&r.fd, SLEY_IO_SEND, buf, 2), 2);
    receive_start(&r);
    CHECK_RC(sley_io_now(&r.fd, SLEY_IO_RECV, buf, 1), -EBUSY);
    (void)until_cancelled(&r.op.wait);
    expect_none(&r, -ECANCELED);
    shut(&r.fd);
    CHECK_RC(sley_io_now(&r.fd, SLEY_IO_RECV, buf, 1), -EBADF);
    receive_close(&r);
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

CLAUSE(lent_buffer_outlives_its_reactor)
{
    struct sley_sched *s = sley_sched_current();
    for (int waits = 0; waits < 2; waits++) {
        struct sley_reactor *usual = s->reactor, *mine;
        const struct sley_reactor_opts opts = {0};
        struct receive first, second;
        const size_t live = sley__kit_alloc_live();
        CHECK_RC(sley__rig_factory.create(&opts, &mine), 0);
        mine->sched = s;
        s->reactor = mine;
        starve(&first, &second); /* the second is in line when all ends */
        if (!waits) {
            (void)until_cancelled(&second.op.wait);
        }
        sley_reactor_destroy(mine);
        s->reactor = usual;
        CHECK(sley_wait_done(&second.op.wait));
        expect_none(&second, -ECANCELED);
        CHECK(memcmp(first.lent->data, "first", 5) == 0);
        CHECK_UINT(sley__kit_alloc_live(), >, live);
        give_back(&first);
        CHECK_UINT(sley__kit_alloc_live(), ==, live); /* the last one takes the pool along */
        (void)close(first.fd.number);
        (void)close(second.fd.number);
        (void)close(first.peer);
        (void)close(second.peer);
    }
}
