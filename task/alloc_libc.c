/* The allocator over the C library's malloc: always there on a hosted system. */
#include <errno.h>
#include <stdlib.h>

#include <sley/alloc.h>

static void *libc_alloc(struct sley_alloc *self, size_t bytes, size_t align)
{
    (void)self;
    /* Some C libraries align a block smaller than max_align_t only to its own size. */
    if (align <= _Alignof(max_align_t) && align <= bytes) {
        return malloc(bytes);
    }
    /* Not aligned_alloc: older C libraries refuse sizes that are no multiple of the alignment. */
    void *ptr = NULL;
    size_t least = align < sizeof(void *) ? sizeof(void *) : align;
    return posix_memalign(&ptr, least, bytes) == 0 ? ptr : NULL;
}

static void libc_free(struct sley_alloc *self, void *ptr, size_t bytes)
{
    (void)self;
    (void)bytes;
    free(ptr);
}

static const struct sley_alloc_ops libc_ops = {
    .version = SLEY_ALLOC_VERSION,
    .caps = SLEY_ALLOC_CAP_THREADS,
    .alloc = libc_alloc,
    .free = libc_free,
};

int sley_alloc_libc_init(struct sley_alloc *a)
{
    if (a == NULL) {
        return -EINVAL;
    }
    *a = (struct sley_alloc){.ops = &libc_ops};
    return 0;
}
