/* Byte streams: the calls that are the same for every kind. Kinds: <sley/tcp.h>, <sley/stream_pair.h>; to write one: stream_impl.h. */
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
    struct sley_post post; /* its driver's: to go on later */
    struct sley_wait *(*step)(struct sley__chain *c);
    struct sley_wait *waits_for;
    struct sley_sched *home; /* where it was started */
    SLEY_ATOMIC(uint32_t) news;
    bool told;      /* what it waits for has been asked to end early */
    bool armed;     /* it has had to wait */
    uint8_t weight; /* of a step, when it is asked whether it is others' turn */
};

/**
 * Base and first member of every stream. One read and one write may be in flight at a time; a second is -EBUSY. A stream may be copied
 * to a new place while no op is in flight on it (the old copy must not be used any more), unless its kind says otherwise.
 *
 * Every call has a direct form (for fibers, and for plain threads, which block) and a _start form (for frames and select). A stream's
 * home is the executor where it was used first. Calls from other executors are carried out by the home, if the kind supports that (TCP:
 * see struct sley_fd in <sley/reactor.h>; a pair in memory does not need it). A stream that is never closed or aborted leaks its
 * descriptor.
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
 * Waits until at least one byte has come, then reads what there is. @p buf is borrowed until the op is done.
 * Returns: the number of bytes, 1..@p len; 0 at the end of the stream, however often it is called (also if @p len is 0); -ECANCELED: no
 * byte was taken; -ECONNRESET and other errors of the kind, after the data that came before the error, and at each further read;
 * -EBUSY; -EBADF once closed; -EDEADLK as sley_await; on another executor than the home also -ENODEV when the home has been destroyed,
 * and -ENOMEM. Thread: as the kind says.
 */
SLEY_API int sley_stream_read(struct sley_stream *s, void *buf, size_t len);
SLEY_API void sley_stream_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len);

/**
 * As sley_stream_read, into a buffer that the stream's reactor lends as soon as there is something to read: a read that waits holds no
 * memory. `*ret_lent` is that buffer, or NULL when the result is not above 0. While all buffers are out the read waits for one. For a
 * stream that cannot do this (a pair), and on a plain thread, a buffer is allocated when the read starts.
 * Returns: the number of bytes at `(*ret_lent)->data`; 0 at the end; -ENOBUFS: no memory, and no byte was taken; else as
 * sley_stream_read. Owns: the caller gives the buffer back by sley_lent_return. Thread: as the kind says.
 */
SLEY_API int sley_stream_read_lent(struct sley_stream *s, struct sley_lent **ret_lent);
SLEY_API void sley_stream_read_lent_start(struct sley_io_op *op, struct sley_stream *s, struct sley_lent **ret_lent);

/**
 * Reads until @p buf is full. `*ret_done` (may be NULL) is always written: the number of bytes in @p buf, whatever the result.
 * Returns: 0; -ENODATA when the stream ended before; -ECANCELED, perhaps with bytes in @p buf; else as sley_stream_read. Thread: same.
 */
SLEY_API int sley_stream_read_exact(struct sley_stream *s, void *buf, size_t len, size_t *ret_done);
SLEY_API void sley_stream_read_exact_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len, size_t *ret_done);

/**
 * Waits until there is room for at least one byte, then writes what there is room for. @p buf is borrowed until the op is done.
 * Returns: the number of bytes, 1..@p len (0 if @p len is 0); -ECANCELED: nothing was written; -EPIPE after a shutdown, or when the
 * peer reads no more (SIGPIPE is never raised); -ECONNRESET; else as sley_stream_read. Thread: as the kind says.
 */
SLEY_API int sley_stream_write(struct sley_stream *s, const void *buf, size_t len);
SLEY_API void sley_stream_write_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len);

/**
 * Writes all of @p buf. `*ret_done` (may be NULL) is always written: the number of bytes that the stream has taken, whatever the result.
 * Returns: 0; -ECANCELED, perhaps after a part; -EIO when a write of the stream's kind returns 0; else as sley_stream_write.
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
 * As sley_stream_read and _write with @p count buffers instead of one (any number; some may be empty), in their order. If the stream's
 * kind supports it this is one system call, for at most 1,024 of the buffers; else only the first buffer that is not empty is used.
 * @p iov and the buffers are borrowed until the op is done; @p iov is never changed. Returns: as sley_stream_read and _write; 0 at once
 * when all buffers are empty. Thread: same.
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
 * As sley_stream_read_exact and _write_all with @p count buffers instead of one. @p iov is borrowed until the op is done, and never
 * changed: `*ret_done` says how many bytes have moved. Returns: as sley_stream_read_exact and _write_all; -ENOTSUP from a _start outside
 * tasks. Thread: as sley_stream_read; the _start forms in tasks only.
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
 * As sley_stream_read, but the bytes stay in the stream: the next read or peek gets them again, with those that have come since. While
 * in flight it counts as a read. Returns: as sley_stream_read; -ENOTSUP: this kind has no peek (TCP and pairs have). Thread: as the
 * kind says.
 */
