/* Ops on a plain thread: try, wait in poll(2), try again. The descriptor gets no home; the thread's SLEY_UNTIL holds. */
#include "file.h"
#include "op.h"

#include <sley/near_impl.h>

#include <errno.h>
#include <poll.h>
#include <time.h>

static short events_of(const struct sley_io_op *op)
{
    switch (op->code) {
    case SLEY_IO_POLL:
        return (short)(op->len & (SLEY_IO_IN | SLEY_IO_OUT));
    case SLEY_IO_CONNECT:
    case SLEY_IO_SEND:
    case SLEY_IO_SENDMSG:
        return POLLOUT;
    default:
        return POLLIN;
    }
}

int sley__thread_wait_ready(int number, short events)
{
    const uint64_t deadline_ns = sley_thread_deadline_ns();
    if (deadline_ns == 0) {
        return -ECANCELED;
    }
    struct timespec ts = {0};
    if (deadline_ns != SLEY_NEVER) {
        const uint64_t now = sley_now_ns();
        const uint64_t left = now < deadline_ns ? deadline_ns - now : 0;
        ts.tv_sec = (time_t)(left / SLEY_S);
        ts.tv_nsec = (long)(left % SLEY_S);
    }
    struct pollfd p = {.fd = number, .events = events};
    return ppoll(&p, 1, deadline_ns == SLEY_NEVER ? NULL : &ts, NULL) < 0 && errno != EINTR ? -errno : 0;
}

static int32_t run(struct sley_io_op *op)
{
    for (;;) {
        const int32_t n = sley_io_try(op);
        if (n != -EAGAIN && n != -EINPROGRESS) {
            return n;
        }
        const int rc = sley__thread_wait_ready(op->fd->number, events_of(op)); /* returns at once after a share, but sees the deadline */
        if (rc < 0) {
            return rc;
        }
    }
}

/** Several threads may share a descriptor that has no home: one may read while another writes. */
static int32_t take_and_run(struct sley_io_op *op)
{
    struct sley_fd *fd = op->fd;
    const uint32_t busy = sley__io_busy(op);
    /* acquire: pairs with the release below; what the op before did to the descriptor is seen */
    const uint32_t state = atomic_fetch_or_explicit(&fd->state, busy, memory_order_acquire);
    if (state & busy) {
        return -EBUSY;
    }
    int32_t result = -EBADF;
    if (!(state & SLEY_FD_CLOSING)) {
        /* relaxed: a count; close looks at it when its caller has ordered it after */
        atomic_fetch_add_explicit(&fd->state, SLEY_FD_HOLD, memory_order_relaxed);
        result = run(op);
        /* relaxed: as above */
        atomic_fetch_sub_explicit(&fd->state, SLEY_FD_HOLD, memory_order_relaxed);
    }
    /* release: pairs with the acquire above */
    atomic_fetch_and_explicit(&fd->state, ~busy, memory_order_release);
    return result;
}

static int32_t close_here(struct sley_fd *fd)
{
    const uint32_t state = sley__fd_state(fd);
    if (fd->number < 0 || (state & SLEY_FD_CLOSING)) {
        return 0;
    }
    if (((state & SLEY_FD_HOLD_MASK) || sley_fd_is_direct(fd)) && !sley__home_orphaned(sley__fd_home(fd))) {
        return -EXDEV;
    }
    sley__fd_close_idle(fd);
    return 0;
}

static int32_t close_anywhere(struct sley_io_op *op)
{
    struct sley_reactor *home = sley__fd_home(op->fd);
    sley_wait_begin_always(&op->wait, &sley__io_kinds[SLEY_IO_CLOSE]);
    return home && sley__remote_close(op, home) ? sley_await(&op->wait) : sley__io_end(op, close_here(op->fd));
}

int sley__io_run_thread(struct sley_io_op *op)
{
    struct sley_fd *fd = op->fd;
    int32_t result;
    if (sley__file_code(op->code)) {
        return sley__file_run_thread(op);
    }
    op->done_bytes = 0;
    op->stage = 0;
    if (op->code == SLEY_IO_CLOSE) {
        return close_anywhere(op);
    }
    if (op->code == 0 || op->code > SLEY_IO_CLOSE) {
        result = -EINVAL;
    } else if (sley__fd_home(fd)) {
        return sley__remote_run(op, sley__fd_home(fd));
    } else {
        result = fd->number < 0 ? -EBADF : take_and_run(op);
    }
    return sley__io_end(op, result);
}
