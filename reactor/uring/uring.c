/* What goes in: ops become submissions, in the order in which they start; the next look of the worker hands them over together. */
#include "bytes.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct sley__uring *uring_of(struct sley_reactor *self)
{
    return sley_container_of(self, struct sley__uring, base);
}

/** How much is asked for at a time. Others want their turn: one call, too, would go on for as long as the other side keeps up. */
static unsigned length(const struct sley_io_op *op)
{
    const size_t left = op->len - op->done_bytes, most = op->flags & SLEY_IO_ALL ? SLEY_IO_SHARE_BYTES : SLEY_IO_CALL_BYTES;
    return (unsigned)(left < most ? left : most);
}

/* ---- submissions -------------------------------------------------------------------------------------------------------- */

/** A readiness that the kernel should have waited for by itself. */
static unsigned readiness(const struct sley_io_op *op)
{
    switch (op->code) {
    case SLEY_IO_SEND:
    case SLEY_IO_SENDMSG:
    case SLEY_IO_CONNECT:
    case SLEY_IO_SEND_ZC:
        return SLEY_IO_OUT;
    default:
        return SLEY_IO_IN;
    }
}

static void describe_other(struct sley__uring *r, struct io_uring_sqe *sqe, struct sley_io_op *op)
{
    if (op->code > SLEY_IO_CLOSE) {
        sley__uring_describe_file(r, sqe, op);
        return;
    }
    const int number = op->fd->number;
    switch (op->code) {
    case SLEY_IO_ACCEPT:
        io_uring_prep_accept(sqe, number, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (op->stage & SLEY__URING_INSTALLS) {
            io_uring_prep_rw(SLEY__URING_OP_FIXED_FD_INSTALL, sqe, op->out_number - SLEY_FD_DIRECT_FIRST, NULL, 0,
                             0); /* close-on-exec */
            sqe->flags = IOSQE_FIXED_FILE;
        } else if (op->stage & SLEY__URING_PLACE) {
            sqe->accept_flags = SOCK_NONBLOCK;
            sqe->file_index = IORING_FILE_INDEX_ALLOC;
        }
        break;
    case SLEY_IO_CONNECT:
        io_uring_prep_connect(sqe, number, op->buf, (socklen_t)op->len);
        break;
    case SLEY_IO_CLOSE:
        io_uring_prep_close_direct(sqe, (unsigned)(number - SLEY_FD_DIRECT_FIRST));
        break;
    case SLEY_IO_RECVMSG:
        io_uring_prep_recvmsg(sqe, number, op->buf, MSG_CMSG_CLOEXEC | (op->flags & SLEY_IO_PEEK ? MSG_PEEK : 0));
        break;
    case SLEY_IO_SENDMSG:
        io_uring_prep_sendmsg(sqe, number, op->buf, MSG_NOSIGNAL);
        break;
    default: /* ERR and HUP are reported in any case */
        io_uring_prep_poll_add(sqe, number, (unsigned)op->len & (SLEY_IO_IN | SLEY_IO_OUT));
        sqe->len = op->out_number == SLEY__URING_POLL_STAYS ? IORING_POLL_ADD_MULTI : 0;
        break;
    }
}

static void describe(struct sley__uring *r, const struct sley__uring_slot *slot, struct io_uring_sqe *sqe, struct sley_io_op *op)
{
    if (SLEY_UNLIKELY(op->stage & SLEY__URING_POLLING)) {
        io_uring_prep_poll_add(sqe, op->fd->number, readiness(op));
    } else if (SLEY_UNLIKELY(op->flags & SLEY_IO_LEND)) {
        sley__uring_lend_describe(slot, sqe, op);
    } else if (op->code == SLEY_IO_RECV || op->code == SLEY_IO_SEND) {
        sley__uring_describe_bytes(sqe, op, op->code == SLEY_IO_RECV, op->done_bytes, length(op));
        return;
    } else {
        describe_other(r, sqe, op);
    }
    sley__uring_name(sqe, op);
}

void sley__uring_queue(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    struct io_uring_sqe *sqe = sley__uring_place(r);
    if (SLEY_LIKELY(sqe != NULL)) {
        describe(r, slot, sqe, op);
        r->flying_count++;
    } else {
        op->stage |= SLEY__URING_DUE;
        r->due |= SLEY__URING_AGAIN;
    }
}

/** Its own completion has the verdict; of what the request itself says (found, not found, too late) only the second is of use. */
bool sley__uring_queue_end_of(struct sley__uring *r, const struct sley__uring_slot *slot, uint64_t tag)
{
    struct io_uring_sqe *sqe = sley__uring_place(r);
    if (SLEY_UNLIKELY(!sqe)) {
        return false;
    }
    io_uring_prep_cancel64(sqe, tag, 0);
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)slot | SLEY__URING_ENDING);
    if (sley__uring_has(r, SLEY__URING_CQE_SKIP)) {
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    return true;
}

