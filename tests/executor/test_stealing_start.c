/* The stealing executor's start, which fails at any point and leaves nothing, and its end, at which each task has ended once. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/group_impl.h>
#include <sley/reactor_poll.h>
#include <sley/stealing.h>

#include "harness.h"

struct none {
    char none;
};

/* ---- the n th thread that is made fails (linked with --wrap) -------------------------------------------------------------- */

static SLEY_ATOMIC(int) threads_left = 1 << 30;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    return atomic_fetch_sub_explicit(&threads_left, 1, memory_order_relaxed) > 0 ? __real_pthread_create(thread, attr, fn, arg) : EAGAIN;
}

static SLEY_ATOMIC(int) reactors_left = 1 << 30;

static int create_some(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    return atomic_fetch_sub_explicit(&reactors_left, 1, memory_order_relaxed) > 0 ? sley_reactor_epoll.create(o, ret_reactor) : -EMFILE;
}
static const struct sley_reactor_factory scarce = {.version = SLEY_REACTOR_VERSION, .name = "scarce", .create = create_some};
static const struct sley_reactor_factory *const scarces[] = {&scarce, NULL};
static const struct sley_reactor_factory *const epolls[] = {&sley_reactor_epoll, NULL};
static const struct sley_reactor_factory *const polls_first[] = {&sley_reactor_poll2, &sley_reactor_epoll, NULL};

static int one(struct none *unused)
{
    (void)unused;
    return 1;
}
SLEY_FIBER(one, struct none)

static void check_works(struct sley_executor *ex)
{
    struct sley_task *t;
    int result = 0;
    CHECK_RC(ex->ops->spawn(ex, &one__type, NULL, &t), 0);
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    CHECK_INT(result, ==, 1);
    sley_task_unref(t);
    CHECK_RC(ex->ops->fini(ex), 0);
}

static int check_mask(struct none *unused)
{
    static const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT, SIGPROF, SIGURG};
    static const int shut[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGUSR1, SIGALRM, SIGPIPE, SIGQUIT, SIGWINCH};
    sigset_t blocked;
    (void)unused;
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &blocked), ==, 0);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        CHECK(!sigismember(&blocked, open[i]));
        CHECK(sigismember(&blocked, shut[i]));
    }
    return 1;
}
SLEY_FIBER(check_mask, struct none)

SLEY_TEST(worker_hears_its_own_faults_and_what_is_sent_to_its_thread_and_leaves_the_rest_to_the_program, "")
{
    struct sley_stealing s;
    struct sley_task *t;
    int result = 0;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 2};
    sley_stealing_init(&s, NULL);
    CHECK_RC(s.base.ops->start(&s.base, &config), 0);
    CHECK_RC(s.base.ops->spawn(&s.base, &check_mask__type, NULL, &t), 0);
    CHECK_RC(s.base.ops->run(&s.base, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    CHECK_INT(result, ==, 1);
    sley_task_unref(t);
    CHECK_RC(s.base.ops->fini(&s.base), 0);
}

SLEY_TEST(reactor_that_fails_on_any_worker_leaves_nothing, "SHUT-01")
{
    enum { WORKERS = 5 };
    char why[128];
    struct sley_stealing s;
    const struct sley_executor_config config = {
        .alloc = harness_alloc(), .reactors = scarces, .worker_count = WORKERS, .ret_error = why, .error_bytes = sizeof why};
    sley_stealing_init(&s, NULL);
    for (int k = 0; k < WORKERS; k++) {
        reactors_left = k;
        CHECK_RC(s.base.ops->start(&s.base, &config), -EMFILE);
        CHECK_STR(why, "reactor scarce did not start (errno 24). ");
        CHECK_UINT(harness_alloc_live(), ==, 0);
        CHECK_RC(s.base.ops->spawn(&s.base, &one__type, NULL, NULL), -ESHUTDOWN);
    }
    reactors_left = WORKERS;
    CHECK_RC(s.base.ops->start(&s.base, &config), 0);
    check_works(&s.base);
}

SLEY_TEST(thread_that_is_not_there_leaves_nothing, "SHUT-01")
{
    enum { WORKERS = 4 };
    int failed = 0;
    struct sley_stealing s;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .reactors = epolls, .worker_count = WORKERS};
    sley_stealing_init(&s, NULL);
    for (int k = 0;; k++, failed++) {
        threads_left = k;
        const int rc = s.base.ops->start(&s.base, &config);
        threads_left = 1 << 30;
        if (rc == 0) {
            check_works(&s.base);
            break;
        }
        CHECK_RC(rc, -EAGAIN);
        CHECK_UINT(harness_alloc_live(), ==, 0);
    }
    CHECK_INT(failed, >=, WORKERS); /* the watchdog's thread is one, too */
}

