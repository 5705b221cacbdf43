/* Notify: its state table, one permit at most, whom a set wakes, and that handlers may call it whatever they have interrupted. */
#include <signal.h>
#include <stdatomic.h>

#include <sley/notify.h>

#include "rig.h"
#include "sync/notify_state.h"

struct waiter {
    struct sley_frame frame;
    struct sley_notify *n;
    unsigned *woken;
    struct sley_notify_op op;
};

static enum sley_step waiter(struct waiter *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, sley_notify_wait, &f->op, f->n);
    if (rc == 0) {
        ++*f->woken;
    }
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(waiter, struct waiter)

static int fiber_waiter(struct waiter *a)
{
    const int rc = sley_notify_wait(a->n);
    if (rc == 0) {
        ++*a->woken;
    }
    return rc;
}
SLEY_FIBER(fiber_waiter, struct waiter)

/* ---- the table ------------------------------------------------------------------------------------------------- */

static const uint32_t WORDS[] = {
    0,
    SLEY__NOTIFY_PERMIT,
    SLEY__NOTIFY_WAITERS,
    SLEY__NOTIFY_LOCKED,
    SLEY__NOTIFY_LOCKED | SLEY__NOTIFY_PERMIT,
    SLEY__NOTIFY_LOCKED | SLEY__NOTIFY_WAITERS,
    SLEY__NOTIFY_LOCKED | SLEY__NOTIFY_SET_ONE,
    SLEY__NOTIFY_LOCKED | 7 * SLEY__NOTIFY_SET_ONE,
    SLEY__NOTIFY_LOCKED | SLEY__NOTIFY_SETS,
    SLEY__NOTIFY_LOCKED | SLEY__NOTIFY_ALL,
    SLEY__NOTIFY_LOCKED | SLEY__NOTIFY_ALL | SLEY__NOTIFY_SET_ONE,
    SLEY__NOTIFY_LOCKED | SLEY__NOTIFY_ALL | SLEY__NOTIFY_LATER,
    SLEY__NOTIFY_LOCKED | SLEY__NOTIFY_ALL | SLEY__NOTIFY_LATER | SLEY__NOTIFY_SETS,
};
enum { WORD_COUNT = sizeof WORDS / sizeof WORDS[0] };

SLEY_TEST(state_every_pair_of_word_and_edge, "")
{
    const enum sley__notify_action D = SLEY__NOTIFY_DONE, T = SLEY__NOTIFY_TAKEN, H = SLEY__NOTIFY_HOLD, B = SLEY__NOTIFY_BUSY;
    const uint32_t L = SLEY__NOTIFY_LOCKED, P = SLEY__NOTIFY_PERMIT, W = SLEY__NOTIFY_WAITERS, A = SLEY__NOTIFY_ALL,
                   LATER = SLEY__NOTIFY_LATER, ONE = SLEY__NOTIFY_SET_ONE, S = SLEY__NOTIFY_SETS;
    const struct {
        enum sley__notify_action action;
        uint32_t next;
    } set[WORD_COUNT] = {{D, P},
                         {D, P},
                         {H, L | W},
                         {D, L | ONE},
                         {D, L | P | ONE},
                         {D, L | W | ONE},
                         {D, L | 2 * ONE},
                         {D, L | 8 * ONE},
                         {D, L | S},
                         {D, L | A | LATER},
                         {D, L | A | ONE | LATER},
                         {D, L | A | LATER},
                         {D, L | A | LATER | S}},
      all[WORD_COUNT] = {{D, 0},
                         {D, P},
                         {H, L | W},
                         {D, L | A},
                         {D, L | P | A},
                         {D, L | W | A},
                         {D, L | A | ONE},
                         {D, L | A | 7 * ONE},
                         {D, L | A | S},
                         {D, L | A},
                         {D, L | A | ONE},
                         {D, L | A | LATER},
                         {D, L | A | LATER | S}},
      wait[3] = {{H, L}, {T, 0}, {H, L | W}}, cancel[3] = {{H, L}, {H, L | P}, {H, L | W}};
    for (unsigned i = 0; i < WORD_COUNT; i++) {
        uint32_t next = ~0u;
        CHECK_INT(sley__notify_next_set(WORDS[i], &next), ==, set[i].action);
        CHECK_UINT(next, ==, set[i].next);
        CHECK_INT(sley__notify_next_set_all(WORDS[i], &next), ==, all[i].action);
        CHECK_UINT(next, ==, all[i].next);
        CHECK_INT(sley__notify_next_wait(WORDS[i], &next), ==, i < 3 ? wait[i].action : B);
        CHECK_UINT(next, ==, i < 3 ? wait[i].next : WORDS[i]);
        CHECK_INT(sley__notify_next_cancel(WORDS[i], &next), ==, i < 3 ? cancel[i].action : B);
        CHECK_UINT(next, ==, i < 3 ? cancel[i].next : WORDS[i]);
        for (unsigned what = 0; what < 3 && i >= 3; what++) { /* unlock: nothing, waiters, a permit */
            const bool pending = i > 5;
            const uint32_t out[3] = {0, W, P};
            CHECK_INT(sley__notify_next_unlock(WORDS[i], what == 1, what == 2, &next), ==,
                      pending ? SLEY__NOTIFY_SERVE : SLEY__NOTIFY_DONE);
            CHECK_UINT(next, ==, pending ? L : out[what]);
        }
    }
}

