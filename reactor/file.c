/* How a file op starts in a task: its node, the home of its descriptors, their hold counts and busy bits. op.c and shared.c do the same
 * for the ops of sockets, file_thread.c for a plain thread. */
#include "file.h"
#include "op.h"

#include <sley/group_impl.h>

static void file_cancel(struct sley_wait *w)
{
    struct sley_io_op *io = sley_container_of(w, struct sley_io_op, wait);
    struct sley_reactor *shared = sley_io_enter(io);
    if (!shared || !sley_io_ended(io)) {
        struct sley_file_op *op = sley_file_of(io);
        struct sley_reactor *r = op->home;
        if (op->place == SLEY__FILE_NATIVE) {
            r->ops->cancel(r, io);
        } else {
            sley__file_ask(r, op);
        }
    }
    sley_reactor_leave(shared);
}

#define KIND(code, text) [SLEY_IO_##code - SLEY_IO_READ] = {.version = SLEY_WAIT_VERSION, .name = "file." text, .cancel = file_cancel}
const struct sley_wait_ops sley__file_kinds[SLEY__IO_FILE_END - SLEY_IO_READ] = {
    KIND(READ, "read"),         KIND(WRITE, "write"),        KIND(READV, "readv"),   KIND(WRITEV, "writev"),
    KIND(READ_FIXED, "read"),   KIND(WRITE_FIXED, "write"),  KIND(SEND_ZC, "send"),  KIND(OPEN, "open"),
    KIND(FSYNC, "sync"),        KIND(FDATASYNC, "datasync"), KIND(STAT, "stat"),     KIND(FALLOCATE, "allocate"),
    KIND(SPLICE, "splice"),     KIND(RENAME, "rename"),      KIND(UNLINK, "unlink"), KIND(MKDIR, "mkdir"),
    KIND(SHUTDOWN, "shutdown"), KIND(CHILD, "child"),
};

/* ---- what an op is ------------------------------------------------------------------------------------------------ */

static bool inside(const struct sley_fixed *f, const void *buf, size_t len)
{
    const uintptr_t at = (uintptr_t)buf, base = (uintptr_t)f->base;
    return at >= base && len <= f->bytes && at - base <= f->bytes - len;
}

int sley__file_check(const struct sley_file_op *op)
{
    if (op->io.flags & ~(op->io.code == SLEY_IO_OPEN ? SLEY_IO_DIRECT : 0)) {
        return -EINVAL;
    }
    if (op->io.code == SLEY_IO_STAT && !op->io.fd && !op->a.path) {
        return -EBADF;
    }
    if (sley__file_is_path(op)) {
        return op->a.path && (op->io.code != SLEY_IO_RENAME || op->b.to_path) ? 0 : -EFAULT;
    }
    switch (op->io.code) {
    case SLEY_IO_READV:
    case SLEY_IO_WRITEV:
        return op->io.len <= 1024 ? 0 : -EINVAL; /* IOV_MAX */
    case SLEY_IO_READ_FIXED:
    case SLEY_IO_WRITE_FIXED:
        return op->a.fixed && inside(op->a.fixed, op->io.buf, op->io.len) ? 0 : -EFAULT;
    case SLEY_IO_SEND_ZC:
        return !op->b.fixed || inside(op->b.fixed, op->io.buf, op->io.len) ? 0 : -EFAULT;
    case SLEY_IO_SPLICE:
        return op->a.to ? 0 : -EFAULT;
    default:
        return 0;
    }
}

/** What is known of a descriptor, asked for at its first op. It is this thread's. */
static uint32_t way_of(struct sley_fd *fd)
{
    const uint32_t known = (uint32_t)SLEY_FD_WAY_MASK | SLEY_FD_BLOCKS;
    if (!(sley__fd_state(fd) & SLEY_FD_WAY_MASK)) {
        sley__fd_set(fd, sley__fd_state(fd) | sley__file_way(fd->number));
    }
    return sley__fd_state(fd) & known;
}

static bool reads(const struct sley_file_op *op)
{
    return op->io.code == SLEY_IO_READ || op->io.code == SLEY_IO_READV || op->io.code == SLEY_IO_READ_FIXED;
}