void sley__uring_queue_cancel(struct sley__uring *r, struct sley_io_op *op)
{
    if (SLEY_UNLIKELY(!sley__uring_queue_end_of(r, sley__uring_slot_of(r, op), (uint64_t)(uintptr_t)op))) {
        op->stage |= SLEY__URING_CANCEL_DUE;
        r->due |= SLEY__URING_AGAIN;
    }
}

void sley__uring_ask(struct sley__uring *r, struct sley_io_op *op)
{
    if (!(op->stage & SLEY__URING_CANCELLED)) {
        op->stage |= SLEY__URING_CANCELLED;
        if (op->stage & SLEY__URING_BEHIND) {
            sley__uring_dismiss(r, sley__uring_find(r, op->fd->number));
            return;
        }
        if (SLEY_UNLIKELY(sley__uring_is_later(r, op))) {
            sley__uring_take_out(r, op);
        }
        if (!(op->stage & SLEY__URING_DUE)) {
            sley__uring_queue_cancel(r, op);
        }
    }
}

static void queue_if_due(struct sley__uring *r, struct sley_io_op *op)
{
    const uint8_t stage = op->stage;
    op->stage &= (uint8_t) ~(uint32_t)(SLEY__URING_DUE | SLEY__URING_CANCEL_DUE);
    if (stage & SLEY__URING_DUE) {
        sley__uring_queue(r, sley__uring_slot_of(r, op), op);
        if ((stage & SLEY__URING_CANCELLED) && !(op->stage & SLEY__URING_DUE)) {
            sley__uring_queue_cancel(r, op);
        }
    } else if (stage & SLEY__URING_CANCEL_DUE) {
        sley__uring_queue_cancel(r, op);
    }
}

void sley__uring_queue_due(struct sley__uring *r, bool waits)
{
    r->due &= (uint8_t)~SLEY__URING_TOLD;
    if (r->due & SLEY__URING_UNASKED) {
        sley__uring_dismiss_unasked(r, waits);
    }
    if (r->due & SLEY__URING_LEFT) {
        sley__uring_settle(r);
    }
    if (!(r->due & SLEY__URING_AGAIN)) {
        return;
    }
    r->due &= (uint8_t)~SLEY__URING_AGAIN;
    sley__uring_each(r, queue_if_due);
    if (r->standing_count > 0) {
        sley__uring_each_slot(r, sley__uring_dismiss_if_due);
    }
}

/* ---- ops ------------------------------------------------------------------------------------------------------------------ */

/** What is never waited for here, or would not be told by the kernel. Returns: the result; -EINPROGRESS: it is to be submitted. */
static int32_t try_here(struct sley__uring *r, struct sley_io_op *op)
{
    struct sley__uring_slot *slot = sley__uring_find(r, op->fd->number);
    struct stat st;
    if (op->code == SLEY_IO_POLL) {
        op->out_number = SLEY__URING_POLL_ONCE;
    }
    if (op->code == SLEY_IO_POLL && slot->kind != SLEY__URING_OTHER) {
        if (sley_fd_is_direct(op->fd)) {
            return -EPERM;
        }
        if (fstat(op->fd->number, &st) < 0) {
            return -errno;
        }
        if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
            return -EPERM; /* the kernel calls them always ready; waiting for one is a mistake */
        }
        slot->kind = S_ISBLK(st.st_mode) ? SLEY__URING_FILE : SLEY__URING_OTHER;
    } else if (op->code == SLEY_IO_CONNECT && op->len >= sizeof(sa_family_t)) {
        const struct sockaddr_un *addr = op->buf;
        if (addr->sun_family == AF_UNIX) {
            return sley_io_try(op); /* a full queue is an answer, and the kernel would wait */
        }
    }
    return -EINPROGRESS;
}

