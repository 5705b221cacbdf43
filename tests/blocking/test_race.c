/* Races of the blocking pool, provoked: submit against the end of an idle thread, cancel against start, stop against submit. */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "rig.h"

static int rounds(int n)
{
    return n / (int)harness_slowness() + 1;
}

static void dither(void)
{
    for (uint64_t n = harness_rand_below(200); n > 0; n--) {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    if (harness_rand_below(8) == 0) {
        (void)sched_yield();
    }
}

static int dithering(void *arg)
{
    dither();
    return count_job(arg);
}

SLEY_TEST(job_meets_its_last_thread_between_work_and_rest, "BLOCK-08")
{
    SLEY_ATOMIC(int) ran = 0;
    for (uint64_t idle = 1; idle < 1000000; idle *= 10) {
        struct sley_blocking_pool *p = rig_pool(0, 1, 0, idle);
        const struct sley_blocking_how how = {.pool = p};
        ran = 0;
        for (int i = 0; i < rounds(1000); i++) {
            int result = -1;
            CHECK_RC(sley_blocking_with(&how, dithering, &ran, &result), 0);
            CHECK_INT(result, ==, i);
            dither();
        }
        CHECK_RC(sley_blocking_destroy(p), 0);
    }
}

/* ---- several submitters, narrow pools --------------------------------------------------------------------------------- */

enum { OPS = 8 };
struct submitter {
    struct sley_blocking_pool *pool;
    SLEY_ATOMIC(int) ran; /* of its own jobs */
    int rounds, run, refused, cancelled, left;
};

static void submit_round(struct submitter *s)
{
    struct sley_blocking_op ops[OPS] = {{.wait = {0}}};
    struct sley_blocking_how how = {.pool = s->pool};
    for (int i = 0; i < OPS; i++) {
        how.flags = (uint32_t)harness_rand_below(8);
        how.arg_bytes = 0;
        sley_blocking_with_start(&ops[i], &how, dithering, &s->ran, NULL);
        if (harness_rand_below(3) == 0) {
            dither();
            sley_wait_cancel(&ops[harness_rand_below((uint64_t)i + 1)].wait);
        }
    }
    for (int i = 0; i < OPS; i++) {
        const int rc = harness_rand_below(4) == 0 ? sley_wait_fini(&ops[i].wait) : sley_await(&ops[i].wait);
        s->run += rc == 0;
        s->refused += rc == -EAGAIN;
        s->cancelled += rc == -ECANCELED;
        s->left += rc == -EINPROGRESS;
        memset(&ops[i], 0x55, sizeof ops[i]); /* nobody may look at it any more */
    }
}

static void *submit_main(void *arg)
{
    struct submitter *s = arg;
    for (int i = 0; i < s->rounds; i++) {
        submit_round(s);
    }
    return NULL;
}

static void storm(uint32_t min, uint32_t max, uint32_t queue, uint64_t idle_ns, int n)
{
    enum { SUBMITTERS = 4 };
    struct sley_blocking_pool *p = rig_pool(min, max, queue, idle_ns);
    struct submitter s[SUBMITTERS];
    pthread_t threads[SUBMITTERS];
    for (int i = 0; i < SUBMITTERS; i++) {
        s[i] = (struct submitter){.pool = p, .rounds = n};
        CHECK_INT(pthread_create(&threads[i], NULL, submit_main, &s[i]), ==, 0);
    }
    for (int i = 0; i < SUBMITTERS; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), ==, 0);
    }
    CHECK_RC(sley_blocking_destroy(p), 0); /* waits for those that were left to it */
    for (int i = 0; i < SUBMITTERS; i++) {
        CHECK_INT(s[i].run + s[i].refused + s[i].cancelled + s[i].left, ==, n * OPS);
        CHECK_INT(s[i].ran, >=, s[i].run);
        CHECK_INT(s[i].ran, <=, s[i].run + s[i].left); /* each at most once, none that was cancelled */
    }
}

SLEY_TEST_SECONDS(storm_on_one_thread_and_a_queue_of_one, "BLOCK-08", 60)
{
    storm(0, 1, 1, 1, rounds(800));
}

