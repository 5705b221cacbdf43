/* How stealing's workers park and are woken (executor/stealing/idle.c, over the queues of queue.c): what is pushed is run by somebody
 * although all others sleep, and the counts hold. A task here may keep its worker until another one has run: where that one is
 * left lying beside a sleeper, the search ends in a deadlock. */
#include "pool.h"

enum { TASKS = 3 };
enum { SEARCHING_MASK = 0xffff, ASLEEP_SHIFT = 16 }; /* of pool.idle, as in idle.c */

static struct sley_task tasks[TASKS];
static void (*bodies[TASKS])(void);
static SLEY_ATOMIC(uint32_t) begun[TASKS], left;
static uint32_t rung;
static void (*park)(struct worker *w) = sley__idle_park;

/* ---- a pool without threads, reactors and watchdog ---------------------------------------------------------------------- */

static uint64_t now_ns(struct sley_sched *s)
{
    (void)s;
    return explore_now_ns();
}

uint64_t sley__pool_now_ns(const struct sley_stealing_pool *p)
{
    (void)p;
    return explore_now_ns();
}

uint64_t sley__worker_run_timers(struct worker *w)
{
    (void)w;
    return SLEY_NEVER;
}

void sley__worker_wait(struct worker *w, uint64_t next_ns)
{
    /* relaxed: see before_park */
    atomic_store_explicit(&w->parks, atomic_load_explicit(&w->parks, memory_order_relaxed) + 1, memory_order_relaxed);
    sley_thread_wait(&w->bell, next_ns);
}

void sley__worker_look_outside(struct worker *w)
{
    (void)w;
}

void sley__worker_look_inside(struct worker *w)
{
    (void)w;
}

/** What is in memory, without being a step. */
__attribute__((no_sanitize_thread)) static uint32_t peek(const SLEY_ATOMIC(uint32_t) * word)
{
    return *(const volatile uint32_t *)(uintptr_t)word;
}

__attribute__((no_sanitize_thread)) static void count_ring(void)
{
    rung += peek(&pool.phase) == PHASE_RUNNING;
}

static void ring(struct sley_sched *s)
{
    count_ring();
    sley_thread_ring(&worker_of(s)->bell);
}

static void release(struct sley_sched *s)
{
    (void)s;
}

static const struct sley_sched_ops ops = {
    .version = SLEY_SCHED_VERSION,
    .name = "stealing",
    .ring = ring,
    .now_ns = now_ns,
    .timer_arm = rig_arm,
    .timer_disarm = rig_disarm,
    .release = release,
    .schedule = sley__worker_schedule,
};

static void release_pool(struct sley_group *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        sley_sched_destroy(scheds[i]);
    }
}

/** @p n workers that are awake, and @p count tasks that have to run. */
static void setup_of(uint32_t n, uint32_t count)
{
    pool_setup(n, &ops, release_pool);
    memset(tasks, 0, sizeof tasks);
    memset(bodies, 0, sizeof bodies);
    memset(begun, 0, sizeof begun);
    rung = 0;
    atomic_store_explicit(&pool.phase, PHASE_RUNNING, memory_order_relaxed);
    atomic_store_explicit(&left, count, memory_order_relaxed);
}

static void counts_hold(void)
{
    const uint32_t idle = peek(&pool.idle), searching = idle & SEARCHING_MASK, asleep = idle >> ASLEEP_SHIFT;
    EXPLORE_CHECK(asleep <= pool.plan.count && searching <= pool.plan.count - asleep);
}

static void end(void)
{
    uint32_t searching = 0;
    counts_hold();
    EXPLORE_CHECK(peek(&left) == 0 && sley__inject_empty(&pool.inject));
    for (uint32_t i = 0; i < pool.plan.count; i++) {
        EXPLORE_CHECK(sley__steal_ring_count(&workers[i].ring) == 0 && !sley__lifo_full(&workers[i].lifo));
        EXPLORE_CHECK(sley__inject_empty(&workers[i].backlog) && sley__inject_empty(&workers[i].pinned));
        searching += workers[i].searching;
    }
    EXPLORE_CHECK(peek(&pool.idle) >> ASLEEP_SHIFT == 0 && (peek(&pool.idle) & SEARCHING_MASK) == searching);
    if (sley_group_fini(&pool.group)) {
        release_pool(&pool.group);
    }
}

