/* Unix sockets, pipes and FIFOs over a real port: paths that lead nowhere, descriptors that travel, queues that are full. */
#include "bed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- paths ------------------------------------------------------------------------------------------------------------ */

/** A directory of this case's own. */
static void make_dir(char *ret_dir, size_t bytes)
{
    const char *tmp = getenv("TMPDIR");
    CHECK_INT(snprintf(ret_dir, bytes, "%s/sley-unix-XXXXXX", tmp ? tmp : "/tmp"), <, (intmax_t)bytes);
    CHECK(mkdtemp(ret_dir) != NULL);
}

static struct sockaddr_un at_path(const char *dir, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    CHECK_INT(snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", dir, name), <, (intmax_t)sizeof a.sun_path);
    return a;
}

static int unix_socket(int type)
{
    const int n = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK_INT(n, >=, 0);
    return n;
}

FIBER_TEST(connect_to_a_missing_path_and_to_a_file_ends_with_why, "UNIX-02")
{
    char dir[64];
    make_dir(dir, sizeof dir);
    struct sockaddr_un missing = at_path(dir, "missing"), file = at_path(dir, "file"), left = at_path(dir, "left");
    const int number = open(file.sun_path, O_CREAT | O_RDWR | O_CLOEXEC, 0600), old = unix_socket(SOCK_STREAM);
    CHECK_INT(number, >=, 0);
    CHECK_INT(bind(old, (struct sockaddr *)&left, sizeof left), ==, 0);
    CHECK_INT(close(old), ==, 0); /* its name stays */
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 3; i++) {
        struct sley_fd fd;
        sley_fd_init(&fd, unix_socket(types[i]));
        CHECK_RC(io(&fd, SLEY_IO_CONNECT, &missing, sizeof missing), -ENOENT);
        CHECK_RC(io(&fd, SLEY_IO_CONNECT, &file, sizeof file), -ECONNREFUSED);
        CHECK_RC(io(&fd, SLEY_IO_CONNECT, &left, sizeof left), -ECONNREFUSED);
        struct sley_io_op op = {0};
        io_start(&op, &fd, SLEY_IO_CONNECT, &missing, sizeof missing);
        CHECK(done_now(&op.wait));
        CHECK_RC(op.wait.result, -ENOENT);
        CHECK_RC(sley_fd_close(&fd), 0);
    }
    CHECK_INT(close(number), ==, 0);
    CHECK_INT(unlink(file.sun_path), ==, 0);
    CHECK_INT(unlink(left.sun_path), ==, 0);
    CHECK_INT(rmdir(dir), ==, 0);
}

FIBER_TEST(listener_at_a_path_is_found_and_accepts, "UNIX-02")
{
    char dir[64], buf[8];
    make_dir(dir, sizeof dir);
    struct sockaddr_un name = at_path(dir, "there");
    struct sley_fd l, fd, far;
    sley_fd_init(&l, unix_socket(SOCK_STREAM));
    CHECK_INT(bind(l.number, (struct sockaddr *)&name, sizeof name), ==, 0);
    CHECK_INT(listen(l.number, 4), ==, 0);
    struct sley_io_op a = {0}, r = {0};
    io_start(&a, &l, SLEY_IO_ACCEPT, NULL, 0);
    CHECK(!done_now(&a.wait));
    sley_fd_init(&fd, unix_socket(SOCK_STREAM));
    CHECK_RC(io(&fd, SLEY_IO_CONNECT, &name, sizeof name), 0);
    CHECK_RC(until_done(&a.wait), 0);
    sley_fd_init_from(&far, &a);
    io_start(&r, &far, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_RC(io(&fd, SLEY_IO_SEND, "hello", 5), 5);
    CHECK_RC(until_done(&r.wait), 5);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(io(&far, SLEY_IO_RECV, buf, sizeof buf), 0);
    CHECK_RC(sley_fd_close(&far), 0);
    CHECK_RC(sley_fd_close(&l), 0);
    CHECK_INT(unlink(name.sun_path), ==, 0);
    CHECK_INT(rmdir(dir), ==, 0);
}

/* ---- descriptors that travel -------------------------------------------------------------------------------------------- */

/** A message of one byte, with room for a descriptor. Must not move. */
struct parcel {
    char byte;
    _Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int))];
    struct iovec iov;
    struct msghdr m;
};

