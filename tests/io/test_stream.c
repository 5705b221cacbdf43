/* The stream trait: the pair in memory, streams that move a piece at a time, copying. TCP has its own file. */
#include "io_test.h"

#include <pthread.h>
#include <string.h>

enum { BYTES = 32 };

struct pair {
    struct sley_stream_pair p;
    unsigned char room[2 * BYTES];
    struct sley_stream *a, *b;
};

static void pair_init(struct pair *p)
{
    CHECK_RC(sley_stream_pair_init(&p->p, p->room, BYTES), 0);
    p->a = &p->p.a.stream;
    p->b = &p->p.b.stream;
}

static void pair_fini(struct pair *p)
{
    CHECK_RC(sley_stream_close(p->a), 0);
    CHECK_RC(sley_stream_close(p->b), 0);
    CHECK_RC(sley_stream_pair_fini(&p->p), 0);
    CHECK_RC(sley_stream_pair_fini(&p->p), 0);
}

/* ---- the pair ------------------------------------------------------------------------------------------------------- */

IO_TEST(pair_write_takes_what_fits_and_waits_for_room, "STREAM-01")
{
    struct pair p;
    unsigned char out[64], in[64];
    pair_init(&p);
    io_fill(out, 0, sizeof out);
    CHECK_RC(sley_stream_write(p.a, out, 64), 32);
    SLEY_OP(struct sley_io_op, op);
    sley_stream_write_start(&op, p.a, out + 32, 32);
    CHECK(!sley_wait_done(&op.wait));
    CHECK_RC(sley_stream_read(p.b, in, 4), 4);
    CHECK(sley_wait_done(&op.wait));
    CHECK_RC(sley_await(&op.wait), 4);
    CHECK_RC(sley_stream_read(p.b, in + 4, sizeof in), 32);
    io_check(in, 0, 36);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_of_three_bytes_is_short_at_the_edge_and_whole_over_the_wrap, "EMB-07")
{
    struct sley_stream_pair p;
    unsigned char room[6], in[4];
    CHECK_RC(sley_stream_pair_init(&p, room, 3), 0);
    struct sley_stream *a = &p.a.stream, *b = &p.b.stream;
    CHECK_RC(sley_stream_write(a, "ab", 2), 2);
    CHECK_RC(sley_stream_read(b, in, 1), 1);
    CHECK(in[0] == 'a');
    CHECK_RC(sley_stream_write(a, "cdef", 4), 2); /* one byte is inside: room for two, one of them beyond the wrap */
    SLEY_OP(struct sley_io_op, full);
    sley_stream_write_start(&full, a, "g", 1);
    CHECK(!sley_wait_done(&full.wait));
    CHECK_RC(sley_stream_read(b, in, 4), 3);
    CHECK(memcmp(in, "bcd", 3) == 0);
    CHECK_RC(sley_await(&full.wait), 1);
    CHECK_RC(sley_stream_read(b, in, 4), 1);
    CHECK(in[0] == 'g');
    CHECK_RC(sley_stream_write(a, "xyzw", 4), 3); /* all the room again */
    CHECK_RC(sley_stream_close(a), 0);
    CHECK_RC(sley_stream_close(b), 0);
    CHECK_RC(sley_stream_pair_fini(&p), 0);
    return 0;
}

