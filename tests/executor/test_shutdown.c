/* How executors end when tasks do not: the suite of stop over each kind. */
#include <stdlib.h>

#include <sley/local.h>
#include <sley/reactor_poll.h>

#include "harness.h"
#include "suite_shutdown.h"

static struct sley_executor *local_create(void)
{
    struct sley_local *local = malloc(sizeof *local);
    CHECK_PTR(local, !=, NULL);
    sley_local_init(local);
    return &local->base;
}

static void local_destroy(struct sley_executor *ex)
{
    free(sley_container_of(ex, struct sley_local, base));
}

static const struct sley_reactor_factory *const epolls[] = {&sley_reactor_epoll, NULL};
static const struct suite_executor local = {"local", local_create, local_destroy, NULL, false, 1};
static const struct suite_executor local_epoll = {"local+epoll", local_create, local_destroy, epolls, true, 1};

#define WITH_LOCAL(name, ids)    \
    SLEY_TEST(local_##name, ids) \
    {                            \
        suite_##name(&local);    \
    }
#define WITH_LOCAL_EPOLL(name, ids)    \
    SLEY_TEST(local_epoll_##name, ids) \
    {                                  \
        suite_##name(&local_epoll);    \
    }

SUITE_SHUTDOWN(WITH_LOCAL)
SUITE_SHUTDOWN(WITH_LOCAL_EPOLL)
