/* A user of sley-blocking without any executor: a thread hands jobs to a pool of its own. */
#include <sley/blocking.h>

#include <stdio.h>

static int square(void *arg)
{
    const int *n = arg;
    return *n * *n;
}

int main(void)
{
    struct sley_blocking_pool *pool;
    int n = 3, result = 0;
    const struct sley_blocking_opts opts = {.name = "squares", .thread_max = 2};
    if (sley_blocking_create(&opts, &pool) != 0) {
        return 1;
    }
    const struct sley_blocking_how how = {.pool = pool};
    const int rc = sley_blocking_with(&how, square, &n, &result);
    if (rc != 0 || result != 9 || sley_blocking_destroy(pool) != 0) {
        return 1;
    }
    puts("works");
    return 0;
}
