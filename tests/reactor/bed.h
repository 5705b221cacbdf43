/* What the reactor's tests stand on: a fiber on a local executor with the reactor under test, which it may poll by hand. */
#ifndef SLEY_TESTS_REACTOR_BED_H
#define SLEY_TESTS_REACTOR_BED_H

#include <sley/fiber.h>
#include <sley/local.h>
#include <sley/reactor_poll.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"

/* chosen by meson: the same tests run on each port */
#ifndef REACTOR
#define REACTOR sley_reactor_epoll
#endif
#define IS_EPOLL (&REACTOR == &sley_reactor_epoll)
#ifdef REACTOR_HEADER /* of one that is not always built */
#include REACTOR_HEADER
#endif
#ifdef BED_URING
#include "uring_port.h"
#define IS_URING true
#define MISSING() uring_missing()
#else
#define IS_URING false
#define MISSING() NULL
#endif

struct bed_args {
    void (*fn)(void);
};

static int bed_fiber(struct bed_args *a)
{
    a->fn();
    return 0;
}
SLEY_FIBER_STACK(bed_fiber, struct bed_args, 256 * 1024, NULL)

struct bed {
    struct sley_local ex;
};

static inline void bed_start(struct bed *b)
{
    const char *missing = MISSING();
    if (missing) {
        SKIP("%s", missing);
    }
    static const struct sley_reactor_factory *const reactors[] = {&REACTOR, NULL};
    sley_local_init(&b->ex);
    CHECK_RC(b->ex.base.ops->start(&b->ex.base, &(struct sley_executor_config){.alloc = harness_alloc(), .reactors = reactors}), 0);
}

static inline void bed_run(struct bed *b, void (*fn)(void))
{
    CHECK_RC(b->ex.base.ops->spawn(&b->ex.base, &bed_fiber__type, &(struct bed_args){fn}, NULL), 0);
    CHECK_RC(b->ex.base.ops->run(&b->ex.base, NULL), 0);
}

static inline void bed_end(struct bed *b)
{
    CHECK_RC(b->ex.base.ops->fini(&b->ex.base), 0);
}

/** Runs @p fn as the only fiber of an executor. */
static inline void in_fiber(void (*fn)(void))
{
    struct bed b;
    bed_start(&b);
    bed_run(&b, fn);
    bed_end(&b);
}

/** A case whose body runs in a fiber. */
#define FIBER_TEST(name, ids)       \
    static void fiber_##name(void); \
    SLEY_TEST(name, ids)            \
    {                               \
        in_fiber(fiber_##name);     \
    }                               \
    static void fiber_##name(void)

static inline struct sley_reactor *reactor(void)
{
    return sley_sched_current()->reactor;
}

/** What poll returns: how many events it has seen. */
static inline int look(uint64_t timeout_ns)
{
    struct sley_reactor *r = reactor();
    return r->ops->poll(r, timeout_ns);
}

/** Is it done? What is ready when it starts is done then by a reactor of readiness, and by a ring in the next look. */
static inline bool done_now(const struct sley_wait *w)
{
    if (IS_URING && !sley_wait_done(w)) {
        CHECK_INT(look(0), >=, 0);
    }
    return sley_wait_done(w);
}

/** Looks until @p w is done. */
static inline int32_t until_done(const struct sley_wait *w)
{
    while (!sley_wait_done(w)) {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    return w->result;
}

/* ---- ops ---------------------------------------------------------------------------------------------------------- */

static inline void io_start(struct sley_io_op *op, struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    op->fd = fd;
    op->buf = buf;
    op->len = len;
    op->code = (uint8_t)code;
    op->flags = 0;
    op->end = NULL;
    sley_io_submit(op);
}

static inline void io_start_all(struct sley_io_op *op, struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    op->fd = fd;
    op->buf = buf;
    op->len = len;
    op->code = (uint8_t)code;
    op->flags = SLEY_IO_ALL;
    op->end = NULL;
    sley_io_submit(op);
}

static inline int io(struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    struct sley_io_op op = {.fd = fd, .buf = buf, .len = len, .code = (uint8_t)code};
    return sley_io_run(&op);
}

/* ---- descriptors -------------------------------------------------------------------------------------------------- */

/** A pair of which a[0] is ours and peer is a plain blocking number. */
static inline int unix_pair(struct sley_fd *ours)
{
    int n[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, n), ==, 0);
    CHECK_INT(fcntl(n[0], F_SETFL, O_NONBLOCK), ==, 0);
    sley_fd_init(ours, n[0]);
    return n[1];
}

static inline int tcp_listener(struct sockaddr_in *ret_addr, int backlog)
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

/** Where nobody listens, and nobody else can as long as the socket that is returned is open. */
static inline int tcp_nobody(struct sockaddr_in *ret_addr)
{
    const int n = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *ret_addr;
    *ret_addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(n, >=, 0);
    CHECK_INT(bind(n, (struct sockaddr *)ret_addr, sizeof *ret_addr), ==, 0);
    CHECK_INT(getsockname(n, (struct sockaddr *)ret_addr, &len), ==, 0);
    return n;
}

/** Waits until it is readable: over the loopback, too, nothing is there at once (a busy machine puts its delivery off). */
static inline void wait_in(int number)
{
    struct pollfd p = {.fd = number, .events = POLLIN};
    CHECK_INT(poll(&p, 1, -1), ==, 1);
}

/** The same, until @p bytes are there. */
static inline void wait_bytes(int number, int bytes)
{
    int n = 0;
    for (wait_in(number); n < bytes; (void)sched_yield()) {
        CHECK_INT(ioctl(number, FIONREAD, &n), ==, 0);
    }
}

/** Waits until the other side's system has taken all that was sent. */
static inline void wait_taken(int number)
{
    int n = 1;
    for (; n > 0; (void)sched_yield()) {
        CHECK_INT(ioctl(number, SIOCOUTQ, &n), ==, 0);
    }
}

static inline int tcp_dial(const struct sockaddr_in *addr)
{
    const int n = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(n, >=, 0);
    CHECK_INT(connect(n, (const struct sockaddr *)addr, sizeof *addr), ==, 0);
    return n;
}

/** As unix_pair, over TCP, with what io/ says of such sockets. */
static inline int tcp_pair(struct sley_fd *ours)
{
    struct sockaddr_in addr;
    const int listener = tcp_listener(&addr, 8);
    const int peer = tcp_dial(&addr);
    const int one = 1;
    wait_in(listener); /* a connect may have returned before the listener knows of it */
    const int n = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK_INT(n, >=, 0);
    CHECK_INT(setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), ==, 0);
    (void)close(listener);
    sley_fd_init(ours, n);
    sley_fd_set_stream(ours);
    return peer;
}

/** Which file is open there; 0: none. Where other threads are about, a watchdog's say, a number is soon somebody else's again. */
static inline uint64_t file_of(int number)
{
    struct stat st;
    return fstat(number, &st) == 0 ? (uint64_t)st.st_dev << 32 ^ (uint64_t)st.st_ino : 0;
}

static inline void put(int number, const char *text)
{
    CHECK_INT(send(number, text, strlen(text), MSG_NOSIGNAL), ==, (intmax_t)strlen(text));
}

#endif
