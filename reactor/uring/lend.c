/* Receives that are lent their buffer. The kernel takes one from its stock (stock.c) when it has something to put there; where it cannot,
 * or has none left, the op waits for readiness, takes a buffer here, and receives into it what is there. */
#include "bytes.h"
#include "checker.h"

#include <errno.h>
#include <sys/socket.h>

/* ---- in ---------------------------------------------------------------------------------------------------------------- */

void sley__uring_lend_describe(const struct sley__uring_slot *slot, struct io_uring_sqe *sqe, struct sley_io_op *op)
{
    const struct sley_lent *l = op->buf;
    if (l) { /* without waiting: the buffer would wait with it */
        io_uring_prep_recv(sqe, op->fd->number, l->data, l->pool->bytes, MSG_DONTWAIT);
        return;
    }
    io_uring_prep_recv(sqe, op->fd->number, NULL, 0, 0);
    sley__uring_describe_choice(sqe);
    sqe->ioprio = slot->is_dry ? IORING_RECVSEND_POLL_FIRST : 0;
}

/** Something is there, or was. Returns: whether there is a buffer for it. */
static bool take_buffer(struct sley__uring *r, struct sley_io_op *op)
{
    struct sley__lender *p = sley__lender_of(&r->base);
    op->buf = p ? sley__lender_take(p) : NULL;
    return op->buf != NULL;
}

/** By itself, or as one that stands. */
static void queue(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    if (op->buf || (op->stage & SLEY__URING_POLLING) || !sley__uring_receive_stands(r, slot, op)) {
        sley__uring_queue(r, slot, op);
    }
}

static SLEY_NOINLINE void submit_alone(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    /* one that has waited for a buffer takes it now: whoever is behind it waits for the next */
    const bool now = ((op->flags & SLEY__LEND_FED) && take_buffer(r, op)) || sley__uring_has_stock(r);
    sley_io_arm(&r->base, op);
    sley__uring_push(slot, op);
    op->stage = now ? 0 : SLEY__URING_POLLING;
    queue(r, slot, op);
}

void sley__uring_lend_submit(struct sley__uring *r, struct sley_io_op *op)
{
    struct sley__uring_slot *slot = sley__uring_slot_at(r, op->fd);
    if (SLEY_LIKELY((slot->standing & (SLEY__URING_SOMETHING | SLEY__URING_ACCEPTS)) == SLEY__URING_STANDS)) {
        sley__uring_wait_behind(r, slot, op); /* what a server's every message passes */
    } else if (!(slot->standing & SLEY__URING_SOMETHING) || !sley__uring_ahead(r, slot, op)) {
        submit_alone(r, slot, op);
    }
}

/* ---- back -------------------------------------------------------------------------------------------------------------- */

/** Once more, at once or (POLLING) when it is ready. */
static void again(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, uint32_t stage)
{
    op->stage = (uint8_t)((op->stage & ~(uint32_t)SLEY__URING_POLLING) | stage);
    slot->is_dry = false;
    if (op->stage & SLEY__URING_CANCELLED) {
        sley__uring_end(r, slot, op, -ECANCELED);
    } else {
        queue(r, slot, op);
    }
}

void sley__uring_lend_anew(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    again(r, slot, op, sley__uring_has_stock(r) ? 0 : SLEY__URING_POLLING);
}

static void ready(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res)
{
    if (res < 0 && res != -EINTR) {
        sley__uring_end(r, slot, op, res);
    } else if ((op->stage & SLEY__URING_CANCELLED) || take_buffer(r, op) || r->stock.count > 0) {
        again(r, slot, op, 0);
    } else {
        sley__uring_end(r, slot, op, -ENOBUFS);
    }
}

/** A receive into a buffer that was taken here. */
static void received(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res)
{
    struct sley_lent *l = op->buf;
    if (res > 0) {
        sley__uring_filled(l->data, (size_t)res);
        sley__uring_end(r, slot, op, res);
        return;
    }
    op->buf = NULL;
    sley__lender_give(l->pool, l);
    if (res == -EAGAIN || res == -EINTR) {
        again(r, slot, op, SLEY__URING_POLLING);
    } else {
        sley__uring_end(r, slot, op, res == -ENOBUFS ? -ENOMEM : res); /* the socket's own says nothing of our buffers */
    }
}

/** A receive into a buffer of the kernel's choice. */
static void chosen(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res, uint32_t flags)
{
    struct sley_lent *l = flags & IORING_CQE_F_BUFFER ? sley__uring_take_from_stock(r, flags) : NULL;
    if (res > 0) {
        sley__uring_filled(l->data, (size_t)res);
        slot->is_dry = !(flags & IORING_CQE_F_SOCK_NONEMPTY) && sley__uring_has(r, SLEY__URING_POLL_FIRST);
        op->buf = l;
        slot->standing |= SLEY__URING_LOOPS; /* if there is a next one */
        sley__uring_restock(r);
        sley__uring_end(r, slot, op, res);
        return;
    }
    if (l) {
        sley__lender_give(l->pool, l);
    }
    if (res == -ENOBUFS) {
        sley__uring_stock_ran_out(r);
        again(r, slot, op, sley__uring_has_stock(r) ? 0 : SLEY__URING_POLLING);
    } else if (res == -EAGAIN || res == -EINTR) {
        again(r, slot, op, SLEY__URING_POLLING);
    } else {
        sley__uring_end(r, slot, op, res);
    }
}

void sley__uring_lend_completed(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res, uint32_t flags)
{
    if (res == -ECANCELED && !(op->stage & SLEY__URING_CANCELLED)) {
        res = -EINTR; /* the thread that has submitted it has ended, and another drives */
    }
    if (op->stage & SLEY__URING_POLLING) {
        ready(r, slot, op, res);
    } else if (op->buf) {
        received(r, slot, op, res);
    } else {
        chosen(r, slot, op, res, flags);
    }
}
