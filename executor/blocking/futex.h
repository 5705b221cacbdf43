/* How threads of the pool sleep and wait: one file per platform (futex_linux.c). */
#ifndef SLEY_BLOCKING_FUTEX_H
#define SLEY_BLOCKING_FUTEX_H

#include <sley/base.h>

/** Sleeps while `*word` is @p value, until woken or @p until_ns of CLOCK_MONOTONIC (SLEY_NEVER: no limit). May return early. */
void sley__futex_wait(SLEY_ATOMIC(uint32_t) *word, uint32_t value, uint64_t until_ns);
/** Wakes @p count of those who sleep on the address. It is not read: its memory may have gone. */
void sley__futex_wake(SLEY_ATOMIC(uint32_t) *word, uint32_t count);
/** May this thread run on one processor only? */
bool sley__futex_alone(void);
/** A moment's rest in a loop that waits for another thread; @p alone: there is one processor, which that thread needs. */
void sley__futex_relax(bool alone);

#endif
