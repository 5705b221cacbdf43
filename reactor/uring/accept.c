/* Accepts: alone; or, when they are asked for in a loop, by a request that stands (standing.c). Connections that come unasked are kept in
 * a ring through their own slots: `link` is the next one's number, `ahead_last` of the listener's slot the newest's.
 *
 * The kernel takes all that the listener's queue holds when it takes one. That is no harm where somebody asks for them soon; where
 * they lie, they use up numbers, and others that share the listener go without. So nothing stands while nobody asks though whoever was
 * told of the last one has had a turn, or the worker waits. After that, or when many lie unasked, accepts go alone again (SHY) until one
 * has emptied the queue. What lies there cannot be given back: it is the next one's to ask, of whichever kind, or is closed with the
 * listener or the ring. A request has the RLIMIT_NOFILE of when it began.
 *
 * A listener that is ROBBED (heir.c) has none that stands, and accepts that wait as polls do, until its number goes. */
#include "uring.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LIE_MOST = 128, /* twice what one look brings: whoever asks in a loop has taken those of the look before */
    /* A connection for which the table has no place is lost in the kernel. So many places (two queues of the usual length) are to be free
     * while a request stands that takes what comes, and half of them before it is asked to end. */
    TABLE_SPARE = 8192,
};

static bool to_table(const struct sley__uring *r, const struct sley_io_op *op)
{
    return (op->flags & SLEY_IO_DIRECT) && sley__uring_has(r, SLEY__URING_DIRECT);
}

/** Would a connection that stands for ops like the one before suit this one? */
static bool is_alike(const struct sley__uring *r, const struct sley__uring_slot *slot, const struct sley_io_op *op)
{
    return to_table(r, op) == ((slot->standing & SLEY__URING_TO_TABLE) != 0);
}

static bool has_room(const struct sley__uring *r, uint32_t spare)
{
    return r->direct_size - r->direct_count > spare;
}

/* ---- what lies there --------------------------------------------------------------------------------------------------- */

static void keep(struct sley__uring *r, struct sley__uring_slot *slot, int number)
{
    struct sley__uring_slot *own = sley__uring_find(r, number);
    if (slot->standing & SLEY__URING_KEPT) {
        struct sley__uring_slot *last = sley__uring_find(r, slot->ahead_last);
        own->link = last->link;
        last->link = number;
    } else {
        own->link = number;
        slot->ahead_count = 0;
        slot->standing |= SLEY__URING_KEPT;
    }
    slot->ahead_last = number;
    slot->ahead_count++;
}

static int take_oldest(struct sley__uring *r, struct sley__uring_slot *slot)
{
    struct sley__uring_slot *last = sley__uring_find(r, slot->ahead_last);
    const int number = last->link;
    last->link = sley__uring_find(r, number)->link;
    if (--slot->ahead_count == 0) {
        slot->standing &= (uint16_t)~SLEY__URING_KEPT;
    }
    return number;
}

/** As the oldest: it was taken in vain. */
static void put_back(struct sley__uring *r, struct sley__uring_slot *slot, int number)
{
    const bool others = slot->standing & SLEY__URING_KEPT;
    const int32_t newest = slot->ahead_last;
    keep(r, slot, number);
    if (others) { /* in the ring it is between the newest and the oldest already */
        slot->ahead_last = newest;
    }
}

void sley__uring_drop_connections(struct sley__uring *r, struct sley__uring_slot *slot)
{
    while (slot->standing & SLEY__URING_KEPT) {
        struct sley_fd fd;
        sley_fd_init(&fd, take_oldest(r, slot));
        if (sley_fd_is_direct(&fd)) {
            (void)sley__uring_direct_close(r, &fd, NULL);
        } else {
            (void)close(fd.number);
        }
    }
}

void sley__uring_forget_direct(struct sley__uring *r, struct sley__uring_slot *slot)
{
    for (uint32_t left = slot->ahead_count; left > 0; left--) {
        const int number = take_oldest(r, slot);
        if (number < SLEY_FD_DIRECT_FIRST) {
            keep(r, slot, number);
        }
    }
}

/* ---- in ---------------------------------------------------------------------------------------------------------------- */

static void queue_alone(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    op->stage |= slot->standing & SLEY__URING_ROBBED ? SLEY__URING_POLLING : 0;
    sley__uring_queue(r, slot, op);
}

