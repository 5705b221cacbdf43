/* The runner: options, a process per case, time limits, the report in TAP. */
#include "harness_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || HAS_FEATURE(address_sanitizer) || \
    HAS_FEATURE(thread_sanitizer) || HAS_FEATURE(memory_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
enum { THREAD_SANITIZED = 1 };
#else
enum { THREAD_SANITIZED = 0 };
#endif

enum { DEFAULT_TIMEOUT_S = 30, SKIP_STATUS = 77 };
enum outcome { PASSED, FAILED, SKIPPED };

struct options {
    bool list, verbose;
    unsigned long repeat;
    char **globs;
    int glob_count;
};

static struct harness_case *first_case, **last_case = &first_case;
jmp_buf harness_skip_jump;

void harness_register(struct harness_case *c)
{
    *last_case = c;
    last_case = &c->next;
}

bool harness_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

bool harness_under_tsan(void)
{
    return THREAD_SANITIZED;
}

unsigned harness_slowness(void)
{
    return SANITIZED || harness_under_valgrind() || getenv("SLEY_TEST_BRIEF") ? 10 : 1;
}

static double timeout_s(const struct harness_case *c)
{
    const char *text = getenv("SLEY_TEST_TIMEOUT");
    double factor = text != NULL ? strtod(text, NULL) : 1.0;
    double base = c->timeout_s != 0 ? (double)c->timeout_s : (double)DEFAULT_TIMEOUT_S;
    return base * (factor > 0 ? factor : 1.0) * harness_slowness();
}

static void *end_at_once(void *arg)
{
    return arg;
}

/* The thread sanitizer starts a thread of its own along with a process's first; it is not the case's. */
static void settle_sanitizer(void)
{
    pthread_t thread;
    if (THREAD_SANITIZED && pthread_create(&thread, NULL, end_at_once, NULL) == 0) {
        pthread_join(thread, NULL);
    }
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double races_until; /* a quarter of the case's time is over then */

bool harness_another(unsigned done, unsigned most)
{
    return done < most && (done < 16 || seconds_now() < races_until);
}

static void run_body(const struct harness_case *c)
{
    struct harness_before before;
    races_until = seconds_now() + timeout_s(c) / 4;
    harness_rand_start(c->name);
    harness_alloc_start();
    settle_sanitizer();
    harness_leaks_start(&before);
    c->fn();
    harness_leaks_check(&before, "at the end");
}

static _Noreturn void run_child(const struct harness_case *c, int output, const sigset_t *mask)
{
    setpgid(0, 0);                    /* so that one kill reaches what the case started */
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* and none outlives the runner */
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    close(output);
    sigprocmask(SIG_SETMASK, mask, NULL);
    run_body(c);
    fflush(NULL);
    exit(0); /* not _exit: the leak sanitizer looks at exit */
}

/* Waits for the case or its time limit. True: in time. SIGCHLD is blocked in the runner. */
static bool wait_child(pid_t pid, double limit_s, int *ret_status)
{
    double end = seconds_now() + limit_s;
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    for (;;) {
        pid_t got = waitpid(pid, ret_status, WNOHANG);
        if (got == pid) {
            return true;
        }
        double left = end - seconds_now();
        if (left <= 0) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL); /* in case it has not reached setpgid */
            waitpid(pid, ret_status, 0);
            return false;
        }
        struct timespec wait = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
        sigtimedwait(&chld, NULL, &wait);
    }
}

static void print_lines(const char *text, size_t bytes)
{
    bool line_start = true;
    for (size_t i = 0; i < bytes; i++) {
        if (line_start) {
            fputs("# ", stdout);
        }
        putchar(text[i]);
        line_start = text[i] == '\n';
    }
    if (!line_start) {
        putchar('\n');
    }
}

static void print_output(int output)
{
    char block[4096];
    ssize_t n;
    lseek(output, 0, SEEK_SET);
    /* A case that floods its output must not flood the report. */
    for (int blocks = 0; blocks < 64 && (n = read(output, block, sizeof block)) > 0; blocks++) {
        print_lines(block, (size_t)n);
    }
}

/* Judges one ended case; what was wrong goes to `ret_why`. */
static enum outcome judge(const struct harness_case *c, bool in_time, int status, char *ret_why, size_t bytes)
{
    if (!in_time) {
        snprintf(ret_why, bytes, "%s did not end within %.0f s", c->name, timeout_s(c));
        return FAILED;
    }
    if (WIFSIGNALED(status)) {
        int signo = WTERMSIG(status);
        snprintf(ret_why, bytes, "%s died of signal %d, %s", c->name, signo, strsignal(signo));
        return FAILED;
    }
    if (WEXITSTATUS(status) == SKIP_STATUS && harness_report->skip[0] != '\0') {
        return SKIPPED;
    }
    if (WEXITSTATUS(status) != 0) {
        snprintf(ret_why, bytes, "%s ended with status %d", c->name, WEXITSTATUS(status));
        return FAILED;
    }
    return PASSED;
}

