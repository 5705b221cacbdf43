/* What is the cores' own: starting together or not at all, where tasks run, quiet over all cores, stop and its reports. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sley/oneshot.h>

#include "cores_bed.h"

/* ---- the n th thread that is made fails (linked with --wrap) -------------------------------------------------------------- */

static SLEY_ATOMIC(int) threads_left = 1 << 30;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    return atomic_fetch_sub_explicit(&threads_left, 1, memory_order_relaxed) > 0 ? __real_pthread_create(thread, attr, fn, arg) : EAGAIN;
}

/* ---- a reactor that fails on the n th worker ------------------------------------------------------------------------------- */

static SLEY_ATOMIC(int) reactors_left = 1 << 30;
static SLEY_ATOMIC(int) ran;

static int create_some(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    CHECK_INT(ran, ==, 0); /* nothing has begun */
    return atomic_fetch_sub_explicit(&reactors_left, 1, memory_order_relaxed) > 0 ? sley_reactor_epoll.create(o, ret_reactor) : -EMFILE;
}
static const struct sley_reactor_factory scarce = {.version = SLEY_REACTOR_VERSION, .name = "scarce", .create = create_some};
static const struct sley_reactor_factory *const scarces[] = {&scarce, NULL};

static void check_start_fails(struct sley_cores *cores, struct sley_executor_config config, int expected, const char *text)
{
    char why[256] = "old";
    struct harness_before before;
    harness_leaks_start(&before);
    config.alloc = harness_alloc();
    config.ret_error = why;
    config.error_bytes = sizeof why;
    CHECK_RC(cores->base.ops->start(&cores->base, &config), expected);
    CHECK_STR(why, text);
    CHECK_UINT(sley_cores_count(cores), ==, 0);
    harness_leaks_check(&before, "after a failed start");
}

static int set_ran(struct none *a)
{
    (void)a;
    ran = 1;
    return 0;
}
SLEY_FIBER(set_ran, struct none)

SLEY_TEST(reactor_that_fails_on_any_worker_leaves_nothing, "SHUT-01 SHARE-08")
{
    for (int k = 0; k < 8; k++) {
        struct sley_cores cores;
        char text[128];
        sley_cores_init(&cores, NULL);
        reactors_left = k;
        (void)snprintf(text, sizeof text, "core %d: reactor scarce did not start (errno 24). ", k);
        check_start_fails(&cores, (struct sley_executor_config){.reactors = scarces, .worker_count = 8}, -EMFILE, text);
    }
    struct sley_cores cores;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .reactors = scarces, .worker_count = 8};
    sley_cores_init(&cores, NULL);
    reactors_left = 8;
    CHECK_INT(ran, ==, 0);
    CHECK_RC(cores.base.ops->start(&cores.base, &config), 0);
    CHECK_RC(cores.base.ops->spawn(&cores.base, &set_ran__type, NULL, NULL), 0);
    CHECK_RC(cores.base.ops->run(&cores.base, NULL), 0);
    CHECK_INT(ran, ==, 1);
    CHECK_RC(cores.base.ops->fini(&cores.base), 0);
}

SLEY_TEST(thread_that_is_not_there_leaves_nothing, "SHUT-01")
{
    for (int k = 0; k < 5; k++) {
        struct sley_cores cores;
        char text[128];
        sley_cores_init(&cores, NULL);
        threads_left = k;
        (void)snprintf(text, sizeof text, "core %d: there is no thread for it (errno 11)", k);
        check_start_fails(&cores, (struct sley_executor_config){.reactors = bed_epolls, .worker_count = 5}, -EAGAIN, text);
    }
    threads_left = 1 << 30;
}

SLEY_TEST(each_allocation_of_a_start_refused, "SHUT-01")
{
    struct harness_before before;
    harness_leaks_start(&before);
    HARNESS_SWEEP_ALLOC(points, 200)
    {
        struct sley_cores cores;
        char why[128] = "";
        sley_cores_init(&cores, &(struct sley_workers_opts){.placement = SLEY_PLACEMENT_FENCED, .cpus = "0-1023"});
        const struct sley_executor_config config = {
            .alloc = harness_alloc(), .reactors = bed_epolls, .worker_count = 3, .ret_error = why, .error_bytes = sizeof why};
        const int rc = cores.base.ops->start(&cores.base, &config);
        CHECK_RC(rc, harness_alloc_refused() ? -ENOMEM : 0);
        if (rc == 0) {
            CHECK_RC(cores.base.ops->fini(&cores.base), 0);
        }
        harness_leaks_check(&before, "after a failed start");
    }
    CHECK_UINT(points, >=, 8);
}

