/* Oneshot: one value or none, whichever side goes first; on tasks, fibers and threads. */
#include <stdatomic.h>

#include <sley/oneshot.h>

#include "rig.h"

SLEY_ONESHOT_TYPE(answer, uint64_t)

struct taker {
    struct sley_frame frame;
    struct answer *o;
    uint64_t value;
    int *ret_rc;
    struct sley_oneshot_op op;
};

static enum sley_step taker(struct taker *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, answer_recv, &f->op, f->o, &f->value);
    *f->ret_rc = rc;
    SLEY_RETURN(f, rc == 1 ? (int)f->value : rc);
    SLEY_END(f);
}
SLEY_FRAME(taker, struct taker)

static int fiber_taker(struct taker *a)
{
    uint64_t v = 0;
    const int rc = answer_recv(a->o, &v);
    *a->ret_rc = rc;
    return rc == 1 ? (int)v : rc;
}
SLEY_FIBER(fiber_taker, struct taker)

struct watcher {
    struct sley_frame frame;
    struct sley_oneshot *o;
    int *ret_rc;
    struct sley_oneshot_op op;
};

static enum sley_step watcher(struct watcher *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, sley_oneshot_closed, &f->op, f->o);
    *f->ret_rc = rc;
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(watcher, struct watcher)

enum { UNSET = 77 };

static unsigned dropped;
static void drop(void *elem)
{
    CHECK_UINT(*(uint64_t *)elem, ==, 42);
    dropped++;
}

SLEY_TEST(init_refuses_what_has_no_room, "")
{
    struct sley_oneshot o;
    uint64_t v = 42;
    CHECK_RC(sley_oneshot_init(&o, NULL, 8), -EINVAL);
    CHECK_RC(sley_oneshot_init(NULL, &v, 8), -EINVAL);
    CHECK_RC(sley_oneshot_init(&o, NULL, 0), 0);
    CHECK_RC(sley_oneshot_send(&o, NULL), 0); /* no bytes are a value too */
    CHECK_RC(sley_oneshot_recv(&o, NULL), 1);
    CHECK_RC(sley_oneshot_recv(&o, NULL), 0);
    sley_oneshot_fini(&o, NULL);
    sley_oneshot_fini(&o, NULL);
    sley_oneshot_fini(NULL, NULL);
    CHECK_RC(sley_oneshot_send(&o, NULL), -EINVAL);
    CHECK_RC(sley_oneshot_recv(&o, NULL), -EINVAL);
    CHECK_RC(sley_oneshot_try_recv(&o, NULL), -EINVAL);
    CHECK_RC(sley_oneshot_closed(&o), -EINVAL);
}

SLEY_TEST(value_is_sent_once_and_taken_once, "")
{
    struct answer o;
    uint64_t v = 0;
    CHECK_RC(answer_init(&o), 0);
    CHECK_RC(answer_try_recv(&o, &v), -EAGAIN);
    CHECK_RC(answer_send(&o, &(uint64_t){42}), 0);
    CHECK_RC(answer_send(&o, &(uint64_t){43}), -EINVAL);
    CHECK_RC(answer_recv(&o, &v), 1);
    CHECK_UINT(v, ==, 42);
    CHECK_RC(answer_try_recv(&o, &v), 0);
    CHECK_RC(sley_oneshot_closed(&o.base), 1);
    answer_fini(&o, drop);
    CHECK_UINT(dropped, ==, 0);
}

SLEY_TEST(receiver_closes_after_the_send_and_can_still_take_it, "ONE-01")
{
    struct answer o;
    uint64_t v = 0;
    CHECK_RC(answer_init(&o), 0);
    CHECK_RC(answer_send(&o, &(uint64_t){42}), 0);
    sley_oneshot_close_recv(&o.base);
    CHECK(sley_oneshot_is_closed(&o.base));
    CHECK_RC(answer_try_recv(&o, &v), 1);
    CHECK_UINT(v, ==, 42);
    answer_fini(&o, drop);
    CHECK_RC(answer_init(&o), 0); /* not taken: dropped once */
    CHECK_RC(answer_send(&o, &(uint64_t){42}), 0);
    sley_oneshot_close_recv(&o.base);
    answer_fini(&o, drop);
    answer_fini(&o, drop);
    CHECK_UINT(dropped, ==, 1);
}

SLEY_TEST(receiver_closes_before_the_send_which_fails, "ONE-01")
{
    struct answer o;
    uint64_t v = 7;
    const uint64_t mine = 42;
    CHECK_RC(answer_init(&o), 0);
    sley_oneshot_close_recv(&o.base);
    CHECK_RC(answer_send(&o, &mine), -EPIPE);
    CHECK_UINT(mine, ==, 42);
    CHECK_RC(answer_recv(&o, &v), 0);
    CHECK_UINT(v, ==, 7);
    answer_fini(&o, drop);
    CHECK_UINT(dropped, ==, 0);
}

