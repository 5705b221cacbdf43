/* Clauses: file ops that wait: reads and writes of pipes, and what ends them. */
#include "rig_file.h"

#include <signal.h>
#include <sys/uio.h>

void sley__rig_pipe(int flags, int *ret_out, int *ret_in)
{
    int n[2];
    CHECK_INT(pipe2(n, flags | O_CLOEXEC), ==, 0);
    *ret_out = n[0];
    *ret_in = n[1];
}

/* ---- reading and writing ------------------------------------------------------------------------------------------- */

CLAUSE(pipe_read_waits_for_its_data)
{
    struct sley_fd fd;
    char a[4], b[4];
    int out, in;
    sley__rig_pipe(O_NONBLOCK, &out, &in);
    sley_fd_init(&fd, out);
    for (int round = 0; round < 3; round++) {
        struct sley_file_op first = here(&fd, a, sizeof a), second = here(&fd, b, sizeof b);
        file_start(&first, SLEY_IO_READ);
        CHECK(!soon(&first.io.wait));
        CHECK_UINT(sley__fd_state(&fd) & (SLEY_FD_READING | SLEY_FD_WRITING), ==, SLEY_FD_READING);
        CHECK_UINT(sley__fd_state(&fd) & SLEY_FD_HOLD_MASK, >=, SLEY_FD_HOLD);
        CHECK_RC(file_run(&second, SLEY_IO_READ), -EBUSY);
        write_text(in, "hi");
        CHECK_RC(sley_await(&first.io.wait), 2);
        CHECK(memcmp(a, "hi", 2) == 0);
        write_text(in, "there");
        CHECK_RC(file_run(&second, SLEY_IO_READ), 4);
        CHECK_RC(move_at(&fd, SLEY_IO_READV, &(struct iovec){b, 4}, 1, SLEY_FILE_HERE), 1);
    }
    CHECK_RC(move_at(&fd, SLEY_IO_READ, b, sizeof b, 0), -ESPIPE);
    (void)close(in);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, b, sizeof b, SLEY_FILE_HERE), 0);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    file_close(&fd);
}

static volatile sig_atomic_t pipes_broken;

static void count_sigpipe(int signo)
{
    (void)signo;
    pipes_broken++;
}

CLAUSE(pipe_write_waits_for_room)
{
    struct sley_fd fd;
    char text[4];
    int out, in;
    CHECK_INT(sigaction(SIGPIPE, &(struct sigaction){.sa_handler = count_sigpipe}, NULL), ==, 0);
    sley__rig_pipe(O_NONBLOCK, &out, &in);
    sley_fd_init(&fd, in);
    const size_t full = fill_pipe(in);
    struct sley_file_op op = here(&fd, "late", 4), second = op;
    file_start(&op, SLEY_IO_WRITE);
    CHECK(!soon(&op.io.wait));
    CHECK_RC(file_run(&second, SLEY_IO_WRITE), -EBUSY);
    empty_pipe(out, full);
    CHECK_RC(sley_await(&op.io.wait), 4);
    CHECK_INT(read(out, text, sizeof text), ==, 4);
    CHECK(memcmp(text, "late", 4) == 0);
    (void)close(out);
    CHECK_RC(file_run(&op, SLEY_IO_WRITE), -EPIPE);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITEV, &(struct iovec){text, 4}, 1, SLEY_FILE_HERE), -EPIPE);
    CHECK_INT(pipes_broken, ==, 0);
    file_close(&fd);
}

CLAUSE(blocking_descriptor_blocks_nobody)
{
    struct sley_fd fd, other;
    char buf[4], byte;
    int out, in;
    const int peer = unix_pair(&other);
    sley__rig_pipe(0, &out, &in);
    sley_fd_init(&fd, out);
    for (int round = 0; round < 3; round++) {
        struct sley_file_op op = here(&fd, buf, sizeof buf);
        struct sley_io_op recv_op = {0};
        file_start(&op, SLEY_IO_READ); /* a call would wait */
        io_start(&recv_op, &other, SLEY_IO_RECV, &byte, 1);
        put(peer, "x");
        CHECK_RC(sley_await(&recv_op.wait), 1);
        CHECK(!soon(&op.io.wait));
        if (round == 1) {
            sley_wait_cancel(&op.io.wait);
            CHECK_RC(sley_await(&op.io.wait), -ECANCELED);
        } else {
            write_text(in, "abc");
            CHECK_RC(sley_await(&op.io.wait), 3);
            CHECK(memcmp(buf, "abc", 3) == 0);
        }
    }
    (void)close(in);
    file_close(&fd);
    file_close(&other);
    (void)close(peer);
}

/* ---- cancel, close, end -------------------------------------------------------------------------------------------- */

