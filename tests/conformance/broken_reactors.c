/* One broken reactor for each clause of sockets and waits: each does one thing wrong, in as few places as there are. */
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

static bool readable(int number)
{
    struct pollfd p = {.fd = number, .events = POLLIN};
    return number >= 0 && poll(&p, 1, 0) == 1;
}

/** Ends an armed op with another result. */
static void end_with(struct sley_reactor *r, struct sley_io_op *op, int32_t result)
{
    mind.result = result;
    mind.real.cancel(r, op);
    mind.result = 0;
}

static bool peek_takes(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    if (op->code == SLEY_IO_RECVMSG && !(sley__fd_state(op->fd) & SLEY_FD_STREAM)) { /* of a stream others peek, too */
        op->flags &= (uint8_t)~(uint32_t)SLEY_IO_PEEK;
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

static bool count_wakes(struct sley_reactor *r)
{
    (void)r;
    mind.wakes++;
    return false;
}

static void leak_one(struct sley_reactor *r)
{
    (void)r;
    if (mind.wakes > 0 && mind.polls <= 1 && mind.ends == 0) {
        (void)dup(1);
    }
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

/* ---- cancel ------------------------------------------------------------------------------------------------------------------- */

static int32_t connect_goes_on(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_CONNECT && mind.cancelling ? -EINPROGRESS : result;
}

static void take_later(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    mind.number = op->code == SLEY_IO_RECVMSG && !(op->flags & SLEY_IO_PEEK) ? op->fd->number : mind.number;
}

static bool forget_number(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    mind.number = op->code == SLEY_IO_CLOSE ? -1 : mind.number;
    return false;
}

static bool take_one(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)r, (void)timeout_ns, (void)ret_n;
    char byte;
    if (mind.number >= 0 && recv(mind.number, &byte, 1, MSG_DONTWAIT) == 1) {
        mind.number = -1;
    }
    return false;
}

static void cancel_the_last_too(struct sley_reactor *r, struct sley_io_op *op)
{
    if (op->code == SLEY_IO_ACCEPT && holds(op->fd) == 5 && mind.accept && mind.accept != op) {
        mind.real.cancel(r, mind.accept);
    }
}

static int32_t once_more_the_last(struct sley_io_op *op, int32_t result)
{
    const bool one = op->code == SLEY_IO_RECV && op->len == 1 && !(sley__fd_state(op->fd) & SLEY_FD_STREAM);
    const bool again = one && mind.cancelling && result == -ECANCELED && mind.number == op->fd->number;
    mind.number = one && result == 1 ? op->fd->number : -1;
    return again ? 1 : result;
}

static int32_t cancelled_in_a_hook_is_zero(struct sley_io_op *op, int32_t result)
{
    (void)op;
    return mind.cancelling && mind.polled ? 0 : result;
}

static void lose_a_byte(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    char byte;
    struct pollfd p = {.fd = op->fd->number, .events = POLLIN};
    if (op->code == SLEY_IO_RECV && op->len == 1 && (sley__fd_state(op->fd) & SLEY_FD_STREAM) && !in_no_task() &&
        poll(&p, 1, 5) == 1) {
        (void)recv(op->fd->number, &byte, 1, MSG_DONTWAIT);
    }
}

static void watch_on(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    mind.number = op->code == SLEY_IO_POLL ? op->fd->number : mind.number;
}

static bool spin_on(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)r, (void)ret_n;
    *timeout_ns = readable(mind.number) ? 0 : *timeout_ns;
    return false;
}

/* ---- close ---------------------------------------------------------------------------------------------------------------------- */

static bool number_first(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    if (op->code == SLEY_IO_CLOSE && holds(op->fd) > 0) {
        (void)close(op->fd->number);
    }
    return false;
}

static bool keep_the_number(struct sley_reactor *r, struct sley_io_op *op)
{
    if (op->code != SLEY_IO_CLOSE || mind.polled || holds(op->fd) > 0) {
        return false;
    }
    struct sley_fd *fd = op->fd;
    const int number = fd->number;
    mind.real.submit(r, op);
    fd->number = number;
    return true;
}

static bool cancel_another_too(struct sley_reactor *r, struct sley_io_op *op)
{
    if (op->code == SLEY_IO_CLOSE && holds(op->fd) == 2 && mind.poll && mind.poll->fd != op->fd) {
        mind.real.cancel(r, mind.poll);
    }
    return false;
}

static bool not_in_a_hook(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    const bool dropped = op->code == SLEY_IO_CLOSE && mind.polled;
    if (dropped) {
        sley_io_finish(op, 0);
    }
    return dropped;
}

static void drop_spare(struct sley_reactor *r)
{
    (void)r;
    if (mind.spare >= 0) {
        (void)close(mind.spare);
        mind.spare = -1;
    }
}

static bool old_life_goes_on(struct sley_reactor *r, struct sley_io_op *op)
{
    if (op->code == SLEY_IO_CLOSE && !mind.polled) {
        drop_spare(r);
        if (mind.recv && mind.recv->fd == op->fd && mind.recv->len == 8 && !mind.recv->object) {
            mind.number = op->fd->number;
            mind.spare = fcntl(mind.number, F_DUPFD_CLOEXEC, 500);
        }
    }
    return false;
}

static bool old_data_counts(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)timeout_ns, (void)ret_n;
    if (mind.recv && mind.recv->fd->number == mind.number && queued(mind.spare) > 0) {
        end_with(r, mind.recv, 4);
    }
    return false;
}

