/* Tasks that several workers share: each edge of their state, scopes under a lock, and the end of the group. Table: shared.h. */
#include "alloc_frame.h"

#include <sched.h>
#include <string.h>

/* Sections take some ten nanoseconds; one that takes longer has lost its processor. */
enum { SPINS_BEFORE_YIELD = 64 };

/* `handles` begins here, so that it reaches zero only after the end has added what the workers have counted, less this. */
#define HANDLES_ALIVE (INT64_C(1) << 62)

/* out.joiner of a task that has ended: no node has this address */
#define ENDED ((uintptr_t)1)

void sley_spin_wait(SLEY_ATOMIC(uint32_t) *lock)
{
    uint32_t turns = 0;
    do {
        /* relaxed: only to see when another try makes sense */
        while (atomic_load_explicit(lock, memory_order_relaxed) != 0) {
            if (++turns < SPINS_BEFORE_YIELD) {
                SLEY__RELAX();
            } else {
                (void)sched_yield();
            }
        }
        /* acquire: as in sley_spin_lock */
    } while (atomic_exchange_explicit(lock, 1, memory_order_acquire) != 0);
}

bool sley_door_seize(struct sley_door *d)
{
    if (!d->plain) {
        return true;
    }
    /* acquire: (1); what the one before did is seen; pairs with sley_door_yield */
    if (atomic_exchange_explicit(&d->seized, 1, memory_order_acquire)) {
        return false;
    }
    sley_group_barrier();
    uint32_t turns = 0;
    /* acquire: (3); pairs with the owner's release of held */
    while (atomic_load_explicit(&d->held, memory_order_acquire)) {
        if (++turns < SPINS_BEFORE_YIELD) {
            SLEY__RELAX();
        } else {
            (void)sched_yield();
        }
    }
    return true;
}

/* ---- the state's edges ------------------------------------------------------------------------------------------- */

