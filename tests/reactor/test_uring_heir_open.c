/* Opening a FIFO, which a thread of the kernel's does and waits in, for a thread that has ended since. */
#include "uring_heir_bed.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int told;
static int32_t opened;
static char fifo_path[] = "/tmp/sley-heir-fifo-XXXXXX/f";

static void make_fifo(void)
{
    char *slash = strrchr(fifo_path, '/');
    *slash = '\0';
    CHECK(mkdtemp(fifo_path) != NULL);
    *slash = '/';
    CHECK_INT(mkfifo(fifo_path, 0600), ==, 0);
}

static void remove_fifo(void)
{
    CHECK_INT(unlink(fifo_path), ==, 0);
    *strrchr(fifo_path, '/') = '\0';
    CHECK_INT(rmdir(fifo_path), ==, 0);
}

/** Of these flags the kernel makes a call on a thread of its own, which waits until somebody writes. */
static void start_opening(struct sley_file_op *op)
{
    *op = (struct sley_file_op){.io = {.code = SLEY_IO_OPEN}, .a.path = fifo_path, .dir = AT_FDCWD, .how = O_RDONLY | O_CREAT};
    sley_io_submit(&op->io);
}

/** Does a thread of the kernel's for this ring sleep, in the call that it makes? */
static bool call_waits(void)
{
    DIR *dir = opendir("/proc/self/task");
    bool waits = false;
    CHECK(dir != NULL);
    for (const struct dirent *e; !waits && (e = readdir(dir)) != NULL;) {
        char path[300], text[256] = "";
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/stat", e->d_name);
        const int number = open(path, O_RDONLY | O_CLOEXEC);
        waits = number >= 0 && read(number, text, sizeof text - 1) > 0 && strstr(text, "(iou-wrk") && strstr(text, ") S ");
        CHECK_INT(number < 0 ? 0 : close(number), ==, 0);
    }
    (void)closedir(dir);
    return waits;
}

/** As hand_over; a call that has not begun when the thread ends would keep it: the kernel wakes who waits already. */
static void hand_over_a_call(void)
{
    hand_over();
    while (!call_waits()) {
        (void)sched_yield();
    }
}

static void open_fifo(void)
{
    struct sley_file_op op;
    start_opening(&op);
    opened = sley_await(&op.io.wait);
    if (opened == 0) {
        (void)close(op.io.out_number);
    }
    told++;
}

SLEY_TEST(open_that_a_thread_has_taken_with_it_is_done_by_the_next_where_the_ring_is_nobodys, "URING-12")
{
    make_fifo();
    open_on("defer_taskrun");
    told = 0;
    spawn(open_fifo);
    ring_run_and_end(&the_bed, hand_over_a_call);
    CHECK_INT(told, ==, 0);
    ring_run_one(&the_bed, hand_over);
    CHECK_INT(told, ==, 0);
    const int both = open(fifo_path, O_RDWR | O_CLOEXEC); /* its writer, who waits for nobody */
    CHECK_INT(both, >=, 0);
    CHECK_RC(the_bed.ex.base.ops->run(&the_bed.ex.base, NULL), 0);
    CHECK_INT(told, ==, 1);
    CHECK_RC(opened, 0);
    (void)close(both);
    bed_end(&the_bed);
    remove_fifo();
}

static void cancel_opening(void)
{
    struct sley_file_op op;
    start_opening(&op);
    CHECK_INT(look(0), >=, 0);
    sley_wait_cancel(&op.io.wait);
    CHECK_RC(until_done(&op.io.wait), -ECANCELED);
}

SLEY_TEST(open_that_waits_is_cancelled_and_says_so, "REACT-22")
{
    make_fifo();
    for (size_t i = 0; i < KERNELS; i++) {
        in_ring((struct sley__uring_opts){.without = uring_without(kernels[i])}, cancel_opening);
    }
    remove_fifo();
}
