/* A task from spawn to the end of its last handle. */
#include "alloc_frame.h"

#include <string.h>

/* ---- what frames and fibers keep in different places --------------------------------------------------------------- */

struct sley__handle *sley__task_handle(struct sley_task *t)
{
    if (t->type->style == SLEY_STYLE_FIBER) {
        return &sley_container_of(t, struct sley__fiber, task)->handle;
    }
    return (struct sley__handle *)(void *)((char *)t + sley__frame_handle_at(t->type));
}

void sley__task_free(struct sley_sched *s, struct sley_task *t)
{
    if (t->type->style == SLEY_STYLE_FIBER) {
        sley__fiber_free(s, t);
    } else {
        sley__frame_free(s, t);
    }
}

int32_t sley__task_result(const struct sley_task *t)
{
    if (t->type->style == SLEY_STYLE_FIBER) {
        return (int32_t)sley_container_of((struct sley_task *)(uintptr_t)t, struct sley__fiber, task)->result;
    }
    return ((const struct sley_frame *)(const void *)(t + 1))->result;
}

void sley__task_set_result(struct sley_task *t, int32_t result)
{
    if (t->type->style == SLEY_STYLE_FIBER) {
        sley_container_of(t, struct sley__fiber, task)->result = result;
    } else {
        ((struct sley_frame *)(void *)(t + 1))->result = result;
    }
}

/* ---- spawning -------------------------------------------------------------------------------------------------- */

int sley__task_new(struct sley_sched *s, const struct sley_task_type *type, uint32_t stack_bytes, uint32_t state,
                   struct sley_task **ret_task)
{
    return sley__task_make(s, type, stack_bytes, state, ret_task);
}

static void fill_args(struct sley_task *t, const void *args)
{
    if (args) {
        memcpy(t + 1, args, t->type->args_bytes);
    } else {
        memset(t + 1, 0, t->type->args_bytes);
    }
}

/** A task of the current executor, in its scope but not queued yet; with a handle if @p ret_task asks for one. */
SLEY_INLINE int spawn_here(struct sley_sched *s, struct sley_scope *scope, const struct sley_task_type *type,
                           const struct sley_spawn_opts *opts, struct sley_task **ret_task, struct sley_task **ret_made)
{
    if (SLEY_UNLIKELY(!s || !type || (scope && scope->sched != s && !sley__task_shares(s, scope->sched)))) {
        return s && type ? -EINVAL : type ? -ESRCH : -EINVAL;
    }
    if (!scope) {
        scope = s->current ? sley__task_scope(s->current) : s->root;
    }
    /* SCHEDULED at once: evaluating its arguments may wait, and a cancel meanwhile must not queue it */
    uint32_t state = SLEY__TASK_SCHEDULED;
    state |= s->current ? sley__task_state(s->current) & SLEY__TASK_LANE_MASK : 0;
    state |= ret_task ? (uint32_t)SLEY__TASK_EXT | SLEY__TASK_REF : 0;
    struct sley_task *t;
    int rc = opts ? sley__spawn_lane(s, opts, &state) : 0;
    if (SLEY_UNLIKELY(rc < 0)) {
        return rc;
    }
    const uint32_t stack_bytes = opts ? opts->stack_bytes : 0;
    if (SLEY_UNLIKELY(sley__group(s) != NULL)) {
        rc = sley__shared_spawn(s, scope, type, stack_bytes, state, &t);
    } else if (SLEY_LIKELY((rc = sley__scope_admits(scope, &state)) == 0) &&
               SLEY_LIKELY((rc = sley__task_make(s, type, stack_bytes, state, &t)) == 0)) {
        sley__scope_add(scope, t);
    }
    if (SLEY_UNLIKELY(rc < 0)) {
        return rc;
    }
    if (ret_task) {
        s->handle_count++;
        *ret_task = t;
    }
    *ret_made = t;
    return 0;
}

/* by itself, so that it saves no registers for who shares tasks */
static SLEY_NOINLINE void *begin_home(struct sley_scope *scope, const struct sley_task_type *type, int *ret_rc,
                                      struct sley_task **ret_task, struct sley_sched *s)
{
    struct sley_task *t;
    const int rc = spawn_here(s, scope, type, NULL, ret_task, &t);
    *ret_rc = rc;
    return rc < 0 ? NULL : t + 1;
}

