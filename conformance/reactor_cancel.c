/* Clauses: a cancel asks, and gets a verdict. */
#include "rig.h"

#include <pthread.h>

CLAUSE(cancel_ends_a_waiting_op)
{
    for (const uint8_t *code = sley__rig_waiting_codes; *code; code++) {
        for (int round = 0; round < 3; round++) {
            struct waiting w;
            sley__rig_wait(&w, *code);
            if (until_cancelled(&w.op.wait) != -ECANCELED) {
                FAIL("op %u gives %d", *code, w.op.wait.result);
            }
            if (*code != SLEY_IO_CONNECT) { /* which is under way, whoever waits for it */
                sley__rig_wait_again(&w, *code);
                CHECK(round == 2 || !soon(&w.op.wait));
                sley_wait_cancel(&w.op.wait); /* at once after its start, too */
                CHECK_RC(until_done(&w.op.wait), -ECANCELED);
            }
            CHECK_UINT(reactor()->armed_count, ==, 0);
            sley__rig_wait_end(&w);
        }
    }
}

CLAUSE(cancel_moves_nothing)
{
    for (const uint8_t *code = sley__rig_waiting_codes; *code != SLEY_IO_CONNECT; code++) {
        struct waiting w;
        sley__rig_wait(&w, *code);
        CHECK_RC(until_cancelled(&w.op.wait), -ECANCELED);
        sley__rig_let(&w, *code); /* what it has waited for comes now */
        settle();
        if (*code == SLEY_IO_SEND || *code == SLEY_IO_SENDMSG) {
            char byte;
            CHECK_INT(recv(w.peer, &byte, 1, MSG_DONTWAIT), <, 0);
        }
        sley__rig_wait_again(&w, *code); /* and the next one gets all of it */
        (void)until_done(&w.op.wait);
        sley__rig_check_let(&w, *code);
        sley__rig_wait_end(&w);
    }
}

CLAUSE(cancel_of_one_leaves_the_others)
{
    enum { N = 5 };
    for (int gone = 0; gone < N; gone++) {
        struct sockaddr_in addr;
        struct sley_fd fd, l;
        struct sley_io_op polls[N] = {0}, accepts[N] = {0};
        int peers[N];
        const int peer = unix_pair(&fd);
        sley_fd_init(&l, sley__rig_listener(&addr, 8));
        for (int i = 0; i < N; i++) {
            sley_fd_poll_start(&polls[i], &fd, SLEY_IO_IN);
            io_start(&accepts[i], &l, SLEY_IO_ACCEPT, NULL, 0);
        }
        CHECK_RC(until_cancelled(&polls[gone].wait), -ECANCELED);
        CHECK_RC(until_cancelled(&accepts[gone].wait), -ECANCELED);
        settle();
        for (int i = 0; i < N; i++) {
            CHECK(sley_wait_done(&polls[i].wait) == (i == gone));
            CHECK(sley_wait_done(&accepts[i].wait) == (i == gone));
        }
        put(peer, "y");
        for (int i = 0; i < N; i++) {
            peers[i] = i == gone ? -1 : sley__rig_dial(&addr);
        }
        for (int i = 0; i < N; i++) {
            CHECK_RC(until_done(&polls[i].wait), i == gone ? -ECANCELED : SLEY_IO_IN);
            CHECK_RC(until_done(&accepts[i].wait), i == gone ? -ECANCELED : 0);
            if (i != gone) {
                (void)close(accepts[i].out_number);
                (void)close(peers[i]);
            }
        }
        shut(&fd);
        shut(&l);
        (void)close(peer);
    }
}

CLAUSE(cancel_of_a_done_op_is_nothing)
{
    struct sley_fd fd;
    struct sley_io_op op = {0}, next = {0};
    char byte;
    const int peer = unix_pair(&fd);
    put(peer, "x");
    io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
    CHECK_RC(until_done(&op.wait), 1);
    sley_wait_cancel(&op.wait);
    CHECK_RC(op.wait.result, 1);
    io_start(&next, &fd, SLEY_IO_RECV, &byte, 1);
    sley_wait_cancel(&op.wait); /* of the one before */
    CHECK(!soon(&next.wait));
    sley_wait_cancel(&next.wait);
    sley_wait_cancel(&next.wait);
    CHECK_RC(until_done(&next.wait), -ECANCELED);
    sley_wait_cancel(&next.wait);
    CHECK_RC(next.wait.result, -ECANCELED);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    shut(&fd);
    (void)close(peer);
}

/* ---- events that are at hand ------------------------------------------------------------------------------------- */

struct rival {
    struct sley_wait_hook hook;
    struct sley_io_op op;
    struct sley_fd fd;
    int peer, told;
    char byte;
    struct rival *other;
};

static void cancel_other(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct rival *r = sley_container_of(hook, struct rival, hook);
    (void)w;
    r->told++;
    sley_wait_cancel(&r->other->op.wait);
}

