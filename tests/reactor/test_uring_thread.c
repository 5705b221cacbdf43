/* Which thread drives a ring: another may follow, or end it, whatever stands there for nobody; what is in flight is not lost. */
#include "uring_lent_bed.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>

static struct bed the_bed;
static struct sockaddr_in addr;
static struct sley_fd listener;

/* ---- a second thread, which lives on between the calls that it makes ------------------------------------------------------ */

static struct driver {
    pthread_t thread;
    sem_t asked, done;
    void (*fn)(void);
} driver;

static void *driver_main(void *unused)
{
    for (;;) {
        CHECK_INT(sem_wait(&driver.asked), ==, 0);
        if (!driver.fn) {
            return unused;
        }
        driver.fn();
        CHECK_INT(sem_post(&driver.done), ==, 0);
    }
}

static void driver_start(void)
{
    CHECK_INT(sem_init(&driver.asked, 0, 0), ==, 0);
    CHECK_INT(sem_init(&driver.done, 0, 0), ==, 0);
    CHECK_INT(pthread_create(&driver.thread, NULL, driver_main, NULL), ==, 0);
}

static void driver_ask(void (*fn)(void))
{
    driver.fn = fn;
    CHECK_INT(sem_post(&driver.asked), ==, 0);
}

static void driver_do(void (*fn)(void))
{
    driver_ask(fn);
    CHECK_INT(sem_wait(&driver.done), ==, 0);
}

static void driver_end(void)
{
    driver_ask(NULL);
    CHECK_INT(pthread_join(driver.thread, NULL), ==, 0);
}

/* ---- what stands --------------------------------------------------------------------------------------------------------- */

static int dial(uint32_t tag)
{
    const int peer = tcp_dial(&addr);
    CHECK_INT(send(peer, &tag, sizeof tag, MSG_NOSIGNAL), ==, sizeof tag);
    return peer;
}

static void ask(struct sley_io_op *op)
{
    io_start(op, &listener, SLEY_IO_ACCEPT, NULL, 0);
}

static void check(struct sley_io_op *op, int peer, uint32_t tag)
{
    struct sley_fd fd;
    uint32_t got = ~tag;
    CHECK_RC(until_done(&op->wait), 0);
    sley_fd_init_from(&fd, op);
    CHECK_RC(io(&fd, SLEY_IO_RECV, &got, sizeof got), sizeof got);
    CHECK_UINT(got, ==, tag);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

static void take_one(int peer, uint32_t tag)
{
    struct sley_io_op op = {0};
    ask(&op);
    check(&op, peer, tag);
}

static int early[3]; /* connections that come while nobody waits */

/** Accepts in a loop, and stops: what stands has nobody, and there are connections, or soon will be. */
static void stop_to_accept(void)
{
    struct sley_io_op op = {0};
    ask(&op);
    for (int i = 0; i < 3 && ring()->standing_count == 0; i++) {
        check(&op, dial(1), 1);
        ask(&op);
        CHECK_INT(look(0), >=, 0);
    }
    early[0] = dial(0);
    CHECK_RC(until_done(&op.wait), 0);
    CHECK_UINT(ring()->standing_count, ==, sley__uring_has(ring(), SLEY__URING_ACCEPT_MULTI));
    struct sley_fd fd;
    sley_fd_init_from(&fd, &op);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(early[0]);
    for (uint32_t i = 0; i < 3; i++) {
        early[i] = dial(10 + i);
    }
}

static void go_on_to_accept(void)
{
    for (uint32_t i = 0; i < 3; i++) {
        take_one(early[i], 10 + i);
    }
    stop_to_accept();
}

static void run_stop(void)
{
    bed_run(&the_bed, stop_to_accept);
}

static void run_go_on(void)
{
    bed_run(&the_bed, go_on_to_accept);
}

static void end_bed(void)
{
    bed_end(&the_bed);
}

static void close_listener(void)
{
    CHECK_RC(sley_fd_close(&listener), 0);
    for (int i = 0; i < 3; i++) {
        (void)close(early[i]);
    }
}

/* kernels that differ in what a thread may do in another's ring */
static const char *const kernels[] = {"", "defer_taskrun", "defer_taskrun coop_taskrun", "defer_taskrun single_issuer", "accept_multi"};
enum { KERNELS = sizeof kernels / sizeof kernels[0] };

static void open_on(size_t kernel)
{
    harness_note("without: %s", kernels[kernel]);
    ring_start(&the_bed, (struct sley__uring_opts){.without = uring_without(kernels[kernel])});
    sley_fd_init(&listener, tcp_listener(&addr, 64));
    driver_start();
}

SLEY_TEST(ring_of_a_thread_that_lives_is_driven_by_the_next_though_something_stood, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        open_on(i);
        driver_do(run_stop);
        run_go_on();
        driver_do(run_go_on);
        bed_run(&the_bed, go_on_to_accept);
        bed_run(&the_bed, close_listener);
        end_bed();
        driver_end();
    }
}

