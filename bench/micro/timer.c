/* Timers: one at a time, very many at once, and as sleeping tasks. */
#include <stdlib.h>

#include "micro.h"

enum { SEED = 42 };

/* ---- timer_poll_drop: one timer at a time: create, arm, take back ------------------------------------------------- */

struct one_timer {
    struct sley_frame frame;
    uint64_t n;
    struct micro_random random;
    struct sley_timer timer;
};

static enum sley_step one_timer_frame(struct one_timer *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (; f->n > 0; f->n--) {
        sley_sleep_start(&f->timer, micro_delay_ns(&f->random));
        sley_wait_cancel(&f->timer.wait);
        SLEY_AWAIT(f, rc, &f->timer.wait);
        if (rc != -ECANCELED) {
            SLEY_RETURN(f, rc < 0 ? rc : -EPROTO);
        }
    }
    SLEY_END(f);
}
SLEY_FRAME(one_timer_frame, struct one_timer)

static int one_timer_fiber(struct one_timer *a)
{
    for (; a->n > 0; a->n--) {
        sley_sleep_start(&a->timer, micro_delay_ns(&a->random));
        const int rc = sley_wait_fini(&a->timer.wait);
        if (rc != -ECANCELED) {
            return rc < 0 ? rc : -EPROTO;
        }
    }
    return 0;
}
SLEY_FIBER(one_timer_fiber, struct one_timer)

int micro_timer_poll_drop(struct micro *m, uint64_t n)
{
    const struct one_timer args = {.n = n, .random = {SEED}};
    return micro_run(m, &one_timer_frame__type, &one_timer_fiber__type, &args);
}

/* ---- timer_bulk: arms very many, 10 minutes and more away, then takes all back ------------------------------------ */

struct bulk {
    struct sley_frame frame;
    struct micro *m; /* prints when not NULL */
    struct sley_timer *timers;
    uint64_t n, i;
    struct micro_random random;
    struct micro_meter meter;
};

/** Deadlines count from one look at the clock, as the peer's do from its loop's. Nothing here waits: both styles call it. */
static void bulk_insert(struct bulk *a)
{
    const uint64_t base_ns = sley_after_ns(600 * SLEY_S);
    for (uint64_t i = 0; i < a->n; i++) {
        sley_sleep_until_start(&a->timers[i], base_ns + micro_delay_ns(&a->random));
    }
}

static enum sley_step bulk_frame(struct bulk *f)
{
    int rc;
    SLEY_BEGIN(f);
    f->meter = micro_meter_start();
    bulk_insert(f);
    if (f->m) {
        micro_meter_done(f->meter, f->m, "timer_bulk_insert", f->n);
    }
    f->meter = micro_meter_start();
    for (f->i = 0; f->i < f->n; f->i++) {
        sley_wait_cancel(&f->timers[f->i].wait);
        SLEY_AWAIT(f, rc, &f->timers[f->i].wait);
        if (rc != -ECANCELED) {
            SLEY_RETURN(f, rc < 0 ? rc : -EPROTO);
        }
    }
    if (f->m) {
        micro_meter_done(f->meter, f->m, "timer_bulk_cancel", f->n);
    }
    SLEY_END(f);
}
SLEY_FRAME(bulk_frame, struct bulk)

static int bulk_fiber(struct bulk *a)
{
    a->meter = micro_meter_start();
    bulk_insert(a);
    if (a->m) {
        micro_meter_done(a->meter, a->m, "timer_bulk_insert", a->n);
    }
    a->meter = micro_meter_start();
    for (uint64_t i = 0; i < a->n; i++) {
        const int rc = sley_wait_fini(&a->timers[i].wait);
        if (rc != -ECANCELED) {
            return rc < 0 ? rc : -EPROTO;
        }
    }
    if (a->m) {
        micro_meter_done(a->meter, a->m, "timer_bulk_cancel", a->n);
    }
    return 0;
}
SLEY_FIBER(bulk_fiber, struct bulk)

static int bulk(struct micro *m, uint64_t n, bool report)
{
    struct bulk args = {.m = report ? m : NULL, .n = n, .random = {SEED}, .timers = calloc(n, sizeof *args.timers)};
    if (!args.timers) {
        return -ENOMEM;
    }
    for (size_t at = 0; at < n * sizeof *args.timers; at += 4096) {
        ((volatile char *)args.timers)[at] = 0; /* the pages of the timers are no part of what is measured, nor of the peer's */
    }
    const int rc = micro_run(m, &bulk_frame__type, &bulk_fiber__type, &args);
    free(args.timers);
    return rc;
}

int micro_timer_bulk(struct micro *m, uint64_t n)
{
    const int rc = bulk(m, n / 10, false);
    return rc < 0 ? rc : bulk(m, n, true);
}

/* ---- timer_fire: tasks that sleep 1 to 1000 ms each ---------------------------------------------------------------- */

struct sleeper {
    struct sley_frame frame;
    uint64_t ns;
    struct sley_timer timer;
};
static enum sley_step sleeper_frame(struct sleeper *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, sley_sleep, &f->timer, f->ns);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(sleeper_frame, struct sleeper)

struct sleeper_args {
    uint64_t ns;
};
static int sleeper_fiber(struct sleeper_args *a)
{
    return sley_sleep(a->ns);
}
SLEY_FIBER(sleeper_fiber, struct sleeper_args)

struct fire {
    struct sley_frame frame;
    struct sley_task **tasks;
    uint32_t n;
    struct micro_random random;
    struct micro_join join;
};

static enum sley_step fire_frame(struct fire *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (uint32_t i = 0; i < f->n; i++) {
        rc = SLEY_SPAWN_TASK(&f->tasks[i], NULL, sleeper_frame, .ns = micro_delay_ns(&f->random));
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
    }
    f->join.tasks = f->tasks;
    f->join.count = f->n;
    SLEY_RUN(f, rc, micro_join_frame, &f->join);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(fire_frame, struct fire)

static int fire_fiber(struct fire *a)
{
    uint32_t count = 0;
    int rc = 0;
    while (count < a->n && (rc = SLEY_SPAWN_TASK(&a->tasks[count], NULL, sleeper_fiber, .ns = micro_delay_ns(&a->random))) == 0) {
        count++;
    }
    const int joined = micro_join_fiber(a->tasks, count, NULL);
    return rc < 0 ? rc : joined;
}
SLEY_FIBER(fire_fiber, struct fire)

int micro_timer_fire(struct micro *m, uint64_t n)
{
    struct fire args = {.n = (uint32_t)n, .random = {SEED}, .tasks = malloc(n * sizeof *args.tasks)};
    if (!args.tasks) {
        return -ENOMEM;
    }
    const int rc = micro_run(m, &fire_frame__type, &fire_fiber__type, &args);
    free(args.tasks);
    return rc;
}
