/* Task queues that divide one thread's time by shares: who is next, how long it runs. The worker is local's. */
#include <sley/shares.h>

#include <string.h>

#include <sley/local_impl.h>

#include "slice.h"

enum {
    LANES = SLEY_SHARES_QUEUES_MAX + 1,
    RECIPROCAL_BITS = 22, /* as glommio: a share of 1000 gets 4194, which is off by less than a ten-thousandth */
    VRUNTIME_SHIFT = 12,
    ASKS_BY_CLOCK = 64, /* questions of a slice that read the clock before a timer is armed */
};

#define LONG_NS (50 * SLEY_US) /* a queue whose tasks ran for so long at a time is metered by CPU time from then on */

#define CHARGE_MAX_NS (UINT64_C(1) << 41)  /* its product with a reciprocal fits into 64 bits */
#define VRUNTIME_LIMIT (UINT64_C(1) << 62) /* from here on all are set back together */

static struct sley_shares *of(struct sley_local *self)
{
    return sley_container_of(self, struct sley_shares, local);
}

static struct sley_lane *lane_of(struct sley_sched *s, const struct sley_shares_queue *q)
{
    return q->base.lane ? &s->lanes[q->base.lane] : &s->ready;
}

static void set_word(struct sley_sched *s, uint32_t value)
{
    /* relaxed: this thread's own, and its signal handler's */
    atomic_store_explicit(&s->preempt, value, memory_order_relaxed);
}

/* ---- a skew heap: merging is all there is, and the recursion is at most as deep as there are queues ---------------------- */

/** At equal times whoever must not wait comes first. */
static bool before(const struct sley_shares_queue *a, const struct sley_shares_queue *b)
{
    return a->vruntime != b->vruntime ? a->vruntime < b->vruntime : a->opts.latency_ns && !b->opts.latency_ns;
}

static struct sley_shares_queue *merge(struct sley_shares_queue *a, struct sley_shares_queue *b)
{
    if (!a || !b) {
        return a ? a : b;
    }
    if (before(b, a)) {
        struct sley_shares_queue *swap = a;
        a = b;
        b = swap;
    }
    struct sley_shares_queue *right = a->right;
    a->right = a->left;
    a->left = merge(right, b);
    return a;
}

static void heap_push(struct sley_shares *ex, struct sley_shares_queue *q)
{
    q->left = q->right = NULL;
    ex->heap = merge(ex->heap, q);
}

/* ---- time -------------------------------------------------------------------------------------------------------------- */

static void set_shares(struct sley_shares_queue *q, uint32_t shares)
{
    q->opts.shares = shares < 1 ? 1 : shares > SLEY_SHARES_MAX ? SLEY_SHARES_MAX : shares;
    q->reciprocal = (UINT32_C(1) << RECIPROCAL_BITS) / q->opts.shares;
}

static void reread(struct sley_shares_queue *q, uint64_t now_ns)
{
    if (q->opts.shares_fn && now_ns >= q->reread_ns) {
        set_shares(q, q->opts.shares_fn(q->opts.shares_arg));
        q->reread_ns = now_ns + q->opts.period_ns;
    }
}

/** Long before a vruntime overflows, all go back by as much. Who is idle may be set back by less: he could not claim it anyway. */
static void set_back(struct sley_shares *ex)
{
    for (struct sley_shares_queue *q = ex->queues; q; q = q->next) {
        q->vruntime -= q->vruntime < ex->floor ? q->vruntime : ex->floor;
    }
    ex->floor = 0;
}

static void charge(struct sley_shares *ex, struct sley_shares_queue *q, uint64_t ns, uint32_t resumes)
{
    q->run_ns += ns;
    q->resume_count += resumes;
    q->vruntime += (ns < CHARGE_MAX_NS ? ns : CHARGE_MAX_NS) * q->reciprocal >> VRUNTIME_SHIFT;
    if (SLEY_UNLIKELY(q->vruntime >= VRUNTIME_LIMIT)) {
        set_back(ex);
    }
}

