/* Who says that a slice is over, so that a task that computes asks by a load: a timer of the worker's thread, armed while somebody asks. */
#ifndef SLEY_SHARES_SLICE_H
#define SLEY_SHARES_SLICE_H

#include <sley/shares.h>

/**
 * Soon after @p deadline_ns, and never before it, `preempt` of the sched that this thread drives then will be 1; a deadline that has
 * passed counts, too. One at a time: the last one asked for. Returns whether it will be so: not without a timer, or while the thread
 * blocks its signal. Thread: owner. Cost: nothing if asked for before, else three system calls, and the signal.
 */
bool sley__slice_watch(struct sley__slice *sl, uint64_t deadline_ns);
/** The CPU time of this thread, in ns. Cost: a system call. */
uint64_t sley__slice_cpu_ns(void);
/** Takes the timer away. Thread: owner. */
void sley__slice_end(struct sley__slice *sl);

#endif
