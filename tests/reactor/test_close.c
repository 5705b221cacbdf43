/* Closing a descriptor in every state it can be in, reuse of its number, homes, plain threads, the end of a reactor. */
#include "bed.h"

#include <sched.h>
#include <sys/wait.h>

static bool is_open(int number)
{
    return fcntl(number, F_GETFD) >= 0;
}

FIBER_TEST(close_gives_the_number_back_and_twice_is_fine, "REACT-24")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd), number = fd.number;
    char byte;
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK(!is_open(number));
    CHECK_INT(fd.number, ==, -1);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(io(&fd, SLEY_IO_RECV, &byte, 1), -EBADF);
    CHECK_RC(sley_fd_poll(&fd, SLEY_IO_IN), -EBADF);
    CHECK_INT(recv(peer, &byte, 1, 0), ==, 0);
    sley_fd_init(&fd, -1);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

FIBER_TEST(close_with_eight_armed_cancels_eight_and_no_others, "REACT-20")
{
    struct sley_fd fd, other;
    const int peer = unix_pair(&fd), other_peer = unix_pair(&other);
    struct sley_io_op ops[8] = {0}, apart[2] = {0};
    char byte;
    sley_fd_poll_start(&apart[0], &other, SLEY_IO_IN);
    io_start(&apart[1], &other, SLEY_IO_RECV, &byte, 1);
    for (int i = 0; i < 7; i++) {
        sley_fd_poll_start(&ops[i], &fd, SLEY_IO_IN);
    }
    io_start(&ops[7], &fd, SLEY_IO_RECV, &byte, 1);
    CHECK_UINT(reactor()->armed_count, ==, 10);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_UINT(reactor()->armed_count, ==, 2);
    for (int i = 0; i < 8; i++) {
        CHECK(done_now(&ops[i].wait));
        CHECK_RC(ops[i].wait.result, -ECANCELED);
    }
    CHECK(!done_now(&apart[0].wait));
    put(other_peer, "x");
    CHECK_RC(until_done(&apart[1].wait), 1);
    CHECK_RC(apart[0].wait.result, SLEY_IO_IN);
    CHECK_RC(sley_fd_close(&other), 0);
    (void)close(peer);
    (void)close(other_peer);
}

