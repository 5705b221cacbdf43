/* Copying from stream to stream. */
#include "drip.h"
#include "mover.h"

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
