/* Priorities of the local executor: strict levels, changed while queued; and giving way where queues have no slices. */
#include <stdlib.h>

#include "tests/task/bed.h"

enum { LOG_SIZE = 4096 };

static int log_ids[LOG_SIZE];
static unsigned log_count;

struct noter {
    struct sley_frame frame;
    int id;
};

static enum sley_step note(struct noter *f)
{
    CHECK_UINT(log_count, <, LOG_SIZE);
    log_ids[log_count++] = f->id;
    SLEY_RETURN(f, 0);
}
SLEY_FRAME(note, struct noter)

static void check_log(const int *ids, unsigned count)
{
    CHECK_UINT(log_count, ==, count);
    for (unsigned i = 0; i < count; i++) {
        CHECK_INT(log_ids[i], ==, ids[i]);
    }
    log_count = 0;
}
#define CHECK_LOG(...) check_log((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static void spawn_note(struct sley_task **ret_task, uint32_t level, int id)
{
    CHECK_RC(SLEY_SPAWN_OPTS(ret_task, NULL, (&(struct sley_spawn_opts){.priority = level}), note, .id = id), 0);
}

/* ---- order ----------------------------------------------------------------------------------------------------------- */

static int spawn_mixed(struct none *a)
{
    (void)a;
    CHECK_UINT(sley_priority(), ==, SLEY_PRIORITY_DEFAULT);
    spawn_note(NULL, 1, 10);
    spawn_note(NULL, 3, 30);
    spawn_note(NULL, 8, 80);
    spawn_note(NULL, 3, 31);
    spawn_note(NULL, 0, 11);
    spawn_note(NULL, 8, 81);
    return 0;
}
SLEY_FIBER(spawn_mixed, struct none)

SLEY_TEST(levels_are_served_in_strict_order_each_first_come_first_served, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_UINT(sley_priority(), ==, 0); /* no task */
    CHECK_INT(bed_run(&b, &spawn_mixed__type, NULL), ==, 0);
    bed_run_all(&b);
    CHECK_LOG(80, 81, 30, 31, 10, 11);
    bed_end(&b);
}

static struct gate urgent_gate;

static int wait_then_note(struct none *a)
{
    (void)a;
    CHECK_INT(gate_wait(&urgent_gate, GATE_PLAIN), ==, 1);
    log_ids[log_count++] = 99;
    return 0;
}
SLEY_FIBER(wait_then_note, struct none)

struct opener {
    struct sley_frame frame;
    int id;
};

/* After it has woken the urgent one it goes on to its own end: who runs is not interrupted. */
static enum sley_step open_gate(struct opener *f)
{
    sley_wait_complete(&urgent_gate.wait, 1);
    log_ids[log_count++] = f->id;
    SLEY_RETURN(f, 0);
}
SLEY_FRAME(open_gate, struct opener)

static int spawn_around_opener(struct none *a)
{
    (void)a;
    spawn_note(NULL, 0, 1);
    CHECK_RC(SLEY_SPAWN(NULL, open_gate, .id = 2), 0);
    spawn_note(NULL, 0, 3);
    spawn_note(NULL, 2, 4);
    return 0;
}
SLEY_FIBER(spawn_around_opener, struct none)

static int spawn_urgent_waiter(struct none *a)
{
    (void)a;
    return SLEY_SPAWN_OPTS(NULL, NULL, (&(struct sley_spawn_opts){.priority = 5}), wait_then_note, .none = 0);
}
SLEY_FIBER(spawn_urgent_waiter, struct none)

SLEY_TEST(woken_urgent_task_runs_after_the_running_resume, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &spawn_urgent_waiter__type, NULL), ==, 0);
    bed_settle(&b);
    CHECK_INT(bed_run(&b, &spawn_around_opener__type, NULL), ==, 0);
    bed_run_all(&b);
    CHECK_LOG(4, 1, 2, 99, 3);
    bed_end(&b);
}

/* ---- inheriting ------------------------------------------------------------------------------------------------------ */

static int note_level(struct none *a)
{
    (void)a;
    log_ids[log_count++] = (int)sley_priority();
    return 0;
}
SLEY_FIBER(note_level, struct none)

static int spawn_children(struct none *a)
{
    (void)a;
    CHECK_RC(SLEY_SPAWN(NULL, note_level, .none = 0), 0);
    CHECK_RC(sley_spawn(NULL, &note_level__type, NULL, NULL, NULL), 0);
    CHECK_RC(sley_spawn(NULL, &note_level__type, NULL, &(struct sley_spawn_opts){.priority = 1}, NULL), 0);
    CHECK_RC(sley_task_set_priority(NULL, 4), 0);
    CHECK_UINT(sley_priority(), ==, 4);
    return SLEY_SPAWN(NULL, note_level, .none = 0);
}
SLEY_FIBER(spawn_children, struct none)

