/* Fan-out as a user would write it: 100 fetches, 10 at once, the first error cancels the rest, 5 s for all. */
#include "rig.h"

struct body {
    int bytes;
};

/* what the case wants of a fetch */
static struct {
    uint64_t each_ns;
    int failing; /* which one fails; -1: none */
    int running, most, begun;
} fetches;

static int fetch(int number, struct body *ret_body)
{
    fetches.begun++;
    fetches.running++;
    fetches.most = fetches.running > fetches.most ? fetches.running : fetches.most;
    const int rc = sley_sleep(fetches.each_ns);
    fetches.running--;
    if (rc < 0) {
        return rc;
    }
    ret_body->bytes = number;
    return number == fetches.failing ? -ENOENT : 0;
}

struct job {
    int number;
    struct body *out;
};
static int fetch_job(struct job *j)
{
    return fetch(j->number, j->out);
}
SLEY_FIBER(fetch_job, struct job)

static int fetch_all(struct body *out)
{
    struct sley_scope s;
    int rc = sley_scope_init(
        &s, &(struct sley_scope_opts){
                .deadline_ns = sley_after_ns(5 * SLEY_S), .limit = 10, .flags = SLEY_SCOPE_FAIL_FAST, .name = "fetch_all"});
    if (rc < 0) {
        return rc;
    }
    for (int i = 0; i < 100 && rc == 0; i++) {
        rc = sley_scope_slot(&s);
        if (rc == 0) {
            rc = SLEY_SPAWN(&s, fetch_job, .number = i, .out = &out[i]);
        }
    }
    if (rc < 0) {
        sley_scope_cancel(&s);
    }
    const int first = sley_scope_wait(&s);
    const int ended = sley_scope_fini(&s);
    return first < 0 ? first : rc < 0 ? rc : ended;
}

struct fan {
    struct body *out;
};
static int fan(struct fan *a)
{
    const int rc = fetch_all(a->out);
    CHECK_INT(fetches.running, ==, 0); /* a scope never leaves a child behind */
    CHECK(!sley_cancelled());          /* nor its cancellation */
    return rc;
}
SLEY_FIBER(fan, struct fan)

static struct body out[100];

SLEY_TEST(fanout_of_100_runs_ten_at_a_time, "")
{
    uint64_t took;
    fetches.each_ns = 100 * SLEY_MS;
    fetches.failing = -1;
    CHECK_RC(rig_run("none", &fan__type, &(struct fan){out}, &took), 0);
    CHECK_INT(fetches.most, ==, 10);
    CHECK_INT(fetches.begun, ==, 100);
    for (int i = 0; i < 100; i++) {
        CHECK_INT(out[i].bytes, ==, i);
    }
    CHECK_UINT(took, >=, SLEY_S); /* ten rounds of 100 ms, each at most a tick late */
    CHECK_UINT(took, <=, SLEY_S + 10 * SLEY_MS);
}

SLEY_TEST(fanout_ends_with_its_first_error, "")
{
    uint64_t took;
    fetches.each_ns = 100 * SLEY_MS;
    fetches.failing = 17;
    CHECK_RC(rig_run("none", &fan__type, &(struct fan){out}, &took), -ENOENT);
    CHECK_INT(fetches.begun, >=, 18);
    CHECK_INT(fetches.begun, <, 40); /* the second round failed: no third */
    CHECK_UINT(took, <=, 300 * SLEY_MS);
}

SLEY_TEST(fanout_that_takes_too_long_times_out, "")
{
    uint64_t took;
    fetches.each_ns = SLEY_S;
    fetches.failing = -1;
    CHECK_RC(rig_run("none", &fan__type, &(struct fan){out}, &took), -ETIMEDOUT);
    CHECK_UINT(took, >=, 5 * SLEY_S);
    CHECK_UINT(took, <=, 5 * SLEY_S + 5 * SLEY_MS);
}
