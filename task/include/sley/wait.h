/* The one socket that everything plugs into: the wait node, and the ways to wait for it. Who completes nodes uses <sley/task_impl.h>. */
#ifndef SLEY_WAIT_H
#define SLEY_WAIT_H

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

struct sley_wait_ops;

/**
 * A wait node: embedded in whatever a task can wait for. Zeroed is "never started".
 *
 * 1. The caller owns its memory, and that of any buffer it names, from start until it is done. A done node may be started again.
 * 2. It completes exactly once, from any thread.
 * 3. Start may finish at once: nothing is queued and awaiting it returns directly (it draws on the task's budget of 128).
 * 4. Cancelling asks; the node completes with a verdict: -ECANCELED (nothing happened) or the true result.
 * 5. Wakes may be spurious; awaiting looks again.
 *
 * A node started in a task of a single-threaded executor is awaited by tasks of that executor. Must not move until it is done.
 */
struct sley_wait {
    SLEY_ATOMIC(uintptr_t) word;     /* private: see task/wait_state.h */
    const struct sley_wait_ops *ops; /* private */
    union {
        const char *site; /**< "file:line" of the wait, for reports; may be NULL */
        void *link;       /* private: the inbox's, once a foreign thread has completed the node */
    } at;
    int32_t result; /**< valid once done: >= 0, or a negative errno */
    uint32_t flags; /* private */
};
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley_wait) == 32, "a wait node is at most 32 bytes");
#endif

/* private: a call on its way to a home thread; see sley_sched_post in <sley/sched_impl.h> */
struct sley_post {
    void *link;
    void (*fn)(struct sley_post *post);
};

enum { SLEY__WAIT_DONE = 8 };

/** Is the node done (and its result valid)? Thread: any. */
#ifndef __cplusplus
SLEY_INLINE bool sley_wait_done(const struct sley_wait *w)
{
    /* acquire: observes the result stored before DONE was published by the completer (wait_state.h) */
    return atomic_load_explicit(&w->word, memory_order_acquire) == (uintptr_t)SLEY__WAIT_DONE;
}
#endif

/**
 * Waits until the node is done.
 * Returns: the node's own verdict, never replaced; -EDEADLK in a frame, or on a thread that drives a runtime and is in no
 * task; -EINVAL for a node that was never started. When the task is cancelled the node is cancelled, and its verdict awaited.
 * Thread: a fiber, or a plain thread (which parks). In a frame: SLEY_AWAIT.
 */
SLEY_API int sley_await(struct sley_wait *w);

/**
 * Waits until the node is done or @p deadline_ns has passed; then cancels the node and waits for its verdict.
 * Returns: as sley_await; -ETIMEDOUT if and only if this deadline cancelled it and nothing had happened. Thread: as sley_await.
 */
SLEY_API int sley_await_until(struct sley_wait *w, uint64_t deadline_ns);

enum {
    SLEY_SELECT_FAIR = 1, /**< start looking at a rotating position; without it the first in order wins */
    SLEY_SELECT_KEEP = 2, /**< leave the losers armed; else they are cancelled, and done when select returns. They name the task: it
                               does not end before they are done, or another waits for them */
};

/**
 * Waits until one of @p n started nodes (1..65535) is done. NULL entries are skipped.
 * Returns: the winner's index. Several may have completed: look at each result. -ECANCELED when the task was cancelled before
 * any completed (every node is then done, KEEP or not: look at the results); -EINVAL when there is nothing to wait for;
 * -EDEADLK as sley_await. Thread: as sley_await. Cost: O(n).
 */
SLEY_API int sley_select(struct sley_wait *const *waits, size_t n, uint32_t flags);

/** Asks the node to end early; it still completes, with a verdict. Nothing on a zeroed or done node. Thread: who started it. */
SLEY_API void sley_wait_cancel(struct sley_wait *w);

/** Cancel and await: the way to leave early. Returns: the verdict; 0 on a zeroed node. Never cancelled. Thread: as sley_await. */
SLEY_API int sley_wait_fini(struct sley_wait *w);

/* private: end of the block of a SLEY_OP */
SLEY_API void sley__wait_cleanup(void *op);

/** Declares an op on the stack: zeroed, and finished (cancelled, awaited) when the block is left by any path. Fibers and threads. */
#define SLEY_OP(type, name) type name __attribute__((cleanup(sley__wait_cleanup))) = {0}

#define SLEY__STR2(x) #x
#define SLEY__STR(x) SLEY__STR2(x)
/** The place of a call, as a string. */
#define SLEY_SITE (__FILE__ ":" SLEY__STR(__LINE__))

SLEY_EXTERN_C_END
#endif
