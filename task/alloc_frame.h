/* The memory of frames, [header][frame][what a handle needs to travel]: from the slab, or else from the sched's allocator. */
#ifndef SLEY_TASK_ALLOC_FRAME_H
#define SLEY_TASK_ALLOC_FRAME_H

#include "core.h"

SLEY_INLINE size_t sley__frame_handle_at(const struct sley_task_type *type)
{
    return (sizeof(struct sley_task) + type->args_bytes + 7u) & ~(size_t)7u;
}

/** Frames that ask for more than 8-byte alignment come from the allocator itself. */
SLEY_INLINE size_t sley__frame_shift(const struct sley_task_type *type)
{
    return type->args_align > sizeof(struct sley_task) ? type->args_align - sizeof(struct sley_task) : 0;
}

/** Does this frame come from the slab? Not when it needs more alignment, or is made or freed away from home. */
SLEY_INLINE bool sley__frame_from_slab(const struct sley_task_type *type, uint32_t state)
{
    return SLEY_LIKELY(type->args_align <= 8 && !(state & SLEY__TASK_ALLOC));
}

SLEY_INLINE size_t sley__frame_bytes(const struct sley_task_type *type, uint32_t state)
{
    return sley__frame_handle_at(type) + ((state & SLEY__TASK_EXT) ? sizeof(struct sley__handle) : 0);
}

/** Its class in the slab, (sley__frame_bytes - 1) / SLEY__SLAB_STEP, which has one or not. */
SLEY_INLINE size_t sley__frame_class(const struct sley_task_type *type, uint32_t state)
{
    SLEY_STATIC_ASSERT(SLEY__SLAB_STEP == 8, "a handle begins where a step does");
    const size_t handle_steps = (sizeof(struct sley__handle) + SLEY__SLAB_STEP - 1) / SLEY__SLAB_STEP;
    return (sizeof(struct sley_task) + type->args_bytes - 1) / SLEY__SLAB_STEP + ((state & SLEY__TASK_EXT) ? handle_steps : 0);
}

SLEY_INLINE struct sley_task *sley__frame_new(struct sley_sched *s, const struct sley_task_type *type, uint32_t state)
{
    struct sley__slab *slab = &s->memory->slab;
    if (sley__frame_from_slab(type, state)) {
        void *block = sley__slab_take(slab, sley__frame_class(type, state));
        return SLEY_LIKELY(block != NULL) ? block : sley__slab_alloc_slow(slab, sley__frame_bytes(type, state));
    }
    const size_t bytes = sley__frame_bytes(type, state);
    struct sley_alloc *a = s->memory->alloc;
    const size_t align = type->args_align > 64 ? type->args_align : 64;
    char *block = a->ops->alloc(a, bytes + sley__frame_shift(type), align);
    return block ? (struct sley_task *)(void *)(block + sley__frame_shift(type)) : NULL;
}

/** Frees it, without a look whether it is a fiber. */
SLEY_INLINE void sley__frame_free(struct sley_sched *s, struct sley_task *t)
{
    const struct sley_task_type *type = t->type;
    const uint32_t state = sley__task_state(t);
    const size_t class = sley__frame_class(type, state);
    if (sley__frame_from_slab(type, state) && sley__slab_has_class(class)) {
        (void)sley__slab_give(&s->memory->slab, t, class);
    } else if (sley__frame_from_slab(type, state)) {
        sley__slab_free(&s->memory->slab, t, sley__frame_bytes(type, state));
    } else {
        const size_t bytes = sley__frame_bytes(type, state);
        struct sley_alloc *a = s->memory->alloc;
        a->ops->free(a, (char *)t - sley__frame_shift(type), bytes + sley__frame_shift(type));
    }
}

/** Fills in what every task begins with; nobody knows it yet. */
SLEY_INLINE void sley__task_fill(struct sley_sched *s, struct sley_task *t, const struct sley_task_type *type, uint32_t state)
{
    sley__task_set(t, state);
    /* relaxed: nobody else knows the task yet */
    atomic_store_explicit(&t->requests, 0, memory_order_relaxed);
    t->type = type;
    t->sched = s;
    t->out.joiner = NULL;
}

/** Makes a task that nobody knows yet; @p state: EXT for a handle, ALLOC away from home, and what else it begins with. */
SLEY_INLINE int sley__task_make(struct sley_sched *s, const struct sley_task_type *type, uint32_t stack_bytes, uint32_t state,
                                struct sley_task **ret_task)
{
    struct sley_task *t;
    if (type->style == SLEY_STYLE_FIBER) {
        struct sley_task *fiber; /* so that the frames' way keeps t in a register */
        const int rc = sley__fiber_new(s, type, stack_bytes, (state & SLEY__TASK_ALLOC) != 0, &fiber);
        if (rc < 0) {
            return rc;
        }
        t = fiber;
    } else if (SLEY_UNLIKELY(!(t = sley__frame_new(s, type, state)))) {
        return -ENOMEM;
    }
    sley__task_fill(s, t, type, state);
    *ret_task = t;
    return 0;
}

#endif
