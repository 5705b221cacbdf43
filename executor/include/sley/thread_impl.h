/* For implementers of executors that have threads of their own. */
#ifndef SLEY_THREAD_IMPL_H
#define SLEY_THREAD_IMPL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

/** A thread of an executor. */
struct sley_thread_opts {
    void *(*fn)(void *arg);
    void *arg;
    const char *name;   /**< cut behind 15 bytes, with the index; NULL: it names itself */
    uint32_t index;     /**< stands behind the name; UINT32_MAX: nothing does */
    size_t stack_bytes; /**< 0: the system's default */
    bool undisturbed;   /**< SIGPROF and SIGURG are kept from it, too: it makes calls that they would interrupt */
};
/**
 * Starts a thread that takes no signals, which are the program's, but for its own faults, SIGPROF and SIGURG. Unless it has no name it
 * must not be joined before this returns.
 * Returns: 0; -EAGAIN, -ENOMEM; -EINVAL (the stack). Owns: the caller joins it. Thread: any. Cost: a thread.
 */
SLEY_API int sley_executor_start_thread(pthread_t *ret_thread, const struct sley_thread_opts *o);

SLEY_EXTERN_C_END
#endif
