/* Streams and listeners among workers that share their tasks: each case provokes races between workers; what it checks is what is
 * true whoever comes first. */
#include "pieces.h"
#include "shared_bed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- a reader and a writer of one connection ------------------------------------------------------------------------ */

struct transfer {
    struct sley_stream *s;
    const struct sley_fd *fd; /* NULL: not a socket */
    size_t bytes;
    uint32_t *away; /* calls made on another worker than the descriptor's */
};

enum { PIECE_MAX = 3000 };

static void count_away(const struct transfer *t)
{
    if (t->fd && sley__fd_home(t->fd) && sley__fd_home(t->fd) != sley_sched_current()->reactor) {
        (void)__atomic_fetch_add(t->away, 1, __ATOMIC_RELAXED);
    }
}

static int write_pieces(struct transfer *t)
{
    unsigned char buf[PIECE_MAX];
    for (size_t at = 0; at < t->bytes;) {
        const size_t left = t->bytes - at;
        size_t len = 1 + harness_rand_below(PIECE_MAX), done = 0;
        len = len < left ? len : left;
        io_fill(buf, at, len);
        count_away(t);
        if (harness_rand_below(2)) {
            CHECK_RC(sley_stream_write_all(t->s, buf, len, &done), 0);
            CHECK_UINT(done, ==, len);
        } else {
            const int n = sley_stream_write(t->s, buf, len);
            CHECK_INT(n, >, 0);
            done = (size_t)n;
        }
        at += done;
        loiter(1);
    }
    return sley_stream_shutdown(t->s);
}
SLEY_FIBER(write_pieces, struct transfer)

static int read_pieces(struct transfer *t)
{
    unsigned char buf[PIECE_MAX];
    for (size_t at = 0; at < t->bytes;) {
        const size_t left = t->bytes - at, len = 1 + harness_rand_below(PIECE_MAX);
        count_away(t);
        if (len <= left && harness_rand_below(2)) {
            CHECK_RC(sley_stream_read_exact(t->s, buf, len, NULL), 0);
            io_check(buf, at, len);
            at += len;
        } else {
            const int n = sley_stream_read(t->s, buf, len);
            CHECK_INT(n, >, 0);
            io_check(buf, at, (size_t)n);
            at += (size_t)n;
        }
        loiter(1);
    }
    CHECK_RC(sley_stream_read(t->s, buf, sizeof buf), 0);
    return 0;
}
SLEY_FIBER(read_pieces, struct transfer)

/** Both directions of both ends at once, each in a task of its own. */
static void transfer_both_ways(struct sley_stream *a, const struct sley_fd *a_fd, struct sley_stream *b, const struct sley_fd *b_fd,
                               size_t bytes, struct sley_task *tasks[4], uint32_t *away)
{
    IO_SPAWN(&tasks[0], write_pieces, a, a_fd, bytes, away);
    IO_SPAWN(&tasks[1], read_pieces, a, a_fd, bytes, away);
    IO_SPAWN(&tasks[2], write_pieces, b, b_fd, bytes, away);
    IO_SPAWN(&tasks[3], read_pieces, b, b_fd, bytes, away);
}

SHARED_TEST(tcp_read_and_written_by_tasks_of_any_worker_loses_nothing, "")
{
    enum { PAIRS = 8 };
    static struct io_pair pairs[PAIRS];
    static struct sley_task *tasks[PAIRS][4];
    uint32_t away = 0;
    do { /* on a busy machine it may be one worker alone that has a processor meanwhile */
        for (int i = 0; i < PAIRS; i++) {
            io_pair(&pairs[i], NULL);
        }
        for (int i = 0; i < PAIRS; i++) {
            transfer_both_ways(&pairs[i].a.stream, &pairs[i].a.fd, &pairs[i].b.stream, &pairs[i].b.fd, rounds(600000), tasks[i], &away);
        }
        for (int i = 0; i < PAIRS * 4; i++) {
            CHECK_RC(io_join(tasks[i / 4][i % 4]), 0);
        }
        for (int i = 0; i < PAIRS; i++) {
            io_pair_close(&pairs[i]);
        }
    } while (away == 0);
    harness_note("%u calls away from the descriptor's worker", away);
    return 0;
}

