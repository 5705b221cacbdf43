/* Lent buffers: a receive that waits for data holds no memory for it. Each reactor lends from a pool of its own (lend_impl.h). */
#ifndef SLEY_LEND_H
#define SLEY_LEND_H

#include <sley/reactor.h>

SLEY_EXTERN_C_BEGIN

/** A reactor's pool of buffers. Zeroed fields: 1,024 buffers of 4 KiB (8 of 1 KiB if the allocator has SLEY_ALLOC_CAP_SCARCE). */
struct sley_lend_opts {
    uint32_t buffer_bytes; /**< size of a buffer; at most 1 MiB */
    uint32_t buffer_count; /**< at most 32,768. The whole pool is reserved at the first use; pages are touched as buffers are used */
};

/** A buffer that was lent, with what was received. */
struct sley_lent {
    unsigned char *data; /**< the receive's result says how many bytes; they may be written to */
    /* private */
    struct sley__lender *pool; /* NULL: a block of its own, which `release` knows */
    union {
        struct sley_lent *next;
        void (*release)(struct sley_lent *l);
    } at;
};

/**
 * Gives a buffer back to its pool; the receive that has waited longest for a buffer then goes on. NULL: does nothing. Returns: 0;
 * -EXDEV: called on another thread than the next label says; the buffer is still out. Thread: that of the worker whose reactor has
 * lent it (where workers share tasks, any of them); once the runtime is gone any thread, one at a time: the pool's memory stays until
 * its last buffer has come back. Cost: O(1), plus the receive that goes on.
 */
SLEY_API int sley_lent_return(struct sley_lent *l);

/**
 * Receives (SLEY_IO_RECV) into a buffer that the descriptor's home lends as soon as there is something to receive. `*ret_lent`: that
 * buffer, or NULL when the result is not above 0. While all buffers are out the receive waits until one comes back; such receives are
 * served in the order of their coming. Returns: bytes; 0 = end of stream; -ENOBUFS: no memory for a pool (no byte is lost); errors of
 * a receive; -EXDEV, without any effect, when the home is another executor's reactor, or workers share tasks but not reactors
 * (stealing on uring); -ECANCELED: no byte was taken. Owns: the caller gives the buffer back by sley_lent_return. Thread: as sley_await,
 * but not a plain thread (-ENOTSUP for a descriptor without a home).
 *
 * When a byte stream is read so in a loop, its home may receive bytes in advance, before the next op asks for them (uring does). The
 * next ops get those bytes first, whatever their kind, but for READ, READV, SPLICE and sley_fd_move: they are -EBUSY until the bytes
 * have been received. Such bytes are lost when the descriptor is closed or its home ends; a move is -ENODEV in the latter case.
 */
SLEY_API int sley_fd_recv_lent(struct sley_fd *fd, struct sley_lent **ret_lent);
SLEY_API void sley_fd_recv_lent_start(struct sley_io_op *op, struct sley_fd *fd, struct sley_lent **ret_lent);

/* private: part of struct sley_reactor */
struct sley__lend {
    struct sley_alloc *alloc; /* set before the first op; NULL: libc's */
    struct sley_lend_opts opts;
    struct sley__lender *pool; /* NULL: nothing has been lent yet */
};

/* private: what sley_io_arm, _finish and _complete do of an op with SLEY_IO_LEND */
SLEY_API void sley__lend_arm(struct sley_reactor *r, struct sley_io_op *op);
SLEY_API void sley__lend_finish(struct sley_io_op *op, int32_t result);
SLEY_API void sley__lend_complete(struct sley_reactor *r, struct sley_io_op *op, int32_t result);

SLEY_EXTERN_C_END
#endif
