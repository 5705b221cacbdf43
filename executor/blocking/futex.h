/* How threads of the pool sleep: two calls, one file per platform (futex_linux.c). */
#ifndef SLEY_BLOCKING_FUTEX_H
#define SLEY_BLOCKING_FUTEX_H

#include <sley/base.h>

/** The monotonic clock, in ns. */
uint64_t sley__futex_now_ns(void);
/** Sleeps while `*word` is @p value, until woken or @p until_ns (SLEY_NEVER: no limit). May return early. */
void sley__futex_wait(SLEY_ATOMIC(uint32_t) *word, uint32_t value, uint64_t until_ns);
/** Wakes @p count of those who sleep on the address. It is not read: its memory may have gone. */
void sley__futex_wake(SLEY_ATOMIC(uint32_t) *word, uint32_t count);
/** How many processors this thread may run on. */
uint32_t sley__futex_cpu_count(void);

#endif
