/* The stall detector: what it decides (time and system made up), and what it says of threads that really stall. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/local.h>

#include "executor/watch/watch.h"
#include "harness.h"

/* ---- decisions: looked at by hand -------------------------------------------------------------------------------------- */

enum { MS = 1000000 };

static unsigned reports, asks, stucks;
static char last_report[6000];
static uint64_t fake_cpu_ns;
static bool fake_runnable;

static void keep_report(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg;
    CHECK_INT(kind, ==, SLEY_REPORT_STALL);
    reports++;
    (void)snprintf(last_report, sizeof last_report, "%s", text);
}

static uint64_t fake_cpu(uint32_t tid)
{
    (void)tid;
    return fake_cpu_ns;
}

static bool fake_runs(uint32_t tid)
{
    (void)tid;
    return fake_runnable;
}

static void fake_ask(struct sley_watch *w, uint32_t tid)
{
    (void)w, (void)tid;
    asks++;
}

static void count_stuck(void *arg, struct sley_sched *s, uint64_t stalled_ns)
{
    CHECK_PTR(arg, ==, &stucks);
    CHECK_PTR(s, !=, NULL);
    CHECK_UINT(stalled_ns, >=, 4 * MS);
    stucks++;
}

static const struct sley_sched_ops fake_sched_ops = {.name = "fake"};

/** A watch of one worker that nobody runs: reports after 10 ms, says stuck after 4. */
struct hand {
    struct sley_watch *watch;
    struct sley_watched watched;
    struct sley_sched sched;
    uint64_t now_ns;
};

static void hand_start(struct hand *h)
{
    *h = (struct hand){.sched.ops = &fake_sched_ops, .now_ns = SLEY_S};
    reports = asks = stucks = 0;
    fake_cpu_ns = 0;
    fake_runnable = false;
    const struct sley_watch_opts o = {
        .alloc = harness_alloc(), .stall_ns = 10 * MS, .stuck_ns = 4 * MS, .stuck = count_stuck, .arg = &stucks, .report = keep_report};
    CHECK_RC(sley_watch_create(&o, &h->watch), 0);
    h->watch->by_hand = true;
    h->watch->os = (struct sley__watch_os){fake_cpu, fake_runs, fake_ask};
    CHECK_RC(sley_watch_add(h->watch, &h->watched, &h->sched, 3), 0);
    sley_watch_enter(&h->watched);
}

/** Time goes on and the watchdog looks. */
static uint64_t hand_look(struct hand *h, uint64_t ms)
{
    h->now_ns += ms * MS;
    const uint64_t next_ns = sley__watch_look(h->watch, h->now_ns);
    return next_ns == SLEY_NEVER ? SLEY_NEVER : next_ns - h->now_ns;
}

static void hand_resume(struct hand *h)
{
    atomic_fetch_add_explicit(&h->sched.resume_count, 1, memory_order_relaxed);
}

/** The thread has written down its stack. */
static void hand_answer(struct hand *h, const struct sley_task_type *type)
{
    struct sley__watch_entry *e = h->watched.entry;
    e->shot = (struct sley__shot){.same = true, .type = type};
    atomic_store_explicit(&e->answered, atomic_load_explicit(&e->asked, memory_order_relaxed), memory_order_release);
}

static void hand_end(struct hand *h)
{
    sley_watch_remove(&h->watched);
    sley_watch_destroy(h->watch);
}

static const struct sley_task_type culprit = {.name = "culprit", .file = "culprit.c", .line = 7};

SLEY_TEST(look_at_a_resume_below_the_threshold_asks_nothing, "")
{
    struct hand h;
    hand_start(&h);
    CHECK_UINT(hand_look(&h, 0), ==, 2 * MS); /* half of the shorter time */
    for (int i = 0; i < 20; i++) {
        CHECK_UINT(hand_look(&h, 3), ==, 2 * MS);
        hand_resume(&h); /* moves, also when it is the same task again */
    }
    CHECK_UINT(asks + reports + stucks, ==, 0);
    hand_look(&h, 3);
    hand_look(&h, 3);
    hand_look(&h, 3);
    CHECK_UINT(asks, ==, 0);
    CHECK_UINT(stucks, ==, 1);
    sley_watch_park(&h.watched); /* parking is a move, too */
    sley_watch_unpark(&h.watched);
    hand_look(&h, 4);
    CHECK_UINT(asks + reports, ==, 0);
    hand_end(&h);
}

