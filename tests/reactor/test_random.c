/* Random ops beside a model, on each reactor. SLEY_TEST_ROUNDS says how many rounds, SLEY_TEST_SEED repeats them. */
#include "random_model.h"

SLEY_TEST_SECONDS(random_ops_agree_with_the_model, "", 120)
{
    for (unsigned n = 0; n < rounds(); n++) {
        in_fiber(run_model);
    }
    harness_note("%llu steps", (unsigned long long)steps_done);
}

SLEY_TEST_SECONDS(reactor_that_ends_amid_random_ops_completes_each_with_the_truth, "", 120)
{
    for (unsigned n = 0; n < rounds(); n++) {
        struct bed b;
        bed_start(&b);
        bed_run(&b, leave_model);
        bed_end(&b);
        check_left();
    }
}
