/* How a stack pool gives memory back: pages of idle stacks, chunks with no stack out, everything at the end. */
#include "stack_pool.h"

#include <sys/mman.h>

#include "annotate.h"

/* A look drops the pages of so many stacks at most: some 50 us, and 3 ms on a host that was seen to take 13 us for each. */
enum { LOOK_MAX = 256 };

void sley__stack_cool(const struct sley__stack_pool *p, struct stack_class *class, unsigned shift, size_t n)
{
    char *const *tops = class->idle + class->cold_count;
    size_t bytes = (size_t)1 << shift;
    size_t i = 0;
    while (i < n) {
        char *high = sley__stack_end(p, tops[i++]);
        char *low = high - bytes;
        /* Neighbours go in one call, with the guards between them: neither kind minds. */
        for (; i < n; i++) {
            char *end = sley__stack_end(p, tops[i]);
            if (end == low) {
                low -= bytes;
            } else if (end == high + bytes) {
                high = end;
            } else {
                break;
            }
        }
        /* Fails on locked memory alone, which is to stay resident. */
        (void)madvise(low + p->page_bytes, (size_t)(high - low) - p->page_bytes, MADV_DONTNEED);
    }
    class->cold_count += n;
}

static void sift_down(char **a, size_t at, size_t n)
{
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && a[child + 1] < a[child]) {
            child++;
        }
        if (a[at] <= a[child]) {
            return;
        }
        char *top = a[at];
        a[at] = a[child];
        a[child] = top;
        at = child;
    }
}

/* Highest address first (a heap sort: qsort may allocate). Get then takes the lowest, and high chunks fall free. */
static void sort_descending(char **a, size_t n)
{
    for (size_t i = n / 2; i-- > 0;) {
        sift_down(a, i, n);
    }
    for (size_t end = n; end > 1; end--) {
        char *least = a[0];
        a[0] = a[end - 1];
        a[end - 1] = least;
        sift_down(a, 0, end - 1);
    }
}

/* The first index of a descending array whose element is not above addr. */
static size_t first_not_above(char *const *tops, size_t n, const char *addr)
{
    size_t low = 0;
    while (low < n) {
        size_t mid = low + (n - low) / 2;
        if (tops[mid] > addr) {
            low = mid + 1;
        } else {
            n = mid;
        }
    }
    return low;
}

/* Unmaps a chunk that is out of the list, unless the kernel refuses: the hole may be one mapping too many. */
static bool unmap_chunk(struct sley__stack_pool *p, struct stack_chunk *chunk, size_t carved_count)
{
    size_t bytes = chunk->count << chunk->shift;
    if (munmap(chunk->low, bytes) != 0) {
        return false;
    }
    if (p->annotated) {
        /* Whatever is mapped here next starts clean. */
        sley__annotate_unmapped(chunk->low, chunk->low + bytes);
        for (size_t i = 0; i < carved_count; i++) {
            sley__annotate_stack_deregister(chunk->valgrind_ids[i]);
        }
        sley__stack_book_unmap(chunk->valgrind_ids, chunk->count * sizeof(*chunk->valgrind_ids));
    }
    sley__stack_book_give(p, chunk);
    return true;
}

/* A mark over the tops of a chunk that is gone. Odd, as no top is; of the right order still; above every top of the
 * chunk that may follow directly below. */
static char *gone_mark(char *chunk_low)
{
    return chunk_low + 1;
}

static bool is_gone_mark(const char *top)
{
    return (uintptr_t)top % 2 != 0;
}

