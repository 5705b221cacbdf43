/* Stress: rounds of random trees of tasks on one executor, beside a second executor and plain threads; then everything is counted.
 *
 *     stress --executor NAME --workers N --reactor NAME --seed S --rounds N | --seconds T
 *
 * scripts/stress runs it on all executors in turn.
 *
 * Prints the seed first, then a line for each round, with the seed that repeats it. Exit status: 0; 1: something was lost. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sley/group_impl.h>

#include "stress.h"

struct world w;

static struct options {
    const char *executor, *reactor;
    uint32_t workers, rounds, seconds, depth, trees, patience_s;
    uint64_t seed;
} options = {.executor = "stealing", .reactor = "none", .depth = 3, .trees = 24, .patience_s = 20};

_Noreturn void fail(const char *file, int line, const char *what, long long a)
{
    (void)fprintf(stderr, "%s:%d: %s (%lld) in round %u, seed 0x%llx\n", file, line, what, a, w.round, (unsigned long long)w.seed);
    abort();
}

/* ---- numbers ------------------------------------------------------------------------------------------------------- */

struct rng rng_of(uint64_t id)
{
    return (struct rng){mix(w.seed ^ id)};
}

uint64_t child_of(uint64_t id, uint64_t n)
{
    return mix(id * 31 + n + 1);
}

int result_of(uint64_t id)
{
    return (int)(mix(id ^ 0x55) & 0x3fffffff);
}

void result_check(uint64_t id, int result)
{
    if (result != result_of(id) && result != -EIO && result != -ECANCELED) {
        fail(__FILE__, __LINE__, "a task's result", result);
    }
}

uint64_t soon(struct rng *r, uint32_t most_us)
{
    return sley_after_ns(below(r, most_us) * SLEY_US);
}

/* ---- an allocator that counts ---------------------------------------------------------------------------------------- */

static _Atomic uint64_t live;

struct block {
    void *start;
    size_t bytes;
};

static void *count_alloc(struct sley_alloc *self, size_t bytes, size_t align)
{
    (void)self;
    align = align < sizeof(struct block) ? sizeof(struct block) : align;
    char *start = malloc(bytes + align + sizeof(struct block));
    EXPECT(start);
    char *at = start + align + sizeof(struct block) - ((uintptr_t)(start + sizeof(struct block)) & (align - 1));
    at -= (uintptr_t)at & (align - 1);
    const struct block b = {start, bytes};
    memcpy(at - sizeof b, &b, sizeof b);
    add(&live);
    return at;
}

static void count_free(struct sley_alloc *self, void *ptr, size_t bytes)
{
    (void)self;
    if (ptr) {
        struct block b;
        memcpy(&b, (char *)ptr - sizeof b, sizeof b);
        if (b.bytes != bytes) {
            fail(__FILE__, __LINE__, "a block freed with another size", (long long)bytes);
        }
        atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
        free(b.start);
    }
}

static const struct sley_alloc_ops count_ops = {
    .version = SLEY_ALLOC_VERSION,
    .caps = SLEY_ALLOC_CAP_THREADS,
    .alloc = count_alloc,
    .free = count_free,
};
static struct sley_alloc counts = {.ops = &count_ops};

/* ---- who notices that nothing goes on any more ------------------------------------------------------------------------ */

static void report(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg;
    if (kind != SLEY_REPORT_STALL) { /* threads lose their processor here, and jobs of others take it */
        (void)fprintf(stderr, "%s\n", text);
    }
    if (kind == SLEY_REPORT_MISUSE) {
        fail(__FILE__, __LINE__, "misuse", 0);
    }
}

static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t watch_bell = PTHREAD_COND_INITIALIZER;
static bool watch_ends;

static void *watch(void *arg)
{
    uint64_t last = 0;
    uint32_t quiet_s = 0;
    (void)arg;
    (void)pthread_mutex_lock(&watch_lock);
    while (!watch_ends) {
        struct timespec ts;
        (void)clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_sec++;
        (void)pthread_cond_timedwait(&watch_bell, &watch_lock, &ts);
        const uint64_t now = atomic_load_explicit(&w.progress, memory_order_relaxed);
        quiet_s = now == last ? quiet_s + 1 : 0;
        last = now;
        if (quiet_s == options.patience_s) {
            (void)fprintf(stderr, "nothing has happened for %u s in round %u, seed 0x%llx\n", quiet_s, w.round,
                          (unsigned long long)w.seed);
            atomic_store_explicit(&w.stalled, 1, memory_order_relaxed);
            sley_runtime_halt(&w.rt); /* whoever drives it tells what is left */
        } else if (quiet_s > options.patience_s + 10) {
            fail(__FILE__, __LINE__, "even the driver hangs", 0);
        }
    }
    (void)pthread_mutex_unlock(&watch_lock);
    return NULL;
}

static void tell_left(struct sley_runtime *rt)
{
    const struct sley_sched *first = rt->executor->ops->sched(rt->executor);
    for (uint32_t i = 0; i < (first->group ? first->group->count : 1); i++) {
        sley_sched_report_left(first->group ? first->group->scheds[i] : rt->executor->ops->sched(rt->executor), false);
    }
}

/** A run that was called off by the watchdog ends here. */
void driven(int rc)
{
    if (atomic_load_explicit(&w.stalled, memory_order_relaxed)) {
        tell_left(&w.rt);
        (void)fprintf(stderr, "beside it:\n");
        tell_left(&w.side);
        fail(__FILE__, __LINE__, "a wake or a task is lost", rc);
    }
    EXPECT_RC(rc, 0);
}

/* ---- a round ----------------------------------------------------------------------------------------------------------- */

