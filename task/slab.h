/* Task memory of one worker: size classes in steps of 8 bytes over a sley_alloc, at most 2 % overhead, one thread.
 * For what is allocated per task; anything else goes to the sley_alloc itself. */
#ifndef SLEY_TASK_SLAB_H
#define SLEY_TASK_SLAB_H

#include <sley/alloc.h>

enum {
    SLEY__SLAB_MAX_BYTES = 1024, /* larger blocks go straight to the sley_alloc */
    SLEY__SLAB_CLASSES = SLEY__SLAB_MAX_BYTES / 8 + 1,
};

struct sley__slab {
    struct sley_alloc *alloc;
    /* private: filled in by slab.c */
    void *classes[SLEY__SLAB_CLASSES];
    void *state[8];
};

/** Readies @p s over @p alloc; takes no memory yet. */
void sley__slab_init(struct sley__slab *s, struct sley_alloc *alloc);
/** A block of at least @p bytes (> 0), 8-aligned, or NULL. Owner thread alone. */
void *sley__slab_alloc(struct sley__slab *s, size_t bytes);
/** Gives a block back; @p bytes as in alloc. Owner thread alone. */
void sley__slab_free(struct sley__slab *s, void *ptr, size_t bytes);
/** Gives empty chunks back to the sley_alloc, all but @p keep_bytes of them. Returns bytes given back. */
size_t sley__slab_trim(struct sley__slab *s, size_t keep_bytes);
/** Gives everything back. Blocks still out become invalid. */
void sley__slab_fini(struct sley__slab *s);

#endif
