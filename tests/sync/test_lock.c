/* The biased lock: who claims it, and that nobody is inside together with somebody else, whenever the bias is revoked. */
#include <stdatomic.h>

#include "rig.h"
#include "sync/lock.h"
#include "task/bias.h"

static uintptr_t owner_of(struct sley__lock *l)
{
    return atomic_load_explicit(&l->owner, memory_order_relaxed);
}

static void once(struct sley__lock *l)
{
    sley__unlock(l, sley__lock(l));
}

static void *once_elsewhere(void *arg)
{
    CHECK(!sley__lock(arg));
    sley__unlock(arg, false);
    return NULL;
}

static void elsewhere(struct sley__lock *l)
{
    pthread_t t;
    rig_thread(&t, once_elsewhere, l);
    rig_join(t);
}

SLEY_TEST(lock_made_here_leans_here_at_once_until_somebody_comes, "")
{
    struct sley__lock l;
    struct rig r;
    sley__lock_init_here(&l); /* a plain thread claims nothing */
    CHECK_UINT(owner_of(&l), ==, SLEY__LOCK_NOBODY);
    rig_init(&r);
    sley__lock_init_here(&l);
    const bool leans = (r.sched.flags & SLEY__SCHED_BIAS) != 0;
    CHECK_UINT(owner_of(&l), ==, leans ? (uintptr_t)&r.sched : (uintptr_t)SLEY__LOCK_NOBODY);
    CHECK_INT(sley__lock(&l), ==, leans);
    sley__unlock(&l, leans);
    elsewhere(&l);
    CHECK_INT(sley__lock(&l), ==, false);
    sley__unlock(&l, false);
    CHECK_UINT(owner_of(&l), ==, leans ? (uintptr_t)SLEY__LOCK_SHARED : (uintptr_t)SLEY__LOCK_NOBODY);
    rig_fini(&r);
}

SLEY_TEST(lock_leans_towards_the_first_sched_until_somebody_comes, "")
{
    struct sley__lock l;
    struct rig r;
    sley__lock_init(&l);
    once(&l); /* a plain thread claims nothing */
    elsewhere(&l);
    CHECK_UINT(owner_of(&l), ==, SLEY__LOCK_NOBODY);
    rig_init(&r);
    CHECK_INT((r.sched.flags & SLEY__SCHED_BIAS) != 0, ==, sley__bias_register());
    if (!(r.sched.flags & SLEY__SCHED_BIAS)) {
        once(&l);
        CHECK_UINT(owner_of(&l), ==, SLEY__LOCK_NOBODY);
        rig_fini(&r);
        return;
    }
    CHECK(!sley__lock(&l)); /* the first time it claims */
    sley__unlock(&l, false);
    CHECK_UINT(owner_of(&l), ==, (uintptr_t)&r.sched);
    CHECK(sley__lock(&l));
    CHECK_UINT(atomic_load_explicit(&l.word, memory_order_relaxed), ==, 0);
    sley__unlock(&l, true);
    elsewhere(&l);
    CHECK_UINT(owner_of(&l), ==, SLEY__LOCK_SHARED);
    CHECK(!sley__lock(&l)); /* for good */
    sley__unlock(&l, false);
    CHECK_UINT(owner_of(&l), ==, SLEY__LOCK_SHARED);
    rig_fini(&r);
}

SLEY_TEST(lock_of_another_sched_on_the_same_thread_is_revoked, "")
{
    struct sley__lock l;
    struct rig a, b;
    sley__lock_init(&l);
    rig_init(&a);
    once(&l);
    rig_init(&b);
    CHECK(!sley__lock(&l));
    sley__unlock(&l, false);
    CHECK_UINT(owner_of(&l), ==, b.sched.flags & SLEY__SCHED_BIAS ? SLEY__LOCK_SHARED : SLEY__LOCK_NOBODY);
    rig_fini(&b);
    (void)sley_sched_enter(&a.sched);
    once(&l);
    rig_fini(&a);
}

/* ---- the race -------------------------------------------------------------------------------------------------- */

enum { FOREIGN = 2 };

struct race {
    struct sley__lock lock;
    unsigned long inside; /* plain: both inside at once lose counts, and TSan sees it */
    unsigned long mirror;
    _Atomic unsigned round, ready;
    unsigned rounds, visits;
};

static void visit(struct race *g)
{
    const bool home = sley__lock(&g->lock);
    const unsigned long now = g->inside + 1;
    g->inside = now;
    __asm__ volatile("" ::: "memory");
    CHECK_UINT(g->mirror + 1, ==, now);
    g->mirror = now;
    __asm__ volatile("" ::: "memory");
    CHECK_UINT(g->inside, ==, now);
    sley__unlock(&g->lock, home);
}

static void *foreign(void *arg)
{
    struct race *g = arg;
    for (unsigned i = 1; i <= g->rounds; i++) {
        while (atomic_load_explicit(&g->round, memory_order_acquire) != i) {
            sched_yield();
        }
        rig_dawdle(2000);
        for (unsigned v = 0; v < g->visits; v++) {
            visit(g);
        }
        atomic_fetch_add_explicit(&g->ready, 1, memory_order_acq_rel);
    }
    return NULL;
}

/** Home hammers a lock that leans towards it; in each round, with a new lock, two others come in the middle. */
SLEY_TEST_SECONDS(lock_revoked_under_load_lets_nobody_in_twice, "", 120)
{
    struct race g = {.rounds = 1500 / harness_slowness(), .visits = 3};
    struct rig r;
    pthread_t t[FOREIGN];
    unsigned long by_home = 0;
    rig_init(&r);
    for (unsigned i = 0; i < FOREIGN; i++) {
        rig_thread(&t[i], foreign, &g);
    }
    for (unsigned i = 1; i <= g.rounds; i++) {
        unsigned long mine = 0;
        sley__lock_init(&g.lock);
        g.inside = 0;
        g.mirror = 0;
        for (; mine < 3; mine++) {
            visit(&g);
        }
        atomic_store_explicit(&g.ready, 0, memory_order_relaxed);
        atomic_store_explicit(&g.round, i, memory_order_release);
        while (atomic_load_explicit(&g.ready, memory_order_acquire) != FOREIGN) {
            for (unsigned n = 0; n < 50; n++, mine++) {
                visit(&g);
            }
            if (mine % 5000 < 50) {
                sched_yield(); /* for machines with fewer processors than threads */
            }
        }
        CHECK_UINT(g.inside, ==, mine + FOREIGN * g.visits);
        CHECK_UINT(g.mirror, ==, g.inside);
        CHECK_UINT(atomic_load_explicit(&g.lock.held, memory_order_relaxed), ==, 0);
        CHECK_UINT(owner_of(&g.lock), ==, r.sched.flags & SLEY__SCHED_BIAS ? SLEY__LOCK_SHARED : SLEY__LOCK_NOBODY);
        by_home += mine;
    }
    for (unsigned i = 0; i < FOREIGN; i++) {
        rig_join(t[i]);
    }
    harness_note("%u revocations against %lu visits at home", g.rounds, by_home);
    rig_fini(&r);
}
