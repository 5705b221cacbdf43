/* Local executors, many times: the table. What the workers do is in core.c. */
#include <sley/thread_impl.h>

#include "core.h"

#include <stdio.h>
#include <string.h>

static const char sysfs[] = "/sys/devices/system";

/* How long a core that was asked may take to come to it, beyond the caller's deadline, before it counts as stuck. */
#define PATIENCE_NS SLEY_S

static struct sley_cores *of(struct sley_executor *ex)
{
    return sley_container_of(ex, struct sley_cores, base);
}

/* ---- the driver: one thread at a time asks and waits ---------------------------------------------------------------------- */

/** Becomes the driver. Returns: 0; -EINVAL when it has not started; -EDEADLK inside a runtime; -EBUSY. */
static int enter(struct sley_cores_state *st)
{
    const int rc = st ? sley_sched_may_drive() : -EINVAL;
    if (rc < 0) {
        return rc;
    }
    /* acquire: observes what the driver before has asked; pairs with leave */
    return atomic_exchange_explicit(&st->driving, 1, memory_order_acquire) ? -EBUSY : 0;
}

static void leave(struct sley_cores_state *st)
{
    /* release: pairs with enter */
    atomic_store_explicit(&st->driving, 0, memory_order_release);
}

static bool take_halt(struct sley_cores_state *st)
{
    /* relaxed: a hint. acquire: who halts holds a core; pairs with cores_halt */
    return atomic_load_explicit(&st->halted, memory_order_relaxed) && atomic_exchange_explicit(&st->halted, 0, memory_order_acquire);
}

/** Before the driver looks: takes in every ring up to here, so that what comes after the look ends the wait. */
static void listen(struct sley_cores_state *st)
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

static void ask_all(struct sley_cores_state *st, uint32_t bits)
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
        listen(st);
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
        ask_all(st, bits | SLEY__ASK_ANSWER | SLEY__ASK_QUIET);
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
        listen(st);
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

static int cores_run(struct sley_executor *ex, const struct sley_task *until)
{
    struct sley_cores_state *st = of(ex)->state;
    int rc = enter(st);
    if (rc == 0) {
        rc = until ? wait_task(st, until) : wait_quiet(st, 0, SLEY_NEVER, true);
        leave(st);
    }
    return rc;
}

static void cores_halt(struct sley_executor *ex)
{
    struct sley_cores_state *st = of(ex)->state;
    if (st) {
        sley_sched_hold(st->cores[0].sched); /* who is halted may end all at once, and then waits until this thread has rung */
        /* release: that it is held; pairs with take_halt. The ring makes the driver look */
        atomic_store_explicit(&st->halted, 1, memory_order_release);
        sley__cores_ring(st);
        sley_sched_unhold(st->cores[0].sched);
    }
}

/* ---- stop ------------------------------------------------------------------------------------------------------------------- */

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

static int cores_stop(struct sley_executor *ex, uint64_t drain_deadline_ns)
{
    struct sley_cores_state *st = of(ex)->state;
    int rc = enter(st);
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
    leave(st);
    return rc;
}

/* ---- start and end ------------------------------------------------------------------------------------------------------------ */

static size_t state_bytes(uint32_t count)
{
    return sizeof(struct sley_cores_state) + count * sizeof(struct sley_core);
}

static void open_gate(struct sley_cores_state *st, enum sley__gate gate)
{
    /* release: publishes every core to every worker; pairs with sley__core_main */
    atomic_store_explicit(&st->gate, (uint32_t)gate, memory_order_release);
    sley__cores_wake(&st->gate);
}

/** Starts core @p i up to the gate. */
static int start_core(struct sley_cores_state *st, uint32_t i)
{
    struct sley_core *c = &st->cores[i];
    c->all = st;
    c->index = i;
    c->cpu = st->plan.cpus ? (int32_t)st->plan.cpus[i] : -1;
    const struct sley_thread_opts o = {sley__core_main, c, "sley-core-", i, st->ex->opts.stack_bytes};
    int rc = sley_executor_start_thread(&c->thread, &o);
    if (rc < 0) {
        sley__why_say(&(struct sley__why){st->why, sizeof st->why}, "there is no thread for it (errno %d)", -rc);
        return rc;
    }
    for (;;) {
        listen(st);
        /* acquire: observes what it has set up; pairs with sley__core_main */
        if (atomic_load_explicit(&c->started, memory_order_acquire)) {
            break;
        }
        sley__cores_wait(&st->bell, 0, SLEY_NEVER);
    }
    rc = c->start_rc;
    if (rc < 0) {
        (void)pthread_join(c->thread, NULL);
    }
    return rc;
}