static void alone(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    const int32_t rc = op->flags & SLEY_IO_DIRECT ? sley__uring_direct_reserve(r, op) : 0;
    if (rc < 0) {
        sley__uring_end(r, slot, op, rc);
    } else {
        queue_alone(r, slot, op);
    }
}

/** Is another in the kernel? What stands would take its connection. */
static bool has_one_alone(const struct sley__uring_slot *slot, const struct sley_io_op *except)
{
    const struct sley_io_op *op = slot->armed;
    while (op && (op == except || op->code != SLEY_IO_ACCEPT || (op->stage & SLEY__URING_BEHIND))) {
        op = op->next;
    }
    return op != NULL;
}

static bool may_stand(const struct sley__uring *r, const struct sley__uring_slot *slot, const struct sley_io_op *op)
{
    const uint32_t wont = SLEY__URING_STANDS | SLEY__URING_KEPT | SLEY__URING_SHY | SLEY__URING_ROBBED;
    return sley__uring_has(r, SLEY__URING_ACCEPT_MULTI) && (slot->standing & (wont | SLEY__URING_LOOPS)) == SLEY__URING_LOOPS &&
           (!to_table(r, op) || (sley__uring_has(r, SLEY__URING_FD_INSTALL) && has_room(r, TABLE_SPARE))) && !has_one_alone(slot, op);
}

