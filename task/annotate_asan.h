/* Memory annotations of AddressSanitizer builds. See annotate.h. */
#ifndef SLEY_TASK_ANNOTATE_ASAN_H
#define SLEY_TASK_ANNOTATE_ASAN_H

#include <stdbool.h>
#include <stddef.h>

#include <sanitizer/asan_interface.h>

/* Of an idle stack only this much is poisoned: the task header and the first frames, which is what a dangling pointer
 * meets. Poisoning all of a large stack would cost more than it finds. */
enum { SLEY__ANNOTATE_IDLE_BYTES = 4096 };

static inline void sley__annotate_alloc(const void *ptr, size_t bytes)
{
    __asan_unpoison_memory_region(ptr, bytes);
}

static inline void sley__annotate_free(const void *ptr, size_t bytes)
{
    __asan_poison_memory_region(ptr, bytes);
}

static inline bool sley__annotate_running(void)
{
    return true;
}

/* Frames that were left without returning (the last one of a fiber) leave their red zones behind. */
static inline void sley__annotate_stack_live(const void *low, const void *top)
{
    __asan_unpoison_memory_region(low, (size_t)((const char *)top - (const char *)low));
}

static inline void sley__annotate_stack_idle(const void *low, const void *top)
{
    (void)low;
    __asan_poison_memory_region((const char *)top - SLEY__ANNOTATE_IDLE_BYTES, SLEY__ANNOTATE_IDLE_BYTES);
}

static inline void sley__annotate_unmapped(const void *low, const void *high)
{
    __asan_unpoison_memory_region(low, (size_t)((const char *)high - (const char *)low));
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
