/* Bounded channel. Everything happens under the channel's lock; nodes are completed after it, in the order of being served. */
#include <sley/mpsc.h>

enum kind { KIND_RECV, KIND_SEND, KIND_RESERVE };

/* ---- the ring and the queues; under the lock ------------------------------------------------------------------- */

static void copy(void *to, const void *from, size_t bytes)
{
    if (bytes == sizeof(uint64_t)) {
        memcpy(to, from, sizeof(uint64_t)); /* a pointer or a number: the usual message, and one instruction */
    } else if (bytes) {
        memcpy(to, from, bytes);
    }
}

static uint32_t after(const struct sley_mpsc *ch, uint32_t at)
{
    return at + 1 == ch->slot_count ? 0 : at + 1;
}

static void *slot(const struct sley_mpsc *ch, uint32_t at)
{
    return ch->elem_bytes ? ch->slots + at * ch->elem_bytes : NULL;
}

static void ring_put(struct sley_mpsc *ch, const void *elem)
{
    copy(slot(ch, ch->tail), elem, ch->elem_bytes);
    ch->tail = after(ch, ch->tail);
    ch->len++;
}

static void ring_take(struct sley_mpsc *ch, void *elem)
{
    copy(elem, slot(ch, ch->head), ch->elem_bytes);
    ch->head = after(ch, ch->head);
    ch->len--;
}

static uint32_t free_count(const struct sley_mpsc *ch)
{
    return ch->slot_count - ch->len - ch->reserved;
}

static void queue_put(struct sley__mpsc_queue *q, struct sley_mpsc_op *op)
{
    op->next = NULL;
    op->prev = q->tail;
    if (q->tail) {
        q->tail->next = op;
    } else {
        q->head = op;
    }
    q->tail = op;
    op->queued = 1;
}

static void queue_remove(struct sley__mpsc_queue *q, struct sley_mpsc_op *op)
{
    if (op->prev) {
        op->prev->next = op->next;
    } else {
        q->head = op->next;
    }
    if (op->next) {
        op->next->prev = op->prev;
    } else {
        q->tail = op->prev;
    }
    op->queued = 0;
}

/* ---- entering and leaving -------------------------------------------------------------------------------------- */

/* Ops to be completed once the lock is free again, in order. They are in no queue: nobody else completes them. */
struct served {
    struct sley_mpsc_op *head;
    struct sley_mpsc_op **tail;
};

/** Makes `len` true; see invariant 3. */
static void open_up(struct sley_mpsc *ch)
{
    if (!ch->blocked) {
        ch->len = sley__mpsc_ready(ch);
    }
}

static bool enter(struct sley_mpsc *ch)
{
    const bool home = sley__lock(&ch->lock);
    open_up(ch);
    return home;
}

/** Restores invariants 2 and 3, and leaves. */
static void leave(struct sley_mpsc *ch, bool home)
{
    const bool blocked = ch->closed || ch->receivers.head || ch->senders.head;
    ch->blocked = blocked;
    ch->counts = blocked ? 0 : ((uint64_t)ch->len << 32) | free_count(ch);
    sley__unlock(&ch->lock, home);
}

static void served_put(struct served *list, struct sley_mpsc_op *op, int verdict)
{
    op->verdict = (int16_t)verdict;
    op->next = NULL;
    if (list->head) {
        *list->tail = op;
    } else {
        list->head = op;
    }
    list->tail = &op->next;
}

static void complete_all(struct served *list)
{
    for (struct sley_mpsc_op *op = list->head; op;) {
        struct sley_mpsc_op *next = op->next; /* once completed, the op is gone */
        sley_wait_complete(&op->wait, op->verdict);
        op = next;
    }
}

/** Takes the first receiver out to hand it @p elem. */
static void hand_over(struct sley_mpsc *ch, const void *elem, struct served *list)
{
    struct sley_mpsc_op *r = ch->receivers.head;
    queue_remove(&ch->receivers, r);
    copy(r->elem, elem, ch->elem_bytes);
    served_put(list, r, 1);
}

