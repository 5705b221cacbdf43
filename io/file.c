/* Files and paths: each call fills in an op of the reactor. */
#include <sley/file.h>
#include <sley/reactor_impl.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- filling in ----------------------------------------------------------------------------------------------------- */

static struct sley_fd *fd_of(struct sley_file *f)
{
    return f && f->open ? &f->fd : NULL; /* NULL: -EBADF */
}

static struct sley_file_op *fill(struct sley_file_op *op, enum sley_io_code code, struct sley_fd *fd)
{
    op->io.code = (uint8_t)code;
    op->io.flags = 0;
    op->io.end = NULL;
    op->io.fd = fd;
    op->a.path = NULL;
    op->b.to_path = NULL;
    op->dir = op->to_dir = AT_FDCWD;
    op->how = 0;
    return op;
}

static struct sley_file_op *fill_move(struct sley_file_op *op, enum sley_io_code code, struct sley_file *f, const void *buf, size_t len,
                                      uint64_t offset)
{
    fill(op, code, fd_of(f));
    op->io.buf = (void *)(uintptr_t)buf;
    op->io.len = len;
    op->offset = offset;
    return op;
}

/** What says HERE elsewhere is no offset here. */
static uint64_t at(uint64_t offset)
{
    return offset == SLEY_FILE_HERE ? SLEY_FILE_HERE - 1 : offset;
}

static struct sley_file_op *fill_fixed(struct sley_file_op *op, enum sley_io_code code, struct sley_file *f, struct sley_fixed *fixed,
                                       const void *buf, size_t len, uint64_t offset)
{
    fill_move(op, code, f, buf, len, at(offset));
    op->a.fixed = fixed;
    return op;
}

static struct sley_file_op *fill_splice(struct sley_file_op *op, struct sley_file *from, uint64_t from_offset, struct sley_file *to,
                                        uint64_t to_offset, size_t len)
{
    fill_move(op, SLEY_IO_SPLICE, from, NULL, len, from_offset);
    op->a.to = fd_of(to);
    op->b.to_offset = to_offset;
    return op;
}

static struct sley_file_op *fill_stat(struct sley_file_op *op, struct sley_fd *fd, const char *path, struct statx *ret_stat)
{
    fill(op, SLEY_IO_STAT, fd);
    op->a.path = path;
    op->mode = STATX_BASIC_STATS;
    op->io.buf = ret_stat;
    return op;
}

static struct sley_file_op *fill_path(struct sley_file_op *op, enum sley_io_code code, const char *path, int how, uint32_t mode)
{
    fill(op, code, NULL);
    op->a.path = path;
    op->how = (uint32_t)how;
    op->mode = mode;
    return op;
}

static struct sley_file_op *fill_rename(struct sley_file_op *op, const char *from, const char *to)
{
    fill_path(op, SLEY_IO_RENAME, from, 0, 0);
    op->b.to_path = to;
    return op;
}

static void file_init(struct sley_file *f, int number)
{
    f->open = true;
    sley_fd_init(&f->fd, number);
}

static int32_t opened(struct sley_io_op *op, int32_t result)
{
    if (result == 0) {
        file_init(op->object, op->out_number);
    }
    return result;
}

static struct sley_file_op *fill_open(struct sley_file_op *op, struct sley_file *ret_file, const char *path, int flags, uint32_t mode)
{
    fill_path(op, SLEY_IO_OPEN, ret_file ? path : NULL, flags, mode);
    op->io.object = ret_file;
    op->io.end = opened;
    return op;
}

int sley_file_from_fd(struct sley_file *ret_file, int number)
{
    if (!ret_file) {
        return -EINVAL;
    }
    if (fcntl(number, F_GETFD) < 0) {
        return -errno;
    }
    file_init(ret_file, number);
    return 0;
}

/* ---- the two forms ---------------------------------------------------------------------------------------------------- */

static int run(struct sley_file_op *op)
{
    return sley_io_run(&op->io);
}

static void start(struct sley_file_op *op)
{
    sley_io_submit(&op->io);
}

int sley_file_open(struct sley_file *ret_file, const char *path, int flags, uint32_t mode)
{
    struct sley_file_op op = {0};
    return run(fill_open(&op, ret_file, path, flags, mode));
}

