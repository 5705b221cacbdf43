/* Fiber stacks: pooled, guarded, grown by page fault, given back when idle. What runs on them is fiber.c's business. */
#ifndef SLEY_TASK_STACK_H
#define SLEY_TASK_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SLEY__STACK_DEFAULT_BYTES = 65536,
    SLEY__STACK_MIN_BYTES = 16384, /* more where pages are larger than 4 KiB: four of them */
    SLEY__STACK_MAX_BYTES = 1 << 26,
};

struct sley__stack_pool; /* one per worker; one thread */

/** Makes a pool; no stack yet. Returns NULL on -ENOMEM. */
struct sley__stack_pool *sley__stack_pool_create(void);

/** Guards by mprotect even where the kernel has MADV_GUARD_INSTALL: for tests, and for what cannot use guard regions. */
enum { SLEY__STACK_POOL_MPROTECT = 1 };
/** As sley__stack_pool_create, with SLEY__STACK_POOL_* flags. */
struct sley__stack_pool *sley__stack_pool_create_with(uint32_t flags);

/** How guards are made; UNKNOWN before the first stack. */
enum sley__stack_guard {
    SLEY__STACK_GUARD_UNKNOWN,
    SLEY__STACK_GUARD_MADVISE,
    SLEY__STACK_GUARD_MPROTECT, /* two mappings per stack: about 32,000 stacks with the default vm.max_map_count */
};
enum sley__stack_guard sley__stack_pool_guard(const struct sley__stack_pool *p);

/** Unmaps everything; every stack must be back. NULL is fine. */
void sley__stack_pool_destroy(struct sley__stack_pool *p);

/**
 * Takes a stack of at least @p bytes (0: the default; rounded up to a power of two, including the guard page).
 * Returns its top (highest address, exclusive, 64-aligned), or NULL when there is no memory, or no guard to be had.
 * The lowest page is the guard. `*ret_bytes` is the usable size below the top.
 * Tops are coloured: they lie 0 to 7 cache lines below the end of the mapping, in turn, so that what the users keep
 * at their tops does not fall into one set of the cache; the usable size is smaller by as much.
 */
void *sley__stack_get(struct sley__stack_pool *p, size_t bytes, size_t *ret_bytes);
/**
 * Gives a stack back, by its top and the size asked for. It keeps its pages, the large sizes excepted, until it turns out that
 * so many idle stacks are not needed: see sley__stack_settle. Now and then (each time all have come back four times) that is
 * looked after here.
 */
void sley__stack_put(struct sley__stack_pool *p, void *top, size_t bytes);
/** How much there is to settle: nothing; something, in the long run; more than one call may do. */
enum sley__stack_surplus {
    SLEY__STACK_SURPLUS_NONE,
    SLEY__STACK_SURPLUS_LATER,
    SLEY__STACK_SURPLUS_NOW,
};
/**
 * Gives back the pages of idle stacks that were not wanted since the last call, but for the 64 of each size (4 MiB) that were
 * used last. Called twice with no get in between it leaves no more than those. Returns what is left to do. Cost: at most 1024
 * stacks per size, about 0.2 us each.
 */
enum sley__stack_surplus sley__stack_settle(struct sley__stack_pool *p);
/** Would settling do anything, now or later? */
bool sley__stack_unsettled(const struct sley__stack_pool *p);
/**
 * Gives the pages of all idle stacks back to the kernel, and the addresses of chunks with no stack out.
 * Returns the number of stacks trimmed. Cost: a sort of the idle stacks, and nothing when none was put since.
 */
size_t sley__stack_trim(struct sley__stack_pool *p);
/** Async-signal-safe: is @p addr inside the guard of a stack of @p p, and if so what is that stack's top? NULL: no. */
void *sley__stack_guard_hit(const struct sley__stack_pool *p, const void *addr);

#endif