SHARED_TEST(pair_read_and_written_by_tasks_of_any_worker_loses_nothing, "")
{
    enum { BYTES = 100 };
    static struct sley_stream_pair p;
    static unsigned char room[2 * BYTES];
    struct sley_task *tasks[4];
    uint32_t away = 0;
    CHECK_RC(sley_stream_pair_init(&p, room, BYTES), 0);
    transfer_both_ways(&p.a.stream, NULL, &p.b.stream, NULL, rounds(200000), tasks, &away);
    for (int i = 0; i < 4; i++) {
        CHECK_RC(io_join(tasks[i]), 0);
    }
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    CHECK_RC(sley_stream_pair_fini(&p), 0);
    return 0;
}

/* ---- cancelling ------------------------------------------------------------------------------------------------------ */

/** A piece now and then: about as often as the reader gives up. */
static int write_slowly(struct transfer *t)
{
    unsigned char buf[16];
    for (size_t at = 0; at < t->bytes; at += sizeof buf) {
        io_fill(buf, at, sizeof buf);
        CHECK_RC(sley_stream_write_all(t->s, buf, sizeof buf, NULL), 0);
        CHECK_RC(sley_sleep(harness_rand_below(40) * SLEY_US), 0);
    }
    return sley_stream_shutdown(t->s);
}
SLEY_FIBER(write_slowly, struct transfer)

static int read_impatiently(struct transfer *t)
{
    unsigned char buf[64];
    unsigned late = 0;
    for (size_t at = 0; at < t->bytes;) {
        struct sley_io_op op = {0};
        sley_stream_read_start(&op, t->s, buf, sizeof buf);
        loiter(2);
        const int n = harness_rand_below(2) ? sley_wait_fini(&op.wait)
                                            : sley_await_until(&op.wait, sley_after_ns(harness_rand_below(30) * SLEY_US));
        if (n == -ECANCELED || n == -ETIMEDOUT) {
            late++;
            continue; /* nothing was taken */
        }
        CHECK_INT(n, >, 0);
        io_check(buf, at, (size_t)n);
        at += (size_t)n;
    }
    harness_note("%u reads cancelled", late);
    CHECK_RC(sley_stream_read(t->s, buf, sizeof buf), 0);
    return 0;
}
SLEY_FIBER(read_impatiently, struct transfer)

SHARED_TEST(tcp_read_cancelled_against_its_completion_loses_nothing, "")
{
    struct io_pair p;
    struct sley_task *reader, *writer;
    uint32_t away = 0;
    io_pair(&p, NULL);
    IO_SPAWN(&reader, read_impatiently, &p.a.stream, &p.a.fd, rounds(1000) * 16, &away);
    IO_SPAWN(&writer, write_slowly, &p.b.stream, &p.b.fd, rounds(1000) * 16, &away);
    CHECK_RC(io_join(reader), 0);
    CHECK_RC(io_join(writer), 0);
    io_pair_close(&p);
    return 0;
}

/* ---- closing under what is in flight ---------------------------------------------------------------------------------- */

static int any_read(struct sley_stream **s)
{
    unsigned char buf[4000]; /* not less: a closer that the system keeps waiting would make this long */
    int n;
    loiter(4);
    while ((n = sley_stream_read(*s, buf, sizeof buf)) > 0) {
    }
    return n;
}
SLEY_FIBER(any_read, struct sley_stream *)

static int any_write(struct sley_stream **s)
{
    static const unsigned char bytes[1 << 14];
    int rc = 0;
    loiter(4);
    for (int i = 0; i < 40 && rc == 0; i++) {
        rc = sley_stream_write_all(*s, bytes, sizeof bytes, NULL);
    }
    return rc;
}
SLEY_FIBER(any_write, struct sley_stream *)

static int any_shutdown(struct sley_stream **s)
{
    loiter(6);
    return sley_stream_shutdown(*s);
}
SLEY_FIBER(any_shutdown, struct sley_stream *)

static int any_flush(struct sley_stream **s)
{
    loiter(6);
    return sley_stream_flush(*s);
}
SLEY_FIBER(any_flush, struct sley_stream *)

static int any_close(struct sley_stream **s)
{
    loiter(8);
    if (harness_rand_below(2)) {
        sley_stream_abort(*s);
        return 0;
    }
    return sley_stream_close(*s);
}
SLEY_FIBER(any_close, struct sley_stream *)

static void check_end(int rc)
{
    if (rc != 0 && rc != -ECANCELED && rc != -EBADF && rc != -ECONNRESET && rc != -EPIPE) {
        CHECK_RC(rc, 0);
    }
}

