/* Requests that stand: an accept or a lent receive that is asked for in a loop stays with the kernel, which tells each time what has
 * come (multishot). What comes with nobody there is kept in the slot, and is the next one's, whatever that asks for.
 *
 * States of a slot, by bits of `standing`; BEHIND (an op's): it is armed, and waits for what stands, instead of being in the kernel.
 *
 *                     | nothing                | STANDS                        | STANDS, DISMISSED
 *   an op comes that  |                        |                               |
 *     asks for more   | goes alone; or STANDS, | BEHIND                        | BEHIND
 *                     | if asked for in a loop |                               |
 *     asks otherwise  | goes alone             | BEHIND, dismisses             | BEHIND
 *   ... KEPT, FAILED  | is given it at once    | is given it at once           | is given it at once
 *   something came    |                        | the oldest BEHIND's, or KEPT; | the same
 *                     |                        | too much: dismisses           |
 *   it was the last   |                        | nothing; those BEHIND begin   | the same
 *                     |                        | anew; an error is the         |
 *                     |                        | oldest's, or FAILED           |
 *   an op is cancelled|                        | ends; the last dismisses      | ends
 *   a listener brings,|                        | dismisses, unless somebody is | the same
 *     then a wait, or |                        | BEHIND; alone for a while     |
 *     who was told has|                        |                               |
 *     had a turn      |                        |                               |
 *   nothing has come  |                        | if the socket has come to an  | nothing
 *     for a moment    |                        | end: dismisses (untold.c)     |
 *   the thread stops  |                        | if nothing is armed at all:   | the same
 *     to drive (rest) |                        | dismisses, hears the end      |
 *   a close comes     | closes, drops KEPT     | dismisses, waits for the end  | waits for the end
 *   the number comes  | drops KEPT             | dismisses, in one call: then  | the same
 *   home anew         |                        | nothing, or -EEXIST           |
 *   a move            | KEPT, FAILED: -EEXIST  | as above, then KEPT: -EEXIST  | the same
 *
 * Asking otherwise: a receive into memory of its own, a message, a poll; an accept that wants its connection in the other table (what lies
 * there is its own nevertheless: a direct one is given a number, INSTALLS, and where the kernel has no FD_INSTALL none stands that would
 * bring direct ones). That is what DISMISSED is for as well; the kernel answers with the last completion. A request that stands counts in
 * flying_count until then, and nobody's op is armed for it. */
#include "uring.h"

#include <errno.h>

/* ---- begin and end ----------------------------------------------------------------------------------------------------- */

struct io_uring_sqe *sley__uring_stand(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    struct io_uring_sqe *sqe = sley__uring_place(r);
    if (sqe) {
        op->stage |= SLEY__URING_BEHIND;
        slot->standing |= SLEY__URING_STANDS;
        sley__fd_set(op->fd, sley__fd_state(op->fd) | SLEY_FD_AHEAD);
        r->standing_count++;
        r->flying_count++;
    }
    return sqe;
}

void sley__uring_describe_standing(const struct sley__uring_slot *slot, struct io_uring_sqe *sqe)
{
    if (sqe->fd >= SLEY_FD_DIRECT_FIRST) {
        sqe->fd -= SLEY_FD_DIRECT_FIRST;
        sqe->flags |= IOSQE_FIXED_FILE;
    }
    io_uring_sqe_set_data64(sqe, sley__uring_standing_tag(slot));
}

void sley__uring_dismiss(struct sley__uring *r, struct sley__uring_slot *slot)
{
    if ((slot->standing & (SLEY__URING_STANDS | SLEY__URING_DISMISSED)) != SLEY__URING_STANDS) {
        return;
    }
    slot->standing |= SLEY__URING_DISMISSED;
    if (!sley__uring_queue_end_of(r, slot, sley__uring_standing_tag(slot))) {
        slot->standing |= SLEY__URING_DISMISS_DUE;
        r->due |= SLEY__URING_AGAIN;
    }
}

void sley__uring_dismiss_if_due(struct sley__uring *r, struct sley__uring_slot *slot)
{
    if (slot->standing & SLEY__URING_DISMISS_DUE) {
        slot->standing &= (uint16_t) ~(SLEY__URING_DISMISS_DUE | SLEY__URING_DISMISSED);
        sley__uring_dismiss(r, slot);
    }
}

