/* For implementers of streams: the table, and the ways an op ends. Users of streams need only <sley/stream.h>. */
#ifndef SLEY_STREAM_IMPL_H
#define SLEY_STREAM_IMPL_H

#include <sley/reactor_impl.h>
#include <sley/stream.h>

#include <sys/types.h>

SLEY_EXTERN_C_BEGIN

enum { SLEY_STREAM_VERSION = 4 };

enum {
    /**
     * read_start and write_start obey SLEY_IO_ALL in op->flags: they go on until op->len bytes have moved, write the count to
     * `*op->ret_done` (if not NULL) before the node is done, and end with 0; -ENODATA at an end within; or the error.
     * Without it they move one piece, end by sley_stream_end, and the layer above goes on.
     */
    SLEY_STREAM_CAP_ALL = 1,
};

/** op->kind, set by the layer above. */
enum {
    SLEY_STREAM_RUN = 1,   /**< a direct call on a plain thread: the start may wait, and leaves the node done */
    SLEY_STREAM_EXACT = 2, /**< private: read_exact or write_all on a stream without CAP_ALL */
};

/**
 * What a stream implements. Instances are static const; sley_stream_check says whether one is complete. Every slot: Thread: home
 * (the stream itself sees to it where that matters: sley_fd_away). Must not block, but for SLEY_STREAM_RUN. Must not run tasks. Failures
 * are the node's result; each start ends its op exactly once. The op and its buffer are the stream's until then.
 */
struct sley_stream_ops {
    uint32_t version; /**< SLEY_STREAM_VERSION */
    uint32_t caps;    /**< SLEY_STREAM_CAP_* */
    const char *name;
    /**
     * Required. As sley_stream_read; a @p len of 0 ends with 0 at once. The caller has set op->code, flags, kind, stage (0) and ret_done;
     * the stream uses the rest as it likes, but without CAP_ALL for `next` alone: such an op is moved on by the functions below.
     */
    void (*read_start)(struct sley_io_op *op, struct sley_stream *self, void *buf, size_t len);
    /** Required. As sley_stream_write; the op as in read_start. */
    void (*write_start)(struct sley_io_op *op, struct sley_stream *self, const void *buf, size_t len);
    /** Optional: absent means that nothing is ever buffered, and a flush is 0. */
    void (*flush_start)(struct sley_io_op *op, struct sley_stream *self);
    /** Required. Implies flush. Waits for the write in flight. Again: 0. */
    void (*shutdown_start)(struct sley_io_op *op, struct sley_stream *self);
    /** Required. Must begin by sley_wait_begin_always. Again: 0. */
    void (*close_start)(struct sley_io_op *op, struct sley_stream *self);
    /** Required. Again: nothing. Calls back: nothing but the waiters of what was in flight. */
    void (*abort)(struct sley_stream *self);
    /**
     * Optional (write_start). Writes what goes out at once, for a fiber of @p s that has budget left, on which this draws.
     * Returns: bytes; -EAGAIN: nothing has happened, and write_start is to be called; another negative errno: the write's result.
     */
    ssize_t (*write_now)(struct sley_stream *self, const void *buf, size_t len, struct sley_sched *s);
    /* since version 2 */
    /**
     * Optional (absent: read_start, into a block that is allocated for it). As sley_stream_read_lent; kind is 0, on a plain thread it is
     * not called. `*ret_lent` is NULL at the start.
     */
    void (*read_lent_start)(struct sley_io_op *op, struct sley_stream *self, struct sley_lent **ret_lent);
    /* since version 3 */
    /**
     * Optional (absent: read_start, of the first buffer). As read_start, without ALL, into the `msg_iovlen` buffers of @p m, 2 to 1,024,
     * of which the first is not empty. @p m is the op's, the rest of it zeroed; the buffers' table is not to be changed.
     */
    void (*readv_start)(struct sley_io_op *op, struct sley_stream *self, struct msghdr *m);
    void (*writev_start)(struct sley_io_op *op, struct sley_stream *self, struct msghdr *m);
    /**
     * Optional (absent: copies go by buffers), for streams that buffer nothing themselves. Moves at most @p len bytes from the stream into
     * @p pipe, or out of it into the stream, as a SLEY_IO_SPLICE: sets all of @p op but its node, and submits it. Ends as read_start and
     * write_start do; -EXDEV, -ENOTSUP, -EINVAL, -ENODEV: not here, and nothing has moved.
     */
    void (*splice_from_start)(struct sley_file_op *op, struct sley_stream *self, struct sley_fd *pipe, size_t len);
    void (*splice_to_start)(struct sley_file_op *op, struct sley_stream *self, struct sley_fd *pipe, size_t len);
    /* since version 4 */
    /** Optional (-ENOTSUP). As readv_start, of one buffer, but the bytes stay. Takes the read's direction. */
    void (*peek_start)(struct sley_io_op *op, struct sley_stream *self, struct msghdr *m);
    /** Optional (-ENOTSUP). As sley_stream_ready; @p events are some of IN and OUT. The op as in read_start; any number at a time. */
    void (*ready_start)(struct sley_io_op *op, struct sley_stream *self, uint32_t events);
    /** Optional (-ENOTSUP). As sley_stream_try_read and _write. Never waits, on no thread. */
    int (*try_read)(struct sley_stream *self, void *buf, size_t len);
    int (*try_write)(struct sley_stream *self, const void *buf, size_t len);
};

/** Is the table complete? Returns: 0; -EINVAL. */
SLEY_API int sley_stream_check(const struct sley_stream_ops *ops);

/* ---- how a read or write of a stream without CAP_ALL begins and ends --------------------------------------------- */

/** First thing in read_start and write_start; false: the op is done, touch nothing. */
SLEY_API bool sley_stream_begin(struct sley_io_op *op, const struct sley_wait_ops *ops);
/** The op is about to wait; before anybody who may end it can see it. */
SLEY_API void sley_stream_arm(struct sley_io_op *op);
/**
 * The op ends: bytes, 0, or a negative errno. May start the next piece, by read_start or write_start, in this call.
 * Thread: who started the op. (A stream whose ops end on other threads has CAP_ALL, and completes the node itself.)
 */
SLEY_API void sley_stream_end(struct sley_io_op *op, int32_t result);

SLEY_EXTERN_C_END
#endif
