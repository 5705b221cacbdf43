/* Which reactors are homes that can be reached from elsewhere, and by whose inbox.
 *
 * Reactors that have ever been a home are in a list, by address, with the worker that drives them: who is not in the list has gone.
 * A reactor leaves it as the first step of its end, while its worker still takes posts; who has found it there holds the worker's
 * sched until the post is sent. What arrives behind that step is refused: -ENODEV. Where one has been that descriptors have outlived
 * no other is made for a while, so that an address is a name. */
#include "courier.h"

#include <sched.h>

/** A reactor that is, or has been, a home. */
struct home {
    struct sley_reactor *reactor;
    struct sley_sched *worker;
    struct home *next;
};

enum { GRAVES = 64 };

static SLEY_ATOMIC(uint32_t) lock;
static struct home *homes;
static struct grave {
    const void *place;
    uint64_t lost; /* bit n: a connection whose number is n modulo 64 has lost what was received ahead */
} graves[GRAVES];  /* where those were that descriptors have outlived: the last of them */
static uint32_t grave_count;

void *sley__home_alloc(size_t bytes, size_t align)
{
    struct sley_alloc libc;
    return sley_alloc_libc_init(&libc) == 0 ? sley_alloc_zeroed(&libc, bytes, align) : NULL;
}

void sley__home_free(void *block, size_t bytes)
{
    struct sley_alloc libc;
    if (block && sley_alloc_libc_init(&libc) == 0) {
        sley_alloc_put(&libc, block, bytes);
    }
}

/** With the lock. */
static struct home **find(const struct sley_reactor *r)
{
    struct home **at = &homes;
    while (*at && (*at)->reactor != r) {
        at = &(*at)->next;
    }
    return at;
}

/** The worker of a home that has not gone, held; or NULL. This thread's own cannot be asked about by who is away from it: it has gone. */
static struct sley_sched *hold(const struct sley_reactor *r)
{
    sley_spin_lock(&lock);
    struct home *h = *find(r);
    struct sley_sched *worker = h && h->worker != sley__self ? h->worker : NULL;
    if (worker) {
        sley_sched_hold(worker);
    }
    sley_spin_unlock(&lock);
    return worker;
}

/** The same of a home that is a reactor of this very executor, whose workers share tasks; it need not be in the list. */
static struct sley_sched *hold_beside(const struct sley_reactor *r)
{
    const struct sley_sched *s = sley__self;
    const struct sley_group *g = s ? s->group : NULL;
    for (uint32_t i = 0; g && i < g->count; i++) {
        if (g->scheds[i]->reactor == r) {
            sley_sched_hold(g->scheds[i]);
            return g->scheds[i];
        }
    }
    return NULL;
}

struct sley_sched *sley__home_hold(const struct sley_reactor *r)
{
    struct sley_sched *worker = hold_beside(r);
    return worker ? worker : hold(r);
}

bool sley__home_gone(const struct sley_reactor *home)
{
    struct sley_sched *worker = sley__home_hold(home);
    if (worker) {
        sley_sched_unhold(worker);
    }
    return !worker && !sley__home_orphaned(home);
}

void sley__home_begin(struct sley_reactor *r, struct sley_sched *worker)
{
    struct home *mine = sley__home_alloc(sizeof *mine, _Alignof(struct home));
    sley_spin_lock(&lock);
    struct home *h = *find(r); /* of one that has been at this address, and was never ended as it should */
    if (h || mine) {
        if (!h) {
            h = mine;
            mine = NULL;
            h->reactor = r;
            h->next = homes;
            homes = h;
        }
        h->worker = worker;
        r->leave = sley__home_end;
        r->listed = true;
    }
    sley_spin_unlock(&lock);
    sley__home_free(mine, sizeof *mine);
}

