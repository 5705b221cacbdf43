/* The wait node: every operation that a task can wait for embeds one. How to wait for nodes; code that completes them includes
 * <sley/task_impl.h>. */
#ifndef SLEY_WAIT_H
#define SLEY_WAIT_H

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

struct sley_wait_ops;

/**
 * A wait node: embedded in whatever a task can wait for. Zeroed is "never started".
 *
 * 1. The caller keeps its memory, and that of any buffer that it names, valid from start until it is done. A done node may be started
 *    again.
 * 2. Each start completes the node exactly once, on whatever thread.
 * 3. A start may complete the node at once; awaiting it then returns immediately (which draws on the task's budget of 128).
 * 4. A cancel is a request. The node then completes with -ECANCELED (the operation had no effect) or with its true result.
 * 5. Wakes may be spurious; the calls that await a node check it again.
 *
 * A node that a task of a single-threaded executor has started may be awaited by tasks of that executor only. Must not move until done.
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

/** Is the node done, so that its result is valid? Thread: any. */
#ifndef __cplusplus
SLEY_INLINE bool sley_wait_done(const struct sley_wait *w)
{
    /* acquire: observes the result stored before DONE was published by the completer (wait_state.h) */
    return atomic_load_explicit(&w->word, memory_order_acquire) == (uintptr_t)SLEY__WAIT_DONE;
}
#endif

/**
 * Waits until the node is done.
 * When the task is cancelled, the node is cancelled, too, and its result is waited for.
 * Returns: the node's result, unchanged; -EDEADLK in a frame, or on a thread that drives a runtime but is in no task; -EINVAL for a
 * node that was never started. Thread: a fiber, or a plain thread, which blocks. In a frame: SLEY_AWAIT.
 */
SLEY_API int sley_await(struct sley_wait *w);

/**
 * Waits until the node is done. If @p deadline_ns (absolute) passes first, cancels the node and waits for its result.
 * Returns: as sley_await; -ETIMEDOUT if and only if this deadline cancelled the operation and it had no effect. Thread: as sley_await.
 */
SLEY_API int sley_await_until(struct sley_wait *w, uint64_t deadline_ns);

enum {
    SLEY_SELECT_FAIR = 1, /**< if several are done, prefer another one each time; without it the first in order wins */
    SLEY_SELECT_KEEP = 2, /**< leave the other nodes running; without it they are cancelled, and done when select returns. The task must
                               not end before they are done, or are awaited by another task */
};

/**
 * Waits until one of @p n started nodes (1..65535) is done. NULL entries are skipped.
 * Returns: the index of a node that is done; others may be done, too, so look at each result. -ECANCELED when the task was cancelled
 * before any was done (then all of them are done, with KEEP, too: look at the results); -EINVAL when there is no node to wait for;
 * -EDEADLK as sley_await. Thread: as sley_await. Cost: O(n).
 */
SLEY_API int sley_select(struct sley_wait *const *waits, size_t n, uint32_t flags);

/** Asks the operation to end early; the node still completes, with its result. Zeroed or done: does nothing. Thread: that of the
 * start (the same executor, or the same plain thread). */
SLEY_API void sley_wait_cancel(struct sley_wait *w);

/** Cancels the node and waits until it is done: the way to leave early. Returns: its result; 0 for a zeroed node. Cannot be cancelled
 * itself. Thread: as sley_await. */
SLEY_API int sley_wait_fini(struct sley_wait *w);

/* private: end of the block of a SLEY_OP */
SLEY_API void sley__wait_cleanup(void *op);

/** Declares an op on the stack: zeroed at first; cancelled and awaited when control leaves the block. For fibers and plain threads. */
#define SLEY_OP(type, name) type name __attribute__((cleanup(sley__wait_cleanup))) = {0}

#define SLEY__STR2(x) #x
#define SLEY__STR(x) SLEY__STR2(x)
/** The place of a call, as a string. */
#define SLEY_SITE (__FILE__ ":" SLEY__STR(__LINE__))

SLEY_EXTERN_C_END
#endif
