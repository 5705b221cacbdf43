/* For implementers of reactors, and for io/ which submits: the table, the op's way through it, the rules of a descriptor's state. */
#ifndef SLEY_REACTOR_IMPL_H
#define SLEY_REACTOR_IMPL_H

#include <sley/file_ops.h>
#include <sley/lend.h>
#include <sley/served_impl.h>

SLEY_EXTERN_C_BEGIN

enum { SLEY_REACTOR_VERSION = 3 };
enum {
    SLEY_REACTOR_CAP_READINESS = 1, /**< tries first, waits for readiness: a transfer happens in submit or poll, in user time */
    /**
     * Several workers may share it: see struct sley_reactor. With `shared` set, adopt, submit and cancel are called by any of
     * them under its lock; poll and serve take the lock themselves, poll never while it waits; `poll` and `destroy` are the owner's.
     */
    SLEY_REACTOR_CAP_SHARED = 2,
};

/** What a reactor implements. Instances are static const; validated once, when an executor starts. */
struct sley_reactor_ops {
    uint32_t version; /**< SLEY_REACTOR_VERSION */
    uint32_t caps;    /**< SLEY_REACTOR_CAP_* */
    const char *name;
    /**
     * Optional (absent: 0). A descriptor comes home: forget what was known about its number, which may have been closed and
     * reused without this reactor's knowledge. Returns: 0; -EEXIST when ops of another sley_fd are armed on the number, or when it is at
     * home here already (a move), and something that has come ahead would be lost; -ENOMEM.
     * A reactor of readiness may open the short ways here: it sets fd->slot and clears SLEY_FD_FAR (not when it is shared). Thread: owner.
     */
    int (*adopt)(struct sley_reactor *self, struct sley_fd *fd);
    /**
     * Required. Does the op or arms it. It has begun (sley_wait_begin) and is admitted; the reactor either finishes it here
     * (sley_io_finish) or arms it (sley_io_arm) and completes it later (sley_io_complete), each once. SLEY_IO_CLOSE: the
     * descriptor says CLOSING; cancel what is armed, and close(2) when nothing holds it any more. With SLEY_IO_UNHEARD the op is
     * finished here in any case, and the descriptor's memory not touched once this has returned.
     * Must not block. Thread: owner. Must not run tasks.
     */
    void (*submit)(struct sley_reactor *self, struct sley_io_op *op);
    /** Required. Asks an armed op to end: it completes with -ECANCELED, its true result, or later. Thread: owner. */
    void (*cancel)(struct sley_reactor *self, struct sley_io_op *op);
    /**
     * Required. Waits for at most @p timeout_ns (0: only looks; SLEY_NEVER: for good) and completes ops; ends whatever hooks start.
     * Returns: above 0: it has completed some; 0: nothing was there; a negative errno: it could not wait (never -EINTR). Thread: owner.
     */
    int (*poll)(struct sley_reactor *self, uint64_t timeout_ns);
    /** Required. Makes the current or next poll return at once. Coalesces. Thread: any, signal. Must not block. */
    void (*wake)(struct sley_reactor *self);
    /** Optional (-ENOTSUP): a descriptor that is readable when poll has something to do, for foreign loops. Thread: any. */
    int (*pollable_fd)(struct sley_reactor *self);
    /** Required. Cancels what is armed, drains, releases everything, itself too. Thread: owner. */
    void (*destroy)(struct sley_reactor *self);
    /**
     * Required of those that clear SLEY_FD_FAR. Goes on with a SEND that has begun and is admitted, and whose first system call
     * has said @p n (or a negative errno): it has not gone out whole. Else as submit.
     */
    void (*send_on)(struct sley_reactor *self, struct sley_io_op *op, int32_t n);
    /**
     * Required with CAP_SHARED; else optional, see <sley/served_impl.h>. In place of an owner that is in a task for long: completes what is
     * ready, without waiting; nothing while he waits in poll. A wake stays his. Returns: as poll. Thread: any worker that shares it. */
    int (*serve)(struct sley_reactor *self);
    /* since version 2 */
    /**
     * Optional (absent: sley_file_generic, which may be called for single ops, too). As submit, for ops of struct sley_file_op; ends
     * by sley_file_finish, or sley_file_arm and sley_file_complete (<sley/file_impl.h>). `cancel` comes with &op->io. Thread: owner.
     */
    void (*submit_file)(struct sley_reactor *self, struct sley_file_op *op);
    /** Optional. Registers memory: sets f->index. Returns: 0; a negative errno: it stays unregistered. Thread: owner. */
    int (*fixed_add)(struct sley_reactor *self, struct sley_fixed *f);
    void (*fixed_remove)(struct sley_reactor *self, struct sley_fixed *f);
    /** Optional (-ENOTSUP). A number, close-on-exec, for a direct descriptor; the caller closes it. Thread: owner. */
    int (*lend_number)(struct sley_reactor *self, const struct sley_fd *fd);
    /** Optional (""). What sley_runtime_describe says beside the name: "without poll_first". Returns: its length. Thread: any. */
    int (*describe)(struct sley_reactor *self, char *ret_text, size_t bytes);
    /* since version 3 */
    /**
     * Required of those that set SLEY_FD_AHEAD. Receives of what has come ahead; @p fd has no receive in flight. Returns: bytes; the error
     * that it is; -EAGAIN: nothing has, and what comes comes there; -EINPROGRESS: nothing does, the system is to be asked. Thread: owner.
     */
    int32_t (*take_ahead)(struct sley_reactor *self, struct sley_fd *fd, void *buf, size_t len);
    /**
     * Optional (absent: 0). The thread that drives stops, or is about to end the reactor: lets go of what is kept for nobody, so that
     * another may follow. Completes no op. Returns: 0; -EBUSY: ops are in flight that another thread alone can end. Thread: owner.
     */
    int (*rest)(struct sley_reactor *self);
};

