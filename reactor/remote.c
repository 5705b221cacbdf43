/* Ops on a descriptor whose home is a reactor of another executor: they travel there, are done by it, and their result comes back.
 *
 * Nothing of the descriptor but which reactor is its home may be looked at from elsewhere, so no call is tried here. What travels is
 * an op of the home's own, in memory of its own (`struct courier`), as a post in the inbox of the home's worker; there it is started
 * as if by a task of that worker, and when it is done the op that waits for it is completed, as any foreign completer would.
 *
 * A courier is counted: one for the op, one for a cancel on its way. From the start to the end of the op its `next` names the
 * courier, under the lock below: that is how a cancel, from any thread, finds it, or finds that there is nothing left to cancel.
 * The lock is held for some stores at a time and nobody is called under it. */
#include "file.h"
#include "home.h"

#include <sley/group_impl.h>

#include <sched.h>

struct courier {
    struct sley_file_op inner; /* the home's; inner.io for ops of sockets */
    struct sley_post post;     /* to the home */
    struct sley_post cancel;   /* the same, behind it */
    struct sley_wait_hook hook;
    struct sley_io_op *op; /* who waits for it; NULL: nobody */
    bool heard;            /* somebody has, from the start */
    struct sley_fd fd;     /* of a direct descriptor that is closed unheard: nobody keeps its memory meanwhile */
    void (*start)(struct sley_io_op *inner);
    struct sley_reactor *home;       /* when it was sent: in use there, compared here */
    const struct sley_reactor *from; /* the reactor of the home executor that has started it, or NULL */
    struct courier *next, *prev;     /* of all of them */
    struct courier *later;           /* of those whose waiters are told later, */
    struct sley_io_op *told;         /* who that is, */
    int32_t result;                  /* and what it is told */
    uint32_t count;
    bool begun;                  /* the home's, changed with the lock: it has arrived, or was done before */
    bool evicted;                /* with the lock: by the home's end */
    SLEY_ATOMIC(uint32_t) asked; /* to end */
};

static SLEY_ATOMIC(uint32_t) lock;
static struct courier *couriers;
static uint32_t unheard_count;                /* of those that nobody has ever waited for */
static SLEY__TLS struct courier **told_later; /* not NULL: where what ends on this thread goes, to be told when that is through */

/** Has it called on the home's thread, in no task: by the inbox, or, if this is that thread, at once. Returns false: too late. */
static bool deliver(struct sley_sched *worker, struct sley_post *post)
{
    if (worker != sley__self || sley_sched_posted(worker)) { /* nothing overtakes what was sent before */
        return sley_sched_post(worker, post);
    }
    struct sley_task *current = worker->current;
    worker->current = NULL;
    post->fn(post);
    worker->current = current;
    return true;
}

static void ask(struct courier *c);
static void unref(struct courier *c);

/** Something that has been started here is on its way, or elsewhere: the next one to be asked to end, counted; or NULL. */
static struct courier *next_out(const struct sley_reactor *r, bool *ret_any)
{
    sley_spin_lock(&lock);
    struct courier *c = couriers;
    *ret_any = false;
    for (; c; c = c->next) {
        *ret_any |= c->from == r;
        /* relaxed: an exchange decides */
        if (c->from == r && c->op && !atomic_load_explicit(&c->asked, memory_order_relaxed)) {
            c->count++;
            break;
        }
    }
    sley_spin_unlock(&lock);
    return c;
}

/** The next one of those that others wait for here, and that is yet to be ended, counted; or NULL. */
static struct courier *next_guest(const struct sley_reactor *r, bool *ret_any)
{
    sley_spin_lock(&lock);
    struct courier *c = couriers;
    *ret_any = false;
    for (; c; c = c->next) {
        *ret_any |= c->home == r && c->op;
        if (c->home == r && c->op && c->begun && !c->evicted) {
            c->evicted = true;
            c->count++;
            break;
        }
    }
    sley_spin_unlock(&lock);
    return c;
}