static void state_destroy(struct sley_cores_state *st)
{
    struct sley_alloc libc = st->libc;
    struct sley_alloc *a = st->alloc == &st->libc ? &libc : st->alloc;
    const size_t bytes = state_bytes(st->plan.count);
    sley__plan_fini(&st->plan, a);
    sley_alloc_put(a, st, bytes);
}

/** All, one after the other, up to the gate; or none. */
static int start_all(struct sley_cores_state *st, const struct sley__why *why)
{
    uint32_t n = 0;
    int rc = 0;
    while (n < st->plan.count && (rc = start_core(st, n)) == 0) {
        n++;
    }
    if (rc == 0) {
        open_gate(st, SLEY__GATE_OPEN);
        return 0;
    }
    if (st->why[0]) {
        sley__why_say(why, "core %u: %s", n, st->why);
    } else {
        sley__why_say(why, "core %u did not start (errno %d)", n, -rc);
    }
    open_gate(st, SLEY__GATE_ABORT);
    while (n > 0) {
        (void)pthread_join(st->cores[--n].thread, NULL);
    }
    return rc;
}

static int cores_start(struct sley_executor *base, const struct sley_executor_config *config)
{
    struct sley_cores *ex = of(base);
    const struct sley__why why = {config->ret_error, config->error_bytes};
    struct sley_alloc libc = {0};
    struct sley__plan plan;
    struct sley__cpus allowed;
    int rc = config->alloc ? 0 : sley_alloc_libc_init(&libc);
    struct sley_alloc *a = config->alloc ? config->alloc : &libc;
    if (ex->state || rc < 0) {
        return rc < 0 ? rc : -EINVAL;
    }
    if (!(a->ops->caps & SLEY_ALLOC_CAP_THREADS)) {
        sley__why_say(&why, "cores share an allocator, and this one is for one thread at a time");
        return -EINVAL;
    }
    rc = sley__cores_allowed(&allowed);
    rc = rc < 0 ? rc : sley__plan_init(&plan, &ex->opts, config->worker_count, sysfs, &allowed, a, &why);
    if (rc < 0) {
        return rc;
    }
    struct sley_cores_state *st = sley_alloc_get(a, state_bytes(plan.count), _Alignof(struct sley_cores_state));
    if (!st) {
        sley__plan_fini(&plan, a);
        return -ENOMEM;
    }
    memset(st, 0, state_bytes(plan.count));
    st->ex = ex;
    st->libc = libc;
    st->alloc = config->alloc ? config->alloc : &st->libc;
    st->config = *config;
    st->plan = plan;
    rc = start_all(st, &why);
    if (rc < 0) {
        state_destroy(st);
        return rc;
    }
    ex->state = st;
    return sley_executor_started(base);
}

/** Has any core a task, or does one not say? */
static bool is_busy(struct sley_cores_state *st, uint32_t bits)
{
    ask_all(st, bits | SLEY__ASK_ANSWER);
    bool busy = wait_for_all(st, ANSWERED, sley__cores_now_ns() + PATIENCE_NS, false) < 0;
    for (uint32_t i = 0; i < st->plan.count; i++) {
        /* relaxed: published by the answer */
        busy |= atomic_load_explicit(&st->cores[i].live, memory_order_relaxed) > 0;
    }
    return busy;
}

