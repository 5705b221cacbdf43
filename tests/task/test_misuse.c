/* Programming errors: what debug builds say, word for word, and that release builds stay silent. */
#include "bed.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_TEXT SLEY__STR(__LINE__)

/* ---- what goes on with an error code ---------------------------------------------------------------------------------- */

struct direct {
    struct sley_frame frame;
};

static enum sley_step direct_call(struct direct *f)
{
    SLEY_BEGIN(f);
    CHECK_RC(sley_sleep(1), -EDEADLK);
    SLEY_RETURN(f, 0);
    SLEY_END(f);
}
SLEY_FRAME(direct_call, struct direct)
static const char direct_call_line[] = SLEY__STR(__LINE__);

static void check_report(const struct bed *b, const char *text)
{
#ifdef SLEY_DEBUG
    CHECK_UINT(b->report_count, ==, 1);
    CHECK_STR(b->reports, text);
#else
    (void)text;
    CHECK_UINT(b->report_count, ==, 0); /* release builds do not look */
#endif
}

/** The text with the line of the task's type in it; previous line of where it is declared. */
static const char *text_of(const char *what, const char *task, const char *line, const char *site, const char *remedy)
{
    static char buf[1024];
    int n = snprintf(buf, sizeof buf, "0|misuse: %s\n", what);
    if (task) {
        n += snprintf(buf + n, sizeof buf - (size_t)n, "  task:   %s (%s:%d)\n", task, __FILE__, (int)strtol(line, NULL, 10) - 1);
    }
    if (site) {
        n += snprintf(buf + n, sizeof buf - (size_t)n, "  wait:   %s\n", site);
    }
    (void)snprintf(buf + n, sizeof buf - (size_t)n, "  remedy: %s\n", remedy);
    return buf;
}

SLEY_TEST(misuse_direct_call_in_a_frame, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &direct_call__type, NULL), ==, 0);
    check_report(&b, text_of("a direct call was made where nothing may wait", "direct_call", direct_call_line, NULL,
                             "in a frame use SLEY_CALL"));
    bed_end(&b);
}

static struct bed *outer_bed, *inner_bed;

static int nested_run(struct none *a)
{
    (void)a;
    struct sley_executor *ex = inner_bed->ex;
    CHECK_RC(ex->ops->run(ex, NULL), -EDEADLK);
    return 0;
}
SLEY_FIBER(nested_run, struct none)
static const char nested_run_line[] = SLEY__STR(__LINE__);

SLEY_TEST(misuse_nested_run, "LOCAL-16")
{
    for (int own = 0; own < 2; own++) {
        struct bed b, c;
        bed_start(&b);
        bed_start(&c);
        outer_bed = &b;
        inner_bed = own ? &b : &c;
        CHECK_INT(bed_run(&b, &nested_run__type, NULL), ==, 0);
        check_report(&b, text_of("a runtime was driven inside a runtime", "nested_run", nested_run_line, NULL,
                                 "spawn and join tasks; or run, stop and release the other runtime on a thread of its own"));
        CHECK_INT(bed_run(&b, &direct_call__type, NULL), ==, 0); /* the outer one goes on */
        bed_end(&c);
        bed_end(&b);
    }
}

static int destroy_inside(struct none *a)
{
    (void)a;
    struct sley_executor *ex = inner_bed->ex;
    CHECK_RC(ex->ops->fini(ex), -EDEADLK);
    CHECK_RC(ex->ops->stop(ex, 0), -EDEADLK);
    CHECK_RC(ex->ops->turn(ex, 0, NULL), -EDEADLK);
    ex->ops->halt(ex); /* the form that does not wait is fine */
    return 0;
}
SLEY_FIBER(destroy_inside, struct none)

