/* See fake_reactor.h. */
#include "fake_reactor.h"

#include <string.h>
#include <time.h>

SLEY_ATOMIC(struct fake_reactor *) fake_reactor_last;

static struct fake_reactor *of(struct sley_reactor *self)
{
    return sley_container_of(self, struct fake_reactor, base);
}

static void fake_submit(struct sley_reactor *self, struct sley_io_op *op)
{
    struct fake_reactor *r = of(self);
    if (op->code == SLEY_IO_CLOSE) {
        op->fd->number = -1;
        sley_io_finish(op, 0);
        return;
    }
    sley_io_arm(self, op);
    op->next = r->armed;
    r->armed = op;
}

static void take(struct fake_reactor *r, struct sley_io_op *op, int32_t result)
{
    struct sley_io_op **at = &r->armed;
    while (*at && *at != op) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = op->next;
        sley_io_complete(&r->base, op, result);
    }
}

static void fake_cancel(struct sley_reactor *self, struct sley_io_op *op)
{
    take(of(self), op, -ECANCELED);
}

static void wait_for_ring(struct fake_reactor *r, uint64_t timeout_ns)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    const uint64_t at = (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec + (timeout_ns == SLEY_NEVER ? 0 : timeout_ns);
    ts = (struct timespec){(time_t)(at / SLEY_S), (long)(at % SLEY_S)};
    int rc = 0;
    pthread_mutex_lock(&r->mutex);
    while (!r->rung && rc == 0) {
        rc = timeout_ns == SLEY_NEVER ? pthread_cond_wait(&r->bell, &r->mutex) : pthread_cond_timedwait(&r->bell, &r->mutex, &ts);
    }
    r->rung = false;
    pthread_mutex_unlock(&r->mutex);
}

static int fake_poll(struct sley_reactor *self, uint64_t timeout_ns)
{
    struct fake_reactor *r = of(self);
    r->poll_count++;
    if (timeout_ns > 0) {
        r->wait_count++;
        r->last_timeout_ns = timeout_ns;
        if (r->on_wait) {
            r->on_wait(r->arg, r);
        }
        if (!r->ready) {
            wait_for_ring(r, timeout_ns);
        }
    } else {
        pthread_mutex_lock(&r->mutex);
        r->rung = false;
        pthread_mutex_unlock(&r->mutex);
    }
    struct sley_io_op *op = r->ready;
    r->ready = NULL;
    if (op) {
        take(r, op, r->ready_result);
    }
    return op != NULL;
}

static void fake_wake(struct sley_reactor *self)
{
    struct fake_reactor *r = of(self);
    atomic_fetch_add_explicit(&r->wake_count, 1, memory_order_relaxed);
    if (r->on_wake) {
        r->on_wake();
    }
    pthread_mutex_lock(&r->mutex);
    r->rung = true;
    pthread_cond_signal(&r->bell);
    pthread_mutex_unlock(&r->mutex);
}

static void fake_destroy(struct sley_reactor *self)
{
    struct fake_reactor *r = of(self);
    while (r->armed) {
        take(r, r->armed, -ECANCELED);
    }
    pthread_cond_destroy(&r->bell);
    pthread_mutex_destroy(&r->mutex);
    fake_reactor_last = NULL;
    sley_alloc_put(r->alloc, r, sizeof *r);
}

static const struct sley_reactor_ops fake_ops = {
    .version = SLEY_REACTOR_VERSION,
    .name = "fake",
    .submit = fake_submit,
    .cancel = fake_cancel,
    .poll = fake_poll,
    .wake = fake_wake,
    .destroy = fake_destroy,
};

static int fake_create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    pthread_condattr_t attr;
    struct fake_reactor *r = sley_alloc_get(o->alloc, sizeof *r, 64);
    if (!r) {
        return -ENOMEM;
    }
    memset(r, 0, sizeof *r);
    r->base.ops = &fake_ops;
    r->alloc = o->alloc;
    pthread_mutex_init(&r->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->bell, &attr);
    pthread_condattr_destroy(&attr);
    fake_reactor_last = r;
    *ret_reactor = &r->base;
    return 0;
}

const struct sley_reactor_factory fake_reactor_factory = {
    .version = SLEY_REACTOR_VERSION,
    .name = "fake",
    .create = fake_create,
};

void fake_reactor_ready(struct fake_reactor *r, struct sley_io_op *op, int32_t result)
{
    r->ready = op;
    r->ready_result = result;
}
