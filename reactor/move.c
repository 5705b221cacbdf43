/* A descriptor is given up by its home, so that the worker of its next op becomes the new one. */
#include "op.h"

static const struct sley_wait_ops move_ops = {.version = SLEY_WAIT_VERSION, .name = "io.move"};

enum {
    /* what stays true of a descriptor wherever it is at home */
    KEPT = SLEY_FD_STREAM | SLEY_FD_CLOSING,
    IN_USE = SLEY_FD_HOLD_MASK | SLEY_FD_READING | SLEY_FD_WRITING | SLEY_FD_SENDING_MASK,
};

static void without_home(struct sley_fd *fd)
{
    fd->slot = NULL;
    sley__fd_set(fd, (sley__fd_state(fd) & KEPT) | SLEY_FD_FAR);
    /* release: who makes the next home does so under another lock; pairs with the acquires in shared.c, remote.c and file.c */
    atomic_store_explicit(&fd->home, NULL, memory_order_release);
}

/** At home, with its lock if it has one. */
static int32_t give_up(struct sley_reactor *home, struct sley_fd *fd)
{
    const uint32_t state = sley__fd_state(fd);
    if (fd->number < 0 || (state & SLEY_FD_CLOSING)) {
        return -EBADF;
    }
    if (sley_fd_is_direct(fd)) {
        return -ENOTSUP;
    }
    if ((state & IN_USE) || sley__remote_expected(fd, home)) {
        return -EBUSY;
    }
    if (home->ops->adopt && (!home->shared || (state & SLEY_FD_KNOWN)) && home->ops->adopt(home, fd) == -EEXIST) {
        return -EBUSY; /* else it is forgotten: the number may be anybody's when it is seen here again */
    }
    sley__home_lose(home, fd);
    without_home(fd);
    return 0;
}

static int32_t take_from_gone(struct sley_fd *fd)
{
    const uint32_t state = sley__fd_state(fd);
    if (state & IN_USE) {
        return -EBUSY; /* its home is only ending, and what is in flight will be told */
    }
    if (fd->number < 0 || sley_fd_is_direct(fd)) {
        return fd->number < 0 ? -EBADF : -ENOTSUP;
    }
    if ((state & SLEY_FD_AHEAD) && (state & SLEY_FD_STREAM) && sley__home_has_lost(sley__fd_home(fd), fd->number)) {
        return -ENODEV; /* what the home had received ahead has gone with it */
    }
    without_home(fd);
    return 0;
}

static void move_here(struct sley_io_op *op)
{
    sley_wait_begin_always(&op->wait, &move_ops);
    sley_fd_move_start(op, op->fd);
}

void sley_fd_move_start(struct sley_io_op *op, struct sley_fd *fd)
{
    if (!sley_wait_begin(&op->wait, &move_ops)) {
        return;
    }
    const bool away = sley_fd_away(fd);
    struct sley_reactor *entered = sley_fd_enter(fd), *home = sley__fd_home(fd);
    op->fd = fd;
    if (away && home) {
        op->buf = op->object = NULL;
        if (sley__home_gone(home)) {
            sley_wait_finish(&op->wait, take_from_gone(fd));
        } else {
            op->code = 0;
            const int rc = sley_io_call_home(op, fd, op, move_here);
            if (rc < 0) {
                sley_wait_finish(&op->wait, rc);
            }
        }
    } else {
        sley_wait_finish(&op->wait, home ? give_up(home, fd) : fd->number < 0 ? -EBADF : 0);
    }
    sley_reactor_leave(entered);
}

int sley_fd_move(struct sley_fd *fd)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    struct sley_io_op op = {.fd = fd};
    sley_fd_move_start(&op, fd);
    return sley_await(&op.wait);
}
