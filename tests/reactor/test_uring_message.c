/* Wakes as messages to a ring: taken instead of the bell where they can be, never lost when the ring changes hands or refuses them. */
#include "uring_bed.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>

static const struct sley__uring_opts messages = {.messages = true};

/** How often the bell has been rung since it was last asked. */
static uint64_t rings(const struct sley__uring *r)
{
    struct pollfd p = {.fd = r->bell, .events = POLLIN};
    uint64_t count = 0;
    if (poll(&p, 1, 0) == 1) {
        CHECK_INT(read(r->bell, &count, sizeof count), ==, sizeof count);
    }
    return count;
}

static void skip_without_messages(const struct sley__uring *r)
{
    if (!sley__uring_has(r, SLEY__URING_MSG_RING)) {
        SKIP("this kernel takes no messages from threads without a ring");
    }
}

static void *wake_it(void *r)
{
    ((struct sley_reactor *)r)->ops->wake(r);
    return NULL;
}

static void wake_elsewhere(struct sley_reactor *r)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, wake_it, r), ==, 0);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
}

/* ---- which way ----------------------------------------------------------------------------------------------------------- */

static void wakes_both_ways(void)
{
    const bool by_message = sley__uring_has(ring(), SLEY__URING_MSG_RING);
    CHECK_INT(look(0), ==, 0); /* it is this thread's from now on */
    (void)rings(ring());
    for (int i = 0; i < 20; i++) {
        if (i % 2) {
            wake_elsewhere(reactor());
        } else {
            reactor()->ops->wake(reactor());
        }
        CHECK_INT(look(SLEY_NEVER), ==, 0);
        CHECK_UINT(rings(ring()), ==, by_message ? 0 : 1);
    }
}

static void wakes_by_message(void)
{
    skip_without_messages(ring());
    wakes_both_ways();
}

SLEY_TEST(message_wakes_a_ring_without_its_bell, "REACT-11")
{
    in_ring(messages, wakes_by_message);
}

SLEY_TEST(ring_that_asked_for_no_messages_is_woken_by_its_bell, "REACT-11")
{
    in_ring((struct sley__uring_opts){0}, wakes_both_ways);
    in_ring((struct sley__uring_opts){.messages = true, .without = uring_without("msg_ring")}, wakes_both_ways);
}

SLEY_TEST(ring_that_nobody_has_driven_yet_is_woken_by_its_bell, "REACT-11")
{
    const struct sley_reactor_opts o = {.alloc = harness_alloc()};
    struct sley_reactor *r;
    const char *missing = uring_missing();
    if (missing) {
        SKIP("%s", missing);
    }
    CHECK_RC(sley__uring_create(&o, &messages, &r), 0);
    r->ops->wake(r);
    CHECK_UINT(rings(sley_container_of(r, struct sley__uring, base)), ==, 1);
    r->ops->destroy(r);
}

static void refused_later(void)
{
    CHECK_INT(look(0), ==, 0);
    (void)rings(ring());
    ring_forbid_register(SLEY__URING_REGISTER_SEND_MSG_RING);
    reactor()->ops->wake(reactor());
    CHECK_INT(look(SLEY_NEVER), ==, 0);
    CHECK_UINT(rings(ring()), ==, 1);
}

SLEY_TEST(message_that_is_refused_rings_the_bell, "REACT-11")
{
    in_ring(messages, refused_later);
}

static void refused_from_the_start(void)
{
    char text[200];
    CHECK_INT(sley__uring_describe(reactor(), text, sizeof text), >, 0);
    CHECK(strstr(text, "msg_ring") != NULL);
    wakes_both_ways();
}

SLEY_TEST(kernel_that_takes_no_messages_is_seen_at_the_start, "URING-14")
{
    const char *missing = uring_missing();
    if (missing) {
        SKIP("%s", missing);
    }
    ring_forbid_register(SLEY__URING_REGISTER_SEND_MSG_RING);
    in_ring(messages, refused_from_the_start);
}

/* ---- full queues --------------------------------------------------------------------------------------------------------- */

enum { PAIRS = 32 };

static void wake_beside_too_many_results(void)
{
    static struct sley_fd fds[PAIRS];
    static struct sley_io_op ops[PAIRS];
    static char bytes[PAIRS];
    int peers[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        peers[i] = unix_pair(&fds[i]);
    }
    for (int round = 0; round < 50; round++) {
        const int n = 1 + (int)harness_rand_below(PAIRS), when = (int)harness_rand_below((uint32_t)n);
        for (int i = 0; i < n; i++) {
            put(peers[i], "x");
            io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
            if (i == when) {
                reactor()->ops->wake(reactor());
            }
        }
        for (int i = 0; i < n; i++) {
            CHECK_RC(until_done(&ops[i].wait), 1);
        }
        while (atomic_load_explicit(&ring()->rung, memory_order_relaxed)) {
            CHECK_INT(look(SLEY_NEVER), ==, 0);
        }
    }
    for (int i = 0; i < PAIRS; i++) {
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
}

SLEY_TEST(message_to_a_ring_that_is_full_arrives, "URING-03")
{
    in_ring((struct sley__uring_opts){.messages = true, .entry_count = 4, .result_count = 4}, wake_beside_too_many_results);
}

/* ---- rings that change hands --------------------------------------------------------------------------------------------- */

static struct bed hands;

static void *drive(void *fn)
{
    struct sley_executor *ex = &hands.ex.base;
    struct sley_task *t;
    CHECK_RC(ex->ops->spawn(ex, &bed_fiber__type, &(struct bed_args){*(void (**)(void))fn}, &t), 0);
    CHECK_RC(ex->ops->run(ex, t), 0);
    sley_task_unref(t);
    return NULL;
}

static void on_another_thread(void (*fn)(void))
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, drive, &fn), ==, 0);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
}

