/* Clauses: ops on files and paths, whoever makes the call. */
#include "rig_file.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

void sley__rig_file(struct sley_fd *fd)
{
    const int number = memfd_create("sley-conformance", MFD_CLOEXEC);
    if (number < 0) {
        SKIP("no file in memory: %s", strerror(errno));
    }
    sley_fd_init(fd, number);
}

int sley__rig_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[sizeof sley__kit_report->scratch];
    (void)snprintf(path, sizeof path, "%s/sley-conformance-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(path)) {
        SKIP("no directory at %s: %s", path, strerror(errno));
    }
    memcpy(sley__kit_report->scratch, path, sizeof path);
    const int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_INT(dir, >=, 0);
    return dir;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

CLAUSE(file_written_is_read_back)
{
    struct sley_fd fd;
    char buf[16] = "";
    sley__rig_file(&fd);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "hello ", 6, SLEY_FILE_HERE), 6);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "world", 5, SLEY_FILE_HERE), 5);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "W", 1, 6), 1);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, sizeof buf, 0), 11);
    CHECK(memcmp(buf, "hello World\0\0", 13) == 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, 4, 6), 4);
    CHECK(memcmp(buf, "Worlo", 5) == 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, sizeof buf, 11), 0); /* the end */
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, sizeof buf, SLEY_FILE_HERE), 0);
    CHECK_INT(lseek(fd.number, 3, SEEK_SET), ==, 3);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, 2, SLEY_FILE_HERE), 2);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf + 2, 2, SLEY_FILE_HERE), 2); /* where the first has left it */
    CHECK(memcmp(buf, "lo W", 4) == 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, ((size_t)1 << 32) + 4, 1), 10); /* nothing wraps */
    CHECK(memcmp(buf, "ello World", 10) == 0);
    file_close(&fd);
}

CLAUSE(vectors_move_in_order)
{
    struct sley_fd fd;
    char a[3], b[8] = "";
    struct iovec out[] = {{(void *)(uintptr_t) "one", 3}, {(void *)(uintptr_t) "", 0}, {(void *)(uintptr_t) "three", 5}};
    struct iovec in[] = {{a, 3}, {b, sizeof b}};
    sley__rig_file(&fd);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITEV, out, 3, 4), 8);
    CHECK_RC(move_at(&fd, SLEY_IO_READV, in, 2, 4), 8);
    CHECK(memcmp(a, "one", 3) == 0 && memcmp(b, "three\0\0", 8) == 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READV, in, 1, 9), 3);
    CHECK(memcmp(a, "ree", 3) == 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READV, in, IOV_MAX + 1, 4), -EINVAL);
    file_close(&fd);
}

CLAUSE(fixed_buffers_are_buffers)
{
    static unsigned char memory[8192];
    struct sley_fd fd;
    struct sley_fixed fixed;
    sley__rig_file(&fd);
    for (int round = 0; round < 3; round++) { /* what was given back may be registered again */
        CHECK_RC(sley_fixed_init(&fixed, memory, 4096), 0);
        fill_bytes(memory, (size_t)round, 100);
        struct sley_file_op op = {.io = {.fd = &fd, .buf = memory, .len = 100}, .a.fixed = &fixed};
        CHECK_RC(file_run(&op, SLEY_IO_WRITE_FIXED), 100);
        op.io.buf = memory + 3996; /* to its last byte */
        CHECK_RC(file_run(&op, SLEY_IO_READ_FIXED), 100);
        check_bytes(memory + 3996, (size_t)round, 100);
        op.io.buf = memory + 3997;
        CHECK_RC(file_run(&op, SLEY_IO_READ_FIXED), -EFAULT);
        op.io.buf = memory + 1;
        op.io.len = SIZE_MAX;
        CHECK_RC(file_run(&op, SLEY_IO_WRITE_FIXED), -EFAULT);
        CHECK_UINT(memory[4096], ==, 0);
        CHECK_RC(sley_fixed_fini(&fixed), 0);
    }
    file_close(&fd);
}

