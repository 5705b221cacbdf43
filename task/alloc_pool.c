/* The allocator over a fixed piece of memory: no heap, no system, no headers on blocks. Freestanding. */
#include <errno.h>
#include <stdint.h>

#include <sley/alloc.h>

#include "annotate.h"

/* A free piece. Every size and address is a multiple of this node's size, so that whatever is left over when a block is
 * cut out, before it for alignment or behind it, can hold a node itself: nothing is ever too small to be kept. */
struct sley__pool_piece {
    struct sley__pool_piece *next; /* at a higher address, never adjacent */
    size_t bytes;
};

enum { UNIT = sizeof(struct sley__pool_piece) };

SLEY_STATIC_ASSERT((UNIT & (UNIT - 1)) == 0 && UNIT >= 8, "blocks are 8-aligned, sizes round by masking");

static inline size_t round_up(size_t bytes)
{
    return bytes == 0 ? UNIT : (bytes + UNIT - 1) & ~(size_t)(UNIT - 1);
}

static inline struct sley__pool_piece *piece_at(void *base, size_t offset)
{
    return (struct sley__pool_piece *)(void *)((char *)base + offset);
}

static struct sley_alloc_pool *pool_of(struct sley_alloc *self)
{
    return sley_container_of(self, struct sley_alloc_pool, base);
}

/* Takes [skip, skip + bytes) out of the piece that `link` leads to. */
static void *cut(struct sley__pool_piece **link, size_t skip, size_t bytes)
{
    struct sley__pool_piece *p = *link;
    size_t rest = p->bytes - skip - bytes;
    struct sley__pool_piece *next = p->next;
    void *block = (char *)p + skip;
    if (rest > 0) {
        struct sley__pool_piece *tail = piece_at(block, bytes);
        sley__annotate_alloc(tail, UNIT);
        *tail = (struct sley__pool_piece){.next = next, .bytes = rest};
        next = tail;
    }
    if (skip > 0) {
        p->bytes = skip;
        p->next = next;
    } else {
        *link = next;
    }
    return block;
}

static void *pool_alloc(struct sley_alloc *self, size_t bytes, size_t align)
{
    struct sley_alloc_pool *pool = pool_of(self);
    if (bytes > pool->total_bytes - pool->used_bytes) {
        return NULL; /* also what keeps round_up from wrapping */
    }
    bytes = round_up(bytes);
    struct sley__pool_piece **link = &pool->free_list;
    for (; *link != NULL; link = &(*link)->next) {
        size_t skip = (size_t)(-(uintptr_t)*link & (align - 1));
        if ((*link)->bytes < skip || (*link)->bytes - skip < bytes) {
            continue;
        }
        void *block = cut(link, skip, bytes);
        sley__annotate_alloc(block, bytes);
        pool->used_bytes += bytes;
        if (pool->used_bytes > pool->peak_bytes) {
            pool->peak_bytes = pool->used_bytes;
        }
        return block;
    }
    return NULL;
}

/* Joins `p` with its successor when that begins where `p` ends. */
static void coalesce(struct sley__pool_piece *p)
{
    struct sley__pool_piece *next = p->next;
    if (next != NULL && piece_at(p, p->bytes) == next) {
        p->bytes += next->bytes;
        p->next = next->next;
        sley__annotate_free(next, UNIT);
    }
}

/* Can `bytes` bytes at `ptr` be out, between these two free neighbours? Not a foreign block, one given back twice, or one
 * with a size that is not its own: taking those in would hand the same memory out twice. */
static bool fits(const struct sley_alloc_pool *pool, const struct sley__pool_piece *before, const void *ptr, size_t bytes,
                 const struct sley__pool_piece *after)
{
    uintptr_t low = (uintptr_t)pool->memory, high = low + pool->total_bytes, at = (uintptr_t)ptr;
    if (before != NULL) {
        low = (uintptr_t)before + before->bytes;
    }
    if (after != NULL) {
        high = (uintptr_t)after;
    }
    return at % UNIT == 0 && at >= low && at <= high && high - at >= bytes;
}

static void pool_free(struct sley_alloc *self, void *ptr, size_t bytes)
{
    struct sley_alloc_pool *pool = pool_of(self);
    if (ptr == NULL) {
        return;
    }
    bytes = bytes > pool->used_bytes ? bytes : round_up(bytes); /* the former fits nowhere */
    struct sley__pool_piece *p = ptr, *before = NULL;
    struct sley__pool_piece *after = pool->free_list;
    while (after != NULL && (uintptr_t)after < (uintptr_t)p) {
        before = after;
        after = after->next;
    }
    if (!fits(pool, before, ptr, bytes, after)) {
        pool->refused_count++;
        return;
    }
    pool->used_bytes -= bytes;
    *p = (struct sley__pool_piece){.next = after, .bytes = bytes};
    sley__annotate_free((char *)ptr + UNIT, bytes - UNIT);
    coalesce(p);
    if (before == NULL) {
        pool->free_list = p;
        return;
    }
    before->next = p;
    coalesce(before);
}

static void pool_fini(struct sley_alloc *self)
{
    struct sley_alloc_pool *pool = pool_of(self);
    sley__annotate_alloc(pool->memory, pool->total_bytes); /* the caller's again, to do with as he likes */
    pool->free_list = NULL;
    pool->memory = NULL;
    pool->total_bytes = pool->used_bytes = 0;
}

static const struct sley_alloc_ops pool_ops = {
    .version = SLEY_ALLOC_VERSION,
    .caps = SLEY_ALLOC_CAP_SCARCE,
    .alloc = pool_alloc,
    .free = pool_free,
    .fini = pool_fini,
};

int sley_alloc_pool_init(struct sley_alloc_pool *a, void *memory, size_t bytes)
{
    if (a == NULL || memory == NULL) {
        return -EINVAL;
    }
    size_t skip = (size_t)(-(uintptr_t)memory & (UNIT - 1));
    if (bytes < skip + UNIT) {
        return -EINVAL;
    }
    size_t total = (bytes - skip) & ~(size_t)(UNIT - 1);
    struct sley__pool_piece *all = piece_at(memory, skip);
    *all = (struct sley__pool_piece){.next = NULL, .bytes = total};
    sley__annotate_free((char *)all + UNIT, total - UNIT);
    *a = (struct sley_alloc_pool){.base = {.ops = &pool_ops}, .total_bytes = total, .free_list = all, .memory = all};
    return 0;
}
