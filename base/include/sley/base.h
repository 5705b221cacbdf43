/* The words every room uses: visibility, atomics in public structs, time units. Header only; no code lives here. */
#ifndef SLEY_BASE_H
#define SLEY_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define SLEY_EXTERN_C_BEGIN extern "C" {
#define SLEY_EXTERN_C_END }
#define SLEY_STATIC_ASSERT(cond, text) static_assert(cond, text)
/** An atomic inside a public struct: `_Atomic(T)` in C, plain storage of the same layout in C++ (which never touches it). */
#define SLEY_ATOMIC(T) T
#else
#define SLEY_EXTERN_C_BEGIN
#define SLEY_EXTERN_C_END
#define SLEY_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
/** An atomic inside a public struct: `_Atomic(T)` in C, plain storage of the same layout in C++ (which never touches it). */
#define SLEY_ATOMIC(T) _Atomic(T)
#endif

/** Marks what a library exports; everything else is hidden. */
#define SLEY_API __attribute__((visibility("default")))
#define SLEY_MUST_USE __attribute__((warn_unused_result))
#define SLEY_NOINLINE __attribute__((noinline))
#define SLEY_INLINE static inline __attribute__((always_inline))
#define SLEY_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define SLEY_LIKELY(x) __builtin_expect(!!(x), 1)
#define SLEY_UNLIKELY(x) __builtin_expect(!!(x), 0)

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
