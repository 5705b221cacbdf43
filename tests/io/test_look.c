/* Streams that are looked at: peeks, waits for readiness, reads and writes that never wait; on TCP, on a pair, on threads. */
#include "io_test.h"

#include <sley/lend_impl.h>
#include <sley/sley.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "chosen.h"

static void write_text(struct sley_stream *s, const char *text)
{
    CHECK_RC(sley_stream_write_all(s, text, strlen(text), NULL), 0);
}

static void read_text(struct sley_stream *s, const char *text)
{
    char buf[64];
    CHECK_RC(sley_stream_read_exact(s, buf, strlen(text), NULL), 0);
    CHECK(memcmp(buf, text, strlen(text)) == 0);
}

static void peek_text(struct sley_stream *s, size_t len, const char *text)
{
    char buf[64];
    CHECK_RC(sley_stream_peek(s, buf, len), (int)strlen(text));
    CHECK(memcmp(buf, text, strlen(text)) == 0);
}

struct who {
    struct sley_stream *s;
    uint32_t events;
    bool first;
};

/** Where tasks are everybody's and reactors are not nothing can be tried. */
static bool can_try(struct sley_stream *s)
{
    char byte;
    return sley_stream_try_read(s, &byte, 0) != -EXDEV;
}

/** Two connected streams, of TCP or in memory. */
struct look {
    struct io_pair tcp;
    struct sley_stream_pair pair;
    unsigned char buffers[2 * 64];
    struct sley_stream *a, *b;
};

static void open_tcp(struct look *l)
{
    io_pair(&l->tcp, &(struct sley_tcp_opts){.send_buffer_bytes = 16384, .recv_buffer_bytes = 16384});
    l->a = &l->tcp.a.stream;
    l->b = &l->tcp.b.stream;
}

static void open_pair(struct look *l)
{
    CHECK_RC(sley_stream_pair_init(&l->pair, l->buffers, sizeof l->buffers / 2), 0);
    l->a = &l->pair.a.stream;
    l->b = &l->pair.b.stream;
}

static void close_both(struct look *l)
{
    CHECK_RC(sley_stream_close(l->a), 0);
    CHECK_RC(sley_stream_close(l->b), 0);
}

/** A case on TCP, on each reactor, and on a pair. The body gets `l`, open. */
#define LOOK_TEST(name, ids)                         \
    static void name##_body(struct look *l);         \
    IO_TEST(name, ids)                               \
    {                                                \
        static struct look l;                        \
        open_tcp(&l);                                \
        name##_body(&l);                             \
        close_both(&l);                              \
        open_pair(&l);                               \
        name##_body(&l);                             \
        close_both(&l);                              \
        CHECK_RC(sley_stream_pair_fini(&l.pair), 0); \
        return 0;                                    \
    }                                                \
    static void name##_body(struct look *l)

/* ---- peek ------------------------------------------------------------------------------------------------------------- */

LOOK_TEST(peek_leaves_what_it_gives, "STREAM-09")
{
    char byte;
    write_text(l->a, "hello");
    peek_text(l->b, 64, "hello");
    peek_text(l->b, 3, "hel");
    peek_text(l->b, 64, "hello");
    read_text(l->b, "he");
    peek_text(l->b, 64, "llo");
    write_text(l->a, " you");
    read_text(l->b, "llo");
    peek_text(l->b, 64, " you");
    read_text(l->b, " you");
    CHECK_RC(sley_stream_peek(l->b, &byte, 0), 0);
    CHECK_RC(sley_stream_shutdown(l->a), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_RC(sley_stream_peek(l->b, &byte, 1), 0);
    }
    CHECK_RC(sley_stream_read(l->b, &byte, 1), 0);
    CHECK_RC(sley_stream_close(l->b), 0);
    CHECK_RC(sley_stream_peek(l->b, &byte, 1), -EBADF);
}

static int peek_one(struct who *w)
{
    char byte = 0;
    const int rc = sley_stream_peek(w->s, &byte, 1);
    return rc == 1 ? byte : rc;
}
SLEY_FIBER(peek_one, struct who)