/** First step of its end: nobody reaches it any more when this returns, but for what is in its worker's inbox already. */
static void leave(struct sley_reactor *r)
{
    sley_spin_lock(&lock);
    struct home **at = find(r), *h = *at;
    if (h) {
        *at = h->next;
    }
    if (r->fd_count > 0) {
        graves[grave_count++ % GRAVES] = (struct grave){r, 0};
    }
    sley_spin_unlock(&lock);
    while (h && h->worker->group && sley_sched_held(h->worker)) {
        (void)sched_yield(); /* a group's inboxes are closed before this, so that nobody waits for these afterwards */
    }
    sley__home_free(h, sizeof *h);
}

/** Whoever waits here is told, also where the reactor knows nothing of it: in a listener's queue, behind a timer. */
static void end_guests(struct sley_reactor *r)
{
    bool any = true;
    while (any) {
        struct sley__courier *c = sley__courier_next_guest(r, &any);
        if (c) {
            sley_wait_cancel(&c->inner.wait);
            sley__courier_unref(c);
        } else if (any) {
            (void)sched_yield();
            if (r->sched) {
                (void)sley_sched_drain(r->sched); /* those on their way are refused: `ending` is set */
            }
            (void)r->ops->poll(r, 0);
        }
    }
}

/** Its own ops elsewhere end first: who completes them uses this worker's inbox. */
static void end_own(struct sley_reactor *r)
{
    bool any = true;
    while (any) {
        struct sley__courier *c = sley__courier_next_out(r, &any);
        if (c) {
            sley__courier_ask(c);
        } else if (any) {
            (void)sched_yield();
            (void)sley_sched_drain(r->sched);
            if (r->armed_count > 0) {
                (void)r->ops->poll(r, 0); /* what others want from here goes on, or two that end would wait for each other */
            }
        }
    }
}

void sley__home_end(struct sley_reactor *r)
{
    leave(r);
    end_guests(r);
    if (r->sched && !r->sched->group) {
        end_own(r);
    }
}

/** With the lock. NULL: there is none, or no longer. */
static struct grave *find_grave(const void *place)
{
    uint32_t i = 0;
    while (i < GRAVES && graves[i].place != place) {
        i++;
    }
    return i < GRAVES ? &graves[i] : NULL;
}

static bool is_grave(const void *place)
{
    sley_spin_lock(&lock);
    const bool yes = find_grave(place) != NULL;
    sley_spin_unlock(&lock);
    return yes;
}

void sley__home_lost(const struct sley_reactor *r, int number)
{
    sley_spin_lock(&lock);
    struct grave *g = find_grave(r);
    if (g) {
        g->lost |= UINT64_C(1) << (number & 63);
    }
    sley_spin_unlock(&lock);
}

bool sley__home_has_lost(const struct sley_reactor *home, int number)
{
    sley_spin_lock(&lock);
    const struct grave *g = find_grave(home);
    const bool yes = !g || (g->lost >> (number & 63) & 1);
    sley_spin_unlock(&lock);
    return yes;
}

void *sley_reactor_alloc(struct sley_alloc *a, size_t bytes)
{
    void *kept[GRAVES + 1], *block = sley_alloc_zeroed(a, bytes, 64);
    uint32_t n = 0;
    while (block && is_grave(block) && n < GRAVES) {
        kept[n++] = block; /* or it would be offered again */
        block = sley_alloc_zeroed(a, bytes, 64);
    }
    block = block || n == 0 ? block : kept[--n]; /* there is no other place */
    while (n > 0) {
        sley_alloc_put(a, kept[--n], bytes);
    }
    return block;
}

/** Does it go on by itself? What stands still now nobody is to set going while a descriptor of its is closed: its user sees to that. */
bool sley__home_runs(const struct sley_reactor *home)
{
    struct sley_sched *worker = sley__home_hold(home);
    /* relaxed: see above */
    const bool yes = worker && (worker->group || atomic_load_explicit(&worker->driven, memory_order_relaxed));
    if (worker) {
        sley_sched_unhold(worker);
    }
    return yes;
}

void sley__homes_forget(void)
{
    /* relaxed: the child of a fork has one thread; whoever held the lock is not there */
    atomic_store_explicit(&lock, 0, memory_order_relaxed);
    homes = NULL;
    sley__couriers_forget();
}
