/* Where a suspended fiber stands, for the report of who is left at shutdown; and addresses as text, for the stall detector, too. */
#include "core.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    TRACES = 16,        /* each is some lines, which nobody reads by the thousand */
    FRAMES = 24,        /* the innermost ones */
    OWN_FRAMES = 8,     /* of who walks: ours, and those of a sanitizer that looks at backtrace */
    WALK_BYTES = 64,    /* at most, of sley__context_walk */
    ROOM_BYTES = 65536, /* of stack: loading the unwinder takes some, texts and walking 15 KiB; workers' threads may have less */
};

static SLEY__TLS uint32_t traces_left;

struct walk {
    int count;
    void *frames[OWN_FRAMES + FRAMES];
};

static void put(char *text, size_t *at, size_t bytes, const char *fmt, ...) SLEY_PRINTF(4, 5);

static void put(char *text, size_t *at, size_t bytes, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text + *at, bytes - *at, fmt, args);
    va_end(args);
    const size_t room = bytes - 1 - *at;
    *at += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
}

size_t sley__trace_text(char *text, size_t at, size_t bytes, void *const *pcs, size_t count, bool exact)
{
    for (size_t i = 0; i < count; i++) {
        const char *pc = pcs[i], *near = exact && i == 0 ? pc : pc - 1; /* where a call returns to: what called is just before */
        Dl_info info;
        memset(&info, 0, sizeof info);
        if (dladdr(near, &info) == 0 || !info.dli_fname) {
            put(text, &at, bytes, "\n  %p", pcs[i]);
            continue;
        }
        const char *slash = strrchr(info.dli_fname, '/'), *module = slash ? slash + 1 : info.dli_fname;
        if (info.dli_sname) {
            put(text, &at, bytes, "\n  %p %s+0x%zx (%s)", pcs[i], info.dli_sname, (size_t)(pc - (const char *)info.dli_saddr), module);
        } else { /* what addr2line takes */
            put(text, &at, bytes, "\n  %p (%s+0x%zx)", pcs[i], module, (size_t)(pc - (const char *)info.dli_fbase));
        }
    }
    return at;
}

static void walk(void *arg)
{
    struct walk *w = arg;
    w->count = backtrace(w->frames, OWN_FRAMES + FRAMES);
}

/** How much of the thread's stack is left. */
static size_t room(void)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t bytes = 0;
    if (syscall(SYS_gettid) == getpid() || pthread_getattr_np(pthread_self(), &attr) != 0) {
        return ROOM_BYTES; /* the process's first thread has a stack that grows; how far, libc reads in /proc */
    }
    (void)pthread_attr_getstack(&attr, &low, &bytes);
    (void)pthread_attr_destroy(&attr);
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    return here - (uintptr_t)low <= bytes ? here - (uintptr_t)low : 0;
}

void sley__trace_begin(bool still)
{
    void *frame[1];
    traces_left = still && room() >= ROOM_BYTES ? TRACES : 0;
    if (traces_left > 0) {
        (void)backtrace(frame, 1); /* the first call loads the unwinder: here, and not under a scope's lock */
    }
}

void sley__trace_left(const struct sley_sched *s, struct sley_task *t, bool stands, const char *what)
{
    char text[3072];
    struct walk w = {0};
    size_t len = 0;
    int first = 0;
    put(text, &len, sizeof text, "%s", what);
    if (stands && t->type->style == SLEY_STYLE_FIBER && traces_left > 0) {
        traces_left--;
        (void)sley__context_walk(&sley_container_of(t, struct sley__fiber, task)->context, walk, &w);
        /* the fiber begins behind the one that lies in there */
        while (first < w.count && (uintptr_t)w.frames[first] - (uintptr_t)sley__context_walk > WALK_BYTES) {
            first++;
        }
        first += first < w.count;
        (void)sley__trace_text(text, len, sizeof text, w.frames + first, (size_t)(w.count - first), false);
    }
    s->report(s->report_arg, SLEY_REPORT_LEFT, text);
}
