/* The switch where no assembly is written for the processor: ucontext. Some 40 times slower (it makes system calls for
 * the signal mask), and right everywhere; sp points to a ucontext_t on the context's own stack. */
#include "switch_arch.h"

#include <stdint.h>
#include <ucontext.h>

/* makecontext passes ints alone, so a pointer travels as two of them. */
struct begin_args {
    void (*entry)(void *);
    void *arg;
};

static void begin(unsigned high, unsigned low)
{
    uint64_t bits = (uint64_t)high << 32 | low;
    const struct begin_args *args = (const struct begin_args *)(uintptr_t)bits;
    args->entry(args->arg);
    __builtin_trap();
}

void *sley__context_frame(void *top, void (*entry)(void *), void *arg)
{
    char *at = (char *)top - sizeof(struct begin_args);
    at -= (uintptr_t)at % _Alignof(struct begin_args);
    struct begin_args *args = (struct begin_args *)(void *)at;
    *args = (struct begin_args){.entry = entry, .arg = arg};

    at -= sizeof(ucontext_t);
    at -= (uintptr_t)at % 64;
    ucontext_t *uc = (ucontext_t *)(void *)at;
    (void)getcontext(uc); /* of what it can fail with nothing applies: uc is writable */
    uc->uc_link = NULL;
    /* The size only tells makecontext where the top is; begin starts below the ucontext. */
    uc->uc_stack.ss_sp = at - 1024;
    uc->uc_stack.ss_size = 1024;
    uint64_t bits = (uintptr_t)args;
    makecontext(uc, (void (*)(void))begin, 2, (unsigned)(bits >> 32), (unsigned)bits);
    return uc;
}

void SLEY__SWAP(struct sley__context *from, struct sley__context *to)
{
    ucontext_t here;
    from->sp = &here;
    (void)swapcontext(&here, to->sp);
}

int sley__context_walk(const struct sley__context *c, void (*fn)(void *arg), void *arg)
{
    (void)c, (void)fn, (void)arg; /* what libc's own switch looks like to an unwinder is libc's business */
    return 0;
}