LOOK_TEST(peek_waits_for_a_byte_and_is_a_read, "STREAM-09")
{
    struct sley_task *t;
    char byte;
    IO_SPAWN(&t, peek_one, .s = l->b);
    io_settle();
    CHECK(!sley_task_done(t));
    CHECK_RC(sley_stream_read(l->b, &byte, 1), -EBUSY);
    write_text(l->a, "x");
    CHECK_INT(io_join(t), ==, 'x');
    read_text(l->b, "x");
    IO_SPAWN(&t, peek_one, .s = l->b); /* cancelled: nothing has happened */
    io_settle();
    sley_task_cancel(t);
    CHECK_RC(io_join(t), -ECANCELED);
    write_text(l->a, "y");
    read_text(l->b, "y");
    IO_SPAWN(&t, peek_one, .s = l->b); /* closed under it */
    io_settle();
    CHECK_RC(sley_stream_close(l->b), 0);
    CHECK_RC(io_join(t), -ECANCELED);
}

LOOK_TEST(peek_of_a_reset_tells_it_each_time, "STREAM-09")
{
    char byte;
    sley_stream_abort(l->a);
    for (int i = 0; i < 3; i++) {
        CHECK_RC(sley_stream_peek(l->b, &byte, 1), -ECONNRESET);
    }
    CHECK_RC(sley_stream_read(l->b, &byte, 1), -ECONNRESET);
}

/* ---- readiness -------------------------------------------------------------------------------------------------------- */

static int ready(struct sley_stream *s, uint32_t events)
{
    const int rc = sley_stream_ready(s, events);
    return rc < 0 ? rc : rc & (SLEY_IO_IN | SLEY_IO_OUT);
}

static int wait_ready(struct who *w)
{
    return ready(w->s, w->events);
}
SLEY_FIBER(wait_ready, struct who)

LOOK_TEST(readiness_is_told_to_all_who_wait_beside_a_read, "STREAM-10")
{
    struct sley_task *all[4], *reader;
    CHECK_RC(sley_stream_ready(l->b, 0), -EINVAL);
    CHECK_RC(sley_stream_ready(l->b, SLEY_IO_HUP), -EINVAL);
    CHECK_RC(ready(l->b, SLEY_IO_OUT), SLEY_IO_OUT);
    CHECK_RC(ready(l->b, SLEY_IO_IN | SLEY_IO_OUT), SLEY_IO_OUT);
    for (int i = 0; i < 4; i++) {
        IO_SPAWN(&all[i], wait_ready, .s = l->b, .events = SLEY_IO_IN);
    }
    io_settle();
    for (int i = 0; i < 4; i++) {
        CHECK(!sley_task_done(all[i]));
    }
    sley_task_cancel(all[3]);
    CHECK_RC(io_join(all[3]), -ECANCELED);
    write_text(l->a, "x");
    for (int i = 0; i < 3; i++) {
        CHECK_INT(io_join(all[i]), ==, SLEY_IO_IN);
    }
    CHECK_RC(ready(l->b, SLEY_IO_IN), SLEY_IO_IN); /* nobody has taken it */
    read_text(l->b, "x");
    IO_SPAWN(&reader, peek_one, .s = l->b);
    IO_SPAWN(&all[0], wait_ready, .s = l->b, .events = SLEY_IO_IN);
    io_settle();
    CHECK(!sley_task_done(reader) && !sley_task_done(all[0]));
    write_text(l->a, "y");
    CHECK_INT(io_join(reader), ==, 'y');
    CHECK_INT(io_join(all[0]), ==, SLEY_IO_IN);
    read_text(l->b, "y");
    IO_SPAWN(&all[0], wait_ready, .s = l->b, .events = SLEY_IO_IN); /* the end is something to read, too */
    io_settle();
    CHECK_RC(sley_stream_shutdown(l->a), 0);
    CHECK_INT(io_join(all[0]), ==, SLEY_IO_IN);
}

