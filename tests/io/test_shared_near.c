/* The short ways of a connection whose home several workers share: a receive that is armed beside its slot, and a send outside the
 * lock, against closes, moves, cancels, shutdowns and second ones on other workers. */
#include "shared_bed.h"

#include <sley/near_impl.h>

#include <string.h>
#include <unistd.h>

/** Is a receive armed that has taken the short way? */
static bool taken(struct sley_tcp *t)
{
    struct sley_reactor *r = sley_fd_enter(&t->fd);
    const bool yes = r && t->fd.number >= 0 && t->fd.slot && t->fd.slot->way == SLEY__WAY_TAKEN;
    sley_reactor_leave(r);
    return yes;
}

/** Does somebody send outside the lock just now? */
static bool sends(struct sley_tcp *t)
{
    struct sley_reactor *r = sley_fd_enter(&t->fd);
    const bool yes = (sley__fd_state(&t->fd) & SLEY_FD_SENDING_MASK) != 0;
    sley_reactor_leave(r);
    return yes;
}

/** Yields until it says yes, or for as long as it takes chance to give up. Returns what it said. */
static bool await_chance(bool (*says)(struct sley_tcp *t), struct sley_tcp *t)
{
    for (unsigned turn = 0; turn < 200; turn++) {
        if (says(t)) {
            return true;
        }
        (void)sley_yield();
    }
    return false;
}

/* ---- one after the other ------------------------------------------------------------------------------------------------ */

static int read_one(struct sley_tcp **t)
{
    char c;
    const int n = sley_stream_read(&(*t)->stream, &c, sizeof c);
    return n == 1 ? c : n;
}
SLEY_FIBER(read_one, struct sley_tcp *)

/** A message, shorter than the buffer, so that the connection is known to be dry. */
static void make_dry(struct io_pair *p)
{
    char buf[8];
    CHECK_INT(sley_stream_write(&p->b.stream, "abc", 3), ==, 3);
    CHECK_INT(sley_stream_read(&p->a.stream, buf, sizeof buf), ==, 3);
    CHECK_INT(sley_stream_write(&p->b.stream, "abc", 3), ==, 3);
    CHECK_INT(sley_stream_read(&p->a.stream, buf, sizeof buf), ==, 3);
}

SHARED_TEST(tcp_second_read_beside_a_short_way_is_refused, "")
{
    struct io_pair p;
    struct sley_task *first;
    char c;
    io_pair(&p, NULL);
    make_dry(&p);
    IO_SPAWN(&first, read_one, &p.a);
    while (!(sley__fd_state(&p.a.fd) & SLEY_FD_READING)) {
        (void)sley_yield();
    }
    CHECK_RC(sley_stream_read(&p.a.stream, &c, sizeof c), -EBUSY);
    CHECK_RC(sley_tcp_move(&p.a), -EBUSY);
    CHECK_INT(sley_stream_write(&p.b.stream, "x", 1), ==, 1);
    CHECK_INT(io_join(first), ==, 'x');
    CHECK_RC(sley_tcp_move(&p.a), 0);
    io_pair_close(&p);
    return 0;
}

static int end_of(struct sley_stream **s)
{
    char buf[64];
    int n, sum = 0;
    while ((n = sley_stream_read(*s, buf, sizeof buf)) > 0) {
        sum += n;
    }
    return n < 0 ? n : sum;
}
SLEY_FIBER(end_of, struct sley_stream *)

/* ---- closing -------------------------------------------------------------------------------------------------------------- */

static int close_it(struct sley_tcp *t)
{
    if (harness_rand_below(2)) {
        sley_stream_abort(&t->stream);
        return 0;
    }
    return sley_stream_close(&t->stream);
}

/** Sends a letter, at some time or never. */
static int write_sometime(struct sley_tcp **t)
{
    loiter(6);
    const int n = harness_rand_below(3) ? sley_stream_write(&(*t)->stream, "p", 1) : 1;
    return n == -EPIPE || n == -ECONNRESET ? 1 : n;
}
SLEY_FIBER(write_sometime, struct sley_tcp *)

/** A connection that is made at once has the same number mostly: what was meant for the one before must not go there. */
static void check_successor(unsigned *same, int before)
{
    struct io_pair q;
    struct sley_task *reader;
    io_pair(&q, NULL);
    *same += q.a.fd.number == before || q.b.fd.number == before;
    IO_SPAWN(&reader, end_of, &q.a.stream);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(sley_stream_write(&q.b.stream, "q", 1), ==, 1);
        loiter(1);
    }
    CHECK_RC(sley_stream_shutdown(&q.b.stream), 0);
    CHECK_INT(io_join(reader), ==, 5);
    CHECK_RC(sley_stream_shutdown(&q.a.stream), 0);
    CHECK_INT(sley_stream_read(&q.b.stream, &(char){0}, 1), ==, 0);
    io_pair_close(&q);
}

