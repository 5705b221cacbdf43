/* For implementers: a reactor that a worker has for itself, where workers share tasks, and that others serve while its worker is in a task
 * for long. What it is for executors: <sley/drive_impl.h>; rules: reactor/served.c. */
#ifndef SLEY_SERVED_IMPL_H
#define SLEY_SERVED_IMPL_H

#include <sley/group_impl.h>

SLEY_EXTERN_C_BEGIN

/* A reactor that has `serve` without SLEY_REACTOR_CAP_SHARED promises that another thread may look in its owner's place, and start and
 * cancel ops, while the owner is kept outside. `serve` then does what poll does with a timeout of 0, on such a thread. A wake may be
 * taken by that, for the owner looks once more before it waits. */

/** A reactor's, private. Zeroed: nobody serves it, and nobody asks. */
struct sley__box {
    struct sley_door door; /* its worker's; others are those that serve */
    SLEY_ATOMIC(struct sley_post *) mail;
    SLEY_ATOMIC(bool) mail_sent;         /* mail_post is on its way to the worker */
    bool served, was_served;             /* by another worker: just now; since its own has polled last */
    bool (*own)(struct sley_reactor *r); /* sley__door_own, for who ends it; NULL: there is no door */
    struct sley_post mail_post;
};

/** Private: comes in, unless the thread is inside. Returns: whether it is to be left again. Thread: its worker. */
SLEY_API bool sley__door_own(struct sley_reactor *r);

SLEY_EXTERN_C_END
#endif
