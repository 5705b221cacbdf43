/* The work-stealing executor under the suites of all executors: one worker, two and eight, without a reactor and on epoll. */
#include <sley/stealing.h>

#include "suite.h"
#include "suite_shutdown.h"

SUITE_CREATE(create, stealing, sley_stealing_init(ex, NULL))
SUITE_DESTROY(stealing)

static const struct suite_executor none1 = {"stealing+none, one worker", create, destroy, NULL, false, 1};
static const struct suite_executor none2 = {"stealing+none, two", create, destroy, NULL, false, 2};
static const struct suite_executor none8 = {"stealing+none, eight", create, destroy, NULL, false, 8};
static const struct suite_executor epoll1 = {"stealing+epoll, one worker", create, destroy, suite_epoll, true, 1};
static const struct suite_executor epoll2 = {"stealing+epoll, two", create, destroy, suite_epoll, true, 2};
static const struct suite_executor epoll8 = {"stealing+epoll, eight", create, destroy, suite_epoll, true, 8};

#define WITH_NONE1(name, ids) SUITE_CASE(none1, none1, name, ids)
#define WITH_NONE2(name, ids) SUITE_CASE(none2, none2, name, ids)
#define WITH_NONE8(name, ids) SUITE_CASE(none8, none8, name, ids)
#define WITH_EPOLL1(name, ids) SUITE_CASE(epoll1, epoll1, name, ids)
#define WITH_EPOLL2(name, ids) SUITE_CASE(epoll2, epoll2, name, ids)
#define WITH_EPOLL8(name, ids) SUITE_CASE(epoll8, epoll8, name, ids)

SUITE_EXECUTOR_WORKERS(WITH_NONE1)
SUITE_SHUTDOWN(WITH_NONE1)
SUITE_EXECUTOR_WORKERS(WITH_NONE2)
SUITE_SHUTDOWN(WITH_NONE2)
SUITE_EXECUTOR_WORKERS(WITH_NONE8)
SUITE_SHUTDOWN(WITH_NONE8)
SUITE_EXECUTOR_WORKERS(WITH_EPOLL1)
SUITE_SHUTDOWN(WITH_EPOLL1)
SUITE_EXECUTOR_WORKERS(WITH_EPOLL2)
SUITE_SHUTDOWN(WITH_EPOLL2)
SUITE_EXECUTOR_WORKERS(WITH_EPOLL8)
SUITE_SHUTDOWN(WITH_EPOLL8)
