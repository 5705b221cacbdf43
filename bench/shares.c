/* What the shares executor promises: three busy queues get their shares, and a queue with a latency is served in time beside two.
 * Shares are of CPU time; lateness is that of the wall clock, and ("own") without what the thread spent waiting for a processor.
 *
 * usage: shares [--seconds N] [--csv FILE] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sley/shares.h>
#include <sley/sley.h>

enum { BUSY = 3, WAKES_MAX = 20000, GAPS = 1024 };

#define GAP_NS (20 * SLEY_US) /* a turn of a busy loop takes less than one */

static uint64_t end_ns;

/** CPU time, not time: what other programs take from this thread is nobody's. */
static uint64_t cpu_ns(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0) {
        return 0; /* there on every Linux; a figure of nothing would show it */
    }
    return (uint64_t)t.tv_sec * SLEY_S + (uint64_t)t.tv_nsec;
}

/* When this thread had no processor: a busy loop that looks at the clock finds a gap. The system's doing, or its host's. */
static struct gap {
    uint64_t from_ns, to_ns;
} gaps[GAPS];
static unsigned gap_count;

static uint64_t note_gap(uint64_t last_ns)
{
    const uint64_t now = sley_now_ns();
    if (now - last_ns > GAP_NS) {
        gaps[gap_count++ % GAPS] = (struct gap){last_ns, now};
    }
    return now;
}

/** What of the time since @p due_ns was in gaps. */
static uint64_t lost_ns(uint64_t due_ns)
{
    uint64_t lost = 0;
    for (unsigned i = 1; i <= GAPS && i <= gap_count; i++) {
        const struct gap *g = &gaps[(gap_count - i) % GAPS];
        if (g->to_ns <= due_ns) {
            break;
        }
        lost += g->to_ns - (g->from_ns > due_ns ? g->from_ns : due_ns);
    }
    return lost;
}

struct busy {
    uint64_t *ret_cpu_ns;
};

static int compute(struct busy *a)
{
    volatile unsigned sink = 0;
    int rc = 0;
    uint64_t since = cpu_ns();
    while (rc == 0 && sley_now_ns() < end_ns) {
        uint64_t last = sley_now_ns();
        while (!sley_need_preempt()) {
            for (int i = 0; i < 200; i++) {
                sink++;
            }
            last = note_gap(last);
        }
        (void)note_gap(last);
        *a->ret_cpu_ns += cpu_ns() - since;
        rc = sley_yield();
        since = cpu_ns();
    }
    return rc;
}
SLEY_FIBER(compute, struct busy)

struct served {
    uint64_t *late_ns, *own_ns;
    uint32_t *count;
};

/** Sleeps for 2 to 4 ms, again and again, and notes how much later than asked for it runs, and how much of that is not the system's. */
static int be_served(struct served *a)
{
    uint64_t random = 88172645463325252u;
    int rc = 0;
    while (rc == 0 && sley_now_ns() < end_ns && *a->count < WAKES_MAX) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        const uint64_t due = sley_after_ns(2 * SLEY_MS + random % (2 * SLEY_MS));
        rc = sley_sleep_until(due);
        const uint64_t late = sley_now_ns() - due, lost = lost_ns(due);
        a->late_ns[*a->count] = late;
        a->own_ns[(*a->count)++] = late - lost;
    }
    return rc;
}
SLEY_FIBER(be_served, struct served)

struct bench {
    struct sley_shares ex;
    struct sley_runtime rt;
    struct sley_shares_queue queues[BUSY];
    FILE *csv;
};

static int begin(struct bench *b, const struct sley_shares_queue_opts *opts, const struct sley_shares_opts *o, uint64_t seconds)
{
    int rc = sley_shares_init(&b->ex, o);
    for (int i = 0; i < BUSY && rc == 0; i++) {
        rc = sley_shares_queue_init(&b->ex, &b->queues[i], &opts[i]);
    }
    /* a timer is late by up to a tick: the usual one of 1 ms would be as long as the latency */
    const struct sley_runtime_opts how = {.executor = &b->ex.base, .reactor_name = "none", .tick_ns = 100 * SLEY_US};
    rc = rc < 0 ? rc : sley_runtime_init(&b->rt, &how);
    end_ns = sley_after_ns(seconds * SLEY_S);
    return rc;
}

static int finish(struct bench *b)
{
    const int rc = sley_runtime_run_all(&b->rt);
    const int stopped = sley_runtime_stop(&b->rt, SLEY_NEVER);
    return rc < 0 ? rc : stopped < 0 ? stopped : sley_runtime_fini(&b->rt);
}

