/* Scopes: structured concurrency. Every task belongs to a scope, and a scope ends only when all its tasks have ended. A cancel goes to a
 * scope, and from there down to its tasks and their scopes. */
#ifndef SLEY_SCOPE_H
#define SLEY_SCOPE_H

#include <sley/timer.h>

SLEY_EXTERN_C_BEGIN

enum {
    SLEY_SCOPE_FAIL_FAST = 1, /**< the first child that fails (result < 0) cancels the scope */
    SLEY_SCOPE_SHIELD = 2,    /**< cancels of outer scopes have no effect inside; needs a deadline */
    SLEY_SCOPE_COLLECT = 4,   /**< a join set: children that have ended are kept for sley_scope_next */
};

struct sley_scope_opts {
    uint64_t deadline_ns; /**< 0 or SLEY_NEVER: none */
    uint32_t limit;       /**< most children that may run at a time; 0: unbounded */
    uint32_t flags;       /**< SLEY_SCOPE_* */
    const char *name;     /**< for reports; borrowed until fini; may be NULL */
};

/** A scope. Lives where the caller wants (a fiber's stack, a frame); must not move from init to fini. All fields are private. */
struct sley_scope {
    struct sley_scope *parent;
    struct sley_task *owner; /* the task that opened it; NULL for an executor's root */
    struct sley_sched *sched;
    struct sley_task *children; /* ring of siblings, oldest first */
    struct sley_task *finished; /* ring, oldest first: collected, not yet taken */
    uint32_t live_count;        /* children that have not ended */
    uint32_t limit;
    SLEY_ATOMIC(uint32_t) flags;
    int32_t first_error;
    struct sley_wait *waiters; /* wait, next and slot ops of the owner */
    const char *name;
    struct sley_timer deadline;
    struct sley_post post;
    SLEY_ATOMIC(uint32_t) requests; /* from other threads */
    SLEY_ATOMIC(uint32_t) lock;     /* where several workers share it */
};

/** An op of a scope in progress. */
struct sley_scope_op {
    struct sley_wait wait;
    /* private */
    struct sley_scope *scope;
    struct sley_wait *next;
    struct sley_task **ret_task;
    int *ret_result;
};

/**
 * Opens a scope inside the current task's innermost one. Until it is closed, the task spawns into it by default, and a cancel of it
 * cancels the task's own waits, too. Scopes must be closed in the reverse order of opening. Returns: 0, also in a cancelled task;
 * -EINVAL (SHIELD without a deadline, unknown flags); -ESRCH outside a task. Thread: in a task. Cost: no allocation.
 */
SLEY_API int sley_scope_init(struct sley_scope *s, const struct sley_scope_opts *opts);

/**
 * Waits until every child has ended. Never returns earlier, even when the waiting task is cancelled (its children are cancelled then).
 * Returns: -ETIMEDOUT when the deadline has cancelled the scope; else the first negative result of a child; else 0. -EDEADLK as
 * sley_await. Thread: the owner (the task that has opened it).
 */
SLEY_API int sley_scope_wait(struct sley_scope *s);
SLEY_API void sley_scope_wait_start(struct sley_scope_op *op, struct sley_scope *s);

/**
 * Join set (SLEY_SCOPE_COLLECT): waits for a child that has ended and takes it, in the order of ending. `*ret_task` (may be NULL) gets
 * its handle, `*ret_result` (may be NULL) what it returned. After a cancel of this scope the call still hands out every child; only a
 * cancel inside it (a SLEY_UNTIL around this call) makes it return -ECANCELED.
 * Returns: 1; 0 when no child is left; -ECANCELED; -EINVAL without COLLECT; -EDEADLK as sley_await. Owns: the caller gives the handle
 * back by sley_task_unref. Thread: the owner.
 */
SLEY_API int sley_scope_next(struct sley_scope *s, struct sley_task **ret_task, int *ret_result);
SLEY_API void sley_scope_next_start(struct sley_scope_op *op, struct sley_scope *s, struct sley_task **ret_task, int *ret_result);
/** The same without waiting. Returns: 1; 0; -EAGAIN when children run but none has ended; -EINVAL. Thread: the owner. */
SLEY_API int sley_scope_try_next(struct sley_scope *s, struct sley_task **ret_task, int *ret_result);

/** Waits until fewer than `limit` children run. Returns: 0; -ECANCELED; -EDEADLK as sley_await. Thread: the owner. */
SLEY_API int sley_scope_slot(struct sley_scope *s);
SLEY_API void sley_scope_slot_start(struct sley_scope_op *op, struct sley_scope *s);

/** Cancels the scope: every task in it, and the waits of the owner until it has closed the scope. Thread: any, between init and fini. */
SLEY_API void sley_scope_cancel(struct sley_scope *s);
/** Sets the deadline, absolute (SLEY_NEVER: none); one in the past cancels the scope at once. Thread: its executor's. Cost: O(1). */
SLEY_API void sley_scope_deadline(struct sley_scope *s, uint64_t deadline_ns);
/** How many children have not ended. Thread: the scope's executor. */
SLEY_API uint32_t sley_scope_count(const struct sley_scope *s);

/**
 * Cancels the scope, waits for every child, and closes it: after that the owner is no longer cancelled by this scope.
 * Returns: 0, also for a zeroed or closed scope; -ETIMEDOUT when its deadline had passed; -EINVAL when inner scopes are still open, or
 * in a task that has not opened it. The call itself cannot be cancelled. Thread: the owner.
 */
SLEY_API int sley_scope_fini(struct sley_scope *s);
SLEY_API void sley_scope_fini_start(struct sley_scope_op *op, struct sley_scope *s);

/* private: SLEY_UNTIL */
struct sley__until {
    struct sley_scope scope;
    void *outer;
    uint64_t deadline_ns;
    bool on_thread, passed;
};
SLEY_API void sley__until_enter(struct sley__until *u, uint64_t deadline_ns);
SLEY_API int sley__until_leave(struct sley__until *u, int rc);

/**
 * A direct call under a deadline (absolute). Value: the call's own result; -ETIMEDOUT if and only if the deadline cancelled the call
 * and it had no effect. In a fiber or on a plain thread. In a frame: SLEY_CALL_UNTIL.
 */
#define SLEY_UNTIL(deadline_ns, call)                \
    __extension__({                                  \
        struct sley__until sley__u;                  \
        sley__until_enter(&sley__u, deadline_ns);    \
        const int sley__until_rc = (call);           \
        sley__until_leave(&sley__u, sley__until_rc); \
    })

SLEY_EXTERN_C_END
#endif
