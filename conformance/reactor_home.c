/* Clauses: a descriptor has a home, and ops on it come from elsewhere: from a plain thread, from a task of another executor. */
#include "rig_home.h"

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
        io_start(&ops[i], &far.fd, SLEY_IO_SEND, (char *)(uintptr_t) "01234567" + i, 1);
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
            sley__rig_wait_taken(far.peer); /* a ring may have it already */
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