SLEY_TEST(stall_is_told_once_and_once_more_when_over, "")
{
    struct hand h;
    hand_start(&h);
    hand_look(&h, 0);
    hand_look(&h, 9);
    CHECK_UINT(asks, ==, 0);
    fake_cpu_ns = 2 * MS;
    hand_look(&h, 1);
    CHECK_UINT(asks, ==, 1);
    CHECK_UINT(reports, ==, 0); /* first the stack */
    hand_answer(&h, &culprit);
    hand_look(&h, 2);
    CHECK_STR(last_report, "stall: task culprit (culprit.c:7) has kept worker 3 for 12 ms, 2 of them computing");
    for (int i = 0; i < 5; i++) {
        hand_look(&h, 10);
    }
    CHECK_UINT(reports, ==, 1);
    CHECK_UINT(asks, ==, 1);
    CHECK_UINT(stucks, ==, 8); /* at every look from 4 ms on */
    hand_resume(&h);
    hand_look(&h, 10);
    CHECK_UINT(reports, ==, 2);
    CHECK_STR(last_report, "stall over: task culprit (culprit.c:7) had kept worker 3 for 62 ms");
    hand_look(&h, 5);
    CHECK_UINT(reports, ==, 2);
    hand_end(&h);
}

SLEY_TEST(stall_outside_tasks_says_so, "")
{
    struct hand h;
    hand_start(&h);
    hand_look(&h, 0);
    hand_look(&h, 10);
    hand_answer(&h, NULL);
    hand_look(&h, 1);
    CHECK_STR(last_report, "stall: something outside its tasks has kept worker 3 for 11 ms, 0 of them computing");
    hand_end(&h); /* the worker's end ends it, too */
    CHECK_STR(last_report, "stall over: something outside its tasks had kept worker 3 for 11 ms");
}

/* On a loaded machine a thread may get no processor for long: that is not its fault. */
SLEY_TEST(worker_that_waits_for_a_processor_is_not_reported, "")
{
    struct hand h;
    hand_start(&h);
    fake_runnable = true;
    hand_look(&h, 0);
    for (int i = 0; i < 10; i++) {
        hand_look(&h, 10);
    }
    CHECK_UINT(asks, ==, 0);
    CHECK_UINT(stucks, ==, 10); /* whoever rescues its other tasks hears of it */
    fake_cpu_ns = 3 * MS;       /* it computes after all */
    hand_look(&h, 10);
    CHECK_UINT(asks, ==, 1);
    hand_end(&h);
}

SLEY_TEST(thread_that_does_not_answer_is_reported_without_its_stack, "")
{
    struct hand h;
    hand_start(&h);
    hand_look(&h, 0);
    hand_look(&h, 10);
    hand_look(&h, 49);
    CHECK_UINT(reports, ==, 0);
    hand_look(&h, 1);
    CHECK_UINT(reports, ==, 1);
    CHECK(strstr(last_report, "stall: a task has kept worker 3") != NULL);
    CHECK(strstr(last_report, "did not take the signal") != NULL);
    hand_answer(&h, &culprit); /* late, but the stall lasts */
    hand_look(&h, 1);
    CHECK_UINT(reports, ==, 2);
    CHECK(strstr(last_report, "stall: task culprit") != NULL);
    hand_look(&h, 1);
    CHECK_UINT(reports, ==, 2);
    hand_end(&h);
}

