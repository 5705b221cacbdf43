/* The system calls of file ops. Reactors without ways of their own, pools and plain threads share them. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3 /* Linux 5.4 */
#endif

uint32_t sley__file_way(int number)
{
    struct stat st;
    const int flags = fcntl(number, F_GETFL);
    if (flags < 0 || fstat(number, &st) < 0) {
        return SLEY__WAY_CALL; /* which will say why */
    }
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode)) {
        return flags & O_DIRECT ? SLEY__WAY_CALL : SLEY__WAY_FILE; /* the latter never waits for readiness */
    }
    return flags & O_NONBLOCK ? SLEY__WAY_READY : SLEY__WAY_CALL | (uint32_t)SLEY_FD_BLOCKS;
}

/* ---- reading and writing ------------------------------------------------------------------------------------------ */

/** Reads or writes once. @p flags: RWF_*. */
static ssize_t move(const struct sley_file_op *op, int flags)
{
    const int number = op->io.fd->number;
    const off_t offset = op->offset == SLEY_FILE_HERE ? -1 : (off_t)op->offset;
    struct iovec one = {.iov_base = op->io.buf, .iov_len = op->io.len < SLEY_IO_CALL_BYTES ? op->io.len : SLEY_IO_CALL_BYTES};
    const bool many = op->io.code == SLEY_IO_READV || op->io.code == SLEY_IO_WRITEV;
    const struct iovec *iov = many ? op->io.buf : &one;
    const int count = many ? (int)op->io.len : 1;
    const bool in = op->io.code == SLEY_IO_READ || op->io.code == SLEY_IO_READV || op->io.code == SLEY_IO_READ_FIXED;
    const ssize_t n = in ? preadv2(number, iov, count, offset, flags) : pwritev2(number, iov, count, offset, flags);
    return n < 0 ? -errno : n;
}

static size_t length_of(const struct sley_file_op *op)
{
    size_t bytes = 0;
    if (op->io.code != SLEY_IO_READV) {
        return op->io.len;
    }
    const struct iovec *iov = op->io.buf;
    for (size_t i = 0; i < op->io.len; i++) {
        bytes += iov[i].iov_len;
    }
    return bytes;
}

