/* Tasks that several workers share: each edge of their state but the last, and cancellation. Table: shared.h. */
#include "core.h"

#include <sched.h>

/* ---- the state's edges ------------------------------------------------------------------------------------------- */

uint32_t sley__shared_set(struct sley_task *t, uint32_t set, uint32_t clear)
{
    /* relaxed: the CAS looks again */
    uint32_t state = atomic_load_explicit(&t->state, memory_order_relaxed);
    /* acq_rel: releases what led to the change (a scope's mark) to the task that sees the bits; acquires what was done before */
    while (
        !atomic_compare_exchange_weak_explicit(&t->state, &state, (state | set) & ~clear, memory_order_acq_rel, memory_order_relaxed)) {
    }
    return state;
}

bool sley__shared_wake(struct sley_task *t)
{
    /* relaxed: the CAS looks again */
    uint32_t state = atomic_load_explicit(&t->state, memory_order_relaxed);
    for (;;) {
        const uint32_t run = state & SLEY__TASK_RUN_MASK;
        if (run == SLEY__TASK_DONE) {
            return false;
        }
        const uint32_t next = state | (run == SLEY__TASK_IDLE ? (uint32_t)SLEY__TASK_RUNNING : SLEY__TASK_WOKEN);
        /* acq_rel, edge (5): releases what the waker did to whoever runs it; acquires what the task did before it slept */
        if (atomic_compare_exchange_weak_explicit(&t->state, &state, next, memory_order_acq_rel, memory_order_relaxed)) {
            return run == SLEY__TASK_IDLE;
        }
    }
}

void sley__shared_queue(struct sley_task *t, enum sley_ready why)
{
    struct sley_sched *s = t->sched;
    s->ops->schedule(s, t, why);
}

/** Edge (2): it is run by who has it. Returns the budget. */
SLEY_INLINE int32_t to_running(struct sley_task *t)
{
    const uint32_t looks = SLEY__TASK_POKED | SLEY__TASK_CANCELLED;
    /* acquire: what came with WOKEN while it was queued; what was done before it was queued came through the queue */
    uint32_t state = atomic_load_explicit(&t->state, memory_order_acquire);
    if (SLEY_LIKELY(!(state & (SLEY__TASK_WOKEN | looks)))) {
        return SLEY__BUDGET;
    }
    state = state & SLEY__TASK_WOKEN ? sley__shared_set(t, 0, SLEY__TASK_WOKEN) : state;
    return state & looks ? 0 : SLEY__BUDGET;
}

/** Edges (3), (4), (4'). true: it is to be queued again. */
static bool after_step(struct sley_task *t, enum sley_step step)
{
    /* relaxed: the CAS looks again */
    uint32_t state = atomic_load_explicit(&t->state, memory_order_relaxed);
    for (;;) {
        const bool again = step == SLEY_STEP_YIELD || (state & SLEY__TASK_WOKEN);
        const uint32_t gone = SLEY__TASK_WOKEN | (again ? 0 : SLEY__TASK_RUN_MASK);
        const uint32_t next = (state & ~gone) | SLEY__TASK_STARTED;
        /* acq_rel: releases what the task did to whoever wakes it next; acquires what came with WOKEN. A yield has mostly nothing to
         * say: what the task did goes to who runs it next through the queue */
        if (next == state ||
            atomic_compare_exchange_weak_explicit(&t->state, &state, next, memory_order_acq_rel, memory_order_relaxed)) {
            return again;
        }
    }
}

void sley_sched_adopt(struct sley_sched *s)
{
    sley__context_adopt_thread(&s->memory->back); /* fibers come back to this thread; sanitizers want its stack by name */
    sley__overflow_watch(s->memory);              /* it resumes fibers of other workers, too */
}

bool sley_sched_resume(struct sley_sched *s, struct sley_task *t)
{
    s->budget = to_running(t);
    /* relaxed: only this thread writes it; a watchdog looks whether it moves */
    const uint32_t count = atomic_load_explicit(&s->resume_count, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&s->resume_count, count + 1, memory_order_relaxed);
    s->current = t;
    const enum sley_step step = t->type->resume(t);
    s->current = NULL; /* it may be another's, or gone, in a moment, and signal handlers look */
    bool again = false;
    if (step == SLEY_STEP_DONE) {
        sley__shared_finish(s, t);
    } else {
        again = after_step(t, step);
    }
    return again;
}

/* ---- waking ------------------------------------------------------------------------------------------------------ */

void sley__shared_poke(struct sley_task *t, uint32_t why)
{
    struct sley_group *visited = sley__group_visit(t->sched);
    (void)sley__shared_set(t, SLEY__TASK_POKED | why, 0);
    struct sley_sched *s = sley__self;
    if (s && s->current == t) {
        s->budget = 0;
    }
    if (sley__shared_wake(t)) {
        sley__shared_queue(t, SLEY_READY_WOKEN);
    }
    sley__group_leave(visited);
}

