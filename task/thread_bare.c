/* A machine without threads: outside tasks there is the clock, and nothing to park but the machine itself. */
#include "core.h"

#include <sley/port.h>

uint64_t sley_thread_now_ns(void)
{
    return sley_port_now_ns();
}

void sley_thread_wait(SLEY_ATOMIC(uint32_t) * bell, uint64_t until_ns)
{
    /* relaxed: one processor; what was posted is ordered by the inbox */
    if (atomic_exchange_explicit(bell, 0, memory_order_relaxed) == 0) {
        sley_port_wait(until_ns);
    }
}

void sley_thread_ring(SLEY_ATOMIC(uint32_t) * bell)
{
    /* relaxed: as above */
    atomic_store_explicit(bell, 1, memory_order_relaxed);
    sley_port_ring();
}

void sley__parker_wake(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)hook, (void)w;
}

void sley__thread_until_push(struct sley__until *u)
{
    u->passed = false;
}

bool sley__thread_until_pop(struct sley__until *u)
{
    return u->passed;
}

const struct sley_wait_ops sley__thread_timer_ops = {.version = SLEY_WAIT_VERSION, .name = "timer"};
