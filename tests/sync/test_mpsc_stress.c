/* Channels under load: between tasks, threads and both; every message arrives once, in its sender's order, whoever cancels. */
#include <stdatomic.h>

#include <sley/mpsc.h>

#include "rig.h"

SLEY_MPSC_TYPE(ch1, uint64_t, 1)
SLEY_MPSC_TYPE(ch2, uint64_t, 2)
SLEY_MPSC_TYPE(ch3, uint64_t, 3)

enum { MAX_SENDERS = 8, SENDER_SHIFT = 32 };

/** What all parts of a run share. Messages are sender << 32 | number, numbers from 1 on. */
struct load {
    struct sley_mpsc *ch;
    uint32_t each;                 /* messages a sender sends */
    _Atomic uint32_t senders_left; /* the last one closes */
    _Atomic uint64_t received, sum;
    _Atomic uint32_t cancelled;
    bool one_receiver; /* then order can be seen */
    uint32_t last[MAX_SENDERS];
};

static void sender_ends(struct load *l)
{
    if (atomic_fetch_sub_explicit(&l->senders_left, 1, memory_order_acq_rel) == 1) {
        sley_mpsc_close(l->ch);
    }
}

static void got(struct load *l, uint64_t v)
{
    atomic_fetch_add_explicit(&l->received, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->sum, v, memory_order_relaxed);
    if (l->one_receiver) {
        const uint32_t n = (uint32_t)v;
        CHECK_UINT(v >> SENDER_SHIFT, <, MAX_SENDERS);
        CHECK_UINT(n, ==, l->last[v >> SENDER_SHIFT] + 1);
        l->last[v >> SENDER_SHIFT] = n;
    }
}

static uint64_t message(uint32_t who, uint32_t n)
{
    return ((uint64_t)who << SENDER_SHIFT) | n;
}

static void check(struct load *l, uint32_t senders)
{
    uint64_t sum = 0;
    for (uint32_t s = 0; s < senders; s++) {
        sum += ((uint64_t)s << SENDER_SHIFT) * l->each + (uint64_t)l->each * (l->each + 1) / 2;
    }
    CHECK_UINT(l->received, ==, (uint64_t)senders * l->each);
    CHECK_UINT(l->sum, ==, sum);
    CHECK_UINT(sley_mpsc_len(l->ch), ==, 0);
    CHECK_PTR(l->ch->receivers.head, ==, NULL);
    CHECK_PTR(l->ch->senders.head, ==, NULL);
}

/* ---- the parts ------------------------------------------------------------------------------------------------- */

struct part {
    struct sley_frame frame;
    struct load *l;
    uint32_t who, n;
    uint64_t v;
    struct sley_mpsc_op op;
};

