/* The parts that this build knows by name. */
#include "parts.h"

#include <sley/reactor_poll.h>

static const struct sley_reactor_factory *const automatic[] = {&sley_reactor_epoll, &sley_reactor_poll2, NULL};
static const struct sley_reactor_factory *const epoll[] = {&sley_reactor_epoll, NULL};
static const struct sley_reactor_factory *const poll2[] = {&sley_reactor_poll2, NULL};

const struct sley__named_reactor sley__reactors[] = {
    {"auto", automatic}, {"epoll", epoll}, {"poll", poll2}, {"none", NULL}, {NULL, NULL},
};

const char *const sley__executors[] = {"local", NULL};
