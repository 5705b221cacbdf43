/* A ring whose thread has ended, with ops in flight. Nobody else may enter it: what it still has is told to nobody. With DEFER that is all
 * that a receive, a send, an accept or a poll needs to stand still, for what wakes them is worked off in the thread's own system calls, and
 * there are none any more. So whoever drives next closes that ring and asks for them in one of its own; their waiters notice nothing.
 *
 * What the kernel may be doing at that moment is another matter: a transfer to a file's blocks, a send that copies nothing. It uses the
 * caller's memory until it is through, and how it has ended is said to the ring that is closed. Such an op is LOST: it waits until the old
 * ring has ended, for that does so behind the last of them, and is told -EOWNERDEAD then. The ring's end shows by a witness: one end of a
 * pipe, which is in its table of files and nowhere else; when it goes the other end is hung up. A child of a fork, which has a copy of the
 * ring, may keep it for longer than any disk takes: so nobody waits for it without end (PATIENCE), and what is lost keeps its memory.
 *
 * The old ring ends when the kernel finds time for it. Until then a connection may wake its accept instead of ours, for of those that wait
 * for one the kernel wakes the first: a listener that had one in the old ring is ROBBED, and its accepts wait as polls do, which are woken
 * all, and go alone.
 *
 * Results that found no room in the old ring's queue are never seen (deaf): whatever was the kernel's then is LOST, and what stood at a
 * connection has FAILED.
 *
 * That a thread has ended is known by what it has left to its end. Before DEFER a ring is no thread's: anybody may enter it. */
#include "uring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000 };
enum { NO_WITNESS = -1, NONE_TO_BE_HAD = -2 };

/* ---- threads ----------------------------------------------------------------------------------------------------------- */

struct sley__uring_thread {
    SLEY_ATOMIC(uint32_t) ref_count; /* its own, and one of each ring that is its */
    SLEY_ATOMIC(bool) gone;
};

static pthread_key_t key;
static bool has_key;

void sley__uring_thread_unref(struct sley__uring_thread *t)
{
    struct sley_alloc libc;
    /* acq_rel: whoever is the last observes what the others did with it */
    if (t && atomic_fetch_sub_explicit(&t->ref_count, 1, memory_order_acq_rel) == 1 && sley_alloc_libc_init(&libc) == 0) {
        sley_alloc_put(&libc, t, sizeof *t);
    }
}

static void ends(void *arg)
{
    struct sley__uring_thread *t = arg;
    /* release: all that it did with its rings comes before; pairs with sley__uring_is_left */
    atomic_store_explicit(&t->gone, true, memory_order_release);
    sley__uring_thread_unref(t);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, ends) == 0;
}

struct sley__uring_thread *sley__uring_thread_ref(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct sley_alloc libc;
    (void)pthread_once(&once, make_key);
    if (!has_key || sley_alloc_libc_init(&libc) < 0) {
        return NULL;
    }
    struct sley__uring_thread *t = pthread_getspecific(key);
    if (!t) {
        t = sley_alloc_zeroed(&libc, sizeof *t, _Alignof(struct sley__uring_thread));
        if (t && pthread_setspecific(key, t) != 0) {
            sley_alloc_put(&libc, t, sizeof *t);
            t = NULL;
        }
        if (!t) {
            return NULL;
        }
        /* relaxed: nobody else knows it yet */
        atomic_store_explicit(&t->ref_count, 1, memory_order_relaxed);
    }
    /* relaxed: this thread has one of its own */
    atomic_fetch_add_explicit(&t->ref_count, 1, memory_order_relaxed);
    return t;
}

/* ---- the witness --------------------------------------------------------------------------------------------------------- */

/** Registers it: behind the places of direct descriptors, if there are any. */
static int put(const struct sley__uring *r, int number)
{
    int32_t file = number;
    struct io_uring_rsrc_update up = {.offset = r->direct_size, .data = (uint64_t)(uintptr_t)&file};
    if (r->direct_size == 0) {
        return sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_FILES, &file, 1);
    }
    return sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_FILES_UPDATE, &up, 1) == 1 ? 0 : -EINVAL;
}

