/* What tests of the blocking pool stand on: jobs held at a gate, tasks of both styles that ask for a job, a record of reports. */
#ifndef SLEY_TEST_BLOCKING_RIG_H
#define SLEY_TEST_BLOCKING_RIG_H

#include <semaphore.h>

#include <sley/blocking.h>
#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/runtime.h>

#include "harness.h"

/** Jobs enter and wait until it is opened, once for each. */
struct gate {
    sem_t entered, open;
    SLEY_ATOMIC(int) ran, inside, most; /* bodies begun; in them now; at the same time, at most */
};
void gate_init(struct gate *g);
void gate_wait(struct gate *g, int n); /* until n jobs have entered since */
void gate_open(struct gate *g, int n);
/** A job: passes the gate, returns how many had run before it. @p arg: the gate. */
int gate_job(void *arg);

/** A job that counts: @p arg is a SLEY_ATOMIC(int); returns its value before. */
int count_job(void *arg);

/** A request for one job, and what came of it. */
struct ask {
    const struct sley_blocking_how *how;
    sley_blocking_fn fn;
    void *arg;
    int verdict, result;
    struct sley_task *task;
};
enum { STYLES = 2 };
/** Spawns a task (0: fiber, 1: frame) that makes the request; `a->task` is its handle. */
void ask_spawn(struct sley_runtime *rt, int style, struct ask *a);
/** Turns the runtime until nothing is ready. */
void rig_turn(struct sley_runtime *rt);
/** Runs until the asking task has ended; its verdict. */
int ask_wait(struct sley_runtime *rt, struct ask *a);

struct reports {
    unsigned count;
    char text[16384];
};
void reports_take(void *arg, enum sley_report_kind kind, const char *text);

/** A pool over the counting allocator. */
struct sley_blocking_pool *rig_pool(uint32_t min, uint32_t max, uint32_t queue, uint64_t idle_ns);
/** A runtime over it (NULL: its own) and the counting allocator. */
void rig_runtime(struct sley_runtime *rt, struct sley_blocking_pool *pool);
void rig_runtime_end(struct sley_runtime *rt);
/** What a pool is doing now. */
struct rig_stats {
    uint32_t thread_count, idle_count, queued_count;
};
void rig_stats(struct sley_blocking_pool *p, struct rig_stats *ret_stats);
/** Waits (looking again and again) until a pool has so many threads, of which so many sleep. */
void rig_settle(struct sley_blocking_pool *p, uint32_t threads, uint32_t idle);

#endif
