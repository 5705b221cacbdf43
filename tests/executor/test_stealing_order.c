/* Who runs when, and where, on the stealing executor: pinned tasks, the slot's bounded run, the injection queue, the reactor's turn. */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/notify.h>
#include <sley/reactor_poll.h>
#include <sley/stealing.h>

#include "harness.h"

struct none {
    char none;
};

static struct sley_stealing stealing;
static struct sley_executor *const ex = &stealing.base;

static void start(struct sley_executor_config config)
{
    sley_stealing_init(&stealing, NULL);
    config.alloc = harness_alloc();
    config.stall_ns = SLEY_NEVER;
    CHECK_RC(ex->ops->start(ex, &config), 0);
}

static void end(void)
{
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->fini(ex), 0);
}

static int finish(struct sley_task *t)
{
    int result = -EBUSY;
    CHECK_RC(ex->ops->run(ex, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    sley_task_unref(t);
    return result;
}

static int run(const struct sley_task_type *type, const void *args)
{
    struct sley_task *t;
    CHECK_RC(ex->ops->spawn(ex, type, args, &t), 0);
    return finish(t);
}

/* ---- pinned --------------------------------------------------------------------------------------------------------------- */

enum { WORKERS = 4, TURNS = 200 };
static struct sley_notify bell;

struct stays {
    struct sley_frame frame;
    struct sley_timer timer;
    struct sley_notify_op op;
    pthread_t thread;
    int i, rc;
};

static void check_here(pthread_t *thread, int i)
{
    if (i == 0) {
        *thread = pthread_self();
    }
    CHECK(pthread_equal(*thread, pthread_self()));
}

static enum sley_step stays_frame(struct stays *f)
{
    SLEY_BEGIN(f);
    for (f->i = 0; f->i < TURNS; f->i++) {
        check_here(&f->thread, f->i);
        if (f->i % 3 == 0) {
            SLEY_CALL(f, f->rc, sley_sleep, &f->timer, 10 * SLEY_US);
        } else {
            SLEY_YIELD(f, f->rc);
        }
        CHECK_RC(f->rc, 0);
        check_here(&f->thread, 1);
    }
    SLEY_RETURN(f, 7);
    SLEY_END(f);
}
SLEY_FRAME(stays_frame, struct stays)

static __attribute__((noinline)) pthread_t this_thread(void)
{
    return pthread_self();
}

static int stays_fiber(struct none *unused)
{
    (void)unused;
    const pthread_t thread = this_thread();
    for (int i = 0; i < TURNS; i++) {
        CHECK_RC(i % 3 == 0 ? sley_sleep(10 * SLEY_US) : i % 3 == 1 ? sley_yield() : sley_notify_wait(&bell), 0);
        CHECK(pthread_equal(thread, this_thread()));
    }
    return 7;
}
SLEY_FIBER(stays_fiber, struct none)

/* Load that moves about, and wakes those that wait for the bell from every worker. */
static int rings(struct none *unused)
{
    (void)unused;
    while (sley_yield() == 0) {
        sley_notify_set_all(&bell);
    }
    return 0;
}
SLEY_FIBER(rings, struct none)

SLEY_TEST_SECONDS(pinned_task_stays_on_its_worker, "", 60)
{
    struct sley_task *t[2 * WORKERS];
    sley_notify_init(&bell);
    start((struct sley_executor_config){.worker_count = WORKERS});
    CHECK_UINT(ex->ops->worker_count(ex), ==, WORKERS);
    for (int i = 0; i < 2 * WORKERS; i++) {
        CHECK_RC(ex->ops->spawn(ex, &rings__type, NULL, NULL), 0);
    }
    for (uint32_t i = 0; i < 2 * WORKERS; i++) {
        CHECK_RC(ex->ops->spawn_on(ex, i % WORKERS, i % 2 ? &stays_fiber__type : &stays_frame__type, NULL, &t[i]), 0);
    }
    for (int i = 0; i < 2 * WORKERS; i++) {
        CHECK_INT(finish(t[i]), ==, 7);
    }
    end();
    sley_notify_fini(&bell);
}

/* Who is pinned and who is not take turns: neither keeps the other from running. */
static SLEY_ATOMIC(uint32_t) turned;

static int turns_until_told(struct none *unused)
{
    (void)unused;
    int n = 0;
    while (!atomic_load_explicit(&turned, memory_order_relaxed)) {
        n += sley_yield() == 0;
    }
    return n;
}
SLEY_FIBER(turns_until_told, struct none)

static int turns_beside_a_pinned(struct none *unused)
{
    (void)unused;
    struct sley_task *t;
    int result = 0;
    atomic_store_explicit(&turned, 0, memory_order_relaxed);
    CHECK_RC(ex->ops->spawn_on(ex, 0, &turns_until_told__type, NULL, &t), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_RC(sley_yield(), 0);
    }
    atomic_store_explicit(&turned, 1, memory_order_relaxed);
    CHECK_RC(sley_task_join(t, &result), 0);
    sley_task_unref(t);
    CHECK_INT(result, >=, 90);
    CHECK_INT(result, <=, 110);
    return 0;
}
SLEY_FIBER(turns_beside_a_pinned, struct none)

SLEY_TEST(pinned_task_takes_turns_with_the_others, "")
{
    start((struct sley_executor_config){.worker_count = 1});
    CHECK_RC(run(&turns_beside_a_pinned__type, NULL), 0);
    end();
}

/* A worker that sleeps is woken for its pinned task, whoever queues it. */
static int where_am_i(struct sley_sched **ret)
{
    *ret = sley_sched_current();
    return 0;
}

struct asks {
    struct sley_sched **ret;
};
static int tells(struct asks *a)
{
    return where_am_i(a->ret);
}
SLEY_FIBER(tells, struct asks)

static int spawns_on_each(struct none *unused)
{
    struct sley_sched *before = NULL;
    (void)unused;
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct sley_sched *there = NULL;
        struct sley_task *t;
        CHECK_RC(ex->ops->spawn_on(ex, i, &tells__type, &(struct asks){&there}, &t), 0);
        CHECK_RC(sley_task_join(t, NULL), 0);
        sley_task_unref(t);
        CHECK(there && there != before); /* each worker has its own */
        before = there;
        struct sley_sched *again = NULL;
        CHECK_RC(ex->ops->spawn_on(ex, i, &tells__type, &(struct asks){&again}, &t), 0);
        CHECK_RC(sley_task_join(t, NULL), 0);
        sley_task_unref(t);
        CHECK_PTR(there, ==, again);
    }
    return 0;
}
SLEY_FIBER(spawns_on_each, struct none)

SLEY_TEST(pinned_task_finds_its_worker_from_anywhere, "")
{
    struct sley_sched *seen[WORKERS];
    struct sley_task *t;
    start((struct sley_executor_config){.worker_count = WORKERS});
    for (uint32_t round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < WORKERS; i++) {
            struct sley_sched *there = NULL;
            CHECK_RC(ex->ops->spawn_on(ex, i, &tells__type, &(struct asks){&there}, &t), 0);
            CHECK_RC(sley_task_join(t, NULL), 0);
            sley_task_unref(t);
            CHECK(there != NULL && (round == 0 || there == seen[i]));
            seen[i] = there;
        }
        for (uint32_t i = 1; i < WORKERS; i++) {
            CHECK_PTR(seen[i], !=, seen[i - 1]);
        }
        CHECK_RC(run(&spawns_on_each__type, NULL), 0);
    }
    CHECK_RC(ex->ops->spawn_on(ex, WORKERS, &tells__type, NULL, NULL), -EINVAL);
    CHECK_RC(ex->ops->spawn_on(ex, 0, NULL, NULL, NULL), -EINVAL);
    CHECK_RC(ex->ops->stop(ex, SLEY_NEVER), 0);
    CHECK_RC(ex->ops->spawn_on(ex, 0, &tells__type, NULL, NULL), -ESHUTDOWN);
    CHECK_RC(ex->ops->fini(ex), 0);
    CHECK_RC(ex->ops->spawn_on(ex, 0, &tells__type, NULL, NULL), -ESHUTDOWN);
    CHECK_UINT(ex->ops->worker_count(ex), ==, 0);
}

