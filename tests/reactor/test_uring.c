/* What is the ring's own: small rings, overflow, a kernel that refuses for a moment, threads, ends. */
#include "bed.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct sley__uring_opts small; /* what `small_rings` makes */

static int create_small(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    return sley__uring_create(o, &small, ret_reactor);
}

static const struct sley_reactor_factory small_rings = {.version = SLEY_REACTOR_VERSION, .name = "uring", .create = create_small};

/** Runs @p fn as the only fiber over a ring made by these options. */
static void in_ring(struct sley__uring_opts opts, void (*fn)(void))
{
    static const struct sley_reactor_factory *const reactors[] = {&small_rings, NULL};
    const char *missing = uring_missing();
    if (missing) {
        SKIP("%s", missing);
    }
    struct bed b;
    small = opts;
    sley_local_init(&b.ex);
    CHECK_RC(b.ex.base.ops->start(&b.ex.base, &(struct sley_executor_config){.alloc = harness_alloc(), .reactors = reactors}), 0);
    bed_run(&b, fn);
    bed_end(&b);
}

static struct sley__uring *ring(void)
{
    return sley_container_of(reactor(), struct sley__uring, base);
}

/* ---- small rings ------------------------------------------------------------------------------------------------------ */

enum { PAIRS = 600 };
static struct sley_fd fds[PAIRS];
static struct sley_io_op ops[PAIRS];
static int peers[PAIRS];
static char bytes[PAIRS];

static void open_pairs(int n)
{
    for (int i = 0; i < n; i++) {
        peers[i] = unix_pair(&fds[i]);
    }
}

