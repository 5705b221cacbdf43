/* The generic way of file ops: tried here, waiting for readiness, or a call on another thread; and what becomes of them when they are
 * cancelled, their descriptor is closed, their reactor ends.
 *
 *   TRYING --EAGAIN--> READY (an inner SLEY_IO_POLL) --ready--> TRYING or CALL
 *   TRYING or start --> CALL (a job) --back at home--> ended, or READY
 *
 * Each op is in its home's list from its start to its end. All of this is the home thread's; or, where the home is shared, under its
 * lock, but for the tries themselves: nobody can cancel an op that has not been armed, and one that is armed says `asked`. */
#include "file.h"
#include "op.h"

#include <sley/posts_impl.h>

#include <sched.h>

/* Readiness that is told again and again while the call goes on saying EAGAIN: then the op rests, on another thread, for a moment. */
enum { ROUNDS = 4, REST_NS = 1000000 };

enum step { STEP_TRY, STEP_CALL, STEP_WAIT };

static void go(struct sley_reactor *r, struct sley_file_op *op, enum step step);

/* ---- the list ---------------------------------------------------------------------------------------------------------- */

static void list_add(struct sley_reactor *r, struct sley_file_op *op)
{
    op->prev = NULL;
    op->next = r->files.first;
    if (op->next) {
        op->next->prev = op;
    }
    r->files.first = op;
}

static void list_remove(struct sley_reactor *r, struct sley_file_op *op)
{
    *(op->prev ? &op->prev->next : &r->files.first) = op->next;
    if (op->next) {
        op->next->prev = op->prev;
    }
}

static bool uses(const struct sley_file_op *op, const struct sley_fd *fd)
{
    return op->io.fd == fd || sley__file_to(op) == fd;
}

bool sley__file_used(const struct sley_reactor *r, const struct sley_fd *fd)
{
    const struct sley_file_op *op = r->files.first;
    while (op && !uses(op, fd)) {
        op = op->next;
    }
    return op != NULL;
}

struct sley_file_op *sley__file_unasked(const struct sley_reactor *r, const struct sley_fd *fd)
{
    struct sley_file_op *op = r->files.first;
    while (op && (op->asked || (fd && !uses(op, fd)))) {
        op = op->next;
    }
    return op;
}

static bool closing(const struct sley_file_op *op)
{
    const struct sley_fd *fd = op->io.fd, *to = sley__file_to(op);
    return (fd && (sley__fd_state(fd) & SLEY_FD_CLOSING)) || (to && (sley__fd_state(to) & SLEY_FD_CLOSING));
}

/* ---- ends ---------------------------------------------------------------------------------------------------------------- */

static void end(struct sley_reactor *r, struct sley_file_op *op, int32_t result)
{
    const bool armed = op->armed;
    list_remove(r, op);
    sley__file_release(op);
    sley__file_close_unheard(r, op->io.fd);
    sley__file_close_unheard(r, sley__file_to(op));
    if (op->io.code == SLEY_IO_SEND_ZC && op->a.sent) {
        op->a.sent(op, result);
    }
    result = sley__io_end(&op->io, result);
    if (armed) {
        sley_io_tell(r, &op->io, result);
    } else {
        sley_wait_finish(&op->io.wait, result);
    }
    if (SLEY_UNLIKELY(r->files.closers != NULL)) {
        sley__file_close_next(r);
    }
}

static void arm(struct sley_file_op *op)
{
    if (!op->armed) {
        op->armed = true;
        sley_wait_arm(&op->io.wait);
    }
}

/* ---- waiting for readiness ------------------------------------------------------------------------------------------------ */

/** The inner wait is over: what next? */
static void go_on(struct sley_reactor *r, struct sley_file_op *op, int32_t ready)
{
    op->place = SLEY__FILE_TRYING;
    if (op->asked || closing(op)) {
        end(r, op, -ECANCELED);
    } else if (ready < 0 && ready != -EPERM) { /* EPERM: a file, which is always ready */
        end(r, op, ready);
    } else {
        go(r, op, op->ways & SLEY__DO_TRY ? STEP_TRY : STEP_CALL);
    }
}

