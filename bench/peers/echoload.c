/*
 * echoload: closed-loop load generator for TCP echo servers.
 *
 *   echoload HOST PORT CONNS SECONDS PAYLOAD [DEPTH] [options]
 *
 *     --warmup S    seconds of unrecorded load before measuring (default 0.5)
 *     --active N    only the first N connections carry load, the rest sit idle
 *     --pid PID     also report that process's CPU time per request and memory
 *     --label TEXT  printed first, as name=TEXT
 *
 * One thread, one epoll set. Every connection is opened non-blocking with a
 * bounded number in progress, and counts as open only after one verified round
 * trip, so the server's accept queue never has more than that bound in it. Past
 * 10000 connections to a loopback address, each further 10000 come from the next
 * source address (127.0.0.2, ...): ports do not run out, and finding one is quick.
 *
 * Each connection carries one continuous byte stream whose content depends on
 * the position in the stream and on the connection; what comes back is
 * compared with it in full.
 *
 * Exit status: 0 when no error was seen, 1 otherwise, 2 for wrong usage.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { PERIOD = 251, RBUF = 65536, OPENING_MAX = 256, PER_SOURCE = 10000 };

/* ---- latency histogram: 128 buckets per power of two, error below 0.8% ---- */

enum { SUB_BITS = 7, SUB = 1 << SUB_BITS, BUCKETS = (64 - SUB_BITS + 1) * SUB };

static uint64_t hist[BUCKETS];
static uint64_t hist_n, hist_max;

static unsigned bucket_of(uint64_t v)
{
    if (v < SUB) {
        return (unsigned)v;
    }
    unsigned e = 63u - (unsigned)__builtin_clzll(v);
    return (e - SUB_BITS + 1) * SUB + (unsigned)((v >> (e - SUB_BITS)) & (SUB - 1));
}

static double bucket_mid(unsigned i)
{
    if (i < SUB) {
        return i;
    }
    unsigned e = i / SUB + SUB_BITS - 1;
    uint64_t width = 1ull << (e - SUB_BITS);
    uint64_t low = (1ull << e) + (i % SUB) * width;
    return (double)low + (double)width / 2;
}

static void record(uint64_t ns)
{
    hist[bucket_of(ns)]++;
    hist_n++;
    if (ns > hist_max) {
        hist_max = ns;
    }
}

static double quantile_us(double q)
{
    if (hist_n == 0) {
        return 0;
    }
    uint64_t want = (uint64_t)(q * (double)hist_n);
    if (want >= hist_n) {
        want = hist_n - 1;
    }
    uint64_t seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += hist[i];
        if (seen > want) {
            double mid = bucket_mid(i);
            return (mid > (double)hist_max ? (double)hist_max : mid) / 1e3;
        }
    }
    return (double)hist_max / 1e3;
}

/* ---- connections ---- */

enum state { ST_NEW, ST_CONNECTING, ST_HELLO, ST_IDLE, ST_BUSY, ST_DEAD };

struct conn {
    int fd;
    uint8_t state;
    uint8_t want_out; /* EPOLLOUT is armed */
    uint32_t phase;   /* where in the pattern this stream starts */
    uint64_t tx, rx;  /* bytes sent and received */
    uint64_t queued;  /* bytes meant to be sent; tx <= queued */
    uint32_t part;    /* bytes of an unfinished response */
    uint32_t head, tail;
    uint64_t *sent_at; /* ring of DEPTH start times */
};

static struct conn *conns;
static int nconns, nactive, payload, depth = 1, ep;
static int opening, opened, dead;
static uint64_t errors, done_reqs;
static int sending, recording; /* phase flags */
static char *pattern;          /* PERIOD + chunk bytes of repeating pattern */
static size_t chunk;
static struct sockaddr_in peer;

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "echoload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(struct conn *c, int out)
{
    struct epoll_event ev = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev) < 0) {
        die("epoll_ctl");
    }
    c->want_out = (uint8_t)out;
}

