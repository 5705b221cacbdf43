/* Fork: the child is told no by all that it has inherited, makes a runtime of its own, and the parent notices nothing. */
#include "kinds.h"

#include <sley/reactor_impl.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The thread sanitizer has no new threads in the child of a process that has had several, nor does it follow a fiber through a fork. */
static bool has_threads(void)
{
    return !harness_under_tsan();
}

static const struct kind local = {"local", "epoll", 1};

static void check_child(pid_t pid)
{
    int status = -1;
    CHECK_INT(pid, >, 0);
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK_INT(status, ==, 0);
}

static void make_pair(int *pair)
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
}

static int job(void *arg)
{
    *(int *)arg = 42;
    return 0;
}

/** Timers, a socket, the blocking pool. */
static int use_all(const bool *with_pool)
{
    int pair[2], answer = 0, result = -1;
    struct sley_fd fd;
    make_pair(pair);
    sley_fd_init(&fd, pair[0]);
    CHECK_RC(sley_sleep(SLEY_MS), 0);
    struct sley_io_op op = {0};
    sley_fd_poll_start(&op, &fd, SLEY_IO_IN);
    CHECK(!sley_wait_done(&op.wait));
    CHECK_INT(write(pair[1], "x", 1), ==, 1);
    CHECK_RC(sley_await(&op.wait), SLEY_IO_IN);
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_INT(close(pair[1]), ==, 0);
    if (*with_pool) {
        CHECK_RC(sley_blocking(job, &answer, &result), 0);
        CHECK_INT(answer, ==, 42);
    }
    return 0;
}
SLEY_FIBER(use_all, bool)

static void run_own(const struct kind *k)
{
    struct sley_runtime own;
    const bool with_pool = has_threads();
    kind_start_forked(&own, k);
    kind_run(&own, &use_all__type, &with_pool);
    kind_end(&own);
}

static void check_says_no(struct sley_runtime *rt)
{
    const bool with_pool = false;
    struct sley_task *t;
    int result;
    char text[64];
    CHECK_RC(sley_runtime_spawn(rt, &use_all__type, &with_pool, NULL), -EOWNERDEAD);
    CHECK_RC(sley_runtime_spawn(rt, &use_all__type, &with_pool, &t), -EOWNERDEAD);
    CHECK_RC(sley_runtime_spawn_on(rt, 0, &use_all__type, &with_pool, &t), -EOWNERDEAD);
    CHECK_RC(sley_runtime_run(rt, &use_all__type, &with_pool, &result), -EOWNERDEAD);
    CHECK_RC(sley_runtime_run_all(rt), -EOWNERDEAD);
    CHECK_RC(sley_runtime_turn(rt, NULL), -EOWNERDEAD);
    CHECK_RC(sley_runtime_fd(rt), -EOWNERDEAD);
    CHECK_RC(sley_runtime_stop(rt, SLEY_NEVER), -EOWNERDEAD);
    CHECK_RC(sley_runtime_fini(rt), -EOWNERDEAD);
    CHECK_UINT(sley_runtime_workers(rt), ==, 0);
    CHECK_INT(sley_runtime_describe(rt, text, sizeof text), >, 0);
    CHECK(strstr(text, "inherited") != NULL);
    sley_runtime_halt(rt);
}

SLEY_TEST_SECONDS(child_is_told_no_and_makes_a_runtime_of_its_own, "FORK-01", 120)
{
    const bool with_pool = true;
    for (const struct kind *k = kinds_chosen(kinds_with_reactor); k->executor; k++) {
        struct sley_runtime rt;
        harness_note("%s on %s, %u workers", k->executor, k->reactor, (unsigned)k->workers);
        kind_start(&rt, k);
        kind_run(&rt, &use_all__type, &with_pool);
        const pid_t pid = fork();
        if (pid == 0) {
            check_says_no(&rt);
            CHECK_RC(sley_sleep(1), 0); /* as on any thread */
            run_own(has_threads() ? k : &local);
            check_says_no(&rt);
            _exit(0);
        }
        check_child(pid);
        kind_run(&rt, &use_all__type, &with_pool);
        kind_end(&rt);
    }
}

/* ---- descriptors ------------------------------------------------------------------------------------------------------ */

struct watcher {
    struct sley_fd *fd;
    int expected;
};

static int watch(struct watcher *w)
{
    const int rc = sley_fd_poll(w->fd, SLEY_IO_IN);
    CHECK_RC(rc, w->expected);
    return 0;
}
SLEY_FIBER(watch, struct watcher)

