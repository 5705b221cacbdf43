/* A fiber that runs off its stack: the report names the task, then the process ends by the fault, or by whom it is chained to. */
#include "bed.h"

#include <sley/stealing.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int out;

static void report(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg;
    if (kind == SLEY_REPORT_OVERFLOW) {
        (void)!write(out, text, strlen(text));
    }
}

static int __attribute__((noinline)) deeper(volatile char *above)
{
    volatile char here[512];
    here[0] = (char)(above ? above[0] + 1 : 1);
    return above && here[0] == above[0] ? 0 : deeper(here) + here[0];
}

static int recurse(void *unused)
{
    (void)unused;
    return deeper(NULL);
}
SLEY_FIBER(recurse, void)

static int wild(void *unused)
{
    (void)unused;
    static int *volatile nowhere;
    *nowhere = 1;
    return 0;
}
SLEY_FIBER(wild, void)

static bool shared; /* tasks are, among workers with threads of their own */

static void run(const struct sley_task_type *type)
{
    static struct sley_local local;
    static struct sley_stealing stealing;
    struct sley_task *t;
    sley_local_init(&local);
    sley_stealing_init(&stealing, NULL);
    struct sley_executor *ex = shared ? &stealing.base : &local.base;
    if (ex->ops->start(ex, &(struct sley_executor_config){.report = report, .worker_count = shared ? 2 : 1}) == 0 &&
        ex->ops->spawn(ex, type, NULL, &t) == 0) {
        (void)ex->ops->run(ex, NULL);
    }
    _exit(1); /* it did not fault */
}

static void on_segv(int signo)
{
    (void)signo;
    (void)!write(out, "|chained", 8);
    _exit(42);
}

/** Runs in a child; what it reported, and how it ended. */
static int child(const struct sley_task_type *type, bool chained, char *text, size_t bytes)
{
    int ends[2], status = 0;
    CHECK_RC(pipe(ends), 0);
    const pid_t pid = fork();
    CHECK_INT(pid, >=, 0);
    if (pid == 0) {
        out = ends[1];
        (void)signal(SIGSEGV, chained ? on_segv : SIG_DFL);
        run(type);
    }
    (void)close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], text + len, bytes - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = '\0';
    (void)close(ends[0]);
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    return status;
}

SLEY_TEST(overflow_names_the_task_and_ends_by_the_fault, "")
{
    char text[512];
    const int status = child(&recurse__type, false, text, sizeof text);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
    CHECK(strstr(text, "stack overflow in task recurse (") != NULL);
    CHECK(strstr(text, "SLEY_FIBER_STACK") != NULL);
}

SLEY_TEST(overflow_reaches_the_handler_that_was_there_before, "")
{
    char text[512];
    const int status = child(&recurse__type, true, text, sizeof text);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), ==, 42);
    CHECK(strstr(text, "task recurse") != NULL);
    CHECK(strstr(text, "|chained") != NULL);
}

SLEY_TEST(overflow_on_a_worker_that_shares_its_tasks_is_named_and_handled_too, "")
{
    char text[512];
    shared = true;
    const int status = child(&recurse__type, true, text, sizeof text);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), ==, 42);
    CHECK(strstr(text, "task recurse") != NULL);
    CHECK(strstr(text, "|chained") != NULL);
}

SLEY_TEST(overflow_is_not_what_every_fault_is_called, "")
{
    char text[512];
    const int status = child(&wild__type, false, text, sizeof text);
    CHECK(WIFSIGNALED(status));
    CHECK_STR(text, "");
}

static int quiet(void *unused)
{
    (void)unused;
    return 0;
}
SLEY_FIBER(quiet, void)

SLEY_TEST(overflow_dispositions_are_put_back_when_the_last_worker_ends, "")
{
    struct sigaction before, during, after;
    struct bed a, b;
    CHECK_RC(sigaction(SIGSEGV, NULL, &before), 0);
    bed_start(&a);
    bed_start(&b);
    CHECK_RC(bed_run(&a, &quiet__type, NULL), 0);
    struct sley_task *t = bed_spawn_home(&a, &quiet__type, NULL);
    bed_run_until(&a, t);
    sley_task_unref(t);
    t = bed_spawn_home(&b, &quiet__type, NULL);
    bed_run_until(&b, t);
    sley_task_unref(t);
    CHECK_RC(sigaction(SIGSEGV, NULL, &during), 0);
    CHECK(during.sa_sigaction != before.sa_sigaction);
    bed_end(&a);
    CHECK_RC(sigaction(SIGSEGV, NULL, &after), 0);
    CHECK(after.sa_sigaction == during.sa_sigaction);
    bed_end(&b);
    CHECK_RC(sigaction(SIGSEGV, NULL, &after), 0);
    CHECK(after.sa_sigaction == before.sa_sigaction);
}
