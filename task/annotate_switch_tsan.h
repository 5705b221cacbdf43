/* Switch announcements to ThreadSanitizer: each context is one of its fibers. See annotate_switch.h.
 * gcc 12's runtime takes 831 KiB and 2.4 ms for each and ends at 8,128 of them; clang's is the one to use. */
#ifndef SLEY_TASK_ANNOTATE_SWITCH_TSAN_H
#define SLEY_TASK_ANNOTATE_SWITCH_TSAN_H

#include <sanitizer/tsan_interface.h>

#include <sley/base.h>

#include "switch.h"

SLEY_INLINE void sley__annotate_init(struct sley__context *c)
{
    c->tsan_fiber = __tsan_create_fiber(0);
}

SLEY_INLINE void sley__annotate_fini(struct sley__context *c)
{
    if (c->tsan_fiber != NULL) {
        __tsan_destroy_fiber(c->tsan_fiber);
        c->tsan_fiber = NULL;
    }
}

SLEY_INLINE void sley__annotate_adopt_thread(struct sley__context *c)
{
    c->tsan_fiber = __tsan_get_current_fiber();
}

/* Flag 0: a switch orders what came before it before what follows, as it does for contexts that share a thread. */
SLEY_INLINE void sley__annotate_leave(struct sley__context *from, const struct sley__context *to)
{
    (void)from;
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
}

SLEY_INLINE void sley__annotate_return(const struct sley__context *from)
{
    (void)from;
}

SLEY_INLINE void sley__annotate_begin(void) {}

SLEY_INLINE void sley__annotate_exit(const struct sley__context *to)
{
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
}

#endif
