/* The stall detector: one thread that looks at any number of workers and tells when a task keeps one for too long. For executors. */
#ifndef SLEY_WATCH_H
#define SLEY_WATCH_H

#include <sley/executor.h>

SLEY_EXTERN_C_BEGIN

/**
 * A watchdog. Its thread ("sley-watch", which takes no signals of the program's) is made when a watched worker runs for the first
 * time, looks every half of the shortest time asked for, and sleeps for ever when all workers have been parked for a few looks; the
 * next worker that leaves its park wakes it. A worker is stalled when it has been in the same resume, or between two, for so long.
 * A thread that only waits for a processor is not reported: it computes or blocks first.
 */
struct sley_watch;
struct sley__watch_entry;

struct sley_watch_opts {
    struct sley_alloc *alloc; /**< NULL: libc's. Must outlive the watch */
    uint64_t stall_ns;        /**< report what lasts longer; SLEY_NEVER: report nothing. Not 0 */
    uint64_t stuck_ns;        /**< call stuck for what lasts longer. Ignored without stuck, else not 0 */
    /**
     * Optional. A worker has not moved for @p stalled_ns; called again at every look while that lasts, for what waits for a
     * processor, too. Thread: the watchdog's. Must not block, add or remove.
     */
    void (*stuck)(void *arg, struct sley_sched *sched, uint64_t stalled_ns);
    void *arg;
    sley_report_fn report; /**< NULL: report nothing */
    void *report_arg;
    int signo; /**< makes a stalled thread write down its stack; 0: SIGURG, which processes ignore unless they ask for it */
};

/** A worker's side, in its memory. All fields are private. Zeroed: not watched, which costs no less and no more. */
struct sley_watched {
    SLEY_ATOMIC(uint32_t) state; /* a count of parks above the two bits below */
    uint32_t turn;
    struct sley__watch_entry *entry;
};

/* bits of `state`; the owner alone leaves RUNNING, the watchdog alone makes SILENT of PARKED */
enum {
    SLEY__WATCH_PARKED = 0,
    SLEY__WATCH_RUNNING = 1,
    SLEY__WATCH_SILENT = 2, /* parked, and the watchdog does not look any more: whoever leaves it wakes the watchdog */
    SLEY__WATCH_MASK = 3,
    SLEY__WATCH_TURN = 4,
};

/** Makes a watch: no thread yet. Returns: 0; -ENOMEM; -EINVAL; -ENOTSUP on a machine without threads. Thread: any. */
SLEY_API int sley_watch_create(const struct sley_watch_opts *o, struct sley_watch **ret_watch);
/** Ends the thread; nothing may be watched any more. NULL is fine. Thread: any, none of whose tasks it may be. */
SLEY_API void sley_watch_destroy(struct sley_watch *w);
/** @p asked, or when that is 0 this build's default: 25 ms in debug builds (100 under sanitizers), SLEY_NEVER in others.
 * Thread: any. */
SLEY_API uint64_t sley_watch_stall_ns(uint64_t asked);

/** Watches @p s, whose owner thread tells @p e of its parks, as worker number @p worker. Returns: 0; -ENOMEM. Thread: stopped. */
SLEY_API int sley_watch_add(struct sley_watch *w, struct sley_watched *e, struct sley_sched *s, uint32_t worker);
/**
 * A watch for one worker, as @p config asks for it: `stall_ns` (0: this build's default) and a report function. Without these, or
 * where there are no threads, nothing is watched. @p alloc is the executor's. Returns: 0; -ENOMEM. Thread: stopped.
 */
SLEY_API int sley_watch_one(const struct sley_executor_config *config, struct sley_alloc *alloc, struct sley_watched *e,
                            struct sley_sched *s);
/**
 * Takes it back (and ends the watch, if it is sley_watch_one's), after waiting for a look or a report that is going on. Not
 * watched: nothing. Thread: owner, or stopped.
 */
SLEY_API void sley_watch_remove(struct sley_watched *e);

SLEY_API void sley__watch_rouse(struct sley__watch_entry *entry);
SLEY_API void sley__watch_thread(struct sley__watch_entry *entry);
/** In the child of a fork: this thread has another number. */
void sley__watch_forked(void);

#ifndef __cplusplus

/** The owner is about to wait, or stops driving. Thread: owner. Cost: two instructions. */
SLEY_INLINE void sley_watch_park(struct sley_watched *e)
{
    /* release: what the worker did before is behind it when the watchdog sees it parked */
    atomic_store_explicit(&e->state, e->turn | SLEY__WATCH_PARKED, memory_order_release);
}

/** The owner goes on. Thread: owner. Cost: one exchange; a futex call when the watchdog slept. */
SLEY_INLINE void sley_watch_unpark(struct sley_watched *e)
{
    e->turn += SLEY__WATCH_TURN;
    /* acq_rel: one word, so that either the watchdog sees RUNNING or this sees SILENT; pairs with the CAS in look.c */
    const uint32_t before = atomic_exchange_explicit(&e->state, e->turn | SLEY__WATCH_RUNNING, memory_order_acq_rel);
    if (SLEY_UNLIKELY((before & SLEY__WATCH_MASK) == SLEY__WATCH_SILENT)) {
        sley__watch_rouse(e->entry);
    }
}

/** The calling thread begins to drive the worker; it ends that by sley_watch_park. Thread: owner. */
SLEY_INLINE void sley_watch_enter(struct sley_watched *e)
{
    if (e->entry) {
        sley__watch_thread(e->entry);
    }
    sley_watch_unpark(e);
}

#endif

SLEY_EXTERN_C_END
#endif
