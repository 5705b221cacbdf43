/* The way of an op, over a reactor that does nothing by itself: who is admitted, who holds what, what comes out. */
#include "bed.h"

struct fake {
    struct sley_reactor base;
    struct sley_io_op *armed[8];
    int count, adopted, cancels;
    int adopt_rc;
    bool arm; /* else submit finishes with `result` */
    int32_t result;
};

static struct fake *fake_of(struct sley_reactor *r)
{
    return sley_container_of(r, struct fake, base);
}

static int fake_adopt(struct sley_reactor *self, struct sley_fd *fd)
{
    (void)fd;
    fake_of(self)->adopted++;
    return fake_of(self)->adopt_rc;
}

static void fake_submit(struct sley_reactor *self, struct sley_io_op *op)
{
    struct fake *f = fake_of(self);
    if (f->arm) {
        sley_io_arm(self, op);
        f->armed[f->count++] = op;
    } else {
        sley_io_finish(op, f->result);
    }
}

static void fake_cancel(struct sley_reactor *self, struct sley_io_op *op)
{
    (void)op;
    fake_of(self)->cancels++; /* it will complete in its own time */
}

static int fake_poll(struct sley_reactor *self, uint64_t timeout_ns)
{
    (void)self, (void)timeout_ns;
    return 0;
}

static void fake_nothing(struct sley_reactor *self)
{
    (void)self;
}

static const struct sley_reactor_ops fake_ops = {
    .version = SLEY_REACTOR_VERSION,
    .name = "fake",
    .adopt = fake_adopt,
    .submit = fake_submit,
    .cancel = fake_cancel,
    .poll = fake_poll,
    .wake = fake_nothing,
    .destroy = fake_nothing,
};

static struct fake fake;
static struct sley_reactor *usual;

static void fake_on(void)
{
    struct sley_sched *s = sley_sched_current();
    fake = (struct fake){.base = {.ops = &fake_ops, .sched = s}};
    usual = s->reactor;
    s->reactor = &fake.base;
}

static void fake_off(void)
{
    sley_sched_current()->reactor = usual;
}

SLEY_TEST(table_is_complete_or_einval, "")
{
    CHECK_RC(sley_reactor_check(&fake_ops), 0);
    CHECK_RC(sley_reactor_check(NULL), -EINVAL);
    for (int i = 0; i < 7; i++) {
        struct sley_reactor_ops ops = fake_ops;
        ops.version = i == 0 ? 0 : ops.version;
        ops.name = i == 1 ? NULL : ops.name;
        ops.submit = i == 2 ? NULL : ops.submit;
        ops.cancel = i == 3 ? NULL : ops.cancel;
        ops.poll = i == 4 ? NULL : ops.poll;
        ops.wake = i == 5 ? NULL : ops.wake;
        ops.destroy = i == 6 ? NULL : ops.destroy;
        CHECK_RC(sley_reactor_check(&ops), -EINVAL);
    }
    struct sley_reactor_ops ops = fake_ops;
    ops.adopt = NULL;
    ops.pollable_fd = NULL;
    CHECK_RC(sley_reactor_check(&ops), 0);
}

FIBER_TEST(first_op_adopts_once, "")
{
    struct sley_fd fd;
    fake_on();
    sley_fd_init(&fd, 5);
    fake.adopt_rc = -EEXIST;
    CHECK_RC(io(&fd, SLEY_IO_RECV, NULL, 0), -EEXIST);
    CHECK(fd.home == NULL);
    fake.adopt_rc = 0;
    fake.result = 7;
    for (int i = 0; i < 3; i++) {
        CHECK_RC(io(&fd, SLEY_IO_RECV, NULL, 0), 7);
        CHECK_RC(io(&fd, SLEY_IO_ACCEPT, NULL, 0), 7);
        CHECK(fd.home == &fake.base);
    }
    CHECK_INT(fake.adopted, ==, 2);
    fake_off();
}

FIBER_TEST(directions_are_taken_while_armed, "REACT-04")
{
    static const uint8_t reads[] = {SLEY_IO_RECV, SLEY_IO_RECVMSG}, writes[] = {SLEY_IO_SEND, SLEY_IO_SENDMSG, SLEY_IO_CONNECT};
    struct sley_fd fd;
    fake_on();
    sley_fd_init(&fd, 5);
    for (int w = 0; w < 2; w++) {
        const uint8_t *same = w ? writes : reads, *others = w ? reads : writes;
        for (int i = 0; i < (w ? 3 : 2); i++) {
            struct sley_io_op op = {0}, other = {0}, accept = {0};
            fake.arm = true;
            fake.count = 0;
            io_start(&op, &fd, same[i], NULL, 0);
            for (int k = 0; k < (w ? 3 : 2); k++) {
                CHECK_RC(io(&fd, same[k], NULL, 0), -EBUSY);
            }
            io_start(&other, &fd, others[i % 2], NULL, 0);
            io_start(&accept, &fd, SLEY_IO_ACCEPT, NULL, 0);
            CHECK_INT(fake.count, ==, 3);
            CHECK_UINT(fake.base.armed_count, ==, 3);
            CHECK_UINT(sley__fd_state(&fd) & SLEY_FD_HOLD_MASK, ==, 3);
            sley_io_complete(&fake.base, &op, 1);
            fake.arm = false;
            CHECK_RC(io(&fd, same[i], NULL, 0), 0);
            sley_io_complete(&fake.base, &other, 1);
            sley_io_complete(&fake.base, &accept, 1);
            CHECK_UINT(sley__fd_state(&fd), ==, SLEY_FD_FAR); /* the bed's reactor has no short ways */
            CHECK_UINT(fake.base.armed_count, ==, 0);
        }
    }
    fake_off();
}

