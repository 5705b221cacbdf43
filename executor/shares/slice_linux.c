/* Ending slices by a POSIX timer that signals the worker's own thread: no other thread has to get a processor first. */
#include "slice.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <sley/sched_impl.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

SLEY_STATIC_ASSERT(sizeof(timer_t) <= sizeof(uintptr_t), "a timer's name fits into its word");

static uint64_t ns_of(clockid_t clock)
{
    struct timespec ts;
    (void)clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

uint64_t sley__slice_cpu_ns(void)
{
    return ns_of(CLOCK_THREAD_CPUTIME_ID);
}

/** A signal may come late, when another sched is driven here, or none: to that one it is a hint for nothing. */
static void slice_over(int signo)
{
    struct sley_sched *s = sley__self;
    (void)signo;
    if (s) {
        /* relaxed: this thread's own word */
        atomic_store_explicit(&s->preempt, 1, memory_order_relaxed);
    }
}

/* The signal of all of them, once one has been found; it stays taken, for one may be on its way. */
static pthread_mutex_t found_lock = PTHREAD_MUTEX_INITIALIZER;
static int found;

/** The highest of the real-time signals that nobody handles. Returns 0 when there is none. */
static int find_signal(void)
{
    (void)pthread_mutex_lock(&found_lock);
    for (int signo = SIGRTMAX - 1; found == 0 && signo >= SIGRTMIN; signo--) { /* valgrind has the last one for itself */
        struct sigaction sa;
        if (sigaction(signo, NULL, &sa) == 0 && !(sa.sa_flags & SA_SIGINFO) && sa.sa_handler == SIG_DFL) {
            memset(&sa, 0, sizeof sa);
            sa.sa_handler = slice_over;
            sa.sa_flags = SA_ONSTACK | SA_RESTART;
            (void)sigemptyset(&sa.sa_mask);
            found = sigaction(signo, &sa, NULL) == 0 ? signo : 0;
        }
    }
    const int signo = found;
    (void)pthread_mutex_unlock(&found_lock);
    return signo;
}

static uint32_t this_thread(void)
{
    static SLEY__TLS uint32_t tid;
    if (tid == 0) {
        tid = (uint32_t)syscall(SYS_gettid);
    }
    return tid;
}

/** A timer for this thread: whoever drives may change. */
static bool make_timer(struct sley__slice *sl)
{
    struct sigevent how;
    timer_t timer;
    sley__slice_end(sl);
    memset(&how, 0, sizeof how);
    how.sigev_notify = SIGEV_THREAD_ID;
    how.sigev_signo = find_signal();
    how.sigev_notify_thread_id = (pid_t)this_thread();
    if (how.sigev_signo == 0 || timer_create(CLOCK_MONOTONIC, &how, &timer) != 0) {
        return false;
    }
    memcpy(&sl->timer, &timer, sizeof timer);
    sl->tid = this_thread();
    sl->signo = how.sigev_signo;
    return true;
}

static bool arm(struct sley__slice *sl, uint64_t deadline_ns)
{
    const struct itimerspec at = {.it_value = {.tv_sec = (time_t)(deadline_ns / SLEY_S), .tv_nsec = (long)(deadline_ns % SLEY_S)}};
    sigset_t blocked;
    timer_t timer;
    memcpy(&timer, &sl->timer, sizeof timer);
    if (pthread_sigmask(SIG_BLOCK, NULL, &blocked) != 0 || sigismember(&blocked, sl->signo)) {
        return false;
    }
    sl->armed_ns = timer_settime(timer, TIMER_ABSTIME, &at, NULL) == 0 ? deadline_ns : 0;
    return sl->armed_ns != 0;
}

bool sley__slice_watch(struct sley__slice *sl, uint64_t deadline_ns)
{
    if (sl->tid != this_thread() && !make_timer(sl)) {
        return false;
    }
    return sl->armed_ns == deadline_ns || arm(sl, deadline_ns);
}

void sley__slice_end(struct sley__slice *sl)
{
    timer_t timer;
    if (sl->tid) {
        memcpy(&timer, &sl->timer, sizeof timer);
        (void)timer_delete(timer);
    }
    *sl = (struct sley__slice){.tid = 0};
}
