/* What comes back: completions become results of ops, or are followed by what is left to do of them. */
#include "bytes.h"
#include "checker.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* How often whoever drives where another thread has ops in flight looks whether that one has ended. */
enum { LOOK_NS = 100 * 1000 * 1000 };

/* ---- the bell ---------------------------------------------------------------------------------------------------------- */

/** An eventfd whose every write is a completion: nobody needs to read the counter back, unless the kernel is old. */
void sley__uring_arm_bell(struct sley__uring *r)
{
    struct io_uring_sqe *sqe = sley__uring_place(r);
    if (!sqe) {
        return;
    }
    if (sley__uring_has(r, SLEY__URING_POLL_MULTI)) {
        io_uring_prep_poll_multishot(sqe, r->bell, POLLIN);
    } else {
        io_uring_prep_read(sqe, r->bell, &r->bell_count, sizeof r->bell_count, 0);
    }
    io_uring_sqe_set_data64(sqe, SLEY__URING_BELL);
    r->bell_armed = true;
}

static void woken(struct sley__uring *r)
{
    /* acquire: pairs with every wake since the last time; whoever comes later rings again */
    (void)atomic_exchange_explicit(&r->rung, false, memory_order_acquire);
}

static void bell_completed(struct sley__uring *r, int32_t res, uint32_t flags)
{
    if (res == -EINVAL && sley__uring_has(r, SLEY__URING_POLL_MULTI)) {
        r->features &= ~(1u << SLEY__URING_POLL_MULTI);
    }
    r->bell_armed = flags & IORING_CQE_F_MORE;
    woken(r);
}

/* ---- foreign loops ----------------------------------------------------------------------------------------------------- */

int sley__uring_tell_again(struct sley__uring *r)
{
    int tell = sley__uring_tell(r);
    return tell < 0 ? 0 : sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_EVENTFD, &tell, 1);
}

/**
 * With DEFER the ring's own descriptor is readable, but whoever sleeps on it is not woken: work is for the thread itself to find.
 * What the kernel tells of a ring of the bell comes late, after a grace period of RCU, for the bell is an eventfd, too: so wake tells.
 */
int sley__uring_pollable_fd(struct sley_reactor *self)
{
    struct sley__uring *r = sley_container_of(self, struct sley__uring, base);
    int tell = sley__uring_tell(r);
    if (tell == SLEY__URING_TELLS_NOBODY) { /* of an eventfd a look is due, which has the kernel write to it: see poll */
        const int made = sley__uring_has(r, SLEY__URING_DEFER) ? eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK) : SLEY__URING_TELLS_ITSELF;
        /* relaxed: a number, which stays until the end; a wake that comes before has rung the bell, and a look is due */
        if (made != -1 && atomic_compare_exchange_strong_explicit(&r->tell, &tell, made, memory_order_relaxed, memory_order_relaxed)) {
            tell = made;
        } else if (made >= 0) {
            (void)close(made);
        }
    }
    return tell >= 0 ? tell : r->ring.ring_fd;
}

static void hear(struct sley__uring *r)
{
    uint64_t count;
    (void)!read(sley__uring_tell(r), &count, sizeof count);
}

/* ---- results ----------------------------------------------------------------------------------------------------------- */

/** Bytes have moved. Returns: the op's result; -EINPROGRESS: there is more to do. */
static int32_t moved(struct sley_io_op *op, int32_t n)
{
    if (op->code == SLEY_IO_RECV && n > 0) {
        sley__uring_filled((char *)op->buf + op->done_bytes, (size_t)n);
    }
    if (SLEY_LIKELY(!(op->flags & SLEY_IO_ALL))) {
        return n;
    }
    op->done_bytes += (size_t)n;
    if (op->done_bytes >= op->len) {
        return 0;
    }
    if (n == 0 && op->code == SLEY_IO_RECV) {
        return -ENODATA;
    }
    return op->stage & SLEY__URING_CANCELLED ? -ECANCELED : -EINPROGRESS;
}

static void message_filled(const struct msghdr *m, int32_t n)
{
    size_t left = n > 0 ? (size_t)n : 0;
    for (size_t i = 0; i < m->msg_iovlen && left > 0; i++) {
        const size_t here = m->msg_iov[i].iov_len < left ? m->msg_iov[i].iov_len : left;
        sley__uring_filled(m->msg_iov[i].iov_base, here);
        left -= here;
    }
    if (n >= 0) {
        sley__uring_filled(m->msg_control, m->msg_controllen);
        sley__uring_filled(m->msg_name, m->msg_namelen);
    }
}

