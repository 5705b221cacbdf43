/* Couriers: made, sent, started at home, asked to end, and told about. What they are: courier.h. */
#include "courier.h"

static SLEY_ATOMIC(uint32_t) lock;
static struct sley__courier *couriers;
static uint32_t unheard_count;                      /* of those that nobody has ever waited for */
static SLEY__TLS struct sley__courier **told_later; /* not NULL: where what ends on this thread goes, to be told when that is through */

/* ---- its count, its end ------------------------------------------------------------------------------------------ */

/** With the lock. Returns: whether it is to be freed. */
static bool uncount(struct sley__courier *c)
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

void sley__courier_unref(struct sley__courier *c)
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
    const struct sley__courier *c = sley_container_of(inner, struct sley__courier, inner.io);
    struct sley_io_op *op = c->op;
    if (!op) {
        return result;
    }
    op->done_bytes = inner->done_bytes;
    op->out_number = inner->out_number;
    return sley__io_end(op, result);
}

bool sley__courier_has(const struct sley_io_op *inner)
{
    return inner->end == end;
}

static void sent(struct sley_file_op *inner, int32_t result)
{
    const struct sley__courier *c = sley_container_of(inner, struct sley__courier, inner);
    struct sley_file_op *op = sley_file_of(c->op);
    if (op->a.sent) {
        op->a.sent(op, result);
    }
}

/** Is its op on @p fd? */
static bool is_on(const struct sley__courier *c, const struct sley_fd *fd, const struct sley_reactor *home)
{
    return c->home == home && (c->on == fd || c->to == fd);
}

/** With the lock. Is an op that somebody waits for at @p fd, or on its way there? */
static bool in_use(const struct sley_fd *fd, const struct sley_reactor *home)
{
    const struct sley__courier *c = couriers;
    while (c && !(c->op && is_on(c, fd, home))) {
        c = c->next;
    }
    return c != NULL;
}

int sley_fd_take(struct sley_fd *fd, struct sley_fd *ret_fd)
{
    sley_spin_lock(&lock); /* what comes after that has been sent behind it, and is refused at home */
    const uint32_t state = sley__fd_state(fd);
    int rc = in_use(fd, sley__fd_home(fd)) || (state & SLEY_FD_HOLD_MASK) ? -EBUSY : 0;
    if (rc == 0) {
        rc = (state & SLEY_FD_CLOSING) || fd->number < 0 ? -EBADF : 0;
    }
    if (rc == 0) {
        sley_fd_init(ret_fd, fd->number);
        sley__fd_set(ret_fd, state);
        /* relaxed: the caller's own word */
        atomic_store_explicit(&ret_fd->home, sley__fd_home(fd), memory_order_relaxed);
        sley__fd_set(fd, state | SLEY_FD_CLOSING);
        fd->number = -1;
    }
    sley_spin_unlock(&lock);
    return rc;
}

bool sley__courier_in_use(const struct sley_fd *fd, const struct sley_reactor *home)
{
    sley_spin_lock(&lock);
    const bool yes = in_use(fd, home);
    sley_spin_unlock(&lock);
    return yes;
}

bool sley__remote_expected(const struct sley_fd *fd, const struct sley_reactor *home)
{
    sley_spin_lock(&lock);
    const struct sley__courier *c = couriers;
    while (c && !(c->op && !c->begun && is_on(c, fd, home))) {
        c = c->next;
    }
    sley_spin_unlock(&lock);
    return c != NULL;
}

/** With the lock. A close or abort that nobody waits for, behind @p c, whose waiter keeps the descriptor's memory for it; or NULL. */
static struct sley__courier *unheard_behind(const struct sley__courier *c)
{
    struct sley__courier *u = unheard_count ? couriers : NULL;
    while (u && !(!u->heard && !u->begun && !u->inner.io.buf && is_on(c, u->on, u->home))) {
        u = u->next;
    }
    return u;
}

static void tell(struct sley__courier *c)
{
    if (c->told) {
        sley_wait_complete(&c->told->wait, c->result);
    }
    sley__courier_unref(c); /* behind the last access to whoever has started it */
}