static void kill_conn(struct conn *c, const char *why)
{
    static int shown;
    if (shown < 5) {
        shown++;
        fprintf(stderr, "echoload: connection %d: %s (%s)\n", (int)(c - conns), why, strerror(errno));
    }
    if (c->state == ST_CONNECTING || c->state == ST_HELLO) {
        opening--;
    }
    errors++;
    dead++;
    c->state = ST_DEAD;
    close(c->fd);
    c->fd = -1;
}

static void flush_out(struct conn *c)
{
    while (c->tx < c->queued) {
        size_t len = c->queued - c->tx;
        if (len > chunk) {
            len = chunk;
        }
        ssize_t n = send(c->fd, pattern + (c->phase + c->tx) % PERIOD, len, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno == EAGAIN) {
                if (!c->want_out) {
                    watch(c, 1);
                }
                return;
            }
            kill_conn(c, "send failed");
            return;
        }
        c->tx += (uint64_t)n;
    }
    if (c->want_out) {
        watch(c, 0);
    }
}

static void push_request(struct conn *c, uint64_t now)
{
    c->sent_at[c->tail] = now;
    c->tail = c->tail + 1 == (uint32_t)depth ? 0 : c->tail + 1;
    c->queued += (uint64_t)payload;
}

static void on_readable(struct conn *c)
{
    static char buf[RBUF];
    ssize_t n = recv(c->fd, buf, sizeof buf, 0);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return;
        }
        kill_conn(c, "recv failed");
        return;
    }
    if (n == 0) {
        errno = 0;
        kill_conn(c, "closed by the server");
        return;
    }
    if (c->rx + (uint64_t)n > c->tx) {
        errno = 0;
        kill_conn(c, "more bytes came back than were sent");
        return;
    }
    for (ssize_t at = 0; at < n;) {
        size_t len = (size_t)(n - at) < chunk ? (size_t)(n - at) : chunk;
        if (memcmp(buf + at, pattern + (c->phase + c->rx) % PERIOD, len) != 0) {
            errno = 0;
            kill_conn(c, "wrong content came back");
            return;
        }
        c->rx += len;
        at += (ssize_t)len;
    }
    uint64_t got = c->part + (uint64_t)n;
    uint32_t whole = (uint32_t)(got / (uint64_t)payload);
    c->part = (uint32_t)(got % (uint64_t)payload);
    if (whole == 0) {
        return;
    }
    uint64_t now = now_ns();
    for (uint32_t i = 0; i < whole; i++) {
        uint64_t t = c->sent_at[c->head];
        c->head = c->head + 1 == (uint32_t)depth ? 0 : c->head + 1;
        if (recording) {
            record(now - t);
            done_reqs++;
        }
        if (sending && c->state == ST_BUSY) {
            push_request(c, now);
        }
    }
    if (c->state == ST_HELLO) {
        c->state = ST_IDLE;
        opening--;
        opened++;
        return;
    }
    flush_out(c);
}

static void start_connect(struct conn *c, int index)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket");
    }
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    uint32_t host = ntohl(peer.sin_addr.s_addr);
    if (nconns > PER_SOURCE && host >> 24 == 127) {
        struct sockaddr_in src = {.sin_family = AF_INET};
        src.sin_addr.s_addr = htonl(0x7f000001u + (uint32_t)(index / PER_SOURCE));
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(c->fd, (struct sockaddr *)&src, sizeof src) < 0) {
            die("bind");
        }
    }
    struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
        die("epoll_ctl");
    }
    c->state = ST_CONNECTING;
    opening++;
    if (connect(c->fd, (struct sockaddr *)&peer, sizeof peer) < 0 && errno != EINPROGRESS) {
        kill_conn(c, "connect failed");
    }
}

static void on_event(struct conn *c, uint32_t events)
{
    if (c->state == ST_DEAD) {
        return;
    }
    if (c->state == ST_CONNECTING) {
        int err = 0;
        socklen_t len = sizeof err;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
        if (err) {
            errno = err;
            kill_conn(c, "connect failed");
            return;
        }
        c->state = ST_HELLO;
        watch(c, 0);
        push_request(c, now_ns());
        flush_out(c);
        return;
    }
    if (events & EPOLLOUT) {
        flush_out(c);
        if (c->state == ST_DEAD) {
            return;
        }
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        on_readable(c);
    }
}

