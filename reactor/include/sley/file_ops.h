/* Ops beyond sockets: files, paths, splicing, children, registered buffers. For those who start ops themselves; files: <sley/file.h>. */
#ifndef SLEY_FILE_OPS_H
#define SLEY_FILE_OPS_H

#include <sley/reactor.h>

SLEY_EXTERN_C_BEGIN

struct sley_file_op;
struct sley_fixed;
struct sley_offload; /* <sley/file_impl.h> */

/** As an offset: the file's own position, which moves on. One such read and one such write may be in flight at a time. */
#define SLEY_FILE_HERE UINT64_MAX

/**
 * One call that may block, to be made on a thread that may block. Part of an op: the reactor layer fills it in, and an implementation
 * of struct sley_offload_ops runs it.
 */
struct sley_offload_job {
    void (*fn)(struct sley_offload_job *job); /**< makes the call; on a thread that may block, no signal is delivered to */
    /** Once, with 0 (fn has returned) or a negative errno (it was not run): the job's memory is not the pool's any more. */
    void (*done)(struct sley_offload_job *job, int rc);
    const char *name; /**< for reports: "file.read" */
    void *words[20];  /**< the pool's, from submit to done; zeroed before the first submit only */
};

/* private: what is sent to a reactor's worker, to be called there in no task; `refused`, on any thread: it takes no more */
struct sley__mail {
    struct sley_post post;
    void (*refused)(struct sley_post *post);
};

/**
 * An op with more arguments than fit into a struct sley_io_op: its code is one of those behind SLEY_IO_CLOSE. Zero it before its
 * first start. Submit it by sley_io_submit(&op->io) or sley_io_run(&op->io), with io.flags 0. Until it is done the op, and every buffer,
 * path and descriptor that it names, belongs to the reactor. The result is that of io.wait. Arguments (`fd`, `buf`, `len` are in `io`):
 *
 *   READ, WRITE           fd, buf, len, offset (or SLEY_FILE_HERE, as always for pipes and the like): bytes, 0 = end. Short is legal
 *   READV, WRITEV         the same; buf is an array of `len` struct iovec
 *   READ_FIXED, ...       READ and WRITE; buf lies inside `fixed`, else -EFAULT
 *   SEND_ZC               fd, buf, len, `sent`, b.fixed: a SEND that is done when nobody looks at buf any more; see there
 *   OPEN                  dir, path, how (O_*; close-on-exec is added), mode: 0, and the number in io.out_number
 *   FSYNC, FDATASYNC      fd
 *   STAT                  fd, or (fd NULL) dir, path, how (AT_SYMLINK_NOFOLLOW, ...); mode (STATX_*); buf is a struct statx
 *   FALLOCATE             fd, offset, len, how (FALLOC_FL_*)
 *   SPLICE                from fd, offset, to `to`, to_offset, len, how (SPLICE_F_*; NONBLOCK is added): bytes, 0 = end
 *   RENAME                dir, path, to_dir, to_path, how (RENAME_*)
 *   UNLINK                dir, path, how (AT_REMOVEDIR)
 *   MKDIR                 dir, path, mode
 *   SHUTDOWN              fd, how (SHUT_*)
 *   CHILD                 fd is a pidfd; buf a siginfo_t, or NULL; how (WNOWAIT): 0 when the child has ended; it is reaped then
 *
 * READ to SPLICE never raise SIGPIPE. EINTR is retried. A cancel is a request: a call that has begun is waited for, and the result is
 * its true one (an OPEN that has succeeded has made a descriptor that is to be closed), so that nothing is lost or leaked. Any number
 * of reads and writes with an offset may be in flight. A close cancels the ops that can be cancelled, and waits for the others.
 *
 * An OPEN of a FIFO without O_NONBLOCK waits for the other end, as open(2) does. A cancel, and the end of the reactor, take such a
 * wait back on uring (-ECANCELED); elsewhere it is a call, waited for until the other end comes. O_NONBLOCK, which means nothing to a
 * regular file, saves uring a thread of the kernel's for an OPEN without O_CREAT and O_TRUNC: about half of its time.
 */
struct sley_file_op {
    union {
        struct sley_wait wait; /**< the node, as in every op */
        struct sley_io_op io;
    };
    uint64_t offset;
    union {
        const char *path;
        struct sley_fd *to;       /**< SPLICE; one that is at home elsewhere than fd is -EXDEV */
        struct sley_fixed *fixed; /**< READ_FIXED, WRITE_FIXED */
        /**
         * SEND_ZC, may be NULL: called once, on the home's thread (or under the lock of a shared home), as soon as the result is known
         * and the next send may start; must not start it itself. The op is done, with that result, when the kernel no longer uses buf.
         */
        void (*sent)(struct sley_file_op *op, int32_t result);
    } a;
    union {
        const char *to_path;
        uint64_t to_offset;
        struct sley_fixed *fixed; /**< SEND_ZC, may be NULL: where buf lies in registered memory, else -EFAULT */
    } b;
    int dir, to_dir; /**< AT_FDCWD, or a directory's number */
    uint32_t how, mode;
    /* private */
    struct sley_reactor *home;        /* where it was admitted */
    struct sley_file_op *next, *prev; /* the generic way's: those that are at home in one reactor */
    int32_t result;
    uint8_t ways;  /* the generic way's: how it may be done */
    uint8_t place; /* where it is; SLEY__FILE_NATIVE: with a reactor that has a way of its own */
    bool armed, asked;
    union {
        struct {
            struct sley_io_op poll; /* the wait for readiness */
            void *hook[2];
        } ready;
        struct {
            struct sley_offload_job job;
            struct sley__mail mail; /* from the job's thread to the home */
        } call;
        void *native[8]; /**< the reactor's own */
    } at;
};
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley_file_op) <= 400, "an op fits beside the page that it reads");
#endif

/**
 * Memory that is registered with a worker's reactor, so that READ_FIXED and WRITE_FIXED save the kernel the work of pinning its
 * pages. On another worker, and with a reactor that cannot register memory, such an op is a plain READ or WRITE. Must not move.
 */
struct sley_fixed {
    void *base;
    size_t bytes;
    struct sley_reactor *home; /**< private: who knows it; NULL: nobody, and it is memory like any other */
    uint32_t index;            /**< private: the reactor's */
};

/**
 * Registers @p bytes at @p base, borrowed until fini, with the current worker's reactor, if that can register memory.
 * Returns: 0, also when the memory stays unregistered (no room in the table, RLIMIT_MEMLOCK): it can be used all the same; -EINVAL.
 * Thread: any.
 */
SLEY_API int sley_fixed_init(struct sley_fixed *f, void *base, size_t bytes);
/** Unregisters it; no op with it may be in flight. Zeroed or NULL: does nothing. Returns: 0; -EXDEV, and it
 * stays registered, on another thread. Thread: that of the worker which has registered it. */
SLEY_API int sley_fixed_fini(struct sley_fixed *f);

/* private: what a reactor keeps of ops that go the generic way; part of struct sley_reactor */
struct sley__files {
    struct sley_file_op *first; /* all of them */
    struct sley_io_op *closers; /* closes that wait for some of them, oldest first, through `next` */
    struct sley_io_op close;    /* the close that the reactor has in hand for the first of `closers` */
    void *hook[2];
    struct sley__helper *helper;              /* makes calls that may block where no pool was handed in */
    SLEY_ATOMIC(struct sley_post *) stranded; /* calls that ended when the home took no more posts */
    void (*end)(struct sley_reactor *r);      /* what is to be done before the reactor ends; NULL: nothing */
    bool closing, ending;
};

SLEY_EXTERN_C_END
#endif
