/* What is known of descriptors, by number, and the ops that are armed on each. */
#include "uring.h"

int sley__uring_make_slot(struct sley__uring *r, int number)
{
    const uint32_t direct = (uint32_t)number / SLEY_FD_DIRECT_FIRST, place = (uint32_t)number % SLEY_FD_DIRECT_FIRST;
    return sley__chunks_make(&r->chunks[direct], r->alloc, place >> SLEY__URING_SLOT_BITS,
                             SLEY__URING_SLOT_CHUNK * sizeof(struct sley__uring_slot));
}

void sley__uring_free_slots(struct sley__uring *r)
{
    for (int i = 0; i < 2; i++) {
        sley__chunks_free(&r->chunks[i], r->alloc, SLEY__URING_SLOT_CHUNK * sizeof(struct sley__uring_slot));
    }
}

void sley__uring_each(struct sley__uring *r, void (*fn)(struct sley__uring *r, struct sley_io_op *op))
{
    const uint32_t plain = r->chunks[0].count * SLEY__URING_SLOT_CHUNK, direct = r->chunks[1].count * SLEY__URING_SLOT_CHUNK;
    for (uint32_t i = 0; i < plain + direct; i++) {
        const struct sley__uring_slot *slot = sley__uring_find(r, (int)(i < plain ? i : i - plain + SLEY_FD_DIRECT_FIRST));
        for (struct sley_io_op *op = slot ? slot->armed : NULL; op; op = op->next) {
            fn(r, op);
        }
    }
    for (struct sley_io_op *op = r->loose.armed; op; op = op->next) {
        fn(r, op);
    }
}
