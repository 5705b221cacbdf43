/* What task memory and fiber stacks tell the checker that a build is made for. Switches: annotate_switch.h.
 * Which one it is follows from the compiler's own macros, so that every file that sees this header agrees, whatever it
 * is compiled by. Each header below is the whole set of functions for one checker:
 *
 *   sley__annotate_alloc(ptr, n)   the block is the user's from now on, its contents undefined
 *   sley__annotate_free(ptr, n)    nobody but the allocator may touch it (and it says alloc first)
 *   sley__annotate_running()       does anybody listen to the calls below? They may be left out if not
 *   sley__annotate_stack_live(low, top), _idle(low, top)   a stack is taken, is given back
 *   sley__annotate_unmapped(low, high)   stacks are no memory any more
 *   sley__annotate_stack_register(low, top), _deregister(id)   memory becomes a stack, ceases to be one
 *
 * Valgrind: meson defines SLEY__ANNOTATE_VALGRIND for this library where the header is installed: stacks are announced.
 * To let memcheck see task blocks as well (some 2 ns per alloc and free): -Dc_args=-DSLEY__ANNOTATE_MEMCHECK.
 */
#ifndef SLEY_TASK_ANNOTATE_H
#define SLEY_TASK_ANNOTATE_H

#ifdef __has_feature
#define SLEY__HAS_FEATURE(x) __has_feature(x) /* clang */
#else
#define SLEY__HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SLEY__HAS_FEATURE(address_sanitizer)
#define SLEY__ANNOTATE_ASAN 1
#elif defined(__SANITIZE_THREAD__) || SLEY__HAS_FEATURE(thread_sanitizer)
#define SLEY__ANNOTATE_TSAN 1
#endif

#if defined(SLEY__ANNOTATE_ASAN)
#include "annotate_asan.h"
#elif defined(SLEY__ANNOTATE_TSAN)
#include "annotate_none.h" /* it knows memory by itself, and of stacks only the switches matter to it */
#elif defined(SLEY__ANNOTATE_VALGRIND) || defined(SLEY__ANNOTATE_MEMCHECK)
#include "annotate_valgrind.h"
#else
#include "annotate_none.h"
#endif

#endif