static void poll_until(uint64_t deadline)
{
    struct epoll_event evs[512];
    uint64_t now = now_ns();
    int ms = deadline > now ? (int)((deadline - now + 999999) / 1000000) : 0;
    int n = epoll_wait(ep, evs, 512, ms);
    if (n < 0 && errno != EINTR) {
        die("epoll_wait");
    }
    for (int i = 0; i < n; i++) {
        on_event(evs[i].data.ptr, evs[i].events);
    }
}

/* ---- the server process, when --pid is given ---- */

/* Of all its threads, exact: /proc/PID/stat counts in hundredths of a second. */
static double cpu_us(long pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid((pid_t)pid, &clock) != 0 || clock_gettime(clock, &t) < 0) {
        return 0;
    }
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static long rss_kb(long pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/statm", pid);
    FILE *f = fopen(path, "r");
    if (!f) {
        return 0;
    }
    long pages = 0;
    if (fscanf(f, "%*d %ld", &pages) != 1) {
        pages = 0;
    }
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void raise_nofile(rlim_t want)
{
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    if (rl.rlim_cur >= want) {
        return;
    }
    struct rlimit up = {want, rl.rlim_max > want ? rl.rlim_max : want};
    if (setrlimit(RLIMIT_NOFILE, &up) < 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
        if (rl.rlim_cur < want) {
            fprintf(stderr, "echoload: only %llu open files are permitted here, %llu needed\n", (unsigned long long)rl.rlim_cur,
                    (unsigned long long)want);
            exit(2);
        }
    }
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: echoload HOST PORT CONNS SECONDS PAYLOAD [DEPTH] "
                    "[--warmup S] [--active N] [--pid PID] [--label TEXT]\n");
    exit(2);
}

/* ---- what one run is, and what it measured ---- */

struct run {
    const char *host, *port, *label;
    double warmup_s, seconds;
    long pid; /* 0: no server process to look at */
    double open_s, took_s, cpu_us;
    long rss_before_kb, rss_kb;
};

static void parse_option(struct run *run, const char *name, const char *value)
{
    if (!strcmp(name, "--warmup")) {
        run->warmup_s = atof(value);
    } else if (!strcmp(name, "--active")) {
        nactive = atoi(value);
    } else if (!strcmp(name, "--pid")) {
        run->pid = atol(value);
    } else if (!strcmp(name, "--label")) {
        run->label = value;
    } else {
        usage();
    }
}

static void parse_args(struct run *run, int argc, char **argv)
{
    const char *pos[6] = {0};
    int npos = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0 && i + 1 < argc) {
            parse_option(run, argv[i], argv[i + 1]);
            i++;
        } else if (strncmp(argv[i], "--", 2) != 0 && npos < 6) {
            pos[npos++] = argv[i];
        } else {
            usage();
        }
    }
    if (npos < 5) {
        usage();
    }
    run->host = pos[0];
    run->port = pos[1];
    nconns = atoi(pos[2]);
    run->seconds = atof(pos[3]);
    payload = atoi(pos[4]);
    if (npos == 6) {
        depth = atoi(pos[5]);
    }
    if (nactive <= 0 || nactive > nconns) {
        nactive = nconns;
    }
    if (nconns < 1 || nconns > 60000 || run->seconds <= 0 || payload < 1 || depth < 1) {
        usage();
    }
}

static void resolve(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *ai;
    if (getaddrinfo(host, port, &hints, &ai) != 0) {
        fprintf(stderr, "echoload: cannot resolve %s\n", host);
        exit(1);
    }
    memcpy(&peer, ai->ai_addr, sizeof peer);
    freeaddrinfo(ai);
}

/* Memory for all connections, and the pattern their streams repeat. */
static void prepare(void)
{
    chunk = (size_t)payload * (size_t)depth;
    if (chunk < RBUF) {
        chunk = RBUF;
    }
    pattern = malloc(PERIOD + chunk);
    conns = calloc((size_t)nconns, sizeof *conns);
    uint64_t *times = calloc((size_t)nconns * (size_t)depth, sizeof *times);
    if (!pattern || !conns || !times) {
        die("malloc");
    }
    for (int i = 0; i < nconns; i++) {
        conns[i].phase = (uint32_t)(i * 7 % PERIOD);
        conns[i].sent_at = times + (size_t)i * (size_t)depth;
    }
    unsigned r = 12345;
    for (size_t i = 0; i < PERIOD; i++) {
        r = r * 1103515245u + 12345u;
        pattern[i] = (char)(r >> 16);
    }
    for (size_t i = PERIOD; i < PERIOD + chunk; i++) {
        pattern[i] = pattern[i - PERIOD];
    }
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0) {
        die("epoll_create1");
    }
}

