/* Ops on files, paths and children over the generic way: what is tried, what is a call on another thread, and how they end. */
#include "bed.h"

#include <sley/file_impl.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* ---- rig ---------------------------------------------------------------------------------------------------------- */

static char dir_path[PATH_MAX];

/** A fresh directory; its number. */
static int make_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(dir_path, sizeof dir_path, "%s/sley-file-XXXXXX", tmp ? tmp : "/tmp");
    CHECK(mkdtemp(dir_path) != NULL);
    const int dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_INT(dir, >=, 0);
    return dir;
}

static void drop_dir(int dir)
{
    CHECK_INT(close(dir), ==, 0);
    CHECK_INT(rmdir(dir_path), ==, 0);
}

static void file_start(struct sley_file_op *op, enum sley_io_code code)
{
    op->io.code = (uint8_t)code;
    sley_io_submit(&op->io);
}

static int file_run(struct sley_file_op *op, enum sley_io_code code)
{
    op->io.code = (uint8_t)code;
    return sley_io_run(&op->io);
}

static int open_at(int dir, const char *path, int flags)
{
    struct sley_file_op op = {.dir = dir, .a.path = path, .how = (uint32_t)flags, .mode = 0600};
    const int rc = file_run(&op, SLEY_IO_OPEN);
    return rc < 0 ? rc : op.io.out_number;
}

static int move_at(struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len, uint64_t offset)
{
    struct sley_file_op op = {.io = {.fd = fd, .buf = buf, .len = len}, .offset = offset};
    return file_run(&op, code);
}

static int unlink_at(int dir, const char *path, uint32_t how)
{
    struct sley_file_op op = {.dir = dir, .a.path = path, .how = how};
    return file_run(&op, SLEY_IO_UNLINK);
}

static unsigned open_count(void)
{
    unsigned n = 0;
    for (int i = 0; i < 1024; i++) {
        n += fcntl(i, F_GETFD) >= 0;
    }
    return n;
}

/* ---- files -------------------------------------------------------------------------------------------------------- */

FIBER_TEST(file_written_and_synced_is_read_back_by_offset_and_by_position, "")
{
    const int dir = make_dir();
    struct sley_fd fd;
    char buf[16] = "";
    const int number = open_at(dir, "a", O_RDWR | O_CREAT | O_EXCL);
    CHECK_INT(number, >=, 0);
    CHECK_INT(fcntl(number, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    sley_fd_init(&fd, number);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "hello ", 6, SLEY_FILE_HERE), 6);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "world", 5, SLEY_FILE_HERE), 5);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "W", 1, 6), 1);
    struct sley_file_op op = {.io = {.fd = &fd}};
    CHECK_RC(file_run(&op, SLEY_IO_FSYNC), 0);
    CHECK_RC(file_run(&op, SLEY_IO_FDATASYNC), 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, sizeof buf, 0), 11);
    CHECK_STR(buf, "hello World");
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, sizeof buf, 11), 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, sizeof buf, SLEY_FILE_HERE), 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, 5, 6), 5);
    CHECK_INT(memcmp(buf, "World", 5), ==, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(open_at(dir, "missing", O_RDONLY), -ENOENT);
    CHECK_RC(open_at(dir, "a", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    CHECK_RC(unlink_at(dir, "a", 0), 0);
    drop_dir(dir);
}

FIBER_TEST(seek_relative_to_where_a_file_stands_starts_behind_what_was_read, "BLOCK-16")
{
    enum { BYTES = 1 << 16 }; /* which the kernel reads ahead */
    static unsigned char bytes[BYTES], got[100];
    struct sley_fd fd;
    const int dir = make_dir();
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (unsigned char)(i * 31 + (i >> 8));
    }
    sley_fd_init(&fd, open_at(dir, "seek", O_RDWR | O_CREAT));
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, bytes, BYTES, 0), BYTES);
    off_t at = 0;
    for (int i = 0; i < 60; i++) {
        struct sley_file_op op = {.io = {.fd = &fd, .buf = got, .len = sizeof got}, .offset = SLEY_FILE_HERE};
        file_start(&op, SLEY_IO_READ);
        if (i % 3 == 2) {
            sley_wait_cancel(&op.io.wait); /* nothing was read, or what the verdict says */
        }
        const int rc = sley_await(&op.io.wait);
        CHECK(rc == (int)sizeof got || (rc == -ECANCELED && i % 3 == 2));
        CHECK(rc < 0 || memcmp(got, bytes + at, sizeof got) == 0);
        at += rc > 0 ? rc : 0;
        CHECK_INT(lseek(fd.number, 0, SEEK_CUR), ==, at);
        at += i % 2 ? 300 : -30;
        CHECK_INT(lseek(fd.number, i % 2 ? 300 : -30, SEEK_CUR), ==, at);
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(unlink_at(dir, "seek", 0), 0);
    drop_dir(dir);
}