/** A queue that was idle has ready tasks: it begins where the others are. */
static void activate(struct sley_shares *ex, struct sley_shares_queue *q)
{
    const uint64_t least = ex->floor + !q->opts.latency_ns;
    q->vruntime = q->vruntime < least ? least : q->vruntime;
    q->active = true;
    heap_push(ex, q);
}

/** The slice is over, whoever has it. */
static void end_slice(struct sley_shares *ex, struct sley_sched *s)
{
    ex->over = true;
    set_word(s, 1);
}

static void lane_ready(struct sley_local *self, struct sley_sched *s, uint32_t lane)
{
    struct sley_shares *ex = of(self);
    struct sley_shares_queue *q = s->lanes[lane].owner;
    if (q->active) {
        return;
    }
    activate(ex, q);
    if (q->opts.latency_ns) {
        end_slice(ex, s);
    }
}

/** From now on the current task may ask by a load, if this thread will be told of the slice's end. */
static void watch(struct sley_shares *ex, struct sley_sched *s)
{
    ex->is_watched = sley__slice_watch(&ex->slice, ex->slice_end_ns);
    if (ex->is_watched) {
        set_word(s, 0);
        if (s->ops->now_ns(s) >= ex->slice_end_ns) {
            set_word(s, 1); /* it may have been told just before */
        }
    }
}

static bool need_preempt(struct sley_local *self, struct sley_sched *s)
{
    struct sley_shares *ex = of(self);
    if (!ex->over && s->ops->now_ns(s) < ex->slice_end_ns) {
        if (ex->is_real && (ex->is_watched || ++ex->ask_count == ASKS_BY_CLOCK)) {
            watch(ex, s);
        }
        return false;
    }
    end_slice(ex, s);
    return true;
}

/** Whose turn it is: the one that has had least. NULL: nobody is ready. */
static struct sley_shares_queue *pick(struct sley_shares *ex, struct sley_sched *s, uint64_t now_ns)
{
    if (s->ready.head && !ex->main.active) {
        activate(ex, &ex->main); /* its lane is the inline one, of which nobody tells */
    }
    struct sley_shares_queue *q = ex->heap;
    if (!q) {
        return NULL;
    }
    ex->heap = merge(q->left, q->right);
    ex->floor = q->vruntime > ex->floor ? q->vruntime : ex->floor;
    ex->current = q;
    ex->over = false;
    ex->ask_count = 0;
    ex->is_watched = false;
    ex->slice_end_ns = now_ns + ex->slice_ns;
    set_word(s, 1);
    q->pick_count++;
    reread(q, now_ns);
    return q;
}

/** After a run: it keeps its slice, waits for the next, or is idle. */
static void put_back(struct sley_shares *ex, struct sley_sched *s, struct sley_shares_queue *q, uint64_t now_ns)
{
    if (!lane_of(s, q)->head) {
        q->active = false;
        ex->current = NULL;
    } else if (ex->over || now_ns >= ex->slice_end_ns) {
        heap_push(ex, q);
        ex->current = NULL;
    }
}

/** Runs a queue's tasks and charges it. @p cpu_ns: this thread's CPU time now, 0 when it was not read; left as it is then. */
static uint32_t run_queue(struct sley_shares *ex, struct sley_sched *s, struct sley_shares_queue *q, uint32_t max, uint64_t *now_ns,
                          uint64_t *cpu_ns)
{
    const bool metered = q->is_long && ex->is_real; /* what other programs take from this thread is no queue's */
    const uint64_t from = *now_ns, cpu = !metered ? 0 : *cpu_ns ? *cpu_ns : sley__slice_cpu_ns();
    const uint32_t ran = sley_sched_run_slice(s, lane_of(s, q), max);
    *now_ns = s->ops->now_ns(s);
    *cpu_ns = metered ? sley__slice_cpu_ns() : 0;
    q->is_long = *now_ns - from >= LONG_NS;
    charge(ex, q, metered ? *cpu_ns - cpu : *now_ns - from, ran);
    return ran;
}

