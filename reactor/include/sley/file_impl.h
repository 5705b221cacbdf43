/* For implementers: of reactors with ways of their own for the ops of <sley/file_ops.h>, and of pools that make calls for the others. */
#ifndef SLEY_FILE_IMPL_H
#define SLEY_FILE_IMPL_H

#include <sley/file_ops.h>
#include <sley/lend_impl.h>
#include <sley/reactor_impl.h>

SLEY_EXTERN_C_BEGIN

/* ---- what a reactor cannot do by itself ---------------------------------------------------------------------------- */

enum { SLEY_OFFLOAD_VERSION = 1 };

/** Who makes calls that may block. Instances are static const. A reactor without one has a helper thread of its own. */
struct sley_offload_ops {
    uint32_t version; /**< SLEY_OFFLOAD_VERSION */
    uint32_t caps;    /**< 0 */
    const char *name;
    /**
     * Required. Sees to it that `job->fn(job)` runs on a thread that may block, and then `job->done(job, 0)`, there; or
     * `job->done(job, rc)`, anywhere, inside this call, too: -EAGAIN: there is no thread; -ECANCELED: it has ended. After `done`
     * the job is not touched. Must not block. Thread: any.
     */
    void (*submit)(struct sley_offload *self, struct sley_offload_job *job);
    /**
     * Required. A job that has not begun is not run: `job->done(job, -ECANCELED)`, inside this call or later. Nothing otherwise;
     * it may be ending just now, but `done` has not returned to who cancels. Must not block. Thread: who submitted it.
     */
    void (*cancel)(struct sley_offload *self, struct sley_offload_job *job);
};

/** Base of every pool for reactors' calls; outlives the reactors that it was handed to. */
struct sley_offload {
    const struct sley_offload_ops *ops;
};

/* ---- a reactor's own ways ------------------------------------------------------------------------------------------- */

/**
 * The generic way of an op: what can be tried without waiting is tried, and waits for readiness by a SLEY_IO_POLL of @p r; what
 * may block is a call on another thread, and comes back through the home's inbox. Takes the place of everything that submit_file
 * would do; also for single ops that a reactor's kernel lacks. From here on `cancel` does not come to the reactor. Thread: owner.
 */
SLEY_API void sley_file_generic(struct sley_reactor *r, struct sley_file_op *op);

enum { SLEY__FILE_NATIVE, SLEY__FILE_TRYING, SLEY__FILE_READY, SLEY__FILE_CALL }; /* op->place */

#ifndef __cplusplus

/** For who runs a reactor, when the thread that drives stops, or is about to end it. NULL: nothing. Returns: as `rest`. Thread: owner. */
SLEY_INLINE int sley_reactor_rest(struct sley_reactor *r)
{
    return r && r->ops->version >= 3 && r->ops->rest ? r->ops->rest(r) : 0;
}

/** The same at its end: what has come back is taken in first. */
SLEY_INLINE int sley__reactor_may_end(struct sley_reactor *r)
{
    int rc = sley_reactor_rest(r);
    for (int seen = 1; rc < 0 && seen > 0; rc = sley_reactor_rest(r)) {
        seen = r->ops->poll(r, 0);
    }
    return rc;
}

/**
 * For who runs a reactor, while its sched still takes posts: ends ops that go the generic way, waiting for calls that have begun,
 * and what others have in flight here. No more are taken. NULL: nothing. Returns: 0; -EBUSY: nothing has happened, for ops are in
 * flight that only another thread, which has driven before, can end: by driving, by ending it, or by its exit. Thread: owner.
 */
SLEY_INLINE int sley_reactor_end(struct sley_reactor *r)
{
    if (r && r->box.own) {
        (void)r->box.own(r); /* for good */
    }
    const int rc = r ? sley__reactor_may_end(r) : 0;
    if (rc < 0) {
        return rc;
    }
    if (r) {
        r->files.ending = true;
    }
    if (r && r->leave) {
        r->leave(r); /* nothing comes from elsewhere any more, and what has gone elsewhere is over */
        r->leave = NULL;
        r->listed = false;
    }
    if (r && r->files.end) {
        r->files.end(r);
    }
    if (r && r->lend.pool) {
        r->lend.pool->end(r);
    }
    return 0;
}

/** The same, and `ops->destroy`, in its place. What is -EBUSY stays, with all that belongs to it. NULL: nothing. Thread: owner. */
SLEY_INLINE void sley_reactor_destroy(struct sley_reactor *r)
{
    if (r && sley_reactor_end(r) == 0) {
        struct sley__lender *pool = r->lend.pool;
        r->ops->destroy(r);
        if (pool) {
            pool->release(pool);
        }
    }
}

SLEY_INLINE struct sley_file_op *sley_file_of(struct sley_io_op *op)
{
    return sley_container_of(op, struct sley_file_op, io);
}

