/* For io/, which submits: the short ways of a RECV or SEND of 1 to SLEY_IO_SHARE_BYTES bytes. And what they are. */
#ifndef SLEY_NEAR_IMPL_H
#define SLEY_NEAR_IMPL_H

#include <sley/reactor_impl.h>
#include <sley/socket_impl.h>

SLEY_EXTERN_C_BEGIN

/* ---- the short ways -----------------------------------------------------------------------------------------------
 * Of a descriptor that is at home in a reactor of readiness, and not FAR, a SEND is tried where it is submitted, and the reactor
 * hears of it only when it does not go out whole (send_on); and a RECV that would find nothing is armed by a few stores. Who
 * submits takes them by <sley/near_impl.h>. */

enum sley__way {
    SLEY__WAY_ASK,   /* every receive is to be submitted */
    SLEY__WAY_DRY,   /* nothing is there, and the reactor watches for what comes: a receive may be armed here */
    SLEY__WAY_TAKEN, /* one has been; it is `read`, and nothing else waits to receive. Its `next` and done_bytes are not set */
};

/* ---- the same where several workers share the home -------------------------------------------------------------------
 * All of it is changed under the home's lock alone, by plain loads and stores. A receive is armed, and ends, in one section each; a
 * send has two, and makes its system call in between, so that the lock is held for some loads and stores, or for a receive.
 *
 *   receive             READING  HOLD  slot->way, read   who leads out of it
 *   none                0        -     ASK, DRY, NULL    arm: whoever starts one, on DRY; else it is submitted
 *   armed               1        +1    TAKEN, the op     event: who looks for the owner, or serves: it has received. cancel: whose
 *                                                        op it is. close: anybody. All three end it
 *   ended               0        -     as none           tell: who has ended it, when the lock is free. A cancel finds ENDED in the
 *                                                        op, and does nothing; another receive may start
 *
 *   send                WRITING  SENDING                 who leads out of it
 *   none                0        0                       enter: whoever starts one
 *   outside             1        1                       the same, after the call: it ends, or is armed like others
 *   armed               1        0                       as a receive that is not armed by a short way
 *
 * A second receive, or send, finds READING, or WRITING: -EBUSY. SENDING is what pins the number: who closes says CLOSING, after which
 * nobody enters, and waits until it is 0; it lasts for as long as a call that never blocks. What is armed needs no pin: a close ends
 * it first. A move says -EBUSY while any of READING, WRITING, HOLD and SENDING is there, and whoever has taken the lock by an address
 * that `home` had before looks at `home` again. A shutdown that finds WRITING waits, and the send's `end` finds it: under the lock,
 * after WRITING has gone. A try that says EAGAIN outside is made once more under the lock before the send is armed: what became
 * ready in between has been reported, to nobody. Receives of one descriptor are one at a time, so that there is no order among
 * them to keep; those that may be many (polls, accepts) are submitted, and close the way. */

/**
 * What is known of a descriptor's number. For the reactor alone but for `read` and `way`, by which a receive is armed. Rings of
 * ops name their newest; its next is the oldest. A direction may be called dry wrongly while it is not watched: the watching
 * then begins with a report of what is ready.
 */
struct sley__slot {
    struct sley_io_op *read;  /* accept, recv, recvmsg: ring */
    struct sley_io_op *write; /* connect, send, sendmsg: ring */
    struct sley_io_op *polls; /* ring */
    uint32_t token;           /* the port's: the number, or a place */
    uint8_t watched;          /* what the port watches: SLEY_IO_IN, OUT, and always ERR; 0: nothing */
    uint8_t marks;            /* SLEY_IO_IN, OUT: the last look in this direction found nothing; SLEY__SLOT_* */
    uint8_t way;              /* enum sley__way */
    uint8_t heat;             /* the port's: how active it is, or has been */
} __attribute__((aligned(32)));
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley__slot) == 32, "two to a cache line");
#endif

#ifndef __cplusplus

SLEY_API extern const struct sley_wait_ops sley__io_kinds[SLEY_IO_CLOSE + 1];

/** Is a short way open: is the descriptor at home in the current sched @p s, its direction free, and is there budget left? */
SLEY_INLINE bool sley_io_near(const struct sley_fd *fd, uint32_t busy, const struct sley_sched *s)
{
    return SLEY_LIKELY(!(sley__fd_state(fd) & (busy | SLEY_FD_CLOSING | SLEY_FD_FAR))) && SLEY_LIKELY(s != NULL) &&
           SLEY_LIKELY(sley__fd_home(fd) == s->reactor) && SLEY_LIKELY(s->budget > 0);
}

