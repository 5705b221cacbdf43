/* One broken reactor for each clause of direct descriptors: all but the first stand on a reactor that has a table for them. */
#include "broken.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#ifdef SLEY__WITH_URING
#include <sley/reactor_uring.h>
#define TABLE .base = &sley_reactor_uring
#else
#define TABLE .base = NULL
#endif

static bool is_direct(const struct sley_io_op *op)
{
    return op->fd && sley_fd_is_direct(op->fd);
}

/** Does it ask for one? */
static bool asks(const struct sley_io_op *op)
{
    return (op->code == SLEY_IO_ACCEPT || op->code == SLEY_IO_OPEN) && (op->flags & SLEY_IO_DIRECT);
}

static bool has_received(const struct sley_io_op *op, int32_t result, int32_t bytes)
{
    return op->code == SLEY_IO_RECV && is_direct(op) && result == bytes;
}

static int32_t open_on_exec(struct sley_io_op *op, int32_t result)
{
    if (asks(op) && result == 0 && op->out_number < SLEY_FD_DIRECT_FIRST) {
        (void)fcntl(op->out_number, F_SETFD, 0);
    }
    return result;
}

static int32_t numbers_are_wanted(struct sley_io_op *op, int32_t result)
{
    struct rlimit limit;
    return asks(op) && result == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 0 ? -EMFILE : result;
}

static int32_t message_one_less(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_SENDMSG && is_direct(op) && result == 3 ? 2 : result;
}

static int32_t written_one_less(struct sley_file_op *op, int32_t result)
{
    return op->io.code == SLEY_IO_WRITE && is_direct(&op->io) && result == 6 ? 5 : result;
}

static int32_t refusal_is_bad(struct sley_file_op *op, int32_t result)
{
    return op->io.code == SLEY_IO_STAT && result == -ENOTSUP ? -EBADF : result;
}

/** From the second refusal in a row on. */
static int32_t full_is_emfile(struct sley_io_op *op, int32_t result)
{
    if (op->code == SLEY_IO_ACCEPT) {
        mind.number = result == -ENFILE ? mind.number + 1 : -1;
    }
    return result == -ENFILE && mind.number > 0 ? -EMFILE : result;
}

static int32_t closed_is_the_end(struct sley_io_op *op, int32_t result)
{
    const bool closing = op->code == SLEY_IO_POLL && is_direct(op) && (sley__fd_state(op->fd) & SLEY_FD_CLOSING);
    return closing && result == -ECANCELED ? SLEY_IO_HUP : result;
}

/* ---- places ---------------------------------------------------------------------------------------------------------------- */

static struct {
    unsigned taken, most; /* places: now, and when the table was full */
    bool lost;            /* one, by a cancel */
} places;

static bool count_closes(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    places.taken -= op->code == SLEY_IO_CLOSE && is_direct(op);
    return false;
}

static int32_t cancelled_accept_keeps_its_place(struct sley_io_op *op, int32_t result)
{
    if (op->code != SLEY_IO_ACCEPT || !asks(op)) {
        return result;
    }
    places.lost = places.lost || result == -ECANCELED;
    places.most = result == -ENFILE ? places.taken : places.most;
    if (result == 0 && places.lost && places.taken + 1 == places.most) {
        return -ENFILE;
    }
    places.taken += result == 0;
    return result;
}

static int32_t count_opens(struct sley_file_op *op, int32_t result)
{
    places.taken += asks(&op->io) && result == 0;
    return result;
}

static bool remember_end(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    if (op->code == SLEY_IO_CLOSE && is_direct(op)) {
        mind.number = op->fd->number;
    }
    return false;
}

/** What was closed last is read by who comes there, if that is seven bytes. */
static int32_t old_bytes(struct sley_io_op *op, int32_t result)
{
    const bool again = has_received(op, result, 1) && op->len == 7 && op->fd->number == mind.number;
    return again ? 7 : result;
}

/* ---- whose they are -------------------------------------------------------------------------------------------------------- */

static int lend_on_exec(struct sley_reactor *self, const struct sley_fd *fd)
{
    const int number = mind.real.lend_number(self, fd);
    if (number >= 0) {
        (void)fcntl(number, F_SETFD, 0);
    }
    return number;
}

static void lends_on_exec(struct sley_reactor_ops *ops)
{
    ops->lend_number = ops->lend_number ? lend_on_exec : NULL;
}

static struct sley_reactor *ending;

static void remember_ending(struct sley_reactor *r)
{
    ending = r;
}

static int32_t destroyed_is_the_end(struct sley_io_op *op, int32_t result)
{
    return has_received(op, result, -ECANCELED) && sley__fd_home(op->fd) == ending ? 0 : result;
}

static int32_t from_afar_one_less(struct sley_io_op *op, int32_t result)
{
    return has_received(op, result, 5) && in_no_task() ? 4 : result;
}

const struct broken broken_direct[] = {
    {.clause = "direct_is_asked_for_not_demanded", .end = open_on_exec},
    {.clause = "direct_descriptor_takes_no_number", TABLE, .end = numbers_are_wanted},
    {.clause = "direct_connection_is_a_connection", TABLE, .end = message_one_less},
    {.clause = "direct_file_is_a_file", TABLE, .file_end = written_one_less},
    {.clause = "direct_refusals_are_enotsup", TABLE, .file_end = refusal_is_bad},
    {.clause = "direct_table_that_is_full_is_enfile", TABLE, .end = full_is_emfile},
    {.clause = "direct_close_ends_what_waits", TABLE, .end = closed_is_the_end},
    {.clause = "direct_places_are_exact", TABLE, .submit = count_closes, .file_end = count_opens, .end = cancelled_accept_keeps_its_place},
    {.clause = "direct_place_starts_clean", TABLE, .submit = remember_end, .end = old_bytes},
    {.clause = "direct_descriptor_lends_a_number", TABLE, .table = lends_on_exec},
    {.clause = "direct_descriptors_end_with_their_reactor", TABLE, .destroy = remember_ending, .end = destroyed_is_the_end},
    {.clause = "direct_op_from_elsewhere_is_done_at_home", TABLE, .end = from_afar_one_less},
};
const size_t broken_direct_count = sizeof broken_direct / sizeof broken_direct[0];