/**
 * Base of every reactor; an implementation embeds it. One that several workers share has `shared` set: then all that concerns it,
 * and the state of descriptors that are at home in it, is changed under its lock, and ops that end under the lock are told to
 * their waiters when it is free again: no hook runs with a reactor's lock held, and no thread holds two.
 */
struct sley_reactor {
    const struct sley_reactor_ops *ops;
    struct sley_sched *sched;         /* whose ops these are; set by the executor before the first op. NULL when shared */
    bool more;                        /* poll has something left that it knows of: it will not wait (for foreign loops) */
    bool shared;                      /* set by the executor before the first op, if caps have SLEY_REACTOR_CAP_SHARED */
    bool waiting;                     /* shared: the owner is in poll without the lock; kept by the implementation, under the lock */
    bool hosted;                      /* others are in its loop: who drives it polls although nothing is armed */
    bool near;                        /* private; shared: its descriptors have short ways, for it has given one a slot */
    uint32_t armed_count;             /* ops that wait: while 0, nobody needs to look (kept by sley_io_arm and _complete) */
    SLEY_ATOMIC(uint32_t) armed_seen; /* private, as what follows; of a shared one: armed_count when lock or box was last free */
    SLEY_ATOMIC(uint32_t) lock;
    SLEY_ATOMIC(const void *) holder; /* of the lock, which is recursive */
    uint32_t depth, index;            /* of the recursion; of the owner in its group */
    struct sley_io_op *ended, *last;  /* ops that have ended under the lock, oldest first, through `next`; results in the nodes */
    struct sley_reactor *orphan;      /* of the child of a fork: what it has inherited */
    struct sley_offload *offload;     /* of all: who makes calls that block; set before the first op; NULL: a helper thread does */
    struct sley__files files;
    void (*leave)(struct sley_reactor *r); /* of one with ops from or at other executors: before its end, see home.c */
    bool listed;                           /* it can be reached from elsewhere */
    uint32_t fd_count;                     /* descriptors that are at home here, about: some are forgotten, or closed elsewhere */
    struct sley__box box;                  /* of one that is served without being shared */
    struct sley__lend lend;
};