void sley_file_open_start(struct sley_file_op *op, struct sley_file *ret_file, const char *path, int flags, uint32_t mode)
{
    start(fill_open(op, ret_file, path, flags, mode));
}

int sley_file_read_at(struct sley_file *f, void *buf, size_t len, uint64_t offset)
{
    struct sley_file_op op = {0};
    return run(fill_move(&op, SLEY_IO_READ, f, buf, len, at(offset)));
}

void sley_file_read_at_start(struct sley_file_op *op, struct sley_file *f, void *buf, size_t len, uint64_t offset)
{
    start(fill_move(op, SLEY_IO_READ, f, buf, len, at(offset)));
}

int sley_file_write_at(struct sley_file *f, const void *buf, size_t len, uint64_t offset)
{
    struct sley_file_op op = {0};
    return run(fill_move(&op, SLEY_IO_WRITE, f, buf, len, at(offset)));
}

void sley_file_write_at_start(struct sley_file_op *op, struct sley_file *f, const void *buf, size_t len, uint64_t offset)
{
    start(fill_move(op, SLEY_IO_WRITE, f, buf, len, at(offset)));
}

int sley_file_readv_at(struct sley_file *f, const struct iovec *iov, size_t count, uint64_t offset)
{
    struct sley_file_op op = {0};
    return run(fill_move(&op, SLEY_IO_READV, f, iov, count, at(offset)));
}

void sley_file_readv_at_start(struct sley_file_op *op, struct sley_file *f, const struct iovec *iov, size_t count, uint64_t offset)
{
    start(fill_move(op, SLEY_IO_READV, f, iov, count, at(offset)));
}

int sley_file_writev_at(struct sley_file *f, const struct iovec *iov, size_t count, uint64_t offset)
{
    struct sley_file_op op = {0};
    return run(fill_move(&op, SLEY_IO_WRITEV, f, iov, count, at(offset)));
}

void sley_file_writev_at_start(struct sley_file_op *op, struct sley_file *f, const struct iovec *iov, size_t count, uint64_t offset)
{
    start(fill_move(op, SLEY_IO_WRITEV, f, iov, count, at(offset)));
}

int sley_file_read_fixed(struct sley_file *f, struct sley_fixed *fixed, void *buf, size_t len, uint64_t offset)
{
    struct sley_file_op op = {0};
    return run(fill_fixed(&op, SLEY_IO_READ_FIXED, f, fixed, buf, len, offset));
}

void sley_file_read_fixed_start(struct sley_file_op *op, struct sley_file *f, struct sley_fixed *fixed, void *buf, size_t len,
                                uint64_t offset)
{
    start(fill_fixed(op, SLEY_IO_READ_FIXED, f, fixed, buf, len, offset));
}

int sley_file_write_fixed(struct sley_file *f, struct sley_fixed *fixed, const void *buf, size_t len, uint64_t offset)
{
    struct sley_file_op op = {0};
    return run(fill_fixed(&op, SLEY_IO_WRITE_FIXED, f, fixed, buf, len, offset));
}

void sley_file_write_fixed_start(struct sley_file_op *op, struct sley_file *f, struct sley_fixed *fixed, const void *buf, size_t len,
                                 uint64_t offset)
{
    start(fill_fixed(op, SLEY_IO_WRITE_FIXED, f, fixed, buf, len, offset));
}

int sley_file_read(struct sley_file *f, void *buf, size_t len)
{
    struct sley_file_op op = {0};
    return run(fill_move(&op, SLEY_IO_READ, f, buf, len, SLEY_FILE_HERE));
}

void sley_file_read_start(struct sley_file_op *op, struct sley_file *f, void *buf, size_t len)
{
    start(fill_move(op, SLEY_IO_READ, f, buf, len, SLEY_FILE_HERE));
}

int sley_file_write(struct sley_file *f, const void *buf, size_t len)
{
    struct sley_file_op op = {0};
    return run(fill_move(&op, SLEY_IO_WRITE, f, buf, len, SLEY_FILE_HERE));
}

void sley_file_write_start(struct sley_file_op *op, struct sley_file *f, const void *buf, size_t len)
{
    start(fill_move(op, SLEY_IO_WRITE, f, buf, len, SLEY_FILE_HERE));
}

int sley_file_sync(struct sley_file *f)
{
    struct sley_file_op op = {0};
    return run(fill(&op, SLEY_IO_FSYNC, fd_of(f)));
}

