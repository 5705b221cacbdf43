/* Handles on other threads (task/task.c, task/join.c): joins and cancels that travel, the last handle of an ended sched. */
#include "rig.h"

static struct rig *rig;
static struct sley_task *task;
static int rc, result;

struct body {
    struct sley_frame frame;
};

static enum sley_step end_at_once(struct body *f)
{
    f->frame.result = 7;
    return SLEY_STEP_DONE;
}
SLEY_FRAME(end_at_once, struct body)

/** Ends when it is cancelled. */
static enum sley_step park(struct body *f)
{
    if (sley__frame_park()) {
        f->frame.result = -ECANCELED;
        return SLEY_STEP_DONE;
    }
    return SLEY_STEP_WAIT;
}
SLEY_FRAME(park, struct body)

static void setup_of(const struct sley_task_type *type)
{
    rc = result = -1;
    rig = rig_new();
    (void)sley_sched_enter(&rig->sched);
    EXPLORE_CHECK(sley_spawn(NULL, type, NULL, NULL, &task) == 0);
    (void)sley_sched_enter(NULL);
}

static void setup_ending(void)
{
    setup_of(&end_at_once__type);
}

static void setup_parking(void)
{
    setup_of(&park__type);
}

static bool none_left(void)
{
    return rig->sched.root->live_count == 0;
}

/** Runs until no task is left, then ends the sched, whoever has handles. */
static void home(void)
{
    rig_run(rig, none_left);
    rig_end(rig);
}

static void join_and_unref(void)
{
    rc = sley_task_join(task, &result);
    sley_task_unref(task);
}

static void check_joined(void)
{
    EXPLORE_CHECK(rc == 0 && result == 7);
}

EXPLORE_CASE(handle_join_from_elsewhere, "JOIN-13")
{
    const struct explore_scenario s = {
        .setup = setup_ending, .threads = {home, join_and_unref}, .check = check_joined, .preemptions = 3};
    explore_exhaust("join from a thread", &s);
}

static void unref(void)
{
    sley_task_unref(task);
}

EXPLORE_TEST(handle_given_back_from_elsewhere)
{
    const struct explore_scenario s = {.setup = setup_ending, .threads = {home, unref}, .tso = true};
    explore_exhaust("handle given back by a thread", &s);
}

static void cancel_join_unref(void)
{
    sley_task_cancel(task);
    join_and_unref();
}

static void check_cancelled(void)
{
    EXPLORE_CHECK(rc == 0 && result == -ECANCELED);
}

EXPLORE_CASE(handle_cancel_and_join_from_elsewhere, "JOIN-14")
{
    const struct explore_scenario s = {
        .setup = setup_parking, .threads = {home, cancel_join_unref}, .check = check_cancelled, .preemptions = 2};
    explore_exhaust("cancel and join from a thread", &s);
}

/* The join itself is cancelled: its stages. */
static void join_cancelled(void)
{
    struct sley_task_join_op op = {0};
    sley_task_join_start(&op, task, &result);
    sley_wait_cancel(&op.wait);
    rc = sley_await(&op.wait);
    sley_task_unref(task);
}

static void check_join_or_not(void)
{
    EXPLORE_CHECK((rc == 0 && result == 7) || (rc == -ECANCELED && result == -1));
}

/* A join that was under way when its task's executor closed was completed by its cancel while home still worked on it. */
EXPLORE_TEST(handle_join_cancelled_on_its_way)
{
    struct explore_scenario s = {.setup = setup_ending, .threads = {home, join_cancelled}, .check = check_join_or_not, .preemptions = 3};
    explore_exhaust("join from a thread, cancelled", &s);
}

EXPLORE_TEST(planted_orphans_counted_by_load_and_store)
{
    struct explore_scenario s = {.setup = setup_ending, .threads = {home, unref}};
    s.planted = &(const struct explore_planted){"sley_sched_fini", EXPLORE_ADD, EXPLORE_SPLIT};
    explore_find("orphans by load and store", &s, "");
    s.planted = &(const struct explore_planted){"sley__orphans_gone", EXPLORE_SUB, EXPLORE_RELAX};
    explore_find("orphans relaxed", &s, "data race");
}

EXPLORE_TEST(planted_stages_without_read_modify_write)
{
    struct explore_scenario s = {.setup = setup_ending, .threads = {home, join_cancelled}, .check = check_join_or_not, .preemptions = 3};
    s.planted = &(const struct explore_planted){"stage_add", EXPLORE_OR, EXPLORE_SPLIT};
    explore_find("stages by load and store", &s, "");
    s.planted = &(const struct explore_planted){"stage_add", EXPLORE_OR, EXPLORE_RELAX};
    explore_find("stages relaxed", &s, "data race");
}
