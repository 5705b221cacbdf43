/* Time for tasks: the clock, sleeping, intervals. The structure that holds timers is in <sley/wheel.h>. */
#ifndef SLEY_TIMER_H
#define SLEY_TIMER_H

#include <sley/task.h>
#include <sley/wheel.h>

SLEY_EXTERN_C_BEGIN

/** A timer: a wait node that the clock completes. Done with 0 at its deadline. */
struct sley_timer {
    struct sley_wait wait;
    struct sley_wheel_node node; /* private */
};

/** Now, in ns of the current runtime's clock; on a plain thread CLOCK_MONOTONIC. Thread: any. Cost: about 25 ns. */
SLEY_API uint64_t sley_now_ns(void);
/** Now plus @p ns, saturating at SLEY_NEVER. Thread: any. */
SLEY_API uint64_t sley_after_ns(uint64_t ns);

/**
 * Sleeps until @p deadline_ns: never early, at most one tick (1 ms by default) late. A past deadline returns at once;
 * SLEY_NEVER sleeps until cancelled. Returns: 0; -ECANCELED; -EDEADLK as sley_await. Thread: as sley_await.
 * Cost: O(1), no allocation.
 */
SLEY_API int sley_sleep_until(uint64_t deadline_ns);
SLEY_API void sley_sleep_until_start(struct sley_timer *t, uint64_t deadline_ns);
/** As sley_sleep_until(sley_after_ns(ns)). */
SLEY_API int sley_sleep(uint64_t ns);
SLEY_API void sley_sleep_start(struct sley_timer *t, uint64_t ns);
/** Gives an armed timer another deadline, or starts a done one again. Thread: that of the executor that started it. Cost: O(1). */
SLEY_API void sley_timer_reset(struct sley_timer *t, uint64_t deadline_ns);

/** What an interval does about ticks it missed. */
enum sley_missed {
    SLEY_MISSED_BURST, /**< catches up one after another */
    SLEY_MISSED_DELAY, /**< starts anew from now */
    SLEY_MISSED_SKIP,  /**< goes on at the next multiple of the period */
};

/** A repeating timer. Fields are private. */
struct sley_interval {
    uint64_t next_ns, period_ns;
    enum sley_missed missed;
};

/** First tick at @p first_ns (absolute), then every @p period_ns (> 0). Returns: 0; -EINVAL. Thread: any. */
SLEY_API int sley_interval_init(struct sley_interval *i, uint64_t first_ns, uint64_t period_ns, enum sley_missed missed);
/** Waits for the next tick. Returns: as sley_sleep_until. A cancelled wait has not used up its tick. Thread: as sley_await. */
SLEY_API int sley_interval_tick(struct sley_interval *i);
/** In a frame: SLEY_CALL(f, rc, sley_interval_tick, &f->timer_op, &f->interval). */
struct sley_interval_tick_op {
    union {
        struct sley_wait wait;
        struct sley_timer timer; /* private */
    };
    struct sley_interval *interval; /* private */
};
SLEY_API void sley_interval_tick_start(struct sley_interval_tick_op *op, struct sley_interval *i);

SLEY_EXTERN_C_END
#endif
