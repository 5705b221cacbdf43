/* A start that fails at any point leaves nothing behind: no descriptor, no thread, no memory; and says why. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sley/runtime.h>

#include "forty_two.h"
#include "harness.h"

static const char *const executors[] = {"local", "cores", "stealing", "shares"};
static const char *const reactors[] = {"auto", "epoll", "poll", "uring", "uv"};
enum { EXECUTORS = sizeof executors / sizeof executors[0], REACTORS = sizeof reactors / sizeof reactors[0] };

static struct sley_runtime_opts opts(size_t executor, size_t reactor, char *why, size_t bytes)
{
    return (struct sley_runtime_opts){
        .executor_name = executors[executor],
        .reactor_name = reactors[reactor],
        .worker_count = executor == 1 || executor == 2 ? 3 : 1,
        .alloc = harness_alloc(),
        .ret_error = why,
        .error_bytes = bytes,
    };
}

/** Returns: what init has said; when that is 0 the runtime has run, and is gone again. */
static int try_to_live(const struct sley_runtime_opts *o)
{
    struct sley_runtime rt;
    int result = 0;
    const int rc = sley_runtime_init(&rt, o);
    if (rc == 0) {
        CHECK_RC(sley_runtime_run(&rt, &forty_two__type, &(struct none){0}, &result), 0);
        CHECK_INT(result, ==, 42);
        CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
        CHECK_RC(sley_runtime_fini(&rt), 0);
    }
    return rc;
}

/** Is this reactor here, and may it serve this executor? It has lived once, so that what is made once is there. */
static bool works(const struct sley_runtime_opts *o)
{
    return try_to_live(o) == 0;
}

SLEY_TEST_SECONDS(start_without_enough_descriptors_leaves_nothing_behind_and_says_why, "SHUT-01", 120)
{
    struct rlimit was;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &was), ==, 0);
    unsigned refused = 0;
    for (size_t i = 0; i < EXECUTORS * REACTORS; i++) {
        char why[256], when[64];
        const struct sley_runtime_opts o = opts(i / REACTORS, i % REACTORS, why, sizeof why);
        if (!works(&o)) {
            continue;
        }
        struct harness_before before;
        harness_leaks_start(&before);
        const int first = dup(0);
        CHECK_INT(close(first), ==, 0);
        int rc = -1;
        for (rlim_t room = 0; rc < 0; room++) {
            CHECK_UINT(room, <, 64);
            CHECK_INT(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)first + room, was.rlim_max}), ==, 0);
            rc = try_to_live(&o);
            CHECK_INT(setrlimit(RLIMIT_NOFILE, &was), ==, 0);
            if (rc < 0 && why[0] == '\0') {
                FAIL("%s, %s, %u numbers: %d without a word", o.executor_name, o.reactor_name, (unsigned)room, rc);
            }
            refused += rc < 0;
            (void)snprintf(when, sizeof when, "%s, %s, %u numbers", o.executor_name, o.reactor_name, (unsigned)room);
            harness_leaks_check(&before, when);
        }
    }
    CHECK_UINT(refused, >, EXECUTORS);
}

/** From now on no thread can be made. */
static void forbid_threads(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), ==, 0);
}

static bool there[EXECUTORS * REACTORS];

static void start_each_without_threads(void)
{
    char why[256];
    struct harness_before before;
    harness_leaks_start(&before);
    for (size_t i = 0; i < EXECUTORS * REACTORS; i++) {
        const struct sley_runtime_opts o = opts(i / REACTORS, i % REACTORS, why, sizeof why);
        if (there[i]) {
            const int rc = try_to_live(&o);
            CHECK_RC(rc, o.worker_count > 1 ? -EAGAIN : 0);
            CHECK(rc == 0 || why[0] != '\0');
            harness_leaks_check(&before, o.executor_name);
        }
    }
}

SLEY_TEST(start_without_threads_leaves_nothing_behind_and_says_why, "SHUT-01")
{
    int status;
    char why[256];
    if (harness_under_tsan()) {
        SKIP("the thread sanitizer does not survive a thread that cannot be made");
    }
    for (size_t i = 0; i < EXECUTORS * REACTORS; i++) {
        const struct sley_runtime_opts o = opts(i / REACTORS, i % REACTORS, why, sizeof why);
        there[i] = works(&o);
    }
    const pid_t child = fork(); /* who looks for leaks at the end wants a thread */
    CHECK_INT(child, >=, 0);
    if (child == 0) {
        forbid_threads();
        start_each_without_threads();
        _exit(0);
    }
    CHECK_INT(waitpid(child, &status, 0), ==, child);
    CHECK_INT(status, ==, 0);
}
