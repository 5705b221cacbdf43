/* Contexts in builds without sanitizers: what is left beside the switch itself (switch_ARCH). */
#include "switch_arch.h"

#include "annotate.h"

#if defined(SLEY__ANNOTATE_ASAN) || defined(SLEY__ANNOTATE_TSAN)
#error "sanitizers are to be chosen by meson's b_sanitize: switches must be announced to them"
#endif

void sley__context_init(struct sley__context *c, void *low, void *top, void (*entry)(void *), void *arg)
{
    *c = (struct sley__context){
        .sp = sley__context_frame(top, entry, arg),
        .stack_low = low,
        .stack_bytes = (size_t)((char *)top - (char *)low),
    };
}

void sley__context_exit(struct sley__context *from, struct sley__context *to)
{
    sley__context_switch(from, to);
    __builtin_unreachable();
}

void sley__context_fini(struct sley__context *c)
{
    if (c != NULL && c->valgrind_id != 0) {
        sley__annotate_stack_deregister(c->valgrind_id);
        c->valgrind_id = 0;
    }
}

void sley__context_adopt_thread(struct sley__context *c)
{
    *c = (struct sley__context){.sp = NULL};
}