SLEY_TEST(stall_that_ends_while_asked_is_told_as_over, "")
{
    struct hand h;
    hand_start(&h);
    hand_look(&h, 0);
    hand_look(&h, 10);
    hand_resume(&h); /* no answer */
    hand_look(&h, 5);
    CHECK_UINT(reports, ==, 1);
    CHECK_STR(last_report, "stall over: a task had kept worker 3 for 10 ms");
    hand_look(&h, 10); /* the next one: an answer meanwhile is the old question's if the numbers differ */
    CHECK_UINT(asks, ==, 2);
    h.watched.entry->shot = (struct sley__shot){.same = true, .type = &culprit};
    atomic_store_explicit(&h.watched.entry->answered, 1, memory_order_release);
    hand_look(&h, 5);
    CHECK_UINT(reports, ==, 1);
    hand_answer(&h, &culprit);
    hand_resume(&h);
    hand_look(&h, 5); /* answered and over between two looks */
    CHECK_UINT(reports, ==, 3);
    CHECK(strstr(last_report, "stall over: task culprit") != NULL);
    hand_end(&h);
}

SLEY_TEST(more_than_five_stalls_a_minute_are_counted, "")
{
    struct hand h;
    hand_start(&h);
    for (int i = 0; i < 8; i++) {
        hand_resume(&h);
        hand_look(&h, 1);
        hand_look(&h, 10);
        hand_answer(&h, &culprit);
        hand_look(&h, 1);
    }
    hand_resume(&h);
    hand_look(&h, 1);
    CHECK_UINT(asks, ==, 5);
    CHECK_UINT(reports, ==, 10); /* each began and ended */
    hand_look(&h, 60000);
    hand_answer(&h, &culprit);
    hand_look(&h, 1);
    CHECK_UINT(reports, ==, 11);
    CHECK(strstr(last_report, "; 3 before it were not reported") != NULL);
    for (int i = 0; i < 6; i++) {
        hand_resume(&h);
        hand_look(&h, 1);
        hand_look(&h, 10);
    }
    hand_end(&h);
    CHECK_STR(last_report, "stall: 2 more of worker 3 were not reported");
}

SLEY_TEST(parked_worker_is_left_alone_until_it_wakes, "LOCAL-20")
{
    struct hand h;
    hand_start(&h);
    hand_look(&h, 0);
    sley_watch_park(&h.watched);
    unsigned looks = 0;
    while (hand_look(&h, 100) != SLEY_NEVER) {
        CHECK_UINT(++looks, <, 20);
    }
    CHECK_UINT(asks + reports + stucks, ==, 0);
    CHECK_UINT(hand_look(&h, 1000000), ==, SLEY_NEVER);
    CHECK_UINT(h.watch->bell, ==, 1); /* hand_start's */
    h.watch->bell = 0;
    sley_watch_unpark(&h.watched);
    CHECK_UINT(h.watch->bell, ==, 1);
    CHECK_UINT(hand_look(&h, 0), !=, SLEY_NEVER);
    h.watch->bell = 0;
    sley_watch_park(&h.watched); /* a short nap wakes nobody */
    hand_look(&h, 2);
    sley_watch_unpark(&h.watched);
    CHECK_UINT(h.watch->bell, ==, 0);
    hand_end(&h);
}

SLEY_TEST(watch_without_a_time_is_refused, "")
{
    struct sley_watch *w = NULL;
    CHECK_RC(sley_watch_create(NULL, &w), -EINVAL);
    CHECK_RC(sley_watch_create(&(struct sley_watch_opts){.alloc = harness_alloc()}, &w), -EINVAL);
    CHECK_RC(sley_watch_create(&(struct sley_watch_opts){.stall_ns = SLEY_NEVER, .stuck = count_stuck}, &w), -EINVAL);
    CHECK_PTR(w, ==, NULL);
    sley_watch_destroy(NULL);
    sley_watch_remove(&(struct sley_watched){.entry = NULL});
    CHECK_UINT(sley_watch_stall_ns(5), ==, 5);
    CHECK_UINT(sley_watch_stall_ns(0), >=, 10 * MS);
}

/* ---- threads that really stall ------------------------------------------------------------------------------------------ */

/** What a runtime has said. Written on the watchdog's thread. */
struct log {
    pthread_mutex_t lock;
    SLEY_ATOMIC(unsigned) stalls, overs; /* of the former those with a stack: on a busy machine it may come late, behind one without */
    int free_fd;                         /* a byte goes there with each stall; -1: none */
    char text[20000];
};