/* What a pinned task spawns is not pinned: another worker runs it while its parent keeps the thread. */
static int child_meets(SLEY_ATOMIC(uint32_t) * *met)
{
    atomic_store_explicit(*met, 1, memory_order_release); /* release: pairs with parent_stays */
    return 0;
}
SLEY_FIBER(child_meets, SLEY_ATOMIC(uint32_t) *)

static int parent_stays(struct none *unused)
{
    (void)unused;
    SLEY_ATOMIC(uint32_t) met = 0, *at = &met;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(sley_spawn(&sc, &child_meets__type, &at, NULL, NULL), 0);
    while (!atomic_load_explicit(&met, memory_order_acquire)) { /* acquire: pairs with child_meets */
        (void)sched_yield();
    }
    return sley_scope_fini(&sc);
}
SLEY_FIBER(parent_stays, struct none)

SLEY_TEST(what_a_pinned_task_spawns_is_stolen, "STEAL-08")
{
    struct sley_task *t;
    start((struct sley_executor_config){.worker_count = 2, .stuck_ns = SLEY_MS});
    CHECK_RC(ex->ops->spawn_on(ex, 1, &parent_stays__type, NULL, &t), 0);
    CHECK_RC(finish(t), 0);
    end();
}

/* ---- a task that yields beside the one it has spawned ---------------------------------------------------------------------- */