static struct msghdr *parcel_init(struct parcel *p)
{
    *p = (struct parcel){.byte = 'b'};
    p->iov = (struct iovec){&p->byte, 1};
    p->m = (struct msghdr){.msg_iov = &p->iov, .msg_iovlen = 1, .msg_control = p->ctl, .msg_controllen = sizeof p->ctl};
    return &p->m;
}

static struct msghdr *parcel_with(struct parcel *p, int number)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(parcel_init(p));
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &number, sizeof number);
    return &p->m;
}

static int parcel_take(const struct parcel *p)
{
    int number = -1;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&p->m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(&number, CMSG_DATA(c), sizeof number);
    }
    return number;
}

/** The other process: takes a connection out of the socket, and answers on it in capitals. Returns: its exit status. */
static int serve_passed(int channel)
{
    struct parcel p;
    char buf[8];
    if (recvmsg(channel, parcel_init(&p), MSG_CMSG_CLOEXEC) != 1) {
        return 1;
    }
    const int conn = parcel_take(&p);
    if (conn < 0 || send(channel, "k", 1, MSG_NOSIGNAL) != 1) { /* we have it */
        return 2;
    }
    if (fcntl(conn, F_SETFL, 0) < 0 || recv(conn, buf, sizeof buf, 0) != 4) {
        return 3;
    }
    return send(conn, "PONG", 4, MSG_NOSIGNAL) == 4 && recv(conn, buf, sizeof buf, 0) == 0 ? 0 : 4;
}

FIBER_TEST(connection_passed_to_another_process_works_there, "UNIX-03")
{
    struct sley_fd channel, conn;
    char buf[8];
    int status;
    const int there = unix_pair(&channel), client = tcp_pair(&conn);
    const pid_t pid = fork();
    if (pid == 0) {
        (void)close(client);
        (void)close(channel.number);
        (void)close(conn.number); /* its copy: what it gets is passed */
        _exit(serve_passed(there));
    }
    CHECK_INT(pid, >, 0);
    CHECK_INT(close(there), ==, 0);
    struct parcel p;
    CHECK_RC(io(&channel, SLEY_IO_SENDMSG, parcel_with(&p, conn.number), 0), 1);
    CHECK_RC(sley_fd_close(&conn), 0); /* at once: it travels all the same */
    CHECK_RC(io(&channel, SLEY_IO_RECV, buf, sizeof buf), 1);
    put(client, "ping");
    CHECK_INT(recv(client, buf, sizeof buf, 0), ==, 4);
    CHECK(memcmp(buf, "PONG", 4) == 0);
    CHECK_INT(close(client), ==, 0);
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), ==, 0);
    CHECK_RC(sley_fd_close(&channel), 0);
}

FIBER_TEST(connection_that_arrives_while_the_receive_waits_is_ours_to_use, "UNIX-03")
{
    struct sley_fd channel, conn;
    char buf[8];
    const int there = unix_pair(&channel);
    for (int i = 0; i < 3; i++) {
        struct sley_fd passed;
        struct parcel in, out;
        struct sley_io_op op = {0};
        io_start(&op, &channel, SLEY_IO_RECVMSG, parcel_init(&in), 0);
        CHECK(!done_now(&op.wait));
        const int client = tcp_pair(&conn);
        CHECK_INT(sendmsg(there, parcel_with(&out, conn.number), MSG_NOSIGNAL), ==, 1);
        CHECK_RC(sley_fd_close(&conn), 0);
        CHECK_RC(until_done(&op.wait), 1);
        CHECK_INT(in.byte, ==, 'b');
        CHECK_INT(in.m.msg_flags & MSG_CTRUNC, ==, 0);
        const int number = parcel_take(&in);
        CHECK_INT(number, >=, 0);
        CHECK_INT(fcntl(number, F_GETFD), ==, FD_CLOEXEC);
        sley_fd_init(&passed, number);
        put(client, "hi");
        CHECK_RC(io(&passed, SLEY_IO_RECV, buf, sizeof buf), 2);
        CHECK_RC(io(&passed, SLEY_IO_SEND, "you", 3), 3);
        CHECK_INT(recv(client, buf, sizeof buf, 0), ==, 3);
        CHECK_RC(sley_fd_close(&passed), 0);
        CHECK_INT(close(client), ==, 0);
    }
    CHECK_RC(sley_fd_close(&channel), 0);
    CHECK_INT(close(there), ==, 0);
}

