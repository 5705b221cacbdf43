/* Fiber stacks: pooled, guarded, grown by page fault, given back when idle. What runs on them is fiber.c's business. */
#ifndef SLEY_TASK_STACK_H
#define SLEY_TASK_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SLEY__STACK_DEFAULT_BYTES = 65536, SLEY__STACK_MIN_BYTES = 16384, SLEY__STACK_MAX_BYTES = 1 << 26 };

struct sley__stack_pool; /* one per worker; one thread */

/** Makes a pool; no stack yet. Returns NULL on -ENOMEM. */
struct sley__stack_pool *sley__stack_pool_create(void);
/** Unmaps everything; every stack must be back. NULL is fine. */
void sley__stack_pool_destroy(struct sley__stack_pool *p);

/**
 * Takes a stack of at least @p bytes (0: the default; rounded up to a power of two, including the guard page).
 * Returns its top (highest address, exclusive, 64-aligned), or NULL when there is no memory.
 * The lowest page is the guard. `*ret_bytes` is the usable size below the top.
 */
void *sley__stack_get(struct sley__stack_pool *p, size_t bytes, size_t *ret_bytes);
/** Gives a stack back, by its top and the size asked for. Hot ones keep their pages, others lose them (MADV_DONTNEED). */
void sley__stack_put(struct sley__stack_pool *p, void *top, size_t bytes);
/** Gives the pages of all idle stacks back to the kernel. Returns the number of stacks trimmed. */
size_t sley__stack_trim(struct sley__stack_pool *p);
/** Async-signal-safe: is @p addr inside the guard of a stack of @p p, and if so what is that stack's top? NULL: no. */
void *sley__stack_guard_hit(const struct sley__stack_pool *p, const void *addr);

#endif
