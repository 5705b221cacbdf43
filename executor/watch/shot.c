/* A stalled thread writes down its own stack: a signal's handler walks it, whichever stack that is, and answers. The signal's
 * disposition is taken while some watchdog has a thread, and chained: what was not sent by us goes to who was there before. */
#include "watch.h"

#include <errno.h>
#include <execinfo.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* Where the interrupted code was: it is the first frame of interest. A processor that is not named here shows the handler's, too. */
#if defined(__x86_64__)
#define INTERRUPTED_AT(uc) ((void *)(uc)->uc_mcontext.gregs[REG_RIP])
#elif defined(__aarch64__)
#define INTERRUPTED_AT(uc) ((void *)(uc)->uc_mcontext.pc)
#else
#define INTERRUPTED_AT(uc) NULL
#endif

enum { SIGNALS = 4, HANDLER_FRAMES = 12 };

static pthread_mutex_t taken_lock = PTHREAD_MUTEX_INITIALIZER;
static struct taken {
    SLEY_ATOMIC(int) signo; /* 0: free. Written under the lock, read by the handler */
    unsigned count;
    struct sigaction outer; /* what was there before us */
} taken[SIGNALS];

/* Its address in a signal's value says that the signal is ours. */
static const char cookie;

static uint32_t walk(void **frames, const ucontext_t *uc)
{
    void *all[SLEY__SHOT_FRAMES + HANDLER_FRAMES];
    const int n = backtrace(all, SLEY__SHOT_FRAMES + HANDLER_FRAMES);
    const void *at = INTERRUPTED_AT(uc);
    int first = 0;
    while (first < n && all[first] != at) {
        first++;
    }
    first = first < n ? first : 0;
    uint32_t count = 0;
    for (int i = first; i < n && count < SLEY__SHOT_FRAMES; i++) {
        frames[count++] = all[i];
    }
    return count;
}

/** Answers what the watchdog has asked this thread, if anything: a signal may come late, in another task or after the worker's end. */
static void answer(const ucontext_t *uc)
{
    const struct sley_sched *s = sley__self;
    struct sley__watch_entry *e = s ? s->watched : NULL;
    if (!e) {
        return;
    }
    /* acquire: observes the question; pairs with ask in look.c */
    const uint32_t asked = atomic_load_explicit(&e->asked, memory_order_acquire);
    /* relaxed: only this thread answers */
    if (asked == atomic_load_explicit(&e->answered, memory_order_relaxed)) {
        return;
    }
    struct sley__shot *shot = &e->shot;
    /* relaxed: both are this thread's own */
    shot->same = atomic_load_explicit(&s->resume_count, memory_order_relaxed) == e->asked_count &&
                 atomic_load_explicit(&e->watched->state, memory_order_relaxed) == e->asked_state;
    shot->type = s->current ? s->current->type : NULL;
    shot->frame_count = shot->same ? walk(shot->frames, uc) : 0;
    /* release: publishes the shot to the watchdog */
    atomic_store_explicit(&e->answered, asked, memory_order_release);
    sley__watch_ring(&e->watch->bell);
}

static struct taken *taken_of(int signo)
{
    for (int i = 0; i < SIGNALS; i++) {
        /* acquire: observes `outer`; pairs with sley__shot_install */
        if (atomic_load_explicit(&taken[i].signo, memory_order_acquire) == signo) {
            return &taken[i];
        }
    }
    return NULL;
}

static void pass_on(int signo, siginfo_t *info, void *context)
{
    const struct taken *t = taken_of(signo);
    if (!t) {
        return;
    }
    if (t->outer.sa_flags & SA_SIGINFO) {
        t->outer.sa_sigaction(signo, info, context);
    } else if (t->outer.sa_handler != SIG_DFL && t->outer.sa_handler != SIG_IGN) {
        t->outer.sa_handler(signo);
    } else if (t->outer.sa_handler == SIG_DFL && signo != SIGURG) {
        (void)sigaction(signo, &t->outer, NULL); /* as if nobody had been here: it comes again when this handler returns */
        (void)raise(signo);
    }
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
    const int saved = errno;
    if (info->si_code == SI_QUEUE && info->si_value.sival_ptr == (const void *)&cookie) {
        answer(context);
    } else {
        pass_on(signo, info, context);
    }
    errno = saved;
}

int sley__shot_install(int signo)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_sigaction = on_signal;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART; /* a fiber's own stack may have no room for a handler */
    (void)sigemptyset(&sa.sa_mask);
    int rc = 0;
    (void)pthread_mutex_lock(&taken_lock);
    struct taken *t = taken_of(signo);
    if (!t && (t = taken_of(0)) != NULL) {
        rc = sigaction(signo, NULL, &t->outer) == 0 ? 0 : -EINVAL;
        if (rc == 0) {
            /* release: publishes `outer` to the handler */
            atomic_store_explicit(&t->signo, signo, memory_order_release);
            (void)sigaction(signo, &sa, NULL);
        }
    }
    if (t && rc == 0) {
        t->count++;
    }
    (void)pthread_mutex_unlock(&taken_lock);
    return t ? rc : -EAGAIN;
}

void sley__shot_uninstall(int signo)
{
    struct sigaction now;
    (void)pthread_mutex_lock(&taken_lock);
    struct taken *t = taken_of(signo);
    if (t && --t->count == 0) {
        const bool ours = sigaction(signo, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal;
        if (ours) { /* who has put his own on top of ours keeps both: then the slot stays */
            (void)sigaction(signo, &t->outer, NULL);
            /* release: the slot is free for another signal */
            atomic_store_explicit(&t->signo, 0, memory_order_release);
        }
    }
    (void)pthread_mutex_unlock(&taken_lock);
}

void sley__shot_prime(void)
{
    void *frame[1];
    (void)backtrace(frame, 1); /* the first call loads the unwinder, which no signal handler may do */
}

void sley__shot_ask(struct sley_watch *w, uint32_t tid)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = w->opts.signo;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(uintptr_t)&cookie;
    /* by number: a thread that has ended meanwhile is only not found */
    (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, w->opts.signo, &info);
}