/* Memory that was used before may hold anything: here in each word what says that a worker is parked. */
static void *alloc_used(struct sley_alloc *self, size_t bytes, size_t align)
{
    enum { PARKED = 3 };
    uintptr_t *block = sley_alloc_get(harness_alloc(), bytes, align);
    (void)self;
    for (size_t i = 0; block && i < bytes / sizeof *block; i++) {
        block[i] = PARKED;
    }
    return block;
}

static void free_used(struct sley_alloc *self, void *block, size_t bytes)
{
    (void)self;
    sley_alloc_put(harness_alloc(), block, bytes);
}

SLEY_TEST(regress_start_without_memory_calls_no_worker_that_was_not_made, "")
{
    static const struct sley_alloc_ops ops = {
        .version = SLEY_ALLOC_VERSION, .caps = SLEY_ALLOC_CAP_THREADS, .alloc = alloc_used, .free = free_used};
    struct sley_alloc used = {.ops = &ops};
    struct sley_stealing s;
    const struct sley_executor_config config = {.alloc = &used, .worker_count = 3, .stuck_ns = SLEY_NEVER, .stall_ns = SLEY_NEVER};
    sley_stealing_init(&s, NULL);
    HARNESS_SWEEP_ALLOC(points, 100)
    {
        const int rc = s.base.ops->start(&s.base, &config);
        CHECK_RC(rc, harness_alloc_refused() ? -ENOMEM : 0);
        if (rc == 0) {
            check_works(&s.base);
        }
    }
    CHECK_UINT(points, >=, 4); /* the pool, its workers, what each of them has */
}

SLEY_TEST(reactor_that_cannot_be_shared_is_passed_over, "")
{
    char why[128] = "";
    struct sley_stealing s;
    const struct sley_executor_config config = {
        .alloc = harness_alloc(), .reactors = polls_first, .worker_count = 2, .ret_error = why, .error_bytes = sizeof why};
    sley_stealing_init(&s, NULL);
    CHECK_RC(s.base.ops->start(&s.base, &config), 0);
    CHECK_STR(s.base.ops->sched(&s.base)->reactor->ops->name, "epoll");
    CHECK_STR(why, "");
    check_works(&s.base);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------- */

static SLEY_ATOMIC(unsigned) freed;

struct owner {
    void *block;
};

static void give_back(void *block)
{
    free(block);
    atomic_fetch_add_explicit(&freed, 1, memory_order_relaxed);
}

static int parks_for_ever(struct owner *o)
{
    const int rc = sley_park();
    give_back(o->block);
    return rc;
}
SLEY_FIBER(parks_for_ever, struct owner)

struct sleeper {
    struct sley_frame frame;
    struct sley_timer timer;
    void *block;
    int rc;
};

static enum sley_step sleeps_for_ever(struct sleeper *f)
{
    SLEY_BEGIN(f);
    SLEY_CALL(f, f->rc, sley_sleep_until, &f->timer, SLEY_NEVER);
    give_back(f->block);
    SLEY_RETURN(f, f->rc);
    SLEY_END(f);
}
SLEY_FRAME(sleeps_for_ever, struct sleeper)

SLEY_TEST_SECONDS(what_waiting_tasks_own_is_freed_once, "STEAL-12", 120)
{
    enum { ROUNDS = 1000 };
    struct sley_stealing s;
    sley_stealing_init(&s, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 2, .stuck_ns = SLEY_NEVER};
        atomic_store_explicit(&freed, 0, memory_order_relaxed);
        CHECK_RC(s.base.ops->start(&s.base, &config), 0);
        for (int k = 0; k < 2; k++) {
            CHECK_RC(s.base.ops->spawn(&s.base, &parks_for_ever__type, &(struct owner){malloc(16)}, NULL), 0);
            CHECK_RC(s.base.ops->spawn(&s.base, &sleeps_for_ever__type, &(struct sleeper){.block = malloc(16)}, NULL), 0);
        }
        CHECK_RC(s.base.ops->stop(&s.base, SLEY_NEVER), 0);
        CHECK_UINT(freed, ==, 4);
        CHECK_RC(s.base.ops->fini(&s.base), 0);
    }
}