SLEY_TEST(broken_configuration_is_refused_with_a_sentence, "SHUT-01")
{
    struct sley_cores cores;
    struct sley_alloc_pool pool;
    static _Alignas(64) char memory[4096];
    char why[128] = "";
    sley_cores_init(&cores, &(struct sley_workers_opts){.stack_bytes = 1});
    check_start_fails(&cores, (struct sley_executor_config){.worker_count = 2}, -EINVAL,
                      "core 0: there is no thread for it (errno 22)"); /* no such stack */
    sley_cores_init(&cores, &(struct sley_workers_opts){.placement = SLEY_PLACEMENT_PACK});
    struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 5000, .ret_error = why, .error_bytes = sizeof why};
    CHECK_RC(cores.base.ops->start(&cores.base, &config), -EINVAL);
    CHECK_PTR(strstr(why, "5000 workers do not fit on "), ==, why);
    sley_cores_init(&cores, NULL);
    check_start_fails(&cores, (struct sley_executor_config){.worker_count = 2, .tick_ns = 1}, -EINVAL,
                      "core 0 did not start (errno 22)");
    CHECK_RC(sley_alloc_pool_init(&pool, memory, sizeof memory), 0);
    config = (struct sley_executor_config){.alloc = &pool.base, .ret_error = why, .error_bytes = sizeof why};
    CHECK_RC(cores.base.ops->start(&cores.base, &config), -EINVAL);
    CHECK_STR(why, "cores share an allocator, and this one is for one thread at a time");
    CHECK_UINT(pool.used_bytes, ==, 0);
}

SLEY_TEST(start_without_an_error_text_fails_as_well, "")
{
    struct sley_cores cores;
    sley_cores_init(&cores, &(struct sley_workers_opts){.placement = SLEY_PLACEMENT_CUSTOM});
    CHECK_RC(cores.base.ops->start(&cores.base, &(struct sley_executor_config){.worker_count = 2}), -EINVAL);
    sley_cores_init(&cores, NULL);
    reactors_left = 1;
    CHECK_RC(cores.base.ops->start(&cores.base, &(struct sley_executor_config){.worker_count = 2, .reactors = scarces}), -EMFILE);
    CHECK_RC(cores.base.ops->fini(&cores.base), 0);
}

/* ---- where things run -------------------------------------------------------------------------------------------------------- */

struct place {
    struct bed *b;
    int core;
    unsigned *seen;
};

static int check_place(struct place *a)
{
    struct sley_sched *home = sley_sched_current();
    CHECK_PTR(sley_cores_current(), ==, &a->b->cores);
    const int here = sley_cores_here();
    CHECK_INT(here, >=, 0);
    CHECK(a->core < 0 || here == a->core);
    for (int i = 0; i < 3; i++) {
        CHECK_RC(i ? sley_yield() : sley_sleep(SLEY_US), 0);
        CHECK_INT(sley_cores_here(), ==, here); /* it stays */
        CHECK_PTR(sley_sched_current(), ==, home);
    }
    return here;
}
SLEY_FIBER(check_place, struct place)

static int spawn_child_here(struct place *a)
{
    struct sley_task *t;
    int result;
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, check_place, .b = a->b, .core = sley_cores_here()), 0);
    CHECK_RC(sley_task_join(t, &result), 0);
    sley_task_unref(t);
    return result;
}
SLEY_FIBER(spawn_child_here, struct place)

