/* The readiness core: who waits on which descriptor, what is known of its readiness, and what an event does. Ports: port.h.
 *
 * An op is tried first and waits only after -EAGAIN, or when the last look at its direction has found nothing. An event tries
 * the waiting ops again, here, and completes them. What nobody waits for any more is not watched for long: a cancelled wait, or
 * an event that nobody wanted, ends the watching before the next wait of the reactor.
 */
#include "port.h"

#include <string.h>
#include <unistd.h>

static struct sley__poll *core_of(struct sley_reactor *self)
{
    return sley_container_of(self, struct sley__poll, base);
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static int grow_directory(struct sley__poll *r, uint32_t chunk)
{
    uint32_t count = r->chunk_count ? r->chunk_count : 8;
    while (count <= chunk) {
        count *= 2;
    }
    struct sley__slot **chunks = r->alloc->ops->alloc(r->alloc, count * sizeof *chunks, _Alignof(struct sley__slot *));
    if (!chunks) {
        return -ENOMEM;
    }
    memset(chunks, 0, count * sizeof *chunks);
    if (r->chunks) {
        memcpy(chunks, r->chunks, r->chunk_count * sizeof *chunks);
        r->alloc->ops->free(r->alloc, r->chunks, r->chunk_count * sizeof *chunks);
    }
    r->chunks = chunks;
    r->chunk_count = count;
    return 0;
}

static int make_slot(struct sley__poll *r, int number)
{
    const uint32_t chunk = (uint32_t)number >> SLEY__SLOT_BITS;
    if (chunk >= r->chunk_count && grow_directory(r, chunk) < 0) {
        return -ENOMEM;
    }
    if (!r->chunks[chunk]) {
        const size_t bytes = SLEY__SLOT_CHUNK * sizeof(struct sley__slot);
        r->chunks[chunk] = r->alloc->ops->alloc(r->alloc, bytes, 64);
        if (!r->chunks[chunk]) {
            return -ENOMEM;
        }
        memset(r->chunks[chunk], 0, bytes);
    }
    return 0;
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

static struct sley_io_op **ring_of(struct sley__slot *slot, const struct sley_io_op *op)
{
    switch (op->code) {
    case SLEY_IO_POLL:
        return &slot->polls;
    case SLEY_IO_CONNECT:
    case SLEY_IO_SEND:
    case SLEY_IO_SENDMSG:
        return &slot->write;
    default:
        return &slot->read;
    }
}

/** What an op needs to have watched. ERR and HUP are reported in any case. */
static uint32_t interest_of(const struct sley_io_op *op)
{
    switch (op->code) {
    case SLEY_IO_POLL:
        return (uint32_t)(op->len & (SLEY_IO_IN | SLEY_IO_OUT)) | SLEY_IO_ERR;
    case SLEY_IO_CONNECT:
    case SLEY_IO_SEND:
    case SLEY_IO_SENDMSG:
        return SLEY_IO_OUT;
    default:
        return SLEY_IO_IN;
    }
}

/** What the waiting ops need to have watched. */
static uint32_t wanted(const struct sley__slot *slot)
{
    uint32_t want = (slot->read ? SLEY_IO_IN : 0) | (slot->write ? SLEY_IO_OUT : 0);
    const struct sley_io_op *op = slot->polls;
    if (SLEY_UNLIKELY(op != NULL)) {
        do {
            want |= interest_of(op);
            op = op->next;
        } while (op != slot->polls);
    }
    return want;
}

/* ---- watching no more than is waited for ------------------------------------------------------------------------- */

static void watch_only(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t want)
{
    (void)r->port->watch(r, slot, number, want);
    slot->dry &= (uint8_t)want; /* what is not watched may become ready unseen */
}

static void flush_drops(struct sley__poll *r)
{
    for (uint32_t i = 0; i < r->drop_count; i++) {
        struct sley__slot *slot = sley__poll_slot(r, r->drops[i]);
        const uint32_t want = wanted(slot);
        slot->queued = false;
        if (slot->watched & ~want) {
            watch_only(r, slot, r->drops[i], want);
        }
    }
    r->drop_count = 0;
}

/** Something is watched that nobody waits for. An edge port is told before the next wait: often somebody waits again by then. */
static void unwatch(struct sley__poll *r, struct sley__slot *slot, int number)
{
    if (!r->port->edge) {
        const uint32_t want = wanted(slot);
        if (slot->watched & ~want) {
            (void)r->port->watch(r, slot, number, want); /* being told anew is free: dry may stay */
        }
    } else if (!slot->queued && slot->watched) {
        if (r->drop_count == SLEY__DROP_COUNT) {
            flush_drops(r);
        }
        slot->queued = true;
        r->drops[r->drop_count++] = number;
    }
}

/* ---- trying and arming ------------------------------------------------------------------------------------------- */

/** Tries, and notes what that says about the descriptor. @p ret_more: -EAGAIN although there may be more. */
static inline int32_t attempt(struct sley__slot *slot, struct sley_io_op *op, bool *ret_more)
{
    const size_t before = op->done_bytes;
    const int32_t n = sley_io_try(op);
    *ret_more = false;
    if (n == -EAGAIN) {
        *ret_more = op->done_bytes - before >= SLEY_IO_SHARE_BYTES;
        if (!*ret_more) {
            slot->dry |= (uint8_t)(interest_of(op) & (SLEY_IO_IN | SLEY_IO_OUT));
        }
    } else if (op->code == SLEY_IO_RECV && n > 0 && (size_t)n < op->len && !slot->doubtful) {
        /* relaxed: the home thread reads its own word */
        if (atomic_load_explicit(&op->fd->state, memory_order_relaxed) & SLEY_FD_STREAM) {
            slot->dry |= SLEY_IO_IN; /* what comes later is an event of its own */
        }
    }
    return n;
}

/** @p more: ask the port even if it watches already, for a report of what is ready now. */
static void arm(struct sley__poll *r, struct sley__slot *slot, struct sley_io_op *op, bool more)
{
    const uint32_t need = interest_of(op);
    if (SLEY_UNLIKELY((need & ~(uint32_t)slot->watched) || more || r->ending)) {
        const int rc = r->ending ? -ECANCELED : r->port->watch(r, slot, op->fd->number, wanted(slot) | need);
        if (rc < 0) {
            sley_io_finish(op, rc);
            return;
        }
    }
    sley_io_arm(&r->base, op);
    ring_push(ring_of(slot, op), op);
}

static void cancel_ring(struct sley__poll *r, struct sley_io_op **ring)
{
    while (*ring) {
        sley_io_complete(&r->base, ring_pop(ring), -ECANCELED);
    }
}

static void cancel_slot(struct sley__poll *r, struct sley__slot *slot)
{
    cancel_ring(r, &slot->polls);
    cancel_ring(r, &slot->read);
    cancel_ring(r, &slot->write);
}

static void forget(struct sley__slot *slot)
{
    slot->token++;
    slot->watched = 0;
    slot->dry = 0;
    slot->doubtful = false;
}

/** The port is told: another descriptor may share the open file, and would go on reporting. */
static void close_number(struct sley__poll *r, struct sley_io_op *op)
{
    const int number = op->fd->number;
    struct sley__slot *slot = sley__poll_slot(r, number);
    if (slot) {
        cancel_slot(r, slot);
        if (slot->watched) {
            (void)r->port->watch(r, slot, number, 0);
        }
        forget(slot);
    }
    op->fd->number = -1;
    (void)close(number);
    sley_io_finish(op, 0);
}

int sley__poll_adopt(struct sley_reactor *self, struct sley_fd *fd)
{
    struct sley__poll *r = core_of(self);
    struct sley__slot *slot = sley__poll_slot(r, fd->number);
    if (!slot) {
        return make_slot(r, fd->number);
    }
    if (wanted(slot)) {
        return -EEXIST;
    }
    if (slot->watched) {
        (void)r->port->watch(r, slot, fd->number, 0);
    }
    forget(slot);
    return 0;
}

void sley__poll_submit(struct sley_reactor *self, struct sley_io_op *op)
{
    struct sley__poll *r = core_of(self);
    if (SLEY_UNLIKELY(op->code == SLEY_IO_CLOSE)) {
        close_number(r, op);
        return;
    }
    struct sley__slot *slot = sley__poll_slot(r, op->fd->number);
    if (SLEY_UNLIKELY(!slot)) {
        sley_io_finish(op, -EBADF); /* its home, since destroyed, was another reactor at this address */
        return;
    }
    bool more = false;
    const bool dry = (slot->dry & interest_of(op)) && op->code != SLEY_IO_CONNECT && op->code != SLEY_IO_POLL;
    if (!dry) {
        const int32_t n = attempt(slot, op, &more);
        if (n != -EAGAIN) {
            sley_io_finish(op, n);
            return;
        }
    }
    arm(r, slot, op, more);
}

void sley__poll_cancel(struct sley_reactor *self, struct sley_io_op *op)
{
    struct sley__poll *r = core_of(self);
    const int number = op->fd->number;
    struct sley__slot *slot = sley__poll_slot(r, number);
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

static inline void event_ring(struct sley__poll *r, struct sley__slot *slot, int number, struct sley_io_op **ring)
{
    while (*ring) {
        struct sley_io_op *op = (*ring)->next;
        bool more;
        const int32_t n = attempt(slot, op, &more);
        if (n == -EAGAIN) {
            if (SLEY_UNLIKELY(more && r->port->watch(r, slot, number, wanted(slot)) < 0)) {
                continue; /* it will not be reported again: go on now */
            }
            return;
        }
        (void)ring_pop(ring);
        sley_io_complete(&r->base, op, n);
    }
}

void sley__poll_event(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t events)
{
    uint32_t ready = events & (SLEY_IO_IN | SLEY_IO_OUT);
    if (SLEY_UNLIKELY(events & (uint32_t)SLEY__POLL_DOUBT)) {
        slot->doubtful = true;
    }
    if (SLEY_UNLIKELY(events & (SLEY_IO_ERR | SLEY_IO_HUP | SLEY__POLL_BAD))) {
        ready = SLEY_IO_IN | SLEY_IO_OUT;
    }
    const bool useful = ((ready & SLEY_IO_IN) && slot->read) || ((ready & SLEY_IO_OUT) && slot->write) || slot->polls;
    slot->dry &= (uint8_t)~ready;
    if (SLEY_UNLIKELY(slot->polls != NULL)) {
        event_polls(r, slot, events); /* before the others take what makes it ready */
    }
    if (ready & SLEY_IO_IN) {
        event_ring(r, slot, number, &slot->read);
    }
    if (ready & SLEY_IO_OUT) {
        event_ring(r, slot, number, &slot->write);
    }
    if (SLEY_UNLIKELY(!useful || !r->port->edge)) {
        unwatch(r, slot, number);
    }
}

int sley__poll_poll(struct sley_reactor *self, uint64_t timeout_ns)
{
    struct sley__poll *r = core_of(self);
    if (SLEY_UNLIKELY(r->drop_count > 0)) {
        flush_drops(r);
    }
    return r->port->wait(r, timeout_ns);
}

/* ---- waking ------------------------------------------------------------------------------------------------------ */

void sley__poll_wake(struct sley_reactor *self)
{
    struct sley__poll *r = core_of(self);
    /* release: publishes what the waker has posted, also when an earlier ring is still under way; pairs with _woken */
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
    struct sley__poll *r = o->alloc->ops->alloc(o->alloc, port->bytes, 64);
    if (!r) {
        return -ENOMEM;
    }
    memset(r, 0, port->bytes);
    r->base.ops = &port->ops;
    r->port = port;
    r->alloc = o->alloc;
    const int rc = port->open(r);
    if (rc < 0) {
        o->alloc->ops->free(o->alloc, r, port->bytes);
        return rc;
    }
    *ret_reactor = &r->base;
    return 0;
}

void sley__poll_destroy(struct sley_reactor *self)
{
    struct sley__poll *r = core_of(self);
    r->ending = true; /* what a hook starts now does not wait */
    for (uint32_t c = 0; c < r->chunk_count; c++) {
        for (uint32_t i = 0; r->chunks[c] && i < SLEY__SLOT_CHUNK; i++) {
            cancel_slot(r, &r->chunks[c][i]);
        }
    }
    for (uint32_t c = 0; c < r->chunk_count; c++) {
        if (r->chunks[c]) {
            r->alloc->ops->free(r->alloc, r->chunks[c], SLEY__SLOT_CHUNK * sizeof(struct sley__slot));
        }
    }
    if (r->chunks) {
        r->alloc->ops->free(r->alloc, r->chunks, r->chunk_count * sizeof *r->chunks);
    }
    r->port->close(r);
    r->alloc->ops->free(r->alloc, r, r->port->bytes);
}
