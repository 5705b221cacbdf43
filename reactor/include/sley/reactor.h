/* Who waits for the outside world: operations on descriptors. For users of io/ and of foreign descriptors; backends: reactor_impl.h. */
#ifndef SLEY_REACTOR_H
#define SLEY_REACTOR_H

#include <sley/scope.h>

SLEY_EXTERN_C_BEGIN

struct sley_reactor;
struct sley__slot;

/**
 * A descriptor with a home: the reactor of the worker where the first op on it ran. Ops on it may be started, cancelled and closed
 * from anywhere in the process: by workers that share their tasks as by its home; by other executors and plain threads, too, but then
 * each takes memory (-ENOMEM), travels to the home and back, and goes on only while the home is driven by somebody: cancelling it
 * asks there, too. sley_fd_move gives it to another home. May be copied to a new place while nothing
 * is in flight on it (the old copy is dead). A descriptor has one sley_fd at a time: two with ops in flight are -EEXIST. Once
 * its home has been destroyed it can be closed or moved, and ops on it are -ENODEV; in the child of a fork it can be closed (other
 * ops: -EOWNERDEAD), and the number may be given to a sley_fd of the child's own. Fields are private but for `number`.
 *
 * A *direct* descriptor has no number in the process: it stands in a table of its home's, which the process's limit does not count.
 * It comes from an op with SLEY_IO_DIRECT, is at home there from its start, and only ops of its home know it: what a reactor cannot
 * do with it is -ENOTSUP, its `number`, from SLEY_FD_DIRECT_FIRST on, is -EBADF for the system. It cannot be moved; its home
 * closes it when it ends.
 */
struct sley_fd {
    int number; /**< -1: none */
    SLEY_ATOMIC(uint32_t) state;
    SLEY_ATOMIC(struct sley_reactor *) home;
    struct sley__slot *slot; /* what its home knows of it */
};

/** What an op does. Contract: completion; it is done when it has been done. */
enum sley_io_code {
    SLEY_IO_ACCEPT = 1, /**< result: 0, the connection's number in op->out_number (non-blocking, close-on-exec) */
    SLEY_IO_CONNECT,    /**< to op->buf (a sockaddr of op->len bytes): 0. -ENOBUFS: a Unix listener's queue is full */
    SLEY_IO_RECV,       /**< bytes, 0 = end */
    SLEY_IO_SEND,       /**< bytes; never raises SIGPIPE */
    SLEY_IO_RECVMSG,    /**< op->buf is a struct msghdr; descriptors received are close-on-exec */
    SLEY_IO_SENDMSG,    /**< op->buf is a struct msghdr; never raises SIGPIPE */
    SLEY_IO_POLL,       /**< op->len is a set of SLEY_IO_IN and so on; result: the set that is ready. Many at a time */
    SLEY_IO_CLOSE,      /**< completes what is pending with -ECANCELED, then gives the number back. Never cancelled */
    /* ops of struct sley_file_op, see <sley/file_ops.h> */
    SLEY_IO_READ,
    SLEY_IO_WRITE,
    SLEY_IO_READV,
    SLEY_IO_WRITEV,
    SLEY_IO_READ_FIXED,
    SLEY_IO_WRITE_FIXED,
    SLEY_IO_SEND_ZC,
    SLEY_IO_OPEN,
    SLEY_IO_FSYNC,
    SLEY_IO_FDATASYNC,
    SLEY_IO_STAT,
    SLEY_IO_FALLOCATE,
    SLEY_IO_SPLICE,
    SLEY_IO_RENAME,
    SLEY_IO_UNLINK,
    SLEY_IO_MKDIR,
    SLEY_IO_SHUTDOWN,
    SLEY_IO_CHILD,
    SLEY__IO_FILE_END, /* private: one more than the last of them */
};
#define SLEY_FD_DIRECT_FIRST (1 << 30)                                       /* the kernel gives no such numbers to processes */
enum { SLEY_IO_IN = 1, SLEY_IO_OUT = 4, SLEY_IO_ERR = 8, SLEY_IO_HUP = 16 }; /* the values of POLLIN and so on */

enum {
    /**
     * RECV, SEND: go on until op->len bytes have moved: 0, -ENODATA at an end within, or the error that stopped it. How many
     * have moved is in op->done_bytes whatever the result; -ECANCELED, too, may come with a count above 0.
     */
    SLEY_IO_ALL = 1,
    /**
     * ACCEPT, OPEN: what comes is direct, where the reactor has a table for that; op->out_number says (sley_fd_init_from). A full
     * one: -ENFILE, and no connection is lost. Of an opened path only regular files are of use there. A listener may be asked now with
     * this, now without: what came before it was asked for may be plain nevertheless, and is never direct without this.
     */
    SLEY_IO_DIRECT = 2,
    SLEY_IO_PEEK = 4,  /**< RECVMSG: what it gives stays there for the next receive; nothing but bytes is to be attached */
    SLEY_IO_LEND = 32, /**< RECV: into a buffer that the home lends; see <sley/lend.h> */
};

