/* Threads of executors. */
#include <sley/thread_impl.h>

#include <sched.h>
#include <signal.h>
#include <stdio.h>

int sley_executor_start_thread(pthread_t *ret_thread, void *(*fn)(void *arg), void *arg, const char *name, uint32_t index)
{
    /* as cores' threads: faults, which are the thread's own, and what is sent to a thread, by a profiler or the watchdog */
    static const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT, SIGPROF, SIGURG};
    char numbered[16];
    sigset_t blocked, before;
    (void)sigfillset(&blocked);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        (void)sigdelset(&blocked, open[i]);
    }
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before); /* inherited: there is no moment without it */
    const int rc = pthread_create(ret_thread, NULL, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        (void)snprintf(numbered, sizeof numbered, index == UINT32_MAX ? "%s" : "%s%u", name, (unsigned)index % 1000000);
        (void)pthread_setname_np(*ret_thread, numbered);
    }
    return -rc;
}

uint32_t sley_executor_processors(void)
{
    cpu_set_t set;
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (uint32_t)n : 1;
}
