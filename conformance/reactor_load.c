/* Clauses: many at once, and nobody left behind. */
#include "rig.h"

#include <pthread.h>
#include <sys/resource.h>

enum { PAIRS_MAX = 1000, POLLS_MAX = 3000 };

CLAUSE(thousand_descriptors_each_get_their_byte)
{
    static struct sley_fd fds[PAIRS_MAX];
    static struct sley_io_op ops[PAIRS_MAX];
    static int peers[PAIRS_MAX];
    static char bytes[PAIRS_MAX];
    struct rlimit limit;
    int pairs = PAIRS_MAX;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    if (limit.rlim_cur < 2 * PAIRS_MAX + 64) {
        pairs = (int)limit.rlim_cur / 2 - 64;
    }
    for (int i = 0; i < pairs; i++) {
        peers[i] = unix_pair(&fds[i]);
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
        CHECK(!sley_wait_done(&ops[i].wait));
    }
    CHECK_UINT(reactor()->armed_count, ==, pairs);
    settle();
    for (int i = 0; i < pairs; i += 2) {
        const char text[2] = {(char)('a' + i % 23), '\0'};
        put(peers[i], text);
    }
    for (int i = 0; i < pairs; i += 2) {
        CHECK_RC(until_done(&ops[i].wait), 1);
        CHECK_INT(bytes[i], ==, 'a' + i % 23);
        CHECK(!sley_wait_done(&ops[i + 1].wait));
    }
    CHECK_UINT(reactor()->armed_count, ==, pairs / 2);
    for (int i = 0; i < pairs; i++) {
        shut(&fds[i]);
        CHECK(sley_wait_done(&ops[i].wait));
        (void)close(peers[i]);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

CLAUSE(three_thousand_ops_on_one_descriptor)
{
    static struct sley_io_op ops[POLLS_MAX];
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < POLLS_MAX; i++) {
            sley_fd_poll_start(&ops[i], &fd, SLEY_IO_IN);
            CHECK(!sley_wait_done(&ops[i].wait));
        }
        settle();
        CHECK_UINT(reactor()->armed_count, ==, POLLS_MAX);
        if (round == 0) {
            for (int i = 0; i < POLLS_MAX; i++) {
                sley_wait_cancel(&ops[i].wait);
            }
        } else {
            put(peer, "x");
        }
        for (int i = 0; i < POLLS_MAX; i++) {
            CHECK_RC(until_done(&ops[i].wait), round ? SLEY_IO_IN : -ECANCELED);
        }
        CHECK_UINT(reactor()->armed_count, ==, 0);
    }
    shut(&fd);
    (void)close(peer);
}

CLAUSE(completions_may_come_in_any_order)
{
    enum { N = 16 };
    struct sley_fd fds[N];
    struct sley_io_op ops[N] = {0};
    char bytes[N];
    int peers[N], order[N];
    for (int i = 0; i < N; i++) {
        peers[i] = unix_pair(&fds[i]);
        order[i] = i;
    }
    for (unsigned round = sley__kit_rounds(50); round > 0; round--) {
        for (int i = 0; i < N; i++) {
            io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
            const int k = (int)sley__kit_below((uint64_t)i + 1), swap = order[i];
            order[i] = order[k];
            order[k] = swap;
        }
        for (int i = 0; i < N; i++) {
            put(peers[order[i]], "x");
            CHECK_RC(until_done(&ops[order[i]].wait), 1);
            CHECK_UINT(reactor()->armed_count, ==, N - 1 - i);
        }
    }
    for (int i = 0; i < N; i++) {
        shut(&fds[i]);
        (void)close(peers[i]);
    }
}

/* ---- fairness ---------------------------------------------------------------------------------------------------- */

struct busy {
    struct sley_wait_hook hook;
    struct sley_io_op op;
    struct sley_fd fd;
    int peer;
    char byte;
    bool due, stop;
};

/** As soon as it has its byte it waits for the next, which is there before the next look. */
static void stay_busy(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct busy *b = sley_container_of(hook, struct busy, hook);
    (void)w;
    if (!b->stop) {
        io_start(&b->op, &b->fd, SLEY_IO_RECV, &b->byte, 1);
        sley_wait_hook(&b->op.wait, &b->hook);
        b->due = true;
    }
}

static void keep_busy(struct busy *all, int count)
{
    for (int i = 0; i < count; i++) {
        if (all[i].due) {
            all[i].due = false;
            put(all[i].peer, "x");
        }
    }
    (void)look(SLEY_NEVER);
}

