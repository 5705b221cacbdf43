/* What the program sley-conformance knows by name. */
#ifndef SLEY_CONFORMANCE_NAMED_H
#define SLEY_CONFORMANCE_NAMED_H

#include <sley/conformance.h>

extern const struct sley_reactor_factory *const named_reactors[]; /* ended by NULL */
/** The last has no name. */
extern const struct sley_conformance_executor named_executors[];

#endif