IO_TEST(pair_writer_goes_reader_gets_the_rest_then_the_end, "STREAM-02")
{
    struct pair p;
    unsigned char buf[BYTES];
    size_t done = 99;
    pair_init(&p);
    CHECK_RC(sley_stream_write(p.a, "hello", 5), 5);
    CHECK_RC(sley_stream_close(p.a), 0);
    CHECK_RC(sley_stream_read(p.b, buf, 2), 2);
    CHECK_RC(sley_stream_read_exact(p.b, buf, 4, &done), -ENODATA);
    CHECK_UINT(done, ==, 3);
    CHECK_RC(sley_stream_read(p.b, buf, sizeof buf), 0);
    CHECK_RC(sley_stream_read(p.b, buf, sizeof buf), 0);
    CHECK_RC(sley_stream_write(p.b, "x", 1), -EPIPE);
    CHECK_RC(sley_stream_read(p.a, buf, 1), -EBADF);
    CHECK_RC(sley_stream_write(p.a, buf, 1), -EBADF);
    CHECK_RC(sley_stream_shutdown(p.a), -EBADF);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_reader_goes_while_a_writer_waits, "STREAM-03 STREAM-05")
{
    struct pair p;
    unsigned char out[100] = {0};
    size_t done = 99;
    pair_init(&p);
    SLEY_OP(struct sley_io_op, op);
    sley_stream_write_all_start(&op, p.a, out, sizeof out, &done);
    CHECK(!sley_wait_done(&op.wait));
    CHECK_RC(sley_stream_close(p.b), 0);
    CHECK_RC(sley_await(&op.wait), -EPIPE);
    CHECK_UINT(done, ==, BYTES);
    CHECK_RC(sley_stream_write(p.a, out, 1), -EPIPE);
    CHECK_RC(sley_stream_write(p.a, out, 0), -EPIPE);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_zero_length_returns_at_once, "STREAM-04")
{
    struct pair p;
    unsigned char buf[BYTES];
    size_t done = 99;
    pair_init(&p);
    for (int full = 0; full < 2; full++) {
        CHECK_RC(sley_stream_read(p.b, buf, 0), 0);
        CHECK_RC(sley_stream_write(p.a, buf, 0), 0);
        CHECK_RC(sley_stream_read_exact(p.b, buf, 0, &done), 0);
        CHECK_UINT(done, ==, 0);
        done = 99;
        CHECK_RC(sley_stream_write_all(p.a, buf, 0, &done), 0);
        CHECK_UINT(done, ==, 0);
        if (!full) {
            CHECK_RC(sley_stream_write(p.a, buf, BYTES), BYTES);
        }
    }
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_one_read_and_one_write_at_a_time, "")
{
    struct pair p;
    unsigned char buf[BYTES], more[1];
    pair_init(&p);
    SLEY_OP(struct sley_io_op, reading);
    sley_stream_read_start(&reading, p.a, buf, sizeof buf);
    CHECK_RC(sley_stream_read(p.a, more, 1), -EBUSY);
    CHECK_RC(sley_stream_write(p.a, "ab", 2), 2);
    CHECK_RC(sley_stream_write(p.b, "cd", 2), 2);
    CHECK_RC(sley_await(&reading.wait), 2);
    CHECK_RC(sley_stream_write(p.a, buf, BYTES), BYTES - 2);
    SLEY_OP(struct sley_io_op, writing);
    sley_stream_write_start(&writing, p.a, buf, 1);
    CHECK_RC(sley_stream_write(p.a, more, 1), -EBUSY);
    CHECK_RC(sley_stream_pair_fini(&p.p), -EBUSY);
    CHECK_RC(sley_stream_close(p.a), 0);
    CHECK_RC(sley_await(&writing.wait), -ECANCELED);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_shutdown_waits_for_the_write_in_flight, "TCP-11")
{
    struct pair p;
    unsigned char out[100], in[100];
    size_t done = 0, got = 0;
    pair_init(&p);
    io_fill(out, 0, sizeof out);
    SLEY_OP(struct sley_io_op, writing);
    SLEY_OP(struct sley_io_op, ending);
    SLEY_OP(struct sley_io_op, given_up);
    sley_stream_write_all_start(&writing, p.a, out, sizeof out, &done);
    sley_stream_shutdown_start(&ending, p.a);
    sley_stream_shutdown_start(&given_up, p.a);
    CHECK(!sley_wait_done(&ending.wait));
    CHECK_RC(sley_wait_fini(&given_up.wait), -ECANCELED);
    CHECK_RC(sley_stream_read_exact(p.b, in, sizeof in, &got), 0);
    CHECK_RC(sley_await(&writing.wait), 0);
    CHECK_UINT(done, ==, sizeof out);
    CHECK_RC(sley_await(&ending.wait), 0);
    io_check(in, 0, sizeof in);
    CHECK_RC(sley_stream_read(p.b, in, 1), 0);
    CHECK_RC(sley_stream_shutdown(p.a), 0);
    CHECK_RC(sley_stream_write(p.a, out, 1), -EPIPE);
    CHECK_RC(sley_stream_write(p.b, "back", 4), 4);
    CHECK_RC(sley_stream_read(p.a, in, sizeof in), 4);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_abort_resets_the_peer, "")
{
    struct pair p;
    unsigned char buf[BYTES];
    pair_init(&p);
    CHECK_RC(sley_stream_write(p.a, "lost", 4), 4);
    SLEY_OP(struct sley_io_op, reading);
    sley_stream_read_start(&reading, p.a, buf, sizeof buf);
    sley_stream_abort(p.b);
    CHECK_RC(sley_await(&reading.wait), -ECONNRESET);
    CHECK_RC(sley_stream_read(p.a, buf, 1), -ECONNRESET);
    CHECK_RC(sley_stream_write(p.a, buf, 1), -ECONNRESET);
    CHECK_RC(sley_stream_shutdown(p.a), -ECONNRESET);
    sley_stream_abort(p.b);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_cancel_loses_and_doubles_no_byte, "")
{
    struct pair p;
    unsigned char out[200], in[200], none[8];
    size_t done = 99, got = 99;
    pair_init(&p);
    io_fill(out, 0, sizeof out);
    SLEY_OP(struct sley_io_op, op);
    sley_stream_read_start(&op, p.b, none, sizeof none); /* before data */
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    sley_stream_write_all_start(&op, p.a, out, sizeof out, &done); /* in the middle */
    CHECK_RC(sley_stream_read_exact(p.b, in, 50, &got), 0);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(done, ==, 50 + BYTES);
    SLEY_OP(struct sley_io_op, late);
    sley_stream_write_all_start(&late, p.a, out + done, sizeof out - done, NULL);
    sley_stream_read_exact_start(&op, p.b, in + 50, sizeof in - 50, &got);
    sley_wait_cancel(&op.wait); /* after completion: nothing */
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_UINT(got, ==, 150);
    CHECK_RC(sley_await(&late.wait), 0);
    io_check(in, 0, sizeof in);
    sley_stream_read_exact_start(&op, p.b, in, 10, &got); /* with a part of it there */
    CHECK_RC(sley_stream_write(p.a, out, 3), 3);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(got, ==, 3);
    pair_fini(&p);
    return 0;
}

