/* Bounded channel: order, bounds, closing, cancelling, reservations; on threads and in tasks of both styles. Stress: test_mpsc_stress.c */
#include <sley/mpsc.h>

#include "rig.h"

enum { UNSET = 77 };

SLEY_MPSC_TYPE(ch1, uint32_t, 1)
SLEY_MPSC_TYPE(ch2, uint32_t, 2)
SLEY_MPSC_TYPE(ch3, uint32_t, 3)

/* one task for each call; it says what came of it */
struct call {
    struct sley_frame frame;
    struct sley_mpsc *ch;
    uint32_t *elem;
    size_t n;
    int *ret_rc;
    struct sley_mpsc_op op;
};

#define CALL_TASK(name, X, arg)                  \
    static enum sley_step name(struct call *f)   \
    {                                            \
        int rc;                                  \
        SLEY_BEGIN(f);                           \
        SLEY_CALL(f, rc, X, &f->op, f->ch, arg); \
        *f->ret_rc = rc;                         \
        SLEY_END(f);                             \
    }                                            \
    SLEY_FRAME(name, struct call)                \
    static int name##_fiber(struct call *a)      \
    {                                            \
        struct call *f = a;                      \
        *a->ret_rc = X(a->ch, arg);              \
        return 0;                                \
    }                                            \
    SLEY_FIBER(name##_fiber, struct call)

CALL_TASK(sender, sley_mpsc_send, f->elem)
CALL_TASK(receiver, sley_mpsc_recv, f->elem)
CALL_TASK(reserver, sley_mpsc_reserve, f->n)

static struct rig rig;

/** Spawns a call, in one style or the other, and lets it get as far as it can. */
#define START(ret_task, name, ...)                                                                   \
    do {                                                                                             \
        CHECK_RC(harness_rand_below(2) ? SLEY_SPAWN_TASK(ret_task, NULL, name, __VA_ARGS__)          \
                                       : SLEY_SPAWN_TASK(ret_task, NULL, name##_fiber, __VA_ARGS__), \
                 0);                                                                                 \
        rig_idle(&rig);                                                                              \
    } while (0)

struct started {
    struct sley_task *task;
    uint32_t elem;
    int rc;
};

static void start_send(struct started *s, struct sley_mpsc *ch, uint32_t value)
{
    s->rc = UNSET;
    s->elem = value;
    START(&s->task, sender, .ch = ch, .elem = &s->elem, .ret_rc = &s->rc);
}

static void start_recv(struct started *s, struct sley_mpsc *ch)
{
    s->rc = UNSET;
    s->elem = 0;
    START(&s->task, receiver, .ch = ch, .elem = &s->elem, .ret_rc = &s->rc);
}

static void start_reserve(struct started *s, struct sley_mpsc *ch, size_t n)
{
    s->rc = UNSET;
    START(&s->task, reserver, .ch = ch, .n = n, .ret_rc = &s->rc);
}

/** It has ended, with this. */
static void ended(struct started *s, int rc)
{
    rig_idle(&rig);
    CHECK_RC(s->rc, rc);
    CHECK(sley_task_done(s->task));
    sley_task_unref(s->task);
}

static void cancel(struct started *s)
{
    rig_cancel(&rig, s->task);
    CHECK_RC(s->rc, -ECANCELED);
}

static void put(struct sley_mpsc *ch, uint32_t value)
{
    CHECK_RC(sley_mpsc_try_send(ch, &value), 0);
}

static void take(struct sley_mpsc *ch, uint32_t value)
{
    uint32_t v = 0;
    CHECK_RC(sley_mpsc_try_recv(ch, &v), 1);
    CHECK_UINT(v, ==, value);
}

static uint32_t dropped, drop_sum;
static void drop(void *elem)
{
    dropped++;
    drop_sum += *(uint32_t *)elem;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

SLEY_TEST(init_refuses_what_cannot_be, "MPSC-08")
{
    struct sley_mpsc ch = {0};
    uint32_t slots[2], v;
    CHECK_RC(sley_mpsc_init(&ch, slots, 0, 4), -EINVAL);
    CHECK_RC(sley_mpsc_init(&ch, NULL, 2, 4), -EINVAL);
    CHECK_RC(sley_mpsc_init(NULL, slots, 2, 4), -EINVAL);
    CHECK_RC(sley_mpsc_init(&ch, slots, 3, SIZE_MAX / 2), -EINVAL);
    CHECK_RC(sley_mpsc_init(&ch, slots, (size_t)UINT32_MAX + 1, 0), -EINVAL);
    CHECK_RC(sley_mpsc_send(&ch, &v), -EINVAL);
    CHECK_RC(sley_mpsc_recv(&ch, &v), -EINVAL);
    CHECK_RC(sley_mpsc_send(NULL, &v), -EINVAL);
    CHECK_RC(sley_mpsc_init(&ch, slots, 2, 4), 0);
    CHECK_RC(sley_mpsc_send(&ch, NULL), -EINVAL);
    CHECK_RC(sley_mpsc_recv(&ch, NULL), -EINVAL);
    CHECK_RC(sley_mpsc_try_send(&ch, NULL), -EINVAL);
    CHECK_RC(sley_mpsc_force_send(&ch, &v, NULL), -EINVAL);
    sley_mpsc_fini(&ch, NULL);
    sley_mpsc_fini(&ch, NULL);
    sley_mpsc_fini(NULL, NULL);
    sley_mpsc_close(NULL);
}

SLEY_TEST(fini_destroys_each_message_once, "MPSC-09")
{
    static uint32_t slots[70];
    const uint32_t counts[] = {0, 1, 31, 32, 33, 65, 70};
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct sley_mpsc ch;
        CHECK_RC(sley_mpsc_init(&ch, slots, 70, 4), 0);
        for (uint32_t n = 0; n < 40; n++) { /* the messages lie across the end of the ring */
            put(&ch, n);
            take(&ch, n);
        }
        dropped = drop_sum = 0;
        for (uint32_t n = 0; n < counts[i]; n++) {
            put(&ch, n);
        }
        CHECK_UINT(sley_mpsc_len(&ch), ==, counts[i]);
        sley_mpsc_close(&ch);
        CHECK_UINT(sley_mpsc_len(&ch), ==, counts[i]);
        sley_mpsc_fini(&ch, drop);
        sley_mpsc_fini(&ch, drop);
        CHECK_UINT(dropped, ==, counts[i]);
        CHECK_UINT(drop_sum, ==, counts[i] ? counts[i] * (counts[i] - 1) / 2 : 0);
    }
}

SLEY_TEST(length_counts_messages_and_not_the_end, "MPSC-10")
{
    static uint32_t slots[40];
    struct sley_mpsc ch;
    CHECK_RC(sley_mpsc_init(&ch, slots, 40, 4), 0);
    CHECK_RC(sley_mpsc_sender_add(&ch), 0);
    for (uint32_t n = 0; n < 33; n++) {
        put(&ch, n);
    }
    CHECK_RC(sley_mpsc_sender_drop(&ch), 0); /* the last one: closes */
    CHECK_UINT(sley_mpsc_len(&ch), ==, 33);
    for (uint32_t n = 0; n < 33; n++) {
        take(&ch, n);
        CHECK_UINT(sley_mpsc_len(&ch), ==, 32 - n);
    }
    CHECK_RC(sley_mpsc_try_recv(&ch, &slots[0]), 0);
    sley_mpsc_fini(&ch, NULL);
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

static void fill_and_drain(struct sley_mpsc *ch, uint32_t capacity)
{
    for (uint32_t round = 0; round < 2 * capacity + 1; round++) {
        struct started extra[2];
        uint32_t v;
        for (uint32_t i = 0; i < capacity; i++) {
            put(ch, i);
        }
        CHECK_RC(sley_mpsc_try_send(ch, &v), -EAGAIN);
        start_send(&extra[0], ch, capacity);
        start_send(&extra[1], ch, capacity + 1);
        CHECK_INT(extra[0].rc, ==, UNSET);
        CHECK_UINT(sley_mpsc_len(ch), ==, capacity);
        take(ch, 0); /* makes room for the first */
        CHECK_RC(sley_mpsc_try_send(ch, &v), -EAGAIN);
        ended(&extra[0], 0);
        CHECK_INT(extra[1].rc, ==, UNSET);
        CHECK_UINT(sley_mpsc_len(ch), ==, capacity);
        take(ch, 1);
        ended(&extra[1], 0);
        for (uint32_t i = 2; i < capacity + 2; i++) {
            take(ch, i);
        }
        CHECK_RC(sley_mpsc_try_recv(ch, &v), -EAGAIN);
        start_recv(&extra[0], ch); /* straight from hand to hand, in order */
        start_recv(&extra[1], ch);
        put(ch, 5);
        CHECK_UINT(sley_mpsc_len(ch), ==, 0);
        CHECK_RC(sley_mpsc_send(ch, &(uint32_t){6}), -EDEADLK); /* in no task: may not wait */
        put(ch, 6);
        ended(&extra[0], 1);
        ended(&extra[1], 1);
        CHECK_UINT(extra[0].elem, ==, 5);
        CHECK_UINT(extra[1].elem, ==, 6);
        if (round % 2) { /* so that each round begins at another slot */
            put(ch, 1);
            take(ch, 1);
        }
    }
}

SLEY_TEST(full_and_empty_at_each_capacity, "")
{
    struct ch1 a;
    struct ch2 b;
    struct ch3 c;
    rig_init(&rig);
    CHECK_RC(ch1_init(&a), 0);
    CHECK_RC(ch2_init(&b), 0);
    CHECK_RC(ch3_init(&c), 0);
    fill_and_drain(&a.base, 1);
    fill_and_drain(&b.base, 2);
    fill_and_drain(&c.base, 3);
    ch1_fini(&a, NULL);
    ch2_fini(&b, NULL);
    ch3_fini(&c, NULL);
    rig_fini(&rig);
}

SLEY_TEST(messages_without_bytes_count, "MPSC-19")
{
    struct sley_mpsc ch;
    struct started s;
    rig_init(&rig);
    CHECK_RC(sley_mpsc_init(&ch, NULL, 2, 0), 0);
    CHECK_RC(sley_mpsc_try_send(&ch, NULL), 0);
    CHECK_RC(sley_mpsc_try_send(&ch, NULL), 0);
    CHECK_RC(sley_mpsc_try_send(&ch, NULL), -EAGAIN);
    CHECK_UINT(sley_mpsc_len(&ch), ==, 2);
    CHECK_RC(sley_mpsc_force_send(&ch, NULL, NULL), 1);
    CHECK_RC(sley_mpsc_try_recv(&ch, NULL), 1);
    CHECK_RC(sley_mpsc_try_recv(&ch, NULL), 1);
    CHECK_RC(sley_mpsc_try_recv(&ch, NULL), -EAGAIN);
    start_recv(&s, &ch);
    CHECK_RC(sley_mpsc_try_send(&ch, NULL), 0);
    ended(&s, 1);
    sley_mpsc_fini(&ch, NULL);
    rig_fini(&rig);
}

SLEY_TEST(large_messages_arrive_whole, "")
{
    struct big {
        uint32_t at[25];
    };
    struct big slots[2], b, out;
    struct sley_mpsc ch;
    CHECK_RC(sley_mpsc_init(&ch, slots, 2, sizeof b), 0);
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < 25; i++) {
            b.at[i] = round * 100 + i;
        }
        CHECK_RC(sley_mpsc_send(&ch, &b), 0);
        CHECK_RC(sley_mpsc_recv(&ch, &out), 1);
        CHECK(memcmp(&b, &out, sizeof b) == 0);
    }
    sley_mpsc_fini(&ch, NULL);
}

SLEY_TEST(forced_send_replaces_the_oldest_and_hands_it_back, "MPSC-14")
{
    struct ch2 ch;
    struct started s;
    uint32_t out = 0;
    rig_init(&rig);
    CHECK_RC(ch2_init(&ch), 0);
    for (uint32_t i = 1; i <= 2; i++) {
        CHECK_RC(ch2_force_send(&ch, &i, &out), 0);
        CHECK_UINT(out, ==, 0);
    }
    for (uint32_t i = 3; i <= 6; i++) {
        CHECK_RC(ch2_force_send(&ch, &i, &out), 1);
        CHECK_UINT(out, ==, i - 2);
    }
    start_send(&s, &ch.base, 9); /* it does not queue behind one who waits, nor rob him */
    CHECK_RC(ch2_force_send(&ch, &(uint32_t){7}, &out), 1);
    CHECK_UINT(out, ==, 5);
    take(&ch.base, 6);
    ended(&s, 0);
    take(&ch.base, 7);
    take(&ch.base, 9);
    start_recv(&s, &ch.base);
    CHECK_RC(ch2_force_send(&ch, &(uint32_t){8}, &out), 0);
    ended(&s, 1);
    CHECK_UINT(s.elem, ==, 8);
    CHECK_RC(sley_mpsc_try_reserve(&ch.base, 2), 0);
    CHECK_RC(ch2_force_send(&ch, &out, &out), -EAGAIN); /* nothing to evict */
    CHECK_RC(sley_mpsc_release(&ch.base, 2), 0);
    sley_mpsc_close(&ch.base);
    CHECK_RC(ch2_force_send(&ch, &out, &out), -EPIPE);
    ch2_fini(&ch, NULL);
    rig_fini(&rig);
}

/* ---- cancelling ------------------------------------------------------------------------------------------------ */

SLEY_TEST(cancelled_sender_leaves_the_slot_to_the_next, "MPSC-02")
{
    struct ch1 ch;
    struct started a, b, c;
    rig_init(&rig);
    CHECK_RC(ch1_init(&ch), 0);
    put(&ch.base, 1);
    start_send(&a, &ch.base, 2);
    start_send(&b, &ch.base, 3);
    start_send(&c, &ch.base, 4);
    cancel(&a);
    take(&ch.base, 1);
    ended(&b, 0);
    CHECK_INT(c.rc, ==, UNSET);
    cancel(&c);
    take(&ch.base, 3);
    CHECK_UINT(sley_mpsc_len(&ch.base), ==, 0);
    put(&ch.base, 5);
    take(&ch.base, 5);
    ch1_fini(&ch, NULL);
    rig_fini(&rig);
}

SLEY_TEST(cancelled_receiver_is_forgotten_at_once, "MPSC-11")
{
    struct ch1 ch;
    struct started a, b, c;
    rig_init(&rig);
    CHECK_RC(ch1_init(&ch), 0);
    start_recv(&a, &ch.base);
    start_recv(&b, &ch.base);
    start_recv(&c, &ch.base);
    cancel(&b);
    cancel(&a);
    CHECK_PTR(ch.base.receivers.head, ==, ch.base.receivers.tail);
    put(&ch.base, 1);
    ended(&c, 1);
    CHECK_UINT(c.elem, ==, 1);
    start_recv(&a, &ch.base);
    cancel(&a);
    CHECK_PTR(ch.base.receivers.head, ==, NULL);
    put(&ch.base, 2); /* stays: a cancelled receive takes nothing */
    CHECK_UINT(sley_mpsc_len(&ch.base), ==, 1);
    CHECK_UINT(a.elem, ==, 0);
    take(&ch.base, 2);
    ch1_fini(&ch, NULL);
    rig_fini(&rig);
}

SLEY_TEST(cancelled_task_finds_nothing_tried, "")
{
    struct ch1 ch;
    struct started s = {.rc = UNSET, .elem = 7};
    rig_init(&rig);
    CHECK_RC(ch1_init(&ch), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&s.task, NULL, sender, .ch = &ch.base, .elem = &s.elem, .ret_rc = &s.rc), 0);
    sley_task_cancel(s.task);
    ended(&s, -ECANCELED);
    CHECK_UINT(sley_mpsc_len(&ch.base), ==, 0);
    put(&ch.base, 1);
    s.rc = UNSET;
    CHECK_RC(SLEY_SPAWN_TASK(&s.task, NULL, receiver_fiber, .ch = &ch.base, .elem = &s.elem, .ret_rc = &s.rc), 0);
    sley_task_cancel(s.task);
    ended(&s, -ECANCELED);
    CHECK_UINT(s.elem, ==, 7);
    take(&ch.base, 1);
    ch1_fini(&ch, NULL);
    rig_fini(&rig);
}

