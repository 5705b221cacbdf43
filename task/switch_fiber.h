/* A fiber as switch_fiber.c makes it, and what the rest of task/ asks of it. Included by core.h alone. */
#ifndef SLEY_TASK_SWITCH_FIBER_H
#define SLEY_TASK_SWITCH_FIBER_H

/** A fiber's control block, at the top of its stack; its arguments follow the task, as a frame does. */
struct sley__fiber {
    struct sley__context context;
    struct sley__handle handle;
    uint32_t stack_bytes;
    int32_t result;
    struct sley__stack_pool *pool; /* its own when it was spawned away from home */
    void *top;
    struct sley_task task;
};

int sley__fiber_new(struct sley_sched *s, const struct sley_task_type *type, uint32_t stack_bytes, bool away,
                    struct sley_task **ret_task);
void sley__fiber_free(struct sley_sched *s, struct sley_task *t);
void sley__fiber_switch_out(struct sley_task *t, enum sley_step step);

#endif