FIBER_TEST(vectors_move_what_they_name_in_order, "")
{
    const int dir = make_dir();
    struct sley_fd fd;
    char a[3], b[8] = "";
    sley_fd_init(&fd, open_at(dir, "v", O_RDWR | O_CREAT));
    struct iovec out[] = {{(void *)(uintptr_t) "one", 3}, {(void *)(uintptr_t) "", 0}, {(void *)(uintptr_t) "three", 5}};
    struct iovec in[] = {{a, 3}, {b, sizeof b}};
    CHECK_RC(move_at(&fd, SLEY_IO_WRITEV, out, 3, 4), 8);
    CHECK_RC(move_at(&fd, SLEY_IO_READV, in, 2, 4), 8);
    CHECK_INT(memcmp(a, "one", 3), ==, 0);
    CHECK_STR(b, "three");
    CHECK_RC(move_at(&fd, SLEY_IO_READV, in, 1025, 4), -EINVAL);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(unlink_at(dir, "v", 0), 0);
    drop_dir(dir);
}

FIBER_TEST(read_of_more_than_4_gib_is_short_and_wraps_nothing, "REACT-26")
{
    const int dir = make_dir();
    struct sley_fd fd;
    char buf[4096];
    sley_fd_init(&fd, open_at(dir, "big", O_RDWR | O_CREAT));
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "0123456789", 10, 0), 10);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, ((size_t)1 << 32) + 4, 2), 8);
    CHECK_INT(memcmp(buf, "23456789", 8), ==, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(unlink_at(dir, "big", 0), 0);
    drop_dir(dir);
}

FIBER_TEST(paths_are_made_moved_looked_at_and_removed, "")
{
    const int dir = make_dir();
    struct statx st;
    struct sley_file_op op = {.dir = dir, .a.path = "d", .mode = 0700};
    CHECK_RC(file_run(&op, SLEY_IO_MKDIR), 0);
    CHECK_RC(file_run(&op, SLEY_IO_MKDIR), -EEXIST);
    const int number = open_at(dir, "d/f", O_WRONLY | O_CREAT);
    CHECK_INT(number, >=, 0);
    struct sley_fd fd;
    sley_fd_init(&fd, number);
    op = (struct sley_file_op){.io = {.fd = &fd, .len = 12345}, .offset = 0};
    const int allocated = file_run(&op, SLEY_IO_FALLOCATE);
    CHECK(allocated == 0 || allocated == -EOPNOTSUPP);
    op = (struct sley_file_op){.io = {.fd = &fd, .buf = &st}, .mode = STATX_BASIC_STATS};
    CHECK_RC(file_run(&op, SLEY_IO_STAT), 0);
    CHECK(S_ISREG(st.stx_mode));
    CHECK_UINT(st.stx_size, ==, allocated == 0 ? 12345u : 0u);
    CHECK_RC(sley_fd_close(&fd), 0);
    op = (struct sley_file_op){.dir = dir, .a.path = "d/f", .to_dir = dir, .b.to_path = "g"};
    CHECK_RC(file_run(&op, SLEY_IO_RENAME), 0);
    CHECK_RC(file_run(&op, SLEY_IO_RENAME), -ENOENT);
    op = (struct sley_file_op){.io = {.buf = &st}, .dir = dir, .a.path = "g", .mode = STATX_SIZE};
    CHECK_RC(file_run(&op, SLEY_IO_STAT), 0);
    op.a.path = "d/f";
    CHECK_RC(file_run(&op, SLEY_IO_STAT), -ENOENT);
    CHECK_RC(unlink_at(dir, "d", 0), -EISDIR);
    CHECK_RC(unlink_at(dir, "d", AT_REMOVEDIR), 0);
    CHECK_RC(unlink_at(dir, "g", 0), 0);
    op = (struct sley_file_op){.dir = dir};
    CHECK_RC(file_run(&op, SLEY_IO_OPEN), -EFAULT);
    CHECK_RC(file_run(&op, SLEY_IO_FSYNC), -EBADF);
    drop_dir(dir);
}

