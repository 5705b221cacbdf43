/* The fibers of the tree: each does a few things that its number says, most of them with tasks of its own. */
#include "stress.h"

enum { KIDS = 6, ACTS = 13 };

int job(void *arg)
{
    uint64_t id;
    memcpy(&id, arg, sizeof id);
    struct rng r = {id};
    add(&w.jobs_begun);
    for (uint32_t i = below(&r, 20000); i > 0 && !sley_cancelled(); i--) {
        __asm__ volatile("" ::: "memory");
    }
    add(&w.jobs_ended);
    tick();
    return result_of(id);
}

/* ---- tasks of the other executor --------------------------------------------------------------------------------------- */

struct side_args {
    struct sley_task *task;
    uint64_t id;
};

/** Joins a task of the executor under test. */
static int side_join(struct side_args *a)
{
    struct rng r = rng_of(a->id ^ 3);
    int result = 0;
    int rc = chance(&r, 30) ? SLEY_UNTIL(soon(&r, 1000), sley_task_join(a->task, &result)) : sley_task_join(a->task, &result);
    if (rc == -ETIMEDOUT) {
        sley_task_cancel(a->task);
        rc = sley_task_join(a->task, &result);
    }
    EXPECT_RC(rc, 0);
    result_check(a->id, result);
    add(&w.joins);
    sley_task_unref(a->task);
    add(&w.ended);
    tick();
    return 0;
}
SLEY_FIBER(side_join, struct side_args)

static int side_work(struct side_args *a)
{
    struct rng r = rng_of(a->id);
    int rc = chance(&r, 50) ? sley_sleep_until(soon(&r, 1500)) : sley_yield();
    if (chance(&r, 30)) {
        rc = sley_park();
    }
    add(&w.ended);
    tick();
    return rc < 0 ? rc : result_of(a->id);
}
SLEY_FIBER(side_work, struct side_args)

static int side_root(void *none)
{
    (void)none;
    return sley_notify_wait(&w.side_ends);
}
SLEY_FIBER(side_root, void)
const struct sley_task_type *const side_root_type = &side_root__type;

static void side_spawn(const struct sley_task_type *type, struct side_args args, struct sley_task **ret_task)
{
    add(&w.spawned);
    EXPECT_RC(sley_runtime_spawn(&w.side, type, &args, ret_task), 0);
}

/* ---- what a task does -------------------------------------------------------------------------------------------------- */

static int act_side(struct rng *r, uint64_t id)
{
    struct sley_task *t;
    int result = 0;
    side_spawn(&side_work__type, (struct side_args){NULL, child_of(id, 90)}, &t);
    int rc = SLEY_UNTIL(soon(r, 1500), sley_task_join(t, &result));
    EXPECT(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED);
    sley_task_cancel(t); /* it may be parked */
    if (rc == -ETIMEDOUT) {
        rc = sley_task_join(t, &result);
    }
    if (rc == 0) {
        result_check(child_of(id, 90), result);
        add(&w.joins);
    }
    sley_task_unref(t);
    return rc;
}

/** Nobody sends: only the deadline, or a cancel, ends these. */
static int act_deadlines(struct rng *r)
{
    uint64_t slot = 0, value = 0;
    struct sley_mpsc ch;
    struct sley_mpsc_op op = {0};
    EXPECT_RC(sley_mpsc_init(&ch, &slot, 1, sizeof slot), 0);
    int rc = SLEY_UNTIL(soon(r, 1000), sley_mpsc_recv(&ch, &value));
    EXPECT(rc == -ETIMEDOUT || rc == -ECANCELED);
    sley_mpsc_recv_start(&op, &ch, &value);
    rc = sley_await_until(&op.wait, soon(r, 1000));
    EXPECT(rc == -ETIMEDOUT || rc == -ECANCELED);
    sley_mpsc_fini(&ch, NULL);
    return rc;
}

