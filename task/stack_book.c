/* A stack pool's bookkeeping: chunk records, the list of chunks, the idle arrays. Mapped, so that a pool needs no
 * allocator; the pages of it are shared by thousands of stacks. */
#include "stack_pool.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A page full of records. */
struct record_page {
    struct record_page *next;
    struct stack_chunk records[];
};

void *sley__stack_book_map(size_t bytes)
{
    void *ptr = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return ptr != MAP_FAILED ? ptr : NULL;
}

void sley__stack_book_unmap(void *ptr, size_t bytes)
{
    if (ptr != NULL) {
        (void)munmap(ptr, bytes);
    }
}

struct sley__stack_pool *sley__stack_book_open(void)
{
    struct sley__stack_pool *p = sley__stack_book_map(sizeof(*p));
    if (p != NULL) {
        p->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    }
    return p;
}

void sley__stack_book_close(struct sley__stack_pool *p)
{
    for (unsigned i = 0; i < SLEY__STACK_CLASSES; i++) {
        sley__stack_book_unmap(p->classes[i].idle, p->classes[i].idle_cap * sizeof(char *));
    }
    struct record_page *next;
    for (struct record_page *page = p->record_pages; page != NULL; page = next) {
        next = page->next;
        sley__stack_book_unmap(page, p->page_bytes);
    }
    sley__stack_book_unmap(p, sizeof(*p));
}

struct stack_chunk *sley__stack_book_take(struct sley__stack_pool *p)
{
    if (p->unused_records == NULL) {
        struct record_page *page = sley__stack_book_map(p->page_bytes);
        if (page == NULL) {
            return NULL;
        }
        page->next = p->record_pages;
        p->record_pages = page;
        size_t count = (p->page_bytes - sizeof(*page)) / sizeof(page->records[0]);
        for (size_t i = count; i-- > 0;) {
            sley__stack_book_give(p, &page->records[i]);
        }
    }
    struct stack_chunk *chunk = p->unused_records;
    /* relaxed: an unused record is this thread's alone. */
    p->unused_records = atomic_load_explicit(&chunk->next, memory_order_relaxed);
    memset(chunk, 0, sizeof(*chunk));
    return chunk;
}

void sley__stack_book_give(struct sley__stack_pool *p, struct stack_chunk *chunk)
{
    /* relaxed: an unused record is this thread's alone. */
    atomic_store_explicit(&chunk->next, p->unused_records, memory_order_relaxed);
    p->unused_records = chunk;
}

void sley__stack_book_publish(struct sley__stack_pool *p, struct stack_chunk *chunk)
{
    /* relaxed: this thread alone writes the list. */
    struct stack_chunk *first = atomic_load_explicit(&p->chunks, memory_order_relaxed);
    chunk->prev = NULL;
    if (first != NULL) {
        first->prev = chunk;
    }
    /* relaxed: published by the next store. */
    atomic_store_explicit(&chunk->next, first, memory_order_relaxed);
    /* release: the record is complete for sley__stack_book_first in a signal handler. */
    atomic_store_explicit(&p->chunks, chunk, memory_order_release);
}

void sley__stack_book_withdraw(struct sley__stack_pool *p, struct stack_chunk *chunk)
{
    /* relaxed: this thread alone writes the list. */
    struct stack_chunk *next = atomic_load_explicit(&chunk->next, memory_order_relaxed);
    if (next != NULL) {
        next->prev = chunk->prev;
    }
    /* release: a handler that comes after this store (sley__stack_book_first, _next) no longer meets the record. */
    atomic_store_explicit(chunk->prev != NULL ? &chunk->prev->next : &p->chunks, next, memory_order_release);
}

struct stack_chunk *sley__stack_book_first(const struct sley__stack_pool *p)
{
    /* acquire: observes what sley__stack_book_publish wrote before. */
    return atomic_load_explicit(&p->chunks, memory_order_acquire);
}

struct stack_chunk *sley__stack_book_next(const struct stack_chunk *chunk)
{
    /* acquire: pairs with sley__stack_book_withdraw, and with publish through the head of the list. */
    return atomic_load_explicit(&chunk->next, memory_order_acquire);
}

bool sley__stack_book_grow(struct stack_class *class)
{
    /* 512 tops fill the first page of 4 KiB. */
    size_t cap = class->idle_cap != 0 ? 2 * class->idle_cap : 512;
    char **idle = sley__stack_book_map(cap * sizeof(*idle));
    if (idle == NULL) {
        return false;
    }
    if (class->idle_count != 0) {
        memcpy(idle, class->idle, class->idle_count * sizeof(*idle));
    }
    sley__stack_book_unmap(class->idle, class->idle_cap * sizeof(*idle));
    class->idle = idle;
    class->idle_cap = cap;
    return true;
}

void sley__stack_book_shrink(struct stack_class *class)
{
    if (class->stack_count == 0) {
        sley__stack_book_unmap(class->idle, class->idle_cap * sizeof(*class->idle));
        class->idle = NULL;
        class->idle_cap = 0;
    }
}