void *sley__spawn_begin(struct sley_scope *scope, const struct sley_task_type *type, int *ret_rc, struct sley_task **ret_task)
{
    struct sley_sched *s = sley__self;
    if (SLEY_UNLIKELY(s && sley__group(s) != NULL)) {
        return sley__shared_begin(scope, type, ret_rc, ret_task, s);
    }
    return begin_home(scope, type, ret_rc, ret_task, s);
}

void *sley__spawn_begin_opts(struct sley_scope *scope, const struct sley_task_type *type, const struct sley_spawn_opts *opts,
                             int *ret_rc, struct sley_task **ret_task)
{
    struct sley_task *t;
    const int rc = spawn_here(sley__self, scope, type, opts, ret_task, &t);
    *ret_rc = rc;
    return rc < 0 ? NULL : t + 1;
}

void sley__spawn_commit(void *args)
{
    struct sley_task *t = (struct sley_task *)args - 1;
    if (SLEY_UNLIKELY(sley__group(t->sched) != NULL)) {
        sley__shared_queue(t, SLEY_READY_SPAWNED);
    } else {
        sley__task_queue(t->sched, t, sley__task_state(t));
    }
}

int sley_spawn(struct sley_scope *scope, const struct sley_task_type *type, const void *args, const struct sley_spawn_opts *opts,
               struct sley_task **ret_task)
{
    int rc;
    void *made = sley__spawn_begin_opts(scope, type, opts, &rc, ret_task);
    if (made) {
        fill_args((struct sley_task *)made - 1, args);
        sley__spawn_commit(made);
    }
    return rc;
}

/* ---- ending ---------------------------------------------------------------------------------------------------- */

void sley__task_finish(struct sley_sched *s, struct sley_task *t)
{
    struct sley_scope *scope = sley__task_scope(t);
    const int32_t result = sley__task_result(t);
    if (SLEY_UNLIKELY(sley__task_state(t) & SLEY__TASK_OPEN)) { /* the scope itself may have been overwritten by now */
        sley__misuse_fatal(t, NULL, "a task has ended with a scope open", "call sley_scope_fini before the body returns");
    }
    sley__misuse_frame_armed(s, t);
    struct sley_wait *joiner = t->out.joiner;
    sley__scope_remove(scope, t);
    if (SLEY_UNLIKELY(result < 0)) {
        if (scope->first_error == 0) {
            scope->first_error = result;
        }
        if (sley__scope_flags(scope) & SLEY_SCOPE_FAIL_FAST) {
            sley__scope_mark(scope);
        }
    }
    sley__task_to_done(t, result);
    if (SLEY_UNLIKELY(sley__scope_flags(scope) & SLEY_SCOPE_COLLECT) && !(sley__scope_flags(scope) & SLEY__SCOPE_CLOSED)) {
        sley__task_set(t, sley__task_state(t) | SLEY__TASK_RINGED);
        sley__ring_push(&scope->finished, t);
    } else if (sley__task_state(t) < SLEY__TASK_REF) {
        sley__task_free(s, t);
    } else {
        sley__task_keep(s, t);
    }
    if (joiner) {
        sley__join_complete(t, joiner); /* there is a handle; whoever joined may give it back in this call */
    }
    if (scope->waiters) {
        sley__scope_child_ended(scope);
    }
}

void sley__task_keep(struct sley_sched *s, struct sley_task *t)
{
    const struct sley_task_type *type = t->type;
    const uint32_t state = sley__task_state(t);
    if (type->style == SLEY_STYLE_FIBER || !sley__frame_from_slab(type, state) ||
        sley__frame_bytes(type, state) > SLEY__SLAB_MAX_BYTES) {
        sley__task_set(t, state | SLEY__TASK_KEPT);
        sley__ring_push(&s->memory->kept, t);
    }
}

void sley__task_free_kept(struct sley_sched *s)
{
    struct sley_task *t;
    while ((t = s->memory->kept) != NULL) {
        sley__ring_remove(&s->memory->kept, t);
        sley__task_free(s, t);
    }
}

