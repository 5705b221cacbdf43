/* Threads of executors. */
#include <sley/thread_impl.h>

#include <signal.h>
#include <stdio.h>

int sley_executor_start_thread(pthread_t *ret_thread, const struct sley_thread_opts *o)
{
    /* faults, which are the thread's own, and what is sent to a thread, by a profiler or the watchdog */
    static const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT, SIGPROF, SIGURG};
    const size_t open_count = sizeof open / sizeof open[0] - (o->undisturbed ? 2 : 0);
    char numbered[16];
    sigset_t blocked, before;
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);
    if (rc != 0) {
        return -rc;
    }
    rc = o->stack_bytes > 0 ? pthread_attr_setstacksize(&attr, o->stack_bytes) : 0;
    (void)sigfillset(&blocked);
    for (size_t i = 0; i < open_count; i++) {
        (void)sigdelset(&blocked, open[i]);
    }
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before); /* inherited: there is no moment without it */
    rc = rc == 0 ? pthread_create(ret_thread, &attr, o->fn, o->arg) : rc;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (rc == 0 && o->name) {
        (void)snprintf(numbered, sizeof numbered, o->index == UINT32_MAX ? "%s" : "%s%u", o->name, (unsigned)o->index % 1000000);
        (void)pthread_setname_np(*ret_thread, numbered);
    }
    return -rc;
}
