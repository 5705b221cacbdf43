/* Bounded channel: who is served next. All of it under the channel's lock. */
#include "mpsc_inside.h"

void sley__mpsc_settle(struct sley_mpsc *ch, struct sley__waiters *served)
{
    struct sley_mpsc_op *op;
    while ((op = sley__mpsc_first(&ch->senders)) != NULL) {
        if (op->waiter.kind == SLEY__MPSC_SEND && ch->receivers.head) {
            sley__mpsc_hand_over(ch, op->elem, served); /* no slot is needed: all may be reserved */
        } else if (op->waiter.want > sley__mpsc_free_count(ch)) {
            return;
        } else if (op->waiter.kind == SLEY__MPSC_SEND) {
            sley__mpsc_ring_put(ch, op->elem);
        } else {
            ch->reserved += op->waiter.want;
        }
        sley__waiters_serve(&ch->senders, &op->waiter, 0, served);
    }
}

void sley__mpsc_end_receivers(struct sley_mpsc *ch, struct sley__waiters *served)
{
    if (ch->closed && ch->reserved == 0) {
        sley__waiters_serve_all(&ch->receivers, 0, served);
    }
}

int sley__mpsc_reserve_now(struct sley_mpsc *ch, uint32_t n)
{
    if (ch->closed) {
        return -EPIPE;
    }
    if (n > 0 && (ch->senders.head || n > sley__mpsc_free_count(ch))) {
        return -EAGAIN;
    }
    ch->reserved += n;
    return 0;
}
