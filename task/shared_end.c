/* The end of a task that several workers share: its joiner, its handles, its memory. Edge (6) of the table in shared.h. */
#include "alloc_frame.h"

#include <sched.h>

/* out.joiner of a task that has ended: no node has this address */
#define ENDED ((uintptr_t)1)

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
    sley__shared_count(s, -1);
}

void sley__shared_take(struct sley_task *t, struct sley_task **ret_task)
{
    if (ret_task) {
        *ret_task = t;
        sley__shared_count(t->sched, 1);
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

static SLEY_NOINLINE void finish(struct sley_sched *s, struct sley_task *t)
{
    struct sley_scope *scope = sley__task_scope(t);
    const int32_t result = sley__task_result(t);
    /* acquire: with no handle left the memory goes at once; what the last holder has read there comes before. Pairs with unref */
    const uint32_t state = atomic_load_explicit(&t->state, memory_order_acquire);
    if (SLEY_UNLIKELY(state & SLEY__TASK_OPEN)) {
        sley__misuse_fatal(t, NULL, "a task has ended with a scope open", "call sley_scope_fini before the body returns");
    }
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

/* The usual end, which calls nobody, so that it saves no registers: a task that this worker has spawned in the usual way ends without
 * an error, in a scope where nobody waits for that. What is not so, or comes to a lock that is held, ends as above. */
void sley__shared_finish(struct sley_sched *s, struct sley_task *t)
{
    struct sley_scope *scope = sley__task_scope(t);
    sley__misuse_frame_armed(s, t);
    const struct sley_frame *frame = (const struct sley_frame *)(const void *)(t + 1);
    const uint32_t looks = SLEY__TASK_USUAL | SLEY__TASK_OPEN;
    if (SLEY_UNLIKELY((sley__task_state(t) & looks) != SLEY__TASK_USUAL || t->sched != s || frame->result < 0 ||
                      !sley_spin_try(&scope->lock))) {
        finish(s, t);
        return;
    }
    if (SLEY_UNLIKELY(scope->waiters)) {
        sley_spin_unlock(&scope->lock);
        finish(s, t);
        return;
    }
    sley__scope_remove(scope, t);
    sley_spin_unlock(&scope->lock); /* from here on the scope may be gone */
    (void)sley__slab_give(&s->memory->slab, t, sley__frame_class(t->type, 0));
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
