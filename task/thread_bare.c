/* A machine without threads: outside tasks there is the clock, and nothing to park. */
#include "core.h"

#include <sley/port.h>

uint64_t sley__thread_now_ns(void)
{
    return sley_port_now_ns();
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
