/* Bounded channel: operations that may wait. */
#include "mpsc_inside.h"

/* ---- starting and cancelling ----------------------------------------------------------------------------------- */

static void cancel(struct sley_wait *w)
{
    struct sley_mpsc_op *op = sley_container_of(w, struct sley_mpsc_op, wait);
    struct sley_mpsc *ch = op->channel;
    struct sley__waiters served = {0};
    const bool home = sley__mpsc_enter(ch);
    if (op->waiter.queued) {
        sley__waiters_serve(op->waiter.kind == SLEY__MPSC_RECV ? &ch->receivers : &ch->senders, &op->waiter, -ECANCELED, &served);
        sley__mpsc_settle(ch, &served); /* the next one may want less */
    }
    sley__mpsc_leave_and_complete(ch, home, &served);
}

static const struct sley_wait_ops recv_ops = {.version = SLEY_WAIT_VERSION, .name = "mpsc.recv", .cancel = cancel};
static const struct sley_wait_ops send_ops = {.version = SLEY_WAIT_VERSION, .name = "mpsc.send", .cancel = cancel};
static const struct sley_wait_ops reserve_ops = {.version = SLEY_WAIT_VERSION, .name = "mpsc.reserve", .cancel = cancel};

/** Queues the op, and leaves. */
static void wait_in(struct sley__waiters *q, struct sley_mpsc_op *op, struct sley_mpsc *ch, bool home)
{
    op->channel = ch;
    sley_wait_arm(&op->wait);
    sley__waiters_put(q, &op->waiter);
    sley__mpsc_leave(ch, home);
}

/** The lock is held, `len` is true. */
static void send_inside(struct sley_mpsc_op *op, struct sley_mpsc *ch, const void *elem, bool home)
{
    if (ch->closed) {
        sley__mpsc_leave(ch, home);
        sley_wait_finish(&op->wait, -EPIPE);
    } else if (ch->senders.head || (!ch->receivers.head && sley__mpsc_free_count(ch) == 0)) {
        op->waiter.kind = SLEY__MPSC_SEND;
        op->waiter.want = 1;
        op->elem = (void *)(uintptr_t)elem; /* only read from */
        wait_in(&ch->senders, op, ch, home);
    } else if (ch->receivers.head) {
        struct sley_mpsc_op *r = sley__mpsc_first(&ch->receivers);
        sley__waiters_remove(&ch->receivers, &r->waiter);
        sley__mpsc_copy(r->elem, elem, ch->elem_bytes);
        sley__mpsc_leave(ch, home);
        sley_wait_finish(&op->wait, 0);
        sley_wait_complete(&r->wait, 1);
    } else {
        sley__mpsc_ring_put(ch, elem);
        sley__mpsc_leave(ch, home);
        sley_wait_finish(&op->wait, 0);
    }
}

/** The lock is held, `len` is true. */
static void recv_inside(struct sley_mpsc_op *op, struct sley_mpsc *ch, void *ret_elem, bool home)
{
    struct sley__waiters served = {0};
    struct sley_mpsc_op *first = sley__mpsc_first(&ch->senders);
    if (ch->len > 0) {
        sley__mpsc_ring_take(ch, ret_elem);
        sley__mpsc_settle(ch, &served);
    } else if (first && first->waiter.kind == SLEY__MPSC_SEND) {
        sley__mpsc_copy(ret_elem, first->elem, ch->elem_bytes); /* every slot is reserved: straight from hand to hand */
        sley__waiters_serve(&ch->senders, &first->waiter, 0, &served);
        sley__mpsc_settle(ch, &served);
    } else if (ch->closed && ch->reserved == 0) {
        sley__mpsc_leave(ch, home);
        sley_wait_finish(&op->wait, 0);
        return;
    } else {
        op->waiter.kind = SLEY__MPSC_RECV;
        op->elem = ret_elem;
        wait_in(&ch->receivers, op, ch, home);
        return;
    }
    sley__mpsc_leave(ch, home);
    sley_wait_finish(&op->wait, 1);
    sley__waiters_complete(&served, sley_wait_complete);
}

/* The two below are what a channel does when it is used for a conversation (one waits, one sends), so they come first. */

void sley__mpsc_send_home(struct sley_mpsc_op *op, struct sley_mpsc *ch, const void *elem)
{
    sley_wait_begin_always(&op->wait, &send_ops); /* budget is left, so the task is not cancelled */
    struct sley_mpsc_op *r = sley__mpsc_first(&ch->receivers);
    if (SLEY_LIKELY(r && &r->waiter == ch->receivers.tail && !ch->senders.head && !ch->closed)) {
        r->waiter.queued = 0;
        ch->receivers.head = NULL;
        ch->receivers.tail = NULL;
        sley__mpsc_copy(r->elem, elem, ch->elem_bytes);
        ch->blocked = 0; /* nobody waits any more; nothing is inside, by invariant 1 */
        ch->counts = ch->slot_count - ch->reserved;
        sley__unlock_home(&ch->lock);
        sley_wait_finish(&op->wait, 0);
        sley_wait_complete(&r->wait, 1);
        return;
    }
    sley__mpsc_open_up(ch);
    send_inside(op, ch, elem, true);
}