FIBER_TEST(cancel_asks_and_the_true_result_stays, "")
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    fake_on();
    fake.arm = true;
    sley_fd_init(&fd, 5);
    io_start(&op, &fd, SLEY_IO_RECV, NULL, 0);
    sley_wait_cancel(&op.wait);
    sley_wait_cancel(&op.wait);
    CHECK_INT(fake.cancels, ==, 1);
    CHECK(!sley_wait_done(&op.wait));
    sley_io_complete(&fake.base, &op, 3);
    CHECK_RC(sley_await(&op.wait), 3);
    fake_off();
}

FIBER_TEST(close_is_submitted_once_and_refuses_what_follows, "")
{
    struct sley_fd fd;
    struct sley_io_op op = {0}, close_op = {0};
    fake_on();
    fake.arm = true;
    sley_fd_init(&fd, 5);
    io_start(&op, &fd, SLEY_IO_RECV, NULL, 0);
    sley_fd_close_start(&close_op, &fd);
    CHECK_INT(fake.count, ==, 2);
    CHECK_PTR(fake.armed[1], ==, &close_op);
    CHECK_RC(io(&fd, SLEY_IO_SEND, NULL, 0), -EBADF);
    CHECK_RC(sley_fd_close(&fd), 0); /* the second has nothing to do */
    CHECK_INT(fake.count, ==, 2);
    sley_wait_cancel(&close_op.wait); /* never */
    CHECK_INT(fake.cancels, ==, 0);
    sley_io_complete(&fake.base, &op, -ECANCELED);
    sley_io_complete(&fake.base, &close_op, 0);
    fake_off();
}

static int32_t end_seen;
static int ends;

static int32_t end(struct sley_io_op *op, int32_t result)
{
    CHECK_INT(op->code, !=, 0);
    end_seen = result;
    ends++;
    return result < 0 ? result : 100 + result;
}

static int cancelled_body(void *unused)
{
    (void)unused;
    struct sley_fd fd;
    struct sley_io_op op = {.fd = &fd, .code = SLEY_IO_RECV, .end = end};
    sley_fd_init(&fd, 5);
    fake.arm = false;
    CHECK_RC(sley_yield(), -ECANCELED);
    ends = 0;
    CHECK_RC(sley_io_run(&op), -ECANCELED);
    CHECK_INT(ends, ==, 1);
    op.code = 200;
    CHECK_RC(sley_io_run(&op), -ECANCELED);
    CHECK_INT(ends, ==, 2);
    CHECK_INT(fake.count, ==, 0);
    return 0;
}

struct nothing {
    int unused;
};

static int cancelled(struct nothing *a)
{
    return cancelled_body(a);
}
SLEY_FIBER(cancelled, struct nothing)

FIBER_TEST(end_is_called_once_whatever_the_outcome, "")
{
    struct sley_fd fd;
    struct sley_io_op op = {.fd = &fd, .code = SLEY_IO_RECV, .end = end};
    struct sley_task *t;
    fake_on();
    sley_fd_init(&fd, 5);
    fake.result = 3;
    sley_io_submit(&op);
    CHECK_RC(op.wait.result, 103);
    CHECK_INT(ends, ==, 1);
    fake.arm = true;
    sley_io_submit(&op);
    CHECK_INT(ends, ==, 1);
    sley_io_complete(&fake.base, &op, 4);
    CHECK_RC(op.wait.result, 104);
    CHECK_INT(ends, ==, 2);
    sley__fd_set(&fd, SLEY_FD_CLOSING);
    sley_io_submit(&op);
    CHECK_RC(op.wait.result, -EBADF);
    CHECK_INT(end_seen, ==, -EBADF);
    CHECK_INT(ends, ==, 3);
    fake.count = 0;
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, cancelled, .unused = 0), 0);
    sley_task_cancel(t);
    CHECK_RC(sley_task_join(t, NULL), 0);
    sley_task_unref(t);
    fake_off();
}

FIBER_TEST(start_without_a_reactor_is_enotsup, "")
{
    struct sley_fd fd;
    const int peer = unix_pair(&fd);
    struct sley_sched *s = sley_sched_current();
    usual = s->reactor;
    s->reactor = NULL;
    CHECK_RC(sley_fd_poll(&fd, SLEY_IO_OUT), -ENOTSUP);
    CHECK_RC(sley_fd_close(&fd), 0);
    fake_off();
    (void)close(peer);
}
