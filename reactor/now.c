/* What can be received or sent at once, by who is not going to wait: no node, nothing armed, nobody told but the caller. */
#include "op.h"

#include <errno.h>
#include <sys/socket.h>

static int32_t call(int number, uint32_t code, void *buf, size_t len)
{
    ssize_t n;
    len = len < SLEY_IO_CALL_BYTES ? len : SLEY_IO_CALL_BYTES;
    do {
        n = code == SLEY_IO_RECV ? recv(number, buf, len, MSG_DONTWAIT) : send(number, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? (int32_t)n : -errno;
}

/** Its direction is free. */
static int32_t at_home(struct sley_fd *fd, uint32_t code, void *buf, size_t len)
{
    struct sley_reactor *home = sley__fd_home(fd);
    if (code == SLEY_IO_RECV && home && (sley__fd_state(fd) & SLEY_FD_AHEAD)) {
        const bool can = home->ops->version >= 3 && home->ops->take_ahead;
        const int32_t n = can ? home->ops->take_ahead(home, fd, buf, len) : -ENOTSUP;
        if (n != -EINPROGRESS) {
            return n;
        }
    }
    const int number = sley_fd_borrow(fd);
    if (number < 0) {
        return number;
    }
    const int32_t n = call(number, code, buf, len);
    sley_fd_give_back(fd, number);
    return n;
}

/** On a plain thread, where there is no home, the direction is taken for as long as the call takes: other threads may want it. */
static int32_t on_thread(struct sley_fd *fd, uint32_t code, uint32_t busy, void *buf, size_t len)
{
    /* acquire: pairs with the release below, and that of thread.c; what the one before did is seen */
    const uint32_t state = atomic_fetch_or_explicit(&fd->state, busy, memory_order_acquire);
    if (state & busy) {
        return -EBUSY;
    }
    int32_t n = -EBADF;
    if (!(state & SLEY_FD_CLOSING)) {
        /* relaxed: a count; close looks at it when its caller has ordered it after */
        atomic_fetch_add_explicit(&fd->state, SLEY_FD_HOLD, memory_order_relaxed);
        n = call(fd->number, code, buf, len);
        /* relaxed: as above */
        atomic_fetch_sub_explicit(&fd->state, SLEY_FD_HOLD, memory_order_relaxed);
    }
    /* release: pairs with the acquire above */
    atomic_fetch_and_explicit(&fd->state, ~busy, memory_order_release);
    return n;
}

int32_t sley_io_now(struct sley_fd *fd, uint32_t code, void *buf, size_t len)
{
    const uint32_t busy = code == SLEY_IO_RECV ? SLEY_FD_READING : SLEY_FD_WRITING;
    if (sley_fd_away(fd)) { /* its number is its home's */
        if (sley__fd_state(fd) & SLEY_FD_CLOSING) {
            return -EBADF;
        }
        const struct sley_reactor *home = sley__fd_home(fd);
        return sley__home_orphaned(home) ? -EOWNERDEAD : sley__home_gone(home) ? -ENODEV : -EXDEV;
    }
    if (fd->number < 0) {
        return -EBADF;
    }
    if (!sley_sched_current()) {
        return on_thread(fd, code, busy, buf, len);
    }
    struct sley_reactor *r = sley_fd_enter(fd);
    const uint32_t state = sley__fd_state(fd);
    int32_t n = state & SLEY_FD_CLOSING ? -EBADF : -EBUSY;
    if (!(state & (SLEY_FD_CLOSING | busy))) {
        n = at_home(fd, code, buf, len);
    }
    sley_reactor_leave(r);
    return n;
}
