/* Who waits at an object of this room, oldest first, and who has been served and is to be completed: two queues of one kind. Private
 * to sync/.
 *
 * The object's lock covers its queue. Whoever is served is taken out of it, into a queue that the holder of the lock has on its stack,
 * and is completed when the lock is free again: a woken task may call the object, from inside its wake even. */
#ifndef SLEY_SYNC_WAITERS_H
#define SLEY_SYNC_WAITERS_H

#include <sley/sync_impl.h>

SLEY_INLINE void sley__waiters_link(struct sley__waiters *q, struct sley__waiter *w)
{
    w->next = NULL;
    if (q->tail) {
        q->tail->next = w;
    } else {
        q->head = w;
    }
    q->tail = w;
}

/** Queues who is armed: from now on others may serve it. */
SLEY_INLINE void sley__waiters_put(struct sley__waiters *q, struct sley__waiter *w)
{
    w->prev = q->tail;
    w->queued = 1;
    sley__waiters_link(q, w);
}

SLEY_INLINE void sley__waiters_remove(struct sley__waiters *q, struct sley__waiter *w)
{
    if (w->prev) {
        w->prev->next = w->next;
    } else {
        q->head = w->next;
    }
    if (w->next) {
        w->next->prev = w->prev;
    } else {
        q->tail = w->prev;
    }
    w->queued = 0;
}

/** Takes @p w out of @p q, to be completed with @p verdict. A cancel serves, too, if it finds `queued`. */
SLEY_INLINE void sley__waiters_serve(struct sley__waiters *q, struct sley__waiter *w, int verdict, struct sley__waiters *served)
{
    sley__waiters_remove(q, w);
    w->verdict = (int16_t)verdict;
    sley__waiters_link(served, w);
}

SLEY_INLINE void sley__waiters_serve_all(struct sley__waiters *q, int verdict, struct sley__waiters *served)
{
    while (q->head) {
        sley__waiters_serve(q, q->head, verdict, served);
    }
}

/** Without the lock. @p complete is sley_wait_complete, or sley_wait_complete_signal where a handler may be who serves. */
SLEY_INLINE void sley__waiters_complete(const struct sley__waiters *served, void (*complete)(struct sley_wait *w, int32_t result))
{
    for (struct sley__waiter *w = served->head; w;) {
        struct sley__waiter *next = w->next; /* once completed, the op is gone */
        complete(&w->wait, w->verdict);
        w = next;
    }
}

#endif
