/* Memory annotations of plain and TSan builds: nothing, at no cost. See annotate.h. */
#ifndef SLEY_TASK_ANNOTATE_NONE_H
#define SLEY_TASK_ANNOTATE_NONE_H

#include <stdbool.h>
#include <stddef.h>

static inline void sley__annotate_alloc(const void *ptr, size_t bytes)
{
    (void)ptr, (void)bytes;
}

static inline void sley__annotate_free(const void *ptr, size_t bytes)
{
    (void)ptr, (void)bytes;
}

static inline bool sley__annotate_running(void)
{
    return false;
}

static inline void sley__annotate_stack_live(const void *low, const void *top)
{
    (void)low, (void)top;
}

static inline void sley__annotate_stack_idle(const void *low, const void *top)
{
    (void)low, (void)top;
}

static inline void sley__annotate_unmapped(const void *low, const void *high)
{
    (void)low, (void)high;
}

static inline unsigned sley__annotate_stack_register(const void *low, const void *top)
{
    (void)low, (void)top;
    return 0;
}

static inline void sley__annotate_stack_deregister(unsigned id)
{
    (void)id;
}

#endif
