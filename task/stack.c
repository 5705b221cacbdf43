/* The pool of fiber stacks: size classes, chunks of equal stacks, one array of idle tops per class.
 *
 * A chunk is one mapping that holds stacks side by side, each with its guard lowest:
 *
 *      low                                                                high
 *      | guard | pages ...  top0 ~ | guard | pages ...  top1 ~ | (not carved yet) ... |
 *
 * `~` is the colour, 0-7 cache lines. A stack is carved (guard installed) when it is first wanted, so that a chunk
 * costs page tables for what is used of it alone. Nothing of the pool lies in the stacks: a class keeps the tops of
 * its idle stacks in an array of its own, the coldest first:
 *
 *      idle[0 .. cold_count)          have lost their pages
 *      idle[cold_count .. idle_count) keep them; get and put work at this end
 *
 * How many keep their pages follows use: of those, low_count is the least number since the last look, so as many were not
 * needed in all that time, and the coldest low_count lose theirs, but for a few (hot_count). A load that comes in waves finds
 * its stacks as it left them; when it is over, the second look gives all back.
 *
 * Invariant: cold_count + low_count <= idle_count <= stack_count <= idle_cap, hence put cannot fail. Bookkeeping is mapped
 * too (stack_book.c): a pool never calls an allocator.
 */
#include "stack_pool.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "annotate.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif
#ifndef MAP_STACK
#define MAP_STACK 0
#endif

enum {
    COLOURS = 8,
    COLOUR_BYTES = 64,
    /* 64 stacks of the default size. A stack that is larger has a chunk to itself. */
    CHUNK_BYTES = 1 << 22,
    /* A class keeps for long the pages of at most this much and this many idle stacks. */
    HOT_BYTES = 1 << 22,
    HOT_MAX = 64,
    FUTEX_WAIT_PRIVATE_OP = 128,
};

struct sley__stack_pool *sley__stack_pool_create(void)
{
    return sley__stack_pool_create_with(0);
}

struct sley__stack_pool *sley__stack_pool_create_with(uint32_t flags)
{
    struct sley__stack_pool *p = sley__stack_book_open();
    if (p == NULL) {
        return NULL;
    }
    p->guard = flags & SLEY__STACK_POOL_MPROTECT ? SLEY__STACK_GUARD_MPROTECT : SLEY__STACK_GUARD_UNKNOWN;
    p->annotated = sley__annotate_running();
    p->min_bytes = 4 * p->page_bytes;
    if (p->min_bytes < SLEY__STACK_MIN_BYTES) {
        p->min_bytes = SLEY__STACK_MIN_BYTES;
    }
    for (unsigned i = 0; i < SLEY__STACK_CLASSES; i++) {
        size_t hot = HOT_BYTES >> (SLEY__STACK_MIN_SHIFT + i);
        p->classes[i].hot_count = hot < HOT_MAX ? hot : HOT_MAX;
    }
    return p;
}

enum sley__stack_guard sley__stack_pool_guard(const struct sley__stack_pool *p)
{
    return p->guard;
}

static unsigned shift_of(const struct sley__stack_pool *p, size_t bytes)
{
    if (bytes == 0) {
        bytes = SLEY__STACK_DEFAULT_BYTES;
    }
    if (bytes < p->min_bytes) {
        bytes = p->min_bytes;
    }
    return 64U - (unsigned)__builtin_clzll((unsigned long long)bytes - 1);
}

static char *top_in(const struct stack_chunk *chunk, size_t index)
{
    size_t colour = (chunk->first_index + index) % COLOURS;
    return chunk->low + ((index + 1) << chunk->shift) - colour * COLOUR_BYTES;
}

/* A kernel that accepts any advice (an emulator's, say) would leave us without guards, and reading the page to find
 * out would kill us if it works. So the kernel reads it for us: a futex wait answers EFAULT where there is a guard, and
 * EAGAIN at once on the zeroes of a page without one. */
static bool guarded(char *page)
{
    return syscall(SYS_futex, page, FUTEX_WAIT_PRIVATE_OP, 1, NULL) == -1 && errno == EFAULT;
}

static bool install_guard(struct sley__stack_pool *p, char *page)
{
    if (p->guard != SLEY__STACK_GUARD_MPROTECT) {
        if (madvise(page, p->page_bytes, MADV_GUARD_INSTALL) == 0) {
            if (p->guard == SLEY__STACK_GUARD_MADVISE || guarded(page)) {
                p->guard = SLEY__STACK_GUARD_MADVISE;
                return true;
            }
        } else if (errno != EINVAL) {
            return false; /* the kernel knows it and has no memory for it */
        }
        /* EINVAL: before 6.13, or the memory is locked. */
        p->guard = SLEY__STACK_GUARD_MPROTECT;
    }
    return mprotect(page, p->page_bytes, PROT_NONE) == 0;
}

