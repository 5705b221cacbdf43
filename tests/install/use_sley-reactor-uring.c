/* A user of sley-reactor-uring: a ring, where the kernel has it, is made, woken, looked at, and ended by hand. */
#include <sley/reactor_uring.h>

#include <stdio.h>

int main(void)
{
    struct sley_alloc alloc;
    struct sley_reactor *r;
    char why[160] = "";
    if (sley_alloc_libc_init(&alloc) != 0) {
        return 1;
    }
    const struct sley_reactor_opts opts = {.alloc = &alloc, .ret_error = why, .error_bytes = sizeof why};
    if (sley_reactor_uring.create(&opts, &r) == 0) {
        r->ops->wake(r);
        if (sley_reactor_check(r->ops) != 0 || r->ops->poll(r, SLEY_NEVER) != 0) {
            return 1;
        }
        r->ops->destroy(r);
    } else if (!why[0]) {
        return 1;
    }
    sley_alloc_fini(&alloc);
    puts("works");
    return 0;
}
