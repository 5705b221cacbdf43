/* The slab's slow half: chunks in, chunks out. What runs for every task is inline in slab.h. */
#include "slab.h"

#include "pages.h"

#include <stdint.h>

/* In front of every chunk. `next` and `left` make a list most of the time and a search tree while trimming. */
struct sley__slab_chunk {
    struct sley__slab_chunk *next; /* in the tree: the right child, higher addresses */
    struct sley__slab_chunk *left; /* while trimming only */
    uint32_t bytes;                /* usable, behind this header */
    uint32_t free_bytes;           /* while trimming only: of those, how many are not in a block that is out */
};

enum {
    HEADER = sizeof(struct sley__slab_chunk),
    MALLOC_SLACK = 64,          /* for the sley_alloc's own header, so that chunk and header together still fill whole pages */
    FIRST_BYTES = 4096,         /* a program of a few tasks touches and holds one page */
    MOST_BYTES = 65536,         /* below the size from which malloc maps each block by itself */
    HUGE_BYTES = 2 << 20,       /* a huge page: who holds much fills the next one soon, and has a fault for 512 */
    HUGE_FROM_BYTES = 25 << 20, /* so that the next one is no more than 8 % of what is held */
    SCARCE_FIRST_BYTES = 512,
    SCARCE_MOST_BYTES = 2048,
};

SLEY_STATIC_ASSERT(HEADER % SLEY__SLAB_STEP == 0, "blocks begin right behind the header");
SLEY_STATIC_ASSERT(sizeof(struct sley__slab_block) <= 2 * SLEY__SLAB_STEP, "the least block holds two");

static inline char *body(struct sley__slab_chunk *c)
{
    return (char *)(c + 1);
}

void sley__slab_init(struct sley__slab *s, struct sley_alloc *alloc)
{
    *s = (struct sley__slab){.alloc = alloc};
}

/* Puts `bytes` closed bytes at `ptr` on the list of their class. A bare leftover of 8 bytes has no room for the hint. */
static void push_unused(struct sley__slab *s, char *ptr, size_t bytes)
{
    struct sley__slab_block *b = (struct sley__slab_block *)(void *)ptr;
    struct sley__slab_block **head = &s->classes[bytes / SLEY__SLAB_STEP - 1];
    size_t links = bytes < sizeof(*b) ? bytes : sizeof(*b);
    sley__annotate_alloc(b, links);
    b->next = *head;
    if (links == sizeof(*b)) {
        b->after_next = NULL;
    }
    sley__slab_close(b, links);
    *head = b;
}

/* Makes the unused chunk `c` the newest; what was left of the one before becomes a free block of its own size. */
static void use_chunk(struct sley__slab *s, struct sley__slab_chunk *c)
{
    if (s->fresh_bytes > 0) {
        push_unused(s, s->fresh, s->fresh_bytes);
    }
    c->next = s->chunks;
    s->chunks = c;
    s->newest = c;
    s->fresh = body(c);
    s->fresh_bytes = c->bytes;
}

/* Asks for a chunk with room for one block of `bytes`, and more if the memory has it. */
static struct sley__slab_chunk *take_chunk(struct sley__slab *s, size_t bytes)
{
    /* Chunks grow with what is held: a small program stays small, a large one has few chunks. */
    bool scarce = (s->alloc->ops->caps & SLEY_ALLOC_CAP_SCARCE) != 0;
    size_t first = scarce ? SCARCE_FIRST_BYTES : FIRST_BYTES;
    size_t most = scarce ? SCARCE_MOST_BYTES : MOST_BYTES;
    size_t want = first;
    while (want < most && want < s->held_bytes) {
        want *= 2;
    }
    bool huge = !scarce && s->held_bytes >= HUGE_FROM_BYTES;
    want = huge ? HUGE_BYTES : want;
    want -= scarce ? 0 : MALLOC_SLACK;
    size_t least = HEADER + bytes;
    for (;; want = huge ? MOST_BYTES - MALLOC_SLACK : want / 2, huge = false) {
        size_t ask = want < least ? least : want & ~(size_t)(SLEY__SLAB_STEP - 1);
        struct sley__slab_chunk *c = sley_alloc_get(s->alloc, ask, huge ? HUGE_BYTES : SLEY__SLAB_STEP);
        if (c != NULL) {
            if (want >= MOST_BYTES - MALLOC_SLACK) {
                sley__pages_wanted(c, ask); /* who has had so many tasks will fill this, too; untouched as yet: else no page is huge */
            }
            *c = (struct sley__slab_chunk){.bytes = (uint32_t)(ask - HEADER)};
            s->held_bytes += ask;
            sley__annotate_free(body(c), c->bytes);
            return c;
        }
        if (ask == least) {
            return NULL;
        }
    }
}