/** Something stands, or lies there: then the op is over, or waits, when this returns true. */
static bool is_ahead(struct sley__uring *r, struct sley_io_op *op)
{
    struct sley__uring_slot *slot = sley__uring_find(r, op->fd->number);
    return (slot->standing & SLEY__URING_SOMETHING) && !r->ending && sley__uring_ahead(r, slot, op);
}

/** Something stands in the way of a receive, or the submission queue is full. */
static SLEY_NOINLINE void submit_bytes(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    if ((slot->standing & SLEY__URING_SOMETHING) && op->code == SLEY_IO_RECV && sley__uring_ahead(r, slot, op)) {
        return;
    }
    sley_io_arm(&r->base, op);
    sley__uring_push(slot, op);
    sley__uring_queue(r, slot, op);
}

static SLEY_NOINLINE void submit_other(struct sley__uring *r, struct sley_io_op *op)
{
    if (op->code == SLEY_IO_CLOSE) {
        sley__uring_submit_close(r, op);
        return;
    }
    if (op->code == SLEY_IO_ACCEPT && !r->ending) {
        sley__uring_accept(r, op);
        return;
    }
    if ((op->code == SLEY_IO_RECVMSG || op->code == SLEY_IO_POLL) && is_ahead(r, op)) {
        return;
    }
    const int32_t n = r->ending ? -ECANCELED : try_here(r, op);
    if (n != -EINPROGRESS) {
        sley_io_finish(op, n);
        return;
    }
    struct sley__uring_slot *slot = sley__uring_find(r, op->fd->number);
    sley_io_arm(&r->base, op);
    sley__uring_push(slot, op);
    sley__uring_queue(r, slot, op);
}

/** From the start: nothing has moved. */
SLEY_INLINE void start_bytes(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, bool in)
{
    const bool clear = !in || SLEY_LIKELY(!(slot->standing & SLEY__URING_SOMETHING));
    const bool later = in && clear && r->base.armed_count > SLEY__URING_SHARE && SLEY_LIKELY(sley__uring_put_off(r, op));
    struct io_uring_sqe *sqe = clear && !later ? sley__uring_room(r) : NULL;
    if (!later && SLEY_UNLIKELY(!sqe)) {
        submit_bytes(r, slot, op);
        return;
    }
    r->base.armed_count++;
    sley__fd_set(op->fd, (sley__fd_state(op->fd) | (in ? SLEY_FD_READING : SLEY_FD_WRITING)) + SLEY_FD_HOLD);
    sley_wait_arm(&op->wait);
    sley__uring_push(slot, op);
    if (!later) {
        sley__uring_describe_bytes(sqe, op, in, 0, SLEY_LIKELY(op->len < SLEY_IO_SHARE_BYTES) ? (unsigned)op->len : length(op));
        r->flying_count++;
    }
}

static void submit(struct sley_reactor *self, struct sley_io_op *op)
{
    struct sley__uring *r = uring_of(self);
    op->stage = 0;
    if (SLEY_UNLIKELY(r->ending)) {
        submit_other(r, op);
    } else if (op->code == SLEY_IO_SEND && SLEY_LIKELY(!(op->flags & SLEY_IO_LEND))) {
        start_bytes(r, sley__uring_slot_at(r, op->fd), op, false);
    } else if (SLEY_UNLIKELY(op->code != SLEY_IO_RECV)) {
        submit_other(r, op);
    } else if (op->flags & SLEY_IO_LEND) {
        sley__uring_lend_submit(r, op);
    } else {
        start_bytes(r, sley__uring_slot_at(r, op->fd), op, true);
    }
}

