/* What the tests of cores share: a started executor over the counting allocator, reports in a buffer. */
#ifndef SLEY_TEST_CORES_BED_H
#define SLEY_TEST_CORES_BED_H

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <sley/cores.h>
#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/reactor_poll.h>

#include "harness.h"

struct none {
    char none;
};

static const struct sley_reactor_factory *const bed_epolls[] = {&sley_reactor_epoll, NULL};

struct bed {
    struct sley_cores cores;
    struct sley_executor *ex;
    pthread_mutex_t lock;
    char reports[65536];
};

static inline void bed_report(void *arg, enum sley_report_kind kind, const char *text)
{
    struct bed *b = arg;
    (void)kind;
    pthread_mutex_lock(&b->lock);
    const size_t len = strlen(b->reports);
    (void)snprintf(b->reports + len, sizeof b->reports - len, "%s\n", text);
    pthread_mutex_unlock(&b->lock);
}

static inline void bed_start(struct bed *b, uint32_t count)
{
    char why[256] = "";
    memset(b, 0, sizeof *b);
    CHECK_INT(pthread_mutex_init(&b->lock, NULL), ==, 0);
    sley_cores_init(&b->cores, NULL);
    b->ex = &b->cores.base;
    const struct sley_executor_config config = {.alloc = harness_alloc(),
                                                .reactors = bed_epolls,
                                                .worker_count = count,
                                                .report = bed_report,
                                                .report_arg = b,
                                                .stall_ns = SLEY_NEVER, /* on a busy machine everything stalls */
                                                .ret_error = why,
                                                .error_bytes = sizeof why};
    CHECK_RC(b->ex->ops->start(b->ex, &config), 0);
    CHECK_STR(why, "");
}

static inline void bed_end(struct bed *b)
{
    CHECK_RC(b->ex->ops->stop(b->ex, SLEY_NEVER), 0);
    CHECK_RC(b->ex->ops->fini(b->ex), 0);
    CHECK_STR(b->reports, "");
    CHECK_INT(pthread_mutex_destroy(&b->lock), ==, 0);
}

/** Spawns on a core; the handle is the caller's. */
static inline struct sley_task *bed_spawn(struct bed *b, uint32_t core, const struct sley_task_type *type, const void *args)
{
    struct sley_task *t = NULL;
    CHECK_RC(sley_cores_spawn_on(&b->cores, core, type, args, &t), 0);
    return t;
}

/** Waits on this thread for its end; gives the handle back. */
static inline int bed_join(struct sley_task *t)
{
    int result = 1 << 30;
    CHECK_RC(sley_task_join(t, &result), 0);
    sley_task_unref(t);
    return result;
}

static inline int bed_run(struct bed *b, uint32_t core, const struct sley_task_type *type, const void *args)
{
    return bed_join(bed_spawn(b, core, type, args));
}

#endif
