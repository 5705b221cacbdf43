/* Ending slices by a thread that sleeps on a futex. */
#include "slice.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NONE, AWAKE, ASLEEP, ENDING, STACK_BYTES = 128 * 1024 };

SLEY_STATIC_ASSERT(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread's name fits into its word");

static uint64_t now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

uint64_t sley__slice_cpu_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

static void futex_wait(struct sley__slice *sl, uint32_t state, uint64_t until_ns)
{
    const struct timespec ts = {.tv_sec = (time_t)(until_ns / SLEY_S), .tv_nsec = (long)(until_ns % SLEY_S)};
    (void)syscall(SYS_futex, &sl->state, FUTEX_WAIT_BITSET_PRIVATE, state, until_ns == SLEY_NEVER ? NULL : &ts, NULL,
                  FUTEX_BITSET_MATCH_ANY);
}

static bool change(struct sley__slice *sl, uint32_t from, uint32_t to)
{
    /* seq_cst: falling asleep and storing a deadline each store one word, then load the other's */
    return atomic_compare_exchange_strong_explicit(&sl->state, &from, to, memory_order_seq_cst, memory_order_seq_cst);
}

/** Nothing has come since the deadline @p seen: sleeps until somebody asks. */
static void fall_asleep(struct sley__slice *sl, uint64_t seen)
{
    if (!change(sl, AWAKE, ASLEEP)) {
        return;
    }
    /* seq_cst: see change; either this sees the new deadline, or whoever stored it sees ASLEEP */
    if (atomic_load_explicit(&sl->deadline_ns, memory_order_seq_cst) != seen) {
        (void)change(sl, ASLEEP, AWAKE);
        return;
    }
    /* relaxed: only how long to sleep */
    while (atomic_load_explicit(&sl->state, memory_order_relaxed) == ASLEEP) {
        futex_wait(sl, ASLEEP, SLEY_NEVER);
    }
}

static void *watch(void *arg)
{
    struct sley__slice *sl = arg;
    uint64_t seen = 0;
    bool lingered = false;
    (void)prctl(PR_SET_TIMERSLACK, 1); /* else the kernel may be 50 us late */
    /* relaxed: only whether to go on */
    while (atomic_load_explicit(&sl->state, memory_order_relaxed) != ENDING) {
        /* acquire: the store of 1 below comes after the owner's store of 0, which came before the deadline */
        const uint64_t deadline = atomic_load_explicit(&sl->deadline_ns, memory_order_acquire);
        if (deadline == seen && lingered) {
            fall_asleep(sl, seen);
        } else if (deadline == seen) {
            /* relaxed: only how long; the next slice is probably under way, and its owner is spared a system call */
            const uint64_t until = seen + atomic_load_explicit(&sl->linger_ns, memory_order_relaxed);
            futex_wait(sl, AWAKE, until);
            lingered = now_ns() >= until;
        } else if (now_ns() < deadline) {
            futex_wait(sl, AWAKE, deadline);
        } else {
            /* relaxed: a hint; the owner looks at the clock */
            atomic_store_explicit(sl->word, 1, memory_order_relaxed);
            seen = deadline;
            lingered = false;
        }
    }
    return NULL;
}

/** Signals are for others to handle. Returns false when there is no thread to be had: the clock is read in its place. */
static bool make_thread(struct sley__slice *sl)
{
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t attr;
    (void)sigfillset(&all);
    if (pthread_attr_init(&attr) != 0) {
        return false;
    }
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    /* relaxed: making the thread publishes it */
    atomic_store_explicit(&sl->state, AWAKE, memory_order_relaxed);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&thread, &attr, watch, sl);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (rc != 0) {
        /* relaxed: nobody else looks */
        atomic_store_explicit(&sl->state, NONE, memory_order_relaxed);
        return false;
    }
    memcpy(&sl->thread, &thread, sizeof thread);
    return true;
}

bool sley__slice_watch(struct sley__slice *sl, uint64_t deadline_ns, bool rouse)
{
    /* relaxed: looked at again below */
    if (!rouse && atomic_load_explicit(&sl->state, memory_order_relaxed) != AWAKE) {
        return false;
    }
    /* seq_cst: see change; also publishes the owner's store of 0 to the word */
    atomic_store_explicit(&sl->deadline_ns, deadline_ns, memory_order_seq_cst);
    /* seq_cst: see change */
    const uint32_t state = atomic_load_explicit(&sl->state, memory_order_seq_cst);
    if (state == AWAKE) {
        return true;
    }
    if (state == NONE) {
        return rouse && make_thread(sl);
    }
    if (rouse && change(sl, ASLEEP, AWAKE)) {
        (void)syscall(SYS_futex, &sl->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return rouse;
}

void sley__slice_end(struct sley__slice *sl)
{
    pthread_t thread;
    /* relaxed: only the owner makes it NONE, or something else */
    if (atomic_load_explicit(&sl->state, memory_order_relaxed) == NONE) {
        return;
    }
    /* relaxed: joining orders the rest */
    atomic_store_explicit(&sl->state, ENDING, memory_order_relaxed);
    (void)syscall(SYS_futex, &sl->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    memcpy(&thread, &sl->thread, sizeof thread);
    (void)pthread_join(thread, NULL);
    /* relaxed: it has ended */
    atomic_store_explicit(&sl->state, NONE, memory_order_relaxed);
}
