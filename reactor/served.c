/* A reactor that a worker has for itself, where workers share tasks: entered by its worker, mailed to, served by another worker while its
 * own is stuck in a task.
 *
 * Its worker is inside, through the door (sley/group_impl.h), while it polls and while it handles what was mailed; never in a task, but
 * for a moment when one of its own tasks starts something there (sley__mail_send). Another worker comes in for one look, when the worker
 * is not inside. What it does then is done as if by the worker in no task: `sley__served` says so to those that ask whose this is.
 *
 * Ops from tasks come as mail. The worker hears of it by a post of the reactor's own, one at a time; whoever is inside takes it.
 *
 * Nobody waits for the door inside a door, and who serves waits for nothing at all: not for the worker, which may be in poll for good. A
 * look may take what was meant to end the worker's wait: so the worker's next poll does not wait. */
#include "served.h"

#include <sley/drive_impl.h>
#include <sley/file_impl.h>
#include <sley/posts_impl.h>

#include <sched.h>

SLEY__TLS struct sley_reactor *sley__served;

/* ---- the worker's own ------------------------------------------------------------------------------------------------ */

/** As sley_door_enter; where membarrier is not to be had the worker pays for its side itself. */
static bool enter(struct sley_reactor *r)
{
    if (SLEY_LIKELY(r->sched->flags & SLEY__SCHED_BIAS)) {
        return sley_door_enter(&r->box.door);
    }
    /* seq_cst: it comes in before it looks whether somebody else has; pairs with come_in, which does the same the other way round */
    (void)atomic_exchange_explicit(&r->box.door.held, 1, memory_order_seq_cst);
    /* seq_cst: as above; of one who has left it is seen what he did */
    if (!atomic_load_explicit(&r->box.door.seized, memory_order_seq_cst)) {
        return true;
    }
    sley_door_leave(&r->box.door);
    return false;
}

bool sley__door_own(struct sley_reactor *r)
{
    if (!r->box.door.plain || r == sley__served || sley__door_held(r)) {
        return false;
    }
    while (!enter(r)) {
        /* relaxed: a request; whoever has not seen it comes in once more at most */
        atomic_store_explicit(&r->box.door.held, SLEY__DOOR_WANTED, memory_order_relaxed);
        do {
            (void)sched_yield(); /* one look of another worker's */
            /* relaxed: only to see when another try makes sense */
        } while (atomic_load_explicit(&r->box.door.seized, memory_order_relaxed));
    }
    return true;
}

void sley__door_disown(struct sley_reactor *r, bool owned)
{
    if (owned) {
        /* relaxed: see sley_reactor_look */
        atomic_store_explicit(&r->armed_seen, r->armed_count, memory_order_relaxed);
        sley_door_leave(&r->box.door);
    }
}

int sley__served_poll(struct sley_reactor *r, uint64_t timeout_ns)
{
    const bool owned = sley__door_own(r);
    if (r->box.was_served) {
        r->box.was_served = false;
        timeout_ns = 0;
    }
    const int seen = r->ops->poll(r, timeout_ns);
    sley__door_disown(r, owned);
    return seen;
}

/* ---- mail ------------------------------------------------------------------------------------------------------------ */

/** Takes what there is, oldest first: it is called, or refused. */
static void take(struct sley_reactor *r, bool refused)
{
    struct sley_post *first = sley_posts_take(&r->box.mail);
    while (first) {
        struct sley_post *p = first;
        first = p->link; /* before the call: it may be gone after that */
        if (refused) {
            sley_container_of(p, struct sley__mail, post)->refused(p);
        } else {
            p->fn(p);
        }
    }
}

static void mail_arrived(struct sley_post *post)
{
    struct sley_reactor *r = sley_container_of(post, struct sley_reactor, box.mail_post);
    /* acq_rel: before the look; who finds it set still has sent before, and that is seen here */
    (void)atomic_exchange_explicit(&r->box.mail_sent, false, memory_order_acq_rel);
    const bool owned = sley__door_own(r);
    take(r, false);
    sley__door_disown(r, owned);
}

