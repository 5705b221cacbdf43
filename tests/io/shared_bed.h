/* What the tests of streams among workers that share their tasks have in common: a case as a fiber on two and on four workers over a
 * reactor that they share; where SHARED_APART is defined, also on two that have each a reactor for itself (with SHARED_APART_ALONE
 * on these alone). */
#ifndef SLEY_IO_SHARED_BED_H
#define SLEY_IO_SHARED_BED_H

#include "io_test.h"

#include <sley/stealing.h>

#include <string.h>

static struct sley_stealing *shared_executor; /* the case's */

/** Runs the task on a work-stealing executor until it ends with 0; then everything is released. */
static inline void run_on(uint32_t workers, const struct sley_reactor_factory *reactor, const struct sley_task_type *type)
{
    const struct sley_reactor_factory *const reactors[] = {reactor, NULL};
    char why[256];
    const struct sley_executor_config config = {
        .alloc = harness_alloc(), .reactors = reactors, .worker_count = workers, .ret_error = why, .error_bytes = sizeof why};
    struct sley_stealing ex;
    struct sley_task *t = NULL;
    int result = -EIO;
    sley_stealing_init(&ex, NULL);
    shared_executor = &ex;
    const int rc = sley_stealing_ops.start(&ex.base, &config);
    if (rc < 0 && strcmp(reactor->name, "uring") == 0) {
        SKIP("%s", why);
    }
    CHECK_RC(rc, 0);
    CHECK_RC(sley_stealing_ops.spawn(&ex.base, type, NULL, &t), 0);
    CHECK_RC(sley_stealing_ops.run(&ex.base, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    sley_task_unref(t);
    CHECK_RC(result, 0);
    CHECK_RC(sley_stealing_ops.stop(&ex.base, SLEY_NEVER), 0);
    CHECK_RC(sley_stealing_ops.fini(&ex.base), 0);
}

#ifdef SHARED_APART
#define SHARED_TEST_APART(name, ids)                   \
    SLEY_TEST_SECONDS(name##_on_two_apart, ids, 60)    \
    {                                                  \
        run_on(2, &sley_reactor_poll2, &name##__type); \
    }
#else
#define SHARED_TEST_APART(name, ids)
#endif
#if defined(SHARED_APART) && defined(IO_URING)
#define SHARED_TEST_ON_RINGS(name, ids)                \
    SLEY_TEST_SECONDS(name##_on_two_rings, ids, 60)    \
    {                                                  \
        run_on(2, &sley_reactor_uring, &name##__type); \
    }
#else
#define SHARED_TEST_ON_RINGS(name, ids)
#endif

#ifdef SHARED_APART_ALONE
#define SHARED_TEST_TOGETHER(name, ids)
#else
#define SHARED_TEST_TOGETHER(name, ids)                \
    SLEY_TEST_SECONDS(name##_on_two_workers, ids, 60)  \
    {                                                  \
        run_on(2, &sley_reactor_epoll, &name##__type); \
    }                                                  \
    SLEY_TEST_SECONDS(name##_on_four_workers, ids, 60) \
    {                                                  \
        run_on(4, &sley_reactor_epoll, &name##__type); \
    }
#endif

/** A case whose body is a fiber. */
#define SHARED_TEST(name, ids)      \
    static int name(void *unused);  \
    SLEY_FIBER(name, void)          \
    SHARED_TEST_TOGETHER(name, ids) \
    SHARED_TEST_APART(name, ids)    \
    SHARED_TEST_ON_RINGS(name, ids) \
    static int name(void *unused __attribute__((unused)))

static inline unsigned rounds(unsigned n)
{
    return n / harness_slowness();
}

/** Lets others run, for a while. */
static inline void loiter(unsigned limit)
{
    for (uint64_t n = harness_rand_below(limit + 1); n > 0; n--) {
        (void)sley_yield();
    }
}

#endif