/** Whoever waits here is told, also where the reactor knows nothing of it: in a listener's queue, behind a timer. */
static void end_guests(struct sley_reactor *r)
{
    bool any = true;
    while (any) {
        struct courier *c = next_guest(r, &any);
        if (c) {
            sley_wait_cancel(&c->inner.wait);
            unref(c);
        } else if (any) {
            (void)sched_yield();
            if (r->sched) {
                (void)sley_sched_drain(r->sched); /* those on their way are refused: `ending` is set */
            }
            (void)r->ops->poll(r, 0);
        }
    }
}

/** Its own ops elsewhere end first: who completes them uses this worker's inbox. */
static void end_own(struct sley_reactor *r)
{
    bool any = true;
    while (any) {
        struct courier *c = next_out(r, &any);
        if (c) {
            ask(c);
        } else if (any) {
            (void)sched_yield();
            (void)sley_sched_drain(r->sched);
            if (r->armed_count > 0) {
                (void)r->ops->poll(r, 0); /* what others want from here goes on, or two that end would wait for each other */
            }
        }
    }
}

void sley__home_end(struct sley_reactor *r)
{
    sley__home_leave(r);
    end_guests(r);
    if (r->sched && !r->sched->group) {
        end_own(r);
    }
}

void sley__couriers_forget(void)
{
    /* relaxed: the child of a fork has one thread; whoever held the lock is not there */
    atomic_store_explicit(&lock, 0, memory_order_relaxed);
    couriers = NULL;
    unheard_count = 0;
}

/* ---- couriers ------------------------------------------------------------------------------------------------------ */

/** With the lock. Returns: whether it is to be freed. */
static bool uncount(struct courier *c)
{
    if (--c->count > 0) {
        return false;
    }
    if (c->next) {
        c->next->prev = c->prev;
    }
    *(c->prev ? &c->prev->next : &couriers) = c->next;
    unheard_count -= !c->heard;
    return true;
}

static void unref(struct courier *c)
{
    sley_spin_lock(&lock);
    const bool last = uncount(c);
    sley_spin_unlock(&lock);
    if (last) {
        sley__home_free(c, sizeof *c);
    }
}

/** The layer above's last word, said at home; what it reads and fills is of its own op. */
static int32_t end(struct sley_io_op *inner, int32_t result)
{
    const struct courier *c = sley_container_of(inner, struct courier, inner.io);
    struct sley_io_op *op = c->op;
    if (!op) {
        return result;
    }
    op->done_bytes = inner->done_bytes;
    op->out_number = inner->out_number;
    return sley__io_end(op, result);
}

static void sent(struct sley_file_op *inner, int32_t result)
{
    const struct courier *c = sley_container_of(inner, struct courier, inner);
    struct sley_file_op *op = sley_file_of(c->op);
    if (op->a.sent) {
        op->a.sent(op, result);
    }
}

/** With the lock. Is an op that somebody waits for at @p fd, or on its way there? */
static bool in_use(const struct sley_fd *fd, const struct sley_reactor *home)
{
    const struct courier *c = couriers;
    while (c && !(c->op && c->inner.io.fd == fd && c->home == home)) {
        c = c->next;
    }
    return c != NULL;
}

bool sley__remote_expected(const struct sley_fd *fd, const struct sley_reactor *home)
{
    sley_spin_lock(&lock);
    const struct courier *c = couriers;
    while (c && !(c->op && !c->begun && c->inner.io.fd == fd && c->home == home)) {
        c = c->next;
    }
    sley_spin_unlock(&lock);
    return c != NULL;
}

/** With the lock. A close or abort that nobody waits for, behind @p c, whose waiter keeps the descriptor's memory for it; or NULL. */
static struct courier *unheard_behind(const struct courier *c)
{
    struct courier *u = unheard_count ? couriers : NULL;
    while (u && !(!u->heard && !u->begun && !u->inner.io.buf && u->inner.io.fd == c->inner.io.fd && u->home == c->home)) {
        u = u->next;
    }
    return u;
}

static void tell(struct courier *c)
{
    if (c->told) {
        sley_wait_complete(&c->told->wait, c->result);
    }
    unref(c); /* behind the last access to whoever has started it */
}

