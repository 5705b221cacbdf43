/* For executors whose workers share tasks: a worker's reactor, which the others share with it, or serve. */
#ifndef SLEY_DRIVE_IMPL_H
#define SLEY_DRIVE_IMPL_H

#include <sley/reactor_impl.h>

SLEY_EXTERN_C_BEGIN

/**
 * @p r is the reactor of @p worker, one of a group, which is about to begin. Others of the group may serve it then, if they share it or it
 * has `serve`. Thread: owner.
 */
SLEY_API void sley_reactor_join(struct sley_reactor *r, struct sley_sched *worker);
/**
 * Completes, in the place of a worker that is in a task for long, what is ready at its reactor @p r (NULL: nothing), and takes what others
 * have sent there; nothing where that cannot be. Does not wait. Thread: another worker of its group, between tasks.
 */
SLEY_API void sley_reactor_serve(struct sley_reactor *r);

#ifndef __cplusplus

SLEY_API int sley__served_poll(struct sley_reactor *r, uint64_t timeout_ns);

/** As its `poll`. Thread: owner, in no task. */
SLEY_INLINE int sley_reactor_poll(struct sley_reactor *r, uint64_t timeout_ns)
{
    return r->box.door.plain ? sley__served_poll(r, timeout_ns) : r->ops->poll(r, timeout_ns);
}

/** The same without waiting, and only when something is armed. */
SLEY_INLINE void sley_reactor_look(struct sley_reactor *r)
{
    /* relaxed: as in sley_reactor_armed */
    if (r->shared || r->box.door.plain ? atomic_load_explicit(&r->armed_seen, memory_order_relaxed) : r->armed_count) {
        (void)sley_reactor_poll(r, 0);
    }
}

#endif /* !__cplusplus */

SLEY_EXTERN_C_END
#endif
