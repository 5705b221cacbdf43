/* The executor of one local per core under the suite of all executors: with each way to park, with one worker and with several. */
#include <stdlib.h>

#include <sley/cores.h>
#include <sley/reactor_poll.h>

#include "harness.h"
#include "suite.h"
#include "suite_shutdown.h"

static struct sley_executor *create(void)
{
    struct sley_cores *cores = malloc(sizeof *cores);
    CHECK_PTR(cores, !=, NULL);
    sley_cores_init(cores, NULL);
    return &cores->base;
}

static struct sley_executor *create_pinned(void)
{
    struct sley_cores *cores = malloc(sizeof *cores);
    CHECK_PTR(cores, !=, NULL);
    sley_cores_init(cores, &(struct sley_cores_opts){.placement = SLEY_PLACEMENT_SPREAD});
    return &cores->base;
}

static void destroy(struct sley_executor *ex)
{
    free(sley_container_of(ex, struct sley_cores, base));
}

static const struct sley_reactor_factory *const epolls[] = {&sley_reactor_epoll, NULL};
static const struct sley_reactor_factory *const polls[] = {&sley_reactor_poll2, NULL};
static const struct suite_executor none = {"cores+none", create, destroy, NULL, false, 3};
static const struct suite_executor epoll = {"cores+epoll", create, destroy, epolls, true, 4};
static const struct suite_executor poll2 = {"cores+poll", create, destroy, polls, true, 2};
static const struct suite_executor pinned = {"cores+epoll, one pinned", create_pinned, destroy, epolls, true, 1};

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
#define WITH_PINNED(name, ids)    \
    SLEY_TEST(pinned_##name, ids) \
    {                             \
        suite_##name(&pinned);    \
    }

SUITE_EXECUTOR_WORKERS(WITH_NONE)
SUITE_SHUTDOWN(WITH_NONE)
SUITE_EXECUTOR_WORKERS(WITH_EPOLL)
SUITE_SHUTDOWN(WITH_EPOLL)
SUITE_EXECUTOR_WORKERS(WITH_POLL)
SUITE_SHUTDOWN(WITH_POLL)
SUITE_EXECUTOR_WORKERS(WITH_PINNED)
SUITE_SHUTDOWN(WITH_PINNED)