/* ---- reservations ---------------------------------------------------------------------------------------------- */

SLEY_TEST(reservation_used_and_received_or_given_back_serves_the_next, "MPSC-01")
{
    struct ch2 ch;
    struct started a, b;
    rig_init(&rig);
    CHECK_RC(ch2_init(&ch), 0);
    CHECK_RC(sley_mpsc_try_reserve(&ch.base, 1), 0);
    CHECK_RC(sley_mpsc_try_reserve(&ch.base, 1), 0);
    CHECK_RC(sley_mpsc_try_reserve(&ch.base, 1), -EAGAIN);
    start_reserve(&a, &ch.base, 1);
    start_reserve(&b, &ch.base, 1);
    CHECK_RC(ch2_send_reserved(&ch, &(uint32_t){1}), 0);
    rig_idle(&rig);
    CHECK_INT(a.rc, ==, UNSET); /* sent is not received */
    take(&ch.base, 1);
    ended(&a, 0);
    CHECK_INT(b.rc, ==, UNSET);
    CHECK_RC(sley_mpsc_release(&ch.base, 1), 0);
    ended(&b, 0);
    CHECK_RC(sley_mpsc_release(&ch.base, 3), -EINVAL);
    CHECK_RC(sley_mpsc_release(&ch.base, 2), 0);
    CHECK_RC(ch2_send_reserved(&ch, &(uint32_t){1}), -EINVAL);
    ch2_fini(&ch, NULL);
    rig_fini(&rig);
}