CLAUSE(busy_descriptors_do_not_starve_a_quiet_one)
{
    enum { N = 8 };
    static struct busy all[N];
    struct sley_fd fd;
    char byte;
    const int peer = unix_pair(&fd);
    memset(all, 0, sizeof all);
    for (int i = 0; i < N; i++) {
        struct busy *b = &all[i];
        b->hook.fn = stay_busy;
        b->peer = unix_pair(&b->fd);
        io_start(&b->op, &b->fd, SLEY_IO_RECV, &b->byte, 1);
        sley_wait_hook(&b->op.wait, &b->hook);
        b->due = true;
    }
    for (int i = 0; i < 50; i++) {
        struct sley_io_op op = {0};
        io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        keep_busy(all, N);
        CHECK(!sley_wait_done(&op.wait));
        put(peer, "q");
        for (int looks = 0; !sley_wait_done(&op.wait); looks++) {
            keep_busy(all, N);
            CHECK_INT(looks, <, 64);
        }
    }
    for (int i = 0; i < N; i++) {
        all[i].stop = true;
        shut(&all[i].fd);
        (void)close(all[i].peer);
    }
    shut(&fd);
    (void)close(peer);
}

struct runner {
    struct sley_wait_hook hook;
    struct sley_io_op op;
    struct sley_fd fd;
    int peer;
    char byte;
    struct runner *next;
};
static unsigned told_in_one_look;
static bool stop_runners;

static void wait_on(struct runner *r)
{
    io_start(&r->op, &r->fd, SLEY_IO_RECV, &r->byte, 1);
    sley_wait_hook(&r->op.wait, &r->hook);
}

/** The next one has its byte before its turn comes: for who looks again before poll has returned there is always one more. */
static void run_on(struct sley_wait_hook *hook, struct sley_wait *w)
{
    enum { LOOK_MOST = 50000 }; /* hundreds are usual */
    struct runner *r = sley_container_of(hook, struct runner, hook);
    (void)w;
    if (++told_in_one_look > LOOK_MOST) {
        FAIL("one poll has told %u hooks, and goes on", told_in_one_look);
    }
    if (!stop_runners) {
        wait_on(r);
        put(r->next->peer, "x");
    }
}

CLAUSE(poll_comes_back_beside_hooks_that_start_ops)
{
    enum { N = 3 };
    static struct runner all[N];
    for (int i = 0; i < N; i++) {
        all[i] = (struct runner){.hook = {.fn = run_on}, .next = &all[(i + 1) % N]};
        all[i].peer = unix_pair(&all[i].fd);
        wait_on(&all[i]);
    }
    put(all[0].peer, "x");
    for (int looks = 0; looks < 100; looks++) {
        told_in_one_look = 0;
        (void)look(SLEY_NEVER);
    }
    stop_runners = true;
    for (int i = 0; i < N; i++) {
        shut(&all[i].fd);
        (void)close(all[i].peer);
    }
}

enum { LONG_BYTES = 24 << 20 };

static void *pump(void *arg)
{
    static char block[1 << 18];
    const int *number = arg;
    for (size_t left = LONG_BYTES; left > 0;) {
        const ssize_t n = send(*number, block, left < sizeof block ? left : sizeof block, MSG_NOSIGNAL);
        if (n <= 0) {
            break;
        }
        left -= (size_t)n;
    }
    return NULL;
}

CLAUSE(long_transfer_does_not_starve_others)
{
    static char data[LONG_BYTES];
    struct sley_fd fd, quiet;
    struct sley_io_op op = {0};
    char byte;
    pthread_t thread;
    int peer = unix_pair(&fd);
    const int quiet_peer = unix_pair(&quiet);
    unsigned turns = 0;
    CHECK_INT(pthread_create(&thread, NULL, pump, &peer), ==, 0);
    io_start_all(&op, &fd, SLEY_IO_RECV, data, sizeof data);
    while (!sley_wait_done(&op.wait)) {
        put(quiet_peer, "q");
        CHECK_RC(io(&quiet, SLEY_IO_RECV, &byte, 1), 1);
        struct sley_io_op q = {0}; /* the other way round: it waits, and the long one is at work */
        io_start(&q, &quiet, SLEY_IO_RECV, &byte, 1);
        put(quiet_peer, "q");
        CHECK_RC(until_done(&q.wait), 1);
        turns++;
        (void)look(0);
    }
    CHECK_RC(op.wait.result, 0);
    CHECK_UINT(turns, >=, reactor()->ops->caps & SLEY_REACTOR_CAP_READINESS ? 2 : 1);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    shut(&fd);
    shut(&quiet);
    (void)close(peer);
    (void)close(quiet_peer);
}
