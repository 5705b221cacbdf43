/* The blocking pool makes reactors' calls: each is a job in the memory of its op. */
#include <sley/offload.h>

/** What a job holds in its words. */
struct words {
    struct sley_blocking_op op;
    struct sley_wait_hook hook;
    struct sley_offload_job *job;
};
SLEY_STATIC_ASSERT(sizeof(struct words) <= sizeof((struct sley_offload_job *)0)->words, "a job has room for it");

static struct words *words_of(struct sley_offload_job *job)
{
    return (struct words *)(void *)job->words;
}

static int run(void *arg)
{
    struct sley_offload_job *job = arg;
    job->fn(job);
    return 0;
}

static void ended(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct sley_offload_job *job = sley_container_of(hook, struct words, hook)->job;
    job->done(job, w->result);
}

/**
 * Started in no sched: so the node has no home, and what ends it tells us where it ends; the reactor has its own way to the home.
 * The pool has seen the last of the job by then.
 */
static void submit(struct sley_offload *self, struct sley_offload_job *job)
{
    struct sley_blocking_pool *pool = sley_container_of(self, struct sley_offload_blocking, base)->pool;
    struct words *w = words_of(job);
    struct sley_sched *s = sley_sched_enter(NULL);
    *w = (struct words){.hook = {.fn = ended}, .job = job};
    sley_blocking_with_start(&w->op, &(struct sley_blocking_how){.pool = pool, .name = job->name}, run, job, NULL);
    (void)sley_sched_enter(s);
    sley_wait_hook(&w->op.wait, &w->hook); /* it may have ended by now: then this tells */
}

static void cancel(struct sley_offload *self, struct sley_offload_job *job)
{
    (void)self;
    sley_wait_cancel(&words_of(job)->op.wait);
}

static const struct sley_offload_ops ops = {
    .version = SLEY_OFFLOAD_VERSION,
    .name = "blocking",
    .submit = submit,
    .cancel = cancel,
};

void sley_offload_blocking_init(struct sley_offload_blocking *o, struct sley_blocking_pool *pool)
{
    *o = (struct sley_offload_blocking){.base = {.ops = &ops}, .pool = pool};
}
