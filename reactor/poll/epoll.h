/* The epoll port's state, and what its way for several workers (shared_epoll.c) shares with the usual one (epoll.c). */
#ifndef SLEY_REACTOR_POLL_EPOLL_H
#define SLEY_REACTOR_POLL_EPOLL_H

#include <sys/epoll.h>

#include <sley/reactor_port_impl.h>

/* Events taken at a time: enough that the wait's own cost is lost among the reads that follow, and few enough that timers and
 * other threads' posts wait for no more than about a millisecond of them. 3 KiB. */
enum { SLEY__EPOLL_EVENTS = 256 };

/* A report is a slot's address and, in the bits below it, the number of the watch, from the marks: it may come late. */
enum { SLEY__EPOLL_LIFE_MASK = 15 };

struct sley__epoll {
    struct sley__poll core;
    int epoll, ring;
    int next, count;          /* events taken and not handled yet: [next, count) */
    bool stale;               /* a slot's lives have come round while nobody could look at its reports: they are asked for anew */
    bool coarse;              /* no epoll_pwait2 here: timeouts in milliseconds, rounded up */
    struct sley__slot bell;   /* the ring's */
    struct sley__slot nobody; /* of reports that concern nobody any more */
    struct epoll_event events[SLEY__EPOLL_EVENTS];
};

SLEY_INLINE struct sley__epoll *sley__epoll_of(struct sley__poll *r)
{
    return sley_container_of(r, struct sley__epoll, core);
}

SLEY_INLINE uint64_t sley__epoll_report(const struct sley__slot *slot)
{
    return (uintptr_t)slot | slot->marks / SLEY__SLOT_LIFE;
}

SLEY_INLINE struct sley__slot *sley__epoll_slot(const struct epoll_event *ev)
{
    return (struct sley__slot *)(uintptr_t)(ev->data.u64 & ~(uint64_t)SLEY__EPOLL_LIFE_MASK);
}

/* With more ops than this waiting, what a report is about is in no cache: its slot is fetched some reports ahead, then its op. */
enum { SLEY__EPOLL_MANY = 128, SLEY__EPOLL_SLOT_SOON = 8, SLEY__EPOLL_OP_SOON = 4 };

/** Report @p at is about to be handled. */
SLEY_INLINE void sley__epoll_fetch(const struct sley__epoll *p, int at)
{
    if (p->core.base.armed_count > SLEY__EPOLL_MANY && at + SLEY__EPOLL_SLOT_SOON < p->count) {
        __builtin_prefetch(sley__epoll_slot(&p->events[at + SLEY__EPOLL_SLOT_SOON]), 1);
        const uintptr_t op = (uintptr_t)sley__epoll_slot(&p->events[at + SLEY__EPOLL_OP_SOON])->read; /* or 0, which is as good */
        __builtin_prefetch((const void *)op, 1);
        __builtin_prefetch((const void *)(op + 64), 1);
    }
}

/* epoll.c */
int sley__epoll_watch(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t interest);
int sley__epoll_ask(struct sley__poll *r, uint64_t timeout_ns);              /* asks for events. Returns: how many; a negative errno */
int sley__epoll_handle(struct sley__epoll *p, const struct epoll_event *ev); /* Returns: 1; 0 when it was no event */

/* shared_epoll.c: slots of struct sley__port */
void sley__epoll_take(struct sley__poll *r, int count);
int sley__epoll_next(struct sley__poll *r, bool owner);

#endif