void sley__uring_dismiss_if_missed(struct sley__uring *r, struct sley__uring_slot *slot)
{
    if ((slot->standing & SLEY__URING_STANDS) && (slot->standing & SLEY__URING_DISMISSED) && !(slot->standing & SLEY__URING_FELL)) {
        slot->standing &= (uint16_t)~SLEY__URING_DISMISSED;
        sley__uring_dismiss(r, slot);
    }
}

/** Of those that wait for what stands the oldest; NULL: none does. */
static struct sley_io_op *oldest_behind(const struct sley__uring_slot *slot)
{
    struct sley_io_op *found = NULL;
    for (struct sley_io_op *op = slot->armed; op; op = op->next) {
        found = op->stage & SLEY__URING_BEHIND ? op : found;
    }
    return found;
}

/** It stands no more. */
static void fallen(struct sley__uring *r, struct sley__uring_slot *slot)
{
    struct sley_io_op *op;
    slot->standing &= (uint16_t) ~(SLEY__URING_STANDS | SLEY__URING_DISMISSED | SLEY__URING_DISMISS_DUE);
    r->standing_count--;
    r->flying_count--;
    while (!(slot->standing & SLEY__URING_STANDS) && (op = oldest_behind(slot)) != NULL) {
        op->stage &= (uint8_t) ~(uint32_t)SLEY__URING_BEHIND;
        if (op->stage & SLEY__URING_CANCELLED) {
            sley__uring_end(r, slot, op, -ECANCELED);
        } else if (op->code == SLEY_IO_ACCEPT) {
            sley__uring_accept_anew(r, slot, op);
        } else {
            sley__uring_receive_anew(r, slot, op);
        }
    }
    sley__uring_close_due(r, slot);
}

void sley__uring_stood(struct sley__uring *r, struct sley__uring_slot *slot, int32_t res, uint32_t flags)
{
    if (slot->standing & SLEY__URING_ACCEPTS) {
        sley__uring_accepted(r, slot, res, flags);
    } else {
        sley__uring_received(r, slot, res, flags);
    }
    if (!(flags & IORING_CQE_F_MORE)) {
        fallen(r, slot);
    }
}

/* ---- for nobody ---------------------------------------------------------------------------------------------------------- */

enum { TURN = 64, UNASKED_LOOKS = 8 }; /* tasks that run between two looks, about; of a worker that has always something ready */

/** After so many looks whoever has just been told has had a turn. */
static uint32_t looks_until_heard(const struct sley__uring *r)
{
    const uint32_t turns = r->base.sched ? (r->base.sched->ready_count + TURN - 1) / TURN : 0;
    return turns < 1 ? 1 : turns < UNASKED_LOOKS ? turns : UNASKED_LOOKS;
}

void sley__uring_unasked(struct sley__uring *r, struct sley__uring_slot *slot)
{
    if (!(r->due & SLEY__URING_UNASKED)) {
        r->unasked_looks = looks_until_heard(r);
    }
    r->unasked = !(r->due & SLEY__URING_UNASKED) || r->unasked == slot ? slot : NULL;
    r->due |= SLEY__URING_UNASKED;
}

static void dismiss_if_unasked(struct sley__uring *r, struct sley__uring_slot *slot)
{
    if ((slot->standing & SLEY__URING_STANDS) && (slot->standing & SLEY__URING_ACCEPTS) && !oldest_behind(slot)) {
        slot->standing |= SLEY__URING_SHY;
        sley__uring_dismiss(r, slot);
    }
}

void sley__uring_dismiss_unasked(struct sley__uring *r, bool waits)
{
    if (!waits && r->unasked_looks > 1) {
        r->unasked_looks--;
        return;
    }
    r->due &= (uint8_t)~SLEY__URING_UNASKED;
    if (r->unasked) {
        dismiss_if_unasked(r, r->unasked);
    } else {
        sley__uring_each_slot(r, dismiss_if_unasked);
    }
}

/* ---- ops that wait for it ---------------------------------------------------------------------------------------------- */

