/* Every kind of runtime that this build has: for what must be the same on all of them. */
#ifndef SLEY_IO_KINDS_H
#define SLEY_IO_KINDS_H

#include <sley/sley.h>

#include "harness.h"

struct kind {
    const char *executor, *reactor;
    uint32_t workers;
};

/** Ends with one that has no name. */
extern const struct kind kinds[];
extern const struct kind kinds_with_reactor[];
/** @p list, or the one kind that SLEY_EXECUTOR, SLEY_WORKERS and SLEY_REACTOR name. */
const struct kind *kinds_chosen(const struct kind *list);

void kind_start(struct sley_runtime *rt, const struct kind *k);
/** In the child of a fork: the counting allocator's lock may be held by a thread that is not there. libc sees to its own. */
void kind_start_forked(struct sley_runtime *rt, const struct kind *k);
/** Runs a task there until it has ended with 0. */
void kind_run(struct sley_runtime *rt, const struct sley_task_type *type, const void *args);
void kind_end(struct sley_runtime *rt);

/**
 * Whom signals to the process (USR1, USR2, CHLD, RTMIN) interrupt until catcher_stop: a thread that waits at a semaphore. Workers block
 * them; the thread that drives would do, too, but the thread sanitizer runs handlers only in calls that it knows, and it does not
 * know how that one sleeps.
 */
void catcher_start(void);
void catcher_stop(void);

/** A case whose body is a fiber, run, with a catcher, on each of @p kinds in turn. The body returns 0. */
#define KINDS_TEST(name, ids, kinds)                                                             \
    static int name(void *unused);                                                               \
    SLEY_FIBER(name, void)                                                                       \
    SLEY_TEST_SECONDS(name, ids, 60)                                                             \
    {                                                                                            \
        catcher_start();                                                                         \
        for (const struct kind *k = kinds_chosen(kinds); k->executor; k++) {                     \
            harness_note("%s on %s, %u workers", k->executor, k->reactor, (unsigned)k->workers); \
            struct sley_runtime rt;                                                              \
            kind_start(&rt, k);                                                                  \
            kind_run(&rt, &name##__type, NULL);                                                  \
            kind_end(&rt);                                                                       \
        }                                                                                        \
        catcher_stop();                                                                          \
    }                                                                                            \
    static int name(void *unused __attribute__((unused)))

#endif
