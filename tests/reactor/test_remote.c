/* Ops on descriptors whose home is another executor: done there, cancelled from here, closed, moved; and homes that end meanwhile. */
#include "bed.h"

#include <sley/file_impl.h>
#include <sley/group_impl.h>
#include <sley/mpsc.h>
#include <sley/remote_impl.h>
#include <sley/stealing.h>

#include <sched.h>
#include <stdlib.h>

/* ---- a home: a thread that drives an executor, and does there what it is asked to ------------------------------------ */

struct job {
    void (*fn)(void *arg);
    void *arg;
    SLEY_ATOMIC(uint32_t) * done;
};

static struct house {
    struct bed bed;
    pthread_t thread;
    struct sley_mpsc jobs;
    struct job slots[4];
    SLEY_ATOMIC(uint32_t) up;
} house, second;

static int keep_house(struct house **a)
{
    struct house *h = *a;
    struct job j;
    atomic_store_explicit(&h->up, 1, memory_order_release);
    while (sley_mpsc_recv(&h->jobs, &j) == 1) {
        j.fn(j.arg);
        atomic_store_explicit(j.done, 1, memory_order_release);
    }
    return 0;
}
SLEY_FIBER_STACK(keep_house, struct house *, 256 * 1024, NULL)

static void *house_main(void *arg)
{
    struct house *h = arg;
    bed_start(&h->bed);
    CHECK_RC(h->bed.ex.base.ops->spawn(&h->bed.ex.base, &keep_house__type, &h, NULL), 0);
    CHECK_RC(h->bed.ex.base.ops->run(&h->bed.ex.base, NULL), 0);
    bed_end(&h->bed);
    return NULL;
}

static void wait_for(SLEY_ATOMIC(uint32_t) * flag)
{
    while (!atomic_load_explicit(flag, memory_order_acquire)) {
        if (sley_sched_current()) {
            CHECK_RC(sley_sleep(SLEY_MS / 10), 0);
        } else {
            (void)sched_yield();
        }
    }
}

static void house_up(struct house *h)
{
    const char *missing = MISSING();
    if (missing) {
        SKIP("%s", missing);
    }
    atomic_store_explicit(&h->up, 0, memory_order_relaxed);
    CHECK_RC(sley_mpsc_init(&h->jobs, h->slots, 4, sizeof(struct job)), 0);
    CHECK_INT(pthread_create(&h->thread, NULL, house_main, h), ==, 0);
    wait_for(&h->up);
}

static void house_down(struct house *h)
{
    sley_mpsc_close(&h->jobs);
    CHECK_INT(pthread_join(h->thread, NULL), ==, 0);
    sley_mpsc_fini(&h->jobs, NULL);
}

/** Has @p fn called in a fiber of the house, and waits for it. */
static void at_home(struct house *h, void (*fn)(void *arg), void *arg)
{
    SLEY_ATOMIC(uint32_t) done = 0;
    CHECK_RC(sley_mpsc_send(&h->jobs, &(struct job){fn, arg, &done}), 0);
    wait_for(&done);
}

/* ---- elsewhere: a plain thread, another executor, one whose workers share their tasks --------------------------------- */

static void on_a_thread(void (*fn)(void))
{
    fn();
}

static void on_shared_workers(void (*fn)(void))
{
    static const struct sley_reactor_factory *const reactors[] = {&REACTOR, NULL};
    const struct sley_executor_config config = {.alloc = harness_alloc(), .reactors = reactors, .worker_count = 2};
    struct sley_stealing ex;
    sley_stealing_init(&ex, NULL);
    CHECK_RC(sley_stealing_ops.start(&ex.base, &config), 0);
    CHECK_RC(sley_stealing_ops.spawn(&ex.base, &bed_fiber__type, &(struct bed_args){fn}, NULL), 0);
    CHECK_RC(sley_stealing_ops.run(&ex.base, NULL), 0);
    CHECK_RC(sley_stealing_ops.stop(&ex.base, SLEY_NEVER), 0);
    CHECK_RC(sley_stealing_ops.fini(&ex.base), 0);
}

static void (*const elsewhere[])(void (*fn)(void)) = {on_a_thread, in_fiber, on_shared_workers};
enum { PLACES = sizeof elsewhere / sizeof elsewhere[0] };

