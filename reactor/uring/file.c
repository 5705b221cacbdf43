/* Ops of files and paths, and the zero-copy send: those that the kernel of this ring knows. The others go the generic way. */
#include "checker.h"
#include "uring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* native[1]: what points to the op (uring.h). In op->at.native[0] of a SEND_ZC, which uses it from its start on */
static char sent_plain[1];   /* this socket knows no zero copy: what has been asked for first has ended, or is about to */
static char sent_in_vain[1]; /* to be done once more, when the kernel has given back the buffer of what has been asked for */
static char sent_already[1]; /* its result has been told; the buffer is the kernel's still */

static const uint8_t opcodes[SLEY__IO_FILE_END - SLEY_IO_READ] = {
    [SLEY_IO_READ - SLEY_IO_READ] = IORING_OP_READ,       [SLEY_IO_WRITE - SLEY_IO_READ] = IORING_OP_WRITE,
    [SLEY_IO_READV - SLEY_IO_READ] = IORING_OP_READV,     [SLEY_IO_WRITEV - SLEY_IO_READ] = IORING_OP_WRITEV,
    [SLEY_IO_READ_FIXED - SLEY_IO_READ] = IORING_OP_READ, [SLEY_IO_WRITE_FIXED - SLEY_IO_READ] = IORING_OP_WRITE,
    [SLEY_IO_SEND_ZC - SLEY_IO_READ] = IORING_OP_SEND_ZC, [SLEY_IO_OPEN - SLEY_IO_READ] = IORING_OP_OPENAT,
    [SLEY_IO_FSYNC - SLEY_IO_READ] = IORING_OP_FSYNC,     [SLEY_IO_FDATASYNC - SLEY_IO_READ] = IORING_OP_FSYNC,
    [SLEY_IO_STAT - SLEY_IO_READ] = IORING_OP_STATX,      [SLEY_IO_FALLOCATE - SLEY_IO_READ] = IORING_OP_FALLOCATE,
    [SLEY_IO_RENAME - SLEY_IO_READ] = IORING_OP_RENAMEAT, [SLEY_IO_UNLINK - SLEY_IO_READ] = IORING_OP_UNLINKAT,
    [SLEY_IO_MKDIR - SLEY_IO_READ] = IORING_OP_MKDIRAT,   [SLEY_IO_SHUTDOWN - SLEY_IO_READ] = IORING_OP_SHUTDOWN,
};

/* ---- which ---------------------------------------------------------------------------------------------------------------- */

static bool is_file(struct sley__uring_slot *slot, int number)
{
    struct stat st;
    if (slot->kind == SLEY__URING_UNKNOWN && fstat(number, &st) == 0) {
        const bool file = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
        slot->kind = file ? SLEY__URING_FILE : S_ISDIR(st.st_mode) ? SLEY__URING_UNKNOWN : SLEY__URING_OTHER;
    }
    return slot->kind == SLEY__URING_FILE;
}

/** Pipes and the like are tried and waited for as on other reactors: a write to one without a reader would raise SIGPIPE here. */
static bool is_native(struct sley__uring *r, const struct sley_file_op *op)
{
    const uint8_t opcode = opcodes[op->io.code - SLEY_IO_READ];
    if (opcode == 0 || !sley__uring_knows(r, opcode)) {
        return false;
    }
    switch (opcode) {
    case IORING_OP_READ:
    case IORING_OP_WRITE:
    case IORING_OP_READV:
    case IORING_OP_WRITEV:
        return is_file(sley__uring_slot_at(r, op->io.fd), op->io.fd->number);
    case IORING_OP_SHUTDOWN:
        return sley_fd_is_direct(op->io.fd); /* else it is a call that never waits */
    case IORING_OP_STATX:
        return !op->io.fd || !sley_fd_is_direct(op->io.fd); /* it looks a number up, whatever it is told */
    default:
        return true;
    }
}

/* ---- in --------------------------------------------------------------------------------------------------------------------- */

/** A read or write of any kind; of registered memory: a plain one where the ring does not know it. */
SLEY_INLINE void describe_move(struct sley__uring *r, struct io_uring_sqe *sqe, const struct sley_file_op *op)
{
    const struct sley_io_op *io = &op->io;
    const unsigned len = (unsigned)(io->len < SLEY_IO_CALL_BYTES ? io->len : SLEY_IO_CALL_BYTES);
    io_uring_prep_rw(opcodes[io->code - SLEY_IO_READ], sqe, io->fd->number, io->buf, len, op->offset);
    if (io->code >= SLEY_IO_READ_FIXED && sley__uring_is_fixed(r, op->a.fixed)) {
        sqe->opcode = io->code == SLEY_IO_READ_FIXED ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
        sqe->buf_index = (uint16_t)op->a.fixed->index;
    }
}