SLEY_TEST(close_with_a_reservation_out_waits_for_its_message, "MPSC-03")
{
    struct ch1 ch;
    struct started s, r, end;
    rig_init(&rig);
    CHECK_RC(ch1_init(&ch), 0);
    CHECK_RC(sley_mpsc_try_reserve(&ch.base, 1), 0);
    start_send(&s, &ch.base, 2);
    sley_mpsc_close(&ch.base);
    ended(&s, -EPIPE);
    start_recv(&r, &ch.base);
    start_recv(&end, &ch.base);
    CHECK_INT(r.rc, ==, UNSET);
    CHECK_RC(ch1_send_reserved(&ch, &(uint32_t){1}), 0);
    ended(&r, 1);
    CHECK_UINT(r.elem, ==, 1);
    ended(&end, 0);
    ch1_fini(&ch, NULL);
    rig_fini(&rig);
}

SLEY_TEST(last_reservation_given_back_unused_ends_a_closed_channel, "MPSC-04")
{
    struct ch2 ch;
    struct started r;
    rig_init(&rig);
    CHECK_RC(ch2_init(&ch), 0);
    CHECK_RC(sley_mpsc_try_reserve(&ch.base, 2), 0);
    sley_mpsc_close(&ch.base);
    start_recv(&r, &ch.base);
    CHECK_RC(sley_mpsc_release(&ch.base, 1), 0);
    rig_idle(&rig);
    CHECK_INT(r.rc, ==, UNSET);
    CHECK_RC(sley_mpsc_release(&ch.base, 1), 0);
    ended(&r, 0);
    ch2_fini(&ch, NULL);
    rig_fini(&rig);
}

