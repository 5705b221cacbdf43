/* What drives a chain of ops: whoever ends the one that it waits for, but never in the middle of somebody's task. */
#include "chain.h"

#include <sley/group_impl.h>
#include <sley/remote_impl.h>

/* Rounds without waiting before others get their turn: of a copy 128 KiB, about what a task's budget lets it move. */
enum { ROUNDS = 32 };

/* In `news`. One at a time drives a chain; who comes meanwhile, on another worker perhaps, leaves word and goes. */
enum {
    DRIVEN = 1, /* somebody drives it: all but `news` is his. Set by whoever then does; cleared when there is nothing to do but wait */
    FIRED = 2,  /* what it waits for is done. Set by the hook, cleared by the driver */
    ASKED = 4,  /* it is to end early */
};

bool sley__chain_asked(const struct sley__chain *c)
{
    /* relaxed: a request, which nothing travels with */
    return (atomic_load_explicit(&c->news, memory_order_relaxed) & ASKED) != 0;
}

/** From here on others may know of it. */
static void arm(struct sley__chain *c)
{
    if (!c->armed) {
        c->armed = true;
        sley_wait_arm(&c->wait);
    }
}

struct sley_wait *sley__chain_end(struct sley__chain *c, int32_t result)
{
    if (c->armed) {
        sley_wait_complete(&c->wait, result);
    } else {
        sley_wait_finish(&c->wait, result);
    }
    return NULL;
}

/** There is nothing to do but wait: true when that has just come to its end. Else the chain is no longer the caller's. */
static bool hand_over(struct sley__chain *c, struct sley_wait *w)
{
    /* acquire: observes what the hook's thread knows of the node; pairs with leave_word */
    uint32_t news = atomic_load_explicit(&c->news, memory_order_acquire);
    for (;;) {
        if (news & FIRED) {
            /* relaxed: only the driver clears it, and it is not set again before the next hook */
            (void)atomic_fetch_and_explicit(&c->news, ~(uint32_t)FIRED, memory_order_relaxed);
            return true;
        }
        if ((news & ASKED) && !c->told) {
            c->told = true;
            sley_wait_cancel(w); /* which may fire the hook, here */
            /* acquire: as above */
            news = atomic_load_explicit(&c->news, memory_order_acquire);
            continue;
        }
        /* release: publishes what the driver has done to the next one; acquire: as above */
        if (atomic_compare_exchange_weak_explicit(&c->news, &news, news & ~(uint32_t)DRIVEN, memory_order_release,
                                                  memory_order_acquire)) {
            return false;
        }
    }
}

/** Tells the driver; true when there is none, and the caller is it. */
static bool leave_word(struct sley__chain *c, uint32_t word)
{
    /* acq_rel: as a driver it observes what the one before has done; else its word is observed by hand_over */
    return !(atomic_fetch_or_explicit(&c->news, word | DRIVEN, memory_order_acq_rel) & DRIVEN);
}

/** May calls on the streams be made from here? */
static bool at_home(const struct sley__chain *c, const struct sley_sched *s)
{
    return s && (s == c->home || (s->group && s->group == c->home->group));
}

static void posted(struct sley_post *post)
{
    struct sley__chain *c = sley_container_of(post, struct sley__chain, post);
    sley__chain_run(c, c->step(c));
}

/** Goes on later, out of whatever this thread is in the middle of. */
static void put_off(struct sley__chain *c)
{
    struct sley_sched *s = sley_sched_current();
    c->post.fn = posted;
    /* never refused while the chain's own task is there. Of workers that share tasks this one may stay in its own for long */
    (void)sley_sched_post_any(at_home(c, s) ? s : c->home, &c->post);
}

void sley__chain_run(struct sley__chain *c, struct sley_wait *w)
{
    for (int rounds = 0; w != NULL;) {
        if (!sley_wait_done(w)) {
            arm(c);
            c->told = false;
            c->waits_for = w;
            sley_wait_hook(w, &c->hook);
            if (!hand_over(c, w)) {
                return;
            }
        }
        if (rounds >= ROUNDS) {
            arm(c);
            put_off(c);
            return;
        }
        rounds += c->weight;
        w = c->step(c); /* NULL: it has ended, and may be gone */
    }
}

void sley__chain_cancel(struct sley_wait *w)
{
    struct sley__chain *c = sley_container_of(w, struct sley__chain, wait);
    if (leave_word(c, ASKED) && hand_over(c, c->waits_for)) {
        put_off(c);
    }
}

static void hook_fired(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct sley__chain *c = sley_container_of(hook, struct sley__chain, hook);
    struct sley_sched *s = sley_sched_current();
    (void)w;
    if (!leave_word(c, FIRED)) {
        return;
    }
    /* relaxed: as in hand_over */
    (void)atomic_fetch_and_explicit(&c->news, ~(uint32_t)FIRED, memory_order_relaxed);
    if (!at_home(c, s) || s->current || sley_reactor_inside()) {
        /* in the middle of somebody else's task, whose cancellation is not ours, and whose stack may be deep; or not a worker; or where
         * what is started is cancelled inside alone, and known to nobody who aborts the stream from outside */
        put_off(c);
    } else {
        sley__chain_run(c, c->step(c));
    }
}

bool sley__chain_begin(struct sley__chain *c, const struct sley_wait_ops *ops, sley__chain_step step)
{
    if (!sley_wait_begin(&c->wait, ops)) {
        return false;
    }
    c->hook.fn = hook_fired;
    c->step = step;
    c->home = sley_sched_current();
    c->armed = c->told = false;
    c->weight = 1;
    /* relaxed: nobody else knows the chain yet */
    atomic_store_explicit(&c->news, DRIVEN, memory_order_relaxed);
    return true;
}
