/* The local executor: one worker whose turn looks at the inbox, the wheel and the reactor between batches of ready tasks. */
#include <string.h>

#include "worker.h"

/* Resumes between two looks at I/O, timers and the inbox: what one system call costs is spread over so many tasks, and a
 * newly ready descriptor waits for at most so many of them. */
enum { BATCH = 64 };

static struct sley_local_worker *worker_of(struct sley_executor *ex)
{
    return sley_container_of(ex, struct sley_local, base)->worker;
}

/* ---- what the task layer asks of a worker ------------------------------------------------------------------------ */

static void ring(struct sley_sched *s)
{
    struct sley_local_worker *w = sley__local_of(s);
    if (w->reactor) {
        w->reactor->ops->wake(w->reactor);
    } else {
        sley_thread_ring(&w->bell);
    }
}

static uint64_t now_ns(struct sley_sched *s)
{
    const struct sley_local_worker *w = sley__local_of(s);
    return w->clock ? w->clock->now_ns(w->clock) : sley_thread_now_ns();
}

static void timer_arm(struct sley_sched *s, struct sley_timer *t)
{
    sley_wheel_insert(&sley__local_of(s)->wheel, &t->node, t->node.deadline_ns);
}

static bool timer_disarm(struct sley_sched *s, struct sley_timer *t)
{
    const bool armed = sley_wheel_armed(&t->node);
    sley_wheel_remove(&sley__local_of(s)->wheel, &t->node);
    return armed;
}

static size_t worker_bytes(const struct sley_local_order *order)
{
    return sizeof(struct sley_local_worker) + order->lane_count * sizeof(struct sley_lane);
}

static void release(struct sley_sched *s)
{
    struct sley_local_worker *w = sley__local_of(s);
    struct sley_alloc libc = w->libc;
    struct sley_alloc *a = w->alloc == &w->libc ? &libc : w->alloc;
    sley_alloc_put(a, w, worker_bytes(w->order));
}

static const struct sley_sched_ops sched_ops = {
    .version = SLEY_SCHED_VERSION,
    .caps = SLEY_SCHED_CAP_HOME,
    .name = "local",
    .lane_ready = sley__local_lane_ready,
    .need_preempt = sley__local_need_preempt,
    .ring = ring,
    .now_ns = now_ns,
    .timer_arm = timer_arm,
    .timer_disarm = timer_disarm,
    .release = release,
};

/* ---- the turn ---------------------------------------------------------------------------------------------------- */

static void run_timers(struct sley_local_worker *w)
{
    if (sley_wheel_empty(&w->wheel)) {
        return;
    }
    w->sched.clock_ns = now_ns(&w->sched);
    sley_wheel_advance(&w->wheel, w->sched.clock_ns);
    struct sley_wheel_node *n;
    while ((n = sley_wheel_pop(&w->wheel)) != NULL) {
        sley_sched_timer_fired(sley_container_of(n, struct sley_timer, node));
    }
}

