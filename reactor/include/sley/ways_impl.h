/* How an op begins to wait and how it ends: the last part of <sley/reactor_impl.h>, which includes it. */
#ifndef SLEY_WAYS_IMPL_H
#define SLEY_WAYS_IMPL_H

#include <sley/reactor_impl.h>

SLEY_EXTERN_C_BEGIN

#ifndef __cplusplus

/* ---- ways out ------------------------------------------------------------------------------------------------------- */

/** The layer above's last word. */
SLEY_INLINE int32_t sley__io_end(struct sley_io_op *op, int32_t result)
{
    return op->end ? op->end(op, result) : result;
}

/** The op ends inside submit. */
SLEY_INLINE void sley_io_finish(struct sley_io_op *op, int32_t result)
{
    if (SLEY_UNLIKELY(op->flags & SLEY_IO_LEND)) {
        sley__lend_finish(op, result);
    } else {
        sley_wait_finish(&op->wait, sley__io_end(op, result));
    }
}

/** The op is about to wait: it holds its descriptor and takes its direction. */
SLEY_INLINE void sley_io_arm(struct sley_reactor *r, struct sley_io_op *op)
{
    if (SLEY_UNLIKELY(op->flags & SLEY_IO_LEND)) {
        sley__lend_arm(r, op);
        return;
    }
    r->armed_count++;
    sley__fd_set(op->fd, (sley__fd_state(op->fd) | sley__io_busy(op)) + SLEY_FD_HOLD);
    sley_wait_arm(&op->wait);
}

/** An armed op ends. The op may be gone afterwards. Thread: owner; or under the lock. */
SLEY_INLINE void sley_io_complete(struct sley_reactor *r, struct sley_io_op *op, int32_t result)
{
    if (SLEY_UNLIKELY(op->flags & SLEY_IO_LEND)) {
        sley__lend_complete(r, op, result);
        return;
    }
    r->armed_count--;
    sley__fd_set(op->fd, (sley__fd_state(op->fd) & ~sley__io_busy(op)) - SLEY_FD_HOLD);
    result = sley__io_end(op, result);
    if (SLEY_UNLIKELY(r->shared)) {
        sley__reactor_tell(r, op, result);
    } else {
        sley_wait_complete(&op->wait, result);
    }
}

#endif /* !__cplusplus */

SLEY_EXTERN_C_END
#endif
