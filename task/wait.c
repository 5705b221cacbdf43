/* Wait nodes: beginning, completing and awaiting, all that is not inline in <sley/task_impl.h>. */
#include "core.h"

/* ---- completing ------------------------------------------------------------------------------------------------ */

struct sley_sched *sley__wait_home(uintptr_t word)
{
    switch (sley__kind(word)) {
    case SLEY__KIND_HOME:
        return sley__pointer(word);
    case SLEY__KIND_HOME_TASK:
        return ((struct sley_task *)sley__pointer(word))->sched;
    case SLEY__KIND_HOME_HOOK:
        return ((struct sley_wait_hook *)sley__pointer(word))->home;
    default:
        return NULL;
    }
}

/** At home: publishes, then tells the waiter. */
static void complete_home(struct sley_sched *s, struct sley_wait *w, uintptr_t word)
{
    sley__wait_publish(w);
    if (sley__kind(word) == SLEY__KIND_HOME_TASK) {
        sley__task_wake_home(s, sley__pointer(word));
    } else if (sley__kind(word) == SLEY__KIND_HOME_HOOK) {
        struct sley_wait_hook *hook = sley__pointer(word);
        hook->fn(hook, w);
    }
}

/** A node without a home whose waiter we have claimed (it says COMPLETING now). */
static void complete_claimed(struct sley_wait *w, uintptr_t word)
{
    if (sley__kind(word) == SLEY__KIND_TASK) {
        struct sley_task *t = sley__pointer(word);
        if (sley__group(t->sched)) {
            sley__shared_complete(w, t);
        } else if (t->sched == sley__self) {
            sley__wait_publish(w);
            sley__task_wake_home(t->sched, t);
        } else {
            /* home publishes; until then the node says COMPLETING, so the task stays */
            (void)sley__inbox_push(t->sched, &w->at.link, SLEY__ITEM_NODE);
        }
        return;
    }
    struct sley_wait_hook *hook = sley__pointer(word);
    if (hook->fn == sley__parker_wake) {
        hook->fn(hook, w); /* the thread's record dies once the node is done: wake first */
        sley__wait_publish(w);
    } else {
        sley__wait_publish(w);
        hook->fn(hook, w);
    }
}

void sley__wait_complete_slow(struct sley_wait *w, int32_t result)
{
    w->result = result;
    for (;;) {
        uintptr_t word = sley__wait_word(w);
        struct sley_sched *home = sley__wait_home(word);
        if (home) {
            if (home == sley__self) {
                complete_home(home, w, word);
            } else {
                (void)sley__inbox_push(home, &w->at.link, SLEY__ITEM_NODE);
            }
            return;
        }
        if (sley__kind(word) == SLEY__KIND_COMPLETING) {
            /* delivered by the inbox of the waiting task's home */
            struct sley_task *t = sley__pointer(word);
            sley__wait_publish(w);
            sley__task_wake_home(t->sched, t);
            return;
        }
        const bool waited = sley__kind(word) != SLEY__KIND_EMPTY;
        const uintptr_t next = waited ? (word & ~(uintptr_t)SLEY__KIND_MASK) | SLEY__KIND_COMPLETING : (uintptr_t)SLEY__WAIT_DONE;
        /* acq_rel: releases the result (next is DONE, or the home or hook publishes after it); acquires the waiter's record */
        if (atomic_compare_exchange_weak_explicit(&w->word, &word, next, memory_order_acq_rel, memory_order_relaxed)) {
            if (waited) {
                complete_claimed(w, word);
            }
            return;
        }
    }
}

void sley_wait_complete_signal(struct sley_wait *w, int32_t result)
{
    struct sley_sched *home = sley__wait_home(sley__wait_word(w));
    if (home) {
        w->result = result;
        (void)sley__inbox_push(home, &w->at.link, SLEY__ITEM_NODE);
        return;
    }
    struct sley_sched *self = sley_sched_enter(NULL); /* even a task of this very thread is told through the inbox */
    sley__wait_complete_slow(w, result);
    (void)sley_sched_enter(self);
}

/* ---- beginning ------------------------------------------------------------------------------------------------- */

bool sley__wait_begin_slow(struct sley_wait *w)
{
    struct sley_sched *s = sley__self;
    struct sley_task *t = s->current;
    if (!t || !sley__task_poll(s, t)) {
        return true; /* out of budget, which the caller has looked at, or a callback of the runtime */
    }
    sley_wait_finish(w, -ECANCELED);
    return false;
}

void sley__wait_misuse_armed(struct sley_wait *w)
{
    if (sley__armed(sley__wait_word(w))) {
        const struct sley_sched *s = sley__self;
        sley__misuse_fatal(s ? s->current : NULL, w->at.site, "a wait node was started while it is armed",
                           "await or sley_wait_fini it before starting it again; zero its memory before the first start");
    }
}

/* ---- registering ----------------------------------------------------------------------------------------------- */