void sley__file_choose(struct sley_file_op *op)
{
    const uint32_t way = op->io.fd ? way_of(op->io.fd) : (uint32_t)SLEY__WAY_CALL;
    switch (op->io.code) {
    case SLEY_IO_SHUTDOWN:
    case SLEY_IO_SEND_ZC:
    case SLEY_IO_CHILD:
        op->ways = SLEY__DO_TRY | SLEY__DO_READY;
        break;
    case SLEY_IO_SPLICE: {
        const bool here = way_of(op->a.to) == SLEY__WAY_READY && way == SLEY__WAY_READY;
        op->ways = here ? SLEY__DO_TRY | SLEY__DO_READY : SLEY__DO_READY; /* files are always ready */
        break;
    }
    case SLEY_IO_READ:
    case SLEY_IO_WRITE:
    case SLEY_IO_READV:
    case SLEY_IO_WRITEV:
    case SLEY_IO_READ_FIXED:
    case SLEY_IO_WRITE_FIXED:
        if (way == SLEY__WAY_READY) {
            op->ways = SLEY__DO_TRY | SLEY__DO_READY;
        } else if (way == SLEY__WAY_FILE) {
            op->ways = reads(op) && op->offset != SLEY_FILE_HERE ? SLEY__DO_TRY : 0;
        } else {
            op->ways = way & SLEY_FD_BLOCKS ? SLEY__DO_READY | SLEY__DO_FIRST : 0;
        }
        break;
    default:
        op->ways = 0;
        break;
    }
}

/* ---- in ------------------------------------------------------------------------------------------------------------- */

/** Why a descriptor may not be used so, or 0: then it is known to its home @p r, which is this thread's, or whose lock is held. */
static int admit(struct sley_reactor *r, struct sley_fd *fd, uint32_t busy)
{
    const uint32_t state = sley__fd_state(fd);
    const struct sley_reactor *home = sley__fd_home(fd);
    if (home && home != r) {
        return -EXDEV; /* the rest of it is another's, whose lock is not held */
    }
    if (fd->number < 0 || (state & SLEY_FD_CLOSING)) {
        return -EBADF;
    }
    if ((state & busy) || (state & SLEY_FD_HOLD_MASK) >= SLEY_FD_HOLD_MASK - 1) {
        return -EBUSY;
    }
    const struct sley_sched *s = sley__self;
    if (s->group ? state & SLEY_FD_KNOWN : home != NULL) {
        return 0;
    }
    struct sley_reactor *none = NULL;
    /* acquire: as in sley__fd_enter; the second descriptor of a SPLICE may be claimed by another worker just now */
    if (!home && s->group && !atomic_compare_exchange_strong_explicit(&fd->home, &none, r, memory_order_acquire, memory_order_relaxed)) {
        return -EXDEV;
    }
    const int rc = r->ops->adopt ? r->ops->adopt(r, fd) : 0;
    if (rc == 0) {
        r->fd_count++;
        /* relaxed: the home thread writes its own word, or its lock is held */
        atomic_store_explicit(&fd->home, r, memory_order_relaxed);
        if (s->group) {
            sley__fd_set(fd, sley__fd_state(fd) | SLEY_FD_KNOWN | SLEY_FD_FAR);
        }
        sley__home_known(r, r->shared ? s->group->scheds[r->index] : r->sched);
    }
    return rc;
}

/** The reactor of this worker of a group, entered. */
static struct sley_reactor *enter_own(const struct sley_sched *s)
{
    struct sley_reactor *r = s->reactor;
    uint32_t i = 0;
    while (s->group->scheds[i] != s) {
        i++;
    }
    if (r) {
        sley__reactor_enter(r);
        r->index = i;
    }
    return r;
}

/** Whose op it is; entered, if it is shared. NULL: nobody's. */
static struct sley_reactor *enter_home(struct sley_sched *s, struct sley_file_op *op)
{
    if (!s || !s->group || sley__apart(s)) {
        return s ? sley__here(s) : NULL;
    }
    struct sley_reactor *r = op->io.fd ? sley__fd_enter(s, op->io.fd) : enter_own(s);
    struct sley_fd *to = r ? sley__file_to(op) : NULL;
    struct sley_reactor *none = NULL;
    if (to && !sley__fd_home(to)) {
        /* acquire: as in sley__fd_enter */
        (void)atomic_compare_exchange_strong_explicit(&to->home, &none, r, memory_order_acquire, memory_order_relaxed);
    }
    return r;
}

