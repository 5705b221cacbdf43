/* Parking on a bare machine: the port's three functions. */
#include "park.h"

#include <sley/port.h>

uint64_t sley__local_now_ns(void)
{
    return sley_port_now_ns();
}

void sley__local_wait(SLEY_ATOMIC(uint32_t) *bell, uint64_t until_ns)
{
    /* relaxed: one processor; what was posted is ordered by the inbox */
    if (atomic_exchange_explicit(bell, 0, memory_order_relaxed) == 0) {
        sley_port_wait(until_ns);
    }
}

void sley__local_ring(SLEY_ATOMIC(uint32_t) *bell)
{
    /* relaxed: as above */
    atomic_store_explicit(bell, 1, memory_order_relaxed);
    sley_port_ring();
}