SHARED_TEST(tcp_read_by_a_short_way_closed_under_ends_and_takes_nothing_of_the_next, "")
{
    const unsigned open = io_fd_count(), n = rounds(200);
    unsigned short_ways = 0, cancelled = 0, same = 0;
    for (unsigned i = 0; i < n || short_ways == 0 || same == 0; i++) { /* on a busy machine it takes more until both were met */
        struct io_pair p;
        struct sley_task *reader, *writer;
        io_pair(&p, NULL);
        make_dry(&p);
        const int before = p.a.fd.number;
        IO_SPAWN(&reader, read_one, &p.a);
        IO_SPAWN(&writer, write_sometime, &p.b);
        short_ways += await_chance(taken, &p.a);
        loiter(20);
        CHECK_RC(close_it(&p.a), 0);
        check_successor(&same, before);
        const int c = io_join(reader);
        CHECK(c == 'p' || c == -ECANCELED || c == -EBADF);
        cancelled += c == -ECANCELED;
        CHECK_INT(io_join(writer), ==, 1);
        CHECK_RC(sley_stream_close(&p.b.stream), 0);
    }
    harness_note("%u short ways, %u cancelled, %u numbers used again, of %u", short_ways, cancelled, same, n);
    CHECK_UINT(io_fd_count(), ==, open);
    return 0;
}

static int write_much(struct sley_tcp **t)
{
    static char letters[1 << 18];
    int rc;
    memset(letters, 'p', sizeof letters);
    while ((rc = sley_stream_write_all(&(*t)->stream, letters, sizeof letters, NULL)) == 0) {
    }
    return rc;
}
SLEY_FIBER(write_much, struct sley_tcp *)

static int write_little(struct sley_tcp **t)
{
    int n;
    while ((n = sley_stream_write(&(*t)->stream, "pppp", 4)) > 0) {
    }
    return n;
}
SLEY_FIBER(write_little, struct sley_tcp *)

static int read_letters(struct sley_tcp **t)
{
    char buf[4000];
    int n;
    while ((n = sley_stream_read(&(*t)->stream, buf, sizeof buf)) > 0) {
        for (int i = 0; i < n; i++) {
            CHECK_INT(buf[i], ==, 'p');
        }
    }
    return n;
}
SLEY_FIBER(read_letters, struct sley_tcp *)

/** Closes under a send, and has the number used again at once: by a copy of @p q's, which is not to hear of it. */
static void close_and_use_again(struct sley_tcp *t, const struct sley_tcp *q)
{
    const int before = t->fd.number;
    CHECK_RC(close_it(t), 0);
    CHECK_INT(dup2(q->fd.number, before), ==, before);
    loiter(3);
    CHECK_INT(close(before), ==, 0);
}

SHARED_TEST(tcp_sent_outside_the_lock_and_closed_under_sends_nothing_to_the_next, "")
{
    const unsigned open = io_fd_count(), n = rounds(200);
    unsigned outside = 0;
    for (unsigned i = 0; i < n || outside == 0; i++) { /* as above */
        struct io_pair p, q;
        struct sley_task *reader, *writer;
        io_pair(&q, NULL);
        io_pair(&p, &(struct sley_tcp_opts){.send_buffer_bytes = 1 << 16});
        if (i % 2) {
            IO_SPAWN(&writer, write_much, &p.a);
        } else {
            IO_SPAWN(&writer, write_little, &p.a);
        }
        IO_SPAWN(&reader, read_letters, &p.b);
        outside += await_chance(sends, &p.a);
        close_and_use_again(&p.a, &q.a);
        const int rc = io_join(writer);
        CHECK(rc == -ECANCELED || rc == -EBADF);
        const int end = io_join(reader);
        CHECK(end == 0 || end == -ECONNRESET);
        CHECK_RC(sley_stream_shutdown(&q.a.stream), 0);
        CHECK_INT(sley_stream_read(&q.b.stream, &(char){0}, 1), ==, 0);
        CHECK_RC(sley_stream_close(&p.b.stream), 0);
        io_pair_close(&q);
    }
    harness_note("%u met outside, of %u", outside, n);
    CHECK_UINT(io_fd_count(), ==, open);
    return 0;
}

/* ---- two at once -------------------------------------------------------------------------------------------------------------- */

struct counting {
    struct sley_tcp *t;
    unsigned times;
};

