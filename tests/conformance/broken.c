/* The table in front of a good reactor, and the test: the kit names the clause that is broken, and no other. */
#include "broken.h"

#include <stdio.h>
#include <string.h>

#include <sley/conformance.h>

#include "conformance/reactor_clauses.h"
#include "examples/reactor_select.h"
#include "harness.h"

struct memory mind;
static struct sley_reactor_ops table;
static const struct broken *now;

/* What the op's own `end` is stands where the layer above would want a count, which the kit's ops have no use for. */
union saved {
    int32_t (*end)(struct sley_io_op *op, int32_t result);
    size_t *ret_done;
};

static void forget(const struct sley_io_op *op)
{
    struct sley_io_op **places[] = {&mind.op, &mind.recv, &mind.accept, &mind.poll};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        *places[i] = *places[i] == op ? NULL : *places[i];
    }
}

static int32_t on_end(struct sley_io_op *op, int32_t result)
{
    const union saved saved = {.ret_done = op->ret_done};
    op->end = saved.end;
    op->ret_done = NULL;
    forget(op);
    mind.ended = op;
    mind.ends++;
    if (result == -ECANCELED && mind.result) {
        result = mind.result;
    }
    if (now->end) {
        result = now->end(op, result);
    }
    return op->end ? op->end(op, result) : result;
}

static int on_adopt(struct sley_reactor *self, struct sley_fd *fd)
{
    const int rc = mind.real.adopt(self, fd);
    return now->adopt ? now->adopt(fd, rc) : rc;
}

static void on_submit(struct sley_reactor *self, struct sley_io_op *op)
{
    const uint32_t armed = self->armed_count;
    mind.looks = 0;
    mind.hook_starts += mind.polled != NULL;
    if (op->code != SLEY_IO_CLOSE) {
        const union saved saved = {.end = op->end};
        op->ret_done = saved.ret_done;
        op->end = on_end;
    }
    if (now->submit && now->submit(self, op)) {
        return;
    }
    mind.real.submit(self, op);
    if (self->armed_count > armed && !sley_wait_done(&op->wait)) {
        mind.op = op;
        mind.recv = op->code == SLEY_IO_RECV ? op : mind.recv;
        mind.accept = op->code == SLEY_IO_ACCEPT ? op : mind.accept;
        mind.poll = op->code == SLEY_IO_POLL && !mind.poll ? op : mind.poll;
        if (now->submitted) {
            now->submitted(self, op);
        }
    }
}

static void on_cancel(struct sley_reactor *self, struct sley_io_op *op)
{
    mind.cancelling = true;
    if (now->cancel) {
        now->cancel(self, op);
    }
    mind.real.cancel(self, op);
    mind.cancelling = false;
}

static int on_poll(struct sley_reactor *self, uint64_t timeout_ns)
{
    int n = 0;
    mind.polls++;
    mind.looks = timeout_ns == 0 ? mind.looks + 1 : 0;
    if (now->poll && now->poll(self, &timeout_ns, &n)) {
        return n;
    }
    struct sley_reactor *outer = mind.polled;
    mind.polled = self;
    n = mind.real.poll(self, timeout_ns);
    mind.polled = outer;
    return now->polled ? now->polled(self, timeout_ns, n) : n;
}

static void on_wake(struct sley_reactor *self)
{
    if (!now->wake || !now->wake(self)) {
        mind.real.wake(self);
    }
}

static void on_destroy(struct sley_reactor *self)
{
    if (now->destroy) {
        now->destroy(self);
    }
    mind.reactors[0] = mind.reactors[0] == self ? mind.reactors[1] : mind.reactors[0];
    mind.reactors[1] = NULL;
    mind.real.destroy(self);
}

static int on_create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    const struct sley_reactor_factory *base = now->base ? now->base : &reactor_select;
    const int rc = base->create(o, ret_reactor);
    if (rc == 0) {
        struct sley_reactor *r = *ret_reactor;
        if (!mind.real.version) {
            mind.number = mind.spare = -1;
            mind.real = *r->ops;
            table = *r->ops;
            table.adopt = on_adopt;
            table.submit = on_submit;
            table.cancel = on_cancel;
            table.poll = on_poll;
            table.wake = on_wake;
            table.destroy = on_destroy;
            if (now->table) {
                now->table(&table);
            }
        }
        r->ops = &table;
        mind.reactors[mind.reactors[0] != NULL] = r;
        mind.polls = 0;
        mind.spare = mind.spare < 0 ? -1 : mind.spare;
    }
    return now->create ? now->create(rc) : rc;
}

const struct sley_reactor_factory *broken_factory(const struct broken *broken)
{
    static const struct sley_reactor_factory factory = {.version = SLEY_REACTOR_VERSION, .name = "broken", .create = on_create};
    memset(&mind, 0, sizeof mind);
    now = broken;
    return &factory;
}

/* ---- the test ---------------------------------------------------------------------------------------------------------- */

enum { EFFORT = 2 }; /* percent */

struct found {
    const char *clause;
    unsigned named;
    char others[2048];
};

static void judge(void *arg, const struct sley_clause *clause, enum sley_verdict verdict, const char *why)
{
    struct found *f = arg;
    if (verdict != SLEY_VERDICT_BROKEN) {
        return;
    }
    if (strcmp(clause->name, f->clause) == 0) {
        f->named++;
    } else {
        const size_t len = strlen(f->others);
        (void)snprintf(f->others + len, sizeof f->others - len, "\n  %s: %s", clause->name, why);
    }
}

static void try_broken(const char *clause)
{
    struct found f = {.clause = clause};
    const struct sley_conformance_opts o = {.verdict = judge, .arg = &f, .timeout_ms = 1500, .effort = EFFORT};
    for (size_t i = 0; i < broken_count; i++) {
        if (strcmp(broken_reactors[i].clause, clause) == 0) {
            const int rc = sley_conformance_run_reactor(broken_factory(&broken_reactors[i]), &o, NULL);
            CHECK_INT(rc, >=, 0);
            CHECK_STR(f.others, "");
            CHECK_UINT(f.named, ==, 1);
            return;
        }
    }
    FAIL("nothing breaks %s", clause);
}

SLEY_TEST(every_clause_has_a_reactor_that_breaks_it, "")
{
    size_t count = 0;
    const struct sley_clause *clauses = sley_conformance_reactor_clauses(&count);
    CHECK_UINT(broken_count, ==, count);
    for (size_t i = 0; i < count; i++) {
        CHECK_STR(broken_reactors[i].clause, clauses[i].name);
    }
}

#define BROKEN_TEST(how, name, sentence)                                                           \
    SLEY_TEST_SECONDS(name##_broken_is_named_alone, "", 300)                                       \
    {                                                                                              \
        try_broken(#name);                                                                         \
    }
SLEY__REACTOR_CLAUSES(BROKEN_TEST)
