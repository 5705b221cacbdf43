/* Receives that are lent their buffer: they wait for readiness, take a buffer, and receive into it what is there. */
#include "checker.h"
#include "uring.h"

#include <errno.h>
#include <sys/socket.h>

uint32_t sley__uring_lend_kept(const struct sley__uring *r)
{
    (void)r;
    return 0;
}

/** Without waiting: then the buffer would wait with it. */
void sley__uring_lend_describe(struct io_uring_sqe *sqe, const struct sley_io_op *op)
{
    const struct sley_lent *l = op->buf;
    io_uring_prep_recv(sqe, op->fd->number, l->data, l->pool->bytes, MSG_DONTWAIT);
}

/** Something is there, or was. Returns: whether there is a buffer for it. */
static bool take_buffer(struct sley__uring *r, struct sley_io_op *op)
{
    struct sley__lender *p = sley__lender_of(&r->base);
    op->buf = p ? sley__lender_take(p) : NULL;
    return op->buf != NULL;
}

void sley__uring_lend_submit(struct sley__uring *r, struct sley_io_op *op)
{
    struct sley__uring_slot *slot = sley__uring_find(r, op->fd->number);
    /* one that has waited for a buffer takes it now: whoever is behind it waits for the next */
    const bool now = (op->flags & SLEY__LEND_FED) && take_buffer(r, op);
    sley_io_arm(&r->base, op);
    sley__uring_push(slot, op);
    op->stage = now ? 0 : SLEY__URING_POLLING;
    sley__uring_queue(r, slot, op);
}

static void ready(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res)
{
    op->stage &= (uint8_t)~(uint32_t)SLEY__URING_POLLING;
    if (res < 0 && res != -EINTR) {
        sley__uring_end(r, slot, op, res);
    } else if (op->stage & SLEY__URING_CANCELLED) {
        sley__uring_end(r, slot, op, -ECANCELED);
    } else if (take_buffer(r, op)) {
        sley__uring_queue(r, slot, op);
    } else {
        sley__uring_end(r, slot, op, -ENOBUFS);
    }
}

void sley__uring_lend_completed(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res)
{
    if (op->stage & SLEY__URING_POLLING) {
        ready(r, slot, op, res);
        return;
    }
    struct sley_lent *l = op->buf;
    if (res > 0) {
        sley__uring_filled(l->data, (size_t)res);
    } else {
        const bool again = res == -EAGAIN || res == -EINTR;
        op->buf = NULL;
        sley__lender_give(l->pool, l);
        if (again && !(op->stage & SLEY__URING_CANCELLED)) {
            op->stage |= SLEY__URING_POLLING;
            sley__uring_queue(r, slot, op);
            return;
        }
        res = again ? -ECANCELED : res == -ENOBUFS ? -ENOMEM : res; /* the socket's own says nothing of our buffers */
    }
    sley__uring_end(r, slot, op, res);
}
