/* Clauses: a descriptor has a home, and ops on it come from elsewhere: from a plain thread, from a task of another executor. Homes are
 * driven by hand here, turn by turn, so that what is still in an inbox, what waits and what is done is known at each step. */
#include "rig_file.h"

#include <pthread.h>
#include <sched.h>

static struct sley_local home, other; /* `other` is where visitors' tasks run */
static bool other_is_up;
static struct far {
    struct sley_fd fd;
    int peer;
} far;

struct visit {
    void (*fn)(void);
};

static int visit(struct visit *v)
{
    v->fn();
    return 0;
}
SLEY_FIBER_STACK(visit, struct visit, 256 * 1024, NULL)

static void up(struct sley_local *ex)
{
    static const struct sley_reactor_factory *const reactors[] = {&sley__rig_factory, NULL};
    sley_local_init(ex);
    CHECK_RC(ex->base.ops->start(&ex->base, &(struct sley_executor_config){.reactors = reactors}), 0);
    other_is_up = other_is_up || ex == &other;
}

static void down(struct sley_local *ex)
{
    other_is_up = other_is_up && ex != &other;
    CHECK_RC(ex->base.ops->stop(&ex->base, SLEY_NEVER), 0);
    CHECK_RC(ex->base.ops->fini(&ex->base), 0);
}

static void turn(struct sley_local *ex)
{
    CHECK_INT(ex->base.ops->turn(&ex->base, 0, NULL), >=, 0);
}

/** Both, if there are two. */
static void turn_all(void)
{
    turn(&home);
    if (other_is_up) {
        turn(&other);
    }
}

static struct sley_task *spawn(struct sley_local *ex, void (*fn)(void))
{
    struct sley_task *t;
    CHECK_RC(ex->base.ops->spawn(&ex->base, &visit__type, &(struct visit){fn}, &t), 0);
    return t;
}

/** Has @p fn called in a task of @p ex, and drives all until it has ended. */
static void call_in(struct sley_local *ex, void (*fn)(void))
{
    struct sley_task *t = spawn(ex, fn);
    while (!sley_task_done(t)) {
        turn_all();
    }
    sley_task_unref(t);
}

/** Drives all until @p w is done. */
static int32_t driven(const struct sley_wait *w)
{
    while (!sley_wait_done(w)) {
        turn_all();
    }
    return w->result;
}

/** Is it done, or about to be? */
static bool driven_soon(const struct sley_wait *w)
{
    for (int i = 0; i < 8; i++) {
        turn_all();
    }
    return sley_wait_done(w);
}

static void settle_here(void)
{
    char byte;
    put(far.peer, "h");
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), 1);
}

/** `far` is at home in `home`. */
static void far_open(void)
{
    far.peer = sley__rig_pair(PAIR_TCP, &far.fd);
    call_in(&home, settle_here);
}

static void far_close(void)
{
    struct sley_io_op op = {0};
    sley_fd_close_start(&op, &far.fd);
    CHECK_RC(driven(&op.wait), 0);
    CHECK_INT(far.fd.number, ==, -1);
    (void)close(far.peer);
}

/* ---- ops ----------------------------------------------------------------------------------------------------------- */

static struct sley_sched *ended_on;
static int ends;

static int32_t note_end(struct sley_io_op *op, int32_t result)
{
    (void)op;
    ends++;
    ended_on = sley_sched_current();
    return result;
}

static void transfer(void)
{
    char buf[16] = "";
    struct sley_io_op op = {0};
    io_set(&op, &far.fd, SLEY_IO_RECV, buf, sizeof buf);
    op.end = note_end;
    ends = 0;
    sley_io_submit(&op);
    CHECK(!sley_wait_done(&op.wait));
    put(far.peer, "abc");
    CHECK_RC(sley_await(&op.wait), 3);
    CHECK(memcmp(buf, "abc", 3) == 0);
    CHECK_INT(ends, ==, 1);
    CHECK_PTR(ended_on, ==, home.base.ops->sched(&home.base));
    io_start_all(&op, &far.fd, SLEY_IO_RECV, buf, 4);
    put(far.peer, "four");
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_UINT(op.done_bytes, ==, 4);
    sley_fd_poll_start(&op, &far.fd, SLEY_IO_OUT);
    CHECK_RC(sley_await(&op.wait), SLEY_IO_OUT);
    struct sley_io_op ops[8] = {0};
    for (size_t i = 0; i < 8; i++) {
        io_start(&ops[i], &far.fd, SLEY_IO_SEND, (char *)(uintptr_t)"01234567" + i, 1);
        CHECK_RC(sley_await(&ops[i].wait), 1);
    }
    CHECK_INT(recv(far.peer, buf, 8, MSG_WAITALL), ==, 8);
    CHECK(memcmp(buf, "01234567", 8) == 0);
}

