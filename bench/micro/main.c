/* bench/micro: the peers' micro benchmarks on sley. Reads the command line, assembles a runtime, prints figures. */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sley/reactor_impl.h>

#include "micro.h"

/** A line of the table. `pass` is warmed up and measured by measure(); `whole` does both itself and prints. */
struct micro_bench {
    const char *name;
    uint64_t ops; /* at scale 1 */
    micro_pass_fn pass;
    micro_pass_fn whole;
};

static const struct micro_bench benches[] = {
    {"spawn_join", 1000000, micro_spawn_join, NULL},
    {"yield_1", 10000000, micro_yield_1, NULL},
    {"yield_1000", 10000000, micro_yield_1000, NULL},
    {"ping_pong_chan", 1000000, micro_ping_pong_chan, NULL},
    {"ping_pong_oneshot", 1000000, micro_ping_pong_oneshot, NULL},
    {"mpsc_1p", 10000000, micro_mpsc_1p, NULL},
    {"mpsc_4p", 10000000, micro_mpsc_4p, NULL},
    {"cross_run_on", 50000, micro_cross_run_on, NULL},
    {"cross_chan", 50000, micro_cross_chan, NULL},
    {"cross_op", 50000, micro_cross_op, NULL},
    {"timer_poll_drop", 1000000, micro_timer_poll_drop, NULL},
    {"timer_bulk", 1000000, NULL, micro_timer_bulk},
    {"timer_fire", 1000000, micro_timer_fire, NULL},
    {"blocking_seq", 200000, micro_blocking_seq, NULL},
    {"blocking_100", 200000, micro_blocking_100, NULL},
    {"file_cached", 1000000, NULL, micro_file_cached},
    {"file_direct", 100000, NULL, micro_file_direct},
    {"chained_spawn", 1000000, micro_chained_spawn, NULL},
    {"skynet", 1000000, NULL, micro_skynet},
    {"mem_task", 1000000, NULL, micro_mem_task},
    {"mem_task_node", 1000000, NULL, micro_mem_task_node},
    {"mem_sleep", 1000000, NULL, micro_mem_sleep},
    {"mem_fiber", 100000, NULL, micro_mem_fiber},
    {"fiber_switch", 10000000, micro_fiber_switch, NULL},
};
enum { BENCH_COUNT = sizeof benches / sizeof benches[0] };

struct options {
    const char *executor, *reactor, *placement;
    uint32_t workers;
    enum sley_task_style style;
    double scale;
};

/* ---- the meter ------------------------------------------------------------------------------------------------- */

static double clock_ns(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) != 0) {
        return NAN; /* both clocks are there on every Linux; a figure that is none would show it */
    }
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct micro_meter micro_meter_start(void)
{
    /* CPU time first and last: what reading the wall clock takes is counted, not hidden */
    const double cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    return (struct micro_meter){.wall_ns = clock_ns(CLOCK_MONOTONIC), .cpu_ns = cpu};
}

void micro_meter_done(struct micro_meter since, const struct micro *m, const char *name, uint64_t n)
{
    const double wall = clock_ns(CLOCK_MONOTONIC) - since.wall_ns;
    const double cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - since.cpu_ns;
    printf("bench=%s assembly=%s ns_per_op=%.2f cpu_ns_per_op=%.2f\n", name, m->assembly, wall / (double)n, cpu / (double)n);
    (void)fflush(stdout);
}

uint64_t micro_delay_ns(struct micro_random *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (1 + (r->state * UINT64_C(0x2545F4914F6CDD1D) >> 33) % 1000) * SLEY_MS;
}

int micro_run(struct micro *m, const struct sley_task_type *frame, const struct sley_task_type *fiber, const void *args)
{
    int result = 0;
    const int rc = sley_runtime_run(&m->rt, m->style == SLEY_STYLE_FRAME ? frame : fiber, args, &result);
    return rc < 0 ? rc : result;
}

/* ---- running them ---------------------------------------------------------------------------------------------- */

/** Multiples of 10,000, so that a tenth still divides into batches of 1000. */
static uint64_t scaled(uint64_t ops, double scale)
{
    const uint64_t n = (uint64_t)((double)ops * scale) / 10000;
    return (n ? n : 1) * 10000;
}

static int measure(struct micro *m, const struct micro_bench *b, uint64_t n)
{
    if (b->whole) {
        return b->whole(m, n);
    }
    int rc = b->pass(m, n / 10); /* warm up: memory, caches */
    if (rc == 0) {
        const struct micro_meter meter = micro_meter_start();
        rc = b->pass(m, n);
        if (rc == 0) {
            micro_meter_done(meter, m, b->name, n);
        }
    }
    return rc;
}

/** Between two cores. */
static bool crosses(const struct micro_bench *b)
{
    return strncmp(b->name, "cross_", 6) == 0;
}

static const struct micro_bench *find(const char *name)
{
    for (size_t i = 0; i < BENCH_COUNT; i++) {
        if (strcmp(benches[i].name, name) == 0) {
            return &benches[i];
        }
    }
    return NULL;
}

/* The names of the parts that were really taken ("auto" is a wish); only a task sees its worker. */
struct parts {
    struct sley_frame frame;
    char *ret_text;
    size_t bytes;
    const char *executor, *style;
    uint32_t workers;
};

static enum sley_step name_parts(struct parts *f)
{
    const struct sley_sched *s = sley_sched_current();
    const char *reactor = s->reactor ? s->reactor->ops->name : "none";
    (void)snprintf(f->ret_text, f->bytes, "%s+%s+%s+%u", f->executor, reactor, f->style, f->workers);
    SLEY_RETURN(f, 0);
}
SLEY_FRAME(name_parts, struct parts)