SLEY_TEST(tasks_run_on_their_core_and_stay, "")
{
    struct bed b;
    struct sley_task *t = NULL;
    unsigned seen[3] = {0};
    bed_start(&b, 3);
    CHECK_UINT(sley_cores_count(&b.cores), ==, 3);
    CHECK_UINT(b.ex->ops->worker_count(b.ex), ==, 3);
    for (int core = 0; core < 3; core++) {
        CHECK_INT(bed_run(&b, (uint32_t)core, &check_place__type, &(struct place){.b = &b, .core = core}), ==, core);
        CHECK_INT(bed_run(&b, (uint32_t)core, &spawn_child_here__type, &(struct place){.b = &b}), ==, core);
        CHECK_RC(sley_cores_cpu(&b.cores, (uint32_t)core), -ENOENT); /* unbound */
    }
    for (int i = 0; i < 9; i++) {
        CHECK_RC(b.ex->ops->spawn(b.ex, &check_place__type, &(struct place){.b = &b, .core = -1}, &t), 0);
        seen[bed_join(t)]++;
    }
    CHECK(seen[0] == 3 && seen[1] == 3 && seen[2] == 3); /* in turn */
    CHECK_RC(sley_cores_spawn_on(&b.cores, 3, &check_place__type, NULL, NULL), -EINVAL);
    CHECK_PTR(sley_cores_at(&b.cores, 3), ==, NULL);
    CHECK_RC(sley_cores_cpu(&b.cores, 3), -EINVAL);
    CHECK_RC(sley_cores_here(), -ESRCH);
    CHECK_PTR(sley_cores_current(), ==, NULL);
    bed_end(&b);
    CHECK_RC(sley_cores_spawn_on(&b.cores, 0, &check_place__type, NULL, NULL), -ESHUTDOWN);
    CHECK_PTR(sley_cores_at(&b.cores, 0), ==, NULL);
}

static int check_thread(int *cpu)
{
    char name[32] = "", expected[32];
    cpu_set_t set;
    sigset_t blocked;
    (void)snprintf(expected, sizeof expected, "sley-core-%d", sley_cores_here());
    do { /* named from outside, right after its start */
        CHECK_INT(pthread_getname_np(pthread_self(), name, sizeof name), ==, 0);
    } while (strcmp(name, expected) != 0);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &blocked), ==, 0);
    static const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT, SIGPROF, SIGURG};
    static const int shut[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGUSR1, SIGALRM, SIGPIPE, SIGQUIT, SIGWINCH};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        CHECK(!sigismember(&blocked, open[i]));
        CHECK(sigismember(&blocked, shut[i]));
    }
    CHECK_INT(sched_getaffinity(0, sizeof set, &set), ==, 0);
    CHECK(*cpu < 0 || (CPU_COUNT(&set) == 1 && CPU_ISSET((size_t)*cpu, &set)));
    return CPU_COUNT(&set);
}
SLEY_FIBER(check_thread, int)

SLEY_TEST(threads_are_named_pinned_and_block_signals, "")
{
    static const enum sley_placement kinds[] = {SLEY_PLACEMENT_SPREAD, SLEY_PLACEMENT_PACK};
    cpu_set_t mine;
    sigset_t before, after;
    CHECK_INT(sched_getaffinity(0, sizeof mine, &mine), ==, 0);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &before), ==, 0);
    for (int i = 0; i < 2; i++) {
        struct sley_cores cores;
        struct sley_task *t;
        const struct sley_executor_config config = {.alloc = harness_alloc()};
        sley_cores_init(&cores, &(struct sley_workers_opts){.placement = kinds[i]});
        CHECK_RC(cores.base.ops->start(&cores.base, &config), 0);
        CHECK_UINT(sley_cores_count(&cores), ==, (unsigned)CPU_COUNT(&mine)); /* one for each */
        for (uint32_t core = 0; core < sley_cores_count(&cores); core++) {
            int cpu = sley_cores_cpu(&cores, core);
            CHECK_INT(cpu, >=, 0);
            CHECK(CPU_ISSET((size_t)cpu, &mine));
            CPU_CLR((size_t)cpu, &mine);
            CHECK_RC(sley_cores_spawn_on(&cores, core, &check_thread__type, &cpu, &t), 0);
            CHECK_INT(bed_join(t), ==, 1);
        }
        CHECK_INT(CPU_COUNT(&mine), ==, 0);
        CHECK_RC(cores.base.ops->fini(&cores.base), 0);
        CHECK_INT(sched_getaffinity(0, sizeof mine, &mine), ==, 0); /* this thread may run where it could */
    }
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &after), ==, 0);
    for (int i = 1; i <= SIGRTMAX; i++) {
        CHECK_INT(sigismember(&before, i), ==, sigismember(&after, i));
    }
}

/* ---- quiet ------------------------------------------------------------------------------------------------------------------------ */

static SLEY_ATOMIC(unsigned) hops;

struct hopper {
    struct bed *b;
    unsigned left;
};
static int hop(struct hopper *a);
static const struct sley_task_type *hop_type(void);

