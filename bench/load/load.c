/* bench/load: loads an echo server from a sley program, and says how it did: echoes, latencies, the server's CPU and memory. */
#include "load.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "open.h"
#include "server.h"

struct plan {
    struct load *load;
    const char *server; /* "127.0.0.1:7000" */
    double seconds, warmup_seconds;
    int pid; /* the server's; 0: unknown */
    bool progress;
    bool together;      /* with other loads: says when it is connected, and is told when to begin and when to end */
    const char **doing; /* what failed, if it did */
};

/** What was measured. */
struct figures {
    double seconds;
    int64_t cpu_ns, resident_bytes, connection_bytes;
};

static uint64_t to_ns(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

/** Sleeps for the time of the measurement, telling every second how it goes. */
static int watch(const struct plan *p)
{
    const uint64_t end = sley_after_ns(to_ns(p->seconds));
    uint64_t before = 0, now = sley_now_ns();
    while (now < end && p->load->error_count == 0) {
        const uint64_t next = now + SLEY_S < end ? now + SLEY_S : end;
        const uint64_t begin = now;
        const int rc = sley_sleep_until(next);
        if (rc < 0) {
            return rc;
        }
        now = sley_now_ns();
        const uint64_t echoes = p->load->echo_count;
        if (p->progress && now - begin > SLEY_S / 4) {
            fprintf(stderr, "   %3.0f s left, %.0f echoes per second\n", now < end ? (double)(end - now) / 1e9 : 0.0,
                    (double)(echoes - before) * 1e9 / (double)(now - begin));
        }
        before = echoes;
    }
    return 0;
}

/** Measures while the clients in @p clients run. */
static int measure(const struct plan *p, int64_t memory_before, struct figures *ret_figures)
{
    int rc = sley_sleep(to_ns(p->warmup_seconds));
    if (rc < 0) {
        return rc;
    }
    struct figures f = {0};
    const int64_t cpu = p->pid ? server_cpu_ns(p->pid) : 0;
    const uint64_t begin = sley_now_ns();
    p->load->measuring = true;
    rc = watch(p);
    p->load->measuring = false;
    f.seconds = (double)(sley_now_ns() - begin) / 1e9;
    if (p->pid) {
        f.cpu_ns = server_cpu_ns(p->pid);
        f.resident_bytes = server_resident_bytes(p->pid);
        if (cpu < 0 || f.cpu_ns < 0 || f.resident_bytes < 0) {
            *p->doing = "cannot look at the server's process";
            return -ESRCH;
        }
        f.cpu_ns -= cpu;
        f.connection_bytes = (f.resident_bytes - memory_before) / (int64_t)p->load->connection_count;
    }
    *ret_figures = f;
    return rc;
}

static void print_figures(const struct plan *p, const struct figures *f)
{
    const struct load *l = p->load;
    printf("connections=%u payload=%u depth=%u seconds=%.2f echoes=%llu errors=%llu echoes_per_s=%.0f", l->connection_count,
           l->payload_bytes, l->depth, f->seconds, (unsigned long long)l->echo_count, (unsigned long long)l->error_count,
           (double)l->echo_count / f->seconds);
    printf(" p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f", histogram_quantile(&l->latency_ns, 0.5) / 1e3,
           histogram_quantile(&l->latency_ns, 0.99) / 1e3, histogram_quantile(&l->latency_ns, 0.999) / 1e3,
           (double)l->latency_ns.max / 1e3);
    if (l->interval_ns > 0) {
        printf(" missed=%llu", (unsigned long long)l->missed_count);
    }
    if (p->pid) {
        printf(" cpu_us_per_echo=%.3f resident_bytes=%lld bytes_per_connection=%lld",
               (double)f->cpu_ns / 1e3 / (double)(l->echo_count ? l->echo_count : 1), (long long)f->resident_bytes,
               (long long)f->connection_bytes);
    }
    (void)putchar('\n');
    (void)fflush(stdout);
}

/** Waits for a line on standard input, or its end. */
static int wait_for_line(void)
{
    struct sley_fd in;
    char c = 0;
    int rc = 0;
    sley_fd_init(&in, STDIN_FILENO);
    while (rc >= 0 && c != '\n') {
        rc = sley_fd_poll(&in, SLEY_IO_IN);
        if (rc >= 0 && read(STDIN_FILENO, &c, 1) <= 0) {
            break;
        }
    }
    return rc == -EPERM ? 0 : rc; /* a file: no need to wait */
}

/** Hands every connection to a client and measures them. @p conns: those that are not handed over are left in there. */
static int load_with(const struct plan *p, struct sley_tcp *conns, int64_t memory_before, struct figures *ret_figures)
{
    struct sley_scope clients;
    int rc = sley_scope_init(&clients, &(struct sley_scope_opts){.name = "clients"});
    if (rc < 0) {
        return rc;
    }
    for (uint32_t i = 0; i < p->load->connection_count && rc == 0; i++) {
        rc = client_spawn(&clients, p->load, conns[i], i);
        if (rc == 0) {
            memset(&conns[i], 0, sizeof conns[i]); /* moved */
        }
    }
    if (rc == 0) {
        rc = measure(p, memory_before, ret_figures);
    }
    if (rc == 0 && p->together) {
        print_figures(p, ret_figures);
        rc = wait_for_line(); /* closing that many would disturb those that measure still */
    }
    const int ended = sley_scope_fini(&clients); /* cancels them; each closes its connection */
    return rc < 0 ? rc : ended;
}

static int drive(struct plan *p)
{
    const uint32_t count = p->load->connection_count;
    const int64_t memory_before = p->pid ? server_resident_bytes(p->pid) : 0;
    struct sley_tcp *conns = calloc(count, sizeof *conns);
    if (!conns) {
        return -ENOMEM;
    }
    const uint64_t begin = sley_now_ns();
    struct figures figures = {.seconds = 1};
    int rc = open_all(p->load, p->server, conns);
    *p->doing = rc < 0 ? "cannot connect" : "cannot load it";
    if (rc == 0) {
        if (p->progress) {
            fprintf(stderr, "   %u connections opened in %.2f s\n", count, (double)(sley_now_ns() - begin) / 1e9);
        }
        if (p->together) {
            (void)puts("connected");
            (void)fflush(stdout);
            rc = wait_for_line();
        }
        rc = rc < 0 ? rc : load_with(p, conns, memory_before, &figures);
    }
    for (uint32_t i = 0; i < count; i++) {
        const int closed = sley_stream_close(&conns[i].stream); /* nothing on one that was never opened, or moved */
        rc = rc < 0 ? rc : closed;
    }
    free(conns);
    if (rc == 0 && !p->together) {
        print_figures(p, &figures);
    }
    return rc;
}
SLEY_FIBER(drive, struct plan)

/* ---- the command line ------------------------------------------------------------------------------------------ */

static void usage(FILE *to)
{
    fputs("usage: load [OPTION]... ADDRESS:PORT\n"
          "Sends messages to an echo server and waits for them to come back. Exit status 1: errors; 2: bad arguments.\n\n"
          "  --connections N   default 1000\n"
          "  --payload N       bytes of a message, default 64\n"
          "  --depth N         messages on their way on each connection, default 1\n"
          "  --interval N      seconds between two messages of a connection, whose depth is 1; default 0: as fast as it goes\n"
          "  --seconds N       default 3\n"
          "  --warmup N        seconds before that which do not count, default 0.5\n"
          "  --pid N           the server's process: its CPU time and memory are told, too\n"
          "  --together        with other loads: print \"connected\", begin at a line on standard input, end at another\n"
          "  --progress        say on standard error how it goes\n"
          "  --help            this text\n"
          "SLEY_REACTOR chooses what the load itself runs on.\n",
          to);
}

static bool number(const char *text, double least, double most, double *ret_value)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most)) {
        return false;
    }
    *ret_value = value;
    return true;
}