SLEY_INLINE void sley__io_begin_near(struct sley_io_op *op, uint32_t code)
{
    SLEY__CHECK_UNARMED(&op->wait);
    op->wait.ops = &sley__io_kinds[code];
    op->wait.flags = 0;
}

/**
 * Arms a RECV whose code, flags (0) and `end` are set; `end` is not called when it gets something. Returns false when that is
 * not possible: nothing has happened, and it is to be submitted.
 */
SLEY_INLINE bool sley_io_recv_near(struct sley_io_op *op, struct sley_fd *fd, void *buf, size_t len, struct sley_sched *s)
{
    if (!sley_io_near(fd, SLEY_FD_READING, s) || SLEY_UNLIKELY(fd->slot->way != SLEY__WAY_DRY)) {
        return false;
    }
    struct sley__slot *slot = fd->slot;
    sley__io_begin_near(op, SLEY_IO_RECV);
    op->fd = fd;
    op->buf = buf;
    op->len = len;
    sley__fd_home(fd)->armed_count++;
    sley__fd_set(fd, sley__fd_state(fd) + (SLEY_FD_READING | SLEY_FD_HOLD));
    sley__wait_arm_in(&op->wait, s);
    slot->read = op;
    slot->way = SLEY__WAY_TAKEN;
    return true;
}

/**
 * sley_io_submit of a RECV or SEND whose code, flags and `end` are set, for what is usual at a home that is asked about every op
 * (SLEY_FD_FAR), as one that completes is. Returns false: it is not usual, and nothing has happened.
 */
SLEY_INLINE bool sley_io_pass(struct sley_io_op *op, struct sley_fd *fd, void *buf, size_t len, uint32_t code,
                              const struct sley_sched *s)
{
    const uint32_t busy = code == SLEY_IO_RECV ? SLEY_FD_READING : SLEY_FD_WRITING;
    struct sley_reactor *home = sley__fd_home(fd);
    if (SLEY_UNLIKELY(!s) || SLEY_UNLIKELY(!home) || SLEY_UNLIKELY(home != s->reactor) || SLEY_UNLIKELY(s->group != NULL) ||
        SLEY_UNLIKELY(sley__fd_state(fd) & (busy | SLEY_FD_CLOSING)) || SLEY_UNLIKELY(s->budget <= 0)) {
        return false;
    }
    sley__io_begin_near(op, code);
    op->fd = fd;
    op->buf = buf;
    op->len = len;
    op->done_bytes = 0;
    home->ops->submit(home, op);
    return true;
}

/** After sley_io_near. Returns: bytes or a negative errno; when they are not @p len: sley_io_send_on. */
SLEY_INLINE ssize_t sley_io_send_near(const struct sley_fd *fd, const void *buf, size_t len)
{
    return sley__socket_send(fd->number, buf, len);
}

/** A SEND that has gone out whole is done; nothing of the op but flags and ret_done need be set, and `end` is not called. */
SLEY_INLINE void sley_io_sent(struct sley_io_op *op, size_t len, struct sley_sched *s)
{
    SLEY__CHECK_UNARMED(&op->wait);
    op->done_bytes = len;
    if (op->ret_done) {
        *op->ret_done = len;
    }
    op->wait.flags = 0; /* they are read of a done node, too: an earlier use may have lost against a deadline */
    sley__wait_finish_in(&op->wait, s, op->flags & SLEY_IO_ALL ? 0 : (int32_t)len);
}

/** A SEND that has not: it begins, and goes on after @p n. fd, code, flags and `end` are set. */
SLEY_API void sley_io_send_on(struct sley_io_op *op, const void *buf, size_t len, ssize_t n);

/** As sley_io_recv_near, in a worker @p s of a group. */
SLEY_API bool sley_io_recv_shared(struct sley_io_op *op, struct sley_fd *fd, void *buf, size_t len, struct sley_sched *s);
/**
 * In the place of sley_io_near for a SEND in a worker @p s of a group. Returns: the home: sley_io_send_near is to be called, and then
 * one of the next two; NULL: it is to be submitted, and nothing has happened.
 */
SLEY_API struct sley_reactor *sley_io_send_enter(struct sley_fd *fd, struct sley_sched *s);
/** As sley_io_sent; fd and `end` are set, and it is called. */
SLEY_API void sley_io_sent_shared(struct sley_reactor *r, struct sley_io_op *op, size_t len, struct sley_sched *s);
/** As sley_io_send_on. */
SLEY_API void sley_io_send_on_shared(struct sley_reactor *r, struct sley_io_op *op, const void *buf, size_t len, ssize_t n);

#endif /* !__cplusplus */

SLEY_EXTERN_C_END
#endif
