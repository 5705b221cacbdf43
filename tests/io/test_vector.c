/* Several buffers in one call: order, splits at every byte, empty ones, more than a call may name; and that the vector stays as it is. */
#include "pair_bed.h"

/* ---- vectors ------------------------------------------------------------------------------------------------------------ */

/** Cuts @p len bytes at @p buf into pieces of at most @p most, some of them empty. Returns: how many. */
static size_t cut(struct iovec *iov, size_t most_count, unsigned char *buf, size_t len, size_t most)
{
    size_t n = 0;
    while (len > 0) {
        size_t here = harness_rand_below(4) == 0 ? 0 : 1 + harness_rand_below(most);
        here = here < len && n + 1 < most_count ? here : len;
        iov[n++] = (struct iovec){here > 0 ? buf : NULL, here};
        buf += here;
        len -= here;
    }
    if (n < most_count) {
        iov[n++] = (struct iovec){NULL, 0};
    }
    return n;
}

enum { MUCH = 600000, PARTS = 200 };

struct mover {
    struct sley_stream *s;
    unsigned char *buf; /* its own */
    size_t total, most;
    bool whole; /* else by pieces, whatever each takes */
};

/** Writes bytes that say where they stand, from vectors that nobody changes. */
static int write_vectors(struct mover *m)
{
    struct iovec iov[PARTS], before[PARTS];
    for (size_t at = 0; at < m->total;) {
        size_t n = 1 + harness_rand_below(m->total), done = 0;
        n = n < m->total - at ? n : m->total - at;
        io_fill(m->buf, at, n);
        const size_t count = cut(iov, 1 + harness_rand_below(PARTS - 1), m->buf, n, m->most);
        memcpy(before, iov, sizeof *iov * count);
        if (m->whole) {
            CHECK_RC(sley_stream_writev_all(m->s, iov, count, &done), 0);
            CHECK_UINT(done, ==, n);
        } else {
            const int rc = sley_stream_writev(m->s, iov, count);
            CHECK_INT(rc, >, 0);
            done = (size_t)rc;
        }
        CHECK(memcmp(before, iov, sizeof *iov * count) == 0);
        at += done;
    }
    CHECK_RC(sley_stream_shutdown(m->s), 0);
    return 0;
}
SLEY_FIBER_STACK(write_vectors, struct mover, 128 * 1024, NULL)

/** Reads them, and the end behind them. */
static int read_vectors(struct mover *m)
{
    struct iovec iov[PARTS], before[PARTS];
    size_t at = 0;
    for (;;) {
        size_t n = 1 + harness_rand_below(m->total), done = 0;
        const size_t left = m->total - at;
        const size_t count = cut(iov, 1 + harness_rand_below(PARTS - 1), m->buf, n, m->most);
        memcpy(before, iov, sizeof *iov * count);
        if (m->whole) {
            CHECK_RC(sley_stream_readv_exact(m->s, iov, count, &done), n <= left ? 0 : -ENODATA);
            CHECK_UINT(done, ==, n <= left ? n : left);
        } else {
            const int rc = sley_stream_readv(m->s, iov, count);
            CHECK_INT(rc, >=, left > 0 ? 1 : 0);
            done = (size_t)rc;
        }
        CHECK(memcmp(before, iov, sizeof *iov * count) == 0);
        io_check(m->buf, at, done);
        at += done;
        if (m->whole ? n > left : done == 0) {
            break;
        }
    }
    CHECK_UINT(at, ==, m->total);
    CHECK_RC(sley_stream_readv(m->s, iov, 1), 0);
    return 0;
}
SLEY_FIBER_STACK(read_vectors, struct mover, 128 * 1024, NULL)

static unsigned char outgoing[MUCH], incoming[MUCH];

/** Each way: as pieces or whole, at either end. */
static void move_vectors(struct sley_stream *a, struct sley_stream *b, size_t total, size_t most, bool whole)
{
    for (int way = 0; way < 2; way++) {
        struct sley_task *w, *r;
        IO_SPAWN(&w, write_vectors, .s = way ? b : a, .buf = outgoing, .total = total, .most = most, .whole = whole);
        IO_SPAWN(&r, read_vectors, .s = way ? a : b, .buf = incoming, .total = total, .most = most, .whole = whole != (way == 1));
        CHECK_RC(io_join(w), 0);
        CHECK_RC(io_join(r), 0);
    }
}

