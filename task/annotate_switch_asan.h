/* Switch announcements to AddressSanitizer: which stack is current, and where its fake stack is. See annotate_switch.h. */
#ifndef SLEY_TASK_ANNOTATE_SWITCH_ASAN_H
#define SLEY_TASK_ANNOTATE_SWITCH_ASAN_H

#include <pthread.h>

#include <sanitizer/common_interface_defs.h>

#include <sley/base.h>

#include "switch.h"

SLEY_INLINE void sley__annotate_init(struct sley__context *c)
{
    (void)c;
}

SLEY_INLINE void sley__annotate_fini(struct sley__context *c)
{
    c->asan_fake = NULL;
}

/* ASan knows the thread's stack, but wants to hear of it again at each switch back. Asked for once: libc reads /proc/self/maps for it. */
SLEY_INLINE void sley__annotate_adopt_thread(struct sley__context *c)
{
    static SLEY__TLS struct sley__context own;
    pthread_attr_t attr;
    if (!own.stack_low && pthread_getattr_np(pthread_self(), &attr) == 0) {
        (void)pthread_attr_getstack(&attr, &own.stack_low, &own.stack_bytes);
        (void)pthread_attr_destroy(&attr);
    }
    c->stack_low = own.stack_low;
    c->stack_bytes = own.stack_bytes;
}

SLEY_INLINE void sley__annotate_leave(struct sley__context *from, const struct sley__context *to)
{
    __sanitizer_start_switch_fiber(&from->asan_fake, to->stack_low, to->stack_bytes);
}

SLEY_INLINE void sley__annotate_return(const struct sley__context *from)
{
    __sanitizer_finish_switch_fiber(from->asan_fake, NULL, NULL);
}

SLEY_INLINE void sley__annotate_begin(void)
{
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
}

/* NULL: the fake stack is destroyed, since nobody comes back to it. */
SLEY_INLINE void sley__annotate_exit(const struct sley__context *to)
{
    __sanitizer_start_switch_fiber(NULL, to->stack_low, to->stack_bytes);
}

#endif
