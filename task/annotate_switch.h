/* Switch announcements of sanitizer builds, for switch_sanitized.c alone: the set for the sanitizer of this build.
 * All are inlined whatever the optimisation: a function that TSan enters on one context and leaves on another would
 * shift the shadow stacks of both.
 *
 *   sley__annotate_init(c), _adopt_thread(c), _fini(c)   a context comes to be, is a thread's own, is gone
 *   sley__annotate_leave(from, to), _return(from)   around the switch, on the stack of from
 *   sley__annotate_begin()   first thing on a fresh stack
 *   sley__annotate_exit(to)   in place of leave, for the last switch of a context
 */
#ifndef SLEY_TASK_ANNOTATE_SWITCH_H
#define SLEY_TASK_ANNOTATE_SWITCH_H

#include "annotate.h"

#if defined(SLEY__ANNOTATE_ASAN)
#include "annotate_switch_asan.h"
#elif defined(SLEY__ANNOTATE_TSAN)
#include "annotate_switch_tsan.h"
#else
#error "switch_sanitized.c is for builds with b_sanitize=address or thread"
#endif

#endif
