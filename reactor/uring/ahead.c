/* Receives that stand (standing.c), and the bytes that they bring unasked: each piece in the buffer that the kernel has taken for it.
 * The pieces are a ring through the buffers, `ahead_last` the newest's place in the pool.
 *
 * Only of what is a stream of bytes (SLEY_FD_STREAM): a message would have to be told from the next, and may carry more than bytes. */
#include "bytes.h"
#include "checker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Pieces that lie at a connection before it is asked to bring no more: with a reader that is only a little late it stays. */
enum { LIE_MOST = 8 };

/* ---- what lies there --------------------------------------------------------------------------------------------------- */

static struct sley_lent *lent_at(const struct sley__uring *r, int32_t place)
{
    return &r->base.lend.pool->lents[place];
}

static struct sley__uring_piece *piece_of(const struct sley__uring *r, const struct sley_lent *l)
{
    return &r->stock.pieces[l - r->base.lend.pool->lents];
}

static struct sley_lent *oldest(const struct sley__uring *r, const struct sley__uring_slot *slot)
{
    return lent_at(r, slot->ahead_last)->at.next;
}

static void keep(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_lent *l, uint32_t bytes)
{
    *piece_of(r, l) = (struct sley__uring_piece){.bytes = bytes};
    if (slot->standing & SLEY__URING_KEPT) {
        struct sley_lent *last = lent_at(r, slot->ahead_last);
        l->at.next = last->at.next;
        last->at.next = l;
    } else {
        l->at.next = l;
        slot->ahead_count = 0;
        slot->standing |= SLEY__URING_KEPT;
    }
    slot->ahead_last = (int32_t)(l - r->base.lend.pool->lents);
    slot->ahead_count++;
    r->stock.kept++;
}

static struct sley_lent *take_oldest(struct sley__uring *r, struct sley__uring_slot *slot)
{
    struct sley_lent *l = oldest(r, slot);
    lent_at(r, slot->ahead_last)->at.next = l->at.next;
    r->stock.kept--;
    if (--slot->ahead_count == 0) {
        slot->standing &= (uint16_t)~SLEY__URING_KEPT;
    }
    return l;
}

void sley__uring_drop_bytes(struct sley__uring *r, struct sley__uring_slot *slot)
{
    while (slot->standing & SLEY__URING_KEPT) {
        struct sley_lent *l = take_oldest(r, slot);
        sley__lender_give(l->pool, l);
    }
}

/* ---- given to who asks ------------------------------------------------------------------------------------------------- */

/** Copies what lies there; each buffer that is empty then goes back. Returns: how much. */
static size_t copy_out(struct sley__uring *r, struct sley__uring_slot *slot, char *to, size_t len)
{
    size_t done = 0;
    while (done < len && (slot->standing & SLEY__URING_KEPT)) {
        struct sley_lent *l = oldest(r, slot);
        struct sley__uring_piece *p = piece_of(r, l);
        const size_t n = len - done < p->bytes ? len - done : p->bytes;
        memcpy(to + done, l->data + p->from, n);
        done += n;
        p->from += (uint32_t)n;
        p->bytes -= (uint32_t)n;
        if (p->bytes == 0) {
            sley__lender_give(l->pool, take_oldest(r, slot));
        }
    }
    return done;
}

static int32_t give_lent(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    struct sley_lent *l = take_oldest(r, slot);
    const struct sley__uring_piece *p = piece_of(r, l);
    if (p->from > 0) {
        memmove(l->data, l->data + p->from, p->bytes);
    }
    op->buf = l;
    return (int32_t)p->bytes;
}

static int32_t give_message(struct sley__uring *r, struct sley__uring_slot *slot, struct msghdr *m)
{
    size_t done = 0;
    for (size_t i = 0; i < m->msg_iovlen && done < SLEY_IO_CALL_BYTES; i++) {
        done += copy_out(r, slot, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
    }
    m->msg_namelen = 0;
    m->msg_controllen = 0;
    m->msg_flags = 0;
    return (int32_t)done;
}

/** What lies there, and stays there. */
static int32_t show_message(struct sley__uring *r, const struct sley__uring_slot *slot, const struct msghdr *m)
{
    const struct sley_lent *l = oldest(r, slot);
    size_t done = 0, from = 0;
    uint32_t left = slot->ahead_count;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        for (size_t at = 0, n; left > 0 && at < m->msg_iov[i].iov_len && done < SLEY_IO_CALL_BYTES; at += n) {
            const struct sley__uring_piece *p = piece_of(r, l);
            const size_t room = m->msg_iov[i].iov_len - at;
            n = room < p->bytes - from ? room : p->bytes - from;
            memcpy((char *)m->msg_iov[i].iov_base + at, l->data + p->from + from, n);
            done += n;
            from += n;
            if (from == p->bytes) {
                l = l->at.next;
                from = 0;
                left--;
            }
        }
    }
    return (int32_t)done;
}

