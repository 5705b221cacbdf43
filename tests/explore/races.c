/* Data races: the compiler calls one of the functions below before every plain access of an explored source (it believes that
 * ThreadSanitizer is there). Two accesses that happen-before does not order are a bug, in whichever order they came here. */
#include "layer.h"

#include "engine.h"

enum { CELLS = 1 << 15, CELL_BYTES = 4 };

/* What is known of four bytes; a cell of an earlier execution is empty. Masks say which of the bytes. */
struct cell {
    uintptr_t addr;
    uint32_t execution;
    uint32_t write_at, write_mask;
    int writer;
    uint32_t read_at[EXPLORE_THREADS], read_mask[EXPLORE_THREADS];
    uint32_t atomic_read_at[EXPLORE_THREADS], atomic_write_at[EXPLORE_THREADS];
    const void *written_by, *read_by; /* code */
};

static struct cell cells[CELLS];
static uint32_t execution;
static uint16_t used[CELLS / 2]; /* in this execution */
static unsigned cell_count;

void races_reset(void)
{
    execution++;
    cell_count = 0;
}

static struct cell *cell_of(uintptr_t addr)
{
    unsigned i = (unsigned)((addr / CELL_BYTES) * 2654435761u) % CELLS;
    while (cells[i].execution == execution && cells[i].addr != addr) {
        i = (i + 1) % CELLS;
    }
    struct cell *c = &cells[i];
    if (c->execution != execution) {
        if (cell_count == CELLS / 2) {
            explore_fail("more than %d bytes are accessed", CELLS / 2 * CELL_BYTES);
        }
        used[cell_count++] = (uint16_t)i;
        *c = (struct cell){.addr = addr, .execution = execution, .writer = -1};
    }
    return c;
}

extern char __executable_start[];

/** As `addr2line -e PROGRAM` wants it. */
static unsigned long offset(const void *pc)
{
    return pc ? (unsigned long)((uintptr_t)pc - (uintptr_t)__executable_start - 1) : 0;
}

static _Noreturn void report(const char *what, uintptr_t addr, int other, const void *there, const void *here)
{
    explore_fail("data race: thread %c %s %p, which thread %c has accessed, and nothing orders them (addr2line %#lx %#lx)",
                 'a' + run.current, what, (void *)addr, 'a' + other, offset(here), offset(there));
}

static uint32_t mask_of(uintptr_t addr, unsigned bytes)
{
    return ((1u << bytes) - 1) << (addr % CELL_BYTES);
}

static void against_writes(const struct cell *c, const struct clock *now, const char *what, uint32_t mask, const void *pc)
{
    if (c->writer >= 0 && (c->write_mask & mask) && c->write_at > now->at[c->writer]) {
        report(what, c->addr, c->writer, c->written_by, pc);
    }
}

static void plain(uintptr_t addr, unsigned bytes, bool write, const void *pc)
{
    struct cell *c = cell_of(addr & ~(uintptr_t)(CELL_BYTES - 1));
    const struct clock *now = &run.threads[run.current].clock;
    const uint32_t mask = mask_of(addr, bytes);
    const char *what = write ? "writes" : "reads";
    const unsigned me = (unsigned)run.current;
    against_writes(c, now, what, mask, pc);
    for (unsigned i = 0; i < run.thread_count; i++) {
        if (c->atomic_write_at[i] > now->at[i]) {
            report(what, c->addr, (int)i, NULL, pc);
        }
        if (write && ((c->read_mask[i] & mask) && c->read_at[i] > now->at[i])) {
            report(what, c->addr, (int)i, c->read_by, pc);
        }
        if (write && c->atomic_read_at[i] > now->at[i]) {
            report(what, c->addr, (int)i, NULL, pc);
        }
    }
    if (write) {
        c->writer = (int)me;
        c->write_at = now->at[me];
        c->write_mask = mask;
        c->written_by = pc;
    } else {
        c->read_mask[me] = c->read_at[me] == now->at[me] ? c->read_mask[me] | mask : mask;
        c->read_at[me] = now->at[me];
        c->read_by = pc;
    }
}

