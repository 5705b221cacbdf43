/* The blocking pool's queue (executor/blocking/queue.c): each job is run once, whoever sleeps is called, an end ends everybody. Threads
 * serve as pool.c's do; making one lets one of the scenario's go on. */
#include "executor/blocking/queue.h"
#include "explore.h"
#include "harness.h"

enum { JOBS = 3 };

static struct sley__blocking_queue q;
static struct sley__blocking_job jobs[JOBS];
static unsigned ran[JOBS];
static SLEY_ATOMIC(uint32_t) made, over; /* threads that are to begin; the pool has ended */
static uint64_t idle_ns;

static void setup_of(uint32_t least, uint32_t most, uint64_t idle)
{
    memset(&q, 0, sizeof q);
    memset(jobs, 0, sizeof jobs);
    memset(ran, 0, sizeof ran);
    atomic_store_explicit(&made, 0, memory_order_relaxed);
    atomic_store_explicit(&over, 0, memory_order_relaxed);
    sley__queue_init(&q, &(struct sley_blocking_opts){.thread_min = least, .thread_max = most, .queue_max = 1});
    q.spin_credit = 0; /* nobody spins for a job: that ends with time, which stands still */
    idle_ns = idle;
}

static void setup_one(void)
{
    setup_of(1, 1, SLEY_NEVER);
}

static void setup_two(void)
{
    setup_of(2, 2, SLEY_NEVER);
}

static void setup_idle(void)
{
    setup_of(0, 1, 1000);
}

static void leave(SLEY_ATOMIC(uint32_t) * call)
{
    sley__queue_unlock(&q);
    if (call == &q.live) {
        /* release: as making a thread does */
        atomic_fetch_add_explicit(&made, 1, memory_order_release);
    } else if (call) {
        sley__futex_wake(call, 1);
    }
}

static void serve(void)
{
    struct sley__blocking_thread t = {.searching = true};
    struct sley__blocking_job *job;
    sley__queue_lock(&q);
    sley__link_insert(&q.awake, &t.link);
    do {
        sley__queue_arrive(&q, &t);
        while ((job = sley__queue_take(&q)) != NULL) {
            leave(sley__queue_call(&q));
            ran[job - jobs]++;
            sley__queue_lock(&q);
        }
    } while (sley__queue_rest(&q, &t, idle_ns));
    sley__link_remove(&t.link);
    sley__queue_add_live(&q, UINT32_MAX);
    SLEY_ATOMIC(uint32_t) *call = sley__queue_call(&q);
    if (q.stopping) {
        sley__futex_wake(&q.live, UINT32_MAX);
    }
    leave(call);
}

static void thread(void)
{
    for (;;) {
        uint32_t n = atomic_load_explicit(&made, memory_order_acquire);
        if (n > 0 && atomic_compare_exchange_strong_explicit(&made, &n, n - 1, memory_order_acquire, memory_order_relaxed)) {
            serve();
        } else if (atomic_load_explicit(&over, memory_order_relaxed)) {
            return;
        } else {
            sched_yield();
        }
    }
}

static void submit(unsigned i, uint32_t flags)
{
    sley__queue_lock(&q);
    const bool full = sley__queue_count(&q) >= q.queue_max;
    if (!q.stopping && !(full && (flags & SLEY_BLOCKING_TRY))) {
        sley__queue_put(&q, &jobs[i]);
    } else {
        ran[i]++; /* as if */
    }
    leave(sley__queue_call(&q));
}

/** Ends the pool and waits for its threads, as pool.c does; jobs in line must run. */
static void stop(void)
{
    struct sley__blocking_thread *t;
    sley__queue_lock(&q);
    q.stopping = true;
    while ((t = sley__queue_dismiss(&q, false)) != NULL) {
        sley__futex_wake(&t->bell, 1);
    }
    leave(sley__queue_call(&q));
    for (uint32_t live; (live = sley__queue_live(&q)) > 0;) {
        sley__futex_wait(&q.live, live, SLEY_NEVER);
    }
    EXPLORE_CHECK(ran[0] == 1); /* what the threads have written is seen here */
    atomic_store_explicit(&over, 1, memory_order_relaxed);
}

static void submit_two_and_stop(void)
{
    submit(0, 0);
    submit(1, 0);
    stop();
}

static void submit_and_stop(void)
{
    submit(0, 0);
    stop();
}

static void try_one(void)
{
    submit(2, SLEY_BLOCKING_TRY);
}

static void check_two(void)
{
    EXPLORE_CHECK(ran[0] == 1 && ran[1] == 1);
}

static void check_one(void)
{
    EXPLORE_CHECK(ran[0] == 1);
}

static void check_with_try(void)
{
    EXPLORE_CHECK(ran[0] == 1 && ran[2] == 1);
}

EXPLORE_CASE(blocking_one_thread, "BLOCK-08")
{
    struct explore_scenario s = {.setup = setup_one, .threads = {thread, submit_two_and_stop}, .check = check_two, .preemptions = 2};
    explore_exhaust("queue, one thread, two jobs", &s);
    s.setup = setup_idle;
    explore_exhaust("queue, one thread that ends when idle", &s);
    s.setup = setup_one;
    s.threads[1] = submit_and_stop;
    s.check = check_one;
    s.preemptions = 0;
    explore_exhaust("queue, one thread, one job", &s);
}

EXPLORE_TEST(blocking_two_threads)
{
    struct explore_scenario s = {
        .setup = setup_two, .threads = {thread, thread, submit_two_and_stop}, .check = check_two, .preemptions = 1};
    explore_exhaust("queue, two threads, two jobs", &s);
}

EXPLORE_TEST(blocking_bounded_queue_refuses)
{
    struct explore_scenario s = {
        .setup = setup_one, .threads = {thread, submit_and_stop, try_one}, .check = check_with_try, .preemptions = 2};
    explore_exhaust("queue of one, one tries", &s);
}

static void find(const char *name, struct explore_planted planted, const char *what)
{
    const struct explore_scenario s = {
        .setup = setup_one, .threads = {thread, submit_two_and_stop}, .check = check_two, .planted = &planted};
    explore_find(name, &s, what);
}

EXPLORE_TEST(planted_bugs_of_the_queue_are_found)
{
    find("lock by load and store", (struct explore_planted){"sley__queue_lock", EXPLORE_CAS, EXPLORE_SPLIT}, "");
    find("lock relaxed", (struct explore_planted){"sley__queue_lock", EXPLORE_CAS, EXPLORE_RELAX}, "data race");
    find("unlock relaxed", (struct explore_planted){"sley__queue_unlock", EXPLORE_EXCHANGE, EXPLORE_RELAX}, "data race");
    find("nobody is woken", (struct explore_planted){"sley__futex_wake", EXPLORE_FUTEX_WAKE, EXPLORE_DROP}, "deadlock");
    find("the end relaxed", (struct explore_planted){"sley__queue_add_live", EXPLORE_STORE, EXPLORE_RELAX}, "data race");
}