static bool seen[2048];

static int known_numbers(struct sley_fd *fd, int rc)
{
    return rc == 0 && seen[fd->number % 2048] && (sley__fd_state(fd) & SLEY_FD_STREAM) ? -EEXIST : rc;
}

/** Those that a clause has waited for last. */
static bool unknown_again(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    seen[op->fd->number % 2048] = op->code == SLEY_IO_POLL && !in_no_task();
    return false;
}

static int twins_are_fine(struct sley_fd *fd, int rc)
{
    (void)fd;
    return rc == -EEXIST ? 0 : rc;
}

/* ---- poll, wake ------------------------------------------------------------------------------------------------------------------ */

static bool wait_at_last(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)r, (void)ret_n;
    *timeout_ns = mind.looks > 60 ? SLEY_NEVER : *timeout_ns;
    return false;
}

static bool short_is_for_ever(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)ret_n;
    *timeout_ns = *timeout_ns == 100 * SLEY_US && r->armed_count > 0 ? SLEY_NEVER : *timeout_ns;
    return false;
}

static bool do_not_wait(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)r, (void)ret_n;
    *timeout_ns = *timeout_ns == 4 * SLEY_MS ? 0 : *timeout_ns;
    return false;
}

static bool long_is_invalid(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)r;
    *ret_n = -EINVAL;
    return *timeout_ns == UINT64_C(1) << 62;
}

static int interrupted_is_an_error(struct sley_reactor *r, uint64_t timeout_ns, int n)
{
    (void)r;
    return timeout_ns == 2 * SLEY_MS && n == 0 ? -EINTR : n;
}

static bool each_wake_counts(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)r, (void)ret_n;
    /* the test's wakes that matter come from this thread */
    if (mind.wakes > 0) {
        mind.wakes--;
        *timeout_ns = 0;
    }
    return false;
}

static bool lose_some_wakes(struct sley_reactor *r)
{
    static SLEY_ATOMIC(unsigned) count;
    const bool foreign = r->sched && sley_sched_current() != r->sched;
    /* so many in a row that each of two threads comes to where it waits to be seen, early enough for the shortest trial */
    return foreign && atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) % 60 >= 40;
}

static bool clobber_errno(struct sley_reactor *r)
{
    mind.real.wake(r);
    errno = 0;
    return true;
}

static int never_readable(struct sley_reactor *r)
{
    (void)r;
    mind.spare = mind.spare < 0 ? eventfd(0, EFD_CLOEXEC) : mind.spare;
    return mind.spare;
}

