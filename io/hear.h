/* What the files of io/ share of signals: a lock that handlers take, too, and a function of this room that hears along. */
#ifndef SLEY_IO_HEAR_H
#define SLEY_IO_HEAR_H

#include <signal.h>

#include <sley/signal.h>
#include <sley/task_impl.h>

/** Blocks every signal, then takes the lock. Sections are short, and call nobody who waits. Thread: any; not in a handler of ours. */
void sley__signal_lock(sigset_t *ret_mask);
void sley__signal_unlock(const sigset_t *mask);

/**
 * Has @p heard called at each delivery of @p signo, inside the handler and under the lock. One function per signal. With the lock.
 * Returns: as sley_signal_init. Again: counted.
 */
int sley__signal_hear(int signo, void (*heard)(void));
/** Takes one of them back; `heard` itself may do so. With the lock. */
void sley__signal_deafen(int signo);
/** Has @p forked called in the child of every fork, before it goes on, with the lock. One function. Without the lock. */
void sley__signal_at_fork(void (*forked)(void));

#endif