/** Returns: as moved; -EAGAIN: to be done when the descriptor is ready. */
static int32_t verdict(struct sley__uring *r, struct sley_io_op *op, int32_t res)
{
    if (SLEY_LIKELY(res >= 0)) {
        switch (op->code) {
        case SLEY_IO_RECV:
        case SLEY_IO_SEND:
            return moved(op, res);
        case SLEY_IO_RECVMSG:
            message_filled(op->buf, res);
            return res;
        case SLEY_IO_ACCEPT:
            op->out_number = res;
            return op->stage & SLEY__URING_PLACE ? sley__uring_direct_taken(r, op, res) : 0;
        default:
            return res;
        }
    }
    if (res == -ECANCELED && !(op->stage & SLEY__URING_CANCELLED)) {
        return -EINPROGRESS; /* the thread that has submitted it has ended, and another drives */
    }
    if (res == -EINTR || (res == -EAGAIN && op->code != SLEY_IO_POLL)) {
        return op->stage & SLEY__URING_CANCELLED ? -ECANCELED : res == -EINTR ? -EINPROGRESS : -EAGAIN;
    }
    return res;
}

/** Returns: as verdict, of what the kernel says; 0: it waits on. */
static int32_t polled(struct sley__uring *r, struct sley_io_op *op, int32_t res, uint32_t flags)
{
    const int32_t told = res > 0 ? res & ~POLLRDHUP : 0;
    if (flags & IORING_CQE_F_MORE) {
        r->flying_count++;
        if (told && !sley__uring_is_asked(op)) {
            op->out_number = SLEY__URING_POLL_CAME;
            sley__uring_queue_cancel(r, op);
        }
        return 0;
    }
    if (told) {
        return told;
    }
    op->out_number = res > 0 ? SLEY__URING_POLL_STAYS : SLEY__URING_POLL_ONCE;
    return verdict(r, op, res > 0 ? -EINTR : res);
}

static SLEY_NOINLINE void other_completed(struct sley__uring *r, struct sley_io_op *op, int32_t res, uint32_t flags)
{
    struct sley__uring_slot *slot = sley__uring_find(r, op->fd->number);
    if (SLEY_UNLIKELY(op->flags & SLEY_IO_LEND)) {
        sley__uring_lend_completed(r, slot, op, res, flags);
        return;
    }
    if (SLEY_UNLIKELY(op->stage & SLEY__URING_POLLING)) {
        op->stage &= (uint8_t) ~(uint32_t)SLEY__URING_POLLING;
        res = res < 0 ? res : -EINTR; /* it is ready: once more */
    } else if (op->code == SLEY_IO_ACCEPT && sley__uring_accept_completed(r, slot, op, res, flags)) {
        return;
    }
    if (op->code == SLEY_IO_POLL) {
        res = polled(r, op, res, flags);
        if (res == 0) {
            return;
        }
    } else {
        res = verdict(r, op, res);
    }
    if (SLEY_LIKELY(res != -EINPROGRESS && res != -EAGAIN)) {
        sley__uring_end(r, slot, op, res);
        return;
    }
    op->stage |= res == -EAGAIN ? SLEY__URING_POLLING : 0;
    sley__uring_queue(r, slot, op);
}

/** What a message passes: all of its bytes have moved. */
SLEY_INLINE bool bytes_completed(struct sley__uring *r, struct sley_io_op *op, int32_t res, bool in)
{
    if (SLEY_UNLIKELY(res <= 0) || SLEY_UNLIKELY(op->stage != 0) || SLEY_UNLIKELY(op->flags & ~SLEY_IO_ALL)) {
        return false;
    }
    const bool all = op->flags & SLEY_IO_ALL;
    if (all && SLEY_UNLIKELY(op->done_bytes + (size_t)res != op->len)) {
        return false;
    }
    struct sley__uring_slot *slot = sley__uring_slot_at(r, op->fd);
    if (in) {
        sley__uring_filled((char *)op->buf + op->done_bytes, (size_t)res);
    }
    if (all) {
        op->done_bytes = op->len;
    }
    sley__uring_end_bytes(r, slot, op, in, all ? 0 : res);
    return true;
}

