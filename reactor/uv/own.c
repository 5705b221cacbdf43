/* The reactor in a loop of its own: poll is uv_run, and what waits is handled in uv's callbacks. */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { EVENT_SHARE = 64 }; /* resumes between two looks of an executor */
static const uint64_t COARSE_NS = 3 * SLEY_MS;

struct own {
    struct sley__uv base;
    int seen;      /* events of this uv_run */
    bool woken;    /* in this uv_run */
    int unhandled; /* of the events of the last wait: about so many tasks have not run yet */
    uv_loop_t loop;
};

static struct own *own_of(struct sley__poll *r)
{
    return sley_container_of(r, struct own, base.core);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct sley__uv_watch *w = sley_container_of(poll, struct sley__uv_watch, poll);
    struct sley__slot *slot = poll->data;
    struct own *o = sley_container_of(w->owner, struct own, base);
    o->seen++;
    if (SLEY_LIKELY(events == UV_READABLE && slot->way == SLEY__WAY_TAKEN)) {
        sley__poll_taken(&o->base.core, slot);
    } else {
        sley__uv_report(w, status, events);
    }
}

static void on_bell(uv_async_t *bell)
{
    struct own *o = bell->data;
    o->woken = true;
    sley__poll_woken(&o->base.core);
}

static void on_timer(uv_timer_t *timer)
{
    /* uv_run calls what has passed before it waits, too: the thread may have had no processor since the timer was set. Without
     * another timer it would wait without end. */
    uv_stop(timer->loop);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------ */

/** Returns: has anything happened? */
static bool run(struct own *o, uv_run_mode mode)
{
    sley__uv_flush(&o->base);
    o->base.changed = false;
    (void)uv_run(&o->loop, mode);
    return o->seen > 0 || o->woken;
}

/** Waits for @p ns on the loop's descriptor: libuv itself knows milliseconds only. */
static bool run_punctually(struct own *o, uint64_t ns)
{
    struct pollfd p = {.fd = uv_backend_fd(&o->loop), .events = POLLIN};
    const struct timespec ts = {.tv_sec = (time_t)(ns / SLEY_S), .tv_nsec = (long)(ns % SLEY_S)};
    if (o->base.changed && run(o, UV_RUN_NOWAIT)) { /* registers what is watched since the last time */
        return true;
    }
    (void)ppoll(&p, 1, &ts, NULL);
    return run(o, UV_RUN_NOWAIT);
}

/** The greater part of a wait that is not short. Comes back some time before the end of @p ns. */
static bool run_coarsely(struct own *o, uint64_t ns)
{
    uv_update_time(&o->loop);
    (void)uv_timer_start(&o->base.timer, on_timer, ns / SLEY_MS - 2, 0);
    const bool happened = run(o, UV_RUN_ONCE);
    (void)uv_timer_stop(&o->base.timer);
    return happened;
}

static void wait_for(struct own *o, uint64_t timeout_ns)
{
    uint64_t now = sley_thread_now_ns();
    const uint64_t end = timeout_ns < SLEY_NEVER - now ? now + timeout_ns : SLEY_NEVER;
    while (now < end) {
        if (end - now >= COARSE_NS ? run_coarsely(o, end - now) : run_punctually(o, end - now)) {
            return;
        }
        now = sley_thread_now_ns();
    }
}

/** One uv_run may bring 1,024 events: while about as many tasks run, there is no other. */
static bool is_early(struct own *o, uint64_t timeout_ns)
{
    const bool early = timeout_ns == 0 && o->unhandled > EVENT_SHARE;
    o->unhandled = early ? o->unhandled - EVENT_SHARE : 0;
    return early;
}

static int port_wait(struct sley__poll *r, uint64_t timeout_ns)
{
    struct own *o = own_of(r);
    o->seen = 0;
    o->woken = false;
    if (!is_early(o, timeout_ns)) {
        if (timeout_ns == SLEY_NEVER) {
            while (!run(o, UV_RUN_ONCE)) {
            }
        } else if (timeout_ns == 0) {
            (void)run(o, UV_RUN_NOWAIT);
        } else {
            wait_for(o, timeout_ns);
        }
        o->unhandled = o->seen;
    }
    r->base.more = o->base.changed || o->unhandled > EVENT_SHARE;
    return o->seen;
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

/** libuv aborts when the first loop of a process finds no descriptors. Returns: 0; a negative errno when there are too few. */
static int probe_descriptors(void)
{
    int ends[2][2];
    int rc = 0, n = 0;
    while (n < 2 && rc == 0) {
        rc = pipe(ends[n]) == 0 ? 0 : -errno;
        n += rc == 0;
    }
    while (n > 0) {
        n--;
        (void)close(ends[n][0]);
        (void)close(ends[n][1]);
    }
    return rc;
}

static int port_open(struct sley__poll *r)
{
    struct own *o = own_of(r);
    int rc = probe_descriptors();
    rc = rc < 0 ? rc : uv_loop_init(&o->loop);
    if (rc < 0) {
        return rc;
    }
    o->base.on_poll = on_poll;
    o->base.shows_more = true;
    o->base.changed = true; /* the bell, which libuv registers in uv_run */
    rc = sley__uv_open(&o->base, &o->loop, on_bell);
    if (rc < 0) {
        (void)uv_loop_close(&o->loop);
    }
    return rc;
}

static void port_close(struct sley__poll *r)
{
    struct own *o = own_of(r);
    sley__uv_close_all(&o->base);
    (void)uv_run(&o->loop, UV_RUN_DEFAULT); /* until the close callbacks have run: nothing else is left */
    (void)uv_loop_close(&o->loop);
    sley__uv_release(&o->base);
}

static int pollable_fd(struct sley_reactor *self)
{
    return uv_backend_fd(sley_container_of(self, struct sley__uv, core.base)->loop);
}

/** A loop is no thread's. */
static int serve(struct sley_reactor *self)
{
    return sley__poll_poll(self, 0);
}

const struct sley__port sley__uv_port_own = {
    .ops =
        {
            .version = SLEY_REACTOR_VERSION,
            .caps = SLEY_REACTOR_CAP_READINESS,
            .name = "uv",
            .adopt = sley__uv_adopt,
            .submit = sley__uv_submit,
            .send_on = sley__poll_send_on,
            .cancel = sley__poll_cancel,
            .poll = sley__poll_poll,
            .wake = sley__poll_wake,
            .serve = serve,
            .pollable_fd = pollable_fd,
            .destroy = sley__poll_destroy,
        },
    .bytes = sizeof(struct own),
    .open = port_open,
    .close = port_close,
    .watch = sley__uv_watch,
    .wait = port_wait,
    .ring = sley__uv_ring,
};

static int create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    if (!o->loop) {
        return sley__poll_create(&sley__uv_port_own, o, ret_reactor);
    }
    struct sley_reactor *r;
    int rc = sley__poll_create(&sley__uv_port_attached, o, &r);
    if (rc < 0) {
        return rc;
    }
    rc = sley__uv_attach(sley_container_of(r, struct sley__uv, core.base), o->loop);
    if (rc < 0) {
        r->ops->destroy(r);
    } else {
        *ret_reactor = r;
    }
    return rc;
}

const struct sley_reactor_factory sley_reactor_uv = {
    .version = SLEY_REACTOR_VERSION,
    .name = "uv",
    .create = create,
};