/* ---- workers and tasks -------------------------------------------------------------------------------------------------- */

static void one_less(void)
{
    if (atomic_fetch_sub_explicit(&left, 1, memory_order_acq_rel) == 1) { /* as set_phase in stealing.c */
        atomic_store_explicit(&pool.phase, PHASE_ENDED, memory_order_seq_cst);
        for (uint32_t i = 0; i < pool.plan.count; i++) {
            (void)sley_sched_nudge(&workers[i].sched);
        }
    }
}

static void run(struct sley_task *t)
{
    EXPLORE_CHECK(t >= tasks && t < tasks + TASKS);
    EXPLORE_CHECK(atomic_exchange_explicit(&begun[t - tasks], 1, memory_order_acq_rel) == 0);
    if (bodies[t - tasks]) {
        bodies[t - tasks]();
    }
    one_less();
}

/** As work() of worker.c, but that it looks once less before it parks. */
static void serve(void)
{
    struct worker *w = &workers[explore_thread()];
    (void)sley_sched_enter(&w->sched);
    while (atomic_load_explicit(&pool.phase, memory_order_acquire) == PHASE_RUNNING) {
        struct sley_task *t = sley__worker_next(w);
        if (!t && sley__idle_search(w)) {
            t = sley__worker_steal(w);
        }
        counts_hold();
        if (t) {
            if (w->searching || w->guards || w->untold) {
                sley__idle_found(w);
            }
            run(t);
        } else {
            park(w);
        }
        counts_hold();
    }
    (void)sley_sched_enter(NULL);
}

/** Queues a task, on a worker or elsewhere. */
static void push(unsigned i)
{
    sley__worker_schedule(&workers[0].sched, &tasks[i], SLEY_READY_WOKEN);
}

static void keep_until_begun(unsigned i)
{
    while (!atomic_load_explicit(&begun[i], memory_order_acquire)) {
        sched_yield();
    }
}

static void push_first(void)
{
    push(0);
}

static void push_second(void)
{
    push(1);
}

static void push_both(void)
{
    push(0);
    push(1);
}

/* ---- tasks from elsewhere ------------------------------------------------------------------------------------------------ */

static void setup_one_injected(void)
{
    setup_of(1, 1);
}

static void setup_one_two_injected(void)
{
    setup_of(1, 2);
}

static void setup_two_one_injected(void)
{
    setup_of(2, 1);
}

static void wait_for_first(void)
{
    keep_until_begun(0);
}

static void wait_for_second(void)
{
    keep_until_begun(1);
}

/* Each keeps its worker until the other runs: whoever takes one has to wake somebody for the other. */
static void setup_two_that_meet(void)
{
    setup_of(2, 2);
    bodies[0] = wait_for_second;
    bodies[1] = wait_for_first;
}

EXPLORE_CASE(idle_injected_task_meets_a_worker_that_goes_to_sleep, "STEAL-10")
{
    struct explore_scenario s = {.setup = setup_one_injected, .threads = {serve, push_first}, .check = end, .tso = true};
    explore_exhaust("one worker, one from outside", &s);
    s.setup = setup_one_two_injected;
    s.threads[1] = push_both;
    explore_exhaust("one worker, two from outside", &s);
    s.tso = false;
    s.threads[1] = push_first;
    s.threads[2] = push_second;
    explore_exhaust("one worker, two outside: the second says AGAIN", &s);
}

/* ---- what is posted for any of them --------------------------------------------------------------------------------------- */

static struct sley_post post;

static void posted(struct sley_post *p)
{
    EXPLORE_CHECK(p == &post);
    one_less();
}

static void post_for_any(void)
{
    post.fn = posted;
    (void)sley_sched_post_any(&workers[0].sched, &post);
}

/** As serve, where there is never a task. */
static void serve_posts(void)
{
    struct worker *w = &workers[explore_thread()];
    (void)sley_sched_enter(&w->sched);
    while (atomic_load_explicit(&pool.phase, memory_order_acquire) == PHASE_RUNNING) {
        sley_group_drain(&pool.group);
        park(w);
    }
    (void)sley_sched_enter(NULL);
}

