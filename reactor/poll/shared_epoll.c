/* The epoll port where several workers share the reactor: the owner writes `events` while it waits, and everybody else keeps away
 * until then. */
#include "epoll.h"

#include <errno.h>

/** Takes no notice of the reports, and has them made again: some may be of lives with the bits of the present ones. */
static void ask_anew(struct sley__epoll *p)
{
    for (int i = 0; i < p->count; i++) {
        struct sley__slot *slot = sley__epoll_slot(&p->events[i]);
        if (slot != &p->bell) {
            p->events[i].data.u64 = (uintptr_t)&p->nobody;
            if (slot->watched) {
                (void)sley__epoll_watch(&p->core, slot, (int)slot->token, slot->watched);
            }
        }
    }
}

void sley__epoll_take(struct sley__poll *r, int count)
{
    struct sley__epoll *p = sley__epoll_of(r);
    p->next = 0;
    p->count = count;
    if (SLEY_UNLIKELY(p->stale)) {
        ask_anew(p);
        p->stale = false;
    }
}

int sley__epoll_next(struct sley__poll *r, bool owner)
{
    struct sley__epoll *p = sley__epoll_of(r);
    if (p->next == p->count) {
        p->next = p->count = 0; /* the array is about to be written without the lock */
        return -EAGAIN;
    }
    sley__epoll_fetch(p, p->next);
    const struct epoll_event *ev = &p->events[p->next++];
    struct sley__slot *slot = sley__epoll_slot(ev);
    if (SLEY_LIKELY(ev->events == EPOLLIN) && SLEY_LIKELY(slot->way == SLEY__WAY_TAKEN)) {
        sley__poll_taken_shared(r, slot); /* a report about an earlier life costs a try, no more */
        return 1;
    }
    if (slot == &p->bell && !owner) {
        r->rung_away = true;
        return 0;
    }
    return sley__epoll_handle(p, ev);
}
