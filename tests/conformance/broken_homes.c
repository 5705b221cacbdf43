/* One broken reactor for each clause of descriptors' homes, and of reactors that are shared. */
#include "broken.h"

#include <sys/socket.h>
#include <unistd.h>

#include <sley/reactor_poll.h>

/* ---- from elsewhere ------------------------------------------------------------------------------------------------------------ */

/** Has it come from elsewhere? Such ops are started in no task, and somebody has the last word. */
static bool is_far(const struct sley_io_op *op)
{
    return in_no_task() && op->ret_done;
}

/** The same at its end. */
static bool was_far(const struct sley_io_op *op)
{
    return in_no_task() && op->end;
}

static bool room_is_for_tasks(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    const bool refused = op->code == SLEY_IO_POLL && op->len == SLEY_IO_OUT && is_far(op);
    if (refused) {
        sley_io_finish(op, -ENOTSUP);
    }
    return refused;
}

static bool files_are_for_tasks(struct sley_reactor *r, struct sley_file_op *op)
{
    (void)r;
    const bool refused = is_far(&op->io);
    if (refused) {
        sley_file_finish(op, -EXDEV);
    }
    return refused;
}

static int32_t cancelled_with_data_is_the_end(struct sley_io_op *op, int32_t result)
{
    const bool cancelled = op->code == SLEY_IO_RECV && result == -ECANCELED && was_far(op);
    return cancelled && queued(op->fd->number) > 0 ? 0 : result;
}

static int32_t closed_is_readable(struct sley_io_op *op, int32_t result)
{
    const bool closed = op->code == SLEY_IO_POLL && result == -ECANCELED && (sley__fd_state(op->fd) & SLEY_FD_CLOSING);
    return closed && was_far(op) ? SLEY_IO_IN : result;
}

static void hold_nothing(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r;
    if (op->code == SLEY_IO_POLL && op->len == (SLEY_IO_IN | SLEY_IO_ERR)) {
        sley__fd_set(op->fd, sley__fd_state(op->fd) - SLEY_FD_HOLD);
        op->kind = 77;
    }
}

static int32_t held_nothing(struct sley_io_op *op, int32_t result)
{
    if (op->kind == 77) {
        sley__fd_set(op->fd, sley__fd_state(op->fd) + SLEY_FD_HOLD);
    }
    return result;
}

static int moved_anyway(struct sley_fd *fd, int rc)
{
    return rc == -EEXIST && sley__fd_home(fd) ? 0 : rc;
}

static int once_in_a_life(struct sley_fd *fd, int rc)
{
    static const struct sley_reactor *left[2048];
    const struct sley_reactor *home = sley__fd_home(fd);
    const struct sley_reactor **at = &left[fd->number % 2048];
    if (home) { /* it is being moved away */
        *at = home;
    } else if (rc == 0 && *at == mind.adopting) {
        return -EEXIST;
    }
    return rc;
}

static int32_t ending_is_readable(struct sley_io_op *op, int32_t result)
{
    const bool cancelled = op->code == SLEY_IO_POLL && result == -ECANCELED && was_far(op);
    return cancelled && sley__fd_home(op->fd)->files.ending ? SLEY_IO_IN : result;
}

static int32_t received_is_cancelled(struct sley_io_op *op, int32_t result)
{
    const bool received = op->code == SLEY_IO_RECV && op->len == 1 && result == 1 && was_far(op);
    return received && queued(op->fd->number) >= 6 ? -ECANCELED : result;
}

/* ---- shared ---------------------------------------------------------------------------------------------------------------------- */

static bool is_shared(const struct sley_io_op *op)
{
    const struct sley_reactor *home = sley__fd_home(op->fd);
    return home && home->shared;
}

static bool serve_nobody(struct sley_reactor *r, int *ret_n)
{
    (void)ret_n;
    sley_reactor_enter(r);
    const bool two = r->armed_count == 2;
    sley_reactor_leave(r);
    return two;
}

static bool count_the_owner(struct sley_reactor *r, int *ret_n)
{
    sley_reactor_enter(r);
    const bool waits = r->waiting;
    sley_reactor_leave(r);
    *ret_n = waits;
    return waits;
}

static bool keep_back(struct sley_reactor *r)
{
    /* relaxed: the owner waits by now, or is this thread */
    if (!r->shared || atomic_load_explicit(&mind.has_owner, memory_order_relaxed)) {
        return false;
    }
    atomic_store_explicit(&mind.rung, true, memory_order_relaxed); /* relaxed: looked at by this thread, or after a join */
    return true;
}

static bool use_up(struct sley_reactor *r, int *ret_n)
{
    (void)r, (void)ret_n;
    atomic_store_explicit(&mind.rung, false, memory_order_relaxed); /* relaxed: as in keep_back */
    return false;
}

static int32_t readable_is_writable(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_POLL && result == SLEY_IO_IN && is_shared(op) ? SLEY_IO_IN | SLEY_IO_OUT : result;
}

static int32_t cancelled_is_readable(struct sley_io_op *op, int32_t result)
{
    return op->code == SLEY_IO_POLL && result == -ECANCELED && is_shared(op) ? SLEY_IO_IN : result;
}

static void tell_at_once(struct sley_reactor *r)
{
    struct sley_io_op *op = r->shared ? r->ended : NULL;
    if (op) {
        r->ended = NULL;
        sley_wait_complete(&op->wait, op->wait.result);
    }
}

static int32_t many_are_cancelled(struct sley_io_op *op, int32_t result)
{
    static unsigned count;
    const bool received = op->code == SLEY_IO_RECV && result == 1 && is_shared(op);
    count += received;
    return received && count > 30 ? -ECANCELED : result;
}

const struct broken broken_homes[] = {
    {.clause = "op_from_elsewhere_is_done_at_home", .submit = room_is_for_tasks},
    {.clause = "file_op_from_elsewhere_is_done_at_home", .file = files_are_for_tasks},
    {.clause = "cancel_from_elsewhere_has_one_verdict", .end = cancelled_with_data_is_the_end},
    {.clause = "close_from_elsewhere_ends_what_waits", .end = closed_is_readable},
    {.clause = "move_needs_nothing_in_flight", .submitted = hold_nothing, .end = held_nothing, .adopt = moved_anyway},
    {.clause = "moved_descriptor_leaves_nothing_behind", .adopt = once_in_a_life},
    {.clause = "home_that_ends_answers_all", .end = ending_is_readable},
    {.clause = "ops_and_cancels_of_threads_lose_nothing", .end = received_is_cancelled},
    {.clause = "serve_completes_what_is_ready", .base = &sley_reactor_epoll, .serve = serve_nobody},
    {.clause = "serve_leaves_an_owner_that_waits_alone", .base = &sley_reactor_epoll, .serve = count_the_owner},
    {.clause = "serve_leaves_wakes_to_the_owner", .base = &sley_reactor_epoll, .wake = keep_back, .serve = use_up},
    {.clause = "op_started_while_the_owner_waits_is_seen", .base = &sley_reactor_epoll, .end = readable_is_writable},
    {.clause = "any_worker_cancels_and_closes", .base = &sley_reactor_epoll, .end = cancelled_is_readable},
    {.clause = "hooks_run_without_the_lock", .base = &sley_reactor_epoll, .cancelled = tell_at_once},
    {.clause = "workers_that_race_lose_nothing", .base = &sley_reactor_epoll, .end = many_are_cancelled},
};
const size_t broken_homes_count = sizeof broken_homes / sizeof broken_homes[0];
