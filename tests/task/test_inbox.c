/* A sched by itself: its inbox, parking, posts, closing, with a table that counts rings. */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "bed.h"

struct rig {
    struct sley_sched sched;
    SLEY_ATOMIC(unsigned) rings;
    unsigned released;
};

static void rig_ring(struct sley_sched *s)
{
    atomic_fetch_add_explicit(&sley_container_of(s, struct rig, sched)->rings, 1, memory_order_relaxed);
}

static uint64_t rig_now(struct sley_sched *s)
{
    (void)s;
    return 1;
}

static void rig_timer(struct sley_sched *s, struct sley_timer *t)
{
    (void)s, (void)t;
}

static bool rig_disarm(struct sley_sched *s, struct sley_timer *t)
{
    (void)s, (void)t;
    return false;
}

static void rig_release(struct sley_sched *s)
{
    sley_container_of(s, struct rig, sched)->released++;
}

static const struct sley_sched_ops rig_ops = {
    .version = SLEY_SCHED_VERSION,
    .caps = SLEY_SCHED_CAP_HOME,
    .name = "rig",
    .ring = rig_ring,
    .now_ns = rig_now,
    .timer_arm = rig_timer,
    .timer_disarm = rig_disarm,
    .release = rig_release,
};

static void rig_start(struct rig *r)
{
    memset(r, 0, sizeof *r);
    CHECK_RC(sley_sched_init(&r->sched, &rig_ops, &(struct sley_sched_opts){.alloc = harness_alloc()}), 0);
}

struct noted {
    struct sley_post post;
    unsigned number;
};

static unsigned order[64], delivered;

static void deliver(struct sley_post *p)
{
    order[delivered++ % 64] = sley_container_of(p, struct noted, post)->number;
}

SLEY_TEST(incomplete_table_is_refused, "")
{
    struct rig r;
    struct sley_sched_ops ops = rig_ops;
    CHECK_RC(sley_sched_init(NULL, &rig_ops, NULL), -EINVAL);
    CHECK_RC(sley_sched_init(&r.sched, NULL, NULL), -EINVAL);
    ops.ring = NULL;
    CHECK_RC(sley_sched_init(&r.sched, &ops, NULL), -EINVAL);
    ops = rig_ops;
    ops.version = 0;
    CHECK_RC(sley_sched_init(&r.sched, &ops, NULL), -EINVAL);
}

SLEY_TEST(posts_arrive_in_order_and_ring_once_while_parked, "WAKE-16 WAKE-02 EMB-01")
{
    struct rig r;
    struct noted n[10];
    rig_start(&r);
    struct sley_sched *outer = sley_sched_enter(&r.sched);
    CHECK(!sley_sched_drain(&r.sched)); /* nothing to do touches nothing */
    CHECK_UINT(r.rings, ==, 0);
    CHECK(sley_sched_park(&r.sched));
    delivered = 0;
    for (unsigned i = 0; i < 10; i++) {
        n[i] = (struct noted){{.fn = deliver}, i};
        CHECK(sley_sched_post(&r.sched, &n[i].post));
    }
    CHECK_UINT(r.rings, ==, 1);
    sley_sched_unpark(&r.sched);
    CHECK(!sley_sched_park(&r.sched)); /* something is there */
    CHECK(sley_sched_drain(&r.sched));
    CHECK_UINT(delivered, ==, 10);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_UINT(order[i], ==, i);
    }
    CHECK(sley_sched_post(&r.sched, &n[0].post)); /* awake: no ring */
    CHECK_UINT(r.rings, ==, 1);
    CHECK(sley_sched_drain(&r.sched));
    CHECK(sley_sched_park(&r.sched));
    sley_sched_unpark(&r.sched);
    CHECK(sley_sched_park(&r.sched)); /* unpark took it back */
    (void)sley_sched_enter(outer);
    CHECK(sley_sched_fini(&r.sched));
}

static void post_again(struct sley_post *p)
{
    struct noted *n = sley_container_of(p, struct noted, post);
    delivered++;
    if (n->number-- > 0) {
        CHECK(sley_sched_post(sley_sched_current(), p)); /* its memory is its own again when fn runs */
    }
}

SLEY_TEST(post_may_post_itself_again, "")
{
    struct rig r;
    struct noted n = {{.fn = post_again}, 3};
    rig_start(&r);
    delivered = 0;
    struct sley_sched *outer = sley_sched_enter(&r.sched);
    CHECK(sley_sched_post(&r.sched, &n.post));
    for (unsigned i = 1; i <= 4; i++) {
        CHECK(sley_sched_drain(&r.sched));
        CHECK_UINT(delivered, ==, i); /* not in the same drain */
    }
    CHECK(!sley_sched_drain(&r.sched));
    (void)sley_sched_enter(outer);
    CHECK(sley_sched_fini(&r.sched));
}

