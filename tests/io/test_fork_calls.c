/* Fork: every call of io and reactor on what the child has inherited says -EOWNERDEAD and does nothing, and the parent notices nothing. */
#include "kinds.h"

#include <sley/unix.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONNECTIONS = 2 };
/** All of it is at home in the parent's runtime. */
static struct inherited {
    struct sley_tcp_listener listener;
    struct sley_tcp server[CONNECTIONS], client[CONNECTIONS];
    struct sley_file file, pipe_out, pipe_in;
    struct sley_fixed fixed;
    struct sley_fd fd;
    int peer, borrowed;
    char page[4096];
} in;

static int connect_all(void *unused)
{
    struct sley_addr addr;
    char text[64];
    (void)unused;
    CHECK_RC(sley_tcp_listen(&in.listener, "127.0.0.1:0", NULL), 0);
    CHECK_RC(sley_tcp_listener_local(&in.listener, &addr), 0);
    CHECK_INT(sley_addr_format(&addr, text, sizeof text), >, 0);
    for (int i = 0; i < CONNECTIONS; i++) {
        char byte = 'x';
        CHECK_RC(sley_tcp_connect(&in.client[i], text, NULL), 0);
        CHECK_RC(sley_tcp_accept(&in.listener, &in.server[i]), 0);
        CHECK_RC(sley_stream_write_all(&in.client[i].stream, &byte, 1, NULL), 0);
        CHECK_RC(sley_stream_read_exact(&in.server[i].stream, &byte, 1, NULL), 0);
        CHECK_RC(sley_stream_write_all(&in.server[i].stream, &byte, 1, NULL), 0);
        CHECK_RC(sley_stream_read_exact(&in.client[i].stream, &byte, 1, NULL), 0);
    }
    CHECK_RC(sley_stream_write_all(&in.client[0].stream, "abc", 3, NULL), 0); /* not read yet */
    return 0;
}