static int cores_fini(struct sley_executor *base)
{
    struct sley_cores *ex = of(base);
    struct sley_cores_state *st = ex->state;
    if (!st) {
        return 0;
    }
    int rc = enter(st);
    if (rc < 0) {
        return rc;
    }
    /* relaxed: whoever spawns meanwhile breaks the contract; this keeps the time short in which it would matter */
    const uint32_t refused = atomic_exchange_explicit(&st->refuses, 1, memory_order_relaxed);
    if (is_busy(st, 0) || is_busy(st, SLEY__ASK_CLOSE)) {
        /* relaxed: as above */
        atomic_store_explicit(&st->refuses, refused, memory_order_relaxed);
        leave(st);
        return -EBUSY;
    }
    ask_all(st, SLEY__ASK_END);
    for (uint32_t i = 0; i < st->plan.count; i++) {
        (void)pthread_join(st->cores[i].thread, NULL);
    }
    ex->state = NULL;
    state_destroy(st);
    return sley_executor_ended(base);
}

/* ---- spawning ------------------------------------------------------------------------------------------------------------------ */

static int spawn_on(struct sley_core *c, const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
{
    /* relaxed: a hint; the core's own refusal decides */
    if (atomic_load_explicit(&c->all->refuses, memory_order_relaxed)) {
        return -ESHUTDOWN;
    }
    sley_sched_hold(c->sched); /* the task may be the last one, and have ended before it is counted: the core stays until then */
    const int rc = sley_sched_spawn(c->sched, type, args, ret_task);
    if (rc == 0) {
        sley__core_moved(c);
    }
    sley_sched_unhold(c->sched);
    return rc;
}

static int cores_spawn(struct sley_executor *ex, const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
{
    struct sley_cores_state *st = of(ex)->state;
    if (!st) {
        return -ESHUTDOWN;
    }
    /* relaxed: any core will do */
    const uint32_t turn = atomic_fetch_add_explicit(&st->turn, 1, memory_order_relaxed);
    return spawn_on(&st->cores[turn % st->plan.count], type, args, ret_task);
}

static int cores_spawn_on(struct sley_executor *ex, uint32_t worker, const struct sley_task_type *type, const void *args,
                          struct sley_task **ret_task)
{
    struct sley_cores_state *st = of(ex)->state;
    if (!st) {
        return -ESHUTDOWN;
    }
    return worker < st->plan.count ? spawn_on(&st->cores[worker], type, args, ret_task) : -EINVAL;
}

int sley_cores_spawn_on(struct sley_cores *ex, uint32_t index, const struct sley_task_type *type, const void *args,
                        struct sley_task **ret_task)
{
    return cores_spawn_on(&ex->base, index, type, args, ret_task);
}

/* ---- who is where --------------------------------------------------------------------------------------------------------------- */

uint32_t sley_cores_count(const struct sley_cores *ex)
{
    return ex->state ? ex->state->plan.count : 0;
}

struct sley_core *sley_cores_at(struct sley_cores *ex, uint32_t index)
{
    return index < sley_cores_count(ex) ? &ex->state->cores[index] : NULL;
}

struct sley_cores *sley_cores_current(void)
{
    const struct sley_core *c = sley__core_here();
    return c ? c->all->ex : NULL;
}

int sley_cores_here(void)
{
    const struct sley_core *c = sley__core_here();
    return c ? (int)c->index : -ESRCH;
}

int sley_cores_cpu(const struct sley_cores *ex, uint32_t index)
{
    if (index >= sley_cores_count(ex)) {
        return -EINVAL;
    }
    const int32_t cpu = ex->state->cores[index].cpu;
    return cpu < 0 ? -ENOENT : cpu;
}

static struct sley_sched *cores_sched(struct sley_executor *ex)
{
    struct sley_cores_state *st = of(ex)->state;
    return st ? st->cores[0].sched : NULL;
}

static uint32_t cores_worker_count(struct sley_executor *ex)
{
    return sley_cores_count(of(ex));
}

const struct sley_executor_ops sley_cores_ops = {
    .version = SLEY_EXECUTOR_VERSION,
    .caps = SLEY_EXECUTOR_CAP_WORKERS,
    .name = "cores",
    .start = cores_start,
    .spawn = cores_spawn,
    .run = cores_run,
    .halt = cores_halt,
    .stop = cores_stop,
    .fini = cores_fini,
    .sched = cores_sched,
    .worker_count = cores_worker_count,
    .spawn_on = cores_spawn_on,
};

void sley_cores_init(struct sley_cores *ex, const struct sley_cores_opts *o)
{
    *ex = (struct sley_cores){.base = {.ops = &sley_cores_ops}};
    if (o) {
        ex->opts = *o;
    }
}