SLEY_TEST(runtime_is_not_destroyed_inside_one_of_its_tasks, "SHUT-11")
{
    struct bed b;
    bed_start(&b);
    inner_bed = &b;
    CHECK_INT(bed_run(&b, &destroy_inside__type, NULL), ==, 0);
#ifdef SLEY_DEBUG
    CHECK_UINT(b.report_count, ==, 3);
    CHECK(strstr(b.reports, "destroy_inside (") != NULL);
#endif
    struct sley_task *t = bed_spawn(&b, &direct_call__type, NULL);
    CHECK_RC(b.ex->ops->run(b.ex, t), -ECANCELED); /* the halt is remembered for the next run that has work */
    CHECK(!sley_task_done(t));
    CHECK_RC(b.ex->ops->run(b.ex, t), 0);
    sley_task_unref(t);
    bed_end(&b);
}

static int close_in_wrong_order(struct none *a)
{
    (void)a;
    struct sley_scope outer, inner;
    CHECK_RC(sley_scope_init(&outer, NULL), 0);
    CHECK_RC(sley_scope_init(&inner, NULL), 0);
    CHECK_RC(sley_scope_fini(&outer), -EINVAL);
    CHECK_RC(sley_sleep(SLEY_MS), 0);
    CHECK_RC(sley_scope_fini(&inner), 0);
    CHECK_RC(sley_scope_fini(&outer), 0);
    return 0;
}
SLEY_FIBER(close_in_wrong_order, struct none)
static const char close_line[] = SLEY__STR(__LINE__);

SLEY_TEST(misuse_scope_closed_out_of_order, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &close_in_wrong_order__type, NULL), ==, 0);
    check_report(&b, text_of("a scope was closed out of order, or by another task", "close_in_wrong_order", close_line, NULL,
                             "scopes close in the reverse order of opening, in the task that opened them"));
    bed_end(&b);
}

static int join_twice(struct none *a)
{
    (void)a;
    struct sley_task *t;
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, direct_call, .frame = {0}), 0);
    CHECK_RC(sley_task_join(t, NULL), 0);
    CHECK_RC(sley_task_join(t, NULL), -EINVAL);
    sley_task_unref(t);
    return 0;
}
SLEY_FIBER(join_twice, struct none)

SLEY_TEST(misuse_joined_twice, "JOIN-02")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &join_twice__type, NULL), ==, 0);
#ifdef SLEY_DEBUG
    CHECK_UINT(b.report_count, ==, 2); /* the child's direct call is the other */
    const char *text = strstr(b.reports, "\n0|");
    CHECK(text != NULL);
    CHECK_STR(text + 1, text_of("a task was joined twice", "direct_call", direct_call_line, NULL, "one task joins it, once"));
#endif
    bed_end(&b);
}

static struct gate *away;
static const char away_site[] = __FILE__ ":" LINE_TEXT;

static int start_for_away(struct none *a)
{
    (void)a;
    struct gate g = {0};
    g.wait.at.site = away_site;
    gate_start(&g, GATE_PLAIN);
    away = &g;
    return sley_await(&g.wait);
}
SLEY_FIBER(start_for_away, struct none)

SLEY_TEST(misuse_plain_thread_awaits_the_node_of_a_task, "")
{
    struct bed b;
    bed_start(&b);
    sley_task_unref(bed_spawn(&b, &start_for_away__type, NULL));
    bed_settle(&b);
    CHECK_RC(sley_await(&away->wait), -EDEADLK);
    check_report(&b, text_of("a plain thread awaits a node that a task has started", NULL, NULL, away_site,
                             "await it in a task of that executor, or pass a message"));
    bed_end(&b);
}

static int await_unstarted(struct none *a)
{
    (void)a;
    struct gate g = {0};
    g.wait.at.site = away_site;
    return sley_await(&g.wait);
}
SLEY_FIBER(await_unstarted, struct none)
static const char unstarted_line[] = SLEY__STR(__LINE__);

SLEY_TEST(misuse_node_awaited_that_was_never_started, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_RC(bed_run(&b, &await_unstarted__type, NULL), -EINVAL);
    check_report(
        &b, text_of("a wait node was awaited that was never started", "await_unstarted", unstarted_line, away_site, "start it first"));
    bed_end(&b);
    struct gate g = {0};
    CHECK_RC(sley_await(&g.wait), -EINVAL);
}