struct mover {
    struct sley_stream *s;
    size_t total;
};

static void write_pieces(struct mover *m)
{
    unsigned char buf[3 * BYTES];
    for (size_t at = 0; at < m->total;) {
        size_t n = 1 + harness_rand_below(sizeof buf);
        n = n < m->total - at ? n : m->total - at;
        io_fill(buf, at, n);
        const int rc = sley_stream_write(m->s, buf, n);
        CHECK_INT(rc, >, 0);
        at += (size_t)rc;
    }
    CHECK_RC(sley_stream_shutdown(m->s), 0);
}

static void read_pieces(struct mover *m)
{
    unsigned char buf[3 * BYTES];
    size_t at = 0;
    int rc;
    while ((rc = sley_stream_read(m->s, buf, 1 + harness_rand_below(sizeof buf))) > 0) {
        io_check(buf, at, (size_t)rc);
        at += (size_t)rc;
    }
    CHECK_RC(rc, 0);
    CHECK_UINT(at, ==, m->total);
}

static void *write_thread(void *arg)
{
    write_pieces(arg);
    return NULL;
}

static int read_fiber(struct mover *m)
{
    read_pieces(m);
    return 0;
}
SLEY_FIBER(read_fiber, struct mover)

/** The same calls on a plain thread, which parks, as in a fiber. */
SLEY_TEST(pair_thread_writes_fiber_reads_in_random_pieces, "")
{
    struct pair p;
    pair_init(&p);
    struct mover w = {p.a, 100000 / harness_slowness()}, r = {p.b, w.total};
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, write_thread, &w), ==, 0);
    io_run(&sley_reactor_epoll, &read_fiber__type, &r);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    pair_fini(&p);
}

SLEY_TEST(pair_two_threads_move_bytes_both_ways, "")
{
    struct pair p;
    pair_init(&p);
    struct mover w = {p.a, 50000 / harness_slowness()}, r = {p.b, w.total}, w2 = {p.b, w.total}, r2 = {p.a, w.total};
    pthread_t one, two;
    CHECK_INT(pthread_create(&one, NULL, write_thread, &w), ==, 0);
    CHECK_INT(pthread_create(&two, NULL, write_thread, &w2), ==, 0);
    read_pieces(&r);
    read_pieces(&r2);
    CHECK_INT(pthread_join(one, NULL), ==, 0);
    CHECK_INT(pthread_join(two, NULL), ==, 0);
    pair_fini(&p);
}