struct sley_reactor_opts {
    struct sley_alloc *alloc; /**< outlives the reactor */
    char *ret_error;          /**< where a sentence about a failure goes; may be NULL */
    size_t error_bytes;
    void *loop; /**< of a kind that can live in an application's event loop (<sley/attach.h>): that loop. NULL: by itself */
};

/** A kind of reactor: an executor makes one per worker. Instances are static const. */
struct sley_reactor_factory {
    uint32_t version; /**< SLEY_REACTOR_VERSION */
    const char *name; /**< as in SLEY_REACTOR: "epoll", "poll", ... */
    /** Makes one, by sley_reactor_alloc. Returns: 0; -ENOTSUP where the kernel lacks it; -EMFILE; -ENOMEM. Thread: the future owner. */
    int (*create)(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor);
};

/**
 * For executors, in the child of a fork: from now on @p r says -EOWNERDEAD to everything but a close, which closes the child's copy
 * of the number, and touches nothing that it shares with the parent. Its memory must stay. Thread: the only one.
 */
SLEY_API void sley_reactor_orphan(struct sley_reactor *r);

/**
 * For factories: zeroed memory of @p bytes, aligned to 64, for a reactor, whose place is none where one has been that descriptors have
 * outlived not long ago: they name it still, and are to be told -ENODEV. NULL: no memory. Owns: the caller, by sley_alloc_put.
 */
SLEY_API void *sley_reactor_alloc(struct sley_alloc *a, size_t bytes);

/** For `destroy`: what @p r had received from @p number before anybody wanted it goes with it. A move then is -ENODEV. */
SLEY_API void sley__home_lost(const struct sley_reactor *r, int number);

/** Is the table complete? Returns: 0; -EINVAL. */
SLEY_API int sley_reactor_check(const struct sley_reactor_ops *ops);

/* ---- the state word of a descriptor -----------------------------------------------------------------------------
 *   bits 0-15  armed ops that hold it (and tries on plain threads); close gives the number back only when this is 0
 *   bit 16     READING: a stream op of the read side is in flight; a second is -EBUSY
 *   bit 17     WRITING: the same for the write side
 *   bit 18     CLOSING: no op may start any more (-EBADF)
 *   bit 19     STREAM: bytes without boundaries (TCP); set before the first op by who has made the descriptor
 *   bit 20     FAR: its home, if it has one, is to be asked about every op; else there are the short ways, see <sley/near_impl.h>
 *   bit 21     KNOWN: its home, which is shared, has adopted it
 *   bits 22-23 WAY: how ops of struct sley_file_op are done the generic way; 0: not known yet. A close looks for such ops then
 *   bits 24-29 SENDING: sends that are tried outside the lock of a home that is shared; close waits until this is 0
 *   bit 30     BLOCKS: a call on it may wait for ever, so that it has to wait for readiness first
 *   bit 31     AHEAD: its home has asked for what comes before anybody wants it, and may have some of it
 * The home thread's alone, or changed under the lock of a home that is shared; plain threads, which use a descriptor without a
 * home, change it by atomic read-modify-write. */
enum {
    SLEY_FD_HOLD = 1,
    SLEY_FD_HOLD_MASK = 0xffff,
    SLEY_FD_READING = 1 << 16,
    SLEY_FD_WRITING = 1 << 17,
    SLEY_FD_CLOSING = 1 << 18,
    SLEY_FD_STREAM = 1 << 19,
    SLEY_FD_FAR = 1 << 20,
    SLEY_FD_KNOWN = 1 << 21,
    SLEY_FD_SENDING = 1 << 24,
    SLEY_FD_SENDING_MASK = 0x3f << 24,
    SLEY_FD_WAY_MASK = 3 << 22,
    SLEY_FD_BLOCKS = 1 << 30,
};
#define SLEY_FD_AHEAD (1U << 31)

enum { SLEY_IO_UNHEARD = 0x80 }; /* in op->flags of a CLOSE: nobody waits, and the op is gone when submit returns */

enum {
    SLEY_IO_SHARE_BYTES = 1 << 20,   /**< what one try of an ALL op moves at most: others want their turn */
    SLEY_IO_CALL_BYTES = 0x7ffff000, /**< what one call moves at most, as in Linux: every count fits a result */
};

