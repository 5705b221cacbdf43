/* Linux: the half of an asymmetric pair that pays for both, where bias_membarrier.c has registered the process. */
#include <sley/group_impl.h>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

void sley_group_barrier(void)
{
    (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}
