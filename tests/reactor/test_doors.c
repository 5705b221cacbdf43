/* Random accepts, connects, opens and closes beside a model, on each reactor. SLEY_TEST_ROUNDS says how many rounds, SLEY_TEST_SEED repeats
 * them. */
#include "doors_rounds.h"

SLEY_TEST_SECONDS(random_doors_agree_with_the_model, "", 120)
{
    for (unsigned n = 0; n < rounds(); n++) {
        in_fiber(run_doors);
    }
    harness_note("%llu steps", (unsigned long long)steps_done);
}

SLEY_TEST_SECONDS(reactor_that_ends_amid_random_doors_keeps_nobody, "", 120)
{
    for (unsigned n = 0; n < rounds(); n++) {
        struct bed b;
        bed_start(&b);
        bed_run(&b, leave_doors);
        bed_end(&b);
        check_doors_left();
    }
}
