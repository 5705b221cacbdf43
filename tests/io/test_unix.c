/* Addresses of Unix sockets, at their bounds; FIFOs by path and by number. */
#include "io_test.h"

#include <sley/unix.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = sizeof((struct sockaddr_un *)0)->sun_path };

SLEY_TEST(path_that_does_not_fit_is_refused, "UNIX-01")
{
    char path[ROOM + 2];
    struct sley_unix_addr a = {.len = 77};
    CHECK_RC(sley_unix_addr_init(&a, NULL), -EINVAL);
    CHECK_RC(sley_unix_addr_init(&a, ""), -EINVAL);
    for (size_t len = ROOM - 2; len <= ROOM + 1; len++) {
        memset(path, 'p', sizeof path);
        path[len] = '\0';
        a.len = 77;
        CHECK_RC(sley_unix_addr_init(&a, path), len < ROOM ? 0 : -ENAMETOOLONG);
        CHECK_UINT(a.len, ==, len < ROOM ? offsetof(struct sockaddr_un, sun_path) + len + 1 : 77);
        CHECK(len >= ROOM || strcmp(a.sock.sun_path, path) == 0);
        path[0] = '@'; /* a name needs no end */
        a.len = 77;
        CHECK_RC(sley_unix_addr_init(&a, path), len <= ROOM ? 0 : -ENAMETOOLONG);
        CHECK_UINT(a.len, ==, len <= ROOM ? offsetof(struct sockaddr_un, sun_path) + len : 77);
    }
}

IO_TEST(unix_listener_is_found_by_its_name, "UNIX-01")
{
    char name[32];
    struct sley_unix_addr a;
    struct sley_fd listener, fd;
    (void)snprintf(name, sizeof name, "@sley-test-%d", (int)getpid());
    CHECK_RC(sley_unix_addr_init(&a, name), 0);
    sley_fd_init(&listener, socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    CHECK_INT(bind(listener.number, (const struct sockaddr *)&a.sock, a.len), ==, 0);
    CHECK_INT(listen(listener.number, 4), ==, 0);
    sley_fd_init(&fd, socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    struct sley_io_op op = {.fd = &fd, .buf = &a.sock, .len = a.len, .code = SLEY_IO_CONNECT};
    CHECK_RC(sley_io_run(&op), 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(sley_fd_close(&listener), 0);
    return 0;
}

/** In a fresh directory: a FIFO and a plain file. */
static char dir[64], fifo[96], plain[96];

static void make_paths(void)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(dir, sizeof dir, "%s/sley-fifo-XXXXXX", tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    (void)snprintf(plain, sizeof plain, "%s/plain", dir);
    CHECK_INT(mkfifo(fifo, 0600), ==, 0);
    CHECK_INT(close(open(plain, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), ==, 0);
}

static void remove_paths(void)
{
    CHECK_INT(unlink(fifo), ==, 0);
    CHECK_INT(unlink(plain), ==, 0);
    CHECK_INT(rmdir(dir), ==, 0);
}

struct end {
    struct sley_file *f;
};

static int read_five(struct end *e)
{
    char buf[8];
    const int rc = sley_file_read(e->f, buf, sizeof buf);
    return rc == 5 && memcmp(buf, "hello", 5) == 0 ? 0 : -EIO;
}
SLEY_FIBER(read_five, struct end)

IO_TEST(fifo_carries_bytes_and_refuses_what_is_none, "UNIX-05")
{
    struct sley_file in, out, none = {0};
    struct sley_task *t;
    char byte;
    int numbers[2];
    make_paths();
    CHECK_RC(sley_fifo_open(&in, fifo, O_WRONLY), -ENXIO); /* nobody reads */
    CHECK_RC(sley_fifo_open(&none, plain, O_RDONLY), -EINVAL);
    CHECK_RC(sley_fifo_open(&none, plain, O_WRONLY), -EINVAL);
    CHECK_RC(sley_fifo_open(&none, dir, O_RDONLY), -EINVAL);
    CHECK_RC(sley_fifo_open(&none, fifo, O_RDWR), -EINVAL);
    CHECK_RC(sley_fifo_open(&none, "/nowhere/fifo", O_RDONLY), -ENOENT);
    CHECK(!none.open);
    CHECK_RC(sley_fifo_open(&out, fifo, O_RDONLY), 0);
    CHECK_RC(sley_fifo_open(&in, fifo, O_WRONLY), 0);
    IO_SPAWN(&t, read_five, .f = &out);
    io_settle();
    CHECK(!sley_task_done(t));
    CHECK_RC(sley_file_write(&in, "hello", 5), 5);
    CHECK_RC(io_join(t), 0);
    CHECK_RC(sley_file_close(&in), 0);
    CHECK_RC(sley_file_read(&out, &byte, 1), 0);
    CHECK_RC(sley_file_close(&out), 0);
    CHECK_INT(pipe2(numbers, O_CLOEXEC), ==, 0);
    CHECK_RC(sley_fifo_from_fd(&none, numbers[0], O_WRONLY), -EINVAL); /* the wrong end */
    CHECK_RC(sley_fifo_from_fd(&none, numbers[1], O_RDONLY), -EINVAL);
    CHECK_RC(sley_fifo_from_fd(&none, -1, O_RDONLY), -EBADF);
    CHECK_RC(sley_fifo_from_fd(&out, numbers[0], O_RDONLY), 0);
    CHECK_RC(sley_fifo_from_fd(&in, numbers[1], O_WRONLY), 0);
    CHECK_RC(sley_file_write(&in, "x", 1), 1);
    CHECK_RC(sley_file_read(&out, &byte, 1), 1);
    CHECK_RC(sley_file_close(&in), 0);
    CHECK_RC(sley_file_close(&out), 0);
    remove_paths();
    return 0;
}
