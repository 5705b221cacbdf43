/* Sleeping on a word that says what is awaited, and the membarrier: Linux. */
#include "worker.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void sley__stealing_barrier(void)
{
    (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0); /* registered by sley_sched_init */
}

void sley__stealing_sleep(SLEY_ATOMIC(uint32_t) *word, uint32_t value, uint64_t deadline_ns)
{
    const struct timespec ts = {.tv_sec = (time_t)(deadline_ns / SLEY_S), .tv_nsec = (long)(deadline_ns % SLEY_S)};
    /* BITSET takes an absolute CLOCK_MONOTONIC time */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, deadline_ns == SLEY_NEVER ? NULL : &ts, NULL,
                  FUTEX_BITSET_MATCH_ANY);
}

void sley__stealing_rouse(SLEY_ATOMIC(uint32_t) *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}
