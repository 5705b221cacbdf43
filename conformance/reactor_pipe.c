/* Clauses: file ops that wait for somebody else: pipes, splices, children, sends in two stages. */
#include "rig_file.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

void sley__rig_pipe(int flags, int *ret_out, int *ret_in)
{
    int n[2];
    CHECK_INT(pipe2(n, flags | O_CLOEXEC), ==, 0);
    *ret_out = n[0];
    *ret_in = n[1];
}

static struct sley_file_op here(struct sley_fd *fd, const void *buf, size_t len)
{
    return (struct sley_file_op){.io = {.fd = fd, .buf = (void *)(uintptr_t)buf, .len = len}, .offset = SLEY_FILE_HERE};
}

static void write_text(int number, const char *text)
{
    CHECK_INT(write(number, text, strlen(text)), ==, (intmax_t)strlen(text));
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

static size_t fill_pipe(int in)
{
    static const char block[4096];
    size_t bytes = 0;
    CHECK_INT(fcntl(in, F_SETPIPE_SZ, 4096), >=, 0);
    for (ssize_t n; (n = write(in, block, sizeof block)) > 0;) {
        bytes += (size_t)n;
    }
    return bytes;
}

static void empty_pipe(int out, size_t bytes)
{
    static char block[65536];
    while (bytes > 0) {
        const ssize_t n = read(out, block, bytes < sizeof block ? bytes : sizeof block);
        CHECK_INT(n, >, 0);
        bytes -= (size_t)n;
    }
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
    char buf[4];
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

/* ---- splice, shutdown ---------------------------------------------------------------------------------------------- */

CLAUSE(splice_waits_for_either_side)
{
    struct sley_fd from, to, socks[2];
    char buf[16];
    int out, in, to_out, to_in;
    sley__rig_pipe(O_NONBLOCK, &out, &in);
    sley__rig_pipe(O_NONBLOCK, &to_out, &to_in);
    sley_fd_init(&from, out);
    sley_fd_init(&to, to_in);
    struct sley_file_op op = here(&from, NULL, 4);
    op.a.to = &to;
    op.b.to_offset = SLEY_FILE_HERE;
    file_start(&op, SLEY_IO_SPLICE); /* nothing to take */
    CHECK(!soon(&op.io.wait));
    CHECK_RC(move_at(&from, SLEY_IO_READ, buf, 1, SLEY_FILE_HERE), -EBUSY);
    CHECK_RC(move_at(&to, SLEY_IO_WRITE, buf, 1, SLEY_FILE_HERE), -EBUSY);
    write_text(in, "123456");
    CHECK_RC(sley_await(&op.io.wait), 4);
    CHECK_INT(read(to_out, buf, sizeof buf), ==, 4);
    CHECK(memcmp(buf, "1234", 4) == 0);
    const size_t full = fill_pipe(to_in);
    file_start(&op, SLEY_IO_SPLICE); /* no room to put it */
    CHECK(!soon(&op.io.wait));
    sley_wait_cancel(&op.io.wait);
    CHECK_RC(sley_await(&op.io.wait), -ECANCELED);
    file_start(&op, SLEY_IO_SPLICE);
    CHECK(!soon(&op.io.wait));
    empty_pipe(to_out, full);
    CHECK_RC(sley_await(&op.io.wait), 2);
    CHECK_INT(read(to_out, buf, sizeof buf), ==, 2);
    CHECK(memcmp(buf, "56", 2) == 0);
    (void)close(in);
    CHECK_RC(file_run(&op, SLEY_IO_SPLICE), 0); /* the end */
    const int peers[2] = {unix_pair(&socks[0]), unix_pair(&socks[1])};
    op.io.fd = &socks[0];
    op.a.to = &socks[1];
    CHECK_RC(file_run(&op, SLEY_IO_SPLICE), -EINVAL); /* neither is a pipe */
    file_close(&from);
    file_close(&to);
    (void)close(to_out);
    for (int i = 0; i < 2; i++) {
        file_close(&socks[i]);
        (void)close(peers[i]);
    }
}

CLAUSE(shutdown_ends_a_direction)
{
    struct sley_fd fd;
    char byte;
    const int peer = unix_pair(&fd);
    struct sley_file_op op = {.io = {.fd = &fd}, .how = SHUT_WR};
    struct sley_io_op recv_op = {0};
    io_start(&recv_op, &fd, SLEY_IO_RECV, &byte, 1);
    CHECK_RC(file_run(&op, SLEY_IO_SHUTDOWN), 0);
    CHECK_INT(recv(peer, &byte, 1, 0), ==, 0);
    CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), -EPIPE);
    CHECK(!soon(&recv_op.wait)); /* the other direction goes on */
    op.how = SHUT_RD;
    CHECK_RC(file_run(&op, SLEY_IO_SHUTDOWN), 0);
    CHECK_RC(until_done(&recv_op.wait), 0);
    file_close(&fd);
    (void)close(peer);
}

/* ---- children ------------------------------------------------------------------------------------------------------ */