SLEY_TEST(sender_goes_and_the_receiver_gets_nothing, "")
{
    struct rig r;
    struct answer o;
    int rc = UNSET, watch = UNSET;
    rig_init(&r);
    CHECK_RC(answer_init(&o), 0);
    CHECK_RC(SLEY_SPAWN(NULL, taker, .o = &o, .ret_rc = &rc), 0);
    rig_idle(&r);
    CHECK_INT(rc, ==, UNSET);
    sley_oneshot_close_send(&o.base);
    rig_idle(&r);
    CHECK_RC(rc, 0);
    CHECK_RC(answer_send(&o, &(uint64_t){42}), -EPIPE);
    CHECK_RC(SLEY_SPAWN(NULL, watcher, .o = &o.base, .ret_rc = &watch), 0);
    rig_idle(&r);
    CHECK_INT(watch, ==, UNSET);
    answer_fini(&o, drop);
    rig_idle(&r);
    CHECK_RC(watch, 0);
    rig_fini(&r);
}

SLEY_TEST(sender_waits_for_the_receiver_to_go, "ONE-02")
{
    struct rig r;
    struct answer o;
    int rc = UNSET, again = UNSET, taken = UNSET, got = UNSET;
    rig_init(&r);
    CHECK_RC(answer_init(&o), 0);
    CHECK_RC(SLEY_SPAWN(NULL, watcher, .o = &o.base, .ret_rc = &rc), 0);
    rig_idle(&r);
    CHECK_RC(SLEY_SPAWN(NULL, watcher, .o = &o.base, .ret_rc = &again), 0);
    rig_idle(&r);
    CHECK_INT(rc, ==, UNSET);
    CHECK_RC(again, -EBUSY);
    sley_oneshot_close_recv(&o.base);
    rig_idle(&r);
    CHECK_RC(rc, 0);
    CHECK_RC(answer_send(&o, &(uint64_t){42}), -EPIPE);
    answer_fini(&o, drop);

    CHECK_RC(answer_init(&o), 0); /* the value goes straight to a receiver that waits: that is an end, too */
    CHECK_RC(SLEY_SPAWN(NULL, watcher, .o = &o.base, .ret_rc = &taken), 0);
    CHECK_RC(SLEY_SPAWN(NULL, fiber_taker, .o = &o, .ret_rc = &got), 0);
    rig_idle(&r);
    CHECK_RC(answer_send(&o, &(uint64_t){42}), 0);
    rig_idle(&r);
    CHECK_RC(taken, 1);
    CHECK_RC(got, 1);
    answer_fini(&o, drop);
    CHECK_UINT(dropped, ==, 0);
    rig_fini(&r);
}

SLEY_TEST(receiving_moves_to_another_task_which_alone_is_woken, "ONE-03")
{
    struct rig r;
    struct answer o;
    int first = UNSET, busy = UNSET, second = UNSET, w1 = UNSET, w2 = UNSET;
    struct sley_task *t;
    rig_init(&r);
    CHECK_RC(answer_init(&o), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, taker, .o = &o, .ret_rc = &first), 0);
    rig_idle(&r);
    CHECK_RC(SLEY_SPAWN(NULL, taker, .o = &o, .ret_rc = &busy), 0);
    rig_idle(&r);
    CHECK_RC(busy, -EBUSY);
    rig_cancel(&r, t);
    CHECK_RC(first, -ECANCELED);
    CHECK_RC(SLEY_SPAWN(NULL, fiber_taker, .o = &o, .ret_rc = &second), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, watcher, .o = &o.base, .ret_rc = &w1), 0);
    rig_idle(&r);
    rig_cancel(&r, t);
    CHECK_RC(w1, -ECANCELED);
    CHECK_RC(SLEY_SPAWN(NULL, watcher, .o = &o.base, .ret_rc = &w2), 0);
    rig_idle(&r);
    CHECK_RC(answer_send(&o, &(uint64_t){42}), 0);
    rig_idle(&r);
    CHECK_RC(first, -ECANCELED);
    CHECK_RC(second, 1);
    CHECK_RC(w1, -ECANCELED);
    CHECK_RC(w2, 1);
    CHECK_UINT(sley_sched_live(&r.sched), ==, 0);
    rig_fini(&r);
}

SLEY_TEST(cancelled_receive_has_taken_nothing, "")
{
    struct answer o;
    struct sley_oneshot_op op = {0};
    uint64_t v = 7;
    CHECK_RC(answer_init(&o), 0);
    answer_recv_start(&op, &o, &v);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_RC(answer_send(&o, &(uint64_t){42}), 0);
    CHECK_UINT(v, ==, 7);
    answer_recv_start(&op, &o, &v);
    CHECK_RC(sley_wait_fini(&op.wait), 1); /* it was there: the true result */
    CHECK_UINT(v, ==, 42);
    answer_fini(&o, drop);
}

/* ---- races ----------------------------------------------------------------------------------------------------- */

enum { OVER = 1 << 30 };

struct race {
    struct answer o;
    _Atomic unsigned round; /* the second thread may play this one; it answers in `played` */
    _Atomic unsigned played;
    int sent;
};

