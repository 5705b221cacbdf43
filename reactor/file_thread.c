/* File ops on a plain thread: it makes the call itself, and waits in poll(2) where the call would wait. As thread.c for sockets. */
#include "file.h"
#include "op.h"

/** Takes a descriptor without a home, as thread.c does. Returns: 0; why not. */
static int32_t take(struct sley_fd *fd, uint32_t busy)
{
    if (fd->number < 0) {
        return -EBADF;
    }
    if (sley__fd_home(fd)) {
        return -EXDEV;
    }
    /* acquire: pairs with the release in give; what the op before did to the descriptor is seen */
    const uint32_t state = atomic_fetch_or_explicit(&fd->state, busy, memory_order_acquire);
    const int32_t rc = state & busy ? -EBUSY : state & SLEY_FD_CLOSING ? -EBADF : 0;
    if (rc == 0) {
        /* relaxed: a count; close looks at it when its caller has ordered it after */
        atomic_fetch_add_explicit(&fd->state, SLEY_FD_HOLD, memory_order_relaxed);
    } else if (rc == -EBADF) {
        /* release: pairs with the acquire above */
        atomic_fetch_and_explicit(&fd->state, ~busy, memory_order_release);
    }
    return rc;
}

static void give(struct sley_fd *fd, uint32_t busy)
{
    /* relaxed: as in take */
    atomic_fetch_sub_explicit(&fd->state, SLEY_FD_HOLD, memory_order_relaxed);
    /* release: pairs with the acquire in take */
    atomic_fetch_and_explicit(&fd->state, ~busy, memory_order_release);
}

/** Asks anew each time: the state word is for all threads, and the answer is one system call away. */
static bool waits(const struct sley_file_op *op)
{
    switch (op->io.code) {
    case SLEY_IO_SEND_ZC:
    case SLEY_IO_CHILD:
    case SLEY_IO_SPLICE:
        return true;
    case SLEY_IO_READ:
    case SLEY_IO_READV:
    case SLEY_IO_READ_FIXED:
    case SLEY_IO_WRITE:
    case SLEY_IO_WRITEV:
    case SLEY_IO_WRITE_FIXED:
        return sley__file_way(op->io.fd->number) == SLEY__WAY_READY;
    default:
        return false;
    }
}

static int32_t run(struct sley_file_op *op)
{
    const bool may_wait = waits(op);
    for (;;) {
        uint32_t events;
        const int32_t n = sley__file_call(op);
        if (n != -EAGAIN || !may_wait) {
            return n;
        }
        const struct sley_fd *fd = sley__file_waits_for(op, &events);
        const int rc = sley__thread_wait_ready(fd->number, (short)events);
        if (rc < 0) {
            return rc;
        }
    }
}

int32_t sley__file_run_thread(struct sley_io_op *io)
{
    struct sley_file_op *op = sley_file_of(io);
    struct sley_fd *fd = io->fd, *to = sley__file_to(op);
    if (fd && sley__fd_home(fd)) {
        return sley__remote_run(io, sley__fd_home(fd));
    }
    io->done_bytes = 0;
    int32_t result = sley__file_check(op);
    if (result == 0 && !fd && !sley__file_is_path(op)) {
        result = -EBADF;
    }
    result = result == 0 && fd ? take(fd, sley__file_busy(op)) : result;
    if (result == 0) {
        result = to ? take(to, sley__file_busy_to(op)) : 0;
        if (result == 0) {
            result = run(op);
            if (to) {
                give(to, sley__file_busy_to(op));
            }
        }
        if (fd) {
            give(fd, sley__file_busy(op));
        }
    }
    if (io->code == SLEY_IO_SEND_ZC && op->a.sent) {
        op->a.sent(op, result);
    }
    return sley__io_end(io, result);
}
