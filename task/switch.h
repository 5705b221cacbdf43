/* The context switch: callee-saved registers and FP control words alone, told to ASan, TSan and valgrind. No scheduling. */
#ifndef SLEY_TASK_SWITCH_H
#define SLEY_TASK_SWITCH_H

#include <stddef.h>

/**
 * A suspended context. The fields after `sp` exist for checkers; those of sanitizers stay NULL in plain builds (one
 * layout for all). Stacks of a pool are known to valgrind through it; who runs a context on memory of his own sets
 * `valgrind_id` after init (sley__annotate_stack_register), and fini takes that back.
 */
struct sley__context {
    void *sp;
    void *stack_low; /* lowest usable address of its stack, for ASan and valgrind */
    size_t stack_bytes;
    void *asan_fake;
    void *tsan_fiber;
    unsigned valgrind_id;
};

/** Readies @p c to run entry(arg) on the stack [low, top) at the first switch to it; entry must never return. */
void sley__context_init(struct sley__context *c, void *low, void *top, void (*entry)(void *), void *arg);
/**
 * Saves the running context in @p from, goes on with @p to. Returns when somebody switches back to @p from, on
 * whatever thread. Each context has its own FP control words (rounding, masks; a new one begins with its creator's);
 * FP status flags, the signal mask and errno are the thread's. Callers must not keep a thread-local's address across it.
 */
void sley__context_switch(struct sley__context *from, struct sley__context *to);
/** The last switch of a context that ends: like switch, and its fake stack is dropped. */
void sley__context_exit(struct sley__context *from, struct sley__context *to) __attribute__((noreturn));
/** Releases what the sanitizers hold for a context that has ended (or never ran); not for a thread's. NULL is fine. */
void sley__context_fini(struct sley__context *c);
/**
 * Calls fn(arg) so that a backtrace made there goes on, behind the frame that lies in this function, where the suspended context
 * @p c stands. Runs on the caller's stack: the context's is read by whoever walks it, and nothing else. Its owner must not resume
 * it meanwhile. Returns: 1; 0 where the switch is not in assembly: fn was not called.
 */
int sley__context_walk(const struct sley__context *c, void (*fn)(void *arg), void *arg);
/** Fills @p c in for the thread itself (the context that fibers switch back to). */
void sley__context_adopt_thread(struct sley__context *c);

#endif
