/* One core, and what the cores of an executor share. The executor's side is in cores.c and driver.c, the worker's in core.c.
 *
 * Asking. One thread at a time drives the executor (run, stop, fini). It asks a core by a word of bits and a round, posted to the
 * core's inbox; the core acts on it between tasks, and answers after its next batch by storing the round and ringing the bell.
 * A core that does not come to it is asked again in vain: bits gather in the word, the post is sent once.
 *
 * Quiet. "No task is left on any core" cannot be read off at one instant. So: count what has moved between cores, ask each core to
 * say when it has no task, and when all have said so, count again. If nothing has moved meanwhile, there was an instant when all
 * were without tasks: a task appears on a core only by a move, counted after it has arrived and before the task (or call) that
 * caused it ends, or by a task that is there already. If something has moved, the round begins anew.
 */
#ifndef SLEY_CORES_CORE_H
#define SLEY_CORES_CORE_H

#include <sley/cores.h>
#include <sley/local_impl.h>
#include <sley/placement_impl.h>

#include "sys.h"

enum sley__ask {
    SLEY__ASK_WATCH = 1,   /* is the watched task done? If not, say when */
    SLEY__ASK_STOP = 2,    /* take no more tasks, cancel those that are there */
    SLEY__ASK_REPORT = 4,  /* name who is left */
    SLEY__ASK_CLOSE = 8,   /* drop what never ran, take no more */
    SLEY__ASK_END = 16,    /* leave the loop */
    SLEY__ASK_ANSWER = 32, /* say that it is done, and how many tasks there are */
    SLEY__ASK_QUIET = 64,  /* say when no task is left */
    SLEY__ASK_BITS = 8,    /* the round stands above */
};

enum sley__gate { SLEY__GATE_SHUT, SLEY__GATE_OPEN, SLEY__GATE_ABORT };

struct sley_core {
    struct sley_local local;
    struct sley_sched *sched;
    struct sley_cores_state *all;
    uint32_t index;
    int32_t cpu; /* pinned to this one, or -1 */
    pthread_t thread;
    int start_rc;
    /* the worker's own */
    uint32_t answer_due, quiet_due; /* rounds; 0: none */
    bool is_ending;
    struct sley_post post; /* in the inbox while `asks` is not 0 */
    /* shared */
    SLEY_ATOMIC(uint32_t) asks __attribute__((aligned(64)));
    SLEY_ATOMIC(uint32_t) started;
    SLEY_ATOMIC(uint32_t) answered; /* the round */
    SLEY_ATOMIC(uint32_t) quiet;    /* the round */
    SLEY_ATOMIC(uint32_t) live;     /* when it answered */
    SLEY_ATOMIC(uint64_t) moves;    /* tasks and calls that came from elsewhere */
    SLEY_ATOMIC(const struct sley_task *) watched;
};

struct sley_cores_state {
    struct sley_cores *ex;
    struct sley_alloc *alloc;
    struct sley_alloc libc;
    struct sley_executor_config config; /* the user's */
    struct sley_plan plan;
    uint32_t round; /* the driver's */
    char why[256];  /* what a core that did not start has said */
    SLEY_ATOMIC(uint32_t) gate __attribute__((aligned(64)));
    SLEY_ATOMIC(uint32_t) bell;    /* what the driver parks on */
    SLEY_ATOMIC(uint32_t) driving; /* a thread is inside run, stop or fini */
    SLEY_ATOMIC(uint32_t) halted;
    SLEY_ATOMIC(uint32_t) refuses; /* no more spawns */
    SLEY_ATOMIC(uint32_t) ended;   /* nor calls */
    SLEY_ATOMIC(uint32_t) turn;    /* whose turn it is to get a spawn */
    struct sley_core cores[];
};

/** A worker's thread, from its start to its end. */
void *sley__core_main(void *arg);
/** The core on which this is called, or NULL. */
struct sley_core *sley__core_here(void) SLEY_NOINLINE;
/** Asks. Thread: the driver. */
void sley__core_ask(struct sley_core *c, uint32_t bits, uint32_t round);
/** Says that something has arrived from elsewhere. */
void sley__core_moved(struct sley_core *c);
/** Makes the driver look. Thread: any, signal. */
void sley__cores_ring(struct sley_cores_state *st);

SLEY_INLINE struct sley_cores *sley__cores_of(struct sley_executor *ex)
{
    return sley_container_of(ex, struct sley_cores, base);
}

/* driver.c */

/** Becomes the driver. Returns: 0; -EINVAL when it has not started; -EDEADLK inside a runtime; -EBUSY. */
int sley__cores_enter(struct sley_cores_state *st);
void sley__cores_leave(struct sley_cores_state *st);
/** Before the driver looks: takes in every ring up to here, so that what comes after the look ends the wait. */
void sley__cores_listen(struct sley_cores_state *st);
/** Asks every core for @p bits, in a new round. Thread: the driver. */
void sley__cores_ask(struct sley_cores_state *st, uint32_t bits);
/** Asks every core for @p bits. Returns: true: one has a task, or has not answered in time. Thread: the driver. */
bool sley__cores_busy(struct sley_cores_state *st, uint32_t bits);
int sley__cores_run(struct sley_executor *ex, const struct sley_task *until);
void sley__cores_halt(struct sley_executor *ex);
int sley__cores_stop(struct sley_executor *ex, uint64_t drain_deadline_ns);

#endif
