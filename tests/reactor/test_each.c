/* Every op of the set, one by one: it does what it is for, fails with what it should, and can be cancelled, before and while it waits. */
#include "bed.h"

#include <sley/file_impl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* ---- rig --------------------------------------------------------------------------------------------------------------- */

static struct {
    struct sley_file_op op; /* what is tried; sockets' ops are in its `io` */
    struct sley_fd fd, to;
    int peer, extra, dir; /* plain numbers; -1: none */
    size_t filled;        /* what has to be taken before there is room */
    struct sockaddr_in addr;
    struct iovec iov[2];
    struct msghdr message;
    struct sley_fixed fixed;
    struct statx st;
    siginfo_t info;
    pid_t pid;
    int gate[2];
    char dir_path[80], memory[64], buf[8192];
} rig;

enum { SOME = 1 << 20 }; /* as a result: any number above 0 */

static void open_rig(void)
{
    const char *tmp = getenv("TMPDIR");
    memset(&rig, 0, sizeof rig);
    rig.peer = rig.extra = rig.gate[0] = rig.gate[1] = -1;
    sley_fd_init(&rig.fd, -1);
    sley_fd_init(&rig.to, -1);
    (void)snprintf(rig.dir_path, sizeof rig.dir_path, "%s/sley-each-XXXXXX", tmp && strlen(tmp) < 50 ? tmp : "/tmp");
    CHECK(mkdtemp(rig.dir_path) != NULL);
    rig.dir = open(rig.dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_INT(rig.dir, >=, 0);
}

static void close_rig(void)
{
    static const char *const names[] = {"f", "g"};
    const int numbers[] = {rig.peer, rig.extra, rig.gate[0], rig.gate[1]};
    CHECK_RC(sley_fd_close(&rig.fd), 0);
    CHECK_RC(sley_fd_close(&rig.to), 0);
    CHECK_RC(sley_fixed_fini(&rig.fixed), 0);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i] >= 0) {
            CHECK_INT(close(numbers[i]), ==, 0);
        }
    }
    if (rig.pid > 0) {
        CHECK_INT(kill(rig.pid, SIGKILL) == 0 ? waitpid(rig.pid, NULL, 0) : rig.pid, ==, rig.pid);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (unlinkat(rig.dir, names[i], 0) < 0 && errno == EISDIR) {
            CHECK_INT(unlinkat(rig.dir, names[i], AT_REMOVEDIR), ==, 0);
        }
    }
    CHECK_INT(close(rig.dir), ==, 0);
    CHECK_INT(rmdir(rig.dir_path), ==, 0);
}

static void describe(struct sley_fd *fd, void *buf, size_t len)
{
    const uint8_t code = rig.op.io.code;
    rig.op = (struct sley_file_op){.io = {.fd = fd, .buf = buf, .len = len, .code = code}, .offset = SLEY_FILE_HERE};
}

static bool is_there(const char *name)
{
    return faccessat(rig.dir, name, F_OK, 0) == 0;
}

