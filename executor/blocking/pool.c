/* Pools: threads that come and go, and how a pool ends. */
#include "pool.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A thread that spins this long for the next job burns about what a sleep and a wake cost both sides. */
#define SPIN_NS (5 * SLEY_US)

/** The pool whose thread this is. */
static SLEY__TLS struct sley_blocking_pool *thread_pool;

bool sley__pool_inside(const struct sley_blocking_pool *p)
{
    return thread_pool == p;
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

void sley__pool_free_job(struct sley_blocking_pool *p, struct sley__blocking_job *job)
{
    if (job->copied_bytes > 0) {
        sley_alloc_put(p->alloc, job, job->copied_bytes);
    }
}

void sley__pool_refuse(struct sley_blocking_pool *p, struct sley__blocking_job *list, int32_t verdict)
{
    while (list) {
        struct sley__blocking_job *job = list;
        struct sley_blocking_op *op = job->op;
        list = job->next; /* once completed, the op is gone, and the job with it */
        sley__pool_free_job(p, job);
        if (op) {
            sley_wait_complete(&op->wait, verdict);
        }
    }
}

static void run(struct sley_blocking_pool *p, struct sley__blocking_job *job)
{
    struct sley_blocking_op *op;
    sley__job_cancelled = &job->cancelled;
    const int result = job->fn(job->arg);
    sley__job_cancelled = NULL;
    if (job->copied_bytes == 0) {
        op = job->op;
    } else {
        sley__queue_lock(&p->queue);
        op = job->op; /* NULL when it was abandoned; from here on it cannot be any more */
        if (op) {
            op->at = NULL;
        }
        sley__queue_unlock(&p->queue);
        sley__pool_free_job(p, job);
    }
    if (op) {
        if (op->ret_result) {
            *op->ret_result = result;
        }
        sley_wait_complete(&op->wait, 0);
    }
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

void sley__pool_leave(struct sley_blocking_pool *p, struct sley__blocking_call call)
{
    sley__queue_unlock(&p->queue);
    if (call.thread) {
        sley__queue_ring(call.thread);
    } else if (call.make) {
        (void)sley__pool_make_thread(p);
    }
}

static void list_thread(struct sley__blocking_queue *q, struct sley__blocking_thread *t)
{
    t->next = q->all;
    if (q->all) {
        q->all->prev = t;
    }
    q->all = t;
}

static void unlist_thread(struct sley__blocking_queue *q, struct sley__blocking_thread *t)
{
    *(t->prev ? &t->prev->next : &q->all) = t->next;
    if (t->next) {
        t->next->prev = t->prev;
    }
}

/** Serves until there is no more use for this thread. Holds the lock when it returns. */
static void serve(struct sley_blocking_pool *p, struct sley__blocking_thread *t)
{
    struct sley__blocking_queue *q = &p->queue;
    sley__queue_lock(q);
    list_thread(q, t);
    for (;;) {
        sley__queue_arrive(q, t);
        struct sley__blocking_job *job = sley__queue_take(q);
        if (job) {
            t->runs = job->name;
            sley__pool_leave(p, sley__queue_call(q));
            run(p, job);
            sley__queue_lock(q);
            t->runs = NULL;
        } else if (sley__queue_rest(q, t, p->spin_ns, p->idle_ns) == SLEY__REST_END) {
            break;
        }
    }
    unlist_thread(q, t);
}

static void release(struct sley_blocking_pool *p)
{
    struct sley_alloc libc = p->libc;
    sley_alloc_put(p->alloc == &p->libc ? &libc : p->alloc, p, sizeof *p);
}

static void *thread_main(void *arg)
{
    struct sley_blocking_pool *p = arg;
    struct sley__blocking_queue *q = &p->queue;
    struct sley__blocking_thread t = {.searching = true};
    char name[16];
    (void)snprintf(name, sizeof name, "%s", p->name);
    (void)pthread_setname_np(pthread_self(), name);
    thread_pool = p;
    serve(p, &t);
    const bool had = p->has_ended;
    const pthread_t before = p->ended;
    const uint32_t live = sley__queue_live(q) - 1;
    const bool last = p->orphan && live == 0;
    p->has_ended = !last;
    p->ended = pthread_self();
    sley__queue_set_live(q, live);
    if (q->stopping) {
        sley__futex_wake(&q->live, UINT32_MAX);
    }
    sley__queue_unlock(q); /* unless this is the last, the pool is somebody else's now, who joins this thread before it goes */
    if (had) {
        (void)pthread_join(before, NULL);
    }
    if (last) {
        (void)pthread_detach(pthread_self());
        release(p);
    }
    return NULL;
}

static int create_thread(struct sley_blocking_pool *p)
{
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);
    if (rc != 0) {
        return -rc;
    }
    if (p->stack_bytes > 0) {
        rc = pthread_attr_setstacksize(&attr, p->stack_bytes);
    }
    if (rc == 0) {
        /* what a fault raises stays: a job that crashes is the program's to report */
        (void)sigfillset(&all);
        (void)sigdelset(&all, SIGSEGV), (void)sigdelset(&all, SIGBUS), (void)sigdelset(&all, SIGILL);
        (void)sigdelset(&all, SIGFPE), (void)sigdelset(&all, SIGTRAP), (void)sigdelset(&all, SIGABRT);
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        rc = pthread_create(&thread, &attr, thread_main, p);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)pthread_attr_destroy(&attr);
    return -rc;
}

int sley__pool_make_thread(struct sley_blocking_pool *p)
{
    struct sley__blocking_queue *q = &p->queue;
    const int rc = create_thread(p);
    if (rc == 0) {
        return 0;
    }
    sley__queue_lock(q);
    sley__queue_set_live(q, sley__queue_live(q) - 1);
    q->searching = false;
    struct sley__blocking_job *stranded = sley__queue_live(q) == 0 ? sley__queue_drop(q, true) : NULL;
    if (q->stopping) {
        sley__futex_wake(&q->live, UINT32_MAX);
    }
    sley__queue_unlock(q);
    sley__pool_refuse(p, stranded, -EAGAIN);
    return rc == -ENOMEM ? -ENOMEM : -EAGAIN;
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

int sley_blocking_create(const struct sley_blocking_opts *o, struct sley_blocking_pool **ret_pool)
{
    static const struct sley_blocking_opts none;
    struct sley_alloc libc;
    o = o ? o : &none;
    const size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    const uint32_t max = o->thread_max ? o->thread_max : 512;
    const int libc_rc = sley_alloc_libc_init(&libc);
    if (!ret_pool || o->thread_min > max || (o->stack_bytes && o->stack_bytes < least) ||
        (o->alloc && !(o->alloc->ops->caps & SLEY_ALLOC_CAP_THREADS))) {
        return -EINVAL;
    }
    if (!o->alloc && libc_rc < 0) {
        return libc_rc;
    }
    struct sley_alloc *alloc = o->alloc ? o->alloc : &libc;
    struct sley_blocking_pool *p = sley_alloc_get(alloc, sizeof *p, _Alignof(struct sley_blocking_pool));
    if (!p) {
        return -ENOMEM;
    }
    memset(p, 0, sizeof *p);
    p->libc = libc;
    p->alloc = o->alloc ? o->alloc : &p->libc;
    p->name = o->name ? o->name : "blocking";
    p->idle_ns = o->idle_ns ? o->idle_ns : 10 * SLEY_S;
    p->spin_ns = sley__futex_cpu_count() > 1 ? SPIN_NS : 0;
    p->stack_bytes = o->stack_bytes;
    p->report = o->report;
    p->report_arg = o->report_arg;
    p->queue.thread_min = o->thread_min;
    p->queue.thread_max = max;
    p->queue.queue_max = o->queue_max ? o->queue_max : 65536;
    p->queue.spin_credit = SLEY__SPIN_CREDIT_MAX / 2;
    int rc = 0;
    for (uint32_t i = 0; i < o->thread_min && rc == 0; i++) {
        sley__queue_lock(&p->queue);
        sley__queue_set_live(&p->queue, sley__queue_live(&p->queue) + 1);
        p->queue.searching = true;
        sley__queue_unlock(&p->queue);
        rc = sley__pool_make_thread(p);
    }
    if (rc < 0) {
        (void)sley_blocking_destroy(p);
        return rc;
    }
    *ret_pool = p;
    return 0;
}

/** Wakes every idle thread: limits have changed, or the end has come. Holds the lock before and after. */
static void dismiss_all(struct sley__blocking_queue *q)
{
    struct sley__blocking_thread *t;
    uint32_t left = q->idle_count; /* those that go back to sleep are not woken again */
    while (left-- > 0 && (t = sley__queue_dismiss(q)) != NULL) {
        sley__queue_unlock(q);
        sley__queue_ring(t);
        sley__queue_lock(q);
    }
}

int sley_blocking_resize(struct sley_blocking_pool *p, uint32_t thread_min, uint32_t thread_max)
{
    if (!p || thread_min > thread_max) {
        return -EINVAL;
    }
    struct sley__blocking_queue *q = &p->queue;
    sley__queue_lock(q);
    q->thread_min = thread_min;
    q->thread_max = thread_max;
    dismiss_all(q);
    sley__pool_leave(p, sley__queue_call(q));
    return 0;
}

static void report_job(const struct sley_blocking_pool *p, const char *name, const char *what)
{
    char text[192];
    (void)snprintf(text, sizeof text, "blocking pool \"%s\": a job of \"%s\" %s", p->name, name, what);
    p->report(p->report_arg, SLEY_REPORT_LEFT, text);
}

static void report_left(const struct sley_blocking_pool *p)
{
    for (const struct sley__blocking_thread *t = p->queue.all; t && p->report; t = t->next) {
        if (t->runs) {
            report_job(p, t->runs, "runs and does not end");
        }
    }
    for (const struct sley__blocking_job *job = p->queue.head; job && p->report; job = job->next) {
        report_job(p, job->name, "must run and has found no thread");
    }
}

int sley_blocking_stop(struct sley_blocking_pool *p, uint64_t deadline_ns)
{
    if (!p) {
        return 0;
    }
    if (sley__pool_inside(p)) {
        return -EDEADLK;
    }
    struct sley__blocking_queue *q = &p->queue;
    sley__queue_lock(q);
    q->stopping = true;
    struct sley__blocking_job *dropped = sley__queue_drop(q, false);
    dismiss_all(q);
    sley__pool_leave(p, sley__queue_call(q));
    sley__pool_refuse(p, dropped, -ECANCELED);
    /* acquire: observes what threads that have ended did; pairs with sley__queue_set_live */
    for (uint32_t live; (live = atomic_load_explicit(&q->live, memory_order_acquire)) > 0;) {
        if (deadline_ns != SLEY_NEVER && deadline_ns <= sley__futex_now_ns()) {
            break;
        }
        sley__futex_wait(&q->live, live, deadline_ns);
    }
    sley__queue_lock(q);
    const bool over = sley__queue_live(q) == 0;
    const bool joins = over && p->has_ended;
    const pthread_t last = p->ended;
    p->has_ended = p->has_ended && !over;
    p->timed_out = !over;
    if (!over) {
        report_left(p);
    }
    sley__queue_unlock(q);
    if (joins) {
        (void)pthread_join(last, NULL); /* who has joined the one before, and so on */
    }
    return over ? 0 : -ETIMEDOUT;
}

int sley_blocking_destroy(struct sley_blocking_pool *p)
{
    int rc = sley_blocking_stop(p, p && p->timed_out ? 0 : SLEY_NEVER);
    if (rc == -ETIMEDOUT) {
        sley__queue_lock(&p->queue);
        const bool left = sley__queue_live(&p->queue) > 0;
        p->orphan = left;
        sley__queue_unlock(&p->queue);
        if (left) {
            return -ETIMEDOUT;
        }
        rc = sley_blocking_stop(p, SLEY_NEVER); /* they have ended meanwhile: the last of them is joined */
    }
    if (p && rc == 0) {
        release(p);
    }
    return rc;
}

void sley_blocking_stats(struct sley_blocking_pool *p, struct sley_blocking_stats *ret_stats)
{
    struct sley__blocking_queue *q = &p->queue;
    sley__queue_lock(q);
    *ret_stats = (struct sley_blocking_stats){
        .thread_count = sley__queue_live(q),
        .idle_count = q->idle_count,
        /* relaxed: the lock is held */
        .queued_count = atomic_load_explicit(&q->count, memory_order_relaxed),
    };
    sley__queue_unlock(q);
}
