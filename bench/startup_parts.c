/* bench/startup_parts: as startup, on an executor and a reactor put together by hand: linked with what it names, and no more. */
#include <sley/frame.h>
#include <sley/local.h>
#include <sley/reactor_poll.h>

struct one {
    struct sley_frame frame;
};
static enum sley_step one_task(struct one *f)
{
    SLEY_RETURN(f, 0);
}
SLEY_FRAME(one_task, struct one)

int main(void)
{
    static const struct sley_reactor_factory *const reactors[] = {&sley_reactor_epoll, NULL};
    static struct sley_local local;
    sley_local_init(&local);
    struct sley_executor *ex = &local.base;
    struct sley_task *task;
    int result = -1;
    if (ex->ops->start(ex, &(struct sley_executor_config){.reactors = reactors}) < 0) {
        return 1;
    }
    int rc = ex->ops->spawn(ex, &one_task__type, NULL, &task);
    if (rc == 0) {
        rc = ex->ops->run(ex, task);
        (void)sley_task_result(task, &result);
        sley_task_unref(task);
    }
    const int stopped = ex->ops->stop(ex, SLEY_NEVER);
    return rc < 0 || result < 0 || stopped < 0 || ex->ops->fini(ex) < 0;
}