/* Everywhere that ready tasks can stand, some stand when the pool is stopped: injected, pinned, in slot, ring and backlog. */
enum { NEAR = 600, FAR = 300, PINNED = 20, ALL = NEAR + FAR + PINNED };
static SLEY_ATOMIC(unsigned) ended[ALL];
static SLEY_ATOMIC(bool) holds, goes;

struct numbered {
    unsigned number;
};

static int count_me(struct numbered *n)
{
    atomic_fetch_add_explicit(&ended[n->number], 1, memory_order_relaxed);
    return 0;
}
SLEY_FIBER(count_me, struct numbered)

static int holds_the_worker(struct none *unused)
{
    (void)unused;
    for (unsigned i = 0; i < NEAR; i++) {
        CHECK_RC(SLEY_SPAWN(NULL, count_me, .number = i), 0);
    }
    atomic_store_explicit(&holds, true, memory_order_release);   /* release: pairs with the test */
    while (!atomic_load_explicit(&goes, memory_order_acquire)) { /* acquire: as above */
        (void)sched_yield();
    }
    return 0;
}
SLEY_FIBER(holds_the_worker, struct none)

static void *stop(void *arg)
{
    struct sley_executor *ex = arg;
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    return NULL;
}

SLEY_TEST(what_stands_in_any_queue_ends_once, "STEAL-13")
{
    struct sley_stealing s;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 1, .stall_ns = SLEY_NEVER};
    sley_stealing_init(&s, NULL);
    CHECK_RC(s.base.ops->start(&s.base, &config), 0);
    CHECK_RC(s.base.ops->spawn(&s.base, &holds_the_worker__type, NULL, NULL), 0);
    while (!atomic_load_explicit(&holds, memory_order_acquire)) { /* acquire: as above */
        (void)sched_yield();
    }
    for (unsigned i = NEAR; i < ALL; i++) {
        const struct numbered n = {i};
        CHECK_RC(i < NEAR + FAR ? s.base.ops->spawn(&s.base, &count_me__type, &n, NULL)
                                : s.base.ops->spawn_on(&s.base, 0, &count_me__type, &n, NULL),
                 0);
    }
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, stop, &s.base), ==, 0);
    while (s.base.ops->spawn(&s.base, &one__type, NULL, NULL) == 0) {
        (void)sched_yield(); /* until it is stopping */
    }
    atomic_store_explicit(&goes, true, memory_order_release); /* release: as above */
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    for (unsigned i = 0; i < ALL; i++) {
        CHECK_UINT(ended[i], ==, 1);
    }
    CHECK_RC(s.base.ops->fini(&s.base), 0);
}

/* A fini that finds a task left takes back what it has refused itself, not what the stop before it has. */
static int last_spawn;

static int spawns_at_the_end(struct sley_executor **ex)
{
    atomic_store_explicit(&holds, true, memory_order_release);   /* release: pairs with the test */
    while (!atomic_load_explicit(&goes, memory_order_acquire)) { /* acquire: as above */
        (void)sley_yield();                                      /* -ECANCELED, and it does not care */
    }
    last_spawn = (*ex)->ops->spawn(*ex, &one__type, NULL, NULL);
    return 0;
}
SLEY_FIBER(spawns_at_the_end, struct sley_executor *)

