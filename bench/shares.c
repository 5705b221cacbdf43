/* What the shares executor promises: three busy queues get their shares, and a queue with a latency is served in time beside two.
 * Shares are of CPU time; lateness is that of the wall clock, and ("own") without what the thread spent waiting for a processor.
 * "bare" is a loop on the same thread that only looks at the clock until such times are due: what the machine itself is late by.
 * For each part: how long the thread waited for a processor in it, and what the host took from all (steal).
 *
 * usage: shares [--seconds N] [--csv FILE] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

/** When it is to be served next: in 2 to 4 ms. */
static uint64_t next_due(uint64_t *random)
{
    *random ^= *random << 13, *random ^= *random >> 7, *random ^= *random << 17;
    return sley_after_ns(2 * SLEY_MS + *random % (2 * SLEY_MS));
}

/** Sleeps for 2 to 4 ms, again and again; notes how much later than asked it runs, and how much of that is not the system's. */
static int be_served(struct served *a)
{
    uint64_t random = 88172645463325252u + *a->count;
    int rc = 0;
    while (rc == 0 && sley_now_ns() < end_ns && *a->count < WAKES_MAX) {
        const uint64_t due = next_due(&random);
        rc = sley_sleep_until(due);
        const uint64_t late = sley_now_ns() - due, lost = lost_ns(due);
        a->late_ns[*a->count] = late;
        a->own_ns[(*a->count)++] = late - lost;
    }
    return rc;
}
SLEY_FIBER(be_served, struct served)

/* ---- what the system and its host took ------------------------------------------------------------------------------------ */

struct taken {
    uint64_t waited_ns; /* this thread, for a processor */
    uint64_t steal;     /* the host, of all processors, in ticks */
};

/** 0 for what this system does not tell. */
static struct taken taken_now(void)
{
    struct taken t = {0};
    uint64_t n;
    FILE *f = fopen("/proc/thread-self/schedstat", "r");
    if (f) {
        t.waited_ns = fscanf(f, "%*u %" SCNu64, &n) == 1 ? n : 0;
        (void)fclose(f);
    }
    f = fopen("/proc/stat", "r");
    if (f) {
        t.steal = fscanf(f, "cpu %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &n) == 1 ? n : 0;
        (void)fclose(f);
    }
    return t;
}

/** Adds what was taken since @p before. */
static void taken_add(struct taken *sum, const struct taken *before)
{
    const struct taken now = taken_now();
    sum->waited_ns += now.waited_ns - before->waited_ns;
    sum->steal += now.steal - before->steal;
}

static void tell_taken(const char *part, const struct taken *t)
{
    printf("part=%s waited_ms=%.1f steal_ms=%.0f\n", part, (double)t->waited_ns / 1e6,
           (double)t->steal * 1e3 / (double)sysconf(_SC_CLK_TCK));
}

/* ---- the parts ------------------------------------------------------------------------------------------------------------- */

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

static void tell_late(const struct bench *b, uint64_t latency_ns, const char *which, uint64_t *ns, uint32_t n)
{
    static const double points[] = {50, 90, 99, 99.9, 100};
    qsort(ns, n, sizeof ns[0], by_size);
    printf("latency_ms=%.1f time=%s wakes=%u", (double)latency_ns / 1e6, which, (unsigned)n);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        printf(" p%g_us=%.0f", points[i], (double)ns[(uint32_t)((double)(n - 1) * points[i] / 100)] / 1e3);
    }
    printf("\n");
    for (uint32_t i = 0; i < n && b->csv; i++) {
        fprintf(b->csv, "%s,%s,%.3f,%.6f\n", which, latency_ns ? "1 ms" : "none", (double)ns[i] / 1e3, (double)(i + 1) / n);
    }
}

/* Wakes of one kind, of all rounds. */
static struct series {
    const char *part;
    uint64_t latency_ns;
    uint64_t late[WAKES_MAX], own[WAKES_MAX];
    uint32_t count;
    struct taken taken;
} with_latency = {.part = "latency", .latency_ns = SLEY_MS}, without = {.part = "no_latency"}, bare = {.part = "bare"};

static int bench_bare(struct bench *b, struct series *s)
{
    uint64_t random = 88172645463325252u + s->count;
    (void)b;
    end_ns = sley_after_ns(SLEY_S);
    while (sley_now_ns() < end_ns && s->count < WAKES_MAX) {
        uint64_t now;
        const uint64_t due = next_due(&random);
        while ((now = sley_now_ns()) < due) {
        }
        s->late[s->count++] = now - due;
    }
    return 0;
}

static int bench_latency(struct bench *b, struct series *s)
{
    const struct sley_shares_queue_opts opts[BUSY] = {
        {.name = "busy", .shares = 500}, {.name = "busy", .shares = 500}, {.name = "quick", .latency_ns = s->latency_ns}};
    const struct served args = {.late_ns = s->late, .own_ns = s->own, .count = &s->count};
    uint64_t cpu[2] = {0};
    int rc = begin(b, opts, &(struct sley_shares_opts){.slice_ns = 10 * SLEY_MS}, 1);
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = sley_shares_spawn(&b->queues[i], &compute__type, &(struct busy){.ret_cpu_ns = &cpu[i]}, NULL);
    }
    rc = rc < 0 ? rc : sley_shares_spawn(&b->queues[2], &be_served__type, &args, NULL);
    return rc < 0 ? rc : finish(b);
}

/** One second of each in turn: so that what the machine does meets all of them. */
static int bench_rounds(struct bench *b, uint64_t seconds)
{
    int rc = 0;
    for (uint64_t i = 0; i < 3 * seconds && rc == 0; i++) {
        struct series *s = i % 3 == 0 ? &with_latency : i % 3 == 1 ? &without : &bare;
        const struct taken before = taken_now();
        rc = s == &bare ? bench_bare(b, s) : bench_latency(b, s);
        taken_add(&s->taken, &before);
    }
    for (struct series *const *s = (struct series *const[]){&with_latency, &without, &bare, NULL}; *s && rc == 0; s++) {
        tell_late(b, (*s)->latency_ns, *s == &bare ? "bare" : "wall", (*s)->late, (*s)->count);
        if (*s != &bare) {
            tell_late(b, (*s)->latency_ns, "own", (*s)->own, (*s)->count);
        }
        tell_taken((*s)->part, &(*s)->taken);
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
    struct taken taken = {0};
    const struct taken before = taken_now();
    int rc = bench_shares(&b, seconds);
    taken_add(&taken, &before);
    tell_taken("shares", &taken);
    rc = rc < 0 ? rc : bench_rounds(&b, seconds);
    if (rc < 0) {
        fprintf(stderr, "shares: %s\n", strerror(-rc));
    }
    return (b.csv && fclose(b.csv) != 0) || rc < 0;
}
