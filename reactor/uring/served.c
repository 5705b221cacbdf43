/* A ring that another thread looks at while its own is stuck in a task (reactor/served.c). Only its own may enter it; but what lies in the
 * two queues is for whoever is let in. So that one takes out what has come, puts in what is to go, and calls the ring's thread by a signal
 * if there is anything to be entered for. The signal's handler enters, which takes in what was put in and works off what has waited for
 * that; the next look finds it in the queue of completions.
 *
 * The handler touches nothing but the kernel's side of the ring, as a thread of the kernel's own would that polls the queue (SQPOLL): it
 * may come at any time, in the midst of another look, too. When the thread is inside itself it enters anyway, and the handler does not.
 * Whether there is anything is asked by poll(2), which any thread may do: a ring for which nothing has come is left alone, for a call may
 * cut a system call of the task's short.
 *
 * The signal's disposition is taken while there is such a ring, and chained: what was not sent by us goes to who was there before. */
#include "checker.h"
#include "uring.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

enum { SIGNO = SIGURG }; /* the watchdog's, too: processes ignore it unless they ask for it */

/* Its address in a signal's value says that the signal is ours. */
static const char cookie;
static SLEY__TLS struct sley__uring *mine; /* the ring of this thread, for the handler */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction outer; /* what was there before us */
static uint32_t ring_count;
static bool is_taken;

/* ---- the ring's thread ----------------------------------------------------------------------------------------------- */

static void enter(const struct sley__uring *r)
{
    /* relaxed: this thread's own word */
    if (atomic_load_explicit(&r->base.box.door.held, memory_order_relaxed) != 1) {
        /* acquire: as the kernel reads it; all that is published and no more, or the kernel would not come to the second part */
        const unsigned count = io_uring_smp_load_acquire(r->ring.sq.ktail) - *r->ring.sq.khead;
        (void)sley__uring_syscall_enter(r->ring.ring_fd, count, 0, IORING_ENTER_GETEVENTS, NULL, 0);
    }
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
    const int saved = errno;
    if (info->si_code == SI_QUEUE && info->si_value.sival_ptr == (const void *)&cookie) {
        if (mine) {
            enter(mine);
        }
    } else if (outer.sa_flags & SA_SIGINFO) {
        outer.sa_sigaction(signo, info, context);
    } else if (outer.sa_handler != SIG_DFL && outer.sa_handler != SIG_IGN) {
        outer.sa_handler(signo);
    }
    errno = saved;
}

/** Returns: whether calls are heard. */
static bool install(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_sigaction = on_signal;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART; /* a fiber's own stack may have no room for a handler */
    (void)sigemptyset(&sa.sa_mask);
    (void)pthread_mutex_lock(&lock);
    if (!is_taken && sigaction(SIGNO, NULL, &outer) == 0) {
        is_taken = sigaction(SIGNO, &sa, NULL) == 0;
    }
    const bool taken = is_taken;
    ring_count += taken;
    (void)pthread_mutex_unlock(&lock);
    return taken;
}

static void uninstall(void)
{
    struct sigaction now;
    (void)pthread_mutex_lock(&lock);
    if (--ring_count == 0 && sigaction(SIGNO, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal) {
        (void)sigaction(SIGNO, &outer, NULL); /* who has put his own on top of ours keeps both */
        is_taken = false;
    }
    (void)pthread_mutex_unlock(&lock);
}

void sley__uring_answer(struct sley__uring *r)
{
    if (r->worker_tid == 0 && install()) {
        r->worker_tid = (uint32_t)syscall(SYS_gettid);
        mine = r;
    }
}

void sley__uring_answer_no_more(struct sley__uring *r)
{
    if (r->worker_tid != 0) {
        uninstall();
        r->worker_tid = 0;
        mine = NULL; /* of who ends it: its thread has ended, or it is this one */
    }
}

/* ---- who serves ------------------------------------------------------------------------------------------------------ */

/** Is there something that its thread alone gets into the kernel, or out? */
static bool needs_its_thread(const struct sley__uring *r)
{
    struct pollfd p = {.fd = r->ring.ring_fd, .events = POLLIN};
    if (sley__uring_unsubmitted(r) > 0) {
        return true;
    }
    if (!sley__uring_has(r, SLEY__URING_DEFER)) {
        return IO_URING_READ_ONCE(*r->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
    }
    return sley__uring_results(r) == 0 && poll(&p, 1, 0) == 1;
}

static void call(const struct sley__uring *r)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = SIGNO;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(uintptr_t)&cookie;
    (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), r->worker_tid, SIGNO, &info);
}

bool sley__uring_call_for(struct sley__uring *r, bool (*take)(struct sley__uring *r, int32_t *ret_result), int32_t *ret_result)
{
    enum { TURNS = 200 };
    SLEY_ATOMIC(uint32_t) bell = 0;
    bool found = false;
    call(r);
    for (int i = 0; i < TURNS && !found; i++) {
        sley_thread_wait(&bell, sley_thread_now_ns() + 100 * SLEY_US);
        found = take(r, ret_result);
    }
    return found;
}

int sley__uring_serve(struct sley_reactor *self)
{
    struct sley__uring *r = sley_container_of(self, struct sley__uring, base);
    if (r->worker_tid == 0) {
        return 0; /* it has not driven yet, or would not hear */
    }
    sley__uring_taken_back(r);
    const int seen = sley__uring_poll(self, 0);
    if (needs_its_thread(r)) {
        call(r);
    }
    return seen;
}