/**
 * Might open(2) wait for somebody else? Before it lets a thread of its own make the call, the kernel tries it as if O_NONBLOCK had been
 * asked for, and that is the end of it: of a FIFO an end without another, or -ENXIO.
 */
static bool may_wait(const struct sley_file_op *op)
{
    return !(op->how & (O_NONBLOCK | O_DIRECTORY | O_PATH));
}

static void describe_path(struct io_uring_sqe *sqe, const struct sley_file_op *op)
{
    switch (op->io.code) {
    case SLEY_IO_OPEN:
        io_uring_prep_openat(sqe, op->dir, op->a.path, (int)op->how | O_CLOEXEC, (mode_t)op->mode);
        sqe->flags |= may_wait(op) ? IOSQE_ASYNC : 0;
        if (op->io.stage & SLEY__URING_PLACE) {
            sqe->open_flags = op->how & ~(uint32_t)O_CLOEXEC;
            sqe->file_index = IORING_FILE_INDEX_ALLOC;
        }
        break;
    case SLEY_IO_RENAME:
        io_uring_prep_renameat(sqe, op->dir, op->a.path, op->to_dir, op->b.to_path, op->how);
        break;
    case SLEY_IO_UNLINK:
        io_uring_prep_unlinkat(sqe, op->dir, op->a.path, (int)op->how);
        break;
    default:
        io_uring_prep_mkdirat(sqe, op->dir, op->a.path, (mode_t)op->mode);
        break;
    }
}

static void describe_send(struct sley__uring *r, struct io_uring_sqe *sqe, const struct sley_file_op *op, unsigned len)
{
    if (op->at.native[0] == sent_plain) {
        io_uring_prep_send(sqe, op->io.fd->number, op->io.buf, len, MSG_NOSIGNAL);
    } else {
        io_uring_prep_send_zc(sqe, op->io.fd->number, op->io.buf, len, MSG_NOSIGNAL, 0);
        if (sley__uring_is_fixed(r, op->b.fixed)) {
            sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
            sqe->buf_index = (uint16_t)op->b.fixed->index;
        }
    }
}

void sley__uring_describe_file(struct sley__uring *r, struct io_uring_sqe *sqe, struct sley_io_op *io)
{
    struct sley_file_op *op = sley_file_of(io);
    const int number = io->fd ? io->fd->number : -1;
    const unsigned len = (unsigned)(io->len < SLEY_IO_CALL_BYTES ? io->len : SLEY_IO_CALL_BYTES);
    switch (io->code) {
    case SLEY_IO_READ:
    case SLEY_IO_WRITE:
    case SLEY_IO_READV:
    case SLEY_IO_WRITEV:
    case SLEY_IO_READ_FIXED:
    case SLEY_IO_WRITE_FIXED:
        describe_move(r, sqe, op);
        break;
    case SLEY_IO_SEND_ZC:
        describe_send(r, sqe, op, len);
        break;
    case SLEY_IO_FSYNC:
        io_uring_prep_fsync(sqe, number, 0);
        break;
    case SLEY_IO_FDATASYNC:
        io_uring_prep_fsync(sqe, number, IORING_FSYNC_DATASYNC);
        break;
    case SLEY_IO_FALLOCATE:
        io_uring_prep_fallocate(sqe, number, (int)op->how, (off_t)op->offset, (off_t)io->len);
        break;
    case SLEY_IO_STAT:
        io_uring_prep_statx(sqe, io->fd ? number : op->dir, io->fd ? "" : op->a.path, (int)op->how | (io->fd ? AT_EMPTY_PATH : 0),
                            op->mode, io->buf);
        break;
    case SLEY_IO_SHUTDOWN:
        io_uring_prep_shutdown(sqe, number, (int)op->how);
        break;
    default:
        describe_path(sqe, op);
        break;
    }
}

/** What calls on other threads know nothing of. */
static bool is_direct(struct sley_file_op *op)
{
    const struct sley_fd *to = sley__file_to(op);
    return (op->io.fd && sley_fd_is_direct(op->io.fd)) || (to && sley_fd_is_direct(to));
}