/** Returns how many have gone out whole. */
static int write_often(struct counting *c)
{
    int sent = 0;
    for (unsigned i = 0; i < c->times; i++) {
        const int n = sley_stream_write(&c->t->stream, "abcd", 4);
        CHECK(n == 4 || n == -EBUSY);
        sent += n == 4;
        loiter(1);
    }
    return sent;
}
SLEY_FIBER(write_often, struct counting)

SHARED_TEST(tcp_written_by_two_at_once_takes_each_message_whole_or_refuses_it, "")
{
    struct io_pair p;
    struct sley_task *writers[3], *reader;
    int sent = 0;
    io_pair(&p, NULL);
    IO_SPAWN(&reader, end_of, &p.b.stream);
    for (int i = 0; i < 3; i++) {
        IO_SPAWN(&writers[i], write_often, &p.a, rounds(2000));
    }
    for (int i = 0; i < 3; i++) {
        sent += io_join(writers[i]);
    }
    CHECK_RC(sley_stream_shutdown(&p.a.stream), 0);
    CHECK_INT(io_join(reader), ==, 4 * sent);
    io_pair_close(&p);
    harness_note("%d of %u", sent, 3 * rounds(2000));
    return 0;
}

/* ---- moving ----------------------------------------------------------------------------------------------------------------- */

struct moving {
    struct sley_tcp *t;
    size_t bytes;
    uint32_t *over;
};

static int write_bits(struct moving *m)
{
    unsigned char buf[24];
    for (size_t at = 0; at < m->bytes;) {
        const size_t left = m->bytes - at;
        size_t len = 1 + harness_rand_below(sizeof buf);
        len = len < left ? len : left;
        io_fill(buf, at, len);
        CHECK_RC(sley_stream_write_all(&m->t->stream, buf, len, NULL), 0);
        at += len;
        loiter(2);
    }
    return sley_stream_shutdown(&m->t->stream);
}
SLEY_FIBER(write_bits, struct moving)

static int read_bits(struct moving *m)
{
    unsigned char buf[32];
    int n;
    size_t at = 0;
    while ((n = sley_stream_read(&m->t->stream, buf, sizeof buf)) > 0) {
        io_check(buf, at, (size_t)n);
        at += (size_t)n;
        loiter(3);
    }
    CHECK_RC(n, 0);
    CHECK_UINT(at, ==, m->bytes);
    __atomic_store_n(m->over, 1, __ATOMIC_RELEASE);
    return 0;
}
SLEY_FIBER(read_bits, struct moving)

static int keep_moving(struct moving *m)
{
    unsigned moved = 0;
    while (!__atomic_load_n(m->over, __ATOMIC_ACQUIRE)) {
        const int rc = sley_tcp_move(m->t);
        CHECK(rc == 0 || rc == -EBUSY);
        moved += rc == 0;
        loiter(60); /* a few messages find it at home */
    }
    return (int)moved;
}
SLEY_FIBER(keep_moving, struct moving)

SHARED_TEST(tcp_moved_between_its_reads_and_writes_loses_nothing, "")
{
    enum { PAIRS = 4 };
    static struct io_pair pairs[PAIRS];
    static uint32_t over[PAIRS];
    struct sley_task *tasks[PAIRS][4];
    int moved = 0;
    do { /* as above */
        memset(over, 0, sizeof over);
        for (int i = 0; i < PAIRS; i++) {
            const size_t bytes = rounds(10000);
            io_pair(&pairs[i], NULL);
            IO_SPAWN(&tasks[i][0], write_bits, &pairs[i].b, bytes, &over[i]);
            IO_SPAWN(&tasks[i][1], read_bits, &pairs[i].a, bytes, &over[i]);
            IO_SPAWN(&tasks[i][2], keep_moving, &pairs[i].a, bytes, &over[i]);
            IO_SPAWN(&tasks[i][3], keep_moving, &pairs[i].b, bytes, &over[i]);
        }
        for (int i = 0; i < PAIRS; i++) {
            CHECK_RC(io_join(tasks[i][0]), 0);
            CHECK_RC(io_join(tasks[i][1]), 0);
            moved += io_join(tasks[i][2]) + io_join(tasks[i][3]);
            io_pair_close(&pairs[i]);
        }
    } while (moved == 0);
    harness_note("moved %d times", moved);
    return 0;
}

/* ---- cancelling --------------------------------------------------------------------------------------------------------------- */

struct singly {
    struct sley_tcp *t;
    size_t *allowed; /* so many may have been sent, */
    uint32_t *over;  /* and no more come */
};