SLEY_TEST(regress_refused_fini_leaves_it_stopping, "SHUT-02 SHUT-09")
{
    struct sley_stealing s;
    struct sley_executor *ex = &s.base;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 2, .stall_ns = SLEY_NEVER};
    sley_stealing_init(&s, NULL);
    CHECK_RC(ex->ops->start(ex, &config), 0);
    CHECK_RC(ex->ops->spawn(ex, &spawns_at_the_end__type, &ex, NULL), 0);
    while (!atomic_load_explicit(&holds, memory_order_acquire)) { /* acquire: as above */
        (void)sched_yield();
    }
    CHECK_RC(ex->ops->fini(ex), -EBUSY);
    CHECK_RC(ex->ops->spawn(ex, &one__type, NULL, NULL), 0); /* it goes on */
    CHECK_RC(ex->ops->stop(ex, 0), -ETIMEDOUT);
    CHECK_RC(ex->ops->fini(ex), -EBUSY);
    CHECK_RC(ex->ops->spawn(ex, &one__type, NULL, NULL), -ESHUTDOWN);
    atomic_store_explicit(&goes, true, memory_order_release); /* release: as above */
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(last_spawn, -ESHUTDOWN);
    CHECK_RC(ex->ops->fini(ex), 0);
}

/* A deadline of a stop is one of the executor's clock, which may have begun anywhere, and may stand. */
static uint64_t stands(struct sley_clock *self)
{
    (void)self;
    return 17;
}

static int ends_late(struct none *unused)
{
    (void)unused;
    for (int i = 0; i < 10000; i++) {
        (void)sley_yield(); /* -ECANCELED, and it does not care */
    }
    return 0;
}
SLEY_FIBER(ends_late, struct none)

SLEY_TEST(stop_waits_by_a_deadline_of_a_clock_of_its_own, "SHUT-03")
{
    struct sley_stealing s;
    struct sley_executor *ex = &s.base;
    struct sley_clock clock = {.now_ns = stands};
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 2, .clock = &clock, .stall_ns = SLEY_NEVER};
    sley_stealing_init(&s, NULL);
    CHECK_RC(ex->ops->start(ex, &config), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_RC(ex->ops->spawn(ex, &ends_late__type, NULL, NULL), 0);
    }
    CHECK_RC(ex->ops->stop(ex, 17 + 100 * SLEY_S), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
}

static uint64_t an_hour_ahead(struct sley_clock *self)
{
    (void)self;
    return sley_thread_now_ns() + 3600 * SLEY_S;
}

static int sleep_a_little(struct none *unused)
{
    (void)unused;
    return sley_sleep(2 * SLEY_MS);
}
SLEY_FIBER(sleep_a_little, struct none)

/* Without a reactor workers wait by the system's time for what the clock of the configuration says. */
SLEY_TEST(timers_of_a_clock_that_goes_ahead_fire_in_time, "")
{
    struct sley_stealing s;
    struct sley_executor *ex = &s.base;
    struct sley_clock clock = {.now_ns = an_hour_ahead};
    sley_stealing_init(&s, NULL);
    CHECK_RC(ex->ops->start(ex, &(struct sley_executor_config){.alloc = harness_alloc(), .worker_count = 2, .clock = &clock}), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_RC(ex->ops->spawn(ex, &sleep_a_little__type, NULL, NULL), 0);
    }
    CHECK_RC(ex->ops->run(ex, NULL), 0);
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
}

/* ---- when no task is left (linked with --wrap) ------------------------------------------------------------------------------ */

/* One task is there at any moment, each time on the other worker, in that one's root: wherever who waits has just looked. */
enum { FIRST = 1, LAST = 4 };
static struct sley_sched *const *chased;
static SLEY_ATOMIC(unsigned) standing, may_go;
static SLEY_ATOMIC(bool) last_has_ended;

struct hop {
    struct sley_executor *ex;
    unsigned number;
};

static int hops(struct hop *h);
SLEY_FIBER(hops, struct hop)

static int hops(struct hop *h)
{
    atomic_store_explicit(&standing, h->number, memory_order_release); /* release: pairs with the look of who waits */
    if (h->number == LAST) {
        (void)sley_sleep(20 * SLEY_MS);
        atomic_store_explicit(&last_has_ended, true, memory_order_relaxed);
        return 0;
    }
    while (atomic_load_explicit(&may_go, memory_order_relaxed) < h->number) {
        (void)sched_yield();
    }
    const struct hop next = {h->ex, h->number + 1};
    CHECK_RC(h->ex->ops->spawn_on(h->ex, next.number % 2, &hops__type, &next, NULL), 0);
    return 0;
}