static void stand(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    struct io_uring_sqe *sqe = sley__uring_stand(r, slot, op);
    if (!sqe) {
        alone(r, slot, op); /* when there is a place for it */
        return;
    }
    io_uring_prep_multishot_accept(sqe, op->fd->number, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    slot->standing = (uint16_t)((slot->standing & ~SLEY__URING_TO_TABLE) | SLEY__URING_ACCEPTS);
    if (to_table(r, op)) {
        slot->standing |= SLEY__URING_TO_TABLE;
        sqe->accept_flags = SOCK_NONBLOCK;
        sqe->file_index = IORING_FILE_INDEX_ALLOC;
    }
    sley__uring_describe_standing(slot, sqe);
}

/** The oldest that lies there is @p op's. Returns: whether it can be told so: else it is direct, and is to have a number first. */
static bool give_oldest(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    op->out_number = take_oldest(r, slot);
    const bool suits = op->out_number < SLEY_FD_DIRECT_FIRST || to_table(r, op);
    op->stage = suits ? op->stage : SLEY__URING_INSTALLS;
    return suits;
}

void sley__uring_accept_anew(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op)
{
    if (slot->standing & SLEY__URING_KEPT) {
        if (give_oldest(r, slot, op)) {
            sley__uring_end(r, slot, op, 0);
        } else {
            sley__uring_queue(r, slot, op);
        }
    } else if (may_stand(r, slot, op)) {
        stand(r, slot, op);
    } else {
        alone(r, slot, op);
    }
}

void sley__uring_accept(struct sley__uring *r, struct sley_io_op *op)
{
    struct sley__uring_slot *slot = sley__uring_find(r, op->fd->number);
    const bool alike = is_alike(r, slot, op);
    if ((slot->standing & SLEY__URING_SOMETHING) && !(slot->standing & SLEY__URING_ACCEPTS)) {
        sley_io_finish(op, -EINVAL); /* as the kernel says: it is a connection */
        return;
    }
    if ((slot->standing & SLEY__URING_STANDS) && !alike) {
        slot->standing |= SLEY__URING_SHY; /* else the next one would stand in its way */
        sley__uring_dismiss(r, slot);
    }
    if (slot->standing & SLEY__URING_KEPT) {
        if (give_oldest(r, slot, op)) {
            sley_io_finish(op, 0);
        } else {
            sley_io_arm(&r->base, op);
            sley__uring_push(slot, op);
            sley__uring_queue(r, slot, op);
        }
    } else if (slot->standing & SLEY__URING_STANDS) {
        sley__uring_wait_behind(r, slot, op);
    } else if ((op->flags & SLEY_IO_DIRECT) && !may_stand(r, slot, op)) {
        const int32_t rc = sley__uring_direct_reserve(r, op);
        if (rc < 0) {
            sley_io_finish(op, rc);
            return;
        }
        sley_io_arm(&r->base, op);
        sley__uring_push(slot, op);
        queue_alone(r, slot, op);
    } else {
        sley_io_arm(&r->base, op);
        sley__uring_push(slot, op);
        sley__uring_accept_anew(r, slot, op);
    }
}

/* ---- back -------------------------------------------------------------------------------------------------------------- */

/** A connection that lay there has a number of the process, or cannot have one: then it lies there again. */
static void installed(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res)
{
    if (res >= 0) {
        struct sley_fd fd;
        sley_fd_init(&fd, op->out_number);
        (void)sley__uring_direct_close(r, &fd, NULL);
        op->stage &= (uint8_t) ~(uint32_t)SLEY__URING_INSTALLS;
        op->out_number = res;
    }
    sley__uring_end(r, slot, op, res < 0 ? res : 0);
}

void sley__uring_accept_put_back(struct sley__uring *r, struct sley__uring_slot *slot, const struct sley_io_op *op)
{
    put_back(r, slot, op->out_number);
}

bool sley__uring_accept_completed(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res,
                                  uint32_t flags)
{
    if (SLEY_UNLIKELY(op->stage & SLEY__URING_INSTALLS)) {
        installed(r, slot, op, res);
        return true;
    }
    if (res >= 0) {
        slot->standing |= SLEY__URING_LOOPS; /* if there is a next one */
        slot->standing &= (uint16_t)(flags & IORING_CQE_F_SOCK_NONEMPTY ? ~0 : ~SLEY__URING_SHY);
    }
    return false;
}

static struct sley_io_op *oldest_waiter(const struct sley__uring *r, const struct sley__uring_slot *slot)
{
    struct sley_io_op *found = NULL;
    for (struct sley_io_op *op = slot->armed; op; op = op->next) {
        const bool suits = !(slot->standing & SLEY__URING_TO_TABLE) || to_table(r, op);
        if (op->code == SLEY_IO_ACCEPT && (op->stage & SLEY__URING_BEHIND) && suits) {
            found = op;
        }
    }
    return found;
}

/** What the kernel has opened becomes ours. Returns: its number; negative: there is no memory for it, and it is closed again. */
static int taken(struct sley__uring *r, const struct sley__uring_slot *slot, int32_t res)
{
    if (slot->standing & SLEY__URING_TO_TABLE) {
        const int number = sley__uring_direct_came(r, res, SLEY__URING_OTHER);
        r->direct_count += number >= 0;
        return number;
    }
    int rc = sley__uring_make_slot(r, res); /* for the ring of those that lie */
    if (rc == 0) {
        rc = sley__uring_stand_down(r, sley__uring_find(r, res)); /* of one with this number that was closed without us */
    }
    if (rc < 0) {
        (void)close(res);
    }
    return rc < 0 ? rc : res;
}

static void connection(struct sley__uring *r, struct sley__uring_slot *slot, int32_t res)
{
    const int number = taken(r, slot, res);
    struct sley_io_op *op = number >= 0 ? oldest_waiter(r, slot) : NULL;
    if (op) {
        op->stage &= (uint8_t) ~(uint32_t)SLEY__URING_BEHIND;
        op->out_number = number;
        sley__uring_end(r, slot, op, 0);
    } else if (number >= 0) {
        keep(r, slot, number);
        if (slot->ahead_count > LIE_MOST) {
            slot->standing |= SLEY__URING_SHY;
            sley__uring_dismiss(r, slot);
        }
    }
    if ((slot->standing & SLEY__URING_TO_TABLE) && !has_room(r, TABLE_SPARE / 2)) {
        sley__uring_dismiss(r, slot);
    }
    sley__uring_unasked(r, slot);
}

void sley__uring_accepted(struct sley__uring *r, struct sley__uring_slot *slot, int32_t res, uint32_t flags)
{
    (void)flags;
    if (res >= 0) {
        connection(r, slot, res);
    } else if (res != -ECANCELED && res != -EINTR && res != -EAGAIN) {
        struct sley_io_op *op = oldest_waiter(r, slot); /* with nobody there the next one will be told, if it lasts */
        if (op) {
            op->stage &= (uint8_t) ~(uint32_t)SLEY__URING_BEHIND;
            sley__uring_end(r, slot, op, res);
        }
    }
}