void sley__uring_call_witness(struct sley__uring *r)
{
    int ends_of_pipe[2];
    r->has_files = true;
    if (r->witness != NO_WITNESS || !sley__uring_has(r, SLEY__URING_DEFER) || r->base.box.served) {
        return;
    }
    r->witness = NONE_TO_BE_HAD;
    if (pipe2(ends_of_pipe, O_CLOEXEC) == 0) {
        const int rc = put(r, ends_of_pipe[1]);
        (void)close(ends_of_pipe[1]);
        if (rc == 0) {
            r->witness = ends_of_pipe[0];
        } else {
            (void)close(ends_of_pipe[0]);
        }
    }
}

void sley__uring_dismiss_witness(struct sley__uring *r)
{
    if (r->witness >= 0) {
        (void)close(r->witness);
    }
    r->witness = NO_WITNESS;
}

static bool hung_up(int witness, int timeout_ms)
{
    struct pollfd p = {.fd = witness};
    return poll(&p, 1, timeout_ms) == 1;
}

/* ---- the heir ------------------------------------------------------------------------------------------------------------ */

bool sley__uring_is_left(const struct sley__uring *r)
{
    /* acquire: pairs with ends */
    const bool gone = r->driver && atomic_load_explicit(&r->driver->gone, memory_order_acquire);
    const bool known = !r->has_files || (r->witness >= 0 && r->lost_count == 0);
    return gone && known && sley__uring_has(r, SLEY__URING_DEFER) && sley__uring_results(r) == 0;
}

/** Is this among what has been taken along from the old submission queue? */
static bool is_queued(const struct sley__uring *r, uint64_t tag)
{
    const struct io_uring_sq *sq = &r->ring.sq;
    unsigned at = *sq->khead;
    while (at != sq->sqe_tail && sq->sqes[at & sq->ring_mask].user_data != tag) {
        at++;
    }
    return at != sq->sqe_tail;
}

/** An armed op was the old ring's, perhaps. */
static void pass_on(struct sley__uring *r, struct sley_io_op *op)
{
    const uint32_t elsewhere = SLEY__URING_DUE | SLEY__URING_BEHIND | SLEY__URING_LOST;
    if (!sley__uring_has(r, SLEY__URING_DIRECT)) {
        op->stage &= (uint8_t) ~(uint32_t)(SLEY__URING_PLACE | SLEY__URING_INSTALLS);
    }
    if ((op->stage & elsewhere) || sley__uring_is_later(r, op) || is_queued(r, (uint64_t)(uintptr_t)op)) {
        return;
    }
    r->flying_count--;
    if (op->code >= SLEY_IO_CLOSE || r->deaf) {
        op->stage |= SLEY__URING_LOST;
        r->lost_count++;
    } else { /* to connect once more is an answer when the socket is writable, and a mistake before */
        const bool robbed = op->code == SLEY_IO_ACCEPT && !(op->stage & SLEY__URING_INSTALLS);
        if (robbed) {
            sley__uring_find(r, op->fd->number)->standing |= SLEY__URING_ROBBED;
        }
        op->stage |= SLEY__URING_DUE | (robbed || op->code == SLEY_IO_CONNECT ? SLEY__URING_POLLING : 0);
    }
}

static void slot_passed_on(struct sley__uring *r, struct sley__uring_slot *slot)
{
    if ((slot->standing & SLEY__URING_STANDS) && !is_queued(r, sley__uring_standing_tag(slot))) {
        const bool accepts = slot->standing & SLEY__URING_ACCEPTS;
        slot->standing |= SLEY__URING_FELL | (accepts ? SLEY__URING_ROBBED : 0);
        if (r->deaf && !accepts && !slot->is_abandoned) { /* it may have taken bytes that nobody will ever see */
            slot->standing |= SLEY__URING_FAILED;
            slot->link = -EOWNERDEAD;
        }
    }
    if ((slot->standing & SLEY__URING_KEPT) && (slot->standing & SLEY__URING_ACCEPTS) && !sley__uring_has(r, SLEY__URING_DIRECT)) {
        sley__uring_forget_direct(r, slot);
    }
}

