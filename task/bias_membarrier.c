/* Linux: a lock may lean towards one thread if membarrier can be sent to all threads of the process. */
#include "bias.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

bool sley__bias_register(void)
{
    /* The kernel remembers it, so asking again is cheap; there is nothing for us to remember. */
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}
