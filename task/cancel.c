/* Cancellation: a bit of scopes and tasks; each task looks in its own context and passes it to the scopes it has opened. */
#include "core.h"

/** Is a scope, or one outside it up to the nearest shield, cancelled? A task's own bit counts just outside the scopes it opened. */
bool sley__scope_cancelled(const struct sley_scope *sc)
{
    for (; sc; sc = sc->parent) {
        if (sley__scope_flags(sc) & SLEY__SCOPE_CANCELLED) {
            return true;
        }
        if (sley__scope_flags(sc) & SLEY_SCOPE_SHIELD) {
            return false;
        }
        const bool outermost = sc->owner && (!sc->parent || sc->parent->owner != sc->owner);
        if (outermost && (sley__task_state(sc->owner) & SLEY__TASK_CANCEL)) {
            return true;
        }
    }
    return false;
}

static bool task_cancelled(const struct sley_task *t)
{
    const struct sley_scope *in = sley__task_scope(t);
    const bool inside = in->owner == t; /* then its own bit is met on the way out */
    return (!inside && (sley__task_state(t) & SLEY__TASK_CANCEL)) || sley__scope_cancelled(in);
}

void sley__task_poke(struct sley_task *t)
{
    struct sley_sched *s = t->sched;
    if (sley__group(s)) {
        sley__shared_poke(t, 0);
        return;
    }
    sley__task_set(t, sley__task_state(t) | SLEY__TASK_POKED);
    if (s->current == t) {
        s->budget = 0;
    }
    sley__task_wake_home(s, t);
}

void sley__task_recheck(struct sley_task *t)
{
    sley__task_bits(t, SLEY__TASK_POKED, 0);
    sley_sched_current()->budget = 0;
}

void sley__scope_mark(struct sley_scope *sc)
{
    sley__scope_lock(sc);
    sley__scope_mark_locked(sc);
    sley__scope_unlock(sc);
}

void sley__scope_mark_locked(struct sley_scope *sc)
{
    if (sley__scope_flags(sc) & SLEY__SCOPE_CANCELLED) {
        return;
    }
    sley__scope_add_flags(sc, SLEY__SCOPE_CANCELLED);
    struct sley_task *t = sc->children;
    for (uint32_t left = sc->live_count; left > 0; left--) {
        sley__task_poke(t);
        t = t->sibling_next;
    }
    if (sc->owner) {
        sley__task_poke(sc->owner);
    }
}

/** The current task looks, after a poke or when its budget is used up. Leaves the budget positive only if it was just poked. */
bool sley__task_poll(struct sley_sched *s, struct sley_task *t)
{
    const uint32_t state = sley__task_state(t);
    bool cancelled = (state & SLEY__TASK_CANCELLED) != 0;
    if (sley__group(s)) {
        return state & SLEY__TASK_POKED ? sley__shared_poll(s, t) : cancelled;
    }
    if (state & SLEY__TASK_POKED) {
        sley__task_set(t, state & ~(uint32_t)SLEY__TASK_POKED);
        for (struct sley_scope *own = sley__task_scope(t); own->owner == t; own = own->parent) {
            if (!(sley__scope_flags(own) & SLEY__SCOPE_CANCELLED) && sley__scope_cancelled(own)) {
                sley__scope_mark(own);
            }
        }
        cancelled = task_cancelled(t);
        const uint32_t now = sley__task_state(t) & ~(uint32_t)(SLEY__TASK_POKED | SLEY__TASK_CANCELLED);
        sley__task_set(t, now | (cancelled ? (uint32_t)SLEY__TASK_CANCELLED : 0));
        s->budget = cancelled ? 0 : SLEY__BUDGET;
    }
    return cancelled;
}

SLEY__TLS const SLEY_ATOMIC(uint32_t) * sley__job_cancelled;

bool sley_cancelled(void)
{
    struct sley_sched *s = sley_sched_current();
    if (!s) {
        const SLEY_ATOMIC(uint32_t) *job = sley__job_cancelled;
        /* relaxed: a request; nothing travels with it */
        return job && atomic_load_explicit(job, memory_order_relaxed) != 0;
    }
    struct sley_task *t = s->current;
    /* at home whoever asks takes the budget, too; another worker leaves word in the state alone */
    const bool told = t && (s->budget <= 0 || (sley__group(s) && (sley__task_state(t) & SLEY__TASK_POKED)));
    return told && sley__task_poll(s, t);
}