FIBER_TEST(close_in_each_state_ends_what_waits_and_frees_the_number, "")
{
    static char block[1 << 16];
    for (int state = 0; state < 6; state++) {
        struct sockaddr_in addr;
        struct sley_fd fd;
        struct sley_io_op op = {0};
        int peer = -1;
        if (state == 0) {
            peer = unix_pair(&fd); /* never used */
        } else if (state == 1) {
            peer = unix_pair(&fd);
            io_start(&op, &fd, SLEY_IO_RECV, block, 1);
        } else if (state == 2) {
            peer = unix_pair(&fd);
            do {
                io_start(&op, &fd, SLEY_IO_SEND, block, sizeof block);
            } while (done_now(&op.wait));
        } else if (state == 3) {
            sley_fd_init(&fd, tcp_listener(&addr, 4));
            io_start(&op, &fd, SLEY_IO_ACCEPT, NULL, 0);
        } else if (state == 4) {
            const int full = tcp_listener(&addr, 0), one = tcp_dial(&addr);
            wait_in(full); /* else it is not full yet */
            sley_fd_init(&fd, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
            io_start(&op, &fd, SLEY_IO_CONNECT, &addr, sizeof addr);
            (void)close(one);
            peer = full;
        } else {
            peer = unix_pair(&fd);
            io_start_all(&op, &fd, SLEY_IO_RECV, block, 100);
            put(peer, "abc");
            (void)look(SLEY_NEVER);
            CHECK_UINT(op.done_bytes, ==, 3);
        }
        for (int looked = 0; looked < (int)harness_rand_below(2); looked++) {
            (void)look(0);
        }
        const int number = fd.number;
        const bool armed = !done_now(&op.wait) && state > 0;
        CHECK_RC(sley_fd_close(&fd), 0);
        CHECK(!armed || op.wait.result == -ECANCELED);
        CHECK(!is_open(number));
        CHECK_UINT(reactor()->armed_count, ==, 0);
        (void)close(peer);
    }
}

/** A task's point of view: somebody else closes what it reads from. */
struct reader {
    struct sley_fd *fd;
    int *ret_rc;
};

static int reader(struct reader *a)
{
    char byte;
    *a->ret_rc = io(a->fd, SLEY_IO_RECV, &byte, 1);
    return 0;
}
SLEY_FIBER(reader, struct reader)

FIBER_TEST(close_while_a_task_reads_wakes_it_cancelled, "REACT-20")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    int rc = 1;
    CHECK_RC(SLEY_SPAWN(NULL, reader, .fd = &fd, .ret_rc = &rc), 0);
    CHECK_RC(sley_yield(), 0);
    CHECK_UINT(reactor()->armed_count, ==, 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_INT(rc, ==, IS_URING ? -ECANCELED : 1); /* a close that has waited for the verdict is not first */
    CHECK_RC(sley_yield(), 0);
    CHECK_RC(rc, -ECANCELED);
    (void)close(peer);
}

static int closer(struct reader *a)
{
    CHECK_RC(sley_yield(), -ECANCELED);
    *a->ret_rc = sley_fd_close(a->fd);
    return 0;
}
SLEY_FIBER(closer, struct reader)

FIBER_TEST(close_in_a_cancelled_task_closes, "")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd), number = fd.number;
    struct sley_task *t;
    int rc = 1;
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, closer, .fd = &fd, .ret_rc = &rc), 0);
    sley_task_cancel(t);
    CHECK_RC(sley_task_join(t, NULL), 0);
    sley_task_unref(t);
    CHECK_RC(rc, 0);
    CHECK(!is_open(number));
    (void)close(peer);
}

/* ---- reuse of numbers --------------------------------------------------------------------------------------------- */

