/* For implementers of executors that have threads of their own. */
#ifndef SLEY_THREAD_IMPL_H
#define SLEY_THREAD_IMPL_H

#include <pthread.h>
#include <stdint.h>

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

/**
 * Starts a thread that takes no signals, which are the program's, but for its own faults, SIGPROF and SIGURG. Its name is @p name,
 * with @p index behind it unless that is UINT32_MAX, cut behind 15 bytes.
 * Returns: 0; -EAGAIN, -ENOMEM. Owns: the caller joins it. Thread: any. Cost: a thread.
 */
SLEY_API int sley_executor_start_thread(pthread_t *ret_thread, void *(*fn)(void *arg), void *arg, const char *name, uint32_t index);

/** How many processors this process may use; 1 when nobody knows. Thread: any. Cost: a system call. */
SLEY_API uint32_t sley_executor_processors(void);

SLEY_EXTERN_C_END
#endif