IO_TEST(pair_vectors_keep_their_order_wherever_they_are_split, "STREAM-07")
{
    for (int i = 0; i < 4; i++) {
        struct pair p;
        pair_init(&p);
        move_vectors(p.a, p.b, 1000 / harness_slowness() + 100, 1 + (size_t)i * 13, i % 2);
        pair_fini(&p);
    }
    return 0;
}

IO_TEST(tcp_vectors_keep_their_order_wherever_they_are_split, "STREAM-07")
{
    for (int i = 0; i < 2; i++) {
        const struct sley_tcp_opts small = {.send_buffer_bytes = 4096, .recv_buffer_bytes = 4096};
        struct io_pair p;
        io_pair(&p, i ? &small : NULL);
        move_vectors(&p.a.stream, &p.b.stream, MUCH / harness_slowness(), i ? 700 : 9000, i == 0);
        io_pair_close(&p);
    }
    return 0;
}

IO_TEST(vector_of_more_buffers_than_a_call_may_name_goes_whole, "STREAM-07")
{
    enum { COUNT = 3000 };
    static struct iovec out[COUNT], in[COUNT];
    static unsigned char to[COUNT], from[COUNT];
    struct io_pair p;
    size_t done = 0, got = 0;
    io_fill(from, 0, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        out[i] = (struct iovec){&from[i], 1};
        in[i] = (struct iovec){&to[i], 1};
    }
    io_pair(&p, NULL);
    const int rc = sley_stream_writev(&p.a.stream, out, COUNT);
    CHECK_INT(rc, >, 0);
    CHECK_INT(rc, <=, COUNT);
    CHECK_RC(sley_stream_writev_all(&p.a.stream, out + rc, (size_t)(COUNT - rc), &done), 0);
    CHECK_UINT(done, ==, (size_t)(COUNT - rc));
    CHECK_RC(sley_stream_readv_exact(&p.b.stream, in, COUNT, &got), 0);
    CHECK_UINT(got, ==, COUNT);
    io_check(to, 0, COUNT);
    io_pair_close(&p);
    return 0;
}

/* ---- nothing to move ------------------------------------------------------------------------------------------------------ */

static void check_nothing(struct sley_stream *reads, struct sley_stream *writes)
{
    const struct iovec empty[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    for (size_t count = 0; count <= 3; count++) {
        size_t done = 99;
        CHECK_RC(sley_stream_readv(reads, empty, count), 0);
        CHECK_RC(sley_stream_writev(writes, empty, count), 0);
        CHECK_RC(sley_stream_readv_exact(reads, empty, count, &done), 0);
        CHECK_UINT(done, ==, 0);
        done = 99;
        CHECK_RC(sley_stream_writev_all(writes, empty, count, &done), 0);
        CHECK_UINT(done, ==, 0);
        CHECK_RC(sley_stream_writev_all(writes, empty, count, NULL), 0);
    }
}

IO_TEST(vectors_without_bytes_return_at_once, "STREAM-04 STREAM-05")
{
    unsigned char buf[BYTES] = {0};
    const struct iovec empty = {NULL, 0};
    struct pair p;
    struct io_pair t;
    pair_init(&p);
    check_nothing(p.b, p.a);
    CHECK_RC(sley_stream_write(p.a, buf, BYTES), BYTES); /* full */
    check_nothing(p.b, p.a);
    CHECK_RC(sley_stream_close(p.b), 0);
    CHECK_RC(sley_stream_writev(p.a, &empty, 1), -EPIPE); /* as a plain one */
    CHECK_RC(sley_stream_writev_all(p.a, &empty, 1, NULL), -EPIPE);
    CHECK_RC(sley_stream_readv(p.b, &empty, 1), -EBADF);
    pair_fini(&p);
    io_pair(&t, NULL);
    check_nothing(&t.b.stream, &t.a.stream);
    CHECK_RC(sley_stream_write(&t.a.stream, buf, 8), 8);
    check_nothing(&t.b.stream, &t.a.stream);
    CHECK_RC(sley_stream_shutdown(&t.a.stream), 0);
    CHECK_RC(sley_stream_read_exact(&t.b.stream, buf, 8, NULL), 0);
    CHECK_RC(sley_stream_readv(&t.b.stream, &empty, 1), 0);
    CHECK_RC(sley_stream_writev(&t.a.stream, &empty, 1), -EPIPE);
    io_pair_close(&t);
    CHECK_RC(sley_stream_readv(&t.b.stream, &empty, 1), -EBADF);
    CHECK_RC(sley_stream_writev_all(&t.a.stream, &empty, 1, NULL), -EBADF);
    return 0;
}

/* ---- a stream that takes so many bytes at a time, and counts its calls ----------------------------------------------------- */

struct sip {
    struct sley_stream stream;
    unsigned char *bytes;
    size_t at, len, most;
    size_t call_count, buffer_count; /* of the last call: how many it named */
    const void *first;               /* ... and where the first was */
};

static const struct sley_wait_ops sip_wait = {.version = 1, .name = "sip"};

static void sip_move(struct sley_io_op *op, struct sley_stream *s, const struct iovec *iov, size_t count, bool reading)
{
    struct sip *p = sley_container_of(s, struct sip, stream);
    if (!sley_stream_begin(op, &sip_wait)) {
        return;
    }
    size_t left = p->len - p->at < p->most ? p->len - p->at : p->most, moved = 0;
    p->call_count++;
    p->buffer_count = count;
    p->first = iov->iov_base;
    for (size_t i = 0; i < count && left > 0; i++) {
        const size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;
        if (n > 0) { /* an empty buffer may be NULL, which memcpy may not be given */
            memcpy(reading ? iov[i].iov_base : p->bytes + p->at, reading ? p->bytes + p->at : iov[i].iov_base, n);
        }
        p->at += n;
        left -= n;
        moved += n;
    }
    sley_stream_end(op, (int32_t)moved);
}

static void sip_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    sip_move(op, s, &(struct iovec){buf, len}, 1, true);
}

