/* Buffers that are lent: what waits for data holds no memory for it. Who lends: each reactor, from a pool of its own; how: lend_impl.h. */
#ifndef SLEY_LEND_H
#define SLEY_LEND_H

#include <sley/reactor.h>

SLEY_EXTERN_C_BEGIN

/** How much a reactor lends. Zeroed fields: 4 KiB, and 1,024 of them (1 KiB and 8 where memory is scarce). */
struct sley_lend_opts {
    uint32_t buffer_bytes; /**< of each; at most 1 MiB */
    uint32_t buffer_count; /**< at most 32,768. All of the pool is reserved at the first use, and touched as it is used */
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
 * Gives a buffer back; the one that waits longest for a buffer then receives. NULL: nothing. Returns: 0; -EXDEV: it was lent elsewhere,
 * and nothing has happened. Thread: home, where it was lent (where workers share tasks: any); any once the runtime is gone, one at a
 * time: the pool's memory stays until the last has come back. Cost: O(1), and the receive that it lets go on.
 */
SLEY_API int sley_lent_return(struct sley_lent *l);

/**
 * As a receive (SLEY_IO_RECV) into a buffer that its home lends when there is something to receive. `*ret_lent`: the buffer, which is to
 * be given back; NULL when the result is not above 0. While all buffers are out it waits until one comes back; those that wait get
 * them in turn. Returns: bytes; 0 = end; -ENOBUFS: there is no memory for a pool (the bytes stay where they are); errors as a
 * receive's; -EXDEV, and nothing has happened, where the home is elsewhere, and where workers share tasks but not their reactors;
 * -ECANCELED: no byte was taken. Thread: as sley_await; not on plain threads (-ENOTSUP for one without a home).
 *
 * Of a stream of bytes that is read so in a loop, a home may take what comes before it is asked for (uring does). That is what the next
 * ops get, of whatever kind, but for READ, READV and SPLICE, which are -EBUSY until it has been received; so is sley_fd_move. What
 * nobody has received when the descriptor is closed, or when its home ends, is gone: -ENODEV is then what a move says.
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
