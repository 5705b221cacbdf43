/* What the files of task/ share among themselves. */
#ifndef SLEY_TASK_CORE_H
#define SLEY_TASK_CORE_H

#include <sley/frame.h>

#include "slab.h"
#include "stack.h"
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
    struct sley_scope root;
    struct sley_alloc libc;
};

/** A fiber's control block, at the top of its stack; its arguments follow the task, as a frame does. */
struct sley__fiber {
    struct sley__context context;
    struct sley_post post;
    size_t stack_bytes;
    int result;
    uint32_t pad;
    void *top;
    struct sley_task task;
};

/* sched.c */
void sley__orphan_gone(struct sley_sched *s); /* a handle of a finished sched has gone; the last takes the memory along */

/* task.c */
void sley__task_set_result(struct sley_task *t, int32_t result);
void sley__task_finish(struct sley_sched *s, struct sley_task *t);
void sley__task_release(struct sley_sched *s, struct sley_task *t); /* a handle or the ring lets go */
void sley__task_arrived(struct sley_sched *s, struct sley_task *t); /* from another thread, through the inbox */
void sley__task_requests(void *post);
void sley__join_complete(struct sley_task *t);
struct sley_post *sley__task_post(struct sley_task *t);
int sley__task_block_new(struct sley_sched *s, const struct sley_task_type *type, uint32_t stack_bytes, bool ext,
                         struct sley_task **ret_task);
void sley__task_block_free(struct sley_sched *s, struct sley_task *t);

/* fiber.c */
int sley__fiber_new(struct sley_sched *s, const struct sley_task_type *type, uint32_t stack_bytes, struct sley_task **ret_task);
void sley__fiber_free(struct sley_sched *s, struct sley_task *t);
void sley__fiber_switch_out(struct sley_sched *s, struct sley_task *t, enum sley_step step);

/* cancel.c */
bool sley__task_poll(struct sley_sched *s, struct sley_task *t); /* is the current task cancelled? */
void sley__task_poke(struct sley_task *t);
void sley__task_recheck(struct sley_task *t); /* its scopes have changed */
void sley__scope_mark(struct sley_scope *sc); /* cancels a scope */
bool sley__scope_cancelled(const struct sley_scope *sc);

/* scope.c */
enum {
    SLEY__SCOPE_CANCELLED = 1 << 8,
    SLEY__SCOPE_DEADLINE = 1 << 9, /* the deadline did it */
    SLEY__SCOPE_CLOSED = 1 << 10,  /* takes no more tasks */
    SLEY__SCOPE_OPEN = 1 << 11,
};
void sley__scope_open(struct sley_scope *sc, struct sley_sched *s, struct sley_task *owner, const struct sley_scope_opts *o);
void sley__scope_add(struct sley_scope *sc, struct sley_task *t);
void sley__scope_remove(struct sley_scope *sc, struct sley_task *t);
void sley__scope_child_ended(struct sley_scope *sc);
void sley__scope_deadline_hit(struct sley_timer *t);
void sley__ring_push(struct sley_task **ring, struct sley_task *t);
void sley__ring_remove(struct sley_task **ring, struct sley_task *t);
extern const struct sley_wait_ops sley__scope_deadline_ops;

/* timer.c */
extern const struct sley_wait_ops sley__interval_ops;
void sley__interval_fired(struct sley_timer *t);

/* report.c */
void sley__misuse(const struct sley_task *t, const char *site, const char *what, const char *remedy);
void sley__report_left(struct sley_sched *s, const struct sley_task *t);

#endif