FIBER_TEST(sixty_four_reads_by_offset_are_in_flight_at_once, "")
{
    enum { N = 64, BYTES = 512 };
    static unsigned char block[N * BYTES], got[N][BYTES];
    static struct sley_file_op ops[N];
    const int dir = make_dir();
    struct sley_fd fd;
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (unsigned char)(i * 7 + i / 251);
    }
    sley_fd_init(&fd, open_at(dir, "many", O_RDWR | O_CREAT));
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, block, sizeof block, 0), sizeof block);
    for (int i = 0; i < N; i++) {
        ops[i] = (struct sley_file_op){.io = {.fd = &fd, .buf = got[i], .len = BYTES}, .offset = (uint64_t)i * BYTES};
        file_start(&ops[i], SLEY_IO_READ);
    }
    for (int i = 0; i < N; i++) {
        CHECK_RC(sley_await(&ops[i].io.wait), BYTES);
        CHECK_INT(memcmp(got[i], block + i * BYTES, BYTES), ==, 0);
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(unlink_at(dir, "many", 0), 0);
    drop_dir(dir);
}

FIBER_TEST(fixed_buffer_is_checked_and_else_a_buffer, "")
{
    static unsigned char memory[4096];
    const int dir = make_dir();
    struct sley_fd fd;
    struct sley_fixed fixed;
    CHECK_RC(sley_fixed_init(&fixed, memory, sizeof memory), 0);
    CHECK_RC(sley_fixed_init(&fixed, memory, 0), -EINVAL);
    sley_fd_init(&fd, open_at(dir, "f", O_RDWR | O_CREAT));
    memcpy(memory, "abcdef", 6);
    struct sley_file_op op = {.io = {.fd = &fd, .buf = memory, .len = 6}, .a.fixed = &fixed};
    CHECK_RC(file_run(&op, SLEY_IO_WRITE_FIXED), 6);
    op = (struct sley_file_op){.io = {.fd = &fd, .buf = memory + 4090, .len = 6}, .a.fixed = &fixed};
    CHECK_RC(file_run(&op, SLEY_IO_READ_FIXED), 6);
    CHECK_INT(memcmp(memory + 4090, "abcdef", 6), ==, 0);
    op.io.buf = memory + 4091;
    CHECK_RC(file_run(&op, SLEY_IO_READ_FIXED), -EFAULT);
    op.io.buf = memory + 1;
    op.io.len = SIZE_MAX;
    CHECK_RC(file_run(&op, SLEY_IO_READ_FIXED), -EFAULT);
    op.a.fixed = NULL;
    CHECK_RC(file_run(&op, SLEY_IO_READ_FIXED), -EFAULT);
    CHECK_RC(sley_fixed_fini(&fixed), 0);
    CHECK_RC(sley_fixed_fini(&fixed), 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(unlink_at(dir, "f", 0), 0);
    drop_dir(dir);
}

FIBER_TEST(file_that_is_closed_is_ebadf_and_its_number_free, "REACT-07 REACT-24")
{
    const int dir = make_dir();
    struct sley_fd fd;
    char c;
    const int number = open_at(dir, "x", O_RDWR | O_CREAT);
    sley_fd_init(&fd, number);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "x", 1, 0), 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_INT(fcntl(number, F_GETFD), ==, -1);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, &c, 1, 0), -EBADF);
    sley_fd_init(&fd, 1023);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, &c, 1, 0), -EBADF);
    CHECK_RC(unlink_at(dir, "x", 0), 0);
    drop_dir(dir);
}