FIBER_TEST(receive_of_a_descriptor_cancelled_as_it_comes_takes_it_or_leaves_it, "UNIX-03 REACT-19")
{
    struct sley_fd channel;
    const int there = unix_pair(&channel);
    int pipe[2], taken = 0, left = 0;
    CHECK_INT(pipe2(pipe, O_CLOEXEC | O_NONBLOCK), ==, 0);
    for (int i = 0; i < 20; i++) {
        struct parcel in, out;
        struct sley_io_op op = {0};
        io_start(&op, &channel, SLEY_IO_RECVMSG, parcel_init(&in), 0);
        CHECK(!done_now(&op.wait));
        CHECK_INT(sendmsg(there, parcel_with(&out, pipe[1]), MSG_NOSIGNAL), ==, 1);
        if (i % 2) {
            CHECK_INT(look(0), >=, 0);
        }
        sley_wait_cancel(&op.wait);
        const int32_t n = until_done(&op.wait);
        if (n == -ECANCELED) {
            CHECK_RC(io(&channel, SLEY_IO_RECVMSG, parcel_init(&in), 0), 1);
            left++;
        } else {
            CHECK_RC(n, 1);
            taken++;
        }
        const int number = parcel_take(&in);
        CHECK_INT(number, >=, 0);
        CHECK_INT(close(number), ==, 0);
    }
    harness_note("%d taken, %d left", taken, left);
    CHECK_INT(close(pipe[0]), ==, 0);
    CHECK_INT(close(pipe[1]), ==, 0);
    CHECK_RC(sley_fd_close(&channel), 0);
    CHECK_INT(close(there), ==, 0);
}

/* ---- full and empty ------------------------------------------------------------------------------------------------------- */

static void datagram_pair(struct sley_fd *a, struct sley_fd *b)
{
    int n[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, n), ==, 0);
    sley_fd_init(a, n[0]);
    sley_fd_init(b, n[1]);
}

/** One call, without waiting. */
static int32_t try_once(struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    struct sley_io_op op = {.fd = fd, .buf = buf, .len = len, .code = (uint8_t)code};
    return sley_io_try(&op);
}

FIBER_TEST(datagram_pair_is_filled_until_eagain_and_emptied_until_eagain, "UNIX-04")
{
    struct sley_fd a, b;
    struct sley_io_op op = {0}, r = {0};
    char buf[512] = {0};
    datagram_pair(&a, &b);
    for (int round = 0; round < 2; round++) {
        int32_t sent = 0, got = 0, n;
        while ((n = try_once(&a, SLEY_IO_SEND, &(char){(char)sent}, 1)) == 1) {
            sent++;
        }
        CHECK_RC(n, -EAGAIN);
        CHECK_INT(sent, >, 0);
        io_start(&op, &a, SLEY_IO_SEND, "z", 1); /* and who waits, waits until there is room */
        CHECK(!done_now(&op.wait));
        CHECK_INT(look(0), ==, 0);
        CHECK(!sley_wait_done(&op.wait));
        while ((n = try_once(&b, SLEY_IO_RECV, buf, sizeof buf)) == 1) {
            if (got < sent) {
                CHECK_INT(buf[0], ==, (char)got);
            }
            got++;
        }
        CHECK_RC(n, -EAGAIN);
        CHECK_INT(got, ==, sent);
        CHECK_RC(until_done(&op.wait), 1);
        CHECK_RC(try_once(&b, SLEY_IO_RECV, buf, sizeof buf), 1);
        CHECK_INT(buf[0], ==, 'z');
        CHECK_RC(try_once(&b, SLEY_IO_RECV, buf, sizeof buf), -EAGAIN);
    }
    io_start(&r, &b, SLEY_IO_RECV, buf, sizeof buf);
    CHECK(!done_now(&r.wait));
    CHECK_RC(sley_fd_close(&a), 0);
    CHECK_INT(look(0), >=, 0);
    CHECK(!sley_wait_done(&r.wait)); /* datagrams have no end */
    CHECK_RC(sley_wait_fini(&r.wait), -ECANCELED);
    CHECK_RC(sley_fd_close(&b), 0);
}