static void play(struct race *g, unsigned round)
{
    atomic_store_explicit(&g->round, round, memory_order_release);
}

static void await_count(_Atomic unsigned *count, unsigned value)
{
    while (atomic_load_explicit(count, memory_order_acquire) != value) {
        sched_yield();
    }
}

/** Returns false: there are no more. */
static bool await_round(struct race *g, unsigned round)
{
    unsigned now;
    while ((now = atomic_load_explicit(&g->round, memory_order_acquire)) != round && now != OVER) {
        sched_yield();
    }
    return now == round;
}

static void *send_each_round(void *arg)
{
    struct race *g = arg;
    for (unsigned i = 1; await_round(g, i); i++) {
        g->sent = answer_send(&g->o, &(uint64_t){42});
        atomic_store_explicit(&g->played, i, memory_order_release);
    }
    return NULL;
}

/** On plain threads, and with a home sched whose lock leans towards this thread. */
static void race_close(bool with_home)
{
    static struct race g;
    struct rig r;
    pthread_t t;
    unsigned values = 0, rounds = 0;
    if (with_home) {
        rig_init(&r);
    }
    rig_thread(&t, send_each_round, &g);
    for (unsigned i = 1; harness_another(rounds, 6000 / harness_slowness()); rounds = i++) {
        uint64_t v = 0;
        CHECK_RC(answer_init(&g.o), 0);
        CHECK(!sley_oneshot_is_closed(&g.o.base)); /* home has been here */
        play(&g, i);
        rig_dawdle(4000);
        sley_oneshot_close_recv(&g.o.base);
        const int rc = answer_try_recv(&g.o, &v);
        await_count(&g.played, i);
        CHECK_RC(rc, g.sent == 0 ? 1 : 0);
        CHECK_RC(g.sent, rc ? 0 : -EPIPE);
        CHECK_UINT(v, ==, rc ? 42 : 0);
        values += (unsigned)rc;
        answer_fini(&g.o, drop);
    }
    play(&g, OVER);
    rig_join(t);
    CHECK_UINT(dropped, ==, 0);
    harness_note("%u of %u values came in time", values, rounds);
    if (with_home) {
        rig_fini(&r);
    }
}

SLEY_TEST(send_races_with_close_and_take, "ONE-04")
{
    race_close(false);
}

SLEY_TEST(send_races_with_close_and_take_at_home, "ONE-04")
{
    race_close(true);
}

static void race_cancel(bool with_home)
{
    static struct race g;
    struct rig r;
    pthread_t t;
    unsigned values = 0, rounds = 0;
    if (with_home) {
        rig_init(&r);
    }
    rig_thread(&t, send_each_round, &g);
    for (unsigned i = 1; harness_another(rounds, 6000 / harness_slowness()); rounds = i++) {
        struct sley_oneshot_op op = {0};
        uint64_t v = 0;
        CHECK_RC(answer_init(&g.o), 0);
        answer_recv_start(&op, &g.o, &v);
        play(&g, i);
        rig_dawdle(4000);
        sley_wait_cancel(&op.wait);
        while (!sley_wait_done(&op.wait)) { /* on its way through the inbox, or from the thread */
            if (with_home) {
                (void)sley_sched_drain(&r.sched);
            }
            (void)sched_yield();
        }
        await_count(&g.played, i);
        CHECK_RC(g.sent, 0);
        CHECK(op.wait.result == 1 || op.wait.result == -ECANCELED);
        if (op.wait.result == 1) {
            CHECK_UINT(v, ==, 42);
            values++;
        } else {
            CHECK_UINT(v, ==, 0);
            CHECK_RC(answer_try_recv(&g.o, &v), 1); /* it was not lost */
        }
        answer_fini(&g.o, drop);
    }
    play(&g, OVER);
    rig_join(t);
    CHECK_UINT(dropped, ==, 0);
    harness_note("%u of %u came before the cancel", values, rounds);
    if (with_home) {
        rig_fini(&r);
    }
}

SLEY_TEST(parked_receiver_goes_while_the_sender_sends, "ONE-05")
{
    race_cancel(false);
}

SLEY_TEST(parked_receiver_goes_while_the_sender_sends_at_home, "ONE-05")
{
    race_cancel(true);
}

static void *send_later(void *arg)
{
    struct answer *o = arg;
    CHECK_RC(answer_send(o, &(uint64_t){42}), 0);
    return NULL;
}

SLEY_TEST(thread_answers_a_task, "")
{
    struct rig r;
    struct answer o;
    int rc = UNSET;
    pthread_t t;
    rig_init(&r);
    CHECK_RC(answer_init(&o), 0);
    CHECK_RC(SLEY_SPAWN(NULL, fiber_taker, .o = &o, .ret_rc = &rc), 0);
    rig_idle(&r);
    rig_thread(&t, send_later, &o);
    rig_run(&r);
    CHECK_RC(rc, 1);
    rig_join(t);
    rig_fini(&r);
}
