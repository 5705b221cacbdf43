/* Copies between sockets while much is on its way: by a pipe, as far as there is one, with nothing lost, doubled or left open. */
#include "io_test.h"

#include <sley/file_impl.h>

#include <sley/task_impl.h>

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef IO_DIRECT
enum { PIPES = 0 }; /* direct descriptors are spliced by nobody: a copy tries it, and goes on by its buffer */
#else
enum { PIPES = 1 };
#endif
enum { MUCH = 3 << 20, CHUNK = 60000, ENDLESS = 1 << 30 };

static const struct sley_tcp_opts small = {.send_buffer_bytes = 16384, .recv_buffer_bytes = 16384}; /* full soon */

static size_t much(void)
{
    return (size_t)MUCH / harness_slowness();
}

/** near.a -> near.b -> copy -> far.a -> far.b */
struct line {
    struct io_pair near, far;
    struct sley_stream_copy_op op;
    uint64_t copied;
};

static void line_start(struct line *l, const struct sley_tcp_opts *opts)
{
    memset(l, 0, sizeof *l);
    io_pair(&l->near, opts);
    io_pair(&l->far, opts);
    sley_stream_copy_start(&l->op, &l->far.a.stream, &l->near.b.stream, &l->copied);
}

static void line_close(struct line *l)
{
    io_pair_close(&l->near);
    io_pair_close(&l->far);
}

static unsigned char bytes[MUCH]; /* that say where they stand */