/* ---- cancelled as data comes ---------------------------------------------------------------------------------------------- */

static void *put_later(void *arg)
{
    const int number = *(const int *)arg;
    CHECK_INT(send(number, "x", 1, 0), ==, 1);
    return NULL;
}

FIBER_TEST(receive_on_a_unix_socket_cancelled_as_data_comes_loses_none, "REACT-19")
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 90; i++) {
        int n[2];
        struct sley_fd fd;
        pthread_t thread;
        char byte = 0;
        CHECK_INT(socketpair(AF_UNIX, types[i % 3] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, n), ==, 0);
        sley_fd_init(&fd, n[0]);
        struct sley_io_op op = {0};
        io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        CHECK(!done_now(&op.wait));
        CHECK_INT(pthread_create(&thread, NULL, put_later, &n[1]), ==, 0);
        if (i % 2) {
            CHECK_INT(look(0), >=, 0);
        }
        sley_wait_cancel(&op.wait);
        const int32_t got = until_done(&op.wait);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
        if (got == -ECANCELED) {
            CHECK_RC(io(&fd, SLEY_IO_RECV, &byte, 1), 1);
        } else {
            CHECK_RC(got, 1);
        }
        CHECK_INT(byte, ==, 'x');
        CHECK_RC(sley_fd_close(&fd), 0);
        CHECK_INT(close(n[1]), ==, 0);
    }
}

/* ---- splicing ------------------------------------------------------------------------------------------------------------- */

static int splice_once(struct sley_fd *from, struct sley_fd *to, size_t len)
{
    struct sley_file_op op = {
        .io = {.fd = from, .len = len, .code = SLEY_IO_SPLICE}, .offset = SLEY_FILE_HERE, .a.to = to, .b.to_offset = SLEY_FILE_HERE};
    return sley_io_run(&op.io);
}

static void *send_pattern(void *arg)
{
    const int number = *(const int *)arg;
    unsigned char buf[7000];
    for (size_t at = 0; at < 300000; at += 3000) {
        for (size_t i = 0; i < 3000; i++) {
            buf[i] = (unsigned char)((at + i) * 7 + ((at + i) >> 9));
        }
        CHECK_INT(send(number, buf, 3000, MSG_NOSIGNAL), ==, 3000);
    }
    CHECK_INT(shutdown(number, SHUT_WR), ==, 0);
    return NULL;
}

static void *check_pattern(void *arg)
{
    const int number = *(const int *)arg;
    static unsigned char buf[5000];
    size_t at = 0;
    ssize_t n;
    while ((n = recv(number, buf, sizeof buf, 0)) > 0) {
        for (size_t i = 0; i < (size_t)n; i++, at++) {
            CHECK_INT(buf[i], ==, (unsigned char)(at * 7 + (at >> 9)));
        }
    }
    CHECK_INT(n, ==, 0);
    CHECK_UINT(at, ==, 300000);
    return NULL;
}