static void close_under_everything(struct sley_stream *a, struct sley_stream *b)
{
    struct sley_task *t[8];
    IO_SPAWN(&t[0], any_read, a);
    IO_SPAWN(&t[1], any_write, a);
    IO_SPAWN(&t[2], any_shutdown, a);
    IO_SPAWN(&t[3], any_close, a);
    IO_SPAWN(&t[4], any_read, b);
    IO_SPAWN(&t[5], any_write, b);
    IO_SPAWN(&t[6], any_flush, a);
    IO_SPAWN(&t[7], any_close, a); /* two at once */
    for (int i = 0; i < 8; i++) {
        check_end(io_join(t[i]));
    }
    CHECK_RC(sley_stream_read(a, &(char){0}, 1), -EBADF);
    CHECK_RC(sley_stream_close(a), 0);
    CHECK_RC(sley_stream_close(b), 0);
}

SHARED_TEST(tcp_closed_under_everything_ends_everything, "")
{
    const unsigned open = io_fd_count();
    for (unsigned i = 0; i < rounds(300); i++) {
        struct io_pair p;
        io_pair(&p, NULL);
        close_under_everything(&p.a.stream, &p.b.stream);
    }
    CHECK_UINT(io_fd_count(), ==, open);
    return 0;
}

SHARED_TEST(pair_closed_under_everything_ends_everything, "")
{
    enum { BYTES = 64 };
    static unsigned char room[2 * BYTES];
    for (unsigned i = 0; i < rounds(1000); i++) {
        struct sley_stream_pair p;
        CHECK_RC(sley_stream_pair_init(&p, room, BYTES), 0);
        close_under_everything(&p.a.stream, &p.b.stream);
        CHECK_RC(sley_stream_pair_fini(&p), 0);
    }
    return 0;
}

/** A descriptor that no op has been on yet gets its home in a race. */
SHARED_TEST(tcp_first_used_by_several_at_once_has_one_home, "")
{
    const unsigned open = io_fd_count();
    for (unsigned i = 0; i < rounds(1000); i++) {
        struct io_pair p;
        struct sley_task *t[4];
        io_pair(&p, NULL); /* b was accepted: nobody has used it */
        CHECK(sley__fd_home(&p.b.fd) == NULL);
        IO_SPAWN(&t[0], any_write, &p.b.stream);
        IO_SPAWN(&t[1], any_read, &p.b.stream);
        IO_SPAWN(&t[2], any_close, &p.b.stream);
        IO_SPAWN(&t[3], any_read, &p.a.stream);
        for (int k = 0; k < 4; k++) {
            check_end(io_join(t[k]));
        }
        CHECK_RC(sley_stream_close(&p.a.stream), 0);
    }
    CHECK_UINT(io_fd_count(), ==, open);
    return 0;
}

/* ---- shutting down behind a write -------------------------------------------------------------------------------------- */

static int shut_down(struct sley_stream **s)
{
    return sley_stream_shutdown(*s);
}
SLEY_FIBER(shut_down, struct sley_stream *)

static int write_much(struct sley_stream **s)
{
    static const unsigned char bytes[8 << 20];
    return sley_stream_write_all(*s, bytes, sizeof bytes, NULL);
}
SLEY_FIBER(write_much, struct sley_stream *)

SHARED_TEST(tcp_shutdowns_behind_a_write_end_after_it, "")
{
    static unsigned char buf[1 << 18];
    for (unsigned i = 0; i < 20; i++) {
        struct io_pair p;
        struct sley_task *writer, *shutters[4];
        size_t at = 0;
        int n;
        io_pair(&p, NULL);
        IO_SPAWN(&writer, write_much, &p.a.stream);
        while (!(sley__fd_state(&p.a.fd) & SLEY_FD_WRITING)) {
            (void)sley_yield();
        }
        for (int k = 0; k < 4; k++) {
            IO_SPAWN(&shutters[k], shut_down, &p.a.stream);
        }
        SLEY_OP(struct sley_io_op, one_more);
        sley_stream_shutdown_start(&one_more, &p.a.stream);
        loiter(3);
        const int cancelled = sley_wait_fini(&one_more.wait);
        CHECK(cancelled == -ECANCELED || cancelled == 0);
        while ((n = sley_stream_read(&p.b.stream, buf, sizeof buf)) > 0) {
            at += (size_t)n;
        }
        CHECK_RC(n, 0);
        CHECK_UINT(at, ==, 8 << 20);
        CHECK_RC(io_join(writer), 0);
        for (int k = 0; k < 4; k++) {
            CHECK_RC(io_join(shutters[k]), 0);
        }
        io_pair_close(&p);
    }
    return 0;
}

