/* Opening a FIFO waits for its other end, without O_NONBLOCK, on each reactor: who ends it, and what becomes of who does not wait. */
#include "bed.h"

#include <sley/file_impl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static char dir_path[64], path[80];

static void make_fifo(void)
{
    (void)snprintf(dir_path, sizeof dir_path, "/tmp/sley-fifo-XXXXXX");
    CHECK(mkdtemp(dir_path) != NULL);
    (void)snprintf(path, sizeof path, "%s/f", dir_path);
    CHECK_INT(mkfifo(path, 0600), ==, 0);
}

static void remove_fifo(void)
{
    CHECK_INT(unlink(path), ==, 0);
    CHECK_INT(rmdir(dir_path), ==, 0);
}

static void open_start(struct sley_file_op *op, int how)
{
    *op = (struct sley_file_op){.io = {.code = SLEY_IO_OPEN}, .a.path = path, .dir = AT_FDCWD, .how = (uint32_t)how};
    sley_io_submit(&op->io);
}

static void take_turns(void)
{
    for (int i = 0; i < 20; i++) {
        CHECK_INT(look(0), >=, 0);
        CHECK_RC(sley_yield(), 0);
    }
}

/** The other end opens at once: by O_NONBLOCK when a reader waits, or by O_RDWR. */
static void other_end_comes(int how)
{
    struct sley_file_op op;
    open_start(&op, how);
    take_turns();
    CHECK(!sley_wait_done(&op.io.wait));
    const int both = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    CHECK_INT(both, >=, 0);
    CHECK_RC(sley_await(&op.io.wait), 0);
    CHECK_INT(fcntl(op.io.out_number, F_GETFL) & O_NONBLOCK, ==, 0);
    CHECK_INT(fcntl(op.io.out_number, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    CHECK_INT(close(op.io.out_number), ==, 0);
    CHECK_INT(close(both), ==, 0);
}

FIBER_TEST(open_of_a_fifo_waits_for_the_other_end, "")
{
    make_fifo();
    other_end_comes(O_RDONLY);
    other_end_comes(O_WRONLY);
    remove_fifo();
}

FIBER_TEST(open_of_a_fifo_with_nonblock_does_not_wait, "")
{
    struct sley_file_op op;
    make_fifo();
    open_start(&op, O_WRONLY | O_NONBLOCK);
    CHECK_RC(sley_await(&op.io.wait), -ENXIO);
    open_start(&op, O_RDONLY | O_NONBLOCK);
    CHECK_RC(sley_await(&op.io.wait), 0);
    CHECK_INT(fcntl(op.io.out_number, F_GETFL) & O_NONBLOCK, ==, O_NONBLOCK);
    CHECK_INT(close(op.io.out_number), ==, 0);
    remove_fifo();
}

/* ---- who does not wait any more ---------------------------------------------------------------------------------------- */

/** It was taken back, or is open. */
static void check_verdict(const struct sley_file_op *op)
{
    CHECK(sley_wait_done(&op->io.wait));
    if (op->io.wait.result == 0) {
        CHECK_INT(close(op->io.out_number), ==, 0);
    } else {
        CHECK_RC(op->io.wait.result, -ECANCELED);
    }
}

static int open_both(void)
{
    const int both = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    CHECK_INT(both, >=, 0);
    return both;
}

FIBER_TEST(open_of_a_fifo_that_is_cancelled_ends_with_its_other_end_at_the_latest, "REACT-22")
{
    make_fifo();
    for (int i = 0; i < 40; i++) {
        struct sley_file_op op;
        open_start(&op, i % 2 ? O_RDONLY : O_WRONLY);
        if (i % 4 > 1) {
            take_turns();
        }
        sley_wait_cancel(&op.io.wait);
        if (IS_URING) { /* the kernel interrupts the call */
            CHECK_RC(sley_await(&op.io.wait), -ECANCELED);
        } else {
            const int both = open_both();
            (void)sley_await(&op.io.wait);
            CHECK_INT(close(both), ==, 0);
        }
        check_verdict(&op);
    }
    remove_fifo();
}

static struct sley_file_op left;

static void leave_one(void)
{
    open_start(&left, O_RDONLY);
    if (harness_rand_below(2)) {
        take_turns();
    }
}

static void *come_and_stay(void *ret_number)
{
    *(int *)ret_number = open_both();
    return NULL;
}

SLEY_TEST(reactor_that_ends_takes_back_the_open_of_a_fifo_or_waits_for_the_other_end, "")
{
    make_fifo();
    for (int i = 0; i < 20; i++) {
        struct bed b;
        pthread_t t;
        int both = -1;
        bed_start(&b);
        bed_run(&b, leave_one);
        if (!IS_URING) {
            CHECK_INT(pthread_create(&t, NULL, come_and_stay, &both), ==, 0);
        }
        bed_end(&b);
        check_verdict(&left);
        if (!IS_URING) {
            CHECK_INT(pthread_join(t, NULL), ==, 0);
            CHECK_INT(close(both), ==, 0);
        }
    }
    remove_fifo();
}
