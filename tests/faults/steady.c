/*
 * The well-behaved clients: connections that each send a message at an even pace, check what comes back and note how long it
 * took. Plain C and no sley, so that it cannot share a bug with the server. On standard input "take" prints the figures since
 * the last one, "pause" and "go" stop and resume the sending (answered when nothing is on its way); the end of it is the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "bench/load/histogram.h"

enum { MESSAGE_BYTES = 64, TICK_NS = 1000000, EVENTS = 256 };

/* Tags of what is no connection. */
enum { TAG_TIMER = -1, TAG_INPUT = -2 };

struct conn {
    int fd;
    bool waiting; /* for an answer */
    bool owed;    /* its turn came while it waited: that message counts from its turn on, or a stall would hide itself */
    uint32_t sequence, got;
    uint64_t sent_ns, turn_ns;
};

static struct conn *conns;
static uint32_t conn_count, waiting_count;
static uint64_t rate, error_count, longest_lag_ns;
static bool paused, pause_asked;
static struct histogram latency_ns;

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "steady: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void compose(const struct conn *c, unsigned char *m)
{
    const uint32_t words[2] = {(uint32_t)(c - conns), c->sequence};
    for (size_t i = 0; i < MESSAGE_BYTES; i += sizeof words) {
        memcpy(m + i, words, sizeof words);
    }
}

/** A connection that failed is counted once and not used again. */
static void fail(struct conn *c, const char *what)
{
    if (error_count++ == 0) {
        fprintf(stderr, "steady: connection %u: %s: %s\n", (unsigned)(c - conns), what, strerror(errno));
    }
    waiting_count -= c->waiting;
    (void)close(c->fd);
    c->fd = -1;
    c->waiting = c->owed = false;
}

static void send_one(struct conn *c, uint64_t turn_ns)
{
    unsigned char m[MESSAGE_BYTES];
    c->sequence++;
    compose(c, m);
    c->sent_ns = turn_ns;
    c->got = 0;
    c->waiting = true;
    waiting_count++;
    if (send(c->fd, m, sizeof m, MSG_NOSIGNAL) != MESSAGE_BYTES) { /* one message is on its way at most: it always fits */
        fail(c, "send");
    }
}

static void receive(struct conn *c)
{
    unsigned char want[MESSAGE_BYTES], m[MESSAGE_BYTES + 1];
    const ssize_t n = recv(c->fd, m, sizeof m - c->got, 0);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    compose(c, want);
    errno = n < 0 ? errno : 0;
    if (n <= 0 || !c->waiting || (size_t)n > MESSAGE_BYTES - c->got || memcmp(m, want + c->got, (size_t)n) != 0) {
        fail(c, n < 0 ? "receive" : n == 0 ? "closed by the server" : "not what was sent");
        return;
    }
    c->got += (uint32_t)n;
    if (c->got < MESSAGE_BYTES) {
        return;
    }
    histogram_add(&latency_ns, now_ns() - c->sent_ns);
    c->waiting = false;
    waiting_count--;
    if (c->owed) {
        c->owed = false;
        send_one(c, c->turn_ns);
    }
}

/** Sends what is due, evenly over the connections. */
static void tick(uint64_t begin_ns, uint64_t *sent)
{
    static uint32_t next;
    const uint64_t due = (now_ns() - begin_ns) / 1000 * rate / 1000000;
    for (; *sent < due; (*sent)++) {
        struct conn *c = &conns[next];
        next = (next + 1) % conn_count;
        const uint64_t now = now_ns();
        const uint64_t turn = begin_ns + *sent * 1000000000u / rate;
        longest_lag_ns = now - turn > longest_lag_ns ? now - turn : longest_lag_ns;
        if (paused || c->fd < 0) {
            continue;
        }
        if (c->waiting) {
            c->turn_ns = c->owed ? c->turn_ns : now;
            c->owed = true;
        } else {
            send_one(c, now);
        }
    }
}