static struct sley_reactor *known; /* hands' reactor */

static void know(void)
{
    known = reactor();
    skip_without_messages(ring());
    CHECK_INT(look(0), ==, 0);
    (void)rings(ring());
}

static void hear_twice(void)
{
    CHECK_INT(look(SLEY_NEVER), ==, 0); /* what was sent to the ring that was another thread's */
    wake_elsewhere(reactor());
    CHECK_INT(look(SLEY_NEVER), ==, 0);
    CHECK_INT(atomic_load_explicit(&ring()->door, memory_order_relaxed), ==, ring()->ring.ring_fd);
}

SLEY_TEST(message_to_a_ring_that_is_taken_over_is_heard_by_the_new_thread, "REACT-11 URING-12")
{
    ring_start(&hands, messages);
    on_another_thread(know);
    for (int i = 0; i < 10; i++) {
        known->ops->wake(known);
        on_another_thread(hear_twice);
    }
    bed_end(&hands);
}

static SLEY_ATOMIC(bool) left;

static void *leave_late(void *arg)
{
    struct sley__uring *r = arg;
    while (atomic_load_explicit(&r->door, memory_order_relaxed) != 0) {
        (void)sched_yield();
    }
    for (int i = 0; i < 100; i++) {
        (void)sched_yield();
    }
    atomic_store_explicit(&left, true, memory_order_relaxed); /* published by the count */
    (void)atomic_fetch_sub_explicit(&r->waker_count, 1, memory_order_release);
    return NULL;
}

static void shut_beside_a_waker(void)
{
    pthread_t t;
    know();
    (void)atomic_fetch_add_explicit(&ring()->waker_count, 1, memory_order_relaxed); /* about to name the ring */
    CHECK_INT(pthread_create(&t, NULL, leave_late, ring()), ==, 0);
    sley__uring_shut_door(ring());
    CHECK(atomic_load_explicit(&left, memory_order_relaxed));
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    CHECK_INT(look(0), ==, 0);
    CHECK_INT(atomic_load_explicit(&ring()->door, memory_order_relaxed), ==, ring()->ring.ring_fd); /* it was this thread's all along */
}

SLEY_TEST(ring_stays_until_wakers_that_know_its_number_have_left, "URING-12")
{
    in_ring(messages, shut_beside_a_waker);
}

static struct sley_fd gate;
static int gate_rc;

static int wait_at_gate(struct bed_args *unused)
{
    char byte;
    (void)unused;
    gate_rc = io(&gate, SLEY_IO_RECV, &byte, 1);
    return 0;
}
SLEY_FIBER(wait_at_gate, struct bed_args)

static void hear_by_the_bell(void)
{
    CHECK_INT(look(SLEY_NEVER), ==, 0); /* the ring has a message; it is not this thread's */
    for (int i = 0; i < 10; i++) {
        wake_elsewhere(reactor());
        CHECK_INT(look(SLEY_NEVER), ==, 0);
    }
    CHECK_INT(atomic_load_explicit(&ring()->door, memory_order_relaxed), ==, 0);
}

SLEY_TEST(messages_to_a_ring_with_ops_in_flight_are_heard_on_a_thread_that_may_not_enter_it, "REACT-11 URING-12")
{
    if (harness_under_valgrind()) {
        return; /* there a ring is any thread's */
    }
    struct sley_executor *ex = &hands.ex.base;
    ring_start(&hands, messages);
    bed_run(&hands, know);
    const int peer = unix_pair(&gate);
    CHECK_RC(ex->ops->spawn(ex, &wait_at_gate__type, &(struct bed_args){NULL}, NULL), 0);
    uint64_t next;
    CHECK_INT(ex->ops->turn(ex, 0, &next), >=, 0);
    CHECK_INT(ex->ops->turn(ex, 0, &next), >=, 0);
    known->ops->wake(known);
    on_another_thread(hear_by_the_bell);
    put(peer, "x");
    CHECK_RC(ex->ops->run(ex, NULL), 0); /* and here it goes on, and takes messages again */
    CHECK_RC(gate_rc, 1);
    bed_run(&hands, wakes_by_message);
    CHECK_RC(sley_fd_close(&gate), 0);
    bed_end(&hands);
    (void)close(peer);
}

static SLEY_ATOMIC(uint32_t) sent, seen;
static uint32_t rounds;

static void *wake_often(void *unused)
{
    for (uint32_t i = 1; i <= rounds; i++) {
        atomic_store_explicit(&sent, i, memory_order_relaxed);
        known->ops->wake(known);
        while (i % 4 == 0 && atomic_load_explicit(&seen, memory_order_relaxed) != i) {
            (void)sched_yield();
        }
    }
    return unused;
}

static void look_some_times(void)
{
    for (int i = 0; i < 8 && atomic_load_explicit(&seen, memory_order_relaxed) != rounds; i++) {
        CHECK_INT(look(SLEY_NEVER), ==, 0);
        /* relaxed: published by the wake itself */
        atomic_store_explicit(&seen, atomic_load_explicit(&sent, memory_order_relaxed), memory_order_relaxed);
    }
}

SLEY_TEST(wakes_racing_with_a_ring_that_changes_hands_are_not_lost, "REACT-11 URING-12")
{
    pthread_t t;
    rounds = 1000 / harness_slowness();
    ring_start(&hands, messages);
    on_another_thread(know);
    CHECK_INT(pthread_create(&t, NULL, wake_often, NULL), ==, 0);
    while (atomic_load_explicit(&seen, memory_order_relaxed) != rounds) {
        on_another_thread(look_some_times);
    }
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    bed_end(&hands);
}