static void open_all(struct run *run)
{
    run->rss_before_kb = run->pid ? rss_kb(run->pid) : 0;
    uint64_t start = now_ns();
    uint64_t give_up = start + 60000000000ull;
    int next = 0;
    while (opened + dead < nconns) {
        while (next < nconns && opening < OPENING_MAX && dead <= 1000) {
            start_connect(&conns[next], next);
            next++;
        }
        poll_until(now_ns() + 100000000ull);
        if (now_ns() > give_up || dead > 1000) {
            fprintf(stderr, "echoload: gave up opening: %d open, %d failed\n", opened, dead);
            exit(1);
        }
    }
    run->open_s = (double)(now_ns() - start) / 1e9;
}

static void load_for(double seconds)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < end && dead < nconns) {
        poll_until(end);
    }
}

static void load(struct run *run)
{
    sending = 1;
    for (int i = 0; i < nactive; i++) {
        struct conn *c = &conns[i];
        if (c->state != ST_IDLE) {
            continue;
        }
        c->state = ST_BUSY;
        uint64_t now = now_ns();
        for (int d = 0; d < depth; d++) {
            push_request(c, now);
        }
        flush_out(c);
    }
    load_for(run->warmup_s);
    recording = 1;
    double cpu_before = run->pid ? cpu_us(run->pid) : 0;
    uint64_t start = now_ns();
    load_for(run->seconds);
    run->took_s = (double)(now_ns() - start) / 1e9;
    run->cpu_us = run->pid ? cpu_us(run->pid) - cpu_before : 0;
    run->rss_kb = run->pid ? rss_kb(run->pid) : 0;
    recording = 0;
    sending = 0;
}

/* Everything sent must come back; what does not within 3 s is an error. */
static void drain(void)
{
    uint64_t end = now_ns() + 3000000000ull;
    for (;;) {
        int open_requests = 0;
        for (int i = 0; i < nconns && !open_requests; i++) {
            open_requests = conns[i].state != ST_DEAD && conns[i].rx < conns[i].queued;
        }
        if (!open_requests || now_ns() > end) {
            break;
        }
        poll_until(now_ns() + 20000000ull);
    }
    for (int i = 0; i < nconns; i++) {
        if (conns[i].state != ST_DEAD && conns[i].rx != conns[i].queued) {
            errors++;
        }
    }
}

static void report(const struct run *run)
{
    double reqs = (double)done_reqs;
    if (run->label) {
        printf("name=%s ", run->label);
    }
    printf("conns=%d payload=%d depth=%d active=%d", nconns, payload, depth, nactive);
    printf(" reqs=%llu req_per_s=%.0f", (unsigned long long)done_reqs, reqs / run->took_s);
    printf(" p50_us=%.1f p90_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f", quantile_us(0.50), quantile_us(0.90), quantile_us(0.99),
           quantile_us(0.999), (double)hist_max / 1e3);
    printf(" errors=%llu open_s=%.3f", (unsigned long long)errors, run->open_s);
    if (run->pid) {
        printf(" srv_cpu_us_per_req=%.3f srv_cpu=%.2f", done_reqs ? run->cpu_us / reqs : 0.0, run->cpu_us / 1e6 / run->took_s);
        printf(" srv_rss_kb=%ld srv_bytes_per_conn=%.0f", run->rss_kb, (double)(run->rss_kb - run->rss_before_kb) * 1024 / nconns);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    struct run run = {.warmup_s = 0.5};
    parse_args(&run, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    raise_nofile((rlim_t)nconns + 16);
    resolve(run.host, run.port);
    prepare();
    open_all(&run);
    load(&run);
    drain();
    report(&run);
    return errors ? 1 : 0;
}
