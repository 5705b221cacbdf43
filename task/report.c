/* Texts for the report function: programming errors (debug builds) and who is left at shutdown. Never prints by itself. */
#include "core.h"

/** A text that is cut where the buffer ends; no printf, for machines without one. */
struct text {
    char buf[512];
    size_t len;
};

static void put(struct text *x, const char *s)
{
    while (s && *s && x->len + 1 < sizeof x->buf) {
        x->buf[x->len++] = *s++;
    }
    x->buf[x->len] = '\0';
}

static void put_number(struct text *x, uint32_t n)
{
    char digits[11];
    size_t i = sizeof digits - 1;
    digits[i] = '\0';
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put(x, digits + i);
}

static void put_task(struct text *x, const struct sley_task *t)
{
    put(x, sley_task_name(t));
    put(x, " (");
    put(x, t->type->file);
    put(x, ":");
    put_number(x, t->type->line);
    put(x, ")");
}

static void put_wait(struct text *x, const struct sley_wait *w)
{
    put(x, w->ops && w->ops->name ? w->ops->name : "a node");
    if (w->at.site) {
        put(x, " at ");
        put(x, w->at.site);
    }
    const struct sley_task *holder = w->ops && w->ops->holder ? w->ops->holder(w) : NULL;
    if (holder) {
        put(x, ", held by ");
        put_task(x, holder);
    }
}

void sley__report_left(struct sley_sched *s, struct sley_task *t)
{
    if (!s->report) {
        return;
    }
    struct text x = {.len = 0};
    put(&x, "task ");
    put_task(&x, t);
    const uint32_t run = sley__task_state(t) & SLEY__TASK_RUN_MASK;
    if (run == SLEY__TASK_SCHEDULED) {
        put(&x, sley__task_state(t) & SLEY__TASK_STARTED ? " is ready to run" : " has not run yet");
    } else if (!t->link.awaited) {
        put(&x, " is parked");
    } else {
        put(&x, " waits for ");
        put_wait(&x, t->link.awaited);
    }
    s->report(s->report_arg, SLEY_REPORT_LEFT, x.buf);
}

void sley__report_overflow(struct sley_sched *s, const struct sley_task *t)
{
    if (!s->report) {
        return;
    }
    struct text x = {.len = 0};
    put(&x, "stack overflow in task ");
    put_task(&x, t);
    put(&x, "; give it more with SLEY_FIBER_STACK, or keep large buffers off the stack");
    s->report(s->report_arg, SLEY_REPORT_OVERFLOW, x.buf);
}

#ifdef SLEY_DEBUG
void sley__misuse_told(const struct sley_sched *s, const struct sley_task *t, const char *site, const char *what, const char *remedy)
{
    s = s ? s : t ? t->sched : sley_sched_current();
    if (!s || !s->report) {
        return;
    }
    struct text x = {.len = 0};
    put(&x, "misuse: ");
    put(&x, what);
    if (t) {
        put(&x, "\n  task:   ");
        put_task(&x, t);
    }
    if (site) {
        put(&x, "\n  wait:   ");
        put(&x, site);
    }
    put(&x, "\n  remedy: ");
    put(&x, remedy);
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
#endif
