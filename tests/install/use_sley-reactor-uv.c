/* A user of sley-reactor-uv: a reactor in a loop of its own is made, woken, looked at, and ended by hand. */
#include <sley/reactor_uv.h>

#include <stdio.h>

int main(void)
{
    struct sley_alloc alloc;
    struct sley_reactor *r;
    if (sley_alloc_libc_init(&alloc) != 0) {
        return 1;
    }
    const struct sley_reactor_opts opts = {.alloc = &alloc};
    if (sley_reactor_uv.create(&opts, &r) != 0 || sley_reactor_check(r->ops) != 0) {
        return 1;
    }
    r->ops->wake(r);
    if (r->ops->poll(r, SLEY_NEVER) != 0) {
        return 1;
    }
    r->ops->destroy(r);
    sley_alloc_fini(&alloc);
    puts("works");
    return 0;
}
