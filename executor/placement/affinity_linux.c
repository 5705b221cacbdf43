/* Affinity of threads, by the system calls themselves: they take sets larger than libc's type, and say how much they have written. */
#include "placement.h"

#include <sys/syscall.h>
#include <unistd.h>

int sley__cpus_allowed(struct sley_cpus *ret_set)
{
    *ret_set = (struct sley_cpus){{0}};
    return syscall(SYS_sched_getaffinity, 0, sizeof *ret_set, ret_set) < 0 ? -errno : 0;
}

int sley__cpus_pin(const struct sley_cpus *set)
{
    return syscall(SYS_sched_setaffinity, 0, sizeof *set, set) < 0 ? -errno : 0;
}
