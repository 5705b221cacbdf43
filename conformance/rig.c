/* The rig of reactors' clauses: the executor, connected pairs, ops that have to wait. */
#include "rig.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>

/* ---- the executor ------------------------------------------------------------------------------------------------ */

struct rig_args {
    void (*fn)(void);
};

static int rig_fiber(struct rig_args *a)
{
    a->fn();
    return 0;
}
SLEY_FIBER_STACK(rig_fiber, struct rig_args, 256 * 1024, NULL)

void sley__rig_run(void (*fn)(void))
{
    static const struct sley_reactor_factory *const reactors[] = {&sley__rig_factory, NULL};
    static struct sley_local ex;
    char why[200] = "";
    const struct sley_executor_config config = {.reactors = reactors, .ret_error = why, .error_bytes = sizeof why};
    sley_local_init(&ex);
    const struct sley_executor_ops *ops = ex.base.ops;
    const int rc = ops->start(&ex.base, &config);
    if (rc < 0) {
        FAIL("a local executor did not start on it: %s", why[0] ? why : strerror(-rc));
    }
    CHECK_RC(ops->spawn(&ex.base, &rig_fiber__type, &(struct rig_args){fn}, NULL), 0);
    CHECK_RC(ops->run(&ex.base, NULL), 0);
    CHECK_RC(ops->stop(&ex.base, SLEY_NEVER), 0);
    CHECK_RC(ops->fini(&ex.base), 0);
}

struct sley_reactor *sley__rig_make(void)
{
    const struct sley_reactor_opts opts = {0}; /* the rig's factory knows whose memory it is */
    struct sley_reactor *r = NULL;
    CHECK_RC(sley__rig_factory.create(&opts, &r), 0);
    CHECK_PTR(r, !=, NULL);
    CHECK_RC(sley_reactor_check(r->ops), 0);
    return r;
}

struct sley_reactor *sley__rig_swap_in(struct sley_reactor **ret_mine)
{
    struct sley_sched *s = sley_sched_current();
    struct sley_reactor *usual = s->reactor, *mine = sley__rig_make();
    mine->sched = s;
    s->reactor = mine;
    *ret_mine = mine;
    return usual;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

int sley__rig_listener(struct sockaddr_in *ret_addr, int backlog)
{
    const int n = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    CHECK_INT(n, >=, 0);
    CHECK_INT(bind(n, (struct sockaddr *)&a, sizeof a), ==, 0);
    CHECK_INT(listen(n, backlog), ==, 0);
    CHECK_INT(getsockname(n, (struct sockaddr *)&a, &len), ==, 0);
    *ret_addr = a;
    return n;
}

int sley__rig_nobody(struct sockaddr_in *ret_addr)
{
    const int n = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *ret_addr;
    *ret_addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(n, >=, 0);
    CHECK_INT(bind(n, (struct sockaddr *)ret_addr, sizeof *ret_addr), ==, 0);
    CHECK_INT(getsockname(n, (struct sockaddr *)ret_addr, &len), ==, 0);
    return n;
}

int sley__rig_dial(const struct sockaddr_in *addr)
{
    const int n = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(n, >=, 0);
    CHECK_INT(connect(n, (const struct sockaddr *)addr, sizeof *addr), ==, 0);
    return n;
}

void sley__rig_socket(struct sley_fd *fd)
{
    const int n = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK_INT(n, >=, 0);
    sley_fd_init(fd, n);
    sley_fd_set_stream(fd);
}

static int tcp_pair(struct sley_fd *ours)
{
    struct sockaddr_in addr;
    const int listener = sley__rig_listener(&addr, 8), peer = sley__rig_dial(&addr), one = 1;
    sley__rig_wait_in(listener); /* a connect may have returned before the listener knows of it */
    const int n = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK_INT(n, >=, 0);
    CHECK_INT(setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), ==, 0);
    (void)close(listener);
    sley_fd_init(ours, n);
    sley_fd_set_stream(ours);
    return peer;
}