/* ---- cancelling ----------------------------------------------------------------------------------------------------- */

FIBER_TEST(opens_that_are_cancelled_leave_no_descriptor, "REACT-22")
{
    enum { N = 128 };
    static struct sley_file_op ops[N];
    const int dir = make_dir();
    CHECK_RC(close(open_at(dir, "o", O_RDWR | O_CREAT)), 0);
    const unsigned before = open_count();
    int opened;
    do { /* until some were in time: on a busy machine all may be open before the first is cancelled */
        opened = 0;
        for (int i = 0; i < N; i++) {
            ops[i] = (struct sley_file_op){.dir = dir, .a.path = "o", .how = O_RDONLY};
            file_start(&ops[i], SLEY_IO_OPEN);
        }
        for (int i = 0; i < N; i++) {
            sley_wait_cancel(&ops[i].io.wait);
        }
        for (int i = 0; i < N; i++) {
            const int rc = sley_await(&ops[i].io.wait);
            CHECK(rc == 0 || rc == -ECANCELED);
            if (rc == 0) {
                opened++;
                CHECK_INT(close(ops[i].io.out_number), ==, 0);
            }
        }
    } while (!IS_URING && opened == N); /* there a path that the kernel knows by heart is opened at once */
    CHECK_UINT(open_count(), ==, before);
    CHECK_RC(unlink_at(dir, "o", 0), 0);
    drop_dir(dir);
}

FIBER_TEST(pipe_read_cancelled_while_data_comes_loses_none, "REACT-19 REACT-17")
{
    int n[2];
    struct sley_fd fd;
    CHECK_INT(pipe2(n, O_NONBLOCK | O_CLOEXEC), ==, 0);
    sley_fd_init(&fd, n[0]);
    unsigned char next = 0;
    for (int i = 0; i < 2000; i++) {
        unsigned char got = 0;
        const unsigned char byte = (unsigned char)i;
        struct sley_file_op op = {.io = {.fd = &fd, .buf = &got, .len = 1}, .offset = SLEY_FILE_HERE};
        file_start(&op, SLEY_IO_READ);
        CHECK(!sley_wait_done(&op.io.wait));
        if (i % 3 > 0) {
            CHECK_INT(write(n[1], &byte, 1), ==, 1);
        }
        if (i % 3 == 2) {
            (void)look(0);
        }
        sley_wait_cancel(&op.io.wait);
        const int rc = sley_await(&op.io.wait);
        CHECK(rc == 1 || rc == -ECANCELED);
        if (rc == -ECANCELED && i % 3 > 0) {
            CHECK_RC(move_at(&fd, SLEY_IO_READ, &got, 1, SLEY_FILE_HERE), 1);
        }
        if (i % 3 > 0) {
            CHECK_INT(got, ==, byte);
            next++;
        }
    }
    CHECK_INT(next, !=, 0);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_INT(close(n[1]), ==, 0);
}

/* ---- pipes, sockets, eventfds --------------------------------------------------------------------------------------- */

FIBER_TEST(read_of_an_empty_pipe_waits_and_a_second_is_ebusy, "REACT-04 REACT-02")
{
    int n[2];
    struct sley_fd fd;
    char a[4], b[4];
    CHECK_INT(pipe2(n, O_NONBLOCK | O_CLOEXEC), ==, 0);
    sley_fd_init(&fd, n[0]);
    struct sley_file_op first = {.io = {.fd = &fd, .buf = a, .len = sizeof a}, .offset = SLEY_FILE_HERE}, second = first;
    second.io.buf = b;
    file_start(&first, SLEY_IO_READ);
    CHECK(!sley_wait_done(&first.io.wait));
    file_start(&second, SLEY_IO_READV);
    CHECK_RC(sley_await(&second.io.wait), -EBUSY);
    CHECK_INT(write(n[1], "hi", 2), ==, 2);
    CHECK_RC(sley_await(&first.io.wait), 2);
    CHECK_INT(write(n[1], "yo", 2), ==, 2);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, b, sizeof b, SLEY_FILE_HERE), 2);
    CHECK_INT(close(n[1]), ==, 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, b, sizeof b, SLEY_FILE_HERE), 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, b, sizeof b, 0), -ESPIPE);
    CHECK_RC(sley_fd_close(&fd), 0);
}