static struct stack_chunk *add_chunk(struct sley__stack_pool *p, struct stack_class *class, unsigned shift)
{
    struct stack_chunk *chunk = sley__stack_book_take(p);
    if (chunk == NULL) {
        return NULL;
    }
    size_t count = CHUNK_BYTES >> shift;
    chunk->shift = shift;
    chunk->count = count != 0 ? count : 1;
    size_t bytes = chunk->count << shift;
    /* NORESERVE: the address space is promised, memory is not; what is used is counted when it is touched. */
    void *low = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (low == MAP_FAILED) {
        sley__stack_book_give(p, chunk);
        return NULL;
    }
    if (p->annotated) {
        chunk->valgrind_ids = sley__stack_book_map(chunk->count * sizeof(*chunk->valgrind_ids));
        if (chunk->valgrind_ids == NULL) {
            (void)munmap(low, bytes);
            sley__stack_book_give(p, chunk);
            return NULL;
        }
    }
    /* A huge page under a stack that uses one small page would be 2 MiB resident. Fails where there are none. */
    (void)madvise(low, bytes, MADV_NOHUGEPAGE);
    chunk->low = low;
    chunk->first_index = class->stack_count;
    sley__stack_book_publish(p, chunk);
    class->fresh = chunk;
    return chunk;
}

/* Makes one more stack of a class that has no idle one. */
static char *carve(struct sley__stack_pool *p, struct stack_class *class, unsigned shift)
{
    if (class->stack_count == class->idle_cap && !sley__stack_book_grow(class)) {
        return NULL;
    }
    struct stack_chunk *chunk = class->fresh;
    if (chunk == NULL) {
        chunk = add_chunk(p, class, shift);
        if (chunk == NULL) {
            return NULL;
        }
    }
    /* relaxed: this thread alone writes it. */
    size_t index = atomic_load_explicit(&chunk->carved_count, memory_order_relaxed);
    char *low = chunk->low + (index << shift);
    if (!install_guard(p, low)) {
        return NULL;
    }
    /* release: publishes the guard to sley__stack_guard_hit in a signal handler. */
    atomic_store_explicit(&chunk->carved_count, index + 1, memory_order_release);
    class->stack_count++;
    if (index + 1 == chunk->count) {
        class->fresh = NULL;
    }
    char *top = top_in(chunk, index);
    if (p->annotated) {
        chunk->valgrind_ids[index] = sley__annotate_stack_register(low + p->page_bytes, top);
    }
    return top;
}

void *sley__stack_get(struct sley__stack_pool *p, size_t bytes, size_t *ret_bytes)
{
    if (bytes > SLEY__STACK_MAX_BYTES) {
        return NULL;
    }
    unsigned shift = shift_of(p, bytes);
    struct stack_class *class = &p->classes[shift - SLEY__STACK_MIN_SHIFT];
    char *top;
    if (class->idle_count != 0) {
        top = class->idle[--class->idle_count];
        if (class->cold_count > class->idle_count) {
            class->cold_count = class->idle_count;
        }
        if (class->low_count > class->idle_count - class->cold_count) {
            class->low_count = class->idle_count - class->cold_count;
        }
    } else {
        top = carve(p, class, shift);
        if (top == NULL) {
            return NULL;
        }
    }
    size_t usable = ((size_t)1 << shift) - p->page_bytes - (size_t)(sley__stack_end(p, top) - top);
    if (p->annotated) {
        sley__annotate_stack_live(top - usable, top);
    }
    *ret_bytes = usable;
    return top;
}

void sley__stack_put(struct sley__stack_pool *p, void *top, size_t bytes)
{
    unsigned shift = shift_of(p, bytes);
    struct stack_class *class = &p->classes[shift - SLEY__STACK_MIN_SHIFT];
    if (p->annotated) {
        char *end = sley__stack_end(p, top);
        sley__annotate_stack_idle(end - ((size_t)1 << shift) + p->page_bytes, top);
    }
    class->idle[class->idle_count++] = top;
    class->put_since_trim = true;
    if (class->idle_count - class->cold_count <= 2 * class->hot_count) {
        return;
    }
    if (class->hot_count == 0) {
        sley__stack_cool(p, class, shift, class->idle_count - class->cold_count);
        return;
    }
    p->surplus = true;
    if (++class->put_count >= 4 * class->stack_count) {
        (void)sley__stack_look(p, class, shift); /* who never idles: see sley__stack_settle */
    }
}

void *sley__stack_guard_hit(const struct sley__stack_pool *p, const void *addr)
{
    if (p == NULL) {
        return NULL;
    }
    uintptr_t at = (uintptr_t)addr;
    const struct stack_chunk *chunk = sley__stack_book_first(p);
    for (; chunk != NULL; chunk = sley__stack_book_next(chunk)) {
        size_t offset = at - (uintptr_t)chunk->low; /* huge for an address below */
        size_t index = offset >> chunk->shift;
        /* acquire: pairs with the store in carve; the guard of each of these stacks is in place. */
        if (index < atomic_load_explicit(&chunk->carved_count, memory_order_acquire)) {
            size_t within = offset - (index << chunk->shift);
            return within < p->page_bytes ? top_in(chunk, index) : NULL;
        }
    }
    return NULL;
}
