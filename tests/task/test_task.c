/* A task from spawn to the end of its last handle: who runs it, when its memory and arguments go. */
#include "bed.h"

static unsigned body_count, drop_count;

struct owned {
    struct sley_frame frame;
    int *thing;
    int result;
};

static void owned_drop(void *args)
{
    struct owned *o = args;
    drop_count++;
    CHECK_PTR(o->thing, !=, NULL);
    (*o->thing)--;
}

static enum sley_step owned_frame(struct owned *o)
{
    SLEY_BEGIN(o);
    body_count++;
    (*o->thing)--;
    SLEY_RETURN(o, o->result);
    SLEY_END(o);
}
SLEY_FRAME_DROP(owned_frame, struct owned, owned_drop)

static int owned_fiber(struct owned *o)
{
    body_count++;
    (*o->thing)--;
    return o->result;
}
SLEY_FIBER_STACK(owned_fiber, struct owned, 0, owned_drop)

static const struct sley_task_type *const owned_types[] = {&owned_frame__type, &owned_fiber__type};

SLEY_TEST(never_run_task_is_dropped_once_when_the_executor_goes, "TASK-01")
{
    for (int style = 0; style < 2; style++) {
        for (int where = 0; where < 2; where++) {
            struct bed b;
            int things = 1;
            const struct owned o = {.thing = &things};
            body_count = drop_count = 0;
            bed_start(&b);
            struct sley_task *t = (where ? bed_spawn : bed_spawn_home)(&b, owned_types[style], &o);
            sley_task_unref(t);
            CHECK_RC(b.ex->ops->fini(b.ex), 0);
            CHECK_UINT(body_count, ==, 0);
            CHECK_UINT(drop_count, ==, 1);
            CHECK_INT(things, ==, 0);
            CHECK_UINT(harness_alloc_live(), ==, 0);
        }
    }
}

SLEY_TEST(handle_keeps_an_ended_task_beyond_its_executor, "TASK-02 SHUT-12 WAKE-09")
{
    for (int style = 0; style < 2; style++) {
        for (int where = 0; where < 2; where++) {
            struct bed b;
            int things = 1, result = 0;
            const struct owned o = {.thing = &things, .result = 42};
            bed_start(&b);
            struct sley_task *t = (where ? bed_spawn : bed_spawn_home)(&b, owned_types[style], &o);
            bed_run_all(&b);
            bed_end(&b);
            CHECK_UINT(harness_alloc_live(), >, 0);
            CHECK(sley_task_done(t));
            CHECK_RC(sley_task_result(t, &result), 0);
            CHECK_INT(result, ==, 42);
            CHECK_STR(sley_task_name(t), style ? "owned_fiber" : "owned_frame");
            sley_task_cancel(t); /* a wake that comes too late is nothing */
            sley_task_unref(t);
            CHECK_UINT(harness_alloc_live(), ==, 0);
        }
    }
}

SLEY_TEST(handle_given_back_before_the_executor_goes_frees_the_task, "TASK-02 SHUT-12")
{
    struct bed b;
    int things = 2;
    const struct owned o = {.thing = &things};
    bed_start(&b);
    const size_t before = harness_alloc_live();
    struct sley_task *t = bed_spawn(&b, &owned_frame__type, &o);
    CHECK_UINT(harness_alloc_live(), ==, before + 1);
    bed_run_until(&b, t);
    CHECK_UINT(harness_alloc_live(), ==, before + 1);
    sley_task_unref(t); /* this thread is in no runtime: the request travels */
    bed_settle(&b);
    CHECK_UINT(harness_alloc_live(), ==, before);
    bed_end(&b);
}

SLEY_TEST(task_without_a_handle_is_freed_as_it_ends, "TASK-03")
{
    struct bed b;
    int things = 1;
    const struct owned o = {.thing = &things};
    body_count = 0;
    bed_start(&b);
    const size_t before = harness_alloc_live();
    CHECK_RC(b.ex->ops->spawn(b.ex, &owned_frame__type, &o, NULL), 0);
    CHECK_UINT(harness_alloc_live(), ==, before + 1);
    bed_run_all(&b);
    CHECK_UINT(body_count, ==, 1);
    CHECK_UINT(harness_alloc_live(), ==, before);
    bed_end(&b);
}

