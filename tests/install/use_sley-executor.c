/* A user of sley-executor alone: an incomplete table is refused. */
#include <sley/executor.h>

#include <stdio.h>

int main(void)
{
    const struct sley_executor_ops none = {.version = SLEY_EXECUTOR_VERSION, .name = "none"};
    struct sley_reactor *r = NULL;
    const struct sley_executor_config config = {0};
    if (sley_executor_check(&none) != -EINVAL || sley_executor_make_reactor(&config, NULL, &r) != 0 || r) {
        return 1;
    }
    puts("works");
    return 0;
}
