/* The work-stealing executor's table: start, drive, stop and end a pool of workers. */
#include "rescue.h"

#include <string.h>

static struct sley_stealing_pool *pool_of(const struct sley_executor *ex)
{
    return ((const struct sley_stealing *)(const void *)ex)->pool;
}

static void set_phase(struct sley_stealing_pool *p, uint32_t phase)
{
    /* seq_cst: before the look at who sleeps; pairs with the fence in sley__idle_park, and publishes to rest and work */
    atomic_store_explicit(&p->phase, phase, memory_order_seq_cst);
    /* seq_cst: a store is not ordered before the relaxed loads in nudge (aarch64: stlr, then cas); pairs with the fence in park */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < p->group.count; i++) { /* a start that has failed early has made some workers, and no group */
        sley_thread_ring(&p->workers[i].bell);
        (void)sley_sched_nudge(&p->workers[i].sched);
    }
}

/* ---- who drives: one thread at a time waits, pauses, ends --------------------------------------------------------- */

static int drive(struct sley_stealing_pool *p)
{
    const int rc = p ? sley_sched_may_drive() : -EINVAL;
    if (rc < 0) {
        return rc;
    }
    /* acquire: observes what the driver before has done; pairs with undrive */
    return atomic_exchange_explicit(&p->driving, 1, memory_order_acquire) ? -EBUSY : 0;
}

static void undrive(struct sley_stealing_pool *p)
{
    /* release: pairs with drive */
    atomic_store_explicit(&p->driving, 0, memory_order_release);
}

/** Stops all workers between two resumes. Returns whether all stand; those inside a task until @p deadline_ns do not. */
static bool pause_all(struct sley_stealing_pool *p, uint64_t deadline_ns)
{
    set_phase(p, PHASE_PAUSED);
    /* acquire: pairs with rest */
    while (atomic_load_explicit(&p->resting, memory_order_acquire) != p->plan.count) {
        if (sley_thread_now_ns() >= deadline_ns) {
            return false;
        }
        sley_thread_wait(&p->news, deadline_ns);
    }
    return true;
}

static void news(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)w;
    sley_thread_ring(&sley_container_of(hook, struct worker, drained_hook)->pool->news);
}

/** Watches the roots: `news` comes when one is empty. Returns whether all are, at one moment. */
static bool roots_empty(struct sley_stealing_pool *p)
{
    bool empty = true;
    for (uint32_t i = 0; i < p->plan.count; i++) {
        struct worker *w = &p->workers[i];
        /* a wait that has ended is begun anew: its root may have tasks again */
        if (!w->drained.wait.ops || sley_wait_done(&w->drained.wait)) {
            sley_scope_wait_start(&w->drained, w->sched.root);
        }
        if (!sley_wait_done(&w->drained.wait)) {
            empty = false;
            sley_wait_hook(&w->drained.wait, &w->drained_hook);
        }
    }
    /* one after the other tells nothing: a task may spawn one where has been looked, and end. Then the next look finds what to wait for */
    return empty && (sley_group_empty(&p->group) || roots_empty(p));
}

static void unwatch_roots(struct sley_stealing_pool *p)
{
    for (uint32_t i = 0; i < p->plan.count; i++) {
        (void)sley_wait_fini(&p->workers[i].drained.wait);
    }
}

static int wait_for(struct sley_stealing_pool *p, const struct sley_task *until, uint64_t deadline_ns, bool haltable)
{
    int rc = 0;
    /* seq_cst: said before it is looked whether the task has ended; pairs with sley__shared_finish */
    atomic_store_explicit(&p->group.watched, until, memory_order_seq_cst);
    /* seq_cst: sley_task_done's load only acquires (aarch64: stlr, then ldapr) */
    atomic_thread_fence(memory_order_seq_cst);
    for (;;) {
        /* acquire: who halts holds a sched; pairs with stealing_halt */
        if (haltable && atomic_exchange_explicit(&p->halted, 0, memory_order_acquire)) {
            rc = -ECANCELED;
            break;
        }
        if (until ? sley_task_done(until) : roots_empty(p)) {
            break;
        }
        if (deadline_ns != SLEY_NEVER && sley_thread_now_ns() >= deadline_ns) {
            rc = -ETIMEDOUT;
            break;
        }
        sley_thread_wait(&p->news, deadline_ns);
    }
    unwatch_roots(p);
    /* relaxed: late news wakes nobody */
    atomic_store_explicit(&p->group.watched, NULL, memory_order_relaxed);
    return rc;
}

