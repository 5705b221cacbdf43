/* For benchmarks between two cores of `cores`. */
#ifndef BENCH_CROSS_H
#define BENCH_CROSS_H

#include "micro.h"

#include <sley/cores.h>

/** A core that is not the caller's. In a task. */
uint32_t micro_other(const struct sley_cores *ex);
/** Spawns there. Returns: as sley_spawn. In a task. */
int micro_spawn_apart(const struct sley_task_type *type, const void *args, struct sley_task **ret_task);

#endif
