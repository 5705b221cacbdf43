/* Threads that are no workers: they send, ring, cancel, join and spawn on behalf of tasks that asked for it. */
#include "stress.h"

enum { SERVERS = 2, JOINERS = 2 };

static struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct request *head, *tail;
    uint32_t left; /* queued, or being served */
    bool ends;
} queues[] = {{.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER},
              {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}};
enum { SERVED, JOINED };
static pthread_t threads[SERVERS + JOINERS];
static _Atomic uint64_t spawns;

void ask(struct request r)
{
    struct queue *q = &queues[r.kind == REQUEST_JOIN ? JOINED : SERVED];
    struct request *copy = malloc(sizeof *copy);
    EXPECT(copy);
    *copy = r;
    copy->next = NULL;
    (void)pthread_mutex_lock(&q->lock);
    *(q->head ? &q->tail->next : &q->head) = copy;
    q->tail = copy;
    q->left++;
    (void)pthread_cond_broadcast(&q->changed);
    (void)pthread_mutex_unlock(&q->lock);
}

static void produce(struct pipe *p, uint64_t count)
{
    for (uint64_t v = 1; v <= count; v++) {
        const int rc = sley_mpsc_send(&p->ch, &v);
        if (rc < 0) {
            EXPECT_RC(rc, -EPIPE);
            break;
        }
        pipe_sent(p, v);
    }
    pipe_producer_ends(p);
}

/** Joins, perhaps in a hurry: then the task is cancelled and joined for good. */
static void join(struct sley_task *t, uint64_t id)
{
    struct rng r = rng_of(id ^ 1);
    int result = 0, rc;
    if (chance(&r, 30)) {
        rc = SLEY_UNTIL(soon(&r, 2000), sley_task_join(t, &result));
        if (rc == -ETIMEDOUT) {
            sley_task_cancel(t);
            rc = sley_task_join(t, &result);
        }
    } else {
        rc = sley_task_join(t, &result);
    }
    EXPECT_RC(rc, 0);
    EXPECT(sley_task_done(t));
    result_check(id, result);
    add(&w.joins);
    sley_task_unref(t);
}

static void serve(struct request *r)
{
    struct rng dice = rng_of(r->value ^ 2);
    switch (r->kind) {
    case REQUEST_SEND:
        produce(r->obj, r->value);
        break;
    case REQUEST_ONCE:
        once_send(r->obj, r->value);
        break;
    case REQUEST_RING:
        for (uint64_t i = 0; i < r->value; i++) {
            bell_ring(r->obj);
        }
        bell_unref(r->obj);
        break;
    case REQUEST_CANCEL:
        sley_task_cancel(r->task);
        sley_task_unref(r->task);
        break;
    case REQUEST_JOIN:
        join(r->task, r->value);
        break;
    case REQUEST_SPAWN: {
        struct sley_task *t = NULL;
        const bool handle = chance(&dice, 60);
        add(&w.spawned);
        EXPECT_RC(sley_runtime_spawn(&w.rt, root_type, &(struct node_args){r->value, 1}, handle ? &t : NULL), 0);
        add(&spawns); /* afterwards: who has counted it finds the task */
        if (handle) {
            ask((struct request){.kind = chance(&dice, 70) ? REQUEST_JOIN : REQUEST_CANCEL, .task = t, .value = r->value});
        }
        break;
    }
    }
    tick();
}

static void *thread_main(void *arg)
{
    struct queue *q = arg;
    (void)pthread_mutex_lock(&q->lock);
    for (;;) {
        struct request *r = q->head;
        if (r) {
            q->head = r->next;
            (void)pthread_mutex_unlock(&q->lock);
            serve(r);
            free(r);
            (void)pthread_mutex_lock(&q->lock);
            q->left--;
            (void)pthread_cond_broadcast(&q->changed);
        } else if (q->ends) {
            break;
        } else {
            (void)pthread_cond_wait(&q->changed, &q->lock);
        }
    }
    (void)pthread_mutex_unlock(&q->lock);
    return NULL;
}

static void empty(struct queue *q)
{
    (void)pthread_mutex_lock(&q->lock);
    while (q->left > 0) {
        (void)pthread_cond_wait(&q->changed, &q->lock);
    }
    (void)pthread_mutex_unlock(&q->lock);
}

void service_start(void)
{
    queues[SERVED].ends = queues[JOINED].ends = false;
    for (int i = 0; i < SERVERS + JOINERS; i++) {
        EXPECT_RC(pthread_create(&threads[i], NULL, thread_main, &queues[i < SERVERS ? SERVED : JOINED]), 0);
    }
}

void service_drain(void)
{
    uint64_t seen;
    do {
        seen = spawns;
        driven(sley_runtime_run_all(&w.rt));
        empty(&queues[SERVED]);
    } while (seen != spawns);
    empty(&queues[JOINED]); /* their tasks have ended */
}

void service_stop(void)
{
    for (int i = 0; i < 2; i++) {
        (void)pthread_mutex_lock(&queues[i].lock);
        queues[i].ends = true;
        (void)pthread_cond_broadcast(&queues[i].changed);
        (void)pthread_mutex_unlock(&queues[i].lock);
    }
    for (int i = 0; i < SERVERS + JOINERS; i++) {
        EXPECT_RC(pthread_join(threads[i], NULL), 0);
    }
}
