/* May locks lean towards one thread? What sync's biased lock needs of the kernel, asked for once when a sched is made. */
#ifndef SLEY_TASK_BIAS_H
#define SLEY_TASK_BIAS_H

#include <stdbool.h>

/**
 * Readies this process for membarrier's private expedited command. Returns: may locks lean towards a sched?
 * Thread: any. Cost: a system call; tens of milliseconds the first time when the process has several threads already.
 */
bool sley__bias_register(void);

#endif