static int send_singly(struct singly *m)
{
    for (size_t at = 0;; at++) {
        const unsigned char c = io_byte(at);
        while (__atomic_load_n(m->allowed, __ATOMIC_ACQUIRE) <= at) {
            if (__atomic_load_n(m->over, __ATOMIC_ACQUIRE)) {
                return sley_stream_shutdown(&m->t->stream);
            }
            (void)sley_yield();
        }
        CHECK_INT(sley_stream_write(&m->t->stream, &c, 1), ==, 1);
    }
}
SLEY_FIBER(send_singly, struct singly)

SHARED_TEST(tcp_read_by_a_short_way_cancelled_against_its_byte_loses_none, "")
{
    struct io_pair p;
    struct sley_task *writer;
    const size_t bytes = rounds(1500);
    size_t allowed = 0, at = 0;
    uint32_t over = 0;
    unsigned char buf[8];
    unsigned short_ways = 0, cancelled = 0;
    io_pair(&p, NULL);
    IO_SPAWN(&writer, send_singly, &p.b, &allowed, &over);
    for (; at < bytes || short_ways == 0; at++) { /* as above */
        struct sley_io_op op = {0};
        sley_stream_read_start(&op, &p.a.stream, buf, sizeof buf);
        const bool gives_up = taken(&p.a);
        short_ways += gives_up;
        __atomic_store_n(&allowed, at + 1, __ATOMIC_RELEASE);
        loiter(gives_up ? 150 : 0); /* a worker that has work looks at its reactor now and then */
        int n = gives_up ? sley_wait_fini(&op.wait) : sley_await(&op.wait);
        if (n == -ECANCELED) {
            cancelled++;
            n = sley_stream_read(&p.a.stream, buf, sizeof buf);
        }
        CHECK_INT(n, ==, 1);
        io_check(buf, at, 1);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, sizeof buf), 0);
    CHECK_RC(io_join(writer), 0);
    io_pair_close(&p);
    harness_note("%u short ways, %u reads cancelled, of %zu", short_ways, cancelled, at);
    return 0;
}

/* ---- shutting down -------------------------------------------------------------------------------------------------------------- */

static int write_messages(struct sley_tcp **t)
{
    static const char message[64];
    int n, sum = 0;
    while ((n = sley_stream_write(&(*t)->stream, message, sizeof message)) > 0) { /* a part of it where the reader is behind */
        sum += n;
    }
    CHECK_RC(n, -EPIPE);
    return sum;
}
SLEY_FIBER(write_messages, struct sley_tcp *)

static int shut_sometime(struct sley_tcp **t)
{
    loiter(20);
    return sley_stream_shutdown(&(*t)->stream);
}
SLEY_FIBER(shut_sometime, struct sley_tcp *)

SHARED_TEST(tcp_shut_down_beside_short_sends_ends_between_two_of_them, "")
{
    for (unsigned i = 0; i < rounds(150); i++) {
        struct io_pair p;
        struct sley_task *writer, *reader, *shutters[2];
        io_pair(&p, NULL);
        IO_SPAWN(&writer, write_messages, &p.a);
        IO_SPAWN(&shutters[0], shut_sometime, &p.a);
        IO_SPAWN(&shutters[1], shut_sometime, &p.a);
        IO_SPAWN(&reader, end_of, &p.b.stream);
        CHECK_RC(io_join(shutters[0]), 0);
        CHECK_RC(io_join(shutters[1]), 0);
        const int sent = io_join(writer);
        CHECK_INT(io_join(reader), ==, sent);
        io_pair_close(&p);
    }
    return 0;
}

/* ---- sharing a worker ----------------------------------------------------------------------------------------------------------- */

static int count_turns(uint32_t **over)
{
    int turns = 0;
    while (!__atomic_load_n(*over, __ATOMIC_ACQUIRE)) {
        turns++;
        (void)sley_yield();
    }
    return turns;
}
SLEY_FIBER(count_turns, uint32_t *)

enum { TURNS = 2048 };

static int write_on(void *unused)
{
    struct io_pair p;
    struct sley_task *other;
    uint32_t over = 0;
    (void)unused;
    io_pair(&p, NULL);
    IO_SPAWN(&other, count_turns, &over);
    for (int i = 0; i < TURNS; i++) {
        CHECK_INT(sley_stream_write(&p.a.stream, "x", 1), ==, 1);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    CHECK_INT(io_join(other), >=, TURNS / 128 - 1);
    io_pair_close(&p);
    return 0;
}
SLEY_FIBER(write_on, void)

/** Short sends draw on the task's budget, as all that is done at once. */
SLEY_TEST(tcp_short_sends_without_end_let_others_run, "")
{
    run_on(1, &sley_reactor_epoll, &write_on__type);
}
