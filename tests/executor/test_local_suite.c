/* The local executor under the suite of all executors, with each way to park. */
#include <stdlib.h>

#include <sley/local.h>
#include <sley/reactor_poll.h>

#include "harness.h"
#include "suite.h"

static struct sley_executor *create(void)
{
    struct sley_local *local = malloc(sizeof *local);
    CHECK_PTR(local, !=, NULL);
    sley_local_init(local);
    return &local->base;
}

static void destroy(struct sley_executor *ex)
{
    free(sley_container_of(ex, struct sley_local, base));
}

static const struct sley_reactor_factory *const epolls[] = {&sley_reactor_epoll, NULL};
static const struct sley_reactor_factory *const polls[] = {&sley_reactor_poll2, NULL};
static const struct suite_executor none = {"local+none", create, destroy, NULL, false, 1};
static const struct suite_executor epoll = {"local+epoll", create, destroy, epolls, true, 1};
static const struct suite_executor poll2 = {"local+poll", create, destroy, polls, true, 1};

#define WITH_NONE(name, ids)    \
    SLEY_TEST(none_##name, ids) \
    {                           \
        suite_##name(&none);    \
    }
#define WITH_EPOLL(name, ids)    \
    SLEY_TEST(epoll_##name, ids) \
    {                            \
        suite_##name(&epoll);    \
    }
#define WITH_POLL(name, ids)    \
    SLEY_TEST(poll_##name, ids) \
    {                           \
        suite_##name(&poll2);   \
    }

SUITE_EXECUTOR(WITH_NONE)
SUITE_EXECUTOR(WITH_EPOLL)
SUITE_EXECUTOR(WITH_POLL)