/** Random calls while somebody holds the list, as from handlers that have interrupted him, against a model. */
SLEY_TEST(state_what_is_left_to_a_holder_is_served_in_order, "NOTIF-01")
{
    for (unsigned round = 0; round < 5000; round++) {
        struct sley_notify n;
        struct sley_notify_op ops[4] = {0}, next = {0};
        sley_notify_init(&n);
        const unsigned waiting = (unsigned)harness_rand_below(5);
        for (unsigned i = 0; i < waiting; i++) {
            sley_notify_wait_start(&ops[i], &n);
        }
        bool permit, model = false;
        unsigned woken = 0;
        CHECK_INT(sley__notify_take(&n, sley__notify_next_cancel, &permit), ==, SLEY__NOTIFY_HOLD);
        CHECK(!permit);
        for (uint64_t calls = harness_rand_below(6); calls > 0; calls--) {
            if (harness_rand_below(3) == 0) {
                sley_notify_set_all(&n);
                woken = waiting;
            } else {
                sley_notify_set(&n);
                model = model || woken == waiting;
                woken += woken < waiting;
            }
        }
        for (unsigned i = 0; i < waiting; i++) {
            CHECK(!sley_wait_done(&ops[i].wait));
        }
        sley__notify_leave(&n, permit);
        for (unsigned i = 0; i < waiting; i++) {
            CHECK_INT(sley_wait_done(&ops[i].wait), ==, i < woken);
        }
        for (unsigned i = 0; i < waiting; i++) {
            CHECK_RC(sley_wait_fini(&ops[i].wait), i < woken ? 0 : -ECANCELED);
        }
        sley_notify_wait_start(&next, &n);
        CHECK_RC(sley_wait_fini(&next.wait), model ? 0 : -ECANCELED);
    }
}

/* ---- whom a set wakes ------------------------------------------------------------------------------------------ */

SLEY_TEST(set_with_nobody_there_leaves_one_permit, "NOTIF-01")
{
    struct sley_notify n = {0}; /* zeroed needs no init */
    struct sley_notify_op op = {0};
    sley_notify_set(&n);
    sley_notify_set(&n);
    sley_notify_set(&n);
    CHECK_RC(sley_notify_wait(&n), 0);
    sley_notify_wait_start(&op, &n);
    CHECK(!sley_wait_done(&op.wait));
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    sley_notify_set_all(&n); /* no permit */
    sley_notify_wait_start(&op, &n);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    sley_notify_fini(&n);
    sley_notify_fini(NULL);
    sley_notify_init(NULL);
    sley_notify_set(NULL);
    CHECK_RC(sley_notify_wait(NULL), -EINVAL);
}

SLEY_TEST(set_wakes_tasks_in_order_and_one_at_a_time, "NOTIF-01")
{
    struct rig r;
    struct sley_notify n = {0};
    unsigned woken[4] = {0};
    rig_init(&r);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_RC(i % 2 ? SLEY_SPAWN(NULL, fiber_waiter, .n = &n, .woken = &woken[i])
                       : SLEY_SPAWN(NULL, waiter, .n = &n, .woken = &woken[i]),
                 0);
    }
    rig_idle(&r);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_UINT(woken[i], ==, 0);
        sley_notify_set(&n);
        rig_idle(&r);
        CHECK_UINT(woken[0] + woken[1] + woken[2] + woken[3], ==, i + 1);
        CHECK_UINT(woken[i], ==, 1);
    }
    CHECK_UINT(sley_sched_live(&r.sched), ==, 0);
    rig_fini(&r);
}