/** Serves senders, oldest first, until one has to wait on: restores invariant 1 after slots or receivers have come. */
static void settle(struct sley_mpsc *ch, struct served *list)
{
    struct sley_mpsc_op *op;
    while ((op = ch->senders.head) != NULL) {
        if (op->kind == KIND_SEND && ch->receivers.head) {
            hand_over(ch, op->elem, list); /* no slot is needed: all may be reserved */
        } else if (op->want > free_count(ch)) {
            return;
        } else if (op->kind == KIND_SEND) {
            ring_put(ch, op->elem);
        } else {
            ch->reserved += op->want;
        }
        queue_remove(&ch->senders, op);
        served_put(list, op, 0);
    }
}

/** Nothing is inside and nothing can come: tells those who wait for it. */
static void end_receivers(struct sley_mpsc *ch, struct served *list)
{
    while (ch->closed && ch->reserved == 0 && ch->receivers.head) {
        struct sley_mpsc_op *r = ch->receivers.head;
        queue_remove(&ch->receivers, r);
        served_put(list, r, 0);
    }
}

/* ---- starting and cancelling ----------------------------------------------------------------------------------- */

static void cancel(struct sley_wait *w)
{
    struct sley_mpsc_op *op = sley_container_of(w, struct sley_mpsc_op, wait);
    struct sley_mpsc *ch = op->channel;
    struct served list = {0};
    const bool home = enter(ch);
    if (op->queued) {
        queue_remove(op->kind == KIND_RECV ? &ch->receivers : &ch->senders, op);
        served_put(&list, op, -ECANCELED);
        settle(ch, &list); /* the next one may want less */
    }
    leave(ch, home);
    complete_all(&list);
}

static const struct sley_wait_ops recv_ops = {.version = SLEY_WAIT_VERSION, .name = "mpsc.recv", .cancel = cancel};
static const struct sley_wait_ops send_ops = {.version = SLEY_WAIT_VERSION, .name = "mpsc.send", .cancel = cancel};
static const struct sley_wait_ops reserve_ops = {.version = SLEY_WAIT_VERSION, .name = "mpsc.reserve", .cancel = cancel};

/** Queues the op, and leaves. */
static void wait_in(struct sley__mpsc_queue *q, struct sley_mpsc_op *op, struct sley_mpsc *ch, bool home)
{
    op->channel = ch;
    sley_wait_arm(&op->wait);
    queue_put(q, op);
    leave(ch, home);
}

/** The lock is held, `len` is true. */
static void send_inside(struct sley_mpsc_op *op, struct sley_mpsc *ch, const void *elem, bool home)
{
    if (ch->closed) {
        leave(ch, home);
        sley_wait_finish(&op->wait, -EPIPE);
    } else if (ch->senders.head || (!ch->receivers.head && free_count(ch) == 0)) {
        op->kind = KIND_SEND;
        op->want = 1;
        op->elem = (void *)(uintptr_t)elem; /* only read from */
        wait_in(&ch->senders, op, ch, home);
    } else if (ch->receivers.head) {
        struct sley_mpsc_op *r = ch->receivers.head;
        queue_remove(&ch->receivers, r);
        copy(r->elem, elem, ch->elem_bytes);
        leave(ch, home);
        sley_wait_finish(&op->wait, 0);
        sley_wait_complete(&r->wait, 1);
    } else {
        ring_put(ch, elem);
        leave(ch, home);
        sley_wait_finish(&op->wait, 0);
    }
}

