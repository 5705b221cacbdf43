/* A runtime inside the application's own event loop: the interface between the runtime and the reactor that knows the loop. */
#ifndef SLEY_ATTACH_H
#define SLEY_ATTACH_H

#include <sley/reactor_impl.h>

SLEY_EXTERN_C_BEGIN

enum { SLEY_ATTACH_VERSION = 1 };

/** What the loop drives: one worker. The runtime makes it; its functions are called on the loop's thread. */
struct sley_driven {
    /**
     * Runs ready tasks for a short time. `*ret_next_ns`: when to call it again at the latest (CLOCK_MONOTONIC; SLEY_NEVER: not before
     * there is something to do). Returns: 0; 1 when more is ready now; a negative errno when another thread drives: call it again.
     */
    int (*turn)(struct sley_driven *self, uint64_t *ret_next_ns);
    /** Is any task left? */
    bool (*live)(struct sley_driven *self);
};

/** What a kind of loop implements. Instances are static const. */
struct sley_attach_ops {
    uint32_t version; /**< SLEY_ATTACH_VERSION */
    /** Makes the reactor; `loop` of its options is the loop. */
    const struct sley_reactor_factory *factory;
    /** From now on the loop turns @p driven, which outlives the reactor, whenever there is something to do. Thread: owner. */
    void (*drive)(struct sley_reactor *self, struct sley_driven *driven);
    /**
     * Something may have been spawned, or somebody else has driven: the loop stays alive until its next turn, which comes soon.
     * Thread: any; elsewhere than on the loop's it does nothing, for what is posted there wakes the loop anyway.
     */
    void (*again)(struct sley_reactor *self);
    /** Is the loop in one of its callbacks, as far as is known, so that it must not be turned from here? Thread: owner. */
    bool (*inside)(struct sley_reactor *self);
    /* since version 2 */
};

/** A loop to live in, for `attach` of the runtime's options; functions such as sley_reactor_uv_attach make it. Zeroed: none. */
struct sley_attach {
    const struct sley_attach_ops *ops;
    void *loop;
};

SLEY_EXTERN_C_END
#endif
