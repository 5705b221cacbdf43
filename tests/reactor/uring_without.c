/* The io_uring reactor on older kernels: SLEY_TEST_URING_WITHOUT names features that this one is not to have. */
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
    const struct sley__uring_opts opts = {.without = uring_without(getenv("SLEY_TEST_URING_WITHOUT")), .messages = true};
    return sley__uring_create(o, &opts, ret_reactor);
}

const struct sley_reactor_factory uring_tested = {.version = SLEY_REACTOR_VERSION, .name = "uring", .create = create};
/* the same for sley-conformance, which loads it */
SLEY_API extern const struct sley_reactor_factory sley_conformance_reactor;
const struct sley_reactor_factory sley_conformance_reactor = {.version = SLEY_REACTOR_VERSION, .name = "uring", .create = create};