/* A kept chunk with room for `bytes`, or NULL. */
static struct sley__slab_chunk *take_empty(struct sley__slab *s, size_t bytes)
{
    for (struct sley__slab_chunk **link = &s->empty; *link != NULL; link = &(*link)->next) {
        if ((*link)->bytes >= bytes) {
            struct sley__slab_chunk *c = *link;
            *link = c->next;
            return c;
        }
    }
    return NULL;
}

/* The last resort: a free block of a larger class, in two. Sizes stay exact, so a later trim still adds up. */
static void *split_larger(struct sley__slab *s, size_t bytes)
{
    for (size_t i = bytes / SLEY__SLAB_STEP; i < SLEY__SLAB_CLASSES; i++) {
        struct sley__slab_block *b = s->classes[i];
        if (b != NULL) {
            s->classes[i] = sley__slab_next(b);
            push_unused(s, (char *)b + bytes, (i + 1) * SLEY__SLAB_STEP - bytes);
            sley__annotate_alloc(b, bytes);
            return b;
        }
    }
    return NULL;
}

void *sley__slab_alloc_slow(struct sley__slab *s, size_t bytes)
{
    if (!sley__slab_has_class((bytes - 1) / SLEY__SLAB_STEP)) {
        return sley_alloc_get(s->alloc, bytes, SLEY__SLAB_STEP);
    }
    bytes = (bytes + SLEY__SLAB_STEP - 1) & ~(size_t)(SLEY__SLAB_STEP - 1);
    if (s->fresh_bytes < bytes) {
        struct sley__slab_chunk *c = take_empty(s, bytes);
        c = c != NULL ? c : take_chunk(s, bytes);
        if (c == NULL && sley__slab_trim(s, 0) > 0) {
            c = take_chunk(s, bytes); /* what other sizes no longer need may be just enough */
        }
        if (c == NULL) {
            return split_larger(s, bytes);
        }
        use_chunk(s, c);
    }
    void *block = s->fresh;
    s->fresh += bytes;
    s->fresh_bytes -= bytes;
    sley__annotate_alloc(block, bytes);
    return block;
}

/* Merges two lists that are sorted by address. */
static struct sley__slab_chunk *merge(struct sley__slab_chunk *a, struct sley__slab_chunk *b)
{
    struct sley__slab_chunk *head = NULL, **tail = &head;
    while (a != NULL && b != NULL) {
        struct sley__slab_chunk **lower = (uintptr_t)a < (uintptr_t)b ? &a : &b;
        *tail = *lower;
        tail = &(*lower)->next;
        *lower = *tail;
    }
    *tail = a != NULL ? a : b;
    return head;
}

/* Sorts by address; `ret_count` gets the length. Bin i holds a sorted run of 2^i chunks or none. */
static struct sley__slab_chunk *sort(struct sley__slab_chunk *list, size_t *ret_count)
{
    struct sley__slab_chunk *bins[sizeof(size_t) * 8] = {NULL};
    size_t count = 0;
    while (list != NULL) {
        struct sley__slab_chunk *run = list;
        list = list->next;
        run->next = NULL;
        size_t i = 0;
        for (; bins[i] != NULL; i++) {
            run = merge(bins[i], run);
            bins[i] = NULL;
        }
        bins[i] = run;
        count++;
    }
    struct sley__slab_chunk *all = NULL;
    for (size_t i = 0; i < sizeof(bins) / sizeof(bins[0]); i++) {
        all = merge(bins[i], all);
    }
    *ret_count = count;
    return all;
}

/* Turns the first `count` of a sorted list into a balanced tree; `*list` moves on. As deep as log2(count). */
static struct sley__slab_chunk *plant(struct sley__slab_chunk **list, size_t count)
{
    if (count == 0) {
        return NULL;
    }
    struct sley__slab_chunk *left = plant(list, count / 2);
    struct sley__slab_chunk *root = *list;
    *list = root->next;
    root->left = left;
    root->next = plant(list, count - count / 2 - 1);
    return root;
}

/* The chunk that `ptr` lies in. Runs of free blocks mostly share one: `hint` is asked first. */
static inline struct sley__slab_chunk *find(struct sley__slab_chunk *root, struct sley__slab_chunk *hint, const void *ptr)
{
    if ((uintptr_t)ptr - (uintptr_t)hint < hint->bytes + (size_t)HEADER) {
        return hint;
    }
    struct sley__slab_chunk *c = root;
    for (;;) {
        if ((uintptr_t)ptr < (uintptr_t)c) {
            c = c->left;
        } else if ((uintptr_t)ptr - (uintptr_t)c < c->bytes + (size_t)HEADER) {
            return c;
        } else {
            c = c->next;
        }
    }
}

