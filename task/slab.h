/* Task memory of one worker: size classes in steps of 8 bytes over a sley_alloc, at most 2 % overhead beside the newest
 * chunk's rest (a page for a small program, 64 KiB for a large one, a huge page for one that holds 25 MiB), one thread.
 * For what is allocated per task; anything else goes to the sley_alloc itself.
 *
 * Shape: chunks from the sley_alloc, all classes side by side in each; one intrusive free list per class; new blocks are
 * cut from the end of the newest chunk, so that memory is touched when it is first used and not before. Nothing is
 * counted on the way: sley__slab_trim finds the chunks that are wholly free by walking the free lists.
 * Invariant: every byte of a chunk behind its header is in a block that is out, in a block on the free list of exactly
 * its size, or (newest chunk only) in [fresh, fresh + fresh_bytes).
 *
 * A block from the slab is 8-aligned, always; what needs more asks the sley_alloc. */
#ifndef SLEY_TASK_SLAB_H
#define SLEY_TASK_SLAB_H

#include <sley/alloc.h>

#include "annotate.h"

#ifdef SLEY_DEBUG
#define SLEY__SLAB_CHECKS true
#else
#define SLEY__SLAB_CHECKS false
#endif

enum {
    SLEY__SLAB_STEP = 8,
    /* Larger blocks go straight to the sley_alloc. Small targets save RAM on the list heads. */
    SLEY__SLAB_MAX_BYTES = sizeof(void *) >= 8 ? 1024 : 256,
    SLEY__SLAB_CLASSES = SLEY__SLAB_MAX_BYTES / SLEY__SLAB_STEP,
};

/* A free block. Taking it prefetches the one after the next. Without that, a list that has left the cache costs the
 * latency of memory for every block: of a million freed in random order, 150 ns each to take and fill; 78 with it.
 * The pointer is no more than a hint: a trim leaves it stale. */
struct sley__slab_block {
    struct sley__slab_block *next;
    struct sley__slab_block *after_next;
};

struct sley__slab_chunk; /* slab.c */

struct sley__slab {
    struct sley_alloc *alloc;
    /* private */
    char *fresh; /* the newest chunk's unused end */
    size_t fresh_bytes;
    struct sley__slab_chunk *newest; /* where `fresh` is; also on `chunks`. NULL: there is none */
    struct sley__slab_chunk *chunks; /* with at least one block cut from them */
    struct sley__slab_chunk *empty;  /* wholly unused, kept by a trim for later */
    size_t held_bytes;               /* of all chunks, as asked from the sley_alloc */
    /* [i]: free blocks of (i + 1) * STEP bytes. Those of [0], leftovers, have a `next` alone and are never handed out. */
    struct sley__slab_block *classes[SLEY__SLAB_CLASSES];
};

/** Readies @p s over @p alloc; takes no memory yet. */
void sley__slab_init(struct sley__slab *s, struct sley_alloc *alloc);
/**
 * Gives wholly free chunks back to the sley_alloc, all but @p keep_bytes of them. Returns bytes given back.
 * Visits every free block twice; of a million, 25 ns each when freed in order, 200 to 300 in random order: for idle
 * times.
 */
size_t sley__slab_trim(struct sley__slab *s, size_t keep_bytes);
/** Gives every chunk back; NULL and zeroed are fine. Blocks still out become invalid; those without a class are lost. */
void sley__slab_fini(struct sley__slab *s);

/* The slow half of alloc: no free block of this class, or none of the slab's sizes. */
void *sley__slab_alloc_slow(struct sley__slab *s, size_t bytes);

/* While a block is free, ASan builds close all of it, and the slab opens the links when it needs them. Memcheck would then
 * take them for undefined: there the links stay open. `bytes`: as many as are to be read or written. */
#ifdef SLEY__ANNOTATE_ASAN
enum { SLEY__SLAB_OPEN_BYTES = 0 };
static inline void sley__slab_open(const struct sley__slab_block *b, size_t bytes)
{
    sley__annotate_alloc(b, bytes);
}
static inline void sley__slab_close(const struct sley__slab_block *b, size_t bytes)
{
    sley__annotate_free(b, bytes);
}
#else
enum { SLEY__SLAB_OPEN_BYTES = sizeof(struct sley__slab_block) };
static inline void sley__slab_open(const struct sley__slab_block *b, size_t bytes)
{
    (void)b, (void)bytes;
}
static inline void sley__slab_close(const struct sley__slab_block *b, size_t bytes)
{
    (void)b, (void)bytes;
}
#endif

static inline struct sley__slab_block *sley__slab_next(const struct sley__slab_block *b)
{
    sley__slab_open(b, sizeof(b->next));
    struct sley__slab_block *next = b->next;
    sley__slab_close(b, sizeof(b->next));
    return next;
}

/* Is `bytes` served by class i = (bytes - 1) / STEP? Not 0 (it wraps), not up to 8 (no room for two links), not large. */
static inline bool sley__slab_has_class(size_t i)
{
    return SLEY_LIKELY(i - 1 < SLEY__SLAB_CLASSES - 1);
}

/** A free block of class @p i, or NULL: there is none at hand. Owner thread alone. */
static inline void *sley__slab_take(struct sley__slab *s, size_t i)
{
    if (SLEY_UNLIKELY(!sley__slab_has_class(i) || s->classes[i] == NULL)) {
        return NULL;
    }
    struct sley__slab_block *b = s->classes[i];
    sley__slab_open(b, sizeof(*b));
    s->classes[i] = b->next;
    __builtin_prefetch(b->after_next, 1);
    sley__annotate_alloc(b, (i + 1) * SLEY__SLAB_STEP);
    return b;
}

/** Gives a block of class @p i back, which has one. Owner thread alone. Returns: as sley__slab_free. */
static inline bool sley__slab_give(struct sley__slab *s, void *ptr, size_t i)
{
    struct sley__slab_block *b = ptr;
    struct sley__slab_block *head = s->classes[i];
    if (SLEY__SLAB_CHECKS && b == head) {
        return false;
    }
    b->next = head;
    b->after_next = head != NULL ? sley__slab_next(head) : NULL;
    s->classes[i] = b;
    sley__annotate_free((char *)ptr + SLEY__SLAB_OPEN_BYTES, (i + 1) * SLEY__SLAB_STEP - SLEY__SLAB_OPEN_BYTES);
    return true;
}

/** A block of at least @p bytes (> 0), 8-aligned, or NULL. Owner thread alone. */
static inline void *sley__slab_alloc(struct sley__slab *s, size_t bytes)
{
    void *b = sley__slab_take(s, (bytes - 1) / SLEY__SLAB_STEP);
    return SLEY_LIKELY(b != NULL) ? b : sley__slab_alloc_slow(s, bytes);
}

/**
 * Gives a block back, not NULL; @p bytes as in alloc. Owner thread alone.
 * Returns: true; in debug builds false when it is the block that came back last: given back twice, nothing was done.
 */
static inline bool sley__slab_free(struct sley__slab *s, void *ptr, size_t bytes)
{
    size_t i = (bytes - 1) / SLEY__SLAB_STEP;
    if (SLEY_UNLIKELY(!sley__slab_has_class(i))) {
        sley_alloc_put(s->alloc, ptr, bytes);
        return true;
    }
    return sley__slab_give(s, ptr, i);
}

#endif