LOOK_TEST(readiness_ends_with_the_stream, "STREAM-10")
{
    struct sley_task *t;
    IO_SPAWN(&t, wait_ready, .s = l->b, .events = SLEY_IO_IN);
    io_settle();
    CHECK_RC(sley_stream_close(l->b), 0);
    CHECK_RC(io_join(t), -ECANCELED);
    CHECK_RC(sley_stream_ready(l->b, SLEY_IO_IN), -EBADF);
    const int rc = ready(l->a, SLEY_IO_IN); /* its peer is gone */
    CHECK_INT(rc, ==, SLEY_IO_IN);
}

LOOK_TEST(reset_makes_ready, "STREAM-10")
{
    struct sley_task *in;
    char byte;
    IO_SPAWN(&in, wait_ready, .s = l->b, .events = SLEY_IO_IN);
    io_settle();
    sley_stream_abort(l->a);
    CHECK_INT(io_join(in), ==, SLEY_IO_IN);
    CHECK_RC(sley_stream_read(l->b, &byte, 1), -ECONNRESET);
}

/** Writes what goes behind @p sent bytes; returns how many there are then. */
static size_t fill_up(struct sley_stream *s, size_t sent)
{
    static unsigned char block[4096];
    for (;;) {
        io_fill(block, sent, sizeof block);
        const int n = sley_stream_try_write(s, block, sizeof block);
        if (n == -EAGAIN) {
            return sent;
        }
        CHECK_INT(n, >, 0);
        sent += (size_t)n;
    }
}

LOOK_TEST(room_makes_ready, "STREAM-10 STREAM-11")
{
    struct sley_task *t;
    unsigned char buf[4096];
    size_t got = 0;
    if (!can_try(l->a)) {
        return;
    }
    size_t sent = 0;
    for (bool waits = false; !waits;) { /* what was still on its way makes room as it arrives */
        sent = fill_up(l->a, sent);
        IO_SPAWN(&t, wait_ready, .s = l->a, .events = SLEY_IO_OUT);
        io_settle();
        waits = !sley_task_done(t);
        CHECK_INT(waits ? SLEY_IO_OUT : io_join(t), ==, SLEY_IO_OUT);
    }
    CHECK_UINT(sent, >, 0);
    while (got < sent) {
        const int n = sley_stream_read(l->b, buf, sizeof buf);
        CHECK_INT(n, >, 0);
        io_check(buf, got, (size_t)n);
        got += (size_t)n;
    }
    CHECK_INT(io_join(t), ==, SLEY_IO_OUT);
    CHECK_RC(sley_stream_try_write(l->a, "z", 1), 1);
    read_text(l->b, "z");
}

/* ---- now or never ------------------------------------------------------------------------------------------------------ */

static int read_one(struct who *w)
{
    char byte = 0;
    const int rc = sley_stream_read(w->s, &byte, 1);
    return rc == 1 ? byte : rc;
}
SLEY_FIBER(read_one, struct who)

/** What is on its way has come. */
static void arrived(struct sley_stream *s)
{
    CHECK_RC(ready(s, SLEY_IO_IN), SLEY_IO_IN);
}

LOOK_TEST(try_takes_what_is_there_and_never_waits, "STREAM-11")
{
    struct sley_task *t;
    char buf[16];
    if (!can_try(l->b)) {
        return;
    }
    CHECK_RC(sley_stream_try_read(l->b, buf, sizeof buf), -EAGAIN);
    CHECK_RC(sley_stream_try_write(l->a, "hello", 5), 5);
    arrived(l->b);
    CHECK_RC(sley_stream_try_read(l->b, buf, 2), 2);
    CHECK_RC(sley_stream_try_read(l->b, buf + 2, 8), 3);
    CHECK(memcmp(buf, "hello", 5) == 0);
    CHECK_RC(sley_stream_try_read(l->b, buf, 0), 0);
    CHECK_RC(sley_stream_try_write(l->b, buf, 0), 0);
    IO_SPAWN(&t, read_one, .s = l->b);
    io_settle();
    CHECK_RC(sley_stream_try_read(l->b, buf, 1), -EBUSY);
    CHECK_RC(sley_stream_try_write(l->b, "w", 1), 1); /* the other way is free */
    write_text(l->a, "x");
    CHECK_INT(io_join(t), ==, 'x');
    read_text(l->a, "w");
    CHECK_RC(sley_stream_try_read(l->b, buf, 1), -EAGAIN);
    IO_SPAWN(&t, read_one, .s = l->b); /* the usual ways go on behind it */
    io_settle();
    write_text(l->a, "y");
    CHECK_INT(io_join(t), ==, 'y');
}

