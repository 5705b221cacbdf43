/* Signals of the system as something to wait for. Not for signals between tasks: <sley/notify.h>. */
#ifndef SLEY_SIGNAL_H
#define SLEY_SIGNAL_H

#include <sley/scope.h>

SLEY_EXTERN_C_BEGIN

/**
 * A listener: hears every delivery of one signal from init to fini, in the whole process, whatever runtime there is or is not.
 * There may be any number of them per signal. Must not move. Fields are private. Zeroed: deaf.
 *
 * While a signal has listeners its default action is not taken, nor is it ignored: they have it. A handler that was there before is
 * called behind them, on the thread that the system chose, and comes back when the last listener goes. Whoever puts his own over
 * them has to call the one that he has found. System calls that signals interrupt are started again (SA_RESTART), those apart
 * that never are: poll, select, nanosleep and so on.
 *
 * The system keeps one delivery of a signal pending at most (real-time signals queue), and needs a thread that does not block it:
 * the threads of executors and pools do, so that it is the program's own, mostly the first one, that is interrupted.
 *
 * In the child of a fork listeners are deaf (-EOWNERDEAD), and handlers are as they were before the first of them.
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
 * Listens to @p signo from now on. Returns: 0; -EINVAL for what cannot be waited for (SIGKILL, SIGSTOP; SIGSEGV, SIGBUS, SIGFPE,
 * SIGILL, SIGTRAP, SIGSYS, which are of the instruction that caused them; those that libc keeps); -EBUSY: a handler that was put
 * over listeners, which have gone, is still there, and would call ours and be called by it. Thread: any.
 */
SLEY_API int sley_signal_init(struct sley_signal *s, int signo);
/**
 * Waits for a delivery that has not been told yet. One at a time. Returns: how many there have been since the last wait (> 0); -EINVAL
 * on a deaf one; -EBUSY: another wait is in flight; -EOWNERDEAD: inherited by fork; -ECANCELED: none has been taken, or the listener
 * was finished. Thread: as sley_await; a wait may begin on any executor, with a reactor or without.
 * Calls back: a hook on the node of an executor with several workers runs inside the signal handler.
 */
SLEY_API int sley_signal_wait(struct sley_signal *s);
SLEY_API void sley_signal_wait_start(struct sley_signal_op *op, struct sley_signal *s);
/** Deliveries not told yet. Thread: any. */
SLEY_API uint64_t sley_signal_pending(const struct sley_signal *s);
/** Listens no more; a wait in flight ends with -ECANCELED. Nothing on a zeroed, deaf or NULL one. Thread: any. */
SLEY_API void sley_signal_fini(struct sley_signal *s);

SLEY_EXTERN_C_END
#endif
