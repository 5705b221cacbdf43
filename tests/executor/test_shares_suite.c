/* The shares executor under the suite of all executors, with each way to park. */
#include <sley/shares.h>

#include "suite.h"
#include "suite_shutdown.h"

SUITE_CREATE(create, shares, CHECK_RC(sley_shares_init(ex, NULL), 0))
SUITE_DESTROY(shares)

static const struct suite_executor none = {"shares+none", create, destroy, NULL, false, 1};
static const struct suite_executor epoll = {"shares+epoll", create, destroy, suite_epoll, true, 1};
static const struct suite_executor poll2 = {"shares+poll", create, destroy, suite_poll, true, 1};

#define WITH_NONE(name, ids) SUITE_CASE(none, none, name, ids)
#define WITH_EPOLL(name, ids) SUITE_CASE(epoll, epoll, name, ids)
#define WITH_POLL(name, ids) SUITE_CASE(poll, poll2, name, ids)

SUITE_EXECUTOR(WITH_NONE)
SUITE_SHUTDOWN(WITH_NONE)
SUITE_EXECUTOR(WITH_EPOLL)
SUITE_SHUTDOWN(WITH_EPOLL)
SUITE_EXECUTOR(WITH_POLL)
SUITE_SHUTDOWN(WITH_POLL)
