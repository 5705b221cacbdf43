/* Linux: a barrier on every thread of the process, by membarrier. */
#include "lock.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

void sley__barrier_all(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) {
        return;
    }
    /* Whoever leant had registered the process (task/bias_membarrier.c), but a fork may have lost that. */
    (void)syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}
