/* What checkers do not see: memory that the kernel fills, and that what goes into the ring comes out of it. */
#ifndef SLEY_REACTOR_URING_CHECKER_H
#define SLEY_REACTOR_URING_CHECKER_H

#include <stddef.h>

#if defined(__SANITIZE_THREAD__)
#define SLEY__URING_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLEY__URING_TSAN 1
#endif
#endif

#ifdef SLEY__URING_TSAN
#include <sanitizer/tsan_interface.h>

static inline void sley__uring_handed_over(void *ring)
{
    __tsan_release(ring);
}

static inline void sley__uring_taken_back(void *ring)
{
    __tsan_acquire(ring);
}
#else
static inline void sley__uring_handed_over(void *ring)
{
    (void)ring;
}

static inline void sley__uring_taken_back(void *ring)
{
    (void)ring;
}
#endif

#ifdef SLEY__ANNOTATE_VALGRIND
#include <valgrind/memcheck.h>

static inline void sley__uring_filled(const void *buf, size_t bytes)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(buf, bytes);
}
#else
static inline void sley__uring_filled(const void *buf, size_t bytes)
{
    (void)buf, (void)bytes;
}
#endif

#endif
