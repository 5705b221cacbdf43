/* Files and paths: calls that may have to wait for a disk, and do not block the executor's thread. Lower level: <sley/file_ops.h>. */
#ifndef SLEY_FILE_H
#define SLEY_FILE_H

#include <sley/file_ops.h>

#include <sys/types.h>

SLEY_EXTERN_C_BEGIN

struct iovec;
struct statx;

/*
 * Every call has a direct form (for fibers, and for plain threads, which make the system call themselves) and a _start form (for frames
 * and select) that takes an op first, then the same arguments. All that pointers name (buffers, vectors, paths, outputs) is borrowed
 * until the op is done.
 *
 * Returns, all of them: 0 or a count; the error of the system call, as a negative errno; -EBADF when the file is not open;
 * -ECANCELED: the call had no effect (one that has begun is waited for, and gives its true result); -EBUSY, see sley_file_read; on
 * another executor than the one that used the file first (its home) also -ENOMEM, and -ENODEV when the home has been destroyed;
 * -EAGAIN: no thread could be made for the call; -ENOTSUP: the executor has no reactor; -EDEADLK as sley_await. Thread: as sley_await.
 * Cost: data in the page cache is read at once, where the system can tell; else the reactor does it (uring), or a call on another
 * thread.
 */

/** An open file. Zeroed: none. May be copied while nothing is in flight on it (the old copy is dead). Fields are private. */
struct sley_file {
    struct sley_fd fd;
    bool open;
};

/**
 * Opens @p path. @p flags: O_*; close-on-exec is always added. `*ret_file` is written on success only. A cancel leaks nothing: the
 * result is -ECANCELED, or it is 0 and the file is open. Owns: the file, to be closed. A FIFO without O_NONBLOCK waits for the other
 * end, as in open(2); where the reactor makes its blocking calls on a single helper thread, the calls behind it wait, too
 * (sley_fifo_open does not wait).
 */
SLEY_API int sley_file_open(struct sley_file *ret_file, const char *path, int flags, uint32_t mode);
SLEY_API void sley_file_open_start(struct sley_file_op *op, struct sley_file *ret_file, const char *path, int flags, uint32_t mode);
/** Takes over an open descriptor of any kind; pipes and the like should have O_NONBLOCK set. Never waits. Returns: 0; -EBADF; -EINVAL.
 * Owns: the number on success. Thread: any. */
SLEY_API int sley_file_from_fd(struct sley_file *ret_file, int number);

/**
 * Reads or writes at @p offset (bytes); the file's own position does not move. Any number may be in flight. Returns: the number of
 * bytes; a read of a regular file gives fewer than @p len only at the end of the file, and 0 there.
 */
SLEY_API int sley_file_read_at(struct sley_file *f, void *buf, size_t len, uint64_t offset);
SLEY_API void sley_file_read_at_start(struct sley_file_op *op, struct sley_file *f, void *buf, size_t len, uint64_t offset);
SLEY_API int sley_file_write_at(struct sley_file *f, const void *buf, size_t len, uint64_t offset);
SLEY_API void sley_file_write_at_start(struct sley_file_op *op, struct sley_file *f, const void *buf, size_t len, uint64_t offset);
/** The same with at most 1,024 pieces. */
SLEY_API int sley_file_readv_at(struct sley_file *f, const struct iovec *iov, size_t count, uint64_t offset);
SLEY_API void sley_file_readv_at_start(struct sley_file_op *op, struct sley_file *f, const struct iovec *iov, size_t count,
                                       uint64_t offset);
SLEY_API int sley_file_writev_at(struct sley_file *f, const struct iovec *iov, size_t count, uint64_t offset);
SLEY_API void sley_file_writev_at_start(struct sley_file_op *op, struct sley_file *f, const struct iovec *iov, size_t count,
                                        uint64_t offset);
/** With registered memory: @p buf lies inside @p fixed, else -EFAULT. */
SLEY_API int sley_file_read_fixed(struct sley_file *f, struct sley_fixed *fixed, void *buf, size_t len, uint64_t offset);
SLEY_API void sley_file_read_fixed_start(struct sley_file_op *op, struct sley_file *f, struct sley_fixed *fixed, void *buf, size_t len,
                                         uint64_t offset);
