/* Memory annotations for valgrind: of stacks always (once per stack, so that every build that found the header can run
 * under it), of task blocks with SLEY__ANNOTATE_MEMCHECK alone (some 2 ns per call). See annotate.h. */
#ifndef SLEY_TASK_ANNOTATE_VALGRIND_H
#define SLEY_TASK_ANNOTATE_VALGRIND_H

#include <stdbool.h>
#include <stddef.h>

#include <valgrind/memcheck.h>

#ifdef SLEY__ANNOTATE_MEMCHECK

static inline void sley__annotate_alloc(const void *ptr, size_t bytes)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(ptr, bytes);
}

static inline void sley__annotate_free(const void *ptr, size_t bytes)
{
    (void)VALGRIND_MAKE_MEM_NOACCESS(ptr, bytes);
}

#else

static inline void sley__annotate_alloc(const void *ptr, size_t bytes)
{
    (void)ptr, (void)bytes;
}

static inline void sley__annotate_free(const void *ptr, size_t bytes)
{
    (void)ptr, (void)bytes;
}

#endif

static inline bool sley__annotate_running(void)
{
    return RUNNING_ON_VALGRIND != 0;
}

/* Frames popped by the last user are inaccessible to memcheck: the next one writes its first frame there. */
static inline void sley__annotate_stack_live(const void *low, const void *top)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(low, (size_t)((const char *)top - (const char *)low));
}

static inline void sley__annotate_stack_idle(const void *low, const void *top)
{
    (void)VALGRIND_MAKE_MEM_NOACCESS(low, (size_t)((const char *)top - (const char *)low));
}

static inline void sley__annotate_unmapped(const void *low, const void *high)
{
    (void)low, (void)high; /* it has seen the munmap */
}

static inline unsigned sley__annotate_stack_register(const void *low, const void *top)
{
    return VALGRIND_STACK_REGISTER(low, (const char *)top - 1);
}

static inline void sley__annotate_stack_deregister(unsigned id)
{
    VALGRIND_STACK_DEREGISTER(id);
}

#endif
