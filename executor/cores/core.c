/* A worker: its thread, and what it does when it is asked. */
#include "core.h"

#include <stdio.h>
#include <string.h>

/** The core that this thread is; nothing else is kept per thread. */
static SLEY__TLS struct sley_core *here;

struct sley_core *sley__core_here(void)
{
    return here;
}

void sley__cores_ring(struct sley_cores_state *st)
{
    /* release: publishes what this is rung for to the driver, which takes the ring in (sley__cores_listen) */
    if (atomic_exchange_explicit(&st->bell, 1, memory_order_release) == 0) {
        sley__cores_wake(&st->bell);
    }
}

void sley__core_moved(struct sley_core *c)
{
    /* release: after what has arrived; pairs with count_moves, which a core's answer, later than this, has led to */
    (void)atomic_fetch_add_explicit(&c->moves, 1, memory_order_release);
}

/* ---- asking and answering --------------------------------------------------------------------------------------------- */

static void look_at_watched(struct sley_core *c)
{
    /* acquire: observes the task; pairs with wait_task (driver.c), which takes the watch back before it lets the task go. A task ends
     * and is freed on this thread alone, so it is there as long as this function runs. */
    const struct sley_task *t = atomic_load_explicit(&c->watched, memory_order_acquire);
    if (t && sley_task_done(t)) {
        /* relaxed: ring publishes; no plain store, since the driver may have seen the end by itself and watch another one now */
        (void)atomic_compare_exchange_strong_explicit(&c->watched, &t, NULL, memory_order_relaxed, memory_order_relaxed);
        sley__cores_ring(c->all);
    }
}

static void asked(struct sley_post *post)
{
    struct sley_core *c = sley_container_of(post, struct sley_core, post);
    /* acq_rel: acquires what the driver has set before it asked; releases the post for the next time */
    const uint32_t word = atomic_exchange_explicit(&c->asks, 0, memory_order_acq_rel);
    const uint32_t round = word >> SLEY__ASK_BITS;
    if (word & SLEY__ASK_WATCH) {
        look_at_watched(c);
    }
    if (word & SLEY__ASK_STOP) {
        sley_sched_stop(c->sched);
    }
    if (word & SLEY__ASK_CLOSE) {
        (void)sley_sched_abandon(c->sched);
    }
    if (word & SLEY__ASK_REPORT) {
        sley_sched_report_left(c->sched, true);
    }
    c->is_ending |= (word & SLEY__ASK_END) != 0;
    c->quiet_due = word & SLEY__ASK_QUIET ? round : c->quiet_due;
    c->answer_due = word & SLEY__ASK_ANSWER ? round : c->answer_due;
    if (c->is_ending || c->quiet_due || c->answer_due) {
        c->sched->ops->ring(c->sched); /* or it would go to sleep right after this */
    }
}

void sley__core_ask(struct sley_core *c, uint32_t bits, uint32_t round)
{
    /* relaxed: the exchange below looks again */
    uint32_t word = atomic_load_explicit(&c->asks, memory_order_relaxed);
    uint32_t next;
    do {
        next = (word & ((1u << SLEY__ASK_BITS) - 1)) | bits | round << SLEY__ASK_BITS;
        /* acq_rel: publishes what goes with the question; acquires the post from the worker that cleared the word */
    } while (!atomic_compare_exchange_weak_explicit(&c->asks, &word, next, memory_order_acq_rel, memory_order_relaxed));
    if (word == 0) {
        c->post.fn = asked;
        (void)sley_sched_post(c->sched, &c->post);
    }
}

/**
 * How many tasks there are, those included that have been posted before the question: it may have overtaken them, as the post
 * that carried it may have been sent for an earlier one.
 */
static uint32_t count_live(struct sley_core *c)
{
    bool more = true;
    while (more && c->sched->root->live_count == 0) {
        more = sley_sched_drain(c->sched);
    }
    return c->sched->root->live_count;
}

