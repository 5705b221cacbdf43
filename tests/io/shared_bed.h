/* What the tests of streams among workers that share their tasks have in common: a case as a fiber on two and on four workers. */
#ifndef SLEY_IO_SHARED_BED_H
#define SLEY_IO_SHARED_BED_H

#include "io_test.h"

#include <sley/stealing.h>

/** Runs the task on a work-stealing executor with epoll until it ends with 0; then everything is released. */
static inline void run_on(uint32_t workers, const struct sley_task_type *type)
{
    static const struct sley_reactor_factory *const reactors[] = {&sley_reactor_epoll, NULL};
    const struct sley_executor_config config = {.alloc = harness_alloc(), .reactors = reactors, .worker_count = workers};
    struct sley_stealing ex;
    struct sley_task *t = NULL;
    int result = -EIO;
    sley_stealing_init(&ex, NULL);
    CHECK_RC(sley_stealing_ops.start(&ex.base, &config), 0);
    CHECK_RC(sley_stealing_ops.spawn(&ex.base, type, NULL, &t), 0);
    CHECK_RC(sley_stealing_ops.run(&ex.base, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    sley_task_unref(t);
    CHECK_RC(result, 0);
    CHECK_RC(sley_stealing_ops.stop(&ex.base, SLEY_NEVER), 0);
    CHECK_RC(sley_stealing_ops.fini(&ex.base), 0);
}

/** A case whose body is a fiber, on two and on four workers. */
#define SHARED_TEST(name, ids)                         \
    static int name(void *unused);                     \
    SLEY_FIBER(name, void)                             \
    SLEY_TEST_SECONDS(name##_on_two_workers, ids, 60)  \
    {                                                  \
        run_on(2, &name##__type);                      \
    }                                                  \
    SLEY_TEST_SECONDS(name##_on_four_workers, ids, 60) \
    {                                                  \
        run_on(4, &name##__type);                      \
    }                                                  \
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