/* ---- what an executor, or another part, does: looked for when a worker goes to sleep ------------------------------------ */

static struct gate *slept_over;
static const char slept_over_site[] = __FILE__ ":" LINE_TEXT;

static int sleep_over(struct none *a)
{
    (void)a;
    struct gate g = {0};
    slept_over = &g;
    g.wait.at.site = slept_over_site;
    return gate_wait(&g, GATE_PLAIN);
}
SLEY_FIBER(sleep_over, struct none)
static const char sleep_over_line[] = SLEY__STR(__LINE__);

/** The node is made done, and nobody woken, for as long as the worker sleeps; then things are put right. */
static int complete_badly(struct none *a)
{
    (void)a;
    const uintptr_t word = atomic_load_explicit(&slept_over->wait.word, memory_order_relaxed);
    atomic_store_explicit(&slept_over->wait.word, (uintptr_t)SLEY__WAIT_DONE, memory_order_relaxed);
    CHECK_RC(sley_sleep(SLEY_MS), 0);
    atomic_store_explicit(&slept_over->wait.word, word, memory_order_relaxed);
    sley_wait_complete(&slept_over->wait, 3);
    return 0;
}
SLEY_FIBER(complete_badly, struct none)

SLEY_TEST(misuse_task_that_sleeps_over_what_is_done, "")
{
    struct bed b;
    int result;
    bed_start(&b);
    struct sley_task *t = bed_spawn(&b, &sleep_over__type, NULL);
    CHECK_INT(bed_run(&b, &complete_badly__type, NULL), ==, 0);
    bed_run_until(&b, t);
    CHECK_RC(sley_task_join(t, &result), 0);
    CHECK_INT(result, ==, 3);
    sley_task_unref(t);
    check_report(&b, text_of("a task sleeps though what it waits for is done", "sleep_over", sleep_over_line, slept_over_site,
                             "complete nodes by sley_wait_complete alone"));
    bed_end(&b);
}

static int nothing(struct none *a)
{
    (void)a;
    return 0;
}
SLEY_FIBER(nothing, struct none)

SLEY_TEST(misuse_worker_that_sleeps_beside_a_ready_task, "")
{
    struct bed b;
    bed_start(&b);
    bed_settle(&b); /* it stays parked between turns */
    (void)sley_sched_unpark(b.sched);
    struct sley_task *t = bed_spawn_home(&b, &nothing__type, NULL);
    CHECK(sley_sched_park(b.sched));
    check_report(&b, text_of("a worker goes to sleep beside a task that is ready", NULL, NULL, NULL,
                             "before sley_sched_park ask sley_sched_ready"));
    bed_run_until(&b, t);
    sley_task_unref(t);
    bed_end(&b);
}

/* ---- what ends the process after the report --------------------------------------------------------------------------- */

#ifdef SLEY_DEBUG

static char *death_text;

static void keep_text(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg;
    (void)snprintf(death_text, 4096, "%u|%s\n", (unsigned)kind, text);
}

/** Runs the task in a process of its own, which is to die of a trap having reported this. */
static void check_death(const struct sley_task_type *type, const char *text)
{
    int status;
    death_text = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK_PTR(death_text, !=, MAP_FAILED);
    const pid_t pid = fork();
    CHECK_INT(pid, >=, 0);
    if (pid == 0) {
        (void)signal(SIGILL, SIG_DFL); /* the sanitizers' handlers print */
        (void)signal(SIGTRAP, SIG_DFL);
        struct sley_local local;
        sley_local_init(&local);
        const struct sley_executor_config config = {.report = keep_text};
        if (local.base.ops->start(&local.base, &config) < 0 || local.base.ops->spawn(&local.base, type, NULL, NULL) < 0) {
            _exit(3);
        }
        (void)local.base.ops->run(&local.base, NULL);
        _exit(4);
    }
    CHECK_INT(waitpid(pid, &status, 0), ==, pid);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGILL || WTERMSIG(status) == SIGTRAP);
    CHECK_STR(death_text, text);
    CHECK_INT(munmap(death_text, 4096), ==, 0);
}

