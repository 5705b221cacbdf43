/* A user of sley-reactor-poll: both reactors are made, woken, looked at, and ended by hand. */
#include <sley/reactor_poll.h>

#include <stdio.h>

int main(void)
{
    const struct sley_reactor_factory *const factories[] = {&sley_reactor_epoll, &sley_reactor_poll2};
    struct sley_alloc alloc;
    if (sley_alloc_libc_init(&alloc) != 0) {
        return 1;
    }
    const struct sley_reactor_opts opts = {.alloc = &alloc};
    for (int i = 0; i < 2; i++) {
        struct sley_reactor *r;
        if (factories[i]->create(&opts, &r) != 0 || sley_reactor_check(r->ops) != 0) {
            return 1;
        }
        r->ops->wake(r);
        if (r->ops->poll(r, SLEY_NEVER) != 0) {
            return 1;
        }
        r->ops->destroy(r);
    }
    sley_alloc_fini(&alloc);
    puts("works");
    return 0;
}