/** Lets what was spawned before come to its wait. */
static int pass(void *unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++) {
        CHECK_RC(sley_yield(), 0);
    }
    return sley_sleep(2 * SLEY_MS);
}
SLEY_FIBER(pass, void)

/** What the child does to its copies is none of the parent's affair: a wait there that is armed hears what comes. */
SLEY_TEST_SECONDS(child_that_closes_what_it_has_inherited_disturbs_no_wait, "FORK-02", 60)
{
    for (const struct kind *k = kinds_chosen(kinds_with_reactor); k->executor; k++) {
        struct sley_runtime rt;
        struct sley_fd fd;
        struct sley_task *t;
        int pair[2], result = -1;
        harness_note("%s on %s, %u workers", k->executor, k->reactor, (unsigned)k->workers);
        make_pair(pair);
        sley_fd_init(&fd, pair[0]);
        kind_start(&rt, k);
        CHECK_RC(sley_runtime_spawn(&rt, &watch__type, &(struct watcher){&fd, SLEY_IO_IN}, &t), 0);
        kind_run(&rt, &pass__type, NULL);
        while (!(sley__fd_state(&fd) & SLEY_FD_HOLD_MASK)) {
            (void)sched_yield(); /* another worker has not come to it yet */
        }
        const pid_t pid = fork();
        if (pid == 0) {
            const bool with_pool = false;
            CHECK_RC(sley_fd_poll(&fd, SLEY_IO_IN), -EOWNERDEAD);
            CHECK_RC(sley_fd_close(&fd), 0);
            CHECK_RC(sley_fd_close(&fd), 0);
            CHECK_INT(close(pair[1]), ==, 0);
            int again[2]; /* the same numbers, in a reactor of the child's own */
            make_pair(again);
            struct sley_runtime own;
            kind_start_forked(&own, &local);
            kind_run(&own, &use_all__type, &with_pool);
            kind_end(&own);
            _exit(0);
        }
        check_child(pid);
        CHECK(!sley_task_done(t));
        CHECK_INT(write(pair[1], "x", 1), ==, 1);
        CHECK_RC(sley_runtime_run_all(&rt), 0);
        CHECK_RC(sley_task_result(t, &result), 0);
        CHECK_RC(result, 0);
        sley_task_unref(t);
        CHECK_RC(sley_fd_close(&fd), 0);
        CHECK_INT(close(pair[1]), ==, 0);
        kind_end(&rt);
    }
}

/** The parent's wait ends, the child waits anew on the same socket: the child alone hears. */
SLEY_TEST(wait_of_the_child_on_an_inherited_socket_is_its_own, "FORK-02")
{
    struct sley_runtime rt;
    struct sley_fd fd;
    int pair[2], ready[2];
    char byte;
    make_pair(pair);
    CHECK_INT(pipe(ready), ==, 0);
    sley_fd_init(&fd, pair[0]);
    kind_start(&rt, &local);
    CHECK_RC(sley_runtime_spawn(&rt, &watch__type, &(struct watcher){&fd, -ECANCELED}, NULL), 0);
    kind_run(&rt, &pass__type, NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        struct sley_fd own_fd;
        struct sley_runtime own;
        sley_fd_init(&own_fd, pair[0]);
        kind_start_forked(&own, &local);
        CHECK_INT(write(ready[1], "x", 1), ==, 1);
        kind_run(&own, &watch__type, &(struct watcher){&own_fd, SLEY_IO_IN});
        kind_end(&own);
        CHECK_INT(read(pair[0], &byte, 1), ==, 1);
        _exit(0);
    }
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0); /* ends its wait */
    CHECK_INT(read(ready[0], &byte, 1), ==, 1);
    CHECK_INT(write(pair[1], "x", 1), ==, 1);
    check_child(pid);
    CHECK_RC(sley_runtime_fini(&rt), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(close(pair[i]), ==, 0);
        CHECK_INT(close(ready[i]), ==, 0);
    }
}

/* ---- signals ------------------------------------------------------------------------------------------------------------ */

