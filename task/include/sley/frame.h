/* Stackless tasks: a switch in disguise over a frame struct. The macros are statements; locals die at each of them. C only. */
#ifndef SLEY_FRAME_H
#define SLEY_FRAME_H

#include <sley/task.h>
#include <sley/task_impl.h>

#ifndef __cplusplus

/* ---- private: what the macros below do inline; fibers wait in the same steps ------------------------------------- */

SLEY_API bool sley__frame_await(struct sley_wait *w);
SLEY_API bool sley__frame_must_yield_slow(void);
SLEY_API int sley__frame_verdict_slow(void);

/** The rest of sley__frame_ready for a node whose word is not DONE, in the sched @p s. */
SLEY_INLINE bool sley__frame_register(struct sley_wait *w, uintptr_t word, const struct sley_sched *s)
{
    if (SLEY_LIKELY(word == (uintptr_t)s + SLEY__KIND_HOME && s->budget > 0)) {
        struct sley_task *t = s->current;
        t->link.awaited = w;
        /* release: a foreign completer finds the home through the task, which may be younger than the node; it acquires */
        atomic_store_explicit(&w->word, (uintptr_t)t + SLEY__KIND_HOME_TASK, memory_order_release);
        return false;
    }
    return sley__frame_await(w);
}

SLEY_INLINE bool sley__frame_ready(struct sley_wait *w)
{
    /* acquire: observes the result stored before DONE */
    const uintptr_t word = atomic_load_explicit(&w->word, memory_order_acquire);
    return word == (uintptr_t)SLEY__WAIT_DONE || sley__frame_register(w, word, sley__self);
}

SLEY_INLINE bool sley__frame_must_yield(void)
{
    return SLEY_UNLIKELY(sley__self->budget <= 0) && sley__frame_must_yield_slow();
}

/** After a yield: 0, or -ECANCELED. */
SLEY_INLINE int sley__frame_verdict(void)
{
    return SLEY_LIKELY(sley__self->budget > 0) ? 0 : sley__frame_verdict_slow();
}

/** Draws one unit; true when the frame has to yield. */
SLEY_INLINE bool sley__frame_draw(void)
{
    sley__self->budget--;
    return sley__frame_must_yield();
}

SLEY_API bool sley__frame_park(void);
SLEY_API bool sley__select_ready(struct sley_wait *const *waits, size_t n, uint32_t flags);
SLEY_API int sley__select_winner(struct sley_wait *const *waits, size_t n, uint32_t flags);
SLEY_API void sley__until_start(struct sley_timer *t, uint64_t deadline_ns);
SLEY_API bool sley__until_ready(struct sley_wait *w, struct sley_timer *t);
SLEY_API int sley__until_verdict(struct sley_wait *w, struct sley_timer *t);

/** First member of every frame struct, named `frame`. Zeroed = at the beginning. */
struct sley_frame {
    uint32_t label; /* private */
    int32_t result; /**< set by SLEY_RETURN */
};

/**
 * Declares the task type of `enum sley_step fn(frame_type *f)`. Its result is the frame's; the arguments are the frame's fields.
 * SLEY_FRAME_DROP names a function, too, that destroys arguments whose body never ran.
 */
