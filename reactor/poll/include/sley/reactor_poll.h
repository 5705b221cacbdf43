/* The readiness reactor: tries first, waits for readiness when there is nothing. Two ports; no dependency. */
#ifndef SLEY_REACTOR_POLL_H
#define SLEY_REACTOR_POLL_H

#include <sley/reactor_impl.h>

SLEY_EXTERN_C_BEGIN

/** "epoll": edge-triggered, each descriptor registered once. */
SLEY_API extern const struct sley_reactor_factory sley_reactor_epoll;
/** "poll": poll(2), for every POSIX system and for comparison. Each wait costs O(descriptors waited for). */
SLEY_API extern const struct sley_reactor_factory sley_reactor_poll2;

SLEY_EXTERN_C_END
#endif