/* ---- a stream without CAP_ALL: a byte at a time, of another stream -------------------------------------------------- */

/** Moves one byte per op; `mute` writes nothing. While `stall` is above 0 an op waits for drip_go. Counts its flushes. */
struct drip {
    struct sley_stream stream;
    struct sley_io_op *waiting;
    unsigned char *bytes; /* what is read, what was written */
    size_t at, len;
    unsigned start_count, flush_count, stall;
    bool mute, stubborn;
};

static struct drip *drip_of(struct sley_stream *s)
{
    return sley_container_of(s, struct drip, stream);
}

static void drip_cancel(struct sley_wait *w);
static const struct sley_wait_ops drip_wait = {.version = 1, .name = "drip", .cancel = drip_cancel};

/** One byte, or the end. */
static int32_t drip_move(struct drip *d, struct sley_io_op *op)
{
    if (d->at == d->len || d->mute) {
        return 0;
    }
    if (op->out_number == 1) {
        d->bytes[d->at++] = *(unsigned char *)op->next;
    } else {
        *(unsigned char *)op->next = d->bytes[d->at++];
    }
    return 1;
}

static void drip_start(struct drip *d, struct sley_io_op *op, void *buf, size_t len, int writes)
{
    d->start_count++;
    if (!sley_stream_begin(op, &drip_wait)) {
        return;
    }
    op->next = buf;
    op->out_number = writes;
    if (len == 0) {
        sley_stream_end(op, 0);
    } else if (d->stall > 0) {
        sley_stream_arm(op);
        d->waiting = op;
    } else {
        sley_stream_end(op, drip_move(d, op));
    }
}

/** Ends the op that waits. */
static void drip_go(struct drip *d)
{
    struct sley_io_op *op = d->waiting;
    d->waiting = NULL;
    sley_stream_end(op, drip_move(d, op));
}

static struct drip *drip_last;

static void drip_cancel(struct sley_wait *w)
{
    struct drip *d = drip_last;
    if (d->waiting && &d->waiting->wait == w) {
        struct sley_io_op *op = d->waiting;
        d->waiting = NULL;
        if (d->stubborn) {
            d->stubborn = false; /* once: its true result came first */
            sley_stream_end(op, drip_move(d, op));
        } else {
            sley_stream_end(op, -ECANCELED);
        }
    }
}

static void drip_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    drip_start(drip_of(s), op, buf, len, 0);
}

static void drip_write_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len)
{
    drip_start(drip_of(s), op, (void *)(uintptr_t)buf, len, 1);
}

static void drip_flush_start(struct sley_io_op *op, struct sley_stream *s)
{
    drip_of(s)->flush_count++;
    sley_wait_begin_always(&op->wait, &drip_wait);
    sley_wait_finish(&op->wait, 0);
}

static void drip_close_start(struct sley_io_op *op, struct sley_stream *s)
{
    (void)s;
    sley_wait_begin_always(&op->wait, &drip_wait);
    sley_wait_finish(&op->wait, 0);
}

static void drip_abort(struct sley_stream *s)
{
    (void)s;
}

static const struct sley_stream_ops drip_ops = {
    .version = SLEY_STREAM_VERSION,
    .name = "drip",
    .read_start = drip_read_start,
    .write_start = drip_write_start,
    .flush_start = drip_flush_start,
    .shutdown_start = drip_close_start,
    .close_start = drip_close_start,
    .abort = drip_abort,
};

static void drip_init(struct drip *d, unsigned char *bytes, size_t len)
{
    *d = (struct drip){.stream = {&drip_ops}, .bytes = bytes, .len = len};
    drip_last = d;
}

SLEY_TEST(stream_table_is_checked, "")
{
    CHECK_RC(sley_stream_check(&drip_ops), 0);
    CHECK_RC(sley_stream_check(NULL), -EINVAL);
    struct sley_stream_ops ops = drip_ops;
    ops.abort = NULL;
    CHECK_RC(sley_stream_check(&ops), -EINVAL);
    ops = drip_ops;
    ops.version = 0;
    CHECK_RC(sley_stream_check(&ops), -EINVAL);
}

