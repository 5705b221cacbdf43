/* Tasks with a stack of their own: plain functions that may wait anywhere. The switch and the stacks are private to task/. */
#ifndef SLEY_FIBER_H
#define SLEY_FIBER_H

#include <sley/task.h>

SLEY_EXTERN_C_BEGIN

/* private */
SLEY_API enum sley_step sley__fiber_resume(struct sley_task *t);

/**
 * Declares the task type of `int fn(args_type *a)` (`void` for none). The arguments are copied to the fiber's stack and belong
 * to the body. Stacks are 64 KiB unless SLEY_FIBER_STACK says otherwise, take memory as they are touched, and are guarded.
 * On an executor with several threads a fiber may resume on another thread after a wait: do not keep the address of a thread-local
 * variable, or rely on errno, across a wait.
 */
#define SLEY_FIBER(fn, args_type) SLEY_FIBER_STACK(fn, args_type, 0, NULL)
#ifdef __cplusplus
#define SLEY__ARGS(args_type) args_type
#else
/* `void` arguments: a type that SLEY_SPAWN can make an empty one of */
struct sley__none {
    char none;
};
#define SLEY__ARGS(args_type) \
    __typeof__(*__builtin_choose_expr(__builtin_types_compatible_p(args_type, void), (struct sley__none *)0, (args_type *)0))
#endif

/** The same with a stack size in bytes, and a function (or NULL) that destroys arguments whose body never ran. */
#define SLEY_FIBER_STACK(fn, args_type, stack_size, drop_fn) \
    typedef SLEY__ARGS(args_type) fn##__args;                \
    static int fn##__entry(void *args)                       \
    {                                                        \
        return fn((args_type *)args);                        \
    }                                                        \
    SLEY__TASK_TYPE(fn, sley__fiber_resume, fn##__entry, drop_fn, args_type, SLEY_STYLE_FIBER, stack_size)

SLEY_EXTERN_C_END
#endif
