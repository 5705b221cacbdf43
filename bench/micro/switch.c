/* The bare context switch: two contexts and nothing else, no task, no executor. The one benchmark of a private header. */
#include <stdlib.h>

#include "micro.h"
#include "task/switch.h"

enum { STACK_BYTES = 64 * 1024 };

struct pair {
    struct sley__context here, there;
    uint64_t count; /* how often `there` was entered */
};

static void other(void *arg)
{
    struct pair *p = arg;
    for (;;) {
        p->count++;
        sley__context_switch(&p->there, &p->here);
    }
}

/** @p n switches: half of them there, half of them back. */
int micro_fiber_switch(struct micro *m, uint64_t n)
{
    (void)m; /* the same in any assembly */
    struct pair p = {.count = 0};
    char *stack = aligned_alloc(64, STACK_BYTES);
    if (!stack) {
        return -ENOMEM;
    }
    sley__context_adopt_thread(&p.here);
    sley__context_init(&p.there, stack, stack + STACK_BYTES, other, &p);
    for (uint64_t i = 0; i < n / 2; i++) {
        sley__context_switch(&p.here, &p.there);
    }
    /* it is suspended in its loop and never resumed again: that is its end */
    sley__context_fini(&p.there);
    free(stack);
    return p.count == n / 2 ? 0 : -EPROTO;
}
