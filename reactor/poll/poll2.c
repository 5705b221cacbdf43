/* The poll(2) port: an array of those descriptors that somebody waits for, and a pipe to ring. Level-triggered. */
#include "port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/** entries[0] is the pipe; slot->token is the place of a watched descriptor. */
struct port_poll {
    struct sley__poll core;
    struct pollfd *entries;
    uint32_t count, capacity;
    int ring_out;
};

static struct port_poll *port_of(struct sley__poll *r)
{
    return sley_container_of(r, struct port_poll, core);
}

static int grow(struct port_poll *p)
{
    struct sley_alloc *a = p->core.alloc;
    const uint32_t capacity = p->capacity ? p->capacity * 2 : 32;
    struct pollfd *entries = sley_alloc_get(a, capacity * sizeof *entries, _Alignof(struct pollfd));
    if (!entries) {
        return -ENOMEM;
    }
    if (p->entries) {
        memcpy(entries, p->entries, p->count * sizeof *entries);
        sley_alloc_put(a, p->entries, p->capacity * sizeof *entries);
    }
    p->entries = entries;
    p->capacity = capacity;
    return 0;
}

static int port_open(struct sley__poll *r)
{
    struct port_poll *p = port_of(r);
    int ends[2];
    if (grow(p) < 0) {
        return -ENOMEM;
    }
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        const int rc = -errno;
        sley_alloc_put(r->alloc, p->entries, p->capacity * sizeof *p->entries);
        return rc;
    }
    p->entries[0] = (struct pollfd){.fd = ends[0], .events = POLLIN};
    p->count = 1;
    p->ring_out = ends[1];
    return 0;
}

static void port_close(struct sley__poll *r)
{
    struct port_poll *p = port_of(r);
    (void)close(p->entries[0].fd);
    (void)close(p->ring_out);
    sley_alloc_put(r->alloc, p->entries, p->capacity * sizeof *p->entries);
}

static void entry_remove(struct port_poll *p, struct sley__slot *slot)
{
    const struct pollfd last = p->entries[--p->count];
    p->entries[slot->token] = last;
    sley__poll_slot(&p->core, last.fd)->token = slot->token;
}

static int port_watch(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t interest)
{
    struct port_poll *p = port_of(r);
    if (interest == 0) {
        if (slot->watched) {
            entry_remove(p, slot);
        }
    } else {
        if (!slot->watched) {
            if (p->count == p->capacity && grow(p) < 0) {
                return -ENOMEM;
            }
            slot->token = p->count++;
            p->entries[slot->token] = (struct pollfd){.fd = number};
        }
        p->entries[slot->token].events = (short)(interest & (SLEY_IO_IN | SLEY_IO_OUT));
    }
    slot->watched = (uint8_t)(interest ? interest | SLEY_IO_ERR : 0);
    return 0;
}

static void drain_ring(struct port_poll *p)
{
    char bytes[16];
    (void)!read(p->entries[0].fd, bytes, sizeof bytes); /* one at most is in it */
    sley__poll_woken(&p->core);
}

static int port_wait(struct sley__poll *r, uint64_t timeout_ns)
{
    struct port_poll *p = port_of(r);
    const struct timespec ts = {
        .tv_sec = (time_t)(timeout_ns / SLEY_S),
        .tv_nsec = (long)(timeout_ns % SLEY_S),
    };
    int n = ppoll(p->entries, p->count, timeout_ns == SLEY_NEVER ? NULL : &ts, NULL);
    if (n < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    int seen = 0;
    if (n > 0 && p->entries[0].revents) {
        p->entries[0].revents = 0;
        drain_ring(p);
        n--;
    }
    /* downwards: a removal fills the gap with an entry that has been looked at, or is new; both then report nothing */
    for (uint32_t i = p->count; n > 0 && i-- > 1;) {
        if (i >= p->count || !p->entries[i].revents) {
            continue;
        }
        const struct pollfd e = p->entries[i];
        p->entries[i].revents = 0;
        n--;
        seen++;
        struct sley__slot *slot = sley__poll_slot(r, e.fd);
        if (SLEY_LIKELY(e.revents == POLLIN && slot->usual)) {
            sley__poll_usual(r, slot, e.fd);
        } else {
            sley__poll_event(r, slot, e.fd, (uint32_t)e.revents);
        }
    }
    return seen;
}

static void port_ring(struct sley__poll *r)
{
    const int saved = errno; /* of the code that a signal handler has interrupted */
    (void)!write(port_of(r)->ring_out, "", 1);
    errno = saved;
}

static const struct sley__port port_poll = {
    .ops =
        {
            .version = SLEY_REACTOR_VERSION,
            .caps = SLEY_REACTOR_CAP_READINESS,
            .name = "poll",
            .adopt = sley__poll_adopt,
            .submit = sley__poll_submit,
            .recv = sley__poll_recv,
            .send = sley__poll_send,
            .cancel = sley__poll_cancel,
            .poll = sley__poll_poll,
            .wake = sley__poll_wake,
            .destroy = sley__poll_destroy,
        },
    .bytes = sizeof(struct port_poll),
    .open = port_open,
    .close = port_close,
    .watch = port_watch,
    .wait = port_wait,
    .ring = port_ring,
};

static int create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    return sley__poll_create(&port_poll, o, ret_reactor);
}

const struct sley_reactor_factory sley_reactor_poll2 = {
    .version = SLEY_REACTOR_VERSION,
    .name = "poll",
    .create = create,
};
