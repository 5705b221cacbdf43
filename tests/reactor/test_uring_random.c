/* The same as test_random.c on small rings, on older kernels, and with a kernel that takes only some, or nothing for a moment. */
#include "uring_bed.h"

#include "random_model.h"

#include <sys/wait.h>

#define OLD                                                                                                  \
    "submit_all coop_taskrun single_issuer defer_taskrun no_sqarray ring_fd cqe_skip poll_multi poll_first " \
    "buffer_ring accept_multi recv_multi msg_ring"

static const char *const kernels[] = {
    "", "recv_multi", "buffer_ring", "poll_first", "defer_taskrun", "defer_taskrun coop_taskrun", "poll_multi cqe_skip", OLD,
};

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
        in_ring(opts, run_model);
    }
}

SLEY_TEST_SECONDS(small_ring_that_ends_amid_random_ops_completes_each_with_the_truth, "", 120)
{
    for (unsigned n = 0; n < rounds(); n++) {
        const uint32_t entries = 1U << harness_rand_below(6);
        const char *without = kernels[harness_rand_below(sizeof kernels / sizeof kernels[0])];
        struct bed b;
        ring_start(&b, (struct sley__uring_opts){
                           .entry_count = entries,
                           .result_count = entries << harness_rand_below(3),
                           .without = uring_without(without),
                           .enter = harness_rand_below(2) ? moody : NULL,
                       });
        bed_run(&b, leave_model);
        bed_end(&b);
        check_left();
    }
}

/* ---- each of several threads drives for a while, and ends --------------------------------------------------------------------- */

static struct bed the_bed;

static void some_steps(void)
{
    for (uint64_t left = harness_rand_below(80); left > 0; left--) {
        step();
    }
}

SLEY_TEST_SECONDS(random_ops_that_threads_leave_to_the_next_agree_with_the_model, "URING-12", 120)
{
    for (unsigned n = 0; n < rounds(); n++) {
        const uint32_t entries = 1U << harness_rand_below(6);
        const char *without = kernels[harness_rand_below(sizeof kernels / sizeof kernels[0])];
        const struct sley__uring_opts opts = {.entry_count = entries, .result_count = 256, .without = uring_without(without)};
        ring_start(&the_bed, opts);
        ring_run_one(&the_bed, begin_model);
        for (uint64_t threads = harness_rand_below(6); threads > 0; threads--) {
            ring_run_and_end(&the_bed, some_steps);
        }
        ring_run_one(&the_bed, end_model);
        bed_end(&the_bed);
    }
}

/* ---- filters of system calls ------------------------------------------------------------------------------------------------ */

SLEY_TEST_SECONDS(random_ops_where_a_filter_forbids_one_kind_of_registration_agree_with_the_model, "URING-14", 120)
{
    enum { LAST = 35 };
    for (unsigned what = 0; what <= LAST; what++) {
        int status = 0;
        const pid_t child = what == IORING_REGISTER_ENABLE_RINGS ? 0 : fork();
        if (child == 0 && what != IORING_REGISTER_ENABLE_RINGS) {
            ring_forbid_register(what);
            in_ring((struct sley__uring_opts){.messages = what % 2}, run_model);
            _exit(0);
        }
        if (child > 0) {
            CHECK_INT(waitpid(child, &status, 0), ==, child);
        }
        if (status != 0) {
            FAIL("without registration %u: status %#x", what, (unsigned)status);
        }
    }
}
