/* A copy that is asked to end by another worker than the one that drives it. */
#define SHARED_APART 1
#include "shared_bed.h"

#include <sched.h>

static struct sley_stream_copy_op asked_copy;

/** When nobody else does anything, and on another worker than the one that drives the copy. */
static int ask(const struct sley_fd **fd)
{
    if (sley__fd_home(*fd) == sley_sched_current()->reactor) {
        return 0;
    }
    while (!harness_others_sleep()) {
        (void)sched_yield();
    }
    sley_wait_cancel(&asked_copy.chain.wait);
    return 1;
}
SLEY_FIBER(ask, const struct sley_fd *)

static void cancel_elsewhere(void)
{
    struct io_pair near, far;
    struct sley_task *t;
    char buf[8];
    int asked = 0;
    io_pair(&near, NULL);
    io_pair(&far, NULL);
    asked_copy = (struct sley_stream_copy_op){0};
    sley_stream_copy_start(&asked_copy, &far.a.stream, &near.b.stream, NULL);
    for (int i = 0; i < 5; i++) { /* it goes on by itself: at home, in no task */
        CHECK_RC(sley_stream_write(&near.a.stream, "hello", 5), 5);
        CHECK_RC(sley_stream_read_exact(&far.b.stream, buf, 5, NULL), 0);
    }
    for (uint32_t i = 0; i < sley_sched_current()->group->count; i++) {
        const struct sley_fd *fd = &near.b.fd;
        CHECK_RC(shared_executor->base.ops->spawn_on(&shared_executor->base, i, &ask__type, &fd, &t), 0);
        const int n = io_join(t);
        CHECK_INT(n, >=, 0);
        asked += n;
    }
    CHECK_INT(asked, >, 0);
    CHECK_RC(sley_await(&asked_copy.chain.wait), -ECANCELED);
    io_pair_close(&near);
    io_pair_close(&far);
}

SHARED_TEST(copy_cancelled_elsewhere_while_its_home_sleeps_ends, "")
{
    for (unsigned i = 0; i < rounds(100); i++) {
        cancel_elsewhere();
    }
    return 0;
}