int sley__rig_pair(enum pair kind, struct sley_fd *ours)
{
    int n[2];
    if (kind == PAIR_TCP) {
        return tcp_pair(ours);
    }
    CHECK_INT(socketpair(AF_UNIX, (kind == PAIR_UNIX ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0, n), ==, 0);
    CHECK_INT(fcntl(n[0], F_SETFL, O_NONBLOCK), ==, 0);
    sley_fd_init(ours, n[0]);
    return n[1];
}

void sley__rig_wait_in(int number)
{
    struct pollfd p = {.fd = number, .events = POLLIN};
    CHECK_INT(poll(&p, 1, -1), ==, 1);
}

void sley__rig_wait_taken(int number)
{
    for (int left = 1; left > 0; (void)sched_yield()) {
        CHECK_INT(ioctl(number, SIOCOUTQ, &left), ==, 0);
    }
}

void sley__rig_drain(int number, size_t bytes)
{
    static char block[65536];
    while (bytes > 0) {
        const ssize_t n = recv(number, block, bytes < sizeof block ? bytes : sizeof block, 0);
        CHECK_INT(n, >, 0);
        bytes -= (size_t)n;
    }
}

/* ---- one that waits ---------------------------------------------------------------------------------------------- */

const uint8_t sley__rig_waiting_codes[] = {SLEY_IO_RECV,   SLEY_IO_SEND, SLEY_IO_RECVMSG, SLEY_IO_SENDMSG,
                                           SLEY_IO_ACCEPT, SLEY_IO_POLL, SLEY_IO_CONNECT, 0};

void sley__rig_wait_again(struct waiting *w, uint8_t code)
{
    w->iov = (struct iovec){w->buf, sizeof w->buf};
    w->msg = (struct msghdr){.msg_iov = &w->iov, .msg_iovlen = 1};
    switch (code) {
    case SLEY_IO_RECV:
    case SLEY_IO_SEND:
        io_start(&w->op, &w->fd, (enum sley_io_code)code, w->buf, sizeof w->buf);
        break;
    case SLEY_IO_RECVMSG:
    case SLEY_IO_SENDMSG:
        io_start(&w->op, &w->fd, (enum sley_io_code)code, &w->msg, 0);
        break;
    case SLEY_IO_POLL:
        sley_fd_poll_start(&w->op, &w->fd, SLEY_IO_IN);
        break;
    case SLEY_IO_CONNECT:
        io_start(&w->op, &w->fd, SLEY_IO_CONNECT, &w->addr, sizeof w->addr);
        break;
    default:
        io_start(&w->op, &w->fd, SLEY_IO_ACCEPT, NULL, 0);
        break;
    }
}

/** A listener whose queue is full: the next SYN is not answered. Those that come before the listener has one would be. */
static void fill_queue(struct waiting *w)
{
    w->peer = sley__rig_listener(&w->addr, 0);
    w->others[0] = sley__rig_dial(&w->addr);
    sley__rig_wait_in(w->peer); /* Linux takes one in a queue of none */
    for (int i = 1; i < 4; i++) {
        w->others[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        CHECK_INT(w->others[i], >=, 0);
        (void)connect(w->others[i], (struct sockaddr *)&w->addr, sizeof w->addr);
    }
    sley__rig_socket(&w->fd);
}

static void fill_socket(struct waiting *w)
{
    w->peer = unix_pair(&w->fd);
    for (ssize_t n; (n = send(w->fd.number, w->buf, sizeof w->buf, MSG_DONTWAIT)) > 0;) {
        w->sent += (size_t)n;
    }
}

void sley__rig_wait(struct waiting *w, uint8_t code)
{
    memset(w, 0, sizeof *w);
    memset(w->others, -1, sizeof w->others);
    w->peer = -1;
    if (code == SLEY_IO_ACCEPT) {
        sley_fd_init(&w->fd, sley__rig_listener(&w->addr, 8));
    } else if (code == SLEY_IO_CONNECT) {
        fill_queue(w);
    } else if (code == SLEY_IO_SEND || code == SLEY_IO_SENDMSG) {
        fill_socket(w);
    } else {
        w->peer = unix_pair(&w->fd);
    }
    sley__rig_wait_again(w, code);
    if (soon(&w->op.wait)) {
        FAIL("op %u that has to wait is done with %d", code, w->op.wait.result);
    }
}

void sley__rig_let(struct waiting *w, uint8_t code)
{
    switch (code) {
    case SLEY_IO_SEND:
    case SLEY_IO_SENDMSG:
        sley__rig_drain(w->peer, w->sent);
        break;
    case SLEY_IO_ACCEPT:
        w->others[0] = sley__rig_dial(&w->addr);
        break;
    default:
        put(w->peer, "abc");
        break;
    }
}

void sley__rig_check_let(struct waiting *w, uint8_t code)
{
    const int32_t result = w->op.wait.result;
    switch (code) {
    case SLEY_IO_SEND:
    case SLEY_IO_SENDMSG:
        CHECK_INT(result, >, 0);
        break;
    case SLEY_IO_ACCEPT:
        CHECK_RC(result, 0);
        w->others[1] = w->op.out_number;
        break;
    case SLEY_IO_POLL:
        CHECK_INT(result, ==, SLEY_IO_IN);
        break;
    default:
        CHECK_RC(result, 3);
        CHECK(memcmp(w->buf, "abc", 3) == 0);
        break;
    }
}

void sley__rig_wait_end(struct waiting *w)
{
    shut(&w->fd);
    for (size_t i = 0; i < sizeof w->others / sizeof w->others[0]; i++) {
        if (w->others[i] >= 0) {
            (void)close(w->others[i]);
        }
    }
    if (w->peer >= 0) {
        (void)close(w->peer);
    }
}
