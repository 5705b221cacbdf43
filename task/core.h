/* What the files of task/ share among themselves. */
#ifndef SLEY_TASK_CORE_H
#define SLEY_TASK_CORE_H

#include <sley/fiber.h>
#include <sley/frame.h>

#include "shared.h"
#include "slab.h"
#include "stack.h"
#include "stack_overflow.h"
#include "state.h"
#include "switch.h"
#include "wait_state.h"

/** One worker's memory and its way back from fibers. */
struct sley__memory {
    struct sley__slab slab;
    struct sley_alloc *alloc;
    struct sley__stack_pool *stacks; /* made at the first fiber */
    struct sley__context back;       /* the run loop, while a fiber runs */
    enum sley_step step;             /* what the fiber answered */
    void *alt;                       /* signal stack for stack_overflow.c */
    struct sley_scope root;
    struct sley_alloc libc;
    uint64_t tidy_ns;       /* when sley_sched_tidy is to look at the stacks; 0: there is no need */
    struct sley_task *kept; /* ring: ended, handles are out, and the slab does not take them along when it goes */
};

/** What a handle needs to travel to its task's home. */
struct sley__handle {
    void *link;
    struct sley_task *task;
    struct sley_task **behind; /* while LINKED: the link that points to the task, unless it has come to the head since */
};

#include "switch_fiber.h" /* needs what a handle is */

/* ---- rings of siblings: doubly linked, oldest first ------------------------------------------------------------- */

SLEY_INLINE void sley__ring_push(struct sley_task **ring, struct sley_task *t)
{
    struct sley_task *first = *ring;
    if (!first) {
        *ring = t->sibling_next = t->sibling_prev = t;
        return;
    }
    struct sley_task *last = first->sibling_prev;
    t->sibling_next = first;
    t->sibling_prev = last;
    last->sibling_next = t;
    first->sibling_prev = t;
}

SLEY_INLINE void sley__ring_remove(struct sley_task **ring, struct sley_task *t)
{
    struct sley_task *next = t->sibling_next;
    if (next == t) {
        *ring = NULL;
        return;
    }
    next->sibling_prev = t->sibling_prev;
    t->sibling_prev->sibling_next = next;
    if (*ring == t) {
        *ring = next;
    }
}

/* relaxed throughout: at home one thread's; shared, the scope's lock orders changes, and a task that looks was poked after them */

SLEY_INLINE uint32_t sley__scope_flags(const struct sley_scope *sc)
{
    return atomic_load_explicit(&sc->flags, memory_order_relaxed); /* relaxed: see above */
}

SLEY_INLINE void sley__scope_add_flags(struct sley_scope *sc, uint32_t flags)
{
    /* relaxed: see above */
    atomic_store_explicit(&sc->flags, sley__scope_flags(sc) | flags, memory_order_relaxed);
}

SLEY_INLINE void sley__scope_drop_flags(struct sley_scope *sc, uint32_t flags)
{
    /* relaxed: see above */
    atomic_store_explicit(&sc->flags, sley__scope_flags(sc) & ~flags, memory_order_relaxed);
}

/** The innermost scope that a task stands in. */
SLEY_INLINE struct sley_scope *sley__task_scope(const struct sley_task *t)
{
    return atomic_load_explicit(&t->scope, memory_order_relaxed); /* relaxed: see above */
}

SLEY_INLINE void sley__task_set_scope(struct sley_task *t, struct sley_scope *sc)
{
    atomic_store_explicit(&t->scope, sc, memory_order_relaxed); /* relaxed: see above */
}

/* flags of scopes, beside the public ones */
enum {
    SLEY__SCOPE_CANCELLED = 1 << 8,
    SLEY__SCOPE_DEADLINE = 1 << 9, /* the deadline did it */
    SLEY__SCOPE_CLOSED = 1 << 10,  /* takes no more tasks */
    SLEY__SCOPE_OPEN = 1 << 11,
    SLEY__SCOPE_LIMIT = 1 << 12, /* has one */
};

SLEY_INLINE void sley__scope_add(struct sley_scope *sc, struct sley_task *t)
{
    sley__task_set_scope(t, sc);
    sc->live_count++;
    sley__ring_push(&sc->children, t);
}

SLEY_INLINE void sley__scope_remove(struct sley_scope *sc, struct sley_task *t)
{
    sc->live_count--;
    sley__ring_remove(&sc->children, t);
}

/** May a task be spawned into @p scope? Adds to `*state` what it begins with there. Under the scope's lock, if it has one. */
SLEY_INLINE int sley__scope_admits(const struct sley_scope *scope, uint32_t *state)
{
    const uint32_t flags = sley__scope_flags(scope);
    if (SLEY_UNLIKELY(flags & (SLEY__SCOPE_CLOSED | SLEY__SCOPE_CANCELLED | SLEY_SCOPE_COLLECT))) {
        if (flags & SLEY__SCOPE_CLOSED) {
            return -ESHUTDOWN;
        }
        *state |= (flags & SLEY__SCOPE_CANCELLED ? (uint32_t)SLEY__TASK_POKED : 0) |
                  (flags & SLEY_SCOPE_COLLECT ? (uint32_t)SLEY__TASK_EXT : 0);
    }
    return SLEY_UNLIKELY(scope->limit != 0 && scope->live_count >= scope->limit) ? -EAGAIN : 0;
}