/** It is over; at home, or where it could not be sent. */
static void finish(struct courier *c, int32_t result)
{
    struct sley_io_op *op = c->op;
    if (op) {
        struct courier *u;
        sley_spin_lock(&lock);
        while (c->begun && c->inner.io.fd && (u = unheard_behind(c)) != NULL) {
            u->begun = true;
            u->count++;
            sley_spin_unlock(&lock);
            u->start(&u->inner.io);
            unref(u);
            sley_spin_lock(&lock);
        }
        op->next = NULL;
        c->op = NULL;
        sley_spin_unlock(&lock);
        c->told = op;
        c->result = result;
    }
    if (told_later) {
        c->later = *told_later;
        *told_later = c;
    } else {
        tell(c);
    }
}

static void done(struct sley_wait_hook *hook, struct sley_wait *w)
{
    finish(sley_container_of(hook, struct courier, hook), w->result);
}

/** It ends without having been started. */
static void refuse(struct courier *c, int32_t rc)
{
    if (c->inner.io.code == SLEY_IO_SEND_ZC && c->inner.a.sent) {
        sent(&c->inner, rc);
    }
    finish(c, c->inner.io.end ? end(&c->inner.io, rc) : rc);
}

/* ---- at home ------------------------------------------------------------------------------------------------------- */

/** A close or abort that nobody waits for: those whose waiters keep the descriptor's memory for it are told when it is through. */
static void start_unheard(struct courier *c)
{
    struct courier *ended = NULL, *next;
    told_later = &ended;
    c->start(&c->inner.io);
    told_later = NULL;
    for (; ended; ended = next) {
        next = ended->later;
        tell(ended);
    }
}

static void arrived(struct sley_post *post)
{
    struct courier *c = sley_container_of(post, struct courier, post);
    const bool close = c->inner.io.code == SLEY_IO_CLOSE;
    sley_spin_lock(&lock);
    const bool over = c->begun; /* whoever ended before it has done it */
    c->begun = true;
    sley_spin_unlock(&lock);
    if (!over && c->home->files.ending && !close) {
        refuse(c, -ENODEV);
        return;
    }
    /* relaxed: a request, which carries nothing; one that comes later has a post of its own */
    if (!over && atomic_load_explicit(&c->asked, memory_order_relaxed) && !close) {
        refuse(c, -ECANCELED);
        return;
    }
    if (!over && c->heard) {
        c->start(&c->inner.io);
    } else if (!over) {
        start_unheard(c);
    }
    c->hook.fn = done;
    sley_wait_hook(&c->inner.wait, &c->hook);
}

static void cancel_arrived(struct sley_post *post)
{
    struct courier *c = sley_container_of(post, struct courier, cancel);
    if (c->begun) {
        sley_wait_cancel(&c->inner.wait); /* nothing if it is done */
    }
    unref(c);
}

/* ---- from elsewhere ------------------------------------------------------------------------------------------------ */

/** Sends the request to end, once. Takes one of the courier's count along. */
static void ask(struct courier *c)
{
    /* relaxed: see arrived */
    const bool first = atomic_exchange_explicit(&c->asked, 1, memory_order_relaxed) == 0;
    struct sley_sched *worker = first ? sley__home_hold(c->home) : NULL;
    bool on_its_way = false;
    if (worker) {
        c->cancel.fn = cancel_arrived;
        on_its_way = deliver(worker, &c->cancel);
        sley_sched_unhold(worker);
    }
    if (!on_its_way) {
        unref(c); /* a home that is about to end ends all of them */
    }
}

static void remote_cancel(struct sley_wait *w)
{
    struct sley_io_op *op = sley_container_of(w, struct sley_io_op, wait);
    sley_spin_lock(&lock);
    struct courier *c = (struct courier *)(void *)op->next;
    if (c) {
        c->count++;
    }
    sley_spin_unlock(&lock);
    if (c) {
        ask(c);
    }
}

#define KIND(text)                                                                        \
    {                                                                                     \
        .version = SLEY_WAIT_VERSION, .name = text ", elsewhere", .cancel = remote_cancel \
    }
static const struct sley_wait_ops kinds[SLEY_IO_CLOSE + 1] = {
    [0] = KIND("io.op"),
    [SLEY_IO_ACCEPT] = KIND("io.accept"),
    [SLEY_IO_CONNECT] = KIND("io.connect"),
    [SLEY_IO_RECV] = KIND("io.recv"),
    [SLEY_IO_SEND] = KIND("io.send"),
    [SLEY_IO_RECVMSG] = KIND("io.recvmsg"),
    [SLEY_IO_SENDMSG] = KIND("io.sendmsg"),
    [SLEY_IO_POLL] = KIND("io.poll"),
    [SLEY_IO_CLOSE] = {.version = SLEY_WAIT_VERSION, .name = "io.close, elsewhere"},
};

