/* What the cores need of the system: waiting. One file per platform (sys_linux.c). */
#ifndef SLEY_CORES_SYS_H
#define SLEY_CORES_SYS_H

#include <pthread.h>

#include <sley/base.h>

uint64_t sley__cores_now_ns(void);

/** Waits while the word is @p value, at most until @p until_ns (SLEY_NEVER: no limit). May return early. */
void sley__cores_wait(SLEY_ATOMIC(uint32_t) * word, uint32_t value, uint64_t until_ns);
/** Ends the waits on a word. Thread: any, signal. */
void sley__cores_wake(SLEY_ATOMIC(uint32_t) * word);

#endif
