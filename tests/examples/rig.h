/* Runs a task as a program would, on a clock that jumps to the next deadline when everything is idle; while descriptors are
 * waited for, it moves by rig_advance alone. */
#ifndef TESTS_EXAMPLES_RIG_H
#define TESTS_EXAMPLES_RIG_H

#include "chosen.h"
#include "harness.h"

#include <sley/sley.h>

struct rig {
    struct sley_clock clock;
    uint64_t now_ns;
    struct sley_runtime rt;
};

static struct rig rig;

static inline uint64_t rig_now(struct sley_clock *self)
{
    return sley_container_of(self, struct rig, clock)->now_ns;
}

static inline void rig_idle(struct sley_clock *self, uint64_t next_ns)
{
    struct rig *r = sley_container_of(self, struct rig, clock);
    r->now_ns = next_ns > r->now_ns ? next_ns : r->now_ns;
}

static inline void rig_advance(uint64_t ns)
{
    rig.now_ns += ns;
}

/**
 * Runs @p type to its end on a fresh runtime and ends that; returns what the task returned, writes how long it took. The runtime is
 * local, or the executor with one thread that SLEY_EXECUTOR names, on @p reactor, or the one that SLEY_REACTOR names.
 */
static inline int rig_run(const char *reactor, const struct sley_task_type *type, const void *args, uint64_t *ret_took_ns)
{
    char why[256];
    rig = (struct rig){.clock = {rig_now, rig_idle}, .now_ns = SLEY_S};
    const struct sley_runtime_opts opts = {
        .executor_name = chosen_is("SLEY_EXECUTOR", "shares") ? "shares" : "local",
        .worker_count = 1,
        .reactor_name = chosen_reactor() ? chosen_reactor()->name : reactor,
        .clock = &rig.clock,
        .alloc = harness_alloc(),
        .ret_error = why,
        .error_bytes = sizeof why,
    };
    int result = -1;
    CHECK_RC(sley_runtime_init(&rig.rt, &opts), 0);
    CHECK_RC(sley_runtime_run(&rig.rt, type, args, &result), 0);
    if (ret_took_ns) {
        *ret_took_ns = rig.now_ns - SLEY_S;
    }
    CHECK_RC(sley_runtime_stop(&rig.rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rig.rt), 0);
    return result;
}

#endif
