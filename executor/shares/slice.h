/* Who says that a slice is over, so that a task that computes asks by a load: one thread per executor, which sleeps while nobody asks. */
#ifndef SLEY_SHARES_SLICE_H
#define SLEY_SHARES_SLICE_H

#include <sley/shares.h>

/**
 * `*sl->word` will be 1 soon after @p deadline_ns. The thread that sees to it stays awake for some time after the last deadline; while
 * it is asleep, or is not there, nothing happens unless @p rouse: then it is woken (a system call), or made. A deadline that comes
 * before the last one, or within sl->linger_ns after it, may be seen late. Returns whether it watches. Thread: owner.
 */
bool sley__slice_watch(struct sley__slice *sl, uint64_t deadline_ns, bool rouse);
/** The CPU time of this thread, in ns. Cost: a system call. */
uint64_t sley__slice_cpu_ns(void);
/** Ends the thread. Thread: owner. */
void sley__slice_end(struct sley__slice *sl);

#endif