SLEY_TEST(unread_result_goes_with_the_handle, "TASK-04 JOIN-04")
{
    struct bed b;
    int things = 1;
    const struct owned o = {.thing = &things, .result = 5};
    bed_start(&b);
    const size_t before = harness_alloc_live();
    struct sley_task *t = bed_spawn(&b, &owned_frame__type, &o);
    bed_run_all(&b);
    CHECK_UINT(harness_alloc_live(), ==, before + 1);
    struct sley_sched *outer = sley_sched_enter(b.sched);
    sley_task_unref(t);
    (void)sley_sched_enter(outer);
    CHECK_UINT(harness_alloc_live(), ==, before); /* at that moment */
    bed_end(&b);
}

struct big {
    char bytes[4096];
};
struct word {
    uint64_t value;
};
struct aligned {
    _Alignas(512) char bytes[512]; /* more than the tops of stacks have */
};
struct nothing {
    char none;
};

static int take_big(struct big *a)
{
    for (size_t i = 0; i < sizeof a->bytes; i++) {
        CHECK_INT(a->bytes[i], ==, (char)(i * 7));
    }
    return 4096;
}
SLEY_FIBER(take_big, struct big)

static int take_word(struct word *a)
{
    return a->value == 0x1122334455667788u ? 8 : -1;
}
SLEY_FIBER(take_word, struct word)

static int take_aligned(struct aligned *a)
{
    CHECK_UINT((uintptr_t)a % 512, ==, 0);
    return a->bytes[127];
}
SLEY_FIBER(take_aligned, struct aligned)

static int take_nothing(void *a)
{
    (void)a;
    return 0;
}
SLEY_FIBER(take_nothing, void)

struct aligned_frame {
    struct sley_frame frame;
    _Alignas(128) char bytes[128];
};

static enum sley_step take_aligned_frame(struct aligned_frame *f)
{
    SLEY_BEGIN(f);
    CHECK_UINT((uintptr_t)f % 128, ==, 0);
    SLEY_RETURN(f, f->bytes[127]);
    SLEY_END(f);
}
SLEY_FRAME(take_aligned_frame, struct aligned_frame)

/* Results are ints here, and what is larger goes through the arguments: those are what keeps its bytes and its alignment. */
SLEY_TEST(arguments_keep_bytes_and_alignment, "TASK-06")
{
    struct bed b;
    struct big big;
    const struct word word = {0x1122334455667788u};
    struct aligned aligned = {.bytes = {[127] = 33}};
    struct aligned_frame frame = {.bytes = {[127] = 44}};
    for (size_t i = 0; i < sizeof big.bytes; i++) {
        big.bytes[i] = (char)(i * 7);
    }
    bed_start(&b);
    CHECK_INT(bed_run(&b, &take_nothing__type, NULL), ==, 0);
    CHECK_INT(bed_run(&b, &take_word__type, &word), ==, 8);
    CHECK_INT(bed_run(&b, &take_big__type, &big), ==, 4096);
    for (int i = 0; i < 8; i++) {
        sley_task_unref(bed_spawn_home(&b, &take_aligned__type, &aligned)); /* each on a stack of its own */
    }
    CHECK_INT(bed_run(&b, &take_aligned__type, &aligned), ==, 33);
    CHECK_INT(bed_run(&b, &take_aligned_frame__type, &frame), ==, 44);
    struct sley_task *t = bed_spawn_home(&b, &take_aligned_frame__type, &frame);
    bed_run_until(&b, t);
    sley_task_unref(t);
    t = bed_spawn_home(&b, &take_aligned__type, &aligned);
    bed_run_until(&b, t);
    bed_end(&b);
    sley_task_unref(t);
}

SLEY_TEST(header_is_one_cache_line_and_a_wake_touches_half_of_it, "TASK-07")
{
    CHECK_UINT(sizeof(struct sley_task), <=, 64);
    CHECK_UINT(sizeof(struct sley_wait), <=, 32);
    CHECK_UINT(offsetof(struct sley_task, link) + sizeof(void *), <=, 32);
    CHECK_UINT(offsetof(struct sley_task, state), <, 32);
    CHECK_UINT(offsetof(struct sley_task, sched), <, 32);
    harness_note("struct sley_task %zu, struct sley_wait %zu, struct sley_scope %zu, struct sley_sched %zu bytes",
                 sizeof(struct sley_task), sizeof(struct sley_wait), sizeof(struct sley_scope), sizeof(struct sley_sched));
}

static unsigned resume_count;

struct yielder {
    struct sley_frame frame;
    int left;
};