uint32_t sley__shared_set(struct sley_task *t, uint32_t set, uint32_t clear)
{
    /* relaxed: the CAS looks again */
    uint32_t state = atomic_load_explicit(&t->state, memory_order_relaxed);
    /* acq_rel: releases what led to the change (a scope's mark) to the task that sees the bits; acquires what was done before */
    while (!atomic_compare_exchange_weak_explicit(&t->state, &state, (state | set) & ~clear, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
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

/** Edge (2): it is run by who has it. Returns the state. */
static uint32_t to_running(struct sley_task *t)
{
    /* acquire: what came with WOKEN while it was queued; what was done before it was queued came through the queue */
    const uint32_t state = atomic_load_explicit(&t->state, memory_order_acquire);
    return SLEY_UNLIKELY(state & SLEY__TASK_WOKEN) ? sley__shared_set(t, 0, SLEY__TASK_WOKEN) : state;
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
        if (next == state || atomic_compare_exchange_weak_explicit(&t->state, &state, next, memory_order_acq_rel, memory_order_relaxed)) {
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
    const uint32_t before = to_running(t);
    /* relaxed: only this thread writes it; a watchdog looks whether it moves */
    const uint32_t count = atomic_load_explicit(&s->resume_count, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&s->resume_count, count + 1, memory_order_relaxed);
    s->current = t;
    s->budget = before & (SLEY__TASK_POKED | SLEY__TASK_CANCELLED) ? 0 : SLEY__BUDGET;
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

/** Enters the group of @p s when this thread is none of its workers; NULL: it is one, and the group stays anyway. */
static struct sley_group *visit(const struct sley_sched *s)
{
    struct sley_group *g = sley__task_shares(sley__self, s) ? NULL : s->group;
    if (g) {
        /* relaxed: only a count that sley_group_fini waits for; the task that is visited keeps the group until it ends */
        atomic_fetch_add_explicit(&g->inside, 1, memory_order_relaxed);
    }
    return g;
}

static void leave(struct sley_group *visited)
{
    if (visited) {
        /* release: the last access to the group; pairs with the wait in sley_group_fini */
        atomic_fetch_sub_explicit(&visited->inside, 1, memory_order_release);
    }
}

void sley__shared_poke(struct sley_task *t, uint32_t why)
{
    struct sley_group *visited = visit(t->sched);
    (void)sley__shared_set(t, SLEY__TASK_POKED | why, 0);
    struct sley_sched *s = sley__self;
    if (s && s->current == t) {
        s->budget = 0;
    }
    if (sley__shared_wake(t)) {
        sley__shared_queue(t, SLEY_READY_WOKEN);
    }
    leave(visited);
}

void sley__shared_complete(struct sley_wait *w, struct sley_task *t)
{
    struct sley_group *visited = visit(t->sched);
    const bool queue = sley__shared_wake(t);
    sley__wait_publish(w);
    if (queue) {
        sley__shared_queue(t, SLEY_READY_WOKEN);
    }
    leave(visited);
}

bool sley__shared_settle(const struct sley_wait *w, struct sley_task *t)
{
    for (uint32_t turns = 0; turns < SPINS_BEFORE_YIELD; turns++) {
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
    sley__scope_remove(from, t);
    struct sley_wait *ended = sley__scope_take_ops(from);
    sley_spin_unlock(&from->lock);
    sley_spin_lock(&s->root->lock);
    sley__scope_add(s->root, t);
    if (outermost) {
        sley__task_set_scope(t, inner);
    }
    sley_spin_unlock(&s->root->lock);
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

/* ---- handles and the end of a task --------------------------------------------------------------------------------- */

/** Counts handles that users have got (+) or given back (-). The last one that is given back after the end ends the group. */
static void count_handles(const struct sley_sched *s, int32_t change)
{
    struct sley_sched *self = sley__self;
    struct sley_group *g = s->group;
    if (sley__task_shares(self, s)) {
        self->handle_count += (uint32_t)change;
        return;
    }
    /* acq_rel: whoever brings it to zero observes all that the others did with the memory; see sley_group_fini */
    if (atomic_fetch_add_explicit(&g->handles, change, memory_order_acq_rel) + change == 0) {
        g->release(g);
    }
}

/** Gives the memory of an ended task back to the worker that made it. */
static void give_back(struct sley_task *t)
{
    struct sley_sched *s = t->sched;
    if (s == sley__self) {
        sley__task_free(s, t);
        return;
    }
    /* relaxed: the CAS looks again */
    struct sley_task *head = atomic_load_explicit(&s->returned, memory_order_relaxed);
    do {
        t->link.next = head;
        /* release: what was done with the task's memory comes before its next use; pairs with sley_sched_collect */
    } while (!atomic_compare_exchange_weak_explicit(&s->returned, &head, t, memory_order_release, memory_order_relaxed));
}

void sley_sched_collect(struct sley_sched *s)
{
    /* relaxed: a hint */
    if (!atomic_load_explicit(&s->returned, memory_order_relaxed)) {
        return;
    }
    /* acquire: pairs with give_back */
    struct sley_task *t = atomic_exchange_explicit(&s->returned, NULL, memory_order_acquire);
    while (t) {
        struct sley_task *next = t->link.next;
        sley__task_free(s, t);
        t = next;
    }
}

/** One reference less; the last one frees a task that has ended and is in no ring. */
static void unref(struct sley_task *t)
{
    /* acq_rel: the last observes what the others did with the task */
    const uint32_t state = atomic_fetch_sub_explicit(&t->state, SLEY__TASK_REF, memory_order_acq_rel) - SLEY__TASK_REF;
    if (state < SLEY__TASK_REF && (state & SLEY__TASK_RUN_MASK) == SLEY__TASK_DONE && !(state & SLEY__TASK_RINGED)) {
        give_back(t);
    }
}

void sley__shared_unref(struct sley_task *t)
{
    const struct sley_sched *s = t->sched;
    unref(t);
    count_handles(s, -1);
}

void sley__shared_take(struct sley_task *t, struct sley_task **ret_task)
{
    if (ret_task) {
        *ret_task = t;
        count_handles(t->sched, 1);
        (void)sley__shared_set(t, 0, SLEY__TASK_RINGED); /* the reference of the ring is the handle now */
    } else {
        (void)sley__shared_set(t, 0, SLEY__TASK_RINGED);
        unref(t);
    }
}

static struct sley_wait **joiner_of(struct sley_task *t)
{
    return &t->out.joiner;
}

static void tell_joiner(struct sley_wait *joiner, int32_t result)
{
    const struct sley_task_join_op *op = sley_container_of(joiner, struct sley_task_join_op, wait);
    if (op->ret_result) {
        *op->ret_result = result;
    }
    sley_wait_complete(joiner, 0);
}

void sley__shared_finish(struct sley_sched *s, struct sley_task *t)
{
    struct sley_scope *scope = sley__task_scope(t);
    const int32_t result = sley__task_result(t);
    /* acquire: with no handle left the memory goes at once; what the last holder has read there comes before. Pairs with unref */
    const uint32_t state = atomic_load_explicit(&t->state, memory_order_acquire);
    if (SLEY_UNLIKELY(state & SLEY__TASK_OPEN)) {
        sley__misuse_fatal(t, NULL, "a task has ended with a scope open", "call sley_scope_fini before the body returns");
    }
    sley__misuse_frame_armed(s, t);
    sley_spin_lock(&scope->lock);
    sley__scope_remove(scope, t);
    const uint32_t flags = sley__scope_flags(scope);
    if (SLEY_UNLIKELY(result < 0)) {
        scope->first_error = scope->first_error ? scope->first_error : result;
        if (flags & SLEY_SCOPE_FAIL_FAST) {
            sley__scope_mark_locked(scope);
        }
    }
    const bool collect = (flags & SLEY_SCOPE_COLLECT) && !(flags & SLEY__SCOPE_CLOSED);
    const bool known = collect || state >= SLEY__TASK_REF; /* else nobody has a way to it any more */
    uintptr_t joiner = 0;
    bool last = !known;
    if (known) {
        /* acq_rel: takes the joiner's record over, or says to later ones that there is nothing to wait for; pairs with the CAS in
         * sley__shared_join */
        joiner = __atomic_exchange_n((uintptr_t *)(void *)joiner_of(t), ENDED, __ATOMIC_ACQ_REL);
        const uint32_t add = SLEY__TASK_DONE - SLEY__TASK_RUNNING + (joiner ? (uint32_t)SLEY__TASK_JOINED : 0) +
                             (collect ? (uint32_t)SLEY__TASK_REF + SLEY__TASK_RINGED : 0);
        /* seq_cst, edge (6): publishes the result; before `watched` is read; pairs with who waits for an end. In no ring and with
         * the last handle given back meanwhile the task is ours alone; else it may be gone from here on */
        last = atomic_fetch_add_explicit(&t->state, add, memory_order_seq_cst) < SLEY__TASK_REF && !collect;
        if (collect) {
            sley__ring_push(&scope->finished, t);
        }
    }
    struct sley_wait *done_ops = scope->waiters ? sley__scope_take_ops(scope) : NULL;
    sley_spin_unlock(&scope->lock); /* from here on the scope may be gone */
    if (joiner) {
        tell_joiner((struct sley_wait *)joiner, result);
    }
    /* seq_cst: as above */
    if (SLEY_UNLIKELY(atomic_load_explicit(&s->group->watched, memory_order_seq_cst) == t) && known && s->ops->ended) {
        s->ops->ended(s);
    }
    if (last) {
        give_back(t);
    }
    sley__scope_complete_ops(done_ops);
}

void sley__shared_join(struct sley_task *t, struct sley_wait *joiner, int *ret_result)
{
    struct sley_wait *expected = NULL;
    sley_wait_arm(joiner);
    /* acq_rel: publishes the joiner's record; on failure (acquire) the end has been published. Pairs with sley__shared_finish */
    if (__atomic_compare_exchange_n(joiner_of(t), &expected, joiner, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return;
    }
    while ((uintptr_t)expected == ENDED && SLEY_UNLIKELY(!sley_task_done(t))) {
        (void)sched_yield(); /* a moment, unless who ends it has lost the processor */
    }
    if ((uintptr_t)expected != ENDED || (sley__shared_set(t, SLEY__TASK_JOINED, 0) & SLEY__TASK_JOINED)) {
        sley__misuse(t, joiner->at.site, "a task was joined twice", "one task joins it, once");
        sley_wait_finish(joiner, -EINVAL);
        return;
    }
    if (ret_result) {
        *ret_result = sley__task_result(t);
    }
    sley_wait_finish(joiner, 0);
}

bool sley__shared_unjoin(struct sley_task *t, struct sley_wait *joiner)
{
    struct sley_wait *expected = joiner;
    /* relaxed: takes back what this thread has put there; whoever ends the task, else, completes the node */
    return __atomic_compare_exchange_n(joiner_of(t), &expected, NULL, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* ---- the group --------------------------------------------------------------------------------------------------- */

void sley_sched_refuse(struct sley_sched *s, bool refuse)
{
    sley_spin_lock(&s->root->lock);
    if (refuse) {
        sley__scope_add_flags(s->root, SLEY__SCOPE_CLOSED);
        /* relaxed: set by who drives, as this is; a stop is not taken back */
    } else if (!atomic_load_explicit(&s->refuses, memory_order_relaxed)) {
        sley__scope_drop_flags(s->root, SLEY__SCOPE_CLOSED);
    }
    sley_spin_unlock(&s->root->lock);
}

int sley__shared_spawn(struct sley_sched *s, struct sley_scope *scope, const struct sley_task_type *type, uint32_t stack_bytes,
                       uint32_t state, struct sley_task **ret_made)
{
    struct sley_task *t;
    scope = scope == scope->sched->root ? s->root : scope; /* the root is one scope in as many pieces as there are workers */
    /* made before it is known whether it may: making a task is too long for a lock */
    state |= sley__scope_flags(scope) & SLEY_SCOPE_COLLECT ? (uint32_t)SLEY__TASK_EXT : 0;
    state ^= SLEY__TASK_SCHEDULED ^ SLEY__TASK_RUNNING;
    int rc = sley__task_make(s, type, stack_bytes, state, &t);
    if (rc < 0) {
        return rc;
    }
    sley_spin_lock(&scope->lock);
    rc = sley__scope_admits(scope, &state);
    if (rc == 0) {
        sley__task_set(t, state);
        sley__scope_add(scope, t);
    }
    sley_spin_unlock(&scope->lock);
    if (rc < 0) {
        sley__task_free(s, t);
    }
    *ret_made = t;
    return rc;
}

int sley__shared_spawn_away(struct sley_sched *s, struct sley_task *t, struct sley_task **ret_task)
{
    struct sley_scope *root = s->root;
    struct sley_group *visited = visit(s);
    sley_spin_lock(&root->lock);
    const bool closed = sley__scope_flags(root) & SLEY__SCOPE_CLOSED;
    if (!closed) {
        sley__task_set(t, sley__task_state(t) | SLEY__TASK_RUNNING);
        sley__scope_add(root, t);
        if (ret_task) {
            count_handles(s, 1);
            *ret_task = t;
        }
    }
    sley_spin_unlock(&root->lock);
    if (closed) {
        sley__task_free(s, t);
    } else {
        sley__shared_queue(t, SLEY_READY_SPAWNED);
    }
    leave(visited);
    return closed ? -ESHUTDOWN : 0;
}

int sley_sched_spawn_pinned(struct sley_sched *s, const struct sley_task_type *type, const void *args,
                            struct sley_task **ret_task)
{
    struct sley_task *t;
    const int rc = type ? sley__task_new(s, type, 0, SLEY__TASK_ALLOC | SLEY__TASK_EXT | SLEY__TASK_PINNED, &t) : -EINVAL;
    if (rc < 0) {
        return rc;
    }
    if (args) {
        memcpy(t + 1, args, type->args_bytes);
    } else {
        memset(t + 1, 0, type->args_bytes);
    }
    sley__task_set(t, sley__task_state(t) + (ret_task ? SLEY__TASK_REF : 0));
    return sley__shared_spawn_away(s, t, ret_task);
}

void sley_group_init(struct sley_group *g, struct sley_sched *const *scheds, uint32_t count,
                     void (*release)(struct sley_group *self))
{
    *g = (struct sley_group){.scheds = scheds, .count = count, .release = release, .handles = HANDLES_ALIVE};
    for (uint32_t i = 0; i < count; i++) {
        scheds[i]->group = g;
    }
}

bool sley_sched_nudge(struct sley_sched *s)
{
    uintptr_t expected = SLEY__INBOX_PARKED;
    /* relaxed: the worker looks at its queues after it has unparked; who nudges has published the work before, with a fence */
    const bool parked = atomic_compare_exchange_strong_explicit(&s->inbox, &expected, (uintptr_t)SLEY__INBOX_EMPTY,
                                                                memory_order_relaxed, memory_order_relaxed);
    if (parked) {
        s->ops->ring(s);
    }
    return parked;
}

void sley_group_close(struct sley_group *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        sley_sched_close(g->scheds[i]);
    }
    /* acquire: pairs with the release in leave, a visitor's last access */
    while (atomic_load_explicit(&g->inside, memory_order_acquire) != 0) {
        (void)sched_yield();
    }
}

bool sley_group_fini(struct sley_group *g)
{
    int64_t out = -HANDLES_ALIVE;
    sley_group_close(g);
    for (uint32_t i = 0; i < g->count; i++) {
        out += (int32_t)g->scheds[i]->handle_count;
    }
    /* acq_rel: see count_handles; from here on zero means that no handle is left */
    return atomic_fetch_add_explicit(&g->handles, out, memory_order_acq_rel) + out == 0;
}
