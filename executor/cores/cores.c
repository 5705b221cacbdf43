/* Local executors, many times: the table, start and end. What run, halt and stop do is in driver.c, what the workers do in core.c. */
#include <sley/thread_impl.h>

#include "core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- start and end ------------------------------------------------------------------------------------------------------------ */

/** What a start that fails has to say. */
static void say(const struct sley_executor_config *config, const char *format, ...) SLEY_PRINTF(2, 3);
static void say(const struct sley_executor_config *config, const char *format, ...)
{
    if (config->ret_error && config->error_bytes > 0) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(config->ret_error, config->error_bytes, format, args);
        va_end(args);
    }
}

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
    c->cpu = st->plan.seats ? (int32_t)st->plan.seats[i].cpu : -1;
    const struct sley_thread_opts o = {sley__core_main, c, "sley-core-", i, st->ex->opts.stack_bytes, false};
    int rc = sley_executor_start_thread(&c->thread, &o);
    if (rc < 0) {
        (void)snprintf(st->why, sizeof st->why, "there is no thread for it (errno %d)", -rc);
        return rc;
    }
    for (;;) {
        sley__cores_listen(st);
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
    sley_plan_fini(&st->plan, a);
    sley_alloc_put(a, st, bytes);
}

/** All, one after the other, up to the gate; or none. */
static int start_all(struct sley_cores_state *st)
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
        say(&st->config, "core %u: %s", n, st->why);
    } else {
        say(&st->config, "core %u did not start (errno %d)", n, -rc);
    }
    open_gate(st, SLEY__GATE_ABORT);
    while (n > 0) {
        (void)pthread_join(st->cores[--n].thread, NULL);
    }
    return rc;
}

static int cores_start(struct sley_executor *base, const struct sley_executor_config *config)
{
    struct sley_cores *ex = sley__cores_of(base);
    struct sley_alloc libc = {0};
    struct sley_plan plan;
    int rc = config->alloc ? 0 : sley_alloc_libc_init(&libc);
    struct sley_alloc *a = config->alloc ? config->alloc : &libc;
    if (ex->state || rc < 0) {
        return rc < 0 ? rc : -EINVAL;
    }
    if (!(a->ops->caps & SLEY_ALLOC_CAP_THREADS)) {
        say(config, "cores share an allocator, and this one is for one thread at a time");
        return -EINVAL;
    }
    rc = sley_plan_init(&plan, &ex->opts, config->worker_count, a, config->ret_error, config->error_bytes);
    if (rc < 0) {
        return rc;
    }
    struct sley_cores_state *st = sley_alloc_get(a, state_bytes(plan.count), _Alignof(struct sley_cores_state));
    if (!st) {
        sley_plan_fini(&plan, a);
        return -ENOMEM;
    }
    memset(st, 0, state_bytes(plan.count));
    st->ex = ex;
    st->libc = libc;
    st->alloc = config->alloc ? config->alloc : &st->libc;
    st->config = *config;
    st->plan = plan;
    rc = start_all(st);
    if (rc < 0) {
        state_destroy(st);
        return rc;
    }
    ex->state = st;
    return sley_executor_started(base);
}

static int cores_fini(struct sley_executor *base)
{
    struct sley_cores *ex = sley__cores_of(base);
    struct sley_cores_state *st = ex->state;
    if (!st) {
        return 0;
    }
    int rc = sley__cores_enter(st);
    if (rc < 0) {
        return rc;
    }
    /* relaxed: whoever spawns meanwhile breaks the contract; this keeps the time short in which it would matter */
    const uint32_t refused = atomic_exchange_explicit(&st->refuses, 1, memory_order_relaxed);
    if (sley__cores_busy(st, 0) || sley__cores_busy(st, SLEY__ASK_CLOSE)) {
        /* relaxed: as above */
        atomic_store_explicit(&st->refuses, refused, memory_order_relaxed);
        sley__cores_leave(st);
        return -EBUSY;
    }
    sley__cores_ask(st, SLEY__ASK_END);
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
    struct sley_cores_state *st = sley__cores_of(ex)->state;
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
    struct sley_cores_state *st = sley__cores_of(ex)->state;
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
    struct sley_cores_state *st = sley__cores_of(ex)->state;
    return st ? st->cores[0].sched : NULL;
}

static uint32_t cores_worker_count(struct sley_executor *ex)
{
    return sley_cores_count(sley__cores_of(ex));
}

const struct sley_executor_ops sley_cores_ops = {
    .version = SLEY_EXECUTOR_VERSION,
    .caps = SLEY_EXECUTOR_CAP_WORKERS,
    .name = "cores",
    .start = cores_start,
    .spawn = cores_spawn,
    .run = sley__cores_run,
    .halt = sley__cores_halt,
    .stop = sley__cores_stop,
    .fini = cores_fini,
    .sched = cores_sched,
    .worker_count = cores_worker_count,
    .spawn_on = cores_spawn_on,
};

void sley_cores_init(struct sley_cores *ex, const struct sley_workers_opts *o)
{
    *ex = (struct sley_cores){.base = {.ops = &sley_cores_ops}};
    if (o) {
        ex->opts = *o;
    }
}
