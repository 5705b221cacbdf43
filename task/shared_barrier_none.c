/* No membarrier: no sched has SLEY__SCHED_BIAS, and nobody calls this. */
#include <sley/group_impl.h>

void sley_group_barrier(void) {}
