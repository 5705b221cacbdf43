/* Files and paths: what may have to wait for a disk, without keeping the thread. Ops with more to say: <sley/file_ops.h>. */
#ifndef SLEY_FILE_H
#define SLEY_FILE_H

#include <sley/file_ops.h>

#include <sys/types.h>

SLEY_EXTERN_C_BEGIN

struct iovec;
struct statx;

/*
 * Every call has a direct form (a fiber, or a plain thread, which makes the call itself) and a _start form (frames, select) that
 * takes the same arguments behind an op. What pointers name (buffers, vectors, paths, outputs) is borrowed until the op is done.
 *
 * Returns, all of them: 0 or a count; what the system call says, as a negative errno; -EBADF when the file is not open;
 * -ECANCELED: nothing has happened (a call that has begun is waited for, and its own result told); -EBUSY, see read; where the
 * file's home, where it was used first, is elsewhere also -ENOMEM, and -ENODEV when that has gone; -EAGAIN: no thread could be made
 * for the call; -ENOTSUP: the executor has no reactor; -EDEADLK as sley_await. Thread: as sley_await.
 * Cost: what is in memory is read at once where the system can say so; else a call on another thread, or what the reactor can do.
 */

/** An open file. Zeroed: none. May be copied while nothing is in flight on it (the old copy is dead). Fields are private. */
struct sley_file {
    struct sley_fd fd;
    bool open;
};

/**
 * Opens @p path. @p flags: O_*; close-on-exec always. `*ret_file` is written on success only. Cancelled, it leaks nothing: the
 * verdict is -ECANCELED, or 0 and the file is open. Owns: the file, to be closed. A FIFO is opened as open(2) does it: without
 * O_NONBLOCK that waits for the other end, and, where the reactor has but its helper thread, so does whatever else goes there.
 */
SLEY_API int sley_file_open(struct sley_file *ret_file, const char *path, int flags, uint32_t mode);
SLEY_API void sley_file_open_start(struct sley_file_op *op, struct sley_file *ret_file, const char *path, int flags, uint32_t mode);
/** Takes over a number of any kind; for pipes and the like O_NONBLOCK is best set. Never waits. Returns: 0; -EBADF; -EINVAL. */
SLEY_API int sley_file_from_fd(struct sley_file *ret_file, int number);

/**
 * Bytes at @p offset; the file's own position does not move. Any number may be in flight. A file's read is short at its end alone,
 * and 0 there.
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
 * Bytes where the file stands, which moves on; and of pipes, terminals, eventfds. One read and one write at a time: a second is
 * -EBUSY. Never raises SIGPIPE.
 */
SLEY_API int sley_file_read(struct sley_file *f, void *buf, size_t len);
SLEY_API void sley_file_read_start(struct sley_file_op *op, struct sley_file *f, void *buf, size_t len);
SLEY_API int sley_file_write(struct sley_file *f, const void *buf, size_t len);
SLEY_API void sley_file_write_start(struct sley_file_op *op, struct sley_file *f, const void *buf, size_t len);

/** Brings what was written to the disk: all of it; or what is needed to find the data again. */
SLEY_API int sley_file_sync(struct sley_file *f);
SLEY_API void sley_file_sync_start(struct sley_file_op *op, struct sley_file *f);
SLEY_API int sley_file_datasync(struct sley_file *f);
SLEY_API void sley_file_datasync_start(struct sley_file_op *op, struct sley_file *f);

/** Size, times, kind: the basic ones. */
SLEY_API int sley_file_stat(struct sley_file *f, struct statx *ret_stat);
SLEY_API void sley_file_stat_start(struct sley_file_op *op, struct sley_file *f, struct statx *ret_stat);

/** Reserves room; the file grows to hold it. */
SLEY_API int sley_file_allocate(struct sley_file *f, uint64_t offset, uint64_t len);
SLEY_API void sley_file_allocate_start(struct sley_file_op *op, struct sley_file *f, uint64_t offset, uint64_t len);

/**
 * Moves bytes from @p from to @p to without copying them out of the kernel; one of them is a pipe. An offset of SLEY_FILE_HERE:
 * where it stands. Waits for both sides. Returns: bytes; 0 at the end of @p from.
 */
SLEY_API int sley_file_splice(struct sley_file *from, uint64_t from_offset, struct sley_file *to, uint64_t to_offset, size_t len);
SLEY_API void sley_file_splice_start(struct sley_file_op *op, struct sley_file *from, uint64_t from_offset, struct sley_file *to,
                                     uint64_t to_offset, size_t len);

/** Cancels what is in flight on it, waits for what has begun, then closes. Never cancelled. Again, or zeroed: 0. */
SLEY_API int sley_file_close(struct sley_file *f);
SLEY_API void sley_file_close_start(struct sley_io_op *op, struct sley_file *f);

/* ---- paths, from the current directory ------------------------------------------------------------------------------ */

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
