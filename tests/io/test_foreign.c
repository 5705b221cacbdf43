/* Descriptors that belong to somebody else, as something to wait for: eventfd, timerfd, inotify, pidfd; and FIFOs as files. */
#include "io_test.h"

#include <sley/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static int number; /* the descriptor; it stays this test's: the sley_fd that names it is forgotten, never closed */
static struct sley_fd fd;

struct waiter {
    struct sley_fd *fd;
};
static int waits_in(struct waiter *w)
{
    return sley_fd_poll(w->fd, SLEY_IO_IN);
}
SLEY_FIBER(waits_in, struct waiter)

static void take(int n)
{
    number = n;
    CHECK_INT(number, >=, 0);
    sley_fd_init(&fd, number);
}

static void give_back(void)
{
    CHECK_INT(close(number), ==, 0);
}

static void check_not_ready(void)
{
    CHECK_RC(SLEY_UNTIL(sley_now_ns(), sley_fd_poll(&fd, SLEY_IO_IN)), -ETIMEDOUT);
}

IO_TEST(foreign_eventfd_wakes_each_who_waits, "")
{
    struct sley_task *t[3];
    uint64_t value;
    take(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    check_not_ready();
    for (int i = 0; i < 3; i++) {
        IO_SPAWN(&t[i], waits_in, .fd = &fd);
    }
    io_settle();
    CHECK_INT(eventfd_write(number, 1), ==, 0);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(io_join(t[i]) & SLEY_IO_IN, !=, 0);
    }
    CHECK_INT(read(number, &value, sizeof value), ==, sizeof value); /* by a plain call: the owner's way */
    check_not_ready();
    CHECK_INT(eventfd_write(number, 1), ==, 0);
    CHECK_INT(sley_fd_poll(&fd, SLEY_IO_IN) & SLEY_IO_IN, !=, 0); /* and it works again */
    give_back();
    return 0;
}

IO_TEST(foreign_timerfd_is_ready_each_time_it_expires, "")
{
    uint64_t count;
    take(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    check_not_ready();
    for (int i = 0; i < 3; i++) {
        const struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
        CHECK_INT(timerfd_settime(number, 0, &soon, NULL), ==, 0);
        CHECK_INT(sley_fd_poll(&fd, SLEY_IO_IN) & SLEY_IO_IN, !=, 0);
        CHECK_INT(read(number, &count, sizeof count), ==, sizeof count);
        CHECK_UINT(count, ==, 1);
    }
    give_back();
    return 0;
}

static char dir[64], path[80];

static void make_dir(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/sley-foreign-XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof path, "%s/f", dir);
}