CLAUSE(positional_ops_are_many)
{
    enum { N = 64, BYTES = 512 };
    static unsigned char got[N][BYTES], given[N][BYTES];
    static struct sley_file_op ops[N];
    struct sley_fd fd;
    sley__rig_file(&fd);
    for (int round = 0; round < 2; round++) {
        const bool out = round == 0;
        for (size_t i = 0; i < N; i++) {
            fill_bytes(given[i], i * BYTES, BYTES);
            ops[i] = (struct sley_file_op){.io = {.fd = &fd, .buf = out ? given[i] : got[i], .len = BYTES}, .offset = i * BYTES};
            file_start(&ops[i], out ? SLEY_IO_WRITE : SLEY_IO_READ);
        }
        for (size_t i = N; i-- > 0;) {
            CHECK_RC(sley_await(&ops[i].io.wait), BYTES);
        }
    }
    for (size_t i = 0; i < N; i++) {
        check_bytes(got[i], i * BYTES, BYTES);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_UINT(sley__fd_state(&fd) & (SLEY_FD_HOLD_MASK | SLEY_FD_READING | SLEY_FD_WRITING), ==, 0);
    file_close(&fd);
}

CLAUSE(file_is_synced_grown_and_described)
{
    struct sley_fd fd;
    struct statx st;
    sley__rig_file(&fd);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "abc", 3, 0), 3);
    struct sley_file_op op = {.io = {.fd = &fd}};
    CHECK_RC(file_run(&op, SLEY_IO_FSYNC), 0);
    CHECK_RC(file_run(&op, SLEY_IO_FDATASYNC), 0);
    op = (struct sley_file_op){.io = {.fd = &fd, .len = 5000}, .offset = 1000};
    const int allocated = file_run(&op, SLEY_IO_FALLOCATE);
    CHECK(allocated == 0 || allocated == -EOPNOTSUPP);
    op = (struct sley_file_op){.io = {.fd = &fd, .buf = &st}, .mode = STATX_BASIC_STATS};
    CHECK_RC(file_run(&op, SLEY_IO_STAT), 0);
    CHECK(S_ISREG(st.stx_mode));
    CHECK_UINT(st.stx_size, ==, allocated == 0 ? 6000 : 3);
    op = (struct sley_file_op){.io = {.fd = &fd, .len = 1}, .offset = UINT64_MAX - 1};
    CHECK_INT(file_run(&op, SLEY_IO_FALLOCATE), <, 0);
    file_close(&fd);
}