SLEY_TEST(ring_in_which_something_stood_ends_on_any_thread, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        open_on(i);
        driver_do(run_stop);
        end_bed();
        close_listener();
        driver_end();
        open_on(i);
        run_stop();
        driver_do(end_bed);
        close_listener();
        driver_end();
    }
}

/** The same by turns: at the end of each any thread may follow when nobody waits. */
static struct sley_task *turned;

static void turn_until_it_rests(void)
{
    int turn;
    do {
        turn = the_bed.ex.base.ops->turn(&the_bed.ex.base, 0, NULL);
        CHECK_INT(turn, >=, 0);
    } while (!sley_task_done(turned) || turn != SLEY_TURN_IDLE);
    sley_task_unref(turned);
}

static void spawn(void (*fn)(void))
{
    CHECK_RC(the_bed.ex.base.ops->spawn(&the_bed.ex.base, &bed_fiber__type, &(struct bed_args){fn}, &turned), 0);
}

SLEY_TEST(turns_of_several_threads_follow_each_other_though_something_stood, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        open_on(i);
        spawn(stop_to_accept);
        driver_do(turn_until_it_rests);
        spawn(go_on_to_accept);
        turn_until_it_rests();
        spawn(go_on_to_accept);
        driver_do(turn_until_it_rests);
        spawn(close_listener);
        turn_until_it_rests();
        end_bed();
        driver_end();
    }
}

static int readable_within(int number, int timeout_ms)
{
    struct pollfd p = {.fd = number, .events = POLLIN};
    return poll(&p, 1, timeout_ms);
}

/** Somebody wakes just when the thread stops to drive: what stands is let go, and a look for its end takes the wake in. */
static void rest_beside_a_wake(void)
{
    struct sley_reactor *r = reactor();
    stop_to_accept();
    const int number = r->ops->pollable_fd(r);
    CHECK_INT(look(0), >=, 0);
    r->ops->wake(r);
    CHECK_RC(r->ops->rest(r), 0);
    CHECK_UINT(ring()->standing_count, ==, 0);
    CHECK(ring()->bell_armed);
    CHECK_INT(readable_within(number, 10000), ==, 1);
}

SLEY_TEST(wake_beside_the_end_of_a_turn_is_told_to_a_foreign_loop, "URING-12")
{
    static const char *const old[] = {"", "poll_multi", "defer_taskrun", "poll_multi defer_taskrun",
                                      "poll_multi defer_taskrun coop_taskrun"};
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) {
        harness_note("without: %s", old[i]);
        ring_start(&the_bed, (struct sley__uring_opts){.without = uring_without(old[i])});
        sley_fd_init(&listener, tcp_listener(&addr, 64));
        bed_run(&the_bed, rest_beside_a_wake);
        bed_run(&the_bed, close_listener);
        end_bed();
    }
}

/* ---- bytes that came for nobody -------------------------------------------------------------------------------------------- */

static struct sley_fd conn;
static int far_end;

static void read_in_a_loop(void)
{
    struct receive x = {.lent = NULL};
    lend(4096, 16);
    far_end = tcp_pair(&conn);
    for (int i = 0; i < 3; i++) {
        start(&x, &conn);
        put(far_end, "abc");
        expect(&x, "abc");
    }
    CHECK_UINT(ring()->standing_count, ==, sley__uring_has(ring(), SLEY__URING_RECV_MULTI));
    put(far_end, "left");
}

static void read_on(void)
{
    struct receive x = {.lent = NULL};
    start(&x, &conn);
    expect(&x, "left");
    put(far_end, "left");
}

static void run_read(void)
{
    bed_run(&the_bed, read_in_a_loop);
}

static void close_conn(void)
{
    char text[4];
    CHECK_RC(io(&conn, SLEY_IO_RECV, text, sizeof text), 4);
    CHECK_RC(sley_fd_close(&conn), 0);
    (void)close(far_end);
    CHECK_RC(sley_fd_close(&listener), 0);
}

SLEY_TEST(bytes_that_came_for_nobody_are_read_by_the_next_thread, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        open_on(i);
        driver_do(run_read);
        bed_run(&the_bed, read_on);
        bed_run(&the_bed, read_on);
        bed_run(&the_bed, close_conn);
        end_bed();
        driver_end();
    }
}

