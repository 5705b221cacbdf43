/* The epoll port: edge-triggered; a descriptor is registered when an op first has to wait on it. */
#include "epoll.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Events handled in one call of poll; the rest waits for the next, without a system call. What a message has brought into the
 * cache is still there when its task answers, and no task waits for the reads of hundreds of others. */
enum { EVENT_SHARE = 64 };

/** What is reported of @p slot from now on is of another watch. */
static void end_life(struct sley__epoll *p, struct sley__slot *slot)
{
    slot->marks = (uint8_t)(slot->marks + SLEY__SLOT_LIFE);
    p->stale |= slot->marks < SLEY__SLOT_LIFE && p->core.base.waiting;
    /* a report not handled yet might be of the life that had these bits before */
    for (int i = 0; slot->marks < SLEY__SLOT_LIFE && i < p->count; i++) {
        if (sley__epoll_slot(&p->events[i]) == slot) {
            p->events[i].data.u64 = (uintptr_t)&p->nobody;
        }
    }
}

static int port_open(struct sley__poll *r)
{
    struct sley__epoll *p = sley__epoll_of(r);
    p->nobody.marks = SLEY__SLOT_LIFE; /* no report has this */
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll < 0) {
        return errno == ENOSYS ? -ENOTSUP : -errno;
    }
    p->ring = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* edge-triggered: each write is an event of its own, and nobody needs to read the counter back */
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = sley__epoll_report(&p->bell)};
    if (p->ring >= 0 && epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->ring, &ev) == 0) {
        return 0;
    }
    const int rc = -errno;
    if (p->ring >= 0) {
        (void)close(p->ring);
    }
    (void)close(p->epoll);
    return rc;
}

static void port_close(struct sley__poll *r)
{
    (void)close(sley__epoll_of(r)->ring);
    (void)close(sley__epoll_of(r)->epoll);
}

int sley__epoll_watch(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t interest)
{
    const int epoll = sley__epoll_of(r)->epoll;
    if (interest == 0) {
        end_life(sley__epoll_of(r), slot);
    }
    slot->token = (uint32_t)number;
    struct epoll_event ev = {
        .events = (uint32_t)EPOLLET | (interest & SLEY_IO_IN ? EPOLLIN | EPOLLPRI | EPOLLRDHUP : 0u) |
                  (interest & SLEY_IO_OUT ? EPOLLOUT : 0u),
        .data.u64 = sley__epoll_report(slot),
    };
    const int how = !interest ? EPOLL_CTL_DEL : slot->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int rc = epoll_ctl(epoll, how, number, &ev);
    if (rc < 0 && how == EPOLL_CTL_ADD && errno == EEXIST) {
        rc = epoll_ctl(epoll, EPOLL_CTL_MOD, number, &ev); /* a sley_fd of the same descriptor has been forgotten */
    } else if (rc < 0 && how == EPOLL_CTL_MOD && errno == ENOENT) {
        rc = epoll_ctl(epoll, EPOLL_CTL_ADD, number, &ev); /* the number was closed and reused behind its sley_fd */
    }
    if (rc < 0 && interest != 0) {
        return -errno;
    }
    slot->watched = (uint8_t)(interest ? interest | SLEY_IO_ERR : 0);
    return 0;
}

/** @p timeout_ns rounded up: never early. */
static int wait_ms(struct sley__epoll *p, uint64_t timeout_ns)
{
    const uint64_t ms = timeout_ns / SLEY_MS + (timeout_ns % SLEY_MS != 0);
    return epoll_wait(p->epoll, p->events, SLEY__EPOLL_EVENTS, ms < INT32_MAX ? (int)ms : INT32_MAX);
}

static int wait_ns(struct sley__epoll *p, uint64_t timeout_ns)
{
    if (!p->coarse) {
        const struct {
            int64_t sec, nsec;
        } ts = {(int64_t)(timeout_ns / SLEY_S), (int64_t)(timeout_ns % SLEY_S)};
        const long n = syscall(SYS_epoll_pwait2, p->epoll, p->events, SLEY__EPOLL_EVENTS, &ts, NULL, 0);
        if (n >= 0 || errno != ENOSYS) {
            return (int)n;
        }
        p->coarse = true;
    }
    return wait_ms(p, timeout_ns);
}

