/* The io_uring reactor: ops are submitted to the kernel in batches, and completed by it. Needs Linux and liburing. */
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
 * An op is in flight while a task waits for it, also one of another executor. When the thread has exited, the next thread that drives
 * continues its ops on sockets and the like as if nothing had happened. Ops on files and paths, and sends without a copy, that the
 * kernel has begun go on in the kernel; when one is over it ends with -EOWNERDEAD, because its result is lost (it may have succeeded), and
 * until then an end of the reactor is -EBUSY. Direct descriptors are closed with the thread (-EBADF), and the ring has none any more.
 * Multishot requests (of a listener that is accepted from in a loop, of a connection that is read into lent buffers in a loop) are ended
 * when the thread stops driving and no op waits; what they have brought by then goes to the next op.
 * Not shared by workers that share their tasks: each has its own.
 * Needs Linux 5.11, and uses features of newer kernels one by one. In addition to a factory's errors, create returns -EPERM: io_uring is
 * forbidden here; -ENOMEM: also when RLIMIT_MEMLOCK does not allow the smallest ring.
 */
SLEY_API extern const struct sley_reactor_factory sley_reactor_uring;

/**
 * "uring-msg": the same, woken by messages to its ring (MSG_RING without a ring of the sender's, Linux 6.13) instead of an eventfd that it
 * polls; on older kernels, and when a message is refused, by the eventfd. It is not the default because it was not faster where it was
 * measured (docs/performance.md).
 */
SLEY_API extern const struct sley_reactor_factory sley_reactor_uring_msg;

SLEY_EXTERN_C_END
#endif
