/* An echo server: what comes in goes out. The connections are in echo_fiber.c and echo_frame.c; here: options, start, end. */
#include "echo.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

struct options {
    const char *address, *port;
    const char *executor, *reactor;
    uint32_t workers;
    const struct sley_task_type *server;
    bool lent;
};

static void usage(FILE *to)
{
    fputs("usage: echo [OPTION]...\n"
          "Sends back what it receives until SIGINT or SIGTERM.\n\n"
          "  --port N          listen on port N (default 7000; 0: any free one)\n"
          "  --address A       listen on the numeric address A (default 127.0.0.1)\n"
          "  --style STYLE     a connection is a \"frame\" or a \"fiber\" (default: SLEY_STYLE, else \"frame\")\n"
          "  --lent            read into buffers that the reactor lends, so that an idle connection holds none\n"
          "  --executor NAME   who runs tasks (default: SLEY_EXECUTOR, else the best there is)\n"
          "  --reactor NAME    who waits for the network (default: SLEY_REACTOR, else the best there is)\n"
          "  --workers N       how many threads run tasks (default: SLEY_WORKERS, else the executor's)\n"
          "  --help            this text\n",
          to);
}

static bool number(const char *text, long least, long most, long *ret_value)
{
    char *end;
    const long value = strtol(text, &end, 10);
    if (end == text || *end || value < least || value > most) {
        return false;
    }
    *ret_value = value;
    return true;
}

/** NULL for another style; frames when none is named. */
static const struct sley_task_type *server_of(const char *style)
{
    if (!style || !*style || strcmp(style, "frame") == 0) {
        return echo_frame;
    }
    return strcmp(style, "fiber") == 0 ? echo_fiber : NULL;
}

/** Returns: -1 to go on, else the exit status, after saying why. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"address", required_argument, NULL, 'a'},
        {"style", required_argument, NULL, 's'},
        {"executor", required_argument, NULL, 'e'},
        {"reactor", required_argument, NULL, 'r'},
        {"workers", required_argument, NULL, 'w'},
        {"lent", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c, which = 0;
    long value = 0;
    while ((c = getopt_long(argc, argv, "h", known, &which)) != -1) {
        bool good = true;
        switch (c) {
        case 'p':
            good = number(optarg, 0, 65535, &value);
            o->port = optarg;
            break;
        case 'a':
            o->address = optarg;
            break;
        case 's':
            good = *optarg && (o->server = server_of(optarg)) != NULL;
            break;
        case 'e':
            o->executor = optarg;
            break;
        case 'r':
            o->reactor = optarg;
            break;
        case 'w':
            good = number(optarg, 1, 1024, &value);
            o->workers = (uint32_t)value;
            break;
        case 'l':
            o->lent = true;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            return 2; /* getopt has said it */
        }
        if (!good) {
            fprintf(stderr, "echo: --%s cannot be \"%s\"; see --help\n", known[which].name, optarg);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "echo: what is \"%s\"? see --help\n", argv[optind]);
        return 2;
    }
    return -1;
}

static struct sley_runtime runtime;

/** Each connection takes a descriptor: as many as this user may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            fprintf(stderr, "echo: the limit on open files stays as it is: %s\n", strerror(errno));
        }
    }
}

/**
 * One listener for each worker, all on one port: the system spreads connections over them, and each is served where it was
 * accepted. Returns: 0; the exit status, after saying why.
 */
static int listen_on(const struct options *o, struct echo_server *servers, uint32_t n)
{
    char text[SLEY_ADDR_TEXT_BYTES];
    struct sley_addr addr;
    const int len = snprintf(text, sizeof text, strchr(o->address, ':') ? "[%s]:%s" : "%s:%s", o->address, o->port);
    int rc = len >= (int)sizeof text ? -EINVAL : sley_addr_parse(&addr, text);
    if (rc < 0) {
        fprintf(stderr, "echo: \"%s\" is no numeric address\n", o->address);
        return 2;
    }
    const struct sley_tcp_opts opts = {.backlog = 4096, .reuse_port = n > 1};
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        servers[i].lent = o->lent;
        rc = sley_tcp_listen(&servers[i].listener, text, &opts);
        if (rc == 0 && i == 0) { /* any free port: the others take the same */
            rc = sley_tcp_listener_local(&servers[0].listener, &addr);
            rc = rc < 0 ? rc : sley_addr_format(&addr, text, sizeof text);
            rc = rc < 0 ? rc : 0;
        }
    }
    if (rc < 0) {
        fprintf(stderr, "echo: cannot listen on %s: %s\n", text, strerror(-rc));
        return 1;
    }
    char parts[128];
    const char *style = o->server == echo_fiber ? "fiber" : "frame";
    rc = sley_runtime_describe(&runtime, parts, sizeof parts);
    if (rc < 0 || printf("listening on %s (%s, style %s)\n", text, parts, style) < 0 || fflush(stdout) != 0) {
        fprintf(stderr, "echo: cannot say where it listens: %s\n", strerror(rc < 0 ? -rc : errno));
        return 1;
    }
    return 0;
}