/* ---- the descriptor ---------------------------------------------------------------------------------------------------- */

static struct far {
    struct sley_fd fd;
    int peer;
} far;

/** Its home is this worker from now on. */
static void settle(void *arg)
{
    struct far *f = arg;
    char byte;
    put(f->peer, "h");
    CHECK_RC(io(&f->fd, SLEY_IO_RECV, &byte, 1), 1);
    CHECK_PTR(sley__fd_home(&f->fd), ==, reactor());
}

static void far_open(void)
{
    far.peer = tcp_pair(&far.fd);
    at_home(&house, settle, &far);
}

static void far_close(void)
{
    CHECK_RC(sley_fd_close(&far.fd), 0);
    CHECK_INT(far.fd.number, ==, -1);
    (void)close(far.peer);
}

/** Runs @p fn at each place elsewhere, beside a house that is the home of `far`. */
static void from_everywhere(void (*fn)(void))
{
    for (int place = 0; place < PLACES; place++) {
        house_up(&house);
        far_open();
        elsewhere[place](fn);
        house_down(&house);
    }
}

/* ---- ops ---------------------------------------------------------------------------------------------------------------- */

static void transfer(void)
{
    char buf[32] = "";
    put(far.peer, "ready");
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, buf, sizeof buf), 5);
    CHECK(memcmp(buf, "ready", 5) == 0);
    CHECK_RC(io(&far.fd, SLEY_IO_SEND, "answer", 6), 6);
    CHECK_INT(recv(far.peer, buf, sizeof buf, 0), ==, 6);
    CHECK_RC(sley_fd_poll(&far.fd, SLEY_IO_OUT), SLEY_IO_OUT);
    struct sley_io_op all = {.fd = &far.fd, .buf = buf, .len = 4, .code = SLEY_IO_RECV, .flags = SLEY_IO_ALL};
    put(far.peer, "four");
    CHECK_RC(sley_io_run(&all), 0);
    CHECK_UINT(all.done_bytes, ==, 4);
    struct sley_io_op none = {.fd = &far.fd, .code = 77};
    CHECK_RC(sley_io_run(&none), -EINVAL);
    CHECK_PTR(sley__fd_home(&far.fd), !=, NULL); /* it stays where it was */
    far_close();
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, buf, 1), -EBADF);
    CHECK_RC(sley_fd_close(&far.fd), 0);
}

SLEY_TEST(op_from_elsewhere_has_the_results_of_home, "")
{
    from_everywhere(transfer);
}

static void borrow_buffer(void)
{
    struct sley_lent *lent = (void *)&far;
    char byte;
    put(far.peer, "x");
    CHECK_RC(sley_fd_recv_lent(&far.fd, &lent), -EXDEV);
    CHECK_PTR(lent, ==, NULL);
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), 1); /* it is there still */
    far_close();
}

SLEY_TEST(home_lends_no_buffers_to_those_elsewhere, "")
{
    from_everywhere(borrow_buffer);
}

static void start_recv(void *arg)
{
    static char byte;
    io_start(arg, &far.fd, SLEY_IO_RECV, &byte, 1);
}

static void fini_recv(void *arg)
{
    struct sley_io_op *op = arg;
    CHECK_RC(sley_wait_fini(&op->wait), -ECANCELED);
}

static void meet_home(void)
{
    static struct sley_io_op op;
    char byte;
    at_home(&house, start_recv, &op);
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), -EBUSY);
    at_home(&house, fini_recv, &op);
    far_close();
}

SLEY_TEST(directions_are_taken_for_those_elsewhere_too, "REACT-04")
{
    from_everywhere(meet_home);
}

static int32_t ends;
static struct sley_sched *ended_on;

static int32_t note_end(struct sley_io_op *op, int32_t result)
{
    (void)op;
    ends++;
    ended_on = sley_sched_current();
    return result == 1 ? 1000 : result;
}

static void last_word(void)
{
    char byte;
    ends = 0;
    put(far.peer, "x");
    struct sley_io_op op = {.fd = &far.fd, .buf = &byte, .len = 1, .code = SLEY_IO_RECV, .end = note_end};
    CHECK_RC(sley_io_run(&op), 1000);
    CHECK_INT(ends, ==, 1);
    CHECK_PTR(ended_on, ==, house.bed.ex.base.ops->sched(&house.bed.ex.base));
    far_close();
}

