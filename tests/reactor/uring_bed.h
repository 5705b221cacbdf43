/* For tests of what only a ring has: a fiber over a ring that is made as the case wants it. */
#ifndef SLEY_TESTS_REACTOR_URING_BED_H
#define SLEY_TESTS_REACTOR_URING_BED_H

#include "bed.h"

#include <errno.h>

static struct sley__uring_opts ring_opts;

static int create_ring(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    return sley__uring_create(o, &ring_opts, ret_reactor);
}

/** A bed over a ring made by these options. */
static inline void ring_start(struct bed *b, struct sley__uring_opts opts)
{
    static const struct sley_reactor_factory rings = {.version = SLEY_REACTOR_VERSION, .name = "uring", .create = create_ring};
    static const struct sley_reactor_factory *const reactors[] = {&rings, NULL};
    const char *missing = uring_missing();
    if (missing) {
        SKIP("%s", missing);
    }
    ring_opts = opts;
    sley_local_init(&b->ex);
    CHECK_RC(b->ex.base.ops->start(&b->ex.base, &(struct sley_executor_config){.alloc = harness_alloc(), .reactors = reactors}), 0);
}

/** Runs @p fn as the only fiber over a ring made by these options. */
static inline void in_ring(struct sley__uring_opts opts, void (*fn)(void))
{
    struct bed b;
    ring_start(&b, opts);
    bed_run(&b, fn);
    bed_end(&b);
}

static inline struct sley__uring *ring(void)
{
    return sley_container_of(reactor(), struct sley__uring, base);
}

static unsigned submitted; /* to the kernel, by `counted` */

static inline int counted(struct sley__uring *r, unsigned count, unsigned least, unsigned flags, void *arg, size_t size)
{
    const int rc = sley__uring_syscall_enter(r->enter_fd, count, least, flags | r->enter_flags, arg, size);
    submitted += rc > 0 && count > 0 ? (unsigned)rc : 0;
    return rc;
}

/** A kernel that refuses for a moment, or takes only some. */
static inline int moody(struct sley__uring *r, unsigned count, unsigned least, unsigned flags, void *arg, size_t size)
{
    static const int refusals[] = {-EAGAIN, -EBUSY, -EINTR, -ENOMEM};
    const unsigned some = count > 1 ? 1 + (unsigned)harness_rand_below(count) : count;
    if (harness_rand_below(3) == 0) {
        return refusals[harness_rand_below(sizeof refusals / sizeof refusals[0])];
    }
    return sley__uring_syscall_enter(r->enter_fd, some, some == count ? least : 0, flags | r->enter_flags, arg, size);
}

/* ---- what stands in the kernel for a descriptor ---------------------------------------------------------------------- */

static inline const struct sley__uring_slot *slot_of(const struct sley_fd *fd)
{
    return sley__uring_find(ring(), fd->number);
}

static inline bool stands(const struct sley_fd *fd)
{
    return slot_of(fd)->standing & SLEY__URING_STANDS;
}

static inline uint32_t lying(const struct sley_fd *fd)
{
    return slot_of(fd)->standing & SLEY__URING_KEPT ? slot_of(fd)->ahead_count : 0;
}

#endif