void sley__task_release(struct sley_sched *s, struct sley_task *t)
{
    const uint32_t state = sley__task_state(t);
    const bool ended = (state & SLEY__TASK_RUN_MASK) == SLEY__TASK_DONE;
    if (ended && state < SLEY__TASK_REF && !(state & SLEY__TASK_RINGED)) {
        if (state & SLEY__TASK_KEPT) {
            sley__ring_remove(&s->memory->kept, t);
        }
        sley__task_free(s, t);
    }
}

/* ---- handles: at home directly, from elsewhere through `requests` and the inbox ---------------------------------- */

SLEY_INLINE void unref_home(struct sley_sched *s, struct sley_task *t, uint32_t count)
{
    const uint32_t state = sley__task_state(t) - count * SLEY__TASK_REF;
    s->handle_count -= count;
    sley__task_set(t, state);
    if (SLEY_UNLIKELY(state >= SLEY__TASK_REF)) {
        return;
    }
    if (SLEY_LIKELY((state & (SLEY__TASK_RUN_MASK | SLEY__TASK_RINGED | SLEY__TASK_KEPT)) == SLEY__TASK_DONE)) {
        sley__task_free(s, t);
    } else {
        sley__task_release(s, t);
    }
}

static void cancel_home(struct sley_task *t)
{
    const uint32_t state = sley__task_state(t);
    if ((state & SLEY__TASK_RUN_MASK) != SLEY__TASK_DONE && !(state & SLEY__TASK_CANCEL)) {
        sley__task_set(t, state | SLEY__TASK_CANCEL);
        sley__task_poke(t);
    }
}

void sley__task_requests(struct sley_task *t)
{
    /* acq_rel: acquires what the asking threads did before; releases the handle's link for the next one who asks */
    const uint32_t asked = atomic_exchange_explicit(&t->requests, 0, memory_order_acq_rel);
    if (asked & SLEY__REQ_CANCEL) {
        cancel_home(t);
    }
    if (asked / SLEY__REQ_UNREF) {
        unref_home(t->sched, t, asked / SLEY__REQ_UNREF);
    }
}

/** Asks home. When the task's executor has ended, so has the task, and handles are all there is to give back. */
static SLEY_NOINLINE void ask_home(struct sley_task *t, uint32_t request)
{
    struct sley_sched *s = t->sched;
    /* acq_rel: releases what this thread did before; acquires the link from the drain that cleared the word */
    if (atomic_fetch_add_explicit(&t->requests, request, memory_order_acq_rel) != 0) {
        return; /* whoever made it non-zero posts it */
    }
    struct sley__handle *h = sley__task_handle(t);
    h->task = t;
    if (!sley__inbox_push(s, &h->link, SLEY__ITEM_HANDLE)) {
        /* acq_rel: takes over what others have asked for meanwhile, relying on this thread */
        sley__orphans_gone(s, atomic_exchange_explicit(&t->requests, 0, memory_order_acq_rel) / SLEY__REQ_UNREF);
    }
}

void sley_task_cancel(struct sley_task *t)
{
    if (!t || sley_task_done(t)) {
        return;
    }
    if (sley__group(t->sched)) {
        sley__shared_poke(t, SLEY__TASK_CANCEL);
    } else if (t->sched == sley_sched_current()) {
        cancel_home(t);
        /* relaxed: only whether it was asked before; the add in ask_home orders */
    } else if (!(atomic_load_explicit(&t->requests, memory_order_relaxed) & SLEY__REQ_CANCEL_MASK)) {
        ask_home(t, SLEY__REQ_CANCEL);
    }
}

void sley_task_unref(struct sley_task *t)
{
    if (!t) {
        return;
    }
    struct sley_sched *s = t->sched;
    if (SLEY_UNLIKELY(sley__group(s) != NULL)) {
        sley__shared_unref(t);
        /* acquire: a request of another holder that is still on its way must arrive before the task's memory goes */
    } else if (s != sley__self || atomic_load_explicit(&t->requests, memory_order_acquire) != 0) {
        ask_home(t, SLEY__REQ_UNREF);
    } else {
        unref_home(s, t, 1);
    }
}

