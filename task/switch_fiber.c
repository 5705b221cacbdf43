/* A fiber's stack and its switches: made, resumed, left, given back. How fibers wait is fiber.c's business. */
#include "core.h"

_Static_assert(sizeof(struct sley__fiber) % 16 == 0 &&
                   offsetof(struct sley__fiber, task) + sizeof(struct sley_task) == sizeof(struct sley__fiber),
               "a fiber's arguments follow its task, aligned");

static void fiber_main(void *arg)
{
    struct sley__fiber *f = arg;
    f->result = f->task.type->entry(&f->task + 1);
    struct sley__memory *m = sley_sched_current()->memory; /* of the worker that it ends on */
    m->step = SLEY_STEP_DONE;
    sley__context_exit(&f->context, &m->back);
}

int sley__fiber_new(struct sley_sched *s, const struct sley_task_type *type, uint32_t stack_bytes, bool away,
                    struct sley_task **ret_task)
{
    struct sley__memory *m = s->memory;
    struct sley__stack_pool *own = NULL;
    if (away) {
        own = sley__stack_pool_create(); /* the home's pool is its thread's alone */
    } else if (!m->stacks && (m->stacks = sley__stack_pool_create()) != NULL) {
        sley__overflow_watch(m);
    }
    struct sley__stack_pool *pool = away ? own : m->stacks;
    const uint32_t asked = stack_bytes ? stack_bytes : type->stack_bytes;
    const size_t align = type->args_align > 16 ? type->args_align : 16u;
    const size_t head = sizeof(struct sley__fiber) + ((type->args_bytes + 15u) & ~(size_t)15u) + align - 16;
    size_t usable = 0;
    char *top = pool ? sley__stack_get(pool, asked, &usable) : NULL;
    if (!top) {
        sley__stack_pool_destroy(own);
        return -ENOMEM;
    }
    if (head > usable / 2) {
        sley__stack_put(pool, top, asked);
        sley__stack_pool_destroy(own);
        return -EINVAL; /* arguments that would leave the body no stack */
    }
    char *args = (char *)((uintptr_t)(top - type->args_bytes) & ~(uintptr_t)(align - 1));
    struct sley__fiber *f = (struct sley__fiber *)(void *)(args - sizeof(struct sley__fiber));
    f->top = top;
    f->stack_bytes = asked;
    f->pool = own;
    f->result = 0;
    sley__context_init(&f->context, top - usable, f, fiber_main, f);
    *ret_task = &f->task;
    return 0;
}

void sley__fiber_free(struct sley_sched *s, struct sley_task *t)
{
    struct sley__fiber *f = sley_container_of(t, struct sley__fiber, task);
    struct sley__stack_pool *own = f->pool;
    sley__context_fini(&f->context);
    sley__stack_put(own ? own : s->memory->stacks, f->top, f->stack_bytes);
    sley__stack_pool_destroy(own);
}

enum sley_step sley__fiber_resume(struct sley_task *t)
{
    struct sley__fiber *f = sley_container_of(t, struct sley__fiber, task);
    struct sley__memory *m = sley__self->memory;
    sley__context_switch(&m->back, &f->context);
    return m->step;
}

/* Not inline: a fiber may come back on another thread, and its function must not keep where the first one's locals are. */
SLEY_NOINLINE void sley__fiber_switch_out(struct sley_task *t, enum sley_step step)
{
    struct sley__memory *m = sley__self->memory;
    m->step = step;
    sley__context_switch(&sley_container_of(t, struct sley__fiber, task)->context, &m->back);
}
