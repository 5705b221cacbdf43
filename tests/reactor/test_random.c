/* Random ops beside a model, on each reactor. SLEY_TEST_ROUNDS says how many rounds, SLEY_TEST_SEED repeats them. */
#include "random_model.h"

SLEY_TEST_SECONDS(random_ops_agree_with_the_model, "", 120)
{
    for (unsigned n = 0; n < rounds(); n++) {
        in_fiber(run_model);
    }
    harness_note("%llu steps", (unsigned long long)steps_done);
}