SLEY_TEST(end_is_called_once_at_home, "")
{
    from_everywhere(last_word);
}

/** What is started in order is done in order: writes that are parts of one text. */
static void order(void)
{
    char text[64], got[65] = "";
    struct sley_io_op op;
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)('0' + i);
        memset(&op, 0, sizeof op);
        CHECK_RC(io(&far.fd, SLEY_IO_SEND, &text[i], 1), 1);
    }
    CHECK_INT(recv(far.peer, got, sizeof text, MSG_WAITALL), ==, sizeof text);
    CHECK(memcmp(got, text, sizeof text) == 0);
    far_close();
}

SLEY_TEST(sends_from_elsewhere_stay_in_order, "")
{
    from_everywhere(order);
}

/* ---- cancels ------------------------------------------------------------------------------------------------------------- */

static void give_up_waiting(void)
{
    char byte = 0;
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), io(&far.fd, SLEY_IO_RECV, &byte, 1)), -ETIMEDOUT);
    put(far.peer, "x");
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), 1); /* nothing was taken */
    CHECK_INT(byte, ==, 'x');
    far_close();
}

SLEY_TEST(op_elsewhere_is_cancelled_there, "")
{
    from_everywhere(give_up_waiting);
}

static SLEY_ATOMIC(uint32_t) is_kept, may_go;

static void keep(void *arg)
{
    (void)arg;
    atomic_store_explicit(&is_kept, 1, memory_order_release);
    while (!atomic_load_explicit(&may_go, memory_order_acquire)) {
        (void)sched_yield();
    }
}

/** The home is in a task: what is sent to it stays in its inbox meanwhile. */
static void keep_home(SLEY_ATOMIC(uint32_t) * done)
{
    atomic_store_explicit(&is_kept, 0, memory_order_relaxed);
    atomic_store_explicit(&may_go, 0, memory_order_relaxed);
    CHECK_RC(sley_mpsc_send(&house.jobs, &(struct job){keep, NULL, done}), 0);
    wait_for(&is_kept);
}

static void let_home_go(SLEY_ATOMIC(uint32_t) * done)
{
    atomic_store_explicit(&may_go, 1, memory_order_release);
    wait_for(done);
}

static void cancel_queued(void)
{
    SLEY_ATOMIC(uint32_t) done = 0;
    struct sley_io_op op = {0}, poll = {0};
    char byte = 0;
    put(far.peer, "x");
    keep_home(&done);
    io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
    sley_fd_poll_start(&poll, &far.fd, SLEY_IO_OUT);
    sley_wait_cancel(&op.wait);
    CHECK(!sley_wait_done(&op.wait)); /* it is only marked */
    let_home_go(&done);
    CHECK_RC(sley_await(&op.wait), -ECANCELED);
    CHECK_RC(sley_await(&poll.wait), SLEY_IO_OUT);
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), 1); /* the byte is still there */
    far_close();
}

SLEY_TEST(cancel_of_what_is_still_in_the_inbox_only_marks_it, "")
{
    from_everywhere(cancel_queued);
}

/** The byte, or -ECANCELED: each round one verdict; nothing is lost. */
static void cancel_beside_data(void)
{
    unsigned sent = 0, got = 0;
    for (int i = 0; i < 60; i++) {
        struct sley_io_op op = {0};
        char byte = 0;
        io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
        if (harness_rand_below(2)) {
            put(far.peer, "x");
            sent++;
        }
        for (uint64_t turns = harness_rand_below(4); turns > 0; turns--) {
            (void)sched_yield();
        }
        sley_wait_cancel(&op.wait);
        const int rc = sley_await(&op.wait);
        CHECK(rc == 1 || rc == -ECANCELED);
        got += rc == 1;
    }
    while (got < sent) {
        char byte;
        CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), 1);
        got++;
    }
    CHECK_UINT(got, ==, sent);
    far_close();
}

SLEY_TEST(cancel_racing_with_data_elsewhere_gives_one_verdict_and_loses_no_byte, "REACT-18")
{
    from_everywhere(cancel_beside_data);
}

