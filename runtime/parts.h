/* The parts that this build knows by name. */
#ifndef SLEY_RUNTIME_PARTS_H
#define SLEY_RUNTIME_PARTS_H

#include <sley/placement.h>
#include <sley/runtime.h>

struct sley__named_reactor {
    const char *name;
    const struct sley_reactor_factory *const *factories; /* NULL-terminated, best first; empty: not linked; NULL: no I/O */
};

struct sley__named_executor {
    const char *name;
    bool is_single; /* one worker, no more */
    bool is_placed; /* its workers run where the option `placement` says */
    /** Readies one in the runtime's memory; what it needs more it allocates when it starts. */
    struct sley_executor *(*init)(struct sley__executor_memory *memory, const struct sley_workers_opts *workers);
};

extern const struct sley__named_reactor sley__reactors[];   /* ends with a NULL name; the first is the default */
extern const struct sley__named_executor sley__executors[]; /* the same */

/* attach.c: a runtime in a foreign loop; all but the first do nothing when there is none */

/** Can @p ex live in the loop that is asked for? Returns: 0; -EINVAL, and the reason is in the error text. */
int sley__attach_check(const struct sley_runtime_opts *o, const struct sley_executor *ex);
/** The executor has started: the loop begins to drive it. */
void sley__attach_start(struct sley_runtime *rt, const struct sley_attach *attach);
/** May it be driven by hand? Returns: 0; -EDEADLK in a callback of the loop. */
int sley__attach_may_run(const struct sley_runtime *rt);
/** It has been driven by hand, or something was spawned. */
void sley__attach_again(const struct sley_runtime *rt);

#endif
