/* The io_uring reactor: ops go to the kernel in batches and come back done. Needs Linux and liburing. */
#ifndef SLEY_REACTOR_URING_H
#define SLEY_REACTOR_URING_H

#include <sley/reactor_impl.h>

SLEY_EXTERN_C_BEGIN

/**
 * "uring": one ring, of one thread: the first that drives it. Another thread may drive, or end it,
 *
 *   | kernel                      | while ops are in flight                     | while direct descriptors are there   | else      |
 *   | with SINGLE_ISSUER (6.0 on) | no: ops are -EEXIST, its end -EBUSY, until  | no: ops are -EEXIST; it may end it   | yes       |
 *   |                             | the thread before has driven, or ended it   |                                      |           |
 *   | before                      | yes                                         | yes                                  | yes       |
 *
 * In flight is what somebody waits for, another executor included; so a thread that leaves something in flight is to end the ring
 * before it exits. What stands in the kernel for who asks in a loop (a listener that is accepted from, a connection that is read into
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