/** Ends right after it has spawned the next on another core: at any instant one of them is on its way. */
static int hop(struct hopper *a)
{
    atomic_fetch_add_explicit(&hops, 1, memory_order_relaxed);
    if (a->left > 0) {
        struct hopper next = {a->b, a->left - 1};
        const uint32_t to = ((uint32_t)sley_cores_here() + 1 + a->left % 2) % sley_cores_count(&a->b->cores);
        const int rc = sley_cores_spawn_on(&a->b->cores, to, hop_type(), &next, NULL);
        CHECK_RC(rc, 0);
    }
    return 0;
}
SLEY_FIBER(hop, struct hopper)

static const struct sley_task_type *hop_type(void)
{
    return &hop__type;
}

SLEY_TEST(run_of_all_waits_for_tasks_on_their_way_between_cores, "")
{
    struct bed b;
    bed_start(&b, 3);
    for (unsigned i = 0; harness_another(i, 100 / harness_slowness()); i++) {
        hops = 0;
        CHECK_RC(b.ex->ops->spawn(b.ex, &hop__type, &(struct hopper){&b, 50}, NULL), 0);
        CHECK_RC(b.ex->ops->spawn(b.ex, &hop__type, &(struct hopper){&b, 50}, NULL), 0);
        CHECK_RC(b.ex->ops->run(b.ex, NULL), 0);
        CHECK_UINT(hops, ==, 102);
    }
    bed_end(&b);
}

static int park(struct none *a)
{
    (void)a;
    return sley_park();
}
SLEY_FIBER(park, struct none)

SLEY_TEST(run_again_after_a_halt_watches_anew, "")
{
    struct bed b;
    bed_start(&b, 2);
    for (unsigned i = 0; harness_another(i, 1000 / harness_slowness()); i++) {
        struct sley_task *t = bed_spawn(&b, i % 2, &park__type, NULL), *u = bed_spawn(&b, i / 2 % 2, &set_ran__type, NULL);
        b.ex->ops->halt(b.ex);
        const int rc = b.ex->ops->run(b.ex, u);
        CHECK(rc == 0 || rc == -ECANCELED); /* it may have ended first */
        if (rc == 0) {
            CHECK_RC(b.ex->ops->run(b.ex, t), -ECANCELED);
        }
        CHECK_RC(b.ex->ops->run(b.ex, u), 0);
        sley_task_unref(u);
        sley_task_cancel(t);
        CHECK_RC(b.ex->ops->run(b.ex, t), 0);
        CHECK_RC(b.ex->ops->run(b.ex, NULL), 0);
        sley_task_unref(t);
    }
    bed_end(&b);
}

static SLEY_ATOMIC(int) runs_as; /* the number of the thread that runs */

static void *run_all(void *arg)
{
    const struct bed *b = arg;
    atomic_store_explicit(&runs_as, (int)syscall(SYS_gettid), memory_order_release);
    CHECK_RC(b->ex->ops->run(b->ex, NULL), -ECANCELED);
    return NULL;
}

static char state_of(int tid)
{
    char path[64], text[512];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    FILE *f = fopen(path, "re");
    CHECK_PTR(f, !=, NULL);
    const size_t n = fread(text, 1, sizeof text - 1, f);
    CHECK_INT(fclose(f), ==, 0);
    text[n] = '\0';
    const char *state = strrchr(text, ')');
    CHECK(state && state[1]);
    return state[2];
}

/* Who runs does no more than sleep: a hundred looks in a row find it so, which none would who looks again and again. */
SLEY_TEST(run_sleeps_while_its_workers_do, "")
{
    struct bed b;
    pthread_t thread;
    int tid = 0;
    bed_start(&b, 2);
    sley_task_unref(bed_spawn(&b, 1, &park__type, NULL));
    CHECK_INT(pthread_create(&thread, NULL, run_all, &b), ==, 0);
    for (int asleep = 0; asleep < 100;) {
        tid = tid ? tid : atomic_load_explicit(&runs_as, memory_order_acquire);
        asleep = tid && state_of(tid) == 'S' ? asleep + 1 : 0;
        (void)sched_yield();
    }
    b.ex->ops->halt(b.ex);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    bed_end(&b);
}

struct drive {
    struct bed *b;
    SLEY_ATOMIC(unsigned) told, halted;
};

