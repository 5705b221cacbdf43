/* A worker's thread: resumes what queue.c hands it, looks at its timers and its reactor in between, rests when the pool pauses. */
#include "rescue.h"

/* ---- what the task layer asks of a worker ------------------------------------------------------------------------ */

static void ring(struct sley_sched *s)
{
    struct worker *w = worker_of(s);
    if (w->reactor) {
        w->reactor->ops->wake(w->reactor);
    } else {
        sley_thread_ring(&w->bell);
    }
}

uint64_t sley__pool_now_ns(const struct sley_stealing_pool *p)
{
    return p->clock ? p->clock->now_ns(p->clock) : sley_thread_now_ns();
}

static uint64_t now_ns(struct sley_sched *s)
{
    return sley__pool_now_ns(worker_of(s)->pool);
}

/* A timer's node says in the upper half of its flags whose wheel it is in. */
enum { WHEEL_SHIFT = 16, FLAGS_MASK = (1 << WHEEL_SHIFT) - 1 };

static void timer_arm(struct sley_sched *s, struct sley_timer *t)
{
    struct worker *w = worker_of(s);
    t->wait.flags = (t->wait.flags & FLAGS_MASK) | w->index << WHEEL_SHIFT;
    sley_spin_lock(&w->wheel_lock);
    sley_wheel_insert(&w->wheel, &t->node, t->node.deadline_ns);
    sley_spin_unlock(&w->wheel_lock);
}

static bool timer_disarm(struct sley_sched *s, struct sley_timer *t)
{
    struct worker *w = &worker_of(s)->pool->workers[t->wait.flags >> WHEEL_SHIFT];
    sley_spin_lock(&w->wheel_lock);
    const bool armed = sley_wheel_armed(&t->node);
    sley_wheel_remove(&w->wheel, &t->node);
    sley_spin_unlock(&w->wheel_lock);
    return armed;
}

static void release(struct sley_sched *s)
{
    (void)s; /* the group's release takes all */
}

static void ended(struct sley_sched *s)
{
    sley_thread_ring(&worker_of(s)->pool->news);
}

const struct sley_sched_ops sley__worker_ops = {
    .version = SLEY_SCHED_VERSION,
    .name = "stealing",
    .ring = ring,
    .now_ns = now_ns,
    .timer_arm = timer_arm,
    .timer_disarm = timer_disarm,
    .release = release,
    .schedule = sley__worker_schedule,
    .ended = ended,
};

/* ---- between resumes --------------------------------------------------------------------------------------------- */

uint64_t sley__worker_run_timers(struct worker *w)
{
    struct sley_wheel_node *n;
    sley_spin_lock(&w->wheel_lock);
    if (sley_wheel_empty(&w->wheel)) {
        sley_spin_unlock(&w->wheel_lock);
        return SLEY_NEVER;
    }
    sley_wheel_advance(&w->wheel, sley__pool_now_ns(w->pool));
    while ((n = sley_wheel_pop(&w->wheel)) != NULL) {
        struct sley_timer *t = sley_container_of(n, struct sley_timer, node);
        if (sley_timer_is_deadline(t)) {
            sley_sched_timer_fired(t); /* under the lock: its scope stays until disarm has had it, too */
            continue;
        }
        sley_spin_unlock(&w->wheel_lock); /* it may run a callback that arms another */
        sley_sched_timer_fired(t);
        sley_spin_lock(&w->wheel_lock);
    }
    const uint64_t next = sley_wheel_next(&w->wheel);
    sley_spin_unlock(&w->wheel_lock);
    return next;
}

void sley__worker_look_inside(struct worker *w)
{
    sley_sched_collect(&w->sched);
    (void)sley_sched_drain(&w->sched);
    sley_group_drain(&w->pool->group);
    (void)sley__worker_run_timers(w);
    /* relaxed: a hint; who says it wakes somebody, too */
    if (SLEY_UNLIKELY(atomic_load_explicit(&w->pool->stuck_count, memory_order_relaxed) != 0)) {
        sley__rescue(w);
    }
}

void sley__worker_look_outside(struct worker *w)
{
    if (w->reactor) {
        sley_reactor_look(w->reactor);
    }
}

