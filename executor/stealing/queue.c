/* What a worker runs next: the LIFO slot, its ring, its backlog, the injection queue, and what others have. */
#include "worker.h"

/* What it costs to wake a worker, and what a task costs that goes into another one's cache. */
enum { WAKE_NS = 50000, MOVE_NS = 500 };

/* One look at the injection queue each 200 us or so, as tokio has it, whatever a resume costs. SHARE is what is taken from a queue at a
 * time, under its lock: as many again, taken one by one, find room in the ring during their round. */
enum { INJECT_TARGET_NS = 200000, INJECT_MIN = 2, INJECT_MAX = LOOK_INTERVAL, SHARE = 126 };

/** Counts what this thread alone counts. */
static void add(SLEY_ATOMIC(uint64_t) * count, uint32_t n)
{
    /* relaxed: a statistic */
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
}

void sley__worker_push(struct worker *w, struct sley_task *t)
{
    if (SLEY_LIKELY(sley__steal_ring_push_back(&w->ring, t))) {
        return;
    }
    struct sley_task *first = t, *last = NULL;
    const uint32_t n = sley__steal_ring_chain(&w->ring, RING_CAPACITY / 2, &first, &last);
    if (n > 0) { /* else a thief makes room: only this one goes */
        last->link.next = t;
    }
    add(&w->overflows, 1);
    sley__inject_append(&w->backlog, first, t, n + 1);
}

void sley__worker_push_pinned(struct sley_task *t)
{
    struct sley_sched *home = t->sched;
    sley__inject_push(&worker_of(home)->pinned, t, t);
    if (home != sley__self) {
        /* seq_cst: the push against the look whether it sleeps; pairs with the fence in park */
        atomic_thread_fence(memory_order_seq_cst);
        (void)sley_sched_nudge(home);
    }
}

static SLEY_NOINLINE void push_and_notify(struct worker *w, struct sley_task *t)
{
    sley__worker_push(w, t);
    sley__idle_notify(w->pool, sley__worker_left(w));
}

void sley__worker_schedule(struct sley_sched *s, struct sley_task *t, enum sley_ready why)
{
    struct sley_sched *self = sley__self;
    (void)why;
    if (SLEY_UNLIKELY(sley_task_pinned(t))) {
        sley__worker_push_pinned(t);
    } else if (SLEY_UNLIKELY(self != s && (!self || self->group != s->group))) {
        sley__inject_push(&worker_of(s)->pool->inject, t, t);
        sley__idle_notify(worker_of(s)->pool, WORK_WORTH);
    } else {
        struct sley_task *before = sley__lifo_put(&worker_of(self)->lifo, t);
        if (before) {
            push_and_notify(worker_of(self), before);
        }
    }
}

void sley__worker_batch(struct worker *w, uint64_t now)
{
    w->batch_start_ns = now;
    w->batch_tick = w->tick - w->left;
    /* relaxed: an estimate */
    atomic_store_explicit(&w->late_ns, 0, memory_order_relaxed);
}

/** By how long resumes have taken. */
static void tune(struct worker *w)
{
    const uint64_t now = sley__pool_now_ns(w->pool);
    const uint64_t each = (now - w->batch_start_ns) / (w->tick - w->left - w->batch_tick);
    /* relaxed: an estimate that this thread alone writes */
    const uint64_t before = atomic_load_explicit(&w->resume_ns, memory_order_relaxed);
    const uint64_t mean = before ? (before * 9 + each) / 10 : each;
    sley__worker_batch(w, now);
    /* relaxed: as above */
    atomic_store_explicit(&w->resume_ns, mean, memory_order_relaxed);
    const uint64_t interval = INJECT_TARGET_NS / (mean ? mean : 1);
    w->inject_interval = interval < INJECT_MIN ? INJECT_MIN : interval > INJECT_MAX ? INJECT_MAX : (uint32_t)interval;
}

/** A share of a queue: one to run, the rest into the ring. */
static struct sley_task *take(struct worker *w, struct sley__inject *from, uint32_t max)
{
    struct sley_task *t = sley__inject_take(from, max), *next;
    const bool more = t && (t->link.next || !sley__inject_empty(from));
    for (struct sley_task *rest = t ? t->link.next : NULL; rest; rest = next) {
        next = rest->link.next;
        sley__worker_push(w, rest);
    }
    if (more) {
        sley__idle_tell(w->pool); /* who looked while it was in our hands has seen nothing */
    }
    return t;
}

static struct sley_task *counted(struct worker *w, struct sley_task *t, bool stolen)
{
    add(&w->steals, t && stolen);
    return t;
}

/** Of what was injected each worker takes its part. */
static struct sley_task *take_share(struct worker *w, struct sley__inject *from)
{
    const bool injected = from == &w->pool->inject;
    return counted(w, take(w, from, injected ? SHARE / w->pool->plan.count + 1 : SHARE), !injected && from != &w->backlog);
}