static void *drive(void *arg)
{
    struct drive *d = arg;
    const int rc = d->b->ex->ops->run(d->b->ex, NULL);
    CHECK(rc == -ECANCELED || rc == -EBUSY);
    atomic_fetch_add_explicit(rc == -EBUSY ? &d->told : &d->halted, 1, memory_order_release);
    return NULL;
}

SLEY_TEST(second_driver_is_told, "LOCAL-14")
{
    struct bed b;
    pthread_t threads[3];
    struct drive d = {.b = &b};
    bed_start(&b, 2);
    sley_task_unref(bed_spawn(&b, 1, &park__type, NULL));
    for (int i = 0; i < 3; i++) {
        CHECK_INT(pthread_create(&threads[i], NULL, drive, &d), ==, 0);
    }
    while (atomic_load_explicit(&d.told, memory_order_acquire) < 2) { /* whoever came first is inside */
        (void)sched_yield();
    }
    CHECK_RC(b.ex->ops->run(b.ex, NULL), -EBUSY);
    CHECK_RC(b.ex->ops->stop(b.ex, 0), -EBUSY);
    CHECK_RC(b.ex->ops->fini(b.ex), -EBUSY);
    b.ex->ops->halt(b.ex);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), ==, 0);
    }
    CHECK_UINT(d.halted, ==, 1);
    bed_end(&b);
}

SLEY_TEST(task_of_another_executor_is_not_run_for, "")
{
    struct bed a, b;
    bed_start(&a, 1);
    bed_start(&b, 1);
    struct sley_task *t = bed_spawn(&a, 0, &park__type, NULL);
    CHECK_RC(b.ex->ops->run(b.ex, t), -EINVAL);
    sley_task_unref(t);
    bed_end(&b);
    bed_end(&a);
}

/* ---- stop ------------------------------------------------------------------------------------------------------------------------- */

struct crossed {
    struct bed *b;
    struct sley_oneshot *mine, *other;
    SLEY_ATOMIC(int) * ended;
};

/** Cleaning up, it waits for a word from its partner on another core, which does the same. */
static int clean_up_across(struct crossed *a)
{
    struct sley_scope shield;
    char word = 0;
    CHECK_RC(sley_park(), -ECANCELED);
    CHECK_RC(sley_scope_init(&shield, &(struct sley_scope_opts){.flags = SLEY_SCOPE_SHIELD, .deadline_ns = sley_after_ns(20 * SLEY_S)}),
             0);
    CHECK_RC(sley_oneshot_send(a->other, "x"), 0);
    CHECK_RC(sley_oneshot_recv(a->mine, &word), 1);
    CHECK_RC(sley_scope_fini(&shield), 0);
    atomic_fetch_add_explicit(a->ended, 1, memory_order_relaxed);
    return 0;
}
SLEY_FIBER(clean_up_across, struct crossed)

SLEY_TEST(stop_lets_tasks_wait_for_each_other_across_cores, "SHUT-03 SHUT-04")
{
    enum { PAIRS = 8 };
    for (int round = 0; round < 10; round++) {
        struct bed b;
        struct sley_oneshot shots[2 * PAIRS];
        char slots[2 * PAIRS];
        SLEY_ATOMIC(int) ended = 0;
        bed_start(&b, 4);
        for (unsigned i = 0; i < 2 * PAIRS; i++) {
            CHECK_RC(sley_oneshot_init(&shots[i], &slots[i], 1), 0);
        }
        for (unsigned i = 0; i < 2 * PAIRS; i++) {
            const struct crossed args = {&b, &shots[i], &shots[i ^ 1], &ended};
            sley_task_unref(bed_spawn(&b, (i + (i & 1) * (unsigned)round) % 4, &clean_up_across__type, &args));
        }
        CHECK_RC(b.ex->ops->stop(b.ex, sley_after_ns(20 * SLEY_S)), 0);
        CHECK_INT(ended, ==, 2 * PAIRS);
        CHECK_RC(b.ex->ops->stop(b.ex, 0), 0); /* again: nothing is left */
        bed_end(&b);
        for (unsigned i = 0; i < 2 * PAIRS; i++) {
            sley_oneshot_fini(&shots[i], NULL);
        }
    }
}

static struct sley_wait stubborn_wait[2];

static const struct sley_wait_ops stubborn_ops = {.version = SLEY_WAIT_VERSION, .name = "stubborn"};

