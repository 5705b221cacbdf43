/* The executor of one local per core under the suite of all executors: with each way to park, with one worker and with several. */
#include <sley/cores.h>

#include "suite.h"
#include "suite_shutdown.h"

SUITE_CREATE(create, cores, sley_cores_init(ex, NULL))
SUITE_CREATE(create_pinned, cores, sley_cores_init(ex, &(struct sley_workers_opts){.placement = SLEY_PLACEMENT_SPREAD}))
SUITE_DESTROY(cores)

static const struct suite_executor none = {"cores+none", create, destroy, NULL, false, 3};
static const struct suite_executor epoll = {"cores+epoll", create, destroy, suite_epoll, true, 4};
static const struct suite_executor poll2 = {"cores+poll", create, destroy, suite_poll, true, 2};
static const struct suite_executor pinned = {"cores+epoll, one pinned", create_pinned, destroy, suite_epoll, true, 1};

#define WITH_NONE(name, ids) SUITE_CASE(none, none, name, ids)
#define WITH_EPOLL(name, ids) SUITE_CASE(epoll, epoll, name, ids)
#define WITH_POLL(name, ids) SUITE_CASE(poll, poll2, name, ids)
#define WITH_PINNED(name, ids) SUITE_CASE(pinned, pinned, name, ids)

SUITE_EXECUTOR_WORKERS(WITH_NONE)
SUITE_SHUTDOWN(WITH_NONE)
SUITE_EXECUTOR_WORKERS(WITH_EPOLL)
SUITE_SHUTDOWN(WITH_EPOLL)
SUITE_EXECUTOR_WORKERS(WITH_POLL)
SUITE_SHUTDOWN(WITH_POLL)
SUITE_EXECUTOR_WORKERS(WITH_PINNED)
SUITE_SHUTDOWN(WITH_PINNED)
