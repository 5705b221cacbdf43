/* Scopes: waiting for children, closing, deadlines. Cancellation itself is in cancel.c; the rings of children are in core.h. */
#include "core.h"

/* ---- opening, deadline, cancel from elsewhere ------------------------------------------------------------------- */

const struct sley_wait_ops sley__scope_deadline_ops = {.version = SLEY_WAIT_VERSION, .name = "scope.deadline"};

/** Requests of other threads, in `requests`. */
enum { REQ_CANCEL = 1 };

static void posted(struct sley_post *post)
{
    struct sley_scope *sc = sley_container_of(post, struct sley_scope, post);
    /* acq_rel: acquires what the asking thread did; releases the post for the next one who asks */
    if (atomic_exchange_explicit(&sc->requests, 0, memory_order_acq_rel) & REQ_CANCEL) {
        sley__scope_mark(sc);
    }
    sley__scope_child_ended(sc);
}

void sley__scope_open(struct sley_scope *sc, struct sley_sched *s, struct sley_task *owner, const struct sley_scope_opts *o)
{
    *sc = (struct sley_scope){
        .owner = owner,
        .sched = s,
        .limit = o ? o->limit : 0,
        .flags = (o ? o->flags : 0) | (o && o->limit ? SLEY__SCOPE_LIMIT : 0) | SLEY__SCOPE_OPEN,
        .name = o ? o->name : NULL,
        .post = {.fn = posted},
    };
}

static void deadline_arm(struct sley_scope *sc, uint64_t deadline_ns)
{
    sc->deadline.wait.ops = &sley__scope_deadline_ops;
    sc->deadline.node.deadline_ns = deadline_ns;
    struct sley_sched *s = sley_sched_current();
    s->ops->timer_arm(s, &sc->deadline);
}

void sley__scope_deadline_hit(struct sley_timer *t)
{
    struct sley_scope *sc = sley_container_of(t, struct sley_scope, deadline);
    sley__scope_lock(sc);
    sley__scope_add_flags(sc, SLEY__SCOPE_DEADLINE);
    sley__scope_mark_locked(sc);
    sley__scope_unlock(sc);
}

int sley_scope_init(struct sley_scope *sc, const struct sley_scope_opts *o)
{
    struct sley_sched *s = sley_sched_current();
    const uint32_t known = SLEY_SCOPE_FAIL_FAST | SLEY_SCOPE_SHIELD | SLEY_SCOPE_COLLECT;
    const uint64_t deadline_ns = o && o->deadline_ns ? o->deadline_ns : SLEY_NEVER;
    const bool shield = o && (o->flags & SLEY_SCOPE_SHIELD);
    if (!sc || (o && (o->flags & ~known)) || (shield && deadline_ns == SLEY_NEVER)) {
        return -EINVAL;
    }
    if (!s || !s->current) {
        return -ESRCH;
    }
    struct sley_task *t = s->current;
    const bool look = (sley__task_state(t) & (SLEY__TASK_POKED | SLEY__TASK_CANCELLED)) != 0;
    const bool cancelled = look && sley__task_poll(s, t);
    sley__scope_open(sc, s, t, o);
    if (cancelled && !shield) {
        sley__scope_add_flags(sc, SLEY__SCOPE_CANCELLED); /* what is spawned into it is cancelled from the start, as its opener is */
    }
    sc->parent = sley__task_scope(t);
    sley__task_set_scope(t, sc);
    sley__task_bits(t, SLEY__TASK_OPEN, 0);
    if (deadline_ns != SLEY_NEVER) {
        sley_scope_deadline(sc, deadline_ns);
    }
    if (shield) {
        sley__task_recheck(t);
    }
    return 0;
}

void sley_scope_deadline(struct sley_scope *sc, uint64_t deadline_ns)
{
    struct sley_sched *s = sc->sched;
    (void)s->ops->timer_disarm(s, &sc->deadline);
    if (deadline_ns == SLEY_NEVER || (sley__scope_flags(sc) & SLEY__SCOPE_DEADLINE)) {
        return;
    }
    if (deadline_ns <= s->ops->now_ns(s)) {
        sley__scope_deadline_hit(&sc->deadline);
    } else {
        deadline_arm(sc, deadline_ns);
    }
}

