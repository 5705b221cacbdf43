/* What each architecture's switch file provides to switch_plain.c and switch_sanitized.c. Not for anybody else. */
#ifndef SLEY_TASK_SWITCH_ARCH_H
#define SLEY_TASK_SWITCH_ARCH_H

#include "switch.h"

_Static_assert(offsetof(struct sley__context, sp) == 0, "the assembly files use a context as void **");

/** Writes the first frame of a context below @p top: the switch to the result calls entry(arg). */
void *sley__context_frame(void *top, void (*entry)(void *), void *arg);

/**
 * The switch itself. In builds without sanitizers its name is sley__context_switch, so that nothing stands between
 * the caller and it; with them switch_sanitized.c has that name and calls this one.
 */
#ifdef SLEY__SANITIZED
#define SLEY__SWAP sley__context_swap
void sley__context_swap(struct sley__context *from, struct sley__context *to);
#else
#define SLEY__SWAP sley__context_switch
#endif

#endif