SLEY_API int sley_stream_peek(struct sley_stream *s, void *buf, size_t len);
SLEY_API void sley_stream_peek_start(struct sley_stream_peek_op *op, struct sley_stream *s, void *buf, size_t len);

/**
 * Waits until a read (SLEY_IO_IN in @p events) or a write (SLEY_IO_OUT) would not wait, whichever comes first: because there are bytes,
 * or room, or the stream has ended or failed. Any number of these may wait at once, beside one read and one write; another task may
 * take the bytes, or the room, before the caller does.
 * Returns: the events that are ready (> 0; ERR and HUP are reported even if @p events lacks them); -EINVAL: no such @p events; -EBADF;
 * -ECANCELED, also by a close; -ENOTSUP: as sley_stream_peek; else as sley_stream_read. Thread: as the kind says. Cost: from the first
 * such wait on, each read of that connection takes one more system call.
 */
SLEY_API int sley_stream_ready(struct sley_stream *s, uint32_t events);
SLEY_API void sley_stream_ready_start(struct sley_io_op *op, struct sley_stream *s, uint32_t events);

/**
 * Reads, or writes, what can be moved without waiting. Other tasks do not run meanwhile, and the caller need not be a task. Returns: as
 * sley_stream_read and _write; -EAGAIN: no bytes, or no room, at the moment; -EBUSY: a read, or a write, is in flight; -EXDEV: the home
 * is another executor; always where workers share tasks but not reactors (stealing on uring); -ENOTSUP: this kind cannot; for a direct
 * connection also the errors of sley_fd_borrow. Thread: home.
 */
SLEY_API int sley_stream_try_read(struct sley_stream *s, void *buf, size_t len);
SLEY_API int sley_stream_try_write(struct sley_stream *s, const void *buf, size_t len);

/** Passes on the bytes that the stream itself buffers (a socket has none). Returns: 0; the stream's error; -ECANCELED. Thread: as the
 * kind says. */
SLEY_API int sley_stream_flush(struct sley_stream *s);
SLEY_API void sley_stream_flush_start(struct sley_io_op *op, struct sley_stream *s);

/**
 * Waits for a write in flight, flushes, then ends the write side: the peer reads the end of the stream after the data. Reading goes on.
 * Returns: 0, also the second time; the stream's error; -EBADF once closed; -ECANCELED: not done. Thread: as the kind says.
 */
SLEY_API int sley_stream_shutdown(struct sley_stream *s);
SLEY_API void sley_stream_shutdown_start(struct sley_io_op *op, struct sley_stream *s);

/**
 * Completes the ops in flight with -ECANCELED, then releases the stream. Bytes that were written are still delivered. Does not flush
 * (sley_stream_shutdown does). The call itself cannot be cancelled. Returns: 0, also for a closed or zeroed stream; on another executor
 * than the home the errors of sley_fd_close. Thread: as the kind says; any while no op is in flight.
 */
SLEY_API int sley_stream_close(struct sley_stream *s);
SLEY_API void sley_stream_close_start(struct sley_io_op *op, struct sley_stream *s);

/**
 * Releases the stream at once, without waiting: ops in flight end, bytes that are not delivered yet are dropped, and the peer gets
 * -ECONNRESET. NULL, a zeroed or a closed stream: does nothing. Thread: as sley_stream_close; on another executor than the home, for
 * which the home does it, only where no op of the home's own tasks is in flight: nobody is told when it is through, and until then the
 * stream's memory would have to stay. For that there is sley_stream_close.
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
 * `*ret_bytes` (may be NULL) is always written: the number of bytes that @p dst has taken. Returns: 0; the error of either stream;
 * -ECANCELED: bytes that were read from @p src and not yet taken by @p dst are lost (none if it was waiting for @p src). Thread: home of
 * both. Cost: no allocation; the op holds an 8 KiB buffer. Between sockets, after 16 full buffers in a row, bytes go through a pipe
 * (splice(2)) without being copied, as long as much is coming: that needs two more descriptors (without them it goes on by the
 * buffer) and holds up to 256 KiB.
 */
SLEY_API int sley_stream_copy(struct sley_stream *dst, struct sley_stream *src, uint64_t *ret_bytes);
SLEY_API void sley_stream_copy_start(struct sley_stream_copy_op *op, struct sley_stream *dst, struct sley_stream *src,
                                     uint64_t *ret_bytes);

SLEY_EXTERN_C_END
#endif
