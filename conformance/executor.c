/* The clauses of executors as a table. */
#include "suite.h"

enum needs { ANY, DRIVEN, WORKERS };

static const struct sley_conformance_executor *under_test;

#define CLAUSE_TEXT(needs, name, sentence) {#name, sentence},
static const struct sley_clause clauses[] = {SLEY__EXECUTOR_CLAUSES(CLAUSE_TEXT)};

#define CLAUSE_BODY(needs, name, sentence) {needs, sley__clause_##name},
static const struct {
    enum needs needs;
    void (*fn)(const struct sley_conformance_executor *x);
} bodies[] = {SLEY__EXECUTOR_CLAUSES(CLAUSE_BODY)};

static bool has_workers(void)
{
    struct sley_executor *ex = under_test->create();
    CHECK_PTR(ex, !=, NULL);
    CHECK_RC(sley_executor_check(ex->ops), 0);
    const bool has = ex->ops->caps & SLEY_EXECUTOR_CAP_WORKERS;
    under_test->destroy(ex);
    return has;
}

static void warm_up(void)
{
    const struct sley_executor_config config = {.reactors = under_test->reactors};
    struct sley_reactor *r = NULL;
    if (sley_executor_make_reactor(&config, sley__kit_alloc(), &r) == 0 && r) {
        r->ops->destroy(r);
    }
}

static void run(const struct sley__kit_suite *self, size_t index)
{
    (void)self;
    const bool workers = has_workers();
    if (bodies[index].needs == DRIVEN && workers) {
        SKIP("it has workers");
    }
    if (bodies[index].needs == WORKERS && !workers) {
        SKIP("it has no workers");
    }
    bodies[index].fn(under_test);
}

const struct sley_clause *sley_conformance_executor_clauses(size_t *ret_count)
{
    if (ret_count) {
        *ret_count = sizeof clauses / sizeof clauses[0];
    }
    return clauses;
}

int sley_conformance_run_executor(const struct sley_conformance_executor *executor, const struct sley_conformance_opts *o,
                                  struct sley_conformance_count *ret_count)
{
    if (!executor || !executor->create || !executor->destroy) {
        return -EINVAL;
    }
    under_test = executor;
    const struct sley__kit_suite suite = {
        .subject = executor->name ? executor->name : "an executor without a name",
        .clauses = clauses,
        .count = sizeof clauses / sizeof clauses[0],
        .warm_up = warm_up,
        .run = run,
    };
    return sley__kit_run(&suite, o, ret_count);
}
