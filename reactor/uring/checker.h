/* What checkers do not see: memory that the kernel fills, and that what goes into the ring comes out of it. */
#ifndef SLEY_REACTOR_URING_CHECKER_H
#define SLEY_REACTOR_URING_CHECKER_H

#include <sley/base.h>

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

/* Does memcheck look on? A request to it takes 17 instructions where nobody listens. */
extern SLEY_ATOMIC(bool) sley__uring_seen;

static inline void sley__uring_look_for_checker(void)
{
    /* relaxed: every reactor's start says the same, before its first op */
    atomic_store_explicit(&sley__uring_seen, RUNNING_ON_VALGRIND != 0, memory_order_relaxed);
}

static inline bool sley__uring_is_seen(void)
{
    /* relaxed: as above */
    return SLEY_UNLIKELY(atomic_load_explicit(&sley__uring_seen, memory_order_relaxed));
}

static inline void sley__uring_filled(const void *buf, size_t bytes)
{
    if (sley__uring_is_seen()) {
        (void)VALGRIND_MAKE_MEM_DEFINED(buf, bytes);
    }
}
#else
static inline void sley__uring_look_for_checker(void) {}

static inline bool sley__uring_is_seen(void)
{
    return false;
}

static inline void sley__uring_filled(const void *buf, size_t bytes)
{
    (void)buf, (void)bytes;
}
#endif

#endif
