/* What the files of reactor/ share: the ways of plain threads, and of workers that share tasks. */
#ifndef SLEY_REACTOR_OP_H
#define SLEY_REACTOR_OP_H

#include <sley/reactor_impl.h>

/** Closes a descriptor on which nothing is in flight, without its home. */
void sley__fd_close_idle(struct sley_fd *fd);
/* shared.c: for workers that share their tasks */
void sley__shared_submit(struct sley_sched *s, struct sley_io_op *op);
/** Closes a descriptor that is at home in the group, or has no home yet; false: elsewhere, and nothing has happened. */
bool sley__shared_close(struct sley_sched *s, struct sley_io_op *op);

/** sley_io_run for a thread that belongs to no runtime. */
int sley__io_run_thread(struct sley_io_op *op);
/** Waits until @p number is ready for @p events. Returns: 0: look again; -ECANCELED: a deadline of the thread has passed. */
int sley__thread_wait_ready(int number, short events);

/* fork.c */
/** Is @p home, which is only compared and may be gone, inherited by fork? */
bool sley__home_orphaned(const struct sley_reactor *home);
/** Why nothing can be done here on a descriptor whose home is elsewhere. */
SLEY_INLINE int sley__home_error(const struct sley_reactor *home)
{
    return sley__home_orphaned(home) ? -EOWNERDEAD : -EXDEV;
}

#endif
