/* Operations on file descriptors that a reactor carries out. For users of io/ and of descriptors from other libraries. Reactors
 * themselves are written against reactor_impl.h. */
#ifndef SLEY_REACTOR_H
#define SLEY_REACTOR_H

#include <sley/scope.h>

SLEY_EXTERN_C_BEGIN

struct sley_reactor;
struct sley__slot;

/**
 * A descriptor and its home: the reactor of the worker on which the first op on the descriptor was started. Any thread of the process
 * may start an op on it, cancel an op, and close it. Workers that share their tasks do so as its home does. From another executor, or
 * a plain thread, an op is sent to the home: it needs memory for that (-ENOMEM), and it, or a cancel of it, makes progress only while
 * some thread drives the home. sley_fd_move gives the descriptor to another home.
 *
 * A sley_fd may be copied to a new place while no op is in flight on it; the old copy must not be used any more. Each number has one
 * sley_fd at a time: if two have ops in flight, the second gets -EEXIST. Once the home has been destroyed the descriptor can be closed
 * or moved; other ops on it are -ENODEV. In the child of a fork it can be closed; other ops are -EOWNERDEAD, but the child may use the
 * number in a sley_fd of its own. Fields are private but for `number`.
 *
 * A *direct* descriptor has no number in the process: it is an entry in a table of its home, which RLIMIT_NOFILE does not count. An op
 * with SLEY_IO_DIRECT makes one; the reactor of that op is its home from the start. Only ops can use it: its `number`, which is
 * SLEY_FD_DIRECT_FIRST or above, is -EBADF in system calls, and an op that its reactor cannot do on it is -ENOTSUP. It cannot be
 * moved. Its home closes it when the home ends.
 */
struct sley_fd {
    int number; /**< -1: none */
    SLEY_ATOMIC(uint32_t) state;
    SLEY_ATOMIC(struct sley_reactor *) home;
    struct sley__slot *slot; /* what its home knows of it */
};

/** What an op does. An op is done when the action has been carried out, not when it could be. */
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
     * RECV, SEND: go on until op->len bytes have moved. Result: 0; -ENODATA when the stream ended before that; or the error that
     * stopped it. op->done_bytes says how many bytes have moved, whatever the result: it may be above 0 with -ECANCELED, too.
     */
    SLEY_IO_ALL = 1,
    /**
     * ACCEPT, OPEN: make a direct descriptor, if the reactor has a table for them; sley_fd_init_from tells from op->out_number. When
     * the table is full the result is -ENFILE, and no connection is lost. OPEN: useful for regular files only. Ops on one listener may
     * differ in this flag: one with it may still get a plain descriptor (of a connection that came before), one without it never
     * gets a direct one.
     */
    SLEY_IO_DIRECT = 2,
    SLEY_IO_PEEK = 4,  /**< RECVMSG: the bytes stay in the socket for the next receive; the peer must not attach descriptors to them */
    SLEY_IO_LEND = 32, /**< RECV: into a buffer that the home lends; see <sley/lend.h> */
};

/**
 * An operation in progress; the same struct for every op of every reactor. Zero it before its first start. From start until it is
 * done the op, and every buffer that it names, belongs to the reactor.
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
 * Makes @p fd stand for @p number, an open, non-blocking descriptor. Owns: @p fd, which closes it. To wait for a descriptor that
 * belongs to other code, do not close @p fd: once no op is in flight its memory may simply be reused. Thread: any.
 */
SLEY_API void sley_fd_init(struct sley_fd *fd, int number);

/** The same for the descriptor that @p op, an ACCEPT or OPEN that is done, has made. Thread: any; for a direct one its home. */
SLEY_API void sley_fd_init_from(struct sley_fd *fd, const struct sley_io_op *op);

SLEY_INLINE bool sley_fd_is_direct(const struct sley_fd *fd)
{
    return fd->number >= SLEY_FD_DIRECT_FIRST;
}

/**
 * Gets a number for a system call, to be given back by sley_fd_give_back right after the call: the descriptor's own number; for a
 * direct descriptor a new number. Returns: the number; -EBADF; -EOWNERDEAD: inherited by fork; for a direct descriptor also -EXDEV on a
 * thread that is not its home's, -ENOTSUP (before Linux 6.8), -EMFILE, -EAGAIN (the ring is full at the moment). Thread: any; for a
 * direct one its home. Cost: none; for a direct one two system calls.
 */
SLEY_API int sley_fd_borrow(const struct sley_fd *fd);
SLEY_API void sley_fd_give_back(const struct sley_fd *fd, int number);

/**
 * Waits until the descriptor (a socket, pipe, eventfd, timerfd, inotify, pidfd, ...; not a regular file) is ready for one of
 * @p events (SLEY_IO_IN, SLEY_IO_OUT or both). Many tasks may wait at once. Returns: the events that are ready (> 0; ERR and HUP are
 * reported even if @p events lacks them); -EBADF when it is closed; -EPERM for files and directories; -EEXIST while another sley_fd
 * of the same number has ops in flight; -ENODEV when its home has been destroyed; -ENOMEM, -ENOSPC (fs.epoll.max_user_watches) when it
 * cannot be watched; -ECANCELED.
 * Thread: as sley_await.
 */
SLEY_API int sley_fd_poll(struct sley_fd *fd, uint32_t events);
SLEY_API void sley_fd_poll_start(struct sley_io_op *op, struct sley_fd *fd, uint32_t events);
/**
 * Completes the ops that are pending on it with -ECANCELED, then closes it. A second close returns 0. The call itself cannot be
 * cancelled. Returns: 0; -EXDEV when it has no home and plain threads are in calls on it; from another executor or thread than its
 * home's also -ENOMEM, and -ENODEV while its home is ending. On an error it is still open. Thread: any. When no op is in flight this
 * works even if no thread drives the home.
 */
SLEY_API int sley_fd_close(struct sley_fd *fd);
SLEY_API void sley_fd_close_start(struct sley_io_op *op, struct sley_fd *fd);

/**
 * Takes it away from its home; the worker on which the next op is started becomes its new home. No op may be in flight on it. A
 * connection that was accepted and not used yet has no home, and needs no move. Returns: 0, also when it has no home, or its home has
 * been destroyed; -EBUSY: an op is in flight, or the home holds bytes that it has received in advance (<sley/lend.h>; for a listener
 * connections), which are not lost; -ENODEV: such bytes were lost when the home ended (a listener can be moved all the same: such
 * connections were closed); -EBADF once closed; -ENOTSUP: it is direct; -EOWNERDEAD; -ENOMEM; -ECANCELED. Thread: any; but among workers
 * that share tasks and not their reactors not beside an abort of the stream.
 */
SLEY_API int sley_fd_move(struct sley_fd *fd);
SLEY_API void sley_fd_move_start(struct sley_io_op *op, struct sley_fd *fd);

SLEY_EXTERN_C_END
#endif
