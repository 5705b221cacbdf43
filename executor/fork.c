/* Fork: what a child inherits of executors is shut off before it goes on, by exchanging tables, so that nobody else has to look.
 *
 * The child has one thread, that which forked. Other workers are not there, in the middle of whatever they were at; the reactors' kernel
 * objects are the parent's, too. If that thread is in a task, its run loop stands below on the stack: it is made to end. */
#include <sley/executor.h>
#include <sley/group_impl.h>
#include <sley/watch.h>

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sley_executor *started;      /* through `next` */
static const struct sley_sched *inherited; /* in whose task the fork was; compared only */

/* ---- the table of what was inherited --------------------------------------------------------------------------------- */

static int no_start(struct sley_executor *self, const struct sley_executor_config *config)
{
    (void)self, (void)config;
    return -EOWNERDEAD;
}

static int no_spawn(struct sley_executor *self, const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
{
    (void)self, (void)type, (void)args, (void)ret_task;
    return -EOWNERDEAD;
}

static int no_spawn_on(struct sley_executor *self, uint32_t worker, const struct sley_task_type *type, const void *args,
                       struct sley_task **ret_task)
{
    (void)self, (void)worker, (void)type, (void)args, (void)ret_task;
    return -EOWNERDEAD;
}

static int no_run(struct sley_executor *self, const struct sley_task *until)
{
    (void)self, (void)until;
    return -EOWNERDEAD;
}

static int no_turn(struct sley_executor *self, uint32_t max, uint64_t *ret_next_ns)
{
    (void)self, (void)max, (void)ret_next_ns;
    return -EOWNERDEAD;
}

static int no_stop(struct sley_executor *self, uint64_t drain_deadline_ns)
{
    (void)self, (void)drain_deadline_ns;
    return -EOWNERDEAD;
}

static int say_no(struct sley_executor *self)
{
    (void)self;
    return -EOWNERDEAD;
}

static void no_halt(struct sley_executor *self)
{
    (void)self;
}

/** None that runs anything, for who only wants to read its name. */
static struct sley_sched *no_sched(struct sley_executor *self)
{
    static struct sley_sched none;
    (void)self;
    return &none;
}

static uint32_t no_workers(struct sley_executor *self)
{
    (void)self;
    return 0;
}

static const struct sley_executor_ops orphan_ops = {
    .version = 1,
    .name = "inherited",
    .start = no_start,
    .spawn = no_spawn,
    .run = no_run,
    .turn = no_turn,
    .pollable_fd = say_no,
    .halt = no_halt,
    .stop = no_stop,
    .fini = say_no,
    .sched = no_sched,
    .worker_count = no_workers,
    .spawn_on = no_spawn_on,
};

/* ---- the child ---------------------------------------------------------------------------------------------------------- */

/** Nothing more is resumed there. Its task that has forked finds itself cancelled. */
static void end_loop(struct sley_sched *s)
{
    if (s->ops->caps & SLEY_SCHED_CAP_HOME) {
        if (s == sley_sched_current()) {
            sley_sched_stop(s); /* this thread is its home, so that nothing of it is half done */
            s->budget = 0;
        }
        sley_lane_init(&s->ready);
        for (uint32_t i = 1; s->lanes && i < s->lane_count; i++) {
            sley_lane_init(&s->lanes[i]);
        }
        s->ready_count = 0;
    }
    sley_sched_break(s);
    if (s->reactor) {
        sley_reactor_orphan(s->reactor);
    }
}

static void orphan(struct sley_executor *ex)
{
    struct sley_sched *s = ex->ops->sched(ex);
    if (s && s->group) {
        for (uint32_t i = 0; i < s->group->count; i++) {
            end_loop(s->group->scheds[i]);
        }
    } else if (s) {
        end_loop(s);
    }
    if (ex->ops->version >= 2 && ex->ops->forked) {
        ex->ops->forked(ex);
    } else {
        ex->ops->halt(ex);
    }
    ex->ops = &orphan_ops;
}

static void before_fork(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
    (void)pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    inherited = sley_sched_current();
    sley__watch_forked();
    while (started) {
        struct sley_executor *ex = started;
        started = ex->next;
        orphan(ex);
    }
    (void)pthread_mutex_unlock(&lock);
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, in_parent, in_child);
}

bool sley_executor_orphaned(const struct sley_executor *ex)
{
    return ex->ops == &orphan_ops;
}

/* ---- who starts and ends ---------------------------------------------------------------------------------------------------- */

int sley_executor_started(struct sley_executor *ex)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch_forks);
    if (inherited && sley_sched_current() == inherited) {
        (void)sley_sched_enter(NULL); /* a runtime of its own: the thread belongs to the inherited one no longer */
    }
    (void)pthread_mutex_lock(&lock);
    ex->next = started;
    started = ex;
    (void)pthread_mutex_unlock(&lock);
    return 0;
}

int sley_executor_ended(struct sley_executor *ex)
{
    (void)pthread_mutex_lock(&lock);
    struct sley_executor **at = &started;
    while (*at && *at != ex) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = ex->next;
    }
    (void)pthread_mutex_unlock(&lock);
    return 0;
}
