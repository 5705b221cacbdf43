/* The io_uring reactor: ops go to the kernel in batches and come back done. Needs Linux and liburing. */
#ifndef SLEY_REACTOR_URING_H
#define SLEY_REACTOR_URING_H

#include <sley/reactor_impl.h>

SLEY_EXTERN_C_BEGIN

/**
 * "uring": one ring, of one thread: the first that drives it. Another thread may take over while nothing is in flight (nor waits in the
 * kernel for a listener that has been accepted from in a loop, or a connection that is read so into lent buffers), or where the
 * kernel has no SINGLE_ISSUER (before 6.0); else ops that it starts are -EEXIST. Not for workers that share their tasks.
 * Needs Linux 5.11; uses what newer ones have, each feature for itself. Create returns beside what a factory may: -EPERM:
 * io_uring is forbidden here; -ENOMEM also when RLIMIT_MEMLOCK does not allow for the smallest ring.
 */
SLEY_API extern const struct sley_reactor_factory sley_reactor_uring;

/**
 * "uring-msg": the same, woken by messages to its ring (MSG_RING without a ring of the sender's, Linux 6.13) in place of an eventfd
 * that it polls; on older kernels, and where a message is refused, by the eventfd. A choice of its own, for it was not the better one
 * where it was measured (docs/performance.md); whoever wakes between threads a lot may find it so elsewhere.
 */
SLEY_API extern const struct sley_reactor_factory sley_reactor_uring_msg;

SLEY_EXTERN_C_END
#endif