/* A node's verdict stands: who was given the slot before the close has it, and the receiver waits until it is used or back. */
SLEY_TEST(slot_assigned_before_the_close_is_used_or_given_back_after_it, "MPSC-05")
{
    for (int use = 0; use < 2; use++) {
        struct ch1 ch;
        struct sley_mpsc_op op = {0};
        struct started r;
        rig_init(&rig);
        CHECK_RC(ch1_init(&ch), 0);
        put(&ch.base, 1);
        sley_mpsc_reserve_start(&op, &ch.base, 1);
        CHECK(!sley_wait_done(&op.wait));
        take(&ch.base, 1);
        CHECK(sley_wait_done(&op.wait)); /* assigned; its owner has not looked */
        sley_mpsc_close(&ch.base);
        start_recv(&r, &ch.base);
        CHECK_INT(r.rc, ==, UNSET);
        CHECK_RC(op.wait.result, 0);
        CHECK_RC(use ? ch1_send_reserved(&ch, &(uint32_t){2}) : sley_mpsc_release(&ch.base, 1), 0);
        ended(&r, use);
        ch1_fini(&ch, NULL);
        rig_fini(&rig);
    }
}

SLEY_TEST(try_recv_on_a_closed_channel_with_a_reservation_out, "MPSC-06")
{
    struct ch1 ch;
    uint32_t v;
    CHECK_RC(ch1_init(&ch), 0);
    CHECK_RC(sley_mpsc_reserve(&ch.base, 1), 0);
    sley_mpsc_close(&ch.base);
    CHECK_RC(ch1_try_recv(&ch, &v), -EAGAIN);
    CHECK_RC(sley_mpsc_release(&ch.base, 1), 0);
    CHECK_RC(ch1_try_recv(&ch, &v), 0);
    CHECK_RC(ch1_recv(&ch, &v), 0);
    ch1_fini(&ch, NULL);
}