static void check_drip_exact(void)
{
    enum { N = 5000 };
    static unsigned char from[N], to[N];
    struct drip d;
    size_t done = 0;
    io_fill(from, 0, N);
    drip_init(&d, from, N);
    CHECK_RC(sley_stream_read_exact(&d.stream, to, N - 10, &done), 0);
    CHECK_UINT(done, ==, N - 10);
    CHECK_UINT(d.start_count, ==, N - 10);
    io_check(to, 0, N - 10);
    CHECK_RC(sley_stream_read_exact(&d.stream, to, 20, &done), -ENODATA);
    CHECK_UINT(done, ==, 10);
    memset(to, 0, N);
    drip_init(&d, to, N);
    CHECK_RC(sley_stream_write_all(&d.stream, from, N, &done), 0);
    CHECK_UINT(done, ==, N);
    io_check(to, 0, N);
    CHECK_RC(sley_stream_read_exact(&d.stream, to, 0, &done), 0);
    CHECK_UINT(done, ==, 0);
}

/** 5,000 pieces that end at once do not nest: a fiber's stack would not hold them. */
IO_TEST(stream_without_all_goes_on_byte_by_byte, "")
{
    check_drip_exact();
    return 0;
}

SLEY_TEST(stream_without_all_on_a_plain_thread, "")
{
    check_drip_exact();
}

static void check_mute(void)
{
    unsigned char sink[4];
    size_t done = 99;
    struct drip d;
    drip_init(&d, sink, 2);
    CHECK_RC(sley_stream_write_all(&d.stream, "abcd", 4, &done), -EIO); /* full after two */
    CHECK_UINT(done, ==, 2);
    d.mute = true;
    CHECK_RC(sley_stream_write_all(&d.stream, "abcd", 4, &done), -EIO);
    CHECK_UINT(done, ==, 0);
}

IO_TEST(stream_writer_that_takes_nothing_is_an_error, "STREAM-06")
{
    check_mute();
    return 0;
}

SLEY_TEST(stream_writer_that_takes_nothing_is_an_error_on_a_thread, "STREAM-06")
{
    check_mute();
}

struct exact_frame {
    struct sley_frame frame;
    struct drip *d;
    struct sley_io_op op;
    unsigned char *buf;
    size_t len, done;
    int rc;
};

static enum sley_step exact_frame(struct exact_frame *f)
{
    SLEY_BEGIN(f);
    SLEY_CALL(f, f->rc, sley_stream_read_exact, &f->op, &f->d->stream, f->buf, f->len, &f->done);
    CHECK_UINT(f->done, ==, f->len);
    SLEY_RETURN(f, f->rc);
    SLEY_END(f);
}
SLEY_FRAME(exact_frame, struct exact_frame)

IO_TEST(stream_without_all_waits_between_pieces_in_a_frame, "")
{
    unsigned char from[6], to[6] = {0};
    struct drip d;
    struct sley_task *t;
    io_fill(from, 0, sizeof from);
    drip_init(&d, from, sizeof from);
    d.stall = 1;
    IO_SPAWN(&t, exact_frame, .d = &d, .buf = to, .len = sizeof to);
    for (unsigned i = 0; i < sizeof to; i++) {
        io_settle();
        CHECK_UINT(d.start_count, ==, i + 1);
        CHECK(!sley_task_done(t));
        drip_go(&d);
    }
    CHECK_RC(io_join(t), 0);
    io_check(to, 0, sizeof to);
    return 0;
}

/** The request to end comes while a piece completes after all: the next piece is asked as well, though its owner asks once. */
IO_TEST(stream_without_all_cancel_reaches_later_pieces, "")
{
    unsigned char from[6], to[6] = {0};
    size_t done = 99;
    struct drip d;
    io_fill(from, 0, sizeof from);
    for (int stubborn = 0; stubborn < 2; stubborn++) {
        drip_init(&d, from, sizeof from);
        d.stall = 1;
        SLEY_OP(struct sley_io_op, op);
        sley_stream_read_exact_start(&op, &d.stream, to, sizeof to, &done);
        drip_go(&d);
        d.stubborn = stubborn != 0;
        CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
        CHECK_UINT(done, ==, 1u + (unsigned)stubborn);
    }
    return 0;
}

