/* One broken reactor for each clause of file ops and of lent receives. */
#include "broken.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <sley/lend_impl.h>

/* ---- files, paths ---------------------------------------------------------------------------------------------------------- */

static bool here_is_the_beginning(struct sley_reactor *r, struct sley_file_op *op)
{
    (void)r;
    if (op->io.code == SLEY_IO_READ && op->offset == SLEY_FILE_HERE && lseek(op->io.fd->number, 0, SEEK_CUR) > 0) {
        op->offset = 0;
    }
    return false;
}

static bool pieces_the_other_way_round(struct sley_reactor *r, struct sley_file_op *op)
{
    (void)r;
    if (op->io.code == SLEY_IO_READV && op->io.len == 2) {
        struct iovec *iov = op->io.buf, first = iov[0];
        iov[0] = iov[1];
        iov[1] = first;
    }
    return false;
}

static bool fixed_from_its_beginning(struct sley_reactor *r, struct sley_file_op *op)
{
    (void)r;
    op->io.buf = op->io.code == SLEY_IO_READ_FIXED ? op->a.fixed->base : op->io.buf;
    return false;
}

static bool one_write_at_a_time(struct sley_reactor *r, struct sley_file_op *op)
{
    (void)r;
    const bool busy = op->io.code == SLEY_IO_WRITE && op->offset != SLEY_FILE_HERE && holds(op->io.fd) > 0;
    if (busy) {
        sley_file_finish(op, -EBUSY);
    }
    return busy;
}

static bool allocate_nothing(struct sley_reactor *r, struct sley_file_op *op)
{
    (void)r;
    const bool nothing = op->io.code == SLEY_IO_FALLOCATE && op->io.len == 5000;
    if (nothing) {
        sley_file_finish(op, 0);
    }
    return nothing;
}

static int32_t bad_is_invalid(struct sley_file_op *op, int32_t result)
{
    return op->io.code == SLEY_IO_FSYNC && result == -EBADF ? -EINVAL : result;
}

static int32_t missing_is_moved(struct sley_file_op *op, int32_t result)
{
    return op->io.code == SLEY_IO_RENAME && result == -ENOENT ? 0 : result;
}

static int32_t open_on_exec(struct sley_file_op *op, int32_t result)
{
    if (op->io.code == SLEY_IO_OPEN && !(op->io.flags & SLEY_IO_DIRECT) && result == 0) {
        (void)fcntl(op->io.out_number, F_SETFD, 0);
    }
    return result;
}

static int32_t open_anyway(struct sley_file_op *op, int32_t result)
{
    if (op->io.code == SLEY_IO_OPEN && result == -ECANCELED) {
        (void)dup(op->dir);
    }
    return result;
}

/* ---- pipes, splices, children ------------------------------------------------------------------------------------------------ */

static bool is_pipe(const struct sley_fd *fd)
{
    return fcntl(fd->number, F_GETPIPE_SZ) > 0;
}

static bool is_read(const struct sley_file_op *op)
{
    return op->io.code == SLEY_IO_READ && op->offset == SLEY_FILE_HERE && op->io.len > 0 && is_pipe(op->io.fd);
}

static int32_t end_is_broken(struct sley_file_op *op, int32_t result)
{
    return is_read(op) && result == 0 ? -EPIPE : result;
}

static int32_t sigpipe_for_a_write(struct sley_file_op *op, int32_t result)
{
    if (op->io.code == SLEY_IO_WRITE && result == -EPIPE) {
        (void)raise(SIGPIPE);
    }
    return result;
}

static bool blocking_is_again(struct sley_reactor *r, struct sley_file_op *op)
{
    (void)r;
    const bool refused = is_read(op) && !(fcntl(op->io.fd->number, F_GETFL) & O_NONBLOCK);
    if (refused) {
        sley_file_finish(op, -EAGAIN);
    }
    return refused;
}

static int32_t cancelled_takes_a_byte(struct sley_file_op *op, int32_t result)
{
    char byte;
    if (is_read(op) && result == -ECANCELED && queued(op->io.fd->number) > 0) {
        (void)!read(op->io.fd->number, &byte, 1);
    }
    return result;
}

static int32_t closed_is_the_end(struct sley_file_op *op, int32_t result)
{
    return op->io.code == SLEY_IO_READ && (sley__fd_state(op->io.fd) & SLEY_FD_CLOSING) && result == -ECANCELED ? 0 : result;
}

static int32_t destroyed_is_the_end(struct sley_file_op *op, int32_t result)
{
    return is_read(op) && op->home->files.ending && result == -ECANCELED ? 0 : result;
}

static int32_t splice_one_less(struct sley_file_op *op, int32_t result)
{
    return op->io.code == SLEY_IO_SPLICE && result == 4 ? 3 : result;
}

static bool shut_both(struct sley_reactor *r, struct sley_file_op *op)
{
    (void)r;
    op->how = op->io.code == SLEY_IO_SHUTDOWN ? SHUT_RDWR : op->how;
    return false;
}

static bool reap_always(struct sley_reactor *r, struct sley_file_op *op)
{
    (void)r;
    op->how = op->io.code == SLEY_IO_CHILD ? 0 : op->how;
    return false;
}

static bool sent_before_it_is(struct sley_reactor *r, struct sley_file_op *op)
{
    (void)r;
    if (op->io.code == SLEY_IO_SEND_ZC && op->a.sent) {
        op->a.sent(op, 4);
    }
    return false;
}

/* ---- lent receives ------------------------------------------------------------------------------------------------------------ */

