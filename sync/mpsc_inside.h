/* What the files of the bounded channel share: its ring, its queues, and the way into and out of its lock. Private to sync/.
 *
 * Everything happens under the channel's lock. Ops that are served meanwhile are completed after it, in the order of being served. */
#ifndef SLEY_SYNC_MPSC_INSIDE_H
#define SLEY_SYNC_MPSC_INSIDE_H

#include <sley/mpsc.h>

#include "waiters.h"

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

SLEY_INLINE struct sley_mpsc_op *sley__mpsc_first(const struct sley__waiters *q)
{
    return q->head ? sley_container_of(q->head, struct sley_mpsc_op, waiter) : NULL;
}

/* ---- entering and leaving -------------------------------------------------------------------------------------- */

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

/** Leaves, and completes who has been served meanwhile. */
SLEY_INLINE void sley__mpsc_leave_and_complete(struct sley_mpsc *ch, bool home, const struct sley__waiters *served)
{
    sley__mpsc_leave(ch, home);
    sley__waiters_complete(served, sley_wait_complete);
}

/** Takes the first receiver out to hand it @p elem. */
SLEY_INLINE void sley__mpsc_hand_over(struct sley_mpsc *ch, const void *elem, struct sley__waiters *served)
{
    struct sley_mpsc_op *r = sley__mpsc_first(&ch->receivers);
    sley__mpsc_copy(r->elem, elem, ch->elem_bytes);
    sley__waiters_serve(&ch->receivers, &r->waiter, 1, served);
}

/* ---- more that happens under the lock (mpsc_inside.c) ---------------------------------------------------------------- */

/** Serves senders, oldest first, until one has to wait on: restores invariant 1 after slots or receivers have come. */
void sley__mpsc_settle(struct sley_mpsc *ch, struct sley__waiters *served);
/** Nothing is inside and nothing can come: tells those who wait for it. */
void sley__mpsc_end_receivers(struct sley_mpsc *ch, struct sley__waiters *served);
/** Reserves at once. Returns: 0; -EAGAIN; -EPIPE. */
int sley__mpsc_reserve_now(struct sley_mpsc *ch, uint32_t n);

/** Without the lock: can a message be read from, or written to, @p elem? */
SLEY_INLINE bool sley__mpsc_valid(const struct sley_mpsc *ch, const void *elem)
{
    return ch && ch->slot_count && (elem || ch->elem_bytes == 0);
}

#endif
