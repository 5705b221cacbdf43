/* Child processes: starting, streams, ends, signals, and that none is left as a zombie; on every runtime that has a reactor. */
#include "kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/** Neither running children nor zombies. */
static void check_no_child(void)
{
    siginfo_t info;
    CHECK_INT(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), ==, -1);
    CHECK_INT(errno, ==, ECHILD);
}

/** Handlers reap: it takes until the system has told. */
static void await_no_child(void)
{
    siginfo_t info;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        (void)sched_yield();
        char name[16];
        (void)prctl(PR_GET_NAME, name); /* a call that the thread sanitizer knows: it runs handlers late */
    }
    CHECK_INT(errno, ==, ECHILD);
}

/* On the stack of who calls: a fiber may go on on another thread, so that nothing of a thread's own would do. */
#define SHELL(script) ((char *const[]){"sh", "-c", (char *)(uintptr_t)(script), NULL})

static void start(struct sley_process *p, const char *script, struct sley_pipe *in, struct sley_pipe *out)
{
    struct sley_process_opts o = {.file = "sh", .argv = SHELL(script)};
    if (in) {
        o.stdio[0] = (struct sley_stdio){.kind = SLEY_STDIO_PIPE, .ret_pipe = in};
    }
    if (out) {
        o.stdio[1] = (struct sley_stdio){.kind = SLEY_STDIO_PIPE, .ret_pipe = out};
    }
    CHECK_RC(sley_process_spawn(p, &o), 0);
}

/** What comes out until the end, as text. */
static size_t read_all(struct sley_pipe *out, char *text, size_t bytes)
{
    size_t n = 0;
    const int rc = sley_stream_read_exact(&out->end.stream, text, bytes - 1, &n);
    CHECK_RC(rc, -ENODATA);
    text[n] = '\0';
    return n;
}

static void close_pipe(struct sley_pipe *p)
{
    CHECK_RC(sley_stream_close(&p->end.stream), 0);
}

static void check_exit(struct sley_process *p, int code, int signo)
{
    struct sley_exit how = {-1, -1, false};
    CHECK_RC(sley_process_wait(p, &how), 0);
    CHECK_INT(how.code, ==, code);
    CHECK_INT(how.signo, ==, signo);
}

static int join(struct sley_task *t)
{
    int result = -EIO;
    CHECK_RC(sley_task_join(t, &result), 0);
    sley_task_unref(t);
    return result;
}

/* ---- ends -------------------------------------------------------------------------------------------------------------- */

KINDS_TEST(child_that_ends_says_how_each_time_it_is_asked, "", kinds_with_reactor)
{
    struct sley_process p;
    start(&p, "exit 7", NULL, NULL);
    check_exit(&p, 7, 0);
    check_exit(&p, 7, 0);
    CHECK_RC(sley_process_wait(&p, NULL), 0);
    CHECK_RC(sley_process_fini(&p), 0);
    CHECK_RC(sley_process_fini(&p), 0);
    start(&p, "kill -9 $$", NULL, NULL);
    check_exit(&p, 0, SIGKILL);
    CHECK_RC(sley_process_fini(&p), 0);
    check_no_child();
    return 0;
}

struct waiter {
    struct sley_frame frame;
    struct sley_io_op op;
    struct sley_process *p;
    struct sley_exit how;
    int rc;
};

static enum sley_step wait_end(struct waiter *w)
{
    SLEY_BEGIN(w);
    SLEY_CALL(w, w->rc, sley_process_wait, &w->op, w->p, &w->how);
    if (w->rc == 0) {
        w->rc = w->how.code;
    }
    SLEY_CALL(w, w->how.code, sley_process_fini, &w->op, w->p);
    SLEY_RETURN(w, w->how.code < 0 ? w->how.code : w->rc);
    SLEY_END(w);
}
SLEY_FRAME(wait_end, struct waiter)