void __real_sley_scope_wait_start(struct sley_scope_op *op, struct sley_scope *sc);
void __wrap_sley_scope_wait_start(struct sley_scope_op *op, struct sley_scope *sc);

void __wrap_sley_scope_wait_start(struct sley_scope_op *op, struct sley_scope *sc)
{
    __real_sley_scope_wait_start(op, sc);
    const unsigned now = atomic_load_explicit(&standing, memory_order_acquire); /* acquire: pairs with hops */
    if (!chased || sley_sched_current() || sc != chased[(now + 1) % 2]->root || now == LAST) {
        return;
    }
    atomic_store_explicit(&may_go, now, memory_order_relaxed);
    while (atomic_load_explicit(&standing, memory_order_acquire) == now ||
           sley_sched_live(chased[now % 2]) > 0) { /* acquire: as above */
        (void)sched_yield();
    }
}

SLEY_TEST(regress_run_ends_when_at_one_moment_no_task_is_left, "")
{
    struct sley_stealing s;
    struct sley_executor *ex = &s.base;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 2, .stuck_ns = SLEY_NEVER};
    sley_stealing_init(&s, NULL);
    CHECK_RC(ex->ops->start(ex, &config), 0);
    CHECK_RC(ex->ops->spawn_on(ex, FIRST, &hops__type, &(struct hop){ex, FIRST}, NULL), 0);
    while (atomic_load_explicit(&standing, memory_order_acquire) != FIRST) { /* acquire: pairs with hops */
        (void)sched_yield();
    }
    chased = ex->ops->sched(ex)->group->scheds;
    CHECK_RC(ex->ops->run(ex, NULL), 0);
    CHECK(last_has_ended);
    chased = NULL;
    CHECK_RC(ex->ops->fini(ex), 0);
}

/* A task that detaches itself is in one scope or the other. */
static struct sley_scope *left_behind;
static SLEY_ATOMIC(struct sley_task *) leaver;

static int leaves(struct none *unused)
{
    (void)unused;
    while (!atomic_load_explicit(&goes, memory_order_acquire)) { /* acquire: as above */
        (void)sched_yield();
    }
    return sley_yield();
}
SLEY_FIBER(leaves, struct none)

static int is_left(struct none *unused)
{
    (void)unused;
    struct sley_scope sc;
    struct sley_task *t;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&t, &sc, leaves), 0);
    CHECK_RC(sley_task_detach(t), 0); /* which it hears of when it yields */
    left_behind = &sc;
    atomic_store_explicit(&leaver, t, memory_order_release); /* release: pairs with the test */
    return sley_scope_fini(&sc);
}
SLEY_FIBER(is_left, struct none)

SLEY_TEST(regress_detached_task_is_in_a_scope_all_the_time, "")
{
    struct sley_stealing s;
    struct sley_executor *ex = &s.base;
    struct sley_task *t;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 2, .stall_ns = SLEY_NEVER};
    sley_stealing_init(&s, NULL);
    CHECK_RC(ex->ops->start(ex, &config), 0);
    CHECK_RC(ex->ops->spawn(ex, &is_left__type, NULL, NULL), 0);
    while ((t = atomic_load_explicit(&leaver, memory_order_acquire)) == NULL) { /* acquire: pairs with is_left */
        (void)sched_yield();
    }
    struct sley_sched *const *scheds = ex->ops->sched(ex)->group->scheds;
    sley_spin_lock(&scheds[0]->root->lock); /* it comes into neither */
    sley_spin_lock(&scheds[1]->root->lock);
    atomic_store_explicit(&goes, true, memory_order_release); /* release: as above */
    for (int i = 0; i < 50; i++) {
        (void)sley_sleep(SLEY_MS);
        if (sley_spin_try(&left_behind->lock)) { /* else it is held by who moves the task, and the scope does not end before */
            const uint32_t live = left_behind->live_count;
            sley_spin_unlock(&left_behind->lock);
            CHECK_UINT(live, ==, 1);
        }
    }
    sley_spin_unlock(&scheds[0]->root->lock);
    sley_spin_unlock(&scheds[1]->root->lock);
    CHECK_RC(ex->ops->run(ex, NULL), 0);
    sley_task_unref(t);
    CHECK_RC(ex->ops->fini(ex), 0);
}

