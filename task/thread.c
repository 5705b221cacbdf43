/* Plain threads wait, too: a parked thread is a hook on the nodes it waits for, with a futex. Nothing here knows of tasks. */
#include "core.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct parker {
    struct sley_wait_hook hook;
    SLEY_ATOMIC(uint32_t) bell;
};

/** Deadlines of the SLEY_UNTIL blocks that this thread is in, innermost first. */
static SLEY__TLS struct sley__until *thread_until;

uint64_t sley_thread_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

void sley_thread_wait(SLEY_ATOMIC(uint32_t) * bell, uint64_t until_ns)
{
    const struct timespec ts = {.tv_sec = (time_t)(until_ns / SLEY_S), .tv_nsec = (long)(until_ns % SLEY_S)};
    /* BITSET takes an absolute CLOCK_MONOTONIC time */
    (void)syscall(SYS_futex, bell, FUTEX_WAIT_BITSET_PRIVATE, 0, until_ns == SLEY_NEVER ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
    /* acquire, and no plain store: it takes in every ring up to here, of which a store could wipe one out unseen */
    (void)atomic_exchange_explicit(bell, 0, memory_order_acquire);
}

void sley_thread_ring(SLEY_ATOMIC(uint32_t) * bell)
{
    /* release: publishes what this is rung for to the wait that takes it in, also when it was rung already */
    if (atomic_exchange_explicit(bell, 1, memory_order_release) == 0) {
        (void)syscall(SYS_futex, bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

void sley__parker_wake(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)w;
    sley_thread_ring(&sley_container_of(hook, struct parker, hook)->bell); /* the result itself is published by the node */
}

/* ---- timers of threads: the waiting thread itself is the clock --------------------------------------------------- */

static void thread_timer_cancel(struct sley_wait *w)
{
    sley_wait_complete(w, -ECANCELED);
}

const struct sley_wait_ops sley__thread_timer_ops = {.version = SLEY_WAIT_VERSION, .name = "timer", .cancel = thread_timer_cancel};

/** Fires what is due; returns the next deadline among the nodes. */
static uint64_t run_timers(struct sley_wait *const *waits, size_t n)
{
    uint64_t next = SLEY_NEVER;
    for (size_t i = 0; i < n; i++) {
        struct sley_wait *w = waits[i];
        if (!sley__wait_live(w) || w->ops != &sley__thread_timer_ops) {
            continue;
        }
        const uint64_t at = sley_container_of(w, struct sley_timer, wait)->node.deadline_ns;
        if (at <= sley_thread_now_ns()) {
            sley_wait_complete(w, 0);
        } else if (at < next) {
            next = at;
        }
    }
    return next;
}

/* ---- SLEY_UNTIL -------------------------------------------------------------------------------------------------- */

void sley__thread_until_push(struct sley__until *u)
{
    u->passed = false;
    u->outer = thread_until;
    thread_until = u;
}

bool sley__thread_until_pop(struct sley__until *u)
{
    thread_until = u->outer;
    return u->passed;
}

/** The nearest deadline of the blocks around; those that have passed are marked, and SLEY_NEVER - 1 cannot be one of them. */
static bool until_passed(uint64_t *ret_next)
{
    bool passed = false;
    for (struct sley__until *u = thread_until; u; u = u->outer) {
        u->passed = u->passed || (u->deadline_ns != SLEY_NEVER && u->deadline_ns <= sley_thread_now_ns());
        passed |= u->passed;
        if (!u->passed && u->deadline_ns < *ret_next) {
            *ret_next = u->deadline_ns;
        }
    }
    return passed;
}

uint64_t sley_thread_deadline_ns(void)
{
    uint64_t next = SLEY_NEVER;
    return until_passed(&next) ? 0 : next;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/** How many are armed, and whether one has completed unasked. */
static size_t count_armed(struct sley_wait *const *waits, size_t n, bool *ret_won)
{
    size_t count = 0;
    *ret_won = false;
    for (size_t i = 0; i < n; i++) {
        count += sley__wait_live(waits[i]);
        *ret_won |= sley__wait_won(waits[i]);
    }
    return count;
}

/** Returns: 0; -EDEADLK; 1 when a completer has claimed a node: it has woken us already and will not do so again. */
static int register_all(struct parker *p, struct sley_wait *const *waits, size_t n)
{
    int claimed = 0;
    for (size_t i = 0; i < n; i++) {
        if (!sley__wait_live(waits[i])) {
            continue;
        }
        const struct sley_sched *home = sley__wait_home(sley__wait_word(waits[i]));
        if (home) {
            sley__misuse_to(home, waits[i]->at.site, "a plain thread awaits a node that a task has started",
                            "await it in a task of that executor, or pass a message");
            return -EDEADLK;
        }
        (void)sley__wait_register(waits[i], (uintptr_t)&p->hook, SLEY__KIND_HOME_HOOK, SLEY__KIND_HOOK, NULL);
        claimed |= sley__kind(sley__wait_word(waits[i])) == SLEY__KIND_COMPLETING;
    }
    return claimed;
}

/** The parker dies: no node may name it. */
static void unregister_all(struct parker *p, struct sley_wait *const *waits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (sley__wait_live(waits[i]) && !sley__wait_unregister(waits[i], (uintptr_t)&p->hook)) {
            while (sley__kind(sley__wait_word(waits[i])) == SLEY__KIND_COMPLETING) {
                (void)sched_yield(); /* its completer is between waking us and its last store */
            }
        }
    }
}

int sley__thread_await(struct sley_wait *const *waits, size_t n, uint64_t deadline_ns, enum sley__thread_how how)
{
    struct parker p = {.hook = {.fn = sley__parker_wake}};
    bool timed_out = false;
    for (;;) {
        uint64_t next = run_timers(waits, n);
        bool won;
        const size_t left = count_armed(waits, n, &won);
        if (left == 0 || (won && how == SLEY__THREAD_SELECT_KEEP)) {
            break;
        }
        const bool late = deadline_ns != SLEY_NEVER && deadline_ns <= sley_thread_now_ns();
        next = !late && deadline_ns < next ? deadline_ns : next;
        if (late || won || until_passed(&next)) {
            timed_out |= late && !won;
            if (!sley__waits_lose(waits, n)) {
                break;
            }
        }
        const int rc = register_all(&p, waits, n);
        if (rc < 0) {
            unregister_all(&p, waits, n);
            return rc;
        }
        bool again;
        if (rc > 0) {
            (void)sched_yield();
        } else if (count_armed(waits, n, &again) == left && again == won) {
            sley_thread_wait(&p.bell, next);
        }
    }
    unregister_all(&p, waits, n);
    if (how != SLEY__THREAD_ONE) {
        return 0;
    }
    if (!sley_wait_done(waits[0])) {
        return -EINVAL; /* never started */
    }
    return timed_out && waits[0]->result == -ECANCELED ? -ETIMEDOUT : waits[0]->result;
}