bool sley__wait_register(struct sley_wait *w, uintptr_t waiter, enum sley__wait_kind home_kind, enum sley__wait_kind kind,
                         struct sley_sched *home)
{
    uintptr_t word = sley__wait_word(w);
    if (sley__wait_home(word)) {
        if (sley__wait_home(word) != home) {
            const struct sley_task *t = home ? home->current : NULL;
            sley__misuse(t, w->at.site, "a wait node was awaited away from the executor that started it",
                         "await it in a task of that executor, or pass a message");
            return false;
        }
        /* release: a foreign completer finds the home through the waiter, which may be younger than the node; it acquires */
        atomic_store_explicit(&w->word, waiter | home_kind, memory_order_release);
        return true;
    }
    const enum sley__wait_kind now = sley__kind(word);
    if (now == SLEY__KIND_COMPLETING || now == SLEY__KIND_NONE) {
        return false;
    }
    /* release: publishes the waiter's record to the completer, which acquires it */
    return atomic_compare_exchange_strong_explicit(&w->word, &word, waiter | kind, memory_order_release, memory_order_relaxed);
}

bool sley__wait_unregister(struct sley_wait *w, uintptr_t waiter)
{
    uintptr_t word = waiter | SLEY__KIND_HOOK;
    /* relaxed: nothing is published; a completer that came first is waited for by the caller */
    return atomic_compare_exchange_strong_explicit(&w->word, &word, (uintptr_t)SLEY__KIND_EMPTY, memory_order_relaxed,
                                                   memory_order_relaxed);
}

bool sley__wait_claimed(const struct sley_wait *w, struct sley_task *t)
{
    const uintptr_t word = sley__wait_word(w);
    if (sley__kind(word) != SLEY__KIND_COMPLETING) {
        return false;
    }
    if (sley__group(t->sched)) {
        return !sley__shared_settle(w, t);
    }
    if (sley__pointer(word) != t) {
        sley__task_wake_home(t->sched, t); /* the completer wakes who waited before: look again in the next round */
    }
    return true;
}

void sley_wait_hook(struct sley_wait *w, struct sley_wait_hook *hook)
{
    hook->home = sley__self;
    for (;;) {
        if (!sley__armed(sley__wait_word(w))) {
            hook->fn(hook, w);
            return;
        }
        if (sley__wait_register(w, (uintptr_t)hook, SLEY__KIND_HOME_HOOK, SLEY__KIND_HOOK, hook->home)) {
            return;
        }
    }
}

void sley_wait_cancel(struct sley_wait *w)
{
    if (sley__armed(sley__wait_word(w)) && !(w->flags & SLEY__WAIT_CANCEL_ASKED)) {
        w->flags |= SLEY__WAIT_CANCEL_ASKED;
        if (w->ops->cancel) {
            w->ops->cancel(w);
        }
    }
}

void sley__wait_lose(struct sley_wait *w)
{
    w->flags |= SLEY__WAIT_LOST;
    sley_wait_cancel(w);
}

/* ---- awaiting, in steps that frames and fibers share ----------------------------------------------------------- */

bool sley__frame_await(struct sley_wait *w)
{
    struct sley_sched *s = sley__self;
    struct sley_task *t = s->current;
    for (;;) {
        const uintptr_t word = sley__wait_word(w);
        if (!sley__armed(word)) {
            if (word != SLEY__WAIT_DONE) {
                sley__misuse(t, w->at.site, "a wait node was awaited that was never started", "start it first");
                w->result = -EINVAL;
                sley__wait_publish(w);
            }
            return true;
        }
        if (s->budget <= 0 && !(w->flags & SLEY__WAIT_CANCEL_ASKED) && sley__task_poll(s, t)) {
            sley_wait_cancel(w);
            continue;
        }
        if (sley__wait_register(w, (uintptr_t)t, SLEY__KIND_HOME_TASK, SLEY__KIND_TASK, s)) {
            t->link.awaited = w;
            return false;
        }
        if (sley__wait_home(sley__wait_word(w))) {
            w->result = -EDEADLK; /* reported above: it cannot be awaited here */
            return true;
        }
        if (sley__wait_claimed(w, t)) {
            t->link.awaited = w;
            return false;
        }
    }
}

bool sley__frame_park(void)
{
    struct sley_sched *s = sley__self;
    if (s->budget <= 0 && sley__task_poll(s, s->current)) {
        return true;
    }
    s->current->link.awaited = NULL;
    return false;
}

bool sley__frame_must_yield_slow(void)
{
    struct sley_sched *s = sley__self;
    if (sley__task_poll(s, s->current)) {
        return s->budget <= -SLEY__BUDGET; /* one that ignores its cancellation yields all the same */
    }
    return s->budget <= 0;
}

int sley__frame_verdict_slow(void)
{
    struct sley_sched *s = sley__self;
    return sley__task_poll(s, s->current) ? -ECANCELED : 0;
}