void sley_scope_cancel(struct sley_scope *sc)
{
    if (sley__group(sc->sched) || sc->sched == sley_sched_current()) {
        sley__scope_mark(sc);
        return;
    }
    /* acq_rel: releases what this thread did before; the first to make it non-zero posts */
    if (atomic_fetch_or_explicit(&sc->requests, REQ_CANCEL, memory_order_acq_rel) == 0) {
        (void)sley__inbox_push(sc->sched, &sc->post.link, SLEY__ITEM_POST);
    }
}

uint32_t sley_scope_count(const struct sley_scope *sc)
{
    return sc->live_count;
}

/* ---- the owner's ops -------------------------------------------------------------------------------------------- */

static struct sley_scope_op *op_of(struct sley_wait *w)
{
    return sley_container_of(w, struct sley_scope_op, wait);
}

static int verdict(const struct sley_scope *sc)
{
    return (sley__scope_flags(sc) & SLEY__SCOPE_DEADLINE) ? -ETIMEDOUT : sc->first_error;
}

/** Takes the oldest finished child. 1, 0 = none left, -EAGAIN. */
static int take_finished(struct sley_scope *sc, struct sley_task **ret_task, int *ret_result)
{
    struct sley_task *t = sc->finished;
    if (!t) {
        return sc->live_count ? -EAGAIN : 0;
    }
    sley__ring_remove(&sc->finished, t);
    if (ret_result) {
        *ret_result = sley__task_result(t);
    }
    if (sley__group(sc->sched)) {
        sley__shared_take(t, ret_task);
        return 1;
    }
    sley__task_set(t, sley__task_state(t) & ~(uint32_t)SLEY__TASK_RINGED);
    if (ret_task) {
        sley__task_set(t, sley__task_state(t) + SLEY__TASK_REF);
        sc->sched->handle_count++;
        *ret_task = t;
    }
    if (sley__task_state(t) >= SLEY__TASK_REF) {
        sley__task_keep(sc->sched, t);
    } else {
        sley__task_release(sc->sched, t);
    }
    return 1;
}

static bool op_remove(struct sley_scope *sc, struct sley_wait *w)
{
    struct sley_wait **at = &sc->waiters;
    while (*at && *at != w) {
        at = &op_of(*at)->next;
    }
    if (!*at) {
        return false; /* another worker is about to complete it */
    }
    *at = op_of(w)->next;
    return true;
}

static void op_cancel(struct sley_wait *w)
{
    struct sley_scope *sc = op_of(w)->scope;
    sley__scope_lock(sc);
    const bool waits = op_remove(sc, w);
    sley__scope_unlock(sc);
    if (waits) {
        sley_wait_complete(w, -ECANCELED);
    }
}

/** Taking children: when it is this scope that was cancelled, they are all ending, and each is still handed out. */
static void next_cancel(struct sley_wait *w)
{
    if (!(sley__scope_flags(op_of(w)->scope) & SLEY__SCOPE_CANCELLED)) {
        op_cancel(w);
    }
}

/** Waiting for children is never cancelled, but for executors, which wait for their roots. */
static void wait_cancel(struct sley_wait *w)
{
    if (!op_of(w)->scope->owner) {
        op_cancel(w);
    }
}

/** Its oldest child. Where others run the children, too, one may be gone before its name is read. */
static const struct sley_task *scope_holder(const struct sley_wait *w)
{
    const struct sley_scope *sc = ((const struct sley_scope_op *)(const void *)w)->scope;
    return sc->sched->ops->caps & SLEY_SCHED_CAP_HOME ? sc->children : NULL;
}

static const struct sley_wait_ops wait_ops = {
    .version = SLEY_WAIT_VERSION, .name = "scope.wait", .cancel = wait_cancel, .holder = scope_holder};
static const struct sley_wait_ops fini_ops = {.version = SLEY_WAIT_VERSION, .name = "scope.fini", .holder = scope_holder};
static const struct sley_wait_ops next_ops = {.version = SLEY_WAIT_VERSION, .name = "scope.next", .cancel = next_cancel};
static const struct sley_wait_ops slot_ops = {.version = SLEY_WAIT_VERSION, .name = "scope.slot", .cancel = op_cancel};

