/* Files and paths as a program uses them: under executors of one and of several workers, with a blocking pool and without. */
#include "io_test.h"

#include <sley/file.h>
#include <sley/offload.h>
#include <sley/runtime.h>
#include <sley/stealing.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- rig ------------------------------------------------------------------------------------------------------------ */

/** Who runs the case, and who makes the calls. */
struct place {
    const struct sley_reactor_factory *reactor;
    uint32_t workers; /* 0: local */
    bool pool;        /* else a helper thread */
};

static struct sley_blocking_pool *pool; /* the case's, or NULL */

static void run_in(const struct place *p, const struct sley_task_type *type)
{
    const struct sley_reactor_factory *const reactors[] = {p->reactor, NULL};
    struct sley_executor_config config = {.alloc = harness_alloc(), .reactors = reactors, .worker_count = p->workers};
    struct sley_offload_blocking offload;
    struct sley_local local;
    struct sley_stealing stealing;
    struct sley_executor *ex = p->workers ? &stealing.base : &local.base;
    struct sley_task *t = NULL;
    int result = -EIO;
    sley_local_init(&local);
    sley_stealing_init(&stealing, NULL);
    if (p->pool) {
        CHECK_RC(sley_blocking_create(&(struct sley_blocking_opts){.thread_max = 4}, &pool), 0);
        sley_offload_blocking_init(&offload, pool);
        config.offload = &offload.base;
    }
    CHECK_RC(ex->ops->start(ex, &config), 0);
    CHECK_RC(ex->ops->spawn(ex, type, NULL, &t), 0);
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    sley_task_unref(t);
    CHECK_RC(result, 0);
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
    if (pool) {
        CHECK_RC(sley_blocking_destroy(pool), 0);
    }
}