static void *side_main(void *arg)
{
    (void)arg;
    EXPECT_RC(sley_runtime_run(&w.side, side_root_type, NULL, NULL), 0);
    EXPECT_RC(sley_runtime_run_all(&w.side), 0);
    return NULL;
}

static int trunk(void *none)
{
    (void)none;
    struct sley_scope scope = {0};
    struct rng r = rng_of(0);
    EXPECT_RC(sley_scope_init(&scope, NULL), 0);
    for (uint32_t i = 0; i < w.trees; i++) {
        if (chance(&r, 50)) {
            EXPECT_RC(spawn_node(&scope, &r, child_of(0, i), w.depth, NULL), 0);
        } else { /* wherever: on executors of several cores these go around */
            add(&w.spawned);
            EXPECT_RC(sley_runtime_spawn(&w.rt, root_type, &(struct node_args){child_of(0, i), w.depth}, NULL), 0);
        }
    }
    (void)sley_scope_wait(&scope);
    return sley_scope_fini(&scope);
}
SLEY_FIBER(trunk, void)

static void start(struct sley_runtime *rt, const char *executor, uint32_t workers)
{
    char error[256] = "";
    const struct sley_runtime_opts o = {
        .executor_name = executor,
        .reactor_name = options.reactor,
        .worker_count = workers,
        .alloc = &counts,
        .report = report,
        .ret_error = error,
        .error_bytes = sizeof error,
    };
    if (sley_runtime_init(rt, &o) < 0) {
        fail(__FILE__, __LINE__, error, 0);
    }
}

static void run_round(uint32_t round)
{
    pthread_t side;
    w.spawned = w.ended = w.jobs_begun = w.jobs_ended = w.messages = w.joins = 0;
    w.round = round;
    w.seed = options.seed + round;
    w.depth = options.depth;
    w.trees = options.trees;
    start(&w.rt, options.executor, options.workers);
    start(&w.side, "local", 1);
    sley_notify_init(&w.side_ends);
    EXPECT_RC(pthread_create(&side, NULL, side_main, NULL), 0);
    service_start();
    int result = -1;
    driven(sley_runtime_run(&w.rt, &trunk__type, NULL, &result));
    EXPECT_RC(result, 0);
    service_drain();
    sley_notify_set(&w.side_ends);
    EXPECT_RC(pthread_join(side, NULL), 0);
    service_stop();
    EXPECT_RC(sley_runtime_stop(&w.rt, sley_after_ns(120 * SLEY_S)), 0);
    EXPECT_RC(sley_runtime_fini(&w.rt), 0);
    EXPECT_RC(sley_runtime_stop(&w.side, sley_after_ns(120 * SLEY_S)), 0);
    EXPECT_RC(sley_runtime_fini(&w.side), 0);
    EXPECT(w.ended == w.spawned);
    EXPECT(w.jobs_begun == w.jobs_ended);
    expect_rc(__FILE__, __LINE__, "objects left", (int)w.objects, 0);
    EXPECT(live == 0);
    (void)printf("# round %u seed 0x%llx: %llu tasks, %llu joins, %llu messages, %llu jobs\nok %u - round_%u\n", round,
                 (unsigned long long)w.seed, (unsigned long long)w.spawned, (unsigned long long)w.joins, (unsigned long long)w.messages,
                 (unsigned long long)w.jobs_begun, round + 1, round);
    (void)fflush(stdout);
}

/* ---- options ------------------------------------------------------------------------------------------------------------- */

static int usage(const char *name)
{
    (void)fprintf(stderr,
                  "usage: %s [--executor NAME] [--workers N] [--reactor NAME] [--seed S] [--rounds N | --seconds T]\n"
                  "          [--depth N] [--trees N] [--patience SECONDS]\n",
                  name);
    return 2;
}

static bool take_number(const char *name, const char *value)
{
    const struct {
        const char *name;
        uint32_t *to;
    } numbers[] = {{"--workers", &options.workers}, {"--rounds", &options.rounds}, {"--seconds", &options.seconds},
                   {"--depth", &options.depth},     {"--trees", &options.trees},   {"--patience", &options.patience_s}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].to = (uint32_t)strtoul(value, NULL, 0);
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct timespec ts;
    pthread_t watcher;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    options.seed = mix((uint64_t)ts.tv_nsec ^ (uint64_t)getpid() << 32);
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) {
            return usage(argv[0]);
        } else if (strcmp(argv[i], "--executor") == 0) {
            options.executor = argv[i + 1];
        } else if (strcmp(argv[i], "--reactor") == 0) {
            options.reactor = argv[i + 1];
        } else if (strcmp(argv[i], "--seed") == 0) {
            options.seed = strtoull(argv[i + 1], NULL, 0);
        } else if (!take_number(argv[i], argv[i + 1])) {
            return usage(argv[0]);
        }
    }
    const uint32_t rounds = options.rounds ? options.rounds : options.seconds ? UINT32_MAX : 10;
    (void)printf("# seed 0x%llx executor %s workers %u reactor %s\n", (unsigned long long)options.seed, options.executor,
                 options.workers, options.reactor);
    (void)fflush(stdout);
    EXPECT_RC(pthread_create(&watcher, NULL, watch, NULL), 0);
    const uint64_t until = options.seconds ? sley_after_ns(options.seconds * SLEY_S) : SLEY_NEVER;
    uint32_t round = 0;
    for (; round < rounds && sley_now_ns() < until; round++) {
        run_round(round);
    }
    (void)printf("1..%u\n", round);
    (void)pthread_mutex_lock(&watch_lock);
    watch_ends = true;
    (void)pthread_cond_broadcast(&watch_bell);
    (void)pthread_mutex_unlock(&watch_lock);
    EXPECT_RC(pthread_join(watcher, NULL), 0);
    return 0;
}
