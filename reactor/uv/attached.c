/* The reactor inside the application's loop, and how the loop drives the runtime.
 *
 * A turn comes after a round of I/O in which something was reported (uv_check_t), when the wheel's next deadline has come
 * (uv_timer_t, so that it has its place among the application's timers), and, as long as more is ready, once in each iteration
 * (an active uv_idle_t makes it not wait). uv's callbacks only note what is reported; the core hears of it in the turn, where
 * this thread is the worker's. The bell holds a reference to the loop while a task is left; the other handles hold none.
 *
 * Who drives by hand (run, stop) comes to `wait` outside a turn: then uv_run is called here, and callbacks leave all to it.
 */
#include "loop.h"

struct attached {
    struct sley__uv base;
    struct sley_driven *driven; /* NULL: not yet */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    struct sley__uv_watch *first, **last; /* those with a report */
    uint64_t next_ns;                     /* what the timer is set for */
    bool due;                             /* the next check is to turn */
    bool turning;                         /* in a turn */
    bool waiting;                         /* somebody drives by hand, and is in uv_run */
    bool inside;                          /* in the part of an iteration that waits and calls back, from prepare to check */
    SLEY_ATOMIC(const void *) thread;     /* where the loop was seen last: an address that is that thread's own */
};

static _Thread_local char here;

static struct attached *attached_of(struct sley_reactor *r)
{
    return sley_container_of(r, struct attached, base.core.base);
}

static void note_thread(struct attached *a)
{
    /* relaxed: read to be compared with a thread's own address, which nobody else can have stored */
    atomic_store_explicit(&a->thread, &here, memory_order_relaxed);
}

/* ---- reports ------------------------------------------------------------------------------------------------------ */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct sley__uv_watch *w = sley_container_of(poll, struct sley__uv_watch, poll);
    struct attached *a = sley_container_of(w->owner, struct attached, base);
    a->due = true;
    if (!w->reported) {
        w->status = 0;
        w->next = NULL;
        *a->last = w;
        a->last = &w->next;
    }
    if (status < 0) {
        w->status = status;
        w->events = 0; /* libuv has stopped it: who waits anew before this report is handled starts it */
    }
    w->reported |= status == 0 && events ? events : UV_DISCONNECT;
}

/** Tells the core. Returns: how many there were. What a hook stops or closes meanwhile has nothing reported any more. */
static int handle_reports(struct attached *a)
{
    int seen = 0;
    while (a->first) {
        struct sley__uv_watch *w = a->first;
        const int events = w->reported;
        a->first = w->next;
        if (!a->first) {
            a->last = &a->first;
        }
        if (events) {
            struct sley__slot *slot = w->poll.data;
            w->reported = 0;
            seen++;
            if (SLEY_LIKELY(events == UV_READABLE && slot->way == SLEY__WAY_TAKEN)) {
                sley__poll_taken(&a->base.core, slot);
            } else {
                sley__uv_report(w, w->status, events);
            }
        }
    }
    return seen;
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);
static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being there is enough */
}

/** Keeps the loop turning. */
static void hurry(struct attached *a)
{
    a->due = true;
    (void)uv_idle_start(&a->idle, on_idle);
    uv_ref((uv_handle_t *)&a->base.bell);
}

/** The timer for @p next_ns, never early: libuv's clock is in whole milliseconds, and stands still in callbacks. */
static void set_timer(struct attached *a, uint64_t next_ns)
{
    uv_timer_t *timer = &a->base.timer;
    if (next_ns == SLEY_NEVER) {
        (void)uv_timer_stop(timer);
    } else if (next_ns != a->next_ns || !uv_is_active((uv_handle_t *)timer)) {
        const uint64_t uv_ns = uv_hrtime(); /* first: a pause in between makes the timer early, which does no harm, and not late */
        const uint64_t now = sley_thread_now_ns(), left = next_ns > now ? next_ns - now : 0;
        const uint64_t due_ms = (uv_ns + left + SLEY_MS - 1) / SLEY_MS, stands = uv_now(a->base.loop);
        (void)uv_timer_start(timer, on_timer, due_ms > stands ? due_ms - stands : 0, 0);
    }
    a->next_ns = next_ns;
}

