/* One direction of a pair: bytes move from the write in flight through the ring to the read in flight. All of it under the pair's lock. */
#include "pair.h"

#include <string.h>

static bool all(const struct sley_io_op *op)
{
    return (op->flags & SLEY_IO_ALL) != 0;
}

/** What a result can hold. */
static size_t wanted(const struct sley_io_op *op)
{
    const size_t left = op->len - op->done_bytes;
    return all(op) ? left : sley__pair_least(left, INT32_MAX);
}

/** Where its byte @p at is or goes, which there is, and how many are in one piece from there on. */
static unsigned char *place(const struct sley_io_op *op, size_t at, size_t *ret_bytes)
{
    if (op->code == SLEY_IO_RECV || op->code == SLEY_IO_SEND) {
        *ret_bytes = op->len - at;
        return (unsigned char *)op->buf + at;
    }
    const struct iovec *iov = ((const struct msghdr *)op->buf)->msg_iov;
    for (; at >= iov->iov_len; iov++) {
        at -= iov->iov_len;
    }
    *ret_bytes = iov->iov_len - at;
    return (unsigned char *)iov->iov_base + at;
}

size_t sley__pair_fill(struct sley_pair_ring *r, struct sley_io_op *op)
{
    const size_t n = sley__pair_least(wanted(op), r->size - r->count);
    for (size_t left = n, piece; left > 0; left -= piece) {
        const size_t at = (r->head + r->count) % r->size;
        const unsigned char *from = place(op, op->done_bytes, &piece);
        piece = sley__pair_least(sley__pair_least(piece, left), r->size - at);
        memcpy(r->buf + at, from, piece);
        r->count += piece;
        op->done_bytes += piece;
    }
    return n;
}

size_t sley__pair_drain(struct sley_pair_ring *r, struct sley_io_op *op)
{
    const size_t n = sley__pair_least(wanted(op), r->count), head = r->head, count = r->count;
    for (size_t left = n, piece; left > 0; left -= piece) {
        unsigned char *to = place(op, op->done_bytes, &piece);
        piece = sley__pair_least(sley__pair_least(piece, left), r->size - r->head);
        memcpy(to, r->buf + r->head, piece);
        r->head = (r->head + piece) % r->size;
        r->count -= piece;
        op->done_bytes += piece;
    }
    if (op->flags & SLEY_IO_PEEK) {
        r->head = head;
        r->count = count;
    }
    return n;
}

bool sley__pair_satisfied(const struct sley_io_op *op)
{
    return all(op) ? op->done_bytes == op->len : op->done_bytes > 0;
}

int32_t sley__pair_success(struct sley_io_op *op)
{
    if (op->ret_done) {
        *op->ret_done = op->done_bytes;
    }
    return all(op) ? 0 : (int32_t)op->done_bytes;
}

int32_t sley__pair_failure(struct sley_io_op *op, int32_t error)
{
    if (op->ret_done) {
        *op->ret_done = op->done_bytes;
    }
    return error;
}

void sley__pair_end_reader(struct sley__pair_ended *list, struct sley_pair_ring *r, int32_t result)
{
    sley__pair_end_op(list, r->reader, result);
    r->reader = NULL;
}

void sley__pair_end_writer(struct sley__pair_ended *list, struct sley_pair_ring *r, int32_t result)
{
    struct sley_io_op *writer = r->writer;
    r->writer = NULL;
    while (r->shutdowns) {
        struct sley_io_op *op = r->shutdowns;
        r->shutdowns = op->next;
        r->ended = true;
        sley__pair_end_op(list, op, r->reset ? -ECONNRESET : 0);
    }
    sley__pair_end_op(list, writer, result); /* last in, first out: the write is told before them */
}

int32_t sley__pair_read_verdict(const struct sley_pair_ring *r, const struct sley_io_op *op)
{
    if (r->reset) {
        return -ECONNRESET;
    }
    if (r->ended && r->count == 0) {
        return all(op) ? -ENODATA : 0;
    }
    return 1;
}

void sley__pair_pump(struct sley__pair_ended *list, struct sley_pair_ring *r)
{
    size_t moved;
    do {
        moved = 0;
        if (r->writer && !r->deaf && !r->ended) {
            moved += sley__pair_fill(r, r->writer);
            if (sley__pair_satisfied(r->writer)) {
                sley__pair_end_writer(list, r, sley__pair_success(r->writer));
            }
        }
        if (r->reader && !r->reset) {
            moved += sley__pair_drain(r, r->reader);
            if (sley__pair_satisfied(r->reader)) {
                sley__pair_end_reader(list, r, sley__pair_success(r->reader));
            }
        }
    } while (moved > 0);
    if (r->writer && (r->deaf || r->reset)) {
        sley__pair_end_writer(list, r, sley__pair_failure(r->writer, r->reset ? -ECONNRESET : -EPIPE));
    }
    if (r->reader) {
        const int32_t verdict = sley__pair_read_verdict(r, r->reader);
        if (verdict <= 0) {
            sley__pair_end_reader(list, r, sley__pair_failure(r->reader, verdict));
        }
    }
}
