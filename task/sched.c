/* One worker as tasks see it: the run loop, the inbox, start and end. */
#include "bias.h"
#include "core.h"

#include <string.h>

SLEY__TLS struct sley_sched *sley__self;

struct sley_sched *sley_sched_current(void)
{
    return sley__self;
}

int sley_sched_init(struct sley_sched *s, const struct sley_sched_ops *ops, const struct sley_sched_opts *opts)
{
    if (!s || !ops || ops->version < 1 || !ops->ring || !ops->now_ns || !ops->timer_arm || !ops->timer_disarm || !ops->release ||
        (!(ops->caps & SLEY_SCHED_CAP_HOME) && !ops->schedule)) {
        return -EINVAL;
    }
    struct sley_alloc libc = {0}, *given = opts ? opts->alloc : NULL;
    const int rc = given ? 0 : sley_alloc_libc_init(&libc);
    if (rc < 0) {
        return rc;
    }
    struct sley__memory *m = sley_alloc_zeroed(given ? given : &libc, sizeof *m, _Alignof(struct sley__memory));
    if (!m) {
        return -ENOMEM;
    }
    m->libc = libc;
    m->alloc = given ? given : &m->libc;
    sley__slab_init(&m->slab, m->alloc);
    memset(s, 0, sizeof *s);
    s->ops = ops;
    s->arm_word = ops->caps & SLEY_SCHED_CAP_HOME ? (uintptr_t)s | SLEY__KIND_HOME : (uintptr_t)SLEY__KIND_EMPTY;
    s->memory = m;
    s->flags = sley__bias_register() ? SLEY__SCHED_BIAS : 0;
    sley_lane_init(&s->ready);
    /* relaxed: nobody else knows the sched yet */
    atomic_store_explicit(&s->preempt, 1, memory_order_relaxed);
    s->root = &m->root;
    s->report = opts ? opts->report : NULL;
    s->report_arg = opts ? opts->report_arg : NULL;
    sley__scope_open(s->root, s, NULL, &(struct sley_scope_opts){.name = "root"});
    return 0;
}

void sley_sched_destroy(struct sley_sched *s)
{
    struct sley__memory *m = s->memory;
    sley__task_free_kept(s);
    sley__overflow_unwatch(m);
    sley__stack_pool_destroy(m->stacks);
    sley__slab_fini(&m->slab);
    struct sley_alloc libc = m->libc;
    struct sley_alloc *alloc = m->alloc == &m->libc ? &libc : m->alloc;
    s->memory = NULL;
    sley_alloc_put(alloc, m, sizeof *m);
}

static void deliver(struct sley_sched *s, uintptr_t list);

void sley_sched_close(struct sley_sched *s)
{
    struct sley_sched *outer = sley_sched_enter(s);
    /* acq_rel: the drain observes what posters released; a poster that sees CLOSED observes that every task is done */
    deliver(s, atomic_exchange_explicit(&s->inbox, (uintptr_t)SLEY__INBOX_CLOSED, memory_order_acq_rel));
    (void)sley_sched_abandon(s); /* what was spawned from elsewhere at the last moment */
    (void)sley_sched_enter(outer);
    /* acquire: pairs with the release decrement in sley__inbox_push, the poster's last access */
    while (atomic_load_explicit(&s->inside, memory_order_acquire) != 0) {
    }
}

bool sley_sched_fini(struct sley_sched *s)
{
    if (!s || !s->memory) {
        return true;
    }
    sley_sched_close(s);
    const uint32_t out = s->handle_count;
    /* acq_rel: whoever brings the sum to zero observes all that the others did with the memory. Orphans that were given back
     * between CLOSED and here have made the count negative, so that zero is reached once, whoever comes last. */
    if (atomic_fetch_add_explicit(&s->orphans, out, memory_order_acq_rel) + out != 0) {
        return false;
    }
    sley_sched_destroy(s);
    return true;
}