KINDS_TEST(a_hundred_children_end_and_every_wait_ends, "PROC-01", kinds_with_reactor)
{
    for (int round = 0; round < 10; round++) {
        struct sley_process p[10];
        struct sley_task *t[10];
        for (int i = 0; i < 10; i++) {
            CHECK_RC(sley_process_spawn(&p[i], &(struct sley_process_opts){.file = "true"}), 0);
        }
        for (int i = 0; i < 10; i++) {
            CHECK_RC(SLEY_SPAWN_TASK(&t[i], NULL, wait_end, .p = &p[i]), 0);
        }
        for (int i = 0; i < 10; i++) {
            CHECK_RC(join(t[i]), 0);
        }
    }
    check_no_child();
    return 0;
}

/** Ends of every kind, among which some are waited for and some are given up, unseen or on their way. */
KINDS_TEST(storm_of_children_ends_as_it_should_and_leaves_no_zombie, "PROC-01", kinds_with_reactor)
{
    enum { AT_ONCE = 25 };
    static struct sley_process p[AT_ONCE];
    const unsigned rounds = harness_slowness() > 1 ? 2 : 500 / AT_ONCE;
    for (unsigned round = 0; round < rounds; round++) {
        for (int i = 0; i < AT_ONCE; i++) {
            char script[32];
            (void)snprintf(script, sizeof script, i % 5 == 1 ? "kill -9 $$" : "exit %d", (int)(round * AT_ONCE + (unsigned)i) % 256);
            start(&p[i], script, NULL, NULL);
        }
        for (int i = AT_ONCE - 1; i >= 0; i--) {
            if (i % 5 == 1) {
                check_exit(&p[i], 0, SIGKILL);
            } else if (i % 5 != 2) {
                check_exit(&p[i], (int)(round * AT_ONCE + (unsigned)i) % 256, 0);
            } else if (i % 2) {
                const int rc = sley_process_kill(&p[i], SIGTERM); /* it may have ended, and lies there unseen */
                CHECK(rc == 0 || rc == -ESRCH);
            }
            CHECK_RC(sley_process_fini(&p[i]), 0);
        }
    }
    await_no_child();
    return 0;
}

KINDS_TEST(wait_that_is_cancelled_loses_no_end, "", kinds_with_reactor)
{
    struct sley_process p;
    struct sley_pipe in;
    struct sley_io_op op = {0}, other = {0};
    struct sley_exit how = {-1, -1, false};
    start(&p, "read x; exit 3", &in, NULL);
    sley_process_wait_start(&op, &p, &how);
    sley_process_wait_start(&other, &p, NULL);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_INT(how.code, ==, -1);
    CHECK_RC(sley_stream_shutdown(&in.end.stream), 0);
    CHECK_RC(sley_await(&other.wait), 0);
    check_exit(&p, 3, 0);
    close_pipe(&in);
    CHECK_RC(sley_process_fini(&p), 0);
    check_no_child();
    return 0;
}

KINDS_TEST(fini_ends_a_wait_and_the_child_goes_on, "", kinds_with_reactor)
{
    struct sley_process p;
    struct sley_pipe in, out;
    struct sley_io_op op = {0};
    char text[16];
    start(&p, "read x; echo $x", &in, &out);
    sley_process_wait_start(&op, &p, NULL);
    CHECK_RC(sley_process_fini(&p), 0);
    CHECK_RC(sley_await(&op.wait), -ECANCELED);
    CHECK_RC(sley_process_wait(&p, NULL), -EINVAL);
    CHECK_RC(sley_stream_write_all(&in.end.stream, "hello\n", 6, NULL), 0);
    (void)read_all(&out, text, sizeof text);
    CHECK_STR(text, "hello\n");
    close_pipe(&in);
    close_pipe(&out);
    await_no_child();
    return 0;
}

SLEY_TEST(thread_waits_for_a_child, "")
{
    struct sley_process p = {0};
    struct sley_pipe in, out;
    char text[16];
    CHECK_RC(sley_process_wait(&p, NULL), -EINVAL);
    CHECK_RC(sley_process_kill(&p, SIGTERM), -ESRCH);
    CHECK_RC(sley_process_fini(&p), 0);
    CHECK_RC(sley_process_fini(NULL), 0);
    start(&p, "cat; exit 9", &in, &out);
    CHECK_RC(sley_stream_write_all(&in.end.stream, "thread", 6, NULL), 0);
    CHECK_RC(sley_stream_shutdown(&in.end.stream), 0);
    CHECK_UINT(read_all(&out, text, sizeof text), ==, 6);
    check_exit(&p, 9, 0);
    close_pipe(&in);
    close_pipe(&out);
    CHECK_RC(sley_process_fini(&p), 0);
    check_no_child();
}