static enum sley_step yield_some(struct yielder *f)
{
    int rc;
    resume_count++;
    SLEY_BEGIN(f);
    while (f->left-- > 0) {
        SLEY_YIELD(f, rc);
        CHECK_RC(rc, 0);
    }
    SLEY_END(f);
}
SLEY_FRAME(yield_some, struct yielder)

/* There is no enqueue hook to count with: how often the task is resumed, and how many are queued, say the same. */
SLEY_TEST(spawn_and_two_yields_are_three_resumes, "TASK-08")
{
    struct bed b;
    bed_start(&b);
    resume_count = 0;
    struct sley_task *t = bed_spawn_home(&b, &yield_some__type, &(struct yielder){.left = 2});
    for (unsigned i = 0; i < 3; i++) {
        CHECK_UINT(resume_count, ==, i);
        CHECK_UINT(b.sched->ready_count, ==, 1);
        (void)b.ex->ops->turn(b.ex, 1, NULL);
    }
    CHECK_UINT(resume_count, ==, 3);
    CHECK_UINT(b.sched->ready_count, ==, 0);
    CHECK(sley_task_done(t));
    sley_task_unref(t);
    bed_end(&b);
}

static bool child_ran;

static int child_body(struct nothing *a)
{
    (void)a;
    child_ran = true;
    return 0;
}
SLEY_FIBER(child_body, struct nothing)

static int parent_body(struct nothing *a)
{
    (void)a;
    struct sley_sched *s = sley_sched_current();
    struct sley_task *t;
    int result = -1;
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, child_body, .none = 1), 0);
    CHECK(!child_ran);
    CHECK_UINT(s->ready_count, ==, 1);
    CHECK_UINT(atomic_load_explicit(&s->inbox, memory_order_relaxed), ==, 0); /* no trip through it */
    CHECK_RC(sley_task_join(t, &result), 0);
    CHECK(child_ran);
    sley_task_unref(t);
    return result;
}
SLEY_FIBER(parent_body, struct nothing)

SLEY_TEST(spawn_queues_the_child_at_home_and_does_not_run_it, "TASK-09")
{
    struct bed b;
    bed_start(&b);
    child_ran = false;
    CHECK_INT(bed_run(&b, &parent_body__type, NULL), ==, 0);
    bed_end(&b);
}

static int spawn_many(struct nothing *a)
{
    (void)a;
    const unsigned n = 10000 / harness_slowness();
    int things = (int)n;
    body_count = 0;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    for (unsigned i = 0; i < n; i++) {
        CHECK_RC(SLEY_SPAWN(NULL, owned_frame, .thing = &things), 0);
    }
    CHECK_UINT(sley_sched_current()->ready_count, ==, n);
    CHECK_RC(sley_scope_wait(&sc), 0);
    CHECK_RC(sley_scope_fini(&sc), 0);
    CHECK_UINT(body_count, ==, n);
    CHECK_UINT(sley_sched_current()->ready_count, ==, 0);
    return things;
}
SLEY_FIBER(spawn_many, struct nothing)

SLEY_TEST(ten_thousand_spawns_each_run_once, "TASK-10")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &spawn_many__type, NULL), ==, 0);
    bed_end(&b);
}

struct large_frame {
    struct sley_frame frame;
    char bytes[2000]; /* more than the slab has classes for: each spawn is an allocation */
};

static enum sley_step large_body(struct large_frame *f)
{
    SLEY_BEGIN(f);
    body_count++;
    SLEY_END(f);
}
SLEY_FRAME(large_body, struct large_frame)

static int spawn_until_it_fails(struct nothing *a)
{
    (void)a;
    int i, rc = 0;
    harness_fail_at(26);
    for (i = 0; i < 50 && rc == 0; i++) {
        rc = SLEY_SPAWN(NULL, large_body, .bytes = {0});
    }
    CHECK_RC(rc, -ENOMEM);
    CHECK_INT(i, ==, 26);
    CHECK_UINT(body_count, ==, 0);
    CHECK_RC(SLEY_SPAWN(NULL, large_body, .bytes = {0}), 0);
    return 0;
}
SLEY_FIBER(spawn_until_it_fails, struct nothing)

/* There is no batch spawn; a loop that fails in the middle is the case. */
SLEY_TEST(spawn_that_fails_half_way_leaves_the_others_whole, "TASK-11")
{
    struct bed b;
    bed_start(&b);
    body_count = 0;
    CHECK_INT(bed_run(&b, &spawn_until_it_fails__type, NULL), ==, 0);
    bed_run_all(&b);
    CHECK_UINT(body_count, ==, 26);
    bed_end(&b);
}