static enum outcome run_forked(const struct harness_case *c, bool verbose)
{
    char why[256] = "";
    int status = 0;
    int output = memfd_create("output", MFD_CLOEXEC);
    sigset_t chld, old;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, &old);
    fflush(NULL);
    pid_t pid = output < 0 ? -1 : fork();
    if (pid < 0) {
        printf("Bail out! no process for %s: %s\n", c->name, strerror(errno));
        exit(1);
    }
    if (pid == 0) {
        run_child(c, output, &old);
    }
    bool in_time = wait_child(pid, timeout_s(c), &status);
    enum outcome outcome = judge(c, in_time, status, why, sizeof why);
    if (kill(-pid, SIGKILL) == 0 && outcome == PASSED) {
        snprintf(why, sizeof why, "%s left processes running", c->name);
        outcome = FAILED;
    }
    if (outcome == FAILED || verbose) {
        print_output(output);
    }
    if (why[0] != '\0') {
        printf("# %s\n", why);
    }
    close(output);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return outcome;
}

/* For debuggers: the first failure ends the program where it happens. */
static enum outcome run_here(const struct harness_case *c)
{
    if (setjmp(harness_skip_jump) != 0) {
        return SKIPPED;
    }
    run_body(c);
    return PASSED;
}

static enum outcome run_case(const struct harness_case *c, const struct options *o)
{
    enum outcome outcome = PASSED;
    for (unsigned long i = 0; i < o->repeat && outcome == PASSED; i++) {
        memset(harness_report, 0, sizeof *harness_report);
        outcome = harness_forks ? run_forked(c, o->verbose) : run_here(c);
        if (outcome == FAILED && o->repeat > 1) {
            printf("# in run %lu of %lu\n", i + 1, o->repeat);
        }
    }
    print_lines(harness_report->notes, harness_report->notes_bytes);
    return outcome;
}

static bool selected(const struct harness_case *c, const struct options *o)
{
    for (int i = 0; i < o->glob_count; i++) {
        if (fnmatch(o->globs[i], c->name, 0) == 0) {
            return true;
        }
    }
    return o->glob_count == 0;
}

static void print_result(unsigned number, const struct harness_case *c, enum outcome outcome)
{
    printf("%s %u - %s", outcome == FAILED ? "not ok" : "ok", number, c->name);
    if (c->ids[0] != '\0') {
        printf(" [%s]", c->ids);
    }
    if (outcome == SKIPPED) {
        printf(" # SKIP %s", harness_report->skip);
    }
    putchar('\n');
    fflush(stdout);
}

static int run_all(const struct options *o)
{
    unsigned count = 0, number = 0, failed = 0;
    for (const struct harness_case *c = first_case; c != NULL; c = c->next) {
        count += selected(c, o);
    }
    if (count == 0) {
        fprintf(stderr, "no case has such a name; --list shows them\n");
        return 2;
    }
    printf("1..%u\n# seed 0x%" PRIx64 " (SLEY_TEST_SEED)\n", count, harness_seed);
    for (const struct harness_case *c = first_case; c != NULL; c = c->next) {
        if (selected(c, o)) {
            enum outcome outcome = run_case(c, o);
            failed += outcome == FAILED;
            print_result(++number, c, outcome);
        }
    }
    return failed != 0;
}

static const char usage[] = "usage: %s [--list] [--no-fork] [--repeat N] [--verbose] [GLOB...]\n"
                            "Runs the cases whose names match a GLOB (all without one); reports in TAP.\n"
                            "  --list      print names and conformance ids\n"
                            "  --no-fork   run the cases in this process, for debuggers; the first failure aborts\n"
                            "  --repeat N  run each case N times, until it fails\n"
                            "  --verbose   print what passing cases print, too\n"
                            "SLEY_TEST_SEED repeats a run's random numbers; SLEY_TEST_TIMEOUT multiplies the time "
                            "limits.\n";

static int parse(int argc, char **argv, struct options *o)
{
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            o->list = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
        } else if (strcmp(argv[i], "--no-fork") == 0) {
            harness_forks = false;
        } else if (strcmp(argv[i], "--repeat") == 0 && i + 1 < argc && strtoul(argv[i + 1], NULL, 10) > 0) {
            o->repeat = strtoul(argv[++i], NULL, 10);
        } else {
            bool help = strcmp(argv[i], "--help") == 0;
            fprintf(help ? stdout : stderr, usage, argv[0]);
            return help ? 0 : 2;
        }
    }
    o->globs = argv + i;
    o->glob_count = argc - i;
    return -1;
}

int main(int argc, char **argv)
{
    struct options o = {.repeat = 1};
    int status = parse(argc, argv, &o);
    if (status >= 0) {
        return status;
    }
    if (o.list) {
        for (const struct harness_case *c = first_case; c != NULL; c = c->next) {
            printf("%s%s%s\n", c->name, c->ids[0] != '\0' ? " " : "", c->ids);
        }
        return 0;
    }
    const char *seed = getenv("SLEY_TEST_SEED");
    harness_seed = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    if (seed != NULL) {
        harness_seed = strtoull(seed, NULL, 0);
    }
    harness_report = mmap(NULL, sizeof *harness_report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (harness_report == MAP_FAILED) {
        printf("Bail out! no memory for the report\n");
        return 1;
    }
    return run_all(&o);
}