static void log_report(void *arg, enum sley_report_kind kind, const char *text)
{
    struct log *l = arg;
    CHECK_INT(kind, ==, SLEY_REPORT_STALL);
    (void)pthread_mutex_lock(&l->lock);
    const size_t len = strlen(l->text);
    (void)snprintf(l->text + len, sizeof l->text - len, "%s\n", text);
    (void)pthread_mutex_unlock(&l->lock);
    const bool over = strncmp(text, "stall over", 10) == 0, named = strncmp(text, "stall: task ", 12) == 0;
    atomic_fetch_add_explicit(&l->overs, over, memory_order_release);
    atomic_fetch_add_explicit(&l->stalls, named, memory_order_release);
    if (l->free_fd >= 0 && strncmp(text, "stall:", 6) == 0) {
        CHECK_INT(write(l->free_fd, "x", 1), ==, 1);
    }
}

struct rig {
    struct log log;
    struct sley_local local;
    struct sley_executor *ex;
};

static void rig_start(struct rig *r)
{
    *r = (struct rig){.log = {.lock = PTHREAD_MUTEX_INITIALIZER, .free_fd = -1}};
    sley_local_init(&r->local);
    r->ex = &r->local.base;
    const struct sley_executor_config config = {
        .alloc = harness_alloc(), .report = log_report, .report_arg = &r->log, .stall_ns = 2 * MS};
    CHECK_RC(r->ex->ops->start(r->ex, &config), 0);
}

static void rig_run(struct rig *r, const struct sley_task_type *type, const void *args)
{
    struct sley_task *t = NULL;
    CHECK_RC(r->ex->ops->spawn(r->ex, type, args, &t), 0);
    CHECK_RC(r->ex->ops->run(r->ex, t), 0);
    sley_task_unref(t);
}

static void rig_end(struct rig *r)
{
    CHECK_RC(r->ex->ops->stop(r->ex, SLEY_NEVER), 0);
    CHECK_RC(r->ex->ops->fini(r->ex), 0);
}

/** Computes until @p count stalls were reported. Exported, so that a backtrace can name it. */
void stall_here(struct log *l, unsigned count);
SLEY_NOINLINE void stall_here(struct log *l, unsigned count)
{
    struct timespec ts;
    while (atomic_load_explicit(&l->stalls, memory_order_acquire) < count) {
        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* the thread sanitizer hands signals over in such calls alone */
    }
    __asm__ volatile("" ::: "memory"); /* the call above is not the last thing, so that this frame stays */
}

/** Waits in a system call until the report sends a byte. */
void block_here(int fd);
SLEY_NOINLINE void block_here(int fd)
{
    char byte;
    CHECK_INT(read(fd, &byte, 1), ==, 1);
}

static int stall_fiber(struct log **l)
{
    stall_here(*l, 1);
    return 0;
}
SLEY_FIBER(stall_fiber, struct log *)

struct stall_args {
    struct sley_frame frame;
    struct log *log;
};

static enum sley_step stall_frame(struct stall_args *f)
{
    SLEY_BEGIN(f);
    stall_here(f->log, 1);
    SLEY_END(f);
}
SLEY_FRAME(stall_frame, struct stall_args)

SLEY_TEST(fiber_that_computes_is_named_with_its_stack, "")
{
    struct rig r;
    struct log *l = &r.log;
    rig_start(&r);
    rig_run(&r, &stall_fiber__type, &l);
    rig_end(&r);
    CHECK_UINT(l->stalls, >=, 1);
    CHECK(strstr(l->text, "stall: task stall_fiber (") != NULL);
    CHECK(strstr(l->text, " stall_here+0x") != NULL);
}

SLEY_TEST(frame_that_computes_is_named_with_its_stack, "")
{
    struct rig r;
    rig_start(&r);
    rig_run(&r, &stall_frame__type, &(struct stall_args){.log = &r.log});
    rig_end(&r);
    CHECK(strstr(r.log.text, "stall: task stall_frame (") != NULL);
    CHECK(strstr(r.log.text, " stall_here+0x") != NULL);
    CHECK(strstr(r.log.text, " sley_sched_run_lane+0x") != NULL); /* it goes on to who called, the test itself in the end */
}

