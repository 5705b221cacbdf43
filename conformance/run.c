/* The run: a process for each clause, its time limit, its verdict, the report in TAP. */
#include "kit.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEFAULT_TIMEOUT_MS = 30000 };

static void say(const struct sley_conformance_opts *o, const char *fmt, ...) SLEY_PRINTF(2, 3);
static void say(const struct sley_conformance_opts *o, const char *fmt, ...)
{
    char line[1536];
    va_list args;
    if (o->line) {
        va_start(args, fmt);
        (void)vsnprintf(line, sizeof line, fmt, args);
        va_end(args);
        o->line(o->arg, line);
    }
}

static bool chosen(const struct sley_conformance_opts *o, const char *name)
{
    const char *const *p = o->only;
    while (p && *p && fnmatch(*p, name, 0) != 0) {
        p++;
    }
    return !p || *p;
}

static _Noreturn void run_child(const struct sley__kit_suite *suite, size_t index, uint64_t seed, uint32_t effort)
{
    (void)setpgid(0, 0);                            /* so that one kill reaches what the clause starts */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* and none outlives the run */
    sley__kit_begin(seed, suite->clauses[index].name, effort);
    (void)sley__kit_alloc();
    sley__kit_settle();
    suite->warm_up();
    const unsigned fds = sley__kit_fd_count(), threads = sley__kit_thread_count(sley__kit_threads_before());
    suite->run(suite, index);
    const unsigned fds_left = sley__kit_fd_count();
    if (fds_left != fds) {
        FAIL("%u descriptors are open at the end, %u were at the start", fds_left, fds);
    }
    const unsigned threads_left = sley__kit_thread_count(threads);
    if (threads_left > threads) {
        FAIL("%u threads are there at the end, %u were at the start", threads_left, threads);
    }
    if (sley__kit_alloc_live() != 0) {
        FAIL("%zu blocks are not given back at the end", sley__kit_alloc_live());
    }
    _exit(0);
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/** Until the clause's process has ended, which closes its end of the pipe, or its time is up. Returns: in time? */
static bool wait_end(int pipe_end, pid_t pid, uint64_t limit_ms, int *ret_status)
{
    const uint64_t end = now_ms() + limit_ms;
    bool in_time = true;
    for (uint64_t now; waitpid(pid, ret_status, WNOHANG) == 0;) {
        struct pollfd p = {.fd = pipe_end, .events = POLLIN};
        if ((now = now_ms()) >= end) {
            in_time = false;
        } else if (poll(&p, 1, (int)(end - now)) <= 0) {
            continue;
        }
        if (!in_time) {
            (void)kill(-pid, SIGKILL);
            (void)kill(pid, SIGKILL); /* in case it has not reached setpgid */
        }
        while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR) {
        }
        break;
    }
    (void)kill(-pid, SIGKILL); /* what the clause has left running */
    return in_time;
}

static enum sley_verdict judge(bool in_time, int status, uint64_t limit_ms, char *ret_why, size_t bytes)
{
    struct sley__kit_report *r = sley__kit_report;
    if (!in_time) {
        (void)snprintf(ret_why, bytes, "it did not end within %" PRIu64 " ms", limit_ms);
        return SLEY_VERDICT_BROKEN;
    }
    if (WIFSIGNALED(status)) {
        (void)snprintf(ret_why, bytes, "the process died of signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
        return SLEY_VERDICT_BROKEN;
    }
    if (WEXITSTATUS(status) == SLEY__KIT_SKIPPED && r->skip[0]) {
        (void)snprintf(ret_why, bytes, "%s", r->skip);
        return SLEY_VERDICT_SKIPPED;
    }
    if (WEXITSTATUS(status) != 0) {
        (void)snprintf(ret_why, bytes, "%s", r->why[0] ? r->why : "the process ended by itself");
        return SLEY_VERDICT_BROKEN;
    }
    ret_why[0] = '\0';
    return SLEY_VERDICT_KEPT;
}

/** Returns: a verdict; negative errno when there is no process for it. */
static int try_clause(const struct sley__kit_suite *suite, size_t index, uint64_t seed, const struct sley_conformance_opts *o,
                      char *ret_why, size_t bytes)
{
    const uint64_t limit_ms = (uint64_t)(o->timeout_ms ? o->timeout_ms : DEFAULT_TIMEOUT_MS) * sley__kit_slowness();
    int ends[2], status = 0;
    memset(sley__kit_report, 0, sizeof *sley__kit_report);
    if (pipe(ends) < 0) {
        return -errno;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        run_child(suite, index, seed, o->effort);
    }
    const int rc = pid < 0 ? -errno : 0;
    (void)close(ends[1]);
    const bool in_time = rc < 0 || wait_end(ends[0], pid, limit_ms, &status);
    (void)close(ends[0]);
    return rc < 0 ? rc : (int)judge(in_time, status, limit_ms, ret_why, bytes);
}

static void tell(const struct sley_conformance_opts *o, const struct sley_clause *c, unsigned number, enum sley_verdict verdict,
                 const char *why)
{
    if (o->verdict) {
        o->verdict(o->arg, c, verdict, why);
    }
    if (verdict == SLEY_VERDICT_SKIPPED) {
        say(o, "ok %u - %s # SKIP %s", number, c->name, why);
    } else if (verdict == SLEY_VERDICT_KEPT) {
        say(o, "ok %u - %s", number, c->name);
    } else {
        say(o, "# %s", c->sentence);
        say(o, "# %s", why);
        say(o, "not ok %u - %s", number, c->name);
    }
}

static int run_all(const struct sley__kit_suite *suite, const struct sley_conformance_opts *o, uint64_t seed,
                   struct sley_conformance_count *ret_count)
{
    unsigned number = 0;
    for (size_t i = 0; i < suite->count; i++) {
        char why[1200];
        if (chosen(o, suite->clauses[i].name)) {
            const int verdict = try_clause(suite, i, seed, o, why, sizeof why);
            if (verdict < 0) {
                return verdict;
            }
            ret_count->kept += verdict == SLEY_VERDICT_KEPT;
            ret_count->broken += verdict == SLEY_VERDICT_BROKEN;
            ret_count->skipped += verdict == SLEY_VERDICT_SKIPPED;
            tell(o, &suite->clauses[i], ++number, (enum sley_verdict)verdict, why);
        }
    }
    return (int)ret_count->broken;
}

int sley__kit_run(const struct sley__kit_suite *suite, const struct sley_conformance_opts *o,
                  struct sley_conformance_count *ret_count)
{
    static const struct sley_conformance_opts usual;
    struct sley_conformance_count count = {0};
    unsigned plan = 0;
    o = o ? o : &usual;
    for (size_t i = 0; i < suite->count; i++) {
        plan += chosen(o, suite->clauses[i].name);
    }
    if (plan == 0) {
        return -EINVAL;
    }
    const uint64_t seed = o->seed ? o->seed : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    void *report = mmap(NULL, sizeof *sley__kit_report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED) {
        return -errno;
    }
    sley__kit_report = report;
    say(o, "1..%u", plan);
    say(o, "# %s, seed 0x%" PRIx64, suite->subject, seed);
    const int rc = run_all(suite, o, seed, &count);
    (void)munmap(report, sizeof *sley__kit_report);
    sley__kit_report = NULL;
    if (ret_count) {
        *ret_count = count;
    }
    return rc;
}
