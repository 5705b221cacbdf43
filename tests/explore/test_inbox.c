/* The inbox (task/sched.c) and the bell (task/thread.c): posts arrive once, wake who sleeps, end with close. */
#include "rig.h"

static struct rig *rig;
static unsigned arrived, wanted;
static char order[8];

struct letter {
    struct sley_post post;
    char name;
    bool open;
};
static struct letter letters[4];

static void arrive(struct sley_post *p)
{
    EXPLORE_CHECK(arrived < sizeof order);
    order[arrived++] = sley_container_of(p, struct letter, post)->name;
}

static void setup(void)
{
    rig = rig_new();
    arrived = 0;
    wanted = 2;
    memset(order, 0, sizeof order);
    for (unsigned i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        letters[i] = (struct letter){.post.fn = arrive, .name = (char)('A' + i)};
    }
}

static void setup_three(void)
{
    setup();
    wanted = 3;
}

static void post(unsigned i)
{
    letters[i].open = sley_sched_post(&rig->sched, &letters[i].post);
}

static void post_a(void)
{
    post(0);
}

static void post_b(void)
{
    post(1);
}

static void post_c(void)
{
    post(2);
}

static void post_a_and_b(void)
{
    post(0);
    post(1);
}

static bool all_arrived(void)
{
    return arrived == wanted;
}

static void home(void)
{
    rig_run(rig, all_arrived);
}

static void check(void)
{
    const char *a = strchr(order, 'A'), *b = strchr(order, 'B');
    EXPLORE_CHECK(arrived == wanted && a && b);
    EXPLORE_CHECK(letters[0].open && letters[1].open);
    rig_end(rig);
}

static void check_in_order(void)
{
    EXPLORE_CHECK(order[0] == 'A' && order[1] == 'B');
    check();
}

static struct explore_scenario two_posters(void)
{
    return (struct explore_scenario){.setup = setup, .threads = {home, post_a, post_b}, .check = check};
}

EXPLORE_TEST(inbox_posts_arrive_and_wake)
{
    struct explore_scenario s = two_posters();
    explore_exhaust("inbox, two posters", &s);
    s.tso = true;
    explore_exhaust("inbox, two posters", &s);
    const struct explore_scenario ordered = {
        .setup = setup, .threads = {home, post_a_and_b}, .check = check_in_order, .tso = true, .spurious = true};
    explore_exhaust("inbox, one poster, two posts, spurious", &ordered);
}

EXPLORE_TEST(inbox_three_posters)
{
    const struct explore_scenario s = {
        .setup = setup_three, .threads = {home, post_a, post_b, post_c}, .check = check, .preemptions = 2};
    explore_exhaust("inbox, three posters", &s);
}

/* ---- close: whoever was inside has left before the memory goes ------------------------------------------------------- */

static void close_home(void)
{
    (void)sley_sched_enter(&rig->sched);
    (void)sley_sched_drain(&rig->sched);
    (void)sley_sched_park(&rig->sched);
    sley_sched_unpark(&rig->sched);
    (void)sley_sched_enter(NULL);
    sley_sched_close(&rig->sched);
    rig->closed = true; /* a race with who rings now, and looks at it */
}

static void check_closed(void)
{
    EXPLORE_CHECK(arrived == (unsigned)letters[0].open + (unsigned)letters[1].open);
    rig_end(rig);
}

EXPLORE_CASE(inbox_close_waits_for_posters_inside, "SHUT-13")
{
    struct explore_scenario s = {.setup = setup, .threads = {close_home, post_a}, .check = check_closed, .tso = true};
    explore_exhaust("inbox closed, one poster", &s);
    s.threads[2] = post_b;
    s.tso = false;
    explore_exhaust("inbox closed, two posters", &s);
}

/* ---- the bell alone: who rings for something that is in no inbox, as a halt is, is heard, too ------------------------ */

static struct {
    SLEY_ATOMIC(uint32_t) a, b, bell;
} wants;

static void setup_bell(void)
{
    atomic_store_explicit(&wants.a, 0, memory_order_relaxed);
    atomic_store_explicit(&wants.b, 0, memory_order_relaxed);
    atomic_store_explicit(&wants.bell, 0, memory_order_relaxed);
}

static void want_a(void)
{
    atomic_store_explicit(&wants.a, 1, memory_order_relaxed);
    sley_thread_ring(&wants.bell);
}

static void want_b(void)
{
    atomic_store_explicit(&wants.b, 1, memory_order_relaxed);
    sley_thread_ring(&wants.bell);
}

static void listen(void)
{
    while (!atomic_load_explicit(&wants.a, memory_order_relaxed) || !atomic_load_explicit(&wants.b, memory_order_relaxed)) {
        sley_thread_wait(&wants.bell, SLEY_NEVER);
    }
}

static struct explore_scenario bell(void)
{
    return (struct explore_scenario){.setup = setup_bell, .threads = {listen, want_a, want_b}, .tso = true, .spurious = true};
}

EXPLORE_TEST(bell_is_heard)
{
    const struct explore_scenario s = bell();
    explore_exhaust("bell, two that ring", &s);
}

/* ---- planted --------------------------------------------------------------------------------------------------------- */

static void find(const char *name, struct explore_scenario s, struct explore_planted planted, const char *what)
{
    s.planted = &planted;
    explore_find(name, &s, what);
}

EXPLORE_TEST(planted_post_without_cas_is_lost)
{
    find("post by load and store", two_posters(), (struct explore_planted){"sley__inbox_push", EXPLORE_CAS, EXPLORE_SPLIT}, "");
}

EXPLORE_TEST(planted_post_without_release_is_a_race)
{
    find("post relaxed", two_posters(), (struct explore_planted){"sley__inbox_push", EXPLORE_CAS, EXPLORE_RELAX}, "data race");
    find("drain relaxed", two_posters(), (struct explore_planted){"sley_sched_drain", EXPLORE_EXCHANGE, EXPLORE_RELAX}, "data race");
}

EXPLORE_TEST(planted_park_without_cas_loses_a_wake)
{
    find("park by load and store", two_posters(), (struct explore_planted){"sley_sched_park", EXPLORE_CAS, EXPLORE_SPLIT}, "");
}

EXPLORE_TEST(planted_bell_that_a_late_store_resets_loses_a_wake)
{
    find("bell reset by a store", bell(), (struct explore_planted){"sley_thread_wait", EXPLORE_EXCHANGE, EXPLORE_SPLIT},
         "deadlock; a sleeps");
}

EXPLORE_TEST(planted_ring_without_wake_is_a_deadlock)
{
    find("no futex wake", two_posters(), (struct explore_planted){"sley_thread_ring", EXPLORE_FUTEX_WAKE, EXPLORE_DROP},
         "deadlock; a sleeps");
}

EXPLORE_TEST(planted_close_that_does_not_wait_is_found)
{
    const struct explore_scenario s = {.setup = setup, .threads = {close_home, post_a}, .check = check_closed};
    find("close does not acquire", s, (struct explore_planted){"sley_sched_close", EXPLORE_LOAD, EXPLORE_RELAX}, "data race");
    find("inside left relaxed", s, (struct explore_planted){"sley__inbox_push", EXPLORE_SUB, EXPLORE_RELAX}, "data race");
}