static int cancelled_calls(void *unused)
{
    struct drip d;
    unsigned char buf[4];
    size_t done = 99;
    (void)unused;
    CHECK_RC(sley_park(), -ECANCELED);
    drip_init(&d, buf, sizeof buf);
    CHECK_RC(sley_stream_read(&d.stream, buf, 4), -ECANCELED);
    CHECK_RC(sley_stream_write_all(&d.stream, buf, 4, &done), -ECANCELED);
    CHECK_UINT(done, ==, 0);
    CHECK_UINT(d.at, ==, 0);
    CHECK_RC(sley_stream_close(&d.stream), 0);
    struct pair p;
    pair_init(&p);
    CHECK_RC(sley_stream_write(p.a, buf, 4), -ECANCELED);
    CHECK_RC(sley_stream_copy(p.a, p.b, NULL), -ECANCELED);
    pair_fini(&p); /* close is never cancelled */
    return 0;
}
SLEY_FIBER(cancelled_calls, void)

IO_TEST(stream_calls_of_a_cancelled_task_do_nothing_but_close, "")
{
    struct sley_task *t;
    CHECK_RC(sley_spawn(NULL, &cancelled_calls__type, NULL, NULL, &t), 0);
    io_settle();
    sley_task_cancel(t);
    CHECK_RC(io_join(t), 0);
    return 0;
}

/* ---- copying -------------------------------------------------------------------------------------------------------- */

static int write_fiber(struct mover *m)
{
    write_pieces(m);
    return 0;
}
SLEY_FIBER(write_fiber, struct mover)

/** writer -> pair -> copy -> pair -> reader; the pairs hold 32 bytes, so that every kind of wait occurs. */
IO_TEST(copy_until_the_end_counts_and_keeps_every_byte, "")
{
    struct pair p, q;
    uint64_t copied = 0;
    struct sley_task *w, *r;
    pair_init(&p);
    pair_init(&q);
    const size_t total = 50000 / harness_slowness();
    IO_SPAWN(&w, write_fiber, .s = p.a, .total = total);
    IO_SPAWN(&r, read_fiber, .s = q.b, .total = total);
    CHECK_RC(sley_stream_copy(q.a, p.b, &copied), 0);
    CHECK_UINT(copied, ==, total);
    CHECK_RC(sley_stream_shutdown(q.a), 0);
    CHECK_RC(io_join(w), 0);
    CHECK_RC(io_join(r), 0);
    pair_fini(&p);
    pair_fini(&q);
    return 0;
}

struct copier {
    struct sley_stream *dst, *src;
    uint64_t copied;
};

static void *copy_thread(void *arg)
{
    struct copier *c = arg;
    CHECK_RC(sley_stream_copy(c->dst, c->src, &c->copied), 0);
    CHECK_RC(sley_stream_shutdown(c->dst), 0);
    return NULL;
}

SLEY_TEST(copy_on_a_plain_thread, "")
{
    struct pair p, q;
    pair_init(&p);
    pair_init(&q);
    struct mover w = {p.a, 20000 / harness_slowness()}, r = {q.b, w.total};
    struct copier c = {q.a, p.b, 0};
    pthread_t one, two;
    CHECK_INT(pthread_create(&one, NULL, write_thread, &w), ==, 0);
    CHECK_INT(pthread_create(&two, NULL, copy_thread, &c), ==, 0);
    read_pieces(&r);
    CHECK_INT(pthread_join(one, NULL), ==, 0);
    CHECK_INT(pthread_join(two, NULL), ==, 0);
    CHECK_UINT(c.copied, ==, w.total);
    pair_fini(&p);
    pair_fini(&q);
}

IO_TEST(copy_flushes_when_it_waits_and_at_the_end, "")
{
    struct pair p;
    struct drip d;
    unsigned char sink[16];
    uint64_t copied = 99;
    pair_init(&p);
    drip_init(&d, sink, sizeof sink);
    SLEY_OP(struct sley_stream_copy_op, op);
    sley_stream_copy_start(&op, &d.stream, p.b, &copied);
    CHECK_UINT(d.flush_count, ==, 0); /* nothing was written yet */
    CHECK_RC(sley_stream_write(p.a, "one", 3), 3);
    io_settle();
    CHECK_UINT(d.flush_count, ==, 1);
    CHECK_UINT(d.at, ==, 3);
    CHECK_RC(sley_stream_write(p.a, "two", 3), 3);
    io_settle();
    CHECK_UINT(d.flush_count, ==, 2);
    CHECK_RC(sley_stream_shutdown(p.a), 0);
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_UINT(d.flush_count, ==, 3);
    CHECK_UINT(copied, ==, 6);
    CHECK_INT(memcmp(sink, "onetwo", 6), ==, 0);
    pair_fini(&p);
    return 0;
}

