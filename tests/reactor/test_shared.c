/* A reactor that several workers share: served by others, waited on by its owner, used from everywhere, refused elsewhere. */
#include "workers_bed.h"

#include <sched.h>
#include <sys/eventfd.h>

static void run_on(uint32_t workers, void (*fn)(void))
{
    workers_run(&REACTOR, workers, 0, fn);
}

#ifndef APART /* each worker has its reactor for itself */

/* ---- serving ---------------------------------------------------------------------------------------------------------- */

struct stuck {
    struct sley_fd fd;
    uint32_t is_stuck, go_on;
};

static int receive(struct stuck **s)
{
    char buf[8];
    return io(&(*s)->fd, SLEY_IO_RECV, buf, sizeof buf);
}
SLEY_FIBER(receive, struct stuck *)

/** Keeps the worker whose reactor is the descriptor's home. */
static int keep_home(struct stuck **s)
{
    while (!sley__fd_home(&(*s)->fd) || sley_sched_current()->reactor != sley__fd_home(&(*s)->fd)) {
        (void)sley_yield();
    }
    say(&(*s)->is_stuck);
    while (!said(&(*s)->go_on)) {
        (void)sched_yield();
    }
    return 0;
}
SLEY_FIBER(keep_home, struct stuck *)

static void serve_for_a_stuck_worker(void)
{
    static struct stuck s;
    struct sley_task *receiver, *keeper;
    const int peer = unix_pair(&s.fd);
    CHECK_RC(SLEY_SPAWN_TASK(&receiver, NULL, receive, &s), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&keeper, NULL, keep_home, &s), 0);
    while (!said(&s.is_stuck)) {
        (void)sley_yield();
    }
    struct sley_reactor *home = sley__fd_home(&s.fd);
    CHECK(home != sley_sched_current()->reactor);
    home->ops->wake(home); /* its owner's, who is to hear of it afterwards */
    put(peer, "abc");
    CHECK_INT(home->ops->serve(home), ==, 1);
    CHECK_INT(join(receiver), ==, 3);
    CHECK_INT(home->ops->serve(home), ==, 0);
    say(&s.go_on);
    CHECK_RC(join(keeper), 0);
    CHECK_RC(sley_fd_close(&s.fd), 0);
    close(peer);
}

SLEY_TEST(serve_of_a_stuck_worker_completes_its_ops, "")
{
    run_on(2, serve_for_a_stuck_worker);
}

static bool waits(struct sley_reactor *r)
{
    sley_reactor_enter(r);
    const bool waiting = r->waiting;
    sley_reactor_leave(r);
    return waiting;
}

static void serve_while_the_owner_waits(void)
{
    const struct sley_group *g = sley_sched_current()->group;
    for (;;) {
        struct sley_reactor *mine = sley_sched_current()->reactor, *other = g->scheds[g->scheds[0]->reactor == mine]->reactor;
        CHECK(!waits(mine));
        if (waits(other)) {
            CHECK_INT(other->ops->serve(other), ==, 0);
            break;
        }
        (void)sched_yield();
    }
}

SLEY_TEST(serve_while_the_owner_waits_leaves_it_to_him, "")
{
    run_on(2, serve_while_the_owner_waits);
}

#endif

/* ---- ops from everywhere ------------------------------------------------------------------------------------------------- */

struct crowd {
    struct sley_fd fd;
    uint32_t over;
};

static int poll_often(struct crowd **c)
{
    for (;;) {
        struct sley_io_op op = {0};
        sley_fd_poll_start(&op, &(*c)->fd, harness_rand_below(2) ? SLEY_IO_IN : SLEY_IO_IN | SLEY_IO_ERR);
        const int n = harness_rand_below(2) ? sley_await_until(&op.wait, sley_after_ns(harness_rand_below(200) * SLEY_US))
                                            : sley_wait_fini(&op.wait);
        if (n == -EBADF || (n == -ECANCELED && said(&(*c)->over))) {
            return 0;
        }
        if (n != -ECANCELED && n != -ETIMEDOUT) {
            CHECK_INT(n, ==, SLEY_IO_IN);
        }
        (void)sley_yield();
    }
}
SLEY_FIBER(poll_often, struct crowd *)

