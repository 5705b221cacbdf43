/* The io_uring reactor by name; what happens, and what is said, where it is forbidden or cannot serve. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sley/reactor_poll.h>
#include <sley/reactor_uring.h>
#include <sley/runtime.h>
#include <sley/tcp.h>

#include "forty_two.h"
#include "harness.h"

static void skip_without_uring(void)
{
    struct sley_runtime rt;
    char why[256];
    const struct sley_runtime_opts o = {.reactor_name = "uring", .executor_name = "local", .ret_error = why, .error_bytes = sizeof why};
    if (sley_runtime_init(&rt, &o) < 0) {
        SKIP("%s", why);
    }
    CHECK_RC(sley_runtime_fini(&rt), 0);
}

/** What a runtime with these options says of itself, after it has run. */
static const char *describe(const struct sley_runtime_opts *o)
{
    static char text[256];
    struct sley_runtime rt;
    int result = 0;
    CHECK_RC(sley_runtime_init(&rt, o), 0);
    CHECK_INT(sley_runtime_describe(&rt, text, sizeof text), >, 0);
    CHECK_RC(sley_runtime_run(&rt, &forty_two__type, NULL, &result), 0);
    CHECK_INT(result, ==, 42);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
    return text;
}

/** From now on io_uring is forbidden here. */
static void forbid(int error)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), ==, 0);
}

static const struct sley_reactor_factory *const uring_first[] = {&sley_reactor_uring, &sley_reactor_epoll, NULL};

SLEY_TEST(uring_by_name_runs_each_executor_of_single_workers, "")
{
    skip_without_uring();
    const char *const executors[] = {"local", "shares", "cores"};
    for (size_t i = 0; i < 3; i++) {
        const struct sley_runtime_opts o = {.executor_name = executors[i], .reactor_name = "uring"};
        CHECK(strstr(describe(&o), "reactor uring") != NULL);
    }
    const struct sley_runtime_opts one = {.executor_name = "stealing", .reactor_name = "uring", .worker_count = 1};
    CHECK(strstr(describe(&one), "reactor uring") != NULL);
    CHECK_INT(setenv("SLEY_REACTOR", "uring-msg", 1), ==, 0); /* a kernel that takes no messages is told of */
    const char *text = describe(&(struct sley_runtime_opts){.executor_name = "local"});
    CHECK(strstr(text, "reactor uring (woken by messages") || strstr(text, "reactor uring (without msg_ring"));
    CHECK_INT(setenv("SLEY_REACTOR", "uring", 1), ==, 0);
    CHECK_STR(describe(&(struct sley_runtime_opts){.executor_name = "local"}), "executor local, reactor uring");
}

SLEY_TEST(automatic_reactor_is_uring_unless_workers_would_have_to_share_it, "")
{
    skip_without_uring();
    CHECK_STR(describe(&(struct sley_runtime_opts){.executor_name = "local", .reactor_name = "auto"}), "executor local, reactor uring");
    CHECK_STR(describe(&(struct sley_runtime_opts){.executor_name = "cores", .reactor_name = "auto", .worker_count = 2}),
              "executor cores (2 workers), reactor uring");
    CHECK_STR(describe(&(struct sley_runtime_opts){.executor_name = "stealing", .reactor_name = "auto", .worker_count = 2}),
              "executor stealing (2 workers), reactor epoll; reactor uring cannot be shared by several workers");
}

SLEY_TEST(workers_that_share_tasks_prefer_a_reactor_that_can_be_shared_and_say_so, "")
{
    skip_without_uring();
    struct sley_runtime_opts o = {.executor_name = "stealing", .reactor_name = "uring", .worker_count = 2};
    CHECK_STR(describe(&o), "executor stealing (2 workers), reactor uring"); /* one for each worker */
    o.reactor_name = "poll";
    CHECK_STR(describe(&o), "executor stealing (2 workers), reactor poll");
    o.reactors = uring_first; /* the next one is tried */
    CHECK_STR(describe(&o), "executor stealing (2 workers), reactor epoll; reactor uring cannot be shared by several workers");
}