/* With SLEY_STALL_MS the stall detector runs beside the benchmarks, so that what it costs can be measured. */
static void report(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg, (void)kind;
    fprintf(stderr, "micro: %s\n", text);
}

static int assemble(struct micro *m, const struct options *o)
{
    char why[256] = "";
    const struct sley_runtime_opts opts = {
        .executor_name = o->executor,
        .reactor_name = o->reactor,
        .worker_count = o->workers,
        .placement = o->placement,
        .report = report,
        .stall_ns = getenv("SLEY_STALL_MS") ? 0 : SLEY_NEVER, /* what is measured here keeps its worker on purpose */
        .ret_error = why,
        .error_bytes = sizeof why,
    };
    int rc = sley_runtime_init(&m->rt, &opts);
    if (rc < 0) {
        fprintf(stderr, "micro: cannot start: %s\n", why[0] ? why : strerror(-rc));
        return 2;
    }
    m->style = o->style;
    const struct parts parts = {
        .ret_text = m->assembly,
        .bytes = sizeof m->assembly,
        .executor = m->rt.executor->ops->name,
        .style = o->style == SLEY_STYLE_FRAME ? "frame" : "fiber",
        .workers = o->workers ? o->workers : 1,
    };
    rc = sley_runtime_run(&m->rt, &name_parts__type, &parts, NULL);
    if (rc < 0) {
        fprintf(stderr, "micro: cannot run a task: %s\n", strerror(-rc));
        return 1;
    }
    return 0;
}

/** A fresh runtime for each, so that one's leavings are not another's start. Returns the exit status. */
static int run(const struct micro_bench *b, const struct options *o)
{
    struct micro m;
    int status = assemble(&m, o);
    if (status != 0) {
        return status;
    }
    const bool fits = !crosses(b) || (strcmp(m.rt.executor->ops->name, "cores") == 0 && o->workers > 1);
    int rc = !fits ? -ENOTSUP : measure(&m, b, scaled(b->ops, o->scale));
    if (rc < 0) {
        fprintf(stderr, "micro: %s: %s\n", b->name, strerror(-rc));
        status = 1;
    }
    rc = sley_runtime_stop(&m.rt, sley_after_ns(60 * SLEY_S));
    if (rc == 0) {
        rc = sley_runtime_fini(&m.rt);
    }
    if (rc < 0) {
        fprintf(stderr, "micro: %s: it did not end: %s\n", b->name, strerror(-rc));
        status = 1;
    }
    return status;
}

/* ---- the command line ------------------------------------------------------------------------------------------ */

static void usage(FILE *to)
{
    fputs("usage: micro [OPTION]... [BENCH]...     (no BENCH: all of them but cross_*; list: their names)\n"
          "  --executor NAME   default: SLEY_EXECUTOR, else the runtime's\n"
          "  --reactor NAME    default: SLEY_REACTOR, else the runtime's\n"
          "  --workers N       default: SLEY_WORKERS, else the executor's; cross_* need 2 of `cores`\n"
          "  --placement NAME  default: SLEY_PLACEMENT, else the runtime's; for `cores` and `stealing`\n"
          "  --style STYLE     frame (default) or fiber\n"
          "  --scale S         factor on the number of operations, default 1\n",
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

/** Returns: 0; 2 after saying what is wrong; -1 when there is nothing more to do. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"executor", required_argument, NULL, 'e'}, {"reactor", required_argument, NULL, 'r'},
        {"workers", required_argument, NULL, 'w'},  {"style", required_argument, NULL, 's'},
        {"scale", required_argument, NULL, 'S'},    {"placement", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    double value = 0;
    int c;
    while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (c == 'e') {
            o->executor = optarg;
        } else if (c == 'r') {
            o->reactor = optarg;
        } else if (c == 'p') {
            o->placement = optarg;
        } else if (c == 'w' && number(optarg, 1, 1024, &value)) {
            o->workers = (uint32_t)value;
        } else if (c == 'S' && number(optarg, 1e-6, 1e3, &o->scale)) {
            continue;
        } else if (c == 's' && (strcmp(optarg, "frame") == 0 || strcmp(optarg, "fiber") == 0)) {
            o->style = strcmp(optarg, "frame") == 0 ? SLEY_STYLE_FRAME : SLEY_STYLE_FIBER;
        } else if (c == 'h') {
            usage(stdout);
            return -1;
        } else {
            if (c != '?') { /* else getopt has said it */
                fprintf(stderr, "micro: --%s: not \"%s\"; see --help\n", c == 'w' ? "workers" : c == 's' ? "style" : "scale", optarg);
            }
            return 2;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.style = SLEY_STYLE_FRAME, .scale = 1};
    const int rc = parse(argc, argv, &o);
    if (rc != 0) {
        return rc < 0 ? 0 : rc;
    }
    for (int i = optind; i < argc; i++) {
        if (strcmp(argv[i], "list") == 0) {
            for (size_t b = 0; b < BENCH_COUNT; b++) {
                puts(benches[b].name);
            }
            return 0;
        }
        if (!find(argv[i])) {
            fprintf(stderr, "micro: no benchmark \"%s\"; \"micro list\" names them\n", argv[i]);
            return 2;
        }
    }
    int status = 0;
    for (int i = optind; i < argc && status == 0; i++) {
        status = run(find(argv[i]), &o);
    }
    for (size_t b = 0; optind == argc && b < BENCH_COUNT && status == 0; b++) {
        status = crosses(&benches[b]) ? 0 : run(&benches[b], &o);
    }
    return status;
}