void sley__shared_complete(struct sley_wait *w, struct sley_task *t)
{
    struct sley_group *visited = sley__group_visit(t->sched);
    const bool queue = sley__shared_wake(t);
    sley__wait_publish(w);
    if (queue) {
        sley__shared_queue(t, SLEY_READY_WOKEN);
    }
    sley__group_leave(visited);
}

bool sley__shared_settle(const struct sley_wait *w, struct sley_task *t)
{
    for (uint32_t turns = 0; turns < SLEY__SPINS; turns++) {
        if (sley__kind(sley__wait_word(w)) != SLEY__KIND_COMPLETING) {
            return true;
        }
        SLEY__RELAX();
    }
    (void)sley__shared_set(t, SLEY__TASK_WOKEN, 0); /* its completer has lost the processor: look again behind the others */
    return false;
}

/* ---- cancellation ------------------------------------------------------------------------------------------------ */

/** Is a scope beyond the task's own cancelled, up to a shield? Each is locked while its parent is looked up and locked. */
static bool outside_cancelled(struct sley_scope *sc)
{
    sley_spin_lock(&sc->lock);
    for (;;) {
        const uint32_t flags = sley__scope_flags(sc);
        struct sley_scope *next = sc->parent;
        const bool outermost = sc->owner && (!next || next->owner != sc->owner);
        const bool cancelled = (flags & SLEY__SCOPE_CANCELLED) ||
                               (!(flags & SLEY_SCOPE_SHIELD) && outermost && (sley__task_state(sc->owner) & SLEY__TASK_CANCEL));
        if (cancelled || (flags & SLEY_SCOPE_SHIELD) || !next) {
            sley_spin_unlock(&sc->lock);
            return cancelled;
        }
        sley_spin_lock(&next->lock);
        sley_spin_unlock(&sc->lock);
        sc = next;
    }
}

/** Is @p own, one of the task's scopes, cancelled from outside or by itself? */
static bool own_cancelled(const struct sley_task *t, const struct sley_scope *own)
{
    for (; own->owner == t; own = own->parent) {
        if (sley__scope_flags(own) & SLEY__SCOPE_CANCELLED) {
            return true;
        }
        if (sley__scope_flags(own) & SLEY_SCOPE_SHIELD) {
            return false;
        }
    }
    return (sley__task_state(t) & SLEY__TASK_CANCEL) || outside_cancelled((struct sley_scope *)(uintptr_t)own);
}

/** The current task moves to the root scope. */
static void detach(struct sley_sched *s, struct sley_task *t)
{
    (void)sley__shared_set(t, 0, SLEY__TASK_DETACH);
    struct sley_scope *inner = sley__task_scope(t), *outermost = NULL, *from = inner;
    while (from->owner == t) {
        outermost = from;
        from = from->parent;
    }
    if (from->sched->root == from) {
        return;
    }
    if (outermost) {
        sley_spin_lock(&outermost->lock); /* who looks up its parent has reached it, or finds the root */
        outermost->parent = s->root;
        sley_spin_unlock(&outermost->lock);
    }
    sley_spin_lock(&from->lock);
    sley_spin_lock(&s->root->lock); /* both, from the inside out: whoever finds it here no longer finds it there */
    sley__scope_remove(from, t);
    struct sley_wait *ended = sley__scope_take_ops(from);
    sley__scope_add(s->root, t);
    if (outermost) {
        sley__task_set_scope(t, inner);
    }
    sley_spin_unlock(&s->root->lock);
    sley_spin_unlock(&from->lock);
    sley__scope_complete_ops(ended);
}

bool sley__shared_poll(struct sley_sched *s, struct sley_task *t)
{
    const uint32_t state = sley__shared_set(t, 0, SLEY__TASK_POKED);
    if (state & SLEY__TASK_DETACH) {
        detach(s, t);
    }
    /* a scope of its own may be closed by whoever ends its last child, but not while its lock is held */
    struct sley_scope *in = sley__task_scope(t);
    while (in->owner == t) {
        sley_spin_lock(&in->lock);
        if (sley__task_scope(t) == in) {
            break;
        }
        sley_spin_unlock(&in->lock);
        in = sley__task_scope(t);
    }
    for (struct sley_scope *own = in; own->owner == t; own = own->parent) {
        if (own_cancelled(t, own)) {
            if (own != in) {
                sley_spin_lock(&own->lock);
            }
            sley__scope_mark_locked(own);
            if (own != in) {
                sley_spin_unlock(&own->lock);
            }
        }
    }
    const bool cancelled = own_cancelled(t, in);
    if (in->owner == t) {
        sley_spin_unlock(&in->lock);
    }
    (void)sley__shared_set(t, cancelled ? SLEY__TASK_CANCELLED : 0, cancelled ? SLEY__TASK_POKED : SLEY__TASK_CANCELLED);
    s->budget = cancelled ? 0 : SLEY__BUDGET;
    return cancelled;
}
