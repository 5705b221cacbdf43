/* Resident memory per task that waits: on nothing, on an armed node, for a timer, as a fiber. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "micro.h"

enum { FIBERS_MAX = 100000 }; /* a touched stack is a page at least: a million would be 4 GB */

/* How many have begun; a static, so that counting costs a task no memory. One worker at a time counts in one process. */
static SLEY_ATOMIC(uint64_t) started;

static void count_me(void)
{
    /* relaxed: only counted; who reads it has spawned the tasks and yields between looks */
    (void)atomic_fetch_add_explicit(&started, 1, memory_order_relaxed);
}

/* ---- what waits ------------------------------------------------------------------------------------------------- */

struct parked {
    struct sley_frame frame;
};
static enum sley_step parked_frame(struct parked *f)
{
    int rc;
    SLEY_BEGIN(f);
    count_me();
    SLEY_PARK(f, rc);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(parked_frame, struct parked)

static int parked_fiber(void *unused)
{
    (void)unused;
    count_me();
    return sley_park();
}
SLEY_FIBER(parked_fiber, void)

static void node_cancel(struct sley_wait *w)
{
    sley_wait_complete(w, -ECANCELED);
}
static const struct sley_wait_ops node_ops = {.version = SLEY_WAIT_VERSION, .name = "mem_task_node", .cancel = node_cancel};

/** Arms a node that only a cancel completes. */
static void node_start(struct sley_wait *w)
{
    if (sley_wait_begin(w, &node_ops)) {
        sley_wait_arm(w);
    }
}

struct waiting {
    struct sley_frame frame;
    struct sley_wait wait;
};
static enum sley_step waiting_frame(struct waiting *f)
{
    int rc;
    SLEY_BEGIN(f);
    count_me();
    node_start(&f->wait);
    SLEY_AWAIT(f, rc, &f->wait);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(waiting_frame, struct waiting)

static int waiting_fiber(void *unused)
{
    (void)unused;
    struct sley_wait wait = {0};
    count_me();
    node_start(&wait);
    return sley_await(&wait);
}
SLEY_FIBER(waiting_fiber, void)

struct sleeping {
    struct sley_frame frame;
    struct sley_timer timer;
};
static enum sley_step sleeping_frame(struct sleeping *f)
{
    int rc;
    SLEY_BEGIN(f);
    count_me();
    SLEY_CALL(f, rc, sley_sleep, &f->timer, 3600 * SLEY_S);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(sleeping_frame, struct sleeping)

static int sleeping_fiber(void *unused)
{
    (void)unused;
    count_me();
    return sley_sleep(3600 * SLEY_S);
}
SLEY_FIBER(sleeping_fiber, void)

/* ---- measuring -------------------------------------------------------------------------------------------------- */

/** Resident bytes of this process; negative errno when /proc is not there. */
static int64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) {
        return -errno;
    }
    long long total, resident;
    const int found = fscanf(f, "%lld %lld", &total, &resident);
    (void)fclose(f);
    return found == 2 ? resident * sysconf(_SC_PAGESIZE) : -EPROTO;
}

struct mem {
    struct sley_frame frame;
    struct micro *m;
    const char *name;
    const struct sley_task_type *type;
    uint64_t n;
    int64_t before;
    struct micro_meter meter;
};

static int mem_spawn(struct mem *a)
{
    /* relaxed: no task of this run has been spawned yet */
    atomic_store_explicit(&started, 0, memory_order_relaxed);
    a->before = resident_bytes();
    if (a->before < 0) {
        return (int)a->before;
    }
    a->meter = micro_meter_start();
    int rc = 0;
    for (uint64_t i = 0; i < a->n && rc == 0; i++) {
        rc = sley_spawn(NULL, a->type, NULL, NULL, NULL);
    }
    return rc;
}

static bool mem_all_started(const struct mem *a)
{
    /* relaxed: a count alone; pairs with count_me */
    return atomic_load_explicit(&started, memory_order_relaxed) >= a->n;
}

static int mem_report(const struct mem *a)
{
    const int64_t after = resident_bytes();
    if (after < 0) {
        return (int)after;
    }
    char spawn[64];
    (void)snprintf(spawn, sizeof spawn, "%s_spawn", a->name);
    micro_meter_done(a->meter, a->m, spawn, a->n);
    printf("bench=%s assembly=%s bytes_per_task=%.1f tasks=%llu\n", a->name, a->m->assembly, (double)(after - a->before) / (double)a->n,
           (unsigned long long)a->n);
    (void)fflush(stdout);
    return 0;
}

static enum sley_step mem_frame(struct mem *f)
{
    int rc;
    SLEY_BEGIN(f);
    rc = mem_spawn(f);
    if (rc < 0) {
        SLEY_RETURN(f, rc);
    }
    while (!mem_all_started(f)) {
        SLEY_YIELD(f, rc);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
    }
    SLEY_RETURN(f, mem_report(f));
    SLEY_END(f);
}
SLEY_FRAME(mem_frame, struct mem)

/* The one that counts is a frame in both styles; those that are counted are what the style says. What they hold is given
 * back when the runtime stops, which cancels them. */
static int mem(struct micro *m, const char *name, const struct sley_task_type *frame, const struct sley_task_type *fiber, uint64_t n)
{
    const bool fibers = m->style == SLEY_STYLE_FIBER || !frame;
    const struct mem args = {
        .m = m,
        .name = name,
        .type = fibers ? fiber : frame,
        .n = fibers && n > FIBERS_MAX ? FIBERS_MAX : n,
    };
    return micro_run(m, &mem_frame__type, &mem_frame__type, &args);
}

int micro_mem_task(struct micro *m, uint64_t n)
{
    return mem(m, "mem_task", &parked_frame__type, &parked_fiber__type, n);
}

int micro_mem_task_node(struct micro *m, uint64_t n)
{
    return mem(m, "mem_task_node", &waiting_frame__type, &waiting_fiber__type, n);
}

int micro_mem_sleep(struct micro *m, uint64_t n)
{
    return mem(m, "mem_sleep", &sleeping_frame__type, &sleeping_fiber__type, n);
}

int micro_mem_fiber(struct micro *m, uint64_t n)
{
    return mem(m, "mem_fiber", NULL, &parked_fiber__type, n);
}