SLEY_TEST(reserving_none_or_too_many_does_not_wait, "MPSC-07")
{
    struct ch2 ch;
    CHECK_RC(ch2_init(&ch), 0);
    put(&ch.base, 1);
    put(&ch.base, 2);
    CHECK_RC(sley_mpsc_reserve(&ch.base, 0), 0);
    CHECK_RC(sley_mpsc_reserve(&ch.base, 3), -EINVAL);
    CHECK_RC(sley_mpsc_try_reserve(&ch.base, SIZE_MAX), -EINVAL);
    CHECK_RC(sley_mpsc_try_reserve(&ch.base, 1), -EAGAIN);
    sley_mpsc_close(&ch.base);
    CHECK_RC(sley_mpsc_reserve(&ch.base, 0), -EPIPE);
    CHECK_RC(sley_mpsc_reserve(&ch.base, 1), -EPIPE);
    CHECK_RC(sley_mpsc_reserve(&ch.base, 3), -EINVAL);
    ch2_fini(&ch, NULL);
}

SLEY_TEST(reserve_for_many_is_not_overtaken_and_its_cancel_serves_who_is_behind, "MPSC-02")
{
    struct ch3 ch;
    struct started many, a, b, r;
    uint32_t v = 9;
    rig_init(&rig);
    CHECK_RC(ch3_init(&ch), 0);
    put(&ch.base, 1);
    start_reserve(&many, &ch.base, 3);
    start_send(&a, &ch.base, 2); /* there is room, but others were first */
    start_send(&b, &ch.base, 3);
    CHECK_RC(ch3_try_send(&ch, &v), -EAGAIN);
    CHECK_INT(a.rc, ==, UNSET);
    cancel(&many);
    ended(&a, 0);
    ended(&b, 0);
    take(&ch.base, 1);
    take(&ch.base, 2);
    start_reserve(&many, &ch.base, 3);
    take(&ch.base, 3);
    ended(&many, 0);
    start_recv(&r, &ch.base); /* every slot is promised: a sender may still hand over to who waits */
    put(&ch.base, 4);
    ended(&r, 1);
    CHECK_UINT(r.elem, ==, 4);
    start_send(&a, &ch.base, 5); /* nobody waits: it does, and a receiver takes from its hand */
    CHECK_INT(a.rc, ==, UNSET);
    take(&ch.base, 5);
    ended(&a, 0);
    start_send(&a, &ch.base, 6);
    start_recv(&r, &ch.base);
    ended(&r, 1);
    ended(&a, 0);
    CHECK_UINT(r.elem, ==, 6);
    start_recv(&r, &ch.base);
    start_reserve(&many, &ch.base, 1);
    start_send(&a, &ch.base, 7); /* behind a reserve it waits, though a receiver is there */
    CHECK_INT(a.rc, ==, UNSET);
    cancel(&many);
    ended(&a, 0);
    ended(&r, 1);
    CHECK_UINT(r.elem, ==, 7);
    CHECK_RC(sley_mpsc_release(&ch.base, 3), 0);
    ch3_fini(&ch, NULL);
    rig_fini(&rig);
}

