/* The rig of the blocking pool's tests. */
#include "rig.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "executor/blocking/pool.h"

void gate_init(struct gate *g)
{
    CHECK_INT(sem_init(&g->entered, 0, 0), ==, 0);
    CHECK_INT(sem_init(&g->open, 0, 0), ==, 0);
    g->ran = g->inside = g->most = 0;
}

static void take(sem_t *s)
{
    while (sem_wait(s) != 0) {
        CHECK_INT(errno, ==, EINTR);
    }
}

void gate_wait(struct gate *g, int n)
{
    while (n-- > 0) {
        take(&g->entered);
    }
}

void gate_open(struct gate *g, int n)
{
    while (n-- > 0) {
        CHECK_INT(sem_post(&g->open), ==, 0);
    }
}

int gate_job(void *arg)
{
    struct gate *g = arg;
    const int before = atomic_fetch_add_explicit(&g->ran, 1, memory_order_relaxed);
    const int now = atomic_fetch_add_explicit(&g->inside, 1, memory_order_relaxed) + 1;
    int most = atomic_load_explicit(&g->most, memory_order_relaxed);
    while (now > most && !atomic_compare_exchange_weak_explicit(&g->most, &most, now, memory_order_relaxed, memory_order_relaxed)) {
    }
    CHECK_INT(sem_post(&g->entered), ==, 0);
    take(&g->open);
    atomic_fetch_sub_explicit(&g->inside, 1, memory_order_relaxed);
    return before;
}

int count_job(void *arg)
{
    SLEY_ATOMIC(int) *n = arg;
    return atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

/* ---- tasks that ask ------------------------------------------------------------------------------------------------ */

struct asking {
    struct ask *ask;
};
static int asking(struct asking *a)
{
    struct ask *k = a->ask;
    k->verdict = sley_blocking_with(k->how, k->fn, k->arg, &k->result);
    return k->verdict;
}
SLEY_FIBER(asking, struct asking)

struct asking_frame {
    struct sley_frame frame;
    struct ask *ask;
    struct sley_blocking_op op;
};
static enum sley_step asking_frame(struct asking_frame *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, sley_blocking_with, &f->op, f->ask->how, f->ask->fn, f->ask->arg, &f->ask->result);
    f->ask->verdict = rc;
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(asking_frame, struct asking_frame)

void ask_spawn(struct sley_runtime *rt, int style, struct ask *a)
{
    a->verdict = a->result = 12345;
    if (style == 0) {
        CHECK_RC(sley_runtime_spawn(rt, &asking__type, &(struct asking){a}, &a->task), 0);
    } else {
        CHECK_RC(sley_runtime_spawn(rt, &asking_frame__type, &(struct asking_frame){.ask = a}, &a->task), 0);
    }
}

void rig_turn(struct sley_runtime *rt)
{
    while (sley_runtime_turn(rt, NULL) != SLEY_TURN_IDLE) {
    }
}

int ask_wait(struct sley_runtime *rt, struct ask *a)
{
    CHECK_RC(rt->executor->ops->run(rt->executor, a->task), 0);
    sley_task_unref(a->task);
    return a->verdict;
}

/* ---- the rest ------------------------------------------------------------------------------------------------------- */

void reports_take(void *arg, enum sley_report_kind kind, const char *text)
{
    struct reports *r = arg;
    const size_t len = strlen(r->text);
    CHECK_INT(kind, ==, SLEY_REPORT_LEFT);
    (void)snprintf(r->text + len, sizeof r->text - len, "%s\n", text);
    r->count++;
}

struct sley_blocking_pool *rig_pool(uint32_t min, uint32_t max, uint32_t queue, uint64_t idle_ns)
{
    struct sley_blocking_pool *p;
    const struct sley_blocking_opts o = {
        .thread_min = min, .thread_max = max, .queue_max = queue, .idle_ns = idle_ns, .alloc = harness_alloc()};
    CHECK_RC(sley_blocking_create(&o, &p), 0);
    return p;
}

void rig_runtime(struct sley_runtime *rt, struct sley_blocking_pool *pool)
{
    CHECK_RC(sley_runtime_init(rt, &(struct sley_runtime_opts){.alloc = harness_alloc(), .blocking = pool}), 0);
}

void rig_runtime_end(struct sley_runtime *rt)
{
    CHECK_RC(sley_runtime_stop(rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(rt), 0);
}

void rig_stats(struct sley_blocking_pool *p, struct rig_stats *ret_stats)
{
    struct sley__blocking_queue *q = &p->queue;
    sley__queue_lock(q);
    *ret_stats = (struct rig_stats){sley__queue_live(q), q->idle_count, sley__queue_count(q)};
    sley__queue_unlock(q);
}

void rig_settle(struct sley_blocking_pool *p, uint32_t threads, uint32_t idle)
{
    struct rig_stats s;
    do {
        (void)sched_yield();
        rig_stats(p, &s);
    } while (s.thread_count != threads || s.idle_count != idle);
}
