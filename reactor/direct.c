/* Direct descriptors: places in a reactor's own table of files, which the process's table knows nothing of. */
#include "op.h"

#include <sley/file_impl.h>

#include <errno.h>
#include <unistd.h>

void sley_fd_init_from(struct sley_fd *fd, const struct sley_io_op *op)
{
    sley_fd_init(fd, op->out_number);
    const struct sley_file_op *path = (const struct sley_file_op *)(const void *)op; /* an OPEN, which has no descriptor yet */
    sley__fd_bring_home(fd, op->fd ? sley__fd_home(op->fd) : path->home);
}

int sley_fd_borrow(const struct sley_fd *fd)
{
    const struct sley_sched *s = sley__self;
    struct sley_reactor *home = sley__fd_home(fd);
    const bool here = s && home && sley__here(s) == home;
    if (fd->number < 0) {
        return -EBADF;
    }
    if (!here && home && sley__home_orphaned(home)) {
        return -EOWNERDEAD; /* what is set at the socket is set for the parent, too */
    }
    if (!sley_fd_is_direct(fd)) {
        return fd->number;
    }
    if (!here) {
        return -EXDEV;
    }
    if (!home->ops->lend_number) {
        return -ENOTSUP;
    }
    const bool owned = sley__door_own(home);
    const int number = home->ops->lend_number(home, fd);
    sley__door_disown(home, owned);
    return number;
}

void sley_fd_give_back(const struct sley_fd *fd, int number)
{
    if (number >= 0 && number != fd->number) {
        (void)close(number);
    }
}