void races_atomic(uintptr_t addr, unsigned size, bool write)
{
    if (run.current < 0) {
        return;
    }
    if (arena_freed(addr)) {
        explore_fail("thread %c accesses %p, which has been freed", 'a' + run.current, (void *)addr);
    }
    struct thread *t = &run.threads[run.current];
    for (uintptr_t at = addr & ~(uintptr_t)(CELL_BYTES - 1); at < addr + size; at += CELL_BYTES) {
        struct cell *c = cell_of(at);
        against_writes(c, &t->clock, write ? "writes (atomically)" : "reads (atomically)", 15, NULL);
        for (unsigned i = 0; write && i < run.thread_count; i++) {
            if (c->read_mask[i] && c->read_at[i] > t->clock.at[i]) {
                report("writes (atomically)", addr, (int)i, c->read_by, NULL);
            }
        }
        /* the access has been done: what it released is ordered before what acquires it, and so is the access itself */
        (write ? c->atomic_write_at : c->atomic_read_at)[run.current] = t->clock.at[run.current] - 1;
    }
}

static void range(const volatile void *p, size_t size, bool write, const void *pc)
{
    const uintptr_t addr = (uintptr_t)p;
    if (run.current < 0 || is_thread_local(addr)) {
        return;
    }
    if (arena_freed(addr)) {
        explore_fail("thread %c accesses %p, which has been freed (addr2line %#lx)", 'a' + run.current, (void *)addr, offset(pc));
    }
    for (uintptr_t at = addr; at < addr + size;) {
        const uintptr_t end = (at & ~(uintptr_t)(CELL_BYTES - 1)) + CELL_BYTES;
        const uintptr_t stop = end < addr + size ? end : addr + size;
        plain(at, (unsigned)(stop - at), write, pc);
        at = stop;
    }
}

void races_free(uintptr_t addr, size_t bytes)
{
    for (unsigned i = 0; run.current >= 0 && i < cell_count; i++) {
        const uintptr_t at = cells[used[i]].addr;
        if (at - addr < bytes) {
            plain(at, CELL_BYTES, true, __builtin_return_address(0));
        }
    }
}

/* ---- what the compiler calls ------------------------------------------------------------------------------------- */

#define HOOK(name, size, write)                             \
    void name(void *p);                                     \
    void name(void *p)                                      \
    {                                                       \
        range(p, size, write, __builtin_return_address(0)); \
    }
#define HOOKS(size)                                \
    HOOK(__tsan_read##size, size, false)           \
    HOOK(__tsan_write##size, size, true)           \
    HOOK(__tsan_unaligned_read##size, size, false) \
    HOOK(__tsan_unaligned_write##size, size, true)
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read_range(void *p, size_t size);
void __tsan_read_range(void *p, size_t size)
{
    range(p, size, false, __builtin_return_address(0));
}

void __tsan_write_range(void *p, size_t size);
void __tsan_write_range(void *p, size_t size)
{
    range(p, size, true, __builtin_return_address(0));
}

void __tsan_init(void);
void __tsan_init(void) {}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
    (void)pc;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void) {}

/* Initialising a struct that contains an atomic may become this; so does an assignment. */
void __tsan_atomic64_store(volatile uint64_t *p, uint64_t value, int order);
void __tsan_atomic64_store(volatile uint64_t *p, uint64_t value, int order)
{
    explore__store(p, sizeof *p, value, order, "?", "?", 0);
}

void __tsan_atomic32_store(volatile uint32_t *p, uint32_t value, int order);
void __tsan_atomic32_store(volatile uint32_t *p, uint32_t value, int order)
{
    explore__store(p, sizeof *p, value, order, "?", "?", 0);
}

void *explore__copy(void *to, const void *from, size_t bytes)
{
    range(from, bytes, false, __builtin_return_address(0));
    range(to, bytes, true, __builtin_return_address(0));
    return __builtin_memcpy(to, from, bytes);
}

void *explore__fill(void *to, int value, size_t bytes)
{
    range(to, bytes, true, __builtin_return_address(0));
    return __builtin_memset(to, value, bytes);
}
