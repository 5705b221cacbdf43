/* Allocators: the table of functions through which runtimes get all their memory, and the allocators that come with sley. */
#ifndef SLEY_ALLOC_H
#define SLEY_ALLOC_H

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

struct sley_alloc;

enum { SLEY_ALLOC_VERSION = 1 };

enum {
    /** Any thread may allocate, and free every block, at any time. Without it: one thread at a time, locked by the user. */
    SLEY_ALLOC_CAP_THREADS = 1,
    /** The memory is small and fixed: code that allocates in advance takes little (the task slab: hundreds of bytes, not 64 KiB). */
    SLEY_ALLOC_CAP_SCARCE = 2,
};

/** What an allocator implements. Validated once, when a runtime is assembled. */
struct sley_alloc_ops {
    uint32_t version; /**< SLEY_ALLOC_VERSION */
    uint32_t caps;    /**< SLEY_ALLOC_CAP_* */
    /**
     * Required. At least @p bytes (> 0) aligned to @p align (a power of two, at most 2 MiB), or NULL; never aborts.
     * Alignments over 64 KiB are wishes: who refuses them is asked again for less.
     * The contents are undefined. Must not call back into sley. Thread: any with CAP_THREADS.
     */
    void *(*alloc)(struct sley_alloc *self, size_t bytes, size_t align);
    /** Required. @p ptr from alloc (or NULL: nothing), @p bytes as asked for then. Thread: any with CAP_THREADS. */
    void (*free)(struct sley_alloc *self, void *ptr, size_t bytes);
    /**
     * Optional; without it nothing happens. Returns free memory to the system.
     * Called when much was freed and the caller has time: may take milliseconds. Thread: any with CAP_THREADS.
     */
    void (*trim)(struct sley_alloc *self);
    /** Optional. Releases what init took; the table's last call. Thread: stopped. */
    void (*fini)(struct sley_alloc *self);
    /* since version 2 */
};

/** Base of every allocator; an implementation embeds it and is recovered by sley_container_of. Must not move. */
struct sley_alloc {
    const struct sley_alloc_ops *ops;
    void *heap; /* private: the implementation's */
};

/** At least @p bytes (> 0) aligned to @p align (a power of two, at most 2 MiB), or NULL. Thread: as the table's alloc. */
static inline SLEY_MUST_USE void *sley_alloc_get(struct sley_alloc *a, size_t bytes, size_t align)
{
    return a->ops->alloc(a, bytes, align);
}

/** The same, zeroed. */
static inline SLEY_MUST_USE void *sley_alloc_zeroed(struct sley_alloc *a, size_t bytes, size_t align)
{
    void *block = sley_alloc_get(a, bytes, align);
    return block ? __builtin_memset(block, 0, bytes) : NULL;
}

/** Gives back a block of @p bytes (as asked for) from sley_alloc_get; NULL is fine. Thread: as the table's free. */
static inline void sley_alloc_put(struct sley_alloc *a, void *ptr, size_t bytes)
{
    a->ops->free(a, ptr, bytes);
}

/** Returns free memory to the system, if the allocator can. Thread: as the table's trim. */
static inline void sley_alloc_trim(struct sley_alloc *a)
{
    if (a->ops->trim != NULL) {
        a->ops->trim(a);
    }
}

/** The C library's malloc; CAP_THREADS. Returns: 0; -EINVAL when @p a is NULL. Thread: any. */
SLEY_API int sley_alloc_libc_init(struct sley_alloc *a);

/**
 * mimalloc; CAP_THREADS. Each thread allocates from its own default heap, without a lock, and frees blocks of others.
 * Returns: 0; -EINVAL when @p a is NULL; -ENOTSUP when sley was built without mimalloc or it is not installed, @p a
 * untouched. Thread: any.
 */
SLEY_API int sley_alloc_mimalloc_init(struct sley_alloc *a);

struct sley__pool_piece; /* private: alloc_pool.c */

/**
 * A fixed pool in the caller's memory: no heap at all; the embedded default. Caps: CAP_SCARCE alone.
 * Shape: address-ordered list of free pieces, no two adjacent. Allocated blocks have no header: a block costs its bytes
 * rounded up to the size of two pointers. Invariant: used_bytes + bytes on the list == total_bytes.
 */
struct sley_alloc_pool {
    struct sley_alloc base;
    size_t total_bytes;   /**< what can be handed out, after aligning the memory's ends; readable */
    size_t used_bytes;    /**< handed out now, rounding included; readable */
    size_t peak_bytes;    /**< the most that was ever handed out at once: how large the pool has to be; readable */
    size_t refused_count; /**< calls of free that were refused: not a block of this pool, freed before, wrong size; readable */
    /* private */
    struct sley__pool_piece *free_list;
    void *memory;
};

/**
 * Makes an allocator of @p bytes bytes at @p memory, which stays the caller's and must outlive it.
 * Returns: 0; -EINVAL when an argument is NULL or the memory too small for a single block.
 * Thread: owner, for every later call too.
 * Cost: alloc and free are O(number of free pieces); neighbours coalesce.
 * Source: first fit over an address-ordered list, as in K&R 8.7, but without headers: free is told the size.
 */
SLEY_API int sley_alloc_pool_init(struct sley_alloc_pool *a, void *memory, size_t bytes);

/** Releases the allocator. Accepts NULL and zeroed. Blocks still out are the caller's mistake. Thread: stopped. */
SLEY_API void sley_alloc_fini(struct sley_alloc *a);

SLEY_EXTERN_C_END
#endif
