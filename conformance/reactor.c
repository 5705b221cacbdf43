/* The clauses of reactors as a table, and the factory under test behind one that counts its memory. */
#include "rig.h"

static const struct sley_reactor_factory *under_test;

static int create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    struct sley_reactor_opts counted = *o;
    counted.alloc = sley__kit_alloc();
    return under_test->create(&counted, ret_reactor);
}

const struct sley_reactor_factory sley__rig_factory = {
    .version = SLEY_REACTOR_VERSION,
    .name = "under test",
    .create = create,
};

const struct sley_reactor_factory *sley__rig_given(void)
{
    return under_test;
}

enum how { PLAIN, FIBER };

#define CLAUSE_TEXT(how, name, sentence) {#name, sentence},
static const struct sley_clause clauses[] = {SLEY__REACTOR_CLAUSES(CLAUSE_TEXT)};

#define CLAUSE_BODY(how, name, sentence) {how, sley__clause_##name},
static const struct {
    enum how how;
    void (*fn)(void);
} bodies[] = {SLEY__REACTOR_CLAUSES(CLAUSE_BODY)};

static void warm_up(void)
{
    const struct sley_reactor_opts opts = {0};
    struct sley_reactor *r;
    if (sley__rig_factory.create(&opts, &r) == 0) {
        r->ops->destroy(r);
    }
}

static void run(const struct sley__kit_suite *self, size_t index)
{
    (void)self;
    if (bodies[index].how == FIBER) {
        sley__rig_run(bodies[index].fn);
    } else {
        bodies[index].fn();
    }
}

const struct sley_clause *sley_conformance_reactor_clauses(size_t *ret_count)
{
    if (ret_count) {
        *ret_count = sizeof clauses / sizeof clauses[0];
    }
    return clauses;
}

int sley_conformance_run_reactor(const struct sley_reactor_factory *factory, const struct sley_conformance_opts *o,
                                 struct sley_conformance_count *ret_count)
{
    if (factory && (factory->version < 1 || factory->version > SLEY_REACTOR_VERSION)) {
        return -ENOTSUP;
    }
    if (!factory || !factory->create) {
        return -EINVAL;
    }
    under_test = factory;
    const struct sley__kit_suite suite = {
        .subject = factory->name ? factory->name : "a reactor without a name",
        .clauses = clauses,
        .count = sizeof clauses / sizeof clauses[0],
        .warm_up = warm_up,
        .run = run,
    };
    return sley__kit_run(&suite, o, ret_count);
}