/** The lock is held, `len` is true. */
static void recv_inside(struct sley_mpsc_op *op, struct sley_mpsc *ch, void *ret_elem, bool home)
{
    struct served list = {0};
    struct sley_mpsc_op *first = ch->senders.head;
    if (ch->len > 0) {
        ring_take(ch, ret_elem);
        settle(ch, &list);
    } else if (first && first->kind == KIND_SEND) {
        queue_remove(&ch->senders, first); /* every slot is reserved: straight from hand to hand */
        copy(ret_elem, first->elem, ch->elem_bytes);
        served_put(&list, first, 0);
        settle(ch, &list);
    } else if (ch->closed && ch->reserved == 0) {
        leave(ch, home);
        sley_wait_finish(&op->wait, 0);
        return;
    } else {
        op->kind = KIND_RECV;
        op->elem = ret_elem;
        wait_in(&ch->receivers, op, ch, home);
        return;
    }
    leave(ch, home);
    sley_wait_finish(&op->wait, 1);
    complete_all(&list);
}

/* The two below are what a channel does when it is used for a conversation (one waits, one sends), so they come first. */

void sley__mpsc_send_home(struct sley_mpsc_op *op, struct sley_mpsc *ch, const void *elem)
{
    sley_wait_begin_always(&op->wait, &send_ops); /* budget is left, so the task is not cancelled */
    struct sley_mpsc_op *r = ch->receivers.head;
    if (SLEY_LIKELY(r && r == ch->receivers.tail && !ch->senders.head && !ch->closed)) {
        r->queued = 0;
        ch->receivers.head = NULL;
        ch->receivers.tail = NULL;
        copy(r->elem, elem, ch->elem_bytes);
        ch->blocked = 0; /* nobody waits any more; nothing is inside, by invariant 1 */
        ch->counts = ch->slot_count - ch->reserved;
        sley__unlock_home(&ch->lock);
        sley_wait_finish(&op->wait, 0);
        sley_wait_complete(&r->wait, 1);
        return;
    }
    open_up(ch);
    send_inside(op, ch, elem, true);
}

void sley__mpsc_recv_home(struct sley_mpsc_op *op, struct sley_mpsc *ch, void *ret_elem)
{
    sley_wait_begin_always(&op->wait, &recv_ops);
    if (SLEY_LIKELY(!ch->blocked)) { /* open, nobody waits, and `ready` says that nothing is inside */
        op->channel = ch;
        op->kind = KIND_RECV;
        op->elem = ret_elem;
        op->queued = 1;
        op->next = NULL;
        op->prev = NULL;
        sley_wait_arm(&op->wait);
        ch->receivers.head = op;
        ch->receivers.tail = op;
        ch->blocked = 1;
        ch->len = 0;
        ch->counts = 0;
        sley__unlock_home(&ch->lock);
        return;
    }
    open_up(ch);
    recv_inside(op, ch, ret_elem, true);
}

static bool valid(const struct sley_mpsc *ch, const void *elem)
{
    return ch && ch->slot_count && (elem || ch->elem_bytes == 0);
}