EXPLORE_CASE(idle_post_for_any_meets_a_worker_that_goes_to_sleep, "")
{
    struct explore_scenario s = {.setup = setup_one_injected, .threads = {serve_posts, post_for_any}, .check = end, .tso = true};
    explore_exhaust("one worker, one posted from outside", &s);
}

/* One is woken for it, and wakes one more when it has found it: there may be more. */
static void end_with_two_woken(void)
{
    EXPLORE_CHECK(rung <= 2);
    end();
}

EXPLORE_CASE(idle_two_workers_are_woken_for_what_comes_from_outside, "STEAL-10")
{
    struct explore_scenario s = {
        .setup = setup_two_one_injected, .threads = {serve, serve, push_first}, .check = end_with_two_woken, .preemptions = 1};
    explore_exhaust("two workers, one from outside", &s);
    s.setup = setup_two_that_meet;
    s.check = end;
    s.threads[2] = push_both;
    explore_exhaust("two workers, two from outside that meet", &s);
}

/* ---- tasks of a worker --------------------------------------------------------------------------------------------------- */

/* The first task is on its worker, queues two (the slot's, and one that another worker may take) and stays until that one runs. */
static void queue_two_and_stay(void)
{
    push(1);
    push(2);
    keep_until_begun(1);
}

static void setup_busy(void)
{
    setup_of(2, 3);
    bodies[0] = queue_two_and_stay;
    (void)sley__steal_ring_push_back(&workers[0].ring, &tasks[0]);
}

/* The same where resumes take so long that each is worth another's coming. */
static void setup_busy_and_slow(void)
{
    setup_busy();
    atomic_store_explicit(&workers[0].resume_ns, SLEY_S, memory_order_relaxed);
}

/* The other worker may not take the first one: it is past its own look, or asleep. */
static void serve_late(void)
{
    keep_until_begun(0);
    serve();
}

/* The same without what is around it. */
static void push_own(void)
{
    sley__worker_push(&workers[0], &tasks[0]);
    sley__idle_notify(&pool, sley__worker_left(&workers[0]));
}

/* The other worker guards over work that is done by now. */
static void setup_guarded(void)
{
    setup_of(2, 1);
    workers[1].guards = true;
    atomic_store_explicit(&pool.guarded, 1, memory_order_relaxed);
}

static void search_until_found(void)
{
    struct worker *w = &workers[1];
    (void)sley_sched_enter(&w->sched);
    struct sley_task *t = NULL;
    while (!(sley__idle_search(w) && (t = sley__worker_steal(w)) != NULL)) {
        park(w);
    }
    sley__idle_found(w);
    EXPLORE_CHECK(t == &tasks[0]);
    (void)sley_sched_enter(NULL);
}

static void end_without_running(void)
{
    atomic_store_explicit(&left, 0, memory_order_relaxed);
    end();
}

EXPLORE_CASE(idle_push_meets_a_worker_between_its_last_look_and_its_sleep, "STEAL-10")
{
    struct explore_scenario s = {.setup = setup_busy, .threads = {serve, serve}, .check = end, .preemptions = 1};
    explore_exhaust("a busy worker and one that parks", &s);
    s.setup = setup_busy_and_slow;
    explore_exhaust("a busy, slow worker and one that parks", &s);
    s = (struct explore_scenario){
        .setup = setup_two_one_injected, .threads = {push_own, search_until_found}, .check = end_without_running, .tso = true};
    explore_exhaust("a push and one that parks, store buffers", &s);
    s.setup = setup_guarded;
    explore_exhaust("a push beside one that stops guarding, store buffers", &s);
}

/* ---- planted bugs ------------------------------------------------------------------------------------------------------- */

static bool any_left(const struct worker *w)
{
    bool any = !sley__inject_empty(&pool.inject) || sley__lifo_full(&w->lifo);
    for (uint32_t i = 0; i < pool.plan.count; i++) {
        any |= sley__steal_ring_count(&workers[i].ring) != 0;
    }
    return any;
}