static void sip_write_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len)
{
    sip_move(op, s, &(struct iovec){(void *)(uintptr_t)buf, len}, 1, false);
}

static void sip_readv_start(struct sley_io_op *op, struct sley_stream *s, struct msghdr *m)
{
    sip_move(op, s, m->msg_iov, m->msg_iovlen, true);
}

static void sip_writev_start(struct sley_io_op *op, struct sley_stream *s, struct msghdr *m)
{
    sip_move(op, s, m->msg_iov, m->msg_iovlen, false);
}

static void sip_end_start(struct sley_io_op *op, struct sley_stream *s)
{
    (void)s;
    sley_wait_begin_always(&op->wait, &sip_wait);
    sley_wait_finish(&op->wait, 0);
}

static void sip_abort(struct sley_stream *s)
{
    (void)s;
}

#define SIP_OPS(number)                                                                                                    \
    {                                                                                                                      \
        .version = (number), .name = "sip", .read_start = sip_read_start, .write_start = sip_write_start,                  \
        .shutdown_start = sip_end_start, .close_start = sip_end_start, .abort = sip_abort, .readv_start = sip_readv_start, \
        .writev_start = sip_writev_start,                                                                                  \
    }
static const struct sley_stream_ops sip_ops = SIP_OPS(SLEY_STREAM_VERSION);
static const struct sley_stream_ops old_ops = SIP_OPS(2); /* knows nothing of such calls, whatever lies behind its end */

static void check_splits(void)
{
    enum { LEN = 40 };
    static const size_t lens[] = {0, 3, 0, 0, 7, 1, 1, 1, 0, 5, 0, 0, 0, 0, 22, 0};
    enum { COUNT = sizeof lens / sizeof lens[0] };
    for (int reading = 0; reading < 2; reading++) {
        for (size_t most = 1; most <= LEN; most++) {
            unsigned char mine[LEN], theirs[LEN];
            struct iovec iov[COUNT], before[COUNT];
            struct sip p = {.stream = {&sip_ops}, .bytes = theirs, .len = LEN, .most = most};
            size_t at = 0, done = 99;
            memset(mine, 0, sizeof mine);
            memset(theirs, 0, sizeof theirs);
            io_fill(reading ? theirs : mine, 0, LEN);
            for (size_t i = 0; i < COUNT; i++) {
                iov[i] = (struct iovec){lens[i] ? mine + at : NULL, lens[i]};
                at += lens[i];
            }
            CHECK_UINT(at, ==, LEN);
            memcpy(before, iov, sizeof iov);
            CHECK_RC((reading ? sley_stream_readv_exact : sley_stream_writev_all)(&p.stream, iov, COUNT, &done), 0);
            CHECK_UINT(done, ==, LEN);
            CHECK_UINT(p.call_count, ==, (LEN + most - 1) / most); /* a call takes all that it can: nothing is split but by the stream */
            CHECK(memcmp(before, iov, sizeof iov) == 0);
            io_check(reading ? mine : theirs, 0, LEN);
            if (reading) {
                struct iovec more[2] = {{mine, 1}, {mine + 1, 1}};
                CHECK_RC(sley_stream_readv_exact(&p.stream, more, 2, &done), -ENODATA);
                CHECK_UINT(done, ==, 0);
            } else {
                struct iovec more[2] = {{mine, 1}, {mine + 1, 1}};
                CHECK_RC(sley_stream_writev_all(&p.stream, more, 2, &done), -EIO); /* it takes nothing, and says no reason */
                CHECK_UINT(done, ==, 0);
            }
        }
    }
}