SLEY_TEST(signal_to_the_child_is_heard_by_the_child_alone, "FORK-03")
{
    struct sley_signal s;
    int ready[2];
    char byte;
    CHECK_INT(pipe(ready), ==, 0);
    CHECK_RC(sley_signal_init(&s, SIGUSR1), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        struct sley_signal own;
        struct sigaction now;
        CHECK_INT(sigaction(SIGUSR1, NULL, &now), ==, 0);
        CHECK(now.sa_handler == SIG_DFL);
        CHECK_RC(sley_signal_wait(&s), -EOWNERDEAD);
        sley_signal_fini(&s);
        CHECK_RC(sley_signal_init(&own, SIGUSR1), 0);
        catcher_start();
        CHECK_INT(write(ready[1], "x", 1), ==, 1);
        CHECK_RC(sley_signal_wait(&own), 1);
        catcher_stop();
        sley_signal_fini(&own);
        _exit(0);
    }
    CHECK_INT(read(ready[0], &byte, 1), ==, 1);
    CHECK_INT(kill(pid, SIGUSR1), ==, 0);
    check_child(pid);
    CHECK_UINT(sley_signal_pending(&s), ==, 0);
    CHECK_INT(raise(SIGUSR1), ==, 0);
    CHECK_RC(sley_signal_wait(&s), 1);
    sley_signal_fini(&s);
    CHECK_INT(close(ready[0]), ==, 0);
    CHECK_INT(close(ready[1]), ==, 0);
}

/* ---- a fork in a task ------------------------------------------------------------------------------------------------------ */

static pid_t forked;
static int other_runs;

static int other(void *unused)
{
    (void)unused;
    other_runs++;
    return 0;
}
SLEY_FIBER(other, void)

/** @p how: 0 returns at once, 1 waits first, 2 makes a runtime. */
static int fork_in_fiber(const int *how)
{
    CHECK_RC(SLEY_SPAWN(NULL, other), 0);
    forked = fork();
    if (forked != 0) {
        CHECK_RC(sley_sleep(SLEY_MS), 0);
        return 0;
    }
    if (*how == 1) {
        struct sley_fd fd;
        sley_fd_init(&fd, 0);
        CHECK_RC(sley_fd_poll(&fd, SLEY_IO_IN), -ECANCELED);
        CHECK_RC(sley_sleep(SLEY_S), -ECANCELED);
    } else if (*how == 2) {
        run_own(&local);
        _exit(0);
    }
    return 7;
}
SLEY_FIBER(fork_in_fiber, int)

struct forker {
    struct sley_frame frame;
    struct sley_timer timer;
    bool returns; /* at once, in the child */
    int rc;
};

static enum sley_step fork_in_frame(struct forker *f)
{
    SLEY_BEGIN(f);
    CHECK_RC(SLEY_SPAWN(NULL, other), 0);
    forked = fork();
    if (forked == 0 && f->returns) {
        SLEY_RETURN(f, 7);
    }
    SLEY_CALL(f, f->rc, sley_sleep, &f->timer, SLEY_MS);
    CHECK_RC(f->rc, forked ? 0 : -ECANCELED);
    SLEY_RETURN(f, 0);
    SLEY_END(f);
}
SLEY_FRAME(fork_in_frame, struct forker)

static void run_forker(const struct kind *k, const struct sley_task_type *type, const void *args)
{
    struct sley_runtime rt;
    int result = -1;
    kind_start(&rt, k);
    other_runs = 0;
    const int rc = sley_runtime_run(&rt, type, args, &result);
    if (forked == 0) {
        CHECK_RC(rc, -EOWNERDEAD);
        CHECK_INT(other_runs, ==, 0); /* nothing of the inherited runtime runs here */
        check_says_no(&rt);
        run_own(&local);
        _exit(0);
    }
    check_child(forked);
    CHECK_RC(rc, 0);
    CHECK_RC(result, 0);
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    CHECK_INT(other_runs, ==, 1);
    kind_end(&rt);
}

SLEY_TEST(child_of_a_fork_in_a_task_leaves_the_run_with_an_error, "")
{
    static const struct kind driven[] = {{"local", "epoll", 1}, {"local", "none", 1}, {"shares", "epoll", 1}, {"local", "poll", 1}};
    for (size_t i = 0; i < sizeof driven / sizeof driven[0]; i++) {
        harness_note("%s on %s", driven[i].executor, driven[i].reactor);
        for (int how = 0; has_threads() && how < 3; how++) {
            run_forker(&driven[i], &fork_in_fiber__type, &how);
        }
        run_forker(&driven[i], &fork_in_frame__type, &(struct forker){.returns = false});
    }
}

/** A worker's thread ends where its task has forked, and it is the only one there. */
SLEY_TEST(child_of_a_fork_on_a_worker_ends_with_its_task, "")
{
    static const struct kind workers[] = {{"stealing", "epoll", 2}, {"stealing", "none", 2}, {"cores", "epoll", 2}};
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++) {
        harness_note("%s on %s", workers[i].executor, workers[i].reactor);
        run_forker(&workers[i], &fork_in_frame__type, &(struct forker){.returns = true});
    }
}
