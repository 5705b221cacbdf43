/* A worker of `stealing` is held by a task that computes for seconds: how late are the timers and connections that were its own?
 *
 * usage: held [--workers N] [--seconds N] [--stuck-ms N] [--in-place yes] [--load N]
 *        (SLEY_REACTOR: default epoll; --stuck-ms 0: nobody helps; in place: the task says so; load: so many threads compute beside it)
 *
 * Tasks sleep until times a millisecond apart, and tasks echo on connections; each notes on which worker it has armed its timer,
 * or read first. Then one task keeps its worker. Judged are the timers and connections of that worker, in that time. The lines
 * "bare" are what the system's scheduler takes for the same steps: a thread sleeps for half of stuck-ms (the look) and wakes
 * another (who helps), and late is that one. */
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sley/sley.h>
#include <sley/stealing.h>
#include <sley/tcp.h>

enum { CONNECTIONS = 64, MESSAGE = 64, SECONDS_MAX = 60, ECHOES_MAX = 1000 * SECONDS_MAX, LOAD_MAX = 64 };

static struct options {
    uint32_t workers, seconds, stuck_ms, in_place, load;
} options = {.workers = 2, .seconds = 5, .stuck_ms = 10};

/* Whose timers and connections count, once it is held; times in ns. */
static struct {
    _Atomic uintptr_t worker;
    _Atomic uint32_t over, armed, broken, taken, passed;
    uint64_t from_ns, until_ns;
    uint64_t first_ns; /* when the first timer is due */
} held;

static uintptr_t here(void)
{
    return (uintptr_t)sley_sched_current();
}

/* ---- timers ---------------------------------------------------------------------------------------------------------- */

static struct sleeper {
    uint64_t due_ns, ran_ns;
    uintptr_t armed_on;
} sleepers[1000 * SECONDS_MAX];

struct sleep {
    struct sley_frame frame;
    struct sleeper *s;
    struct sley_timer timer;
};

static enum sley_step sleep_once(struct sleep *f)
{
    int rc;
    SLEY_BEGIN(f);
    f->s->armed_on = here();
    held.armed++;
    SLEY_CALL(f, rc, sley_sleep_until, &f->timer, f->s->due_ns);
    f->s->ran_ns = rc == 0 ? sley_now_ns() : 0;
    SLEY_END(f);
}
SLEY_FRAME(sleep_once, struct sleep)

/* ---- connections ------------------------------------------------------------------------------------------------------- */

static struct connection {
    int client;
    struct sley_tcp server;
    _Atomic uintptr_t home;
} connections[CONNECTIONS];

struct echo {
    struct sley_frame frame;
    struct connection *c;
    size_t done;
    struct sley_io_op op;
    unsigned char buf[MESSAGE];
};

static enum sley_step echo(struct echo *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    f->c->home = here();
    held.armed++;
    for (;;) {
        SLEY_CALL(f, rc, sley_stream_read_exact, &f->op, &f->c->server.stream, f->buf, sizeof f->buf, &f->done);
        if (rc == 0) {
            SLEY_CALL(f, rc, sley_stream_write_all, &f->op, &f->c->server.stream, f->buf, sizeof f->buf, &f->done);
        }
        if (rc < 0) {
            break;
        }
    }
    SLEY_CALL(f, rc, sley_stream_close, &f->op, &f->c->server.stream);
    SLEY_END(f);
}
SLEY_FRAME(echo, struct echo)

static int connect_all(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof at;
    const int l = socket(AF_INET, SOCK_STREAM, 0);
    int rc = l < 0 || bind(l, (const struct sockaddr *)&at, sizeof at) < 0 || listen(l, CONNECTIONS) < 0 ||
                     getsockname(l, (struct sockaddr *)&at, &bytes) < 0
                 ? -errno
                 : 0;
    for (int i = 0; i < CONNECTIONS && rc == 0; i++) {
        connections[i].client = socket(AF_INET, SOCK_STREAM, 0);
        if (connections[i].client < 0 || connect(connections[i].client, (const struct sockaddr *)&at, sizeof at) < 0) {
            return -errno;
        }
        const int server = accept(l, NULL, NULL);
        rc = server < 0 ? -errno : sley_tcp_from_fd(&connections[i].server, server);
    }
    (void)close(l);
    return rc;
}

static uint64_t late_echo[ECHOES_MAX];
static uint32_t echo_count;