static void close_pairs(int n)
{
    for (int i = 0; i < n; i++) {
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

/** Each gets its own byte, once. */
static void receive_each(int n, bool data_first)
{
    for (int i = 0; i < n; i++) {
        const char byte[2] = {(char)('a' + i % 26), 0};
        if (data_first) {
            put(peers[i], byte);
        }
        bytes[i] = 0;
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
        CHECK(data_first || !sley_wait_done(&ops[i].wait));
    }
    for (int i = 0; i < n; i++) {
        const char byte[2] = {(char)('a' + i % 26), 0};
        if (!data_first) {
            put(peers[i], byte);
        }
    }
    for (int i = 0; i < n; i++) {
        CHECK_RC(until_done(&ops[i].wait), 1);
        CHECK_INT(bytes[i], ==, 'a' + i % 26);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_UINT(ring()->flying_count, ==, 0);
}

static void many_over_small(void)
{
    const int n = 400; /* with their peers below the usual limit of 1,024 descriptors */
    open_pairs(n);
    receive_each(n, true);
    receive_each(n, false);
    close_pairs(n);
}

SLEY_TEST(submissions_beyond_a_small_ring_are_flushed_and_all_accepted, "URING-01")
{
    in_ring((struct sley__uring_opts){.entry_count = 8, .result_count = 4096}, many_over_small);
}

static void fifty(void)
{
    open_pairs(50);
    for (int round = 0; round < 4; round++) {
        receive_each(50, round % 2);
    }
    close_pairs(50);
}

SLEY_TEST(completions_beyond_rings_of_two_and_four_are_not_lost, "URING-02")
{
    for (uint32_t n = 2; n <= 4; n *= 2) {
        for (uint32_t without = 0; without < 2; without++) {
            const uint32_t no_defer = uring_without("defer_taskrun coop_taskrun");
            in_ring((struct sley__uring_opts){.entry_count = n, .result_count = n, .without = without ? no_defer : 0}, fifty);
        }
    }
}

static void overflow_rounds(void)
{
    open_pairs(32);
    for (int round = 0; round < 128; round++) {
        const int n = 1 + (int)harness_rand_below(32); /* more results than there is room for, or few */
        receive_each(n, harness_rand_below(2));
        if (round % 2) { /* one at a time */
            put(peers[0], "x");
            io_start(&ops[0], &fds[0], SLEY_IO_RECV, bytes, 1);
            CHECK_RC(until_done(&ops[0].wait), 1);
        }
    }
    close_pairs(32);
}

SLEY_TEST(overflow_of_both_queues_completes_each_op_once, "URING-03")
{
    in_ring((struct sley__uring_opts){.entry_count = 4, .result_count = 4}, overflow_rounds);
}

/* ---- a kernel that refuses for a moment ----------------------------------------------------------------------------------- */

static int refusals[] = {-EAGAIN, -EBUSY, -EINTR, -ENOMEM};

static int moody(struct sley__uring *r, unsigned count, unsigned least, unsigned flags, void *arg, size_t size)
{
    const unsigned some = count > 1 ? 1 + (unsigned)harness_rand_below(count) : count;
    if (harness_rand_below(3) == 0) {
        return refusals[harness_rand_below(sizeof refusals / sizeof refusals[0])];
    }
    /* it may take only some: then it does not wait */
    return io_uring_enter2((unsigned)r->enter_fd, some, some == count ? least : 0, flags | r->enter_flags, arg, size);
}

static void moody_rounds(void)
{
    open_pairs(40);
    for (int round = 0; round < 100; round++) {
        receive_each(40, round % 2);
        for (int i = 0; i < 40; i++) {
            io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
        }
        for (int i = 0; i < 40; i++) {
            CHECK_RC(sley_wait_fini(&ops[i].wait), -ECANCELED);
        }
        CHECK_UINT(ring()->flying_count, ==, 0);
    }
    for (int i = 0; i < 40; i++) {
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
    }
    close_pairs(40);
}

SLEY_TEST(submissions_and_cancels_that_the_kernel_refuses_for_a_moment_are_only_late, "URING-03")
{
    in_ring((struct sley__uring_opts){.entry_count = 4, .result_count = 8, .enter = moody}, moody_rounds);
}

/* ---- results -------------------------------------------------------------------------------------------------------------- */

static void given_up(void)
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sley_io_op op = {0};
    char buf[4] = "";
    for (int looked = 0; looked < 2; looked++) {
        io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
        CHECK_INT(looked ? look(0) : 0, ==, 0);
        sley_wait_cancel(&op.wait);
        CHECK(!sley_wait_done(&op.wait)); /* asked, not abandoned: buffer and op are the kernel's still */
        CHECK_UINT(ring()->flying_count, ==, 1);
        CHECK_RC(until_done(&op.wait), -ECANCELED);
        CHECK_UINT(ring()->flying_count, ==, 0);
    }
    put(peer, "abc");
    io_start(&op, &fd, SLEY_IO_RECV, buf, sizeof buf);
    sley_wait_cancel(&op.wait);
    CHECK_RC(until_done(&op.wait), 3); /* the result came first */
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

SLEY_TEST(op_that_was_given_up_stays_until_its_completion_has_come, "URING-04")
{
    in_ring((struct sley__uring_opts){0}, given_up);
}

static void invalid_in_the_middle(void)
{
    struct sley_fd bad;
    struct sley_io_op wrong = {0};
    char byte;
    open_pairs(9);
    sley_fd_init(&bad, 1000);
    for (int i = 0; i < 9; i++) {
        put(peers[i], "x");
        if (i == 4) {
            io_start(&wrong, &bad, SLEY_IO_RECV, &byte, 1);
        }
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
    }
    CHECK_RC(until_done(&wrong.wait), -EBADF);
    for (int i = 0; i < 9; i++) {
        CHECK_RC(until_done(&ops[i].wait), 1);
    }
    close_pairs(9);
}

SLEY_TEST(invalid_request_in_a_batch_fails_alone, "URING-11")
{
    in_ring((struct sley__uring_opts){0}, invalid_in_the_middle);
    in_ring((struct sley__uring_opts){.without = uring_without("submit_all")}, invalid_in_the_middle);
}

/* ---- threads and rings ------------------------------------------------------------------------------------------------------ */

static struct bed shared_bed;
static struct sley_fd gate;
static int gate_peer, gate_rc;

static int wait_at_gate(struct bed_args *unused)
{
    char byte;
    (void)unused;
    gate_rc = io(&gate, SLEY_IO_RECV, &byte, 1);
    return 0;
}
SLEY_FIBER(wait_at_gate, struct bed_args)

static void use_elsewhere(void)
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    char byte;
    put(peer, "x");
    CHECK_RC(io(&fd, SLEY_IO_RECV, &byte, 1), gate_rc == 77 ? -EEXIST : 1);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

static void (*elsewhere_fn)(void) = use_elsewhere;

static void *drive_elsewhere(void *arg)
{
    struct sley_executor *ex = &shared_bed.ex.base;
    struct sley_task *t;
    (void)arg;
    CHECK_RC(ex->ops->spawn(ex, &bed_fiber__type, &(struct bed_args){elsewhere_fn}, &t), 0);
    CHECK_RC(ex->ops->run(ex, t), 0);
    sley_task_unref(t);
    return NULL;
}

static void drive_on_another_thread(void)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, drive_elsewhere, NULL), ==, 0);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
}

