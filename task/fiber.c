/* The direct forms of waiting: what a fiber, or a plain thread, calls. Fibers themselves are switch_fiber.c's. */
#include "core.h"

/** The fiber that runs on this thread, or NULL. */
static struct sley_task *current_fiber(struct sley_sched *s)
{
    return s && s->current && s->current->type->style == SLEY_STYLE_FIBER ? s->current : NULL;
}

/** Says no to who may not wait here. */
static SLEY_NOINLINE int refuse(const struct sley_sched *s, const char *site)
{
    sley__misuse(s->current, site, "a direct call was made where nothing may wait",
                 s->current ? "in a frame use SLEY_CALL" : "callbacks of the runtime must not wait");
    return -EDEADLK;
}

/** The budget is used up, or somebody wants a look. */
static SLEY_NOINLINE int enter_slowly(struct sley_sched *s)
{
    if (sley__frame_must_yield_slow()) {
        sley__fiber_switch_out(s->current, SLEY_STEP_YIELD);
    }
    return 0;
}

int sley_direct_enter(void)
{
    struct sley_sched *s = sley__self;
    if (SLEY_UNLIKELY(!s)) {
        return 0;
    }
    if (SLEY_UNLIKELY(!current_fiber(s))) {
        return refuse(s, NULL);
    }
    return SLEY_LIKELY(s->budget > 0) ? 0 : enter_slowly(s);
}

static SLEY_NOINLINE int await_on_thread(struct sley_wait *w)
{
    return sley__thread_await(&w, 1, SLEY_NEVER, SLEY__THREAD_ONE);
}

int sley_await(struct sley_wait *w)
{
    const uintptr_t word = sley__wait_word(w);
    if (word == SLEY__WAIT_DONE) {
        return w->result;
    }
    struct sley_sched *s = sley__self; /* inline: not looked at after a switch */
    if (SLEY_UNLIKELY(!s)) {
        return await_on_thread(w);
    }
    struct sley_task *t = current_fiber(s);
    if (SLEY_UNLIKELY(!t)) {
        return refuse(s, w->at.site);
    }
    if (!sley__frame_register(w, word, s)) {
        do {
            sley__fiber_switch_out(t, SLEY_STEP_WAIT);
        } while (SLEY_UNLIKELY(!sley_wait_done(w)) && !sley__frame_await(w));
    }
    return w->result;
}

int sley_await_until(struct sley_wait *w, uint64_t deadline_ns)
{
    if (sley_wait_done(w)) {
        return w->result;
    }
    struct sley_sched *s = sley_sched_current();
    if (!s) {
        return sley__thread_await(&w, 1, deadline_ns, SLEY__THREAD_ONE);
    }
    struct sley_task *t = current_fiber(s);
    if (!t) {
        return refuse(s, w->at.site);
    }
    struct sley_timer timer = {0};
    sley__until_start(&timer, deadline_ns);
    while (!sley__until_ready(w, &timer)) {
        sley__fiber_switch_out(t, SLEY_STEP_WAIT);
    }
    return sley__until_verdict(w, &timer);
}

int sley_select(struct sley_wait *const *waits, size_t n, uint32_t flags)
{
    if (!waits || n == 0 || n > UINT16_MAX) {
        return -EINVAL;
    }
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    struct sley_sched *s = sley_sched_current();
    if (!s) {
        (void)sley__thread_await(waits, n, SLEY_NEVER, flags & SLEY_SELECT_KEEP ? SLEY__THREAD_SELECT_KEEP : SLEY__THREAD_SELECT);
    } else {
        struct sley_task *t = s->current;
        while (!sley__select_ready(waits, n, flags)) {
            sley__fiber_switch_out(t, SLEY_STEP_WAIT);
        }
    }
    return sley__select_winner(waits, n, flags);
}

int sley_wait_fini(struct sley_wait *w)
{
    if (!sley__armed(sley__wait_word(w))) {
        return sley_wait_done(w) ? w->result : 0;
    }
    sley_wait_cancel(w);
    return sley_await(w);
}

void sley__wait_cleanup(void *op)
{
    (void)sley_wait_fini(op);
}

/** After a switch, in a call of its own: see sley__fiber_switch_out. */
static SLEY_NOINLINE int verdict(void)
{
    return sley__frame_verdict();
}

/** Yields, or only when the unit that is drawn was the budget's last. */
SLEY_INLINE int yield(bool always)
{
    struct sley_sched *s = sley_sched_current();
    struct sley_task *t = current_fiber(s);
    if (!s) {
        return 0;
    }
    if (!t) {
        return refuse(s, NULL);
    }
    if (always || sley__frame_draw()) {
        sley__fiber_switch_out(t, SLEY_STEP_YIELD);
    }
    return verdict();
}

int sley_yield(void)
{
    return yield(true);
}

int sley_yield_if_needed(void)
{
    return sley_need_preempt() ? sley_yield() : 0;
}

int sley_consume(void)
{
    return yield(false);
}

int sley_park(void)
{
    struct sley_task *t = current_fiber(sley_sched_current());
    if (!t) {
        return -EDEADLK;
    }
    while (!sley__frame_park()) {
        sley__fiber_switch_out(t, SLEY_STEP_WAIT);
    }
    return -ECANCELED;
}
