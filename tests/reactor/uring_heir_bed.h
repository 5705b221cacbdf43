/* What the tests of rings whose thread has ended have in common. */
#ifndef SLEY_TESTS_URING_HEIR_BED_H
#define SLEY_TESTS_URING_HEIR_BED_H

#include "uring_lent_bed.h"

static struct bed the_bed;

static const char *const kernels[] = {"", "accept_multi recv_multi", "direct", "defer_taskrun coop_taskrun", "poll_multi ring_fd"};
enum { KERNELS = sizeof kernels / sizeof kernels[0] };

static inline void open_on(const char *kernel)
{
    harness_note("without: %s", kernel);
    ring_start(&the_bed, (struct sley__uring_opts){.without = uring_without(kernel)});
}

static inline void spawn(void (*fn)(void))
{
    CHECK_RC(the_bed.ex.base.ops->spawn(&the_bed.ex.base, &bed_fiber__type, &(struct bed_args){fn}, NULL), 0);
}

/** What was started before is the kernel's when this is through. */
static inline void hand_over(void)
{
    CHECK_RC(sley_yield(), 0);
    CHECK_INT(look(0), >=, 0);
    CHECK_INT(look(0), >=, 0);
}

static inline void nothing(void) {}

#endif