/**
 * Says that a short receive from the descriptor means that there is no more: true of TCP; not of datagrams, nor of Unix sockets
 * (a receive ends where descriptors are attached). Saves a readiness reactor one system call per message. After sley_fd_init.
 */
SLEY_API void sley_fd_set_stream(struct sley_fd *fd);

/**
 * The whole way in: begins the node, adopts the descriptor if it has no home yet, looks whether its direction is free, submits.
 * @p op has fd, buf, len, code, flags and `end` set by the caller (and nothing armed); done_bytes is zeroed here. `op->end`, when
 * not NULL, is called once, before the node's waiter is told, on the home thread (or under the lock of a home that is shared),
 * whatever the outcome: it fills outputs and returns the node's result; it must not start ops, and completes others by sley_io_tell.
 * Failures are the node's result: -ECANCELED, -EINVAL (no such code), -EBADF, -EBUSY (the direction is taken; or 65,535 ops hold the
 * descriptor), -ENOTSUP (no reactor: a plain thread, or an executor without one), and what `adopt` returns. Where the home is a reactor
 * of another executor the op is done by that one, which has to be driven by somebody: all of the above, `end` included, happens there;
 * an op that never gets there ends here: -ENODEV (the home has gone, or is ending), -EOWNERDEAD, -ENOMEM, -ECANCELED, and `end` must
 * not touch what is the home's then (sley_fd_away).
 */
SLEY_API void sley_io_submit(struct sley_io_op *op);
/** The same, waiting: in a fiber, or on a plain thread, which then waits in poll(2) for a descriptor without a home. */
SLEY_API int sley_io_run(struct sley_io_op *op);

/**
 * The system call of an op, without waiting; not for CLOSE. Returns: its result; -EAGAIN: to be tried again when the descriptor
 * is ready (an ALL op has moved some bytes, perhaps); -EINPROGRESS: an ALL op has had its share and may be tried again at once;
 * another negative errno. EINTR is retried. Thread: any.
 */
SLEY_API int32_t sley_io_try(struct sley_io_op *op);
/** The same for a RECV or SEND whose first call has been made, with the result @p n (or a negative errno). */
SLEY_API int32_t sley_io_try_on(struct sley_io_op *op, int32_t n);

/**
 * Receives, or sends (@p code is SLEY_IO_RECV or _SEND), what goes at once: without a node, and without waiting. Returns: as a RECV or
 * SEND; -EAGAIN; -EXDEV: at home elsewhere, or where all is done in no task; of a direct descriptor what sley_fd_borrow says. Thread: any.
 */
SLEY_API int32_t sley_io_now(struct sley_fd *fd, uint32_t code, void *buf, size_t len);

#ifndef __cplusplus

/* ---- the reactor's side; inline, for an op that had to wait passes here twice ------------------------------------- */

/** The busy bit of an op's kind, or 0: any number of them at a time. */
SLEY_INLINE uint32_t sley__io_busy(const struct sley_io_op *op)
{
    static const uint32_t busy[SLEY_IO_CLOSE + 1] = {
        [SLEY_IO_CONNECT] = SLEY_FD_WRITING, [SLEY_IO_RECV] = SLEY_FD_READING,    [SLEY_IO_SEND] = SLEY_FD_WRITING,
        [SLEY_IO_RECVMSG] = SLEY_FD_READING, [SLEY_IO_SENDMSG] = SLEY_FD_WRITING,
    };
    return busy[op->code];
}

SLEY_INLINE struct sley_reactor *sley__fd_home(const struct sley_fd *fd)
{
    /* relaxed: as its state; workers that share tasks compare it, and what is behind it is under its lock */
    return atomic_load_explicit(&fd->home, memory_order_relaxed);
}

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

/** A direct descriptor is at home where it has come from: for who describes one by its number. */
SLEY_INLINE void sley__fd_bring_home(struct sley_fd *fd, struct sley_reactor *home)
{
    if (SLEY_UNLIKELY(sley_fd_is_direct(fd))) {
        /* relaxed: the home thread writes its own word */
        atomic_store_explicit(&fd->home, home, memory_order_relaxed);
        sley__fd_set(fd, sley__fd_state(fd) | SLEY_FD_KNOWN); /* never adopted: it is known from its start on */
    }
}