static int stealing_run(struct sley_executor *ex, const struct sley_task *until)
{
    struct sley_stealing_pool *p = pool_of(ex);
    int rc = drive(p);
    if (rc == 0) {
        rc = wait_for(p, until, SLEY_NEVER, true);
        undrive(p);
    }
    return rc;
}

static void stealing_halt(struct sley_executor *ex)
{
    struct sley_stealing_pool *p = pool_of(ex);
    if (p) {
        sley_sched_hold(p->scheds[0]); /* who is halted may end the pool at once, and then waits until this thread has rung */
        /* release: that it is held; pairs with wait_for */
        atomic_store_explicit(&p->halted, 1, memory_order_release);
        sley_thread_ring(&p->news);
        sley_sched_unhold(p->scheds[0]);
    }
}

static int stealing_spawn(struct sley_executor *ex, const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
{
    struct sley_stealing_pool *p = pool_of(ex);
    if (!p) {
        return -ESHUTDOWN;
    }
    /* relaxed: any will do */
    const uint32_t turn = atomic_fetch_add_explicit(&p->spawn_index, 1, memory_order_relaxed);
    return sley_sched_spawn(p->scheds[turn % p->plan.count], type, args, ret_task);
}

static uint32_t stealing_worker_count(struct sley_executor *ex)
{
    return pool_of(ex) ? pool_of(ex)->plan.count : 0;
}

static int stealing_spawn_on(struct sley_executor *ex, uint32_t worker, const struct sley_task_type *type, const void *args,
                             struct sley_task **ret_task)
{
    const struct sley_stealing_pool *p = pool_of(ex);
    if (!p) {
        return -ESHUTDOWN;
    }
    return worker < p->plan.count ? sley_sched_spawn_pinned(p->scheds[worker], type, args, ret_task) : -EINVAL;
}

static int stealing_stop(struct sley_executor *ex, uint64_t drain_deadline_ns)
{
    struct sley_stealing_pool *p = pool_of(ex);
    int rc = drive(p);
    if (rc < 0) {
        return rc;
    }
    for (uint32_t i = 0; i < p->plan.count; i++) {
        sley_sched_stop(p->scheds[i]);
    }
    const uint64_t now = sley__pool_now_ns(p), left = drain_deadline_ns > now ? drain_deadline_ns - now : 0;
    rc = wait_for(p, NULL, drain_deadline_ns == SLEY_NEVER ? SLEY_NEVER : sley_after_ns(left), false); /* in the system's time */
    if (rc < 0) {
        const bool still = pause_all(p, sley_thread_now_ns() + 100 * SLEY_MS); /* false: one is stuck, or has no processor */
        for (uint32_t i = 0; i < p->plan.count; i++) {
            sley_sched_report_left(p->scheds[i], still);
        }
        set_phase(p, PHASE_RUNNING);
    }
    undrive(p);
    return rc;
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

static void pool_free(struct sley_stealing_pool *p)
{
    struct sley_alloc libc = p->libc;
    struct sley_alloc *a = p->alloc == &p->libc ? &libc : p->alloc;
    sley_alloc_put(a, p->workers, p->plan.count * (sizeof *p->workers + sizeof *p->scheds));
    sley_plan_fini(&p->plan, a);
    sley_alloc_put(a, p, sizeof *p);
}

static void group_release(struct sley_group *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        struct sley_sched *outer = sley_sched_enter(g->scheds[i]); /* the last handle may be another executor's task's */
        sley_sched_collect(g->scheds[i]);
        (void)sley_sched_enter(outer);
        sley_sched_destroy(g->scheds[i]);
    }
    pool_free(sley_container_of(g, struct sley_stealing_pool, group));
}

static void join_all(struct sley_stealing_pool *p, uint32_t started)
{
    set_phase(p, PHASE_ENDED);
    for (uint32_t i = 0; i < started; i++) {
        (void)pthread_join(p->workers[i].thread, NULL);
    }
}

/** Not before all workers have ended, and nobody rings any more: they use each other's. */
static void destroy_reactors(struct sley_stealing_pool *p, uint32_t started)
{
    for (uint32_t i = 0; i < started; i++) {
        struct worker *w = &p->workers[i];
        (void)sley_sched_enter(&w->sched);
        sley_reactor_destroy(w->reactor);
        w->sched.reactor = w->reactor = NULL;
        (void)sley_sched_enter(NULL);
    }
}

static int start_thread(struct worker *w, size_t stack_bytes)
{
    struct sley_stealing_pool *p = w->pool;
    const struct sley_thread_opts o = {sley__worker_main, w, "sley-", w->index, stack_bytes, false};
    const int rc = sley_executor_start_thread(&w->thread, &o);
    /* acquire: pairs with rest; the worker's start_rc is seen */
    while (rc == 0 && atomic_load_explicit(&p->resting, memory_order_acquire) != w->index + 1) {
        sley_thread_wait(&p->news, SLEY_NEVER);
    }
    return rc < 0 ? rc : w->start_rc;
}

static int init_worker(struct sley_stealing_pool *p, const struct sley_executor_config *config, uint32_t index)
{
    struct worker *w = &p->workers[index];
    memset(w, 0, offsetof(struct worker, wheel_slots));
    w->pool = p;
    w->index = index;
    w->inject_interval = w->left = w->tick = LOOK_INTERVAL;
    w->drained_hook.fn = news;
    p->scheds[index] = &w->sched;
    sley__steal_ring_init(&w->ring, w->slots, RING_CAPACITY);
    int rc = sley_sched_init(&w->sched, &sley__worker_ops, &(struct sley_sched_opts){p->alloc, config->report, config->report_arg});
    w->sched.blocking = config->blocking;
    sley_door_init(&w->lifo.door, w->sched.flags & SLEY__SCHED_BIAS);
    sley_door_init(&w->ring.door, w->sched.flags & SLEY__SCHED_BIAS);
    if (rc == 0) {
        rc = sley_wheel_init(&w->wheel, &(struct sley_wheel_opts){.tick_ns = config->tick_ns}, w->wheel_slots,
                             sizeof w->wheel_slots / sizeof w->wheel_slots[0], sley__pool_now_ns(p));
        if (rc < 0) {
            (void)sley_sched_fini(&w->sched);
        }
    }
    return rc;
}

static int pool_start(struct sley_stealing_pool *p, const struct sley_executor_config *config, size_t stack_bytes)
{
    uint32_t ready = 0, started = 0;
    int rc = 0;
    p->scheds = (struct sley_sched **)(void *)(p->workers + p->plan.count); /* behind them */
    while (rc == 0 && ready < p->plan.count) {
        rc = init_worker(p, config, ready);
        ready += rc == 0;
    }
    if (rc == 0) {
        sley_group_init(&p->group, p->scheds, p->plan.count, group_release);
        p->config = config;
        rc = sley__rescue_watch(p, config);
        while (rc == 0 && started < p->plan.count) {
            rc = start_thread(&p->workers[started], stack_bytes);
            started += p->workers[started].thread != 0;
        }
        p->config = NULL;
    }
    if (rc < 0) {
        join_all(p, started);
        if (p->watch) {
            sley__rescue_unwatch(p);
        }
        destroy_reactors(p, started);
        while (ready > 0) {
            p->scheds[--ready]->group = NULL;
            (void)sley_sched_fini(p->scheds[ready]);
        }
    }
    return rc;
}

static int stealing_start(struct sley_executor *ex, const struct sley_executor_config *config)
{
    struct sley_stealing *stealing = sley_container_of(ex, struct sley_stealing, base);
    struct sley_alloc libc = {0};
    int rc = config->alloc ? 0 : sley_alloc_libc_init(&libc);
    struct sley_alloc *alloc = config->alloc ? config->alloc : &libc;
    if (stealing->pool || rc < 0) {
        return rc < 0 ? rc : -EINVAL;
    }
    if (!(alloc->ops->caps & SLEY_ALLOC_CAP_THREADS)) {
        return -ENOTSUP;
    }
    struct sley_stealing_pool *p = sley_alloc_get(alloc, sizeof *p, _Alignof(struct sley_stealing_pool));
    if (!p) {
        return -ENOMEM;
    }
    *p = (struct sley_stealing_pool){
        .libc = libc, .clock = config->clock, .before_park = config->before_park, .hook_arg = config->hook_arg};
    p->alloc = config->alloc ? config->alloc : &p->libc;
    rc = sley_plan_init(&p->plan, &stealing->opts, config->worker_count, p->alloc, config->ret_error, config->error_bytes);
    rc = p->plan.count > SLEY_STEALING_WORKERS_MAX ? -EINVAL : rc;
    if (rc == 0) {
        p->workers = sley_alloc_get(p->alloc, p->plan.count * (sizeof *p->workers + sizeof *p->scheds), _Alignof(struct worker));
        rc = p->workers ? pool_start(p, config, stealing->opts.stack_bytes) : -ENOMEM;
    }
    if (rc < 0) {
        pool_free(p);
        return rc;
    }
    stealing->pool = p;
    set_phase(p, PHASE_RUNNING);
    return sley_executor_started(ex);
}

static int stealing_fini(struct sley_executor *ex)
{
    struct sley_stealing *stealing = sley_container_of(ex, struct sley_stealing, base);
    struct sley_stealing_pool *p = stealing->pool;
    if (!p) {
        return 0;
    }
    int rc = drive(p);
    if (rc < 0) {
        return rc;
    }
    for (uint32_t i = 0; i < p->plan.count; i++) {
        sley_sched_refuse(p->scheds[i], true);
    }
    if (wait_for(p, NULL, 0, false) < 0) { /* a task is left: all of them have run, or are about to */
        for (uint32_t i = 0; i < p->plan.count; i++) {
            sley_sched_refuse(p->scheds[i], false);
        }
        undrive(p);
        return -EBUSY;
    }
    join_all(p, p->plan.count);
    sley__rescue_unwatch(p);
    sley_group_close(&p->group);
    destroy_reactors(p, p->plan.count);
    stealing->pool = NULL;
    if (sley_group_fini(&p->group)) {
        group_release(&p->group);
    }
    return sley_executor_ended(ex);
}

static void stealing_forked(struct sley_executor *ex)
{
    /* relaxed: there is no other thread */
    atomic_store_explicit(&pool_of(ex)->phase, PHASE_ENDED, memory_order_relaxed);
}

static struct sley_sched *stealing_sched(struct sley_executor *ex)
{
    return pool_of(ex) ? pool_of(ex)->scheds[0] : NULL;
}

int sley_stealing_stats(const struct sley_stealing *ex, uint32_t index, struct sley_stealing_stats *ret_stats)
{
    const struct sley_stealing_pool *p = ex->pool;
    if (!p || index >= p->plan.count) {
        return -EINVAL;
    }
    const struct worker *w = &p->workers[index];
    *ret_stats = (struct sley_stealing_stats){
        /* relaxed: statistics */
        .resumes = atomic_load_explicit(&w->sched.resume_count, memory_order_relaxed),
        .steals = atomic_load_explicit(&w->steals, memory_order_relaxed),       /* relaxed: as above */
        .spared = atomic_load_explicit(&w->spared, memory_order_relaxed),       /* relaxed: as above */
        .overflows = atomic_load_explicit(&w->overflows, memory_order_relaxed), /* relaxed: as above */
        .parks = atomic_load_explicit(&w->parks, memory_order_relaxed),         /* relaxed: as above */
    };
    return 0;
}

const struct sley_executor_ops sley_stealing_ops = {
    .version = SLEY_EXECUTOR_VERSION,
    .caps = SLEY_EXECUTOR_CAP_WORKERS,
    .name = "stealing",
    .start = stealing_start,
    .spawn = stealing_spawn,
    .run = stealing_run,
    .halt = stealing_halt,
    .stop = stealing_stop,
    .fini = stealing_fini,
    .sched = stealing_sched,
    .forked = stealing_forked,
    .worker_count = stealing_worker_count,
    .spawn_on = stealing_spawn_on,
};

void sley_stealing_init(struct sley_stealing *ex, const struct sley_workers_opts *o)
{
    *ex = (struct sley_stealing){.base = {.ops = &sley_stealing_ops}};
    if (o) {
        ex->opts = *o;
    }
}
