/* The same as test_random.c on small rings, on older kernels, and with a kernel that takes only some, or nothing for a moment. */
#include "uring_bed.h"

#include "random_model.h"

static const char *const kernels[] = {
    "",
    "recv_multi",
    "buffer_ring",
    "poll_first",
    "defer_taskrun",
    "defer_taskrun coop_taskrun",
    "poll_multi cqe_skip",
    "submit_all coop_taskrun single_issuer defer_taskrun no_sqarray ring_fd cqe_skip poll_multi poll_first "
    "buffer_ring accept_multi recv_multi msg_ring"};

SLEY_TEST_SECONDS(random_ops_on_small_and_moody_rings_agree_with_the_model, "", 120)
{
    for (unsigned n = 0; n < rounds(); n++) {
        const uint32_t entries = 1U << harness_rand_below(6);
        const char *without = kernels[harness_rand_below(sizeof kernels / sizeof kernels[0])];
        const struct sley__uring_opts opts = {
            .entry_count = entries,
            .result_count = entries << harness_rand_below(3),
            .without = uring_without(without),
            .messages = harness_rand_below(2),
            .enter = harness_rand_below(2) ? moody : NULL,
        };
        harness_note("round %u: %u entries, %u results%s, without: %s", n, entries, opts.result_count, opts.enter ? ", moody" : "",
                     without);
        in_ring(opts, run_model);
    }
}
