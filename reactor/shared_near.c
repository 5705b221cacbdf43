/* The short ways where several workers share the home: see <sley/near_impl.h>. */
#include "shared.h"

#include <sley/near_impl.h>

/** The home of @p fd, entered, when its short ways are open, and nobody has what @p busy says; NULL: nothing has happened. */
static inline struct sley_reactor *enter_near(struct sley_sched *s, struct sley_fd *fd, uint32_t busy)
{
    struct sley_reactor *r = SLEY_LIKELY(s->budget > 0) ? sley__fd_enter(s, fd) : NULL;
    if (SLEY_UNLIKELY(!r)) {
        return NULL;
    }
    if (SLEY_LIKELY(r->near) && SLEY_LIKELY((sley__fd_state(fd) & (busy | SLEY_FD_CLOSING | SLEY_FD_KNOWN)) == SLEY_FD_KNOWN)) {
        return r;
    }
    sley__shared_leave(r);
    return NULL;
}

bool sley_io_recv_shared(struct sley_io_op *op, struct sley_fd *fd, void *buf, size_t len, struct sley_sched *s)
{
    struct sley_reactor *r = enter_near(s, fd, SLEY_FD_READING);
    if (SLEY_UNLIKELY(!r)) {
        return false;
    }
    struct sley__slot *slot = fd->slot;
    const uint32_t state = sley__fd_state(fd);
    const bool dry = slot && slot->way == SLEY__WAY_DRY && (state & SLEY_FD_HOLD_MASK) != SLEY_FD_HOLD_MASK;
    if (SLEY_LIKELY(dry)) {
        sley__io_begin_near(op, SLEY_IO_RECV);
        sley_io_mark(op, r);
        op->fd = fd;
        op->buf = buf;
        op->len = len;
        r->armed_count++;
        sley__fd_set(fd, state + (SLEY_FD_READING | SLEY_FD_HOLD));
        sley__wait_arm_in(&op->wait, s);
        slot->read = op;
        slot->way = SLEY__WAY_TAKEN;
    }
    sley__shared_leave(r);
    return dry;
}

struct sley_reactor *sley_io_send_enter(struct sley_fd *fd, struct sley_sched *s)
{
    struct sley_reactor *r = enter_near(s, fd, SLEY_FD_WRITING);
    if (SLEY_LIKELY(r != NULL)) {
        sley__fd_set(fd, sley__fd_state(fd) + (SLEY_FD_WRITING | SLEY_FD_SENDING));
        sley__shared_leave(r);
    }
    return r;
}

void sley_io_sent_shared(struct sley_reactor *r, struct sley_io_op *op, size_t len, struct sley_sched *s)
{
    struct sley_fd *fd = op->fd;
    SLEY__CHECK_UNARMED(&op->wait);
    op->done_bytes = len;
    op->wait.flags = 0; /* they are read of a done node, too: an earlier use may have lost against a deadline */
    sley__shared_enter(r, s);
    sley__fd_set(fd, sley__fd_state(fd) - (SLEY_FD_WRITING | SLEY_FD_SENDING));
    const int32_t result = sley__io_end(op, op->flags & SLEY_IO_ALL ? 0 : (int32_t)len);
    sley__shared_leave(r); /* what a close waits for, or a move: nothing is known of the descriptor from here on */
    sley__wait_finish_in(&op->wait, s, result);
}

void sley_io_send_on_shared(struct sley_reactor *r, struct sley_io_op *op, const void *buf, size_t len, ssize_t n)
{
    op->buf = (void *)(uintptr_t)buf;
    op->len = len;
    op->done_bytes = 0;
    sley__io_begin_near(op, SLEY_IO_SEND);
    sley__shared_sent(r, op, sley_io_try_on(op, (int32_t)n));
}