FIBER_TEST(close_while_a_child_keeps_a_copy_ends_its_events, "REACT-23")
{
    int hold[2];
    struct sley_fd fd;
    const int peer = unix_pair(&fd), number = fd.number;
    struct sley_io_op op = {0};
    char buf[4];
    CHECK_INT(pipe2(hold, O_CLOEXEC), ==, 0);
    const pid_t child = fork();
    CHECK_INT(child, >=, 0);
    if (child == 0) { /* keeps every descriptor until told */
        (void)close(hold[1]);
        (void)!read(hold[0], buf, 1);
        _exit(0);
    }
    io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_INT(look(0), ==, 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(op.wait.result, -ECANCELED);
    put(peer, "late");
    const uint64_t start = sley_now_ns();
    CHECK_INT(look(10 * SLEY_MS), ==, 0);
    CHECK_UINT(sley_now_ns() - start, >=, 10 * SLEY_MS);
    /* the next one with the number */
    const int next_peer = unix_pair(&fd);
    CHECK_INT(fd.number, ==, number);
    io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    put(peer, "more");
    CHECK_INT(look(5 * SLEY_MS), ==, 0);
    CHECK(!done_now(&op.wait));
    put(next_peer, "me");
    CHECK_RC(until_done(&op.wait), 2);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(hold[1]);
    CHECK_INT(waitpid(child, NULL, 0), ==, child);
    (void)close(hold[0]);
    (void)close(peer);
    (void)close(next_peer);
}

FIBER_TEST(number_closed_behind_its_description_starts_clean_with_the_next, "REACT-23")
{
    /* a foreign library's descriptors: described, waited for, forgotten; the library closes them itself */
    struct sley_fd fd;
    char buf[4];
    for (int i = 0; i < 20; i++) {
        const int peer = i % 2 ? tcp_pair(&fd) : unix_pair(&fd);
        struct sley_io_op op = {0};
        sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
        CHECK_INT(look(0), ==, 0);
        if (i % 3) {
            put(peer, "x");
            CHECK_RC(until_done(&op.wait), SLEY_IO_IN);
        } else {
            CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
        }
        if (i % 4 == 0) {
            struct sley_fd again; /* described anew while it is open */
            sley_fd_init(&again, fd.number);
            put(peer, "y");
            CHECK_RC(sley_fd_poll(&again, SLEY_IO_IN), SLEY_IO_IN);
            (void)recv(fd.number, buf, sizeof buf, 0);
            sley_fd_poll_start(&op, &again, SLEY_IO_IN);
            put(peer, "z");
            CHECK_RC(until_done(&op.wait), SLEY_IO_IN);
        }
        (void)close(fd.number);
        (void)close(peer);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_INT(look(0), ==, 0);
}

/* ---- homes -------------------------------------------------------------------------------------------------------- */

static struct sley_fd traveller;
static int traveller_peer;

static void at_first_home(void)
{
    char byte;
    traveller_peer = unix_pair(&traveller);
    put(traveller_peer, "x");
    CHECK_RC(io(&traveller, SLEY_IO_RECV, &byte, 1), 1);
}

static void at_second_home(void)
{
    char byte;
    CHECK_RC(io(&traveller, SLEY_IO_RECV, &byte, 1), -ENODEV);
    CHECK_RC(sley_fd_poll(&traveller, SLEY_IO_IN), -ENODEV);
}

SLEY_TEST(op_on_a_descriptor_whose_home_has_gone_is_enodev, "REACT-25")
{
    struct bed a, b;
    bed_start(&a);
    bed_start(&b);
    bed_run(&a, at_first_home);
    bed_end(&a);
    bed_run(&b, at_second_home);
    char byte;
    CHECK_RC(io(&traveller, SLEY_IO_RECV, &byte, 1), -ENODEV); /* a plain thread */
    bed_end(&b);
    CHECK_RC(sley_fd_close(&traveller), 0);
    (void)close(traveller_peer);
}

static void close_traveller(void)
{
    CHECK_RC(sley_fd_close(&traveller), 0);
}

SLEY_TEST(descriptor_that_outlives_its_runtime_can_be_closed, "REACT-25")
{
    for (int where = 0; where < 2; where++) {
        in_fiber(at_first_home);
        const int number = traveller.number;
        if (where == 0) {
            CHECK_RC(sley_fd_close(&traveller), 0);
        } else {
            in_fiber(close_traveller);
        }
        CHECK(!is_open(number));
        (void)close(traveller_peer);
    }
}

static void arm_and_swap(void)
{
    /* a reactor that ends with ops armed: its own, beside the executor's */
    struct sley_sched *s = sley_sched_current();
    struct sley_reactor *mine, *usual = s->reactor;
    static const struct sley_reactor_factory *const factory = &REACTOR;
    const struct sley_reactor_opts opts = {.alloc = harness_alloc()};
    struct sley_fd fds[3];
    struct sley_io_op ops[4] = {0};
    int peers[3];
    char buf[3][4];
    CHECK_RC(factory->create(&opts, &mine), 0);
    CHECK_RC(sley_reactor_check(mine->ops), 0);
    CHECK_STR(mine->ops->name, factory->name);
    mine->sched = s;
    s->reactor = mine;
    for (int i = 0; i < 3; i++) {
        peers[i] = unix_pair(&fds[i]);
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, buf[i], 4);
    }
    sley_fd_poll_start(&ops[3], &fds[0], SLEY_IO_IN);
    mine->ops->wake(mine);
    mine->ops->destroy(mine);
    s->reactor = usual;
    for (int i = 0; i < 4; i++) {
        CHECK(done_now(&ops[i].wait));
        CHECK_RC(ops[i].wait.result, -ECANCELED);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
}

SLEY_TEST(destroy_cancels_what_is_armed, "")
{
    in_fiber(arm_and_swap);
}

/* ---- plain threads ------------------------------------------------------------------------------------------------ */

static void *write_later(void *arg)
{
    const int *number = arg;
    put(*number, "abc");
    return NULL;
}

SLEY_TEST(plain_thread_waits_in_its_own_poll, "")
{
    struct sley_fd fd;
    int peer = unix_pair(&fd);
    char buf[8];
    pthread_t t;
    const uint64_t start = sley_now_ns();
    CHECK_RC(SLEY_UNTIL(start + 3 * SLEY_MS, io(&fd, SLEY_IO_RECV, buf, sizeof buf)), -ETIMEDOUT);
    CHECK_UINT(sley_now_ns() - start, >=, 3 * SLEY_MS);
    CHECK_RC(SLEY_UNTIL(start, sley_fd_poll(&fd, SLEY_IO_IN)), -ETIMEDOUT);
    CHECK_RC(SLEY_UNTIL(start, sley_fd_poll(&fd, SLEY_IO_OUT)), SLEY_IO_OUT); /* a past deadline means: try once */
    CHECK_INT(pthread_create(&t, NULL, write_later, &peer), ==, 0);
    CHECK_RC(SLEY_UNTIL(start + 100 * SLEY_S, io(&fd, SLEY_IO_RECV, buf, sizeof buf)), 3);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    CHECK_RC(io(&fd, SLEY_IO_SEND, "abc", 3), 3);
    struct sley_io_op op = {.fd = &fd, .buf = buf, .len = 8, .code = SLEY_IO_RECV, .flags = SLEY_IO_ALL};
    put(peer, "abc");
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), sley_io_run(&op)), -ETIMEDOUT);
    CHECK_UINT(op.done_bytes, ==, 3);
    io_start(&op, &fd, SLEY_IO_RECV, buf, 1); /* nobody would complete it */
    CHECK_RC(op.wait.result, -ENOTSUP);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, 1), -EBADF);
    sley_fd_init(&fd, open("/", O_RDONLY | O_CLOEXEC));
    CHECK_RC(sley_fd_poll(&fd, SLEY_IO_IN), -EPERM);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

