/* Bounded channel: operations that do not wait. */
#include "mpsc_inside.h"

/** Puts a message that needs no queueing: to a receiver, or into a free slot. */
static void deliver(struct sley_mpsc *ch, const void *elem, struct sley__waiters *served)
{
    if (ch->receivers.head) {
        sley__mpsc_hand_over(ch, elem, served);
    } else {
        sley__mpsc_ring_put(ch, elem);
    }
}

int sley_mpsc_try_send(struct sley_mpsc *ch, const void *elem)
{
    if (!sley__mpsc_valid(ch, elem)) {
        return -EINVAL;
    }
    struct sley__waiters served = {0};
    int rc = 0;
    const bool home = sley__mpsc_enter(ch);
    if (ch->closed) {
        rc = -EPIPE;
    } else if (ch->senders.head || (!ch->receivers.head && sley__mpsc_free_count(ch) == 0)) {
        rc = -EAGAIN;
    } else {
        deliver(ch, elem, &served);
    }
    sley__mpsc_leave_and_complete(ch, home, &served);
    return rc;
}

int sley_mpsc_force_send(struct sley_mpsc *ch, const void *elem, void *ret_evicted)
{
    if (!sley__mpsc_valid(ch, elem) || !sley__mpsc_valid(ch, ret_evicted)) {
        return -EINVAL;
    }
    struct sley__waiters served = {0};
    int rc = 0;
    const bool home = sley__mpsc_enter(ch);
    if (ch->closed) {
        rc = -EPIPE;
    } else if (ch->receivers.head || sley__mpsc_free_count(ch) > 0) {
        deliver(ch, elem, &served);
    } else if (ch->len == 0) {
        rc = -EAGAIN;
    } else {
        sley__mpsc_ring_take(ch, ret_evicted);
        sley__mpsc_ring_put(ch, elem);
        rc = 1;
    }
    sley__mpsc_leave_and_complete(ch, home, &served);
    return rc;
}

int sley_mpsc_try_recv(struct sley_mpsc *ch, void *ret_elem)
{
    if (!sley__mpsc_valid(ch, ret_elem)) {
        return -EINVAL;
    }
    struct sley__waiters served = {0};
    int rc = 1;
    const bool home = sley__mpsc_enter(ch);
    struct sley_mpsc_op *first = sley__mpsc_first(&ch->senders);
    if (ch->len > 0) {
        sley__mpsc_ring_take(ch, ret_elem);
    } else if (first && first->waiter.kind == SLEY__MPSC_SEND) {
        sley__mpsc_copy(ret_elem, first->elem, ch->elem_bytes);
        sley__waiters_serve(&ch->senders, &first->waiter, 0, &served);
    } else {
        rc = ch->closed && ch->reserved == 0 ? 0 : -EAGAIN;
    }
    sley__mpsc_settle(ch, &served);
    sley__mpsc_leave_and_complete(ch, home, &served);
    return rc;
}

int sley_mpsc_try_reserve(struct sley_mpsc *ch, size_t n)
{
    if (!ch || n > ch->slot_count) {
        return -EINVAL;
    }
    const bool home = sley__mpsc_enter(ch);
    const int rc = sley__mpsc_reserve_now(ch, (uint32_t)n);
    sley__mpsc_leave(ch, home);
    return rc;
}

int sley_mpsc_send_reserved(struct sley_mpsc *ch, const void *elem)
{
    if (!sley__mpsc_valid(ch, elem)) {
        return -EINVAL;
    }
    struct sley__waiters served = {0};
    int rc = -EINVAL;
    const bool home = sley__mpsc_enter(ch);
    if (ch->reserved > 0) {
        ch->reserved--;
        deliver(ch, elem, &served);
        sley__mpsc_settle(ch, &served); /* a receiver took it: the slot is free */
        sley__mpsc_end_receivers(ch, &served);
        rc = 0;
    }
    sley__mpsc_leave_and_complete(ch, home, &served);
    return rc;
}

int sley_mpsc_release(struct sley_mpsc *ch, size_t n)
{
    if (!ch) {
        return -EINVAL;
    }
    struct sley__waiters served = {0};
    int rc = -EINVAL;
    const bool home = sley__mpsc_enter(ch);
    if (n <= ch->reserved) {
        ch->reserved -= (uint32_t)n;
        sley__mpsc_settle(ch, &served);
        sley__mpsc_end_receivers(ch, &served);
        rc = 0;
    }
    sley__mpsc_leave_and_complete(ch, home, &served);
    return rc;
}
