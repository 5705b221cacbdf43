/* What the files of the bounded channel share: its ring, its queues, and the way into and out of its lock. Private to sync/.
 *
 * Everything happens under the channel's lock. Ops that are served meanwhile are collected in a list, and completed after it, in the
 * order of being served. */
#ifndef SLEY_SYNC_MPSC_INSIDE_H
#define SLEY_SYNC_MPSC_INSIDE_H

#include <sley/mpsc.h>

enum sley__mpsc_kind { SLEY__MPSC_RECV, SLEY__MPSC_SEND, SLEY__MPSC_RESERVE };

/* ---- the ring and the queues; under the lock ------------------------------------------------------------------- */

SLEY_INLINE void sley__mpsc_copy(void *to, const void *from, size_t bytes)
{
    if (bytes == sizeof(uint64_t)) {
        memcpy(to, from, sizeof(uint64_t)); /* a pointer or a number: the usual message, and one instruction */
    } else if (bytes) {
        memcpy(to, from, bytes);
    }
}

SLEY_INLINE uint32_t sley__mpsc_after(const struct sley_mpsc *ch, uint32_t at)
{
    return at + 1 == ch->slot_count ? 0 : at + 1;
}

SLEY_INLINE void *sley__mpsc_slot(const struct sley_mpsc *ch, uint32_t at)
{
    return ch->elem_bytes ? ch->slots + at * ch->elem_bytes : NULL;
}

SLEY_INLINE void sley__mpsc_ring_put(struct sley_mpsc *ch, const void *elem)
{
    sley__mpsc_copy(sley__mpsc_slot(ch, ch->tail), elem, ch->elem_bytes);
    ch->tail = sley__mpsc_after(ch, ch->tail);
    ch->len++;
}

SLEY_INLINE void sley__mpsc_ring_take(struct sley_mpsc *ch, void *elem)
{
    sley__mpsc_copy(elem, sley__mpsc_slot(ch, ch->head), ch->elem_bytes);
    ch->head = sley__mpsc_after(ch, ch->head);
    ch->len--;
}

SLEY_INLINE uint32_t sley__mpsc_free_count(const struct sley_mpsc *ch)
{
    return ch->slot_count - ch->len - ch->reserved;
}

SLEY_INLINE void sley__mpsc_queue_put(struct sley__mpsc_queue *q, struct sley_mpsc_op *op)
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

SLEY_INLINE void sley__mpsc_queue_remove(struct sley__mpsc_queue *q, struct sley_mpsc_op *op)
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
struct sley__mpsc_served {
    struct sley_mpsc_op *head;
    struct sley_mpsc_op **tail;
};

/** Makes `len` true; see invariant 3. */
SLEY_INLINE void sley__mpsc_open_up(struct sley_mpsc *ch)
{
    if (!ch->blocked) {
        ch->len = sley__mpsc_ready(ch);
    }
}

SLEY_INLINE bool sley__mpsc_enter(struct sley_mpsc *ch)
{
    const bool home = sley__lock(&ch->lock);
    sley__mpsc_open_up(ch);
    return home;
}

/** Restores invariants 2 and 3, and leaves. */
SLEY_INLINE void sley__mpsc_leave(struct sley_mpsc *ch, bool home)
{
    const bool blocked = ch->closed || ch->receivers.head || ch->senders.head;
    ch->blocked = blocked;
    ch->counts = blocked ? 0 : ((uint64_t)ch->len << 32) | sley__mpsc_free_count(ch);
    sley__unlock(&ch->lock, home);
}

SLEY_INLINE void sley__mpsc_served_put(struct sley__mpsc_served *list, struct sley_mpsc_op *op, int verdict)
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

SLEY_INLINE void sley__mpsc_complete_all(struct sley__mpsc_served *list)
{
    for (struct sley_mpsc_op *op = list->head; op;) {
        struct sley_mpsc_op *next = op->next; /* once completed, the op is gone */
        sley_wait_complete(&op->wait, op->verdict);
        op = next;
    }
}

/** Takes the first receiver out to hand it @p elem. */
SLEY_INLINE void sley__mpsc_hand_over(struct sley_mpsc *ch, const void *elem, struct sley__mpsc_served *list)
{
    struct sley_mpsc_op *r = ch->receivers.head;
    sley__mpsc_queue_remove(&ch->receivers, r);
    sley__mpsc_copy(r->elem, elem, ch->elem_bytes);
    sley__mpsc_served_put(list, r, 1);
}

/* ---- more that happens under the lock (mpsc_inside.c) ---------------------------------------------------------------- */

/** Serves senders, oldest first, until one has to wait on: restores invariant 1 after slots or receivers have come. */
void sley__mpsc_settle(struct sley_mpsc *ch, struct sley__mpsc_served *list);
/** Nothing is inside and nothing can come: tells those who wait for it. */
void sley__mpsc_end_receivers(struct sley_mpsc *ch, struct sley__mpsc_served *list);
/** Reserves at once. Returns: 0; -EAGAIN; -EPIPE. */
int sley__mpsc_reserve_now(struct sley_mpsc *ch, uint32_t n);

/** Without the lock: can a message be read from, or written to, @p elem? */
SLEY_INLINE bool sley__mpsc_valid(const struct sley_mpsc *ch, const void *elem)
{
    return ch && ch->slot_count && (elem || ch->elem_bytes == 0);
}

#endif