static int spawn_at_seven(struct none *a)
{
    (void)a;
    return SLEY_SPAWN_OPTS(NULL, NULL, (&(struct sley_spawn_opts){.priority = 7}), spawn_children, .none = 0);
}
SLEY_FIBER(spawn_at_seven, struct none)

SLEY_TEST(children_begin_with_their_spawners_level, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &spawn_at_seven__type, NULL), ==, 0);
    bed_run_all(&b);
    CHECK_LOG(7, 7, 4, 1);
    CHECK_INT(bed_run(&b, &note_level__type, NULL), ==, 0); /* from outside: the default */
    CHECK_LOG(1);
    bed_end(&b);
}

/* ---- changing while queued ------------------------------------------------------------------------------------------- */

static void set_all(struct sley_task **tasks, const int *levels, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        CHECK_RC(sley_task_set_priority(tasks[i], (uint32_t)levels[i]), 0);
    }
}

static void unref_all(struct sley_task **tasks, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        sley_task_unref(tasks[i]);
    }
}

static int raise_and_lower(struct none *a)
{
    (void)a;
    struct sley_task *t[6];
    for (int i = 0; i < 6; i++) {
        CHECK_RC(SLEY_SPAWN_TASK(&t[i], NULL, note, .id = i), 0);
    }
    CHECK_RC(sley_task_set_priority(t[4], 2), 0); /* from the middle, to the end, of a queue that it was never taken out of */
    CHECK_RC(sley_task_set_priority(t[5], 2), 0); /* the last */
    CHECK_RC(sley_task_set_priority(t[0], 2), 0); /* the first */
    CHECK_RC(sley_task_set_priority(t[0], 2), 0); /* it is there: it keeps its place */
    CHECK_RC(sley_task_set_priority(t[4], 1), 0); /* back, behind 1 2 3 */
    CHECK_RC(sley_task_set_priority(t[2], 8), 0);
    CHECK_RC(sley_task_set_priority(t[4], 3), 0);
    CHECK_RC(sley_task_set_priority(t[4], 1), 0);
    unref_all(t, 6);
    return 0;
}
SLEY_FIBER(raise_and_lower, struct none)

SLEY_TEST(level_changed_while_queued_holds_at_once, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &raise_and_lower__type, NULL), ==, 0);
    bed_run_all(&b);
    CHECK_LOG(2, 5, 0, 1, 3, 4);
    bed_end(&b);
}

enum { MODEL_TASKS = 40, MODEL_ROUNDS = 400 };

/* What a list for each level would do. */
struct model {
    int at[8][MODEL_TASKS];
    int count[8];
};

static void model_move(struct model *m, int id, int from, int to)
{
    int i = 0;
    if (from == to) {
        return;
    }
    while (m->at[from][i] != id) {
        i++;
    }
    memmove(&m->at[from][i], &m->at[from][i + 1], (size_t)(m->count[from] - i - 1) * sizeof(int));
    m->count[from]--;
    m->at[to][m->count[to]++] = id;
}

struct held {
    struct sley_frame frame;
    int id, left;
    int *level; /* what the driver thinks it has */
};

/* Notes itself in each of its resumes: it is queued again and again, by different ways. */
static enum sley_step note_often(struct held *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (; f->left > 0; f->left--) {
        log_ids[log_count++] = f->id;
        CHECK_UINT(sley_priority(), ==, (unsigned)*f->level + 1);
        SLEY_YIELD(f, rc);
    }
    (void)rc;
    SLEY_END(f);
}
SLEY_FRAME(note_often, struct held)

static int shuffle_levels(struct none *a)
{
    (void)a;
    static struct model m;
    static int level[MODEL_TASKS];
    struct sley_task *t[MODEL_TASKS];
    memset(&m, 0, sizeof m);
    CHECK_RC(sley_task_set_priority(NULL, 8), 0);
    for (int i = 0; i < MODEL_TASKS; i++) {
        level[i] = i % 3 ? 0 : (int)harness_rand_below(7);
        const struct sley_spawn_opts opts = {.priority = (uint32_t)level[i] + 1};
        CHECK_RC(SLEY_SPAWN_OPTS(&t[i], NULL, &opts, note_often, .id = i, .left = 2, .level = &level[i]), 0);
        m.at[level[i]][m.count[level[i]]++] = i;
    }
    for (int i = 0; i < MODEL_ROUNDS; i++) {
        const int id = (int)harness_rand_below(MODEL_TASKS), to = (int)harness_rand_below(7);
        model_move(&m, id, level[id], to);
        level[id] = to;
        CHECK_RC(sley_task_set_priority(t[id], (uint32_t)to + 1), 0);
    }
    CHECK_RC(sley_task_set_priority(NULL, 1), 0);
    CHECK_RC(sley_yield(), 0); /* behind all but those of the first level, twice through each of them */
    unsigned at = 0;
    for (int l = 6; l > 0; l--) {
        for (int twice = 0; twice < 2; twice++) {
            for (int i = 0; i < m.count[l]; i++) {
                CHECK_INT(log_ids[at++], ==, m.at[l][i]);
            }
        }
    }
    for (int i = 0; i < m.count[0]; i++) { /* this task stood at their end */
        CHECK_INT(log_ids[at++], ==, m.at[0][i]);
    }
    CHECK_UINT(log_count, ==, at);
    log_count = 0;
    unref_all(t, MODEL_TASKS);
    return 0;
}
SLEY_FIBER(shuffle_levels, struct none)

