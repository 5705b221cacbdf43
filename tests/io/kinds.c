/* Shared by tests that run on every kind of runtime; see kinds.h. */
#include "kinds.h"

#define WITH_REACTOR                                                                               \
    {"local", "epoll", 1}, {"local", "poll", 1}, {"shares", "epoll", 1}, {"cores", "epoll", 2}, {"cores", "poll", 2}, \
        {"stealing", "epoll", 1}, {"stealing", "epoll", 3}

const struct kind kinds[] = {WITH_REACTOR, {"local", "none", 1}, {"cores", "none", 2}, {"stealing", "none", 2}, {NULL, NULL, 0}};
const struct kind kinds_with_reactor[] = {WITH_REACTOR, {NULL, NULL, 0}};

void kind_start(struct sley_runtime *rt, const struct kind *k)
{
    const struct sley_runtime_opts o = {
        .alloc = harness_alloc(),
        .executor_name = k->executor,
        .reactor_name = k->reactor,
        .worker_count = k->workers,
        .stall_ns = SLEY_NEVER,
    };
    CHECK_RC(sley_runtime_init(rt, &o), 0);
}

void kind_run(struct sley_runtime *rt, const struct sley_task_type *type, const void *args)
{
    int result = -EIO;
    CHECK_RC(sley_runtime_run(rt, type, args, &result), 0);
    CHECK_RC(result, 0);
}

void kind_end(struct sley_runtime *rt)
{
    CHECK_RC(sley_runtime_stop(rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(rt), 0);
}