/* Unmaps the chunks of a class that have no stack out. The idle array is sorted. */
static void drop_chunks(struct sley__stack_pool *p, struct stack_class *class, unsigned shift)
{
    struct stack_chunk *next;
    for (struct stack_chunk *chunk = sley__stack_book_first(p); chunk != NULL; chunk = next) {
        next = sley__stack_book_next(chunk);
        if (chunk->shift != shift) {
            continue;
        }
        /* relaxed: this thread alone writes it. */
        size_t carved = atomic_load_explicit(&chunk->carved_count, memory_order_relaxed);
        char *low = chunk->low;
        size_t first = first_not_above(class->idle, class->idle_count, low + (chunk->count << shift));
        size_t past = first_not_above(class->idle, class->idle_count, low);
        if (past - first != carved) {
            continue;
        }
        sley__stack_book_withdraw(p, chunk);
        if (!unmap_chunk(p, chunk, carved)) {
            sley__stack_book_publish(p, chunk);
            continue;
        }
        if (class->fresh == chunk) {
            class->fresh = NULL;
        }
        class->stack_count -= carved;
        for (size_t i = first; i < past; i++) {
            class->idle[i] = gone_mark(low);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < class->idle_count; i++) {
        if (!is_gone_mark(class->idle[i])) {
            class->idle[kept++] = class->idle[i];
        }
    }
    class->idle_count = kept;
    class->cold_count = kept;
    sley__stack_book_shrink(class);
}

bool sley__stack_look(const struct sley__stack_pool *p, struct stack_class *class, unsigned shift)
{
    size_t n = class->low_count > class->hot_count ? class->low_count - class->hot_count : 0;
    bool more = n > LOOK_MAX;
    n = more ? LOOK_MAX : n;
    sort_descending(class->idle + class->cold_count, n); /* neighbours in a row */
    sley__stack_cool(p, class, shift, n);
    /* What was not needed until now, less what is gone; or a new beginning. */
    class->low_count = more ? class->low_count - n : class->idle_count - class->cold_count;
    class->put_count = 0;
    return more;
}

bool sley__stack_unsettled(const struct sley__stack_pool *p)
{
    return p->surplus;
}

enum sley__stack_surplus sley__stack_settle(struct sley__stack_pool *p)
{
    enum sley__stack_surplus left = SLEY__STACK_SURPLUS_NONE;
    for (unsigned i = 0; i < SLEY__STACK_CLASSES && p->surplus; i++) {
        struct stack_class *class = &p->classes[i];
        if (class->hot_count == 0) {
            continue;
        }
        if (sley__stack_look(p, class, SLEY__STACK_MIN_SHIFT + i)) {
            left = SLEY__STACK_SURPLUS_NOW;
        } else if (class->idle_count - class->cold_count > 2 * class->hot_count && left == SLEY__STACK_SURPLUS_NONE) {
            left = SLEY__STACK_SURPLUS_LATER;
        }
    }
    p->surplus = left != SLEY__STACK_SURPLUS_NONE;
    return left;
}

size_t sley__stack_trim(struct sley__stack_pool *p)
{
    size_t trimmed = 0;
    for (unsigned i = 0; i < SLEY__STACK_CLASSES; i++) {
        struct stack_class *class = &p->classes[i];
        unsigned shift = SLEY__STACK_MIN_SHIFT + i;
        size_t hot = class->idle_count - class->cold_count;
        if (!class->put_since_trim) {
            continue;
        }
        class->put_since_trim = false;
        class->low_count = 0;
        sort_descending(class->idle + class->cold_count, hot);
        sley__stack_cool(p, class, shift, hot);
        sort_descending(class->idle, class->idle_count);
        drop_chunks(p, class, shift);
        trimmed += hot;
    }
    return trimmed;
}

void sley__stack_pool_destroy(struct sley__stack_pool *p)
{
    if (p == NULL) {
        return;
    }
    struct stack_chunk *chunk;
    while ((chunk = sley__stack_book_first(p)) != NULL) {
        /* relaxed: this thread alone writes it. */
        size_t carved = atomic_load_explicit(&chunk->carved_count, memory_order_relaxed);
        sley__stack_book_withdraw(p, chunk);
        (void)unmap_chunk(p, chunk, carved);
    }
    sley__stack_book_close(p);
}
