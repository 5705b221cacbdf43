/* How a local worker without a reactor waits, and what time it is: one file per platform (park_linux.c, park_bare.c). */
#ifndef SLEY_LOCAL_PARK_H
#define SLEY_LOCAL_PARK_H

#include <sley/base.h>

/** The platform's monotonic clock, in ns. */
uint64_t sley__local_now_ns(void);
/** Waits until the bell has been rung or @p until_ns has come (SLEY_NEVER: no limit). May return early. Resets the bell. */
void sley__local_wait(SLEY_ATOMIC(uint32_t) *bell, uint64_t until_ns);
/** Rings: the current or next wait returns. Any thread, signal handlers, interrupts. */
void sley__local_ring(SLEY_ATOMIC(uint32_t) *bell);

#endif
