/* What the work-stealing executor does beyond the suite of all: its ring, stealing, the LIFO slot, tasks across workers, rescue. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/notify.h>
#include <sley/reactor_poll.h>
#include <sley/stealing.h>
#include <sley/stream_pair.h>

#include "executor/stealing/inject.h"
#include "executor/stealing/ring.h"
#include "harness.h"

/* ---- ring and injection queue by themselves ----------------------------------------------------------------------- */

static struct sley_task tasks[64];

struct ring4 {
    struct sley__steal_ring ring;
    SLEY_ATOMIC(struct sley_task *) slots[64];
};

static void ring_init(struct ring4 *r, uint32_t capacity)
{
    memset(r, 0, sizeof *r);
    sley__steal_ring_init(&r->ring, r->slots, capacity);
}

static void ring4_init(struct ring4 *r)
{
    ring_init(r, 4);
}

SLEY_TEST(ring_pops_in_order_and_refuses_when_full, "")
{
    struct ring4 r;
    ring4_init(&r);
    for (int turn = 0; turn < 5; turn++) {
        for (int i = 0; i < 4; i++) {
            CHECK(sley__steal_ring_push_back(&r.ring, &tasks[i]));
        }
        CHECK(!sley__steal_ring_push_back(&r.ring, &tasks[4]));
        CHECK_UINT(sley__steal_ring_count(&r.ring), ==, 4);
        for (int i = 0; i < 4; i++) {
            CHECK_PTR(sley__steal_ring_pop(&r.ring), ==, &tasks[i]);
        }
        CHECK_PTR(sley__steal_ring_pop(&r.ring), ==, NULL);
    }
}

SLEY_TEST(ring_thief_takes_half_rounded_up, "STEAL-03")
{
    struct ring4 a, b;
    for (uint32_t n = 0; n <= 4; n++) {
        ring4_init(&a);
        ring4_init(&b);
        for (uint32_t i = 0; i < n; i++) {
            CHECK(sley__steal_ring_push_back(&a.ring, &tasks[i]));
        }
        struct sley_task *got = sley__steal_ring_steal(&a.ring, &b.ring);
        CHECK(n ? got != NULL : got == NULL);
        CHECK_UINT(sley__steal_ring_count(&a.ring), ==, n / 2);
        CHECK_UINT(sley__steal_ring_count(&b.ring), ==, n ? n - n / 2 - 1 : 0);
    }
}

SLEY_TEST(ring_overflow_takes_the_older_half_as_a_chain, "")
{
    struct ring4 r;
    ring4_init(&r);
    struct sley_task *first = NULL, *last = NULL;
    for (int i = 0; i < 4; i++) {
        CHECK(sley__steal_ring_push_back(&r.ring, &tasks[i]));
    }
    CHECK_UINT(sley__steal_ring_chain(&r.ring, 2, &first, &last), ==, 2);
    CHECK_PTR(first, ==, &tasks[0]);
    CHECK_PTR(first->link.next, ==, &tasks[1]);
    CHECK_PTR(last, ==, &tasks[1]);
    CHECK_PTR(sley__steal_ring_pop(&r.ring), ==, &tasks[2]);
}

SLEY_TEST(injected_tasks_come_in_the_order_of_pushing, "")
{
    struct sley__inject q;
    memset(&q, 0, sizeof q);
    CHECK(sley__inject_empty(&q));
    sley__inject_push(&q, &tasks[0], &tasks[0]);
    tasks[1].link.next = &tasks[2];
    tasks[2].link.next = &tasks[3];
    sley__inject_push(&q, &tasks[1], &tasks[3]);
    struct sley_task *t = sley__inject_take(&q, 2);
    CHECK_PTR(t, ==, &tasks[0]);
    CHECK_PTR(t->link.next, ==, &tasks[1]);
    CHECK_PTR(t->link.next->link.next, ==, NULL);
    sley__inject_push(&q, &tasks[4], &tasks[4]);
    t = sley__inject_take(&q, 64);
    CHECK_PTR(t, ==, &tasks[2]);
    CHECK_PTR(t->link.next, ==, &tasks[3]);
    t = sley__inject_take(&q, 64);
    CHECK_PTR(t, ==, &tasks[4]);
    CHECK(sley__inject_empty(&q));
}

