/* The allocator over mimalloc. Built only where mimalloc is; alloc_nomimalloc.c stands in elsewhere. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include <mimalloc.h>
#include <sley/alloc.h>

/* Loaded at the first init, not linked: Debian's libmimalloc replaces malloc in every program that links it, and costs each
 * start of such a program. Loaded locally it serves those who ask for it and leaves the rest alone. It is never unloaded:
 * blocks and the ends of threads go on calling it. */
#define MIMALLOC_SONAME "libmimalloc.so.2"

/* Not an mi_heap_t of our own: only the thread that made such a heap may allocate from it, and CAP_THREADS promises any
 * thread. mi_malloc uses the calling thread's default heap: no lock to allocate, one atomic push to free a foreign
 * block, and the blocks of a thread that has ended are adopted by others. What a heap per worker would bring, exact
 * classes and memory given back in one go, the task slab does above this table. */
struct library {
    __typeof__(&mi_malloc) malloc;
    __typeof__(&mi_malloc_aligned) malloc_aligned;
    __typeof__(&mi_free) free;
    __typeof__(&mi_collect) collect;
};

/* Written once, by load. */
static struct library mi;

static void *mimalloc_alloc(struct sley_alloc *self, size_t bytes, size_t align)
{
    const struct library *lib = self->heap;
    return align <= sizeof(void *) ? lib->malloc(bytes) : lib->malloc_aligned(bytes, align);
}

static void mimalloc_free(struct sley_alloc *self, void *ptr, size_t bytes)
{
    const struct library *lib = self->heap;
    (void)bytes; /* mi_free_size saves nothing: it looks the size up all the same */
    lib->free(ptr);
}

/* Collects the calling thread's heap only; every worker trims its own. */
static void mimalloc_trim(struct sley_alloc *self)
{
    const struct library *lib = self->heap;
    lib->collect(true);
}

static const struct sley_alloc_ops mimalloc_ops = {
    .version = SLEY_ALLOC_VERSION,
    .caps = SLEY_ALLOC_CAP_THREADS,
    .alloc = mimalloc_alloc,
    .free = mimalloc_free,
    .trim = mimalloc_trim,
};

static void load(void)
{
    void *so = dlopen(MIMALLOC_SONAME, RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        return;
    }
    struct library found;
    /* POSIX's way to turn what dlsym gives into a function */
    *(void **)&found.malloc = dlsym(so, "mi_malloc");
    *(void **)&found.malloc_aligned = dlsym(so, "mi_malloc_aligned");
    *(void **)&found.free = dlsym(so, "mi_free");
    *(void **)&found.collect = dlsym(so, "mi_collect");
    if (found.malloc && found.malloc_aligned && found.free && found.collect) {
        mi = found;
    }
}

int sley_alloc_mimalloc_init(struct sley_alloc *a)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (a == NULL) {
        return -EINVAL;
    }
    (void)pthread_once(&once, load);
    if (!mi.malloc) {
        return -ENOTSUP;
    }
    *a = (struct sley_alloc){.ops = &mimalloc_ops, .heap = &mi};
    return 0;
}
