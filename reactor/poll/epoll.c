/* The epoll port: edge-triggered; a descriptor is registered when an op first has to wait on it. */
#include "port.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Events taken at a time: enough that the wait's own cost is lost among the reads that follow, and few enough that timers and
 * other threads' posts wait for no more than about a millisecond of them. 3 KiB. */
enum { EVENT_COUNT = 256 };

/* Events handled in one call of poll; the rest waits for the next, without a system call. What a message has brought into the
 * cache is still there when its task answers, and no task waits for the reads of hundreds of others. */
enum { EVENT_SHARE = 64 };

/* A report is a slot's address and, in the bits below it, the number of the watch, from the marks: it may come late. */
enum { LIFE_MASK = 15 };

struct port_epoll {
    struct sley__poll core;
    int epoll, ring;
    int next, count; /* events taken and not handled yet: [next, count) */
    bool stale; /* a slot's lives have come round while nobody could look at its reports: they are asked for anew */
    bool coarse; /* no epoll_pwait2 here: timeouts in milliseconds, rounded up */
    struct sley__slot bell;   /* the ring's */
    struct sley__slot nobody; /* of reports that concern nobody any more */
    struct epoll_event events[EVENT_COUNT];
};

static struct port_epoll *port_of(struct sley__poll *r)
{
    return sley_container_of(r, struct port_epoll, core);
}

static uint64_t report_of(const struct sley__slot *slot)
{
    return (uintptr_t)slot | slot->marks / SLEY__SLOT_LIFE;
}

static struct sley__slot *slot_of(const struct epoll_event *ev)
{
    return (struct sley__slot *)(uintptr_t)(ev->data.u64 & ~(uint64_t)LIFE_MASK);
}

/** What is reported of @p slot from now on is of another watch. */
static void end_life(struct port_epoll *p, struct sley__slot *slot)
{
    slot->marks = (uint8_t)(slot->marks + SLEY__SLOT_LIFE);
    p->stale |= slot->marks < SLEY__SLOT_LIFE && p->core.base.waiting;
    /* a report not handled yet might be of the life that had these bits before */
    for (int i = 0; slot->marks < SLEY__SLOT_LIFE && i < p->count; i++) {
        if (slot_of(&p->events[i]) == slot) {
            p->events[i].data.u64 = (uintptr_t)&p->nobody;
        }
    }
}

static int port_open(struct sley__poll *r)
{
    struct port_epoll *p = port_of(r);
    p->nobody.marks = SLEY__SLOT_LIFE; /* no report has this */
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll < 0) {
        return errno == ENOSYS ? -ENOTSUP : -errno;
    }
    int rc = 0;
    p->ring = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->ring < 0) {
        rc = -errno;
    } else {
        /* edge-triggered: each write is an event of its own, and nobody needs to read the counter back */
        struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = report_of(&p->bell)};
        if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->ring, &ev) < 0) {
            rc = -errno;
            (void)close(p->ring);
        }
    }
    if (rc < 0) {
        (void)close(p->epoll);
    }
    return rc;
}

static void port_close(struct sley__poll *r)
{
    (void)close(port_of(r)->ring);
    (void)close(port_of(r)->epoll);
}