SLEY_TEST(backlog_keeps_the_order_of_appending, "")
{
    struct sley__inject q;
    memset(&q, 0, sizeof q);
    tasks[0].link.next = &tasks[1];
    sley__inject_append(&q, &tasks[0], &tasks[1], 2);
    struct sley_task *t = sley__inject_take(&q, 1);
    CHECK_PTR(t, ==, &tasks[0]);
    CHECK_PTR(t->link.next, ==, NULL);
    sley__inject_append(&q, &tasks[2], &tasks[2], 1); /* behind what is left */
    t = sley__inject_take(&q, 64);
    CHECK_PTR(t, ==, &tasks[1]);
    CHECK_PTR(t->link.next, ==, &tasks[2]);
    CHECK(sley__inject_empty(&q));
    sley__inject_append(&q, &tasks[3], &tasks[3], 1);
    CHECK_PTR(sley__inject_take(&q, 64), ==, &tasks[3]);
    CHECK_PTR(sley__inject_take(&q, 64), ==, NULL);
}

struct shared_ring {
    struct ring4 ring;
    SLEY_ATOMIC(uint32_t) taken[64];
    SLEY_ATOMIC(uint32_t) total, stop;
};

static void *thief(void *arg)
{
    struct shared_ring *s = arg;
    struct ring4 own;
    ring_init(&own, s->ring.ring.capacity);
    for (;;) {
        /* acquire: pairs with the owner's release; what it pushed last is seen */
        const bool last = atomic_load_explicit(&s->stop, memory_order_acquire);
        struct sley_task *t = sley__steal_ring_steal(&s->ring.ring, &own.ring);
        for (bool any = t != NULL; t; t = sley__steal_ring_pop(&own.ring), any = true) {
            /* relaxed: counts */
            atomic_fetch_add_explicit(&s->taken[t - tasks], 1, memory_order_relaxed);
            atomic_fetch_add_explicit(&s->total, 1, memory_order_relaxed); /* relaxed: as above */
            (void)any;
        }
        if (last) {
            return NULL;
        }
    }
}

static void hand_each_to_one(uint32_t capacity)
{
    enum { ROUNDS = 20000 };
    struct shared_ring s;
    memset(&s, 0, sizeof s);
    ring_init(&s.ring, capacity);
    pthread_t threads[2];
    uint32_t pushed = 0;
    for (int i = 0; i < 2; i++) {
        CHECK_RC(pthread_create(&threads[i], NULL, thief, &s), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct sley_task *t = &tasks[harness_rand() % 64];
        if (sley__steal_ring_push_back(&s.ring.ring, t)) {
            pushed++;
        }
        if (harness_rand() % 3 == 0 && (t = sley__steal_ring_pop(&s.ring.ring)) != NULL) {
            /* relaxed: counts */
            atomic_fetch_add_explicit(&s.taken[t - tasks], 1, memory_order_relaxed);
            atomic_fetch_add_explicit(&s.total, 1, memory_order_relaxed); /* relaxed: as above */
        }
    }
    /* release: pairs with the thieves */
    atomic_store_explicit(&s.stop, 1, memory_order_release);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(pthread_join(threads[i], NULL), 0);
    }
    for (struct sley_task *t; (t = sley__steal_ring_pop(&s.ring.ring)) != NULL;) {
        /* relaxed: counts */
        atomic_fetch_add_explicit(&s.total, 1, memory_order_relaxed);
    }
    CHECK_UINT(atomic_load_explicit(&s.total, memory_order_relaxed), ==, pushed); /* relaxed: the threads have been joined */
}

SLEY_TEST(ring_hands_each_task_to_one, "STEAL-04")
{
    hand_each_to_one(4);
    hand_each_to_one(2);
    hand_each_to_one(64);
}

/* ---- a pool ------------------------------------------------------------------------------------------------------- */

struct pool {
    struct sley_stealing stealing;
    struct sley_executor *ex;
};

static void pool_start(struct pool *p, uint32_t workers, uint64_t stuck_ns)
{
    sley_stealing_init(&p->stealing, NULL);
    p->ex = &p->stealing.base;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = workers, .stuck_ns = stuck_ns};
    CHECK_RC(p->ex->ops->start(p->ex, &config), 0);
}

static void pool_end(struct pool *p)
{
    CHECK_RC(p->ex->ops->stop(p->ex, SLEY_NEVER), 0);
    CHECK_RC(p->ex->ops->fini(p->ex), 0);
}