CLAUSE(cancelled_file_op_moves_nothing)
{
    const unsigned rounds = sley__kit_rounds(500) + 6;
    struct sley_fd fd;
    int out, in;
    sley__rig_pipe(O_NONBLOCK, &out, &in);
    sley_fd_init(&fd, out);
    for (unsigned i = 0; i < rounds; i++) {
        unsigned char got = 0;
        const unsigned char byte = (unsigned char)(i | 1);
        struct sley_file_op op = here(&fd, &got, 1);
        file_start(&op, SLEY_IO_READ);
        if (i % 3 > 0) {
            CHECK_INT(write(in, &byte, 1), ==, 1);
        }
        if (i % 3 == 2) {
            (void)look(0);
        }
        sley_wait_cancel(&op.io.wait);
        const int rc = sley_await(&op.io.wait);
        CHECK(rc == 1 || rc == -ECANCELED);
        if (rc == -ECANCELED && i % 3 > 0) { /* then it is still there */
            CHECK_RC(move_at(&fd, SLEY_IO_READ, &got, 1, SLEY_FILE_HERE), 1);
        }
        CHECK_UINT(got, ==, i % 3 > 0 ? byte : 0);
        CHECK_UINT(reactor()->armed_count, ==, 0);
    }
    file_close(&fd);
    (void)close(in);
}

struct noted {
    struct sley_file_op op;
    int number, ends;
    bool was_open;
};

static int32_t note_number(struct sley_io_op *io, int32_t result)
{
    struct noted *n = sley_container_of(io, struct noted, op.io);
    n->ends++;
    n->was_open = fcntl(n->number, F_GETFD) >= 0;
    return result;
}

/** A READ of a pipe, or a SPLICE to @p to, which waits; @p closed is closed then. */
static void close_under(struct sley_fd *fd, struct sley_fd *to, struct sley_fd *closed, bool looked)
{
    char buf[4] = {0};
    struct noted n = {.op = here(fd, buf, sizeof buf), .number = closed->number};
    n.op.io.end = note_number;
    n.op.a.to = to;
    n.op.b.to_offset = SLEY_FILE_HERE;
    file_start(&n.op, to ? SLEY_IO_SPLICE : SLEY_IO_READ);
    if (looked) {
        settle();
    }
    file_close(closed);
    CHECK(sley_wait_done(&n.op.io.wait));
    CHECK_RC(n.op.io.wait.result, -ECANCELED);
    CHECK_INT(n.ends, ==, 1);
    CHECK(n.was_open);
    CHECK_INT(fcntl(n.number, F_GETFD), <, 0);
}

CLAUSE(close_ends_file_ops_before_itself)
{
    for (int looked = 0; looked < 2; looked++) {
        struct sley_fd fd, to;
        int out, in, to_out, to_in;
        sley__rig_pipe(O_NONBLOCK, &out, &in);
        sley__rig_pipe(O_NONBLOCK, &to_out, &to_in);
        sley_fd_init(&fd, out);
        sley_fd_init(&to, to_in);
        close_under(&fd, &to, &to, looked);
        close_under(&fd, NULL, &fd, looked);
        (void)close(in);
        (void)close(to_out);
    }
}

CLAUSE(destroy_ends_file_ops)
{
    struct sley_sched *s = sley_sched_current();
    struct sley_reactor *usual = s->reactor, *mine;
    const struct sley_reactor_opts opts = {0};
    struct sley_fd fd, file;
    char buf[4], byte = 'x';
    int out, in;
    CHECK_RC(sley__rig_factory.create(&opts, &mine), 0);
    mine->sched = s;
    s->reactor = mine;
    sley__rig_pipe(O_NONBLOCK, &out, &in);
    sley__rig_file(&file);
    sley_fd_init(&fd, out);
    struct noted n = {.op = here(&fd, buf, sizeof buf), .number = out};
    struct sley_file_op write_op = {.io = {.fd = &file, .buf = &byte, .len = 1}};
    n.op.io.end = note_number;
    file_start(&n.op, SLEY_IO_READ);
    file_start(&write_op, SLEY_IO_WRITE); /* mostly a call that has begun, or not, elsewhere */
    sley_reactor_destroy(mine);
    s->reactor = usual;
    CHECK(sley_wait_done(&n.op.io.wait) && sley_wait_done(&write_op.io.wait));
    CHECK_RC(n.op.io.wait.result, -ECANCELED);
    CHECK_INT(n.ends, ==, 1);
    CHECK(write_op.io.wait.result == 1 || write_op.io.wait.result == -ECANCELED);
    CHECK_INT(pread(file.number, &byte, 1, 0), ==, write_op.io.wait.result == 1);
    (void)close(in);
    (void)close(out);
    (void)close(file.number);
}