bool sley_task_done(const struct sley_task *t)
{
    /* acquire: pairs with sley__task_to_done; observes the result */
    return (atomic_load_explicit(&t->state, memory_order_acquire) & SLEY__TASK_RUN_MASK) == SLEY__TASK_DONE;
}

int sley_task_result(const struct sley_task *t, int *ret_result)
{
    if (!sley_task_done(t)) {
        return -EBUSY;
    }
    *ret_result = sley__group(t->sched) ? sley__task_result(t) : (int)t->out.result;
    return 0;
}

const char *sley_task_name(const struct sley_task *t)
{
    return t && t->type->name ? t->type->name : "?";
}

int sley_task_detach(struct sley_task *t)
{
    struct sley_sched *s = sley_sched_current();
    if (!t || (t->sched != s && !sley__task_shares(s, t->sched))) {
        return -EINVAL;
    }
    if (sley_task_done(t)) {
        return 0;
    }
    if (sley__group(s)) {
        sley__shared_poke(t, SLEY__TASK_DETACH); /* it moves by itself, when it looks next */
        return 0;
    }
    struct sley_scope *inner = sley__task_scope(t), *outermost = NULL, *from = inner;
    while (from->owner == t) {
        outermost = from;
        from = from->parent;
    }
    if (from != s->root) {
        sley__scope_remove(from, t);
        sley__scope_add(s->root, t);
        if (outermost) {
            outermost->parent = s->root;
            sley__task_set_scope(t, inner);
        }
        sley__task_poke(t); /* outside there may be no cancel any more, or another one */
        sley__scope_child_ended(from);
    }
    return 0;
}

/* ---- spawning from another thread ------------------------------------------------------------------------------ */

int sley_sched_spawn_lane(struct sley_sched *s, uint32_t lane, const struct sley_task_type *type, const void *args,
                          struct sley_task **ret_task)
{
    if (!s || !type) {
        return -EINVAL;
    }
    if (s == sley__self || sley__task_shares(sley__self, s)) {
        const struct sley_queue queue = {.sched = sley__self, .lane = lane};
        return sley_spawn(sley__self->root, type, args, &(struct sley_spawn_opts){.queue = &queue}, ret_task);
    }
    /* relaxed: see sley_sched_stop */
    if (atomic_load_explicit(&s->refuses, memory_order_relaxed)) {
        return -ESHUTDOWN;
    }
    if (!(s->memory->alloc->ops->caps & SLEY_ALLOC_CAP_THREADS)) {
        return -ENOTSUP;
    }
    struct sley_task *t;
    const uint32_t state = SLEY__TASK_ALLOC | SLEY__TASK_EXT | lane << SLEY__TASK_LANE_SHIFT;
    const int rc = sley__task_new(s, type, 0, state, &t);
    if (rc < 0) {
        return rc;
    }
    fill_args(t, args);
    sley__task_set(t, sley__task_state(t) + (ret_task ? SLEY__TASK_REF : 0));
    if (sley__group(s)) {
        return sley__shared_spawn_away(s, t, ret_task);
    }
    if (!sley__inbox_push(s, (void **)&t->link.next, SLEY__ITEM_TASK)) {
        sley__task_free(s, t);
        return -ESHUTDOWN;
    }
    if (ret_task) {
        *ret_task = t;
    }
    return 0;
}

int sley_sched_spawn(struct sley_sched *s, const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
{
    return sley_sched_spawn_lane(s, 0, type, args, ret_task);
}

void sley__task_arrived(struct sley_sched *s, struct sley_task *t)
{
    if (t->type->style == SLEY_STYLE_FIBER) {
        sley__overflow_watch(s->memory);
    }
    sley__scope_add(s->root, t);
    s->handle_count += sley__task_state(t) / SLEY__TASK_REF;
    if (sley__scope_flags(s->root) & SLEY__SCOPE_CLOSED) {
        sley__task_set(t, sley__task_state(t) | SLEY__TASK_POKED);
    }
    sley__task_to_scheduled(s, t, sley__task_state(t));
}