#define THREE_PLACES(name, ids)                                                \
    static int name(void *unused);                                             \
    SLEY_FIBER(name, void)                                                     \
    SLEY_TEST(name##_epoll_pool, ids)                                          \
    {                                                                          \
        run_in(&(struct place){&sley_reactor_epoll, 0, true}, &name##__type);  \
    }                                                                          \
    SLEY_TEST(name##_poll_helper, ids)                                         \
    {                                                                          \
        run_in(&(struct place){&sley_reactor_poll2, 0, false}, &name##__type); \
    }                                                                          \
    SLEY_TEST(name##_three_workers_pool, ids)                                  \
    {                                                                          \
        run_in(&(struct place){&sley_reactor_epoll, 3, true}, &name##__type);  \
    }

/** A case in each place. The body is a fiber, and returns 0. */
#define FILE_TEST(name, ids)                                                   \
    THREE_PLACES(name, ids)                                                    \
    SLEY_TEST(name##_two_workers_helper, ids)                                  \
    {                                                                          \
        run_in(&(struct place){&sley_reactor_epoll, 2, false}, &name##__type); \
    }                                                                          \
    static int name(void *unused __attribute__((unused)))

static char dir[PATH_MAX - 64];

static const char *make_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(dir, sizeof dir, "%s/sley-files-XXXXXX", tmp ? tmp : "/tmp");
    CHECK(mkdtemp(dir) != NULL);
    return dir;
}

/** A path in the directory; each of the four last ones is its own. */
static const char *in_dir(const char *name)
{
    static char text[4][PATH_MAX];
    static SLEY_ATOMIC(unsigned) turn;
    /* relaxed: only a number of one's own */
    char *at = text[atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed) % 4];
    (void)snprintf(at, PATH_MAX, "%s/%s", dir, name);
    return at;
}

/* ---- what each call does ---------------------------------------------------------------------------------------------- */

static void use_every_call(void)
{
    struct sley_file f = {0}, g = {0};
    struct statx st;
    char a[8] = "", b[8] = "";
    make_dir();
    CHECK_RC(sley_path_mkdir(in_dir("d"), 0700), 0);
    CHECK_RC(sley_file_open(&f, in_dir("d/none"), O_RDONLY, 0), -ENOENT);
    CHECK(!f.open);
    CHECK_RC(sley_file_read(&f, a, 1), -EBADF);
    CHECK_RC(sley_file_stat(&f, &st), -EBADF);
    CHECK_RC(sley_file_close(&f), 0);
    CHECK_RC(sley_file_open(&f, in_dir("d/f"), O_RDWR | O_CREAT | O_EXCL, 0600), 0);
    CHECK_RC(sley_file_write(&f, "abc", 3), 3);
    CHECK_RC(sley_file_write_at(&f, "xyz", 3, 3), 3);
    CHECK_RC(sley_file_write(&f, "d", 1), 1); /* stands at 3 still */
    CHECK_RC(sley_file_read_at(&f, a, sizeof a, 0), 6);
    CHECK_STR(a, "abcdyz");
    CHECK_RC(sley_file_read_at(&f, a, 1, UINT64_MAX), -EINVAL);
    const struct iovec out[] = {{(void *)(uintptr_t) "12", 2}, {(void *)(uintptr_t) "345", 3}}, in[] = {{a, 1}, {b, 4}};
    CHECK_RC(sley_file_writev_at(&f, out, 2, 10), 5);
    CHECK_RC(sley_file_readv_at(&f, in, 2, 10), 5);
    CHECK_INT(a[0], ==, '1');
    CHECK_STR(b, "2345");
    CHECK_RC(sley_file_sync(&f), 0);
    CHECK_RC(sley_file_datasync(&f), 0);
    CHECK_RC(sley_file_stat(&f, &st), 0);
    CHECK_UINT(st.stx_size, ==, 15);
    const int allocated = sley_file_allocate(&f, 0, 100);
    CHECK(allocated == 0 || allocated == -EOPNOTSUPP);
    CHECK_RC(sley_file_close(&f), 0);
    CHECK_RC(sley_file_close(&f), 0);
    CHECK_RC(sley_file_read(&f, a, 1), -EBADF);
    CHECK_RC(sley_path_rename(in_dir("d/f"), in_dir("g")), 0);
    CHECK_RC(sley_path_rename(in_dir("d/f"), NULL), -EFAULT);
    CHECK_RC(sley_path_stat(in_dir("g"), &st), 0);
    CHECK_UINT(st.stx_size, ==, allocated == 0 ? 100 : 15);
    CHECK_RC(sley_path_stat(in_dir("d/f"), &st), -ENOENT);
    CHECK_RC(sley_file_from_fd(&g, -1), -EBADF);
    CHECK_RC(sley_file_from_fd(&g, open(in_dir("g"), O_RDONLY | O_CLOEXEC)), 0);
    CHECK_RC(sley_file_read(&g, a, 4), 4);
    CHECK_RC(sley_file_write(&g, "no", 2), -EBADF);
    CHECK_RC(sley_file_close(&g), 0);
    CHECK_RC(sley_path_unlink(in_dir("g")), 0);
    CHECK_RC(sley_path_unlink(in_dir("g")), -ENOENT);
    CHECK_RC(sley_path_rmdir(in_dir("d")), 0);
    CHECK_RC(sley_path_rmdir(dir), 0);
}

FILE_TEST(file_calls_do_what_they_say, "")
{
    use_every_call();
    return 0;
}

SLEY_TEST(file_calls_on_a_plain_thread_are_made_there, "")
{
    use_every_call();
}

FILE_TEST(file_read_in_part_and_then_written_goes_on_where_it_stands, "FS-01")
{
    struct sley_file f;
    char got[8] = "";
    make_dir();
    CHECK_RC(sley_file_open(&f, in_dir("p"), O_RDWR | O_CREAT, 0600), 0);
    CHECK_RC(sley_file_write_at(&f, "01234567", 8, 0), 8);
    CHECK_RC(sley_file_read(&f, got, 3), 3);
    CHECK_RC(sley_file_write(&f, "X", 1), 1);
    CHECK_RC(sley_file_read(&f, got + 3, 2), 2);
    CHECK_STR(got, "01245");
    CHECK_RC(sley_file_read_at(&f, got, 8, 0), 8);
    CHECK_INT(memcmp(got, "012X4567", 8), ==, 0);
    CHECK_RC(sley_file_close(&f), 0);
    CHECK_RC(sley_path_unlink(in_dir("p")), 0);
    CHECK_RC(sley_path_rmdir(dir), 0);
    return 0;
}

struct pages {
    struct sley_frame frame;
    struct sley_file file;
    union {
        struct sley_file_op file;
        struct sley_io_op io;
    } op;
    int rc, last;
    char buf[4];
};

static enum sley_step read_by_frame(struct pages *f)
{
    SLEY_BEGIN(f);
    SLEY_CALL(f, f->rc, sley_file_open, &f->op.file, &f->file, in_dir("frame"), O_RDWR | O_CREAT, 0600);
    if (f->rc == 0) {
        SLEY_CALL(f, f->rc, sley_file_write_at, &f->op.file, &f->file, "abcdef", 6, 0);
    }
    f->last = 0;
    while (f->rc > 0) {
        SLEY_CALL(f, f->rc, sley_file_read, &f->op.file, &f->file, f->buf, sizeof f->buf);
        f->last = f->last * 10 + f->rc;
    }
    f->op.io = (struct sley_io_op){0};
    SLEY_CALL(f, f->rc, sley_file_close, &f->op.io, &f->file);
    SLEY_RETURN(f, f->rc < 0 ? f->rc : f->last);
    SLEY_END(f);
}
SLEY_FRAME(read_by_frame, struct pages)

FILE_TEST(frame_reads_a_file_to_its_end, "")
{
    struct sley_task *t;
    make_dir();
    IO_SPAWN(&t, read_by_frame, .rc = 0);
    CHECK_INT(io_join(t), ==, 420); /* 4, 2, 0 */
    CHECK_RC(sley_path_unlink(in_dir("frame")), 0);
    CHECK_RC(sley_path_rmdir(dir), 0);
    return 0;
}

/* ---- many at once ------------------------------------------------------------------------------------------------------- */

enum { BLOCK = 1024, TASKS = 16 };

struct part {
    struct sley_file *f;
    unsigned at, rounds;
};

/** Writes and reads a block of its own, and changes its mind now and then. */
static int use_part(struct part *a)
{
    unsigned char buf[BLOCK];
    unsigned seen = 0;
    for (unsigned i = 0; i < a->rounds; i++) {
        struct sley_file_op op = {0};
        const bool write = harness_rand_below(3) == 0;
        io_fill(buf, a->at * BLOCK, BLOCK);
        if (write) {
            sley_file_write_at_start(&op, a->f, buf, BLOCK, (uint64_t)a->at * BLOCK);
        } else {
            memset(buf, 0, BLOCK);
            sley_file_read_at_start(&op, a->f, buf, BLOCK, (uint64_t)a->at * BLOCK);
        }
        const bool doubts = harness_rand_below(4) == 0;
        for (uint64_t n = harness_rand_below(4); n > 0; n--) {
            (void)sley_yield();
        }
        if (doubts) {
            sley_wait_cancel(&op.wait);
        }
        const int rc = sley_await(&op.wait);
        if (rc == -EBADF) {
            return (int)seen;
        }
        CHECK(rc == BLOCK || rc == -ECANCELED);
        if (rc == BLOCK) {
            io_check(buf, a->at * BLOCK, BLOCK);
            seen++;
        }
    }
    return (int)seen;
}
SLEY_FIBER(use_part, struct part)

static void open_parts(struct sley_file *f)
{
    unsigned char buf[BLOCK];
    make_dir();
    CHECK_RC(sley_file_open(f, in_dir("parts"), O_RDWR | O_CREAT, 0600), 0);
    for (unsigned i = 0; i < TASKS; i++) {
        io_fill(buf, i * BLOCK, BLOCK);
        CHECK_RC(sley_file_write_at(f, buf, BLOCK, (uint64_t)i * BLOCK), BLOCK);
    }
}

FILE_TEST(file_used_by_many_tasks_that_change_their_minds_gives_each_its_own, "REACT-17")
{
    struct sley_file f;
    struct sley_task *t[TASKS];
    open_parts(&f);
    for (unsigned i = 0; i < TASKS; i++) {
        IO_SPAWN(&t[i], use_part, .f = &f, .at = i, .rounds = 400 / harness_slowness());
    }
    for (unsigned i = 0; i < TASKS; i++) {
        CHECK_INT(io_join(t[i]), >, 0);
    }
    CHECK_RC(sley_file_close(&f), 0);
    CHECK_RC(sley_path_unlink(in_dir("parts")), 0);
    CHECK_RC(sley_path_rmdir(dir), 0);
    return 0;
}

FILE_TEST(file_closed_under_its_users_ends_each_of_them, "REACT-20 REACT-24")
{
    for (unsigned round = 0; round < 20 / harness_slowness() + 1; round++) {
        struct sley_file f;
        struct sley_task *t[TASKS];
        open_parts(&f);
        const int number = f.fd.number;
        const uint64_t file = io_file_of(number);
        for (unsigned i = 0; i < TASKS; i++) {
            IO_SPAWN(&t[i], use_part, .f = &f, .at = i, .rounds = UINT_MAX);
        }
        for (uint64_t n = harness_rand_below(200); n > 0; n--) {
            (void)sley_yield();
        }
        CHECK_RC(sley_file_close(&f), 0);
        CHECK_UINT(io_file_of(number), !=, file);
        for (unsigned i = 0; i < TASKS; i++) {
            (void)io_join(t[i]);
        }
        CHECK_RC(sley_path_unlink(in_dir("parts")), 0);
        CHECK_RC(sley_path_rmdir(dir), 0);
    }
    return 0;
}

/* ---- calls in line, calls that have begun ---------------------------------------------------------------------------------- */

static struct sley_file_op blocker;
static struct sley_file blocked;

/** Whoever makes calls makes none until unblock. Not where there is a helper for each of several workers. */
static void block(void)
{
    if (pool) {
        CHECK_RC(sley_blocking_resize(pool, 0, 0), 0);
    } else {
        CHECK_INT(mkfifo(in_dir("gate"), 0600), ==, 0);
        sley_file_open_start(&blocker, &blocked, in_dir("gate"), O_WRONLY, 0);
    }
}

static void unblock(void)
{
    if (pool) {
        CHECK_RC(sley_blocking_resize(pool, 0, 4), 0);
        return;
    }
    const int number = open(in_dir("gate"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK_INT(number, >=, 0);
    CHECK_RC(sley_await(&blocker.wait), 0); /* a call that has begun: it was opened when the other side came */
    CHECK_RC(sley_file_close(&blocked), 0);
    CHECK_INT(close(number), ==, 0);
    CHECK_INT(unlink(in_dir("gate")), ==, 0);
}

#define LINE_TEST(name, ids) \
    THREE_PLACES(name, ids)  \
    static int name(void *unused __attribute__((unused)))

LINE_TEST(calls_in_line_end_when_cancelled_and_when_their_file_is_closed, "REACT-20")
{
    enum { N = 8 };
    static struct sley_file_op ops[N];
    struct sley_io_op closing = {0};
    struct sley_file f, other;
    make_dir();
    CHECK_RC(sley_file_open(&f, in_dir("f"), O_RDWR | O_CREAT, 0600), 0);
    CHECK_RC(sley_file_open(&other, in_dir("f"), O_RDWR, 0), 0);
    block();
    for (int i = 0; i < N; i++) {
        sley_file_sync_start(&ops[i], i == 0 ? &other : &f);
        CHECK(!sley_wait_done(&ops[i].wait));
    }
    for (int i = 5; i < N; i++) {
        sley_wait_cancel(&ops[i].wait);
        CHECK_RC(sley_await(&ops[i].wait), -ECANCELED);
    }
    sley_file_close_start(&closing, &f);
    CHECK_RC(sley_await(&closing.wait), 0);
    for (int i = 1; i < 5; i++) {
        CHECK_RC(sley_await(&ops[i].wait), -ECANCELED);
    }
    CHECK(!sley_wait_done(&ops[0].wait));
    unblock();
    CHECK_RC(sley_await(&ops[0].wait), 0);
    CHECK_RC(sley_file_close(&other), 0);
    CHECK_RC(sley_path_unlink(in_dir("f")), 0);
    CHECK_RC(sley_path_rmdir(dir), 0);
    return 0;
}

FILE_TEST(call_that_has_begun_is_waited_for_by_a_cancel_and_by_a_close, "REACT-17")
{
    enum { MUCH = 256 * 1024 };
    static char bytes[MUCH], got[MUCH];
    struct sley_file f;
    struct sley_file_op op = {0};
    struct sley_io_op closing = {0};
    size_t there = 0;
    make_dir();
    CHECK_INT(mkfifo(in_dir("w"), 0600), ==, 0);
    const int reader = open(in_dir("w"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK_INT(reader, >=, 0);
    CHECK_RC(sley_file_open(&f, in_dir("w"), O_WRONLY, 0), 0); /* one that blocks: the write below is one call */
    memset(bytes, 'x', MUCH);
    sley_file_write_start(&op, &f, bytes, MUCH);
    while (there == 0) {
        const ssize_t n = read(reader, got, sizeof got);
        there += n > 0 ? (size_t)n : 0;
        (void)sley_yield();
    }
    sley_wait_cancel(&op.wait);
    sley_file_close_start(&closing, &f);
    CHECK(!sley_wait_done(&closing.wait));
    CHECK_RC(sley_file_write(&f, bytes, 1), -EBADF);
    while (there < MUCH) {
        if (there + 2 * 65536 <= MUCH) { /* else the rest fits into the pipe */
            CHECK(!sley_wait_done(&closing.wait));
        }
        const ssize_t n = read(reader, got, sizeof got);
        there += n > 0 ? (size_t)n : 0;
        (void)sley_yield();
    }
    CHECK_RC(sley_await(&op.wait), MUCH);
    CHECK_RC(sley_await(&closing.wait), 0);
    CHECK_INT(close(reader), ==, 0);
    CHECK_RC(sley_path_unlink(in_dir("w")), 0);
    CHECK_RC(sley_path_rmdir(dir), 0);
    return 0;
}

/* ---- ends -------------------------------------------------------------------------------------------------------------------- */

static int use_a_dead_pool(void *unused __attribute__((unused)))
{
    struct sley_file f;
    make_dir();
    CHECK_RC(sley_file_open(&f, in_dir("f"), O_RDWR | O_CREAT, 0600), 0);
    CHECK_RC(sley_blocking_stop(pool, SLEY_NEVER), 0);
    for (int i = 0; i < 2; i++) {
        struct sley_file none = {0};
        struct statx st;
        CHECK_RC(sley_file_open(&none, in_dir("f"), O_RDONLY, 0), -ECANCELED);
        CHECK_RC(sley_file_write_at(&f, "x", 1, 0), -ECANCELED);
        CHECK_RC(sley_file_sync(&f), -ECANCELED);
        CHECK_RC(sley_file_stat(&f, &st), -ECANCELED);
        CHECK_RC(sley_path_unlink(in_dir("f")), -ECANCELED);
    }
    CHECK_RC(sley_file_close(&f), 0);
    CHECK_INT(unlink(in_dir("f")), ==, 0);
    CHECK_INT(rmdir(dir), ==, 0);
    return 0;
}
SLEY_FIBER(use_a_dead_pool, void)

SLEY_TEST(file_calls_on_a_pool_that_has_ended_are_refused_each_time, "FS-03")
{
    run_in(&(struct place){&sley_reactor_epoll, 0, true}, &use_a_dead_pool__type);
}

SLEY_TEST(file_calls_of_workers_on_a_pool_that_has_ended_are_refused_each_time, "FS-03")
{
    run_in(&(struct place){&sley_reactor_epoll, 2, true}, &use_a_dead_pool__type);
}

struct reading {
    int number;
};

static int read_for_ever(struct reading *a)
{
    char buf[512];
    struct sley_file f;
    CHECK_RC(sley_file_from_fd(&f, a->number), 0);
    for (uint64_t i = 0;; i++) {
        const int rc = i % 2 ? sley_file_sync(&f) : sley_file_read_at(&f, buf, sizeof buf, i % 8 * sizeof buf);
        if (rc < 0) {
            CHECK_RC(rc, -ECANCELED);
            CHECK_RC(sley_file_close(&f), 0);
            return 0;
        }
    }
}
SLEY_FIBER(read_for_ever, struct reading)

static void stop_under_readers(const char *executor)
{
    enum { N = 50 };
    struct sley_runtime rt;
    make_dir();
    CHECK_RC(sley_runtime_init(&rt,
                               &(struct sley_runtime_opts){
                                   .executor_name = executor, .reactor_name = "epoll", .worker_count = 1, .alloc = harness_alloc()}),
             0);
    const int file = open(in_dir("f"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_INT(ftruncate(file, 8192), ==, 0);
    for (int i = 0; i < N; i++) {
        CHECK_RC(sley_runtime_spawn(&rt, &read_for_ever__type, &(struct reading){open(in_dir("f"), O_RDONLY | O_CLOEXEC)}, NULL), 0);
    }
    for (int i = 0; i < 20; i++) {
        (void)sley_runtime_turn(&rt, NULL); /* -ENOTSUP where workers run by themselves */
    }
    CHECK_RC(sley_runtime_stop(&rt, sley_after_ns(20 * SLEY_S)), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
    CHECK_INT(close(file), ==, 0);
    CHECK_INT(unlink(in_dir("f")), ==, 0);
    CHECK_INT(rmdir(dir), ==, 0);
}

SLEY_TEST(runtime_of_one_thread_stops_under_fifty_readers, "FS-04")
{
    stop_under_readers("local");
}

SLEY_TEST(runtime_of_workers_stops_under_fifty_readers, "FS-04")
{
    stop_under_readers("stealing");
}

static struct sley_file_op left_op;
static struct sley_file left_file;

static int leave_an_op(void *unused __attribute__((unused)))
{
    CHECK_RC(sley_file_open(&left_file, in_dir("f"), O_RDWR | O_CREAT, 0600), 0);
    CHECK_RC(sley_blocking_resize(pool, 0, 0), 0);
    sley_file_sync_start(&left_op, &left_file);
    CHECK(!sley_wait_done(&left_op.wait));
    return 0;
}
SLEY_FIBER(leave_an_op, void)

static void end_around_an_op(uint32_t workers)
{
    make_dir();
    run_in(&(struct place){&sley_reactor_epoll, workers, true}, &leave_an_op__type);
    CHECK(sley_wait_done(&left_op.wait));
    CHECK_RC(left_op.wait.result, -ECANCELED);
    const int number = left_file.fd.number;
    CHECK_RC(sley_file_close(&left_file), 0);
    CHECK_INT(fcntl(number, F_GETFD), ==, -1);
    CHECK_INT(unlink(in_dir("f")), ==, 0);
    CHECK_INT(rmdir(dir), ==, 0);
}

SLEY_TEST(executor_that_ends_ends_what_nobody_waits_for_and_the_file_can_be_closed, "REACT-25")
{
    end_around_an_op(0);
}

SLEY_TEST(workers_that_end_end_what_nobody_waits_for_and_the_file_can_be_closed, "REACT-25")
{
    end_around_an_op(2);
}