/** The home's op: as the one that waits for it; its answers are its own. */
static void fill(struct courier *c, struct sley_io_op *op)
{
    struct sley_io_op *inner = &c->inner.io;
    inner->len = op->len;
    inner->code = op->code;
    inner->flags = op->flags;
    inner->end = end;
    if (sley__file_code(op->code)) {
        const struct sley_file_op *f = sley_file_of(op);
        c->inner.offset = f->offset;
        c->inner.a = f->a;
        c->inner.b = f->b;
        c->inner.dir = f->dir;
        c->inner.to_dir = f->to_dir;
        c->inner.how = f->how;
        c->inner.mode = f->mode;
        if (op->code == SLEY_IO_SEND_ZC) {
            c->inner.a.sent = sent;
        }
    }
}

/** A courier to the worker of @p home, which is held for it. Returns: 0; -ENODEV; -EOWNERDEAD; -ENOMEM. */
static int make(struct sley_reactor *home, struct courier **ret_courier, struct sley_sched **ret_worker)
{
    if (sley__home_orphaned(home)) {
        return -EOWNERDEAD;
    }
    struct sley_sched *worker = sley__home_hold(home);
    struct courier *c = worker ? sley__home_alloc(sizeof *c, _Alignof(struct courier)) : NULL;
    if (!c) {
        if (worker) {
            sley_sched_unhold(worker);
        }
        return worker ? -ENOMEM : -ENODEV;
    }
    c->home = home;
    c->count = 1;
    c->post.fn = arrived;
    *ret_courier = c;
    *ret_worker = worker;
    return 0;
}

/**
 * Sets out for @p op, which has begun; NULL: nobody waits. Gives the worker up. Returns false: it has not gone, for nobody waits, and
 * nothing is in flight that would keep the descriptor's memory.
 */
static bool send_out(struct courier *c, struct sley_io_op *op, struct sley_sched *worker)
{
    const struct sley_sched *s = sley__self;
    c->op = op;
    c->heard = op != NULL;
    if (op && s && !s->group && s->reactor) { /* else nobody is told */
        c->from = s->reactor;
        s->reactor->leave = sley__home_end;
    }
    if (op) {
        sley_wait_arm(&op->wait);
    }
    sley_spin_lock(&lock);
    const struct sley_fd *fd = c->inner.io.fd;
    if (!op && fd != &c->fd && !c->inner.io.buf && !in_use(fd, c->home) && !(sley__fd_state(fd) & SLEY_FD_HOLD_MASK)) {
        sley_spin_unlock(&lock);
        sley__home_free(c, sizeof *c);
        sley_sched_unhold(worker);
        return false;
    }
    unheard_count += !op;
    c->next = couriers;
    if (c->next) {
        c->next->prev = c;
    }
    couriers = c;
    if (op) {
        op->next = (void *)c;
    }
    sley_spin_unlock(&lock);
    if (!deliver(worker, &c->post)) {
        refuse(c, -ENODEV);
    }
    sley_sched_unhold(worker);
    return true;
}

void sley__remote_submit(struct sley_io_op *op, struct sley_reactor *home)
{
    if (op->flags & SLEY_IO_LEND) {
        sley_io_finish(op, sley__home_orphaned(home) ? -EOWNERDEAD : -EXDEV); /* a buffer comes back where it was lent */
        return;
    }
    struct sley_sched *worker;
    struct courier *c;
    const int rc = op->fd && (sley__fd_state(op->fd) & SLEY_FD_CLOSING) ? -EBADF : make(home, &c, &worker);
    op->wait.ops = &kinds[op->code <= SLEY_IO_CLOSE ? op->code : 0];
    if (rc == 0) {
        c->start = sley_io_submit;
        c->inner.io.fd = op->fd;
        c->inner.io.buf = op->buf;
        if (sley__file_code(op->code)) {
            sley_file_of(op)->home = home; /* for sley_fd_init_from */
        }
        fill(c, op);
        (void)send_out(c, op, worker);
        return;
    }
    if (op->code == SLEY_IO_SEND_ZC && sley_file_of(op)->a.sent) {
        sley_file_of(op)->a.sent(sley_file_of(op), rc);
    }
    sley_io_finish(op, rc);
}