/** A plain thread: while the worker is held it sends a message on each of its connections in turn, about one a millisecond. */
static void *client(void *arg)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    unsigned char buf[MESSAGE] = {0};
    (void)arg;
    while (!held.over && !held.broken) {
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        for (int i = 0; i < CONNECTIONS && held.worker && !held.over; i++) {
            if (connections[i].home == held.worker) {
                const uint64_t from = sley_now_ns();
                if (send(connections[i].client, buf, sizeof buf, MSG_NOSIGNAL) != MESSAGE ||
                    recv(connections[i].client, buf, sizeof buf, MSG_WAITALL) != MESSAGE) {
                    held.broken = 1;
                } else if (echo_count < ECHOES_MAX) {
                    late_echo[echo_count++] = sley_now_ns() - from;
                }
                (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
            }
        }
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        (void)close(connections[i].client);
    }
    return NULL;
}

/* ---- the same steps without sley, and what runs beside --------------------------------------------------------------------- */

static struct {
    sem_t bell;
    _Atomic uint64_t due_ns;
    uint64_t late[ECHOES_MAX];
    uint32_t count;
} bare;

/** Looks like a watchdog, and wakes. Writes due_ns while bare_help waits: a look that finds that one on its way is left out. */
static void *bare_look(void *arg)
{
    const uint64_t period_ns = (options.stuck_ms ? options.stuck_ms : 10) * SLEY_MS / 2;
    (void)arg;
    for (uint64_t at = sley_after_ns(period_ns); !held.over && !held.broken; at = sley_after_ns(period_ns)) {
        const struct timespec ts = {.tv_sec = (time_t)(at / SLEY_S), .tv_nsec = (long)(at % SLEY_S)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
        if (held.worker && bare.due_ns == 0) {
            bare.due_ns = at;
            (void)sem_post(&bare.bell);
        }
    }
    bare.due_ns = SLEY_NEVER;
    (void)sem_post(&bare.bell);
    return NULL;
}

static void *bare_help(void *arg)
{
    (void)arg;
    while (sem_wait(&bare.bell) == 0 && bare.due_ns != SLEY_NEVER) {
        if (bare.count < ECHOES_MAX) {
            bare.late[bare.count++] = sley_now_ns() - bare.due_ns;
        }
        bare.due_ns = 0;
    }
    return NULL;
}

static void *load(void *arg)
{
    (void)arg;
    while (!held.over && !held.broken) {
    }
    return NULL;
}

/** The threads beside the runtime: who sends, the bare two, the load. */
static struct {
    pthread_t threads[3 + LOAD_MAX];
    uint32_t count;
} beside;

static int beside_start(void)
{
    void *(*const fns[])(void *) = {client, bare_look, bare_help};
    int rc = sem_init(&bare.bell, 0, 0) < 0 ? -errno : 0;
    while (rc == 0 && beside.count < 3 + options.load) {
        rc = -pthread_create(&beside.threads[beside.count], NULL, beside.count < 3 ? fns[beside.count] : load, NULL);
        beside.count += rc == 0;
    }
    return rc;
}

static void beside_end(void)
{
    held.over = 1;
    for (uint32_t i = 0; i < beside.count; i++) {
        (void)pthread_join(beside.threads[i], NULL);
    }
}

/* ---- who holds ----------------------------------------------------------------------------------------------------------- */

static int compute(void *arg)
{
    (void)arg;
    while (sley_now_ns() < held.until_ns) {
    }
    return 0;
}

/** Has the worker timers and connections to be judged by? */
static bool is_rich(uintptr_t worker)
{
    uint32_t timers = 0, homes = 0;
    for (uint32_t i = 0; i < options.seconds * 1000; i++) {
        timers += sleepers[i].armed_on == worker;
    }
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        homes += connections[i].home == worker;
    }
    return timers >= 20 && homes > 0;
}

/** Candidates are where connections are; the first whose worker has enough holds it. */
static int hold(void *unused)
{
    (void)unused;
    int rc = sley_sleep_until(held.first_ns - 50 * SLEY_MS);
    while (rc == 0 && held.armed < options.seconds * 1000 + CONNECTIONS) {
        rc = sley_sleep(20 * SLEY_MS);
    }
    if (rc == 0 && is_rich(here()) && held.taken++ == 0) {
        held.from_ns = sley_now_ns();
        held.until_ns = sley_after_ns(options.seconds * SLEY_S);
        held.worker = here();
        rc = options.in_place ? sley_block_in_place(compute, NULL, NULL) : compute(NULL);
        held.over = 1;
    }
    if (++held.passed == CONNECTIONS && !held.taken) {
        held.over = 1; /* nobody has: the end says so */
    }
    return rc;
}
SLEY_FIBER(hold, void)