/** The busy bit that an op takes of op->io.fd, or 0. */
SLEY_INLINE uint32_t sley__file_busy(const struct sley_file_op *op)
{
    const bool here = op->offset == SLEY_FILE_HERE;
    switch (op->io.code) {
    case SLEY_IO_READ:
    case SLEY_IO_READV:
    case SLEY_IO_READ_FIXED:
    case SLEY_IO_SPLICE:
        return here ? SLEY_FD_READING : 0;
    case SLEY_IO_WRITE:
    case SLEY_IO_WRITEV:
    case SLEY_IO_WRITE_FIXED:
        return here ? SLEY_FD_WRITING : 0;
    case SLEY_IO_SEND_ZC:
        return SLEY_FD_WRITING;
    default:
        return 0;
    }
}

/** Is it what most are, a read or write at an offset? Then many may be in flight, and its direction is nobody's. */
SLEY_INLINE bool sley__file_is_move(const struct sley_file_op *op)
{
    return op->io.code - (uint32_t)SLEY_IO_READ <= SLEY_IO_WRITE_FIXED - (uint32_t)SLEY_IO_READ && op->offset != SLEY_FILE_HERE;
}

/** The second descriptor of a SPLICE, or NULL, and the busy bit that it takes of it. */
SLEY_INLINE struct sley_fd *sley__file_to(const struct sley_file_op *op)
{
    return op->io.code == SLEY_IO_SPLICE ? op->a.to : NULL;
}
SLEY_INLINE uint32_t sley__file_busy_to(const struct sley_file_op *op)
{
    return op->b.to_offset == SLEY_FILE_HERE ? SLEY_FD_WRITING : 0;
}

/** Descriptors are held, and directions taken, from here until sley__file_release. */
SLEY_INLINE void sley__file_hold(struct sley_file_op *op)
{
    struct sley_fd *fd = op->io.fd, *to = sley__file_to(op);
    if (fd) {
        sley__fd_set(fd, (sley__fd_state(fd) | sley__file_busy(op)) + SLEY_FD_HOLD);
    }
    if (to) {
        sley__fd_set(to, (sley__fd_state(to) | sley__file_busy_to(op)) + SLEY_FD_HOLD);
    }
}

SLEY_INLINE void sley__file_release(struct sley_file_op *op)
{
    struct sley_fd *fd = op->io.fd, *to = sley__file_to(op);
    if (fd) {
        sley__fd_set(fd, (sley__fd_state(fd) & ~sley__file_busy(op)) - SLEY_FD_HOLD);
    }
    if (to) {
        sley__fd_set(to, (sley__fd_state(to) & ~sley__file_busy_to(op)) - SLEY_FD_HOLD);
    }
}

/** As sley_io_finish: the op ends inside submit_file. */
SLEY_INLINE void sley_file_finish(struct sley_file_op *op, int32_t result)
{
    if (op->io.code == SLEY_IO_SEND_ZC && op->a.sent) {
        op->a.sent(op, result);
    }
    sley_io_finish(&op->io, result);
}

/** As sley_io_arm: the op is about to wait. `cancel` comes with &op->io from now on. */
SLEY_INLINE void sley_file_arm(struct sley_reactor *r, struct sley_file_op *op)
{
    r->armed_count++;
    sley__file_hold(op);
    sley_wait_arm(&op->io.wait);
}

/** The same for sley__file_is_move. */
SLEY_INLINE void sley__file_arm_move(struct sley_reactor *r, struct sley_file_op *op)
{
    r->armed_count++;
    sley__fd_set(op->io.fd, sley__fd_state(op->io.fd) + SLEY_FD_HOLD);
    sley_wait_arm(&op->io.wait);
}

/**
 * A SEND_ZC has been taken by the kernel: its direction is free for the next, its buffer is not its owner's yet. sley_file_complete
 * follows, with the same result.
 */
SLEY_INLINE void sley_file_sent(struct sley_file_op *op, int32_t result)
{
    sley__fd_set(op->io.fd, sley__fd_state(op->io.fd) & ~(uint32_t)SLEY_FD_WRITING);
    if (op->a.sent) {
        op->a.sent(op, result);
    }
}

/** As sley_io_complete. A SEND_ZC that sley_file_sent was not called for: call it before. */
SLEY_INLINE void sley_file_complete(struct sley_reactor *r, struct sley_file_op *op, int32_t result)
{
    r->armed_count--;
    if (op->io.code == SLEY_IO_SEND_ZC) { /* its direction may be another's by now */
        sley__fd_set(op->io.fd, sley__fd_state(op->io.fd) - SLEY_FD_HOLD);
    } else {
        sley__file_release(op);
    }
    sley_io_tell(r, &op->io, sley__io_end(&op->io, result));
}

/** The same for sley__file_is_move, at a reactor that is never shared. */
SLEY_INLINE void sley__file_complete_move(struct sley_reactor *r, struct sley_file_op *op, int32_t result)
{
    r->armed_count--;
    sley__fd_set(op->io.fd, sley__fd_state(op->io.fd) - SLEY_FD_HOLD);
    sley_wait_complete(&op->io.wait, sley__io_end(&op->io, result));
}

#endif /* !__cplusplus */

SLEY_EXTERN_C_END
#endif
