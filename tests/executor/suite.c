/* A clause of the kit as a case of this harness. */
#include "suite.h"

#include <stdio.h>

#include <sley/reactor_poll.h>

const struct sley_reactor_factory *const suite_epoll[] = {&sley_reactor_epoll, NULL};
const struct sley_reactor_factory *const suite_poll[] = {&sley_reactor_poll2, NULL};

struct found {
    enum sley_verdict verdict;
    char why[1200];
};

static void keep(void *arg, const struct sley_clause *clause, enum sley_verdict verdict, const char *why)
{
    struct found *f = arg;
    (void)clause;
    f->verdict = verdict;
    (void)snprintf(f->why, sizeof f->why, "%s", why);
}

void suite_try(const struct suite_executor *x, const char *clause)
{
    struct found f = {.verdict = SLEY_VERDICT_KEPT};
    const char *const only[] = {clause, NULL};
    const struct sley_conformance_opts o = {
        .only = only,
        .seed = harness_rand() | 1,
        .timeout_ms = 1 << 30, /* the harness has a limit of its own */
        .verdict = keep,
        .arg = &f,
    };
    CHECK_INT(sley_conformance_run_executor(x, &o, NULL), >=, 0);
    if (f.verdict == SLEY_VERDICT_BROKEN) {
        FAIL("%s", f.why);
    } else if (f.verdict == SLEY_VERDICT_SKIPPED) {
        SKIP("%s", f.why);
    }
}