/* ---- the lock of a reactor that is shared; nothing at home ---------------------------------------------------------- */

SLEY_API void sley__reactor_enter(struct sley_reactor *r);
SLEY_API void sley__reactor_leave(struct sley_reactor *r);
SLEY_API void sley__reactor_tell(struct sley_reactor *r, struct sley_io_op *op, int32_t result);
SLEY_API struct sley_reactor *sley__fd_enter(struct sley_sched *s, struct sley_fd *fd);
SLEY_API struct sley_reactor *sley__io_enter(struct sley_sched *s, const struct sley_io_op *op);

/** Takes the lock, again perhaps. Thread: a worker that shares @p r. */
SLEY_INLINE void sley_reactor_enter(struct sley_reactor *r)
{
    if (SLEY_UNLIKELY(r->shared)) {
        sley__reactor_enter(r);
    }
}

/** Gives it back; the outermost call then tells waiters, which may run hooks. @p r may be NULL: nothing. */
SLEY_INLINE void sley_reactor_leave(struct sley_reactor *r)
{
    if (SLEY_UNLIKELY(r != NULL) && r->shared) {
        sley__reactor_leave(r);
    }
}

/** Does anything wait? At least as the lock's last holder has left it. Thread: owner. */
SLEY_INLINE bool sley_reactor_armed(const struct sley_reactor *r)
{
    /* relaxed: about; who arms an op while the owner waits needs no look, and one that misses it looks again soon */
    return (r->shared ? atomic_load_explicit(&r->armed_seen, memory_order_relaxed) : r->armed_count) != 0;
}

/**
 * Takes the lock of @p fd's home, so that the descriptor, and what io/ keeps beside it, is this thread's. A descriptor without a
 * home gets one. Returns: the home, for sley_reactor_leave; NULL: there is nothing to lock, for the executor has one worker, or no
 * reactor, or the home is elsewhere. Thread: any.
 */
SLEY_INLINE struct sley_reactor *sley_fd_enter(struct sley_fd *fd)
{
    struct sley_sched *s = sley__self;
    return SLEY_LIKELY(!s || !s->group) ? NULL : sley__fd_enter(s, fd);
}

/**
 * For a kind of node that waits at a descriptor in other ways than by an op of the reactor: notes its home, entered before, which
 * may be NULL. Then a cancel finds it by sley_io_enter, which needs nothing of the descriptor: it may be closed, and gone.
 */
SLEY_INLINE void sley_io_mark(struct sley_io_op *op, const struct sley_reactor *r)
{
    op->stage = 0;
    if (SLEY_UNLIKELY(r != NULL)) {
        op->wait.flags |= (r->index + 1) << 16;
    }
}

/** Takes the lock under which a marked op ends. Returns: as sley_fd_enter. */
SLEY_INLINE struct sley_reactor *sley_io_enter(const struct sley_io_op *op)
{
    struct sley_sched *s = sley__self;
    return SLEY_LIKELY(!s || !s->group) ? NULL : sley__io_enter(s, op);
}

enum { SLEY__IO_ENDED = 0x80 }; /* in op->stage */

/** Has a marked op ended, so that its waiter is being told? Touch nothing but the op then. Under the lock. */
SLEY_INLINE bool sley_io_ended(const struct sley_io_op *op)
{
    return op->stage & SLEY__IO_ENDED;
}

/** Completes a marked node: at once, or when the lock of @p r (NULL: none) is free. */
SLEY_INLINE void sley_io_tell(struct sley_reactor *r, struct sley_io_op *op, int32_t result)
{
    if (SLEY_UNLIKELY(r != NULL) && r->shared) {
        sley__reactor_tell(r, op, result);
    } else {
        sley_wait_complete(&op->wait, result);
    }
}

#endif /* !__cplusplus */

SLEY_EXTERN_C_END

#include <sley/ways_impl.h>
#endif