SLEY_TEST(ring_of_another_thread_is_taken_over_when_idle_and_refuses_when_not, "URING-12")
{
    if (harness_under_valgrind()) {
        return; /* there a ring is any thread's */
    }
    static const struct sley_reactor_factory *const reactors[] = {&small_rings, NULL};
    struct sley_executor *ex = &shared_bed.ex.base;
    const char *missing = uring_missing();
    if (missing) {
        SKIP("%s", missing);
    }
    sley_local_init(&shared_bed.ex);
    CHECK_RC(ex->ops->start(ex, &(struct sley_executor_config){.alloc = harness_alloc(), .reactors = reactors}), 0);
    drive_on_another_thread(); /* it is nobody's yet */
    drive_on_another_thread(); /* nothing is in flight */
    gate_peer = unix_pair(&gate);
    gate_rc = 77; /* from now on something is, of this thread's */
    CHECK_RC(ex->ops->spawn(ex, &wait_at_gate__type, &(struct bed_args){NULL}, NULL), 0);
    uint64_t next;
    CHECK_INT(ex->ops->turn(ex, 0, &next), >=, 0);
    CHECK_INT(ex->ops->turn(ex, 0, &next), >=, 0);
    drive_on_another_thread();
    CHECK_INT(gate_rc, ==, 77);
    put(gate_peer, "x");
    CHECK_RC(ex->ops->run(ex, NULL), 0); /* and here it goes on */
    CHECK_RC(gate_rc, 1);
    gate_rc = 0;
    drive_on_another_thread();
    CHECK_RC(ex->ops->fini(ex), 0);
    CHECK_RC(sley_fd_close(&gate), 0);
    (void)close(gate_peer);
}

static struct sley_task *gate_task;

static void cancel_at_gate(void)
{
    sley_task_cancel(gate_task);
    for (int i = 0; i < 3; i++) {
        CHECK_RC(sley_sleep(SLEY_MS / 10), 0); /* the task has asked, and the ring has been looked at */
    }
    CHECK_INT(gate_rc, ==, 77);
}

SLEY_TEST(cancel_on_a_thread_that_may_not_enter_the_ring_is_made_up_for_on_its_own, "URING-12")
{
    if (harness_under_valgrind()) {
        return; /* there a ring is any thread's */
    }
    static const struct sley_reactor_factory *const reactors[] = {&small_rings, NULL};
    struct sley_executor *ex = &shared_bed.ex.base;
    const char *missing = uring_missing();
    uint64_t next;
    if (missing) {
        SKIP("%s", missing);
    }
    sley_local_init(&shared_bed.ex);
    CHECK_RC(ex->ops->start(ex, &(struct sley_executor_config){.alloc = harness_alloc(), .reactors = reactors}), 0);
    gate_peer = unix_pair(&gate);
    gate_rc = 77;
    CHECK_RC(ex->ops->spawn(ex, &wait_at_gate__type, &(struct bed_args){NULL}, &gate_task), 0);
    CHECK_INT(ex->ops->turn(ex, 0, &next), >=, 0);
    CHECK_INT(ex->ops->turn(ex, 0, &next), >=, 0);
    elsewhere_fn = cancel_at_gate;
    drive_on_another_thread();
    CHECK_RC(ex->ops->run(ex, gate_task), 0);
    CHECK_RC(gate_rc, -ECANCELED);
    sley_task_unref(gate_task);
    CHECK_RC(ex->ops->fini(ex), 0);
    CHECK_RC(sley_fd_close(&gate), 0);
    (void)close(gate_peer);
}

static void two_rings(void)
{
    struct sley_sched *s = sley_sched_current();
    struct sley_reactor *mine, *usual = s->reactor;
    const struct sley_reactor_opts o = {.alloc = harness_alloc()};
    struct sley_fd here, there;
    struct sley_io_op a = {0}, b = {0};
    char bytes_of[2];
    const int here_peer = unix_pair(&here), there_peer = unix_pair(&there);
    CHECK_RC(create_small(&o, &mine), 0);
    mine->sched = s;
    io_start(&a, &here, SLEY_IO_RECV, &bytes_of[0], 1);
    s->reactor = mine;
    io_start(&b, &there, SLEY_IO_RECV, &bytes_of[1], 1);
    sley_wait_cancel(&b.wait);
    CHECK_RC(until_done(&b.wait), -ECANCELED);
    s->reactor = usual;
    CHECK(!done_now(&a.wait));
    put(here_peer, "x");
    CHECK_RC(until_done(&a.wait), 1);
    mine->ops->destroy(mine);
    CHECK_RC(sley_fd_close(&here), 0);
    CHECK_RC(sley_fd_close(&there), 0);
    (void)close(here_peer);
    (void)close(there_peer);
}