static void pollable_without_a_cause(struct sley_reactor_ops *ops)
{
    ops->pollable_fd = never_readable;
}

/* ---- load, faults ------------------------------------------------------------------------------------------------------------------ */

static int32_t wrong_byte_of_high_numbers(struct sley_io_op *op, int32_t result)
{
    if (op->code == SLEY_IO_RECV && result == 1 && op->fd->number >= 1500) {
        *(char *)op->buf ^= 1;
    }
    return result;
}

static bool full_at_last(struct sley_reactor *r, struct sley_io_op *op)
{
    const bool full = op->code == SLEY_IO_POLL && r->armed_count >= 2500;
    if (full) {
        sley_io_finish(op, -ENOBUFS);
    }
    return full;
}

static int32_t wrong_among_fourteen(struct sley_io_op *op, int32_t result)
{
    const struct sley_reactor *r = mind.reactors[0];
    return op->code == SLEY_IO_RECV && result == 1 && r->armed_count == 14 && !mind.accept && !is_static(op) ? 2 : result;
}

static bool starve_the_quiet(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)timeout_ns, (void)ret_n;
    char byte;
    if (mind.hook_starts > 20 && r->armed_count == 9 && mind.spare >= 0) {
        (void)recv(mind.spare, &byte, 1, MSG_DONTWAIT);
    }
    return false;
}

static void remember_the_quiet(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    mind.spare = op->code == SLEY_IO_RECV && !mind.polled && !is_static(op) ? op->fd->number : mind.spare;
}

/** Others wait until it is done. */
static int finish_the_long_one(struct sley_reactor *r, uint64_t timeout_ns, int n)
{
    (void)timeout_ns;
    while (mind.spare == -3) {
        (void)mind.real.poll(r, SLEY_NEVER);
    }
    return n;
}

static int32_t the_long_one_is_done(struct sley_io_op *op, int32_t result)
{
    mind.spare = is_all(op) ? -1 : mind.spare;
    return result;
}

static void remember_the_long_one(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    mind.spare = op->code == SLEY_IO_RECV && is_all(op) && op->len > 20 << 20 ? -3 : mind.spare;
}

static bool storm(void)
{
    struct itimerval t = {.it_value.tv_usec = 0};
    return getitimer(ITIMER_REAL, &t) == 0 && t.it_interval.tv_usec > 0;
}

static int32_t short_is_whole(struct sley_io_op *op, int32_t result)
{
    const bool is_short = op->code == SLEY_IO_SEND && !is_all(op) && result > 0 && (size_t)result < op->len && op->len != 4096;
    return is_short && !storm() ? (int32_t)op->len : result;
}

static int32_t interrupted(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_RECV && op->len != 1 && result > 0 && storm() ? -EINTR : result;
}

/** mind.number: of what waits to receive, and can. */
static bool note_ready(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)r, (void)timeout_ns, (void)ret_n;
    const bool ready = mind.recv && !is_all(mind.recv) && readable(mind.recv->fd->number);
    mind.number = ready ? mind.recv->fd->number : -1;
    return false;
}

static int again_is_a_result(struct sley_reactor *r, uint64_t timeout_ns, int n)
{
    (void)timeout_ns;
    if (mind.recv && mind.recv->fd->number == mind.number && !readable(mind.number)) {
        end_with(r, mind.recv, -EAGAIN);
    }
    return n;
}

static int no_memory_is_no_buffer(struct sley_fd *fd, int rc)
{
    (void)fd;
    return rc == -ENOMEM ? -ENOBUFS : rc;
}

static void drop_the_rest(struct sley_reactor *r, struct sley_io_op *op, int32_t n)
{
    (void)r, (void)n;
    sley_io_finish(op, 0);
}

static void send_on_drops(struct sley_reactor_ops *ops)
{
    ops->send_on = drop_the_rest;
}

