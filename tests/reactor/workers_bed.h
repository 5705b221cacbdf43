/* Workers of `stealing` over a reactor: a run, and how tasks and threads of a test tell each other where they are. */
#ifndef TESTS_REACTOR_WORKERS_BED_H
#define TESTS_REACTOR_WORKERS_BED_H

#include "bed.h"

#include <sley/group_impl.h>
#include <sley/stealing.h>

static inline void workers_start(struct sley_stealing *ex, const struct sley_reactor_factory *factory, uint32_t workers,
                                 uint64_t stuck_ns)
{
    const struct sley_reactor_factory *const reactors[] = {factory, NULL};
    const struct sley_executor_config config = {
        .alloc = harness_alloc(), .reactors = reactors, .worker_count = workers, .stuck_ns = stuck_ns};
    const char *missing = MISSING();
    if (missing) {
        SKIP("%s", missing);
    }
    sley_stealing_init(ex, NULL);
    CHECK_RC(sley_stealing_ops.start(&ex->base, &config), 0);
}

/** Runs @p fn as the first fiber of as many workers. @p stuck_ns: 0 is the default. */
static inline void workers_run(const struct sley_reactor_factory *factory, uint32_t workers, uint64_t stuck_ns, void (*fn)(void))
{
    struct sley_stealing ex;
    workers_start(&ex, factory, workers, stuck_ns);
    CHECK_RC(sley_stealing_ops.spawn(&ex.base, &bed_fiber__type, &(struct bed_args){fn}, NULL), 0);
    CHECK_RC(sley_stealing_ops.run(&ex.base, NULL), 0);
    CHECK_RC(sley_stealing_ops.stop(&ex.base, SLEY_NEVER), 0);
    CHECK_RC(sley_stealing_ops.fini(&ex.base), 0);
}

static inline bool said(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0;
}

static inline void say(uint32_t *word)
{
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
}

static inline int join(struct sley_task *t)
{
    int result = -EIO;
    CHECK_RC(sley_task_join(t, &result), 0);
    sley_task_unref(t);
    return result;
}

#endif
