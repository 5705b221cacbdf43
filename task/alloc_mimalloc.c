/* The allocator over mimalloc. Built only where mimalloc is; alloc_nomimalloc.c stands in elsewhere. */
#include <errno.h>

#include <mimalloc.h>
#include <sley/alloc.h>

/* Not an mi_heap_t of our own: only the thread that made such a heap may allocate from it, and CAP_THREADS promises any
 * thread. mi_malloc uses the calling thread's default heap: no lock to allocate, one atomic push to free a foreign
 * block, and the blocks of a thread that has ended are adopted by others. What a heap per worker would bring, exact
 * classes and memory given back in one go, the task slab does above this table. */

static void *mimalloc_alloc(struct sley_alloc *self, size_t bytes, size_t align) {
    (void)self;
    return align <= sizeof(void *) ? mi_malloc(bytes) : mi_malloc_aligned(bytes, align);
}

static void mimalloc_free(struct sley_alloc *self, void *ptr, size_t bytes) {
    (void)self;
    (void)bytes; /* mi_free_size saves nothing: it looks the size up all the same */
    mi_free(ptr);
}

/* Collects the calling thread's heap only; every worker trims its own. */
static void mimalloc_trim(struct sley_alloc *self) {
    (void)self;
    mi_collect(true);
}

static const struct sley_alloc_ops mimalloc_ops = {
    .version = SLEY_ALLOC_VERSION,
    .caps = SLEY_ALLOC_CAP_THREADS,
    .alloc = mimalloc_alloc,
    .free = mimalloc_free,
    .trim = mimalloc_trim,
};

int sley_alloc_mimalloc_init(struct sley_alloc *a) {
    if (a == NULL) {
        return -EINVAL;
    }
    *a = (struct sley_alloc){.ops = &mimalloc_ops};
    return 0;
}
