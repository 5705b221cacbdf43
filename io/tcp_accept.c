/* Accepting. Those who wait queue up at the listener, which has one op in the reactor, or rests while numbers have run out.
 * Where several workers share the listener, its home's lock guards all of it; the hooks of its op and its timer run without. */
#include "tcp.h"

#include <unistd.h>

/* While no descriptor is free each look costs a system call and brings nothing; a second is what a client takes for slow. */
#define REST_FIRST_NS (5 * SLEY_MS)
#define REST_LAST_NS SLEY_S

/* So many broken connections in a row, and it rests as well: an error that repeats must not take the processor. */
enum { ODD_LIMIT = 64 };

/** Errors of the connection that was next, not of the listener: the next one may be fine. */
static bool is_odd(int32_t rc)
{
    switch (rc) {
    case -ECONNABORTED:
    case -EPROTO:
    case -ENOPROTOOPT:
    case -ENETDOWN:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -EHOSTUNREACH:
    case -ENONET:
    case -ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

/** Errors that pass when somebody closes something. */
static bool is_shortage(int32_t rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS || rc == -ENOMEM;
}

static bool must_rest(struct sley_tcp_rest *r, int32_t rc)
{
    if (is_odd(rc)) {
        r->odd_count++;
        return r->odd_count >= ODD_LIMIT;
    }
    return is_shortage(rc);
}

static uint64_t next_rest_ns(struct sley_tcp_rest *r)
{
    const uint64_t doubled = r->last_ns * 2;
    r->odd_count = 0;
    r->last_ns = r->last_ns == 0 ? REST_FIRST_NS : doubled < REST_LAST_NS ? doubled : REST_LAST_NS;
    return r->last_ns;
}

/* ---- those who wait ------------------------------------------------------------------------------------------------- */

static struct sley_io_op *take_first(struct sley_tcp_listener *l)
{
    struct sley_io_op *op = l->first;
    l->first = op->next;
    if (!l->first) {
        l->last = NULL;
    }
    return op;
}

static bool take_out(struct sley_tcp_listener *l, struct sley_io_op *op)
{
    struct sley_io_op *before = NULL;
    for (struct sley_io_op *at = l->first; at; before = at, at = at->next) {
        if (at == op) {
            *(before ? &before->next : &l->first) = op->next;
            l->last = l->last == op ? before : l->last;
            return true;
        }
    }
    return false;
}

/** One that is out of the queue is done. */
static void tell(struct sley_tcp_listener *l, struct sley_io_op *op, int32_t result)
{
    sley_io_tell(sley__fd_home(&l->fd), op, result);
}

static void give_all(struct sley_tcp_listener *l, int32_t result)
{
    while (l->first) {
        tell(l, take_first(l), result);
    }
}

static void deliver(struct sley_tcp_listener *l, int number)
{
    if (!l->first) {
        l->spare_number = number; /* all had gone: the next to come gets it */
        return;
    }
    struct sley_io_op *op = take_first(l);
    struct sley_tcp *t = op->object;
    sley__tcp_init(t, number);
    sley__fd_bring_home(&t->fd, sley__fd_home(&l->fd));
    tell(l, op, 0);
}

/* ---- the op in the reactor ------------------------------------------------------------------------------------------- */

static void look(struct sley_tcp_listener *l);

static void drop_spare(struct sley_tcp_listener *l)
{
    struct sley_fd fd;
    struct sley_io_op op = {.fd = &fd, .code = SLEY_IO_CLOSE, .flags = SLEY_IO_UNHEARD};
    if (l->spare_number >= SLEY_FD_DIRECT_FIRST) {
        sley_fd_init(&fd, l->spare_number);
        sley__fd_bring_home(&fd, sley__fd_home(&l->fd));
        sley_io_submit(&op);
    } else if (l->spare_number >= 0) {
        (void)close(l->spare_number);
    }
    l->spare_number = -1;
}

/** While somebody is at the listener: the lock of its home (NULL: none), and the task in whose middle this happens. */
struct visit {
    struct sley_reactor *home;
    struct sley_task *task;
};

/** What the listener starts is for whoever waits there: the current task's cancellation, if there is such a task, must not end it. */
static struct visit step_in(struct sley_tcp_listener *l)
{
    struct sley_sched *s = sley_sched_current();
    const struct visit v = {.home = sley_fd_enter(&l->fd), .task = s ? s->current : NULL};
    if (v.task) {
        s->current = NULL;
    }
    return v;
}

static void step_out(struct visit v)
{
    if (v.task) {
        sley_sched_current()->current = v.task;
    }
    sley_reactor_leave(v.home);
}

/** It may be gone when the lock is free again. */
static void tell_closer(struct sley_tcp_listener *l)
{
    struct sley_io_op *closer = l->closer;
    l->closer = NULL;
    tell(l, closer, l->inner.wait.result);
}

/** Refused: it is open as before, and may be closed again. */
static int32_t end_close(struct sley_io_op *op, int32_t result)
{
    if (result < 0) {
        struct sley_tcp_listener *l = sley_container_of(op->fd, struct sley_tcp_listener, fd);
        l->closing = l->accepting = false;
    }
    return result;
}

static void start_close(struct sley_io_op *op, struct sley_tcp_listener *l)
{
    op->fd = &l->fd;
    op->end = end_close;
    op->code = SLEY_IO_CLOSE;
    op->flags = 0;
    sley_io_submit(op);
}

static void closed(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct sley_tcp_listener *l = sley_container_of(hook, struct sley_tcp_listener, hook);
    const struct visit v = step_in(l);
    (void)w;
    tell_closer(l);
    step_out(v);
}

/** Nothing of a listener that is being closed is in anybody's hands any more; but a reactor may have asked ahead, and wait for that. */
static void close_now(struct sley_tcp_listener *l)
{
    drop_spare(l);       /* the op that was asked to end may have brought a connection instead */
    l->accepting = true; /* the inner op is in use */
    start_close(&l->inner, l);
    if (sley_wait_done(&l->inner.wait)) {
        tell_closer(l);
    } else {
        l->hook.fn = closed;
        sley_wait_hook(&l->inner.wait, &l->hook);
    }
}

/** What was waited for has come: `accepting` or `resting` is over. */
static void go_on(struct sley_tcp_listener *l)
{
    look(l);
    if (l->closer && !l->accepting && !l->resting) {
        close_now(l);
    }
}

static void rested(struct sley_tcp_listener *l)
{
    const struct visit v = step_in(l);
    l->resting = false;
    go_on(l);
    step_out(v);
}

/** At the listener's home. */
static void rested_here(struct sley_io_op *op)
{
    rested(op->buf);
}

static void timer_fired(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct sley_tcp_listener *l = sley_container_of(hook, struct sley_tcp_listener, timer_hook);
    struct sley_io_op like = {.buf = l};
    (void)w;
    if (!sley_fd_away(&l->fd) || sley_io_call_home(NULL, &l->fd, &like, rested_here) < 0) {
        rested(l); /* another worker may have fired it, for one that is stuck */
    }
}

/** The inner op is done, after it had to wait or at once. Whoever is told may close the listener, which stays while it says accepting. */
static void take_verdict(struct sley_tcp_listener *l, bool waited)
{
    const int32_t rc = l->inner.wait.result;
    if (rc == 0) {
        l->rest = (struct sley_tcp_rest){0};
        deliver(l, l->inner.out_number);
    } else if (!l->first || (waited && rc == -ECANCELED)) {
        /* the last one that waited had gone; whoever has come since is looked after next */
    } else if (must_rest(&l->rest, rc)) {
        l->resting = true;
        sley_sleep_start(&l->timer, next_rest_ns(&l->rest));
        l->timer_hook.fn = timer_fired;
        sley_wait_hook(&l->timer.wait, &l->timer_hook);
    } else if (!is_odd(rc)) {
        tell(l, take_first(l), rc); /* the others each look for themselves */
    }
    l->accepting = false;
}

static void hook_fired(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct sley_tcp_listener *l = sley_container_of(hook, struct sley_tcp_listener, hook);
    const struct visit v = step_in(l);
    (void)w;
    take_verdict(l, true);
    go_on(l);
    step_out(v);
}

/** Accepts as long as somebody waits and connections are there. */
static void look(struct sley_tcp_listener *l)
{
    while (l->first && !l->accepting && !l->resting) {
        l->accepting = true;
        if (l->spare_number >= 0) {
            const int number = l->spare_number;
            l->spare_number = -1;
            deliver(l, number);
            l->accepting = false;
            continue;
        }
        l->inner.fd = &l->fd;
        l->inner.code = SLEY_IO_ACCEPT;
        l->inner.flags = l->direct ? SLEY_IO_DIRECT : 0;
        l->inner.end = NULL;
        sley_io_submit(&l->inner);
        if (!sley_wait_done(&l->inner.wait)) {
            l->hook.fn = hook_fired;
            sley_wait_hook(&l->inner.wait, &l->hook);
            return;
        }
        take_verdict(l, false);
    }
}

/* ---- the calls --------------------------------------------------------------------------------------------------------- */

static void accept_cancel(struct sley_wait *w)
{
    struct sley_io_op *op = sley_container_of(w, struct sley_io_op, wait);
    struct sley_reactor *r = sley_io_enter(op);
    struct sley_tcp_listener *l = op->buf;
    if (!sley_io_ended(op) && take_out(l, op)) { /* else it has its connection already, and the listener may be gone */
        if (!l->first) {
            sley_wait_cancel(&l->inner.wait);
            sley_wait_cancel(&l->timer.wait);
        }
        sley_io_tell(r, op, -ECANCELED);
    }
    sley_reactor_leave(r);
}

static const struct sley_wait_ops accept_ops = {
    .version = SLEY_WAIT_VERSION,
    .name = "tcp.accept",
    .cancel = accept_cancel,
};

static int may_accept(const struct sley_tcp_listener *l, const struct sley_tcp *ret_conn)
{
    if (!ret_conn) {
        return -EINVAL;
    }
    if (!l->open || l->closing || l->fd.number < 0) {
        return -EBADF;
    }
    return sley_sched_current() ? 0 : -ENOTSUP;
}

/** At the listener's home. */
static void accept_here(struct sley_io_op *op)
{
    sley_tcp_accept_start(op, op->buf, op->object);
}

void sley_tcp_accept_start(struct sley_io_op *op, struct sley_tcp_listener *l, struct sley_tcp *ret_conn)
{
    if (!sley_wait_begin(&op->wait, &accept_ops)) {
        return;
    }
    if (sley_fd_away(&l->fd)) {
        op->buf = l;
        op->object = ret_conn;
        const int away = sley_io_call_home(op, &l->fd, op, accept_here);
        if (away < 0) {
            sley_wait_finish(&op->wait, away);
        }
        return;
    }
    const struct visit v = step_in(l);
    const int rc = may_accept(l, ret_conn);
    if (rc < 0) {
        sley_wait_finish(&op->wait, rc);
    } else {
        sley_io_mark(op, v.home);
        op->buf = l;
        op->object = ret_conn;
        op->next = NULL;
        sley_wait_arm(&op->wait);
        if (l->first) {
            l->last->next = op;
        } else {
            l->first = op;
        }
        l->last = op;
        go_on(l);
    }
    step_out(v);
}

/** A plain thread rests itself. */
static int thread_accept(struct sley_tcp_listener *l, struct sley_tcp *ret_conn)
{
    struct sley_tcp_rest rest = {0}; /* the listener's own would be shared with other threads */
    for (;;) {
        struct sley_io_op op = {.fd = &l->fd, .code = SLEY_IO_ACCEPT};
        int rc = sley_io_run(&op);
        if (rc == 0) {
            sley__tcp_init(ret_conn, op.out_number);
            return 0;
        }
        if (must_rest(&rest, rc)) {
            rc = sley_sleep(next_rest_ns(&rest));
            if (rc < 0) {
                return rc;
            }
        } else if (!is_odd(rc)) {
            return rc;
        }
    }
}

int sley_tcp_accept(struct sley_tcp_listener *l, struct sley_tcp *ret_conn)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    if (!sley_sched_current()) {
        if (!ret_conn || !l->open) {
            return ret_conn ? -EBADF : -EINVAL;
        }
        return thread_accept(l, ret_conn);
    }
    struct sley_io_op op = {0};
    sley_tcp_accept_start(&op, l, ret_conn);
    return sley_await(&op.wait);
}

static const struct sley_wait_ops close_ops = {.version = SLEY_WAIT_VERSION, .name = "tcp.listener_close"};

/** Ends all that waits; what another worker has in hand is waited for. With the lock held, at home. */
static void close_here(struct sley_io_op *op, struct sley_tcp_listener *l)
{
    l->closing = true;
    give_all(l, -ECANCELED);
    sley_wait_cancel(&l->inner.wait);
    sley_wait_cancel(&l->timer.wait);
    drop_spare(l);
    if (l->accepting || l->resting) {
        sley_wait_arm(&op->wait);
        l->closer = op;
    } else {
        start_close(op, l);
    }
}

/** At the listener's home. */
static void listener_close_here(struct sley_io_op *op)
{
    sley_tcp_listener_close_start(op, op->buf);
}

/** Returns false: its home has gone, or stands still, with nothing in flight. */
static bool close_at_home(struct sley_io_op *op, struct sley_tcp_listener *l)
{
    op->buf = l;
    op->object = NULL;
    const int rc = sley_fd_rests(&l->fd) ? -ENODEV : sley_io_call_home(op, &l->fd, op, listener_close_here);
    if (rc == -ENOMEM) {
        sley_wait_finish(&op->wait, rc);
    }
    return rc == 0 || rc == -ENOMEM;
}

void sley_tcp_listener_close_start(struct sley_io_op *op, struct sley_tcp_listener *l)
{
    sley_wait_begin_always(&op->wait, &close_ops);
    if (l && sley_fd_away(&l->fd) && close_at_home(op, l)) {
        return;
    }
    struct sley_reactor *r = l && l->open ? sley_fd_enter(&l->fd) : NULL;
    if (!l || !l->open || l->closing) {
        sley_wait_finish(&op->wait, 0);
    } else if (sley_fd_away(&l->fd)) {
        drop_spare(l); /* nobody waits at it, and nobody will */
        sley_fd_close_start(op, &l->fd);
    } else {
        close_here(op, l);
    }
    sley_reactor_leave(r);
}

int sley_tcp_listener_close(struct sley_tcp_listener *l)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    struct sley_io_op op = {0};
    sley_tcp_listener_close_start(&op, l);
    return sley_await(&op.wait);
}