FIBER_TEST(write_to_a_full_pipe_waits_and_to_a_deserted_one_is_epipe_without_a_signal, "REACT-03")
{
    static char block[4096];
    int n[2];
    struct sley_fd fd;
    CHECK_INT(pipe2(n, O_NONBLOCK | O_CLOEXEC), ==, 0);
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    sley_fd_init(&fd, n[1]);
    struct sley_file_op op = {.io = {.fd = &fd, .buf = block, .len = sizeof block}, .offset = SLEY_FILE_HERE};
    do {
        file_start(&op, SLEY_IO_WRITE);
    } while (sley_wait_done(&op.io.wait));
    CHECK_INT(look(0), ==, 0);
    CHECK_INT(read(n[0], block, sizeof block), ==, sizeof block);
    CHECK_RC(sley_await(&op.io.wait), sizeof block);
    CHECK_INT(close(n[0]), ==, 0);
    CHECK_RC(file_run(&op, SLEY_IO_WRITE), -EPIPE);
    sigset_t pending;
    CHECK_INT(sigpending(&pending), ==, 0);
    CHECK_INT(sigismember(&pending, SIGPIPE), ==, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
}

FIBER_TEST(pipe_that_blocks_waits_for_readiness_first_and_can_be_cancelled, "")
{
    int n[2];
    struct sley_fd fd;
    char buf[4];
    CHECK_INT(pipe2(n, O_CLOEXEC), ==, 0);
    sley_fd_init(&fd, n[0]);
    struct sley_file_op op = {.io = {.fd = &fd, .buf = buf, .len = sizeof buf}, .offset = SLEY_FILE_HERE};
    file_start(&op, SLEY_IO_READ);
    sley_wait_cancel(&op.io.wait);
    CHECK_RC(sley_await(&op.io.wait), -ECANCELED);
    file_start(&op, SLEY_IO_READ);
    CHECK_INT(write(n[1], "abc", 3), ==, 3);
    CHECK_RC(sley_await(&op.io.wait), 3);
    CHECK_INT(close(n[1]), ==, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
}

FIBER_TEST(eventfd_counts_by_read_and_write, "")
{
    struct sley_fd fd;
    uint64_t value = 0, three = 3;
    sley_fd_init(&fd, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    struct sley_file_op op = {.io = {.fd = &fd, .buf = &value, .len = sizeof value}, .offset = SLEY_FILE_HERE};
    file_start(&op, SLEY_IO_READ);
    CHECK(!sley_wait_done(&op.io.wait));
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, &three, sizeof three, SLEY_FILE_HERE), 8);
    CHECK_RC(sley_await(&op.io.wait), 8);
    CHECK_UINT(value, ==, 3);
    CHECK_RC(sley_fd_close(&fd), 0);
}

FIBER_TEST(close_ends_a_waiting_read_before_itself, "REACT-23")
{
    int n[2];
    struct sley_fd fd;
    char buf[4];
    CHECK_INT(pipe2(n, O_NONBLOCK | O_CLOEXEC), ==, 0);
    sley_fd_init(&fd, n[0]);
    struct sley_file_op op = {.io = {.fd = &fd, .buf = buf, .len = sizeof buf}, .offset = SLEY_FILE_HERE};
    file_start(&op, SLEY_IO_READ);
    struct sley_io_op closing = {0};
    sley_fd_close_start(&closing, &fd);
    CHECK(IS_URING || sley_wait_done(&op.io.wait)); /* there the kernel's word is awaited */
    CHECK_RC(sley_await(&closing.wait), 0);
    CHECK(sley_wait_done(&op.io.wait));
    CHECK_RC(op.io.wait.result, -ECANCELED);
    CHECK_INT(fcntl(n[0], F_GETFD), ==, -1);
    CHECK_INT(close(n[1]), ==, 0);
}

static int32_t sent_result;

static void sent(struct sley_file_op *op, int32_t result)
{
    (void)op;
    sent_result = result;
}

FIBER_TEST(zero_copy_send_tells_its_result_and_then_gives_the_buffer_back, "")
{
    struct sley_fd fd;
    char buf[8];
    const int peer = unix_pair(&fd);
    struct sley_file_op op = {.io = {.fd = &fd, .buf = (void *)(uintptr_t) "zero", .len = 4}, .a.sent = sent};
    sent_result = -1;
    CHECK_RC(file_run(&op, SLEY_IO_SEND_ZC), 4);
    CHECK_INT(sent_result, ==, 4);
    CHECK_INT(recv(peer, buf, sizeof buf, 0), ==, 4);
    struct sley_file_op down = {.io = {.fd = &fd}, .how = SHUT_WR};
    CHECK_RC(file_run(&down, SLEY_IO_SHUTDOWN), 0);
    CHECK_INT(recv(peer, buf, sizeof buf, 0), ==, 0);
    CHECK_RC(file_run(&op, SLEY_IO_SEND_ZC), -EPIPE);
    CHECK_INT(sent_result, ==, -EPIPE);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(file_run(&down, SLEY_IO_SHUTDOWN), -EBADF);
    CHECK_INT(close(peer), ==, 0);
}

FIBER_TEST(splice_moves_from_file_to_pipe_to_socket_and_waits_for_each, "STREAM-08")
{
    int n[2];
    char buf[16];
    struct sley_fd file, in, out, sock;
    const int dir = make_dir();
    sley_fd_init(&file, open_at(dir, "s", O_RDWR | O_CREAT));
    CHECK_RC(move_at(&file, SLEY_IO_WRITE, "0123456789", 10, 0), 10);
    CHECK_INT(pipe2(n, O_NONBLOCK | O_CLOEXEC), ==, 0);
    sley_fd_init(&in, n[1]);
    sley_fd_init(&out, n[0]);
    const int peer = tcp_pair(&sock);
    struct sley_file_op on = {.io = {.fd = &out, .len = 100}, .offset = SLEY_FILE_HERE, .a.to = &sock, .b.to_offset = SLEY_FILE_HERE};
    file_start(&on, SLEY_IO_SPLICE);
    CHECK(!sley_wait_done(&on.io.wait));
    struct sley_file_op op = {.io = {.fd = &file, .len = 6}, .offset = 2, .a.to = &in, .b.to_offset = SLEY_FILE_HERE};
    CHECK_RC(file_run(&op, SLEY_IO_SPLICE), 6);
    CHECK_RC(sley_await(&on.io.wait), 6);
    CHECK_INT(recv(peer, buf, sizeof buf, 0), ==, 6);
    CHECK_INT(memcmp(buf, "234567", 6), ==, 0);
    /* a full pipe: the next waits for room in it */
    op.io.len = 1;
    op.offset = 0;
    int moved = 0;
    CHECK_INT(fcntl(n[1], F_SETPIPE_SZ, 4096), >=, 0);
    for (;;) {
        file_start(&op, SLEY_IO_SPLICE);
        if (op.io.wait.result < 0 && sley_wait_done(&op.io.wait)) {
            FAIL("splice: %d", op.io.wait.result);
        }
        if (sley_await_until(&op.io.wait, sley_after_ns(20 * SLEY_MS)) == -ETIMEDOUT) {
            break;
        }
        moved++;
    }
    CHECK_INT(moved, >, 0);
    file_start(&op, SLEY_IO_SPLICE);
    while (moved-- > 0) {
        CHECK_INT(read(n[0], buf, 1), ==, 1);
    }
    CHECK_RC(sley_await(&op.io.wait), 1);
    CHECK_RC(sley_fd_close(&in), 0);
    CHECK_RC(sley_fd_close(&out), 0);
    CHECK_RC(sley_fd_close(&file), 0);
    CHECK_RC(sley_fd_close(&sock), 0);
    CHECK_INT(close(peer), ==, 0);
    CHECK_RC(unlink_at(dir, "s", 0), 0);
    drop_dir(dir);
}

static void SLEY_NOINLINE abandon(struct sley_fd *fd)
{
    struct sley_io_op op = {.fd = fd, .code = SLEY_IO_CLOSE, .flags = SLEY_IO_UNHEARD};
    sley_io_submit(&op);
    CHECK(sley_wait_done(&op.wait)); /* it is gone when this returns */
}

FIBER_TEST(close_that_nobody_waits_for_ends_what_goes_the_generic_way, "REACT-20")
{
    for (int side = 0; side < 2; side++) {
        int n[2];
        struct sley_fd out, sock;
        char byte;
        CHECK_INT(pipe2(n, O_NONBLOCK | O_CLOEXEC), ==, 0);
        sley_fd_init(&out, n[0]);
        const int peer = tcp_pair(&sock);
        const int number = side ? sock.number : out.number;
        struct sley_file_op on = {.io = {.fd = &out, .len = 9}, .offset = SLEY_FILE_HERE, .a.to = &sock, .b.to_offset = SLEY_FILE_HERE};
        struct sley_io_op recv_op = {0};
        io_start(&recv_op, &sock, SLEY_IO_RECV, &byte, 1);
        file_start(&on, SLEY_IO_SPLICE);
        CHECK(!sley_wait_done(&on.io.wait));
        abandon(side ? &sock : &out);
        CHECK_RC(sley_await(&on.io.wait), -ECANCELED);
        if (side) {
            CHECK_RC(sley_await(&recv_op.wait), -ECANCELED);
        }
        CHECK_INT(fcntl(number, F_GETFD), ==, -1);
        abandon(side ? &sock : &out); /* again: nothing */
        CHECK_RC(sley_fd_close(side ? &out : &sock), 0);
        CHECK_RC(sley_await(&recv_op.wait), -ECANCELED);
        CHECK_INT(close(peer), ==, 0);
        CHECK_INT(close(n[1]), ==, 0);
    }
}

FIBER_TEST(child_that_ends_is_told_and_reaped, "")
{
    for (int i = 0; i < 10; i++) {
        struct sley_fd fd;
        siginfo_t info;
        int gate[2];
        CHECK_INT(pipe2(gate, O_CLOEXEC), ==, 0);
        const pid_t pid = fork();
        if (pid == 0) {
            char c;
            _exit(read(gate[0], &c, 1) == 1 ? 7 : 8);
        }
        CHECK_INT(pid, >, 0);
        const int number = (int)syscall(SYS_pidfd_open, pid, 0);
        CHECK_INT(number, >=, 0);
        sley_fd_init(&fd, number);
        struct sley_file_op op = {.io = {.fd = &fd, .buf = &info}};
        file_start(&op, SLEY_IO_CHILD);
        CHECK(!sley_wait_done(&op.io.wait));
        if (i % 2) {
            sley_wait_cancel(&op.io.wait);
            CHECK_RC(sley_await(&op.io.wait), -ECANCELED);
            file_start(&op, SLEY_IO_CHILD);
        }
        CHECK_INT(write(gate[1], "x", 1), ==, 1);
        CHECK_RC(sley_await(&op.io.wait), 0);
        CHECK_INT(info.si_pid, ==, pid);
        CHECK_INT(info.si_status, ==, 7);
        CHECK_INT(waitpid(pid, NULL, WNOHANG), ==, -1);
        CHECK_RC(sley_fd_close(&fd), 0);
        CHECK_INT(close(gate[0]), ==, 0);
        CHECK_INT(close(gate[1]), ==, 0);
    }
}