static int port_watch(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t interest)
{
    const int epoll = port_of(r)->epoll;
    if (interest == 0) {
        end_life(port_of(r), slot);
    }
    slot->token = (uint32_t)number;
    struct epoll_event ev = {
        .events = (uint32_t)EPOLLET | (interest & SLEY_IO_IN ? EPOLLIN | EPOLLPRI | EPOLLRDHUP : 0u) |
                  (interest & SLEY_IO_OUT ? EPOLLOUT : 0u),
        .data.u64 = report_of(slot),
    };
    int how = EPOLL_CTL_DEL;
    if (interest != 0) {
        how = slot->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    }
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
static int wait_ms(struct port_epoll *p, uint64_t timeout_ns)
{
    const uint64_t ms = timeout_ns / SLEY_MS + (timeout_ns % SLEY_MS != 0);
    return epoll_wait(p->epoll, p->events, EVENT_COUNT, ms < INT32_MAX ? (int)ms : INT32_MAX);
}

static int wait_ns(struct port_epoll *p, uint64_t timeout_ns)
{
    if (!p->coarse) {
        const struct {
            int64_t sec, nsec;
        } ts = {(int64_t)(timeout_ns / SLEY_S), (int64_t)(timeout_ns % SLEY_S)};
        const long n = syscall(SYS_epoll_pwait2, p->epoll, p->events, EVENT_COUNT, &ts, NULL, 0);
        if (n >= 0 || errno != ENOSYS) {
            return (int)n;
        }
        p->coarse = true;
    }
    return wait_ms(p, timeout_ns);
}

/** Asks for events. Returns: how many; a negative errno. */
static int ask_events(struct port_epoll *p, uint64_t timeout_ns)
{
    int n;
    if (timeout_ns == 0 || timeout_ns == SLEY_NEVER) {
        n = epoll_wait(p->epoll, p->events, EVENT_COUNT, timeout_ns == 0 ? 0 : -1);
    } else {
        n = wait_ns(p, timeout_ns);
    }
    return n >= 0 ? n : errno == EINTR ? 0 : -errno;
}

/** All but the usual. Returns: 1; 0 when it was no event. */
static SLEY_NOINLINE int handle(struct port_epoll *p, const struct epoll_event *ev)
{
    struct sley__slot *slot = slot_of(ev);
    if (slot == &p->bell) {
        sley__poll_woken(&p->core);
        return 0;
    }
    if (ev->data.u64 != report_of(slot)) {
        return 0;
    }
    sley__poll_event(&p->core, slot, (int)slot->token, ev->events);
    return 1;
}

static int port_wait(struct sley__poll *r, uint64_t timeout_ns)
{
    struct port_epoll *p = port_of(r);
    if (p->next == p->count) {
        const int count = ask_events(p, timeout_ns);
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
        struct sley__slot *slot = slot_of(ev);
        if (SLEY_LIKELY(ev->events == EPOLLIN) && SLEY_LIKELY(slot->way == SLEY__WAY_TAKEN)) {
            sley__poll_taken(r, slot); /* a report about an earlier life costs a try, no more */
        } else {
            seen -= 1 - handle(p, ev);
        }
    }
    return seen;
}

/* ---- for several workers: the owner writes `events` while it waits, everybody else keeps away until then ------------ */

static int port_ask(struct sley__poll *r, uint64_t timeout_ns)
{
    return ask_events(port_of(r), timeout_ns);
}

/** Takes no notice of the reports, and has them made again: some may be of lives with the bits of the present ones. */
static void ask_anew(struct port_epoll *p)
{
    for (int i = 0; i < p->count; i++) {
        struct sley__slot *slot = slot_of(&p->events[i]);
        if (slot != &p->bell) {
            p->events[i].data.u64 = (uintptr_t)&p->nobody;
            if (slot->watched) {
                (void)port_watch(&p->core, slot, (int)slot->token, slot->watched);
            }
        }
    }
}

static void port_take(struct sley__poll *r, int count)
{
    struct port_epoll *p = port_of(r);
    p->next = 0;
    p->count = count;
    if (SLEY_UNLIKELY(p->stale)) {
        ask_anew(p);
        p->stale = false;
    }
}

static int port_next(struct sley__poll *r, bool owner)
{
    struct port_epoll *p = port_of(r);
    if (p->next == p->count) {
        p->next = p->count = 0; /* the array is about to be written without the lock */
        return -EAGAIN;
    }
    const struct epoll_event *ev = &p->events[p->next++];
    if (slot_of(ev) == &p->bell && !owner) {
        r->rung_away = true;
        return 0;
    }
    return handle(p, ev);
}

static void port_ring(struct sley__poll *r)
{
    const int saved = errno; /* of the code that a signal handler has interrupted */
    const uint64_t one = 1;
    (void)!write(port_of(r)->ring, &one, sizeof one); /* the counter holds more rings than there will ever be */
    errno = saved;
}

static int pollable_fd(struct sley_reactor *self)
{
    return port_of(sley_container_of(self, struct sley__poll, base))->epoll;
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
    .bytes = sizeof(struct port_epoll),
    .edge = true,
    .open = port_open,
    .close = port_close,
    .watch = port_watch,
    .wait = port_wait,
    .ask = port_ask,
    .take = port_take,
    .next = port_next,
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
