/* Ends that the kernel has not told. A receive that stands is woken by what comes, takes what is there, and waits for the next wake; when
 * it has taken the last bytes, the end behind them may have come already, and its wake with it. TCP's end of file is looked for then; a
 * reset is not, when the receive begins to stand behind it, or reaches it after many turns (seen on 6.18); kernels without "io_uring/poll:
 * fix multishot recv missing EOF on wakeup race" miss whatever comes at once behind bytes. Nothing else would ever come of such a socket.
 *
 * So who waits behind a receive that has emptied its socket is noted, and the socket asked (poll(2)) when nothing has come for a moment, or
 * after so many looks: whoever has had its next message by then is fine. If there is an end what stands is dismissed; those behind it begin
 * anew, and are told. A descriptor of the ring's table cannot be asked: there it is dismissed on suspicion. */
#include "uring.h"

#include <poll.h>

enum {
    SIZE_FIRST = 64,
    AT_ONCE = 64,   /* asked in a system call */
    LOOKS = 256,    /* until they are asked, where something comes all the time */
    OF_A_WAIT = 16, /* so many of them is one that waits: the clock goes on meanwhile */
};

static SLEY_NOINLINE bool make_room(struct sley__uring *r)
{
    struct sley__uring_untold *u = &r->untold, next = {.count = u->count, .looks = u->looks};
    next.size = u->size == 0 ? SIZE_FIRST : 2 * u->size;
    next.at = sley_reactor_alloc(r->alloc, next.size * sizeof(struct sley__uring_slot *));
    if (!next.at) {
        return false;
    }
    for (uint32_t i = 0; i < u->count; i++) {
        next.at[i] = u->at[i];
    }
    sley__uring_untold_free(r);
    *u = next;
    return true;
}

void sley__uring_note_untold(struct sley__uring *r, struct sley__uring_slot *slot)
{
    struct sley__uring_untold *u = &r->untold;
    if (SLEY_UNLIKELY(u->count == u->size) && !make_room(r)) {
        sley__uring_ask_untold(r);
        if (u->size == 0) {
            sley__uring_dismiss(r, slot); /* not a byte to be had */
            return;
        }
    }
    slot->standing |= SLEY__URING_UNTOLD;
    u->at[u->count++] = slot;
}

/** Does somebody wait behind what stands? It may be another connection's by now: one that is asked in vain. */
static bool is_waited_for(const struct sley__uring_slot *slot)
{
    const unsigned not_so = SLEY__URING_DISMISSED | SLEY__URING_ACCEPTS | SLEY__URING_FELL;
    return (slot->standing & (SLEY__URING_STANDS | not_so)) == SLEY__URING_STANDS && slot->armed;
}

/** Where nothing may be asked (EINVAL: RLIMIT_NOFILE has been lowered) all are dismissed on suspicion. */
static void ask(struct sley__uring *r, struct sley__uring_slot **slots, const struct pollfd *at, unsigned count)
{
    const int n = count > 0 ? poll((struct pollfd *)(uintptr_t)at, count, 0) : 0;
    for (unsigned i = 0; n != 0 && i < count; i++) {
        if (n < 0 || at[i].revents) {
            sley__uring_dismiss(r, slots[i]);
        }
    }
}

void sley__uring_ask_untold(struct sley__uring *r)
{
    struct sley__uring_untold *u = &r->untold;
    struct pollfd at[AT_ONCE];
    struct sley__uring_slot *slots[AT_ONCE];
    unsigned count = 0;
    for (uint32_t i = 0; i < u->count; i++) {
        struct sley__uring_slot *slot = u->at[i];
        slot->standing &= (uint16_t)~SLEY__URING_UNTOLD;
        if (!is_waited_for(slot)) {
            continue;
        }
        const int number = slot->armed->fd->number;
        if (number >= SLEY_FD_DIRECT_FIRST) {
            sley__uring_dismiss(r, slot);
            continue;
        }
        slots[count] = slot;
        at[count++] = (struct pollfd){.fd = number, .events = POLLRDHUP};
        if (count == AT_ONCE) {
            ask(r, slots, at, count);
            count = 0;
        }
    }
    ask(r, slots, at, count);
    u->count = 0;
    u->looks = 0;
}

bool sley__uring_is_long_untold(struct sley__uring *r, bool waits)
{
    r->untold.looks += waits ? OF_A_WAIT : 1;
    return r->untold.looks > LOOKS;
}

void sley__uring_untold_free(struct sley__uring *r)
{
    if (r->untold.at) {
        sley_alloc_put(r->alloc, r->untold.at, r->untold.size * sizeof(struct sley__uring_slot *));
    }
}