static int act_timers(struct rng *r)
{
    SLEY_OP(struct sley_timer, a);
    SLEY_OP(struct sley_timer, b);
    sley_sleep_until_start(&a, soon(r, 2000));
    sley_sleep_until_start(&b, chance(r, 50) ? soon(r, 2000) : SLEY_NEVER);
    for (uint32_t i = below(r, 4); i > 0; i--) {
        sley_timer_reset(&a, soon(r, 1500));
        if (chance(r, 50)) {
            (void)sley_yield();
        }
    }
    struct sley_wait *const waits[] = {&a.wait, NULL, &b.wait};
    const int rc = sley_select(waits, 3, (chance(r, 50) ? SLEY_SELECT_KEEP : 0) | (chance(r, 50) ? SLEY_SELECT_FAIR : 0));
    EXPECT(rc == 0 || rc == 2 || rc == -ECANCELED);
    if (rc == 0 && chance(r, 50)) {
        sley_timer_reset(&a, soon(r, 500));
        return sley_await(&a.wait);
    }
    return rc < 0 ? rc : 0;
}

static int act_blocking(struct rng *r, uint64_t id)
{
    int result = 0, rc;
    if (chance(r, 30)) {
        rc = SLEY_UNTIL(soon(r, 200), sley_blocking(job, &id, &result));
    } else if (chance(r, 30)) {
        const struct sley_blocking_how how = {.flags = SLEY_BLOCKING_ABANDON, .arg_bytes = sizeof id};
        rc = SLEY_UNTIL(soon(r, 200), sley_blocking_with(&how, job, &id, &result));
        EXPECT(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED || rc == -EINPROGRESS);
        rc = rc == -EINPROGRESS ? -ETIMEDOUT : rc;
    } else {
        rc = sley_blocking(job, &id, &result);
    }
    EXPECT(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED);
    EXPECT(rc < 0 || result == result_of(id));
    return rc;
}

static int act_pipe(struct rng *r, uint64_t id)
{
    struct sley_scope scope = {0};
    const uint32_t tx = 1 + below(r, 3), rx = 1 + below(r, 3), foreign = chance(r, 40), far = chance(r, 40);
    struct pipe *p = pipe_new(1 + below(r, 4), tx + foreign + far, rx);
    EXPECT_RC(sley_scope_init(&scope, &(struct sley_scope_opts){.deadline_ns = chance(r, 15) ? soon(r, 2000) : 0}), 0);
    if (foreign) {
        ask((struct request){.kind = REQUEST_SEND, .obj = p, .value = 1 + below(r, 40)});
    }
    if (far) {
        spawn_far_producer(p, child_of(id, 9), 1 + below(r, 60));
    }
    for (uint32_t i = 0; i < tx; i++) {
        EXPECT_RC(spawn_producer(&scope, chance(r, 50), p, child_of(id, 10 + i), 1 + below(r, 60)), 0);
    }
    for (uint32_t i = 0; i < rx; i++) {
        EXPECT_RC(spawn_consumer(&scope, chance(r, 50), p, child_of(id, 20 + i)), 0);
    }
    if (chance(r, 80)) {
        (void)sley_scope_wait(&scope);
    } else {
        (void)sley_yield();
    }
    (void)sley_scope_fini(&scope);
    return 0;
}

static int act_once(struct rng *r, uint64_t id)
{
    struct once *o = once_new(2);
    uint64_t value = 0;
    ask((struct request){.kind = REQUEST_ONCE, .obj = o, .value = mix(id) % 1000});
    int rc;
    if (chance(r, 30)) {
        rc = SLEY_UNTIL(soon(r, 200), sley_oneshot_recv(&o->o, &value));
    } else {
        rc = sley_oneshot_recv(&o->o, &value);
    }
    EXPECT(rc >= 0 || rc == -ETIMEDOUT || rc == -ECANCELED);
    if (rc == 1) {
        atomic_fetch_add_explicit(&o->received, value, memory_order_relaxed);
        add(&w.messages);
    }
    once_unref(o);
    return rc < 0 ? rc : 0;
}

