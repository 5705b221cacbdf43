/* Help for workers that are stuck in one task: rescue.c says how. */
#ifndef SLEY_STEALING_RESCUE_H
#define SLEY_STEALING_RESCUE_H

#include "worker.h"

/* As tokio's users ask for: longer than any turn of a well-behaved program, shorter than a person notices. */
#define STUCK_NS_DEFAULT (10 * SLEY_MS)

/** Helps every worker that is said to be stuck. Thread: a worker's. */
void sley__rescue(struct worker *w);
/** Makes the watchdog, if the configuration wants to know of stalls or there are others to help. Returns: 0; -ENOMEM. */
int sley__rescue_watch(struct sley_stealing_pool *p, const struct sley_executor_config *config);
void sley__rescue_unwatch(struct sley_stealing_pool *p);

#endif