LOOK_TEST(try_tells_the_end_and_errors, "STREAM-11")
{
    char byte;
    if (!can_try(l->b)) {
        return;
    }
    write_text(l->a, "x");
    CHECK_RC(sley_stream_shutdown(l->a), 0);
    CHECK_RC(sley_stream_try_write(l->a, "y", 1), -EPIPE);
    CHECK_RC(sley_stream_try_write(l->a, "y", 0), -EPIPE);
    read_text(l->b, "x");
    arrived(l->b);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_stream_try_read(l->b, &byte, 1), 0);
    }
    CHECK_RC(sley_stream_try_write(l->b, "z", 1), 1);
    read_text(l->a, "z");
    sley_stream_abort(l->b);
    arrived(l->a);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_stream_try_read(l->a, &byte, 1), -ECONNRESET);
    }
    CHECK_RC(sley_stream_close(l->a), 0);
    CHECK_RC(sley_stream_try_read(l->a, &byte, 1), -EBADF);
    CHECK_RC(sley_stream_try_write(l->a, &byte, 1), -EBADF);
}

/* ---- beside lent reads in a loop, which uring lets stand ------------------------------------------------------------- */

static int read_lent_one(struct who *w)
{
    struct sley_lent *lent;
    const int rc = sley_stream_read_lent(w->s, &lent);
    const int byte = rc == 1 ? lent->data[0] : rc;
    CHECK_RC(sley_lent_return(lent), 0);
    return byte;
}
SLEY_FIBER(read_lent_one, struct who)

LOOK_TEST(looks_find_what_has_come_ahead, "STREAM-09 STREAM-10 STREAM-11")
{
    struct sley_task *t;
    char buf[16];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 8; i++) { /* each waits: so does what stands for the next */
            IO_SPAWN(&t, read_lent_one, .s = l->b);
            io_settle();
            write_text(l->a, (const char[]){(char)('0' + i), 0});
            CHECK_INT(io_join(t), ==, '0' + i);
        }
        write_text(l->a, "ahead"); /* nobody asks */
        io_settle();
        if (round % 2 && can_try(l->b)) {
            CHECK_RC(ready(l->b, SLEY_IO_IN), SLEY_IO_IN);
            CHECK_RC(sley_stream_try_read(l->b, buf, 2), 2);
            CHECK(memcmp(buf, "ah", 2) == 0);
            peek_text(l->b, 64, "ead");
            CHECK_RC(sley_stream_try_read(l->b, buf, sizeof buf), 3);
            CHECK_RC(sley_stream_try_read(l->b, buf, sizeof buf), -EAGAIN);
        } else {
            peek_text(l->b, 3, "ahe");
            peek_text(l->b, 64, "ahead");
            read_text(l->b, "ahead");
        }
    }
    write_text(l->a, "last");
    CHECK_RC(sley_stream_shutdown(l->a), 0);
    io_settle();
    peek_text(l->b, 64, "last");
    read_text(l->b, "last");
    CHECK_RC(sley_stream_peek(l->b, buf, 1), 0);
}

/* ---- frames ----------------------------------------------------------------------------------------------------------- */

/** A message is a length and as many bytes: it is taken whole, or not at all. */
struct whole {
    struct sley_frame frame;
    struct sley_stream *s;
    union {
        struct sley_io_op io;
        struct sley_stream_peek_op peek;
    } op;
    unsigned char buf[16];
    int rc;
};

static SLEY_ATOMIC(unsigned) peeks;