/**
 * An operation in progress: one node for every op of every reactor. Zeroed before its first start. The reactor's from start
 * until it is done, and so is every buffer it names.
 */
struct sley_io_op {
    struct sley_wait wait;
    struct sley_fd *fd;
    void *buf;
    size_t len;
    size_t done_bytes; /**< ALL: bytes moved so far, valid at any end */
    /* private */
    size_t *ret_done;                                      /* where the layer above wants the count */
    void *object;                                          /* the layer above's: a stream, a listener */
    struct sley_io_op *next;                               /* the reactor's */
    int32_t (*end)(struct sley_io_op *op, int32_t result); /* the layer above's last word; see reactor_impl.h */
    int out_number;
    uint8_t code;  /* enum sley_io_code */
    uint8_t flags; /* SLEY_IO_ALL and so on */
    uint8_t stage; /* 0 at submit; sley_io_try's: a connect is under way */
    uint8_t kind;  /* the layer above's */
};
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley_io_op) <= 112, "an op fits beside a small buffer in a frame");
#endif

/**
 * Describes an open, non-blocking descriptor; it becomes the sley_fd's. To only wait for a descriptor that belongs to somebody
 * else, never close the sley_fd: forgetting it when nothing is in flight is enough. Thread: any.
 */
SLEY_API void sley_fd_init(struct sley_fd *fd, int number);

/** Describes what @p op, a finished ACCEPT or OPEN, has brought, direct or not. Thread: any; of a direct one home. */
SLEY_API void sley_fd_init_from(struct sley_fd *fd, const struct sley_io_op *op);

SLEY_INLINE bool sley_fd_is_direct(const struct sley_fd *fd)
{
    return fd->number >= SLEY_FD_DIRECT_FIRST;
}

/**
 * A number for a call of the system's, to be given back right after it: the descriptor's own; of a direct one a number that is made for it.
 * Returns: the number; -EBADF; -EOWNERDEAD: inherited by fork; of a direct one -EXDEV away from home, -ENOTSUP (before Linux 6.8),
 * -EMFILE, -EAGAIN (the ring is full at the moment). Thread: any; of a direct one home. Cost: of a direct one two system calls.
 */
SLEY_API int sley_fd_borrow(const struct sley_fd *fd);
SLEY_API void sley_fd_give_back(const struct sley_fd *fd, int number);

/**
 * Waits until the descriptor (a socket, pipe, eventfd, timerfd, inotify, pidfd, ...; not a regular file) is ready for one of
 * @p events. Many tasks may wait at once. Returns: the set that is ready (> 0; ERR and HUP may be there unasked); -EBADF when it is
 * closed; -EPERM for files and directories; -EEXIST while another sley_fd of the same number has ops in flight; -ENODEV when its
 * home has gone; -ENOMEM, -ENOSPC (fs.epoll.max_user_watches) when it cannot be watched; -ECANCELED: nothing stays armed then.
 * Thread: as sley_await.
 */
SLEY_API int sley_fd_poll(struct sley_fd *fd, uint32_t events);
SLEY_API void sley_fd_poll_start(struct sley_io_op *op, struct sley_fd *fd, uint32_t events);
/**
 * Completes what is pending on it with -ECANCELED, then closes. Twice is fine. Never cancelled. Returns: 0; -EXDEV when plain threads
 * are in calls on it, which has no home; where its home is elsewhere also -ENOMEM, and -ENODEV when that is just ending: nothing has
 * happened then. Thread: any. A home that nobody drives is not asked when nothing is in flight.
 */
SLEY_API int sley_fd_close(struct sley_fd *fd);
SLEY_API void sley_fd_close_start(struct sley_io_op *op, struct sley_fd *fd);

/**
 * Takes it out of its home, where nothing may be in flight on it: the worker where its next op is started is its home from then on.
 * A connection that was accepted and has not been used needs no move. Returns: 0, also when it has no home, or one that is gone;
 * -EBUSY: something is in flight, or has come ahead (<sley/lend.h>; of a listener: connections), and is not lost; -ENODEV: bytes that
 * had come ahead have gone with its home (a listener may be moved in any case: its connections were closed); -EBADF once closed;
 * -ENOTSUP: it is direct; -EOWNERDEAD; -ENOMEM; -ECANCELED. Thread: any.
 */
SLEY_API int sley_fd_move(struct sley_fd *fd);
SLEY_API void sley_fd_move_start(struct sley_io_op *op, struct sley_fd *fd);

SLEY_EXTERN_C_END
#endif
