/* The work-stealing executor under the suites of all executors: one worker, two and eight, without a reactor and on epoll. */
#include <stdlib.h>

#include <sley/reactor_poll.h>
#include <sley/stealing.h>

#include "harness.h"
#include "suite.h"
#include "suite_shutdown.h"

static struct sley_executor *create(void)
{
    struct sley_stealing *stealing = malloc(sizeof *stealing);
    CHECK_PTR(stealing, !=, NULL);
    sley_stealing_init(stealing);
    return &stealing->base;
}

static void destroy(struct sley_executor *ex)
{
    free(sley_container_of(ex, struct sley_stealing, base));
}

static const struct sley_reactor_factory *const epolls[] = {&sley_reactor_epoll, NULL};
static const struct suite_executor none1 = {"stealing+none, one worker", create, destroy, NULL, false, 1};
static const struct suite_executor none2 = {"stealing+none, two", create, destroy, NULL, false, 2};
static const struct suite_executor none8 = {"stealing+none, eight", create, destroy, NULL, false, 8};
static const struct suite_executor epoll1 = {"stealing+epoll, one worker", create, destroy, epolls, true, 1};
static const struct suite_executor epoll2 = {"stealing+epoll, two", create, destroy, epolls, true, 2};
static const struct suite_executor epoll8 = {"stealing+epoll, eight", create, destroy, epolls, true, 8};

#define WITH_NONE1(name, ids)    \
    SLEY_TEST(none1_##name, ids) \
    {                            \
        suite_##name(&none1);    \
    }
#define WITH_NONE2(name, ids)    \
    SLEY_TEST(none2_##name, ids) \
    {                            \
        suite_##name(&none2);    \
    }
#define WITH_NONE8(name, ids)    \
    SLEY_TEST(none8_##name, ids) \
    {                            \
        suite_##name(&none8);    \
    }
#define WITH_EPOLL1(name, ids)    \
    SLEY_TEST(epoll1_##name, ids) \
    {                             \
        suite_##name(&epoll1);    \
    }
#define WITH_EPOLL2(name, ids)    \
    SLEY_TEST(epoll2_##name, ids) \
    {                             \
        suite_##name(&epoll2);    \
    }
#define WITH_EPOLL8(name, ids)    \
    SLEY_TEST(epoll8_##name, ids) \
    {                             \
        suite_##name(&epoll8);    \
    }

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