static int open_all(void *unused)
{
    int ends[2], pair[2];
    char byte;
    CHECK_RC(connect_all(unused), 0);
    CHECK_INT(pipe2(ends, O_CLOEXEC | O_NONBLOCK), ==, 0);
    CHECK_RC(sley_fifo_from_fd(&in.pipe_out, ends[0], O_RDONLY), 0);
    CHECK_RC(sley_fifo_from_fd(&in.pipe_in, ends[1], O_WRONLY), 0);
    CHECK_INT(sley_file_write(&in.pipe_in, "pipe", 4), ==, 4);
    CHECK_INT(sley_file_read(&in.pipe_out, &byte, 1), ==, 1);
    CHECK_RC(sley_file_from_fd(&in.file, memfd_create("inherited", MFD_CLOEXEC)), 0);
    CHECK_INT(sley_file_write_at(&in.file, "file", 4, 0), ==, 4);
    CHECK_RC(sley_fixed_init(&in.fixed, in.page, sizeof in.page), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
    sley_fd_init(&in.fd, pair[0]);
    in.peer = pair[1];
    CHECK_INT(sley_fd_poll(&in.fd, SLEY_IO_OUT), ==, SLEY_IO_OUT);
    return 0;
}
SLEY_FIBER(open_all, void)

static int32_t awaited(struct sley_wait *w)
{
    return sley_await(w);
}

/** Both forms of a call. */
#define SAYS_NO(call)                \
    do {                             \
        CHECK_RC(call, -EOWNERDEAD); \
    } while (0)

static void streams_say_no(void)
{
    struct sley_stream *s = &in.server[0].stream, *other = &in.server[1].stream;
    char buf[8];
    size_t done = 7;
    uint64_t copied = 7;
    struct sley_lent *lent = NULL;
    const struct iovec iov[2] = {{buf, 2}, {buf + 2, 2}};
    SAYS_NO(sley_stream_read(s, buf, sizeof buf));
    SAYS_NO(sley_stream_read_lent(s, &lent));
    CHECK_PTR(lent, ==, NULL);
    SAYS_NO(sley_stream_read_exact(s, buf, 3, &done));
    CHECK_UINT(done, ==, 0);
    SAYS_NO(sley_stream_write(s, "no", 2));
    SAYS_NO(sley_stream_write_all(s, "no", 2, &done));
    CHECK_UINT(done, ==, 0);
    SAYS_NO(sley_stream_readv(s, iov, 2));
    SAYS_NO(sley_stream_writev(s, iov, 2));
    SAYS_NO(sley_stream_readv_exact(s, iov, 2, &done));
    SAYS_NO(sley_stream_writev_all(s, iov, 2, &done));
    SAYS_NO(sley_stream_peek(s, buf, sizeof buf));
    SAYS_NO(sley_stream_ready(s, SLEY_IO_IN));
    SAYS_NO(sley_stream_ready(s, SLEY_IO_OUT));
    SAYS_NO(sley_stream_try_read(s, buf, sizeof buf));
    SAYS_NO(sley_stream_try_write(s, "no", 2));
    SAYS_NO(sley_stream_flush(s));
    SAYS_NO(sley_stream_copy(s, other, &copied));
    SAYS_NO(sley_stream_shutdown(s));
    struct sley_io_op op = {0};
    sley_stream_read_start(&op, s, buf, sizeof buf);
    SAYS_NO(awaited(&op.wait));
}

static void sockets_say_no(void)
{
    struct sley_tcp conn;
    struct sley_addr addr;
    SAYS_NO(sley_tcp_accept(&in.listener, &conn));
    SAYS_NO(sley_tcp_listener_local(&in.listener, &addr));
    SAYS_NO(sley_tcp_local(&in.server[0], &addr));
    SAYS_NO(sley_tcp_peer(&in.server[0], &addr));
    SAYS_NO(sley_tcp_move(&in.server[0]));
    SAYS_NO(sley_tcp_set_no_delay(&in.server[0], true));
    SAYS_NO(sley_tcp_set_keepalive(&in.server[0], 1, 1, 1));
    SAYS_NO(sley_tcp_set_reset_on_close(&in.server[0], true));
    struct sley_lent *lent = NULL;
    char byte;
    SAYS_NO(sley_fd_poll(&in.fd, SLEY_IO_OUT));
    SAYS_NO(sley_fd_recv_lent(&in.fd, &lent));
    SAYS_NO(sley_fd_move(&in.fd));
    SAYS_NO(sley_fd_borrow(&in.fd));
    SAYS_NO(sley_io_now(&in.fd, SLEY_IO_SEND, "n", 1));
    SAYS_NO(sley_io_now(&in.fd, SLEY_IO_RECV, &byte, 1));
    static const uint8_t codes[] = {SLEY_IO_ACCEPT, SLEY_IO_RECV, SLEY_IO_SEND, SLEY_IO_RECVMSG, SLEY_IO_SENDMSG};
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    for (size_t i = 0; i < sizeof codes; i++) {
        struct sley_io_op op = {.fd = &in.fd, .code = codes[i], .buf = &byte, .len = 1};
        op.buf = codes[i] >= SLEY_IO_RECVMSG ? (void *)&msg : &byte;
        SAYS_NO(sley_io_run(&op));
    }
}

static void files_say_no(void)
{
    struct sley_file *f = &in.file;
    struct statx stat;
    char buf[8];
    const struct iovec iov = {buf, 2};
    SAYS_NO(sley_file_read_at(f, buf, 4, 0));
    SAYS_NO(sley_file_write_at(f, "no", 2, 0));
    SAYS_NO(sley_file_readv_at(f, &iov, 1, 0));
    SAYS_NO(sley_file_writev_at(f, &iov, 1, 0));
    SAYS_NO(sley_file_read_fixed(f, &in.fixed, in.page, 4, 0));
    SAYS_NO(sley_file_write_fixed(f, &in.fixed, in.page, 4, 0));
    SAYS_NO(sley_file_read(f, buf, 4));
    SAYS_NO(sley_file_write(f, "no", 2));
    SAYS_NO(sley_file_sync(f));
    SAYS_NO(sley_file_datasync(f));
    SAYS_NO(sley_file_stat(f, &stat));
    SAYS_NO(sley_file_allocate(f, 0, 10));
    SAYS_NO(sley_file_read(&in.pipe_out, buf, 4));
    SAYS_NO(sley_file_write(&in.pipe_in, "no", 2));
    SAYS_NO(sley_file_splice(&in.pipe_out, SLEY_FILE_HERE, f, 0, 4));
    SAYS_NO(sley_file_splice(f, 0, &in.pipe_in, SLEY_FILE_HERE, 4));
    struct sley_file own; /* beside one of its own: either of the two may be the inherited one */
    CHECK_RC(sley_file_from_fd(&own, memfd_create("own", MFD_CLOEXEC)), 0);
    SAYS_NO(sley_file_splice(&in.pipe_out, SLEY_FILE_HERE, &own, 0, 4));
    CHECK_RC(sley_file_close(&own), 0);
}

/** Its copies go, and nothing is said to the peer. */
static void closes(void)
{
    sley_stream_abort(&in.server[1].stream);
    sley_stream_abort(&in.client[0].stream);
    CHECK_RC(sley_stream_close(&in.server[0].stream), 0);
    CHECK_RC(sley_stream_close(&in.server[0].stream), 0);
    CHECK_RC(sley_stream_close(&in.client[1].stream), 0);
    CHECK_RC(sley_tcp_listener_close(&in.listener), 0);
    CHECK_RC(sley_file_close(&in.file), 0);
    CHECK_RC(sley_file_close(&in.pipe_out), 0);
    CHECK_RC(sley_file_close(&in.pipe_in), 0);
    CHECK_RC(sley_fd_close(&in.fd), 0);
    (void)sley_fixed_fini(&in.fixed);
}

static int all_say_no(void *unused)
{
    (void)unused;
    streams_say_no();
    sockets_say_no();
    files_say_no();
    return 0;
}
SLEY_FIBER(all_say_no, void)

/** Whatever the child has tried: each byte is where it was, and each connection ends in order. */
static int is_as_before(void *unused)
{
    char buf[8];
    (void)unused;
    CHECK_INT(sley_stream_read(&in.server[0].stream, buf, sizeof buf), ==, 3);
    CHECK(memcmp(buf, "abc", 3) == 0);
    CHECK_INT(sley_file_read(&in.pipe_out, buf, sizeof buf), ==, 3);
    CHECK(memcmp(buf, "ipe", 3) == 0);
    CHECK_INT(sley_file_read_at(&in.file, buf, sizeof buf, 0), ==, 4);
    CHECK(memcmp(buf, "file", 4) == 0);
    CHECK_INT(recv(in.peer, buf, 1, MSG_DONTWAIT), <, 0);
    for (int i = 0; i < CONNECTIONS; i++) {
        struct sley_stream *server = &in.server[i].stream, *client = &in.client[i].stream;
        CHECK_RC(sley_stream_write_all(server, "last", 4, NULL), 0);
        CHECK_RC(sley_stream_close(server), 0);
        CHECK_RC(sley_stream_read_exact(client, buf, 4, NULL), 0);
        CHECK_INT(sley_stream_read(client, buf, sizeof buf), ==, 0); /* not -ECONNRESET */
        CHECK_RC(sley_stream_close(client), 0);
    }
    CHECK_RC(sley_tcp_listener_close(&in.listener), 0);
    CHECK_RC(sley_file_close(&in.file), 0);
    CHECK_RC(sley_file_close(&in.pipe_out), 0);
    CHECK_RC(sley_file_close(&in.pipe_in), 0);
    CHECK_RC(sley_fixed_fini(&in.fixed), 0);
    CHECK_RC(sley_fd_close(&in.fd), 0);
    CHECK_INT(close(in.peer), ==, 0);
    return 0;
}
SLEY_FIBER(is_as_before, void)

SLEY_TEST_SECONDS(every_call_on_what_the_child_has_inherited_is_refused_and_does_nothing, "FORK-01 FORK-02", 120)
{
    static const struct kind local = {"local", "epoll", 1};
    for (const struct kind *k = kinds_chosen(kinds_with_reactor); k->executor; k++) {
        if (k->workers > 1) {
            continue; /* what is at home is spread over workers there; the calls are the same */
        }
        struct sley_runtime rt;
        int status = -1;
        harness_note("%s on %s", k->executor, k->reactor);
        memset(&in, 0, sizeof in);
        kind_start(&rt, k);
        kind_run(&rt, &open_all__type, NULL);
        const pid_t pid = fork();
        if (pid == 0) {
            struct sley_runtime own;
            (void)all_say_no(NULL); /* on a plain thread */
            kind_start_forked(&own, &local);
            kind_run(&own, &all_say_no__type, NULL); /* in a task of its own runtime */
            kind_end(&own);
            closes();
            _exit(0);
        }
        CHECK_INT(waitpid(pid, &status, 0), ==, pid);
        CHECK_INT(status, ==, 0);
        kind_run(&rt, &is_as_before__type, NULL);
        kind_end(&rt);
    }
}