SLEY_TEST(random_changes_keep_the_order_of_a_model, "")
{
    struct bed b;
    bed_start(&b);
    for (unsigned i = 0; i < 200 / harness_slowness() + 1; i++) {
        CHECK_INT(bed_run(&b, &shuffle_levels__type, NULL), ==, 0);
        bed_run_all(&b);
        log_count = 0;
    }
    bed_end(&b);
}

static struct sley_task *half_spawned;

static int raise_half_spawned(struct none *a)
{
    (void)a;
    CHECK_PTR(half_spawned, !=, NULL);
    CHECK_RC(sley_task_set_priority(half_spawned, 6), 0);
    CHECK_RC(sley_task_set_priority(half_spawned, 3), 0);
    return 0;
}
SLEY_FIBER(raise_half_spawned, struct none)

static int yield_for_an_argument(int id)
{
    CHECK_RC(sley_yield(), 0);
    return id;
}

static int spawn_slowly(struct none *a)
{
    (void)a;
    for (uint32_t level = 1; level <= 2; level++) {
        CHECK_RC(SLEY_SPAWN(NULL, raise_half_spawned, .none = 0), 0);
        const struct sley_spawn_opts opts = {.priority = level};
        CHECK_RC(SLEY_SPAWN_OPTS(&half_spawned, NULL, &opts, note, .id = yield_for_an_argument(3)), 0);
        spawn_note(NULL, 2, 2);
        spawn_note(NULL, 4, 4);
        sley_task_unref(half_spawned);
        CHECK_RC(sley_yield(), 0);
        CHECK_LOG(4, 3, 2);
    }
    return 0;
}
SLEY_FIBER(spawn_slowly, struct none)

SLEY_TEST(level_changed_while_its_arguments_are_made_holds, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &spawn_slowly__type, NULL), ==, 0);
    bed_end(&b);
}

/* ---- starving, and what may not starve ------------------------------------------------------------------------------- */

static unsigned urgent_yields;
static bool post_came;
static struct sley_post post;

static void note_post(struct sley_post *p)
{
    (void)p;
    CHECK_UINT(urgent_yields, <=, 64);
    post_came = true;
}

static int yield_urgently(struct none *a)
{
    (void)a;
    post.fn = note_post;
    CHECK(sley_sched_post(sley_sched_current(), &post));
    const uint64_t timer_ns = sley_now_ns();
    for (urgent_yields = 0; urgent_yields < 1000; urgent_yields++) {
        CHECK_RC(sley_yield(), 0);
        CHECK_UINT(log_count, ==, 0); /* nobody else runs */
    }
    CHECK(post_came);
    CHECK_UINT(sley_now_ns(), ==, timer_ns); /* it never waited */
    return 0;
}
SLEY_FIBER(yield_urgently, struct none)

static int starve(struct none *a)
{
    (void)a;
    spawn_note(NULL, 1, 1);
    return SLEY_SPAWN_OPTS(NULL, NULL, (&(struct sley_spawn_opts){.priority = 2}), yield_urgently, .none = 0);
}
SLEY_FIBER(starve, struct none)

SLEY_TEST(urgent_task_starves_others_but_not_the_inbox, "LOCAL-05")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &starve__type, NULL), ==, 0);
    bed_run_all(&b);
    CHECK_LOG(1);
    bed_end(&b);
}

/* ---- misuse ---------------------------------------------------------------------------------------------------------- */

static int ask_for_what_is_not_there(struct none *a)
{
    (void)a;
    struct sley_task *t;
    const struct sley_queue nowhere = {NULL, 0};
    CHECK_RC(sley_task_set_priority(NULL, 0), -EINVAL);
    CHECK_RC(sley_task_set_priority(NULL, 9), -EINVAL);
    CHECK_RC(sley_spawn(NULL, &note_level__type, NULL, &(struct sley_spawn_opts){.priority = 9}, &t), -EINVAL);
    CHECK_RC(sley_spawn(NULL, &note_level__type, NULL, &(struct sley_spawn_opts){.queue = &nowhere}, &t), -EINVAL);
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, note_level, .none = 0), 0);
    CHECK_RC(sley_task_join(t, NULL), 0);
    CHECK_RC(sley_task_set_priority(t, 5), 0); /* it has ended: nothing happens */
    sley_task_unref(t);
    log_count = 0;
    return 0;
}
SLEY_FIBER(ask_for_what_is_not_there, struct none)