IO_TEST(stream_that_stops_inside_a_buffer_is_given_the_rest_of_it_next, "STREAM-07 STREAM-06")
{
    check_splits();
    return 0;
}

SLEY_TEST(stream_that_stops_inside_a_buffer_is_given_the_rest_of_it_next_on_a_thread, "STREAM-07 STREAM-06")
{
    check_splits();
}

IO_TEST(vector_is_one_call_of_a_stream_that_can_and_else_its_first_buffer, "")
{
    unsigned char to[16] = {0}, from[16];
    struct sip p = {.stream = {&sip_ops}, .bytes = to, .len = sizeof to, .most = 100};
    io_fill(from, 0, sizeof from);
    const struct iovec iov[4] = {{NULL, 0}, {from, 4}, {NULL, 0}, {from + 4, 8}};
    CHECK_RC(sley_stream_writev(&p.stream, iov, 4), 12);
    CHECK_UINT(p.call_count, ==, 1);
    CHECK_UINT(p.buffer_count, ==, 3);
    CHECK(p.first == from);
    io_check(to, 0, 12);
    p = (struct sip){.stream = {&old_ops}, .bytes = to, .len = sizeof to, .most = 100};
    CHECK_RC(sley_stream_writev(&p.stream, iov, 4), 4);
    CHECK_UINT(p.buffer_count, ==, 1);
    p.at = 0;
    CHECK_RC(sley_stream_readv(&p.stream, iov, 4), 4);
    size_t done = 0;
    p.at = p.call_count = 0;
    CHECK_RC(sley_stream_writev_all(&p.stream, iov, 4, &done), 0);
    CHECK_UINT(done, ==, 12);
    CHECK_UINT(p.call_count, ==, 2);
    return 0;
}

/* ---- waiting, cancelling, ending -------------------------------------------------------------------------------------------- */

IO_TEST(pair_vector_cancelled_says_how_far_it_came, "")
{
    unsigned char out[100], in[100];
    struct pair p;
    size_t done = 99, got = 99;
    pair_init(&p);
    io_fill(out, 0, sizeof out);
    const struct iovec iov[3] = {{out, 30}, {out + 30, 30}, {out + 60, 40}};
    const struct iovec to[3] = {{in, 45}, {in + 45, 1}, {in + 46, 54}};
    SLEY_OP(struct sley_stream_vec_all_op, op);
    sley_stream_writev_all_start(&op, p.a, iov, 3, &done);
    CHECK(!sley_wait_done(&op.wait));
    CHECK_RC(sley_stream_writev(p.a, iov, 3), -EBUSY);
    CHECK_RC(sley_stream_readv(p.b, to, 1), BYTES);
    io_settle();
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(done, ==, 2 * BYTES);
    SLEY_OP(struct sley_stream_vec_all_op, rest);
    const struct iovec left[2] = {{out + 64, 6}, {out + 70, 30}};
    sley_stream_writev_all_start(&rest, p.a, left, 2, &done);
    const struct iovec back[2] = {{in + BYTES, 20}, {in + BYTES + 20, sizeof in - BYTES - 20}};
    CHECK_RC(sley_stream_readv_exact(p.b, back, 2, &got), 0);
    CHECK_UINT(got, ==, sizeof in - BYTES);
    CHECK_RC(sley_await(&rest.wait), 0);
    CHECK_UINT(done, ==, 36);
    io_check(in, 0, sizeof in);
    sley_stream_readv_exact_start(&op, p.b, to, 3, &got); /* with a part of it there */
    CHECK_RC(sley_stream_write(p.a, out, 3), 3);
    io_settle();
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(got, ==, 3);
    SLEY_OP(struct sley_stream_vec_op, one);
    sley_stream_readv_start(&one, p.b, to, 3); /* before data */
    CHECK_RC(sley_wait_fini(&one.wait), -ECANCELED);
    sley_stream_readv_start(&one, p.b, to, 3);
    CHECK_RC(sley_stream_close(p.b), 0);
    CHECK_RC(sley_await(&one.wait), -ECANCELED);
    pair_fini(&p);
    return 0;
}