static SLEY_ATOMIC(uint32_t) went_on;

static int child_stays(struct none *unused)
{
    (void)unused;
    while (!atomic_load_explicit(&went_on, memory_order_acquire)) { /* acquire: pairs with parent_yields */
        (void)sched_yield();
    }
    return 0;
}
SLEY_FIBER(child_stays, struct none)

static int parent_yields(struct none *unused)
{
    (void)unused;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN(&sc, child_stays, 0), 0);
    CHECK_RC(sley_yield(), 0);                                /* the child runs, and this is in the ring, for the worker that sleeps */
    atomic_store_explicit(&went_on, 1, memory_order_release); /* release: pairs with child_stays */
    return sley_scope_fini(&sc);
}
SLEY_FIBER(parent_yields, struct none)

SLEY_TEST(regress_yield_behind_a_full_slot_wakes_who_sleeps, "")
{
    start((struct sley_executor_config){.worker_count = 2, .stuck_ns = SLEY_NEVER});
    for (int i = 0; i < 100; i++) {
        atomic_store_explicit(&went_on, 0, memory_order_relaxed);
        CHECK_RC(run(&parent_yields__type, NULL), 0);
    }
    end();
}

/* ---- who waits how long, counted in resumes on one worker ------------------------------------------------------------------ */

static const struct sley_task_type *chain_type;
static unsigned links; /* of the chain that have run; one worker, so that nobody else writes */
static bool over;
static uint64_t link_ns;
static SLEY_ATOMIC(uint64_t) time_ns;
static SLEY_ATOMIC(uint32_t) wanted, injected;

static uint64_t fake_now(struct sley_clock *self)
{
    (void)self;
    return atomic_load_explicit(&time_ns, memory_order_relaxed);
}
static struct sley_clock fake_clock = {.now_ns = fake_now};