SLEY_TEST(level_that_is_not_there_is_refused, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &ask_for_what_is_not_there__type, NULL), ==, 0);
    struct sley_task *t = bed_spawn(&b, &note_level__type, NULL);
    CHECK_RC(sley_task_set_priority(t, 2), -EINVAL); /* not on its executor's thread */
    CHECK_RC(sley_task_set_priority(NULL, 2), -EINVAL);
    sley_task_unref(t);
    bed_end(&b);
}

/* A handle taken back and forth by a fixed pool: what stands in a level is dropped with the executor, too. */
SLEY_TEST(ended_executor_drops_what_stands_in_any_level, "SHUT-02")
{
    struct bed b;
    bed_start(&b);
    struct sley_task *t[8];
    struct sley_sched *outer = sley_sched_enter(b.sched);
    for (uint32_t i = 0; i < 8; i++) {
        CHECK_RC(sley_spawn(NULL, &note_level__type, NULL, &(struct sley_spawn_opts){.priority = i + 1}, &t[i]), 0);
    }
    set_all(t, (const int[]){8, 7, 6, 5, 4, 3, 2, 1}, 8);
    (void)sley_sched_enter(outer);
    CHECK_RC(b.ex->ops->fini(b.ex), 0);
    unref_all(t, 8);
    CHECK_UINT(log_count, ==, 0);
    CHECK_UINT(harness_alloc_live(), ==, 0);
}

/* ---- giving way ------------------------------------------------------------------------------------------------------ */

static unsigned turns[2];

static int compute_politely(struct noter *a)
{
    for (int i = 0; i < 1280; i++) {
        CHECK_RC(sley_yield_if_needed(), 0);
        if (i % 128 == 127) {
            turns[a->id]++;
            CHECK_UINT(turns[a->id], <=, turns[!a->id] + 1); /* neither is ahead by more than a turn */
        }
    }
    return 0;
}
SLEY_FIBER(compute_politely, struct noter)

struct polite {
    struct sley_frame frame;
    int id, i;
};

static enum sley_step compute_politely_frame(struct polite *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->i = 0; f->i < 1280; f->i++) {
        SLEY_YIELD_IF_NEEDED(f, rc);
        CHECK_RC(rc, 0);
        if (f->i % 128 == 127) {
            turns[f->id]++;
            CHECK_UINT(turns[f->id], <=, turns[!f->id] + 1);
        }
    }
    SLEY_END(f);
}
SLEY_FRAME(compute_politely_frame, struct polite)

SLEY_TEST(task_that_asks_gives_way_after_as_many_questions_as_its_budget, "")
{
    struct bed b;
    bed_start(&b);
    CHECK(!sley_need_preempt()); /* no task */
    CHECK_RC(sley_yield_if_needed(), 0);
    for (int i = 0; i < 2; i++) {
        sley_task_unref(bed_spawn(&b, &compute_politely__type, &(struct noter){.id = i}));
    }
    bed_run_all(&b);
    CHECK_UINT(turns[0] + turns[1], ==, 20);
    memset(turns, 0, sizeof turns);
    for (int i = 0; i < 2; i++) {
        sley_task_unref(bed_spawn(&b, &compute_politely_frame__type, &(struct polite){.id = i}));
    }
    bed_run_all(&b);
    CHECK_UINT(turns[0] + turns[1], ==, 20);
    bed_end(&b);
}

static int compute_until_cancelled(struct none *a)
{
    (void)a;
    int rc;
    while ((rc = sley_yield_if_needed()) == 0) {
    }
    CHECK(sley_need_preempt()); /* and goes on saying so */
    return rc;
}
SLEY_FIBER(compute_until_cancelled, struct none)

static int cancel_a_computer(struct none *a)
{
    (void)a;
    struct sley_task *t;
    int result = 0;
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, compute_until_cancelled, .none = 0), 0);
    CHECK_RC(sley_yield(), 0);
    sley_task_cancel(t);
    CHECK_RC(sley_task_join(t, &result), 0);
    CHECK_INT(result, ==, -ECANCELED);
    sley_task_unref(t);
    return 0;
}
SLEY_FIBER(cancel_a_computer, struct none)

SLEY_TEST(cancelled_task_that_asks_is_told, "")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &cancel_a_computer__type, NULL), ==, 0);
    bed_end(&b);
}