void sley__mpsc_recv_home(struct sley_mpsc_op *op, struct sley_mpsc *ch, void *ret_elem)
{
    sley_wait_begin_always(&op->wait, &recv_ops);
    if (SLEY_LIKELY(!ch->blocked)) { /* open, nobody waits, and `ready` says that nothing is inside */
        op->channel = ch;
        op->waiter.kind = SLEY__MPSC_RECV;
        op->elem = ret_elem;
        op->waiter.queued = 1;
        op->waiter.next = NULL;
        op->waiter.prev = NULL;
        sley_wait_arm(&op->wait);
        ch->receivers.head = &op->waiter;
        ch->receivers.tail = &op->waiter;
        ch->blocked = 1;
        ch->len = 0;
        ch->counts = 0;
        sley__unlock_home(&ch->lock);
        return;
    }
    sley__mpsc_open_up(ch);
    recv_inside(op, ch, ret_elem, true);
}

void sley_mpsc_send_start(struct sley_mpsc_op *op, struct sley_mpsc *ch, const void *elem)
{
    if (!sley_wait_begin(&op->wait, &send_ops)) {
        return;
    }
    if (!sley__mpsc_valid(ch, elem)) {
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    send_inside(op, ch, elem, sley__mpsc_enter(ch));
}

void sley_mpsc_recv_start(struct sley_mpsc_op *op, struct sley_mpsc *ch, void *ret_elem)
{
    if (!sley_wait_begin(&op->wait, &recv_ops)) {
        return;
    }
    if (!sley__mpsc_valid(ch, ret_elem)) {
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    recv_inside(op, ch, ret_elem, sley__mpsc_enter(ch));
}

void sley_mpsc_reserve_start(struct sley_mpsc_op *op, struct sley_mpsc *ch, size_t n)
{
    if (!sley_wait_begin(&op->wait, &reserve_ops)) {
        return;
    }
    if (!ch || n > ch->slot_count) {
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    const bool home = sley__mpsc_enter(ch);
    const int rc = sley__mpsc_reserve_now(ch, (uint32_t)n);
    if (rc == -EAGAIN) {
        op->waiter.kind = SLEY__MPSC_RESERVE;
        op->waiter.want = (uint32_t)n;
        wait_in(&ch->senders, op, ch, home);
    } else {
        sley__mpsc_leave(ch, home);
        sley_wait_finish(&op->wait, rc);
    }
}

/* ---- direct forms ---------------------------------------------------------------------------------------------- */

/* The second halves stand apart, since a fiber may come out of sley_direct_enter on another thread: nothing of a thread-local
 * may be known before it. What is there at once needs no node. */

static SLEY_NOINLINE int send_direct(struct sley_mpsc *ch, const void *elem)
{
    struct sley_sched *s = sley__self;
    struct sley_mpsc_op op;
    op.wait.word = 0;
    op.wait.at.site = NULL;
    if (!sley__mpsc_valid(ch, elem) || !sley__lock_inline(&ch->lock, s)) {
        sley_mpsc_send_start(&op, ch, elem);
    } else if (SLEY_LIKELY(sley__mpsc_room(ch) > 0)) {
        sley__mpsc_copy(sley__mpsc_slot(ch, ch->tail), elem, ch->elem_bytes);
        ch->tail = sley__mpsc_after(ch, ch->tail);
        ch->counts += SLEY__MPSC_MOVED;
        sley__unlock_home(&ch->lock);
        s->budget--;
        return 0;
    } else {
        sley__mpsc_send_home(&op, ch, elem);
    }
    return sley_await(&op.wait);
}

static SLEY_NOINLINE int recv_direct(struct sley_mpsc *ch, void *ret_elem)
{
    struct sley_sched *s = sley__self;
    struct sley_mpsc_op op;
    op.wait.word = 0;
    op.wait.at.site = NULL;
    if (!sley__mpsc_valid(ch, ret_elem) || !sley__lock_inline(&ch->lock, s)) {
        sley_mpsc_recv_start(&op, ch, ret_elem);
    } else if (SLEY_LIKELY(sley__mpsc_ready(ch) > 0)) {
        sley__mpsc_copy(ret_elem, sley__mpsc_slot(ch, ch->head), ch->elem_bytes);
        ch->head = sley__mpsc_after(ch, ch->head);
        ch->counts -= SLEY__MPSC_MOVED;
        sley__unlock_home(&ch->lock);
        s->budget--;
        return 1;
    } else {
        sley__mpsc_recv_home(&op, ch, ret_elem);
    }
    return sley_await(&op.wait);
}

int sley_mpsc_send(struct sley_mpsc *ch, const void *elem)
{
    const int rc = sley_direct_enter();
    return rc < 0 ? rc : send_direct(ch, elem);
}

int sley_mpsc_recv(struct sley_mpsc *ch, void *ret_elem)
{
    const int rc = sley_direct_enter();
    return rc < 0 ? rc : recv_direct(ch, ret_elem);
}

int sley_mpsc_reserve(struct sley_mpsc *ch, size_t n)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    struct sley_mpsc_op op;
    op.wait.word = 0;
    op.wait.at.site = NULL;
    sley_mpsc_reserve_start(&op, ch, n);
    return sley_await(&op.wait);
}
