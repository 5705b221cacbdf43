/* The queues of a worker: who stands in which, moving while queued, giving way. How they are served is the executor's. */
#include "core.h"

static struct sley_lane *lane_at(struct sley_sched *s, uint32_t lane)
{
    return lane ? &s->lanes[lane] : &s->ready;
}

static uint32_t lane_of(uint32_t state)
{
    return (state & SLEY__TASK_LANE_MASK) >> SLEY__TASK_LANE_SHIFT;
}

void sley__lane_push(struct sley_sched *s, struct sley_task *t, uint32_t lane)
{
    struct sley_lane *l = lane_at(s, lane);
    const uint32_t state = sley__task_state(t);
    const bool was_empty = l->head == NULL;
    if (state & SLEY__TASK_EXT) { /* others may hold handles, and move it */
        sley__task_handle(t)->behind = l->tail;
        sley__task_set(t, state | SLEY__TASK_LINKED);
    }
    *l->tail = t;
    l->tail = &t->link.next;
    if (was_empty && lane && s->ops->lane_ready) {
        s->ops->lane_ready(s, lane);
    }
}

/** Takes a task that is SCHEDULED out of its lane. Returns false when it is not there: its spawn is not complete. */
static bool take_out(struct sley_lane *l, struct sley_task *t)
{
    struct sley_task **at = &l->head;
    if (l->head != t && (sley__task_state(t) & SLEY__TASK_LINKED)) {
        at = sley__task_handle(t)->behind; /* whoever is before it is still there, else it would be the head */
    }
    while (*at && *at != t) {
        at = &(*at)->link.next;
    }
    if (!*at) {
        return false;
    }
    struct sley_task *next = t->link.next;
    *at = next;
    if (!next) {
        l->tail = at;
    } else if (sley__task_state(next) & SLEY__TASK_LINKED) {
        sley__task_handle(next)->behind = at;
    }
    return true;
}

static void move(struct sley_sched *s, struct sley_task *t, uint32_t lane)
{
    const uint32_t state = sley__task_state(t);
    if (lane_of(state) == lane) {
        return;
    }
    const bool queued = (state & SLEY__TASK_RUN_MASK) == SLEY__TASK_SCHEDULED && take_out(lane_at(s, lane_of(state)), t);
    sley__task_set(t,
                   (state & ~(uint32_t)(SLEY__TASK_LANE_MASK | SLEY__TASK_LINKED)) | SLEY__TASK_MOVES | lane << SLEY__TASK_LANE_SHIFT);
    if (queued) {
        t->link.next = NULL;
        sley__lane_push(s, t, lane);
    }
}

/** The lane that @p o asks for, if any, goes into the state's bits. Returns: 0; -EINVAL. */
int sley__spawn_lane(const struct sley_sched *s, const struct sley_spawn_opts *o, uint32_t *state)
{
    if (o->priority > SLEY_PRIORITY_MAX || (o->queue && o->queue->sched != s)) {
        return -EINVAL;
    }
    const bool leveled = o->priority && s->level_count;
    if (leveled || o->queue) {
        const uint32_t lane = o->queue ? o->queue->lane : o->priority - 1;
        *state = (*state & ~(uint32_t)SLEY__TASK_LANE_MASK) | lane << SLEY__TASK_LANE_SHIFT | (leveled ? (uint32_t)SLEY__TASK_MOVES : 0);
    }
    return 0;
}

int sley_task_set_priority(struct sley_task *t, uint32_t level)
{
    struct sley_sched *s = sley_sched_current();
    t = t || !s ? t : s->current;
    if (!t || t->sched != s || level < SLEY_PRIORITY_DEFAULT || level > SLEY_PRIORITY_MAX) {
        return -EINVAL;
    }
    if (!s->level_count) {
        return -ENOTSUP;
    }
    move(s, t, level - 1);
    return 0;
}

uint32_t sley_priority(void)
{
    const struct sley_sched *s = sley_sched_current();
    if (!s || !s->current) {
        return 0;
    }
    return s->level_count ? lane_of(sley__task_state(s->current)) + 1 : SLEY_PRIORITY_DEFAULT;
}

/* ---- how many are in it ------------------------------------------------------------------------------------------ */

static uint32_t count(const struct sley_scope *sc, uint32_t lane)
{
    uint32_t n = 0;
    const struct sley_task *t = sc->children;
    for (uint32_t left = sc->live_count; left > 0; left--) {
        n += lane_of(sley__task_state(t)) == lane;
        for (const struct sley_scope *own = sley__task_scope(t); own->owner == t; own = own->parent) {
            n += count(own, lane);
        }
        t = t->sibling_next;
    }
    return n;
}

uint32_t sley_sched_lane_live(const struct sley_sched *s, uint32_t lane)
{
    return count(s->root, lane);
}

/* ---- giving way -------------------------------------------------------------------------------------------------- */

static SLEY_NOINLINE bool need_preempt_slowly(struct sley_sched *s)
{
    return s->budget <= 0 || (s->ops->need_preempt ? s->ops->need_preempt(s) : sley_sched_draw(s));
}

bool sley_need_preempt(void)
{
    struct sley_sched *s = sley__self;
    if (SLEY_UNLIKELY(!s || !s->current)) {
        return false;
    }
    /* relaxed: a hint; who sets it ends a slice, and sends nothing along */
    if (SLEY_UNLIKELY(atomic_load_explicit(&s->preempt, memory_order_relaxed))) {
        return need_preempt_slowly(s);
    }
    return s->budget <= 0;
}
