/* For tests of what only a ring has: a fiber over a ring that is made as the case wants it. */
#ifndef SLEY_TESTS_REACTOR_URING_BED_H
#define SLEY_TESTS_REACTOR_URING_BED_H

#include "bed.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

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

/* ---- who drives it ------------------------------------------------------------------------------------------------------ */

/** Runs until @p fn is through, whoever else waits. */
static inline void ring_run_one(struct bed *b, void (*fn)(void))
{
    struct sley_executor *ex = &b->ex.base;
    struct sley_task *t;
    CHECK_RC(ex->ops->spawn(ex, &bed_fiber__type, &(struct bed_args){fn}, &t), 0);
    CHECK_RC(ex->ops->run(ex, t), 0);
    sley_task_unref(t);
}

struct ring_life {
    struct bed *bed;
    void (*fn)(void);
};

static inline void *ring_short_life(void *arg)
{
    const struct ring_life *life = arg;
    ring_run_one(life->bed, life->fn);
    return NULL;
}

/** The same on a thread that ends then. */
static inline void ring_run_and_end(struct bed *b, void (*fn)(void))
{
    struct ring_life life = {b, fn}; /* not in the check below, whose block ends before the thread does */
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, ring_short_life, &life), ==, 0);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
}

/* ---- the kernel's moods ------------------------------------------------------------------------------------------------- */

/** From now on the kernel refuses this kind of registration to this thread (EPERM). */
static inline void ring_forbid_register(unsigned what)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, what, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), ==, 0);
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