CLAUSE(cancel_in_a_hook_of_the_same_batch)
{
    for (int round = 0; round < 4; round++) {
        static struct rival two[2];
        for (int i = 0; i < 2; i++) {
            two[i] = (struct rival){.hook = {.fn = cancel_other}, .other = &two[!i]};
            two[i].peer = unix_pair(&two[i].fd);
            io_start(&two[i].op, &two[i].fd, SLEY_IO_RECV, &two[i].byte, 1);
            sley_wait_hook(&two[i].op.wait, &two[i].hook);
        }
        settle();
        put(two[round % 2].peer, "x");
        put(two[!(round % 2)].peer, "x");
        (void)until_done(&two[0].op.wait);
        (void)until_done(&two[1].op.wait);
        settle();
        unsigned got = 0;
        for (int i = 0; i < 2; i++) {
            const int32_t rc = two[i].op.wait.result;
            CHECK(rc == 1 || rc == -ECANCELED);
            CHECK_INT(two[i].told, ==, 1);
            got += rc == 1;
            if (rc == -ECANCELED) { /* then its byte is still there */
                CHECK_RC(io(&two[i].fd, SLEY_IO_RECV, &two[i].byte, 1), 1);
            }
            shut(&two[i].fd);
            (void)close(two[i].peer);
        }
        CHECK_UINT(got, >=, 1);
    }
}

/* ---- late cancels ------------------------------------------------------------------------------------------------ */

struct feeder {
    int number;
    SLEY_ATOMIC(uint32_t) asked;
    SLEY_ATOMIC(bool) end;
};

static void *feed(void *arg)
{
    struct feeder *f = arg;
    uint32_t given = 0;
    uint64_t since_ms = 0;
    /* relaxed: the bytes go through the kernel; these only pace them */
    while (!atomic_load_explicit(&f->end, memory_order_relaxed)) {
        if (atomic_load_explicit(&f->asked, memory_order_relaxed) != given) { /* relaxed: as above */
            given++;
            since_ms = 0;
            put(f->number, "x");
        } else {
            sley__kit_wait_on(&since_ms);
        }
    }
    return NULL;
}

CLAUSE(cancel_racing_with_data_has_one_verdict)
{
    struct sley_fd fd;
    struct feeder f = {.number = sley__rig_pair(PAIR_TCP, &fd)};
    const uint32_t rounds = sley__kit_rounds(5000);
    uint32_t got = 0;
    pthread_t thread;
    char byte;
    CHECK_INT(pthread_create(&thread, NULL, feed, &f), ==, 0);
    for (uint32_t i = 0; i < rounds; i++) {
        struct sley_io_op op = {0};
        const bool early = sley__kit_below(4) == 0;
        if (early) {
            atomic_store_explicit(&f.asked, i + 1, memory_order_relaxed); /* relaxed: pairs with feed, which needs no more */
        }
        if (i % 2) {
            io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        } else {
            sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
        }
        atomic_store_explicit(&f.asked, i + 1, memory_order_relaxed); /* relaxed: as above */
        for (uint64_t n = sley__kit_below(8); n > 0; n--) {
            (void)look(0);
        }
        const int32_t rc = until_cancelled(&op.wait);
        CHECK(rc == 1 || rc == -ECANCELED);
        got += i % 2 && rc == 1;
        CHECK_UINT(reactor()->armed_count, ==, 0);
    }
    for (; got < rounds; got++) {
        CHECK_RC(io(&fd, SLEY_IO_RECV, &byte, 1), 1);
    }
    atomic_store_explicit(&f.end, true, memory_order_relaxed); /* relaxed: joined below */
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    shut(&fd);
    (void)close(f.number);
}

/** Waits for @p ns in all. Returns how often a wait ended before its time. */
static unsigned wakes_in(uint64_t ns)
{
    const uint64_t end = sley_after_ns(ns);
    unsigned wakes = 0;
    for (uint64_t now; (now = sley_now_ns()) < end; wakes++) {
        (void)look(end - now);
    }
    return wakes;
}

CLAUSE(cancelled_wait_wakes_nobody)
{
    struct sley_fd fds[2];
    struct sley_io_op ops[2] = {0};
    char byte;
    int peers[2];
    for (int i = 0; i < 2; i++) {
        peers[i] = unix_pair(&fds[i]);
        if (i) {
            io_start(&ops[i], &fds[i], SLEY_IO_RECV, &byte, 1);
        } else {
            sley_fd_poll_start(&ops[i], &fds[i], SLEY_IO_IN);
        }
        settle();
        CHECK_RC(until_cancelled(&ops[i].wait), -ECANCELED);
    }
    settle();
    put(peers[0], "x");
    put(peers[1], "x");
    CHECK_UINT(wakes_in(20 * SLEY_MS), <=, 8); /* who watches on would be told thousands of times */
    for (int i = 0; i < 2; i++) {
        CHECK_RC(io(&fds[i], SLEY_IO_RECV, &byte, 1), 1);
        shut(&fds[i]);
        (void)close(peers[i]);
    }
}