static int block_fiber(int *fd)
{
    block_here(*fd);
    return 0;
}
SLEY_FIBER(block_fiber, int)

SLEY_TEST(fiber_that_blocks_in_a_system_call_is_named, "")
{
    struct rig r;
    int fds[2];
    CHECK_INT(pipe(fds), ==, 0);
    rig_start(&r);
    r.log.free_fd = fds[1];
    /* a thread that waits for a processor takes its signal late; the thread sanitizer keeps one that came before the switch to the
     * fiber for whom it came to */
    for (int i = 0; i < 5 && atomic_load_explicit(&r.log.stalls, memory_order_acquire) == 0; i++) {
        rig_run(&r, &block_fiber__type, &fds[0]);
    }
    rig_end(&r);
    CHECK(strstr(r.log.text, "stall: task block_fiber (") != NULL);
    CHECK(strstr(r.log.text, " block_here+0x") != NULL);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* The thread sanitizer has no new threads in the child of a process that has had several. */
static bool has_threads(void)
{
    return !harness_under_tsan();
}

static int do_nothing(struct log **l)
{
    (void)l;
    return 0;
}
SLEY_FIBER(do_nothing, struct log *)

SLEY_TEST(stall_in_the_child_of_a_fork_is_named_with_its_stack, "")
{
    struct rig r;
    struct log *l = &r.log;
    int status = -1;
    if (!has_threads()) {
        SKIP("no threads behind a fork");
    }
    rig_start(&r);
    rig_run(&r, &do_nothing__type, &l);
    rig_end(&r);
    const pid_t pid = fork();
    if (pid == 0) {
        rig_start(&r);
        rig_run(&r, &stall_fiber__type, &l);
        rig_end(&r);
        _exit(strstr(l->text, " stall_here+0x") ? 0 : 1);
    }
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK_INT(status, ==, 0);
}

static int stall_twice(struct log **l)
{
    stall_here(*l, 1);
    CHECK_RC(sley_yield(), 0); /* over */
    stall_here(*l, 2);
    return 0;
}
SLEY_FIBER(stall_twice, struct log *)

SLEY_TEST(each_stall_of_a_task_is_a_report, "")
{
    struct rig r;
    struct log *l = &r.log;
    rig_start(&r);
    rig_run(&r, &stall_twice__type, &l);
    rig_end(&r);
    CHECK_UINT(l->stalls, >=, 2);
}

/* The stall's end, too, is seen by who waits for it: the main task goes on in short steps until it was told. */
static int stall_and_see_it_over(struct log **l)
{
    stall_here(*l, 1);
    while (atomic_load_explicit(&(*l)->overs, memory_order_acquire) == 0) {
        const int rc = sley_sleep(100 * SLEY_US);
        CHECK_RC(rc, 0);
    }
    return 0;
}
SLEY_FIBER(stall_and_see_it_over, struct log *)

SLEY_TEST(end_of_a_stall_is_told, "")
{
    struct rig r;
    struct log *l = &r.log;
    rig_start(&r);
    rig_run(&r, &stall_and_see_it_over__type, &l);
    rig_end(&r);
    CHECK(strstr(l->text, "stall over: task stall_and_see_it_over (") != NULL);
}

static void *run_stalling(void *arg)
{
    struct rig *r = arg;
    struct log *l = &r->log;
    rig_run(r, &stall_fiber__type, &l);
    return NULL;
}

SLEY_TEST(two_runtimes_stall_beside_each_other, "")
{
    struct rig r[2];
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) {
        rig_start(&r[i]);
        CHECK_INT(pthread_create(&thread[i], NULL, run_stalling, &r[i]), ==, 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_INT(pthread_join(thread[i], NULL), ==, 0);
    }
    rig_end(&r[0]); /* the other keeps the signal */
    r[1].log.stalls = 0;
    run_stalling(&r[1]);
    rig_end(&r[1]);
    CHECK(strstr(r[0].log.text, " stall_here+0x") != NULL);
    CHECK(strstr(r[1].log.text, " stall_here+0x") != NULL);
}

/* ---- signals of others ---------------------------------------------------------------------------------------------------- */

static SLEY_ATOMIC(unsigned) urgent;

static void on_urgent(int signo)
{
    (void)signo;
    atomic_fetch_add_explicit(&urgent, 1, memory_order_relaxed);
}

static int stall_and_raise(struct log **l)
{
    stall_here(*l, 1);
    CHECK_INT(raise(SIGURG), ==, 0);
    return 0;
}
SLEY_FIBER(stall_and_raise, struct log *)

SLEY_TEST(disposition_is_chained_and_put_back, "")
{
    struct rig r;
    struct log *l = &r.log;
    struct sigaction now;
    CHECK_INT(sigaction(SIGURG, &(struct sigaction){.sa_handler = on_urgent}, NULL), ==, 0);
    rig_start(&r);
    rig_run(&r, &stall_and_raise__type, &l);
    CHECK_UINT(urgent, ==, 1); /* the watchdog's own did not reach it */
    rig_end(&r);
    CHECK_INT(sigaction(SIGURG, NULL, &now), ==, 0);
    CHECK(now.sa_handler == on_urgent);
    CHECK_INT(raise(SIGURG), ==, 0);
    CHECK_UINT(urgent, ==, 2);
}

/* ---- many come and go ----------------------------------------------------------------------------------------------------- */

enum { COMERS = 4, ROUNDS = 300 };

static void ignore_report(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg, (void)kind, (void)text;
}

static void *come_and_go(void *arg)
{
    struct sley_watch *w = arg;
    struct sley_sched s = {.ops = &fake_sched_ops};
    const unsigned rounds = ROUNDS / harness_slowness();
    struct timespec ts;
    for (unsigned i = 0; i < rounds; i++) {
        struct sley_watched e = {.entry = NULL};
        CHECK_RC(sley_watch_add(w, &e, &s, i), 0);
        struct sley_sched *outer = sley_sched_enter(NULL);
        sley__self = &s; /* so that the handler finds it */
        sley_watch_enter(&e);
        for (uint64_t k = harness_rand_below(4); k > 0; k--) {
            sley_watch_park(&e);
            sley_watch_unpark(&e);
            for (uint64_t n = harness_rand_below(20000); n > 0; n--) {
                (void)clock_gettime(CLOCK_MONOTONIC, &ts);
            }
            atomic_fetch_add_explicit(&s.resume_count, 1, memory_order_relaxed);
        }
        sley_watch_park(&e);
        sley__self = NULL;
        (void)sley_sched_enter(outer);
        sley_watch_remove(&e);
    }
    return NULL;
}

SLEY_TEST_SECONDS(workers_come_and_go_while_the_watchdog_looks, "", 60)
{
    struct sley_watch *w = NULL;
    pthread_t threads[COMERS];
    const struct sley_watch_opts o = {.alloc = harness_alloc(), .stall_ns = 100 * SLEY_US, .report = ignore_report};
    CHECK_RC(sley_watch_create(&o, &w), 0);
    for (int i = 0; i < COMERS; i++) {
        CHECK_INT(pthread_create(&threads[i], NULL, come_and_go, w), ==, 0);
    }
    for (int i = 0; i < COMERS; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), ==, 0);
    }
    sley_watch_destroy(w);
}

SLEY_TEST(each_allocation_of_a_watched_executor_refused, "SHUT-01")
{
    HARNESS_SWEEP_ALLOC(points, 100)
    {
        struct sley_local local;
        sley_local_init(&local);
        const struct sley_executor_config config = {.alloc = harness_alloc(), .report = ignore_report, .stall_ns = SLEY_S};
        const int rc = local.base.ops->start(&local.base, &config);
        CHECK_RC(rc, rc < 0 ? -ENOMEM : 0);
        CHECK_RC(local.base.ops->fini(&local.base), 0);
    }
    CHECK_UINT(points, >=, 4);
}
