/* Plain threads wait, too: a parked thread is a hook on the nodes it waits for, with a futex. Nothing here knows of tasks. */
#include "core.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct parker {
    struct sley_wait_hook hook;
    SLEY_ATOMIC(uint32_t) woken;
};

/** Deadlines of the SLEY_UNTIL blocks that this thread is in, innermost first. */
static SLEY__TLS struct sley__until *thread_until;

uint64_t sley__thread_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

void sley__parker_wake(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)w;
    struct parker *p = sley_container_of(hook, struct parker, hook);
    /* release: pairs with the acquire in park; the result itself is published by the node */
    atomic_store_explicit(&p->woken, 1, memory_order_release);
    (void)syscall(SYS_futex, &p->woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void park(struct parker *p, uint64_t deadline_ns)
{
    /* acquire: pairs with sley__parker_wake */
    if (atomic_exchange_explicit(&p->woken, 0, memory_order_acquire)) {
        return;
    }
    struct timespec ts = {
        .tv_sec = (time_t)(deadline_ns / SLEY_S),
        .tv_nsec = (long)(deadline_ns % SLEY_S),
    };
    /* BITSET takes an absolute CLOCK_MONOTONIC time */
    (void)syscall(SYS_futex, &p->woken, FUTEX_WAIT_BITSET_PRIVATE, 0, deadline_ns == SLEY_NEVER ? NULL : &ts, NULL,
                  FUTEX_BITSET_MATCH_ANY);
    /* acquire, and no plain store: the caller looks at its nodes, and must see what each wake that this takes in is about */
    (void)atomic_exchange_explicit(&p->woken, 0, memory_order_acquire);
}

/* ---- timers of threads: the waiting thread itself is the clock --------------------------------------------------- */

static void thread_timer_cancel(struct sley_wait *w)
{
    sley_wait_complete(w, -ECANCELED);
}

const struct sley_wait_ops sley__thread_timer_ops = {
    .version = SLEY_WAIT_VERSION,
    .name = "timer",
    .cancel = thread_timer_cancel,
};

/** Fires what is due; returns the next deadline among the nodes. */
static uint64_t run_timers(struct sley_wait *const *waits, size_t n)
{
    uint64_t next = SLEY_NEVER;
    for (size_t i = 0; i < n; i++) {
        struct sley_wait *w = waits[i];
        if (!w || !sley__armed(sley__wait_word(w)) || w->ops != &sley__thread_timer_ops) {
            continue;
        }
        const uint64_t at = sley_container_of(w, struct sley_timer, wait)->node.deadline_ns;
        if (at <= sley__thread_now_ns()) {
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
        u->passed = u->passed || (u->deadline_ns != SLEY_NEVER && u->deadline_ns <= sley__thread_now_ns());
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

static bool armed(const struct sley_wait *w)
{
    return w && sley__armed(sley__wait_word(w));
}

/** How many are armed, and whether one has completed unasked. */
static size_t count_armed(struct sley_wait *const *waits, size_t n, bool *ret_won)
{
    size_t count = 0;
    *ret_won = false;
    for (size_t i = 0; i < n; i++) {
        count += armed(waits[i]);
        *ret_won |= waits[i] && sley_wait_done(waits[i]) && !(waits[i]->flags & SLEY__WAIT_LOST);
    }
    return count;
}

static int register_all(struct parker *p, struct sley_wait *const *waits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!armed(waits[i])) {
            continue;
        }
        const struct sley_sched *home = sley__wait_home(sley__wait_word(waits[i]));
        if (home) {
            sley__misuse_to(home, waits[i]->at.site, "a plain thread awaits a node that a task has started",
                            "await it in a task of that executor, or pass a message");
            return -EDEADLK;
        }
        (void)sley__wait_register(waits[i], (uintptr_t)&p->hook, SLEY__KIND_HOME_HOOK, SLEY__KIND_HOOK, NULL);
    }
    return 0;
}

/** The parker dies: no node may name it. */
static void unregister_all(struct parker *p, struct sley_wait *const *waits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (armed(waits[i]) && !sley__wait_unregister(waits[i], (uintptr_t)&p->hook)) {
            while (sley__kind(sley__wait_word(waits[i])) == SLEY__KIND_COMPLETING) {
                (void)sched_yield(); /* its completer is between waking us and its last store */
            }
        }
    }
}

static void ask_all(struct sley_wait *const *waits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (armed(waits[i])) {
            sley__wait_lose(waits[i]);
        }
    }
}

/** Has a completer claimed a node that it has not published yet? It has woken us already and will not do so again. */
static bool completing(struct sley_wait *const *waits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (waits[i] && sley__kind(sley__wait_word(waits[i])) == SLEY__KIND_COMPLETING) {
            return true;
        }
    }
    return false;
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
        const bool late = deadline_ns != SLEY_NEVER && deadline_ns <= sley__thread_now_ns();
        next = !late && deadline_ns < next ? deadline_ns : next;
        if (late || won || until_passed(&next)) {
            timed_out |= late && !won;
            ask_all(waits, n);
            if (count_armed(waits, n, &won) == 0) {
                break;
            }
        }
        const int rc = register_all(&p, waits, n);
        if (rc < 0) {
            unregister_all(&p, waits, n);
            return rc;
        }
        bool again;
        if (completing(waits, n)) {
            (void)sched_yield();
        } else if (count_armed(waits, n, &again) == left && again == won) {
            park(&p, next);
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
