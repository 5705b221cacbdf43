/* What tests of tasks stand on: an executor with one thread (local, or what SLEY_EXECUTOR names) and a virtual clock, a record of
 * reports, and a node that the test completes. */
#ifndef SLEY_TEST_BED_H
#define SLEY_TEST_BED_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/local.h>

#include "chosen.h"
#include "harness.h"

/** The argument of a task that needs none. */
struct none {
    char none;
};

/* Time stands still while anything can run, and jumps to the next timer when nothing can. */
struct bed {
    union chosen_memory memory;
    struct sley_executor *ex;
    struct sley_sched *sched;
    struct sley_clock clock;
    uint64_t now_ns;
    unsigned idle_count;
    unsigned report_count;
    char reports[65536];
};

static inline uint64_t bed_now(struct sley_clock *c)
{
    return sley_container_of(c, struct bed, clock)->now_ns;
}

static inline void bed_idle(struct sley_clock *c, uint64_t next_ns)
{
    struct bed *b = sley_container_of(c, struct bed, clock);
    b->idle_count++;
    CHECK_UINT(next_ns, !=, SLEY_NEVER);
    b->now_ns = next_ns > b->now_ns ? next_ns : b->now_ns;
}

static inline void bed_report(void *arg, enum sley_report_kind kind, const char *text)
{
    struct bed *b = (struct bed *)arg;
    const size_t len = strlen(b->reports);
    (void)snprintf(b->reports + len, sizeof b->reports - len, "%u|%s\n", (unsigned)kind, text);
    b->report_count++;
}

static inline int bed_try_start(struct bed *b, struct sley_alloc *alloc)
{
    *b = (struct bed){.clock = {bed_now, bed_idle}, .now_ns = SLEY_S};
    b->ex = chosen_driven(&b->memory);
    const struct sley_reactor_factory *const reactors[] = {chosen_reactor(), NULL};
    const struct sley_executor_config config = {
        .alloc = alloc, .reactors = reactors, .clock = &b->clock, .report = bed_report, .report_arg = b, .stall_ns = SLEY_NEVER};
    const int rc = b->ex->ops->start(b->ex, &config);
    b->sched = rc == 0 ? b->ex->ops->sched(b->ex) : NULL;
    return rc;
}

static inline void bed_start(struct bed *b)
{
    CHECK_RC(bed_try_start(b, harness_alloc()), 0);
}

/** A task from outside, as sley_runtime_spawn makes it. */
static inline struct sley_task *bed_spawn(struct bed *b, const struct sley_task_type *type, const void *args)
{
    struct sley_task *t = NULL;
    CHECK_RC(b->ex->ops->spawn(b->ex, type, args, &t), 0);
    return t;
}

/** A task as another task makes it. */
static inline struct sley_task *bed_spawn_home(struct bed *b, const struct sley_task_type *type, const void *args)
{
    struct sley_task *t = NULL;
    struct sley_sched *outer = sley_sched_enter(b->sched);
    CHECK_RC(sley_spawn(NULL, type, args, NULL, &t), 0);
    (void)sley_sched_enter(outer);
    return t;
}

static inline void bed_run_until(struct bed *b, const struct sley_task *t)
{
    CHECK_RC(b->ex->ops->run(b->ex, t), 0);
}

static inline void bed_run_all(struct bed *b)
{
    CHECK_RC(b->ex->ops->run(b->ex, NULL), 0);
}

/** Turns until nothing is ready and nobody has posted; does not wait for timers. */
static inline void bed_settle(struct bed *b)
{
    int turn;
    do {
        turn = b->ex->ops->turn(b->ex, 0, NULL);
        CHECK_INT(turn, >=, 0);
    } while (turn != SLEY_TURN_IDLE);
}

/** Runs a task to its end; its result. */
static inline int bed_run(struct bed *b, const struct sley_task_type *type, const void *args)
{
    int result = 1 << 30;
    struct sley_task *t = bed_spawn(b, type, args);
    bed_run_until(b, t);
    CHECK_RC(sley_task_result(t, &result), 0);
    sley_task_unref(t);
    return result;
}

static inline void bed_end(struct bed *b)
{
    CHECK_RC(b->ex->ops->stop(b->ex, SLEY_NEVER), 0);
    CHECK_RC(b->ex->ops->fini(b->ex), 0);
}

/* ---- a node that the test completes -------------------------------------------------------------------------------- */

enum gate_how {
    GATE_PLAIN, /* a cancel ends it at once with -ECANCELED */
    GATE_SLOW,  /* a cancel is noted; the test completes */
    GATE_READY, /* done in start, with 7 */
    GATE_FIRM,  /* cannot be cancelled */
};

struct gate {
    struct sley_wait wait;
    unsigned cancel_count;
    enum gate_how how;
};

static inline void gate_cancel(struct sley_wait *w)
{
    struct gate *g = sley_container_of(w, struct gate, wait);
    g->cancel_count++;
    if (g->how == GATE_PLAIN) {
        sley_wait_complete(w, -ECANCELED);
    }
}

static const struct sley_wait_ops gate_ops = {.version = SLEY_WAIT_VERSION, .name = "gate", .cancel = gate_cancel};
static const struct sley_wait_ops gate_firm_ops = {.version = SLEY_WAIT_VERSION, .name = "gate.firm"};

static inline void gate_start(struct gate *g, enum gate_how how)
{
    if (!sley_wait_begin(&g->wait, how == GATE_FIRM ? &gate_firm_ops : &gate_ops)) {
        return;
    }
    g->how = how;
    g->cancel_count = 0;
    if (how == GATE_READY) {
        sley_wait_finish(&g->wait, 7);
    } else {
        sley_wait_arm(&g->wait);
    }
}

/** The direct form, with the caller's node. */
static inline int gate_wait(struct gate *g, enum gate_how how)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    gate_start(g, how);
    return sley_await(&g->wait);
}

/** From outside, on the home thread: completes it as a callback of the runtime would. */
static inline void gate_open(struct bed *b, struct gate *g, int result)
{
    struct sley_sched *outer = sley_sched_enter(b->sched);
    sley_wait_complete(&g->wait, result);
    (void)sley_sched_enter(outer);
}

/** On a thread of its own, which has ended when this returns. */
static inline void *gate_thread(void *arg)
{
    sley_wait_complete(&((struct gate *)arg)->wait, 9);
    return NULL;
}

static inline void gate_open_elsewhere(struct gate *g)
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, gate_thread, g), ==, 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
}

/** Runs one fiber, from the start of a bed to its end; its result is to be 0. */
#define RUN_FIBER(fn, arg)                               \
    do {                                                 \
        struct bed b;                                    \
        bed_start(&b);                                   \
        CHECK_INT(bed_run(&b, &fn##__type, arg), ==, 0); \
        bed_end(&b);                                     \
    } while (0)

#endif
