/* The table in front of a good reactor, and the test: the kit names the clause that is broken, and no other. */
#include "broken.h"

#include <pthread.h>
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
    mind.adopting = self;
    return now->adopt ? now->adopt(fd, rc) : rc;
}

static void on_submit(struct sley_reactor *self, struct sley_io_op *op)
{
    const uint32_t armed = self->armed_count;
    mind.looks = 0;
    mind.hook_starts += mind.polled != NULL;
    if (op->code != SLEY_IO_CLOSE && op->end != on_end) { /* one that has waited in line comes again */
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
    if (now->cancelled) {
        now->cancelled(self);
    }
}

/* ---- file ops ---------------------------------------------------------------------------------------------------------- */

static int32_t on_file_end(struct sley_io_op *io, int32_t result)
{
    const union saved saved = {.ret_done = io->ret_done};
    io->end = saved.end;
    io->ret_done = NULL;
    mind.ends++;
    if (now->file_end) {
        result = now->file_end(sley_file_of(io), result);
    }
    return io->end ? io->end(io, result) : result;
}

static void on_submit_file(struct sley_reactor *self, struct sley_file_op *op)
{
    const union saved saved = {.end = op->io.end};
    op->io.ret_done = saved.ret_done;
    op->io.end = on_file_end;
    if (now->file && now->file(self, op)) {
        return;
    }
    if (mind.real.submit_file) {
        mind.real.submit_file(self, op);
    } else {
        sley_file_generic(self, op);
    }
}

/* ---- waiting ----------------------------------------------------------------------------------------------------------- */

static int on_serve(struct sley_reactor *self)
{
    int n = 0;
    return now->serve && now->serve(self, &n) ? n : mind.real.serve(self);
}

/** Of a shared one: several threads are about, and the rest of the mind is for one. */
static int poll_shared(struct sley_reactor *self, uint64_t timeout_ns)
{
    if (sley_reactor_armed(self) || timeout_ns == SLEY_NEVER) {
        /* relaxed: it only says that there is one */
        atomic_store_explicit(&mind.has_owner, !pthread_equal(mind.creator, pthread_self()), memory_order_relaxed);
    }
    /* relaxed: the thread's own, or nothing is kept back */
    if (atomic_exchange_explicit(&mind.rung, false, memory_order_relaxed)) {
        mind.real.wake(self);
    }
    return mind.real.poll(self, timeout_ns);
}

static int on_poll(struct sley_reactor *self, uint64_t timeout_ns)
{
    int n = 0;
    if (self->shared) {
        return poll_shared(self, timeout_ns);
    }
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
    struct sley_reactor_opts opts = *o;
    opts.alloc = now->alloc ? now->alloc(o->alloc) : o->alloc;
    const int rc = base->create(&opts, ret_reactor);
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
            table.submit_file = on_submit_file;
            table.serve = table.serve ? on_serve : NULL;
            mind.creator = pthread_self();
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

/** The one that breaks @p clause. */
static const struct broken *find(const char *clause)
{
    const struct {
        const struct broken *all;
        size_t count;
    } lists[] = {{broken_sockets, broken_sockets_count},
                 {broken_waits, broken_waits_count},
                 {broken_files, broken_files_count},
                 {broken_homes, broken_homes_count},
                 {broken_direct, broken_direct_count}};
    const struct broken *found = NULL;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t k = 0; k < lists[i].count; k++) {
            if (strcmp(lists[i].all[k].clause, clause) == 0) {
                CHECK(found == NULL);
                found = &lists[i].all[k];
            }
        }
    }
    return found;
}

struct skipped {
    const char *clause;
    bool yes;
    char why[256];
};

static void note_skip(void *arg, const struct sley_clause *clause, enum sley_verdict verdict, const char *why)
{
    struct skipped *s = arg;
    if (strcmp(clause->name, s->clause) == 0) {
        s->yes = verdict == SLEY_VERDICT_SKIPPED;
        (void)snprintf(s->why, sizeof s->why, "%s", why);
    }
}

/** Direct descriptors are what some reactors have: where the good one has none, or does not start, there is nothing to break. */
static void skip_without_table(const char *clause, const struct sley_reactor_factory *base)
{
    struct sley_reactor *r;
    struct skipped s = {.clause = clause};
    const char *const only[] = {clause, NULL};
    const struct sley_conformance_opts o = {.only = only, .verdict = note_skip, .arg = &s, .effort = EFFORT};
    const int rc = base->create(&(struct sley_reactor_opts){.alloc = harness_alloc()}, &r);
    if (rc < 0) {
        SKIP("the kernel has no io_uring for this process");
    }
    r->ops->destroy(r);
    CHECK_INT(sley_conformance_run_reactor(base, &o, NULL), ==, 0);
    if (s.yes) {
        SKIP("%s", s.why);
    }
}

static void try_broken(const char *clause)
{
    struct found f = {.clause = clause};
    const uint32_t timeout_ms = harness_slowness() > 1 ? 400 : 1500; /* sanitizers get ten times as much */
    const struct sley_conformance_opts o = {.verdict = judge, .arg = &f, .timeout_ms = timeout_ms, .effort = EFFORT};
    const struct broken *broken = find(clause);
    if (!broken) {
        FAIL("nothing breaks %s", clause);
    }
    if (strncmp(clause, "direct_", 7) == 0) {
        skip_without_table(clause, broken->base ? broken->base : &reactor_select);
    }
    const int rc = sley_conformance_run_reactor(broken_factory(broken), &o, NULL);
    CHECK_INT(rc, >=, 0);
    CHECK_STR(f.others, "");
    CHECK_UINT(f.named, ==, 1);
}

SLEY_TEST(every_clause_has_a_reactor_that_breaks_it, "")
{
    size_t count = 0;
    const struct sley_clause *clauses = sley_conformance_reactor_clauses(&count);
    CHECK_UINT(broken_sockets_count + broken_waits_count + broken_files_count + broken_homes_count + broken_direct_count, ==, count);
    for (size_t i = 0; i < count; i++) {
        if (!find(clauses[i].name)) {
            FAIL("nothing breaks %s", clauses[i].name);
        }
    }
}

#define BROKEN_TEST(how, name, sentence)                     \
    SLEY_TEST_SECONDS(name##_broken_is_named_alone, "", 300) \
    {                                                        \
        try_broken(#name);                                   \
    }
PART(BROKEN_TEST) /* of the clauses, as meson says: several programs, so that one hang is not waited for by all */