/** Ends after a slice's time, too: then I/O, timers and the inbox are looked at. */
static uint32_t run(struct sley_local *self, struct sley_sched *s, uint32_t max)
{
    struct sley_shares *ex = of(self);
    uint64_t now = s->ops->now_ns(s), cpu = 0;
    const uint64_t look_ns = now + ex->slice_ns;
    uint32_t left = max;
    set_word(s, 1); /* another thread may drive now than the one that a timer tells */
    if (ex->current) {
        put_back(ex, s, ex->current, now); /* what was looked at since may have ended its slice */
    }
    while (left > 0 && now < look_ns) {
        struct sley_shares_queue *q = ex->current ? ex->current : pick(ex, s, now);
        if (!q) {
            break;
        }
        left -= run_queue(ex, s, q, left, &now, &cpu);
        put_back(ex, s, q, now);
    }
    return max - left;
}

static const struct sley_local_order order = {
    .lane_count = LANES,
    .run = run,
    .lane_ready = lane_ready,
    .need_preempt = need_preempt,
};

/* ---- queues ------------------------------------------------------------------------------------------------------------ */

/** How long anybody may run: half of the shortest latency, for who must not wait may come when one slice begins. */
static void set_slice(struct sley_shares *ex)
{
    ex->slice_ns = ex->opts.slice_ns;
    for (const struct sley_shares_queue *q = ex->queues; q; q = q->next) {
        if (q->opts.latency_ns && (q->opts.latency_ns + 1) / 2 < ex->slice_ns) {
            ex->slice_ns = (q->opts.latency_ns + 1) / 2;
        }
    }
}

static void join_executor(struct sley_shares_queue *q, struct sley_sched *s)
{
    q->base.sched = s;
    q->active = false;
    if (s && q->base.lane) {
        s->lanes[q->base.lane].owner = q;
    }
}

static void add_queue(struct sley_shares *ex, struct sley_shares_queue *q, uint32_t lane, const struct sley_shares_queue_opts *o)
{
    *q = (struct sley_shares_queue){.base = {NULL, lane}, .ex = ex, .next = ex->queues, .opts = *o, .vruntime = ex->floor};
    q->opts.name = o->name ? o->name : "?";
    q->opts.period_ns = o->period_ns ? o->period_ns : 250 * SLEY_MS;
    set_shares(q, o->shares ? o->shares : SLEY_SHARES_MAX);
    ex->queues = q;
    ex->lanes[lane / 64] |= UINT64_C(1) << lane % 64;
    set_slice(ex);
    join_executor(q, sley_local_sched(&ex->local.base));
}

int sley_shares_queue_init(struct sley_shares *ex, struct sley_shares_queue *q, const struct sley_shares_queue_opts *o)
{
    static const struct sley_shares_queue_opts none;
    o = o ? o : &none;
    if (!ex || !q || o->shares > SLEY_SHARES_MAX) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < LANES / 64; i++) {
        if (~ex->lanes[i]) {
            add_queue(ex, q, i * 64 + (uint32_t)__builtin_ctzll(~ex->lanes[i]), o);
            return 0;
        }
    }
    return -ENOSPC;
}

/** Does a queue have tasks, or may some be on their way to it through the inbox? */
static bool is_used(const struct sley_shares_queue *q)
{
    struct sley_sched *s = q->base.sched;
    const bool inside = sley_sched_current() == s; /* perhaps in a task: nothing may be delivered now */
    if (!inside) {
        struct sley_sched *outer = sley_sched_enter(s);
        (void)sley_sched_drain(s);
        (void)sley_sched_enter(outer);
    }
    return (inside && sley_sched_posted(s)) || sley_sched_lane_live(s, q->base.lane) > 0;
}

