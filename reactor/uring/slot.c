/* What is known of descriptors, by number, and the ops that are armed on each. */
#include "uring.h"

int sley__uring_make_slot(struct sley__uring *r, int number)
{
    return sley__chunks_make(&r->chunks, r->alloc, (uint32_t)number >> SLEY__URING_SLOT_BITS,
                             SLEY__URING_SLOT_CHUNK * sizeof(struct sley__uring_slot));
}

void sley__uring_free_slots(struct sley__uring *r)
{
    sley__chunks_free(&r->chunks, r->alloc, SLEY__URING_SLOT_CHUNK * sizeof(struct sley__uring_slot));
}

void sley__uring_each(struct sley__uring *r, void (*fn)(struct sley__uring *r, struct sley_io_op *op))
{
    for (uint32_t i = 0; i < r->chunks.count * SLEY__URING_SLOT_CHUNK; i++) {
        const struct sley__uring_slot *slot = sley__uring_find(r, (int)i);
        for (struct sley_io_op *op = slot ? slot->armed : NULL; op; op = op->next) {
            fn(r, op);
        }
    }
    for (struct sley_io_op *op = r->loose.armed; op; op = op->next) {
        fn(r, op);
    }
}
