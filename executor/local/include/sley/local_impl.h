/* For executors with one thread that differ from local in who is next: they give it an order, and share all the rest. */
#ifndef SLEY_LOCAL_IMPL_H
#define SLEY_LOCAL_IMPL_H

#include <sley/local.h>

SLEY_EXTERN_C_BEGIN

/**
 * Who is next. An executor embeds a struct sley_local, readies it by sley_local_init_ordered, and puts the functions below into its
 * table. Instances are static const. @p s is the worker's sched, whose lanes are there from start to fini.
 */
struct sley_local_order {
    uint32_t lane_count;  /**< of s->lanes; 1: only the ready one */
    uint32_t level_count; /**< see struct sley_sched */
    /** Required. Resumes ready tasks of all lanes, at most @p max. Returns how many. Thread: owner, entered. */
    uint32_t (*run)(struct sley_local *self, struct sley_sched *s, uint32_t max);
    /** See struct sley_sched_ops; required with more than one lane. */
    void (*lane_ready)(struct sley_local *self, struct sley_sched *s, uint32_t lane);
    /** See struct sley_sched_ops; required when run calls sley_sched_run_slice. NULL: sley_sched_draw. */
    bool (*need_preempt)(struct sley_local *self, struct sley_sched *s);
};

/** Readies @p ex with an executor's table and order. Thread: any. */
SLEY_API void sley_local_init_ordered(struct sley_local *ex, const struct sley_executor_ops *ops, const struct sley_local_order *order);

/* Slots for a table: see struct sley_executor_ops. */
SLEY_API int sley_local_start(struct sley_executor *ex, const struct sley_executor_config *config);
SLEY_API int sley_local_spawn(struct sley_executor *ex, const struct sley_task_type *type, const void *args,
                              struct sley_task **ret_task);
/** The same into a lane. */
SLEY_API int sley_local_spawn_lane(struct sley_executor *ex, uint32_t lane, const struct sley_task_type *type, const void *args,
                                   struct sley_task **ret_task);
SLEY_API int sley_local_run(struct sley_executor *ex, const struct sley_task *until);
SLEY_API int sley_local_turn(struct sley_executor *ex, uint32_t max, uint64_t *ret_next_ns);
SLEY_API int sley_local_pollable_fd(struct sley_executor *ex);
SLEY_API void sley_local_halt(struct sley_executor *ex);
SLEY_API int sley_local_stop(struct sley_executor *ex, uint64_t drain_deadline_ns);
SLEY_API int sley_local_fini(struct sley_executor *ex);
SLEY_API struct sley_sched *sley_local_sched(struct sley_executor *ex);

/**
 * For executors made of several of these: runs, tasks or none, until @p go_on says false. It is asked on this thread after each
 * batch of tasks, before anything is waited for; what changes its answer from elsewhere then rings (`ring` of the sched's table).
 * Returns: 0; as the table's run. Thread: any one at a time.
 */
SLEY_API int sley_local_run_while(struct sley_local *ex, bool (*go_on)(void *arg), void *arg);

SLEY_EXTERN_C_END
#endif