IO_TEST(copy_cancelled_while_it_waits_loses_nothing, "")
{
    struct pair p, q;
    unsigned char buf[8];
    uint64_t copied = 99;
    pair_init(&p);
    pair_init(&q);
    SLEY_OP(struct sley_stream_copy_op, op);
    sley_stream_copy_start(&op, q.a, p.b, &copied);
    CHECK_RC(sley_stream_write(p.a, "ab", 2), 2);
    io_settle();
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(copied, ==, 2);
    CHECK_RC(sley_stream_write(p.a, "cd", 2), 2);
    CHECK_RC(sley_stream_read(p.b, buf, sizeof buf), 2);
    CHECK_RC(sley_stream_read(q.b, buf, sizeof buf), 2);
    sley_stream_copy_start(&op, q.a, p.b, &copied); /* cancelled while it writes: a part has gone through */
    static const unsigned char many[3 * BYTES];
    SLEY_OP(struct sley_io_op, feed);
    sley_stream_write_all_start(&feed, p.a, many, sizeof many, NULL);
    io_settle();
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(copied, ==, BYTES);
    CHECK_RC(sley_wait_fini(&feed.wait), 0);
    pair_fini(&p);
    pair_fini(&q);
    return 0;
}

IO_TEST(copy_ends_with_the_error_of_either_side, "")
{
    struct pair p, q;
    uint64_t copied = 99;
    pair_init(&p);
    pair_init(&q);
    SLEY_OP(struct sley_stream_copy_op, op);
    sley_stream_copy_start(&op, q.a, p.b, &copied);
    sley_stream_abort(p.a);
    CHECK_RC(sley_await(&op.wait), -ECONNRESET);
    CHECK_UINT(copied, ==, 0);
    pair_fini(&p);
    pair_init(&p);
    CHECK_RC(sley_stream_write(p.a, "ab", 2), 2);
    CHECK_RC(sley_stream_close(q.b), 0);
    CHECK_RC(sley_stream_copy(q.a, p.b, &copied), -EPIPE);
    CHECK_UINT(copied, ==, 0);
    pair_fini(&p);
    pair_fini(&q);
    return 0;
}

/** A task that is cancelled ends another's copy by closing: the copy must not take that cancellation for its own. */
static int cancelled_closer(struct mover *m)
{
    CHECK_RC(sley_park(), -ECANCELED);
    CHECK_RC(sley_stream_close(m->s), 0);
    return 0;
}
SLEY_FIBER(cancelled_closer, struct mover)

IO_TEST(copy_ended_by_a_cancelled_task_ends_well, "")
{
    struct pair p, q;
    uint64_t copied = 99;
    struct sley_task *t;
    pair_init(&p);
    pair_init(&q);
    SLEY_OP(struct sley_stream_copy_op, op);
    sley_stream_copy_start(&op, q.a, p.b, &copied);
    IO_SPAWN(&t, cancelled_closer, .s = p.a);
    io_settle();
    sley_task_cancel(t);
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_RC(io_join(t), 0);
    pair_fini(&p);
    pair_fini(&q);
    return 0;
}

/** An endless source and sink that never wait: others run all the same. */
static void endless_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    (void)s;
    memset(buf, 0, len);
    if (sley_stream_begin(op, &drip_wait)) {
        sley_stream_end(op, (int32_t)len);
    }
}

static void endless_write_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len)
{
    (void)s;
    (void)buf;
    if (sley_stream_begin(op, &drip_wait)) {
        sley_stream_end(op, (int32_t)len);
    }
}

IO_TEST(copy_that_never_waits_lets_others_run, "")
{
    static const struct sley_stream_ops ops = {
        .version = SLEY_STREAM_VERSION,
        .name = "endless",
        .read_start = endless_read_start,
        .write_start = endless_write_start,
        .shutdown_start = drip_close_start,
        .close_start = drip_close_start,
        .abort = drip_abort,
    };
    struct sley_stream endless = {&ops};
    uint64_t copied = 0;
    SLEY_OP(struct sley_stream_copy_op, op);
    sley_stream_copy_start(&op, &endless, &endless, &copied);
    CHECK(!sley_wait_done(&op.wait));
    io_settle();
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(copied, >, SLEY_STREAM_COPY_BYTES * 16u); /* it went on between our turns */
    return 0;
}