void sley__orphans_gone(struct sley_sched *s, uint32_t count)
{
    /* acq_rel: see sley_sched_fini */
    if (count && atomic_fetch_sub_explicit(&s->orphans, count, memory_order_acq_rel) == count) {
        sley_sched_destroy(s);
        s->ops->release(s);
    }
}

struct sley_sched *sley_sched_enter(struct sley_sched *s)
{
    struct sley_sched *outer = sley__self;
    sley__self = s;
    if (s) {
        sley__overflow_thread(s->memory);
    }
    return outer;
}

int sley_sched_may_drive(void)
{
    const struct sley_sched *s = sley_sched_current();
    if (!s) {
        return 0;
    }
    sley__misuse(s->current, NULL, "a runtime was driven inside a runtime",
                 "spawn and join tasks; or run, stop and release the other runtime on a thread of its own");
    return -EDEADLK;
}

/** Without a budget every wait begins with a look at what is asked of the task. */
static SLEY_NOINLINE enum sley_step resume_poked(struct sley_sched *s, struct sley_task *t)
{
    s->budget = 0;
    return t->type->resume(t);
}

/** One loop for all; @p sliced is a constant where it is called. */
SLEY_INLINE uint32_t run(struct sley_sched *s, struct sley_lane *lane, uint32_t max, const bool sliced)
{
    /* relaxed: only this thread writes it */
    uint32_t count = atomic_load_explicit(&s->resume_count, memory_order_relaxed);
    const uint32_t first = count;
    struct sley_task *t;
    s->run_end = count + max;
    sley__context_adopt_thread(&s->memory->back); /* fibers come back to this thread; sanitizers want its stack by name */
    while (count != s->run_end && (t = lane->head) != NULL) {
        lane->head = t->link.next;
        if (!lane->head) {
            lane->tail = &lane->head;
        }
        s->ready_count--;
        /* relaxed: a watchdog only looks whether it moves */
        atomic_store_explicit(&s->resume_count, ++count, memory_order_relaxed);
        const uint32_t before = sley__task_to_running(t);
        s->current = t;
        const bool look = before & (SLEY__TASK_POKED | SLEY__TASK_CANCELLED);
        s->budget = SLEY__BUDGET;
        const enum sley_step step = SLEY_UNLIKELY(look) ? resume_poked(s, t) : t->type->resume(t);
        if (SLEY_UNLIKELY(step == SLEY_STEP_DONE)) {
            s->current = NULL; /* it may be gone before the next one runs, and signal handlers look */
            sley__task_finish(s, t);
        } else {
            sley__task_after_step(s, t, step);
        }
        /* relaxed: a hint; need_preempt looks again */
        if (sliced && atomic_load_explicit(&s->preempt, memory_order_relaxed) && s->ops->need_preempt(s)) {
            break;
        }
    }
    s->current = NULL;
    return count - first;
}

uint32_t sley_sched_run(struct sley_sched *s, uint32_t max)
{
    return sley_sched_run_lane(s, &s->ready, max);
}

uint32_t sley_sched_run_lane(struct sley_sched *s, struct sley_lane *lane, uint32_t max)
{
    return run(s, lane, max, false);
}

uint32_t sley_sched_run_slice(struct sley_sched *s, struct sley_lane *lane, uint32_t max)
{
    return run(s, lane, max, true);
}

/* ---- inbox: a stack that is emptied at once, so that there is no ABA; its head also says whether home is parked ---- */

