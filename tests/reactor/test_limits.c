/* Many descriptors, none left, no memory: clean errors, nothing lost, nothing leaked. */
#include "bed.h"

#include <sys/resource.h>

static rlim_t set_nofile(rlim_t n)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = n < limit.rlim_max ? n : limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    return before;
}

enum { PAIRS_MAX = 5000 };
static struct sley_fd fds[PAIRS_MAX];
static struct sley_io_op ops[PAIRS_MAX];
static int peers[PAIRS_MAX];

FIBER_TEST(ten_thousand_descriptors_each_get_their_byte, "")
{
    const int pairs = PAIRS_MAX / (int)harness_slowness();
    char byte[1];
    (void)set_nofile(10100);
    for (int i = 0; i < pairs; i++) {
        peers[i] = unix_pair(&fds[i]);
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, byte, 1);
        CHECK(!done_now(&ops[i].wait));
    }
    CHECK_UINT(reactor()->armed_count, ==, pairs);
    CHECK_INT(look(0), ==, 0);
    for (int i = 0; i < pairs; i += 2) {
        put(peers[i], "x");
    }
    for (int i = 0; i < pairs; i++) {
        if (i % 2 == 0) {
            CHECK_RC(until_done(&ops[i].wait), 1);
        } else {
            CHECK(!done_now(&ops[i].wait));
        }
    }
    CHECK_UINT(reactor()->armed_count, ==, pairs / 2);
    for (int i = 0; i < pairs; i++) {
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

FIBER_TEST(accept_without_descriptors_is_emfile_and_works_again, "")
{
    struct sockaddr_in addr;
    struct sley_fd l;
    struct sley_io_op op = {0};
    int fillers[64], n = 0;
    if (harness_under_valgrind()) {
        harness_note("valgrind takes the connection from the kernel before it says EMFILE");
        return;
    }
    sley_fd_init(&l, tcp_listener(&addr, 8));
    const int peer = tcp_dial(&addr);
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    io_start(&op, &l, SLEY_IO_ACCEPT, NULL, 0);
    CHECK_RC(until_done(&op.wait), 0);
    (void)close(op.out_number);
    if (!IS_URING) { /* there the limit is the one at the start */
        io_start(&op, &l, SLEY_IO_ACCEPT, NULL, 0);
        CHECK(!done_now(&op.wait));
    }
    const rlim_t before = set_nofile(40);
    while (n < 64 && (fillers[n] = dup(0)) >= 0) {
        n++;
    }
    CHECK_INT(connect(client, (struct sockaddr *)&addr, sizeof addr), ==, 0);
    if (IS_URING) {
        io_start(&op, &l, SLEY_IO_ACCEPT, NULL, 0);
    }
    CHECK_RC(until_done(&op.wait), -EMFILE);
    CHECK_INT(look(2 * SLEY_MS), ==, 0); /* it does not spin on what cannot be taken */
    io_start(&op, &l, SLEY_IO_ACCEPT, NULL, 0);
    CHECK(done_now(&op.wait));
    CHECK_RC(op.wait.result, -EMFILE);
    while (n > 0) {
        (void)close(fillers[--n]);
    }
    io_start(&op, &l, SLEY_IO_ACCEPT, NULL, 0);
    CHECK_RC(until_done(&op.wait), 0);
    (void)set_nofile(before);
    (void)close(op.out_number);
    (void)close(client);
    (void)close(peer);
    CHECK_RC(sley_fd_close(&l), 0);
}

SLEY_TEST(create_without_descriptors_is_emfile_and_leaks_none, "")
{
    static const struct sley_reactor_factory *const factory = &REACTOR;
    const struct sley_reactor_opts opts = {.alloc = harness_alloc()};
    const char *missing = MISSING();
    struct sley_reactor *r = NULL;
    int rc = -EMFILE;
    if (missing) {
        SKIP("%s", missing);
    }
    const int first = dup(0);
    (void)close(first);
    const rlim_t before = set_nofile(64);
    for (rlim_t n = (rlim_t)first; rc == -EMFILE; n++) {
        CHECK_UINT(n, <=, (rlim_t)first + 6); /* a loop of libuv's has four, and the process two that lie between */
        (void)set_nofile(n);
        rc = factory->create(&opts, &r);
    }
    CHECK_RC(rc, 0);
    (void)set_nofile(before);
    r->ops->destroy(r);
}

static void arm_high_numbers(void)
{
    /* each in a chunk of its own; the directory grows */
    static const int numbers[] = {120, 300, 1023};
    struct sley_fd fd[3];
    struct sley_io_op op[3] = {0};
    char byte;
    for (int i = 0; i < 3; i++) {
        struct sley_fd low;
        peers[i] = unix_pair(&low);
        CHECK_INT(dup3(low.number, numbers[i], O_CLOEXEC), ==, numbers[i]);
        (void)close(low.number);
        sley_fd_init(&fd[i], numbers[i]);
        io_start(&op[i], &fd[i], SLEY_IO_RECV, &byte, 1);
        if (done_now(&op[i].wait)) {
            CHECK(harness_alloc_refused());
            CHECK_RC(op[i].wait.result, -ENOMEM);
            io_start(&op[i], &fd[i], SLEY_IO_RECV, &byte, 1);
            CHECK(!done_now(&op[i].wait)); /* the next try has memory */
        }
    }
    for (int i = 0; i < 3; i++) {
        put(peers[i], "x");
        CHECK_RC(until_done(&op[i].wait), 1);
        CHECK_RC(sley_fd_close(&fd[i]), 0);
        (void)close(peers[i]);
    }
}

SLEY_TEST(memory_refused_at_any_point_is_enomem, "")
{
    static const struct sley_reactor_factory *const reactors[] = {&REACTOR, NULL};
    const char *missing = MISSING();
    if (missing) {
        SKIP("%s", missing);
    }
    HARNESS_SWEEP_ALLOC(points, 100)
    {
        struct sley_local ex;
        sley_local_init(&ex);
        const struct sley_executor_config config = {.alloc = harness_alloc(), .reactors = reactors};
        int rc = ex.base.ops->start(&ex.base, &config);
        if (rc == 0) {
            rc = ex.base.ops->spawn(&ex.base, &bed_fiber__type, &(struct bed_args){arm_high_numbers}, NULL);
            if (rc == 0) {
                CHECK_RC(ex.base.ops->run(&ex.base, NULL), 0);
            }
            CHECK_RC(ex.base.ops->fini(&ex.base), 0);
        }
        CHECK_RC(rc, rc == 0 ? 0 : -ENOMEM);
    }
    CHECK_UINT(points, >=, 6);
}

FIBER_TEST(memory_refused_while_many_are_armed_disturbs_none, "")
{
    enum { N = 100 };
    char byte;
    int refused = 0;
    for (int i = 0; i < N; i++) {
        peers[i] = unix_pair(&fds[i]);
        harness_fail_at(1);
        io_start(&ops[i], &fds[i], SLEY_IO_RECV, &byte, 1);
        harness_fail_at(0);
        if (done_now(&ops[i].wait)) {
            CHECK_RC(ops[i].wait.result, -ENOMEM);
            refused++;
            io_start(&ops[i], &fds[i], SLEY_IO_RECV, &byte, 1);
        }
        CHECK(!done_now(&ops[i].wait));
    }
    CHECK_INT(refused, >=, 1);
    for (int i = 0; i < N; i++) {
        put(peers[i], "x");
        CHECK_RC(until_done(&ops[i].wait), 1);
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
}

FIBER_TEST(as_many_polls_as_a_descriptor_can_hold, "")
{
    enum { N = SLEY_FD_HOLD_MASK };
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    static struct sley_io_op many[N], more;
    for (int i = 0; i < N; i++) {
        sley_fd_poll_start(&many[i], &fd, SLEY_IO_IN);
    }
    sley_fd_poll_start(&more, &fd, SLEY_IO_IN);
    CHECK_RC(more.wait.result, -EBUSY);
    put(peer, "x");
    CHECK_RC(until_done(&many[N - 1].wait), SLEY_IO_IN);
    CHECK_RC(until_done(&many[0].wait), SLEY_IO_IN);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}