/** Writes and reads back, so that readiness comes and goes. */
static int make_ready(struct crowd **c)
{
    for (unsigned i = 0; i < 3000 / harness_slowness(); i++) {
        CHECK_INT(eventfd_write((*c)->fd.number, 1), ==, 0);
        (void)sley_yield();
        eventfd_t value;
        (void)eventfd_read((*c)->fd.number, &value);
    }
    return 0;
}
SLEY_FIBER(make_ready, struct crowd *)

static void poll_from_everywhere(void)
{
    enum { TASKS = 8 };
    static struct crowd c;
    struct sley_task *polls[TASKS], *maker;
    sley_fd_init(&c.fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    for (int i = 0; i < TASKS; i++) {
        CHECK_RC(SLEY_SPAWN_TASK(&polls[i], NULL, poll_often, &c), 0);
    }
    CHECK_RC(SLEY_SPAWN_TASK(&maker, NULL, make_ready, &c), 0);
    CHECK_RC(join(maker), 0);
    say(&c.over);
    CHECK_RC(sley_fd_close(&c.fd), 0);
    for (int i = 0; i < TASKS; i++) {
        CHECK_RC(join(polls[i]), 0);
    }
}

SLEY_TEST(poll_by_many_tasks_of_any_worker_cancelled_and_closed, "")
{
    run_on(4, poll_from_everywhere);
}

/** What a worker finds in a descriptor's slot may be of its number's life before. */
static int open_and_close(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 1000 / harness_slowness(); i++) {
        struct sley_fd fd;
        const int peer = unix_pair(&fd);
        struct sley_io_op op = {0};
        char buf[4];
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        put(peer, "x");
        (void)sley_yield();
        if (harness_rand_below(2)) {
            CHECK_RC(sley_await(&op.wait), 1);
            CHECK_RC(sley_fd_close(&fd), 0);
        } else {
            CHECK_RC(sley_fd_close(&fd), 0);
            const int n = sley_await(&op.wait);
            CHECK(n == 1 || n == -ECANCELED);
        }
        close(peer);
    }
    return 0;
}
SLEY_FIBER(open_and_close, void)

static void reuse_numbers(void)
{
    enum { TASKS = 8 };
    struct sley_task *t[TASKS];
    for (int i = 0; i < TASKS; i++) {
        CHECK_RC(SLEY_SPAWN_TASK(&t[i], NULL, open_and_close, ), 0);
    }
    for (int i = 0; i < TASKS; i++) {
        CHECK_RC(join(t[i]), 0);
    }
}

SLEY_TEST(close_and_reuse_of_numbers_by_any_worker_ends_each_op_once, "")
{
    run_on(4, reuse_numbers);
}

/* ---- refusals ------------------------------------------------------------------------------------------------------------ */

static struct sley_fd shared_fd;

static void use_in_group(void)
{
    CHECK_RC(sley_fd_poll(&shared_fd, SLEY_IO_OUT), SLEY_IO_OUT);
}

static void use_after_group(void)
{
    CHECK_RC(sley_fd_poll(&shared_fd, SLEY_IO_OUT), -ENODEV);
    CHECK_RC(sley_fd_close(&shared_fd), 0); /* nothing is in flight on it */
}

SLEY_TEST(op_on_a_descriptor_of_a_group_that_has_gone_is_enodev, "")
{
    struct bed b;
    const int peer = unix_pair(&shared_fd);
    bed_start(&b);
    run_on(2, use_in_group);
    bed_run(&b, use_after_group);
    bed_end(&b);
    close(peer);
}
