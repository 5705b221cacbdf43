/* Streams that move a piece at a time: read_exact and write_all over them. Pairs, copies and TCP have files of their own. */
#include "drip.h"
#include "pair_bed.h"

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
