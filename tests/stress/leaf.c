/* The frames: leaves of the tree, and both ends of pipes and bells. Each has a twin among the fibers. */
#include <sley/frame.h>

#include "stress.h"

/* ---- a leaf: waits in this way and that, has a child or two ---------------------------------------------------------- */

enum { LEAF_ACTS = 7 };

struct leaf {
    struct sley_frame frame;
    uint64_t id;
    uint64_t until;
    uint32_t depth, left, n, flags;
    struct rng r;
    union {
        struct sley_timer sleep;
        struct sley_mpsc_op mpsc;
        struct sley_blocking_op job;
        struct sley_task_join_op join;
        struct sley_scope_op scope;
    } op;
    struct sley_timer timer, other;
    struct sley_wait *waits[2];
    struct sley_scope scope;
    struct sley_mpsc ch;
    uint64_t slot, value;
    struct sley_task *child;
    int result;
};

/** A wait that only its deadline ends. */
static void leaf_channel(struct leaf *f)
{
    EXPECT_RC(sley_mpsc_init(&f->ch, &f->slot, 1, sizeof f->slot), 0);
}

static void leaf_scope(struct leaf *f)
{
    const struct sley_scope_opts o = {
        .deadline_ns = chance(&f->r, 40) ? soon(&f->r, 3000) : 0,
        .flags = chance(&f->r, 30) ? SLEY_SCOPE_FAIL_FAST : 0,
    };
    EXPECT_RC(sley_scope_init(&f->scope, &o), 0);
    f->child = NULL;
    EXPECT_RC(spawn_node(&f->scope, &f->r, child_of(f->id, 0), f->depth - 1, &f->child), 0);
    EXPECT_RC(spawn_node(&f->scope, &f->r, child_of(f->id, 1), f->depth - 1, NULL), 0);
    if (chance(&f->r, 20)) {
        sley_task_cancel(f->child);
    } else if (chance(&f->r, 10)) {
        sley_scope_cancel(&f->scope);
    }
}

/** Both timers, one of them moved; the loser stays armed. */
static void leaf_timers(struct leaf *f)
{
    sley_sleep_until_start(&f->timer, soon(&f->r, 2000));
    sley_sleep_until_start(&f->other, soon(&f->r, 2000));
    sley_timer_reset(&f->timer, soon(&f->r, 2000));
    f->waits[0] = &f->timer.wait;
    f->waits[1] = &f->other.wait;
}

static void leaf_joined(struct leaf *f, int rc)
{
    EXPECT(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT);
    if (rc == 0) {
        result_check(child_of(f->id, 0), f->result);
        add(&w.joins);
    }
    sley_task_unref(f->child);
}

static enum sley_step leaf(struct leaf *f)
{
    int rc;
    SLEY_BEGIN(f);
    f->r = rng_of(f->id);
    for (f->left = 1 + below(&f->r, 4); f->left > 0; f->left--) {
        tick();
        f->r = rng_of(child_of(f->id, 1000 + f->left)); /* what one act draws does not depend on how those before went */
        f->n = below(&f->r, LEAF_ACTS);
        f->until = soon(&f->r, 2000);
        f->flags = chance(&f->r, 50) ? SLEY_SELECT_KEEP : SLEY_SELECT_FAIR;
        memset(&f->op, 0, sizeof f->op);
        memset(&f->timer, 0, sizeof f->timer);
        memset(&f->other, 0, sizeof f->other);
        if (f->n == 0) {
            SLEY_YIELD(f, rc);
        } else if (f->n == 1) {
            SLEY_CALL(f, rc, sley_sleep_until, &f->op.sleep, f->until);
            EXPECT(rc == 0 || rc == -ECANCELED);
        } else if (f->n == 2) {
            leaf_channel(f);
            SLEY_CALL_UNTIL(f, rc, &f->timer, f->until, sley_mpsc_recv, &f->op.mpsc, &f->ch, &f->value);
            EXPECT(rc == -ETIMEDOUT || rc == -ECANCELED);
            sley_mpsc_fini(&f->ch, NULL);
        } else if (f->n == 3) {
            f->value = f->id;
            SLEY_CALL(f, rc, sley_blocking, &f->op.job, job, &f->value, &f->result);
            EXPECT(rc == -ECANCELED || (rc == 0 && f->result == result_of(f->id)));
        } else if (f->n == 4) {
            leaf_timers(f);
            SLEY_SELECT(f, rc, f->waits, 2, f->flags);
            EXPECT(rc >= 0 || rc == -ECANCELED);
            sley_wait_cancel(&f->timer.wait);
            SLEY_AWAIT(f, rc, &f->timer.wait);
            sley_wait_cancel(&f->other.wait);
            SLEY_AWAIT(f, rc, &f->other.wait);
        } else if (f->n == 5 && f->depth > 0) {
            leaf_scope(f);
            SLEY_CALL_UNTIL(f, rc, &f->timer, f->until, sley_task_join, &f->op.join, f->child, &f->result);
            leaf_joined(f, rc);
            memset(&f->op, 0, sizeof f->op);
            SLEY_CALL(f, rc, sley_scope_wait, &f->op.scope, &f->scope);
            memset(&f->op, 0, sizeof f->op);
            SLEY_CALL(f, rc, sley_scope_fini, &f->op.scope, &f->scope);
            EXPECT(rc == 0 || rc == -ETIMEDOUT);
        } else {
            SLEY_CONSUME(f, rc);
        }
    }
    f->r = rng_of(child_of(f->id, 1000));
    f->result = chance(&f->r, 10) ? -EIO : sley_cancelled() ? -ECANCELED : result_of(f->id);
    add(&w.ended);
    tick();
    SLEY_RETURN(f, f->result);
    SLEY_END(f);
}
SLEY_FRAME(leaf, struct leaf)

