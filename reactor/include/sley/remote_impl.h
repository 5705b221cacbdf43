/* For io/, which keeps things beside a descriptor: is it at home elsewhere, and how is something done there? Ops travel by themselves. */
#ifndef SLEY_REMOTE_IMPL_H
#define SLEY_REMOTE_IMPL_H

#include <sley/file_ops.h>
#include <sley/reactor_impl.h>

SLEY_EXTERN_C_BEGIN

#ifndef __cplusplus

SLEY_API bool sley__fd_away(const struct sley_sched *s, struct sley_fd *fd);

/**
 * Is @p fd at home elsewhere: in a reactor that is none of this executor's workers', and may be gone? Then its state, and what io/ keeps
 * beside it, may not be touched here: sley_io_submit sees to that by itself, and the rest is to be done by sley_io_call_home. The same
 * where several workers share tasks, and each has a reactor for itself: whatever a task starts may be cancelled by it on another worker,
 * so that all of it is done at home in no task. There a descriptor without a home gets one by this.
 */
SLEY_INLINE bool sley_fd_away(struct sley_fd *fd)
{
    const struct sley_sched *s = sley__self;
    const struct sley_reactor *home = sley__fd_home(fd);
    return SLEY_UNLIKELY(s ? s->group || (home && home != s->reactor) : home != NULL) && sley__fd_away(s, fd);
}

/** For @p fd that is away: is nothing in flight on it, and its home gone, or driven by nobody just now? */
SLEY_API bool sley_fd_rests(const struct sley_fd *fd);
/**
 * For @p fd that is away: has @p start called by its home's worker with an op of that `fd`, of `buf`, `object` and `code` as @p like
 * has them, and else zeroed, that is to be begun and ended there. @p op, which has begun, waits for that one, and a cancel goes on
 * to it; NULL: nobody waits. Returns: 0; -ENODEV: the home has gone; -EOWNERDEAD; -ENOMEM: then nothing has happened to @p op either.
 */
SLEY_API int sley_io_call_home(struct sley_io_op *op, struct sley_fd *fd, const struct sley_io_op *like,
                               void (*start)(struct sley_io_op *inner));

SLEY_API struct sley_reactor *sley__inside_of(const struct sley_sched *s);

/** Where workers share tasks, and each has a reactor for itself: the one inside which this thread is, in no task; else NULL. */
SLEY_INLINE struct sley_reactor *sley_reactor_inside(void)
{
    const struct sley_sched *s = sley__self;
    return SLEY_LIKELY(!s || !s->group) ? NULL : sley__inside_of(s);
}

/**
 * For @p fd that is away, and whose memory nobody may keep: where nothing is in flight on it, nor on its way to its home, it is closed for
 * everybody else by this, and what it was is @p ret_fd. Returns: 0; -EBUSY: something is; -EBADF: it is closed.
 */
SLEY_API int sley_fd_take(struct sley_fd *fd, struct sley_fd *ret_fd);

#endif /* !__cplusplus */

SLEY_EXTERN_C_END
#endif