static int32_t give_own(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    const size_t left = op->len - op->done_bytes, n = copy_out(r, slot, (char *)op->buf + op->done_bytes, left);
    if (!(op->flags & SLEY_IO_ALL)) {
        return (int32_t)n;
    }
    op->done_bytes += n;
    return op->done_bytes == op->len ? 0 : -EINPROGRESS;
}

/** It can be read; what else is true of the descriptor the system knows, unless it is a direct one. */
static int32_t give_readiness(const struct sley__uring_slot *slot, const struct sley_io_op *op)
{
    struct pollfd p = {.fd = op->fd->number, .events = (short)(op->len & (SLEY_IO_IN | SLEY_IO_OUT))};
    const int n = sley_fd_is_direct(op->fd) ? 0 : poll(&p, 1, 0);
    return (n > 0 && !(p.revents & POLLNVAL) ? p.revents : 0) | SLEY_IO_IN | (slot->standing & SLEY__URING_FAILED ? SLEY_IO_ERR : 0);
}

/** KEPT or FAILED. Returns: the op's result; -EINPROGRESS: it has not got all yet. */
static int32_t give(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    if (op->code == SLEY_IO_POLL) {
        return give_readiness(slot, op);
    }
    if (!(slot->standing & SLEY__URING_KEPT)) {
        slot->standing &= op->flags & SLEY_IO_PEEK ? UINT16_MAX : (uint16_t)~SLEY__URING_FAILED;
        return slot->link;
    }
    if (op->flags & SLEY_IO_PEEK) {
        return show_message(r, slot, op->buf);
    }
    if (op->flags & SLEY_IO_LEND) {
        return give_lent(r, slot, op);
    }
    return op->code == SLEY_IO_RECVMSG ? give_message(r, slot, op->buf) : give_own(r, slot, op);
}

enum { SOMETHING = SLEY__URING_KEPT | SLEY__URING_FAILED };

static int32_t give_all(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    int32_t n = -EINPROGRESS;
    while (n == -EINPROGRESS && (slot->standing & SOMETHING)) {
        n = give(r, slot, op);
    }
    return n;
}

/* ---- in ---------------------------------------------------------------------------------------------------------------- */

bool sley__uring_ahead(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    const bool polls = op->code == SLEY_IO_POLL;
    if (polls ? !(op->len & SLEY_IO_IN) : (slot->standing & SLEY__URING_ACCEPTS) != 0) {
        return false; /* to receive from a listener is a mistake, which the kernel tells */
    }
    if (slot->standing & SOMETHING) {
        const int32_t n = give_all(r, slot, op);
        if (n != -EINPROGRESS) {
            sley_io_finish(op, n);
            return true;
        }
    }
    if (!(slot->standing & SLEY__URING_STANDS)) {
        return false;
    }
    sley__uring_wait_behind(r, slot, op);
    if (!(op->flags & SLEY_IO_LEND)) {
        slot->standing |= SLEY__URING_SHY; /* it is not read in one way alone */
        sley__uring_dismiss(r, slot);
    }
    return true;
}

int32_t sley__uring_take_ahead(struct sley_reactor *self, struct sley_fd *fd, void *buf, size_t len)
{
    struct sley__uring *r = sley_container_of(self, struct sley__uring, base);
    struct sley__uring_slot *slot = sley__uring_find(r, fd->number);
    struct sley_io_op op = {.fd = fd, .buf = buf, .len = len < SLEY_IO_CALL_BYTES ? len : SLEY_IO_CALL_BYTES, .code = SLEY_IO_RECV};
    if (slot->standing & SLEY__URING_ACCEPTS) {
        return -EINPROGRESS;
    }
    if (slot->standing & SOMETHING) {
        return give(r, slot, &op);
    }
    return slot->standing & SLEY__URING_STANDS ? -EAGAIN : -EINPROGRESS;
}