IO_TEST(foreign_inotify_tells_of_a_file, "")
{
    char events[4096];
    make_dir();
    take(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    CHECK_INT(inotify_add_watch(number, dir, IN_CREATE), >, 0);
    check_not_ready();
    struct sley_task *t;
    IO_SPAWN(&t, waits_in, .fd = &fd);
    io_settle();
    const int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK_INT(file, >=, 0);
    CHECK_INT(io_join(t) & SLEY_IO_IN, !=, 0);
    CHECK_INT(read(number, events, sizeof events), >=, sizeof(struct inotify_event));
    CHECK_INT(close(file), ==, 0);
    CHECK_INT(unlink(path), ==, 0);
    CHECK_INT(rmdir(dir), ==, 0);
    give_back();
    return 0;
}

IO_TEST(foreign_pidfd_is_ready_when_the_process_ends, "")
{
    int gate[2], status;
    char byte;
    CHECK_INT(pipe2(gate, O_CLOEXEC), ==, 0);
    const pid_t pid = fork();
    if (pid == 0) {
        _exit(close(gate[1]) != 0 || read(gate[0], &byte, 1) != 0); /* until the parent closes its end */
    }
    CHECK_INT(pid, >, 0);
    take((int)syscall(SYS_pidfd_open, pid, 0)); /* a blocking descriptor: it is waited for, never read */
    check_not_ready();
    struct sley_task *t;
    IO_SPAWN(&t, waits_in, .fd = &fd);
    io_settle();
    CHECK_INT(close(gate[1]), ==, 0);
    CHECK_INT(io_join(t) & SLEY_IO_IN, !=, 0);
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK_INT(status, ==, 0);
    CHECK_INT(close(gate[0]), ==, 0);
    give_back();
    return 0;
}

IO_TEST(foreign_wait_that_is_cancelled_leaves_the_descriptor_alone, "")
{
    struct sley_task *t;
    take(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    IO_SPAWN(&t, waits_in, .fd = &fd);
    io_settle();
    sley_task_cancel(t);
    CHECK_INT(io_join(t), ==, -ECANCELED);
    CHECK_INT(fcntl(number, F_GETFD), ==, FD_CLOEXEC); /* open, and its owner's */
    CHECK_INT(eventfd_write(number, 1), ==, 0);
    CHECK_INT(sley_fd_poll(&fd, SLEY_IO_IN) & SLEY_IO_IN, !=, 0);
    give_back();
    return 0;
}

/* ---- FIFOs as files --------------------------------------------------------------------------------------------------- */

struct source {
    struct sley_file *file;
    size_t bytes;
};
static int writes(struct source *s)
{
    unsigned char buf[1024];
    for (size_t at = 0; at < s->bytes;) {
        const size_t want = s->bytes - at < sizeof buf ? s->bytes - at : sizeof buf;
        io_fill(buf, at, want);
        const int n = sley_file_write(s->file, buf, want);
        CHECK_INT(n, >, 0);
        at += (size_t)n;
    }
    return sley_file_close(s->file);
}
SLEY_FIBER(writes, struct source)

static unsigned ticks;
static bool over;
struct nothing {
    char none;
};
static int tick(struct nothing *a)
{
    (void)a;
    while (!over) {
        ticks++;
        CHECK_RC(sley_sleep(SLEY_MS), 0);
    }
    return 0;
}
SLEY_FIBER(tick, struct nothing)

static void make_fifo(void)
{
    make_dir();
    CHECK_INT(mkfifo(path, 0600), ==, 0);
}

static void remove_fifo(void)
{
    CHECK_INT(unlink(path), ==, 0);
    CHECK_INT(rmdir(dir), ==, 0);
}

/** More goes through than the pipe holds. */
IO_TEST(foreign_fifo_opened_at_both_ends_passes_bytes, "")
{
    enum { BYTES = 300000 };
    struct sley_task *out;
    struct sley_file from = {.open = false}, to = {.open = false};
    unsigned char buf[1024];
    size_t at = 0;
    int n;
    make_fifo();
    CHECK_RC(sley_file_open(&from, path, O_RDONLY | O_NONBLOCK, 0), 0);
    CHECK_RC(sley_file_open(&to, path, O_WRONLY | O_NONBLOCK, 0), 0);
    IO_SPAWN(&out, writes, .file = &to, .bytes = BYTES);
    while ((n = sley_file_read(&from, buf, sizeof buf)) > 0) {
        io_check(buf, at, (size_t)n);
        at += (size_t)n;
    }
    CHECK_RC(n, 0);
    CHECK_UINT(at, ==, BYTES);
    CHECK_RC(io_join(out), 0);
    CHECK_RC(sley_file_close(&from), 0);
    remove_fifo();
    return 0;
}

struct sink {
    struct sley_file *file;
};
static int reads(struct sink *s)
{
    char buf[16];
    return sley_file_read(s->file, buf, sizeof buf);
}
SLEY_FIBER(reads, struct sink)

/** A read of a blocking descriptor: whoever else runs on the thread goes on. */
IO_TEST(foreign_fifo_without_nonblock_keeps_no_thread, "")
{
    struct sley_task *t, *ticker;
    struct sley_file from = {.open = false};
    make_fifo();
    const int to = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    CHECK_INT(to, >=, 0);
    CHECK_RC(sley_file_open(&from, path, O_RDONLY, 0), 0);
    over = false;
    IO_SPAWN(&ticker, tick, .none = 0);
    IO_SPAWN(&t, reads, .file = &from);
    io_settle();
    const unsigned before = ticks;
    CHECK_RC(sley_sleep(5 * SLEY_MS), 0);
    CHECK_UINT(ticks, >, before);
    CHECK_INT(write(to, "hello", 5), ==, 5);
    CHECK_RC(io_join(t), 5);
    IO_SPAWN(&t, reads, .file = &from);
    io_settle();
    CHECK_INT(close(to), ==, 0); /* the last writer goes */
    CHECK_RC(io_join(t), 0);
    over = true;
    CHECK_RC(io_join(ticker), 0);
    CHECK_RC(sley_file_close(&from), 0);
    remove_fifo();
    return 0;
}
