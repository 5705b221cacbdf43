/* The parts that this build knows by name. */
#include "parts.h"

#include <sley/cores.h>
#include <sley/local.h>
#include <sley/reactor_poll.h>
#include <sley/shares.h>
#include <sley/stealing.h>

#ifdef SLEY__WITH_URING
#include <sley/reactor_uring.h>
static const struct sley_reactor_factory *const uring[] = {&sley_reactor_uring, NULL};
static const struct sley_reactor_factory *const uring_msg[] = {&sley_reactor_uring_msg, NULL};
#define URING_NAMED {"uring", uring}, {"uring-msg", uring_msg},
#define URING_FIRST &sley_reactor_uring,
#else
#define URING_NAMED
#define URING_FIRST
#endif
/* who links sley-reactor-uv has it; others are not to load libuv */
SLEY_API extern const struct sley_reactor_factory sley_reactor_uv __attribute__((weak));

/* Of several workers the first that they can share: a worker that is stuck has its descriptors served by others there. */
static const struct sley_reactor_factory *const automatic[] = {URING_FIRST & sley_reactor_epoll, &sley_reactor_poll2, NULL};
static const struct sley_reactor_factory *const epoll[] = {&sley_reactor_epoll, NULL};
static const struct sley_reactor_factory *const poll2[] = {&sley_reactor_poll2, NULL};
static const struct sley_reactor_factory *const uv[] = {&sley_reactor_uv, NULL};

const struct sley__named_reactor sley__reactors[] = {
    {"auto", automatic}, {"epoll", epoll}, {"poll", poll2}, URING_NAMED{"uv", uv}, {"none", NULL}, {NULL, NULL},
};

/* A new executor: its header above, a line here, a line in the table. */
#define READY_local(ex) sley_local_init(ex)
#define READY_cores(ex) sley_cores_init(ex, workers)
#define READY_shares(ex) (void)sley_shares_init(ex, NULL)
#define READY_stealing(ex) sley_stealing_init(ex, workers)
#define EXECUTOR(kind)                                                                                               \
    static struct sley_executor *kind(struct sley__executor_memory *memory, const struct sley_workers_opts *workers) \
    {                                                                                                                \
        struct sley_##kind *ex = (void *)memory->words;                                                              \
        SLEY_STATIC_ASSERT(sizeof *ex <= sizeof memory->words, "it fits into a runtime");                            \
        SLEY_STATIC_ASSERT(_Alignof(struct sley_##kind) <= _Alignof(void *), "it may stand there");                  \
        (void)workers;                                                                                               \
        READY_##kind(ex);                                                                                            \
        return &ex->base;                                                                                            \
    }
EXECUTOR(local)
EXECUTOR(cores)
EXECUTOR(shares)
EXECUTOR(stealing)

const struct sley__named_executor sley__executors[] = {
    {"local", true, false, local},       {"cores", false, true, cores}, {"shares", true, false, shares},
    {"stealing", false, true, stealing}, {NULL, false, false, NULL},
};
