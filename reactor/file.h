/* What the files of the generic way share: kinds of ops, their system calls, waiting, the helper thread. Private to reactor/. */
#ifndef SLEY_REACTOR_FILE_H
#define SLEY_REACTOR_FILE_H

#include <sley/file_impl.h>

extern const struct sley_wait_ops sley__file_kinds[SLEY__IO_FILE_END - SLEY_IO_READ];

/** Is it one of struct sley_file_op? */
SLEY_INLINE bool sley__file_code(uint32_t code)
{
    return code - SLEY_IO_READ < SLEY__IO_FILE_END - (uint32_t)SLEY_IO_READ;
}

/** Does it name paths alone, and no descriptor? */
SLEY_INLINE bool sley__file_is_path(const struct sley_file_op *op)
{
    switch (op->io.code) {
    case SLEY_IO_OPEN:
    case SLEY_IO_RENAME:
    case SLEY_IO_UNLINK:
    case SLEY_IO_MKDIR:
        return true;
    default:
        return op->io.code == SLEY_IO_STAT && !op->io.fd;
    }
}

/* what a descriptor's WAY says */
enum {
    SLEY__WAY_READY = 1 << 22, /* a call never waits (O_NONBLOCK), and readiness is told */
    SLEY__WAY_FILE = 2 << 22,  /* a regular file: a positional read may be tried without waiting for the disk */
    SLEY__WAY_CALL = 3 << 22,  /* every call may block; with SLEY_FD_BLOCKS: until something comes, which is told */
};

/* op->ways */
enum {
    SLEY__DO_TRY = 1,   /* is tried where it is; else it is a call on another thread */
    SLEY__DO_READY = 2, /* after -EAGAIN it waits for readiness; else for a call on another thread */
    SLEY__DO_FIRST = 4, /* waits for readiness before the first call */
};

/* file_linux.c: system calls; Thread: any */

/** The WAY of a number, perhaps with SLEY_FD_BLOCKS. */
uint32_t sley__file_way(int number);
/** Makes the call once, without waiting. Returns: its result; -EAGAIN: it would have waited. */
int32_t sley__file_try(struct sley_file_op *op);
/** Makes the call, which may wait: on a thread that may. */
int32_t sley__file_call(struct sley_file_op *op);
/** What the op waits for after -EAGAIN: returns the descriptor, and SLEY_IO_IN or OUT. */
struct sley_fd *sley__file_waits_for(const struct sley_file_op *op, uint32_t *ret_events);

/* file.c */

/** Why it cannot be done at all, or 0. */
int sley__file_check(const struct sley_file_op *op);
/** Sets op->ways by what its descriptors are, which is asked once for each. They are this thread's. */
void sley__file_choose(struct sley_file_op *op);
void sley__file_submit(struct sley_io_op *op);
/** A plain thread: makes the call itself. */
int32_t sley__file_run_thread(struct sley_io_op *op);

/* file_wait.c: with the lock of @p r, if it has one */

/** Asks an op of the generic way to end. */
void sley__file_ask(struct sley_reactor *r, struct sley_file_op *op);
/** Is any op of @p r that goes the generic way on @p fd? */
bool sley__file_used(const struct sley_reactor *r, const struct sley_fd *fd);
/** The next op of the generic way that is yet to be asked to end: one on @p fd; NULL: on any. Returns: NULL when all have been. */
struct sley_file_op *sley__file_unasked(const struct sley_reactor *r, const struct sley_fd *fd);

/* file_close.c: with the lock of @p r, if it has one */

/** A close of a descriptor on which ops have gone the generic way; it says CLOSING. In place of ops->submit. */
void sley__file_close(struct sley_reactor *r, struct sley_io_op *op);
/** Hands closes on whose descriptors no op is left to the reactor, one at a time. For when an op has ended. */
void sley__file_close_next(struct sley_reactor *r);
/** An op on @p fd (which may be NULL) has ended: if it was the last one, and a close that nobody waits for was asked for, closes it now. */
void sley__file_close_unheard(struct sley_reactor *r, struct sley_fd *fd);

/* helper.c */

/** Who makes the calls of @p r. NULL: no memory for a helper. */
struct sley_offload *sley__file_offload(struct sley_reactor *r);
/** Ends the helper, if there is one. No job is left. Thread: owner. */
void sley__helper_end(struct sley_reactor *r);

#endif
