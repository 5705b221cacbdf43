/* Is there io_uring here? */
#include "uring_port.h"

#include "harness.h"

const char *uring_missing(void)
{
    static char why[160];
    struct sley_reactor *r;
    struct sley_alloc libc = {0};
    const struct sley_reactor_opts o = {.alloc = &libc, .ret_error = why, .error_bytes = sizeof why};
    CHECK_RC(sley_alloc_libc_init(&libc), 0);
    if (sley_reactor_uring.create(&o, &r) < 0) {
        return why;
    }
    r->ops->destroy(r);
    return NULL;
}
