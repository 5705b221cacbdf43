/* Which executor and which reactor the environment names (SLEY_EXECUTOR, SLEY_WORKERS, SLEY_REACTOR), for tests that need no special
 * one; local, and what the test says, without. With the test's allocator and clock, which a runtime's own reading does not offer. */
#ifndef SLEY_TEST_CHOSEN_H
#define SLEY_TEST_CHOSEN_H

#include <stdlib.h>
#include <string.h>

#include <sley/cores.h>
#include <sley/local.h>
#include <sley/reactor_poll.h>
#include <sley/shares.h>
#include <sley/stealing.h>

#ifdef CHOSEN_UV /* it is built */
#include <sley/reactor_uv.h>
#include <uv.h>
#define CHOSEN_UV_FACTORY &sley_reactor_uv
#else
#define CHOSEN_UV_FACTORY NULL
#endif
#ifdef CHOSEN_URING
#include <sley/reactor_uring.h>
#define CHOSEN_URING_FACTORY &sley_reactor_uring
#else
#define CHOSEN_URING_FACTORY NULL
#endif

union chosen_memory {
    struct sley_local local;
    struct sley_shares shares;
    struct sley_cores cores;
    struct sley_stealing stealing;
};

static inline bool chosen_is(const char *variable, const char *value)
{
    const char *text = getenv(variable);
    return text && strcmp(text, value) == 0;
}

static inline bool chosen_any(const char *variable)
{
    const char *text = getenv(variable);
    return text && text[0];
}

static inline uint32_t chosen_workers(void)
{
    return chosen_any("SLEY_WORKERS") ? (uint32_t)strtoul(getenv("SLEY_WORKERS"), NULL, 10) : 0;
}

#ifdef CHOSEN_UV
/* libuv opens a pipe with the first loop of a process and keeps it: before the harness counts descriptors. */
static void __attribute__((constructor)) chosen_settle_libuv(void)
{
    uv_loop_t loop;
    if (chosen_is("SLEY_REACTOR", "uv") && uv_loop_init(&loop) == 0) {
        (void)uv_loop_close(&loop);
    }
}
#endif

/** Readied in @p m; one that the thread that calls drives, where the name is of another kind, too. */
static inline struct sley_executor *chosen_driven(union chosen_memory *m)
{
    if (chosen_is("SLEY_EXECUTOR", "shares")) {
        (void)sley_shares_init(&m->shares, NULL);
        return &m->shares.base;
    }
    sley_local_init(&m->local);
    return &m->local.base;
}

/** Readied in @p m, of any kind. */
static inline struct sley_executor *chosen_executor(union chosen_memory *m)
{
    if (chosen_is("SLEY_EXECUTOR", "cores")) {
        sley_cores_init(&m->cores, NULL);
        return &m->cores.base;
    }
    if (chosen_is("SLEY_EXECUTOR", "stealing")) {
        sley_stealing_init(&m->stealing, NULL);
        return &m->stealing.base;
    }
    return chosen_driven(m);
}

/** The reactor that is named; NULL: none is, or this build has it not. */
static inline const struct sley_reactor_factory *chosen_reactor(void)
{
    static const struct sley_reactor_factory *const all[] = {&sley_reactor_epoll, &sley_reactor_poll2, CHOSEN_UV_FACTORY,
                                                             CHOSEN_URING_FACTORY};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] && chosen_is("SLEY_REACTOR", all[i]->name)) {
            return all[i];
        }
    }
    return NULL;
}

#endif
