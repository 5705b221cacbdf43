/* A runtime put together by hand: the caller picks each part, owns its memory, and ends it in the reverse order. */
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include <sley/alloc.h>
#include <sley/reactor_poll.h>
#include <sley/sley.h>

static int work(void *unused)
{
    (void)unused;
    return sley_sleep(10 * SLEY_MS); /* what runs does not know what it runs on */
}
SLEY_FIBER(work, void)

/** Receives what the libraries have to say (who is left at the end, a misuse); they never print. */
static void report(void *arg, enum sley_report_kind kind, const char *text)
{
    fprintf(stderr, "%s (%d): %s\n", (const char *)arg, (int)kind, text);
}

int main(void)
{
    /* Memory: everything comes from this block, nothing from the heap (fibers' stacks are mapped from the system).
     * sley_alloc_libc_init and sley_alloc_mimalloc_init are the other two allocators. */
    static alignas(64) unsigned char memory[256 * 1024];
    static struct sley_alloc_pool pool;
    int rc = sley_alloc_pool_init(&pool, memory, sizeof memory);

    /* Who runs tasks: one thread. init readies the memory; the runtime starts it. */
    static struct sley_local executor;
    sley_local_init(&executor);

    /* Who waits for the outside world: the first of these that starts. Each worker makes one of its own, hence factories. */
    static const struct sley_reactor_factory *const reactors[] = {&sley_reactor_epoll, &sley_reactor_poll2, NULL};

    /* The wiring. A field that is left out means the default; a name (reactor_name, ...) would do in place of a pointer. */
    char why[256] = "";
    char text[128] = "";
    static struct sley_runtime runtime;
    if (rc == 0) {
        rc = sley_runtime_init(&runtime, &(struct sley_runtime_opts){
                                             .alloc = &pool.base,
                                             .executor = &executor.base,
                                             .reactors = reactors,
                                             .tick_ns = 100 * SLEY_US, /* timers ten times as fine as by default */
                                             .report = report,
                                             .report_arg = "assemble",
                                             .ret_error = why, /* a sentence about a failed start */
                                             .error_bytes = sizeof why,
                                         });
    }
    if (rc < 0 || (rc = sley_runtime_describe(&runtime, text, sizeof text)) < 0) {
        fprintf(stderr, "assemble: cannot start: %s\n", why[0] ? why : strerror(-rc));
        return 2;
    }
    printf("%s\n", text);

    /* A task in it, run to its end. rc: did it run? result: what it returned. */
    int result = 0;
    rc = sley_runtime_run(&runtime, &work__type, NULL, &result);

    /* The end, in reverse: cancel and drain what is left (at most a second), release the parts, then their memory. */
    const int stopped = sley_runtime_stop(&runtime, sley_after_ns(SLEY_S));
    const int ended = stopped < 0 ? stopped : sley_runtime_fini(&runtime);
    printf("ran in %zu bytes of memory, %zu left behind\n", pool.peak_bytes, pool.used_bytes);
    return rc < 0 || result < 0 || ended < 0;
}