SLEY_TEST(child_that_somebody_else_has_reaped_is_said_to_be_gone, "")
{
    struct sley_process p;
    CHECK_RC(sley_process_spawn(&p, &(struct sley_process_opts){.file = "true"}), 0);
    CHECK_INT(waitpid(p.pid, NULL, 0), ==, p.pid);
    CHECK_RC(sley_process_wait(&p, NULL), -ECHILD);
    CHECK_RC(sley_process_kill(&p, SIGTERM), -ESRCH);
    CHECK_RC(sley_process_fini(&p), 0);
}

/* ---- signals ------------------------------------------------------------------------------------------------------------ */

KINDS_TEST(write_to_a_child_that_is_killed_ends_with_epipe, "PROC-02", kinds_with_reactor)
{
    struct sley_process p;
    struct sley_pipe in;
    struct sley_io_op op = {0};
    static char much[4 << 20];
    const struct sley_process_opts o = {
        .file = "sleep", .argv = (char *[]){(char[]){"sleep"}, (char[]){"1000"}, NULL}, .stdio = {{SLEY_STDIO_PIPE, 0, &in}}};
    CHECK_RC(sley_process_spawn(&p, &o), 0);
    sley_stream_write_all_start(&op, &in.end.stream, much, sizeof much, NULL);
    CHECK_RC(sley_yield(), 0);
    CHECK(!sley_wait_done(&op.wait));
    CHECK_RC(sley_process_kill(&p, SIGKILL), 0);
    CHECK_RC(sley_await(&op.wait), -EPIPE);
    check_exit(&p, 0, SIGKILL);
    close_pipe(&in);
    CHECK_RC(sley_process_fini(&p), 0);
    check_no_child();
    return 0;
}

KINDS_TEST(kill_after_the_wait_sends_nothing, "PROC-04", kinds_with_reactor)
{
    struct sley_process p;
    CHECK_RC(sley_process_spawn(&p, &(struct sley_process_opts){.file = "true"}), 0);
    check_exit(&p, 0, 0);
    CHECK_RC(sley_process_kill(&p, SIGKILL), -ESRCH);
    CHECK_RC(sley_process_kill(&p, 0), -ESRCH);
    CHECK_RC(sley_process_fini(&p), 0);
    CHECK_RC(sley_process_kill(&p, SIGKILL), -ESRCH);
    return 0;
}

/* ---- children given up --------------------------------------------------------------------------------------------------- */

KINDS_TEST(fini_that_kills_reaps_the_child_and_leaves_a_grandchild, "PROC-05", kinds_with_reactor)
{
    struct sley_process p;
    struct sley_pipe out;
    char text[32] = "";
    CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), ==, 0); /* the grandchild becomes ours in the end */
    const struct sley_process_opts o = {
        .file = "sh", .argv = SHELL("sleep 1000 & echo $!; wait"), .stdio = {[1] = {SLEY_STDIO_PIPE, 0, &out}}, .kill_on_fini = true};
    CHECK_RC(sley_process_spawn(&p, &o), 0);
    const pid_t child = p.pid;
    CHECK_INT(sley_stream_read(&out.end.stream, text, sizeof text - 1), >, 0);
    const pid_t grandchild = (pid_t)strtol(text, NULL, 10);
    CHECK_INT(grandchild, >, 0);
    CHECK_RC(sley_process_fini(&p), 0);
    while (kill(child, 0) == 0) {
        char name[16];
        (void)prctl(PR_GET_NAME, name); /* as above */
        (void)sched_yield();
    }
    CHECK_INT(waitpid(grandchild, NULL, WNOHANG), ==, 0); /* it runs: one that was killed would be a zombie of ours */
    CHECK_INT(kill(grandchild, SIGKILL), ==, 0);
    CHECK_INT(waitpid(grandchild, NULL, 0), ==, grandchild);
    close_pipe(&out);
    return 0;
}

