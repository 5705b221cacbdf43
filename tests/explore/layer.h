/* Put in front of every source that is compiled for the explorer (-include): atomics, and the system calls that wait, become
 * steps of the scenario. Plain accesses are reported by the compiler (-fsanitize=thread) to races.c; an atomic that is missing
 * here would end up there, too, and not link. */
#ifndef SLEY_TEST_EXPLORE_LAYER_H
#define SLEY_TEST_EXPLORE_LAYER_H
#ifndef __ASSEMBLER__

#pragma GCC system_header /* no warnings in what the macros expand to */

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#define revoke explore_libc_revoke /* unistd.h has one, and so has sync/lock.c, which does not include it */
#include <unistd.h>
#undef revoke

/* The compiler that reports accesses says that a sanitizer is there. */
#undef __has_feature
#define __has_feature(x) 0

#include "explore.h"

#define EXPLORE__AT __FILE__, __func__, __LINE__
#define EXPLORE__AT_ARG const char *file, const char *func, int line

uint64_t explore__load(const volatile void *p, unsigned size, int order, EXPLORE__AT_ARG);
void explore__store(volatile void *p, unsigned size, uint64_t value, int order, EXPLORE__AT_ARG);
uint64_t explore__rmw(enum explore_kind kind, volatile void *p, unsigned size, uint64_t value, int order, EXPLORE__AT_ARG);
bool explore__cas(volatile void *p, unsigned size, uint64_t *expected, uint64_t value, int order, int fail_order, bool weak,
                  EXPLORE__AT_ARG);
void explore__fence(int order, EXPLORE__AT_ARG);
void explore__pause(EXPLORE__AT_ARG);
long explore__syscall(EXPLORE__AT_ARG, long number, ...);
int explore__clock(struct timespec *ret);
void *explore__copy(void *to, const void *from, size_t bytes);
void *explore__fill(void *to, int value, size_t bytes);

#define EXPLORE__TYPE(p) __typeof__((void)0, *(p))
#define EXPLORE__BITS(v) ((uint64_t)(uintptr_t)(v))
#define EXPLORE__SIZE(p) ((unsigned)sizeof *(p))

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_fetch_xor_explicit
#undef atomic_thread_fence
#undef atomic_signal_fence

#define atomic_load_explicit(p, order) ((EXPLORE__TYPE(p))(uintptr_t)explore__load((p), EXPLORE__SIZE(p), (int)(order), EXPLORE__AT))
#define atomic_store_explicit(p, v, order) explore__store((p), EXPLORE__SIZE(p), EXPLORE__BITS(v), (int)(order), EXPLORE__AT)
#define EXPLORE__RMW(kind, p, v, order) \
    ((EXPLORE__TYPE(p))(uintptr_t)explore__rmw(kind, (p), EXPLORE__SIZE(p), EXPLORE__BITS(v), (int)(order), EXPLORE__AT))
#define atomic_exchange_explicit(p, v, order) EXPLORE__RMW(EXPLORE_EXCHANGE, p, v, order)
#define atomic_fetch_add_explicit(p, v, order) EXPLORE__RMW(EXPLORE_ADD, p, v, order)
#define atomic_fetch_sub_explicit(p, v, order) EXPLORE__RMW(EXPLORE_SUB, p, v, order)
#define atomic_fetch_or_explicit(p, v, order) EXPLORE__RMW(EXPLORE_OR, p, v, order)
#define atomic_fetch_and_explicit(p, v, order) EXPLORE__RMW(EXPLORE_AND, p, v, order)
#define atomic_fetch_xor_explicit(p, v, order) EXPLORE__RMW(EXPLORE_XOR, p, v, order)

#define EXPLORE__CAS(p, expected, v, order, fail_order, weak)                                                                          \
    __extension__({                                                                                                                    \
        EXPLORE__TYPE(p) *explore_expected = (expected);                                                                               \
        uint64_t explore_found = EXPLORE__BITS(*explore_expected);                                                                     \
        const bool explore_ok =                                                                                                        \
            explore__cas((p), EXPLORE__SIZE(p), &explore_found, EXPLORE__BITS(v), (int)(order), (int)(fail_order), weak, EXPLORE__AT); \
        if (!explore_ok) {                                                                                                             \
            *explore_expected = (EXPLORE__TYPE(p))(uintptr_t)explore_found;                                                            \
        }                                                                                                                              \
        explore_ok;                                                                                                                    \
    })
#define atomic_compare_exchange_strong_explicit(p, e, v, order, fail) EXPLORE__CAS(p, e, v, order, fail, false)
#define atomic_compare_exchange_weak_explicit(p, e, v, order, fail) EXPLORE__CAS(p, e, v, order, fail, true)

#define atomic_thread_fence(order) explore__fence((int)(order), EXPLORE__AT)
#define atomic_signal_fence(order) ((void)(order))
#define __atomic_thread_fence(order) explore__fence((int)(order), EXPLORE__AT)
#define __atomic_signal_fence(order) ((void)(order))
#define __atomic_load_n(p, order) atomic_load_explicit(p, order)
#define __atomic_store_n(p, v, order) atomic_store_explicit(p, v, order)

#define __atomic_exchange_n(p, v, order) EXPLORE__RMW(EXPLORE_EXCHANGE, p, v, order)
#define __atomic_compare_exchange_n(p, expected, v, weak, order, fail) EXPLORE__CAS(p, expected, v, order, fail, weak)

/* What spins says so, or gives the processor away. */
#define SLEY__RELAX() explore__pause(EXPLORE__AT)
#define sched_yield() (explore__pause(EXPLORE__AT), 0)
#define syscall(...) explore__syscall(EXPLORE__AT, __VA_ARGS__)
#define clock_gettime(clock, ts) ((void)(clock), explore__clock(ts))

/* The compiler tells of every access but those of these two. */
#undef memcpy
#undef memset
#define memcpy(...) explore__copy(__VA_ARGS__)
#define memset(...) explore__fill(__VA_ARGS__)

#endif
#endif