SLEY_API int sley_file_write_fixed(struct sley_file *f, struct sley_fixed *fixed, const void *buf, size_t len, uint64_t offset);
SLEY_API void sley_file_write_fixed_start(struct sley_file_op *op, struct sley_file *f, struct sley_fixed *fixed, const void *buf,
                                          size_t len, uint64_t offset);

/**
 * Reads or writes at the file's own position, which moves on; also for pipes, terminals, eventfds. One read and one write at a time: a
 * second is -EBUSY. Returns: the number of bytes; 0 at the end. Never raises SIGPIPE.
 */
SLEY_API int sley_file_read(struct sley_file *f, void *buf, size_t len);
SLEY_API void sley_file_read_start(struct sley_file_op *op, struct sley_file *f, void *buf, size_t len);
SLEY_API int sley_file_write(struct sley_file *f, const void *buf, size_t len);
SLEY_API void sley_file_write_start(struct sley_file_op *op, struct sley_file *f, const void *buf, size_t len);

/** Writes the file's data to the disk, with all metadata (fsync); with what is needed to read the data again (fdatasync). Returns: 0. */
SLEY_API int sley_file_sync(struct sley_file *f);
SLEY_API void sley_file_sync_start(struct sley_file_op *op, struct sley_file *f);
SLEY_API int sley_file_datasync(struct sley_file *f);
SLEY_API void sley_file_datasync_start(struct sley_file_op *op, struct sley_file *f);

/** Fills `*ret_stat` with size, times, kind (STATX_BASIC_STATS). Returns: 0. */
SLEY_API int sley_file_stat(struct sley_file *f, struct statx *ret_stat);
SLEY_API void sley_file_stat_start(struct sley_file_op *op, struct sley_file *f, struct statx *ret_stat);

/** Reserves room on the disk for @p len bytes at @p offset; the file grows if needed. Returns: 0. */
SLEY_API int sley_file_allocate(struct sley_file *f, uint64_t offset, uint64_t len);
SLEY_API void sley_file_allocate_start(struct sley_file_op *op, struct sley_file *f, uint64_t offset, uint64_t len);

/**
 * Moves bytes from @p from to @p to without copying them out of the kernel; one of the two is a pipe. An offset of SLEY_FILE_HERE: the
 * file's own position. Waits until both sides are ready. Returns: the number of bytes; 0 at the end of @p from.
 */
SLEY_API int sley_file_splice(struct sley_file *from, uint64_t from_offset, struct sley_file *to, uint64_t to_offset, size_t len);
SLEY_API void sley_file_splice_start(struct sley_file_op *op, struct sley_file *from, uint64_t from_offset, struct sley_file *to,
                                     uint64_t to_offset, size_t len);

/** Cancels the ops in flight, waits for calls that have begun, then closes the file. The call itself cannot be cancelled. Returns: 0,
 * also for a closed or zeroed file. */
SLEY_API int sley_file_close(struct sley_file *f);
SLEY_API void sley_file_close_start(struct sley_io_op *op, struct sley_file *f);

/* ---- paths, relative to the current directory; all return 0 or a negative errno ------------------------------------- */

SLEY_API int sley_path_rename(const char *from, const char *to);
SLEY_API void sley_path_rename_start(struct sley_file_op *op, const char *from, const char *to);
SLEY_API int sley_path_unlink(const char *path);
SLEY_API void sley_path_unlink_start(struct sley_file_op *op, const char *path);
SLEY_API int sley_path_rmdir(const char *path);
SLEY_API void sley_path_rmdir_start(struct sley_file_op *op, const char *path);
SLEY_API int sley_path_mkdir(const char *path, uint32_t mode);
SLEY_API void sley_path_mkdir_start(struct sley_file_op *op, const char *path, uint32_t mode);
/** Follows links. */
SLEY_API int sley_path_stat(const char *path, struct statx *ret_stat);
SLEY_API void sley_path_stat_start(struct sley_file_op *op, const char *path, struct statx *ret_stat);

SLEY_EXTERN_C_END
#endif
