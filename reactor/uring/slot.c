/* What is known of descriptors, by number, and the ops that are armed on each. */
#include "uring.h"

#include <string.h>

static int grow_directory(struct sley__uring *r, uint32_t chunk)
{
    uint32_t count = r->chunk_count ? r->chunk_count : 8;
    while (count <= chunk) {
        count *= 2;
    }
    struct sley__uring_slot **chunks = sley_alloc_zeroed(r->alloc, count * sizeof *chunks, _Alignof(struct sley__uring_slot *));
    if (!chunks) {
        return -ENOMEM;
    }
    if (r->chunks) {
        memcpy(chunks, r->chunks, r->chunk_count * sizeof *chunks);
        sley_alloc_put(r->alloc, r->chunks, r->chunk_count * sizeof *chunks);
    }
    r->chunks = chunks;
    r->chunk_count = count;
    return 0;
}

int sley__uring_make_slot(struct sley__uring *r, int number)
{
    const uint32_t chunk = (uint32_t)number >> SLEY__URING_SLOT_BITS;
    if (chunk >= r->chunk_count && grow_directory(r, chunk) < 0) {
        return -ENOMEM;
    }
    if (!r->chunks[chunk]) {
        r->chunks[chunk] = sley_alloc_zeroed(r->alloc, SLEY__URING_SLOT_CHUNK * sizeof(struct sley__uring_slot), 64);
    }
    return r->chunks[chunk] ? 0 : -ENOMEM;
}

void sley__uring_free_slots(struct sley__uring *r)
{
    for (uint32_t c = 0; c < r->chunk_count; c++) {
        if (r->chunks[c]) {
            sley_alloc_put(r->alloc, r->chunks[c], SLEY__URING_SLOT_CHUNK * sizeof(struct sley__uring_slot));
        }
    }
    if (r->chunks) {
        sley_alloc_put(r->alloc, r->chunks, r->chunk_count * sizeof *r->chunks);
    }
}

void sley__uring_each(struct sley__uring *r, void (*fn)(struct sley__uring *r, struct sley_io_op *op))
{
    for (uint32_t i = 0; i < r->chunk_count * SLEY__URING_SLOT_CHUNK; i++) {
        const struct sley__uring_slot *slot = sley__uring_find(r, (int)i);
        for (struct sley_io_op *op = slot ? slot->armed : NULL; op; op = op->next) {
            fn(r, op);
        }
    }
    for (struct sley_io_op *op = r->loose.armed; op; op = op->next) {
        fn(r, op);
    }
}