static int admit_all(struct sley_reactor *r, struct sley_file_op *op)
{
    struct sley_fd *fd = op->io.fd, *to = sley__file_to(op);
    int rc = sley__file_check(op);
    if (rc == 0 && !fd && !sley__file_is_path(op)) {
        rc = -EBADF;
    }
    if (rc == 0 && r->files.ending) {
        rc = -ECANCELED;
    }
    rc = rc == 0 && fd ? admit(r, fd, sley__file_busy(op)) : rc;
    return rc == 0 && to ? admit(r, to, sley__file_busy_to(op)) : rc;
}

/** The task is cancelled. The node is done, but nobody has been able to look yet. */
static SLEY_NOINLINE void refuse(struct sley_file_op *op)
{
    struct sley_io_op *io = &op->io;
    struct sley_reactor *locked = io->fd ? sley_fd_enter(io->fd) : NULL;
    if (io->code == SLEY_IO_SEND_ZC && op->a.sent) {
        op->a.sent(op, -ECANCELED);
    }
    io->wait.result = sley__io_end(io, -ECANCELED);
    sley_reactor_leave(locked);
}

static void begin_at(struct sley_reactor *r, struct sley_file_op *op)
{
    op->home = r;
    op->ways = 0;
    op->place = SLEY__FILE_NATIVE;
    op->armed = op->asked = false;
}

/** All that is not as usual: the first op on a descriptor, other kinds than reads and writes, workers that share, refusals. */
static SLEY_NOINLINE void submit_slowly(struct sley_file_op *op)
{
    struct sley_io_op *io = &op->io;
    if (!sley_wait_begin(&io->wait, &sley__file_kinds[io->code - SLEY_IO_READ])) {
        refuse(op);
        return;
    }
    struct sley_sched *s = sley__self;
    if (io->fd ? sley_fd_away(io->fd) : sley__apart(s) && (s->current || !sley__inside(sley__here(s)))) {
        sley__remote_submit(io, io->fd ? sley__fd_home(io->fd) : sley__here(s));
        return;
    }
    struct sley_reactor *r = enter_home(s, op);
    if (!r) {
        sley_file_finish(op, -ENOTSUP);
        return;
    }
    const bool locked = s->group && !sley__apart(s);
    if (s->group) {
        sley_io_mark(io, locked ? r : NULL);
    }
    begin_at(r, op);
    const int rc = admit_all(r, op);
    if (rc < 0) {
        sley_file_finish(op, rc);
    } else if (r->ops->version >= 2 && r->ops->submit_file) {
        r->ops->submit_file(r, op);
    } else {
        sley_file_generic(r, op);
    }
    if (locked) {
        sley__reactor_leave(r);
    }
}

/** Would all that is asked on the slow way be answered with yes? Of a read or write at an offset, whose descriptor is known here. */
static bool is_usual(const struct sley_file_op *op, const struct sley_sched *s)
{
    const struct sley_fd *fd = op->io.fd;
    if (SLEY_UNLIKELY(!sley__file_is_move(op) || op->io.flags || !fd || !s || s->group || s->budget <= 0)) {
        return false;
    }
    const struct sley_reactor *r = s->reactor;
    const uint32_t state = sley__fd_state(fd);
    if (SLEY_UNLIKELY(!r || sley__fd_home(fd) != r || (state & SLEY_FD_CLOSING) || r->files.ending) ||
        SLEY_UNLIKELY((state & SLEY_FD_HOLD_MASK) >= SLEY_FD_HOLD_MASK - 1)) {
        return false;
    }
    return SLEY_LIKELY(op->io.code <= SLEY_IO_WRITE) || sley__file_check(op) == 0;
}

/* As sley_io_submit: every way out is a tail call. */
void sley__file_submit(struct sley_io_op *io)
{
    struct sley_file_op *op = sley_file_of(io);
    const struct sley_sched *s = sley__self;
    io->done_bytes = 0;
    io->stage = 0;
    if (SLEY_LIKELY(is_usual(op, s)) && SLEY_LIKELY(s->reactor->ops->version >= 2) && SLEY_LIKELY(s->reactor->ops->submit_file != NULL)) {
        sley_wait_begin_always(&io->wait, &sley__file_kinds[io->code - SLEY_IO_READ]); /* there is budget: it may begin */
        begin_at(s->reactor, op);
        s->reactor->ops->submit_file(s->reactor, op);
    } else {
        submit_slowly(op);
    }
}
