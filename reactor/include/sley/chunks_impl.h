/* For reactors: a table by number, such as a descriptor's, whose elements stand in chunks that never move; their directory grows. */
#ifndef SLEY_CHUNKS_IMPL_H
#define SLEY_CHUNKS_IMPL_H

#include <sley/task_impl.h>

SLEY_EXTERN_C_BEGIN

/** Zeroed at first. */
struct sley__chunks {
    void **at;
    uint32_t count; /* that the directory has room for */
};

/** There will be a chunk @p chunk of @p bytes, zeroed when it is new, 64-aligned. Returns: 0; -ENOMEM. Thread: the table's. */
SLEY_API int sley__chunks_make(struct sley__chunks *c, struct sley_alloc *alloc, uint32_t chunk, size_t bytes);
/** Gives all of them back, and the directory. Thread: the table's. */
SLEY_API void sley__chunks_free(struct sley__chunks *c, struct sley_alloc *alloc, size_t bytes);

/** The chunk, or NULL. */
SLEY_INLINE void *sley__chunks_find(const struct sley__chunks *c, uint32_t chunk)
{
    return chunk < c->count ? c->at[chunk] : NULL;
}

SLEY_EXTERN_C_END
#endif
