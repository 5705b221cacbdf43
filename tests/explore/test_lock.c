/* The lock that leans (sync/lock.c, <sley/sync_impl.h>): never two inside, whoever leans, revokes or comes by. */
#include "rig.h"

#include <sley/sync_impl.h>

static struct rig *rig;
static struct sley__lock lock;
static unsigned inside, turns;

static void setup(void)
{
    rig = rig_new();
    inside = turns = 0;
    (void)sley_sched_enter(&rig->sched);
    sley__lock_init_here(&lock); /* leans towards the rig */
    (void)sley_sched_enter(NULL);
}

static void setup_nobody(void)
{
    rig = rig_new();
    inside = turns = 0;
    sley__lock_init(&lock);
}

static void take_turn(void)
{
    const bool home = sley__lock(&lock);
    EXPLORE_CHECK(inside == 0);
    inside = 1; /* a race, should anybody else be here */
    turns++;
    inside = 0;
    sley__unlock(&lock, home);
}

static void owner(void)
{
    (void)sley_sched_enter(&rig->sched);
    take_turn();
    take_turn();
    (void)sley_sched_enter(NULL);
}

static void owner_once(void)
{
    (void)sley_sched_enter(&rig->sched);
    take_turn();
    (void)sley_sched_enter(NULL);
}

static void foreigner(void)
{
    take_turn();
}

static void check_three(void)
{
    EXPLORE_CHECK(turns == 3);
    rig_end(rig);
}

static void check_four(void)
{
    EXPLORE_CHECK(turns == 4);
    rig_end(rig);
}

EXPLORE_TEST(lock_that_leans_lets_one_in)
{
    struct explore_scenario s = {.setup = setup, .threads = {owner, foreigner}, .check = check_three};
    explore_exhaust("lock leaning, one foreigner", &s);
    s.tso = s.barriers = true;
    explore_exhaust("lock leaning, one foreigner", &s);
}

EXPLORE_TEST(lock_that_leans_two_foreigners)
{
    struct explore_scenario s = {.setup = setup, .threads = {owner_once, foreigner, foreigner}, .check = check_three};
    explore_exhaust("lock leaning, two foreigners", &s);
    s.threads[0] = owner;
    s.check = check_four;
    explore_exhaust("lock leaning, two foreigners, the owner twice", &s);
    s.threads[0] = owner_once;
    s.check = check_three;
    s.tso = s.barriers = true;
    explore_exhaust("lock leaning, two foreigners", &s);
}

EXPLORE_TEST(lock_that_leans_from_the_first_visit_on)
{
    struct explore_scenario s = {.setup = setup_nobody, .threads = {owner, foreigner}, .check = check_three};
    explore_exhaust("lock of nobody, one foreigner", &s);
    s.tso = s.barriers = true;
    explore_exhaust("lock of nobody, one foreigner", &s);
}

static void find(const char *name, struct explore_planted planted, const char *what)
{
    const struct explore_scenario s = {
        .setup = setup, .threads = {owner, foreigner}, .check = check_three, .tso = true, .barriers = true, .planted = &planted};
    explore_find(name, &s, what);
}

EXPLORE_TEST(planted_revoke_without_barrier_lets_two_in)
{
    find("no membarrier", (struct explore_planted){"sley__barrier_all", EXPLORE_BARRIER, EXPLORE_DROP}, "");
}

EXPLORE_TEST(planted_relaxed_orders_of_the_lock_are_races)
{
    find("unlock at home relaxed", (struct explore_planted){"sley__unlock_home", EXPLORE_STORE, EXPLORE_RELAX}, "data race");
    find("revoke relaxed", (struct explore_planted){"revoke", EXPLORE_LOAD, EXPLORE_RELAX}, "data race");
    find("release relaxed", (struct explore_planted){"sley__lock_release", EXPLORE_STORE, EXPLORE_RELAX}, "data race");
    find("lock relaxed", (struct explore_planted){"sley__lock_slow", EXPLORE_EXCHANGE, EXPLORE_RELAX}, "data race");
}

EXPLORE_TEST(planted_lock_without_exchange_lets_two_in)
{
    const struct explore_planted planted = {"sley__lock_slow", EXPLORE_EXCHANGE, EXPLORE_SPLIT};
    const struct explore_scenario s = {
        .setup = setup_nobody, .threads = {foreigner, foreigner, owner_once}, .check = check_three, .planted = &planted};
    explore_find("lock by load and store", &s, "");
}
