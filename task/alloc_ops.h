/* Checking an allocator's table when something is wired to it. Calls go through sley_alloc_get and sley_alloc_put. */
#ifndef SLEY_TASK_ALLOC_OPS_H
#define SLEY_TASK_ALLOC_OPS_H

#include <sley/alloc.h>

/** Has @p a a table that can be called: a version that we know how to read, and every required slot? NULL: no. */
bool sley__alloc_valid(const struct sley_alloc *a);

#endif