void sley_mpsc_send_start(struct sley_mpsc_op *op, struct sley_mpsc *ch, const void *elem)
{
    if (!sley_wait_begin(&op->wait, &send_ops)) {
        return;
    }
    if (!valid(ch, elem)) {
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    send_inside(op, ch, elem, enter(ch));
}

void sley_mpsc_recv_start(struct sley_mpsc_op *op, struct sley_mpsc *ch, void *ret_elem)
{
    if (!sley_wait_begin(&op->wait, &recv_ops)) {
        return;
    }
    if (!valid(ch, ret_elem)) {
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    recv_inside(op, ch, ret_elem, enter(ch));
}

/** Reserves at once, or says why not: -EAGAIN. The lock is held. */
static int reserve_now(struct sley_mpsc *ch, uint32_t n)
{
    if (ch->closed) {
        return -EPIPE;
    }
    if (n > 0 && (ch->senders.head || n > free_count(ch))) {
        return -EAGAIN;
    }
    ch->reserved += n;
    return 0;
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
    const bool home = enter(ch);
    const int rc = reserve_now(ch, (uint32_t)n);
    if (rc == -EAGAIN) {
        op->kind = KIND_RESERVE;
        op->want = (uint32_t)n;
        wait_in(&ch->senders, op, ch, home);
    } else {
        leave(ch, home);
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
    if (!valid(ch, elem) || !sley__lock_inline(&ch->lock, s)) {
        sley_mpsc_send_start(&op, ch, elem);
    } else if (SLEY_LIKELY(sley__mpsc_room(ch) > 0)) {
        copy(slot(ch, ch->tail), elem, ch->elem_bytes);
        ch->tail = after(ch, ch->tail);
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
    if (!valid(ch, ret_elem) || !sley__lock_inline(&ch->lock, s)) {
        sley_mpsc_recv_start(&op, ch, ret_elem);
    } else if (SLEY_LIKELY(sley__mpsc_ready(ch) > 0)) {
        copy(ret_elem, slot(ch, ch->head), ch->elem_bytes);
        ch->head = after(ch, ch->head);
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

/* ---- without waiting ------------------------------------------------------------------------------------------- */

/** Puts a message that needs no queueing: to a receiver, or into a free slot. */
static void deliver(struct sley_mpsc *ch, const void *elem, struct served *list)
{
    if (ch->receivers.head) {
        hand_over(ch, elem, list);
    } else {
        ring_put(ch, elem);
    }
}

int sley_mpsc_try_send(struct sley_mpsc *ch, const void *elem)
{
    if (!valid(ch, elem)) {
        return -EINVAL;
    }
    struct served list = {0};
    int rc = 0;
    const bool home = enter(ch);
    if (ch->closed) {
        rc = -EPIPE;
    } else if (ch->senders.head || (!ch->receivers.head && free_count(ch) == 0)) {
        rc = -EAGAIN;
    } else {
        deliver(ch, elem, &list);
    }
    leave(ch, home);
    complete_all(&list);
    return rc;
}

int sley_mpsc_force_send(struct sley_mpsc *ch, const void *elem, void *ret_evicted)
{
    if (!valid(ch, elem) || !valid(ch, ret_evicted)) {
        return -EINVAL;
    }
    struct served list = {0};
    int rc = 0;
    const bool home = enter(ch);
    if (ch->closed) {
        rc = -EPIPE;
    } else if (ch->receivers.head || free_count(ch) > 0) {
        deliver(ch, elem, &list);
    } else if (ch->len == 0) {
        rc = -EAGAIN;
    } else {
        ring_take(ch, ret_evicted);
        ring_put(ch, elem);
        rc = 1;
    }
    leave(ch, home);
    complete_all(&list);
    return rc;
}

int sley_mpsc_try_recv(struct sley_mpsc *ch, void *ret_elem)
{
    if (!valid(ch, ret_elem)) {
        return -EINVAL;
    }
    struct served list = {0};
    int rc = 1;
    const bool home = enter(ch);
    struct sley_mpsc_op *first = ch->senders.head;
    if (ch->len > 0) {
        ring_take(ch, ret_elem);
    } else if (first && first->kind == KIND_SEND) {
        queue_remove(&ch->senders, first);
        copy(ret_elem, first->elem, ch->elem_bytes);
        served_put(&list, first, 0);
    } else {
        rc = ch->closed && ch->reserved == 0 ? 0 : -EAGAIN;
    }
    settle(ch, &list);
    leave(ch, home);
    complete_all(&list);
    return rc;
}

int sley_mpsc_try_reserve(struct sley_mpsc *ch, size_t n)
{
    if (!ch || n > ch->slot_count) {
        return -EINVAL;
    }
    const bool home = enter(ch);
    const int rc = reserve_now(ch, (uint32_t)n);
    leave(ch, home);
    return rc;
}

int sley_mpsc_send_reserved(struct sley_mpsc *ch, const void *elem)
{
    if (!valid(ch, elem)) {
        return -EINVAL;
    }
    struct served list = {0};
    int rc = -EINVAL;
    const bool home = enter(ch);
    if (ch->reserved > 0) {
        ch->reserved--;
        deliver(ch, elem, &list);
        settle(ch, &list); /* a receiver took it: the slot is free */
        end_receivers(ch, &list);
        rc = 0;
    }
    leave(ch, home);
    complete_all(&list);
    return rc;
}

int sley_mpsc_release(struct sley_mpsc *ch, size_t n)
{
    if (!ch) {
        return -EINVAL;
    }
    struct served list = {0};
    int rc = -EINVAL;
    const bool home = enter(ch);
    if (n <= ch->reserved) {
        ch->reserved -= (uint32_t)n;
        settle(ch, &list);
        end_receivers(ch, &list);
        rc = 0;
    }
    leave(ch, home);
    complete_all(&list);
    return rc;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

int sley_mpsc_init(struct sley_mpsc *ch, void *slots, size_t slot_count, size_t elem_bytes)
{
    if (!ch || slot_count == 0 || slot_count > UINT32_MAX || (!slots && elem_bytes) ||
        (elem_bytes && slot_count > SIZE_MAX / elem_bytes)) {
        return -EINVAL;
    }
    memset(ch, 0, sizeof *ch);
    sley__lock_init(&ch->lock);
    ch->slots = slots;
    ch->slot_count = (uint32_t)slot_count;
    ch->elem_bytes = elem_bytes;
    ch->counts = slot_count;
    return 0;
}

/** Everybody who waits learns that it is closed. The lock is held. */
static void close_inside(struct sley_mpsc *ch, struct served *list)
{
    ch->closed = 1;
    while (ch->senders.head) {
        struct sley_mpsc_op *op = ch->senders.head;
        queue_remove(&ch->senders, op);
        served_put(list, op, -EPIPE);
    }
    end_receivers(ch, list);
}

void sley_mpsc_close(struct sley_mpsc *ch)
{
    if (!ch || ch->slot_count == 0) {
        return;
    }
    struct served list = {0};
    const bool home = enter(ch);
    close_inside(ch, &list);
    leave(ch, home);
    complete_all(&list);
}

void sley_mpsc_fini(struct sley_mpsc *ch, void (*drop)(void *elem))
{
    if (!ch || ch->slot_count == 0) {
        return;
    }
    struct served list = {0};
    const bool home = enter(ch);
    ch->reserved = 0;
    close_inside(ch, &list);
    leave(ch, home);
    complete_all(&list);
    while (ch->len > 0) {
        void *elem = slot(ch, ch->head);
        ch->head = after(ch, ch->head);
        ch->len--;
        if (drop) {
            drop(elem);
        }
    }
    ch->slot_count = 0;
}

size_t sley_mpsc_len(struct sley_mpsc *ch)
{
    const bool home = enter(ch);
    const size_t len = ch->len;
    leave(ch, home);
    return len;
}

bool sley_mpsc_closed(struct sley_mpsc *ch)
{
    const bool home = enter(ch);
    const bool closed = ch->closed;
    leave(ch, home);
    return closed;
}

int sley_mpsc_sender_add(struct sley_mpsc *ch)
{
    if (!ch) {
        return -EINVAL;
    }
    const bool home = enter(ch);
    const int rc = ch->closed ? -EPIPE : ch->sender_count == UINT32_MAX ? -EOVERFLOW : 0;
    ch->sender_count += rc == 0;
    leave(ch, home);
    return rc;
}

int sley_mpsc_sender_drop(struct sley_mpsc *ch)
{
    if (!ch) {
        return -EINVAL;
    }
    struct served list = {0};
    const bool home = enter(ch);
    const int rc = ch->sender_count > 0 ? 0 : -EINVAL;
    if (rc == 0 && --ch->sender_count == 0) {
        close_inside(ch, &list);
    }
    leave(ch, home);
    complete_all(&list);
    return rc;
}