/** Nothing is left that could touch it: the task stands outside again. */
static void scope_close(struct sley_scope *sc)
{
    struct sley_task *t = sc->owner;
    sley__scope_drop_flags(sc, SLEY__SCOPE_OPEN);
    while (take_finished(sc, NULL, NULL) > 0) {
    }
    sley__task_set_scope(t, sc->parent);
    if (sc->parent->owner != t) {
        sley__task_bits(t, 0, SLEY__TASK_OPEN);
    }
    const bool matters = (sley__scope_flags(sc) & (SLEY__SCOPE_CANCELLED | SLEY_SCOPE_SHIELD)) != 0;
    if (matters) {
        sley__task_poke(t);
    }
}

static bool closable(const struct sley_scope *sc)
{
    /* acquire: a request that has been posted must have arrived before the scope's memory goes */
    return sc->live_count == 0 && atomic_load_explicit(&sc->requests, memory_order_acquire) == 0;
}

/** Is what @p w waits for there? Then does it, with the result in `*ret_result`. */
static bool op_try(struct sley_scope *sc, struct sley_wait *w, int *ret_result)
{
    struct sley_scope_op *op = op_of(w);
    if (w->ops == &wait_ops) {
        *ret_result = verdict(sc);
        return sc->live_count == 0;
    }
    if (w->ops == &next_ops) {
        *ret_result = take_finished(sc, op->ret_task, op->ret_result);
        return *ret_result != -EAGAIN;
    }
    if (w->ops == &slot_ops) {
        *ret_result = 0;
        return sc->limit == 0 || sc->live_count < sc->limit;
    }
    if (!closable(sc)) {
        return false;
    }
    scope_close(sc);
    *ret_result = (sley__scope_flags(sc) & SLEY__SCOPE_DEADLINE) ? -ETIMEDOUT : 0;
    return true;
}

struct sley_wait *sley__scope_take_ops(struct sley_scope *sc)
{
    struct sley_wait *taken = NULL, **tail = &taken, **at = &sc->waiters;
    while (*at) {
        struct sley_wait *w = *at;
        int result;
        if (op_try(sc, w, &result)) {
            *at = op_of(w)->next;
            w->result = result;
            *tail = w;
            tail = &op_of(w)->next;
        } else {
            at = &op_of(w)->next;
        }
    }
    *tail = NULL;
    return taken;
}

void sley__scope_complete_ops(struct sley_wait *taken)
{
    while (taken) {
        struct sley_wait *w = taken;
        taken = op_of(w)->next;
        sley_wait_complete(w, w->result);
    }
}

void sley__scope_child_ended(struct sley_scope *sc)
{
    sley__scope_complete_ops(sley__scope_take_ops(sc)); /* after it the scope's memory may be gone */
}

static void op_go(struct sley_scope_op *op, struct sley_scope *sc)
{
    int result;
    op->scope = sc;
    sley__scope_lock(sc);
    const bool ready = op_try(sc, &op->wait, &result);
    if (!ready) {
        sley_wait_arm(&op->wait);
        op->next = sc->waiters;
        sc->waiters = &op->wait;
    }
    sley__scope_unlock(sc);
    if (ready) {
        sley_wait_finish(&op->wait, result);
    }
}

void sley_scope_wait_start(struct sley_scope_op *op, struct sley_scope *sc)
{
    sley_wait_begin_always(&op->wait, &wait_ops);
    op_go(op, sc);
}

