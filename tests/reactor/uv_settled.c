/* libuv opens a pipe with the first loop of a process and keeps it: before the harness counts descriptors. */
#include <uv.h>

static void __attribute__((constructor)) settle_libuv(void)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) == 0) {
        (void)uv_loop_close(&loop);
    }
}