/** Tidies up before a wait; returns when again. A clock that jumps to the next deadline when idle is not made to stop for this. */
static uint64_t tidy(struct sley_local_worker *w)
{
    return w->clock && w->clock->idle ? SLEY_NEVER : sley_sched_tidy(&w->sched);
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/** Nothing is ready: waits for the reactor, the bell, or the next deadline, at most until @p limit_ns. */
static void park(struct sley_local_worker *w, uint64_t limit_ns)
{
    struct sley_sched *s = &w->sched;
    if (w->before_park) {
        w->before_park(w->hook_arg);
    }
    const uint64_t tidy_ns = tidy(w);
    if (sley_sched_ready(s)) {
        return;
    }
    sley_executor_grace(s);
    const bool stands = w->clock && w->clock->idle && sley_sched_held(s); /* such a clock does not move while a job is out */
    if (!sley_sched_park(s)) {
        return;
    }
    const uint64_t next = earlier(earlier(sley_wheel_next(&w->wheel), limit_ns), tidy_ns);
    sley_watch_park(&w->watched);
    const uint64_t now = next == SLEY_NEVER ? 0 : now_ns(s);
    const uint64_t left = next == SLEY_NEVER ? SLEY_NEVER : stands ? SLEY_MS : next > now ? next - now : 0;
    if (w->clock && w->clock->idle && next != SLEY_NEVER && !stands && !(w->reactor && w->reactor->armed_count > 0)) {
        w->clock->idle(w->clock, next);
    } else if (w->reactor) {
        (void)w->reactor->ops->poll(w->reactor, left);
    } else { /* threads wait by the system's time, wherever the clock has begun */
        sley_thread_wait(&w->bell, w->clock && left < SLEY_NEVER / 2 ? sley_thread_now_ns() + left : next);
    }
    sley_watch_unpark(&w->watched);
    sley_sched_unpark(s);
}

/** Looks at the inbox, the wheel, the reactor; waits only if nothing is ready then. */
static void look(struct sley_local_worker *w, bool wait, uint64_t limit_ns)
{
    (void)sley_sched_drain(&w->sched);
    run_timers(w);
    if (wait && !sley_sched_ready(&w->sched)) {
        park(w, limit_ns);
    } else if (w->reactor && (w->reactor->armed_count > 0 || w->reactor->hosted)) {
        (void)w->reactor->ops->poll(w->reactor, 0);
    }
}

/** Becomes the thread that drives. Returns: 0; -EDEADLK inside a runtime; -EBUSY. */
static int enter(struct sley_local_worker *w)
{
    if (!w) {
        return -EINVAL;
    }
    const int rc = sley_sched_may_drive();
    if (rc < 0) {
        return rc;
    }
    /* acquire: observes what the thread that drove before has done; pairs with leave */
    if (atomic_exchange_explicit(&w->sched.driven, 1, memory_order_acquire)) {
        return -EBUSY;
    }
    (void)sley_sched_enter(&w->sched);
    sley_watch_enter(&w->watched);
    sley_sched_unpark(&w->sched); /* a turn leaves it parked */
    return 0;
}

static void leave(struct sley_local_worker *w)
{
    (void)sley_reactor_rest(w->reactor); /* another thread may be the next */
    sley_watch_park(&w->watched);
    (void)sley_sched_enter(NULL);
    /* release: pairs with enter */
    atomic_store_explicit(&w->sched.driven, 0, memory_order_release);
}

static bool take_halt(struct sley_local_worker *w)
{
    /* relaxed: a hint. acquire: who halts holds the sched; pairs with sley_local_halt */
    return atomic_load_explicit(&w->halted, memory_order_relaxed) && atomic_exchange_explicit(&w->halted, 0, memory_order_acquire);
}

/** Nothing is left to run for; what others have posted meanwhile may change that. */
static bool finished(const struct sley_local_worker *w, const struct sley_task *until)
{
    return until ? sley_task_done(until) : w->sched.root->live_count == 0;
}

int sley_local_run(struct sley_executor *ex, const struct sley_task *until)
{
    struct sley_local_worker *w = worker_of(ex);
    int rc = enter(w);
    if (rc < 0) {
        return rc;
    }
    for (;;) {
        if (finished(w, until) && (until || !sley_sched_drain(&w->sched))) {
            break;
        }
        if (take_halt(w)) {
            rc = -ECANCELED;
            break;
        }
        (void)w->order->run(w->local, &w->sched, BATCH);
        look(w, sley_sched_ready(&w->sched) || !finished(w, until), SLEY_NEVER);
    }
    leave(w);
    return rc;
}

int sley_local_run_while(struct sley_local *ex, bool (*go_on)(void *arg), void *arg)
{
    struct sley_local_worker *w = ex->worker;
    int rc = enter(w);
    if (rc < 0) {
        return rc;
    }
    for (;;) {
        (void)w->order->run(w->local, &w->sched, BATCH);
        if (!go_on(arg)) {
            break;
        }
        if (take_halt(w)) {
            rc = -ECANCELED;
            break;
        }
        look(w, true, SLEY_NEVER);
    }
    leave(w);
    return rc;
}

int sley_local_turn(struct sley_executor *ex, uint32_t max, uint64_t *ret_next_ns)
{
    struct sley_local_worker *w = worker_of(ex);
    const int rc = enter(w);
    if (rc < 0) {
        return rc;
    }
    struct sley_sched *s = &w->sched;
    look(w, false, 0);
    if (w->reactor && w->reactor->armed_count == 0) {
        (void)w->reactor->ops->poll(w->reactor, 0); /* takes a ring in: until then its descriptor stays readable */
    }
    const uint32_t ran = w->order->run(w->local, s, max ? max : s->ready_count);
    const bool more = sley_sched_ready(s) || (w->reactor && w->reactor->more) || !sley_sched_park(s); /* stays parked: a post rings */
    if (ret_next_ns) {
        *ret_next_ns = more ? 0 : earlier(sley_wheel_next(&w->wheel), tidy(w));
    }
    leave(w);
    return more ? SLEY_TURN_PREEMPTED : ran ? SLEY_TURN_RAN : SLEY_TURN_IDLE;
}

int sley_local_stop(struct sley_executor *ex, uint64_t drain_deadline_ns)
{
    struct sley_local_worker *w = worker_of(ex);
    int rc = enter(w);
    if (rc < 0) {
        return rc;
    }
    sley_sched_stop(&w->sched);
    while (w->sched.root->live_count > 0 || sley_sched_drain(&w->sched)) {
        (void)w->order->run(w->local, &w->sched, BATCH);
        if (w->sched.root->live_count == 0) {
            continue;
        }
        if (drain_deadline_ns != SLEY_NEVER && drain_deadline_ns <= now_ns(&w->sched)) {
            sley_sched_report_left(&w->sched, true);
            rc = -ETIMEDOUT;
            break;
        }
        look(w, true, drain_deadline_ns);
    }
    leave(w);
    return rc;
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

int sley_local_start(struct sley_executor *ex, const struct sley_executor_config *config)
{
    struct sley_local *local = sley_container_of(ex, struct sley_local, base);
    const struct sley_local_order *order = local->order;
    struct sley_alloc libc = {0}, *alloc = config->alloc ? config->alloc : &libc;
    if (local->worker || config->worker_count > 1) {
        return -EINVAL;
    }
    int rc = config->alloc ? 0 : sley_alloc_libc_init(&libc);
    if (rc < 0) {
        return rc;
    }
    struct sley_local_worker *w = sley_alloc_get(alloc, worker_bytes(order), _Alignof(struct sley_local_worker));
    if (!w) {
        return -ENOMEM;
    }
    memset(w, 0, offsetof(struct sley_local_worker, slots));
    w->local = local;
    w->order = order;
    w->libc = libc;
    w->alloc = config->alloc ? config->alloc : &w->libc;
    w->clock = config->clock;
    w->before_park = config->before_park;
    w->hook_arg = config->hook_arg;
    rc = sley_sched_init(&w->sched, &sched_ops, &(struct sley_sched_opts){w->alloc, config->report, config->report_arg});
    sley__local_init_lanes(w);
    if (rc == 0) {
        rc = sley_wheel_init(&w->wheel, &(struct sley_wheel_opts){.tick_ns = config->tick_ns}, w->slots,
                             sizeof w->slots / sizeof w->slots[0], now_ns(&w->sched));
    }
    rc = rc < 0 ? rc : sley_watch_one(config, w->alloc, &w->watched, &w->sched);
    rc = rc < 0 ? rc : sley_executor_make_reactor(config, w->alloc, &w->reactor);
    if (rc < 0) {
        sley_watch_remove(&w->watched);
        (void)sley_sched_fini(&w->sched);
        sley_alloc_put(alloc, w, worker_bytes(order));
        return rc;
    }
    w->sched.blocking = config->blocking;
    if (w->reactor) {
        w->reactor->sched = &w->sched;
        w->sched.reactor = w->reactor;
    }
    local->worker = w;
    return sley_executor_started(ex);
}

int sley_local_fini(struct sley_executor *ex)
{
    struct sley_local *local = sley_container_of(ex, struct sley_local, base);
    struct sley_local_worker *w = local->worker;
    if (!w) {
        return 0;
    }
    int rc = enter(w);
    if (rc < 0) {
        return rc;
    }
    (void)sley_sched_drain(&w->sched);
    rc = sley_sched_abandon(&w->sched) ? -EBUSY : sley_reactor_end(w->reactor);
    if (rc == 0) {
        sley_sched_close(&w->sched); /* whoever posts from now on does not ring the reactor */
        sley_watch_remove(&w->watched);
        sley_reactor_destroy(w->reactor);
        w->sched.reactor = w->reactor = NULL;
    }
    leave(w);
    if (rc == 0) {
        local->worker = NULL;
        if (sley_sched_fini(&w->sched)) {
            release(&w->sched);
        }
    }
    return rc < 0 ? rc : sley_executor_ended(ex);
}

int sley_local_spawn_lane(struct sley_executor *ex, uint32_t lane, const struct sley_task_type *type, const void *args,
                          struct sley_task **ret_task)
{
    struct sley_local_worker *w = worker_of(ex);
    int rc = w ? sley_sched_spawn_lane(&w->sched, lane, type, args, ret_task) : -ESHUTDOWN;
    if (rc == -ENOTSUP && enter(w) == 0) { /* its memory is for one thread at a time: then this is the one */
        rc = sley_sched_spawn_lane(&w->sched, lane, type, args, ret_task);
        sley_sched_hold(&w->sched); /* who drives next may end it at once */
        leave(w);
        ring(&w->sched); /* a foreign loop that waits, or has found it driven just now, is to turn it */
        sley_sched_unhold(&w->sched);
    }
    return rc;
}

int sley_local_spawn(struct sley_executor *ex, const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
{
    return sley_local_spawn_lane(ex, 0, type, args, ret_task);
}

void sley_local_halt(struct sley_executor *ex)
{
    struct sley_local_worker *w = worker_of(ex);
    if (w) {
        sley_sched_hold(&w->sched); /* whoever is halted may end it at once, and then waits until this thread has rung */
        /* release: that it is held; pairs with take_halt. The ring makes the worker look */
        atomic_store_explicit(&w->halted, 1, memory_order_release);
        ring(&w->sched);
        sley_sched_unhold(&w->sched);
    }
}

int sley_local_pollable_fd(struct sley_executor *ex)
{
    struct sley_local_worker *w = worker_of(ex);
    struct sley_reactor *r = w ? w->reactor : NULL;
    return r && r->ops->pollable_fd ? r->ops->pollable_fd(r) : -ENOTSUP;
}

struct sley_sched *sley_local_sched(struct sley_executor *ex)
{
    struct sley_local_worker *w = worker_of(ex);
    return w ? &w->sched : NULL;
}

const struct sley_executor_ops sley_local_ops = {
    .version = SLEY_EXECUTOR_VERSION,
    .name = "local",
    .start = sley_local_start,
    .spawn = sley_local_spawn,
    .run = sley_local_run,
    .turn = sley_local_turn,
    .pollable_fd = sley_local_pollable_fd,
    .halt = sley_local_halt,
    .stop = sley_local_stop,
    .fini = sley_local_fini,
    .sched = sley_local_sched,
};

void sley_local_init_ordered(struct sley_local *ex, const struct sley_executor_ops *ops, const struct sley_local_order *order)
{
    *ex = (struct sley_local){.base = {.ops = ops}, .order = order};
}