SLEY_TEST(closed_inbox_refuses_and_what_came_before_is_delivered, "WAKE-09")
{
    struct rig r;
    struct noted n[2] = {{{.fn = deliver}, 0}, {{.fn = deliver}, 1}};
    rig_start(&r);
    delivered = 0;
    CHECK(sley_sched_post(&r.sched, &n[0].post));
    sley_sched_close(&r.sched);
    CHECK_UINT(delivered, ==, 1);
    CHECK(!sley_sched_post(&r.sched, &n[1].post));
    sley_sched_close(&r.sched);
    CHECK_UINT(delivered, ==, 1);
    CHECK(sley_sched_fini(&r.sched));
    CHECK_UINT(r.released, ==, 0);
}

static enum sley_step end_at_once(struct sley_frame *f)
{
    f->result = 3;
    return SLEY_STEP_DONE;
}
static enum sley_step end_resume(struct sley_task *t)
{
    return end_at_once((struct sley_frame *)(void *)(t + 1));
}
static const struct sley_task_type end_type = {
    .resume = end_resume, .args_bytes = sizeof(struct sley_frame), .args_align = 4, .style = SLEY_STYLE_FRAME, .name = "end"};

SLEY_TEST(last_orphan_releases_the_sched, "SHUT-12 WAKE-08")
{
    struct rig r;
    struct sley_task *t[3];
    rig_start(&r);
    struct sley_sched *outer = sley_sched_enter(&r.sched);
    for (int i = 0; i < 3; i++) {
        CHECK_RC(sley_spawn(NULL, &end_type, NULL, NULL, &t[i]), 0);
    }
    CHECK_UINT(sley_sched_run(&r.sched, 100), ==, 3);
    sley_task_unref(t[0]);
    (void)sley_sched_enter(outer);
    CHECK(!sley_sched_fini(&r.sched));
    sley_task_cancel(t[1]);
    CHECK_UINT(r.released, ==, 0);
    sley_task_unref(t[1]);
    CHECK_UINT(r.released, ==, 0);
    int result = 0;
    CHECK_RC(sley_task_join(t[2], &result), 0);
    CHECK_INT(result, ==, 3);
    sley_task_unref(t[2]);
    CHECK_UINT(r.released, ==, 1);
}

/* ---- posters on several threads, an owner that parks ------------------------------------------------------------------ */

enum { POSTERS = 3 };
static struct rig shared;
static unsigned per_poster;
static SLEY_ATOMIC(unsigned) received;

struct counted {
    struct sley_post post;
    SLEY_ATOMIC(bool) free;
};

static void count(struct sley_post *p)
{
    atomic_fetch_add_explicit(&received, 1, memory_order_relaxed);
    atomic_store_explicit(&sley_container_of(p, struct counted, post)->free, true, memory_order_release);
}

static void *poster(void *arg)
{
    (void)arg;
    struct counted c[4] = {{.post.fn = NULL}};
    for (size_t k = 0; k < 4; k++) {
        c[k].post.fn = count;
        atomic_store_explicit(&c[k].free, true, memory_order_relaxed);
    }
    for (unsigned i = 0; i < per_poster; i++) {
        struct counted *mine = &c[i % 4];
        while (!atomic_exchange_explicit(&mine->free, false, memory_order_acquire)) {
            (void)sched_yield();
        }
        CHECK(sley_sched_post(&shared.sched, &mine->post));
    }
    for (size_t k = 0; k < 4; k++) {
        while (!atomic_load_explicit(&c[k].free, memory_order_acquire)) {
            (void)sched_yield();
        }
    }
    return NULL;
}

SLEY_TEST(each_post_beside_parks_is_delivered_once_and_rung_for, "WAKE-16 WAKE-12")
{
    pthread_t threads[POSTERS];
    per_poster = 5000 / harness_slowness(); /* beside load each may cost a slice */
    rig_start(&shared);
    for (int k = 0; k < POSTERS; k++) {
        CHECK_INT(pthread_create(&threads[k], NULL, poster, NULL), ==, 0);
    }
    struct sley_sched *outer = sley_sched_enter(&shared.sched);
    unsigned parks = 0;
    while (atomic_load_explicit(&received, memory_order_relaxed) < POSTERS * per_poster) {
        const unsigned before = atomic_load_explicit(&shared.rings, memory_order_acquire);
        if (sley_sched_park(&shared.sched)) {
            parks++;
            while (atomic_load_explicit(&shared.rings, memory_order_acquire) == before) {
                (void)sched_yield(); /* a lost ring would leave us here */
            }
            sley_sched_unpark(&shared.sched);
        }
        (void)sley_sched_drain(&shared.sched);
    }
    (void)sley_sched_enter(outer);
    for (int k = 0; k < POSTERS; k++) {
        CHECK_INT(pthread_join(threads[k], NULL), ==, 0);
    }
    CHECK_UINT(received, ==, POSTERS * per_poster);
    harness_note("%u posts, %u parks, %u rings", POSTERS * per_poster, parks, shared.rings);
    CHECK(sley_sched_fini(&shared.sched));
}