static void give_up_four(void)
{
    struct sley_pipe in[4];
    pid_t pid[4];
    for (int i = 0; i < 4; i++) {
        struct sley_process p;
        start(&p, "read x", &in[i], NULL);
        pid[i] = p.pid;
        CHECK_RC(sley_process_fini(&p), 0);
    }
    for (int n = 4; n > 0; n--) {
        const int i = (n * 3) % 4; /* not in the order of their starts */
        CHECK_INT(kill(pid[i], 0), ==, 0);
        close_pipe(&in[i]);
        while (kill(pid[i], 0) == 0) { /* so long it runs, or is a zombie */
            char name[16];
            (void)prctl(PR_GET_NAME, name); /* as above */
            (void)sched_yield();
        }
    }
    check_no_child();
}

SLEY_TEST(children_that_were_given_up_are_reaped_as_they_end, "PROC-06")
{
    struct sigaction now;
    give_up_four();
    CHECK_INT(sigaction(SIGCHLD, NULL, &now), ==, 0);
    CHECK(now.sa_handler == SIG_DFL); /* nobody listens any more */
}

SLEY_TEST(child_that_ended_unseen_is_reaped_by_the_next_spawn, "PROC-06")
{
    struct sley_process p, q;
    struct sley_pipe in;
    sigset_t blocked;
    CHECK_INT(sigemptyset(&blocked), ==, 0);
    CHECK_INT(sigaddset(&blocked, SIGCHLD), ==, 0);
    CHECK_INT(sigprocmask(SIG_BLOCK, &blocked, NULL), ==, 0); /* no handler will run */
    start(&p, "read x", &in, NULL);
    const pid_t pid = p.pid;
    CHECK_RC(sley_process_fini(&p), 0);
    close_pipe(&in);
    siginfo_t info;
    CHECK_INT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), ==, 0);
    CHECK_RC(sley_process_spawn(&q, &(struct sley_process_opts){.file = "true"}), 0);
    CHECK_INT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG), ==, -1);
    CHECK_INT(sigprocmask(SIG_UNBLOCK, &blocked, NULL), ==, 0); /* without pidfd it is a handler that tells */
    check_exit(&q, 0, 0);
    CHECK_RC(sley_process_fini(&q), 0);
    check_no_child();
}

/* ---- what does not start -------------------------------------------------------------------------------------------------- */

KINDS_TEST(program_that_is_not_there_is_the_spawns_error, "PROC-03", kinds_with_reactor)
{
    struct sley_process p;
    struct sley_pipe in;
    const struct sley_process_opts none = {.file = "/nowhere/at/all", .stdio = {{SLEY_STDIO_PIPE, 0, &in}}};
    CHECK_RC(sley_process_spawn(&p, &none), -ENOENT);
    CHECK_RC(sley_process_spawn(&p, &(struct sley_process_opts){.file = "no-such-program-anywhere"}), -ENOENT);
    CHECK_RC(sley_process_spawn(&p, &(struct sley_process_opts){.file = "/etc/passwd"}), -EACCES);
    CHECK_RC(sley_process_spawn(&p, &(struct sley_process_opts){.file = "true", .cwd = "/nowhere"}), -ENOENT);
    CHECK_RC(sley_process_spawn(&p, &(struct sley_process_opts){.file = "true", .stdio = {{SLEY_STDIO_FD, 9999, NULL}}}), -EBADF);
    CHECK_RC(sley_process_spawn(&p, &(struct sley_process_opts){.file = "true", .stdio = {{SLEY_STDIO_PIPE, 0, NULL}}}), -EINVAL);
    CHECK_RC(sley_process_spawn(&p, &(struct sley_process_opts){.file = ""}), -EINVAL);
    CHECK_RC(sley_process_spawn(NULL, &none), -EINVAL);
    CHECK_RC(sley_process_spawn(&p, NULL), -EINVAL);
    check_no_child();
    return 0;
}

/* ---- descriptors and the rest of what a child is given ---------------------------------------------------------------------- */