/* ---- placement: this machine's CPUs; trees of others are in test_placement.c -------------------------------------------------- */

static cpu_set_t my_cpus(void)
{
    cpu_set_t set;
    CHECK_INT(sched_getaffinity(0, sizeof set, &set), ==, 0);
    return set;
}

struct seen {
    cpu_set_t *set;
};

static int look_where(struct seen *s)
{
    *s->set = my_cpus();
    return 0;
}
SLEY_FIBER(look_where, struct seen)

/** Starts workers as placed, has each look where it may run, and ends. Returns how many there are. */
static uint32_t where_workers_run(const struct sley_workers_opts *o, uint32_t wanted, cpu_set_t *ret_sets)
{
    struct sley_stealing s;
    struct sley_executor *ex = &s.base;
    sley_stealing_init(&s, o);
    CHECK_RC(ex->ops->start(ex, &(struct sley_executor_config){.alloc = harness_alloc(), .reactors = epolls, .worker_count = wanted}),
             0);
    const uint32_t n = ex->ops->worker_count(ex);
    for (uint32_t i = 0; i < n; i++) {
        CHECK_RC(ex->ops->spawn_on(ex, i, &look_where__type, &(struct seen){&ret_sets[i]}, NULL), 0);
    }
    CHECK_RC(ex->ops->run(ex, NULL), 0);
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
    return n;
}

SLEY_TEST(workers_that_are_placed_have_a_cpu_each, "")
{
    static cpu_set_t sets[SLEY_STEALING_WORKERS_MAX];
    const cpu_set_t before = my_cpus();
    static const enum sley_placement kinds[] = {SLEY_PLACEMENT_SPREAD, SLEY_PLACEMENT_PACK};
    for (int k = 0; k < 2; k++) {
        cpu_set_t left = before;
        const uint32_t n = where_workers_run(&(struct sley_workers_opts){.placement = kinds[k], .stack_bytes = 1 << 20}, 0, sets);
        CHECK_UINT(n, ==, (unsigned)CPU_COUNT(&before));
        for (uint32_t i = 0; i < n; i++) {
            CHECK_INT(CPU_COUNT(&sets[i]), ==, 1);
            CPU_AND(&sets[i], &sets[i], &left);
            CHECK_INT(CPU_COUNT(&sets[i]), ==, 1); /* nobody else's */
            CPU_XOR(&left, &left, &sets[i]);
        }
        const cpu_set_t after = my_cpus(); /* of who starts it nothing changes */
        CHECK(CPU_EQUAL(&after, &before));
    }
}

SLEY_TEST(workers_that_are_not_placed_run_where_the_starter_may, "")
{
    static cpu_set_t sets[SLEY_STEALING_WORKERS_MAX];
    const cpu_set_t before = my_cpus();
    char list[16];
    int cpu = 0;
    CHECK_UINT(where_workers_run(NULL, 3, sets), ==, 3);
    for (int i = 0; i < 3; i++) {
        CHECK(CPU_EQUAL(&sets[i], &before));
    }
    while (!CPU_ISSET((size_t)cpu, &before)) {
        cpu++;
    }
    (void)snprintf(list, sizeof list, "%d", cpu);
    CHECK_UINT(where_workers_run(&(struct sley_workers_opts){.placement = SLEY_PLACEMENT_FENCED, .cpus = list}, 2, sets), ==, 2);
    for (int i = 0; i < 2; i++) {
        CHECK(CPU_COUNT(&sets[i]) == 1 && CPU_ISSET((size_t)cpu, &sets[i]));
    }
}