/* One of a chain, each of which leaves its successor in the slot. The thousandth waits until a task was injected. */
static int chain(struct none *unused)
{
    (void)unused;
    if (over) {
        return 0;
    }
    atomic_fetch_add_explicit(&time_ns, link_ns, memory_order_relaxed);
    if (++links == 1000) {
        atomic_store_explicit(&wanted, 1, memory_order_release);         /* release: pairs with chain_until_seen */
        while (!atomic_load_explicit(&injected, memory_order_acquire)) { /* acquire: as above */
            (void)sched_yield();
        }
    }
    return sley_spawn(NULL, chain_type, NULL, NULL, NULL);
}
SLEY_FIBER(chain, struct none)

static int ends_the_chain(struct none *unused)
{
    (void)unused;
    over = true;
    return (int)links;
}
SLEY_FIBER(ends_the_chain, struct none)

/** How many links an injected task has waited for. */
static int chain_until_seen(uint64_t ns)
{
    struct sley_task *t;
    chain_type = &chain__type;
    links = 0;
    over = false;
    link_ns = ns;
    wanted = injected = 0;
    start((struct sley_executor_config){.worker_count = 1, .clock = &fake_clock});
    CHECK_RC(ex->ops->spawn(ex, &chain__type, NULL, NULL), 0);
    while (!atomic_load_explicit(&wanted, memory_order_acquire)) { /* acquire: pairs with chain */
        (void)sched_yield();
    }
    CHECK_RC(ex->ops->spawn(ex, &ends_the_chain__type, NULL, &t), 0);
    atomic_store_explicit(&injected, 1, memory_order_release); /* release: pairs with chain */
    const int waited = finish(t) - 1000;
    end();
    return waited;
}

SLEY_TEST(injected_task_waits_for_few_slow_or_a_hundred_quick_ones, "STEAL-09")
{
    CHECK_INT(chain_until_seen(SLEY_MS), <=, 10);
    const int quick = chain_until_seen(10);
    CHECK_INT(quick, <=, 200);
}

static int leaves_one_beside_a_chain(struct none *unused)
{
    (void)unused;
    CHECK_RC(SLEY_SPAWN(NULL, ends_the_chain, 0), 0);
    return SLEY_SPAWN(NULL, chain, 0);
}
SLEY_FIBER(leaves_one_beside_a_chain, struct none)

SLEY_TEST(chain_in_the_slot_has_a_bounded_run, "STEAL-07")
{
    chain_type = &chain__type;
    links = 0;
    over = false;
    start((struct sley_executor_config){.worker_count = 1});
    CHECK_RC(run(&leaves_one_beside_a_chain__type, NULL), 0);
    CHECK_RC(ex->ops->run(ex, NULL), 0);
    CHECK(over);
    CHECK_UINT(links, <=, 8);
    end();
}

/* Each worker has a reactor of its own, and looks at it between so many resumes; tokio's one reactor is looked at by who yields. */
static bool seen;

static int waits_for_it(int *number)
{
    struct sley_fd fd;
    sley_fd_init(&fd, *number);
    const int rc = sley_fd_poll(&fd, SLEY_IO_IN);
    seen = true;
    return rc > 0 ? 0 : rc;
}
SLEY_FIBER(waits_for_it, int)

static int yields_until_seen(int *number)
{
    int turns = 0;
    CHECK_RC(sley_yield(), 0);
    CHECK_INT(eventfd_write(*number, 1), ==, 0);
    for (; !seen; turns++) {
        CHECK_RC(sley_yield(), 0);
    }
    return turns;
}
SLEY_FIBER(yields_until_seen, int)

SLEY_TEST(task_that_yields_lets_its_worker_look_at_the_reactor, "STEAL-11")
{
    static const struct sley_reactor_factory *const epolls[] = {&sley_reactor_epoll, NULL};
    int number = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK_INT(number, >=, 0);
    start((struct sley_executor_config){.worker_count = 1, .reactors = epolls});
    CHECK_RC(ex->ops->spawn(ex, &waits_for_it__type, &number, NULL), 0);
    CHECK_INT(run(&yields_until_seen__type, &number), <=, 70);
    CHECK_RC(ex->ops->run(ex, NULL), 0);
    end();
    CHECK_INT(close(number), ==, 0);
}
