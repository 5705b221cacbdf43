/* Diagnosis of fibers that overflow: stack_overflow.c; where a sanitizer does it better, or there are no signals, nothing. */
#ifndef SLEY_TASK_STACK_OVERFLOW_H
#define SLEY_TASK_STACK_OVERFLOW_H

struct sley__memory;

/** The worker gets a fiber: from the first one on, watch for faults. Thread: owner. */
void sley__overflow_watch(struct sley__memory *m);
/** A thread is about to run the worker: it needs a signal stack. Cheap when it is the same thread as ever. */
void sley__overflow_thread(struct sley__memory *m);
/** The worker ends. */
void sley__overflow_unwatch(struct sley__memory *m);

#endif
