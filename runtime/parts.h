/* The parts that this build knows by name. */
#ifndef SLEY_RUNTIME_PARTS_H
#define SLEY_RUNTIME_PARTS_H

#include <sley/runtime.h>

struct sley__named_reactor {
    const char *name;
    const struct sley_reactor_factory *const *factories; /* NULL-terminated, best first; NULL: no I/O */
};

struct sley__named_executor {
    const char *name;
    bool is_single; /* one worker, no more */
    /** Readies one in the runtime's memory; what it needs more it allocates when it starts. NULL: the reason is in the error text. */
    struct sley_executor *(*init)(struct sley__executor_memory *memory, const struct sley_runtime_opts *o);
};

extern const struct sley__named_reactor sley__reactors[];   /* ends with a NULL name; the first is the default */
extern const struct sley__named_executor sley__executors[]; /* the same */

/** The option, else the environment, else @p fallback. */
const char *sley__choose(const char *option, const char *variable, const char *fallback);

#endif
