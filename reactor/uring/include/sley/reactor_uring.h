/* The io_uring reactor: ops go to the kernel in batches and come back done. Needs Linux and liburing. */
#ifndef SLEY_REACTOR_URING_H
#define SLEY_REACTOR_URING_H

#include <sley/reactor_impl.h>

SLEY_EXTERN_C_BEGIN

/**
 * "uring": one ring, of one thread: the first that drives it. Another thread may drive, or end it,
 *
 *   | kernel                      | while ops are in flight                     | while direct descriptors are there   | else      |
 *   | with DEFER_TASKRUN (6.1 on) | no: ops are -EEXIST, its end -EBUSY, until  | no: ops are -EEXIST; it may end it   | yes       |
 *   |                             | the thread before has driven, ended it, or  |                                      |           |
 *   |                             | exited                                      |                                      |           |
 *   | before                      | yes                                         | yes                                  | yes       |
 *
 * In flight is what somebody waits for, another executor included. When the thread has exited, whoever drives next goes on with what it
 * had in flight on sockets and the like, as if nothing had happened. What the kernel has of files and paths, and of sends without a copy,
 * it goes on with by itself: such an op ends when it is through, with -EOWNERDEAD, for how it has ended is known to nobody (it may have
 * been done); an end is -EBUSY until then. Direct descriptors end with the thread (-EBADF), and the ring has none any more.
 * What stands in the kernel for who asks in a loop (a listener that is accepted from, a connection that is read into
 * lent buffers) is let go when the thread stops to drive while nobody waits; what it has brought by then is the next one's.
 * Not for workers that share their tasks.
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
