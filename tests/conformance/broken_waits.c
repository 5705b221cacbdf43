/* One broken reactor for each clause of cancel, close, poll, wake, load and faults: as broken_reactors.c. */
#include "broken.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <sley/reactor_poll.h>

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

/** One, for which it waits: on a busy machine who sends it takes its time. Where nobody does it is soon given up. */
static void lose_a_byte(struct sley_reactor *r, struct sley_io_op *op)
{
    static bool lost;
    (void)r;
    char byte;
    struct pollfd p = {.fd = op->fd->number, .events = POLLIN};
    const bool meant = op->code == SLEY_IO_RECV && op->len == 1 && (sley__fd_state(op->fd) & SLEY_FD_STREAM) && !in_no_task();
    if (meant && !lost && poll(&p, 1, 1000) == 1) {
        lost = recv(op->fd->number, &byte, 1, MSG_DONTWAIT) == 1;
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

/** All that waits. */
static struct sley_io_op *in_line[8192];
static size_t in_line_count;

static void stand_in_line(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    if (in_line_count < sizeof in_line / sizeof in_line[0]) {
        in_line[in_line_count++] = op;
    }
}

static int32_t leave_line(struct sley_io_op *op, int32_t result)
{
    size_t at = 0;
    while (at < in_line_count && in_line[at] != op) {
        at++;
    }
    if (at < in_line_count) {
        memmove(&in_line[at], &in_line[at + 1], (--in_line_count - at) * sizeof(struct sley_io_op *));
    }
    return result;
}

static struct sley_io_op *next_in_line(const struct sley_fd *fd, const struct sley_io_op *before)
{
    size_t at = 0;
    while (before && at < in_line_count && in_line[at++] != before) {
    }
    while (at < in_line_count && in_line[at]->fd != fd) {
        at++;
    }
    return at < in_line_count ? in_line[at] : NULL;
}

/** The next one is looked for before this one's hook has run. */
static bool walk_on(struct sley_reactor *r, struct sley_io_op *op)
{
    const struct sley_fd *fd = op->code == SLEY_IO_CLOSE ? op->fd : NULL;
    for (struct sley_io_op *one = fd ? next_in_line(fd, NULL) : NULL, *next; one; one = next) {
        next = next_in_line(fd, one);
        (void)leave_line(one, 0); /* a clause may have put an end of its own behind */
        mind.real.cancel(r, one);
    }
    return false;
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

static int count_nothing(struct sley_reactor *r, uint64_t timeout_ns, int n)
{
    (void)r, (void)timeout_ns;
    return n < 0 ? n : 0;
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
    const unsigned n = foreign ? atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) : 0;
    /* not those of 128 calls on files, each of which may wake; then so many in a row that each of two threads comes to where it waits to be
     * seen, early enough for the shortest trial */
    return n >= 130 && (n - 130) % 60 < 20;
}

static bool clobber_errno(struct sley_reactor *r)
{
    mind.real.wake(r);
    errno = 0;
    return true;
}

/** An alarm that comes once is still to come. */
static bool alarm_is_due(void)
{
    struct itimerval t = {.it_value.tv_usec = 0};
    return getitimer(ITIMER_REAL, &t) == 0 && t.it_interval.tv_usec == 0 && (t.it_value.tv_sec > 0 || t.it_value.tv_usec > 0);
}

/**
 * As one that looks whether it has been rung, then says that it is about to sleep, and is rung only from there on: at an alarm, as long as
 * it takes to come. Only the clause of that waits so often without a look in between.
 */
static bool sleep_unasked(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n)
{
    (void)ret_n;
    mind.spare = *timeout_ns != SLEY_NEVER ? 0 : mind.spare < 0 ? 1 : mind.spare + 1; /* how often in a row */
    if (mind.spare > 20 && r->sched && sley_sched_current() == r->sched) {
        mind.on_the_brink = true;
        while (alarm_is_due()) {
            SLEY__RELAX();
        }
        mind.on_the_brink = false;
    }
    return false;
}

static bool not_yet(struct sley_reactor *r)
{
    return mind.on_the_brink && r->sched && sley_sched_current() == r->sched; /* by a signal's handler */
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

static int look_again_while_there_is_more(struct sley_reactor *r, uint64_t timeout_ns, int n)
{
    (void)timeout_ns;
    for (int more = n; more > 0; n += more) {
        more = mind.real.poll(r, 0);
    }
    return n;
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

const struct broken broken_waits[] = {
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
    {.clause = "hooks_may_take_what_is_next_in_line", .submit = walk_on, .submitted = stand_in_line, .end = leave_line},
    {.clause = "reused_number_starts_clean", .submit = old_life_goes_on, .poll = old_data_counts, .destroy = drop_spare},
    {.clause = "number_closed_behind_its_back_starts_clean", .adopt = known_numbers, .submit = unknown_again},
    {.clause = "second_description_is_eexist", .adopt = twins_are_fine},
    {.clause = "poll_of_zero_only_looks", .poll = wait_at_last},
    {.clause = "poll_waits_its_time_at_most", .poll = short_is_for_ever},
    {.clause = "poll_waits_and_does_not_spin", .poll = do_not_wait},
    {.clause = "poll_takes_any_timeout", .poll = long_is_invalid},
    {.clause = "poll_says_whether_it_has_completed_one", .polled = count_nothing},
    {.clause = "poll_survives_signals", .polled = interrupted_is_an_error},
    {.clause = "wake_before_poll_ends_it", .wake = count_wakes, .poll = each_wake_counts},
    {.clause = "wake_from_threads_is_never_lost", .wake = lose_some_wakes},
    {.clause = "wake_from_a_signal_handler", .wake = clobber_errno},
    {.clause = "wake_on_the_brink_of_a_wait_ends_it", .poll = sleep_unasked, .wake = not_yet},
    {.clause = "pollable_fd_tells_when_there_is_work", .table = pollable_without_a_cause, .destroy = drop_spare},
    {.clause = "thousand_descriptors_each_get_their_byte", .end = wrong_byte_of_high_numbers},
    {.clause = "three_thousand_ops_on_one_descriptor", .submit = full_at_last},
    {.clause = "completions_may_come_in_any_order", .end = wrong_among_fourteen},
    {.clause = "busy_descriptors_do_not_starve_a_quiet_one", .submitted = remember_the_quiet, .poll = starve_the_quiet},
    {.clause = "poll_comes_back_beside_hooks_that_start_ops", .polled = look_again_while_there_is_more},
    {.clause = "long_transfer_does_not_starve_others",
     .submitted = remember_the_long_one,
     .polled = finish_the_long_one,
     .end = the_long_one_is_done},
    {.clause = "short_transfers_lose_nothing", .end = short_is_whole},
    {.clause = "interrupted_calls_are_made_again", .end = interrupted},
    {.clause = "stolen_readiness_waits_on", .poll = note_ready, .polled = again_is_a_result},
    {.clause = "memory_refused_while_running_disturbs_no_other", .base = &sley_reactor_epoll, .adopt = no_memory_is_no_buffer},
    {.clause = "short_ways_are_the_long_ways", .base = &sley_reactor_epoll, .table = send_on_drops},
};
const size_t broken_waits_count = sizeof broken_waits / sizeof broken_waits[0];
