/* The words every room uses: visibility, atomics in public structs, time units. Header only; no code lives here. */
#ifndef SLEY_BASE_H
#define SLEY_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Results are negative errno values; a freestanding machine without <errno.h> gets Linux's numbers. */
#if defined(__has_include)
#if __has_include(<errno.h>)
#include <errno.h>
#endif
#endif
#ifndef ECANCELED
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EAGAIN 11
#define ENOMEM 12
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define EPIPE 32
#define EDEADLK 35
#define ENODATA 61
#define EOVERFLOW 75
#define ENOTSUP 95
#define ENOBUFS 105
#define ESHUTDOWN 108
#define ETIMEDOUT 110
#define ECANCELED 125
#endif

#ifdef __cplusplus
#define SLEY_EXTERN_C_BEGIN extern "C" {
#define SLEY_EXTERN_C_END }
#define SLEY_STATIC_ASSERT(cond, text) static_assert(cond, text)
/** An atomic inside a public struct: `_Atomic(T)` in C, plain storage of the same layout in C++ (which never touches it). */
#define SLEY_ATOMIC(T) T
#else
#include <stdatomic.h>
#define SLEY_EXTERN_C_BEGIN
#define SLEY_EXTERN_C_END
#define SLEY_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
/** An atomic inside a public struct: `_Atomic(T)` in C, plain storage of the same layout in C++ (which never touches it). */
#define SLEY_ATOMIC(T) _Atomic(T)
#endif

/* One thread-local per program is all the state there is; a machine without threads has one of it. */
#if __STDC_HOSTED__
/* initial-exec: one load, no call; the few bytes fit every program, one that loads sley by dlopen too */
#define SLEY__TLS __thread __attribute__((tls_model("initial-exec")))
#else
#define SLEY__TLS
#endif

/** Marks what a library exports; everything else is hidden. */
#define SLEY_API __attribute__((visibility("default")))
#define SLEY_MUST_USE __attribute__((warn_unused_result))
#define SLEY_NOINLINE __attribute__((noinline))
#define SLEY_INLINE static inline __attribute__((always_inline))
#define SLEY_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define SLEY_LIKELY(x) __builtin_expect(!!(x), 1)
#define SLEY_UNLIKELY(x) __builtin_expect(!!(x), 0)

/** A moment's rest in a loop that waits for another processor. */
#if defined(SLEY__RELAX) /* tests/explore brings its own */
#elif defined(__x86_64__) || defined(__i386__)
#define SLEY__RELAX() __asm__ volatile("pause" ::: "memory")
#elif defined(__aarch64__) || defined(__arm__)
#define SLEY__RELAX() __asm__ volatile("yield" ::: "memory")
#else
#define SLEY__RELAX() __asm__ volatile("" ::: "memory")
#endif

/** Recovers the object that embeds @p member from a pointer to that member. */
#define sley_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/** Times are absolute nanoseconds of the runtime's monotonic clock (`uint64_t`); these are the units to build them from. */
#define SLEY_NS UINT64_C(1)
#define SLEY_US UINT64_C(1000)
#define SLEY_MS UINT64_C(1000000)
#define SLEY_S UINT64_C(1000000000)
/** "No deadline". */
#define SLEY_NEVER UINT64_MAX

#endif