SLEY_TEST_SECONDS(storm_on_two_threads_and_a_queue_of_two, "BLOCK-08", 60)
{
    storm(0, 2, 2, SLEY_US, rounds(800));
    storm(1, 2, 2, SLEY_US, rounds(800));
}

SLEY_TEST_SECONDS(storm_on_many_threads, "", 60)
{
    storm(0, 64, 0, 50 * SLEY_US, rounds(800));
}

/* ---- stop against submit --------------------------------------------------------------------------------------------- */

SLEY_TEST_SECONDS(stop_meets_submitters, "BLOCK-09 BLOCK-10", 60)
{
    for (int i = 0; i < rounds(300); i++) {
        struct sley_blocking_pool *p = rig_pool(0, 1 + (uint32_t)harness_rand_below(3), 2, SLEY_US);
        struct submitter s[2];
        pthread_t threads[2];
        for (int k = 0; k < 2; k++) {
            s[k] = (struct submitter){.pool = p, .rounds = 4};
            CHECK_INT(pthread_create(&threads[k], NULL, submit_main, &s[k]), ==, 0);
        }
        for (int k = (int)harness_rand_below(20); k > 0; k--) {
            dither();
        }
        CHECK_RC(sley_blocking_stop(p, SLEY_NEVER), 0);
        for (int k = 0; k < 2; k++) {
            CHECK_INT(pthread_join(threads[k], NULL), ==, 0);
            CHECK_INT(s[k].ran, <=, s[k].run + s[k].left);
        }
        CHECK_RC(sley_blocking_destroy(p), 0);
    }
}

SLEY_TEST_SECONDS(limits_move_under_load, "", 60)
{
    struct sley_blocking_pool *p = rig_pool(0, 3, 2, SLEY_US);
    struct submitter s = {.pool = p, .rounds = rounds(600)};
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, submit_main, &s), ==, 0);
    for (int i = 0; i < rounds(600); i++) {
        const uint32_t max = (uint32_t)harness_rand_below(4);
        CHECK_RC(sley_blocking_resize(p, (uint32_t)harness_rand_below(max + 1), max), 0);
        dither();
    }
    CHECK_RC(sley_blocking_resize(p, 0, 2), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_RC(sley_blocking_destroy(p), 0);
    CHECK_INT(s.ran, >=, s.run);
}

/* ---- tasks, cancelled at any moment ---------------------------------------------------------------------------------- */

SLEY_TEST_SECONDS(tasks_are_cancelled_at_every_stage, "BLOCK-04 BLOCK-05", 60)
{
    struct sley_blocking_pool *p = rig_pool(0, 2, 4, SLEY_US);
    struct sley_runtime rt;
    rig_runtime(&rt, p);
    for (int i = 0; i < rounds(500); i++) {
        enum { TASKS = 6 };
        struct ask a[TASKS];
        struct sley_blocking_how how[TASKS];
        SLEY_ATOMIC(int) ran[TASKS];
        for (int k = 0; k < TASKS; k++) {
            ran[k] = 0;
            how[k] = (struct sley_blocking_how){.flags = (uint32_t)harness_rand_below(2) * SLEY_BLOCKING_MUST_RUN +
                                                         (uint32_t)harness_rand_below(2) * SLEY_BLOCKING_TRY};
            a[k] = (struct ask){.how = &how[k], .fn = dithering, .arg = &ran[k]};
            ask_spawn(&rt, k % STYLES, &a[k]);
        }
        if (harness_rand_below(2)) {
            (void)sley_runtime_turn(&rt, NULL);
        }
        dither();
        for (int k = 0; k < TASKS; k++) {
            if (harness_rand_below(2)) {
                sley_task_cancel(a[k].task);
            }
        }
        for (int k = 0; k < TASKS; k++) {
            const int rc = ask_wait(&rt, &a[k]);
            CHECK(rc == 0 || rc == -ECANCELED || (rc == -EAGAIN && how[k].flags & SLEY_BLOCKING_TRY));
            CHECK_INT(ran[k], ==, rc == 0);
            CHECK_INT(a[k].result, ==, rc == 0 ? 0 : 12345);
        }
    }
    rig_runtime_end(&rt);
    CHECK_RC(sley_blocking_destroy(p), 0);
}
