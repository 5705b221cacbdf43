/* Tasks: spawn, join, cancel, yield. A task's body is written as in frame.h (stackless) or fiber.h; an executor runs it. */
#ifndef SLEY_TASK_H
#define SLEY_TASK_H

#include <sley/wait.h>

SLEY_EXTERN_C_BEGIN

struct sley_scope;
struct sley_sched;
struct sley_task;

/** The result of resuming a task: it has ended, it waits for a node, or it is ready to go on. */
enum sley_step { SLEY_STEP_DONE, SLEY_STEP_WAIT, SLEY_STEP_YIELD };

enum sley_task_style { SLEY_STYLE_FRAME = 1, SLEY_STYLE_FIBER = 2 };

/** A task type: static const data, made by SLEY_FRAME or SLEY_FIBER; a task's header holds one pointer to it. */
struct sley_task_type {
    enum sley_step (*resume)(struct sley_task *t);
    int (*entry)(void *args); /**< a fiber's body; NULL for frames */
    void (*drop)(void *args); /**< destroys the arguments of a task that never ran, when its executor is destroyed; may be NULL */
    uint32_t args_bytes;      /**< the frame, or a fiber's arguments */
    uint16_t args_align;
    uint16_t style;       /**< enum sley_task_style */
    uint32_t stack_bytes; /**< fibers: 0 = 64 KiB */
    uint32_t line;
    const char *name;
    const char *file;
};
/* private: the type that SLEY_FRAME and SLEY_FIBER declare */
#define SLEY__TASK_TYPE(fn, resume, entry, drop, args_type, style, stack_bytes) \
    __attribute__((unused)) static const struct sley_task_type fn##__type = {   \
        resume,                                                                 \
        entry,                                                                  \
        (drop),                                                                 \
        __extension__(uint32_t) sizeof(args_type),                              \
        __extension__(uint16_t) __alignof__(args_type),                         \
        style,                                                                  \
        (stack_bytes),                                                          \
        __LINE__,                                                               \
        #fn,                                                                    \
        __FILE__,                                                               \
    };

/**
 * A task's header: one cache line; the frame (or the fiber's arguments) follows. Never moves. All fields are private;
 * the life cycle and who may touch what are in task/state.h.
 */
struct sley_task {
    SLEY_ATOMIC(uint32_t) state;
    SLEY_ATOMIC(uint32_t) requests;
    const struct sley_task_type *type;
    struct sley_sched *sched;
    union {
        struct sley_task *next;    /* while scheduled: the run queue's */
        struct sley_wait *awaited; /* while idle: what it waits for, or NULL */
    } link;
    union {
        struct sley_wait *joiner; /* until done */
        intptr_t result;          /* once done */
    } out;
    SLEY_ATOMIC(struct sley_scope *) scope; /* innermost scope it stands in */
    struct sley_task *sibling_next;
    struct sley_task *sibling_prev;
};
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley_task) == 64, "a task header is one cache line");
#endif

/** One of the queues of an executor that has several (<sley/shares.h>). Fields are private. */
struct sley_queue {
    struct sley_sched *sched;
    uint32_t lane;
};

enum {
    SLEY_PRIORITY_DEFAULT = 1,
    SLEY_PRIORITY_MAX = 8, /**< the most urgent */
};

/** How to spawn; NULL means all zero. */
struct sley_spawn_opts {
    uint32_t stack_bytes; /**< fibers: overrides the type's; 0 = the type's */
    uint32_t priority;    /**< local: 1 .. SLEY_PRIORITY_MAX, see sley_task_set_priority; 0 = the spawner's. Others have one level */
    const struct sley_queue *queue; /**< an executor's with several queues; NULL = the spawner's */
};