#define SLEY_FRAME(fn, frame_type) SLEY_FRAME_DROP(fn, frame_type, NULL)
#define SLEY_FRAME_DROP(fn, frame_type, drop_fn)                                                 \
    typedef frame_type fn##__args;                                                               \
    static enum sley_step fn##__resume(struct sley_task *t)                                      \
    {                                                                                            \
        _Static_assert(offsetof(frame_type, frame) == 0, "struct sley_frame frame comes first"); \
        return fn((frame_type *)(void *)(t + 1));                                                \
    }                                                                                            \
    SLEY__TASK_TYPE(fn, fn##__resume, NULL, drop_fn, frame_type, SLEY_STYLE_FRAME, 0)

/** Opens the body. Everything between SLEY_BEGIN and SLEY_END is one switch: no `case` of your own around a wait. */
#define SLEY_BEGIN(f)           \
    switch ((f)->frame.label) { \
    case 0:
/** Closes the body: falling off gives result 0. */
#define SLEY_END(f)        \
    }                      \
    (f)->frame.result = 0; \
    return SLEY_STEP_DONE
/** Ends the task (or sub-frame) with a result. */
#define SLEY_RETURN(f, value)        \
    do {                             \
        (f)->frame.result = (value); \
        return SLEY_STEP_DONE;       \
    } while (0)

/* a place to come back to; labels come from __COUNTER__, so that two waits may share a line */
#define SLEY__LABEL(f, n)         \
    (f)->frame.label = (n);       \
    __attribute__((fallthrough)); \
    case (n):
/* which comes back until it is @p ready */
#define SLEY__WAIT_FOR(f, n, ready) \
    SLEY__LABEL(f, n)               \
    if (!(ready)) {                 \
        return SLEY_STEP_WAIT;      \
    }
/* and one behind the others, if it @p must */
#define SLEY__YIELD_IF(f, n, must) \
    if (must) {                    \
        (f)->frame.label = (n);    \
        return SLEY_STEP_YIELD;    \
    }                              \
    __attribute__((fallthrough));  \
    case (n):
/* the two with a result */
#define SLEY__WAIT_THEN(n, f, ready, rc, value) \
    do {                                        \
        SLEY__WAIT_FOR(f, n, ready)             \
        (rc) = (value);                         \
    } while (0)
#define SLEY__YIELD_THEN(n, f, must, rc) \
    do {                                 \
        SLEY__YIELD_IF(f, n, must)       \
        (rc) = sley__frame_verdict();    \
    } while (0)
/* how calls begin */
#define SLEY__ENTER(f, n) SLEY__YIELD_IF(f, (n) + 1000000000u, sley__frame_must_yield())
#define SLEY__START(f, n, X, op, ...) \
    SLEY__ENTER(f, n)                 \
    (op)->wait.at.site = SLEY_SITE;   \
    X##_start((op), __VA_ARGS__);

/** Waits for a node started before; @p rc gets its verdict. */
#define SLEY_AWAIT(f, rc, w) SLEY__WAIT_THEN(__COUNTER__ + 1, f, sley__frame_ready(w), rc, (w)->result)

/** `rc = X(...)`, whose op the frame owns: X_start(op, ...), wait, verdict. @p op is an expression over the frame. */
#define SLEY_CALL(f, rc, X, op, ...) SLEY__CALL(__COUNTER__ + 1, f, rc, X, op, __VA_ARGS__)
#define SLEY__CALL(n, f, rc, X, op, ...)                                             \
    do {                                                                             \
        SLEY__START(f, n, X, op, __VA_ARGS__)                                        \
        if (!sley__frame_ready(&(op)->wait)) {                                       \
            (f)->frame.label = (n);                                                  \
            return SLEY_STEP_WAIT;                                                   \
        }                                                                            \
        if (0) { /* what comes back here has been woken: almost always it is done */ \
        case (n):                                                                    \
            if (!sley_wait_done(&(op)->wait) && !sley__frame_await(&(op)->wait)) {   \
                return SLEY_STEP_WAIT;                                               \
            }                                                                        \
        }                                                                            \
        (rc) = (op)->wait.result;                                                    \
    } while (0)

/**
 * SLEY_CALL under a deadline: @p timer is a struct sley_timer of the frame. -ETIMEDOUT if and only if the deadline cancelled
 * the call and nothing had happened.
 */
#define SLEY_CALL_UNTIL(f, rc, timer, deadline_ns, X, op, ...) \
    SLEY__CALL_UNTIL(__COUNTER__ + 1, f, rc, timer, deadline_ns, X, op, __VA_ARGS__)
#define SLEY__CALL_UNTIL(n, f, rc, timer, deadline_ns, X, op, ...)                                                 \
    do {                                                                                                           \
        SLEY__START(f, n, X, op, __VA_ARGS__)                                                                      \
        if (!sley_wait_done(&(op)->wait)) {                                                                        \
            sley__until_start(timer, deadline_ns);                                                                 \
        }                                                                                                          \
        SLEY__WAIT_THEN(n, f, sley__until_ready(&(op)->wait, timer), rc, sley__until_verdict(&(op)->wait, timer)); \
    } while (0)

/** sley_select; the array of pointers lives in the frame (or is static). */
#define SLEY_SELECT(f, rc, waits, n, flags) SLEY__SELECT(__COUNTER__ + 1, f, rc, waits, n, flags)
#define SLEY__SELECT(l, f, rc, waits, n, flags)                                                               \
    do {                                                                                                      \
        SLEY__ENTER(f, l)                                                                                     \
        SLEY__WAIT_THEN(l, f, sley__select_ready(waits, n, flags), rc, sley__select_winner(waits, n, flags)); \
    } while (0)

/** Awaits a sub-frame embedded in @p f: `fn(child)` runs to its end; @p rc gets its result. */
#define SLEY_RUN(f, rc, fn, child) SLEY__RUN(__COUNTER__ + 1, f, rc, fn, child)
#define SLEY__RUN(n, f, rc, fn, child)               \
    do {                                             \
        (child)->frame.label = 0;                    \
        SLEY__LABEL(f, n);                           \
        const enum sley_step sley__step = fn(child); \
        if (sley__step != SLEY_STEP_DONE) {          \
            return sley__step;                       \
        }                                            \
        (rc) = (child)->frame.result;                \
    } while (0)

/** sley_yield. */
#define SLEY_YIELD(f, rc) SLEY__YIELD_THEN(__COUNTER__ + 1, f, true, rc)

/** sley_yield_if_needed. */
#define SLEY_YIELD_IF_NEEDED(f, rc) SLEY__YIELD_IF_NEEDED(__COUNTER__ + 1, f, rc)
#define SLEY__YIELD_IF_NEEDED(n, f, rc)       \
    do {                                      \
        (rc) = 0;                             \
        if (sley_need_preempt()) {            \
            SLEY__YIELD_THEN(n, f, true, rc); \
        }                                     \
    } while (0)

/** sley_consume. */
#define SLEY_CONSUME(f, rc) SLEY__YIELD_THEN(__COUNTER__ + 1, f, sley__frame_draw(), rc)

/** sley_park: until the task is cancelled. */
#define SLEY_PARK(f, rc) SLEY__WAIT_THEN(__COUNTER__ + 1, f, sley__frame_park(), rc, -ECANCELED)

#endif /* !__cplusplus */
#endif
