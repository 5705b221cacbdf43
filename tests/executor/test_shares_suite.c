/* The shares executor under the suite of all executors, with each way to park. */
#include <stdlib.h>

#include <sley/reactor_poll.h>
#include <sley/shares.h>

#include "harness.h"
#include "suite.h"
#include "suite_shutdown.h"

static struct sley_executor *create(void)
{
    struct sley_shares *shares = malloc(sizeof *shares);
    CHECK_PTR(shares, !=, NULL);
    CHECK_RC(sley_shares_init(shares, NULL), 0);
    return &shares->base;
}

static void destroy(struct sley_executor *ex)
{
    free(sley_container_of(ex, struct sley_shares, base));
}

static const struct sley_reactor_factory *const epolls[] = {&sley_reactor_epoll, NULL};
static const struct sley_reactor_factory *const polls[] = {&sley_reactor_poll2, NULL};
static const struct suite_executor none = {"shares+none", create, destroy, NULL, false, 1};
static const struct suite_executor epoll = {"shares+epoll", create, destroy, epolls, true, 1};
static const struct suite_executor poll2 = {"shares+poll", create, destroy, polls, true, 1};

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
SUITE_SHUTDOWN(WITH_NONE)
SUITE_EXECUTOR(WITH_EPOLL)
SUITE_SHUTDOWN(WITH_EPOLL)
SUITE_EXECUTOR(WITH_POLL)
SUITE_SHUTDOWN(WITH_POLL)
