/* Pools: threads that come and go, and how a pool ends. */
#include "pool.h"

#include <sley/thread_impl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/** The pool whose thread this is. */
static SLEY__TLS struct sley_blocking_pool *thread_pool;

/* ---- forks ------------------------------------------------------------------------------------------------------- */

static SLEY_ATOMIC(uint32_t) forks; /* from the first process to this one */

static void forked(void)
{
    /* relaxed: the child has one thread, and starts the others */
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

bool sley__pool_inherited(const struct sley_blocking_pool *p)
{
    /* relaxed: see forked */
    return p->forks != atomic_load_explicit(&forks, memory_order_relaxed);
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

void sley__pool_free_job(struct sley_blocking_pool *p, struct sley__blocking_job *job)
{
    if (job->copied_bytes > 0) {
        sley_alloc_put(p->opts.alloc, job, job->copied_bytes);
    }
}

void sley__pool_complete(struct sley_blocking_op *op, int32_t verdict)
{
    struct sley_sched *home = op->home;
    sley_wait_complete(&op->wait, verdict);
    if (home) {
        sley_sched_unhold(home);
    }
}

static void refuse(struct sley_blocking_pool *p, struct sley__blocking_link *ring, int32_t verdict)
{
    while (ring->next != ring) {
        struct sley__blocking_job *job = sley_container_of(ring->next, struct sley__blocking_job, link);
        struct sley_blocking_op *op = job->op;
        sley__link_remove(&job->link); /* once completed, the op is gone, and the job with it */
        sley__pool_free_job(p, job);
        if (op) { /* else nobody is to be told */
            sley__pool_complete(op, verdict);
        }
    }
}

static void run(struct sley_blocking_pool *p, struct sley__blocking_thread *t, struct sley__blocking_job *job)
{
    sley__job_cancelled = &job->cancelled;
    int result = job->fn(job->arg);
    sley__job_cancelled = NULL;
    if (sley__pool_inherited(p)) {
        pthread_exit(NULL); /* the job has forked: its caller and those in line are the parent's */
    }
    /* relaxed: nothing travels with it; whoever is told below that the job has ended finds it so */
    atomic_store_explicit(&t->runs, NULL, memory_order_relaxed);
    struct sley_blocking_op *op = job->copied_bytes > 0 ? NULL : job->op;
    if (job->copied_bytes > 0) {
        sley__queue_lock(&p->queue);
        if ((op = job->op) != NULL) { /* else it was abandoned; from here on it cannot be any more */
            op->at = NULL;
        }
        sley__queue_unlock(&p->queue);
        sley__pool_free_job(p, job);
    }
    if (op) {
        *(op->ret_result ? op->ret_result : &result) = result;
        sley__pool_complete(op, 0);
    }
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/** Serves until there is no more use for this thread. Holds the lock when it returns. */
static void serve(struct sley_blocking_pool *p)
{
    struct sley__blocking_queue *q = &p->queue;
    struct sley__blocking_thread t = {.searching = true};
    sley__queue_lock(q);
    sley__link_insert(&q->awake, &t.link);
    do {
        sley__queue_arrive(q, &t);
        for (struct sley__blocking_job *job; (job = sley__queue_take(q)) != NULL;) {
            /* relaxed: the lock is held, and who looks holds it */
            atomic_store_explicit(&t.runs, job->name, memory_order_relaxed);
            sley__pool_leave(p, sley__queue_call(q));
            run(p, &t, job);
            sley__queue_lock(q);
        }
    } while (sley__queue_rest(q, &t, p->opts.idle_ns));
    sley__link_remove(&t.link);
}

static void *thread_main(void *arg)
{
    struct sley_blocking_pool *p = arg;
    (void)prctl(PR_SET_NAME, p->opts.name); /* cut behind 15 bytes */
    thread_pool = p;
    (void)sley_plan_pin(&p->plan, 0); /* if it cannot, its CPUs have gone, and it runs where it may */
    if (p->opts.nice > 0) {           /* of this thread alone: so Linux has it */
        (void)setpriority(PRIO_PROCESS, 0, p->nice);
    }
    serve(p);
    sley__queue_add_live(&p->queue, UINT32_MAX);
    const bool had = p->has_ended;
    const pthread_t before = p->ended;
    p->has_ended = true;
    p->ended = pthread_self();
    sley__futex_wake(&p->queue.live, UINT32_MAX);
    sley__pool_leave(p, sley__queue_call(&p->queue)); /* who releases the pool joins this thread before */
    if (had) {
        (void)pthread_join(before, NULL);
    }
    return NULL;
}

/** Makes a thread that is counted already and on its way to the queue. If that fails, jobs that nobody can run get -EAGAIN. */
static int make_thread(struct sley_blocking_pool *p)
{
    struct sley__blocking_queue *q = &p->queue;
    struct sley__blocking_link stranded;
    pthread_t thread;
    const struct sley_thread_opts o = {.fn = thread_main, .arg = p, .stack_bytes = p->opts.stack_bytes, .undisturbed = true};
    if (sley_executor_start_thread(&thread, &o) == 0) {
        return 0;
    }
    sley__queue_lock(q);
    sley__queue_add_live(q, UINT32_MAX);
    q->searching = false;
    sley__queue_drop(q, sley__queue_live(q) == 0 ? 0 : UINT32_MAX, &stranded);
    sley__futex_wake(&q->live, UINT32_MAX);
    sley__queue_unlock(q);
    refuse(p, &stranded, -EAGAIN);
    return -EAGAIN;
}

void sley__pool_leave(struct sley_blocking_pool *p, SLEY_ATOMIC(uint32_t) * call)
{
    sley__queue_unlock(&p->queue);
    if (call == &p->queue.live) {
        (void)make_thread(p);
    } else if (call) {
        sley__futex_wake(call, 1); /* the thread may have seen its bell and ended: the address alone matters */
    }
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

int sley_blocking_create(const struct sley_blocking_opts *o, struct sley_blocking_pool **ret_pool)
{
    static SLEY_ATOMIC(bool) watched;
    struct sley_alloc libc = {0};
    o = o ? o : &(const struct sley_blocking_opts){0};
    if (!ret_pool || o->nice < 0 || o->nice >= PRIO_MAX ||
        (o->stack_bytes != 0 && o->stack_bytes < (size_t)sysconf(_SC_THREAD_STACK_MIN)) ||
        (o->alloc && !(o->alloc->ops->caps & SLEY_ALLOC_CAP_THREADS))) {
        return -EINVAL;
    }
    (void)sley_alloc_libc_init(&libc);
    /* relaxed: who comes second uses nothing of what the first one does */
    if (!atomic_exchange_explicit(&watched, true, memory_order_relaxed)) {
        (void)pthread_atfork(NULL, NULL, forked);
    }
    struct sley_blocking_pool *p = sley_alloc_get(o->alloc ? o->alloc : &libc, sizeof *p, _Alignof(struct sley_blocking_pool));
    if (!p) {
        return -ENOMEM;
    }
    /* relaxed: see forked */
    *p = (struct sley_blocking_pool){.opts = *o, .libc = libc, .forks = atomic_load_explicit(&forks, memory_order_relaxed)};
    p->opts.name = o->name ? o->name : "blocking";
    p->opts.idle_ns = o->idle_ns ? o->idle_ns : 10 * SLEY_S;
    p->opts.alloc = o->alloc ? o->alloc : &p->libc;
    sley__queue_init(&p->queue, o);
    p->nice = getpriority(PRIO_PROCESS, 0) + o->nice;
    const struct sley_workers_opts where = {o->cpus ? SLEY_PLACEMENT_FENCED : SLEY_PLACEMENT_UNBOUND, o->cpus, 0};
    int rc = sley_plan_init(&p->plan, &where, 1, p->opts.alloc, NULL, 0);
    rc = p->queue.thread_min > p->queue.thread_max ? -EINVAL : rc;
    for (uint32_t i = 0; i < o->thread_min && rc == 0; i++) {
        sley__queue_lock(&p->queue);
        sley__queue_add_live(&p->queue, 1);
        p->queue.searching = true;
        sley__queue_unlock(&p->queue);
        rc = make_thread(p);
    }
    if (rc < 0) {
        (void)sley_blocking_destroy(p);
        return rc;
    }
    *ret_pool = p;
    return 0;
}

/** Wakes every idle thread: limits have changed, or the end has come. Leaves the lock. */
static void dismiss_all(struct sley_blocking_pool *p)
{
    struct sley__blocking_thread *t;
    uint32_t left = p->queue.idle_count; /* from the bottom: one that goes back to sleep does so on top, and is not woken again */
    while (left-- > 0 && (t = sley__queue_dismiss(&p->queue, true)) != NULL) {
        sley__pool_leave(p, &t->bell);
        sley__queue_lock(&p->queue);
    }
    sley__pool_leave(p, sley__queue_call(&p->queue));
}

int sley_blocking_resize(struct sley_blocking_pool *p, uint32_t thread_min, uint32_t thread_max)
{
    if (!p || thread_min > thread_max || sley__pool_inherited(p)) {
        return p && thread_min <= thread_max ? -EOWNERDEAD : -EINVAL;
    }
    sley__queue_lock(&p->queue);
    p->queue.thread_min = thread_min;
    p->queue.thread_max = thread_max;
    dismiss_all(p);
    return 0;
}

/** Names a job, if it is one. Returns whether it is. */
static bool report(const struct sley_blocking_opts *o, const char *job, const char *what)
{
    char text[192];
    if (job && o->report) {
        (void)snprintf(text, sizeof text, "blocking pool \"%s\": a job of \"%s\" %s", o->name, job, what);
        o->report(o->report_arg, SLEY_REPORT_LEFT, text);
    }
    return job != NULL;
}

/** Names every job that runs or waits in line. Returns whether there is any. The lock is held. */
static bool report_left(struct sley_blocking_pool *p)
{
    bool any = false;
    struct sley__blocking_link *l, *threads = &p->queue.awake, *jobs = &p->queue.jobs;
    for (l = threads->next; l != threads; l = l->next) {
        SLEY_ATOMIC(const char *) *runs = &sley_container_of(l, struct sley__blocking_thread, link)->runs;
        /* relaxed: set under the lock; cleared when the job has ended, which is told behind it */
        any |= report(&p->opts, atomic_load_explicit(runs, memory_order_relaxed), "runs and does not end");
    }
    for (l = jobs->next; l != jobs; l = l->next) { /* `usual` has no name: it is none */
        any |= report(&p->opts, sley_container_of(l, struct sley__blocking_job, link)->name, "must run and has found no thread");
    }
    return any;
}

bool sley__blocking_inside(const struct sley_blocking_pool *p)
{
    return p && p == thread_pool;
}

int sley_blocking_stop(struct sley_blocking_pool *p, uint64_t deadline_ns)
{
    if (!p || p == thread_pool || sley__pool_inherited(p)) {
        return !p ? 0 : p == thread_pool ? -EDEADLK : -EOWNERDEAD;
    }
    struct sley__blocking_queue *q = &p->queue;
    struct sley__blocking_link dropped;
    sley__queue_lock(q);
    q->stopping = true;
    sley__queue_drop(q, SLEY_BLOCKING_MUST_RUN, &dropped);
    dismiss_all(p);
    refuse(p, &dropped, -ECANCELED);
    for (uint32_t live; (live = sley__queue_live(q)) > 0 && (deadline_ns == SLEY_NEVER || sley_now_ns() < deadline_ns);) {
        sley__futex_wait(&q->live, live, deadline_ns);
    }
    sley__queue_lock(q);
    for (uint32_t live; (live = sley__queue_live(q)) > 0 && !report_left(p);) { /* without a job they are on their way out */
        sley__queue_unlock(q);
        sley__futex_wait(&q->live, live, SLEY_NEVER);
        sley__queue_lock(q);
    }
    const bool over = sley__queue_live(q) == 0, joins = over && p->has_ended;
    p->has_ended = p->has_ended && !joins;
    sley__queue_unlock(q);
    if (joins) {
        (void)pthread_join(p->ended, NULL); /* who has joined the one before, and so on; no thread is left to write it */
    }
    return over ? 0 : -ETIMEDOUT;
}

int sley_blocking_destroy(struct sley_blocking_pool *p)
{
    const int rc = sley_blocking_stop(p, p && p->queue.stopping ? 0 : SLEY_NEVER);
    if (p && (rc == 0 || rc == -EOWNERDEAD)) {
        struct sley_alloc libc = p->libc; /* the plan, of one fence, holds no memory */
        sley_alloc_put(p->opts.alloc == &p->libc ? &libc : p->opts.alloc, p, sizeof *p);
    }
    return rc == -EOWNERDEAD ? 0 : rc;
}
