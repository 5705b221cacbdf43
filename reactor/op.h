/* What the files of reactor/ share: the state word's accessors, and the way of a plain thread. */
#ifndef SLEY_REACTOR_OP_H
#define SLEY_REACTOR_OP_H

#include <sley/reactor_impl.h>

/** The busy bit of each op; ops without one may be in flight many at a time. */
extern const uint32_t sley__io_busy[SLEY_IO_CLOSE + 1];

SLEY_INLINE uint32_t sley__fd_state(const struct sley_fd *fd)
{
    /* relaxed: the home thread reads its own word; a handle that travels is handed over by its owner */
    return atomic_load_explicit(&fd->state, memory_order_relaxed);
}

SLEY_INLINE void sley__fd_set(struct sley_fd *fd, uint32_t state)
{
    /* relaxed: the home thread writes its own word */
    atomic_store_explicit(&fd->state, state, memory_order_relaxed);
}

/** The caller's last look at an op: what the layer above makes of the result. */
SLEY_INLINE int32_t sley__io_end(struct sley_io_op *op, int32_t result)
{
    return op->end ? op->end(op, result) : result;
}

/** Closes a descriptor on which nothing is in flight, without its home. */
void sley__fd_close_idle(struct sley_fd *fd);
/** sley_io_run for a thread that belongs to no runtime. */
int sley__io_run_thread(struct sley_io_op *op);

#endif