int sley_shares_queue_fini(struct sley_shares_queue *q)
{
    struct sley_shares *ex = q ? q->ex : NULL;
    if (!ex) {
        return 0;
    }
    if (q == &ex->main || (q->base.sched && is_used(q))) {
        return -EBUSY;
    }
    struct sley_shares_queue **at = &ex->queues;
    while (*at != q) {
        at = &(*at)->next;
    }
    *at = q->next;
    ex->lanes[q->base.lane / 64] &= ~(UINT64_C(1) << q->base.lane % 64);
    set_slice(ex);
    *q = (struct sley_shares_queue){.ex = NULL};
    return 0;
}

int sley_shares_queue_set(struct sley_shares_queue *q, uint32_t shares)
{
    if (!q || !q->ex || shares < 1 || shares > SLEY_SHARES_MAX) {
        return -EINVAL;
    }
    set_shares(q, shares);
    return 0;
}

int sley_shares_spawn(struct sley_shares_queue *q, const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
{
    return q && q->ex ? sley_local_spawn_lane(&q->ex->local.base, q->base.lane, type, args, ret_task) : -EINVAL;
}

struct sley_shares_queue *sley_shares_main(struct sley_shares *ex)
{
    return &ex->main;
}

void sley_shares_queue_stats(const struct sley_shares_queue *q, struct sley_shares_stats *ret_stats)
{
    *ret_stats = (struct sley_shares_stats){
        .name = q->opts.name,
        .shares = q->opts.shares,
        .run_ns = q->run_ns,
        .resume_count = q->resume_count,
        .pick_count = q->pick_count,
        .vruntime = q->vruntime,
    };
}

/* ---- the executor ------------------------------------------------------------------------------------------------------ */

static void join_all(struct sley_shares *ex, struct sley_sched *s)
{
    ex->heap = ex->current = NULL;
    for (struct sley_shares_queue *q = ex->queues; q; q = q->next) {
        join_executor(q, s);
    }
}

static int shares_start(struct sley_executor *self, const struct sley_executor_config *config)
{
    struct sley_shares *ex = of(sley_container_of(self, struct sley_local, base));
    const int rc = sley_local_start(self, config);
    if (rc == 0) {
        struct sley_sched *s = sley_local_sched(self);
        ex->is_real = !config->clock;
        join_all(ex, s);
    }
    return rc;
}

static int shares_fini(struct sley_executor *self)
{
    struct sley_shares *ex = of(sley_container_of(self, struct sley_local, base));
    const int rc = sley_local_fini(self);
    if (rc == 0) { /* else somebody may be driving, by that timer */
        sley__slice_end(&ex->slice);
        join_all(ex, NULL);
    }
    return rc;
}

const struct sley_executor_ops sley_shares_ops = {
    .version = SLEY_EXECUTOR_VERSION,
    .name = "shares",
    .start = shares_start,
    .spawn = sley_local_spawn,
    .run = sley_local_run,
    .turn = sley_local_turn,
    .pollable_fd = sley_local_pollable_fd,
    .halt = sley_local_halt,
    .stop = sley_local_stop,
    .fini = shares_fini,
    .sched = sley_local_sched,
};

int sley_shares_init(struct sley_shares *ex, const struct sley_shares_opts *o)
{
    static const struct sley_shares_opts none;
    o = o ? o : &none;
    if (!ex || o->slice_ns > SLEY_S || o->main_shares > SLEY_SHARES_MAX) {
        return -EINVAL;
    }
    *ex = (struct sley_shares){.opts = *o};
    ex->opts.slice_ns = o->slice_ns ? o->slice_ns : SLEY_MS;
    sley_local_init_ordered(&ex->local, &sley_shares_ops, &order);
    add_queue(ex, &ex->main, 0, &(struct sley_shares_queue_opts){.name = "main", .shares = o->main_shares});
    return 0;
}