int spawn_leaf(struct sley_scope *scope, uint64_t id, uint32_t depth, struct sley_task **ret_task)
{
    return ret_task ? SLEY_SPAWN_TASK(ret_task, scope, leaf, .id = id, .depth = depth)
                    : SLEY_SPAWN(scope, leaf, .id = id, .depth = depth);
}

/* ---- both ends of a pipe --------------------------------------------------------------------------------------------- */

struct end {
    struct sley_frame frame;
    struct pipe *p;
    uint64_t id, value, until;
    uint32_t count, n;
    struct rng r;
    struct sley_mpsc_op op;
    struct sley_timer timer;
    struct sley_wait *waits[2];
};

static void end_select(struct end *f, bool sends)
{
    f->op = (struct sley_mpsc_op){0};
    f->timer = (struct sley_timer){0};
    if (sends) {
        sley_mpsc_send_start(&f->op, &f->p->ch, &f->value);
    } else {
        sley_mpsc_recv_start(&f->op, &f->p->ch, &f->value);
    }
    sley_sleep_until_start(&f->timer, f->until);
    f->waits[0] = &f->op.wait;
    f->waits[1] = &f->timer.wait;
}

static enum sley_step producer(struct end *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    for (f->n = 0; f->n < f->count; f->n++) {
        f->r = rng_of(child_of(f->id, f->n));
        f->until = soon(&f->r, 500);
        f->value = 1 + below(&f->r, 1000);
        f->op = (struct sley_mpsc_op){0};
        if (chance(&f->r, 60)) {
            SLEY_CALL(f, rc, sley_mpsc_send, &f->op, &f->p->ch, &f->value);
        } else if (chance(&f->r, 50)) {
            f->timer = (struct sley_timer){0};
            SLEY_CALL_UNTIL(f, rc, &f->timer, f->until, sley_mpsc_send, &f->op, &f->p->ch, &f->value);
        } else {
            end_select(f, true);
            SLEY_SELECT(f, rc, f->waits, 2, 0);
            rc = f->op.wait.result;
            rc = rc == -ECANCELED && !sley_cancelled() ? -ETIMEDOUT : rc;
        }
        if (rc == 0) {
            pipe_sent(f->p, f->value);
        } else if (rc != -ETIMEDOUT) {
            EXPECT(rc == -ECANCELED || rc == -EPIPE);
            break;
        }
    }
    pipe_producer_ends(f->p);
    add(&w.ended);
    tick();
    SLEY_END(f);
}
SLEY_FRAME(producer, struct end)

static enum sley_step consumer(struct end *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    for (f->n = 0;; f->n++) {
        f->r = rng_of(child_of(f->id, f->n));
        f->until = soon(&f->r, 500);
        f->op = (struct sley_mpsc_op){0};
        if (chance(&f->r, 60)) {
            SLEY_CALL(f, rc, sley_mpsc_recv, &f->op, &f->p->ch, &f->value);
        } else if (chance(&f->r, 50)) {
            f->timer = (struct sley_timer){0};
            SLEY_CALL_UNTIL(f, rc, &f->timer, f->until, sley_mpsc_recv, &f->op, &f->p->ch, &f->value);
        } else {
            end_select(f, false);
            SLEY_SELECT(f, rc, f->waits, 2, SLEY_SELECT_FAIR);
            rc = f->op.wait.result;
            rc = rc == -ECANCELED && !sley_cancelled() ? -ETIMEDOUT : rc;
        }
        if (rc == 1) {
            pipe_received(f->p, f->value);
        } else if (rc != -ETIMEDOUT) {
            EXPECT(rc == 0 || rc == -ECANCELED);
            break;
        }
        if (chance(&f->r, 2)) {
            break; /* it has had enough */
        }
    }
    pipe_consumer_ends(f->p);
    add(&w.ended);
    tick();
    SLEY_END(f);
}
SLEY_FRAME(consumer, struct end)