void sley_file_sync_start(struct sley_file_op *op, struct sley_file *f)
{
    start(fill(op, SLEY_IO_FSYNC, fd_of(f)));
}

int sley_file_datasync(struct sley_file *f)
{
    struct sley_file_op op = {0};
    return run(fill(&op, SLEY_IO_FDATASYNC, fd_of(f)));
}

void sley_file_datasync_start(struct sley_file_op *op, struct sley_file *f)
{
    start(fill(op, SLEY_IO_FDATASYNC, fd_of(f)));
}

int sley_file_stat(struct sley_file *f, struct statx *ret_stat)
{
    struct sley_file_op op = {0};
    return run(fill_stat(&op, fd_of(f), NULL, ret_stat));
}

void sley_file_stat_start(struct sley_file_op *op, struct sley_file *f, struct statx *ret_stat)
{
    start(fill_stat(op, fd_of(f), NULL, ret_stat));
}

int sley_file_allocate(struct sley_file *f, uint64_t offset, uint64_t len)
{
    struct sley_file_op op = {0};
    return run(fill_move(&op, SLEY_IO_FALLOCATE, f, NULL, (size_t)len, offset));
}

void sley_file_allocate_start(struct sley_file_op *op, struct sley_file *f, uint64_t offset, uint64_t len)
{
    start(fill_move(op, SLEY_IO_FALLOCATE, f, NULL, (size_t)len, offset));
}

int sley_file_splice(struct sley_file *from, uint64_t from_offset, struct sley_file *to, uint64_t to_offset, size_t len)
{
    struct sley_file_op op = {0};
    return run(fill_splice(&op, from, from_offset, to, to_offset, len));
}

void sley_file_splice_start(struct sley_file_op *op, struct sley_file *from, uint64_t from_offset, struct sley_file *to,
                            uint64_t to_offset, size_t len)
{
    start(fill_splice(op, from, from_offset, to, to_offset, len));
}

int sley_path_rename(const char *from, const char *to)
{
    struct sley_file_op op = {0};
    return run(fill_rename(&op, from, to));
}

void sley_path_rename_start(struct sley_file_op *op, const char *from, const char *to)
{
    start(fill_rename(op, from, to));
}

int sley_path_unlink(const char *path)
{
    struct sley_file_op op = {0};
    return run(fill_path(&op, SLEY_IO_UNLINK, path, 0, 0));
}

void sley_path_unlink_start(struct sley_file_op *op, const char *path)
{
    start(fill_path(op, SLEY_IO_UNLINK, path, 0, 0));
}

int sley_path_rmdir(const char *path)
{
    struct sley_file_op op = {0};
    return run(fill_path(&op, SLEY_IO_UNLINK, path, AT_REMOVEDIR, 0));
}

void sley_path_rmdir_start(struct sley_file_op *op, const char *path)
{
    start(fill_path(op, SLEY_IO_UNLINK, path, AT_REMOVEDIR, 0));
}

int sley_path_mkdir(const char *path, uint32_t mode)
{
    struct sley_file_op op = {0};
    return run(fill_path(&op, SLEY_IO_MKDIR, path, 0, mode));
}

void sley_path_mkdir_start(struct sley_file_op *op, const char *path, uint32_t mode)
{
    start(fill_path(op, SLEY_IO_MKDIR, path, 0, mode));
}

int sley_path_stat(const char *path, struct statx *ret_stat)
{
    struct sley_file_op op = {0};
    return run(fill_stat(&op, NULL, path ? path : "", ret_stat));
}

void sley_path_stat_start(struct sley_file_op *op, const char *path, struct statx *ret_stat)
{
    start(fill_stat(op, NULL, path ? path : "", ret_stat));
}

/* ---- closing ------------------------------------------------------------------------------------------------------------ */

int sley_file_close(struct sley_file *f)
{
    return f && f->open ? sley_fd_close(&f->fd) : 0;
}

void sley_file_close_start(struct sley_io_op *op, struct sley_file *f)
{
    static const struct sley_wait_ops none = {.version = SLEY_WAIT_VERSION, .name = "file.close"};
    if (f && f->open) {
        sley_fd_close_start(op, &f->fd);
    } else {
        sley_wait_begin_always(&op->wait, &none);
        sley_wait_finish(&op->wait, 0);
    }
}