/* ---- copying ------------------------------------------------------------------------------------------------------------ */

struct copying {
    struct sley_stream *dst, *src;
};

static int copy(struct copying *c)
{
    uint64_t bytes;
    const int rc = sley_stream_copy(c->dst, c->src, &bytes);
    if (rc == 0) {
        CHECK_RC(sley_stream_shutdown(c->dst), 0);
    }
    return rc;
}
SLEY_FIBER(copy, struct copying)

/** Two connections between which everything is copied, both ways: each copy's callbacks start ops on the other's descriptor. */
SHARED_TEST(copy_both_ways_between_two_connections_loses_nothing, "")
{
    enum { PROXIES = 4 };
    static struct io_pair near[PROXIES], far[PROXIES];
    static struct sley_task *copies[PROXIES][2], *ends[PROXIES][4];
    uint32_t away = 0;
    for (int i = 0; i < PROXIES; i++) {
        io_pair(&near[i], NULL);
        io_pair(&far[i], NULL);
        IO_SPAWN(&copies[i][0], copy, &far[i].a.stream, &near[i].b.stream);
        IO_SPAWN(&copies[i][1], copy, &near[i].b.stream, &far[i].a.stream);
        transfer_both_ways(&near[i].a.stream, &near[i].a.fd, &far[i].b.stream, &far[i].b.fd, rounds(400000), ends[i], &away);
    }
    for (int i = 0; i < PROXIES; i++) {
        for (int k = 0; k < 4; k++) {
            CHECK_RC(io_join(ends[i][k]), 0);
        }
        CHECK_RC(io_join(copies[i][0]), 0);
        CHECK_RC(io_join(copies[i][1]), 0);
        io_pair_close(&near[i]);
        io_pair_close(&far[i]);
    }
    return 0;
}

static int cancel_copy(struct copying *c)
{
    SLEY_OP(struct sley_stream_copy_op, op);
    sley_stream_copy_start(&op, c->dst, c->src, NULL);
    loiter(5);
    return sley_wait_fini(&op.wait);
}
SLEY_FIBER(cancel_copy, struct copying)

SHARED_TEST(copy_cancelled_and_closed_under_at_any_time_ends, "")
{
    for (unsigned i = 0; i < rounds(300); i++) {
        struct io_pair near, far;
        struct sley_task *t[6];
        io_pair(&near, NULL);
        io_pair(&far, NULL);
        IO_SPAWN(&t[0], cancel_copy, &far.a.stream, &near.b.stream);
        IO_SPAWN(&t[1], cancel_copy, &near.b.stream, &far.a.stream);
        IO_SPAWN(&t[2], any_write, &near.a.stream);
        IO_SPAWN(&t[3], any_write, &far.b.stream);
        IO_SPAWN(&t[4], any_read, &near.a.stream);
        IO_SPAWN(&t[5], any_close, &far.a.stream);
        for (int k = 0; k < 2; k++) {
            check_end(io_join(t[k]));
        }
        CHECK_RC(sley_stream_close(&far.a.stream), 0);
        CHECK_RC(sley_stream_close(&near.b.stream), 0);
        for (int k = 2; k < 6; k++) {
            check_end(io_join(t[k]));
        }
        io_pair_close(&near);
        io_pair_close(&far);
    }
    return 0;
}

/** One end belongs to a plain thread: its calls complete the copy's ops, where no op can be started. */
static void *thread_end(void *arg)
{
    struct sley_stream_pair *p = arg;
    unsigned char buf[50];
    for (size_t at = 0; at < 20000; at += sizeof buf) {
        io_fill(buf, at, sizeof buf);
        CHECK_RC(sley_stream_write_all(&p->b.stream, buf, sizeof buf, NULL), 0);
    }
    CHECK_RC(sley_stream_shutdown(&p->b.stream), 0);
    return NULL;
}