/** Something is in flight for somebody, so that what stands is not let go when the thread stops to drive. */
static int gate_peer;
static int wait_at_gate(struct bed_args *unused)
{
    struct sley_fd fd;
    char byte;
    (void)unused;
    gate_peer = unix_pair(&fd);
    CHECK_RC(io(&fd, SLEY_IO_RECV, &byte, 1), 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(gate_peer);
    return 0;
}
SLEY_FIBER(wait_at_gate, struct bed_args)

static void close_afar(void)
{
    CHECK_RC(sley_fd_close(&conn), -EXDEV);
}

static void drive_afar(void)
{
    ring_run_one(&the_bed, close_afar);
}

static void close_here(void)
{
    CHECK_RC(sley_fd_close(&conn), 0);
    CHECK_RC(sley_fd_close(&listener), 0);
    (void)close(far_end);
    put(gate_peer, "x");
}

SLEY_TEST(close_on_a_thread_that_is_not_the_rings_is_told_so, "URING-12")
{
    if (harness_under_valgrind()) {
        return; /* there a ring is any thread's */
    }
    open_on(0);
    CHECK_RC(the_bed.ex.base.ops->spawn(&the_bed.ex.base, &wait_at_gate__type, &(struct bed_args){NULL}, NULL), 0);
    ring_run_one(&the_bed, read_in_a_loop);
    driver_do(drive_afar);
    bed_run(&the_bed, close_here);
    end_bed();
    driver_end();
}

/* ---- in flight for others -------------------------------------------------------------------------------------------------- */

static SLEY_ATOMIC(uint32_t) guest_may_come;
static int32_t guest_rc;

static void *guest_main(void *unused)
{
    char byte;
    while (!atomic_load_explicit(&guest_may_come, memory_order_acquire)) {
        (void)sched_yield();
    }
    guest_rc = io(&conn, SLEY_IO_RECV, &byte, 1);
    return unused;
}

/** Drives until somebody who is no task waits here, and then stops. */
static void have_a_guest(void)
{
    char byte;
    put(far_end, "x");
    CHECK_RC(io(&conn, SLEY_IO_RECV, &byte, 1), 1);
    atomic_store_explicit(&guest_may_come, 1, memory_order_release);
    while (reactor()->armed_count == 0) {
        CHECK_RC(sley_yield(), 0);
    }
    CHECK_INT(look(0), >=, 0); /* it is the kernel's */
}

static void run_guest(void)
{
    bed_run(&the_bed, have_a_guest);
}

/** Ends the ring on this thread while an op is in flight that another executor, or a plain thread, waits for. */
static void end_beside_a_guest(size_t kernel)
{
    pthread_t guest;
    open_on(kernel);
    far_end = tcp_pair(&conn);
    guest_rc = 77;
    atomic_store_explicit(&guest_may_come, 0, memory_order_relaxed);
    CHECK_INT(pthread_create(&guest, NULL, guest_main, NULL), ==, 0);
    driver_do(run_guest);
    const int rc = the_bed.ex.base.ops->fini(&the_bed.ex.base);
    if (strstr(kernels[kernel], "defer_taskrun") || harness_under_valgrind()) { /* which has rings of no thread, too */
        CHECK_RC(rc, 0);                                                        /* any thread may cancel */
    } else {
        CHECK_RC(rc, -EBUSY); /* nothing has happened */
        driver_do(end_bed);
    }
    driver_end();
    CHECK_INT(pthread_join(guest, NULL), ==, 0);
    CHECK(guest_rc == -ECANCELED || guest_rc == -ENODEV);
    CHECK_RC(sley_fd_close(&conn), 0);
    CHECK_RC(sley_fd_close(&listener), 0);
    (void)close(far_end);
}

SLEY_TEST(end_beside_what_another_thread_has_in_flight_for_others_is_ebusy, "SHUT-02 URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        end_beside_a_guest(i);
    }
}

