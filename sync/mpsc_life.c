/* Bounded channel: its start, its close and its end; its senders; what is asked about it. */
#include "mpsc_inside.h"

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
static void close_inside(struct sley_mpsc *ch, struct sley__waiters *served)
{
    ch->closed = 1;
    sley__waiters_serve_all(&ch->senders, -EPIPE, served);
    sley__mpsc_end_receivers(ch, served);
}

void sley_mpsc_close(struct sley_mpsc *ch)
{
    if (!ch || ch->slot_count == 0) {
        return;
    }
    struct sley__waiters served = {0};
    const bool home = sley__mpsc_enter(ch);
    close_inside(ch, &served);
    sley__mpsc_leave_and_complete(ch, home, &served);
}

void sley_mpsc_fini(struct sley_mpsc *ch, void (*drop)(void *elem))
{
    if (!ch || ch->slot_count == 0) {
        return;
    }
    struct sley__waiters served = {0};
    const bool home = sley__mpsc_enter(ch);
    ch->reserved = 0;
    close_inside(ch, &served);
    sley__mpsc_leave_and_complete(ch, home, &served);
    while (ch->len > 0) {
        void *elem = sley__mpsc_slot(ch, ch->head);
        ch->head = sley__mpsc_after(ch, ch->head);
        ch->len--;
        if (drop) {
            drop(elem);
        }
    }
    ch->slot_count = 0;
}

size_t sley_mpsc_len(struct sley_mpsc *ch)
{
    const bool home = sley__mpsc_enter(ch);
    const size_t len = ch->len;
    sley__mpsc_leave(ch, home);
    return len;
}

bool sley_mpsc_closed(struct sley_mpsc *ch)
{
    const bool home = sley__mpsc_enter(ch);
    const bool closed = ch->closed;
    sley__mpsc_leave(ch, home);
    return closed;
}

int sley_mpsc_sender_add(struct sley_mpsc *ch)
{
    if (!ch) {
        return -EINVAL;
    }
    const bool home = sley__mpsc_enter(ch);
    const int rc = ch->closed ? -EPIPE : ch->sender_count == UINT32_MAX ? -EOVERFLOW : 0;
    ch->sender_count += rc == 0;
    sley__mpsc_leave(ch, home);
    return rc;
}

int sley_mpsc_sender_drop(struct sley_mpsc *ch)
{
    if (!ch) {
        return -EINVAL;
    }
    struct sley__waiters served = {0};
    const bool home = sley__mpsc_enter(ch);
    const int rc = ch->sender_count > 0 ? 0 : -EINVAL;
    if (rc == 0 && --ch->sender_count == 0) {
        close_inside(ch, &served);
    }
    sley__mpsc_leave_and_complete(ch, home, &served);
    return rc;
}