static int pool_run(struct pool *p, const struct sley_task_type *type, const void *args)
{
    struct sley_task *t;
    int result = -EBUSY;
    CHECK_RC(p->ex->ops->spawn(p->ex, type, args, &t), 0);
    CHECK_RC(p->ex->ops->run(p->ex, t), 0);
    CHECK_RC(sley_task_result(t, &result), 0);
    sley_task_unref(t);
    return result;
}

struct none {
    char none;
};

/* Both have to be inside at the same time: one of them was stolen. */
struct meeting {
    SLEY_ATOMIC(uint32_t) * here;
};

static int meet(struct meeting *m)
{
    /* acq_rel: the two see each other */
    atomic_fetch_add_explicit(m->here, 1, memory_order_acq_rel);
    while (atomic_load_explicit(m->here, memory_order_acquire) < 2) { /* acquire: as above */
        (void)sched_yield();
    }
    return 0;
}
SLEY_FIBER(meet, struct meeting)

static int two_meet(struct none *unused)
{
    (void)unused;
    SLEY_ATOMIC(uint32_t) here = 0;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN(&sc, meet, .here = &here), 0);
    CHECK_RC(SLEY_SPAWN(&sc, meet, .here = &here), 0);
    const int rc = sley_scope_wait(&sc);
    (void)sley_scope_fini(&sc);
    return rc;
}
SLEY_FIBER(two_meet, struct none)

SLEY_TEST(spawned_task_is_stolen_by_an_idle_worker, "")
{
    struct pool p;
    pool_start(&p, 2, SLEY_NEVER);
    for (int i = 0; i < 50; i++) {
        CHECK_RC(pool_run(&p, &two_meet__type, NULL), 0);
    }
    pool_end(&p);
}

/* Computes until it is told to end, and never waits. */
static int compute(struct meeting *m)
{
    atomic_store_explicit(m->here, 1, memory_order_release); /* release: pairs with the other's look */
    while (!sley_cancelled()) {
    }
    return 7;
}
SLEY_FIBER(compute, struct meeting)

static int cancels_who_computes(struct none *unused)
{
    (void)unused;
    SLEY_ATOMIC(uint32_t) here = 0;
    struct sley_task *t;
    int result = 0;
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, compute, .here = &here), 0);
    while (atomic_load_explicit(&here, memory_order_acquire) == 0) { /* acquire: pairs with compute */
        (void)sched_yield();
    }
    sley_task_cancel(t);
    CHECK_RC(sley_task_join(t, &result), 0);
    sley_task_unref(t);
    return result;
}
SLEY_FIBER(cancels_who_computes, struct none)

SLEY_TEST(regress_cancel_from_another_worker_reaches_a_task_that_only_computes, "")
{
    struct pool p;
    pool_start(&p, 2, 0);
    CHECK_RC(pool_run(&p, &cancels_who_computes__type, NULL), 7);
    pool_end(&p);
}

/* The LIFO slot's task does not wait until the one that filled it has ended. */
static int keeps_its_worker(struct none *unused)
{
    (void)unused;
    SLEY_ATOMIC(uint32_t) here = 1;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN(&sc, meet, .here = &here), 0);              /* into the slot: nobody is told */
    while (atomic_load_explicit(&here, memory_order_acquire) < 2) { /* acquire: pairs with meet */
        (void)sched_yield();
    }
    return sley_scope_fini(&sc);
}
SLEY_FIBER(keeps_its_worker, struct none)

SLEY_TEST(lifo_slot_of_a_stuck_worker_is_served, "STEAL-08")
{
    struct pool p;
    pool_start(&p, 2, SLEY_MS);
    for (int i = 0; i < 5; i++) {
        CHECK_RC(pool_run(&p, &keeps_its_worker__type, NULL), 0);
    }
    pool_end(&p);
}

/* A timer of a stuck worker fires: its task sleeps, and the worker's other task does not return before it has ended. */
struct sleeper {
    SLEY_ATOMIC(uint32_t) * slept;
};

static int sleep_and_tell(struct sleeper *s)
{
    const int rc = sley_sleep(2 * SLEY_MS);
    atomic_store_explicit(s->slept, 1, memory_order_release); /* release: pairs with waits_for_the_sleeper */
    return rc;
}
SLEY_FIBER(sleep_and_tell, struct sleeper)