/** Whatever the moment: what the peer gets is what the writer says. */
IO_TEST(tcp_vector_cancelled_at_any_time_loses_and_doubles_no_byte, "")
{
    const struct sley_tcp_opts small = {.send_buffer_bytes = 4096, .recv_buffer_bytes = 4096};
    struct io_pair p;
    struct sley_task *r;
    const size_t total = MUCH / 2 / harness_slowness();
    size_t at = 0;
    unsigned cancelled = 0;
    io_fill(outgoing, 0, total);
    io_pair(&p, &small);
    IO_SPAWN(&r, read_vectors, .s = &p.b.stream, .buf = incoming, .total = total, .most = 5000);
    while (at < total) {
        const size_t left = total - at, a = left / 3, b = left - a;
        const struct iovec iov[2] = {{outgoing + at, a}, {outgoing + at + a, b}};
        size_t done = 0;
        SLEY_OP(struct sley_stream_vec_all_op, op);
        sley_stream_writev_all_start(&op, &p.a.stream, iov, 2, &done);
        for (uint64_t n = harness_rand_below(20); n > 0; n--) {
            (void)sley_yield();
        }
        const int rc = sley_wait_fini(&op.wait);
        CHECK(rc == 0 || rc == -ECANCELED);
        cancelled += rc < 0;
        CHECK(rc < 0 || done == left);
        at += done;
    }
    harness_note("%u cancelled", cancelled);
    CHECK_RC(sley_stream_shutdown(&p.a.stream), 0);
    CHECK_RC(io_join(r), 0);
    io_pair_close(&p);
    return 0;
}

IO_TEST(tcp_vectors_after_a_reset_say_so_again_and_again, "")
{
    unsigned char buf[8];
    const struct iovec iov[2] = {{buf, 4}, {buf + 4, 4}};
    struct io_pair p;
    size_t done = 99;
    io_pair(&p, NULL);
    CHECK_RC(sley_stream_write(&p.b.stream, "x", 1), 1);
    CHECK_RC(sley_stream_readv(&p.a.stream, iov, 2), 1);
    SLEY_OP(struct sley_stream_vec_all_op, op);
    sley_stream_readv_exact_start(&op, &p.a.stream, iov, 2, &done);
    sley_stream_abort(&p.b.stream);
    CHECK_RC(sley_await(&op.wait), -ECONNRESET);
    CHECK_UINT(done, ==, 0);
    CHECK_RC(sley_stream_readv(&p.a.stream, iov, 2), -ECONNRESET);
    CHECK_RC(sley_stream_readv(&p.a.stream, iov, 2), -ECONNRESET);
    CHECK_INT(sley_stream_writev_all(&p.a.stream, iov, 2, &done), <, 0);
    CHECK_UINT(done, ==, 0);
    io_pair_close(&p);
    return 0;
}

static int cancelled_calls(void *unused)
{
    unsigned char buf[8] = {0};
    const struct iovec iov[2] = {{buf, 4}, {buf + 4, 4}};
    size_t done = 99;
    struct pair p;
    (void)unused;
    CHECK_RC(sley_park(), -ECANCELED);
    pair_init(&p);
    CHECK_RC(sley_stream_writev(p.a, iov, 2), -ECANCELED);
    CHECK_RC(sley_stream_writev_all(p.a, iov, 2, &done), -ECANCELED);
    CHECK_UINT(done, ==, 0);
    CHECK_RC(sley_stream_readv_exact(p.a, iov, 2, &done), -ECANCELED);
    pair_fini(&p);
    return 0;
}
SLEY_FIBER(cancelled_calls, void)

IO_TEST(vector_calls_of_a_cancelled_task_move_nothing, "")
{
    struct sley_task *t;
    CHECK_RC(sley_spawn(NULL, &cancelled_calls__type, NULL, NULL, &t), 0);
    io_settle();
    sley_task_cancel(t);
    CHECK_RC(io_join(t), 0);
    return 0;
}

/* ---- frames and threads ------------------------------------------------------------------------------------------------------ */

/** Sends a head and a body that is longer than the pair holds, and takes the same back. */
struct both_ways {
    struct sley_frame frame;
    struct sley_stream *s;
    struct iovec iov[2];
    unsigned char head[4], body[3 * BYTES];
    union {
        struct sley_stream_vec_op one;
        struct sley_stream_vec_all_op all;
    } op;
    size_t done;
    int rc;
    bool first;
};