static enum sley_step whole(struct whole *f)
{
    SLEY_BEGIN(f);
    do {
        memset(&f->op, 0, sizeof f->op);
        SLEY_CALL(f, f->rc, sley_stream_ready, &f->op.io, f->s, SLEY_IO_IN);
        CHECK_INT(f->rc & SLEY_IO_IN, ==, SLEY_IO_IN);
        memset(&f->op, 0, sizeof f->op);
        SLEY_CALL(f, f->rc, sley_stream_peek, &f->op.peek, f->s, f->buf, sizeof f->buf);
        CHECK_INT(f->rc, >, 0);
        /* relaxed: it is the count alone that is waited for */
        atomic_fetch_add_explicit(&peeks, 1, memory_order_relaxed);
        if (f->rc <= f->buf[0]) {
            SLEY_YIELD(f, f->rc);
        }
    } while (f->rc <= f->buf[0]);
    memset(&f->op, 0, sizeof f->op);
    SLEY_CALL(f, f->rc, sley_stream_read, &f->op.io, f->s, f->buf, (size_t)(f->buf[0] + 1));
    CHECK_RC(f->rc, 6);
    CHECK_INT(memcmp(f->buf, "\5hello", 6), ==, 0);
    SLEY_RETURN(f, 0);
    SLEY_END(f);
}
SLEY_FRAME(whole, struct whole)

LOOK_TEST(frame_looks_until_a_message_is_whole, "STREAM-09 STREAM-10")
{
    struct sley_task *t;
    /* relaxed: see whole */
    atomic_store_explicit(&peeks, 0, memory_order_relaxed);
    IO_SPAWN(&t, whole, .s = l->b);
    write_text(l->a, "\5he");
    while (atomic_load_explicit(&peeks, memory_order_relaxed) == 0) {
        CHECK_RC(sley_yield(), 0);
    }
    CHECK(!sley_task_done(t));
    write_text(l->a, "llo");
    CHECK_RC(io_join(t), 0);
    CHECK_UINT(atomic_load_explicit(&peeks, memory_order_relaxed), >, 1);
}

static int look_in_vain(struct who *w)
{
    const int rc = sley_stream_ready(w->s, SLEY_IO_IN);
    return rc == -ECANCELED ? 0 : -EIO;
}
SLEY_FIBER(look_in_vain, struct who)

LOOK_TEST(look_that_is_cancelled_leaves_the_stream_as_it_was, "STREAM-10")
{
    struct sley_task *t;
    for (int i = 0; i < 5; i++) {
        IO_SPAWN(&t, look_in_vain, .s = l->b);
        io_settle();
        sley_task_cancel(t);
        CHECK_RC(io_join(t), 0);
    }
    write_text(l->a, "x");
    CHECK_RC(ready(l->b, SLEY_IO_IN), SLEY_IO_IN);
    read_text(l->b, "x");
}

#ifndef IO_DIRECT /* these have listeners and runtimes of their own */

/* ---- kinds that know nothing of it ------------------------------------------------------------------------------------- */

static void end_reading(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    static const struct sley_wait_ops ops = {.version = SLEY_WAIT_VERSION, .name = "end"};
    (void)s;
    (void)buf;
    (void)len;
    if (sley_stream_begin(op, &ops)) {
        sley_stream_end(op, 0);
    }
}

IO_TEST(kind_that_cannot_be_looked_at_says_so, "STREAM-09 STREAM-10 STREAM-11")
{
    static struct sley_stream_ops ops = {.version = SLEY_STREAM_VERSION, .name = "end", .read_start = end_reading};
    struct sley_stream s = {&ops};
    char byte;
    for (uint32_t version = SLEY_STREAM_VERSION; version >= 3; version--) {
        ops.version = version;
        CHECK_RC(sley_stream_peek(&s, &byte, 1), -ENOTSUP);
        CHECK_RC(sley_stream_ready(&s, SLEY_IO_IN), -ENOTSUP);
        CHECK_RC(sley_stream_try_read(&s, &byte, 1), -ENOTSUP);
        CHECK_RC(sley_stream_try_write(&s, &byte, 1), -ENOTSUP);
    }
    return 0;
}

