/* Tasks: what runs. Spawn, join, cancel, yield. How a body is written is in frame.h (stackless) and fiber.h; who runs it: executors. */
#ifndef SLEY_TASK_H
#define SLEY_TASK_H

#include <sley/wait.h>

SLEY_EXTERN_C_BEGIN

struct sley_scope;
struct sley_sched;
struct sley_task;

/** What resuming a task answers: ended, parked on a node, or still ready. */
enum sley_step { SLEY_STEP_DONE, SLEY_STEP_WAIT, SLEY_STEP_YIELD };

enum sley_task_style { SLEY_STYLE_FRAME = 1, SLEY_STYLE_FIBER = 2 };

/** A task type: static const data, made by SLEY_FRAME or SLEY_FIBER; a task's header holds one pointer to it. */
struct sley_task_type {
    enum sley_step (*resume)(struct sley_task *t);
    int (*entry)(void *args); /**< a fiber's body; NULL for frames */
    void (*drop)(void *args); /**< destroys arguments whose body never ran (only a destroyed executor); may be NULL */
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
 * Spawns a task into @p scope (NULL: the innermost of the current task, else the executor's root), copying @p args
 * (NULL: zeroed). It is queued, never run inside the call. Spawning never waits.
 * @p ret_task non-NULL: a handle, to be given back with sley_task_unref; NULL: the scope reaps the task.
 * Returns: 0; -ENOMEM; -EAGAIN when the scope's limit is reached; -ESHUTDOWN when it no longer takes tasks; -ESRCH when no
 * executor is current on this thread; -EINVAL (a priority or queue that is not there, too). Owns: the arguments on success; on
 * failure they stay the caller's.
 * Thread: in a task, or owner of the executor. From elsewhere: sley_runtime_spawn. Cost: about 10 ns.
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
/** The same (no handle: NULL) with a pointer to struct sley_spawn_opts; one made in place wants brackets around it. */
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
 * Returns: 0; -ECANCELED when the wait was cancelled (the task goes on); -EINVAL when it was joined before or another joins it
 * now (from another executor or a plain thread that is only noticed while it runs); -EDEADLK when it is the current task,
 * and as sley_await. Thread: any.
 */
SLEY_API int sley_task_join(struct sley_task *t, int *ret_result);
SLEY_API void sley_task_join_start(struct sley_task_join_op *op, struct sley_task *t, int *ret_result);

/** Asks the task to end: its waits return -ECANCELED until it has. Nothing on NULL or an ended one. Thread: any (with a handle). */
SLEY_API void sley_task_cancel(struct sley_task *t);
/** Has it ended? Thread: any (a handle is held). */
SLEY_API bool sley_task_done(const struct sley_task *t);
/** What an ended task's body returned, without joining it. Returns: 0; -EBUSY when it has not ended. Thread: any (with a handle). */
SLEY_API int sley_task_result(const struct sley_task *t, int *ret_result);
/** Gives the handle back, by which no join waits any more; the task runs on, its scope still waits for it. NULL is fine. Thread: any. */
SLEY_API void sley_task_unref(struct sley_task *t);
/** Moves it to the executor's root scope, which nobody waits for until shutdown. Returns: 0; -EINVAL. Thread: its executor's. */
SLEY_API int sley_task_detach(struct sley_task *t);
/** The task's name (its type's). Thread: any. */
SLEY_API const char *sley_task_name(const struct sley_task *t);

/**
 * Lets others run: every task that is ready now; I/O, timers and posts are looked at after 64 resumes at the latest.
 * Returns: 0, on a plain thread, too; -ECANCELED when cancelled; -EDEADLK as sley_await. In a frame: SLEY_YIELD. Thread: as sley_await.
 */
SLEY_API int sley_yield(void);
/**
 * Is the current task to give way? Where queues have slices of time (shares) when its slice is over, or who must not wait is
 * ready; elsewhere after 128 questions. A cancelled task is always asked to. false outside tasks. For what computes for long:
 * sley_yield_if_needed, SLEY_YIELD_IF_NEEDED. Thread: any. Cost: two loads and the call; no system call.
 */
SLEY_API bool sley_need_preempt(void);
/** Yields when it is time to. Returns: 0; as sley_yield. In a frame: SLEY_YIELD_IF_NEEDED. */
SLEY_API int sley_yield_if_needed(void);

/**
 * How urgent a task is (local; NULL: the current one): 1 (SLEY_PRIORITY_DEFAULT) to 8 (SLEY_PRIORITY_MAX). Levels are strict: a
 * task runs only when none of a more urgent level is ready; whoever becomes ready runs before all less urgent ones, after at most
 * the resume that is running. Less urgent ones may starve: that is the meaning. I/O, timers and posts are looked at after 64
 * resumes all the same. A task begins with its spawner's level, or that of its sley_spawn_opts. A new level holds at once: a task
 * that is ready goes to the end of its new level; a running one is queued there next.
 * Returns: 0; -EINVAL (no such level, not of this executor, outside tasks); -ENOTSUP (the executor has one level only).
 * Thread: its executor's. Cost: constant; once in a task's life, when it stands ready at the default level and was never given
 * one before, a walk through the default level's queue.
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
 * Draws one unit of the budget for work done without waiting; yields when none is left. Returns: as sley_yield.
 * In a frame: SLEY_CONSUME. Thread: as sley_await.
 */
SLEY_API int sley_consume(void);

SLEY_EXTERN_C_END
#endif
