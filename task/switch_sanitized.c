/* Contexts in builds with AddressSanitizer or ThreadSanitizer: each switch is announced to it. */
#include "switch_arch.h"

#include "annotate_switch.h"

/* Lies at the top of a fresh stack until its context has begun. */
struct boot {
    void (*entry)(void *);
    void *arg;
};

static void begin(void *arg)
{
    sley__annotate_begin();
    struct boot boot = *(struct boot *)arg;
    boot.entry(boot.arg);
    __builtin_trap();
}

void sley__context_init(struct sley__context *c, void *low, void *top, void (*entry)(void *), void *arg)
{
    struct boot *boot = (struct boot *)(void *)((char *)top - sizeof(*boot));
    *boot = (struct boot){.entry = entry, .arg = arg};
    *c = (struct sley__context){
        .sp = sley__context_frame(boot, begin, boot),
        .stack_low = low,
        .stack_bytes = (size_t)((char *)top - (char *)low),
    };
    sley__annotate_init(c);
}

void sley__context_switch(struct sley__context *from, struct sley__context *to)
{
    sley__annotate_leave(from, to);
    sley__context_swap(from, to);
    sley__annotate_return(from);
}

void sley__context_exit(struct sley__context *from, struct sley__context *to)
{
    sley__annotate_exit(to);
    sley__context_swap(from, to);
    __builtin_unreachable();
}

void sley__context_fini(struct sley__context *c)
{
    if (c != NULL) {
        sley__annotate_fini(c);
    }
}

void sley__context_adopt_thread(struct sley__context *c)
{
    *c = (struct sley__context){.sp = NULL};
    sley__annotate_adopt_thread(c);
}