static void halt(int signo)
{
    (void)signo;
    sley_runtime_halt(&runtime);
}

/** A server for worker @p i; on whichever there is when the executor moves tasks about. */
static int start_server(const struct options *o, uint32_t i, const struct echo_server *server, struct sley_task **ret_task)
{
    const int rc = sley_runtime_spawn_on(&runtime, i, o->server, server, ret_task);
    return rc == -ENOTSUP ? sley_runtime_spawn(&runtime, o->server, server, ret_task) : rc;
}

/** Runs the servers until a signal comes, then cancels every connection and waits for the last. Returns the exit status. */
static int serve(const struct options *o, const struct echo_server *servers, struct sley_task **tasks, uint32_t n)
{
    int result, rc = 0;
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        rc = start_server(o, i, &servers[i], &tasks[i]);
    }
    rc = rc < 0 ? rc : sley_runtime_run_all(&runtime);
    rc = rc == -ECANCELED ? 0 : rc; /* halted: that is how it ends */
    for (uint32_t i = 0; i < n; i++) {
        if (tasks[i] && rc == 0 && sley_task_result(tasks[i], &result) == 0) {
            rc = result; /* it has ended by itself */
        }
        sley_task_unref(tasks[i]);
    }
    if (rc < 0) {
        fprintf(stderr, "echo: %s\n", strerror(-rc));
    }
    int ended = sley_runtime_stop(&runtime, sley_after_ns(5 * SLEY_S));
    ended = ended < 0 ? ended : sley_runtime_fini(&runtime);
    if (ended < 0) {
        fprintf(stderr, "echo: connections are left: %s\n", strerror(-ended));
    }
    return rc < 0 || ended < 0;
}

static void report(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg, (void)kind;
    fprintf(stderr, "echo: %s\n", text);
}

int main(int argc, char **argv)
{
    struct options o = {.address = "127.0.0.1", .port = "7000"};
    int status = parse(argc, argv, &o);
    if (status >= 0) {
        return status;
    }
    if (!o.server && !(o.server = server_of(getenv("SLEY_STYLE")))) {
        fprintf(stderr, "echo: SLEY_STYLE cannot be \"%s\": it is \"frame\" or \"fiber\"\n", getenv("SLEY_STYLE"));
        return 2;
    }
    raise_descriptor_limit();
    char why[256] = "";
    const struct sley_runtime_opts opts = {
        .executor_name = o.executor,
        .reactor_name = o.reactor,
        .worker_count = o.workers,
        .lend = {.buffer_bytes = ECHO_BUFFER_BYTES},
        .report = report,
        .ret_error = why,
        .error_bytes = sizeof why,
    };
    const int rc = sley_runtime_init(&runtime, &opts);
    if (rc < 0) {
        fprintf(stderr, "echo: cannot start: %s\n", why[0] ? why : strerror(-rc));
        return 2;
    }
    const struct sigaction action = {.sa_handler = halt};
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0) {
        fprintf(stderr, "echo: signals: %s\n", strerror(errno));
        return 1;
    }
    const uint32_t n = sley_runtime_workers(&runtime);
    struct echo_server *servers = calloc(n, sizeof *servers);
    struct sley_task **tasks = calloc(n, sizeof *tasks);
    if (!servers || !tasks) {
        fprintf(stderr, "echo: %s\n", strerror(ENOMEM));
        return 1;
    }
    status = listen_on(&o, servers, n);
    status = status != 0 ? (void)sley_runtime_fini(&runtime), status : serve(&o, servers, tasks, n);
    free(servers);
    free(tasks);
    return status;
}