/** The body of a direct form `int X(...)` whose op is a `type`: enter, X_start(&op, ...), await. */
#define SLEY__DIRECT(type, X, ...)                \
    do {                                          \
        type sley__op = {0};                      \
        const int sley__rc = sley_direct_enter(); \
        if (sley__rc < 0) {                       \
            return sley__rc;                      \
        }                                         \
        X##_start(&sley__op, __VA_ARGS__);        \
        return sley_await(&sley__op.wait);        \
    } while (0)

/* sched.c */
void sley__orphans_gone(struct sley_sched *s, uint32_t count); /* handles of a finished sched; the last takes the memory along */
uint32_t sley__each_task(const struct sley_sched *s, bool still, void (*fn)(struct sley_sched *s, struct sley_task *t, bool still));

/* lane.c */
int sley__spawn_lane(const struct sley_sched *s, const struct sley_spawn_opts *o, uint32_t *state);

/* task.c */
int sley__task_new(struct sley_sched *s, const struct sley_task_type *type, uint32_t stack_bytes, uint32_t state,
                   struct sley_task **ret_task);
void sley__task_free(struct sley_sched *s, struct sley_task *t);
int32_t sley__task_result(const struct sley_task *t);
struct sley__handle *sley__task_handle(struct sley_task *t);
void sley__task_set_result(struct sley_task *t, int32_t result);
void sley__task_finish(struct sley_sched *s, struct sley_task *t);
void sley__task_keep(struct sley_sched *s, struct sley_task *t);    /* it has ended, and handles are out */
void sley__task_free_kept(struct sley_sched *s);                    /* the last handle has gone, perhaps on another thread */
void sley__task_release(struct sley_sched *s, struct sley_task *t); /* a handle or the ring lets go */
void sley__task_arrived(struct sley_sched *s, struct sley_task *t); /* from another thread, through the inbox */
void sley__task_requests(struct sley_task *t);

/* join.c */
void sley__join_complete(struct sley_task *t, struct sley_wait *joiner);

/* cancel.c */
bool sley__task_poll(struct sley_sched *s, struct sley_task *t); /* is the current task cancelled? */
void sley__task_poke(struct sley_task *t);
void sley__task_recheck(struct sley_task *t); /* its scopes have changed */
void sley__scope_mark(struct sley_scope *sc); /* cancels a scope */
void sley__scope_mark_locked(struct sley_scope *sc);
bool sley__scope_cancelled(const struct sley_scope *sc);

/* scope.c */
void sley__scope_open(struct sley_scope *sc, struct sley_sched *s, struct sley_task *owner, const struct sley_scope_opts *o);
void sley__scope_child_ended(struct sley_scope *sc);
struct sley_wait *sley__scope_take_ops(struct sley_scope *sc); /* its owner's ops that can end now, with their results; */
void sley__scope_complete_ops(struct sley_wait *taken);        /* to be completed when its lock is free again */
void sley__scope_deadline_hit(struct sley_timer *t);
extern const struct sley_wait_ops sley__scope_deadline_ops;

/* timer.c */
extern const struct sley_wait_ops sley__interval_ops;
void sley__interval_fired(struct sley_timer *t);

/* report.c */
void sley__report_left(struct sley_sched *s, struct sley_task *t, bool still);
/* switch_trace*.c: before a report, and one line of it; where a fiber that @p stands still is added for the first few */
void sley__trace_begin(bool still);
void sley__trace_left(const struct sley_sched *s, struct sley_task *t, bool stands, const char *what);
void sley__report_overflow(struct sley_sched *s, const struct sley_task *t); /* async-signal-safe */
#ifdef SLEY_DEBUG
/* A programming error, told to the report function of @p s (NULL: the task's, the thread's): what, where, remedy. The caller goes on
 * with an error code. */
void sley__misuse_told(const struct sley_sched *s, const struct sley_task *t, const char *site, const char *what, const char *remedy);
#define sley__misuse(t, site, what, remedy) sley__misuse_told(NULL, t, site, what, remedy)
#define sley__misuse_to(s, site, what, remedy) sley__misuse_told(s, NULL, site, what, remedy)
/* The same where going on would corrupt memory: ends the process after the report. */
void sley__misuse_fatal(const struct sley_task *t, const char *site, const char *what, const char *remedy);
void sley__misuse_frame_armed(struct sley_sched *s, struct sley_task *t);
/* A worker with a home is about to sleep (its inbox says so already): nothing may be ready, nobody may wait for what is done. */
void sley__audit(struct sley_sched *s);
#else
#define sley__misuse(t, site, what, remedy) ((void)(t), (void)(site))
#define sley__misuse_to(s, site, what, remedy) ((void)(s), (void)(site))
#define sley__misuse_fatal(t, site, what, remedy) ((void)(t), (void)(site))
#define sley__misuse_frame_armed(s, t) ((void)(s), (void)(t))
#define sley__audit(s) ((void)(s))
#endif

#endif