/** Returns: -1 to go on, else the exit status, after saying why. */
static int parse(int argc, char **argv, struct plan *p)
{
    static const struct option known[] = {
        {"connections", required_argument, NULL, 'c'},
        {"payload", required_argument, NULL, 'b'},
        {"depth", required_argument, NULL, 'd'},
        {"interval", required_argument, NULL, 'i'},
        {"seconds", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'},
        {"pid", required_argument, NULL, 'p'},
        {"progress", no_argument, NULL, 'v'},
        {"together", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    double connections = 1000, payload = 64, depth = 1, interval = 0, pid = 0;
    int c, which = 0;
    while ((c = getopt_long(argc, argv, "h", known, &which)) != -1) {
        if (c == 'h') {
            usage(stdout);
            return 0;
        }
        if (c == 'v') {
            p->progress = true;
        } else if (c == 't') {
            p->together = true;
        } else if (c == '?') {
            return 2; /* getopt has said it */
        } else if (!(c == 'c'   ? number(optarg, 1, 1000000, &connections)
                     : c == 'b' ? number(optarg, 1, 65536, &payload)
                     : c == 'd' ? number(optarg, 1, 65536, &depth)
                     : c == 'i' ? number(optarg, 0, 60, &interval)
                     : c == 's' ? number(optarg, 0.1, 86400, &p->seconds)
                     : c == 'w' ? number(optarg, 0, 60, &p->warmup_seconds)
                                : number(optarg, 1, INT32_MAX, &pid))) {
            fprintf(stderr, "load: --%s cannot be \"%s\"; see --help\n", known[which].name, optarg);
            return 2;
        }
    }
    /* what is on its way has to fit the kernel's buffers, or a server that writes before it reads on would wait for us */
    if (payload * depth > 65536) {
        fprintf(stderr, "load: --payload times --depth is at most 65536\n");
        return 2;
    }
    if (optind + 1 != argc || sley_addr_parse(&p->load->server, argv[optind]) < 0) {
        fprintf(stderr, "load: needs one numeric address like 127.0.0.1:7000; see --help\n");
        return 2;
    }
    p->server = argv[optind];
    p->load->connection_count = (uint32_t)connections;
    p->load->payload_bytes = (uint32_t)payload;
    p->load->depth = interval > 0 ? 1 : (uint32_t)depth;
    p->load->interval_ns = to_ns(interval);
    p->pid = (int)pid;
    return -1;
}

static int run(const struct plan *p)
{
    char why[256] = "";
    struct sley_runtime rt;
    int result = 0;
    int rc = sley_runtime_init(&rt, &(struct sley_runtime_opts){.ret_error = why, .error_bytes = sizeof why});
    if (rc < 0) {
        fprintf(stderr, "load: cannot start: %s\n", why[0] ? why : strerror(-rc));
        return 2;
    }
    rc = sley_runtime_run(&rt, &drive__type, p, &result);
    int ended = sley_runtime_stop(&rt, sley_after_ns(10 * SLEY_S));
    ended = ended < 0 ? ended : sley_runtime_fini(&rt);
    rc = rc < 0 ? rc : result < 0 ? result : ended;
    if (p->load->error_count > 0) {
        fprintf(stderr, "load: %llu connections failed, the first with: %s\n", (unsigned long long)p->load->error_count,
                strerror(-p->load->first_error));
    } else if (rc < 0) {
        fprintf(stderr, "load: %s: %s: %s\n", p->server, *p->doing, strerror(-rc));
    }
    return rc < 0 || p->load->error_count > 0;
}

int main(int argc, char **argv)
{
    static struct load load;
    const char *doing = "cannot run";
    struct plan plan = {.load = &load, .seconds = 3, .warmup_seconds = 0.5, .doing = &doing};
    const int status = parse(argc, argv, &plan);
    if (status >= 0) {
        return status;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* too few show in the first connect that fails */
    }
    return run(&plan);
}