KINDS_TEST(bytes_go_through_a_child_and_back, "", kinds_with_reactor)
{
    enum { BYTES = 1 << 20 };
    struct sley_process p;
    struct sley_pipe in, out;
    struct sley_io_op op = {0};
    size_t n = 0;
    unsigned char *sent = malloc(BYTES), *got = malloc(BYTES + 1);
    CHECK(sent && got);
    for (size_t i = 0; i < BYTES; i++) {
        sent[i] = (unsigned char)harness_rand();
    }
    start(&p, "exec cat", &in, &out);
    sley_stream_write_all_start(&op, &in.end.stream, sent, BYTES, NULL);
    CHECK_RC(sley_stream_read_exact(&out.end.stream, got, BYTES, &n), 0);
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_RC(sley_stream_shutdown(&in.end.stream), 0);
    CHECK_RC(sley_stream_read(&out.end.stream, got + BYTES, 1), 0);
    CHECK_INT(memcmp(sent, got, BYTES), ==, 0);
    check_exit(&p, 0, 0);
    close_pipe(&in);
    close_pipe(&out);
    CHECK_RC(sley_process_fini(&p), 0);
    free(sent);
    free(got);
    return 0;
}

static void check_file(int number, const char *expected)
{
    char text[64];
    const ssize_t n = pread(number, text, sizeof text - 1, 0);
    CHECK_INT(n, >=, 0);
    text[n] = '\0';
    CHECK_STR(text, expected);
    CHECK_INT(close(number), ==, 0);
}

SLEY_TEST(output_and_errors_that_are_exchanged_arrive_so_and_nothing_else_is_inherited, "PROC-07")
{
    struct sley_process p;
    const int a = memfd_create("a", MFD_CLOEXEC), b = memfd_create("b", MFD_CLOEXEC);
    const int out = fcntl(1, F_DUPFD_CLOEXEC, 10), err = fcntl(2, F_DUPFD_CLOEXEC, 10);
    CHECK_INT(dup2(a, 57), ==, 57); /* not close-on-exec */
    CHECK(a >= 0 && b >= 0 && out >= 0 && err >= 0);
    CHECK_INT(dup2(a, 1), ==, 1);
    CHECK_INT(dup2(b, 2), ==, 2);
    const struct sley_process_opts o = {
        .file = "sh",
        .argv = SHELL("echo out; echo err >&2; for i in 3 4 5 6 7 8 9 57; do [ -e /proc/$$/fd/$i ] && echo $i; done; exit 5"),
        .stdio = {{SLEY_STDIO_NULL, 0, NULL}, {SLEY_STDIO_FD, 2, NULL}, {SLEY_STDIO_FD, 1, NULL}}};
    const int rc = sley_process_spawn(&p, &o);
    CHECK_INT(dup2(out, 1), ==, 1);
    CHECK_INT(dup2(err, 2), ==, 2);
    CHECK_RC(rc, 0);
    check_exit(&p, 5, 0);
    CHECK_RC(sley_process_fini(&p), 0);
    check_file(a, "err\n");
    check_file(b, "out\n");
    CHECK_INT(close(57), ==, 0);
    CHECK_INT(close(out), ==, 0);
    CHECK_INT(close(err), ==, 0);
}

static void check_says(const struct sley_process_opts *given, const char *script, const char *expected)
{
    struct sley_process p;
    struct sley_pipe out;
    char text[256];
    struct sley_process_opts o = *given;
    o.file = "/bin/sh";
    o.argv = SHELL(script);
    o.stdio[1] = (struct sley_stdio){.kind = SLEY_STDIO_PIPE, .ret_pipe = &out};
    CHECK_RC(sley_process_spawn(&p, &o), 0);
    (void)read_all(&out, text, sizeof text);
    CHECK_STR(text, expected);
    close_pipe(&out);
    check_exit(&p, 0, 0);
    CHECK_RC(sley_process_fini(&p), 0);
}

SLEY_TEST(child_gets_its_directory_environment_group_and_input, "")
{
    char *const env[] = {(char[]){"SLEY_IS=here"}, (char[]){"PATH=/bin:/usr/bin"}, NULL};
    check_says(&(struct sley_process_opts){.cwd = "/dev"}, "pwd", "/dev\n");
    check_says(&(struct sley_process_opts){.envp = env}, "echo $SLEY_IS $HOME", "here\n");
    check_says(&(struct sley_process_opts){.group = -1}, "ps -o pgid= -p $$ | grep -qw $$ && echo own", "own\n");
    check_says(&(struct sley_process_opts){.new_session = true}, "ps -o sid= -p $$ | grep -qw $$ && echo own", "own\n");
    check_says(&(struct sley_process_opts){.stdio = {{SLEY_STDIO_NULL, 0, NULL}}}, "cat; echo over", "over\n");
    check_no_child();
}

