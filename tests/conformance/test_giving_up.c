/* When the kit gives up a clause that does not end, by whatever it does meanwhile; and what of a broken reactor it survives. */
#include <sley/conformance.h>
#include <sley/reactor_poll.h>

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static struct sley_reactor_ops table;
static int (*poll_well)(struct sley_reactor *self, uint64_t timeout_ns);
static void (*hang)(void);

static int poll_badly(struct sley_reactor *self, uint64_t timeout_ns)
{
    while (hang) {
        hang();
    }
    return poll_well(self, timeout_ns);
}

static int create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    const int rc = sley_reactor_poll2.create(o, ret_reactor);
    if (rc == 0) {
        table = *(*ret_reactor)->ops;
        poll_well = table.poll;
        table.poll = poll_badly;
        (*ret_reactor)->ops = &table;
    }
    return rc;
}

struct found {
    unsigned told;
    enum sley_verdict verdict;
    char why[200];
};

static void note(void *arg, const struct sley_clause *clause, enum sley_verdict verdict, const char *why)
{
    struct found *f = arg;
    (void)clause;
    f->told++;
    f->verdict = verdict;
    (void)strncpy(f->why, why, sizeof f->why - 1);
}

/** Tries one clause, with so much of a processor's time. It has to end so. */
static struct found try_for(void (*how)(void), uint32_t timeout_ms, enum sley_verdict verdict)
{
    static const char *const only[] = {"poll_of_zero_only_looks", NULL};
    static const struct sley_reactor_factory factory = {.version = SLEY_REACTOR_VERSION, .name = "hangs", .create = create};
    struct found f = {0};
    const struct sley_conformance_opts o = {.only = only, .verdict = note, .arg = &f, .timeout_ms = timeout_ms};
    hang = how;
    CHECK_INT(sley_conformance_run_reactor(&factory, &o, NULL), ==, verdict == SLEY_VERDICT_BROKEN);
    CHECK_UINT(f.told, ==, 1);
    if (f.verdict != verdict) {
        FAIL("the verdict is %d: %s", f.verdict, f.why);
    }
    return f;
}

static struct found try_one(void (*how)(void), uint32_t timeout_ms)
{
    return try_for(how, timeout_ms, SLEY_VERDICT_BROKEN);
}

static void spin(void) {}

SLEY_TEST_SECONDS(one_that_spins_is_given_up_by_processor_time, "", 120)
{
    const struct found f = try_one(spin, 100);
    if (strcmp(f.why, "it did not end") != 0) { /* where it hardly gets a processor */
        CHECK_STR(f.why, "it used up its time, and did not end");
    }
}

static void sleep_for_good(void)
{
    (void)poll(NULL, 0, -1);
}

SLEY_TEST_SECONDS(one_that_sleeps_for_good_is_given_up_before_its_time, "", 120)
{
    const struct found f = try_one(sleep_for_good, 60000); /* ten times as much would be the time of this case, and more */
    CHECK_STR(f.why, "it slept, and nothing woke it any more");
}

static void doze(void)
{
    (void)poll(NULL, 0, 5);
}

SLEY_TEST_SECONDS(one_that_wakes_and_sleeps_is_given_up_by_real_time, "", 120)
{
    const struct found f = try_one(doze, harness_slowness() > 1 ? 50 : 200);
    if (strcmp(f.why, "it used up its time, and did not end") != 0) { /* where waking takes a long time of a processor's */
        CHECK_STR(f.why, "it did not end");
    }
}

static void yield(void)
{
    (void)sched_yield();
}

SLEY_TEST_SECONDS(one_that_yields_is_given_up, "", 120)
{
    (void)try_one(yield, harness_slowness() > 1 ? 50 : 200); /* by the one or the other: it depends on who else wants the processor */
}

static void stop(void)
{
    (void)kill(getpid(), SIGSTOP);
}

/** What never gets a processor looks like this: it does not sleep, and uses none. What it has used before is far from its limit. */
SLEY_TEST_SECONDS(one_that_does_not_get_on_is_given_up_by_real_time, "", 120)
{
    const struct found f = try_one(stop, 3000 / harness_slowness()); /* ten times as much is the least of real time */
    CHECK_STR(f.why, "it did not end");
}

/** Sleeps until a child has ended that gets no processor for longer than a run bears with who sleeps. */
static void await_a_late_child(void)
{
    enum { LATE_MS = 4000 };
    const pid_t child = fork();
    if (child == 0) {
        stop();
        _exit(0);
    }
    CHECK_INT(waitpid(child, NULL, WUNTRACED), ==, child);
    const pid_t other = fork();
    if (other == 0) {
        (void)poll(NULL, 0, LATE_MS);
        (void)kill(child, SIGCONT);
        _exit(0);
    }
    CHECK_INT(waitpid(child, NULL, 0), ==, child);
    CHECK_INT(waitpid(other, NULL, 0), ==, other);
    hang = NULL;
}

SLEY_TEST_SECONDS(one_that_waits_for_a_late_child_is_not_given_up, "", 120)
{
    (void)try_for(await_a_late_child, 60000, SLEY_VERDICT_KEPT);
}