/** Waits for what cannot be cancelled. */
static int wait_stubbornly(int *i)
{
    if (sley_wait_begin(&stubborn_wait[*i], &stubborn_ops)) {
        sley_wait_arm(&stubborn_wait[*i]);
    }
    return sley_await(&stubborn_wait[*i]);
}
SLEY_FIBER(wait_stubbornly, int)

static int let_go(void *arg)
{
    sley_wait_complete(arg, 6);
    return 0;
}

SLEY_TEST(stop_names_core_task_and_what_it_waits_for, "SHUT-03")
{
    struct bed b;
    bed_start(&b, 3);
    for (int i = 0; i < 2; i++) {
        sley_task_unref(bed_spawn(&b, 2u * (unsigned)i, &wait_stubbornly__type, &i));
        (void)bed_run(&b, 2u * (unsigned)i, &set_ran__type, NULL); /* it has begun */
    }
    CHECK_RC(b.ex->ops->stop(b.ex, sley_after_ns(SLEY_MS)), -ETIMEDOUT);
    const char *second = strstr(b.reports, "core 2: task wait_stubbornly (");
    CHECK_PTR(strstr(b.reports, "core 0: task wait_stubbornly ("), ==, b.reports);
    CHECK_PTR(second, >, b.reports);
    CHECK_PTR(strstr(second, " waits for stubborn"), !=, NULL);
    CHECK_PTR(strstr(b.reports, "core 1"), ==, NULL);
    CHECK_RC(b.ex->ops->fini(b.ex), -EBUSY);
    CHECK_RC(b.ex->ops->spawn(b.ex, &set_ran__type, NULL, NULL), -ESHUTDOWN);
    b.reports[0] = '\0';
    for (uint32_t i = 0; i < 2; i++) { /* calls go on as long as there are tasks */
        CHECK_RC(sley_run_on(sley_cores_at(&b.cores, 2 * i), let_go, &stubborn_wait[i], NULL), 0);
    }
    bed_end(&b);
}

static SLEY_ATOMIC(bool) spin, spinning;

static int spin_on(struct none *a)
{
    (void)a;
    atomic_store_explicit(&spinning, true, memory_order_release);
    while (atomic_load_explicit(&spin, memory_order_acquire)) {
        (void)sched_yield();
    }
    return 0;
}
SLEY_FIBER(spin_on, struct none)

SLEY_TEST(stop_ends_beside_a_task_that_does_not_wait, "SHUT-03")
{
    struct bed b;
    bed_start(&b, 3);
    spin = true;
    sley_task_unref(bed_spawn(&b, 1, &spin_on__type, NULL));
    while (!atomic_load_explicit(&spinning, memory_order_acquire)) {
        (void)sched_yield();
    }
    CHECK_RC(b.ex->ops->stop(b.ex, 0), -ETIMEDOUT);
    CHECK_STR(b.reports, "core 1: does not answer; what runs there does not wait\n");
    CHECK_RC(b.ex->ops->fini(b.ex), -EBUSY);
    atomic_store_explicit(&spin, false, memory_order_release);
    b.reports[0] = '\0';
    bed_end(&b);
}

static uint64_t slow_now(struct sley_clock *self)
{
    (void)self;
    return 17; /* it stands still: a deadline in it comes by the system's time */
}

SLEY_TEST(stop_ends_by_a_deadline_of_a_clock_that_stands, "")
{
    struct sley_cores cores;
    struct sley_clock clock = {.now_ns = slow_now};
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 2, .clock = &clock};
    sley_cores_init(&cores, NULL);
    CHECK_RC(cores.base.ops->start(&cores.base, &config), 0);
    struct sley_task *t = NULL, *u = NULL;
    int zero = 0;
    CHECK_RC(sley_cores_spawn_on(&cores, 0, &wait_stubbornly__type, &zero, &t), 0);
    CHECK_RC(sley_cores_spawn_on(&cores, 0, &set_ran__type, NULL, &u), 0);
    CHECK_INT(bed_join(u), ==, 0); /* so the other one waits */
    CHECK_RC(cores.base.ops->stop(&cores.base, 17 + SLEY_MS), -ETIMEDOUT);
    CHECK_RC(sley_run_on(sley_cores_at(&cores, 0), let_go, &stubborn_wait[0], NULL), 0);
    CHECK_INT(bed_join(t), ==, 6);
    CHECK_RC(cores.base.ops->stop(&cores.base, SLEY_NEVER), 0);
    CHECK_RC(cores.base.ops->fini(&cores.base), 0);
}