SLEY_TEST(forbidden_uring_falls_back_and_the_reason_is_told, "URING-14")
{
    struct sley_runtime rt;
    char why[256];
    const struct sley_runtime_opts strict = {
        .executor_name = "local", .reactor_name = "uring", .ret_error = why, .error_bytes = sizeof why};
    const struct sley_runtime_opts lenient = {.executor_name = "local", .reactors = uring_first};
    forbid(EPERM);
    CHECK_RC(sley_runtime_init(&rt, &strict), -EPERM);
    CHECK(strstr(why, "kernel.io_uring_disabled") != NULL);
    CHECK_STR(describe(&lenient), "executor local, reactor epoll; reactor uring did not start (errno 1: io_uring is forbidden here: "
                                  "see the sysctl kernel.io_uring_disabled, or a filter of system calls)");
    CHECK(strstr(describe(&(struct sley_runtime_opts){.executor_name = "local", .reactor_name = "auto"}), "reactor epoll") != NULL);
}

SLEY_TEST(kernel_without_uring_falls_back_and_the_reason_is_told, "URING-14")
{
    const struct sley_runtime_opts lenient = {.executor_name = "local", .reactors = uring_first};
    forbid(ENOSYS);
    CHECK_STR(
        describe(&lenient),
        "executor local, reactor epoll; reactor uring did not start (errno 95: the kernel has no io_uring, or a filter hides it)");
}

/* ---- a listener that is accepted from in a loop: the kernel goes on with nobody there ------------------------------------- */

static int accept_some(struct sley_tcp_listener *const *l)
{
    struct sley_addr addr;
    char text[SLEY_ADDR_TEXT_BYTES];
    CHECK_RC(sley_tcp_listener_local(*l, &addr), 0);
    CHECK_INT(sley_addr_format(&addr, text, sizeof text), >, 0);
    for (int i = 0; i < 5; i++) {
        struct sley_tcp ours, theirs;
        CHECK_RC(sley_tcp_connect(&theirs, text, NULL), 0);
        CHECK_RC(sley_tcp_accept(*l, &ours), 0);
        CHECK_RC(sley_fd_close(&ours.fd), 0);
        CHECK_RC(sley_fd_close(&theirs.fd), 0);
    }
    return 0;
}
SLEY_FIBER(accept_some, struct sley_tcp_listener *)

static void accept_in(struct sley_runtime *rt, struct sley_tcp_listener *l)
{
    int result = -1;
    CHECK_RC(sley_runtime_run(rt, &accept_some__type, &l, &result), 0);
    CHECK_RC(result, 0);
}

static void close_in_a_child(struct sley_tcp_listener *l)
{
    int status = -1;
    const pid_t pid = fork();
    if (pid == 0) {
        _exit(sley_tcp_listener_close(l) == 0 ? 0 : 1);
    }
    CHECK_INT(pid, >, 0);
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK_INT(status, ==, 0);
}

SLEY_TEST_SECONDS(child_that_closes_a_listener_leaves_it_to_its_parent, "FORK-02", 60)
{
    static const char *const executors[] = {"local", "cores", "stealing"};
    skip_without_uring();
    for (uint32_t i = 0; i < 3; i++) {
        const struct sley_runtime_opts o = {.executor_name = executors[i], .reactor_name = "uring", .worker_count = i > 0 ? 2 : 1};
        struct sley_runtime rt;
        struct sley_tcp_listener l;
        int on = 0;
        socklen_t len = sizeof on;
        harness_note("%s", executors[i]);
        CHECK_RC(sley_tcp_listen(&l, "127.0.0.1:0", NULL), 0);
        CHECK_RC(sley_runtime_init(&rt, &o), 0);
        accept_in(&rt, &l);
        close_in_a_child(&l);
        accept_in(&rt, &l);
        CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
        CHECK_RC(sley_runtime_fini(&rt), 0); /* the workers that have accepted have ended, and so does what stands for them */
        close_in_a_child(&l);
        CHECK_INT(getsockopt(l.fd.number, SOL_SOCKET, SO_ACCEPTCONN, &on, &len), ==, 0);
        CHECK_INT(on, ==, 1);
        CHECK_RC(sley_tcp_listener_close(&l), 0);
    }
}
