/* Every single allocation refused in turn: start, spawn in both styles and from everywhere, run, stop, end. */
#include "bed.h"

static unsigned bodies, drops;
static int seen_failures;

struct framed {
    struct sley_frame frame;
    struct sley_timer timer;
    char bytes[200];
};

static void drop(void *args)
{
    (void)args;
    drops++;
}

static enum sley_step framed(struct framed *f)
{
    int rc;
    SLEY_BEGIN(f);
    bodies++;
    SLEY_CALL(f, rc, sley_sleep, &f->timer, SLEY_MS);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME_DROP(framed, struct framed, drop)

struct large {
    struct sley_frame frame;
    char bytes[3000];
};

static enum sley_step large(struct large *f)
{
    SLEY_BEGIN(f);
    bodies++;
    SLEY_END(f);
}
SLEY_FRAME(large, struct large)

static int fibrous(struct none *a)
{
    (void)a;
    bodies++;
    return sley_sleep(SLEY_MS);
}
SLEY_FIBER_STACK(fibrous, struct none, 0, drop)

/** Spawns one of each; every failure is -ENOMEM, and counted. */
static int spawn_all(int *failures)
{
    struct sley_scope sc;
    CHECK_RC(sley_scope_init(&sc, NULL), 0);
    for (int i = 0; i < 3; i++) {
        const int rc[] = {
            SLEY_SPAWN(NULL, framed, .bytes = {1}),
            SLEY_SPAWN(NULL, large, .bytes = {1}),
            SLEY_SPAWN(NULL, fibrous, .none = 1),
        };
        for (size_t k = 0; k < 3; k++) {
            CHECK(rc[k] == 0 || rc[k] == -ENOMEM);
            *failures += rc[k] != 0;
        }
    }
    CHECK_RC(sley_scope_wait(&sc), 0);
    return sley_scope_fini(&sc);
}

static int spawn_all_fiber(int **failures)
{
    return spawn_all(*failures);
}
SLEY_FIBER(spawn_all_fiber, int *)

static void one_life(void)
{
    struct bed b;
    int failures = 0, *pfailures = &failures, spawned = 0;
    bodies = drops = 0;
    const int rc = bed_try_start(&b, harness_alloc());
    if (rc < 0) {
        CHECK_RC(rc, -ENOMEM);
        CHECK(harness_alloc_refused());
        return;
    }
    struct sley_task *handles[3] = {NULL, NULL, NULL};
    const struct sley_task_type *const types[3] = {&framed__type, &large__type, &fibrous__type};
    for (size_t k = 0; k < 3; k++) { /* from elsewhere, with handles */
        const int r = b.ex->ops->spawn(b.ex, types[k], NULL, &handles[k]);
        CHECK(r == 0 || (r == -ENOMEM && handles[k] == NULL));
        spawned += r == 0;
        failures += r != 0;
    }
    const int main_rc = b.ex->ops->spawn(b.ex, &spawn_all_fiber__type, &pfailures, NULL);
    CHECK(main_rc == 0 || main_rc == -ENOMEM);
    failures += main_rc != 0;
    bed_run_all(&b);
    sley_task_unref(handles[0]);
    CHECK_UINT(bodies, ==, (unsigned)(spawned + (main_rc == 0 ? 9 - (failures - (3 - spawned)) : 0)));
    const int late = b.ex->ops->spawn(b.ex, &framed__type, NULL, NULL); /* never runs */
    failures += late != 0;
    CHECK_INT(failures, <=, harness_alloc_refused() ? 1 : 0); /* none where the slab asks again for less */
    seen_failures += failures;
    CHECK_RC(b.ex->ops->fini(b.ex), 0);
    CHECK_UINT(drops, ==, late == 0 ? 1 : 0);
    sley_task_unref(handles[1]);
    sley_task_unref(handles[2]);
}

SLEY_TEST(each_allocation_refused_in_a_runtime_s_life, "SHUT-01 TASK-11")
{
    HARNESS_SWEEP_ALLOC(points, 200)
    {
        one_life();
    }
    CHECK_UINT(points, >=, 8);
    CHECK_INT(seen_failures, >=, 3);
    harness_note("%zu allocations refused in turn", points);
}

/* ---- a fixed pool: no heap, one thread at a time ---------------------------------------------------------------------- */

static _Alignas(64) char memory[64 * 1024];

SLEY_TEST(runtime_over_a_fixed_pool_of_every_size, "SHUT-01 EMB-03")
{
    bool enough = false;
    size_t needed = 0;
    for (size_t bytes = 256; bytes <= sizeof memory; bytes += 512) {
        struct sley_alloc_pool pool;
        struct bed b;
        CHECK_RC(sley_alloc_pool_init(&pool, memory, bytes), 0);
        int rc = bed_try_start(&b, &pool.base);
        if (rc < 0) {
            CHECK_RC(rc, -ENOMEM);
            CHECK(!enough);
        } else {
            struct sley_task *t = NULL;
            bodies = 0;
            rc = b.ex->ops->spawn(b.ex, &framed__type, NULL, &t);
            CHECK(rc == 0 || (rc == -ENOMEM && !enough));
            if (rc == 0) {
                bed_run_until(&b, t);
                CHECK_UINT(bodies, ==, 1);
                sley_task_unref(t);
                needed = enough ? needed : bytes;
                enough = true;
            }
            CHECK_RC(b.ex->ops->stop(b.ex, SLEY_NEVER), 0);
            CHECK_RC(b.ex->ops->fini(b.ex), 0);
        }
        CHECK_UINT(pool.used_bytes, ==, 0);
        CHECK_UINT(pool.refused_count, ==, 0);
        sley_alloc_fini(&pool.base);
    }
    CHECK(enough);
    harness_note("a local executor and one task fit into %zu bytes", needed);
}

/* Descriptors and mappings are not allocations: a fiber whose stack the kernel refuses is -ENOMEM, too. */
static int huge_stack(struct none *a)
{
    (void)a;
    return 0;
}
SLEY_FIBER_STACK(huge_stack, struct none, 1u << 31, drop)

SLEY_TEST(stack_that_cannot_be_had_is_enomem, "SHUT-01")
{
    struct bed b;
    bed_start(&b);
    CHECK_RC(b.ex->ops->spawn(b.ex, &huge_stack__type, NULL, NULL), -ENOMEM);
    struct sley_sched *outer = sley_sched_enter(b.sched);
    CHECK_RC(sley_spawn(NULL, &huge_stack__type, NULL, NULL, NULL), -ENOMEM);
    (void)sley_sched_enter(outer);
    bed_end(&b);
    CHECK_UINT(drops, ==, 0);
}
