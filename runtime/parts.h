/* The parts that this build knows by name. */
#ifndef SLEY_RUNTIME_PARTS_H
#define SLEY_RUNTIME_PARTS_H

#include <sley/reactor_impl.h>

struct sley__named_reactor {
    const char *name;
    const struct sley_reactor_factory *const *factories; /* NULL-terminated, best first; NULL: no I/O */
};

extern const struct sley__named_reactor sley__reactors[]; /* ends with a NULL name; the first is the default */
extern const char *const sley__executors[];               /* ends with NULL; the first is the default */

#endif