void sley__worker_wait(struct worker *w, uint64_t next_ns)
{
    struct sley_stealing_pool *p = w->pool;
    /* relaxed: a statistic that this thread alone writes */
    atomic_store_explicit(&w->parks, atomic_load_explicit(&w->parks, memory_order_relaxed) + 1, memory_order_relaxed);
    sley_watch_park(&w->watched);
    const uint64_t now = next_ns == SLEY_NEVER ? 0 : sley__pool_now_ns(p);
    const uint64_t left = next_ns == SLEY_NEVER ? SLEY_NEVER : next_ns > now ? next_ns - now : 0;
    if (w->reactor) {
        (void)sley_reactor_poll(w->reactor, left);
    } else { /* threads wait by the system's time, wherever the clock has begun */
        sley_thread_wait(&w->bell, p->clock && left < SLEY_NEVER / 2 ? sley_thread_now_ns() + left : next_ns);
    }
    sley_watch_unpark(&w->watched);
    sley__worker_batch(w, sley__pool_now_ns(p));
}

/** Does nothing until the pool goes on or ends. */
static void rest(struct worker *w)
{
    struct sley_stealing_pool *p = w->pool;
    /* acq_rel: whoever has paused the pool observes what this worker has done, and it what they do */
    atomic_fetch_add_explicit(&p->resting, 1, memory_order_acq_rel);
    ended(&w->sched);
    sley_watch_park(&w->watched);
    uint32_t phase;
    /* acquire: pairs with set_phase */
    while ((phase = atomic_load_explicit(&p->phase, memory_order_acquire)) == PHASE_PAUSED || phase == PHASE_STARTING) {
        sley_thread_wait(&w->bell, SLEY_NEVER);
    }
    sley_watch_unpark(&w->watched);
    /* acq_rel: as above */
    atomic_fetch_sub_explicit(&p->resting, 1, memory_order_acq_rel);
    /* seq_cst: not counted any more before it looks at the phase (an ldapr may pass the release); pairs with the one in set_phase */
    atomic_thread_fence(memory_order_seq_cst);
    sley__worker_batch(w, sley__pool_now_ns(p)); /* it has rested, and begins to measure */
}

static void work(struct worker *w)
{
    struct sley_task *t = sley__worker_next(w);
    if (!t && sley__idle_search(w)) {
        t = sley__worker_steal(w);
    }
    if (!t) {
        sley__worker_look_inside(w);
        if ((t = sley__worker_next(w)) == NULL) {
            sley__idle_park(w); /* looks at I/O, too, whether it comes to wait or not */
            return;
        }
    }
    if (SLEY_UNLIKELY(w->searching || w->guards || w->untold)) {
        sley__idle_found(w);
    }
    if (sley_sched_resume(&w->sched, t)) {
        if (SLEY_UNLIKELY(sley_task_pinned(t))) {
            sley__worker_push_pinned(t);
        } else {
            sley__worker_push(w, t);
            w->untold = true; /* as long as nothing else is run first it is next, or in a ring over which nobody went to sleep */
        }
    }
}

void *sley__worker_main(void *arg)
{
    struct worker *w = arg;
    struct sley_stealing_pool *p = w->pool;
    w->start_rc = sley_plan_pin(&p->plan, w->index); /* first: memory comes from where it is first touched */
    (void)sley_sched_enter(&w->sched);
    sley_sched_adopt(&w->sched);
    sley_watch_enter(&w->watched);
    if (w->start_rc == 0) {
        w->start_rc = p->plan.count > 1 ? sley_executor_make_shared_reactor(p->config, p->alloc, &w->reactor)
                                        : sley_executor_make_reactor(p->config, p->alloc, &w->reactor);
    }
    if (w->reactor) {
        sley_reactor_join(w->reactor, &w->sched);
    }
    for (;;) {
        /* acquire: pairs with set_phase */
        const uint32_t phase = atomic_load_explicit(&p->phase, memory_order_acquire);
        if (SLEY_LIKELY(phase == PHASE_RUNNING)) {
            work(w);
        } else if (phase == PHASE_ENDED) {
            break;
        } else {
            rest(w);
        }
    }
    if (w->reactor && !w->reactor->shared) {
        (void)sley_reactor_end(w->reactor); /* here: a ring takes nothing from another thread while ops are in flight */
    }
    sley_watch_park(&w->watched);
    (void)sley_sched_enter(NULL);
    return NULL;
}