/**
 * Spawns a task into @p scope (NULL: the current task's innermost scope, else the executor's root scope), copying @p args
 * (NULL: zeroed). The task is queued; it never runs inside this call, and the call never waits.
 * @p ret_task non-NULL: gets a handle, to be given back with sley_task_unref; NULL: the scope frees the task when it has ended.
 * Returns: 0; -ENOMEM; -EAGAIN when the scope's limit is reached; -ESHUTDOWN when the executor is being stopped or the scope is
 * closed; -ESRCH when this thread is inside no executor; -EINVAL (also: no such priority or queue).
 * Owns: the arguments belong to the task on success, to the caller on failure.
 * Thread: in a task, or the owner of the executor. From other threads: sley_runtime_spawn. Cost: about 10 ns.
 */
SLEY_API int sley_spawn(struct sley_scope *scope, const struct sley_task_type *type, const void *args,
                        const struct sley_spawn_opts *opts, struct sley_task **ret_task);

/* private: the two halves of SLEY_SPAWN */
SLEY_API void *sley__spawn_begin(struct sley_scope *scope, const struct sley_task_type *type, int *ret_rc, struct sley_task **ret_task);
SLEY_API void *sley__spawn_begin_opts(struct sley_scope *scope, const struct sley_task_type *type, const struct sley_spawn_opts *opts,
                                      int *ret_rc, struct sley_task **ret_task);
SLEY_API void sley__spawn_commit(void *args);

/**
 * Typed spawn: `SLEY_SPAWN(scope, fn, .field = value, ...)`, fields being those of fn's frame or argument struct, built in
 * place. They are evaluated only when the spawn succeeds, so on failure nothing has been moved. Value: as sley_spawn.
 */
#define SLEY_SPAWN(scope, fn, ...) SLEY__SPAWN(scope, fn, NULL, __VA_ARGS__)
/** The same, with a handle in `*(ret_task)`. */
#define SLEY_SPAWN_TASK(ret_task, scope, fn, ...) SLEY__SPAWN(scope, fn, ret_task, __VA_ARGS__)
/** The same with options: @p opts is a pointer to struct sley_spawn_opts (put parentheses around a compound literal). @p ret_task may
 * be NULL: no handle. */