static const char twice_site[] = __FILE__ ":" LINE_TEXT;

static int start_twice(struct none *a)
{
    (void)a;
    struct gate g = {0};
    g.wait.at.site = twice_site;
    gate_start(&g, GATE_PLAIN);
    gate_start(&g, GATE_PLAIN);
    return 0;
}
SLEY_FIBER(start_twice, struct none)
static const char start_twice_line[] = SLEY__STR(__LINE__);

SLEY_TEST(misuse_node_started_twice, "")
{
    check_death(&start_twice__type,
                text_of("a wait node was started while it is armed", "start_twice", start_twice_line, twice_site,
                        "await or sley_wait_fini it before starting it again; zero its memory before the first start"));
}

struct armed {
    struct sley_frame frame;
    struct gate gate;
};

static enum sley_step end_armed(struct armed *f)
{
    SLEY_BEGIN(f);
    f->gate.wait.at.site = twice_site;
    gate_start(&f->gate, GATE_PLAIN);
    SLEY_END(f);
}
SLEY_FRAME(end_armed, struct armed)
static const char end_armed_line[] = SLEY__STR(__LINE__);

SLEY_TEST(misuse_frame_ended_with_a_node_armed, "")
{
    check_death(&end_armed__type, text_of("a frame has ended with a wait node armed", "end_armed", end_armed_line, twice_site,
                                          "SLEY_AWAIT it, or cancel and await it, before SLEY_RETURN"));
}

static int leave_scope_open(struct none *a)
{
    (void)a;
    struct sley_scope sc;
    return sley_scope_init(&sc, NULL);
}
SLEY_FIBER(leave_scope_open, struct none)
static const char leave_open_line[] = SLEY__STR(__LINE__);

SLEY_TEST(misuse_task_ended_with_a_scope_open, "")
{
    check_death(&leave_scope_open__type, text_of("a task has ended with a scope open", "leave_scope_open", leave_open_line, NULL,
                                                 "call sley_scope_fini before the body returns"));
}

#endif

/* ---- who is left at shutdown ------------------------------------------------------------------------------------------ */

static struct gate *firm;
static const char firm_site[] = __FILE__ ":" LINE_TEXT;

static int wait_firmly(struct none *a)
{
    (void)a;
    struct gate g = {0};
    g.wait.at.site = firm_site;
    firm = &g;
    return gate_wait(&g, GATE_FIRM);
}
SLEY_FIBER(wait_firmly, struct none)
static const char wait_firmly_line[] = SLEY__STR(__LINE__);

SLEY_TEST(stop_that_times_out_names_who_is_left_and_goes_on, "SHUT-02 SHUT-07")
{
    struct bed b;
    char text[512];
    bed_start(&b);
    sley_task_unref(bed_spawn(&b, &wait_firmly__type, NULL));
    bed_settle(&b);
    CHECK_RC(b.ex->ops->fini(b.ex), -EBUSY);
    CHECK_RC(b.ex->ops->stop(b.ex, b.now_ns + SLEY_S), -ETIMEDOUT);
    (void)snprintf(text, sizeof text, "2|task wait_firmly (%s:%d) waits for gate.firm at %s\n", __FILE__,
                   (int)strtol(wait_firmly_line, NULL, 10) - 1, firm_site);
    CHECK_UINT(strlen(b.reports), >=, strlen(text));
    b.reports[strlen(text)] = '\0'; /* what follows is where it is in there, see tests/runtime/test_stop_traces.c */
    CHECK_STR(b.reports, text);
    CHECK_UINT(b.report_count, ==, 1);
    CHECK_RC(b.ex->ops->fini(b.ex), -EBUSY); /* nothing that is in use is freed */
    gate_open(&b, firm, 0);
    bed_end(&b);
}
