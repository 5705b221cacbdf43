/* The driver: one thread at a time asks the cores, and waits for their answers (see core.h). What run, halt and stop of the table do. */
#include "core.h"

#include <stdio.h>

/* How long a core that was asked may take to come to it, beyond the caller's deadline, before it counts as stuck. */
#define PATIENCE_NS SLEY_S

int sley__cores_enter(struct sley_cores_state *st)
{
    const int rc = st ? sley_sched_may_drive() : -EINVAL;
    if (rc < 0) {
        return rc;
    }
    /* acquire: observes what the driver before has asked; pairs with sley__cores_leave */
    return atomic_exchange_explicit(&st->driving, 1, memory_order_acquire) ? -EBUSY : 0;
}

void sley__cores_leave(struct sley_cores_state *st)
{
    /* release: pairs with sley__cores_enter */
    atomic_store_explicit(&st->driving, 0, memory_order_release);
}

static bool take_halt(struct sley_cores_state *st)
{
    /* relaxed: a hint. acquire: who halts holds a core; pairs with sley__cores_halt */
    return atomic_load_explicit(&st->halted, memory_order_relaxed) && atomic_exchange_explicit(&st->halted, 0, memory_order_acquire);
}

void sley__cores_listen(struct sley_cores_state *st)
{
    /* acquire: observes what was rung for; pairs with sley__cores_ring */
    (void)atomic_exchange_explicit(&st->bell, 0, memory_order_acquire);
}

static bool has_passed(uint64_t deadline_ns)
{
    return deadline_ns != SLEY_NEVER && deadline_ns <= sley__cores_now_ns();
}

/** A deadline of the configured clock as one of the system's, in which a thread waits. */
static uint64_t real_deadline(const struct sley_cores_state *st, uint64_t deadline_ns)
{
    struct sley_clock *clock = st->config.clock;
    if (!clock || deadline_ns == SLEY_NEVER) {
        return deadline_ns;
    }
    const uint64_t now = clock->now_ns(clock), left = deadline_ns > now ? deadline_ns - now : 0, real = sley__cores_now_ns();
    return left < SLEY_NEVER - real ? real + left : SLEY_NEVER;
}

static void next_round(struct sley_cores_state *st)
{
    st->round = st->round % ((1u << (32 - SLEY__ASK_BITS)) - 1) + 1; /* never 0 */
}

void sley__cores_ask(struct sley_cores_state *st, uint32_t bits)
{
    next_round(st);
    for (uint32_t i = 0; i < st->plan.count; i++) {
        sley__core_ask(&st->cores[i], bits, st->round);
    }
}

/** Which of a core's words is waited for. */
enum word { ANSWERED, QUIET };

/** Waits until a core has stored this round. Returns: 0; -ETIMEDOUT; -ECANCELED (only @p with_halt). */
static int wait_for(struct sley_cores_state *st, const struct sley_core *c, enum word which, uint64_t real_ns, bool with_halt)
{
    for (;;) {
        sley__cores_listen(st);
        /* acquire: observes what the core has done; pairs with answer in core.c */
        if (atomic_load_explicit(which == QUIET ? &c->quiet : &c->answered, memory_order_acquire) == st->round) {
            return 0;
        }
        if (with_halt && take_halt(st)) {
            return -ECANCELED;
        }
        if (has_passed(real_ns)) {
            return -ETIMEDOUT;
        }
        sley__cores_wait(&st->bell, 0, real_ns);
    }
}

/** As wait_for, for every core. */
static int wait_for_all(struct sley_cores_state *st, enum word which, uint64_t real_ns, bool with_halt)
{
    int rc = 0;
    for (uint32_t i = 0; i < st->plan.count && rc == 0; i++) {
        rc = wait_for(st, &st->cores[i], which, real_ns, with_halt);
    }
    return rc;
}

static uint64_t count_moves(const struct sley_cores_state *st)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < st->plan.count; i++) {
        /* acquire: what was counted has arrived; pairs with sley__core_moved */
        n += atomic_load_explicit(&st->cores[i].moves, memory_order_acquire);
    }
    return n;
}

/** Past a deadline: lets the cores come to it, each runs a batch; then what they have said by then counts. */
static int last_look(struct sley_cores_state *st)
{
    (void)wait_for_all(st, ANSWERED, sley__cores_now_ns() + PATIENCE_NS, false);
    return wait_for_all(st, QUIET, 0, false);
}

