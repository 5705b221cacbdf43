/* Datagrams between tasks, on every kind of runtime: at full speed, and when the runtime is stopped under them. */
#include "kinds.h"

#include <sley/reactor_impl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS = 3, SIDES = 2 * PAIRS, BALLS = 2, ROUNDS = 10 };

struct side {
    struct sley_fd fd;
    struct sockaddr_in other;
    bool connected;
};

static struct side sides[SIDES];
static SLEY_ATOMIC(unsigned) hits;

static int udp_socket(struct sockaddr_in *ret_addr)
{
    const int n = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    CHECK_INT(n, >=, 0);
    CHECK_INT(bind(n, (struct sockaddr *)&a, sizeof a), ==, 0);
    CHECK_INT(getsockname(n, (struct sockaddr *)&a, &len), ==, 0);
    *ret_addr = a;
    return n;
}

/** Every second pair is connected: who sends where the other is closed already may be told so there. */
static void lay_out(void)
{
    for (int i = 0; i < SIDES; i += 2) {
        struct side *a = &sides[i], *b = &sides[i + 1];
        const int na = udp_socket(&b->other), nb = udp_socket(&a->other);
        a->connected = b->connected = i % 4 == 2;
        if (a->connected) {
            CHECK_INT(connect(na, (struct sockaddr *)&a->other, sizeof a->other), ==, 0);
            CHECK_INT(connect(nb, (struct sockaddr *)&b->other, sizeof b->other), ==, 0);
        }
        sley_fd_init(&a->fd, na);
        sley_fd_init(&b->fd, nb);
    }
}

/** Sends a ball, or waits for one: by address, or to and from where the socket is connected. */
static int move_ball(struct side *s, bool hit)
{
    char ball[16] = "ball";
    struct iovec iov = {ball, hit ? 5 : sizeof ball};
    struct sockaddr_in from = s->other;
    struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1};
    struct sley_io_op op = {.fd = &s->fd, .buf = &m, .code = hit ? SLEY_IO_SENDMSG : SLEY_IO_RECVMSG};
    if (s->connected) {
        op = (struct sley_io_op){.fd = &s->fd, .buf = ball, .len = iov.iov_len, .code = hit ? SLEY_IO_SEND : SLEY_IO_RECV};
    }
    const int rc = sley_io_run(&op);
    CHECK(rc < 0 || (rc == 5 && strcmp(ball, "ball") == 0 && (s->connected || from.sin_port == s->other.sin_port)));
    return rc;
}

struct player {
    struct side *side;
    int serves;
};

static int play(struct player *p)
{
    struct side *s = p->side;
    int rc = 0;
    for (int i = 0; i < p->serves && rc >= 0; i++) {
        rc = move_ball(s, true);
    }
    while (rc >= 0) {
        rc = move_ball(s, false);
        if (rc >= 0) {
            /* relaxed: a count */
            atomic_fetch_add_explicit(&hits, 1, memory_order_relaxed);
            rc = move_ball(s, true);
        }
    }
    CHECK(rc == -ECANCELED || (rc == -ECONNREFUSED && s->connected));
    CHECK_RC(sley_fd_close(&s->fd), 0);
    return 0;
}
SLEY_FIBER(play, struct player)

static int watch(unsigned *until)
{
    /* relaxed: as above */
    while (atomic_load_explicit(&hits, memory_order_relaxed) < *until) {
        CHECK_RC(sley_sleep(SLEY_MS), 0);
    }
    return 0;
}
SLEY_FIBER(watch, unsigned)

/** Returns: whether this build, and this machine, has it. */
static bool play_on(const struct kind *k)
{
    struct sley_runtime rt;
    char why[256];
    const struct sley_runtime_opts o = {.alloc = harness_alloc(),
                                        .executor_name = k->executor,
                                        .reactor_name = k->reactor,
                                        .worker_count = k->workers,
                                        .stall_ns = SLEY_NEVER,
                                        .ret_error = why,
                                        .error_bytes = sizeof why};
    const int rc = sley_runtime_init(&rt, &o);
    if (rc < 0) {
        CHECK(strcmp(k->reactor, "uring") == 0 || strcmp(k->reactor, "uv") == 0);
        harness_note("%s", why);
        return false;
    }
    lay_out();
    /* relaxed: nobody plays yet */
    atomic_store_explicit(&hits, 0, memory_order_relaxed);
    for (int i = 0; i < SIDES; i++) {
        const struct player p = {.side = &sides[i], .serves = i % 2 ? 0 : BALLS};
        CHECK_RC(sley_runtime_spawn(&rt, &play__type, &p, NULL), 0);
    }
    const unsigned until = 50 + (unsigned)harness_rand_below(200);
    kind_run(&rt, &watch__type, &until);
    kind_end(&rt);
    for (int i = 0; i < SIDES; i++) {
        CHECK_INT(sides[i].fd.number, ==, -1);
    }
    return true;
}

SLEY_TEST_SECONDS(datagrams_at_full_speed_when_their_runtime_is_stopped, "SHUT-05", 60)
{
    static const struct kind all[] = {{"local", "epoll", 1},    {"local", "poll", 1},     {"local", "uring", 1},
                                      {"local", "uv", 1},       {"shares", "epoll", 1},   {"cores", "epoll", 2},
                                      {"cores", "uring", 2},    {"stealing", "epoll", 3}, {"stealing", "poll", 2},
                                      {"stealing", "uring", 2}, {"stealing", "uv", 2},    {NULL, NULL, 0}};
    for (const struct kind *k = kinds_chosen(all); k->executor; k++) {
        for (int i = 0; i < ROUNDS && play_on(k); i++) {
        }
    }
}