/** Whose backlog to take from: its own, unless another's is so much longer that its tasks would wait for rounds of this one. */
static struct sley__inject *longest(struct worker *w)
{
    struct sley__inject *q = &w->backlog;
    for (struct worker *o = w->pool->workers; o < w->pool->workers + w->pool->plan.count; o++) {
        q = sley__inject_count(&o->backlog) > 2 * (sley__inject_count(q) + SHARE) ? &o->backlog : q;
    }
    return q;
}

/**
 * The ring is empty. What was injected has waited longest, and comes before the backlog three times of four: so that of many ready
 * tasks, wherever they stand, none waits for more than two rounds of all.
 */
static SLEY_NOINLINE struct sley_task *refill(struct worker *w)
{
    struct sley__inject *const far = &w->pool->inject, *const near = longest(w);
    const bool near_first = ++w->round % 4 == 0;
    struct sley_task *t = take_share(w, near_first ? near : far);
    t = t ? t : take_share(w, near_first ? far : near);
    w->round_left = sley__steal_ring_count(&w->ring);
    return t ? t : sley__inject_take(&w->pinned, 1);
}

/**
 * All that was in the ring has had its turn. When there are more ready tasks than it holds, those now go behind the others, which
 * wait in the backlog or were injected. The backlog is the worker's own, so that its tasks stay where they are in the cache.
 */
static SLEY_NOINLINE void next_round(struct worker *w)
{
    struct sley_task *first, *last;
    const bool others = !sley__inject_empty(longest(w)) || !sley__inject_empty(&w->pool->inject);
    const uint32_t n = others ? sley__steal_ring_chain(&w->ring, RING_CAPACITY, &first, &last) : 0;
    if (n > 0) {
        sley__inject_append(&w->backlog, first, last, n);
    }
    w->round_left = sley__steal_ring_count(&w->ring);
}

/** Once in an interval: what is not looked at each time. */
static SLEY_NOINLINE struct sley_task *look(struct worker *w)
{
    if (w->tick % LOOK_INTERVAL < w->inject_interval) { /* one more LOOK_INTERVAL has passed */
        sley__worker_look_inside(w);
        sley__worker_look_outside(w);
    }
    tune(w);
    struct sley_task *t = take(w, &w->pool->inject, 1);
    w->tick += w->inject_interval;
    w->left = w->inject_interval;
    return t;
}

/** Nothing was in the slot, or its run is over with @p t: that goes behind the others, if any wait now; who comes later waits for a run. */
static SLEY_NOINLINE struct sley_task *next_in_turn(struct worker *w, struct sley_task *t)
{
    w->lifo_run = 0;
    if (t && sley__steal_ring_count(&w->ring) + sley__inject_count(&w->backlog) == 0 && sley__inject_empty(&w->pinned)) {
        return t;
    }
    if (t) {
        push_and_notify(w, t);
    }
    if (SLEY_UNLIKELY(!sley__inject_empty(&w->pinned)) && (w->pinned_last = !w->pinned_last)) {
        return sley__inject_take(&w->pinned, 1);
    }
    if (w->round_left == 0) {
        next_round(w);
    }
    w->round_left -= w->round_left > 0;
    t = sley__steal_ring_pop(&w->ring);
    if (SLEY_UNLIKELY(!t)) {
        return refill(w);
    }
    w->untold = false;
    return t;
}

struct sley_task *sley__worker_next(struct worker *w)
{
    struct sley_task *t;
    if (SLEY_UNLIKELY(--w->left == 0) && (t = look(w)) != NULL) {
        return t;
    }
    t = sley__lifo_take(&w->lifo);
    return t && ++w->lifo_run <= LIFO_RUN_MAX ? t : next_in_turn(w, t);
}

enum work sley__worker_left(const struct worker *w)
{
    /* relaxed: estimates */
    const uint64_t mean = atomic_load_explicit(&w->resume_ns, memory_order_relaxed);
    const uint64_t late = atomic_load_explicit(&w->late_ns, memory_order_relaxed); /* relaxed: as above */
    const uint64_t n = sley__lifo_full(&w->lifo) + sley__steal_ring_count(&w->ring) + sley__inject_count(&w->backlog);
    const uint64_t all = n * (late > mean ? late : mean);
    return n == 0 ? WORK_NONE : all >= WAKE_NS + n * MOVE_NS || all >= BEHIND_NS ? WORK_WORTH : WORK_LITTLE;
}

struct sley_task *sley__worker_steal(struct worker *w)
{
    struct sley_stealing_pool *p = w->pool;
    struct sley_task *t = take_share(w, &p->inject);
    struct sley_victims order = sley_victims_of(&p->plan, w->index, w->tick - w->left);
    for (uint32_t i; !t && sley_victims_next(&order, &i);) {
        struct worker *victim = &p->workers[i];
        if (sley__worker_left(victim) == WORK_WORTH) {
            t = counted(w, sley__steal_ring_steal(&victim->ring, &w->ring), true);
            t = t ? t : take_share(w, &victim->backlog);
            t = t ? t : counted(w, sley__lifo_rob(&victim->lifo), true); /* it would wait for who is resumed now to end */
        }
        add(&w->spared, sley__lifo_full(&victim->lifo));
    }
    w->round_left = sley__steal_ring_count(&w->ring);
    return t;
}