static bool is_lent(const struct sley_io_op *op)
{
    return op->code == SLEY_IO_RECV && (op->flags & SLEY_IO_LEND);
}

static int32_t lent_one_less(struct sley_io_op *op, int32_t result)
{
    return is_lent(op) && result == 16 ? 15 : result;
}

static int32_t lent_at_the_end(struct sley_io_op *op, int32_t result)
{
    if (is_lent(op) && result == 0) {
        *(struct sley_lent **)op->object = (struct sley_lent *)(void *)op;
    }
    return result;
}

/** From the fifth that waits on each has a buffer. */
static void take_while_it_waits(struct sley_reactor *r, struct sley_io_op *op)
{
    if (is_lent(op) && !(op->flags & SLEY__LEND_STARVED) && r->armed_count > 4 && r->lend.pool) {
        (void)sley__lender_take(r->lend.pool);
    }
}

static bool one_in_line(struct sley_reactor *r, struct sley_io_op *op)
{
    const bool refused = is_lent(op) && r->lend.pool && r->lend.pool->first && !(op->flags & SLEY__LEND_FED);
    if (refused) {
        sley_io_finish(op, -EBUSY);
    }
    return refused;
}

static int32_t cancelled_in_line_takes_a_byte(struct sley_io_op *op, int32_t result)
{
    char byte;
    if (is_lent(op) && result == -ECANCELED && !(sley__fd_state(op->fd) & SLEY_FD_CLOSING)) {
        (void)recv(op->fd->number, &byte, 1, MSG_DONTWAIT);
    }
    return result;
}

static int32_t closed_in_line_is_the_end(struct sley_io_op *op, int32_t result)
{
    const bool closing = is_lent(op) && (sley__fd_state(op->fd) & SLEY_FD_CLOSING);
    return closing && result == -ECANCELED && queued(op->fd->number) > 0 ? 0 : result;
}

static int32_t reset_behind_data_is_the_end(struct sley_io_op *op, int32_t result)
{
    mind.number = is_lent(op) && result == 6 ? op->fd->number : mind.number;
    return is_lent(op) && result == -ECONNRESET && mind.number == op->fd->number ? 0 : result;
}

static int32_t no_buffer_is_again(struct sley_io_op *op, int32_t result)
{
    return is_lent(op) && result == -ENOBUFS ? -EAGAIN : result;
}

static int32_t peek_one_less(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_RECVMSG && (op->flags & SLEY_IO_PEEK) && result == 5 ? 4 : result;
}

static int32_t destroyed_in_line_is_the_end(struct sley_io_op *op, int32_t result)
{
    const struct sley_reactor *home = sley__fd_home(op->fd);
    return is_lent(op) && home && home->lend.pool && home->lend.pool->ending && result == -ECANCELED ? 0 : result;
}

const struct broken broken_files[] = {
    {.clause = "file_written_is_read_back", .file = here_is_the_beginning},
    {.clause = "vectors_move_in_order", .file = pieces_the_other_way_round},
    {.clause = "fixed_buffers_are_buffers", .file = fixed_from_its_beginning},
    {.clause = "positional_ops_are_many", .file = one_write_at_a_time},
    {.clause = "file_is_synced_grown_and_described", .file = allocate_nothing},
    {.clause = "file_op_on_what_is_not_open_is_ebadf", .file_end = bad_is_invalid},
    {.clause = "paths_are_made_moved_and_removed", .file_end = missing_is_moved},
    {.clause = "open_gives_close_on_exec", .file_end = open_on_exec},
    {.clause = "cancelled_open_leaks_nothing", .file_end = open_anyway},
    {.clause = "pipe_read_waits_for_its_data", .file_end = end_is_broken},
    {.clause = "pipe_write_waits_for_room", .file_end = sigpipe_for_a_write},
    {.clause = "blocking_descriptor_blocks_nobody", .file = blocking_is_again},
    {.clause = "cancelled_file_op_moves_nothing", .file_end = cancelled_takes_a_byte},
    {.clause = "close_ends_file_ops_before_itself", .file_end = closed_is_the_end},
    {.clause = "destroy_ends_file_ops", .file_end = destroyed_is_the_end},
    {.clause = "splice_waits_for_either_side", .file_end = splice_one_less},
    {.clause = "shutdown_ends_a_direction", .file = shut_both},
    {.clause = "child_that_ends_is_told", .file = reap_always},
    {.clause = "zero_copy_send_has_two_stages", .file = sent_before_it_is},
    {.clause = "lent_receive_gives_bytes_and_buffer", .end = lent_one_less},
    {.clause = "lent_receive_without_bytes_has_no_buffer", .end = lent_at_the_end},
    {.clause = "waiting_receives_hold_no_buffer", .submitted = take_while_it_waits},
    {.clause = "lent_buffers_that_run_out_are_waited_for_in_turn", .submit = one_in_line},
    {.clause = "cancel_in_line_takes_nothing", .end = cancelled_in_line_takes_a_byte},
    {.clause = "close_in_line_ends_it", .end = closed_in_line_is_the_end},
    {.clause = "reset_in_line_is_told_at_its_turn", .end = reset_behind_data_is_the_end},
    {.clause = "no_memory_to_lend_is_enobufs", .end = no_buffer_is_again},
    {.clause = "bytes_that_come_ahead_are_there_for_all", .end = peek_one_less},
    {.clause = "lent_buffer_outlives_its_reactor", .end = destroyed_in_line_is_the_end},
};
const size_t broken_files_count = sizeof broken_files / sizeof broken_files[0];