/** Waits until no task is left on any core: see core.h. @p bits are asked along. */
static int wait_quiet(struct sley_cores_state *st, uint32_t bits, uint64_t real_ns, bool with_halt)
{
    for (;;) {
        const uint64_t before = count_moves(st);
        sley__cores_ask(st, bits | SLEY__ASK_ANSWER | SLEY__ASK_QUIET);
        int rc = wait_for_all(st, QUIET, real_ns, with_halt);
        if (rc == -ETIMEDOUT) {
            rc = last_look(st);
        }
        if (rc < 0 || count_moves(st) == before) {
            return rc;
        }
    }
}

static struct sley_core *core_of(struct sley_cores_state *st, const struct sley_task *t)
{
    for (uint32_t i = 0; i < st->plan.count; i++) {
        if (st->cores[i].sched == t->sched) {
            return &st->cores[i];
        }
    }
    return NULL;
}

static int wait_task(struct sley_cores_state *st, const struct sley_task *t)
{
    struct sley_core *c = core_of(st, t);
    int rc = 0;
    if (!c) {
        return -EINVAL;
    }
    /* release: publishes nothing of its own; the question makes the worker look, pairs with look_at_watched */
    atomic_store_explicit(&c->watched, t, memory_order_release);
    sley__core_ask(c, SLEY__ASK_WATCH, 0);
    for (;;) {
        sley__cores_listen(st);
        if (sley_task_done(t)) {
            break;
        }
        if (take_halt(st)) {
            rc = -ECANCELED;
            break;
        }
        sley__cores_wait(&st->bell, 0, SLEY_NEVER);
    }
    /* release: whoever lets the task go later does so on the worker's thread, after it has seen this */
    atomic_store_explicit(&c->watched, NULL, memory_order_release);
    return rc;
}

int sley__cores_run(struct sley_executor *ex, const struct sley_task *until)
{
    struct sley_cores_state *st = sley__cores_of(ex)->state;
    int rc = sley__cores_enter(st);
    if (rc == 0) {
        rc = until ? wait_task(st, until) : wait_quiet(st, 0, SLEY_NEVER, true);
        sley__cores_leave(st);
    }
    return rc;
}

void sley__cores_halt(struct sley_executor *ex)
{
    struct sley_cores_state *st = sley__cores_of(ex)->state;
    if (st) {
        sley_sched_hold(st->cores[0].sched); /* who is halted may end all at once, and then waits until this thread has rung */
        /* release: that it is held; pairs with take_halt. The ring makes the driver look */
        atomic_store_explicit(&st->halted, 1, memory_order_release);
        sley__cores_ring(st);
        sley_sched_unhold(st->cores[0].sched);
    }
}

/** Who is left, core by core, so that reports do not mix. A core that has not answered is left out, and that is said. */
static void report_left(struct sley_cores_state *st)
{
    char text[128];
    const uint32_t asked = st->round;
    next_round(st);
    for (uint32_t i = 0; i < st->plan.count; i++) {
        struct sley_core *c = &st->cores[i];
        /* acquire: pairs with answer in core.c */
        if (atomic_load_explicit(&c->answered, memory_order_acquire) == asked) {
            sley__core_ask(c, SLEY__ASK_REPORT | SLEY__ASK_ANSWER, st->round);
            (void)wait_for(st, c, ANSWERED, sley__cores_now_ns() + PATIENCE_NS, false);
        } else if (st->config.report) {
            (void)snprintf(text, sizeof text, "core %u: does not answer; what runs there does not wait", c->index);
            st->config.report(st->config.report_arg, SLEY_REPORT_LEFT, text);
        }
    }
}

int sley__cores_stop(struct sley_executor *ex, uint64_t drain_deadline_ns)
{
    struct sley_cores_state *st = sley__cores_of(ex)->state;
    int rc = sley__cores_enter(st);
    if (rc < 0) {
        return rc;
    }
    const uint64_t real_ns = real_deadline(st, drain_deadline_ns);
    /* relaxed: a request; a spawn that does not see it yet is cancelled on arrival */
    atomic_store_explicit(&st->refuses, 1, memory_order_relaxed);
    rc = wait_quiet(st, SLEY__ASK_STOP, real_ns, false);
    if (rc < 0) {
        report_left(st);
    } else {
        /* release: all tasks are done; pairs with sley_run_on_start */
        atomic_store_explicit(&st->ended, 1, memory_order_release);
    }
    sley__cores_leave(st);
    return rc;
}

bool sley__cores_busy(struct sley_cores_state *st, uint32_t bits)
{
    sley__cores_ask(st, bits | SLEY__ASK_ANSWER);
    bool busy = wait_for_all(st, ANSWERED, sley__cores_now_ns() + PATIENCE_NS, false) < 0;
    for (uint32_t i = 0; i < st->plan.count; i++) {
        /* relaxed: published by the answer */
        busy |= atomic_load_explicit(&st->cores[i].live, memory_order_relaxed) > 0;
    }
    return busy;
}