CLAUSE(file_op_on_what_is_not_open_is_ebadf)
{
    static const uint8_t codes[] = {SLEY_IO_READ,      SLEY_IO_WRITE, SLEY_IO_SEND_ZC,   SLEY_IO_FSYNC,
                                    SLEY_IO_FDATASYNC, SLEY_IO_STAT,  SLEY_IO_FALLOCATE, SLEY_IO_SPLICE,
                                    SLEY_IO_SHUTDOWN,  SLEY_IO_CHILD, SLEY_IO_READV,     SLEY_IO_WRITEV};
    struct sley_fd fd, to;
    union { /* what any of them may write */
        struct statx st;
        siginfo_t info;
        char byte;
    } room = {.byte = 0};
    struct iovec iov = {&room, 1};
    for (size_t i = 0; i < sizeof codes; i++) {
        const bool vector = codes[i] == SLEY_IO_READV || codes[i] == SLEY_IO_WRITEV;
        for (int closed = 0; closed < 2; closed++) {
            sley__rig_file(&to);
            sley_fd_init(&fd, closed ? fcntl(to.number, F_DUPFD_CLOEXEC, 0) : 1000); /* 1000 is free */
            if (closed) {
                file_close(&fd);
            }
            struct sley_file_op op = {.io = {.fd = &fd, .buf = vector ? (void *)&iov : (void *)&room, .len = 1}};
            op.a.to = codes[i] == SLEY_IO_SPLICE ? &to : NULL;
            op.mode = STATX_SIZE;
            const int rc = file_run(&op, (enum sley_io_code)codes[i]);
            if (rc != -EBADF) {
                FAIL("op %u gives %d", codes[i], rc);
            }
            CHECK_UINT(sley__fd_state(&to) & SLEY_FD_HOLD_MASK, ==, 0);
            file_close(&to);
        }
        struct sley_file_op none = {.io = {.buf = &room, .len = 1}};
        none.a.to = codes[i] == SLEY_IO_SPLICE ? &to : NULL;
        CHECK_RC(file_run(&none, (enum sley_io_code)codes[i]), -EBADF);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

CLAUSE(paths_are_made_moved_and_removed)
{
    const int dir = sley__rig_dir();
    struct statx st;
    struct sley_file_op op = {.dir = dir, .a.path = "d", .mode = 0700};
    CHECK_RC(file_run(&op, SLEY_IO_MKDIR), 0);
    CHECK_RC(file_run(&op, SLEY_IO_MKDIR), -EEXIST);
    (void)close(open_at(dir, "d/f", O_WRONLY | O_CREAT));
    op = (struct sley_file_op){.dir = dir, .a.path = "d/f", .to_dir = dir, .b.to_path = "g"};
    CHECK_RC(file_run(&op, SLEY_IO_RENAME), 0);
    CHECK_RC(file_run(&op, SLEY_IO_RENAME), -ENOENT);
    op = (struct sley_file_op){.io = {.buf = &st}, .dir = dir, .a.path = "g", .mode = STATX_SIZE | STATX_TYPE};
    CHECK_RC(file_run(&op, SLEY_IO_STAT), 0);
    CHECK(S_ISREG(st.stx_mode));
    CHECK_UINT(st.stx_size, ==, 0);
    op.a.path = "d/f";
    CHECK_RC(file_run(&op, SLEY_IO_STAT), -ENOENT);
    op = (struct sley_file_op){.dir = dir, .a.path = "d"};
    CHECK_RC(file_run(&op, SLEY_IO_UNLINK), -EISDIR);
    op.how = AT_REMOVEDIR;
    CHECK_RC(file_run(&op, SLEY_IO_UNLINK), 0);
    op = (struct sley_file_op){.dir = dir, .a.path = "g"};
    CHECK_RC(file_run(&op, SLEY_IO_UNLINK), 0);
    CHECK_RC(file_run(&op, SLEY_IO_UNLINK), -ENOENT);
    op.a.path = NULL;
    CHECK_RC(file_run(&op, SLEY_IO_UNLINK), -EFAULT);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    (void)close(dir);
}

CLAUSE(open_gives_close_on_exec)
{
    const int dir = sley__rig_dir(), number = open_at(dir, "f", O_RDWR | O_CREAT | O_EXCL);
    struct rlimit limit, none;
    CHECK_INT(number, >=, 0);
    CHECK_INT(fcntl(number, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    CHECK_RC(open_at(dir, "f", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    CHECK_RC(open_at(dir, "missing", O_RDONLY), -ENOENT);
    (void)close(number);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    none = limit;
    none.rlim_cur = 0; /* no new one */
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    const int rc = open_at(dir, "f", O_RDONLY);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    CHECK_RC(rc, -EMFILE);
    const int again = open_at(dir, "f", O_RDONLY);
    CHECK_INT(again, >=, 0);
    (void)close(again);
    (void)close(dir);
}

CLAUSE(cancelled_open_leaks_nothing)
{
    enum { N = 64 };
    static struct sley_file_op ops[N];
    const int dir = sley__rig_dir();
    (void)close(open_at(dir, "f", O_RDWR | O_CREAT));
    const unsigned before = sley__kit_fd_count();
    for (int i = 0; i < N; i++) {
        ops[i] = (struct sley_file_op){.dir = dir, .a.path = "f", .how = O_RDONLY};
        file_start(&ops[i], SLEY_IO_OPEN);
        if (i % 2) {
            sley_wait_cancel(&ops[i].io.wait);
        }
    }
    for (int i = 0; i < N; i++) {
        sley_wait_cancel(&ops[i].io.wait); /* each twice: nothing if it is done */
        const int rc = sley_await(&ops[i].io.wait);
        CHECK(rc == 0 || rc == -ECANCELED);
        if (rc == 0) {
            CHECK_INT(close(ops[i].io.out_number), ==, 0);
        }
    }
    CHECK_UINT(sley__kit_fd_count(), ==, before);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    (void)close(dir);
}
