/* Sleeping on a futex. */
#include "futex.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t sley__futex_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

void sley__futex_wait(SLEY_ATOMIC(uint32_t) *word, uint32_t value, uint64_t until_ns)
{
    const struct timespec ts = {.tv_sec = (time_t)(until_ns / SLEY_S), .tv_nsec = (long)(until_ns % SLEY_S)};
    /* BITSET takes an absolute CLOCK_MONOTONIC time */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, until_ns == SLEY_NEVER ? NULL : &ts, NULL,
                  FUTEX_BITSET_MATCH_ANY);
}

void sley__futex_wake(SLEY_ATOMIC(uint32_t) *word, uint32_t count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count < INT_MAX ? count : INT_MAX, NULL, NULL, 0);
}

uint32_t sley__futex_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 2; /* more than 1024 of them */
    }
    return (uint32_t)CPU_COUNT(&set);
}
