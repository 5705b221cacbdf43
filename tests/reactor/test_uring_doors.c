/* The same as test_doors.c on small rings, on older kernels, with few places for direct descriptors, and with a kernel in moods. */
#include "uring_bed.h"

#include "doors_rounds.h"

#define OLD                                                                                                  \
    "submit_all coop_taskrun single_issuer defer_taskrun no_sqarray ring_fd cqe_skip poll_multi poll_first " \
    "buffer_ring accept_multi recv_multi msg_ring min_wait direct fd_install"

static const char *const kernels[] = {
    "",
    "accept_multi",
    "recv_multi",
    "buffer_ring",
    "poll_first",
    "fd_install",
    "direct",
    "defer_taskrun",
    "defer_taskrun coop_taskrun single_issuer",
    "poll_multi cqe_skip",
    OLD,
};

static struct sley__uring_opts some_opts(void)
{
    const uint32_t entries = 1U << harness_rand_below(6);
    may_be_full = harness_rand_below(2);
    return (struct sley__uring_opts){
        .entry_count = entries,
        .result_count = entries << harness_rand_below(3),
        .direct_count = may_be_full ? 1 + (uint32_t)harness_rand_below(4) : 0,
        .without = uring_without(kernels[harness_rand_below(sizeof kernels / sizeof kernels[0])]),
        .messages = harness_rand_below(2),
        .enter = harness_rand_below(2) ? moody : NULL,
    };
}

static void run_and_count(void)
{
    run_doors();
    CHECK_UINT(ring()->standing_count, ==, 0);
    CHECK_UINT(ring()->direct_count, ==, 0);
}

SLEY_TEST_SECONDS(random_doors_of_small_and_moody_rings_agree_with_the_model, "", 120)
{
    for (unsigned n = 0; n < rounds(); n++) {
        in_ring(some_opts(), run_and_count);
    }
}

SLEY_TEST_SECONDS(small_ring_that_ends_amid_random_doors_keeps_nobody, "", 120)
{
    for (unsigned n = 0; n < rounds(); n++) {
        struct bed b;
        ring_start(&b, some_opts());
        bed_run(&b, leave_doors);
        bed_end(&b);
        check_doors_left();
    }
}