/** What is in memory already. A part of what was asked for counts only if it ends where the file does. */
static int32_t read_cached(const struct sley_file_op *op)
{
    struct stat st;
    const ssize_t n = move(op, RWF_NOWAIT);
    if (n < 0) {
        return n == -EBADF || n == -EISDIR || n == -EFAULT ? (int32_t)n : -EAGAIN; /* the others may be of RWF_NOWAIT */
    }
    if ((size_t)n == length_of(op) || n >= SLEY_IO_CALL_BYTES ||
        (fstat(op->io.fd->number, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size <= op->offset + (uint64_t)n)) {
        return (int32_t)n;
    }
    return -EAGAIN;
}

static bool writes(const struct sley_file_op *op)
{
    switch (op->io.code) {
    case SLEY_IO_WRITE:
    case SLEY_IO_WRITEV:
    case SLEY_IO_WRITE_FIXED:
    case SLEY_IO_SPLICE:
        return true;
    default:
        return false;
    }
}

static int32_t splice_once(const struct sley_file_op *op)
{
    loff_t from = (loff_t)op->offset, to = (loff_t)op->b.to_offset;
    const size_t len = op->io.len < SLEY_IO_CALL_BYTES ? op->io.len : SLEY_IO_CALL_BYTES;
    const ssize_t n = splice(op->io.fd->number, op->offset == SLEY_FILE_HERE ? NULL : &from, op->a.to->number,
                             op->b.to_offset == SLEY_FILE_HERE ? NULL : &to, len, op->how | SPLICE_F_NONBLOCK);
    return n < 0 ? -errno : (int32_t)n;
}

/* ---- the others ---------------------------------------------------------------------------------------------------- */

static int32_t send_once(const struct sley_file_op *op)
{
    const size_t len = op->io.len < SLEY_IO_CALL_BYTES ? op->io.len : SLEY_IO_CALL_BYTES;
    const ssize_t n = send(op->io.fd->number, op->io.buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : (int32_t)n;
}

/** With `how` WNOWAIT the child stays to be waited for. */
static int32_t child_once(struct sley_file_op *op)
{
    siginfo_t here = {0}, *info = op->io.buf ? op->io.buf : &here;
    info->si_pid = 0;
    if (waitid((idtype_t)P_PIDFD, (id_t)op->io.fd->number, info, (int)op->how | WEXITED | WNOHANG) < 0) {
        return -errno;
    }
    return info->si_pid ? 0 : -EAGAIN;
}

static int32_t open_once(struct sley_file_op *op)
{
    const int number = openat(op->dir, op->a.path, (int)op->how | O_CLOEXEC, (mode_t)op->mode);
    if (number < 0) {
        return -errno;
    }
    op->io.out_number = number;
    return 0;
}

static int32_t stat_once(const struct sley_file_op *op)
{
    const struct sley_fd *fd = op->io.fd;
    return statx(fd ? fd->number : op->dir, fd ? "" : op->a.path, (int)(fd ? op->how | AT_EMPTY_PATH : op->how), op->mode, op->io.buf);
}

/** Those that say 0 or -1. */
static int plain_once(const struct sley_file_op *op)
{
    switch (op->io.code) {
    case SLEY_IO_FSYNC:
        return fsync(op->io.fd->number);
    case SLEY_IO_FDATASYNC:
        return fdatasync(op->io.fd->number);
    case SLEY_IO_STAT:
        return stat_once(op);
    case SLEY_IO_FALLOCATE:
        return fallocate(op->io.fd->number, (int)op->how, (off_t)op->offset, (off_t)op->io.len);
    case SLEY_IO_RENAME:
        return op->how ? renameat2(op->dir, op->a.path, op->to_dir, op->b.to_path, op->how)
                       : renameat(op->dir, op->a.path, op->to_dir, op->b.to_path);
    case SLEY_IO_UNLINK:
        return unlinkat(op->dir, op->a.path, (int)op->how);
    case SLEY_IO_MKDIR:
        return mkdirat(op->dir, op->a.path, (mode_t)op->mode);
    default:
        return shutdown(op->io.fd->number, (int)op->how);
    }
}

/** @p cached: a read takes only what is in memory. */
static int32_t call_once(struct sley_file_op *op, bool cached)
{
    switch (op->io.code) {
    case SLEY_IO_READ:
    case SLEY_IO_READV:
    case SLEY_IO_READ_FIXED:
        return cached ? read_cached(op) : (int32_t)move(op, 0);
    case SLEY_IO_WRITE:
    case SLEY_IO_WRITEV:
    case SLEY_IO_WRITE_FIXED:
        return (int32_t)move(op, 0);
    case SLEY_IO_SPLICE:
        return splice_once(op);
    case SLEY_IO_SEND_ZC:
        return send_once(op);
    case SLEY_IO_CHILD:
        return child_once(op);
    case SLEY_IO_OPEN:
        return open_once(op);
    default:
        return plain_once(op) < 0 ? -errno : 0;
    }
}

static int32_t retry(struct sley_file_op *op, bool cached)
{
    int32_t n;
    do {
        n = call_once(op, cached);
    } while (n == -EINTR);
    return n;
}

/** The call may raise SIGPIPE: it is blocked meanwhile, and taken back if it was raised here. */
static int32_t without_sigpipe(struct sley_file_op *op)
{
    sigset_t pipe, before, pending;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
    const bool was = sigismember(&before, SIGPIPE) == 1 && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
    const int32_t n = retry(op, false);
    if (n == -EPIPE && !was) {
        while (sigtimedwait(&pipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR) {
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

int32_t sley__file_try(struct sley_file_op *op)
{
    return writes(op) ? without_sigpipe(op) : retry(op, !(op->ways & SLEY__DO_READY));
}

int32_t sley__file_call(struct sley_file_op *op)
{
    return writes(op) ? without_sigpipe(op) : retry(op, false);
}

/* ---- readiness ------------------------------------------------------------------------------------------------------ */

struct sley_fd *sley__file_waits_for(const struct sley_file_op *op, uint32_t *ret_events)
{
    const bool out = op->io.code == SLEY_IO_SEND_ZC || (writes(op) && op->io.code != SLEY_IO_SPLICE);
    *ret_events = out ? SLEY_IO_OUT : SLEY_IO_IN;
    if (op->io.code == SLEY_IO_SPLICE) {
        struct pollfd p = {.fd = op->io.fd->number, .events = POLLIN};
        if (poll(&p, 1, 0) != 0) { /* there is something: it is the other side that has no room */
            *ret_events = SLEY_IO_OUT;
            return op->a.to;
        }
    }
    return op->io.fd;
}
