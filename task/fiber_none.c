/* A machine without fibers: tasks are frames there, and no direct form may wait. */
#include "core.h"

int sley__fiber_new(struct sley_sched *s, const struct sley_task_type *type, uint32_t stack_bytes, bool away,
                    struct sley_task **ret_task)
{
    (void)s, (void)type, (void)stack_bytes, (void)away, (void)ret_task;
    return -ENOTSUP;
}

void sley__fiber_free(struct sley_sched *s, struct sley_task *t)
{
    (void)s, (void)t;
}

enum sley_step sley__fiber_resume(struct sley_task *t)
{
    (void)t;
    return SLEY_STEP_DONE;
}

void sley__stack_pool_destroy(struct sley__stack_pool *p)
{
    (void)p;
}

size_t sley__stack_trim(struct sley__stack_pool *p)
{
    (void)p;
    return 0;
}

uint64_t sley_sched_tidy(struct sley_sched *s)
{
    (void)s;
    return SLEY_NEVER;
}

void sley__context_adopt_thread(struct sley__context *c)
{
    (void)c;
}

int sley_direct_enter(void)
{
    return -EDEADLK;
}

int sley_await(struct sley_wait *w)
{
    return sley_wait_done(w) ? w->result : -EDEADLK;
}
