/* The harness on itself. Cases named must_* have to end as their name says; verify.py checks that they do. */
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct sley_alloc *a(void)
{
    return harness_alloc();
}

SLEY_TEST(must_pass_with_true_checks, "SELF-01 SELF-02")
{
    const char *same = "x";
    CHECK(1 + 1 == 2);
    CHECK_INT(-1, <, 1);
    CHECK_UINT(SIZE_MAX, >, 1);
    CHECK_PTR(same, ==, same);
    CHECK_RC(-EAGAIN, -EAGAIN);
    CHECK_STR("abc", "abc");
    CHECK_STR(NULL, NULL);
}

SLEY_TEST(must_pass_with_a_note, "")
{
    harness_note("answer %d", 42);
}

SLEY_TEST(must_skip, "")
{
    SKIP("the moon is not %s", "full");
}

SLEY_TEST(must_fail_check, "")
{
    CHECK(1 > 2);
}

SLEY_TEST(must_fail_check_int, "")
{
    CHECK_INT(-41, ==, 42);
}

SLEY_TEST(must_fail_check_uint, "")
{
    CHECK_UINT(255, ==, 16);
}

SLEY_TEST(must_fail_check_ptr, "")
{
    CHECK_PTR((void *)16, ==, NULL);
}

SLEY_TEST(must_fail_check_rc, "")
{
    CHECK_RC(-EPIPE, -ECANCELED);
}

SLEY_TEST(must_fail_check_str, "")
{
    CHECK_STR("left words", "right words");
}

SLEY_TEST(must_fail_check_str_null, "")
{
    CHECK_STR(NULL, "right words");
}

static void *check_in_thread(void *arg)
{
    CHECK_INT(7, ==, 8);
    return arg;
}

SLEY_TEST(must_fail_check_in_thread, "")
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, check_in_thread, NULL), ==, 0);
    pthread_join(thread, NULL);
}

SLEY_TEST(must_fail_crash, "")
{
    raise(SIGSEGV);
}

SLEY_TEST(must_fail_abort, "")
{
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
}

SLEY_TEST_SECONDS(must_fail_timeout, "", 1)
{
    for (;;) {
        pause();
    }
}

SLEY_TEST(must_fail_status, "")
{
    _exit(3);
}

SLEY_TEST(must_fail_status_77_without_skip, "")
{
    _exit(77);
}

SLEY_TEST(must_fail_fd_leak, "")
{
    CHECK_INT(dup(STDERR_FILENO), >=, 0);
}

static void *end_thread(void *arg)
{
    return arg;
}

SLEY_TEST(must_pass_threads_joined, "")
{
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, end_thread, NULL), ==, 0);
        CHECK_INT(pthread_join(thread, NULL), ==, 0);
    }
}

static void *pause_thread(void *arg)
{
    pause();
    return arg;
}

SLEY_TEST(must_fail_thread_leak, "")
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, pause_thread, NULL), ==, 0);
}

SLEY_TEST(must_fail_process_leak, "")
{
    if (fork() == 0) {
        pause();
    }
}

SLEY_TEST(must_fail_alloc_leak, "")
{
    CHECK_PTR(a()->ops->alloc(a(), 24, 8), !=, NULL);
}

SLEY_TEST(must_fail_double_free, "")
{
    void *p = a()->ops->alloc(a(), 4000, 8);
    a()->ops->free(a(), p, 4000);
    a()->ops->free(a(), p, 4000);
}

SLEY_TEST(must_fail_wrong_size, "")
{
    a()->ops->free(a(), a()->ops->alloc(a(), 24, 8), 32);
}

SLEY_TEST(must_fail_overrun, "")
{
    char *p = a()->ops->alloc(a(), 24, 8);
    volatile size_t past = 24;
    p[past] = 1;
    a()->ops->free(a(), p, 24);
}

SLEY_TEST(must_pass_alloc_aligned, "")
{
    for (size_t align = 1; align <= 65536; align *= 2) {
        char *p = a()->ops->alloc(a(), 100, align);
        CHECK_UINT((uintptr_t)p % align, ==, 0);
        memset(p, 0, 100);
        a()->ops->free(a(), p, 100);
    }
    a()->ops->free(a(), NULL, 8);
    CHECK_UINT(harness_alloc_count(), ==, 17);
}

SLEY_TEST(must_pass_fail_at, "")
{
    harness_fail_at(2);
    void *p = a()->ops->alloc(a(), 1, 1);
    CHECK_PTR(p, !=, NULL);
    CHECK(!harness_alloc_refused());
    CHECK_PTR(a()->ops->alloc(a(), 1, 1), ==, NULL);
    CHECK(harness_alloc_refused());
    void *q = a()->ops->alloc(a(), 1, 1);
    CHECK_PTR(q, !=, NULL);
    CHECK_UINT(harness_alloc_live(), ==, 2);
    a()->ops->free(a(), p, 1);
    a()->ops->free(a(), q, 1);
}

/* Takes `want` blocks and gives them back; all or nothing, unless it is told to forget one on failure. */
static int take(size_t want, bool forget)
{
    void *blocks[8];
    size_t got = 0;
    while (got < want && (blocks[got] = a()->ops->alloc(a(), 8, 8)) != NULL) {
        got++;
    }
    int rc = got < want ? -ENOMEM : 0;
    for (size_t i = rc != 0 && forget; i < got; i++) {
        a()->ops->free(a(), blocks[i], 8);
    }
    return rc;
}

SLEY_TEST(must_pass_sweep, "")
{
    size_t rounds = 0;
    HARNESS_SWEEP_ALLOC(points, 100)
    {
        rounds++;
        CHECK_RC(take(5, false), harness_alloc_refused() ? -ENOMEM : 0);
    }
    CHECK_UINT(points, ==, 5);
    CHECK_UINT(rounds, ==, 6);
    HARNESS_SWEEP_ALLOC(none, 100)
    {
        CHECK_RC(take(0, false), 0);
    }
    CHECK_UINT(none, ==, 0);
}

SLEY_TEST(must_fail_sweep_leak, "")
{
    HARNESS_SWEEP_ALLOC(points, 100)
    {
        take(3, true);
    }
}

SLEY_TEST(must_fail_sweep_endless, "")
{
    HARNESS_SWEEP_ALLOC(points, 4)
    {
        take(8, false);
    }
}

SLEY_TEST(must_pass_rand_differs_between_threads_and_repeats, "")
{
    uint64_t first = harness_rand();
    CHECK_UINT(harness_rand(), !=, first);
    CHECK_UINT(harness_rand_below(10), <, 10);
    harness_note("first %llu", (unsigned long long)first);
}