int sley__epoll_ask(struct sley__poll *r, uint64_t timeout_ns)
{
    struct sley__epoll *p = sley__epoll_of(r);
    int n;
    if (timeout_ns == 0 || timeout_ns == SLEY_NEVER) {
        n = epoll_wait(p->epoll, p->events, SLEY__EPOLL_EVENTS, timeout_ns == 0 ? 0 : -1);
    } else {
        n = wait_ns(p, timeout_ns);
    }
    return n >= 0 ? n : errno == EINTR ? 0 : -errno;
}

/* All but the usual. */
SLEY_NOINLINE int sley__epoll_handle(struct sley__epoll *p, const struct epoll_event *ev)
{
    struct sley__slot *slot = sley__epoll_slot(ev);
    if (slot == &p->bell) {
        sley__poll_woken(&p->core);
        return 0;
    }
    if (ev->data.u64 != sley__epoll_report(slot)) {
        return 0;
    }
    sley__poll_event(&p->core, slot, (int)slot->token, ev->events);
    return 1;
}

static int port_wait(struct sley__poll *r, uint64_t timeout_ns)
{
    struct sley__epoll *p = sley__epoll_of(r);
    if (p->next == p->count) {
        const int count = sley__epoll_ask(r, timeout_ns);
        if (count < 0) {
            return count;
        }
        p->next = 0;
        p->count = count;
    }
    const int left = p->count - p->next, share = left < EVENT_SHARE ? left : EVENT_SHARE;
    const struct epoll_event *ev = p->events + p->next, *end = ev + share;
    p->next += share;
    r->base.more = p->next != p->count;
    int seen = share;
    for (; ev != end; ev++) {
        struct sley__slot *slot = sley__epoll_slot(ev);
        sley__epoll_fetch(p, (int)(ev - p->events));
        if (SLEY_LIKELY(ev->events == EPOLLIN) && SLEY_LIKELY(slot->way == SLEY__WAY_TAKEN)) {
            sley__poll_taken(r, slot); /* a report about an earlier life costs a try, no more */
        } else {
            seen -= 1 - sley__epoll_handle(p, ev);
        }
    }
    return seen;
}

static void port_ring(struct sley__poll *r)
{
    const int saved = errno; /* of the code that a signal handler has interrupted */
    const uint64_t one = 1;
    (void)!write(sley__epoll_of(r)->ring, &one, sizeof one); /* the counter holds more rings than there will ever be */
    errno = saved;
}

static int pollable_fd(struct sley_reactor *self)
{
    return sley__epoll_of(sley_container_of(self, struct sley__poll, base))->epoll;
}

static const struct sley__port port_epoll = {
    .ops =
        {
            .version = SLEY_REACTOR_VERSION,
            .caps = SLEY_REACTOR_CAP_READINESS | SLEY_REACTOR_CAP_SHARED,
            .name = "epoll",
            .adopt = sley__poll_adopt,
            .submit = sley__poll_submit,
            .send_on = sley__poll_send_on,
            .cancel = sley__poll_cancel,
            .poll = sley__poll_poll,
            .serve = sley__poll_serve,
            .wake = sley__poll_wake,
            .pollable_fd = pollable_fd,
            .destroy = sley__poll_destroy,
        },
    .bytes = sizeof(struct sley__epoll),
    .edge = true,
    .open = port_open,
    .close = port_close,
    .watch = sley__epoll_watch,
    .wait = port_wait,
    .ask = sley__epoll_ask,
    .take = sley__epoll_take,
    .next = sley__epoll_next,
    .ring = port_ring,
};

static int create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    return sley__poll_create(&port_epoll, o, ret_reactor);
}

const struct sley_reactor_factory sley_reactor_epoll = {
    .version = SLEY_REACTOR_VERSION,
    .name = "epoll",
    .create = create,
};