/** As sley__idle_park, but that it may look before it says that it sleeps, and says that it searches no more after that. */
static void park_wrongly(struct worker *w, bool looks_first)
{
    before_park(NULL);
    if (!sley_sched_park(&w->sched)) {
        return;
    }
    const uint32_t asleep = 1u << ASLEEP_SHIFT, searching = w->searching;
    bool any = looks_first && any_left(w);
    atomic_fetch_add_explicit(&pool.idle, asleep - (looks_first ? searching : 0), memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    if (!looks_first) {
        any = any_left(w);
        atomic_fetch_sub_explicit(&pool.idle, searching, memory_order_seq_cst);
    }
    w->searching = false;
    if (!any && atomic_load_explicit(&pool.phase, memory_order_relaxed) == PHASE_RUNNING) {
        sley__worker_wait(w, SLEY_NEVER);
    }
    atomic_fetch_sub_explicit(&pool.idle, asleep, memory_order_seq_cst);
    if (!sley_sched_unpark(&w->sched)) {
        atomic_store_explicit(&pool.waking, 0, memory_order_seq_cst);
        (void)sley__idle_search(w);
    }
}

static void park_after_the_last_look(struct worker *w)
{
    park_wrongly(w, true);
}

static void park_and_search_until_it_has_looked(struct worker *w)
{
    park_wrongly(w, false);
}

static void find(const char *name, const struct explore_scenario *s, struct explore_planted planted, const char *what)
{
    struct explore_scenario with = *s;
    with.planted = &planted;
    explore_find(name, &with, what);
}

EXPLORE_TEST(planted_bugs_of_parking_are_found)
{
    const struct explore_scenario busy = {
        .setup = setup_busy, .threads = {serve, serve_late}, .check = end, .preemptions = 2, .tso = true};
    const struct explore_scenario own = {
        .setup = setup_two_one_injected, .threads = {push_own, search_until_found}, .check = end_without_running, .tso = true};
    const struct explore_scenario guarded = {
        .setup = setup_guarded, .threads = {push_own, search_until_found}, .check = end_without_running, .tso = true};
    const struct explore_scenario one = {.setup = setup_one_two_injected, .threads = {serve, push_first, push_second}, .check = end};
    find("no fence behind a push", &own, (struct explore_planted){"sley__idle_notify", EXPLORE_FENCE, EXPLORE_DROP}, "deadlock");
    find("no look after it has stopped guarding", &guarded, (struct explore_planted){"look", EXPLORE_FENCE, EXPLORE_DROP}, "deadlock");
    find("guards for good", &guarded, (struct explore_planted){"stop_guarding", EXPLORE_STORE, EXPLORE_DROP}, "deadlock");
    find("guards without a look in a while", &own, (struct explore_planted){"reckon", EXPLORE_STORE, EXPLORE_DROP}, "");
    find("it does not say that it sleeps", &busy, (struct explore_planted){"sley__idle_park", EXPLORE_SUB, EXPLORE_DROP}, "");
    find("nobody says that the waking is over", &one, (struct explore_planted){"sley__idle_park", EXPLORE_STORE, EXPLORE_DROP},
         "deadlock");
    find("waking is taken by load and store", &one, (struct explore_planted){"become_waker", EXPLORE_CAS, EXPLORE_SPLIT}, "deadlock");
    find("AGAIN is wiped out", &one, (struct explore_planted){"sley__idle_notify", EXPLORE_CAS, EXPLORE_SPLIT}, "deadlock");
    find("a search is not counted", &busy, (struct explore_planted){"sley__idle_search", EXPLORE_ADD, EXPLORE_DROP}, "");
    find("a bell without a wake", &one, (struct explore_planted){"sley_thread_ring", EXPLORE_FUTEX_WAKE, EXPLORE_DROP}, "deadlock");
    struct explore_scenario late = busy;
    late.setup = setup_busy_and_slow;
    late.tso = false;
    park = park_after_the_last_look;
    explore_find("no look after it has said that it sleeps", &late, "deadlock");
    park = park_and_search_until_it_has_looked;
    explore_find("counted as searching until after the last look", &late, "deadlock");
    park = sley__idle_park;
}
