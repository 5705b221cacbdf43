/* Sleeping on a futex. */
#include "queue.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

void sley__futex_wait(SLEY_ATOMIC(uint32_t) * word, uint32_t value, uint64_t until_ns)
{
    const struct timespec ts = {.tv_sec = (time_t)(until_ns / SLEY_S), .tv_nsec = (long)(until_ns % SLEY_S)};
    /* BITSET takes an absolute CLOCK_MONOTONIC time */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, until_ns == SLEY_NEVER ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
}

void sley__futex_wake(SLEY_ATOMIC(uint32_t) * word, uint32_t count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count > INT32_MAX ? INT32_MAX : count, NULL, NULL, 0);
}

bool sley__futex_alone(void)
{
    cpu_set_t set; /* a machine with more than 1024 is not alone */
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1;
}
