/* How armed ops end, and descriptors: a close waits for all that is armed, or stands, and one that nobody waits for lets go. */
#include "uring.h"

#include <errno.h>
#include <unistd.h>

/** Nothing is armed, and nothing stands. Returns: whether @p op, the CLOSE (NULL: nobody waits for it), is under way now. */
static bool close_now(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_fd *fd, struct sley_io_op *op)
{
    const int number = fd->number;
    if (slot) {
        sley__uring_drop_ahead(r, slot);
    }
    if (SLEY_UNLIKELY(sley_fd_is_direct(fd))) {
        return sley__uring_direct_close(r, fd, op);
    }
    fd->number = -1;
    (void)close(number);
    return false;
}

/** The kernel has closed it, or has been told nothing: then it is open, and may be closed again. */
static int32_t direct_closed(struct sley__uring *r, struct sley_fd *fd, int32_t result)
{
    if (result == -EEXIST) {
        r->direct_count++;
        sley__fd_set(fd, sley__fd_state(fd) & ~(uint32_t)SLEY_FD_CLOSING);
        return -EXDEV;
    }
    fd->number = -1;
    return 0;
}

/** Nothing is armed on what nobody waits to see closed. The sley_fd may be gone when this returns. */
static void let_go(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_fd *fd)
{
    if (slot->standing & SLEY__URING_STANDS) {
        sley__uring_drop_ahead(r, slot);
        slot->link = fd->number;
        fd->number = -1;
    } else {
        slot->is_abandoned = false;
        (void)close_now(r, slot, fd, NULL);
    }
}

void sley__uring_close_due(struct sley__uring *r, struct sley__uring_slot *slot)
{
    if (slot->armed || (slot->standing & SLEY__URING_STANDS)) {
        return;
    }
    if (slot->is_abandoned) {
        struct sley_fd fd;
        sley_fd_init(&fd, slot->link);
        let_go(r, slot, &fd);
    }
    if (slot->closer) {
        struct sley_io_op *closer = slot->closer;
        slot->closer = NULL;
        if (close_now(r, slot, closer->fd, closer)) {
            sley__uring_push(slot, closer);
        } else {
            sley_io_complete(&r->base, closer, 0);
        }
    }
}

/** What was kept for it, or has been its own, is others' again. */
static SLEY_NOINLINE void came_in_vain(struct sley__uring *r, struct sley__uring_slot *slot, const struct sley_io_op *op)
{
    if (op->stage & SLEY__URING_INSTALLS) {
        sley__uring_accept_put_back(r, slot, op);
    } else {
        r->direct_count--; /* nothing has come to its place */
    }
}

void sley__uring_end(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t result)
{
    sley__uring_remove(slot, op);
    if (SLEY_UNLIKELY(op->stage & (SLEY__URING_PLACE | SLEY__URING_INSTALLS))) {
        came_in_vain(r, slot, op);
    }
    if (SLEY_UNLIKELY(slot->is_abandoned) && !slot->armed) {
        let_go(r, slot, op->fd); /* before this one is told: its waiter may give the memory back */
    }
    if (SLEY_UNLIKELY(op->code > SLEY_IO_CLOSE)) {
        sley_file_complete(&r->base, sley_file_of(op), result);
    } else {
        sley_io_complete(&r->base, op, SLEY_LIKELY(op->code != SLEY_IO_CLOSE) ? result : direct_closed(r, op->fd, result));
    }
    if (SLEY_UNLIKELY(slot->closer != NULL)) {
        sley__uring_close_due(r, slot);
    }
}

void sley__uring_submit_close(struct sley__uring *r, struct sley_io_op *op)
{
    struct sley__uring_slot *slot = sley__uring_find(r, op->fd->number);
    if (!slot || (!slot->armed && !(slot->standing & SLEY__URING_STANDS))) {
        if (!close_now(r, slot, op->fd, op->flags & SLEY_IO_UNHEARD ? NULL : op)) {
            sley_io_finish(op, 0);
        } else {
            sley_io_arm(&r->base, op);
            sley__uring_push(slot, op);
        }
        return;
    }
    if (op->flags & SLEY_IO_UNHEARD) {
        slot->is_abandoned = true;
    } else {
        sley_io_arm(&r->base, op);
        slot->closer = op;
    }
    for (struct sley_io_op *armed = slot->armed; armed; armed = armed->next) {
        sley__uring_ask(r, armed);
    }
    sley__uring_dismiss(r, slot);
    if (slot->is_abandoned) {
        if (!slot->armed) {
            let_go(r, slot, op->fd);
        }
        sley_io_finish(op, 0);
    }
}