/* ---- who listens to a bell ------------------------------------------------------------------------------------------- */

struct listener {
    struct sley_frame frame;
    struct bell *b;
    struct sley_notify_op op;
};

static enum sley_step listener(struct listener *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    while (!bell_over(f->b)) {
        f->op = (struct sley_notify_op){0};
        SLEY_CALL(f, rc, sley_notify_wait, &f->op, &f->b->n);
        tick();
        if (rc < 0) {
            EXPECT_RC(rc, -ECANCELED);
            break;
        }
    }
    bell_unref(f->b);
    add(&w.ended);
    SLEY_END(f);
}
SLEY_FRAME(listener, struct listener)

/* ---- the fibers that do the same ------------------------------------------------------------------------------------- */

struct fiber_args {
    void *at;
    uint64_t id;
    uint32_t count;
};

static int fiber_producer(struct fiber_args *a)
{
    struct pipe *p = a->at;
    for (uint32_t n = 0; n < a->count; n++) {
        struct rng r = rng_of(child_of(a->id, n));
        const uint64_t value = 1 + below(&r, 1000);
        int rc;
        if (chance(&r, 60)) {
            rc = sley_mpsc_send(&p->ch, &value);
        } else if (chance(&r, 50)) {
            rc = SLEY_UNTIL(soon(&r, 500), sley_mpsc_send(&p->ch, &value));
        } else {
            rc = sley_mpsc_reserve(&p->ch, 1);
            if (rc == 0 && chance(&r, 30)) {
                EXPECT_RC(sley_mpsc_release(&p->ch, 1), 0);
                continue;
            }
            rc = rc == 0 ? sley_mpsc_send_reserved(&p->ch, &value) : rc;
        }
        if (rc == 0) {
            pipe_sent(p, value);
        } else if (rc != -ETIMEDOUT) {
            EXPECT(rc == -ECANCELED || rc == -EPIPE);
            break;
        }
    }
    pipe_producer_ends(p);
    add(&w.ended);
    return 0;
}
SLEY_FIBER(fiber_producer, struct fiber_args)

static int fiber_consumer(struct fiber_args *a)
{
    struct pipe *p = a->at;
    for (uint32_t n = 0;; n++) {
        struct rng r = rng_of(child_of(a->id, n));
        struct sley_mpsc_op op = {0};
        uint64_t value;
        int rc;
        if (chance(&r, 60)) {
            rc = sley_mpsc_recv(&p->ch, &value);
        } else {
            sley_mpsc_recv_start(&op, &p->ch, &value);
            rc = sley_await_until(&op.wait, soon(&r, 500));
        }
        if (rc == 1) {
            pipe_received(p, value);
        } else if (rc != -ETIMEDOUT) {
            EXPECT(rc == 0 || rc == -ECANCELED);
            break;
        }
        if (chance(&r, 2)) {
            break;
        }
    }
    pipe_consumer_ends(p);
    add(&w.ended);
    return 0;
}
SLEY_FIBER(fiber_consumer, struct fiber_args)

static int fiber_listener(struct fiber_args *a)
{
    struct bell *b = a->at;
    while (!bell_over(b)) {
        const int rc = sley_notify_wait(&b->n);
        tick();
        if (rc < 0) {
            EXPECT_RC(rc, -ECANCELED);
            break;
        }
    }
    bell_unref(b);
    add(&w.ended);
    return 0;
}
SLEY_FIBER(fiber_listener, struct fiber_args)

int spawn_producer(struct sley_scope *scope, bool as_fiber, struct pipe *p, uint64_t id, uint32_t count)
{
    add(&w.spawned);
    return as_fiber ? SLEY_SPAWN(scope, fiber_producer, .at = p, .id = id, .count = count)
                    : SLEY_SPAWN(scope, producer, .p = p, .id = id, .count = count);
}

void spawn_far_producer(struct pipe *p, uint64_t id, uint32_t count)
{
    add(&w.spawned);
    EXPECT_RC(sley_runtime_spawn(&w.rt, &fiber_producer__type, &(struct fiber_args){.at = p, .id = id, .count = count}, NULL), 0);
}

int spawn_consumer(struct sley_scope *scope, bool as_fiber, struct pipe *p, uint64_t id)
{
    add(&w.spawned);
    return as_fiber ? SLEY_SPAWN(scope, fiber_consumer, .at = p, .id = id) : SLEY_SPAWN(scope, consumer, .p = p, .id = id);
}

int spawn_listener(struct sley_scope *scope, bool as_fiber, struct bell *b, uint64_t id)
{
    add(&w.spawned);
    return as_fiber ? SLEY_SPAWN(scope, fiber_listener, .at = b, .id = id) : SLEY_SPAWN(scope, listener, .b = b);
}
