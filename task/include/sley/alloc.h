/* Where memory comes from: a table that tasks, stacks' bookkeeping and runtimes allocate through. Not a general malloc. */
#ifndef SLEY_ALLOC_H
#define SLEY_ALLOC_H

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

struct sley_alloc;

enum { SLEY_ALLOC_VERSION = 1 };
/** Every block of one sley_alloc may be freed from any thread, at any time. Without it: from the allocating thread alone. */
enum { SLEY_ALLOC_CAP_THREADS = 1 };

/** What an allocator implements. Validated once, when a runtime is assembled. */
struct sley_alloc_ops {
    uint32_t version; /**< SLEY_ALLOC_VERSION */
    uint32_t caps;    /**< SLEY_ALLOC_CAP_* */
    /** Required. At least @p bytes (> 0) aligned to @p align (a power of two, at most 65536), or NULL. Thread: any with CAP_THREADS. */
    void *(*alloc)(struct sley_alloc *self, size_t bytes, size_t align);
    /** Required. @p ptr from alloc (or NULL: nothing), @p bytes as asked for then. Thread: any with CAP_THREADS. */
    void (*free)(struct sley_alloc *self, void *ptr, size_t bytes);
    /** Optional. Releases what init took; the table's last call. Thread: stopped. */
    void (*fini)(struct sley_alloc *self);
    /* since version 2 */
};

/** Base of every allocator; an implementation embeds it and is recovered by sley_container_of. Must not move. */
struct sley_alloc {
    const struct sley_alloc_ops *ops;
    void *heap; /* private: the implementation's */
};

/** The C library's malloc. Never fails to start. Thread: any. */
SLEY_API int sley_alloc_libc_init(struct sley_alloc *a);

/** A mimalloc heap. Returns: 0; -ENOTSUP when sley was built without mimalloc; -ENOMEM. Thread: any. */
SLEY_API int sley_alloc_mimalloc_init(struct sley_alloc *a);

/** A fixed pool in the caller's memory: no heap at all; the embedded default. */
struct sley_alloc_pool {
    struct sley_alloc base;
    /* private */
    void *free_list;
    size_t total_bytes, used_bytes;
};

/**
 * Makes an allocator of @p bytes bytes at @p memory, which stays the caller's and must outlive it.
 * Returns: 0; -EINVAL when the memory is NULL or too small for a single block. Thread: owner, for every later call too.
 * Cost: alloc and free are O(number of free blocks); neighbours coalesce. Source: first fit with boundary order, as in K&R.
 */
SLEY_API int sley_alloc_pool_init(struct sley_alloc_pool *a, void *memory, size_t bytes);

/** Releases the allocator. Accepts NULL and zeroed. Blocks still out are the caller's mistake. Thread: stopped. */
SLEY_API void sley_alloc_fini(struct sley_alloc *a);

SLEY_EXTERN_C_END
#endif