static int waits_for_the_sleeper(struct none *unused)
{
    (void)unused;
    SLEY_ATOMIC(uint32_t) slept = 0;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN(&sc, sleep_and_tell, .slept = &slept), 0);
    CHECK_RC(sley_yield(), 0);                                    /* it goes to sleep on this worker, or on the other */
    while (!atomic_load_explicit(&slept, memory_order_acquire)) { /* acquire: as above */
        (void)sched_yield();
    }
    return sley_scope_fini(&sc);
}
SLEY_FIBER(waits_for_the_sleeper, struct none)

SLEY_TEST(timer_of_a_stuck_worker_fires, "")
{
    struct pool p;
    pool_start(&p, 2, SLEY_MS);
    for (int i = 0; i < 10; i++) {
        CHECK_RC(pool_run(&p, &waits_for_the_sleeper__type, NULL), 0);
    }
    pool_end(&p);
}

/* The same for a descriptor: its task waits for it, and the worker's other task, which makes it ready, does not return before. */
struct waiter {
    int number;
    SLEY_ATOMIC(uint32_t) * seen;
};

static int waits_for_a_descriptor(struct waiter *w)
{
    struct sley_fd fd;
    sley_fd_init(&fd, w->number);
    const int rc = sley_fd_poll(&fd, SLEY_IO_IN);
    atomic_store_explicit(w->seen, 1, memory_order_release); /* release: pairs with makes_it_ready_and_stays */
    return rc > 0 ? 0 : rc;
}
SLEY_FIBER(waits_for_a_descriptor, struct waiter)

static int makes_it_ready_and_stays(struct none *unused)
{
    (void)unused;
    SLEY_ATOMIC(uint32_t) seen = 0;
    struct sley_scope sc;
    const int number = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK_INT(number, >=, 0);
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN(&sc, waits_for_a_descriptor, .number = number, .seen = &seen), 0);
    CHECK_RC(sley_yield(), 0); /* it arms here, or on the other worker */
    CHECK_INT(eventfd_write(number, 1), ==, 0);
    while (!atomic_load_explicit(&seen, memory_order_acquire)) { /* acquire: as above */
        (void)sched_yield();
    }
    const int rc = sley_scope_fini(&sc);
    CHECK_INT(close(number), ==, 0);
    return rc;
}
SLEY_FIBER(makes_it_ready_and_stays, struct none)

SLEY_TEST(descriptor_of_a_stuck_worker_is_served, "")
{
    static const struct sley_reactor_factory *const epolls[] = {&sley_reactor_epoll, NULL};
    struct pool p;
    sley_stealing_init(&p.stealing, NULL);
    p.ex = &p.stealing.base;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 2, .stuck_ns = SLEY_MS, .reactors = epolls};
    CHECK_RC(p.ex->ops->start(p.ex, &config), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_RC(pool_run(&p, &makes_it_ready_and_stays__type, NULL), 0);
    }
    pool_end(&p);
}

/* A copy, in no task, that goes on because of what a task has written: not only when that one ends. */
static struct sley_stream_pair from, to;

static int copies(struct none *unused)
{
    (void)unused;
    return sley_stream_copy(&to.a.stream, &from.b.stream, NULL);
}
SLEY_FIBER(copies, struct none)

struct reader {
    SLEY_ATOMIC(uint32_t) * seen;
};

static int reads(struct reader *r)
{
    char byte = 0;
    CHECK_RC(sley_stream_read(&to.b.stream, &byte, 1), 1);
    atomic_store_explicit(r->seen, 1, memory_order_release); /* release: pairs with writes_and_stays */
    return 0;
}
SLEY_FIBER(reads, struct reader)

static int writes_and_stays(struct none *unused)
{
    (void)unused;
    SLEY_ATOMIC(uint32_t) seen = 0;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN(&sc, copies, .none = 0), 0);
    CHECK_RC(SLEY_SPAWN(&sc, reads, .seen = &seen), 0);
    CHECK_RC(sley_sleep(2 * SLEY_MS), 0); /* both wait */
    CHECK_RC(sley_stream_write(&from.a.stream, "x", 1), 1);
    const uint64_t until = sley_after_ns(5 * SLEY_S);
    while (!atomic_load_explicit(&seen, memory_order_acquire)) { /* acquire: as above */
        CHECK(sley_now_ns() < until);
        (void)sched_yield();
    }
    CHECK_RC(sley_stream_close(&from.a.stream), 0);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(writes_and_stays, struct none)

