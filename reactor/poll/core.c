/* The readiness core: who waits on which descriptor, what is known of its readiness, and what an event does.
 * Ports: <sley/reactor_port_impl.h>.
 *
 * An op is tried first and waits only after -EAGAIN, or when the last look at its direction has found nothing. An event tries
 * the waiting ops again, here, and completes them. What nobody waits for any more is not watched for long: a cancelled wait, or
 * an event that nobody wanted, ends the watching before the next wait of the reactor.
 */
#include <sley/reactor_port_impl.h>

#include <errno.h>
#include <unistd.h>

static struct sley__poll *core_of(struct sley_reactor *self)
{
    return sley_container_of(self, struct sley__poll, base);
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static bool has_slot(const struct sley__poll *r, int number)
{
    return sley__chunks_find(&r->chunks, (uint32_t)number >> SLEY__SLOT_BITS) != NULL;
}

/** There will be one, zeroed when it is new. */
static int make_slot(struct sley__poll *r, int number)
{
    return sley__chunks_make(&r->chunks, r->alloc, (uint32_t)number >> SLEY__SLOT_BITS, SLEY__SLOT_CHUNK * sizeof(struct sley__slot));
}

/* ---- rings of waiting ops ---------------------------------------------------------------------------------------- */

static void ring_push(struct sley_io_op **ring, struct sley_io_op *op)
{
    struct sley_io_op *newest = *ring;
    op->next = newest ? newest->next : op;
    if (newest) {
        newest->next = op;
    }
    *ring = op;
}

static struct sley_io_op *ring_pop(struct sley_io_op **ring)
{
    struct sley_io_op *newest = *ring, *oldest = newest->next;
    newest->next = oldest->next;
    *ring = oldest == newest ? NULL : newest;
    return oldest;
}

static void ring_remove(struct sley_io_op **ring, const struct sley_io_op *op)
{
    struct sley_io_op *before = *ring;
    while (before->next != op) {
        before = before->next;
    }
    before->next = op->next;
    if (*ring == op) {
        *ring = before == op ? NULL : before;
    }
}

/* the direction in which an op waits; POLL names its own, CLOSE does not wait */
static const uint8_t directions[SLEY_IO_CLOSE + 1] = {
    [SLEY_IO_ACCEPT] = SLEY_IO_IN, [SLEY_IO_CONNECT] = SLEY_IO_OUT, [SLEY_IO_RECV] = SLEY_IO_IN,
    [SLEY_IO_SEND] = SLEY_IO_OUT,  [SLEY_IO_RECVMSG] = SLEY_IO_IN,  [SLEY_IO_SENDMSG] = SLEY_IO_OUT,
};

static struct sley_io_op **ring_of(struct sley__slot *slot, const struct sley_io_op *op)
{
    const uint32_t direction = directions[op->code];
    return direction == SLEY_IO_IN ? &slot->read : direction ? &slot->write : &slot->polls;
}

/** What a POLL needs to have watched. ERR and HUP are reported in any case. */
static uint32_t poll_interest(const struct sley_io_op *op)
{
    return (uint32_t)(op->len & (SLEY_IO_IN | SLEY_IO_OUT)) | SLEY_IO_ERR;
}

/** What the waiting ops need to have watched. */
static uint32_t wanted(const struct sley__slot *slot)
{
    uint32_t want = (slot->read ? SLEY_IO_IN : 0) | (slot->write ? SLEY_IO_OUT : 0);
    const struct sley_io_op *op = slot->polls;
    if (SLEY_UNLIKELY(op != NULL)) {
        do {
            want |= poll_interest(op);
            op = op->next;
        } while (op != slot->polls);
    }
    return want;
}

/* ---- watching no more than is waited for ------------------------------------------------------------------------- */

/** A receive that was armed by a short way becomes an op like others; the next one is to be submitted. */
static inline void close_way(struct sley__slot *slot)
{
    if (slot->way == SLEY__WAY_TAKEN) {
        slot->read->next = slot->read;
        slot->read->done_bytes = 0;
    }
    slot->way = SLEY__WAY_ASK;
}

/** May the next receive be armed where it starts? */
static inline void open_way(struct sley__slot *slot)
{
    if (!slot->read) {
        const bool dry = slot->marks & slot->watched & SLEY_IO_IN;
        slot->way = dry && (slot->marks & SLEY__SLOT_SHORT) ? SLEY__WAY_DRY : SLEY__WAY_ASK;
    }
}

static void unwatch_now(struct sley__poll *r, struct sley__slot *slot, int number)
{
    const uint32_t want = wanted(slot), needless = slot->watched & ~want & (SLEY_IO_IN | SLEY_IO_OUT);
    if (slot->watched && (!want || needless)) {
        (void)r->port->watch(r, slot, number, want);
        /* may become ready unseen; a try is cheaper than watching again to be told, and who gives up soon would never be told */
        slot->marks &= (uint8_t) ~(~want & (SLEY_IO_IN | SLEY_IO_OUT));
        open_way(slot);
    }
}

void sley__poll_flush_drops(struct sley__poll *r)
{
    for (uint32_t i = 0; i < r->drop_count; i++) {
        struct sley__slot *slot = sley__poll_slot(r, r->drops[i]);
        slot->marks &= (uint8_t) ~(uint32_t)SLEY__SLOT_QUEUED;
        unwatch_now(r, slot, r->drops[i]);
    }
    r->drop_count = 0;
}

/** Something is watched that nobody waits for. An edge port is told before the next wait: often somebody waits again by then. */
static void unwatch(struct sley__poll *r, struct sley__slot *slot, int number)
{
    if (!r->port->edge) {
        unwatch_now(r, slot, number);
    } else if (!(slot->marks & SLEY__SLOT_QUEUED) && slot->watched) {
        if (r->drop_count == SLEY__DROP_COUNT) {
            sley__poll_flush_drops(r);
        }
        slot->marks |= SLEY__SLOT_QUEUED;
        r->drops[r->drop_count++] = number;
    }
}

/* ---- trying and arming ------------------------------------------------------------------------------------------- */

/** Tries, and notes when the direction is dry then. */
static inline int32_t attempt(struct sley__slot *slot, struct sley_io_op *op, uint32_t direction)
{
    const int32_t n = sley_io_try(op);
    if (SLEY_UNLIKELY(n == -EAGAIN)) {
        slot->marks |= (uint8_t)direction;
    } else if (n > 0 && (size_t)n < op->len && op->code == SLEY_IO_RECV && (slot->marks & SLEY__SLOT_SHORT) && n < SLEY_IO_CALL_BYTES) {
        slot->marks |= SLEY_IO_IN; /* what comes later is an event of its own */
    }
    return n;
}

static inline void wait_on(struct sley__poll *r, struct sley__slot *slot, struct sley_io_op **ring, struct sley_io_op *op)
{
    close_way(slot);
    if (!sley__io_busy(op)) {
        slot->marks &= (uint8_t) ~(uint32_t)SLEY__SLOT_SHORT; /* those that may be many are nothing for short ways */
    }
    sley_io_arm(&r->base, op);
    ring_push(ring, op);
}

/** The port has to be asked first. It is asked anew if it watches already: for a report of what is ready now. */
static SLEY_NOINLINE void watch_and_wait(struct sley__poll *r, struct sley_io_op *op, uint32_t need)
{
    struct sley__slot *slot = sley__poll_slot(r, op->fd->number);
    const int rc = r->ending ? -ECANCELED : r->port->watch(r, slot, op->fd->number, wanted(slot) | need);
    if (rc < 0) {
        sley_io_finish(op, rc);
    } else {
        wait_on(r, slot, ring_of(slot, op), op);
    }
}

static void submit_poll(struct sley__poll *r, struct sley_io_op *op)
{
    struct sley__slot *slot = sley__poll_slot(r, op->fd->number);
    const uint32_t need = poll_interest(op);
    const int32_t n = sley_io_try(op);
    if (n != -EAGAIN) {
        sley_io_finish(op, n);
    } else if (need & ~(uint32_t)slot->watched) {
        watch_and_wait(r, op, need);
    } else {
        wait_on(r, slot, &slot->polls, op);
    }
}

static void cancel_ring(struct sley__poll *r, struct sley_io_op **ring)
{
    while (*ring) {
        sley_io_complete(&r->base, ring_pop(ring), -ECANCELED);
    }
}

static void cancel_slot(struct sley__poll *r, struct sley__slot *slot)
{
    close_way(slot);
    cancel_ring(r, &slot->polls);
    cancel_ring(r, &slot->read);
    cancel_ring(r, &slot->write);
}

/** The number begins a new life. */
static void forget(struct sley__poll *r, struct sley__slot *slot, int number)
{
    if (slot->watched) {
        (void)r->port->watch(r, slot, number, 0);
    }
    slot->watched = 0;
    slot->marks &= (uint8_t) ~(uint32_t)(SLEY_IO_IN | SLEY_IO_OUT | SLEY__SLOT_SHORT);
    slot->heat = 0;
    slot->way = SLEY__WAY_ASK;
}

/** The port is told: another descriptor may share the open file, and would go on reporting. */
static void close_number(struct sley__poll *r, struct sley_io_op *op)
{
    const int number = op->fd->number;
    if (has_slot(r, number)) { /* else its home was another reactor, since destroyed, at this address */
        struct sley__slot *slot = sley__poll_slot(r, number);
        cancel_slot(r, slot);
        forget(r, slot, number);
    }
    op->fd->number = -1;
    (void)close(number);
    sley_io_finish(op, 0);
}

static SLEY_NOINLINE void submit_other(struct sley__poll *r, struct sley_io_op *op)
{
    if (op->code == SLEY_IO_CLOSE) {
        close_number(r, op);
    } else {
        submit_poll(r, op);
    }
}

int sley__poll_adopt(struct sley_reactor *self, struct sley_fd *fd)
{
    struct sley__poll *r = core_of(self);
    const int rc = make_slot(r, fd->number);
    if (rc < 0) {
        return rc;
    }
    struct sley__slot *slot = sley__poll_slot(r, fd->number);
    if (wanted(slot)) {
        return -EEXIST;
    }
    forget(r, slot, fd->number);
    slot->marks |= sley__fd_state(fd) & SLEY_FD_STREAM ? SLEY__SLOT_SHORT : 0;
    fd->slot = slot;
    if (!self->shared) {
        sley__fd_set(fd, sley__fd_state(fd) & ~(uint32_t)SLEY_FD_FAR);
    }
    return 0;
}

/** An op was tried, with the result @p n. */
static inline void settle(struct sley__poll *r, struct sley_io_op *op, struct sley__slot *slot, uint32_t direction, int32_t n)
{
    if (SLEY_LIKELY(n != -EAGAIN && n != -EINPROGRESS)) {
        sley_io_finish(op, n);
    } else if ((slot->watched & direction) && n == -EAGAIN) {
        wait_on(r, slot, ring_of(slot, op), op);
    } else {
        watch_and_wait(r, op, direction);
    }
}

static SLEY_NOINLINE void try_or_wait(struct sley__poll *r, struct sley_io_op *op, struct sley__slot *slot)
{
    const uint32_t direction = directions[op->code];
    settle(r, op, slot, direction, attempt(slot, op, direction));
}

void sley__poll_submit(struct sley_reactor *self, struct sley_io_op *op)
{
    struct sley__poll *r = core_of(self);
    const uint32_t direction = directions[op->code];
    if (SLEY_UNLIKELY(!direction)) {
        submit_other(r, op);
        return;
    }
    struct sley__slot *slot = sley__poll_slot(r, op->fd->number);
    if (!(slot->marks & direction)) {
        try_or_wait(r, op, slot);
    } else if (SLEY_LIKELY(slot->watched & direction)) {
        wait_on(r, slot, direction == SLEY_IO_IN ? &slot->read : &slot->write, op);
    } else {
        watch_and_wait(r, op, direction);
    }
}

void sley__poll_send_on(struct sley_reactor *self, struct sley_io_op *op, int32_t n)
{
    struct sley__poll *r = core_of(self);
    struct sley__slot *slot = sley__poll_slot(r, op->fd->number);
    const int32_t rest = sley_io_try_on(op, n);
    if (rest == -EAGAIN) {
        slot->marks |= SLEY_IO_OUT;
    }
    settle(r, op, slot, SLEY_IO_OUT, rest);
}

void sley__poll_cancel(struct sley_reactor *self, struct sley_io_op *op)
{
    struct sley__poll *r = core_of(self);
    const int number = op->fd->number;
    struct sley__slot *slot = sley__poll_slot(r, number);
    close_way(slot);
    ring_remove(ring_of(slot, op), op);
    sley_io_complete(self, op, -ECANCELED);
    unwatch(r, slot, number);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/** Completes those whose readiness was reported. One round: what hooks add meanwhile is looked at once at most. */
static void event_polls(struct sley__poll *r, struct sley__slot *slot, uint32_t events)
{
    size_t left = 1;
    for (const struct sley_io_op *op = slot->polls->next; op != slot->polls; op = op->next) {
        left++;
    }
    for (; left > 0 && slot->polls; left--) {
        struct sley_io_op *op = ring_pop(&slot->polls);
        const uint32_t ready = events & ((uint32_t)op->len | SLEY_IO_ERR | SLEY_IO_HUP);
        if (events & SLEY__POLL_BAD) {
            sley_io_complete(&r->base, op, -EBADF);
        } else if (ready) {
            sley_io_complete(&r->base, op, (int32_t)ready);
        } else {
            ring_push(&slot->polls, op);
        }
    }
}

/** Tries what waits in a direction until one has to wait on. What hooks add has been tried by then, and has an event of its own. */
static inline void event_ring(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t direction)
{
    struct sley_io_op **ring = direction == SLEY_IO_IN ? &slot->read : &slot->write, *const last = *ring;
    slot->marks &= (uint8_t)~direction;
    for (bool more = true; more && *ring;) {
        struct sley_io_op *op = (*ring)->next;
        const int32_t n = attempt(slot, op, direction);
        if (SLEY_UNLIKELY(n == -EAGAIN)) {
            return;
        }
        if (SLEY_UNLIKELY(n == -EINPROGRESS)) {
            if (r->port->watch(r, slot, number, wanted(slot)) == 0) {
                return; /* it will report anew */
            }
            continue;
        }
        more = ring_pop(ring) != last;
        sley_io_complete(&r->base, op, n);
    }
}

static SLEY_NOINLINE void event_slowly(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t events)
{
    const bool broken = events & (SLEY_IO_ERR | SLEY_IO_HUP | SLEY__POLL_BAD);
    const uint32_t ready = broken ? SLEY_IO_IN | SLEY_IO_OUT : events & (SLEY_IO_IN | SLEY_IO_OUT);
    const bool useful = ((ready & SLEY_IO_IN) && slot->read) || ((ready & SLEY_IO_OUT) && slot->write) || slot->polls;
    if (events & (uint32_t)SLEY__POLL_DOUBT) {
        slot->marks &= (uint8_t) ~(uint32_t)SLEY__SLOT_SHORT;
    }
    if (slot->polls) {
        event_polls(r, slot, events); /* before the others take what makes it ready */
    }
    if (ready & SLEY_IO_IN) {
        event_ring(r, slot, number, SLEY_IO_IN);
    }
    if (ready & SLEY_IO_OUT) {
        event_ring(r, slot, number, SLEY_IO_OUT);
    }
    const bool silent = r->port->edge || (slot->marks & slot->watched & SLEY_IO_IN && !(slot->watched & SLEY_IO_OUT));
    if (!useful || !silent) { /* what is ready still would be reported again */
        unwatch(r, slot, number);
    }
}

void sley__poll_event(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t events)
{
    close_way(slot);
    if (SLEY_LIKELY(events == SLEY_IO_IN && slot->read && !slot->polls && r->port->edge)) {
        event_ring(r, slot, number, SLEY_IO_IN);
    } else {
        event_slowly(r, slot, number, events);
    }
    open_way(slot);
}

void sley__poll_odd_recv(struct sley__poll *r, struct sley__slot *slot, int number, ssize_t n)
{
    if (n == -EINTR) {
        sley__poll_event(r, slot, number, SLEY_IO_IN);
    } else if (n != -EAGAIN) { /* else it waits on */
        close_way(slot);
        slot->marks &= (uint8_t) ~(uint32_t)SLEY_IO_IN;
        sley_io_complete(&r->base, ring_pop(&slot->read), (int32_t)n); /* the system tells an error once: no second try */
    }
}

int sley__poll_poll(struct sley_reactor *self, uint64_t timeout_ns)
{
    struct sley__poll *r = core_of(self);
    if (SLEY_UNLIKELY(self->shared)) {
        return sley__poll_shared(r, timeout_ns);
    }
    if (SLEY_UNLIKELY(r->drop_count > 0)) {
        sley__poll_flush_drops(r);
    }
    return r->port->wait(r, timeout_ns);
}

/* ---- waking ------------------------------------------------------------------------------------------------------ */

void sley__poll_wake(struct sley_reactor *self)
{
    struct sley__poll *r = core_of(self);
    /* release: publishes what the waker has posted, also when an earlier ring is still under way; pairs with sley__poll_woken */
    if (!atomic_exchange_explicit(&r->rung, true, memory_order_release)) {
        r->port->ring(r);
    }
}

void sley__poll_woken(struct sley__poll *r)
{
    /* acquire: pairs with every wake since the last time; whoever comes later rings again */
    (void)atomic_exchange_explicit(&r->rung, false, memory_order_acquire);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int sley__poll_create(const struct sley__port *port, const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    struct sley__poll *r = sley_reactor_alloc(o->alloc, port->bytes);
    if (!r) {
        return -ENOMEM;
    }
    r->base.ops = &port->ops;
    r->port = port;
    r->alloc = o->alloc;
    const int rc = port->open(r);
    if (rc < 0) {
        sley_alloc_put(o->alloc, r, port->bytes);
        return rc;
    }
    *ret_reactor = &r->base;
    return 0;
}

static void cancel_all(struct sley__poll *r)
{
    for (uint32_t c = 0; c < r->chunks.count; c++) {
        struct sley__slot *slots = r->chunks.at[c];
        for (uint32_t i = 0; slots && i < SLEY__SLOT_CHUNK; i++) {
            cancel_slot(r, &slots[i]);
        }
    }
}

void sley__poll_destroy(struct sley_reactor *self)
{
    struct sley__poll *r = core_of(self);
    r->ending = true; /* what a hook starts now does not wait */
    do {
        sley_reactor_enter(self);
        cancel_all(r);
        sley_reactor_leave(self);
    } while (self->shared && self->armed_count > 0); /* hooks run behind the lock, and start what waits on a dry direction */
    sley__chunks_free(&r->chunks, r->alloc, SLEY__SLOT_CHUNK * sizeof(struct sley__slot));
    r->port->close(r);
    sley_alloc_put(r->alloc, r, r->port->bytes);
}
