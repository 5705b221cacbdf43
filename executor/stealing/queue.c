/* What a worker runs next: the LIFO slot, its ring, the injection queue, and what others have. */
#include "worker.h"

/* One look at the injection queue each 200 us or so, as tokio has it, whatever a resume costs. */
enum { INJECT_TARGET_NS = 200000, INJECT_MIN = 2, INJECT_MAX = 127, RESUMES_PER_CLOCK = 64 };

void sley__worker_push(struct worker *w, struct sley_task *t)
{
    if (SLEY_LIKELY(sley__steal_ring_push_back(&w->ring, t))) {
        return;
    }
    struct sley_task *first = NULL, *last = NULL;
    if (sley__steal_ring_overflow(&w->ring, &first, &last) == 0) {
        first = t; /* a thief makes room: only this one goes */
    } else {
        last->link.next = t;
    }
    /* relaxed: a statistic that this thread alone writes */
    atomic_store_explicit(&w->overflows, atomic_load_explicit(&w->overflows, memory_order_relaxed) + 1, memory_order_relaxed);
    sley__inject_push(&w->pool->inject, first, t);
}

void sley__worker_schedule(struct sley_sched *s, struct sley_task *t, enum sley_ready why)
{
    struct sley_sched *self = sley__self;
    struct sley_stealing_pool *p = worker_of(s)->pool;
    (void)why;
    if (SLEY_UNLIKELY(!self || self->group != &p->group)) {
        sley__inject_push(&p->inject, t, t);
        sley__idle_notify(p);
        return;
    }
    struct worker *w = worker_of(self);
    struct sley_task *before = sley__lifo_put(&w->lifo, t);
    if (before) {
        sley__worker_push(w, before);
        sley__idle_notify(p);
    }
}

/** Every so many resumes, by how long they have taken. */
static void tune(struct worker *w)
{
    const uint64_t now = sley__pool_now_ns(w->pool);
    const uint64_t each = (now - w->batch_start_ns) / RESUMES_PER_CLOCK;
    w->batch_start_ns = now;
    w->resume_ns = w->resume_ns ? (w->resume_ns * 9 + each) / 10 : each;
    const uint64_t interval = INJECT_TARGET_NS / (w->resume_ns ? w->resume_ns : 1);
    w->inject_interval = interval < INJECT_MIN ? INJECT_MIN : interval > INJECT_MAX ? INJECT_MAX : (uint32_t)interval;
}

/** How much to take of what was injected: so much that as many again, taken one by one, find room in the ring during their round. */
static uint32_t share_of(const struct sley_stealing_pool *p)
{
    return (RING_CAPACITY / 2 - 2) / p->count + 1;
}

/** A share of what was injected: one to run, the rest into the ring. */
static struct sley_task *take_injected(struct worker *w, uint32_t max)
{
    struct sley_task *t = sley__inject_take(&w->pool->inject, max);
    struct sley_task *rest = t ? t->link.next : NULL;
    const bool shared = rest != NULL;
    while (rest) {
        struct sley_task *next = rest->link.next;
        sley__worker_push(w, rest);
        rest = next;
    }
    if (shared || (t && !sley__inject_empty(&w->pool->inject))) {
        sley__idle_notify(w->pool); /* who looked while it was in our hands has seen nothing */
    }
    return t;
}

/**
 * All that was in the ring has had its turn. When there are more ready tasks than rings hold, those now go behind the others, which
 * wait in the injection queue: so nobody waits for more than about a round of all.
 */
static void next_round(struct worker *w)
{
    struct sley_task *first = NULL, *last = NULL;
    if (!sley__inject_empty(&w->pool->inject) && sley__steal_ring_chain(&w->ring, RING_CAPACITY, &first, &last) > 0) {
        sley__inject_push(&w->pool->inject, first, last);
    }
    w->round_left = sley__steal_ring_count(&w->ring);
}

struct sley_task *sley__worker_next(struct worker *w)
{
    struct sley_task *t;
    w->tick++;
    if (w->tick % RESUMES_PER_CLOCK == 0) {
        tune(w);
    }
    if (w->tick % w->inject_interval == 0 && (t = take_injected(w, 1)) != NULL) {
        return t;
    }
    if ((t = sley__lifo_take(&w->lifo)) != NULL) {
        if (w->lifo_run++ < LIFO_RUN_MAX) {
            return t;
        }
        sley__worker_push(w, t); /* it has had its run */
    }
    w->lifo_run = 0;
    if (w->round_left == 0) {
        next_round(w);
    }
    w->round_left -= w->round_left > 0;
    if ((t = sley__steal_ring_pop(&w->ring)) == NULL) {
        t = take_injected(w, share_of(w->pool));
        w->round_left = sley__steal_ring_count(&w->ring);
    }
    return t;
}

static uint32_t random_below(struct worker *w, uint32_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 17;
    w->random ^= w->random << 5;
    return w->random % n;
}

#ifndef SLEY__STRANDED_LOOKS /* tests/explore does not look that long */
#define SLEY__STRANDED_LOOKS 256
#endif

/** What lies in the slot of a worker that has been in one task for some time: it would wait for that task to end. */
static struct sley_task *take_stranded(struct worker *victim)
{
    /* relaxed: a hint, as is the count: the exchange takes it, whoever it belongs to by then */
    const uint32_t count = atomic_load_explicit(&victim->sched.resume_count, memory_order_relaxed);
    for (uint32_t i = 0; i < SLEY__STRANDED_LOOKS; i++) {
        if (!sley__lifo_full(&victim->lifo) ||
            /* relaxed: as above */
            atomic_load_explicit(&victim->sched.resume_count, memory_order_relaxed) != count) {
            return NULL;
        }
        __asm__ volatile("" ::: "memory");
    }
    return sley__lifo_rob(&victim->lifo);
}

struct sley_task *sley__worker_steal(struct worker *w)
{
    struct sley_stealing_pool *p = w->pool;
    struct sley_task *t = NULL;
    const uint32_t from = random_below(w, p->count);
    for (uint32_t i = 0; i < p->count && !t; i++) {
        struct worker *victim = &p->workers[(from + i) % p->count];
        t = victim == w ? NULL : sley__steal_ring_steal(&victim->ring, &w->ring);
    }
    if (!t) {
        t = take_injected(w, share_of(p));
    }
    for (uint32_t i = 0; i < p->count && !t; i++) {
        struct worker *victim = &p->workers[(from + i) % p->count];
        t = victim == w ? NULL : take_stranded(victim);
    }
    if (t) {
        w->round_left = sley__steal_ring_count(&w->ring);
        /* relaxed: a statistic that this thread alone writes */
        atomic_store_explicit(&w->steals, atomic_load_explicit(&w->steals, memory_order_relaxed) + 1, memory_order_relaxed);
    }
    return t;
}
