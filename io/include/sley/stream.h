/* Streams of bytes, whatever moves them: what a program calls. Kinds: <sley/tcp.h>, <sley/stream_pair.h>; writing one: stream_impl.h. */
#ifndef SLEY_STREAM_H
#define SLEY_STREAM_H

#include <sley/file_ops.h>
#include <sley/lend.h>
#include <sley/reactor.h>
#include <sley/task_impl.h>

#include <sys/socket.h>
#include <sys/uio.h>

SLEY_EXTERN_C_BEGIN

struct sley_stream_ops;

/** Private: what ops that are made of others have in common. */
struct sley__chain {
    struct sley_wait wait;
    struct sley_wait_hook hook;
    struct sley_post post;
    struct sley_wait *(*step)(struct sley__chain *c);
    struct sley_wait *waits_for;
    struct sley_sched *home; /* where it was started */
    SLEY_ATOMIC(uint32_t) news;
    bool told;      /* what it waits for has been asked to end early */
    bool armed;     /* it has had to wait */
    uint8_t weight; /* of a step, when it is asked whether it is others' turn */
};

/**
 * Base and first member of every stream. One read and one write may be in flight at a time; a second is -EBUSY. May be copied
 * to a new place while nothing is in flight on it (the old copy is dead), unless the kind says otherwise.
 *
 * Every call has a direct form (a fiber, or a plain thread, which parks) and a _start form (frames, select). A stream's home is the
 * executor where it was used first; calls from elsewhere travel there and back, if the kind can do that (TCP: as <sley/reactor.h> says
 * of descriptors; a pair in memory is for one executor). A stream that was never closed or aborted leaks its descriptor.
 *
 *   call while            a read is in flight   a write is in flight
 *   read, readv, ...      -EBUSY                fine
 *   write, writev, ...    fine                  -EBUSY
 *   peek                  -EBUSY                fine
 *   ready, flush          fine                  fine
 *   shutdown              fine                  waits for the write, whatever becomes of it
 *   close, abort          ends both: -ECANCELED
 */
struct sley_stream {
    const struct sley_stream_ops *ops; /* private */
};

/**
 * Reads what is there, waiting for at least one byte. @p buf stays the caller's, and borrowed until the op is done.
 * Returns: bytes, 1..@p len; 0 at the end, again and again (0, too, for a @p len of 0); -ECANCELED: no byte was taken;
 * -ECONNRESET and other errors of the kind, after the data that came before them, and again for each further read;
 * -EBUSY; -EBADF once closed; -EDEADLK as sley_await; away from home -ENODEV when that has gone, and -ENOMEM. Thread: as the kind.
 */
SLEY_API int sley_stream_read(struct sley_stream *s, void *buf, size_t len);
SLEY_API void sley_stream_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len);

/**
 * As sley_stream_read, into a buffer that the stream's reactor lends when there is something to read, so that what waits holds none.
 * `*ret_lent` is that buffer, to be given back by sley_lent_return; NULL when the result is not above 0. While all are out it waits.
 * A stream without a way of its own (a pair; any on a plain thread) has a buffer allocated while it waits.
 * Returns: bytes, at `(*ret_lent)->data`; 0 at the end; -ENOBUFS: no memory, and the bytes are still there; else as sley_stream_read.
 */
SLEY_API int sley_stream_read_lent(struct sley_stream *s, struct sley_lent **ret_lent);
SLEY_API void sley_stream_read_lent_start(struct sley_io_op *op, struct sley_stream *s, struct sley_lent **ret_lent);

/**
 * Reads until @p buf is full. `*ret_done` (may be NULL) is always written: how many bytes are in @p buf, whatever the result.
 * Returns: 0; -ENODATA when the end came first; -ECANCELED, perhaps with bytes in @p buf; else as sley_stream_read.
 */
SLEY_API int sley_stream_read_exact(struct sley_stream *s, void *buf, size_t len, size_t *ret_done);
SLEY_API void sley_stream_read_exact_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len, size_t *ret_done);

/**
 * Writes what there is room for, waiting for room for at least one byte. @p buf is borrowed until the op is done.
 * Returns: bytes, 1..@p len (0 for a @p len of 0); -ECANCELED: nothing was written; -EPIPE after a shutdown, or when the peer
 * reads no more (never a signal); -ECONNRESET; else as sley_stream_read. Thread: home.
 */
SLEY_API int sley_stream_write(struct sley_stream *s, const void *buf, size_t len);
SLEY_API void sley_stream_write_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len);

