/* An echo server for very many connections: one thread over several rings, each a runtime, turned by one loop of its own. Connections
 * are direct, so that neither the process's limit of descriptors nor its table has anything to do with them.
 *
 * usage: many [--rings N] [--reactor NAME]   prints an address for each ring, serves until SIGTERM or SIGINT, says how many it held */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <sley/sley.h>
#include <sley/tcp.h>

enum { RINGS_MAX = 8, MESSAGE = 64 };

static struct server {
    struct sley_runtime rt;
    struct sley_tcp_listener listener;
    struct sley_task *task;
    uint32_t held, most, direct;
} servers[RINGS_MAX];

static volatile sig_atomic_t ending;

static void on_signal(int number)
{
    (void)number;
    ending = 1;
}

/* ---- the server of one ring -------------------------------------------------------------------------------------------- */

struct conn {
    struct sley_frame frame;
    struct server *s;
    struct sley_tcp tcp;
    struct sley_io_op op;
    int n;
    char buf[MESSAGE];
};

static enum sley_step echo(struct conn *c)
{
    int rc;
    SLEY_BEGIN(c);
    for (;;) {
        SLEY_CALL(c, c->n, sley_stream_read, &c->op, &c->tcp.stream, c->buf, sizeof c->buf);
        if (c->n <= 0) {
            break;
        }
        SLEY_CALL(c, c->n, sley_stream_write_all, &c->op, &c->tcp.stream, c->buf, (size_t)c->n, NULL);
        if (c->n < 0) {
            break;
        }
    }
    c->s->held--;
    SLEY_CALL(c, rc, sley_stream_close, &c->op, &c->tcp.stream);
    SLEY_RETURN(c, rc);
    SLEY_END(c);
}
SLEY_FRAME(echo, struct conn)

struct acceptor {
    struct sley_frame frame;
    struct server *s;
    struct sley_scope conns;
    struct sley_tcp tcp;
    int result;
    union {
        struct sley_io_op io;
        struct sley_scope_op scope;
    } op;
};

static void note(struct server *s, const struct sley_tcp *tcp)
{
    s->held++;
    s->most = s->held > s->most ? s->held : s->most;
    s->direct += sley_fd_is_direct(&tcp->fd);
}

static enum sley_step serve(struct acceptor *a)
{
    int rc;
    SLEY_BEGIN(a);
    a->result = sley_scope_init(&a->conns, &(struct sley_scope_opts){.name = "connections"});
    while (a->result == 0) {
        SLEY_CALL(a, a->result, sley_tcp_accept, &a->op.io, &a->s->listener, &a->tcp);
        if (a->result == 0) {
            note(a->s, &a->tcp);
            a->result = SLEY_SPAWN(&a->conns, echo, .s = a->s, .tcp = a->tcp);
        }
    }
    SLEY_CALL(a, rc, sley_tcp_listener_close, &a->op.io, &a->s->listener);
    SLEY_CALL(a, rc, sley_scope_fini, &a->op.scope, &a->conns);
    SLEY_RETURN(a, a->result == -ECANCELED ? rc : a->result);
    SLEY_END(a);
}
SLEY_FRAME(serve, struct acceptor)

static int start(struct server *s, const char *reactor)
{
    char why[256] = "", text[SLEY_ADDR_TEXT_BYTES];
    struct sley_addr addr;
    const struct sley_runtime_opts o = {
        .executor_name = "local", .reactor_name = reactor, .stall_ns = SLEY_NEVER, .ret_error = why, .error_bytes = sizeof why};
    int rc = sley_runtime_init(&s->rt, &o);
    if (rc < 0) {
        fprintf(stderr, "many: cannot start: %s\n", why[0] ? why : strerror(-rc));
        return rc;
    }
    rc = sley_tcp_listen(&s->listener, "127.0.0.1:0", &(struct sley_tcp_opts){.direct = true});
    rc = rc < 0 ? rc : sley_tcp_listener_local(&s->listener, &addr);
    rc = rc < 0 ? rc : sley_addr_format(&addr, text, sizeof text);
    rc = rc < 0 ? rc : sley_runtime_spawn(&s->rt, &serve__type, &(struct acceptor){.s = s}, &s->task);
    if (rc < 0) {
        fprintf(stderr, "many: %s\n", strerror(-rc));
        return rc;
    }
    return printf("listening on %s\n", text) < 0 ? -EIO : 0;
}

