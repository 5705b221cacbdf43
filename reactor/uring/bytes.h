/* What every message passes, in and out: a RECV or SEND of bytes, inline and without the questions that the other ops ask. Where one of
 * them has to be asked the usual way is taken, which does the same. */
#ifndef SLEY_REACTOR_URING_BYTES_H
#define SLEY_REACTOR_URING_BYTES_H

#include "uring.h"

/**
 * A RECV into memory of its own, or a SEND: @p left bytes that have not moved yet. A receive looks first: under load the next message
 * has come by the time the answer to the last one is reported.
 */
SLEY_INLINE void sley__uring_describe_bytes(struct io_uring_sqe *sqe, struct sley_io_op *op, bool in, size_t done, unsigned left)
{
    const uint32_t number = (uint32_t)op->fd->number, direct = number / SLEY_FD_DIRECT_FIRST;
    *sqe = (struct io_uring_sqe){
        .opcode = in ? IORING_OP_RECV : IORING_OP_SEND,
        .flags = (uint8_t)(direct * IOSQE_FIXED_FILE),
        .fd = (int32_t)(number % SLEY_FD_DIRECT_FIRST),
        .addr = (uint64_t)(uintptr_t)op->buf + done,
        .len = left,
        .msg_flags = in ? 0 : MSG_NOSIGNAL,
        .user_data = (uint64_t)(uintptr_t)op,
    };
}

/** sley__uring_end of a RECV or SEND that is not lent its buffer. */
SLEY_INLINE void sley__uring_end_bytes(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, bool in,
                                       int32_t result)
{
    if (SLEY_UNLIKELY(slot->armed != op) || SLEY_UNLIKELY(slot->closer != NULL) || SLEY_UNLIKELY(slot->is_abandoned)) {
        sley__uring_end(r, slot, op, result);
        return;
    }
    const uint32_t busy = in ? SLEY_FD_READING : SLEY_FD_WRITING;
    slot->armed = op->next;
    sley__uring_named_by(op->next, &slot->armed);
    r->base.armed_count--;
    sley__fd_set(op->fd, (sley__fd_state(op->fd) & ~busy) - SLEY_FD_HOLD);
    sley_wait_complete(&op->wait, sley__io_end(op, result));
}

/** The same of one that is, and op->buf is the buffer. */
SLEY_INLINE void sley__uring_end_lent(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t result)
{
    if (SLEY_UNLIKELY(slot->armed != op) || SLEY_UNLIKELY(slot->closer != NULL) || SLEY_UNLIKELY(slot->is_abandoned)) {
        sley__uring_end(r, slot, op, result);
        return;
    }
    slot->armed = op->next;
    sley__uring_named_by(op->next, &slot->armed);
    sley__lend_complete(&r->base, op, result);
}

#endif