/**
 * Writes all of @p buf. `*ret_done` (may be NULL) is always written: how many bytes have been taken, whatever the result.
 * Returns: 0; -ECANCELED, perhaps after a part; -EIO when the stream takes nothing without saying why; else as sley_stream_write.
 */
SLEY_API int sley_stream_write_all(struct sley_stream *s, const void *buf, size_t len, size_t *ret_done);
SLEY_API void sley_stream_write_all_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len, size_t *ret_done);

/** A read or write of several buffers. */
struct sley_stream_vec_op {
    union {
        struct sley_wait wait;
        struct sley_io_op io; /**< private */
    };
    struct msghdr vector; /**< private */
};

/**
 * As sley_stream_read and _write, with @p count buffers, any number, in place of one: the first is filled, or taken, before the second.
 * Some may be empty. One call of the system's (which knows 1,024 of them at most) where the stream can do that; else the first that
 * is not empty moves alone. @p iov is borrowed, as the buffers are, and never changed. Returns: as those; 0 at once when there
 * is not a byte in them.
 */
SLEY_API int sley_stream_readv(struct sley_stream *s, const struct iovec *iov, size_t count);
SLEY_API void sley_stream_readv_start(struct sley_stream_vec_op *op, struct sley_stream *s, const struct iovec *iov, size_t count);
SLEY_API int sley_stream_writev(struct sley_stream *s, const struct iovec *iov, size_t count);
SLEY_API void sley_stream_writev_start(struct sley_stream_vec_op *op, struct sley_stream *s, const struct iovec *iov, size_t count);

enum { SLEY_STREAM_WINDOW = 8 };

/** Private: what is left of a vector, `count` buffers from `iov` on, the first without its first `skip_bytes`. */
struct sley_stream_vec_rest {
    const struct iovec *iov;
    size_t count, skip_bytes, done_bytes;
    struct iovec window[SLEY_STREAM_WINDOW]; /* where the first is one in part: what the next piece names */
};

/** A read or write of all of several buffers. */
struct sley_stream_vec_all_op {
    union {
        struct sley_wait wait;
        struct sley__chain chain; /**< private */
    };
    /* private */
    struct sley_stream *stream;
    size_t *ret_done;
    struct sley_stream_vec_rest rest;
    struct sley_stream_vec_op piece;
    bool reading;
};

/**
 * As sley_stream_read_exact and _write_all, with @p count buffers in place of one; a piece that ends inside a buffer is followed by the
 * rest of that one, and what comes behind it. @p iov is borrowed, and never changed: `*ret_done` says how far it came. The direct
 * forms work on plain threads, the starts in tasks alone (else -ENOTSUP). Returns: as those.
 */
SLEY_API int sley_stream_readv_exact(struct sley_stream *s, const struct iovec *iov, size_t count, size_t *ret_done);
SLEY_API void sley_stream_readv_exact_start(struct sley_stream_vec_all_op *op, struct sley_stream *s, const struct iovec *iov,
                                            size_t count, size_t *ret_done);
SLEY_API int sley_stream_writev_all(struct sley_stream *s, const struct iovec *iov, size_t count, size_t *ret_done);
SLEY_API void sley_stream_writev_all_start(struct sley_stream_vec_all_op *op, struct sley_stream *s, const struct iovec *iov,
                                           size_t count, size_t *ret_done);

/** A peek in progress. */
struct sley_stream_peek_op {
    union {
        struct sley_wait wait;
        struct sley_io_op io; /**< private */
    };
    struct msghdr message; /**< private */
    struct iovec iov;      /**< private */
};

/**
 * As sley_stream_read, but what it gives stays: the next read or peek has it again, with what has come since. It is a read in the table
 * above. Returns: as sley_stream_read; -ENOTSUP: not of this kind (of TCP and of pairs it is).
 */
SLEY_API int sley_stream_peek(struct sley_stream *s, void *buf, size_t len);
SLEY_API void sley_stream_peek_start(struct sley_stream_peek_op *op, struct sley_stream *s, void *buf, size_t len);

/**
 * Waits until a read (SLEY_IO_IN) or a write (SLEY_IO_OUT), whichever of @p events comes first, would not wait: for bytes, for room, or
 * because of the end or an error. Any number may wait so at once, beside a read and a write; others may take what each is told of.
 * Returns: the set that is ready (> 0; ERR and HUP may be there unasked); -EINVAL: no such set; -EBADF; -ECANCELED, also by a close;
 * -ENOTSUP: as sley_stream_peek; else as sley_stream_read. Cost: a connection that was waited for so is read by a call more from then on.
 */