/* ---- closing --------------------------------------------------------------------------------------------------- */

SLEY_TEST(close_fails_senders_and_leaves_them_their_messages, "MPSC-13 MPSC-16")
{
    struct ch1 ch;
    struct started a, b;
    rig_init(&rig);
    CHECK_RC(ch1_init(&ch), 0);
    put(&ch.base, 1);
    start_send(&a, &ch.base, 2);
    start_send(&b, &ch.base, 3);
    ch1_close(&ch);
    ch1_close(&ch);
    CHECK(sley_mpsc_closed(&ch.base));
    ended(&a, -EPIPE);
    ended(&b, -EPIPE);
    CHECK_UINT(a.elem, ==, 2);
    CHECK_RC(ch1_try_send(&ch, &a.elem), -EPIPE);
    take(&ch.base, 1); /* what came before can be received */
    CHECK_RC(ch1_try_recv(&ch, &a.elem), 0);
    start_recv(&a, &ch.base);
    ended(&a, 0);
    start_send(&a, &ch.base, 4);
    ended(&a, -EPIPE);
    ch1_fini(&ch, NULL);
    rig_fini(&rig);
}

SLEY_TEST(waiting_senders_are_served_in_order_and_close_ends_all, "MPSC-18")
{
    struct ch1 ch;
    struct started s[3], r[3];
    rig_init(&rig);
    CHECK_RC(ch1_init(&ch), 0);
    put(&ch.base, 1);
    for (uint32_t i = 0; i < 3; i++) {
        start_send(&s[i], &ch.base, 2 + i);
    }
    take(&ch.base, 1);
    ended(&s[0], 0);
    take(&ch.base, 2);
    ended(&s[1], 0);
    CHECK_INT(s[2].rc, ==, UNSET);
    ch1_close(&ch);
    ended(&s[2], -EPIPE);
    ch1_fini(&ch, NULL);
    CHECK_RC(ch1_init(&ch), 0);
    for (uint32_t i = 0; i < 3; i++) {
        start_recv(&r[i], &ch.base);
    }
    ch1_close(&ch);
    for (uint32_t i = 0; i < 3; i++) {
        ended(&r[i], 0); /* to receivers the end is 0, where libdill has an error */
    }
    ch1_fini(&ch, NULL);
    rig_fini(&rig);
}