static void answer(struct sley_core *c)
{
    const uint32_t live = count_live(c);
    if (c->quiet_due && live == 0) {
        /* release: what its tasks have done, their moves too; pairs with wait_for in driver.c */
        atomic_store_explicit(&c->quiet, c->quiet_due, memory_order_release);
        c->quiet_due = 0;
    } else if (!c->answer_due) {
        return;
    }
    if (c->answer_due) {
        /* relaxed: `answered` publishes it */
        atomic_store_explicit(&c->live, live, memory_order_relaxed);
        /* release: the same, and whether it is quiet; pairs with wait_for in driver.c */
        atomic_store_explicit(&c->answered, c->answer_due, memory_order_release);
        c->answer_due = 0;
    }
    sley__cores_ring(c->all);
}

/** After each batch: what has become of what was asked. Returns whether to go on. */
static bool go_on(void *arg)
{
    struct sley_core *c = arg;
    /* relaxed: only whether there is one; when the driver sets it the question that follows makes this worker look */
    if (atomic_load_explicit(&c->watched, memory_order_relaxed)) {
        look_at_watched(c);
    }
    if (SLEY_UNLIKELY(c->answer_due || c->quiet_due)) {
        answer(c);
    }
    return !c->is_ending;
}

/* ---- the thread --------------------------------------------------------------------------------------------------------- */

static void report_in(const struct sley_core *c, enum sley_report_kind kind, const char *text, char *line, size_t bytes)
{
    char digits[11];
    size_t len = 5, i = sizeof digits;
    memcpy(line, "core ", len);
    uint32_t n = c->index;
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    while (i < sizeof digits) {
        line[len++] = digits[i++];
    }
    line[len++] = ':';
    line[len++] = ' ';
    while (*text && len + 1 < bytes) {
        line[len++] = *text++;
    }
    line[len] = '\0';
    c->all->config.report(c->all->config.report_arg, kind, line);
}

static SLEY_NOINLINE void report_long(const struct sley_core *c, enum sley_report_kind kind, const char *text)
{
    char line[6144]; /* with a backtrace; from threads that have room for it */
    report_in(c, kind, text, line, sizeof line);
}

/** Puts "core N: " before a text; may run in a signal handler (a stack has overflowed), or on a fiber's stack. */
static void report(void *arg, enum sley_report_kind kind, const char *text)
{
    char line[600];
    if (strlen(text) + sizeof "core 4294967295: " > sizeof line) {
        report_long(arg, kind, text);
    } else {
        report_in(arg, kind, text, line, sizeof line);
    }
}

static int pin(const struct sley_core *c)
{
    const int rc = sley_plan_pin(&c->all->plan, c->index);
    if (rc < 0) {
        (void)snprintf(c->all->why, sizeof c->all->why, "its thread cannot be pinned to CPU %d (errno %d)", c->cpu, -rc);
    }
    return rc;
}

static int start(struct sley_core *c)
{
    struct sley_executor_config config = c->all->config;
    int rc = pin(c); /* first: memory comes from where it is first touched */
    if (rc < 0) {
        return rc;
    }
    config.worker_count = 1;
    config.report = config.report ? report : NULL;
    config.report_arg = c;
    config.ret_error = c->all->why;
    config.error_bytes = sizeof c->all->why;
    sley_local_init(&c->local);
    rc = c->local.base.ops->start(&c->local.base, &config);
    c->sched = rc == 0 ? c->local.base.ops->sched(&c->local.base) : NULL;
    return rc;
}

void *sley__core_main(void *arg)
{
    struct sley_core *c = arg;
    struct sley_cores_state *st = c->all;
    here = c;
    c->start_rc = start(c);
    const bool good = c->start_rc == 0;
    /* release: publishes start_rc, sched and the text; pairs with start_core in cores.c. Without a sched the core may go now. */
    atomic_store_explicit(&c->started, 1, memory_order_release);
    sley__cores_ring(st);
    if (!good) {
        return NULL;
    }
    uint32_t gate;
    /* acquire: observes that all have started; pairs with open_gate */
    while ((gate = atomic_load_explicit(&st->gate, memory_order_acquire)) == SLEY__GATE_SHUT) {
        sley__cores_wait(&st->gate, SLEY__GATE_SHUT, SLEY_NEVER);
    }
    if (gate == SLEY__GATE_OPEN) {
        (void)sley_local_run_while(&c->local, go_on, c);
    }
    (void)c->local.base.ops->fini(&c->local.base); /* here, since the reactor is this thread's */
    return NULL;
}