static int act_bell(struct rng *r, uint64_t id)
{
    struct sley_scope scope = {0};
    const uint32_t listeners = 1 + below(r, 3), rings = 1 + below(r, 20);
    struct bell *b = bell_new(listeners + 2, rings);
    EXPECT_RC(sley_scope_init(&scope, NULL), 0);
    for (uint32_t i = 0; i < listeners; i++) {
        EXPECT_RC(spawn_listener(&scope, chance(r, 50), b, child_of(id, 30 + i)), 0);
    }
    const uint32_t mine = below(r, rings);
    ask((struct request){.kind = REQUEST_RING, .obj = b, .value = rings - mine});
    for (uint32_t i = 0; i < mine; i++) {
        bell_ring(b);
        (void)sley_consume();
    }
    (void)sley_scope_wait(&scope);
    (void)sley_scope_fini(&scope);
    bell_unref(b);
    return 0;
}

/* ---- children ------------------------------------------------------------------------------------------------------------ */

static int join_kid(struct rng *r, struct sley_task *t, uint64_t id)
{
    int result = 0;
    const int rc = chance(r, 30) ? SLEY_UNTIL(soon(r, 1500), sley_task_join(t, &result)) : sley_task_join(t, &result);
    EXPECT(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT);
    if (rc == 0) {
        int again = 0;
        EXPECT(sley_task_done(t));
        EXPECT_RC(sley_task_result(t, &again), 0);
        EXPECT_RC(again, result);
        result_check(id, result);
        add(&w.joins);
    }
    return rc;
}

/** Something is done with a handle. Returns whether it is still ours. */
static bool dispose(struct rng *r, struct sley_task *t, uint64_t id)
{
    switch (below(r, 9)) {
    case 0:
        break;
    case 1:
        sley_task_cancel(t);
        break;
    case 2:
        sley_task_cancel(t);
        (void)join_kid(r, t, id);
        break;
    case 3:
        EXPECT_RC(sley_task_detach(t), 0);
        break;
    case 4:
        ask((struct request){.kind = REQUEST_JOIN, .task = t, .value = id});
        return false;
    case 5:
        ask((struct request){.kind = REQUEST_CANCEL, .task = t, .value = id});
        return false;
    case 6:
        side_spawn(&side_join__type, (struct side_args){t, id}, NULL);
        return false;
    case 7:
        return true;
    default:
        if (join_kid(r, t, id) == -ETIMEDOUT) {
            sley_task_cancel(t);
        }
        break;
    }
    sley_task_unref(t);
    return false;
}

static void collect(struct rng *r, struct sley_scope *scope)
{
    struct sley_task *t;
    int result, rc;
    do {
        t = NULL;
        rc = sley_scope_next(scope, chance(r, 50) ? &t : NULL, &result);
        EXPECT(rc == 1 || rc == 0 || rc == -ECANCELED);
        EXPECT(!t || sley_task_done(t));
        sley_task_unref(t);
        tick();
    } while (rc == 1);
}

static void random_scope(struct rng *r, struct sley_scope_opts *o)
{
    o->flags = (chance(r, 30) ? SLEY_SCOPE_FAIL_FAST : 0) | (chance(r, 30) ? SLEY_SCOPE_COLLECT : 0);
    o->limit = chance(r, 25) ? 1 + below(r, 3) : 0;
    o->deadline_ns = chance(r, 25) ? soon(r, 5000) : 0;
    if (chance(r, 10)) {
        o->flags |= SLEY_SCOPE_SHIELD;
        o->deadline_ns = soon(r, 20000);
    }
}