/* ---- closing ------------------------------------------------------------------------------------------------------------- */

static void close_under_home(void)
{
    static struct sley_io_op op;
    const int number = far.fd.number;
    const uint64_t file = file_of(number);
    at_home(&house, start_recv, &op);
    CHECK_RC(sley_fd_close(&far.fd), 0);
    CHECK_UINT(file_of(number), !=, file);
    while (!sley_wait_done(&op.wait)) { /* it has ended before; home publishes it */
        (void)sched_yield();
    }
    CHECK_RC(op.wait.result, -ECANCELED);
    (void)close(far.peer);
}

SLEY_TEST(close_from_elsewhere_completes_what_is_pending_first, "REACT-20 REACT-24")
{
    from_everywhere(close_under_home);
}

static void close_at_home_too(void *arg)
{
    (void)arg;
    CHECK_RC(sley_fd_close(&far.fd), 0);
}

static void close_twice(void)
{
    SLEY_ATOMIC(uint32_t) done = 0;
    struct sley_io_op op = {0}, mine = {0};
    char byte;
    keep_home(&done);
    io_start(&mine, &far.fd, SLEY_IO_RECV, &byte, 1);
    sley_fd_close_start(&op, &far.fd);
    let_home_go(&done);
    at_home(&house, close_at_home_too, NULL);
    CHECK_RC(sley_await(&op.wait), 0);
    const int rc = sley_await(&mine.wait); /* home's own close may come before what is in its inbox */
    CHECK(rc == -ECANCELED || rc == -EBADF);
    (void)close(far.peer);
}

SLEY_TEST(close_from_both_sides_closes_once, "REACT-24")
{
    from_everywhere(close_twice);
}

static SLEY_ATOMIC(uint32_t) given_back;

/** Who waits for the op is told: the descriptor's memory is theirs again. */
static void take_back(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)hook;
    CHECK_RC(w->result, -ECANCELED);
    far.fd.number = 12345;
    atomic_store_explicit(&given_back, 1, memory_order_release);
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static void abandon(void)
{
    struct sley_io_op op = {0}, close_op = {.fd = &far.fd, .code = SLEY_IO_CLOSE, .flags = SLEY_IO_UNHEARD};
    struct sley_wait_hook hook = {.fn = take_back};
    const int number = far.fd.number;
    const uint64_t file = file_of(number);
    char byte;
    atomic_store_explicit(&given_back, 0, memory_order_relaxed);
    io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
    while (!(sley__fd_state(&far.fd) & SLEY_FD_HOLD_MASK)) {
        (void)sched_yield();
    }
    sley_wait_hook(&op.wait, &hook);
    sley_io_submit(&close_op);
    CHECK(sley_wait_done(&close_op.wait));
    wait_for(&given_back);
    at_home(&house, do_nothing, NULL);
    CHECK_INT(far.fd.number, ==, 12345); /* nobody has touched it since */
    CHECK_UINT(file_of(number), !=, file);
    (void)close(far.peer);
}

SLEY_TEST(close_that_nobody_waits_for_leaves_the_descriptor_alone_when_its_ops_are_told, "REACT-20")
{
    from_everywhere(abandon);
}

/** Readers at home and elsewhere take turns until it is closed under them, from a third place. */
static SLEY_ATOMIC(uint32_t) reader_ended;

static void read_on(void *arg)
{
    int rc;
    char byte;
    (void)arg;
    do {
        rc = io(&far.fd, SLEY_IO_RECV, &byte, 1);
    } while (rc == 1 || rc == -EBUSY);
    CHECK(rc == -ECANCELED || rc == -EBADF);
}

static void *read_on_thread(void *arg)
{
    read_on(arg);
    atomic_store_explicit(&reader_ended, 1, memory_order_release);
    return NULL;
}

static void close_under_readers(void)
{
    SLEY_ATOMIC(uint32_t) done = 0;
    pthread_t thread;
    CHECK_RC(sley_mpsc_send(&house.jobs, &(struct job){read_on, NULL, &done}), 0);
    CHECK_INT(pthread_create(&thread, NULL, read_on_thread, NULL), ==, 0);
    for (int i = 0; i < 50; i++) {
        put(far.peer, "x");
        (void)sched_yield();
    }
    CHECK_RC(sley_fd_close(&far.fd), 0);
    wait_for(&done);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    (void)close(far.peer);
}

