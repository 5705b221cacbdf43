/* Machines without threads: nothing comes back from a pool. */
#include <sley/executor.h>

void sley_executor_grace(struct sley_sched *s)
{
    (void)s;
}