static void op_completed(struct sley__uring *r, struct sley_io_op *op, int32_t res, uint32_t flags)
{
    r->flying_count--;
    if (op->code > SLEY_IO_CLOSE) {
        sley__uring_file_completed(r, op, res, flags);
    } else if (op->code == SLEY_IO_SEND ? !bytes_completed(r, op, res, false)
                                        : op->code != SLEY_IO_RECV || !bytes_completed(r, op, res, true)) {
        other_completed(r, op, res, flags);
    }
}

/** The op, or the slot, of a completion that is about to be handled: of many connections it is in no cache. */
static void fetch(const struct io_uring_cqe *cqe)
{
    const char *what = (const char *)(uintptr_t)cqe->user_data;
    __builtin_prefetch(what, 1);
    __builtin_prefetch(what + 64, 1);
}

/** A request to end what is in flight was not taken, or has not found it. */
static void ask_again(struct sley__uring *r, struct sley_io_op *op)
{
    if (sley__uring_is_asked(op) && !(op->stage & (SLEY__URING_DUE | SLEY__URING_BEHIND))) {
        op->stage |= SLEY__URING_CANCEL_DUE;
        r->due |= SLEY__URING_AGAIN;
    }
}

/**
 * The same where it has not been found: most often it had ended. But one that is about to be tried once more is in none of the kernel's
 * lists: a send to a peer that takes nothing and has shut its own side down is always so, for that counts as ready, until the kernel has
 * it wait on a thread of its own. What a disk or a card is at needs no second request.
 */
static void ask_if_missed(struct sley__uring *r, struct sley__uring_slot *slot)
{
    for (struct sley_io_op *op = slot->armed; op; op = op->next) {
        const bool waits = op->stage & (SLEY__URING_DUE | SLEY__URING_BEHIND | SLEY__URING_LOST | SLEY__URING_CANCEL_DUE);
        if ((op->code < SLEY_IO_CLOSE || sley__uring_file_is_unsent(op)) && sley__uring_is_asked(op) && !waits) {
            sley__uring_queue_cancel(r, op);
        }
    }
    sley__uring_dismiss_if_missed(r, slot);
}

/** Among these completions, which have been handled, some say so: each slot is looked at once. */
static SLEY_NOINLINE void ask_missed(struct sley__uring *r, unsigned head, unsigned count)
{
    struct io_uring_cq *cq = &r->ring.cq;
    for (unsigned i = 0; i < count; i++) {
        const struct io_uring_cqe *cqe = &cq->cqes[(head + i) & cq->ring_mask];
        const uint64_t tag = cqe->user_data;
        if (sley__uring_tag_of(tag) == SLEY__URING_ENDING && cqe->res == -ENOENT) {
            for (unsigned k = i + 1; k < count; k++) {
                struct io_uring_cqe *later = &cq->cqes[(head + k) & cq->ring_mask];
                later->user_data = later->user_data == tag ? SLEY__URING_NOTHING : later->user_data;
            }
            ask_if_missed(r, sley__uring_slot_by(tag));
        }
    }
}

