/* Task memory of one worker: size classes in steps of 8 bytes over a sley_alloc, at most 2 % overhead, one thread.
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
#include <assert.h>
#endif

enum {
    SLEY__SLAB_STEP = 8, /* room for the link of a free block, on every target */
    /* Larger blocks go straight to the sley_alloc. Small targets save RAM on the list heads. */
    SLEY__SLAB_MAX_BYTES = sizeof(void *) >= 8 ? 1024 : 256,
    SLEY__SLAB_CLASSES = SLEY__SLAB_MAX_BYTES / SLEY__SLAB_STEP,
};

/* A free block: nothing but the link to the next one of its class. */
struct sley__slab_block {
    struct sley__slab_block *next;
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
    struct sley__slab_block *classes[SLEY__SLAB_CLASSES]; /* [i]: free blocks of (i + 1) * STEP bytes */
};

/** Readies @p s over @p alloc; takes no memory yet. */
void sley__slab_init(struct sley__slab *s, struct sley_alloc *alloc);
/**
 * Gives wholly free chunks back to the sley_alloc, all but @p keep_bytes of them. Returns bytes given back.
 * Visits every free block twice: about 10 ns each when they lie in order, more when scattered. For idle times.
 */
size_t sley__slab_trim(struct sley__slab *s, size_t keep_bytes);
/** Gives everything back; NULL and zeroed are fine. Blocks still out become invalid, but those above MAX_BYTES leak. */
void sley__slab_fini(struct sley__slab *s);

/* The slow half of alloc: no free block of this class, or none of the slab's sizes. */
void *sley__slab_alloc_slow(struct sley__slab *s, size_t bytes);

/** A block of at least @p bytes (> 0), 8-aligned, or NULL. Owner thread alone. */
static inline void *sley__slab_alloc(struct sley__slab *s, size_t bytes)
{
    size_t i = (bytes - 1) / SLEY__SLAB_STEP; /* 0 wraps around to "too large": one comparison for both */
    if (SLEY_UNLIKELY(i >= SLEY__SLAB_CLASSES || s->classes[i] == NULL)) {
        return sley__slab_alloc_slow(s, bytes);
    }
    struct sley__slab_block *b = s->classes[i];
    s->classes[i] = b->next;
    sley__annotate_alloc(b, (i + 1) * SLEY__SLAB_STEP);
    return b;
}

/** Gives a block back, not NULL; @p bytes as in alloc. Owner thread alone. */
static inline void sley__slab_free(struct sley__slab *s, void *ptr, size_t bytes)
{
    size_t i = (bytes - 1) / SLEY__SLAB_STEP;
    if (SLEY_UNLIKELY(i >= SLEY__SLAB_CLASSES)) {
        sley_alloc_put(s->alloc, ptr, bytes);
        return;
    }
    struct sley__slab_block *b = ptr;
#ifdef SLEY_DEBUG
    assert(b != s->classes[i] && "a task's memory was given back twice");
#endif
    b->next = s->classes[i];
    s->classes[i] = b;
    sley__annotate_free(b + 1, (i + 1) * SLEY__SLAB_STEP - sizeof(*b));
}

#endif
