/* Bounded channel: who is served next. All of it under the channel's lock. */
#include "mpsc_inside.h"

void sley__mpsc_settle(struct sley_mpsc *ch, struct sley__mpsc_served *list)
{
    struct sley_mpsc_op *op;
    while ((op = ch->senders.head) != NULL) {
        if (op->kind == SLEY__MPSC_SEND && ch->receivers.head) {
            sley__mpsc_hand_over(ch, op->elem, list); /* no slot is needed: all may be reserved */
        } else if (op->want > sley__mpsc_free_count(ch)) {
            return;
        } else if (op->kind == SLEY__MPSC_SEND) {
            sley__mpsc_ring_put(ch, op->elem);
        } else {
            ch->reserved += op->want;
        }
        sley__mpsc_queue_remove(&ch->senders, op);
        sley__mpsc_served_put(list, op, 0);
    }
}

void sley__mpsc_end_receivers(struct sley_mpsc *ch, struct sley__mpsc_served *list)
{
    while (ch->closed && ch->reserved == 0 && ch->receivers.head) {
        struct sley_mpsc_op *r = ch->receivers.head;
        sley__mpsc_queue_remove(&ch->receivers, r);
        sley__mpsc_served_put(list, r, 0);
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