static void turn(struct attached *a)
{
    uint64_t next_ns = SLEY_NEVER;
    if (a->waiting || a->turning || !a->driven) {
        return;
    }
    note_thread(a);
    a->due = false;
    a->turning = true;
    const int more = a->driven->turn(a->driven, &next_ns);
    a->turning = false;
    if (more < 0) {
        a->due = true; /* who drives comes back by `again` */
        return;
    }
    if (more > 0) {
        hurry(a);
        set_timer(a, SLEY_NEVER);
        return;
    }
    (void)uv_idle_stop(&a->idle);
    set_timer(a, next_ns);
    if (a->driven->live(a->driven)) {
        uv_ref((uv_handle_t *)&a->base.bell);
    } else {
        uv_unref((uv_handle_t *)&a->base.bell);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct attached *a = timer->data;
    if (a->waiting) {
        uv_stop(a->base.loop); /* see own.c */
    } else {
        turn(a);
        if (!a->due) {
            (void)uv_idle_start(&a->idle, on_idle); /* uv_run(UV_RUN_ONCE) would wait behind this as long as nothing else happens */
        }
    }
}

static void on_bell(uv_async_t *bell)
{
    struct attached *a = bell->data;
    a->due = true;
    sley__poll_woken(&a->base.core);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct attached *a = prepare->data;
    a->inside = true;
    sley__uv_flush(&a->base);
}

static void on_check(uv_check_t *check)
{
    struct attached *a = check->data;
    a->inside = false;
    if (a->due) {
        turn(a);
    } else {
        (void)uv_idle_stop(&a->idle);
    }
}

/* ---- driven by hand ----------------------------------------------------------------------------------------------- */

/** One iteration of the loop. Its callbacks are in no runtime: others in the same loop may turn. */
static void run_loop(struct attached *a, uint64_t timeout_ns)
{
    struct sley_sched *self = sley_sched_enter(NULL);
    const uint64_t now = sley_thread_now_ns();
    note_thread(a);
    a->waiting = true;
    (void)uv_idle_stop(&a->idle);         /* a turn that is due is not waited for here */
    uv_ref((uv_handle_t *)&a->base.bell); /* a loop without anything else would not wait */
    set_timer(a, timeout_ns < SLEY_NEVER - now ? now + timeout_ns : SLEY_NEVER);
    (void)uv_run(a->base.loop, timeout_ns == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    a->waiting = false;
    if (a->due) {
        hurry(a);
    }
    (void)sley_sched_enter(self);
}

static int port_wait(struct sley__poll *r, uint64_t timeout_ns)
{
    struct attached *a = attached_of(&r->base);
    if (!a->turning) {
        run_loop(a, timeout_ns);
    }
    return handle_reports(a);
}

/* ---- the loop's side ---------------------------------------------------------------------------------------------- */

static void drive(struct sley_reactor *self, struct sley_driven *driven)
{
    struct attached *a = attached_of(self);
    a->driven = driven;
    hurry(a); /* until its first turn nobody would ring */
}

static void again(struct sley_reactor *self)
{
    struct attached *a = attached_of(self);
    /* relaxed: see note_thread */
    if (atomic_load_explicit(&a->thread, memory_order_relaxed) == &here) {
        hurry(a);
    }
}

static bool inside(struct sley_reactor *self)
{
    const struct attached *a = attached_of(self);
    return a->inside || a->turning || a->waiting;
}

int sley__uv_attach(struct sley__uv *u, uv_loop_t *loop)
{
    struct attached *a = sley_container_of(u, struct attached, base);
    const int rc = sley__uv_open(u, loop, on_bell);
    if (rc < 0) {
        return rc;
    }
    (void)uv_prepare_init(loop, &a->prepare);
    (void)uv_check_init(loop, &a->check);
    (void)uv_idle_init(loop, &a->idle);
    a->prepare.data = a->check.data = a->idle.data = a;
    uv_unref((uv_handle_t *)&u->bell);
    uv_unref((uv_handle_t *)&u->timer);
    uv_unref((uv_handle_t *)&a->prepare);
    uv_unref((uv_handle_t *)&a->check);
    uv_unref((uv_handle_t *)&a->idle);
    (void)uv_prepare_start(&a->prepare, on_prepare);
    (void)uv_check_start(&a->check, on_check);
    u->open_count += 3;
    u->on_poll = on_poll;
    u->core.base.hosted = true;
    a->last = &a->first;
    note_thread(a);
    return 0;
}

static int port_open(struct sley__poll *r)
{
    (void)r; /* the loop comes later */
    return 0;
}

/** Turns the loop until its close callbacks have run; the application's run, too. */
static void port_close(struct sley__poll *r)
{
    struct attached *a = attached_of(&r->base);
    if (a->base.loop) {
        struct sley_sched *self = sley_sched_enter(NULL);
        a->waiting = true;
        sley__uv_close_all(&a->base);
        sley__uv_close(&a->base, (uv_handle_t *)&a->prepare);
        sley__uv_close(&a->base, (uv_handle_t *)&a->check);
        sley__uv_close(&a->base, (uv_handle_t *)&a->idle);
        while (a->base.open_count > 0) {
            (void)uv_run(a->base.loop, UV_RUN_NOWAIT);
        }
        (void)sley_sched_enter(self);
    }
    sley__uv_release(&a->base);
}

const struct sley__port sley__uv_port_attached = {
    .ops =
        {
            .version = SLEY_REACTOR_VERSION,
            .caps = SLEY_REACTOR_CAP_READINESS,
            .name = "uv (attached)",
            .adopt = sley__uv_adopt,
            .submit = sley__uv_submit,
            .send_on = sley__poll_send_on,
            .cancel = sley__poll_cancel,
            .poll = sley__poll_poll,
            .wake = sley__poll_wake,
            .destroy = sley__poll_destroy,
        },
    .bytes = sizeof(struct attached),
    .open = port_open,
    .close = port_close,
    .watch = sley__uv_watch,
    .wait = port_wait,
    .ring = sley__uv_ring,
};

static const struct sley_attach_ops attach_ops = {
    .version = SLEY_ATTACH_VERSION,
    .factory = &sley_reactor_uv,
    .drive = drive,
    .again = again,
    .inside = inside,
};

struct sley_attach sley_reactor_uv_attach(struct uv_loop_s *loop)
{
    return (struct sley_attach){.ops = &attach_ops, .loop = loop};
}
