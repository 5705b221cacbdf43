/* Tasks without a heap: a fixed pool with room for a single one, ended and spawned anew in the same memory. */
#include "bed.h"

struct once {
    struct sley_frame frame;
    unsigned *runs;
    char bulk[700]; /* so that the pool has room for one such task, and not for two */
};

static enum sley_step once(struct once *f)
{
    int rc;
    SLEY_BEGIN(f);
    (*f->runs)++;
    SLEY_YIELD(f, rc);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(once, struct once)

SLEY_TEST(pool_with_room_for_one_task_runs_it_once_per_spawn_in_the_same_memory, "EMB-02")
{
    static _Alignas(64) unsigned char memory[65536];
    struct sley_alloc_pool pool;
    struct bed b;
    unsigned runs = 0;
    const void *where = NULL;
    CHECK_RC(sley_alloc_pool_init(&pool, memory, sizeof memory), 0);
    CHECK_RC(bed_try_start(&b, &pool.base), 0);
    /* take what is left, but for one task */
    void *rest[256];
    size_t taken = 0;
    struct sley_sched *outer = sley_sched_enter(b.sched);
    struct sley_task *t, *second;
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, once, .runs = &runs), 0);
    while (taken < 256 && (rest[taken] = pool.base.ops->alloc(&pool.base, 512, 8)) != NULL) {
        taken++;
    }
    CHECK(taken < 256);
    (void)sley_sched_enter(outer);
    for (unsigned spawn = 1; spawn <= 3; spawn++) {
        outer = sley_sched_enter(b.sched);
        CHECK(where == NULL || where == (const void *)t);
        where = t;
        CHECK_RC(SLEY_SPAWN_TASK(&second, NULL, once, .runs = &runs), -ENOMEM);
        (void)sley_sched_enter(outer);
        CHECK_RC(b.ex->ops->run(b.ex, t), 0);
        CHECK_UINT(runs, ==, spawn);
        /* late wakes: what has ended is not resumed again */
        outer = sley_sched_enter(b.sched);
        sley_task_cancel(t);
        sley_task_cancel(t);
        (void)sley_sched_enter(outer);
        CHECK_RC(b.ex->ops->turn(b.ex, 0, NULL), SLEY_TURN_IDLE);
        CHECK_UINT(runs, ==, spawn);
        outer = sley_sched_enter(b.sched);
        sley_task_unref(t);
        if (spawn < 3) {
            CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, once, .runs = &runs), 0);
        }
        (void)sley_sched_enter(outer);
    }
    while (taken > 0) {
        pool.base.ops->free(&pool.base, rest[--taken], 512);
    }
    CHECK_RC(b.ex->ops->stop(b.ex, SLEY_NEVER), 0);
    CHECK_RC(b.ex->ops->fini(b.ex), 0);
    sley_alloc_fini(&pool.base);
}
