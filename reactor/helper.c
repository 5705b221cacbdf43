/* A reactor that was handed no pool makes calls that may block on a thread of its own: one, which comes with the first call and goes
 * when there has been nothing to do for a second, or with the reactor. */
#include "file.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

enum { IDLE_S = 1 };

struct sley__helper {
    struct sley_offload base;
    struct sley_alloc libc;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t news;
    struct sley_offload_job *first, **last; /* in line, through words[0] */
    pthread_t thread;
    bool is_made; /* the thread is to be joined */
    bool serves;  /* it will look at the line again */
    bool stopping;
};

static struct sley__helper *helper_of(struct sley_offload *o)
{
    return sley_container_of(o, struct sley__helper, base);
}

static struct sley_offload_job **link_of(struct sley_offload_job *job)
{
    return (struct sley_offload_job **)&job->words[0];
}

/* ---- the thread ----------------------------------------------------------------------------------------------------- */

/** Waits for something to do. Returns false when there is nothing and will be nothing. With the lock. */
static bool rest(struct sley__helper *h)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    int rc = 0;
    while (!h->first && !h->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&h->news, &h->lock, &until);
    }
    return h->first != NULL;
}

static void *helper_main(void *arg)
{
    struct sley__helper *h = arg;
    (void)pthread_setname_np(pthread_self(), "sley-files");
    (void)pthread_mutex_lock(&h->lock);
    while (rest(h)) {
        struct sley_offload_job *job = h->first;
        h->first = *link_of(job);
        if (!h->first) {
            h->last = &h->first;
        }
        (void)pthread_mutex_unlock(&h->lock);
        job->fn(job);
        job->done(job, 0);
        (void)pthread_mutex_lock(&h->lock);
    }
    h->serves = false;
    (void)pthread_mutex_unlock(&h->lock);
    return NULL;
}

/** With the lock. Returns: 0; an errno. */
static int make_thread(struct sley__helper *h)
{
    sigset_t all, before;
    if (h->is_made) {
        (void)pthread_join(h->thread, NULL); /* it has given the lock away for the last time */
        h->is_made = false;
    }
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGSEGV);
    (void)sigdelset(&all, SIGBUS);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    const int rc = pthread_create(&h->thread, NULL, helper_main, h);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    h->is_made = h->serves = rc == 0;
    return rc;
}

/* ---- jobs ------------------------------------------------------------------------------------------------------------- */

static void submit(struct sley_offload *self, struct sley_offload_job *job)
{
    struct sley__helper *h = helper_of(self);
    (void)pthread_mutex_lock(&h->lock);
    const bool refused = !h->serves && make_thread(h) != 0;
    if (!refused) {
        *link_of(job) = NULL;
        *h->last = job;
        h->last = link_of(job);
        (void)pthread_cond_signal(&h->news);
    }
    (void)pthread_mutex_unlock(&h->lock);
    if (refused) {
        job->done(job, -EAGAIN);
    }
}

static void cancel(struct sley_offload *self, struct sley_offload_job *job)
{
    struct sley__helper *h = helper_of(self);
    (void)pthread_mutex_lock(&h->lock);
    struct sley_offload_job **at = &h->first;
    while (*at && *at != job) {
        at = link_of(*at);
    }
    const bool found = *at != NULL;
    if (found) {
        *at = *link_of(job);
        h->last = *at ? h->last : at;
    }
    (void)pthread_mutex_unlock(&h->lock);
    if (found) {
        job->done(job, -ECANCELED);
    }
}

static const struct sley_offload_ops helper_ops = {
    .version = SLEY_OFFLOAD_VERSION,
    .name = "helper",
    .submit = submit,
    .cancel = cancel,
};

/* ---- life --------------------------------------------------------------------------------------------------------------- */

static struct sley__helper *make_helper(void)
{
    struct sley_alloc libc = {0};
    pthread_condattr_t attr;
    (void)sley_alloc_libc_init(&libc);
    struct sley__helper *h = sley_alloc_zeroed(&libc, sizeof *h, _Alignof(struct sley__helper));
    if (!h) {
        return NULL;
    }
    h->base.ops = &helper_ops;
    h->libc = libc;
    h->last = &h->first;
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&h->news, &attr);
    (void)pthread_condattr_destroy(&attr);
    return h;
}

struct sley_offload *sley__file_offload(struct sley_reactor *r)
{
    if (r->offload) {
        return r->offload;
    }
    if (!r->files.helper) {
        r->files.helper = make_helper();
    }
    return r->files.helper ? &r->files.helper->base : NULL;
}

void sley__helper_end(struct sley_reactor *r)
{
    struct sley__helper *h = r->files.helper;
    if (!h) {
        return;
    }
    r->files.helper = NULL;
    (void)pthread_mutex_lock(&h->lock);
    h->stopping = true;
    (void)pthread_cond_signal(&h->news);
    (void)pthread_mutex_unlock(&h->lock);
    if (h->is_made) {
        (void)pthread_join(h->thread, NULL);
    }
    (void)pthread_cond_destroy(&h->news);
    (void)pthread_mutex_destroy(&h->lock);
    struct sley_alloc libc = h->libc;
    sley_alloc_put(&libc, h, sizeof *h);
}