CLAUSE(child_that_ends_is_told)
{
    for (int round = 0; round < 4; round++) {
        struct sley_fd fd;
        siginfo_t info;
        int gate_out, gate;
        sley__rig_pipe(0, &gate_out, &gate);
        const pid_t pid = fork();
        if (pid == 0) {
            char c;
            _exit(read(gate_out, &c, 1) == 1 ? 7 : 8);
        }
        CHECK_INT(pid, >, 0);
        const int number = (int)syscall(SYS_pidfd_open, pid, 0);
        if (number < 0) {
            SKIP("no pidfd: %s", strerror(errno));
        }
        sley_fd_init(&fd, number);
        struct sley_file_op op = {.io = {.fd = &fd, .buf = round == 2 ? NULL : &info}};
        file_start(&op, SLEY_IO_CHILD);
        CHECK(!soon(&op.io.wait));
        if (round % 2) {
            sley_wait_cancel(&op.io.wait);
            CHECK_RC(sley_await(&op.io.wait), -ECANCELED);
            op.how = WNOWAIT;
            file_start(&op, SLEY_IO_CHILD);
        }
        write_text(gate, "x");
        CHECK_RC(sley_await(&op.io.wait), 0);
        if (round % 2) { /* it is still to be waited for */
            CHECK_INT(info.si_status, ==, 7);
            memset(&info, 0, sizeof info);
            op.how = 0;
            CHECK_RC(file_run(&op, SLEY_IO_CHILD), 0);
        }
        CHECK(round == 2 || (info.si_pid == pid && info.si_status == 7));
        CHECK_INT(waitpid(pid, NULL, WNOHANG), ==, -1);
        CHECK_RC(file_run(&op, SLEY_IO_CHILD), -ECHILD);
        file_close(&fd);
        (void)close(gate_out);
        (void)close(gate);
    }
}

/* ---- sends in two stages ------------------------------------------------------------------------------------------- */

struct staged {
    struct sley_file_op op;
    int sent;
    int32_t result;
};

static void on_sent(struct sley_file_op *op, int32_t result)
{
    struct staged *z = sley_container_of(op, struct staged, op);
    CHECK(!sley_wait_done(&op->io.wait));
    CHECK_UINT(sley__fd_state(op->io.fd) & SLEY_FD_WRITING, ==, 0); /* the next may start */
    z->sent++;
    z->result = result;
}

static struct staged staged(struct sley_fd *fd, const void *buf, size_t len)
{
    return (struct staged){.op = {.io = {.fd = fd, .buf = (void *)(uintptr_t)buf, .len = len}, .a.sent = on_sent}};
}

static void end_staged(struct staged *z, int32_t expected)
{
    CHECK_RC(sley_await(&z->op.io.wait), expected);
    CHECK_INT(z->sent, ==, 1);
    CHECK_RC(z->result, expected);
}

CLAUSE(zero_copy_send_has_two_stages)
{
    static char block[4096], room[4096];
    for (int kind = PAIR_UNIX; kind <= PAIR_TCP; kind++) {
        struct sley_fd fd;
        const int peer = sley__rig_pair((enum pair)kind, &fd);
        CHECK_INT(sigaction(SIGPIPE, &(struct sigaction){.sa_handler = count_sigpipe}, NULL), ==, 0);
        struct staged z = staged(&fd, "zero", 4);
        file_start(&z.op, SLEY_IO_SEND_ZC);
        while (z.sent == 0) {
            (void)look(SLEY_NEVER);
        }
        CHECK_RC(io(&fd, SLEY_IO_SEND, "next", 4), 4); /* before the buffer is back, perhaps */
        end_staged(&z, 4);
        CHECK_INT(recv(peer, room, 8, MSG_WAITALL), ==, 8);
        CHECK(memcmp(room, "zeronext", 8) == 0);
        z = staged(&fd, block, sizeof block);
        z.op.b.fixed = &(struct sley_fixed){.base = block + 1, .bytes = sizeof block - 1};
        file_start(&z.op, SLEY_IO_SEND_ZC);
        end_staged(&z, -EFAULT);
        size_t sent = 0;
        for (ssize_t n; (n = send(fd.number, block, sizeof block, MSG_DONTWAIT)) > 0;) {
            sent += (size_t)n;
        }
        z = staged(&fd, "late", 4);
        file_start(&z.op, SLEY_IO_SEND_ZC);
        if (!soon(&z.op.io.wait)) { /* a TCP socket may have found some room */
            CHECK_RC(io(&fd, SLEY_IO_SEND, "x", 1), z.sent ? 1 : -EBUSY);
            sley_wait_cancel(&z.op.io.wait);
            const int rc = sley_await(&z.op.io.wait);
            CHECK(rc == -ECANCELED || rc == 4);
            end_staged(&z, rc);
        }
        (void)close(peer);
        z = staged(&fd, "gone", 4);
        file_start(&z.op, SLEY_IO_SEND_ZC);
        const int rc = sley_await(&z.op.io.wait);
        CHECK(rc == -EPIPE || rc == -ECONNRESET);
        end_staged(&z, rc);
        CHECK_INT(pipes_broken, ==, 0);
        file_close(&fd);
        z = staged(&fd, "shut", 4);
        file_start(&z.op, SLEY_IO_SEND_ZC);
        end_staged(&z, -EBADF);
        CHECK_UINT(sent, >, 0);
    }
}
