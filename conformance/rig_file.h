/* What the clauses of file ops share. Such an op may be a call on another thread: the executor has to be driven, so a fiber awaits it. */
#ifndef SLEY_CONFORMANCE_RIG_FILE_H
#define SLEY_CONFORMANCE_RIG_FILE_H

#include <sley/file_impl.h>

#include "rig.h"

static inline void file_start(struct sley_file_op *op, enum sley_io_code code)
{
    op->io.code = (uint8_t)code;
    sley_io_submit(&op->io);
}

static inline int file_run(struct sley_file_op *op, enum sley_io_code code)
{
    file_start(op, code);
    return sley_await(&op->io.wait);
}

/** READ, WRITE, READV or WRITEV. */
static inline int move_at(struct sley_fd *fd, enum sley_io_code code, const void *buf, size_t len, uint64_t offset)
{
    struct sley_file_op op = {.io = {.fd = fd, .buf = (void *)(uintptr_t)buf, .len = len}, .offset = offset};
    return file_run(&op, code);
}

/** A number; a negative errno. */
static inline int open_at(int dir, const char *path, int flags)
{
    struct sley_file_op op = {.dir = dir, .a.path = path, .how = (uint32_t)flags, .mode = 0600};
    const int rc = file_run(&op, SLEY_IO_OPEN);
    return rc < 0 ? rc : op.io.out_number;
}

static inline void file_close(struct sley_fd *fd)
{
    struct sley_io_op op = {0};
    sley_fd_close_start(&op, fd);
    CHECK_RC(sley_await(&op.wait), 0);
}

/** A file without a name. */
void sley__rig_file(struct sley_fd *fd);
/** A pipe: @p out's number reads, @p in's writes. @p flags: O_NONBLOCK or 0. */
void sley__rig_pipe(int flags, int *ret_out, int *ret_in);
/** A fresh directory, and its number; nothing of it is left, however the clause ends. */
int sley__rig_dir(void);

/** An op where the file stands. */
static inline struct sley_file_op here(struct sley_fd *fd, const void *buf, size_t len)
{
    return (struct sley_file_op){.io = {.fd = fd, .buf = (void *)(uintptr_t)buf, .len = len}, .offset = SLEY_FILE_HERE};
}

static inline void write_text(int number, const char *text)
{
    CHECK_INT(write(number, text, strlen(text)), ==, (intmax_t)strlen(text));
}

/** Until it has no room; returns how many bytes that took. */
static inline size_t fill_pipe(int in)
{
    static const char block[4096];
    size_t bytes = 0;
    CHECK_INT(fcntl(in, F_SETPIPE_SZ, 4096), >=, 0);
    for (ssize_t n; (n = write(in, block, sizeof block)) > 0;) {
        bytes += (size_t)n;
    }
    return bytes;
}

static inline void empty_pipe(int out, size_t bytes)
{
    static char block[65536];
    while (bytes > 0) {
        const ssize_t n = read(out, block, bytes < sizeof block ? bytes : sizeof block);
        CHECK_INT(n, >, 0);
        bytes -= (size_t)n;
    }
}

#endif
