/* What the files of reactor/ share: the ways of plain threads, and of workers that share tasks. */
#ifndef SLEY_REACTOR_OP_H
#define SLEY_REACTOR_OP_H

#include "served.h"

#include <sley/remote_impl.h>

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

/* home.c, remote.c: to and from homes elsewhere */
/** From now on @p r, at its first adoption, can be reached from elsewhere by posts to @p worker; until sley_reactor_end. */
void sley__home_begin(struct sley_reactor *r, struct sley_sched *worker);
void sley__home_end(struct sley_reactor *r);
SLEY_INLINE void sley__home_known(struct sley_reactor *r, struct sley_sched *worker)
{
    if (SLEY_UNLIKELY(!r->listed) && worker && !r->files.ending) {
        sley__home_begin(r, worker);
    }
}
/** It is @p fd's home no longer. Thread: as for an op on it. */
SLEY_INLINE void sley__home_lose(struct sley_reactor *r, const struct sley_fd *fd)
{
    r->fd_count -= r->fd_count > 0 && !sley_fd_is_direct(fd); /* its home closes a direct one when it ends */
}
/** Is @p home, which is only compared, not to be reached any more? Not so of one that was inherited by fork: that one is the parent's. */
bool sley__home_gone(const struct sley_reactor *home);
/** Has @p home, which has gone, taken with it what it had received from @p number? True also where that is not known any more. */
bool sley__home_has_lost(const struct sley_reactor *home, int number);
/** In the child of a fork, where none is left. */
void sley__homes_forget(void);
/** An op that has begun; @p home is only compared, and may be gone. */
void sley__remote_submit(struct sley_io_op *op, struct sley_reactor *home);
/** The same on a plain thread, waiting. The op has not begun. */
int32_t sley__remote_run(struct sley_io_op *op, struct sley_reactor *home);
/** The same for a CLOSE; false: it is to be closed here, for nothing of it is in flight, and @p home stands still or is gone. */
bool sley__remote_close(struct sley_io_op *op, struct sley_reactor *home);

/** Is it a courier's own, which has arrived with it? */
bool sley__courier_has(const struct sley_io_op *inner);
/** Is an op on @p fd, which somebody waits for, on its way to @p home? */
bool sley__remote_expected(const struct sley_fd *fd, const struct sley_reactor *home);

/**
 * Is @p s one of several workers that share tasks, but not their reactors, which lack SLEY_REACTOR_CAP_SHARED? Then a reactor, and what is
 * at home there, is for its own worker alone, in no task.
 */
bool sley__apart(const struct sley_sched *s);

/* fork.c */
/** Is @p home, which is only compared and may be gone, inherited by fork? */
bool sley__home_orphaned(const struct sley_reactor *home);

#endif