int sley__uring_inherit(struct sley__uring *r, int (*take_over)(struct sley__uring *r))
{
    const uint32_t without = r->opts.without;
    const int witness = r->witness;
    r->deaf = IO_URING_READ_ONCE(*r->ring.sq.kflags) & IORING_SQ_CQ_OVERFLOW; /* some results will never be seen */
    r->witness = NO_WITNESS;
    if (r->direct_count > 0) { /* they end with the old ring; their numbers are to be nobody else's */
        r->opts.without |= 1u << SLEY__URING_DIRECT;
    }
    const int rc = take_over(r);
    if (rc < 0) {
        r->opts.without = without;
        r->witness = witness;
        return rc;
    }
    sley__uring_each_slot(r, slot_passed_on);
    sley__uring_each(r, pass_on);
    if (r->opts.without != without) {
        r->direct_count = 0;
    }
    if (r->lost_count > 0 && witness >= 0) {
        (void)hung_up(witness, PATIENCE_MS);
        r->awaited = witness;
    } else if (witness >= 0) {
        (void)close(witness);
    }
    r->due |= SLEY__URING_AGAIN | SLEY__URING_LEFT;
    r->base.more = true;
    return 0;
}

/* ---- what is lost -------------------------------------------------------------------------------------------------------- */

static void let_fall(struct sley__uring *r, struct sley__uring_slot *slot)
{
    if (slot->standing & SLEY__URING_FELL) {
        slot->standing &= (uint16_t)~SLEY__URING_FELL;
        r->due |= SLEY__URING_TOLD;
        sley__uring_stood(r, slot, -ECANCELED, 0);
    }
}

static struct sley_io_op *oldest_lost(const struct sley__uring_slot *slot)
{
    struct sley_io_op *found = NULL;
    for (struct sley_io_op *op = slot->armed; op; op = op->next) {
        found = op->stage & SLEY__URING_LOST ? op : found;
    }
    return found;
}

static void end_lost(struct sley__uring *r, struct sley__uring_slot *slot)
{
    struct sley_io_op *op;
    while ((op = oldest_lost(slot)) != NULL) {
        op->stage &= (uint8_t) ~(uint32_t)SLEY__URING_LOST;
        r->due |= SLEY__URING_TOLD;
        r->lost_count--;
        if (op->flags & SLEY_IO_LEND) {
            sley__uring_lend_completed(r, slot, op, -EOWNERDEAD, 0);
        } else {
            sley__uring_end(r, slot, op, op->code > SLEY_IO_CLOSE ? sley__uring_file_lost(op) : -EOWNERDEAD);
        }
    }
}

/** The old ring has not ended yet: this one hears of it. */
static void await(struct sley__uring *r)
{
    struct io_uring_sqe *sqe = sley__uring_place(r);
    if (sqe) {
        io_uring_prep_poll_add(sqe, r->awaited, 0); /* being hung up is told in any case */
        io_uring_sqe_set_data64(sqe, SLEY__URING_WITNESS);
    } else {
        r->due |= SLEY__URING_LEFT;
    }
}

void sley__uring_settle(struct sley__uring *r)
{
    r->due &= (uint8_t)~SLEY__URING_LEFT;
    sley__uring_each_slot(r, let_fall);
    if (r->awaited >= 0 && !hung_up(r->awaited, 0)) {
        await(r);
        return;
    }
    if (r->awaited >= 0) {
        (void)close(r->awaited);
        r->awaited = NO_WITNESS;
    }
    sley__uring_each_slot(r, end_lost);
    end_lost(r, &r->loose);
}
