/* What people see: the steps of a schedule, a line per scenario; crashes become bugs of their schedule. */
#include "engine.h"

#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {"exchange", "add",   "sub",        "or",         "and",        "xor",   "cas",   "load",
                                    "store",    "fence", "membarrier", "futex wait", "futex wake", "woken", "pause", "flush"};

/** A short name for an address: the order in which places have come up. */
static unsigned number_of(uintptr_t addr)
{
    static uintptr_t known[256];
    static unsigned count;
    for (unsigned i = 0; i < count; i++) {
        if (known[i] == addr) {
            return i + 1;
        }
    }
    if (count < sizeof known / sizeof known[0]) {
        known[count++] = addr;
    }
    return count;
}

void report_step(unsigned actor, const struct access *a)
{
    static unsigned printed;
    if (printed++ >= 400) {
        return;
    }
    char values[96] = "";
    if (a->kind == EXPLORE_CAS) {
        (void)snprintf(values, sizeof values, "%#llx %s %#llx", (unsigned long long)a->result, a->ok ? "->" : "is not",
                       (unsigned long long)(a->ok ? a->value : a->expected));
    } else if (a->kind < EXPLORE_CAS) {
        (void)snprintf(values, sizeof values, "%#llx by %#llx", (unsigned long long)a->result, (unsigned long long)a->value);
    } else if (a->kind == EXPLORE_STORE) {
        (void)snprintf(values, sizeof values, "<- %#llx", (unsigned long long)a->value);
    } else if (a->addr) {
        (void)snprintf(values, sizeof values, "%#llx", (unsigned long long)a->result);
    }
    const bool flush = actor >= EXPLORE_THREADS;
    printf("  %c  %-10s [%u] %-32s %s%s%s:%d\n", (flush ? 'A' - EXPLORE_THREADS : 'a') + (int)actor, kinds[a->kind],
           a->addr ? number_of(a->addr) : 0, values, a->func ? a->func : "", a->func ? ", " : "", a->file ? a->file : "", a->line);
}

/** A crash is a bug of this schedule like any other: the engine's stack is not the one that crashed. */
static void crashed(int sig)
{
    run.current = run.current < 0 ? 0 : run.current;
    (void)snprintf(run.what, sizeof run.what, "signal %d in thread %c", sig, 'a' + run.current);
    run.failed = true;
    search_abandon();
}

void report_crashes(void)
{
    static char stack[64 * 1024];
    const stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack};
    (void)sigaltstack(&alt, NULL);
    struct sigaction act = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER};
    const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)sigaction(signals[i], &act, NULL);
    }
}

/** The scenario as the environment wants it; true: it was a replay, and is over. */
static bool prepare(const struct explore_scenario *from, struct explore_scenario *ret)
{
    *ret = *from;
    const char *bound = getenv("SLEY_EXPLORE_BOUND"), *schedule = getenv("SLEY_EXPLORE_REPLAY");
    if (from->preemptions && bound) {
        ret->preemptions = strcmp(bound, "all") == 0 ? 0 : from->preemptions + (unsigned)strtoul(bound, NULL, 10);
    }
    if (schedule) {
        explore_replay(ret, schedule);
    }
    return schedule != NULL;
}

static void note(const char *name, const struct explore_scenario *s, const struct explore_result *r)
{
    char bound[48] = "every order";
    if (s->preemptions) {
        (void)snprintf(bound, sizeof bound, "at most %u preemptions", s->preemptions);
    }
    harness_note("%s: %s, %s: %llu executions and %llu redundant, longest %u steps, %.1f s%s", name, s->tso ? "TSO" : "SC", bound,
                 (unsigned long long)r->executions, (unsigned long long)r->redundant, r->longest, r->seconds,
                 r->exhausted ? ", exhausted"
                 : r->found   ? ""
                              : ", NOT exhausted");
}

void explore_exhaust(const char *name, const struct explore_scenario *scenario)
{
    struct explore_scenario s;
    struct explore_result r;
    if (prepare(scenario, &s)) {
        return;
    }
    explore_run(&s, &r);
    note(name, &s, &r);
    if (r.found) {
        explore_replay(&s, r.schedule);
        FAIL("%s: %s; schedule %s", name, r.what, r.schedule);
    }
    if (!r.exhausted) {
        FAIL("%s: not exhausted after %llu executions", name, (unsigned long long)(r.executions + r.redundant));
    }
}

void explore_find(const char *name, const struct explore_scenario *scenario, const char *what)
{
    struct explore_scenario s;
    struct explore_result r;
    if (prepare(scenario, &s)) {
        return;
    }
    explore_run(&s, &r);
    note(name, &s, &r);
    if (!r.found) {
        FAIL("%s: the planted bug was not found", name);
    }
    harness_note("%s: found \"%s\" by %s", name, r.what, r.schedule);
    explore_replay(&s, r.schedule);
    if (!strstr(r.what, what)) {
        FAIL("%s: found \"%s\", not \"%s\"", name, r.what, what);
    }
}
