/* A user of sley-conformance: who writes a reactor lists the clauses, and tries one that makes none. */
#include <sley/conformance.h>

#include <stdio.h>
#include <string.h>

static int refuse(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    (void)o, (void)ret_reactor;
    return -ENOTSUP;
}

static void judge(void *arg, const struct sley_clause *clause, enum sley_verdict verdict, const char *why)
{
    int *broken = arg;
    *broken += verdict == SLEY_VERDICT_BROKEN && clause->sentence && why[0];
}

int main(void)
{
    static const struct sley_reactor_factory none = {SLEY_REACTOR_VERSION, "none", refuse};
    static const char *const only[] = {"table_*", "close_*", NULL};
    size_t count = 0;
    int broken = 0;
    const struct sley_conformance_opts o = {.only = only, .verdict = judge, .arg = &broken};
    struct sley_conformance_count counted;
    const struct sley_clause *clauses = sley_conformance_reactor_clauses(&count);
    if (count < 50 || strcmp(clauses[0].name, "table_is_complete") != 0) {
        return 1;
    }
    const int rc = sley_conformance_run_reactor(&none, &o, &counted);
    if (rc < 2 || rc != broken || counted.broken != (unsigned)rc || counted.kept != 0) {
        return 1;
    }
    (void)sley_conformance_executor_clauses(&count);
    if (count < 30 || sley_conformance_run_executor(NULL, &o, NULL) != -EINVAL) {
        return 1;
    }
    puts("works");
    return 0;
}