static void cancel(struct sley_reactor *self, struct sley_io_op *op)
{
    struct sley__uring *r = uring_of(self);
    if (SLEY_LIKELY(!(op->stage & SLEY__URING_BEHIND)) || !sley__uring_leave(r, op)) {
        sley__uring_ask(r, op);
    }
}

static int adopt(struct sley_reactor *self, struct sley_fd *fd)
{
    struct sley__uring *r = uring_of(self);
    if (sley_fd_is_direct(fd)) {
        return -EBADF; /* whose it is, it knows from its start on */
    }
    const int rc = sley__uring_make_slot(r, fd->number);
    if (rc < 0) {
        return rc;
    }
    struct sley__uring_slot *slot = sley__uring_find(r, fd->number);
    if (slot->armed) {
        return -EEXIST;
    }
    if (SLEY_UNLIKELY(slot->standing & SLEY__URING_SOMETHING)) {
        const bool moves = sley__fd_home(fd) == self; /* else it was closed elsewhere, and the number is another's now */
        if (sley__uring_stand_down(r, slot) < 0 || (moves && (slot->standing & SLEY__URING_SOMETHING))) {
            return -EEXIST;
        }
        sley__uring_drop_ahead(r, slot);
    }
    slot->standing = 0;
    slot->is_dry = false;
    slot->kind = SLEY__URING_UNKNOWN;
    fd->slot = (struct sley__slot *)(void *)slot; /* FAR: nobody but us looks at it */
    return 0;
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

void sley__uring_ring_bell(struct sley__uring *r)
{
    const uint64_t one = 1;
    (void)!write(r->bell, &one, sizeof one); /* the counter holds more rings than there will ever be */
}

static void wake(struct sley_reactor *self)
{
    struct sley__uring *r = uring_of(self);
    /* release: publishes what the waker has posted, also when an earlier ring is still under way; pairs with woken() in wait.c */
    if (!atomic_exchange_explicit(&r->rung, true, memory_order_release)) {
        const int saved = errno; /* of the code that a signal handler has interrupted */
        const uint64_t one = 1;
        if (!r->opts.messages || !sley__uring_message(r)) {
            sley__uring_ring_bell(r);
        }
        const int tell = sley__uring_tell(r);
        if (SLEY_UNLIKELY(tell >= 0)) {
            (void)!write(tell, &one, sizeof one); /* after the bell: a look for this finds it */
        }
        errno = saved;
    }
}

static void destroy(struct sley_reactor *self)
{
    struct sley__uring *r = uring_of(self);
    r->ending = true;
    sley__uring_each(r, sley__uring_ask);
    sley__uring_each_slot(r, sley__uring_dismiss);
    while ((self->armed_count > 0 || r->standing_count > 0) && (r->flying_count > 0 || r->lost_count > 0 || r->due)) {
        if (sley__uring_drain(r) < 0) {
            if (self->armed_count == 0 && sley__uring_has(r, SLEY__URING_DEFER)) {
                break; /* what stands gets nothing for a thread that does not enter any more, and ends with the ring */
            }
            return; /* the kernel does not answer: what it may still write to stays */
        }
    }
    sley__uring_close(r);
}

const struct sley_reactor_ops sley__uring_ops = {
    .version = SLEY_REACTOR_VERSION,
    .caps = SLEY__URING_CAPS,
    .name = "uring",
    .adopt = adopt,
    .submit = submit,
    .cancel = cancel,
    .poll = sley__uring_poll,
    .wake = wake,
    .serve = sley__uring_serve,
    .pollable_fd = sley__uring_pollable_fd,
    .destroy = destroy,
    .submit_file = sley__uring_submit_file,
    .fixed_add = sley__uring_fixed_add,
    .fixed_remove = sley__uring_fixed_remove,
    .lend_number = sley__uring_lend_number,
    .describe = sley__uring_describe,
    .take_ahead = sley__uring_take_ahead,
    .rest = sley__uring_rest,
};