/** Would it take what comes to a connection? */
static bool takes(const struct sley_file_op *op)
{
    switch (op->io.code) {
    case SLEY_IO_READ:
    case SLEY_IO_READV:
    case SLEY_IO_READ_FIXED:
    case SLEY_IO_SPLICE:
        return true;
    default:
        return false;
    }
}

/** Ends what stands there. Returns false: something has come ahead, or the kernel is yet to answer. */
static bool may_take(struct sley__uring *r, struct sley_file_op *op)
{
    struct sley__uring_slot *slot = op->io.fd && takes(op) ? sley__uring_find(r, op->io.fd->number) : NULL;
    if (!slot || !(slot->standing & SLEY__URING_SOMETHING)) {
        return true;
    }
    slot->standing |= SLEY__URING_SHY;
    return sley__uring_stand_down(r, slot) == 0 && !(slot->standing & SLEY__URING_SOMETHING);
}

static SLEY_NOINLINE void submit_other(struct sley__uring *r, struct sley_file_op *op)
{
    struct sley_reactor *self = &r->base;
    if (r->ending) {
        sley_file_finish(op, -ECANCELED);
    } else if (SLEY_UNLIKELY(r->standing_count + r->stock.kept > 0) && !may_take(r, op)) {
        sley_file_finish(op, -EBUSY);
    } else if (!is_native(r, op)) {
        if (is_direct(op)) {
            sley_file_finish(op, -ENOTSUP);
        } else {
            sley_file_generic(self, op);
        }
    } else if (op->io.code == SLEY_IO_OPEN && (op->io.flags & SLEY_IO_DIRECT) && sley__uring_direct_reserve(r, &op->io) < 0) {
        sley_file_finish(op, -ENFILE);
    } else {
        struct sley__uring_slot *slot = sley__uring_slot_of(r, &op->io);
        if (SLEY_UNLIKELY(!r->has_files)) {
            sley__uring_call_witness(r);
        }
        op->at.native[0] = NULL;
        sley_file_arm(self, op);
        sley__uring_push(slot, &op->io);
        sley__uring_queue(r, slot, &op->io);
    }
}

/* What most are: all that submit_other asks is known of a file, and a kernel with rings knows such ops. Every way out is a tail call. */
void sley__uring_submit_file(struct sley_reactor *self, struct sley_file_op *op)
{
    struct sley__uring *r = sley_container_of(self, struct sley__uring, base);
    if (SLEY_UNLIKELY(!sley__file_is_move(op) || r->ending)) {
        submit_other(r, op);
        return;
    }
    struct sley__uring_slot *slot = sley__uring_slot_at(r, op->io.fd);
    if (SLEY_UNLIKELY(slot->kind != SLEY__URING_FILE)) {
        submit_other(r, op);
        return;
    }
    sley__file_arm_move(self, op);
    sley__uring_push_file(slot, op);
    struct io_uring_sqe *sqe = sley__uring_room(r);
    if (SLEY_LIKELY(sqe != NULL)) {
        sley__uring_clear(sqe);
        describe_move(r, sqe, op);
        sley__uring_name(sqe, &op->io);
        r->flying_count++;
    } else {
        sley__uring_queue(r, slot, &op->io);
    }
}

/* ---- out -------------------------------------------------------------------------------------------------------------------- */

static void filled(const struct sley_io_op *io, int32_t res)
{
    if (SLEY_LIKELY(!sley__uring_is_seen())) {
        return;
    }
    if (io->code == SLEY_IO_READ || io->code == SLEY_IO_READ_FIXED) {
        sley__uring_filled(io->buf, (size_t)res);
    } else if (io->code == SLEY_IO_STAT) {
        sley__uring_filled(io->buf, sizeof(struct statx));
    } else if (io->code == SLEY_IO_READV) {
        const struct iovec *iov = io->buf;
        for (size_t left = (size_t)res; left > 0; iov++) {
            const size_t here = iov->iov_len < left ? iov->iov_len : left;
            sley__uring_filled(iov->iov_base, here);
            left -= here;
        }
    }
}

/** Two completions: the result; then, if the first announced it, that the buffer is free. */
static void send_completed(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_file_op *op, int32_t res, uint32_t flags)
{
    if (!(flags & IORING_CQE_F_NOTIF)) {
        op->result = res;
        op->at.native[0] = sent_already;
        sley_file_sent(op, res);
    }
    if (flags & IORING_CQE_F_MORE) {
        r->flying_count++;
        return;
    }
    sley__uring_end(r, slot, &op->io, op->result);
}