static void open_all(const char *address, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
        die("address");
    }
    for (uint32_t i = 0; i < conn_count; i++) {
        const int on = 1;
        conns[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (conns[i].fd < 0 || connect(conns[i].fd, (struct sockaddr *)&to, sizeof to) < 0 ||
            setsockopt(conns[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 || fcntl(conns[i].fd, F_SETFL, O_NONBLOCK) < 0) {
            die("connect");
        }
    }
}

/** Every connection once, so that the server holds them all before it says so. */
static void greet(void)
{
    for (uint32_t i = 0; i < conn_count; i++) {
        send_one(&conns[i], now_ns());
    }
}

static void print_figures(void)
{
    uint64_t stuck = 0;
    const uint64_t now = now_ns();
    for (uint32_t i = 0; i < conn_count; i++) {
        if (conns[i].waiting && now - conns[i].sent_ns > stuck) {
            stuck = now - conns[i].sent_ns;
        }
    }
    printf("echoes=%llu errors=%llu p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f oldest_us=%.1f lag_us=%.1f\n",
           (unsigned long long)latency_ns.total, (unsigned long long)error_count, histogram_quantile(&latency_ns, 0.5) / 1e3,
           histogram_quantile(&latency_ns, 0.99) / 1e3, histogram_quantile(&latency_ns, 0.999) / 1e3, (double)latency_ns.max / 1e3,
           (double)stuck / 1e3, (double)longest_lag_ns / 1e3);
    memset(&latency_ns, 0, sizeof latency_ns);
    longest_lag_ns = 0;
}

/** Returns: false at the end of the input. */
static bool command(void)
{
    char text[64];
    const ssize_t n = read(0, text, sizeof text - 1);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    if (strcmp(text, "take\n") == 0) {
        print_figures();
    } else if (strcmp(text, "pause\n") == 0) {
        paused = pause_asked = true;
    } else if (strcmp(text, "go\n") == 0) {
        paused = false;
        puts("going");
    } else {
        puts("what?");
    }
    return true;
}

static void watch(int epoll, int fd, int tag)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = tag};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
        die("epoll_ctl");
    }
}

static void drive(int epoll, int timer)
{
    struct epoll_event events[EVENTS];
    const uint64_t begin_ns = now_ns();
    uint64_t sent = 0, ticks;
    bool greeted = false;
    for (;;) {
        const int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            const int tag = events[i].data.fd;
            if (tag >= 0 && conns[tag].fd >= 0) {
                receive(&conns[tag]);
            } else if (tag == TAG_TIMER && read(timer, &ticks, sizeof ticks) == sizeof ticks && greeted) {
                tick(begin_ns, &sent);
            } else if (tag == TAG_INPUT && !command()) {
                return;
            }
        }
        if (!greeted && waiting_count == 0) {
            greeted = true;
            sent = (now_ns() - begin_ns) / 1000 * rate / 1000000;
            memset(&latency_ns, 0, sizeof latency_ns);
            puts("ready");
        }
        if (pause_asked && waiting_count == 0) {
            pause_asked = false;
            puts("paused");
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: steady ADDRESS PORT CONNECTIONS MESSAGES-PER-SECOND\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    conn_count = (uint32_t)strtoul(argv[3], NULL, 10);
    rate = strtoull(argv[4], NULL, 10);
    conns = calloc(conn_count ? conn_count : 1, sizeof *conns);
    struct rlimit limit;
    if (!conns || !conn_count || !rate || getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        die("arguments");
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        die("descriptors");
    }
    const int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    const struct itimerspec pace = {.it_interval.tv_nsec = TICK_NS, .it_value.tv_nsec = TICK_NS};
    if (epoll < 0 || timer < 0 || timerfd_settime(timer, 0, &pace, NULL) < 0) {
        die("timer");
    }
    open_all(argv[1], (uint16_t)strtoul(argv[2], NULL, 10));
    for (uint32_t i = 0; i < conn_count; i++) {
        watch(epoll, conns[i].fd, (int)i);
    }
    watch(epoll, timer, TAG_TIMER);
    watch(epoll, 0, TAG_INPUT);
    greet();
    drive(epoll, timer);
    return 0;
}