/* ---- the loop of all --------------------------------------------------------------------------------------------------- */

static uint64_t monotonic_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

/** Turns each once. Returns: when one of them wants to be turned next at the latest; a negative errno in *ret_rc. */
static uint64_t turn_all(uint32_t count, int *ret_rc)
{
    uint64_t next = SLEY_NEVER;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t its = SLEY_NEVER;
        const int rc = sley_runtime_turn(&servers[i].rt, &its);
        *ret_rc = rc < 0 ? rc : *ret_rc;
        next = its < next ? its : next;
    }
    return next;
}

/** Turns them and waits for their rings until a signal comes, which is let in while it waits alone. */
static int loop(uint32_t count, const sigset_t *usual)
{
    struct pollfd fds[RINGS_MAX];
    int rc = 0;
    for (uint32_t i = 0; i < count; i++) {
        fds[i] = (struct pollfd){.fd = sley_runtime_fd(&servers[i].rt), .events = POLLIN};
        rc = fds[i].fd < 0 ? fds[i].fd : rc;
    }
    while (rc == 0 && !ending) {
        const uint64_t next = turn_all(count, &rc), now = next == 0 || next == SLEY_NEVER ? 0 : monotonic_ns();
        const uint64_t left = next > now ? next - now : 0;
        const struct timespec ts = {.tv_sec = (time_t)(left / SLEY_S), .tv_nsec = (long)(left % SLEY_S)};
        if (rc == 0 && ppoll(fds, count, next == SLEY_NEVER ? NULL : &ts, usual) < 0 && errno != EINTR) {
            rc = -errno;
        }
    }
    return rc;
}

static int end(struct server *s)
{
    sley_task_unref(s->task);
    const int stopped = sley_runtime_stop(&s->rt, sley_after_ns(20 * SLEY_S));
    const int ended = sley_runtime_fini(&s->rt);
    return stopped < 0 ? stopped : ended;
}

int main(int argc, char **argv)
{
    const char *reactor = "uring";
    uint32_t rings = 3, started = 0;
    sigset_t ours, usual;
    struct rlimit limit;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--reactor") == 0) {
            reactor = argv[i + 1];
        } else {
            rings = strcmp(argv[i], "--rings") == 0 ? (uint32_t)atoi(argv[i + 1]) : 0;
        }
    }
    if (rings < 1 || rings > RINGS_MAX || argc % 2 == 0) {
        fprintf(stderr, "usage: many [--rings 1..%d] [--reactor NAME]\n", RINGS_MAX);
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max; /* so long is each ring's table */
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGTERM);
    (void)sigaddset(&ours, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &ours, &usual);
    (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    (void)sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    int rc = 0;
    while (rc == 0 && started < rings) {
        rc = start(&servers[started], reactor);
        started += rc == 0;
    }
    (void)fflush(stdout);
    rc = rc < 0 ? rc : loop(started, &usual);
    uint32_t most = 0, direct = 0, left = 0;
    for (uint32_t i = 0; i < started; i++) {
        left += servers[i].held;
        most += servers[i].most;
        direct += servers[i].direct;
        const int ended = end(&servers[i]);
        rc = rc < 0 ? rc : ended;
    }
    printf("rings=%u most=%u direct=%u left=%u\n", started, most, direct, left);
    if (rc < 0) {
        fprintf(stderr, "many: %s\n", strerror(-rc));
    }
    return rc < 0;
}