static void ready_hook(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct sley_file_op *op = sley_container_of((void *)hook, struct sley_file_op, at.ready.hook);
    struct sley_reactor *r = op->home;
    const int32_t ready = w->result;
    sley_reactor_enter(r);
    go_on(r, op, ready);
    sley_reactor_leave(r);
}

/** Returns: true: it is ready already, as `*ret_ready` says; false: it waits. */
static bool wait_ready(struct sley_reactor *r, struct sley_file_op *op, int32_t *ret_ready)
{
    uint32_t events;
    struct sley_io_op *inner = &op->at.ready.poll;
    struct sley_fd *fd = sley__file_waits_for(op, &events);
    arm(op);
    *inner = (struct sley_io_op){.fd = fd, .len = events, .code = SLEY_IO_POLL};
    sley_wait_begin_always(&inner->wait, op->io.wait.ops);
    if (r->shared) {
        sley_io_mark(inner, r);
    }
    op->place = SLEY__FILE_READY;
    r->ops->submit(r, inner);
    if (sley_wait_done(&inner->wait)) {
        op->place = SLEY__FILE_TRYING;
        *ret_ready = inner->wait.result;
        return true;
    }
    struct sley_wait_hook *hook = (void *)op->at.ready.hook;
    hook->fn = ready_hook;
    sley_wait_hook(&inner->wait, hook);
    return false;
}

/* ---- calls on other threads ----------------------------------------------------------------------------------------------- */

static struct sley_file_op *op_of_job(struct sley_offload_job *job)
{
    return sley_container_of(job, struct sley_file_op, at.call.job);
}

static void call_fn(struct sley_offload_job *job)
{
    struct sley_file_op *op = op_of_job(job);
    op->result = sley__file_call(op);
}

static void rest_fn(struct sley_offload_job *job)
{
    SLEY_ATOMIC(uint32_t) bell = 0;
    sley_thread_wait(&bell, sley_thread_now_ns() + REST_NS);
    op_of_job(job)->result = -EAGAIN;
}

/** At home again. */
static void came_back(struct sley_reactor *r, struct sley_file_op *op)
{
    const int32_t n = op->result;
    op->place = SLEY__FILE_TRYING;
    if (n != -EAGAIN || !(op->ways & SLEY__DO_READY)) {
        end(r, op, n);
    } else if (op->asked || closing(op)) {
        end(r, op, -ECANCELED);
    } else {
        go(r, op, STEP_WAIT);
    }
}

static void posted(struct sley_post *post)
{
    struct sley_file_op *op = sley_container_of(post, struct sley_file_op, at.call.mail.post);
    came_back(op->home, op);
}

/** The home takes no more posts: it is about to end its reactor, which looks here. */
static void strand(struct sley_post *post)
{
    struct sley_reactor *r = sley_container_of(post, struct sley_file_op, at.call.mail.post)->home;
    sley_posts_push(&r->files.stranded, post);
}

/** Thread: any; home, too, when the job was not run. */
static void call_done(struct sley_offload_job *job, int rc)
{
    struct sley_file_op *op = op_of_job(job);
    struct sley_reactor *r = op->home;
    struct sley_sched *s = r->sched;
    if (rc < 0) {
        op->result = rc;
        op->ways = 0; /* -EAGAIN, too, is the last word */
    }
    if (r->shared) {
        sley__reactor_enter(r);
        came_back(r, op);
        sley__reactor_leave(r);
    } else if (s == sley__self && sley__inside(r)) {
        sley_sched_unhold(s);
        came_back(r, op);
    } else {
        op->at.call.mail = (struct sley__mail){.post.fn = posted, .refused = strand};
        sley__mail_send(r, s, &op->at.call.mail);
        sley_sched_unhold(s); /* the last access to home and reactor */
    }
}