SLEY_TEST(last_counted_sender_closes_and_weak_ones_cannot_join_any_more, "MPSC-12")
{
    struct ch2 ch;
    struct started r;
    rig_init(&rig);
    CHECK_RC(ch2_init(&ch), 0);
    CHECK_RC(sley_mpsc_sender_drop(&ch.base), -EINVAL);
    CHECK_RC(sley_mpsc_sender_add(&ch.base), 0);
    CHECK_RC(sley_mpsc_sender_add(&ch.base), 0);
    start_recv(&r, &ch.base);
    CHECK_RC(sley_mpsc_sender_drop(&ch.base), 0);
    rig_idle(&rig);
    CHECK_INT(r.rc, ==, UNSET);
    CHECK_RC(sley_mpsc_sender_add(&ch.base), 0); /* an upgrade while one is left */
    CHECK_RC(sley_mpsc_sender_drop(&ch.base), 0);
    CHECK_RC(sley_mpsc_sender_drop(&ch.base), 0);
    ended(&r, 0);
    CHECK_RC(sley_mpsc_sender_add(&ch.base), -EPIPE);
    CHECK_RC(ch2_try_send(&ch, &r.elem), -EPIPE);
    ch2_fini(&ch, NULL);
    rig_fini(&rig);
}

SLEY_TEST(executor_ends_with_messages_inside_and_each_is_destroyed_once, "MPSC-17")
{
    struct ch3 ch;
    struct started s;
    rig_init(&rig);
    CHECK_RC(ch3_init(&ch), 0);
    start_send(&s, &ch.base, 1);
    ended(&s, 0);
    start_send(&s, &ch.base, 2);
    ended(&s, 0);
    rig_fini(&rig); /* the lock leant towards it */
    put(&ch.base, 3);
    ch3_fini(&ch, drop);
    CHECK_UINT(dropped, ==, 3);
    CHECK_UINT(drop_sum, ==, 6);
}