static enum sley_step both_ways(struct both_ways *f)
{
    SLEY_BEGIN(f);
    f->iov[0] = (struct iovec){f->head, sizeof f->head};
    f->iov[1] = (struct iovec){f->body, sizeof f->body};
    memset(&f->op, 0, sizeof f->op);
    if (f->first) {
        io_fill(f->head, 0, sizeof f->head);
        io_fill(f->body, sizeof f->head, sizeof f->body);
        SLEY_CALL(f, f->rc, sley_stream_writev, &f->op.one, f->s, f->iov, 1);
        CHECK_RC(f->rc, (int)sizeof f->head);
        memset(&f->op, 0, sizeof f->op);
        SLEY_CALL(f, f->rc, sley_stream_writev_all, &f->op.all, f->s, f->iov + 1, 1, &f->done);
        CHECK_RC(f->rc, 0);
        memset(f->head, 0, sizeof f->head);
        memset(f->body, 0, sizeof f->body);
    }
    SLEY_CALL(f, f->rc, sley_stream_readv_exact, &f->op.all, f->s, f->iov, 2, &f->done);
    CHECK_RC(f->rc, 0);
    CHECK_UINT(f->done, ==, sizeof f->head + sizeof f->body);
    io_check(f->head, 0, sizeof f->head);
    io_check(f->body, sizeof f->head, sizeof f->body);
    if (!f->first) {
        SLEY_CALL(f, f->rc, sley_stream_writev_all, &f->op.all, f->s, f->iov, 2, &f->done);
        CHECK_RC(f->rc, 0);
    }
    memset(&f->op, 0, sizeof f->op);
    if (f->first) {
        SLEY_CALL(f, f->rc, sley_stream_readv, &f->op.one, f->s, f->iov, 2);
        CHECK_RC(f->rc, 1);
    }
    SLEY_RETURN(f, 0);
    SLEY_END(f);
}
SLEY_FRAME(both_ways, struct both_ways)

IO_TEST(frames_send_and_take_vectors, "STREAM-07")
{
    for (int tcp = 0; tcp < 2; tcp++) {
        struct pair p;
        struct io_pair t;
        struct sley_task *one, *two;
        pair_init(&p);
        io_pair(&t, NULL);
        struct sley_stream *a = tcp ? &t.a.stream : p.a, *b = tcp ? &t.b.stream : p.b;
        IO_SPAWN(&one, both_ways, .s = a, .first = true);
        IO_SPAWN(&two, both_ways, .s = b);
        CHECK_RC(io_join(two), 0);
        CHECK_RC(sley_stream_write(b, "x", 1), 1);
        CHECK_RC(io_join(one), 0);
        pair_fini(&p);
        io_pair_close(&t);
    }
    return 0;
}

static void *write_thread(void *arg)
{
    (void)write_vectors(arg);
    return NULL;
}

SLEY_TEST(vectors_on_plain_threads, "STREAM-07")
{
    for (int whole = 0; whole < 2; whole++) {
        struct pair p;
        pthread_t thread;
        pair_init(&p);
        struct mover w = {p.a, outgoing, 20000 / harness_slowness(), 50, whole == 1}, r = {p.b, incoming, w.total, 70, whole == 0};
        CHECK_INT(pthread_create(&thread, NULL, write_thread, &w), ==, 0);
        CHECK_RC(read_vectors(&r), 0);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
        SLEY_OP(struct sley_stream_vec_all_op, op);
        sley_stream_writev_all_start(&op, p.b, &(struct iovec){outgoing, 1}, 1, NULL);
        CHECK_RC(sley_await(&op.wait), -ENOTSUP);
        pair_fini(&p);
    }
}

/** A thread at a connection whose home is this executor: its calls travel. */
IO_TEST(tcp_vectors_of_a_plain_thread_travel_home, "")
{
    struct io_pair p;
    pthread_t thread;
    io_pair(&p, NULL);
    CHECK_RC(sley_stream_write(&p.a.stream, "h", 1), 1);
    CHECK_RC(sley_stream_read(&p.b.stream, incoming, 1), 1);
    struct mover w = {&p.a.stream, outgoing, MUCH / 4 / harness_slowness(), 3000, true};
    CHECK_INT(pthread_create(&thread, NULL, write_thread, &w), ==, 0);
    struct mover r = {&p.b.stream, incoming, w.total, 3000, true};
    CHECK_RC(read_vectors(&r), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    io_pair_close(&p);
    return 0;
}
