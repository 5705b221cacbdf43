/* The text of a stall: who, how long, where. On the watchdog's thread, which may take its time. */
#include "watch.h"

#include <stdarg.h>
#include <stdio.h>

struct text {
    size_t len;
    char buf[6000];
};

static void put(struct text *x, const char *fmt, ...) SLEY_PRINTF(2, 3);

static void put(struct text *x, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(x->buf + x->len, sizeof x->buf - x->len, fmt, args);
    va_end(args);
    const size_t room = sizeof x->buf - 1 - x->len;
    x->len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
}

static unsigned long long ms(uint64_t ns)
{
    return (unsigned long long)(ns / SLEY_MS);
}

static void put_who(struct text *x, const struct sley__watch_entry *e)
{
    const struct sley_task_type *type = e->has_shot ? e->shot.type : NULL;
    if (type) {
        put(x, "task %s (%s:%u)", type->name, type->file, (unsigned)type->line);
    } else {
        put(x, e->has_shot ? "something outside its tasks" : "a task");
    }
}

void sley__watch_report_stall(struct sley__watch_entry *e, uint64_t stalled_ns, uint64_t cpu_ns, bool over)
{
    const struct sley_watch_opts *o = &e->watch->opts;
    struct text x;
    x.len = 0;
    put(&x, over ? "stall over: " : "stall: ");
    put_who(&x, e);
    put(&x, " %s worker %u for %llu ms", over ? "had kept" : "has kept", (unsigned)e->worker, ms(stalled_ns));
    if (over) {
        o->report(o->report_arg, SLEY_REPORT_STALL, x.buf);
        return;
    }
    put(&x, ", %llu of them computing", ms(cpu_ns));
    if (e->suppressed_count > 0) {
        put(&x, "; %u before it were not reported", (unsigned)e->suppressed_count);
        e->suppressed_count = 0;
    }
    if (!e->has_shot) {
        put(&x, "; its thread did not take the signal that asks for its stack");
    }
    x.len = sley__trace_text(x.buf, x.len, sizeof x.buf, e->shot.frames, e->has_shot ? e->shot.frame_count : 0, true);
    o->report(o->report_arg, SLEY_REPORT_STALL, x.buf);
}