static int begin(void *unused)
{
    int rc = 0;
    (void)unused;
    held.first_ns = sley_after_ns(SLEY_S); /* until then all are armed */
    const uint32_t timers = options.seconds * 1000;
    for (uint32_t i = 0, c = 0; i < timers && rc == 0; i++) {
        sleepers[i].due_ns = held.first_ns + i * SLEY_MS;
        rc = SLEY_SPAWN(NULL, sleep_once, .s = &sleepers[i]);
        if (rc == 0 && c < CONNECTIONS && i >= c * (timers / CONNECTIONS)) { /* among them: neighbours mostly stay together */
            rc = SLEY_SPAWN(NULL, echo, .c = &connections[c++]);
            rc = rc < 0 ? rc : sley_spawn(NULL, &hold__type, NULL, NULL, NULL);
        }
    }
    return rc;
}
SLEY_FIBER(begin, void)

/* ---- figures -------------------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void tell(const char *what, uint64_t *late, uint32_t n)
{
    static const double points[] = {50, 99, 100};
    qsort(late, n, sizeof late[0], by_size);
    printf("held=%s workers=%u seconds=%u stuck_ms=%u in_place=%u load=%u count=%u", what, (unsigned)options.workers,
           (unsigned)options.seconds, (unsigned)options.stuck_ms, (unsigned)options.in_place, (unsigned)options.load, (unsigned)n);
    for (size_t i = 0; n > 0 && i < sizeof points / sizeof points[0]; i++) {
        printf(" p%g_ms=%.2f", points[i], (double)late[(uint32_t)((double)(n - 1) * points[i] / 100)] / 1e6);
    }
    printf("\n");
}

static uint32_t late_timers(uint64_t *ret_late)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < options.seconds * 1000; i++) {
        const struct sleeper *s = &sleepers[i];
        if (s->armed_on == held.worker && s->due_ns >= held.from_ns && s->due_ns < held.until_ns) {
            ret_late[n++] = s->ran_ns - s->due_ns;
        }
    }
    return n;
}

static int parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const int n = i + 1 < argc ? strcmp(argv[i + 1], "yes") == 0 ? 1 : atoi(argv[i + 1]) : -1;
        if (strcmp(argv[i], "--workers") == 0 && n > 0) {
            options.workers = (uint32_t)n;
        } else if (strcmp(argv[i], "--seconds") == 0 && n > 0 && n <= SECONDS_MAX) {
            options.seconds = (uint32_t)n;
        } else if (strcmp(argv[i], "--stuck-ms") == 0 && n >= 0) {
            options.stuck_ms = (uint32_t)n;
        } else if (strcmp(argv[i], "--in-place") == 0 && n >= 0) {
            options.in_place = (uint32_t)n;
        } else if (strcmp(argv[i], "--load") == 0 && n >= 0 && n <= LOAD_MAX) {
            options.load = (uint32_t)n;
        } else {
            fprintf(stderr, "usage: held [--workers N] [--seconds N] [--stuck-ms N] [--in-place yes] [--load N]\n");
            return 2;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static uint64_t late[1000 * SECONDS_MAX];
    struct sley_runtime rt;
    if (parse(argc, argv) != 0) {
        return 2;
    }
    const struct sley_runtime_opts o = {
        .executor_name = "stealing",
        .reactor_name = getenv("SLEY_REACTOR") ? getenv("SLEY_REACTOR") : "epoll",
        .worker_count = options.workers,
        .stuck_ns = options.stuck_ms ? options.stuck_ms * SLEY_MS : SLEY_NEVER,
        .stall_ns = SLEY_NEVER,
    };
    int result = 0, rc = connect_all();
    rc = rc < 0 ? rc : sley_runtime_init(&rt, &o);
    rc = rc < 0 ? rc : beside_start();
    if (rc < 0) {
        fprintf(stderr, "held: %s\n", strerror(-rc));
        return 1;
    }
    rc = sley_runtime_run(&rt, &begin__type, NULL, &result);
    rc = rc < 0 ? rc : result < 0 ? result : sley_runtime_run_all(&rt);
    beside_end();
    const int stopped = sley_runtime_stop(&rt, SLEY_NEVER);
    rc = rc < 0 ? rc : stopped < 0 ? stopped : sley_runtime_fini(&rt);
    const uint32_t timers = late_timers(late);
    if (rc < 0 || held.broken || timers == 0 || echo_count == 0) {
        fprintf(stderr, "held: %s\n", rc < 0 ? strerror(-rc) : held.broken ? "a connection broke" : "the held worker had nothing");
        return 1;
    }
    tell("timers", late, timers);
    tell("echo", late_echo, echo_count);
    tell("bare", bare.late, bare.count);
    return 0;
}
