/* Workers that share tasks: how a task comes to them, and how they begin and end together. */
#include "alloc_frame.h"

#include <sley/posts_impl.h>

#include <sched.h>
#include <string.h>

/* `handles` begins here, so that it reaches zero only after the end has added what the workers have counted, less this. */
#define HANDLES_ALIVE (INT64_C(1) << 62)

void sley__shared_count(const struct sley_sched *s, int32_t change)
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

/* The usual spawn, which calls nobody, so that it saves no registers: a frame whose memory is at hand, into a scope that takes it. What
 * is not so, or comes to a lock that is held, goes the long way, from the beginning. */
void *sley__shared_begin(struct sley_scope *scope, const struct sley_task_type *type, int *ret_rc, struct sley_task **ret_task,
                         struct sley_sched *s)
{
    const struct sley_task *const spawner = s->current;
    if (SLEY_UNLIKELY(!type || !spawner)) {
        return sley__spawn_begin_opts(scope, type, NULL, ret_rc, ret_task);
    }
    struct sley_scope *sc = scope ? scope : sley__task_scope(spawner);
    const uint32_t state = SLEY__TASK_RUNNING | (ret_task ? (uint32_t)SLEY__TASK_EXT | SLEY__TASK_REF : SLEY__TASK_USUAL);
    const size_t class = sley__frame_class(type, state);
    struct sley_task *t;
    if (SLEY_UNLIKELY((scope && scope->sched->group != s->group) || type->style != SLEY_STYLE_FRAME ||
                      !sley__frame_from_slab(type, state) || (t = sley__slab_take(&s->memory->slab, class)) == NULL)) {
        return sley__spawn_begin_opts(scope, type, NULL, ret_rc, ret_task);
    }
    sc = sc->owner ? sc : s->root; /* without an owner it is a root, of which there is one in pieces, as above */
    sley__task_fill(s, t, type, state);
    if (SLEY_UNLIKELY(!sley_spin_try(&sc->lock))) {
        (void)sley__slab_give(&s->memory->slab, t, class);
        return sley__spawn_begin_opts(scope, type, NULL, ret_rc, ret_task);
    }
    const uint32_t unusual = SLEY__SCOPE_CLOSED | SLEY__SCOPE_CANCELLED | SLEY__SCOPE_LIMIT | SLEY_SCOPE_COLLECT;
    if (SLEY_UNLIKELY(sley__scope_flags(sc) & unusual)) {
        sley_spin_unlock(&sc->lock);
        (void)sley__slab_give(&s->memory->slab, t, class);
        return sley__spawn_begin_opts(scope, type, NULL, ret_rc, ret_task);
    }
    sley__scope_add(sc, t);
    sley_spin_unlock(&sc->lock);
    if (ret_task) {
        s->handle_count++;
        *ret_task = t;
    }
    *ret_rc = 0;
    return t + 1;
}

int sley__shared_spawn_away(struct sley_sched *s, struct sley_task *t, struct sley_task **ret_task)
{
    struct sley_scope *root = s->root;
    struct sley_group *visited = sley__group_visit(s);
    sley_spin_lock(&root->lock);
    const bool closed = sley__scope_flags(root) & SLEY__SCOPE_CLOSED;
    if (!closed) {
        sley__task_set(t, sley__task_state(t) | SLEY__TASK_RUNNING);
        sley__scope_add(root, t);
        if (ret_task) {
            sley__shared_count(s, 1);
            *ret_task = t;
        }
    }
    sley_spin_unlock(&root->lock);
    if (closed) {
        sley__task_free(s, t);
    } else {
        sley__shared_queue(t, SLEY_READY_SPAWNED);
    }
    sley__group_leave(visited);
    return closed ? -ESHUTDOWN : 0;
}

int sley_sched_spawn_pinned(struct sley_sched *s, const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
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

void sley_group_init(struct sley_group *g, struct sley_sched *const *scheds, uint32_t count, void (*release)(struct sley_group *self))
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

bool sley_sched_post_any(struct sley_sched *s, struct sley_post *p)
{
    struct sley_group *g = s->group;
    if (!g) {
        return sley_sched_post(s, p);
    }
    struct sley_group *visited = sley__group_visit(s);
    sley_posts_push(&g->posts, p);
    /* seq_cst: the push against the look whether it sleeps: awake, it looks before it does; pairs with the fence before its last look */
    atomic_thread_fence(memory_order_seq_cst);
    (void)sley_sched_nudge(s);
    sley__group_leave(visited);
    return true;
}

void sley_group_drain(struct sley_group *g)
{
    struct sley_post *first = sley_group_posted(g) ? sley_posts_take(&g->posts) : NULL;
    while (first) {
        struct sley_post *p = first;
        first = p->link; /* before the call: it may be gone after that */
        p->fn(p);
    }
}

bool sley_group_empty(const struct sley_group *g)
{
    bool empty = true;
    for (uint32_t i = 0; i < g->count; i++) { /* whoever holds one of them waits for no other */
        sley_spin_lock(&g->scheds[i]->root->lock);
    }
    for (uint32_t i = 0; i < g->count; i++) {
        empty = empty && g->scheds[i]->root->live_count == 0;
        sley_spin_unlock(&g->scheds[i]->root->lock);
    }
    return empty;
}

void sley_group_close(struct sley_group *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        sley_sched_close(g->scheds[i]);
    }
    /* acquire: pairs with the release in sley__group_leave, a visitor's last access */
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