/** Returns: how many were ops'. */
static int reap(struct sley__uring *r)
{
    struct io_uring_cq *cq = &r->ring.cq;
    const unsigned there = sley__uring_results(r), count = there < SLEY__URING_SHARE ? there : SLEY__URING_SHARE;
    const unsigned head = *cq->khead;
    int seen = 0;
    bool missed = false;
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_cqe *cqe = &cq->cqes[(head + i) & cq->ring_mask];
        if (i + SLEY__URING_SOON < there) {
            fetch(&cq->cqes[(head + i + SLEY__URING_SOON) & cq->ring_mask]);
        }
        const unsigned tag = sley__uring_tag_of(cqe->user_data);
        if (SLEY_UNLIKELY(tag == SLEY__URING_ENDING)) {
            missed |= cqe->res == -ENOENT;
        } else if (tag == SLEY__URING_STANDING) {
            struct sley__uring_slot *slot = sley__uring_slot_by(cqe->user_data);
            cqe->user_data = SLEY__URING_NOTHING; /* who ends what stands in a hook of this very look is not to find it */
            sley__uring_stood(r, slot, cqe->res, cqe->flags);
            seen++;
        } else if (SLEY_LIKELY(cqe->user_data > SLEY__URING_MARK_LAST)) {
            op_completed(r, (struct sley_io_op *)(uintptr_t)cqe->user_data, cqe->res, cqe->flags);
            seen++;
        } else if (cqe->user_data == SLEY__URING_BELL) {
            bell_completed(r, cqe->res, cqe->flags);
        } else if (cqe->user_data == SLEY__URING_MESSAGE) {
            woken(r);
        } else if (cqe->user_data == SLEY__URING_LOAN) {
            r->loan_late = false;
            cqe->user_data = SLEY__URING_NOTHING; /* who borrows in a hook of this very look is not to find it */
            if (cqe->res >= 0) {
                (void)close(cqe->res); /* nobody has waited for it */
            }
        } else if (cqe->user_data == SLEY__URING_WITNESS) {
            r->due |= SLEY__URING_LEFT;
        }
    }
    if (SLEY_UNLIKELY(missed)) {
        ask_missed(r, head, count);
    }
    io_uring_smp_store_release(cq->khead, head + count);
    r->base.more = there > count || (r->due & (SLEY__URING_AGAIN | SLEY__URING_LEFT)) || sley__uring_unsubmitted(r) > 0 ||
                   sley__uring_has_later(r) || !r->bell_armed ||
                   (r->untold.count > 0 && sley__uring_tell(r) != SLEY__URING_TELLS_NOBODY); /* noted by a hook of this look */
    return seen;
}

uint32_t sley__uring_refuse(struct sley__uring *r, int32_t rc)
{
    struct io_uring_sq *sq = &r->ring.sq;
    uint32_t ended = 0;
    bool asked = false;
    while (sq->sqe_tail != *sq->khead) { /* the newest first: each ends before its op may start another */
        sq->sqe_tail--;
        const struct io_uring_sqe *sqe = &sq->sqes[sq->sqe_tail & sq->ring_mask];
        r->loan_late &= sqe->user_data != SLEY__URING_LOAN;
        r->bell_armed &= sqe->user_data != SLEY__URING_BELL;
        const unsigned tag = sley__uring_tag_of(sqe->user_data);
        asked |= tag == SLEY__URING_ENDING;
        if (tag == SLEY__URING_ENDING) {
            if (sley__uring_tag_of(sqe->addr) == SLEY__URING_STANDING) {
                ended += sley__uring_dismissal_refused(r, sley__uring_slot_by(sqe->addr));
            }
        } else if (tag == SLEY__URING_STANDING) {
            ended++;
            sley__uring_stood(r, sley__uring_slot_by(sqe->user_data), rc, 0);
        } else if (sqe->user_data > SLEY__URING_MARK_LAST) {
            struct sley_io_op *op = (struct sley_io_op *)(uintptr_t)sqe->user_data;
            r->flying_count--;
            ended++;
            sley__uring_file_refused(op, rc);
            sley__uring_end(r, sley__uring_slot_of(r, op), op, rc);
        }
    }
    io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    if (asked) {
        sley__uring_each(r, ask_again); /* the ops that the requests name may be gone: those that are there say it themselves */
    }
    return ended;
}

/** The ring is another thread's: what that one has started goes on when it drives again. Here the bell is heard; that it ends is not. */
static void wait_for_bell(struct sley__uring *r, uint64_t timeout_ns)
{
    const uint64_t most = timeout_ns < LOOK_NS ? timeout_ns : LOOK_NS;
    const struct timespec ts = {(time_t)(most / SLEY_S), (long)(most % SLEY_S)};
    struct pollfd p = {.fd = r->bell, .events = POLLIN};
    uint64_t count;
    if (ppoll(&p, 1, &ts, NULL) == 1) {
        (void)!read(r->bell, &count, sizeof count);
        woken(r);
    }
}

/** What has come back for the thread before is taken in. If that was all the next look takes the ring over; else nothing is submitted. */
static int look_at_anothers(struct sley__uring *r, uint64_t timeout_ns)
{
    int seen = 0;
    while (sley__uring_results(r) > 0) {
        seen += reap(r);
    }
    if (sley__uring_is_idle(r) || sley__uring_is_left(r)) {
        return seen;
    }
    const bool nothing = sley__uring_refuse(r, -EEXIST) == 0 && seen == 0;
    r->due |= r->awaited >= 0 ? SLEY__URING_LEFT : 0; /* the ring before is asked for at each look: this one may never be told */
    sley__uring_shut_door(r);                         /* what is sent to the ring is heard by nobody now */
    if (nothing && timeout_ns > 0) {
        wait_for_bell(r, timeout_ns);
    }
    return seen;
}