/** Its sentence comes from the plan; nothing is left. */
SLEY_TEST(placement_that_cannot_be_is_refused, "")
{
    struct sley_stealing s;
    struct sley_executor *ex = &s.base;
    char why[128] = "";
    sley_stealing_init(&s, &(struct sley_workers_opts){.placement = SLEY_PLACEMENT_PACK, .cpus = "0-"});
    const struct sley_executor_config config = {
        .alloc = harness_alloc(), .worker_count = 2, .ret_error = why, .error_bytes = sizeof why};
    CHECK_RC(ex->ops->start(ex, &config), -EINVAL);
    CHECK_STR(why, "\"0-\" is no list of CPUs such as \"0,4-7\"");
    CHECK_UINT(harness_alloc_live(), ==, 0);
    CHECK_RC(ex->ops->start(ex, &(struct sley_executor_config){.worker_count = SLEY_STEALING_WORKERS_MAX + 1}), -EINVAL);
    sley_stealing_init(&s, &(struct sley_workers_opts){.stack_bytes = 1});
    CHECK_RC(ex->ops->start(ex, &config), -EINVAL);
    CHECK_UINT(harness_alloc_live(), ==, 0);
}

/* ---- a report beside a worker that does not come to rest: it is in a task, or has no processor ----------------------------- */

static SLEY_ATOMIC(unsigned) arrived, named;

static void count_left(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg;
    if (kind == SLEY_REPORT_LEFT) {
        atomic_fetch_add_explicit(&named, 1, memory_order_relaxed);
        /* ready: its cancel has woken it, and its worker rests before it could find back into its wait */
        CHECK(strstr(text, "is running") || strstr(text, "is ready to run") || strstr(text, "waits for stone at stone.c:7"));
    }
}

static struct sley_wait stones[8];
static const struct sley_wait_ops stone_ops = {.version = SLEY_WAIT_VERSION, .name = "stone"};

static int wait_below(struct numbered *n)
{
    CHECK(sley_wait_begin(&stones[n->number], &stone_ops));
    stones[n->number].at.site = "stone.c:7";
    sley_wait_arm(&stones[n->number]);
    atomic_fetch_add_explicit(&arrived, 1, memory_order_release); /* release: pairs with the test */
    return sley_await(&stones[n->number]);
}
SLEY_FIBER(wait_below, struct numbered)

/** Begins and ends scopes, for as long as somebody could look at them. */
static int scope_after_scope(struct none *a)
{
    (void)a;
    atomic_store_explicit(&holds, true, memory_order_release);   /* release: as above */
    while (!atomic_load_explicit(&goes, memory_order_acquire)) { /* acquire: as above */
        struct sley_scope outer, inner;
        CHECK_RC(sley_scope_init(&outer, NULL), 0);
        CHECK_RC(sley_scope_init(&inner, NULL), 0);
        (void)sley_scope_fini(&inner); /* -ECANCELED in the end */
        (void)sley_scope_fini(&outer);
    }
    return 0;
}
SLEY_FIBER(scope_after_scope, struct none)

SLEY_TEST(regress_left_are_named_beside_a_worker_that_does_not_rest, "SHUT-05")
{
    struct sley_stealing s;
    struct sley_executor *ex = &s.base;
    const struct sley_executor_config config = {
        .alloc = harness_alloc(), .worker_count = 2, .stall_ns = SLEY_NEVER, .report = count_left};
    sley_stealing_init(&s, NULL);
    CHECK_RC(ex->ops->start(ex, &config), 0);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_RC(ex->ops->spawn(ex, &wait_below__type, &(struct numbered){i}, NULL), 0);
    }
    while (atomic_load_explicit(&arrived, memory_order_acquire) < 8) { /* acquire: as above */
        (void)sched_yield();
    }
    CHECK_RC(ex->ops->spawn(ex, &scope_after_scope__type, NULL, NULL), 0);
    while (!atomic_load_explicit(&holds, memory_order_acquire)) { /* acquire: as above */
        (void)sched_yield();
    }
    for (unsigned i = 1; i <= 5; i++) {
        CHECK_RC(ex->ops->stop(ex, 0), -ETIMEDOUT);
        CHECK_UINT(named, ==, 9 * i);
    }
    atomic_store_explicit(&goes, true, memory_order_release); /* release: as above */
    for (unsigned i = 0; i < 8; i++) {
        sley_wait_complete(&stones[i], 0);
    }
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
}
