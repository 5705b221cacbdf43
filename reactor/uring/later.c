/* Receives in turn. Where more are armed than one look handles, most of them have something to bring whenever they look, and what is
 * found so is completed at once, ahead of what has waited in the kernel: few connections would have it all. And a receive that
 * does not look, or looks in vain, is armed, woken and worked off, which costs more than to look. So these are kept here in the
 * order in which they have started, and each look hands over as many as it can handle. When their turn comes they look; their
 * answers go out while what they have touched is still in the cache. */
#include "bytes.h"

enum {
    SIZE_FIRST = 256,
    LEAST = SLEY__URING_SHARE / 4, /* of them in a look, however much else there is */
};

static struct sley_io_op **at(const struct sley__uring_later *l, uint32_t number)
{
    return &l->at[number & (l->size - 1)];
}

/** Twice as many, unless most have been taken out. Returns: whether there is room now. */
static SLEY_NOINLINE bool make_room(struct sley__uring *r)
{
    struct sley__uring_later *l = &r->later, next = {.flows = l->flows};
    uint32_t count = 0;
    for (uint32_t i = l->head; i != l->tail; i++) {
        count += *at(l, i) != NULL;
    }
    next.size = l->size == 0 ? SIZE_FIRST : count > l->size / 2 ? 2 * l->size : l->size;
    next.at = sley_reactor_alloc(r->alloc, next.size * sizeof(struct sley_io_op *));
    if (!next.at) {
        return false;
    }
    for (uint32_t i = l->head; i != l->tail; i++) {
        struct sley_io_op *op = *at(l, i);
        if (op) {
            op->out_number = (int)next.tail;
            next.at[next.tail++] = op;
        }
    }
    sley__uring_later_free(r);
    *l = next;
    return true;
}

bool sley__uring_put_off(struct sley__uring *r, struct sley_io_op *op)
{
    struct sley__uring_later *l = &r->later;
    if (SLEY_UNLIKELY(l->tail - l->head == l->size) && !make_room(r)) {
        return false;
    }
    op->out_number = (int)l->tail;
    *at(l, l->tail++) = op;
    r->base.more = true; /* a foreign loop is to come back: nothing else would submit it */
    return true;
}

/** By the short way while there is room. */
static void submit(struct sley__uring *r, struct sley_io_op *op)
{
    struct io_uring_sqe *sqe = SLEY_LIKELY(op->len < SLEY_IO_SHARE_BYTES) ? sley__uring_room(r) : NULL;
    if (SLEY_LIKELY(sqe != NULL)) {
        sley__uring_describe_bytes(sqe, op, true, 0, (unsigned)op->len);
        r->flying_count++;
    } else {
        sley__uring_queue(r, sley__uring_slot_at(r, op->fd), op);
    }
}

void sley__uring_take_out(struct sley__uring *r, struct sley_io_op *op)
{
    *at(&r->later, (uint32_t)op->out_number) = NULL;
    submit(r, op);
}

bool sley__uring_hand_over(struct sley__uring *r)
{
    struct sley__uring_later *l = &r->later;
    const uint32_t there = sley__uring_results(r) + sley__uring_unsubmitted(r);
    const uint32_t room = there < SLEY__URING_SHARE - LEAST ? SLEY__URING_SHARE - there : LEAST;
    for (uint32_t left = l->flows ? room : r->ring.sq.ring_entries; left > 0 && l->head != l->tail; l->head++) {
        struct sley_io_op *op = *at(l, l->head);
        if (l->tail - l->head > SLEY__URING_SOON) {
            const char *soon = (const char *)*at(l, l->head + SLEY__URING_SOON);
            __builtin_prefetch(soon, 1);
            __builtin_prefetch(soon + 64, 1);
        }
        if (SLEY_LIKELY(op != NULL)) {
            submit(r, op);
            left--;
        }
    }
    return l->head != l->tail;
}

void sley__uring_later_free(struct sley__uring *r)
{
    if (r->later.at) {
        sley_alloc_put(r->alloc, r->later.at, r->later.size * sizeof(struct sley_io_op *));
    }
}