SLEY_TEST(regress_copy_that_a_stuck_worker_has_put_off_goes_on, "")
{
    static char buffers[4][64];
    struct pool p;
    pool_start(&p, 2, SLEY_MS);
    for (int i = 0; i < 5; i++) {
        CHECK_RC(sley_stream_pair_init(&from, buffers[0], 64), 0);
        CHECK_RC(sley_stream_pair_init(&to, buffers[2], 64), 0);
        CHECK_RC(pool_run(&p, &writes_and_stays__type, NULL), 0);
        CHECK_RC(sley_stream_close(&from.b.stream), 0);
        CHECK_RC(sley_stream_close(&to.a.stream), 0);
        CHECK_RC(sley_stream_close(&to.b.stream), 0);
        CHECK_RC(sley_stream_pair_fini(&from), 0);
        CHECK_RC(sley_stream_pair_fini(&to), 0);
    }
    pool_end(&p);
}

/* Who was woken to help waits for a processor: here it stays in its wait, and another one comes. */
static SLEY_ATOMIC(uint32_t) freezing; /* 0: nobody; in a round: its number times 2; odd: one is frozen */
static const struct sley_reactor_ops *epoll_ops;
static struct sley_reactor_ops freezing_ops;

static int poll_and_freeze(struct sley_reactor *r, uint64_t timeout_ns)
{
    const int rc = epoll_ops->poll(r, timeout_ns);
    uint32_t now = atomic_load_explicit(&freezing, memory_order_relaxed);
    if (timeout_ns > 0 && now > 0 && now % 2 == 0 &&
        atomic_compare_exchange_strong_explicit(&freezing, &now, now + 1, memory_order_relaxed, memory_order_relaxed)) {
        while (atomic_load_explicit(&freezing, memory_order_relaxed) == now + 1) {
            (void)sched_yield();
        }
    }
    return rc;
}

static int create_freezing(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    const int rc = sley_reactor_epoll.create(o, ret_reactor);
    if (rc == 0) {
        (*ret_reactor)->ops = &freezing_ops;
    }
    return rc;
}

static int waits_for_its_own_timer(uint32_t *round)
{
    struct sley_timer timer = {0};
    sley_sleep_start(&timer, 5 * SLEY_MS);
    atomic_store_explicit(&freezing, 2 * *round, memory_order_relaxed);
    while (!sley_wait_done(&timer.wait)) {
        (void)sched_yield();
    }
    atomic_store_explicit(&freezing, 0, memory_order_relaxed);
    return timer.wait.result;
}
SLEY_FIBER(waits_for_its_own_timer, uint32_t)

SLEY_TEST(regress_helper_that_does_not_come_is_not_waited_for, "")
{
    static const struct sley_reactor_factory factory = {.version = SLEY_REACTOR_VERSION, .name = "freezing", .create = create_freezing};
    static const struct sley_reactor_factory *const factories[] = {&factory, NULL};
    static const struct sley_reactor_factory *const epolls[] = {&sley_reactor_epoll, NULL};
    struct pool p;
    struct sley_reactor *r = NULL;
    CHECK_RC(sley_executor_make_reactor(&(struct sley_executor_config){.reactors = epolls}, harness_alloc(), &r), 0);
    epoll_ops = r->ops;
    r->ops->destroy(r);
    freezing_ops = *epoll_ops;
    freezing_ops.poll = poll_and_freeze;
    sley_stealing_init(&p.stealing, NULL);
    p.ex = &p.stealing.base;
    const struct sley_executor_config config = {.alloc = harness_alloc(), .worker_count = 3, .stuck_ns = SLEY_MS, .reactors = factories};
    CHECK_RC(p.ex->ops->start(p.ex, &config), 0);
    for (uint32_t round = 1; round <= 10; round++) {
        CHECK_RC(pool_run(&p, &waits_for_its_own_timer__type, &round), 0);
    }
    pool_end(&p);
}

static int wait_until_met(void *arg)
{
    SLEY_ATOMIC(uint32_t) *here = arg;
    while (atomic_load_explicit(here, memory_order_acquire) < 2) { /* acquire: pairs with meet */
        (void)sched_yield();
    }
    return 7;
}