/* one pair of frames for each capacity: the code of starts is inline in them */
#define FRAMES(name)                                                                       \
    static enum sley_step name##_tx(struct part *f)                                        \
    {                                                                                      \
        int rc;                                                                            \
        SLEY_BEGIN(f);                                                                     \
        while (f->n < f->l->each) {                                                        \
            f->v = message(f->who, ++f->n);                                                \
            SLEY_CALL(f, rc, name##_send, &f->op, (struct name *)(void *)f->l->ch, &f->v); \
            CHECK_RC(rc, 0);                                                               \
        }                                                                                  \
        sender_ends(f->l);                                                                 \
        SLEY_END(f);                                                                       \
    }                                                                                      \
    SLEY_FRAME(name##_tx, struct part)                                                     \
    static enum sley_step name##_rx(struct part *f)                                        \
    {                                                                                      \
        int rc;                                                                            \
        SLEY_BEGIN(f);                                                                     \
        for (;;) {                                                                         \
            SLEY_CALL(f, rc, name##_recv, &f->op, (struct name *)(void *)f->l->ch, &f->v); \
            if (rc == 0) {                                                                 \
                break;                                                                     \
            }                                                                              \
            CHECK_RC(rc, 1);                                                               \
            got(f->l, f->v);                                                               \
        }                                                                                  \
        SLEY_END(f);                                                                       \
    }                                                                                      \
    SLEY_FRAME(name##_rx, struct part)

FRAMES(ch1)
FRAMES(ch2)
FRAMES(ch3)

static const struct sley_task_type *const frames[][2] = {
    {&ch1_tx__type, &ch1_rx__type}, {&ch2_tx__type, &ch2_rx__type}, {&ch3_tx__type, &ch3_rx__type}};

static int direct_tx(struct part *p)
{
    for (uint32_t n = 1; n <= p->l->each; n++) {
        const uint64_t v = message(p->who, n);
        CHECK_RC(sley_mpsc_send(p->l->ch, &v), 0);
    }
    sender_ends(p->l);
    return 0;
}
SLEY_FIBER(direct_tx, struct part)

static int direct_rx(struct part *p)
{
    uint64_t v;
    int rc;
    while ((rc = sley_mpsc_recv(p->l->ch, &v)) == 1) {
        got(p->l, v);
    }
    CHECK_RC(rc, 0);
    return 0;
}
SLEY_FIBER(direct_rx, struct part)

static void *thread_tx(void *arg)
{
    (void)direct_tx(arg);
    return NULL;
}

static void *thread_rx(void *arg)
{
    (void)direct_rx(arg);
    return NULL;
}

/* ---- the runs -------------------------------------------------------------------------------------------------- */

enum place { FRAME, FIBER, THREAD, MIXED };

static enum place place_of(enum place where, uint32_t i)
{
    return where == MIXED ? (enum place)(i % 3) : where;
}

static void run(enum place tx, uint32_t senders, enum place rx, uint32_t receivers, uint32_t capacity, uint32_t each)
{
    union {
        struct ch1 one;
        struct ch2 two;
        struct ch3 three;
        struct sley_mpsc base;
    } ch;
    struct load l = {.ch = &ch.base, .each = each, .senders_left = senders, .one_receiver = receivers == 1};
    struct part parts[2 * MAX_SENDERS];
    pthread_t threads[2 * MAX_SENDERS];
    uint32_t thread_count = 0;
    struct rig r;
    rig_init(&r);
    CHECK_RC(capacity == 1 ? ch1_init(&ch.one) : capacity == 2 ? ch2_init(&ch.two) : ch3_init(&ch.three), 0);
    for (uint32_t i = 0; i < senders + receivers; i++) {
        const bool sends = i < senders;
        parts[i] = (struct part){.l = &l, .who = i};
        switch (place_of(sends ? tx : rx, sends ? i : i - senders + 1)) {
        case FRAME:
            CHECK_RC(sley_spawn(NULL, frames[capacity - 1][!sends], &parts[i], NULL, NULL), 0);
            break;
        case FIBER:
            CHECK_RC(sley_spawn(NULL, sends ? &direct_tx__type : &direct_rx__type, &parts[i], NULL, NULL), 0);
            break;
        case THREAD:
        case MIXED:
            rig_thread(&threads[thread_count++], sends ? thread_tx : thread_rx, &parts[i]);
            break;
        }
    }
    rig_run(&r);
    for (uint32_t i = 0; i < thread_count; i++) {
        rig_join(threads[i]);
    }
    check(&l, senders);
    sley_mpsc_fini(&ch.base, NULL);
    rig_fini(&r);
}

static uint32_t some(uint32_t n)
{
    return n / harness_slowness();
}

SLEY_TEST(one_to_one_in_each_style_at_each_capacity, "")
{
    for (uint32_t capacity = 1; capacity <= 3; capacity++) {
        run(FRAME, 1, FRAME, 1, capacity, some(20000));
        run(FIBER, 1, FIBER, 1, capacity, some(20000));
        run(FRAME, 1, FIBER, 1, capacity, some(20000));
        run(THREAD, 1, THREAD, 1, capacity, some(3000));
        run(THREAD, 1, FRAME, 1, capacity, some(3000));
        run(FIBER, 1, THREAD, 1, capacity, some(3000));
    }
}

SLEY_TEST(many_to_one_keeps_each_senders_order, "")
{
    for (uint32_t capacity = 1; capacity <= 3; capacity++) {
        run(FRAME, 4, FRAME, 1, capacity, some(10000));
        run(MIXED, 6, FRAME, 1, capacity, some(1000));
        run(MIXED, 6, THREAD, 1, capacity, some(1000));
    }
}

SLEY_TEST_SECONDS(four_to_four_through_three_slots, "MPSC-15", 60)
{
    run(FRAME, 4, FIBER, 4, 3, some(25000));
    run(THREAD, 4, THREAD, 4, 3, some(25000) / 10);
    run(MIXED, 4, MIXED, 4, 3, some(25000) / 10);
}

/* ---- between executors ----------------------------------------------------------------------------------------- */

/** A second home on a thread of its own, which runs these two parts and ends. */
struct away {
    const struct sley_task_type *types[2];
    struct part *parts[2];
};

static void *run_away(void *arg)
{
    const struct away *a = arg;
    struct rig r;
    rig_init(&r);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_spawn(NULL, a->types[i], a->parts[i], NULL, NULL), 0);
    }
    rig_run(&r);
    rig_fini(&r);
    return NULL;
}

SLEY_TEST(two_executors_talk_both_ways, "MPSC-16")
{
    struct ch3 there, back;
    struct load a = {.ch = &there.base, .each = some(5000), .senders_left = 2, .one_receiver = true};
    struct load b = {.ch = &back.base, .each = some(5000), .senders_left = 2, .one_receiver = true};
    struct part parts[6] = {{.l = &a, .who = 0}, {.l = &a, .who = 1}, {.l = &a}, {.l = &b, .who = 0}, {.l = &b, .who = 1}, {.l = &b}};
    struct away one = {{&ch3_rx__type, &ch3_tx__type}, {&parts[2], &parts[3]}};
    struct away two = {{&ch3_tx__type, &direct_tx__type}, {&parts[0], &parts[1]}};
    pthread_t t[2];
    struct rig r;
    rig_init(&r);
    CHECK_RC(ch3_init(&there), 0);
    CHECK_RC(ch3_init(&back), 0);
    rig_thread(&t[0], run_away, &one);
    rig_thread(&t[1], run_away, &two);
    CHECK_RC(sley_spawn(NULL, &direct_tx__type, &parts[4], NULL, NULL), 0);
    CHECK_RC(sley_spawn(NULL, &direct_rx__type, &parts[5], NULL, NULL), 0);
    rig_run(&r);
    rig_join(t[0]);
    rig_join(t[1]);
    check(&a, 2);
    check(&b, 2);
    ch3_fini(&there, NULL);
    ch3_fini(&back, NULL);
    rig_fini(&r);
}

static int blocked_sender(struct part *p)
{
    const uint64_t v = 5;
    CHECK_RC(sley_mpsc_send(p->l->ch, &v), -EPIPE);
    atomic_fetch_add_explicit(&p->l->cancelled, 1, memory_order_release);
    return 0;
}
SLEY_FIBER(blocked_sender, struct part)

/** The other end of the same side closes: from this thread, while the sender waits on its own executor. */
SLEY_TEST(closed_by_another_executor_while_a_sender_waits, "MPSC-16 MPSC-17")
{
    struct ch2 ch;
    struct load l = {.ch = &ch.base};
    struct part part = {.l = &l};
    struct away away = {{&blocked_sender__type, &blocked_sender__type}, {&part, &part}};
    pthread_t t;
    uint64_t v;
    CHECK_RC(ch2_init(&ch), 0);
    for (v = 1; v <= 2; v++) {
        CHECK_RC(ch2_try_send(&ch, &v), 0);
    }
    rig_thread(&t, run_away, &away);
    rig_dawdle(100000);
    ch2_close(&ch);
    rig_join(t); /* the executor has ended; what came before is there */
    CHECK_UINT(l.cancelled, ==, 2);
    CHECK_RC(ch2_recv(&ch, &v), 1);
    CHECK_UINT(v, ==, 1);
    CHECK_RC(ch2_recv(&ch, &v), 1);
    CHECK_UINT(v, ==, 2);
    CHECK_RC(ch2_recv(&ch, &v), 0);
    ch2_fini(&ch, NULL);
}

/* ---- cancelling in the middle ---------------------------------------------------------------------------------- */

/** Sends and receives that give up at once or a little later: what was not sent is sent again, what was received counts. */
static void *fickle_tx(void *arg)
{
    struct part *p = arg;
    for (uint32_t n = 1; n <= p->l->each;) {
        struct sley_mpsc_op op = {0};
        const uint64_t v = message(p->who, n);
        sley_mpsc_send_start(&op, p->l->ch, &v);
        rig_dawdle(300);
        const int rc = sley_wait_fini(&op.wait);
        CHECK(rc == 0 || rc == -ECANCELED);
        if (rc == 0) {
            n++;
        } else {
            atomic_fetch_add_explicit(&p->l->cancelled, 1, memory_order_relaxed);
        }
    }
    sender_ends(p->l);
    return NULL;
}

static void *fickle_rx(void *arg)
{
    struct part *p = arg;
    int rc;
    do {
        struct sley_mpsc_op op = {0};
        uint64_t v = 0;
        sley_mpsc_recv_start(&op, p->l->ch, &v);
        rig_dawdle(300);
        rc = sley_wait_fini(&op.wait);
        if (rc == 1) {
            got(p->l, v);
        } else {
            CHECK(rc == 0 || rc == -ECANCELED);
            CHECK_UINT(v, ==, 0);
            atomic_fetch_add_explicit(&p->l->cancelled, rc != 0, memory_order_relaxed);
        }
    } while (rc != 0);
    return NULL;
}

static void *fickle_reserve(void *arg)
{
    struct part *p = arg;
    for (uint32_t n = 1; n <= p->l->each;) {
        struct sley_mpsc_op op = {0};
        const uint64_t v = message(p->who, n);
        const size_t want = 1 + harness_rand_below(2);
        sley_mpsc_reserve_start(&op, p->l->ch, want);
        rig_dawdle(300);
        if (sley_wait_fini(&op.wait) == 0) {
            CHECK_RC(sley_mpsc_send_reserved(p->l->ch, &v), 0);
            CHECK_RC(sley_mpsc_release(p->l->ch, want - 1), 0);
            n++;
        }
    }
    sender_ends(p->l);
    return NULL;
}

SLEY_TEST_SECONDS(cancels_race_with_being_served, "MPSC-02 MPSC-05", 60)
{
    struct ch2 ch;
    struct load l = {.ch = &ch.base, .each = some(5000), .senders_left = 4};
    struct part parts[6];
    pthread_t threads[4];
    struct rig r;
    rig_init(&r);
    CHECK_RC(ch2_init(&ch), 0);
    for (uint32_t i = 0; i < 6; i++) {
        parts[i] = (struct part){.l = &l, .who = i};
    }
    CHECK_RC(sley_spawn(NULL, &ch2_tx__type, &parts[3], NULL, NULL), 0);
    CHECK_RC(sley_spawn(NULL, &direct_rx__type, &parts[4], NULL, NULL), 0);
    rig_thread(&threads[0], fickle_tx, &parts[0]);
    rig_thread(&threads[1], fickle_tx, &parts[1]);
    rig_thread(&threads[2], fickle_reserve, &parts[2]);
    rig_thread(&threads[3], fickle_rx, &parts[5]);
    rig_run(&r);
    for (uint32_t i = 0; i < 4; i++) {
        rig_join(threads[i]);
    }
    check(&l, 4);
    harness_note("%u cancelled", l.cancelled);
    ch2_fini(&ch, NULL);
    rig_fini(&r);
}
