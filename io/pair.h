/* What the files of the pair share. Everything is done under the pair's one lock; ops that have ended are collected in a list meanwhile,
 * and their waiters are told after the lock has been released. */
#ifndef SLEY_IO_PAIR_H
#define SLEY_IO_PAIR_H

#include <sley/stream_impl.h>
#include <sley/stream_pair.h>

/** Ops that have ended, linked by `next`, with their results: to be completed without the lock. */
struct sley__pair_ended {
    struct sley_io_op *first;
};

SLEY_INLINE void sley__pair_end_op(struct sley__pair_ended *list, struct sley_io_op *op, int32_t result)
{
    op->out_number = result;
    op->next = list->first;
    list->first = op;
}

/** Without the lock. */
SLEY_INLINE void sley__pair_tell(struct sley__pair_ended *list)
{
    while (list->first) {
        struct sley_io_op *op = list->first;
        list->first = op->next; /* first: the op may be gone after the next line */
        sley_wait_complete(&op->wait, op->out_number);
    }
}

SLEY_INLINE size_t sley__pair_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* pair_ring.c: with the lock. The first two return how many bytes have moved. */

size_t sley__pair_fill(struct sley_pair_ring *r, struct sley_io_op *op);
size_t sley__pair_drain(struct sley_pair_ring *r, struct sley_io_op *op);
/** Has the op moved what it is to move? */
bool sley__pair_satisfied(const struct sley_io_op *op);
/** The result of an op that is satisfied; its `ret_done` is written. */
int32_t sley__pair_success(struct sley_io_op *op);
/** The same of one that ends otherwise. Returns: @p error. */
int32_t sley__pair_failure(struct sley_io_op *op, int32_t error);
void sley__pair_end_reader(struct sley__pair_ended *list, struct sley_pair_ring *r, int32_t result);
/** The write in flight is over: those who waited to shut down do so. */
void sley__pair_end_writer(struct sley__pair_ended *list, struct sley_pair_ring *r, int32_t result);
/** Why a read without bytes to take ends, or 1: it waits. */
int32_t sley__pair_read_verdict(const struct sley_pair_ring *r, const struct sley_io_op *op);
/** Moves what can be moved, and ends the ops that have come to their end. */
void sley__pair_pump(struct sley__pair_ended *list, struct sley_pair_ring *r);

#endif