SLEY_TEST(set_all_wakes_who_is_there_and_stores_nothing, "NOTIF-04")
{
    struct rig r;
    struct sley_notify n = {0};
    unsigned woken = 0;
    rig_init(&r);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_RC(SLEY_SPAWN(NULL, waiter, .n = &n, .woken = &woken), 0);
    }
    rig_idle(&r);
    sley_notify_set_all(&n);
    rig_idle(&r);
    CHECK_UINT(woken, ==, 5);
    struct sley_task *late;
    CHECK_RC(SLEY_SPAWN_TASK(&late, NULL, waiter, .n = &n, .woken = &woken), 0);
    rig_idle(&r);
    CHECK_UINT(woken, ==, 5);
    rig_cancel(&r, late);
    CHECK_UINT(woken, ==, 5);
    rig_fini(&r);
}

/* ---- who leaves without looking -------------------------------------------------------------------------------- */

SLEY_TEST(cancelled_before_it_is_notified_the_next_one_is, "NOTIF-02")
{
    struct sley_notify n = {0};
    struct sley_notify_op a = {0}, b = {0}, c = {0};
    sley_notify_wait_start(&a, &n);
    sley_notify_wait_start(&b, &n);
    sley_notify_wait_start(&c, &n);
    CHECK_RC(sley_wait_fini(&b.wait), -ECANCELED); /* from the middle */
    CHECK_RC(sley_wait_fini(&a.wait), -ECANCELED);
    sley_notify_forward(&a); /* has nothing to forward */
    CHECK(!sley_wait_done(&c.wait));
    sley_notify_set(&n);
    CHECK(sley_wait_done(&c.wait));
    CHECK_RC(sley_await(&c.wait), 0);
}

/* A node completes once: a waiter that was notified learns it from the verdict, cancelled or not, and says what happens. */
SLEY_TEST(notified_and_then_cancelled_it_forwards_to_the_next, "NOTIF-02")
{
    struct rig r;
    struct sley_notify n = {0};
    struct sley_notify_op a = {0}, b = {0};
    unsigned woken = 0;
    rig_init(&r);
    sley_notify_wait_start(&a, &n);
    sley_notify_wait_start(&b, &n);
    CHECK_RC(SLEY_SPAWN(NULL, waiter, .n = &n, .woken = &woken), 0);
    rig_idle(&r);
    sley_notify_set(&n); /* on its way to a, through the inbox */
    CHECK(!sley_wait_done(&a.wait));
    sley_wait_cancel(&a.wait);
    CHECK(!sley_wait_done(&a.wait));
    rig_idle(&r);
    CHECK(sley_wait_done(&a.wait));
    CHECK_RC(a.wait.result, 0);
    CHECK(!sley_wait_done(&b.wait));
    sley_notify_forward(&a);
    sley_notify_forward(&a); /* once is enough */
    rig_idle(&r);
    CHECK(sley_wait_done(&b.wait));
    CHECK_UINT(woken, ==, 0);
    sley_notify_forward(&b);
    rig_idle(&r);
    CHECK_UINT(woken, ==, 1);
    struct sley_notify_op last = {0};
    sley_notify_wait_start(&last, &n);
    sley_wait_cancel(&last.wait);
    CHECK_RC(last.wait.result, -ECANCELED); /* no permit was left behind */
    rig_fini(&r);
}

SLEY_TEST(notified_by_all_then_set_the_permit_is_neither_lost_nor_doubled, "NOTIF-03")
{
    struct sley_notify n = {0};
    struct sley_notify_op a = {0}, b = {0};
    sley_notify_wait_start(&a, &n);
    sley_notify_set_all(&n);
    sley_notify_set(&n);
    CHECK_RC(sley_wait_fini(&a.wait), 0);
    sley_notify_forward(&a); /* it was everybody's: nothing to pass on */
    CHECK_RC(sley_notify_wait(&n), 0);
    sley_notify_wait_start(&b, &n);
    CHECK_RC(sley_wait_fini(&b.wait), -ECANCELED);
}