bool sley__inbox_push(struct sley_sched *s, void **link, enum sley__item item)
{
    /* relaxed: only a count that sley_sched_fini waits for; the CAS below orders the item */
    atomic_fetch_add_explicit(&s->inside, 1, memory_order_relaxed);
    /* relaxed: the CAS looks again */
    uintptr_t head = atomic_load_explicit(&s->inbox, memory_order_relaxed);
    bool open;
    do {
        open = head != SLEY__INBOX_CLOSED;
        if (!open) {
            break;
        }
        *link = (void *)(head == SLEY__INBOX_PARKED ? (uintptr_t)SLEY__INBOX_EMPTY : head);
        /* release: publishes the item and its link to the drain; linearisation point of a post */
    } while (
        !atomic_compare_exchange_weak_explicit(&s->inbox, &head, (uintptr_t)link | item, memory_order_release, memory_order_relaxed));
    if (!open) {
        /* acquire: a poster that finds the inbox closed relies on every task being done */
        (void)atomic_load_explicit(&s->inbox, memory_order_acquire);
    } else if (head == SLEY__INBOX_PARKED) {
        s->ops->ring(s);
    }
    /* release: the last access to the sched; pairs with the wait in sley_sched_fini */
    atomic_fetch_sub_explicit(&s->inside, 1, memory_order_release);
    return open;
}

bool sley_sched_post(struct sley_sched *s, struct sley_post *p)
{
    return sley__inbox_push(s, &p->link, SLEY__ITEM_POST);
}

static void deliver_one(struct sley_sched *s, void **link, enum sley__item item)
{
    if (item == SLEY__ITEM_NODE) {
        struct sley_wait *w = sley_container_of(link, struct sley_wait, at.link);
        sley__wait_complete_slow(w, w->result);
    } else if (item == SLEY__ITEM_TASK) {
        sley__task_arrived(s, sley_container_of(link, struct sley_task, link.next));
    } else if (item == SLEY__ITEM_HANDLE) {
        sley__task_requests(sley_container_of(link, struct sley__handle, link)->task);
    } else {
        struct sley_post *p = sley_container_of(link, struct sley_post, link);
        p->fn(p);
    }
}

static void deliver(struct sley_sched *s, uintptr_t list)
{
    /* newest first: reverse, so that posts arrive in order */
    uintptr_t ordered = 0;
    while (list > SLEY__INBOX_CLOSED) {
        void **link = (void **)(list & ~(uintptr_t)SLEY__ITEM_MASK);
        const uintptr_t next = (uintptr_t)*link;
        *link = (void *)ordered;
        ordered = list;
        list = next;
    }
    while (ordered) {
        void **link = (void **)(ordered & ~(uintptr_t)SLEY__ITEM_MASK);
        const enum sley__item item = (enum sley__item)(ordered & SLEY__ITEM_MASK);
        ordered = (uintptr_t)*link;
        deliver_one(s, link, item);
    }
}

bool sley_sched_drain(struct sley_sched *s)
{
    /* relaxed: a hint; the exchange below acquires */
    if (atomic_load_explicit(&s->inbox, memory_order_relaxed) <= SLEY__INBOX_CLOSED) {
        return false;
    }
    /* acquire: observes the items that posters released */
    deliver(s, atomic_exchange_explicit(&s->inbox, (uintptr_t)SLEY__INBOX_EMPTY, memory_order_acquire));
    return true;
}

bool sley_sched_park(struct sley_sched *s)
{
    uintptr_t expected = SLEY__INBOX_EMPTY;
    /* relaxed: a poster either comes before (the CAS fails) or sees PARKED and rings; no data travels with it */
    const bool parked = atomic_compare_exchange_strong_explicit(&s->inbox, &expected, (uintptr_t)SLEY__INBOX_PARKED,
                                                                memory_order_relaxed, memory_order_relaxed);
    if (parked) {
        sley__audit(s);
    }
    return parked;
}

bool sley_sched_unpark(struct sley_sched *s)
{
    uintptr_t expected = SLEY__INBOX_PARKED;
    /* relaxed: as above; on failure items are there and the next drain takes them */
    return atomic_compare_exchange_strong_explicit(&s->inbox, &expected, (uintptr_t)SLEY__INBOX_EMPTY, memory_order_relaxed,
                                                   memory_order_relaxed);
}

/* ---- stopping -------------------------------------------------------------------------------------------------- */

