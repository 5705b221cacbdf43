/* The shares executor: one thread whose time is divided among task queues by their shares. glommio's model. Without queues: local.h. */
#ifndef SLEY_SHARES_H
#define SLEY_SHARES_H

#include <sley/local.h>

SLEY_EXTERN_C_BEGIN

struct sley_shares;

enum {
    SLEY_SHARES_MAX = 1000,
    SLEY_SHARES_QUEUES_MAX = 255, /**< beside the main one */
};

/** What a queue is to be. Zeroed fields mean the default. */
struct sley_shares_queue_opts {
    const char *name;    /**< for statistics; borrowed. NULL: "?" */
    uint32_t shares;     /**< 1 .. SLEY_SHARES_MAX; 0: 1000 */
    uint64_t latency_ns; /**< its tasks run within about this time of becoming ready; 0: no such hint. Tasks woken by a timer may
                                           be up to one timer tick later (1 ms by default) */
    uint32_t (*shares_fn)(void *arg); /**< returns new shares (clamped); called outside tasks, must not call sley. NULL: none */
    void *shares_arg;
    uint64_t period_ns; /**< how often shares_fn is asked while the queue is busy; 0: 250 ms */
};

/** A task queue in the caller's memory. Must not move from init until fini has returned 0. Fields are private but `base`. */
struct sley_shares_queue {
    struct sley_queue base; /**< for struct sley_spawn_opts.queue */
    struct sley_shares *ex;
    struct sley_shares_queue *next;         /* all of the executor's */
    struct sley_shares_queue *left, *right; /* skew heap on vruntime: those that are ready and do not run */
    struct sley_shares_queue_opts opts;
    uint64_t vruntime; /* time it has had, in ns times 1024 / shares */
    uint64_t reread_ns;
    uint64_t run_ns, resume_count, pick_count;
    uint32_t reciprocal; /* 2^22 / shares */
    bool active;         /* in the heap, or the current one */
    bool is_long;        /* its last run took long: the next is metered by CPU time */
};

/* private: who tells that a slice is over (executor/shares/slice.h) */
struct sley__slice {
    uintptr_t timer;
    uint64_t armed_ns; /* the deadline that it was set to last */
    uint32_t tid;      /* the thread that it tells; 0: there is no timer */
    int signo;
};

/** How an executor divides its time; NULL means all zero. */
struct sley_shares_opts {
    uint64_t slice_ns; /**< how long a queue runs before another has its turn; halves of latencies cut it short. 0: 1 ms; at most 1 s */
    uint32_t main_shares; /**< of the queue where tasks are that were spawned into none: 0: 1000 */
};

/** A shares executor in the caller's memory. Must not move from init until fini has returned 0. All fields are private but `base`. */
struct sley_shares {
    union {
        struct sley_executor base;
        struct sley_local local;
    };
    struct sley_shares_queue *queues; /* all */
    struct sley_shares_queue *heap;
    struct sley_shares_queue *current; /* whose slice it is */
    uint64_t lanes[4];                 /* bit n: lane n is taken */
    uint64_t floor;                    /* the vruntime of who was picked last: whoever wakes begins here */
    uint64_t slice_ns;                 /* the option, or half of the shortest latency */
    uint64_t slice_end_ns;
    uint32_t ask_count; /* in this slice, by the clock */
    bool over;          /* the slice is */
    bool is_real;       /* runs by the system's clock */
    bool is_watched;    /* a timer tells of this slice's end */
    struct sley__slice slice;
    struct sley_shares_opts opts;
    struct sley_shares_queue main;
};

/** Readies @p ex; as sley_local_init. Returns: 0; -EINVAL (options). Thread: any. */
SLEY_API int sley_shares_init(struct sley_shares *ex, const struct sley_shares_opts *o);

/**
 * Adds a queue, before the start or while the executor runs. The queue with the least run time divided by its shares is served next; a
 * queue that was idle starts level with the others, so that it cannot make up for the time it did not use. If a queue has a latency, no
 * queue's slice is longer than half of it, and a task that becomes ready in that queue ends the slice of another one
 * (sley_need_preempt), as long as its queue has not had more than its share.
 * Returns: 0; -EINVAL (shares); -ENOSPC (there are 255). Thread: its executor's, or nobody drives it.
 */
SLEY_API int sley_shares_queue_init(struct sley_shares *ex, struct sley_shares_queue *q, const struct sley_shares_queue_opts *o);
/**
 * Removes a queue; also after the executor's fini. NULL, a zeroed or a removed one: 0.
 * Returns: 0; -EBUSY: it has tasks, or tasks may be on their way to it. Thread: as init. Cost: a walk over all tasks.
 */
SLEY_API int sley_shares_queue_fini(struct sley_shares_queue *q);
/** Sets the shares (shares_fn may change them again). Returns: 0; -EINVAL. Thread: as init. */
SLEY_API int sley_shares_queue_set(struct sley_shares_queue *q, uint32_t shares);
/** Spawns into the root scope and a queue; sley_spawn does the same within the executor, and children are in their spawner's queue.
 * Returns: as sley_spawn; -ESHUTDOWN before the start, too. Thread: any. */
SLEY_API int sley_shares_spawn(struct sley_shares_queue *q, const struct sley_task_type *type, const void *args,
                               struct sley_task **ret_task);
/** The queue of tasks that were spawned without naming one. Thread: any. */
SLEY_API struct sley_shares_queue *sley_shares_main(struct sley_shares *ex);

struct sley_shares_stats {
    const char *name;
    uint32_t shares;
    uint64_t run_ns;       /**< CPU time of runs of 50 us and more; of short ones by the executor's clock */
    uint64_t resume_count; /**< of its tasks */
    uint64_t pick_count;   /**< slices, whole or not */
    uint64_t vruntime;     /**< run_ns times 1024 / shares, but for what it could not claim */
};
/** What a queue has had so far. Thread: as init. */
SLEY_API void sley_shares_queue_stats(const struct sley_shares_queue *q, struct sley_shares_stats *ret_stats);

/** Its table, for those who wire by name. */
SLEY_API extern const struct sley_executor_ops sley_shares_ops;

SLEY_EXTERN_C_END
#endif
