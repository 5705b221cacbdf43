/* Tasks that several workers share: the edges of state.h as read-modify-writes, and the lock of scopes. For the files of task/.
 *
 * What differs from a home: nobody owns a task's run state, so that each edge that others may take, too, is one CAS or one addition
 * on `state`. A task is RUNNING from the wake that ends its wait to its next wait: queued, or being run, it belongs to who has it, and
 * changes hands through queues, which release and acquire. There is no SCHEDULED. STARTED is set by the end of its first resume.
 *
 *   edge                                          taken by                          order
 *   (1)  new -> RUNNING                           spawn, under its scope's lock     the queue's
 *   (2)  RUNNING, &= ~WOKEN                       sley_sched_resume, who popped it  a load, acquire; acq_rel if it was WOKEN
 *   (3)  RUNNING stays, |= STARTED                sley_sched_resume, a yield        none; acq_rel when there is something to change
 *   (4)  RUNNING -> IDLE                          sley_sched_resume                 release: what the task did, for who wakes it
 *   (4') RUNNING|WOKEN -> RUNNING                 sley_sched_resume                 acq_rel
 *   (5)  IDLE -> RUNNING, RUNNING -> |= WOKEN     sley__shared_wake                 acq_rel; whoever takes IDLE -> RUNNING queues
 *   (6)  RUNNING -> DONE                          sley__shared_finish               acq_rel; only with handles out
 *        REF given back                           sley__shared_unref                acq_rel: the last one frees
 *
 * A waiter's node is completed in four steps: claim it (TASK -> COMPLETING), take edge (5), publish DONE (the last access to the
 * node), queue the task if (5) was ours. Between (5) and the queue nobody can run the task, so its memory stays. A task that runs
 * meanwhile and finds COMPLETING waits for DONE by yielding.
 *
 * Who may touch what: a task's scopes are changed by itself, but for the close of the innermost one, which whoever ends its last
 * child does under its lock. A scope's children, counts and waiters: under its lock. Locks are taken from the inside out. A task
 * is freed where it was made: elsewhere it is pushed onto that worker's `returned`. */
#ifndef SLEY_TASK_SHARED_H
#define SLEY_TASK_SHARED_H

#include <sley/group_impl.h>

#include "state.h"

/* state, in place of what only a home has: the task is to move to the root scope by itself (sley_task_detach); it was spawned in the
 * usual way (sley__shared_begin) without a handle: a frame of its sched's slab, outside of scopes that collect */
enum { SLEY__TASK_DETACH = 1 << 13, SLEY__TASK_USUAL = 1 << 14 };

/* Sections take some ten nanoseconds; one that takes longer than so many turns of waiting has lost its processor. */
enum { SLEY__SPINS = 64 };

/* ---- hooks in code for a home: one compare with NULL, unless the executor has several workers --------------------- */

#if __STDC_HOSTED__
/** The group of a worker that shares its tasks; NULL: home. */
SLEY_INLINE struct sley_group *sley__group(const struct sley_sched *s)
{
    return s->group;
}
#else
SLEY_INLINE struct sley_group *sley__group(const struct sley_sched *s)
{
    (void)s;
    return NULL; /* one thread, one worker: what is for several is left out */
}
#endif

SLEY_INLINE void sley__scope_lock(struct sley_scope *sc)
{
    if (SLEY_UNLIKELY(sley__group(sc->sched) != NULL)) {
        sley_spin_lock(&sc->lock);
    }
}

SLEY_INLINE void sley__scope_unlock(struct sley_scope *sc)
{
    if (SLEY_UNLIKELY(sley__group(sc->sched) != NULL)) {
        sley_spin_unlock(&sc->lock);
    }
}

/** Are @p a and @p b workers of one group? */
SLEY_INLINE bool sley__task_shares(const struct sley_sched *a, const struct sley_sched *b)
{
    return a && sley__group(a) && sley__group(a) == sley__group(b);
}

/** Enters the group of @p s when this thread is none of its workers; NULL: it is one, and the group stays anyway. */
SLEY_INLINE struct sley_group *sley__group_visit(const struct sley_sched *s)
{
    struct sley_group *g = sley__task_shares(sley__self, s) ? NULL : s->group;
    if (g) {
        /* relaxed: only a count that sley_group_close waits for; the task that is visited keeps the group until it ends */
        atomic_fetch_add_explicit(&g->inside, 1, memory_order_relaxed);
    }
    return g;
}

SLEY_INLINE void sley__group_leave(struct sley_group *visited)
{
    if (visited) {
        /* release: the last access to the group; pairs with the wait in sley_group_close */
        atomic_fetch_sub_explicit(&visited->inside, 1, memory_order_release);
    }
}

/** Changes state bits of a task that others may change, too. Returns the state before. */
uint32_t sley__shared_set(struct sley_task *t, uint32_t set, uint32_t clear);

/** Changes bits of the task's state, in its own context. */
SLEY_INLINE void sley__task_bits(struct sley_task *t, uint32_t set, uint32_t clear)
{
    if (SLEY_UNLIKELY(sley__group(t->sched) != NULL)) {
        (void)sley__shared_set(t, set, clear);
    } else {
        sley__task_set(t, (sley__task_state(t) | set) & ~clear);
    }
}

/* ---- the edges, and what else is done otherwise in a group: shared.c, shared_end.c, shared_group.c ---------------- */

/** Edge (5). true: the caller has to queue it (sley__shared_queue). */
SLEY_MUST_USE bool sley__shared_wake(struct sley_task *t);
void sley__shared_queue(struct sley_task *t, enum sley_ready why);
/** Wakes a task so that it looks what is asked of it. */
void sley__shared_poke(struct sley_task *t, uint32_t why);
/** Completes a node that was claimed from @p t. */
void sley__shared_complete(struct sley_wait *w, struct sley_task *t);
/** The current task has met COMPLETING: waits a moment for DONE; false: it must yield. */
bool sley__shared_settle(const struct sley_wait *w, struct sley_task *t);

/** Is the current task, or a scope that it has opened, cancelled? As sley__task_poll. */
bool sley__shared_poll(struct sley_sched *s, struct sley_task *t);
void sley__shared_finish(struct sley_sched *s, struct sley_task *t);
void sley__shared_unref(struct sley_task *t); /* a handle is given back */
/** Counts handles that users have got (+) or given back (-). The last one that is given back after the end ends the group. */
void sley__shared_count(const struct sley_sched *s, int32_t change);
/** The rest of a join's start. */
void sley__shared_join(struct sley_task *t, struct sley_wait *joiner, int *ret_result);
/** Takes a waiting join back; false: the task has ended, its verdict comes. */
bool sley__shared_unjoin(struct sley_task *t, struct sley_wait *joiner);
/** Out of its scope's finished ring, under the scope's lock; with a handle in `*ret_task`, if that is not NULL. */
void sley__shared_take(struct sley_task *t, struct sley_task **ret_task);
/** A task of a group, made by a worker, in its scope but not queued yet. */
int sley__shared_spawn(struct sley_sched *s, struct sley_scope *scope, const struct sley_task_type *type, uint32_t stack_bytes,
                       uint32_t state, struct sley_task **ret_made);
/** sley__spawn_begin on @p s, a worker of a group; by itself, so that neither saves registers for the other. */
SLEY_NOINLINE void *sley__shared_begin(struct sley_scope *scope, const struct sley_task_type *type, int *ret_rc,
                                       struct sley_task **ret_task, struct sley_sched *s);
/** A task of a group, made on a thread that is none of its workers. */
int sley__shared_spawn_away(struct sley_sched *s, struct sley_task *t, struct sley_task **ret_task);

#endif
