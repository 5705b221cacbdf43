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

static struct sley__uring_slot *next_slot(struct sley__uring *r, uint32_t *at)
{
    const uint32_t plain = r->chunks[0].count * SLEY__URING_SLOT_CHUNK, direct = r->chunks[1].count * SLEY__URING_SLOT_CHUNK;
    struct sley__uring_slot *slot = NULL;
    for (; !slot && *at < plain + direct; ++*at) {
        slot = sley__uring_find(r, (int)(*at < plain ? *at : *at - plain + SLEY_FD_DIRECT_FIRST));
    }
    return slot;
}

void sley__uring_tell_lost(struct sley__uring *r)
{
    const int count = (int)(r->chunks[0].count * SLEY__URING_SLOT_CHUNK);
    for (int number = 0; number < count; number++) {
        const struct sley__uring_slot *slot = sley__uring_find(r, number);
        if (slot && !(slot->standing & SLEY__URING_ACCEPTS) && (slot->standing & (SLEY__URING_KEPT | SLEY__URING_FAILED))) {
            sley__home_lost(&r->base, number);
        }
    }
}

void sley__uring_each_slot(struct sley__uring *r, void (*fn)(struct sley__uring *r, struct sley__uring_slot *slot))
{
    struct sley__uring_slot *slot;
    for (uint32_t at = 0; (slot = next_slot(r, &at)) != NULL;) {
        fn(r, slot);
    }
}

void sley__uring_each(struct sley__uring *r, void (*fn)(struct sley__uring *r, struct sley_io_op *op))
{
    struct sley__uring_slot *slot;
    for (uint32_t at = 0; (slot = next_slot(r, &at)) != NULL;) {
        for (struct sley_io_op *op = slot->armed; op; op = op->next) {
            fn(r, op);
        }
    }
    for (struct sley_io_op *op = r->loose.armed; op; op = op->next) {
        fn(r, op);
    }
}