struct mover {
    struct sley_stream *s;
    size_t from, total;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/** Their pattern fits to its own end, so that there is no end to them. Returns: 0, or why it could not go on. */
static int write_bytes(struct mover *m)
{
    for (size_t at = m->from, end = m->from + m->total; at < end;) {
        const size_t n = least(1 + harness_rand_below(CHUNK), MUCH - at % MUCH);
        const int rc = sley_stream_write(m->s, bytes + at % MUCH, least(n, end - at));
        if (rc < 0) {
            return rc;
        }
        at += (size_t)rc;
    }
    return 0;
}
SLEY_FIBER(write_bytes, struct mover)

/** Reads so many; with none, until the end. Returns: how many of the latter, or why it could not go on. */
static int read_bytes(struct mover *m)
{
    unsigned char buf[20000];
    size_t done = 0;
    int rc = 1;
    while (m->total == 0 || done < m->total) {
        size_t n = 1 + harness_rand_below(sizeof buf);
        n = m->total == 0 ? n : least(n, m->total - done);
        rc = sley_stream_read(m->s, buf, n);
        if (rc <= 0) {
            break;
        }
        io_check(buf, m->from + done, (size_t)rc);
        done += (size_t)rc;
    }
    CHECK(rc <= 0 || done == m->total);
    return rc < 0 ? rc : (int)done;
}
SLEY_FIBER(read_bytes, struct mover)

/** Moves @p n bytes, from the one at @p at on, through the line. */
static void pass(struct line *l, size_t at, size_t n)
{
    struct sley_task *w, *r;
    IO_SPAWN(&w, write_bytes, .s = &l->near.a.stream, .from = at, .total = n);
    IO_SPAWN(&r, read_bytes, .s = &l->far.b.stream, .from = at, .total = n);
    CHECK_RC(io_join(w), 0);
    CHECK_RC(io_join(r), (int)n);
}

static void setup(void)
{
    io_fill(bytes, 0, MUCH);
}

/** How many pipes a line's copy has open now: each of its tests has sockets beside it, and nothing else that comes and goes. */
static unsigned pipe_count(unsigned before)
{
    return (io_fd_count() - before) / 2;
}

/* ---- all of it -------------------------------------------------------------------------------------------------------- */

IO_TEST(copy_of_much_between_sockets_counts_every_byte_until_the_end, "STREAM-08")
{
    static struct line l;
    setup();
    for (int i = 0; i < 2; i++) {
        const size_t n = i ? much() / 8 : much();
        struct sley_task *w, *r;
        line_start(&l, i ? &small : NULL);
        const unsigned before = io_fd_count();
        IO_SPAWN(&w, write_bytes, .s = &l.near.a.stream, .total = n);
        IO_SPAWN(&r, read_bytes, .s = &l.far.b.stream);
        CHECK_RC(io_join(w), 0);
        CHECK_RC(sley_stream_shutdown(&l.near.a.stream), 0);
        CHECK_RC(sley_await(&l.op.wait), 0);
        CHECK_UINT(l.copied, ==, n);
        CHECK_RC(sley_stream_shutdown(&l.far.a.stream), 0);
        CHECK_RC(io_join(r), (int)n);
        CHECK_UINT(pipe_count(before), ==, 0);
        line_close(&l);
    }
    return 0;
}

/** A copy in a page of its own, which its owner gives back as soon as it is told. */
struct paged {
    struct sley_wait_hook hook;
    struct sley_stream_copy_op *op;
    size_t bytes;
    bool gone;
};

static void unmap(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct paged *p = sley_container_of(hook, struct paged, hook);
    CHECK_RC(w->result, 0);
    CHECK_RC(munmap(p->op, p->bytes), 0);
    p->gone = true;
}

IO_TEST(copy_that_is_done_is_not_touched_again, "STREAM-08")
{
    static struct paged p;
    static struct io_pair near, far;
    uint64_t copied = 0;
    memset(&p, 0, sizeof p);
    p.hook.fn = unmap;
    p.bytes = sizeof *p.op;
    io_pair(&near, NULL);
    io_pair(&far, NULL);
    p.op = mmap(NULL, p.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p.op != MAP_FAILED);
    sley_stream_copy_start(p.op, &far.a.stream, &near.b.stream, &copied);
    sley_wait_hook(&p.op->wait, &p.hook);
    CHECK_RC(sley_stream_write_all(&near.a.stream, "last words", 10, NULL), 0);
    CHECK_RC(sley_stream_shutdown(&near.a.stream), 0);
    while (!p.gone) {
        CHECK_RC(sley_yield(), 0);
    }
    CHECK_UINT(copied, ==, 10);
    io_pair_close(&near);
    io_pair_close(&far);
    return 0;
}

IO_TEST(copy_goes_by_a_pipe_while_it_is_worth_it, "STREAM-08")
{
    static struct line l;
    setup();
    line_start(&l, NULL);
    pass(&l, 0, 1000);
    const unsigned before = io_fd_count();
    pass(&l, 1000, 50000); /* not long enough */
    CHECK_UINT(pipe_count(before), ==, 0);
    unsigned most = 0;
    size_t at = 51000;
    for (int i = 0; i < 3 || (most != PIPES && i < 50); i++) {
        pass(&l, at, 400000);
        at += 400000;
        most = pipe_count(before) > most ? pipe_count(before) : most;
        for (int k = 0; k < 40; k++, at++) { /* it trickles */
            pass(&l, at, 1);
        }
        CHECK_UINT(pipe_count(before), ==, 0);
    }
    CHECK_UINT(most, <=, PIPES);
    CHECK(most == PIPES || sley_sched_current()->group); /* where tasks are shared the two may be at home with different workers */
    CHECK_RC(sley_stream_shutdown(&l.near.a.stream), 0);
    CHECK_RC(sley_await(&l.op.wait), 0);
    CHECK_UINT(l.copied, ==, at);
    line_close(&l);
    return 0;
}

IO_TEST(copy_without_descriptors_for_a_pipe_goes_on_by_its_buffer, "STREAM-08")
{
    struct rlimit limit, none;
    static struct line l;
    setup();
    line_start(&l, NULL);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    none = limit;
    pass(&l, 0, 1000);
    const int next = dup(0);
    CHECK_INT(close(next), ==, 0);
    none.rlim_cur = (rlim_t)next; /* not one more */
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    pass(&l, 1000, much() / 2);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    CHECK_RC(sley_stream_shutdown(&l.near.a.stream), 0);
    CHECK_RC(sley_await(&l.op.wait), 0);
    CHECK_UINT(l.copied, ==, 1000 + much() / 2);
    line_close(&l);
    return 0;
}

/* ---- a destination that cannot be spliced to after all -------------------------------------------------------------------- */

static const struct sley_stream_ops *real_ops;
static unsigned willing; /* how many splices it does before it says no */
static bool from_too;

static void refuse(struct sley_file_op *op)
{
    static const struct sley_wait_ops ops = {.version = 1, .name = "refused"};
    if (sley_wait_begin(&op->wait, &ops)) {
        sley_wait_finish(&op->wait, -EXDEV);
    }
}

static void odd_splice_to(struct sley_file_op *op, struct sley_stream *s, struct sley_fd *pipe, size_t len)
{
    if (willing > 0) {
        willing--;
        real_ops->splice_to_start(op, s, pipe, len < 5000 ? len : 5000);
    } else {
        refuse(op);
    }
}

static void odd_splice_from(struct sley_file_op *op, struct sley_stream *s, struct sley_fd *pipe, size_t len)
{
    if (from_too) {
        refuse(op);
    } else {
        real_ops->splice_from_start(op, s, pipe, len);
    }
}

IO_TEST(copy_that_cannot_go_on_by_its_pipe_takes_out_what_is_in_it, "STREAM-08")
{
    static struct line l;
    static struct sley_stream_ops odd;
    setup();
    for (int i = 0; i < 8; i++) {
        memset(&l, 0, sizeof l);
        io_pair(&l.near, NULL);
        io_pair(&l.far, NULL);
        real_ops = l.far.a.stream.ops;
        odd = *real_ops;
        odd.splice_to_start = odd_splice_to;
        odd.splice_from_start = odd_splice_from;
        l.far.a.stream.ops = l.near.b.stream.ops = &odd;
        willing = (unsigned)harness_rand_below(4);
        from_too = i == 0;
        const unsigned before = io_fd_count();
        sley_stream_copy_start(&l.op, &l.far.a.stream, &l.near.b.stream, &l.copied);
        pass(&l, 0, much() / 2);
        CHECK_UINT(pipe_count(before), ==, 0);
        CHECK_RC(sley_stream_shutdown(&l.near.a.stream), 0);
        CHECK_RC(sley_await(&l.op.wait), 0);
        CHECK_UINT(l.copied, ==, much() / 2);
        line_close(&l);
    }
    return 0;
}

/* ---- cancelled, ended, closed ---------------------------------------------------------------------------------------------- */

IO_TEST(copy_cancelled_while_it_waits_for_its_source_has_lost_nothing, "STREAM-08")
{
    static struct line l;
    char buf[8];
    setup();
    line_start(&l, NULL);
    pass(&l, 0, much());
    io_settle();
    CHECK_RC(sley_wait_fini(&l.op.wait), -ECANCELED);
    CHECK_UINT(l.copied, ==, much());
    CHECK_RC(sley_stream_write(&l.near.a.stream, "after", 5), 5);
    CHECK_RC(sley_stream_read_exact(&l.near.b.stream, buf, 5, NULL), 0); /* the source is as good as before */
    CHECK_RC(sley_stream_write(&l.far.a.stream, buf, 5), 5);
    CHECK_RC(sley_stream_read_exact(&l.far.b.stream, buf, 5, NULL), 0);
    CHECK(memcmp(buf, "after", 5) == 0);
    line_close(&l);
    return 0;
}

IO_TEST(copy_cancelled_while_its_destination_is_full_has_counted_what_arrives, "STREAM-08")
{
    static struct line l;
    setup();
    for (int i = 0; i < 5; i++) {
        struct sley_task *w, *r;
        line_start(&l, &small);
        const size_t first = much() / 3 + harness_rand_below(1000);
        pass(&l, 0, first);
        IO_SPAWN(&w, write_bytes, .s = &l.near.a.stream, .from = first, .total = ENDLESS); /* and nobody reads */
        for (uint64_t n = harness_rand_below(50); n > 0; n--) {
            io_settle();
        }
        CHECK_RC(sley_wait_fini(&l.op.wait), -ECANCELED);
        CHECK_UINT(l.copied, >=, first);
        CHECK_RC(sley_stream_close(&l.near.b.stream), 0);
        (void)io_join(w);
        IO_SPAWN(&r, read_bytes, .s = &l.far.b.stream, .from = first);
        CHECK_RC(sley_stream_shutdown(&l.far.a.stream), 0);
        CHECK_RC(io_join(r), (int)(l.copied - first));
        line_close(&l);
    }
    return 0;
}

IO_TEST(copy_by_a_pipe_ends_with_the_error_of_either_side, "STREAM-08")
{
    static struct line l;
    setup();
    for (int side = 0; side < 2; side++) {
        line_start(&l, NULL);
        pass(&l, 0, much() / 2);
        if (side == 0) {
            sley_stream_abort(&l.near.a.stream);
            CHECK_RC(sley_await(&l.op.wait), -ECONNRESET);
            CHECK_RC(sley_stream_read(&l.near.b.stream, bytes, 1), -ECONNRESET); /* again, and no end of file */
        } else {
            sley_stream_abort(&l.far.b.stream);
            struct sley_task *w;
            IO_SPAWN(&w, write_bytes, .s = &l.near.a.stream, .total = ENDLESS);
            const int rc = sley_await(&l.op.wait);
            CHECK(rc == -ECONNRESET || rc == -EPIPE);
            CHECK_RC(sley_stream_close(&l.near.b.stream), 0);
            (void)io_join(w);
        }
        CHECK_UINT(l.copied, >=, much() / 2);
        line_close(&l);
    }
    return 0;
}

IO_TEST(copy_by_a_pipe_ends_when_a_stream_is_closed_or_aborted_under_it, "STREAM-08")
{
    static struct line l;
    setup();
    for (unsigned i = 0; i < 60 / harness_slowness() + 8; i++) {
        struct sley_task *w, *r;
        line_start(&l, i % 3 ? &small : NULL);
        const unsigned before = io_fd_count();
        const size_t at = i % 8 < 4 ? 300000 : 1000;
        pass(&l, 0, at);
        IO_SPAWN(&w, write_bytes, .s = &l.near.a.stream, .from = at, .total = ENDLESS);
        IO_SPAWN(&r, read_bytes, .s = &l.far.b.stream, .from = at);
        for (uint64_t n = harness_rand_below(200); n > 0; n--) {
            (void)sley_yield();
        }
        struct sley_stream *victim = i % 2 ? &l.far.a.stream : &l.near.b.stream;
        if (i % 4 < 2) {
            CHECK_RC(sley_stream_close(victim), 0);
        } else {
            sley_stream_abort(victim);
        }
        CHECK_INT(sley_await(&l.op.wait), <, 0);
        for (int n = 0; n < 100000 && sley_sched_current()->group && io_fd_count() > before - PIPES; n++) {
            (void)sley_yield(); /* an abort is its home's, which may be another worker's */
        }
        CHECK_UINT(io_fd_count(), <=, before - PIPES); /* the victim's has gone, and so has the pipe */
        CHECK_RC(sley_stream_close(&l.near.b.stream), 0);
        CHECK_RC(sley_stream_close(&l.far.a.stream), 0);
        (void)io_join(w);
        (void)io_join(r);
        line_close(&l);
    }
    return 0;
}

IO_TEST(shutdown_waits_for_the_splice_that_writes, "STREAM-08")
{
    static struct line l;
    struct sley_task *w, *r;
    setup();
    line_start(&l, &small);
    pass(&l, 0, much() / 3);
    const size_t from = much() / 3;
    IO_SPAWN(&w, write_bytes, .s = &l.near.a.stream, .from = from, .total = ENDLESS);
    io_settle(); /* full, as far as the far end lets it be */
    SLEY_OP(struct sley_io_op, down);
    sley_stream_shutdown_start(&down, &l.far.a.stream);
    IO_SPAWN(&r, read_bytes, .s = &l.far.b.stream, .from = from);
    CHECK_RC(sley_await(&down.wait), 0);
    CHECK_RC(sley_await(&l.op.wait), -EPIPE);
    CHECK_RC(io_join(r), (int)(l.copied - from)); /* the peer has all that was counted, and then the end */
    CHECK_RC(sley_stream_close(&l.near.b.stream), 0);
    (void)io_join(w);
    line_close(&l);
    return 0;
}
