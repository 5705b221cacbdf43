/* The allocator over the C library's malloc: always there on a hosted system. */
#include <errno.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

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

#ifdef __GLIBC__
/* glibc's free returns only the end of the heap by itself, and one small block there is enough to prevent it. */
static void libc_trim(struct sley_alloc *self)
{
    (void)self;
    (void)malloc_trim(0);
}
#else
#define libc_trim NULL
#endif

static const struct sley_alloc_ops libc_ops = {
    .version = SLEY_ALLOC_VERSION,
    .caps = SLEY_ALLOC_CAP_THREADS,
    .alloc = libc_alloc,
    .free = libc_free,
    .trim = libc_trim,
};

int sley_alloc_libc_init(struct sley_alloc *a)
{
    if (a == NULL) {
        return -EINVAL;
    }
    *a = (struct sley_alloc){.ops = &libc_ops};
    return 0;
}
