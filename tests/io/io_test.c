/* Shared by the tests of streams; see io_test.h. */
#include "io_test.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chosen.h"

#ifdef IO_URING
#define IO_URING_FACTORY &sley_reactor_uring
#else
#define IO_URING_FACTORY NULL
#endif

/** The executor that SLEY_EXECUTOR names, with SLEY_WORKERS workers: local without it, and where the case brings a clock. */
static struct sley_executor *io_executor(union chosen_memory *m, struct sley_executor_config *config)
{
    if (chosen_any("SLEY_REACTOR") && !chosen_is("SLEY_REACTOR", config->reactors[0]->name)) {
        SKIP("SLEY_REACTOR names another reactor");
    }
    if (config->clock) {
        sley_local_init(&m->local);
        return &m->local.base;
    }
    struct sley_executor *ex = chosen_executor(m);
    config->worker_count = ex->ops->caps & SLEY_EXECUTOR_CAP_WORKERS ? chosen_workers() : 1;
    return ex;
}

void io_run_clock(const struct sley_reactor_factory *reactor, struct sley_clock *clock, const struct sley_task_type *type,
                  const void *args)
{
    const struct sley_reactor_factory *const reactors[] = {reactor, NULL};
    char why[256];
    struct sley_executor_config config = {
        .alloc = harness_alloc(), .reactors = reactors, .clock = clock, .ret_error = why, .error_bytes = sizeof why};
    union chosen_memory memory;
    struct sley_executor *ex = io_executor(&memory, &config);
    struct sley_task *t = NULL;
    int result = 0;
    const int rc = ex->ops->start(ex, &config);
    if (rc < 0 && strcmp(reactor->name, "uring") == 0) {
        SKIP("%s", why);
    }
    CHECK_RC(rc, 0);
    CHECK_RC(ex->ops->spawn(ex, type, args, &t), 0);
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    sley_task_unref(t);
    CHECK_RC(result, 0);
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
}

void io_run(const struct sley_reactor_factory *reactor, const struct sley_task_type *type, const void *args)
{
    io_run_clock(reactor, NULL, type, args);
}

const struct sley_reactor_factory *io_reactor(void)
{
    const char *name = sley_sched_current()->reactor->ops->name;
#ifdef IO_UV
    if (strcmp(name, sley_reactor_uv.name) == 0) {
        return &sley_reactor_uv;
    }
#endif
    if (strcmp(name, "uring") == 0) {
        return IO_URING_FACTORY;
    }
    return strcmp(name, sley_reactor_epoll.name) == 0 ? &sley_reactor_epoll : &sley_reactor_poll2;
}

void io_listen(struct io_listener *l, const struct sley_tcp_opts *opts)
{
    struct sley_addr a;
    struct sley_tcp_opts o = opts ? *opts : (struct sley_tcp_opts){0};
#ifdef IO_DIRECT
    o.direct = true;
#endif
    CHECK_RC(sley_tcp_listen(&l->l, "127.0.0.1:0", &o), 0);
    CHECK_RC(sley_tcp_listener_local(&l->l, &a), 0);
    CHECK_INT(sley_addr_format(&a, l->text, sizeof l->text), >, 0);
}

int io_nobody(char ret_text[SLEY_ADDR_TEXT_BYTES])
{
    struct sley_addr a;
    const int number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_RC(sley_addr_parse(&a, "127.0.0.1:0"), 0);
    CHECK_INT(number, >=, 0);
    CHECK_INT(bind(number, &a.sock.any, a.len), ==, 0);
    CHECK_INT(getsockname(number, &a.sock.any, &a.len), ==, 0);
    CHECK_INT(sley_addr_format(&a, ret_text, SLEY_ADDR_TEXT_BYTES), >, 0);
    return number;
}

void io_pair(struct io_pair *p, const struct sley_tcp_opts *opts)
{
    struct io_listener l;
    io_listen(&l, opts);
    CHECK_RC(sley_tcp_connect(&p->a, l.text, opts), 0);
    CHECK_RC(sley_tcp_accept(&l.l, &p->b), 0);
    CHECK_RC(sley_tcp_listener_close(&l.l), 0);
}

void io_pair_close(struct io_pair *p)
{
    CHECK_RC(sley_stream_close(&p->a.stream), 0);
    CHECK_RC(sley_stream_close(&p->b.stream), 0);
}

unsigned io_fd_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;
    CHECK(dir != NULL);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char target[64] = "";
        if (readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1) > 0 && (target[0] != '/' || strncmp(target, "/dev/", 5) == 0)) {
            n++; /* files are this directory, and what a watchdog reads, or loads to walk a stack, for a moment */
        }
    }
    closedir(dir);
    return n;
}

uint64_t io_file_of(int number)
{
    struct stat st;
    return fstat(number, &st) == 0 ? (uint64_t)st.st_dev << 32 ^ (uint64_t)st.st_ino : 0;
}

void io_settle(void)
{
    /* an executor looks at I/O and its inbox after every 64 resumes or so; other workers do so when they get a processor */
    for (int i = 0; i < 400 || (i < 100000 && !harness_others_sleep()); i++) {
        (void)sley_yield();
    }
}

void io_wait_in(int number)
{
    struct pollfd p = {.fd = number, .events = POLLIN};
    CHECK_INT(poll(&p, 1, -1), ==, 1); /* the kernel's loopback delivers: nobody of ours has to run for it */
}

void io_check(const unsigned char *buf, size_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != io_byte(from + i)) {
            FAIL("byte %zu is %u, expected %u", from + i, buf[i], io_byte(from + i));
        }
    }
}

int io_join(struct sley_task *t)
{
    int result = -EIO;
    CHECK_RC(sley_task_join(t, &result), 0);
    sley_task_unref(t);
    return result;
}
