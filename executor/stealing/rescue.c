/* What is done for a worker that is stuck in one task: others take its queue, fire its timers, serve its reactor.
 *
 * A worker is stuck when it has been in one resume for longer than the configuration's stuck_ns (the watchdog says so, and says it
 * again at every look while it lasts), or by its own word (sley_block_in_place). `stuck` of the worker is set then, and somebody
 * woken, and another one at each look that finds it set still; whoever looks at his own timers next looks at those of the stuck, too.
 * The ring needs no help: it is there to be stolen from. Nothing is taken over for good: the stuck worker finds everything in its
 * place when it comes back, for each thing that a rescuer touches has a lock (wheel, reactor) or is taken by one exchange (LIFO
 * slot). */
#include "rescue.h"

#include <sley/fiber.h>

static void say_stuck(struct worker *w)
{
    /* relaxed: an estimate; what lies in its queue is worth taking from now on, until it moves */
    atomic_store_explicit(&w->late_ns, BEHIND_NS, memory_order_relaxed);
    /* acq_rel: once per worker at a time; pairs with sley__rescue */
    if (!atomic_exchange_explicit(&w->stuck, 1, memory_order_acq_rel)) {
        /* release: the flag before the count; pairs with sley__rescue */
        atomic_fetch_add_explicit(&w->pool->stuck_count, 1, memory_order_release);
    } else { /* whoever was woken for it has not come: he waits for a processor, and another one may get there sooner */
        for (uint32_t i = 0; i < w->pool->plan.count && !sley_sched_nudge(w->pool->scheds[i]); i++) {
        }
    }
    sley__idle_notify(w->pool, WORK_WORTH);
}

static void on_stuck(void *arg, struct sley_sched *sched, uint64_t stalled_ns)
{
    (void)arg, (void)stalled_ns;
    say_stuck(worker_of(sched));
}

static void help(struct worker *w, struct worker *victim)
{
    struct sley_task *t = sley__lifo_rob(&victim->lifo);
    if (t) {
        sley__worker_push(w, t);
        sley__idle_tell(w->pool); /* something else may run first */
    }
    (void)sley__worker_run_timers(victim);
    sley_reactor_serve(victim->reactor);
}

void sley__rescue(struct worker *w)
{
    struct sley_stealing_pool *p = w->pool;
    for (struct worker *victim = p->workers; victim < p->workers + p->plan.count; victim++) {
        /* acq_rel: one rescuer at a time; what led to the flag is seen. Who looks here is not stuck himself any more */
        if (atomic_exchange_explicit(&victim->stuck, 0, memory_order_acq_rel)) {
            /* relaxed: only says whether it is worth to look */
            atomic_fetch_sub_explicit(&p->stuck_count, 1, memory_order_relaxed);
            if (victim != w) {
                help(w, victim);
            }
        }
    }
}

int sley__rescue_watch(struct sley_stealing_pool *p, const struct sley_executor_config *config)
{
    const uint64_t stuck_ns = config->stuck_ns ? config->stuck_ns : STUCK_NS_DEFAULT;
    const bool rescues = p->plan.count > 1 && stuck_ns != SLEY_NEVER;
    const struct sley_watch_opts o = {.alloc = p->alloc,
                                      .stall_ns = config->report ? sley_watch_stall_ns(config->stall_ns) : SLEY_NEVER,
                                      .stuck_ns = stuck_ns,
                                      .stuck = rescues ? on_stuck : NULL,
                                      .arg = p,
                                      .report = config->report,
                                      .report_arg = config->report_arg};
    int rc = rescues || o.stall_ns != SLEY_NEVER ? sley_watch_create(&o, &p->watch) : 0;
    for (uint32_t i = 0; i < p->plan.count && p->watch && rc == 0; i++) {
        rc = sley_watch_add(p->watch, &p->workers[i].watched, p->scheds[i], i);
    }
    return rc == -ENOTSUP ? 0 : rc; /* a machine without threads has no second worker */
}

void sley__rescue_unwatch(struct sley_stealing_pool *p)
{
    for (uint32_t i = 0; i < p->plan.count; i++) {
        sley_watch_remove(&p->workers[i].watched);
    }
    sley_watch_destroy(p->watch);
    p->watch = NULL;
}

int sley_block_in_place(int (*fn)(void *arg), void *arg, int *ret_result)
{
    struct sley_sched *s = sley_sched_current();
    if (!fn) {
        return -EINVAL;
    }
    if (s && s->current && s->ops == &sley__worker_ops && worker_of(s)->pool->plan.count > 1) {
        struct worker *w = worker_of(s);
        struct sley_task *t = sley__lifo_take(&w->lifo);
        if (t) {
            sley__worker_push(w, t);
        }
        say_stuck(w); /* the watchdog repeats it as long as this lasts */
    }
    int unused;
    *(ret_result ? ret_result : &unused) = fn(arg);
    return 0;
}
