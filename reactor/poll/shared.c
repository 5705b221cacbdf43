/* Waiting and serving where several workers share the reactor: who asks the port, and who handles what it reports.
 *
 * The owner waits without the lock; `waiting` says so, and the port's array of reports is the owner's alone then. Reports are
 * handled one by one under the lock, by the owner or by a worker that serves in its place. */
#include <sley/reactor_port_impl.h>

#include <errno.h>

/* Reports handled in one call: as the epoll port's share, for the same reason. */
enum { SHARE = 64 };

void sley__poll_taken_shared(struct sley__poll *r, struct sley__slot *slot)
{
    int32_t n;
    struct sley_io_op *op = sley__poll_receive(r, slot, &n);
    if (SLEY_LIKELY(op != NULL)) {
        sley__reactor_tell(&r->base, op, n);
    }
}

/** Handles what was taken. Lets others in between, and tells whose ops have ended. Returns: how many were events. */
static int handle(struct sley__poll *r, bool owner)
{
    int seen = 0;
    for (int i = 0; i < SHARE; i++) {
        const int one = r->port->next(r, owner);
        if (one < 0) {
            break;
        }
        seen += one;
        if (r->base.ended) {
            sley__reactor_leave(&r->base);
            sley__reactor_enter(&r->base);
        }
    }
    return seen;
}

/** Nothing is left of what was taken last. Asks for more; waits without the lock. */
static int ask(struct sley__poll *r, uint64_t timeout_ns)
{
    int count;
    if (timeout_ns == 0) {
        count = r->port->ask(r, 0);
    } else {
        r->base.waiting = true;
        sley__reactor_leave(&r->base);
        count = r->port->ask(r, timeout_ns);
        sley__reactor_enter(&r->base);
        r->base.waiting = false;
    }
    if (count >= 0) {
        r->port->take(r, count);
    }
    return count;
}

/** Handles what there is; asks the port only when nothing is left of the last time. Returns: how many; negative errno. */
static int look(struct sley__poll *r, uint64_t timeout_ns, bool owner)
{
    const int one = r->port->next(r, owner);
    int seen = one;
    if (one == -EAGAIN) {
        seen = ask(r, timeout_ns);
        if (seen < 0) {
            return seen;
        }
        seen = 0;
    }
    seen += handle(r, owner);
    return seen;
}

int sley__poll_shared(struct sley__poll *r, uint64_t timeout_ns)
{
    sley__reactor_enter(&r->base);
    if (r->drop_count > 0) {
        sley__poll_flush_drops(r);
    }
    if (r->rung_away) {
        r->rung_away = false;
        sley__poll_woken(r);
        timeout_ns = 0;
    }
    const int seen = look(r, timeout_ns, true);
    sley__reactor_leave(&r->base);
    return seen;
}

int sley__poll_serve(struct sley_reactor *self)
{
    struct sley__poll *r = sley_container_of(self, struct sley__poll, base);
    int seen = 0;
    sley__reactor_enter(self);
    if (!self->waiting) {
        if (r->drop_count > 0) {
            sley__poll_flush_drops(r);
        }
        seen = look(r, 0, false);
    }
    sley__reactor_leave(self);
    return seen;
}
