/* The io_uring reactor as the suites of the ports see it. SLEY_TEST_URING_WITHOUT names features that the kernel is not to have. */
#include "uring_port.h"

#include <stdlib.h>
#include <string.h>

uint32_t uring_without(const char *names)
{
    uint32_t without = 0;
    for (uint32_t i = 0; names && i < SLEY__URING_FEATURE_COUNT; i++) {
        without |= strstr(names, sley__uring_kinds[i].name) ? 1u << i : 0;
    }
    return without;
}

static int create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    const struct sley__uring_opts opts = {.without = uring_without(getenv("SLEY_TEST_URING_WITHOUT"))};
    return sley__uring_create(o, &opts, ret_reactor);
}

const struct sley_reactor_factory uring_tested = {.version = SLEY_REACTOR_VERSION, .name = "uring", .create = create};

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