static int blocks_in_place(struct none *unused)
{
    (void)unused;
    SLEY_ATOMIC(uint32_t) here = 1;
    struct sley_scope sc;
    int result = 0;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN(&sc, meet, .here = &here), 0);
    CHECK_RC(sley_block_in_place(wait_until_met, &here, &result), 0);
    CHECK_INT(result, ==, 7);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(blocks_in_place, struct none)

SLEY_TEST(block_in_place_hands_the_others_away, "")
{
    struct pool p;
    pool_start(&p, 2, SLEY_NEVER);
    for (int i = 0; i < 20; i++) {
        CHECK_RC(pool_run(&p, &blocks_in_place__type, NULL), 0);
    }
    pool_end(&p);
    CHECK_RC(sley_block_in_place(NULL, NULL, NULL), -EINVAL);
}

/* A join set over many tasks that end on any worker, some of them cancelled by handle from outside. */
static int leaf(struct none *unused)
{
    (void)unused;
    const int rc = sley_yield();
    return rc < 0 ? rc : 1;
}
SLEY_FIBER(leaf, struct none)

static int collects(struct none *unused)
{
    (void)unused;
    struct sley_scope sc;
    struct sley_task *t;
    int result, ended = 0;
    CHECK_RC(sley_scope_init(&sc, &(struct sley_scope_opts){.flags = SLEY_SCOPE_COLLECT}), 0);
    for (int i = 0; i < 200; i++) {
        CHECK_RC(SLEY_SPAWN_TASK(&t, &sc, leaf, 0), 0);
        if (i % 3 == 0) {
            sley_task_cancel(t);
        }
        sley_task_unref(t);
    }
    while (sley_scope_next(&sc, &t, &result) == 1) {
        CHECK(result == 1 || result == -ECANCELED);
        CHECK(sley_task_done(t));
        sley_task_unref(t);
        ended++;
    }
    CHECK_INT(ended, ==, 200);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(collects, struct none)

SLEY_TEST(join_set_hands_out_each_task_once, "")
{
    struct pool p;
    pool_start(&p, 3, 0);
    for (int i = 0; i < 30; i++) {
        CHECK_RC(pool_run(&p, &collects__type, NULL), 0);
    }
    pool_end(&p);
}

/* A task that detaches itself from a scope goes on in the root, and the scope does not wait for it. */
struct detached {
    struct sley_notify *go;
};

static int detached_body(struct detached *d)
{
    return sley_notify_wait(d->go);
}
SLEY_FIBER(detached_body, struct detached)

static struct sley_notify go;

static int detaches(struct none *unused)
{
    (void)unused;
    struct sley_scope sc;
    struct sley_task *t;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&t, &sc, detached_body, .go = &go), 0);
    CHECK_RC(sley_task_detach(t), 0);
    CHECK_RC(sley_scope_wait(&sc), 0);
    CHECK_RC(sley_scope_fini(&sc), 0);
    CHECK(!sley_task_done(t));
    sley_notify_set(&go);
    int result = 1;
    CHECK_RC(sley_task_join(t, &result), 0);
    sley_task_unref(t);
    return result;
}
SLEY_FIBER(detaches, struct none)

SLEY_TEST(detached_task_outlives_its_scope, "")
{
    struct pool p;
    pool_start(&p, 2, 0);
    for (int i = 0; i < 50; i++) {
        sley_notify_init(&go);
        CHECK_RC(pool_run(&p, &detaches__type, NULL), 0);
        sley_notify_fini(&go);
    }
    pool_end(&p);
}

/* A handle may outlive the pool. */
SLEY_TEST(handle_outlives_the_pool, "")
{
    struct pool p;
    struct sley_task *t;
    int result = 0;
    pool_start(&p, 2, 0);
    CHECK_RC(p.ex->ops->spawn(p.ex, &leaf__type, NULL, &t), 0);
    CHECK_RC(p.ex->ops->run(p.ex, t), 0);
    pool_end(&p);
    CHECK(sley_task_done(t));
    CHECK_RC(sley_task_result(t, &result), 0);
    CHECK_INT(result, ==, 1);
    sley_task_cancel(t);
    sley_task_unref(t);
}

/* More children than a ring has room for, all spawned before any of them runs. */
enum { CROWD = 3000 };