void sley__mail_send(struct sley_reactor *r, struct sley_sched *worker, struct sley__mail *m)
{
    if (!r->box.door.plain) {
        if (!sley_sched_post(worker, &m->post)) {
            m->refused(&m->post);
        }
        return;
    }
    sley_posts_push(&r->box.mail, &m->post);
    /* acq_rel: pairs with mail_arrived: either that finds the mail, or this finds it clear */
    if (!atomic_exchange_explicit(&r->box.mail_sent, true, memory_order_acq_rel) && !sley_sched_post(worker, &r->box.mail_post)) {
        /* acq_rel: as above: of those that have found it set meanwhile the mail is seen here */
        (void)atomic_exchange_explicit(&r->box.mail_sent, false, memory_order_acq_rel);
        take(r, true);
    }
}

/** May what its worker sends itself be called here and now? Nothing overtakes what was sent before. */
static bool has_arrived(const struct sley_reactor *r, const struct sley_sched *worker)
{
    if (worker != sley__self || sley__served) {
        return false;
    }
    /* relaxed: of what this thread has sent, and has not been taken, it sees the last */
    return r->box.door.plain ? atomic_load_explicit(&r->box.mail, memory_order_relaxed) == NULL : !sley_sched_posted(worker);
}

void sley__mail_deliver(struct sley_reactor *r, struct sley_sched *worker, struct sley__mail *m)
{
    const bool inside = has_arrived(r, worker) && sley__inside(r);
    if (!inside && !(has_arrived(r, worker) && enter(r))) {
        sley__mail_send(r, worker, m);
        return;
    }
    struct sley_task *current = worker->current;
    worker->current = NULL;
    m->post.fn(&m->post);
    worker->current = current;
    sley__door_disown(r, !inside);
}

/* ---- others ---------------------------------------------------------------------------------------------------------- */

void sley_reactor_join(struct sley_reactor *r, struct sley_sched *worker)
{
    r->shared = (r->ops->caps & SLEY_REACTOR_CAP_SHARED) != 0;
    r->sched = r->shared ? NULL : worker; /* one worker shares with nobody */
    worker->reactor = r;
    if (!r->shared && worker->group->count > 1) { /* also where nobody can serve: who is inside is to be known */
        r->box.mail_post.fn = mail_arrived;
        r->box.own = sley__door_own;
        sley_door_init(&r->box.door, true);
    }
}

/** Comes in, if nobody is inside, and the worker does not want to be. */
static bool come_in(struct sley_reactor *r)
{
    /* relaxed: it is looked at once more; one who waits for the door would wait for ever if it were taken again and again */
    if (atomic_load_explicit(&r->box.door.held, memory_order_relaxed)) {
        return false;
    }
    /* seq_cst: see enter; what the one before did is seen: pairs with sley_door_yield */
    if (atomic_exchange_explicit(&r->box.door.seized, 1, memory_order_seq_cst)) {
        return false;
    }
    if (r->sched->flags & SLEY__SCHED_BIAS) {
        sley_group_barrier();
    }
    /* seq_cst: as above; pairs with the worker's release of held, too */
    if (!atomic_load_explicit(&r->box.door.held, memory_order_seq_cst)) {
        return true;
    }
    sley_door_yield(&r->box.door);
    return false;
}

void sley_reactor_serve(struct sley_reactor *r)
{
    if (!r || !r->ops->serve) {
        return;
    }
    if (r->shared) {
        (void)r->ops->serve(r);
    } else if (r->box.door.plain && come_in(r)) {
        sley__served = r;
        r->box.served = true;
        take(r, false);
        (void)r->ops->serve(r);
        sley__served = NULL;
        r->box.served = false;
        r->box.was_served = true;
        /* relaxed: see sley_reactor_look */
        atomic_store_explicit(&r->armed_seen, r->armed_count, memory_order_relaxed);
        sley_door_yield(&r->box.door);
    }
}
