/* The text of a stall: who, how long, where. On the watchdog's thread, which may take its time. */
#include "watch.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

static void put_frame(struct text *x, const void *pc, bool is_first)
{
    /* all but the first are where a call returns to: what called is just before */
    const char *at = (const char *)pc - (is_first ? 0 : 1);
    Dl_info info;
    memset(&info, 0, sizeof info);
    if (dladdr(at, &info) == 0 || !info.dli_fname) {
        put(x, "\n  %p", pc);
        return;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    const char *module = slash ? slash + 1 : info.dli_fname;
    if (info.dli_sname) {
        put(x, "\n  %p %s+0x%zx (%s)", pc, info.dli_sname, (size_t)((const char *)pc - (const char *)info.dli_saddr), module);
    } else { /* what addr2line takes */
        put(x, "\n  %p (%s+0x%zx)", pc, module, (size_t)((const char *)pc - (const char *)info.dli_fbase));
    }
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
    for (uint32_t i = 0; e->has_shot && i < e->shot.frame_count; i++) {
        put_frame(&x, e->shot.frames[i], i == 0);
    }
    o->report(o->report_arg, SLEY_REPORT_STALL, x.buf);
}