static int one_fails(struct nothing *a)
{
    (void)a;
    struct sley_task *bad, *good;
    int things = 2, result = 0;
    const pthread_t self = pthread_self();
    CHECK_RC(SLEY_SPAWN_TASK(&bad, NULL, owned_fiber, .thing = &things, .result = -EIO), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&good, NULL, owned_fiber, .thing = &things, .result = 1), 0);
    CHECK_RC(sley_task_join(bad, &result), 0);
    CHECK_RC(result, -EIO);
    CHECK_RC(sley_task_join(good, &result), 0);
    CHECK_INT(result, ==, 1);
    CHECK(pthread_equal(self, pthread_self()));
    sley_task_unref(bad);
    sley_task_unref(good);
    return 0;
}
SLEY_FIBER(one_fails, struct nothing)

SLEY_TEST(failing_task_leaves_the_others_alone, "TASK-12")
{
    struct bed b;
    bed_start(&b);
    CHECK_INT(bed_run(&b, &one_fails__type, NULL), ==, 0);
    bed_end(&b);
}

/* ---- every combination ---------------------------------------------------------------------------------------------- */

enum moment { NEVER, BEFORE, DURING, AFTER, MOMENTS };

struct combined {
    struct sley_frame frame;
    struct gate gate;
    int result;
};

static enum sley_step combined_frame(struct combined *f)
{
    int rc;
    SLEY_BEGIN(f);
    body_count++;
    SLEY_CALL(f, rc, gate, &f->gate, GATE_PLAIN);
    SLEY_RETURN(f, rc < 0 ? rc : f->result);
    SLEY_END(f);
}
SLEY_FRAME(combined_frame, struct combined)

static struct gate *combined_gate;

static int combined_fiber(struct combined *a)
{
    body_count++;
    struct gate g = {0};
    combined_gate = &g;
    const int rc = gate_wait(&g, GATE_PLAIN);
    return rc < 0 ? rc : a->result;
}
SLEY_FIBER(combined_fiber, struct combined)

static void combine(int style, int where, enum moment unref, enum moment cancel, int result)
{
    struct bed b;
    bed_start(&b);
    body_count = 0;
    const struct combined args = {.result = result};
    const struct sley_task_type *type = style ? &combined_fiber__type : &combined_frame__type;
    struct sley_task *t = (where ? bed_spawn : bed_spawn_home)(&b, type, &args);
    struct sley_task *handle = t;
    if (cancel == BEFORE) {
        sley_task_cancel(handle);
    }
    if (unref == BEFORE) {
        sley_task_unref(handle);
        handle = NULL;
    }
    bed_settle(&b);
    CHECK_UINT(body_count, ==, 1); /* a body always runs */
    struct gate *gate = style ? combined_gate : &((struct combined *)(void *)(t + 1))->gate;
    if (cancel == DURING && handle) {
        sley_task_cancel(handle);
    }
    if (unref == DURING) {
        sley_task_unref(handle);
        handle = NULL;
    }
    bed_settle(&b);
    const bool cancelled = cancel == BEFORE || (cancel == DURING && unref != BEFORE);
    CHECK_UINT(sley_sched_live(b.sched), ==, cancelled ? 0 : 1);
    if (!cancelled) {
        gate_open(&b, gate, 0);
        bed_settle(&b);
    }
    CHECK_UINT(sley_sched_live(b.sched), ==, 0);
    if (handle) {
        int got = 1;
        CHECK_RC(sley_task_result(handle, &got), 0);
        CHECK_RC(got, cancelled ? -ECANCELED : result);
        if (cancel == AFTER) {
            sley_task_cancel(handle);
        }
        if (unref == AFTER) {
            sley_task_unref(handle);
            handle = NULL;
        }
    }
    bed_end(&b);
    sley_task_unref(handle); /* NEVER: after the executor */
    CHECK_UINT(harness_alloc_live(), ==, 0);
}

SLEY_TEST(each_combination_of_handle_cancel_and_end_frees_everything_once, "TASK-13 JOIN-06")
{
    for (int style = 0; style < 2; style++) {
        for (int where = 0; where < 2; where++) {
            for (int unref = NEVER; unref < MOMENTS; unref++) {
                for (int cancel = NEVER; cancel < MOMENTS; cancel++) {
                    combine(style, where, (enum moment)unref, (enum moment)cancel, 3);
                    combine(style, where, (enum moment)unref, (enum moment)cancel, -EIO);
                }
            }
        }
    }
}