SLEY_API int sley_stream_ready(struct sley_stream *s, uint32_t events);
SLEY_API void sley_stream_ready_start(struct sley_io_op *op, struct sley_stream *s, uint32_t events);

/**
 * A read, or a write, of what goes at once; neither waits, nor lets others run, and no task is needed. Returns: as sley_stream_read and
 * _write; -EAGAIN: there is nothing now, or no room; -EBUSY: one is in flight; -EXDEV: at home elsewhere, where a task's are everybody's
 * and reactors are not (stealing on uring) always; of a direct connection what sley_fd_borrow says; -ENOTSUP. Thread: home.
 */
SLEY_API int sley_stream_try_read(struct sley_stream *s, void *buf, size_t len);
SLEY_API int sley_stream_try_write(struct sley_stream *s, const void *buf, size_t len);

/** Pushes on what the stream has buffered (nothing on a socket). Returns: 0; the stream's error; -ECANCELED. Thread: home. */
SLEY_API int sley_stream_flush(struct sley_stream *s);
SLEY_API void sley_stream_flush_start(struct sley_io_op *op, struct sley_stream *s);

/**
 * Flushes, then ends the write side: the peer reads 0 after the data. Reading goes on. Waits for a write in flight. Again: 0.
 * Returns: 0; the stream's error; -EBADF once closed; -ECANCELED: not done. Thread: home.
 */
SLEY_API int sley_stream_shutdown(struct sley_stream *s);
SLEY_API void sley_stream_shutdown_start(struct sley_io_op *op, struct sley_stream *s);

/**
 * Ends what is in flight with -ECANCELED, then releases the stream; what was written is still delivered. Does not flush: shutdown
 * does. Twice, or on a zeroed stream: 0. Never cancelled. Returns: 0; away from home as sley_fd_close. Thread: as the kind; any while
 * nothing is in flight.
 */
SLEY_API int sley_stream_close(struct sley_stream *s);
SLEY_API void sley_stream_close_start(struct sley_io_op *op, struct sley_stream *s);

/**
 * Releases the stream at once, without waiting: what is in flight ends, what was not yet delivered is dropped, and the peer gets
 * -ECONNRESET. Nothing on NULL, on a zeroed stream and on a closed one. Thread: as sley_stream_close.
 */
SLEY_API void sley_stream_abort(struct sley_stream *s);

enum { SLEY_STREAM_COPY_BYTES = 8192 };

/** A copy in progress. */
struct sley_stream_copy_op {
    union {
        struct sley_wait wait;
        struct sley__chain chain;
    };
    /* private */
    struct sley_stream *dst, *src;
    uint64_t *ret_bytes;
    uint64_t done_bytes;
    size_t chunk_bytes;      /* what the last write has taken */
    struct sley_io_op io;    /* the read or the write */
    struct sley_io_op other; /* a flush, while a read waits and at the end; closes of the pipe */
    int32_t failed;          /* a flush has, while a read was in flight */
    int32_t result;          /* to be told when the pipe is closed */
    uint8_t stage;
    uint8_t streak; /* how many pieces in a row speak for the other way */
    bool dirty;     /* written since the last flush */
    bool spliced;   /* by the pipe; else by the buffer */
    bool never;     /* the pipe will not do */
    bool ending;
    struct sley_fd in, out; /* of the pipe */
    size_t piped_bytes;     /* in it */
    struct sley_file_op file;
    unsigned char buf[SLEY_STREAM_COPY_BYTES];
};

/**
 * Copies from @p src to @p dst until @p src ends. Flushes @p dst before it waits for @p src, and at the end; shuts nothing down.
 * `*ret_bytes` (may be NULL) is always written: how many bytes @p dst has taken. Returns: 0; the error of either; -ECANCELED:
 * bytes that @p src had given and @p dst not yet taken are lost (none while it waited for @p src). Thread: home of both.
 * Cost: no allocation; the op holds an 8 KiB buffer. From socket to socket what has filled that 16 times in a row goes on by a pipe,
 * uncopied, until it trickles: two more descriptors, if there are any, and up to 256 KiB on their way.
 */
SLEY_API int sley_stream_copy(struct sley_stream *dst, struct sley_stream *src, uint64_t *ret_bytes);
SLEY_API void sley_stream_copy_start(struct sley_stream_copy_op *op, struct sley_stream *dst, struct sley_stream *src,
                                     uint64_t *ret_bytes);

SLEY_EXTERN_C_END
#endif