SHARED_TEST(copy_from_a_plain_thread_goes_on_at_home, "")
{
    static unsigned char room[2 * 64], buf[64];
    struct sley_stream_pair p;
    struct io_pair out;
    struct sley_task *t;
    pthread_t thread;
    size_t at = 0;
    int n;
    CHECK_RC(sley_stream_pair_init(&p, room, 64), 0);
    io_pair(&out, NULL);
    IO_SPAWN(&t, copy, &out.a.stream, &p.a.stream);
    CHECK_INT(pthread_create(&thread, NULL, thread_end, &p), ==, 0);
    while ((n = sley_stream_read(&out.b.stream, buf, sizeof buf)) > 0) {
        io_check(buf, at, (size_t)n);
        at += (size_t)n;
    }
    CHECK_RC(n, 0);
    CHECK_UINT(at, ==, 20000);
    CHECK_RC(io_join(t), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    CHECK_RC(sley_stream_pair_fini(&p), 0);
    io_pair_close(&out);
    return 0;
}

/* ---- accepting and connecting ------------------------------------------------------------------------------------------ */

struct acceptor {
    struct sley_tcp_listener *l;
    uint32_t *accepted, *wanted;
};

/** Accepts with little patience until all are there. */
static int accept_some(struct acceptor *a)
{
    unsigned cancelled = 0;
    while (__atomic_load_n(a->accepted, __ATOMIC_RELAXED) < *a->wanted) {
        struct sley_tcp conn;
        struct sley_io_op op = {0};
        char c;
        sley_tcp_accept_start(&op, a->l, &conn);
        loiter(3);
        const int rc = harness_rand_below(3) ? sley_await_until(&op.wait, sley_after_ns(harness_rand_below(2000) * SLEY_US))
                                             : sley_wait_fini(&op.wait);
        if (rc == -ECANCELED || rc == -ETIMEDOUT) {
            cancelled++;
            continue;
        }
        CHECK_RC(rc, 0);
        CHECK_RC(sley_stream_read(&conn.stream, &c, 1), 1);
        CHECK_RC(sley_stream_write(&conn.stream, &c, 1), 1);
        CHECK_RC(sley_stream_close(&conn.stream), 0);
        (void)__atomic_fetch_add(a->accepted, 1, __ATOMIC_RELAXED);
    }
    return 0;
}
SLEY_FIBER(accept_some, struct acceptor)

struct dialler {
    const char *addr;
    unsigned count;
};

static int dial_some(struct dialler *d)
{
    for (unsigned i = 0; i < d->count;) {
        struct sley_tcp conn;
        char c = 'x';
        const int rc = sley_tcp_connect(&conn, d->addr, NULL);
        if (rc == -EMFILE) {
            CHECK_RC(sley_sleep(SLEY_MS), 0);
            continue;
        }
        CHECK_RC(rc, 0);
        CHECK_RC(sley_stream_write(&conn.stream, &c, 1), 1);
        CHECK_RC(sley_stream_read(&conn.stream, &c, 1), 1);
        CHECK_RC(sley_stream_read(&conn.stream, &c, 1), 0);
        CHECK_RC(sley_stream_close(&conn.stream), 0);
        i++;
    }
    return 0;
}
SLEY_FIBER(dial_some, struct dialler)

enum { ACCEPTORS = 6, DIALLERS = 4 };

/** Leaves as many numbers as the diallers take, and one. Returns the limit before. */
static struct rlimit few_numbers(void)
{
    struct rlimit before, few;
    int numbers[DIALLERS + 1], last = 0;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    for (int i = 0; i <= DIALLERS; i++) {
        numbers[i] = dup(0);
        CHECK_INT(numbers[i], >, 0);
        last = numbers[i] > last ? numbers[i] : last; /* a watchdog may have had one for a moment */
    }
    for (int i = 0; i <= DIALLERS; i++) {
        close(numbers[i]);
    }
    few = before;
    few.rlim_cur = (rlim_t)last + 1;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
    return before;
}

static void accept_from_several(uint32_t each, bool scarce)
{
    struct io_listener l;
    struct sley_task *t[ACCEPTORS + DIALLERS];
    struct rlimit before;
    uint32_t accepted = 0, wanted = each * DIALLERS;
    io_listen(&l, NULL);
    if (scarce) {
        before = few_numbers();
    }
    for (int i = 0; i < ACCEPTORS; i++) {
        IO_SPAWN(&t[i], accept_some, &l.l, &accepted, &wanted);
    }
    for (int i = 0; i < DIALLERS; i++) {
        IO_SPAWN(&t[ACCEPTORS + i], dial_some, l.text, each);
    }
    for (int i = 0; i < ACCEPTORS + DIALLERS; i++) {
        CHECK_RC(io_join(t[i]), 0);
    }
    if (scarce) {
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
    }
    CHECK_UINT(accepted, ==, wanted);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
}

SHARED_TEST(accept_by_many_tasks_of_any_worker_gets_each_connection_once, "")
{
    const unsigned open = io_fd_count();
    accept_from_several(rounds(300), false);
    CHECK_UINT(io_fd_count(), ==, open);
    return 0;
}

SHARED_TEST(accept_by_many_tasks_rests_while_descriptors_run_out, "")
{
    const unsigned open = io_fd_count();
    accept_from_several(rounds(50), true);
    CHECK_UINT(io_fd_count(), ==, open);
    return 0;
}

static int accept_one(struct sley_tcp_listener **l)
{
    struct sley_tcp conn;
    loiter(4);
    const int rc = sley_tcp_accept(*l, &conn);
    if (rc == 0) {
        CHECK_RC(sley_stream_close(&conn.stream), 0);
    }
    return rc;
}
SLEY_FIBER(accept_one, struct sley_tcp_listener *)

static int dial_one(const char **addr)
{
    struct sley_tcp_connect_op op = {0};
    struct sley_tcp conn;
    loiter(4);
    sley_tcp_connect_start(&op, &conn, *addr, NULL);
    loiter(2);
    const int rc = harness_rand_below(2) ? sley_wait_fini(&op.wait) : sley_await(&op.wait);
    if (rc == 0) {
        CHECK_RC(sley_stream_close(&conn.stream), 0);
    }
    return rc;
}
SLEY_FIBER(dial_one, const char *)

static int close_listener(struct sley_tcp_listener **l)
{
    loiter(6);
    return sley_tcp_listener_close(*l);
}
SLEY_FIBER(close_listener, struct sley_tcp_listener *)

SHARED_TEST(listener_closed_under_accepts_may_be_freed_at_once, "")
{
    const unsigned open = io_fd_count();
    for (unsigned i = 0; i < rounds(300); i++) {
        struct io_listener *l = malloc(sizeof *l);
        struct sley_task *accepts[3], *dials[3], *closer;
        char text[SLEY_ADDR_TEXT_BYTES];
        CHECK(l != NULL);
        io_listen(l, NULL);
        memcpy(text, l->text, sizeof text);
        for (int k = 0; k < 3; k++) {
            IO_SPAWN(&accepts[k], accept_one, &l->l);
            IO_SPAWN(&dials[k], dial_one, text);
        }
        IO_SPAWN(&closer, close_listener, &l->l);
        CHECK_RC(io_join(closer), 0);
        for (int k = 0; k < 3; k++) {
            check_end(io_join(accepts[k]));
        }
        free(l);
        for (int k = 0; k < 3; k++) {
            const int rc = io_join(dials[k]);
            CHECK(rc == 0 || rc == -ECANCELED || rc == -ECONNREFUSED || rc == -ECONNRESET);
        }
    }
    CHECK_UINT(io_fd_count(), ==, open);
    return 0;
}

/* ---- streams that move one piece at a time ------------------------------------------------------------------------------- */

SHARED_TEST(stream_without_all_whose_pieces_end_on_any_worker_loses_nothing, "")
{
    enum { BYTES = 16 };
    static struct sley_stream_pair p;
    static struct pieces a, b;
    static unsigned char room[2 * BYTES];
    struct sley_task *tasks[4];
    uint32_t away = 0;
    CHECK_RC(sley_stream_check(&piece_ops), 0);
    CHECK_RC(sley_stream_pair_init(&p, room, BYTES), 0);
    a = (struct pieces){.stream = {&piece_ops}, .over = &p.a.stream};
    b = (struct pieces){.stream = {&piece_ops}, .over = &p.b.stream};
    transfer_both_ways(&a.stream, NULL, &b.stream, NULL, rounds(100000), tasks, &away);
    for (int i = 0; i < 4; i++) {
        CHECK_RC(io_join(tasks[i]), 0);
    }
    CHECK_RC(sley_stream_close(&a.stream), 0);
    CHECK_RC(sley_stream_close(&b.stream), 0);
    CHECK_RC(sley_stream_pair_fini(&p), 0);
    return 0;
}