static int act_tree(struct rng *r, uint64_t id, uint32_t depth, uint32_t turn)
{
    struct sley_scope scope = {0};
    struct sley_scope_opts o = {0};
    struct {
        struct sley_task *task;
        uint64_t id;
    } kids[KIDS];
    uint32_t n = 0;
    random_scope(r, &o);
    EXPECT_RC(sley_scope_init(&scope, &o), 0);
    for (uint32_t i = 1 + below(r, KIDS); i > 0; i--) {
        if (o.limit && sley_scope_slot(&scope) < 0) {
            break;
        }
        kids[n].id = child_of(id, 100 * turn + i);
        const bool handle = chance(r, 75);
        EXPECT_RC(spawn_node(&scope, r, kids[n].id, depth - 1, handle ? &kids[n].task : NULL), 0);
        n += handle;
        if (chance(r, 20)) {
            (void)sley_yield();
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!dispose(r, kids[i].task, kids[i].id)) {
            kids[i].task = NULL;
        }
    }
    if (chance(r, 10)) {
        sley_scope_cancel(&scope);
    }
    if (o.deadline_ns && !(o.flags & SLEY_SCOPE_SHIELD) && chance(r, 30)) {
        sley_scope_deadline(&scope, chance(r, 50) ? SLEY_NEVER : soon(r, 3000));
    }
    if (o.flags & SLEY_SCOPE_COLLECT) {
        collect(r, &scope);
    } else if (chance(r, 70)) {
        (void)sley_scope_wait(&scope);
    }
    const int rc = sley_scope_fini(&scope);
    EXPECT(rc == 0 || rc == -ETIMEDOUT);
    for (uint32_t i = 0; i < n; i++) {
        EXPECT(!kids[i].task || sley_task_done(kids[i].task));
        sley_task_unref(kids[i].task);
    }
    return 0;
}

static int act(struct rng *r, const struct node_args *a, uint32_t turn)
{
    switch (below(r, ACTS + a->depth)) {
    case 0:
        return sley_yield();
    case 1:
        return sley_sleep_until(soon(r, 2000));
    case 2:
        return act_side(r, a->id);
    case 3:
        return act_deadlines(r);
    case 4:
        return act_timers(r);
    case 5:
        return act_blocking(r, a->id);
    case 6:
        return act_pipe(r, a->id);
    case 7:
        return act_once(r, a->id);
    case 8:
        return act_bell(r, a->id);
    case 9:
        return act_stream(r, a->id);
    case 10:
        return act_elsewhere(r, a->id);
    case 11:
        ask((struct request){.kind = REQUEST_SPAWN, .value = child_of(a->id, 80 + turn)});
        return 0;
    default:
        return a->depth > 0 ? act_tree(r, a->id, a->depth, turn) : sley_consume();
    }
}

static int node(struct node_args *a)
{
    struct rng r = rng_of(a->id);
    int rc = 0;
    for (uint32_t i = 1 + below(&r, 4); i > 0; i--) {
        r = rng_of(child_of(a->id, 1000 + i)); /* what one act draws does not depend on how those before went */
        rc = act(&r, a, i);
        tick();
        if (rc == -ECANCELED && chance(&r, 70)) {
            break; /* others go on: cancellation stays, and nothing may hang */
        }
    }
    r = rng_of(child_of(a->id, 1000));
    const int result = chance(&r, 10) ? -EIO : sley_cancelled() ? -ECANCELED : result_of(a->id);
    add(&w.ended);
    tick();
    return result;
}
SLEY_FIBER(node, struct node_args)
const struct sley_task_type *const root_type = &node__type;

int spawn_node(struct sley_scope *scope, struct rng *r, uint64_t id, uint32_t depth, struct sley_task **ret_task)
{
    add(&w.spawned);
    return chance(r, 40) ? spawn_leaf(scope, id, depth, ret_task)
           : ret_task    ? SLEY_SPAWN_TASK(ret_task, scope, node, .id = id, .depth = depth)
                         : SLEY_SPAWN(scope, node, .id = id, .depth = depth);
}
