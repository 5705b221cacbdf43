/* What several threads do with one oneshot, channel or notify at the same time: nothing is lost, nothing is given up twice. */
#include <sley/mpsc.h>
#include <sley/notify.h>
#include <sley/oneshot.h>

#include "rig.h"

static int sent, got, value;

static void setup(void)
{
    explore_thread_local(&sley__self, sizeof(struct sley_sched *));
    sent = got = value = -1;
}

/* ---- oneshot ------------------------------------------------------------------------------------------------------------- */

static struct sley_oneshot one;
static int slot;

static void setup_oneshot(void)
{
    setup();
    EXPLORE_CHECK(sley_oneshot_init(&one, &slot, sizeof slot) == 0);
}

static void send_seven(void)
{
    sent = sley_oneshot_send(&one, &(int){7});
}

static void close_and_take(void)
{
    sley_oneshot_close_recv(&one);
    got = sley_oneshot_try_recv(&one, &value);
}

/** What was sent has been received, what was not is the sender's. */
static void check_value_or_end(void)
{
    EXPLORE_CHECK(sent == 0 ? got == 1 && value == 7 : sent == -EPIPE && got == 0 && value == -1);
    sley_oneshot_fini(&one, NULL);
}

EXPLORE_CASE(oneshot_send_meets_a_close_that_takes, "ONE-04")
{
    const struct explore_scenario s = {
        .setup = setup_oneshot, .threads = {send_seven, close_and_take}, .check = check_value_or_end, .tso = true};
    explore_exhaust("oneshot sent and closed", &s);
}

static void receive_and_go(void)
{
    struct sley_oneshot_op op = {0};
    sley_oneshot_recv_start(&op, &one, &value);
    sley_wait_cancel(&op.wait);
    got = sley_await(&op.wait);
    memset(&op, 0, sizeof op); /* its memory is ours again: nobody may touch it any more */
}

static void check_taken_or_left(void)
{
    EXPLORE_CHECK(sent == 0);
    if (got == -ECANCELED) {
        EXPLORE_CHECK(value == -1 && sley_oneshot_try_recv(&one, &value) == 1);
    } else {
        EXPLORE_CHECK(got == 1);
    }
    EXPLORE_CHECK(value == 7);
    sley_oneshot_fini(&one, NULL);
}

EXPLORE_CASE(oneshot_receiver_goes_while_the_sender_sends, "ONE-05")
{
    const struct explore_scenario s = {
        .setup = setup_oneshot, .threads = {send_seven, receive_and_go}, .check = check_taken_or_left, .preemptions = 3};
    explore_exhaust("oneshot sent, receiver gives up", &s);
}

/* ---- channel ------------------------------------------------------------------------------------------------------------- */

static struct sley_mpsc channel;
static int slots[2];

static void setup_channel(void)
{
    setup();
    EXPLORE_CHECK(sley_mpsc_init(&channel, slots, 2, sizeof slots[0]) == 0);
    EXPLORE_CHECK(sley_mpsc_sender_add(&channel) == 0);
}

static void send_and_drop(void)
{
    sent = sley_mpsc_try_send(&channel, &(int){7});
    EXPLORE_CHECK(sley_mpsc_sender_drop(&channel) == 0);
}

static void ask_length(void)
{
    const size_t first = sley_mpsc_len(&channel), second = sley_mpsc_len(&channel);
    EXPLORE_CHECK(first <= second && second <= 1);
}

static void check_one_message(void)
{
    EXPLORE_CHECK(sent == 0 && sley_mpsc_len(&channel) == 1);
    EXPLORE_CHECK(sley_mpsc_try_recv(&channel, &value) == 1 && value == 7);
    EXPLORE_CHECK(sley_mpsc_len(&channel) == 0 && sley_mpsc_try_recv(&channel, &value) == 0);
    sley_mpsc_fini(&channel, NULL);
}

EXPLORE_CASE(channel_length_counts_messages_while_the_last_sender_goes, "MPSC-10")
{
    const struct explore_scenario s = {
        .setup = setup_channel, .threads = {send_and_drop, ask_length}, .check = check_one_message, .tso = true};
    explore_exhaust("channel's length beside its last sender", &s);
}

/* ---- notify -------------------------------------------------------------------------------------------------------------- */

static struct sley_notify notify;
static struct sley_notify_op waiters[2];

static void setup_notify(void)
{
    setup();
    sley_notify_init(&notify);
    memset(waiters, 0, sizeof waiters);
    sley_notify_wait_start(&waiters[0], &notify);
    sley_notify_wait_start(&waiters[1], &notify);
}

static void set_all(void)
{
    sley_notify_set_all(&notify);
}

/** Looks at the first; the second, which is looked at later, may not get away when that was notified. */
static void look_in_order(void)
{
    const bool first = sley_wait_done(&waiters[0].wait);
    sley_wait_cancel(&waiters[1].wait);
    const int rc = sley_await(&waiters[1].wait);
    EXPLORE_CHECK(first ? rc == 0 : rc == 0 || rc == -ECANCELED);
    EXPLORE_CHECK(sley_await(&waiters[0].wait) == 0);
}

static void check_empty(void)
{
    EXPLORE_CHECK(sley_wait_done(&waiters[0].wait) && sley_wait_done(&waiters[1].wait));
    sley_notify_fini(&notify);
}

EXPLORE_CASE(notify_all_tells_the_second_when_it_has_told_the_first, "NOTIF-04")
{
    const struct explore_scenario s = {
        .setup = setup_notify, .threads = {set_all, look_in_order}, .check = check_empty, .preemptions = 3};
    explore_exhaust("notify all of two", &s);
}