SLEY_TEST(cancel_in_one_ring_leaves_the_other_alone, "URING-13")
{
    in_ring((struct sley__uring_opts){0}, two_rings);
}

static void leave_at_once(void)
{
    open_pairs(20);
    for (int i = 0; i < 20; i++) {
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
        if (i == 10) {
            (void)look(0); /* these are in flight, those after it are queued */
        }
    }
    _exit(0);
}

SLEY_TEST(process_that_exits_with_ops_queued_and_in_flight_exits, "URING-15")
{
    int status;
    const pid_t pid = fork();
    CHECK_INT(pid, >=, 0);
    if (pid == 0) {
        in_ring((struct sley__uring_opts){0}, leave_at_once);
    }
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK(WIFEXITED(status));
}

/* ---- what is refused, and why ------------------------------------------------------------------------------------------------- */

/** From now on rings of more than @p most entries cannot be made here: @p error. */
static void forbid_setup(uint32_t most, uint32_t error)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, most, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), ==, 0);
}

static void sixteen(void)
{
    char text[300];
    CHECK_UINT(ring()->ring.sq.ring_entries, ==, 16);
    CHECK_INT(reactor()->ops->describe(reactor(), text, sizeof text), >, 0);
    CHECK(strstr(text, "of 16 entries: RLIMIT_MEMLOCK is ") != NULL);
    many_over_small();
}

SLEY_TEST(ring_that_does_not_fit_is_halved_until_it_does, "")
{
    const char *missing = uring_missing();
    if (missing) {
        SKIP("%s", missing);
    }
    forbid_setup(20, ENOMEM);
    in_ring((struct sley__uring_opts){0}, sixteen);
}

SLEY_TEST(refusal_is_told_by_its_reason, "URING-14")
{
    static const struct {
        uint32_t error;
        int rc;
        const char *why;
    } cases[] = {
        {ENOSYS, -ENOTSUP, "the kernel has no io_uring"},
        {EPERM, -EPERM, "kernel.io_uring_disabled"},
        {ENOMEM, -ENOMEM, "RLIMIT_MEMLOCK"},
        {EINVAL, -ENOTSUP, "5.11"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status;
        const pid_t pid = fork();
        CHECK_INT(pid, >=, 0);
        if (pid == 0) {
            char why[160] = "";
            struct sley_reactor *r = NULL;
            const struct sley_reactor_opts o = {.alloc = harness_alloc(), .ret_error = why, .error_bytes = sizeof why};
            forbid_setup(0, cases[i].error);
            const bool right = sley_reactor_uring.create(&o, &r) == cases[i].rc && strstr(why, cases[i].why);
            _exit(right ? 0 : 1);
        }
        CHECK_INT(waitpid(pid, &status, 0), ==, pid);
        CHECK_INT(status, ==, 0);
    }
}

/* ---- descriptions ----------------------------------------------------------------------------------------------------------- */

/** Some versions of liburing's functions set everything, others what the op has: then all the rest has to be clear before. */
static void take_places_of_others(void)
{
    const struct io_uring_sq *sq = &ring()->ring.sq;
    CHECK_INT(look(0), >=, 0); /* the bell */
    for (unsigned i = 0; i < 2 * sq->ring_entries; i++) {
        const struct io_uring_sqe none = {0};
        CHECK_UINT(sley__uring_unsubmitted(ring()), ==, 0);
        memset(&sq->sqes[sq->sqe_tail & sq->ring_mask], 0xff, sizeof none);
        struct io_uring_sqe *sqe = sley__uring_place(ring());
        CHECK(sqe != NULL && memcmp(sqe, &none, sizeof none) == 0);
        io_uring_prep_nop(sqe);
        io_uring_sqe_set_data64(sqe, SLEY__URING_NOTHING);
        CHECK_INT(look(0), >=, 0);
    }
}

SLEY_TEST(place_in_the_submission_queue_is_clear_of_what_was_there_before, "")
{
    in_ring((struct sley__uring_opts){.entry_count = 4}, take_places_of_others);
}