static int spawns_a_crowd(struct none *unused)
{
    (void)unused;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    for (int i = 0; i < CROWD; i++) {
        CHECK_RC(SLEY_SPAWN(&sc, leaf, 0), 0);
    }
    const int rc = sley_scope_wait(&sc);
    (void)sley_scope_fini(&sc);
    return rc;
}
SLEY_FIBER(spawns_a_crowd, struct none)

SLEY_TEST(statistics_count_resumes_steals_overflows_and_parks, "")
{
    struct pool p;
    struct sley_stealing_stats one, sum = {0};
    pool_start(&p, 1, SLEY_NEVER);
    CHECK_RC(pool_run(&p, &spawns_a_crowd__type, NULL), 0);
    CHECK_RC(sley_stealing_stats(&p.stealing, 0, &one), 0);
    CHECK_UINT(one.resumes, >=, CROWD + 2); /* the one that spawns them twice: it has waited */
    CHECK_UINT(one.overflows, >, 0);
    CHECK_UINT(one.steals, ==, 0);
    CHECK_RC(sley_stealing_stats(&p.stealing, 1, &one), -EINVAL);
    pool_end(&p);
    pool_start(&p, 2, SLEY_NEVER);
    CHECK_RC(pool_run(&p, &two_meet__type, NULL), 0);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_RC(sley_stealing_stats(&p.stealing, i, &one), 0);
        sum.resumes += one.resumes;
        sum.steals += one.steals;
        sum.parks += one.parks;
    }
    CHECK_UINT(sum.resumes, >=, 3);
    CHECK_UINT(sum.steals, >, 0);
    pool_end(&p);
}

static uint64_t spared(const struct sley_stealing *ex)
{
    struct sley_stealing_stats a, b;
    CHECK_RC(sley_stealing_stats(ex, 0, &a), 0);
    CHECK_RC(sley_stealing_stats(ex, 1, &b), 0);
    return a.spared + b.spared;
}

struct feeder {
    const struct sley_stealing *ex;
};

static int tell(struct meeting *m)
{
    atomic_fetch_add_explicit(m->here, 1, memory_order_release); /* release: pairs with feed */
    return 0;
}
SLEY_FIBER(tell, struct meeting)

/* Never waits, so that the other worker takes both: first the one in the ring, beside one in the slot. */
static int feed(struct feeder *f)
{
    int rc = 0;
    for (int round = 0; rc == 0 && round < 1000 && spared(f->ex) == 0; round++) {
        SLEY_ATOMIC(uint32_t) here = 0;
        struct sley_scope sc;
        CHECK_RC(sley_scope_init(&sc, NULL), 0);
        CHECK_RC(SLEY_SPAWN(&sc, tell, .here = &here), 0);
        CHECK_RC(SLEY_SPAWN(&sc, tell, .here = &here), 0);
        while (atomic_load_explicit(&here, memory_order_acquire) < 2) { /* acquire: pairs with tell */
            (void)sched_yield();
        }
        rc = sley_scope_fini(&sc);
    }
    return rc;
}
SLEY_FIBER(feed, struct feeder)

SLEY_TEST(statistics_count_what_thieves_leave_in_a_slot, "")
{
    struct pool p;
    pool_start(&p, 2, SLEY_NEVER);
    for (int i = 0; i < 50; i++) { /* from outside, and waking nobody: no slot is used */
        CHECK_RC(pool_run(&p, &leaf__type, NULL), 1);
    }
    CHECK_UINT(spared(&p.stealing), ==, 0);
    CHECK_RC(pool_run(&p, &feed__type, &(struct feeder){&p.stealing}), 0);
    CHECK_UINT(spared(&p.stealing), >, 0);
    pool_end(&p);
}

SLEY_TEST(start_refuses_what_it_cannot_be, "")
{
    struct sley_stealing ex;
    sley_stealing_init(&ex, NULL);
    const struct sley_executor_config many = {.worker_count = SLEY_STEALING_WORKERS_MAX + 1};
    CHECK_RC(ex.base.ops->start(&ex.base, &many), -EINVAL);
    CHECK_RC(ex.base.ops->fini(&ex.base), 0);
    CHECK_RC(ex.base.ops->spawn(&ex.base, &leaf__type, NULL, NULL), -ESHUTDOWN);
    struct sley_stealing_stats stats;
    CHECK_RC(sley_stealing_stats(&ex, 0, &stats), -EINVAL);
}