SLEY_TEST(set_all_notifies_all_or_none, "NOTIF-04")
{
    struct rig r;
    struct sley_notify n = {0};
    struct sley_notify_op a = {0}, b = {0};
    rig_init(&r);
    sley_notify_wait_start(&a, &n);
    sley_notify_wait_start(&b, &n);
    sley_notify_set_all(&n);
    sley_wait_cancel(&b.wait); /* too late, though its node is not done yet */
    rig_idle(&r);
    CHECK_RC(a.wait.result, 0);
    CHECK_RC(b.wait.result, 0);
    rig_fini(&r);
}

struct hooked {
    struct sley_wait_hook hook;
    struct sley_notify *n;
    unsigned calls;
};

static void hook_sets_all(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct hooked *h = sley_container_of(hook, struct hooked, hook);
    (void)w;
    h->calls++;
    sley_notify_set_all(h->n);
    sley_notify_set(h->n);
}

SLEY_TEST(waker_that_calls_back_finds_no_lock, "NOTIF-05")
{
    struct sley_notify n = {0};
    struct sley_notify_op a = {0}, b = {0}, c = {0};
    struct hooked h = {.hook.fn = hook_sets_all, .n = &n};
    sley_notify_wait_start(&a, &n);
    sley_notify_wait_start(&b, &n);
    sley_wait_hook(&a.wait, &h.hook);
    sley_notify_set(&n); /* runs the hook inside */
    CHECK_UINT(h.calls, ==, 1);
    CHECK(sley_wait_done(&b.wait));
    CHECK_RC(sley_notify_wait(&n), 0); /* the hook's set came last */
    sley_notify_wait_start(&c, &n);
    CHECK_RC(sley_wait_fini(&c.wait), -ECANCELED);
}

SLEY_TEST(fini_tells_who_is_left, "")
{
    struct sley_notify n = {0};
    struct sley_notify_op a = {0}, b = {0};
    sley_notify_wait_start(&a, &n);
    sley_notify_wait_start(&b, &n);
    sley_notify_fini(&n);
    CHECK_RC(sley_await(&a.wait), -EPIPE);
    CHECK_RC(sley_await(&b.wait), -EPIPE);
    sley_notify_fini(&n);
}

/* ---- from handlers and other threads --------------------------------------------------------------------------- */

static struct sley_notify *handler_notify;
static _Atomic unsigned handler_calls;

static void on_signal(int signo)
{
    (void)signo;
    atomic_fetch_add_explicit(&handler_calls, 1, memory_order_relaxed);
    sley_notify_set(handler_notify);
}

struct storm {
    pthread_t target;
    _Atomic bool stop;
};

static void *send_signals(void *arg)
{
    struct storm *s = arg;
    while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        (void)pthread_kill(s->target, SIGUSR1);
        for (unsigned before = atomic_load_explicit(&handler_calls, memory_order_relaxed), spins = 0;
             before == atomic_load_explicit(&handler_calls, memory_order_relaxed) && spins < 100000; spins++) {
        }
    }
    return NULL;
}

/** Waits and cancels on the interrupted thread: the handler meets every state, LOCKED by the thread below it too. */
SLEY_TEST(set_in_a_handler_never_waits_for_whom_it_interrupted, "")
{
    struct sley_notify n = {0};
    struct storm s = {.target = pthread_self()};
    handler_notify = &n;
    struct sigaction act = {.sa_handler = on_signal};
    CHECK_INT(sigaction(SIGUSR1, &act, NULL), ==, 0);
    pthread_t t;
    rig_thread(&t, send_signals, &s);
    unsigned notified = 0, cancelled = 0;
    const unsigned rounds = 20000 / harness_slowness();
    for (unsigned i = 0; i < rounds || atomic_load_explicit(&handler_calls, memory_order_relaxed) < 100; i++) {
        struct sley_notify_op a = {0}, b = {0};
        sley_notify_wait_start(&a, &n);
        sley_notify_wait_start(&b, &n);
        const int rb = sley_wait_fini(&b.wait), ra = sley_wait_fini(&a.wait);
        notified += (ra == 0 ? 1u : 0u) + (rb == 0 ? 1u : 0u);
        cancelled += 2u - (ra == 0 ? 1u : 0u) - (rb == 0 ? 1u : 0u);
        CHECK(ra == 0 || ra == -ECANCELED);
        CHECK(rb == 0 || rb == -ECANCELED);
    }
    atomic_store_explicit(&s.stop, true, memory_order_relaxed);
    rig_join(t);
    CHECK_UINT(notified, <=, atomic_load_explicit(&handler_calls, memory_order_relaxed));
    CHECK_UINT(notified, >, 0);
    harness_note("%u handler calls, %u waits notified, %u cancelled", handler_calls, notified, cancelled);
}

