/* Texts for the report function: programming errors (debug builds) and who is left at shutdown. Never prints by itself. */
#include "core.h"

/** A text that is cut where the buffer ends; no printf, for machines without one. */
struct text {
    char buf[512];
    size_t len;
};

static void put_all(struct text *x, const char *const *parts, size_t count)
{
    for (; count > 0; parts++, count--) {
        for (const char *s = *parts; s && *s && x->len + 1 < sizeof x->buf; s++) {
            x->buf[x->len++] = *s;
        }
    }
    x->buf[x->len] = '\0';
}

#define PARTS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__       \
    }
#define PUT(x, ...) put_all(x, PARTS(__VA_ARGS__), sizeof(PARTS(__VA_ARGS__)) / sizeof(char *)) /* texts; NULL: nothing */

static void put_task(struct text *x, const char *before, const struct sley_task *t)
{
    if (!t) {
        return;
    }
    char digits[11] = "", *first = digits + sizeof digits - 1;
    uint32_t line = t->type->line;
    do {
        *--first = (char)('0' + line % 10);
        line /= 10;
    } while (line > 0);
    PUT(x, before, sley_task_name(t), " (", t->type->file, ":", first, ")");
}

static void put_wait(struct text *x, const struct sley_wait *w, const char *site)
{
    PUT(x, " waits for ", w->ops && w->ops->name ? w->ops->name : "a node", site ? " at " : NULL, site);
}

/**
 * What an idle task waits for, as @p ret_site says; NULL: it is parked, or has been woken just now. Threads that are no workers
 * complete nodes meanwhile, and queue who waits: they write where this reads, and it is looked afterwards whether they had begun.
 */
__attribute__((no_sanitize_thread)) static const struct sley_wait *waits_for(const struct sley_task *t, bool still,
                                                                             const char **ret_site)
{
    const bool alone = still && !sley__group(t->sched); /* at home nobody does: a completion from elsewhere waits in the inbox */
    const struct sley_wait *w = t->link.awaited;
    /* acquire: read before it is looked whether it was that; who wakes it uses its place, and then it is no node */
    atomic_thread_fence(memory_order_acquire);
    w = alone || sley__task_run(t) == SLEY__TASK_IDLE ? w : NULL;
    *ret_site = w ? w->at.site : NULL;
    /* acquire: as above, for who completes the node */
    atomic_thread_fence(memory_order_acquire);
    const bool armed = w && (alone || (sley__task_run(t) == SLEY__TASK_IDLE && sley__kind(sley__wait_word(w)) == SLEY__KIND_TASK));
    return armed ? w : NULL;
}

void sley__report_left(struct sley_sched *s, struct sley_task *t, bool still)
{
    if (!s->report) {
        return;
    }
    struct text x = {.len = 0};
    put_task(&x, "task ", t);
    const uint32_t run = sley__task_run(t);
    const char *site;
    const struct sley_wait *w = run == SLEY__TASK_IDLE ? waits_for(t, still, &site) : NULL;
    if (run == SLEY__TASK_RUNNING && !(still && sley__group(s))) {
        PUT(&x, sley__group(s) ? " is running, or ready to run" : " is running");
    } else if (run != SLEY__TASK_IDLE) {
        PUT(&x, sley__task_state(t) & SLEY__TASK_STARTED ? " is ready to run" : " has not run yet");
    } else if (!w) {
        PUT(&x, " is parked");
    } else {
        put_wait(&x, w, site);
        put_task(&x, ", held by ", still && w->ops && w->ops->holder ? w->ops->holder(w) : NULL);
    }
    /* in a group RUNNING may be ready: when all stand still it is. What has not been resumed yet has nothing on its stack */
    const bool stands = still && (sley__task_state(t) & SLEY__TASK_STARTED) && (run != SLEY__TASK_RUNNING || sley__group(s));
    sley__trace_left(s, t, stands, x.buf);
}

void sley__report_overflow(struct sley_sched *s, const struct sley_task *t)
{
    if (!s->report) {
        return;
    }
    struct text x = {.len = 0};
    put_task(&x, "stack overflow in task ", t);
    PUT(&x, "; give it more with SLEY_FIBER_STACK, or keep large buffers off the stack");
    s->report(s->report_arg, SLEY_REPORT_OVERFLOW, x.buf);
}

#ifdef SLEY_DEBUG
enum { AUDIT_RESUMES = 64 }; /* at least, from one look at all tasks to the next */

void sley__misuse_told(const struct sley_sched *s, const struct sley_task *t, const char *site, const char *what, const char *remedy)
{
    s = s ? s : t ? t->sched : sley_sched_current();
    if (!s || !s->report) {
        return;
    }
    struct text x = {.len = 0};
    PUT(&x, "misuse: ", what);
    put_task(&x, "\n  task:   ", t);
    PUT(&x, site ? "\n  wait:   " : NULL, site, "\n  remedy: ", remedy);
    s->report(s->report_arg, SLEY_REPORT_MISUSE, x.buf);
}

void sley__misuse_fatal(const struct sley_task *t, const char *site, const char *what, const char *remedy)
{
    sley__misuse(t, site, what, remedy);
    __builtin_trap();
}

void sley__misuse_frame_armed(struct sley_sched *s, struct sley_task *t)
{
    if (t->type->style != SLEY_STYLE_FRAME) {
        return;
    }
    /* an armed node in the frame is a word that names the task or its home as only nodes do */
    const uintptr_t *word = (const uintptr_t *)(const void *)(t + 1);
    for (size_t n = t->type->args_bytes / sizeof *word; n > 0; n--, word++) {
        if (*word == ((uintptr_t)t | SLEY__KIND_HOME_TASK) || *word == ((uintptr_t)s | SLEY__KIND_HOME)) {
            const struct sley_wait *w = (const struct sley_wait *)(const void *)word;
            sley__misuse_fatal(t, w->at.site, "a frame has ended with a wait node armed",
                               "SLEY_AWAIT it, or cancel and await it, before SLEY_RETURN");
        }
    }
}

/** @p t stands still: who completes its node wakes it, and has posted that before the node is done if he is another thread. */
static void audit_task(struct sley_sched *s, struct sley_task *t, bool still)
{
    (void)still;
    const struct sley_wait *w = sley__task_run(t) == SLEY__TASK_IDLE ? t->link.awaited : NULL;
    /* relaxed: behind the acquire that has seen the node done */
    if (w && sley_wait_done(w) && atomic_load_explicit(&s->inbox, memory_order_relaxed) == SLEY__INBOX_PARKED) {
        sley__misuse(t, w->at.site, "a task sleeps though what it waits for is done", "complete nodes by sley_wait_complete alone");
    }
}

void sley__audit(struct sley_sched *s)
{
    bool ready = sley_sched_ready(s) || s->ready.head;
    for (uint32_t i = 1; s->lanes && i < s->lane_count; i++) {
        ready = ready || s->lanes[i].head;
    }
    if (ready) {
        sley__misuse_to(s, NULL, "a worker goes to sleep beside a task that is ready", "before sley_sched_park ask sley_sched_ready");
    }
    /* relaxed: this thread writes it */
    const uint32_t now = atomic_load_explicit(&s->resume_count, memory_order_relaxed);
    if (!ready && !sley__group(s) && (int32_t)(now - s->audit_next) >= 0) { /* so seldom that each resume pays for one task */
        s->audit_next = now + AUDIT_RESUMES + sley__each_task(s, true, audit_task);
    }
}
#endif