/* The successor of `b`, a free block of class `i`; what comes behind that is on its way to the cache. */
static inline struct sley__slab_block *walk(const struct sley__slab_block *b, size_t i)
{
    if (i > 0) {
        sley__slab_open(b, sizeof(*b));
        __builtin_prefetch(b->after_next);
        sley__slab_close(b, sizeof(*b));
    }
    return sley__slab_next(b);
}

/* Counts each chunk's free bytes in its header. Returns whether any chunk is wholly free. */
static bool count_free(struct sley__slab *s, struct sley__slab_chunk *root)
{
    struct sley__slab_chunk *c = root;
    bool any = false;
    if (s->newest != NULL) {
        s->newest->free_bytes += (uint32_t)s->fresh_bytes;
        any = s->newest->free_bytes == s->newest->bytes;
    }
    for (size_t i = 0; i < SLEY__SLAB_CLASSES; i++) {
        for (struct sley__slab_block *b = s->classes[i]; b != NULL; b = walk(b, i)) {
            c = find(root, c, b);
            c->free_bytes += (uint32_t)((i + 1) * SLEY__SLAB_STEP);
            any |= c->free_bytes == c->bytes;
        }
    }
    return any;
}

/* Makes `next` the successor of `b`, a free block or, for NULL, the head of class `i`. */
static inline void set_next(struct sley__slab *s, size_t i, struct sley__slab_block *b, struct sley__slab_block *next)
{
    if (b == NULL) {
        s->classes[i] = next;
        return;
    }
    sley__slab_open(b, sizeof(b->next));
    b->next = next;
    sley__slab_close(b, sizeof(b->next));
}

/* Takes the blocks of wholly free chunks off the free lists. */
static void drop_blocks(struct sley__slab *s, struct sley__slab_chunk *root)
{
    struct sley__slab_chunk *c = root;
    for (size_t i = 0; i < SLEY__SLAB_CLASSES; i++) {
        struct sley__slab_block *kept = NULL, *b = s->classes[i];
        while (b != NULL) {
            struct sley__slab_block *next = walk(b, i);
            c = find(root, c, b);
            if (c->free_bytes != c->bytes) {
                set_next(s, i, kept, b);
                kept = b;
            }
            b = next;
        }
        set_next(s, i, kept, NULL);
    }
}

/* Makes lists of the tree again: wholly free chunks to `empty`, the others to `chunks`. As deep as the tree. */
static void fell(struct sley__slab *s, struct sley__slab_chunk *c)
{
    if (c == NULL) {
        return;
    }
    fell(s, c->left);
    struct sley__slab_chunk *right = c->next;
    bool unused = c->free_bytes == c->bytes;
    struct sley__slab_chunk **list = unused ? &s->empty : &s->chunks;
    if (unused) {
        sley__annotate_free(body(c), c->bytes); /* the links of its blocks, too */
    }
    c->next = *list;
    *list = c;
    c->free_bytes = 0;
    fell(s, right);
}

/* Gives a list of chunks back, but for the first `keep_bytes` of them. Returns bytes given back. */
static size_t release(struct sley__slab *s, struct sley__slab_chunk **list, size_t keep_bytes)
{
    size_t released = 0;
    while (*list != NULL) {
        struct sley__slab_chunk *c = *list;
        size_t bytes = HEADER + c->bytes;
        if (bytes <= keep_bytes) {
            keep_bytes -= bytes;
            list = &c->next;
            continue;
        }
        *list = c->next;
        sley__annotate_alloc(c, bytes); /* the sley_alloc's own to write to */
        sley_alloc_put(s->alloc, c, bytes);
        released += bytes;
    }
    s->held_bytes -= released;
    return released;
}

size_t sley__slab_trim(struct sley__slab *s, size_t keep_bytes)
{
    size_t count = 0;
    struct sley__slab_chunk *sorted = sort(s->chunks, &count);
    if (count > 0) {
        struct sley__slab_chunk *root = plant(&sorted, count);
        if (count_free(s, root)) {
            drop_blocks(s, root);
        }
        if (s->newest != NULL && s->newest->free_bytes == s->newest->bytes) {
            s->newest = NULL;
            s->fresh = NULL;
            s->fresh_bytes = 0;
        }
        s->chunks = NULL;
        fell(s, root);
    }
    size_t released = release(s, &s->empty, keep_bytes);
    if (released >= MOST_BYTES) {
        sley_alloc_trim(s->alloc);
    }
    return released;
}

void sley__slab_fini(struct sley__slab *s)
{
    if (s == NULL || s->alloc == NULL) {
        return;
    }
    release(s, &s->chunks, 0);
    release(s, &s->empty, 0);
    *s = (struct sley__slab){.alloc = s->alloc};
}
