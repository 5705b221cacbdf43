/* The task's state word: bits, edges, who takes them. No code outside this file changes the run state.
 *
 *            spawn                 run loop                     body returns DONE
 *   (new) ----(1)---> SCHEDULED ----(2)---> RUNNING --------------(6)-------------> DONE
 *                         ^  ^                |  |
 *                         |  +--(3) yields ---+  +--(4) waits ---> IDLE
 *                         |  +--(4') waits, but was woken --+       |
 *                         +-----------(5) woken ---------------------+
 *
 *   edge                                     taken by
 *   (1) sley__task_to_scheduled              sley__spawn_commit, sley__inbox_task
 *   (2) sley__task_to_running                sley_sched_run
 *   (3) (4) (4') sley__task_after_step       sley_sched_run
 *   (5) sley__task_wake_home (task_impl.h)   completers, scopes
 *   (6) sley__task_to_done                   sley__task_finish
 *
 * On an executor with SLEY_SCHED_CAP_HOME every edge is taken by the home thread with plain loads and stores; other threads
 * reach a task only through `requests` and the inbox. The word is atomic because sley_task_done may read it from anywhere:
 * edge (6) releases, that read acquires.
 *
 *   bits            meaning                                   set by                     cleared by
 *   0-1  RUN_MASK   IDLE, SCHEDULED, RUNNING, DONE            the edges                  the edges
 *   2    WOKEN      woken while RUNNING                       wake                       (3) (4)
 *   3    POKED      a cancel wants a look before going on     sley__task_poke            sley__task_poll
 *   4    CANCEL     sley_task_cancel was called               home, on request           never
 *   5    CANCELLED  the last look found the task cancelled    sley__task_poll            sley__task_poll
 *   6    STARTED    the body was entered                      (2)                        never
 *   7    JOINED     its result was taken                      join                       never
 *   8    EXT        has room for a handle's post              spawn                      never
 *   9    RINGED     ended, waits in its scope's finished ring (6)                        sley_scope_next, scope fini
 *   10   ALLOC      memory is from the sley_alloc, not the slab   spawn elsewhere            never
 *   11   KEPT       ended, in the ring of those with handles   (6), scope_next          the last unref
 *   12   OPEN       stands in a scope that it opened           sley_scope_init            scope close
 *   13   MOVES      was given a lane, and may be again         spawn, sley__task_move     never
 *   14   LINKED     queued, and its handle says behind whom    sley__lane_push            (2), sley__task_move
 *   15   PINNED     stays on one worker of a group            spawn                      never
 *   16-23 LANE      the queue it is ready in                  spawn (its spawner's)      sley__task_move
 *   24-  REFS       handles given out (two at most)           spawn, sley_scope_next     unref
 *
 * Fields: `link.next` is the run queue's while SCHEDULED, `link.awaited` is set by the task itself before it goes IDLE.
 * `out.joiner` belongs to home until DONE, then `out.result` is constant. `scope` and the sibling links are home's alone.
 */
#ifndef SLEY_TASK_STATE_H
#define SLEY_TASK_STATE_H

#include <stdatomic.h>

#include <sley/task_impl.h>

enum {
    SLEY__TASK_POKED = 1 << 3,
    SLEY__TASK_CANCEL = 1 << 4,
    SLEY__TASK_CANCELLED = 1 << 5,
    SLEY__TASK_STARTED = 1 << 6,
    SLEY__TASK_JOINED = 1 << 7,
    SLEY__TASK_EXT = 1 << 8,
    SLEY__TASK_RINGED = 1 << 9,
    SLEY__TASK_ALLOC = 1 << 10,
    SLEY__TASK_KEPT = 1 << 11,
    SLEY__TASK_OPEN = 1 << 12,
    SLEY__TASK_LINKED = 1 << 14,
    SLEY__TASK_REF = 1 << 24,
};

/* what foreign handle holders ask for, in `requests`: the first to make it non-zero posts the task to its home */
enum {
    SLEY__REQ_CANCEL = 1, /* counted too: two at once must not look like something else */
    SLEY__REQ_CANCEL_MASK = (1 << 16) - 1,
    SLEY__REQ_UNREF = 1 << 16,
};

SLEY_INLINE uint32_t sley__task_state(const struct sley_task *t)
{
    /* relaxed: home thread reading its own word */
    return atomic_load_explicit(&t->state, memory_order_relaxed);
}

/** Of a task that another worker may have: idle, ready or running. */
SLEY_INLINE uint32_t sley__task_run(const struct sley_task *t)
{
    /* acquire: what it has done before it parked; pairs with the end of its resume in shared.c */
    return atomic_load_explicit(&t->state, memory_order_acquire) & SLEY__TASK_RUN_MASK;
}

SLEY_INLINE void sley__task_set(struct sley_task *t, uint32_t state)
{
    /* relaxed: home thread writing its own word; DONE is published by sley__task_to_done */
    atomic_store_explicit(&t->state, state, memory_order_relaxed);
}

/** Edge (1), and what edges (3) and (4') share: from @p state, in which it neither runs nor is woken. */
SLEY_INLINE void sley__task_to_scheduled(struct sley_sched *s, struct sley_task *t, uint32_t state)
{
    sley__task_set(t, state | SLEY__TASK_SCHEDULED);
    sley__task_queue(s, t, state);
}

/** Edge (2). Returns the state before, for the budget. */
SLEY_INLINE uint32_t sley__task_to_running(struct sley_task *t)
{
    const uint32_t state = sley__task_state(t);
    sley__task_set(t, (state & ~(uint32_t)(SLEY__TASK_RUN_MASK | SLEY__TASK_WOKEN | SLEY__TASK_LINKED)) | SLEY__TASK_RUNNING |
                          SLEY__TASK_STARTED);
    return state;
}

/** Edges (3), (4), (4'): queues the task again or lets it sleep. */
SLEY_INLINE void sley__task_after_step(struct sley_sched *s, struct sley_task *t, enum sley_step step)
{
    const uint32_t state = sley__task_state(t);
    if (SLEY_LIKELY(step == SLEY_STEP_WAIT) && SLEY_LIKELY(!(state & SLEY__TASK_WOKEN))) {
        sley__task_set(t, (state & ~(uint32_t)SLEY__TASK_RUN_MASK) | SLEY__TASK_IDLE);
        return;
    }
    sley__task_to_scheduled(s, t, state & ~(uint32_t)(SLEY__TASK_RUN_MASK | SLEY__TASK_WOKEN));
}

/** Edge (6). After it, a task with no handle and in no ring is free memory. */
SLEY_INLINE void sley__task_to_done(struct sley_task *t, int32_t result)
{
    t->out.result = result;
    /* release: publishes out.result and everything the body did to sley_task_done and foreign joiners */
    atomic_store_explicit(&t->state, sley__task_state(t) | SLEY__TASK_DONE, memory_order_release);
}

#endif