void sley_scope_next_start(struct sley_scope_op *op, struct sley_scope *sc, struct sley_task **ret_task, int *ret_result)
{
    struct sley_sched *s = sley__self;
    if (s && s->budget <= 0 && s->current) {
        (void)sley__task_poll(s, s->current); /* a cancel from outside reaches this scope first */
    }
    if (sley__scope_flags(sc) & SLEY__SCOPE_CANCELLED) {
        sley_wait_begin_always(&op->wait, &next_ops);
    } else if (!sley_wait_begin(&op->wait, &next_ops)) {
        return;
    }
    if (!(sley__scope_flags(sc) & SLEY_SCOPE_COLLECT)) {
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    op->ret_task = ret_task;
    op->ret_result = ret_result;
    op_go(op, sc);
}

int sley_scope_try_next(struct sley_scope *sc, struct sley_task **ret_task, int *ret_result)
{
    if (!(sley__scope_flags(sc) & SLEY_SCOPE_COLLECT)) {
        return -EINVAL;
    }
    sley__scope_lock(sc);
    const int rc = take_finished(sc, ret_task, ret_result);
    sley__scope_unlock(sc);
    return rc;
}

void sley_scope_slot_start(struct sley_scope_op *op, struct sley_scope *sc)
{
    if (sley_wait_begin(&op->wait, &slot_ops)) {
        op_go(op, sc);
    }
}

void sley_scope_fini_start(struct sley_scope_op *op, struct sley_scope *sc)
{
    sley_wait_begin_always(&op->wait, &fini_ops);
    if (!(sley__scope_flags(sc) & SLEY__SCOPE_OPEN)) {
        sley_wait_finish(&op->wait, 0);
        return;
    }
    struct sley_sched *s = sley_sched_current();
    if (!s || s->current != sc->owner || sley__task_scope(s->current) != sc) {
        sley__misuse(sc->owner, op->wait.at.site, "a scope was closed out of order, or by another task",
                     "scopes close in the reverse order of opening, in the task that opened them");
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    sley__scope_lock(sc);
    sley__scope_add_flags(sc, SLEY__SCOPE_CLOSED);
    const bool live = sc->live_count != 0;
    sley__scope_unlock(sc);
    (void)s->ops->timer_disarm(s, &sc->deadline);
    if (live) {
        sley__scope_mark(sc);
    }
    op_go(op, sc);
}

/* ---- direct forms ----------------------------------------------------------------------------------------------- */

int sley_scope_wait(struct sley_scope *sc)
{
    SLEY__DIRECT(struct sley_scope_op, sley_scope_wait, sc);
}

int sley_scope_next(struct sley_scope *sc, struct sley_task **ret_task, int *ret_result)
{
    SLEY__DIRECT(struct sley_scope_op, sley_scope_next, sc, ret_task, ret_result);
}

int sley_scope_slot(struct sley_scope *sc)
{
    SLEY__DIRECT(struct sley_scope_op, sley_scope_slot, sc);
}

int sley_scope_fini(struct sley_scope *sc)
{
    if (!(sley__scope_flags(sc) & SLEY__SCOPE_OPEN)) {
        return 0;
    }
    SLEY__DIRECT(struct sley_scope_op, sley_scope_fini, sc);
}

/* ---- SLEY_UNTIL: a scope in a task, a record of the thread elsewhere --------------------------------------------- */

void sley__until_enter(struct sley__until *u, uint64_t deadline_ns)
{
    const struct sley_sched *s = sley_sched_current();
    u->on_thread = !s || !s->current || s->current->type->style != SLEY_STYLE_FIBER; /* a frame is refused by the call */
    u->deadline_ns = deadline_ns;
    if (u->on_thread) {
        sley__thread_until_push(u);
        return;
    }
    (void)sley_scope_init(&u->scope, &(struct sley_scope_opts){.name = "until"});
    if (deadline_ns != SLEY_NEVER) {
        deadline_arm(&u->scope, deadline_ns); /* one that has passed hits when time is next looked at: the call is tried once */
    }
}

int sley__until_leave(struct sley__until *u, int rc)
{
    bool passed;
    if (u->on_thread) {
        passed = sley__thread_until_pop(u);
    } else {
        struct sley_scope_op op = {0};
        passed = (sley__scope_flags(&u->scope) & SLEY__SCOPE_DEADLINE) != 0;
        sley_scope_fini_start(&op, &u->scope); /* not the direct form: that may yield, and rc may be something acquired */
        (void)sley_await(&op.wait);
    }
    return passed && rc == -ECANCELED ? -ETIMEDOUT : rc;
}