void sley__uring_wait_behind(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    op->stage = SLEY__URING_BEHIND;
    sley_io_arm(&r->base, op);
    sley__uring_push(slot, op);
    if (slot->is_dry && !(slot->standing & SLEY__URING_UNTOLD)) {
        sley__uring_note_untold(r, slot);
    }
}

bool sley__uring_leave(struct sley__uring *r, struct sley_io_op *op)
{
    struct sley__uring_slot *slot = sley__uring_find(r, op->fd->number);
    if (!(op->stage & SLEY__URING_BEHIND)) {
        return false;
    }
    op->stage &= (uint8_t) ~(uint32_t)SLEY__URING_BEHIND;
    if (!oldest_behind(slot)) {
        sley__uring_dismiss(r, slot);
    }
    sley__uring_end(r, slot, op, -ECANCELED);
    return true;
}

/* ---- the number goes --------------------------------------------------------------------------------------------------- */

void sley__uring_drop_ahead(struct sley__uring *r, struct sley__uring_slot *slot)
{
    if (slot->standing & SLEY__URING_KEPT) {
        if (slot->standing & SLEY__URING_ACCEPTS) {
            sley__uring_drop_connections(r, slot);
        } else {
            sley__uring_drop_bytes(r, slot);
        }
    }
    slot->standing &= SLEY__URING_STANDS | SLEY__URING_DISMISSED | SLEY__URING_DISMISS_DUE | SLEY__URING_ACCEPTS |
                      SLEY__URING_TO_TABLE | SLEY__URING_UNTOLD | SLEY__URING_FELL;
}

/** Works off what has come of it, wherever it stands in the queue of completions. */
static void hear(struct sley__uring *r, struct sley__uring_slot *slot)
{
    const struct io_uring_cq *cq = &r->ring.cq;
    const unsigned head = *cq->khead, count = sley__uring_results(r);
    for (unsigned i = 0; i < count && (slot->standing & SLEY__URING_STANDS); i++) {
        struct io_uring_cqe *cqe = &cq->cqes[(head + i) & cq->ring_mask];
        if (cqe->user_data == sley__uring_standing_tag(slot)) {
            cqe->user_data = SLEY__URING_NOTHING;
            sley__uring_stood(r, slot, cqe->res, cqe->flags);
        }
    }
}

int sley__uring_stand_down(struct sley__uring *r, struct sley__uring_slot *slot)
{
    if (slot->standing & SLEY__URING_STANDS) {
        sley__uring_dismiss(r, slot);
        (void)sley__uring_submit_now(r);
        hear(r, slot);
    }
    return slot->standing & SLEY__URING_STANDS ? -EEXIST : 0;
}

int sley__uring_rest(struct sley_reactor *self)
{
    struct sley__uring *r = sley_container_of(self, struct sley__uring, base);
    sley__uring_unregister(r);
    if (!sley__uring_is_mine(r)) {
        const bool ends_with_it = self->armed_count == 0 && sley__uring_has(r, SLEY__URING_DEFER); /* see destroy */
        if (r->flying_count == 0 || ends_with_it || sley__uring_is_idle(r)) {
            return 0;
        }
        if (sley__uring_is_left(r)) {
            (void)sley__uring_submit_now(r);
        }
        return -EBUSY; /* a look does what is to be done after that */
    }
    if (r->lost_count > 0) {
        return -EBUSY;
    }
    if (r->standing_count > 0 && self->armed_count == 0) {
        uint32_t before;
        sley__uring_each_slot(r, sley__uring_dismiss);
        do {
            before = r->standing_count;
            (void)sley__uring_drain_now(r);
        } while (r->standing_count > 0 && r->standing_count < before);
    }
    return 0;
}

bool sley__uring_dismissal_refused(struct sley__uring *r, struct sley__uring_slot *slot)
{
    struct sley_io_op *closer = slot->closer;
    if (closer && !slot->armed) {
        slot->standing &= (uint16_t)~SLEY__URING_DISMISSED;
        slot->closer = NULL;
        sley__fd_set(closer->fd, sley__fd_state(closer->fd) & ~(uint32_t)SLEY_FD_CLOSING);
        sley_io_complete(&r->base, closer, -EXDEV);
        return true;
    }
    slot->standing |= SLEY__URING_DISMISS_DUE; /* its own thread says it again */
    r->due |= SLEY__URING_AGAIN;
    return false;
}
