/* uv handles and sley tasks in one loop, on one thread. The application owns the loop, and runs it as ever. */
#include <stdio.h>

#include <sley/reactor_uv.h>
#include <sley/sley.h>
#include <uv.h>

enum { TICKS = 3 };

static struct sley_notify ticked;

/** A callback of libuv's: every sley call that does not wait may be made in it. */
static void on_tick(uv_timer_t *tick)
{
    (void)tick;
    sley_notify_set(&ticked);
}

/** A task waits for it as for anything else, and may use the loop's handles: it runs on the loop's thread. */
static int count(uv_timer_t **tick)
{
    int rc = 0;
    for (int i = 1; i <= TICKS && rc == 0; i++) {
        rc = sley_notify_wait(&ticked);
        rc = rc < 0 ? rc : printf("tick %d\n", i) < 0 ? -EIO : 0;
    }
    (void)uv_timer_stop(*tick);
    return rc < 0 ? rc : sley_sleep(5 * SLEY_MS); /* alone now: a task that sleeps keeps the loop alive */
}
SLEY_FIBER(count, uv_timer_t *)

int main(void)
{
    uv_loop_t loop;
    uv_timer_t tick;
    struct sley_runtime rt;
    struct sley_task *task = NULL;
    char why[256] = "";
    int result = 0, rc = uv_loop_init(&loop);
    if (rc < 0) {
        fprintf(stderr, "uv_together: %s\n", uv_strerror(rc));
        return 1;
    }
    sley_notify_init(&ticked);
    rc = sley_runtime_init(
        &rt, &(struct sley_runtime_opts){.attach = sley_reactor_uv_attach(&loop), .ret_error = why, .error_bytes = sizeof why});
    if (rc < 0) {
        fprintf(stderr, "uv_together: cannot start: %s\n", why);
        return 1;
    }
    uv_timer_t *handle = &tick;
    (void)uv_timer_init(&loop, &tick);
    (void)uv_timer_start(&tick, on_tick, 10, 10);
    rc = sley_runtime_spawn(&rt, &count__type, &handle, &task);

    (void)uv_run(&loop, UV_RUN_DEFAULT); /* returns when the task has ended: nothing else is left */

    if (rc == 0 && sley_task_result(task, &result) == 0) {
        rc = result;
    }
    sley_task_unref(task);
    const int stopped = sley_runtime_stop(&rt, sley_after_ns(SLEY_S)); /* cancels what is left; turns the loop while it waits */
    const int ended = stopped < 0 ? stopped : sley_runtime_fini(&rt);  /* takes its handles out of the loop */
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return rc < 0 || ended < 0 || uv_loop_close(&loop) != 0;
}