const struct broken broken_sockets[] = {
    {.clause = "table_is_complete", .table = unknown_capability},
    {.clause = "create_without_memory_is_enomem", .create = no_memory_is_again},
    {.clause = "create_without_descriptors_is_emfile", .create = no_descriptor_is_enfile},
    {.clause = "destroy_gives_everything_back", .wake = count_wakes, .destroy = leak_one},
    {.clause = "destroy_completes_what_waits", .destroy = destroy_says_zero, .end = zero_at_destroy},
    {.clause = "destroy_leaves_descriptors_open", .destroy = close_the_last},
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
    {.clause = "cancel_ends_a_waiting_op", .end = connect_goes_on},
    {.clause = "cancel_moves_nothing", .cancel = take_later, .submit = forget_number, .poll = take_one},
    {.clause = "cancel_of_one_leaves_the_others", .cancel = cancel_the_last_too},
    {.clause = "cancel_of_a_done_op_is_nothing", .end = once_more_the_last},
    {.clause = "cancel_in_a_hook_of_the_same_batch", .end = cancelled_in_a_hook_is_zero},
    {.clause = "cancel_racing_with_data_has_one_verdict", .cancel = lose_a_byte},
    {.clause = "cancelled_wait_wakes_nobody", .cancel = watch_on, .submit = forget_number, .poll = spin_on},
    {.clause = "close_completes_what_waits", .submit = number_first},
    {.clause = "close_gives_the_number_back", .submit = keep_the_number},
    {.clause = "close_leaves_others_alone", .submit = cancel_another_too},
    {.clause = "close_in_a_hook_of_the_same_batch", .submit = not_in_a_hook},
    {.clause = "reused_number_starts_clean", .submit = old_life_goes_on, .poll = old_data_counts, .destroy = drop_spare},
    {.clause = "number_closed_behind_its_back_starts_clean", .adopt = known_numbers, .submit = unknown_again},
    {.clause = "second_description_is_eexist", .adopt = twins_are_fine},
    {.clause = "poll_of_zero_only_looks", .poll = wait_at_last},
    {.clause = "poll_waits_its_time_at_most", .poll = short_is_for_ever},
    {.clause = "poll_waits_and_does_not_spin", .poll = do_not_wait},
    {.clause = "poll_takes_any_timeout", .poll = long_is_invalid},
    {.clause = "poll_survives_signals", .polled = interrupted_is_an_error},
    {.clause = "wake_before_poll_ends_it", .wake = count_wakes, .poll = each_wake_counts},
    {.clause = "wake_from_threads_is_never_lost", .wake = lose_some_wakes},
    {.clause = "wake_from_a_signal_handler", .wake = clobber_errno},
    {.clause = "pollable_fd_tells_when_there_is_work", .table = pollable_without_a_cause, .destroy = drop_spare},
    {.clause = "thousand_descriptors_each_get_their_byte", .end = wrong_byte_of_high_numbers},
    {.clause = "three_thousand_ops_on_one_descriptor", .submit = full_at_last},
    {.clause = "completions_may_come_in_any_order", .end = wrong_among_fourteen},
    {.clause = "busy_descriptors_do_not_starve_a_quiet_one", .submitted = remember_the_quiet, .poll = starve_the_quiet},
    {.clause = "long_transfer_does_not_starve_others", .submitted = remember_the_long_one, .polled = finish_the_long_one,
     .end = the_long_one_is_done},
    {.clause = "short_transfers_lose_nothing", .end = short_is_whole},
    {.clause = "interrupted_calls_are_made_again", .end = interrupted},
    {.clause = "stolen_readiness_waits_on", .poll = note_ready, .polled = again_is_a_result},
    {.clause = "memory_refused_while_running_disturbs_no_other", .base = &sley_reactor_epoll, .adopt = no_memory_is_no_buffer},
    {.clause = "short_ways_are_the_long_ways", .base = &sley_reactor_epoll, .table = send_on_drops},
};
const size_t broken_sockets_count = sizeof broken_sockets / sizeof broken_sockets[0];