static void make_file(const char *name)
{
    const int n = openat(rig.dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_INT(write(n, "file", 4), ==, 4);
    CHECK_INT(close(n), ==, 0);
}

/* ---- sockets ------------------------------------------------------------------------------------------------------------- */

static void accept_open(void)
{
    sley_fd_init(&rig.fd, tcp_listener(&rig.addr, 8));
    describe(&rig.fd, NULL, 0);
}

static void accept_let(void)
{
    rig.peer = tcp_dial(&rig.addr);
}

static int accept_bad(void)
{
    sley_fd_init(&rig.to, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    rig.op.io.fd = &rig.to; /* it does not listen */
    return -EINVAL;
}

static void accept_done(void)
{
    rig.extra = rig.op.io.out_number;
    CHECK_INT(send(rig.extra, "x", 1, MSG_NOSIGNAL), ==, 1);
    CHECK_INT(recv(rig.peer, rig.buf, 1, 0), ==, 1);
}

static void connect_open(void)
{
    rig.extra = tcp_listener(&rig.addr, 8);
    sley_fd_init(&rig.fd, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    describe(&rig.fd, &rig.addr, sizeof rig.addr);
}

static int connect_bad(void)
{
    CHECK_INT(close(rig.extra), ==, 0);
    rig.extra = tcp_nobody(&rig.addr);
    return -ECONNREFUSED;
}

static void connect_done(void)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    CHECK_INT(getpeername(rig.fd.number, (struct sockaddr *)&peer, &len), ==, 0);
    CHECK_UINT(peer.sin_port, ==, rig.addr.sin_port);
}

static void recv_open(void)
{
    rig.peer = tcp_pair(&rig.fd);
    describe(&rig.fd, rig.buf, 64);
}

static void recv_let(void)
{
    put(rig.peer, "abc");
}

static int recv_bad(void)
{
    CHECK_INT(setsockopt(rig.peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), ==, 0);
    CHECK_INT(close(rig.peer), ==, 0);
    rig.peer = -1;
    return -ECONNRESET;
}

static void recv_done(void)
{
    CHECK_INT(memcmp(rig.buf, "abc", 3), ==, 0);
}

static void message(int flags)
{
    rig.iov[0] = (struct iovec){rig.buf, flags ? sizeof rig.buf : 1};
    rig.iov[1] = (struct iovec){rig.buf + 1, 63};
    rig.message = (struct msghdr){.msg_iov = rig.iov, .msg_iovlen = flags ? 1 : 2};
    describe(&rig.fd, &rig.message, 0);
}

static void recvmsg_open(void)
{
    recv_open();
    message(0);
}

/** A socket that is full. */
static void send_open(void)
{
    rig.peer = unix_pair(&rig.fd);
    for (ssize_t n; (n = send(rig.fd.number, rig.buf, sizeof rig.buf, MSG_DONTWAIT)) > 0;) {
        rig.filled += (size_t)n;
    }
    describe(&rig.fd, rig.buf, sizeof rig.buf);
}

static void sendmsg_open(void)
{
    send_open();
    message(1);
}

static void send_let(void)
{
    static char block[65536];
    for (ssize_t n; rig.filled > 0; rig.filled -= (size_t)n) {
        n = recv(rig.peer, block, rig.filled < sizeof block ? rig.filled : sizeof block, 0);
        CHECK_INT(n, >, 0);
    }
}

static int peer_gone(void)
{
    CHECK_INT(close(rig.peer), ==, 0);
    rig.peer = -1;
    return -EPIPE;
}

static void send_done(void)
{
    int n = 0;
    wait_in(rig.peer);
    CHECK_INT(ioctl(rig.peer, FIONREAD, &n), ==, 0);
    CHECK_INT(n, ==, rig.op.io.wait.result);
}

static void poll_open(void)
{
    recv_open();
    describe(&rig.fd, NULL, SLEY_IO_IN);
}

static int poll_bad(void)
{
    sley_fd_init(&rig.to, fcntl(rig.dir, F_DUPFD_CLOEXEC, 0));
    rig.op.io.fd = &rig.to;
    return -EPERM;
}

static void send_zc_open(void)
{
    rig.peer = tcp_pair(&rig.fd);
    describe(&rig.fd, rig.buf, 16);
    rig.op.offset = 0;
}

static int send_zc_bad(void)
{
    CHECK_INT(shutdown(rig.fd.number, SHUT_WR), ==, 0);
    return -EPIPE;
}

static void shutdown_open(void)
{
    rig.peer = tcp_pair(&rig.fd);
    describe(&rig.fd, NULL, 0);
    rig.op.how = SHUT_WR;
}

static int shutdown_bad(void)
{
    sley_fd_init(&rig.to, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    rig.op.io.fd = &rig.to;
    return -ENOTCONN;
}

static void shutdown_done(void)
{
    CHECK_INT(recv(rig.peer, rig.buf, 1, 0), ==, 0);
}

static void shutdown_undone(void)
{
    CHECK_INT(recv(rig.peer, rig.buf, 1, MSG_DONTWAIT), ==, -1);
}

/* ---- pipes ----------------------------------------------------------------------------------------------------------------- */

static void pipe_open(bool reading)
{
    int n[2];
    CHECK_INT(pipe2(n, O_CLOEXEC | O_NONBLOCK), ==, 0);
    sley_fd_init(&rig.fd, n[!reading]);
    rig.peer = n[reading];
}

static void read_open(void)
{
    pipe_open(true);
    describe(&rig.fd, rig.buf, 64);
}

static void readv_open(void)
{
    pipe_open(true);
    message(0);
    describe(&rig.fd, rig.iov, 2);
}

static void read_let(void)
{
    CHECK_INT(write(rig.peer, "abc", 3), ==, 3);
}

static int read_bad(void)
{
    sley_fd_init(&rig.to, fcntl(rig.dir, F_DUPFD_CLOEXEC, 0));
    rig.op.io.fd = &rig.to;
    return -EISDIR;
}

static void write_open(void)
{
    pipe_open(false);
    for (ssize_t n; (n = write(rig.fd.number, rig.buf, 4096)) > 0;) {
        rig.filled += (size_t)n;
    }
    describe(&rig.fd, rig.buf, 4096);
}

static void writev_open(void)
{
    write_open();
    message(1);
    describe(&rig.fd, rig.iov, 1);
}

static void write_let(void)
{
    for (ssize_t n; rig.filled > 0; rig.filled -= (size_t)n) {
        n = read(rig.peer, rig.buf, rig.filled < sizeof rig.buf ? rig.filled : sizeof rig.buf);
        CHECK_INT(n, >, 0);
    }
}

static void splice_open(void)
{
    int n[2];
    pipe_open(true);
    CHECK_INT(pipe2(n, O_CLOEXEC | O_NONBLOCK), ==, 0);
    rig.extra = n[0];
    sley_fd_init(&rig.to, n[1]);
    describe(&rig.fd, NULL, 64);
    rig.op.a.to = &rig.to;
    rig.op.b.to_offset = SLEY_FILE_HERE;
}

static int splice_bad(void)
{
    CHECK_RC(sley_fd_close(&rig.to), 0);
    sley_fd_init(&rig.to, openat(rig.dir, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    CHECK_RC(sley_fd_close(&rig.fd), 0);
    sley_fd_init(&rig.fd, fcntl(rig.to.number, F_DUPFD_CLOEXEC, 0));
    return -EINVAL; /* neither is a pipe */
}

static void splice_done(void)
{
    CHECK_INT(read(rig.extra, rig.buf, 64), ==, 3);
    CHECK_INT(memcmp(rig.buf, "abc", 3), ==, 0);
}

/* ---- files, paths ---------------------------------------------------------------------------------------------------------- */

static void file_open(void)
{
    make_file("f");
    sley_fd_init(&rig.fd, openat(rig.dir, "f", O_RDWR | O_CLOEXEC));
    describe(&rig.fd, rig.memory, 4);
    rig.op.offset = 0;
}

static void fixed_open(void)
{
    file_open();
    CHECK_RC(sley_fixed_init(&rig.fixed, rig.memory, sizeof rig.memory), 0);
    rig.op.a.fixed = &rig.fixed;
    memcpy(rig.memory, "data", 4);
}

static int fixed_bad(void)
{
    rig.op.io.buf = rig.memory + sizeof rig.memory - 2;
    return -EFAULT;
}

static void read_fixed_done(void)
{
    CHECK_INT(memcmp(rig.memory, "file", 4), ==, 0);
}

static void write_fixed_done(void)
{
    CHECK_INT(pread(rig.fd.number, rig.buf, 64, 0), ==, 4);
    CHECK_INT(memcmp(rig.buf, "data", 4), ==, 0);
}

static void write_fixed_undone(void)
{
    CHECK_INT(pread(rig.fd.number, rig.buf, 64, 0), ==, 4);
    CHECK_INT(memcmp(rig.buf, "file", 4), ==, 0);
}

static int sync_bad(void)
{
    CHECK_RC(sley_fd_close(&rig.fd), 0);
    pipe_open(true);
    return -EINVAL;
}

static int is_closed(void)
{
    CHECK_RC(sley_fd_close(&rig.fd), 0);
    return -EBADF;
}

static void fallocate_open(void)
{
    file_open();
    rig.op.io.len = 5000;
}

static int fallocate_bad(void)
{
    rig.op.io.len = 0;
    return -EINVAL;
}

static off_t file_bytes(void)
{
    struct stat st;
    CHECK_INT(fstat(rig.fd.number, &st), ==, 0);
    return st.st_size;
}

static void fallocate_done(void)
{
    CHECK_INT(file_bytes(), ==, 5000);
}

static void fallocate_undone(void)
{
    CHECK_INT(file_bytes(), ==, 4);
}

static void path_open(void)
{
    make_file("f");
    describe(NULL, NULL, 0);
    rig.op.dir = rig.op.to_dir = rig.dir;
    rig.op.a.path = "f";
    rig.op.b.to_path = "g";
    rig.op.mode = 0;
}

static int path_bad(void)
{
    rig.op.a.path = "missing";
    return -ENOENT;
}

static void open_done(void)
{
    rig.extra = rig.op.io.out_number;
    CHECK_INT(fcntl(rig.extra, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
}

static void stat_open(void)
{
    path_open();
    rig.op.io.buf = &rig.st;
    rig.op.mode = STATX_SIZE;
}

static void stat_done(void)
{
    CHECK_UINT(rig.st.stx_size, ==, 4);
}

static void rename_done(void)
{
    CHECK(is_there("g") && !is_there("f"));
}

static void rename_undone(void)
{
    CHECK(is_there("f") && !is_there("g"));
}

static void unlink_done(void)
{
    CHECK(!is_there("f"));
}

static void unlink_undone(void)
{
    CHECK(is_there("f"));
}

static void mkdir_open(void)
{
    path_open();
    rig.op.a.path = "g";
    rig.op.mode = 0700;
}

static int mkdir_bad(void)
{
    rig.op.a.path = "f";
    return -EEXIST;
}

static void mkdir_done(void)
{
    CHECK(is_there("g"));
}

static void mkdir_undone(void)
{
    CHECK(!is_there("g"));
}

static void child_open(void)
{
    CHECK_INT(pipe2(rig.gate, O_CLOEXEC), ==, 0);
    rig.pid = fork();
    CHECK_INT(rig.pid, >=, 0);
    if (rig.pid == 0) {
        _exit(read(rig.gate[0], rig.buf, 1) == 1 ? 7 : 8);
    }
    sley_fd_init(&rig.fd, (int)syscall(SYS_pidfd_open, rig.pid, 0));
    CHECK_INT(rig.fd.number, >=, 0);
    describe(&rig.fd, &rig.info, 0);
}

static void child_let(void)
{
    CHECK_INT(write(rig.gate[1], "x", 1), ==, 1);
}

static void child_done(void)
{
    CHECK_INT(rig.info.si_status, ==, 7);
    CHECK_INT(waitpid(rig.pid, NULL, WNOHANG), ==, -1);
    rig.pid = 0;
}

/* ---- the set --------------------------------------------------------------------------------------------------------------- */

static const struct each {
    const char *name;
    uint8_t code;
    int32_t success;
    void (*open)(void);   /* readies and describes it */
    void (*let)(void);    /* it may happen now; NULL: it need not wait */
    int (*bad)(void);     /* it is to fail: with what */
    void (*done)(void);   /* it has happened; NULL: nothing to be seen */
    void (*undone)(void); /* it has not */
} set[] = {
    {"accept", SLEY_IO_ACCEPT, 0, accept_open, accept_let, accept_bad, accept_done, NULL},
    {"connect", SLEY_IO_CONNECT, 0, connect_open, NULL, connect_bad, connect_done, NULL},
    {"recv", SLEY_IO_RECV, 3, recv_open, recv_let, recv_bad, recv_done, NULL},
    {"send", SLEY_IO_SEND, SOME, send_open, send_let, peer_gone, send_done, NULL},
    {"recvmsg", SLEY_IO_RECVMSG, 3, recvmsg_open, recv_let, recv_bad, recv_done, NULL},
    {"sendmsg", SLEY_IO_SENDMSG, SOME, sendmsg_open, send_let, peer_gone, send_done, NULL},
    {"poll", SLEY_IO_POLL, SLEY_IO_IN, poll_open, recv_let, poll_bad, NULL, NULL},
    {"read", SLEY_IO_READ, 3, read_open, read_let, read_bad, recv_done, NULL},
    {"write", SLEY_IO_WRITE, SOME, write_open, write_let, peer_gone, send_done, NULL},
    {"readv", SLEY_IO_READV, 3, readv_open, read_let, read_bad, recv_done, NULL},
    {"writev", SLEY_IO_WRITEV, SOME, writev_open, write_let, peer_gone, send_done, NULL},
    {"read_fixed", SLEY_IO_READ_FIXED, 4, fixed_open, NULL, fixed_bad, read_fixed_done, NULL},
    {"write_fixed", SLEY_IO_WRITE_FIXED, 4, fixed_open, NULL, fixed_bad, write_fixed_done, write_fixed_undone},
    {"send_zc", SLEY_IO_SEND_ZC, 16, send_zc_open, NULL, send_zc_bad, send_done, NULL},
    {"open", SLEY_IO_OPEN, 0, path_open, NULL, path_bad, open_done, NULL},
    {"fsync", SLEY_IO_FSYNC, 0, file_open, NULL, sync_bad, NULL, NULL},
    {"fdatasync", SLEY_IO_FDATASYNC, 0, file_open, NULL, sync_bad, NULL, NULL},
    {"stat", SLEY_IO_STAT, 0, stat_open, NULL, path_bad, stat_done, NULL},
    {"fallocate", SLEY_IO_FALLOCATE, 0, fallocate_open, NULL, fallocate_bad, fallocate_done, fallocate_undone},
    {"splice", SLEY_IO_SPLICE, 3, splice_open, read_let, splice_bad, splice_done, NULL},
    {"rename", SLEY_IO_RENAME, 0, path_open, NULL, path_bad, rename_done, rename_undone},
    {"unlink", SLEY_IO_UNLINK, 0, path_open, NULL, path_bad, unlink_done, unlink_undone},
    {"mkdir", SLEY_IO_MKDIR, 0, mkdir_open, NULL, mkdir_bad, mkdir_done, mkdir_undone},
    {"shutdown", SLEY_IO_SHUTDOWN, 0, shutdown_open, NULL, shutdown_bad, shutdown_done, shutdown_undone},
    {"child", SLEY_IO_CHILD, 0, child_open, child_let, is_closed, child_done, NULL},
};
enum { SET = sizeof set / sizeof set[0] };

static const struct each *begin(size_t i)
{
    (void)fprintf(stderr, "%s\n", set[i].name); /* shown when the case fails */
    open_rig();
    rig.op.io.code = set[i].code;
    set[i].open();
    return &set[i];
}

/** Nothing is armed, nothing held. */
static void end(void)
{
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_UINT(rig.fd.number < 0 ? 0 : sley__fd_state(&rig.fd) & (SLEY_FD_HOLD_MASK | SLEY_FD_READING | SLEY_FD_WRITING), ==, 0);
    close_rig();
}

static void check_done(const struct each *e, int32_t rc)
{
    if (e->success == SOME) {
        CHECK_INT(rc, >, 0);
    } else {
        CHECK_RC(rc, e->success);
    }
    if (e->done) {
        e->done();
    }
}

static int32_t run(void)
{
    sley_io_submit(&rig.op.io);
    return sley_await(&rig.op.io.wait);
}

FIBER_TEST(each_op_does_what_it_is_for, "")
{
    for (size_t i = 0; i < SET; i++) {
        const struct each *e = begin(i);
        if (e->let) {
            e->let();
        }
        check_done(e, run());
        end();
    }
}

FIBER_TEST(each_op_that_has_to_wait_waits, "")
{
    for (size_t i = 0; i < SET; i++) {
        const struct each *e = begin(i);
        if (e->let) {
            sley_io_submit(&rig.op.io);
            for (int k = 0; k < 50; k++) {
                CHECK_RC(sley_yield(), 0);
            }
            CHECK(!sley_wait_done(&rig.op.io.wait));
            e->let();
            check_done(e, sley_await(&rig.op.io.wait));
        }
        end();
    }
}

FIBER_TEST(each_op_says_why_it_fails, "")
{
    for (size_t i = 0; i < SET; i++) {
        const struct each *e = begin(i);
        const int want = e->bad();
        CHECK_RC(run(), want);
        end();
    }
}

FIBER_TEST(each_op_on_what_is_closed_is_ebadf, "REACT-07")
{
    for (size_t i = 0; i < SET; i++) {
        const struct each *e = begin(i);
        if (rig.op.io.fd) {
            (void)e;
            CHECK_RC(sley_fd_close(&rig.fd), 0);
            CHECK_RC(run(), -EBADF);
        }
        end();
    }
}

FIBER_TEST(each_op_that_waits_is_cancelled_and_nothing_has_happened, "")
{
    for (size_t i = 0; i < SET; i++) {
        const struct each *e = begin(i);
        if (e->let) {
            for (int k = 0; k < 3; k++) {
                sley_io_submit(&rig.op.io);
                for (int n = 0; n < 10 * k; n++) {
                    CHECK_RC(sley_yield(), 0);
                }
                sley_wait_cancel(&rig.op.io.wait);
                CHECK_RC(sley_await(&rig.op.io.wait), -ECANCELED);
                CHECK_UINT(reactor()->armed_count, ==, 0);
            }
            e->let();
            check_done(e, run()); /* it is all there still */
        }
        end();
    }
}

FIBER_TEST(each_op_cancelled_as_it_goes_has_happened_or_not, "")
{
    for (size_t i = 0; i < SET; i++) {
        const struct each *e = begin(i);
        if (e->let) {
            e->let();
        }
        sley_io_submit(&rig.op.io);
        sley_wait_cancel(&rig.op.io.wait);
        int32_t rc = sley_await(&rig.op.io.wait);
        if (rc == -ECANCELED && e->code != SLEY_IO_CONNECT) { /* which may be under way */
            if (e->undone) {
                e->undone();
            }
            rc = run();
        }
        if (rc != -ECANCELED) {
            check_done(e, rc);
        }
        end();
    }
}

static int start_cancelled(void *unused)
{
    (void)unused;
    CHECK_RC(sley_yield(), -ECANCELED);
    sley_io_submit(&rig.op.io);
    CHECK(sley_wait_done(&rig.op.io.wait));
    return rig.op.io.wait.result;
}
SLEY_FIBER(start_cancelled, void)

FIBER_TEST(each_op_of_a_cancelled_task_is_refused, "")
{
    for (size_t i = 0; i < SET; i++) {
        const struct each *e = begin(i);
        struct sley_task *t;
        int rc = 0;
        if (e->let) {
            e->let();
        }
        CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, start_cancelled), 0);
        sley_task_cancel(t);
        CHECK_RC(sley_task_join(t, &rc), 0);
        sley_task_unref(t);
        CHECK_RC(rc, -ECANCELED);
        if (e->undone) {
            e->undone();
        }
        check_done(e, run());
        end();
    }
}