struct adder {
    int value, times;
};
static int sum;
static char order[64];

static int add_up(struct adder *a)
{
    for (int i = 0; i < a->times; i++) {
        sum += a->value;
        const size_t len = strlen(order);
        order[len] = (char)('0' + a->times);
        CHECK_RC(sley_yield(), 0);
    }
    return 0;
}
SLEY_FIBER(add_up, struct adder)

SLEY_TEST(three_fibers_alternate_in_spawn_order, "TASK-14")
{
    struct bed b;
    bed_start(&b);
    sum = 0;
    memset(order, 0, sizeof order);
    sley_task_unref(bed_spawn(&b, &add_up__type, &(struct adder){7, 3}));
    sley_task_unref(bed_spawn(&b, &add_up__type, &(struct adder){11, 1}));
    sley_task_unref(bed_spawn(&b, &add_up__type, &(struct adder){5, 2}));
    bed_run_all(&b);
    CHECK_INT(sum, ==, 42);
    CHECK_STR(order, "312323");
    bed_end(&b);
}

SLEY_TEST(task_that_has_just_ended_leaves_no_trace, "TASK-15")
{
    struct bed b;
    int things = 3;
    bed_start(&b);
    const size_t before = harness_alloc_live();
    for (int i = 0; i < 3; i++) {
        const struct owned o = {.thing = &things, .result = i};
        CHECK_INT(bed_run(&b, owned_types[i % 2], &o), ==, i);
    }
    bed_settle(&b);
    CHECK_UINT(sley_sched_live(b.sched), ==, 0);
    CHECK_UINT(b.sched->ready_count, ==, 0);
    CHECK_UINT(harness_alloc_live(), ==, before);
    bed_end(&b);
}

SLEY_TEST(spawn_without_an_executor_fails_and_the_arguments_stay, "TASK-16 SHUT-09")
{
    struct bed b;
    int things = 1;
    const struct owned o = {.thing = &things};
    struct sley_task *t = NULL;
    drop_count = body_count = 0;
    CHECK_RC(sley_spawn(NULL, &owned_frame__type, &o, NULL, &t), -ESRCH);
    CHECK_RC(SLEY_SPAWN(NULL, owned_frame, .thing = &things), -ESRCH);
    CHECK_RC(sley_spawn(NULL, NULL, NULL, NULL, NULL), -EINVAL);
    bed_start(&b);
    CHECK_RC(b.ex->ops->stop(b.ex, SLEY_NEVER), 0);
    CHECK_RC(b.ex->ops->spawn(b.ex, &owned_frame__type, &o, &t), -ESHUTDOWN);
    CHECK_RC(b.ex->ops->fini(b.ex), 0);
    CHECK_RC(b.ex->ops->spawn(b.ex, &owned_frame__type, &o, &t), -ESHUTDOWN);
    CHECK_PTR(t, ==, NULL);
    CHECK_UINT(drop_count + body_count, ==, 0);
    CHECK_INT(things, ==, 1);
}

/* ---- arguments that are evaluated between making and queueing -------------------------------------------------------- */

static struct sley_scope *shared_scope;

static int cancel_and_answer(void)
{
    sley_scope_cancel(shared_scope);
    CHECK_RC(sley_yield(), -ECANCELED);
    return 3;
}

static int count_value(struct word *a)
{
    body_count += (unsigned)a->value;
    return sley_yield();
}
SLEY_FIBER(count_value, struct word)

static int spawn_and_cancel(struct nothing *a)
{
    (void)a;
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    shared_scope = &sc;
    CHECK_RC(SLEY_SPAWN(NULL, count_value, .value = 10), 0);
    CHECK_RC(SLEY_SPAWN(NULL, count_value, .value = (uint64_t)cancel_and_answer()), 0);
    CHECK_RC(SLEY_SPAWN(NULL, count_value, .value = 100), 0);
    CHECK_RC(sley_scope_wait(&sc), -ECANCELED);
    return sley_scope_fini(&sc);
}
SLEY_FIBER(spawn_and_cancel, struct nothing)

SLEY_TEST(regress_spawn_cancelled_while_its_arguments_wait, "")
{
    struct bed b;
    bed_start(&b);
    body_count = 0;
    CHECK_INT(bed_run(&b, &spawn_and_cancel__type, NULL), ==, 0);
    CHECK_UINT(body_count, ==, 113); /* each once, with its own arguments */
    bed_end(&b);
}