static int bench_shares(struct bench *b, uint64_t seconds)
{
    static const struct sley_shares_queue_opts opts[BUSY] = {
        {.name = "10", .shares = 10}, {.name = "100", .shares = 100}, {.name = "1000", .shares = 1000}};
    uint64_t cpu[BUSY] = {0}, all = 0;
    int rc = begin(b, opts, &(struct sley_shares_opts){.slice_ns = 100 * SLEY_US}, seconds);
    for (int i = 0; i < BUSY && rc == 0; i++) {
        rc = sley_shares_spawn(&b->queues[i], &compute__type, &(struct busy){.ret_cpu_ns = &cpu[i]}, NULL);
    }
    rc = rc < 0 ? rc : finish(b);
    for (int i = 0; i < BUSY; i++) {
        all += cpu[i];
    }
    for (int i = 0; i < BUSY && rc == 0; i++) {
        struct sley_shares_stats s;
        sley_shares_queue_stats(&b->queues[i], &s);
        const double due = (double)all * s.shares / 1110, off = ((double)cpu[i] / due - 1) * 100;
        printf("queue=%s shares=%u cpu_ms=%.2f due_ms=%.2f off_percent=%+.2f slices=%" PRIu64 " clock_ms=%.2f\n", s.name,
               (unsigned)s.shares, (double)cpu[i] / 1e6, due / 1e6, off, s.pick_count, (double)s.run_ns / 1e6);
        if (b->csv) {
            fprintf(b->csv, "share,%s,%.3f,%.3f\n", s.name, (double)cpu[i] / 1e6, due / 1e6);
        }
    }
    return rc;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void tell_late(const struct bench *b, uint64_t latency_ns, const char *which, uint64_t *late, uint32_t n)
{
    static const double points[] = {50, 90, 99, 99.9, 100};
    qsort(late, n, sizeof late[0], by_size);
    printf("latency_ms=%.1f time=%s wakes=%u", (double)latency_ns / 1e6, which, (unsigned)n);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        printf(" p%g_us=%.0f", points[i], (double)late[(uint32_t)((double)(n - 1) * points[i] / 100)] / 1e3);
    }
    printf("\n");
    for (uint32_t i = 0; i < n && b->csv; i++) {
        fprintf(b->csv, "%s,%s,%.3f,%.6f\n", which, latency_ns ? "1 ms" : "none", (double)late[i] / 1e3, (double)(i + 1) / n);
    }
}

static int bench_latency(struct bench *b, uint64_t seconds, uint64_t latency_ns)
{
    static uint64_t late[WAKES_MAX], own[WAKES_MAX];
    const struct sley_shares_queue_opts opts[BUSY] = {
        {.name = "busy", .shares = 500}, {.name = "busy", .shares = 500}, {.name = "quick", .latency_ns = latency_ns}};
    const struct served args = {.late_ns = late, .own_ns = own, .count = &(uint32_t){0}};
    uint64_t cpu[2] = {0};
    int rc = begin(b, opts, &(struct sley_shares_opts){.slice_ns = 10 * SLEY_MS}, seconds);
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = sley_shares_spawn(&b->queues[i], &compute__type, &(struct busy){.ret_cpu_ns = &cpu[i]}, NULL);
    }
    rc = rc < 0 ? rc : sley_shares_spawn(&b->queues[2], &be_served__type, &args, NULL);
    rc = rc < 0 ? rc : finish(b);
    if (rc == 0 && *args.count > 0) {
        tell_late(b, latency_ns, "wall", late, *args.count);
        tell_late(b, latency_ns, "own", own, *args.count);
    }
    return rc;
}

int main(int argc, char **argv)
{
    static struct bench b;
    uint64_t seconds = 10;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--seconds") == 0 && atoi(argv[i + 1]) > 0) {
            seconds = (uint64_t)atoi(argv[i + 1]);
        } else if (i + 1 < argc && strcmp(argv[i], "--csv") == 0 && (b.csv = fopen(argv[i + 1], "w")) != NULL) {
            fprintf(b.csv, "record,queue,value,reference\n");
        } else {
            fprintf(stderr, "usage: shares [--seconds N] [--csv FILE]\n");
            return 2;
        }
    }
    int rc = bench_shares(&b, seconds);
    rc = rc < 0 ? rc : bench_latency(&b, seconds, SLEY_MS);
    rc = rc < 0 ? rc : bench_latency(&b, seconds, 0);
    if (rc < 0) {
        fprintf(stderr, "shares: %s\n", strerror(-rc));
    }
    return (b.csv && fclose(b.csv) != 0) || rc < 0;
}