static void serve_until_the_guest_is_told(void)
{
    put(far_end, "y");
    while (reactor()->armed_count > 0) {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
}

static void run_serve(void)
{
    bed_run(&the_bed, serve_until_the_guest_is_told);
}

SLEY_TEST(end_that_was_refused_changes_nothing_for_who_waits, "URING-12")
{
    pthread_t guest;
    open_on(0);
    far_end = tcp_pair(&conn);
    atomic_store_explicit(&guest_may_come, 0, memory_order_relaxed);
    CHECK_INT(pthread_create(&guest, NULL, guest_main, NULL), ==, 0);
    driver_do(run_guest);
    if (!harness_under_valgrind()) { /* there any thread may end it */
        CHECK_RC(the_bed.ex.base.ops->fini(&the_bed.ex.base), -EBUSY);
    }
    driver_do(run_serve);
    CHECK_INT(pthread_join(guest, NULL), ==, 0);
    CHECK_RC(guest_rc, 1);
    end_bed();
    driver_end();
    CHECK_RC(sley_fd_close(&conn), 0);
    CHECK_RC(sley_fd_close(&listener), 0);
    (void)close(far_end);
}

/* ---- what a thread keeps that lives on ------------------------------------------------------------------------------------ */

static void accept_direct(void)
{
    struct sley_io_op op = {.fd = &listener, .code = SLEY_IO_ACCEPT, .flags = SLEY_IO_DIRECT};
    far_end = tcp_dial(&addr);
    CHECK_RC(sley_io_run(&op), 0);
    sley_fd_init_from(&conn, &op);
    CHECK(sley_fd_is_direct(&conn) == sley__uring_has(ring(), SLEY__URING_DIRECT));
}

static void run_accept_direct(void)
{
    bed_run(&the_bed, accept_direct);
}

/** The ring is nobody's any more, though its thread lives: with it go the connections in its table. */
SLEY_TEST(direct_connection_is_closed_with_the_ring_though_its_thread_lives, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        open_on(i);
        driver_do(run_accept_direct);
        end_bed();
        CHECK_INT(readable_within(far_end, 10000), ==, 1); /* its end */
        driver_end();
        (void)close(far_end);
        CHECK_RC(sley_fd_close(&listener), 0);
    }
}

static void wait_a_little(void)
{
    char byte;
    far_end = unix_pair(&conn);
    put(far_end, "x");
    CHECK_RC(io(&conn, SLEY_IO_RECV, &byte, 1), 1);
    CHECK_RC(sley_fd_close(&conn), 0);
    (void)close(far_end);
}

static void run_wait(void)
{
    bed_run(&the_bed, wait_a_little);
}

/** Of sixteen rings at a time a thread may have the descriptor registered. */
SLEY_TEST(rings_that_a_thread_has_driven_do_not_add_up, "URING-12")
{
    driver_start();
    for (int i = 0; i < 40; i++) {
        ring_start(&the_bed, (struct sley__uring_opts){0});
        const struct sley__uring *r = sley_container_of(the_bed.ex.base.ops->sched(&the_bed.ex.base)->reactor, struct sley__uring, base);
        driver_do(run_wait);
        if (i == 0 && !sley__uring_has(r, SLEY__URING_RING_FD)) {
            SKIP("it registers none");
        }
        CHECK(sley__uring_has(r, SLEY__URING_RING_FD));
        run_wait();
        CHECK(sley__uring_has(r, SLEY__URING_RING_FD));
        driver_do(run_wait);
        CHECK(sley__uring_has(r, SLEY__URING_RING_FD));
        end_bed();
    }
    driver_end();
}

/* ---- more than the submission queue holds ---------------------------------------------------------------------------------- */

enum { MANY = 9 };

/** Starts all before the first look. */
static void receive_many(void)
{
    struct sley_io_op ops[MANY] = {0};
    struct sley_fd fds[MANY];
    int peers[MANY];
    char bytes[MANY];
    for (int i = 0; i < MANY; i++) {
        peers[i] = unix_pair(&fds[i]);
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
    }
    for (int i = 0; i < MANY; i++) {
        put(peers[i], "x");
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_RC(until_done(&ops[i].wait), 1);
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
}

static void run_many(void)
{
    bed_run(&the_bed, receive_many);
}

SLEY_TEST(thread_that_starts_more_than_the_queue_holds_takes_an_idle_ring_over, "URING-12")
{
    for (size_t i = 0; i < KERNELS; i++) {
        for (uint32_t entries = 1; entries <= 16; entries *= 2) {
            harness_note("without: %s", kernels[i]);
            ring_start(&the_bed, (struct sley__uring_opts){.without = uring_without(kernels[i]), .entry_count = entries});
            driver_start();
            driver_do(run_many);
            run_many();
            driver_do(run_many);
            end_bed();
            driver_end();
        }
    }
}

/** The peer takes nothing, and has said that it will send nothing either: which the kernel calls ready. */
static void cancel_to_half_closed(void)
{
    static char much[8 << 20];
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    CHECK_INT(shutdown(peer, SHUT_WR), ==, 0);
    for (unsigned looks = 0; looks < 4; looks++) {
        struct sley_io_op op = {0};
        io_start_all(&op, &fd, SLEY_IO_SEND, much, sizeof much);
        for (unsigned n = 0; n < looks; n++) {
            CHECK_INT(look(0), >=, 0);
        }
        sley_wait_cancel(&op.wait);
        CHECK_RC(until_done(&op.wait), -ECANCELED);
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

SLEY_TEST(cancel_that_does_not_find_a_send_to_a_half_closed_peer_is_asked_again, "URING-04")
{
    static const char *const without[] = {"", "defer_taskrun coop_taskrun", "cqe_skip"};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        in_ring((struct sley__uring_opts){.without = uring_without(without[i])}, cancel_to_half_closed);
    }
}
