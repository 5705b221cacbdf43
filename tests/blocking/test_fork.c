/* The child of a fork and a pool that it inherits: every call says so, whatever the pool's threads were at, and its memory comes back. */
#include "rig.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/blocking/pool.h"

static void check_child(pid_t pid)
{
    int status = -1;
    CHECK_INT(pid, >, 0);
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK_INT(status, ==, 0);
}

static struct gate gate;

/** All calls on a pool that was inherited; @p op was in flight at the fork, in the way of @p how. */
static void try_all(struct sley_blocking_pool *p, struct sley_blocking_op *op)
{
    static const uint32_t ways[] = {0, SLEY_BLOCKING_MUST_RUN, SLEY_BLOCKING_ABANDON, SLEY_BLOCKING_TRY};
    SLEY_ATOMIC(int) ran = 0;
    int result = 77;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const struct sley_blocking_how how = {.pool = p, .flags = ways[i]};
        CHECK_RC(sley_blocking_with(&how, count_job, &ran, &result), -EOWNERDEAD);
    }
    struct sley_blocking_op ops[2] = {0};
    const struct sley_blocking_call calls[2] = {{count_job, &ran, &result}, {count_job, &ran, &result}};
    CHECK_RC(sley_blocking_batch(ops, &(struct sley_blocking_how){.pool = p}, calls, 2), -EOWNERDEAD);
    CHECK_INT(result, ==, 77);
    CHECK_INT(ran, ==, 0);
    sley_wait_cancel(&op->wait);
    CHECK_RC(sley_await(&op->wait), -EOWNERDEAD);
    CHECK_RC(sley_blocking_resize(p, 2, 1), -EINVAL);
    CHECK_RC(sley_blocking_resize(p, 0, 3), -EOWNERDEAD);
    CHECK_RC(sley_blocking_stop(p, SLEY_NEVER), -EOWNERDEAD);
    const size_t before = harness_alloc_live();
    CHECK_RC(sley_blocking_destroy(p), 0);
    CHECK_UINT(harness_alloc_live(), <, before);
}

/** Forks beside a job that runs and one that waits in line. */
static void fork_beside_jobs(bool locked, uint32_t flags)
{
    struct sley_blocking_pool *p = rig_pool(1, 1, 0, 0);
    const struct sley_blocking_how how = {.pool = p, .flags = flags};
    struct sley_blocking_op running = {0}, queued = {0};
    SLEY_ATOMIC(int) ran = 0;
    gate_init(&gate);
    sley_blocking_with_start(&running, &how, gate_job, &gate, NULL);
    gate_wait(&gate, 1);
    sley_blocking_with_start(&queued, &how, count_job, &ran, NULL);
    if (locked) {
        sley__queue_lock(&p->queue); /* as by a thread that is not there in the child */
    }
    const pid_t pid = fork();
    if (pid == 0) {
        try_all(p, flags ? &running : &queued);
        _exit(0);
    }
    if (locked) {
        sley__queue_unlock(&p->queue);
    }
    check_child(pid);
    gate_open(&gate, 1); /* here all goes on */
    CHECK_RC(sley_await(&running.wait), 0);
    CHECK_RC(sley_await(&queued.wait), 0);
    CHECK_INT(ran, ==, 1);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

SLEY_TEST(child_of_a_fork_is_told_so_by_every_call_on_a_pool, "FORK-01")
{
    for (int locked = 0; locked < 2; locked++) {
        fork_beside_jobs(locked, 0);
        fork_beside_jobs(locked, SLEY_BLOCKING_MUST_RUN);
        fork_beside_jobs(locked, SLEY_BLOCKING_ABANDON);
    }
}

SLEY_TEST(grandchild_and_pool_of_a_child_are_told_apart, "FORK-01")
{
    struct sley_blocking_pool *p = rig_pool(0, 1, 0, 0), *own;
    const pid_t pid = fork();
    if (pid == 0) {
        own = rig_pool(0, 1, 0, 0); /* without a thread: none is started behind a fork for this */
        CHECK_RC(sley_blocking_resize(own, 0, 2), 0);
        const pid_t next = fork();
        if (next == 0) {
            CHECK_RC(sley_blocking_resize(own, 0, 2), -EOWNERDEAD);
            CHECK_RC(sley_blocking_resize(p, 0, 2), -EOWNERDEAD);
            CHECK_RC(sley_blocking_destroy(own), 0);
            CHECK_RC(sley_blocking_destroy(p), 0);
            _exit(0);
        }
        check_child(next);
        CHECK_RC(sley_blocking_destroy(own), 0);
        CHECK_RC(sley_blocking_destroy(p), 0);
        _exit(0);
    }
    check_child(pid);
    CHECK_RC(sley_blocking_destroy(p), 0);
}

/* ---- a job that forks -------------------------------------------------------------------------------------------------- */

static struct shared {
    SLEY_ATOMIC(int) ran;
    pid_t child;
} * shared;
static struct sley_blocking_pool *forks_within; /* static: the child has no other stack than its job's, and its end looks for leaks */

static int fork_in_job(void *arg)
{
    struct sley_blocking_pool *p = arg;
    const pid_t pid = fork();
    if (pid == 0) {
        const int rc = sley_blocking_destroy(p); /* its thread is on the stack below */
        return rc == -EDEADLK ? 0 : (_exit(1), 0);
    }
    shared->child = pid;
    return pid > 0 ? 0 : -1;
}

SLEY_TEST(child_of_a_job_that_forks_ends_with_the_job_and_runs_no_other, "FORK-01")
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    forks_within = rig_pool(0, 1, 0, 0);
    const struct sley_blocking_how how = {.pool = forks_within};
    struct sley_blocking_op ops[2] = {0};
    int result = -1;
    const struct sley_blocking_call calls[2] = {{fork_in_job, forks_within, &result}, {count_job, &shared->ran, NULL}};
    CHECK_RC(sley_blocking_batch(ops, &how, calls, 2), 0);
    CHECK_INT(result, ==, 0);
    check_child(shared->child);
    CHECK_INT(shared->ran, ==, 1);
    CHECK_RC(sley_blocking_destroy(forks_within), 0);
    (void)munmap(shared, sizeof *shared);
}