static void call(struct sley_reactor *r, struct sley_file_op *op, void (*fn)(struct sley_offload_job *job))
{
    struct sley_offload *pool = sley__file_offload(r);
    if (!pool) {
        end(r, op, -ENOMEM);
        return;
    }
    arm(op);
    op->place = SLEY__FILE_CALL;
    op->at.call.job = (struct sley_offload_job){.fn = fn, .done = call_done, .name = op->io.wait.ops->name};
    if (!r->shared) {
        sley_sched_hold(r->sched);
    }
    pool->ops->submit(pool, &op->at.call.job);
}

/* ---- the way ---------------------------------------------------------------------------------------------------------------- */

/** Tries without the lock: the kernel may take its time. */
static int32_t try_outside(struct sley_reactor *r, struct sley_file_op *op)
{
    int32_t n;
    if (!r->shared) {
        return sley__file_try(op);
    }
    const uint32_t depth = r->depth; /* who aborts has entered before */
    r->depth = 1;
    sley__reactor_leave(r);
    n = sley__file_try(op);
    sley__reactor_enter(r);
    r->depth = depth;
    return n;
}

/** Goes on until the op has ended or waits. */
static void go(struct sley_reactor *r, struct sley_file_op *op, enum step step)
{
    for (int round = 0;; round++) {
        int32_t n;
        if (step == STEP_TRY) {
            n = try_outside(r, op);
            if (n != -EAGAIN) {
                end(r, op, n);
                return;
            }
            step = op->ways & SLEY__DO_READY ? STEP_WAIT : STEP_CALL;
        }
        if (op->asked || closing(op)) {
            end(r, op, -ECANCELED);
            return;
        }
        if (step == STEP_CALL || round == ROUNDS) {
            call(r, op, step == STEP_CALL ? call_fn : rest_fn);
            return;
        }
        if (!wait_ready(r, op, &n)) {
            return;
        }
        if (n < 0 && n != -EPERM) {
            end(r, op, n);
            return;
        }
        step = op->ways & SLEY__DO_TRY ? STEP_TRY : STEP_CALL;
    }
}

void sley__file_ask(struct sley_reactor *r, struct sley_file_op *op)
{
    op->asked = true;
    if (op->place == SLEY__FILE_READY) {
        struct sley_io_op *inner = &op->at.ready.poll;
        if (!r->shared || !sley_io_ended(inner)) {
            r->ops->cancel(r, inner);
        }
    } else if (op->place == SLEY__FILE_CALL) {
        struct sley_offload *pool = sley__file_offload(r);
        pool->ops->cancel(pool, &op->at.call.job);
    }
}

/* ---- the end of a reactor ---------------------------------------------------------------------------------------------------- */

static void collect(struct sley_reactor *r)
{
    struct sley_post *post = sley_posts_take(&r->files.stranded);
    while (post) {
        struct sley_post *next = post->link;
        posted(post);
        post = next;
    }
}

static void ask_all(struct sley_reactor *r)
{
    struct sley_file_op *op;
    while ((op = sley__file_unasked(r, NULL)) != NULL) {
        sley__file_ask(r, op);
    }
}

/** Ends all of them. `ending` is set. */
static void end_all(struct sley_reactor *r)
{
    sley_reactor_enter(r);
    ask_all(r);
    while (r->files.first) {
        sley_reactor_leave(r);
        (void)sched_yield();
        if (!r->shared && r->sched) {
            (void)sley_sched_drain(r->sched);
            collect(r);
        }
        if (sley_reactor_armed(r)) {
            (void)r->ops->poll(r, 0); /* a wait for readiness that was asked to end may need the system's word */
        }
        sley_reactor_enter(r);
        ask_all(r);
    }
    sley_reactor_leave(r);
    sley__helper_end(r);
}

/* ---- in ----------------------------------------------------------------------------------------------------------------------- */

void sley_file_generic(struct sley_reactor *r, struct sley_file_op *op)
{
    op->place = SLEY__FILE_TRYING;
    op->armed = op->asked = false;
    r->files.end = end_all;
    sley__file_choose(op);
    sley__file_hold(op);
    list_add(r, op);
    go(r, op, op->ways & SLEY__DO_FIRST ? STEP_WAIT : op->ways & SLEY__DO_TRY ? STEP_TRY : STEP_CALL);
}
