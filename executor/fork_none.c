/* A machine without processes: nobody is forked, and nothing is inherited. */
#include <sley/executor.h>

int sley_executor_started(struct sley_executor *ex)
{
    (void)ex;
    return 0;
}

int sley_executor_ended(struct sley_executor *ex)
{
    (void)ex;
    return 0;
}

bool sley_executor_orphaned(const struct sley_executor *ex)
{
    (void)ex;
    return false;
}