int32_t sley__remote_run(struct sley_io_op *op, struct sley_reactor *home)
{
    sley_wait_begin_always(&op->wait, &kinds[0]);
    op->done_bytes = 0;
    sley__remote_submit(op, home);
    return sley_await(&op->wait);
}

bool sley__remote_close(struct sley_io_op *op, struct sley_reactor *home)
{
    struct sley_sched *worker;
    struct courier *c;
    const uint32_t state = sley__fd_state(op->fd);
    const bool heard = !(op->flags & SLEY_IO_UNHEARD), direct = sley_fd_is_direct(op->fd);
    sley_spin_lock(&lock);
    const bool idle = !(state & SLEY_FD_HOLD_MASK) && (heard || !in_use(op->fd, home)); /* what is in the inbox holds nothing yet */
    sley_spin_unlock(&lock);
    if (sley__home_orphaned(home) || (idle && !direct && !(heard && sley__home_runs(home)))) {
        return false; /* unheard, and with nothing in flight, nobody would keep the descriptor's memory until it is closed there */
    }
    if (direct && sley__home_gone(home)) {
        op->fd->number = -1; /* its home has closed it */
        sley_io_finish(op, 0);
        return true;
    }
    const int rc = state & SLEY_FD_CLOSING ? 0 : make(home, &c, &worker);
    if (rc < 0 || (state & SLEY_FD_CLOSING)) {
        sley_io_finish(op, rc);
        return true;
    }
    c->start = sley_io_submit;
    c->inner.io.fd = op->fd;
    fill(c, op);
    c->inner.io.end = heard ? end : NULL;
    if (!heard && idle) {
        sley_fd_init(&c->fd, op->fd->number);
        sley__fd_bring_home(&c->fd, home);
        c->inner.io.fd = &c->fd;
        sley__fd_set(op->fd, state | SLEY_FD_CLOSING);
        op->fd->number = -1;
    }
    op->wait.ops = &kinds[SLEY_IO_CLOSE];
    if (!send_out(c, heard ? op : NULL, worker)) {
        return false;
    }
    if (!heard) {
        sley_io_finish(op, 0);
    }
    return true;
}

/* ---- for io/ ------------------------------------------------------------------------------------------------------- */

bool sley__fd_away(const struct sley_sched *s, struct sley_fd *fd)
{
    struct sley_reactor *home = sley__fd_home(fd);
    const struct sley_group *g = s ? s->group : NULL;
    if (!home && sley__apart(s) &&
        /* acquire: as in sley__fd_enter */
        atomic_compare_exchange_strong_explicit(&fd->home, &home, s->reactor, memory_order_acquire, memory_order_relaxed)) {
        home = s->reactor;
    }
    for (uint32_t i = 0; g && i < g->count; i++) {
        if (g->scheds[i]->reactor == home) {
            return sley__apart(s) && (home != s->reactor || s->current);
        }
    }
    return home != NULL;
}

bool sley_fd_rests(const struct sley_fd *fd)
{
    return !(sley__fd_state(fd) & SLEY_FD_HOLD_MASK) && !sley__home_runs(sley__fd_home(fd));
}

static const struct sley_wait_ops call_kind = KIND("io.call");

int sley_io_call_home(struct sley_io_op *op, struct sley_fd *fd, const struct sley_io_op *like, void (*start)(struct sley_io_op *inner))
{
    struct sley_sched *worker;
    struct courier *c;
    int rc = make(sley__fd_home(fd), &c, &worker);
    if (rc == 0) {
        c->start = start;
        c->inner.io.fd = fd;
        c->inner.io.buf = like->buf;
        c->inner.io.object = like->object;
        c->inner.io.code = like->code;
        if (op) {
            op->wait.ops = &call_kind;
        }
        rc = send_out(c, op, worker) ? 0 : -EAGAIN; /* an abort that may be done where it is */
    }
    return rc;
}
