/* One broken reactor for each clause of sockets: each does one thing wrong, in as few places as there are. */
#include "broken.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <sley/reactor_poll.h>

static int option(int number, int name)
{
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(number, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

static bool peek_takes(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    if (op->code == SLEY_IO_RECVMSG && !(sley__fd_state(op->fd) & SLEY_FD_STREAM)) { /* of a stream others peek, too */
        op->flags &= (uint8_t) ~(uint32_t)SLEY_IO_PEEK;
    }
    return false;
}

/* ---- life ---------------------------------------------------------------------------------------------------------------- */

static void unknown_capability(struct sley_reactor_ops *ops)
{
    ops->caps |= 1 << 7;
}

static int no_memory_is_again(int rc)
{
    return rc == -ENOMEM ? -EAGAIN : rc;
}

static int no_descriptor_is_enfile(int rc)
{
    return rc == -EMFILE ? -ENFILE : rc;
}

static void leak_one(struct sley_reactor *r)
{
    (void)r;
    if (mind.wakes > 0 && mind.polls <= 1 && mind.ends == 0) {
        (void)dup(1);
    }
}

/** Of the pipe that wakes it. */
static int inherit(int rc)
{
    for (int number = 3; rc == 0 && number < 1024; number++) {
        const int flags = fcntl(number, F_GETFL);
        if (flags >= 0 && (flags & O_NONBLOCK) && fcntl(number, F_GETPIPE_SZ) > 0) {
            (void)fcntl(number, F_SETFD, 0);
        }
    }
    return rc;
}

static void destroy_says_zero(struct sley_reactor *r)
{
    (void)r;
    mind.spare = -2;
}

static int32_t zero_at_destroy(struct sley_io_op *op, int32_t result)
{
    (void)op;
    return mind.spare == -2 && result == -ECANCELED ? 0 : result;
}

static void close_the_last(struct sley_reactor *r)
{
    if (r->armed_count == 1 && mind.op) {
        (void)close(mind.op->fd->number);
    }
}

/** One place at a time for what is as large as the first: who asks twice, for another one, is refused, and makes do with the first. */
static struct sley_alloc *beneath;
static size_t first_bytes;

static void *alloc_one(struct sley_alloc *self, size_t bytes, size_t align)
{
    (void)self;
    const bool again = first_bytes == bytes && align == 64;
    first_bytes = first_bytes ? first_bytes : bytes;
    return again ? NULL : beneath->ops->alloc(beneath, bytes, align);
}

static void free_one(struct sley_alloc *self, void *block, size_t bytes)
{
    (void)self;
    beneath->ops->free(beneath, block, bytes);
}

static struct sley_alloc *where_memory_is(struct sley_alloc *alloc)
{
    static const struct sley_alloc_ops ops = {
        .version = SLEY_ALLOC_VERSION, .caps = SLEY_ALLOC_CAP_THREADS, .alloc = alloc_one, .free = free_one};
    static struct sley_alloc one = {.ops = &ops};
    beneath = alloc;
    first_bytes = 0;
    return &one;
}

static int poll_the_other_too(struct sley_reactor *r, uint64_t timeout_ns, int n)
{
    (void)timeout_ns;
    for (int i = 0; i < 2; i++) {
        if (mind.reactors[i] && mind.reactors[i] != r) {
            (void)mind.real.poll(mind.reactors[i], 0);
        }
    }
    return n;
}

/* ---- results -------------------------------------------------------------------------------------------------------------- */

static int32_t write_behind(struct sley_io_op *op, int32_t result)
{
    if (op->code == SLEY_IO_RECV && op->len == 8 && result == 3) {
        ((char *)op->buf)[3] = '!';
    }
    return result;
}

static int32_t send_one_less(struct sley_io_op *op, int32_t result)
{
    const bool is_send = op->code == SLEY_IO_SEND ? op->len == 4096 && !is_static(op->buf) && !is_all(op) : op->code == SLEY_IO_SENDMSG;
    return is_send && result == 4096 ? result - 1 : result;
}

static int32_t swallow_a_datagram(struct sley_io_op *op, int32_t result)
{
    char byte;
    if (op->code == SLEY_IO_RECV && op->len == 64 && result == 3 && option(op->fd->number, SO_TYPE) == SOCK_DGRAM) {
        (void)recv(op->fd->number, &byte, 1, MSG_DONTWAIT);
    }
    return result;
}

static int32_t second_end_is_an_error(struct sley_io_op *op, int32_t result)
{
    const bool end = op->code == SLEY_IO_RECV && result == 0 && !op->flags;
    const bool again = end && mind.number == op->fd->number;
    mind.number = end ? op->fd->number : -1;
    return again ? -ENOTCONN : result;
}

static int32_t reset_is_the_end(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_RECV && !op->flags && result == -ECONNRESET ? 0 : result;
}

static int32_t raise_sigpipe(struct sley_io_op *op, int32_t result)
{
    if (op->code == SLEY_IO_SENDMSG && result == -EPIPE) {
        (void)raise(SIGPIPE);
    }
    return result;
}

static int32_t keep_on_exec(struct sley_io_op *op, int32_t result)
{
    if (op->code == SLEY_IO_RECVMSG && result > 0) {
        struct msghdr *m = op->buf;
        const struct cmsghdr *c = m->msg_controllen ? CMSG_FIRSTHDR(m) : NULL;
        if (c && c->cmsg_type == SCM_RIGHTS) {
            int number;
            memcpy(&number, CMSG_DATA(c), sizeof number);
            (void)fcntl(number, F_SETFD, 0);
        }
    }
    return result;
}

static int32_t connected_is_fine(struct sley_io_op *op, int32_t result)
{
    (void)op;
    return result == -EISCONN ? 0 : result;
}

static int32_t refused_is_a_timeout(struct sley_io_op *op, int32_t result)
{
    (void)op;
    return result == -ECONNREFUSED ? -ETIMEDOUT : result;
}

static int32_t full_is_again(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_CONNECT && result == -ENOBUFS ? -EAGAIN : result;
}

static int32_t accept_blocking(struct sley_io_op *op, int32_t result)
{
    if (op->code == SLEY_IO_ACCEPT && !(op->flags & SLEY_IO_DIRECT) && result == 0) {
        (void)fcntl(op->out_number, F_SETFL, 0);
    }
    return result;
}

static int32_t refuse_in_a_crowd(struct sley_io_op *op, int32_t result)
{
    if (op->code == SLEY_IO_ACCEPT && result == 0 && holds(op->fd) >= 12) {
        (void)close(op->out_number);
        return -ECONNABORTED;
    }
    return result;
}

static int32_t emfile_is_enfile(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_ACCEPT && result == -EMFILE ? -ENFILE : result;
}

static int32_t poll_without_err(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_POLL && result > 0 ? result & ~SLEY_IO_ERR : result;
}

static bool out_is_busy(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    const bool refused = op->code == SLEY_IO_POLL && op->len == SLEY_IO_OUT && holds(op->fd) >= 5;
    if (refused) {
        sley_io_finish(op, -EBUSY);
    }
    return refused;
}

static bool beside_a_recv_is_busy(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    const bool beside = (sley__fd_state(op->fd) & SLEY_FD_READING) && mind.recv && mind.recv->fd == op->fd && !in_no_task();
    const bool refused = op->code == SLEY_IO_POLL && op->len == SLEY_IO_IN && beside;
    if (refused) {
        sley_io_finish(op, -EBUSY);
    }
    return refused;
}

static bool none_means_in(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    op->len = op->code == SLEY_IO_POLL && op->len == 0 ? SLEY_IO_IN : op->len;
    return false;
}

static int32_t file_is_ready(struct sley_io_op *op, int32_t result)
{
    (void)op;
    return result == -EPERM ? SLEY_IO_IN : result;
}

static int32_t bad_is_no_socket(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_RECVMSG && result == -EBADF ? -ENOTSOCK : result;
}

static bool wrap_length(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    op->len &= UINT32_MAX;
    return false;
}

/* ---- ALL ------------------------------------------------------------------------------------------------------------------- */

static int32_t all_says_how_many(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_RECV && is_all(op) && result == 0 && op->len == 4 && !in_no_task() ? 4 : result;
}

static int32_t no_data_is_fine(struct sley_io_op *op, int32_t result)
{
    (void)op;
    return result == -ENODATA ? 0 : result;
}

static int32_t all_counts_one_less(struct sley_io_op *op, int32_t result)
{
    op->done_bytes -= op->code == SLEY_IO_SEND && is_all(op) && result == 0;
    return result;
}

static int32_t cancelled_counts_nothing(struct sley_io_op *op, int32_t result)
{
    op->done_bytes = is_all(op) && result == -ECANCELED ? 0 : op->done_bytes;
    return result;
}

static int32_t broken_counts_all(struct sley_io_op *op, int32_t result)
{
    const bool broken = result == -EPIPE || result == -ECONNRESET;
    op->done_bytes = op->code == SLEY_IO_SEND && is_all(op) && broken ? op->len : op->done_bytes;
    return result;
}

/* ---- once, and whose -------------------------------------------------------------------------------------------------------- */

static int32_t end_twice(struct sley_io_op *op, int32_t result)
{
    if (op->end && op->code == SLEY_IO_RECV && result == 2) {
        (void)op->end(op, result);
    }
    return result;
}

static bool count_one_more(struct sley_reactor *r, struct sley_io_op *op)
{
    const bool beside = op->code == SLEY_IO_POLL && op->len == SLEY_IO_OUT && (sley__fd_state(op->fd) & SLEY_FD_READING);
    r->armed_count += beside;
    return false;
}

static int32_t hold_once_more(struct sley_io_op *op, int32_t result)
{
    const uint32_t state = sley__fd_state(op->fd);
    if (op->code == SLEY_IO_POLL && result == SLEY_IO_IN && (state & SLEY_FD_READING) && holds(op->fd) == 1) {
        sley__fd_set(op->fd, state + SLEY_FD_HOLD);
    }
    return result;
}

static void free_direction(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    const uint32_t state = sley__fd_state(op->fd);
    if ((state & SLEY_FD_READING) && (state & SLEY_FD_WRITING)) {
        sley__fd_set(op->fd, state & ~(uint32_t)SLEY_FD_READING);
    }
}

static int touch_the_ended(struct sley_reactor *r, uint64_t timeout_ns, int n)
{
    (void)r, (void)timeout_ns;
    if (mind.ended && is_static(mind.ended) && mind.ended->code == 0xa5) { /* the clause has made it its own */
        mind.ended->next = NULL;
    }
    return n;
}

static bool still_ready_in_a_hook(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    const bool stale = mind.polled && op->code == SLEY_IO_POLL;
    if (stale) {
        sley_io_finish(op, SLEY_IO_IN);
    }
    return stale;
}

static const struct sley_fd *places[2048];

static int remember_place(struct sley_fd *fd, int rc)
{
    if (rc == 0) {
        places[fd->number % 2048] = fd;
    }
    return rc;
}

static bool stay_in_place(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    const bool moved = op->code != SLEY_IO_CLOSE && places[op->fd->number % 2048] != op->fd;
    if (moved) {
        sley_io_finish(op, -EXDEV);
    }
    return moved;
}

const struct broken broken_sockets[] = {
    {.clause = "table_is_complete", .table = unknown_capability},
    {.clause = "create_without_memory_is_enomem", .create = no_memory_is_again},
    {.clause = "create_without_descriptors_is_emfile", .create = no_descriptor_is_enfile},
    {.clause = "destroy_gives_everything_back", .wake = count_wakes, .destroy = leak_one},
    {.clause = "its_own_descriptors_are_close_on_exec", .create = inherit},
    {.clause = "destroy_completes_what_waits", .destroy = destroy_says_zero, .end = zero_at_destroy},
    {.clause = "destroy_leaves_descriptors_open", .destroy = close_the_last},
    {.clause = "dead_home_has_no_successor", .alloc = where_memory_is},
    {.clause = "two_reactors_keep_apart", .polled = poll_the_other_too},
    {.clause = "recv_before_and_after_its_data_is_the_same", .end = write_behind},
    {.clause = "send_waits_for_room_and_goes_on", .end = send_one_less},
    {.clause = "datagrams_keep_their_bounds", .end = swallow_a_datagram},
    {.clause = "recv_at_the_end_is_zero", .end = second_end_is_an_error},
    {.clause = "recv_after_a_reset_is_econnreset", .end = reset_is_the_end},
    {.clause = "send_to_nobody_is_epipe_without_sigpipe", .end = raise_sigpipe},
    {.clause = "messages_carry_descriptors", .end = keep_on_exec},
    {.clause = "peek_leaves_what_it_gives", .submit = peek_takes},
    {.clause = "connect_reaches_a_listener", .end = connected_is_fine},
    {.clause = "connect_refused_is_said", .end = refused_is_a_timeout},
    {.clause = "connect_to_a_full_unix_listener_is_enobufs", .end = full_is_again},
    {.clause = "accept_gives_nonblocking_close_on_exec", .end = accept_blocking},
    {.clause = "each_of_several_accepts_gets_one", .end = refuse_in_a_crowd},
    {.clause = "accept_without_descriptors_is_emfile", .end = emfile_is_enfile},
    {.clause = "poll_gives_the_set_that_is_ready", .end = poll_without_err},
    {.clause = "poll_is_for_many", .submit = out_is_busy},
    {.clause = "poll_beside_a_recv_is_told", .submit = beside_a_recv_is_busy},
    {.clause = "poll_for_errors_alone_waits_for_them", .submit = none_means_in},
    {.clause = "poll_of_a_file_is_eperm", .end = file_is_ready},
    {.clause = "bad_number_is_ebadf", .end = bad_is_no_socket},
    {.clause = "length_above_4_gib_does_not_wrap", .submit = wrap_length},
    {.clause = "all_recv_gathers_pieces", .end = all_says_how_many},
    {.clause = "all_recv_at_an_end_within_is_enodata", .end = no_data_is_fine},
    {.clause = "all_send_goes_on_until_all_is_out", .end = all_counts_one_less},
    {.clause = "all_cancelled_says_how_much", .end = cancelled_counts_nothing},
    {.clause = "all_broken_off_says_how_much", .end = broken_counts_all},
    {.clause = "end_is_called_once_before_the_waiter", .end = end_twice},
    {.clause = "armed_count_is_exact", .submit = count_one_more},
    {.clause = "holds_are_exact", .end = hold_once_more},
    {.clause = "direction_is_taken_while_an_op_waits", .submitted = free_direction},
    {.clause = "op_is_the_callers_once_done", .polled = touch_the_ended},
    {.clause = "op_may_be_started_again_in_its_hook", .submit = still_ready_in_a_hook},
    {.clause = "descriptor_moves_while_nothing_is_in_flight", .adopt = remember_place, .submit = stay_in_place},
};
const size_t broken_sockets_count = sizeof broken_sockets / sizeof broken_sockets[0];
