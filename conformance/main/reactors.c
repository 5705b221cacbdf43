/* The reactors that the program knows by name; which of the optional ones: meson says. */
#include "named.h"

#include <sley/reactor_poll.h>

#ifdef SLEY__WITH_URING
#include <sley/reactor_uring.h>
#endif
#ifdef SLEY__WITH_UV
#include <sley/reactor_uv.h>
#endif

const struct sley_reactor_factory *const named_reactors[] = {
    &sley_reactor_epoll,
    &sley_reactor_poll2,
#ifdef SLEY__WITH_URING
    &sley_reactor_uring,
#endif
#ifdef SLEY__WITH_UV
    &sley_reactor_uv,
#endif
    NULL,
};