#define SLEY_SPAWN_OPTS(ret_task, scope, opts, fn, ...) \
    SLEY__SPAWNING(sley__spawn_begin_opts(scope, &fn##__type, opts, &sley__rc, ret_task), fn, __VA_ARGS__)
#define SLEY__SPAWN(scope, fn, ret_task, ...) \
    SLEY__SPAWNING(sley__spawn_begin(scope, &fn##__type, &sley__rc, ret_task), fn, __VA_ARGS__)
#define SLEY__SPAWNING(begin, fn, ...)               \
    __extension__({                                  \
        int sley__rc = 0;                            \
        fn##__args *sley__a = (fn##__args *)(begin); \
        if (sley__a) {                               \
            *sley__a = (fn##__args){__VA_ARGS__};    \
            sley__spawn_commit(sley__a);             \
        }                                            \
        sley__rc;                                    \
    })

/** A join in progress. */
struct sley_task_join_op {
    struct sley_wait wait;
    /* private */
    struct sley_task *task;
    int *ret_result;
    SLEY_ATOMIC(uint32_t) stage;
    int verdict;
    struct sley_post post;
};

/**
 * Waits until the task has ended. `*ret_result` (may be NULL) is what its body returned.
 * Returns: 0; -ECANCELED when the wait was cancelled (the task goes on); -EINVAL when the task was joined before, or another task or
 * thread is joining it (a joiner on another executor or a plain thread learns this only if the task has not ended yet); -EDEADLK when
 * @p t is the current task, and as sley_await. Thread: any. Owns: the handle stays the caller's.
 */
SLEY_API int sley_task_join(struct sley_task *t, int *ret_result);
SLEY_API void sley_task_join_start(struct sley_task_join_op *op, struct sley_task *t, int *ret_result);

/** Asks the task to end: from now on its waits return -ECANCELED. NULL, or a task that has ended: does nothing. Thread: any (with a
 * handle). */
SLEY_API void sley_task_cancel(struct sley_task *t);
/** Has it ended? Thread: any (a handle is held). */
SLEY_API bool sley_task_done(const struct sley_task *t);
/** What an ended task's body returned, without joining it. Returns: 0; -EBUSY when it has not ended. Thread: any (with a handle). */
SLEY_API int sley_task_result(const struct sley_task *t, int *ret_result);
/** Gives the handle back. No join may be waiting. The task goes on, and its scope still waits for it. NULL is fine. Thread: any. */
SLEY_API void sley_task_unref(struct sley_task *t);
/** Moves the task to the executor's root scope, so that nothing but the executor's stop waits for it. Returns: 0; -EINVAL. Thread: its
 * executor's. */
SLEY_API int sley_task_detach(struct sley_task *t);
/** The task's name (its type's). Thread: any. */
SLEY_API const char *sley_task_name(const struct sley_task *t);

/**
 * Lets every other task that is ready now run first. The executor looks at I/O, timers and posts after 64 resumes at the latest.
 * Returns: 0 (on a plain thread always); -ECANCELED when the task is cancelled; -EDEADLK as sley_await. In a frame: SLEY_YIELD.
 * Thread: as sley_await.
 */
SLEY_API int sley_yield(void);
/**
 * Should the current task yield? Under "shares": true when its queue's slice of time is over, or a task of a queue with a latency is
 * ready; under other executors: true at every 128th call. Always true in a cancelled task, always false outside tasks. Meant for
 * tasks that compute for long: see sley_yield_if_needed and SLEY_YIELD_IF_NEEDED. Thread: any. Cost: two loads and the call; no
 * system call.
 */
SLEY_API bool sley_need_preempt(void);
/** Yields if sley_need_preempt says so. Returns: 0; as sley_yield. In a frame: SLEY_YIELD_IF_NEEDED. Thread: as sley_await. */
SLEY_API int sley_yield_if_needed(void);

/**
 * Sets the priority of a task of "local" (NULL: the current task): 1 (SLEY_PRIORITY_DEFAULT) to 8 (SLEY_PRIORITY_MAX, the most urgent).
 * Levels are strict: a task runs only while no task of a more urgent level is ready, so less urgent tasks may starve. A task that
 * becomes ready waits for at most the resume that is running before it runs ahead of all less urgent ones. I/O, timers and posts
 * are still looked at after 64 resumes. A new task has its spawner's level, or the one in its sley_spawn_opts. A change takes effect at
 * once: a ready task goes to the end of its new level's queue; a running task is queued there next time.
 * Returns: 0; -EINVAL (no such level; a task of another executor; NULL outside tasks); -ENOTSUP (the executor has one level only).
 * Thread: its executor's. Cost: constant; but the first change of a task that is ready at the default level walks through that level's
 * queue.
 */
SLEY_API int sley_task_set_priority(struct sley_task *t, uint32_t level);
/** The current task's level; 0 outside tasks. Thread: any. */
SLEY_API uint32_t sley_priority(void);

/** Parks until the task is cancelled. Returns: -ECANCELED, or -EDEADLK outside a fiber. In a frame: SLEY_PARK.
 * Thread: any. */
SLEY_API int sley_park(void);
/** Is the current task cancelled? On a pool's thread: was the blocking job asked to end? false elsewhere. Thread: any. */
SLEY_API bool sley_cancelled(void);
/* private: set by a pool while this thread runs one of its jobs: was that job asked to end? Else NULL */
SLEY_API extern SLEY__TLS const SLEY_ATOMIC(uint32_t) * sley__job_cancelled;
/**
 * Draws one unit of the task's budget (128 units for each resume), for work that is done without waiting; yields when none is left.
 * Returns: as sley_yield. In a frame: SLEY_CONSUME. Thread: as sley_await.
 */
SLEY_API int sley_consume(void);

SLEY_EXTERN_C_END
#endif
