/* Parking on a futex. */
#include "park.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t sley__local_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

void sley__local_wait(SLEY_ATOMIC(uint32_t) *bell, uint64_t until_ns)
{
    const struct timespec ts = {.tv_sec = (time_t)(until_ns / SLEY_S), .tv_nsec = (long)(until_ns % SLEY_S)};
    /* BITSET takes an absolute CLOCK_MONOTONIC time */
    (void)syscall(SYS_futex, bell, FUTEX_WAIT_BITSET_PRIVATE, 0, until_ns == SLEY_NEVER ? NULL : &ts, NULL,
                  FUTEX_BITSET_MATCH_ANY);
    /* acquire, and no plain store: it takes in every ring up to here, of which a store could wipe one out unseen */
    (void)atomic_exchange_explicit(bell, 0, memory_order_acquire);
}

void sley__local_ring(SLEY_ATOMIC(uint32_t) *bell)
{
    /* release: publishes what this is rung for to the wait that takes it in, also when it was rung already */
    if (atomic_exchange_explicit(bell, 1, memory_order_release) == 0) {
        (void)syscall(SYS_futex, bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}