/* ---- threads, and executors that share ----------------------------------------------------------------------------------- */

static void *write_later(void *arg)
{
    CHECK_RC(sley_stream_ready(arg, SLEY_IO_OUT), SLEY_IO_OUT);
    CHECK_RC(sley_stream_try_write(arg, "late", 4), 4);
    return NULL;
}

SLEY_TEST(plain_thread_looks_and_tries, "STREAM-09 STREAM-10 STREAM-11")
{
    struct look l;
    char buf[8];
    for (int kind = 0; kind < 2; kind++) {
        pthread_t t;
        (kind ? open_pair : open_tcp)(&l);
        CHECK_RC(sley_stream_try_read(l.b, buf, sizeof buf), -EAGAIN);
        CHECK_INT(pthread_create(&t, NULL, write_later, l.a), ==, 0);
        CHECK_RC(sley_stream_ready(l.b, SLEY_IO_IN) & SLEY_IO_IN, SLEY_IO_IN);
        CHECK_RC(sley_stream_peek(l.b, buf, sizeof buf), 4);
        CHECK_RC(sley_stream_try_read(l.b, buf, sizeof buf), 4);
        CHECK(memcmp(buf, "late", 4) == 0);
        CHECK_RC(sley_stream_try_read(l.b, buf, sizeof buf), -EAGAIN);
        CHECK_INT(pthread_join(t, NULL), ==, 0);
        close_both(&l);
    }
    CHECK_RC(sley_stream_pair_fini(&l.pair), 0);
}

static int talk(struct who *w)
{
    enum { ROUNDS = 300 };
    struct sley_stream *s = w->s;
    unsigned char byte, seen;
    for (int i = w->first; i < ROUNDS + w->first; i++) {
        if (i % 2) {
            byte = (unsigned char)i;
            int n;
            while ((n = sley_stream_try_write(s, &byte, 1)) == -EAGAIN) {
                CHECK_INT(sley_stream_ready(s, SLEY_IO_OUT), >, 0);
            }
            CHECK_RC(n, 1);
        } else {
            CHECK_RC(sley_stream_peek(s, &seen, 1), 1);
            int n;
            while ((n = sley_stream_try_read(s, &byte, 1)) == -EAGAIN) {
                CHECK_INT(sley_stream_ready(s, SLEY_IO_IN), >, 0);
            }
            CHECK_RC(n, 1);
            CHECK_UINT(byte, ==, seen);
        }
    }
    return 0;
}
SLEY_FIBER(talk, struct who)

static int talk_on_all(void *unused)
{
    enum { CONNS = 8 };
    static struct io_pair pairs[CONNS];
    struct sley_task *tasks[2 * CONNS];
    (void)unused;
    for (int i = 0; i < CONNS; i++) {
        io_pair(&pairs[i], NULL);
        IO_SPAWN(&tasks[2 * i], talk, .s = &pairs[i].a.stream, .first = true);
        IO_SPAWN(&tasks[2 * i + 1], talk, .s = &pairs[i].b.stream, .first = false);
    }
    for (int i = 0; i < 2 * CONNS; i++) {
        CHECK_RC(io_join(tasks[i]), 0);
    }
    for (int i = 0; i < CONNS; i++) {
        io_pair_close(&pairs[i]);
    }
    return 0;
}
SLEY_FIBER(talk_on_all, void)

SLEY_TEST(workers_that_share_look_at_one_anothers_connections, "STREAM-09 STREAM-10 STREAM-11")
{
    const struct sley_runtime_opts o = {
        .alloc = harness_alloc(), .executor_name = "stealing", .reactor_name = "epoll", .worker_count = 3, .stall_ns = SLEY_NEVER};
    struct sley_runtime rt;
    int result = -EIO;
    CHECK_RC(sley_runtime_init(&rt, &o), 0);
    CHECK_RC(sley_runtime_run(&rt, &talk_on_all__type, NULL, &result), 0);
    CHECK_RC(result, 0);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
}
#endif
