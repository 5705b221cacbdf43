/* What an abort, or a cancel, meets where workers do not share reactors, and no courier names the op: links of a chain at a reactor
 * without `serve`; further pieces of a stream without SLEY_STREAM_CAP_ALL over a connection; looks at a number. */
#include "pieces.h"
#include "shared_bed.h"

#include <pthread.h>

static struct sley_reactor_ops unserved_ops; /* zeroed until the first is made */
static void (*real_cancel)(struct sley_reactor *self, struct sley_io_op *op);

/** Its table says: Thread: owner. */
static void cancel_by_owner(struct sley_reactor *self, struct sley_io_op *op)
{
    CHECK(sley_sched_current() && sley_sched_current()->reactor == self);
    real_cancel(self, op);
}

static int create_unserved(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const int rc = sley_reactor_poll2.create(o, ret_reactor);
    if (rc < 0) {
        return rc;
    }
    CHECK_INT(pthread_mutex_lock(&lock), ==, 0);
    if (!unserved_ops.name) {
        unserved_ops = *(*ret_reactor)->ops;
        unserved_ops.serve = NULL;
        real_cancel = unserved_ops.cancel;
        unserved_ops.cancel = cancel_by_owner;
    }
    (*ret_reactor)->ops = &unserved_ops;
    CHECK_INT(pthread_mutex_unlock(&lock), ==, 0);
    return 0;
}

static const struct sley_reactor_factory unserved = {.version = SLEY_REACTOR_VERSION, .name = "unserved", .create = create_unserved};

#define APART(name, reactor)                 \
    static int name(void *unused);           \
    SLEY_FIBER(name, void)                   \
    SLEY_TEST_SECONDS(name##_on_two, "", 60) \
    {                                        \
        run_on(2, &reactor, &name##__type);  \
    }                                        \
    static int name(void *unused __attribute__((unused)))

static void check_end(int rc)
{
    if (rc != 0 && rc != -ECANCELED && rc != -EBADF && rc != -ECONNRESET && rc != -EPIPE && rc != -ENODATA) {
        CHECK_RC(rc, 0);
    }
}

static void end_all(struct sley_task *const *tasks, int count)
{
    for (int k = 0; k < count; k++) {
        check_end(io_join(tasks[k]));
    }
}

/* ---- a copy that is cancelled, at a reactor that nobody serves ---------------------------------------------------------------- */

struct copying {
    struct sley_stream *dst, *src;
};

static void compute(uint64_t ns)
{
    const uint64_t end = sley_now_ns() + ns;
    while (sley_now_ns() < end) {
    }
}

/** Keeps its worker busy in steps, so that the other one has something to take. */
static int cancel_copy(struct copying *c)
{
    SLEY_OP(struct sley_stream_copy_op, op);
    sley_stream_copy_start(&op, c->dst, c->src, NULL);
    for (uint64_t n = harness_rand_below(40); n > 0; n--) {
        compute(harness_rand_below(100) * SLEY_US);
        (void)sley_yield();
    }
    return sley_wait_fini(&op.wait);
}
SLEY_FIBER(cancel_copy, struct copying)

static int some_writes(struct sley_stream **s)
{
    for (int i = 0; i < 20; i++) {
        const int rc = sley_stream_write_all(*s, "0123456789", 10, NULL);
        if (rc < 0) {
            return rc;
        }
        compute(harness_rand_below(20) * SLEY_US);
        loiter(2);
    }
    return 0;
}
SLEY_FIBER(some_writes, struct sley_stream *)

static int copies_cancelled(void)
{
    for (unsigned i = 0; harness_another(i, 300); i++) {
        struct io_pair near, far;
        struct sley_task *t[4];
        io_pair(&near, NULL);
        io_pair(&far, NULL);
        IO_SPAWN(&t[0], cancel_copy, &far.a.stream, &near.b.stream);
        IO_SPAWN(&t[1], cancel_copy, &near.b.stream, &far.a.stream);
        IO_SPAWN(&t[2], some_writes, &near.a.stream);
        IO_SPAWN(&t[3], some_writes, &far.b.stream);
        end_all(t, 4);
        io_pair_close(&near);
        io_pair_close(&far);
    }
    return 0;
}

APART(copy_cancelled_where_nobody_serves_ends, unserved)
{
    return copies_cancelled();
}

APART(copy_cancelled_where_others_serve_ends, sley_reactor_poll2)
{
    return copies_cancelled();
}

/* ---- pieces ------------------------------------------------------------------------------------------------------------------- */

static int read_exactly(struct sley_stream **s)
{
    unsigned char buf[300];
    return sley_stream_read_exact(*s, buf, sizeof buf, NULL);
}
SLEY_FIBER(read_exactly, struct sley_stream *)

static int abort_it(struct sley_stream **s)
{
    loiter(30);
    sley_stream_abort(*s);
    return 0;
}
SLEY_FIBER(abort_it, struct sley_stream *)

APART(pieces_of_a_connection_that_is_aborted_end, sley_reactor_poll2)
{
    for (unsigned i = 0; harness_another(i, 300); i++) {
        struct io_pair p;
        struct sley_task *t[3];
        io_pair(&p, NULL);
        struct pieces a = {.stream = {&piece_ops}, .over = &p.a.stream};
        IO_SPAWN(&t[0], read_exactly, &a.stream);
        IO_SPAWN(&t[1], some_writes, &p.b.stream);
        IO_SPAWN(&t[2], abort_it, &a.stream);
        end_all(t, 3);
        io_pair_close(&p);
    }
    return 0;
}

/* ---- looks at the number ------------------------------------------------------------------------------------------------------- */

static int try_some(struct sley_stream **s)
{
    char c;
    for (int i = 0; i < 30; i++) {
        const int rc = sley_stream_try_read(*s, &c, 1);
        CHECK(rc == -EXDEV || rc == -EBADF);
        loiter(1);
    }
    return 0;
}
SLEY_FIBER(try_some, struct sley_stream *)

APART(try_beside_an_abort_says_no, sley_reactor_poll2)
{
    for (unsigned i = 0; harness_another(i, 300); i++) {
        struct io_pair p;
        struct sley_task *t[3];
        io_pair(&p, NULL);
        IO_SPAWN(&t[0], try_some, &p.a.stream);
        IO_SPAWN(&t[1], some_writes, &p.a.stream);
        IO_SPAWN(&t[2], abort_it, &p.a.stream);
        end_all(t, 3);
        io_pair_close(&p);
    }
    return 0;
}