/** It is over; at home, or where it could not be sent. */
static void finish(struct sley__courier *c, int32_t result)
{
    struct sley_io_op *op = c->op;
    if (op) {
        struct sley__courier *u;
        sley_spin_lock(&lock);
        while (c->begun && c->on && (u = unheard_behind(c)) != NULL) {
            u->begun = true;
            u->count++;
            sley_spin_unlock(&lock);
            u->start(&u->inner.io);
            sley__courier_unref(u);
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
    finish(sley_container_of(hook, struct sley__courier, hook), w->result);
}

/** It ends without having been started. */
static void refuse(struct sley__courier *c, int32_t rc)
{
    if (c->inner.io.code == SLEY_IO_SEND_ZC && c->inner.a.sent) {
        sent(&c->inner, rc);
    }
    finish(c, c->inner.io.end ? end(&c->inner.io, rc) : rc);
}

/* ---- at home ------------------------------------------------------------------------------------------------------- */

/** A close or abort that nobody waits for: those whose waiters keep the descriptor's memory for it are told when it is through. */
static void start_unheard(struct sley__courier *c)
{
    struct sley__courier *ended = NULL, *next;
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
    struct sley__courier *c = sley_container_of(post, struct sley__courier, mail.post);
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
    struct sley__courier *c = sley_container_of(post, struct sley__courier, cancel.post);
    if (c->begun) {
        sley_wait_cancel(&c->inner.wait); /* nothing if it is done */
    }
    sley__courier_unref(c);
}

static void refused(struct sley_post *post)
{
    refuse(sley_container_of(post, struct sley__courier, mail.post), -ENODEV);
}

static void cancel_refused(struct sley_post *post)
{
    sley__courier_unref(sley_container_of(post, struct sley__courier, cancel.post));
}

/* ---- from elsewhere ---------------------------------------------------------------------------------------------- */

void sley__courier_ask(struct sley__courier *c)
{
    /* relaxed: see arrived */
    const bool first = atomic_exchange_explicit(&c->asked, 1, memory_order_relaxed) == 0;
    struct sley_sched *worker = first ? sley__home_hold(c->home) : NULL;
    if (worker) {
        c->cancel = (struct sley__mail){.post.fn = cancel_arrived, .refused = cancel_refused};
        sley__mail_deliver(c->home, worker, &c->cancel);
        sley_sched_unhold(worker);
    } else {
        sley__courier_unref(c); /* a home that is about to end ends all of them */
    }
}

void sley__courier_cancel(struct sley_wait *w)
{
    struct sley_io_op *op = sley_container_of(w, struct sley_io_op, wait);
    sley_spin_lock(&lock);
    struct sley__courier *c = (struct sley__courier *)(void *)op->next;
    if (c) {
        c->count++;
    }
    sley_spin_unlock(&lock);
    if (c) {
        sley__courier_ask(c);
    }
}

void sley__courier_fill(struct sley__courier *c, struct sley_io_op *op)
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

int sley__courier_make(struct sley_reactor *home, struct sley__courier **ret_courier, struct sley_sched **ret_worker)
{
    if (sley__home_orphaned(home)) {
        return -EOWNERDEAD;
    }
    struct sley_sched *worker = sley__home_hold(home);
    struct sley__courier *c = worker ? sley__home_alloc(sizeof *c, _Alignof(struct sley__courier)) : NULL;
    if (!c) {
        if (worker) {
            sley_sched_unhold(worker);
        }
        return worker ? -ENOMEM : -ENODEV;
    }
    c->home = home;
    c->count = 1;
    c->mail = (struct sley__mail){.post.fn = arrived, .refused = refused};
    *ret_courier = c;
    *ret_worker = worker;
    return 0;
}

bool sley__courier_send(struct sley__courier *c, struct sley_io_op *op, struct sley_sched *worker)
{
    const struct sley_sched *s = sley__self;
    const struct sley_fd *fd = c->inner.io.fd;
    c->on = fd;
    c->to = c->inner.io.code == SLEY_IO_SPLICE ? c->inner.a.to : NULL;
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
    sley__mail_deliver(c->home, worker, &c->mail);
    sley_sched_unhold(worker);
    return true;
}

/* ---- when a reactor ends ----------------------------------------------------------------------------------------- */

struct sley__courier *sley__courier_next_out(const struct sley_reactor *r, bool *ret_any)
{
    sley_spin_lock(&lock);
    struct sley__courier *c = couriers;
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

struct sley__courier *sley__courier_next_guest(const struct sley_reactor *r, bool *ret_any)
{
    sley_spin_lock(&lock);
    struct sley__courier *c = couriers;
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

void sley__couriers_forget(void)
{
    /* relaxed: the child of a fork has one thread; whoever held the lock is not there */
    atomic_store_explicit(&lock, 0, memory_order_relaxed);
    couriers = NULL;
    unheard_count = 0;
}
