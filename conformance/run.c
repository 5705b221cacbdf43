/* The run: which clauses, how many at a time, the report in TAP. */
#include "kit.h"
#include "trial.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { DEFAULT_TIMEOUT_MS = 30000, JOBS_MOST = 64 };

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

static uint32_t jobs_of(const struct sley_conformance_opts *o)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    const int processors = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const uint32_t jobs = o->jobs ? o->jobs : (uint32_t)processors;
    return jobs < JOBS_MOST ? jobs : JOBS_MOST;
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

/** Until one of those that run may have ended, or is to be looked at again. */
static void wait_for_one(const struct sley__kit_trial *trials, size_t from, size_t to)
{
    struct pollfd p[JOBS_MOST];
    nfds_t n = 0;
    for (size_t i = from; i < to; i++) {
        if (!trials[i].ended && n < JOBS_MOST) {
            p[n++] = (struct pollfd){.fd = trials[i].pipe_end, .events = POLLIN};
        }
    }
    if (poll(p, n, SLEY__TRIAL_LOOK_MS) > 0) {
        (void)poll(NULL, 0, 1); /* its end of the pipe goes a moment before itself */
    }
}

/** Those in [told, ...) whose turn it is: in the order of the clauses, whichever ends first. Returns the next one. */
static size_t tell_ended(const struct sley_conformance_opts *o, const struct sley__kit_trial *trials, size_t told, size_t to,
                         struct sley_conformance_count *ret_count)
{
    for (; told < to && trials[told].ended; told++) {
        const struct sley__kit_trial *t = &trials[told];
        char why[1200];
        const enum sley_verdict verdict = sley__kit_trial_judge(t, why, sizeof why);
        ret_count->kept += verdict == SLEY_VERDICT_KEPT;
        ret_count->broken += verdict == SLEY_VERDICT_BROKEN;
        ret_count->skipped += verdict == SLEY_VERDICT_SKIPPED;
        tell(o, &t->suite->clauses[t->index], (unsigned)told + 1, verdict, why);
    }
    return told;
}

static int run_all(const struct sley_conformance_opts *o, struct sley__kit_trial *trials, size_t count,
                   struct sley_conformance_count *ret_count)
{
    const uint32_t jobs = jobs_of(o);
    size_t begun = 0, told = 0;
    uint32_t running = 0;
    int rc = 0;
    while (told < count && rc >= 0) {
        for (; running < jobs && begun < count && rc >= 0; running++) {
            rc = sley__kit_trial_start(&trials[begun]);
            begun += rc == 0;
        }
        wait_for_one(trials, told, begun);
        for (size_t i = told; i < begun && rc >= 0; i++) {
            running -= !trials[i].ended && sley__kit_trial_look(&trials[i]);
        }
        told = tell_ended(o, trials, told, begun, ret_count);
    }
    for (size_t i = told; i < begun; i++) {
        sley__kit_trial_stop(&trials[i]);
    }
    return rc < 0 ? rc : (int)ret_count->broken;
}

/** Zeroed; NULL: no memory. @p how: MAP_PRIVATE or MAP_SHARED. */
static void *map(size_t bytes, int how)
{
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS, -1, 0);
    return block == MAP_FAILED ? NULL : block;
}

int sley__kit_run(const struct sley__kit_suite *suite, const struct sley_conformance_opts *o, struct sley_conformance_count *ret_count)
{
    static const struct sley_conformance_opts usual;
    struct sley_conformance_count count = {0};
    size_t plan = 0;
    o = o ? o : &usual;
    const uint64_t limit_ms = (uint64_t)(o->timeout_ms ? o->timeout_ms : DEFAULT_TIMEOUT_MS) * sley__kit_slowness();
    const uint64_t seed = o->seed ? o->seed : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    const size_t own_bytes = suite->count * sizeof(struct sley__kit_trial), bytes = suite->count * sizeof(struct sley__kit_report);
    struct sley__kit_trial *trials = map(own_bytes, MAP_PRIVATE);
    struct sley__kit_report *reports = map(bytes, MAP_SHARED);
    int rc = trials && reports ? 0 : -ENOMEM;
    for (size_t i = 0; i < suite->count && rc == 0; i++) {
        if (chosen(o, suite->clauses[i].name)) {
            trials[plan++] = (struct sley__kit_trial){
                .suite = suite, .index = i, .report = &reports[i], .effort = o->effort, .seed = seed, .limit_ms = limit_ms};
        }
    }
    rc = rc == 0 && plan == 0 ? -EINVAL : rc;
    if (rc == 0) {
        sley__kit_settle(); /* here, too: else each of the processes would get a thread of a sanitizer's more than there are */
        say(o, "1..%zu", plan);
        say(o, "# %s, seed 0x%" PRIx64, suite->subject, seed);
        rc = run_all(o, trials, plan, &count);
    }
    if (trials) {
        (void)munmap(trials, own_bytes);
    }
    if (reports) {
        (void)munmap(reports, bytes);
    }
    if (ret_count && rc != -EINVAL) {
        *ret_count = count;
    }
    return rc;
}