enum { SETTERS = 2 };

struct hammer {
    struct sley_notify n, ack;
    _Atomic unsigned taken;
    _Atomic bool stop;
    unsigned rounds;
};

static void *setter(void *arg)
{
    struct hammer *h = arg;
    for (unsigned i = 0; i < h->rounds; i++) {
        const unsigned before = atomic_load_explicit(&h->taken, memory_order_relaxed);
        sley_notify_set(&h->n);
        CHECK_RC(sley_notify_wait(&h->ack), 0);
        CHECK_UINT(atomic_load_explicit(&h->taken, memory_order_relaxed), >, before);
    }
    return NULL;
}

struct answerer {
    struct sley_frame frame;
    struct hammer *h;
    unsigned left;
    struct sley_notify_op op;
};

static enum sley_step answerer(struct answerer *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (; f->left > 0; f->left--) {
        SLEY_CALL(f, rc, sley_notify_wait, &f->op, &f->h->n);
        CHECK_RC(rc, 0);
        atomic_fetch_add_explicit(&f->h->taken, 1, memory_order_relaxed);
        sley_notify_set(&f->h->ack);
    }
    SLEY_END(f);
}
SLEY_FRAME(answerer, struct answerer)

/** A lost set would hang both sides; a doubled one would answer too early. */
SLEY_TEST(set_between_a_thread_and_a_task_loses_and_doubles_nothing, "NOTIF-01")
{
    struct rig r;
    struct hammer h = {.rounds = 8000 / harness_slowness()};
    pthread_t t;
    rig_init(&r);
    CHECK_RC(SLEY_SPAWN(NULL, answerer, .h = &h, .left = h.rounds), 0);
    rig_thread(&t, setter, &h);
    rig_run(&r);
    rig_join(t);
    CHECK_UINT(h.taken, ==, h.rounds);
    rig_fini(&r);
}

static void *wait_often(void *arg)
{
    struct hammer *h = arg;
    while (!atomic_load_explicit(&h->stop, memory_order_relaxed)) {
        struct sley_notify_op op = {0};
        sley_notify_wait_start(&op, &h->n);
        const int rc = sley_wait_fini(&op.wait);
        CHECK(rc == 0 || rc == -ECANCELED);
        if (rc == 0) {
            atomic_fetch_add_explicit(&h->taken, 1, memory_order_relaxed);
        }
    }
    return NULL;
}

SLEY_TEST(threads_that_wait_cancel_and_set_meet, "NOTIF-02")
{
    struct hammer h = {0};
    pthread_t t[SETTERS];
    for (unsigned i = 0; i < SETTERS; i++) {
        rig_thread(&t[i], wait_often, &h);
    }
    unsigned sets = 0;
    for (; sets < 30000 / harness_slowness(); sets++) {
        sley_notify_set(&h.n);
        if (sets % 64 == 0) {
            sley_notify_set_all(&h.n);
            rig_dawdle(100);
        }
    }
    atomic_store_explicit(&h.stop, true, memory_order_relaxed);
    for (unsigned i = 0; i < SETTERS; i++) {
        rig_join(t[i]);
    }
    struct sley_notify_op op = {0};
    sley_notify_wait_start(&op, &h.n); /* the list is whole: a set still finds its waiter, after at most one permit */
    if (sley_wait_done(&op.wait)) {
        sley_notify_wait_start(&op, &h.n);
    }
    CHECK(!sley_wait_done(&op.wait));
    sley_notify_set(&h.n);
    CHECK_RC(sley_await(&op.wait), 0);
    harness_note("%u of %u sets were waited for", h.taken, sets);
}
