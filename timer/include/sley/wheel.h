/* Hierarchical timer wheel over any clock: the caller says what time it is. No threads, no heap, no system calls.
 * For tasks that sleep see <sley/timer.h> in task/; this is the structure below it, usable on its own. */
#ifndef SLEY_WHEEL_H
#define SLEY_WHEEL_H

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

/**
 * One timer: intrusive, in the caller's object; zeroed means "not armed".
 * Must not move while armed. 24 bytes on 64-bit machines.
 */
struct sley_wheel_node {
    struct sley_wheel_node *next; /* private */
    struct sley_wheel_node *prev; /* private */
    uint64_t deadline_ns;         /* set by sley_wheel_insert; readable at any time */
};

SLEY_EXTERN_C_END
#endif
