/* A runtime whose thread is divided among task queues: web pages must not wait, batch work gets what is left. */
#include <stdio.h>
#include <string.h>

#include <sley/reactor_poll.h>
#include <sley/shares.h>
#include <sley/sley.h>

static struct sley_shares_queue web, batch;
static bool pages_are_done;

/** Computes as long as it may, and asks on the way whether it is to give way: that costs two loads. */
static int crunch(void *unused)
{
    int rc = 0;
    (void)unused;
    while (!pages_are_done && rc == 0) {
        rc = sley_yield_if_needed();
    }
    return rc;
}
SLEY_FIBER(crunch, void)

static int serve(void *unused)
{
    int rc = 0;
    (void)unused;
    for (int page = 0; page < 20 && rc == 0; page++) {
        rc = sley_sleep(5 * SLEY_MS); /* the next request */
    }
    pages_are_done = true;
    return rc;
}
SLEY_FIBER(serve, void)

int main(void)
{
    /* The executor and its queues: in the caller's memory, readied before the runtime starts (or later, on its thread). A latency
     * of 1 ms means that nobody runs for longer than half of it, and that who becomes ready here ends the slice of others. */
    static struct sley_shares executor;
    int rc = sley_shares_init(&executor, NULL);
    const struct sley_shares_queue_opts first = {.name = "web", .shares = 1000, .latency_ns = SLEY_MS};
    const struct sley_shares_queue_opts second = {.name = "batch", .shares = 100};
    rc = rc < 0 ? rc : sley_shares_queue_init(&executor, &web, &first);
    rc = rc < 0 ? rc : sley_shares_queue_init(&executor, &batch, &second);

    static const struct sley_reactor_factory *const reactors[] = {&sley_reactor_epoll, &sley_reactor_poll2, NULL};
    static struct sley_runtime runtime;
    char why[256] = "";
    if (rc == 0) {
        rc = sley_runtime_init(&runtime, &(struct sley_runtime_opts){
                                             .executor = &executor.base,
                                             .reactors = reactors,
                                             .ret_error = why,
                                             .error_bytes = sizeof why,
                                         });
    }
    if (rc < 0) {
        fprintf(stderr, "assemble_shares: cannot start: %s\n", why[0] ? why : strerror(-rc));
        return 2;
    }

    /* From outside into a queue; children stay in their spawner's queue unless struct sley_spawn_opts names another. */
    rc = sley_shares_spawn(&batch, &crunch__type, NULL, NULL);
    rc = rc < 0 ? rc : sley_shares_spawn(&web, &serve__type, NULL, NULL);
    rc = rc < 0 ? rc : sley_runtime_run_all(&runtime);
    for (const struct sley_shares_queue *q = &web; q; q = q == &web ? &batch : NULL) {
        struct sley_shares_stats s;
        sley_shares_queue_stats(q, &s);
        printf("%s: %u shares, ran %s\n", s.name, (unsigned)s.shares, s.run_ns > 0 ? "some time" : "never");
    }

    /* The end, in reverse. A queue with tasks in it says -EBUSY; after the runtime's end there are none. */
    const int stopped = sley_runtime_stop(&runtime, sley_after_ns(SLEY_S));
    const int ended = stopped < 0 ? stopped : sley_runtime_fini(&runtime);
    (void)sley_shares_queue_fini(&batch);
    (void)sley_shares_queue_fini(&web);
    return rc < 0 || ended < 0;
}