SLEY_TEST(plain_thread_accepts_and_connects, "")
{
    struct sockaddr_in addr;
    struct sley_fd l, c;
    sley_fd_init(&l, tcp_listener(&addr, 8));
    sley_fd_init(&c, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    struct sley_io_op op = {.fd = &l, .code = SLEY_IO_ACCEPT};
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), sley_io_run(&op)), -ETIMEDOUT);
    CHECK_RC(io(&c, SLEY_IO_CONNECT, &addr, sizeof addr), 0);
    CHECK_RC(sley_io_run(&op), 0);
    (void)close(op.out_number);
    CHECK_RC(sley_fd_close(&l), 0);
    CHECK_RC(sley_fd_close(&c), 0);
}

struct two_threads {
    struct sley_fd fd;
    SLEY_ATOMIC(int) rc;
};

static void *thread_recv(void *arg)
{
    struct two_threads *two = arg;
    char byte;
    atomic_store_explicit(&two->rc, io(&two->fd, SLEY_IO_RECV, &byte, 1), memory_order_relaxed);
    return NULL;
}

SLEY_TEST(plain_threads_share_a_descriptor_by_direction, "REACT-04")
{
    struct two_threads two = {.rc = -1000};
    const int peer = unix_pair(&two.fd);
    char byte;
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, thread_recv, &two), ==, 0);
    while (!(atomic_load_explicit(&two.fd.state, memory_order_relaxed) & SLEY_FD_READING)) {
        (void)sched_yield(); /* until the other thread is in its call */
    }
    CHECK_RC(io(&two.fd, SLEY_IO_RECV, &byte, 1), -EBUSY);
    CHECK_RC(sley_fd_close(&two.fd), -EXDEV);
    CHECK_RC(io(&two.fd, SLEY_IO_SEND, "x", 1), 1);
    put(peer, "y");
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    CHECK_RC(atomic_load_explicit(&two.rc, memory_order_relaxed), 1);
    CHECK_RC(sley_fd_close(&two.fd), 0);
    (void)close(peer);
}