SLEY_TEST(close_races_with_readers_at_home_and_elsewhere, "REACT-20")
{
    from_everywhere(close_under_readers);
}

/* ---- homes that end --------------------------------------------------------------------------------------------------------- */

static void outlive(void)
{
    char byte;
    struct sley_io_op op = {0};
    io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
    house_down(&house);
    const int rc = sley_await(&op.wait); /* it had begun there, or not yet */
    CHECK(rc == -ECANCELED || rc == -ENODEV);
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), -ENODEV);
    CHECK_RC(sley_fd_poll(&far.fd, SLEY_IO_IN), -ENODEV);
    far_close();
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), -EBADF);
}

SLEY_TEST(home_that_ends_ends_what_was_sent_there, "REACT-25")
{
    for (int place = 0; place < PLACES; place++) {
        house_up(&house);
        far_open();
        elsewhere[place](outlive);
    }
}

static void *down_thread(void *arg)
{
    house_down(arg);
    return NULL;
}

/** Submits and cancels without end while the home ends at any moment. */
static void storm_at_the_end(void)
{
    pthread_t thread;
    int rc = 0;
    const int rounds = 20 + (int)harness_rand_below(40);
    for (int i = 0; rc != -ENODEV; i++) {
        struct sley_io_op op = {0};
        char byte;
        if (i == rounds) {
            CHECK_INT(pthread_create(&thread, NULL, down_thread, &house), ==, 0);
        }
        io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
        if (harness_rand_below(4)) {
            (void)sched_yield();
            sley_wait_cancel(&op.wait);
            rc = sley_await(&op.wait);
        } else {
            rc = SLEY_UNTIL(sley_after_ns(SLEY_MS / 10), sley_await(&op.wait));
        }
        CHECK(rc == -ECANCELED || rc == -ENODEV || rc == -ETIMEDOUT);
        CHECK(rc != -ENODEV || i >= rounds);
    }
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    far_close();
}

SLEY_TEST(cancels_race_with_the_end_of_the_home, "")
{
    for (int round = 0; round < 3; round++) {
        for (int place = 0; place < PLACES; place++) {
            house_up(&house);
            far_open();
            elsewhere[place](storm_at_the_end);
        }
    }
}

static struct sley_io_op forgotten;

static void forget(void)
{
    static char byte;
    io_start(&forgotten, &far.fd, SLEY_IO_RECV, &byte, 1);
}

SLEY_TEST(executor_that_ends_ends_what_it_has_sent_elsewhere, "")
{
    house_up(&house);
    far_open();
    in_fiber(forget); /* nobody waits for it, and its node names an executor that goes */
    CHECK(sley_wait_done(&forgotten.wait));
    CHECK_RC(forgotten.wait.result, -ECANCELED);
    far_close();
    house_down(&house);
}

/** Two homes that end at once, each with an op at the other. */
static struct far other;

static void reach_over(void *arg)
{
    static struct sley_io_op ops[2];
    static char bytes[2];
    const size_t i = arg == &other;
    io_start(&ops[i], arg, SLEY_IO_RECV, &bytes[i], 1);
}

SLEY_TEST(homes_that_end_together_do_not_wait_for_each_other, "")
{
    pthread_t thread;
    house_up(&house);
    house_up(&second);
    far_open();
    other.peer = tcp_pair(&other.fd);
    at_home(&second, settle, &other);
    at_home(&house, reach_over, &other.fd);
    at_home(&second, reach_over, &far.fd);
    CHECK_INT(pthread_create(&thread, NULL, down_thread, &second), ==, 0);
    house_down(&house);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    far_close();
    CHECK_RC(sley_fd_close(&other.fd), 0);
    (void)close(other.peer);
}

/* ---- moving ------------------------------------------------------------------------------------------------------------------ */