/** As sley__uring_enter, but for a moment only where an end may have come that was not told. */
static int enter(struct sley__uring *r, uint64_t timeout_ns)
{
    if (r->untold.count == 0) {
        return sley__uring_enter(r, timeout_ns);
    }
    if (SLEY_UNLIKELY(sley__uring_is_long_untold(r, timeout_ns > 0)) || SLEY_UNLIKELY(sley__uring_tell(r) != SLEY__URING_TELLS_NOBODY)) {
        sley__uring_ask_untold(r);                            /* a foreign loop waits by itself, for as long as it likes */
        return sley__uring_enter(r, r->due ? 0 : timeout_ns); /* what has found no place comes before a wait */
    }
    const int rc = sley__uring_enter(r, timeout_ns < SLEY__URING_MOMENT_NS ? timeout_ns : SLEY__URING_MOMENT_NS);
    if (rc == 0 && timeout_ns > 0 && sley__uring_results(r) == 0) {
        sley__uring_ask_untold(r); /* the next look waits for what comes of it, or on */
    }
    return rc;
}

int sley__uring_poll(struct sley_reactor *self, uint64_t timeout_ns)
{
    struct sley__uring *r = sley_container_of(self, struct sley__uring, base);
    if (SLEY_UNLIKELY(r->due)) {
        sley__uring_queue_due(r, timeout_ns > 0);
    }
    if (SLEY_UNLIKELY(!r->bell_armed)) {
        sley__uring_arm_bell(r);
    }
    if (SLEY_UNLIKELY(sley__uring_tell(r) >= 0) && !r->tells) {
        r->tells = sley__uring_tell_again(r) == 0; /* here, for it is the ring's thread's to ask for; else it stays readable */
    }
    if (SLEY_UNLIKELY(r->tells) && r->blind) {
        hear(r);
    }
    const bool more = sley__uring_has_later(r) && sley__uring_hand_over(r);
    const bool wait =
        timeout_ns > 0 && !more && sley__uring_results(r) == 0 && !r->due && r->bell_armed; /* what is missing comes first */
    const int rc = enter(r, wait ? timeout_ns : 0);
    if (SLEY_UNLIKELY(rc == -EEXIST)) {
        r->later.flows = false;
        return look_at_anothers(r, wait ? timeout_ns : 0);
    }
    if (SLEY_UNLIKELY(r->shut)) {
        sley__uring_open_door(r);
    }
    const int seen = rc < 0 ? rc : reap(r);
    r->later.flows = seen >= SLEY__URING_SHARE / 2;
    r->seen = seen > 0 ? (uint32_t)seen : 0;
    r->crowd -= r->crowd / 8;
    r->crowd = r->crowd > r->seen ? r->crowd : r->seen;
    if (SLEY_UNLIKELY(r->tells) && r->blind) {
        r->base.more |= seen > 0; /* what was heard before has not been asked for while there were results */
    } else if (SLEY_UNLIKELY(r->tells)) {
        hear(r); /* what comes from now on is told; what has come before shows */
        r->base.more |=
            sley__uring_results(r) > 0 || (IO_URING_READ_ONCE(*r->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
    }
    return seen;
}

int sley__uring_drain_now(struct sley__uring *r)
{
    if (r->due) {
        sley__uring_queue_due(r, true);
    }
    const int rc = sley__uring_submit_now(r), seen = rc < 0 ? rc : reap(r);
    if (SLEY_UNLIKELY(!r->bell_armed) && rc == 0) { /* whoever sleeps in a foreign loop hears of it only then */
        sley__uring_arm_bell(r);
        (void)sley__uring_submit_now(r);
    }
    /* relaxed: our own, as in woken; a wake that has been taken in here was meant for the next look */
    if (!atomic_exchange_explicit(&r->rung, true, memory_order_relaxed)) {
        sley__uring_ring_bell(r);
    }
    return seen;
}

int sley__uring_drain(struct sley__uring *r)
{
    if (r->due) {
        sley__uring_queue_due(r, true);
    }
    const int rc = sley__uring_enter(r, sley__uring_results(r) > 0 || r->due ? 0 : SLEY_NEVER);
    return rc < 0 ? rc : reap(r);
}
