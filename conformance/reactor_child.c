/* Clauses: file ops that have two sides: splices, shutdowns, children, sends in two stages. */
#include "rig_file.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile sig_atomic_t pipes_broken;

static void count_sigpipe(int signo)
{
    (void)signo;
    pipes_broken++;
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
        CHECK_INT(poll(&(struct pollfd){.fd = fd.number}, 1, -1), ==, 1); /* for the reset: what was not read is lost */
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
