/* What the lock needs of the machine, and lets others of this room use. The lock itself: <sley/sync_impl.h>. */
#ifndef SLEY_SYNC_LOCK_H
#define SLEY_SYNC_LOCK_H

#include <sley/sync_impl.h>

/** Waits a moment for somebody who is inside a short critical section; counts up @p turns, yields the processor from some on. */
void sley__spin(uint32_t *turns);

/** A full memory barrier on every running thread of the process (barrier_*.c); only where a lock can lean. */
void sley__barrier_all(void);

#endif
