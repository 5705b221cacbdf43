/* The inside of a stack pool: shared by stack.c (get, put), stack_trim.c (giving back) and stack_book.c (bookkeeping). */
#ifndef SLEY_TASK_STACK_POOL_H
#define SLEY_TASK_STACK_POOL_H

#include <stdatomic.h>

#include "stack.h"

enum {
    SLEY__STACK_MIN_SHIFT = 14,
    SLEY__STACK_MAX_SHIFT = 26,
    SLEY__STACK_CLASSES = SLEY__STACK_MAX_SHIFT - SLEY__STACK_MIN_SHIFT + 1,
};
_Static_assert(1 << SLEY__STACK_MIN_SHIFT == SLEY__STACK_MIN_BYTES, "classes begin at the least size");
_Static_assert(1 << SLEY__STACK_MAX_SHIFT == SLEY__STACK_MAX_BYTES, "classes end at the largest size");

/* One mapping of `count` stacks of `1 << shift` bytes, the first `carved_count` of which exist. In the pool's list
 * from publish to withdraw, where a signal handler of the owner thread may read it at any time. */
struct stack_chunk {
    _Atomic(struct stack_chunk *) next; /* in the list, or of unused records */
    struct stack_chunk *prev;
    char *low;
    size_t count;
    _Atomic(size_t) carved_count;
    size_t first_index;     /* of its class, where the colours go on */
    unsigned *valgrind_ids; /* one per stack, or NULL when nobody listens */
    unsigned shift;
};

struct stack_class {
    char **idle; /* tops; stack.c says in which order */
    size_t idle_count, cold_count, idle_cap;
    size_t stack_count;        /* carved and not unmapped */
    size_t hot_count;          /* of so many idle stacks the pages are kept for long */
    size_t low_count;          /* of the idle stacks that keep their pages, so many were never wanted since the last look */
    size_t put_count;          /* with more than twice hot_count of them, since the last look */
    struct stack_chunk *fresh; /* the chunk to carve the next stack from, or NULL */
    bool put_since_trim;
};

struct record_page;

struct sley__stack_pool {
    struct stack_class classes[SLEY__STACK_CLASSES];
    _Atomic(struct stack_chunk *) chunks;
    size_t page_bytes;
    size_t min_bytes;
    enum sley__stack_guard guard;
    bool annotated; /* a checker wants to hear of stacks */
    bool surplus;   /* since the last look a class has kept the pages of more than twice its hot_count */
    struct stack_chunk *unused_records;
    struct record_page *record_pages;
};

/* The colour is less than a page, so the end of the stack is the next page boundary. */
static inline char *sley__stack_end(const struct sley__stack_pool *p, char *top)
{
    return top + (-(uintptr_t)top & (p->page_bytes - 1));
}

/* ---- stack_book.c: memory for the pool itself, straight from the kernel ---- */

/** The zeroed pool, or NULL. */
struct sley__stack_pool *sley__stack_book_open(void);
/** Releases the bookkeeping; the chunks' mappings are gone already. */
void sley__stack_book_close(struct sley__stack_pool *p);
/** Zeroed memory, or NULL. */
void *sley__stack_book_map(size_t bytes);
void sley__stack_book_unmap(void *ptr, size_t bytes);
/** A chunk record, not in the list; or NULL. */
struct stack_chunk *sley__stack_book_take(struct sley__stack_pool *p);
void sley__stack_book_give(struct sley__stack_pool *p, struct stack_chunk *chunk);
/** Puts a chunk into the list and takes it out again. */
void sley__stack_book_publish(struct sley__stack_pool *p, struct stack_chunk *chunk);
void sley__stack_book_withdraw(struct sley__stack_pool *p, struct stack_chunk *chunk);
/** The list, from a signal handler of the owner thread too. */
struct stack_chunk *sley__stack_book_first(const struct sley__stack_pool *p);
struct stack_chunk *sley__stack_book_next(const struct stack_chunk *chunk);
/** Makes room in the idle array for more stacks. */
bool sley__stack_book_grow(struct stack_class *class);
/** Gives the idle array of a class without stacks back. */
void sley__stack_book_shrink(struct stack_class *class);

/* ---- stack_trim.c ---- */

/** Drops the pages of the coldest @p n of the idle stacks that still have theirs. */
void sley__stack_cool(const struct sley__stack_pool *p, struct stack_class *class, unsigned shift, size_t n);
/** The look: drops the pages of what was not wanted since the last one, but for hot_count. Returns whether more is to be
 * dropped than the bound of one call. */
bool sley__stack_look(const struct sley__stack_pool *p, struct stack_class *class, unsigned shift);

#endif