void sley__uring_receive_anew(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    const int32_t n = give_all(r, slot, op);
    if (n != -EINPROGRESS) {
        sley__uring_end(r, slot, op, n);
    } else if (op->flags & SLEY_IO_LEND) {
        sley__uring_lend_anew(r, slot, op);
    } else {
        sley__uring_queue(r, slot, op);
    }
}

/** A poll would wait for what a request that stands takes away. */
static bool is_polled(const struct sley__uring_slot *slot)
{
    const struct sley_io_op *op = slot->armed;
    while (op && op->code != SLEY_IO_POLL) {
        op = op->next;
    }
    return op != NULL;
}

bool sley__uring_receive_stands(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    const uint32_t wont = SLEY__URING_SHY | SLEY__URING_STANDS;
    if (!sley__uring_has(r, SLEY__URING_RECV_MULTI) || (slot->standing & (wont | SLEY__URING_LOOPS)) != SLEY__URING_LOOPS ||
        !(sley__fd_state(op->fd) & SLEY_FD_STREAM) || is_polled(slot)) {
        return false;
    }
    struct io_uring_sqe *sqe = sley__uring_stand(r, slot, op);
    if (!sqe) {
        return false;
    }
    io_uring_prep_recv_multishot(sqe, op->fd->number, NULL, 0, 0);
    sley__uring_describe_choice(sqe);
    sqe->ioprio |= slot->is_dry ? IORING_RECVSEND_POLL_FIRST : 0;
    slot->standing &= (uint16_t)~SLEY__URING_ACCEPTS;
    sley__uring_describe_standing(slot, sqe);
    return true;
}

/* ---- back -------------------------------------------------------------------------------------------------------------- */

/** The receive that waits; of those there is one at a time. */
static struct sley_io_op *reader(const struct sley__uring_slot *slot)
{
    struct sley_io_op *op = slot->armed;
    while (op && (!(op->stage & SLEY__URING_BEHIND) || op->code == SLEY_IO_POLL)) {
        op = op->next;
    }
    return op;
}

static void end_reader(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res)
{
    op->stage &= (uint8_t) ~(uint32_t)SLEY__URING_BEHIND;
    sley__uring_end(r, slot, op, res);
}

static void bytes(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_lent *l, int32_t n)
{
    struct sley_io_op *op = reader(slot);
    sley__uring_filled(l->data, (size_t)n);
    if (op && (op->flags & SLEY_IO_LEND)) {
        op->buf = l;
        sley__uring_restock_late(r);
        op->stage &= (uint8_t) ~(uint32_t)SLEY__URING_BEHIND;
        sley__uring_end_lent(r, slot, op, n);
        return;
    }
    keep(r, slot, l, (uint32_t)n);
    const uint32_t share = (r->stock.most + 1) / 2;
    if (slot->ahead_count >= (share < LIE_MOST ? share : LIE_MOST)) {
        sley__uring_dismiss(r, slot);
    }
    sley__uring_restock(r);
}

void sley__uring_received(struct sley__uring *r, struct sley__uring_slot *slot, int32_t res, uint32_t flags)
{
    struct sley_lent *l = flags & IORING_CQE_F_BUFFER ? sley__uring_take_from_stock(r, flags) : NULL;
    struct sley_io_op *op;
    slot->is_dry = res > 0 && !(flags & IORING_CQE_F_SOCK_NONEMPTY) && sley__uring_has(r, SLEY__URING_POLL_FIRST);
    if (res > 0) {
        bytes(r, slot, l, res);
        return;
    }
    if (l) {
        sley__lender_give(l->pool, l);
    }
    switch (res) {
    case -ENOBUFS:
        sley__uring_stock_ran_out(r);
        break;
    case -ECANCELED:
    case -EINTR:
    case -EAGAIN:
        break;
    default: /* an end of file will be told again, an error will not */
        op = slot->standing & SLEY__URING_KEPT ? NULL : reader(slot);
        if (op && (res < 0 || (op->flags & SLEY_IO_LEND))) {
            end_reader(r, slot, op, res);
        } else if (res < 0 && res != -EEXIST && !slot->is_abandoned) { /* that one was refused: it is the thread's fault */
            slot->standing |= SLEY__URING_FAILED;
            slot->link = res;
        }
        break;
    }
}