/** The socket cannot do without copying, or the send was cut short before its first byte; that may take two completions, too. */
static bool is_in_vain(struct sley_file_op *op, int32_t res, uint32_t flags)
{
    if (op->at.native[0] == NULL && res == -EOPNOTSUPP) {
        op->at.native[0] = sent_plain;
        return true;
    }
    if (op->at.native[0] == NULL && (res == -EINTR || res == -EAGAIN) && (flags & IORING_CQE_F_MORE)) {
        op->at.native[0] = sent_in_vain;
        return true;
    }
    if (op->at.native[0] == sent_in_vain) {
        op->at.native[0] = NULL;
        return true;
    }
    return op->at.native[0] == sent_plain && (flags & IORING_CQE_F_NOTIF);
}

static SLEY_NOINLINE void other_completed(struct sley__uring *r, struct sley_io_op *io, int32_t res, uint32_t flags)
{
    struct sley_file_op *op = sley_file_of(io);
    struct sley__uring_slot *slot = sley__uring_slot_of(r, io);
    const bool cancelled = io->stage & SLEY__URING_CANCELLED;
    const bool left = res == -ECANCELED && !cancelled && !sley__uring_has(r, SLEY__URING_DEFER); /* by a thread that has ended */
    if (SLEY_UNLIKELY(left || (res <= -SLEY__URING_RESTART_FIRST && res >= -SLEY__URING_RESTART_LAST))) {
        res = -EINTR;
    }
    if (io->stage & SLEY__URING_POLLING) {
        io->stage &= (uint8_t) ~(uint32_t)SLEY__URING_POLLING;
        res = res < 0 ? res : -EINTR;
    } else if (io->code == SLEY_IO_SEND_ZC && is_in_vain(op, res, flags)) {
        if (flags & IORING_CQE_F_MORE) {
            r->flying_count++;
            return;
        }
        res = -EINTR;
        flags = 0;
    }
    if ((res == -EINTR || (res == -EAGAIN && io->fd)) && !(flags & (IORING_CQE_F_MORE | IORING_CQE_F_NOTIF))) {
        if (!cancelled) {
            io->stage |= res == -EAGAIN ? SLEY__URING_POLLING : 0;
            sley__uring_queue(r, slot, io);
            return;
        }
        res = -ECANCELED;
    }
    if (io->code == SLEY_IO_SEND_ZC) {
        send_completed(r, slot, op, res, flags);
        return;
    }
    if (res >= 0 && io->code == SLEY_IO_OPEN) {
        io->out_number = res;
        res = io->stage & SLEY__URING_PLACE ? sley__uring_direct_taken(r, io, res) : 0;
    } else if (res >= 0) {
        filled(io, res);
    }
    sley__uring_end(r, slot, io, res);
}

void sley__uring_file_completed(struct sley__uring *r, struct sley_io_op *io, int32_t res, uint32_t flags)
{
    struct sley_file_op *op = sley_file_of(io);
    if (SLEY_LIKELY(sley__file_is_move(op)) && SLEY_LIKELY(res >= 0) && SLEY_LIKELY(io->stage == 0)) {
        const struct sley__uring_slot *slot = sley__uring_slot_at(r, io->fd);
        if (SLEY_LIKELY(!slot->is_abandoned) && SLEY_LIKELY(!slot->closer)) {
            filled(io, res);
            sley__uring_remove_file(op);
            sley__file_complete_move(&r->base, op, res);
            return;
        }
    }
    other_completed(r, io, res, flags);
}

void sley__uring_file_refused(struct sley_io_op *io, int32_t rc)
{
    if (io->code == SLEY_IO_SEND_ZC) {
        sley_file_sent(sley_file_of(io), rc);
    }
}

bool sley__uring_file_is_unsent(struct sley_io_op *io)
{
    const void *stage = io->code == SLEY_IO_SEND_ZC ? sley_file_of(io)->at.native[0] : sent_already;
    return stage != sent_already && stage != sent_in_vain;
}

int32_t sley__uring_file_lost(struct sley_io_op *io)
{
    const struct sley_file_op *op = sley_file_of(io);
    if (io->code == SLEY_IO_SEND_ZC && op->at.native[0] == sent_already) {
        return op->result;
    }
    sley__uring_file_refused(io, -EOWNERDEAD);
    return -EOWNERDEAD;
}