FIBER_TEST(splices_between_unix_sockets_count_every_byte_until_the_end, "STREAM-08")
{
    struct sley_fd from, to, in, out;
    int n[2];
    pthread_t sender, checker;
    size_t moved = 0;
    const int source = unix_pair(&from), sink = unix_pair(&to);
    CHECK_INT(pipe2(n, O_NONBLOCK | O_CLOEXEC), ==, 0);
    sley_fd_init(&out, n[0]);
    sley_fd_init(&in, n[1]);
    CHECK_INT(pthread_create(&sender, NULL, send_pattern, (void *)(uintptr_t)&source), ==, 0);
    CHECK_INT(pthread_create(&checker, NULL, check_pattern, (void *)(uintptr_t)&sink), ==, 0);
    for (int got; (got = splice_once(&from, &in, 1 << 20)) != 0;) {
        CHECK_INT(got, >, 0);
        for (int put = 0; got > 0; got -= put) {
            put = splice_once(&out, &to, (size_t)got);
            CHECK_INT(put, >, 0);
            moved += (size_t)put;
        }
    }
    CHECK_UINT(moved, ==, 300000);
    CHECK_RC(splice_once(&from, &in, 1 << 20), 0);
    CHECK_INT(shutdown(to.number, SHUT_WR), ==, 0);
    CHECK_INT(pthread_join(sender, NULL), ==, 0);
    CHECK_INT(pthread_join(checker, NULL), ==, 0);
    CHECK_RC(sley_fd_close(&in), 0);
    CHECK_RC(sley_fd_close(&out), 0);
    CHECK_RC(sley_fd_close(&from), 0);
    CHECK_RC(sley_fd_close(&to), 0);
    CHECK_INT(close(source), ==, 0);
    CHECK_INT(close(sink), ==, 0);
}

/* ---- FIFOs ----------------------------------------------------------------------------------------------------------------- */

static int open_path(const char *path, int flags, int *ret_number)
{
    struct sley_file_op op = {.io = {.code = SLEY_IO_OPEN}, .dir = AT_FDCWD, .a.path = path, .how = (uint32_t)flags};
    const int rc = sley_io_run(&op.io);
    *ret_number = rc == 0 ? op.io.out_number : -1;
    return rc;
}

FIBER_TEST(fifo_without_a_reader_is_enxio_and_with_one_it_opens, "UNIX-05")
{
    char dir[64], path[80], buf[8];
    int r, w;
    make_dir(dir, sizeof dir);
    CHECK_INT(snprintf(path, sizeof path, "%s/fifo", dir), <, (intmax_t)sizeof path);
    CHECK_INT(mkfifo(path, 0600), ==, 0);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(open_path(path, O_WRONLY | O_NONBLOCK, &w), -ENXIO);
        CHECK_RC(open_path(path, O_RDONLY | O_NONBLOCK, &r), 0);
        CHECK_RC(open_path(path, O_WRONLY | O_NONBLOCK, &w), 0);
        struct sley_fd in, out;
        sley_fd_init(&in, r);
        sley_fd_init(&out, w);
        struct sley_file_op read = {.io = {.fd = &in, .buf = buf, .len = sizeof buf, .code = SLEY_IO_READ}, .offset = SLEY_FILE_HERE};
        struct sley_file_op write = {.io = {.fd = &out, .buf = buf, .len = 3, .code = SLEY_IO_WRITE}, .offset = SLEY_FILE_HERE};
        memcpy(buf, "abc", 3);
        CHECK_RC(sley_io_run(&write.io), 3);
        CHECK_RC(sley_io_run(&read.io), 3);
        write.io.fd = &in; /* which was opened to be read */
        read.io.fd = &out;
        CHECK_RC(sley_io_run(&write.io), -EBADF);
        CHECK_RC(sley_io_run(&read.io), -EBADF);
        CHECK_RC(sley_fd_close(&out), 0);
        CHECK_RC(sley_fd_close(&in), 0);
    }
    CHECK_INT(unlink(path), ==, 0);
    CHECK_INT(rmdir(dir), ==, 0);
}