CLAUSE(op_from_elsewhere_is_done_at_home)
{
    up(&home);
    far_open();
    char buf[4];
    struct sley_io_op op = {0}, second = {0};
    io_start(&op, &far.fd, SLEY_IO_RECV, buf, sizeof buf); /* from this thread, which is nobody's */
    CHECK(!driven_soon(&op.wait));
    io_start(&second, &far.fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_RC(driven(&second.wait), -EBUSY); /* directions are taken for those elsewhere, too */
    put(far.peer, "xyz");
    CHECK_RC(driven(&op.wait), 3);
    CHECK(memcmp(buf, "xyz", 3) == 0);
    up(&other);
    call_in(&other, transfer);
    down(&other);
    CHECK_UINT(sley__fd_state(&far.fd) & (SLEY_FD_HOLD_MASK | SLEY_FD_READING | SLEY_FD_WRITING), ==, 0);
    far_close();
    io_start(&op, &far.fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_RC(driven(&op.wait), -EBADF);
    down(&home);
}

static struct sley_fd pipe_out;
static int pipe_in;

static void read_nothing(void)
{
    struct sley_file_op op = {.io = {.fd = &pipe_out}, .offset = SLEY_FILE_HERE};
    file_start(&op, SLEY_IO_READ);
    CHECK_RC(sley_await(&op.io.wait), 0);
}

CLAUSE(file_op_from_elsewhere_is_done_at_home)
{
    up(&home);
    int out;
    char buf[4];
    sley__rig_pipe(O_NONBLOCK, &out, &pipe_in);
    sley_fd_init(&pipe_out, out);
    CHECK_INT(write(pipe_in, "x", 1), ==, 1);
    call_in(&home, read_nothing); /* of length 0, with something there */
    CHECK_INT(read(out, buf, 1), ==, 1);
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct sley_file_op op = {.io = {.fd = &pipe_out, .buf = buf, .len = sizeof buf}, .offset = SLEY_FILE_HERE};
        file_start(&op, SLEY_IO_READ);
        CHECK(!driven_soon(&op.io.wait));
        if (cancelled) {
            sley_wait_cancel(&op.io.wait);
            CHECK_RC(driven(&op.io.wait), -ECANCELED);
        } else {
            CHECK_INT(write(pipe_in, "abc", 3), ==, 3);
            CHECK_RC(driven(&op.io.wait), 3);
            CHECK(memcmp(buf, "abc", 3) == 0);
        }
    }
    struct sley_io_op closing = {0};
    sley_fd_close_start(&closing, &pipe_out);
    CHECK_RC(driven(&closing.wait), 0);
    (void)close(pipe_in);
    down(&home);
}

/* ---- cancel, close ------------------------------------------------------------------------------------------------- */

enum stage { IN_THE_INBOX, WAITING, AT_HAND, STAGES };

CLAUSE(cancel_from_elsewhere_has_one_verdict)
{
    up(&home);
    far_open();
    for (int round = 0; round < 2 * STAGES; round++) {
        const enum stage stage = (enum stage)(round % STAGES);
        struct sley_io_op op = {0};
        char byte = 0;
        io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
        if (stage != IN_THE_INBOX) {
            CHECK(!driven_soon(&op.wait));
        }
        if (stage == AT_HAND) {
            put(far.peer, "x");
        }
        sley_wait_cancel(&op.wait);
        sley_wait_cancel(&op.wait);
        const int32_t rc = driven(&op.wait);
        CHECK(rc == -ECANCELED || (stage == AT_HAND && rc == 1));
        if (stage != AT_HAND) {
            put(far.peer, "x");
        }
        if (rc == -ECANCELED) { /* then nothing was taken */
            memset(&op, 0, sizeof op);
            io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
            CHECK_RC(driven(&op.wait), 1);
        }
        CHECK_INT(byte, ==, 'x');
        CHECK_UINT(sley__fd_state(&far.fd) & (SLEY_FD_HOLD_MASK | SLEY_FD_READING), ==, 0);
    }
    far_close();
    down(&home);
}

static struct sley_io_op home_op;
static char home_byte;

static void recv_at_home(void)
{
    memset(&home_op, 0, sizeof home_op);
    io_start(&home_op, &far.fd, SLEY_IO_RECV, &home_byte, 1);
    (void)sley_await(&home_op.wait);
}

CLAUSE(close_from_elsewhere_ends_what_waits)
{
    up(&home);
    for (int stage = 0; stage < 2; stage++) { /* still in the inbox; waiting */
        far_open();
        const int number = far.fd.number;
        struct sley_task *t = spawn(&home, recv_at_home);
        struct sley_io_op op = {0}, closing = {0}, again = {0}, late = {0};
        turn(&home);
        CHECK(!sley_task_done(t));
        sley_fd_poll_start(&op, &far.fd, SLEY_IO_IN);
        if (stage) {
            CHECK(!driven_soon(&op.wait));
        }
        sley_fd_close_start(&closing, &far.fd);
        CHECK_RC(driven(&closing.wait), 0);
        CHECK_RC(driven(&op.wait), -ECANCELED);
        while (!sley_task_done(t)) {
            turn(&home);
        }
        CHECK_RC(home_op.wait.result, -ECANCELED);
        sley_task_unref(t);
        CHECK_INT(far.fd.number, ==, -1);
        CHECK_INT(fcntl(number, F_GETFD), <, 0);
        sley_fd_close_start(&again, &far.fd);
        CHECK_RC(driven(&again.wait), 0);
        sley_fd_poll_start(&late, &far.fd, SLEY_IO_IN);
        CHECK_RC(driven(&late.wait), -EBADF);
        (void)close(far.peer);
    }
    down(&home);
}

/* ---- moving -------------------------------------------------------------------------------------------------------- */

static void use_there(void)
{
    char buf[4];
    struct sley_io_op op = {0};
    put(far.peer, "new");
    io_start(&op, &far.fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_RC(sley_await(&op.wait), 3);
    CHECK_PTR(sley__fd_home(&far.fd), ==, reactor());
    io_start(&op, &far.fd, SLEY_IO_RECV, buf, sizeof buf); /* and one that waits */
    CHECK(!soon(&op.wait));
    put(far.peer, "more");
    CHECK_RC(sley_await(&op.wait), 4);
    CHECK(memcmp(buf, "more", 4) == 0);
}

static void close_there(void)
{
    struct sley_io_op op = {0};
    sley_fd_close_start(&op, &far.fd);
    CHECK_RC(sley_await(&op.wait), 0);
}

static int32_t move_away(void)
{
    struct sley_io_op op = {0};
    sley_fd_move_start(&op, &far.fd);
    return driven(&op.wait);
}

static void poll_at_home(void)
{
    memset(&home_op, 0, sizeof home_op);
    sley_fd_poll_start(&home_op, &far.fd, SLEY_IO_IN | SLEY_IO_ERR);
    (void)sley_await(&home_op.wait);
}

CLAUSE(move_needs_nothing_in_flight)
{
    up(&home);
    up(&other);
    far_open();
    struct sley_io_op op = {0};
    sley_fd_poll_start(&op, &far.fd, SLEY_IO_IN);
    CHECK(!driven_soon(&op.wait));
    CHECK_RC(move_away(), -EBUSY);
    sley_wait_cancel(&op.wait);
    CHECK_RC(driven(&op.wait), -ECANCELED);
    struct sley_task *t = spawn(&home, poll_at_home); /* the same of one of its own */
    turn_all();
    CHECK_RC(move_away(), -EBUSY);
    put(far.peer, "y");
    CHECK_RC(driven(&home_op.wait), SLEY_IO_IN); /* nothing has happened to it */
    while (!sley_task_done(t)) {
        turn_all();
    }
    sley_task_unref(t);
    char byte;
    io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
    CHECK_RC(driven(&op.wait), 1);
    CHECK_RC(move_away(), 0);
    CHECK_PTR(sley__fd_home(&far.fd), ==, NULL);
    CHECK_RC(move_away(), 0); /* it has no home */
    call_in(&other, use_there);
    call_in(&other, close_there);
    CHECK_RC(move_away(), -EBADF);
    (void)close(far.peer);
    down(&other);
    down(&home);
}

CLAUSE(moved_descriptor_leaves_nothing_behind)
{
    up(&home);
    up(&other);
    for (int round = 0; round < 4; round++) {
        far_open();
        struct sley_io_op op = {0};
        if (round % 2) { /* it has been watched there */
            sley_fd_poll_start(&op, &far.fd, SLEY_IO_IN);
            CHECK(!driven_soon(&op.wait));
            sley_wait_cancel(&op.wait);
            CHECK_RC(driven(&op.wait), -ECANCELED);
        }
        const int number = far.fd.number, peer = far.peer;
        CHECK_RC(move_away(), 0);
        call_in(&other, use_there);
        if (round < 2) {
            call_in(&other, close_there);
            (void)close(peer);
            CHECK_INT(fcntl(number, F_GETFD), <, 0);
            far_open(); /* numbers are others' now, and come to the old home */
            memset(&op, 0, sizeof op);
            sley_fd_poll_start(&op, &far.fd, SLEY_IO_IN);
            CHECK(!driven_soon(&op.wait));
            put(far.peer, "z");
            CHECK_RC(driven(&op.wait), SLEY_IO_IN);
            far_close();
        } else { /* it comes back itself */
            CHECK_RC(move_away(), 0);
            call_in(&home, use_there);
            far_close();
        }
    }
    down(&other);
    down(&home);
}

/* ---- the end of a home --------------------------------------------------------------------------------------------- */

CLAUSE(home_that_ends_answers_all)
{
    for (int stage = 0; stage < 2; stage++) { /* still in the inbox; waiting */
        up(&home);
        far_open();
        struct sley_io_op op = {0}, poll = {0}, late = {0}, closing = {0};
        char byte;
        io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
        sley_fd_poll_start(&poll, &far.fd, SLEY_IO_IN);
        if (stage) {
            CHECK(!driven_soon(&op.wait));
        }
        down(&home);
        CHECK(sley_wait_done(&op.wait) && sley_wait_done(&poll.wait));
        CHECK(op.wait.result == -ECANCELED || op.wait.result == -ENODEV);
        CHECK(poll.wait.result == -ECANCELED || poll.wait.result == -ENODEV);
        put(far.peer, "x");
        io_start(&late, &far.fd, SLEY_IO_RECV, &byte, 1);
        CHECK(sley_wait_done(&late.wait));
        CHECK_RC(late.wait.result, -ENODEV);
        sley_fd_close_start(&closing, &far.fd);
        CHECK(sley_wait_done(&closing.wait));
        CHECK_RC(closing.wait.result, 0);
        CHECK_INT(far.fd.number, ==, -1);
        (void)close(far.peer);
    }
}

/* ---- from threads --------------------------------------------------------------------------------------------------- */

static SLEY_ATOMIC(uint32_t) received, visitors;
static unsigned rounds;

struct none {
    char none;
};

static int home_until_the_last(struct none *w)
{
    (void)w;
    /* acquire: pairs with the release in come_by */
    while (atomic_load_explicit(&visitors, memory_order_acquire) > 0) {
        CHECK_RC(sley_sleep(SLEY_MS / 10), 0);
    }
    return 0;
}
SLEY_FIBER(home_until_the_last, struct none)

static void *come_by(void *arg)
{
    uint32_t got = 0;
    (void)arg;
    for (unsigned i = 0; i < rounds; i++) {
        struct sley_io_op op = {0};
        char byte;
        if (sley__kit_below(2)) {
            io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
        } else {
            sley_fd_poll_start(&op, &far.fd, SLEY_IO_IN);
        }
        for (uint64_t n = sley__kit_below(3); n > 0; n--) {
            (void)sched_yield();
        }
        sley_wait_cancel(&op.wait);
        const int rc = sley_await(&op.wait);
        CHECK(rc == 1 || rc == -ECANCELED || rc == -EBUSY);
        got += op.code == SLEY_IO_RECV && rc == 1;
    }
    atomic_fetch_add_explicit(&received, got, memory_order_relaxed); /* relaxed: joined before it is read */
    atomic_fetch_sub_explicit(&visitors, 1, memory_order_release);  /* release: pairs with home_until_the_last */
    return NULL;
}

CLAUSE(ops_and_cancels_of_threads_lose_nothing)
{
    enum { THREADS = 2 };
    pthread_t threads[THREADS];
    rounds = sley__kit_rounds(1000) + 20;
    up(&home);
    far_open();
    for (unsigned i = 0; i < rounds; i++) {
        put(far.peer, "x");
    }
    atomic_store_explicit(&visitors, THREADS, memory_order_relaxed); /* relaxed: the threads are made behind it */
    struct sley_task *t;
    CHECK_RC(home.base.ops->spawn(&home.base, &home_until_the_last__type, &(struct none){0}, &t), 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_create(&threads[i], NULL, come_by, NULL), ==, 0);
    }
    CHECK_RC(home.base.ops->run(&home.base, t), 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), ==, 0);
    }
    sley_task_unref(t);
    uint32_t got = atomic_load_explicit(&received, memory_order_relaxed); /* relaxed: joined */
    for (char byte; got < rounds && recv(far.fd.number, &byte, 1, MSG_DONTWAIT) == 1;) {
        got++;
    }
    CHECK_UINT(got, ==, rounds);
    far_close();
    down(&home);
}
