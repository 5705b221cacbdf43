/* A reactor that a worker has for itself, where workers share tasks: who is inside, and what is sent to it. Private to reactor/; rules:
 * served.c. */
#ifndef SLEY_REACTOR_SERVED_H
#define SLEY_REACTOR_SERVED_H

#include <sley/group_impl.h>
#include <sley/reactor_impl.h>

/** What this thread serves for another worker just now; NULL: nothing. */
extern SLEY__TLS struct sley_reactor *sley__served;

/** Whose ops this thread starts when it is in no task: the served one's, or its own's. */
SLEY_INLINE struct sley_reactor *sley__here(const struct sley_sched *s)
{
    return SLEY_UNLIKELY(sley__served != NULL) ? sley__served : s->reactor;
}

enum { SLEY__DOOR_WANTED = 2 }; /* in `held`: its worker waits to come in */

/** Thread: its worker. */
SLEY_INLINE bool sley__door_held(const struct sley_reactor *r)
{
    /* relaxed: this thread's own word */
    return atomic_load_explicit(&r->box.door.held, memory_order_relaxed) == 1;
}

/** Is this thread, which is in no task, inside @p r, which is its own, or served by it? Always, where nobody serves. */
SLEY_INLINE bool sley__inside(const struct sley_reactor *r)
{
    return !r->box.door.plain || r == sley__served || sley__door_held(r);
}

/** Behind sley__door_own, and what that has said. */
void sley__door_disown(struct sley_reactor *r, bool owned);

/** To @p r, whose @p worker is held: called inside, in no task. Thread: any. */
void sley__mail_send(struct sley_reactor *r, struct sley_sched *worker, struct sley__mail *m);
/** The same; what is this very worker's own arrives at once, if it can. */
void sley__mail_deliver(struct sley_reactor *r, struct sley_sched *worker, struct sley__mail *m);

#endif
