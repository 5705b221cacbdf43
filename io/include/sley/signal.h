/* Waiting for the system's signals (SIGINT, ...). To signal between tasks use <sley/notify.h>. */
#ifndef SLEY_SIGNAL_H
#define SLEY_SIGNAL_H

#include <sley/scope.h>

SLEY_EXTERN_C_BEGIN

/**
 * A listener: counts every delivery of one signal to the process from init to fini; no runtime is needed. A signal may have any number
 * of listeners. Must not move. Fields are private. A zeroed one listens to nothing.
 *
 * While a signal has listeners, its default action is not taken, and it is not ignored. A handler that was installed before is called
 * after the listeners, on the thread that the system has interrupted, and is restored when the last listener goes. Code that installs a
 * handler while there are listeners has to call the handler that it replaces. System calls that a signal interrupts are restarted
 * (SA_RESTART), but for those that the system never restarts: poll, select, nanosleep and so on.
 *
 * The system keeps at most one delivery of a signal pending (real-time signals are queued), and needs a thread that does not block the
 * signal. The threads of executors and pools block signals, so that a thread of the program's own is interrupted, usually the first.
 *
 * In the child of a fork listeners get nothing (-EOWNERDEAD), and handlers are as they were before the first listener.
 */
struct sley_signal {
    struct sley_signal *next, *prev; /* listeners of the same signal */
    struct sley_signal_op *waiter;
    uint64_t count; /* deliveries not told yet */
    int signo;      /* 0: deaf */
    bool orphaned;
};

/** A wait in progress. */
struct sley_signal_op {
    struct sley_wait wait;
    /* private */
    struct sley_signal *signal; /* NULL: it has been taken off, and is being completed */
    struct sley_signal_op *next;
};

/**
 * Listens to @p signo from now on. Returns: 0; -EINVAL for a signal that cannot be waited for (SIGKILL, SIGSTOP; SIGSEGV, SIGBUS,
 * SIGFPE, SIGILL, SIGTRAP, SIGSYS, which belong to the instruction that caused them; those that libc reserves); -EBUSY: a handler that
 * was installed over listeners is still there after they have gone: it and sley's handler would call each other. Thread: any.
 */
SLEY_API int sley_signal_init(struct sley_signal *s, int signo);
/**
 * Waits until the signal has been delivered since the last wait. One wait at a time. Returns: the number of deliveries since then (> 0);
 * -EINVAL for a listener that listens to nothing; -EBUSY: another wait is in flight; -EOWNERDEAD: inherited by fork; -ECANCELED: none
 * was taken, or sley_signal_fini was called. Thread: as sley_await; on any executor, with a reactor or without.
 * Calls back: a hook on the node of an executor with several workers runs inside the signal handler.
 */
SLEY_API int sley_signal_wait(struct sley_signal *s);
SLEY_API void sley_signal_wait_start(struct sley_signal_op *op, struct sley_signal *s);
/** The number of deliveries that no wait has returned yet. Thread: any. */
SLEY_API uint64_t sley_signal_pending(const struct sley_signal *s);
/** Stops listening; a wait in flight ends with -ECANCELED. NULL, zeroed, or finished before: does nothing. Thread: any. */
SLEY_API void sley_signal_fini(struct sley_signal *s);

SLEY_EXTERN_C_END
#endif
