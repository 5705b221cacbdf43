/* What the files of reactor/ share: the way of a plain thread. */
#ifndef SLEY_REACTOR_OP_H
#define SLEY_REACTOR_OP_H

#include <sley/reactor_impl.h>

/** Closes a descriptor on which nothing is in flight, without its home. */
void sley__fd_close_idle(struct sley_fd *fd);
/** sley_io_run for a thread that belongs to no runtime. */
int sley__io_run_thread(struct sley_io_op *op);

#endif
