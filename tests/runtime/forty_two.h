/* For tests of the runtime: a fiber that sleeps for a moment and answers. */
#ifndef SLEY_TESTS_RUNTIME_FORTY_TWO_H
#define SLEY_TESTS_RUNTIME_FORTY_TWO_H

#include <sley/fiber.h>

struct none {
    char none;
};

static int forty_two(struct none *a)
{
    (void)a;
    const int rc = sley_sleep(SLEY_US);
    return rc < 0 ? rc : 42;
}
SLEY_FIBER(forty_two, struct none)

#endif