SLEY_TEST(child_starts_with_no_signal_blocked_ignored_or_caught, "")
{
    struct sley_signal heard;
    sigset_t all, before;
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK_RC(sley_signal_init(&heard, SIGTERM), 0);
    CHECK_INT(sigfillset(&all), ==, 0);
    CHECK_INT(sigprocmask(SIG_SETMASK, &all, &before), ==, 0);
    /* not the shell's, which catches on its own; libc ignores two that it keeps for itself */
    check_says(&(struct sley_process_opts){0}, "exec sed -n 's/0000000180000000/0000000000000000/; /^Sig[BIC]/p' /proc/self/status",
               "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n");
    CHECK_INT(sigprocmask(SIG_SETMASK, &before, NULL), ==, 0);
    sley_signal_fini(&heard);
}

/* ---- kernels without pidfd ------------------------------------------------------------------------------------------------------ */

/** pidfd_open says ENOSYS from here on. */
static void forbid_pidfd(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof code / sizeof code[0], .filter = code};
    CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), ==, 0);
}

KINDS_TEST(children_are_waited_for_without_pidfd, "PROC-01", kinds_with_reactor)
{
    forbid_pidfd();
    struct sley_process p[10];
    struct sley_task *t[10];
    for (int i = 0; i < 10; i++) {
        CHECK_RC(sley_process_spawn(&p[i], &(struct sley_process_opts){.file = "true"}), 0);
        CHECK_RC(SLEY_SPAWN_TASK(&t[i], NULL, wait_end, .p = &p[i]), 0);
    }
    for (int i = 0; i < 10; i++) {
        CHECK_RC(join(t[i]), 0);
    }
    struct sley_pipe in;
    start(&p[0], "read x; exit 4", &in, NULL);
    close_pipe(&in);
    check_exit(&p[0], 4, 0);
    CHECK_RC(sley_process_kill(&p[0], SIGKILL), -ESRCH);
    CHECK_RC(sley_process_fini(&p[0]), 0);
    start(&p[1], "read x", &in, NULL);
    CHECK_RC(sley_process_fini(&p[1]), 0);
    close_pipe(&in);
    await_no_child();
    return 0;
}

/* ---- fork -------------------------------------------------------------------------------------------------------------------------- */

/** In the child of a fork: it has no such child, and does nothing to that of its parent. */
static void check_not_mine(struct sley_process *p, bool given_up)
{
    if (!given_up) {
        CHECK_RC(sley_process_kill(p, SIGKILL), -ESRCH);
        CHECK_RC(sley_process_wait(p, NULL), -ECHILD);
    }
    CHECK_RC(sley_process_fini(p), 0);
    CHECK_RC(sley_process_fini(p), 0);
}

static void check_forked(bool given_up)
{
    struct sley_process p[2];
    struct sley_pipe in;
    int status = -1;
    const struct sley_process_opts o = {
        .file = "sh", .argv = SHELL("read x; exit 6"), .kill_on_fini = true, .stdio[0] = {.kind = SLEY_STDIO_PIPE, .ret_pipe = &in}};
    CHECK_RC(sley_process_spawn(&p[0], &o), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        check_not_mine(&p[0], given_up);
        CHECK_RC(sley_process_spawn(&p[1], &(struct sley_process_opts){.file = "true"}), 0); /* its own */
        check_exit(&p[1], 0, 0);
        CHECK_RC(sley_process_fini(&p[1]), 0);
        _exit(0);
    }
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK_INT(status, ==, 0);
    close_pipe(&in);
    check_exit(&p[0], 6, 0);
    CHECK_RC(sley_process_fini(&p[0]), 0);
    check_no_child();
}

SLEY_TEST(child_of_a_fork_does_nothing_to_the_children_of_its_parent, "")
{
    check_forked(false);
    check_forked(true);
    forbid_pidfd();
    check_forked(false);
    check_forked(true);
}
