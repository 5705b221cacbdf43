/* What the kernel knows and liburing 2.3 does not, each with the version that brought it; and the three system calls. */
#ifndef SLEY_REACTOR_URING_KERNEL_H
#define SLEY_REACTOR_URING_KERNEL_H

#include <liburing.h>
#include <sley/base.h>

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16) /* 6.6: entries are taken in order, without an array of their places */
#endif

#ifndef IORING_FEAT_MIN_TIMEOUT
#define IORING_FEAT_MIN_TIMEOUT (1U << 15) /* 6.12: a wait for several completions does with fewer after a moment */
#endif

/** struct io_uring_getevents_arg, whose padding the moment is. */
struct sley__uring_wait {
    uint64_t signals;
    uint32_t signal_bytes;
    uint32_t moment_us; /* 0: as long as it takes */
    uint64_t limit;     /* a struct __kernel_timespec * */
};
SLEY_STATIC_ASSERT(sizeof(struct sley__uring_wait) == sizeof(struct io_uring_getevents_arg), "the kernel's");

enum { SLEY__URING_OP_FIXED_FD_INSTALL = 54 }; /* 6.8: a number for a file of the ring's table */
/* The kernel's own words for a call that a signal has cut short (ERESTARTSYS and so on): an open, say, passes them on as they are. */
enum { SLEY__URING_RESTART_FIRST = 512, SLEY__URING_RESTART_LAST = 516 };
enum { SLEY__URING_REGISTER_SEND_MSG_RING = 31 }; /* 6.13: IORING_OP_MSG_RING (5.18) by who has no ring */

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As liburing's functions of like names; all return a negative errno. */

static inline int sley__uring_syscall_setup(unsigned entries, struct io_uring_params *p)
{
    const long rc = syscall(__NR_io_uring_setup, entries, p);
    return rc < 0 ? -errno : (int)rc;
}

static inline int sley__uring_syscall_enter(int number, unsigned count, unsigned least, unsigned flags, void *arg, size_t bytes)
{
    const long rc = syscall(__NR_io_uring_enter, number, count, least, flags, arg, bytes);
    return rc < 0 ? -errno : (int)rc;
}

static inline int sley__uring_syscall_register(int number, unsigned what, void *arg, unsigned count)
{
    const long rc = syscall(__NR_io_uring_register, number, what, arg, count);
    return rc < 0 ? -errno : (int)rc;
}

#endif