static void move_it(void)
{
    char byte = 0;
    struct sley_io_op op = {0};
    io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
    while (!(sley__fd_state(&far.fd) & SLEY_FD_HOLD_MASK)) {
        (void)sched_yield();
    }
    CHECK_RC(sley_fd_move(&far.fd), -EBUSY);
    put(far.peer, "a");
    CHECK_RC(sley_await(&op.wait), 1);
    CHECK_RC(sley_fd_move(&far.fd), 0);
    CHECK_PTR(sley__fd_home(&far.fd), ==, NULL);
    CHECK_RC(sley_fd_move(&far.fd), 0);
    put(far.peer, "b");
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), 1);
    CHECK_INT(byte, ==, 'b');
    if (sley_sched_current()) { /* a plain thread is nobody's home */
        CHECK_PTR(sley__fd_home(&far.fd), !=, NULL);
        CHECK_PTR(sley__fd_home(&far.fd), !=, house.bed.ex.base.ops->sched(&house.bed.ex.base)->reactor);
        CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), io(&far.fd, SLEY_IO_RECV, &byte, 1)), -ETIMEDOUT);
        CHECK_RC(sley_fd_move(&far.fd), 0);
    }
    at_home(&house, settle, &far); /* back again */
    far_close();
    CHECK_RC(sley_fd_move(&far.fd), -EBADF);
}

SLEY_TEST(move_takes_a_descriptor_to_where_it_is_used_next, "TCP-21")
{
    from_everywhere(move_it);
}

static int move_rc;

static void keep_and_move(void *arg)
{
    keep(arg);
    move_rc = sley_fd_move(&far.fd);
}

static void move_beside_what_comes(void)
{
    SLEY_ATOMIC(uint32_t) done = 0;
    struct sley_io_op op = {0};
    char byte;
    atomic_store_explicit(&is_kept, 0, memory_order_relaxed);
    atomic_store_explicit(&may_go, 0, memory_order_relaxed);
    CHECK_RC(sley_mpsc_send(&house.jobs, &(struct job){keep_and_move, NULL, &done}), 0);
    wait_for(&is_kept);
    io_start(&op, &far.fd, SLEY_IO_RECV, &byte, 1);
    let_home_go(&done);
    CHECK_RC(move_rc, -EBUSY); /* it is in flight, though not there yet */
    put(far.peer, "x");
    CHECK_RC(sley_await(&op.wait), 1);
    CHECK_RC(sley_fd_move(&far.fd), 0);
    far_close();
}

SLEY_TEST(move_is_busy_beside_an_op_that_is_on_its_way, "TCP-21")
{
    from_everywhere(move_beside_what_comes);
}

static void move_after_the_end(void)
{
    char byte;
    house_down(&house);
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), -ENODEV);
    CHECK_RC(sley_fd_move(&far.fd), 0);
    put(far.peer, "a");
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), 1);
    far_close();
}

SLEY_TEST(move_of_a_descriptor_that_outlived_its_home, "REACT-25")
{
    for (int place = 0; place < PLACES; place++) {
        house_up(&house);
        far_open();
        elsewhere[place](move_after_the_end);
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------------------- */

static void read_file(void)
{
    char buf[8] = "";
    struct sley_file_op op = {.io = {.fd = &far.fd, .buf = buf, .len = 4, .code = SLEY_IO_READ}, .offset = 2};
    CHECK_RC(sley_io_run(&op.io), 4);
    CHECK(memcmp(buf, "llo ", 4) == 0);
    op = (struct sley_file_op){.io = {.fd = &far.fd, .code = SLEY_IO_FSYNC}};
    CHECK_RC(sley_io_run(&op.io), 0);
    CHECK_RC(sley_fd_close(&far.fd), 0);
}

static void settle_file(void *arg)
{
    char byte;
    struct sley_file_op op = {.io = {.fd = arg, .buf = &byte, .len = 1, .code = SLEY_IO_READ}};
    CHECK_RC(sley_io_run(&op.io), 1);
}

SLEY_TEST(file_op_from_elsewhere_is_done_at_home, "")
{
    for (int place = 0; place < PLACES; place++) {
        char path[] = "/tmp/sley-remote-XXXXXX";
        const int number = mkostemp(path, O_CLOEXEC);
        CHECK_INT(number, >=, 0);
        CHECK_INT(unlink(path), ==, 0);
        CHECK_INT(write(number, "hello world", 11), ==, 11);
        sley_fd_init(&far.fd, number);
        house_up(&house);
        at_home(&house, settle_file, &far.fd);
        elsewhere[place](read_file);
        house_down(&house);
    }
}