void sley_sched_stop(struct sley_sched *s)
{
    /* relaxed: a request; a spawn that does not see it yet is cancelled on arrival */
    atomic_store_explicit(&s->refuses, 1, memory_order_relaxed);
    sley__scope_lock(s->root);
    sley__scope_add_flags(s->root, SLEY__SCOPE_CLOSED);
    sley__scope_mark_locked(s->root);
    sley__scope_unlock(s->root);
}

/**
 * Locks a scope while that of one around it is held. Locks go from the inside out (outside_cancelled): whoever holds this one may wait
 * for the other. false: it is held for long, and what is below is not looked at.
 */
static bool lock_below(struct sley_scope *sc)
{
    for (uint32_t turns = 0; sley__group(sc->sched) && turns < 1000; turns++) {
        /* acquire: as in sley_spin_lock */
        if (atomic_exchange_explicit(&sc->lock, 1, memory_order_acquire) == 0) {
            return true;
        }
        SLEY__RELAX();
    }
    return !sley__group(sc->sched);
}

/**
 * Visits every task below a scope, children first, under its lock. Returns how many it has visited. When not all stand @p still, one
 * that is resumed now may begin and end scopes of its own, and end: that waits for the lock, but what is below it is not looked at.
 */
static uint32_t each_below(struct sley_scope *sc, bool still, void (*fn)(struct sley_sched *s, struct sley_task *t, bool still))
{
    uint32_t n = 0;
    struct sley_task *t = sc->children;
    for (uint32_t left = sc->live_count; left > 0; left--, t = t->sibling_next) {
        /* one that is parked stays so until all go on; one that is ready may have been taken already */
        const bool stands = still || sley__task_run(t) == SLEY__TASK_IDLE;
        for (struct sley_scope *own = sley__task_scope(t); stands && own->owner == t; own = own->parent) {
            if (lock_below(own)) {
                n += each_below(own, still, fn);
                sley__scope_unlock(own);
            }
        }
        n++;
        if (fn) {
            fn(sc->sched, t, still);
        }
    }
    return n;
}

uint32_t sley__each_task(const struct sley_sched *s, bool still, void (*fn)(struct sley_sched *s, struct sley_task *t, bool still))
{
    sley__scope_lock(s->root);
    const uint32_t n = each_below(s->root, still, fn);
    sley__scope_unlock(s->root);
    return n;
}

uint32_t sley_sched_live(const struct sley_sched *s)
{
    return sley__each_task(s, true, NULL);
}

void sley_sched_report_left(struct sley_sched *s, bool still)
{
    sley__trace_begin(still && s->report);
    (void)sley__each_task(s, still, sley__report_left);
}

static bool started(const struct sley_sched *s)
{
    const struct sley_task *t = s->root->children; /* only those that have run have children of their own */
    for (uint32_t left = s->root->live_count; left > 0; left--, t = t->sibling_next) {
        if (sley__task_state(t) & SLEY__TASK_STARTED) {
            return true;
        }
    }
    return false;
}

static void abandon_one(struct sley_sched *s, struct sley_task *t)
{
    if (t->type->drop) {
        t->type->drop(t + 1);
    }
    sley__task_set_result(t, -ECANCELED);
    if (sley__group(s)) {
        sley__shared_finish(s, t);
    } else {
        sley__task_finish(s, t);
    }
}

uint32_t sley_sched_abandon(struct sley_sched *s)
{
    if (started(s)) {
        return sley_sched_live(s);
    }
    sley__scope_add_flags(s->root, SLEY__SCOPE_CLOSED); /* a drop function finds it so, too */
    sley_lane_init(&s->ready);
    for (uint32_t i = 1; s->lanes && i < s->lane_count; i++) {
        sley_lane_init(&s->lanes[i]);
    }
    s->ready_count = 0;
    while (s->root->children) {
        abandon_one(s, s->root->children);
    }
    return 0;
}

size_t sley_sched_trim(struct sley_sched *s)
{
    size_t bytes = sley__slab_trim(&s->memory->slab, 0);
    if (s->memory->stacks) {
        bytes += sley__stack_trim(s->memory->stacks) * 4096u;
    }
    return bytes;
}
